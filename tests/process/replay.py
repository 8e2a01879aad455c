"""Plays recordings of real clients (tests/data/traces) against an instance.

A Replayer keeps what one recording leaves for the next.  Bodies above 4 KiB
are not in a recording, so it makes others of the same kind; their digests,
and the checksums and lengths that follow from them, are replaced wherever
they occur.  So are users, passwords, tokens, tickets and task ids.
"""

import base64
import json
import pathlib
import random
import re
import struct
import urllib.parse

import pbs
from instance import TOKEN, USER, USER2, wait_for

TRACES = pathlib.Path(__file__).resolve().parents[1] / 'data' / 'traces'
HEX64 = re.compile(r'(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])')
# Errors that are worded differently say this in both.
PHRASES = ('only partially deleted',)


def load(name):
    with open(TRACES / f'{name}.jsonl', encoding='utf-8') as f:
        return [json.loads(line) for line in f]


def names():
    return sorted(p.stem for p in TRACES.glob('*.jsonl'))


def whole(body):
    """The bytes of a recorded body, or None if they were cut off."""
    if not body or not body['length']:
        return b''
    if 'text' in body:
        return body['text'].encode()
    return base64.b64decode(body['base64']) if 'base64' in body else None


# ---- shapes of JSON

def merge(shapes):
    """Of the elements of a list: one shape with optional members."""
    kinds = {type(s) for s in shapes}
    if kinds != {dict}:
        return shapes[0] if len(kinds) == 1 else ('any',)
    out = {}
    for shape in shapes:
        for key, value in shape.items():
            out.setdefault(key, []).append(value)
    return {key if len(found) == len(shapes) else key + '?':
            merge(found) for key, found in out.items()}


def shape(value):
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    if isinstance(value, list):
        return [merge([shape(v) for v in value])] if value else []
    return 'number' if type(value) in (int, float) else type(value).__name__


def differences(want, have, path='', extra=()):
    """What a client could trip over: members missing, of another type, or
    unknown to it and not in extra."""
    if isinstance(want, dict) and isinstance(have, dict):
        known = {k.rstrip('?') for k in want} | set(extra)
        present = {k.rstrip('?') for k in have}
        out = [f'{path}.{k}: missing' for k in want
               if not k.endswith('?') and k not in have]
        out += [f'{path}.{k}: unknown' for k in present - known]
        both = {k.rstrip('?'): v for k, v in want.items()}
        for key, value in have.items():
            key = key.rstrip('?')
            if key in both:
                out += differences(both[key], value, f'{path}.{key}', extra)
        return out
    if isinstance(want, list) and isinstance(have, list):
        if want and have:
            return differences(want[0], have[0], path + '[]', extra)
        return [f'{path}[]: none, not {len(want)}'] if want else []
    return [] if want == have else [f'{path}: {have}, not {want}']


# What is another one's with every server and run.  Of a manifest, the size:
# it is made anew.
VARYING = {'ticket', 'CSRFPreventionToken', 'total', 'used', 'avail', 'release',
           'repoid', 'version', 'upid', 'starttime', 'endtime', 'pid', 'pstart',
           'node'}


def changed(what, want, have, path=''):
    """Values that are neither the recorded ones nor known to vary."""
    if isinstance(want, dict) and isinstance(have, dict):
        remade = {'size'} if want.get('filename') == 'index.json.blob' \
            else set()
        return [line for key in want.keys() & have.keys() - VARYING - remade
                for line in changed(what, want[key], have[key],
                                    f'{path}.{key}')]
    if isinstance(want, list) and isinstance(have, list):
        if path == '.data' and 'group' in what:
            # In no order; and the recorded store held those of other
            # recordings as well.
            def group(x):
                return x['backup-type'], x['backup-id']
            ours = {group(x) for x in have}
            want = sorted((x for x in want if group(x) in ours), key=group)
            have = sorted(have, key=group)
        if path.endswith('.files'):
            want, have = sorted(want), sorted(have)  # as a folder has them
        if len(want) != len(have):
            return [f'{path}[]: {len(have)}, not {len(want)}']
        return [line for n, pair in enumerate(zip(want, have))
                for line in changed(what, *pair, f'{path}[{n}]')]
    if str(want).startswith('UPID:') and str(have).startswith('UPID:'):
        want, have = want.split(':')[5:], have.split(':')[5:]
    return [] if want == have else [f'{path}: {have!r}, not {want!r}']


