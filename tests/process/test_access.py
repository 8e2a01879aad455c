"""Accounts as clients see them (wire-protocol 2.4, 2.5, 6.1): who is active,
who sees and changes whom."""

import pytest

from accounts import ROLES, Accounts, all_at_once
from instance import USER

PLAIN, TOKEN, AUDITOR, MANAGER = ('plain@pbs', 'plain@pbs!tok',
                                  'auditor@pbs', 'manager@pbs')
NEW = 'a new password'


@pytest.fixture(scope='module')
def accounts(instance):
    made = Accounts(instance)
    made.add([TOKEN, 'plain@pbs!two', AUDITOR, MANAGER, 'other@pbs'], [
        ('/access', AUDITOR, 'Audit', True), ('/', MANAGER, 'Admin', True),
        ('/datastore', PLAIN, 'DatastoreBackup', True),
        ('/datastore', TOKEN, 'DatastoreBackup', True)])
    return made


def test_realms_are_known_to_all(instance):
    realms = instance.connect().get('access/domains')
    assert {(r['realm'], r['type']) for r in realms} == {('pam', 'pam'),
                                                         ('pbs', 'pbs')}
    assert [r['realm'] for r in realms if r.get('default')] == ['pbs']


def test_ping_and_version(instance):
    assert instance.connect().get('ping') == {'pong': True}
    version = instance.login().get('version')
    assert set(version) == {'version', 'release', 'repoid'}
    assert all(isinstance(v, str) for v in version.values())
    assert [int(x) for x in version['version'].split('.')] >= [2, 2]
    assert int(version['release']) >= 0 and int(version['repoid'], 16)


def test_identity_of_the_server(accounts):
    ids = {accounts.connect(who).get('nodes/localhost/identity')
           ['pbs-instance-id'] for who in (PLAIN, TOKEN, MANAGER)}
    assert len(ids) == 1 and int(ids.pop(), 16)


def test_roles(instance):
    roles = {r['roleid']: set(r['privs'])
             for r in instance.login().get('access/roles')}
    assert set(ROLES) <= set(roles)
    for name, privs in ROLES.items():
        ours = {p for p in roles[name]
                if p.startswith(('Datastore.', 'Sys.A', 'Sys.M'))}
        assert ours == set(privs.split()), name


@pytest.mark.parametrize('caller', [PLAIN, TOKEN, AUDITOR, MANAGER])
def test_users_that_are_seen(accounts, caller):
    """Oneself; all with Sys.Audit."""
    users = accounts.connect(caller).get('access/users')
    seen = {u['userid'] for u in users}
    if caller in (PLAIN, TOKEN):
        assert seen == {PLAIN}
    else:
        assert {PLAIN, AUDITOR, MANAGER, 'other@pbs', 'root@pam',
                USER} <= seen
    assert not any('tokens' in u or 'hash' in u for u in users)
    users = accounts.connect(caller).request(
        'GET', 'access/users', {'include_tokens': 1}).check().data
    own = next(u for u in users if u['userid'] == PLAIN)
    assert {t['tokenid'] for t in own['tokens']} == {TOKEN, 'plain@pbs!two'}
    assert not any('digest' in t or 'salt' in t for t in own['tokens'])


@pytest.mark.parametrize('caller, of, status', [
    (PLAIN, PLAIN, 200), (PLAIN, TOKEN, 200), (TOKEN, TOKEN, 200),
    (TOKEN, PLAIN, 403), (PLAIN, 'other@pbs', 403), (AUDITOR, PLAIN, 200),
    (AUDITOR, TOKEN, 200), (MANAGER, 'other@pbs', 200)])
def test_permissions_of(accounts, caller, of, status):
    r = accounts.connect(caller).request('GET', 'access/permissions',
                                         {'auth-id': of})
    assert r.status == status
    if status == 200 and of in (PLAIN, TOKEN):
        assert r.data['/datastore'] == {'Datastore.Backup': True}


# ---- passwords

