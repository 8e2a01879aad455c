"""holdfast-auth as its workers and operators see it."""

import json
import os
import shutil
import signal
import ssl
import struct
import subprocess
import threading
import time

import pytest

import authipc
import conftest
import instance as instance_module
from authipc import Closed, Refused

LOGIN_TEXT = 'permission check failed.'
TLS13 = b' ' * 64 + b'TLS 1.3, server CertificateVerify\0' + bytes(32)
TLS12 = bytes(64) + bytes([3, 0, 29, 32]) + bytes(32)
ECDSA_SHA256 = 0x0403


def run_auth():
    """holdfast-auth in a folder of its own, gone afterwards."""
    folder = conftest.make_folder()
    try:
        a = authipc.Auth(folder)
        yield a
        code = a.stop()
        print(a.log)
        assert code == 0 and 'Sanitizer' not in a.log
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def auth():
    yield from run_auth()


@pytest.fixture(scope='module')
def shared():
    yield from run_auth()


def refused(call, *args, **more):
    with pytest.raises(Refused) as info:
        call(*args, **more)
    return info.value


# ---- first steps

def test_setup_makes_an_administrator(auth):
    text = auth.admin('setup', data='open sesame\n')
    assert auth.admin_json('cert', 'info')['fingerprint'] in text
    rows = auth.admin_json('acl', 'list')
    assert [(r['auth-id'], r['path'], r['role']) for r in rows] == \
        [('admin@pbs', '/', 'Admin')]
    with auth.worker() as w:
        assert w.login('admin@pbs', 'open sesame')


def test_setup_again_says_what_to_do(auth):
    auth.admin('setup', 'chief@pbs', data='open sesame\n')
    text = auth.admin_fails('setup', 'chief@pbs', data='open sesame\n')
    assert 'exists already' in text and 'user passwd' in text


# ---- logins

def test_login_gives_a_ticket_that_passes(auth):
    auth.make_user()
    with auth.worker() as w:
        ticket, csrf = w.login('bob@pbs', 'open sesame')
        assert ticket.startswith('PBS:bob@pbs:') and '!' not in ticket
        assert w.verify(authipc.TICKET, ticket) == 'bob@pbs'
        assert w.verify(authipc.TICKET, ticket, csrf=csrf) == 'bob@pbs'


def test_failed_logins_tell_nothing(auth):
    auth.make_user()
    auth.make_user('off@pbs', enable='no')
    auth.make_user('old@pbs', expire='2020-01-01')
    with auth.worker() as w:
        for user, password in (('bob@pbs', 'open sesamE'),
                               ('nobody@pbs', 'open sesame'),
                               ('off@pbs', 'open sesame'),
                               ('old@pbs', 'open sesame'),
                               ('root@pam', '*')):
            r = refused(w.login, user, password)
            assert (r.code, r.delay_ms, r.text) == ('AUTH', 3000, LOGIN_TEXT)


def test_delay_grows_for_one_who_guesses_on(auth):
    auth.make_user()
    with auth.worker() as w:
        delays = [refused(w.login, 'bob@pbs', 'x', f'10.0.0.1:{i}').delay_ms
                  for i in range(10)]
        assert delays == sorted(delays)
        assert delays[0] == 3000 and delays[-1] == 5000
        assert refused(w.login, 'bob@pbs', 'x', '10.0.0.2:1').delay_ms == 3000


def test_names_that_cannot_log_in(auth):
    auth.make_user()
    token, secret = auth.make_token()
    with auth.worker() as w:
        for name in (token, 'bob', '', 'a b@pbs'):
            r = refused(w.login, name, secret)
            assert (r.code, r.delay_ms) == ('PARAM', 0)
            assert r.text.startswith(
                "parameter verification failed - 'username': ")


def test_ticket_renews_itself_for_its_user_only(auth):
    auth.make_user()
    auth.make_user('eve@pbs')
    with auth.worker() as w:
        ticket, _ = w.login('bob@pbs', 'open sesame')
        again, _ = w.login('bob@pbs', ticket)
        assert w.verify(authipc.TICKET, again) == 'bob@pbs'
        assert refused(w.login, 'eve@pbs', ticket).text == LOGIN_TEXT
        assert refused(w.login, 'root@pam', ticket).text == LOGIN_TEXT


