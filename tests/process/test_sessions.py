"""Calls of a backup session that must fail: each with its text, and a
session that goes on.  test_h2_session.py has the streams around them."""

import hashlib
import os

import pytest

import pbs
from pbs import CHUNK, MIB, PbsError, blob, sha256

RAW = bytes(range(250)) * 12
BLOB = blob(RAW)
ZSTD = blob(RAW, compress=True)
UNKNOWN = '44' * 32
EMPTY = hashlib.sha256().hexdigest()


class Writers:
    """A session with a dynamic writer (one chunk known) and a fixed one."""

    def __init__(self, session):
        self.session = session
        self.dynamic = session.create_dynamic('a.didx')
        self.fixed = session.create_fixed('a.fidx', 2 * CHUNK + len(RAW))
        session.chunk('dynamic', self.dynamic, RAW)


@pytest.fixture
def writers(instance, snapshot):
    with instance.backup(snapshot()) as session:
        yield Writers(session)
        assert session.previous_time() is None


def refused(session, method, path, text, carrier='query', doc=None,
            body=b''):
    kwargs = {'query': doc} if carrier == 'query' else {'json': doc}
    answer = session.request(method, path, body=body, **kwargs)
    assert (answer.status, answer.text.strip()) == (400, text)


def at_least(name, least, got):
    return (f"parameter verification failed - '{name}': value must have a "
            f'minimum value of {least} (got {got})')


def at_most(name, most, got):
    return (f"parameter verification failed - '{name}': value must have a "
            f'maximum value of {most} (got {got})')


CHUNKS = {
    'digest': ({'digest': '22' * 32}, BLOB,
               'detected chunk with wrong digest.'),
    'shorter': ({'size': 2999}, BLOB,
                'detected chunk with wrong length (2999 != 3000)'),
    'longer': ({'size': 3001}, BLOB,
               'detected chunk with wrong length (3001 != 3000)'),
    'magic': ({}, bytes(100), 'unable to parse raw blob - wrong magic'),
    'encrypted-short': ({}, pbs.ENCRYPTED_MAGIC + bytes(35),
                        'encrypted blob too small (43 bytes).'),
    'more-bytes': ({'encoded-size': 3011}, BLOB,
                   'uploaded chunk is larger than announced.'),
    'fewer-bytes': ({'encoded-size': 3013}, BLOB,
                    'uploaded chunk has unexpected size.'),
    'writer': ({'wid': 99}, BLOB, "dynamic writer '99' not registered"),
    'no-head': ({}, BLOB[:11], at_least('encoded-size', 13, 11)),
    'empty': ({}, b'', at_least('encoded-size', 13, 0)),
    'cut': ({}, BLOB[:2000], 'detected chunk with wrong digest.'),
    'zstd-cut': ({}, ZSTD[:-5], 'Src size is incorrect'),
    'zstd-garbage': ({}, pbs.ZSTD_MAGIC + bytes(4) + b'garbage' * 50,
                     'Unknown frame descriptor'),
    'zstd-and-more': ({}, ZSTD + b'x', 'Unknown frame descriptor'),
    'zstd-twice': ({}, ZSTD + ZSTD[12:],
                   'detected chunk with wrong length (3000 != more)'),
    'zstd-bomb': ({'size': 16 * MIB}, blob(bytes(100 * MIB), compress=True),
                  f'detected chunk with wrong length ({16 * MIB} != more)'),
    'size-0': ({'size': 0}, BLOB, at_least('size', 1, 0)),
    'over-limit': ({'size': 16 * MIB + 1}, BLOB,
                   at_most('size', 16 * MIB, 16 * MIB + 1)),
    'encoded-over-limit': (
        {'encoded-size': 16 * MIB + 45}, BLOB,
        at_most('encoded-size', 16 * MIB + 44, 16 * MIB + 45)),
}


@pytest.mark.parametrize('name', CHUNKS)
def test_chunk(writers, name):
    change, body, text = CHUNKS[name]
    query = {'wid': writers.dynamic, 'digest': sha256(RAW).hex(),
             'size': len(RAW), 'encoded-size': len(body), **change}
    refused(writers.session, 'POST', 'dynamic_chunk', text, doc=query,
            body=body)


@pytest.mark.parametrize('carrier', ['query', 'json'])
@pytest.mark.parametrize('path, doc, text', [
    ('dynamic_index', {'archive-name': 'a.fidx'},
     "wrong archive extension: 'a.fidx'"),
    ('fixed_index', {'archive-name': 'b.didx', 'size': 5},
     "wrong archive extension: 'b.didx'"),
    ('fixed_index', {'archive-name': 'b.fidx', 'size': 5,
                     'reuse-csum': UNKNOWN},
     'cannot reuse index - no valid previous backup exists'),
    ('dynamic_close', {'wid': 200, 'chunk-count': 1, 'size': 1,
                       'csum': EMPTY}, "dynamic writer '200' not registered"),
    ('fixed_close', {'wid': 1, 'chunk-count': 0, 'size': 0, 'csum': EMPTY},
     "fixed writer '1' not registered"),
])
def test_both_carriers(writers, carrier, path, doc, text):
    refused(writers.session, 'POST', path, text, carrier, doc)


