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

from tools.pack_mpy import HEADER, Head, number

FIRST = "daly/core.mpy"
ALWAYS = (FIRST, "app/core.mpy", "daly/a5.mpy", "display/core.mpy", "mqtt/core.mpy")  # A5: most boards speak it
LONGEST = 255  # of a name


def with_shared_texts(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same compiled files, in which FIRST has as names what stands at several places, one of them in ALWAYS."""
    heads = {path: Head(mpy) for path, mpy in files.items() if path.endswith(".mpy")}
    places = collections.Counter(text for head in heads.values() for text in head.texts)
    always = {text for path in ALWAYS for text in heads[path].texts}
    shared = sorted(text for text in always if places[text] > 1 and 0 < len(text) <= LONGEST)
    first = heads[FIRST]
    return {**files, FIRST: _with_names(files[FIRST], first, [text for text in shared if text not in first.names])}


def _with_names(mpy: bytes, head: Head, more: list[bytes]) -> bytes:
    """The module with more names behind its own: nothing refers to them by their number."""
    added = b"".join(number(len(name) << 1) + name + b"\0" for name in more)
    counts = number(head.name_count + len(more)) + number(head.constant_count)
    return mpy[:HEADER] + counts + mpy[head.names_at : head.constants_at] + added + mpy[head.constants_at :]
