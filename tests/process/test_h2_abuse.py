"""Clients that want to wear the server out over HTTP/2: each is cut off, its
session ends, and nobody else notices."""

import struct

import pytest

import pbs
from instance import wait_for

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, \
    CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 1, 3, 6
ENHANCE_YOUR_CALM = 11
def frame(kind, flags=0, stream=0, body=b''):
    return (struct.pack('>I', len(body))[1:] +
            struct.pack('>BBI', kind, flags, stream) + body)


def u32(n):
    return struct.pack('>I', n)


def literal(name, value):
    """A header field that is not compressed nor remembered."""
    def text(s):
        if len(s) < 127:
            return bytes([len(s)]) + s
        n, out = len(s) - 127, b'\x7f'
        while n >= 128:
            out += bytes([n % 128 + 128])
            n //= 128
        return out + bytes([n]) + s
    return b'\0' + text(name) + text(value)


# GET and POST over https, by numbers of the static table.
AUTHORITY = literal(b':authority', b'localhost')
GET = b'\x82\x87\x84' + AUTHORITY
POST = b'\x83\x87' + AUTHORITY + literal(b':path', b'/speedtest')


def headers(stream, block=GET, flags=END_HEADERS | END_STREAM):
    return frame(HEADERS, flags, stream, block)


def open_post(stream):
    """A request whose body is to come."""
    return headers(stream, POST, END_HEADERS)


def rapid_reset():
    for i in range(5000):
        stream = 2 * i + 1
        yield headers(stream) + frame(RST, 0, stream, u32(8))


def header_bomb():
    """One large field, remembered once and then named again and again."""
    field = b'\x40' + literal(b'x', b'v' * 3000)[1:]
    yield headers(1, GET + field + bytes([0xbe]) * 10000)


def header_bomb_in_parts():
    yield headers(1, GET, 0)
    for _ in range(100):
        yield frame(CONTINUATION, 0, 1, literal(b'x', b'v' * 4000))


def continuations():
    yield headers(1, GET, 0)
    for _ in range(20000):
        yield frame(CONTINUATION, 0, 1, b'')


FLOODS = {
    'rapid-reset': (rapid_reset, ENHANCE_YOUR_CALM),
    'pings': (lambda: (frame(PING, 0, 0, bytes(8)) for _ in range(20000)),
              ENHANCE_YOUR_CALM),
    'ping-acks': (lambda: (frame(PING, ACK, 0, bytes(8))
                           for _ in range(20000)), ENHANCE_YOUR_CALM),
    'settings': (lambda: (frame(SETTINGS) for _ in range(20000)),
                 ENHANCE_YOUR_CALM),
    'large-settings': (lambda: [frame(SETTINGS, 0, 0, struct.pack(
        '>HI', 0x99, 1) * 1000)], None),
    'windows': (lambda: (frame(WINDOW, 0, 0, u32(1))
                         for _ in range(50000)), ENHANCE_YOUR_CALM),
    'window-overflow': (lambda: [frame(WINDOW, 0, 0, u32(2**31 - 1))] * 2,
                        FLOW_CONTROL_ERROR),
    'priorities': (lambda: (frame(PRIORITY, 0, 1, u32(0) + b'\x10')
                            for _ in range(20000)), ENHANCE_YOUR_CALM),
    'unknown': (lambda: (frame(0x77, 0, 0, b'x') for _ in range(20000)),
                ENHANCE_YOUR_CALM),
    'empty-data': (lambda: [open_post(1)] + [frame(DATA, 0, 1)] * 20000,
                   ENHANCE_YOUR_CALM),
    'continuations': (continuations, None),
    'header-bomb': (header_bomb, ENHANCE_YOUR_CALM),
    'header-bomb-in-parts': (header_bomb_in_parts, None),
    'push': (lambda: [frame(PUSH, END_HEADERS, 1, u32(2) + GET)],
             PROTOCOL_ERROR),
    'even-stream': (lambda: [headers(2)], PROTOCOL_ERROR),
    'data-without-stream': (lambda: [frame(DATA, 0, 0, b'x')],
                            PROTOCOL_ERROR),
    'frame-too-large': (lambda: [frame(DATA, 0, 1, bytes(2 << 20))],
                        FRAME_SIZE_ERROR),
    'bad-compression': (lambda: [headers(1, b'\xff\xff\xff\xff\xff\xff\xff')],
                        None),
    'not-http2': (lambda: [b'GET / HTTP/1.1\r\n\r\n' * 10], None),
}


