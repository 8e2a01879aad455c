"""Management calls: who may do what, and what is done."""

import os

import pytest

from instance import wait_for
from pbs import blob, unblob
from vtools import backup, failure, later, new_group, val
import vworker
from vworker import (AUDIT, BACKUP_PRIV, MODIFY, PRUNE, READ, READER,
                     SYS_AUDIT, SYS_MODIFY, TYPES, Worker)

__all__ = ['val']

KINDS = {1: 'STORE', 2: 'NS', 3: 'GROUP', 4: 'SNAP', 5: 'FILE', 6: 'PRUNE',
         7: 'TASK', 8: 'LINE', 9: 'COUNT'}


def records(msg):
    """[(kind, body)]"""
    data, out = msg['data'], []
    while data:
        n = int.from_bytes(data[1:5], 'little')
        out.append((KINDS[data[0]], data[5:5 + n]))
        data = data[5 + n:]
    return out


def text(body, at=0):
    n = int.from_bytes(body[at:at + 2], 'little')
    return body[at + 2:at + 2 + n].decode()


def on(snapshot, **more):
    return {'type': TYPES[snapshot[0]], 'id': snapshot[1],
            'time': snapshot[2], **more}


def times(msg):
    """Of SNAP records."""
    return {int.from_bytes(b[1 + 2 + len(text(b, 1)):][:8], 'little')
            for kind, b in records(msg) if kind == 'SNAP'}


def test_store_list(val):
    w = Worker(val)
    msg = w.call('STORE_LIST', store='', grant_store='')
    assert [text(b) for _, b in records(msg)] == ['store']
    msg = w.call('STORE_LIST', store='', grant_store='', privs=0)
    assert records(msg) == []
    msg = w.call('STORE_LIST', store='', grant_store='', nodes=[
        ('/', 0, 0), ('/datastore/store/deep/down', READ, READ)])
    assert [text(b) for _, b in records(msg)] == ['store']


def test_store_status(val):
    w = Worker(val)
    msg = w.call('STORE_STATUS')
    assert msg['n0'] >= msg['n1'] > 0 and msg['n2'] > 0
    msg = w.call('STORE_STATUS', privs=READ)
    assert (msg['n0'], msg['n1'], msg['n2']) == (0, 0, 0)
    assert failure(w.call, 'STORE_STATUS', privs=0).code == 'PERM'
    backup(val, new_group(), [1])
    msg = w.call('STORE_STATUS', flags=1)
    assert {k for k, _ in records(msg)} == {'COUNT', 'LINE'}


def test_nothing_leaks_without_rights(val):
    w = Worker(val)
    for op in ('STORE_STATUS', 'NS_LIST', 'GROUP_LIST', 'SNAP_LIST',
               'NS_CREATE', 'GC_STATUS'):
        f = failure(w.call, op, store='nosuchstore', privs=0, name='x')
        assert f.code == 'PERM', op
    f = failure(w.call, 'GROUP_LIST', store='nosuchstore')
    assert f.text == "no such datastore 'nosuchstore'"


def test_namespaces(val):
    w = Worker(val)
    assert w.call('NS_CREATE', name='a')['text'] == 'a'
    assert w.call('NS_CREATE', ns='a', name='b')['text'] == 'a/b'
    assert w.call('NS_CREATE', ns='a', name='b')['text'] == 'a/b'
    failure(w.call, 'NS_CREATE', ns='no', name='b')
    failure(w.call, 'NS_CREATE', name='../x')
    msg = w.call('NS_LIST', n0=~0 & (1 << 64) - 1)
    assert [text(b) for _, b in records(msg)] == ['', 'a', 'a/b']
    msg = w.call('NS_LIST', n0=0)
    assert [text(b) for _, b in records(msg)] == ['']
    msg = w.call('NS_LIST', n0=7, nodes=[
        ('/', 0, 0), ('/datastore/store/a/b', AUDIT, AUDIT)])
    assert [text(b) for _, b in records(msg)] == ['a/b']
    snap = new_group()
    backup(val, snap, [1], ns='a/b')
    f = failure(w.call, 'NS_DELETE', ns='a')
    assert 'partially deleted' in f.text
    f = failure(w.call, 'NS_DELETE', ns='', flags=1)
    assert 'root namespace' in f.text
    f = failure(w.call, 'NS_DELETE', ns='a', nodes=[
        ('/', 0, 0), ('/datastore/store/a', MODIFY, MODIFY)])
    assert f.code == 'PERM', 'the right is that on the parent'
    w.call('NS_DELETE', ns='a', flags=1)
    w.call('NS_DELETE', ns='a')
    msg = w.call('NS_LIST', n0=7)
    assert [text(b) for _, b in records(msg)] == ['']


