"""Random interleavings (tests/process/interleave): seeds 1 to SEEDS, or as
many as fit into the time; HOLDFAST_SEEDS and HOLDFAST_SEEDS_MINUTES say
otherwise."""

import os
import pathlib
import re
import subprocess

from instance import find_build

SEEDS = int(os.environ.get('HOLDFAST_SEEDS', '1000'))
MINUTES = float(os.environ.get('HOLDFAST_SEEDS_MINUTES', '5'))
PROCESSES = max(2, os.cpu_count())
PROGRAM = pathlib.Path(__file__).with_name('interleave')


def test_every_snapshot_stays_whole(record_property):
    ends = [SEEDS * i // PROCESSES for i in range(PROCESSES + 1)]
    running = [subprocess.Popen(
        ['/usr/bin/python3', PROGRAM, '--minutes', str(MINUTES),
         str(ends[i] + 1), str(ends[i + 1])],
        env={**os.environ, 'HOLDFAST_BUILD': str(find_build())},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for i in range(PROCESSES)]
    said = [p.communicate()[0] for p in running]
    assert [p.returncode for p in running] == [0] * PROCESSES, \
        '\n'.join(said)
    passed = sum(int(re.search(r'(\d+) seeds passed', s).group(1))
                 for s in said)
    assert passed > 0
    record_property('interleavings', f'{passed} of {SEEDS} seeds')
