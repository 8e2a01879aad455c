"""What Proxmox VE's storage plugin asks for (wire-protocol 3.7), in the form
encoding of its Perl client, and one guest's job in its order."""

import urllib.parse

import pytest

import instance as instance_module
import pbs
from pbs import sha256


class Perl:
    """Its REST client: form bodies, cookie or token, keep-alive."""

    def __init__(self, instance, token=False):
        self.conn = instance.connect()
        self.store = f'/api2/json/admin/datastore/{instance.store_name}'
        env = instance.env()
        if token:
            self.conn.use_token(env['PBS_TOKEN'], env['PBS_TOKEN_SECRET'])
            return
        data = self.form('POST', '/api2/json/access/ticket', {
            'username': instance_module.USER,
            'password': env['PBS_PASSWORD']}).check().data
        self.conn.headers = {
            'Cookie': 'PBSAuthCookie=' + urllib.parse.quote(
                data['ticket'], safe=''),
            'CSRFPreventionToken': data['CSRFPreventionToken']}

    def form(self, method, path, params):
        return self.conn.request(
            method, path, body=urllib.parse.urlencode(params).encode(),
            headers={'Content-Type': 'application/x-www-form-urlencoded',
                     'User-Agent': 'PVE/1.0'})

    def get(self, path, **params):
        """What it demands: 200, JSON, an object with data."""
        answer = self.conn.request('GET', path, pbs.dashed(params))
        assert answer.status == 200, answer.text
        assert 'application/json' in answer.headers['content-type']
        return answer.data

    def set_protected(self, snapshot, value, **more):
        return self.form('PUT', f'{self.store}/protected',
                         {**named(snapshot), 'protected': value, **more})


def named(snapshot):
    return {'backup-type': snapshot[0], 'backup-id': snapshot[1],
            'backup-time': snapshot[2]}


def back_up(instance, snapshot, ns=None):
    more = {'ns': ns} if ns else {}
    with instance.backup(snapshot, **more) as session:
        manifest = pbs.Manifest(snapshot)
        csum, _ = session.upload_image('drive-scsi0.img.fidx', b'd' * 5000)
        manifest.add('drive-scsi0.img.fidx', 5000, csum)
        conf = b'cores: 2\n'
        session.blob('qemu-server.conf.blob', pbs.blob(conf))
        manifest.add('qemu-server.conf.blob', len(conf), sha256(conf))
        session.blob('index.json.blob', manifest.blob())
        session.finish()


@pytest.fixture(params=['password', 'token'])
def perl(request, instance):
    return Perl(instance, request.param == 'token')


def test_activate_storage(perl, instance):
    stores = perl.get('/api2/json/admin/datastore')
    assert instance.store_name in [s['store'] for s in stores]


def test_list_snapshots(instance):
    """An id without a type selects it in all three."""
    perl = Perl(instance)
    when = 1650000000
    for kind, backup_id in [('vm', '901'), ('ct', '901'), ('vm', '902')]:
        back_up(instance, (kind, backup_id, when))
    found = perl.get(f'{perl.store}/snapshots', backup_id='901')
    assert sorted(s['backup-type'] for s in found) == ['ct', 'vm']
    for snap in found:
        assert snap['size'] > 5000
        assert snap['protected'] is False
        assert {f['filename'] for f in snap['files']} == {
            'drive-scsi0.img.fidx', 'qemu-server.conf.blob',
            'index.json.blob'}
    ids = {s['backup-id'] for s in perl.get(f'{perl.store}/snapshots',
                                            ns='')}
    assert {'901', '902'} <= ids
    assert perl.get(f'{perl.store}/snapshots', backup_id='900') == []


def test_list_snapshots_of_a_namespace(instance):
    perl = Perl(instance)
    perl.form('POST', f'{perl.store}/namespace',
              {'name': 'pve', 'parent': ''}).check()
    back_up(instance, ('vm', '910', 1650000000), ns='pve')
    found = perl.get(f'{perl.store}/snapshots', ns='pve', backup_id='910')
    assert [s['backup-id'] for s in found] == ['910']
    assert perl.get(f'{perl.store}/snapshots', backup_id='910') == []


