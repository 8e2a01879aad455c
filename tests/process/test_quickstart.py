"""./quickstart's own steps, on a smaller image."""

import os
import subprocess
import sys

import instance as instance_module
from terminal import Terminal

PROGRAM = instance_module.TOP / 'tests/quickstart.py'


def test_quickstart(folder):
    env = {**os.environ, 'TMPDIR': str(folder),
           'HOLDFAST_BUILD': str(instance_module.find_build())}
    with Terminal() as terminal:
        r = subprocess.run(
            [sys.executable, '-B', PROGRAM, '--size', '64'], env=env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=terminal.end, text=True, timeout=600)
    assert r.returncode == 0, (r.stdout, terminal.shown)
    for text in ('the backup is refused', 'the digest is named',
                 'marked as failed', 'bit for bit', 'full backup'):
        assert text in r.stdout
    table = r.stdout.splitlines()[-6:]
    assert table[0].split()[0] == 'first'
    second = table[1].split()
    assert int(second[4]) > int(second[3]) > 0, 'more reused than uploaded'
    assert not list(folder.glob('holdfast-*')), 'something was left'
    assert terminal.bar('building')[-1] == 100
    assert terminal.bar('disk.img')[-1] == 100
    terminal.bar_moved_and_ended('collecting files')


def test_no_bars_without_a_terminal():
    r = subprocess.run(
        [sys.executable, '-B', '-c', 'import quickstart\n'
         'quickstart.bar("building", 0.5)\nquickstart.bar_end()'],
        cwd=PROGRAM.parent, capture_output=True, timeout=60)
    assert (r.returncode, r.stdout, r.stderr) == (0, b'', b'')
