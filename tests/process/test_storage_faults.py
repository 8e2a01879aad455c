"""The n-th call that changes the store fails, for each n of a backup and of
everything else that changes it: what is told as done is done, what failed is
not, nothing else suffers, and the next attempt works.

With HOLDFAST_LONG=1 every error of a verification, else some.
"""

import os
import shutil

import pytest

import pbs
from conftest import TestInstance, make_folder, show_logs
from nthfault import ERRORS, Disk
from instance import wait_for
from pbs import PbsError, sha256
from powercut import crash, workload
from powercut.expected import ABSENT, look
from powercut.workload import (LONG_AGO, back_up, key_of, piece, task_status,
                               whole as whole_value)
from test_fault_matrix import NAME, Backup, new_pieces, whole
from vtools import later, lent, new_group, prepare_small_validator
from vworker import TYPES, Failed, Worker

LONG = bool(os.environ.get('HOLDFAST_LONG'))


@pytest.fixture(scope='module')
def faulty(request):
    folder = make_folder()
    inst = TestInstance(make_folder())
    failed = request.session.testsfailed
    try:
        inst.disk = Disk(folder, inst.stores)
        inst.environment = inst.disk.environment
        inst.start()
        yield inst
        if request.session.testsfailed > failed:
            show_logs(inst)
    finally:
        inst.remove()
        shutil.rmtree(folder, ignore_errors=True)


def attempt(inst, snap, pieces):
    """One backup; whether the client was told that it succeeded."""
    try:
        b = Backup(inst, snap, pieces)
    except PbsError:
        return False
    try:
        b.run()
        return True
    except (PbsError, pbs.ConnectionLost):
        return False
    finally:
        b.session.close()


def heal(inst):
    """The disk is whole again.  Whether the store takes no writes since a
    sync failed, which the operator then allows."""
    inst.disk.heal()
    poisoned = 'poison' in str(inst.admin_json('datastore', 'list')).lower()
    if poisoned:
        inst.admin('datastore', 'clear', inst.store_name)
    return poisoned


# ---- a backup

@pytest.mark.parametrize('name', ERRORS)
def test_nth_call_fails(faulty, name):
    old, when = new_pieces(), 1700000000
    group = f'faults-{name}'
    with faulty.backup(('host', group, when)) as session:
        session.backup_dynamic(NAME, old)
    for n in faulty.disk.calls():
        when += 1
        snap = 'host', group, when
        pieces = old[:2] + new_pieces()[:2]
        faulty.disk.fail_call(n, ERRORS[name])
        told = attempt(faulty, snap, pieces)
        poisoned = heal(faulty)
        there = faulty.store().snapshot_path(snap).exists()
        assert there or not told, f'call {n}: false success'
        assert told or not there or poisoned, f'call {n}: false failure'
        if there:
            assert whole(faulty, snap, pieces), f'call {n}'
        assert wait_for(lambda: not faulty.locks(snap)), f'call {n}'
        assert wait_for(
            lambda: not list(faulty.store().session_folders())), f'call {n}'
    assert n > 10, 'the calls are counted'
    assert attempt(faulty, ('host', group, when + 1),
                   old[:2] + new_pieces()[:2])


# ---- a change that is asked for

@pytest.fixture(scope='module')
def small(request):
    inst = prepare_small_validator(digests=workload.digests())
    inst.disk = Disk(inst.dir, inst.stores)
    inst.environment = inst.disk.environment
    inst.start_validator()
    with lent(inst, request):
        yield inst


def look_at(inst):
    return look(crash.Folder(), str(inst.stores / 'store'))


def call(inst, op, snap, **fields):
    """Whether it was told as done."""
    try:
        Worker(inst).call(op, type=TYPES[snap[0]], id=snap[1], time=snap[2],
                          **fields)
        return True
    except Failed:
        return False


CHANGES = {
    # what: (call, its fields, the value then), for one snapshot and a number
    'notes': lambda snap, n: (
        'SNAP_NOTES_SET', {'data': b'%d' % n},
        {f'notes {key_of(snap)}': f'{n}'}),
    'protected': lambda snap, n: (
        'PROTECTED_SET', {'n0': n % 2},
        {f'protected {key_of(snap)}': n % 2 == 1}),
    'group-notes': lambda snap, n: (
        'GROUP_NOTES_SET', {'data': b'%d' % n},
        {f'group-notes {snap[0]}/{snap[1]}': f'{n}'}),
    'snapshot': lambda snap, n: (
        'SNAP_DELETE', {}, {f'snapshot {key_of(snap)}': ABSENT}),
    'namespace': lambda snap, n: (
        'NS_CREATE', {'name': f'{snap[1]}n{n}'},
        {f'namespace {snap[1]}n{n}': True}),
}


