"""What a power cut, a failing disk, a full one and a store that is away do to
backups: refused with the reason, and nothing is called good that is not."""

import errno
import itertools
import json
import os
import signal
import struct
import threading
import time

import pytest

import pbs
from instance import children, start_time, wait_for
from pbs import PbsError
from test_reuse import verified_record

INSTANCE = {'faults': True}
NAME = 'disk.img.fidx'
SEEDS = itertools.count(5000)
MIB = 1 << 20
SPARE_CHECKERS = 2
CHECKER_IDLE_S = 10  # validator/deposit.c
# The record of a store in the state folder (validator/store/poison.c).
IN_USE_AT, LAST_SYNC_AT, BOOT_AT = 5, 15, 39


@pytest.fixture
def base(instance, snapshot, image):
    """base(chunks): (snapshot, image, digests) of a finished backup."""
    def make(chunks=3, inst=instance):
        data, new = image(chunks, seed=next(SEEDS)), snapshot()
        with inst.backup(new) as session:
            digests = session.backup_images({NAME: data})[NAME]
        return new, data, digests
    return make


def whole(instance, snap, data):
    with instance.reader(snap) as reader:
        return reader.image(NAME) == data


def reuse(instance, snap, data):
    with instance.backup(snap) as session:
        session.backup_images({NAME: data}, incremental=True)


# ---- a sync that failed

def test_a_failed_sync_poisons_the_store(instance, faults, base, snapshot,
                                         image):
    first, data, _ = base()
    other = instance.backup(snapshot())
    second = snapshot(first)
    with instance.backup(second) as session:
        faults.fail_syncs(errno.EIO)
        with pytest.raises(PbsError, match='sync failed'):
            session.backup_images({NAME: data})
    # Told once by the kernel, remembered by us: also when it is whole again.
    faults.clear()
    assert 'sync failed' in other.wait_aborted()
    other.close()
    assert not instance.store().snapshot_path(second).exists()
    assert wait_for(lambda: not instance.locks(second))
    for restart in (False, True):
        if restart:
            instance.kill_validator()
            instance.start_validator()
        with pytest.raises(PbsError, match='sync failed'):
            with instance.backup(snapshot(first)) as session:
                session.backup_images({NAME: data})
        # What is there can still be read.
        assert whole(instance, first, data)
    text = instance.admin('datastore', 'list')
    assert 'sync' in text or 'poisoned' in text
    instance.admin('datastore', 'clear', instance.store_name)
    third = snapshot(first)
    reuse(instance, third, data)
    assert whole(instance, third, data)


# ---- a power cut

def power_cut(instance, since):
    """As if the machine had gone down: another boot, and nothing was synced
    since then."""
    instance.admin('datastore', 'list')  # the datastore is in use by then
    instance.kill_validator()
    path = instance.dir / 'state' / 'validator' / \
        f'{instance.store_name}.store'
    record = bytearray(path.read_bytes())
    assert record[IN_USE_AT] == 1
    struct.pack_into('<q', record, LAST_SYNC_AT, int(since))
    record[BOOT_AT:BOOT_AT + 36] = b'0' * 36
    path.write_bytes(record)
    instance.start_validator()
    instance.admin('datastore', 'list')


def damage(store, digest):
    """The name survived, the data did not."""
    path = store.chunk_path(digest)
    with open(path, 'r+b') as f:
        f.seek(MIB)
        f.write(bytes(MIB))


def test_suspects_are_decoded(instance, store, base, snapshot):
    before = time.time()
    first, data, digests = base()
    good, good_data, good_digests = base()
    damage(store, digests[1])
    power_cut(instance, before)
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous(NAME)
        text = session.wait_aborted()
    assert digests[1].hex() in text and 'damaged' in text
    assert 'marked as bad' in text
    assert store.verify_state(first)['state'] == 'failed'
    # Whole ones are found to be whole.
    third = snapshot(good)
    reuse(instance, third, good_data)
    assert store.verify_state(good) is None
    assert whole(instance, third, good_data)


