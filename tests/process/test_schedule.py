"""Jobs by the calendar: they run, once each, also those that were missed, and
never two of a kind at a time."""

import json
import os
import signal
import time

import pytest

from deaths import jobs, send, stand_still
from instance import InstanceError, wait_for

NAME = 'root.pxar.didx'
INSTANCE = {'faults': True}
ALWAYS = '*:*:*'
YEAR = 366 * 86400


@pytest.fixture
def schedule(instance):
    """schedule(text): these lines in the datastore's configuration."""
    path = instance.etc / 'datastores.d' / f'{instance.store_name}.conf'
    written = path.read_text()

    def set_lines(text):
        path.write_text(written.rstrip().rstrip('}') + text + '}\n')
        instance.kill('validator', signal.SIGHUP)
    yield set_lines
    path.write_text(written)
    if instance.is_running('validator'):
        instance.kill('validator', signal.SIGHUP)
        assert wait_for(lambda: not listed(instance) and
                        not running(instance))


def listed(inst):
    """{(kind, name): entry}"""
    return {(s['kind'], s['name']): s
            for s in inst.admin_json('schedule', 'list')}


def entry(inst, kind, name=''):
    return listed(inst).get((kind, name), {})


def running(inst):
    return inst.admin_json('task', 'list', '--running')


def ended(inst, upid):
    task = wait_for(lambda: next(
        (t for t in inst.admin_json('task', 'list', '--limit', '1000')
         if t['upid'] == upid and 'status' in t), None))
    return task['status']


def ran(inst, kind, name=''):
    """The entry, once it has run."""
    found = wait_for(lambda: (e := entry(inst, kind, name)).get('last') and e)
    assert found, listed(inst)
    return found


def back_up(inst, snap, ns=''):
    with inst.backup(snap, **({'ns': ns} if ns else {})) as session:
        session.backup_dynamic(NAME, [os.urandom(3000), os.urandom(2000)])


def test_what_is_shown(instance, schedule):
    schedule('gc-schedule = "monthly"\n'
             'verify-job "weekly" { schedule = "sat 02:30" }\n'
             'prune-job "old" { schedule = "1970-01-01" }\n')
    assert wait_for(lambda: len(listed(instance)) == 3)
    now = time.time()
    gc = entry(instance, 'gc')
    assert gc['store'] == instance.store_name and gc['schedule'] == 'monthly'
    assert not gc['running'] and 'last' not in gc
    assert now < gc['next'] < now + 32 * 86400
    assert time.localtime(gc['next'])[2:6] == (1, 0, 0, 0)
    weekly = time.localtime(entry(instance, 'verify', 'weekly')['next'])
    assert weekly.tm_wday == 5 and weekly[3:6] == (2, 30, 0)
    assert 'next' not in entry(instance, 'prune', 'old')
    text = instance.admin('schedule', 'list')
    assert 'sat 02:30' in text and 'weekly' in text


def test_a_bad_event_is_refused(instance, schedule):
    schedule('gc-schedule = "daily"\n')
    assert wait_for(lambda: entry(instance, 'gc'))
    schedule('gc-schedule = "mon..fri 24:30"\n')
    assert wait_for(lambda: "'24' is not valid as hour" in
                    instance.log_tail('validator', 100000))
    assert entry(instance, 'gc')['schedule'] == 'daily'


def test_prune_jobs(instance, schedule, snapshot, store):
    conn = instance.login()
    place = f'admin/datastore/{instance.store_name}'
    for parent, name in (('', 'a'), ('a', 'b')):
        conn.post(f'{place}/namespace', {'parent': parent, 'name': name})
    snaps = {}
    for ns in '', 'a', 'a/b':
        first = snapshot()
        snaps[ns] = [first, snapshot(first), snapshot(first)]
        for snap in snaps[ns]:
            back_up(instance, snap, ns)
    kept = snaps['a'][0]
    conn.put(f'{place}/protected', ns='a', backup_type=kept[0],
             backup_id=kept[1], backup_time=kept[2], protected=True)
    schedule(f'prune-job "one" {{ schedule = "{ALWAYS}"\n ns = "a"\n'
             ' max-depth = 0\n keep-last = 1 }\n')
    upid = ran(instance, 'prune', 'one')['upid']
    assert ended(instance, upid) == 'OK'
    assert ':prunejob:' in upid and upid.endswith(':root@pam:')
    audit = (instance.dir / 'state/validator/audit.log').read_text()
    assert any(line['call'] == 'PRUNE_STORE' and line['outcome'] == 'ok' and
               line['auth-id'] == 'root@pam'
               for line in map(json.loads, audit.splitlines())
               if line['event'] == 'call')

    def left(ns):
        return [s for s in snaps[ns] if store.snapshot_path(s, ns).exists()]
    assert left('a') == [snaps['a'][0], snaps['a'][2]]
    assert left('') == snaps[''] and left('a/b') == snaps['a/b']
    # Depth, and several jobs.
    schedule(f'prune-job "one" {{ schedule = "{ALWAYS}"\n ns = "a"\n'
             ' keep-last = 2 }\n'
             f'prune-job "none" {{ schedule = "{ALWAYS}" }}\n')
    assert wait_for(lambda: left('a/b') == snaps['a/b'][1:])
    upid = ran(instance, 'prune', 'none')['upid']
    assert ended(instance, upid) == 'OK'
    assert left('') == snaps['']
    assert any('No prune selection' in line
               for line in instance.task_log(upid))


