# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Texts that stand at several places in compiled modules are in memory once: among the names, which MicroPython keeps for good.

A text of more than ten characters is else an object at each place: 48 bytes on a board with 32-bit words for a reading's key,
which stands in the table of readings, in a protocol's map, in what publishes it and what announces it. As a name it is 8 bytes
and its letters. MicroPython takes a text that it has among its names from there when it loads a constant or joins two texts
(py/objstr.c), so it suffices that FIRST, which is loaded before most others, brings them as names. Only texts of modules that
are always loaded: others would stay behind when their module is unloaded. One that stands at one place stays an object: the
table of names doubles when it is full.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator

from tools.pack_lines import HEADER, TEXT, TUPLE, Reader, number

FIRST = "daly/core.mpy"
ALWAYS = (FIRST, "app/core.mpy", "daly/a5.mpy", "display/core.mpy", "mqtt/core.mpy")  # A5: most boards speak it
LONGEST = 255  # of a name


def with_shared_texts(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same compiled files, in which FIRST has as names what stands at several places, one of them in ALWAYS."""
    found = {path: list(texts(mpy)) for path, mpy in files.items() if path.endswith(".mpy")}
    places = collections.Counter(text for some in found.values() for text in some)
    always = {text for path in ALWAYS for text in found[path]}
    shared = sorted(text for text in always if places[text] > 1 and 0 < len(text) <= LONGEST)
    known = names(files[FIRST])
    return {**files, FIRST: _with_names(files[FIRST], [text for text in shared if text not in known])}


def texts(mpy: bytes) -> Iterator[bytes]:
    """Every text among the constants of a compiled module, as often as it is there."""
    reader, _, constants = _behind_names(mpy)
    for _ in range(constants):
        yield from _of_constant(reader)


def names(mpy: bytes) -> list[bytes]:
    """The names of a compiled module that are not MicroPython's own."""
    reader = Reader(mpy, HEADER)
    count = reader.number()
    reader.number()
    found = [_name(reader) for _ in range(count)]
    return [name for name in found if name is not None]


def _name(reader: Reader) -> bytes | None:
    length = reader.number()
    return None if length & 1 else reader.take((length >> 1) + 1)[:-1]


def _behind_names(mpy: bytes) -> tuple[Reader, int, int]:
    """(reader behind the names, how many there are, how many constants follow)."""
    reader = Reader(mpy, HEADER)
    count, constants = reader.number(), reader.number()
    for _ in range(count):
        _name(reader)
    return reader, count, constants


def _of_constant(reader: Reader) -> Iterator[bytes]:
    kind = reader.take(1)[0]
    assert kind <= TUPLE, kind
    if kind < TEXT:
        return
    length = reader.number()
    if kind == TUPLE:
        for _ in range(length):
            yield from _of_constant(reader)
    else:
        data = reader.take(length + (kind in (TEXT, TEXT + 1)))
        if kind == TEXT:
            yield data[:length]


def _with_names(mpy: bytes, more: list[bytes]) -> bytes:
    """The module with more names behind its own: nothing refers to them by their number."""
    reader, count, constants = _behind_names(mpy)
    start = Reader(mpy, HEADER)
    start.number()
    start.number()
    added = b"".join(number(len(name) << 1) + name + b"\0" for name in more)
    head = mpy[:HEADER] + number(count + len(more)) + number(constants)
    return head + mpy[start.at : reader.at] + added + mpy[reader.at :]
