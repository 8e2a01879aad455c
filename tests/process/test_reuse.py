"""Reused chunks are checked while the backup runs; what is missing fails the
backup with the reason and marks the previous snapshot, through every process
from the client's connection to the disk."""

import hashlib
import re
import struct
import time

import pytest

import pbs
from instance import wait_for
from pbs import CHUNK, PbsError, sha256
from store import time_text

INSTANCE = {'faults': True, 'store_options': {'stat-threads': 1}}
NAME = 'disk.img.fidx'
UPID = re.compile(r'UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:'
                  r'[0-9A-F]{8}:backup:[^:]+:[^:]+:')


@pytest.fixture
def base(instance, snapshot, image):
    """base(chunks): (snapshot, image, digests) of a finished backup."""
    def make(chunks=4, inst=None):
        data = image(chunks, seed=next(SEEDS))
        new = snapshot()
        with (inst or instance).backup(new) as session:
            digests = session.backup_images({NAME: data})[NAME]
        return new, data, digests
    return make


SEEDS = iter(range(10000, 20000))


def is_free(inst, snap):
    """No lock is held and nothing on disk is left, though the client may
    still be connected."""
    info = inst.session_of(snap)
    folder = inst.store().path / '.holdfast' / 'sessions' / info['id']
    return info['state'] == 'aborted' and not inst.locks(snap) and \
        wait_for(lambda: not folder.exists()) and inst.session_of(snap)


def restored(inst, snap, data):
    with inst.reader(snap) as reader:
        return reader.image(NAME) == data


# ---- registration and uploads do not wait

def test_registration_and_uploads_do_not_wait(instance, faults, base,
                                              snapshot, image):
    first, data, digests = base()
    faults.hold_checks(digests[0])
    second = snapshot(first)
    with instance.backup(second) as session:
        assert pbs.parse_fixed(session.previous(NAME))[2] == digests
        faults.wait_held()
        # Chunks, reused and new ones, an index and its end.
        new = data[:3 * CHUNK] + image(2, seed=next(SEEDS))
        csum, _ = session.upload_image(NAME, new, digests)
        assert faults.check_held == 1
        check = instance.session_of(second)['check']
        assert check['state'] == 'running' and check['left'] > 0
        faults.clear()
        manifest = pbs.Manifest(second)
        manifest.add(NAME, len(new), csum)
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    assert restored(instance, second, new)


def test_nothing_is_checked_before_the_first_base_file(instance, base,
                                                       snapshot, image):
    first, data, digests = base(2)
    instance.store().remove_chunk(digests[0])
    second = snapshot(first)
    with instance.backup(second) as session:
        state = instance.session_of(second)['check']
        assert state['state'] == 'not-initialised' and state['checked'] == 0
        # All is uploaded again, so nobody needs the base.
        session.backup_images({NAME: data})
    assert instance.store().verify_state(first) is None
    assert restored(instance, second, data)


# ---- when a check is not needed

def verified_record(inst, snap, when):
    """What this server remembers of a snapshot that it verified itself."""
    lmdb = pytest.importorskip('lmdb')
    key = sha256(inst.store_name.encode()) + hashlib.sha256(
        b'\0' + f'{snap[0]}/{snap[1]}/{time_text(snap[2])}'.encode() +
        b'\0').digest()
    folder = inst.dir / 'state' / 'validator' / 'verified'
    with lmdb.open(str(folder), max_dbs=4) as env:
        with env.begin(write=True) as txn:
            db = env.open_db(b'snapshots', txn)
            txn.put(key, struct.pack('<q', when), db=db)


@pytest.mark.parametrize('age,state', [(60, 'not-needed'),
                                       (7200, 'running')])
def test_own_recent_verification(fresh_instance, base, snapshot, age, state):
    inst = fresh_instance(store_options={'recent-verify': '1h'})
    first, data, digests = base(2, inst)
    inst.end('validator')
    verified_record(inst, first, int(time.time()) - age)
    inst.start_validator()
    second = snapshot(first)
    with inst.backup(second) as session:
        session.previous(NAME)
        assert inst.session_of(second)['check']['state'] == state
        csum, _ = session.upload_image(NAME, data, digests)
        manifest = pbs.Manifest(second)
        manifest.add(NAME, len(data), csum)
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    assert restored(inst, second, data)


