# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""When the diagnostics are made: everything needed for remote support. What is in them is in report.py.

Requested with PRESS on <base>/diagnostics/set or with `diagnostics` on the console; `python -m host --replay` replays them.
Those of the first battery are published on <base>/diagnostics, of another one on <base>/<battery>/diagnostics. The page in the
browser offers them as a file, made in steps.
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
        self._send = None  # receives those that are still to be made: send(battery, json)
        self._next = 0  # the index of the first one of them

    def is_possible(self, now):
        """Whether the last ones are long enough ago."""
        return self._send is None and (self._made_at is None or ticks_diff(now, self._made_at) >= PAUSE_MS)

    def request(self, publish, now):
        """Pass each JSON to `publish(topic, json)`, topics without the base, one in each of the next calls of `tick`.

        Returns None, or the code of the refusal when it is requested too often.
        """
        if not self.is_possible(now):
            return "requested_before"
        first = self._batteries[0]

        def send(battery, json):
            publish("/diagnostics" if battery is first else f"/{battery.key}/diagnostics", json)

        self._begin(send)
        return None

    def show(self, _now):
        """Print them on the console, one after the other, too."""
        if self._send is None:
            self._begin(_print)
        else:
            print("Diagnostics: refused, they are being made")

    def _begin(self, send):
        """They are made in `tick`: the call stack is short there, and a command's answer does not wait for them."""
        self._send = send
        self._next = 0

    def tick(self, now):
        """Make the next JSON of a request; forget when the last one was made before the ticks wrap. Returns the ms until the
        next call.
        """
        if self._send is not None:
            self._make(now)
        elif self._made_at is not None and ticks_diff(now, self._made_at) >= PAUSE_MS:
            self._made_at = None
        return TICK_MS

    def _make(self, now):
        """The next one. What is needed for it stays until the last one is made."""
        send = self._send
        battery = self._batteries[self._next]
        self._next += 1  # also if it fails
        if self._next == len(self._batteries):
            self._send = None
        send(battery, self.json(now, battery))

    def json(self, now, battery=None):
        """The JSON as bytes; `battery` None: the first one."""
        self._made_at = now
        try:
            from .report import report  # 2 KB on a board, and 10 for the table of settings

            return report(self._settings, battery or self._batteries[0], self._state(now), self._loop, now)
        finally:
            self._unload()

    def steps(self, writer, battery, values, pairs, now):
        """The JSON of a battery, as a generator: see `report_steps`. `pairs`: of <base>/state, read before."""
        self._made_at = now
        try:
            from . import settings  # noqa: F401  # each of the two takes 0.1 s or more to load on an ESP32-S2: two passes

            yield
            from .report import report_steps

            yield
            yield from report_steps(writer, self._settings, battery, values, pairs, self._loop, now)
        finally:
            self._unload()

    def _unload(self):
        if self._send is None:
            for name in ("app.report", "app.batteries", "app.settings", "battery.controls"):  # the settings need it
                unload(name)


def _print(_battery, json):
    print(str(json, "utf-8"))
