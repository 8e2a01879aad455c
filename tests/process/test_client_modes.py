"""What clients do on the wire that no recording has (wire-protocol 4.8.3,
4.8.4, 5.3): the metadata mode and split archives of newer command line
clients, mounts and mapped images, QEMU's incremental backup with a dirty
bitmap, and another server that pulls and pushes."""

import random

import pytest

import pbs
from instance import wait_for
from pbs import CHUNK, PbsError, blob, fixed_csum, sha256
from test_server import workers

AT_A_TIME = 16  # requests for chunks, of newer clients
PER_PUT = 191   # entries, of clients of version 4


# ---- split archives

def pieces(name, n, size=4096):
    return [(f'{name}{i}:'.encode() * size)[:size] for i in range(n)]


class Archive:
    """A dynamic index that is written a few entries at a time."""

    def __init__(self, session, name):
        self.session, self.name = session, name
        self.wid = session.create_dynamic(name)
        self.entries = []
        self.pending = []
        self.end = 0

    def add(self, digest, size):
        """Names a chunk that is known."""
        self.pending.append((digest.hex(), self.end))
        self.end += size
        self.entries.append((self.end, digest))
        if len(self.pending) == PER_PUT:
            self.put()

    def upload(self, raw):
        self.session.chunk('dynamic', self.wid, raw)
        self.add(sha256(raw), len(raw))

    def put(self):
        if self.pending:
            digests, offsets = zip(*self.pending)
            self.session.call('PUT', 'dynamic_index', json={
                'wid': self.wid, 'digest-list': digests,
                'offset-list': offsets})
        self.pending = []

    def close(self, manifest):
        self.put()
        csum = pbs.dynamic_csum(self.entries)
        self.session.close_index('dynamic', self.wid, len(self.entries),
                                 self.end, csum)
        manifest.add(self.name, self.end, csum)


def back_up_split(instance, snapshot, folders):
    """The first backup: both archives of a folder grow together."""
    with instance.backup(snapshot, instance.token()) as s:
        assert s.previous_time() is None
        manifest = pbs.Manifest(snapshot)
        for name, (meta, payload) in folders.items():
            archives = [Archive(s, f'{name}.{kind}.didx')
                        for kind in ('mpxar', 'ppxar')]
            for i, raw in enumerate(payload):
                archives[1].upload(raw)
                if i < len(meta):
                    archives[0].upload(meta[i])
            for archive in archives:
                archive.close(manifest)
        s.blob('index.json.blob', manifest.blob())
        s.finish()


