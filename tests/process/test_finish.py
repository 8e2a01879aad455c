"""Finish waits for the reused chunks that the backup refers to and that are
still unchecked, and for nothing else."""

import itertools

import pytest

import pbs
from instance import wait_for
from pbs import CHUNK, PbsError, sha256
from test_server import workers
from test_verify import flip, name_of

INSTANCE = {'faults': True, 'store_options': {'stat-threads': 1}}
NAME = 'root.pxar.didx'
SEEDS = itertools.count(1)


def make_pieces(count=300):
    seed = next(SEEDS)
    return [f'{seed}:{n}:'.encode() * 40 for n in range(count)]


@pytest.fixture
def base(instance, snapshot):
    """base(count): (snapshot, pieces, digests) of a finished backup."""
    def make(count=300):
        pieces, new = make_pieces(count), snapshot()
        with instance.backup(new) as session:
            session.backup_dynamic(NAME, pieces)
        return new, pieces, [sha256(p) for p in pieces]
    return make


def reuse(instance, snap, pieces, digests):
    """A session that refers to all pieces, ready to finish."""
    session = instance.backup(snap)
    session.previous(NAME)
    session.backup_dynamic(NAME, pieces, digests, finish=False)
    return session


def logged(instance, upid, text):
    return wait_for(lambda: any(text in line
                                for line in instance.task_log(upid)))


def ended(instance, upid):
    return wait_for(lambda: 'TASK ' in instance.task_log(upid)[-1] and
                    instance.task_log(upid)[-1])


def waiting(instance, faults, base, snapshot):
    """A session whose finish waits for one chunk."""
    first, pieces, digests = base()
    faults.hold_checks(digests[100])
    second = snapshot(first)
    session = reuse(instance, second, pieces, digests)
    upid = instance.session_of(second)['upid']
    finish = session.start('POST', 'finish')
    assert logged(instance, upid, 'waiting for the check of')
    return first, second, digests, session, upid, finish


# ---- waiting

def test_waits_for_what_is_unchecked_and_says_so(instance, faults, base,
                                                 snapshot):
    _, second, _, session, upid, finish = waiting(instance, faults, base,
                                                  snapshot)
    faults.wait_held()
    left = instance.session_of(second)['check']['left']
    assert 0 < left <= 300
    line = next(t for t in instance.task_log(upid) if 'waiting' in t)
    assert 0 < int(line.split('check of ')[1].split()[0]) <= 300
    assert not instance.store().snapshot_path(second).exists()
    assert not finish.done
    faults.clear()
    assert session.wait(finish).status == 200
    assert instance.store().snapshot_path(second).exists()
    assert 'TASK OK' in ended(instance, upid)
    session.close()


def test_does_not_wait_for_what_nobody_refers_to(instance, faults, base,
                                                 snapshot):
    first, pieces, digests = base()
    faults.hold_checks(digests[0])
    second = snapshot(first)
    with instance.backup(second) as session:
        session.previous(NAME)
        faults.wait_held()
        # New pieces only: the check of the base stands still meanwhile.
        session.backup_dynamic(NAME, make_pieces(5), digests)
    assert faults.check_held == 1
    assert instance.store().snapshot_path(second).exists()
    faults.clear()
    assert instance.store().verify_state(first) is None


def test_nothing_is_left_to_wait_for_when_all_was_checked(instance, base,
                                                          snapshot):
    first, pieces, digests = base()
    second = snapshot(first)
    session = reuse(instance, second, pieces, digests)
    info = instance.session_of(second)
    assert wait_for(lambda: instance.session_of(second)['check']['left'] == 0)
    session.finish()
    session.close()
    assert not any('waiting' in t for t in instance.task_log(info['upid']))


def test_an_error_among_them_fails_it(instance, faults, base, snapshot):
    first, second, digests, session, upid, finish = waiting(
        instance, faults, base, snapshot)
    instance.store().remove_chunk(digests[100])
    faults.clear()
    response = session.wait(finish)
    assert response.status == 400
    assert digests[100].hex() in response.text
    assert not instance.store().snapshot_path(second).exists()
    assert instance.store().verify_state(first) == {'state': 'failed',
                                                    'upid': upid}
    assert digests[100].hex() in ended(instance, upid)
    session.close()


