"""Garbage collection: what goes, what stays, and that no snapshot loses a
chunk, whatever else happens meanwhile."""

import itertools
import json
import os
import re
import pathlib
import shutil
import signal
import time

import pytest

from deaths import jobs
from faults import Faults
from instance import start_time, wait_for
from pbs import CHUNK, blob, fixed_csum
from store import time_text
from turns import Turns
from vtools import (backup, chunk, failure, later, lent, make_small_validator,
                    manifest, new_group, register, upload_image)
from vworker import MODIFY, TYPES, Worker

STEPS = 'list', 'mark', 'marked', 'sweep'
LONG_AGO = 1_000_000_000
HOUR = 3600
MARGIN = 300  # gc-margin, if it is not set


@pytest.fixture(scope='module')
def shared(request):
    inst = make_small_validator()
    inst.hold = inst.dir / 'hold'
    inst.change_options({'debug-hold-job': f'"{inst.hold}"'}, {})
    inst.turns, inst.faults = Turns.of(inst), Faults(inst.dir)
    inst.environment = {
        **inst.turns.environment, **inst.faults.environment,
        'LD_PRELOAD': ' '.join(x.environment['LD_PRELOAD']
                               for x in (inst.faults, inst.turns))}
    inst.restart_validator()
    with lent(inst, request):
        yield inst


@pytest.fixture
def val(shared):
    """A validator whose collections wait at a step as long as hold.STEP
    exists."""
    yield shared
    for step in STEPS:
        hold(shared, step).unlink(missing_ok=True)
    shared.turns.set_right()
    shared.faults.clear()
    assert wait_for(lambda: not status(shared)['running'])


def hold(inst, step):
    return pathlib.Path(f'{inst.hold}.{step}')


def status(inst):
    return inst.admin_json('gc', 'status', 'store')


def start(inst, *options):
    return inst.admin_json('gc', 'start', 'store', *options)['upid']


def log(inst, upid):
    return [line.partition(': ')[2]
            for line in inst.admin('task', 'log', upid).splitlines()]


def finish(inst, upid):
    """The log of a collection, once it has ended."""
    assert wait_for(lambda: (log(inst, upid) or [''])[-1].startswith('TASK '))
    return log(inst, upid)


def collect(inst, *options):
    lines = finish(inst, start(inst, *options))
    assert lines[-1] == 'TASK OK', lines
    return lines


def times_held(inst, step):
    return inst.log_tail('validator', 10 ** 9).count(f'held step={step}')


def start_held(inst, step):
    """A collection that waits at this step."""
    before = times_held(inst, step)
    hold(inst, step).touch()
    upid = start(inst)
    assert wait_for(lambda: times_held(inst, step) > before)
    return upid


def go_on(inst, step, upid):
    hold(inst, step).unlink()
    return finish(inst, upid)


def steps_of_a_collection(inst):
    """Each of its steps, at which it waits meanwhile."""
    before = {step: times_held(inst, step) for step in STEPS}
    for step in STEPS:
        hold(inst, step).touch()
    upid = start(inst)
    for step in STEPS:
        assert wait_for(lambda s=step: times_held(inst, s) > before[s])
        yield step
        hold(inst, step).unlink()
    assert finish(inst, upid)[-1] == 'TASK OK'


def make_old(inst, when=LONG_AGO):
    """Nobody has used any chunk since then."""
    for p in inst.store().path.glob('.chunks/*/*'):
        os.utime(p, (when, when), follow_symlinks=False)


def forget(inst, snapshot):
    Worker(inst).call('SNAP_DELETE', type=TYPES[snapshot[0]], id=snapshot[1],
                      time=snapshot[2])


def prune(inst, snapshot):
    """All but the newest of its group."""
    Worker(inst).call('PRUNE', type=TYPES[snapshot[0]], id=snapshot[1], time=0,
                      n0=1)
    assert not inst.store().snapshot_path(snapshot).exists()


