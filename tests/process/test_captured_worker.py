"""What a captured worker can say to the validator.  Each test is somebody who
controls every byte of a worker and wants what is another tenant's: messages,
grants, digests, sessions (docs/security.md)."""

import os
import re

import pytest

import vworker
from instance import wait_for
from pbs import (CHUNK, blob, encrypted_blob, fixed_csum, parse_fixed, sha256,
                 unblob)
from test_finish import lose
from vtools import (backup, chunk, failure, later, lent, make_validator,
                    manifest, new_group, register, upload_image)
from vworker import (BACKUP, CALL, DEPOSIT, MESSAGES, READER, Closed, Failed,
                     Worker)

MINE, YOURS = 'mallory@pbs', 'alice@pbs'
STATES = dict(re.findall(
    r'^IPC_MSG\(WV,\s*TO_VAL,\s*(\w+),\s*\w+,\s*\d+,\s*IPC_S_(\w+)',
    (vworker.TOP / 'common/ipc_msgs.def').read_text(), re.M))
ANSWERS = sorted(set(MESSAGES) - set(STATES))
WITH_FD = ('SESSION_RESUME', 'CALL_DATA')
OF_BACKUPS = ('INDEX_CREATE', 'APPEND', 'INDEX_CLOSE', 'DEPOSIT', 'BLOB_PUT',
              'FINISH')


@pytest.fixture(scope='module')
def val(request):
    inst = make_validator(datastores=('store', 'other'))
    with lent(inst, request):
        yield inst


@pytest.fixture(scope='module')
def yours(val):
    """Another tenant's backup: its snapshot and its chunks."""
    snap = backup(val, new_group(), [71, 72], auth_id=YOURS)
    return snap, [chunk(71), chunk(72)]


def still_there(val, snap, chunks):
    """The other tenant's backup can be restored as it was."""
    with_reader = Worker(val).open(snap, READER, auth_id=YOURS)
    msg, data = with_reader.open_file('a.img.fidx')
    digests = parse_fixed(data)[2]
    assert digests == [d for _, d in chunks]
    for i, (raw, d) in enumerate(chunks):
        _, fds = with_reader.ask('CHUNK_OPEN', file=msg['file'], position=i,
                                 digest=d)
        with open(fds[0], 'rb') as f:
            assert unblob(f.read()) == raw
    with_reader.close()


# ---- grants

def test_every_bit_of_a_grant_counts(val):
    w = Worker(val)
    good = w.grant(BACKUP, MINE)
    snap = new_group()
    for i in range(len(good)):
        bad = good[:i] + bytes([good[i] ^ (1 << i % 8)]) + good[i + 1:]
        assert failure(w.open, snap, grant=bad).code == 'PERM', f'byte {i}'
    for bad in (good[:-1], good + b'\0', good[1:], bytes(len(good))):
        assert failure(w.open, snap, grant=bad).code == 'PERM'
    # None of that used it up, and it is for this one session.
    w.open(snap, grant=good, auth_id=MINE)
    w.close()


def test_grant_under_another_key(val):
    w = Worker(val)
    w.key = os.urandom(len(w.key))
    assert failure(w.open, new_group()).code == 'PERM'
    assert failure(w.call, 'STORE_LIST', store='').code == 'PERM'


@pytest.mark.parametrize('purpose', [BACKUP, READER, CALL])
@pytest.mark.parametrize('use', [BACKUP, READER, CALL])
def test_grant_for_another_purpose(val, yours, purpose, use):
    if use == purpose:
        return
    w = Worker(val)
    g = w.grant(purpose, YOURS)
    if use == CALL:
        error = failure(w.ask, 'CALL', op=vworker.OPS['SNAP_LIST'], grant=g,
                        store='store', type=255)
    else:
        snap = yours[0] if use == READER else later(yours[0])
        error = failure(w.open, snap, use, grant=g)
    assert error.code == 'PERM'


def test_grant_of_one_store_in_another(val, yours):
    w = Worker(val)
    for use in (BACKUP, READER):
        g = w.grant(use, MINE, store='other')
        assert failure(w.open, yours[0], use, grant=g).code == 'PERM'
    for op in ('SNAP_DELETE', 'PROTECTED_SET', 'GROUP_DELETE'):
        error = failure(w.call, op, MINE, grant_store='other', type=1,
                        id=yours[0][1], time=yours[0][2])
        assert error.code == 'PERM'
    still_there(val, *yours)


