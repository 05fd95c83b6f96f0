# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the outputs of the stand-in chip switch: the pins that OUTPUT_1 to OUTPUT_8 of the settings name.

The settings are read here with a few lines of their own, so that an error of the firmware's reader shows against them.
"""

from __future__ import annotations

import re

from host import chip, drive

_OUTPUTS = range(1, 9)
_RULE = re.compile(r"(?:(?P<name>[^:]*?)\s*:)?\s*(?P<pin>\w+)\s+on\s+when\s+.*", re.IGNORECASE)
_LOW = re.compile(r",\s*active\s+low\b", re.IGNORECASE)


class Load:
    """What a pin switches. `is_on`: whether it gets its active level; a pin that is not driven is inactive."""

    def __init__(self, name: str = "", active_low: bool = False):
        self.name = name
        self.is_on = False
        self._active_low = active_low

    def drive(self, level: bool | None) -> bool:
        """The pin is high, low or, with None, not driven; returns whether `is_on` has changed."""
        before, self.is_on = self.is_on, level is not None and level != self._active_low
        return self.is_on != before


def connect(text: bytes) -> None:
    """Connect a Load to each pin that an output of the settings `text` names."""
    import board

    pins = {known.lower(): pin._name for known, pin in vars(board).items() if isinstance(pin, type(board.IO0))}
    for number in _OUTPUTS:
        found = _RULE.fullmatch(drive.text_of(text, f"OUTPUT_{number}") or "")
        if found is not None and found["pin"].lower() in pins:
            chip.loads[pins[found["pin"].lower()]] = Load(found["name"] or f"Output {number}", bool(_LOW.search(found[0])))
