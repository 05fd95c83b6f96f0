# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads the rule of an output: what a person has written becomes a Rule, or a sentence on the first mistake with its column.

    [Name:] PIN on when TEST [and|or TEST]... [off when TEST [and|or TEST]...] [, OPTION]...

Loaded at the start and forgotten afterwards: what remains are the objects of output.py and values.py.
"""

from battery.minute import minute_of
from battery.readings import BINARY, BITFIELD, ENUM, NUMBER, READING, READINGS

from .output import IGNORE, KEEP, OFF, ON, Condition, Rule
from .values import (
    ABOVE,
    AT_LEAST,
    AT_MOST,
    BELOW,
    EXTREMES,
    IS,
    IS_NOT,
    TIME,
    Extreme,
    OfBank,
    OfSource,
    Reading,
    Span,
    Test,
    TimeOfDay,
    shift,
    word_of,
)

MOST_NAME = 40
MOST_TESTS = 4  # in one condition
LONGEST_S = 7 * 86400
ID_LENGTH = 14  # of a thermometer, as sensors/ds18b20.py has it
LEAST_S = 10  # on and off for at least
GRACE_S = 60
EXAMPLE = "IO5 on when soc > 80 off when soc < 60"
_DIGITS = "0123456789"
_SIGNS = (">", ">=", "<", "<=", "=", "!=", "is")
_HOW = (ABOVE, AT_LEAST, BELOW, AT_MOST, IS, IS_NOT, IS)
_MEANT = {"==": "=", "=>": ">=", "=<": "<=", "<>": "!=", "≥": ">=", "≤": "<=", "≠": "!="}
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_DONE = {"on": ON, "off": OFF, "keep": KEEP, "ignore": IGNORE}
# what a value of a sensor begins with -> key of its source, setting that there must be
SOURCES = {
    "ds18b20": ("temperatures", "DS18B20_PIN"),
    "vedirect1": ("vedirect1", "VEDIRECT_1_RX"),
    "vedirect2": ("vedirect2", "VEDIRECT_2_RX"),
    "supply": ("supply", "SUPPLY_PIN"),
}


class Names:
    """Finds what a rule names.

    `batteries`: their keys, "bms1" first; `sources`: the sensors; `unit_of(row)`: the unit of a reading, None for none;
    `nearest(name, names)`: the name that is most like another one, None where none is; `values_of(source)`: the names of the
    values that a sensor may have, besides the numbers of thermometers; None: nobody knows them beforehand.
    """

    def __init__(self, batteries, sources, unit_of, nearest, values_of=None):
        self._batteries = batteries
        self._sources = sources
        self._unit_of = unit_of
        self._nearest = nearest
        self._values_of = values_of
        self._spans: dict = {}  # the cells, or sensors, of a battery
        self._found: dict = {}  # the same value in several rules is one object: it looks at the cells once

    def find(self, name):
        """The Value. Raises ValueError with the end of a sentence where there is none."""
        if name not in self._found:
            self._found[name] = self._find(name)
        return self._found[name]

    def is_named(self, name):
        """Whether a rule has named this value."""
        return name in self._found

    def _find(self, name):
        first, dot, key = name.partition(".")
        if name == "time":
            return TimeOfDay()
        if not dot or not first:
            return self._reading(name, self._batteries[0], name)
        if first in SOURCES:
            return self._of_source(name, SOURCES[first], key)
        if first == "bank":
            return self._of_bank(name, key)
        if first in self._batteries:
            return self._reading(name, first, key)
        there = self._batteries + (["bank"] if len(self._batteries) > 1 else []) + sorted(SOURCES)
        raise ValueError(f"there is no {first}, only {', '.join(there)}")

    def _reading(self, name, battery, key):
        row, index = _row_of(key)
        if row is None:
            raise ValueError(f"there is no reading {key or name}; {self._advice(key, _readings() + ['time'])}")
        self._check_kind(name, row)
        unit = self._unit_of(row) or ""
        if key not in EXTREMES:
            return Reading(name, battery, row, index, unit)
        many = EXTREMES[key][0]
        if (battery, many.key) not in self._spans:
            self._spans[battery, many.key] = Span(many)
        return Extreme(name, battery, row, unit, self._spans[battery, many.key])

    def _of_bank(self, name, key):
        if len(self._batteries) < 2:
            raise ValueError(f"there is only one battery, so no bank; write {key or 'soc'}")
        from battery.bank import KEYS  # which is there already

        keys = [each for each in KEYS if each in READING and READING[each].kind in (NUMBER, BINARY)]
        if key not in keys:
            raise ValueError(f"the bank has no {key}; {self._advice(key, keys)}")
        return OfBank(name, READING[key], self._unit_of(READING[key]) or "")

    def _of_source(self, name, place, key):
        for source in self._sources:
            if source.key == place[0]:
                if not key:
                    raise ValueError(f"write which of its values, as {name.strip('.')}.{_example(source)}")
                self._check_value(source, name, key)
                return OfSource(name, source, key)
        raise ValueError(f"{name.partition('.')[0]} is not there without {place[1]}; write its pin")

    def _check_value(self, source, name, key):
        names = self._values_of(source) if self._values_of is not None else None
        if names is not None:
            names = [word_of(each) for each in names]
        if names is None or key in names or (source.key == "temperatures" and _is_id(key)):
            return
        best = self._nearest(key, names) if names else None
        others = (
            f"write its number of {ID_LENGTH} digits, or a name of DS18B20_NAMES"
            if source.key == "temperatures"
            else ", ".join(names)
        )
        raise ValueError(f"there is no {name}; {'did you mean ' + best if best else others}")

    def _check_kind(self, name, row):
        if row.kind not in (NUMBER, BINARY, ENUM):
            other = "problem" if row.key == "active_alarms" else "soc"
            raise ValueError(f"{name} is a text and cannot be compared; take another reading, such as {other}")

    def _advice(self, name, names):
        best = self._nearest(name, names)
        return f"did you mean {best}" if best else "docs/MQTT.md lists them"


def _readings():
    """The keys of all readings that can be compared, with 1 for the numbers of cells and sensors."""
    return [row.key.replace("{}", "1") for row in READINGS if row.kind in (NUMBER, BINARY, ENUM)]


def _row_of(key):
    """(row, index) of a reading, (None, 0) where there is none: cell_3_voltage is the third one of its row."""
    if key in READING and READING[key].slots == 1:
        return READING[key], 0
    for row in READINGS:
        before, numbered, after = row.key.partition("{}")
        if numbered and row.kind != BITFIELD and key.startswith(before) and key.endswith(after):
            digits = key[len(before) : len(key) - len(after)]
            if _is_digits(digits) and digits[0] != "0" and len(digits) < 3 and int(digits) <= row.slots:
                return row, int(digits) - 1
    return None, 0


def _is_digits(text):
    """Whether there are digits only; Python on a PC takes "²" for one, too."""
    return len(text) > 0 and not [char for char in text if char not in _DIGITS]


def _is_id(key):
    """Whether it is the number of a thermometer: its family and serial in hex."""
    return len(key) == ID_LENGTH and not [char for char in key if char not in _DIGITS + "abcdef"]


def _example(source):
    return source.rows[0].key if len(source.rows) else "name"


def head_of(text):
    """(its name, name of the pin, whether it is active low) of a rule, as far as they can be read; "" for none."""
    start = _start_of_pin(text)
    words = _Words(text, start)
    low = [word.lower() for word in words.words]
    is_low = len([at for at in range(len(low) - 1) if low[at] == "active" and low[at + 1] == "low"]) > 0
    pin = words.words[0] if len(words.words) else ""
    return text[: max(0, start - 1)].strip()[:MOST_NAME], ("" if pin.lower() in ("on", "off", ",") else pin), is_low


def parse(text, names):
    """(Rule, None), or (None, a sentence on the first mistake, as "column 14: there is no reading sco; did you mean soc")."""
    try:
        return _Parser(text, names).rule(), None
    except ValueError as mistake:
        column, sentence = mistake.args
        return None, f"column {column}: {sentence}"


def _start_of_pin(text):
    """Where the text goes on after the name: there is none where the first colon is that of a time, or comes after a test."""
    colon = text.find(":")
    for sign in "<>=":
        if 0 <= text.find(sign) < colon:
            return 0
    is_time = 0 < colon < len(text) - 1 and _is_digits(text[colon - 1]) and _is_digits(text[colon + 1])
    return 0 if is_time else colon + 1


class _Words:
    """The words of a text from the index `start` on, each with its column; commas and signs are words, too."""

    def __init__(self, text, start):
        self.words: list = []
        self.columns: list = []
        begin = kind = 0
        for at in range(start, len(text) + 1):
            here = _class(text[at]) if at < len(text) else 0
            if here != kind or here == 2:  # each comma is a word
                if kind:
                    self.words.append(text[begin:at])
                    self.columns.append(begin + 1)
                begin = at
                kind = here


def _class(char):
    """0: a space, 1: of a word, 2: a comma, 3: of a sign."""
    if char in " \t\xa0":  # the last one: a space that does not break, of telephones and word processors
        return 0
    return 2 if char == "," else 3 if char in "<>=!≥≤≠" else 1


class _Parser:
    def __init__(self, text, names):
        start = _start_of_pin(text)
        words = _Words(text, start)
        self._name = text[: max(0, start - 1)].strip()
        self._has_colon = start > 0
        self._words = words.words + [""]
        self._columns = words.columns + [len(text) + 1]
        self._at = 0
        self._names = names

    def rule(self):
        """The Rule. Raises ValueError(column from 1 on, a sentence without its full stop)."""
        if self._has_colon and not self._name:
            self._fail("before the colon there is no name; write one, or remove the colon")
        if len(self._name) > MOST_NAME:
            raise ValueError(1, f"a name has {MOST_NAME} letters at most; shorten it")
        pin = self._words[0]
        if self._low() in ("", ",", "on", "off"):
            self._fail(f"the name of a pin is missing; write, for example, {EXAMPLE}")
        self._at = 1
        self._expect(("on", "when"), f'after the pin {pin} comes "on when"')
        on = self._condition()
        off = None
        if self._low() == "off":
            self._expect(("off", "when"), 'after "off" comes "when", or a comma before "off for at least"')
            off = self._condition()
        options = self._options()
        return Rule(
            self._name,
            pin,
            options.get("active", False),
            on,
            off,
            options.get("on", LEAST_S),
            options.get("off", LEAST_S),
            options.get("unknown", OFF),
            options.get("grace", GRACE_S),
            options.get("alarm", OFF),
        )

    # words

    def _low(self, ahead=0):
        return self._words[min(self._at + ahead, len(self._words) - 1)].lower()

    def _fail(self, sentence, at=None):
        raise ValueError(self._columns[self._at if at is None else at], sentence)

    def _found(self):
        return f'not "{self._words[self._at]}"' if self._low() else "and here it ends"

    def _expect(self, words, sentence):
        for word in words:
            if self._low() != word:
                self._fail(f"{sentence}, {self._found()}")
            self._at += 1

    # conditions

    def _condition(self):
        tests = [self._test()]
        joined = ""
        while self._low() in ("and", "or"):
            if joined and self._low() != joined:
                self._fail(f'"and" and "or" cannot be mixed in one condition; write "{joined}", or use two outputs')
            if len(tests) == MOST_TESTS:
                self._fail(f"a condition has {MOST_TESTS} tests at most; remove one")
            joined = self._low()
            self._at += 1
            tests.append(self._test())
        if self._low() not in ("", ",", "off"):
            self._fail(f'"and", "or", "off when", a comma or the end is expected, {self._found()}')
        return Condition(tuple(tests), joined == "or")

    def _test(self):
        start = self._at
        name = self._low()
        if name in ("", ",", "and", "or", "on", "off", "when", "not") or _class(name[0]) == 3:
            self._fail(f"the name of a value is expected, such as soc, {self._found()}")
        value = None
        problem = ""
        try:
            value = self._names.find(name)
        except ValueError as error:
            problem = str(error)
        if value is None:
            self._fail(problem)
        self._at += 1
        how = self._how(name)
        if self._low() == "not" and how == IS:
            self._fail('write != for "is not"')
        if self._low() in ("", ",", "and", "or", "when") or _class(self._low()[0]) == 3:
            self._fail(f"what {name} is compared with is missing")
        test = self._compared(value, how)
        if not test.can_hold():
            self._fail(self._why_never(value), start)
        return test

    def _how(self, name):
        sign = self._low()
        if sign in _SIGNS:
            self._at += 1
            return _HOW[_SIGNS.index(sign)]
        meant = _MEANT.get(sign)
        if meant:
            self._fail(f"write {meant} for {sign}")
        return self._fail(f"after {name} comes one of > >= < <= = != is, {self._found()}")

    def _compared(self, value, how):
        """The Test of a value with the number or word that comes next."""
        start = self._at
        if value.kind == TIME:
            return Test(value, how, (self._minutes(), 0), "", self._words[start])
        if value.kind == NUMBER or (value.kind is None and _begins_number(self._words[start])):
            number, unit, written = self._number()
            if value.kind == NUMBER and unit and shift(value.unit, unit) is None:
                self._fail(f"{value.name} is {'in ' + value.unit if value.unit else 'without a unit'}, not in {unit}", start)
            if value.kind == NUMBER and unit == "" and value.unit:
                written += " " + value.unit
            return Test(value, how, number, unit, written)
        if how not in (IS, IS_NOT):
            self._fail(f"{value.name} has words, no numbers; compare it with = or !=", start - 1)
        word = self._words[start]
        self._at += 1
        if isinstance(value, OfSource):  # those of a sensor may be several
            while self._low() not in ("", ",", "and", "or", "off"):
                word += " " + self._words[self._at]
                self._at += 1
        if value.kind in (BINARY, ENUM) and value.raw_of(word) is None:
            self._fail(f"{value.name} is one of {', '.join(value.words())}, not {word}", start)
        return Test(value, how, None, "", word)

    def _why_never(self, value):
        if value.kind != NUMBER:
            return f"{value.name} cannot be compared with that"
        decimals = f"{value.decimals} decimal{'' if value.decimals == 1 else 's'}"
        return f"{value.name} has only {decimals}, so it never is that; compare it with > or <"

    def _minutes(self):
        word = self._words[self._at]
        minute = minute_of(word)
        if minute is None:
            self._fail(f"a time of the day is written as 08:00, up to 23:59, not {word}")
        self._at += 1
        return minute

    def _number(self):
        """((digits, decimals), unit, as written) of the number that comes next."""
        word = self._words[self._at]
        end = 1 if word[0] in "+-" else 0
        while end < len(word) and word[end] in _DIGITS + ".":
            end += 1
        sign = -1 if word[0] == "-" else 1
        whole, point, decimals = word[:end].lstrip("+-").partition(".")
        if not _is_digits(whole) or (point and not _is_digits(decimals)) or len(whole) > 9 or len(decimals) > 6:
            self._fail(f"a number is expected, as 80 or 3.45, not {word}")
        unit = word[end:]
        column = self._columns[self._at] + len(word)
        self._at += 1
        is_joined = self._low() == "," and self._columns[self._at] == column and self._columns[self._at + 1] == column + 1
        if is_joined and _is_digits(self._low(1)[:1]):
            self._fail("decimals are written with a point, as 3.45")
        if not unit and self._is_unit(self._words[self._at]):
            unit = self._words[self._at]
            self._at += 1
        written = word[:end] + (" " + unit if unit else "")
        return (sign * int(whole + decimals), len(decimals)), unit, written

    def _is_unit(self, word):
        return word.lower() not in ("", ",", "and", "or", "off", "on") and _class(word[0]) == 1

    # options

    def _options(self):
        options: dict = {}
        while self._low():
            if self._low() != ",":
                self._fail(f"a comma or the end is expected, {self._found()}")
            self._at += 1
            start = self._at
            key = self._low()
            if key == "active":
                self._expect(("active", "low"), 'after "active" comes "low"')
                self._set(options, key, True, start)
            elif key in ("on", "off"):
                self._expect((key, "for", "at", "least"), f'an option is written as "{key} for at least 30 s"')
                self._set(options, key, self._duration(), start)
            elif key in ("unknown", "alarm"):
                self._done(options, key, start)
            else:
                self._fail(
                    'an option is expected: "active low", "on for at least 5 min", "off for at least 30 s", '
                    f'"unknown = off after 60 s" or "alarm = off", {self._found()}'
                )
        return options

    def _done(self, options, key, start):
        """What is done with unknown readings, and after which time, or at an alarm."""
        self._expect((key, "="), f"after {key} comes =")
        words = ("off", "on", "keep") if key == "unknown" else ("off", "on", "keep", "ignore")
        if self._low() not in words:
            self._fail(f"{key} is one of {', '.join(words)}, {self._found()}")
        self._set(options, key, _DONE[self._low()], start)
        self._at += 1
        if key == "unknown" and self._low() == "after":
            self._at += 1
            options["grace"] = self._duration()

    def _set(self, options, key, value, start):
        if key in options:
            self._fail("this option stands here for the second time; remove it", start)
        options[key] = value

    def _duration(self):
        start = self._at
        if not _begins_number(self._words[start]):
            self._fail(f"a time is expected, as 30 s, 5 min or 2 h, {self._found()}")
        (digits, decimals), unit, written = self._number()
        if unit.lower() not in _SECONDS or decimals or digits < 0:
            self._fail(f"a time is a whole number with its unit, as 30 s, 5 min or 2 h, not {written}", start)
        seconds = digits * _SECONDS[unit.lower()]
        if seconds > LONGEST_S:
            self._fail(f"{written} is too long; 7 days, which are 168 h, are the most", start)
        return seconds


def _begins_number(word):
    digits = word.lstrip("+-")
    return _is_digits(digits[:1])
