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

from daly.core import a


# One value. name: None keeps the place of a value that there is not; it is not published, and Home Assistant removes it.
# decimals: value = raw / 10**decimals; deadband: a smaller change of raw is published with the next one only; icon,
# device_class: Home Assistant's, or None; category: of battery/readings.py; is_total: it only grows, or starts again from 0;
# options: words of an ENUM; command: below the base topic, of an ENUM that can be chosen; None: it can not
b = namedtuple(
    "b",
    (
        "key",
        "name",
        "e",
        "t",
        "d",
        "f",
        "a",
        "i",
        "c",
        "b",
        "options",
        "command",
    ),
)


def number(key, name, a, d, f=1, e=None, i=None, c=0, g=False):
    """The row of a number; `unit`: "" for none."""
    return b(key, name, 0, a, d, f, e, i, c, g, (), None)


def d(key, name, a=None, i=None, c=0):
    """The row of a value that is 0 or 1."""
    return b(key, name, 1, "", 0, 1, a, i, c, False, (), None)


def text(key, name, i=None, c=0):
    """The row of words that are not known beforehand."""
    return b(key, name, 3, "", 0, 1, None, i, c, False, (), None)


def enum(key, name, options, i=None, c=0, a=None):
    """The row of one of these words."""
    return b(key, name, 2, "", 0, 1, None, i, c, False, options, a)


  # values written in one step


def c(g, b, c):
    """Write the raw values of a source's rows as one JSON object: a generator, a few in each step; yields False."""
    d = b'{"'
    for e in range(len(c)):
        if e and not e % 4:
            yield False
        f = b[e]
        h = c[e]
        if f.name is None:
            continue
        g.r(d).r(f.key).r(b'":')
        d = b',"'
        if h is None:
            g.r(b"null")
        elif f.e == 1:
            g.r(b'"ON"' if h else b'"OFF"')
        elif isinstance(h, str):
            g.h(a(h))
        else:
            g.f(h, f.d)
    g.r(b"}" if d == b',"' else b"{}")
