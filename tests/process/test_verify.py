"""Verification against every kind of damage: what is bad is said, marked and
renamed, what cannot be read is not, and what is uploaded again heals."""

import os
import re
import signal
import struct

import pytest

import pbs
from deaths import jobs, kill_checkers, stand_still
from instance import InstanceError, start_time, wait_for
from pbs import CHUNK, PbsError, sha256
from store import time_text

INSTANCE = {'store_options': {'recent-verify': '3600'}}
NAME = 'disk.img.fidx'
SEEDS = iter(range(30000, 40000))


@pytest.fixture
def base(instance, snapshot, image):
    """base(chunks): (snapshot, image, digests) of a finished backup."""
    def make(chunks=3, old=None, data=None):
        data = data or image(chunks, seed=next(SEEDS))
        new = snapshot(old)
        with instance.backup(new) as session:
            digests = session.backup_images({NAME: data})[NAME]
        return new, data, digests
    return make


def name_of(snap):
    return f'{snap[0]}/{snap[1]}/{time_text(snap[2])}'


def ended(inst, upid):
    """The task's entry once it has ended."""
    return wait_for(lambda: next(
        (t for t in inst.admin_json('task', 'list', '--limit', '1000')
         if t['upid'] == upid and 'status' in t), None))


def log_of(inst, upid):
    """The lines of a task's log without their times."""
    return [line.split(': ', 1)[1] for line in inst.task_log(upid)]


def verify(inst, *args):
    """Runs a verification to its end: (status, lines of its log)."""
    upid = inst.admin('verify', inst.store_name, *args).strip()
    task = ended(inst, upid)
    assert task, inst.task_log(upid)
    return task['status'], log_of(inst, upid), upid


def verify_snap(inst, snap):
    return verify(inst, '--snapshot', name_of(snap))


FAILED = 'verification failed - please check the log for details'


def is_good(inst, snap):
    status, lines, upid = verify_snap(inst, snap)
    assert status == 'OK', lines
    assert inst.store().verify_state(snap) == {'state': 'ok', 'upid': upid}
    return lines


# ---- what is good

def test_a_good_snapshot(instance, base, store):
    snap, data, digests = base()
    lines = is_good(instance, snap)
    assert f'verify store:{name_of(snap)}' in lines
    assert f'  check {NAME}' in lines
    assert any(re.match(r'  verified \S+/12.00 MiB in .* \(0 errors\)', line)
               for line in lines)
    assert not instance.locks(snap)


def test_all_kinds_of_archives(instance, store, snapshot):
    snap = snapshot()
    pieces = [bytes([n]) * (3000 + n) for n in range(20)] * 3
    with instance.backup(snap) as session:
        csum, entries = session.upload_dynamic('root.pxar.didx', pieces)
        size = entries[-1][0]
        # Encrypted chunks: only their CRC can be checked.
        secret = pbs.encrypted_blob(os.urandom(1000))
        wid = session.create_dynamic('secret.pxar.didx')
        digest = os.urandom(32)
        session.chunk('dynamic', wid, bytes(5000), digest=digest,
                      encoded=secret)
        session.append('dynamic', wid, [digest], [0])
        secret_csum = pbs.dynamic_csum([(5000, digest)])
        session.close_index('dynamic', wid, 1, 5000, secret_csum)
        conf = pbs.blob(b'a = b\n' * 100, compress=True)
        session.blob('etc.conf.blob', conf)
        sealed = pbs.encrypted_blob(os.urandom(100))
        session.blob('sealed.conf.blob', sealed)
        manifest = pbs.Manifest(snap)
        manifest.add('root.pxar.didx', size, csum)
        manifest.add('secret.pxar.didx', 5000, secret_csum, mode='encrypt')
        manifest.add('etc.conf.blob', len(conf), sha256(conf))
        manifest.add('sealed.conf.blob', len(sealed), sha256(sealed),
                     mode='encrypt')
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    is_good(instance, snap)