def has(inst, *numbers):
    """Whether each of these chunks is stored."""
    return [inst.store().has_chunk(chunk(n)[1]) for n in numbers]


def incremental(inst, base, numbers, new=()):
    """A session that refers to these chunks of its base and uploads new ones,
    ready to finish: (worker, snapshot)."""
    snap = later(base)
    w = Worker(inst).open(snap)
    register(w, 'a.img.fidx')
    upload_image(w, 'a.img.fidx', [chunk(n) for n in (*numbers, *new)])
    w.put_blob('index.json.blob', manifest(snap))
    return w, snap


# ---- what goes and what stays


def test_unused_chunks_go(val):
    a = backup(val, new_group(), [1, 2])
    b = backup(val, new_group(), [2, 3])
    make_old(val)
    forget(val, b)
    lines = collect(val)
    assert has(val, 1, 2, 3) == [True, True, False]
    assert 'Removed chunks: 1' in lines
    assert 'Start GC phase1 (mark used chunks)' in lines
    assert 'processed 100% (3 chunks)' in lines
    last = status(val)['last']
    assert last['removed-chunks'] == 1 and last['removed-bytes'] > 0
    assert last['disk-chunks'] == 2 and last['index-file-count'] == 1
    assert last['index-data-bytes'] == 2 * CHUNK
    assert last['disk-bytes'] == sum(
        val.store().chunk_path(chunk(n)[1]).stat().st_size for n in (1, 2))
    assert json.loads((val.store().path / '.gc-status').read_text()) == last
    forget(val, a)
    collect(val)
    assert has(val, 1, 2) == [False, False]


def test_young_chunks_stay(val):
    forget(val, backup(val, new_group(), [10]))
    make_old(val, time.time() - 60)
    lines = collect(val)
    assert has(val, 10) == [True]
    assert any(x.startswith('Pending removals: ') for x in lines)
    last = status(val)['last']
    assert last['pending-chunks'] == 1
    assert last['pending-bytes'] == \
        val.store().chunk_path(chunk(10)[1]).stat().st_size
    # One that is younger than all sessions may belong to any of them.
    make_old(val, time.time() + HOUR)
    collect(val)
    now = status(val)['last']
    assert now['pending-chunks'] == 0
    assert now['disk-chunks'] == last['disk-chunks'] + 1
    assert now['disk-bytes'] == last['disk-bytes'] + last['pending-bytes']
    make_old(val)
    collect(val)
    assert has(val, 10) == [False]


def test_dry_run_removes_nothing(val):
    forget(val, backup(val, new_group(), [20]))
    collect(val)
    before = status(val)['last']
    make_old(val)
    lines = collect(val, '--dry-run')
    assert 'Would remove chunks: 1' in lines
    assert has(val, 20) == [True]
    assert status(val)['last'] == before
    collect(val)
    assert has(val, 20) == [False]


def test_bad_and_temporary_files(val):
    """Damaged chunks stay as long as an index wants them and nobody has
    uploaded them again (datastore-format 6.5, 7.3)."""
    snap = backup(val, new_group(), [30, 31])
    store = val.store()
    wanted, healed, gone = (store.chunk_path(chunk(n)[1])
                            for n in (30, 31, 32))
    bad = {p: p.with_name(p.name + '.0.bad') for p in (wanted, healed, gone)}
    gone.parent.mkdir(exist_ok=True)
    wanted.rename(bad[wanted])
    bad[healed].write_bytes(b'x' * 20)
    bad[gone].write_bytes(b'x' * 20)
    old, other = (gone.with_name(gone.name + tail)
                  for tail in ('.tmp_aB3dE6', '.tmp_toolong7'))
    old.write_bytes(b'x')
    other.write_bytes(b'x')
    make_old(val)
    young = gone.with_name(gone.name + '.tmp_aB3dE7')
    young.write_bytes(b'x')
    lines = finish(val, start(val))
    assert lines[-1] == 'TASK WARNINGS: 2', 'one is missing'
    assert bad[wanted].exists() and healed.exists()
    assert not bad[healed].exists() and not bad[gone].exists()
    assert not old.exists() and other.exists() and young.exists()
    assert 'Removed bad chunks: 2' in lines
    assert 'Leftover bad chunks: 1' in lines
    assert 'Removed temporary files: 1' in lines
    other.unlink()
    young.unlink()
    forget(val, snap)
    make_old(val)
    collect(val)
    assert not bad[wanted].exists()


