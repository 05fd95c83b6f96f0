# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""When the diagnostics are made: everything needed for remote support. What is in them is in report.py.

Requested with PRESS on <base>/diagnostics/set or with `diagnostics` on the console; `python -m host --replay` replays them.
Those of the first battery are published on <base>/diagnostics, of another one on <base>/<battery>/diagnostics.
"""

from adafruit_ticks import ticks_diff

from battery.unload import unload

TICK_MS = 500  # between two calls
PAUSE_MS = 5000  # between two requests: each takes 8 KB of memory for a moment


class Diagnostics:
    """Makes a JSON of each battery. `loop` counts failures, `state(now)` returns the pairs of <base>/state."""

    def __init__(self, settings, batteries, state, loop):
        self._settings = settings
        self._batteries = batteries
        self._state = state
        self._loop = loop
        self._made_at = None
        self._publish = None  # receives those of the batteries from this index on, which are made one by one
        self._next = 1

    def request(self, publish, now):
        """Pass each JSON to `publish(topic, json)`, topics without the base: the first now, those of other batteries later.

        Returns None, or the code of the refusal when it is requested too often.
        """
        if self._publish is not None or (self._made_at is not None and ticks_diff(now, self._made_at) < PAUSE_MS):
            return "requested_before"
        publish("/diagnostics", self.json(now))
        if len(self._batteries) > 1:
            self._publish = publish
            self._next = 1
        return None

    def show(self, now):
        """Print them on the console."""
        for battery in self._batteries:
            print(str(self.json(now, battery), "utf-8"))

    def tick(self, now):
        """Make the next JSON of a request; forget when the last one was made before the ticks wrap. Returns the ms until the
        next call.
        """
        if self._publish is not None:
            battery = self._batteries[self._next]
            self._publish(f"/{battery.key}/diagnostics", self.json(now, battery))
            self._next += 1
            if self._next == len(self._batteries):
                self._publish = None
        elif self._made_at is not None and ticks_diff(now, self._made_at) >= PAUSE_MS:
            self._made_at = None
        return TICK_MS

    def json(self, now, battery=None):
        """The JSON as bytes; `battery` None: the first one."""
        from .report import report  # 2 KB on a board, and 10 for the table of settings

        self._made_at = now
        text = report(self._settings, battery or self._batteries[0], self._state(now), self._loop, now)
        for name in ("app.report", "app.batteries", "app.settings", "battery.controls"):  # the settings need the last one
            unload(name)
        return text
