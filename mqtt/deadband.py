"""What the broker has been told of a battery: the readings as last published, and which new ones are worth telling.

Every change of every entity is a row in somebody's database. So a reading is told when it has left its dead band (the
table's `band`), cells and rare ones less often than the pack, unless they have gone far; what becomes unknown, or known again,
is told at once, and so are zero and the ends of a range whenever the reading has its turn.

What belongs together is told from one moment and at the fastest pace of its parts: when one of a party is worth telling, all of
it is. The highest and the lowest cell (temperature), with number and difference, are those of the cells that are told.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import COUNTERS
from battery.json import key_of
from battery.pack import Pack
from battery.readings import BITS, CHOICE, FLAG, MAIN, NUMBER, READING, READINGS

EXACT_MS = 900000  # so often everything is told as it is, dead band or not
FAR = 10  # a reading so many bands off does not wait for the slow interval: 30 mV of a cell, 20 °C
REPEAT_MS = 50000  # within which each value on a topic of its own is said again, where nothing is retained
TURN_MS = 500  # so long a change of current or mode waits for the other one to be read
ONE_MOMENT_MS = 4000  # so long cells that are of different answers are waited for to be of one
LOOK_AT = 8  # rows that are looked at for such a value in one pass
_UNTOLD = "untold"  # no raw, and not None
_UNCLEARED = "uncleared"  # nor told since our start: what an earlier version or setting left there may still be retained

# Rows that are told together; one that is derived from the others lends them its pace. All others are told alone.
_TOGETHER = (
    ("pack_voltage", "current", "power", "mode"),
    ("soc", "remaining_capacity", "remaining_time"),
    COUNTERS,
    ("cell_{}_balancing", "balancing"),
    ("alarm_byte_{}", "problem", "fault_code"),
)
# many of a kind, the highest of them and its number, the lowest and its number, their difference
SPREADS = tuple(
    tuple(READING[key] if key else None for key in keys)
    for keys in (
        (
            "cell_{}_voltage",
            "max_cell_voltage",
            "max_voltage_cell",
            "min_cell_voltage",
            "min_voltage_cell",
            "cell_voltage_delta",
        ),
        ("temperature_{}", "max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor", None),
    )
)


def _parties():
    """Every reading that the BMS sends or we count, but those of SPREADS, as tuples of those told together."""
    placed = [row.key for spread in SPREADS for row in spread if row]
    parties = [tuple(READING[key] for key in keys) for keys in _TOGETHER]
    for keys in _TOGETHER:
        placed.extend(keys)
    return tuple(parties + [(row,) for row in READINGS if row.derive is None and row.key not in placed])


def _is_urgent(row):
    """Alarms, MOSFETs and mode do not wait."""
    return row.kind == BITS or (row.role == MAIN and (row.kind == FLAG or row.kind == CHOICE))


PARTIES = _parties()
URGENT = tuple(party for party in PARTIES if [row for row in party if row.derive is None and _is_urgent(row)])
_CURRENT = READING["current"]
_MODE = READING["mode"]
_REMAINING_TIME = READING["remaining_time"]


class Mean:
    """The mean current of the moment that is published, in place of the Pack's meter: for the time to full and empty."""

    mean_current = 0


class PublishedValues(Pack):
    """The readings as last published: a Pack with the topology of the live one, and a mean current of its own."""

    def __init__(self, pack):
        super().__init__()
        self.layout = pack.layout
        self._mean = Mean()
        self.energy = self._mean  # type: ignore[assignment]

    def set_inverted(self, is_inverted):
        """Whether the current counts the other way round, which the names of the alarms depend on."""
        if self.inverted != is_inverted:
            self.inverted = is_inverted
            self.changes += 1

    def set_mean_current(self, milliamperes):
        """Take over the mean current; True when another remaining time is published with it."""
        if milliamperes == self._mean.mean_current:
            return False
        before = self.at(_REMAINING_TIME)
        self._mean.mean_current = milliamperes
        is_other = self.at(_REMAINING_TIME) != before
        self.changes += is_other
        return is_other


