"""The README's session is what the programs really say, and commands that the
documents name are there."""

import os
import re
import subprocess

from instance import TOP, find_build

README = (TOP / 'README.md').read_text()
DOCUMENTS = [TOP / 'README.md', *sorted((TOP / 'docs').glob('*.md'))]


def shown(command):
    """What the README shows below a command."""
    m = re.search(r'^[$#] ' + re.escape(command) + r'.*\n((?:[^`$#].*\n|\n)*)',
                  README, re.MULTILINE)
    assert m, command
    return m[1].splitlines()


def labels(lines):
    return [re.split(r'  +|(?<=[a-z]) (?=\d)', line.strip())[0]
            for line in lines]


def run(instance, program, *args, data=None):
    r = subprocess.run([find_build() / program, *args], input=data,
                       env={**os.environ, **instance.env()}, text=True,
                       capture_output=True, timeout=120)
    assert r.returncode == 0, r.stderr
    return r.stdout.splitlines()


def test_setup(instance):
    real = run(instance, 'holdfast-admin', 'setup', 'other@pbs', '--run-dir',
               instance.run_dir, data='correct-horse\n')
    want = [line.replace('admin@pbs', 'other@pbs')
            for line in shown('holdfast-admin setup')]
    # Questions are asked on a terminal only.
    want = [line for line in want if line not in (
        'Administrator other@pbs', 'New password:', 'The same again:')]
    assert want.pop() == '...'
    assert re.fullmatch('  ([0-9a-f]{2}:){31}[0-9a-f]{2}', want.pop())
    assert want and want == real[:len(want)]
    assert real[len(want)] == '  ' + instance.fingerprint


def test_backup(instance, tmp_path):
    image = tmp_path / 'disk.img'
    image.write_bytes(os.urandom(1 << 20))
    real = run(instance, 'holdfast', 'backup', f'disk.img:{image}',
               '--backup-id', 'a')
    want = shown('holdfast backup')
    assert len(want) == 8 and labels(real) == labels(want)


def test_sessions_and_the_log(instance, snapshot, image):
    what = snapshot()
    with instance.backup(what) as session:
        real = instance.admin('session', 'list').splitlines()
        want = shown('holdfast-admin session list')
        assert re.split('  +', real[0]) == re.split('  +', want[0])
        assert len(re.split('  +', real[1])) == len(re.split('  +', want[1]))
        session.backup_images({'a.img.fidx': image(1)})
    log = instance.log_tail('validator', 100)
    for line in shown('journalctl')[1:]:
        form = re.sub(r'(?<==)\S+', '<value>', line)
        assert re.search(re.escape(form).replace('<value>', r'\S+'), log), line


def test_commands_in_documents():
    """Every "holdfast-admin ..." and "holdfast ..." of a code line or of text
    in backquotes begins with a command that is there."""
    known = {}
    for program, table in (('holdfast-admin', 'admin'), ('holdfast', 'client')):
        known[program] = re.findall(
            r'^[A-Z]+_CMD\("([^"]*)"',
            (TOP / table / 'commands.def').read_text(), re.MULTILINE)
        assert len(known[program]) > 15
    seen = 0
    for path in DOCUMENTS:
        for program, words in re.findall(
                r'(?:`|^ {4}|^[$#] |sudo )(holdfast-admin|holdfast)'
                r' ([a-z][a-z -]*)', path.read_text(), re.MULTILINE):
            words = words.strip()
            if words.split()[0] in ('help', 'protection'):
                continue
            seen += 1
            # Its end may be on the next line.
            assert any(f'{words} '.startswith(f'{name} ') or
                       f'{name} '.startswith(f'{words} ')
                       for name in known[program]), (path.name, words)
    assert seen > 30