def test_each_chunk_is_read_once(instance, base, store):
    first, data, digests = base(2)
    second, _, _ = base(old=first, data=data)
    status, lines, _ = verify(instance, '--group', f'{first[0]}/{first[1]}')
    assert status == 'OK', lines
    verified = [line for line in lines if line.startswith('  verified')]
    assert '/8.00 MiB' in verified[0] and '/0.00 MiB' in verified[1]
    # The newest first.
    order = [line for line in lines if line.startswith('verify store:')]
    assert order == [f'verify store:{name_of(s)}' for s in (second, first)]


def test_no_chunk_hides_behind_another(instance, store, snapshot, image):
    """The digest of an encrypted chunk is what its owner says: one that is
    much like another's must not be taken for it."""
    data, snap = image(1, seed=next(SEEDS)), snapshot()
    digest = sha256(data)
    twin = digest[:31] + bytes([digest[31] ^ 1])
    manifest = pbs.Manifest(snap)
    with instance.backup(snap) as session:
        wid = session.create_fixed(NAME, 2 * CHUNK)
        session.chunk('fixed', wid, bytes(CHUNK), digest=twin,
                      encoded=pbs.encrypted_blob(os.urandom(1000)))
        session.chunk('fixed', wid, data)
        session.append('fixed', wid, [twin, digest], [0, CHUNK])
        csum = pbs.fixed_csum([twin, digest])
        session.close_index('fixed', wid, 2, 2 * CHUNK, csum)
        manifest.add(NAME, 2 * CHUNK, csum, mode='encrypt')
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    flip(store.chunk_path(digest))
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert any(digest.hex() in line for line in lines), lines


# ---- damaged chunks

def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    rewrite(path, data)


def rewrite(path, data):
    """A new file, as a broken disk or a copy would leave it."""
    owner = path.stat()
    path.unlink()
    path.write_bytes(data)
    os.chown(path, owner.st_uid, owner.st_gid)


def truncate(path):
    rewrite(path, path.read_bytes()[:-100])


def stub(path):
    rewrite(path, path.read_bytes()[:20])


def lengthen(path):
    """Longer than any chunk may be."""
    rewrite(path, path.read_bytes())
    os.truncate(path, 40 << 20)


def swap(path):
    """Another valid chunk under this name."""
    rewrite(path, pbs.blob(os.urandom(CHUNK)))


@pytest.mark.parametrize('damage', [flip, truncate, stub, lengthen, swap])
def test_a_damaged_chunk(instance, base, store, snapshot, damage):
    snap, data, digests = base()
    bad = store.chunk_path(digests[1])
    damage(bad)
    status, lines, upid = verify_snap(instance, snap)
    assert status == FAILED
    assert store.verify_state(snap) == {'state': 'failed', 'upid': upid}
    assert any(digests[1].hex() in line and 'renamed to .0.bad' in line
               for line in lines), lines
    assert not bad.exists()
    assert bad.with_name(bad.name + '.0.bad').exists()
    assert store.has_chunk(digests[0]) and store.has_chunk(digests[2])
    # The next backup is a full one, says that it heals, and is good.
    again = snapshot(snap)
    with instance.backup(again) as session:
        task = instance.session_of(again)['upid']
        assert session.previous_time() is None
        session.backup_images({NAME: data})
    assert any(digests[1].hex() in line and 'stored again' in line
               for line in instance.task_log(task))
    is_good(instance, again)
    is_good(instance, snap)


@pytest.mark.parametrize('damage', [flip, swap, os.unlink])
def test_one_of_many_small_chunks(instance, store, snapshot, damage):
    """They are judged up to 256 at a time; what is wrong with one says
    nothing of the others."""
    snap, seed = snapshot(), next(SEEDS)
    pieces = [sha256(b'%d %d' % (seed, n)) * 100 for n in range(300)]
    with instance.backup(snap) as session:
        session.backup_dynamic('root.pxar.didx', pieces)
    is_good(instance, snap)
    bad = sha256(pieces[20])
    damage(store.chunk_path(bad))
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert {d for d in map(sha256, pieces)
            if any(d.hex() in line for line in lines)} == {bad}, lines
    assert not store.has_chunk(bad)
    assert all(store.has_chunk(sha256(p)) for p in pieces if p != pieces[20])


