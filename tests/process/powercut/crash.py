"""Disks as a power cut may leave them, within the rules of fsync.

What was synced is there.  Of the rest, each change of a name, each new length
of a file and each of its blocks may be there or not, whatever came before it;
only a renaming is one change, and the last change that is there gives a name
its meaning.  No file system does worse."""

import itertools
import os
import random
import shutil

from powercut.recording import DATA, ENTRY, LENGTH

BLOCK = 4096


# ---- what survives of what was not synced: keep(op, piece), where a piece is
# ---- a block's number, or -1 for a length or a name

def lost(op, piece):
    return False


def kept(op, piece):
    return True


def names(op, piece):
    """Names and lengths, but no data: files full of zeros."""
    return piece == -1


def heads(op, piece):
    """The same, but each file's first block is there."""
    return piece <= 0


def empty(op, piece):
    """Only names: empty files."""
    return op.kind == ENTRY


def data(op, piece):
    """All but names."""
    return op.kind != ENTRY


def _mix(*numbers):
    h = 0x9e3779b97f4a7c15
    for n in numbers:
        h = (h ^ (n & 0xffffffff)) * 0xbf58476d1ce4e5b9 & (1 << 64) - 1
        h ^= h >> 31
    return h


def some(seed):
    """Each piece by chance, with odds of their own for each seed."""
    odds = (32, 128, 224)[seed % 3]
    return lambda op, piece: _mix(seed, op.number, piece) & 255 < odds


def without(number):
    """All but one change: whatever came behind it overtook it."""
    return lambda op, piece: op.number != number


def only(number):
    """One change overtook all others."""
    return lambda op, piece: op.number == number


# All that was not synced is lost, or a part that is the same for all.
LOSSES = (lost, kept, names, heads, empty, data)


class Disk:
    """What is found after a power cut behind the first so many operations."""

    def __init__(self, recording, cut, keep=kept):
        self.recording = recording
        self.cut = cut
        self.keep = keep
        self.changed = {}
        self.contents = {}
        for op in itertools.islice(recording.ops, cut):
            if op.kind == ENTRY and self.survives(op, -1):
                for folder, name, node in op.changes:
                    self.change(folder, name, node)

    def survives(self, op, piece):
        return op.durable is not None and op.durable < self.cut or \
            self.keep(op, piece)

    def change(self, folder, name, node):
        names = self.changed.get(folder)
        if names is None:
            names = self.changed[folder] = dict(folder.names)
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node

    def entries(self, folder):
        return self.changed.get(folder, folder.names)

    def content(self, node):
        if node not in self.contents:
            self.contents[node] = self.make_content(node)
        return self.contents[node]

    def make_content(self, node):
        out, length = bytearray(node.data), len(node.data)
        for op in node.ops:
            if op.number >= self.cut:
                break
            end = op.len if op.kind == LENGTH else op.off + len(op.data)
            if self.survives(op, -1):
                length = end if op.kind == LENGTH else max(length, end)
            if op.kind == LENGTH and self.survives(op, -1):
                del out[end:]
            out.extend(bytes(max(0, end - len(out))))
            if op.kind == DATA:
                self.write_blocks(op, out)
        out.extend(bytes(max(0, length - len(out))))
        return bytes(out[:length])

    def write_blocks(self, op, out):
        pos, end = op.off, op.off + len(op.data)
        while pos < end:
            step = min(end, (pos // BLOCK + 1) * BLOCK)
            if self.survives(op, pos // BLOCK):
                out[pos:step] = op.data[pos - op.off:step - op.off]
            pos = step

    def time(self, node):
        """When it was changed the last time."""
        return max((op.time for op in self.recording.ops[:self.cut]
                    if op.node is node and self.survives(op, -1)),
                   default=node.time)

    # ---- as a folder

    def find(self, path):
        for root, node in self.recording.roots.items():
            if path == root:
                return node
            if path.startswith(root + '/'):
                for part in path[len(root) + 1:].split('/'):
                    if node is None or not node.is_folder:
                        return None
                    node = self.entries(node).get(part)
                return node
        return None

    def names(self, path):
        node = self.find(str(path))
        return None if node is None or not node.is_folder else \
            self.entries(node).keys()

    def read(self, path):
        node = self.find(str(path))
        return None if node is None or node.is_folder else self.content(node)

    def pending(self):
        """Numbers of the operations that may be there or not."""
        return [op.number for op in self.recording.ops[:self.cut]
                if op.kind and (op.durable is None or op.durable >= self.cut)]

    # ---- on a real disk

    def write(self, root, replace=(b'', b''), owner=None):
        """Below this folder, in the place of what is there."""
        shutil.rmtree(root, ignore_errors=True)
        self.write_node(str(root), self.recording.roots[str(root)], replace,
                        owner)

    def write_node(self, path, node, replace, owner):
        if node.is_folder:
            os.mkdir(path, 0o755)
            for name, child in self.entries(node).items():
                self.write_node(f'{path}/{name}', child, replace, owner)
        else:
            with open(path, 'wb') as f:
                f.write(self.content(node).replace(*replace))
            os.utime(path, (self.time(node),) * 2)
        if owner:
            shutil.chown(path, owner, owner)


# ---- states: (cut, what survives)

def cuts(recording):
    """Behind each operation that makes a difference: {cut: numbers of what may
    be there or not}."""
    return {op.number + 1: Disk(recording, op.number + 1).pending()
            for op in recording.ops if op.kind or op.sync or op.sent}


def some_states(recording, n, seed):
    """At random; the more there is to lose, the more often."""
    rng = random.Random(seed)
    pending = cuts(recording)
    weights = [1 + len(numbers) for numbers in pending.values()]
    for cut in rng.choices(list(pending), weights, k=n):
        numbers = pending[cut] or [0]
        yield cut, rng.choice((
            *LOSSES, some(rng.getrandbits(30)), some(rng.getrandbits(30)),
            without(rng.choice(numbers)), only(rng.choice(numbers))))


def every_state(recording):
    for cut, numbers in cuts(recording).items():
        yield from ((cut, keep) for keep in (*LOSSES, some(cut)))
        for number in numbers:
            yield cut, without(number)
            yield cut, only(number)


def seal_key(state):
    """Owner and mode of the grant key, which no recording has: they are synced
    with it."""
    key = state / 'grant.key'
    if key.exists():
        key.chmod(0o640)
        os.chown(key, os.getuid(), -1)


class Folder:
    """A real one, looked at in the same way."""

    def names(self, path):
        try:
            return os.listdir(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path):
        try:
            with open(path, 'rb') as f:
                return f.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
