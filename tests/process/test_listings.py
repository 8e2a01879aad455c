"""What each caller sees in listings (wire-protocol 3.3, 3.4, 6.4, 7.2): the
groups and snapshots of which owner, with counts and sizes, and whose tasks."""

import json
import shutil
import subprocess

import pytest

import pbs
from accounts import Accounts, all_at_once, owns
from instance import wait_for
from pbs import blob
from store import time_text

ALICE, BOB, AUDITOR, READER, NOBODY, BELOW, CHIEF = (
    f'{name}@pbs' for name in ('alice', 'bob', 'auditor', 'reader', 'nobody',
                               'below', 'chief'))
# (namespace, type, id): (owner, its snapshots' times)
GROUPS = {
    ('', 'host', 'first'): (ALICE, [1600000000, 1600000100, 1600000200]),
    ('', 'vm', '100'): (f'{ALICE}!tok', [1600000000]),
    ('', 'ct', '100'): (BOB, [1600000000, 1600000300]),
    ('', 'host', 'second'): (f'{BOB}!tok', [1600000000]),
    ('a', 'host', 'first'): (ALICE, [1600000500]),
    ('a', 'vm', '101'): (BOB, [1600000000, 1600000600]),
}
# caller: roles by namespace, with propagation
CALLERS = {
    ALICE: {'': 'DatastoreBackup'},
    f'{ALICE}!tok': {'': 'DatastoreBackup'},
    BOB: {'': 'DatastorePowerUser'},
    f'{BOB}!tok': {'': 'DatastoreBackup'},
    AUDITOR: {'': 'DatastoreAudit'},
    READER: {'': 'DatastoreReader'},
    BELOW: {'a': 'DatastoreAudit'},
    CHIEF: {'': 'DatastoreAdmin'},
    NOBODY: {},
}
SEES_ALL = {AUDITOR: ('', 'a'), READER: ('', 'a'), BELOW: ('a',),
            CHIEF: ('', 'a')}
SEES_OWN = (ALICE, f'{ALICE}!tok', BOB, f'{BOB}!tok')
every_caller = pytest.mark.parametrize('caller', CALLERS)
every_namespace = pytest.mark.parametrize('ns', ['', 'a'])
FILES = ['a.conf.blob', 'a.didx', 'index.json.blob']


def visible(caller, ns):
    """The groups, or None for 403."""
    if ns in SEES_ALL.get(caller, ()):
        return {g for g in GROUPS if g[0] == ns}
    if caller in SEES_OWN:
        return {g for g, (owner, _) in GROUPS.items()
                if g[0] == ns and owns(caller, owner)}
    return None


class World:
    def __init__(self, instance):
        self.instance = instance
        self.accounts = Accounts(instance)
        top = f'/datastore/{instance.store_name}'
        self.accounts.add(
            CALLERS, [(f'{top}/{ns}' if ns else top, who, role, True)
                      for who, roles in CALLERS.items()
                      for ns, role in roles.items()] +
            [('/system/tasks', AUDITOR, 'Audit', True),
             ('/system/tasks', CHIEF, 'Admin', True)])
        self.base = f'admin/datastore/{instance.store_name}'
        self.conns = all_at_once(self.accounts.connect, CALLERS)
        self.conns[CHIEF].post(f'{self.base}/namespace', {'name': 'a'})
        for (ns, kind, name), (owner, times) in GROUPS.items():
            for when in times:
                self.back_up(owner, ns, (kind, name, when))
        self.decorate()

    def back_up(self, owner, ns, snapshot):
        conn = self.accounts.connect(owner)
        with self.instance.backup(snapshot, conn, ns=ns or None) as s:
            manifest = pbs.Manifest(snapshot)
            conf = blob(b'x' * (snapshot[2] % 1000 + 1))
            s.blob('a.conf.blob', conf)
            manifest.add('a.conf.blob', len(conf), pbs.sha256(conf))
            csum, entries = s.upload_dynamic(
                'a.didx', [f'{ns}/{snapshot}'.encode() * 100] * 2)
            manifest.add('a.didx', entries[-1][0], csum)
            s.blob('index.json.blob', manifest.blob())
            s.finish()

    def decorate(self):
        """Notes, protection and a log on one of alice's snapshots."""
        conn = self.conns[ALICE]
        group = {'backup-type': 'host', 'backup-id': 'first'}
        snap = {**group, 'backup-time': 1600000100}

        def put(last, **more):
            conn.request('PUT', f'{self.base}/{last}', more).check()
        put('group-notes', notes='of the group\nmore', **group)
        put('notes', notes='of the snapshot\nmore', **snap)
        put('protected', protected=True, **snap)
        conn.request('POST', f'{self.base}/upload-backup-log', snap,
                     body=blob(b'log')).check()

    def get(self, caller, last, **query):
        return self.conns[caller].request('GET', f'{self.base}/{last}',
                                          pbs.dashed(query))


