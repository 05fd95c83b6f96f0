"""What is known of the battery right now: one integer a reading, or None. Performs no I/O and has no clock.

A value gets in only when the BMS said it and it is believed, and leaves when it is too old: nothing here is ever guessed.
On a clean line a possible value is believed at once, unless it jumps (the table's `jump`) or contradicts another reading
(`doubt`): then it must be said again. On a line where frames are damaged one damaged frame in 256 has a right sum, so there
every change must be said again. Measured values are seldom the same twice, so of the last three readings the middle one is
believed: it is one that was said, and one slip alone is never in the middle.
"""

from adafruit_ticks import ticks_diff

from .energy import COUNTERS, EnergyMeter
from .plausibility import against_mode
from .readings import BITS, CHOICE, DATE, FLAG, NUMBER, READING, READINGS, REGISTERS, SLOTS, TEXT
from .text import decimal_text

ENERGY_COMMAND = 0x90  # voltage and current of one moment
CURRENT = READING["current"]
MODE = READING["mode"]
IDENTITY = ("battery_code", "software_version", "hardware_version")
# An all-zero answer is right when nothing balances or no alarm is active, and is what a confused board says to everything.
# Where it would change something it must be said so often in a row.
ZERO_ANSWERS = 4


class Pack:
    """The readings of one battery. `raw` is the integer before scaling; None: not known now.

    `cell_count`, `temperature_count`: how many there are until the BMS says it, for boards that never do; 0: wait for it.
    """

    def __init__(self, cell_count=0, temperature_count=0):
        self._raw: list = [None] * SLOTS
        self._heard: list = [None] * SLOTS  # the reading before, believed or not
        self._heard_at = [0] * SLOTS  # its ticks
        self._heard_before: list = [None] * SLOTS  # the one before that
        self._seen = [0] * SLOTS  # ticks of the answer each value came with
        self._says_zeros: bool | None = None  # the last answer that cannot be all zero was; None: there was none yet
        self._zeros = 0  # all-zero answers in a row to the register `_zero_command`
        self._zero_command = None
        # Which way is charging on this board, decided in sign.py: is the current the other way round, is the mode?
        self.inverted = False
        self.mode_inverted = False
        self.sign_row = CURRENT  # which of the two is decided, the other is taken as it is said
        self.sign_settled = True  # until then that one is unknown where it contradicts the other, however little flows
        self.contradicted = False  # they have contradicted each other for a while: it is unknown
        # what kind of battery this is, as last said; kept while the BMS is silent
        self.layout: dict = {"cell_count": cell_count, "temperature_count": temperature_count}
        for key in IDENTITY:
            self.layout[key] = None
        self.layout_changes = 0
        self.energy = EnergyMeter()
        self.rejected = 0  # values that were impossible, or not believed at once
        self.retracted = 0  # jumps that were not there any more in the next reading
        self.changes = 0  # grows with every changed value: cheap to compare
        self.gaps = 0  # grows when a value becomes unknown, or known again

    def raw(self, key, number=1):
        """The raw value of a reading; `number` (from 1) picks the cell or sensor. None: not known now."""
        return self.at(READING[key], number - 1)

    def at(self, row, index=0):
        """The same as `raw` for a row of the table and an index from 0."""
        if row.derive is not None:
            return row.derive(self)
        if row is self.sign_row and (self.contradicted or not self.sign_settled) and self._is_contradicted():
            return None
        return self._raw[row.slot + index]

    def said_at(self, key):
        """Tick of the answer the value of a reading came with; meaningless while that is not known."""
        return self._seen[READING[key].slot]

    def _is_contradicted(self):
        return self.contradicted or against_mode(self.measured_current or 0, self.measured_mode)

    @property
    def measured_current(self):
        """The current with the sign assumed at the moment, also while that is not settled; None: not known."""
        return self._raw[CURRENT.slot]

    @property
    def measured_mode(self):
        """The mode as assumed at the moment, likewise."""
        return self._raw[MODE.slot]

    def turn(self, row):
        """What is read of the current, or of the mode, has been the wrong way round: forget it, and turn it from now on."""
        if row is CURRENT:
            self.inverted = not self.inverted
        else:
            self.mode_inverted = not self.mode_inverted
        self._raw[row.slot] = self._heard[row.slot] = self._heard_before[row.slot] = None
        self.energy.pause()
        self.note_gap()

    def note_gap(self):
        """A value has become unknown, or known again, without having been read."""
        self.changes += 1
        self.gaps += 1

    def count(self, row):
        """How many readings this row stands for in this battery: its cells or sensors as far as known, else its slots."""
        return row.slots if row.counted_by is None else self.layout[row.counted_by]

    def frames_of(self, register):
        """How many frames a register's answer must have; 0 while the number of cells or sensors is not known."""
        if register.frames == 1:
            return 1
        row = register.readings[0]
        return (self.count(row) * row.size + register.width - 1) // register.width

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

    def sum_of_cells(self):
        """The sum of all cell voltages in mV; None while one is not known."""
        row = READING["cell_{}_voltage"]
        total = 0
        for index in range(self.count(row)):
            raw = self._raw[row.slot + index]
            if raw is None:
                return None
            total += raw
        return total or None

    def extreme_cells(self):
        """(highest, lowest) cell voltage in mV; (None, None) while one is not known."""
        row = READING["cell_{}_voltage"]
        highest = lowest = None
        for index in range(self.count(row)):
            raw = self._raw[row.slot + index]
            if raw is None:
                return None, None
            if highest is None or raw > highest:
                highest = raw
            if lowest is None or raw < lowest:
                lowest = raw
        return highest, lowest

    def take(self, register, payload, frames, now, noisy=False):
        """Believe what an answer says: True, False when something must be said again to be believed, None: it is no answer.

        `frames` has bit i set when frame i (from 0) of the answer is there; `noisy`: frames are being damaged on this line.
        An impossible value changes nothing, and what was known before ages away; the others of its answer speak for themselves.
        But a measurement that stands first vouches for what stands beside it: 0 V, -3000 A must not leave its 0 % behind, nor a
        sensor that is not there its number.
        """
        is_answer = (
            self._is_answer(register, payload) if register.frames == 1 else self._says_anything(register, payload, frames)
        )
        if not is_answer:
            self.rejected += 1
            return None
        believed = True
        for row in register.readings:
            if row.kind == BITS:
                believed = self._take_bits(row, payload, now, noisy) and believed
            elif row.size:
                for index in range(self.count(row)):
                    if _is_there(register, row, index, frames):
                        believed = self._take_value(row, index, payload, now, noisy) and believed
        for key in self.layout:
            self._lay_out(key)
        if register.command == ENERGY_COMMAND:
            self._count_energy(now)
        return believed

    def is_of_one_moment(self, row):
        """Whether all that is known of these cells or sensors came with one answer, and none must be said again."""
        seen = None
        for slot in range(row.slot, row.slot + self.count(row)):
            if self._raw[slot] is not None:
                if seen is not None and self._seen[slot] != seen:
                    return False
                seen = self._seen[slot]
        return True

    def expire(self, register, before):
        """Forget the readings of one register that were said before the tick `before`."""
        for row in register.readings:
            if row.derive is None:
                for slot in range(row.slot, row.slot + row.slots):
                    if self._raw[slot] is not None and ticks_diff(self._seen[slot], before) < 0:
                        self._raw[slot] = None
                        self.changes += 1
                        self.gaps += 1

    def oldest_ms(self, now):
        """Age of the oldest reading that is still held, of those that are asked for again and again; 0 without any."""
        oldest = 0
        for register in REGISTERS:
            for row in register.readings if register.period_ms is not None else ():
                if row.derive is None:
                    for slot in range(row.slot, row.slot + row.slots):
                        if self._raw[slot] is not None:
                            oldest = max(oldest, ticks_diff(now, self._seen[slot]))
        return oldest

    def forget(self):
        """Forget every value; the number of cells and sensors stays as the layout."""
        for slot in range(SLOTS):
            self._raw[slot] = self._heard[slot] = self._heard_before[slot] = None
        self._says_zeros = True  # a board that wakes may say zeros at first, and alarms that are over would be believed
        self.energy.pause()
        self.note_gap()

    def _is_answer(self, register, payload):
        """Whether an answer of one frame may be one at all, judged by its first reading and by being all zero."""
        first = _first_row(register)
        if not _is_filled(payload, 0, 8, 0):
            if self._zero_command == register.command:
                self._zeros = 0
            possible = _decode(first, payload, 0) is not None
            if possible and not _may_be_zero(first):
                self._says_zeros = False
            # only FF is empty memory, not every alarm at once
            return possible if _is_measured(first) else not _is_filled(payload, 0, 8, 0xFF)
        if register.period_ms is None:
            return False
        if not _may_be_zero(first):
            self._says_zeros = True
            return False
        if first.kind == CHOICE and self._says_zeros is None:
            return False  # idle, empty and off, before any voltage was said: rather a board that says zeros to everything
        return not self._says_zeros and (self._is_zero(register) or self._insists(register))

    def _says_anything(self, register, payload, frames):
        """Whether an answer of several frames has a text or one possible value: a confused board may number its zeros.

        Zeros beside what is not zero are readings: a dead cell has 0 V.
        """
        for row in register.readings:
            for index in range(self.count(row)):
                if row.kind == TEXT:
                    return True
                is_possible = _is_there(register, row, index, frames) and _decode(row, payload, index) is not None
                if is_possible and not _is_filled(payload, row.offset + index * row.size, row.size, 0):
                    return True
        return False

    def _insists(self, register):
        """Whether an all-zero answer that changes something has been given often enough in a row."""
        if self._zero_command != register.command:
            self._zero_command = register.command
            self._zeros = 0
        self._zeros += 1
        return self._zeros >= ZERO_ANSWERS

    def _is_zero(self, register):
        """Whether everything known of a register is zero already (or it was never heard)."""
        for row in register.readings:
            if row.size:
                for index in range(self.count(row)):
                    if self._raw[row.slot + index]:
                        return False
        return True

    def _take_value(self, row, index, payload, now, noisy):
        """Decode one value and keep what is to be believed now; False when it must be said again to be believed."""
        raw = _decode(row, payload, index)
        if raw is None:
            self.rejected += 1
            return True  # impossible, or a sensor that is not there: hearing it again would not help
        if self.inverted and row is CURRENT:
            raw = -raw
        elif self.mode_inverted and row is MODE and raw:
            raw = 3 - raw  # 1 is charging, 2 discharging
        slot = row.slot + index
        trusted = not noisy and not self._jumps(row, slot, raw) and (row.doubt is None or not row.doubt(self, raw))
        if trusted and self._jumps(row, slot, self._heard[slot]):
            self.retracted += 1
        believed = trusted or self._is_confirmed(row, slot, raw)
        if believed:
            self.put(row, index, raw, now)
        else:
            self.rejected += 1
            believed = self._believe_earlier(row, index, raw) or (row.kind == NUMBER and row.jump is None)
        self._heard_before[slot] = self._heard[slot]
        self._heard[slot] = raw
        self._heard_at[slot] = now
        return believed

    def _take_bits(self, row, payload, now, noisy):
        """The alarm bytes of one answer belong together: all of them are believed, or none."""
        believed = True
        for index in range(row.slots):
            slot = row.slot + index
            raw = _decode(row, payload, index)
            if noisy and not self._is_confirmed(row, slot, raw):
                self.rejected += 1
                believed = False
        for index in range(row.slots):
            slot = row.slot + index
            raw = _decode(row, payload, index)
            if believed:
                self.put(row, index, raw, now)
            self._heard_before[slot] = self._heard[slot]
            self._heard[slot] = raw
            self._heard_at[slot] = now
        return believed

    def _jumps(self, row, slot, raw):
        """Whether a value is further from what is known than a pack changes from one reading to the next."""
        known = self._raw[slot]
        return known is not None and raw is not None and row.jump is not None and abs(raw - known) > row.jump

    def _is_confirmed(self, row, slot, raw):
        """Whether a value was said before, or is the middle one of the last three readings."""
        known = self._raw[slot]
        heard = self._heard[slot]
        before = self._heard_before[slot]
        if raw == known or raw == heard or raw == before:  # `before`: what alternates between two values is followed
            return raw is not None
        if heard is None or not _is_measured(row):
            return False
        if known is None:
            return abs(raw - heard) <= row.jump
        if before is None:
            before = known
        return abs(raw - known) <= 1 or before < raw < heard or heard < raw < before  # 1: the last digit's natural play

    def _believe_earlier(self, row, index, raw):
        """Where the reading before is the middle one of the last three, it is confirmed now."""
        slot = row.slot + index
        heard = self._heard[slot]
        before = self._heard_before[slot]
        if before is None:
            before = self._raw[slot]
        if before is None or heard is None or not _is_measured(row) or not (before < heard < raw or raw < heard < before):
            return False
        self.put(row, index, heard, self._heard_at[slot])
        return True

    def _count_energy(self, now):
        power = self.raw("power")
        if power is None:
            self.energy.pause()
        else:
            self.energy.take(power, self.raw("current"), now)
        for key in COUNTERS:
            self.put(READING[key], 0, self.energy.total(key), now)

    def put(self, row, index, raw, now):
        """Set a reading to `raw`, as it is."""
        slot = row.slot + index
        if self._raw[slot] != raw:
            self.gaps += raw is None or self._raw[slot] is None
            self._raw[slot] = raw
            self.changes += 1
        self._seen[slot] = now

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


def _is_measured(row):
    """Whether readings have a natural play, so that two are seldom the same."""
    return row.kind == NUMBER and row.jump


def _may_be_zero(row):
    """Whether an answer that begins with this reading may be all zero: no alarm, nothing balancing; idle, empty and off."""
    return row.kind != NUMBER and row.kind != DATE


def _first_row(register):
    for row in register.readings:
        if row.size:
            return row
    return None


def _is_filled(payload, begin, count, byte):
    """Whether so many bytes are all the same."""
    for i in range(begin, begin + count):
        if payload[i] != byte:
            return False
    return True


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
