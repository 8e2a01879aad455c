"""The commands of holdfast that are one call: notes, protection, logs, prune,
namespaces, owners, tasks, benchmark."""

import json

import pytest

import fake_server
import instance as instance_module
import pbs
from store import time_text


def name_of(snapshot):
    return f'{snapshot[0]}/{snapshot[1]}/{time_text(snapshot[2])}'


def group_of(snapshot):
    return f'{snapshot[0]}/{snapshot[1]}'


@pytest.fixture
def backed_up(instance, snapshot):
    """backed_up(old): a finished snapshot, of old's group."""
    def make(old=None, **more):
        new = snapshot(old)
        with instance.backup(new, **more) as session:
            session.backup_images({'a.img.fidx': b'x' * 100})
        return new
    return make


def as_json(instance, *args, **more):
    return json.loads(instance.client(*args, '--output-format', 'json',
                                      **more).stdout)


def refused(instance, *args, **more):
    r = instance.client(*args, check=False, **more)
    assert r.returncode != 0
    assert r.stdout == ''
    return r.stderr


# ---- snapshots

def test_notes(instance, store, backed_up):
    name = name_of(backed_up())
    assert instance.client('snapshot', 'notes', 'show', name).stdout == ''
    text = 'first line\nand & a second, 100 % \u00e4'
    instance.client('snapshot', 'notes', 'update', name, text)
    assert instance.client('snapshot', 'notes', 'show',
                           name).stdout == text + '\n'
    assert as_json(instance, 'snapshot', 'notes', 'show', name) == text
    assert 'first line' in instance.client('snapshot', 'list').stdout
    instance.client('snapshot', 'notes', 'update', name, '')
    assert instance.client('snapshot', 'notes', 'show', name).stdout == ''


def test_notes_do_not_reach_the_terminal_raw(instance, backed_up):
    name = name_of(backed_up())
    instance.client('snapshot', 'notes', 'update', name, 'a\x1b[2Jb')
    shown = instance.client('snapshot', 'notes', 'show', name).stdout
    assert '\x1b' not in shown and shown.startswith('a')


def test_long_notes(instance, backed_up):
    """Too long for a query: the server says so, or we do."""
    name = name_of(backed_up())
    for length in 4000, 20000:
        refused(instance, 'snapshot', 'notes', 'update', name, 'x' * length)


def test_protected(instance, store, backed_up):
    snap = backed_up()
    name = name_of(snap)
    show = 'snapshot', 'protected', 'show', name
    assert instance.client(*show).stdout == 'no\n'
    instance.client('snapshot', 'protected', 'update', name, 'true')
    assert instance.client(*show).stdout == 'yes\n'
    assert as_json(instance, *show) is True
    assert 'protected' in refused(instance, 'snapshot', 'forget', name)
    instance.client('snapshot', 'protected', 'update', name, 'false')
    instance.client('snapshot', 'forget', name)
    assert not store.snapshot_path(snap).exists()
    assert 'parameter' in refused(instance, 'snapshot', 'protected',
                                  'update', name, 'maybe')


def test_upload_log(instance, store, folder, backed_up):
    snap = backed_up()
    log = folder / 'log'
    log.write_text('INFO: line\n' * 1000)
    instance.client('snapshot', 'upload-log', name_of(snap), log)
    stored = (store.snapshot_path(snap) / 'client.log.blob').read_bytes()
    assert pbs.unblob(stored) == log.read_bytes()
    assert len(stored) < 1000
    assert 'already contains a log' in refused(
        instance, 'snapshot', 'upload-log', name_of(snap), log)
    assert 'No such file' in refused(
        instance, 'snapshot', 'upload-log', name_of(snap), folder / 'none')