def test_ticket_of_a_user_who_may_no_more(auth):
    auth.make_user()
    with auth.worker() as w:
        ticket, _ = w.login('bob@pbs', 'open sesame')
        auth.admin('user', 'update', 'bob@pbs', '--enable', 'no')
        assert refused(w.verify, authipc.TICKET, ticket).code == 'AUTH'
        assert refused(w.login, 'bob@pbs', ticket).text == LOGIN_TEXT
        auth.admin('user', 'update', 'bob@pbs', '--enable', 'yes')
        assert w.verify(authipc.TICKET, ticket) == 'bob@pbs'
        auth.admin('user', 'remove', 'bob@pbs')
        assert refused(w.verify, authipc.TICKET, ticket).code == 'AUTH'


def test_bad_tickets(auth):
    auth.make_user()
    with auth.worker() as w:
        ticket, csrf = w.login('bob@pbs', 'open sesame')
        for bad in (ticket[:-4] + 'AAAA', '', 'PBS:', ticket + 'A',
                    ticket.replace('bob@pbs', 'root@pam')):
            r = refused(w.verify, authipc.TICKET, bad)
            assert r.code == 'AUTH' and r.delay_ms >= 3000
            assert r.text.startswith('authentication failed - ')
        for bad in ('', '12345678:abc', csrf[:-1] + '!'):
            r = refused(w.verify, authipc.TICKET, ticket, csrf=bad)
            assert r.text.startswith('authentication failed - ')


def test_root_can_get_a_password(auth):
    auth.admin('user', 'passwd', 'root@pam', data='a root password\n')
    with auth.worker() as w:
        ticket, _ = w.login('root@pam', 'a root password')
        assert w.verify(authipc.TICKET, ticket) == 'root@pam'
        grant = authipc.Grant(w.grant(), auth.grant_key)
        assert grant.nodes == {'/': (0xfffff, 0xfffff)}


# ---- tokens

def test_token(auth):
    auth.make_user()
    token, secret = auth.make_token()
    with auth.worker() as w:
        assert w.verify(authipc.TOKEN, secret, token) == token
        for name, bad in ((token, secret[:-1]), (token, secret + 'x'),
                          (token, ''), (token + 'x', secret),
                          ('bob@pbs', secret), ('garbage', secret),
                          ('x' * 256, secret)):
            r = refused(w.verify, authipc.TOKEN, bad, name)
            assert r.code == 'AUTH' and r.delay_ms >= 3000
            assert r.text == 'authentication failed - invalid credentials'
        auth.admin('user', 'update', 'bob@pbs', '--enable', 'no')
        refused(w.verify, authipc.TOKEN, secret, token)
        auth.admin('user', 'update', 'bob@pbs', '--enable', 'yes')
        auth.admin('token', 'update', 'bob@pbs', 'tok', '--expire', '1000')
        refused(w.verify, authipc.TOKEN, secret, token)
        auth.admin('token', 'update', 'bob@pbs', 'tok', '--expire', 'never')
        w.verify(authipc.TOKEN, secret, token)
        auth.admin('token', 'revoke', 'bob@pbs', 'tok')
        refused(w.verify, authipc.TOKEN, secret, token)


# ---- grants

def test_grant_says_who_what_and_where(auth):
    auth.make_user()
    auth.make_user('eve@pbs')
    token, secret = auth.make_token()
    backup = authipc.PRIVS['Datastore.Backup']
    auth.admin('acl', 'update', '/datastore/store/a', 'DatastoreBackup',
               '--auth-id', 'bob@pbs')
    auth.admin('acl', 'update', '/datastore', 'DatastoreAdmin',
               '--auth-id', token)
    auth.admin('acl', 'update', '/datastore/other', 'Audit',
               '--auth-id', 'bob@pbs')
    with auth.worker() as w:
        w.verify(authipc.TOKEN, secret, token)
        g = authipc.Grant(w.grant(authipc.READER, 'store', 'a', 'eve@pbs'),
                          auth.grant_key)
        now = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
        assert (g.purpose, g.pid) == (authipc.READER, os.getpid())
        assert (g.auth_id, g.subject) == (token, 'eve@pbs')
        assert (g.store, g.ns) == ('store', 'a')
        assert 0 < g.expiry_ms - now <= 60000
        assert g.nodes == {'/': (0, 0),
                           '/datastore/store/a': (backup, backup)}
        other = authipc.Grant(w.grant(), auth.grant_key)
        assert other.nonce != g.nonce
        everywhere = authipc.Grant(w.grant(authipc.CALL, ''), auth.grant_key)
        assert '/datastore/other' in everywhere.nodes


