"""Makes calls of a validator fail or last, by the library of nthfault.c."""

import errno
import itertools
import mmap
import os
import pathlib
import shlex
import struct
import subprocess

SOURCE = pathlib.Path(__file__).with_name('nthfault.c')
WORDS = 'left', 'error', 'hit', 'delay_ms', 'slow'
SHORT_WRITE = 0
ERRORS = {'EIO': errno.EIO, 'ENOSPC': errno.ENOSPC, 'EROFS': errno.EROFS,
          'short-write': SHORT_WRITE}


class Disk:
    """The disk of a validator that is started with this environment: calls on
    files below one folder."""

    def __init__(self, folder, below):
        library, page = folder / 'nthfault.so', folder / 'nthfault.page'
        subprocess.run(
            [*shlex.split(os.environ.get('CC', 'cc')), '-O1', '-Wall',
             '-Wextra', '-Werror', '-shared', '-fPIC', '-o', library, SOURCE],
            check=True)
        page.write_bytes(bytes(mmap.PAGESIZE))
        with open(page, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), 0)
        self.environment = {
            'LD_PRELOAD': str(library), 'NTHFAULT_PAGE': str(page),
            'NTHFAULT_BELOW': str(below),
            'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
            ':verify_asan_link_order=0'}

    def get(self, word):
        return struct.unpack_from('=i', self.page, 4 * WORDS.index(word))[0]

    def set(self, word, value):
        struct.pack_into('=i', self.page, 4 * WORDS.index(word), value)

    def fail_call(self, n, error):
        """The n-th change fails, until heal()."""
        self.set('left', 0)
        self.set('error', error)
        self.set('hit', 0)
        self.set('left', n)

    def calls(self, step=1):
        """n = 1, 1 + step, ... for fail_call(), up to the first n that nothing
        reached."""
        for n in itertools.count(1, step):
            yield n
            if not self.get('hit'):
                return

    def heal(self):
        self.set('left', 0)

    def slow_down(self, ms):
        """-1: each call stands still until this changes."""
        self.set('delay_ms', ms)
