# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What survives a restart: one small record in the chip's non-volatile memory, in two slots that are written in turn.

A record is valid when magic, version and CRC are right; of two valid records the newer one counts, so a power cut during a
write costs one interval. The ESP32 rewrites its whole block of 8 KB at each write, and a power cut may lose all of it: then
everything here starts from zero, and the counters are restored from the state that the broker retains. Earlier versions had
other slots (nvm_earlier.py), which this one leaves as they are. Which of their records it has taken over is part of its own: a
newer one was written by a downgrade, and counts.

Nothing is written before the memory has been read: one failed read (it needs 8 KB in one piece) must not end with both
records overwritten. The read is retried for two minutes; if it still fails, nothing is written until the next start.

Wear: the block is in a partition of at least five 4 KB pages that are used in turn, good for 100000 erasures each. A
write costs two, so 250000 writes; at WRITES_PER_DAY that is more than 14 years. Every write must be earned by elapsed
time; what is earned is part of the record, so that failed boots cannot spend more than there is. They have a RESERVE,
which is refilled before the counters are written at the usual interval again.
"""

import binascii
import struct

from adafruit_ticks import ticks_diff

from battery.unload import unload

WRITES_PER_DAY = 48
INTERVAL_MS = 86400000 // WRITES_PER_DAY
SPARE = 3  # writes that can be earned in advance
RESERVE = 10  # writes for failed boots in a row
RETRY_MS = 5000
RETRIES = 24  # two minutes
BATTERIES = 8  # the most that are stored
WOKEN = "deep_sleep_alarm"  # the reset reason of a chip that has slept
_MAGIC = b"DB"
# Version 4: magic, version, sequence, boots, failed boots in a row, minutes earned, reserve, length of the text, text, sequence
# of the earlier version's record, number of batteries; then of each battery number, polarity, protocol, owner, four counters.
_VERSION = 4
_HEADER = "<2sBIIHHBB80sIB"
_BATTERY = "<HBBI4Q"
_SLOTS = (640, 1152)
_EARLIER_SLOTS = (0, 256)
_END = 1664
_SAFE_MODE_AT = 600  # as in safemode.py
# What accesses to the chip's memory have raised; each also takes 8 KB of heap in one piece.
_FAULTS = (OSError, RuntimeError, ValueError, MemoryError)


def _reason(error):
    """A fault in words."""
    return "there are no 8 KB of memory in one piece; it is tried again" if isinstance(error, MemoryError) else error


class BatteryRecord:
    """What is stored of a battery. `known`: its number, polarity, protocol and owner."""

    def __init__(self, known, totals=None):
        self.number = known[0]
        self.polarity = known[1]  # of the current: 1 normal, 2 inverted; 0: not known
        self.protocol = known[2]  # what the BMS speaks, see daly/detector.py; 0: not known
        self.owner = known[3]  # the bridge that the counters belong to, as a number; 0: none yet
        self.totals = totals  # the energy counters (Wh, Wh, mAh, mAh) as last stored; None: none were

    def set(self, totals=None, polarity=None, protocol=None, owner=None):
        """Change what is not None; to be called by the NvmStore."""
        self.totals = self.totals if totals is None else totals
        self.polarity = self.polarity if polarity is None else polarity
        self.protocol = self.protocol if protocol is None else protocol
        self.owner = self.owner if owner is None else owner


class NvmStore:
    """Counters and one text, and a record of each battery. `nvm`: microcontroller.nvm or its like, read and written in slices;
    None: nothing is stored.
    """

    def __init__(self, nvm, now):
        self._nvm = nvm
        self._records: list = []
        self._in_use = (1,)
        self.sequence = 0  # of the last write
        self._earlier = 0  # sequence of the record of an earlier version that was taken over; 0: none was
        self.boots = 0
        self.failed_boots = 0  # in a row, each less than ten minutes of uptime; the current one included
        self.failure = ""  # the last exception, 80 characters
        self.safe_modes = 0  # unclean resets in a row that led to safe mode, see safemode.py
        self.is_read = nvm is None
        self.is_pending = False  # there is something to write, and no write is earned
        self._boots_unread = 0  # counted before the memory was read
        self._retries = 0
        self._retry_ms = 0  # since the last attempt
        self._last = now
        self._since_ms = 0  # since the last regular write fell due
        self._earned_ms = 2 * INTERVAL_MS  # an advance: for the boot, and for what the first connection brings
        self._reserve = RESERVE
        self._has_refilled = False
        try:
            self._read()
        except _FAULTS as error:
            print("NVM: not read now:", _reason(error))

    def _read(self):
        """Read the memory if it was not read before. Boots that were counted before are added."""
        if self.is_read:
            return
        own = self.failure
        self.boots = self.failed_boots = 0
        try:
            self._load()
            self.is_read = True
        finally:
            self.boots += self._boots_unread
            self.failed_boots += self._boots_unread
            self.failure = own or self.failure

    @property
    def is_settled(self):
        """Whether the memory has been read, or will not be read until the next start."""
        return self.is_read or self._retries >= RETRIES

    def count_boot(self, reason):
        """Count a boot; `reason`: the chip's reset reason in lower case, such as "watchdog".

        Waking from deep sleep is no boot: a bridge that sleeps wakes a hundred times a day, and each would cost a write.
        """
        if reason == WOKEN:
            return
        try:
            self._read()
        except _FAULTS:
            self._boots_unread = 1
        self.boots += 1
        self.failed_boots = min(self.failed_boots + 1, 10000)
        if reason == "watchdog":
            self.failure = "watchdog: the firmware hung and was restarted"
        more = "" if self.save() else "At least "
        if self.failed_boots > 3:
            print(f"{more}{self.failed_boots} boots in a row without ten minutes of uptime.", end=" ")
            print(f"Last failure: {self.failure or 'none'}")

    def _retry(self, passed):
        """Retry a read that failed at the start; `passed`: ms since the last call."""
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
                print("NVM: it cannot be read, so nothing is written to it until the next start.")

    def is_due(self, now):
        """Whether the regular write is due; True once per interval. To be called in every pass, since ticks wrap."""
        passed = ticks_diff(now, self._last)
        self._last = now
        if not self.is_settled:
            self._retry(passed)
        self._since_ms += passed
        self._earned_ms = min(self._earned_ms + passed, SPARE * INTERVAL_MS)
        if self._since_ms < INTERVAL_MS:
            return False
        self._since_ms = 0
        if self._reserve < RESERVE and self.has_spare and not (self._has_refilled or self.is_pending):  # every second interval
            self._has_refilled = True
            self._earned_ms -= INTERVAL_MS
            self._reserve += 1
            return False
        self._has_refilled = False
        return True

    def credit(self, milliseconds):
        """Time has passed since the last write in which nothing counted it: the chip slept."""
        self._earned_ms = min(self._earned_ms + milliseconds, SPARE * INTERVAL_MS)

    @property
    def has_spare(self):
        """Whether an extra write fits the wear budget."""
        return self._earned_ms >= INTERVAL_MS

    def use(self, numbers):
        """The numbers of the batteries that are read: their records stay in any case."""
        self._in_use = numbers

    def owners(self):
        """The bridges that the counters stored belong to, as numbers (see owner_of); 0: none yet."""
        return [record.owner for record in self._records]

    def gone(self):
        """The numbers of batteries that are stored and not read any more."""
        return [record.number for record in self._records if record.number not in self._in_use]

    def record(self, number):
        """The BatteryRecord of a number; it is the one to be used from when the memory `is_settled` on.

        A new one takes the place of the first one of a battery that is not read any more, if there is no other.
        """
        for record in self._records:
            if record.number == number:
                return record
        if len(self._records) >= BATTERIES:
            gone = self.gone()[0]
            self._records = [record for record in self._records if record.number != gone]
        record = BatteryRecord((number, 0, 0, 0))
        self._records.append(record)
        return record

    def set(self, record, totals=None, polarity=None, protocol=None, owner=None):
        """Change what is stored of a battery, where it is not None; `save`, or the next write, makes it permanent."""
        record.set(totals, polarity, protocol, owner)
        self.is_pending = True

    def set_failure(self, text):
        """The same for the text."""
        self.failure = text
        self.is_pending = True

    def save(self):
        """Write everything into the older slot. Returns False when it is not written; then `is_pending` is set."""
        if self._nvm is None:
            return True
        self.is_pending = True
        if not self.is_read or not self._spend():
            return False
        self.sequence += 1
        self._since_ms = 0
        text = bytes(ord(character) if " " <= character < "\x7f" else 63 for character in self.failure[:80])
        fields = (self.sequence, self.boots, self.failed_boots, self._earned_ms // 60000, self._reserve, len(text), text)
        record = struct.pack(_HEADER, _MAGIC, _VERSION, *fields, self._earlier, len(self._records))
        for battery in self._records:
            known = (battery.number, battery.polarity, battery.protocol, battery.owner)
            record += struct.pack(_BATTERY, *known, *(battery.totals or (0, 0, 0, 0)))
        record += struct.pack("<I", binascii.crc32(record))
        self.is_pending = not self._write(_SLOTS[self.sequence % 2], record)
        return not self.is_pending

    def _spend(self):
        """Take one write from the wear budget; False when there is none left."""
        if self.has_spare:
            self._earned_ms -= INTERVAL_MS
        elif self._reserve:
            self._reserve -= 1
        else:
            return False
        return True

    def clear_failed_boots(self):
        """Count failed boots and safe modes from 0 again: this boot is a success. Written only if necessary."""
        if self.safe_modes and self._nvm is not None:
            if not self.is_read or not self._spend():
                return  # called again later
            self._write(_SAFE_MODE_AT, b"SM\x00")
        self.safe_modes = 0
        failed_boots = self.failed_boots
        self.failed_boots = 0
        if failed_boots > 1:  # a single one is written with the next counters
            self.save()

    def _write(self, begin, data):
        try:
            self._nvm[begin : begin + len(data)] = data
        except _FAULTS as error:
            print("NVM: not written now:", _reason(error))
            return False
        return True

    def _load(self):
        block = bytes(self._nvm[0:_END])  # one read: each costs the whole block of 8 KB
        if block[_SAFE_MODE_AT : _SAFE_MODE_AT + 2] == b"SM":
            self.safe_modes = block[_SAFE_MODE_AT + 2]
        header = struct.calcsize(_HEADER)
        for begin in _SLOTS:
            count = block[begin + header - 1]  # of the batteries behind the header
            if block[begin : begin + 2] == _MAGIC and block[begin + 2] == _VERSION and count <= BATTERIES:
                end = begin + header + count * struct.calcsize(_BATTERY)
                fields = struct.unpack_from(_HEADER, block, begin)
                if fields[2] >= self.sequence and crc_is_right(block, begin, end):
                    self._load_record(block, begin + header, fields)
        for begin in _EARLIER_SLOTS:
            if block[begin : begin + 2] == _MAGIC and struct.unpack_from("<I", block, begin + 3)[0] > self._earlier:
                self._load_earlier(block)

    def _load_record(self, block, at, fields):
        """`fields`: of the header; the batteries are `at` this place."""
        self._take(fields)
        self._records = []
        for _ in range(fields[-1]):
            battery = struct.unpack_from(_BATTERY, block, at)
            self._records.append(BatteryRecord(battery[:4], battery[4:]))
            at += struct.calcsize(_BATTERY)

    def _load_earlier(self, block):
        """Take over the record of an earlier version, if it is newer; what is known of other batteries than its one stays."""
        from .nvm_earlier import newest  # at the first start, after an update, and after a downgrade and an update

        fields, battery = newest(block)
        unload("app.nvm_earlier")
        if fields is None or fields[2] <= self._earlier:
            return
        sequence = self.sequence
        self._take(fields)
        self.sequence = max(sequence, self.sequence)
        self._records = [record for record in self._records if record.number != 1][: BATTERIES - 1]
        self._records.insert(0, BatteryRecord(*battery))

    def _take(self, fields):
        """The values of a header."""
        self.sequence, self.boots, self.failed_boots, earned, self._reserve, length, text, self._earlier = fields[2:10]
        self._earned_ms = min(60000 * earned, SPARE * INTERVAL_MS)
        self.failure = str(text[:length], "ascii")


def owner_of(identity):
    """The id of a bridge as the number that is stored, never 0."""
    return binascii.crc32(identity.encode()) | 1


def crc_is_right(block, begin, end):
    """Whether the four bytes at `end` are the CRC of those before it."""
    return struct.unpack_from("<I", block, end)[0] == binascii.crc32(block[begin:end])
