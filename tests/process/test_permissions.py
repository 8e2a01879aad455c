"""Who may do what (wire-protocol 6): every role in every call, where a call
is about a group on one's own, of one's token, of one's user, of somebody else,
and on none.  The tables are the specification's; the program's are not looked
at."""

import os
import shutil
import subprocess

import pytest

import accounts
import calls
import pbs
from accounts import ROLES, Accounts, all_at_once, owns, privileges, user_of
from pbs import blob

INSTANCE = accounts.PATIENT
NS = 'a/b'
OTHER = 'other@pbs'
FRIEND = 'friend@pbs'
TIMES = (1600000000, 1600000100)
LATER = 1600000200

# 6.3: (free with, with the owner check)
RULES = {
    'backup':          ('', 'Backup'),
    'reader':          ('Read', 'Backup'),
    'files':           ('Audit Read', 'Backup'),
    'download':        ('Read', 'Backup'),
    'decoded':         ('Read', 'Backup'),
    'catalog':         ('Read', 'Backup'),
    'pxar-file':       ('Read', 'Backup'),
    'verify':          ('Verify', 'Backup'),
    'notes':           ('Audit', 'Backup'),
    'protected':       ('Audit', 'Backup'),
    'group-notes':     ('Audit', 'Backup'),
    'set-notes':       ('Modify', 'Backup'),
    'set-protected':   ('Modify', 'Backup'),
    'set-group-notes': ('Modify', 'Backup'),
    'upload-log':      ('', 'Backup'),
    'prune':           ('Modify', 'Prune'),
    'change-owner':    ('Modify', 'Backup'),
    'forget':          ('Modify', 'Prune'),
    'delete-group':    ('Modify', 'Prune'),
}

