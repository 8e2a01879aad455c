"""Every process dies, or stands still, at every named step of a verification
and of a garbage collection.  After each: no false success, no chunk in use is
lost, no lock or process is left, and the next one does all of the work
(docs/reliability.md).

With HOLDFAST_LONG=1 also what no job notices comes at every step instead of
one, and processes stand still for 30 s.
"""

import contextlib
import itertools
import os
import pathlib

import pytest

import pbs
from deaths import (LONG, jobs, kill_auth, kill_checkers, kill_job,
                    kill_master, kill_validator, kill_workers, pause_auth,
                    pause_checkers, pause_job, pause_master, pause_validator,
                    pause_workers)
from instance import wait_for
from test_resume import wait_dead
from test_verify import FAILED, ended, flip, name_of

NAME = 'root.pxar.didx'
SEEDS = itertools.count(1)
LONG_AGO = 1_000_000_000
INSTANCE = {'server_options': {'spare-workers': 2}}
VERIFY_STEPS = 'lock', 'doubt', 'done'
GC_STEPS = 'list', 'mark', 'marked', 'sweep'
# What ends the job, and what the job does not notice.
DEADLY = kill_job, kill_validator
HARMLESS = (kill_auth, kill_master, kill_workers, pause_job, pause_checkers,
            pause_validator, pause_auth, pause_master, pause_workers)


def some(steps, faults):
    """(step, fault): what ends a job at every step, the others at one."""
    pairs = [(s, f) for f in faults for s in steps
             if LONG or f in DEADLY or
             (steps.index(s) + faults.index(f)) % len(steps) == 0]
    return pytest.mark.parametrize(
        'step, fault', pairs, ids=[f'{s}-{f.__name__}' for s, f in pairs])


@pytest.fixture(scope='module')
def held(instance):
    """held(step): jobs wait there meanwhile."""
    path = instance.dir / 'hold'
    instance.change_options({'debug-hold-job': f'"{path}"'}, {})
    instance.restart_validator()

    @contextlib.contextmanager
    def hold(step):
        file = pathlib.Path(f'{path}.{step}')
        file.touch()
        try:
            yield
        finally:
            file.unlink()
    return hold


def wait_held(inst, step, before):
    """Until one more job waits at the step."""
    assert wait_for(lambda: times_held(inst, step) > before)


def times_held(inst, step):
    return (inst.log / 'validator.log').read_text().count(f'held step={step}')


def pieces():
    n = next(SEEDS)
    return [b'%d %d ' % (n, i) * 400 for i in range(3)]


@pytest.fixture
def made(instance, snapshot):
    """made(pieces, old): a finished backup of these pieces."""
    def make(data, old=None):
        snap = snapshot(old)
        with instance.backup(snap) as session:
            session.backup_dynamic(NAME, data)
        return snap
    return make


def whole(inst, snap, data):
    with inst.reader(snap) as reader:
        return reader.dynamic(NAME) == b''.join(data)


def nothing_is_left(inst):
    assert wait_for(lambda: not inst.admin_json('lock', 'list'))
    assert wait_for(lambda: not jobs(inst))
    assert wait_for(lambda: not inst.store().leftovers())


def run(inst, held, step, fault, start):
    """A job that the fault meets at this step; its task when it ended."""
    before = times_held(inst, step)
    with held(step):
        upid = start()
        wait_held(inst, step, before)
        fault(inst)
    task = ended(inst, upid)
    assert task, inst.task_log(upid)
    return task


# ---- verification

def verify(inst, snap):
    return inst.admin('verify', inst.store_name, '--snapshot',
                      name_of(snap)).strip()


def state_of(inst, snap):
    return (inst.store().verify_state(snap) or {}).get('state')


def finds(inst, snap, digest):
    """Now, if not before: the damaged chunk, or that it was renamed and not
    yet marked."""
    if state_of(inst, snap) is None:
        assert ended(inst, verify(inst, snap))['status'] == FAILED
    assert state_of(inst, snap) == 'failed'
    assert not inst.store().has_chunk(digest)


def heals(inst, made, snap, data):
    """The next backup stores again what was damaged."""
    again = made(data, snap)
    assert whole(inst, again, data)
    assert ended(inst, verify(inst, again))['status'] == 'OK'
    assert ended(inst, verify(inst, snap))['status'] == 'OK'
    nothing_is_left(inst)


@pytest.fixture
def damaged(instance, made):
    """(snapshot, its pieces, digest of the one that is damaged)"""
    data = pieces()
    snap = made(data)
    digest = pbs.sha256(data[1])
    flip(instance.store().chunk_path(digest))
    return snap, data, digest


