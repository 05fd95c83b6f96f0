"""What survives a restart: one small record in the chip's non-volatile memory, in two slots written in turn.

A record is believed when magic, version and CRC are right; of two right ones the newer counts. A power cut in the middle of
a write so costs one interval. The ESP32 rewrites its whole block of 8 KB at each write, and a cut may lose all of it: then
everything here starts from nothing, and the counters come back from the broker's retained state.

Nothing is written before the memory has been read: one read that fails (it takes 8 KB in one piece) must not end with both
records overwritten. The read is tried again for a while; when it fails for good, nothing is written until the next start.

Wear: the block lives in a partition of at least five 4 KB pages that are used in turn, good for 100000 erasures each. A
write costs two, so 250000 writes; at WRITES_PER_DAY that is more than 14 years. Every write must have been earned by time that
has passed; what is earned is kept in the record, so that starts that come to nothing cannot spend what they have not. A
RESERVE is for them, and fills again before the counters are written as often as usual.
"""

import binascii
import struct

from adafruit_ticks import ticks_diff

WRITES_PER_DAY = 48
INTERVAL_MS = 86400000 // WRITES_PER_DAY
SPARE = 3  # intervals without a write that can be made up for
RESERVE = 10  # writes that a row of starts may cost
RETRY_MS = 5000
RETRIES = 24  # two minutes
_MAGIC = b"DB"
# Of each version: magic, version, sequence, boots, starts in a row, four energy counters; since version 2 polarity, owner,
# minutes earned and reserve; length of the text, text.
_FORMATS = {1: "<2sBIIH4QB80s", 2: "<2sBIIH4QBIHBB80s"}
_VERSION = 2
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
        self.polarity = 0  # of the current, as settled: 1 normal, 2 inverted; 0: it is not
        self.owner = 0  # whose counters these are, as a number; 0: nobody's yet
        self.failure = ""  # the last exception, 80 characters
        self.safe_modes = 0  # accidents in a row that led to safe mode, see safemode.py
        self.is_read = nvm is None
        self.is_pending = False  # there is something to save, and no write to spend on it
        self._starts_unread = 0  # counted before the memory was read
        self._retries = 0
        self._retry_ms = 0  # since the last try
        self._last = now
        self._since_ms = 0  # since the last regular write fell due
        self._earned_ms = 2 * INTERVAL_MS  # not earned yet: for the start, and for what the first connect brings
        self._reserve = RESERVE
        self._has_put_back = False
        try:
            self._read()
        except _FAULTS as error:
            print("Memory: not read:", error)

    def _read(self):
        """Read the memory if it was not. What was counted before comes on top."""
        if self.is_read:
            return
        own = self.failure
        self.boots = self.starts = 0
        try:
            self._load()
            self.is_read = True
        finally:
            self.boots += self._starts_unread
            self.starts += self._starts_unread
            self.failure = own or self.failure

    @property
    def is_settled(self):
        """Whether what was kept is known, or will not be known any more in this life."""
        return self.is_read or self._retries >= RETRIES

    def count_start(self, reason):
        """The chip has started, for `reason`."""
        try:
            self._read()
        except _FAULTS:
            self._starts_unread = 1
        self.boots += 1
        self.starts = min(self.starts + 1, 10000)
        if reason == "watchdog":
            self.failure = "watchdog: the firmware hung and was restarted"
        more = "" if self.save() else "at least "
        if self.starts > 3:
            print(f"Started {more}{self.starts} times in a row without lasting ten minutes.", end=" ")
            print(f"Last failure: {self.failure or 'none'}")

    def _retry(self, passed):
        """Try again to read what could not be read at the start; `passed`: ms since the last call."""
        self._retry_ms += passed
        if self.is_settled or self._retry_ms < RETRY_MS:
            return
        self._retry_ms = 0
        self._retries += 1
        try:
            self._read()
            self.is_pending = True
        except _FAULTS:
            if self._retries == RETRIES:
                print("Memory: it cannot be read, so nothing is written to it until the next start.")

    def is_due(self, now):
        """Whether it is time for the regular write; True once in an interval. Call it in every pass: ticks wrap."""
        passed = ticks_diff(now, self._last)
        self._last = now
        if not self.is_settled:
            self._retry(passed)
        self._since_ms += passed
        self._earned_ms = min(self._earned_ms + passed, SPARE * INTERVAL_MS)
        if self._since_ms < INTERVAL_MS:
            return False
        self._since_ms = 0
        if self._reserve < RESERVE and self.has_spare and not (self._has_put_back or self.is_pending):  # every second one
            self._has_put_back = True
            self._earned_ms -= INTERVAL_MS
            self._reserve += 1
            return False
        self._has_put_back = False
        return True

    @property
    def has_spare(self):
        """Whether a write before its time fits the wear budget."""
        return self._earned_ms >= INTERVAL_MS

    def set(self, totals=None, polarity=None, owner=None, failure=None):
        """Change what is kept, where it is not None. `save` writes it, at the latest the next regular write does."""
        self.totals = self.totals if totals is None else totals
        self.polarity = self.polarity if polarity is None else polarity
        self.owner = self.owner if owner is None else owner
        self.failure = self.failure if failure is None else failure
        self.is_pending = True

    def save(self):
        """Write everything into the slot that is the older one. False when it is not: see `is_pending`."""
        if self._nvm is None:
            return True
        self.is_pending = True
        if not self.is_read or not self._spend():
            return False
        self._sequence += 1
        self._since_ms = 0
        text = bytes(ord(character) if " " <= character < "\x7f" else 63 for character in self.failure[:80])
        fields = (self._sequence, self.boots, self.starts) + (self.totals or (0, 0, 0, 0))
        fields += (self.polarity, self.owner, self._earned_ms // 60000, self._reserve, len(text), text)
        record = struct.pack(_FORMATS[_VERSION], _MAGIC, _VERSION, *fields)
        record += struct.pack("<I", binascii.crc32(record))
        self.is_pending = not self._write(self._sequence % 2 * _SLOT, record)
        return not self.is_pending

    def _spend(self):
        """Pay for one write; False when there is nothing to pay with."""
        if self.has_spare:
            self._earned_ms -= INTERVAL_MS
        elif self._reserve:
            self._reserve -= 1
        else:
            return False
        return True

    def forget_accidents(self):
        """The firmware has run well for a while: starts and safe modes count from 0 again. Written only if it must be."""
        if self.safe_modes and self._nvm is not None:
            if not self.is_read or not self._spend():
                return  # asked again
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
            return False
        return True

    def _load(self):
        block = bytes(self._nvm[0 : _SAFE_MODE_AT + 3])  # one read: each costs the whole block of 8 KB
        if block[_SAFE_MODE_AT : _SAFE_MODE_AT + 2] == b"SM":
            self.safe_modes = block[_SAFE_MODE_AT + 2]
        for begin in (0, _SLOT):
            version = block[begin + 2]
            if block[begin : begin + 2] == _MAGIC and version in _FORMATS:
                end = begin + struct.calcsize(_FORMATS[version])
                (crc,) = struct.unpack("<I", block[end : end + 4])
                if crc == binascii.crc32(block[begin:end]):
                    self._take(version, struct.unpack(_FORMATS[version], block[begin:end]))

    def _take(self, version, fields):
        if fields[2] < self._sequence:
            return
        self._sequence, self.boots, self.starts = fields[2:5]
        self.totals = fields[5:9]
        if version > 1:
            self.polarity, self.owner, earned, self._reserve = fields[9:13]
            self._earned_ms = min(60000 * earned, SPARE * INTERVAL_MS)
        self.failure = str(fields[-1][: fields[-2]], "ascii")
