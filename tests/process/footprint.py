"""What the programs of an instance hold: processes, descriptors, memory.
Root sees it of all of them; they hide it from everybody else."""

import collections
import os
import pathlib

from instance import PROGRAMS

# In /proc a name has at most 15 characters.
NAMES = {program[:15]: program for program in PROGRAMS}


def processes(inst):
    """{pid: program} of all that run, spare ones too."""
    groups = {p['pid'] for p in inst.state['processes'].values()}
    found = {}
    for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            name, _, rest = stat.read_text().rpartition(')')
            fields = rest.split()
        except OSError:
            continue  # ended meanwhile
        if fields[0] not in 'ZX' and int(fields[2]) in groups:
            name = name.partition('(')[2]
            found[int(stat.parent.name)] = NAMES.get(name, name)
    return found


def descriptors(inst):
    """{program: number}, only of those that stay as long as the server
    does."""
    lasting = {inst.pid('server'), inst.pid('validator')}
    names = processes(inst)
    lasting |= {pid for pid, name in names.items() if name == 'holdfast-auth'}
    return {names[pid]: len(os.listdir(f'/proc/{pid}/fd'))
            for pid in lasting}


def counted(inst):
    """(processes by program, descriptors by program)."""
    return (dict(collections.Counter(processes(inst).values())),
            descriptors(inst))


def private_kib(pid):
    """Memory that the process has alone, and its share of what is shared
    between a few, which are arenas; 0 if it just ended."""
    kib = collections.Counter()
    try:
        text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    except OSError:
        return 0
    for line in text.splitlines()[1:]:
        name, value = line.split()[:2]
        kib[name.rstrip(':')] += int(value)
    return kib['Private_Clean'] + kib['Private_Dirty'] + kib['Pss_Shmem']


def memory_kib(inst):
    """{program: private_kib() of all its processes}."""
    total = collections.Counter()
    for pid, name in processes(inst).items():
        total[name] += private_kib(pid)
    return total