@pytest.mark.parametrize('name', ERRORS)
@pytest.mark.parametrize('what', CHANGES)
def test_nth_call_of_a_change_fails(small, what, name):
    # A group goes with its last snapshot.
    first, numbers = new_group(), [0, 1, 2]
    back_up(small, first, numbers)
    snap = later(first)
    for n in small.disk.calls():
        if look_at(small).get(f'snapshot {key_of(snap)}', ABSENT) == ABSENT:
            back_up(small, snap, numbers)
        before = look_at(small)
        op, fields, values = CHANGES[what](snap, n)
        small.disk.fail_call(n, ERRORS[name])
        told = call(small, op, snap, **fields)
        poisoned = heal(small)
        after = look_at(small)
        done = {**before, **values}
        if after.get(f'snapshot {key_of(snap)}', ABSENT) == ABSENT:
            done = {k: v for k, v in done.items() if key_of(snap) not in k}
            after = {k: v for k, v in after.items() if key_of(snap) not in k}
        if told:
            assert after == done, f'call {n}: false success'
        elif after != before:
            # A folder that was made may be there.
            assert after == done and (poisoned or what == 'namespace'), \
                f'call {n}: false failure'
        assert call(small, op, snap, **fields) or what == 'snapshot'
        assert not small.admin_json('lock', 'list')
    assert n > 1, 'the calls are counted'


# ---- jobs

@pytest.mark.parametrize('name', ERRORS)
def test_nth_call_of_a_collection_fails(small, name):
    keep, numbers = new_group(), [3, 4]
    back_up(small, keep, numbers)
    for n in small.disk.calls():
        garbage = [small.store().chunk_path(sha256(piece(i)))
                   for i in (5, 6, 7)]
        other = new_group()
        back_up(small, other, [5, 6, 7])
        assert call(small, 'SNAP_DELETE', other)
        for path in garbage:
            os.utime(path, (LONG_AGO, LONG_AGO))
        before = look_at(small)
        small.disk.fail_call(n, ERRORS[name])
        status = task_status(
            small, small.admin_json('gc', 'start', 'store')['upid'])
        heal(small)
        assert look_at(small) == before
        if status == 'OK':
            assert not any(path.exists() for path in garbage)
        assert task_status(small, small.admin_json(
            'gc', 'start', 'store')['upid']) == 'OK'
        assert not any(path.exists() for path in garbage), f'call {n}'
    assert n > 1, 'the calls are counted'
    assert look_at(small)[f'snapshot {key_of(keep)}'] == whole_value(numbers)


# ---- the validator's own record of new snapshots

@pytest.fixture
def recorded(request):
    inst = prepare_small_validator(digests=workload.digests())
    conf = inst.etc / 'datastores.d/store.conf'
    conf.write_text(conf.read_text().replace('}', '\tverify-new = yes\n}'))
    inst.disk = Disk(inst.dir, inst.dir / 'state/validator/verified')
    inst.environment = inst.disk.environment
    inst.start_validator()
    with lent(inst, request):
        yield inst


def finished(w):
    try:
        w.finish()
        return True
    except Failed:
        return False


@pytest.mark.parametrize('name', ERRORS)
def test_nth_call_of_a_record_fails(recorded, name):
    """A backup is not lost for want of room; for any other reason it is
    refused, and finished when it is asked for again."""
    disk, refused = recorded.disk, 0
    for n in disk.calls():
        snap = new_group()
        w = Worker(recorded).open(snap)
        workload.prepare_backup(w, snap, [1, 2])
        disk.fail_call(n, ERRORS[name])
        told = finished(w)
        disk.heal()
        there = recorded.store().snapshot_path(snap).exists()
        assert told == there and (told or name != 'ENOSPC'), f'call {n}'
        if not told:
            refused += 1
            w.finish()
        w.close()
        state = wait_for(lambda: recorded.store().verify_state(snap))
        assert state and state['state'] == 'ok'
    assert n > 1 and (refused or name == 'ENOSPC')
    if name == 'ENOSPC':
        assert 'finish: cannot record a new snapshot' in \
            (recorded.log / 'validator.log').read_text()


def verify(inst, *snaps):
    """Both marks, and how the tasks ended."""
    ended = []
    for snap in snaps:
        upid = inst.admin('verify', 'store', '--snapshot',
                          key_of(snap)).strip()
        ended.append(task_status(inst, upid))
    seen = look_at(inst)
    return [seen[f'verified {key_of(s)}'] for s in snaps], ended


@pytest.mark.parametrize('name', ERRORS if LONG else ('ENOSPC', 'short-write'))
def test_nth_call_of_a_verification_fails(small, name):
    for n in small.disk.calls():
        good, bad = new_group(), new_group()
        back_up(small, good, [8, 9])
        back_up(small, bad, [9, 10])
        path = small.store().chunk_path(sha256(piece(10)))
        with open(path, 'r+b') as f:
            f.write(bytes(20))
        small.disk.fail_call(n, ERRORS[name])
        (good_mark, bad_mark), (_, ended) = verify(small, good, bad)
        heal(small)
        assert good_mark in ('', 'ok') and bad_mark in ('', 'failed')
        assert ended != 'OK', f'call {n}'
        marks, _ = verify(small, good, bad)
        assert marks == ['ok', 'failed'], f'call {n}'
    assert n > 1, 'the calls are counted'