@pytest.mark.parametrize('damage', ['gone', 'empty'])
def test_a_missing_chunk(instance, base, store, snapshot, damage):
    snap, data, digests = base()
    path = store.chunk_path(digests[0])
    path.unlink()
    if damage == 'empty':
        path.write_bytes(b'')
        os.chown(path, store.path.stat().st_uid, -1)
    status, lines, upid = verify_snap(instance, snap)
    assert status == FAILED
    assert any(f'chunk {digests[0].hex()} is missing' in line
               for line in lines), lines
    assert any(f'1 references to missing chunks in store:{name_of(snap)}'
               in line for line in lines), lines
    assert store.verify_state(snap)['state'] == 'failed'
    again = snapshot(snap)
    with instance.backup(again) as session:
        task = instance.session_of(again)['upid']
        session.backup_images({NAME: data})
    assert any(digests[0].hex() in line and 'stored again' in line
               for line in instance.task_log(task))
    is_good(instance, snap)


def test_a_chunk_of_many_snapshots_is_judged_once(instance, base, store):
    first, data, digests = base()
    second, _, _ = base(old=first, data=data)
    flip(store.chunk_path(digests[0]))
    group = f'{first[0]}/{first[1]}'
    status, lines, upid = verify(instance, '--group', group)
    assert status == FAILED
    for snap in first, second:
        assert store.verify_state(snap) == {'state': 'failed', 'upid': upid}
        assert f'  store:{name_of(snap)}' in lines
    assert f'chunk {digests[0].hex()} was marked as corrupt' in \
        '\n'.join(lines)
    path = store.chunk_path(digests[0])
    assert not path.with_name(path.name + '.1.bad').exists()


def test_a_manifest_that_lists_no_file(instance, base, store):
    snap, data, digests = base()
    manifest = pbs.Manifest(snap)
    (store.snapshot_path(snap) / 'index.json.blob').write_bytes(
        manifest.blob())
    is_good(instance, snap)


# ---- what cannot be read is not bad

def test_an_unreadable_chunk_is_not_a_corrupt_one(instance, base, store):
    snap, data, digests = base()
    path = store.chunk_path(digests[2])
    path.chmod(0)
    status, lines, _ = verify_snap(instance, snap)
    path.chmod(0o644)
    assert status == FAILED
    assert any(digests[2].hex() in line and "can't be verified" in line
               for line in lines), lines
    assert store.verify_state(snap) is None
    assert path.exists()
    is_good(instance, snap)


# ---- damaged files of the snapshot

def test_a_wrong_index_checksum(instance, base, store):
    snap, data, digests = base()
    path = store.snapshot_path(snap) / NAME
    content = bytearray(path.read_bytes())
    # Entries swapped: every chunk is good, the image is not.
    content[4096:4160] = content[4128:4160] + content[4096:4128]
    path.write_bytes(content)
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert f'verify store:{name_of(snap)}/{NAME} failed: ' \
        'wrong index checksum' in '\n'.join(lines)
    assert store.verify_state(snap)['state'] == 'failed'
    assert all(store.has_chunk(d) for d in digests)


def test_a_wrong_checksum_in_the_index_header(instance, base, store):
    """Chunks, entries and manifest are good, but garbage collection would
    stop at this index."""
    snap, data, digests = base()
    path = store.snapshot_path(snap) / NAME
    content = bytearray(path.read_bytes())
    content[32] ^= 1
    path.write_bytes(content)
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert f'verify store:{name_of(snap)}/{NAME} failed: ' \
        'wrong checksum in the index header' in '\n'.join(lines)
    assert store.verify_state(snap)['state'] == 'failed'


