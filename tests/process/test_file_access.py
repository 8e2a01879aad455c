"""Files of a snapshot without a client (wire-protocol 3.4): download,
download-decoded, catalog, pxar-file-download."""

import base64
import io
import random
import struct
import tarfile
import zipfile

import pytest
import zstandard

import pbs
import pxar
from instance import wait_for
from pbs import sha256

LARGE = random.Random(1).randbytes(9 << 20)  # more than the chunks kept
LONG = 'n' * 180
TREE = {
    'etc': {
        'passwd': b'root:x:0:0\n',
        'empty': b'',
        'link': pxar.Link('passwd'),
        'deep': {LONG: {LONG: b'deep down'}},
        'void': {},
    },
    'large': LARGE,
    'twin': pxar.Hard('etc/passwd'),
    'pipe': pxar.Fifo(),
    'null': pxar.Device(1, 3),
    'uml\u00e4ut': b'text',
    b'\xff\xfe': b'no text',
}
PXAR = 'root.pxar.didx'
META, CONTENT = 'root.mpxar.didx', 'root.ppxar.didx'
CATALOG = 'catalog.pcat1.didx'


def pieces(data, size=1 << 20):
    return [data[i:i + size] for i in range(0, len(data), size)]


def b64(path):
    raw = path if isinstance(path, bytes) else path.encode()
    return base64.b64encode(raw).decode()


def back_up(instance, snapshot, files, mode='none', **more):
    """files: {name.didx: bytes}."""
    with instance.backup(snapshot, **more) as session:
        manifest = pbs.Manifest(snapshot)
        for name, data in files.items():
            csum, entries = session.upload_dynamic(name, pieces(data))
            manifest.add(name, entries[-1][0], csum, mode)
        session.blob('one.conf.blob', pbs.blob(b'a = 1\n' * 99, True))
        manifest.add('one.conf.blob', 594, sha256(b''))
        session.blob('index.json.blob', manifest.blob())
        session.finish()


class Files:
    """The four calls on one snapshot."""

    def __init__(self, instance, snapshot):
        self.instance = instance
        self.snapshot = snapshot
        self.conn = instance.login()

    def request(self, call, conn=None, **params):
        query = {'backup-type': self.snapshot[0],
                 'backup-id': self.snapshot[1],
                 'backup-time': self.snapshot[2], **pbs.dashed(params)}
        return (conn or self.conn).request(
            'GET', f'admin/datastore/{self.instance.store_name}/{call}',
            query)

    def get(self, call, **params):
        return self.request(call, **params).check().body

    def refused(self, call, status=400, **params):
        answer = self.request(call, **params)
        assert answer.status == status, answer.text
        return answer.text

    def file(self, path, **more):
        return self.get('pxar-file-download', filepath=b64(path), **more)

    def list(self, path):
        data = self.request('catalog', filepath=path).check().data
        return {e['text']: e for e in data}


@pytest.fixture(scope='module')
def plain(instance):
    snapshot = ('host', 'files', 1600000000)
    archive = pxar.Archive(TREE)
    back_up(instance, snapshot, {
        PXAR: archive.bytes,
        CATALOG: pxar.catalog({PXAR: TREE})})
    return Files(instance, snapshot)


@pytest.fixture(scope='module')
def split(instance):
    snapshot = ('host', 'split', 1600000000)
    archive = pxar.Archive(TREE, split=True)
    back_up(instance, snapshot, {META: archive.bytes,
                                 CONTENT: archive.payload})
    return Files(instance, snapshot)


def test_download(plain, instance):
    stored = plain.get('download', file_name=PXAR)
    path = instance.store().snapshot_path(plain.snapshot) / PXAR
    assert stored == path.read_bytes()
    manifest = plain.get('download', file_name='index.json.blob')
    assert b'backup-id' in pbs.unblob(manifest)


