# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Switches pins by rules, alarms and a person, never more often than the minimum times allow, and says why. No I/O, no clock.

Who decides, the first that has something to say: an alarm, a person, the rule, and while its readings are not known what it
says about that. Alarms, unknown readings and a person switch off at once; whatever switches on waits until the output has been
off for its minimum time, which begins anew at the start. Off wins where the conditions for on and off both hold.

Times are counted in whole seconds, since ticks wrap. A count may begin anywhere within a second, so one more is waited for.
"""

from collections import namedtuple

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import BITFIELDS, LEVEL_NAMES, PROTECTION, active
from battery.json import bounded
from battery.readings import DIAGNOSTIC, MAIN, READING
from battery.sources import PER_MESSAGE, binary, enum, text

from .values import TIME

MOST = 8  # outputs
_ROWS = 3  # of each: state, mode, reason
ROUND_MS = 200  # between two looks at alarms and readings; at what is calculated of many once a second
_AT_ONCE = 3  # readings that are looked at in one tick
SECOND_MS = 1000
REFRESH_S = 30  # how long a number in a reason may be another one than that of now

# who decides, or what is done
AUTO = 0
ON = 1
OFF = 2
MODES = ("auto", "on", "off")
KEEP = 3
IGNORE = 4

# pin: its name; on, off: Conditions, off None: as soon as `on` does not hold; on_s, off_s: for how long at least; unknown,
# alarm: ON, OFF or KEEP, of alarm also IGNORE; grace_s: how long readings are unknown before that is done
Rule = namedtuple("Rule", ("name", "pin", "active_low", "on", "off", "on_s", "off_s", "unknown", "grace_s", "alarm"))

# reasons
START = 0
RULE = 1
UNKNOWN = 2
ALARM = 3
HAND = 4
WAIT = 5

NO_ALARM = ""
NOT_KNOWN = "alarms are unknown"
_ALARM_BITS = READING["alarm_bits_{}"]
_ALARM_SLOT = _ALARM_BITS.slot - 1  # and the level


class Condition:
    """Tests, joined by `and`, or by `or` where `is_or`. `decider`: the one that decided last; None: all of them together."""

    def __init__(self, tests, is_or):
        self.tests = tests
        self.decider = None
        self._is_or = is_or

    def holds(self):
        """True, False, or None while it depends on a value that is not known. Allocates nothing."""
        is_or = self._is_or
        unknown = None
        for test in self.tests:
            result = test.holds()
            if result is None:
                unknown = unknown or test
            elif result == is_or:
                self.decider = test
                return result
        self.decider = unknown
        return None if unknown else not is_or

    def seen(self):
        """The raw value that decided last, or the first one of several."""
        return (self.decider or self.tests[0]).seen

    def text(self, result):
        """Why holds() returned `result` the last time."""
        if self.decider is not None:
            return self.decider.text(result)
        return " and ".join([test.text(result) for test in self.tests])


class Output:
    """One pin and its rule. `drive(active)` sets the pin; `is_on`: how it is set; `mode`: AUTO, or what a person has decided.

    `override_min`: for how many minutes that counts; 0: for ever. `changes` counts those of level, mode and reason. `is_timed`:
    it may decide, or say, something else when time has passed, though nothing else has changed.
    """

    def __init__(self, rule, drive, override_min):
        self._rule = rule
        self._drive = drive
        self._override_s = 60 * override_min
        self.name = rule.name
        self.is_on = False
        self.mode = AUTO
        self.changes = 0
        self.is_timed = True
        self._rule_on = False  # what the rule has decided: between its conditions for on and off it stays so
        self._since = 0  # when the level changed last
        self._override_since = 0
        self._unknown_since = None  # None: it is known what the rule decides
        self._cause = self._held = None  # the Condition (or text) that decides now, and what it returned
        # Why: one of the reasons, the same as it was then, which test of it, a time in s or minutes, and the number in its text
        self._reason = START
        self._about = self._result = self._decider = self._time = self._number = None
        self._said_at = 0
        self._text = None  # made when it is asked for
        drive(False)

    def bind(self, batteries, bank, minutes):
        """The same of all values in the rule: see Value in values.py."""
        for value in self.values():
            value.bind(batteries, bank, minutes)

    def values(self):
        """The values in its rule, some of them perhaps twice."""
        rule = self._rule
        return [test.value for condition in (rule.on, rule.off) if condition is not None for test in condition.tests]

    def set_mode(self, mode, seconds):
        """A person has decided: ON, OFF or AUTO."""
        self.mode = mode
        self._override_since = seconds
        self.changes += 1
        print(f"Output {self.name or self._rule.pin}, mode {MODES[mode]}")

    def evaluate(self, seconds, alarm):
        """Decide and switch. `alarm`: NO_ALARM, NOT_KNOWN, or a text that names it. Allocates nothing while nothing changes."""
        if self.mode != AUTO and self._override_s and seconds - self._override_since > self._override_s:
            self.set_mode(AUTO, seconds)
        reason = RULE
        time = None
        wanted = self._by_rule(alarm)
        if wanted is None:
            reason = UNKNOWN
            wanted = self._by_unknown(seconds)
            time = _coarse(seconds - self._unknown_since)
            if self._reason == START and seconds - self._unknown_since <= self._rule.grace_s:
                reason = START
        else:
            self._unknown_since = None
        if self.mode != AUTO:
            reason = HAND
            wanted = self.mode == ON
            time = self._minutes_left(seconds)
        if self._heeds(alarm):
            reason = ALARM
            self._cause = alarm
            wanted = self._by_alarm(seconds)
        if wanted != self.is_on:
            least = self._rule.off_s if wanted else self._rule.on_s if reason == RULE else 0
            passed = seconds - self._since
            if least and passed <= least:
                reason = WAIT
                time = _coarse(max(1, least - passed), 10)
            else:
                self.is_on = wanted
                self._since = seconds
                self._text = None
                self.changes += 1
                self._drive(wanted)
                self._explain(reason, time, seconds)
                print(f"Output {self.name or self._rule.pin} {self.reason()}")
                return
        self._explain(reason, time, seconds)

    def reason(self):
        """Why it is on or off, in words: "off: soc 42.0 % is below 60"."""
        if self._text is None:
            self._text = bounded(self._words())
        return self._text

    # who decides

    def _by_rule(self, alarm):
        """What the rule decides; None: it depends on what is not known."""
        off = self._rule.off
        self._cause = self._rule.on
        self._held = wanted = self._rule.on.holds()
        if off is not None:
            ends = off.holds()
            if ends or (ends is None and (wanted is not False or self._rule_on)):
                self._cause = off
                self._held = ends
                wanted = None if ends is None else False
            elif wanted is not True and self._rule_on:
                self._cause = off
                self._held = False
                wanted = True
        if wanted and alarm is NOT_KNOWN and self._rule.alarm == OFF:
            self._cause = alarm
            wanted = None
        if wanted is not None:
            self._rule_on = wanted
        return wanted

    def _by_unknown(self, seconds):
        if self._unknown_since is None:
            self._unknown_since = seconds
        if seconds - self._unknown_since <= self._rule.grace_s or self._rule.unknown == KEEP:
            return self.is_on and (self._rule_on or self._reason != HAND)  # what a person has switched on is not kept for ever
        self._rule_on = self._rule.unknown == ON
        return self._rule_on

    def _heeds(self, alarm):
        """Whether an alarm decides: a person may silence a siren, but not overrule a protection."""
        done = self._rule.alarm
        if not alarm or alarm is NOT_KNOWN or done == IGNORE:
            return False
        return done == OFF or (done == ON and self.mode != OFF) or self.mode == AUTO

    def _by_alarm(self, seconds):
        if self._rule.alarm == KEEP:
            return self.is_on
        if self._rule.alarm == OFF and self.mode == ON:
            self.set_mode(AUTO, seconds)  # else it would go on and off for as long as its load causes the alarm
        self._rule_on = self._rule.alarm == ON
        return self._rule_on

    def _minutes_left(self, seconds):
        """Of the override, as many as have begun; None: it does not end."""
        left_s = self._override_s - seconds + self._override_since
        return max(1, (left_s + 59) // 60) if self._override_s else None

    # why

    def _explain(self, reason, time, seconds):
        """Whether something else has to be said from now on. A number that is another one is not said anew all the time."""
        about = decider = result = number = None
        if reason == RULE or reason == UNKNOWN or reason == ALARM:
            about = self._cause
        if isinstance(about, Condition):
            decider = about.decider
            result = self._held
            number = about.seen()
        # of UNKNOWN it is the time that it says, and that it begins or ends to count
        self.is_timed = (reason != RULE and reason != ALARM) or number != self._number
        if (
            reason == self._reason
            and about is self._about
            and decider is self._decider
            and result == self._result
            and time == self._time
            and (number == self._number or seconds - self._said_at < REFRESH_S)
        ):
            return
        self.is_timed = reason != RULE and reason != ALARM
        self._reason = reason
        self._about = about
        self._decider = decider
        self._result = result
        self._time = time
        self._number = number
        self._said_at = seconds
        self._text = None
        self.changes += 1

    def _words(self):
        state = "on" if self.is_on else "off"
        reason = self._reason
        time = self._time
        if reason == START:
            return "off at the start"
        if reason == WAIT:
            return f"waits: {state} for up to {_duration(time)} more"
        if reason == HAND:
            more = "" if time is None else f" for {time} more minute{'' if time == 1 else 's'}"
            return f"{state}: switched by hand{more}"
        about = self._about
        words = about if isinstance(about, str) else about.text(self._result)
        if reason == UNKNOWN and time:
            words += " for " + _duration(time)
        return f"{state}: {words}"


class Outputs:
    """All outputs, a source as in battery/sources.py. `outputs`: number -> Output; `sources`: the others that rules name.

    `is_allowed`: a person may switch them over MQTT.
    """

    key = "outputs"
    device = None
    model = ""

    def __init__(self, outputs, sources, is_allowed):
        self._numbers = sorted(outputs)
        self._outputs = [outputs[number] for number in self._numbers]
        self._sources = sources
        self._batteries: list = []
        self._alarm = NO_ALARM
        self._alarm_bits = [0] * (BITFIELDS + 1)  # of the battery whose alarm that is, and which one it is
        self._seconds = 0  # since the first tick
        self._second_at = None  # tick of the last of them
        self._values: list = []  # all that rules name, each once
        self._every = (1 << len(self._numbers)) - 1
        self._due = 0  # the outputs that have to be evaluated, a bit each
        self._looking = 0  # which of the values is looked at next; 0: alarms and all that depends on time come first
        self._looked_at = None  # counters of all that rules depend on, and the second, of the last look
        self._looked_second = None
        self._is_new_second = False
        self.changes = 0
        self.rows: list = []
        # Those that there are not have their places, too: an entity must not move to another message. So have those that fit
        # into the last message; mqtt/client.py clears what was in the messages behind it.
        count = _ROWS * self._numbers[-1]
        while len(self.rows) < count or (len(self.rows) % PER_MESSAGE and len(self.rows) < _ROWS * MOST):
            self.rows.append(self._row_at(len(self.rows), is_allowed))

    def _row_at(self, place, is_allowed):
        number = place // _ROWS + 1
        key = f"output_{number}"
        is_there = number in self._numbers
        name = (self.output(number).name or f"Output {number}") if is_there else ""
        if place % _ROWS == 0:
            return binary(key, name if is_there else None, icon="electric-switch")
        if place % _ROWS == 1:
            command = f"/outputs/{number}/set" if is_there and is_allowed else None
            category = MAIN if is_allowed else DIAGNOSTIC
            return enum(key + "_mode", name + " mode" if is_there else None, MODES, "cog-outline", category, command)
        return text(key + "_reason", name + " reason" if is_there else None, "comment-question-outline", DIAGNOSTIC)

    def bind(self, batteries, bank, minutes):
        """What the rules look at: see Value in values.py."""
        self._batteries = batteries
        for index in range(len(self._outputs)):
            self._outputs[index].bind(batteries, bank, minutes)
            for value in self._outputs[index].values():
                value.add_user(1 << index)
                if value not in self._values:
                    self._values.append(value)

    def needs_time(self):
        """Whether a rule names the time of day."""
        return bool([value for output in self._outputs for value in output.values() if value.kind == TIME])

    def numbers(self):
        """Those of the outputs, in their order."""
        return self._numbers

    def output(self, number):
        """The Output."""
        return self._outputs[self._numbers.index(number)]

    def command(self, number, word):
        """A person's word, of MODES, for an output."""
        self.output(number).set_mode(MODES.index(word), self._seconds)
        self.changes += 1
        self._due = self._every

    def raw(self, key):
        """As of every source."""
        number, _, what = key[7:].partition("_")
        output = self.output(int(number))
        if what == "mode":
            return MODES[output.mode]
        return output.reason() if what else int(output.is_on)

    def tick(self, now):
        """Evaluate one output, if anything that its rule looks at may have changed. Returns as a job's tick does."""
        self._count_seconds(now)  # in each tick: the loop may have stood still since the output before
        if (self._looking or not self._due) and not self._look():
            return None if self._looking else ROUND_MS
        index = 0
        while not self._due >> index & 1:
            index += 1
        self._due &= ~(1 << index)  # first: one that fails must not stop the others
        output = self._outputs[index]
        before = output.changes
        output.evaluate(self._seconds, self._alarm)
        self.changes += output.changes - before
        return None if self._due else ROUND_MS

    def _look(self):
        """See what has changed, some values in each tick; returns whether an output is due, and all have been looked at."""
        if self._looking == 0 and not self._begin_look():
            return False
        left = _AT_ONCE
        while self._looking <= len(self._values):
            value = self._values[self._looking - 1]
            if left == 0:
                return False
            self._looking += 1  # first: one that fails must not hide the others
            if value.is_calculated and not self._is_new_second:
                continue
            left -= 1
            if value.look():
                self._due |= value.users
        self._looking = 0
        return self._due > 0

    def _begin_look(self):
        """Look at alarms and time, if anything may have changed; returns whether it may."""
        counters = self._seconds
        for battery in self._batteries:
            counters += battery.pack.changes
        for source in self._sources:
            counters += source.changes
        if counters == self._looked_at:
            return False
        self._looked_at = counters
        self._looking = 1
        before = self._alarm
        self._look_for_alarms()
        if self._alarm is not before:
            self._due = self._every
        self._is_new_second = self._seconds != self._looked_second
        if self._is_new_second:
            self._looked_second = self._seconds
            for index in range(len(self._outputs)):
                if self._outputs[index].is_timed:
                    self._due |= 1 << index
        return True

    def _count_seconds(self, now):
        if self._second_at is None:
            self._second_at = now
        passed = ticks_diff(now, self._second_at) // SECOND_MS
        if passed > 0:
            self._seconds += passed
            self._second_at = ticks_add(self._second_at, passed * SECOND_MS)

    def _look_for_alarms(self):
        """Whether a protection or a fault of a battery is active. Of one that is offline none is known, which is no alarm."""
        is_known = True
        for index in range(len(self._batteries)):
            battery = self._batteries[index]
            if not battery.poller.online or not battery.pack.has(_ALARM_BITS):
                continue
            if battery.pack.held(_ALARM_SLOT + PROTECTION) is None:
                is_known = False
            elif self._is_alarm(index, battery):
                return
        self._alarm = NO_ALARM if is_known else NOT_KNOWN

    def _is_alarm(self, index, battery):
        bits = self._alarm_bits
        is_active = False
        is_other = self._alarm is NO_ALARM or self._alarm is NOT_KNOWN or bits[0] != index
        pack = battery.pack
        for level in range(PROTECTION, BITFIELDS + 1):
            raw = pack.held(_ALARM_SLOT + level) or 0  # no name for the method: that would be an object
            is_active = is_active or raw != 0
            is_other = is_other or raw != bits[level]
        if is_active and is_other:
            self._name_alarm(index, battery)
        return is_active

    def _name_alarm(self, index, battery):
        self._alarm_bits[0] = index
        for level in range(PROTECTION, BITFIELDS + 1):
            self._alarm_bits[level] = battery.pack.held(_ALARM_SLOT + level) or 0
        found = active(battery.pack)  # None: the warnings are not known
        words = f"{found[0][0]} ({LEVEL_NAMES[found[0][1]]})" if found else "of level 2 or higher"
        self._alarm = f"alarm {words}" + (f" of {battery.label}" if battery.label else "")


def _coarse(seconds, step=15):
    """A time in steps that grow with it, so that a text with it does not change all the time; up for one that is left."""
    is_left = step == 10
    if seconds > 7200:
        step = 3600
    elif seconds > 600:
        step = 60 if is_left else 600
    elif seconds > 120:
        step = 60
    return (seconds + step - 1 if is_left else seconds) // step * step


def _duration(seconds):
    if seconds >= 7200:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds > 120 else f"{seconds} s"
