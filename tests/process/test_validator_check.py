"""The check of reused chunks: what is missing aborts the backup with the
reason and marks the base, so that the next backup is a full one."""

import shutil

import pytest

from instance import wait_for
from pbs import CHUNK, blob, fixed_csum
from vtools import (backup, chunk, failure, fresh, later, make_validator,
                    manifest, new_group, register, task_log, upload_image,
                    val, wait_gone)
from vworker import Worker

__all__ = ['fresh', 'val']


def lose(inst, n):
    digest = chunk(n)[1]
    inst.store().remove_chunk(digest)
    return digest.hex()


def test_missing_chunk_aborts_and_marks(val):
    base = backup(val, new_group(), range(100, 104))
    lost = lose(val, 102)
    snap = later(base)
    w = Worker(val).open(snap)
    register(w, 'a.img.fidx')
    why = w.wait_aborted()
    assert why.code == 'MISSING'
    assert lost in why.text and 'marked as bad' in why.text
    state = val.store().verify_state(base)
    assert state == {'state': 'failed', 'upid': w.upid}
    assert failure(w.put_blob, 'a.blob', blob(b'')).text == why.text
    assert failure(w.finish).text == why.text
    wait_gone(val, w)
    lines = task_log(Worker(val), w.upid)
    assert why.text in lines[-1] and 'TASK ERROR' in lines[-1]
    assert not val.store().snapshot_path(snap).exists()
    # The next one is a full one and heals the store.
    full = later(snap)
    w = Worker(val).open(full)
    assert w.base_time == 0
    upload_image(w, 'a.img.fidx', [chunk(n) for n in range(100, 104)])
    w.put_blob('index.json.blob', manifest(full))
    w.finish()
    assert val.store().has_chunk(chunk(102)[1])
    assert Worker(val).open(later(full)).base_time == full[2]


def test_empty_chunk_is_missing(val):
    base = backup(val, new_group(), [110])
    val.store().chunk_path(chunk(110)[1]).write_bytes(b'')
    w = Worker(val).open(later(base))
    register(w, 'a.img.fidx')
    assert w.wait_aborted().code == 'MISSING'


def test_checksum_reuse_is_checked_too(val):
    base = backup(val, new_group(), [120, 121])
    lose(val, 121)
    w = Worker(val).open(later(base))
    digests = [chunk(n)[1] for n in (120, 121)]
    try:
        w.create('a.img.fidx', 1, 2 * CHUNK, reuse=fixed_csum(digests))
    except Exception:
        pass
    assert w.wait_aborted().code == 'MISSING'
    assert val.store().verify_state(base)['state'] == 'failed'


def test_vanished_folder_is_not_a_missing_chunk(val):
    base = backup(val, new_group(), [130])
    path = val.store().chunk_path(chunk(130)[1]).parent
    path.rename(path.parent / 'hidden')
    try:
        w = Worker(val).open(later(base))
        register(w, 'a.img.fidx')
        why = w.wait_aborted()
        assert why.code != 'MISSING'
        assert 'cannot check reused chunks' in why.text
        assert val.store().verify_state(base) is None, 'nothing is marked'
    finally:
        (path.parent / 'hidden').rename(path)


def test_unreferenced_missing_chunk_can_be_tolerated(fresh):
    val = fresh(store_options={'on-missing': 'abort-when-referenced'})
    base = backup(val, new_group(), range(140, 144))
    lost = lose(val, 143)
    snap = later(base)
    w = Worker(val).open(snap)
    register(w, 'a.img.fidx')
    assert wait_for(lambda: val.store().verify_state(base))
    upload_image(w, 'a.img.fidx', [chunk(n) for n in (140, 141, 142)])
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    # A reference to it aborts.
    base = backup(val, new_group(), range(150, 154))
    lost = lose(val, 153)
    w = Worker(val).open(later(base))
    register(w, 'a.img.fidx')
    assert wait_for(lambda: val.store().verify_state(base))
    with pytest.raises(Exception):
        upload_image(w, 'a.img.fidx', [chunk(n) for n in range(150, 154)])
    assert lost in w.wait_aborted().text


def test_mark_that_fails_is_told(val):
    base = backup(val, new_group(), [160])
    lose(val, 160)
    w = Worker(val).open(later(base))
    (val.store().snapshot_path(base) / 'index.json.blob').write_bytes(b'x')
    register(w, 'a.img.fidx')
    assert 'marking the previous snapshot as bad failed' in \
        w.wait_aborted().text


