# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last frames on the wire, in a ring buffer that is made once: for the diagnostics download."""

from struct import pack_into

from adafruit_ticks import ticks_diff

from .a5 import LENGTH

SENT = 62  # ">"
RECEIVED = 60  # "<"
DAMAGED = 33  # "!": as long as a frame and begun like one, but its checksum is wrong
FRAMES = 64
_SIZE = LENGTH + 1


class Trace:
    """Keeps the last frames with their direction and ticks; `lines` returns them as text."""

    def __init__(self):
        self._bytes = bytearray(FRAMES * _SIZE)
        self._ticks = [0] * FRAMES
        self._next = 0
        self._count = 0

    def keep(self, direction, frame, now):
        """Store one frame of 13 bytes. Allocates nothing."""
        pack_into("B13s", self._bytes, self._next * _SIZE, direction, frame)
        self._ticks[self._next] = now
        self._next = (self._next + 1) % FRAMES
        self._count = min(self._count + 1, FRAMES)

    def lines(self, now, most=FRAMES):
        """The last frames as text, the oldest first: "-1240 > a540900800..." is a request sent 1240 ms before `now`."""
        count = min(self._count, most)
        for number in range(count):
            index = (self._next - count + number) % FRAMES
            at = index * _SIZE
            frame = "".join(f"{byte:02x}" for byte in self._bytes[at + 1 : at + _SIZE])
            yield f"{-ticks_diff(now, self._ticks[index])} {chr(self._bytes[at])} {frame}"
