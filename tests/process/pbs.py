"""A Proxmox Backup client for tests, independent of our C code.

Connection speaks HTTP/1.1 over TLS; upgrade() turns it into a Session, which
speaks HTTP/2 with as many requests at a time as a test wants.  Everything is
synchronous: a Session reads and writes only inside its methods.
"""

import hashlib
import json
import socket
import ssl
import struct
import time
import urllib.parse
import zlib

import h2.config
import h2.connection
import h2.events
import h2.settings
import zstandard

MIB = 1 << 20
CHUNK = 4 * MIB
TIMEOUT = 60
BACKUP_PROTOCOL = 'proxmox-backup-protocol-v1'
READER_PROTOCOL = 'proxmox-backup-reader-protocol-v1'
PLAIN_MAGIC = bytes.fromhex('42ab3807be8370a1')
ZSTD_MAGIC = bytes.fromhex('31b958426fb6a37f')
ENCRYPTED_MAGIC = bytes.fromhex('7b6785be222d4cf0')
ENCRYPTED_ZSTD_MAGIC = bytes.fromhex('e6591bbf0bbfd80b')
FIXED_MAGIC = bytes.fromhex('2f7f41ed91fd0fcd')
DYNAMIC_MAGIC = bytes.fromhex('1c914ea519bab3cd')


class PbsError(Exception):
    """The server refused a request."""

    def __init__(self, status, text):
        super().__init__(f'{status}: {text}')
        self.status = status
        self.text = text


class ConnectionLost(Exception):
    """The connection or the stream ended before the answer."""


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode(errors='replace')

    @property
    def data(self):
        return json.loads(self.body)['data'] if self.body else None

    def check(self):
        if not 200 <= self.status < 300:
            raise PbsError(self.status, self.text)
        return self


# ---- formats

def sha256(data):
    return hashlib.sha256(data).digest()


def blob(raw, compress=False, magic=None, crc=None):
    """A plain or compressed blob; magic and crc can be made wrong."""
    payload = zstandard.ZstdCompressor(level=1).compress(raw) \
        if compress else raw
    if magic is None:
        magic = ZSTD_MAGIC if compress else PLAIN_MAGIC
    if crc is None:
        crc = zlib.crc32(payload)
    return magic + struct.pack('<I', crc) + payload


def encrypted_blob(ciphertext, iv=bytes(16), tag=bytes(16), compressed=False):
    """What an encrypted blob looks like to somebody without the key."""
    magic = ENCRYPTED_ZSTD_MAGIC if compressed else ENCRYPTED_MAGIC
    return (magic + struct.pack('<I', zlib.crc32(ciphertext)) + iv + tag +
            ciphertext)


def unblob(data):
    magic, crc, payload = data[:8], data[8:12], data[12:]
    assert magic in (PLAIN_MAGIC, ZSTD_MAGIC), f'magic {magic.hex()}'
    assert struct.unpack('<I', crc)[0] == zlib.crc32(payload), 'wrong CRC'
    if magic == PLAIN_MAGIC:
        return payload
    return zstandard.ZstdDecompressor().decompressobj().decompress(payload)


def split(image, size=CHUNK):
    return [image[i:i + size] for i in range(0, len(image), size)]


def fixed_csum(digests):
    return sha256(b''.join(digests))


def dynamic_csum(entries):
    """entries: (end, digest)."""
    return sha256(b''.join(struct.pack('<Q', end) + d for end, d in entries))


def parse_fixed(data):
    """(size, csum, [digest]) of a .fidx file."""
    assert data[:8] == FIXED_MAGIC
    size, chunk = struct.unpack('<QQ', data[64:80])
    assert chunk == CHUNK
    digests = [data[i:i + 32] for i in range(4096, len(data), 32)]
    return size, data[32:64], digests


def parse_dynamic(data):
    """(csum, [(end, digest)]) of a .didx file."""
    assert data[:8] == DYNAMIC_MAGIC
    return data[32:64], [
        (struct.unpack('<Q', data[i:i + 8])[0], data[i + 8:i + 40])
        for i in range(4096, len(data), 40)]


