"""Deaths of each process of an instance, which come back, and pauses.

With HOLDFAST_LONG=1 a process stands still for 30 s instead of a moment.
"""

import contextlib
import os
import signal
import time

from instance import wait_for
from test_server import auth, children, workers

LONG = bool(os.environ.get('HOLDFAST_LONG'))
PAUSE = 30 if LONG else 0.3


def kill_validator(inst):
    inst.kill_validator()
    inst.start_validator()


def kill_auth(inst):
    old = auth(inst)
    send(old, signal.SIGKILL)
    assert wait_for(lambda: auth(inst) and set(auth(inst)).isdisjoint(old))
    assert wait_for(lambda: inst.answers(inst.run_dir / 'admin/auth.sock'))


def checkers(inst):
    return children(inst.pid('validator'), 'holdfast-checker')


def kill_checkers(inst):
    """Between two requests: during one, that one fails (test_resume.py)."""
    old = checkers(inst)
    send(old, signal.SIGKILL)
    assert wait_for(lambda: set(checkers(inst)).isdisjoint(old))


def kill_master(inst):
    inst.kill('server', signal.SIGKILL)

    def gone():
        inst.reap('server')
        return not inst.is_running('server')
    assert wait_for(gone)
    inst.start_server()


def send(pids, signo):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # ended by itself
            os.kill(pid, signo)


def pause(pids, seconds=PAUSE):
    send(pids, signal.SIGSTOP)
    time.sleep(seconds)
    send(pids, signal.SIGCONT)


def pause_validator(inst):
    pause([inst.pid('validator')])


def pause_auth(inst):
    pause(auth(inst))


def pause_workers(inst):
    pause(workers(inst))


def pause_checkers(inst):
    pause(checkers(inst))


def pause_master(inst):
    pause([inst.pid('server')])


def jobs(inst):
    return children(inst.pid('validator'), 'holdfast-job')


def kill_job(inst):
    old = jobs(inst)
    send(old, signal.SIGKILL)
    assert wait_for(lambda: set(jobs(inst)).isdisjoint(old))


def kill_workers(inst):
    """Also the spare ones: one that is just dying would take the next
    connection with it."""
    old = workers(inst)
    send(old, signal.SIGKILL)
    assert wait_for(lambda: set(workers(inst)).isdisjoint(old))


def pause_job(inst):
    pause(jobs(inst))
