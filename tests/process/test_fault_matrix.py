"""Every process dies, or stands still, at every state of a backup and of a
restore.  After each: no false success, no stuck lock, nothing left over, and
the next backup works (docs/reliability.md).

With HOLDFAST_LONG=1 each process is hit at every point instead of every third,
and stands still for 30 s instead of a moment.
"""

import contextlib
import itertools
import os
import signal
import threading
import time

import pytest

import pbs
from instance import wait_for
from pbs import PbsError
from test_resume import kill_worker
from test_server import auth, children, workers

NAME = 'root.pxar.didx'
SEEDS = itertools.count(1)
LONG = bool(os.environ.get('HOLDFAST_LONG'))
PAUSE = 30 if LONG else 0.3
# A killed spare worker is not replaced at once: few of them.
INSTANCE = {'server_options': {'spare-workers': 2}}


def new_pieces():
    n = next(SEEDS)
    return [b'%d %d ' % (n, i) * 400 for i in range(4)]


class Backup:
    """One backup, step by step: it reuses two chunks of its base."""

    def __init__(self, inst, snap, pieces):
        self.snap = snap
        self.pieces = pieces
        self.session = inst.backup(snap)

    def base_read(self):
        self.known = {d for _, d in
                      pbs.parse_dynamic(self.session.previous(NAME))[1]}

    def index_created(self):
        self.wid = self.session.create_dynamic(NAME)

    def chunks_stored(self):
        for piece in self.pieces:
            if pbs.sha256(piece) not in self.known:
                self.session.chunk('dynamic', self.wid, piece)

    def entries_appended(self):
        self.ends = list(itertools.accumulate(map(len, self.pieces)))
        self.digests = [pbs.sha256(p) for p in self.pieces]
        self.session.append('dynamic', self.wid, self.digests,
                            [0] + self.ends[:-1])

    def index_closed(self):
        self.csum = pbs.dynamic_csum(list(zip(self.ends, self.digests)))
        self.session.close_index('dynamic', self.wid, len(self.ends),
                                 self.ends[-1], self.csum)

    def manifest_stored(self):
        m = pbs.Manifest(self.snap)
        m.add(NAME, self.ends[-1], self.csum)
        self.session.blob('index.json.blob', m.blob())

    def finished(self):
        self.session.finish()

    def run(self, before=lambda point: None, steps=None):
        for point, step in enumerate(self.STEPS[:steps]):
            before(point)
            step(self)

    STEPS = (base_read, index_created, chunks_stored, entries_appended,
             index_closed, manifest_stored, finished)
    # Before each of them; at 0 the session was just opened.
    POINTS = range(len(STEPS))


@contextlib.contextmanager
def backup(inst, group):
    snap, pieces = group()
    b = Backup(inst, snap, pieces)
    try:
        yield b
    finally:
        b.session.close()


@pytest.fixture(scope='module')
def group(instance):
    """group(): a new snapshot of the group, and what it shall hold."""
    old = new_pieces()
    times = itertools.count(1800000000)
    with instance.backup(('host', 'matrix', next(times))) as session:
        session.backup_dynamic(NAME, old)

    def make():
        return (('host', 'matrix', next(times)), old[:2] + new_pieces()[:2])
    return make


def whole(inst, snap, pieces):
    with inst.reader(snap) as reader:
        return reader.dynamic(NAME) == b''.join(pieces)


def at_rest(inst, snap):
    """Nothing is locked, and nothing is left of a session."""
    return wait_for(lambda: not inst.locks(snap)) and \
        wait_for(lambda: not list(inst.store().session_folders()))


def next_backup_works(inst, group):
    with backup(inst, group) as b:
        b.run()
    assert whole(inst, b.snap, b.pieces)
    return b


# ---- deaths that a session does not notice

def kill_validator(inst):
    inst.kill_validator()
    inst.start_validator()


def kill_auth(inst):
    old = auth(inst)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: auth(inst) and set(auth(inst)).isdisjoint(old))
    assert wait_for(lambda: inst.answers(inst.run_dir / 'admin/auth.sock'))


def checkers(inst):
    return children(inst.pid('validator'), 'holdfast-checker')


