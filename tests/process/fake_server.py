"""A backup server in memory that can be made to lie: for tests of the client
against servers that are not ours, or not honest.

Only what holdfast calls.  Everything that it gives or takes lies in plain
members: a test changes them, or overrides a method.
"""

import datetime
import hashlib
import json
import socket
import ssl
import threading
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.settings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import pbs


def make_certificate(folder, host='127.0.0.1'):
    """Writes cert.pem (with key) to the folder; returns the path and the
    fingerprint."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=10))
            .sign(key, hashes.SHA256()))
    path = folder / 'cert.pem'
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM,
                          serialization.PrivateFormat.PKCS8,
                          serialization.NoEncryption()) +
        cert.public_bytes(serialization.Encoding.PEM))
    der = cert.public_bytes(serialization.Encoding.DER)
    return path, ':'.join(f'{b:02x}' for b in hashlib.sha256(der).digest())


class FakeServer:
    def __init__(self, folder):
        path, self.fingerprint = make_certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.chunks = {}      # digest: encoded
        self.files = {}       # snapshot path: {name: bytes}
        self.requests = []    # (method, path) of everything
        self.headers = []     # of HTTP/1.1 requests
        self.previous = None  # files of the base
        self.lists = {}       # what: data of a listing
        self.whole = {}       # what: the whole answer, data and beside it
        self.refuse = {}      # path: (status, text)
        self.user, self.password = 'u@pbs', 'secret'
        threading.Thread(target=self.accept, daemon=True).start()

    def repository(self):
        return f'{self.user}@127.0.0.1:{self.port}:store'

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,),
                             daemon=True).start()

    def serve(self, sock):
        try:
            with self.context.wrap_socket(sock, server_side=True) as tls:
                self.http1(tls)
        except (OSError, ssl.SSLError, EOFError):
            pass

    # ---- HTTP/1.1

    def http1(self, tls):
        data = b''
        while True:
            while b'\r\n\r\n' not in data:
                more = tls.recv(65536)
                if not more:
                    return
                data += more
            head, _, data = data.partition(b'\r\n\r\n')
            lines = head.decode().split('\r\n')
            method, target, _ = lines[0].split()
            headers = {k.lower(): v.strip() for k, _, v in
                       (line.partition(':') for line in lines[1:])}
            length = int(headers.get('content-length', 0))
            while len(data) < length:
                data += tls.recv(65536)
            body, data = data[:length], data[length:]
            self.headers.append(headers)
            path, _, query = target.partition('?')
            path = '/' + path.strip('/')
            query = dict(urllib.parse.parse_qsl(query))
            self.requests.append((method, path))
            if path in self.refuse:
                status, text = self.refuse[path]
                self.answer(tls, status, text.encode())
            elif 'upgrade' in headers:
                tls.sendall(b'HTTP/1.1 101 Switching Protocols\r\n'
                            b'upgrade: ' + headers['upgrade'].encode() +
                            b'\r\n\r\n')
                FakeSession(self, tls, path, query).run()
                return
            else:
                status, text = self.call(method, path, query, body)
                self.answer(tls, status, text)

    def answer(self, tls, status, body):
        """Chunked, to show that the client can."""
        tls.sendall(f'HTTP/1.1 {status} X\r\n'
                    'transfer-encoding: chunked\r\n\r\n'.encode())
        for i in range(0, len(body), 1000):
            piece = body[i:i + 1000]
            tls.sendall(f'{len(piece):x}\r\n'.encode() + piece + b'\r\n')
        tls.sendall(b'0\r\n\r\n')

    def call(self, method, path, query, body):
        if path == '/api2/json/access/ticket':
            given = json.loads(body)
            if given != {'username': self.user, 'password': self.password}:
                return 401, b'permission check failed.'
            data = {'username': self.user, 'ticket': 'PBS:ticket',
                    'CSRFPreventionToken': 'csrf'}
        elif path.rsplit('/', 1)[1] in self.whole:
            return 200, json.dumps(
                self.whole[path.rsplit('/', 1)[1]]).encode()
        else:
            data = self.lists.get(path.rsplit('/', 1)[1])
        return 200, json.dumps({'data': data}).encode()

    # ---- sessions

    def session_call(self, session, method, path, query, body):
        """Returns (status, bytes)."""
        name = path.strip('/').replace('-', '_')
        handler = getattr(self, f'on_{name}', None)
        if path in self.refuse:
            status, text = self.refuse[path]
            return status, text.encode()
        if handler is None:
            return 404, b'no such path'
        result = handler(session, method, query, body)
        if isinstance(result, bytes):
            return 200, result
        return 200, json.dumps({'data': result}).encode()

    def on_previous_backup_time(self, session, method, query, body):
        return 1600000000 if self.previous else None

    def on_previous(self, session, method, query, body):
        return self.previous[query['archive-name']]

    def on_blob(self, session, method, query, body):
        assert len(body) == int(query['encoded-size'])
        session.files[query['file-name']] = body
        return None

    def on_fixed_index(self, session, method, query, body):
        if method == 'POST':
            session.indexes.append([query['archive-name'],
                                    int(query['size']), {}])
            return len(session.indexes)
        given = json.loads(body)
        entries = session.indexes[given['wid'] - 1][2]
        for digest, offset in zip(given['digest-list'],
                                  given['offset-list']):
            assert digest in self.chunks, 'unknown chunk'
            entries[offset] = digest
        return None

    def on_fixed_chunk(self, session, method, query, body):
        raw = pbs.unblob(body)
        assert pbs.sha256(raw).hex() == query['digest']
        assert len(raw) == int(query['size'])
        self.chunks[query['digest']] = body
        return query['digest']

    def on_fixed_close(self, session, method, query, body):
        name, size, entries = session.indexes[int(query['wid']) - 1]
        digests = [bytes.fromhex(entries[k]) for k in sorted(entries)]
        assert pbs.fixed_csum(digests).hex() == query['csum']
        assert len(digests) == int(query['chunk-count'])
        session.files[name] = fixed_index(size, digests)
        return None

    def on_finish(self, session, method, query, body):
        self.files[session.snapshot] = session.files
        return None

    def on_download(self, session, method, query, body):
        return self.files[session.snapshot][query['file-name']]

    def on_chunk(self, session, method, query, body):
        return self.chunks[query['digest']]


def fixed_index(size, digests):
    head = bytearray(4096)
    head[:8] = pbs.FIXED_MAGIC
    head[32:64] = pbs.fixed_csum(digests)
    head[64:72] = size.to_bytes(8, 'little')
    head[72:80] = pbs.CHUNK.to_bytes(8, 'little')
    return bytes(head) + b''.join(digests)


class FakeSession:
    def __init__(self, server, tls, path, query):
        self.server = server
        self.tls = tls
        self.snapshot = (query['backup-type'], query['backup-id'],
                         int(query['backup-time']))
        self.files = {}
        self.indexes = []
        self.streams = {}
        self.outgoing = {}
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding='utf-8'))

    def run(self):
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(1 << 30)
        self.h2.update_settings(
            {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1 << 30})
        while True:
            self.tls.sendall(self.h2.data_to_send())
            data = self.tls.recv(1 << 20)
            if not data:
                return
            for event in self.h2.receive_data(data):
                self.on_event(event)
            self.push()

    def on_event(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = (dict(event.headers),
                                             bytearray())
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id][1].extend(event.data)
            self.h2.acknowledge_received_data(
                event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            self.respond(event.stream_id,
                         *self.streams.pop(event.stream_id))

    def respond(self, stream_id, headers, body):
        path, _, query = headers[':path'].partition('?')
        query = dict(urllib.parse.parse_qsl(query))
        self.server.requests.append((headers[':method'], path))
        status, reply = self.server.session_call(
            self, headers[':method'], path, query, bytes(body))
        self.h2.send_headers(stream_id, [(':status', str(status))])
        self.outgoing[stream_id] = reply

    def push(self):
        """What the client's windows allow."""
        for stream_id in list(self.outgoing):
            while stream_id in self.outgoing and self.push_some(stream_id):
                self.tls.sendall(self.h2.data_to_send())

    def push_some(self, stream_id):
        reply = self.outgoing[stream_id]
        n = min(len(reply), self.h2.local_flow_control_window(stream_id),
                self.h2.max_outbound_frame_size)
        last = n == len(reply)
        if n == 0 and not last:
            return False
        self.h2.send_data(stream_id, reply[:n], end_stream=last)
        self.outgoing[stream_id] = reply[n:]
        if last:
            del self.outgoing[stream_id]
        return True
