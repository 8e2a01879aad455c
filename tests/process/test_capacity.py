"""The space of a datastore: when it will be full, and the reserve that backups
leave, in which what frees space still works."""

import os
import pathlib
import time

import pytest

import pbs
from instance import wait_for
from pbs import CHUNK, PbsError, sha256
from store import time_text

NAME = 'disk.img.fidx'
HOUR = 3600
DAY = 24 * HOUR


# ---- when it is full

@pytest.fixture
def history(instance):
    """history(samples): as if this had been the usage, (hours ago, share of
    a quarter of the disk, which it returns): what is used now is little or
    much, and other tests change it."""
    path = pathlib.Path(instance.dir / 'state' / 'validator' / 'usage-store')

    def write(samples):
        instance.end('validator')
        disk = os.statvfs(instance.store().path)
        used = disk.f_blocks * disk.f_frsize // 4
        now = int(time.time())
        owner = path.parent.stat()
        path.write_text(''.join(
            f'{now - hours * HOUR} {int(used * share)}\n'
            for hours, share in sorted(samples, reverse=True)))
        os.chown(path, owner.st_uid, owner.st_gid)
        instance.start_validator()
        return used
    yield write
    path.unlink(missing_ok=True)
    instance.restart_validator()


def status(inst):
    row, = inst.admin_json('datastore', 'list')
    return row


def samples(inst):
    path = inst.dir / 'state' / 'validator' / 'usage-store'
    return path.read_text(errors='replace').splitlines() \
        if path.exists() else []


def sampled(inst, n):
    """True once the validator has looked at the disk and told what it saw."""
    return wait_for(lambda: len(samples(inst)) == n) and \
        wait_for(lambda: status(inst).get('total'))


def test_usage_is_recorded(instance):
    """By itself; not again at each start."""
    assert sampled(instance, 1)
    at, used = samples(instance)[0].split()
    assert abs(int(at) - time.time()) < 3 * HOUR
    assert 0 < int(used) <= status(instance)['total']
    instance.restart_validator()
    assert sampled(instance, 1)
    assert 'estimated-full-date' not in status(instance)


def test_the_day_it_is_full(instance, history):
    now = time.time()
    # Ten days, on each of which a twentieth was added.
    used = history([(h, 1 - h / 24 / 20) for h in range(2, 10 * 24)])
    full = wait_for(lambda: status(instance).get('estimated-full-date'))
    row = status(instance)
    left = row['avail'] - 64 * 2 ** 20
    # The last sample is what is really used, of so many.
    assert full - now == pytest.approx(left / (used / 20) * DAY, rel=0.3)
    assert len(samples(instance)) == 10 * 24 - 1
    text = instance.admin('datastore', 'list')
    assert 'full on' in text
    assert time.strftime('%Y-%m-%d', time.localtime(full)) in text
    assert f'holdfast_store_full_time_seconds{{store="store"}} {full}\n' in \
        instance.admin('metrics')


@pytest.mark.parametrize('what', ['few', 'short', 'shrinks', 'damaged'])
def test_what_tells_nothing(instance, history, what):
    times = {'few': range(2, 200, 24), 'short': range(2, 22)}.get(
        what, range(2, 200))
    history([(h, 1 + h / 20 if what == 'shrinks' else 1 - h / 300)
             for h in times])
    if what == 'damaged':
        instance.end('validator')
        path = instance.dir / 'state' / 'validator' / 'usage-store'
        path.write_bytes(os.urandom(5000))
        instance.start_validator()
    n = 1 if what == 'damaged' else len(times) + 1
    assert sampled(instance, n)
    assert 'estimated-full-date' not in status(instance)
    assert 'holdfast_store_full_time_seconds{' not in \
        instance.admin('metrics')


# ---- the reserve

def name_of(snap):
    return f'{snap[0]}/{snap[1]}/{time_text(snap[2])}'


def done(inst, upid):
    task = wait_for(lambda: next(
        (t for t in inst.admin_json('task', 'list', '--limit', '1000')
         if t['upid'] == upid and 'status' in t), None))
    return task['status']


