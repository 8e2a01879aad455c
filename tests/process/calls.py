"""Every call of the protocol with its parameters, as the protocol's
specification has them (wire-protocol 2 to 5 and 7), and what a value of each
kind may be.  The server's own tables are compared with this one, not used.

A row of a table: method, path (below /api2/json for HTTP/1.1, unless it begins
with '/'), then the parameters; [optional], name:kind
where the name does not tell the kind (see KIND_OF), and +flags:
  +open  nobody needs to log in
  +raw   parameters come in path and query only; the body is something else
  +lax   JSON may have unknown members
"""

import json
import subprocess

from instance import find_build

STORE = 'no-such-store'
UPID = 'UPID:localhost:0000A1B2:00BC614E:0000001F:66671C80:backup:' \
    's1\\x3ahost-h1:u@pbs:'

HTTP1 = '''
GET    ping +open
GET    version
GET    nodes/{node}/identity
POST   access/ticket username:userid password [path:text256] [privs:text1024] [port:0..65535] [tfa-challenge:text4096] [http-only:bool] +open
DELETE access/ticket
GET    access/domains +open
GET    access/users [include_tokens:bool]
GET    access/roles
GET    access/permissions [auth-id:authid] [path:text512]
PUT    access/password userid password [confirmation-password:text1024]

GET    backup store SNAPSHOT [debug:bool] [benchmark:bool] [no-cache:bool] +raw
GET    reader store SNAPSHOT [debug:bool] +raw

GET    admin/datastore
GET    admin/datastore/{store}/status [verbose:bool]
GET    admin/datastore/{store}/gc
POST   admin/datastore/{store}/gc
POST   admin/datastore/{store}/verify [ns] [backup-type] [backup-id] [backup-time] [ignore-verified:bool] [outdated-after:0..2147483647] [max-depth:0..7]
POST   admin/datastore/{store}/prune-datastore [ns] KEEP [max-depth:0..7] [dry-run:bool]
GET    admin/datastore/{store}/namespace [parent:ns] [max-depth:0..7]
POST   admin/datastore/{store}/namespace [parent:ns] name:id32
DELETE admin/datastore/{store}/namespace ns [delete-groups:bool] [error-on-protected:bool]
GET    admin/datastore/{store}/groups [ns]
DELETE admin/datastore/{store}/groups GROUP [error-on-protected:bool]
GET    admin/datastore/{store}/group-notes GROUP
PUT    admin/datastore/{store}/group-notes GROUP notes:text
POST   admin/datastore/{store}/change-owner GROUP new-owner:authid
GET    admin/datastore/{store}/snapshots [ns] [backup-type] [backup-id]
DELETE admin/datastore/{store}/snapshots SNAPSHOT
GET    admin/datastore/{store}/files SNAPSHOT
GET    admin/datastore/{store}/notes SNAPSHOT
PUT    admin/datastore/{store}/notes SNAPSHOT notes:text
GET    admin/datastore/{store}/protected SNAPSHOT
PUT    admin/datastore/{store}/protected SNAPSHOT protected:bool
POST   admin/datastore/{store}/upload-backup-log SNAPSHOT +raw
GET    admin/datastore/{store}/download SNAPSHOT file-name:name +raw
GET    admin/datastore/{store}/download-decoded SNAPSHOT file-name:name +raw
GET    admin/datastore/{store}/catalog SNAPSHOT filepath
GET    admin/datastore/{store}/pxar-file-download SNAPSHOT filepath [archive-name:name] [tar:bool] +raw
POST   admin/datastore/{store}/prune GROUP [dry-run:bool] KEEP [use-task:bool] +lax

GET    nodes/{node}/tasks [start:0..] [limit:0..] [running:bool] [errors:bool] [store] [userfilter:text256] [since:int] [until:int] [typefilter:text64] [statusfilter:statuses]
GET    nodes/{node}/tasks/{upid}/status
GET    nodes/{node}/tasks/{upid}/log [start:0..] [limit:0..] [test-status:bool] [download:bool] +raw
DELETE nodes/{node}/tasks/{upid}

GET    /health +open
'''

