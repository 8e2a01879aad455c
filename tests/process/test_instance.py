"""tests/instance, by which anyone can try a client against Holdfast."""

import json
import os
import pathlib
import re
import shlex
import socket
import subprocess

import pytest

from conftest import make_folder
from instance import (TOP, Instance, children, find_build, start_time,
                      wait_for)

PROGRAM = TOP / 'tests' / 'instance'
VARIABLES = [
    'PBS_REPOSITORY', 'PBS_PASSWORD', 'PBS_FINGERPRINT',
    'HOLDFAST_STORE_PATH', 'HOLDFAST_RUN_DIR', 'PBS_USER2', 'PBS_PASSWORD2',
    'PBS_TOKEN', 'PBS_TOKEN_SECRET']
# All but start.
COMMANDS = ['env', 'status', 'restart-validator', 'kill-validator',
            'start-validator', 'stop', 'remove']


def run(*args):
    return subprocess.run(
        [PROGRAM, *map(str, args)], capture_output=True, text=True,
        env={**os.environ, 'HOLDFAST_BUILD': str(find_build())}, timeout=300)


def good(*args):
    r = run(*args)
    assert (r.returncode, r.stderr) == (0, '')
    return r.stdout


def refused(text, *args):
    """By one line, and not by a traceback."""
    r = run(*args)
    assert (r.returncode, r.stdout) == (1, '')
    assert r.stderr.startswith('instance: ') and r.stderr.count('\n') == 1
    assert text in r.stderr


@pytest.fixture(scope='module')
def started():
    """(folder, what start printed)"""
    top = make_folder()
    folder = top / 'new' / 'instance'
    try:
        yield folder, good('start', folder)
    finally:
        run('remove', folder)
        for path in (folder.parent, top):
            path.rmdir()


def pids(folder):
    """{daemon: pid or None}, as status tells."""
    r = run('status', folder)
    found = {name: int(pid) if pid else None for name, pid in re.findall(
        r'^holdfast-(\w+): (?:running, pid (\d+)|not running)$', r.stdout,
        re.M)}
    assert set(found) == {'server', 'validator'}, r.stdout + r.stderr
    assert r.returncode == (0 if all(found.values()) else 1)
    return found


def variables(printed):
    return {name: shlex.split(value)[0] for name, value in
            re.findall(r'^export (\w+)=(.*)$', printed, re.M)}


def test_start_prints_what_a_client_needs(started):
    folder, printed = started
    assert [re.fullmatch(r'export (\w+)=(\S+)', line)[1]
            for line in printed.splitlines()] == VARIABLES
    env = variables(printed)
    assert re.fullmatch(r'user@pbs@127\.0\.0\.1:\d+:store',
                        env['PBS_REPOSITORY'])
    assert re.fullmatch(r'[0-9a-f]{2}(:[0-9a-f]{2}){31}',
                        env['PBS_FINGERPRINT'])
    store, run_dir = (pathlib.Path(env[f'HOLDFAST_{name}'])
                      for name in ('STORE_PATH', 'RUN_DIR'))
    assert folder in store.parents and (store / '.chunks').is_dir()
    assert folder in run_dir.parents
    assert (run_dir / 'worker' / 'validator.sock').is_socket()
    assert env['PBS_USER2'] == 'user2@pbs'
    assert env['PBS_TOKEN'].startswith('user@pbs!')
    assert good('env', folder) == printed


@pytest.mark.parametrize('who, password', [
    (None, None), ('PBS_USER2', 'PBS_PASSWORD2'),
    ('PBS_TOKEN', 'PBS_TOKEN_SECRET')], ids=str)