def test_bad_names(instance):
    for args in (['snapshot', 'notes', 'show', 'host/a'],
                 ['snapshot', 'protected', 'update', '../a', 'true'],
                 ['group', 'notes', 'show', 'host'],
                 ['prune', 'nohost/a'],
                 ['change-owner', 'a', 'u@pbs'],
                 ['namespace', 'create', 'a//b'],
                 ['namespace', 'create', ''],
                 ['namespace', 'delete', '.'],
                 ['task', 'log', 'UPID'],
                 ['task', 'stop', 'x']):
        refused(instance, *args)


# ---- groups

def test_group_notes_and_forget(instance, store, backed_up):
    first = backed_up()
    second = backed_up(first)
    group = group_of(first)
    instance.client('group', 'notes', 'update', group, 'of the group')
    assert instance.client('group', 'notes', 'show', group).stdout == \
        'of the group\n'
    instance.client('snapshot', 'protected', 'update', name_of(second),
                    'true')
    assert 'protected' in refused(instance, 'group', 'forget', group)
    assert not store.snapshot_path(first).exists()
    instance.client('snapshot', 'protected', 'update', name_of(second),
                    'false')
    instance.client('group', 'forget', group)
    assert not (store.path / group).exists()


def test_a_group_goes_with_its_last_snapshot(instance, store, backed_up,
                                             snapshot):
    first = backed_up()
    second = backed_up(first)
    path = store.path / group_of(first)
    instance.client('snapshot', 'forget', name_of(second))
    assert (path / 'owner').exists()
    # A backup that is on its way, without a base, keeps it.
    manifest = store.snapshot_path(first) / 'index.json.blob'
    manifest.write_bytes(b'damaged')
    third = snapshot(first)
    with instance.backup(third) as session:
        assert session.previous_time() is None
        instance.client('snapshot', 'forget', name_of(first))
        assert (path / 'owner').exists()
        session.backup_images({'a.img.fidx': b'x' * 100})
    instance.client('snapshot', 'forget', name_of(third))
    assert not path.exists() and path.parent.exists()
    assert not instance.locks(first)
    assert instance_module.wait_for(lambda: not store.leftovers())
    # It may be another's now.
    with instance.backup(snapshot(first), instance.login2()):
        assert (path / 'owner').read_text().startswith(instance_module.USER2)


def test_change_owner(instance, backed_up):
    group = group_of(backed_up())
    env = instance.env()
    instance.client('change-owner', group, env['PBS_TOKEN'])
    row = [g for g in as_json(instance, 'list')
           if g['backup-id'] == group[5:]][0]
    assert row['owner'] == env['PBS_TOKEN']
    assert 'non-existent' in refused(instance, 'change-owner', group,
                                     'nobody@pbs')


def test_prune(instance, store, backed_up):
    snaps = [backed_up()]
    for _ in range(2):
        snaps.append(backed_up(snaps[-1]))
    group = group_of(snaps[0])
    rows = as_json(instance, 'prune', group, '--keep-last', '1', '--dry-run')
    assert [r['keep'] for r in rows] == [False, False, True]
    assert store.snapshot_path(snaps[0]).exists()
    assert [r['keep'] for r in as_json(instance, 'prune', group)] == \
        [True] * 3
    shown = instance.client('prune', group, '--keep-last', '1').stdout
    lines = {line.split()[0]: line.split()[1:]
             for line in shown.splitlines()[1:]}
    assert lines == {name_of(s): ['yes' if s is snaps[2] else 'no', 'no']
                     for s in snaps}
    assert [store.snapshot_path(s).exists() for s in snaps] == \
        [False, False, True]
    rows = as_json(instance, 'prune', group, '--keep-hourly', '1',
                   '--keep-daily', '1', '--keep-weekly', '1',
                   '--keep-monthly', '1', '--keep-yearly', '1', '-n')
    assert [r['keep'] for r in rows] == [True]
    refused(instance, 'prune', group, '--keep-last', '0')
    refused(instance, 'prune', 'host/nobody', '--keep-last', '1')


# ---- namespaces