def test_metadata_mode(instance, snapshot):
    """A reader on the base for each folder, beside the backup; what the old
    payload has is only named, in long runs of appends."""
    first = snapshot()
    old = {name: (pieces(f'{name}.meta', 12), pieces(f'{name}.data', 500))
           for name in ('root', 'home')}
    back_up_split(instance, first, old)
    second = snapshot(first)
    new = {name: (pieces(f'{name}.meta2', 12),
                  payload[:400] + pieces(f'{name}.new', 2) + payload[450:])
           for name, (_, payload) in old.items()}
    readers = []
    with instance.backup(second, instance.token(), no_cache=True) as s:
        assert s.previous_time() == first[2]
        s.previous('index.json.blob')
        manifest = pbs.Manifest(second)
        for name, (meta, payload) in new.items():
            assert s.previous_time() == first[2]
            reader = instance.reader(first, instance.token())
            readers.append(reader)
            entries = pbs.parse_dynamic(
                reader.download(f'{name}.mpxar.didx'))[1]
            csum, known = pbs.parse_dynamic(s.previous(f'{name}.ppxar.didx'))
            assert csum == pbs.dynamic_csum(known)
            known = {digest for _, digest in known}
            mpxar = Archive(s, f'{name}.mpxar.didx')
            ppxar = Archive(s, f'{name}.ppxar.didx')
            for i, raw in enumerate(payload):
                if sha256(raw) in known:
                    ppxar.add(sha256(raw), len(raw))
                else:
                    ppxar.upload(raw)
                if i % 50 == 0 and i // 50 < len(meta):
                    # The old metadata is read while the new one is made.
                    digest = entries[i // 50][1]
                    assert sha256(pbs.unblob(reader.chunk(digest))) == digest
                    mpxar.upload(meta[i // 50])
            for archive in (mpxar, ppxar):
                archive.close(manifest)
        s.blob('index.json.blob', manifest.blob())
        s.finish()
        for reader, name in zip(readers, new):
            # Nobody told them that it is over.
            assert reader.dynamic(f'{name}.mpxar.didx') == \
                b''.join(old[name][0])
            reader.close()
    with instance.reader(second, instance.token()) as reader:
        for name, (meta, payload) in new.items():
            # Chunks of both, in turn.
            parts = [pbs.parse_dynamic(reader.download(
                f'{name}.{kind}.didx'))[1] for kind in ('mpxar', 'ppxar')]
            for part, want in zip(parts, (meta[:10], payload)):
                assert [d for _, d in part] == [sha256(x) for x in want]
            for pair in zip(*parts):
                for _, digest in pair:
                    assert sha256(pbs.unblob(reader.chunk(digest))) == digest


# ---- mounts and mapped images

@pytest.fixture(scope='module')
def mounted(instance):
    """A snapshot with an image and an archive: {name: {digest: bytes}}."""
    snap = ('vm', 'mounted', 1600000000)
    image = [(b'%8d' % i) * (CHUNK // 8) for i in range(6)] + [b'end' * 999]
    archive = pieces('archive', 200)
    with instance.backup(snap) as s:
        manifest = pbs.Manifest(snap)
        csum, _ = s.upload_image('disk.img.fidx', b''.join(image),
                                 compress=True)
        manifest.add('disk.img.fidx', len(b''.join(image)), csum)
        csum, entries = s.upload_dynamic('root.pxar.didx', archive)
        manifest.add('root.pxar.didx', entries[-1][0], csum)
        s.blob('index.json.blob', manifest.blob())
        s.finish()
    return snap, {'disk.img.fidx': image, 'root.pxar.didx': archive}


def read_at_random(reader, chunks, rng, count):
    """Many reads at a time, some of which are given up."""
    running = []
    for _ in range(count):
        raw = rng.choice(chunks)
        stream = reader.start('GET', 'chunk', {'digest': sha256(raw).hex()})
        if rng.random() < 0.1:
            reader.h2.reset_stream(stream.id)
            del reader.streams[stream.id]
            continue
        running.append((raw, stream))
        if len(running) == AT_A_TIME:
            # Answers are taken in any order.
            raw, stream = running.pop(rng.randrange(len(running)))
            assert pbs.unblob(reader.wait(stream).check().body) == raw
    for raw, stream in running:
        assert pbs.unblob(reader.wait(stream).check().body) == raw


def test_mount_and_map_read_at_random(instance, mounted):
    """Each has a session of its own, for as long as it is there: the snapshot
    stays, and backups go on."""
    snap, files = mounted
    rng = random.Random(3)
    readers = {name: instance.reader(snap) for name in files}
    for name, reader in readers.items():
        reader.download('index.json.blob')
        reader.download(name)
    for _ in range(3):
        for name, reader in readers.items():
            read_at_random(reader, files[name], rng, 40)
    which = dict(zip(('backup_type', 'backup_id', 'backup_time'), snap))
    with pytest.raises(PbsError, match='possibly running or in use'):
        instance.login().delete(
            f'admin/datastore/{instance.store_name}/snapshots', **which)
    with instance.backup((*snap[:2], snap[2] + 1)) as s:
        assert s.previous_time() == snap[2]
        s.backup_images({'disk.img.fidx': b''.join(files['disk.img.fidx'])},
                        incremental=True)
    for name, reader in readers.items():
        read_at_random(reader, files[name], rng, 20)
        # What no index of this session names is nobody's.
        other = next(n for n in files if n != name)
        never = reader.start('GET', 'chunk', {
            'digest': sha256(files[other][0]).hex()})
        assert reader.wait(never).status == 401
        reader.close()


def time_limit(pid):
    """Of the epoll_wait() that a process is in; None: it is in none."""
    try:
        with open(f'/proc/{pid}/syscall', encoding='ascii') as f:
            words = f.read().split()
    except PermissionError:
        pytest.skip('may not look into another process')
    if len(words) < 5:
        return None
    limit = int(words[4], 16) & 0xffffffff
    return -1 if limit == 0xffffffff else limit


def test_idle_mount_waits_for_ever(instance, mounted):
    """Without anything that could end it: no timer runs (1.1, 5.3)."""
    snap, files = mounted
    chunks = files['root.pxar.didx']
    with instance.reader(snap) as reader, \
            instance.backup(('vm', 'idle', 1600000000)) as backup:
        reader.download('root.pxar.didx')
        assert backup.previous_time() is None
        assert wait_for(lambda: all(time_limit(pid) == -1
                                    for pid in workers(instance)))
        assert pbs.unblob(reader.chunk(sha256(chunks[7]))) == chunks[7]
        assert backup.previous_time() is None


def test_pings_of_an_idle_mount(instance, mounted):
    """By which a client finds out whether it is still there: answered, and
    never too many."""
    snap, files = mounted
    acked, chunks = [], files['root.pxar.didx']
    with instance.reader(snap) as reader:
        on_event = reader.on_event

        def watch(event):
            if type(event).__name__ == 'PingAckReceived':
                acked.append(event.ping_data)
            on_event(event)
        reader.on_event = watch
        reader.download('root.pxar.didx')
        for i in range(300):
            reader.h2.ping(b'%08d' % i)
            if i % 10 == 0:
                raw = chunks[i % len(chunks)]
                assert pbs.unblob(reader.chunk(sha256(raw))) == raw
            reader.flush()
        # The answer to a read comes behind those to the pings before it.
        reader.chunk(sha256(chunks[0]))
        assert acked == [b'%08d' % i for i in range(300)]


# ---- QEMU

ZERO = bytes(CHUNK)


class Drives:
    """QEMU's library with some drives; with a key, digests are keyed and the
    server sees nothing of a chunk."""

    def __init__(self, session, sizes, key):
        self.session, self.key, self.sizes = session, key, sizes
        self.manifest = pbs.Manifest(session.snapshot)
        self.known = set()
        self.drives = {}

    def digest(self, raw):
        return sha256(raw + self.key)

    def body(self, raw):
        # A blob of the size of an encrypted one.
        return pbs.encrypted_blob(raw[::-1]) if self.key else blob(raw)

    def open(self, base):
        """base: {drive: digests}, of those with a valid bitmap."""
        for name, size in self.sizes.items():
            csum = None
            if base is not None:
                _, csum, digests = pbs.parse_fixed(
                    self.session.previous(f'{name}.img.fidx'))
                self.known |= set(digests)
                csum = csum if name in base else None
            wid = self.session.create_fixed(f'{name}.img.fidx', size, csum)
            count = -(-size // CHUNK)
            self.drives[name] = wid, (base or {}).get(name, [None] * count)[:]
        for wid, _ in self.drives.values():
            # Whether it is used or not, and however small the drive is.
            self.upload(wid, ZERO)

    def upload(self, wid, raw):
        self.known.add(self.digest(raw))
        return self.session.chunk('fixed', wid, raw, digest=self.digest(raw),
                                  encoded=self.body(raw))

    def write(self, changes):
        """{drive: [(position, bytes)]}: blocks of all drives in turn."""
        puts = {name: [] for name in changes}
        streams = []
        for name, blocks in changes.items():
            wid, digests = self.drives[name]
            for position, raw in blocks:
                digest = self.digest(raw)
                if digest not in self.known:
                    self.known.add(digest)
                    streams.append(self.session.start_chunk(
                        'fixed', wid, raw, digest=digest,
                        encoded=self.body(raw)))
                digests[position] = digest
                puts[name].append((digest, position * CHUNK, len(raw)))
        for stream in streams:
            self.session.wait(stream).check()
        for name, (wid, digests) in self.drives.items():
            sent = puts.get(name, [])
            if sent:
                self.session.append('fixed', wid, [d for d, _, _ in sent],
                                    [offset for _, offset, _ in sent])
            csum = fixed_csum(digests)
            # What this session named, not what the drive has.
            self.session.close_index('fixed', wid, len(sent),
                                     sum(n for _, _, n in sent), csum)
            self.manifest.add(f'{name}.img.fidx', self.sizes[name], csum,
                              'encrypt' if self.key else 'none')

    def finish(self):
        self.session.blob('index.json.blob', self.manifest.blob())
        self.session.finish()
        return {name: digests for name, (_, digests) in self.drives.items()}


def restore(instance, snapshot, drive, drives):
    """As pbs-restore: the zero chunk is known by its digest."""
    with instance.reader(snapshot) as s:
        s.download('index.json.blob')
        _, csum, digests = pbs.parse_fixed(s.download(f'{drive}.img.fidx'))
        assert csum == fixed_csum(digests)
        wanted = {d for d in digests if d != drives.digest(ZERO)}
        streams = {d: s.start('GET', 'chunk', {'digest': d.hex()})
                   for d in wanted}
        parts = {d: s.wait(stream).check().body
                 for d, stream in streams.items()}
    decode = (lambda body: body[44:][::-1]) if drives.key else pbs.unblob
    return b''.join(decode(parts[d]) if d in parts else ZERO for d in digests)


@pytest.mark.parametrize('key', [b'', b'key of the client'],
                         ids=['plain', 'encrypted'])
def test_qemu_incremental(instance, snapshot, image, key):
    """Dirty blocks of one drive, in any order: new, of another drive, and
    zero; none of the second; the third has lost its bitmap."""
    sizes = {'drive-scsi0': 8 * CHUNK, 'drive-efidisk0': 540672,
             'drive-tpmstate0': CHUNK}
    content = {name: pbs.split(image(-(-size // CHUNK), seed=size)[:size])
               for name, size in sizes.items()}
    content['drive-scsi0'][3] = ZERO
    first = snapshot(kind='vm')
    with instance.backup(first, debug=False, benchmark=False) as s:
        with pytest.raises(PbsError, match='no valid previous backup'):
            s.previous('index.json.blob')
        drives = Drives(s, sizes, key)
        drives.open(None)
        drives.write({name: list(enumerate(blocks))
                      for name, blocks in content.items()})
        base = drives.finish()
    second = snapshot(first)
    changed = [(6, image(1, seed=99)), (0, content['drive-tpmstate0'][0]),
               (2, ZERO), (3, content['drive-scsi0'][2])]
    del base['drive-tpmstate0']
    with instance.backup(second, debug=False, benchmark=False) as s:
        s.previous('index.json.blob')
        conf = blob(b'cores: 2\n')
        s.blob('qemu-server.conf.blob', conf)
        drives = Drives(s, sizes, key)
        drives.manifest.add('qemu-server.conf.blob', len(conf), sha256(conf))
        drives.open(base)
        drives.write({'drive-scsi0': changed, 'drive-tpmstate0': [
            (0, content['drive-tpmstate0'][0])]})
        drives.finish()
    for position, raw in changed:
        content['drive-scsi0'][position] = raw
    for name, blocks in content.items():
        assert restore(instance, second, name, drives) == b''.join(blocks)
    # Nothing changed at all: nothing is named, and all is there.
    third = snapshot(second)
    with instance.backup(third) as s:
        s.previous('index.json.blob')
        drives = Drives(s, sizes, key)
        drives.open({name: [drives.digest(raw) for raw in blocks]
                     for name, blocks in content.items()})
        drives.write({})
        drives.finish()
    assert restore(instance, third, 'drive-scsi0', drives) == \
        b''.join(content['drive-scsi0'])


# ---- another server

def pull(conn, base, reader, group):
    """{file: its bytes}, {digest: stored chunk} of the newest snapshot."""
    assert conn.get(f'{base}/namespace')[0]['ns'] == ''
    assert group in [(g['backup-type'], g['backup-id'])
                     for g in conn.get(f'{base}/groups')]
    listed = conn.get(f'{base}/snapshots', backup_type=group[0],
                      backup_id=group[1])
    newest = max(listed, key=lambda s: s['backup-time'])
    assert newest['size'] > 0
    files = {f['filename']: reader.download(f['filename'])
             for f in newest['files']}
    digests = [d for name, body in files.items() if name.endswith('idx')
               for d in digests_of(name, body)]
    return files, {d: reader.chunk(d) for d in digests}


def digests_of(name, index):
    return pbs.parse_fixed(index)[2] if name.endswith('.fidx') else \
        [digest for _, digest in pbs.parse_dynamic(index)[1]]


def push(session, files, chunks):
    """What is stored, as it is; the log of the job is one more blob."""
    for name, body in files.items():
        if name.endswith('.blob'):
            continue
        digests = digests_of(name, body)
        parts = [pbs.unblob(chunks[d]) for d in digests]
        if name.endswith('.fidx'):
            kind, csum = 'fixed', fixed_csum(digests)
            wid = session.create_fixed(name, sum(map(len, parts)))
        else:
            kind, csum = 'dynamic', pbs.parse_dynamic(body)[0]
            wid = session.create_dynamic(name)
        for digest, raw in zip(digests, parts):
            session.chunk(kind, wid, raw, encoded=chunks[digest])
        ends = [sum(map(len, parts[:i])) for i in range(len(parts) + 1)]
        session.append(kind, wid, digests, ends[:-1])
        session.close_index(kind, wid, len(digests), ends[-1], csum)
    for name in sorted(files, key='index.json.blob'.__eq__):
        if name.endswith('.blob'):
            session.blob(name, files[name])
    session.finish()


def test_another_server_pulls_and_pushes(instance, snapshot):
    snap = snapshot()
    with instance.backup(snap) as s:
        manifest = pbs.Manifest(snap)
        csum, entries = s.upload_dynamic('a.pxar.didx', pieces('sync', 5))
        manifest.add('a.pxar.didx', entries[-1][0], csum)
        csum, _ = s.upload_image('b.img.fidx', bytes(CHUNK) + b'tail' * 99,
                                 compress=True)
        manifest.add('b.img.fidx', CHUNK + 396, csum)
        manifest.unprotected['notes'] = 'by the client'
        s.blob('index.json.blob', manifest.blob())
        s.finish()
    which = dict(zip(('backup-type', 'backup-id', 'backup-time'), snap))
    conn, base = instance.login(), f'admin/datastore/{instance.store_name}'
    conn.request('POST', f'{base}/upload-backup-log', which,
                 body=blob(b'log of the job')).check()
    with instance.reader(snap) as reader:
        files, chunks = pull(conn, base, reader, snap[:2])
    assert pbs.unblob(files['client.log.blob']) == b'log of the job'
    assert all(conn.get('version')[k] for k in ('version', 'release'))
    conn.post(f'{base}/namespace', {'parent': '', 'name': 'pushed'})
    with instance.backup(snap, ns='pushed') as s:
        push(s, files, chunks)
    for name in files.keys() - {'index.json.blob'}:
        # Of an index: its identity and time are the server's.
        start = 0 if name.endswith('.blob') else 32
        stored = instance.store().snapshot_path(snap, 'pushed') / name
        assert stored.read_bytes()[start:] == files[name][start:]
    found, = conn.get(f'{base}/snapshots', ns='pushed')
    assert found['comment'] == 'by the client'
    assert {f['filename'] for f in found['files']} == set(files)
    del which['backup-time']
    conn.request('DELETE', f'{base}/groups', {
        **which, 'ns': 'pushed', 'error-on-protected': False}).check()
    conn.request('DELETE', f'{base}/namespace', {'ns': 'pushed'}).check()