class Raw:
    """The bare socket behind an upgrade."""

    def __init__(self, instance, snapshot):
        conn = instance.login()
        r = conn.upgrade('backup', pbs.BACKUP_PROTOCOL, {
            'store': instance.store_name, 'backup-type': snapshot[0],
            'backup-id': snapshot[1], 'backup-time': snapshot[2]})
        assert r.status == 101
        self.sock = conn.sock
        self.got = conn.rest

    def preface(self):
        self.sock.sendall(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' +
                          frame(SETTINGS))

    def flood(self, frames):
        """Sends until the server has enough; what it said last."""
        pending = b''
        try:
            for f in frames:
                pending += f
                if len(pending) > 16384:
                    self.sock.sendall(pending)
                    pending = b''
            self.sock.sendall(pending)
        except OSError:
            pass
        return self.read_all()

    def read_all(self):
        """To the end of the connection."""
        self.sock.settimeout(60)
        try:
            while data := self.sock.recv(65536):
                self.got += data
        except TimeoutError:
            raise AssertionError('the server does not cut it off') from None
        except OSError:
            pass
        return self.got


def goaway_codes(data):
    codes = []
    while len(data) >= 9:
        length = int.from_bytes(data[:3], 'big')
        if data[3] == GOAWAY:
            codes.append(int.from_bytes(data[13:17], 'big'))
        data = data[9 + length:]
    return codes


@pytest.fixture(scope='module')
def bystander(instance):
    """Somebody else's session, there all the time."""
    with instance.backup(('host', 'bystander', 1500000000),
                         conn=instance.login2()) as s:
        yield s


@pytest.mark.parametrize('name', FLOODS)
def test_flood(instance, snapshot, bystander, name):
    frames, code = FLOODS[name]
    snap = snapshot()
    raw = Raw(instance, snap)
    if name != 'not-http2':
        raw.preface()
    codes = goaway_codes(raw.flood(frames()))
    # A server that has enough may also just close; then nothing was read.
    if code is not None and codes:
        assert codes[-1] == code

    def again():
        try:
            return instance.backup(snapshot(snap))
        except pbs.PbsError as e:
            assert 'lock' in e.text
    with wait_for(again) as s:
        assert s.previous_time() is None
    assert bystander.previous_time() is None


def test_too_many_streams(instance, snapshot):
    raw = Raw(instance, snapshot())
    raw.preface()
    raw.sock.settimeout(30)
    for i in range(300):
        raw.sock.sendall(open_post(2 * i + 1))
    refused = set()
    while len(refused) < 300 - 256:
        raw.got += raw.sock.recv(65536)
        data = raw.got
        while len(data) >= 9:
            length = int.from_bytes(data[:3], 'big')
            if data[3] == RST and len(data) >= 13:
                assert data[9:13] == u32(7)  # REFUSED_STREAM
                refused.add(int.from_bytes(data[5:9], 'big'))
            data = data[9 + length:]
    assert min(refused) == 2 * 256 + 1
    raw.sock.sendall(frame(DATA, END_STREAM, 1))
    while b'{"data":null}' not in raw.got:
        raw.got += raw.sock.recv(65536)
    raw.sock.close()


def test_trailers_and_early_bytes(instance, snapshot):
    """Legal, if rare: trailers, padding, a preface in the same write as
    requests."""
    raw = Raw(instance, snapshot())
    raw.sock.settimeout(30)
    raw.sock.sendall(
        b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS) + open_post(1) +
        frame(DATA, 8, 1, b'\x05' + b'x' * 10 + bytes(5)) +
        headers(1, literal(b'x-checksum', b'1')) + frame(PING, 0, 0, b'12345678'))
    while b'{"data":null}' not in raw.got or b'12345678' not in raw.got:
        raw.got += raw.sock.recv(65536)
    raw.sock.close()
