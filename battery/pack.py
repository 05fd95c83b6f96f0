# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is known of one battery now: one integer a reading, or None. Performs no I/O and has no clock.

A value is accepted only when the BMS sent it and it is plausible, and expires when it is too old: nothing here is ever guessed.
On a clean line a possible value is accepted immediately, unless it jumps (the row's `step`) or contradicts another reading
(`check`): then the next one must confirm it. On a line where frames are damaged one damaged frame in 256 has a right checksum,
so there every change must be confirmed. Measured values are seldom the same twice, so of the last three readings the middle
one is accepted: it was sent, and one glitch alone is never in the middle.
"""

from collections import namedtuple

from adafruit_ticks import ticks_diff

from .alarms import BITFIELDS, FAULT, with_directions_swapped
from .energy import COUNTERS, EnergyMeter
from .polarity import CHANGED, REREAD, TURNED, Polarity
from .readings import (
    BINARY,
    DATE,
    ENUM,
    GROUPS,
    NEEDS,
    NUMBER,
    OPTIONS,
    READING,
    READINGS,
    SLOTS,
    TEXT,
    is_measured,
    is_optional,
    is_plausible,
)
from .text import decimal_text

VOLTAGE = READING["pack_voltage"]
CURRENT = READING["current"]
MODE = READING["mode"]
ALARMS = READING["alarm_bits_{}"]
CELLS = READING["cell_{}_voltage"]
# One of the batteries that are read. number: fixed by UART and board number, 1 to 16 on the first UART, 201 to 216 on the
# second, 301 to 316 on the third; key: in topics and ids, "bms1"; name: of its device in Home Assistant; label: in sentences
# and on the screen, "" where there is only one battery; poller: of daly/poller.py
Battery = namedtuple("Battery", ("number", "key", "name", "label", "pack", "poller"))
# what is requested all the time
_POLLED = tuple(
    [row for row in READINGS if row.derive is None and row.group != "slow" and GROUPS[row.group].period_ms is not None]
)
_COUNTED = tuple([row for row in READINGS if row.counted_by is not None])
TOPOLOGY = ("cell_count", "temperature_count", "battery_code", "software_version", "hardware_version")


class Values:
    """The readings of one battery as they are: the live ones below, or a copy that is published.

    A raw value is the integer before scaling; None: not known now. `topology`: what kind of battery this is, by key of
    TOPOLOGY; `energy`: has `mean_current`, in mA.
    """

    def __init__(self, topology, energy):
        self._raw: list = [None] * SLOTS
        self._read_at = [0] * SLOTS  # ticks of the response each value came with
        self.topology: dict = topology
        # keys of the rows that do not exist, and of those that cannot even be sent; never changed in place; None: not known yet
        self.absent: set | None = None
        self._unsaid: set | None = None
        self.topology_changes = 0
        self.energy = energy
        self.is_delta_known = True  # the highest and the lowest cell were measured together
        self.changes = 0  # grows with every changed value: cheap to compare
        self.gaps = 0  # grows when a value becomes unknown, or known again

    def raw(self, key, number=1):
        """The raw value of a reading; `number` (from 1) picks the cell or sensor. None: not known now."""
        return self.at(READING[key], number - 1)

    def at(self, row, index=0):
        """The same as `raw` for a row of the table and an index from 0."""
        if row.derive is not None:
            return row.derive(self)
        if (row is CURRENT or row is MODE) and self._is_hidden(row):
            return None
        return self._raw[row.slot + index]

    def held(self, slot):
        """The same as `at` for the slot of a cell or a sensor, in short."""
        return self._raw[slot]

    def _is_hidden(self, _row):
        return False

    def read_at(self, key):
        """Tick of the response the value of a reading came with; meaningless while that is not known."""
        return self._read_at[READING[key].slot]

    def count(self, row):
        """How many readings this row stands for in this battery: its cells or sensors as far as known, else its slots.

        0 for a row that does not exist; but a Pack's protocol has to know how many an optional one has before it is read.
        """
        if self._unsaid is not None and row.key in self._unsaid:
            return 0
        return row.slots if row.counted_by is None else self.topology[row.counted_by]

    def has(self, row):
        """Whether this row exists in this battery; True for every row until the BMS has answered."""
        return self.absent is None or row.key not in self.absent

    def note_moment(self, is_one):
        """Whether the highest and the lowest cell were measured together; when not, their delta is not known."""
        if is_one != self.is_delta_known:
            self.is_delta_known = is_one
            self.changes += 1

    def text(self, row, index=0):
        """A reading for people ("53.2", "charging", "on"); None: not known now."""
        raw = self.at(row, index)
        if raw is None or row.kind == TEXT:
            return raw
        if row.kind == ENUM:
            return OPTIONS[row.key][raw]
        if row.kind == BINARY:
            return "on" if raw else "off"
        if row.kind == DATE:
            return f"{2000 + (raw >> 16)}-{raw >> 8 & 0xFF:02d}-{raw & 0xFF:02d}"
        return decimal_text(raw, row.decimals)

    def put(self, row, index, raw, now):
        """Set a reading to `raw`, as it is."""
        slot = row.slot + index
        known = self._raw[slot]
        if known != raw:
            if raw is None or known is None:
                self.gaps += 1
            self._raw[slot] = raw
            self.changes += 1
        self._read_at[slot] = now


class Pack(Values):
    """The live readings of one battery: accepted when plausible and confirmed, forgotten when too old.

    `cell_count`, `temperature_count`: how many there are until the BMS sends it, for boards that never do; 0: wait for it.
    `polarity`: decides which direction is charging; None: a Polarity of its own.
    """

    def __init__(self, cell_count=0, temperature_count=0, polarity=None):
        topology = dict.fromkeys(TOPOLOGY)  # as last read; kept while the BMS is silent
        topology["cell_count"] = cell_count
        topology["temperature_count"] = temperature_count
        super().__init__(topology, EnergyMeter())
        self._counts = (cell_count, temperature_count)
        self._rows: tuple | None = None  # those that the protocol can say; None: it is not known
        self._writes: tuple | None = None
        self._unread: tuple = ()  # rows that exist once they have been read
        self._found: list = []  # rows of which a value has become known in the present response
        self._last: list = [None] * SLOTS  # the reading before, accepted or not
        self._last_at = [0] * SLOTS  # its ticks
        self._before_last: list = [None] * SLOTS
        self._finished_changes = 0  # `changes` when the last response was finished
        self._counts_now = False  # voltage or current came with the present response
        self.polarity = polarity or Polarity()
        self.implausible = 0  # values that were impossible, or had to be confirmed
        self.confirms_at_once = False  # what must be confirmed is requested again at once, so that any value can be
        self.glitches = 0  # jumps that the next reading did not confirm

    def confirm_at_once(self):
        """What must be confirmed is requested again at once from now on."""
        self.confirms_at_once = True

    def select(self, rows, writes=None):
        """A protocol has been found that can say `rows` and write the controls with the keys `writes`; None: all of them.

        Other rows than before are those of another protocol: what was read with that one is forgotten, except the energy.
        Call it before the first response is handed over.
        """
        if rows is not self._rows or writes is not self._writes:
            self._select(rows, writes)

    def _select(self, rows, writes):
        if rows == self._rows and writes == self._writes:
            return
        if self._rows is not None:
            self._forget_battery()
        self._rows = rows
        self._writes = writes
        self._found.clear()
        self._unread = tuple([row for row in rows if is_optional(row)])  # nothing has been read with this protocol yet
        absent = {row.key for row in READINGS}
        for row in rows:
            absent.discard(row.key)
        for row in self._unread:
            absent.add(row.key)
        self._set_absent(absent)
        self.topology_changes += 1
        self._note_gap()

    def _forget_battery(self):
        """Forget also what kind of battery it is."""
        self.forget()
        for key in TOPOLOGY:
            self.topology[key] = None
        self.topology["cell_count"], self.topology["temperature_count"] = self._counts

    def can_write(self, key):
        """Whether the protocol can write the control with this key; True until the BMS has answered."""
        return self._writes is None or key in self._writes

    def awaits(self, row):
        """Whether this row does not exist only because it, or what it is calculated from, has not been read, or never is."""
        return row in self._unread or bool([key for key in NEEDS.get(row.key, ()) if READING[key] in self._unread])

    def _note_found(self):
        """Optional rows that the present response has are read from now on, and exist."""
        found = [row for row in self._found if row in self._unread]
        self._found.clear()
        if not found:
            return
        self._unread = tuple([row for row in self._unread if row not in found])
        absent = set(self.absent or ())
        for row in found:
            absent.discard(row.key)
        self._set_absent(absent)
        self.topology_changes += 1

    def _set_absent(self, absent):
        self.absent = _without_derived(absent)
        awaited = [row.key for row in self._unread]
        self._unsaid = {key for key in self.absent if key not in awaited}

    def _is_hidden(self, row):
        polarity = self.polarity
        if polarity.decides_mode != (row is MODE):
            return False
        return polarity.hides(self._raw[CURRENT.slot], self._raw[MODE.slot])

    def compare_polarity(self):
        """A mode has just been read: compare it with the current. True when both should soon be read again."""
        slot = CURRENT.slot
        result = self.polarity.compare(self._raw[slot], self._raw[MODE.slot], self._read_at[slot])
        self._follow_polarity(result)
        return bool(result & REREAD)

    def restore_polarity(self, kept):
        """Continue with the polarity that was settled before the restart."""
        self._follow_polarity(self.polarity.restore(kept))

    def forget_polarity(self):
        """Another board is read than the one whose polarity was settled."""
        self._follow_polarity(self.polarity.forget())

    def _follow_polarity(self, result):
        if result & TURNED:
            self._turn(MODE if self.polarity.decides_mode else CURRENT)
        if result & (CHANGED | TURNED):
            self._note_gap()

    def _turn(self, row):
        """What is held of the current, or of the mode, is the wrong way round: forget it."""
        slot = row.slot
        self._raw[slot] = self._last[slot] = self._before_last[slot] = None
        self.energy.pause()
        if row is CURRENT:
            for slot in range(ALARMS.slot, ALARMS.slot + BITFIELDS):
                if self._raw[slot] is not None and slot != ALARMS.slot + FAULT - 1:
                    self._raw[slot] = with_directions_swapped(self._raw[slot])
                self._last[slot] = self._before_last[slot] = None

    def _note_gap(self):
        """A value has become unknown, or known again, without having been read."""
        self.changes += 1
        self.gaps += 1

    def sum_of_cells(self):
        """The sum of all cell voltages in mV; None while one is not known."""
        total = 0
        for slot in range(CELLS.slot, CELLS.slot + self.count(CELLS)):
            raw = self._raw[slot]
            if raw is None:
                return None
            total += raw
        return total or None

    def extreme_cells(self):
        """(highest, lowest) cell voltage in mV; (None, None) while one is not known."""
        highest = lowest = None
        for slot in range(CELLS.slot, CELLS.slot + self.count(CELLS)):
            raw = self._raw[slot]
            if raw is None:
                return None, None
            if highest is None or raw > highest:
                highest = raw
            if lowest is None or raw < lowest:
                lowest = raw
        return highest, lowest

    def is_zero(self, row):
        """Whether everything known of a row is zero, or nothing is known."""
        for slot in range(row.slot, row.slot + self.count(row)):
            if self._raw[slot]:
                return False
        return True

    def is_of_one_moment(self, row):
        """Whether all that is known of these cells or sensors came with one response, and none must be confirmed."""
        moment = None
        for slot in range(row.slot, row.slot + self.count(row)):
            if self._raw[slot] is not None:
                if moment is not None and self._read_at[slot] != moment:
                    return False
                moment = self._read_at[slot]
        return True

    # what a protocol hands over, value by value, then `finish`

    def accept(self, row, index, raw, now, doubtful=False):
        """Judge one value of a response; `raw` None: what was sent is no value. False when it must be confirmed.

        `doubtful`: frames are being damaged on this line. An implausible value changes nothing: what was known expires.
        """
        slot = row.slot + index
        is_directed = row is CURRENT or row is MODE
        if row is CURRENT or row is VOLTAGE:
            self._counts_now = True
        if raw is not None and raw == self._raw[slot] and raw == self._last[slot] and not is_directed:
            # as it was twice: all that follows, in short, since most values of a battery at rest are
            self._before_last[slot] = raw
            self._read_at[slot] = self._last_at[slot] = now
            return True
        if not is_plausible(row, raw):
            self.implausible += 1
            return True  # or a sensor that is not there: reading it again would not help
        if is_directed:
            raw = self._in_our_direction(row, raw)
        known = self._raw[slot]
        last = self._last[slot]
        step = row.step
        is_natural = step is None or known is None or -step <= raw - known <= step
        if is_natural and row.check is not None:
            is_natural = not row.check(self, raw)
        if is_natural and not doubtful:
            accepted = True
            if step is not None and known is not None and last is not None and not -step <= last - known <= step:
                self.glitches += 1
        else:
            accepted = self._is_confirmed(row, slot, raw)
        if accepted:
            self.put(row, index, raw, now)
        else:
            self.implausible += 1
            is_jump = not is_natural and last == known  # what would be confirmed is held already: the jump is still to be
            is_changing = row.kind == NUMBER and step is None and not self.confirms_at_once
            accepted = (self._accept_last(row, index, raw) and not is_jump) or is_changing
        self._before_last[slot] = last
        self._last[slot] = raw
        self._last_at[slot] = now
        return accepted

    def accept_together(self, row, values, now, doubtful=False):
        """Judge values of one response that belong together, as alarms do: all of them are accepted, or none."""
        accepted = True
        for index in range(row.slots):
            values[index] = self._in_our_direction(row, values[index], index)
            if doubtful and not self._is_confirmed(row, row.slot + index, values[index]):
                self.implausible += 1
                accepted = False
        for index in range(row.slots):
            if accepted:
                self.put(row, index, values[index], now)
            slot = row.slot + index
            self._before_last[slot] = self._last[slot]
            self._last[slot] = values[index]
            self._last_at[slot] = now
        return accepted

    def finish(self, now):
        """A response has been handed over: what follows from its values."""
        if self.changes != self._finished_changes:
            self._finished_changes = self.changes
            for key in TOPOLOGY:
                self._note_topology(key)
            if self._found:
                self._note_found()
        if self._counts_now:
            self._counts_now = False
            self._count_energy(now)

    def reject(self):
        """A whole response was no answer."""
        self.implausible += 1

    def expire(self, row, before):
        """Forget the readings of one row that were read before the tick `before`."""
        slots = row.slots if row.counted_by is None else self.topology[row.counted_by] or 0
        for slot in range(row.slot, row.slot + slots):
            if self._raw[slot] is not None and ticks_diff(self._read_at[slot], before) < 0:
                self._raw[slot] = None
                self._note_gap()

    def oldest_ms(self, now):
        """Age of the oldest reading that is held, of those that are requested all the time; 0 without any."""
        oldest = 0
        raw = self._raw
        read_at = self._read_at
        last_at = None
        for row in _POLLED:
            for slot in range(row.slot, row.slot + self.count(row)):
                if read_at[slot] != last_at and raw[slot] is not None:
                    last_at = read_at[slot]
                    oldest = max(oldest, ticks_diff(now, last_at))
        return oldest

    def forget(self):
        """Forget every value; the topology stays."""
        for slot in range(SLOTS):
            self._raw[slot] = self._last[slot] = self._before_last[slot] = None
        self.energy.pause()
        self._note_gap()

    def _in_our_direction(self, row, raw, index=0):
        """A value of a board that counts the other way round, as it is with us."""
        polarity = self.polarity
        if row is CURRENT and polarity.current_inverted:
            return -raw
        if row is MODE and polarity.mode_inverted and raw:
            return 3 - raw  # 1 is charging, 2 discharging
        if row is ALARMS and polarity.current_inverted and index != FAULT - 1:
            return with_directions_swapped(raw)
        return raw

    def _is_confirmed(self, row, slot, raw):
        """Whether a value was read before, or is the middle one of the last three readings."""
        known = self._raw[slot]
        last = self._last[slot]
        before = self._before_last[slot]
        if raw == known or raw == last or raw == before:  # `before`: what alternates between two values is followed
            return True
        if last is None or not is_measured(row):
            return False
        if known is None:
            return abs(raw - last) <= row.step
        if before is None:
            before = known
        return abs(raw - known) <= 1 or before < raw < last or last < raw < before  # 1: natural noise of the last digit

    def _accept_last(self, row, index, raw):
        """Where the reading before is the middle one of the last three, it is confirmed now."""
        slot = row.slot + index
        last = self._last[slot]
        before = self._before_last[slot]
        if before is None:
            before = self._raw[slot]
        if before is None or last is None or not is_measured(row) or not (before < last < raw or raw < last < before):
            return False
        self.put(row, index, last, self._last_at[slot])
        return True

    def put(self, row, index, raw, now):
        """Set a reading to `raw`, as it is; where nothing was known, the row has been found."""
        if self._raw[row.slot + index] is None and (not self._found or self._found[-1] is not row) and raw is not None:
            self._found.append(row)
        super().put(row, index, raw, now)

    def release_counters(self):
        """The energy counters are no longer provisional: they are published at once, as what becomes known."""
        self.energy.release()
        self.gaps += 1
        self.changes += 1

    def _count_energy(self, now):
        voltage = self._raw[VOLTAGE.slot]
        current = self.at(CURRENT)
        if voltage is None or current is None:
            self.energy.pause()
        else:
            self.energy.take(voltage * current, current, now)  # `power`, in short: three calls less on the stack
        for key in COUNTERS:
            self.put(READING[key], 0, self.energy.total(key), now)

    def _note_topology(self, key):
        value = self._raw[READING[key].slot]  # as `raw`, in short
        if value is None or value == self.topology[key]:
            return
        self.topology[key] = value
        self.topology_changes += 1
        for row in _COUNTED:
            if row.counted_by == key:
                for slot in range(row.slot + value, row.slot + row.slots):
                    self._raw[slot] = None


def _without_derived(absent):
    """`absent` without the rows that are calculated from rows which exist."""
    is_final = False
    while not is_final:
        is_final = True
        for key in NEEDS:
            if key in absent and not [source for source in NEEDS[key] if source in absent]:
                absent.remove(key)
                is_final = False
    return absent
