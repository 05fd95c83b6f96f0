# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The recordings of VE.Direct in tests/recordings, a port that plays bytes, and an independent reader of blocks."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "recordings"
NAMES = sorted(path.stem.removeprefix("vedirect_") for path in FOLDER.glob("vedirect_*.txt"))
WRAP = 1 << 29


def recording(name):
    """The bytes of a recording."""
    lines = (FOLDER / f"vedirect_{name}.txt").read_text().splitlines()
    return "".join(line for line in lines if not line.startswith("#")).encode().decode("unicode_escape").encode("latin-1")


def blocks(data):
    """(its end in `data`, label -> value) of each whole block with a right sum; what HEX frames are is left out first.

    Written without the firmware's reader: by searching for what a block looks like.
    """
    found = []
    at = 0
    for match in re.finditer(rb"\r\nChecksum\t(.)", data, re.DOTALL):
        text = re.sub(rb":[0-9A-F]+\n", b"", data[at : match.start()]) + match.group()
        begin = text.find(b"\r\n") if at == 0 else 0
        at = match.end()
        if sum(text[begin:]) % 256 == 0:
            lines = text[begin:].split(b"\r\nChecksum")[0].decode("ascii").split("\r\n")[1:]
            found.append((at, dict(line.split("\t") for line in lines)))
    return found


class Port:
    """A UART that has received `data`. `flushed`: how often its buffer was emptied."""

    def __init__(self, data=b""):
        self.data = bytes(data)
        self.flushed = 0

    def readinto(self, buffer):
        count = min(len(buffer), len(self.data))
        buffer[:count] = self.data[:count]
        self.data = self.data[count:]
        return count or None

    def reset_input_buffer(self):
        self.data = b""
        self.flushed += 1


class Listener:
    """A VeDirect on a Port, with a tick every 10 ms from `start` on, which may wrap."""

    def __init__(self, make, start=0, **options):
        self.port = Port()
        self.source = make(self.port, 1, **options)
        self.ms = start
        self.source.tick(start % WRAP)

    def run(self, ms):
        for _ in range(ms // 10):
            self.ms += 10
            self.source.tick(self.ms % WRAP)
        return self

    def hear(self, data, chunk=None):
        """Let it have these bytes, all at once or in chunks, each in one tick, and then the time to judge them."""
        for start in range(0, len(data), chunk or len(data) or 1):
            self.port.data += data[start : start + (chunk or len(data))]
            self.run(10)
        while self.port.data:
            self.run(10)
        return self.run(150)

    def values(self):
        """Key -> raw of what is known."""
        known = {row.key: self.source.raw(row.key) for row in self.source.rows}
        return {key: raw for key, raw in known.items() if raw is not None and key != "problem"}
