"""A worker without a server: speaks channel WV to a validator, so that tests
can see each message, and break each rule.  The codecs come from the same
tables as the programs' own."""

import array
import hashlib
import hmac
import itertools
import mmap
import os
import pathlib
import re
import secrets
import socket
import struct
import time
import weakref

from instance import connect_unix

TOP = pathlib.Path(__file__).resolve().parents[2]
MAGIC = 0x43504648
HEADER = struct.Struct('<IHHIIQQ')
BLOCK = 65536
DEPOSIT = 0xffffffff
CT, HOST, VM, ANY = 0, 1, 2, 0xff
TYPES = {'ct': CT, 'host': HOST, 'vm': VM}
BACKUP, READER, CALL = 1, 2, 3
AUDIT, MODIFY, READ, BACKUP_PRIV, PRUNE = 1 << 0, 1 << 2, 1 << 3, 1 << 5, \
    1 << 6
SYS_AUDIT, SYS_MODIFY = 1 << 7, 1 << 8
ALL = 0xfffff
WAIT = 60


def _tables():
    """Messages by name: (id, [(type, field)])."""
    fields = (TOP / 'common/ipc_fields.h').read_text()
    fields = fields.replace('\\\n', ' ')
    shapes = {}
    for name, body in re.findall(r'#define MSG_(\w+)\(F\)(.*)', fields):
        alias = re.fullmatch(r'\s*MSG_(\w+)\(F\)\s*', body)
        shapes[name] = shapes[alias[1]] if alias else \
            re.findall(r'F\((\w+), (\w+),', body)
    rows = (TOP / 'common/ipc_msgs.def').read_text()
    table = {}
    for name, number in re.findall(
            r'^IPC_MSG\(WV,\s*\w+,\s*(\w+),\s*\w+,\s*(\d+)', rows, re.M):
        table[name] = int(number), shapes[name]
    return table


MESSAGES = _tables()
NAMES = {number: name for name, (number, _) in MESSAGES.items()}
OPS = {name: int(number) for name, number in re.findall(
    r'^CALL_OP\((\w+),\s*(\d+)',
    (TOP / 'common/call_ops.def').read_text(), re.M)}
ERRORS = ['?'] + re.findall(
    r'^ERR_DEF\((\w+),', (TOP / 'common/err_codes.def').read_text(), re.M)[1:]
_FORMATS = {'u8': '<B', 'u16': '<H', 'u32': '<I', 'u64': '<Q', 'i64': '<q'}


def encode(name, values):
    out = b''
    for kind, field in MESSAGES[name][1]:
        v = values.get(field, 0)
        if kind in _FORMATS:
            out += struct.pack(_FORMATS[kind], v)
        elif kind == 'b32':
            out += v or bytes(32)
        else:
            v = v.encode() if isinstance(v, str) else (v or b'')
            out += struct.pack('<H' if kind == 'str' else '<I', len(v)) + v
    return out


def decode(name, body):
    out, pos = {}, 0
    for kind, field in MESSAGES[name][1]:
        if kind in _FORMATS:
            f = _FORMATS[kind]
            out[field], = struct.unpack_from(f, body, pos)
            pos += struct.calcsize(f)
        elif kind == 'b32':
            out[field] = body[pos:pos + 32]
            pos += 32
        else:
            f = '<H' if kind == 'str' else '<I'
            n, = struct.unpack_from(f, body, pos)
            pos += struct.calcsize(f)
            v = body[pos:pos + n]
            out[field] = v.decode() if kind == 'str' else v
            pos += n
    assert pos == len(body), f'{name} has {len(body) - pos} bytes too many'
    return out


def read_all(fd):
    """From the beginning: the other side may have moved the offset."""
    with open(fd, 'rb') as f:
        f.seek(0)
        return f.read()


class Failed(Exception):
    """FAIL or ABORTED."""

    def __init__(self, msg):
        self.code = ERRORS[msg['code']]
        self.text = msg['text']
        super().__init__(f'{self.code}: {self.text}')


class Closed(Exception):
    """The validator closed the connection."""


