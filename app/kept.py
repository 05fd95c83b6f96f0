# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the start leaves behind: small objects, so that the modules that made them can be unloaded."""

import busio
import displayio
from adafruit_ticks import ticks_diff

OLED_FREQUENCY = 400000  # the most that SSD1306 and SH1106 are specified for
JOIN_AFTER_MS = 1000  # a BMS that responds has done so by then, also when its protocol and address are looked for
# What a driver or library raises that is missing, incomplete or of another version, or for which there is no memory
UNUSABLE = (ImportError, MemoryError, SyntaxError, AttributeError, TypeError)


class Values:
    """The values of the settings, one attribute each, with `problems`, `hints`, `allowed`, `identity` and `base_topic`."""

    def __init__(self, settings, keys):
        for key in keys:
            setattr(self, key, getattr(settings, key))


class PanelOpener:
    """Opens the OLED according to the settings; `scl` and `sda` are pins."""

    def __init__(self, settings, scl, sda):
        self._settings = settings
        self._scl = scl
        self._sda = sda
        self._was_printed = False
        self._is_unusable = False  # its driver cannot be loaded: it is not tried again until the next start

    def open(self):
        """A Panel; None when there is no OLED: the reason is printed once."""
        if self._is_unusable:
            return None
        try:
            return self._open()
        except UNUSABLE as error:
            self._is_unusable = True
            print_unusable(error)
        except (RuntimeError, ValueError) as error:
            if not self._was_printed:
                self._was_printed = True
                print(f"No OLED: {error}. Continuing without it, and retrying; if there is none, set OLED = false.")
        return None

    def _open(self):
        displayio.release_displays()  # a display that survived a reload holds the pins
        i2c = busio.I2C(self._scl, self._sda, frequency=OLED_FREQUENCY)  # RuntimeError: no pull-ups, so no OLED
        try:
            from display.panel import Panel  # with libraries, only with OLED

            settings = self._settings
            return Panel(i2c, settings.OLED_TYPE, settings.OLED_ADDRESS, settings.OLED_HEIGHT, settings.OLED_ROTATION)
        except UNUSABLE:
            displayio.release_displays()
            i2c.deinit()
            raise


def print_unusable(error):
    """Say that the screen cannot be used, and that this is all."""
    reason = f"{type(error).__name__} {error}".strip()
    print(f"No OLED: its files cannot be loaded ({reason}). Continuing without it; copy all files of the bundle again.")


class AfterFirstResponse:
    """The MqttClient's tick, once every BMS has responded or `limit_ms` have passed: joining the Wi-Fi blocks for seconds.

    A whole poll cycle is not waited for: the rest of it is read while the bridge connects, and the first state is not later.
    """

    def __init__(self, poller, tick, now, limit_ms=JOIN_AFTER_MS):
        self._poller = poller
        self._limit_ms = limit_ms
        self._tick = tick
        self._since = now  # None: it has begun

    def tick(self, now):
        """What the client's tick returns."""
        if self._since is not None:
            if not self._poller.online and ticks_diff(now, self._since) < self._limit_ms:
                return None
            self._since = None
        return self._tick(now)
