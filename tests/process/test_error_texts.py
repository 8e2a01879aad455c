"""Errors with the texts and statuses that people and scripts know
(wire-protocol 4.1, 5.1, Appendix B and C), each that can be reached; those of
a session that test_sessions.py does not have."""

import os

import pytest

import pbs
from accounts import Accounts, all_at_once
from instance import wait_for
from pbs import BACKUP_PROTOCOL, CHUNK, READER_PROTOCOL, blob, sha256
from store import time_text

STRANGER, OWNER = 'stranger@pbs', 'owner@pbs'
INSTANCE = {'datastores': ('store', 'frozen', 'away')}
UNKNOWN = '44' * 32


class World:
    """One group with a base that is protected, and one of somebody else."""

    def __init__(self, instance):
        self.instance = instance
        self.set_maintenance('frozen', 'read-only', 'the disk moves')
        self.set_maintenance('away', 'offline', 'no disk')
        instance.restart_validator()
        self.accounts = Accounts(instance)
        self.accounts.add((STRANGER, OWNER), [
            ('/datastore', OWNER, 'DatastoreBackup', True)])
        self.conn = instance.login()
        self.base = ('host', 'base', 1600000000)
        self.foreign = ('host', 'foreign', 1600000000)
        self.back_up(self.base, self.conn)
        self.back_up(self.foreign, self.accounts.connect(OWNER))
        self.conn = instance.login()
        self.put('protected', self.base, protected=True)

    def set_maintenance(self, store, mode, why):
        path = self.instance.etc / 'datastores.d' / f'{store}.conf'
        text = path.read_text().rstrip().rstrip('}')
        path.write_text(f'{text}\tmaintenance = {mode}\n'
                        f'\tmaintenance-message = "{why}"\n}}\n')

    def back_up(self, snapshot, conn):
        with self.instance.backup(snapshot, conn) as s:
            s.backup_images({'a.img.fidx': b'base' * (CHUNK // 4)})

    def request(self, method, last, snapshot=(), store='store', conn=None,
                body=b'', **more):
        keys = ('backup-type', 'backup-id', 'backup-time')
        query = {**dict(zip(keys, snapshot)), **pbs.dashed(more)}
        return (conn or self.conn).request(
            method, f'admin/datastore/{store}/{last}', query, body=body)

    def put(self, last, snapshot, **more):
        self.request('PUT', last, snapshot, **more).check()


@pytest.fixture(scope='module')
def world(instance):
    return World(instance)


def said(r, status, text):
    assert (r.status, r.text) == (status, text)


def begins(r, status, text):
    assert (r.status, r.text[:len(text)]) == (status, text)


# ---- upgrades, in the order of their checks

def upgrade(world, path='backup', conn=None, protocol=None, **change):
    kind, name, when = world.base
    params = {'store': 'store', 'backup-type': kind, 'backup-id': name,
              'backup-time': when + 1, **pbs.dashed(change)}
    conn = conn or world.instance.login()
    if protocol is None:
        protocol = BACKUP_PROTOCOL if path == 'backup' else READER_PROTOCOL
    r = conn.upgrade(path, protocol, params)
    # A refusal leaves the connection as it was.
    if r.status != 101 and conn.headers:
        assert conn.get('version')
    conn.close()
    return r


BACKUP_REFUSALS = {
    'type': ({'backup_type': 'x'}, 400, 'parameter verification failed - '),
    'time': ({'backup_time': 0}, 400, 'parameter verification failed - '),
    'store': ({'store': 'nowhere'}, 403,
              "missing permissions 'Datastore.Backup' on "
              "'/datastore/nowhere'"),
    'protocol': ({'protocol': 'proxmox-backup-protocol-v2'}, 400,
                 'invalid protocol name'),
    'reader-protocol': ({'protocol': READER_PROTOCOL}, 400,
                        'invalid protocol name'),
    'namespace': ({'ns': 'no/where'}, 404, 'namespace not found'),
    'benchmark': ({'backup_id': 'benchmark'}, 400,
                  'unable to run benchmark without --benchmark flags'),
    'no-benchmark': ({'benchmark': True}, 400,
                     "benchmark flags is only allowed on 'host/benchmark'"),
    'owner': ({'backup_id': 'foreign'}, 400,
              f'backup owner check failed (user@pbs != {OWNER})'),
    'older': ({'backup_time': 1500000000}, 400,
              'backup timestamp is older than last backup.'),
    'same-time': ({'backup_time': 1600000000}, 400,
                  'backup timestamp is older than last backup.'),
}


@pytest.mark.parametrize('name', BACKUP_REFUSALS)
def test_backup_refused(world, name):
    change, status, text = BACKUP_REFUSALS[name]
    begins(upgrade(world, **change), status, text)


@pytest.mark.parametrize('path', ['backup', 'reader'])
@pytest.mark.parametrize('header, text', [
    ({}, 'missing Upgrade header'),
    ({'Upgrade': 'websocket'}, 'invalid protocol name')], ids=str)
def test_header_comes_after_rights_and_store(world, path, header, text):
    """And before all else, in the order of wire-protocol 4.1 and 5.1."""
    kind, name, when = world.base
    conns = {who: world.accounts.connect(who) for who in (STRANGER, OWNER)}

    def ask(who=OWNER, **change):
        return conns[who].request('GET', path, {
            'store': 'store', 'backup-type': kind, 'backup-id': name,
            'backup-time': when + 1, **pbs.dashed(change)}, headers=header)
    begins(ask(backup_time=0), 400, 'parameter verification failed - ')
    if path == 'backup':
        said(ask(STRANGER), 403, "missing permissions 'Datastore.Backup' on "
                                 "'/datastore/store'")
    else:
        said(ask(STRANGER), 400, 'no permissions on /datastore/store')
    said(ask(store='nowhere'), 400, "no such datastore 'nowhere'")
    said(ask(store='away'), 400, "datastore 'away' is in offline "
                                 'maintenance mode: no disk')
    said(ask(), 400, text)
    said(ask(ns='no/where'), 400, text)
    assert conns[OWNER].get('version')


def test_store_that_is_not_there_or_closed(world):
    """Only who may make backups everywhere learns it."""
    def refusal(store, path='backup', **more):
        return upgrade(world, path, world.accounts.connect(OWNER),
                       store=store, **more)
    said(refusal('nowhere'), 400, "no such datastore 'nowhere'")
    said(refusal('frozen'), 400, "datastore 'frozen' is in read-only "
                                 'maintenance mode: the disk moves')
    for path in ('backup', 'reader'):
        said(refusal('away', path), 400, "datastore 'away' is in offline "
                                         'maintenance mode: no disk')
    assert refusal('frozen', 'reader').text.endswith('does not exist.') or \
        'owner check failed' in refusal('frozen', 'reader').text


def test_group_is_locked(world):
    with world.instance.backup(('host', 'busy', 1600000000)):
        begins(upgrade(world, backup_id='busy'), 400,
               'unable to acquire lock on backup group directory "host/busy" '
               '- another backup is already running')
        begins(world.request('DELETE', 'groups', ('host', 'busy')), 400,
               'unable to acquire lock on backup group directory "host/busy" '
               '- possible running backup')


def test_order_of_the_checks(world):
    """A request that is wrong in every way is told of one after the other
    (wire-protocol 4.1)."""
    folder = world.instance.store().snapshot_path(
        ('host', 'base', 1600000001))
    folder.mkdir()
    stranger = world.accounts.connect(STRANGER)
    conn, header = world.instance.connect(), 'websocket'
    query = {'store': 'away', 'ns': 'no/where', 'backup-type': 'host',
             'backup-id': 'foreign', 'backup-time': 0, 'benchmark': True}

    def told(status, text, **change):
        query.update(pbs.dashed(change))
        begins(conn.request('GET', 'backup', query,
                            headers={'Upgrade': header}), status, text)
    told(401, 'authentication failed - ')
    conn.headers = stranger.headers
    told(400, "parameter verification failed - 'backup-time': ")
    told(403, "missing permissions 'Datastore.Backup' on "
              "'/datastore/away/no/where'", backup_time=1600000000)
    conn.headers = world.conn.headers
    told(400, "datastore 'away' is in offline maintenance mode: no disk")
    told(400, 'invalid protocol name', store='store')
    header = BACKUP_PROTOCOL
    told(404, 'namespace not found')
    told(400, "benchmark flags is only allowed on 'host/benchmark'", ns='')
    owner = world.accounts.connect(OWNER)
    with world.instance.backup(('host', 'foreign', 1600000001), owner):
        told(400, 'unable to acquire lock on backup group directory ',
             benchmark=False)
    assert wait_for(lambda: not world.instance.locks(world.foreign))
    told(400, f'backup owner check failed (user@pbs != {OWNER})')
    told(400, 'backup timestamp is older than last backup.',
         backup_id='base')
    told(400, 'backup directory already exists.', backup_time=1600000001)
    folder.rmdir()


def test_folder_is_there_already(world):
    """An unfinished snapshot is no base, but in the way."""
    when = 1600000777
    path = world.instance.store().snapshot_path(('host', 'base', when))
    path.mkdir()
    os.chmod(path, 0o755)
    said(upgrade(world, backup_time=when), 400,
         'backup directory already exists.')
    path.rmdir()


READER_REFUSALS = {
    'rights': ({'store': 'nowhere'}, 'no permissions on /datastore/nowhere'),
    'protocol': ({'protocol': BACKUP_PROTOCOL}, 'invalid protocol name'),
    'missing': ({}, 'snapshot host/base/2020-09-13T12:26:41Z '
                    'does not exist.'),
    'group': ({'backup_id': 'nobody'},
              'snapshot host/nobody/2020-09-13T12:26:41Z does not exist.'),
    'namespace': ({'ns': 'no/where'}, 'snapshot '),
}


@pytest.mark.parametrize('name', READER_REFUSALS)
def test_reader_refused(world, name):
    change, text = READER_REFUSALS[name]
    begins(upgrade(world, 'reader', **change), 400, text)


def test_reader_of_somebody_elses(world):
    said(upgrade(world, 'reader', world.accounts.connect(OWNER)), 400,
         'backup owner check failed!')


# ---- identities

def log_in(world, user):
    conn = world.instance.connect()
    r = conn.request('POST', 'access/ticket', json={
        'username': user, 'password': 'wrong'})
    conn.close()
    return r


def test_login(world):
    users = ('user@pbs', 'nobody@pbs', 'root@pam', 'user@nowhere')
    for r in all_at_once(lambda u: log_in(world, u), users).values():
        said(r, 401, 'permission check failed.')
    begins(log_in(world, 'user@pbs!backup'), 400,
           "parameter verification failed - 'username': ")


CREDENTIALS = {
    (): 'no authentication credentials provided.',
    ('Cookie', 'PBSAuthCookie=PBS:user@pbs:66671C80::AAAA'): '',
    ('Authorization', 'PBSAPIToken=user@pbs!backup:wrong'): '',
    ('Authorization', 'PBSAPIToken user@pbs!nothing:wrong'): '',
    ('Authorization', 'Basic dXNlcjp4'):
        'no authentication credentials provided.',
}


def test_credentials(world):
    def ask(header):
        conn = world.instance.connect()
        r = conn.request('GET', 'version',
                         headers=dict([header] if header else []))
        conn.close()
        return r
    for header, r in all_at_once(ask, CREDENTIALS).items():
        begins(r, 401, f'authentication failed - {CREDENTIALS[header]}')


def test_without_rights(world):
    conn = world.accounts.connect(STRANGER)
    said(world.request('GET', 'status', conn=conn), 403,
         'permission check failed')
    said(world.request('GET', 'groups', conn=conn), 403,
         'permission check failed - missing Datastore.Audit|Datastore.Backup '
         'on /datastore/store')
    assert conn.get('admin/datastore') == []


# ---- snapshots and groups

def test_snapshot_in_use(world):
    """By a reader: neither forgotten nor pruned."""
    snaps = [('host', 'read', 1600000000 + i) for i in range(3)]
    for snap in snaps:
        world.back_up(snap, world.instance.login())
    text = ('unable to acquire lock on snapshot directory "host/read/'
            f'{time_text(snaps[0][2])}" - possibly running or in use')
    with world.instance.reader(snaps[0]):
        begins(world.request('DELETE', 'snapshots', snaps[0]), 400, text)
        done = world.request('POST', 'prune', snaps[0][:2],
                             keep_last=1).check().data
        assert [x['keep'] for x in done] == [False, False, True]
    left = world.request('GET', 'snapshots', snaps[0][:2]).check().data
    assert sorted(x['backup-time'] for x in left) == \
        [snaps[0][2], snaps[2][2]]
    tasks = world.conn.get('nodes/localhost/tasks', typefilter='prune')
    assert tasks[0]['status'] == 'WARNINGS: 1'
    log = world.instance.task_log(tasks[0]['upid'])
    assert any(text in line for line in log)


def test_base_in_use(world):
    with world.instance.backup(('host', 'base', 1600009999)):
        begins(world.request('DELETE', 'snapshots', world.base), 400,
               'unable to acquire lock on snapshot directory "host/base/')
    assert wait_for(lambda: not world.instance.locks(world.base))


def test_protected(world):
    said(world.request('DELETE', 'snapshots', world.base), 400,
         'cannot remove protected snapshot')
    said(world.request('DELETE', 'groups', world.base[:2]), 400,
         'group only partially deleted due to protected snapshots')
    assert world.request('DELETE', 'groups', world.base[:2],
                         error_on_protected=False).check()


def test_namespace_that_is_not_empty(world):
    conn, base = world.conn, 'admin/datastore/store'
    for parent, name in (('', 'full'), ('full', 'in'), ('full', 'void')):
        conn.post(f'{base}/namespace', {'parent': parent, 'name': name})
    snap = ('host', 'kept', 1600000000)
    with world.instance.backup(snap, ns='full/in') as s:
        s.backup_dynamic('a.didx', [b'x' * 4096])

    def delete(**more):
        return world.request('DELETE', 'namespace', ns='full', **more)

    def left():
        r = world.request('GET', 'namespace', parent='full').check()
        return sorted(x['ns'] for x in r.data)
    begins(delete(), 400, 'namespace only partially deleted')
    assert left() == ['full', 'full/in'], 'empty ones are gone'
    world.put('protected', snap, protected=True, ns='full/in')
    said(delete(delete_groups=True), 400,
         'namespace only partially deleted due to protected snapshots')
    delete(delete_groups=True, error_on_protected=False).check()
    assert left() == ['full', 'full/in']
    world.put('protected', snap, protected=False, ns='full/in')
    assert delete(delete_groups=True).check().data is None
    assert delete().check().data is None, 'it is not there'
    conn.post(f'{base}/namespace', {'name': 'lone'})
    said(world.request('DELETE', 'namespace', ns='lone',
                       conn=world.accounts.connect(OWNER)),
         403, 'permission check failed - '
         'missing Datastore.Modify on /datastore/store')
    said(world.request('DELETE', 'namespace', ns=''), 400,
         'Cannot create/delete root namespace!')


def test_limits_of_namespaces(world):
    """Seven levels, 32 characters a name, 256 in all."""
    def create(parent, name):
        return world.request('POST', 'namespace', parent=parent, name=name)
    ns = ''
    for i in range(7):
        name = f'level{i}'
        ns = create(ns, name).check().data
    assert ns.count('/') == 6
    assert create(ns, 'level7').status == 400
    assert create('', 'x' * 32).check().data == 'x' * 32
    assert create('', 'x' * 33).status == 400
    r = world.request('GET', 'namespace', parent='level0', max_depth=2)
    assert [x['ns'] for x in r.check().data] == \
        ['level0', 'level0/level1', 'level0/level1/level2']


def test_second_log(world):
    def upload():
        return world.request('POST', 'upload-backup-log', world.base,
                             body=blob(b'log'))
    upload().check()
    said(upload(), 400, 'backup already contains a log.')


def test_log_with_a_wrong_sum(world):
    r = world.request('POST', 'upload-backup-log', world.base,
                      body=blob(b'log', crc=1))
    said(r, 400, 'Data blob has wrong CRC checksum.')


@pytest.mark.parametrize('method, last, more', [
    ('PUT', 'notes', {'notes': 'x'}), ('PUT', 'protected', {'protected': 1}),
    ('DELETE', 'snapshots', {}), ('DELETE', 'groups', {}),
    ('PUT', 'group-notes', {'notes': 'x'}), ('POST', 'prune', {}),
    ('POST', 'change-owner', {'new_owner': OWNER}),
    ('POST', 'namespace', {'name': 'x'}),
    ('DELETE', 'namespace', {'ns': 'x'})], ids=str)
def test_maintenance(world, method, last, more):
    snap = world.base
    if last in ('groups', 'group-notes', 'prune', 'change-owner'):
        snap = snap[:2]
    if last == 'namespace':
        snap = ()
    for store, mode, why in (('frozen', 'read-only', 'the disk moves'),
                             ('away', 'offline', 'no disk')):
        said(world.request(method, last, snap, store, **more), 400,
             f"datastore '{store}' is in {mode} maintenance mode: {why}")


def test_reading_in_maintenance(world):
    assert world.request('GET', 'groups', store='frozen').check().data == []
    said(world.request('GET', 'groups', store='away'), 400,
         "datastore 'away' is in offline maintenance mode: no disk")


# ---- things that do not exist

GONE = ('host', 'gone', 1600000000)
GONE_GROUP = GONE[:2]
NOT_THERE = {
    'protected': ('GET', 'protected', GONE, {}, 200, False),
    'group-notes': ('GET', 'group-notes', GONE_GROUP, {}, 200, ''),
    'delete-ns': ('DELETE', 'namespace', (), {'ns': 'no'}, 200, None),
    'list-ns': ('GET', 'namespace', (), {'parent': 'no'}, 200,
                [{'ns': 'no'}]),
    'groups': ('GET', 'groups', (), {'ns': 'no'}, 400,
               'ENOENT: No such file or directory'),
    'snapshots': ('GET', 'snapshots', (), {'ns': 'no'}, 400,
                  'ENOENT: No such file or directory'),
    'prune': ('POST', 'prune', GONE_GROUP, {'keep_last': 1}, 400,
              'ENOENT: No such file or directory'),
    'delete-group': ('DELETE', 'groups', GONE_GROUP, {}, 400,
                     'ENOENT: No such file or directory'),
    'notes': ('GET', 'notes', GONE, {}, 400, 'unable to load blob '),
    'files': ('GET', 'files', GONE, {}, 400, 'unable to load blob '),
    'set-notes': ('PUT', 'notes', GONE, {'notes': 'x'}, 400,
                  'unable to load blob '),
    'forget': ('DELETE', 'snapshots', GONE, {}, 400,
               'unable to open snapshot directory "host/gone/'
               '2020-09-13T12:26:40Z" for locking - ENOENT'),
    'forget-one': ('DELETE', 'snapshots', ('host', 'base', 1500000000), {},
                   400, 'unable to open snapshot directory "host/base/'
                   '2017-07-14T02:40:00Z" for locking - ENOENT'),
    'change-owner': ('POST', 'change-owner', GONE_GROUP,
                     {'new_owner': OWNER}, 400,
                     'unable to create owner file'),
    'of-a-group': ('GET', 'snapshots', GONE_GROUP, {}, 200, []),
}


@pytest.mark.parametrize('name', NOT_THERE)
def test_not_there(world, name):
    method, last, snap, more, status, want = NOT_THERE[name]
    r = world.request(method, last, snap, **more)
    assert r.status == status, r.text
    if status == 200:
        assert r.data == want
    else:
        assert want in r.text


# ---- sessions: what test_sessions.py leaves

@pytest.fixture(scope='module')
def session(world):
    snap = ('host', 'texts', 1600000000)
    with world.instance.backup(snap) as s:
        s.backup_images({'a.img.fidx': b'a' * CHUNK + b'b' * 1000})
    with world.instance.backup(('host', 'texts', 1600000001)) as s:
        yield s


def refused(session, method, path, doc, status, text, body=b''):
    begins(session.request(method, path, doc, body=body), status, text)


def test_previous(session):
    for name, status, text in (
            ('a.txt', 400, 'unknown archive type: "a.txt"'),
            ('b.img.fidx', 400, 'Unable to open fixed index'),
            ('b.pxar.didx', 400, 'Unable to open dynamic index'),
            ('b.blob', 404, 'open file "')):
        refused(session, 'GET', 'previous', {'archive-name': name}, status,
                text)


def test_reuse(session):
    csum = pbs.fixed_csum([sha256(b'a' * CHUNK), sha256(b'b' * 1000)]).hex()
    for name, size, total, text in (
            ('b.img.fidx', CHUNK, csum,
             'cannot reuse index - no previous backup exists for archive'),
            ('a.img.fidx', CHUNK + 1000, UNKNOWN,
             f"expected csum ({UNKNOWN}) doesn't match last backup's "
             f'({csum}), cannot do incremental backup'),
            ('a.img.fidx', 2 * CHUNK + 1, csum,
             'clone_data_from failed - index sizes not equal')):
        refused(session, 'POST', 'fixed_index', {
            'archive-name': name, 'size': size, 'reuse-csum': total}, 400,
            text)


def test_fixed_index(session):
    small, whole = b's' * 1000, b'w' * CHUNK
    wid = session.create_fixed('f.fidx', CHUNK + len(small))
    name = "fixed writer 'f.fidx'"
    session.chunk('fixed', wid, small)
    session.chunk('fixed', wid, whole)

    def append(raw, offset, text):
        r = session.request('PUT', 'fixed_index', json={
            'wid': wid, 'digest-list': [sha256(raw).hex()],
            'offset-list': [offset]})
        begins(r, 400, f'{name} append chunk failed - {text}')
    append(whole, CHUNK, f'chunk data exceeds size ({2 * CHUNK} >= '
                         f'{CHUNK + 1000})')
    append(small, 0, 'chunk with unexpected length (1000 != 4194304')
    append(small, 1000, 'chunk with unexpected length (1000 != 4194304')
    append(whole, 1000, 'got unaligned chunk (pos = 1000)')

    def close(count, size, text):
        refused(session, 'POST', 'fixed_close', {
            'wid': wid, 'chunk-count': count, 'size': size,
            'csum': UNKNOWN}, 400, f'{name} close failed - {text}')
    session.append('fixed', wid, [sha256(whole)], [0])
    # (appended != sent), then (positions != sent)
    close(2, CHUNK, 'received wrong number of chunk (1 != 2)')
    close(1, CHUNK, 'unexpected chunk count (2 != 1)')
    session.append('fixed', wid, [sha256(small)], [CHUNK])
    close(2, CHUNK, f'unexpected file size ({CHUNK + 1000} != {CHUNK})')
    close(2, CHUNK + 1000, 'got unexpected checksum')
    csum = pbs.fixed_csum([sha256(whole), sha256(small)])
    session.close_index('fixed', wid, 2, CHUNK + 1000, csum)


def test_fixed_chunks(session):
    wid = session.create_fixed('g.fidx', 10 * CHUNK)
    r = session.wait(session.start_chunk('fixed', wid, b'l' * (CHUNK + 1)))
    assert r.status == 400
    assert 'got large chunk (4194305 > 4194304' in r.text
    session.chunk('fixed', wid, b'1' * 100)
    r = session.wait(session.start_chunk('fixed', wid, b'2' * 100))
    assert r.status == 400
    assert 'detected multiple end chunks (chunk size too small)' in r.text


def test_broken_compression(session):
    wid = session.create_dynamic('z.didx')
    broken = blob(bytes(100), magic=pbs.ZSTD_MAGIC)
    r = session.wait(session.start_chunk('dynamic', wid, bytes(10),
                                         encoded=broken))
    said(r, 400, 'Unknown frame descriptor')


@pytest.mark.parametrize('first, compressed, text', [
    (blob(b'plain' * 20), False, 'Overwriting unencrypted chunk '),
    (pbs.encrypted_blob(b'x' * 50), False,
     'Overwriting existing (encrypted) chunk '),
])
def test_chunk_is_stored_otherwise(session, first, compressed, text):
    raw = b'plain' * 20
    digest = sha256(raw) if first == blob(raw) else sha256(text.encode())
    wid = session.create_dynamic(f'o{len(first)}.didx')
    other = pbs.encrypted_blob(b'y' * 60, compressed=compressed)

    def put(encoded):
        return session.wait(session.start_chunk(
            'dynamic', wid, raw, digest=digest, encoded=encoded))
    put(first).check()
    begins(put(other), 400, f"{text}'{digest.hex()}' on store 'store' ")


def test_manifest(session):
    """Damaged, encrypted, or not a manifest: told at once, not by finish."""
    for body, text in (
            (blob(b'{}', crc=1), 'Data blob has wrong CRC checksum.'),
            (pbs.encrypted_blob(b'{}' * 20), 'cannot decode an encrypted '),
            (blob(b'no json'), ''), (blob(b'{"files": 1}'), '')):
        r = session.wait(session.start_blob('index.json.blob', body))
        begins(r, 400, text)
    refused(session, 'POST', 'finish', {}, 400,
            'found open index writer - unable to finish backup')


def test_reader(world):
    with world.instance.reader(world.base) as s:
        for name, status, text in (
                ('a.txt', 400, 'unknown archive type: "a.txt"'),
                ('b.img.fidx', 400, 'Unable to open fixed index'),
                ('b.blob', 404, 'open file "b.blob" failed - not found')):
            refused(s, 'GET', 'download', {'file-name': name}, status, text)
        never = s.start('GET', 'chunk', {'digest': UNKNOWN})
        said(s.wait(never), 401, f'download chunk {UNKNOWN} not allowed')
        assert wait_for(lambda: world.instance.session_of(world.base))
