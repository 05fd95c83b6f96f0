# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Events of the battery on the console, each once: why there is data or not, alarms and their end, results of commands.

For those without screen and broker. Readings are not printed. The number of lines is limited: a few at once, then one a
minute, with the state at that time and how many changes there were before it.
"""

from adafruit_ticks import ticks_diff

from battery.alarms import BITFIELDS, LEVEL_NAMES, active
from daly.diagnosis import ASLEEP, RECOVERED

CHECK_MS = 500
AT_ONCE = 6  # lines
REFILL_MS = 60000  # for one more


class Budget:
    """The number of lines that may still be printed on one subject."""

    def __init__(self):
        self._lines = AT_ONCE
        self._ms = 0

    def pass_time(self, milliseconds):
        """Refill with time."""
        self._ms += milliseconds
        if self._ms >= REFILL_MS:
            self._ms -= REFILL_MS
            self._lines = min(self._lines + 1, AT_ONCE)

    def take(self):
        """Use one line; False when there is none left."""
        if not self._lines:
            return False
        self._lines -= 1
        return True


class Events:
    """Prints the diagnosis of the BMS connection of a battery when it changes, alarms, and results of commands, with its label.

    `publish(text, battery)` publishes a result; None: it is only printed.
    """

    def __init__(self, battery, now, publish=None):
        self._battery = battery
        self._label = battery.label + ": " if battery.label else ""
        self._publish = publish
        self._checked_at = now
        self._connection_budget = Budget()
        self._alarm_budget = Budget()
        self._state: object = None  # of the connection at the last check; None: there was none
        self._online_text = None
        self._connection_changes = 0  # that are not printed yet
        self._bits = [0] * BITFIELDS  # of the alarms, as of the last check
        self._alarm_changes = 0  # that are not printed yet
        self._alarms: list = []  # (name, level) as printed

    def report(self, text):
        """Publish and print the result of a command."""
        if self._publish is not None:
            self._publish(text, self._battery)
        print(f"{self._label}Command: {text}")

    def report_result(self, subject, code):
        """The same for a code of battery/controls.py."""
        from battery.controls import RESULTS  # which is in memory when there are commands

        self.report(f"{subject}: {RESULTS[code]}")

    def tick(self, now):
        """Print what has changed. Returns the ms until the next call."""
        passed = ticks_diff(now, self._checked_at)
        if passed < CHECK_MS:
            return CHECK_MS - passed
        self._checked_at = now
        self._connection_budget.pass_time(passed)
        self._alarm_budget.pass_time(passed)
        self._check_connection()
        self._check_alarms()
        return CHECK_MS

    def _check_connection(self):
        diagnosis = self._battery.poller.diagnosis
        if diagnosis.online:
            text = diagnosis.text
            state: object = "online"
            is_change = self._state != state
            if diagnosis.code != RECOVERED:
                is_change = is_change or text != self._online_text
                self._online_text = text
        else:
            state = ASLEEP if diagnosis.asleep else diagnosis.code  # how it sleeps, and for how long, is no change
            is_change = state != self._state
        if is_change:
            self._state = state
            self._connection_changes += 1
        if self._connection_changes and self._connection_budget.take():
            print(self._label or "BMS: ", diagnosis.text, _more(self._connection_changes), sep="")
            self._connection_changes = 0

    def _check_alarms(self):
        self._note_bits()
        if self._alarm_changes:
            self._tell_alarms()

    def _tell_alarms(self):
        alarms = active(self._battery.pack)
        if alarms is None:
            return  # not known, so none has ended
        begun = [alarm for alarm in alarms if alarm not in self._alarms]
        ended = [alarm for alarm in self._alarms if alarm not in alarms]
        more = _more(self._alarm_changes)
        if begun or ended or more:
            if not self._alarm_budget.take():
                return
            if begun or not ended:
                print(f"{self._label}Alarm: {_names(begun or alarms) or 'none'}{more}")
                more = ""
            if ended:
                print(f"{self._label}Alarm ended: {_names(ended)}{more}")
        self._alarm_changes = 0
        self._alarms = alarms

    def _note_bits(self):
        """Count a change of the alarm bits; in every check, so it allocates nothing."""
        is_change = False
        for index in range(BITFIELDS):
            bits = self._battery.pack.raw("alarm_bits_{}", index + 1)
            if bits is not None and bits != self._bits[index]:
                self._bits[index] = bits
                is_change = True
        if is_change:
            self._alarm_changes += 1


def _more(changes):
    """What is said of changes that were not printed, as lines were too many; the last one is."""
    return f" (and {changes - 1} before)" if changes > 1 else ""


def _names(alarms):
    return ", ".join([f"{name} ({LEVEL_NAMES[level]})" for name, level in alarms])
