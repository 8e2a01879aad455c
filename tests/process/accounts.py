"""Many users, tokens and permissions at once.  All have the same password or
secret: a password's hash takes longer than a test of what it protects."""

import concurrent.futures
import json
import threading

from instance import TOKEN, USER

# wire-protocol 6.2, as far as datastores and tasks are concerned.
ROLES = {
    'Admin': 'Datastore.Audit Datastore.Modify Datastore.Read '
             'Datastore.Verify Datastore.Backup Datastore.Prune '
             'Datastore.Allocate Sys.Audit Sys.Modify',
    'Audit': 'Sys.Audit Datastore.Audit',
    'NoAccess': '',
    'DatastoreAdmin': 'Datastore.Audit Datastore.Modify Datastore.Read '
                      'Datastore.Verify Datastore.Backup Datastore.Prune',
    'DatastoreReader': 'Datastore.Audit Datastore.Verify Datastore.Read',
    'DatastoreBackup': 'Datastore.Backup',
    'DatastorePowerUser': 'Datastore.Backup Datastore.Prune',
    'DatastoreAudit': 'Datastore.Audit',
    'RemoteAdmin': '',
    'TapeAdmin': '',
}


# Dozens of handshakes at once take their time on a small machine.
PATIENT = {'server_options': {'handshake-timeout': '"60s"'}}


def privileges(role):
    return set(ROLES[role].split()) if role else set()


def user_of(auth_id):
    return auth_id.split('!')[0]


def owns(caller, owner):
    """6.3: oneself, or one's own token; a token only itself."""
    return caller == owner or \
        ('!' not in caller and user_of(owner) == caller)


class Accounts:
    def __init__(self, instance):
        self.instance = instance
        known = json.loads(instance.admin('export'))
        self.user = next(u for u in known['users'] if u['userid'] == USER)
        self.token = next(t for t in known['tokens']
                          if t['tokenid'] == f'{USER}!{TOKEN}')
        self.headers = {}
        self.login_lock = threading.Lock()

    def add(self, auth_ids=(), acl=()):
        """acl: (path, auth id, role, propagate).  Users of tokens are made
        too."""
        users = {user_of(a) for a in auth_ids}
        tokens = {a for a in auth_ids if '!' in a}
        text = json.dumps({
            'users': [{**self.user, 'userid': u} for u in sorted(users)],
            'tokens': [{**self.token, 'tokenid': t} for t in sorted(tokens)],
            'acl': [{'path': p, 'auth-id': a, 'role': r, 'propagate': prop}
                    for p, a, r, prop in acl]})
        self.instance.admin('import', '-', data=text)

    def connect(self, auth_id):
        """A connection of this user (who logs in once) or token."""
        conn = self.instance.connect()
        if '!' in auth_id:
            conn.use_token(auth_id, self.instance.state['token_secret'])
            return conn
        # One at a time: the server takes a few logins of an address, no more.
        with self.login_lock:
            if auth_id not in self.headers:
                conn.login(auth_id, self.instance.state['password'])
                self.headers[auth_id] = conn.headers
        conn.headers = self.headers[auth_id]
        return conn


def all_at_once(work, items, threads=64):
    """{item: work(item)}; a refusal takes half a second or three, of which
    many can pass at a time."""
    items = list(items)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        return dict(zip(items, pool.map(work, items)))
