"""Every process dies, or stands still, at every state of a backup and of a
restore.  After each: no false success, no stuck lock, nothing left over, and
the next backup works (docs/reliability.md).

With HOLDFAST_LONG=1 they stand still for 30 s instead of a moment.
"""

import contextlib
import itertools

import pytest

import pbs
from deaths import (kill_auth, kill_checkers, kill_master, kill_validator,
                    pause_auth, pause_checkers, pause_master,
                    pause_validator, pause_workers)
from instance import wait_for
from pbs import PbsError
from test_resume import kill_worker

NAME = 'root.pxar.didx'
SEEDS = itertools.count(1)
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

HARMLESS = (kill_validator, kill_auth, kill_checkers, kill_master,
            pause_validator, pause_auth, pause_workers, pause_checkers,
            pause_master)


@pytest.mark.parametrize('fault', HARMLESS, ids=lambda f: f.__name__)
def test_backup_goes_on(instance, group, fault):
    with backup(instance, group) as b:
        b.run(lambda point: fault(instance))
    assert at_rest(instance, b.snap)
    assert whole(instance, b.snap, b.pieces)


@pytest.mark.parametrize('fault', HARMLESS, ids=lambda f: f.__name__)
def test_restore_goes_on(instance, group, fault):
    with backup(instance, group) as b:
        b.run()
    with instance.reader(b.snap) as reader:
        fault(instance)
        entries = pbs.parse_dynamic(reader.download(NAME))[1]
        for (_, digest), piece in zip(entries, b.pieces):
            fault(instance)
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
