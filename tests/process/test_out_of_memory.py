"""The n-th allocation of a process fails, for each n of a backup, of a job and
of every call: the process ends, as docs/reliability.md says, and that is as
any other death.  What is told as finished is whole, nothing stays locked, and
the next backup works.  (What each parser does is in tests/fuzz/replay.c.)

With HOLDFAST_LONG=1 every n, else some.
"""

import contextlib
import itertools
import mmap
import os
import pathlib
import re
import shlex
import struct
import subprocess
import threading

import pytest

import instance as instance_module
import pbs
from conftest import TestInstance, make_folder, show_logs
from instance import TOP, find_build, wait_for
from test_fault_matrix import NAME, at_rest, backup, new_pieces, whole
from test_storage_faults import attempt

SOURCE = pathlib.Path(__file__).with_name('starve.c')
LONG = bool(os.environ.get('HOLDFAST_LONG'))
SAMPLES = 6
KINDS = ('server', 'worker', 'auth', 'validator', 'checker', 'job')
# These run below the validator's Landlock domain, within which a page can
# only be written in its own folders.
BELOW_VALIDATOR = ('checker', 'job')

# A sanitizer has an allocator of its own.
pytestmark = pytest.mark.skipif(
    bool(re.search(r'^#define HOLDFAST_SANITIZERS 1$',
                   (find_build() / 'config.h').read_text(), re.M)),
    reason='sanitizers')


def compile_starve(target, *options):
    subprocess.run([*shlex.split(os.environ.get('CC', 'cc')), '-O1', '-Wall',
                    '-Wextra', '-Werror', f'-I{TOP}', *options, '-o', target, SOURCE],
                   check=True)