def test_listings_show_each_its_own(val):
    mine, other = new_group(), new_group()
    backup(val, mine, [1], auth_id='l1@pbs!tok')
    backup(val, other, [1], auth_id='l2@pbs')
    w = Worker(val)

    def groups(auth_id, privs):
        msg = w.call('GROUP_LIST', auth_id, privs=privs)
        return {text(b, 1) for k, b in records(msg) if k == 'GROUP'}
    assert groups('x@pbs', AUDIT) >= {mine[1], other[1]}
    assert groups('l1@pbs', BACKUP_PRIV) == {mine[1]}
    assert groups('l2@pbs', BACKUP_PRIV) == {other[1]}
    assert groups('l2@pbs!ttt', BACKUP_PRIV) == set()
    f = failure(w.call, 'GROUP_LIST', 'x@pbs', privs=READ)
    assert f.text == 'permission check failed - missing ' \
        'Datastore.Audit|Datastore.Backup on /datastore/store'
    msg = w.call('SNAP_LIST', 'l1@pbs', privs=BACKUP_PRIV, type=0xff)
    assert times(msg) == {mine[2]}
    msg = w.call('SNAP_LIST', type=1, id=other[1])
    assert times(msg) == {other[2]}
    msg = w.call('SNAP_LIST', type=2, id=other[1])
    assert times(msg) == set()
    failure(w.call, 'SNAP_LIST', type=7)
    failure(w.call, 'SNAP_LIST', type=1, id='../..')


# What each call wants: free with, as owner with.
MATRIX = [
    ('GROUP_NOTES_GET', AUDIT, BACKUP_PRIV, {}),
    ('GROUP_NOTES_SET', MODIFY, BACKUP_PRIV, {'data': b'note'}),
    ('SNAP_FILES', AUDIT, BACKUP_PRIV, {}),
    ('SNAP_FILES', READ, BACKUP_PRIV, {}),
    ('SNAP_NOTES_GET', AUDIT, BACKUP_PRIV, {}),
    ('SNAP_NOTES_SET', MODIFY, BACKUP_PRIV, {'data': b'note'}),
    ('PROTECTED_GET', AUDIT, BACKUP_PRIV, {}),
    ('PROTECTED_SET', MODIFY, BACKUP_PRIV, {'n0': 0}),
    ('LOG_UPLOAD', 0, BACKUP_PRIV, {'data': blob(b'log')}),
    ('PRUNE', MODIFY, PRUNE, {'flags': 1}),
    ('SNAP_DELETE', MODIFY, PRUNE, {}),
    ('GROUP_DELETE', MODIFY, PRUNE, {}),
]


@pytest.mark.parametrize('op,free,owner,args', MATRIX)
def test_rights(val, op, free, owner, args):
    w = Worker(val)

    def call(who, privs, snap):
        return w.call(op, who, privs=privs, **on(snap, **args))
    snap = backup(val, new_group(), [1], auth_id='o@pbs')
    assert failure(call, 'o@pbs', 0, snap).code == 'PERM'
    others = ~(free | owner) & vworker.ALL
    if op == 'SNAP_FILES':
        others &= ~(AUDIT | READ)
    assert failure(call, 'o@pbs', others, snap).code == 'PERM'
    f = failure(call, 'x@pbs', owner, snap)
    assert f.text == 'backup owner check failed (x@pbs != o@pbs)'
    call('o@pbs', owner, snap)
    if free:
        snap = backup(val, new_group(), [1], auth_id='o@pbs')
        call('x@pbs', free, snap)


def test_grant_for_another_namespace(val):
    w = Worker(val)
    g = vworker.grant(w.key, vworker.CALL, 'r@pbs', store='store', ns='b')
    with pytest.raises(vworker.Failed) as e:
        w.ask('CALL', op=vworker.OPS['GROUP_LIST'], store='store', ns='a',
              grant=g)
    assert e.value.code == 'PERM'


def test_notes(val):
    snap = backup(val, new_group(), [1])
    w = Worker(val)
    w.call('SNAP_NOTES_SET', data='zwei\nZeilen ü'.encode(), **on(snap))
    assert val.store().manifest(snap)['unprotected']['notes'] == \
        'zwei\nZeilen ü'
    failure(w.call, 'SNAP_NOTES_SET', data=b'a\0b', **on(snap))
    failure(w.call, 'SNAP_NOTES_SET', data=b'x' * 600000, **on(snap))
    failure(w.call, 'SNAP_NOTES_SET', data=b'x', **on(later(snap)))
    w.call('GROUP_NOTES_SET', data=b'group', **on(snap))
    assert w.call('GROUP_NOTES_GET', **on(snap))['data'] == b'group'
    assert w.call('GROUP_NOTES_GET', **on(new_group()))['data'] == b''