def test_a_chunk_of_another_size_than_the_index_says(instance, store,
                                                     snapshot):
    """A chunk is good by its digest; that an index lies must not cost
    others their chunk."""
    snap = snapshot()
    pieces = [os.urandom(5000), os.urandom(6000)]
    with instance.backup(snap) as session:
        session.backup_dynamic('root.pxar.didx', pieces)
    folder = store.snapshot_path(snap)
    content = bytearray((folder / 'root.pxar.didx').read_bytes())
    content[4096:4104] = struct.pack('<Q', 5500)
    csum = sha256(bytes(content[4096:]))
    content[32:64] = csum
    (folder / 'root.pxar.didx').write_bytes(content)
    manifest = store.manifest(snap)
    manifest['files'][0]['csum'] = csum.hex()
    (folder / 'index.json.blob').write_bytes(
        pbs.blob(pbs.dumps(manifest)))
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert any('has 5000 bytes, but the index says 5500' in line
               for line in lines), lines
    assert all(store.has_chunk(sha256(p)) for p in pieces)


@pytest.mark.parametrize('damage', ['gone', 'flip', 'cut', 'empty'])
def test_damaged_files(instance, store, snapshot, damage):
    snap = snapshot()
    blob = pbs.blob(b'text ' * 200)
    with instance.backup(snap) as session:
        session.backup_images({NAME: os.urandom(CHUNK)}, finish=False)
        session.blob('etc.conf.blob', blob)
        manifest = pbs.Manifest(snap)
        manifest.add('etc.conf.blob', len(blob), sha256(blob))
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    path = store.snapshot_path(snap) / 'etc.conf.blob'
    if damage == 'gone':
        path.unlink()
    elif damage == 'flip':
        flip(path)
    else:
        path.write_bytes(blob[:-3] if damage == 'cut' else b'')
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert any(f'{name_of(snap)}/etc.conf.blob failed' in line
               for line in lines), lines
    assert store.verify_state(snap)['state'] == 'failed'


def test_a_damaged_manifest(instance, base, store):
    snap, data, digests = base()
    path = store.snapshot_path(snap) / 'index.json.blob'
    flip(path)
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert any('manifest load error' in line for line in lines), lines


# ---- which snapshots

def test_what_was_verified_is_skipped(instance, base):
    snap, data, digests = base()
    is_good(instance, snap)
    args = '--group', f'{snap[0]}/{snap[1]}'
    status, lines, _ = verify(instance, *args, '--ignore-verified')
    assert status == 'OK'
    assert f'SKIPPED: verify store:{name_of(snap)} (recently verified)' \
        in lines
    status, lines, _ = verify(instance, *args, '--outdated-after', '1')
    assert any(line.startswith('SKIPPED') for line in lines)
    status, lines, _ = verify(instance, *args)
    assert f'verify store:{name_of(snap)}' in lines


def test_what_is_outdated_is_verified(instance, base, store):
    snap, data, digests = base()
    is_good(instance, snap)
    manifest = store.manifest(snap)
    upid = manifest['unprotected']['verify_state']['upid'].split(':')
    upid[5] = f'{int(upid[5], 16) - 3 * 86400:08X}'
    manifest['unprotected']['verify_state']['upid'] = ':'.join(upid)
    path = store.snapshot_path(snap) / 'index.json.blob'
    path.write_bytes(pbs.blob(pbs.dumps(manifest)))
    args = '--group', f'{snap[0]}/{snap[1]}', '--outdated-after'
    assert any(line.startswith('SKIPPED')
               for line in verify(instance, *args, '3')[1])
    assert f'verify store:{name_of(snap)}' in verify(instance, *args, '2')[1]


def test_a_namespace_and_its_depth(instance, snapshot, image):
    conn = instance.login()
    for parent, name in (('', 'one'), ('one', 'two')):
        conn.post(f'admin/datastore/{instance.store_name}/namespace',
                  {'parent': parent, 'name': name})
    snaps = {}
    for ns in 'one', 'one/two':
        snaps[ns] = snapshot()
        with instance.backup(snaps[ns], ns=ns) as session:
            session.backup_images({NAME: image(1, seed=next(SEEDS))})
    status, lines, _ = verify(instance, '--ns', 'one', '--max-depth', '0')
    assert status == 'OK'
    assert f'verify store:one/{name_of(snaps["one"])}' in lines
    assert not any('one/two' in line for line in lines)
    status, lines, upid = verify(instance, '--ns', 'one')
    assert f'verify store:one/two/{name_of(snaps["one/two"])}' in lines
    assert instance.store().verify_state(snaps['one/two'], 'one/two') == \
        {'state': 'ok', 'upid': upid}


