"""What the benchmarks share: an instance of their own, stores with many
chunks, the processor time of the server, and tables."""

import argparse
import collections
import os
import pathlib
import pwd
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOP / 'tests' / 'process'))

import instance as instance_module  # noqa: E402
import pbs  # noqa: E402
import store as store_module  # noqa: E402

TICKS = os.sysconf('SC_CLK_TCK')
LINKS_MAX = 50000  # of one file; ext4 allows 65,000
PREFIXES = 65536   # folders of chunks
BASE = ('host', 'bench', 1700000000)


def arguments(description, **options):
    p = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument('--folder', default=tempfile.gettempdir(),
                   help='where to put the datastore: the disk to measure')
    for name, (default, text) in options.items():
        p.add_argument(f'--{name}', type=type(default), default=default,
                       help=text)
    return p.parse_args()


def check_room(folder, count, size):
    """Ends the benchmark if so many chunks of that size do not fit, each in a
    file of its own."""
    fs = os.statvfs(folder)
    files = count + PREFIXES
    blocks = PREFIXES + count * -(-size // fs.f_frsize)
    # Some count no files.
    if blocks > fs.f_bavail or fs.f_files and files > fs.f_favail:
        sys.exit(f'{folder}: {count} chunks need '
                 f'{blocks * fs.f_frsize / (1 << 30):.1f} GiB and '
                 f'{files} files, free are '
                 f'{fs.f_bavail * fs.f_frsize / (1 << 30):.1f} GiB and '
                 f'{fs.f_favail}')


# Ended from outside, a benchmark still stops its server.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Bench:
    """An instance in a temporary folder."""

    def __init__(self, folder, **options):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-bench-',
                                                  dir=folder))
        if os.getuid() == 0:
            self.work.chmod(0o755)
        self.inst = instance_module.Instance(self.work / 'instance')
        self.options = options

    def __enter__(self):
        try:
            self.inst.start(**self.options)
        except BaseException:
            shutil.rmtree(self.work, ignore_errors=True)
            raise
        self.build = instance_module.find_build()
        self.store = store_module.Store(self.inst.store_path)
        return self

    def __exit__(self, *_):
        self.inst.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    # ---- clients

    def connect(self):
        conn = pbs.Connection('127.0.0.1', self.inst.port, timeout=600)
        conn.login(instance_module.USER, self.inst.state['password'])
        return conn

    def client(self, *args):
        subprocess.run([self.build / 'holdfast', *map(str, args)],
                       env={**os.environ, **self.inst.env()}, check=True,
                       stdout=subprocess.DEVNULL)

    def sessions(self):
        return self.inst.admin_json('session', 'list')

    # ---- processor time

    def cpu_by_program(self):
        """Seconds of all processes of the server so far, ended ones too, by
        program."""
        groups = {p['pid'] for p in self.inst.state['processes'].values()}
        total = collections.Counter()
        for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
            try:
                name, _, rest = stat.read_text().rpartition(')')
            except OSError:
                continue
            fields = rest.split()
            if int(fields[2]) not in groups:
                continue
            name = name.partition('(')[2]
            total[name] += sum(map(int, fields[11:13])) / TICKS
            total['ended'] += sum(map(int, fields[13:15])) / TICKS
        return total

    def validator_cpu(self):
        """Seconds of the validator's threads so far."""
        pid = self.inst.state['processes']['validator']['pid']
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
        fields = stat.rpartition(')')[2].split()
        return sum(map(int, fields[11:13])) / TICKS

    def task_logs(self):
        """The texts of all task logs, by file."""
        return {path: path.read_text(errors='replace')
                for path in (self.inst.log / 'tasks').glob('*/*')}

    # ---- stores

    def touch_memory(self, mib):
        """The page cache gets memory that was in use before: on a virtual
        machine the first touch of a page costs several times more."""
        fill = self.work / 'fill'
        with open(fill, 'wb') as f:
            for _ in range(mib):
                f.write(bytes(1 << 20))
        fill.unlink()

    def remove_chunks(self):
        for path in (self.store.path / '.chunks').glob('*/*'):
            path.unlink()

    def as_store_user(self, work):
        """Runs work() in a child under the uid that owns the store."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                if os.getuid() == 0:
                    user = pwd.getpwnam('holdfast-validator')
                    os.setgroups([])
                    os.setgid(user.pw_gid)
                    os.setuid(user.pw_uid)
                work()
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(pid, 0)[1] != 0:
            raise RuntimeError('cannot fill the store')

    def make_base(self, count, links=False):
        """A finished snapshot of count distinct small chunks, as if it had
        been backed up here; returns its digests.  With links, most chunks
        are links to others, which takes a fraction of the time where it does
        not matter how fast they are found."""
        digests = [pbs.sha256(struct.pack('<Q', i)) for i in range(count)]

        def work():
            first = None
            for i, d in enumerate(digests):
                path = self.store.chunk_path(d)
                if links and i % LINKS_MAX:
                    os.link(first, path)
                else:
                    path.write_bytes(pbs.blob(b'x' * 8))
                    first = path
            folder = self.store.snapshot_path(BASE)
            folder.mkdir(parents=True)
            (folder.parent / 'owner').write_text(instance_module.USER + '\n')
            size = count * pbs.CHUNK
            manifest = pbs.Manifest(BASE)
            manifest.add('disk.img.fidx', size, pbs.fixed_csum(digests))
            (folder / 'disk.img.fidx').write_bytes(
                fixed_index(size, digests))
            (folder / 'index.json.blob').write_bytes(manifest.blob())
        self.as_store_user(work)
        os.sync()
        return digests


def fixed_index(size, digests):
    head = bytearray(4096)
    head[:8] = pbs.FIXED_MAGIC
    head[32:64] = pbs.fixed_csum(digests)
    head[64:80] = struct.pack('<QQ', size, pbs.CHUNK)
    return bytes(head) + b''.join(digests)


def drop_caches():
    """True if the next reads come from the disk; only root can."""
    os.sync()
    try:
        pathlib.Path('/proc/sys/vm/drop_caches').write_text('3')
        return True
    except OSError:
        return False


def alternate(runs, bare, server, tidy=lambda: None):
    """The results of both sides, run one right after the other, since what
    else the machine does changes from minute to minute; in turns the one or
    the other first.  tidy() is called after each pair."""
    pairs = []
    for i in range(runs):
        if i % 2 == 0:
            b = bare()
            pairs.append((b, server()))
        else:
            s = server()
            pairs.append((bare(), s))
        tidy()
    return pairs


def median(values):
    return statistics.median(values)


def spread(values):
    """The median and the middle half of some ratios, as text."""
    if len(values) < 2:
        return f'{values[0]:.2f}'
    low, middle, high = statistics.quantiles(values, n=4, method='inclusive')
    return f'{middle:.2f} ({low:.2f} to {high:.2f})'


def load():
    return ' '.join(f'{x:.1f}' for x in os.getloadavg())


def run_numbers(*args):
    """The numbers that a program prints."""
    r = subprocess.run(list(map(str, args)), capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(r.stderr.strip())
    return [float(x) for x in r.stdout.split()]


def table(head, rows):
    rows = [head, *rows]
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(head))]
    for r in rows:
        print('  '.join(str(c).ljust(w) if i == 0 else str(c).rjust(w)
                        for i, (c, w) in enumerate(zip(r, widths))))
