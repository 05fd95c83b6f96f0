# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the bridge knows besides its batteries: outputs and sensors, each a *source*. Loaded only where there is one.

A source has these members; publisher, Home Assistant, rules and screen need nothing else of it:

| Member | Meaning |
|---|---|
| `key` | part of its topic, <base>/<key>/state, and of its ids |
| `device` | its device's name behind the bridge's, such as "temperatures"; None: it belongs to the bridge's own device |
| `model` | its device's model |
| `rows` | a list of Row, which only grows at its end: an entity must not move to another discovery message |
| `changes` | counts up, perhaps wrapping, whenever a value or the rows may have changed |
| `raw(key)` | int of a NUMBER, 0 or 1 of a BINARY, str of a TEXT or ENUM; None: it is not known now |
| `is_measured()` | of sensors only: whether each of them has a value now. A bridge that sleeps waits for it, but not long |
"""

from collections import namedtuple

from .json import bounded
from .readings import BINARY, ENUM, MAIN, NUMBER, TEXT

PER_MESSAGE = 5  # rows in one discovery message: up to 650 bytes each, as most have their own availability

# One value. name: None keeps the place of a value that there is not; it is not published, and Home Assistant removes it.
# decimals: value = raw / 10**decimals; deadband: a smaller change of raw is published with the next one only; icon,
# device_class: Home Assistant's, or None; category: of battery/readings.py; is_total: it only grows, or starts again from 0;
# options: words of an ENUM; command: below the base topic, of an ENUM that can be chosen; None: it can not
Row = namedtuple(
    "Row",
    (
        "key",
        "name",
        "kind",
        "unit",
        "decimals",
        "deadband",
        "device_class",
        "icon",
        "category",
        "is_total",
        "options",
        "command",
    ),
)


def number(key, name, unit, decimals, deadband=1, device_class=None, icon=None, category=MAIN, is_total=False):
    """The row of a number; `unit`: "" for none."""
    return Row(key, name, NUMBER, unit, decimals, deadband, device_class, icon, category, is_total, (), None)


def binary(key, name, device_class=None, icon=None, category=MAIN):
    """The row of a value that is 0 or 1."""
    return Row(key, name, BINARY, "", 0, 1, device_class, icon, category, False, (), None)


def text(key, name, icon=None, category=MAIN):
    """The row of words that are not known beforehand."""
    return Row(key, name, TEXT, "", 0, 1, None, icon, category, False, (), None)


def enum(key, name, options, icon=None, category=MAIN, command=None):
    """The row of one of these words."""
    return Row(key, name, ENUM, "", 0, 1, None, icon, category, False, options, command)


_AT_ONCE = 4  # values written in one step


def source_steps(writer, rows, values):
    """Write the raw values of a source's rows as one JSON object: a generator, a few in each step; yields False."""
    separator = b'{"'
    for position in range(len(values)):
        if position and not position % _AT_ONCE:
            yield False
        row = rows[position]
        raw = values[position]
        if row.name is None:
            continue
        writer.put(separator).put(row.key).put(b'":')
        separator = b',"'
        if raw is None:
            writer.put(b"null")
        elif row.kind == BINARY:
            writer.put(b'"ON"' if raw else b'"OFF"')
        elif isinstance(raw, str):
            writer.put_string(bounded(raw))
        else:
            writer.put_decimal(raw, row.decimals)
    writer.put(b"}" if separator == b',"' else b"{}")