def test_own_rights_give_nothing_of_others(val, yours):
    """Backup and prune of one's own groups, as DatastorePowerUser has."""
    privs = vworker.BACKUP_PRIV | vworker.PRUNE
    snap = yours[0]
    w = Worker(val)
    where = {'type': 1, 'id': snap[1], 'time': snap[2], 'privs': privs}
    for op in ('SNAP_DELETE', 'GROUP_DELETE', 'PROTECTED_SET', 'SNAP_FILES'):
        assert 'owner check failed' in failure(w.call, op, MINE, **where).text
    assert 'owner check failed' in failure(
        w.open, snap, READER, auth_id=MINE, privs=privs).text
    assert 'owner check failed' in failure(
        w.open, later(snap), auth_id=MINE, privs=privs).text
    still_there(val, *yours)


# ---- messages

def in_state(val, state, snap):
    w = Worker(val, hello=state != 'NEW')
    if state == 'READER':
        w.open(snap, READER, auth_id=YOURS)
    elif state == 'SESSION':
        w.open(new_group(), auth_id=MINE)
    return w


def refused(w, name):
    fds = [os.memfd_create('x')] if name in WITH_FD else []
    try:
        w.ask(name, fds=fds)
    except (Failed, Closed):
        return True
    finally:
        for fd in fds:
            os.close(fd)
        w.close()
    return False


@pytest.mark.parametrize('state', ['NEW', 'READY', 'SESSION', 'READER'])
def test_every_message_out_of_state(val, yours, state):
    kind = {'READER': 'SESSION'}.get(state, state)
    for name, wanted in STATES.items():
        if wanted != kind or (state == 'READER' and name in OF_BACKUPS):
            assert refused(in_state(val, state, yours[0]), name), name
    for name in ANSWERS:
        w = in_state(val, state, yours[0])
        w.send(name)
        assert w.is_closed(), name
    still_there(val, *yours)


def test_messages_for_another_session(val):
    """Whatever is sent under the number of somebody else's session ends the
    own connection, and that session feels nothing."""
    snap = new_group()
    victim = Worker(val).open(snap, auth_id=YOURS)
    victim.create('a.img.fidx', 1, CHUNK)
    for name, state in STATES.items():
        if state == 'SESSION':
            w = Worker(val).open(new_group(), auth_id=MINE)
            w.send(name, session=victim.session)
            assert w.is_closed(), name
    raw, d = chunk(1)
    victim.deposit(blob(raw), d, CHUNK)
    victim.append(1, 0, [(0, *victim.known[d], d)])
    victim.close_index(1, 1, CHUNK, fixed_csum([d]))
    victim.put_blob('index.json.blob', manifest(snap))
    victim.finish()
    victim.close()


def test_resume_of_another_session(val):
    """Guessed keys, and a key of one session with the number of another."""
    victim = Worker(val).open(new_group(), auth_id=YOURS)
    mine = Worker(val).open(new_group(), auth_id=MINE)
    thief = Worker(val)
    thief.arena_fd = mine.arena_fd
    for key in (bytes(32), os.urandom(32), mine.resume_key,
                victim.resume_key[:31] + bytes([victim.resume_key[31] ^ 1])):
        thief.session, thief.resume_key = victim.session, key
        assert 'not known' in failure(thief.resume).text
    victim.put_blob('a.blob', blob(b'not disturbed'))
    victim.close()
    mine.close()


# ---- other tenants' chunks

def open_mine(val):
    w = Worker(val).open(new_group(), auth_id=MINE)
    w.create('a.img.fidx', 1, 2 * CHUNK)
    return w


def test_digest_of_another_tenant_in_an_index(val, yours):
    """A digest that one knows is worth nothing without the chunk."""
    digest = yours[1][0][1]
    w = open_mine(val)
    raw, own = chunk(5)
    w.deposit(blob(raw), own, CHUNK)
    for source, position in ((DEPOSIT, 0), (DEPOSIT, 1), (0, 0), (63, 0)):
        error = failure(w.append, 1, 0, [(0, source, position, digest)])
        assert error.code in ('INVALID', 'CORRUPT', 'NOT_FOUND', 'PARAM',
                              'NOT_ALLOWED'), error
    w.close()


def test_digest_of_another_tenant_by_the_own_base(val, yours):
    digest = yours[1][0][1]
    snap = backup(val, new_group(), [5], auth_id=MINE)
    w = Worker(val).open(later(snap), auth_id=MINE)
    msg, _ = w.open_file('a.img.fidx')
    w.create('b.img.fidx', 1, CHUNK)
    for position in (0, 1, 0xffffffff):
        failure(w.append, 1, 0, [(0, msg['file'], position, digest)])
    w.close()


def test_index_of_another_tenant_reused(val, yours):
    """reuse-csum names an index of the own base only."""
    w = Worker(val).open(new_group(), auth_id=MINE)
    csum = fixed_csum([d for _, d in yours[1]])
    failure(w.create, 'a.img.fidx', 1, 2 * CHUNK, csum)
    w.close()