@pytest.mark.parametrize('kind, digests, offsets, text', [
    ('dynamic', [RAW, RAW], [0], 'offset list has wrong length (1 != 2)'),
    ('dynamic', [UNKNOWN], [0], f'no such chunk {UNKNOWN}'),
    ('dynamic', [RAW], [1], "dynamic writer 'a.didx' append chunk failed - "
                            'got strange chunk offset (0 != 1)'),
    ('fixed', [UNKNOWN], [0], f'no such chunk {UNKNOWN}'),
])
def test_append(writers, kind, digests, offsets, text):
    doc = {'wid': getattr(writers, kind), 'offset-list': offsets,
           'digest-list': [sha256(d).hex() if d is RAW else d
                           for d in digests]}
    refused(writers.session, 'PUT', f'{kind}_index', text, 'json', doc)


@pytest.mark.parametrize('count, size, csum, text', [
    (2, 3000, None, 'unexpected chunk count (1 != 2)'),
    (1, 3001, None, 'unexpected file size (3000 != 3001)'),
    (1, 3000, UNKNOWN, 'got unexpected checksum'),
])
def test_close(writers, count, size, csum, text):
    """A failed close keeps the writer, a good one ends it."""
    s, wid = writers.session, writers.dynamic
    s.append('dynamic', wid, [sha256(RAW)], [0])
    good = pbs.dynamic_csum([(len(RAW), sha256(RAW))])
    refused(s, 'POST', 'dynamic_close',
            f"dynamic writer 'a.didx' close failed - {text}",
            doc={'wid': wid, 'chunk-count': count, 'size': size,
                 'csum': csum or good.hex()})
    s.close_index('dynamic', wid, 1, len(RAW), good)
    with pytest.raises(PbsError, match='not registered'):
        s.close_index('dynamic', wid, 1, len(RAW), good)


MANIFESTS = {
    'no-json': (blob(b'nope'), 'manifest: not acceptable as JSON'),
    'no-object': (blob(b'[]'), 'manifest: not an object'),
    'lacks-all': (blob(b'{}'),
                  'manifest: "backup-type" is missing (a string)'),
    'nul': (blob(b'{"backup-type":"host"\0}'),
            'manifest: not acceptable as JSON'),
    'deep': (blob(b'[' * 100000), 'manifest: not valid JSON: nesting too deep'),
    'encrypted': (pbs.encrypted_blob(bytes(100)),
                  'cannot decode an encrypted blob without its key'),
    'bomb': (blob(b' ' * (64 * MIB), compress=True), None),
    'crc': (blob(b'{}', crc=5), 'Data blob has wrong CRC checksum.'),
    'cut': (ZSTD[:-1], 'Data blob has wrong CRC checksum.'),
}


@pytest.mark.parametrize('name', MANIFESTS)
def test_manifest(writers, name):
    s, (body, text) = writers.session, MANIFESTS[name]
    doc = {'file-name': 'index.json.blob', 'encoded-size': len(body)}
    if text is None:
        assert s.request('POST', 'blob', query=doc, body=body).status == 400
    else:
        refused(s, 'POST', 'blob', text, doc=doc, body=body)


def test_manifest_of_something_else(instance, snapshot):
    """Another group, another time, a name that is none."""
    new = snapshot()
    with instance.backup(new) as s:
        pieces = [RAW]
        csum, entries = s.upload_dynamic('a.didx', pieces)
        for other in (('vm', *new[1:]), (new[0], 'other', new[2]),
                      (*new[:2], new[2] + 1)):
            with pytest.raises(PbsError, match='is for another snapshot'):
                s.blob('index.json.blob', pbs.Manifest(other).blob())
        evil = pbs.Manifest(new)
        evil.add('../evil.didx', entries[-1][0], csum)
        with pytest.raises(PbsError, match='invalid archive name'):
            s.blob('index.json.blob', evil.blob())
        with pytest.raises(PbsError, match='unable to update manifest blob'):
            s.finish()
        good = pbs.Manifest(new)
        good.add('a.didx', entries[-1][0], csum)
        s.blob('index.json.blob', good.blob())
        s.finish()
    with instance.reader(new) as r:
        assert r.dynamic('a.didx') == RAW


TRICKS = ['../x', '../../x', 'a/../x', 'a/x', '/etc/x', '.', '..', '', '/',
          '.x', '-x', '..x', 'a b', 'a\nx', 'a\tx', 'a\\x', 'a%2fx', 'a\0x',
          '\xfc', 'x' * 300]


def visible(inst):
    """What there is in the instance's folder beside what sessions need."""
    found = []
    for folder, folders, files in os.walk(inst.dir):
        folders[:] = {*folders} - {'.holdfast', '.chunks', 'log', 'run'}
        found += [f'{folder}/{name}' for name in [*folders, *files]]
    return sorted(found)


