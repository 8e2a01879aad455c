"""Tasks (wire-protocol 7): the list's filters and pages, status, log, stop,
who may see them; prune as a task."""

import datetime
import json
import re
import time

import pytest

import pbs
from instance import wait_for
from pbs import PbsError

TASKS = 'nodes/localhost/tasks'
LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d: ')


def back_up(instance, snapshot, conn=None, finish=True):
    with instance.backup(snapshot, conn=conn) as session:
        session.backup_images({'a.img.fidx': b'x' * 100}, finish=finish)


def listed(conn, **filters):
    """[(type, id)] and the whole answer."""
    answer = conn.request('GET', TASKS, pbs.dashed(filters)).check()
    return answer.data


def total(conn, **filters):
    answer = conn.request('GET', TASKS, pbs.dashed(filters)).check()
    return json.loads(answer.body)['total']


def upid_of(conn, snapshot, **filters):
    """The task of a snapshot's session."""
    name = f'{snapshot[0]}/{snapshot[1]}'
    return next((t['upid'] for t in listed(conn, limit=0, **filters)
                 if (t['worker_id'] or '').endswith(name)), None)


def ended(conn, upid):
    def status():
        s = conn.get(f'{TASKS}/{upid}/status')
        return s if s['status'] == 'stopped' else None
    found = wait_for(status, 60)
    assert found, f'{upid} still runs'
    return found


@pytest.fixture(scope='module')
def some(instance):
    """A good and a failed backup of the first user, a good one of the
    token."""
    good = ('host', 'good', 1600000000)
    failed = ('host', 'failed', 1600000000)
    token = ('host', 'token', 1600000000)
    back_up(instance, good)
    back_up(instance, failed, finish=False)
    back_up(instance, token, conn=instance.token())
    conn = instance.login()
    for snapshot in good, failed, token:
        ended(conn, upid_of(conn, snapshot))
    return conn


def ids(tasks):
    return {t['worker_id'].partition('/')[2] for t in tasks}


def test_elements(some):
    for t in listed(some):
        assert t['node'] == 'localhost'
        assert t['upid'].startswith('UPID:') and t['upid'].endswith(':')
        assert t['worker_type'] == 'backup'
        assert t['endtime'] >= t['starttime']
        assert isinstance(t['pid'], int) and isinstance(t['pstart'], int)
    times = [t['starttime'] for t in listed(some)]
    assert times == sorted(times, reverse=True)


def test_filters(some):
    every = ids(listed(some))
    assert every == {'good', 'failed', 'token'}
    assert ids(listed(some, errors=True)) == {'failed'}
    assert ids(listed(some, errors=False)) == every
    assert listed(some, running=True) == []
    assert ids(listed(some, userfilter='user@pbs')) == every
    assert ids(listed(some, userfilter='!backup')) == {'token'}
    assert listed(some, userfilter='nobody') == []
    assert ids(listed(some, typefilter='back')) == every
    assert listed(some, typefilter='reader') == []
    assert ids(listed(some, store='store')) == every
    assert listed(some, store='stor') == []
    assert listed(some, store='other') == []
    now = int(time.time())
    assert ids(listed(some, since=now - 3600)) == every
    assert listed(some, since=now + 3600) == []
    assert ids(listed(some, until=now + 3600)) == every
    assert listed(some, until=now - 3600) == []
    assert ids(listed(some, since=0)) == every
    assert listed(some, until=0) == listed(some, until=-1) == []
    assert listed(some, userfilter='\u20ac' * 256) == []
    assert listed(some, typefilter='\u20ac' * 64) == []
    one = listed(some)[-1]
    assert one in listed(some, since=one['starttime'],
                         until=one['starttime'])


def test_status_filter(some):
    def with_status(*words):
        query = '&'.join(f'statusfilter={w}' for w in words)
        return ids(some.request('GET', f'{TASKS}?{query}').check().data)
    assert with_status('ok') == {'good', 'token'}
    assert with_status('error') == {'failed'}
    assert with_status('ok', 'error') == {'good', 'token', 'failed'}
    assert with_status('warning', 'unknown') == set()
    answer = some.request('GET', TASKS, headers={
        'Content-Type': 'application/json'},
        body=b'{"statusfilter": ["error"], "limit": 1}').check()
    assert ids(answer.data) == {'failed'}


