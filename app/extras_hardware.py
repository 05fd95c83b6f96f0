# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes outputs, sensors, status LED and sleep from the settings, and connects them with the rest of the firmware.

Loaded at the start only, and only if a setting names one of them. A part whose setting is not there is not loaded.
"""

from adafruit_ticks import ticks_ms

from .hardware import find_pin
from .kept import UNUSABLE

LED_FREQUENCY = 1000  # Hz: above what eyes and cameras see flicker


class Extras:
    """What `make` has made and `connect` needs. `sources`: what is published (battery/sources.py).

    `led`: its light, and from `take_led` on the StatusLed. `needs_time`: one of them needs the time of day.
    """

    def __init__(self, outputs, sensors, led, sleep, needs_time):
        self.outputs = outputs
        self.sensors = sensors
        self.led = led
        self.sleep = sleep
        self.sources = ([] if outputs is None else [outputs]) + list(sensors)
        self.needs_time = needs_time

    def take_led(self, led):
        """The light is one of this StatusLed now."""
        self.led = led


def make(settings, problems):
    """The Extras, with their pins. What is not possible is one more problem; everything else is made all the same."""
    led = make_light(settings, problems)
    needs_time = led is not None and settings.LED_OFF_AT_NIGHT != ""
    return Extras(None, [], led, make_sleep(settings, problems), needs_time)


def make_light(settings, problems):
    """What the status LED shines with; None without LED_PIN, or, with one more problem, where that is not possible."""
    if not settings.LED_PIN:
        return None
    pin = find_pin(settings, "LED_PIN", problems)
    if pin is None:
        return None
    try:
        if settings.LED_TYPE == "NEOPIXEL":
            import neopixel  # 4 KB on a board

            from .status_led import PixelLight

            return PixelLight(neopixel.NeoPixel(pin, 1, auto_write=False))
        import pwmio

        from .status_led import GpioLight

        return GpioLight(pwmio.PWMOut(pin, frequency=LED_FREQUENCY), settings.LED_ACTIVE_HIGH)
    except (ValueError, RuntimeError):
        problems.append(f"{settings.where('LED_PIN')}: {settings.LED_PIN} is in use or cannot drive an LED; choose a free pin.")
    except UNUSABLE as error:
        reason = f"{type(error).__name__} {error}".strip()
        print(f"No LED: its files cannot be loaded ({reason}). Continuing without it; copy all files of the bundle again.")
    return None


def make_sleep(settings, problems):
    """The Sleep; None without SLEEP_MINUTES, or, with one more problem, where this firmware has no deep sleep."""
    if not settings.SLEEP_MINUTES:
        return None
    try:
        import alarm
    except ImportError:
        problems.append(f"{settings.where('SLEEP_MINUTES')}: this board's CircuitPython has no deep sleep; remove it.")
        return None
    from .sleep import Sleep

    return Sleep(settings.SLEEP_MINUTES, alarm.sleep_memory, alarm.wake_alarm is not None, ticks_ms())


def connect(extras, settings, loop, batteries, bank, publisher, commands, client, screen, clock, energy_stores):
    """Give the parts what they look at, and add their jobs to the loop.

    `bank`: None with one battery; `screen`: None without; `clock`: app/clock.py, None where nothing else needs the time.
    """
    minute_of_day = None
    if extras.needs_time:
        from .daytime import DayTime

        day_time = DayTime(clock, client)
        minute_of_day = day_time.minute
        loop.add("time of day", day_time.tick)
    if extras.led is not None:
        from .status_led import StatusLed, parse_night

        night = parse_night(settings.LED_OFF_AT_NIGHT) if settings.LED_OFF_AT_NIGHT else None
        led = StatusLed(extras.led, settings.LED_BRIGHTNESS_PERCENT, batteries, client, night, minute_of_day)
        extras.take_led(led)
        loop.add("status LED", led.tick)