@pytest.fixture(scope='module')
def world(instance):
    return World(instance)


def denied(world, r, ns):
    path = f'/datastore/{world.instance.store_name}' + (f'/{ns}' if ns else '')
    return (r.status, r.text) == (403, (
        'permission check failed - missing Datastore.Audit|Datastore.Backup '
        f'on {path}'))


# ---- groups

@every_caller
@every_namespace
def test_groups(world, caller, ns):
    r = world.get(caller, 'groups', ns=ns)
    want = visible(caller, ns)
    if want is None:
        assert denied(world, r, ns)
        return
    listed = r.check().data
    assert len(listed) == len(want)
    assert {(ns, g['backup-type'], g['backup-id']) for g in listed} == want
    for g in listed:
        owner, times = GROUPS[ns, g['backup-type'], g['backup-id']]
        assert (g['owner'], g['backup-count'], g['last-backup']) == \
            (owner, len(times), times[-1])
        assert sorted(g['files']) == FILES
        # With its newline if a second line follows (3.3).
        assert g.get('comment') == (
            'of the group\n' if (ns, g['backup-type'], g['backup-id']) ==
            ('', 'host', 'first') else None)


# ---- snapshots

def snapshots_of(groups):
    return {(kind, name, when) for ns, kind, name in groups
            for when in GROUPS[ns, kind, name][1]}


def names(listed):
    return sorted((s['backup-type'], s['backup-id'], s['backup-time'])
                  for s in listed)


@every_caller
@every_namespace
def test_snapshots(world, caller, ns):
    r = world.get(caller, 'snapshots', ns=ns)
    want = visible(caller, ns)
    if want is None:
        assert denied(world, r, ns)
        return
    listed = r.check().data
    assert names(listed) == sorted(snapshots_of(want))
    for s in listed:
        check_snapshot(world, ns, s)


def check_snapshot(world, ns, s):
    snap = s['backup-type'], s['backup-id'], s['backup-time']
    decorated = (ns, *snap) == ('', 'host', 'first', 1600000100)
    store = world.instance.store()
    manifest = {f['filename']: f for f in store.manifest(snap, ns)['files']}
    assert s['owner'] == GROUPS[ns, snap[0], snap[1]][0]
    assert s['protected'] is decorated
    assert s.get('comment') == ('of the snapshot' if decorated else None)
    assert 'verification' not in s and 'fingerprint' not in s
    assert sorted(f['filename'] for f in s['files']) == \
        sorted(FILES + ['client.log.blob'] * decorated)
    on_disk = store.snapshot_path(snap, ns)
    for f in s['files']:
        name = f['filename']
        if name == 'client.log.blob':
            assert 'size' not in f and 'crypt-mode' not in f
        elif name == 'index.json.blob':
            assert f['size'] == (on_disk / name).stat().st_size
            assert f['crypt-mode'] == 'none'
        else:
            assert (f['size'], f['crypt-mode']) == \
                (manifest[name]['size'], 'none')
    assert s['size'] == sum(f.get('size', 0) for f in s['files'])


