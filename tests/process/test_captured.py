"""What somebody gains who captures one of our processes: builds of the real
programs that, once sealed, try every attack of captured/attacks.c.  The table
in docs/security.md says the same in words."""

import collections
import ctypes
import errno
import fcntl
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from conftest import TestInstance, make_folder, show_logs
from instance import DAEMON_USERS, PROGRAMS, TOP, find_build, wait_for

ROOT = os.getuid() == 0
PROFILES = ('master', 'worker', 'auth', 'hasher', 'validator', 'checker',
            'job')
SEEN = re.compile(r'^captured (\S+) (\S+): (.*)$', re.M)
CREATE_RULESET = 444
VERSION = 1
ALLOW, FAIL_ENOSYS = 0x7fff0000, 0x00050000 | errno.ENOSYS
EXIT_SANDBOX = 4

# What is no attack for a process, since it is its work.
ALLOWED = {
    'worker': set(),
    'hasher': set(),
    'checker': set(),
    # Reads its datastore, which it gets as a descriptor, and has threads.
    'job': {'read-store', 'stat', 'thread'},
    # Only its own folder; threads and processes for hashing.
    'auth': {'read-accounts', 'read-tls-key', 'stat', 'fork', 'thread'},
    # Only the stores and its own folders; threads and checkers.
    'validator': {'read-store', 'read-locks', 'stat', 'fork', 'thread'},
}
# Of the master, which starts all the others and reads no byte from outside:
# what even root does not need for that.
MASTER_REFUSED = {
    'make-device', 'open-by-handle', 'ptrace', 'read-memory',
    'steal-descriptor', 'signal-by-descriptor', 'exec-memory', 'tcp', 'udp',
    'raw-packets', 'netlink', 'vsock', 'connect-stream', 'hoard-validator',
    'hoard-auth', 'second-signature', 'regain-capability',
    'user-namespace', 'enter-namespace', 'mount', 'become-dumpable',
    'writable-code', 'userfaultfd', 'io-uring',
    'bpf', 'perf', 'keyring', 'load-module', 'change-clock', 'personality',
    'type-into-terminal'}
# Started by one ordinary user, our own sockets are within its reach: path
# names of sockets are none of Landlock's business, and there is no chroot.
ONE_USER = {'worker': {'connect-seqpacket', 'connect-control',
                       'hoard-validator', 'hoard-auth'}}
# Before ABI 6 Landlock lets signals and abstract sockets pass.
OLD_LANDLOCK = {'auth': {'signal-sibling', 'signal-parent'},
                'validator': {'signal-sibling', 'signal-parent',
                              'connect-abstract'},
                'worker': {'connect-abstract'}}


# What auth and the validator say of a captured worker.
TOO_MANY = 'BUG: a worker has too many connections pid='
SAID = [('server', 'signature: asks for it a second time')]
if ROOT:
    SAID += [('server', TOO_MANY), ('validator', TOO_MANY)]


def landlock_abi():
    libc = ctypes.CDLL(None, use_errno=True)
    return max(libc.syscall(CREATE_RULESET, None, 0, VERSION), 0)


# Sanitizers need calls that the sandboxes of the real programs refuse.
SANITIZED = re.search(r'^#define HOLDFAST_SANITIZERS 1$',
                      (find_build() / 'config.h').read_text(), re.M)
pytestmark = pytest.mark.skipif(bool(SANITIZED), reason='sanitizers')


class CapturedInstance(TestInstance):
    __test__ = False

    def prepare(self, *args):
        super().prepare(*args)
        build = find_build()
        programs = self.copy_programs(build)
        with open(build / 'captured.lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(['make', '-s', '-C', build, 'captured'],
                           check=True)
        for name in PROGRAMS:
            captured = build / 'tests/process/captured' / name
            if captured.is_file():
                shutil.copy2(captured, programs / name)
        self.state['programs'] = str(programs)