BACKUP = '''
GET    ""
GET    previous_backup_time
GET    previous archive-name:name +raw
POST   blob file-name:name encoded-size:12..16777260 +raw
POST   dynamic_index archive-name:name
PUT    dynamic_index wid digest-list:digests offset-list:ints
POST   dynamic_chunk wid digest size:1..16777216 encoded-size:13..16777260 +raw
POST   dynamic_close wid chunk-count:1.. size:1.. csum:digest
POST   fixed_index archive-name:name size:1.. [reuse-csum:digest]
PUT    fixed_index wid digest-list:digests offset-list:ints
POST   fixed_chunk wid digest size:1..16777216 encoded-size:13..16777260 +raw
POST   fixed_close wid chunk-count:0.. size:0.. csum:digest
POST   finish
POST   speedtest +raw
'''

READER = '''
GET    ""
GET    download file-name:name +raw
GET    chunk digest +raw
GET    speedtest +raw
'''

GROUPS = {
    'GROUP': '[ns] backup-type backup-id',
    'SNAPSHOT': '[ns] backup-type backup-id backup-time',
    'KEEP': ' '.join(f'[keep-{x}:1..2147483647]' for x in (
        'last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly')),
}

KIND_OF = {'store': 'store', 'node': 'text64', 'upid': 'upid', 'ns': 'ns',
           'backup-type': 'type', 'backup-id': 'id255', 'userid': 'userid',
           'backup-time': '1..253402300799', 'password': 'password',
           'wid': '1..256', 'digest': 'digest', 'filepath': 'filepath'}


class Kind:
    """wire: texts in a query or form; json: JSON values."""

    def __init__(self, type_name, good, bad, long=None, json_good=None,
                 json_bad=()):
        self.type = type_name
        self.good = good
        self.bad = bad
        self.long = long
        self.json_good = good if json_good is None else json_good
        # A text is the same in JSON; other types are not texts there.
        self.json_bad = [*bad, *json_bad] if json_good is None else json_bad
        self.min = self.max = 0


def string(good, bad=(), long=None):
    return Kind('string', good, bad, long, json_bad=[1, True, [], {}, ['a']])


def boolean():
    return Kind('boolean', ['1', 'on', 'YES', 'true', '0', 'Off', 'no',
                            'FALSE'],
                ['2', '', 'maybe', 'truee', '-1'], None, [True, False],
                ['true', '1', 1, 0, [], {}, [True]])


def integer(low=None, high=None):
    good = [n for n in (low, high) if n is not None] or [0, -1]
    out = [n for n in (low is not None and low - 1,
                       high is not None and high + 1) if n is not False]
    kind = Kind('integer', [str(n) for n in good],
                ['x', '', '1.5', '0x1', '1e1', '99999999999999999999',
                 '1 1', *map(str, out)],
                None, good, ['1', 1.5, True, [], {}, [1], *out])
    kind.min, kind.max = low, high
    return kind


def text(limit=None):
    good = ['a b/c;d+e&f=g%\u00e4\U0001f600']
    if not limit:
        return string(good + ['', 'a\nb'])
    # Characters count, not bytes.
    return string(good + ['\u00e4' * limit], ['\u00e4' * (limit + 1)],
                  'x' * (limit + 1))


def safe_id(limit):
    return string(['a', '_.-', 'A-1.x_', 'x' * limit],
                  ['', '.a', '-a', 'a/b', 'a b', '\u00e4', 'a:', 'a%00'],
                  'x' * (limit + 1))


def digest_bad():
    return ['', 'ab' * 31, 'AB' * 32, 'xy' * 32, ' ' + 'a' * 63]


def array(of, extra=()):
    return Kind('strings' if of.type == 'string' else 'integers',
                of.good, [x for x in of.bad], of.long,
                [[x] for x in of.json_good] + [of.json_good, []],
                [of.json_good[0], {}, True,
                 *[[x] for x in of.json_bad], *extra])


