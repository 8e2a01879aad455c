"""A power cut at any moment while holdfast-auth makes its keys and changes
accounts: as in test_powercut.py, disks are made as it may leave them.  On each,
all that was answered is there, and an auth that is started on it goes on.

HOLDFAST_STATES=N, HOLDFAST_SEED=N and HOLDFAST_LONG=1 as there.
"""

import hashlib
import os
import shutil

import lmdb
import pytest

import authipc
from conftest import make_folder
from instance import DAEMON_USERS
from powercut import crash
from powercut.recording import SYNC_FILE, Recording, build
from test_powercut import LONG, SEED, STATES

READ_ONLY_STATES = 20 * STATES
ANSWERS = {authipc.MESSAGES[name] for name in ('CTL_REPLY', 'LOGGED_IN')}
# Each of them appears once, whole, and stays.
KEY, CERTIFICATE = 'auth/key.pem', 'auth/certificate.pem'
KEYS = 'grant.key', 'auth/ticket.key', 'auth/instance.id', KEY, CERTIFICATE
DATABASE = 'auth/accounts/data.mdb'
ABSENT, NEW = 'absent', 'without accounts'
USER, PASSWORD, NEXT_PASSWORD = 'bob@pbs', 'open sesame', 'close sesame'


def records(path):
    """All of the database, in one word."""
    env = lmdb.open(str(path), subdir=False, readonly=True, lock=False,
                    max_dbs=8)
    digest = hashlib.sha256()
    with env.begin() as txn:
        names = [key for key, _ in txn.cursor()]
    for name in names:
        db = env.open_db(name, create=False)
        with env.begin(db=db) as txn:
            for key, value in txn.cursor():
                digest.update(repr((name, key, value)).encode())
    env.close()
    return digest.hexdigest() if names else NEW