def test_collection_and_verification(instance, schedule, snapshot, store):
    snap = snapshot()
    back_up(instance, snap)
    schedule(f'gc-schedule = "{ALWAYS}"\n'
             f'verify-job "v" {{ schedule = "{ALWAYS}" }}\n')
    gc = ran(instance, 'gc')['upid']
    assert ended(instance, gc) == 'OK' and ':garbage_collection:' in gc
    assert ended(instance, ran(instance, 'verify', 'v')['upid']) == 'OK'
    assert wait_for(lambda: store.verify_state(snap))
    state = store.verify_state(snap)
    assert state['state'] == 'ok' and ':verificationjob:' in state['upid']
    # On and on, one after the other.
    first = entry(instance, 'gc')['last']
    assert wait_for(lambda: entry(instance, 'gc')['last'] > first)


def test_never_two_of_a_kind(instance, schedule, snapshot):
    snap = snapshot()
    back_up(instance, snap)
    for _ in range(100):
        upid = instance.admin('verify', instance.store_name).strip()
        pids = stand_still(jobs(instance))
        if pids:
            break
        assert ended(instance, upid)
    try:
        schedule(f'verify-job "alone" {{ schedule = "{ALWAYS}" }}\n'
                 f'gc-schedule = "{ALWAYS}"\n')
        assert wait_for(lambda: 'already running' in
                        entry(instance, 'verify', 'alone').get('error', ''))
        with pytest.raises(InstanceError, match='already running'):
            instance.admin('verify', instance.store_name)
        assert 'last' not in entry(instance, 'verify', 'alone')
        # Another kind does not mind.
        ran(instance, 'gc')
    finally:
        send(pids, signal.SIGCONT)
    assert ended(instance, upid)
    assert ended(instance, ran(instance, 'verify', 'alone')['upid']) == 'OK'
    assert wait_for(lambda: 'error' not in entry(instance, 'verify', 'alone'))


def test_never_two_prune_jobs(instance, faults, schedule, snapshot, store):
    first = snapshot()
    back_up(instance, first)
    back_up(instance, snapshot(first))
    faults.hold_opens(f'{first[0]}/{first[1]}')
    job = 'prune-job "{}" {{ schedule = "' + ALWAYS + '"\n keep-last = 1 }}\n'
    schedule(job.format('one') + job.format('two'))
    assert wait_for(lambda: faults.open_held)
    held = wait_for(lambda: [e for e in listed(instance).values()
                             if 'already running' in e.get('error', '')])
    assert [e['kind'] for e in held] == ['prune']
    assert len(running(instance)) == 1
    faults.clear()
    for name in 'one', 'two':
        assert ended(instance, ran(instance, 'prune', name)['upid']) == 'OK'
    assert wait_for(lambda: not store.snapshot_path(first).exists())


def set_last(inst, kind, age):
    """As if that job had run so long ago."""
    path = inst.dir / 'state' / 'validator' / 'schedule'
    lines = [line.split(' ') for line in path.read_text().splitlines()]
    for line in lines:
        if line[0] == kind:
            line[3] = line[4] = str(int(time.time()) - age)
    with open(path, 'w') as f:  # keeps its owner
        f.write(''.join(' '.join(line) + '\n' for line in lines))


def test_a_missed_run_is_made_up_once(instance, schedule):
    schedule('prune-job "y" { schedule = "yearly" }\n')
    assert wait_for(lambda: entry(instance, 'prune', 'y').get('next'))
    instance.end('validator')
    set_last(instance, 'prune', 3 * YEAR)
    instance.start_validator()
    found = ran(instance, 'prune', 'y')
    assert ended(instance, found['upid']) == 'OK'
    again = wait_for(lambda: (e := entry(instance, 'prune', 'y'))['next'] >
                     time.time() and e)
    assert again['last'] == found['last']
    # What ran in time is not run again by a restart.
    instance.restart_validator()
    later = entry(instance, 'prune', 'y')
    assert (later['last'], later['next']) == (again['last'], again['next'])


def set_hold(inst, path):
    inst.change_options({'debug-hold-job': path}, {})
    inst.restart_validator()
    assert not listed(inst)  # it serves: a signal does not end it


@pytest.mark.parametrize('how', ['end', 'kill'])
def test_a_run_that_is_cut_short_is_made_up(instance, schedule, how):
    """A yearly collection need not wait for another year."""
    hold, record = instance.dir / 'hold', \
        instance.dir / 'state/validator/schedule'
    step = hold.with_name('hold.list')
    step.touch()
    set_hold(instance, f'"{hold}"')
    schedule('gc-schedule = "yearly"\n')
    assert wait_for(lambda: entry(instance, 'gc').get('next'))
    instance.end('validator')
    set_last(instance, 'gc', 3 * YEAR)
    instance.start_validator()
    upid = ran(instance, 'gc')['upid']
    assert wait_for(lambda: f'{upid} open' in record.read_text())
    assert entry(instance, 'gc')['running']
    if how == 'end':
        instance.end('validator')
    else:
        instance.kill_validator()
    step.unlink()
    before = time.time()
    instance.start_validator()
    found = entry(instance, 'gc')
    assert not found['running'] and found['upid'] == upid
    assert before + 590 < found['next'] < time.time() + 610
    assert 'the server ended' in ended(instance, upid)
    set_hold(instance, '')


def test_maintenance_holds_a_run_back(instance, schedule):
    schedule('maintenance = read-only\nmaintenance-message = "moving"\n'
             f'prune-job "m" {{ schedule = "{ALWAYS}" }}\n')
    assert wait_for(lambda: 'moving' in
                    entry(instance, 'prune', 'm').get('error', ''))
    assert 'last' not in entry(instance, 'prune', 'm')
    schedule(f'prune-job "m" {{ schedule = "{ALWAYS}" }}\n')
    assert ended(instance, ran(instance, 'prune', 'm')['upid']) == 'OK'
