"""A disk that is slow, or stands still: who uses it waits, and nobody else."""

import itertools
import os
import socket
import threading

import pytest

from conftest import show_logs
from instance import wait_for
from nthfault import Disk
from powercut.workload import PIECES, digests, piece
from vtools import prepare_small_validator

LONG = bool(os.environ.get('HOLDFAST_LONG'))
FOREVER = -1
NAME = 'root.pxar.didx'
NUMBERS = itertools.cycle(range(PIECES))


def some_pieces(n=4):
    return [piece(next(NUMBERS)) for _ in range(n)]


class Watchdog(threading.Thread):
    """What systemd hears of the validator's loop, five times a second if it
    turns."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / 'notify'))
        (folder / 'notify').chmod(0o666)
        self.environment = {'NOTIFY_SOCKET': str(folder / 'notify'),
                            'WATCHDOG_USEC': '400000'}
        self.pings = 0
        self.start()

    def run(self):
        while True:
            self.pings += b'WATCHDOG=1' in self.socket.recv(4096)

    def is_fed(self):
        seen = self.pings
        return wait_for(lambda: self.pings >= seen + 3)


@pytest.fixture(scope='module')
def inst(request):
    """Two datastores: the disk of "slow" is slowed down by inst.disk."""
    i = prepare_small_validator(digests=digests(),
                                datastores=('slow', 'fast'))
    failed = request.session.testsfailed
    try:
        i.disk = Disk(i.dir, i.stores / 'slow')
        i.watchdog = Watchdog(i.dir)
        i.environment = {**i.disk.environment, **i.watchdog.environment}
        i.start_validator()
        i.start_server_on_free_port()
        i.make_accounts()
        yield i
        if request.session.testsfailed > failed:
            show_logs(i)
    finally:
        i.disk.slow_down(0)
        i.remove()


@pytest.fixture
def slow(inst):
    yield inst.disk
    inst.disk.slow_down(0)


class Background(threading.Thread):
    """A call that takes a while; its end, or its error."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.error = call, None
        self.start()

    def run(self):
        try:
            self.call()
        except Exception as error:  # told by end()
            self.error = error

    def end(self):
        self.join(300)
        assert not self.is_alive()
        if self.error:
            raise self.error


def open_backup(inst, store, snap):
    return inst.login().backup(store, snap)


def back_up(inst, store, snap, pieces):
    with open_backup(inst, store, snap) as session:
        session.backup_dynamic(NAME, pieces)


def restored(inst, store, snap):
    with inst.login().reader(store, snap) as reader:
        return reader.dynamic(NAME)


@pytest.mark.parametrize('ms', [10, 1000, FOREVER],
                         ids=['10ms', '1s', 'forever'])
def test_others_go_on(inst, slow, snapshot, ms):
    """While a backup waits for its disk, another datastore is used, and the
    loop answers; the backup ends well once the disk does."""
    pieces, snap = some_pieces(), snapshot()
    slow.slow_down(ms)
    backup = Background(lambda: back_up(inst, 'slow', snap, pieces))
    assert wait_for(lambda: slow.get('slow'))
    for _ in range(2):
        other, their = snapshot(), some_pieces()
        back_up(inst, 'fast', other, their)
        assert restored(inst, 'fast', other) == b''.join(their)
        conn = inst.login()
        assert conn.get('version') and conn.get('admin/datastore')
        assert conn.get('admin/datastore/fast/status')
        conn.close()
        assert inst.admin_json('datastore', 'list')
        inst.admin_json('lock', 'list')
        inst.admin_json('task', 'list')
    assert inst.watchdog.is_fed()
    if ms == FOREVER:
        assert backup.is_alive() and slow.get('slow')
    if ms == FOREVER or not LONG:
        slow.slow_down(10)
    backup.end()
    assert restored(inst, 'slow', snap) == b''.join(pieces)
    assert wait_for(lambda: not inst.admin_json('lock', 'list'))


def test_a_check_on_a_slow_disk_can_be_stopped(inst, slow, snapshot):
    """A finish that waits for its reused chunks ends when it is told to, not
    when the disk has answered for each."""
    first = snapshot()
    pieces = some_pieces(PIECES)
    back_up(inst, 'slow', first, pieces)
    second = snapshot(first)
    with open_backup(inst, 'slow', second) as session:
        slow.slow_down(1000)
        known = session.previous(NAME)
        assert known
        assert wait_for(lambda: slow.get('slow'))
        stop = Background(lambda: inst.admin(
            'task', 'stop', inst.session_of(second)['upid']))
        assert session.wait_aborted() == 'task aborted'
        stop.end()
        slow.slow_down(10)
    assert wait_for(lambda: not inst.admin_json('lock', 'list'))
    # Nothing was found to be missing.
    assert inst.store('slow').verify_state(first) is None
    slow.slow_down(0)
    back_up(inst, 'slow', snapshot(first), pieces)
