# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes outputs, sensors, status LED and sleep from the settings, and connects them with the rest of the firmware.

Loaded at the start only, and only if a setting names one of them. A part whose setting is not there is not loaded.
"""

from battery.controls import OUTPUT_CONTROL
from battery.unload import unload

from .extras import OUTPUTS
from .hardware import find_pin, make_output_pin


class Extras:
    """What `make` has made and `connect` needs. `sources`: what is published (battery/sources.py)."""

    def __init__(self, outputs, sensors, led, sleep):
        self.outputs = outputs
        self.sensors = sensors
        self.led = led
        self.sleep = sleep
        self.sources = ([] if outputs is None else [outputs]) + list(sensors)


def make(settings, problems):
    """The Extras, with their pins. What is not possible is one more problem; everything else is made all the same."""
    sensors: list = []
    outputs = make_outputs(settings, sensors, problems)  # after the sensors, which their rules may name
    return Extras(outputs, sensors, None, None)


def connect(extras, settings, loop, batteries, bank, publisher, commands, client, screen, clock, energy_stores):
    """Give the parts what they look at, and add their jobs to the loop.

    `bank`: None with one battery; `screen`: None without; `clock`: app/clock.py, None where nothing else needs the time.
    """
    if extras.outputs is not None:
        minutes = None
        if extras.outputs.needs_time():
            minutes = make_time_of_day(settings, loop, client, clock).minutes
        connect_outputs(extras.outputs, settings, loop, batteries, bank, commands, screen, minutes)


# Outputs


def make_outputs(settings, sensors, problems):
    """The Outputs; None: there is none. One with a mistake stays off: its pin, if it is known, is held inactive."""
    if not [number for number in range(1, OUTPUTS + 1) if settings.value(f"OUTPUT_{number}")]:
        return None
    from outputs.output import Output, Outputs
    from outputs.pin import hold

    from .output_rules import read_rules

    outputs = {}
    taken: dict = {}  # pin -> the setting that has it
    for number, rule, name, is_low in read_rules(settings, sensors, problems):
        pin = _make_output_pin(settings, f"OUTPUT_{number}", name, is_low, taken, problems)
        if pin is not None and rule is not None:
            outputs[number] = Output(rule, pin.drive, settings.value("OUTPUT_OVERRIDE_MIN"))
        elif pin is not None:
            hold(pin)
    unload("app.output_rules")
    if not outputs:
        return None
    made = Outputs(outputs, sensors, OUTPUT_CONTROL.key in settings.allowed)
    if made.needs_time() and not settings.NTP_SERVER:
        problems.append("NTP_SERVER is empty, so the time that an output names is never known; write a server.")
    return made


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
