"""A terminal for a program under test: what is typed on it, and what it
showed."""

import contextlib
import os
import pty
import re
import threading


class Terminal:
    """with Terminal(b'yes\\n') as t: subprocess.run(..., stdin=t.end,
    stderr=t.end).  Behind the block, shown is all that came."""

    def __init__(self, typed=b''):
        self.shown = b''
        self.master, self.end = pty.openpty()
        os.write(self.master, typed)
        self.reader = threading.Thread(target=self.read, daemon=True)

    def read(self):
        with contextlib.suppress(OSError):  # the last program closed its end
            while True:
                self.shown += os.read(self.master, 65536)

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *why):
        os.close(self.end)
        self.reader.join(60)
        os.close(self.master)

    def bar(self, what):
        """The percentages that a progress bar showed one after the other,
        each over the one before."""
        drawn = re.findall(
            rb'\r\x1b\[K' + what.encode() + rb' \[(#*)(-*)\] +(\d+)%',
            self.shown)
        for full, rest, percent in drawn:
            part = len(full) * 100 / len(full + rest)
            assert part <= int(percent) + 1 and \
                int(percent) < part + 100 / len(full + rest), drawn
        return [int(percent) for _, _, percent in drawn]

    def bar_moved_and_ended(self, what):
        percents = self.bar(what)
        assert percents == sorted(percents), percents
        assert len(set(percents)) >= 3 and percents[-1] == 100, percents
        # The next one to write begins a line.
        last = self.shown.rindex(what.encode() + b' [')
        assert b'\r\n' in self.shown[last:], self.shown[last:]
