"""The validator as workers see it: a backup from SESSION_OPEN to FINISHED,
its refusals, readers, and rules that a captured worker may try to break."""

import os
import signal

import pytest

from conftest import TIMES
from pbs import (CHUNK, blob, dynamic_csum, encrypted_blob, fixed_csum,
                 parse_dynamic, parse_fixed, sha256, unblob)
import vworker
from vtools import (backup, chunk, failure, later, manifest, new_group,
                    register, task_log, upload_image, val, wait_gone)
from vworker import (AUDIT, BACKUP_PRIV, DEPOSIT, READ, READER, Failed,
                     Worker)

__all__ = ['val']


# ---- a backup


def test_backup(val):
    snap = new_group()
    w = Worker(val).open(snap)
    assert w.base_time == 0
    image = [chunk(i) for i in (1, 2, 1)]
    upload_image(w, 'a.img.fidx', image)
    w.put_blob('a.conf.blob', blob(b'config'))
    w.put_blob('index.json.blob', manifest(snap))
    assert not val.store().snapshot_path(snap).exists()
    assert w.finish()['_name'] == 'FINISHED'
    path = val.store().snapshot_path(snap)
    size, csum, digests = parse_fixed((path / 'a.img.fidx').read_bytes())
    assert size == 3 * CHUNK
    assert digests == [d for _, d in image]
    assert csum == fixed_csum(digests)
    assert unblob((path / 'a.conf.blob').read_bytes()) == b'config'
    stats = val.store().manifest(snap)['unprotected']['chunk_upload_stats']
    assert stats['count'] == 2 and stats['size'] == 2 * CHUNK
    assert sorted(p.name for p in path.iterdir()) == [
        'a.conf.blob', 'a.img.fidx', 'index.json.blob']
    assert (path.parent / 'owner').read_text() == 'root@pam\n'
    wait_gone(val, w)
    lines = task_log(Worker(val), w.upid)
    assert 'TASK OK' in lines[-1]
    assert any('from 192.0.2.1' in line for line in lines)


def test_dynamic_index(val):
    snap = new_group()
    w = Worker(val).open(snap)
    w.create('root.pxar.didx', 7)
    sizes = [1000, 50000, 7]
    at, entries, ends = 0, [], []
    for i, n in enumerate(sizes):
        raw, d = os.urandom(n), None
        d = sha256(raw)
        w.deposit(blob(raw, compress=True), d, n, writer=7)
        entries.append((at, *w.known[d], d))
        at += n
        ends.append((at, d))
    assert w.append(7, 0, entries[:1])['count'] == 1
    r = w.append(7, 1, entries[1:])
    assert (r['count'], r['end']) == (3, at)
    assert w.append(7, 0, [])['count'] == 3, 'nothing asks'
    assert w.append(7, 1, entries[1:])['count'] == 3, 'sent again'
    w.close_index(7, 3, at, dynamic_csum(ends))
    w.close_index(7, 3, at, dynamic_csum(ends))
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    data = (val.store().snapshot_path(snap) / 'root.pxar.didx').read_bytes()
    assert parse_dynamic(data)[-1] == ends


def test_second_backup_reuses(val):
    first = backup(val, new_group(), range(4))
    snap = later(first)
    w = Worker(val).open(snap)
    assert w.base_time == first[2]
    register(w, 'a.img.fidx')
    upload_image(w, 'a.img.fidx', [chunk(i) for i in (0, 1, 2, 9)])
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    stats = val.store().manifest(snap)['unprotected']['chunk_upload_stats']
    assert stats['count'] == 1


def test_incremental_with_checksum(val):
    first = backup(val, new_group(), range(4))
    digests = [chunk(i)[1] for i in range(4)]
    snap = later(first)
    w = Worker(val).open(snap)
    f = failure(w.create, 'a.img.fidx', 1, 4 * CHUNK, reuse=bytes(32))
    assert f.text.startswith('expected csum (')
    w.create('a.img.fidx', 1, 4 * CHUNK, reuse=fixed_csum(digests))
    raw, digests[2] = chunk(77)
    w.deposit(blob(raw), digests[2], CHUNK)
    w.append(1, 0, [(2 * CHUNK, *w.known[digests[2]], digests[2])])
    w.close_index(1, 1, CHUNK, fixed_csum(digests))
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    data = (val.store().snapshot_path(snap) / 'a.img.fidx').read_bytes()
    assert parse_fixed(data)[2] == digests


# ---- refusals that leave the session open


