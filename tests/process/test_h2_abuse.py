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


def crumbs():
    """Cookies are joined: as many as a head may have, again and again."""
    cookie = b'\x0f\x11\x01c'  # cookie: c, by the static table
    for i in range(2000):
        yield headers(2 * i + 1, GET + cookie * 1500)


def nameless_fields():
    """Each costs memory, none has a length (CVE-2019-9516)."""
    for i in range(5000):
        yield headers(2 * i + 1, GET + literal(b'', b'') * 300)


def server_resets(broken):
    """Requests that the server must reset (CVE-2025-8671): their work would
    go on, and another could begin."""
    def frames():
        for i in range(5000):
            yield from broken(2 * i + 1)
    return frames


def no_increment(stream):
    return open_post(stream), frame(WINDOW, 0, stream, u32(0))


def too_much_window(stream):
    return open_post(stream), frame(WINDOW, 0, stream, u32(2**31 - 1))


def wrong_length(stream):
    return (headers(stream, POST + literal(b'content-length', b'1'),
                    END_HEADERS), frame(DATA, END_STREAM, stream, b'xx'))


def upper_case(stream):
    return headers(stream, GET + literal(b'X', b'1')),


def depends_on_itself(stream):
    return open_post(stream), frame(PRIORITY, 0, stream, u32(stream) + b'1')


def after_the_end(stream):
    return headers(stream, GET), frame(DATA, 0, stream, b'x')


def window_flips():
    """Each makes the server look at every stream."""
    for i in range(200):
        yield open_post(2 * i + 1)
    for i in range(20000):
        yield frame(SETTINGS, 0, 0, struct.pack('>HI', 4, i % 2 * 2**30))


def table_flips():
    """Each makes the server throw its table away."""
    for i in range(20000):
        yield frame(SETTINGS, 0, 0, struct.pack('>HI', 1, i % 2 * 4096))


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
    'crumbs': (crumbs, None),
    'nameless-fields': (nameless_fields, None),
    'no-increment': (server_resets(no_increment), None),
    'too-much-window': (server_resets(too_much_window), None),
    'wrong-length': (server_resets(wrong_length), ENHANCE_YOUR_CALM),
    'upper-case': (server_resets(upper_case), ENHANCE_YOUR_CALM),
    'depends-on-itself': (server_resets(depends_on_itself), None),
    'after-the-end': (server_resets(after_the_end), None),
    'window-flips': (window_flips, ENHANCE_YOUR_CALM),
    'table-flips': (table_flips, ENHANCE_YOUR_CALM),
    'table-too-large': (lambda: [headers(1, b'\x3f\xff\xff\x7f' + GET)],
                        None),
    'goaways': (lambda: [frame(GOAWAY, 0, 0, u32(0) * 2)] * 20000, None),
    'reset-of-nothing': (lambda: [frame(RST, 0, 1, u32(8))],
                         PROTOCOL_ERROR),
    'window-of-nothing': (lambda: [frame(WINDOW, 0, 1, u32(1))],
                          PROTOCOL_ERROR),
    'data-of-nothing': (lambda: [frame(DATA, 0, 1, b'x')], None),
    'ping-too-short': (lambda: [frame(PING, 0, 0, bytes(7))],
                       FRAME_SIZE_ERROR),
    'settings-cut': (lambda: [frame(SETTINGS, 0, 0, bytes(5))],
                     FRAME_SIZE_ERROR),
    'settings-ack-with-body': (lambda: [frame(SETTINGS, ACK, 0, bytes(6))],
                               FRAME_SIZE_ERROR),
    'window-setting': (lambda: [frame(SETTINGS, 0, 0, struct.pack(
        '>HI', 4, 2**31))], FLOW_CONTROL_ERROR),
    'padding-too-long': (lambda: [open_post(1) + frame(DATA, 8, 1, b'\xff')],
                         PROTOCOL_ERROR),
    'other-frame-in-head': (lambda: [headers(1, GET, 0) +
                                     frame(PING, 0, 0, bytes(8))],
                            PROTOCOL_ERROR),
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
        finally:
            self.sock.close()
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
    raw.sock.settimeout(60)
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
    raw.sock.settimeout(60)
    raw.sock.sendall(
        b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS) + open_post(1) +
        frame(DATA, 8, 1, b'\x05' + b'x' * 10 + bytes(5)) +
        headers(1, literal(b'x-checksum', b'1')) + frame(PING, 0, 0, b'12345678'))
    while b'{"data":null}' not in raw.got or b'12345678' not in raw.got:
        raw.got += raw.sock.recv(65536)
    raw.sock.close()
