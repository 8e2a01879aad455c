"""holdfast and the whole server: the main job, end to end."""

import json
import os
import subprocess

import pytest

import instance as instance_module
import pbs
from store import time_text

INSTANCE = {'faults': True}


def backup(instance, name, path, snapshot, *more, **kw):
    r = instance.client('backup', f'{name}:{path}', '--backup-id',
                        snapshot[1], '--backup-time', snapshot[2],
                        '--output-format', 'json', *more, **kw)
    return json.loads(r.stdout) if r.returncode == 0 else r


def restore(instance, folder, what, name='disk.img'):
    target = folder / 'restored'
    target.unlink(missing_ok=True)
    instance.client('restore', what, name, target)
    return target.read_bytes()


@pytest.fixture
def source(folder):
    def make(data):
        path = folder / 'source'
        path.write_bytes(data)
        return path
    return make


def test_first_backup_and_restore(instance, folder, source, snapshot, image):
    data = image(6, tail=4097)
    new = snapshot()
    result = backup(instance, 'disk.img', source(data), new)
    assert result['chunks-uploaded'] == 7
    assert result['chunks-reused'] == 0
    assert restore(instance, folder, f'host/{new[1]}') == data


def test_second_backup_reuses(instance, store, folder, source, snapshot,
                              image):
    data = bytearray(image(10, seed=1))
    first = snapshot()
    backup(instance, 'disk.img', source(data), first)
    data[5 * pbs.CHUNK] ^= 0xff
    second = snapshot(first)
    result = backup(instance, 'disk.img', source(data), second)
    assert result['chunks-uploaded'] == 1
    assert result['chunks-reused'] == 9
    assert restore(instance, folder, f'host/{first[1]}') == data
    stats = store.manifest(second)['unprotected']['chunk_upload_stats']
    assert stats['count'] == 1


def test_zeros_are_one_chunk(instance, folder, source, snapshot, image):
    data = bytes(20 * pbs.CHUNK) + image(1, seed=2) + bytes(pbs.CHUNK)
    new = snapshot()
    result = backup(instance, 'disk.img', source(data), new)
    assert result['chunks-zero'] == 21
    assert result['chunks-uploaded'] == 2
    assert restore(instance, folder, f'host/{new[1]}') == data


def test_holes_take_no_time(instance, folder, snapshot):
    """A terabyte of nothing: neither read nor hashed."""
    path, new = folder / 'source', snapshot()
    with open(path, 'wb') as f:
        f.write(b'begin')
        f.truncate(1 << 40)
    result = backup(instance, 'disk.img', path, new)
    assert result['chunks'] == (1 << 40) // pbs.CHUNK
    assert result['chunks-zero'] == result['chunks'] - 1
    assert result['chunks-uploaded'] == 2
    assert result['bytes-uploaded'] < pbs.CHUNK


@pytest.fixture
def loop_device(folder):
    """loop_device(data): a block device that holds it."""
    made = []

    def make(data):
        path = folder / f'disk{len(made)}'
        path.write_bytes(data)
        r = subprocess.run(['losetup', '--find', '--show', path],
                           capture_output=True, text=True)
        if r.returncode != 0:
            pytest.skip('no loop devices here: ' + r.stderr)
        made.append(r.stdout.strip())
        return made[-1]
    yield make
    for device in made:
        subprocess.run(['losetup', '--detach', device], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason='needs root')
def test_block_devices(instance, loop_device, snapshot, image):
    data, new = image(3, seed=8, tail=4096), snapshot()
    result = backup(instance, 'disk.img', loop_device(data), new)
    assert result['bytes'] == len(data)
    target = loop_device(bytes(len(data)))
    args = 'restore', f'host/{new[1]}', 'disk.img', target
    r = instance.client(*args, check=False)
    assert r.returncode == 1 and '--overwrite' in r.stderr
    instance.client(*args, '--overwrite')
    with open(target, 'rb') as f:
        assert f.read() == data