def test_pages(some):
    every = [t['upid'] for t in listed(some, limit=0)]
    assert total(some, limit=0) == 3
    pages = [listed(some, start=i, limit=1)[0]['upid'] for i in range(3)]
    assert pages == every
    assert total(some, start=1, limit=1) == 3
    assert total(some, errors=True) == 1
    assert listed(some, start=3) == []
    assert [t['upid'] for t in listed(some, start=1)] == every[1:]
    for bad in {'start': -1}, {'limit': -1}, {'since': 'x'}:
        assert some.request('GET', TASKS, bad).status == 400


def test_running(instance, some, snapshot):
    snap = snapshot()
    with instance.backup(snap):
        upid = upid_of(some, snap, running=True)
        task = [t for t in listed(some, running=True)
                if t['upid'] == upid][0]
        assert 'endtime' not in task and 'status' not in task
        status = some.get(f'{TASKS}/{upid}/status')
        assert status['status'] == 'running'
        assert 'exitstatus' not in status
        log = some.request('GET', f'{TASKS}/{upid}/log',
                           {'test-status': 1}).check().body
        assert b'"active":true' in log.replace(b' ', b'')
    assert ended(some, upid)['exitstatus'] not in ('OK', '')
    assert upid not in [t['upid'] for t in listed(some, running=True)]


def test_status(some):
    token = upid_of(some, ('host', 'token', 0))
    status = some.get(f'{TASKS}/{token}/status')
    assert status['user'] == 'user@pbs' and status['tokenid'] == 'backup'
    assert status['type'] == 'backup' and status['id'] == 'store:host/token'
    assert status['exitstatus'] == 'OK'
    good = some.get(f'{TASKS}/{upid_of(some, ("host", "good", 0))}/status')
    assert 'tokenid' not in good


# ---- logs

def log(conn, upid, **params):
    answer = conn.request('GET', f'{TASKS}/{upid}/log', pbs.dashed(params))
    return json.loads(answer.check().body)


def test_log_pages(some):
    upid = upid_of(some, ('host', 'good', 0))
    whole = log(some, upid, limit=0)
    lines = whole['data']
    assert whole['total'] == len(lines) > 5
    assert whole['success'] == 1 and 'active' not in whole
    assert [line['n'] for line in lines] == list(range(1, len(lines) + 1))
    assert all(LINE.match(line['t']) for line in lines)
    assert lines[-1]['t'][27:] == 'TASK OK'
    assert log(some, upid, start=0, limit=2)['data'] == lines[:2]
    assert log(some, upid, start=1, limit=2)['data'] == lines[:2]
    assert log(some, upid, start=3, limit=2)['data'] == lines[2:4]
    beyond = log(some, upid, start=len(lines) + 1, limit=500,
                 test_status=True)
    assert beyond['data'] == [] and beyond['active'] is False
    assert beyond['total'] == len(lines)


def test_log_download(some):
    upid = upid_of(some, ('host', 'good', 0))
    answer = some.request('GET', f'{TASKS}/{upid}/log',
                          {'download': 1}).check()
    assert answer.headers['content-type'].startswith('text/plain')
    lines = [line['t'] for line in log(some, upid, limit=0)['data']]
    assert answer.body.decode() == '\n'.join(lines) + '\n'


def test_encoded_upid(some):
    """Clients encode everything but letters and digits."""
    upid = upid_of(some, ('host', 'good', 0))
    path = ''.join(c if c.isalnum() else f'%{ord(c):02X}' for c in upid)
    assert some.get(f'{TASKS}/{path}/status')['upid'] == upid


def test_unknown_task(some):
    upid = upid_of(some, ('host', 'good', 0))
    other = upid.replace(upid.split(':')[4], '0000FFFF')
    for what in 'status', 'log':
        answer = some.request('GET', f'{TASKS}/{other}/{what}')
        assert answer.status == 400
    assert some.request('DELETE', f'{TASKS}/{other}').status == 200
    assert some.request('GET', f'{TASKS}/nonsense/status').status == 400