class Accounts:
    """What an auth did to its disk, and what its answers promise:
    promises is {what: [(operation, values)]}, in order."""

    def __init__(self, folder):
        folder.chmod(0o755)
        self.scratch = folder / 'scratch.mdb'
        self.state = folder / 'state'
        self.state.mkdir(mode=0o755)
        self.recording = Recording(folder / 'record', (self.state,))
        library = build(folder)
        self.auth = authipc.Auth(folder, environment={
            **self.recording.environment, 'LD_PRELOAD': str(library),
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
            ':verify_asan_link_order=0'})
        self.promises = {name: [(0, {ABSENT, self.live(name)}),
                                (self.answered(), {self.live(name)})]
                         for name in KEYS}
        # Before superuser and tables: nobody was told of any.
        self.promises[DATABASE] = [(0, None),
                                   (self.answered(), {self.accounts()})]
        self.run()
        self.auth.stop()
        self.auth.environment = {}
        self.recording.read()
        self.recording.settle()

    def live(self, name):
        return (self.state / name).read_bytes()

    def accounts(self):
        return records(self.state / DATABASE)

    def answered(self):
        """Just behind the answer that came last."""
        self.recording.read()
        return 1 + max(op.number for op in self.recording.ops
                       if op.sent in ANSWERS)

    def change(self, do):
        """A change of the accounts: all of it or nothing, and once it is
        answered, all."""
        begin, old = self.recording.read(), self.accounts()
        result = do()
        new = self.accounts()
        assert new != old
        self.promises[DATABASE] += [(begin, {old, new}),
                                    (self.answered(), {new})]
        return result

    def run(self):
        a = self.auth

        def admin(*args, data=None):
            self.change(lambda: a.admin(*args, data=data))
        self.change(lambda: a.make_user(USER, PASSWORD, comment='Bob'))
        admin('acl', 'update', '/', 'Audit', '--auth-id', USER)
        admin('user', 'update', USER, '--comment', 'Robert')
        self.token = self.change(lambda: a.make_token(USER, 'kept'))
        self.change(lambda: a.make_token(USER, 'gone'))
        admin('token', 'update', USER, 'gone', '--comment', 'old')
        admin('token', 'revoke', USER, 'gone')
        for n in range(20):  # more than a page
            admin('user', 'create', f'user{n}@pbs', '--no-password',
                  '--comment', 'x' * 200)
        admin('user', 'passwd', USER, data=NEXT_PASSWORD + '\n')
        admin('acl', 'update', '/datastore/store', 'DatastoreAdmin',
              '--auth-id', f'{USER}!kept')
        admin('acl', 'remove', '/', 'Audit', '--auth-id', USER)
        admin('user', 'remove', 'user7@pbs')
        with a.worker() as w:
            self.ticket, _ = w.login(USER, NEXT_PASSWORD)
        self.last = self.answered()

    # ---- states

    def some_states(self, n):
        return crash.some_states(self.recording, n, SEED)

    def read(self, disk, name):
        data = disk.read(self.state / name)
        if data is None or name != DATABASE:
            return ABSENT if data is None else data
        self.scratch.write_bytes(data)
        try:
            return records(self.scratch)
        except lmdb.Error as error:
            return f'damaged: {error}'

    def violations(self, disk):
        out = []
        for name, steps in self.promises.items():
            allowed = [values for number, values in steps
                       if number <= disk.cut][-1]
            seen = self.read(disk, name)
            if allowed is None:
                if str(seen).startswith('damaged'):
                    out.append((name, seen))
            elif seen not in allowed:
                out.append((name, seen, allowed))
        if self.read(disk, CERTIFICATE) != ABSENT == self.read(disk, KEY):
            out.append('a certificate without its key')
        return out

    def start_on(self, disk):
        """An auth on this disk; what it is asked for works, and nobody is
        told anything else than before."""
        disk.write(self.state)
        crash.seal_key(self.state)
        if os.getuid() == 0:
            for path in self.state.rglob('*'):
                if path.name != 'grant.key':
                    shutil.chown(path, DAEMON_USERS[1], DAEMON_USERS[1])
        self.auth.start()
        try:
            assert self.auth.admin_json('user', 'list')
            self.auth.admin('cert', 'info')
            if disk.cut >= self.last:
                with self.auth.worker() as w:
                    assert w.verify(authipc.TICKET, self.ticket) == USER
                with self.auth.worker() as w:
                    w.verify(authipc.TOKEN, self.token[1], self.token[0])
            self.auth.make_user('next@pbs')
            with self.auth.worker() as w:
                w.login('next@pbs', 'open sesame')
        finally:
            self.auth.stop()


@pytest.fixture(scope='module')
def accounts():
    folder = make_folder()
    a = None
    try:
        a = Accounts(folder)
        yield a
    finally:
        if a:
            a.auth.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_recorded(accounts):
    """What is read off the recording is what is on the disk."""
    disk = crash.Disk(accounts.recording, len(accounts.recording.ops))
    assert accounts.violations(disk) == []
    for name in KEYS:
        assert accounts.read(disk, name) == accounts.live(name)


def test_what_was_answered_is_there(accounts):
    for cut, keep in crash.every_state(accounts.recording) if LONG else \
            accounts.some_states(READ_ONLY_STATES):
        disk = crash.Disk(accounts.recording, cut, keep)
        assert accounts.violations(disk) == [], (cut, keep)


def test_a_missing_sync_is_noticed(accounts):
    """The same states, if auth had not called it."""
    accounts.recording.settle(ignore={SYNC_FILE})
    try:
        assert any(accounts.violations(
            crash.Disk(accounts.recording, cut, keep))
            for cut, keep in accounts.some_states(READ_ONLY_STATES))
    finally:
        accounts.recording.settle()


def test_auth_goes_on(accounts):
    for cut, keep in accounts.some_states(STATES):
        accounts.start_on(crash.Disk(accounts.recording, cut, keep))
    accounts.start_on(crash.Disk(accounts.recording,
                                 len(accounts.recording.ops)))