def test_an_aborted_session_stops_checking(instance, faults, base, snapshot):
    """300 chunks and one thread: the first one that is missing ends it."""
    first, pieces, digests = base()
    store = instance.store()
    lost = min(digests)
    store.remove_chunk(lost)
    faults.hold_checks(lost)
    with instance.backup(snapshot(first)) as session:
        session.previous(NAME)
        upid = instance.session_of(session.snapshot)['upid']
        faults.wait_held()
        before = faults.looks
        faults.clear()
        assert lost.hex() in ended(instance, upid)
        with pytest.raises(PbsError, match=lost.hex()):
            session.finish()
    with instance.backup(snapshot(first)) as session:
        assert session.previous_time() is None
    # A second look, and perhaps a few that were begun.
    assert faults.looks - before < 20


@pytest.mark.parametrize('stop', ['task', 'session', 'rest'])
def test_the_wait_can_be_stopped(instance, faults, base, snapshot, stop):
    first, second, _, session, upid, finish = waiting(instance, faults, base,
                                                      snapshot)
    if stop == 'task':
        instance.admin('task', 'stop', upid)
    elif stop == 'session':
        instance.admin('session', 'stop', instance.session_of(second)['id'])
    else:
        conn = instance.login()
        conn.delete(f'nodes/localhost/tasks/{upid}')
        conn.close()
    response = session.wait(finish)
    assert response.status == 400, 'while the check still stands still'
    assert ('stopped by the operator' if stop == 'session' else
            'task aborted') in response.text
    assert faults.check_held == 1
    assert wait_for(lambda: not instance.locks(second))
    assert not instance.store().snapshot_path(second).exists()
    assert instance.store().verify_state(first) is None
    session.close()


def test_the_wait_ends_with_the_connection(instance, faults, base, snapshot):
    first, second, _, session, upid, _ = waiting(instance, faults, base,
                                                 snapshot)
    session.close()
    assert 'TASK ERROR' in ended(instance, upid)
    assert wait_for(lambda: not instance.locks(second))
    assert not instance.store().snapshot_path(second).exists()
    faults.clear()
    assert wait_for(lambda: not instance.session_of(second))
    assert not instance.store().leftovers()


# ---- a chunk is found damaged when all were checked

def committing(instance, faults, base, snapshot):
    """A session whose commit waits for the disk, all chunks checked."""
    first, pieces, digests = base(5)
    second = snapshot(first)
    session = reuse(instance, second, pieces, digests)
    faults.hold_sync = 1
    finish = session.start('POST', 'finish')
    assert wait_for(lambda: faults.sync_held)
    return first, second, digests, session, finish


def lose(instance, snap, digest):
    """A verification of the snapshot finds the chunk damaged."""
    path = instance.store().chunk_path(digest)
    flip(path)
    instance.admin('verify', instance.store_name, '--snapshot', name_of(snap))
    assert wait_for(lambda: not path.exists())


@pytest.mark.parametrize('meanwhile', ['nothing', 'restart', 'death'])
def test_a_chunk_that_is_lost_during_the_commit(instance, faults, base,
                                                snapshot, meanwhile):
    first, second, digests, session, finish = committing(
        instance, faults, base, snapshot)
    upid = instance.session_of(second)['upid']
    lose(instance, first, digests[2])
    if meanwhile == 'restart':
        instance.kill_validator()
        faults.clear()
        instance.start_validator()
    elif meanwhile == 'death':
        before = workers(instance)
        session.close()
        assert wait_for(lambda: set(before) - set(workers(instance)))
    faults.clear()
    if meanwhile != 'death':
        response = session.wait(finish)
        assert response.status == 400
        assert f'chunk {digests[2].hex()} of this backup was found damaged ' \
            'meanwhile; the previous snapshot was marked as bad' \
            in response.text
    assert 'found damaged meanwhile' in ended(instance, upid)
    assert wait_for(lambda: not instance.locks(second))
    assert not instance.store().snapshot_path(second).exists()
    assert instance.store().verify_state(first)['state'] == 'failed'
    session.close()
    assert wait_for(lambda: not instance.session_of(second))
    assert wait_for(lambda: not instance.store().leftovers())


