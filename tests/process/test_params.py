"""Each call and each parameter rule (wire-protocol 1.3 to 1.6): unknown,
missing, repeated, mistyped and too long parameters in every carrier, other
methods, over-long targets and bodies, nobody's requests.  calls.py has the
table; the server is asked over HTTP/1.1 or inside a session over HTTP/2."""

import threading
import time
import urllib.parse

import pytest

import accounts
import calls
import instance as instance_module
import pbs
from calls import ALL_CALLS, HTTP1_CALLS

INSTANCE = accounts.PATIENT
FORM = 'application/x-www-form-urlencoded'
JSON = 'application/json'
TARGET_MAX = 3072
BODY_MAX = 512 << 10
METHODS = ('GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS')
PARAM_ERROR = 'parameter verification failed'

every_call = pytest.mark.parametrize('call', ALL_CALLS, ids=str)
http1_call = pytest.mark.parametrize('call', HTTP1_CALLS, ids=str)
call_with_params = pytest.mark.parametrize(
    'call', [c for c in ALL_CALLS if c.params], ids=str)


def carriers(call):
    return ('query',) if call.raw else ('query', 'form', 'json')


def form(pairs):
    return urllib.parse.urlencode(pairs)


class Asker:
    """Sends a call with any parameters, the way its transport does."""

    def __init__(self, instance):
        self.instance = instance
        instance.admin('acl', 'update', '/', 'Admin', '--auth-id',
                       instance_module.USER)
        base = ('host', 'base', 1600000000)
        with instance.backup(base) as s:
            s.backup_dynamic('a.didx', [b'x' * 4096])
        later = ('host', 'base', 1600000001)
        self.sessions = {'BACKUP': instance.backup(later),
                         'READER': instance.reader(base)}
        self.conn = instance.login()

    def close(self):
        for s in self.sessions.values():
            s.close()

    def path(self, call, values=None):
        path = call.path
        for name, value in {**call.values_of_path(),
                            **(values or {})}.items():
            path = path.replace('{' + name + '}',
                                urllib.parse.quote(value, safe=''))
        return path

    def send(self, call, query='', body=b'', content_type=None, method=None,
             path=None):
        method = method or call.method
        target = (path or self.path(call)) + ('?' + query if query else '')
        if call.transport != 'http1':
            session = self.sessions[call.transport]
            head = [('content-type', content_type)] if content_type else []
            return session.wait(session.start(method, target, body=body,
                                              headers=head))
        head = {'Content-Type': content_type} if content_type else {}
        if call.path in ('backup', 'reader'):
            head['Upgrade'] = pbs.BACKUP_PROTOCOL \
                if call.path == 'backup' else pbs.READER_PROTOCOL
        try:
            return self.conn.request(method, target, body=body, headers=head)
        except (pbs.ConnectionLost, OSError):
            # Closed after an answer before: that is allowed, once.
            self.conn = self.instance.login()
            return self.conn.request(method, target, body=body, headers=head)

    def ask(self, call, carrier, values, path_values=None):
        """values: pairs for query and form, a dict for JSON."""
        path = self.path(call, path_values)
        if carrier == 'query':
            return self.send(call, form(values), path=path)
        if carrier == 'form':
            return self.send(call, '', form(values).encode(), FORM, path=path)
        return self.send(call, '', pbs.dumps(values), JSON, path=path)

    def least(self, call, carrier):
        values = call.required(carrier == 'json')
        if call.path == 'access/ticket' and values:
            values = {'username': instance_module.USER,
                      'password': self.instance.state['password']}
        return values if carrier == 'json' else list(values.items())


@pytest.fixture(scope='module')
def asker(instance):
    asker = Asker(instance)
    yield asker
    asker.close()


def with_value(values, name, value):
    if isinstance(values, dict):
        return {**values, name: value}
    return [(k, v) for k, v in values if k != name] + [(name, value)]


def without(values, name):
    if isinstance(values, dict):
        return {k: v for k, v in values.items() if k != name}
    return [(k, v) for k, v in values if k != name]


def refused(r, name, message='', what=''):
    """400, with one complaint, about this parameter."""
    assert r.status == 400, (what, r.status, r.text)
    assert r.text.startswith(f"{PARAM_ERROR} - '{name}': {message}"), \
        (what, r.text)


# ---- the table is whole

def test_every_call_of_the_server_has_a_row():
    assert set(calls.of_server()) == {c.key for c in ALL_CALLS}