def test_what_a_client_says_of_verification_changes_nothing(
        instance, snapshot, image):
    first = snapshot()
    data = image(2, seed=next(SEEDS))
    with instance.backup(first) as session:
        csum, digests = session.upload_image(NAME, data)
        manifest = pbs.Manifest(first)
        manifest.add(NAME, len(data), csum)
        manifest.unprotected['verify_state'] = {
            'state': 'ok', 'upid': 'UPID:x:00000001:00000001:00000001:'
            '6B0D1E0D:verify:store:root@pam:'}
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    assert instance.store().verify_state(first) is None
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous(NAME)
        assert instance.session_of(second)['check']['state'] == 'running'
        assert wait_for(lambda: instance.session_of(second)['check'][
            'checked'] == 2)
    assert wait_for(lambda: not instance.locks(first))
    # Nor can it make its snapshot no base.
    third = snapshot(first)
    with instance.backup(third) as session:
        csum, _ = session.upload_image(NAME, data)
        manifest = pbs.Manifest(third)
        manifest.add(NAME, len(data), csum)
        manifest.unprotected['verify_state'] = {'state': 'failed',
                                                'upid': 'UPID:x'}
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    with instance.backup(snapshot(first)) as session:
        assert session.previous_time() == third[2]


# ---- one chunk is missing

def remove(store, digest):
    store.remove_chunk(digest)


def empty(store, digest):
    store.chunk_path(digest).write_bytes(b'')


def too_short(store, digest):
    store.chunk_path(digest).write_bytes(pbs.PLAIN_MAGIC)


def folder_instead(store, digest):
    store.remove_chunk(digest)
    store.chunk_path(digest).mkdir()


def link_instead(store, digest):
    path = store.chunk_path(digest)
    path.rename(path.with_suffix('.0.bad'))
    path.symlink_to(path.with_suffix('.0.bad').name)


def wrong_prefix(store, digest):
    path = store.chunk_path(digest)
    other = store.chunk_path(bytes([digest[0] ^ 1]) + digest[1:]).parent
    path.rename(other / path.name)


def heal_folder(store, digest):
    """What is no file at all is for an operator to take away."""
    path = store.chunk_path(digest)
    if path.is_dir():
        path.rmdir()
    elif path.is_symlink():
        path.unlink()


@pytest.mark.parametrize('lose', [
    remove, empty, too_short, folder_instead, link_instead, wrong_prefix])
def test_a_missing_chunk(instance, faults, store, base, snapshot, image,
                         lose):
    first, data, digests = base()
    victim = digests[2]
    lose(store, victim)
    faults.hold_checks(victim)
    second = snapshot(first)
    session = instance.backup(second)
    session.previous(NAME)
    info = instance.session_of(second)
    faults.wait_held()
    session.create_fixed(NAME, len(data))
    with pytest.raises(PbsError, match='open index writer'):
        session.finish()
    faults.clear()
    text = session.wait_aborted()
    assert victim.hex() in text
    assert 'previous snapshot was marked as bad' in text
    for method, path in (('POST', 'finish'), ('GET', 'previous_backup_time')):
        response = session.request(method, path)
        assert response.status == 400 and response.text.strip() == \
            text.strip()
    state = store.verify_state(first)
    assert state == {'state': 'failed', 'upid': info['upid']}
    assert UPID.fullmatch(state['upid'])
    lines = instance.task_log(info['upid'])
    assert text.strip() in lines[-1] and 'TASK ERROR' in lines[-1]
    # Free while the client still holds its connection.
    assert is_free(instance, second)
    assert not store.snapshot_path(second).exists()
    # The next one is full, heals the store and is a base again.
    heal_folder(store, victim)
    third = snapshot(first)
    with instance.backup(third) as healing:
        task = instance.session_of(third)['upid']
        assert healing.previous_time() is None
        with pytest.raises(PbsError, match='no valid previous backup'):
            healing.previous(NAME)
        healing.backup_images({NAME: data})
    assert store.chunk_path(victim).stat().st_size > CHUNK
    assert [victim.hex() in line for line in instance.task_log(task)
            if 'is stored again' in line] == [True]
    assert restored(instance, third, data)
    with instance.backup(snapshot(first)) as session:
        assert session.previous_time() == third[2]


