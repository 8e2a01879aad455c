"""Backup and reader sessions as clients drive them over HTTP/2: flow control,
order, resets, errors, disconnects."""

import os
import socket
import time

import pytest

import pbs
from instance import wait_for
from pbs import CHUNK, MIB, Manifest, blob, fixed_csum, sha256

ARENA = 64 * MIB
WINDOW = 65535


def raw(n, size=CHUNK):
    """Different bytes for each n, made fast."""
    return (b'%016d' % n) * (size // 16)


def fails(session, method, path, query=None, json=None, body=b''):
    r = session.request(method, path, query, json, body)
    assert r.status >= 400, r.text
    return r


def finish(session, files=()):
    manifest = Manifest(session.snapshot)
    for f in files:
        manifest.add(*f)
    session.blob('index.json.blob', manifest.blob())
    session.finish()


def stall(session, kind, wid, n, sent):
    """An upload that sends the first bytes of its body and no more."""
    data = blob(raw(n))
    stream = session.start_chunk(kind, wid, raw(n))
    stream.body = memoryview(data)
    stream.ended = True  # push_bodies() leaves it alone
    while stream.sent < sent:
        part = min(sent - stream.sent, session.h2.max_outbound_frame_size,
                   session.h2.local_flow_control_window(stream.id))
        if part <= 0:
            session.turn(time.monotonic() + 30)
            continue
        session.h2.send_data(stream.id,
                             data[stream.sent:stream.sent + part])
        stream.sent += part
        session.flush()
    return stream


def go_on(stream):
    stream.ended = False


def reset(session, stream):
    session.h2.reset_stream(stream.id)
    session.flush()
    del session.streams[stream.id]


@pytest.fixture
def session(instance, snapshot):
    with instance.backup(snapshot()) as s:
        # The server's settings are there with the first answer.
        assert s.previous_time() is None
        yield s


# ---- flow control

def test_settings_and_windows(session):
    remote = session.h2.remote_settings
    assert remote.max_concurrent_streams >= 200
    assert remote.initial_window_size == WINDOW
    assert 16384 <= remote.max_frame_size <= MIB
    assert session.h2.outbound_flow_control_window > 2**30


def test_more_uploads_than_the_arena_holds(session):
    wid = session.create_dynamic('a.didx')
    streams = [session.start_chunk('dynamic', wid, raw(i))
               for i in range(3 * ARENA // CHUNK // 2)]
    for i, stream in enumerate(streams):
        assert session.wait(stream).check().data == sha256(raw(i)).hex()


def test_many_small_uploads_at_once(session):
    wid = session.create_dynamic('a.didx')
    limit = session.h2.remote_settings.max_concurrent_streams
    streams = [session.start_chunk('dynamic', wid, raw(i, 1024))
               for i in range(limit)]
    for stream in streams:
        session.wait(stream).check()


def test_stalled_uploads_do_not_stop_others(session):
    wid = session.create_dynamic('a.didx')
    stalled = [stall(session, 'dynamic', wid, i, 100000) for i in range(8)]
    for i in range(100, 120):
        session.chunk('dynamic', wid, raw(i))
    for stream in stalled:
        go_on(stream)
    for stream in stalled:
        session.wait(stream).check()


def test_who_has_no_credit_waits_until_there_is_some(session):
    wid = session.create_dynamic('a.didx')
    n = ARENA // CHUNK
    stalled = [stall(session, 'dynamic', wid, i, 70000)
               for i in range(n - 1)]
    last = session.start_chunk('dynamic', wid, raw(99))
    while session.push_bodies():
        pass
    assert last.sent == WINDOW, 'only the first window'
    # Calls that need none go on.
    assert session.previous_time() is None
    assert not last.done and last.sent == WINDOW
    reset(session, stalled.pop())
    reset(session, stalled.pop())
    assert session.wait(last).check().data == sha256(raw(99)).hex()
    for stream in stalled:
        go_on(stream)
    for stream in stalled:
        session.wait(stream).check()


def test_resets_give_the_room_back(session):
    wid = session.create_dynamic('a.didx')
    for i in range(5 * ARENA // CHUNK):
        stream = stall(session, 'dynamic', wid, i, 80000)
        reset(session, stream)
    streams = [session.start_chunk('dynamic', wid, raw(i)) for i in range(16)]
    for stream in streams:
        session.wait(stream).check()


def test_reset_of_an_upload_that_waits(session):
    wid = session.create_dynamic('a.didx')
    stalled = [stall(session, 'dynamic', wid, i, 70000)
               for i in range(ARENA // CHUNK - 1)]
    first = session.start_chunk('dynamic', wid, raw(50))
    while session.push_bodies():
        pass
    small = session.start_chunk('dynamic', wid, raw(51, 4096))
    assert session.previous_time() is None
    assert not small.done, 'in order of arrival'
    reset(session, first)
    session.wait(small).check()
    for stream in stalled:
        reset(session, stream)


def test_uploads_finished_and_reset_are_stored_all_the_same(session):
    wid = session.create_dynamic('a.didx')
    for i in range(50):
        stream = session.start_chunk('dynamic', wid, raw(i, 4096))
        session.push_bodies()
        reset(session, stream)
    session.chunk('dynamic', wid, raw(99))


# ---- bodies that are not what was announced

@pytest.mark.parametrize('announced,sent,text', [
    (1000, 1001, 'uploaded chunk is larger than announced.'),
    (100000, 100001, 'uploaded chunk is larger than announced.'),
    (CHUNK, CHUNK + MIB, 'uploaded chunk is larger than announced.'),
    (1000, 999, 'uploaded chunk has unexpected size.'),
    (100000, 20, 'uploaded chunk has unexpected size.'),
    (100000, 0, 'uploaded chunk has unexpected size.'),
])
def test_chunk_of_another_length(session, announced, sent, text):
    wid = session.create_dynamic('a.didx')
    r = session.wait(session.start_chunk(
        'dynamic', wid, b'x', encoded=blob(bytes(sent))[:sent],
        encoded_size=announced))
    assert (r.status, r.text) == (400, text)
    session.chunk('dynamic', wid, raw(1))


def test_blob_of_another_length(session):
    data = blob(b'0123456789')
    for announced in (len(data) - 1, len(data) + 1):
        r = fails(session, 'POST', 'blob', {
            'file-name': 'a.blob', 'encoded-size': announced}, body=data)
        assert r.text == ('got blob with unexpected length '
                          f'({announced} != {len(data)})')
    session.blob('a.blob', data)


def test_body_after_an_error_is_thrown_away(session):
    wid = session.create_dynamic('a.didx')
    for _ in range(10):
        r = fails(session, 'POST', 'dynamic_chunk', {'wid': wid},
                  body=blob(raw(1)))
        assert r.status == 400 and 'digest' in r.text
        r = fails(session, 'POST', 'nowhere', body=blob(raw(1)))
        assert r.status == 404
    session.chunk('dynamic', wid, raw(1))


def test_speedtest(session):
    streams = [session.start('POST', 'speedtest', body=bytes(CHUNK))
               for _ in range(8)]
    for stream in streams:
        assert session.wait(stream).check().data is None


# ---- calls

def test_unknown_paths_and_methods(session):
    for method, path in (('GET', 'x'), ('GET', 'finish'), ('PATCH', 'blob'),
                         ('GET', 'chunk'), ('GET', 'previous/a'),
                         ('HEAD', 'previous_backup_time')):
        r = fails(session, method, path)
        assert r.status == 404
        if method != 'HEAD':
            assert r.text == f"Path '/{path}' not found."
    names = {x['subdir'] for x in session.call('GET', '')}
    assert {'blob', 'dynamic_index', 'finish', 'previous'} <= names
    assert 'download' not in names


@pytest.mark.parametrize('query', ['wid=1', 'wid=abc&digest=00',
                                   '%zz', 'a=%00'])
def test_bad_parameters(session, query):
    r = session.wait(session.start('POST', f'fixed_chunk?{query}',
                                   body=bytes(100)))
    assert r.status == 400 and r.text
    assert session.previous_time() is None


def test_three_carriers_of_parameters(session):
    assert session.call('POST', 'dynamic_index',
                        {'archive-name': 'a.didx'}) == 1
    assert session.call('POST', 'dynamic_index',
                        json={'archive-name': 'b.didx'}) == 2
    stream = session.start(
        'POST', 'dynamic_index', body=b'archive-name=c.didx',
        headers=[('content-type', 'application/x-www-form-urlencoded')])
    assert session.wait(stream).check().data == 3
    stream = session.start('POST', 'dynamic_index', body=b'x',
                           headers=[('content-type', 'text/html')])
    assert session.wait(stream).status == 400


def test_archive_name_only_once(session):
    session.create_dynamic('a.didx')
    r = fails(session, 'POST', 'dynamic_index', {'archive-name': 'a.didx'})
    assert 'a.didx' in r.text


def test_appends_need_not_wait_for_each_other(session):
    wid = session.create_fixed('a.fidx', 40 * CHUNK)
    digest = sha256(raw(0))
    session.chunk('fixed', wid, raw(0))
    streams = [session.start('PUT', 'fixed_index', json={
        'wid': wid, 'digest-list': [digest.hex()] * 2,
        'offset-list': [2 * i * CHUNK, (2 * i + 1) * CHUNK]})
        for i in range(20)]
    session.push_bodies()
    close = {'wid': wid, 'chunk-count': 40, 'size': 40 * CHUNK,
             'csum': fixed_csum([digest] * 40).hex()}
    first = session.start('POST', 'fixed_close', close)
    second = session.start('POST', 'fixed_close', close)
    for stream in [*streams, first]:
        session.wait(stream).check()
    r = session.wait(second)
    assert r.status == 400
    assert 'already closed' in r.text or 'not registered' in r.text
    r = fails(session, 'POST', 'fixed_close', close)
    assert r.text == f"fixed writer '{wid}' not registered"
    finish(session, [('a.fidx', 40 * CHUNK, fixed_csum([digest] * 40))])


def test_entries_before_a_failing_one_stay(session):
    """Over several messages to the validator, and after its refusal too."""
    wid = session.create_dynamic('a.didx')
    piece = raw(0, 4096)
    d = session.chunk('dynamic', wid, piece)
    put = {'wid': wid, 'digest-list': [d] * 3000,
           'offset-list': [4096 * i for i in range(3000)]}
    put['offset-list'][2500] += 1
    r = fails(session, 'PUT', 'dynamic_index', json=put)
    assert r.text == (
        "dynamic writer 'a.didx' append chunk failed - got strange chunk "
        f'offset ({2500 * 4096} != {2500 * 4096 + 1})')
    put['offset-list'] = [4096 * i for i in range(2500, 5500)]
    put['digest-list'][10] = '44' * 32
    r = fails(session, 'PUT', 'dynamic_index', json=put)
    assert r.text == 'no such chunk ' + '44' * 32
    session.append('dynamic', wid, [sha256(piece)], [2510 * 4096])
    entries = [(4096 * (i + 1), sha256(piece)) for i in range(2511)]
    session.close_index('dynamic', wid, 2511, 2511 * 4096,
                        pbs.dynamic_csum(entries))


def test_large_bodies_of_parameters(session):
    wid = session.create_dynamic('a.didx')
    piece = raw(0, 4096)
    d = session.chunk('dynamic', wid, piece)
    # More at a time than may be in memory; each is refused for its offset.
    streams = [session.start('PUT', 'dynamic_index', json={
        'wid': wid, 'digest-list': [d] * 6000,
        'offset-list': [1] * 6000}) for _ in range(40)]
    for stream in streams:
        assert 'strange chunk offset' in session.wait(stream).text
    r = fails(session, 'PUT', 'dynamic_index', json={
        'wid': wid, 'digest-list': [d] * 20000, 'offset-list': []})
    assert (r.status, r.text) == (400, 'Request body too large')
    session.append('dynamic', wid, [sha256(piece)], [0])


def test_chunk_known_at_once_for_every_writer(session):
    a = session.create_fixed('a.fidx', CHUNK)
    b = session.create_fixed('b.fidx', CHUNK)
    session.chunk('fixed', a, raw(1))
    session.append('fixed', b, [sha256(raw(1))], [0])


def test_after_finish(session):
    wid = session.create_dynamic('a.didx')
    session.chunk('dynamic', wid, raw(1))
    session.append('dynamic', wid, [sha256(raw(1))], [0])
    csum = pbs.dynamic_csum([(CHUNK, sha256(raw(1)))])
    session.close_index('dynamic', wid, 1, CHUNK, csum)
    finish(session, [('a.didx', CHUNK, csum)])
    late = blob(b'late')
    for call in (('POST', 'finish'), ('POST', 'speedtest'),
                 ('POST', 'dynamic_index', {'archive-name': 'b.didx'}),
                 ('POST', 'blob', {'file-name': 'l.blob',
                                   'encoded-size': len(late)}, None, late)):
        r = fails(session, *call)
        assert r.text == 'backup already marked as finished.'


def test_failed_calls_are_in_the_task_log(instance, session):
    wid = session.create_dynamic('a.didx')
    fails(session, 'PUT', 'dynamic_index', json={
        'wid': wid, 'digest-list': ['55' * 32], 'offset-list': [0]})
    for _ in range(1500):
        session.request('GET', 'x')
    name = session.snapshot[1]

    def log():
        upids = [t['upid'] for t in instance.admin_json('task', 'list')
                 if f'-{name}:' in t['upid']]
        return instance.task_log(upids[0]) if upids else None
    lines = wait_for(log)
    assert any('no such chunk ' + '55' * 32 in x for x in lines)
    assert len(lines) < 600, 'a client cannot fill the log'


# ---- the base

def test_base_is_registered_while_other_streams_go_on(instance, snapshot):
    snap = snapshot()
    with instance.backup(snap) as s:
        wid = s.create_fixed('a.fidx', 2 * CHUNK)
        for i in (1, 2):
            s.chunk('fixed', wid, raw(i))
        digests = [sha256(raw(i)) for i in (1, 2)]
        s.append('fixed', wid, digests, [0, CHUNK])
        csum = fixed_csum(digests)
        s.close_index('fixed', wid, 2, 2 * CHUNK, csum)
        finish(s, [('a.fidx', 2 * CHUNK, csum)])
    with instance.backup(snapshot(snap)) as s:
        assert s.previous_time() == snap[2]
        streams = [s.start('GET', 'previous', {'archive-name': 'a.fidx'})
                   for _ in range(20)]
        gone = s.start('GET', 'previous', {'archive-name': 'a.fidx'})
        reset(s, gone)
        bodies = {s.wait(x).check().body for x in streams}
        assert len(bodies) == 1
        r = fails(s, 'GET', 'previous', {'archive-name': 'b.fidx'})
        assert len(r.body) >= 8
        r = fails(s, 'GET', 'previous', {'archive-name': 'b.blob'})
        assert r.status == 404
        wid = s.create_fixed('a.fidx', 2 * CHUNK)
        s.append('fixed', wid, digests[::-1], [0, CHUNK])
        csum = fixed_csum(digests[::-1])
        s.close_index('fixed', wid, 2, 2 * CHUNK, csum)
        finish(s, [('a.fidx', 2 * CHUNK, csum)])


def test_abort_fails_everything_at_once(instance, store, snapshot):
    snap = snapshot()
    with instance.backup(snap) as s:
        s.backup_images({'a.fidx': raw(31) + raw(32)})
    os.unlink(store.chunk_path(sha256(raw(32))))
    with instance.backup(snapshot(snap)) as s:
        wid = s.create_dynamic('b.didx')
        stalled = [stall(s, 'dynamic', wid, i, 70000)
                   for i in range(ARENA // CHUNK - 1)]
        waiting = s.start_chunk('dynamic', wid, raw(99))
        s.previous('a.fidx')
        r = s.wait(waiting)
        assert r.status == 400
        assert sha256(raw(32)).hex() in r.text
        for stream in stalled:
            assert s.wait(stream).text == r.text
        assert fails(s, 'POST', 'finish').text == r.text
        assert fails(s, 'GET', 'previous_backup_time').text == r.text


# ---- ends

def vanish(s):
    s.sock.close()


def vanish_with_reset(s):
    s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      b'\1\0\0\0\0\0\0\0')
    socket.socket(fileno=s.sock.detach()).close()


def half_close(s):
    s.sock.shutdown(socket.SHUT_WR)


def goodbye(s):
    s.h2.close_connection()
    s.flush()
    s.sock.close()


@pytest.mark.parametrize('how', [vanish, vanish_with_reset, half_close,
                                 goodbye])
@pytest.mark.parametrize('busy', [False, True])
def test_client_goes(instance, store, snapshot, how, busy):
    snap = snapshot()
    s = instance.backup(snap)
    wid = s.create_dynamic('a.didx')
    if busy:
        for i in range(4):
            stall(s, 'dynamic', wid, i, 100000)
        s.start('POST', 'finish')
    how(s)

    def again():
        try:
            return instance.backup(snapshot(snap))
        except pbs.PbsError as e:
            assert 'lock' in e.text
    with wait_for(again) as s:
        assert s.previous_time() is None


def test_goodbye_lets_requests_end(instance, snapshot):
    with instance.backup(snapshot()) as s:
        stream = s.start('GET', 'previous_backup_time')
        s.h2.close_connection()
        s.flush()
        data = b''
        while True:
            got = s.sock.recv(65536)
            if not got:
                break
            data += got
        assert b'{"data":null}' in data
        assert stream.id == 1


# ---- readers

@pytest.fixture(scope='module')
def stored(instance):
    snap = ('host', 'reader', 1600000000)
    with instance.backup(snap) as s:
        s.backup_images({'a.fidx': b''.join(raw(i) for i in range(40, 50)),
                         'b.fidx': raw(60)})
    return snap


def test_reader_reads(instance, stored):
    with instance.reader(stored) as s:
        assert s.image('a.fidx') == b''.join(raw(i) for i in range(40, 50))
        r = s.request('GET', 'speedtest')
        assert r.body == b'A' * MIB
        names = {x['subdir'] for x in s.call('GET', '')}
        assert names == {'download', 'chunk', 'speedtest'}


def test_reader_many_chunks_at_once(instance, stored):
    with instance.reader(stored) as s:
        digests = pbs.parse_fixed(s.download('a.fidx'))[2]
        streams = [s.start('GET', 'chunk', {'digest': d.hex()})
                   for d in digests * 5]
        for d, stream in zip(digests * 5, streams):
            assert sha256(pbs.unblob(s.wait(stream).check().body)) == d


def test_reader_small_windows(instance, stored):
    """A client that reads slowly gets what its windows allow."""
    with instance.reader(stored) as s:
        s.h2.update_settings({4: 20000})
        s.flush()
        digests = pbs.parse_fixed(s.download('a.fidx'))[2]
        streams = [s.start('GET', 'chunk', {'digest': d.hex()})
                   for d in digests[:3]]
        for d, stream in zip(digests, streams):
            assert sha256(pbs.unblob(s.wait(stream).check().body)) == d


def test_reader_cancels(instance, stored):
    with instance.reader(stored) as s:
        digests = pbs.parse_fixed(s.download('a.fidx'))[2]
        for _ in range(20):
            streams = [s.start('GET', 'chunk', {'digest': d.hex()})
                       for d in digests]
            for stream in streams:
                reset(s, stream)
        for d in digests:
            assert sha256(pbs.unblob(s.chunk(d))) == d


def test_reader_refusal_takes_its_time_but_not_others(instance, stored):
    with instance.reader(stored) as s:
        never = s.start('GET', 'chunk', {'digest': sha256(raw(60)).hex()})
        begun = time.monotonic()
        s.download('a.fidx')
        s.chunk(sha256(raw(40)))
        assert not never.done or time.monotonic() - begun > 2.5
        r = s.wait(never)
        assert r.status == 401
        assert time.monotonic() - begun > 2.5
        s.download('b.fidx')
        s.chunk(sha256(raw(60)))


def test_reader_writes_nothing(instance, stored):
    with instance.reader(stored) as s:
        for method, path in (('POST', 'blob'), ('POST', 'finish'),
                             ('POST', 'speedtest'), ('GET', 'previous')):
            assert fails(s, method, path).status == 404


def test_reader_damaged_file(instance, stored, store):
    with instance.reader(stored) as s:
        s.download('a.fidx')
        path = store.chunk_path(sha256(raw(41)))
        os.rename(path, str(path) + '.away')
        try:
            r = fails(s, 'GET', 'chunk', {'digest': sha256(raw(41)).hex()})
            assert r.status == 400 and r.text.startswith('reading file')
        finally:
            os.rename(str(path) + '.away', path)
        s.chunk(sha256(raw(41)))