class Said:
    """`readings` is a Pack to be written as JSON. `pack` is the live one; intervals in ms; `band_percent` scales the bands."""

    def __init__(self, pack, fast_ms, slow_ms, band_percent):
        self.readings = PublishedValues(pack)
        self._pack = pack
        self._fast_ms = fast_ms
        self._slow_ms = slow_ms
        self._band_percent = band_percent
        self._layout_changes = pack.layout_changes
        self._waits_since = None
        self._turning_since = None
        self._turning_changes = None
        self._late = None  # (fast, slow, exact) of the turn that cells and temperatures have missed
        self.begin(0)

    def begin(self, now):
        """Everything is to be told again."""
        self._fast_due = self._slow_due = self._exact_due = now
        self._fast_changes = self._slow_changes = self._urgent_changes = self._gaps = None

    def take_all(self, now):
        """Take every reading as it is now."""
        self.begin(now)
        self.take(now)

    def take(self, now):
        """Take over what is worth telling now; True when that is anything."""
        pack = self._pack
        self.readings.set_inverted(pack.inverted)
        is_other = self._layout_changes != pack.layout_changes
        if is_other:
            self._layout_changes = pack.layout_changes
            self._lay_out(now)
        fast = ticks_diff(now, self._fast_due) >= 0
        # cells wait for the tick of the others, so that they share a message; unless they are to be told more often
        slow = (fast or self._slow_ms < self._fast_ms) and ticks_diff(now, self._slow_due) >= 0
        if self._is_turning(now):
            return self._take_urgent(now, True) or is_other
        waits = (fast or slow or self._late is not None) and self._waits_for_cells(now)
        if self._late is not None and not waits:
            is_other = self._take_late(now) or is_other
        if not (fast or slow):
            return self._take_urgent(now, False) or is_other
        return self._take_due(now, fast, slow, waits) or is_other

    def _is_turning(self, now):
        """Whether current and mode contradict each other, as they do until both have been read after one has changed.

        Boards on which they do so for ever are waited for once.
        """
        pack = self._pack
        if self._turning_changes != pack.changes:
            self._turning_changes = pack.changes
            current = pack.at(_CURRENT)
            mode = pack.at(_MODE)
            if current is None or mode is None or _fits(current, mode):
                self._turning_since = None
            elif self._turning_since is None:
                self._turning_since = now
        if self._turning_since is None:
            return False
        elapsed = ticks_diff(now, self._turning_since)
        if 0 <= elapsed < TURN_MS:
            return True
        self._turning_since = ticks_add(now, -TURN_MS)  # ticks wrap
        return False

    def _waits_for_cells(self, now):
        """Whether some cells are of another answer than the others: damaged in between, or a step that must be said again."""
        if self._pack.is_of_one_moment(SPREADS[0][0]) and self._pack.is_of_one_moment(SPREADS[1][0]):
            self._waits_since = None
            return False
        if self._waits_since is None:
            self._waits_since = now
        return ticks_diff(now, self._waits_since) < ONE_MOMENT_MS

    def _take_late(self, now):
        """The cells and temperatures whose turn has come before they were of one moment."""
        fast, slow, exact = self._late
        self._late = None
        changed = False
        for spread in SPREADS:
            changed = self._take_spread(spread, now, fast, slow, exact) or changed
        return changed

    def _take_due(self, now, fast, slow, waits):
        pack = self._pack
        exact = fast and ticks_diff(now, self._exact_due) >= 0
        if exact:
            self._exact_due = ticks_add(now, EXACT_MS)
        # Whether anything has changed since rows of this pace had their turn: a change that came in between two slow turns
        # has not been looked at by a fast one.
        changed = is_other_time = False
        if fast:
            self._fast_due = ticks_add(now, self._fast_ms)
            changed = self._fast_changes != pack.changes
            self._fast_changes = pack.changes
            is_other_time = self.readings.set_mean_current(self._pack.energy.mean_current)
        if slow:
            self._slow_due = ticks_add(now, self._slow_ms)
            changed = changed or self._slow_changes != pack.changes
            self._slow_changes = pack.changes
        if not (changed or exact):
            return is_other_time
        self._urgent_changes = pack.changes
        self._gaps = pack.gaps
        if waits:
            before = self._late or (False, False, False)
            self._late = (before[0] or fast, before[1] or slow or exact, before[2] or exact)
        return self._take_parties(PARTIES, now, fast, slow or exact, exact, not waits) or is_other_time

    def _lay_out(self, now):
        """Another number of cells or sensors: those that are gone have no reading, also as long as their keys are published."""
        for row in READINGS:
            if row.counted_by is not None:
                self._copy(READING[row.counted_by], 0, self._pack.at(READING[row.counted_by]), now)
                for index in range(self._pack.count(row), row.slots):
                    self._copy(row, index, None, now)
        for spread in SPREADS:
            self._take_spread(spread, now, True, True, True)

    def _take_urgent(self, now, is_turning):
        """Alarms, MOSFETs and mode do not wait, nor does what becomes unknown or known. `is_turning`: all but the mode."""
        pack = self._pack
        if self._urgent_changes == pack.changes:
            return False
        self._urgent_changes = None if is_turning else pack.changes  # the mode is due when it has turned
        no_gaps = self._gaps == pack.gaps
        self._gaps = pack.gaps
        return self._take_parties(URGENT if no_gaps else PARTIES, now, False, False, False, not no_gaps, is_turning)

    def _take_parties(self, parties, now, fast, slow, exact, spreads, is_turning=False):
        changed = False
        for party in parties:
            if is_turning and _MODE in party:
                continue
            if exact or self._is_party_worth(party, fast, slow):
                changed = self._take_party(party, now) or changed
        for spread in SPREADS if spreads else ():
            changed = self._take_spread(spread, now, fast, slow, exact) or changed
        return changed

    def _is_party_worth(self, party, fast, slow):
        due = slow or (fast and _is_fast(party))
        for row in party:
            if row.derive is None:
                for index in range(self._pack.count(row)):
                    if self._is_worth(row, self._pack.at(row, index), self.readings.at(row, index), due, fast):
                        return True
        return False

    def _take_party(self, party, now):
        changed = False
        for row in party:
            if row is _CURRENT:
                self.readings.set_mean_current(self._pack.energy.mean_current)
            if row.derive is None:
                for index in range(self._pack.count(row)):
                    changed = self._copy(row, index, self._pack.at(row, index), now) or changed
        return changed

    def _copy(self, row, index, raw, now):
        if raw == self.readings.at(row, index):
            return False
        self.readings.put(row, index, raw, now)
        return True

    def _is_worth(self, row, raw, said, due, far):
        """Whether a change is to be told now. `due`: the row has its turn; `far`: else, one of many bands does not wait."""
        if raw == said:
            return False
        if raw is None or said is None or _is_urgent(row):
            return True
        if not due:
            if row is _CURRENT and self._fits_mode(raw) and not self._fits_mode(said):
                return True
            return far and row.kind == NUMBER and self._has_left(row, raw, said, FAR)
        if row.kind != NUMBER or not raw or raw == row.low or raw == row.high:  # zero and the ends of a range mean something
            return True
        return self._has_left(row, raw, said, 1)

    def _has_left(self, row, raw, said, bands):
        if row.band == 1:  # it has no dead band that could be made wider
            return abs(raw - said) >= bands
        band = row.band
        if row.band_share is not None:
            band = max(band, abs(said) // row.band_share)
        return 100 * abs(raw - said) >= bands * band * self._band_percent

    def _fits_mode(self, current):
        """Whether a current is what the mode says that is told: the two are of one moment, but not of one answer."""
        mode = self.readings.at(_MODE)
        return mode is None or _fits(current, mode)

    # cells and temperatures

    def _take_spread(self, spread, now, fast, slow, exact):
        """Cells or temperatures, their extremes and difference, of one moment.

        The extremes are told as they are; of the others those that have left their dead band, or would stand outside.
        """
        many, highest, highest_at, lowest, lowest_at, _ = spread
        high, high_at = self._extreme(many, highest, highest_at, 1)
        low, low_at = self._extreme(many, lowest, lowest_at, -1)
        if not (exact or self._is_spread_worth(spread, high, low, fast, slow)):
            return False
        changed = False
        for index in range(self._pack.count(many)):
            raw = self._pack.at(many, index)
            said = self.readings.at(many, index)
            if raw != said and (exact or self._is_worth(many, raw, said, True, True) or _is_edge(raw, said, high, low)):
                changed = self._copy(many, index, raw, now) or changed
        changed = self._copy(highest, 0, high, now) or changed
        changed = self._copy(highest_at, 0, high_at, now) or changed
        changed = self._copy(lowest, 0, low, now) or changed
        return self._copy(lowest_at, 0, low_at, now) or changed

    def _is_spread_worth(self, spread, high, low, fast, slow):
        many, highest, _, lowest, _, difference = spread
        readings = self.readings
        said_high = readings.at(highest)
        said_low = readings.at(lowest)
        if self._is_worth(highest, high, said_high, slow or (fast and highest.role == MAIN), fast):
            return True
        if self._is_worth(lowest, low, said_low, slow or (fast and lowest.role == MAIN), fast):
            return True
        if fast and difference is not None and high is not None and low is not None:
            wider = abs(high - low - said_high + said_low)  # what is told is known then, too
            if wider and self._has_left(difference, wider, 0, 1):
                return True
        for index in range(self._pack.count(many)):
            if self._is_worth(many, self._pack.at(many, index), readings.at(many, index), slow, fast):
                return True
        return False

    def _extreme(self, many, row, row_at, sign):
        """(value, number) of the highest (sign 1) or lowest (-1): of the cells themselves, while all of them are known.

        Else the BMS's own word helps (`row`, `row_at`), which is asked seldom and so may be of another moment: it counts for
        those cells that are not known, and alone where none is.
        """
        pack = self._pack
        best = number = None
        unknown = not pack.count(many)
        for index in range(pack.count(many)):
            raw = pack.at(many, index)
            if raw is None:
                unknown = True
            elif best is None or sign * raw > sign * best:
                best = raw
                number = index + 1
        if unknown:
            word = pack.at(row)
            word_at = pack.at(row_at)
            if word is None or best is None:
                return word, word_at
            is_known = word_at is not None and word_at <= pack.count(many) and pack.at(many, word_at - 1) is not None
            if not is_known and sign * word > sign * best:
                return word, word_at
        return best, number


def _fits(current, mode):
    """Whether a current flows the way a mode says, 0 A when it says idle."""
    return (current > 0) - (current < 0) == (0, 1, -1)[mode]


def _is_fast(party):
    for row in party:
        if row.role == MAIN and row.slots == 1:
            return True
    return False


def _is_edge(raw, said, high, low):
    """Whether a cell, known before and now, is an extreme one, or would be one as it is told."""
    if high is not None and (raw == high or said >= high):
        return True
    return low is not None and (raw == low or said <= low)


class EachValue:
    """Every reading on a topic of its own, for those who do not read JSON: what differs from what was told there last.

    `repeats`: and each again within a minute, one by one, as nothing is retained for who comes later; and what may still be
    retained there is cleared before the first time.
    """

    def __init__(self, readings, repeats):
        self._readings = readings
        self._told = [_UNCLEARED if repeats else _UNTOLD] * sum(row.slots for row in READINGS)
        self._repeats = repeats
        self.begin(0)

    def begin(self, now):
        """Everything is to be told again."""
        for position in range(len(self._told)):
            if self._told[position] is not _UNCLEARED:
                self._told[position] = _UNTOLD
        self._row = self._index = self._position = 0  # which one is looked at next; and of `_told`, the first of its row
        self._left = 0  # rows to be looked at until all is told
        self._changes = None
        self._again_row = self._again_index = 0  # which one is said again next
        self._again_due = now
        self._again_ms = REPEAT_MS // len(self._told)

    def poll(self, now):
        """(key, text) of the next reading to be told; None when there is none now.

        The text is "" for one that is not known, and None where what is retained is to be cleared.
        """
        if self._changes != self._readings.changes:
            self._changes = self._readings.changes
            self._left = len(READINGS) + 1  # once round, and the rest of the row where we are
        for _ in range(min(self._left, LOOK_AT)):
            row = READINGS[self._row]
            for index in range(self._index, self._count(row)):
                raw = self._readings.at(row, index)
                if self._told[self._position + index] is _UNCLEARED:
                    self._told[self._position + index] = _UNTOLD
                    self._index = index
                    return key_of(row, index), None
                if raw != self._told[self._position + index]:
                    self._told[self._position + index] = raw
                    self._index = index + 1
                    return key_of(row, index), self._text(row, index, raw)
            self._left -= 1
            self._index = 0
            self._row += 1
            self._position += row.slots
            if self._row == len(READINGS):
                self._row = self._position = 0
        return self._again(now) if self._repeats and not self._left else None

    def _again(self, now):
        """The next one in turn, told before or not."""
        if ticks_diff(now, self._again_due) < 0:
            return None
        row = READINGS[self._again_row]
        while self._again_index >= self._count(row):
            self._again_index = 0
            self._again_row += 1
            if self._again_row == len(READINGS):
                self._again_row = 0
                self._again_ms = REPEAT_MS // sum([self._count(row) for row in READINGS])
            row = READINGS[self._again_row]
        self._again_due = ticks_add(now, self._again_ms)
        index = self._again_index
        self._again_index += 1
        return key_of(row, index), self._text(row, index, self._readings.at(row, index))

    def _count(self, row):
        return 0 if row.kind == BITS else self._readings.count(row)

    def _text(self, row, index, raw):
        if raw is None:
            return ""
        if row.kind == FLAG:
            return "ON" if raw else "OFF"
        return self._readings.text(row, index)