@every_call
def test_the_server_knows_the_same_parameters(call):
    row = calls.of_server()[call.key]
    assert {p.name: (p.kind.type, p.optional) for p in call.params} == \
        {name: (p['type'], p['optional'])
         for name, p in row['params'].items()}
    assert call.raw == ('RAW' in row['flags'])
    assert ('open' in call.flags) == ('OPEN' in row['flags'])


# ---- names

@every_call
def test_unknown(asker, call):
    for carrier in carriers(call):
        values = with_value(asker.least(call, carrier), 'no-such', '1')
        r = asker.ask(call, carrier, values)
        if carrier == 'json' and 'lax' in call.flags:
            assert PARAM_ERROR not in r.text
            continue
        refused(r, 'no-such', 'schema does not allow additional properties.',
                carrier)


@call_with_params
def test_missing(asker, call):
    text = 'parameter is missing and it is not optional.'
    for carrier in carriers(call):
        least = asker.least(call, carrier)
        for name in call.required():
            refused(asker.ask(call, carrier, without(least, name)), name,
                    text, carrier)
            if carrier == 'json':
                refused(asker.ask(call, carrier,
                                  with_value(least, name, None)), name, text)


@call_with_params
def test_repeated(asker, call):
    for carrier in carriers(call):
        least = asker.least(call, carrier)
        for p in call.params:
            if p.kind.type in ('strings', 'integers'):
                continue
            if carrier == 'json':
                if p.in_path:
                    refused(asker.ask(call, carrier, {**least,
                                                      p.name: p.good()}),
                            p.name, 'duplicate parameter.')
                continue
            more = [(p.name, p.good())] * (1 if p.in_path else 2)
            refused(asker.ask(call, carrier, without(least, p.name) + more),
                    p.name, 'duplicate parameter.', carrier)


@every_call
def test_cache_buster_is_dropped(asker, call):
    refused(asker.send(call, form([*asker.least(call, 'query'), ('_dc', '1'),
                                   ('_dc', '2'), ('no-such', '')])),
            'no-such')


# ---- values

def too_long_for_http1(call, carrier, value, r):
    """Some texts are longer than a target may be."""
    return carrier == 'query' and call.transport == 'http1' and \
        r.status == 414 and len(form([('', value)])) > TARGET_MAX - 300


@call_with_params
def test_mistyped(asker, call):
    for carrier in carriers(call):
        least = asker.least(call, carrier)
        for p in call.params:
            if p.in_path:
                continue
            bads = p.kind.json_bad if carrier == 'json' else p.kind.bad
            for bad in bads:
                r = asker.ask(call, carrier, with_value(least, p.name, bad))
                if not too_long_for_http1(call, carrier, bad, r):
                    refused(r, p.name, what=(carrier, p.name, bad))


@call_with_params
def test_bad_values_in_the_path(asker, call):
    least = asker.least(call, 'query')
    for p in call.params:
        if not p.in_path:
            continue
        for bad in [*p.kind.bad, p.kind.long]:
            if bad and bad[0] != '.':
                refused(asker.ask(call, 'query', least, {p.name: bad}),
                        p.name, what=bad)


@call_with_params
def test_too_long(asker, call):
    for carrier in carriers(call):
        least = asker.least(call, carrier)
        for p in call.params:
            if p.in_path or p.kind.long is None:
                continue
            value = p.kind.long
            if carrier == 'json' and p.kind.type == 'strings':
                value = [value]
            r = asker.ask(call, carrier, with_value(least, p.name, value))
            if not too_long_for_http1(call, carrier, value, r):
                refused(r, p.name, what=(carrier, p.name))


# What is found before anybody looks for the datastore.
OTHER_REASONS = ('Cannot create/delete root namespace!',
                 'blob too small (0 bytes).')


def costs_a_failed_login(call, p):
    return call.path == 'access/ticket' and p.name in ('username', 'password')


@call_with_params
def test_good_values(asker, call):
    for carrier in carriers(call):
        least = asker.least(call, carrier)
        for p in call.params:
            if p.in_path or costs_a_failed_login(call, p):
                continue
            good = p.kind.json_good if carrier == 'json' else p.kind.good
            for value in good:
                r = asker.ask(call, carrier, with_value(least, p.name, value))
                if too_long_for_http1(call, carrier, value, r):
                    continue
                assert PARAM_ERROR not in r.text and r.status < 500, \
                    (carrier, p.name, value, r.text)
                if '{store}' in call.path or call.path == 'backup':
                    assert r.text in (f"no such datastore '{calls.STORE}'",
                                      *OTHER_REASONS)


