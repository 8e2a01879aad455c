"""holdfast-server and its workers: limits, restarts, reload, draining."""

import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

import pbs
from conftest import TestInstance
from instance import children, wait_for
from pbs import PbsError

TIMEOUT = 60
SPARES = 4  # spare-workers by default
REFUSING_MAX = 16  # MASTER_REFUSING_MAX


def workers(inst):
    return children(inst.pid('server'), 'holdfast-worker')


def auth(inst):
    return children(inst.pid('server'), 'holdfast-auth')


def ping(inst):
    conn = inst.connect()
    try:
        return conn.get('ping')['pong']
    finally:
        conn.close()


def refusal(inst):
    """Why the server serves no new connection; None: it does."""
    try:
        ping(inst)
        return None
    except PbsError as error:
        assert error.status == 503
        return error.text
    except (ssl.SSLError, OSError):
        return 'not even told why'


def lost(conn):
    try:
        conn.get('ping')
        return False
    except (pbs.ConnectionLost, OSError):
        return True


def logged(inst, text):
    return wait_for(lambda: text in
                    (inst.log / 'server.log').read_text(), TIMEOUT)


def status(pid):
    lines = pathlib.Path(f'/proc/{pid}/status').read_text().splitlines()
    return dict(line.split(':\t', 1) for line in lines if ':\t' in line)


def plain(inst, request):
    with socket.create_connection(('127.0.0.1', inst.port), TIMEOUT) as s:
        s.sendall(request)
        answer = b''
        while True:
            data = s.recv(4096)
            if not data:
                return answer.decode()
            answer += data


# ---- connections

def test_plain_http_is_redirected(instance):
    answer = plain(instance, b'GET /api2/json/ping HTTP/1.1\r\n'
                             b'Host: pbs.example:8007\r\n\r\n')
    assert answer.startswith('HTTP/1.1 301 ')
    assert 'location: https://pbs.example:8007/api2/json/ping\r\n' in answer


@pytest.mark.parametrize('request_line, host, status', [
    ('HEAD /x', 'Host: a\r\n', 301), ('POST //api2/json/x?y=z',
                                      'Host: a\r\n', 308),
    ('DELETE /x', 'Host: a\r\n', 308), ('GET /x', '', 400)])
def test_plain_http_of_other_kinds(instance, request_line, host, status):
    answer = plain(instance, f'{request_line} HTTP/1.1\r\n{host}'
                             'Content-Length: 0\r\n\r\n'.encode())
    assert answer.startswith(f'HTTP/1.1 {status} ')
    if host:
        target = request_line.split()[1]
        assert f'location: https://a{target}\r\n' in answer


