# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What a rule can name, each with its value now: a reading of a battery or the bank, a value of a sensor, the time of day; and
the tests that compare them.
"""

from battery.readings import BINARY, ENUM, NUMBER, OPTIONS, READING, TEXT
from battery.text import decimal_text

TIME = 6  # minutes since midnight
CELLS = READING["cell_{}_voltage"]
SENSORS = READING["temperature_{}"]
# Published are the extremes of the cells and sensors themselves, so these are what a rule means: key -> (those, sign); 1: the
# highest, -1: the lowest, 0: the difference of both
EXTREMES = {
    "max_cell_voltage": (CELLS, 1),
    "min_cell_voltage": (CELLS, -1),
    "cell_voltage_delta": (CELLS, 0),
    "max_temperature": (SENSORS, 1),
    "min_temperature": (SENSORS, -1),
}
_LARGER = (("mV", "V"), ("mA", "A"), ("W", "kW"), ("Wh", "kWh"), ("mAh", "Ah"))  # each 1000 of the one before it


def shift(unit, written):
    """By how many decimals more a number with the unit `written` has when it is in `unit`: 3 for mV where V is meant.

    None: it is another unit, or there is none. Letters may be large or small, and ° may be left out.
    """
    unit = _plain(unit)
    written = _plain(written)
    if written == unit:
        return 0
    for small, large in _LARGER:
        if (written, unit) == (small.lower(), large.lower()):
            return 3
        if (written, unit) == (large.lower(), small.lower()):
            return -3
    return None


def _plain(unit):
    return (unit or "").replace("°", "").lower()


def word_of(name):
    """A name as it is written in a rule, where it is one word: "Hot water" is hot_water."""
    return name.strip().lower().replace(" ", "_")


class Value:
    """`name`: as the rule has it. `kind`: NUMBER, BINARY, ENUM or TEXT of battery/readings.py, or TIME; `decimals`: the value
    is raw / 10**decimals; `unit`: "" for none. All three are None while a sensor has not named the value yet.

    `seen`: raw() when Outputs looked last; `users`: which outputs name it, a bit each. `is_calculated`: raw() has to look at
    many readings.
    """

    is_calculated = False

    def __init__(self, name, kind=None, decimals=None, unit=None):
        self.name = name
        self.seen = None
        self.users = 0
        self.kind = kind
        self.decimals = decimals
        self.unit = unit

    def bind(self, batteries, bank, minutes):
        """The parts that it comes from have been made: the Battery tuples, their Bank (None: there is one battery), and a
        function that returns the minutes since midnight, or None.
        """

    def add_user(self, bit):
        """An output names it."""
        self.users |= bit

    def look(self):
        """Whether it is another one than at the last look."""
        raw = self.raw()
        is_other = raw != self.seen
        self.seen = raw
        return is_other

    def raw(self):
        """The value now: an integer, or a str for the words of a sensor; None: it is not known. Allocates next to nothing."""

    def exists(self):
        """False: this BMS has no such reading, or no sensor has named the value yet."""
        return True

    def words(self):
        """Those of a BINARY or an ENUM, by their raw values."""
        return ("off", "on")

    def raw_of(self, word):
        """The raw value that a word in a rule means, in large or small letters; None: there is none."""
        words = [each.lower() for each in self.words()]
        return words.index(word.lower()) if word.lower() in words else None

    def text(self, raw):
        """A raw value as it stands in a sentence: "42.0 %", "charging", "07:12"."""
        if self.kind == TIME:
            return f"{raw // 60:02d}:{raw % 60:02d}"
        if self.kind == NUMBER:
            return decimal_text(raw, self.decimals) + (" " + self.unit if self.unit else "")
        return raw if isinstance(raw, str) else self.words()[raw]


class Reading(Value):
    """A reading of the battery with the key `battery` ("bms1"): `row` of battery/readings.py, `index` of the cell or sensor."""

    def __init__(self, name, battery, row, index, unit):
        Value.__init__(self, name, row.kind, row.decimals, unit)
        self._key = battery
        self._row = row
        self._index = index
        self._poller = self._pack = None
        # What is calculated is so only after a change: 48 cells, or all alarms, are not looked at for nothing
        self.is_calculated = row.derive is not None
        self._changes = self._value = None

    def bind(self, batteries, bank, minutes):
        """See Value."""
        self._changes = None
        for battery in batteries:
            if battery.key == self._key:
                self._poller = battery.poller
                self._pack = battery.pack

    def raw(self):
        """See Value."""
        pack = self._pack
        if pack is None or not self._poller.online:
            return None
        if not self.is_calculated:
            return pack.at(self._row, self._index)
        if pack.changes != self._changes:
            self._changes = pack.changes
            self._value = self._calculated()
        return self._value

    def exists(self):
        """See Value."""
        pack = self._pack
        if pack is None or pack.absent is None:
            return True  # the BMS has not responded yet
        count = pack.count(self._row)
        return pack.has(self._row) and (not count or self._index < count)

    def words(self):
        """See Value."""
        return OPTIONS[self._row.key] if self.kind == ENUM else ("off", "on")

    def _calculated(self):
        return self._pack.at(self._row)


class Span:
    """The highest and the lowest of all cells or sensors of a battery: looked for once after each change, for all rules.

    `row`: of these cells or sensors. `high` and `low` are None while one of them is not known.
    """

    def __init__(self, row):
        self.row = row
        self.high = self.low = None
        self._changes = None

    def look(self, pack):
        """See what they are now."""
        if pack.changes == self._changes:
            return
        self._changes = pack.changes
        high = low = None
        held = pack.held
        for slot in range(self.row.slot, self.row.slot + (pack.count(self.row) or 0)):
            raw = held(slot)
            if raw is None:
                high = low = None
                break
            if high is None:
                high = low = raw
            elif raw > high:
                high = raw
            elif raw < low:
                low = raw
        self.high = high
        self.low = low


class Extreme(Reading):
    """The highest or lowest cell or sensor, or the difference: of them all while each is known, else as the BMS reports it.

    `span`: of all of them.
    """

    def __init__(self, name, battery, row, unit, span):
        Reading.__init__(self, name, battery, row, 0, unit)
        self._sign = EXTREMES[row.key][1]
        self._span = span
        self.is_calculated = True

    def exists(self):
        """See Value."""
        return Reading.exists(self) or self._pack.has(self._span.row)

    def _calculated(self):
        pack = self._pack
        span = self._span
        span.look(pack)
        if span.high is None or (self._sign == 0 and not pack.is_of_one_moment(span.row)):  # as no battery may ever have been
            return pack.at(self._row)
        if self._sign == 0:
            return span.high - span.low
        return span.high if self._sign > 0 else span.low


class OfBank(Value):
    """A value of all batteries together: `row` of a reading that is in KEYS of battery/bank.py, too."""

    is_calculated = True

    def __init__(self, name, row, unit):
        Value.__init__(self, name, row.kind, row.decimals, unit)
        self._key = row.key
        self._bank = None

    def bind(self, batteries, bank, minutes):
        """See Value."""
        self._bank = bank

    def raw(self):
        """See Value."""
        return None if self._bank is None else self._bank.raw(self._key)


class TimeOfDay(Value):
    """The time of day, in minutes."""

    def __init__(self):
        Value.__init__(self, "time", TIME, 0, "")
        self._minutes = None

    def bind(self, batteries, bank, minutes):
        """See Value."""
        self._minutes = minutes

    def raw(self):
        """See Value."""
        return None if self._minutes is None else self._minutes()


class OfSource(Value):
    """A value of a source (battery/sources.py) whose row has this key or name; it may be found long after the start."""

    def __init__(self, name, source, key):
        Value.__init__(self, name)
        self._source = source
        self._key = key.lower()
        self._row = None
        self._rows = 0  # how many have been looked at
        self._find()

    def raw(self):
        """See Value."""
        if self._row is None and len(self._source.rows) != self._rows:
            self._find()
        return None if self._row is None else self._source.raw(self._row.key)

    def exists(self):
        """See Value."""
        return self._row is not None

    def words(self):
        """See Value."""
        return self._row.options if self.kind == ENUM else ("off", "on")

    def raw_of(self, word):
        """See Value."""
        if self.kind == TEXT:
            return word
        index = Value.raw_of(self, word)
        return index if index is None or self.kind == BINARY else self.words()[index]

    def _find(self):
        rows = self._source.rows
        self._rows = len(rows)
        for row in rows:
            if self._key in (row.key.lower(), word_of(row.name)):
                self._row = row
                self.kind = row.kind
                self.decimals = row.decimals
                self.unit = row.unit
                return


# How a test compares
ABOVE = 0
AT_LEAST = 1
BELOW = 2
AT_MOST = 3
IS = 4
IS_NOT = 5
_WORDS = ("above ", "at least ", "below ", "at most ", "", "not ")
_NEGATED = ("not above ", "below ", "not below ", "above ", "not ", "")


class Test:
    """A value compared with a number or a word.

    `how`: one of the above; `number`: (digits, decimals) with the unit `unit`, or None; `word`: as written, of a number, too.
    """

    def __init__(self, value, how, number, unit, word):
        self.value = value
        self.seen = None  # the raw value of the last holds()
        self._how = how
        self._number = number
        self._unit = unit
        self._word = word
        self._how_raw = None  # as `_how`, of raw values: never AT_LEAST or AT_MOST; None: not calculated yet
        self._limit = None

    def holds(self):
        """Whether it is so now; None: the value is not known. Allocates nothing."""
        raw = self.value.raw()
        self.seen = raw
        if raw is None:
            return None
        how = self._how_raw
        if how is None:
            how = self._settle()
        limit = self._limit
        if limit is None:
            return None  # of a sensor: it turned out to be no such number or word
        if how == ABOVE:
            return raw > limit
        if how == BELOW:
            return raw < limit
        return (raw == limit) == (how == IS)

    def can_hold(self):
        """Whether a value that is known already can be compared with this at all."""
        if self.value.kind is not None:
            self._settle()
        return self.value.kind is None or self._limit is not None

    def text(self, result):
        """It in words, as holds() found it: "soc 42.0 % is below 60"; `result`: what that was."""
        value = self.value
        if result is None and self.seen is not None:
            return f"{value.name} cannot be compared with {self._word}"  # of a sensor: it turned out to be something else
        if result is None:
            return value.name + " is unknown" if value.exists() else "there is no " + value.name
        words = (_WORDS if result else _NEGATED)[self._how]
        if value.kind != NUMBER and value.kind != TIME:  # what it is says all
            return value.name + " is " + value.text(self.seen)
        if value.kind == TIME:
            return (
                "time is " + words.replace("above", "after").replace("below", "before") + self._word
            )  # it changes all the time
        return f"{value.name} {value.text(self.seen)} is {words}{self._word}"

    def _settle(self):
        """Calculate what raw values are compared with, now that the value's kind and decimals are known."""
        value = self.value
        how = self._how
        self._limit = None
        if value.kind != NUMBER and value.kind != TIME:
            if how in (IS, IS_NOT):
                self._limit = value.raw_of(self._word)
        elif self._number is not None:
            digits, decimals = self._number
            moved = shift(value.unit, self._unit) if self._unit else 0
            if moved is not None:
                how, self._limit = _scaled(how, digits, value.decimals - decimals - moved)
        self._how_raw = how
        return how


def _scaled(how, digits, places):
    """(how, limit) for integers of a number of `digits`, moved by so many decimal places; limit None: it is never equal."""
    if places >= 0:
        limit = digits * 10**places
        exact = True
    else:
        divisor = 10**-places
        limit = digits // divisor  # the next integer below
        exact = limit * divisor == digits
    if how == ABOVE or (how == AT_LEAST and not exact):
        return ABOVE, limit
    if how == AT_LEAST:
        return ABOVE, limit - 1
    if how == AT_MOST or (how == BELOW and not exact):
        return BELOW, limit + 1
    if how == BELOW:
        return BELOW, limit
    return how, (limit if exact else None)
