"""The n-th call that changes the store fails, for each n of a backup: what is
told as finished is whole, what failed is not there, and the next backup works.

With HOLDFAST_LONG=1 every n and every error, else some.
"""

import errno
import mmap
import os
import shutil
import struct

import pytest

import pbs
from conftest import TestInstance, make_folder, show_logs
from faults import build, environment
from instance import wait_for
from pbs import PbsError
from test_fault_matrix import NAME, Backup, new_pieces, whole

LONG = bool(os.environ.get('HOLDFAST_LONG'))
SHORT_WRITE = 0
ERRORS = {'EIO': errno.EIO, 'ENOSPC': errno.ENOSPC, 'EROFS': errno.EROFS,
          'short-write': SHORT_WRITE}
STEP = 1 if LONG else 6


class Faulty(TestInstance):
    """An instance whose validator has the library."""
    __test__ = False

    def arm(self, folder):
        page = folder / 'nthfault.page'
        page.write_bytes(bytes(mmap.PAGESIZE))
        with open(page, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), 0)
        self.environment = environment(
            build(folder, 'nthfault'), NTHFAULT_PAGE=page,
            NTHFAULT_BELOW=self.stores)

    def fail_call(self, n, error):
        struct.pack_into('=iii', self.page, 0, n, error, 0)

    @property
    def hit(self):
        return struct.unpack_from('=i', self.page, 8)[0] != 0


@pytest.fixture(scope='module')
def faulty(request):
    folder = make_folder()
    inst = Faulty(make_folder())
    failed = request.session.testsfailed
    try:
        inst.arm(folder)
        inst.start()
        yield inst
        if request.session.testsfailed > failed:
            show_logs(inst)
    finally:
        inst.fail_call(0, 0)
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


def refuses_writes(inst):
    return 'poison' in str(inst.admin_json('datastore', 'list')).lower()


@pytest.mark.parametrize('name', ERRORS)
def test_nth_call_fails(faulty, name):
    old, when = new_pieces(), 1700000000
    group = f'faults-{name}'
    with faulty.backup(('host', group, when)) as session:
        session.backup_dynamic(NAME, old)
    n = 1
    while True:
        when += 1
        snap = 'host', group, when
        pieces = old[:2] + new_pieces()[:2]
        faulty.fail_call(n, ERRORS[name])
        told = attempt(faulty, snap, pieces)
        hit = faulty.hit
        faulty.fail_call(0, 0)
        there = faulty.store().snapshot_path(snap).exists()
        poisoned = refuses_writes(faulty)
        assert there or not told, f'call {n}: false success'
        assert told or not there or poisoned, f'call {n}: false failure'
        if poisoned:
            faulty.admin('datastore', 'clear', faulty.store_name)
        if there:
            assert whole(faulty, snap, pieces), f'call {n}'
        assert wait_for(lambda: not faulty.locks(snap)), f'call {n}'
        assert wait_for(
            lambda: not list(faulty.store().session_folders())), f'call {n}'
        if not hit:
            break
        n += STEP
    assert n > 10, 'the calls are counted'
    assert attempt(faulty, ('host', group, when + 1),
                   old[:2] + new_pieces()[:2])