@pytest.mark.filterwarnings('ignore:ssl.TLSVersion')
@pytest.mark.parametrize('version', ['TLSv1_1', 'TLSv1_2', 'TLSv1_3'])
def test_versions_of_tls(instance, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    # What a client of those days offered.
    context.set_ciphers('ALL:@SECLEVEL=0')
    context.minimum_version = context.maximum_version = \
        ssl.TLSVersion[version]
    with socket.create_connection(('127.0.0.1', instance.port),
                                  TIMEOUT) as raw:
        if version == 'TLSv1_1':
            with pytest.raises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(raw)
            return
        with context.wrap_socket(raw) as s:
            assert s.version() == version.replace('_', '.')
            s.sendall(b'GET /api2/json/ping HTTP/1.1\r\nHost: x\r\n\r\n')
            assert s.recv(100).startswith(b'HTTP/1.1 200 ')


def test_each_connection_has_a_process_of_its_own(instance):
    # Those that served what came before are gone.
    assert wait_for(lambda: len(workers(instance)) == SPARES, TIMEOUT)
    conns = [instance.connect() for _ in range(3)]
    for conn in conns:
        assert conn.get('ping') == {'pong': True}
    assert wait_for(lambda: len(workers(instance)) == SPARES + 3)
    for conn in conns:
        conn.close()
    assert wait_for(lambda: len(workers(instance)) == SPARES)


def test_a_killed_worker_hurts_nobody_else(fresh_instance):
    inst = fresh_instance(server_options={'spare-workers': 1})
    # Those that served what came before are gone: the next one's is known.
    assert wait_for(lambda: len(workers(inst)) == 1, TIMEOUT)
    spare = workers(inst)[0]
    one = inst.connect()
    assert one.get('ping') == {'pong': True}
    two = inst.connect()
    assert two.get('ping') == {'pong': True}
    os.kill(spare, signal.SIGKILL)
    assert wait_for(lambda: lost(one), TIMEOUT)
    assert two.get('ping') == {'pong': True}
    assert ping(inst)


def test_a_connection_survives_the_death_of_all_spares(fresh_instance):
    """The master finds them dead only when it gives them the connection."""
    inst = fresh_instance(server_options={'spare-workers': 2})
    master = inst.pid('server')
    for _ in range(5):
        assert wait_for(lambda: len(workers(inst)) == 2, TIMEOUT)
        os.kill(master, signal.SIGSTOP)
        try:
            for pid in workers(inst):
                os.kill(pid, signal.SIGKILL)
            assert wait_for(lambda: not workers(inst), TIMEOUT)
            raw = socket.create_connection(('127.0.0.1', inst.port), TIMEOUT)
        finally:
            os.kill(master, signal.SIGCONT)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(raw) as s:
            s.sendall(b'GET /api2/json/ping HTTP/1.1\r\nHost: x\r\n\r\n')
            assert s.recv(100).startswith(b'HTTP/1.1 200 ')


def test_workers_are_sealed(instance):
    for pid in workers(instance) + auth(instance) + [instance.pid('server')]:
        assert status(pid)['NoNewPrivs'] == '1'
        assert status(pid)['Seccomp'] == '2'
    if os.getuid() != 0:
        return
    for pid in workers(instance):
        assert int(status(pid)['CapEff'], 16) == 0
        assert int(status(pid)['Uid'].split()[0]) != 0
        root = pathlib.Path(f'/proc/{pid}/root')
        assert {p.name for p in root.iterdir()} == \
            {'auth.sock', 'validator.sock'}


def test_sockets_in_a_folder_with_a_long_name(folder, snapshot, image):
    inst = TestInstance(folder / ('x' * 100))
    try:
        inst.start()
        session = inst.backup(snapshot())
        session.backup_images({'a.img.fidx': image(2)})
        session.close()
        inst.restart_validator()
        assert ping(inst)
        assert inst.login().get(f'admin/datastore/{inst.store_name}/snapshots')
    finally:
        inst.stop()


# ---- limits

def test_limit_of_an_address(fresh_instance):
    inst = fresh_instance(
        server_options={'max-connections-per-address': 3})
    conns = [inst.connect() for _ in range(3)]
    assert 'max-connections-per-address' in refusal(inst)
    assert conns[0].get('ping') == {'pong': True}
    conns[0].close()
    assert wait_for(lambda: not refusal(inst), TIMEOUT)


def test_limit_of_all(fresh_instance, snapshot, image):
    """Who comes beyond it is told why; sessions do not notice."""
    inst = fresh_instance(server_options={'max-workers': 2})
    session = inst.backup(snapshot())
    conn = inst.connect()
    late = inst.connect()
    with pytest.raises(PbsError, match=r'too many connections') as info:
        late.get('ping')
    assert info.value.status == 503
    assert lost(late), 'one answer is all'
    assert logged(inst, 'max-workers')
    # A crowd of them is not told so; then there is room for that again.
    crowd = [socket.create_connection(('127.0.0.1', inst.port), TIMEOUT)
             for _ in range(REFUSING_MAX + 4)]
    assert crowd[-1].recv(1) == b''
    session.backup_images({'a.img.fidx': image(2)})
    for s in crowd:
        s.close()
    assert wait_for(lambda: 'max-workers' in (refusal(inst) or ''), TIMEOUT)
    conn.close()
    assert wait_for(lambda: not refusal(inst), TIMEOUT)
    session.close()


def test_silent_clients_are_cut_off(fresh_instance):
    inst = fresh_instance(server_options={'handshake-timeout': '"300ms"'})
    with socket.create_connection(('127.0.0.1', inst.port), TIMEOUT) as s:
        assert s.recv(1) == b''
    assert logged(inst, 'no TLS handshake in time')


# ---- restarts of siblings

def test_auth_dies_and_comes_back(fresh_instance, snapshot, image):
    inst = fresh_instance()
    session = inst.backup(snapshot())
    idle = inst.login()
    old, = auth(inst)
    os.kill(old, signal.SIGKILL)
    # New connections wait for their signature, old ones log in again.
    assert ping(inst)
    assert idle.get('version')['version']
    assert auth(inst) != [old]
    session.backup_images({'a.img.fidx': image(2)})
    session.close()
    inst.login()


def test_validator_away_is_503_and_nothing_else(fresh_instance):
    inst = fresh_instance()
    conn = inst.login()
    inst.kill_validator()
    answer = conn.request('GET', 'admin/datastore')
    assert answer.status == 503
    assert conn.get('version')['version']
    inst.start_validator()
    assert [s['store'] for s in conn.get('admin/datastore')] == \
        inst.state['datastores']


# ---- reload

def connected(inst):
    """A connection, or None if it is refused."""
    try:
        conn = inst.connect()
        conn.get('ping')
        return conn
    except (OSError, PbsError):
        return None


def test_reload(fresh_instance):
    inst = fresh_instance()
    conn = inst.connect()
    old = set(workers(inst))
    inst.state['server_options']['max-connections-per-address'] = 2
    inst.write_confs()
    inst.kill('server', signal.SIGHUP)
    assert logged(inst, 'configuration read again')
    assert conn.get('ping') == {'pong': True}
    # All but the busy one are new.
    assert wait_for(lambda: len(old & set(workers(inst))) == 1, TIMEOUT)
    assert wait_for(lambda: ping(inst), TIMEOUT)
    # The ping's connection counts until its worker has ended.
    more = wait_for(lambda: connected(inst), TIMEOUT)
    assert more
    assert refusal(inst)
    more.close()


def make_certificate(inst):
    """A new one at the place that the configuration names."""
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
         'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=x',
         '-keyout', inst.etc / 'own.key', '-out', inst.etc / 'own.pem'],
        check=True, capture_output=True)
    (inst.etc / 'own.key').chmod(0o644)
    der = ssl.PEM_cert_to_DER_cert((inst.etc / 'own.pem').read_text())
    return ':'.join(f'{b:02x}' for b in pbs.sha256(der))