# ---- what the client's side becomes

class Replayer:
    def __init__(self, inst):
        self.inst = inst
        self.done = {}
        self.hex = {}           # digests and checksums: recorded to ours
        self.indexes = {}       # (group, name): [(position, digest)]
        self.text = [('test@pbs!tok', f'{USER}!{TOKEN}'),
                     ('test@pbs!go', f'{USER}!{TOKEN}'),
                     ('test@pbs', USER), ('other@pbs', USER2),
                     ('test%40pbs', USER.replace('@', '%40'))]
        self.passwords = {'test12345': inst.state['password'],
                          'other12345': inst.state['password2']}

    def replace(self, text):
        """Names and digests of the recording to ours, in any text."""
        for old, new in self.text:
            text = text.replace(old, new)
        return HEX64.sub(lambda m: self.hex.get(m[0], m[0]), text)

    def need(self, name, needs):
        """Plays a recording once, after those that it builds upon.  Returns
        what differed."""
        if name not in self.done:
            for other in needs.get(name, ()):
                self.need(other, needs)
            self.done[name] = Run(self, load(name)).play()
        return self.done[name]

    def wait_for_idle(self):
        """Locks of a connection that is gone go a moment later."""
        wait_for(lambda: not self.inst.admin_json('session', 'list'), 60)