def test_download_decoded(plain):
    answer = plain.request('download-decoded', file_name=PXAR).check()
    archive = pxar.Archive(TREE).bytes
    assert answer.headers['content-length'] == str(len(archive))
    assert answer.body == archive
    assert plain.get('download-decoded', file_name='one.conf.blob') == \
        b'a = 1\n' * 99
    assert b'backup-id' in plain.get('download-decoded',
                                     file_name='index.json.blob')


def test_download_decoded_of_an_image(instance, snapshot, image):
    snap = snapshot(kind='vm')
    data = image(3, tail=5000)
    with instance.backup(snap) as session:
        session.backup_images({'drive.img.fidx': data})
    assert Files(instance, snap).get('download-decoded',
                                     file_name='drive.img.fidx') == data


def test_download_of_a_log(instance, snapshot):
    snap = snapshot()
    back_up(instance, snap, {PXAR: pxar.Archive({}).bytes})
    files = Files(instance, snap)
    files.conn.request(
        'POST', f'admin/datastore/{instance.store_name}/upload-backup-log',
        {'backup-type': snap[0], 'backup-id': snap[1],
         'backup-time': snap[2]}, body=pbs.blob(b'INFO: done\n'),
        headers={'Content-Type': 'application/octet-stream'}).check()
    answer = files.request('download-decoded', file_name='client.log.blob')
    assert answer.check().body == b'INFO: done\n'
    assert answer.headers['content-type'].startswith('text/plain')


def test_catalog(plain):
    for root in 'root', '/':
        assert plain.list(root) == {PXAR: {
            'filepath': b64(f'/{PXAR}'), 'text': PXAR, 'type': 'd',
            'leaf': False}}
    top = plain.list(b64(f'/{PXAR}'))
    assert {n: e['type'] for n, e in top.items()} == {
        'etc': 'd', 'large': 'f', 'twin': 'h', 'pipe': 'p', 'null': 'c',
        'uml\u00e4ut': 'f', '\ufffd\ufffd': 'f'}
    assert top['large']['size'] == len(LARGE)
    assert top['large']['mtime'] == pxar.MTIME
    # The path of an element leads on, whatever its name is made of.
    odd = top['\ufffd\ufffd']['filepath']
    assert plain.get('pxar-file-download', filepath=odd) == b'no text'
    etc = plain.list(top['etc']['filepath'])
    assert set(etc) == {'passwd', 'empty', 'link', 'deep', 'void'}
    assert plain.list(etc['void']['filepath']) == {}


@pytest.mark.parametrize('path, text', [
    (b64('/nothing'), 'no such directory in the catalog'),
    (b64(f'/{PXAR}/etc/passwd'), 'no such directory in the catalog'),
    (b64(f'/{PXAR}/../etc'), 'path is not canonical'),
    (b64('/a\0b'), 'path contains a NUL'),
    ('!', 'path is not valid base64'),
])
def test_catalog_refuses(plain, path, text):
    assert plain.refused('catalog', filepath=path) == text


@pytest.mark.parametrize('kind', ['plain', 'split'])
def test_single_files(request, kind):
    files = request.getfixturevalue(kind)
    name = PXAR if kind == 'plain' else META
    for path, content in [('etc/passwd', b'root:x:0:0\n'),
                          ('etc/empty', b''), ('large', LARGE),
                          ('/etc//passwd', b'root:x:0:0\n'),
                          ('twin', b'root:x:0:0\n'),
                          (f'etc/deep/{LONG}/{LONG}', b'deep down')]:
        answer = files.request('pxar-file-download',
                               filepath=b64(f'/{name}/{path}')).check()
        assert answer.headers['content-length'] == str(len(content))
        assert answer.body == content
        assert files.file(path, archive_name=name) == content


