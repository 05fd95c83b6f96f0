# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The values as last published, and which changes of the live ones are due to be published.

Each change of an entity is a row in Home Assistant's database. So a value is published when it has left its deadband (column
`band` of the table), cells and diagnostic readings less often than the pack unless they have moved far. A value that becomes
unknown or known again is published immediately, zero and the ends of a range whenever the reading is due.

Readings of one group come from one moment and follow the fastest of them: when one is due, all are published. The highest and
the lowest cell (temperature), with number and delta, are those of the cells published.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import COUNTERS
from battery.json import key_of
from battery.pack import Values
from battery.plausibility import fits_mode
from battery.readings import BINARY, BITFIELD, DEADBAND_SHARES, GROUPS, MAIN, NUMBER, READING, READINGS, is_immediate
from battery.spreads import SPREADS, extremes

EXACT_MS = 900000  # everything is published exactly this often, whatever the deadband
IMMEDIATE_BANDS = 10  # deadbands: a change by so many does not wait for the slow interval (30 mV of a cell, 20 °C)
REPEAT_MS = 50000  # within which each single value is repeated where nothing is retained
DISAGREEMENT_MS = 500  # a change of current or mode waits so long for the other one to be read
ONE_RESPONSE_MS = 4000  # cells from different responses are postponed so long
_GROUPS_AT_ONCE = 4  # compared in one step
_ROWS_AT_ONCE = 16  # forgotten in one step
ROWS_PER_PASS = 8  # compared for single values in one tick
_UNPUBLISHED = "unpublished"  # no raw value, and not None
_AGAIN = "again"  # nor in this connection, but in an earlier one
_UNCLEARED = "uncleared"  # nor since the start: a message of an earlier version or setting may still be retained

# Rows that are published together; a derived one lends the others its interval. All other rows are published alone.
_TOGETHER = (
    ("pack_voltage", "current", "power", "mode"),
    ("soc", "remaining_capacity", "remaining_time"),
    COUNTERS,
    ("cell_{}_balancing", "balancing"),
    ("alarm_bits_{}", "problem", "fault_code"),
)


def _groups():
    """Every reading that the BMS sends or the bridge counts, except those of SPREADS, as tuples of those published together."""
    placed = [row.key for spread in SPREADS for row in spread if row]
    groups = [tuple(READING[key] for key in keys) for keys in _TOGETHER]
    for keys in _TOGETHER:
        placed.extend(keys)
    return tuple(groups + [(row,) for row in READINGS if row.derive is None and row.key not in placed])


TOGETHER = _groups()
[_COUNTERS] = [group for group in TOGETHER if READING[COUNTERS[0]] in group]
IMMEDIATE = tuple(group for group in TOGETHER if [row for row in group if row.derive is None and is_immediate(row)])
_IMMEDIATE_READINGS = tuple(
    (row, index)
    for group in IMMEDIATE
    for row in group
    if row.derive is None and is_immediate(row)
    for index in range(row.slots)
)
# requested again and again, but a reading that is published with those that are read once is calculated from them
_OF_ONCE = ("cell_count", "actual_capacity")
_CURRENT = READING["current"]
_MODE = READING["mode"]
_REMAINING_TIME = READING["remaining_time"]


class PublishedValues(Values):
    """The readings as last published, with a topology and a mean current of their own.

    `mean_current`: in mA, from it the times to full and empty follow; in place of that of the Pack's meter.
    """

    def __init__(self, pack):
        super().__init__(dict(pack.topology), self)
        self.mean_current = 0
        self.follow_topology(pack)

    def follow_topology(self, pack):
        """Take over what kind of battery it is, and which rows exist."""
        self.topology.update(pack.topology)
        self.absent = self._unsaid = pack.absent
        self.topology_changes = pack.topology_changes

    def set_mean_current(self, milliamperes):
        """Take over the mean current; True when the remaining time changes with it."""
        if milliamperes == self.mean_current:
            return False
        before = self.at(_REMAINING_TIME)
        self.mean_current = milliamperes
        is_other = self.at(_REMAINING_TIME) != before
        self.changes += is_other
        return is_other


