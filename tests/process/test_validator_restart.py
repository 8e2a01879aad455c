"""The validator dies at any point, and no running backup notices more than a
pause."""

import fcntl
import os

import pytest

import vworker

from instance import wait_for
from pbs import CHUNK, blob, fixed_csum, unblob
from vtools import (backup, chunk, failure, later, manifest, new_group,
                    register, task_log, upload_image, val, wait_gone)
from vworker import Closed, Failed, READER, Worker

__all__ = ['val']

KILL_POINTS = [f'finish-{n}' for n in (1, 2, 3, 4, 7, 8)]


def restart(inst, w, clean=False):
    """Gone and back; the worker resumes its session."""
    if clean:
        inst.end('validator')
    else:
        inst.kill_validator()
    inst.start_validator()
    w.connect()
    return w.resume()


@pytest.mark.parametrize('clean', [True, False])
def test_backup_goes_on_after_each_step(val, clean):
    base = backup(val, new_group(), range(4))
    snap = later(base)
    w = Worker(val).open(snap)
    restart(val, w, clean)
    register(w, 'a.img.fidx')
    restart(val, w, clean)
    w.create('a.img.fidx', 1, 4 * CHUNK)
    restart(val, w, clean)
    raw, new = chunk(1000)
    w.deposit(blob(raw), new, CHUNK)
    restart(val, w, clean)
    digests = [chunk(n)[1] for n in (0, 1, 2)] + [new]
    entries = [(i * CHUNK, *w.known[d], d) for i, d in enumerate(digests)]
    w.append(1, 0, entries[:2])
    restart(val, w, clean)
    assert w.append(1, 0, [])['count'] == 2
    w.append(1, 2, entries[2:])
    restart(val, w, clean)
    w.close_index(1, 4, 4 * CHUNK, fixed_csum(digests))
    restart(val, w, clean)
    w.close_index(1, 4, 4 * CHUNK, fixed_csum(digests))
    w.put_blob('index.json.blob', manifest(snap))
    restart(val, w, clean)
    w.finish()
    stats = val.store().manifest(snap)['unprotected']['chunk_upload_stats']
    assert stats['count'] == 1
    restart(val, w, clean)
    assert w.finish()['_name'] == 'FINISHED', 'its tombstone answers'
    w.close()
    assert 'TASK OK' in task_log(Worker(val), w.upid)[-1]


def test_unanswered_requests_are_sent_again(val):
    snap = new_group()
    w = Worker(val).open(snap)
    w.create('a.img.fidx', 1, 2 * CHUNK)
    raw, d = chunk(1)
    w.deposit(blob(raw), d, CHUNK)
    raw2, d2 = chunk(2)
    w.deposit_send(blob(raw2), d2, CHUNK)
    val.kill_validator()
    val.start_validator()
    w.connect()
    w.resume()
    for seq, (block, n, digest, number) in list(w.held.items()):
        again = w.send('DEPOSIT', number=number, writer=1, block=block,
                       len=len(blob(raw2)), size=CHUNK, digest=digest)
        w.held[again] = w.held.pop(seq)
        w.deposit_wait(again)
    entries = [(0, *w.known[d], d), (CHUNK, *w.known[d2], d2)]
    w.append(1, 0, entries)
    w.append(1, 0, entries)
    w.close_index(1, 2, 2 * CHUNK, fixed_csum([d, d2]))
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()


def finish_until_killed(inst, point):
    """A backup whose finish kills the validator at that point."""
    inst.change_options({'debug-kill-at': f'"{point}"'}, {})
    inst.restart_validator()
    w = Worker(inst)
    w.snap = new_group()
    w.open(w.snap)
    upload_image(w, 'a.img.fidx', [chunk(n) for n in range(3)])
    w.put_blob('index.json.blob', manifest(w.snap))
    with pytest.raises(Closed):
        w.finish()

    def gone():
        inst.reap('validator')
        return not inst.is_running('validator')
    assert wait_for(gone)
    inst.change_options({'debug-kill-at': ''}, {})
    return w


@pytest.mark.parametrize('point', KILL_POINTS)
def test_killed_in_finish(val, point):
    w = finish_until_killed(val, point)
    val.start_validator()
    w.connect()
    w.resume()
    assert w.finish()['_name'] == 'FINISHED'
    assert val.store().manifest(w.snap)
    w.close()
    Worker(val).open(later(w.snap)).close()
    assert 'TASK OK' in task_log(Worker(val), w.upid)[-1]


def test_finishing_goes_on_without_its_worker(val):
    w = finish_until_killed(val, 'finish-4')
    w.close()
    val.start_validator()
    assert wait_for(lambda: val.store().snapshot_path(w.snap).exists())
    assert wait_for(lambda: 'TASK OK' in task_log(Worker(val), w.upid)[-1])


@pytest.mark.parametrize('given_up', [False, True],
                         ids=['comes back', 'given up'])
def test_a_commit_waits_for_its_datastore(val, given_up):
    """Which was not there at the next start."""
    w = finish_until_killed(val, 'finish-4')
    w.close()
    store, hidden = val.stores / 'store', val.stores / 'hidden'
    store.rename(hidden)
    try:
        val.start_validator()
        number = f'{w.session:016x}'
        assert {s['id']: s['state'] for s in
                val.admin_json('session', 'list')}[number] == 'finishing'
        assert number in {x['session'] for x in
                          val.admin_json('lock', 'list')}
        assert 'waits for its datastore' in val.log_tail('validator')
        if given_up:
            val.admin('session', 'stop', number)
            assert wait_for(lambda: not val.admin_json('lock', 'list'))
            assert 'TASK ERROR' in task_log(Worker(val), w.upid)[-1]
    finally:
        hidden.rename(store)
        val.restart_validator()
    path = val.store().snapshot_path(w.snap)
    if given_up:
        wait_gone(val, w)
        assert not path.exists()
    else:
        assert wait_for(path.exists)
        assert wait_for(
            lambda: 'TASK OK' in task_log(Worker(val), w.upid)[-1])
    assert wait_for(lambda: not val.admin_json('lock', 'list'))
    Worker(val).open(later(w.snap)).close()