@every_call
def test_texts_that_cannot_be_decoded(asker, call):
    for query in ('a=%zz', '%zz=a', 'a=%00', 'a=%ff', '%c3=1', 'a=%c3%28'):
        r = asker.send(call, query)
        assert r.status == 400 and r.text, query


# ---- carriers

not_raw = pytest.mark.parametrize(
    'call', [c for c in ALL_CALLS if not c.raw], ids=str)


@not_raw
def test_json_alone_counts(asker, call):
    """With JSON the query is ignored, and an empty body is {}."""
    least = asker.least(call, 'json')
    r = asker.send(call, 'no-such=1&%zz', pbs.dumps(least), JSON)
    assert r.status < 500 and PARAM_ERROR not in r.text
    r = asker.send(call, form(asker.least(call, 'query')), b'',
                   JSON + '; charset=UTF-8')
    assert (PARAM_ERROR in r.text) == bool(least)


@not_raw
def test_json_that_is_no_object(asker, call):
    for body in (b'[]', b'1', b'"a"', b'null', b'{', b'{}}', b'\xff',
                 b'{"a":' * 200, b'[' * 60000, b'{"a": 1' + b'0' * 30 + b'}',
                 b'{"a": 1e999}', b'{"a": "\\ud800"}', b'{"a": "\\u0000"}'):
        r = asker.send(call, '', body, JSON)
        assert r.status == 400 and r.text, body


@not_raw
def test_form_and_query_are_one(asker, call):
    least = asker.least(call, 'query')
    half = len(least) // 2
    for kind in (None, FORM, FORM.upper() + '; charset=UTF-8'):
        r = asker.send(call, form(least[:half]), form(least[half:]).encode(),
                       kind)
        assert r.status < 500 and PARAM_ERROR not in r.text
    if least:
        name = least[-1][0]
        r = asker.send(call, form(least), form(least[-1:]).encode(), FORM)
        if call.params[-1].kind.type not in ('strings', 'integers'):
            refused(r, name, 'duplicate parameter.')


@not_raw
def test_other_content_types(asker, call):
    for kind in ('text/plain', 'application/jsonx', 'multipart/form-data',
                 'application/octet-stream', 'application/json/'):
        r = asker.send(call, form(asker.least(call, 'query')), b'{}', kind)
        assert r.status == 400
        assert r.text.startswith('unsupported content type')


# ---- methods and paths

PATHS = {(c.transport, c.path): c for c in ALL_CALLS}.values()


@pytest.mark.parametrize('call', PATHS, ids=str)
def test_other_methods(asker, call):
    known = {c.method for c in ALL_CALLS
             if (c.transport, c.path) == (call.transport, call.path)}
    path = asker.path(call)
    if call.path == '/health':
        known.add('HEAD')
    shown = urllib.parse.unquote('/' + call.target(path).lstrip('/'))
    for method in METHODS:
        if method in known:
            continue
        # HEAD has a body that nobody sends.
        r = asker.send(call, method=method, path=path) \
            if method != 'HEAD' else head(asker, call, path)
        assert r.status == 404, method
        if method != 'HEAD':
            # What a terminal would not like is shown escaped.
            assert r.text == f"Path '{shown}' not found." or '\\' in shown


def head(asker, call, path):
    if call.transport != 'http1':
        return asker.send(call, method='HEAD', path=path)
    conn = asker.instance.token()
    try:
        conn.send_head('HEAD', call.target(path),
                       {**conn.headers, 'Connection': 'close'})
        line = conn.read_until(b'\r\n').decode()
        return pbs.Response(int(line.split()[1]), {}, b'')
    finally:
        conn.close()


@every_call
def test_paths_beside(asker, call):
    path = asker.path(call)
    for other in (path + '/x', path + 'x', 'x/' + path, path.upper()):
        if other == path or not path:
            continue
        assert asker.send(call, path=other).status in (400, 404), other
    for other in ('.', '..', f'../{path}', f'{path}/.', f'./{path}',
                  f'{path}/.hidden'):
        r = asker.send(call, path=other)
        assert r.text == 'path contains illegal components', other
        assert r.status == 400


@every_call
def test_empty_components_and_trailing_slashes(asker, call):
    path = asker.path(call)
    if not path:
        return
    for other in (path + '/', path.replace('/', '//'), path + '//'):
        r = asker.send(call, 'no-such=1', path=other)
        assert "'no-such'" in r.text, other
    if call.transport == 'http1':
        r = asker.conn.request(call.method,
                               call.target(path).replace('/', '//'),
                               {'no-such': 1})
        assert "'no-such'" in r.text


