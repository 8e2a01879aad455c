"""One of everything that changes a datastore, with what each answer promises
written down as it comes."""

import os

from instance import wait_for
from pbs import Manifest, blob, dynamic_csum, parse_dynamic, sha256
from powercut.expected import ABSENT, Expected
from store import time_text
from vtools import wait_gone
from vworker import (CALL, MESSAGES, OPS, READER, TYPES, Worker, grant,
                     read_all)

NAME = 'root.pxar.didx'
OWNER = 'root@pam'
LONG_AGO = 1_000_000_000
PIECES = 120
# A recording takes so long by the validator's clock, which is set forward
# after each step: chunks of earlier ones are known to be durable.
STEP_S = 150
BEGIN_S = 30 * STEP_S
ANSWERS = {MESSAGES[name][0] for name in ('FINISHED', 'CALL_REPLY')}


def piece(n):
    """Chunk number n: some blocks of a disk."""
    return b'%06d' % n * (700 + n * 37 % 2500)


def digests():
    return [sha256(piece(n)) for n in range(PIECES)]


def csum(numbers):
    entries, end = [], 0
    for n in numbers:
        end += len(piece(n))
        entries.append((end, sha256(piece(n))))
    return dynamic_csum(entries), entries


def whole(numbers):
    """How look() shows a snapshot of these chunks."""
    return f'whole {csum(numbers)[0].hex()[:16]}'


def key_of(snap, ns=''):
    return (f'{ns}:' if ns else '') + \
        f'{snap[0]}/{snap[1]}/{time_text(snap[2])}'


def store_chunks(w, numbers):
    for n in numbers:
        if sha256(piece(n)) not in w.known:
            w.deposit(blob(piece(n)), sha256(piece(n)), len(piece(n)))


def know_base(w):
    """The chunks of the base become known."""
    msg, data = w.open_file(NAME)
    for i, (_, digest) in enumerate(parse_dynamic(data)[1]):
        w.known[digest] = msg['file'], i


def prepare_backup(w, snap, numbers):
    """All of a backup but its end."""
    if w.base_time:
        know_base(w)
    w.create(NAME)
    store_chunks(w, numbers)
    total, entries = csum(numbers)
    starts = [0] + [end for end, _ in entries]
    w.append(1, 0, [(start, *w.known[digest], digest)
                    for start, (_, digest) in zip(starts, entries)])
    w.close_index(1, len(entries), entries[-1][0], total)
    manifest = Manifest(snap)
    manifest.add(NAME, entries[-1][0], total)
    w.put_blob('index.json.blob', manifest.blob())


def back_up(inst, snap, numbers, ns=''):
    """A backup that reuses what its base has, and expects nothing."""
    w = Worker(inst).open(snap, ns=ns)
    prepare_backup(w, snap, numbers)
    w.finish()
    w.close()


def restore(inst, snap, ns=''):
    """The bytes of a snapshot."""
    w = Worker(inst).open(snap, READER, ns=ns)
    msg, data = w.open_file(NAME)
    out = []
    for i, (_, digest) in enumerate(parse_dynamic(data)[1]):
        _, fds = w.ask('CHUNK_OPEN', file=msg['file'], position=i,
                       digest=digest)
        out.append(read_all(fds[0]))
    w.close()
    return out


def task_status(inst, upid):
    """How a task ended, once it has."""
    return wait_for(lambda: next(
        (t['status'] for t in inst.admin_json('task', 'list')
         if t['upid'] == upid and 'status' in t), None))


