"""What survives a restart: one small record in the chip's non-volatile memory, in two slots written in turn.

A record is believed when magic, version and CRC are right; of two right ones the newer counts. A power cut in the middle of
a write so costs one interval. The ESP32 rewrites its whole block of 8 KB at each write, and a cut may lose all of it: then
everything here starts from nothing, and the counters come back from the broker's retained state.

Wear: the block lives in a partition of at least five 4 KB pages that are used in turn, good for 100000 erasures each. A
write costs two, so 250000 writes; at WRITES_PER_DAY that is more than 14 years. Each regular write must be earned by the time
that has passed, each start costs two at most, and after MOST_STARTS in a row that came to nothing there are no more writes.
"""

import binascii
import struct

from adafruit_ticks import ticks_diff

WRITES_PER_DAY = 48
INTERVAL_MS = 86400000 // WRITES_PER_DAY
SPARE = 3  # intervals without a write that can be made up for
MOST_STARTS = 100
_MAGIC = b"DB"
_VERSION = 1
# magic, version, sequence, boots, starts in a row, four energy counters, length of the text, text
_FORMAT = "<2sBIIH4QB80s"
_SIZE = struct.calcsize(_FORMAT)
_SLOT = 256  # bytes between the slots
_SAFE_MODE_AT = 600  # as in safemode.py
# What the chip's memory has been seen to raise; each access also takes 8 KB of heap in one piece.
_FAULTS = (OSError, RuntimeError, ValueError, MemoryError)


class Memory:
    """Counters and one text. `nvm` is anything like microcontroller.nvm: read and written in slices; None: nothing is kept."""

    def __init__(self, nvm, now):
        self._nvm = nvm
        self._sequence = 0
        self.boots = 0
        self.starts = 0  # in a row, that did not last ten minutes; this one included
        self.totals = None  # the energy counters as last kept; None: nothing was
        self.failure = ""  # the last exception, 80 characters
        self.safe_modes = 0  # accidents in a row that led to safe mode, see safemode.py
        self._last = now
        self._since_ms = 0  # since the last regular write fell due
        self._earned_ms = 2 * INTERVAL_MS  # not earned yet: for the start, and for what the first connect brings
        try:
            self._load()
        except _FAULTS as error:
            print("Memory: not read:", error)

    def count_start(self, reason):
        """The chip has started, for `reason`."""
        self.boots += 1
        self.starts = min(self.starts + 1, 10000)
        if reason == "watchdog":
            self.failure = "watchdog: the firmware hung and was restarted"
        self.save()
        if self.starts > 3:
            print(f"Started {self.starts} times in a row without lasting ten minutes. Last failure: {self.failure or 'none'}")

    def is_due(self, now):
        """Whether it is time for the regular write; True once in an interval. Call it in every pass: ticks wrap."""
        passed = ticks_diff(now, self._last)
        self._last = now
        self._since_ms += passed
        self._earned_ms = min(self._earned_ms + passed, SPARE * INTERVAL_MS)
        if self._since_ms < INTERVAL_MS:
            return False
        self._since_ms = 0
        return True

    @property
    def has_spare(self):
        """Whether a write before its time fits the wear budget."""
        return self._earned_ms >= INTERVAL_MS

    def save(self):
        """Write everything into the slot that is the older one. Call it seldom: see is_due."""
        if self._nvm is None or self.starts > MOST_STARTS:
            return
        self._sequence += 1
        self._since_ms = 0
        self._earned_ms = max(0, self._earned_ms - INTERVAL_MS)
        text = bytes(ord(character) if " " <= character < "\x7f" else 63 for character in self.failure[:80])
        totals = self.totals or (0, 0, 0, 0)
        record = struct.pack(_FORMAT, _MAGIC, _VERSION, self._sequence, self.boots, self.starts, *totals, len(text), text)
        record += struct.pack("<I", binascii.crc32(record))
        self._write(self._sequence % 2 * _SLOT, record)

    def forget_accidents(self):
        """The firmware has run well for a while: starts and safe modes count from 0 again. Written only if it must be."""
        if self.safe_modes and self._nvm is not None:
            self._write(_SAFE_MODE_AT, b"SM\x00")
        self.safe_modes = 0
        starts = self.starts
        self.starts = 0
        if starts > 1:  # a single one is written with the next counters
            self.save()

    def _write(self, begin, data):
        try:
            self._nvm[begin : begin + len(data)] = data
        except _FAULTS as error:
            print("Memory: not written:", error)

    def _load(self):
        if self._nvm is None:
            return
        block = bytes(self._nvm[0 : _SAFE_MODE_AT + 3])  # one read: each costs the whole block of 8 KB
        if block[_SAFE_MODE_AT : _SAFE_MODE_AT + 2] == b"SM":
            self.safe_modes = block[_SAFE_MODE_AT + 2]
        for begin in (0, _SLOT):
            record = block[begin : begin + _SIZE]
            (crc,) = struct.unpack("<I", block[begin + _SIZE : begin + _SIZE + 4])
            if crc == binascii.crc32(record):
                self._take(struct.unpack(_FORMAT, record))

    def _take(self, fields):
        magic, version, sequence, boots, starts, a, b, c, d, length, text = fields
        if magic != _MAGIC or version != _VERSION or sequence < self._sequence:
            return
        self._sequence = sequence
        self.boots = boots
        self.starts = starts
        self.totals = (a, b, c, d)
        self.failure = str(text[:length], "ascii")