class Manifest:
    def __init__(self, snapshot):
        self.snapshot = snapshot
        self.files = []
        self.unprotected = {}
        self.extra = {}

    def add(self, name, size, csum, mode='none'):
        self.files.append({'filename': name, 'size': size,
                           'csum': csum.hex(), 'crypt-mode': mode})

    def json(self):
        kind, backup_id, when = self.snapshot
        return {'backup-type': kind, 'backup-id': backup_id,
                'backup-time': when, 'files': self.files,
                'signature': None, 'unprotected': self.unprotected,
                **self.extra}

    def blob(self, compress=True):
        text = json.dumps(self.json(), sort_keys=True, indent=2).encode()
        return blob(text, compress)


# ---- HTTP/1.1

def encode_query(params):
    def value(v):
        return str(v).lower() if isinstance(v, bool) else v
    return urllib.parse.urlencode(
        {k: value(v) for k, v in (params or {}).items() if v is not None})


class Connection:
    """One TLS connection.  Not verified by authority, but by fingerprint if
    one is given."""

    def __init__(self, host, port, fingerprint=None, timeout=TIMEOUT):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        raw = socket.create_connection((host, port), timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(raw, server_hostname=host)
        self.host = f'{host}:{port}'
        self.headers = {}
        self.rest = b''
        der = self.sock.getpeercert(binary_form=True)
        found = ':'.join(f'{b:02x}' for b in sha256(der))
        if fingerprint and found != fingerprint.lower():
            raise ConnectionLost(f'fingerprint is {found}')

    def close(self):
        self.sock.close()

    # -- identity

    def login(self, user, password):
        data = self.post('access/ticket',
                         json={'username': user, 'password': password})
        self.headers = {
            'Cookie': 'PBSAuthCookie=' +
                      urllib.parse.quote(data['ticket'], safe=':=+/%'),
            'CSRFPreventionToken': data['CSRFPreventionToken']}
        return data

    def use_token(self, auth_id, secret):
        self.headers = {'Authorization': f'PBSAPIToken={auth_id}:{secret}'}

    # -- requests

    def send_head(self, method, target, headers):
        lines = [f'{method} {target} HTTP/1.1']
        lines += [f'{k}: {v}' for k, v in headers.items()]
        self.sock.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())

    def read_some(self):
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionLost('the server closed the connection')
        self.rest += data

    def read_until(self, mark):
        while mark not in self.rest:
            self.read_some()
        head, _, self.rest = self.rest.partition(mark)
        return head

    def read_exactly(self, n):
        while len(self.rest) < n:
            self.read_some()
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def read_chunked(self):
        body = b''
        while True:
            n = int(self.read_until(b'\r\n').split(b';')[0], 16)
            if n == 0:
                while self.read_until(b'\r\n'):
                    pass
                return body
            body += self.read_exactly(n)
            self.read_exactly(2)

    def read_response(self):
        lines = self.read_until(b'\r\n\r\n').decode().split('\r\n')
        status = int(lines[0].split()[1])
        headers = {}
        for line in lines[1:]:
            key, _, value = line.partition(':')
            headers[key.strip().lower()] = value.strip()
        if status == 101:
            body = b''
        elif headers.get('transfer-encoding') == 'chunked':
            body = self.read_chunked()
        else:
            body = self.read_exactly(int(headers.get('content-length', 0)))
        return Response(status, headers, body)

    def request(self, method, path, query=None, json=None, body=b'',
                headers=None):
        """path: below /api2/json/, or absolute if it begins with '/'."""
        if json is not None:
            body = dumps(json)
        head = {'Host': self.host, **self.headers,
                'Content-Length': len(body)}
        if json is not None:
            head['Content-Type'] = 'application/json'
        head.update(headers or {})
        target = path if path.startswith('/') else f'/api2/json/{path}'
        if query:
            target += '?' + encode_query(query)
        self.send_head(method, target, head)
        self.sock.sendall(body)
        return self.read_response()

    def get(self, path, **query):
        return self.request('GET', path, dashed(query)).check().data

    def post(self, path, json=None, **query):
        return self.request('POST', path, dashed(query), json).check().data

    def put(self, path, **query):
        return self.request('PUT', path, dashed(query)).check().data

    def delete(self, path, **query):
        return self.request('DELETE', path, dashed(query)).check().data

    # -- upgrade

    def upgrade(self, path, protocol, params):
        """Returns the response; at 101 the connection belongs to HTTP/2."""
        head = {'Host': self.host, **self.headers,
                'Connection': 'Upgrade', 'Upgrade': protocol}
        target = f'/api2/json/{path}?{encode_query(params)}'
        self.send_head('GET', target, head)
        return self.read_response()

    def backup(self, store, snapshot, ns=None, **more):
        return self.session(BackupSession, 'backup', BACKUP_PROTOCOL, store,
                            snapshot, ns, more)

    def reader(self, store, snapshot, ns=None, **more):
        return self.session(ReaderSession, 'reader', READER_PROTOCOL, store,
                            snapshot, ns, more)

    def session(self, kind, path, protocol, store, snapshot, ns, more):
        """more: further parameters, and settings and window of Session."""
        announce = {k: more.pop(k) for k in ('settings', 'window')
                    if k in more}
        params = {'store': store, 'backup-type': snapshot[0],
                  'backup-id': snapshot[1], 'backup-time': snapshot[2],
                  'ns': ns, **dashed(more)}
        response = self.upgrade(path, protocol, params)
        if response.status != 101:
            raise PbsError(response.status, response.text)
        return kind(self, snapshot, **announce)