def kill_checkers(inst):
    """Between two requests: during one, that one fails (test_resume.py)."""
    old = checkers(inst)
    for pid in old:
        with contextlib.suppress(ProcessLookupError):  # ended by itself
            os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: set(checkers(inst)).isdisjoint(old))


def kill_master(inst):
    inst.kill('server', signal.SIGKILL)

    def gone():
        inst.reap('server')
        return not inst.is_running('server')
    assert wait_for(gone)
    inst.start_server()


def pause(inst, pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(PAUSE)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def pause_validator(inst):
    pause(inst, [inst.pid('validator')])


def pause_auth(inst):
    pause(inst, auth(inst))


def pause_workers(inst):
    pause(inst, workers(inst))


def pause_checkers(inst):
    pause(inst, checkers(inst))


def pause_master(inst):
    pause(inst, [inst.pid('server')])


HARMLESS = (kill_validator, kill_auth, kill_checkers, kill_master,
            pause_validator, pause_auth, pause_workers, pause_checkers,
            pause_master)


def hit(inst, fault, point):
    if LONG or (point + HARMLESS.index(fault)) % 3 == 0:
        fault(inst)


@pytest.mark.parametrize('fault', HARMLESS, ids=lambda f: f.__name__)
def test_backup_goes_on(instance, group, fault):
    with backup(instance, group) as b:
        b.run(lambda point: hit(instance, fault, point))
    assert at_rest(instance, b.snap)
    assert whole(instance, b.snap, b.pieces)


@pytest.mark.parametrize('fault', HARMLESS, ids=lambda f: f.__name__)
def test_restore_goes_on(instance, group, fault):
    with backup(instance, group) as b:
        b.run()
    with instance.reader(b.snap) as reader:
        hit(instance, fault, 0)
        entries = pbs.parse_dynamic(reader.download(NAME))[1]
        for point, piece in enumerate(b.pieces, 1):
            hit(instance, fault, point)
            digest = entries[point - 1][1]
            assert pbs.unblob(reader.chunk(digest)) == piece
    assert wait_for(lambda: not instance.locks(b.snap))


# ---- deaths that end it

@pytest.mark.parametrize('point', Backup.POINTS)
def test_killed_worker_ends_its_backup_only(instance, group, point):
    with backup(instance, group) as b:
        b.run(steps=point)
        kill_worker(instance, b.session)
        with pytest.raises((pbs.ConnectionLost, OSError, PbsError)):
            Backup.STEPS[point](b)
    assert at_rest(instance, b.snap)
    assert not instance.store().snapshot_path(b.snap).exists()
    next_backup_works(instance, group)


# ---- all at once

def test_restarts_under_load(instance, image):
    """Eight clients back up, again and again, while every service is
    restarted; nobody is told anything but success."""
    stop, problems, done = threading.Event(), [], []

    def back_up(snap, pieces):
        """Whether it is there; what the test does may cost it."""
        try:
            session = instance.backup(snap)
        except PbsError as error:
            # What only begins may be asked to come again.
            assert error.status == 503, error
            return False
        try:
            with session:
                session.backup_dynamic(NAME, pieces)
        except PbsError as error:
            # A killed checker costs what it was judging.
            assert any(text in str(error) for text in (
                'the checker ended', 'checking the data ended')), error
            return False
        return True

    def client(n):
        try:
            for when in itertools.count(1850000000):
                if stop.is_set():
                    return
                snap, pieces = ('host', f'load{n}', when), new_pieces()
                if back_up(snap, pieces):
                    done.append((snap, pieces))
        except Exception as error:  # told by the test itself
            problems.append(f'{n}: {error!r}')
    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    try:
        for restart in (instance.restart_validator, kill_validator_of(
                instance), lambda: kill_checkers(instance)):
            seen = len(done)
            restart()
            assert wait_for(lambda: len(done) >= seen + 8 or problems)
    finally:
        stop.set()
        for t in threads:
            t.join(120)
    assert not any(t.is_alive() for t in threads)
    assert problems == []
    assert len(done) >= 24
    for snap, pieces in done[-8:]:
        assert whole(instance, snap, pieces)
    assert wait_for(lambda: not instance.admin_json('lock', 'list'))
    # After all that: only chunks that were being written may be left.
    assert [p for p in instance.store().leftovers()
            if '.chunks' not in p.parts] == []


def kill_validator_of(inst):
    return lambda: kill_validator(inst)
