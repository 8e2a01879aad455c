"""The traps of wire-protocol 9 that have no test elsewhere: what looks odd in
the protocol and breaks a client all the same."""

import json
import re
import urllib.parse

import pytest

import pbs
from accounts import Accounts
from instance import USER, wait_for
from pbs import CHUNK, PbsError, blob, fixed_csum, sha256

UPID = re.compile(r'UPID:[a-zA-Z0-9-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:'
                  r'[0-9A-F]{8,16}:[0-9A-F]{8}:[^:\s]+:'
                  r'([A-Za-z0-9_.-]|\\x[0-9a-f]{2})*:[^:\s]+:')


def back_up(instance, snap, conn=None, **more):
    with instance.backup(snap, conn, **more) as s:
        s.backup_dynamic('a.didx', [b'x' * 4096])
    return snap


def named(snap):
    return dict(zip(('backup-type', 'backup-id', 'backup-time'), snap))


def last_task(instance, kind, name):
    """Its status, when the task of that name has ended."""
    def ended():
        for t in instance.login().get('nodes/localhost/tasks', limit=0,
                                      typefilter=kind):
            if name in (t['worker_id'] or '') and 'endtime' in t:
                return t
    return wait_for(ended)


# ---- 4, 5, 6: connections and identities

@pytest.mark.parametrize('n', [0, 1, 3])
def test_upgrade_as_a_later_request(instance, snapshot, n):
    """Behind others, refused ones too, and with next to no headers."""
    conn = instance.token()
    for _ in range(n):
        assert conn.request('GET', 'nowhere').status == 404
        assert conn.request('POST', 'access/ticket', body=b'x=1').status \
            == 400
    kind, name, when = snapshot()
    query = pbs.encode_query({
        'store': instance.store_name, 'ns': '', 'backup-type': kind,
        'backup-id': name, 'backup-time': when, 'debug': 'true',
        'benchmark': 'false', 'no-cache': 'true'})
    conn.send_head('GET', f'//api2/json/backup?{query}', {
        **conn.headers, 'uPgRaDe': pbs.BACKUP_PROTOCOL})
    assert conn.read_response().status == 101
    with pbs.BackupSession(conn, (kind, name, when)) as s:
        assert s.previous_time() is None


def test_both_separators_and_an_encoded_secret(instance):
    env = instance.env()
    secret = env['PBS_TOKEN_SECRET']
    encoded = ''.join(f'%{ord(c):02X}' for c in secret)
    for separator in ('=', ' '):
        for text in (secret, encoded):
            conn = instance.connect()
            conn.headers = {'Authorization': f'PBSAPIToken{separator}'
                                             f'{env["PBS_TOKEN"]}:{text}'}
            assert conn.get('version')['release'].isdigit()
            conn.close()


def test_cookies_as_clients_write_them(instance):
    conn = instance.login()
    ticket = urllib.parse.unquote(
        conn.headers['Cookie'].removeprefix('PBSAuthCookie='))
    assert re.fullmatch(r'PBS:[^:\s!]+:[0-9A-F]{8}::[A-Za-z0-9+/]+', ticket)
    encoded = urllib.parse.quote(ticket, safe='')
    for cookie in (f'PBSAuthCookie={ticket}', f'PBSAuthCookie={encoded}',
                   f'PBSAuthCookie={encoded}; path=/; secure; '
                   'SameSite=Strict;',
                   f'a=b; flag; PBSAuthCookie={encoded}; c=d',
                   f'__Host-PBSAuthCookie={encoded}; PBSAuthCookie=x'):
        conn.headers['Cookie'] = cookie
        assert conn.get('version')
        # With the token a change is accepted as well.
        assert conn.request('POST', 'nowhere').status == 404


