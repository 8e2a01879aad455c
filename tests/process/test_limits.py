"""What one tenant may take at a time, so that there is some for the others:
sessions, bytes in flight, connections, failed logins."""

import itertools
import threading

import pytest

from instance import wait_for
from pbs import CHUNK, PbsError, blob, sha256
from vtools import backup, chunk, failure, lent, make_validator, new_group
from vworker import READER, Closed, Failed, Worker

INSTANCE = {'server_options': {'max-connections-per-user': 2,
                               'login-failures-per-address': 3}}
ONE, TOKEN, OTHER = 'one@pbs', 'one@pbs!tok', 'other@pbs'


@pytest.fixture(scope='module')
def val(request):
    inst = make_validator({'max-sessions-per-user': 3,
                           'max-inflight-per-user': '128M'})
    with lent(inst, request):
        yield inst


def open_fails(val, *args, **more):
    w = Worker(val)
    error = failure(w.open, *args, **more)
    w.close()
    assert error.code == 'LIMIT'
    return error.text


def opens(val, *args, **more):
    try:
        return Worker(val).open(*args, **more)
    except Failed:
        return None


def test_sessions_and_bytes_of_a_user(val):
    snap = new_group()
    backup(val, snap, [1], auth_id=ONE)
    held = [Worker(val).open(new_group(), auth_id=ONE),
            Worker(val).open(new_group(), auth_id=TOKEN)]
    # Two arenas of 64 MiB are all that may be in flight.
    for who in (ONE, TOKEN):
        assert 'max-inflight-per-user' in \
            open_fails(val, new_group(), auth_id=who)
    held.append(Worker(val).open(snap, READER, auth_id=ONE))
    assert 'max-sessions-per-user' in \
        open_fails(val, snap, READER, auth_id=ONE)
    # Somebody else feels nothing of it.
    backup(val, new_group(), [2], auth_id=OTHER)
    held.pop(0).close()
    held.append(wait_for(lambda: opens(val, new_group(), auth_id=TOKEN)))
    assert held[-1]
    for w in held:
        w.close()


class Flood(threading.Thread):
    """A session that uploads as much as it can."""

    def __init__(self, val, numbers):
        super().__init__()
        self.worker = Worker(val).open(new_group(), auth_id=ONE)
        self.worker.create('a.img.fidx', 1, 1 << 40)
        self.numbers = numbers
        self.done = 0
        self.going = True

    def send(self):
        raw = next(self.numbers).to_bytes(8, 'little') * (CHUNK // 8)
        return self.worker.deposit_send(blob(raw), sha256(raw), CHUNK)

    def run(self):
        try:
            waiting = [self.send() for _ in range(8)]
            while self.going:
                self.worker.deposit_wait(waiting.pop(0))
                self.done += 1
                waiting.append(self.send())
        except Closed:
            pass
        self.worker.close()


def test_a_tenant_at_its_limit_does_not_stop_another(val):
    """Sessions share a store's threads evenly, whatever each has waiting."""
    numbers = itertools.count(1000)
    floods = [Flood(val, numbers) for _ in range(2)]
    for f in floods:
        f.start()
    try:
        assert wait_for(lambda: all(f.done > 4 for f in floods))
        w = Worker(val).open(new_group(), auth_id=OTHER)
        w.create('a.img.fidx', 1, 10 * CHUNK)
        chunks = [(blob(raw), d) for raw, d in map(chunk, range(100, 110))]
        before = [f.done for f in floods]
        for encoded, d in chunks:
            w.deposit(encoded, d, CHUNK)
        during = [f.done - n for f, n in zip(floods, before)]
        assert all(f.is_alive() for f in floods)
        w.close()
    finally:
        for f in floods:
            f.going = False
        for f in floods:
            f.join(60)
    # Ten chunks of the other; each flood keeps eight on their way.
    assert all(n < 10 * 10 for n in during)


def passes(connect):
    try:
        return ping(connect())
    except PbsError:
        return None


def ping(conn):
    """A request that needs to know who asks."""
    return conn.get('admin/datastore/store/status')


def test_connections_of_a_user(instance):
    conns = [instance.login(), instance.token()]
    for conn in conns:
        ping(conn)
    third = instance.login()
    with pytest.raises(PbsError, match='too many connections') as info:
        ping(third)
    assert info.value.status == 503
    ping(conns[0])
    ping(instance.login2())
    conns[1].close()
    assert wait_for(lambda: passes(lambda: third))
    for conn in (conns[0], third):
        conn.close()


def test_failed_logins_of_an_address(instance):
    def guess(user):
        with pytest.raises(PbsError):
            instance.login(user, 'wrong password')
    threads = [threading.Thread(target=guess, args=(f'nobody{i}@pbs',))
               for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    # Whoever it is, and with the right password.
    with pytest.raises(PbsError, match='too many failed logins') as info:
        instance.login2()
    assert info.value.status == 401
    # Tokens and tickets cannot be guessed.
    assert wait_for(lambda: passes(instance.token))
