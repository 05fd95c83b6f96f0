# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The status LED: blinks that say what is wrong, a steady dim light while all is well. Loaded only with LED_PIN.

A pattern is a number of long blinks and a number of short ones behind them: no long one for the BMS, one for the network, two
for the settings. Where BMS and network both are in trouble, their patterns take turns. The table for people is in README.md,
made by docs/generate.py. No pins here: the lights get what drives them.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import BITFIELDS, PROTECTION
from daly.diagnosis import (
    ABSENT,
    ASLEEP,
    DETECTING,
    LATE,
    MIXED,
    NO_UART,
    OK,
    RULED_OUT_ADDRESS,
    RULED_OUT_PROTOCOL,
    SILENCE,
)

SHORT_MS = 200
LONG_MS = 900
GAP_MS = 300  # between two blinks; shorter ones are hard to count
KIND_GAP_MS = 700  # between the long and the short ones
PAUSE_MS = 2000  # between two patterns
FLICKER_MS = 100
LOOK_MS = 500  # how often is looked for trouble while there is none
DIM_SHARE = 4  # the steady light has this part of the brightness

# (long blinks, short blinks)
LOOKING = (0, 1)
SILENT = (0, 2)
BMS_ASLEEP = (0, 3)
BAD_LINE = (0, 4)
REMARK = (0, 5)
CONNECTING = (1, 1)
NO_WIFI = (1, 2)
NO_BROKER = (1, 3)
REFUSED = (1, 4)
SETTINGS_OF_BMS = (2, 1)
SETTINGS_OF_BROKER = (2, 2)

# of a NeoPixel, in percent of red, green and blue; a pattern's colour is that of its number of long blinks
GREEN = (0, 100, 0)
RED = (100, 0, 0)
COLOURS = ((100, 60, 0), (0, 0, 100), (100, 0, 100))


def pattern_of_bms(code):
    """The pattern of a code of daly/diagnosis.py; None: all is well."""
    if code >= OK:
        return REMARK if code >= MIXED else None  # a function that the board does not support is no trouble
    if code == DETECTING:
        return LOOKING
    if code in (NO_UART, RULED_OUT_PROTOCOL, RULED_OUT_ADDRESS):
        return SETTINGS_OF_BMS
    if ASLEEP <= code < DETECTING:
        return BMS_ASLEEP
    return SILENT if code in (SILENCE, LATE, ABSENT) else BAD_LINE


def pattern_of_network(code):
    """The pattern of a code of mqtt/trouble.py."""
    if code in ("joining", "connecting"):
        return CONNECTING
    if code in ("broker_not_set", "tls_not_possible"):
        return SETTINGS_OF_BROKER
    begin = code.split("_")[0]
    if begin == "wifi":
        return NO_WIFI
    return REFUSED if begin in ("login", "rejected", "short") else NO_BROKER


class GpioLight:
    """A plain LED. `pwm`: a pwmio.PWMOut."""

    def __init__(self, pwm, active_high):
        self._pwm = pwm
        self._active_high = active_high
        self.set(0, GREEN)

    def set(self, percent, _colour):
        """Shine with so many percent; 0: off."""
        duty = 65535 * percent // 100
        self._pwm.duty_cycle = duty if self._active_high else 65535 - duty


class PixelLight:
    """One NeoPixel. `pixels`: a neopixel.NeoPixel of one, without auto_write."""

    def __init__(self, pixels):
        self._pixels = pixels
        self.set(0, GREEN)

    def set(self, percent, colour):
        """Shine with so many percent in a colour; 0: off. Sending takes 30 us."""
        self._pixels[0] = tuple([(255 * percent * share + 9999) // 10000 for share in colour])
        self._pixels.show()


class StatusLed:
    """Shows on `light` what is wrong with the `batteries` and the MqttClient. `percent`: its brightness.

    `night`: (minute of the day from which, minute to which) it is off; None: never. `minute_of_day()` returns the time; None
    while it is not known: then it shines.
    """

    def __init__(self, light, percent, batteries, client, night=None, minute_of_day=None):
        self._light = light
        self._percent = percent
        self._batteries = batteries
        self._client = client
        self._night = night
        self._minute_of_day = minute_of_day
        self._due = None  # when the next step is due
        self._longs = self._shorts = 0  # blinks of this pattern that are to come
        self._colour = GREEN
        self._is_blinking = False  # a blink has begun
        self._is_lit = False
        self._is_network = False  # whose turn it was last

    def tick(self, now):
        """The next step, when it is due. Returns the ms until it is."""
        if self._due is not None:
            left = ticks_diff(self._due, now)
            if left > 0:
                return left
        duration = self._step()
        self._due = ticks_add(now, duration)
        return duration

    def sleep(self):
        """Off: a NeoPixel would shine on while the chip sleeps."""
        self._light.set(0, GREEN)

    def _step(self):
        """Change the light; returns for how many ms it stays so."""
        if self._is_blinking:
            self._is_blinking = False
            self._shine(0)
            return self._pause()
        if self._longs:
            self._longs -= 1
            return self._blink(LONG_MS, self._longs == 0 and self._shorts > 0)
        if self._shorts:
            self._shorts -= 1
            return self._blink(SHORT_MS, False)
        return self._begin()

    def _blink(self, duration, is_last_long):
        self._is_blinking = True
        self._gap = KIND_GAP_MS if is_last_long else GAP_MS
        self._shine(self._percent)
        return duration

    def _pause(self):
        return self._gap if self._longs or self._shorts else PAUSE_MS

    def _begin(self):
        """What to show next."""
        if self._is_night():
            self._shine(0)
            return LOOK_MS
        if self._has_alarm():
            self._colour = RED
            self._shine(0 if self._is_lit else self._percent)
            return FLICKER_MS
        pattern = self._trouble()
        if pattern is None:
            self._colour = GREEN
            self._shine(max(1, self._percent // DIM_SHARE))
            return LOOK_MS
        was_lit = self._is_lit
        self._longs, self._shorts = pattern
        self._colour = COLOURS[self._longs]
        self._shine(0)
        return PAUSE_MS if was_lit else GAP_MS

    def _shine(self, percent):
        self._is_lit = percent > 0
        self._light.set(percent, self._colour)

    def _trouble(self):
        """The next pattern; None: there is no trouble."""
        of_bms = None
        for battery in self._batteries:
            of_bms = of_bms or pattern_of_bms(battery.poller.diagnosis.code)
        trouble = self._client.trouble
        of_network = None if trouble is None else pattern_of_network(trouble[0])
        if of_bms is None or of_network is None:
            return of_bms or of_network
        self._is_network = not self._is_network
        return of_network if self._is_network else of_bms

    def _has_alarm(self):
        """Whether a protection or a fault of a battery is active."""
        for battery in self._batteries:
            for level in range(PROTECTION, BITFIELDS + 1):  # the graver ones all count, whatever else they are
                if battery.pack.raw("alarm_bits_{}", level):
                    return True
        return False

    def _is_night(self):
        minute = None if self._night is None else self._minute_of_day()
        return minute is not None and is_between(minute, *self._night)


def is_between(minute, begin, end):
    """Whether a minute of the day is in a time that may reach over midnight; an empty one has none."""
    return begin <= minute < end if begin <= end else minute >= begin or minute < end