@every_caller
@pytest.mark.parametrize('filters', [
    {'type': 'vm'}, {'id': '100'}, {'type': 'ct', 'id': '100'},
    {'type': 'host', 'id': '100'}, {'id': 'nowhere'}, {'type': 'host'}],
    ids=str)
def test_filters(world, caller, filters):
    r = world.get(caller, 'snapshots',
                  **{f'backup_{k}': v for k, v in filters.items()})
    want = visible(caller, '')
    if want is None:
        assert denied(world, r, '')
        return
    want = [(ns, kind, name) for ns, kind, name in want
            if filters.get('type', kind) == kind and
            filters.get('id', name) == name]
    assert names(r.check().data) == sorted(snapshots_of(want))


@every_caller
def test_files_of_a_snapshot(world, caller):
    """Also with Read alone; one's own with Backup."""
    for (ns, kind, name), (owner, times) in GROUPS.items():
        r = world.get(caller, 'files', ns=ns, backup_type=kind,
                      backup_id=name, backup_time=times[0])
        if ns in SEES_ALL.get(caller, ()) or \
                caller in SEES_OWN and owns(caller, owner):
            assert sorted(f['filename'] for f in r.check().data) == FILES
        else:
            assert r.status in (400, 403)


# ---- what a snapshot may be besides

FINGERPRINT = ':'.join(f'{i:02x}' for i in range(32))
VERIFICATION = {'state': 'failed', 'upid': 'UPID:localhost:0000A1B2:00BC614E:'
                '0000001F:66671C80:verify:s1:u@pbs:'}


@pytest.fixture
def odd(world):
    """A folder for snapshots that somebody else made, and its listing."""
    store = world.instance.store()
    path = store.snapshot_path(('host', 'odd', 1600000000))
    pattern = store.snapshot_path(('host', 'first', 1600000000))
    subprocess.run(['cp', '-a', pattern.parent, path.parent], check=True)

    def listed():
        return {s['backup-time']: s for s in world.get(
            CHIEF, 'snapshots', backup_id='odd').check().data}
    yield path, listed
    shutil.rmtree(path.parent)


def rewrite(path, change):
    manifest = json.loads(pbs.unblob((path / 'index.json.blob').read_bytes()))
    change(manifest)
    (path / 'index.json.blob').write_bytes(
        blob(json.dumps(manifest).encode()))


def test_encrypted_signed_and_verified(odd):
    path, listed = odd

    def change(manifest):
        manifest['signature'] = 'ab' * 32
        manifest['unprotected'] = {'key-fingerprint': FINGERPRINT,
                                   'verify_state': VERIFICATION}
        manifest['files'][0]['crypt-mode'] = 'encrypt'
        manifest['files'][1]['crypt-mode'] = 'sign-only'
    rewrite(path, change)
    s = listed()[1600000000]
    assert (s['fingerprint'], s['verification']) == (FINGERPRINT,
                                                     VERIFICATION)
    assert {f['filename']: f['crypt-mode'] for f in s['files']} == {
        'a.conf.blob': 'encrypt', 'a.didx': 'sign-only',
        'index.json.blob': 'sign-only'}
    assert s['size'] == sum(f['size'] for f in s['files'])