def test_arguments_are_checked(instance, base):
    for args in (['--snapshot', 'vm/100'], ['--group', 'x'],
                 ['--ns', '../x'], ['--group', 'vm/1', '--snapshot',
                                    'vm/1/2024-01-01T00:00:00Z']):
        with pytest.raises(InstanceError):
            instance.admin('verify', instance.store_name, *args)
    with pytest.raises(InstanceError, match='no such datastore'):
        instance.admin('verify', 'nowhere')


# ---- by clients

def start_by_client(conn, inst, **args):
    return conn.post(f'admin/datastore/{inst.store_name}/verify', args)


def test_a_client_starts_it(instance, base, store):
    snap, data, digests = base()
    upid = start_by_client(instance.login(), instance, **{
        'backup-type': snap[0], 'backup-id': snap[1],
        'backup-time': snap[2], 'ignore-verified': False})
    assert ended(instance, upid)['status'] == 'OK'
    assert store.verify_state(snap) == {'state': 'ok', 'upid': upid}
    assert ':verify_snapshot:' in upid


def test_a_client_may_only_verify_its_own(instance, base):
    snap, data, digests = base()
    other = instance.login2()
    with pytest.raises(PbsError):
        start_by_client(other, instance, **{
            'backup-type': snap[0], 'backup-id': snap[1]})
    with pytest.raises(PbsError):
        start_by_client(other, instance)


@pytest.mark.parametrize('given', [
    ('type',), ('id',), ('time',), ('type', 'time'), ('id', 'time')], ids=str)
def test_half_a_name_is_no_name(instance, given):
    """Least of all one of the whole datastore."""
    named = {'type': 'host', 'id': 'half', 'time': 1600000000}
    with pytest.raises(PbsError, match='^400: parameters do not specify a '
                                       'backup group or snapshot'):
        start_by_client(instance.login(), instance,
                        **{f'backup-{k}': named[k] for k in given})


# ---- beside backups

def test_recent_verify_saves_the_check(instance, base, snapshot, store):
    snap, data, digests = base()
    second = snapshot(snap)
    with instance.backup(second) as session:
        session.previous(NAME)
        assert instance.session_of(second)['check']['state'] == 'running'
    assert wait_for(lambda: not instance.locks(second))
    is_good(instance, snap)
    with instance.backup(second) as session:
        session.previous(NAME)
        assert instance.session_of(second)['check']['state'] == 'not-needed'
    assert wait_for(lambda: not instance.locks(second))
    # A bad end is forgotten, however good the one before was.
    flip(store.chunk_path(digests[0]))
    assert verify_snap(instance, snap)[0] == FAILED
    with instance.backup(second) as session:
        assert session.previous_time() is None


def test_an_open_session_learns_of_a_bad_chunk(instance, base, snapshot,
                                               store):
    """It was checked when it was still there, and is gone at finish."""
    snap, data, digests = base()
    second = snapshot(snap)
    with instance.backup(second) as session:
        session.backup_images({NAME: data}, incremental=True, finish=False)
        flip(store.chunk_path(digests[1]))
        # The base is in use, but may be verified.
        assert verify_snap(instance, snap)[0] == FAILED
        with pytest.raises(PbsError, match='found damaged meanwhile'):
            session.finish()
    assert not store.snapshot_path(second).exists()
    third = snapshot(snap)
    with instance.backup(third) as session:
        assert session.previous_time() is None
        session.backup_images({NAME: data})
    is_good(instance, third)