@some(VERIFY_STEPS, DEADLY)
def test_deaths_that_end_a_verification(instance, held, made, damaged, step,
                                        fault):
    snap, data, digest = damaged
    task = run(instance, held, step, fault, lambda: verify(instance, snap))
    assert task['status'] not in ('OK', FAILED)
    assert state_of(instance, snap) in (None, 'failed')
    nothing_is_left(instance)
    finds(instance, snap, digest)
    heals(instance, made, snap, data)


@some(VERIFY_STEPS, HARMLESS)
def test_a_verification_goes_on(instance, held, made, damaged, step, fault):
    snap, data, digest = damaged
    task = run(instance, held, step, fault, lambda: verify(instance, snap))
    assert task['status'] == FAILED
    assert instance.store().verify_state(snap) == {
        'state': 'failed', 'upid': task['upid']}
    nothing_is_left(instance)
    finds(instance, snap, digest)
    heals(instance, made, snap, data)


@pytest.mark.parametrize('step', VERIFY_STEPS)
def test_dead_checkers_prove_nothing(instance, held, made, damaged, step):
    snap, data, digest = damaged
    task = run(instance, held, step, kill_checkers,
               lambda: verify(instance, snap))
    assert task['status'] != 'OK'
    good = [pbs.sha256(p) for p in data if pbs.sha256(p) != digest]
    assert all(instance.store().has_chunk(d) for d in good)
    nothing_is_left(instance)
    finds(instance, snap, digest)
    heals(instance, made, snap, data)


# ---- garbage collection

def start_gc(inst):
    return inst.admin_json('gc', 'start', inst.store_name)['upid']


@pytest.fixture
def garbage(instance, made):
    """(snapshot, its pieces, digests that nothing refers to)"""
    kept, gone = pieces(), pieces()
    snap, old = made(kept), made(gone + kept[:1])
    conn = instance.login()
    conn.delete(f'admin/datastore/{instance.store_name}/snapshots',
                **{'backup-type': old[0], 'backup-id': old[1],
                   'backup-time': old[2]})
    conn.close()
    for path in instance.store().path.glob('.chunks/*/*'):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return snap, kept, [pbs.sha256(p) for p in gone]


def collected(inst, digests):
    return not any(inst.store().has_chunk(d) for d in digests)


def collects_what_is_left(inst, made, garbage):
    snap, data, gone = garbage
    nothing_is_left(inst)
    assert whole(inst, snap, data)
    if not collected(inst, gone):
        assert ended(inst, start_gc(inst))['status'] == 'OK'
    assert collected(inst, gone)
    again = made(data[:2] + pieces()[:1], snap)
    assert whole(inst, snap, data)
    assert ended(inst, verify(inst, again))['status'] == 'OK'


@some(GC_STEPS, DEADLY)
def test_deaths_that_end_a_collection(instance, held, made, garbage, step,
                                      fault):
    task = run(instance, held, step, fault, lambda: start_gc(instance))
    assert task['status'] != 'OK'
    collects_what_is_left(instance, made, garbage)


@some(GC_STEPS, HARMLESS)
def test_a_collection_goes_on(instance, held, made, garbage, step, fault):
    task = run(instance, held, step, fault, lambda: start_gc(instance))
    assert task['status'] == 'OK'
    assert collected(instance, garbage[2])
    collects_what_is_left(instance, made, garbage)


# ---- between two steps of the validator

@contextlib.contextmanager
def killed_at(inst, point):
    inst.change_options({'debug-kill-at': f'"{point}"'}, {})
    inst.restart_validator()
    yield
    wait_dead(inst)
    inst.change_options({'debug-kill-at': ''}, {})
    inst.start_validator()


@pytest.mark.parametrize('point', ['verify-renamed', 'verify-marked'])
def test_killed_between_two_steps_of_a_verification(instance, made, damaged,
                                                    point):
    snap, data, digest = damaged
    with killed_at(instance, point):
        upid = verify(instance, snap)
    assert ended(instance, upid)['status'] not in ('OK', FAILED)
    assert state_of(instance, snap) == \
        ('failed' if point == 'verify-marked' else None)
    assert not instance.store().has_chunk(digest)
    nothing_is_left(instance)
    finds(instance, snap, digest)
    heals(instance, made, snap, data)


def test_killed_between_two_steps_of_a_collection(instance, made, garbage):
    with killed_at(instance, 'gc-removed'):
        upid = start_gc(instance)
    assert ended(instance, upid)['status'] != 'OK'
    collects_what_is_left(instance, made, garbage)