def test_digest_of_another_tenant_in_a_reader(val, yours):
    snap = backup(val, new_group(), [5, 6], auth_id=MINE)
    w = Worker(val).open(snap, READER, auth_id=MINE)
    msg, _ = w.open_file('a.img.fidx')
    for _, digest in yours[1]:
        for file in (msg['file'], msg['file'] + 1, 63):
            for position in (0, 1, 2, 0xffffffff):
                error = failure(w.ask, 'CHUNK_OPEN', file=file,
                                position=position, digest=digest)
                assert error.code == 'NOT_ALLOWED'
    for name in ('../../host', f'../{yours[0][1]}/owner', '/etc/passwd',
                 'index.json.blob/..', '.', ''):
        failure(w.open_file, name)
    w.close()


def test_guessed_digest_needs_the_bytes(val, yours):
    """Wrong bytes under a digest that is stored are judged all the same."""
    raw, digest = yours[1][0]
    w = open_mine(val)
    for data in (b'x' * CHUNK, raw[:-1] + b'x'):
        error = failure(w.deposit, blob(data), digest, CHUNK)
        assert error.code == 'CORRUPT'
    w.close()
    still_there(val, *yours)


def test_encrypted_blob_under_a_plain_digest(val, yours):
    """It is taken on trust elsewhere: here it would be a way to read what is
    stored, or to destroy it."""
    digest = yours[1][0][1]
    w = open_mine(val)
    for compressed in (False, True):
        for size in (100, CHUNK):
            data = encrypted_blob(os.urandom(size), compressed=compressed)
            error = failure(w.deposit, data, digest, CHUNK)
            assert 'not allowed' in error.text
    failure(w.append, 1, 0, [(0, DEPOSIT, 0, digest)])
    w.close()
    still_there(val, *yours)


def test_plain_chunk_takes_the_place_of_a_claim(val):
    """Who lays rubbish under a digest before its owner comes gains nothing."""
    raw, digest = chunk(4711)
    w = open_mine(val)
    w.deposit(encrypted_blob(os.urandom(100)), digest, CHUNK)
    snap = new_group()
    upload_and_finish(val, snap, (raw, digest))
    still_there(val, snap, [(raw, digest)])
    w.close()


def upload_and_finish(val, snap, *chunks):
    w = Worker(val).open(snap, auth_id=YOURS)
    upload_image(w, 'a.img.fidx', list(chunks))
    w.put_blob('index.json.blob', manifest(snap))
    w.finish()
    w.close()