def test_ticket_renews_itself_and_outlives_the_server(fresh_instance):
    inst = fresh_instance()
    conn = inst.connect()
    first = conn.login(USER, inst.state['password'])
    headers = conn.headers
    assert set(first) == {'username', 'ticket', 'CSRFPreventionToken'}
    again = conn.login(USER, first['ticket'])
    assert conn.get('version') and again['username'] == USER
    inst.end('server')
    inst.start_server()
    conn = inst.connect()
    conn.headers = headers
    assert conn.get('version')
    assert conn.login(USER, first['ticket'])['ticket']


# ---- 9, 12, 13, 14: chunks

def test_short_chunk_comes_first_and_is_named_by_another_writer(
        instance, snapshot):
    """One short chunk a writer, whenever; known to all writers."""
    whole, short = b'w' * CHUNK, b's' * 540672
    with instance.backup(snapshot(kind='vm')) as s:
        zero = s.create_fixed('efi.img.fidx', len(short))
        other = s.create_fixed('disk.img.fidx', CHUNK + len(short))
        # QEMU sends a whole zero chunk for the smallest drive.
        s.chunk('fixed', zero, bytes(CHUNK))
        s.chunk('fixed', zero, short)
        s.chunk('fixed', other, whole)
        s.append('fixed', other, [sha256(short)], [CHUNK])
        s.append('fixed', other, [sha256(whole)], [0])
        s.append('fixed', zero, [sha256(short)], [0])
        csum = fixed_csum([sha256(whole), sha256(short)])
        s.close_index('fixed', other, 2, CHUNK + len(short), csum)
        s.close_index('fixed', zero, 1, len(short),
                      fixed_csum([sha256(short)]))
        s.blob('index.json.blob', pbs.Manifest(s.snapshot).blob())
        s.finish()
        snap = s.snapshot
    with instance.reader(snap) as r:
        assert r.image('disk.img.fidx') == whole + short


def test_known_is_what_this_session_sent_or_fetched(instance, snapshot,
                                                    store):
    """Not what the store has."""
    snap = back_up(instance, snapshot())
    assert store.has_chunk(sha256(b'x' * 4096))
    with instance.backup(snapshot(snap)) as s:
        wid = s.create_dynamic('a.didx')
        with pytest.raises(PbsError, match='no such chunk'):
            s.append('dynamic', wid, [sha256(b'x' * 4096)], [0])
        s.previous('a.didx')
        s.append('dynamic', wid, [sha256(b'x' * 4096)], [0])


def test_sum_of_a_chunk_is_made_anew(instance, snapshot, store):
    """Of a blob it is checked."""
    raw = b'a chunk with a wrong sum' * 10
    with instance.backup(snapshot()) as s:
        wid = s.create_dynamic('a.didx')
        s.chunk('dynamic', wid, raw, encoded=blob(raw, crc=0x12345678))
        assert pbs.unblob(store.chunk_path(sha256(raw)).read_bytes()) == raw
        with pytest.raises(PbsError, match='wrong CRC'):
            s.blob('a.blob', blob(raw, crc=0x12345678))


# ---- 15: bases

def mark_failed(store, snap):
    """As a verification would."""
    path = store.snapshot_path(snap) / 'index.json.blob'
    manifest = json.loads(pbs.unblob(path.read_bytes()))
    manifest['unprotected']['verify_state'] = {
        'state': 'failed', 'upid': 'UPID:localhost:0000A1B2:00BC614E:'
        '0000001F:66671C80:verify:s1:u@pbs:'}
    path.write_bytes(blob(json.dumps(manifest).encode()))


def test_no_base_if_the_newest_failed(instance, snapshot, store):
    """Even when an older one is good; then the time may be any new one."""
    first = back_up(instance, snapshot())
    second = back_up(instance, snapshot(first))
    mark_failed(store, second)
    with pytest.raises(PbsError,
                       match='backup directory already exists.'):
        instance.backup(second)
    older = (*first[:2], first[2] - 10)
    with instance.backup(older) as s:
        assert s.previous_time() is None
        with pytest.raises(PbsError, match='no valid previous backup'):
            s.previous('a.didx')
    assert wait_for(lambda: not instance.locks(first))
    with instance.backup(snapshot(second)) as s:
        s.backup_dynamic('a.didx', [b'y' * 4096])
        third = s.snapshot
    with instance.backup(snapshot(third)) as s:
        assert s.previous_time() == third[2]


