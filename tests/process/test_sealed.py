"""What each running process of ours has been left: no right, no new one, little
of the machine, and nothing in memory that was secret a moment ago."""

import os
import pathlib
import re
import subprocess

import pytest

import footprint
from instance import find_build, wait_for

pytestmark = pytest.mark.skipif(os.getuid() != 0,
                                reason='only root sees it of all of them')
GIB, MIB = 1 << 30, 1 << 20
NO_CHILD = {'processes': 0}
# As docs/security.md has it; a job lives too short (tests/common/test_sandbox.c).
LIMITS = {
    'holdfast-server': {},
    'holdfast-worker': {'data size': 2 * GIB, 'open files': 1024, **NO_CHILD},
    'holdfast-auth': {'data size': GIB},
    'holdfast-hasher': {'data size': 256 * MIB, 'open files': 16,
                        'file size': 0, **NO_CHILD},
    'holdfast-validator': {},
    'holdfast-checker': {'data size': 512 * MIB, 'open files': 32, **NO_CHILD},
}


def status(pid):
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return dict(line.split(':', 1) for line in text.splitlines())


def hard_limits(pid):
    text = pathlib.Path(f'/proc/{pid}/limits').read_text()
    return {name: int(hard) for name, hard in re.findall(
        r'^Max (\w[\w ]*?) {2,}\S+ +(\d+)', text, re.M)}


def all_kinds(inst):
    """{pid: program}, once there is one of each."""
    return wait_for(lambda: (p := footprint.processes(inst)) and
                    set(p.values()) >= set(LIMITS) and p)


def test_every_process_has_little(instance):
    seen = all_kinds(instance)
    assert seen
    for pid, program in seen.items():
        s, limits = status(pid), hard_limits(pid)
        assert s['NoNewPrivs'].strip() == '1', program
        assert s['Seccomp'].strip() == '2', program
        for name, most in {'core file size': 0, **LIMITS[program]}.items():
            assert limits[name] <= most, (program, name)
        if program != 'holdfast-server':
            assert '0' not in s['Uid'].split(), program
            for kind in 'CapPrm', 'CapEff', 'CapInh', 'CapAmb':
                assert int(s[kind], 16) == 0, (program, kind)


def memory(pid):
    """All that it can write."""
    try:
        with open(f'/proc/{pid}/maps') as maps, \
                open(f'/proc/{pid}/mem', 'rb') as mem:
            for line in maps:
                where, rights, *_ = line.split()
                if rights.startswith('rw'):
                    start, end = (int(n, 16) for n in where.split('-'))
                    mem.seek(start)
                    yield mem.read(end - start)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended


def holders(inst, secret):
    return {program for pid, program in footprint.processes(inst).items()
            if any(secret in part for part in memory(pid))}


def test_passwords_do_not_stay_in_memory(instance):
    """But in buffers of the worker, which has no other client, and ends with
    its connection."""
    secret = b'a-password-that-is-nowhere-else'
    instance.admin('user', 'create', 'kept@pbs', data=secret.decode() + '\n')
    conn = instance.login('kept@pbs', secret.decode())
    try:
        assert wait_for(
            lambda: holders(instance, secret) <= {'holdfast-worker'})
    finally:
        conn.close()
    assert wait_for(lambda: not holders(instance, secret))


def test_the_admin_group_may_command(instance):
    """And nobody else, whatever he may execute."""
    command = [find_build() / 'holdfast-admin', '--run-dir',
               instance.run_dir, 'user', 'list']
    for groups, may in ((['holdfast-admin'], True), ([], False)):
        r = subprocess.run(command, user='nobody', group='nogroup',
                           extra_groups=groups, capture_output=True,
                           text=True, timeout=60)
        assert (r.returncode == 0) == may, r.stderr