@pytest.mark.parametrize('path, text', [
    (f'{PXAR}/etc/nothing', 'no such file in the archive'),
    (f'{PXAR}/etc/passwd/x', 'no such file in the archive'),
    (f'{PXAR}/etc/link', 'only files and directories can be downloaded'),
    (f'{PXAR}/pipe', 'only files and directories can be downloaded'),
    ('nothing.pxar.didx/etc', "manifest does not contain file "
                              "'nothing.pxar.didx'"),
    ('one.conf.blob/etc', "'one.conf.blob' is not an archive"),
    ('/', 'path names no archive'),
    (f'{PXAR}/etc/./passwd', 'path is not canonical'),
])
def test_single_file_refuses(plain, path, text):
    assert plain.refused('pxar-file-download', filepath=b64(path)) == text


def expected(tree, path=''):
    """{path: content} of what both kinds of pack hold."""
    found = {}
    for name, node in tree.items():
        if isinstance(node, dict):
            found[f'{path}{name}'] = None
            found.update(expected(node, f'{path}{name}/'))
        elif isinstance(node, pxar.Hard):
            found[f'{path}{name}'] = TREE['etc']['passwd']
        elif isinstance(node, (bytes, pxar.Link)) and \
                isinstance(name, str):
            found[f'{path}{name}'] = node
    return found


@pytest.mark.parametrize('kind', ['plain', 'split'])
def test_zip(request, kind):
    files = request.getfixturevalue(kind)
    name = PXAR if kind == 'plain' else META
    answer = files.request('pxar-file-download',
                           filepath=b64(f'/{name}')).check()
    assert answer.headers['transfer-encoding'] == 'chunked'
    pack = zipfile.ZipFile(io.BytesIO(answer.body))
    assert pack.testzip() is None
    found = {}
    for info in pack.infolist():
        content = pack.read(info)
        if info.external_attr >> 28 == 0xa:
            content = pxar.Link(content.decode())
        found[info.filename.rstrip('/')] = \
            None if info.is_dir() else content
    # A name that is not UTF-8 is there under another.
    assert [n for n in found if n not in expected(TREE)] == \
        [b'\xff\xfe'.decode('cp437')]
    del found[b'\xff\xfe'.decode('cp437')]
    assert found == expected(TREE)
    assert pack.getinfo('etc/passwd').external_attr >> 16 == 0o100640


@pytest.mark.parametrize('kind', ['plain', 'split'])
def test_tar(request, kind):
    files = request.getfixturevalue(kind)
    name = PXAR if kind == 'plain' else META
    body = files.file(f'/{name}', tar=True)
    raw = zstandard.ZstdDecompressor().stream_reader(
        io.BytesIO(body), read_across_frames=True).read()
    found, special = {}, {}
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        for member in tar:
            if member.isreg():
                content = tar.extractfile(member).read()
            elif member.issym():
                content = pxar.Link(member.linkname)
            else:
                content = None
            if member.ischr() or member.isfifo():
                special[member.name] = member.type
            else:
                found[member.name] = content
            assert member.uid == 1000 and member.gid == 1001
            assert member.mtime == pxar.MTIME
    assert special == {'pipe': tarfile.FIFOTYPE, 'null': tarfile.CHRTYPE}
    assert found.pop('\udcff\udcfe') == b'no text'
    assert found == expected(TREE)


def test_folder_in_an_archive(plain):
    body = plain.file(f'/{PXAR}/etc')
    pack = zipfile.ZipFile(io.BytesIO(body))
    assert pack.testzip() is None
    assert {n.rstrip('/') for n in pack.namelist()} == \
        {'etc', *expected(TREE['etc'], 'etc/')}


def test_many_calls_on_one_connection(plain, instance):
    """And the snapshot is free as soon as the last byte is there."""
    snap = plain.snapshot
    for _ in range(5):
        assert plain.file(f'{PXAR}/etc/passwd') == b'root:x:0:0\n'
        plain.refused('pxar-file-download', filepath=b64('x'))
        assert snap[1] not in ''.join(
            lock['key'] for lock in instance.admin_json('lock', 'list'))
    conn = plain.conn
    assert conn.get('version')