# ---- 16, 17: ends

def test_dropped_after_finish_is_the_normal_end(instance, snapshot):
    snap = back_up(instance, snapshot())
    task = last_task(instance, 'backup', snap[1])
    assert task['status'] == 'OK'
    log = instance.task_log(task['upid'])
    assert log[-1].endswith('TASK OK')
    assert any('backup finished successfully' in line for line in log)


def test_dropped_before_finish_leaves_the_group(instance, snapshot, store):
    snap = snapshot()
    with instance.backup(snap) as s:
        s.blob('a.blob', blob(b'data'))
    task = last_task(instance, 'backup', snap[1])
    assert task['status'] == 'backup ended but finished flag is not set.'
    group = store.snapshot_path(snap).parent
    assert not store.snapshot_path(snap).exists()
    assert (group / 'owner').read_text() == f'{USER}\n'


def test_failed_finish_can_be_repeated(instance, snapshot):
    with instance.backup(snapshot()) as s:
        wid = s.create_dynamic('a.didx')
        s.chunk('dynamic', wid, b'x' * 4096)
        s.append('dynamic', wid, [sha256(b'x' * 4096)], [0])
        with pytest.raises(PbsError, match='open index writer'):
            s.finish()
        csum = pbs.dynamic_csum([(4096, sha256(b'x' * 4096))])
        s.close_index('dynamic', wid, 1, 4096, csum)
        with pytest.raises(PbsError, match='not registered'):
            s.close_index('dynamic', wid, 1, 4096, csum)
        with pytest.raises(PbsError, match='unable to update manifest blob'):
            s.finish()
        s.blob('index.json.blob', pbs.Manifest(s.snapshot).blob())
        s.finish()


# ---- 18: the manifest

def test_finish_keeps_members_that_it_does_not_know(instance, snapshot,
                                                    store):
    manifest = pbs.Manifest(snapshot())
    conf = blob(b'configuration')
    manifest.add('a.conf.blob', len(conf), sha256(conf))
    manifest.files[0]['of-a-file'] = [1, {'deep': None}]
    manifest.extra = {'signature': 'ab' * 32, 'at-the-top': {'x': 1.5}}
    manifest.unprotected = {'key-fingerprint': ':'.join(['ab'] * 32),
                            'notes': 'made by a client', 'more': 'kept'}
    with instance.backup(manifest.snapshot) as s:
        s.blob('a.conf.blob', conf)
        wid = s.create_dynamic('a.didx')
        for raw in (b'1' * 4096, b'2' * 4096, b'1' * 4096):
            s.chunk('dynamic', wid, raw)
        s.append('dynamic', wid, [sha256(b'1' * 4096)], [0])
        s.close_index('dynamic', wid, 1, 4096, pbs.dynamic_csum(
            [(4096, sha256(b'1' * 4096))]))
        s.blob('index.json.blob', manifest.blob())
        s.finish()
    stored = store.manifest(manifest.snapshot)
    stats = stored['unprotected'].pop('chunk_upload_stats')
    assert stored == manifest.json()
    assert (stats['count'], stats['size'], stats['duplicates']) == \
        (3, 3 * 4096, 1)
    assert stats['compressed_size'] > 0


# ---- 19, 20: locks