@pytest.mark.parametrize('verified', ['before', 'after'])
def test_a_verification_counts_until_a_power_cut(fresh_instance, base,
                                                 snapshot, verified):
    """A chunk that was read then may have been replaced since, and not be
    whole."""
    inst = fresh_instance(store_options={'recent-verify': '1h'})
    before = time.time()
    first, _, digests = base(inst=inst)
    inst.end('validator')
    verified_record(inst, first, int(time.time()))
    inst.start_validator()
    power_cut(inst, before)
    if verified == 'after':
        inst.end('validator')
        forget_suspects(inst, int(time.time()) - 1)
        verified_record(inst, first, int(time.time()))
        inst.start_validator()
    else:
        damage(inst.store(), digests[1])
    with inst.backup(snapshot(first)) as session:
        session.previous(NAME)
        if verified == 'after':
            assert inst.session_of(session.snapshot)['check']['state'] == \
                'not-needed'
        else:
            assert digests[1].hex() in session.wait_aborted()


def forget_suspects(instance, until):
    """As if the last suspects were of that time."""
    path = instance.dir / 'state' / 'validator' / \
        f'{instance.store_name}.store'
    record = bytearray(path.read_bytes())
    start, _ = struct.unpack_from('<qq', record, LAST_SYNC_AT + 8)
    struct.pack_into('<qq', record, LAST_SYNC_AT + 8, min(start, until), until)
    path.write_bytes(record)


def test_suspects_are_replaced_by_an_upload(instance, store, snapshot, base):
    before = time.time()
    first, data, digests = base()
    damage(store, digests[0])
    power_cut(instance, before)
    second = snapshot()
    with instance.backup(second) as session:
        session.backup_images({NAME: data})
    assert whole(instance, second, data)


def test_a_chunk_that_replaces_another_is_synced(instance, faults, store,
                                                 snapshot):
    """Finished snapshots may rely on the old one, which was synced."""
    raw = os.urandom(8) * 5000
    path = store.chunk_path(pbs.sha256(raw))
    with instance.backup(snapshot()) as session:
        wid = session.create_dynamic('other.pxar.didx')
        session.chunk('dynamic', wid, raw)
        assert path.stat().st_size > len(raw)
        held = faults.fsync_held
        faults.hold_fsync = 1
        smaller = session.start_chunk('dynamic', wid, raw,
                                      encoded=pbs.blob(raw, compress=True))
        session.push_bodies()
        session.flush()
        assert wait_for(lambda: faults.fsync_held > held)
        assert path.stat().st_size > len(raw)
        faults.clear()
        session.wait(smaller).check()
        assert path.stat().st_size < len(raw)


def checkers(instance):
    """The oldest first, which is the order in which they are taken."""
    return sorted(children(instance.pid('validator'), 'holdfast-checker'),
                  key=lambda pid: (start_time(pid) or 0, pid))


def checker_counts(instance):
    return next(row['checkers'] for row in instance.admin_json('status')
                if row['daemon'] == 'holdfast-validator')


def only_spare_checkers(instance):
    return checker_counts(instance) == {'busy': 0, 'spare': SPARE_CHECKERS} and \
        len(checkers(instance)) == SPARE_CHECKERS


def signal_checkers(instance, signo):
    pids = checkers(instance)
    for pid in pids:
        os.kill(pid, signo)
    return pids


def kill_busy_checkers(instance, deaths):
    """One after the other: when one is taken, and has work, another one is
    started."""
    for _ in range(deaths):
        assert wait_for(lambda: len(checkers(instance)) > SPARE_CHECKERS)
        victim = signal_checkers(instance, signal.SIGSTOP)[0]
        os.kill(victim, signal.SIGKILL)
        assert wait_for(lambda: victim not in checkers(instance))


@pytest.mark.parametrize('deaths', [1, 4, 5])
def test_a_killed_checker_proves_nothing(instance, store, base, snapshot,
                                         deaths):
    """The kernel may kill one that judges a suspect, for want of memory: the
    next one judges it again.  Too many deaths end the backup, and mark
    nothing."""
    before = time.time()
    first, data, digests = base(1)
    power_cut(instance, before)
    log = instance.log / 'validator.log'
    logged = log.stat().st_size
    second = snapshot(first)
    with instance.backup(second) as session:
        assert wait_for(lambda: only_spare_checkers(instance))
        try:
            signal_checkers(instance, signal.SIGSTOP)
            session.previous(NAME)
            kill_busy_checkers(instance, deaths)
        finally:
            signal_checkers(instance, signal.SIGCONT)
        if deaths < 5:
            session.backup_images({NAME: data}, incremental=True)
        else:
            assert 'cannot check reused chunks: checking the data ended' in \
                session.wait_aborted()
    assert log.read_text()[logged:].count('requests=some') == deaths
    assert store.verify_state(first) is None
    third = snapshot(second)
    reuse(instance, third, data)
    assert whole(instance, third, data)


