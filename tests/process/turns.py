"""The clock of a validator, and a gate in its garbage collections, by the
library of turns.c."""

import mmap
import os
import struct
import time

import faults

NAMES = 'armed', 'open', 'come'


class Turns:
    """For an instance whose validator ran before: it takes effect when that
    starts the next time."""

    def __init__(self, inst):
        # Where a sealed validator may read, and write.
        library = faults.build(inst.etc, 'turns')
        page = inst.run_dir / 'validator' / 'turns.page'
        page.write_bytes(bytes(mmap.PAGESIZE))
        page.chmod(0o666)
        with open(page, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), 0)
        inst.environment = faults.environment(library, HOLDFAST_TURNS=page)

    def get(self, name):
        return struct.unpack_from('=I', self.page, 8 + 4 * NAMES.index(name))[0]

    def set(self, name, value):
        struct.pack_into('=I', self.page, 8 + 4 * NAMES.index(name), value)

    # ---- the clock

    @property
    def shift(self):
        return struct.unpack_from('=q', self.page)[0]

    def now(self):
        return time.time() + self.shift

    def set_clock(self, when):
        """As Unix time."""
        struct.pack_into('=q', self.page, 0, int(when - time.time()))

    # ---- the gate

    def arm(self, calls):
        """The next job stops after so many calls."""
        self.set('come', 0)
        self.set('open', calls)
        self.set('armed', 1)

    def is_held(self):
        return self.get('come') > self.get('open')

    def pass_on(self, calls):
        """Lets it go on, so many calls."""
        self.set('open', self.get('open') + calls)
