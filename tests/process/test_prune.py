"""Pruning of many groups: one lock at a time, what is in use stays, and what
goes leaves nothing behind."""

import os
import shutil

import pytest

import pbs
from instance import wait_for
from store import time_text

INSTANCE = {'faults': True, 'store_options': {'recent-verify': '3600'}}
NAME = 'disk.img.fidx'
# Long names make long records: so many do not fit into the lock database.
MANY_NS = '/'.join(c * 32 for c in 'abcdefg')
FEW, MANY, START = 400, 6600, 1600000000


def call(inst, path, **params):
    return inst.login().request(
        'POST', f'admin/datastore/{inst.store_name}/{path}',
        json=pbs.dashed(params)).check().data


def prune(inst, group, **params):
    return call(inst, 'prune', backup_type=group[0], backup_id=group[1],
                **params)


def prune_all(inst, **params):
    """(status, lines of the log) of the task."""
    return ended(inst, call(inst, 'prune-datastore', **params))


def ended(inst, upid):
    task = wait_for(lambda: next(
        (t for t in inst.admin_json('task', 'list', '--limit', '1000')
         if t['upid'] == upid and 'status' in t), None), 300)
    assert task, inst.task_log(upid)
    return task['status'], [line.split(': ', 1)[1]
                            for line in inst.task_log(upid)]


def back_up(inst, snap, ns=''):
    with inst.backup(snap, **({'ns': ns} if ns else {})) as session:
        session.backup_images({NAME: os.urandom(5000)})


def make_namespace(inst, ns):
    parent, _, name = ns.rpartition('/')
    inst.login().post(f'admin/datastore/{inst.store_name}/namespace',
                      {'parent': parent, 'name': name})


def name_of(snap):
    return f'{snap[0]}/{snap[1]}/{time_text(snap[2])}'


def give(store, path):
    """All of it to whom the datastore belongs to."""
    owner = store.path.stat()
    for p in path, *path.rglob('*'):
        os.chown(p, owner.st_uid, owner.st_gid)


@pytest.fixture(scope='module')
def many(instance):
    """Groups with many snapshots each, which have nothing but a manifest.
    All but the first cannot be changed, which is quicker than to remove them.
    """
    store, parts = instance.store(), MANY_NS.split('/')
    owner = store.path.stat()
    for depth in range(1, len(parts) + 1):
        make_namespace(instance, '/'.join(parts[:depth]))
    paths = []
    for n in range(4):
        group = store.snapshot_path(('host', f'{n}' + 'x' * 120, 0),
                                    MANY_NS).parent
        group.mkdir(parents=True)
        (group / 'owner').write_text('root@pam\n')
        for p in group.parent, group, group / 'owner':
            os.chown(p, owner.st_uid, owner.st_gid)
        for when in range(START, START + (MANY if paths else FEW)):
            path = f'{group}/{time_text(when)}'
            os.mkdir(path)
            os.chown(path, owner.st_uid, owner.st_gid)
            open(f'{path}/index.json.blob', 'xb').close()
        group.chmod(0o555 if paths else 0o755)
        paths.append(group)
    yield paths
    for group in paths:
        group.chmod(0o755)
    shutil.rmtree(store.path / 'ns' / parts[0])


def test_a_group_is_answered_in_whole(instance, many):
    """Also if there is nothing to do for long."""
    group = ('host', many[0].name)
    params = {'ns': MANY_NS, 'keep_last': FEW - 1}
    dry = prune(instance, group, dry_run=True, **params)
    assert [p['backup-time'] for p in dry] == \
        [START + n for n in range(FEW)]
    assert [p['keep'] for p in dry] == [False] + [True] * (FEW - 1)
    assert len(os.listdir(many[0])) == FEW + 1
    done = prune(instance, group, **params)
    assert done == [{k: v for k, v in p.items() if k != 'ns'} for p in dry]
    assert len(os.listdir(many[0])) == FEW


def test_more_than_the_lock_database_holds(instance, snapshot, many):
    """And nobody is disturbed meanwhile."""
    upid = call(instance, 'prune-datastore', ns=MANY_NS, keep_last=1)
    finished = 0
    while finished < 3 or instance.admin_json('task', 'list', '--running'):
        back_up(instance, snapshot())
        finished += 1
    status, lines = ended(instance, upid)
    failed = [line for line in lines if 'failed to remove' in line]
    assert all('Permission denied' in line for line in failed), \
        [line for line in failed if 'Permission' not in line][:3]
    assert len(failed) == 3 * (MANY - 1)
    assert status == f'WARNINGS: {len(failed)}'
    assert sorted(os.listdir(many[0])) == [time_text(START + FEW - 1), 'owner']
    assert not instance.admin_json('lock', 'list')


def test_what_is_in_use_is_left_out(instance, snapshot, store):
    """One in the middle of many; the rest goes."""
    make_namespace(instance, 'used')
    groups = []
    for _ in range(5):
        groups.append([snapshot()])
        while len(groups[-1]) < 3:
            groups[-1].append(snapshot(groups[-1][-1]))
        for snap in groups[-1]:
            back_up(instance, snap, 'used')
    used, newest = groups[2][1], {g[2] for g in groups}

    def left():
        return {s for g in groups for s in g
                if store.snapshot_path(s, 'used').exists()}
    reader = instance.reader(used, ns='used')
    status, lines = prune_all(instance, ns='used', keep_last=1)
    assert status == 'WARNINGS: 1'
    at = lines.index(f'remove {name_of(used)}')
    assert lines[at + 1].startswith(
        f'WARN: failed to remove "{name_of(used)}": unable to acquire lock on '
        f'snapshot directory "{name_of(used)}" - possibly running or in use')
    assert left() == newest | {used}
    reader.close()
    assert wait_for(lambda: not instance.locks(used))
    assert prune_all(instance, ns='used', keep_last=1)[0] == 'OK'
    assert left() == newest