def test_bad_chunks_are_refused(val):
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, CHUNK)
    raw, d = chunk(1)
    f = failure(w.deposit, blob(raw), bytes(32), CHUNK)
    assert f.text == 'detected chunk with wrong digest.'
    f = failure(w.deposit, blob(raw), d, CHUNK - 1)
    assert f.text.startswith('detected chunk with wrong length')
    f = failure(w.deposit, b'x' * 100, d, CHUNK)
    assert 'magic' in f.text
    f = failure(w.deposit, blob(raw), d, CHUNK, writer=9)
    assert 'not registered' in f.text
    assert w.deposit(blob(raw, crc=0), d, CHUNK)['_name'] == 'DEPOSITED'
    w.close()


def test_unknown_chunks_cannot_be_referenced(val):
    other = backup(val, new_group(), [5])
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, CHUNK)
    _, d = chunk(5)
    for source in ((DEPOSIT, 0), (0, 0), (DEPOSIT, 1 << 31), (255, 7)):
        f = failure(w.append, 1, 0, [(0, *source, d)])
        assert f.text == f'no such chunk {d.hex()}', other
    w.close()


def test_entries_before_a_bad_one_stay(val):
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, 2 * CHUNK)
    raw, d = chunk(1)
    w.deposit(blob(raw), d, CHUNK)
    failure(w.append, 1, 0, [(0, *w.known[d], d), (CHUNK, DEPOSIT, 0,
                                                  bytes(32))])
    assert w.append(1, 0, [])['count'] == 1
    w.close()


def test_refused_finish_can_be_repeated(val):
    snap = new_group()
    w = Worker(val).open(snap)
    assert 'file count == 0' in failure(w.finish).text
    w.create('a.img.fidx', 1, CHUNK)
    assert 'found open index writer' in failure(w.finish).text
    raw, d = chunk(1)
    w.deposit(blob(raw), d, CHUNK)
    w.append(1, 0, [(0, *w.known[d], d)])
    f = failure(w.close_index, 1, 1, CHUNK, bytes(32))
    assert 'checksum' in f.text
    assert 'found open index writer' in failure(w.finish).text
    w.close_index(1, 1, CHUNK, fixed_csum([d]))
    assert 'unable to update manifest blob' in failure(w.finish).text
    f = failure(w.put_blob, 'index.json.blob', blob(b'no json'))
    f = failure(w.put_blob, 'index.json.blob', manifest(later(snap)))
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    assert w.finish()['_name'] == 'FINISHED', 'a resent one'
    assert failure(w.put_blob, 'x.blob', blob(b'')).text == \
        'backup already marked as finished.'


def test_server_members_are_stripped(val):
    snap = new_group()
    w = Worker(val).open(snap)
    w.put_blob('index.json.blob', manifest(snap, unprotected={
        'verify_state': {'state': 'ok', 'upid': w.upid}, 'notes': 'n'}))
    w.finish()
    m = val.store().manifest(snap)
    assert 'verify_state' not in m['unprotected']


def test_blob_crc(val):
    w = Worker(val).open(new_group())
    f = failure(w.put_blob, 'a.blob', blob(b'abc', crc=1))
    assert f.text == 'Data blob has wrong CRC checksum.'
    f = failure(w.put_blob, 'a.txt', blob(b'abc'))
    assert f.text == "wrong blob file extension: 'a.txt'"
    w.close()


# ---- ends


def test_disconnect_removes_all_and_frees_the_group(val):
    snap = new_group()
    w = Worker(val).open(snap)
    upload_image(w, 'a.img.fidx', [chunk(1)])
    upid = w.upid
    f = failure(Worker(val).open, snap)
    assert 'another backup is already running' in f.text
    w.close()
    wait_gone(val, w)
    assert not val.store().snapshot_path(snap).exists()
    w = Worker(val).open(snap)
    w.close()
    lines = task_log(Worker(val), upid)
    assert 'TASK ERROR: backup ended but finished flag is not set.' in \
        lines[-1]


def test_benchmark_is_never_kept(val):
    snap = 'host', 'benchmark', next(TIMES)
    assert 'without --benchmark' in failure(Worker(val).open, snap).text
    assert 'only allowed' in failure(Worker(val).open, new_group(),
                                     flags=2).text
    w = Worker(val).open(snap, flags=2)
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    upid = w.upid
    w.close()
    wait_gone(val, w)
    assert not val.store().snapshot_path(snap).exists()
    assert 'TASK OK' in task_log(Worker(val), upid)[-1]


