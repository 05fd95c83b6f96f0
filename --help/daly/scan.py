# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A scan of a line: which board numbers respond, beside those that are read. Only reads; no I/O, no clock. Loaded on demand.

Each number is asked with P81 and with A5, one try at a time between the ordinary requests, which go on. Whether what comes is
an answer, its content decides. D2 has no numbers. Numbers that did not respond are asked a second time.
"""

from adafruit_ticks import ticks_diff




  # for the first byte: boards think up to 200 ms
  # for the last one: 141 bytes of P81 take 147 ms
  # a response that has begun is over when the line is quiet for so long
  # after a response
  # from one try to the next: half of the line is left for the ordinary requests



class Scan:
    """Used by the Bus in the place of `poller`, which is asked through it; `numbers`: those that are read already.

    `done(found)` is called once with a list of (number, "A5" or "P81").
    """

    def __init__(b, c, a, d):
        b.l = c
        b.k = d
        b.m: list = []
        a = [e for e in range(1, 16 + 1) if e not in a]
        b.t = [(g, h) for f in range(2) for g in ("P81", "A5") for h in a]
        b.d = 0
        b.M = None  # of the open try; None: none is open
        b.L = None
        b.A = None
        b.o = False

    @property
    def q(a):
        """Whether everything has been asked."""
        return a.M is None and not a.t

    def C(a, b, c, d):
        """As that of Poller."""
        if a.M is None:
            a.l.C(b, c, d)
            return
        if c:
            a.A = d
        for e in range(c):
            if a.M.feed(b[e], d) == 2 and a.M.F():
                a.o = True

    def poll(a, b):
        """As that of Poller."""
        if a.M is not None:
            if a.p(b):
                return None
            a.f()
        if a.t and (a.L is None or ticks_diff(b, a.L) >= 800):
            a.l.B(b)
            if a.l.o(b):
                return None
            if a.l.I(b):
                return a.c(b)
        return a.l.poll(b)

    def B(a, b):
        """As that of Poller."""
        if a.M is None:
            a.l.B(b)

    def u(a, b):
        """As that of Poller."""
        return a.l.u(b) if a.M is None else 300

    def j(a):
        """Report what was found."""
        a.m.sort()
        a.k(a.m)

    def c(a, b):
        c, a.d = a.t.pop(0)
        a.L = b
        a.A = None
        a.o = False
        try:
            a.M = D(c, a.d)
        except (MemoryError, ImportError):  # then it cannot be read either
            a.t = [d for d in a.t if d[0] != c]
            return None
        a.M.open(0)
        return a.M.z(0)

    def p(a, b):
        c = ticks_diff(b, a.L)
        if a.A is None:
            return c < 300
        d = 10 if a.o else 30
        return c < 600 and (ticks_diff(b, a.A) < d or c < 30)

    def f(a):
        a.l.J(a.L if a.A is None else a.A)
        if a.o:
            a.m.append((a.d, a.M.name))
            a.t = [b for b in a.t if b[1] != a.d]
        a.M = None


def D(name, a):
    """The protocol of the board with this number, without a pack to store anything in."""
    if name == "A5":
        from .a5 import A5 as b

        return b(None, 0x40 + a - 1, a)
    from .p81 import P81 as c

    return c(None, a)