def test_no_empty_group_stays(instance, faults, snapshot, store):
    """What is kept is forgotten while the rest is removed."""
    first = snapshot()
    kept = snapshot(first)
    for snap in first, kept:
        back_up(instance, snap)
    faults.hold_rename = 1
    upid = call(instance, 'prune-datastore', keep_last=1, max_depth=0)
    assert wait_for(lambda: faults.rename_held)
    forget(instance, kept, '')
    assert store.snapshot_path(first).exists()
    faults.clear()
    assert ended(instance, upid)[0] == 'OK'
    assert not store.snapshot_path(first).parent.exists()
    assert wait_for(lambda: not instance.admin_json('lock', 'list'))


def test_stopped(instance, faults, snapshot, store):
    """Between two snapshots, or groups: what is not removed yet stays, whole
    and free, and the next one goes on."""
    make_namespace(instance, 'stopped')
    groups = [[snapshot()] for _ in range(3)]
    for g in groups:
        while len(g) < 3:
            g.append(snapshot(g[-1]))
        for snap in g:
            back_up(instance, snap, 'stopped')

    def left():
        return [[s for s in g if store.snapshot_path(s, 'stopped').exists()]
                for g in groups]
    faults.hold_rename = 1
    upid = call(instance, 'prune-datastore', ns='stopped', keep_last=1)
    assert wait_for(lambda: faults.rename_held)
    instance.admin('task', 'stop', upid)
    faults.clear()
    status, lines = ended(instance, upid)
    assert status == 'task aborted' and lines[-1] == 'TASK ERROR: task aborted'
    now = left()
    assert sum(map(len, now)) < 9, 'one was on its way'
    assert [g for g in groups if g in now], 'not all were'
    assert all(g[-1] in n for g, n in zip(groups, now))
    assert wait_for(lambda: not instance.admin_json('lock', 'list'))
    assert prune_all(instance, ns='stopped', keep_last=1)[0] == 'OK'
    assert left() == [g[2:] for g in groups]


def test_a_backup_on_its_way_keeps_its_group(instance, snapshot, store):
    first = snapshot()
    second = snapshot(first)
    third = snapshot(second)
    for snap in first, second:
        back_up(instance, snap)
    with instance.backup(third) as session:
        assert prune_all(instance, keep_last=1, max_depth=0)[0] == 'OK'
        session.backup_images({NAME: os.urandom(5000)})
    assert [store.snapshot_path(s).exists()
            for s in (first, second, third)] == [False, True, True]


# ---- what is known of a snapshot goes with it

def forget(inst, snap, ns):
    inst.login().delete(f'admin/datastore/{inst.store_name}/snapshots', ns=ns,
                        backup_type=snap[0], backup_id=snap[1],
                        backup_time=snap[2])


def forget_group(inst, snap, ns):
    inst.login().delete(f'admin/datastore/{inst.store_name}/groups', ns=ns,
                        backup_type=snap[0], backup_id=snap[1])


def forget_namespace(inst, snap, ns):
    inst.login().delete(f'admin/datastore/{inst.store_name}/namespace', ns=ns,
                        delete_groups=True)


def prune_group(inst, snap, ns):
    later = (*snap[:2], snap[2] + 1)
    back_up(inst, later, ns)
    prune(inst, snap, ns=ns, keep_last=1)
    forget(inst, later, ns)


def prune_namespace(inst, snap, ns):
    later = (*snap[:2], snap[2] + 1)
    back_up(inst, later, ns)
    assert prune_all(inst, ns=ns, keep_last=1)[0] == 'OK'
    forget(inst, later, ns)


def is_checked(inst, snap, ns):
    """Whether a backup on top of it has its chunks checked."""
    later = (*snap[:2], snap[2] + 1000)
    with inst.backup(later, ns=ns) as session:
        session.previous(NAME)
        state = inst.session_of(later)['check']['state']
    assert wait_for(lambda: not inst.session_of(later))
    return state != 'not-needed'


@pytest.mark.parametrize('remove', [
    forget, forget_group, forget_namespace, prune_group, prune_namespace])
def test_verifications_are_forgotten(instance, snapshot, store, tmp_path,
                                     remove):
    snap, ns = snapshot(), remove.__name__
    make_namespace(instance, ns)
    back_up(instance, snap, ns)
    assert is_checked(instance, snap, ns)
    upid = instance.admin('verify', instance.store_name, '--ns', ns).strip()
    assert ended(instance, upid)[0] == 'OK'
    assert not is_checked(instance, snap, ns)
    # Somebody puts it back: it may be another one by now.
    group = store.snapshot_path(snap, ns).parent
    shutil.copytree(group, tmp_path / 'group')
    remove(instance, snap, ns)
    assert not group.exists()
    shutil.copytree(tmp_path / 'group', group)
    give(store, group)
    assert is_checked(instance, snap, ns)
