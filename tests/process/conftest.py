"""Fixtures of the process tests.

A module that needs an instance with other options than the defaults sets
INSTANCE = {'store_options': {...}, 'validator_options': {...}} at its top.
With 'faults': True, its tests can break the file system below the validator
(faults.py).
"""

import itertools
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(__file__))

import faults as faults_module  # noqa: E402
import instance as instance_module  # noqa: E402
import pbs  # noqa: E402
import store as store_module  # noqa: E402

# Ended from outside, a run still stops its instances.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# Snapshots of one test never collide: each gets a later time.
TIMES = itertools.count(1700000000)
GROUPS = itertools.count(1)


def pytest_terminal_summary(terminalreporter):
    """What a test has to say, beside that it passed; ./check shows it."""
    for report in terminalreporter.getreports('passed'):
        for name, value in report.user_properties:
            terminalreporter.write_line(f'said: {name}: {value}')


def make_folder(place=None):
    """A folder that the system users can reach, unlike pytest's own."""
    path = pathlib.Path(tempfile.mkdtemp(prefix='holdfast-test-', dir=place))
    if os.getuid() == 0:
        path.chmod(0o755)
    return path


def is_closed_to_others(path):
    """True if a user without rights gets nothing out of that socket."""
    code = ('import os, socket, sys\n'
            's = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n'
            's.settimeout(60)\n'
            f'folder = os.open({str(path.parent)!r}, os.O_PATH)\n'
            'try:\n'
            f'    s.connect(f"/proc/self/fd/{{folder}}/{path.name}")\n'
            '    sys.exit(0 if s.recv(100000) == b"" else 1)\n'
            'except TimeoutError:\n'
            '    sys.exit(1)\n'
            'except OSError:\n'
            '    sys.exit(0)\n')
    return subprocess.run(
        ['/usr/bin/python3', '-c', code], user='nobody', group='nogroup',
        extra_groups=[], timeout=120).returncode == 0


def show_logs(inst):
    for path in sorted(inst.log.glob('*.log')):
        print(f'==== {path.name}')
        print(path.read_text(errors='replace')[-20000:])


class TestInstance(instance_module.Instance):
    """An instance with what tests want on top."""
    __test__ = False

    def connect(self, fingerprint=True):
        return pbs.Connection('127.0.0.1', self.port,
                              self.fingerprint if fingerprint else None)

    def login(self, user=None, password=None):
        """A logged-in connection; by default of the first user."""
        conn = self.connect()
        conn.login(user or instance_module.USER,
                   password or self.state['password'])
        return conn

    def login2(self):
        return self.login(instance_module.USER2, self.state['password2'])

    def token(self):
        conn = self.connect()
        env = self.env()
        conn.use_token(env['PBS_TOKEN'], env['PBS_TOKEN_SECRET'])
        return conn

    @property
    def store_name(self):
        return self.state['datastores'][0]

    def store(self, name=None):
        return store_module.Store(self.stores / (name or self.store_name))

    def backup(self, snapshot, conn=None, **more):
        """An open backup session."""
        return (conn or self.login()).backup(self.store_name, snapshot,
                                             **more)

    def reader(self, snapshot, conn=None, **more):
        return (conn or self.login()).reader(self.store_name, snapshot,
                                             **more)

    def client(self, *args, env=None, check=True, **more):
        """Runs the holdfast client; returns the finished process."""
        r = subprocess.run(
            [instance_module.find_build() / 'holdfast', *map(str, args)],
            env={'PATH': os.environ['PATH'], 'HOME': str(self.dir),
                 'TZ': 'UTC', **self.env(), **(env or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=300, **more)
        if check and r.returncode != 0:
            raise AssertionError(f'holdfast {args}: exit {r.returncode}\n'
                                 f'{r.stdout}\n{r.stderr}')
        return r

    def session_of(self, snapshot):
        """What holdfast-admin says of an open session; None: not open."""
        name = f'{snapshot[0]}/{snapshot[1]}/' + \
            store_module.time_text(snapshot[2])
        return next((s for s in self.admin_json('session', 'list')
                     if s['snapshot'] == name), None)

    def locks(self, snapshot):
        """{key: mode} of the locks in a snapshot's group, whatever its
        namespace."""
        group = re.compile(f'{self.store_name}/(.*/)?{snapshot[0]}/'
                           f'{re.escape(snapshot[1])}(/.*)?')
        return {lock['key']: lock['mode']
                for lock in self.admin_json('lock', 'list')
                if group.fullmatch(lock['key'])}

    def task_log(self, upid):
        """The lines of a task's log."""
        return [line['t'] for line in
                self.admin_json('task', 'log', upid)]


def start(faults=False, environment=None, **options):
    inst = TestInstance(make_folder())
    inst.environment = environment or {}
    try:
        if faults:
            inst.faults = faults_module.Faults(inst.dir)
            inst.environment |= inst.faults.environment
        inst.start(**options)
    except BaseException:
        shutil.rmtree(inst.dir, ignore_errors=True)
        raise
    return inst


@pytest.fixture(scope='module')
def instance(request):
    """A private instance for the tests of one module."""
    inst = start(**getattr(request.module, 'INSTANCE', {}))
    failed = request.session.testsfailed
    yield inst
    if request.session.testsfailed > failed:
        show_logs(inst)
    try:
        inst.stop()
        check_store(inst)
    finally:
        shutil.rmtree(inst.dir, ignore_errors=True)


def check_store(inst):
    """An external checker of the on-disk format, if the environment names
    one: HOLDFAST_CHECK_STORE is a command that takes a datastore's path."""
    command = os.environ.get('HOLDFAST_CHECK_STORE')
    if not command:
        return
    for name in inst.state['datastores']:
        r = subprocess.run([*command.split(), inst.stores / name],
                           capture_output=True, text=True)
        assert r.returncode == 0, r.stdout + r.stderr


@pytest.fixture
def fresh_instance():
    """Starts instances of the test's own: fresh_instance(**options)."""
    started = []

    def make(**options):
        started.append(start(**options))
        return started[-1]
    yield make
    for inst in started:
        inst.remove()


@pytest.fixture
def store(instance):
    return instance.store()


@pytest.fixture
def faults(instance):
    """The file system below the validator, whole again after the test."""
    yield instance.faults
    instance.faults.clear()


@pytest.fixture
def snapshot():
    """snapshot(): one of a new group; snapshot(old): a later one of its
    group."""
    def make(old=None, kind='host'):
        if old:
            return old[0], old[1], next(TIMES)
        return kind, f'g{next(GROUPS)}', next(TIMES)
    return make


@pytest.fixture
def folder():
    path = make_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def image():
    """image(chunks, seed): that many chunks of random bytes."""
    def make(chunks, seed=0, tail=0):
        rng = random.Random(seed)
        return rng.randbytes(chunks * pbs.CHUNK + tail)
    return make