@pytest.mark.parametrize('damage', ['missing', 'garbage', 'encrypted'])
def test_unfinished_or_unreadable(world, odd, damage):
    """Plain names, no size; strict clients skip it."""
    path, listed = odd
    newest = path.parent / time_text(1600000200)
    manifest = newest / 'index.json.blob'
    if damage == 'missing':
        manifest.unlink()
    else:
        manifest.write_bytes(b'garbage' * 10 if damage == 'garbage'
                             else pbs.encrypted_blob(b'{}' * 30))
    found = listed()
    assert set(found) == {1600000000, 1600000100, 1600000200}
    s = found[1600000200]
    assert 'size' not in s and s['protected'] is False
    names_found = [set(f) for f in s['files']]
    assert names_found == [{'filename'}] * len(names_found)
    names_found = sorted(f['filename'] for f in s['files'])
    assert names_found == (FILES[:2] if damage == 'missing' else FILES)
    assert 'size' in found[1600000100]
    r = world.get(CHIEF, 'files', backup_type='host', backup_id='odd',
                  backup_time=1600000200)
    assert r.status == 400 and r.text.startswith('unable to load blob ')
    group = next(g for g in world.get(CHIEF, 'groups').check().data
                 if g['backup-id'] == 'odd')
    assert group['backup-count'] == 3
    # The newest finished one: one that has a manifest.
    assert group['last-backup'] == \
        (1600000100 if damage == 'missing' else 1600000200)


def test_group_without_snapshots_is_left_out(world, odd):
    path, listed = odd
    for when in (1600000000, 1600000100, 1600000200):
        shutil.rmtree(path.parent / time_text(when))
    assert listed() == {}
    assert 'odd' not in {g['backup-id']
                         for g in world.get(CHIEF, 'groups').check().data}


# ---- counts

def counted():
    out = {'ct': None, 'host': None, 'vm': None, 'other': None}
    for (_, kind, _), (_, times) in GROUPS.items():
        out[kind] = out[kind] or {'groups': 0, 'snapshots': 0}
        out[kind]['groups'] += 1
        out[kind]['snapshots'] += len(times)
    return out


@every_caller
def test_counts(world, caller):
    r = world.get(caller, 'status', verbose=True)
    if caller == NOBODY:
        assert (r.status, r.text) == (403, 'permission check failed')
        return
    data = r.check().data
    if caller == BELOW:
        assert (data['total'], data['used'], data['avail']) == (0, 0, 0)
        assert not any((data.get('counts') or {}).values())
        return
    assert data['total'] >= data['used'] > 0 and data['avail'] > 0
    assert data['counts'] == counted()
    assert data['gc-status']['index-file-count'] == 0


# ---- tasks

def tasks_seen(caller, owner):
    return caller in (AUDITOR, CHIEF) or owns(caller, owner)


@pytest.fixture(scope='module')
def backups(world):
    """{owner: one finished backup's UPID}"""
    owners = {owner for owner, _ in GROUPS.values()}

    def all_ended():
        found = {t['user']: t['upid']
                 for t in world.conns[CHIEF].get('nodes/localhost/tasks',
                                                 limit=0)
                 if t['worker_type'] == 'backup' and 'endtime' in t}
        return found if set(found) == owners else None
    found = wait_for(all_ended)
    assert found
    return found


@every_caller
def test_tasks(world, backups, caller):
    r = world.conns[caller].request('GET', 'nodes/localhost/tasks',
                                    {'limit': 0})
    seen = {t['user'] for t in r.check().data
            if t['worker_type'] == 'backup'}
    assert seen == {owner for owner in backups if tasks_seen(caller, owner)}


@every_caller
def test_logs_of_tasks(world, backups, caller):
    for owner, upid in backups.items():
        for last in ('status', 'log'):
            r = world.conns[caller].request(
                'GET', f'nodes/localhost/tasks/{upid}/{last}')
            if tasks_seen(caller, owner):
                assert r.status == 200
            else:
                assert (r.status, r.text) == (400, 'task access not allowed')


@every_caller
def test_who_may_stop_a_task(world, backups, caller):
    """Exactly the one in the UPID, not its user; or Sys.Modify."""
    for owner, upid in backups.items():
        r = world.conns[caller].request('DELETE',
                                        f'nodes/localhost/tasks/{upid}')
        if caller in (owner, CHIEF):
            assert (r.status, r.data) == (200, None)
        else:
            assert (r.status, r.text) == (400, (
                "missing permissions 'Sys.Modify' on '/system/tasks'"))