def test_several_archives(instance, folder, snapshot, image):
    new = snapshot()
    (folder / 'a').write_bytes(image(2, seed=3))
    (folder / 'b').write_bytes(image(3, seed=4, tail=1))
    (folder / 'c').write_text('cores: 4\n')
    instance.client('backup', f'a.img:{folder}/a', f'b.img:{folder}/b',
                    f'vm.conf:{folder}/c', '--backup-id', new[1],
                    '--backup-time', new[2])
    group = f'host/{new[1]}'
    for name, source in (('a.img', 'a'), ('b.img', 'b'), ('vm.conf', 'c')):
        assert restore(instance, folder, group, name) == \
            (folder / source).read_bytes()
    files = json.loads(instance.client(
        'snapshot', 'files', f'{group}/' + time_text(new[2]),
        '--output-format', 'json').stdout)
    assert [f['filename'] for f in files] == [
        'a.img.fidx', 'b.img.fidx', 'vm.conf.blob', 'index.json.blob']


def test_listing_and_forget(instance, store, source, snapshot, image):
    new = snapshot()
    backup(instance, 'disk.img', source(image(1, seed=5)), new)
    name = f'host/{new[1]}/{time_text(new[2])}'
    assert new[1] in instance.client('list').stdout
    assert name in instance.client('snapshot', 'list').stdout
    instance.client('snapshot', 'forget', name)
    assert name not in instance.client('snapshot', 'list').stdout
    assert not store.snapshot_path(new).exists()
    status = json.loads(instance.client('status', '--output-format',
                                        'json').stdout)
    assert status['total'] >= status['used'] > 0


def test_a_lost_chunk_and_how_it_heals(instance, store, folder, source,
                                       snapshot, image):
    data = bytearray(image(8, seed=6))
    path = source(data)
    first = snapshot()
    backup(instance, 'disk.img', path, first)
    victim = pbs.sha256(pbs.split(bytes(data))[4])
    store.remove_chunk(victim)
    data[0] ^= 1
    second = snapshot(first)
    r = backup(instance, 'disk.img', source(data), second, check=False)
    assert r.returncode == 1
    assert victim.hex() in r.stderr
    assert 'marked' in r.stderr
    assert store.verify_state(first)['state'] == 'failed'
    assert not store.snapshot_path(second).exists()
    third = snapshot(first)
    result = backup(instance, 'disk.img', source(data), third)
    assert result['chunks-reused'] == 0
    assert store.has_chunk(victim)
    assert restore(instance, folder, f'host/{first[1]}') == data


def test_other_identities(instance, folder, source, snapshot, image):
    env = instance.env()
    host = env['PBS_REPOSITORY'].split('@')[-1]
    for auth_id, secret in ((env['PBS_USER2'], env['PBS_PASSWORD2']),
                            (env['PBS_TOKEN'], env['PBS_TOKEN_SECRET'])):
        new = snapshot()
        backup(instance, 'disk.img', source(image(1, seed=7)), new, env={
            'PBS_REPOSITORY': f'{auth_id}@{host}', 'PBS_PASSWORD': secret})
    r = instance.client('status', check=False,
                        env={'PBS_PASSWORD': 'wrong password'})
    assert r.returncode == 4


def test_a_killed_client_leaves_nothing(instance, faults, store, source,
                                        snapshot, image):
    """Killed while it sends: the snapshot goes, the group is free again."""
    new, data = snapshot(), image(8, seed=9)
    path = source(data)
    # The last one takes as long as it has to.
    faults.hold_checks(pbs.sha256(data[-pbs.CHUNK:]))
    child = subprocess.Popen(
        [instance_module.find_build() / 'holdfast', 'backup',
         f'disk.img:{path}', '--backup-id', new[1],
         '--backup-time', str(new[2])],
        env={**os.environ, **instance.env()})
    assert instance_module.wait_for(
        lambda: any(s.get('deposits')
                    for s in instance.admin_json('session', 'list')))
    child.kill()
    child.wait()
    faults.clear()
    assert instance_module.wait_for(
        lambda: not instance.admin_json('session', 'list'))
    assert not store.snapshot_path(new).exists()
    assert not list(store.session_folders())
    backup(instance, 'disk.img', path, snapshot(new))
