# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last frames on the wire, in ring buffers that are made once: for the diagnostics download."""

from struct import pack_into

from adafruit_ticks import ticks_diff

SENT = 62  # ">"
RECEIVED = 60  # "<"
DAMAGED = 33  # "!": as long as a frame and begun like one, but its checksum is wrong
SHORT = 13  # bytes of a frame of A5; requests of the newer protocols are shorter
FRAMES = 64  # short ones that are kept
LONG = 160  # bytes of the longest response of the newer protocols that we ask for
LONG_FRAMES = 6  # whose ring is made for the first one
_WRAP = (1 << 29) - 1  # of the ticks
_HALF = 1 << 28


class Ring:
    """The last `count` frames of at most `size` bytes, with their direction and ticks."""

    def __init__(self, count, size):
        self.kept = 0
        self._count = count
        self._size = size + 2
        self._format = f"BB{size}s"
        self._bytes = bytearray(count * self._size)
        self._ticks = [0] * count
        self._next = 0

    def keep(self, direction, frame, length, now):
        """Store the beginning of one frame. Allocates nothing."""
        index = self._next
        pack_into(self._format, self._bytes, index * self._size, direction, length, frame)
        self._ticks[index] = now
        self._next = (index + 1) % self._count
        if self.kept < self._count:
            self.kept += 1

    def note(self, found, now, order):
        """Append (ms before `now`, `order`, age, length, index, tick) of each frame to `found`; age 0: the newest.

        In one go, as frames come meanwhile otherwise: in few bytecodes, hence.
        """
        kept = self._bytes
        size = self._size
        index = self._next
        for age in range(self.kept):
            index = (index or self._count) - 1
            tick = self._ticks[index]
            before = ((now - tick + _HALF) & _WRAP) - _HALF  # as ticks_diff
            found.append((before, order, age, min(kept[index * size + 1], size - 2), index, tick))

    def line(self, index, tick, now):
        """The frame that was kept at this index and tick as text; None: another one has taken its place."""
        if self._ticks[index] != tick:
            return None
        at = index * self._size
        length = min(self._bytes[at + 1], self._size - 2)
        frame = "".join(f"{byte:02x}" for byte in self._bytes[at + 2 : at + 2 + length])
        return f"{-ticks_diff(now, tick)} {chr(self._bytes[at])} {frame}"


class Trace:
    """Keeps the last frames; `lines` returns them as text."""

    def __init__(self):
        self._short = Ring(FRAMES, SHORT)
        self._long = None

    def keep(self, direction, frame, length, now):
        """Store the first `length` bytes, at most 255, of a frame."""
        if length <= SHORT:
            self._short.keep(direction, frame, length, now)
            return
        if self._long is None:
            self._long = Ring(LONG_FRAMES, LONG)
        self._long.keep(direction, frame, length, now)

    def lines(self, now, room=8000):
        """The last frames as text, as many as fit into `room` characters with 4 more for each, the oldest first.

        "-1240 > a540900800..." is a request sent 1240 ms before `now`.
        """
        found: list = []
        if self._long is not None:
            self._long.note(found, now, 0)
        self._short.note(found, now, 1)
        found.sort()  # the newest first
        count = 0
        for _, _, _, length, _, _ in found:
            room -= 2 * length + 16  # ticks, direction and separators
            if room < 0:
                break
            count += 1
        for position in range(count - 1, -1, -1):
            _, is_short, _, _, index, tick = found[position]
            ring = self._short if is_short else self._long
            line = ring.line(index, tick, now)
            if line is not None:  # time may pass between two lines
                yield line
