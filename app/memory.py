"""What survives a restart: one small record in the chip's non-volatile memory, in two slots written in turn.

A record is believed when magic, version and CRC are right; of two right ones the newer counts. A power cut in the middle of
a write so costs one interval. The ESP32 rewrites its whole block of 8 KB at each write, and a cut may lose all of it: then
everything here starts from nothing, and the counters come back from the broker's retained state.

Wear: the block lives in a partition of at least five 4 KB pages that are used in turn, good for 100000 erasures each. A
write costs two, so 250000 writes; at WRITES_PER_DAY that is more than 14 years, and it is enforced here.
"""

import binascii
import struct

from adafruit_ticks import ticks_diff

WRITES_PER_DAY = 48
_INTERVAL_S = 86400 // WRITES_PER_DAY
_MAGIC = b"DB"
_VERSION = 1
# magic, version, sequence, boots, crashes in a row, four energy counters, length of the text, text
_FORMAT = "<2sBIIH4QB80s"
_SIZE = struct.calcsize(_FORMAT)
_SLOT = 256  # bytes between the slots
_SAFE_MODE_AT = 600  # as in safemode.py


class Memory:
    """Counters and one text. `nvm` is anything like microcontroller.nvm: read and written in slices; None: nothing is kept."""

    def __init__(self, nvm, now):
        self._nvm = nvm
        self._sequence = 0
        self.boots = 0
        self.crashes = 0
        self.totals = None  # the energy counters as last kept; None: nothing was
        self.failure = ""  # the last exception, 80 characters
        self.safe_modes = 0  # accidents in a row that led to safe mode, see safemode.py
        self._last = now
        self._milliseconds = 0
        self._load()

    def tick_s(self, now):
        """Seconds since the last write, kept across the wrap of the ticks."""
        self._milliseconds += ticks_diff(now, self._last)
        self._last = now
        return self._milliseconds // 1000

    def is_due(self, now):
        """Whether a write fits the wear budget."""
        return self.tick_s(now) >= _INTERVAL_S

    def save(self):
        """Write everything into the slot that is the older one. Call it seldom: see is_due."""
        if self._nvm is None:
            return
        self._sequence += 1
        text = bytes(ord(character) if " " <= character < "\x7f" else 63 for character in self.failure[:80])
        totals = self.totals or (0, 0, 0, 0)
        record = struct.pack(_FORMAT, _MAGIC, _VERSION, self._sequence, self.boots, self.crashes, *totals, len(text), text)
        record += struct.pack("<I", binascii.crc32(record))
        begin = self._sequence % 2 * _SLOT
        self._nvm[begin : begin + len(record)] = record
        self._milliseconds = 0

    def forget_accidents(self):
        """The firmware has run well for a while: crashes and safe modes count from 0 again. Written only if there were any."""
        if self.safe_modes and self._nvm is not None:
            self._nvm[_SAFE_MODE_AT : _SAFE_MODE_AT + 3] = b"SM\x00"
        if self.crashes:
            self.crashes = 0
            self.save()
        self.safe_modes = 0

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
        magic, version, sequence, boots, crashes, a, b, c, d, length, text = fields
        if magic != _MAGIC or version != _VERSION or sequence < self._sequence:
            return
        self._sequence = sequence
        self.boots = boots
        self.crashes = crashes
        self.totals = (a, b, c, d)
        self.failure = str(text[:length], "ascii")