def test_who_does_not_come_back_is_reaped(val):
    inst = val
    snap = new_group()
    w = Worker(inst).open(snap)
    upload_image(w, 'a.img.fidx', [chunk(1)])
    inst.kill_validator()
    w.close()
    inst.start_validator()
    f = failure(Worker(inst).open, snap)
    assert 'another backup is already running' in f.text
    inst.change_options({'resume-time': '2s'}, {})
    inst.restart_validator()
    wait_gone(inst, w)
    assert wait_for(lambda: 'TASK ERROR' in
                    task_log(Worker(inst), w.upid)[-1])
    Worker(inst).open(snap).close()
    w.connect()
    assert 'not known any more' in failure(w.resume).text
    inst.change_options({'resume-time': ''}, {})
    inst.restart_validator()


def test_key_is_needed_and_one_worker_only(val):
    w = Worker(val).open(new_group())
    thief = Worker(val)
    thief.session, thief.resume_key = w.session, bytes(32)
    assert 'not known' in failure(thief.resume).text
    thief.resume_key = w.resume_key
    thief.arena_fd = w.arena_fd
    assert 'has a worker' in failure(thief.resume).text
    val.kill_validator()
    val.start_validator()
    thief.connect()
    thief.resume_key = os.urandom(32)
    assert 'not known' in failure(thief.resume).text
    w.connect()
    w.resume()
    w.put_blob('a.blob', blob(b'still ours'))
    w.close()


def null():
    return os.open('/dev/null', os.O_RDWR)


def pipe():
    ends = os.pipe()
    os.close(ends[1])
    return ends[0]


def folder():
    return os.open('/', os.O_RDONLY)


def memfd(size, *seals):
    fd = os.memfd_create('x', os.MFD_ALLOW_SEALING)
    os.truncate(fd, size)
    for seal in seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
    return fd


def unsealed():
    """Could be cut below a reader."""
    return memfd(64 << 20)


def odd_size():
    return memfd(65537, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)


def huge():
    return memfd(1 << 40, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)


@pytest.mark.parametrize('make', [null, pipe, folder, unsealed, odd_size,
                                  huge], ids=lambda f: f.__name__)
def test_descriptors_of_the_wrong_kind(val, make):
    """Instead of the arena, and of a call's data: refused, and the session
    waits on for its own worker."""
    snap = backup(val, new_group(), [1])
    w = Worker(val).open(later(snap))
    val.kill_validator()
    val.start_validator()
    fd, arena = make(), w.arena_fd
    w.connect()
    w.arena_fd = fd
    with pytest.raises((Failed, Closed)):
        w.resume()
    w.connect()
    w.arena_fd = arena
    w.resume()
    w.put_blob('a.blob', blob(b'still ours'))
    other = Worker(val)
    kind, backup_id, when = snap
    with pytest.raises((Failed, Closed)):
        other.ask('CALL_DATA', fds=[fd],
                  op=vworker.OPS['SNAP_NOTES_SET'], store='store',
                  type=vworker.TYPES[kind], id=backup_id, time=when,
                  grant=vworker.grant(other.key, vworker.CALL, 'r@pbs',
                                      store='store'))
    assert 'notes' not in val.store().manifest(snap)['unprotected']
    os.close(fd)
    other.close()
    w.close()


@pytest.mark.parametrize('count', [0, 2])
def test_descriptors_missing_or_surplus(val, count):
    w = Worker(val).open(new_group())
    val.kill_validator()
    val.start_validator()
    w.connect()
    seq = w.send('SESSION_RESUME', fds=[w.arena_fd] * count,
                 resume_key=w.resume_key)
    with pytest.raises(Closed):
        w.wait(seq)
    w.connect()
    w.resume()
    w.close()


def test_reader_goes_on(val):
    snap = backup(val, new_group(), [1, 2])
    w = Worker(val).open(snap, READER)
    msg, _ = w.open_file('a.img.fidx')
    restart(val, w)
    _, fds = w.ask('CHUNK_OPEN', file=msg['file'], position=0,
                   digest=chunk(1)[1])
    with open(fds[0], 'rb') as f:
        assert unblob(f.read()) == chunk(1)[0]
    w.close()


def test_missing_chunk_is_found_after_a_restart(val):
    base = backup(val, new_group(), range(20, 24))
    w = Worker(val).open(later(base))
    restart(val, w)
    val.store().remove_chunk(chunk(22)[1])
    register(w, 'a.img.fidx')
    assert w.wait_aborted().code == 'MISSING'
    w.close()


def test_aborted_session_tells_why_after_a_restart(val):
    base = backup(val, new_group(), range(30, 34))
    val.store().remove_chunk(chunk(32)[1])
    w = Worker(val).open(later(base))
    register(w, 'a.img.fidx')
    why = w.wait_aborted()
    val.kill_validator()
    val.start_validator()
    w.connect()
    assert failure(w.resume).text == why.text
    w.close()