def test_a_duplicate_of_a_bad_chunk(instance, base, snapshot, store):
    """Taken for stored, then found bad: an upload is not lost silently."""
    snap, data, digests = base()
    other = snapshot()
    flip(store.chunk_path(digests[1]))
    with instance.backup(other) as session:
        session.backup_images({NAME: data}, finish=False)
        assert verify_snap(instance, snap)[0] == FAILED
        with pytest.raises(PbsError, match='found damaged meanwhile'):
            session.finish()
    with instance.backup(snapshot(other)) as session:
        session.backup_images({NAME: data})
    is_good(instance, snap)


def test_an_aborted_one_marks_nothing(instance, store, snapshot, image):
    snap = snapshot()
    with instance.backup(snap) as session:
        session.backup_images({NAME: image(12, seed=next(SEEDS))})
    upid = instance.admin('verify', instance.store_name, '--snapshot',
                          name_of(snap)).strip()
    try:
        instance.admin('task', 'stop', upid)
    except InstanceError as error:
        assert 'not running' in str(error) or 'no such' in str(error)
    status = ended(instance, upid)['status']
    assert status in ('task aborted', 'OK'), status
    if status != 'OK':
        assert store.verify_state(snap) is None
    assert not instance.locks(snap)


def start_and_stop(inst, *args):
    """Starts a verification and stops its process where it is: (upid, pid).
    One that was too fast is started again."""
    for _ in range(100):
        upid = inst.admin('verify', inst.store_name, *args).strip()
        stopped = stand_still(jobs(inst))
        if stopped:
            return upid, *stopped
        ended(inst, upid)
    pytest.fail('every verification was too fast')


def test_a_dead_checker_proves_nothing(instance, store, snapshot, image):
    snap = snapshot()
    with instance.backup(snap) as session:
        digests = session.backup_images(
            {NAME: image(12, seed=next(SEEDS))})[NAME]
    for _ in range(3):
        upid, job = start_and_stop(instance, '--snapshot', name_of(snap))
        kill_checkers(instance)
        os.kill(job, signal.SIGCONT)
        assert ended(instance, upid)
        assert all(store.has_chunk(d) for d in digests)
        assert (store.verify_state(snap) or {}).get('state') != 'failed'
        assert not instance.locks(snap)
    is_good(instance, snap)


@pytest.mark.parametrize('how', ['term', 'kill'])
def test_it_ends_with_the_validator(instance, base, store, how):
    snap, data, digests = base()
    upid, job = start_and_stop(instance, '--snapshot', name_of(snap))
    if how == 'kill':
        instance.kill_validator()
    else:
        instance.end('validator')
    assert wait_for(lambda: not start_time(job))
    instance.start_validator()
    assert ended(instance, upid)['status'] != 'OK'
    # It may have said what it found just before, or one that was too fast.
    assert (store.verify_state(snap) or {}).get('state') in (None, 'ok')
    assert not instance.locks(snap)
    is_good(instance, snap)


@pytest.fixture
def verify_new(instance):
    """verify_new(): the option is on."""
    def on(**options):
        instance.change_options(options, {'verify-new': 'yes'})
        instance.restart_validator()
    yield on
    instance.change_options({'debug-kill-at': ''}, {'verify-new': ''})
    instance.restart_validator()


def verified_new(inst, snap):
    """Its state, once it has one."""
    store = inst.store()
    assert wait_for(lambda: store.verify_state(snap))
    state = store.verify_state(snap)
    assert state['state'] == 'ok' and ':verify:' in state['upid']
    assert ended(inst, state['upid'])['status'] == 'OK'
    assert log_of(inst, state['upid'])[0] == \
        'Automatically verifying newly added snapshot'
    return state


def test_verify_new(instance, snapshot, image, verify_new):
    verify_new()
    snaps = [snapshot() for _ in range(3)]
    for snap in snaps:
        with instance.backup(snap) as session:
            session.backup_images({NAME: image(1, seed=next(SEEDS))})
    for snap in snaps:
        verified_new(instance, snap)