@pytest.mark.parametrize('on, off', [('1', '0'), ('true', 'false'),
                                     ('yes', 'no')])
def test_protected(instance, snapshot, on, off):
    snap = snapshot(kind='vm')
    back_up(instance, snap)
    perl = Perl(instance)
    for value, expected in (on, True), (off, False):
        answer = perl.set_protected(snap, value)
        assert (answer.status, answer.data) == (200, None)
        assert perl.get(f'{perl.store}/protected', **{
            k.replace('-', '_'): v for k, v in named(snap).items()
        }) is expected
    answer = perl.set_protected(snap, 'maybe')
    assert answer.status == 400
    answer = perl.set_protected(snap, '1', more='x')
    assert answer.status == 400


def test_query_and_form_together(instance, snapshot):
    """Both count, and one parameter in both is twice."""
    snap = snapshot(kind='vm')
    back_up(instance, snap)
    perl = Perl(instance)
    query = urllib.parse.urlencode(named(snap))
    path = f'{perl.store}/protected?{query}'
    perl.form('PUT', path, {'protected': 1}).check()
    answer = perl.form('PUT', path, {'protected': 0, 'backup-id': snap[1]})
    assert answer.status == 400
    assert 'duplicate parameter' in answer.text


def test_job_of_one_guest(instance, snapshot):
    """Everything within a second of finish: nothing may be locked."""
    perl = Perl(instance)
    old = snapshot(kind='vm')
    snap = snapshot(old)
    back_up(instance, old)
    back_up(instance, snap)
    files = perl.get(f'{perl.store}/files', **{
        k.replace('-', '_'): v for k, v in named(snap).items()})
    assert sum(f['size'] for f in files) > 5000
    perl.form('PUT', f'{perl.store}/notes',
              {**named(snap), 'notes': 'guest\nof a job'}).check()
    perl.set_protected(snap, '1').check()
    pruned = perl.form('POST', f'{perl.store}/prune', {
        'backup-type': snap[0], 'backup-id': snap[1], 'keep-last': 1,
        'dry-run': 1}).check().data
    # What is protected uses up no count.
    assert [(p['backup-time'], p['keep'], p['protected'])
            for p in pruned] == [(old[2], True, False),
                                 (snap[2], True, True)]
    perl.conn.request(
        'POST', f'{perl.store}/upload-backup-log', named(snap),
        body=pbs.blob(b'INFO: Finished Backup of VM\n', True),
        headers={'Content-Type': 'application/octet-stream'}).check()
    listed = [s for s in perl.get(f'{perl.store}/snapshots',
                                  backup_id=snap[1])
              if s['backup-time'] == snap[2]][0]
    assert listed['comment'] == 'guest'
    assert listed['protected'] is True
    assert 'client.log.blob' in [f['filename'] for f in listed['files']]


def test_ticket_as_password(instance):
    """It logs in again when the ticket is an hour old."""
    perl = Perl(instance)
    ticket = urllib.parse.unquote(
        perl.conn.headers['Cookie'].partition('=')[2])
    data = perl.form('POST', '/api2/json/access/ticket', {
        'username': instance_module.USER, 'password': ticket}).check().data
    assert data['ticket'].startswith('PBS:')


def test_identity_outlives_the_certificate(fresh_instance):
    inst = fresh_instance()
    path = 'nodes/localhost/identity'
    first = inst.login().get(path)['pbs-instance-id']
    assert len(first) == 32 and int(first, 16) >= 0
    fingerprint = inst.fingerprint
    inst.end('server')
    for name in 'key.pem', 'certificate.pem':
        (inst.dir / 'state' / 'auth' / name).unlink()
    inst.start_server()
    conn = inst.connect(fingerprint=False)
    conn.login(instance_module.USER, inst.state['password'])
    assert conn.get(path)['pbs-instance-id'] == first
    der = conn.sock.getpeercert(binary_form=True)
    assert sha256(der).hex() != fingerprint.replace(':', '')