def test_many_edits_of_one_manifest(val):
    snap = backup(val, new_group(), [1])
    w = Worker(val)
    seqs, fds = [], []
    for n in range(8):
        fds.append(os.memfd_create('notes'))
        os.write(fds[-1], b'note %d' % n)
        seqs.append(w.send('CALL_DATA', fds=[fds[-1]],
                           op=vworker.OPS['SNAP_NOTES_SET'],
                           grant=vworker.grant(w.key, vworker.CALL, 'r@pbs',
                                               store='store'),
                           store='store', **on(snap)))
    for seq in seqs:
        w.wait(seq)
    for fd in fds:
        os.close(fd)
    assert val.store().manifest(snap)['unprotected']['notes'].startswith(
        'note ')


def test_protection(val):
    snap = backup(val, new_group(), [1])
    w = Worker(val)
    assert w.call('PROTECTED_GET', **on(snap))['n0'] == 0
    w.call('PROTECTED_SET', n0=1, **on(snap))
    assert w.call('PROTECTED_GET', **on(snap))['n0'] == 1
    assert failure(w.call, 'SNAP_DELETE', **on(snap)).text == \
        'cannot remove protected snapshot'
    second = backup(val, later(snap), [1])
    f = failure(w.call, 'GROUP_DELETE', flags=1, **on(snap))
    assert f.text == 'group only partially deleted due to protected snapshots'
    assert not val.store().snapshot_path(second).exists()
    msg = w.call('GROUP_DELETE', **on(snap))
    assert (msg['n0'], msg['n1']) == (0, 1)
    w.call('PROTECTED_SET', n0=0, **on(snap))
    msg = w.call('GROUP_DELETE', **on(snap))
    assert (msg['n0'], msg['n1']) == (1, 0)
    f = failure(w.call, 'GROUP_DELETE', **on(snap))
    assert 'ENOENT: No such file or directory' in f.text
    assert w.call('PROTECTED_GET', **on(snap))['n0'] == 0


def test_log_upload(val):
    snap = backup(val, new_group(), [1])
    w = Worker(val)
    f = failure(w.call, 'LOG_UPLOAD', data=blob(b'log', crc=1), **on(snap))
    assert 'CRC' in f.text
    failure(w.call, 'LOG_UPLOAD', data=b'', **on(snap))
    failure(w.call, 'LOG_UPLOAD', **on(snap))
    w.call('LOG_UPLOAD', data=blob(b'log'), **on(snap))
    path = val.store().snapshot_path(snap) / 'client.log.blob'
    assert unblob(path.read_bytes()) == b'log'
    assert failure(w.call, 'LOG_UPLOAD', data=blob(b'2'), **on(snap)).text \
        == 'backup already contains a log.'


def test_change_owner(val):
    snap = backup(val, new_group(), [1], auth_id='u@pbs!aaa')
    w = Worker(val)

    def call(who, to, privs=BACKUP_PRIV, subject=None):
        g = vworker.grant(w.key, vworker.CALL, who, store='store',
                          privs=privs, subject=to if subject is None
                          else subject)
        return w.ask('CALL', op=vworker.OPS['GROUP_OWNER'], grant=g,
                     store='store', auth_id=to, **on(snap))
    owner = val.store().snapshot_path(snap).parent / 'owner'
    call('u@pbs', 'u@pbs!bbb')
    assert owner.read_text() == 'u@pbs!bbb\n'
    call('u@pbs', 'u@pbs')
    call('u@pbs', 'u@pbs!aaa')
    call('u@pbs', 'u@pbs')
    for who, to in (('u@pbs', 'u@pbs'), ('u@pbs', 'v@pbs'),
                    ('u@pbs!aaa', 'u@pbs!aaa'), ('v@pbs', 'v@pbs')):
        assert failure(call, who, to).code == 'NOT_ALLOWED', (who, to)
    assert failure(call, 'u@pbs', 'v@pbs', privs=0).code == 'PERM'
    for who in ('v@pbs', 'v@pbs!tok'):
        f = failure(call, 'm@pbs', who, privs=MODIFY, subject='')
        kind = 'API token' if '!' in who else 'user'
        assert (f.code, f.text) == (
            'INVALID', f"{kind} '{who}' is inactive or non-existent")
        assert failure(call, 'm@pbs', who, privs=0, subject='').code == 'PERM'
    call('m@pbs', 'v@pbs', privs=MODIFY)
    assert owner.read_text() == 'v@pbs\n'