# ---- lengths

@http1_call
def test_target_too_long(asker, call):
    path = call.target(asker.path(call))
    for length, status in ((TARGET_MAX, 400), (TARGET_MAX + 1, 414)):
        query = 'x' * (length - len(path))
        r = asker.conn.request(call.method, f'{path}?{query}')
        assert r.status == status, length
        if status == 414:
            assert r.body == b''


@pytest.mark.parametrize('call', calls.BACKUP_CALLS + calls.READER_CALLS,
                         ids=str)
def test_long_targets_are_fine_in_a_session(asker, call):
    r = asker.send(call, '_dc=' + 'x' * 20000)
    assert r.status != 414


@not_raw
def test_body_too_long(asker, call):
    for kind, start in ((FORM, b'_dc='), (JSON, b'{"_dc": "')):
        r = asker.send(call, '', start + b'x' * (BODY_MAX - len(start)), kind)
        assert (r.status, r.text) == (400, 'Request body too large')
    body = b'_dc=' + b'x' * (BODY_MAX - 5)
    r = asker.send(call, form(asker.least(call, 'query')), body, FORM)
    assert r.text != 'Request body too large' and r.status < 500


raw = pytest.mark.parametrize(
    'call', [c for c in ALL_CALLS if c.raw], ids=str)


@raw
def test_body_of_a_raw_call_too_long(asker, call):
    """Refused or thrown away, and the next request is answered."""
    r = asker.send(call, form(asker.least(call, 'query')),
                   bytes(BODY_MAX + 1), 'application/octet-stream')
    assert r.status == 400 or (r.status == 200 and 'speedtest' in call.path) \
        or r.status == 401 and call.path == 'chunk'
    assert PARAM_ERROR in asker.send(call, 'no-such=1').text


def test_log_too_long(asker):
    call = next(c for c in ALL_CALLS if c.path.endswith('upload-backup-log'))
    r = asker.send(call, form(asker.least(call, 'query')),
                   pbs.blob(bytes((16 << 20) + 33)))
    assert (r.status, r.text) == (400, 'backup log is too large')


# ---- nobody

def send_alone(instance, call, headers, found):
    conn = instance.connect()
    try:
        path, begun = Asker.path(None, call), time.monotonic()
        r = conn.request(call.method, path, headers=headers)
        r.seconds = time.monotonic() - begun
        found[call.key] = r
    except (pbs.ConnectionLost, OSError) as error:
        found[call.key] = error
    finally:
        conn.close()


def all_at_once(instance, headers, which):
    """Each refusal takes seconds: one connection for each call."""
    found = {}
    threads = [threading.Thread(target=send_alone,
                                args=(instance, c, headers, found))
               for c in which]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return found


def test_without_credentials(instance):
    found = all_at_once(instance, {}, HTTP1_CALLS)
    for call in HTTP1_CALLS:
        r = found[call.key]
        if 'open' in call.flags:
            assert r.status in (200, 400)
        else:
            assert (r.status, r.text) == (401, (
                'authentication failed - no authentication credentials '
                'provided.')), call
            assert r.seconds > 2.9, 'guessing takes time'


def test_ticket_without_csrf_token(asker, instance):
    """Only for GET is the ticket enough."""
    conn = instance.login()
    headers = {'Cookie': conn.headers['Cookie']}
    closed = [c for c in HTTP1_CALLS if 'open' not in c.flags]
    found = all_at_once(instance, headers, closed)
    for call in closed:
        r = found[call.key]
        if call.method != 'GET':
            assert r.status == 401 and 'CSRF' in r.text, call
        else:
            assert r.status in (200, 400), call
    others = [calls.Call('http1', f'{method} version')
              for method in ('OPTIONS', 'PATCH')]
    assert [r.status for r in all_at_once(instance, headers, others).values()
            ] == [401] * len(others)


def test_nobody_learns_which_paths_exist(asker, instance):
    paths = [calls.Call('http1', f'GET {path}') for path in (
        'nowhere', 'admin', 'access', 'admin/datastore/store/nowhere')]
    found = all_at_once(instance, {}, paths)
    assert [r.status for r in found.values()] == [401] * len(paths)
    for call in paths:
        r = asker.send(call)
        assert (r.status, r.text) == (
            404, f"Path '/api2/json/{call.path}' not found.")