def test_requests_in_flight_fail_with_the_reason(instance, faults, store,
                                                 base, snapshot):
    first, data, digests = base()
    store.remove_chunk(digests[1])
    faults.hold_checks(digests[1])
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous(NAME)
        csum, _ = session.upload_image(NAME, data, digests)
        manifest = pbs.Manifest(second)
        manifest.add(NAME, len(data), csum)
        session.blob('index.json.blob', manifest.blob())
        finish = session.start('POST', 'finish')
        faults.wait_held()
        faults.clear()
        response = session.wait(finish)
        assert response.status == 400
        assert digests[1].hex() in response.text
        assert 'previous snapshot was marked as bad' in response.text


def test_a_dynamic_base(instance, store, snapshot):
    pieces = [bytes([n]) * 4096 + str(next(SEEDS)).encode()
              for n in range(100)]
    first = snapshot()
    with instance.backup(first) as session:
        session.backup_dynamic('root.pxar.didx', pieces)
    digests = [sha256(p) for p in pieces]
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous('root.pxar.didx')
        session.backup_dynamic('root.pxar.didx', pieces, digests)
    with instance.reader(second) as reader:
        assert reader.dynamic('root.pxar.didx') == b''.join(pieces)
    store.remove_chunk(digests[57])
    with instance.backup(snapshot(first)) as session:
        session.previous('root.pxar.didx')
        assert digests[57].hex() in session.wait_aborted()
    assert store.verify_state(second)['state'] == 'failed'
    assert store.verify_state(first) is None
    # The one before is no base either: only the last one counts.
    with instance.backup(snapshot(first)) as session:
        assert session.previous_time() is None


def test_a_base_reused_by_its_checksum(instance, store, base, snapshot):
    first, data, digests = base()
    store.remove_chunk(digests[3])
    with instance.backup(snapshot(first)) as session:
        try:
            session.create_fixed(NAME, len(data), pbs.fixed_csum(digests))
        except PbsError as error:
            assert digests[3].hex() in error.text
        assert digests[3].hex() in session.wait_aborted()
    assert store.verify_state(first)['state'] == 'failed'


# ---- the base's index itself is bad

def test_a_damaged_index_is_a_bad_base(instance, store, snapshot):
    name = 'root.pxar.didx'
    pieces = [bytes([n]) * 4096 + str(next(SEEDS)).encode()
              for n in range(20)]
    first = snapshot()
    with instance.backup(first) as session:
        session.backup_dynamic(name, pieces)
    with open(store.snapshot_path(first) / name, 'r+b') as f:
        f.seek(4096 + 9 * 40)
        f.write(struct.pack('<Q', 1))  # ends before it starts
    second = snapshot(first)
    with instance.backup(second) as session:
        info = instance.session_of(second)
        session.start('GET', 'previous', {'archive-name': name})
        text = session.wait_aborted()
        assert is_free(instance, second)
    assert text.strip() == (
        f'index "{name}" of the previous snapshot is damaged; the previous '
        'snapshot was marked as bad, the next backup will be a full one')
    assert store.verify_state(first) == {'state': 'failed',
                                         'upid': info['upid']}
    lines = instance.task_log(info['upid'])
    assert any('impossible offset' in line for line in lines)
    assert text.strip() in lines[-1]
    third = snapshot(first)
    with instance.backup(third) as session:
        assert session.previous_time() is None
        session.backup_dynamic(name, pieces)
    with instance.reader(third) as reader:
        assert reader.dynamic(name) == b''.join(pieces)


