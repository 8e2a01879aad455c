"""A datastore changes hands between Proxmox Backup and us, and goes into
maintenance and back."""

import os
import pwd
import stat

import pytest

from instance import InstanceError
from pbs import PbsError

NAME = 'root.pxar.didx'
PIECES = [bytes([n]) * 5000 for n in range(5)]


@pytest.fixture(scope='module')
def backed_up(instance):
    snap = 'host', 'adopted', 1700000000
    with instance.backup(snap) as session:
        session.backup_dynamic(NAME, PIECES)
    return snap


def restored(inst, snap):
    with inst.reader(snap) as reader:
        return reader.dynamic(NAME) == b''.join(PIECES)


def is_owned_by(path, uid):
    """Everything below, a sample of the chunk folders."""
    chunks = path / '.chunks'
    some = [chunks / f'{n:04x}' for n in range(0, 65536, 4099)]
    rest = [p for p in path.rglob('*') if chunks not in p.parents]
    return {p.lstat().st_uid for p in [path, *some, *rest]} == {uid} and \
        {p.stat().st_uid for p in chunks.glob('*/' + '?' * 64)} == {uid}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_handed_over_and_taken_back(instance, backed_up):
    name, path = instance.store_name, instance.store().path
    ours = path.stat().st_uid
    theirs = pwd.getpwnam('backup').pw_uid if os.getuid() == 0 else ours
    content = {p: (p.read_bytes(), p.stat().st_ino)
               for p in path.rglob('*') if p.is_file() and p.stat().st_size}
    assert len(content) >= len(PIECES) + 3
    conf = instance.etc / 'datastores.d' / f'{name}.conf'
    written = conf.read_text()

    # Not while somebody has it.
    with pytest.raises(InstanceError, match='is in use'):
        instance.admin('datastore', 'release', path)
    instance.admin('datastore', 'remove-config', name, '--no-restart')
    instance.restart_validator()
    instance.admin('datastore', 'release', path)
    assert is_owned_by(path, theirs)
    assert not (path / '.holdfast').exists()
    assert mode(path) == 0o755 and mode(path / '.chunks') == 0o750
    assert mode(path / '.chunks' / '00ff') == 0o750
    assert mode(path / '.lock') == 0o644
    assert {p: (p.read_bytes(), p.stat().st_ino) for p in content} == content

    # What is not quite one is not taken.
    missing = path / '.chunks' / '00ff'
    missing.rename(path / 'away')
    with pytest.raises(InstanceError, match='.chunks/00ff is missing'):
        instance.admin('datastore', 'adopt', name, path)
    (path / 'away').rename(missing)
    assert not conf.exists()
    missing.chmod(0o700)
    instance.admin('datastore', 'adopt', name, path, '--comment', 'taken')
    assert mode(missing) == 0o750
    assert is_owned_by(path, ours)
    assert 'taken' in conf.read_text()
    conf.write_text(written)
    instance.restart_validator()
    assert {p: (p.read_bytes(), p.stat().st_ino) for p in content} == content
    assert restored(instance, backed_up)


def test_what_is_no_datastore(instance, folder):
    with pytest.raises(InstanceError, match='not a datastore'):
        instance.admin('datastore', 'adopt', 'other', folder)
    with pytest.raises(InstanceError, match='absolute'):
        instance.admin('datastore', 'adopt', 'other', 'folder')
    with pytest.raises(InstanceError, match='lies in the datastore'):
        instance.admin('datastore', 'adopt', 'other',
                       instance.store().path / 'vm')
    with pytest.raises(InstanceError, match='exists already'):
        instance.admin('datastore', 'adopt', instance.store_name, folder)
    assert not (instance.etc / 'datastores.d' / 'other.conf').exists()


def maintenance(inst, *args):
    return inst.admin('datastore', 'maintenance-mode', inst.store_name, *args)


def test_maintenance(instance, backed_up, snapshot):
    maintenance(instance, 'read-only', '--message', "disk's full")
    with pytest.raises(PbsError, match="read-only maintenance.*disk's full"):
        instance.backup(snapshot())
    assert restored(instance, backed_up)
    instance.restart_validator()
    with pytest.raises(PbsError, match='read-only'):
        instance.backup(snapshot())
    maintenance(instance, 'offline')
    with pytest.raises(PbsError, match='offline maintenance'):
        restored(instance, backed_up)
    maintenance(instance, 'none')
    assert restored(instance, backed_up)
    snap = snapshot()
    with instance.backup(snap) as session:
        session.backup_dynamic(NAME, PIECES)
    assert restored(instance, snap)


def test_maintenance_arguments(instance):
    with pytest.raises(InstanceError, match='none of'):
        maintenance(instance, 'closed')
    with pytest.raises(InstanceError, match='no such datastore'):
        instance.admin('datastore', 'maintenance-mode', 'nowhere', 'none')
    conf = instance.etc / 'datastores.d' / 'hand.conf'
    conf.write_text('# by hand\n  datastore "hand" {\n path = "/x" }\n')
    try:
        with pytest.raises(InstanceError, match='by hand'):
            instance.admin('datastore', 'maintenance-mode', 'hand', 'none')
    finally:
        conf.unlink()
