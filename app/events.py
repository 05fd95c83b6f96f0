# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Events of the battery on the console, each once: why there is data or not, alarms and their end, results of commands.

For those without screen and broker. Readings are not printed. The number of lines is limited: a few at once, then one a
minute, with the state at that time.
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
        self._state: object = None  # of the connection, as printed last; None: nothing was printed
        self._online_text = None
        self._bits = [0] * BITFIELDS  # of the alarms, as of the last check
        self._pending = False  # they have changed, and the alarms are not printed yet
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
            is_recovery = diagnosis.code == RECOVERED
            if self._state == "online" and (is_recovery or text == self._online_text):
                return
            state: object = "online"
        else:
            state = ASLEEP if diagnosis.asleep else diagnosis.code  # how it sleeps, and for how long, is no change
            if state == self._state:
                return
            is_recovery = True
            text = diagnosis.text
        if self._connection_budget.take():
            self._state = state
            if not is_recovery:
                self._online_text = text
            print(self._label or "BMS: ", text, sep="")

    def _check_alarms(self):
        self._note_bits()
        if not self._pending:
            return
        alarms = active(self._battery.pack)
        if alarms is None:
            return  # not known, so none has ended
        begun = [alarm for alarm in alarms if alarm not in self._alarms]
        ended = [alarm for alarm in self._alarms if alarm not in alarms]
        if (begun or ended) and not self._alarm_budget.take():
            return
        self._pending = False
        self._alarms = alarms
        if begun:
            print(f"{self._label}Alarm: {_names(begun)}")
        if ended:
            print(f"{self._label}Alarm ended: {_names(ended)}")

    def _note_bits(self):
        """Note changed alarm bits; in every check, so it allocates nothing."""
        for index in range(BITFIELDS):
            bits = self._battery.pack.raw("alarm_bits_{}", index + 1)
            if bits is not None and bits != self._bits[index]:
                self._bits[index] = bits
                self._pending = True


def _names(alarms):
    return ", ".join([f"{name} ({LEVEL_NAMES[level]})" for name, level in alarms])