def test_base_without_manifest_is_told(val):
    base = backup(val, new_group(), [170])
    lose(val, 170)
    w = Worker(val).open(later(base))
    (val.store().snapshot_path(base) / 'index.json.blob').unlink()
    register(w, 'a.img.fidx')
    assert 'no previous snapshot any more' in w.wait_aborted().text


def test_base_is_locked(val):
    base = backup(val, new_group(), [180])
    w = Worker(val).open(later(base))
    f = failure(Worker(val).call, 'SNAP_DELETE', type=1, id=base[1],
                time=base[2])
    assert 'possibly running or in use' in f.text
    Worker(val).open(base, 2).close()
    w.close()


def test_removed_base_refuses_finish(val):
    """Even by somebody who knows no locks."""
    base = backup(val, new_group(), [190])
    snap = later(base)
    w = Worker(val).open(snap)
    w.put_blob('index.json.blob', manifest(snap))
    path = val.store().snapshot_path(base)
    for p in path.iterdir():
        p.unlink()
    path.rmdir()
    assert 'was removed during backup' in failure(w.finish).text
    w.close()


# ---- finish waits, and only for what is referenced


@pytest.fixture(scope='module')
def held_validator():
    inst = make_validator()
    inst.hold = inst.dir / 'hold'
    inst.change_options({'debug-hold-check': f'"{inst.hold}"'}, {})
    inst.restart_validator()
    yield inst
    inst.stop()
    shutil.rmtree(inst.dir, ignore_errors=True)


@pytest.fixture
def held(held_validator):
    """A validator whose check waits as long as a file exists."""
    yield held_validator
    held_validator.hold.unlink(missing_ok=True)


def waiting(inst, unchecked=True):
    """A session whose finish is asked for; (worker, seq)."""
    inst.hold.unlink(missing_ok=True)
    base = backup(inst, new_group(), range(200, 204))
    inst.hold.touch()
    snap = later(base)
    w = Worker(inst).open(snap)
    register(w, 'a.img.fidx')
    upload_image(w, 'a.img.fidx',
                 [chunk(n) for n in ((200, 201, 300) if unchecked
                                     else (301, 302))])
    w.put_blob('index.json.blob', manifest(snap))
    w.snap, w.base = snap, base
    return w, w.send('FINISH')


def wait_told(w, times=1):
    """The FINISH_WAIT messages that came."""
    told = [u for u in w.unasked if isinstance(u, tuple)]
    while len(told) < times:
        name, msg, seq, fds = w.receive()
        assert name == 'FINISH_WAIT', (name, msg)
        told.append((name, msg))
    return [msg['left'] for _, msg in told]


def test_finish_waits_for_referenced_chunks(held):
    w, seq = waiting(held)
    assert wait_told(w, 2) == [2, 2], 'again and again'
    assert not held.store().snapshot_path(w.snap).exists()
    f = failure(w.finish)
    assert f.text == 'backup is already in the process of finishing.'
    held.hold.unlink()
    w.wait(seq)
    assert held.store().manifest(w.snap)
    lines = task_log(Worker(held), w.upid)
    assert any('waiting for the check of 2 reused chunks' in line
               for line in lines)


def test_finish_does_not_wait_for_the_rest(held):
    w, seq = waiting(held, unchecked=False)
    assert w.wait(seq)[0]['_name'] == 'FINISHED'
    assert held.hold.exists()


def test_wait_finds_a_missing_chunk(held):
    w, seq = waiting(held)
    wait_told(w)
    lost = lose(held, 201)
    held.hold.unlink()
    assert lost in w.wait_aborted().text
    assert held.store().verify_state(w.base)['state'] == 'failed'
    assert not held.store().snapshot_path(w.snap).exists()


def test_wait_can_be_stopped(held):
    w, seq = waiting(held)
    wait_told(w)
    Worker(held).call('TASK_STOP', name=w.upid, store='')
    assert w.wait_aborted().text == 'task aborted'
    wait_gone(held, w)
    Worker(held).open(w.snap).close()


def test_disconnect_ends_the_wait(held):
    w, seq = waiting(held)
    wait_told(w)
    w.close()
    wait_gone(held, w)
    Worker(held).open(w.snap).close()
    assert not held.store().snapshot_path(w.snap).exists()


def test_restart_while_finish_waits(held):
    w, seq = waiting(held)
    wait_told(w)
    held.kill_validator()
    held.start_validator()
    w.connect()
    w.resume()
    seq = w.send('FINISH')
    assert wait_told(w) == [2]
    held.hold.unlink()
    w.wait(seq)
    assert held.store().manifest(w.snap)