class Run:
    """One recording."""

    def __init__(self, replayer, events):
        self.r = replayer
        self.events = events
        self.conns = {}
        self.sessions = {}
        self.tickets = {}
        self.group = None
        self.writers = {}       # wid: (kind, name, {position: digest})
        self.wrong = []

    def play(self):
        try:
            for event in self.events:
                if event['event'] == 'http1':
                    self.http1(event)
                elif event['event'] == 'http2':
                    self.http2(event)
        finally:
            for conn in self.conns.values():
                conn.close()
        if self.sessions:
            self.r.wait_for_idle()
        return self.wrong

    def say(self, what, text):
        self.wrong.append(f'{what}: {text}')

    # -- HTTP/1.1

    def http1(self, event):
        key = event['conn']
        if key not in self.conns:
            self.conns[key] = self.r.inst.connect()
        conn = self.conns[key]
        method, target, _ = event['request'].split(' ')
        login = 'access/ticket' in target
        body = whole(event['request_body'])
        if 'text' in event['request_body']:
            body = self.r.replace(body.decode())
            body = (self.with_password(body) if login else body).encode()
        target = self.target(target)
        self.send(conn, event, f'{method} {target} HTTP/1.1', body)
        answer = conn.read_response()
        if login and answer.status == 200:
            self.tickets[key] = answer.data
        status = int(event['response'].split(' ')[1])
        self.compare(f'{method} {target}', event, status, answer)
        if status == answer.status == 101:
            query = urllib.parse.parse_qs(target.partition('?')[2])
            self.group = (query['backup-type'][0], query['backup-id'][0])
            self.sessions[key] = self.open_session(key, conn)

    def with_password(self, body):
        for old, new in self.r.passwords.items():
            body = body.replace(old, new)
        return body

    def send(self, conn, event, line, body):
        lines = [line]
        refused = ' 401 ' in event['response']
        ticket = self.tickets.get(event['conn'])
        for name, value in event['request_headers']:
            lower = name.lower()
            if lower == 'cookie':
                value = 'PBSAuthCookie=' + urllib.parse.quote(
                    ticket['ticket'], safe=':=+/%')
            elif lower == 'csrfpreventiontoken':
                value = ticket['CSRFPreventionToken']
            elif lower == 'authorization':
                value = self.authorization(value, refused)
            elif lower == 'content-length':
                value = str(len(body))
            lines.append(f'{name}: {value}')
        conn.sock.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode() + body)

    def authorization(self, value, wrong=False):
        """As the client writes it, with a good secret or a bad one."""
        scheme, sep, token = re.match(r'(\w+)([ =])(.*)', value).groups()
        secret = token.rpartition(':')[2] if wrong \
            else self.r.inst.state['token_secret']
        return f'{scheme}{sep}{USER}!{TOKEN}:{secret}'

    def target(self, target):
        upid = re.search(r'/tasks/([^/?]+)', target)
        if upid:
            return target.replace(upid[1], self.task(upid[1]))
        return self.r.replace(target)

    def task(self, quoted):
        """Our task of the same type and worker id."""
        old = urllib.parse.unquote(quoted).split(':')
        conn = self.r.inst.login()
        wait_for(lambda: not conn.get('nodes/localhost/tasks', running=True),
                 60)
        for task in conn.get('nodes/localhost/tasks', limit=0):
            if task['upid'].split(':')[6:8] == old[6:8]:
                return urllib.parse.quote(task['upid'], safe='')
        raise AssertionError(f'no task like {":".join(old)}')

    # -- HTTP/2

    def open_session(self, key, conn):
        """With the client's own settings and window."""
        settings, window = None, None
        for event in self.events:
            frame = event.get('frame', '')
            if event['conn'] != key or event['event'] != 'client-frame':
                continue
            if frame.startswith('SETTINGS {'):
                settings = {int(k): v for k, v in
                            json.loads(frame[len('SETTINGS '):]).items()}
            first = re.match(r'WINDOW_UPDATE sid=0 inc=(\d+)', frame)
            if first and window is None:
                window = int(first[1]) + 65535
        return pbs.Session(conn, None, settings, window)

    def http2(self, event):
        session = self.sessions.get(event['conn'])
        if session is None:
            return
        head = dict(event['request_headers'])
        path, _, query = head[':path'].partition('?')
        query = dict(urllib.parse.parse_qsl(query))
        body = self.body(event, path, query)
        if path.endswith('_close'):
            self.before_close(query or json.loads(whole(
                event['request_body'])))
        target = re.sub(r'encoded-size=\d+', f'encoded-size={len(body)}',
                        self.r.replace(head[':path']))
        if event['request_body'].get('text'):
            body = self.r.replace(body.decode()).encode()
        fields = []
        for name, value in event['request_headers']:
            if name == ':path':
                value = target
            elif name == 'authorization':
                value = self.authorization(value)
            elif name == 'content-length':
                value = str(len(body))
            fields.append((name, value))
        answer = session.wait(session.start_head(fields, body))
        what = f'{head[":method"]} {target[:120]}'
        status = int(dict(event['response_headers'])[':status'])
        self.compare(what, event, status, answer)
        if status == answer.status == 200:
            self.after(event, path, target, body, answer)

    def body(self, event, path, query):
        """What to send: the recorded bytes, or ones of the same kind."""
        rec = event['request_body']
        body = whole(rec)
        if body is None:
            head = base64.b64decode(rec['head_base64'])
            body = self.make_body(path, query, head, rec['length'])
        elif path == '/blob' and query['file-name'] == 'index.json.blob':
            body = self.manifest(body)
        return body

    def make_body(self, path, query, head, length):
        rng = random.Random(query.get('digest', path))
        if not path.endswith('_chunk'):
            return rng.randbytes(length)
        size, digest = int(query['size']), query['digest']
        magic = head[:8]
        if magic in (pbs.ENCRYPTED_MAGIC, pbs.ENCRYPTED_ZSTD_MAGIC):
            return pbs.encrypted_blob(
                rng.randbytes(length - 44),
                compressed=magic == pbs.ENCRYPTED_ZSTD_MAGIC)
        raw = rng.randbytes(size // 2) + bytes(size - size // 2)
        self.r.hex[digest] = pbs.sha256(raw).hex()
        return pbs.blob(raw, compress=magic == pbs.ZSTD_MAGIC)

    def manifest(self, body):
        text = pbs.unblob(body).decode()
        ours = self.r.replace(text)
        if ours == text:
            return body
        return pbs.blob(ours.encode(), compress=body[:8] == pbs.ZSTD_MAGIC)

    # -- indexes: their checksums are ours as soon as one chunk is

    def after(self, event, path, target, body, answer):
        if path in ('/dynamic_index', '/fixed_index'):
            text = body.decode() or json.dumps(dict(
                urllib.parse.parse_qsl(target.partition('?')[2])))
            doc = json.loads(text)
            if 'archive-name' in doc:
                self.open_writer(path[1:], doc, answer)
            else:
                self.writers[doc['wid']][2].update(
                    zip(doc['offset-list'], doc['digest-list']))

    def open_writer(self, kind, doc, answer):
        name = doc['archive-name']
        entries = {}
        if 'reuse-csum' in doc:
            entries.update(self.r.indexes[self.group, name])
        self.writers[answer.data] = (kind, name, entries)

    def before_close(self, doc):
        kind, name, entries = self.writers[int(doc['wid'])]
        self.r.indexes[self.group, name] = dict(entries)
        order = sorted(entries)
        digests = [bytes.fromhex(entries[at]) for at in order]
        if kind == 'fixed_index':
            csum = pbs.fixed_csum(digests)
        else:
            ends = order[1:] + [int(doc['size'])]
            csum = pbs.dynamic_csum(list(zip(ends, digests)))
        self.r.hex[doc['csum']] = csum.hex()

    # -- answers

    def compare(self, what, event, status, answer):
        if answer.status != status:
            self.say(what, f'{answer.status} {answer.text!r}, not {status}')
            return
        want = {k.lower(): v for k, v in event['response_headers'] or ()}
        # An error's text is called JSON there; no client looks.
        for name in ('content-type', 'upgrade') if status < 400 else ():
            have, should = (h.get(name, '').partition(';')[0]
                            for h in (answer.headers, want))
            if have != should:
                self.say(what, f'{name}: {have}, not {should}')
        self.compare_body(what, event, status, answer, want)

    def compare_body(self, what, event, status, answer, want):
        rec = event['response_body']
        recorded = whole(rec)
        if status >= 400:
            text = self.r.replace(recorded.decode())
            same = any(p in text and p in answer.text for p in PHRASES)
            if not same and answer.text.strip() != text.strip():
                self.say(what, f'{answer.text!r}, not {text!r}')
        elif want.get('content-type', '').startswith('application/json'):
            if recorded is None:
                return
            for line in differences(shape(json.loads(recorded)),
                                    shape(json.loads(answer.body))):
                # A task's log has lines of its own, and fewer or more.
                if '/log?' not in what or ': none, not' not in line:
                    self.say(what, line)
            if '/log?' in what or 'gc' in what:
                return
            for line in changed(what, json.loads(self.r.replace(recorded.decode())),
                                json.loads(answer.body)):
                self.say(what, line)
        elif status == 200:
            self.compare_file(what, rec, recorded, answer.body)

    def compare_file(self, what, rec, recorded, body):
        head = recorded or base64.b64decode(rec['head_base64'])
        if head[:8] in (pbs.FIXED_MAGIC, pbs.DYNAMIC_MAGIC):
            csum = self.r.hex[head[32:64].hex()]
            if len(body) != rec['length'] or body[:8] != head[:8] or \
                    body[32:64].hex() != csum:
                self.say(what, f'another index of {len(body)} bytes')
        elif 'index.json.blob' in what:
            for line in differences(shape(json.loads(pbs.unblob(head))),
                                    shape(json.loads(pbs.unblob(body)))):
                self.say(what, line)
        elif 'chunk?' in what:
            self.compare_chunk(what, head[:8], body)
        elif body != recorded:
            self.say(what, 'another body')

    def compare_chunk(self, what, magic, body):
        digest = HEX64.search(what)[0]
        crc = struct.unpack('<I', body[8:12])[0]
        encrypted = (pbs.ENCRYPTED_MAGIC, pbs.ENCRYPTED_ZSTD_MAGIC)
        if magic in encrypted:
            if body[:8] != magic or crc == 0:
                self.say(what, 'not the encrypted chunk')
        elif pbs.sha256(pbs.unblob(body)).hex() != digest:
            self.say(what, 'another chunk')