@pytest.mark.parametrize('where', ['finish-4', 'finish-7', 'finish-8'])
def test_verify_new_survives_a_crash(instance, store, snapshot, image, where,
                                     verify_new):
    """Killed before or after the snapshot has its name."""
    verify_new(**{'debug-kill-at': where})
    snap = snapshot()
    with instance.backup(snap) as session:
        session.backup_images({NAME: image(1, seed=next(SEEDS))},
                              finish=False)
        answer = session.start('POST', 'finish')
        session.flush()
        assert wait_for(lambda: not instance.is_running('validator'))
        instance.change_options({'debug-kill-at': ''}, {})
        instance.start_validator()
        session.wait(answer).check()
    verified_new(instance, snap)


def test_new_ones_wait_over_a_restart(instance, store, snapshot, image,
                                      verify_new):
    """One is at work and others wait when the validator is killed; and what
    is gone by then is no trouble."""
    verify_new()
    pids, snaps = [], [snapshot() for _ in range(3)]

    def stop_jobs():
        pids.extend(stand_still(jobs(instance)))
    with instance.backup(snaps[0]) as session:
        session.backup_images({NAME: image(8, seed=next(SEEDS))})
        stop_jobs()
    for snap in snaps[1:]:
        with instance.backup(snap) as session:
            session.backup_images({NAME: image(1, seed=next(SEEDS))})
        stop_jobs()
    instance.kill_validator()
    assert wait_for(lambda: not any(map(start_time, pids)))
    waiting = [s for s in snaps if not store.verify_state(s)]
    instance.start_validator()
    for snap in snaps:
        verified_new(instance, snap)
    if waiting:
        assert 'wait for verification' in instance.log_tail('validator', 10000)

    def nothing_is_left():
        instance.restart_validator()
        return 'wait for verification' not in instance.log_tail(
            'validator', 10000).split('main: ready')[-2]
    assert wait_for(nothing_is_left)


def test_new_ones_wait_for_the_end_of_maintenance(instance, store, snapshot,
                                                  image, verify_new):
    """Also over a restart."""
    def maintenance(mode):
        instance.admin('datastore', 'maintenance-mode', instance.store_name,
                       mode)
    verify_new()
    snap = snapshot()
    with instance.backup(snap) as session:
        session.backup_images({NAME: image(1, seed=next(SEEDS))},
                              finish=False)
        maintenance('read-only')
        session.finish()
    try:
        for mode in 'read-only', 'offline':
            maintenance(mode)
            assert not [t for t in instance.admin_json('task', 'list')
                        if ':verify:' in t['upid'] and
                        f'-{snap[1]}-' in t['upid']]
            instance.restart_validator()
    finally:
        maintenance('none')
    verified_new(instance, snap)


# ---- more damage than is remembered

SET_MAX = 65536


def damage_of(inst):
    """(chunks in the set, whether there are more, why) as the operator sees
    it."""
    entry, = inst.admin_json('datastore', 'list')
    more = 'damaged-unknown' in entry
    name = f'{{store="{inst.store_name}"}}'
    metrics = inst.admin('metrics')
    assert f'holdfast_store_damage_unknown{name} {int(more)}\n' in metrics
    assert f'holdfast_store_damaged_chunks{name} ' \
        f'{entry["damaged-chunks"]}\n' in metrics
    return entry['damaged-chunks'], more, entry.get('reason', '')


@pytest.fixture
def damage_set(instance):
    """damage_set(kind, n): n other chunks in the set; all are forgotten after
    the test."""
    folder = instance.dir / 'state' / 'validator'
    path = folder / f'damaged-{instance.store_name}'

    def write(data):
        instance.end('validator')
        path.write_bytes(data)
        os.chown(path, folder.stat().st_uid, folder.stat().st_gid)
        instance.start_validator()

    def fill(kind, n):
        write(b''.join(kind + sha256(b'%d' % i) for i in range(n)))
        assert damage_of(instance) == (n, False, '')
    fill.write = write
    yield fill
    write(b'')


HINT = 'verify, then "datastore clear"'


