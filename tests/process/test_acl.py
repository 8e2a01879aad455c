"""Where a role counts (wire-protocol 6.2): propagation, replacement by deeper
entries, NoAccess, tokens; and what listings of datastores and namespaces then
show (3.1, 3.2, 6.4)."""

import pytest

import accounts
from accounts import Accounts, all_at_once, privileges, user_of

STORE, SECOND = 'store', 'second'
INSTANCE = {'datastores': (STORE, SECOND), **accounts.PATIENT}
NAMESPACES = ('a', 'a/b', 'ab', 'c')
ADMIN, AUDIT, BACKUP, READER = ('DatastoreAdmin', 'DatastoreAudit',
                                'DatastoreBackup', 'DatastoreReader')
NONE = 'NoAccess'
S = f'/datastore/{STORE}'
EVERYWHERE = [('/', 'Admin', True)]

# The columns: store, its namespaces a, a/b, ab and c, and the other store.
POINTS = [(STORE, ''), (STORE, 'a'), (STORE, 'a/b'), (STORE, 'ab'),
          (STORE, 'c'), (SECOND, '')]
# name: (entries of a token whose user may everything, roles at the points)
# or (entries, of the user, roles); - is nothing.
TABLE = {
    'top':          ([('/', ADMIN, True)], [ADMIN] * 6),
    'top-only':     ([('/', ADMIN, False)], '- - - - - -'),
    'stores':       ([('/datastore', READER, True)], [READER] * 6),
    'stores-only':  ([('/datastore', READER, False)], '- - - - - -'),
    'store':        ([(S, BACKUP, True)], [BACKUP] * 5 + ['-']),
    'store-only':   ([(S, BACKUP, False)], [BACKUP] + ['-'] * 5),
    'ns':           ([(f'{S}/a', ADMIN, True)],
                     ['-', ADMIN, ADMIN, '-', '-', '-']),
    'ns-only':      ([(f'{S}/a', ADMIN, False)],
                     ['-', ADMIN, '-', '-', '-', '-']),
    'deep':         ([(f'{S}/a/b', READER, True)],
                     ['-', '-', READER, '-', '-', '-']),
    'second':       ([(f'/datastore/{SECOND}', ADMIN, True)],
                     '- - - - - ' + ADMIN),
    'elsewhere':    ([('/system/tasks', 'Admin', True),
                      ('/remote', 'Admin', True)], '- - - - - -'),
    'replaced':     ([(S, ADMIN, True), (f'{S}/a', AUDIT, True)],
                     [ADMIN, AUDIT, AUDIT, ADMIN, ADMIN, '-']),
    'replaced-here': ([(S, ADMIN, True), (f'{S}/a', AUDIT, False)],
                      [ADMIN, AUDIT, ADMIN, ADMIN, ADMIN, '-']),
    'replaced-twice': ([('/', AUDIT, True), (f'{S}/a', BACKUP, True),
                        (f'{S}/a/b', ADMIN, True)],
                       [AUDIT, BACKUP, ADMIN, AUDIT, AUDIT, AUDIT]),
    'wiped':        ([(S, ADMIN, True), (f'{S}/a', NONE, True)],
                     [ADMIN, '-', '-', ADMIN, ADMIN, '-']),
    'wiped-here':   ([(S, ADMIN, True), (f'{S}/a', NONE, False)],
                     [ADMIN, '-', ADMIN, ADMIN, ADMIN, '-']),
    'wiped-beside': ([(S, ADMIN, True), (S, NONE, True)], '- - - - - -'),
    'given-again':  ([('/', NONE, True), (f'{S}/a', BACKUP, True)],
                     ['-', BACKUP, BACKUP, '-', '-', '-']),
    'added':        ([(S, BACKUP, True), (S, AUDIT, True)],
                     [f'{BACKUP}+{AUDIT}'] * 5 + ['-']),
    'added-here':   ([(S, BACKUP, True), (S, AUDIT, False)],
                     [f'{BACKUP}+{AUDIT}'] + [BACKUP] * 4 + ['-']),
    'no-entry':     ([], '- - - - - -'),
    'users-less':   ([('/', ADMIN, True)], [(f'{S}/a', BACKUP, True)],
                     ['-', BACKUP, BACKUP, '-', '-', '-']),
    'users-here':   ([(S, ADMIN, True)], [(f'{S}/a', ADMIN, False)],
                     ['-', ADMIN, '-', '-', '-', '-']),
    'users-other':  ([(S, BACKUP, True)], [(S, READER, True)],
                     '- - - - - -'),
    'users-wiped':  ([(S, ADMIN, True)], [('/', ADMIN, True),
                                          (f'{S}/a', NONE, True)],
                     [ADMIN, '-', '-', ADMIN, ADMIN, '-']),
}
every_row = pytest.mark.parametrize('row', TABLE)
# What makes a namespace visible.
SEE = {f'Datastore.{x}' for x in ('Audit', 'Modify', 'Read', 'Backup')}
LIST = {'Datastore.Audit', 'Datastore.Backup'}
MODIFY = {'Datastore.Modify'}


def expected(row):
    """{(store, ns): set of privileges}"""
    roles = TABLE[row][-1]
    roles = roles.split() if isinstance(roles, str) else roles
    return {point: {p for r in text.split('+') if r != '-'
                    for p in privileges(r)}
            for point, text in zip(POINTS, roles)}


def path_of(store, ns):
    return f'/datastore/{store}' + (f'/{ns}' if ns else '')


def of_datastores(privs):
    return {p for p in privs if p.startswith('Datastore.')}