# What whoever has the rights is told: not now, not here.
AFTER_RIGHTS = {
    'verify': 'a verification of this datastore is already running',
    'catalog': "manifest does not contain file 'catalog.pcat1.didx'",
    'pxar-file': "manifest does not contain file 'a.pxar.didx'",
}
LOG = blob(b'the log of a job')
# call: method, last part of the path, further parameters, body
REQUESTS = {
    'files':           ('GET', 'files', {}, b''),
    'download':        ('GET', 'download', {'file-name': 'a.conf.blob'}, b''),
    'decoded':         ('GET', 'download-decoded',
                        {'file-name': 'a.conf.blob'}, b''),
    'catalog':         ('GET', 'catalog', {'filepath': 'Lw=='}, b''),
    'pxar-file':       ('GET', 'pxar-file-download',
                        {'filepath': 'L2EucHhhci5kaWR4L2I='}, b''),
    'verify':          ('POST', 'verify', {}, b''),
    'notes':           ('GET', 'notes', {}, b''),
    'protected':       ('GET', 'protected', {}, b''),
    'group-notes':     ('GET', 'group-notes', {}, b''),
    'set-notes':       ('PUT', 'notes', {'notes': 'n'}, b''),
    'set-protected':   ('PUT', 'protected', {'protected': False}, b''),
    'set-group-notes': ('PUT', 'group-notes', {'notes': 'g'}, b''),
    'upload-log':      ('POST', 'upload-backup-log', {}, LOG),
    'prune':           ('POST', 'prune', {'dry-run': True, 'keep-last': 1},
                        b''),
    'change-owner':    ('POST', 'change-owner', {'new-owner': FRIEND}, b''),
    'forget':          ('DELETE', 'snapshots', {}, b''),
    'delete-group':    ('DELETE', 'groups', {}, b''),
}
# Calls with a group of their own: they change it or take its lock.
USES = {'change-owner': 'owner', 'verify': 'session'}
# What is about no group.
# call: (free with; None: anybody who is logged in, path that counts below the
#        datastore, method, path, parameters)
ON_STORE = 'admin/datastore/{store}'
TASK = 'nodes/localhost/tasks/{upid}'  # somebody else's
WIDE = {
    'ping':        (None, '', 'GET', 'ping', {}),
    'health':      (None, '', 'GET', '/health', {}),
    'version':     (None, '', 'GET', 'version', {}),
    'identity':    (None, '', 'GET', 'nodes/localhost/identity', {}),
    'realms':      (None, '', 'GET', 'access/domains', {}),
    'roles':       (None, '', 'GET', 'access/roles', {}),
    'users':       (None, '', 'GET', 'access/users', {}),
    'permissions': (None, '', 'GET', 'access/permissions', {}),
    'logout':      (None, '', 'DELETE', 'access/ticket', {}),
    'stores':      (None, '', 'GET', 'admin/datastore', {}),
    'status':      ('Audit Backup', '', 'GET', f'{ON_STORE}/status', {}),
    'gc-status':   ('Audit', '', 'GET', f'{ON_STORE}/gc', {}),
    'gc':          ('Modify', '', 'POST', f'{ON_STORE}/gc', {}),
    'groups':      ('Audit Backup', NS, 'GET', f'{ON_STORE}/groups',
                    {'ns': NS}),
    'snapshots':   ('Audit Backup', NS, 'GET', f'{ON_STORE}/snapshots',
                    {'ns': NS}),
    'namespaces':  ('Audit Modify Read Backup', NS, 'GET',
                    f'{ON_STORE}/namespace', {'parent': NS}),
    'create-ns':   ('Modify', NS, 'POST', f'{ON_STORE}/namespace',
                    {'parent': NS, 'name': 'new'}),
    # With a group of the caller's in it.
    'delete-ns':   ('Modify', NS, 'DELETE', f'{ON_STORE}/namespace',
                    {'ns': '{mine}', 'delete-groups': True}),
    'verify-ns':   ('Verify', f'{NS}/empty', 'POST', f'{ON_STORE}/verify',
                    {'ns': f'{NS}/empty'}),
    'prune-ns':    ('Modify Prune', NS, 'POST', f'{ON_STORE}/prune-datastore',
                    {'ns': NS, 'max-depth': 0, 'keep-last': 1,
                     'dry-run': True}),
    'tasks':       (None, '', 'GET', 'nodes/localhost/tasks', {}),
    'task-status': ('Sys.Audit', '', 'GET', f'{TASK}/status', {}),
    'task-log':    ('Sys.Audit', '', 'GET', f'{TASK}/log', {}),
    'task-stop':   ('Sys.Modify', '', 'DELETE', TASK, {}),
}
# Who has none of these privileges is told so in other words.
WIDE_DENIED = {
    'status':      (403, 'permission check failed'),
    'namespaces':  (403, 'permission check failed'),
    'task-status': (400, 'task access not allowed'),
    'task-log':    (400, 'task access not allowed'),
    'task-stop':   (400, "missing permissions 'Sys.Modify' on "
                         "'/system/tasks'"),
}
WIDE_AFTER_RIGHTS = {
    'gc': 'garbage collection already running',
    'verify-ns': AFTER_RIGHTS['verify'],
}
# Nobody has a role in these: test_access.py has them.
OF_ONESELF = {('POST', 'access/ticket'), ('PUT', 'access/password')}
OF_GROUPS = ('group-notes', 'set-group-notes', 'prune', 'change-owner',
             'delete-group')


class Caller:
    """One with a role on the namespace; a token's user may have another."""

    def __init__(self, auth_id, role, users_role=None):
        self.auth_id = auth_id
        self.roles = {auth_id: role}
        self.privs = privileges(role)
        if '!' in auth_id:
            self.roles[user_of(auth_id)] = users_role
            self.privs &= privileges(users_role)

    def __str__(self):
        return '-'.join(('token' if '!' in self.auth_id else 'user',
                         *map(str, self.roles.values())))

    @property
    def group_owners(self):
        """Whose groups it meets; None: there is no group."""
        if '!' not in self.auth_id:
            return [self.auth_id, f'{self.auth_id}!tok', OTHER,
                    f'{OTHER}!tok', None]
        user = user_of(self.auth_id)
        return [self.auth_id, user, f'{user}!sibling', OTHER, None]


def callers():
    roles = [*ROLES, None]
    out = [Caller(f'u{i}@pbs', role) for i, role in enumerate(roles)]
    out += [Caller(f't{i}@pbs!tok', role, role)
            for i, role in enumerate(roles)]
    # A token has what it and its user have.
    out += [Caller(f'x{i}@pbs!tok', *pair) for i, pair in enumerate((
        (None, 'Admin'), ('Admin', None), ('Admin', 'DatastoreBackup'),
        ('DatastoreBackup', 'DatastoreReader'),
        ('DatastorePowerUser', 'DatastoreAdmin')))]
    return out


CALLERS = callers()
every_caller = pytest.mark.parametrize('caller', CALLERS, ids=str)


# ---- the world

def group_id(caller, owner, use):
    """use: each call that changes its group has one of its own."""
    return f'{caller}-{owner}-{use}'.replace('@', '_').replace('!', '.')