@pytest.mark.parametrize('deaths', [1, 2])
def test_a_killed_checker_costs_no_base(instance, base, snapshot, deaths):
    """The one that reads the base's manifest: the next one reads it again.
    A manifest that none survives is no base."""
    first, data, digests = base(1)
    second = snapshot(first)
    opened = []
    opening = threading.Thread(
        target=lambda: opened.append(instance.backup(second)))
    assert wait_for(lambda: only_spare_checkers(instance))
    try:
        signal_checkers(instance, signal.SIGSTOP)
        opening.start()
        kill_busy_checkers(instance, deaths)
    finally:
        signal_checkers(instance, signal.SIGCONT)
    opening.join(60)
    with opened.pop() as session:
        assert session.previous_time() == (first[2] if deaths == 1 else None)
        session.backup_images({NAME: data}, incremental=deaths == 1)
    assert whole(instance, second, data)
    assert instance.store().verify_state(first) is None


def test_a_killed_checker_costs_no_backup(instance, snapshot, image):
    """The one that completes the manifest at finish: the next one does.  If
    that dies too, finish is refused, and can be tried again."""
    new, data = snapshot(), image(1, seed=next(SEEDS))
    with instance.backup(new) as session:
        session.backup_images({NAME: data}, finish=False)
        for deaths, status in (2, 400), (1, 200):
            assert wait_for(lambda: only_spare_checkers(instance))
            try:
                signal_checkers(instance, signal.SIGSTOP)
                finish = session.start('POST', 'finish')
                kill_busy_checkers(instance, deaths)
            finally:
                signal_checkers(instance, signal.SIGCONT)
            answer = session.wait(finish)
            assert answer.status == status, answer.text
    assert whole(instance, new, data)


def test_a_slow_checker_keeps_its_suspect(instance, base, snapshot):
    """A session without requests gives its checker back (deposit.c), but not
    one that judges a suspect: finish would wait for that for ever."""
    before = time.time()
    first, data, digests = base(1)
    power_cut(instance, before)
    second = snapshot(first)
    with instance.backup(second) as session:
        assert wait_for(lambda: only_spare_checkers(instance))
        try:
            signal_checkers(instance, signal.SIGSTOP)
            session.previous(NAME)
            assert wait_for(lambda: checker_counts(instance)['busy'] == 1)
            wid = session.create_fixed(NAME, len(data))
            assert not wait_for(
                lambda: checker_counts(instance)['busy'] == 0,
                CHECKER_IDLE_S + 2)
        finally:
            signal_checkers(instance, signal.SIGCONT)
        csum = pbs.fixed_csum(digests)
        session.append('fixed', wid, digests, [0])
        session.close_index('fixed', wid, 1, len(data), csum)
        manifest = pbs.Manifest(second)
        manifest.add(NAME, len(data), csum)
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    assert whole(instance, second, data)


def test_a_suspect_gets_a_checker_of_its_own(instance, base, snapshot):
    """Its word counts for other tenants too, and the session's checker has
    parsed what its client sent."""
    before = time.time()
    first, data, digests = base(1)
    power_cut(instance, before)
    second = snapshot(first)
    with instance.backup(second) as session:
        wid = session.create_dynamic('other.pxar.didx')
        assert wait_for(lambda: only_spare_checkers(instance))
        try:
            signal_checkers(instance, signal.SIGSTOP)
            upload = session.start_chunk('dynamic', wid, os.urandom(100))
            session.push_bodies()
            session.flush()
            assert wait_for(lambda: checker_counts(instance)['busy'] == 1)
            session.previous(NAME)
            assert wait_for(lambda: checker_counts(instance)['busy'] == 2)
        finally:
            signal_checkers(instance, signal.SIGCONT)
        session.wait(upload).check()
        assert wait_for(lambda: checker_counts(instance)['busy'] < 2)


# ---- no space

