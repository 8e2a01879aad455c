"""The n-th call by which holdfast-auth changes its files fails, for each n of
each kind of change: what is told as done is done, what failed is as before,
and the next attempt works (docs/reliability.md)."""

import os
import shutil

import pytest

import authipc
from conftest import make_folder
from nthfault import ERRORS, Disk
from test_powercut_auth import DATABASE, records


@pytest.fixture(scope='module')
def auth():
    folder = make_folder()
    folder.chmod(0o755)
    a = None
    try:
        disk = Disk(folder, folder / 'state/auth')
        (folder / 'nthfault.page').chmod(0o666)
        a = authipc.Auth(folder, environment=disk.environment)
        a.disk = disk
        yield a
    finally:
        if a:
            print(a.log[-20000:])
            a.stop()
        shutil.rmtree(folder, ignore_errors=True)


def told(auth, *args, data=None):
    try:
        auth.admin(*args, data=data)
        return True
    except AssertionError:
        return False


CHANGES = {
    'user': lambda n: (('user', 'create', f'u{n}@pbs'), 'open sesame\n'),
    'comment': lambda n: (('user', 'update', 'bob@pbs', '--comment', f'{n}'),
                          None),
    'password': lambda n: (('user', 'passwd', 'bob@pbs'), f'password {n}\n'),
    'token': lambda n: (('token', 'create', 'bob@pbs', f't{n}'), None),
    'acl': lambda n: (('acl', 'update', f'/datastore/s{n}', 'Audit',
                       '--auth-id', 'bob@pbs'), None),
}


@pytest.mark.parametrize('error', ERRORS)
@pytest.mark.parametrize('what', CHANGES)
def test_nth_call_fails(auth, what, error):
    def seen():
        return records(auth.state / DATABASE)
    if not told(auth, 'user', 'update', 'bob@pbs', '--comment', ''):
        auth.make_user()
    for n in auth.disk.calls():
        args, data = CHANGES[what](f'{error}{n}'.replace('-', ''))
        before = seen()
        auth.disk.fail_call(n, ERRORS[error])
        done = told(auth, *args, data=data)
        auth.disk.heal()
        after = seen()
        assert done == (after != before), f'call {n}'
        assert auth.admin_json('user', 'list')
        assert done or told(auth, *args, data=data), f'after call {n}'
        assert seen() != before
    assert n > 1, 'the calls are counted'
