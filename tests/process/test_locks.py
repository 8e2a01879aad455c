"""Locks as clients meet them: a conflict is an error that names the holder,
and nothing is held a moment longer than needed."""

import threading

import pytest

from instance import wait_for
from pbs import PbsError
from store import time_text

INSTANCE = {'faults': True}
NAME = 'disk.img.fidx'
SNAPSHOTS, GROUPS = 'admin/datastore/store/snapshots', \
    'admin/datastore/store/groups'


def make(instance, snap, image, seed=1):
    with instance.backup(snap) as session:
        session.backup_images({NAME: image(1, seed=seed)})
    return snap


def forget(instance, snap):
    conn = instance.login()
    try:
        conn.delete(SNAPSHOTS, backup_type=snap[0], backup_id=snap[1],
                    backup_time=snap[2])
    finally:
        conn.close()


def forget_group(instance, snap):
    conn = instance.login()
    try:
        conn.delete(GROUPS, backup_type=snap[0], backup_id=snap[1])
    finally:
        conn.close()


def key(snap, time=True):
    name = f'store/{snap[0]}/{snap[1]}'
    return f'{name}/{time_text(snap[2])}' if time else name


def refused(what, *args):
    with pytest.raises(PbsError) as e:
        what(*args)
    assert e.value.status == 400
    return e.value.text


def test_base_is_locked_while_the_backup_runs(instance, snapshot, image):
    first = make(instance, snapshot(), image)
    second = snapshot(first)
    with instance.backup(second) as session:
        assert session.previous_time() == first[2]
        info = instance.session_of(second)
        locks = instance.locks(second)
        assert locks[key(first)] == 'shared'
        assert locks[key(second, time=False)] == 'exclusive'
        text = refused(forget, instance, first)
        assert 'unable to acquire lock on snapshot directory' in text
        assert info['id'] in text and 'backup by user@pbs' in text
        assert info['id'] in refused(forget_group, instance, first)
        assert instance.store().snapshot_path(first).exists()
        session.backup_images({NAME: image(1)}, incremental=False)
        # Free as soon as finish was answered.
        assert not instance.locks(second)
        forget(instance, first)
    assert not instance.store().snapshot_path(first).exists()


def test_a_group_takes_one_backup_at_a_time(instance, snapshot, image):
    first = snapshot()
    with instance.backup(first):
        info = instance.session_of(first)
        text = refused(instance.backup, snapshot(first))
        assert 'another backup is already running' in text
        assert info['id'] in text
        # Other groups are free.
        make(instance, snapshot(), image)
    assert wait_for(lambda: not instance.locks(first))
    make(instance, snapshot(first), image)


def test_a_reader_shares_its_snapshot(instance, snapshot, image):
    first = make(instance, snapshot(), image)
    with instance.reader(first) as one, instance.reader(first) as two:
        assert instance.locks(first) == {key(first): 'shared'}
        text = refused(forget, instance, first)
        assert 'reader by user@pbs' in text
        # A backup may use it as its base meanwhile.
        second = make(instance, snapshot(first), image)
        for reader in one, two:
            assert reader.image(NAME) == image(1, seed=1)
    assert wait_for(lambda: not instance.locks(first))
    forget(instance, first)
    with instance.reader(second) as reader:
        assert reader.image(NAME) == image(1, seed=1)


def test_a_call_in_work_has_its_snapshot_alone(instance, snapshot, image,
                                               faults):
    """Neither a reader nor a backup that is based on it comes in between, and
    a verification leaves it out (wire-protocol 4.1, 5.1, Appendix B)."""
    first = make(instance, snapshot(), image)
    conn = instance.login()
    protect = threading.Thread(target=conn.put, args=(
        'admin/datastore/store/protected',), kwargs={
            'backup_type': first[0], 'backup_id': first[1],
            'backup_time': first[2], 'protected': True})
    faults.hold_fsync = 1
    protect.start()
    assert wait_for(lambda: faults.fsync_held)
    locked = 'unable to acquire lock on snapshot directory ' \
        f'"{first[0]}/{first[1]}/{time_text(first[2])}" - '
    assert refused(instance.backup, snapshot(first)).startswith(
        locked + 'base snapshot is already locked by another operation')
    assert refused(instance.reader, first).startswith(
        locked + 'locked by another operation')
    conn = instance.login()
    upid = conn.post('admin/datastore/store/verify', {
        'backup-type': first[0], 'backup-id': first[1],
        'backup-time': first[2]})
    assert wait_for(lambda: conn.get(
        f'nodes/localhost/tasks/{upid}/status')['status'] == 'stopped')
    assert any('SKIPPED: verify store:' in line and
               locked + 'locked by another operation' in line
               for line in instance.task_log(upid))
    faults.clear()
    protect.join()
    with instance.backup(snapshot(first)), instance.reader(first):
        pass


def test_a_snapshot_in_work_is_no_snapshot(instance, snapshot, image):
    new = snapshot()
    with instance.backup(new):
        with pytest.raises(PbsError):
            instance.reader(new)
        conn = instance.login()
        assert new[1] not in [s['backup-id'] for s in conn.get(SNAPSHOTS)]
        conn.close()


@pytest.mark.parametrize('end', ['close', 'reset', 'stop'])
def test_all_is_free_after_an_end_without_finish(instance, snapshot, image,
                                                 end):
    first = make(instance, snapshot(), image)
    second = snapshot(first)
    session = instance.backup(second)
    session.previous(NAME)
    info = instance.session_of(second)
    if end == 'close':
        session.close()
    elif end == 'reset':
        session.h2.close_connection()
        session.flush()
    else:
        instance.admin('session', 'stop', info['id'])
    assert wait_for(lambda: not instance.locks(second))
    folder = instance.store().path / '.holdfast/sessions' / info['id']
    assert wait_for(lambda: not folder.exists())
    session.close()
    assert wait_for(lambda: not instance.session_of(second))
    forget(instance, first)
    assert 'TASK ERROR' in instance.task_log(info['upid'])[-1]