def test_all_is_free_at_once_after_finish(instance, snapshot):
    """On the open session's connection, without a pause."""
    snap = snapshot()
    conn = instance.login()
    base = f'admin/datastore/{instance.store_name}'
    which = {k.replace('-', '_'): v for k, v in named(snap).items()}
    with instance.backup(snap) as s:
        s.backup_dynamic('a.didx', [b'x' * 4096])
        conn.put(f'{base}/notes', notes='at once', **which)
        conn.put(f'{base}/protected', protected=True, **which)
        conn.put(f'{base}/protected', protected=False, **which)
        conn.request('POST', f'{base}/upload-backup-log',
                     named(snap), body=blob(b'log')).check()
        with instance.backup(snapshot(snap)) as following:
            assert following.previous_time() == snap[2]
        assert wait_for(lambda: not instance.locks(snap))
        conn.delete(f'{base}/snapshots', **which)


def test_readers_of_the_base_while_a_backup_runs(instance, snapshot):
    """As many as there are folders, in the metadata mode of clients."""
    base = back_up(instance, snapshot(), conn=instance.token())
    with instance.backup(snapshot(base), instance.token()) as s:
        readers = [instance.reader(base, instance.token())
                   for _ in range(3)]
        for r in readers:
            assert r.dynamic('a.didx') == b'x' * 4096
        s.previous('a.didx')
        s.backup_dynamic('a.didx', [b'x' * 4096], [sha256(b'x' * 4096)])
        for r in readers:
            r.close()


# ---- 23: task logs

@pytest.fixture(scope='module')
def long_task(instance):
    """The UPID of a backup whose log has more than two pages."""
    snap = ('host', 'log', 1600000000)
    with instance.backup(snap) as s:
        streams = []
        for i in range(1300):
            streams.append(s.start_blob(f'b{i}.blob', blob(b'%d' % i)))
            if len(streams) > 50:
                s.wait(streams.pop(0)).check()
        for stream in streams:
            s.wait(stream).check()
        s.blob('index.json.blob', pbs.Manifest(snap).blob())
        s.finish()
    return last_task(instance, 'backup', 'host/log')['upid']


def page(conn, upid, **query):
    path = f'nodes/localhost/tasks/{urllib.parse.quote(upid, safe="")}/log'
    r = conn.request('GET', path, pbs.dashed(query)).check()
    return json.loads(r.body)


def test_log_read_page_by_page(instance, long_task):
    """As the CLI does, which counts the lines."""
    conn, start, lines = instance.login(), 1, []
    while True:
        answer = page(conn, long_task, start=start, limit=500,
                      test_status=True)
        assert answer['success'] == 1 and answer['active'] is False
        if start > answer['total']:
            assert answer['data'] == []
            break
        for line in answer['data']:
            assert line['n'] == start
            start += 1
            lines.append(line['t'])
        # A full page, or the last one.
        assert len(answer['data']) == 500 or start > answer['total']
    assert len(lines) == answer['total'] > 1300
    for line in lines:
        assert re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d: .',
                        line) and '\n' not in line
    assert lines[-1][27:] == 'TASK OK'


def test_parts_of_a_log(instance, long_task):
    conn = instance.login()
    assert len(page(conn, long_task)['data']) == 50
    assert 'active' not in page(conn, long_task)
    whole = page(conn, long_task, limit=0)
    assert len(whole['data']) == whole['total']
    for start in (0, 1):
        assert [x['n'] for x in
                page(conn, long_task, start=start, limit=2)['data']] == [1, 2]
    assert page(conn, long_task, start=whole['total'],
                limit=10)['data'] == whole['data'][-1:]
    assert page(conn, long_task, start=10**9)['data'] == []