class Workload:
    def __init__(self, inst, recording):
        self.inst = inst
        self.recording = recording
        self.expected = Expected(recording)
        self.store = inst.stores / 'store'
        self.clock = -BEGIN_S
        recording.shift_clock(self.clock)

    # ---- promises

    def answered(self):
        """Just behind the answer that came last."""
        self.recording.read()
        return 1 + next(op.number for op in reversed(self.recording.ops)
                        if op.sent in ANSWERS)

    def change(self, do, values):
        """Asks for something.  values: what is there once it is answered."""
        for what, value in values.items():
            self.expected.may(what, value)
        do()
        since = self.answered()
        for what, value in values.items():
            self.expected.must(what, value, since)
        self.next_step()

    def next_step(self):
        self.clock = min(0, self.clock + STEP_S)
        self.recording.shift_clock(self.clock)

    # ---- steps

    def back_up(self, snap, numbers, ns=''):
        key = key_of(snap, ns)
        group = key.rpartition('/')[0]
        self.expected.may(f'owner {group}', OWNER)
        w = Worker(self.inst).open(snap, ns=ns)
        prepare_backup(w, snap, numbers)
        self.change(w.finish, {f'snapshot {key}': whole(numbers),
                                   f'owner {group}': OWNER})
        w.close()

    def call(self, values, op, snap=None, **fields):
        if snap:
            fields.update(type=TYPES[snap[0]], id=snap[1], time=snap[2])
        self.change(lambda: Worker(self.inst).call(op, **fields), values)

    def wait_for_task(self, upid):
        assert task_status(self.inst, upid)
        self.next_step()

    def chunk_path(self, n):
        return self.inst.store().chunk_path(sha256(piece(n)))

    def leave_open(self, snap, numbers):
        """A backup that gets no further than that."""
        self.expected.may(f'owner {snap[0]}/{snap[1]}', OWNER)
        w = Worker(self.inst).open(snap)
        w.create(NAME)
        store_chunks(w, numbers)
        return w

    def run(self):
        a1, a2, a3 = (('host', 'a', 1700000000 + n) for n in range(3))
        self.back_up(a1, [0, 1, 2, 3])
        self.back_up(a2, [0, 1, 4, 5])
        self.describe(a2)
        in_flight = self.leave_open(('vm', '100', 1700000000), [50, 51, 52])
        self.call({'namespace n': True}, 'NS_CREATE', name='n')
        self.back_up(('ct', '7', 1700000000), [0, 6], ns='n')
        self.give_away(('ct', '7', 1700000000), 'n', 'u@pbs')
        self.forget_and_collect(a1, in_flight)
        self.verify_and_heal()
        self.miss_a_chunk()
        self.back_up(a3, [0, 2, 4, 7])
        in_flight.close()
        wait_gone(self.inst, in_flight)
        self.remove_groups()

    def describe(self, snap):
        key, group = key_of(snap), f'{snap[0]}/{snap[1]}'
        for text in 'first', 'second ' * 1000:
            self.call({f'notes {key}': text}, 'SNAP_NOTES_SET', snap,
                      data=text.encode())
        self.call({f'group-notes {group}': 'of the group'}, 'GROUP_NOTES_SET',
                  snap, data=b'of the group')
        for on in True, False, True:
            self.call({f'protected {key}': on}, 'PROTECTED_SET', snap,
                      n0=int(on))

    def give_away(self, snap, ns, owner):
        w = Worker(self.inst)
        g = grant(w.key, CALL, OWNER, store='store', ns=ns, subject=owner)
        self.change(
            lambda: w.ask('CALL', op=OPS['GROUP_OWNER'], grant=g,
                          store='store', ns=ns, auth_id=owner,
                          type=TYPES[snap[0]], id=snap[1], time=snap[2]),
            {f'owner {ns}:{snap[0]}/{snap[1]}': owner})

    def forget_and_collect(self, snap, in_flight):
        key = key_of(snap)
        self.call({f'snapshot {key}': ABSENT}, 'SNAP_DELETE', snap)
        for n in 2, 3:
            os.utime(self.chunk_path(n), (LONG_AGO, LONG_AGO))
        self.wait_for_task(
            self.inst.admin_json('gc', 'start', 'store')['upid'])
        assert not self.chunk_path(2).exists()
        store_chunks(in_flight, [2, 53])

    def verify_and_heal(self):
        b1, b2 = ('host', 'b', 1700000000), ('host', 'b', 1700000001)
        good = [what.partition(' ')[2] for what in self.expected.steps
                if what.startswith('snapshot') and
                self.expected.now(what) != {ABSENT}]
        self.back_up(b1, [10, 11, 12])
        key = key_of(b1)
        self.expected.may(f'snapshot {key}', broken(11))
        self.recording.tamper(self.chunk_path(11), b'\0' * 100)
        self.expected.must(f'snapshot {key}', broken(11))
        for k in (*good, key):
            self.expected.may(f'verified {k}', 'ok', 'failed')
        self.wait_for_task(self.inst.admin('verify', 'store').strip())
        for k in good:
            self.expected.must(f'verified {k}', 'ok')
        self.expected.must(f'verified {key}', 'failed')
        self.expected.may(f'snapshot {key}', whole([10, 11, 12]))
        self.back_up(b2, [10, 11, 12])
        self.expected.must(f'snapshot {key}', whole([10, 11, 12]))

    def miss_a_chunk(self):
        """The base of a backup is marked as bad before the client hears."""
        c1, c2 = ('host', 'c', 1700000000), ('host', 'c', 1700000001)
        self.back_up(c1, [20, 21, 22])
        key = key_of(c1)
        self.expected.may(f'snapshot {key}', broken(21))
        self.recording.tamper(self.chunk_path(21))
        self.expected.must(f'snapshot {key}', broken(21))
        w = Worker(self.inst).open(c2)
        self.expected.may(f'verified {key}', 'failed')
        know_base(w)
        w.wait_aborted()
        self.expected.must(f'verified {key}', 'failed')
        self.next_step()
        w.close()

    def remove_groups(self):
        """Empty folders may stay."""
        b1, b2 = ('host', 'b', 1700000000), ('host', 'b', 1700000001)
        self.expected.may('owner host/b', '')
        self.call({f'snapshot {key_of(s)}': ABSENT for s in (b1, b2)},
                  'GROUP_DELETE', b1)
        n1 = 'ct', '7', 1700000000
        self.expected.may('owner n:ct/7', '')
        self.expected.may('namespace n', False)
        self.call({f'snapshot {key_of(n1, "n")}': ABSENT}, 'NS_DELETE', ns='n',
                  flags=1)


def broken(n):
    return f'broken: chunk {sha256(piece(n)).hex()[:8]}'
