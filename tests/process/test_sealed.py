"""What each running process of ours has been left: no right, no new one, little
of the machine, and nothing in memory that was secret a moment ago."""

import contextlib
import math
import os
import pathlib
import re
import subprocess

import pytest

import footprint
from instance import wait_for

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


def too_much(pid, program):
    """What it has beyond that; nothing if it has ended."""
    try:
        s, limits = status(pid), hard_limits(pid)
    except (FileNotFoundError, ProcessLookupError):
        return []
    most = {'core file size': 0, **LIMITS[program]}
    found = [name for name in most
             if limits.get(name, math.inf) > most[name]]
    found += [name for name, value in (('NoNewPrivs', '1'), ('Seccomp', '2'))
              if s[name].strip() != value]
    if program != 'holdfast-server':
        found += [kind for kind in ('CapPrm', 'CapEff', 'CapInh', 'CapAmb')
                  if int(s[kind], 16) != 0]
        if '0' in s['Uid'].split():
            found.append('Uid')
    return found


def test_every_process_has_little(instance):
    """Once it has begun its work: a spare worker may just be starting."""
    seen = all_kinds(instance)
    assert seen
    for pid, program in seen.items():
        assert wait_for(lambda: not too_much(pid, program)), \
            (program, too_much(pid, program))


def memory(pid):
    """All that it can write."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
            open(f'/proc/{pid}/maps') as maps, \
            open(f'/proc/{pid}/mem', 'rb', buffering=0) as mem:
        for line in maps:
            where, rights, *_ = line.split()
            if rights.startswith('rw'):
                start, end = (int(n, 16) for n in where.split('-'))
                mem.seek(start)
                with contextlib.suppress(OSError):  # given back meanwhile
                    yield mem.read(end - start)


def holders(inst, secret):
    return {program for pid, program in footprint.processes(inst).items()
            if any(secret in part for part in memory(pid))}


def test_passwords_do_not_stay_in_memory(instance):
    """But in buffers of the worker, which has no other client, and ends with
    its connection."""
    secret = b'a-password-that-is-nowhere-else'
    assert any(secret in part for part in memory(os.getpid()))
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
    command = [instance.programs / 'holdfast-admin', '--run-dir',
               instance.run_dir, 'user', 'list']
    for groups, may in ((['holdfast-admin'], True), ([], False)):
        r = subprocess.run(command, user='nobody', group='nogroup',
                           extra_groups=groups, capture_output=True,
                           text=True, timeout=60)
        assert (r.returncode == 0) == may, r.stderr
