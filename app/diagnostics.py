# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The diagnostics: everything needed for remote support, as one JSON of less than 8 KB, without any secret.

Requested with PRESS on <base>/diagnostics/set or with `diagnostics` on the console; `python -m host --replay` replays them.
"""

import os
import sys

import board
from adafruit_ticks import ticks_diff

from battery.json import Writer, write_pack
from battery.unload import unload

from .version import VERSION

TICK_MS = 500  # between two calls
LIMIT = 8000
# Shown only as set or not, like every secret. The name of a network shows where its owner lives.
PRIVATE = ("MQTT_USERNAME", "CIRCUITPY_WIFI_SSID")
PAUSE_MS = 5000  # between two requests: each takes 8 KB of memory for a moment
MOST_PROBLEMS = 5


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
        from . import settings as table  # 10 KB on a board, which only this needs after the start

        self._made_at = now
        writer = Writer()
        writer.put(b'{"diagnostics":1,"versions":').put_pairs(_versions())
        writer.put(b',"settings":').put_pairs([(row.key, self._shown(row, table)) for row in table.SETTINGS])
        unload("app.settings")
        writer.put(b',"settings_problems":[')
        for index, problem in enumerate(self._settings.problems[:MOST_PROBLEMS]):
            writer.put(b"," if index else b"").put_string(_plain(problem, 150))
        pairs = [pair for pair in self._state(now) if pair[0] != "settings_problems"]
        writer.put(b'],"state":').put_pairs(pairs)
        writer.put(b',"failures":').put_decimal(self._loop.failures, 0)
        writer.put(b',"last_failure":').put_string(_plain(self._loop.last_failure or "none", 80))
        writer.put(b',"connection":').put_string(_plain(self._poller.diagnosis.text, 200))
        writer.put(b',"readings":')
        write_pack(writer, self._poller.pack)
        writer.put(b',"frames":[')
        separator = b'"'
        for line in self._poller.trace.lines(now, LIMIT - len(writer) - 2):
            writer.put(separator).put(line).put(b'"')
            separator = b',"'
        return writer.put(b"]}").bytes()

    def _shown(self, setting, table):
        value = getattr(self._settings, setting.key)
        if setting.kind == table.SECRET or setting.key in PRIVATE:
            return "set" if value else "not set"
        if setting.kind == table.SWITCH:
            return "true" if value else "false"
        if isinstance(value, str):
            return "set, not shown" if "@" in value else _plain(value, 64)  # mqtt://user:password@host
        return value


def _versions():
    system = os.uname()
    return (
        ("firmware", VERSION),
        ("python", sys.implementation.name + " " + ".".join([str(part) for part in sys.implementation.version[:3]])),
        ("system", _plain(system.version, 60)),
        ("machine", _plain(system.machine, 80)),
        ("board", board.board_id),
    )


def _plain(text, limit):
    """At most `limit` characters, printable ASCII only, so that each is one byte."""
    return "".join(char if " " <= char <= "~" else "?" for char in text[:limit])