def space(caller):
    """A namespace of its own, below the one that all share."""
    return f'{NS}/of-{CALLERS.index(caller)}'


class World:
    def __init__(self, instance):
        self.instance = instance
        self.accounts = Accounts(instance)
        store = f'/datastore/{instance.store_name}'
        ids = {OTHER, FRIEND}
        acl = []
        for c in CALLERS:
            ids |= {c.auth_id, user_of(c.auth_id)}
            acl += [(path, a, r, path != store)
                    for a, r in c.roles.items() if r
                    for path in (store, f'{store}/{NS}', '/system/tasks')]
        self.accounts.add(ids, acl)
        self.conn = instance.login()
        self.make_groups()

    def make_groups(self):
        self.make_namespace('a')
        self.make_namespace(NS)
        self.make_namespace(f'{NS}/empty')
        for when in TIMES:
            with self.instance.backup(('host', 'pattern', when),
                                      ns=NS) as s:
                s.blob('a.conf.blob', blob(b'configuration'))
                manifest = pbs.Manifest(s.snapshot)
                data = blob(b'configuration')
                manifest.add('a.conf.blob', len(data), pbs.sha256(data))
                s.blob('index.json.blob', manifest.blob())
                s.finish()
        pattern = self.instance.store().snapshot_path(
            ('host', 'pattern', TIMES[0]), NS).parent
        for c in CALLERS:
            for owner in filter(None, c.group_owners):
                for use in ('main', 'owner', 'session'):
                    self.copy(pattern, group_id(c, owner, use), owner)
            self.make_namespace(space(c))
            self.copy(pattern, 'x', c.auth_id, self.folder(space(c)))
        shutil.rmtree(pattern)
        self.task = self.conn.get(
            'nodes/localhost/tasks', typefilter='backup')[0]['upid']

    def make_namespace(self, ns):
        parent, _, name = ns.rpartition('/')
        self.conn.post(
            f'admin/datastore/{self.instance.store_name}/namespace',
            {'parent': parent, 'name': name})

    def folder(self, ns):
        """Of the groups of type host."""
        return self.instance.store().snapshot_path(('host', 'x', 1),
                                                   ns).parent.parent

    def copy(self, pattern, name, owner, where=None):
        where = where or pattern.parent
        if not where.exists():
            where.mkdir()
            shutil.copystat(pattern.parent, where)
            st = pattern.parent.stat()
            os.chown(where, st.st_uid, st.st_gid)
        subprocess.run(['cp', '-a', pattern, where / name], check=True)
        (where / name / 'owner').write_text(owner + '\n')

    # -- what one caller meets in the groups of one owner

    def ask(self, conn, call, name, when=TIMES[1]):
        method, last, more, body = REQUESTS[call]
        query = {'ns': NS, 'backup-type': 'host', 'backup-id': name, **more}
        if call not in OF_GROUPS:
            query['backup-time'] = when
        return conn.request(
            method, f'admin/datastore/{self.instance.store_name}/{last}',
            query, body=body)

    def upgrade(self, conn, call, name, when, protocol):
        r = conn.upgrade(call, protocol, {
            'store': self.instance.store_name, 'ns': NS,
            'backup-type': 'host', 'backup-id': name, 'backup-time': when})
        if r.status == 101:
            conn.close()
        return r

    def meet(self, key):
        caller, owner = key
        found = {}
        for call, when, protocol in (
                ('reader', TIMES[1], pbs.READER_PROTOCOL),
                ('backup', LATER, pbs.BACKUP_PROTOCOL)):
            conn = self.accounts.connect(caller.auth_id)
            found[call] = self.upgrade(
                conn, call, group_id(caller, owner, 'session'), when,
                protocol)
        conn = self.accounts.connect(caller.auth_id)
        for call in REQUESTS:
            found[call] = self.ask(conn, call, group_id(
                caller, owner, USES.get(call, 'main')))
        conn.close()
        return found

    def meet_wide(self, caller):
        """What it meets beside groups."""
        conn = self.accounts.connect(caller.auth_id)
        words = {'store': self.instance.store_name, 'mine': space(caller),
                 'upid': self.task}
        found = {}
        for call, (_, _, method, path, query) in WIDE.items():
            found[call] = conn.request(
                method, path.format(**words),
                {k: v.format(**words) if isinstance(v, str) else v
                 for k, v in query.items()})
        conn.close()
        return found


