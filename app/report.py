# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The diagnostics as one JSON of less than 8 KB, without any secret. Loaded when they are requested."""

import os
import sys

import board

from battery.json import Writer, pack_steps, pair_steps

from .settings import SECRET, SETTINGS, SWITCH
from .version import VERSION

LIMIT = 8150  # so that frames remain in the largest one
# Shown only as set or not, like every secret. The name of a network shows where its owner lives.
PRIVATE = ("MQTT_USERNAME", "CIRCUITPY_WIFI_SSID")
MOST_PROBLEMS = 5


def report(settings, battery, state, loop, now):
    """The JSON as bytes. `loop` counts failures, `state`: the pairs of <base>/state."""
    writer = Writer()
    pieces: list = []
    for _ in report_steps(writer, settings, battery, battery.pack, state, loop, now):
        pieces.append(writer.bytes())
        writer.clear()
    return b"".join(pieces)


def report_steps(writer, settings, battery, values, state, loop, now):
    """The same as a generator of short steps: each puts a piece into `writer`, which the caller takes and clears.

    `values`: the battery's readings; those of one moment, where time passes between the steps.
    """
    length = 0
    for _ in _readings_steps(writer, settings, battery, values, state, loop):
        length += len(writer)
        yield
    writer.put(b',"frames":[')
    separator = b'"'
    for line in battery.poller.trace.lines(now, LIMIT - length - len(writer) - 2):
        writer.put(separator).put(line).put(b'"')
        separator = b',"'
        yield
    writer.put(b"]}")
    yield


def _readings_steps(writer, settings, battery, values, state, loop):
    """All but the frames."""
    writer.put(b'{"diagnostics":1,"versions":').put_pairs(_versions())
    yield
    writer.put(b',"settings":')
    yield from pair_steps(writer, ((row.key, _shown(row, getattr(settings, row.key))) for row in _rows(settings)))
    writer.put(b',"settings_problems":[')
    for index, problem in enumerate(settings.problems[:MOST_PROBLEMS]):
        yield
        writer.put(b"," if index else b"").put_string(_plain(problem, 150))
    writer.put(b'],"state":')
    yield
    yield from pair_steps(writer, [pair for pair in state if pair[0] != "settings_problems"])
    writer.put(b',"failures":').put_decimal(loop.failures, 0)
    writer.put(b',"last_failure":').put_string(_plain(loop.last_failure or "none", 80))
    if battery.label:
        writer.put(b',"battery":').put_string(battery.key)
    yield
    writer.put(b',"connection":').put_string(_plain(battery.poller.diagnosis.text, 200))
    writer.put(b',"readings":')
    yield
    yield from pack_steps(writer, values)


def _rows(settings):
    if not settings.more:
        return SETTINGS
    from . import batteries, extras

    return SETTINGS + batteries.rows_for(settings.more) + extras.rows_for(settings.more)


def _shown(setting, value):
    if setting.kind == SECRET or setting.key in PRIVATE:
        return "set" if value else "not set"
    if setting.kind == SWITCH:
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