def test_upids(instance, snapshot):
    """Strict parsers read them: of every kind of task and odd names."""
    snap = ('host', '_.-odd-.name', 1600000000)
    accounts = Accounts(instance)
    odd = "o'dd+user.x@pbs"
    accounts.add([odd], [('/datastore', odd, 'DatastoreAdmin', True),
                         ('/system/tasks', USER, 'Audit', True)])
    back_up(instance, snap, accounts.connect(odd))
    with instance.reader(snap):
        pass
    assert last_task(instance, 'reader', '_.-odd-.name')
    conn = instance.login()
    tasks = conn.get('nodes/localhost/tasks', limit=0)
    assert {'backup', 'reader'} <= {t['worker_type'] for t in tasks}
    for t in tasks:
        assert UPID.fullmatch(t['upid']), t['upid']
        status = conn.get(
            f'nodes/localhost/tasks/{urllib.parse.quote(t["upid"])}/status')
        assert (status['upid'], status['type']) == (t['upid'],
                                                    t['worker_type'])
        assert t['node'] == 'localhost'
        assert status['node'] == t['upid'].split(':')[1]
        assert status['status'] in ('running', 'stopped')
        assert ('exitstatus' in status) == (status['status'] == 'stopped')
    assert [t['worker_id'] for t in tasks if t['user'] == odd] == \
        [f'{instance.store_name}:host/{snap[1]}']
    assert f'{instance.store_name}:host/{snap[1]}/5F5E1000' in \
        [t['worker_id'] for t in tasks if t['worker_type'] == 'reader']


# ---- 4.7.3: benchmarks

def test_benchmark_belongs_to_nobody_and_leaves_nothing(instance, store):
    snap = ('host', 'benchmark', 1600000000)
    for conn in (instance.login(), instance.token(), instance.login()):
        with instance.backup(snap, conn, benchmark=True) as s:
            streams = [s.start('POST', 'speedtest', body=bytes(CHUNK))
                       for _ in range(4)]
            for stream in streams:
                assert s.wait(stream).check().data is None
        assert wait_for(lambda: not instance.locks(snap))
        assert not store.snapshot_path(snap).exists()
    task = last_task(instance, 'benchmark', 'host/benchmark')
    assert task['status'] == 'OK'
    assert any('benchmark finished successfully' in line
               for line in instance.task_log(task['upid']))


# ---- prune-datastore: a task, also if dry, down to a depth

@pytest.mark.parametrize('dry', [True, False])
def test_prune_of_a_datastore(instance, dry):
    conn, base = instance.login(), f'admin/datastore/{instance.store_name}'
    top = f'pruned-{dry}'
    spaces = (top, f'{top}/a', f'{top}/a/b')
    for ns in spaces:
        parent, _, name = ns.rpartition('/')
        conn.post(f'{base}/namespace', {'parent': parent, 'name': name})
        for when in (1600000000, 1600000100):
            back_up(instance, ('host', 'x', when), ns=ns)
    r = conn.request('POST', f'{base}/prune-datastore', json={
        'keep-last': 1, 'ns': spaces[1], 'max-depth': 0,
        'dry-run': dry}).check()
    assert UPID.fullmatch(r.data)
    assert wait_for(lambda: page(conn, r.data, test_status=True)['active']
                    is False)
    log = [line['t'][27:] for line in page(conn, r.data, limit=0)['data']]
    would = 'would ' if dry else ''
    assert f'{would}remove host/x/2020-09-13T12:26:40Z' in log
    assert f'{would}keep host/x/2020-09-13T12:28:20Z' in log
    assert log[-1] == 'TASK OK'
    left = [len(conn.request('GET', f'{base}/snapshots',
                             {'ns': ns}).check().data) for ns in spaces]
    assert left == [2, 2 if dry else 1, 2]


PRUNER = 'pruner@pbs'
OF_PRUNER = (PRUNER, f'{PRUNER}!tok', f'{PRUNER}!two', 'other@pbs')


@pytest.mark.parametrize('caller, gone', [(PRUNER, {0, 1, 2}),
                                          (f'{PRUNER}!tok', {1})])
