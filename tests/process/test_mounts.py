"""Datastores on file systems of their own, which are really full or really
read-only.  Root only, in a mount namespace that ends with the tests."""

import ctypes
import json
import os
import subprocess

import pytest

import conftest
import pbs
from instance import wait_for
from pbs import CHUNK, PbsError
from store import time_text

CLONE_NEWNS = 0x20000
MIB = 1 << 20
SIZE = 128 * MIB
NAME = 'disk.img.fidx'
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(*args):
    return subprocess.run(['mount', *map(str, args)],
                          capture_output=True).returncode == 0


@pytest.fixture(scope='module')
def own_mounts():
    """Mounts that nobody else sees."""
    if os.getuid() != 0:
        pytest.skip('needs root')
    if LIBC.unshare(CLONE_NEWNS) != 0 or not mount('--make-rprivate', '/'):
        pytest.skip('no mount namespaces here')


@pytest.fixture(scope='module')
def instance(own_mounts):
    """An instance whose datastore lies on a small file system."""
    inst = conftest.TestInstance(conftest.make_folder())
    path = inst.stores / 'store'
    path.mkdir(parents=True)
    if not mount('-t', 'tmpfs', '-o', f'size={SIZE},mode=0755', 'tmpfs',
                 path):
        pytest.skip('cannot mount')
    try:
        inst.start(store_options={'min-free': '0'})
        yield inst
        inst.stop()
        conftest.check_store(inst)
    finally:
        inst.stop()
        subprocess.run(['umount', '-l', path], check=True)
        inst.remove()


@pytest.fixture
def full(store):
    """full(left): the file system has only so many bytes left; full(None):
    as before."""
    filler = store.path / 'filler'

    def make(left):
        filler.unlink(missing_ok=True)
        if left is None:
            return
        v = os.statvfs(store.path)
        with open(filler, 'wb') as f:
            os.posix_fallocate(f.fileno(), 0,
                               v.f_bavail * v.f_frsize - left)
    yield make
    make(None)


class Disk:
    """A file that is backed up by the client."""

    def __init__(self, inst, snapshot, path, data):
        self.inst, self.snapshot, self.path = inst, snapshot, path
        path.write_bytes(data)
        self.last = snapshot()

    def backup(self, check=True):
        """The result, or the failed process."""
        self.last = self.snapshot(self.last)
        r = self.inst.client(
            'backup', f'disk.img:{self.path}', '--backup-id', self.last[1],
            '--backup-time', self.last[2], '--output-format', 'json',
            check=check)
        return json.loads(r.stdout) if r.returncode == 0 else r

    def is_whole(self):
        with self.inst.reader(self.last) as reader:
            return reader.image(NAME) == self.path.read_bytes()


@pytest.fixture
def disk(instance, snapshot, folder, image):
    def make(chunks, seed):
        return Disk(instance, snapshot, folder / 'disk',
                    image(chunks, seed=seed))
    return make


def is_clean(inst, store, snap):
    return wait_for(lambda: not inst.locks(snap) and not store.leftovers())


def test_full_in_the_middle_of_a_backup(instance, store, full, disk, image):
    d = disk(3, seed=1)
    d.backup()
    first, old = d.last, d.path.read_bytes()
    d.path.write_bytes(old + image(4, seed=2))
    full(9 * MIB)
    r = d.backup(check=False)
    assert r.returncode == 1 and 'No space left on device' in r.stderr
    assert not store.snapshot_path(d.last).exists()
    assert is_clean(instance, store, d.last)
    assert store.verify_state(first) is None
    # What is there can be read meanwhile.
    with instance.reader(first) as reader:
        assert reader.image(NAME) == old
    full(None)
    assert d.backup()['chunks-reused'] == 3
    assert d.is_whole()