KINDS = {
    'bool': boolean(),
    'int': integer(),
    'ints': array(integer(low=0)),
    'statuses': array(string(['ok', 'warning', 'error', 'unknown'],
                             ['', 'OK', 'running', 'x'])),
    'text': text(),
    'store': string([STORE], ['ab', '.abc', 'a b', 'a/b', ''], 'x' * 33),
    'ns': string(['', 'a', 'a/b/c/d/e/f/g', 'x' * 255],
                 ['/', '/a', 'a/', 'a//b', '.', 'a/../b', 'a b',
                  'a/b/c/d/e/f/g/h', '\u00e4'], 'x' * 257),
    'type': string(['vm', 'ct', 'host'], ['', 'VM', 'hosts', 'vm ']),
    'userid': string(['u@pbs'], ['', 'u', '@pbs', 'u@', 'u:@pbs', 'u/@pbs',
                                 'a b@pbs', 'u@pbs!t'], 'x' * 61 + '@pbs'),
    'authid': string(['u@pbs', 'u@pbs!token'],
                     ['', 'u', '@pbs', 'u@pbs!', 'u@pbs!.tok', 'u@p!tok!n'],
                     'x' * 61 + '@pbs'),
    'password': string(['open sesame \u00e4'], ['', 'a\nb', 'a\x7fb'],
                       'x' * 1025),
    'upid': string([UPID], ['x', UPID[:-1], UPID.replace('0000A1B2', 'A1B2'),
                            UPID.replace('UPID', 'upid')],
                   UPID.replace('backup', 'b' * 800)),
    'digest': string(['ab' * 32], digest_bad(), 'ab' * 33),
    'digests': array(string(['ab' * 32], digest_bad(), 'ab' * 33)),
    'name': safe_id(249),
    # Of base64, which the call itself decodes.
    'filepath': string(['Lw==', 'L2EvYg=='], ['']),
}


def kind(name):
    """Also text64, id32, and numbers as 1..256 or 0.. ."""
    if name in KINDS:
        return KINDS[name]
    if '..' in name:
        low, high = name.split('..')
        made = integer(int(low), int(high) if high else None)
    elif name.startswith('id'):
        made = safe_id(int(name[2:]))
    else:
        made = text(int(name[4:]))
    return KINDS.setdefault(name, made)


class Param:
    def __init__(self, word, in_path=False):
        self.optional = word.startswith('[')
        self.in_path = in_path
        self.name, _, kind_name = word.strip('[]').partition(':')
        self.kind = kind(kind_name or KIND_OF[self.name])

    def good(self, as_json=False):
        """The first of the good values: always the plainest."""
        return (self.kind.json_good if as_json else self.kind.good)[0]


class Call:
    def __init__(self, transport, line):
        for name, words in GROUPS.items():
            line = line.replace(name, words)
        self.method, self.path, *words = line.split()
        self.path = self.path.strip('"')
        self.transport = transport
        self.flags = {w[1:] for w in words if w[0] == '+'}
        self.params = [Param(part[1:-1], True)
                       for part in self.path.split('/') if part[:1] == '{']
        self.params += [Param(w) for w in words if w[0] != '+']

    def target(self, path):
        """Where its path, with values, is on the wire."""
        below = self.transport == 'http1' and path[:1] != '/'
        return f'/api2/json/{path}' if below else path

    @property
    def raw(self):
        return 'raw' in self.flags

    @property
    def key(self):
        return self.transport, self.method, self.path

    def __str__(self):
        return f'{self.transport}-{self.method}-' + \
            self.path.replace('admin/datastore/{store}', '-')

    def required(self, as_json=False):
        """The least that is needed, besides the path."""
        return {p.name: p.good(as_json) for p in self.params
                if not p.optional and not p.in_path}

    def values_of_path(self):
        return {p.name: p.good() for p in self.params if p.in_path}


def table(transport, text):
    return [Call(transport, line) for line in text.splitlines() if line]


HTTP1_CALLS = table('http1', HTTP1)
BACKUP_CALLS = table('BACKUP', BACKUP)
READER_CALLS = table('READER', READER)
ALL_CALLS = HTTP1_CALLS + BACKUP_CALLS + READER_CALLS


def of_server():
    """{key of a call: its row, as print_calls has it}"""
    text = subprocess.run([find_build() / 'tests/process/print_calls'],
                          capture_output=True, text=True, check=True).stdout
    found = {}
    for row in map(json.loads, text.splitlines()):
        for transport in ('BACKUP', 'READER') \
                if row['transport'] == 'BOTH' else (row['transport'],):
            found[transport, row['method'], row['path']] = row
    return found