@pytest.mark.parametrize('restart', [False, True])
def test_a_commit_goes_on_when_others_lose_a_chunk(instance, faults, base,
                                                   snapshot, restart):
    other, _, lost = base(5)
    first, second, digests, session, finish = committing(
        instance, faults, base, snapshot)
    lose(instance, other, lost[2])
    if restart:
        instance.kill_validator()
        faults.clear()
        instance.start_validator()
    faults.clear()
    assert session.wait(finish).status == 200
    assert instance.store().snapshot_path(second).exists()
    assert instance.store().verify_state(first) is None
    session.close()


# ---- refusals leave the session open

def test_a_refused_finish_leaves_the_session_open(instance, store, snapshot,
                                                  image):
    new = snapshot()
    data = image(1, seed=1)
    with instance.backup(new) as session:
        with pytest.raises(PbsError, match='does not contain valid files'):
            session.finish()
        wid = session.create_fixed('disk.img.fidx', CHUNK)
        with pytest.raises(PbsError, match='open index writer'):
            session.finish()
        session.chunk('fixed', wid, data)
        session.append('fixed', wid, [sha256(data)], [0])
        csum = pbs.fixed_csum([sha256(data)])
        session.close_index('fixed', wid, 1, CHUNK, csum)
        with pytest.raises(PbsError, match='index.json.blob'):
            session.finish()
        manifest = pbs.Manifest(new)
        manifest.add('disk.img.fidx', CHUNK, csum)
        session.blob('index.json.blob', manifest.blob())
        session.finish()
    with instance.reader(new) as reader:
        assert reader.image('disk.img.fidx') == data


def test_finish_twice(instance, snapshot, image):
    new = snapshot()
    with instance.backup(new) as session:
        session.backup_images({'disk.img.fidx': image(1, seed=2)})
        with pytest.raises(PbsError, match='already'):
            session.finish()
        with pytest.raises(PbsError, match='already'):
            session.blob('a.blob', pbs.blob(b'late'))
    assert instance.store().snapshot_path(new).exists()


def test_finish_again_while_it_waits(instance, faults, base, snapshot):
    _, second, _, session, _, finish = waiting(instance, faults, base,
                                               snapshot)
    with pytest.raises(PbsError, match='already'):
        session.finish()
    faults.clear()
    assert session.wait(finish).status == 200
    session.close()


# ---- the place is taken, the base is gone

def test_a_time_that_is_taken(instance, snapshot, image):
    new = snapshot()
    with instance.backup(new) as session:
        session.backup_images({'disk.img.fidx': image(1, seed=3)})
    before = instance.store().manifest(new)
    with pytest.raises(PbsError, match='backup timestamp is older than'):
        instance.backup(new)
    assert instance.store().manifest(new) == before


def test_a_snapshot_that_appears_meanwhile(instance, store, snapshot, image):
    new = snapshot()
    with instance.backup(new) as session:
        path = store.snapshot_path(new)
        path.mkdir()
        (path / 'precious').write_bytes(b'of somebody else')
        with pytest.raises(PbsError, match='already exists'):
            session.backup_images({'disk.img.fidx': image(1, seed=4)})
        assert [p.name for p in path.iterdir()] == ['precious']
        (path / 'precious').unlink()
        path.rmdir()
        session.finish()
    assert store.manifest(new)


def test_a_base_that_was_removed(instance, store, base, snapshot):
    first, pieces, digests = base(3)
    second = snapshot(first)
    session = reuse(instance, second, pieces, digests)
    path = store.snapshot_path(first)
    for p in path.iterdir():
        p.unlink()
    path.rmdir()
    with pytest.raises(PbsError, match='was removed during backup'):
        session.finish()
    session.close()
    assert not store.snapshot_path(second).exists()
