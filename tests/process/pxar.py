"""Makes pxar archives and catalogs, independent of our C code, item by item
(docs: datastore format 8).  A tree is {name: node}; a node is bytes (a file),
a dict (a directory), or one of the classes below."""

import stat
import struct

FORMAT_VERSION = 0x730f6c75df16a40d
PRELUDE = 0xe309d79d9f7b771b
ENTRY = 0xd5956474e588acef
FILENAME = 0x16701121063917b3
SYMLINK = 0x27f971e7dbf5dc5f
HARDLINK = 0x51269c8422bd7275
DEVICE = 0x9fc9e906586d5ce9
PAYLOAD = 0x28147a1b0b7c1a25
PAYLOAD_REF = 0x419d3d6bc4ba977e
PAYLOAD_START = 0x834c68c2194a4ed2
PAYLOAD_TAIL = 0x6c72b78b984c81b5
GOODBYE = 0x2fec4fa642d5731d
GOODBYE_TAIL = 0xef5eed5b753e1555

CATALOG_MAGIC = bytes([0x91, 0xfd, 0x60, 0xf9, 0xc4, 0x67, 0x58, 0xd5])
MASK = (1 << 64) - 1
MTIME = 1700000000


class Link(str):
    """A symbolic link to that target."""


class Hard(str):
    """A hard link to that path, which comes earlier."""


class Fifo:
    pass


class Device:
    def __init__(self, major, minor):
        self.numbers = major, minor


def siphash(data, k0=0x83ac3f1cfbb450db, k1=0xaa4f1b6879369fbd):
    """SipHash-2-4 with the key of goodbye tables."""
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d,
         k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rotate(x, n):
        return ((x << n) | (x >> (64 - n))) & MASK

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    tail = len(data) % 8
    padded = data + bytes(7 - tail) + bytes([len(data) & 0xff])
    for (word,) in struct.iter_unpack('<Q', padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def item(kind, data=b''):
    return struct.pack('<QQ', kind, 16 + len(data)) + data


def entry(mode, mtime=MTIME):
    return item(ENTRY, struct.pack('<QQIIqII', mode, 0, 1000, 1001, mtime, 0,
                                   0))


def tree_order(n, i=0):
    """Positions of a search tree in an array, in the order of the keys."""
    if i >= n:
        return []
    return tree_order(n, 2 * i + 1) + [i] + tree_order(n, 2 * i + 2)


class Archive:
    """bytes: the archive, or what has the names; payload: of a split one."""

    def __init__(self, tree, split=False):
        self.split = split
        self.bytes = item(FORMAT_VERSION, struct.pack('<Q', 2)) if split \
            else b''
        self.payload = item(PAYLOAD_START)
        self.places = {}
        self.directory(tree, '', 0)
        self.payload += item(PAYLOAD_TAIL)

    def directory(self, tree, path, start):
        self.bytes += entry(stat.S_IFDIR | 0o755)
        records = []
        for name, node in tree.items():
            raw = name if isinstance(name, bytes) else name.encode()
            pos = len(self.bytes)
            self.bytes += item(FILENAME, raw + b'\0')
            extra = self.node(node, f'{path}{name}', pos)
            self.places[f'{path}{name}'] = pos
            records.append((siphash(raw), pos,
                            len(self.bytes) - pos + extra))
        goodbye = len(self.bytes)
        table = [b''] * len(records)
        for at, (digest, pos, size) in zip(tree_order(len(records)),
                                           sorted(records)):
            table[at] = struct.pack('<QQQ', digest, goodbye - pos, size)
        table.append(struct.pack('<QQQ', GOODBYE_TAIL, goodbye - start,
                                 16 + 24 * len(table) + 24))
        self.bytes += item(GOODBYE, b''.join(table))

    def node(self, node, path, pos):
        if isinstance(node, bytes):
            return self.file(node)
        if isinstance(node, dict):
            self.directory(node, f'{path}/', len(self.bytes))
        elif isinstance(node, Link):
            self.bytes += entry(stat.S_IFLNK | 0o777)
            self.bytes += item(SYMLINK, node.encode() + b'\0')
        elif isinstance(node, Hard):
            self.bytes += item(HARDLINK, struct.pack(
                '<Q', pos - self.places[node]) + node.encode() + b'\0')
        elif isinstance(node, Device):
            self.bytes += entry(stat.S_IFCHR | 0o600)
            self.bytes += item(DEVICE, struct.pack('<QQ', *node.numbers))
        else:
            self.bytes += entry(stat.S_IFIFO | 0o644)
        return 0

    def file(self, content):
        self.bytes += entry(stat.S_IFREG | 0o640)
        if not self.split:
            self.bytes += item(PAYLOAD, content)
            return 0
        self.bytes += item(PAYLOAD_REF, struct.pack(
            '<QQ', len(self.payload), len(content)))
        self.payload += item(PAYLOAD, content)
        return len(content)


def varint(n):
    out = b''
    while n >= 0x80:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def catalog(archives):
    """The catalog of {archive name: tree}."""
    out = bytearray(CATALOG_MAGIC)

    def block(tree):
        entries = []
        for name, node in tree.items():
            raw = name if isinstance(name, bytes) else name.encode()
            head = varint(len(raw)) + raw
            if isinstance(node, dict):
                entries.append((b'd' + head, block(node)))
            elif isinstance(node, bytes):
                entries.append((b'f' + head + varint(len(node)) +
                                varint(MTIME), None))
            else:
                kind = {Link: b'l', Hard: b'h', Device: b'c'}.get(
                    type(node), b'p')
                entries.append((kind + head, None))
        pos = len(out)
        body = varint(len(entries)) + b''.join(
            head + (b'' if child is None else varint(pos - child))
            for head, child in entries)
        out.extend(varint(len(body)) + body)
        return pos

    root = block(archives)
    return bytes(out) + struct.pack('<Q', root)
