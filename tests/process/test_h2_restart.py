"""The validator goes away under running sessions, and clients notice nothing
but a pause."""

import time

import pytest

from pbs import CHUNK, Manifest, fixed_csum, sha256, unblob


def raw(n):
    return (b'%016d' % n) * (CHUNK // 16)


@pytest.fixture(params=['kill', 'stop'])
def away(request, instance):
    """away(): the validator goes."""
    if request.param == 'kill':
        return instance.kill_validator
    return lambda: instance.end('validator')


def later(session, streams, instance):
    """Answers come once the validator is back, and not before."""
    session.push_bodies()
    time.sleep(0.5)
    instance.start_validator()
    return [session.wait(s).check() for s in streams]


def test_backup(instance, away, snapshot):
    snap = snapshot()
    with instance.backup(snap) as s:
        s.backup_images({'a.fidx': raw(0) + raw(1)})
    snap2 = snapshot(snap)
    with instance.backup(snap2) as s:
        away()
        fetched, = later(s, [s.start('GET', 'previous', {
            'archive-name': 'a.fidx'})], instance)
        away()
        created, = later(s, [s.start('POST', 'fixed_index', {
            'archive-name': 'a.fidx', 'size': 26 * CHUNK})], instance)
        wid = created.data
        # More than the arena holds: some are in it, some wait.
        streams = [s.start_chunk('fixed', wid, raw(i)) for i in range(2, 26)]
        s.wait(streams[3]).check()
        away()
        later(s, streams, instance)
        digests = [sha256(raw(i)) for i in range(26)]
        puts = [s.start('PUT', 'fixed_index', json={
            'wid': wid, 'digest-list': [digests[i].hex()],
            'offset-list': [i * CHUNK]}) for i in range(26)]
        away()
        later(s, puts, instance)
        csum = fixed_csum(digests)
        away()
        later(s, [s.start('POST', 'fixed_close', {
            'wid': wid, 'chunk-count': 26, 'size': 26 * CHUNK,
            'csum': csum.hex()})], instance)
        manifest = Manifest(snap2)
        manifest.add('a.fidx', 26 * CHUNK, csum)
        encoded = manifest.blob()
        away()
        later(s, [s.start_blob('index.json.blob', encoded)], instance)
        away()
        later(s, [s.start('POST', 'finish')], instance)
    with instance.reader(snap2) as s:
        assert s.image('a.fidx') == b''.join(raw(i) for i in range(26))


def test_reader(instance, away, snapshot):
    snap = snapshot()
    with instance.backup(snap) as s:
        s.backup_images({'a.fidx': raw(0) + raw(1), 'b.fidx': raw(2)})
    with instance.reader(snap) as s:
        s.download('a.fidx')
        away()
        streams = [s.start('GET', 'chunk', {'digest': sha256(raw(i)).hex()})
                   for i in (0, 1)]
        got = later(s, streams, instance)
        assert [unblob(r.body) for r in got] == [raw(0), raw(1)]
        away()
        later(s, [s.start('GET', 'download', {'file-name': 'b.fidx'})],
              instance)
        assert unblob(s.chunk(sha256(raw(2)))) == raw(2)
        assert unblob(s.chunk(sha256(raw(1)))) == raw(1)


def test_client_goes_while_the_validator_is_away(instance, away, snapshot):
    snap = snapshot()
    s = instance.backup(snap)
    s.create_dynamic('a.didx')
    away()
    s.close()
    time.sleep(0.2)
    instance.start_validator()
    # The worker told the validator, which need not wait for it: the group
    # is free long before the time for a resume is over.
    deadline = time.monotonic() + 50
    while True:
        try:
            instance.backup(snapshot(snap)).close()
            break
        except Exception as error:
            assert 'lock' in str(error)
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_many_restarts_in_a_row(instance, snapshot):
    snap = snapshot()
    with instance.backup(snap) as s:
        wid = s.create_fixed('a.fidx', 12 * CHUNK)
        streams = [s.start_chunk('fixed', wid, raw(i)) for i in range(12)]
        for _ in range(6):
            s.push_bodies()
            instance.kill_validator()
            instance.start_validator()
        for stream in streams:
            s.wait(stream).check()
        digests = [sha256(raw(i)) for i in range(12)]
        s.append('fixed', wid, digests, [i * CHUNK for i in range(12)])
        csum = fixed_csum(digests)
        s.close_index('fixed', wid, 12, 12 * CHUNK, csum)
        manifest = Manifest(snap)
        manifest.add('a.fidx', 12 * CHUNK, csum)
        s.blob('index.json.blob', manifest.blob())
        s.finish()