def test_grant_needs_an_active_identity(auth):
    auth.make_user()
    with auth.worker() as w:
        assert refused(w.grant).code == 'AUTH'
        ticket, _ = w.login('bob@pbs', 'open sesame')
        assert refused(w.grant).code == 'AUTH', 'a login is no identity'
        w.verify(authipc.TICKET, ticket)
        w.grant()
        refused(w.verify, authipc.TICKET, 'garbage')
        assert refused(w.grant).code == 'AUTH', 'a failed one ends it'
        w.verify(authipc.TICKET, ticket)
        auth.admin('user', 'update', 'bob@pbs', '--enable', 'no')
        assert refused(w.grant).code == 'AUTH'


def test_grant_names_a_new_owner_only_if_active(auth):
    auth.make_user()
    with auth.worker() as w:
        w.verify(authipc.TICKET, w.login('bob@pbs', 'open sesame')[0])
        for subject, named in (('bob@pbs', 'bob@pbs'), ('nobody@pbs', ''),
                               ('bob@pbs!no-such', '')):
            grant = w.grant(authipc.CALL, subject=subject)
            assert authipc.Grant(grant, auth.grant_key).subject == named


def test_many_entries_of_one_user(auth):
    auth.make_user()
    entries = [{'auth-id': 'bob@pbs', 'path': f'/datastore/store/ns-{i:05}',
                'role': 'DatastoreBackup'} for i in range(3000)]
    path = auth.dir / 'acl.json'
    path.write_text(json.dumps({'acl': entries}))
    auth.admin('import', path)
    with auth.worker() as w:
        w.verify(authipc.TICKET, w.login('bob@pbs', 'open sesame')[0])
        one = authipc.Grant(w.grant(ns='ns-00007'), auth.grant_key)
        assert list(one.nodes) == ['/', '/datastore/store/ns-00007']
        every = authipc.Grant(w.grant(store=''), auth.grant_key)
        assert len(every.nodes) < 5
        assert refused(w.grant, ns='').code == 'LIMIT'


# ---- signature

def test_one_signature_of_a_handshake(auth):
    with auth.only_worker() as w:
        (auth.dir / 'message').write_bytes(TLS13)
        (auth.dir / 'signature').write_bytes(w.sign(ECDSA_SHA256, TLS13))
        (auth.dir / 'cert.pem').write_bytes(w.chain)
        subprocess.run('openssl x509 -in cert.pem -pubkey -noout >pub.pem && '
                       'openssl dgst -sha256 -verify pub.pem -signature '
                       'signature message', shell=True, check=True,
                       cwd=auth.dir, stdout=subprocess.DEVNULL)
        with pytest.raises(Closed):
            w.sign(ECDSA_SHA256, TLS13)


def test_one_signature_of_a_process(auth):
    """Not one for each of its connections."""
    def says_no():
        with worker() as w:
            w.sign(ECDSA_SHA256, TLS13)
    with auth.one_process() as worker:
        with worker() as first, worker() as second:
            second.sign(ECDSA_SHA256, TLS12)
            with pytest.raises(Closed):
                first.sign(ECDSA_SHA256, TLS12)
        for _ in range(2):
            with pytest.raises(Closed):
                says_no()
        with auth.only_worker() as another:
            another.sign(ECDSA_SHA256, TLS12)
    assert 'signature: asks for it a second time' in auth.log


@pytest.mark.parametrize('scheme, message', [
    (ECDSA_SHA256, bytes(32)),
    (ECDSA_SHA256, TLS13.replace(b'server', b'client')),
    (0x0804, TLS13), (0x0201, TLS13), (ECDSA_SHA256, b'')],
    ids=['digest', 'client', 'rsa', 'sha1', 'nothing'])
def test_nothing_else_is_signed(auth, scheme, message):
    with auth.only_worker() as w:
        assert refused(w.sign, scheme, message).code == 'INVALID'
        with pytest.raises(Closed):
            w.sign(ECDSA_SHA256, TLS13)


# ---- access calls

