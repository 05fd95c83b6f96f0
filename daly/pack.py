"""What is known of the battery right now: one integer a reading, or None. Performs no I/O and has no clock.

A value gets in only when the BMS said it and it is possible, and leaves when it is too old: nothing here is ever guessed.
"""

from adafruit_ticks import ticks_diff

from .registers import CHOICE, DATE, FLAG, READING, READINGS, SLOTS, TEXT
from .text import decimal_text

IDENTITY = ("battery_code", "software_version", "hardware_version")


class Pack:
    """The readings of one battery. `raw` is the integer before scaling; None: not known now."""

    def __init__(self):
        self._raw = [None] * SLOTS
        self._seen = [0] * SLOTS  # ticks of the answer each value came with
        # what kind of battery this is, as last said; kept while the BMS is silent
        self.layout: dict = {"cell_count": 0, "temperature_count": 0}
        for key in IDENTITY:
            self.layout[key] = None
        self.layout_changes = 0
        self.rejected = 0  # values outside the limits of their row
        self.changes = 0  # grows with every changed value: cheap to compare

    def raw(self, key, number=1):
        """The raw value of a reading; `number` (from 1) picks the cell or sensor. None: not known now."""
        return self.at(READING[key], number - 1)

    def at(self, row, index=0):
        """The same as `raw` for a row of the table and an index from 0."""
        if row.derive is not None:
            return row.derive(self)
        return self._raw[row.slot + index]

    def count(self, row):
        """How many readings this row stands for in this battery: its cells or sensors as far as known, else its slots."""
        return row.slots if row.counted_by is None else self.layout[row.counted_by]

    def text(self, row, index=0):
        """A reading for people ("53.2", "charging", "on"); None: not known now."""
        raw = self.at(row, index)
        if raw is None or row.kind == TEXT:
            return raw
        if row.kind == CHOICE:
            return row.options[raw]
        if row.kind == FLAG:
            return "on" if raw else "off"
        if row.kind == DATE:
            return f"{2000 + (raw >> 16)}-{raw >> 8 & 0xFF:02d}-{raw & 0xFF:02d}"
        return decimal_text(raw, row.decimals)

    def take(self, register, payload, frames, now):
        """Believe what an answer says. `frames` has bit i set when frame i (from 0) of the answer is there.

        An impossible value changes nothing, is counted, and what was known before ages away. Where the first reading of an
        answer is impossible nothing of it is believed: an all-zero answer (0 V, -3000 A, 0 %) must not leave its 0 % behind.
        """
        leading = True
        for row in register.readings:
            if row.derive is None:
                possible = self._take_row(register, row, payload, frames, now)
                if leading and not possible and register.frames == 1:
                    return
                leading = False
        for key in self.layout:
            self._lay_out(key)

    def expire(self, register, before):
        """Forget the readings of one register that were said before the tick `before`."""
        for row in register.readings:
            if row.derive is None:
                for slot in range(row.slot, row.slot + row.slots):
                    if self._raw[slot] is not None and ticks_diff(self._seen[slot], before) < 0:
                        self._raw[slot] = None
                        self.changes += 1

    def forget(self):
        """Forget every value; the number of cells and sensors stays as the layout."""
        for slot in range(SLOTS):
            self._raw[slot] = None
        self.changes += 1

    def _take_row(self, register, row, payload, frames, now):
        possible = True
        for index in range(self.count(row)):
            if _is_there(register, row, index, frames):
                possible = self._take_value(row, index, payload, now) and possible
        return possible

    def _take_value(self, row, index, payload, now):
        """Decode and keep one value; False when it is impossible."""
        raw = _decode(row, payload, index)
        if raw is None:
            self.rejected += 1
            return False
        slot = row.slot + index
        if self._raw[slot] != raw:
            self._raw[slot] = raw
            self.changes += 1
        self._seen[slot] = now
        return True

    def _lay_out(self, key):
        value = self.raw(key)
        if value is None or value == self.layout[key]:
            return
        self.layout[key] = value
        self.layout_changes += 1
        for row in READINGS:
            if row.counted_by == key:
                for slot in range(row.slot + value, row.slot + row.slots):
                    self._raw[slot] = None


def _is_there(register, row, index, frames):
    """Whether the frame that carries this value (all frames, for a text) has arrived."""
    if register.frames == 1:
        return True
    if row.kind == TEXT:
        wanted = (1 << register.frames) - 1
        return frames & wanted == wanted
    return frames >> ((row.offset + index * row.size) // register.width) & 1


def _decode(row, payload, index):
    """The raw value of a row's reading number `index` (from 0) in a payload; None when no real pack can have it."""
    if row.kind == TEXT:
        return _ascii(payload, row.size)
    if row.bit is not None:
        bit = row.bit + index
        return payload[row.offset + bit // 8] >> (bit % 8) & 1
    at = row.offset + index * row.size
    number = 0
    for i in range(at, at + row.size):
        number = number << 8 | payload[i]
    raw = row.factor * (number - row.bias)
    if not row.low <= raw <= row.high or (row.kind == DATE and not _is_date(raw)):
        return None
    return raw


def _ascii(payload, size):
    """The printable ASCII before the first zero or 0xFF byte; None when there is none or something else stands there."""
    end = 0
    while end < size and payload[end] not in (0, 0xFF):
        if not 0x20 <= payload[end] < 0x7F:
            return None
        end += 1
    return str(payload[:end], "ascii").strip() or None


def _is_date(raw):
    return 1 <= (raw >> 8 & 0xFF) <= 12 and 1 <= (raw & 0xFF) <= 31