def test_a_full_set_hides_no_damage(instance, base, snapshot, store,
                                    damage_set):
    snap, data, digests = base()
    damage_set(b'a', SET_MAX)
    flip(store.chunk_path(digests[1]))
    status, lines, upid = verify_snap(instance, snap)
    assert status == FAILED
    assert any(digests[1].hex() in line and 'renamed to .0.bad' in line
               for line in lines), lines
    assert store.verify_state(snap) == {'state': 'failed', 'upid': upid}
    assert not store.has_chunk(digests[1])
    for _ in range(2):
        n, more, reason = damage_of(instance)
        assert (n, more) == (SET_MAX, True) and HINT in reason
        assert HINT in instance.log_tail('validator', 100).split(
            'main: ready')[-2 if _ else -1]
        instance.restart_validator()
    # It heals all the same.
    with instance.backup(snapshot(snap)) as session:
        assert session.previous_time() is None
        session.backup_images({NAME: data})
    is_good(instance, snap)
    instance.admin('datastore', 'clear', instance.store_name)
    for _ in range(2):
        assert damage_of(instance) == (SET_MAX, False, '')
        instance.restart_validator()


@pytest.mark.parametrize('restart', [False, True])
def test_an_open_session_learns_of_more_than_is_known(
        instance, base, snapshot, store, damage_set, restart):
    snap, data, digests = base()
    damage_set(b'a', SET_MAX)
    second = snapshot(snap)
    with instance.backup(second) as session:
        session.backup_images({NAME: data}, incremental=True, finish=False)
        flip(store.chunk_path(digests[1]))
        assert verify_snap(instance, snap)[0] == FAILED
        if restart:
            instance.kill_validator()
            instance.start_validator()
        task = instance.session_of(second)['upid']
        with pytest.raises(PbsError, match=digests[1].hex()):
            session.finish()
    assert not store.snapshot_path(second).exists()
    assert any('all of this backup are looked at' in line
               for line in instance.task_log(task))
    # Who begins now sees for himself what is missing.
    third = snapshot(snap)
    with instance.backup(third) as session:
        task = instance.session_of(third)['upid']
        session.backup_images({NAME: data})
    assert not any('all of this backup are looked at' in line
                   for line in instance.task_log(task))
    is_good(instance, third)


def test_a_recent_verification_is_not_believed(instance, base, snapshot,
                                               damage_set):
    snap, data, digests = base()
    is_good(instance, snap)
    damage_set.write(b'?' + bytes(32))
    assert damage_of(instance)[:2] == (0, True)
    second = snapshot(snap)

    def state():
        with instance.backup(second) as session:
            session.previous(NAME)
            found = instance.session_of(second)['check']['state']
        assert wait_for(lambda: not instance.locks(second))
        return found
    assert state() == 'running'
    instance.admin('datastore', 'clear', instance.store_name)
    assert state() == 'not-needed'


def test_clear_takes_out_what_is_there_again(instance, base, damage_set):
    digests = base()[2]
    damage_set.write(b'a' + digests[0] + b'm' + digests[1] +
                     b''.join(b'm' + sha256(b'%d' % i) for i in range(2000)))
    assert damage_of(instance) == (2002, False, '')
    instance.admin('datastore', 'clear', instance.store_name)
    for _ in range(2):
        assert damage_of(instance) == (2000, False, '')
        instance.restart_validator()


def test_missing_chunks_leave_room_for_damaged_ones(instance, base, snapshot,
                                                    store, damage_set):
    snap, data, digests = base()
    damage_set(b'm', SET_MAX // 2)
    store.remove_chunk(digests[0])
    flip(store.chunk_path(digests[1]))
    status, lines, _ = verify_snap(instance, snap)
    assert status == FAILED
    assert damage_of(instance)[:2] == (SET_MAX // 2 + 1, True)
    again = snapshot(snap)
    with instance.backup(again) as session:
        task = instance.session_of(again)['upid']
        session.backup_images({NAME: data})
    stored = [line for line in instance.task_log(task)
              if 'stored again' in line]
    assert len(stored) == 1 and digests[1].hex() in stored[0]
    is_good(instance, snap)