def test_reload_takes_a_new_certificate(fresh_instance, snapshot, image):
    inst = fresh_instance()
    first = make_certificate(inst)
    assert inst.fingerprint != first
    inst.state['server_options'] |= {
        'tls-certificate': f'"{inst.etc}/own.pem"',
        'tls-key': f'"{inst.etc}/own.key"'}
    inst.write_confs()
    inst.end('server')
    inst.start_server()
    assert inst.fingerprint == first
    session = inst.backup(snapshot())
    inst.state['fingerprint'] = make_certificate(inst)
    inst.kill('server', signal.SIGHUP)

    def is_new():
        try:
            return ping(inst)
        except pbs.ConnectionLost as e:
            assert first in str(e)
    assert wait_for(is_new, TIMEOUT)
    # Who came before goes on.
    session.backup_images({'a.img.fidx': image(2)})
    session.close()


def test_workers_that_fail_at_once_are_started_ever_more_seldom(
        fresh_instance):
    inst = fresh_instance()
    programs = inst.dir / 'libexec'
    programs.mkdir()
    programs.chmod(0o755)
    for path in inst.programs.glob('holdfast-*'):
        if path.is_file():
            shutil.copy2(path, programs / path.name)
    inst.end('server')
    worker = programs / 'holdfast-worker'
    count = inst.log / 'starts'
    count.touch()
    count.chmod(0o666)
    worker.rename(programs / 'good')
    worker.write_text(f'#!/bin/sh\necho >>{count}\nexit 1\n')
    worker.chmod(0o755)
    conf = inst.etc / 'server.conf'
    conf.write_text(conf.read_text().replace(
        f'libexec-dir = "{inst.programs}"', f'libexec-dir = "{programs}"'))
    inst.launch('server', lambda: count.stat().st_size >= SPARES)
    before = count.stat().st_size
    time.sleep(2)
    # Without a delay it would be hundreds.
    assert count.stat().st_size - before < 40
    (programs / 'good').replace(worker)
    assert wait_for(lambda: len(workers(inst)) == SPARES, 2 * TIMEOUT)
    assert ping(inst)


def test_a_broken_configuration_is_not_taken(fresh_instance):
    inst = fresh_instance()
    path = inst.etc / 'server.conf'
    good = path.read_text()
    path.write_text(good + 'no-such-option = 1\n')
    inst.kill('server', signal.SIGHUP)
    assert logged(inst, 'keeping the old configuration')
    path.write_text(good)
    assert ping(inst)


# ---- the end

def ended(inst):
    def gone():
        inst.reap('server')
        return not inst.is_running('server')
    return wait_for(gone, TIMEOUT)


def test_sessions_go_on_while_the_server_drains(fresh_instance, snapshot,
                                                image):
    inst = fresh_instance()
    session = inst.backup(snapshot())
    idle = inst.connect()
    assert idle.get('ping') == {'pong': True}
    inst.kill('server', signal.SIGTERM)
    assert logged(inst, 'stopping when sessions have ended')
    assert wait_for(lambda: lost(idle), TIMEOUT)
    assert wait_for(lambda: refusal(inst), TIMEOUT)
    session.backup_images({'a.img.fidx': image(3)})
    assert inst.is_running('server')
    session.close()
    assert ended(inst)


def test_sessions_go_on_under_the_next_server(fresh_instance, snapshot,
                                              image):
    inst = fresh_instance()
    session = inst.backup(snapshot())
    inst.kill('server', signal.SIGUSR1)
    assert ended(inst)
    assert logged(inst, 'leaving, sessions go on connections=1')
    inst.start_server()
    assert ping(inst)
    session.backup_images({'a.img.fidx': image(3)})
    session.close()


def test_a_second_signal_ends_it_at_once(fresh_instance, snapshot):
    inst = fresh_instance()
    session = inst.backup(snapshot())
    inst.kill('server', signal.SIGTERM)
    assert logged(inst, 'stopping when sessions have ended')
    time.sleep(0.2)
    assert inst.is_running('server')
    inst.kill('server', signal.SIGTERM)
    assert ended(inst)
    session.close()


def test_the_drain_has_an_end(fresh_instance, snapshot):
    inst = fresh_instance(server_options={'drain-timeout': '"500ms"'})
    session = inst.backup(snapshot())
    inst.kill('server', signal.SIGTERM)
    assert ended(inst)
    assert 'not drained in time' in (inst.log / 'server.log').read_text()
    session.close()