def test_access_calls(auth):
    auth.make_user(comment='Bob')
    auth.make_user('eve@pbs')
    token, secret = auth.make_token()
    auth.admin('acl', 'update', '/', 'Audit', '--auth-id', 'eve@pbs')
    with auth.worker() as w:
        realms = {d['realm'] for d in w.access(authipc.DOMAINS)}
        assert realms == {'pam', 'pbs'}
        assert refused(w.access, authipc.USERS).code == 'AUTH'
        w.verify(authipc.TOKEN, secret, token)
        assert w.access(authipc.USERS, flags=1) == [
            {'userid': 'bob@pbs', 'enable': True, 'comment': 'Bob',
             'tokens': [{'tokenid': token, 'enable': True}]}]
        w.verify(authipc.TICKET, w.login('eve@pbs', 'open sesame')[0])
        assert [u['userid'] for u in w.access(authipc.USERS)] == [
            'bob@pbs', 'eve@pbs', 'root@pam']
        assert w.access(authipc.PERMISSIONS)['/'] == {
            'Datastore.Audit': True, 'Sys.Audit': True}
        assert w.access(authipc.PERMISSIONS, 'bob@pbs') == {'/': {}}
        names = {r['roleid'] for r in w.access(authipc.ROLES)}
        assert {'Admin', 'NoAccess', 'DatastoreBackup'} <= names
        w.verify(authipc.TICKET, w.login('bob@pbs', 'open sesame')[0])
        assert refused(w.access, authipc.PERMISSIONS, 'eve@pbs').code == 'PERM'


def test_change_of_password(auth):
    auth.make_user()
    auth.make_user('eve@pbs')
    token, secret = auth.make_token()
    with auth.worker() as w:
        w.verify(authipc.TICKET, w.login('bob@pbs', 'open sesame')[0])

        def change(user, password):
            return w.access(authipc.PASSWORD, user, secret=password)
        assert refused(change, 'eve@pbs', 'long enough').code == 'PERM'
        assert refused(change, 'root@pam', 'long enough').code == 'PERM'
        assert refused(change, 'bob@pbs', 'short').code == 'PARAM'
        assert refused(change, 'bob@pbs', 'x' * 65).code == 'PARAM'
        assert change('bob@pbs', 'another one') is None
        refused(w.login, 'bob@pbs', 'open sesame')
        w.login('bob@pbs', 'another one')
        w.verify(authipc.TOKEN, secret, token)
        assert refused(change, 'bob@pbs', 'long enough').code == 'PERM'


# ---- hostile workers

def header(kind, length, magic=authipc.MAGIC, version=1):
    return struct.pack(authipc.HEADER, magic, version, kind, length, 0, 0, 1)


LOGIN = authipc.MESSAGES['LOGIN']
GRANT_GET = authipc.MESSAGES['GRANT_GET']


@pytest.mark.parametrize('packet', [
    b'x', header(LOGIN, 0)[:31], header(LOGIN, 0), header(LOGIN, 5) + b'1234',
    header(LOGIN, 3) + b'1234', header(9999, 0),
    header(LOGIN, 8, magic=1) + bytes(8),
    header(LOGIN, 8, version=9) + bytes(8),
    header(LOGIN, 10) + bytes(10),
    header(LOGIN, 8) + b'\xff\xff' + bytes(6),
    header(authipc.MESSAGES['AUTH_WELCOME'], 8) + bytes(8),
    header(authipc.MESSAGES['HELLO'], 6) + bytes(6),
    header(authipc.MESSAGES['HASHED'], 3) + bytes(3),
    header(GRANT_GET, 7) + b'\x09' + bytes(6),
    header(GRANT_GET, 9) + b'\x01\x02\x00..' + bytes(4),
    header(authipc.MESSAGES['VERIFY'], 14) + b'\x07' + bytes(13),
    header(authipc.MESSAGES['ACCESS_CALL'], 14) + b'\x63' + bytes(13),
], ids=lambda p: p[:40].hex())
def test_broken_messages_end_that_connection_only(shared, packet):
    with shared.worker() as good, shared.worker() as bad:
        bad.raw(packet)
        with pytest.raises(Closed):
            bad.receive()
            bad.receive()  # what was in front of surplus bytes is answered
        assert good.access(authipc.DOMAINS)


def test_a_descriptor_that_nobody_asked_for(shared):
    with shared.worker() as w:
        body = struct.pack('<H', authipc.DOMAINS) + bytes(12)
        authipc.socket.send_fds(w.sock, [header(
            authipc.MESSAGES['ACCESS_CALL'], len(body)) + body], [0])
        with pytest.raises(Closed):
            w.receive()


@pytest.mark.skipif(os.getuid() != 0, reason='needs another uid')
@pytest.mark.parametrize('name', ['worker', 'admin'])
def test_other_users_are_turned_away(shared, name):
    assert conftest.is_closed_to_others(shared.run_dir / name / 'auth.sock')


# ---- the loop and its children