def dumps(value):
    return json.dumps(value).encode()


def dashed(params):
    return {k.replace('_', '-'): v for k, v in params.items()}


# ---- HTTP/2

class Stream:
    """A request that was sent, or is being sent."""

    def __init__(self, stream_id, body):
        self.id = stream_id
        self.body = memoryview(body)
        self.sent = 0
        self.ended = False
        self.headers = {}
        self.received = bytearray()
        self.done = False
        self.reset = None
        self.response = None


class Session:
    """HTTP/2 on an upgraded connection.  settings (by number) and window are
    what this side announces; by default, what the usual clients do."""

    SETTINGS = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 2,
                h2.settings.SettingCodes.MAX_FRAME_SIZE: 4 * MIB,
                h2.settings.SettingCodes.ENABLE_PUSH: 0}
    WINDOW = 2**31 - 2

    def __init__(self, conn, snapshot, settings=None, window=None):
        settings = settings or self.SETTINGS
        self.max_frame = settings.get(
            h2.settings.SettingCodes.MAX_FRAME_SIZE, 16384)
        self.conn = conn
        self.sock = conn.sock
        self.snapshot = snapshot
        self.streams = {}
        self.lost = None
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding='utf-8'))
        self.h2.local_settings = h2.settings.Settings(
            client=True, initial_values=settings)
        self.h2.initiate_connection()
        more = (self.WINDOW if window is None else window) - 65535
        if more > 0:
            self.h2.increment_flow_control_window(more)
        self.flush()
        if conn.rest:
            self.feed(conn.rest)

    def close(self):
        """As clients do: just drops the connection."""
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- moving bytes

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except OSError as error:
                self.lost = str(error)

    def feed(self, data):
        # python3-h2 takes a new frame size only from the call after the
        # one that brought the acknowledgement; both may be in one read.
        self.h2.max_inbound_frame_size = self.max_frame
        for event in self.h2.receive_data(data):
            self.on_event(event)
        self.flush()

    def on_event(self, event):
        stream = self.streams.get(getattr(event, 'stream_id', None))
        if isinstance(event, h2.events.ConnectionTerminated):
            self.lost = f'GOAWAY {event.error_code}'
        elif stream is None:
            return
        elif isinstance(event, h2.events.ResponseReceived):
            stream.headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            stream.received += event.data
            self.h2.acknowledge_received_data(
                event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.done = True
        elif isinstance(event, h2.events.StreamReset):
            stream.done = True
            stream.reset = event.error_code

    def push_bodies(self):
        """Sends of every body what the windows allow; True if something."""
        moved = False
        for s in list(self.streams.values()):
            while not s.ended and not s.done:
                left = len(s.body) - s.sent
                n = min(left, self.h2.local_flow_control_window(s.id),
                        self.h2.max_outbound_frame_size)
                if left and n <= 0:
                    break
                s.ended = n == left
                self.h2.send_data(s.id, bytes(s.body[s.sent:s.sent + n]),
                                  end_stream=s.ended)
                s.sent += n
                moved = True
                self.flush()
        return moved

    def turn(self, deadline):
        """Sends and receives once."""
        if self.lost:
            raise ConnectionLost(self.lost)
        self.push_bodies()
        self.sock.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            data = self.sock.recv(MIB)
        except (TimeoutError, socket.timeout):
            raise ConnectionLost('no answer in time') from None
        except OSError as error:
            raise ConnectionLost(str(error)) from None
        if not data:
            self.lost = 'the server closed the connection'
            raise ConnectionLost(self.lost)
        self.feed(data)

    # -- requests

    def start(self, method, path, query=None, json=None, body=b'',
              headers=()):
        """Sends a request without waiting for its answer."""
        target = f'/{path}'
        if query:
            target += '?' + encode_query(query)
        head = [(':method', method), (':scheme', 'https'),
                (':authority', 'localhost:8007'), (':path', target)]
        if json is not None:
            body = dumps(json)
            head.append(('content-type', 'application/json'))
        return self.start_head([*head, *headers], body)

    def start_head(self, head, body=b''):
        """The same with the header fields as they go out."""
        stream_id = self.h2.get_next_available_stream_id()
        stream = Stream(stream_id, body)
        self.h2.send_headers(stream_id, head, end_stream=not body)
        stream.ended = not body
        self.streams[stream_id] = stream
        self.flush()
        return stream

    def finish_stream(self, stream):
        del self.streams[stream.id]
        if stream.reset is not None and not stream.headers:
            raise ConnectionLost(f'stream reset, code {stream.reset}')
        stream.response = Response(int(stream.headers[':status']),
                                   stream.headers, bytes(stream.received))
        return stream.response

    def wait(self, stream, timeout=TIMEOUT):
        """The response, whatever its status."""
        if stream.response is not None:
            return stream.response
        deadline = time.monotonic() + timeout
        while not stream.done:
            self.turn(deadline)
        return self.finish_stream(stream)

    def request(self, method, path, query=None, json=None, body=b'',
                timeout=TIMEOUT):
        return self.wait(self.start(method, path, query, json, body), timeout)

    def call(self, method, path, query=None, json=None, body=b'',
             timeout=TIMEOUT):
        """The data of a successful response."""
        return self.request(method, path, query, json, body,
                            timeout).check().data


class BackupSession(Session):
    # -- the base

    def previous_time(self):
        return self.call('GET', 'previous_backup_time')

    def previous(self, name):
        return self.request('GET', 'previous',
                            {'archive-name': name}).check().body

    def wait_aborted(self, timeout=TIMEOUT):
        """The text by which every request of an aborted session fails."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                self.previous_time()
            except PbsError as error:
                return error.text
            time.sleep(0.02)
        raise AssertionError('the session goes on')

    # -- uploads; the start_* forms do not wait

    def start_chunk(self, kind, wid, raw, digest=None, encoded=None,
                    size=None, compress=False, encoded_size=None):
        encoded = blob(raw, compress) if encoded is None else encoded
        query = {'wid': wid, 'digest': (digest or sha256(raw)).hex(),
                 'size': len(raw) if size is None else size,
                 'encoded-size': len(encoded) if encoded_size is None
                 else encoded_size}
        return self.start('POST', f'{kind}_chunk', query, body=encoded)

    def chunk(self, kind, wid, raw, **more):
        return self.wait(self.start_chunk(kind, wid, raw, **more)
                         ).check().data

    def start_blob(self, name, encoded):
        return self.start('POST', 'blob', {'file-name': name,
                                           'encoded-size': len(encoded)},
                          body=encoded)

    def blob(self, name, encoded):
        return self.wait(self.start_blob(name, encoded)).check().data

    # -- indexes

    def create_fixed(self, name, size, reuse_csum=None):
        return self.call('POST', 'fixed_index', {
            'archive-name': name, 'size': size,
            'reuse-csum': reuse_csum.hex() if reuse_csum else None})

    def create_dynamic(self, name):
        return self.call('POST', 'dynamic_index', {'archive-name': name})

    def append(self, kind, wid, digests, offsets):
        """At most 128 entries a request, as clients do."""
        for i in range(0, len(digests), 128):
            self.call('PUT', f'{kind}_index', json={
                'wid': wid,
                'digest-list': [d.hex() for d in digests[i:i + 128]],
                'offset-list': list(offsets[i:i + 128])})

    def close_index(self, kind, wid, count, size, csum):
        return self.call('POST', f'{kind}_close', {
            'wid': wid, 'chunk-count': count, 'size': size,
            'csum': csum.hex()})

    def finish(self, timeout=TIMEOUT):
        return self.call('POST', 'finish', timeout=timeout)

    # -- whole files

    def upload_image(self, name, image, known=(), compress=False,
                     parallel=16):
        """A fixed index of these bytes; chunks in known are not sent.
        Returns (csum, digests)."""
        wid = self.create_fixed(name, len(image))
        pieces = split(image)
        digests = [sha256(p) for p in pieces]
        sent, pending = set(known), []
        for piece, digest in zip(pieces, digests):
            if digest in sent:
                continue
            sent.add(digest)
            pending.append(self.start_chunk('fixed', wid, piece,
                                            digest=digest,
                                            compress=compress))
            if len(pending) >= parallel:
                self.wait(pending.pop(0)).check()
        for stream in pending:
            self.wait(stream).check()
        self.append('fixed', wid, digests,
                    [i * CHUNK for i in range(len(digests))])
        csum = fixed_csum(digests)
        self.close_index('fixed', wid, len(digests), len(image), csum)
        return csum, digests

    def upload_dynamic(self, name, pieces, known=()):
        """A dynamic index of these pieces; those in known are not sent.
        Returns (csum, [(end, digest)])."""
        wid = self.create_dynamic(name)
        offsets, digests, end = [], [], 0
        entries, sent = [], set(known)
        for piece in pieces:
            digest = sha256(piece)
            if digest not in sent:
                sent.add(digest)
                self.chunk('dynamic', wid, piece, digest=digest)
            offsets.append(end)
            digests.append(digest)
            end += len(piece)
            entries.append((end, digest))
        self.append('dynamic', wid, digests, offsets)
        csum = dynamic_csum(entries)
        self.close_index('dynamic', wid, len(entries), end, csum)
        return csum, entries

    def backup_dynamic(self, name, pieces, known=(), finish=True):
        """A whole backup of one dynamic index."""
        manifest = Manifest(self.snapshot)
        csum, entries = self.upload_dynamic(name, pieces, known)
        manifest.add(name, entries[-1][0], csum)
        self.blob('index.json.blob', manifest.blob())
        if finish:
            self.finish()

    def backup_images(self, images, incremental=False, finish=True):
        """A whole backup of {name: bytes}; with incremental, chunks of the
        base are not sent.  Returns {name: digests}."""
        manifest, result = Manifest(self.snapshot), {}
        for name, image in images.items():
            known = ()
            if incremental:
                known = parse_fixed(self.previous(name))[2]
            csum, result[name] = self.upload_image(name, image, known)
            manifest.add(name, len(image), csum)
        self.blob('index.json.blob', manifest.blob())
        if finish:
            self.finish()
        return result


class ReaderSession(Session):
    def download(self, name):
        return self.request('GET', 'download', {'file-name': name}
                            ).check().body

    def chunk(self, digest):
        return self.request('GET', 'chunk', {'digest': digest.hex()}
                            ).check().body

    def dynamic(self, name):
        """The bytes behind a dynamic index, every chunk verified."""
        csum, entries = parse_dynamic(self.download(name))
        assert csum == dynamic_csum(entries)
        out = b''
        for end, digest in entries:
            raw = unblob(self.chunk(digest))
            assert sha256(raw) == digest
            out += raw
            assert len(out) == end
        return out

    def image(self, name):
        """The bytes behind a fixed index, every chunk verified."""
        size, csum, digests = parse_fixed(self.download(name))
        assert csum == fixed_csum(digests)
        parts = []
        for d in digests:
            raw = unblob(self.chunk(d))
            assert sha256(raw) == d
            parts.append(raw)
        image = b''.join(parts)
        assert len(image) == size
        return image