class Surroundings:
    """What an attacker would like to reach: processes, files and sockets of
    the same users and of everybody."""

    def __init__(self, folder):
        self.folder = folder
        self.known = {'create': folder / 'created'}
        self.victims = []
        self.sockets = []

    def fill(self):
        folder = self.folder
        uids = {pwd.getpwnam(name).pw_uid for name in DAEMON_USERS} \
            if ROOT else {os.getuid()}
        for uid in uids | {os.getuid()}:
            self.add_user(uid)
        for name, kind in (('stream', socket.SOCK_STREAM),
                           ('seqpacket', socket.SOCK_SEQPACKET)):
            path = folder / name
            self.add_socket(socket.AF_UNIX, kind, str(path))
            path.chmod(0o777)
            self.known[f'{name}-socket'] = path
        name = f'holdfast-test-{os.getpid()}'
        self.add_socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, '\0' + name)
        self.known['abstract-socket'] = name
        self.add_socket(socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', 0))
        self.known['port'] = self.sockets[-1].getsockname()[1]

    def add_user(self, uid):
        victim = subprocess.Popen(['sleep', '3600'],
                                  user=uid if ROOT else None)
        self.victims.append(victim)
        own = self.folder / f'own-{uid}'
        own.write_text('own')
        if ROOT:
            os.chown(own, uid, -1)
        self.known[f'victim-{uid}'] = victim.pid
        self.known[f'own-file-{uid}'] = own

    def add_socket(self, family, kind, address):
        s = socket.socket(family, kind)
        s.bind(address)
        s.listen(1000)
        self.sockets.append(s)

    def close(self):
        for s in self.sockets:
            s.close()
        for victim in self.victims:
            victim.kill()
            victim.wait()


def use(inst):
    """Every process at its work."""
    snapshot = ('host', 'captured', 1700000000)
    with inst.backup(snapshot) as session:
        session.backup_images({'a.img.fidx': b'x' * 100000})
    assert inst.client('snapshot', 'list').stdout
    inst.admin('gc', 'start', inst.store_name)


@pytest.fixture(scope='module')
def captured(request):
    """{profile: {attack: {outcome}}}"""
    if not landlock_abi():
        pytest.skip('no Landlock in this kernel')
    # The address of a socket has room for 107 bytes.
    place = '/tmp' if len(tempfile.gettempdir()) > 60 else None
    folder = make_folder(place)
    folder.chmod(0o1777 if ROOT else 0o700)
    inst = CapturedInstance(make_folder(place))
    around = Surroundings(folder)
    store = inst.stores / 'store'
    state = inst.dir / 'state'
    known = {'store': store / '.chunks',
             'locks': inst.run_dir / 'validator/locks/data.mdb',
             'accounts': state / 'auth/accounts/data.mdb',
             'tls-key': state / 'auth/key.pem',
             'grant-key': state / 'grant.key',
             'control-socket': inst.run_dir / 'admin/auth.sock'}
    try:
        around.fill()
        inst.prepare(('store',), {}, {}, {})
        (inst.programs / 'captured.conf').write_text(
            ''.join(f'{k} {v}\n'
                    for k, v in {**around.known, **known}.items()))
        inst.bring_up()
        use(inst)
        seen = collections.defaultdict(lambda: collections.defaultdict(set))

        def all_seen():
            seen['logs'] = logs = {log.stem: log.read_text(errors='replace')
                                   for log in inst.log.glob('*.log')}
            for log in logs.values():
                for profile, attack, outcome in SEEN.findall(log):
                    seen[profile][attack].add(outcome)
            return all(set(seen[p]) == set(attacks()) for p in PROFILES) and \
                all(text in logs[log] for log, text in SAID)
        if not wait_for(all_seen, 300):
            show_logs(inst)
        yield seen
    finally:
        inst.remove()
        around.close()
        shutil.rmtree(folder, ignore_errors=True)


def attacks():
    source = (TOP / 'tests/process/captured/attacks.c').read_text()
    return re.findall(r'^    {"([a-z-]+)", \w+},$', source, re.M)


def allowed(profile):
    if profile == 'master':
        return set(attacks()) - MASTER_REFUSED
    names = set(ALLOWED[profile])
    if not ROOT:
        names |= ONE_USER.get(profile, set())
    if landlock_abi() < 6:
        names |= OLD_LANDLOCK.get(profile, set())
    return names


@pytest.mark.parametrize('profile', PROFILES)
def test_captured_process_gains_nothing(captured, profile):
    tried = captured[profile]
    assert set(tried) == set(attacks())
    odd = {attack: outcome for attack, outcome in tried.items()
           if attack not in allowed(profile) and
           not outcome <= {'refused', 'killed'}}
    assert not odd


@pytest.mark.parametrize('profile,attack', [
    ('auth', 'read-accounts'), ('auth', 'fork'), ('validator', 'read-store'),
    ('validator', 'thread'), ('master', 'read-passwd')])
def test_attacks_would_work_if_they_were_allowed(captured, profile, attack):
    """So that "refused" does not merely mean that the attempt is broken."""
    assert captured[profile][attack] == {'gained'}


@pytest.mark.parametrize('log,text', SAID)
def test_the_log_names_the_worker(captured, log, text):
    """So the attempts on auth and the validator got as far as they should."""
    assert text in captured['logs'][log]


def hide_landlock():
    """In a child: as on a kernel without it."""
    lib = ctypes.CDLL('libseccomp.so.2')
    lib.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(lib.seccomp_init(ALLOW))
    assert lib.seccomp_rule_add(rules, FAIL_ENOSYS, CREATE_RULESET, 0) == 0
    assert lib.seccomp_load(rules) == 0


@pytest.mark.parametrize('name', ['server', 'validator'])
def test_required_sandbox(name):
    inst = TestInstance(make_folder())
    try:
        required = {'require-sandbox': 'yes'}
        inst.prepare((), required, required, {})
        inst.state['port'] = 8007  # nobody gets so far as to listen
        inst.write_confs()
        r = subprocess.run(
            [inst.programs / f'holdfast-{name}', '-f', '-c',
             inst.etc / f'{name}.conf'], preexec_fn=hide_landlock,
            capture_output=True, text=True, timeout=60)
        assert r.returncode == EXIT_SANDBOX
        assert 'this kernel has no Landlock (require-sandbox)' in r.stderr
    finally:
        inst.remove()


def test_missing_landlock_is_told(monkeypatch):
    """Where it is not required, it is a warning, of each process, and all
    goes on."""
    inst = TestInstance(make_folder())
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, 'Popen', lambda *args, **more: popen(
        *args, preexec_fn=hide_landlock, **more))
    try:
        inst.start()
        for log, profiles in (('server', ('master', 'worker', 'auth', 'hasher')),
                              ('validator', ('validator', 'checker'))):
            for profile in profiles:
                assert wait_for(
                    lambda: 'this kernel has no Landlock, going on without '
                    f'profile={profile}' in (inst.log / f'{log}.log')
                    .read_text()), profile
    finally:
        monkeypatch.undo()
        inst.remove()


def test_every_attack_is_documented():
    text = (TOP / 'docs/security.md').read_text()
    assert [a for a in attacks() if f'`{a}`' not in text] == []