def test_missing_chunks_are_named(val):
    """A warning, as the original server gives; the collection goes on."""
    store = val.store()
    a = backup(val, new_group(), [1, 2, 3])
    b = backup(val, new_group(), [3, 4])
    forget(val, backup(val, new_group(), [500]))
    make_old(val)
    store.remove_chunk(chunk(2)[1])
    lost = store.chunk_path(chunk(3)[1])
    lost.rename(lost.with_name(lost.name + '.0.bad'))
    paths = [f'{s[0]}/{s[1]}/{time_text(s[2])}/a.img.fidx' for s in (a, b)]
    for options in ['--dry-run'], []:
        upid = start(val, *options)
        lines = finish(val, upid)
        assert lines[-1] == 'TASK WARNINGS: 3'
        found = [line for line in lines if 'is missing, required by' in line]
        assert len(found) == 2
        assert any(chunk(2)[1].hex() in line and paths[0] in line
                   for line in found)
        assert any(chunk(3)[1].hex() in line and
                   (paths[0] in line or paths[1] in line) for line in found)
        assert any('2 chunks are missing that 2 index files refer to' in line
                   for line in lines)
    assert has(val, 1, 4, 500) == [True, True, False]
    assert status(val)['last']['upid'] == upid
    # Any upload heals them.
    backup(val, new_group(), [2, 3])
    collect(val)
    assert has(val, 1, 2, 3, 4) == [True] * 4


def test_a_chunk_that_cannot_be_looked_at_stays(val):
    """The others go."""
    forget(val, backup(val, new_group(), [620, 621]))
    make_old(val)
    val.faults.fail_checks(chunk(620)[1])
    lines = finish(val, start(val))
    assert lines[-1] == 'TASK WARNINGS: 1'
    name = chunk(620)[1].hex()
    assert [x for x in lines if name in x] == [
        f'WARN: look at chunk {name}: Input/output error: it stays']
    assert has(val, 620, 621) == [True, False]
    val.faults.clear()
    collect(val)
    assert has(val, 620) == [False]


def known_damage(inst):
    """How many chunks are known to be damaged or missing."""
    return inst.admin_json('datastore', 'list')[0]['damaged-chunks']


def listed_backup(inst, numbers):
    """The same as backup(), with a manifest by which it can be verified."""
    snap = new_group()
    w = Worker(inst).open(snap)
    upload_image(w, 'a.img.fidx', [chunk(n) for n in numbers])
    w.put_blob('index.json.blob', manifest(snap, [{
        'filename': 'a.img.fidx', 'crypt-mode': 'none',
        'size': len(numbers) * CHUNK,
        'csum': fixed_csum([chunk(n)[1] for n in numbers]).hex()}]))
    w.finish()
    w.close()
    return snap


def verify(inst, snapshot):
    """Of one that has bad or missing chunks."""
    upid = inst.admin('verify', 'store', '--snapshot',
                      f'{snapshot[0]}/{snapshot[1]}/'
                      f'{time_text(snapshot[2])}').strip()
    assert finish(inst, upid)[-1].startswith('TASK ERROR: ')


