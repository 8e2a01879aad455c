"""TLS as clients see it: what is offered, and client certificates."""

import signal
import socket
import ssl
import subprocess

import pytest

from instance import InstanceError, reserve_port, wait_for

TIMEOUT = 60
PING = b'GET /api2/json/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
# Those of "intermediate compatibility" that need no other parameters.
CIPHERS = ['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384',
           'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-AES128-GCM-SHA256',
           'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-CHACHA20-POLY1305']


def context(ciphers=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    if ciphers:
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        c.set_ciphers(ciphers + ':@SECLEVEL=0')
    return c


def answers(inst, c, port=None):
    """The answer to a request, or None if the server did not want us."""
    with socket.create_connection(('127.0.0.1', port or inst.port),
                                  TIMEOUT) as raw:
        try:
            with c.wrap_socket(raw) as s:
                s.sendall(PING)
                return s.recv(1000) or None
        except (ssl.SSLError, ConnectionError):
            return None


def offered():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.set_ciphers('ALL:COMPLEMENTOFALL:@SECLEVEL=0')
    return sorted({x['name'] for x in c.get_ciphers()
                   if x['protocol'] != 'TLSv1.3'})


def test_only_ciphers_with_forward_secrecy(instance):
    """Of all that this machine's OpenSSL can do, one at a time."""
    taken = [name for name in offered() if answers(instance, context(name))]
    # The server's own certificate has an elliptic or an RSA key.
    assert taken and set(taken) <= set(CIPHERS)


# ---- client certificates

def openssl(folder, *args):
    subprocess.run(['openssl', *args], check=True, capture_output=True,
                   cwd=folder)


def make_ca(folder, name):
    openssl(folder, 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj',
            f'/CN={name}', '-keyout', f'{name}.key', '-out', f'{name}.pem')


def client_of(folder, ca):
    """A context with a certificate of that authority."""
    openssl(folder, 'req', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=client',
            '-keyout', 'client.key', '-out', 'client.csr')
    openssl(folder, 'x509', '-req', '-in', 'client.csr', '-CA', f'{ca}.pem',
            '-CAkey', f'{ca}.key', '-CAcreateserial', '-days', '2', '-out',
            'client.pem')
    c = context()
    c.load_cert_chain(folder / 'client.pem', folder / 'client.key')
    return c


def restart(inst, options):
    """The server with these options; whether it serves is not known yet."""
    inst.state['server_options'] |= options
    inst.write_confs()
    inst.end('server')
    inst.launch('server', lambda: inst.answers(
        inst.run_dir / 'admin' / 'auth.sock'))


def test_client_certificates(fresh_instance, folder):
    make_ca(folder, 'ours')
    make_ca(folder, 'foreign')
    (folder / 'ours.pem').chmod(0o644)
    inst = fresh_instance()
    assert answers(inst, context())
    restart(inst, {'client-ca': f'"{folder}/ours.pem"'})
    good = client_of(folder, 'ours')
    answer = wait_for(lambda: answers(inst, good), TIMEOUT)
    assert answer and answer.startswith(b'HTTP/1.1 200 ')
    assert answers(inst, context()) is None
    assert answers(inst, client_of(folder, 'foreign')) is None
    # It is no login: who has one still needs a password or a token.
    with socket.create_connection(('127.0.0.1', inst.port), TIMEOUT) as raw, \
            good.wrap_socket(raw) as s:
        s.sendall(PING.replace(b'ping', b'admin/datastore'))
        assert s.recv(1000).startswith(b'HTTP/1.1 401 ')


def listen(ports, **options):
    names = ', '.join(f'"127.0.0.1:{port}"' for port in ports)
    return {'listen': f'{{ {names} }}', **options}


def test_client_certificates_of_one_listener(fresh_instance, folder):
    make_ca(folder, 'ours')
    (folder / 'ours.pem').chmod(0o644)
    inst = fresh_instance()
    good = client_of(folder, 'ours')
    ca = f'"{folder}/ours.pem"'
    with reserve_port() as reserved:
        outer = reserved.getsockname()[1]
        restart(inst, listen((inst.port, outer), **{
            'client-ca': ca,
            'client-ca-listen': f'{{ "127.0.0.1:{outer}" }}'}))
        assert wait_for(lambda: answers(inst, context()), TIMEOUT)
        assert answers(inst, good)
        assert answers(inst, context(), outer) is None
        assert answers(inst, good, outer).startswith(b'HTTP/1.1 200 ')
        # And so after a reload.
        inst.kill('server', signal.SIGHUP)
        log = inst.log / 'server.log'
        assert wait_for(
            lambda: 'configuration read again' in log.read_text())
        assert wait_for(lambda: answers(inst, good, outer), TIMEOUT)
        assert answers(inst, context(), outer) is None
        assert answers(inst, context())


@pytest.mark.parametrize('options, text', [
    ({'client-ca-listen': '{ "127.0.0.1:1" }'},
     'client-ca-listen without client-ca'),
    ({'client-ca': '"/dev/null"', 'client-ca-listen': '{ "127.0.0.1:1" }'},
     'not listened on: client-ca-listen address=127.0.0.1:1')])
def test_client_certificates_of_no_listener(fresh_instance, options, text):
    inst = fresh_instance()
    with pytest.raises(InstanceError, match=text):
        restart(inst, options)


def test_client_authorities_that_are_not_there(fresh_instance):
    inst = fresh_instance()
    inst.state['server_options']['client-ca'] = '"/nowhere/ca.pem"'
    inst.write_confs()
    inst.end('server')
    with pytest.raises(InstanceError, match='/nowhere/ca.pem'):
        inst.launch('server', lambda: False)
