"""./quickstart's own steps, on a smaller image."""

import os
import subprocess
import sys

import instance as instance_module


def test_quickstart(folder):
    env = {**os.environ, 'TMPDIR': str(folder),
           'HOLDFAST_BUILD': str(instance_module.find_build())}
    r = subprocess.run(
        [sys.executable, '-B', instance_module.TOP / 'tests/quickstart.py',
         '--size', '64'], env=env, capture_output=True, text=True,
        timeout=600)
    assert r.returncode == 0, r.stdout + r.stderr
    for text in ('the backup is refused', 'the digest is named',
                 'marked as failed', 'bit for bit', 'full backup'):
        assert text in r.stdout
    table = r.stdout.splitlines()[-6:]
    assert table[0].split()[0] == 'first'
    second = table[1].split()
    assert int(second[4]) > int(second[3]) > 0, 'more reused than uploaded'
    assert not list(folder.glob('holdfast-*')), 'something was left'