def pruned(msg):
    out = []
    for kind, b in records(msg):
        assert kind == 'PRUNE'
        at = 2 + len(text(b)) + 1
        at += 2 + len(text(b, at))
        out.append((int.from_bytes(b[at:at + 8], 'little'), b[at + 8],
                    b[at + 9]))
    return out


def test_prune(val):
    snap = new_group()
    snaps = [backup(val, snap, [1])]
    for _ in range(3):
        snaps.append(backup(val, later(snap), [1]))
    w = Worker(val)
    w.call('PROTECTED_SET', n0=1, **on(snaps[0]))
    dry = pruned(w.call('PRUNE', flags=1, n0=1, **on(snap)))
    assert dry == [(snaps[0][2], 1, 1), (snaps[1][2], 0, 0),
                   (snaps[2][2], 0, 0), (snaps[3][2], 1, 0)]
    assert all(val.store().snapshot_path(s).exists() for s in snaps)
    assert pruned(w.call('PRUNE', **on(snap))) == \
        [(s[2], 1, 1 if i == 0 else 0) for i, s in enumerate(snaps)]
    r = Worker(val).open(snaps[1], READER)
    assert pruned(w.call('PRUNE', n0=1, **on(snap))) == dry
    assert [val.store().snapshot_path(s).exists() for s in snaps] == \
        [True, True, False, True], 'what is in use stays'
    r.close()
    f = failure(w.call, 'PRUNE', n0=1, **on(new_group()))
    assert 'ENOENT: No such file or directory' in f.text


def test_delete_while_base(val):
    base = backup(val, new_group(), [1])
    s = Worker(val).open(later(base))
    w = Worker(val)
    f = failure(w.call, 'GROUP_DELETE', **on(base))
    assert 'possible running backup' in f.text
    s.close()


def test_tasks(val):
    snap = backup(val, new_group(), [1], auth_id='t@pbs!kkk')
    w = Worker(val)
    s = w.open(later(snap), auth_id='t@pbs')
    o = Worker(val)

    def upids(who, privs=0, **more):
        msg = o.call('TASK_LIST', who, store='', privs=privs, **more)
        return [text(b) for _, b in records(msg)]
    mine = upids('t@pbs')
    assert len(mine) == 2 and mine[0] == s.upid
    assert len(upids('t@pbs!kkk')) == 1
    assert upids('x@pbs') == []
    assert len(upids('x@pbs', SYS_AUDIT)) > 2
    f = failure(o.call, 'TASK_STATUS', 'x@pbs', store='', name=s.upid,
                privs=0)
    assert f.text == 'task access not allowed'
    (_, rec), = records(o.call('TASK_STATUS', 't@pbs', store='', privs=0,
                               name=s.upid))
    assert rec[-2:] == b'\0\0', 'it runs'
    msg = o.call('TASK_LOG', 't@pbs', store='', privs=0, name=s.upid, n0=1,
                 n1=1)
    assert len(records(msg)) == 1 and msg['n0'] > 0 and msg['n1'] == 1
    f = failure(o.call, 'TASK_STOP', 't@pbs!kkk', store='', privs=0,
                name=s.upid)
    assert 'Sys.Modify' in f.text
    o.call('TASK_STOP', 'm@pbs', store='', privs=SYS_MODIFY, name=s.upid)
    assert w.wait_aborted().text == 'task aborted'
    (_, rec), = records(o.call('TASK_STATUS', 't@pbs', store='', privs=0,
                               name=s.upid))
    assert rec.endswith(b'task aborted')
    msg = o.call('TASK_LOG', 't@pbs', store='', privs=0, name=s.upid)
    assert msg['n1'] == 0
    failure(o.call, 'TASK_LOG', store='', name='UPID:../../x:')


def test_gc_status(val):
    assert Worker(val).call('GC_STATUS')['data'] == b''


def test_unknown_call(val):
    w = Worker(val)
    with pytest.raises(vworker.Failed) as e:
        w.ask('CALL', op=999)
    assert e.value.code == 'UNSUPPORTED'


def test_gone_worker_does_not_stop_a_call(val):
    snap = backup(val, new_group(), [1])
    w = Worker(val)
    w.send('CALL', op=vworker.OPS['GROUP_DELETE'], store='store',
           grant=vworker.grant(w.key, vworker.CALL, 'r@pbs', store='store'),
           **on(snap))
    w.close()
    assert wait_for(
        lambda: not val.store().snapshot_path(snap).parent.exists())