def change(accounts, caller, user, password=NEW):
    return accounts.connect(caller).request(
        'PUT', 'access/password', {'userid': user, 'password': password})


@pytest.mark.parametrize('caller, user, status', [
    (PLAIN, AUDITOR, 403), (TOKEN, PLAIN, 403), (AUDITOR, PLAIN, 403),
    (MANAGER, 'root@pam', 403), (MANAGER, 'nobody@pbs', 400)])
def test_password_of_somebody_else(accounts, caller, user, status):
    assert change(accounts, caller, user).status == status


@pytest.mark.parametrize('password', ['1234', 'x' * 65])
def test_password_of_a_bad_length(accounts, password):
    r = change(accounts, PLAIN, PLAIN, password)
    assert r.status == 400 and 'password' in r.text


def test_own_password(accounts, instance):
    assert change(accounts, 'other@pbs', 'other@pbs').check().data is None
    conn = instance.login('other@pbs', NEW)
    # By somebody who may, with a form.
    r = accounts.connect(MANAGER).request(
        'PUT', 'access/password',
        body=b'userid=other@pbs&password=given+back')
    assert r.check().data is None
    assert instance.login('other@pbs', 'given back')
    # A ticket lasts.
    assert conn.get('version')


# ---- who is active, 6.1

INACTIVE = {
    'user-off': ('off@pbs', ['user', 'update', 'off@pbs', '--enable', 'no']),
    'token-off': ('tok@pbs!tok', ['token', 'update', 'tok@pbs', 'tok',
                                  '--enable', 'no']),
    'user-old': ('old@pbs', ['user', 'update', 'old@pbs', '--expire',
                             '2020-01-01']),
    'token-old': ('tox@pbs!tok', ['token', 'update', 'tox@pbs', 'tok',
                                  '--expire', '2020-01-01']),
    'token-of-user-off': ('of1@pbs!tok', ['user', 'update', 'of1@pbs',
                                          '--enable', 'no']),
    'token-of-user-old': ('of2@pbs!tok', ['user', 'update', 'of2@pbs',
                                          '--expire', '2020-01-01']),
    'token-gone': ('of3@pbs!tok', ['token', 'revoke', 'of3@pbs', 'tok']),
    'user-gone': ('of4@pbs', ['user', 'remove', 'of4@pbs']),
    'token-of-user-gone': ('of5@pbs!tok', ['user', 'remove', 'of5@pbs']),
}


@pytest.fixture(scope='module')
def refusals(accounts, instance):
    """What each meets on a connection that was good before."""
    accounts.add([who for who, _ in INACTIVE.values()])
    conns = all_at_once(lambda n: accounts.connect(INACTIVE[n][0]), INACTIVE)
    before = {n: c.request('GET', 'version').status
              for n, c in conns.items()}
    for _, command in INACTIVE.values():
        instance.admin(*command)
    after = all_at_once(lambda n: conns[n].request('GET', 'version'),
                        INACTIVE)
    return before, after


@pytest.mark.parametrize('name', INACTIVE)
def test_inactive(refusals, name):
    before, after = refusals
    assert before[name] == 200
    assert after[name].status == 401
    assert after[name].text.startswith('authentication failed - ')


def test_expiry_that_is_to_come_or_never(accounts, instance):
    accounts.add(['soon@pbs!tok', 'never@pbs', 'zero@pbs'])
    instance.admin('token', 'update', 'soon@pbs', 'tok', '--expire',
                   '2100-01-01')
    instance.admin('user', 'update', 'never@pbs', '--expire', 'never')
    instance.admin('user', 'update', 'zero@pbs', '--expire', '0')
    for who in ('soon@pbs!tok', 'never@pbs', 'zero@pbs'):
        assert accounts.connect(who).get('version')


def test_logout(accounts):
    """Nothing happens here: the client forgets its ticket."""
    conn = accounts.connect(PLAIN)
    assert conn.request('DELETE', 'access/ticket').check().data is None