@pytest.mark.parametrize('method, path, field, ext, doc', [
    ('POST', 'dynamic_index', 'archive-name', '.didx', {}),
    ('POST', 'fixed_index', 'archive-name', '.fidx', {'size': 5}),
    ('POST', 'blob', 'file-name', '.blob', {'encoded-size': len(BLOB)}),
    ('GET', 'previous', 'archive-name', '.fidx', {}),
])
def test_path_tricks_in_a_session(instance, snapshot, method, path, field,
                                  ext, doc):
    with instance.backup(snapshot()) as s:
        before = visible(instance)
        for trick in TRICKS:
            for name in (trick, trick + ext):
                answer = s.request(method, path, {field: name, **doc},
                                   body=BLOB if path == 'blob' else b'')
                assert answer.status == 400, name
                assert 'verification failed' in answer.text or \
                    'cannot decode' in answer.text, (name, answer.text)
        assert s.previous_time() is None
        assert visible(instance) == before


def test_path_tricks_in_a_reader(instance, snapshot):
    new = snapshot()
    with instance.backup(new) as s:
        s.backup_dynamic('a.didx', [RAW])
    with instance.reader(new) as r:
        for trick in TRICKS + ['index.json.blob/../owner', '../owner']:
            for name in (trick, trick + '.blob'):
                answer = r.request('GET', 'download', {'file-name': name})
                assert answer.status == 400, name
        assert r.dynamic('a.didx') == RAW


@pytest.mark.parametrize('field', ['backup-id', 'backup-type', 'ns', 'store'])
@pytest.mark.parametrize('kind', ['backup', 'reader'])
def test_path_tricks_in_an_upgrade(instance, kind, field):
    before = visible(instance)
    protocol = pbs.BACKUP_PROTOCOL if kind == 'backup' \
        else pbs.READER_PROTOCOL
    conn = instance.login()
    for trick in TRICKS:
        if (field, trick) == ('ns', ''):
            continue  # the root namespace
        r = conn.upgrade(kind, protocol, {
            'store': instance.store_name, 'backup-type': 'host',
            'backup-id': 'x', 'backup-time': 1700000000, field: trick})
        # 'a/x' is a good namespace, which is not there.
        assert r.status in (400, 404) if (field, trick) == ('ns', 'a/x') \
            else r.status == 400, (trick, r.text)
    conn.close()
    assert visible(instance) == before


@pytest.mark.parametrize('name, body, change, text', [
    ('a.txt', BLOB, {}, "wrong blob file extension: 'a.txt'"),
    ('a.blob', blob(RAW, crc=1), {}, 'Data blob has wrong CRC checksum.'),
    ('a.blob', BLOB, {'encoded-size': 3013},
     'got blob with unexpected length (3013 != 3012)'),
])
def test_blob(writers, name, body, change, text):
    refused(writers.session, 'POST', 'blob', text, body=body,
            doc={'file-name': name, 'encoded-size': len(body), **change})


def test_dynamic_index_is_never_empty(writers):
    refused(writers.session, 'POST', 'dynamic_close',
            "parameter verification failed - 'chunk-count': value must have "
            'a minimum value of 1 (got 0)',
            doc={'wid': writers.dynamic, 'chunk-count': 0, 'size': 1,
                 'csum': EMPTY})


def test_finish_too_early(instance, snapshot):
    with instance.backup(snapshot()) as s:
        refused(s, 'POST', 'finish',
                'backup does not contain valid files (file count == 0)')
        s.create_dynamic('a.didx')
        refused(s, 'POST', 'finish',
                'found open index writer - unable to finish backup')


def test_previous_without_base(writers):
    refused(writers.session, 'GET', 'previous', 'no valid previous backup',
            doc={'archive-name': 'index.json.blob'})


def test_nothing_changed_with_reuse_csum(instance, snapshot, image):
    """QEMU closes a drive that did not change with count and size 0."""
    data = image(2)
    first = snapshot(kind='vm')
    with instance.backup(first) as s:
        digests = s.backup_images({'d.img.fidx': data})['d.img.fidx']
    second, csum = snapshot(first), pbs.fixed_csum(digests)
    with instance.backup(second) as s:
        with pytest.raises(PbsError, match="doesn't match last backup's"):
            s.create_fixed('d.img.fidx', len(data), sha256(b'other'))
        s.previous('d.img.fidx')
        wid = s.create_fixed('d.img.fidx', len(data), csum)
        s.close_index('fixed', wid, 0, 0, csum)
        manifest = pbs.Manifest(second)
        manifest.add('d.img.fidx', len(data), csum)
        s.blob('index.json.blob', manifest.blob())
        s.finish()
    with instance.reader(second) as r:
        assert r.image('d.img.fidx') == data
        with pytest.raises(PbsError) as e:
            r.chunk(sha256(b'foreign'))
    assert e.value.status == 401
    assert e.value.text.strip() == \
        f'download chunk {sha256(b"foreign").hex()} not allowed'
