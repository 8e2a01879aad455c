"""Parts of a running server die and come back, and a client notices no more
than a pause."""

import itertools
import os
import signal
import time

import pytest

import pbs
from deaths import kill_workers
from instance import children, wait_for
from pbs import CHUNK, PbsError, sha256

INSTANCE = {'faults': True, 'store_options': {'stat-threads': 1}}
NAME = 'disk.img.fidx'
SEEDS = itertools.count(3000)
# Of the validator's option debug-kill-at, and of faults.py between them.
FINISH_POINTS = ('finish-1', 'finish-2', 'finish-3', 'finish-4',
                 'before-sync', 'after-sync', 'before-publish',
                 'after-publish', 'after-fsync', 'finish-7', 'finish-8')


@pytest.fixture
def base(instance, snapshot, image):
    """base(chunks): (snapshot, image, digests) of a finished backup."""
    def make(chunks=4):
        data, new = image(chunks, seed=next(SEEDS)), snapshot()
        with instance.backup(new) as session:
            digests = session.backup_images({NAME: data})[NAME]
        return new, data, digests
    return make


def wait_dead(instance):
    def dead():
        instance.reap('validator')
        return not instance.is_running('validator')
    assert wait_for(dead), 'the validator lives'


def kill(instance):
    instance.kill_validator()
    instance.start_validator()


def restart(instance):
    instance.restart_validator()


def checked(instance, snap):
    """None until a worker resumed the session."""
    return instance.session_of(snap).get('check', {}).get('checked')


def manifest(session, data, csum):
    m = pbs.Manifest(session.snapshot)
    m.add(NAME, len(data), csum)
    session.blob('index.json.blob', m.blob())


def at_rest(instance, snap):
    """Nothing is locked and nothing lies around after the last session; only
    a chunk that was being written when the validator was killed may have
    left a temporary file, which collection takes."""
    def clean():
        return not [p for p in instance.store().leftovers()
                    if '.chunks' not in p.parts]
    return wait_for(lambda: not instance.locks(snap)) and wait_for(clean)


def whole(instance, snap, data):
    with instance.reader(snap) as reader:
        return reader.image(NAME) == data


# ---- the validator goes and comes back in every state

@pytest.mark.parametrize('gone', [kill, restart])
def test_backup_goes_on_from_every_state(instance, base, snapshot, image,
                                         gone):
    first, data, digests = base()
    new = data[:3 * CHUNK] + image(2, seed=next(SEEDS))
    pieces = pbs.split(new)
    second = snapshot(first)
    with instance.backup(second) as session:
        gone(instance)
        session.previous(NAME)
        gone(instance)
        wid = session.create_fixed(NAME, len(new))
        gone(instance)
        session.chunk('fixed', wid, pieces[3])
        gone(instance)
        session.chunk('fixed', wid, pieces[4])
        all_digests = [sha256(p) for p in pieces]
        session.append('fixed', wid, all_digests[:2], [0, CHUNK])
        gone(instance)
        session.append('fixed', wid, all_digests[2:],
                       [n * CHUNK for n in (2, 3, 4)])
        gone(instance)
        csum = pbs.fixed_csum(all_digests)
        session.close_index('fixed', wid, 5, len(new), csum)
        gone(instance)
        manifest(session, new, csum)
        gone(instance)
        assert wait_for(lambda: checked(instance, second) == len(digests)), \
            'every reused chunk is checked'
        session.finish()
        gone(instance)
    assert at_rest(instance, second)
    assert whole(instance, second, new)


@pytest.mark.parametrize('gone', [kill, restart])
def test_uploads_in_flight_wait(instance, snapshot, image, gone):
    new, data = snapshot(), image(12, seed=next(SEEDS))
    pieces = pbs.split(data)
    with instance.backup(new) as session:
        wid = session.create_fixed(NAME, len(data))
        first = session.start_chunk('fixed', wid, pieces[0])
        streams = [session.start_chunk('fixed', wid, p) for p in pieces[1:]]
        session.wait(first).check()
        gone(instance)
        for stream in streams:
            session.wait(stream).check()
        digests = [sha256(p) for p in pieces]
        session.append('fixed', wid, digests,
                       [n * CHUNK for n in range(len(digests))])
        csum = pbs.fixed_csum(digests)
        session.close_index('fixed', wid, len(digests), len(data), csum)
        manifest(session, data, csum)
        session.finish()
    assert whole(instance, new, data)
    assert at_rest(instance, new)


@pytest.mark.parametrize('gone', [kill, restart])
def test_restore_goes_on(instance, base, gone):
    first, data, digests = base(3)
    with instance.reader(first) as reader:
        gone(instance)
        assert pbs.parse_fixed(reader.download(NAME))[2] == digests
        streams = [reader.start('GET', 'chunk', {'digest': d.hex()})
                   for d in digests]
        gone(instance)
        parts = [pbs.unblob(reader.wait(s).check().body) for s in streams]
        assert b''.join(parts) == data
        gone(instance)
        assert instance.locks(first), 'its lock outlived the validator'
    assert at_rest(instance, first)


# ---- no check is lost

def test_unfinished_checks_are_made_after_a_restart(instance, faults, base,
                                                    snapshot):
    first, data, digests = base()
    faults.hold_checks(min(digests))
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous(NAME)
        csum, _ = session.upload_image(NAME, data, digests)
        manifest(session, data, csum)
        faults.wait_held()
        finish = session.start('POST', 'finish')
        assert wait_for(lambda: instance.session_of(second)['check'][
            'left'] > 0)
        instance.kill_validator()
        # Gone while nobody looked.
        instance.store().remove_chunk(max(digests))
        faults.clear()
        instance.start_validator()
        response = session.wait(finish)
        assert response.status == 400
        assert max(digests).hex() in response.text
        assert 'marked as bad' in response.text
    assert instance.store().verify_state(first)['state'] == 'failed'
    assert not instance.store().snapshot_path(second).exists()
    assert at_rest(instance, second)