def test_damage_that_nobody_needs_is_forgotten(val):
    store = val.store()
    a, b = (listed_backup(val, numbers)
            for numbers in ([600, 601, 602], [602]))
    store.remove_chunk(chunk(600)[1])
    store.remove_chunk(chunk(602)[1])
    path = store.chunk_path(chunk(601)[1])
    path.write_bytes(b'x' * path.stat().st_size)
    verify(val, a)
    assert known_damage(val) == 3
    finish(val, start(val))
    assert known_damage(val) == 3, 'all are referred to'
    forget(val, a)
    finish(val, start(val, '--dry-run'))
    assert known_damage(val) == 3
    assert 'Forgot damaged or missing chunks that nothing refers to: 2' in \
        finish(val, start(val))
    assert known_damage(val) == 1
    forget(val, b)
    collect(val)
    assert known_damage(val) == 0
    # Another start of the validator knows no more.
    val.restart_validator()
    assert known_damage(val) == 0


def test_damage_found_during_a_collection_is_kept(val):
    """Its index may have come and gone unseen; the next one forgets it."""
    snap = listed_backup(val, [610])
    val.store().remove_chunk(chunk(610)[1])
    upid = start_held(val, 'list')
    verify(val, snap)
    forget(val, snap)
    assert go_on(val, 'list', upid)[-1] == 'TASK OK'
    assert known_damage(val) == 1
    collect(val)
    assert known_damage(val) == 0


def test_index_outside_of_the_scheme_counts(val):
    snap = backup(val, new_group(), [40])
    store = val.store()
    kept = store.path / 'somewhere'
    kept.mkdir()
    shutil.copy(store.snapshot_path(snap) / 'a.img.fidx', kept)
    forget(val, snap)
    make_old(val)
    lines = collect(val)
    assert has(val, 40) == [True]
    assert 'found (and marked) 1 index files outside of expected directory ' \
        'scheme' in lines
    shutil.rmtree(kept)
    collect(val)
    assert has(val, 40) == [False]


@pytest.mark.parametrize('damage', ['truncated', 'flipped bit', 'folder',
                                    'link', 'unreadable folder'])
def test_index_that_cannot_be_read_stops_it(val, damage):
    forget(val, backup(val, new_group(), [50]))
    snap = backup(val, new_group(), [51])
    make_old(val)
    path = val.store().snapshot_path(snap) / 'a.img.fidx'
    kept = path.with_name('kept')
    shutil.copy(path, kept)
    if damage == 'truncated':
        os.truncate(path, 4000)
    elif damage == 'flipped bit':
        data = bytearray(path.read_bytes())
        data[4100] ^= 1
        path.write_bytes(data)
    elif damage == 'folder':
        path.unlink()
        path.mkdir()
    elif damage == 'link':
        path.unlink()
        path.symlink_to('kept')
    else:
        (path.parent / 'locked').mkdir(mode=0)
    lines = finish(val, start(val))
    was = has(val, 50, 51)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    if damage == 'unreadable folder':
        (path.parent / 'locked').rmdir()
    path.unlink(missing_ok=True)
    shutil.copy(kept, path)
    kept.unlink()
    assert lines[-1].startswith('TASK ERROR: '), lines
    assert snap[1] in lines[-1]
    assert was == [True, True], 'nothing is removed'
    collect(val)
    assert has(val, 50, 51) == [False, True]


# ---- while backups run


@pytest.mark.parametrize('waits, remove', [('check', forget),
                                           ('commit', prune)],
                         ids=['forget', 'prune'])
@pytest.mark.parametrize('opened, asked, ended',
                         itertools.combinations_with_replacement(STEPS, 3))
