"""Every command of holdfast-admin, used wrongly: it says what is wrong in one
line, and what to try in the next; never a bare code."""

import re
import subprocess

import pytest

from instance import TOP, find_build

ADMIN = find_build() / 'holdfast-admin'

# A value of each kind of argument that nothing has.
WRONG = {
    'DATASTORE': 'no-such', 'FILE': '/no/such/file',
    'FOLDER': '/no/such/folder', 'ID': 'no-such', 'MODE': 'no-such',
    'NAME': 'no-such', 'PATH': 'no/such', 'ROLE': 'no-such',
    'UPID': 'no-such', 'USER': 'no-such',
}
# These list what fits, which may be nothing, or need no daemon.
ANSWER_ANYTHING = {'acl list', 'token list'}
ALONE = {'audit verify', 'datastore adopt', 'datastore create',
         'datastore release', 'datastore remove',
         'datastore remove-config', 'import', 'metrics',
         'setup', 'status', 'user create', 'user passwd',
         'datastore maintenance-mode'}


def run(*args):
    r = subprocess.run([ADMIN, *args], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=120)
    return r.returncode, r.stderr


# (name, [argument, ...])
COMMANDS = [(name, args.split()) for name, args in re.findall(
    r'^ADMIN_CMD\("([^"]*)", "([^"]*)"',
    (TOP / 'admin' / 'commands.def').read_text(), re.MULTILINE)]
every_command = pytest.mark.parametrize('name, args', COMMANDS,
                                        ids=[name for name, _ in COMMANDS])


def explained(err, hint):
    lines = err.splitlines()
    assert len(lines) == 2, err
    said = lines[0].removeprefix('holdfast-admin: ')
    assert said != lines[0], err
    # Words, rather than "error 22" or "ERR_PARAM".
    assert len(re.findall('[a-z]{2,}', said)) >= 3, err
    assert not re.search(r'ERR_|errno|\bcode\b', said), err
    assert re.fullmatch(hint, lines[1]), err


def test_all_commands_are_tried():
    assert len(COMMANDS) >= 38
    for _, args in COMMANDS:
        assert {a.strip('[]') for a in args} <= set(WRONG), args


@every_command
def test_wrong_usage(name, args):
    words = name.split()
    least = [WRONG[a] for a in args if a[0] != '[']
    cases = [[*words, *least, '--no-such'],
             [*words, *[WRONG[a.strip('[]')] for a in args], 'one', 'more'],
             [*words, *least, '--output-format', 'no-such']]
    if least:
        cases.append([*words, *least[:-1]])
    for case in cases:
        code, err = run(*case)
        assert code == 2, case
        explained(err, fr"Try 'holdfast-admin help( {name})?'\.")


@every_command
def test_what_is_not_there(instance, name, args):
    values = [WRONG[a.strip('[]')] for a in args]
    if not values or name in ANSWER_ANYTHING:
        return
    code, err = run(*name.split(), *values, '--run-dir', instance.run_dir,
                    '--config-dir', instance.etc)
    assert code == 1
    explained(err, fr"Try 'holdfast-admin (help {name}|[a-z]+ list)'\.")


@every_command
def test_nobody_answers(tmp_path, name, args):
    if name in ALONE:
        return
    values = [WRONG[a.strip('[]')] for a in args if a[0] != '[']
    if name == 'acl update' or name == 'acl remove':
        values += ['--auth-id', 'no-such@pbs']
    code, err = run(*name.split(), *values, '--run-dir', tmp_path)
    assert code == 3, err
    explained(err, "Try 'systemctl status holdfast-auth holdfast-validator'.")
