"""What the broker has been told of a battery: the readings as last published, and which new ones are worth telling.

Every change of every entity is a row in somebody's database. So a reading is told when it has left its dead band (the
table's `band`), cells and rare ones less often than the pack, unless they have gone far; what becomes unknown, or known again,
is told at once.
"""

from adafruit_ticks import ticks_add, ticks_diff

from daly.pack import Pack
from daly.registers import BITS, CHOICE, FLAG, MAIN, NUMBER, READINGS

from .payload import key_of

EXACT_MS = 900000  # so often everything is told as it is, dead band or not
FAR = 10  # a reading so many bands off does not wait for the slow interval: 30 mV of a cell, 20 °C
_UNTOLD = "untold"  # no raw, and not None
URGENT = tuple(row for row in READINGS if row.kind == BITS or (row.role == MAIN and row.kind in (FLAG, CHOICE)))


class Said:
    """`readings` is a Pack to be written as JSON. `pack` is the live one; intervals in ms; `band_percent` scales the bands."""

    def __init__(self, pack, fast_ms, slow_ms, band_percent):
        self.readings = Pack()
        self.readings.layout = pack.layout
        self.readings.energy = pack.energy  # the mean current, for the time to full and empty
        self._pack = pack
        self._fast_ms = fast_ms
        self._slow_ms = slow_ms
        self._band_percent = band_percent
        self._layout_changes = pack.layout_changes
        self.begin(0)

    def begin(self, now):
        """Everything is to be told again."""
        self._fast_due = self._slow_due = self._exact_due = now
        self._changes = self._urgent_changes = self._gaps = None

    def take_all(self, now):
        """Take every reading as it is now."""
        self.begin(now)
        self.take(now)

    def take(self, now):
        """Take over what is worth telling now; True when that is anything."""
        pack = self._pack
        self.readings.inverted = pack.inverted
        if self._layout_changes != pack.layout_changes:
            self._layout_changes = pack.layout_changes
            self._forget_gone(now)
        if ticks_diff(now, self._fast_due) < 0:
            return self._take_urgent(now)
        self._fast_due = ticks_add(now, self._fast_ms)
        exact = ticks_diff(now, self._exact_due) >= 0
        slow = exact or ticks_diff(now, self._slow_due) >= 0
        if slow:
            self._slow_due = ticks_add(now, self._slow_ms)
        if exact:
            self._exact_due = ticks_add(now, EXACT_MS)
        elif self._changes == pack.changes:
            return False
        self._changes = self._urgent_changes = pack.changes
        self._gaps = pack.gaps
        return self._take_rows(READINGS, now, True, slow, exact)

    def _forget_gone(self, now):
        """Cells and sensors that are not there any more have no reading, also as long as their keys are still published."""
        for row in READINGS:
            if row.counted_by is not None:
                for index in range(self._pack.count(row), row.slots):
                    self.readings.put(row, index, None, now)

    def _take_urgent(self, now):
        """Alarms, MOSFETs and mode do not wait, nor does what becomes unknown or known."""
        pack = self._pack
        if self._urgent_changes == pack.changes:
            return False
        self._urgent_changes = pack.changes
        rows = URGENT if self._gaps == pack.gaps else READINGS
        self._gaps = pack.gaps
        return self._take_rows(rows, now, False, False, False)

    def _take_rows(self, rows, now, fast, slow, exact):
        changed = told = False
        for row in rows:
            if row.derive is None:
                due = slow or (fast and row.role == MAIN and row.slots == 1)
                bands = 1 if due else FAR if fast else 0
                with_it = told
                told = False
                for index in range(self._pack.count(row)):
                    raw = self._pack.at(row, index)
                    said = self.readings.at(row, index)
                    if raw != said and (exact or self._is_worth(row, raw, said, bands, with_it)):
                        self.readings.put(row, index, raw, now)
                        changed = told = True
        return changed

    def _is_worth(self, row, raw, said, bands, with_it):
        """Whether a change is to be told now, when only those of so many bands are; 0: none that can wait."""
        if raw is None or said is None or row in URGENT:
            return True
        if bands != 1 and (not bands or row.kind != NUMBER or not row.band):
            return False
        if row.kind != NUMBER:
            return True
        band = row.band
        if not band:
            return with_it or not self._band_percent
        if row.band_share is not None:
            band = max(band, abs(said) // row.band_share)
        return 100 * abs(raw - said) >= bands * band * self._band_percent


class EachValue:
    """Every reading on a topic of its own, for those who do not read JSON: what differs from what was told there last."""

    def __init__(self, readings):
        self._readings = readings
        self._told = [_UNTOLD] * sum(row.slots for row in READINGS)

    def begin(self):
        """Everything is to be told again."""
        for position in range(len(self._told)):
            self._told[position] = _UNTOLD

    def poll(self):
        """(key, text) of the next reading to be told, "" for one that is not known; None when all is told."""
        position = 0
        for row in READINGS:
            if row.kind != BITS:
                for index in range(self._readings.count(row)):
                    raw = self._readings.at(row, index)
                    if raw != self._told[position + index]:
                        self._told[position + index] = raw
                        return key_of(row, index), self._text(row, index, raw)
            position += row.slots
        return None

    def _text(self, row, index, raw):
        if raw is None:
            return ""
        if row.kind == FLAG:
            return "ON" if raw else "OFF"
        return self._readings.text(row, index)