def test_base_goes_during_collection(val, opened, asked, ended, waits, remove):
    """The race of the original server: a backup that refers to the chunks of
    its base begins, waits to be finished, and ends, and the base goes, while a
    collection is at any of its steps."""
    base = backup(val, new_group(), range(100, 104))
    make_old(val)
    for step in steps_of_a_collection(val):
        if step == opened:
            if waits == 'check':
                val.faults.hold_checks(chunk(100)[1])
            w, snap = incremental(val, base, [100, 101], new=[108])
        if step == asked:
            if waits == 'commit':
                val.faults.hold_sync = 1
            answer = w.send('FINISH')
            held = 'check_held' if waits == 'check' else 'sync_held'
            assert wait_for(lambda: getattr(val.faults, held))
        if step == ended:
            val.faults.clear()
            w.wait(answer)
            w.close()
            remove(val, base)
    assert has(val, 100, 101, 108) == [True] * 3
    collect(val)
    assert has(val, 100, 101, 102, 103, 108) == [True, True, False, False, True]
    forget(val, snap)


@pytest.mark.parametrize('step', STEPS)
def test_chain_of_backups_during_collection(val, step):
    """Each backup is the next one's base, and goes at once."""
    n = 200 + 10 * STEPS.index(step)
    base = backup(val, new_group(), [n])
    make_old(val)
    upid = start_held(val, step)
    for k in range(1, 4):
        w, snap = incremental(val, base, range(n, n + k), new=[n + k])
        w.finish()
        w.close()
        forget(val, base)
        base = snap
    assert go_on(val, step, upid)[-1] == 'TASK OK'
    assert has(val, *range(n, n + 4)) == [True] * 4
    forget(val, base)


@pytest.mark.parametrize('step', STEPS)
def test_open_session_over_the_collection(val, step):
    """Opened before it, or while it runs; finished after it."""
    n = 300 + 10 * STEPS.index(step)
    base = backup(val, new_group(), [n, n + 1])
    make_old(val)
    before, snap1 = incremental(val, base, [n], new=[n + 5])
    base2 = backup(val, new_group(), [n + 2])
    upid = start_held(val, step)
    during, snap2 = incremental(val, base2, [n + 2], new=[n + 6])
    assert go_on(val, step, upid)[-1] == 'TASK OK'
    for w in before, during:
        w.finish()
        w.close()
    assert has(val, n, n + 1, n + 2, n + 5, n + 6) == [True] * 5
    for s in base, base2, snap1, snap2:
        forget(val, s)


def test_deposits_of_a_session_are_marked(val):
    """Even when they look old: the clock may have been wrong."""
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, size=CHUNK)
    raw, digest = chunk(400)
    w.deposit(blob(raw), digest, len(raw), 1)
    make_old(val)
    collect(val)
    assert has(val, 400) == [True]
    w.close()
    sessions = val.store().path / '.holdfast/sessions'
    assert wait_for(lambda: not any(sessions.iterdir()))
    collect(val)
    assert has(val, 400) == [False]


def test_upload_of_an_unused_chunk_during_the_sweep(val):
    """It is there, so it is not written again; its time says that it is in
    use."""
    forget(val, backup(val, new_group(), [410]))
    make_old(val)
    upid = start_held(val, 'sweep')
    snap = backup(val, new_group(), [410])
    assert go_on(val, 'sweep', upid)[-1] == 'TASK OK'
    assert has(val, 410) == [True]
    forget(val, snap)


# ---- clocks


@pytest.mark.parametrize('word, value, text', [
    ('deaf', 1, 'its file system does not keep access times that are set'),
    ('disk', -HOUR, r"the clock of its disk is 360\d s behind this host's"),
    ('disk', HOUR, r"the clock of its disk is 360\d s ahead of this host's"),
])
def test_times_that_prove_nothing(val, word, value, text):
    """Nothing is removed, whether it is seen first or before the sweep."""
    forget(val, backup(val, new_group(), [600]))
    make_old(val)
    for begun in False, True:
        upid = start_held(val, 'marked') if begun else None
        val.turns.set(word, value)
        lines = go_on(val, 'marked', upid) if begun else \
            finish(val, start(val))
        assert re.match("TASK ERROR: cannot collect garbage in datastore "
                        f"'store': {text}", lines[-1])
        val.turns.set(word, 0)
    assert has(val, 600) == [True]
    collect(val)
    assert has(val, 600) == [False]