class Starved(TestInstance):
    """An instance all of whose programs have the library."""
    __test__ = False

    def prepare(self, *args):
        super().prepare(*args)
        programs = self.copy_programs(find_build())
        real = programs / 'real'
        real.mkdir()
        real.chmod(0o755)
        compile_starve(programs / 'starve.so', '-shared', '-fPIC')
        self.pages = {}
        for kind in KINDS:
            name = f'holdfast-{kind}'
            (programs / name).rename(real / name)
            compile_starve(programs / name, '-DSTARVE_MAIN')
            page = self.run_dir / 'validator' / f'{kind}.page' \
                if kind in BELOW_VALIDATOR else self.dir / f'{kind}.page'
            (programs / f'{name}.page').symlink_to(page)
            if kind not in BELOW_VALIDATOR:
                self.make_page(kind, page)
        self.state['programs'] = str(programs)

    def make_page(self, kind, path):
        path.write_bytes(bytes(mmap.PAGESIZE))
        path.chmod(0o666)
        with open(path, 'r+b') as f:
            self.pages[kind] = mmap.mmap(f.fileno(), 0)

    def bring_up(self):
        super().bring_up()
        for kind in BELOW_VALIDATOR:
            self.make_page(kind, self.run_dir / 'validator' / f'{kind}.page')

    def starve(self, kind, n):
        struct.pack_into('=III', self.pages[kind], 0, n, 0, 0)

    def feed(self, kind):
        struct.pack_into('=I', self.pages[kind], 0, 0)

    def word(self, kind, i):
        return struct.unpack_from('=I', self.pages[kind], 4 * i)[0]

    def hit(self, kind):
        return self.word(kind, 1) != 0

    def ends(self, kind):
        """A process of that kind ended, or is about to."""
        return self.word(kind, 1) == 1

    def count(self, kind):
        return self.word(kind, 2)

    def revive(self):
        """Starts again what ended, as a service manager does."""
        if not self.is_running('validator'):
            self.kill_validator()
            self.start_validator()
        if not self.is_running('server'):
            self.reap('server')
            self.start_server()

    @contextlib.contextmanager
    def starved(self, kind, n):
        """The n-th allocation of that kind fails; at the end all run."""
        over = threading.Event()
        old = self.pid(kind) if kind in ('validator', 'server') else None

        def keep():
            while not over.wait(0.02):
                self.revive()
        keeper = threading.Thread(target=keep)
        keeper.start()
        self.starve(kind, n)
        try:
            yield
        finally:
            self.feed(kind)
            over.set()
            keeper.join()
            if old and self.ends(kind):
                assert wait_for(lambda: self.pid(kind) != old)
            self.revive()

    def samples(self, kind, i=0):
        """Which allocations fail, of as many as were counted."""
        total = self.count(kind)
        if LONG:
            return range(1, total + 1)
        step = max(total // SAMPLES, 1)
        return range(1 + i % step, total + 1, step)


@pytest.fixture(scope='module')
def starved(request):
    inst = Starved(make_folder())
    failed = request.session.testsfailed
    try:
        inst.start(server_options={'spare-workers': 1},
                   validator_options={'spare-checkers': 0,
                                      'resume-time': '"10s"'})
        yield inst
        if request.session.testsfailed > failed:
            show_logs(inst)
    finally:
        inst.remove()


GROUPS = itertools.count()


@pytest.fixture
def series(starved):
    """series(): the next snapshot of a group, and what it shall hold."""
    old, when = new_pieces(), 1700000000
    group = f'g{next(GROUPS)}'
    with starved.backup(('host', group, when)) as session:
        session.backup_dynamic(NAME, old)

    def make():
        nonlocal when
        when += 1
        return ('host', group, when), old[:2] + new_pieces()[:2]
    return make


def succeeds(inst, snap, pieces):
    """One backup; whether the client was told so.  Its connection may end
    anywhere."""
    try:
        return attempt(inst, snap, pieces)
    except (pbs.ConnectionLost, OSError):
        return False


@pytest.mark.parametrize('kind', KINDS[:-1])
def test_backup(starved, series, kind):
    starved.starve(kind, 0)
    assert succeeds(starved, *series())
    hits = 0
    for n in starved.samples(kind):
        print(f'allocation {n}')
        snap, pieces = series()
        with starved.starved(kind, n):
            told = succeeds(starved, snap, pieces)
        hits += starved.hit(kind)
        there = starved.store().snapshot_path(snap).exists()
        assert there or not told, f'allocation {n}: false success'
        if there:
            assert whole(starved, snap, pieces), f'allocation {n}'
        assert at_rest(starved, snap), f'allocation {n}'
        with backup(starved, series) as after:
            after.run()
    assert hits > 0
    log = 'validator' if kind in ('validator', 'checker') else 'server'
    assert 'mem: out of memory' in (starved.log / f'{log}.log').read_text()


# ---- jobs

def run_job(inst, *command):
    """The task's last word, once it ended."""
    try:
        upid = inst.admin_json(*command)['upid']
    except instance_module.InstanceError as error:
        return str(error)  # it ended before it was told what to do

    def status():
        return next((t['status'] for t in inst.admin_json('task', 'list')
                     if t['upid'] == upid and t.get('endtime')), None)
    return wait_for(status)


def verify_state(inst, snap):
    return next(s.get('verification', {}).get('state')
                for s in inst.login().get(
                    f'admin/datastore/{inst.store_name}/snapshots',
                    backup_type=snap[0], backup_id=snap[1])
                if s['backup-time'] == snap[2])


@pytest.mark.parametrize('job', ('gc', 'verify'))
def test_job(starved, series, job):
    snap, pieces = series()
    assert succeeds(starved, snap, pieces)
    # Of one group: the other tests leave many snapshots.
    command = {
        'gc': ('gc', 'start', starved.store_name),
        'verify': ('verify', starved.store_name, '--group',
                   '/'.join(snap[:2])),
    }[job]
    starved.starve('job', 0)
    assert run_job(starved, *command) == 'OK'
    failed = 0
    for n in starved.samples('job'):
        starved.starve('job', n)
        status = run_job(starved, *command)
        assert status, f'allocation {n}: it never ended'
        # One may still fail once the job has said its last word.
        assert status == 'OK' or starved.hit('job'), f'allocation {n}'
        failed += status != 'OK'
        assert verify_state(starved, snap) != 'failed', f'allocation {n}'
        assert at_rest(starved, snap), f'allocation {n}'
    starved.starve('job', 0)
    assert failed > 0
    assert run_job(starved, *command) == 'OK'
    assert whole(starved, snap, pieces)


# ---- calls

SNAP, GROUP = ('host', 'calls', 1700000000), ('host', 'calls')
KEYS = 'backup-type', 'backup-id', 'backup-time'
ON_STORE = (
    ('GET', 'status', (), {}),
    ('GET', 'gc', (), {}),
    ('GET', 'namespace', (), {}),
    ('GET', 'groups', (), {}),
    ('GET', 'snapshots', (), {}),
    ('GET', 'files', SNAP, {}),
    ('GET', 'notes', SNAP, {}),
    ('PUT', 'notes', SNAP, {'notes': 'a snapshot'}),
    ('GET', 'protected', SNAP, {}),
    ('PUT', 'protected', SNAP, {'protected': True}),
    ('GET', 'group-notes', GROUP, {}),
    ('PUT', 'group-notes', GROUP, {'notes': 'a group'}),
    ('POST', 'change-owner', GROUP, {'new-owner': instance_module.USER}),
    ('POST', 'prune', GROUP, {'keep-last': 1, 'dry-run': True}),
    ('GET', 'download', SNAP, {'file-name': 'index.json.blob'}),
    ('GET', 'download-decoded', SNAP, {'file-name': NAME}),
)
CALLS = [('GET', path, {}) for path in (
    'version', 'access/users', 'access/roles', 'access/permissions',
    'admin/datastore', 'nodes/localhost/tasks')] + [
    (method, f'admin/datastore/store/{last}',
     {**dict(zip(KEYS, what)), **more})
    for method, last, what, more in ON_STORE]
CALLED = ('worker', 'auth', 'validator')
# Of these the numbers change.
CHANGING = 'status', 'gc', 'tasks'


def call(inst, request, starve=()):
    """The answer, or None if the connection ended before it.  The memory runs
    out behind the handshake."""
    conn = inst.connect()
    conn.headers = inst.ticket
    try:
        for kind, n in starve:
            inst.starve(kind, n)
        return conn.request(*request)
    except (pbs.ConnectionLost, OSError):
        return None
    finally:
        conn.close()


@pytest.fixture(scope='module')
def called(starved):
    conn = starved.login()
    starved.ticket = conn.headers
    with starved.backup(SNAP, conn) as session:
        session.backup_dynamic(NAME, new_pieces())
    return starved


@pytest.mark.parametrize('request_', CALLS, ids=lambda c: f'{c[0]}-{c[1]}')
def test_call(called, request_):
    def answer():
        r = call(called, request_)
        changes = request_[1].endswith(CHANGING)
        return r.status, None if changes else r.body

    assert call(called, request_, [(k, 0) for k in CALLED]).status == 200
    normal = answer()
    for kind in CALLED:
        samples = called.samples(kind)
        for n in samples if LONG else samples[:1]:
            with called.starved(kind, 0):
                r = call(called, request_, [(kind, n)])
            assert r is None or r.status == 200 or r.status >= 500, r.text
            assert answer() == normal, f'{kind}, after allocation {n}'