@pytest.fixture
def set_reserve(instance):
    def make(size):
        instance.change_options({}, {'min-free': size})
        instance.restart_validator()
    yield make
    make('64M')


FULL = (r'full up to its reserve: [0-9.]+ \w+ free, 1000.00 TiB reserved '
        r'\(min-free\); prune and collect garbage')


def test_backups_are_refused_at_their_start(instance, store, snapshot, folder,
                                            set_reserve, image):
    snap = snapshot()
    set_reserve('1000T')
    with pytest.raises(PbsError, match=FULL) as e:
        instance.backup(snap)
    assert e.value.status == 400
    (folder / 'disk').write_bytes(image(1, seed=1))
    r = instance.client('backup', f'disk.img:{folder / "disk"}',
                        '--backup-id', snap[1], check=False)
    assert r.returncode == 1 and 'min-free' in r.stderr
    # Nothing of it is there.
    assert wait_for(lambda: not instance.admin_json('session', 'list'))
    assert not instance.locks(snap) and not store.leftovers()
    assert not store.snapshot_path(snap).parent.exists()
    assert not instance.admin_json('task', 'list', '--running')


def test_running_ones_end(instance, store, snapshot, image, set_reserve):
    """What they upload is refused; what needs nothing more is finished."""
    data = image(1, seed=2)
    first, second = snapshot(), snapshot()
    with instance.backup(first) as ready, instance.backup(second) as session:
        wid, manifest, csum = {}, {}, {}
        for s, snap in ((ready, first), (session, second)):
            wid[s] = s.create_fixed(NAME, CHUNK)
            s.chunk('fixed', wid[s], data)
            manifest[s] = pbs.Manifest(snap)
        ready.append('fixed', wid[ready], [sha256(data)], [0])
        csum = pbs.fixed_csum([sha256(data)])
        ready.close_index('fixed', wid[ready], 1, CHUNK, csum)
        manifest[ready].add(NAME, CHUNK, csum)
        set_reserve('1000T')
        with pytest.raises(PbsError, match=FULL):
            session.chunk('fixed', wid[session], image(1, seed=3))
        with pytest.raises(PbsError, match=FULL):
            session.append('fixed', wid[session], [sha256(data)], [0])
        with pytest.raises(PbsError, match=FULL):
            session.blob('etc.conf.blob', pbs.blob(b'text'))
        # A chunk that is there takes no space.
        session.chunk('fixed', wid[session], data)
        ready.blob('index.json.blob', manifest[ready].blob())
        ready.finish()
    with instance.reader(first) as reader:
        assert reader.image(NAME) == data
    assert not store.snapshot_path(second).exists()


def test_what_frees_space_works(instance, store, snapshot, image, set_reserve):
    snaps = [snapshot()]
    snaps += [snapshot(snaps[0]) for _ in range(3)]
    for n, snap in enumerate(snaps):
        with instance.backup(snap) as session:
            session.backup_images({NAME: image(1, seed=10 + n)})
    set_reserve('1000T')
    group = f'{snaps[0][0]}/{snaps[0][1]}'
    instance.client('snapshot', 'notes', 'update', name_of(snaps[3]), 'full')
    assert store.manifest(snaps[3])['unprotected']['notes'] == 'full'
    instance.client('snapshot', 'forget', name_of(snaps[0]))
    instance.client('prune', group, '--keep-last', '2')
    assert [store.snapshot_path(s).exists() for s in snaps] == \
        [False, False, True, True]
    upid = instance.admin('verify', 'store', '--group', group).strip()
    assert done(instance, upid) == 'OK'
    assert store.verify_state(snaps[3])['state'] == 'ok'
    upid = instance.admin_json('gc', 'start', 'store')['upid']
    assert done(instance, upid) == 'OK'
    with instance.reader(snaps[3]) as reader:
        assert reader.image(NAME) == image(1, seed=13)