def test_clocks_may_differ_by_the_margin(val):
    forget(val, backup(val, new_group(), [610]))
    make_old(val)
    val.turns.set('disk', 60 - MARGIN)
    collect(val)
    assert has(val, 610) == [False]


@pytest.mark.parametrize('seconds', [HOUR, MARGIN - 60])
def test_clock_that_is_set_back(val, seconds):
    """What is stored from then on looks old, which the margin makes good or
    not."""
    forget(val, backup(val, new_group(), [620]))
    make_old(val)
    upid = start_held(val, 'sweep')
    val.turns.set_clock(val.turns.now() - seconds)
    snap = backup(val, new_group(), [621])
    now = val.turns.now()
    os.utime(val.store().chunk_path(chunk(621)[1]), (now, now))
    lines = go_on(val, 'sweep', upid)
    if seconds == HOUR:
        assert lines[-1] == 'TASK ERROR: the clock was set back while the ' \
            'collection ran'
        assert has(val, 620, 621) == [True, True]
    else:
        assert lines[-1] == 'TASK OK'
        assert has(val, 620, 621) == [False, True]
    val.turns.set_right()
    forget(val, snap)


# ---- the task


def test_one_at_a_time(val):
    upid = start_held(val, 'list')
    r = val.admin('gc', 'start', 'store', check=False)
    assert r.returncode
    assert 'garbage collection already running' in r.stderr
    f = failure(Worker(val).call, 'GC_START')
    assert f.text == 'garbage collection already running'
    s = status(val)
    assert s['running'] and s['upid'] == upid
    go_on(val, 'list', upid)


def test_call(val):
    assert failure(Worker(val).call, 'GC_START', privs=0).code == 'PERM'
    msg = Worker(val).call('GC_START', 'm@pbs', privs=MODIFY)
    upid = msg['text']
    assert ':garbage_collection:store:m@pbs:' in upid
    assert finish(val, upid)[-1] == 'TASK OK'


def test_stopped(val):
    forget(val, backup(val, new_group(), [420]))
    make_old(val)
    upid = start_held(val, 'sweep')
    val.admin('task', 'stop', upid)
    assert go_on(val, 'sweep', upid)[-1] == 'TASK ERROR: task aborted'
    assert has(val, 420) == [True]


def test_killed_job_ends_the_task(val):
    upid = start_held(val, 'mark')
    pid, = jobs(val)
    os.kill(pid, signal.SIGKILL)
    lines = finish(val, upid)
    assert lines[-1] == 'TASK ERROR: job process ended: killed by signal 9 '\
        '(Killed)'
    hold(val, 'mark').unlink()
    assert wait_for(lambda: not jobs(val))
    collect(val)


@pytest.mark.parametrize('signo', [signal.SIGTERM, signal.SIGKILL])
def test_ends_with_the_validator(val, signo):
    upid = start_held(val, 'mark')
    pid, = jobs(val)
    if signo == signal.SIGTERM:
        val.end('validator')
    else:
        val.kill_validator()
    assert wait_for(lambda: not start_time(pid))
    val.start_validator()
    assert finish(val, upid)[-1] == 'TASK ERROR: the server ended'
    hold(val, 'mark').unlink()
    assert not status(val)['running']
    collect(val)


def test_refused_in_maintenance(val):
    path = val.etc / 'datastores.d' / 'store.conf'
    old = path.read_text()
    path.write_text(old.rstrip().rstrip('}') + 'maintenance = read-only\n}\n')
    try:
        val.kill('validator', signal.SIGHUP)
        assert wait_for(lambda: 'read-only maintenance mode' in val.admin(
            'gc', 'start', 'store', check=False).stderr)
    finally:
        path.write_text(old)
        val.kill('validator', signal.SIGHUP)
    assert wait_for(lambda: val.admin('gc', 'start', 'store',
                                      check=False).returncode == 0)
