# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A pin of this board that switches something."""


class Pin:
    """An output, inactive at first. `output`: a digitalio.DigitalInOut, still an input; `active_high`: its active level."""

    def __init__(self, output, active_high):
        self._output = output
        self._active_high = active_high
        output.switch_to_output(not active_high)  # level and direction in one call: what is active low must not twitch

    def drive(self, active):
        """Set the pin active or not."""
        output = self._output
        output.value = active == self._active_high
