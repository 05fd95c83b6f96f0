# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last frames on the wire, in a ring buffer that is made once: for the diagnostics download."""

from struct import pack_into

from adafruit_ticks import ticks_diff

SENT = 62  # ">"
RECEIVED = 60  # "<"
DAMAGED = 33  # "!": as long as a frame and begun like one, but its checksum is wrong
FRAMES = 64  # at most so many are kept
ROOM = 832  # bytes of frames that are kept: 64 frames of A5, some responses of the newer protocols


class Trace:
    """Keeps the last frames with their direction and ticks; `lines` returns them as text."""

    def __init__(self):
        self._bytes = bytearray(ROOM)
        self._begins = [0] * FRAMES  # where each frame stands in these bytes
        self._ends = [0] * FRAMES
        self._directions = bytearray(FRAMES)
        self._ticks = [0] * FRAMES
        self._next = 0
        self._oldest = 0
        self._count = 0
        self._end = 0  # of the newest frame
        self._formats: dict = {}  # for struct, by length: a slice would be an object on the heap

    def keep(self, direction, frame, length, now):
        """Store the first `length` bytes, at most 260, of a frame. Allocates nothing."""
        begin = self._end
        end = begin + length
        if end > ROOM:
            self._forget(begin, ROOM)  # what stands in the rest is older than what stands at the beginning
            begin = 0
            end = length
        index = self._next
        if self._count and self._begins[self._oldest] < end:
            self._forget(begin, end)
        if self._count == FRAMES:
            self._forget_oldest()
        if length not in self._formats:
            self._formats[length] = f"{length}s"
        pack_into(self._formats[length], self._bytes, begin, frame)
        self._begins[index] = begin
        self._ends[index] = self._end = end
        self._directions[index] = direction
        self._ticks[index] = now
        self._next = (index + 1) % FRAMES
        self._count += 1

    def _forget(self, begin, end):
        """Forget the oldest frames as far as they stand between these places."""
        while self._count and self._begins[self._oldest] < end and self._ends[self._oldest] > begin:
            self._forget_oldest()

    def _forget_oldest(self):
        self._oldest = (self._oldest + 1) % FRAMES
        self._count -= 1

    def lines(self, now, room=8000):
        """The last frames as text, as many as fit into `room` characters with 4 more for each, the oldest first.

        "-1240 > a540900800..." is a request sent 1240 ms before `now`.
        """
        count = 0
        while count < self._count:
            index = (self._next - 1 - count) % FRAMES
            room -= 2 * (self._ends[index] - self._begins[index]) + 16  # ticks, direction and separators
            if room < 0:
                break
            count += 1
        for age in range(count - 1, -1, -1):
            index = (self._next - 1 - age) % FRAMES
            frame = "".join(f"{byte:02x}" for byte in self._bytes[self._begins[index] : self._ends[index]])
            yield f"{-ticks_diff(now, self._ticks[index])} {chr(self._directions[index])} {frame}"