def test_task_stop(val):
    w = Worker(val).open(new_group())
    other = Worker(val)
    f = failure(other.call, 'TASK_STOP', name=w.upid, store='',
                auth_id='a@pbs', privs=0)
    assert 'Sys.Modify' in f.text
    other.call('TASK_STOP', name=w.upid, store='')
    assert w.wait_aborted().text == 'task aborted'
    assert failure(w.put_blob, 'a.blob', blob(b'')).text == 'task aborted'
    other.call('TASK_STOP', name=w.upid, store='')


# ---- opening


def test_owner(val):
    snap = new_group()
    backup(val, snap, [1], auth_id='a@pbs!tok')
    f = failure(Worker(val).open, later(snap), auth_id='b@pbs')
    assert f.text == 'backup owner check failed (b@pbs != a@pbs!tok)'
    f = failure(Worker(val).open, later(snap), auth_id='a@pbs!two')
    assert 'owner check failed' in f.text
    Worker(val).open(later(snap), auth_id='a@pbs').close()


def test_order_of_times(val):
    snap = backup(val, new_group(), [1])
    f = failure(Worker(val).open, (snap[0], snap[1], snap[2] - 1))
    assert f.text == 'backup timestamp is older than last backup.'
    f = failure(Worker(val).open, snap)
    assert f.text == 'backup timestamp is older than last backup.'


def test_namespace_must_exist(val):
    f = failure(Worker(val).open, new_group(), ns='no/such')
    assert (f.code, f.text) == ('NO_NAMESPACE', 'namespace not found')


def test_permissions(val):
    f = failure(Worker(val).open, new_group(), privs=AUDIT | READ)
    assert (f.code, f.text) == (
        'PERM', "missing permissions 'Datastore.Backup' on "
        "'/datastore/store'")
    w = Worker(val)
    w.store = 'other'
    assert failure(w.open, new_group()).text == "no such datastore 'other'"
    f = failure(w.open, new_group(), privs=0)
    assert f.code == 'PERM', 'without rights not even the name is told'


@pytest.mark.parametrize('how', [
    {'pid': 1}, {'expiry': 1}, {'store': 'other'}, {'ns': 'a'}])
def test_grants_for_something_else(val, how):
    w = Worker(val)
    g = w.grant(vworker.BACKUP, **how)
    assert failure(w.open, new_group(), grant=g).code == 'PERM'


def test_grants_cannot_be_forged_or_used_twice(val):
    w = Worker(val)
    g = w.grant(vworker.BACKUP)
    bad = g[:30] + bytes([g[30] ^ 1]) + g[31:]
    assert failure(w.open, new_group(), grant=bad).code == 'PERM'
    assert failure(w.open, new_group(), grant=b'').code == 'PERM'
    w.open(new_group(), grant=g)
    assert failure(Worker(val).open, new_group(), grant=g).code == 'PERM'
    w.close()


def test_damaged_base_is_no_base(val):
    snap = backup(val, new_group(), [1])
    path = val.store().snapshot_path(snap) / 'index.json.blob'
    path.write_bytes(b'garbage')
    w = Worker(val).open(later(snap))
    assert w.base_time == 0
    assert failure(w.open_file, 'a.img.fidx').text == \
        'no valid previous backup'
    w.close()


# ---- readers


def test_reader(val):
    snap = backup(val, new_group(), [1, 2])
    w = Worker(val).open(snap, READER)
    msg, data = w.open_file('a.img.fidx')
    digests = parse_fixed(data)[2]
    _, fds = w.ask('CHUNK_OPEN', file=msg['file'], position=1,
                   digest=digests[1])
    with open(fds[0], 'rb') as f:
        assert unblob(f.read()) == chunk(2)[0]
    with pytest.raises(Failed) as e:
        w.ask('CHUNK_OPEN', file=msg['file'], position=0, digest=digests[1])
    assert e.value.code == 'NOT_ALLOWED'
    with pytest.raises(Failed) as e:
        w.ask('CHUNK_OPEN', file=99, position=0, digest=digests[1])
    assert e.value.code == 'NOT_ALLOWED'
    assert failure(w.open_file, 'no.blob').code == 'NO_FILE'
    assert failure(w.open_file, 'no.didx').text.startswith('Unable to open')
    assert failure(w.open_file, '../owner').text.startswith('unknown archive')
    f = failure(Worker(val).call, 'SNAP_DELETE', type=1, id=snap[1],
                time=snap[2])
    assert 'possibly running or in use' in f.text
    w.close()


