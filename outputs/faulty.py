# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""An output whose line in the settings has a mistake. Loaded only if there is one."""

from .output import AUTO


class FaultyOutput:
    """In place of an Output: it stays off and says so, and its entities, with all that a person has made of them, stay, too.

    `pin`: held inactive, as one that is forgotten may float; None: it is not known, or another part has it.
    """

    is_on = False
    is_timed = False
    mode = AUTO
    changes = 0

    def __init__(self, name, pin):
        self.name = name
        self._pin = pin

    def bind(self, batteries, bank, minutes):
        """As of an Output."""

    def values(self):
        """As of an Output."""
        return ()

    def set_mode(self, mode, seconds):
        """A person cannot switch it on."""

    def evaluate(self, seconds, alarm):
        """As of an Output."""

    def reason(self):
        """As of an Output."""
        return "off: its line in the settings has a mistake"