def test_client_that_leaves(plain, instance, snapshot):
    """In the middle of a response: the session ends with it."""
    conn = instance.login()
    query = pbs.encode_query({
        'backup-type': plain.snapshot[0], 'backup-id': plain.snapshot[1],
        'backup-time': plain.snapshot[2], 'file-name': PXAR})
    conn.send_head('GET', f'/api2/json/admin/datastore/'
                   f'{instance.store_name}/download-decoded?{query}',
                   {'Host': conn.host, **conn.headers})
    conn.read_until(b'\r\n\r\n')
    assert instance.session_of(plain.snapshot)
    conn.close()
    assert wait_for(lambda: not instance.session_of(plain.snapshot), 60)


# ---- who may

def test_rights(plain, instance):
    params = {'filepath': b64(f'{PXAR}/etc/passwd')}
    for conn in instance.login2(), instance.token():
        text = plain.refused('pxar-file-download', conn=conn, **params)
        assert text.startswith('backup owner check failed')
    stranger = instance.connect()
    assert plain.refused('download', status=401, conn=stranger,
                         file_name=PXAR)


def test_owner_may(instance, snapshot):
    """Datastore.Backup is enough for one's own group."""
    snap = snapshot()
    back_up(instance, snap, {PXAR: pxar.Archive({'a': b'own'}).bytes},
            conn=instance.token())
    files = Files(instance, snap)
    files.conn = instance.token()
    assert files.file(f'{PXAR}/a') == b'own'


@pytest.mark.parametrize('call, params, status, text', [
    ('download', {'file_name': 'nothing.didx'}, 400, ''),
    ('download', {'file_name': '../x.blob'}, 400, 'parameter'),
    ('download', {'file_name': 'x.txt'}, 400, 'unknown archive type'),
    ('download', {}, 400, 'parameter'),
    ('download-decoded', {'file_name': 'x.txt'}, 400,
     'unknown archive type'),
    ('download-decoded', {'file_name': 'client.log.blob'}, 400, ''),
    ('catalog', {}, 400, 'parameter'),
    ('pxar-file-download', {'filepath': 'AA==', 'more': 1}, 400,
     'parameter'),
])
def test_refuses(plain, call, params, status, text):
    answer = plain.request(call, **params)
    assert answer.status == status
    assert text in answer.text


def test_no_such_snapshot(plain, instance):
    files = Files(instance, ('host', 'files', 1600000001))
    assert 'does not exist' in files.refused('download', file_name=PXAR)
    files = Files(instance, ('host', 'nobody', 1600000000))
    files.refused('catalog', filepath='/')


def test_encrypted(instance, snapshot):
    snap = snapshot()
    chunk = pbs.encrypted_blob(b'secret' * 100)
    with instance.backup(snap) as session:
        manifest = pbs.Manifest(snap)
        wid = session.create_dynamic(PXAR)
        digest = sha256(b'key' + chunk)
        session.chunk('dynamic', wid, bytes(600), digest=digest,
                      encoded=chunk)
        session.append('dynamic', wid, [digest], [0])
        csum = pbs.dynamic_csum([(600, digest)])
        session.close_index('dynamic', wid, 1, 600, csum)
        manifest.add(PXAR, 600, csum, 'encrypt')
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    files = Files(instance, snap)
    for call, params in [('download-decoded', {'file_name': PXAR}),
                         ('pxar-file-download',
                          {'filepath': b64(f'{PXAR}/a')})]:
        assert files.refused(call, **params) == \
            f"cannot decode '{PXAR}' - is encrypted"
    assert files.get('download', file_name=PXAR)[:8] == pbs.DYNAMIC_MAGIC


# ---- archives that lie

def hostile(instance, snapshot, data, name=PXAR):
    snap = snapshot()
    back_up(instance, snap, {name: data})
    return Files(instance, snap)


def cut(answer_of):
    """A failure in mid-response cuts the connection."""
    try:
        answer = answer_of()
    except (pbs.ConnectionLost, OSError):
        return 'cut'
    assert answer.status == 400
    return answer.text