@pytest.mark.parametrize('damage', ['cut', 'head', 'gone'])
def test_an_index_that_cannot_be_opened_is_not_offered(
        instance, store, base, snapshot, damage):
    first, data, digests = base(2)
    path = store.snapshot_path(first) / NAME
    if damage == 'gone':
        path.unlink()
    elif damage == 'cut':
        with open(path, 'r+b') as f:
            f.truncate(4096 + 40)
    else:
        with open(path, 'r+b') as f:
            f.write(bytes(8))
    second = snapshot(first)
    with instance.backup(second) as session:
        with pytest.raises(PbsError, match='Unable to open fixed index'):
            session.previous(NAME)
        with pytest.raises(PbsError, match='cannot reuse index|Unable to'):
            session.create_fixed(NAME, len(data), pbs.fixed_csum(digests))
        # Clients then send all of it.
        session.backup_images({NAME: data})
    assert restored(instance, second, data)


# ---- the mark cannot be made

def test_a_mark_that_fails_is_told(instance, store, base, snapshot):
    first, _, digests = base(2)
    store.remove_chunk(digests[0])
    with instance.backup(snapshot(first)) as session:
        (store.snapshot_path(first) / 'index.json.blob').write_bytes(b'bad')
        session.previous(NAME)
        text = session.wait_aborted()
    assert digests[0].hex() in text
    assert 'marking the previous snapshot as bad failed' in text


def test_a_base_that_is_gone_is_told(instance, store, base, snapshot):
    first, _, digests = base(2)
    store.remove_chunk(digests[0])
    with instance.backup(snapshot(first)) as session:
        (store.snapshot_path(first) / 'index.json.blob').unlink()
        session.previous(NAME)
        assert 'no previous snapshot' in session.wait_aborted()


# ---- an error is not a missing chunk

def test_an_input_error_marks_nothing(instance, faults, store, base,
                                      snapshot):
    first, data, digests = base(2)
    faults.fail_checks(digests[1])
    with instance.backup(snapshot(first)) as session:
        session.previous(NAME)
        text = session.wait_aborted()
    assert 'cannot check reused chunks' in text and \
        digests[1].hex() in text
    assert store.verify_state(first) is None
    faults.clear()
    # Nothing is lost: the base still serves.
    second = snapshot(first)
    with instance.backup(second) as session:
        session.backup_images({NAME: data}, incremental=True)
    assert restored(instance, second, data)


def test_a_vanished_folder_marks_nothing(instance, store, base, snapshot):
    first, _, digests = base(2)
    folder = store.chunk_path(digests[0]).parent
    folder.rename(folder.with_suffix('.away'))
    try:
        with instance.backup(snapshot(first)) as session:
            session.previous(NAME)
            assert 'cannot check reused chunks' in session.wait_aborted()
    finally:
        folder.with_suffix('.away').rename(folder)
    assert store.verify_state(first) is None


# ---- abort only what refers to it

def test_abort_when_referenced(fresh_instance, base, snapshot):
    inst = fresh_instance(
        store_options={'on-missing': 'abort-when-referenced'})
    store = inst.store()
    first, data, digests = base(4, inst)
    store.remove_chunk(digests[3])
    second = snapshot(first)
    with inst.backup(second) as session:
        session.previous(NAME)
        assert wait_for(lambda: store.verify_state(first))
        # Goes on, since it does not need that chunk.
        part = data[:3 * CHUNK]
        csum, _ = session.upload_image(NAME, part, digests)
        manifest = pbs.Manifest(second)
        manifest.add(NAME, len(part), csum)
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    assert restored(inst, second, part)
    store.remove_chunk(digests[0])
    with inst.backup(snapshot(first)) as session:
        session.previous(NAME)
        assert wait_for(lambda: store.verify_state(second))
        try:
            session.upload_image(NAME, data[:3 * CHUNK], digests)
        except PbsError as error:
            assert digests[0].hex() in error.text
        assert digests[0].hex() in session.wait_aborted()


