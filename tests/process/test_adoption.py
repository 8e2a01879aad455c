"""A datastore changes hands between Proxmox Backup and us, and goes into
maintenance and back."""

import os
import pwd
import shutil
import stat
import struct
import subprocess
import threading

import pytest

import authipc
from instance import InstanceError, find_build, listen_unix, wait_for
from pbs import PbsError
from turns import Turns

INSTANCE = {'datastores': ('store', 'other')}
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


def listed(inst):
    return {d['name']: d['state']
            for d in inst.admin_json('datastore', 'list')}


def test_handed_over_and_taken_back(instance, backed_up, snapshot):
    name, path = instance.store_name, instance.store().path
    ours = path.stat().st_uid
    theirs = pwd.getpwnam('backup').pw_uid if os.getuid() == 0 else ours
    content = {p: (p.read_bytes(), p.stat().st_ino)
               for p in path.rglob('*') if p.is_file() and p.stat().st_size}
    assert len(content) >= len(PIECES) + 3
    conf = instance.etc / 'datastores.d' / f'{name}.conf'
    written = conf.read_text()

    assert wait_for(lambda: not instance.admin_json('session', 'list'))
    # While the other datastore is at work, and without a restart.
    pid = instance.pid('validator')
    other = snapshot()
    with instance.login().backup('other', other) as session:
        instance.admin('datastore', 'release', name)
        session.backup_dynamic(NAME, PIECES)
    assert instance.pid('validator') == pid
    assert listed(instance) == {'other': 'open'} and not conf.exists()
    with pytest.raises(PbsError, match='no such datastore'):
        instance.backup(snapshot())
    instance.admin('datastore', 'maintenance-mode', 'other', 'none')
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
    assert listed(instance) == {'other': 'open'}
    conf.write_text(written)
    instance.restart_validator()
    assert listed(instance) == {name: 'open', 'other': 'open'}
    assert {p: (p.read_bytes(), p.stat().st_ino) for p in content} == content
    assert restored(instance, backed_up)


def test_not_while_somebody_works_on_it(instance, backed_up, snapshot):
    name, snap = instance.store_name, snapshot()
    conf = instance.etc / 'datastores.d' / f'{name}.conf'
    with instance.backup(snap) as session, instance.reader(backed_up):
        for command in 'release', 'remove':
            with pytest.raises(InstanceError) as e:
                instance.admin('datastore', command, name)
            text = str(e.value)
            assert 'is in use' in text
            assert f'backup {name}:host/{snap[1]} by user@pbs' in text
            assert f'reader {name}:host/adopted/' in text
        # It is as it was.
        assert conf.exists() and listed(instance)[name] == 'open'
        session.backup_dynamic(NAME, PIECES)
    assert restored(instance, snap)
    with pytest.raises(InstanceError, match='in use: take it out'):
        instance.admin('datastore', 'release', instance.store().path)


def test_removed_from_the_configuration(instance, backed_up):
    """At once; and back with a restart."""
    name, path = instance.store_name, instance.store().path
    conf = instance.etc / 'datastores.d' / f'{name}.conf'
    written, pid = conf.read_text(), instance.pid('validator')
    assert wait_for(lambda: all(
        d['sessions'] == 0 for d in instance.admin_json('datastore', 'list')))
    known = instance.dir / 'state' / 'validator' / f'damaged-{name}'
    assert known.exists()
    instance.admin('datastore', 'remove', name)
    assert listed(instance) == {'other': 'open'}
    assert not known.exists()
    assert instance.pid('validator') == pid and not conf.exists()
    with pytest.raises(InstanceError, match='cannot remove datastores.d/'):
        instance.admin('datastore', 'remove', name)
    with pytest.raises(InstanceError, match='no such datastore'):
        instance.admin('datastore', 'release', 'a/b')
    # Nobody holds it.
    instance.admin('datastore', 'release', path)
    instance.admin('datastore', 'adopt', name, path, '--no-restart')
    conf.write_text(written)
    # A validator that does not run needs no asking.
    instance.end('validator')
    instance.admin('datastore', 'remove', name)
    conf.write_text(written)
    instance.start_validator()
    assert restored(instance, backed_up)


def answer_once(listener, text):
    """A validator that says this, or nothing."""
    sock, _ = listener.accept()
    with sock:
        header = struct.unpack_from(authipc.HEADER, sock.recv(1 << 17))
        if text:
            body = struct.pack('<H', authipc.ERRORS.index('UNAVAILABLE')) + \
                authipc.text(text)
            sock.send(struct.pack(
                authipc.HEADER, authipc.MAGIC, authipc.VERSION,
                authipc.MESSAGES['CTL_FAIL'], len(body), 0, *header[5:]) +
                body)


@pytest.mark.parametrize('command', ['remove', 'release'])
@pytest.mark.parametrize('text', ['validator ends', ''])
def test_a_validator_that_ends_may_have_it(tmp_path, command, text):
    """Other than one that does not run: nothing is done."""
    conf = tmp_path / 'datastores.d' / 'one.conf'
    for folder in conf.parent, tmp_path / 'admin':
        folder.mkdir()
    conf.touch()
    with listen_unix(tmp_path / 'admin' / 'validator.sock') as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=answer_once, args=(listener, text))
        thread.start()
        r = subprocess.run(
            [find_build() / 'holdfast-admin', 'datastore', command, 'one',
             '--run-dir', tmp_path, '--config-dir', tmp_path],
            capture_output=True, text=True, timeout=120)
        thread.join()
    assert r.returncode != 0 and (text or 'closed') in r.stderr, r.stderr
    assert conf.exists()