# ---- stop

def test_stop_a_backup(instance, some, snapshot):
    """Connection cut, snapshot removed, the reason in the log."""
    snap = snapshot()
    session = instance.backup(snap)
    upid = upid_of(some, snap, running=True)
    assert some.delete(f'{TASKS}/{upid}') is None
    assert ended(some, upid)['exitstatus'] == 'task aborted'
    with pytest.raises((pbs.ConnectionLost, PbsError, OSError)):
        session.finish()
    session.close()
    assert not instance.store().snapshot_path(snap).exists()
    # Of a finished one: nothing to do.
    assert some.delete(f'{TASKS}/{upid}') is None


def test_who_may(instance, some, snapshot):
    upid = upid_of(some, ('host', 'good', 0))
    other = instance.login2()
    assert listed(other) == []
    for what in 'status', 'log':
        answer = other.request('GET', f'{TASKS}/{upid}/{what}')
        assert (answer.status, answer.text) == (400,
                                                'task access not allowed')
    answer = other.request('DELETE', f'{TASKS}/{upid}')
    assert answer.status == 400
    assert answer.text == \
        "missing permissions 'Sys.Modify' on '/system/tasks'"
    token = instance.token()
    assert ids(listed(token)) == {'token'}
    assert token.request('GET', f'{TASKS}/{upid}/status').status == 400
    # The user sees a token's task, but is not who may stop it.
    of_token = upid_of(some, ('host', 'token', 0))
    assert some.request('DELETE', f'{TASKS}/{of_token}').status == 400


def test_auditor_sees_all(instance, some):
    other = instance.login2()
    instance.admin('acl', 'update', '/system/tasks', 'Audit', '--auth-id',
                   'user2@pbs')
    try:
        assert {'good', 'failed', 'token'} <= ids(listed(other))
        upid = upid_of(some, ('host', 'good', 0))
        assert other.get(f'{TASKS}/{upid}/status')['exitstatus'] == 'OK'
        assert other.request('DELETE', f'{TASKS}/{upid}').status == 400
    finally:
        instance.admin('acl', 'remove', '/system/tasks', 'Audit',
                       '--auth-id', 'user2@pbs')


# ---- prune as a task

def prune(conn, instance, group, **params):
    return conn.request(
        'POST', f'admin/datastore/{instance.store_name}/prune', json={
            'backup-type': group[0], 'backup-id': group[1],
            **pbs.dashed(params)})


def times(conn, instance, group):
    return sorted(s['backup-time'] for s in conn.get(
        f'admin/datastore/{instance.store_name}/snapshots',
        backup_type=group[0], backup_id=group[1]))


@pytest.fixture
def group(instance, snapshot):
    """Three snapshots, the oldest first."""
    snaps = [snapshot()]
    while len(snaps) < 3:
        snaps.append(snapshot(snaps[-1]))
    for snap in snaps:
        back_up(instance, snap)
    return snaps


def test_prune_as_a_task(instance, some, group):
    upid = prune(some, instance, group[0], keep_last=1,
                 use_task=True).check().data
    assert upid.startswith('UPID:')
    assert ended(some, upid)['exitstatus'] == 'OK'
    assert times(some, instance, group[0]) == [group[2][2]]
    text = [line['t'] for line in log(some, upid, limit=0)['data']]
    assert sum(line.endswith(' remove') for line in text) == 2
    assert sum(line.endswith(' keep') for line in text) == 1


def test_prune_without_a_task_is_recorded(instance, some, group):
    data = prune(some, instance, group[0], keep_last=2).check().data
    assert [p['keep'] for p in data] == [False, True, True]
    newest = listed(some, typefilter='prune', limit=1)[0]
    assert newest['worker_id'] == f'store:host/{group[0][1]}'
    assert newest['status'] == 'OK'


def test_dry_prune_is_no_task(instance, some, group):
    before = total(some, typefilter='prune', limit=0)
    data = prune(some, instance, group[0], keep_last=1, dry_run=True,
                 use_task=True).check().data
    assert [p['keep'] for p in data] == [False, False, True]
    assert len(times(some, instance, group[0])) == 3
    assert total(some, typefilter='prune', limit=0) == before