def test_the_reserve_is_not_used(instance, store, full, disk, image, snapshot):
    """Uploads end before; and with less, a backup does not even begin."""
    reserve = 20 * MIB
    instance.change_options({}, {'min-free': '20M'})
    instance.restart_validator()
    try:
        d = disk(1, seed=7)
        d.backup()
        first = d.last
        d.path.write_bytes(image(4, seed=8))
        full(reserve + 10 * MIB)
        # It asks the disk once a second.
        instance.restart_validator()
        r = d.backup(check=False)
        assert r.returncode == 1 and 'full up to its reserve' in r.stderr
        v = os.statvfs(store.path)
        # Indexes and folders may take a little of it.
        assert v.f_bavail * v.f_frsize > reserve - MIB
        assert is_clean(instance, store, d.last)
        full(reserve - 2 * MIB)
        assert wait_for(lambda: 'min-free' in refused(instance, snapshot()))
        instance.client('snapshot', 'forget', f'{first[0]}/{first[1]}/'
                        f'{time_text(first[2])}')
        assert not store.snapshot_path(first).exists()
        upid = instance.admin_json('gc', 'start', 'store')['upid']
        assert wait_for(lambda: 'TASK OK' in instance.admin(
            'task', 'log', upid))
        full(None)
        assert wait_for(lambda: refused(instance, snapshot()) == '')
    finally:
        instance.change_options({}, {'min-free': '0'})
        instance.restart_validator()
    assert d.backup()['chunks-reused'] == 0
    assert d.is_whole()


def refused(inst, snap):
    """Why a backup cannot begin; the validator asks the disk once a second."""
    try:
        inst.backup(snap).close()
    except PbsError as error:
        return error.text
    return ''


def test_full_at_finish(instance, store, full, disk, snapshot, image):
    d = disk(2, seed=3)
    d.backup()
    first, data = d.last, d.path.read_bytes()
    second = snapshot(first)
    with instance.backup(second) as session:
        session.backup_images({NAME: data}, incremental=True, finish=False)
        full(0)
        with pytest.raises(PbsError, match='No space left on device'):
            session.finish()
        assert not store.snapshot_path(second).exists()
        assert store.verify_state(first) is None
        # The session is still open: once there is room, it ends well.
        full(None)
        session.finish()
    with instance.reader(second) as reader:
        assert reader.image(NAME) == data


def test_full_when_a_chunk_is_missing(instance, store, full, disk, snapshot):
    """Then the base cannot be marked, and the client is told that too."""
    d = disk(2, seed=4)
    d.backup()
    first = d.last
    victim = pbs.sha256(d.path.read_bytes()[:CHUNK])
    store.remove_chunk(victim)
    with instance.backup(snapshot(first)) as session:
        full(0)
        session.previous(NAME)
        text = session.wait_aborted()
    assert victim.hex() in text
    assert 'marking the previous snapshot as bad failed' in text
    assert 'No space left on device' in text
    assert store.verify_state(first) is None
    full(None)
    r = d.backup(check=False)
    assert victim.hex() in r.stderr
    assert 'previous snapshot was marked as bad' in r.stderr
    assert store.verify_state(first)['state'] == 'failed'
    assert d.backup()['chunks-reused'] == 0
    assert d.is_whole()


def test_read_only_from_the_start(instance, store, disk):
    d = disk(2, seed=5)
    d.backup()
    first = d.last
    instance.end('validator')
    assert mount('-o', 'remount,ro', store.path)
    try:
        instance.start_validator()
        r = d.backup(check=False)
        assert r.returncode == 1 and 'Read-only file system' in r.stderr
        row, = instance.admin_json('datastore', 'list')
        assert row['state'] == 'refused'
        assert 'Read-only file system' in row['reason']
    finally:
        instance.end('validator')
        assert mount('-o', 'remount,rw', store.path)
        instance.start_validator()
    assert store.verify_state(first) is None
    assert d.backup()['chunks-reused'] == 2
    assert d.is_whole()


def test_unmounted_while_it_runs(instance, store, disk, snapshot):
    """Something else is mounted above it: not a missing chunk."""
    d = disk(2, seed=6)
    d.backup()
    first = d.last
    chunk = store.chunk_path(pbs.sha256(d.path.read_bytes()[:CHUNK]))
    with instance.backup(snapshot(first)) as session:
        chunk.rename(store.path / 'kept')
        assert mount('-t', 'tmpfs', '-o', 'size=1M', 'tmpfs', store.path)
        try:
            session.previous(NAME)
            assert 'not mounted' in session.wait_aborted()
        finally:
            subprocess.run(['umount', '-l', store.path], check=True)
            (store.path / 'kept').rename(chunk)
    assert store.verify_state(first) is None
    assert d.backup()['chunks-reused'] == 2
    assert d.is_whole()