@pytest.fixture(scope='module')
def world(instance):
    return World(instance)


@pytest.fixture(scope='module')
def met(world):
    """{(caller, owner): {call: response}}"""
    keys = [(c, owner) for c in CALLERS for owner in c.group_owners]
    return all_at_once(world.meet, keys)


@pytest.fixture(scope='module')
def met_wide(world, met):
    """{caller: {call: response}}, when all is done with groups."""
    return all_at_once(world.meet_wide, CALLERS)


def test_every_call_has_a_row():
    """A session needs no rights but those of its upgrade."""
    rows = {('GET', 'backup'), ('GET', 'reader')} | OF_ONESELF
    rows |= {(method, f'{ON_STORE}/{last}')
             for method, last, _, _ in REQUESTS.values()}
    rows |= {(method, path.replace('localhost', '{node}'))
             for _, _, method, path, _ in WIDE.values()}
    assert {c.key[1:] for c in calls.HTTP1_CALLS} == rows
    assert set(RULES) == {'backup', 'reader', *REQUESTS}


# ---- what is expected

def names(text):
    return {word if '.' in word else f'Datastore.{word}'
            for word in text.split()}


def denied(call, caller, store):
    """(status, start of the text): no right that would do."""
    path = f'/datastore/{store}/{NS}'
    if call == 'backup':
        return 403, f"missing permissions 'Datastore.Backup' on '{path}'"
    if call == 'reader':
        return 400, f'no permissions on {path}'
    return 403, 'permission check failed - missing '


def not_owner(call, caller, owner, group):
    if call == 'reader':
        return 400, 'backup owner check failed!'
    if call == 'change-owner':
        return 401, (f'{caller.auth_id} does not have permission to change '
                     f"owner of backup group 'host/{group}' to {FRIEND}")
    return 400, f'backup owner check failed ({caller.auth_id} != {owner})'


def expected(call, caller, owner, store, group):
    """None: it may; else (status, text)."""
    free, own = map(names, RULES[call])
    if caller.privs & free:
        return None
    if not caller.privs & own:
        return denied(call, caller, store)
    # To give a group away altogether takes more than owning it.
    if call != 'change-owner' and owns(caller.auth_id, owner):
        return None
    return not_owner(call, caller, owner, group)


def missing_names(text):
    """Which privileges a 403 asks for, and where."""
    words, _, path = text.removeprefix(
        'permission check failed - missing ').partition(' on ')
    return set(words.split('|')), path


@every_caller
@pytest.mark.parametrize('call', RULES)
def test_call(world, met, caller, call):
    store = world.instance.store_name
    for owner in filter(None, caller.group_owners):
        group = group_id(caller, owner, USES.get(call, 'main'))
        r = met[caller, owner][call]
        want = expected(call, caller, owner, store, group)
        if want is None:
            assert r.status in (200, 101) or \
                r.text == AFTER_RIGHTS.get(call), (owner, r.text)
            continue
        assert (r.status, r.text[:len(want[1])]) == want, owner
        if want[1].endswith('missing '):
            free, own = map(names, RULES[call])
            assert missing_names(r.text) == \
                (free | own, f'/datastore/{store}/{NS}')
        elif call != 'backup':
            assert r.text == want[1]


@every_caller
@pytest.mark.parametrize('call', RULES)
def test_call_on_no_group(world, met, caller, call):
    """Nobody without rights learns that it is not there; who would have to
    own it does not."""
    r = met[caller, None][call]
    free, own = map(names, RULES[call])
    if not caller.privs & (free | own):
        want = denied(call, caller, world.instance.store_name)
        assert (r.status, r.text[:len(want[1])]) == want
    elif call == 'backup':
        assert r.status == 101, 'a new group'
    elif call in ('protected', 'group-notes') and caller.privs & free:
        assert r.status == 200 and not r.data
    else:
        assert r.status == 400 and r.text


@every_caller
@pytest.mark.parametrize('call', WIDE)
def test_call_about_no_group(world, met_wide, caller, call):
    free, place, *_ = WIDE[call]
    r = met_wide[caller][call]
    may = free is None or bool(caller.privs & names(free))
    path = f'/datastore/{world.instance.store_name}' + \
        (f'/{place}' if place else '')
    if may:
        assert r.status == 200 or r.text == WIDE_AFTER_RIGHTS.get(call), \
            r.text
    elif call in WIDE_DENIED:
        assert (r.status, r.text) == WIDE_DENIED[call]
    else:
        assert r.status == 403
        missing, where = missing_names(r.text)
        assert missing >= names(free) and where == path
    if call == 'delete-ns':
        assert world.folder(space(caller)).parent.exists() is not may