def test_away_is_never_missing(instance, base, snapshot):
    first, data, digests = base()
    second = snapshot(first)
    with instance.backup(second) as session:
        instance.kill_validator()
        stream = session.start('GET', 'previous', {'archive-name': NAME})
        instance.start_validator()
        session.wait(stream).check()
        csum, _ = session.upload_image(NAME, data, digests)
        manifest(session, data, csum)
        session.finish()
    assert instance.store().verify_state(first) is None
    assert whole(instance, second, data)


# ---- finish

@pytest.mark.parametrize('point', FINISH_POINTS)
def test_killed_between_two_steps_of_finish(instance, faults, base, snapshot,
                                            point):
    first, data, digests = base(2)
    option = point.startswith('finish-')
    if option:
        instance.change_options({'debug-kill-at': f'"{point}"'}, {})
        instance.restart_validator()
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous(NAME)
        csum, _ = session.upload_image(NAME, data, digests)
        manifest(session, data, csum)
        upid = instance.session_of(second)['upid']
        if not option:
            faults.kill(point)
        finish = session.start('POST', 'finish')
        wait_dead(instance)
        faults.clear()
        instance.change_options({'debug-kill-at': ''}, {})
        instance.start_validator()
        assert session.wait(finish).status == 200
    assert whole(instance, second, data)
    assert at_rest(instance, second)
    log = instance.task_log(upid)
    assert 'TASK OK' in log[-1]
    assert len([t for t in log if 'TASK ' in t]) == 1
    with instance.backup(snapshot(first)) as session:
        assert session.previous_time() == second[2]


def test_past_its_commit_a_backup_needs_nobody(instance, faults, base,
                                               snapshot):
    first, data, digests = base(2)
    second = snapshot(first)
    session = instance.backup(second)
    session.previous(NAME)
    csum, _ = session.upload_image(NAME, data, digests)
    manifest(session, data, csum)
    faults.kill('before-sync')
    session.start('POST', 'finish')
    wait_dead(instance)
    session.close()
    faults.clear()
    instance.start_validator()
    assert wait_for(lambda: instance.store().snapshot_path(second).exists())
    assert at_rest(instance, second)
    assert whole(instance, second, data)


# ---- who does not come back

def kill_worker(instance, session):
    """The session's is one of them."""
    kill_workers(instance)


def close_connection(instance, session):
    session.close()


@pytest.mark.parametrize('leave', [kill_worker, close_connection])
def test_who_does_not_come_back_is_reaped(instance, base, snapshot, leave):
    first, data, digests = base(2)
    instance.change_options({'resume-time': '3s'}, {})
    second = snapshot(first)
    session = instance.backup(second)
    session.previous(NAME)
    info = instance.session_of(second)
    instance.kill_validator()
    leave(instance, session)
    instance.start_validator()
    assert at_rest(instance, second)
    assert wait_for(lambda: not instance.session_of(second))
    assert wait_for(lambda: 'TASK ERROR' in
                    instance.task_log(info['upid'])[-1])
    session.close()
    instance.change_options({'resume-time': ''}, {})
    instance.restart_validator()
    third = snapshot(first)
    with instance.backup(third) as session:
        session.backup_images({NAME: data}, incremental=True)
    assert whole(instance, third, data)


def test_a_killed_worker_ends_its_session_at_once(instance, base, snapshot):
    first, data, _ = base(2)
    second = snapshot(first)
    session = instance.backup(second)
    session.previous(NAME)
    info = instance.session_of(second)
    kill_worker(instance, session)
    assert at_rest(instance, second)
    assert wait_for(lambda: not instance.session_of(second))
    assert 'TASK ERROR' in instance.task_log(info['upid'])[-1]
    with pytest.raises((pbs.ConnectionLost, OSError)):
        session.previous_time()
    third = snapshot(first)
    with instance.backup(third) as session:
        session.backup_images({NAME: data}, incremental=True)
    assert whole(instance, third, data)


# ---- checkers

def test_a_killed_checker_costs_one_chunk(instance, snapshot, image):
    new, data = snapshot(), image(2, seed=next(SEEDS))
    one, two = pbs.split(data)
    with instance.backup(new) as session, \
            instance.backup(snapshot()) as other:
        wid = session.create_fixed(NAME, len(data))
        session.chunk('fixed', wid, one)
        checkers = children(instance.pid('validator'), 'holdfast-checker')
        for pid in checkers:
            os.kill(pid, signal.SIGSTOP)
        upload = session.start_chunk('fixed', wid, two)
        deadline = time.monotonic() + 60
        while session.push_bodies() or not upload.ended:
            if not upload.ended:
                session.turn(deadline)
        # In order behind the upload, so that one is with the checker now.
        session.create_fixed('other.img.fidx', CHUNK)
        for pid in checkers:
            os.kill(pid, signal.SIGKILL)
        response = session.wait(upload)
        assert response.status >= 400, 'nobody judged it'
        assert not instance.store().has_chunk(sha256(two))
        # The next one is judged again, and nobody else noticed.
        session.chunk('fixed', wid, two)
        assert instance.store().has_chunk(sha256(two))
        other.backup_images({NAME: one})
        with pytest.raises(PbsError):
            session.chunk('fixed', wid, two, digest=bytes(32))