def grant(key, purpose, auth_id, store='', ns='', privs=ALL, nodes=None,
          pid=None, subject='', expiry=None):
    """What holdfast-auth would say."""
    def text(s):
        return struct.pack('<H', len(s)) + s.encode()
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000000
    nodes = nodes or [('/', privs, privs)]
    body = struct.pack('<BBIQ', 1, purpose, pid or os.getpid(),
                       expiry or now + 60000) + secrets.token_bytes(16) + \
        text(auth_id) + text(subject) + text(store) + text(ns) + \
        struct.pack('<H', len(nodes)) + \
        b''.join(text(p) + struct.pack('<II', e, g) for p, e, g in nodes)
    return body + hmac.new(key, body, hashlib.sha256).digest()


class Worker:
    def __init__(self, inst, hello=True):
        self.inst = inst
        self.key = (inst.dir / 'state' / 'grant.key').read_bytes()
        self.seq = itertools.count(1)
        self.arena_fd = None
        self.session = 0
        self.store = inst.store_name
        self.connect(hello)

    def connect(self, hello=True):
        """Again, too: after a restart of the validator."""
        self.answers = {}
        self.unasked = []
        end = time.monotonic() + WAIT
        path = self.inst.run_dir / 'worker' / 'validator.sock'
        while True:
            try:
                self.sock = connect_unix(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        self.sock.settimeout(WAIT)
        if hello:
            self.welcome, _ = self.ask('HELLO', version_min=1, version_max=1,
                                       program='test')

    def close(self):
        self.sock.close()

    # ---- packets

    def send_raw(self, type_number, body, session=None, seq=None, fds=(),
                 magic=MAGIC, version=1, length=None):
        seq = next(self.seq) if seq is None else seq
        head = HEADER.pack(magic, version, type_number,
                           len(body) if length is None else length, 0,
                           self.session if session is None else session, seq)
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                array.array('i', fds))] if fds else []
        try:
            self.sock.sendmsg([head + body], anc)
        except (BrokenPipeError, ConnectionResetError):
            raise Closed() from None
        return seq

    def send(self, message, /, fds=(), seq=None, session=None, **values):
        return self.send_raw(MESSAGES[message][0], encode(message, values),
                             fds=fds, seq=seq, session=session)

    def receive(self):
        """(name, fields, seq, descriptors) of the next message."""
        try:
            data, anc, _, _ = self.sock.recvmsg(
                70000, socket.CMSG_SPACE(16))
        except ConnectionResetError:
            raise Closed() from None
        if not data:
            raise Closed()
        fds = array.array('i')
        for _, _, raw in anc:
            fds.frombytes(raw[:len(raw) - len(raw) % 4])
        magic, version, number, length, _, session, seq = \
            HEADER.unpack_from(data)
        assert magic == MAGIC and length == len(data) - HEADER.size
        name = NAMES[number]
        if name in ('BACKUP_READY', 'SESSION_READY'):
            self.session = session
        return name, decode(name, data[HEADER.size:]), seq, list(fds)

    def wait(self, seq, skip=('FINISH_WAIT',)):
        """The answer to a request: (fields, descriptors)."""
        while seq not in self.answers:
            name, msg, got, fds = self.receive()
            if name == 'ABORTED':
                self.unasked.append(Failed(msg))
            elif name in skip:
                self.unasked.append((name, msg))
            else:
                self.answers[got] = name, msg, fds
        name, msg, fds = self.answers.pop(seq)
        if name == 'FAIL':
            raise Failed(msg)
        msg['_name'] = name
        return msg, fds

    def ask(self, message, /, fds=(), **values):
        return self.wait(self.send(message, fds=fds, **values))

    def wait_aborted(self):
        while not any(isinstance(u, Failed) for u in self.unasked):
            name, msg, seq, fds = self.receive()
            assert name != 'FINISHED', 'not aborted but finished'
            if name == 'ABORTED':
                self.unasked.append(Failed(msg))
            elif name != 'FINISH_WAIT':
                self.answers[seq] = name, msg, fds
        return next(u for u in self.unasked if isinstance(u, Failed))

    def is_closed(self):
        """True once the validator closed, whatever else it says before."""
        try:
            while True:
                self.receive()
        except Closed:
            return True
        except TimeoutError:
            return False

    # ---- sessions

    def grant(self, purpose, auth_id='root@pam', **more):
        more.setdefault('store', self.store)
        return grant(self.key, purpose, auth_id, **more)

    def open(self, snapshot, kind=BACKUP, ns='', flags=0, auth_id='root@pam',
             grant=None, peer='192.0.2.1', **more):
        type_, id_, when = snapshot
        msg, fds = self.ask(
            'SESSION_OPEN', kind=kind, store=self.store, ns=ns, peer=peer,
            type=TYPES[type_], id=id_, time=when, flags=flags,
            grant=self.grant(kind, auth_id, ns=ns, **more)
            if grant is None else grant)
        self.resume_key = msg['resume_key']
        self.upid = msg['upid']
        if kind == BACKUP:
            self.base_time = msg['base_time']
            self.use_arena(fds[0], msg['arena_blocks'])
        self.deposits = 0
        self.known = {}
        return self

    def use_arena(self, fd, blocks):
        self.arena_fd = fd
        # It outlives close(), since a session may be resumed.
        weakref.finalize(self, os.close, fd)
        self.arena = mmap.mmap(fd, blocks * BLOCK)
        self.free = list(range(blocks))
        self.held = {}

    def resume(self):
        fd = self.arena_fd
        if fd is None:
            fd = os.memfd_create('none')
        return self.ask('SESSION_RESUME', fds=[fd],
                        resume_key=self.resume_key)[0]

    def take_blocks(self, data):
        n = -(-len(data) // BLOCK)
        block = next(b for b in self.free
                     if all(b + i in self.free for i in range(n)))
        for i in range(n):
            self.free.remove(block + i)
        self.arena[block * BLOCK:block * BLOCK + len(data)] = data
        return block, n

    def give_blocks(self, block, n):
        self.free = sorted(self.free + list(range(block, block + n)))

    def deposit_send(self, blob, digest, size, writer=1, number=None):
        if number is None:
            number = self.deposits
            self.deposits += 1
        block, n = self.take_blocks(blob)
        seq = self.send('DEPOSIT', number=number, writer=writer, block=block,
                        len=len(blob), size=size, digest=digest)
        self.held[seq] = block, n, digest, number
        return seq

    def deposit_wait(self, seq):
        block, n, digest, number = self.held.pop(seq)
        try:
            msg, _ = self.wait(seq)
        finally:
            self.give_blocks(block, n)
        self.known[digest] = (DEPOSIT, number)
        return msg

    def deposit(self, blob, digest, size, writer=1):
        return self.deposit_wait(
            self.deposit_send(blob, digest, size, writer))

    def put_blob(self, name, blob):
        block, n = self.take_blocks(blob)
        try:
            return self.ask('BLOB_PUT', name=name, block=block,
                            len=len(blob))
        finally:
            self.give_blocks(block, n)

    def create(self, name, writer=1, size=0, reuse=None):
        return self.ask('INDEX_CREATE', writer=writer,
                        kind=0 if name.endswith('.fidx') else 1, name=name,
                        size=size, reuse=1 if reuse else 0, reuse_csum=reuse)

    def append(self, writer, first, entries):
        """entries: (start offset, source, position, digest)."""
        data = b''.join(struct.pack('<QII', *e[:3]) + e[3] for e in entries)
        return self.ask('APPEND', writer=writer, first=first,
                        count=len(entries), entries=data)[0]

    def close_index(self, writer, count, size, csum):
        return self.ask('INDEX_CLOSE', writer=writer, count=count, size=size,
                        csum=csum)

    def open_file(self, name):
        """(fields, content)"""
        msg, fds = self.ask('FILE_OPEN', name=name)
        return msg, read_all(fds[0])

    def finish(self):
        return self.ask('FINISH')[0]

    # ---- calls

    def call(self, op, auth_id='root@pam', data=None, privs=ALL, nodes=None,
             grant_store=None, subject='', **values):
        values.setdefault('store', self.store)
        g = grant(self.key, CALL, auth_id,
                  store=values['store'] if grant_store is None
                  else grant_store, ns=values.get('ns', ''), privs=privs,
                  nodes=nodes, subject=subject)
        fds = []
        if data is not None:
            fd = os.memfd_create('data')
            os.write(fd, data)
            fds = [fd]
        try:
            msg, got = self.ask('CALL' if data is None else 'CALL_DATA',
                                fds=fds, op=OPS[op], grant=g, **values)
        finally:
            for fd in fds:
                os.close(fd)
        if got:
            msg['data'] = read_all(got[0])
        return msg

