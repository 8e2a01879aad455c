"""What HTTP/2 allows and few clients do (RFC 9113): requests in odd frames, at
the smallest windows, in any order, cut off anywhere.  python3-h2 speaks for
the client; frames that it does not make are made from its bytes."""

import re
import struct
import time

import h2.errors
import h2.settings
import pytest

import pbs
from pbs import CHUNK, MIB, blob, sha256

DATA, HEADERS, SETTINGS, GOAWAY, CONTINUATION = 0, 1, 4, 7, 9
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
INITIAL_WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE
STREAMS = 100


def frame(kind, flags=0, stream=0, body=b''):
    return (struct.pack('>I', len(body))[1:] +
            struct.pack('>BBI', kind, flags, stream) + body)


def frames_of(data):
    while data:
        n = int.from_bytes(data[:3], 'big')
        yield data[3], data[4], int.from_bytes(data[5:9], 'big'), \
            data[9:9 + n]
        data = data[9 + n:]


def piece(n, size=4096):
    return (b'%016d' % n) * (size // 16)


@pytest.fixture
def session(instance, snapshot):
    with instance.backup(snapshot()) as s:
        assert s.previous_time() is None
        yield s
        # Whatever happened, it goes on.
        assert s.previous_time() is None


@pytest.fixture(scope='module')
def stored(instance):
    snap = ('host', 'frames', 1600000000)
    with instance.backup(snap) as s:
        s.backup_dynamic('a.didx', [piece(i) for i in range(STREAMS)])
    return snap


def start_in(session, transform, method, path, query=None, body=b'',
             headers=()):
    """A request whose HEADERS frame becomes what transform makes of it:
    transform(flags, stream, block) gives frames."""
    flush, sent = session.flush, []
    session.flush = lambda: None
    try:
        stream = session.start(method, path, query, body=body,
                               headers=headers)
    finally:
        session.flush = flush
    for kind, flags, number, payload in frames_of(session.h2.data_to_send()):
        sent += transform(flags, number, payload) if kind == HEADERS \
            else [frame(kind, flags, number, payload)]
    session.sock.sendall(b''.join(sent))
    return stream


def in_parts(*sizes):
    """Of these sizes, the rest, and an empty one."""
    def transform(flags, number, block):
        parts = []
        for size in sizes:
            parts.append(block[:size])
            block = block[size:]
        parts.append(block)
        out = [frame(HEADERS, flags & ~END_HEADERS, number, parts[0])]
        out += [frame(CONTINUATION, 0, number, p) for p in parts[1:]]
        return out + [frame(CONTINUATION, END_HEADERS, number)]
    return transform


def padded(n):
    def transform(flags, number, block):
        return [frame(HEADERS, flags | PADDED, number,
                      bytes([n]) + block + bytes(n))]
    return transform


# ---- heads

@pytest.mark.parametrize('how', [
    in_parts(1), in_parts(0, 0, 0), in_parts(1, 1, 1, 1, 1), in_parts(1000),
    padded(0), padded(1), padded(255)],
    ids=['first-byte', 'nothing', 'bytes', 'all', 'pad0', 'pad1', 'pad255'])
def test_heads_in_continuations_and_padded(session, how):
    for _ in range(3):
        stream = start_in(session, how, 'GET', 'previous_backup_time')
        assert session.wait(stream).check().data is None
    data = blob(b'in odd frames')
    stream = start_in(session, how, 'POST', 'blob', {
        'file-name': 'a.blob', 'encoded-size': len(data)}, body=data)
    session.wait(stream).check()


def test_head_as_long_as_it_may_be(session):
    """Over several frames; test_h2_abuse.py has what is too much."""
    query = '_dc=' + 'x' * 40000
    stream = start_in(session, in_parts(16384, 16384), 'GET',
                      f'previous_backup_time?{query}')
    session.wait(stream).check()


def test_priorities_are_ignored(session):
    stream_id = session.h2.get_next_available_stream_id()
    stream = pbs.Stream(stream_id, b'')
    stream.ended = True
    session.streams[stream_id] = stream
    session.h2.send_headers(stream_id, [
        (':method', 'GET'), (':scheme', 'https'), (':authority', 'x'),
        (':path', '/previous_backup_time')], end_stream=True,
        priority_weight=256, priority_depends_on=0, priority_exclusive=True)
    session.h2.prioritize(stream_id, weight=1)
    session.flush()
    session.wait(stream).check()


@pytest.mark.parametrize('extra', [
    [('te', 'trailers')], [('authorization', 'PBSAPIToken=u@pbs!t:x')],
    [('cookie', f'c{i}=1') for i in range(50)],
    [('host', 'localhost:8007')], [('accept-encoding', 'gzip')],
    [('user-agent', 'Go-http-client/2.0'), ('x-forwarded-for', '::1')],
    [('content-length', '0')]], ids=str)
def test_headers_that_change_nothing(session, extra):
    r = session.wait(session.start('GET', 'previous_backup_time',
                                   headers=extra)).check()
    assert r.data is None
    assert 'content-encoding' not in r.headers


# ---- bodies

@pytest.mark.parametrize('size', [1, 10, 16384])
@pytest.mark.parametrize('pad', [None, 0, 255])
def test_bodies_in_small_and_padded_frames(session, size, pad):
    data = blob(piece(1, 208 if size == 1 else 4096))
    stream = session.start('POST', 'blob', {
        'file-name': 'a.blob', 'encoded-size': len(data)}, body=data)
    # start() leaves the body to push_bodies(); here it goes by itself.
    stream.ended = True
    for i in range(0, len(data), size):
        part = data[i:i + size]
        while session.h2.local_flow_control_window(stream.id) < \
                len(part) + 256:
            # Padding takes room as well, and gives it back.
            session.turn(time.monotonic() + 60)
        session.h2.send_data(stream.id, part, pad_length=pad)
        session.flush()
    session.h2.end_stream(stream.id)
    session.flush()
    session.wait(stream).check()


@pytest.mark.parametrize('call', ['blob', 'chunk', 'json', 'form',
                                  'speedtest'])
def test_trailers(session, call):
    """They end the body and say nothing."""
    wid = session.create_dynamic('a.didx')
    data = blob(piece(1))
    head, query, body = [], {}, data
    if call == 'blob':
        path = 'blob'
        query = {'file-name': 'a.blob', 'encoded-size': len(data)}
    elif call == 'chunk':
        path = 'dynamic_chunk'
        query = {'wid': wid, 'digest': sha256(piece(1)).hex(), 'size': 4096,
                 'encoded-size': len(data)}
    elif call == 'speedtest':
        path = call
    else:
        path = 'dynamic_index'
        body = b'{"archive-name": "b.didx"}' if call == 'json' \
            else b'archive-name=b.didx'
        if call == 'json':
            head = [('content-type', 'application/json')]
    stream = session.start('POST', path, query, body=body, headers=head)
    stream.ended = True
    session.h2.send_data(stream.id, body)
    session.h2.send_headers(stream.id, [('x-sum', '1'), ('te', 'trailers')],
                            end_stream=True)
    session.flush()
    session.wait(stream).check()


@pytest.mark.parametrize('announced', [0, 1, 4107, 4109, 10**12])
def test_content_length_that_is_wrong(session, announced):
    """That stream is broken, not the connection."""
    data = blob(piece(1))
    stream = session.start('POST', 'blob', {
        'file-name': 'a.blob', 'encoded-size': len(data)}, body=data,
        headers=[('content-length', str(announced))])
    stream.ended = True
    number = stream.id
    session.sock.sendall(frame(DATA, END_STREAM, number, data))
    deadline = time.monotonic() + 60
    while not stream.done:
        session.turn(deadline)
    assert stream.reset is not None or stream.headers[':status'] == '400'
    del session.streams[number]


# ---- order

def test_bodies_end_in_another_order_than_they_began(session):
    wid = session.create_dynamic('a.didx')
    streams = []
    for i in range(STREAMS):
        stream = session.start_chunk('dynamic', wid, piece(i))
        session.h2.send_data(stream.id, bytes(stream.body[:100]))
        stream.sent = 100
        streams.append((i, stream))
        stream.ended = True
    session.flush()
    for i, stream in reversed(streams):
        session.h2.send_data(stream.id, bytes(stream.body[100:]),
                             end_stream=True)
        session.flush()
        assert session.wait(stream).check().data == sha256(piece(i)).hex()


def test_a_hundred_calls_of_all_kinds_at_once(session):
    wid = session.create_dynamic('a.didx')
    known = session.chunk('dynamic', wid, piece(0))
    conf = blob(b'configuration')
    streams = []
    for i in range(STREAMS // 5):
        streams += [
            session.start('GET', 'previous_backup_time'),
            session.start_chunk('dynamic', wid, piece(i)),
            session.start_blob(f'b{i}.blob', conf),
            session.start('PUT', 'dynamic_index', json={
                'wid': wid, 'digest-list': [known],
                'offset-list': [4096 * i]}),
            session.start('POST', 'speedtest', body=bytes(70000))]
    assert len(streams) == STREAMS
    for stream in streams:
        session.wait(stream).check()
    csum = pbs.dynamic_csum([(4096 * (i + 1), sha256(piece(0)))
                             for i in range(STREAMS // 5)])
    session.close_index('dynamic', wid, STREAMS // 5, 4096 * STREAMS // 5,
                        csum)


def test_a_hundred_downloads_at_once(instance, stored):
    with instance.reader(stored) as s:
        entries = pbs.parse_dynamic(s.download('a.didx'))[1]
        streams = [s.start('GET', 'chunk', {'digest': d.hex()})
                   for _, d in entries]
        for (_, d), stream in reversed(list(zip(entries, streams))):
            assert sha256(pbs.unblob(s.wait(stream).check().body)) == d


def test_stream_numbers_with_gaps(session):
    """Any greater odd number will do."""
    for number in (1001, 1003, 90001, 2**30 + 1):
        stream = pbs.Stream(number, b'')
        stream.ended = True
        session.streams[number] = stream
        session.h2.send_headers(number, [
            (':method', 'GET'), (':scheme', 'https'), (':authority', 'x'),
            (':path', '/previous_backup_time')], end_stream=True)
        session.flush()
        session.wait(stream).check()


def test_the_next_before_the_last_is_answered(session):
    """Calls of one writer, sent at once, are done in order."""
    pieces = [piece(i) for i in range(10)]
    wid = session.create_dynamic('a.didx')
    streams = [session.start_chunk('dynamic', wid, p) for p in pieces]
    # A chunk must have its answer before it is named; the rest need not.
    for stream in streams:
        session.wait(stream).check()
    entries = [(4096 * (i + 1), sha256(p)) for i, p in enumerate(pieces)]
    last = [session.start('PUT', 'dynamic_index', json={
        'wid': wid, 'digest-list': [d.hex()], 'offset-list': [end - 4096]})
        for end, d in entries]
    session.push_bodies()
    last.append(session.start('POST', 'dynamic_close', {
        'wid': wid, 'chunk-count': 10, 'size': 40960,
        'csum': pbs.dynamic_csum(entries).hex()}))
    manifest = pbs.Manifest(session.snapshot)
    manifest.add('a.didx', 40960, pbs.dynamic_csum(entries))
    last.append(session.start_blob('index.json.blob', manifest.blob()))
    for stream in last:
        session.wait(stream).check()


def test_chunk_for_a_writer_that_is_not_answered_yet(session):
    """Which number it will have is not known: refused or not, by name."""
    for wid in range(1, 20):
        created = session.start('POST', 'dynamic_index',
                                {'archive-name': f'a{wid}.didx'})
        chunk = session.start_chunk('dynamic', wid, piece(wid))
        assert session.wait(created).check().data == wid
        r = session.wait(chunk)
        assert r.status == 200 or \
            r.text == f"dynamic writer '{wid}' not registered"


# ---- windows

def small(instance, snapshot, window, kind='backup'):
    return getattr(instance, kind)(
        snapshot, settings={INITIAL_WINDOW: window}, window=65535)


def drip(session, stream, step):
    """Opens the stream's window by step until it ends; the largest DATA."""
    largest, deadline = 0, time.monotonic() + 60
    while not stream.done:
        before = len(stream.received)
        session.h2.increment_flow_control_window(step, stream.id)
        session.flush()
        while len(stream.received) == before and not stream.done:
            session.turn(deadline)
        largest = max(largest, len(stream.received) - before)
    return largest


def silence(session):
    """No window updates by itself."""
    session.h2.acknowledge_received_data = lambda *_: None


@pytest.mark.parametrize('window', [0, 1, 5])
def test_smallest_stream_windows(instance, stored, window):
    with small(instance, stored, window, 'reader') as s:
        silence(s)
        streams = [s.start('GET', '') for _ in range(3)]
        # All three are there, none goes on without room.
        deadline = time.monotonic() + 60
        while not all(x.headers and len(x.received) == window
                      for x in streams):
            s.turn(deadline)
        for stream in streams:
            assert drip(s, stream, max(window, 1)) <= max(window, 1)
            names = {x['subdir'] for x in s.wait(stream).check().data}
            assert names == {'download', 'chunk', 'speedtest'}


def test_connection_window_is_kept(instance, stored):
    """Streams have room, the connection has none: nobody gets more."""
    with instance.reader(stored, settings={INITIAL_WINDOW: 2**20},
                         window=65535) as s:
        silence(s)
        one, two = (s.start('GET', 'speedtest') for _ in range(2))
        deadline = time.monotonic() + 60
        while len(one.received) + len(two.received) < 65535:
            s.turn(deadline)
        # An answer without a body passes all the same.
        nothing = s.start('HEAD', 'nowhere')
        assert s.wait(nothing).status == 404
        assert len(one.received) + len(two.received) == 65535


def test_window_that_shrinks_while_a_body_is_sent(instance, stored):
    """SETTINGS may make the window negative."""
    with instance.reader(stored, settings={INITIAL_WINDOW: 100000},
                         window=2**24) as s:
        stream = s.start('GET', 'speedtest')
        # h2 itself miscounts windows that shrink: here it shall not count.
        counter = s.h2.streams[stream.id]._inbound_window_manager
        counter.window_consumed = lambda size: None
        counter.process_bytes = lambda size: size
        s.h2.update_settings({INITIAL_WINDOW: 0})
        s.flush()
        s.h2.update_settings({INITIAL_WINDOW: 2**20})
        s.flush()
        assert s.wait(stream).check().body == b'A' * MIB


def test_uploads_that_fill_windows_by_single_bytes(session):
    """A body of the last bytes that the window has, and one more."""
    data = blob(bytes(range(256)) * 300)
    wid = session.create_dynamic('a.didx')
    stream = session.start_chunk('dynamic', wid, bytes(range(256)) * 300,
                                 encoded=data)
    stream.ended = True
    sent, deadline = 0, time.monotonic() + 60
    while sent < len(data):
        room = session.h2.local_flow_control_window(stream.id)
        if room == 0:
            session.turn(deadline)
            continue
        n = min(room, 16384, len(data) - sent)
        # The last bytes of the window one by one.
        n = n - 3 if n == room and n > 3 else min(n, 16384 if n > 3 else 1)
        session.h2.send_data(stream.id, data[sent:sent + n],
                             end_stream=sent + n == len(data))
        sent += n
        session.flush()
    session.wait(stream).check()


# ---- resets and pings

UPLOADS = {
    'chunk': lambda s: s.start_chunk('dynamic', 1, piece(1)),
    'blob': lambda s: s.start_blob('r.blob', blob(piece(1))),
    'append': lambda s: s.start('PUT', 'dynamic_index', json={
        'wid': 1, 'digest-list': ['11' * 32] * 20,
        'offset-list': [0] * 20}),
    'speedtest': lambda s: s.start('POST', 'speedtest', body=bytes(4096)),
    'nowhere': lambda s: s.start('POST', 'nowhere', body=bytes(4096)),
}


@pytest.mark.parametrize('part', [0, 1, 1000])
@pytest.mark.parametrize('call', UPLOADS)
def test_resets_in_mid_body(session, call, part):
    session.create_dynamic('a.didx')
    for code in h2.errors.ErrorCodes:
        stream = UPLOADS[call](session)
        stream.ended = True
        if part:
            session.h2.send_data(stream.id, bytes(stream.body[:part]))
        session.h2.reset_stream(stream.id, code)
        session.flush()
        del session.streams[stream.id]
    stream = UPLOADS[call](session)
    assert session.wait(stream).status in (200, 400, 404)


def test_reset_of_every_call_at_once(session):
    for _ in range(3):
        for path in ('previous_backup_time', 'previous?archive-name=a.didx',
                     '', 'nowhere'):
            stream = session.start('GET', path)
            session.h2.reset_stream(stream.id)
            session.flush()
            del session.streams[stream.id]


def test_pings_are_answered_in_the_middle_of_bodies(session):
    acked = []
    on_event = session.on_event

    def watch(event):
        if type(event).__name__ == 'PingAckReceived':
            acked.append(event.ping_data)
        on_event(event)
    session.on_event = watch
    wid = session.create_dynamic('a.didx')
    streams = [session.start_chunk('dynamic', wid, piece(i, CHUNK))
               for i in range(4)]
    for i in range(8):
        session.h2.ping(b'%08d' % i)
        session.flush()
    for stream in streams:
        session.wait(stream).check()
    deadline = time.monotonic() + 60
    while len(acked) < 8:
        session.turn(deadline)
    assert acked == [b'%08d' % i for i in range(8)]


def test_goaway_ends_nothing_that_runs(instance, snapshot):
    """Requests that were sent before get their answers, then it ends."""
    with instance.backup(snapshot()) as s:
        wid = s.create_dynamic('a.didx')
        streams = [s.start_chunk('dynamic', wid, piece(i, CHUNK))
                   for i in range(8)]
        while s.push_bodies() or not all(x.ended for x in streams):
            s.turn(time.monotonic() + 60)
        s.sock.sendall(frame(GOAWAY, 0, 0, struct.pack('>II', 0, 0) + b'bye'))
        for stream in streams:
            s.wait(stream).check()
        with pytest.raises(pbs.ConnectionLost):
            while True:
                s.turn(time.monotonic() + 60)


# ---- HTTP/1.1: the next request before the last was answered

def test_pipelined_requests(instance):
    conn = instance.login()
    lines = []
    for i in range(20):
        body = b'x=%d' % i
        path = ('version', 'nowhere', 'ping', 'admin/datastore')[i % 4]
        head = {'Host': 'x', **conn.headers, 'Content-Length': len(body)}
        lines.append(f'GET /api2/json/{path}?_dc={i} HTTP/1.1\r\n' + ''.join(
            f'{k}: {v}\r\n' for k, v in head.items()) + '\r\n' + body.decode())
    conn.sock.sendall(''.join(lines).encode())
    statuses = [conn.read_response().status for _ in lines]
    assert statuses == [400, 404, 400, 400] * 5
    assert conn.get('version')
    conn.close()


def test_upgrade_and_session_in_one_write(instance, snapshot):
    """Without Host and Connection, the preface right behind the head."""
    kind, name, when = snapshot()
    conn = instance.token()
    query = pbs.encode_query({'store': instance.store_name,
                              'backup-type': kind, 'backup-id': name,
                              'backup-time': when})
    head = (f'GET //api2/json/backup?{query} HTTP/1.1\r\n'
            f'authorization: {conn.headers["Authorization"]}\r\n'
            f'UPGRADE: {pbs.BACKUP_PROTOCOL}\r\n\r\n').encode()
    assert conn.get('version')
    # GET /previous_backup_time by the static table and a literal path.
    path = b'/previous_backup_time'
    block = b'\x82\x87\x41\x01x\x04' + bytes([len(path)]) + path
    conn.sock.sendall(
        head + b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + frame(SETTINGS) +
        frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
    while b'{"data":null}' not in conn.rest:
        conn.read_some()
    answer, _, frames = conn.rest.partition(b'\r\n\r\n')
    assert re.match(rb'HTTP/1\.1 101 Switching Protocols\r\n', answer)
    assert b'upgrade: ' + pbs.BACKUP_PROTOCOL.encode() in answer
    assert frames[3] == SETTINGS
    conn.close()
