"""Deaths of each process of an instance, which come back, and pauses.

With HOLDFAST_LONG=1 a process stands still for 30 s instead of a moment.
"""

import contextlib
import os
import signal
import time

from instance import children, look_at, wait_for
from test_server import auth, workers

LONG = bool(os.environ.get('HOLDFAST_LONG'))
PAUSE = 30 if LONG else 0.3


def kill_validator(inst):
    inst.kill_validator()
    inst.start_validator()


def kill_all(find, inst):
    """All that find(inst) knows, until none of them is left."""
    old = find(inst)
    send(old, signal.SIGKILL)
    assert wait_for(lambda: set(find(inst)).isdisjoint(old))


def kill_auth(inst):
    kill_all(auth, inst)
    assert wait_for(lambda: auth(inst))
    assert wait_for(lambda: inst.answers(inst.run_dir / 'admin/auth.sock'))


def checkers(inst):
    return children(inst.pid('validator'), 'holdfast-checker')


def kill_checkers(inst):
    """Between two requests: during one, that one fails (test_resume.py)."""
    kill_all(checkers, inst)


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


def stand_still(pids):
    """Stops them; those that had not ended by themselves before."""
    send(pids, signal.SIGSTOP)
    states = {}

    def known():
        for pid in pids:
            seen = look_at(pid)
            states[pid] = seen[1][0] if seen else None
        return all(s in (None, 'T') for s in states.values())
    assert wait_for(known)
    return [pid for pid in pids if states[pid]]


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
    kill_all(jobs, inst)


def kill_workers(inst):
    """Also the spare ones: one that is just dying would take the next
    connection with it."""
    kill_all(workers, inst)


def pause_job(inst):
    pause(jobs(inst))
