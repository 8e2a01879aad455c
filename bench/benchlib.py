"""What the benchmarks share: an instance of their own, stores with many
chunks, the processor time of the server, and tables."""

import argparse
import collections
import os
import pathlib
import pwd
import shutil
import signal
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

    # ---- stores

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

    def make_base(self, count):
        """A finished snapshot of count distinct small chunks, as if it had
        been backed up here; returns its digests."""
        digests = [pbs.sha256(struct.pack('<Q', i)) for i in range(count)]

        def work():
            for d in digests:
                self.store.chunk_path(d).write_bytes(
                    pbs.blob(b'x' * 8))
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


def run_number(*args):
    """The number that a program prints."""
    r = subprocess.run(list(map(str, args)), capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit(r.stderr.strip())
    return float(r.stdout)


def table(head, rows):
    rows = [head, *rows]
    widths = [max(len(str(r[i])) for r in rows) for i in range(len(head))]
    for r in rows:
        print('  '.join(str(c).ljust(w) if i == 0 else str(c).rjust(w)
                        for i, (c, w) in enumerate(zip(r, widths))))
