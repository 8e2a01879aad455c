"""The operator's commands on the validator, through holdfast-admin, and what
becomes of datastores that are not as they should be."""

import fcntl
import json
import os
import signal

import pytest

from conftest import is_closed_to_others
from deaths import checkers, kill_checkers
from instance import wait_for
from pbs import CHUNK, blob
from vtools import (backup, chunk, failure, fresh, later, manifest, new_group,
                    register, val)
from vworker import READER, Worker

__all__ = ['fresh', 'val']


def ctl(inst, *args):
    return inst.admin_json(*args)


def test_status_and_lists(val):
    base = backup(val, new_group(), [1, 2], auth_id='u@pbs')
    snap = later(base)
    w = Worker(val).open(snap, auth_id='u@pbs')
    register(w, 'a.img.fidx')
    r = Worker(val).open(base, READER)
    sessions = {s['id']: s for s in ctl(val, 'session', 'list')}
    s = sessions[f'{w.session:016x}']
    assert (s['kind'], s['state'], s['user']) == ('backup', 'open', 'u@pbs')
    assert s['upid'] == w.upid and s['peer'] == '192.0.2.1'
    assert s['worker-pid'] == os.getpid()
    assert s['check']['state'] == 'running'
    assert sessions[f'{r.session:016x}']['kind'] == 'reader'
    locks = ctl(val, 'lock', 'list')
    mine = {(x['key'].rpartition(base[1])[2].strip('/'), x['mode'])
            for x in locks if x['session'] == f'{w.session:016x}'}
    assert len(mine) == 3, 'group, base, own snapshot'
    assert ('', 'exclusive') in mine
    upids = [t['upid'] for t in ctl(val, 'task', 'list')]
    assert w.upid in upids and r.upid in upids
    printed = val.admin('task', 'list')
    assert w.upid in printed, 'can be copied'
    assert f'"{base[0]}/{base[1]}/' in val.admin('task', 'log', r.upid)
    stores, = ctl(val, 'datastore', 'list')
    assert stores['name'] == 'store'
    w.close()
    r.close()


def test_session_stop(val):
    w = Worker(val).open(new_group())
    val.admin('session', 'stop', f'{w.session:016x}')
    assert w.wait_aborted().text == 'stopped by the operator'
    assert val.admin('session', 'stop', 'f' * 16, check=False).returncode


def test_reload(val):
    path = val.etc / 'datastores.d' / 'store.conf'
    old = path.read_text()
    path.write_text(old.rstrip().rstrip('}') +
                    'maintenance = read-only\n'
                    'maintenance-message = "moving"\n}\n')
    try:
        val.kill('validator', signal.SIGHUP)

        def refused():
            w = Worker(val)
            try:
                w.open(new_group())
            except Exception as e:
                return getattr(e, 'text', '')
            finally:
                w.close()
        assert wait_for(lambda: refused() ==
                        "datastore 'store' is in read-only maintenance "
                        'mode: moving')
        Worker(val).call('STORE_STATUS')
        assert failure(Worker(val).call, 'NS_CREATE', name='x').code == \
            'MAINTENANCE'
    finally:
        path.write_text(old)
    val.kill('validator', signal.SIGHUP)
    assert wait_for(lambda: not refused())
    assert val.pid('validator')


def test_broken_configuration_changes_nothing(val):
    path = val.etc / 'datastores.d' / 'store.conf'
    old = path.read_text()
    pid = val.pid('validator')
    path.write_text('nonsense')
    try:
        val.kill('validator', signal.SIGHUP)
        assert wait_for(lambda: 'reload failed' in val.log_tail('validator'))
    finally:
        path.write_text(old)
    assert val.pid('validator') == pid
    Worker(val).open(new_group()).close()


def test_refused_store_does_not_stop_the_others(fresh):
    inst = fresh(datastores=('store', 'other'))
    snap = new_group()
    w = Worker(inst).open(snap)
    inst.end('validator')
    hidden = inst.stores / 'hidden'
    (inst.stores / 'store').rename(hidden)
    inst.start_validator()
    f = failure(Worker(inst).open, new_group())
    assert "datastore 'store' is not available" in f.text
    o = Worker(inst)
    o.store = 'other'
    o.open(new_group())
    # Mounted again, its session can still go on.
    w.connect()
    assert failure(w.resume).code == 'UNAVAILABLE'
    hidden.rename(inst.stores / 'store')
    inst.restart_validator()
    w.connect()
    w.resume()
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    o.close()


def test_second_validator_is_kept_out(val):
    """The lock on the store holds against every program."""
    with open(val.store().path / '.lock', 'r+') as f:
        try:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pass
        else:
            raise AssertionError('.lock is free')


def counted(val):
    """The validator's own count; nobody started holdfast-auth."""
    r = val.admin('status', '--output-format', 'json', check=False)
    row, = (d for d in json.loads(r.stdout) if
            d['daemon'] == 'holdfast-validator')
    return row['checkers']


def test_checkers_end_with_their_session(val):
    """By themselves: none is killed, and there is nothing to log."""
    log = val.log / 'validator.log'
    start = log.stat().st_size
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, CHUNK)
    raw, d = chunk(1)
    w.deposit(blob(raw), d, CHUNK)
    assert counted(val)['busy'] == 1
    w.close()

    def at_rest():
        n = counted(val)
        return n['busy'] == 0 and len(checkers(val)) == n['spare'] > 0
    assert wait_for(at_rest), 'checkers stay'
    assert 'checker' not in log.read_text()[start:]


@pytest.mark.skipif(os.getuid() != 0, reason='needs another uid')
@pytest.mark.parametrize('name', ['worker', 'admin'])
def test_other_users_are_turned_away(val, name):
    assert is_closed_to_others(val.run_dir / name / 'validator.sock')
    if name == 'worker':
        assert 'refused a connection that is no worker' in \
            val.log_tail('validator', 1000)


def test_checkers_die_and_nobody_else_notices(val):
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, 2 * CHUNK)
    raw, d = chunk(1)
    w.deposit(blob(raw), d, CHUNK)
    kill_checkers(val)
    raw, d = chunk(2)
    w.deposit(blob(raw), d, CHUNK)
    w.close()


def test_session_limit(fresh):
    inst = fresh(store_options={'max-sessions': '2'})
    held = [Worker(inst).open(new_group()) for _ in range(2)]
    assert 'too many open sessions' in \
        failure(Worker(inst).open, new_group()).text
    held.pop().close()
    assert wait_for(lambda: try_open(inst))


def try_open(inst):
    try:
        Worker(inst).open(new_group()).close()
        return True
    except Exception:
        return False

