"""What a validator did to its file systems (record.c), as a list of changes,
and for each of them the sync that made it durable."""

import ctypes
import os
import mmap
import pathlib
import shlex
import struct
import subprocess

SOURCE = pathlib.Path(__file__).with_name('record.c')
ROOM = 1 << 28
HEAD = struct.Struct('=QQqQ')
RECORD = struct.Struct('=QQQQqIIQ')
(CREATE, WRITE, SIZE, MKDIR, UNLINK, RENAME, LINK, SYNC_FILE, SYNC_ALL,
 SEND) = range(1, 11)
# What a sync can make durable.
ENTRY, DATA, LENGTH = 'entry', 'data', 'length'


def build(folder):
    library = folder / 'record.so'
    compiler = shlex.split(os.environ.get('CC', 'cc'))
    subprocess.run([*compiler, '-O1', '-Wall', '-Wextra', '-Werror', '-shared',
                    '-fPIC', '-o', library, SOURCE], check=True)
    return library


class Node:
    """A file (initial content) or a folder (initial names)."""

    def __init__(self, data=b'', names=None, time=0):
        self.data = data
        self.names = names
        self.time = time
        self.ops = []  # of its content, in order

    @property
    def is_folder(self):
        return self.names is not None


class Op:
    """One change, a sync or a message."""

    kind = node = sync = sent = durable = None
    changes = ()  # of names: (folder, name, node or None)
    by_test = False
    time = 0

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def is_of(self, node):
        """Whether it is a change of this file or folder."""
        if self.changes:
            return any(folder is node for folder, _, _ in self.changes)
        return self.node is node


class Recording:
    """The log of a validator that works below these folders, which are as
    durable as can be when it begins."""

    def __init__(self, path, folders):
        self.path = path
        self.ops = []
        self.nodes = {}
        self.read_up_to = 0
        self.page = self.make_file(folders[0].stat().st_dev)
        self.roots = {str(f): self.scan(f) for f in folders}
        self.live = {n: dict(n.names) for n in self.nodes.values()
                     if n.is_folder}

    def make_file(self, dev):
        with open(self.path, 'x+b') as f:
            os.fchmod(f.fileno(), 0o666)
            f.truncate(ROOM)
            page = mmap.mmap(f.fileno(), ROOM)
        HEAD.pack_into(page, 0, 0, dev, 0, ROOM - HEAD.size)
        return page

    def scan(self, path):
        st = path.stat()
        if path.is_dir():
            node = Node(names={p.name: self.scan(p) for p in path.iterdir()})
        else:
            node = Node(path.read_bytes(), time=int(st.st_mtime))
        self.nodes[st.st_ino] = node
        return node

    @property
    def environment(self):
        return {'HOLDFAST_RECORD': str(self.path)}

    def shift_clock(self, seconds):
        struct.pack_into('=q', self.page, 16, seconds)

    # ---- reading the log

    def read(self):
        """Takes over what was written down since the last time; the number of
        operations up to now."""
        used = ctypes.c_uint64.from_buffer(self.page).value
        while self.read_up_to < used:
            at = HEAD.size + self.read_up_to
            kind, ino, ino2, arg, time, len0, len1, size = \
                RECORD.unpack_from(self.page, at)
            at += RECORD.size
            path = self.page[at:at + len0].decode()
            path2 = self.page[at + len0:at + len0 + len1].decode()
            at += len0 + len1
            data = self.page[at:at + size]
            self.read_up_to += (RECORD.size + len0 + len1 + size + 7) & ~7
            op = self.take(kind, (ino, path), (ino2, path2), arg, data)
            op.time = time
            self.add(op)
        return len(self.ops)

    def add(self, op):
        op.number = len(self.ops)
        self.ops.append(op)
        if op.kind in (DATA, LENGTH):
            op.node.ops.append(op)
        for folder, name, node in op.changes:
            if node is None:
                self.live[folder].pop(name, None)
            else:
                self.live[folder][name] = node

    def take(self, kind, a, b, arg, data):
        if kind == SEND:
            return Op(sent=arg)
        if kind in (SYNC_FILE, SYNC_ALL):
            return Op(sync=kind, node=self.nodes.get(a[0]))
        if kind in (WRITE, SIZE):
            node = self.nodes.get(a[0])
            if node is None or node.is_folder:
                return Op()
            if kind == SIZE:
                return Op(kind=LENGTH, node=node, len=arg)
            return Op(kind=DATA, node=node, off=arg, data=data)
        return self.take_names(kind, self.find(*a), self.find(*b), arg)

    def find(self, ino, path):
        """(folder, name); None for what lies elsewhere."""
        if path.startswith('/'):
            root = next((r for r in self.roots if path.startswith(r + '/')),
                        None)
            if root is None:
                return None
            node, path = self.roots[root], path[len(root) + 1:]
        else:
            node = self.nodes.get(ino)
        *folders, name = path.split('/')
        for part in folders:
            node = self.live.get(node, {}).get(part)
        return (node, name) if node in self.live else None

    def take_names(self, kind, a, b, arg):
        if kind in (CREATE, MKDIR) and a:
            old = self.live[a[0]].get(a[1])
            if old is not None and self.nodes.get(arg) is old:
                return Op()
            # Numbers of inodes are used again.
            node = self.nodes[arg] = Node(names={} if kind == MKDIR else None)
            if node.is_folder:
                self.live[node] = {}
            return Op(kind=ENTRY, node=node, changes=((*a, node),))
        if kind == UNLINK and a:
            return Op(kind=ENTRY, changes=((*a, None),))
        if kind in (RENAME, LINK) and a and b and a[1] in self.live[a[0]]:
            node = self.live[a[0]][a[1]]
            gone = ((*a, None),) if kind == RENAME else ()
            return Op(kind=ENTRY, node=node, changes=(*gone, (*b, node)))
        return Op()

    # ---- durability

    def settle(self, ignore=()):
        """Finds for each change the sync that made it durable.  ignore: kinds
        of syncs that are taken for nothing, to see that a test notices.  A
        renaming over two folders is one change of both."""
        pending = []
        for op in self.ops:
            if op.kind:
                op.durable = op.number if op.by_test else None
                if not op.by_test:
                    pending.append(op)
            elif op.sync and op.sync not in ignore:
                rest = []
                for p in pending:
                    if op.sync == SYNC_ALL or p.is_of(op.node):
                        p.durable = op.number
                    else:
                        rest.append(p)
                pending = rest

    # ---- what the test does itself, durable at once

    def tamper(self, path, data=None):
        """Removes a file, or changes its content."""
        self.read()
        folder, name = self.find(0, str(path))
        if data is None:
            path.unlink()
            op = Op(kind=ENTRY, changes=((folder, name, None),))
        else:
            with open(path, 'r+b') as f:
                f.write(data)
            op = Op(kind=DATA, node=self.live[folder][name], off=0, data=data)
        op.time, op.by_test = self.ops[-1].time, True
        self.add(op)