def test_what_is_no_datastore(instance, folder):
    with pytest.raises(InstanceError, match='not a datastore'):
        instance.admin('datastore', 'adopt', 'third', folder)
    with pytest.raises(InstanceError, match='absolute'):
        instance.admin('datastore', 'adopt', 'third', 'folder')
    with pytest.raises(InstanceError, match='lies in the datastore'):
        instance.admin('datastore', 'adopt', 'third',
                       instance.store().path / 'vm')
    with pytest.raises(InstanceError, match='exists already'):
        instance.admin('datastore', 'adopt', instance.store_name, folder)
    assert not (instance.etc / 'datastores.d' / 'third.conf').exists()


@pytest.fixture(scope='module')
def foreign(instance):
    """A datastore that another server has, as far as we know."""
    conf = instance.etc / 'datastores.d' / 'other.conf'
    written, path = conf.read_text(), instance.stores / 'other'
    instance.admin('datastore', 'remove', 'other')
    (path / 'file').touch()
    if os.getuid() == 0:
        os.chown(path / 'file', 12345, 12345)
    yield path
    conf.write_text(written)


def refused(inst, command, path, text):
    with pytest.raises(InstanceError, match=text):
        inst.admin('datastore', command, 'third', path)
    assert not (inst.etc / 'datastores.d' / 'third.conf').exists()


def test_nested_ones_are_refused(instance, foreign, folder):
    """Before anything is given away."""
    owner = os.stat(foreign / 'file').st_uid
    inner = foreign / 'host' / 'a' / 'inner'
    (inner / '.chunks').mkdir(parents=True)
    link = folder / 'link'
    link.symlink_to(foreign / 'host')
    refused(instance, 'adopt', foreign, f'{inner} is a datastore, too')
    refused(instance, 'adopt', inner, f'lies in the datastore {foreign}')
    for path in link / 'new', foreign / '.chunks' / '00ff' / 'new':
        refused(instance, 'create', path,
                f'{path} lies in the datastore {foreign}')
    assert os.stat(foreign / 'file').st_uid == owner
    # In its .chunks it is found late.
    shutil.rmtree(foreign / 'host')
    inner = foreign / '.chunks' / '00ff' / 'x'
    (inner / '.chunks').mkdir(parents=True)
    refused(instance, 'adopt', foreign, 'another datastore lies in')
    shutil.rmtree(inner)
    # A folder with nothing but hidden ones in it.
    hidden = folder / 'new' / '.hidden'
    (hidden / '.chunks').mkdir(parents=True)
    refused(instance, 'create', folder / 'new', f'{hidden} is a datastore, too')


@pytest.mark.skipif(os.getuid() != 0, reason='only root gives files away')
def test_only_its_own_files_are_given_away(instance, foreign, folder):
    """Not what a link leads to, nor what has another name elsewhere."""
    outside = folder / 'outside'
    outside.touch()
    (foreign / 'link').symlink_to(outside)
    (foreign / 'second').touch()
    os.link(foreign / 'second', folder / 'name')
    os.chown(outside, 12345, 12345)
    os.chown(foreign / 'second', 12345, 12345)
    refused(instance, 'adopt', foreign, 'file .* has another name elsewhere')
    assert os.stat(outside).st_uid == os.stat(folder / 'name').st_uid == 12345
    for name in 'link', 'second':
        (foreign / name).unlink()


def test_nested_ones_of_the_validator_are_refused(instance):
    """It knows of them even where they are not mounted now."""
    name, path = instance.store_name, instance.store().path
    inside = f"lies in the datastore '{name}', {path}"
    refused(instance, 'create', path / 'new', inside)
    refused(instance, 'create', path / '.chunks' / '00ff' / 'new', inside)
    refused(instance, 'adopt', path / 'host', inside)
    refused(instance, 'create', path.parent,
            f"the datastore '.*', {path.parent}/.*, lies in {path.parent}")


def test_nested_ones_by_hand_are_refused(instance, backed_up):
    """Both, whoever of them was first."""
    name, path = instance.store_name, instance.store().path
    conf = instance.etc / 'datastores.d' / 'third.conf'
    conf.write_text(f'datastore "third" {{ path = "{path}/vm" }}\n')
    try:
        instance.restart_validator()
        found = {d['name']: d for d in instance.admin_json('datastore', 'list')}
        for one in name, 'third':
            assert found[one]['state'] == 'refused'
            assert 'lie in each other' in found[one]['reason']
    finally:
        conf.unlink()
        instance.restart_validator()
    assert restored(instance, backed_up)


@pytest.mark.parametrize('word, value, text', [
    ('deaf', 1, 'does not keep access times'),
    ('disk', -1000, "the clock of its disk is 100. s behind this host's"),
])
def test_times_that_prove_nothing(instance, foreign, folder, monkeypatch,
                                  word, value, text):
    """No collection could ever work there."""
    turns = Turns(folder, folder / 'page')
    for key, was in turns.environment.items():
        monkeypatch.setenv(key, was)
    turns.set(word, value)
    new = folder / 'new'
    for command, path in ('create', new), ('adopt', foreign):
        refused(instance, command, path,
                f'{path} cannot hold a datastore: .*{text}')
    assert not new.exists()


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
