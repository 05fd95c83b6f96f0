# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""When the diagnostics are made: everything needed for remote support. What is in them is in report.py.

Requested with PRESS on <base>/diagnostics/set or with `diagnostics` on the console; `python -m host --replay` replays them.
"""

from adafruit_ticks import ticks_diff

from battery.unload import unload

TICK_MS = 500  # between two calls
PAUSE_MS = 5000  # between two requests: each takes 8 KB of memory for a moment


class Diagnostics:
    """Makes the JSON. `loop` counts failures, `state(now)` returns the pairs of <base>/state."""

    def __init__(self, settings, poller, state, loop):
        self._settings = settings
        self._poller = poller
        self._state = state
        self._loop = loop
        self._made_at = None

    def request(self, publish, now):
        """Pass the JSON to `publish`. Returns None, or the code of the refusal when it is requested too often."""
        if self._made_at is not None and ticks_diff(now, self._made_at) < PAUSE_MS:
            return "requested_before"
        publish(self.json(now))
        return None

    def show(self, now):
        """Print the JSON on the console."""
        print(str(self.json(now), "utf-8"))

    def tick(self, now):
        """Forget when the last JSON was made before the ticks wrap. Returns the ms until the next call."""
        if self._made_at is not None and ticks_diff(now, self._made_at) >= PAUSE_MS:
            self._made_at = None
        return TICK_MS

    def json(self, now):
        """The JSON as bytes."""
        from .report import report  # 2 KB on a board, and 10 for the table of settings

        self._made_at = now
        text = report(self._settings, self._poller, self._state(now), self._loop, now)
        unload("app.report")
        unload("app.settings")
        unload("battery.controls")  # which the settings need
        return text