def test_logins_do_not_stop_the_loop(auth):
    """While many passwords are hashed, a token is checked at once."""
    auth.make_user()
    token, secret = auth.make_token()
    workers = [auth.worker() for _ in range(24)]
    seqs = [w.login_send('bob@pbs', 'wrong', f'10.0.0.{i % 2}:1')
            for i, w in enumerate(workers)]
    with auth.worker() as w:
        assert w.verify(authipc.TOKEN, secret, token) == token
    codes = [refused(w.answer, seq).code for w, seq in zip(workers, seqs)]
    assert set(codes) <= {'AUTH', 'UNAVAILABLE'}
    assert 'AUTH' in codes
    for w in workers:
        w.sock.close()
    with auth.worker() as w:
        w.login('bob@pbs', 'open sesame')


def test_one_login_at_a_time_on_a_connection(auth):
    auth.make_user()
    with auth.worker() as w:
        w.login_send('bob@pbs', 'wrong')
        w.login_send('bob@pbs', 'wrong')
        got = [w.receive() for _ in range(2)]
        codes = sorted(authipc.ERRORS[body.number('H')]
                       for _, _, body, _ in got)
        assert codes in (['AUTH', 'UNAVAILABLE'], ['AUTH', 'AUTH'])


def test_worker_that_leaves_during_its_login(auth):
    auth.make_user()
    for _ in range(5):
        with auth.worker() as w:
            w.login_send('bob@pbs', 'open sesame')
    with auth.worker() as w:
        w.login('bob@pbs', 'open sesame')


def test_hashers_are_replaced(auth):
    auth.make_user()
    old = auth.hashers()
    assert len(old) == 2
    for pid in old:
        os.kill(pid, signal.SIGKILL)

    def new_ones():
        now = auth.hashers()
        return len(now) == 2 and not set(now) & set(old)
    assert instance_module.wait_for(new_ones)
    with auth.worker() as w:
        w.login('bob@pbs', 'open sesame')


def test_hashers_go_with_auth(auth):
    pids = auth.hashers()
    assert len(pids) == 2
    auth.stop(signal.SIGKILL)
    assert instance_module.wait_for(
        lambda: not any(instance_module.start_time(p) for p in pids))
    auth.start()


def test_processes_are_sealed(auth):
    for pid in [auth.process.pid, *auth.hashers()]:
        with open(f'/proc/{pid}/status') as f:
            status = dict(line.split(':', 1) for line in f)
        assert status['NoNewPrivs'].strip() == '1'
        assert status['Seccomp'].strip() == '2'
        assert status['CapEff'].strip() == '0' * 16
        if os.getuid() == 0:
            assert status['Uid'].split()[0] != '0'


# ---- restart and reload

def test_tickets_and_accounts_survive_a_restart(auth):
    auth.make_user()
    token, secret = auth.make_token()
    with auth.worker() as w:
        ticket, csrf = w.login('bob@pbs', 'open sesame')
        chain = w.chain
    auth.stop(signal.SIGKILL)
    auth.start()
    with auth.worker() as w:
        assert w.chain == chain
        assert w.verify(authipc.TICKET, ticket, csrf=csrf) == 'bob@pbs'
        assert w.verify(authipc.TOKEN, secret, token) == token


def make_certificate(folder, kind):
    new = ['-newkey', 'rsa:2048'] if kind == 'rsa' else [
        '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']
    subprocess.run(
        ['openssl', 'req', '-x509', *new, '-nodes', '-days', '2', '-subj',
         '/CN=' + kind, '-keyout', folder / 'new.key', '-out',
         folder / 'new.pem'], check=True, capture_output=True)
    for name in ('key', 'pem'):
        (folder / f'new.{name}').chmod(0o644)
        os.replace(folder / f'new.{name}', folder / f'own.{name}')