class Deadband:
    """`published`: the values for the JSON; `pack`: the live ones; intervals in ms; `band_percent` scales deadbands."""

    def __init__(self, pack, fast_ms, slow_ms, band_percent):
        self.published = PublishedValues(pack)
        self.once_changes = 0  # of those published values that are read once
        self._pack = pack
        self._fast_ms = fast_ms
        self._slow_ms = slow_ms
        self._band_percent = band_percent
        self._topology_changes = pack.topology_changes
        self._absent = pack.absent  # rows that did not exist when they were forgotten last
        self._incomplete_since = None
        self._disagreeing_since = None
        self._checked_changes = None
        self._postponed = None  # (fast, slow, exact) for which cells and temperatures are due and postponed
        self.begin(0)

    def begin(self, now):
        """Everything is due again: a new connection."""
        self._fast_due = self._slow_due = self._exact_due = now
        self._fast_changes = self._slow_changes = self._immediate_changes = self._gaps = None

    def follow_topology(self):
        """Take over the topology of the live readings; not while a state is being written."""
        if self.published.topology_changes != self._pack.topology_changes:
            self.published.follow_topology(self._pack)

    def begin_all(self, now):
        """Begin to take over every reading as it is now, as `begin_take`."""
        self.begin(now)
        return self.begin_take(now)

    def begin_take(self, now):
        """Begin to take over the values that are due.

        Returns True or False, whether one has changed, when there is nothing more to do; else a generator that takes over a few
        groups in each step and yields that at last. A group, or all cells, are taken over in one step: they are of one moment.
        Nothing is taken over here, so deep in the call stack: a generator's step is called from Publisher.poll.
        """
        if self._topology_changes != self.published.topology_changes:  # which follow the live ones with each new state only
            self._topology_changes = self.published.topology_changes
            return self._take_after_topology(now)
        fast = ticks_diff(now, self._fast_due) >= 0
        # cells share a message with the others, unless their interval is shorter
        slow = (fast or self._slow_ms < self._fast_ms) and ticks_diff(now, self._slow_due) >= 0
        if self.is_disagreeing(now):
            return self._take_immediate(now, True, None)
        is_incomplete = (fast or slow or self._postponed is not None) and self._is_incomplete(now)
        postponed = None
        if not is_incomplete:
            postponed = self._postponed
            self._postponed = None
        if not (fast or slow):
            return self._take_immediate(now, False, postponed)
        return self._take_due(now, fast, slow, is_incomplete, postponed)

    def _take_after_topology(self, now):
        self._take_topology(now)
        yield False
        if self._absent is not self.published.absent:
            self._absent = self.published.absent
            yield from self._forget_absent(now)
        steps = self.begin_take(now)
        if steps is not True and steps is not False:
            for _ in steps:
                yield False
        yield True

    def _forget_absent(self, now):
        """What does not exist any more has no value: others are calculated from it. A generator, see `begin_take`."""
        left = _ROWS_AT_ONCE
        for row in READINGS:
            if not left:
                left = _ROWS_AT_ONCE
                yield False
            left -= 1
            if row.derive is None and not self.published.has(row):
                for index in range(row.slots):
                    self._copy(row, index, None, now)

    def is_disagreeing(self, now):
        """Whether current and mode contradict each other, as they do until both have been read after a change.

        On boards where they always do, this is waited for once.
        """
        pack = self._pack
        if self._checked_changes != pack.changes:
            self._checked_changes = pack.changes
            current = pack.at(_CURRENT)
            mode = pack.at(_MODE)
            if current is None or mode is None or fits_mode(current, mode):
                self._disagreeing_since = None
            elif self._disagreeing_since is None:
                self._disagreeing_since = now
        if self._disagreeing_since is None:
            return False
        elapsed = ticks_diff(now, self._disagreeing_since)
        if 0 <= elapsed < DISAGREEMENT_MS:
            return True
        self._disagreeing_since = ticks_add(now, -DISAGREEMENT_MS)  # ticks wrap
        return False

    def _is_incomplete(self, now):
        """Whether some cells come from another response than the others: a damaged frame, or a step to be confirmed."""
        if self._pack.is_of_one_moment(SPREADS[0][0]) and self._pack.is_of_one_moment(SPREADS[1][0]):
            self._incomplete_since = None
            return False
        if self._incomplete_since is None:
            self._incomplete_since = now
        return ticks_diff(now, self._incomplete_since) < ONE_RESPONSE_MS

    def _take_spreads(self, now, fast, slow, exact):
        changed = False
        for spread in SPREADS:
            changed = self._take_spread(spread, now, fast, slow, exact) or changed
        return changed

    def _take_due(self, now, fast, slow, is_incomplete, postponed):
        pack = self._pack
        exact = fast and ticks_diff(now, self._exact_due) >= 0
        if exact:
            self._exact_due = ticks_add(now, EXACT_MS)
        # Whether anything has changed since rows of this interval were compared: fast and slow ones are compared at different
        # times.
        changed = False
        if fast:
            self._fast_due = ticks_add(now, self._fast_ms)
            changed = self._fast_changes != pack.changes
            self._fast_changes = pack.changes
        if slow:
            self._slow_due = ticks_add(now, self._slow_ms)
            changed = changed or self._slow_changes != pack.changes
            self._slow_changes = pack.changes
        if not (changed or exact):
            if postponed is None and not (fast and pack.energy.mean_current != self.published.mean_current):
                return False
            return self._take_groups((), now, fast, False, False, postponed, False)
        self._immediate_changes = pack.changes
        self._gaps = pack.gaps
        if is_incomplete:
            before = self._postponed or (False, False, False)
            self._postponed = (before[0] or fast, before[1] or slow or exact, before[2] or exact)
        return self._take_groups(TOGETHER, now, fast, slow or exact, exact, postponed, not is_incomplete)

    def _take_topology(self, now):
        """The number of cells or sensors may have changed: those that are gone have no value while their keys remain."""
        is_other = False
        for row in READINGS:
            if row.counted_by is not None:
                is_other = self._copy(READING[row.counted_by], 0, self._pack.at(READING[row.counted_by]), now) or is_other
                for index in range(self._pack.count(row), row.slots):
                    if self.published.held(row.slot + index) is not None:
                        self.published.put(row, index, None, now)
        if not is_other and self._is_incomplete(now):
            self._postponed = (True, True, True)
        else:
            self._take_spreads(now, True, True, True)

    def _take_immediate(self, now, is_disagreeing, postponed):
        """Publish alarms, MOSFETs, mode and what becomes (un)known immediately; the mode not while `is_disagreeing`."""
        pack = self._pack
        groups = ()
        gaps = self._gaps
        if self._immediate_changes != pack.changes:
            self._immediate_changes = None if is_disagreeing else pack.changes  # the mode is due when they agree
            self._gaps = pack.gaps
            if gaps != pack.gaps:
                return self._take_groups(TOGETHER, now, False, False, False, postponed, True, is_disagreeing)
            if self._is_immediate_due():
                groups = IMMEDIATE
        if postponed is None and not groups:
            return False
        return self._take_groups(groups, now, False, False, False, postponed, False, is_disagreeing)

    def _is_immediate_due(self):
        """Whether an alarm, a MOSFET, the mode or the direction of the current has changed: in every pass, so it is short."""
        pack = self._pack
        published = self.published
        for row, index in _IMMEDIATE_READINGS:
            if pack.at(row, index) != published.at(row, index):
                return True
        current = pack.at(_CURRENT)
        return current is not None and self._fits_mode(current) and not self._fits_mode(published.at(_CURRENT) or 0)

    def _take_groups(self, groups, now, fast, slow, exact, postponed, with_spreads, is_disagreeing=False):
        """A generator, see `begin_take`. First cells and temperatures: those `postponed`; `with_spreads`: those due."""
        is_other = postponed is not None and self._take_spreads(now, *postponed)
        if fast:
            is_other = self.published.set_mean_current(self._pack.energy.mean_current) or is_other
        if with_spreads:
            is_other = self._take_spreads(now, fast, slow, exact) or is_other
            yield False
        left = _GROUPS_AT_ONCE
        for group in groups:
            if _MODE in group and (is_disagreeing or self.is_disagreeing(now)):
                # again later: they may have begun to disagree since the first step
                self._immediate_changes = self._fast_changes = None
                continue
            if group is _COUNTERS and self._pack.energy.is_provisional:
                continue
            if not left:
                left = _GROUPS_AT_ONCE
                yield False
            left -= 1
            if exact or self._is_group_due(group, fast, slow):
                is_other = self._take_group(group, now) or is_other
        yield is_other

    def _is_group_due(self, group, fast, slow):
        due = slow or (fast and _is_fast(group))
        for row in group:
            if row.derive is None:
                for index in range(self._pack.count(row)):
                    if self._is_due(row, self._pack.at(row, index), self.published.at(row, index), due, fast):
                        return True
        return False

    def _take_group(self, group, now):
        changed = False
        for row in group:
            if row is _CURRENT:
                self.published.set_mean_current(self._pack.energy.mean_current)
            if row.derive is None:
                for index in range(self._pack.count(row)):
                    changed = self._copy(row, index, self._pack.at(row, index), now) or changed
        return changed

    def _copy(self, row, index, raw, now):
        if raw == self.published.at(row, index):
            return False
        self.published.put(row, index, raw, now)
        if GROUPS[row.group].period_ms is None or row.key in _OF_ONCE:
            self.once_changes += 1
        return True

    def _is_due(self, row, raw, published, due, may_jump):
        """Whether a change is published now. `due`: the row's interval is over; `may_jump`: else by many deadbands."""
        if raw == published:
            return False
        if raw is None or published is None or is_immediate(row):
            return True
        if not due:
            if row is _CURRENT and self._fits_mode(raw) and not self._fits_mode(published):
                return True
            return may_jump and row.kind == NUMBER and self._has_left(row, raw, published, IMMEDIATE_BANDS)
        # zero and the ends of a range are always published
        if row.kind != NUMBER or not raw or raw == row.low or raw == row.high:
            return True
        return self._has_left(row, raw, published, 1)

    def _has_left(self, row, raw, published, bands):
        if row.deadband == 1:  # it has no deadband that could be scaled
            return abs(raw - published) >= bands
        band = row.deadband
        if row.key in DEADBAND_SHARES:
            band = max(band, abs(published) // DEADBAND_SHARES[row.key])
        return 100 * abs(raw - published) >= bands * band * self._band_percent

    def _fits_mode(self, current):
        """Whether a current agrees with the published mode: both are of one moment, but of two responses."""
        mode = self.published.at(_MODE)
        return mode is None or fits_mode(current, mode)

    # cells and temperatures

    def _take_spread(self, spread, now, fast, slow, exact):
        """Take over cells or temperatures with their extremes and delta, all of one moment.

        The extremes are published exactly; of the others those that have left their deadband or would lie outside the extremes.
        """
        many, highest, highest_at, lowest, lowest_at, _ = spread
        high, high_at, low, low_at, unknown = extremes(self._pack, spread)
        if not (exact or self._is_spread_due(spread, high, low, fast, slow)):
            return False
        changed = False
        for index in range(self._pack.count(many)):
            raw = self._pack.held(many.slot + index)
            published = self.published.held(many.slot + index)
            if raw != published and (
                exact or self._is_due(many, raw, published, True, True) or _is_edge(raw, published, high, low)
            ):
                self.published.put(many, index, raw, now)  # no _copy: cells are many, and neither derived nor read once
                changed = True
        if many is SPREADS[0][0]:
            is_reported = high == self._pack.at(highest) and low == self._pack.at(lowest)  # both are of one response
            self.published.note_moment(is_reported or (not unknown and self._pack.is_of_one_moment(many)))
        changed = self._copy(highest, 0, high, now) or changed
        changed = self._copy(highest_at, 0, high_at, now) or changed
        changed = self._copy(lowest, 0, low, now) or changed
        return self._copy(lowest_at, 0, low_at, now) or changed

    def _is_spread_due(self, spread, high, low, fast, slow):
        many, highest, _, lowest, _, difference = spread
        readings = self.published
        published_high = readings.at(highest)
        published_low = readings.at(lowest)
        if self._is_due(highest, high, published_high, slow or (fast and highest.category == MAIN), fast):
            return True
        if self._is_due(lowest, low, published_low, slow or (fast and lowest.category == MAIN), fast):
            return True
        if fast and difference is not None and high is not None and low is not None:
            wider = abs(high - low - published_high + published_low)  # the published ones are known then, too
            if wider and self._has_left(difference, wider, 0, 1):
                return True
        for slot in range(many.slot, many.slot + self._pack.count(many)):
            raw = self._pack.held(slot)
            published = readings.held(slot)
            if raw != published and self._is_due(many, raw, published, slow, fast):
                return True
        return False


def _is_fast(group):
    for row in group:
        if row.category == MAIN and row.slots == 1:
            return True
    return False


def _is_edge(raw, published, high, low):
    """Whether a cell, known before and now, is an extreme or would be one with its published value."""
    if high is not None and (raw == high or published >= high):
        return True
    return low is not None and (raw == low or published <= low)


class SingleValues:
    """Each reading on a topic of its own, for programs that do not read JSON, when it differs from the one published last.

    A reading that does not exist any more is published once, as not known. `repeats`: each is repeated within a minute, as
    nothing is retained for later subscribers, and a message that may still be retained there is cleared first.
    """

    def __init__(self, readings, repeats):
        self._readings = readings
        self._published = [_UNCLEARED if repeats else _UNPUBLISHED] * sum(row.slots for row in READINGS)
        self._repeats = repeats
        self.begin(0)

    def begin(self, now):
        """Everything is due again: a new connection."""
        for position in range(len(self._published)):
            if self._published[position] is not _UNCLEARED and self._published[position] is not _UNPUBLISHED:
                self._published[position] = _AGAIN
        self._row = self._index = self._position = 0  # which one is compared next; and of `_published`, the first of its row
        self._left = 0  # rows to compare until all are published
        self._gone_left = 0  # rows in which to look for readings that do not exist any more
        self._changes = self._topology_changes = None
        self._repeat_row = self._repeat_index = 0  # which one is repeated next
        self._repeat_due = now
        self._repeat_ms = REPEAT_MS // len(self._published)

    def is_behind(self):
        """Whether `poll` has not compared all readings yet."""
        readings = self._readings
        return self._left > 0 or self._changes != readings.changes or self._topology_changes != readings.topology_changes

    def poll(self, now):
        """(key, text) of the next reading to publish; None when there is none now.

        The text is "" for a reading that is not known, and None where a retained message is to be cleared.
        """
        readings = self._readings
        if self._topology_changes != readings.topology_changes:
            self._topology_changes = readings.topology_changes
            self._changes = None
            self._gone_left = len(READINGS) + 1
        if self._changes != readings.changes:
            self._changes = readings.changes
            self._left = len(READINGS) + 1  # one round, and the rest of the current row
        for _ in range(min(self._left, ROWS_PER_PASS)):
            row = READINGS[self._row]
            if self._gone_left:
                key = self._next_gone(row)
                if key is not None:
                    return key, ""
            for index in range(self._index, self._count(row)):
                raw = self._readings.at(row, index)
                if self._published[self._position + index] is _UNCLEARED:
                    self._published[self._position + index] = _UNPUBLISHED
                    self._index = index
                    return key_of(row, index), None
                if raw != self._published[self._position + index]:
                    self._published[self._position + index] = raw
                    self._index = index + 1
                    return key_of(row, index), self._text(row, index, raw)
            self._left -= 1
            self._gone_left = max(0, self._gone_left - 1)
            self._index = 0
            self._row += 1
            self._position += row.slots
            if self._row == len(READINGS):
                self._row = self._position = 0
        return self._repeat_next(now) if self._repeats and not self._left else None

    def _next_gone(self, row):
        """Key of the next reading of this row that was published and does not exist any more; None: there is none."""
        for index in range(self._count(row), row.slots):
            published = self._published[self._position + index]
            if published is not _UNCLEARED and published is not _UNPUBLISHED:
                self._published[self._position + index] = _UNPUBLISHED
                if published is not None:
                    return key_of(row, index)
        return None

    def _repeat_next(self, now):
        """The next one in order, whether it has changed or not."""
        if ticks_diff(now, self._repeat_due) < 0:
            return None
        row = READINGS[self._repeat_row]
        while self._repeat_index >= self._count(row):
            self._repeat_index = 0
            self._repeat_row += 1
            if self._repeat_row == len(READINGS):
                self._repeat_row = 0
                count = sum([self._count(row) for row in READINGS])
                if not count:
                    return None
                self._repeat_ms = REPEAT_MS // count
            row = READINGS[self._repeat_row]
        self._repeat_due = ticks_add(now, self._repeat_ms)
        index = self._repeat_index
        self._repeat_index += 1
        return key_of(row, index), self._text(row, index, self._readings.at(row, index))

    def _count(self, row):
        return 0 if row.kind == BITFIELD else self._readings.count(row)

    def _text(self, row, index, raw):
        if raw is None:
            return ""
        if row.kind == BINARY:
            return "ON" if raw else "OFF"
        return self._readings.text(row, index)
