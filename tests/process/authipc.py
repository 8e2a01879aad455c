"""Speaks to holdfast-auth as a worker does, and runs it without a master.

Numbers of messages and errors are read from the tables of the C code; the
layout of the messages is written down here a second time, on purpose.
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess

import instance as instance_module

TOP = pathlib.Path(__file__).resolve().parents[2]
MAGIC, VERSION, HEADER = 0x43504648, 1, '<IHHIIQQ'
HEADER_LEN = struct.calcsize(HEADER)
TICKET, TOKEN = 1, 2
PERMISSIONS, USERS, PASSWORD, DOMAINS, ROLES = 1, 2, 3, 4, 5
BACKUP, READER, CALL = 1, 2, 3


def table(path, pattern):
    return re.findall(pattern, (TOP / path).read_text(), re.M)


MESSAGES = {name: int(number) for name, number in table(
    'common/ipc_msgs.def', r'^IPC_MSG\(\w+,\s*\w+,\s*(\w+),\s*\w+,\s*(\d+)')}
NAMES = {number: name for name, number in MESSAGES.items()}
ERRORS = table('common/err_codes.def', r'^ERR_DEF\((\w+),')
PRIVS = {name: 1 << int(bit) for bit, name in table(
    'common/privs.def', r'^PRIV_DEF\(\w+,\s*(\d+),\s*"([\w.]+)"')}


CONNECT = '''
import socket
them = socket.socket(fileno=0)
while them.recv(1):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect('auth.sock')
    socket.send_fds(them, [b'x'], [s.fileno()])
    s.close()
'''


class Closed(Exception):
    """auth closed the connection."""


class Refused(Exception):
    def __init__(self, code, delay_ms, text):
        super().__init__(f'{code}: {text}')
        self.code, self.delay_ms, self.text = code, delay_ms, text


def text(s):
    data = s.encode()
    return struct.pack('<H', len(data)) + data


def blob(data):
    return struct.pack('<I', len(data)) + data


class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, n):
        assert n <= len(self.data)
        head, self.data = self.data[:n], self.data[n:]
        return head

    def number(self, fmt):
        return struct.unpack('<' + fmt, self.take(struct.calcsize(fmt)))[0]

    def text(self):
        return self.take(self.number('H')).decode()

    def blob(self):
        return self.take(self.number('I'))


class Worker:
    """One connection to RUN/worker/auth.sock."""

    def __init__(self, connect):
        self.seq = 0
        self.sock = connect()
        self.sock.settimeout(60)
        name, _, body, _ = self.receive()
        assert name == 'AUTH_WELCOME'
        self.chain, self.client_ca = body.blob(), body.blob()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def raw(self, data):
        try:
            self.sock.send(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def send(self, name, body):
        self.seq += 1
        self.raw(struct.pack(HEADER, MAGIC, VERSION, MESSAGES[name],
                             len(body), 0, 0, self.seq) + body)
        return self.seq

    def receive(self):
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 1 << 17, 4)
        except ConnectionResetError as error:
            raise Closed from error
        if not data:
            raise Closed
        magic, version, kind, length, _, _, seq = struct.unpack(
            HEADER, data[:HEADER_LEN])
        assert (magic, version) == (MAGIC, VERSION)
        assert length == len(data) - HEADER_LEN
        return NAMES[kind], seq, Reader(data[HEADER_LEN:]), fds

    def answer(self, seq):
        name, got, body, fds = self.receive()
        assert got == seq
        if name == 'AUTH_FAIL':
            code = ERRORS[body.number('H')]
            raise Refused(code, body.number('I'), body.text())
        return name, body, fds

    def call(self, name, body):
        return self.answer(self.send(name, body))

    # ---- requests

    def login_send(self, user, password, peer='127.0.0.1:1'):
        return self.send('LOGIN', text(user) + blob(password.encode()) +
                         text(peer))

    def login(self, user, password, peer='127.0.0.1:1'):
        name, body, _ = self.answer(self.login_send(user, password, peer))
        assert name == 'LOGGED_IN'
        auth_id, ticket, csrf = body.text(), body.text(), body.text()
        assert auth_id == user and not body.data
        return ticket, csrf

    def verify(self, kind, secret, auth_id='', csrf=None):
        name, body, _ = self.call('VERIFY', struct.pack(
            '<BB', kind, csrf is not None) + text(auth_id) +
            blob(secret.encode()) + blob((csrf or '').encode()) +
            text('127.0.0.1:1'))
        assert name == 'VERIFIED'
        return body.text()

    def grant(self, purpose=BACKUP, store='store', ns='', subject=''):
        name, body, _ = self.call('GRANT_GET', struct.pack('<B', purpose) +
                                  text(store) + text(ns) + text(subject))
        assert name == 'GRANT'
        return body.blob()

    def access(self, op, auth_id='', path='', secret='', flags=0):
        name, body, fds = self.call('ACCESS_CALL', struct.pack('<H', op) +
                                    text(auth_id) + text(path) +
                                    blob(secret.encode()) +
                                    struct.pack('<I', flags))
        assert name == 'ACCESS_REPLY' and len(fds) == 1
        with os.fdopen(fds[0], 'rb') as f:
            f.seek(0)
            data = f.read()
        assert len(data) == body.number('Q')
        return json.loads(data)

    def sign(self, scheme, message):
        name, body, _ = self.call('SIGN', struct.pack('<H', scheme) +
                                  blob(message))
        assert name == 'SIGNED'
        return body.blob()


class Grant:
    """Opens a sealed grant with the key."""

    def __init__(self, data, key):
        assert hmac.compare_digest(
            data[-32:], hmac.digest(key, data[:-32], hashlib.sha256))
        r = Reader(data[:-32])
        assert r.number('B') == 1
        self.purpose, self.pid = r.number('B'), r.number('I')
        self.expiry_ms, self.nonce = r.number('Q'), r.take(16)
        self.auth_id, self.subject = r.text(), r.text()
        self.store, self.ns = r.text(), r.text()
        self.nodes = {}
        for _ in range(r.number('H')):
            path = r.text()
            self.nodes[path] = (r.number('I'), r.number('I'))
        assert not r.data


class Auth:
    """holdfast-auth alone.  As root, its workers are root's processes."""

    def __init__(self, folder, options=None, environment=()):
        self.dir = folder
        self.environment = dict(environment)
        self.run_dir, self.state = folder / 'run', folder / 'state'
        build = instance_module.find_build()
        if os.getuid() == 0 and not instance_module.reachable_by_others(
                build):
            self.programs = instance_module.Instance(
                folder).copy_programs(build)
        else:
            self.programs = build
        self.options = {
            'run-dir': f'"{self.run_dir}"', 'state-dir': f'"{self.state}"',
            'libexec-dir': f'"{self.programs}"', 'user': '"root"',
            **(options or {})}
        self.write_conf()
        self.process = None
        self.start()

    def write_conf(self):
        (self.dir / 'server.conf').write_text(''.join(
            f'{k} = {v}\n' for k, v in self.options.items()))

    def start(self):
        with open(self.dir / 'log', 'ab') as log:
            self.process = subprocess.Popen(
                [self.programs / 'holdfast-auth', '-f', '-c',
                 self.dir / 'server.conf'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **self.environment})

        def ready():
            assert self.process.poll() is None, self.log
            try:
                self.admin('status')
                return True
            except AssertionError:
                return False
        assert instance_module.wait_for(ready), self.log

    @property
    def log(self):
        return (self.dir / 'log').read_text(errors='replace')

    @property
    def grant_key(self):
        return (self.state / 'grant.key').read_bytes()

    def worker(self):
        return Worker(lambda: instance_module.connect_unix(
            self.run_dir / 'worker' / 'auth.sock'))

    @contextlib.contextmanager
    def one_process(self):
        """worker() for the connections of one process, which is another one
        than all others, and lives as long."""
        ours, its = socket.socketpair()
        with ours, subprocess.Popen(
                ['/usr/bin/python3', '-S', '-c', CONNECT], stdin=its,
                cwd=self.run_dir / 'worker'):
            its.close()

            def connect():
                ours.send(b'x')
                _, fds, _, _ = socket.recv_fds(ours, 1, 1)
                return socket.socket(fileno=fds[0])
            try:
                yield lambda: Worker(connect)
            finally:
                ours.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def only_worker(self):
        """The only connection of its process."""
        with self.one_process() as worker, worker() as w:
            yield w

    def admin(self, *args, data=None):
        r = subprocess.run(
            [instance_module.find_build() / 'holdfast-admin', '--run-dir',
             self.run_dir, *args], input=data, capture_output=True,
            text=True, timeout=120)
        if args[0] == 'status':
            assert 'holdfast-auth       running' in r.stdout
        else:
            assert r.returncode == 0, r.stderr
        return r.stdout

    def admin_fails(self, *args, data=None):
        try:
            self.admin(*args, data=data)
        except AssertionError as error:
            return str(error)
        raise AssertionError('succeeded')

    def admin_json(self, *args):
        return json.loads(self.admin(*args, '--output-format', 'json'))

    def make_user(self, name='bob@pbs', password='open sesame', **options):
        more = [f'--{k}={v}' for k, v in options.items()]
        self.admin('user', 'create', name, *more, data=password + '\n')

    def make_token(self, user='bob@pbs', name='tok'):
        return f'{user}!{name}', self.admin_json(
            'token', 'create', user, name)['value']

    def hashers(self):
        """Pids of the children."""
        pids = []
        for path in pathlib.Path('/proc').glob('[0-9]*/stat'):
            try:
                stat = path.read_text()
            except OSError:
                continue
            fields = stat.rpartition(')')[2].split()
            if int(fields[1]) == self.process.pid and fields[0] != 'Z':
                pids.append(int(path.parent.name))
        return pids

    def stop(self, signo=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signo)
        return self.process.wait(60)