def test_prune_names_the_namespace_of_a_dry_run(instance, some):
    """And of nothing else (wire-protocol 3.4)."""
    base = f'admin/datastore/{instance.store_name}'
    some.post(f'{base}/namespace', {'parent': '', 'name': 'pruned'})
    for ns in (None, 'pruned'):
        with instance.backup(('host', 'named', 1600000000), ns=ns) as s:
            s.backup_images({'a.img.fidx': b'x' * 100})
    for ns in ('', 'pruned'):
        for dry in (True, False):
            found, = prune(some, instance, ('host', 'named'), ns=ns,
                           keep_last=1, dry_run=dry).check().data
            assert found.get('ns') == ('pruned' if ns and dry else None)
            assert found['keep'] is True and found['protected'] is False


# Local times: the hour that comes twice, and the day that lacks one.
CLOCK_CHANGES = {
    'CET-1CEST,M3.5.0,M10.5.0/3': {
        'keep_hourly': ('2024-10-26T23:30:00Z', '2024-10-27T00:30:00Z',
                        '2024-10-27T01:30:00Z', '2024-10-27T02:30:00Z'),
        'keep_daily': ('2024-03-30T22:59:59Z', '2024-03-30T23:00:00Z',
                       '2024-03-31T21:59:59Z', '2024-03-31T22:00:00Z')},
    'EST5EDT,M3.2.0,M11.1.0': {
        'keep_hourly': ('2024-11-03T04:30:00Z', '2024-11-03T05:30:00Z',
                        '2024-11-03T06:30:00Z', '2024-11-03T07:30:00Z'),
        'keep_daily': ('2024-03-10T04:59:59Z', '2024-03-10T05:00:00Z',
                       '2024-03-11T03:59:59Z', '2024-03-11T04:00:00Z')},
}


@pytest.mark.parametrize('zone', CLOCK_CHANGES)
def test_prune_in_the_servers_time_zone(fresh_instance, zone):
    inst = fresh_instance(environment={'TZ': zone})
    conn = inst.login()
    for rule, times_utc in CLOCK_CHANGES[zone].items():
        for text in times_utc:
            when = datetime.datetime.fromisoformat(text).timestamp()
            with inst.backup(('host', rule, int(when))) as s:
                s.blob('index.json.blob', pbs.Manifest(s.snapshot).blob())
                s.finish()
        kept = prune(conn, inst, ('host', rule), **{rule: 9, 'dry_run': True})
        assert [p['keep'] for p in kept.check().data] == \
            [True, False, True, True], rule


def test_prune_task_leaves_what_is_in_use(instance, some, group):
    reader = instance.reader(group[0])
    try:
        upid = prune(some, instance, group[0], keep_last=1,
                     use_task=True).check().data
        assert ended(some, upid)['exitstatus'] == 'WARNINGS: 1'
        assert times(some, instance, group[0]) == [group[0][2],
                                                   group[2][2]]
    finally:
        reader.close()


def test_prune_needs_a_group(instance, some):
    answer = prune(some, instance, ('host', 'nobody'), keep_last=1,
                   use_task=True)
    assert answer.status == 400
    assert 'No such file or directory' in answer.text


def test_job_is_seen_by_who_may_start_it(instance, some):
    upid = some.post(f'admin/datastore/{instance.store_name}/gc')
    ended(some, upid)
    other = instance.login2()
    answer = other.request('GET', f'{TASKS}/{upid}/status')
    assert (answer.status, answer.text) == (400, 'task access not allowed')
    path = f'/datastore/{instance.store_name}'
    instance.admin('acl', 'update', path, 'DatastoreAdmin', '--auth-id',
                   'user2@pbs')
    try:
        assert other.get(f'{TASKS}/{upid}/status')['exitstatus'] == 'OK'
        backup = upid_of(some, ('host', 'good', 0))
        assert other.request('GET', f'{TASKS}/{backup}/status').status == 400
    finally:
        instance.admin('acl', 'remove', path, 'DatastoreAdmin', '--auth-id',
                       'user2@pbs')