def test_namespaces(instance, backed_up):
    instance.client('namespace', 'create', 'outer')
    instance.client('namespace', 'create', 'outer/inner')
    assert {n['ns'] for n in as_json(instance, 'namespace', 'list')} >= \
        {'', 'outer', 'outer/inner'}
    assert [n['ns'] for n in as_json(instance, 'namespace', 'list',
                                     'outer')] == ['outer', 'outer/inner']
    assert [n['ns'] for n in as_json(
        instance, 'namespace', 'list', 'outer', '--max-depth', '0')] == \
        ['outer']
    snap = backed_up(ns='outer/inner')
    assert snap[1] in instance.client('list', '--ns', 'outer/inner').stdout
    instance.client('snapshot', 'notes', 'update', name_of(snap), 'there',
                    '--ns', 'outer/inner')
    refused(instance, 'snapshot', 'notes', 'show', name_of(snap))
    assert 'partially' in refused(instance, 'namespace', 'delete', 'outer')
    instance.client('namespace', 'delete', 'outer', '--delete-groups')
    assert 'outer' not in instance.client('namespace', 'list').stdout
    refused(instance, 'namespace', 'create', 'no/parent')


# ---- tasks

def test_tasks(instance, snapshot):
    snap = snapshot()
    session = instance.backup(snap)
    try:
        mine = [t for t in as_json(instance, 'task', 'list')
                if t['worker_id'].endswith(group_of(snap))]
        assert len(mine) == 1
        upid = mine[0]['upid']
        assert upid in instance.client('task', 'list').stdout
        instance.client('task', 'stop', upid)
        r = instance.client('task', 'log', upid, check=False)
        assert r.returncode == 1
        assert 'TASK ERROR: task aborted' in r.stdout
        assert 'task aborted' in r.stderr
    finally:
        session.close()
    assert upid not in instance.client('task', 'list').stdout
    ended = as_json(instance, 'task', 'list', '--all', '--limit', '1')
    assert len(ended) == 1
    instance.client('task', 'stop', upid)  # nothing to do


def test_log_of_a_good_task(instance, backed_up):
    snap = backed_up()
    upid = [t['upid'] for t in as_json(instance, 'task', 'list', '--all')
            if (t['worker_id'] or '').endswith(group_of(snap))][0]
    lines = instance.client('task', 'log', upid).stdout.splitlines()
    assert lines[-1] == 'TASK OK'
    assert not lines[0].startswith('20')


def test_garbage_collect(instance):
    shown = instance.client('garbage-collect').stdout
    assert shown.splitlines()[-1].startswith('TASK ')
    env = {'PBS_REPOSITORY': instance.env()['PBS_REPOSITORY'].replace(
        'user@', 'user2@'), 'PBS_PASSWORD': instance.state['password2']}
    refused(instance, 'garbage-collect', env=env)


# ---- benchmark

def test_benchmark(instance, store):
    before = store.snapshots()
    result = as_json(instance, 'benchmark', '--seconds', '1')
    assert all(result[k] > 1000 for k in
               ('upload', 'sha256', 'compress', 'decompress'))
    assert store.snapshots() == before
    alone = as_json(instance, 'benchmark', env={'PBS_REPOSITORY': ''})
    assert set(alone) == {'sha256', 'compress', 'decompress'}


def test_a_log_that_does_not_follow(instance, folder):
    """From a server that lies."""
    upid = 'UPID:a:00000001:00000001:00000001:66671C80:backup:x:u@pbs:'
    server = fake_server.FakeServer(folder)
    try:
        env = {'PBS_REPOSITORY': server.repository(),
               'PBS_FINGERPRINT': server.fingerprint,
               'PBS_PASSWORD': server.password}
        for body in ([], {'data': 1, 'active': False}, {'data': []},
                     {'data': [{'n': 2, 't': 'x'}], 'active': False},
                     {'data': [{'n': 1}], 'active': False},
                     {'data': ['x'], 'active': True}):
            server.whole['log'] = body
            text = refused(instance, 'task', 'log', upid, env=env)
            assert 'log' in text
    finally:
        server.close()