def test_prune_of_a_datastore_takes_ones_own(instance, caller, gone):
    """With Prune alone (3.1, 6.3)."""
    ns, base = f'own{len(gone)}', f'admin/datastore/{instance.store_name}'
    instance.login().post(f'{base}/namespace', {'parent': '', 'name': ns})
    accounts = Accounts(instance)
    accounts.add([f'{PRUNER}!tok'], [
        (f'/datastore/{instance.store_name}/{ns}', who, 'DatastorePowerUser',
         True) for who in (PRUNER, f'{PRUNER}!tok')])
    for i, owner in enumerate(OF_PRUNER):
        for when in (1600000000, 1600000100):
            back_up(instance, ('host', f'g{i}', when), ns=ns)
        path = instance.store().snapshot_path(('host', f'g{i}', 1), ns)
        (path.parent / 'owner').write_text(owner + '\n')
    conn = accounts.connect(caller)
    upid = conn.request('POST', f'{base}/prune-datastore',
                        {'ns': ns, 'keep-last': 1}).check().data
    assert wait_for(lambda: page(conn, upid, test_status=True)['active']
                    is False)
    left = [s['backup-id'] for s in instance.login().get(f'{base}/snapshots',
                                                         ns=ns)]
    assert [left.count(f'g{i}') for i in range(len(OF_PRUNER))] == \
        [1 if i in gone else 2 for i in range(len(OF_PRUNER))]


# ---- 2.1: rights are those of the upgrade

def test_rights_that_go_end_no_session(instance):
    who, path = 'leaver@pbs', f'/datastore/{instance.store_name}'
    accounts = Accounts(instance)
    accounts.add([who], [(path, who, 'DatastoreBackup', True)])
    first, second = (('host', 'leaver', when)
                     for when in (1600000000, 1600000100))
    conns = [accounts.connect(who) for _ in range(4)]
    back_up(instance, first, conns.pop())
    with instance.backup(second, conns.pop()) as s, \
            instance.reader(first, conns.pop()) as reader:
        instance.admin('acl', 'remove', path, 'DatastoreBackup',
                       '--auth-id', who)
        instance.admin('user', 'update', who, '--enable', 'no')
        assert conns[0].request('GET', 'version').status == 401
        assert reader.dynamic('a.didx') == b'x' * 4096
        s.previous('a.didx')
        s.backup_dynamic('a.didx', [b'x' * 4096], [sha256(b'x' * 4096)])
    assert len(instance.login().get(f'admin{path}/snapshots',
                                    backup_id='leaver')) == 2


# ---- notes as long as a body may be

@pytest.mark.parametrize('carrier', ['form', 'json'])
@pytest.mark.parametrize('last', ['notes', 'group-notes'])
def test_long_notes(instance, snapshot, store, last, carrier):
    snap = back_up(instance, snapshot())
    conn, path = instance.login(), f'admin/datastore/{store.path.name}/{last}'
    text = 'the first line\n' + 'n' * ((512 << 10) - 300)
    params = {**named(snap), 'notes': text}
    if last == 'group-notes':
        del params['backup-time']
    if carrier == 'json':
        conn.request('PUT', path, json=params).check()
    else:
        conn.request('PUT', path, body=pbs.encode_query(params).encode(),
                     headers={'Content-Type':
                              'application/x-www-form-urlencoded'}).check()
    del params['notes']
    assert conn.request('GET', path, params).check().data == text
    listing = 'snapshots' if last == 'notes' else 'groups'
    found, = (x for x in conn.get(path.replace(last, listing))
              if x['backup-id'] == snap[1])
    assert found['comment'].rstrip('\n') == 'the first line'


# ---- 27 and the rest of 4.6

def test_error_bodies_of_previous_have_eight_bytes(instance, snapshot):
    base = back_up(instance, snapshot())
    with instance.backup(snapshot(base)) as s:
        for name in ('x.fidx', 'x.didx', 'x.blob', 'x'):
            r = s.request('GET', 'previous', {'archive-name': name})
            assert r.status in (400, 404) and len(r.body) >= 8