def test_a_full_store_refuses_backups_only(instance, store, base, snapshot):
    first, data, digests = base()
    second = snapshot(first)
    reuse(instance, second, data)
    instance.change_options({}, {'min-free': '1000T'})
    instance.restart_validator()
    try:
        with pytest.raises(PbsError, match='full up to its reserve'):
            instance.backup(snapshot(first))
        # Reading, deleting and marking go on.
        assert whole(instance, second, data)
        conn = instance.login()
        conn.delete('admin/datastore/store/snapshots', backup_type=first[0],
                    backup_id=first[1], backup_time=first[2])
        conn.close()
        assert not store.snapshot_path(first).exists()
    finally:
        instance.change_options({}, {'min-free': '64M'})
        instance.restart_validator()
    reuse(instance, snapshot(second), data)


# ---- nothing can be written

@pytest.mark.parametrize('why', [errno.EIO, errno.EROFS, errno.ENOSPC,
                                 errno.EDQUOT],
                         ids=lambda why: errno.errorcode[why])
def test_chunks_that_cannot_be_written(instance, faults, store, base,
                                       snapshot, image, folder, why):
    first, data, digests = base()
    changed = data[:-pbs.CHUNK] + image(1, seed=next(SEEDS))
    (folder / 'disk').write_bytes(changed)
    second = snapshot(first)
    args = ('backup', f'disk.img:{folder / "disk"}', '--backup-id', first[1])
    faults.fail_new_chunks(why)
    r = instance.client(*args, '--backup-time', second[2], check=False)
    assert r.returncode == 1 and os.strerror(why) in r.stderr
    assert not store.snapshot_path(second).exists()
    assert store.verify_state(first) is None
    # Its locks are free before its folder is gone.
    assert wait_for(lambda: not instance.session_of(second))
    assert not store.leftovers()
    # The session itself lives on, for a client that tries again.
    with instance.backup(second) as session:
        known = pbs.parse_fixed(session.previous(NAME))[2]
        with pytest.raises(PbsError, match=os.strerror(why)):
            session.upload_image(NAME, changed, known)
        faults.clear()
        session.chunk('fixed', 1, changed[-pbs.CHUNK:])
    third = snapshot(first)
    r = instance.client(*args, '--backup-time', third[2],
                        '--output-format', 'json')
    assert json.loads(r.stdout)['chunks-reused'] == len(digests) - 1
    assert whole(instance, third, changed)


def test_folder_of_chunks_that_is_gone(instance, store, snapshot, image):
    """The reason is told, and not taken for a writer that is gone."""
    new, data = snapshot(), image(1, seed=next(SEEDS))
    with instance.backup(new) as session:
        path = store.chunk_path(pbs.sha256(data)).parent
        path.rename(path.with_name('away'))
        try:
            wid = session.create_fixed(NAME, len(data))
            with pytest.raises(PbsError, match='No such file or directory'):
                session.chunk('fixed', wid, data)
        finally:
            path.with_name('away').rename(path)
        session.chunk('fixed', wid, data)


# ---- a store that is away

def test_a_store_that_goes_away(instance, store, base, snapshot, image):
    first, data, digests = base()
    away = store.path.with_name('away')
    with instance.backup(snapshot(first)) as session:
        store.path.rename(away)
        try:
            # Also without its chunks, as an empty mount point looks.
            for d in digests:
                (away / '.chunks' / d.hex()[:4] / d.hex()).rename(
                    away / d.hex())
            session.previous(NAME)
            text = session.wait_aborted()
        finally:
            for d in digests:
                (away / d.hex()).rename(
                    away / '.chunks' / d.hex()[:4] / d.hex())
            away.rename(store.path)
    assert 'cannot check reused chunks' in text
    assert store.verify_state(first) is None
    second = snapshot(first)
    reuse(instance, second, data)
    assert whole(instance, second, data)


def test_a_store_that_is_not_there_at_start(fresh_instance, snapshot, image):
    inst = fresh_instance(datastores=('store', 'other'))
    new, data = snapshot(), image(1, seed=next(SEEDS))
    with inst.backup(new) as session:
        session.backup_images({NAME: data})
    inst.end('validator')
    away = inst.stores / 'away'
    (inst.stores / 'store').rename(away)
    inst.start_validator()
    with pytest.raises(PbsError) as e:
        inst.backup(snapshot(new))
    assert e.value.status >= 400 and 'store' in e.value.text
    # The other one does not care.
    with inst.login().backup('other', new) as session:
        session.backup_images({NAME: data})
    away.rename(inst.stores / 'store')
    inst.restart_validator()
    with inst.backup(snapshot(new)) as session:
        assert session.previous_time() == new[2]