class World:
    def __init__(self, instance):
        self.instance = instance
        self.accounts = Accounts(instance)
        instance.admin('acl', 'update', '/', 'Admin', '--auth-id',
                       accounts.USER)
        conn = instance.login()
        for ns in NAMESPACES:
            parent, _, name = ns.rpartition('/')
            conn.post(f'admin/datastore/{STORE}/namespace',
                      {'parent': parent, 'name': name})
        ids, acl = [], []
        for row, (of_token, *of_user, _) in TABLE.items():
            token = self.token(row)
            ids.append(token)
            acl += [(p, token, r, x) for p, r, x in of_token]
            acl += [(p, user_of(token), r, x)
                    for p, r, x in (of_user[0] if of_user else EVERYWHERE)]
        self.accounts.add(ids, acl)

    def token(self, row):
        return f'{row}@pbs!tok'

    def meet(self, row):
        conn = self.accounts.connect(self.token(row))

        def get(target, **query):
            return conn.request('GET', target, query)
        found = {'stores': get('admin/datastore')}
        for store in (STORE, SECOND):
            found['status', store] = get(f'admin/datastore/{store}/status')
            found['gc', store] = get(f'admin/datastore/{store}/gc')
        for store, ns in POINTS:
            base = f'admin/datastore/{store}'
            found['privs', store, ns] = get('access/permissions',
                                            path=path_of(store, ns))
            found['namespaces', store, ns] = get(f'{base}/namespace',
                                                 parent=ns)
            found['groups', store, ns] = get(f'{base}/groups', ns=ns)
            found['snapshots', store, ns] = get(f'{base}/snapshots', ns=ns)
            # Creates nothing new for whoever may: it is there.
            parent, _, name = ns.rpartition('/')
            if ns:
                found['create', store, ns] = conn.request(
                    'POST', f'{base}/namespace',
                    json={'parent': parent, 'name': name})
        found['no-ns'] = get(f'admin/datastore/{STORE}/groups', ns='a/no')
        found['no-store'] = get('admin/datastore/nowhere/status')
        conn.close()
        return found


@pytest.fixture(scope='module')
def met(instance):
    return all_at_once(World(instance).meet, TABLE)


def denied(r, path):
    return r.status == 403 and r.text.startswith(
        'permission check failed - missing ') and r.text.endswith(f' {path}')


@every_row
def test_privileges(met, row):
    for (store, ns), privs in expected(row).items():
        path = path_of(store, ns)
        data = met[row]['privs', store, ns].check().data
        assert of_datastores(data.get(path, {})) == of_datastores(privs), path


@every_row
def test_groups_and_snapshots(met, row):
    for (store, ns), privs in expected(row).items():
        for call in ('groups', 'snapshots'):
            r = met[row][call, store, ns]
            if privs & LIST:
                assert (r.status, r.data) == (200, []), (store, ns)
            else:
                assert denied(r, path_of(store, ns)), (store, ns, r.text)


@every_row
def test_creating_a_namespace_needs_the_parent(met, row):
    want = expected(row)
    for store, ns in POINTS:
        if not ns:
            continue
        parent = ns.rpartition('/')[0]
        r = met[row]['create', store, ns]
        if want[store, parent] & MODIFY:
            assert (r.status, r.data) == (200, ns)
        else:
            assert denied(r, path_of(store, parent)), (ns, r.text)


@every_row
def test_namespaces_that_are_seen(met, row):
    """The parent first, if it may be seen; else what is below; else 403."""
    want = expected(row)
    for store, parent in POINTS:
        inside = [ns for s, ns in POINTS if s == store and
                  (ns == parent or not parent or
                   ns.startswith(parent + '/'))]
        seen = [ns for ns in inside if want[store, ns] & SEE]
        r = met[row]['namespaces', store, parent]
        if not seen:
            assert (r.status, r.text) == (403, 'permission check failed')
            continue
        got = [x['ns'] for x in r.check().data]
        assert sorted(got) == sorted(seen)
        if parent in seen:
            assert got[0] == parent


@every_row
def test_datastores_that_are_seen(met, row):
    want = expected(row)
    seen = {store for (store, ns), privs in want.items() if privs & SEE}
    assert {x['store'] for x in met[row]['stores'].check().data} == seen


@every_row
def test_status(met, row):
    want = expected(row)
    for store in (STORE, SECOND):
        r = met[row]['status', store]
        if want[store, ''] & LIST:
            assert r.data['total'] >= r.data['used'] > 0
            assert r.data['avail'] > 0
        elif any(privs & SEE for (s, _), privs in want.items()
                 if s == store):
            assert r.data == {'total': 0, 'used': 0, 'avail': 0}
        else:
            assert (r.status, r.text) == (403, 'permission check failed')


@every_row
def test_nothing_leaks(met, row):
    """Only who may look learns that something is not there."""
    want = expected(row)
    r = met[row]['no-ns']
    # It would lie below a.
    inherited = {'ns-only': set(), 'wiped-here': privileges(ADMIN),
                 'replaced-here': privileges(ADMIN), 'users-here': set()}
    privs = inherited.get(row, want[STORE, 'a'])
    if privs & LIST:
        assert r.status == 400 and 'ENOENT' in r.text
    else:
        assert denied(r, path_of(STORE, 'a/no'))
    r = met[row]['no-store']
    if row in ('top', 'stores', 'replaced-twice'):
        assert (r.status, r.text) == (400, "no such datastore 'nowhere'")
    else:
        assert (r.status, r.text) == (403, 'permission check failed')


@every_row
def test_collection_needs_the_store(met, row):
    want = expected(row)
    for store in (STORE, SECOND):
        r = met[row]['gc', store]
        if 'Datastore.Audit' in want[store, '']:
            assert r.status == 200
        else:
            assert denied(r, path_of(store, ''))
