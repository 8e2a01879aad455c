"""A power cut at any moment, in the manner of ALICE: what a validator does to
its disk is recorded once; then disks are made as a power cut behind each of
its operations may leave them (powercut/crash.py).  On each, what was answered
is there and whole, and a validator that is started on it goes on.

HOLDFAST_STATES=N looks at more of them than usual, HOLDFAST_SEED=N at others;
HOLDFAST_LONG=1 also takes every one that one change lost or alone makes.
"""

import os
import pathlib
import shutil

import pytest

from instance import DAEMON_USERS, wait_for
from powercut import crash, workload
from powercut.expected import look
from powercut.recording import (SYNC_ALL, SYNC_FILE, Recording, build)
from powercut.workload import Workload, back_up, piece, restore, whole
from vtools import prepare_small_validator

LONG = bool(os.environ.get('HOLDFAST_LONG'))
SEED = int(os.environ.get('HOLDFAST_SEED', '1'))
# A validator is started on so many; of many more the disk is read.
STATES = int(os.environ.get('HOLDFAST_STATES', '14'))
READ_ONLY_STATES = 40 * STATES


class Crashed:
    """The recording, and the instance on whose folders disks are made."""

    def __init__(self, inst):
        self.inst = inst
        self.library = build(inst.dir)
        self.store = inst.stores / 'store'
        tasks = inst.log / 'tasks'
        tasks.mkdir()
        self.owner = DAEMON_USERS[2] if os.getuid() == 0 else None
        if self.owner:
            shutil.chown(tasks, self.owner, self.owner)
        self.folders = (self.store, inst.dir / 'state', inst.run_dir, tasks)
        self.boot = pathlib.Path(
            '/proc/sys/kernel/random/boot_id').read_bytes().strip()

    def preload(self, **more):
        self.inst.environment = {
            'LD_PRELOAD': str(self.library),
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
            ':verify_asan_link_order=0', **more}

    def record(self):
        self.recording = Recording(self.inst.dir / 'record', self.folders)
        self.preload(**self.recording.environment)
        w = Workload(self.inst, self.recording)
        self.expected = w.expected
        self.inst.start_validator()
        w.run()
        self.inst.end('validator')
        self.recording.read()
        self.recording.settle()
        self.preload(HOLDFAST_RECORD_CTIME='1')

    # ---- states

    def some_states(self, n):
        return crash.some_states(self.recording, n, SEED)

    def every_state(self):
        return crash.every_state(self.recording)

    def violations(self, disk):
        return self.expected.violations(look(disk, str(self.store)), disk.cut)


@pytest.fixture(scope='module')
def crashed():
    c = Crashed(prepare_small_validator(digests=workload.digests()))
    try:
        c.record()
        yield c
    finally:
        c.inst.remove()


def test_recorded(crashed):
    """What is read off the recording is what is on the disk."""
    rec = crashed.recording
    disk = crash.Disk(rec, len(rec.ops))
    seen = look(disk, str(crashed.store))
    assert seen == look(crash.Folder(), str(crashed.store))
    assert sum(v.startswith('whole') for k, v in seen.items()
               if k.startswith('snapshot')) >= 2
    assert crashed.violations(disk) == []


def test_what_was_answered_is_whole(crashed):
    for cut, keep in crashed.every_state() if LONG else \
            crashed.some_states(READ_ONLY_STATES):
        disk = crash.Disk(crashed.recording, cut, keep)
        assert crashed.violations(disk) == [], (cut, keep)


@pytest.mark.parametrize('kinds', [{SYNC_FILE}, {SYNC_ALL}],
                         ids=['fsync', 'syncfs'])
def test_a_missing_sync_is_noticed(crashed, kinds):
    """The same states, if the validator had not called it."""
    crashed.recording.settle(ignore=kinds)
    try:
        assert any(crashed.violations(
            crash.Disk(crashed.recording, cut, keep))
            for cut, keep in crashed.some_states(READ_ONLY_STATES))
    finally:
        crashed.recording.settle()


def test_a_new_datastore_stays(crashed, monkeypatch):
    """With all its folders, and its configuration."""
    inst = crashed.inst
    rec = Recording(inst.dir / 'record-create', (inst.stores, inst.etc))
    monkeypatch.setenv('LD_PRELOAD', str(crashed.library))
    monkeypatch.setenv('HOLDFAST_RECORD', str(rec.path))
    inst.admin('datastore', 'create', 'new', inst.stores / 'new',
               '--no-restart')
    cut = rec.read()
    rec.settle()
    disk = crash.Disk(rec, cut, crash.lost)
    assert len(disk.names(inst.stores / 'new' / '.chunks')) == 65536
    assert str(inst.stores / 'new').encode() in disk.read(
        inst.etc / 'datastores.d' / 'new.conf')


# ---- a validator on such a disk

class Restarted:
    """On a disk that a power cut left; the runtime folder is in memory, or, if
    somebody put it there, on the same disk."""

    def __init__(self, crashed, disk, with_run_folder):
        self.crashed, self.disk, self.inst = crashed, disk, crashed.inst
        for folder in crashed.folders:
            disk.write(folder, (crashed.boot, b'0' * len(crashed.boot)),
                       crashed.owner)
        crash.seal_key(self.inst.dir / 'state')
        if not with_run_folder:
            shutil.rmtree(self.inst.run_dir)
            self.inst.run_dir.mkdir(mode=0o755)

    def __enter__(self):
        self.inst.start_validator()
        return self

    def __exit__(self, *_):
        self.inst.kill_validator()
        self.inst.end('validator')

    def look(self):
        return look(crash.Folder(), str(self.crashed.store))

    def is_at_rest(self):
        return wait_for(lambda: not self.inst.admin_json('lock', 'list') and
                        not list(self.inst.store().session_folders()))

    def next_backups_work(self):
        """Also with what was being stored when the power went: a name without
        its data is no duplicate."""
        for group, numbers in (('a', [0, 1, 4, 5, 50]),
                               ('z', list(range(56)))):
            snap = 'host', group, 1800000000
            back_up(self.inst, snap, numbers)
            assert restore(self.inst, snap) == \
                [workload.blob(piece(n)) for n in numbers]
            assert self.look()['snapshot ' + workload.key_of(snap)] == \
                whole(numbers)

    def jobs_end_well(self):
        for args in (('gc', 'start'), ('verify',)):
            upid = self.inst.admin(*args, 'store').split()[-1]
            status = workload.task_status(self.inst, upid)
            assert status == 'OK', '\n'.join(self.inst.task_log(upid))


def check_restart(crashed, number, cut, keep):
    disk = crash.Disk(crashed.recording, cut, keep)
    with Restarted(crashed, disk, number % 2 == 1) as r:
        assert r.is_at_rest()
        seen = r.look()
        assert crashed.expected.violations(seen, cut) == []
        r.next_backups_work()
        if number % 5 == 0:
            r.jobs_end_well()
        # What was there before has not suffered.
        after = r.look()
        for what, value in seen.items():
            if str(value).startswith('whole'):
                assert after[what] == value


def test_a_validator_goes_on(crashed):
    for number, (cut, keep) in enumerate(crashed.some_states(STATES)):
        check_restart(crashed, number, cut, keep)
