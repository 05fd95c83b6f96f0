# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The diagnostics as one JSON of less than 8 KB, without any secret. Loaded when they are requested."""

import os
import sys

import board

from daly.core import u, k, l

from .settings import n



# Shown only as set or not, like every secret. The name of a network shows where its owner lives.




def report(a, b, c, d, f):
    """The JSON as bytes. `loop` counts failures, `state`: the pairs of <base>/state."""
    g = u()
    h: list = []
    for i in e(g, a, b, b.pack, c, d, f):
        h.append(g.bytes())
        g.clear()
    return b"".join(h)


def e(g, b, c, d, e, f, h):
    """The same as a generator of short steps: each puts a piece into `writer`, which the caller takes and clears.

    `values`: the battery's readings; those of one moment, where time passes between the steps.
    """
    i = 0
    for j in a(g, b, c, d, e, f):
        i += len(g)
        yield
    g.r(b',"frames":[')
    k = b'"'
    for l in c.g.bY.c(h, 8000 - i - len(g) - 2):
        g.r(k).r(l).r(b'"')
        k = b',"'
        yield
    g.r(b"]}")
    yield


def a(g, a, e, f, h, j):
    """All but the frames."""
    g.r(b'{"diagnostics":1,"versions":').g(d())
    yield
    g.r(b',"settings":')
    yield from l(g, ((o.key, c(o, getattr(a, o.key))) for o in i(a)))
    g.r(b',"settings_problems":[')
    for m, n in enumerate(a.problems[:5]):
        yield
        g.r(b"," if m else b"").h(b(n, 150))
    g.r(b'],"state":')
    yield
    yield from l(g, [p for p in h if p[0] != "settings_problems"])
    g.r(b',"failures":').f(j.e, 0)
    g.r(b',"last_failure":').h(b(j.m or "none", 80))
    if e.a:
        g.r(b',"battery":').h(e.key)
    yield
    g.r(b',"connection":').h(b(e.g.bE.text, 200))
    g.r(b',"readings":')
    yield
    yield from k(g, f)


def i(a):
    if not a.more:
        return n
    from . import batteries as b, extras as c

    return n + b.i(a.more) + c.i(a.more)


def c(a, c):
    if a.e == 4 or a.key in ('MQTT_USERNAME', 'CIRCUITPY_WIFI_SSID'):
        return "set" if c else "not set"
    if a.e == 2:
        return "true" if c else "false"
    if isinstance(c, str):
        return "set, not shown" if "@" in c else b(c, 64)  # mqtt://user:password@host
    return c


def d():
    a = os.uname()
    return (
        ("firmware", '0.1.0'),
        ("python", sys.implementation.name + " " + ".".join([str(c) for c in sys.implementation.version[:3]])),
        ("system", b(a.version, 60)),
        ("machine", b(a.machine, 80)),
        ("board", board.board_id),
    )


def b(a, b):
    """At most `limit` characters, printable ASCII only, so that each is one byte."""
    return "".join(c if " " <= c <= "~" else "?" for c in a[:b])