def test_slots_changed_while_they_are_judged(val):
    """What is stored is what was judged, whatever happens in the arena."""
    w = Worker(val).open(new_group(), auth_id=MINE)
    w.create('a.img.fidx', 1, 64 * CHUNK)
    for n in range(10):
        raw = os.urandom(1024) * (CHUNK // 1024)
        d = sha256(raw)
        seq = w.deposit_send(blob(raw), d, CHUNK)
        start = w.held[seq][0] * vworker.BLOCK
        for _ in range(50):
            at = start + int.from_bytes(os.urandom(3), 'little') % CHUNK
            w.arena[at:at + 1] = bytes([w.arena[at] ^ 0xff])
        try:
            w.deposit_wait(seq)
        except Failed:
            assert not val.store().has_chunk(d)
        else:
            assert unblob(val.store().chunk_path(d).read_bytes()) == raw
    w.close()


def test_an_index_without_entries(val):
    """It could not be read again, and would stop garbage collection for all
    tenants."""
    w = Worker(val).open(new_group(), auth_id=MINE)
    w.create('a.pxar.didx', 1)
    with pytest.raises(Failed, match='index has no entries'):
        w.close_index(1, 0, 0, sha256(b''))
    w.close()


# ---- what is checked is what is committed

FINISHING = 'backup is already in the process of finishing.'
# What stands still then, and how one sees that it does.
PHASES = {
    'check': (lambda f: None, 'check_held'),
    'manifest': (lambda f: f.hold_opens('index.json.blob'), 'open_held'),
    'compare': (lambda f: f.hold_opens('b.img.fidx'), 'open_held'),
    'commit': (lambda f: setattr(f, 'hold_sync', 1), 'sync_held'),
}


@pytest.fixture(scope='module')
def faulty_validator(request):
    inst = make_validator(faulty=True)
    # A damaged chunk is known, so that each finish looks for it.
    snap = new_group()
    w = Worker(inst).open(snap)
    upload_image(w, 'a.img.fidx', [chunk(91)])
    w.put_blob('index.json.blob', manifest(snap, [
        {'filename': 'a.img.fidx', 'size': CHUNK, 'crypt-mode': 'none',
         'csum': fixed_csum([chunk(91)[1]]).hex()}]))
    w.finish()
    w.close()
    lose(inst, snap, chunk(91)[1])
    with lent(inst, request):
        yield inst


@pytest.fixture
def faulty(faulty_validator):
    yield faulty_validator
    faulty_validator.faults.clear()


@pytest.mark.parametrize('phase', PHASES)
def test_a_backup_that_changes_while_it_finishes(faulty, phase):
    """Chunks of the base that nobody checked, or bytes that nobody synced,
    would be in a snapshot that is told to be whole."""
    faults = faulty.faults
    (raw, used), (_, other) = chunk(92), chunk(93)
    base = backup(faulty, new_group(), [92, 93], auth_id=MINE)
    if phase == 'check':
        faults.hold_checks(used)
    snap = later(base)
    w = Worker(faulty).open(snap, auth_id=MINE)
    register(w, 'a.img.fidx')
    upload_image(w, 'b.img.fidx', [(raw, used)])
    w.put_blob('index.json.blob', manifest(snap))
    hold, held = PHASES[phase]
    hold(faults)
    finish = w.send('FINISH')
    assert wait_for(lambda: getattr(faults, held))
    for what in (
            lambda: w.create('c.img.fidx', 2, CHUNK),
            lambda: w.append(1, 1, [(CHUNK, *w.known[other], other)]),
            lambda: w.close_index(1, 1, CHUNK, fixed_csum([used])),
            lambda: w.deposit(blob(chunk(94)[0]), chunk(94)[1], CHUNK),
            lambda: w.put_blob('late.blob', blob(b'late')),
            lambda: w.put_blob('index.json.blob', manifest(later(snap))),
            w.finish):
        assert failure(what).text == FINISHING
    if phase == 'commit':
        assert failure(w.open_file, 'a.img.fidx').text == FINISHING
    else:
        w.open_file('a.img.fidx')
    assert getattr(faults, held) and finish not in w.answers
    faults.clear()
    assert w.wait(finish)[0]['_name'] == 'FINISHED'
    w.close()
    path = faulty.store().snapshot_path(snap)
    assert {p.name for p in path.iterdir()} == {'b.img.fidx',
                                                'index.json.blob'}
    assert parse_fixed((path / 'b.img.fidx').read_bytes())[2] == [used]
    assert faulty.store().manifest(snap)['backup-time'] == snap[2]


def test_a_change_that_is_not_done_when_finish_is_asked_for(faulty):
    """It would be written after the sync.  A file that is only opened is no
    change."""
    base = backup(faulty, new_group(), [95], auth_id=MINE)
    snap = later(base)
    w = Worker(faulty).open(snap, auth_id=MINE)
    w.put_blob('index.json.blob', manifest(snap))
    faulty.faults.hold_opens('a.img.fidx')
    opening = w.send('FILE_OPEN', name='a.img.fidx')
    assert wait_for(lambda: faulty.faults.open_held)
    data = blob(b'late')
    block, _ = w.take_blocks(data)
    change = w.send('BLOB_PUT', name='late.blob', block=block, len=len(data))
    assert 'still in work' in failure(w.finish).text
    faulty.faults.clear()
    w.wait(change)
    w.wait(opening)
    faulty.faults.hold_opens('a.blob')
    opening = w.send('FILE_OPEN', name='a.blob')
    assert wait_for(lambda: faulty.faults.open_held)
    finish = w.send('FINISH')
    faulty.faults.clear()
    failure(w.wait, opening)
    w.wait(finish)
    w.close()
    assert (faulty.store().snapshot_path(snap) / 'late.blob').exists()


def test_sealed_descriptors_only(val):
    """The file of a resume, or of a call, that can still be cut would end the
    validator or a checker with SIGBUS."""
    w = Worker(val)
    fd = os.memfd_create('data', os.MFD_ALLOW_SEALING)
    os.write(fd, b'note')
    g = w.grant(CALL, YOURS)
    try:
        w.ask('CALL_DATA', fds=[fd], op=vworker.OPS['GROUP_NOTES_SET'],
              grant=g, store='store', type=1, id='nothing')
    except Failed:
        pass
    with open('/dev/zero') as f:
        with pytest.raises(Failed):
            w.ask('CALL_DATA', fds=[f.fileno()],
                  op=vworker.OPS['GROUP_NOTES_SET'], grant=w.grant(CALL),
                  store='store', type=1, id='nothing')
    os.close(fd)
    w.close()
    assert Worker(val).call('STORE_LIST', store='')
