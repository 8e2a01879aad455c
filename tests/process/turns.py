"""The clocks of a validator and its disk, and a gate in its garbage
collections, by the library of turns.c."""

import mmap
import os
import struct
import time

import faults

CLOCKS = 'shift', 'disk'
NAMES = 'deaf', 'armed', 'open', 'come'


class Turns:
    """For whoever is started in its environment."""

    def __init__(self, folder, page):
        library = faults.build(folder, 'turns')
        page.write_bytes(bytes(mmap.PAGESIZE))
        page.chmod(0o666)
        with open(page, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), 0)
        self.environment = faults.environment(library, HOLDFAST_TURNS=page)

    @staticmethod
    def of(inst):
        """For an instance whose validator ran before: where it may read, and
        write, once it is sealed."""
        return Turns(inst.etc, inst.run_dir / 'validator' / 'turns.page')

    @staticmethod
    def place(name):
        """Of that word: its format and offset."""
        if name in CLOCKS:
            return '=q', 8 * CLOCKS.index(name)
        return '=I', 8 * len(CLOCKS) + 4 * NAMES.index(name)

    def get(self, name):
        form, offset = self.place(name)
        return struct.unpack_from(form, self.page, offset)[0]

    def set(self, name, value):
        form, offset = self.place(name)
        struct.pack_into(form, self.page, offset, value)

    # ---- the clock

    def now(self):
        return time.time() + self.get('shift')

    def set_clock(self, when):
        """As Unix time."""
        self.set('shift', int(when - time.time()))

    def set_right(self):
        """All as they were at first."""
        for name in *CLOCKS, 'deaf':
            self.set(name, 0)

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