# ---- change-owner, 6.3

USER, TOKEN, TOKEN2, GONE = ('own@pbs', 'own@pbs!tok', 'own@pbs!two',
                             'own@pbs!gone')
MANAGER, STRANGER = 'manager@pbs', 'stranger@pbs'
OK, INACTIVE, REFUSED, DENIED = 200, 400, 401, 403
OWNER_CHANGES = [
    # caller, owner, new owner, outcome
    (USER, TOKEN, TOKEN2, OK),
    (USER, TOKEN, USER, OK),
    (USER, USER, TOKEN, OK),
    (USER, USER, USER, REFUSED),
    (USER, USER, FRIEND, REFUSED),
    (USER, TOKEN, FRIEND, REFUSED),
    (USER, FRIEND, USER, REFUSED),
    (USER, FRIEND, TOKEN, REFUSED),
    (USER, USER, GONE, INACTIVE),
    (TOKEN, TOKEN, USER, REFUSED),
    (TOKEN, TOKEN, TOKEN2, REFUSED),
    (TOKEN, USER, TOKEN, REFUSED),
    (MANAGER, USER, FRIEND, OK),
    (MANAGER, FRIEND, MANAGER, OK),
    (MANAGER, USER, TOKEN, OK),
    (MANAGER, USER, USER, OK),
    (MANAGER, USER, 'nobody@pbs', INACTIVE),
    (MANAGER, USER, GONE, INACTIVE),
    (MANAGER, USER, 'disabled@pbs', INACTIVE),
    (STRANGER, STRANGER, FRIEND, DENIED),
    (STRANGER, USER, 'nobody@pbs', DENIED),
]


class OwnerWorld(World):
    def __init__(self, instance):
        self.instance = instance
        self.accounts = Accounts(instance)
        top = f'/datastore/{instance.store_name}'
        self.accounts.add(
            (USER, TOKEN, TOKEN2, FRIEND, MANAGER, STRANGER, 'disabled@pbs'),
            [(top, USER, 'DatastoreBackup', True),
             (top, TOKEN, 'DatastoreBackup', True),
             (top, MANAGER, 'DatastoreAdmin', True)])
        instance.admin('user', 'update', 'disabled@pbs', '--enable', 'no')
        pattern = ('host', 'owner', TIMES[0])
        with instance.backup(pattern) as s:
            s.blob('index.json.blob', pbs.Manifest(pattern).blob())
            s.finish()
        path = instance.store().snapshot_path(pattern).parent
        for i, (_, owner, _, _) in enumerate(OWNER_CHANGES):
            self.copy(path, f'owner{i}', owner)

    def owner_file(self, i):
        return self.instance.store().snapshot_path(
            ('host', f'owner{i}', 1)).parent / 'owner'

    def change(self, i):
        caller, _, new, _ = OWNER_CHANGES[i]
        conn = self.accounts.connect(caller)
        r = conn.request(
            'POST', f'admin/datastore/{self.instance.store_name}/change-owner',
            json={'backup-type': 'host', 'backup-id': f'owner{i}',
                  'new-owner': new})
        conn.close()
        return r


@pytest.fixture(scope='module')
def changed(instance):
    world = OwnerWorld(instance)
    answers = all_at_once(world.change, range(len(OWNER_CHANGES)))
    return world, answers


@pytest.mark.parametrize('i', range(len(OWNER_CHANGES)),
                         ids=lambda i: '-'.join(map(str, OWNER_CHANGES[i])))
def test_change_of_owner(changed, i):
    world, answers = changed
    caller, owner, new, outcome = OWNER_CHANGES[i]
    r = answers[i]
    assert r.status == outcome, r.text
    if outcome == INACTIVE:
        kind = 'API token' if '!' in new else 'user'
        assert r.text == f"{kind} '{new}' is inactive or non-existent"
    elif outcome == REFUSED:
        assert r.text == (f'{caller} does not have permission to change owner '
                          f"of backup group 'host/owner{i}' to {new}")
    elif outcome == DENIED:
        assert missing_names(r.text)[0] == \
            {'Datastore.Modify', 'Datastore.Backup'}
    assert world.owner_file(i).read_text() == \
        (new if outcome == OK else owner) + '\n'
