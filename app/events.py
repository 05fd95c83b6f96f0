"""What happens to the battery, on the console, once each: why there is data or not, alarms and their end, results of commands.

Who has no screen and no broker reads it there. Not the readings: those are published. What goes to and fro is bounded: a few
lines at once, then one a minute, with how it stands by then.
"""

from adafruit_ticks import ticks_diff

from battery.alarms import BITFIELDS, LEVEL_NAMES, active
from daly.diagnosis import ASLEEP, RECOVERED

LOOK_MS = 500
AT_ONCE = 6  # lines
REFILL_MS = 60000  # for one more


class Budget:
    """How many lines one subject may still have."""

    def __init__(self):
        self._lines = AT_ONCE
        self._ms = 0

    def pass_time(self, milliseconds):
        """More lines with time."""
        self._ms += milliseconds
        if self._ms >= REFILL_MS:
            self._ms -= REFILL_MS
            self._lines = min(self._lines + 1, AT_ONCE)

    def take(self):
        """Use a line up; False when there is none left."""
        if not self._lines:
            return False
        self._lines -= 1
        return True


class Events:
    """Prints what becomes of the conversation with the BMS. `say` is told of results: give it to who carries commands out."""

    def __init__(self, poller, now):
        self._poller = poller
        self._looked_at = now
        self._link_budget = Budget()
        self._alarm_budget = Budget()
        self._state: object = None  # of the link, as printed last
        self._online_text = None
        self._bytes = [0] * BITFIELDS  # as looked at last
        self._pending = False  # they have changed, and what that means is not printed yet
        self._alarms: list = []  # (name, level) as printed

    def say(self, text):
        """The result of a command."""
        print("Command:", text)

    def tick(self, now):
        """Look for news."""
        passed = ticks_diff(now, self._looked_at)
        if passed < LOOK_MS:
            return
        self._looked_at = now
        self._link_budget.pass_time(passed)
        self._alarm_budget.pass_time(passed)
        self._look_at_link()
        self._look_at_alarms()

    def _look_at_link(self):
        link = self._poller.diagnosis
        if link.online:
            text = link.text
            is_recovery = link.code == RECOVERED
            if self._state == "online" and (is_recovery or text == self._online_text):
                return
            state: object = "online"
        else:
            state = ASLEEP if link.asleep else link.code  # how it sleeps, and for how long, is no news
            if state == self._state:
                return
            is_recovery = True
            text = link.text
        if self._link_budget.take():
            self._state = state
            if not is_recovery:
                self._online_text = text
            print("BMS:", text)

    def _look_at_alarms(self):
        self._note_bytes()
        if not self._pending:
            return
        alarms = active(self._poller.pack)
        if alarms is None:
            return  # not known, which is not the end of one
        begun = [alarm for alarm in alarms if alarm not in self._alarms]
        ended = [alarm for alarm in self._alarms if alarm not in alarms]
        if (begun or ended) and not self._alarm_budget.take():
            return
        self._pending = False
        self._alarms = alarms
        if begun:
            print("Alarm:", _names(begun))
        if ended:
            print("Alarm ended:", _names(ended))

    def _note_bytes(self):
        """Whether an alarm byte is another one than before; in every look, so it makes no list."""
        for index in range(BITFIELDS):
            byte = self._poller.pack.raw("alarm_bits_{}", index + 1)
            if byte is not None and byte != self._bytes[index]:
                self._bytes[index] = byte
                self._pending = True


def _names(alarms):
    return ", ".join([f"{name} ({LEVEL_NAMES[level]})" for name, level in alarms])
