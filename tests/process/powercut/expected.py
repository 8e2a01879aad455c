"""What a datastore shows, read as another server of this format would, and
what it may show after a power cut at each point of a recording."""

import functools
import hashlib
import json

from pbs import DYNAMIC_MAGIC, FIXED_MAGIC, sha256, unblob

MANIFEST = 'index.json.blob'
TYPES = 'ct', 'host', 'vm'
ABSENT = 'absent'


# ---- what is there

@functools.lru_cache(maxsize=4096)
def chunk_digest(data):
    """None: damaged."""
    try:
        return sha256(unblob(data))
    except Exception:
        return None


@functools.lru_cache(maxsize=4096)
def parse_manifest(data):
    try:
        return json.loads(unblob(data))
    except Exception:
        return None


@functools.lru_cache(maxsize=4096)
def parse_index(data):
    """(checksum, digests), or None."""
    width = {DYNAMIC_MAGIC: 40, FIXED_MAGIC: 32}.get(data[:8])
    if width is None or (len(data) - 4096) % width:
        return None
    csum = hashlib.sha256(data[4096:]).digest()
    digests = [data[i + width - 32:i + width]
               for i in range(4096, len(data), width)]
    return (csum, digests) if csum == data[32:64] else None


def snapshot_value(view, store, path):
    """'whole CHECKSUMS', 'broken: WHY', or ABSENT."""
    raw = view.read(f'{path}/{MANIFEST}')
    if raw is None:
        return ABSENT
    manifest = parse_manifest(raw)
    if manifest is None:
        return 'broken: manifest'
    csums = []
    for entry in manifest['files']:
        name = entry['filename']
        index = parse_index(view.read(f'{path}/{name}') or b'')
        if index is None or index[0].hex() != entry['csum']:
            return f'broken: {name}'
        for digest in index[1]:
            text = digest.hex()
            data = view.read(f'{store}/.chunks/{text[:4]}/{text}')
            if data is None or chunk_digest(data) != digest:
                return f'broken: chunk {text[:8]}'
        csums.append(entry['csum'][:16])
    return ' '.join(['whole', *csums])


def look_at_snapshot(view, store, path, key, out):
    value = out[f'snapshot {key}'] = snapshot_value(view, store, path)
    if value == ABSENT:
        return
    manifest = parse_manifest(view.read(f'{path}/{MANIFEST}'))
    unprotected = (manifest or {}).get('unprotected', {})
    out[f'notes {key}'] = unprotected.get('notes', '')
    out[f'verified {key}'] = unprotected.get('verify_state',
                                             {}).get('state', '')
    out[f'protected {key}'] = '.protected' in view.names(path)


def look_at_groups(view, store, base, prefix, out):
    for kind in TYPES:
        for group in view.names(f'{base}/{kind}') or ():
            path, key = f'{base}/{kind}/{group}', f'{prefix}{kind}/{group}'
            text = view.read(f'{path}/notes')
            out[f'group-notes {key}'] = \
                '' if text is None else text.decode(errors='replace')
            text = view.read(f'{path}/owner')
            out[f'owner {key}'] = \
                '' if text is None else text.decode(errors='replace').strip()
            for time in view.names(path) or ():
                if view.names(f'{path}/{time}') is not None:
                    look_at_snapshot(view, store, f'{path}/{time}',
                                     f'{key}/{time}', out)


def look(view, store):
    """{what: value} of the datastore in this folder; view is a crash.Disk or
    a crash.Folder."""
    out = {}
    look_at_groups(view, store, store, '', out)
    for name in view.names(f'{store}/ns') or ():
        out[f'namespace {name}'] = True
        look_at_groups(view, store, f'{store}/ns/{name}', f'{name}:', out)
    return out


# ---- what may be there

class Expected:
    """For everything that look() names, the values that it may have from some
    operation of the recording on: what was answered, or if an answer is due,
    what was there or what is asked for."""

    # What is not there has these; a client that asked was told nothing.
    DEFAULTS = {'snapshot': ABSENT, 'namespace': False, 'protected': False}

    def __init__(self, recording):
        self.recording = recording
        self.steps = {}  # what: [(operation, values)]

    def now(self, what):
        """The values that it may have at the end of the recording."""
        steps = self.steps.setdefault(
            what, [(0, {self.DEFAULTS.get(what.split()[0], '')})])
        return steps[-1][1]

    def may(self, what, *values):
        """From now on it may also have one of these."""
        new = self.now(what) | set(values)
        self.steps[what].append((self.recording.read(), new))

    def must(self, what, value, since=None):
        """Answered: it has this value."""
        self.now(what)
        number = self.recording.read() if since is None else since
        self.steps[what].append((number, {value}))

    def allowed(self, what, cut):
        values = None
        for number, at_step in self.steps.get(what, ()):
            if number <= cut:
                values = at_step
        return values or {self.DEFAULTS.get(what.split()[0], '')}

    def violations(self, seen, cut):
        """What may not be there after a power cut behind so many operations,
        and what is missing."""
        out = []
        for what in {**self.steps, **seen}:
            kind, _, key = what.partition(' ')
            # Of a snapshot that is not there, nothing more is asked.
            if f'snapshot {key}' in self.steps and kind != 'snapshot' and \
                    seen.get(f'snapshot {key}', ABSENT) == ABSENT:
                continue
            value = seen.get(what, self.DEFAULTS.get(kind, ''))
            allowed = self.allowed(what, cut)
            if value not in allowed:
                out.append(f'{what} is {value!r} instead of '
                           f'{sorted(map(str, allowed))}')
        return out