def test_reader_rights(val):
    snap = backup(val, new_group(), [1], auth_id='a@pbs')
    f = failure(Worker(val).open, snap, READER, privs=AUDIT)
    assert f.text == 'no permissions on /datastore/store'
    f = failure(Worker(val).open, snap, READER, privs=BACKUP_PRIV,
                auth_id='b@pbs')
    assert f.text == 'backup owner check failed!'
    Worker(val).open(snap, READER, privs=BACKUP_PRIV,
                     auth_id='a@pbs').close()
    Worker(val).open(snap, READER, privs=READ, auth_id='b@pbs').close()
    f = failure(Worker(val).open, later(snap), READER)
    assert f.text.endswith('does not exist.')


# ---- a worker that breaks the rules


def broken_header(w):
    w.send_raw(6, b'', magic=1)


def broken_length(w):
    w.send_raw(11, b'', length=5)


def unknown_type(w):
    w.send_raw(4711, b'')


def answer_of_ours(w):
    w.send('DONE')


def hello_again(w):
    w.send('HELLO', version_min=1, version_max=1, program='x')


def second_session(w):
    w.send('SESSION_OPEN', kind=1, store='store', grant=b'', time=1, id='x')


def other_session(w):
    w.send('FINISH', session=w.session + 1)


def trailing_bytes(w):
    w.send_raw(11, b'x')


def deposit_with_hole(w):
    w.send('DEPOSIT', number=5, writer=1, block=0, len=100, size=100)


def deposit_outside(w):
    w.send('DEPOSIT', number=0, writer=1, block=len(w.free), len=100,
           size=100)


def deposit_into_used_blocks(w):
    w.inst.kill('validator', signal.SIGSTOP)  # so that it sees both at once
    for n in range(2):
        w.send('DEPOSIT', number=n, writer=1, block=0, len=100, size=100)
    w.inst.kill('validator', signal.SIGCONT)


def deposit_too_long(w):
    w.send('DEPOSIT', number=0, writer=1, block=0, len=1 << 31, size=100)


def append_to_nothing(w):
    w.send('APPEND', writer=3, first=0, count=0, entries=b'')


def append_miscounted(w):
    w.send('APPEND', writer=1, first=0, count=2, entries=bytes(48))


def writer_zero(w):
    w.send('INDEX_CREATE', writer=0, kind=1, name='b.didx')


def writer_twice(w):
    w.send('INDEX_CREATE', writer=1, kind=1, name='other.didx')


def reader_message(w):
    w.send('CHUNK_OPEN', file=0, position=0)


def descriptor_uninvited(w):
    with open('/dev/null') as f:
        w.send('FINISH', fds=[f.fileno()])


@pytest.mark.parametrize('how', [
    broken_header, broken_length, unknown_type, answer_of_ours, hello_again,
    second_session, other_session, trailing_bytes, deposit_with_hole,
    deposit_outside, deposit_into_used_blocks, deposit_too_long,
    append_to_nothing, append_miscounted, writer_zero, writer_twice,
    reader_message, descriptor_uninvited], ids=lambda f: f.__name__)
def test_worker_that_breaks_a_rule_is_closed(val, how):
    snap = new_group()
    w = Worker(val).open(snap)
    w.create('a.didx')
    how(w)
    assert w.is_closed()
    wait_gone(val, w)
    Worker(val).open(snap).close()


def test_greeting_comes_first(val):
    w = Worker(val, hello=False)
    w.send('CALL', op=1)
    assert w.is_closed()
    w = Worker(val, hello=False)
    with pytest.raises(Failed):
        w.ask('HELLO', version_min=900, version_max=901, program='x')


def test_arena_changed_after_the_deposit(val):
    """What is judged is what is written, whatever the worker does."""
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, CHUNK)
    raw, d = chunk(4242)
    b = blob(raw)
    seq = w.deposit_send(b, d, CHUNK)
    block = w.held[seq][0]
    for _ in range(200):
        w.arena[block * vworker.BLOCK + 100:
                block * vworker.BLOCK + 110] = os.urandom(10)
    try:
        w.deposit_wait(seq)
    except Failed:
        assert not val.store().has_chunk(d)
    else:
        assert unblob(val.store().chunk_path(d).read_bytes()) == raw
    w.close()


def test_encrypted_chunks_are_taken_on_trust(val):
    w = Worker(val).open(new_group())
    w.create('a.img.fidx', 1, CHUNK)
    d = os.urandom(32)
    assert not w.deposit(encrypted_blob(os.urandom(1000)), d,
                         CHUNK)['duplicate']
    w.close()