def test_operators_certificate_and_its_reload(auth):
    auth.stop()
    tls = auth.dir / 'tls'
    tls.mkdir()
    tls.chmod(0o755)
    make_certificate(tls, 'rsa')
    auth.options |= {'tls-certificate': f'"{tls}/own.pem"',
                     'tls-key': f'"{tls}/own.key"'}
    auth.write_conf()
    auth.start()
    with auth.only_worker() as old:
        assert old.chain == (tls / 'own.pem').read_bytes()
        make_certificate(tls, 'ec')

        def hangup(text):
            before = auth.log.count(text)
            auth.process.send_signal(signal.SIGHUP)
            assert instance_module.wait_for(
                lambda: auth.log.count(text) > before), auth.log
        hangup('certificate reloaded')
        with auth.only_worker() as new:
            assert new.chain == (tls / 'own.pem').read_bytes()
            assert new.sign(ECDSA_SHA256, TLS13)
        # A worker that was greeted before needs the key of that time.
        assert len(old.sign(0x0804, TLS13)) == 256
        good = (tls / 'own.pem').read_bytes()
        (tls / 'own.key').write_text('no key')
        hangup('reload failed')
        (tls / 'own.pem').unlink()
        hangup('reload failed')
        with auth.only_worker() as w:
            assert w.chain == good
            assert w.sign(ECDSA_SHA256, TLS13)
    info = auth.admin_json('cert', 'info')
    der = ssl.PEM_cert_to_DER_cert(good.decode())
    digest = authipc.hashlib.sha256(der).hexdigest()
    assert info['fingerprint'].replace(':', '') == digest
    assert info['key'] == 'EC'


# ---- operators

def test_commands_check_what_they_get(auth):
    auth.make_user()
    say = auth.admin_fails
    assert 'already exists' in say('user', 'create', 'bob@pbs', data='x' * 9)
    assert '8 to 64' in say('user', 'create', 'a@pbs', data='short\n')
    assert 'realm' in say('user', 'create', 'a@ldap', data='x' * 9)
    assert 'no such user' in say('user', 'passwd', 'a@pbs', data='x' * 9)
    assert 'no such user' in say('user', 'remove', 'a@pbs')
    assert 'only disabled' in say('user', 'remove', 'root@pam')
    assert 'no such user' in say('token', 'create', 'a@pbs', 'tok')
    assert 'role' in say('acl', 'update', '/', 'Emperor', '--auth-id',
                         'bob@pbs')
    assert 'path' in say('acl', 'update', '/etc', 'Admin', '--auth-id',
                         'bob@pbs')
    assert 'no such entry' in say('acl', 'remove', '/', 'Admin', '--auth-id',
                                  'bob@pbs')
    assert 'expire' in say('user', 'update', 'bob@pbs', '--expire', 'soon')
    assert 'enable' in say('user', 'update', 'bob@pbs', '--enable', 'maybe')


def test_lists(auth):
    auth.make_user(comment='Bob', email='b@example.org', expire='4102444800')
    token, _ = auth.make_token()
    auth.admin('acl', 'update', '/datastore/store', 'Audit', '--auth-id',
               token, '--propagate', 'no')
    bob = auth.admin_json('user', 'list')[0]
    assert bob == {'userid': 'bob@pbs', 'enable': True, 'password': True,
                   'expire': 4102444800, 'comment': 'Bob',
                   'email': 'b@example.org'}
    assert 'Bob' in auth.admin('user', 'list')
    assert auth.admin_json('token', 'list', 'bob@pbs') == [
        {'tokenid': token, 'enable': True}]
    assert auth.admin_json('acl', 'list') == [
        {'auth-id': token, 'path': '/datastore/store', 'role': 'Audit',
         'propagate': False}]
    auth.admin('user', 'remove', 'bob@pbs')
    assert auth.admin_json('acl', 'list') == []
    assert auth.admin_json('token', 'list') == []


def test_export_moves_to_another_server(auth, folder):
    auth.make_user()
    token, secret = auth.make_token()
    auth.admin('acl', 'update', '/', 'Admin', '--auth-id', 'bob@pbs')
    exported = auth.admin('export')
    assert secret not in exported and 'open sesame' not in exported
    other = authipc.Auth(folder)
    try:
        other.admin('import', '-', data=exported)
        assert other.admin('export') == exported
        with other.worker() as w:
            w.login('bob@pbs', 'open sesame')
            assert w.verify(authipc.TOKEN, secret, token) == token
    finally:
        other.stop()


def test_secrets_are_not_in_the_log(auth):
    auth.make_user()
    token, secret = auth.make_token()
    with auth.worker() as w:
        ticket, csrf = w.login('bob@pbs', 'open sesame')
        refused(w.login, 'bob@pbs', 'guessed wrong')
        w.verify(authipc.TOKEN, secret, token)
        refused(w.verify, authipc.TICKET, ticket + 'x')
    for word in ('open sesame', secret, 'guessed wrong',
                 ticket.rpartition(':')[2], csrf.rpartition(':')[2]):
        assert word not in auth.log


def test_commands_side_by_side(auth):
    def one(i):
        auth.make_user(f'user{i}@pbs')
    threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(auth.admin_json('user', 'list')) == 7