def test_hostile_tables(instance, snapshot):
    good = pxar.Archive({'a': b'1', 'b': {'c': b'2'}}).bytes
    rng = random.Random(7)
    for i in range(12):
        bad = bytearray(good)
        at = len(good) - 1 - rng.randrange(24 * 3) if i % 2 else \
            rng.randrange(len(good))
        bad[at] ^= 1 << rng.randrange(8)
        if i == 0:
            bad[-8:] = struct.pack('<Q', 1 << 63)
        files = hostile(instance, snapshot, bytes(bad))
        for path in f'{PXAR}/a', f'{PXAR}/b/c', PXAR:
            try:
                files.request('pxar-file-download', filepath=b64(path))
            except (pbs.ConnectionLost, OSError):
                files.conn = instance.login()
        assert files.conn.get('version')


NO_ARCHIVES = {
    'zeros': bytes(100),
    'byte': b'x',
    'goodbye': pxar.item(pxar.GOODBYE, bytes(24)),
    'entries': pxar.entry(0o40755) * 1000,
}


@pytest.mark.parametrize('name', NO_ARCHIVES)
def test_no_archive(instance, snapshot, name):
    data = NO_ARCHIVES[name]
    files = hostile(instance, snapshot, data)
    text = files.refused('pxar-file-download', filepath=b64(PXAR))
    assert 'damaged' in text
    files = hostile(instance, snapshot, data, CATALOG)
    text = files.refused('catalog', filepath='/')
    assert 'damaged' in text or 'not a catalog' in text


def test_hostile_names(instance, snapshot):
    for name in '..', 'a/b', '.':
        files = hostile(instance, snapshot,
                        pxar.Archive({name: b'1', 'z': b'2'}).bytes)
        text = cut(lambda: files.request('pxar-file-download',
                                         filepath=b64(PXAR)))
        assert text == 'cut' or 'impossible file name' in text


def test_archive_of_many_levels(instance, snapshot):
    """Deeper than a path may be long: refused, not recursed."""
    tree = {}
    for _ in range(400):
        tree = {'d' * 200: tree}
    files = hostile(instance, snapshot, pxar.Archive(tree).bytes)
    text = cut(lambda: files.request('pxar-file-download',
                                     filepath=b64(PXAR)))
    assert text == 'cut' or 'too long' in text


def test_split_archive_that_does_not_fit(instance, snapshot):
    snap = snapshot()
    archive = pxar.Archive({'a': b'12345678'}, split=True)
    back_up(instance, snap, {META: archive.bytes,
                             CONTENT: archive.payload[:39]})
    files = Files(instance, snap)
    text = files.refused('pxar-file-download', filepath=b64(f'{META}/a'))
    assert 'do not fit' in text
    snap = snapshot()
    back_up(instance, snap, {META: archive.bytes})
    Files(instance, snap).refused('pxar-file-download',
                                  filepath=b64(f'{META}/a'))


def test_hard_link_that_leads_to_a_folder(instance, snapshot):
    archive = pxar.Archive({'d': {}, 'h': pxar.Hard('d')})
    files = hostile(instance, snapshot, archive.bytes)
    assert files.refused('pxar-file-download', filepath=b64(f'{PXAR}/h')) \
        == 'hard link leads to no file'


def test_missing_chunk(instance, snapshot):
    """In the middle: what was promised cannot come."""
    snap = snapshot()
    data = random.Random(3).randbytes(4 << 20)
    back_up(instance, snap, {PXAR: pxar.Archive({'a': data}).bytes})
    files = Files(instance, snap)
    stored = files.get('download', file_name=PXAR)
    digest = pbs.parse_dynamic(stored)[1][2][1]
    instance.store().remove_chunk(digest)
    text = cut(lambda: files.request('pxar-file-download',
                                     filepath=b64(f'{PXAR}/a')))
    assert text == 'cut' or digest.hex() in text
