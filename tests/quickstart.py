"""The main job, shown step by step: what ./quickstart runs once packages and
configure are done."""

import argparse
import filecmp
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / 'tests' / 'process'))

import instance as instance_module  # noqa: E402

MIB = 1 << 20
CHUNK = 4 * MIB
GROUP = 'host/quickstart'
BAR = 24
# Where to look for files for the image, largest supply last.
SOURCES = ('/usr/bin', '/usr/share', '/usr/lib')


class Failed(Exception):
    pass


def say(text=''):
    print(text, flush=True)


def step(text):
    step.number += 1
    say(f'\n{step.number}. {text}')


step.number = 0


def bar(what, part):
    """A progress bar, on a terminal only."""
    if sys.stderr.isatty():
        part = min(part, 1)
        full = int(part * BAR)
        sys.stderr.write(f'\r\033[K{what} [{"#" * full}{"-" * (BAR - full)}]'
                         f' {int(part * 100):3}%')
        sys.stderr.flush()


def bar_end():
    if sys.stderr.isatty():
        sys.stderr.write('\n')


def check(true, text):
    if not true:
        raise Failed(text)
    say(f'   ok: {text}')


# ---- build

def build():
    """Runs make; its log is shown only if it fails."""
    folder = os.environ['HOLDFAST_BUILD']
    total = sum(1 for d in ('common', 'server', 'validator', 'client',
                            'admin') for _ in (TOP / d).rglob('*.c'))
    jobs = os.cpu_count() or 1
    lines = []
    with subprocess.Popen(['make', '-C', folder, f'-j{jobs}'],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as make:
        for line in make.stdout:
            lines.append(line)
            done = sum(1 for text in lines if text.startswith('  CC '))
            bar('building', done / total)
    if make.returncode != 0:
        raise Failed('make failed:\n' + ''.join(lines[-40:]))
    bar('building', 1)
    bar_end()


# ---- a disk image from the machine's own files

def collect(folder, budget):
    """Copies readable files up to a number of bytes."""
    left = budget
    for source in SOURCES:
        for where, _, names in os.walk(source):
            for name in names:
                path = pathlib.Path(where) / name
                try:
                    size = path.lstat().st_size
                    if path.is_symlink() or not path.is_file() or \
                            not 0 < size <= left:
                        continue
                    target = folder / path.relative_to('/')
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                except OSError:
                    continue
                left -= size
                bar('collecting files', 1 - left / budget)
                if left < budget // 100:
                    bar('collecting files', 1)
                    bar_end()
                    return
    bar_end()


def run(*args):
    r = subprocess.run(list(map(str, args)), capture_output=True, text=True)
    if r.returncode != 0:
        raise Failed(f'{args[0]} failed: {r.stderr.strip()}')


def make_image(work, image, mib):
    files = work / 'files'
    files.mkdir()
    collect(files, int(mib * MIB * 0.75))
    run('mke2fs', '-q', '-F', '-t', 'ext4', '-d', files, image, f'{mib}M')
    shutil.rmtree(files)


def change_image(work, image, name):
    """Adds a file of 8 MiB to the file system in the image."""
    extra = work / name
    extra.write_bytes(os.urandom(8 * MIB))
    run('debugfs', '-w', '-R', f'write {extra} {name}', image)
    extra.unlink()


# ---- the server's side

def checked_count(inst):
    """How many reused chunks the server checked for the last backup, as its
    task log says."""
    tasks = inst.admin_json('task', 'list', '--limit', '20')
    upid = next(t['upid'] for t in tasks if ':backup:' in t['upid'])
    lines = inst.admin_json('task', 'log', upid)
    found = (re.search(r'(\d+) reused chunks checked', line['t'])
             for line in lines)
    return sum(int(match.group(1)) for match in found if match)


def remove_reused_chunk(inst, client):
    """Removes a chunk that the newest backup shares with the one before."""
    index = newest_snapshot_folder(inst) / 'disk.img.fidx'
    old = oldest_snapshot_folder(inst) / 'disk.img.fidx'
    shared = set(digests(index)) & set(digests(old))
    zero = '0' * 64
    digest = sorted(shared - {zero})[len(shared) // 2]
    (inst.store_path / '.chunks' / digest[:4] / digest).unlink()
    return digest


def digests(index):
    data = index.read_bytes()[4096:]
    return [data[i:i + 32].hex() for i in range(0, len(data), 32)]


def snapshot_folders(inst):
    return sorted(p for p in (inst.store_path / GROUP).iterdir()
                  if (p / 'index.json.blob').exists())


def newest_snapshot_folder(inst):
    return snapshot_folders(inst)[-1]


def oldest_snapshot_folder(inst):
    return snapshot_folders(inst)[0]


# ---- client

class Client:
    """The holdfast program, and a row of the table for each run."""

    def __init__(self, inst):
        self.inst = inst
        self.program = pathlib.Path(os.environ['HOLDFAST_BUILD']) / 'holdfast'
        self.env = {**os.environ, **inst.env()}
        self.rows = []
        self.time = int(time.time())

    def run(self, *args, may_fail=False):
        """With may_fail, returns what it says on its way out."""
        r = subprocess.run([self.program, *map(str, args)], env=self.env,
                           stdout=subprocess.PIPE, text=True,
                           stderr=subprocess.PIPE if may_fail else None)
        if may_fail:
            return None if r.returncode == 0 else r.stderr.strip()
        if r.returncode != 0:
            raise Failed('holdfast ' + args[0] + ' failed')
        return r.stdout

    def backup_args(self, image):
        # Snapshots of a group need different times, and we are quick.
        self.time += 1
        return ('backup', f'disk.img:{image}', '--backup-id', 'quickstart',
                '--backup-time', self.time, '--output-format', 'json')

    def backup(self, what, image):
        result = json.loads(self.run(*self.backup_args(image)))
        self.rows.append((
            what, result['bytes'], result['chunks-uploaded'],
            result['chunks-reused'], checked_count(self.inst),
            result['seconds']))
        return result

    def refused_backup(self, what, image):
        start = time.monotonic()
        error = self.run(*self.backup_args(image), may_fail=True)
        self.rows.append((what, image.stat().st_size, '-', '-', '-',
                          time.monotonic() - start))
        return error

    def restore(self, what, image, target):
        start = time.monotonic()
        self.run('restore', GROUP, 'disk.img', target)
        self.rows.append((what, target.stat().st_size, '-', '-', '-',
                          time.monotonic() - start))
        check(filecmp.cmp(image, target, shallow=False),
              'the restored image is the same, bit for bit')
        target.unlink()

    def state_of(self, folder):
        """ok, failed or None: what the server says of a snapshot."""
        rows = json.loads(self.run('snapshot', 'list', GROUP,
                                   '--output-format', 'json'))
        for row in rows:
            when = time.strftime('%Y-%m-%dT%H:%M:%SZ',
                                 time.gmtime(row['backup-time']))
            if when == folder.name:
                return (row.get('verification') or {}).get('state')
        raise Failed(f'{folder.name} is not listed')


def show(inst, work, mib):
    client = Client(inst)
    image, target = work / 'disk.img', work / 'restored.img'

    step(f'Make an ext4 image of {mib} MiB from files of this machine')
    make_image(work, image, mib)

    step('Back it up: everything is sent')
    result = client.backup('first backup', image)
    check(result['chunks-reused'] == 0, f'{result["chunks"]} chunks, none of '
          'them known before')

    step('Write a file into the image and back it up again')
    change_image(work, image, 'new-file')
    result = client.backup('second backup', image)
    check(result['chunks-reused'] > result['chunks-uploaded'],
          f'{result["chunks-reused"]} chunks of {result["chunks"]} were '
          f'reused; the server checked {client.rows[-1][4]} chunks of the '
          'previous snapshot meanwhile')

    step('Restore it and compare')
    client.restore('restore', image, target)

    step('Remove one of the reused chunks from the store, and back up again')
    digest = remove_reused_chunk(inst, client)
    say(f'   removed {digest}')
    base = newest_snapshot_folder(inst)
    change_image(work, image, 'newer-file')
    error = client.refused_backup('backup, chunk lost', image)
    check(error is not None, 'the backup is refused:')
    say('   ' + error)
    check(digest in error, 'the digest is named')
    check(client.state_of(base) == 'failed',
          'the previous snapshot is marked as failed')

    step('Back up once more: a full backup, which heals the store')
    result = client.backup('full backup', image)
    check(result['chunks-reused'] == 0, 'nothing was taken on trust')
    client.restore('restore', image, target)
    return client.rows


def print_table(rows):
    say('\n{:20} {:>10} {:>9} {:>7} {:>8} {:>8}'.format(
        '', 'MiB', 'uploaded', 'reused', 'checked', 'seconds'))
    for what, size, sent, reused, checked, seconds in rows:
        say(f'{what:20} {size / MIB:>10.1f} {sent:>9} {reused:>7} '
            f'{checked:>8} {seconds:>8.2f}')


def make_work():
    path = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-quickstart-'))
    if os.getuid() == 0:
        path.chmod(0o755)  # for the system users
    return path


def parse(argv):
    p = argparse.ArgumentParser(prog='quickstart')
    p.add_argument('--size', type=int, default=256, metavar='MIB',
                   help='size of the image (default and least for a real '
                   'impression: 256)')
    p.add_argument('--keep', action='store_true',
                   help='keep the server running, and its folder')
    return p.parse_args(argv)


def main(argv):
    args = parse(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    step('Build')
    build()
    work = make_work()
    inst = instance_module.Instance(work / 'instance')
    try:
        step('Start a private server')
        inst.start()
        say('\n'.join('   ' + line for line in inst.status()[0]))
        print_table(show(inst, work, args.size))
    finally:
        if args.keep:
            say(f'\nStill running: see tests/instance env {inst.dir}')
        else:
            if inst.state:
                inst.stop()
            shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main(sys.argv[1:]))
    except (Failed, instance_module.InstanceError) as error:
        print(f'quickstart: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
