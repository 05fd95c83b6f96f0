# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes outputs, sensors, status LED and sleep from the settings, and connects them with the rest of the firmware.

Loaded at the start only, and only if a setting names one of them. A part whose setting is not there is not loaded.
"""

from adafruit_ticks import ticks_ms

from battery.controls import OUTPUT_CONTROL
from battery.unload import unload

from .extras import OUTPUTS, SENSOR_PINS
from .hardware import find_pin, make_output_pin
from .kept import UNUSABLE

LED_FREQUENCY = 1000  # Hz: above what eyes and cameras see flicker


class Extras:
    """What `make` has made and `connect` needs. `sources`: what is published (battery/sources.py).

    `named`: keys of the sensors that the settings name. `led`: its light, and from `take_led` on the StatusLed.
    """

    def __init__(self, outputs, sensors, named, led, sleep):
        self.outputs = outputs
        self.named = named
        self.sensors = sensors
        self.led = led
        self.sleep = sleep
        self.sources = ([] if outputs is None else [outputs]) + list(sensors)

    def take_led(self, led):
        """The light is one of this StatusLed now."""
        self.led = led


def make(settings, problems):
    """The Extras, with their pins. What is not possible is one more problem; everything else is made all the same."""
    sensors: list = []
    named = [key for key, pin in SENSOR_PINS if settings.value(pin)]
    if named:
        from .sensors_hardware import make_sensors

        sensors = make_sensors(settings, problems)
        unload("app.sensors_hardware")
    outputs = make_outputs(settings, sensors, problems)  # after the sensors, which their rules may name
    return Extras(outputs, sensors, named, make_light(settings, problems), make_sleep(settings, problems))


def connect(extras, settings, loop, batteries, bank, publisher, commands, client, screen, clock, energy_stores):
    """Give the parts what they look at, and add their jobs to the loop.

    `bank`: None with one battery; `screen`: None without; `clock`: app/clock.py, None where nothing else needs the time.
    """
    night = night_of(settings) if extras.led is not None else None
    minutes = None
    if night is not None or (extras.outputs is not None and extras.outputs.needs_time()):
        minutes = make_time_of_day(settings, loop, client, clock).minutes
    for sensor in extras.sensors:
        loop.add(sensor.key, sensor.tick)
    if extras.outputs is not None:
        connect_outputs(extras.outputs, settings, loop, batteries, bank, commands, screen, minutes)
    if extras.led is not None:
        from .status_led import StatusLed

        led = StatusLed(extras.led, settings.LED_BRIGHTNESS_PERCENT, batteries, client, night, minutes)
        extras.take_led(led)
        loop.add("status LED", led.tick)


# Outputs


def make_outputs(settings, sensors, problems):
    """The Outputs; None: there is none. One with a mistake is there, and stays off."""
    if not [number for number in range(1, OUTPUTS + 1) if settings.value(f"OUTPUT_{number}")]:
        return None
    from outputs.output import Output, Outputs

    from .output_rules import read_rules

    outputs: dict = {}
    taken: dict = {}  # pin -> the setting that has it
    for number, rule, name, pin_name, is_low in read_rules(settings, sensors, problems):
        pin = _make_output_pin(settings, f"OUTPUT_{number}", pin_name, is_low, taken, problems)
        if pin is not None and rule is not None:
            outputs[number] = Output(rule, pin.drive, settings.value("OUTPUT_OVERRIDE_MIN"))
        else:
            from outputs.faulty import FaultyOutput

            outputs[number] = FaultyOutput(name, pin)
    unload("app.output_rules")
    return Outputs(outputs, sensors, OUTPUT_CONTROL.key in settings.allowed)


def _make_output_pin(settings, key, name, is_low, taken, problems):
    """The Pin of this name; None with a problem where there is none."""
    if not name or f"{key} cannot be " in " ".join(problems):  # another setting names the same pin
        return None
    pin = find_pin(settings, key, problems, name)
    if pin is None:
        return None
    if pin in taken:  # by another name
        problems.append(f"{settings.where(key)} cannot be {name}: {taken[pin]} is; choose a free pin.")
        return None
    taken[pin] = key
    return make_output_pin(settings, key, name, pin, not is_low, problems)


def connect_outputs(outputs, settings, loop, batteries, bank, commands, screen, minutes):
    """`minutes()`: the time of day; None: no rule names it."""
    outputs.bind(batteries, bank, minutes)
    if OUTPUT_CONTROL.key in settings.allowed:
        from .outputs_commands import add_commands  # stays: a function of it is called

        add_commands(commands, settings.base_topic, outputs)
    if screen is not None:
        from display.outputs import OutputPages

        screen.add_pages(OutputPages(outputs))
    loop.add("outputs", outputs.tick)


def make_time_of_day(settings, loop, client, clock):
    """The TimeOfDay, whose job runs from now on; `clock` None: one is made."""
    from .time_of_day import TimeOfDay

    if clock is None:
        import socketpool
        import wifi

        from .clock import Clock

        clock = Clock(socketpool.SocketPool(wifi.radio), settings.NTP_SERVER, settings.UTC_OFFSET_MIN)
    time_of_day = TimeOfDay(clock, client)
    loop.add("time of day", time_of_day.tick)
    return time_of_day


# Status LED and sleep


def night_of(settings):
    """(begin, end) of LED_OFF_AT_NIGHT in minutes of the day; None: it is never off."""
    if not settings.LED_OFF_AT_NIGHT:
        return None
    from battery.minute import span_of

    night = span_of(settings.LED_OFF_AT_NIGHT)
    unload("battery.minute")
    return night


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
