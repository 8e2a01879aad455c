"""Breaks the file system below a validator, by the library of faults.c: for
an instance started with faults=True."""

import errno
import mmap
import os
import pathlib
import shlex
import struct
import subprocess

from instance import wait_for

WORDS = ('hold_check', 'check_held', 'check_errno', 'hold_sync', 'sync_held',
         'sync_errno', 'kill_at', 'published', 'looks', 'create_errno', 'hold_fsync',
         'fsync_held', 'hold_rename', 'rename_held', 'hold_open', 'open_held')
COUNTS = ('check_held', 'sync_held', 'looks', 'fsync_held', 'rename_held',
          'open_held')
ONLY = 4 * len(WORDS)
KILL_POINTS = ('before-sync', 'after-sync', 'before-publish', 'after-publish',
               'after-fsync')


def build(folder, name):
    """A library of the source NAME.c here, for LD_PRELOAD."""
    library = folder / f'{name}.so'
    compiler = shlex.split(os.environ.get('CC', 'cc'))
    subprocess.run([*compiler, '-O1', '-Wall', '-Wextra', '-Werror', '-shared',
                    '-fPIC', '-o', library,
                    pathlib.Path(__file__).with_name(f'{name}.c')], check=True)
    return library


def environment(library, **more):
    """For a process that shall have it."""
    return {'LD_PRELOAD': str(library),
            # A sanitizer's library wants to be the first one.
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
            ':verify_asan_link_order=0',
            **{name: str(value) for name, value in more.items()}}


class Faults:
    """The page that the library reads: a word is set by assignment."""

    def __init__(self, folder):
        page = folder / 'faults.page'
        page.write_bytes(bytes(mmap.PAGESIZE))
        self.environment = environment(build(folder, 'faults'),
                                       HOLDFAST_FAULTS=page)
        with open(page, 'r+b') as f:
            object.__setattr__(self, 'page', mmap.mmap(f.fileno(), 0))

    def __setattr__(self, name, value):
        if name not in WORDS:
            return object.__setattr__(self, name, value)
        struct.pack_into('=I', self.page, 4 * WORDS.index(name), value)

    def __getattr__(self, name):
        if name not in WORDS:
            raise AttributeError(name)
        return struct.unpack_from('=I', self.page, 4 * WORDS.index(name))[0]

    def clear(self):
        for word in WORDS:
            if word not in COUNTS:
                setattr(self, word, 0)
        self.page[ONLY:ONLY + 64] = bytes(64)

    def only(self, digest):
        self.page[ONLY:ONLY + 64] = digest.hex().encode()

    def hold_checks(self, digest=None):
        """Checks of reused chunks, or of one, stand still until clear()."""
        if digest:
            self.only(digest)
        self.hold_check = 1

    def wait_held(self):
        assert wait_for(lambda: self.check_held), 'nothing is checked'

    def hold_opens(self, name):
        """Opening files of this name stands still until clear()."""
        self.page[ONLY:ONLY + 64] = name.encode().ljust(64, b'\0')
        self.hold_open = 1

    def fail_checks(self, digest, why=errno.EIO):
        self.only(digest)
        self.check_errno = why

    def fail_new_chunks(self, why):
        self.create_errno = why

    def fail_syncs(self, why=errno.EIO):
        self.sync_errno = why

    def kill(self, point):
        self.kill_at = 1 + KILL_POINTS.index(point)
