"""Eight clients back up, again and again, while every service is restarted,
killed and stopped: nobody is told anything but success, but that who only
begins may be asked to come again (docs/reliability.md)."""

import contextlib
import itertools
import signal
import threading

import pytest

import deaths
import pbs
from deaths import (kill_auth, kill_checkers, kill_master, kill_validator,
                    pause_auth, pause_checkers, pause_master, pause_validator,
                    pause_workers)
from instance import wait_for
from pbs import PbsError
from test_server import auth, ended, workers

NAME = 'root.pxar.didx'
CLIENTS = 8
SEEDS = itertools.count(1)
TIMES = itertools.count(1850000000)
# Of a checker that is killed; it costs what it was judging.
JUDGED = 'the checker ended', 'checking the data ended'


def restart_validator(inst):
    inst.restart_validator()


def restart_auth(inst):
    old = auth(inst)
    deaths.send(old, signal.SIGTERM)
    assert wait_for(lambda: auth(inst) and set(auth(inst)).isdisjoint(old))


def restart_server(inst):
    """As an operator does: sessions go on to their end."""
    inst.kill('server', signal.SIGTERM)
    assert ended(inst)
    inst.start_server()


def hand_over(inst):
    """As systemd does: sessions go on beside those of the next server."""
    inst.kill('server', signal.SIGUSR1)
    assert ended(inst)
    inst.start_server()


FAULTS = (restart_validator, restart_auth, restart_server, hand_over,
          kill_validator, kill_auth, kill_master, kill_checkers,
          pause_validator, pause_auth, pause_master, pause_workers,
          pause_checkers)


# Stops of 2.5 s pass these, as stops of 30 s pass the defaults.
BRIEF = {'server_options': {'handshake-timeout': '"2s"'},
         'validator_options': {'resume-time': '"2s"'}}


class Load:
    """What eight clients do until they are stopped."""

    def __init__(self, inst):
        self.inst = inst
        self.stop = threading.Event()
        self.done = []
        self.problems = []

    def begin(self, snap):
        """A session, or None where there is nobody to open one now."""
        try:
            return self.inst.backup(snap)
        except PbsError as error:
            assert error.status == 503, error
        except (OSError, pbs.ConnectionLost):
            pass  # nobody listens, or the master that accepted it died
        return None

    def back_up(self, snap, pieces):
        session = self.begin(snap)
        if session is None:
            self.stop.wait(0.05)
            return
        try:
            with session:
                session.backup_dynamic(NAME, pieces)
        except PbsError as error:
            assert any(text in str(error) for text in JUDGED), error
            return
        self.done.append((snap, pieces))

    def client(self, n):
        try:
            for when in TIMES:
                if self.stop.is_set():
                    return
                seed = next(SEEDS)
                self.back_up(('host', f'load{n}', when),
                             [b'%d %d ' % (seed, i) * 400 for i in range(4)])
        except Exception as error:  # told by the test itself
            self.problems.append(f'{n}: {error!r}')

    def goes_on(self):
        """Until each client has probably begun and finished another one."""
        seen = len(self.done)
        return wait_for(lambda: len(self.done) >= seen + CLIENTS or
                        self.problems)


@contextlib.contextmanager
def load(inst):
    it = Load(inst)
    threads = [threading.Thread(target=it.client, args=(n,))
               for n in range(CLIENTS)]
    for t in threads:
        t.start()
    try:
        assert it.goes_on()
        yield it
    finally:
        it.stop.set()
        for t in threads:
            t.join(120)
    assert not any(t.is_alive() for t in threads)


@pytest.mark.parametrize('fault', FAULTS, ids=lambda f: f.__name__)
def test_faults_under_load(instance, fault):
    with load(instance) as it:
        fault(instance)
        assert it.goes_on()
    assert it.problems == []
    for snap, pieces in it.done[-CLIENTS:]:
        with instance.reader(snap) as reader:
            assert reader.dynamic(NAME) == b''.join(pieces)
    assert wait_for(lambda: not instance.admin_json('lock', 'list'))
    # Only chunks that were being written may be left.
    assert wait_for(lambda: all('.chunks' in p.parts
                                for p in instance.store().leftovers()))


def test_stops_beyond_the_time_limits(fresh_instance, snapshot):
    inst = fresh_instance(**BRIEF)
    it = Load(inst)
    pieces = [b'%d ' % i * 400 for i in range(4)]
    for stopped in (lambda: [inst.pid('validator')], lambda: auth(inst),
                    lambda: [inst.pid('server')], lambda: workers(inst),
                    lambda: deaths.checkers(inst)):
        snap = snapshot()
        with wait_for(lambda: it.begin(snap)) as session:
            session.upload_dynamic('other.pxar.didx', pieces[:1])
            deaths.pause(stopped(), 2.5)
            session.backup_dynamic(NAME, pieces)
        with wait_for(lambda: it.begin(snapshot())):
            pass  # and the next one works
    assert wait_for(lambda: not inst.admin_json('lock', 'list'))
