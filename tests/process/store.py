"""Looking into a datastore's folder, and breaking it."""

import datetime
import json
import pathlib

from pbs import unblob


def time_text(when):
    return datetime.datetime.fromtimestamp(
        when, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


class Store:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    # ---- chunks

    def chunk_path(self, digest):
        name = digest.hex()
        return self.path / '.chunks' / name[:4] / name

    def has_chunk(self, digest):
        return self.chunk_path(digest).is_file()

    def remove_chunk(self, digest):
        self.chunk_path(digest).unlink()

    def chunks(self):
        """Digests of all chunks."""
        return sorted(bytes.fromhex(p.name)
                      for p in self.path.glob('.chunks/*/*')
                      if len(p.name) == 64)

    def leftovers(self):
        """Files that nobody should find in a store at rest."""
        return [p for p in self.path.rglob('*')
                if '.tmp_' in p.name or p.name.endswith('.tmp')] + \
            list(self.session_folders())

    # ---- snapshots

    def snapshot_path(self, snapshot, ns=''):
        path = self.path
        for part in filter(None, ns.split('/')):
            path = path / 'ns' / part
        kind, backup_id, when = snapshot
        return path / kind / backup_id / time_text(when)

    def manifest(self, snapshot, ns=''):
        data = (self.snapshot_path(snapshot, ns) /
                'index.json.blob').read_bytes()
        return json.loads(unblob(data))

    def verify_state(self, snapshot, ns=''):
        """None, or {'state', 'upid'}."""
        return self.manifest(snapshot, ns)['unprotected'].get('verify_state')

    def snapshots(self):
        """Paths of all finished snapshots below the store."""
        return sorted(str(p.parent.relative_to(self.path))
                      for p in self.path.rglob('index.json.blob')
                      if '.holdfast' not in p.parts)

    def session_folders(self):
        return self.path.glob('.holdfast/sessions/*')
