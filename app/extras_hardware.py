# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes outputs, sensors, status LED and sleep from the settings, and connects them with the rest of the firmware.

Loaded at the start only, and only if a setting names one of them. A part whose setting is not there is not loaded.
"""


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
    return Extras(None, [], None, None)


def connect(extras, settings, loop, batteries, bank, publisher, commands, client, screen, clock, energy_stores):
    """Give the parts what they look at, and add their jobs to the loop.

    `bank`: None with one battery; `screen`: None without; `clock`: app/clock.py, None where nothing else needs the time.
    """