def test_a_shell_can_use_it(started, who, password):
    _, printed = started
    other = f'PBS_REPOSITORY=${who}@${{PBS_REPOSITORY##*@}}; ' \
        f'PBS_PASSWORD=${password}; ' if who else ''
    r = subprocess.run(
        ['sh', '-c', f'eval "$1"; {other}exec "$2" status '
         '--output-format json', 'sh', printed, find_build() / 'holdfast'],
        env={'PATH': os.environ['PATH'], 'HOME': '/nonexistent'},
        capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stderr
    assert json.loads(r.stdout)['total'] > 0


def test_who_may_what(started):
    folder, printed = started
    env = variables(printed)
    user = env['PBS_REPOSITORY'].rpartition('@')[0]
    assert {(row['path'], row['auth-id'], row['role'])
            for row in Instance(folder).admin_json('acl', 'list')} == {
        ('/datastore/store', user, 'DatastoreAdmin'),
        ('/datastore/store', env['PBS_USER2'], 'DatastoreBackup'),
        ('/datastore/store', env['PBS_TOKEN'], 'DatastoreBackup')}


def test_second_start_is_refused(started):
    folder, printed = started
    before = pids(folder)
    refused('already holds an instance', 'start', folder)
    assert pids(folder) == before
    assert good('env', folder) == printed


def test_validator_killed_started_and_restarted(started):
    folder, _ = started
    server, first = pids(folder).values()
    assert good('start-validator', folder) == ''
    assert pids(folder) == {'server': server, 'validator': first}
    for _ in range(2):
        assert good('kill-validator', folder) == ''
        assert pids(folder) == {'server': server, 'validator': None}
    good('start-validator', folder)
    second = pids(folder)['validator']
    assert good('restart-validator', folder) == ''
    third = pids(folder)['validator']
    assert None not in (second, third) and second != third
    assert pids(folder)['server'] == server


def test_stop_twice_and_remove(started):
    folder, printed = started
    running = [*pids(folder).values()]
    for pid, name in zip([*running], ('worker', 'checker')):
        running += children(pid, f'holdfast-{name}')
    assert len(running) > 4 and all(map(start_time, running))
    for _ in range(2):
        assert good('stop', folder) == ''
        assert set(pids(folder).values()) == {None}
    assert wait_for(lambda: not any(map(start_time, running)))
    port = int(variables(printed)['PBS_REPOSITORY'].split(':')[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(('127.0.0.1', port), 10)
    assert good('env', folder) == printed, 'what it wrote is still there'
    refused('already holds an instance', 'start', folder)
    good('remove', folder)
    assert not folder.exists()


# ---- bad folders

@pytest.mark.parametrize('command', COMMANDS)
def test_folder_without_an_instance(folder, command):
    refused(f'no instance in {folder}', command, folder)
    refused(f'no instance in {folder}/gone', command, folder / 'gone')
    assert not [*folder.iterdir()]


@pytest.mark.parametrize('command', ['start', *COMMANDS])
def test_folder_that_is_none(folder, command):
    path = folder / 'file'
    path.write_text('precious')
    refused(str(path), command, path)
    refused(str(path), command, path / 'below')
    assert path.read_text() == 'precious'


@pytest.mark.parametrize('command', ['start', *COMMANDS])
def test_damaged_state(folder, command):
    (folder / 'instance.json').write_text('{"programs": ')
    refused(f'{folder}/instance.json is damaged', command, folder)


@pytest.mark.skipif(os.getuid() != 0, reason='needs other users')
def test_folder_that_the_daemons_cannot_reach(folder):
    folder.chmod(0o700)
    refused('cannot be reached', 'start', folder / 'instance')


def test_a_failed_start_leaves_nothing_running(folder):
    r = run('start', folder, '--validator-option', 'no-such-option=1')
    assert r.returncode == 1 and 'no-such-option' in r.stderr
    assert 'Traceback' not in r.stderr
    assert set(pids(folder).values()) == {None}


@pytest.mark.parametrize('args', [[], ['start'], ['dance', 'DIR'],
                                  ['start', 'DIR', '--store-option', 'x']])
def test_wrong_use(folder, args):
    r = run(*[folder if arg == 'DIR' else arg for arg in args])
    assert r.returncode == 2 and 'usage: instance' in r.stderr
    assert not [*folder.iterdir()]
