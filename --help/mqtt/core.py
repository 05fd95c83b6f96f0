# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The values as last published, and which changes of the live ones are due to be published.

Each change of an entity is a row in Home Assistant's database. So a value is published when it has left its deadband (column
`band` of the table), cells and diagnostic readings less often than the pack unless they have moved far. A value that becomes
unknown or known again is published immediately, zero and the ends of a range whenever the reading is due.

Readings of one group come from one moment and follow the fastest of them: when one is due, all are published. The highest and
the lowest cell (temperature), with number and delta, are those of the cells published.
"""

from adafruit_ticks import ticks_add, ticks_diff

from daly.core import o
from daly.core import w
from daly.core import b
from daly.core import p
from daly.core import x, c, j, n
from daly.core import r, extremes

  # everything is published exactly this often, whatever the deadband
  # deadbands: a change by so many does not wait for the slow interval (30 mV of a cell, 20 °C)
  # within which each single value is repeated where nothing is retained
  # a change of current or mode waits so long for the other one to be read
  # cells from different responses are postponed so long
  # compared in one step
  # forgotten in one step
  # compared for single values in one tick
O = "unpublished"  # no raw value, and not None
  # nor in this connection, but in an earlier one
N = "uncleared"  # nor since the start: a message of an earlier version or setting may still be retained

# Rows that are published together; a derived one lends the others its interval. All other rows are published alone.
M = (
    ("pack_voltage", "current", "power", "mode"),
    ("soc", "remaining_capacity", "remaining_time"),
    o,
    ("cell_{}_balancing", "balancing"),
    ("alarm_bits_{}", "problem", "fault_code"),
)


def i():
    """Every reading that the BMS sends or the bridge counts, except those of SPREADS, as tuples of those published together."""
    a = [f.key for e in r for f in e if f]
    b = [tuple(c[h] for h in g) for g in M]
    for d in M:
        a.extend(d)
    return tuple(b + [(i,) for i in j if i.l is None and i.key not in a])


G = i(); del i
B = tuple(a for a in G if [b for b in a if b.l is None and n(b)])
I = tuple(
    (b, c)
    for a in B
    for b in a
    if b.l is None and n(b)
    for c in range(b.n)
)
H = c["current"]
J = c["mode"]
L = c["remaining_time"]


class E(b):
    """The readings as last published, with a topology and a mean current of their own.

    `mean_current`: in mA, from it the times to full and empty follow; in place of that of the Pack's meter.
    """

    def __init__(a, b):
        super().__init__(dict(b.ao), a)
        a.p = 0
        a.e(b)

    def e(a, b):
        """Take over what kind of battery it is, and which rows exist."""
        a.ao.update(b.ao)
        a.R = a.P = b.R
        a.ap = b.ap

    def am(a, b):
        """Take over the mean current; True when the remaining time changes with it."""
        if b == a.p:
            return False
        c = a.at(L)
        a.p = b
        d = a.at(L) != c
        a.f += d
        return d


class A:
    """`published`: the values for the JSON; `pack`: the live ones; intervals in ms; `band_percent` scales deadbands."""

    def __init__(a, b, c, d, e):
        a.d = E(b)
        a.f = b
        a.g = c
        a.G = d
        a.k = e
        a.j = b.ap
        a.i = b.R  # rows that did not exist when they were forgotten last
        a._ = None
        a.p = None
        a.n = None
        a.E = None  # (fast, slow, exact) for which cells and temperatures are due and postponed
        a.c(0)

    def c(a, b):
        """Everything is due again: a new connection."""
        a.s = a.l = a.q = b
        a.r = a.F = a.z = a.v = None

    def e(a):
        """Take over the topology of the live readings; not while a state is being written."""
        if a.d.ap != a.f.ap:
            a.d.e(a.f)

    def Q(a, b):
        """Begin to take over every reading as it is now, as `begin_take`."""
        a.c(b)
        return a.R(b)

    def R(a, b):
        """Begin to take over the values that are due.

        Returns True or False, whether one has changed, when there is nothing more to do; else a generator that takes over a few
        groups in each step and yields that at last. A group, or all cells, are taken over in one step: they are of one moment.
        """
        if a.j != a.f.ap:
            a.j = a.f.ap
            a.P(b)
            return a.H(b)
        return a.m(b)

    def H(a, b):
        yield False
        if a.i is not a.d.R:
            a.i = a.d.R
            yield from a.u(b)
        c = a.m(b)
        if c is not True and c is not False:
            for d in c:
                yield False
        yield True

    def u(a, b):
        """What does not exist any more has no value: others are calculated from it. A generator, see `begin_take`."""
        c = 16
        for d in j:
            if not c:
                c = 16
                yield False
            c -= 1
            if d.l is None and not a.d.k(d):
                for e in range(d.n):
                    a.o(d, e, None, b)

    def m(a, b):
        c = False
        d = ticks_diff(b, a.s) >= 0
        # cells share a message with the others, unless their interval is shorter
        e = (d or a.G < a.g) and ticks_diff(b, a.l) >= 0
        if a.S(b):
            return a.L(b, True, c)
        f = (d or e or a.E is not None) and a.C(b)
        if a.E is not None and not f:
            c = a.M(b) or c
        if not (d or e):
            return a.L(b, False, c)
        return a.I(b, d, e, f, c)

    def S(a, b):
        """Whether current and mode contradict each other, as they do until both have been read after a change.

        On boards where they always do, this is waited for once.
        """
        c = a.f
        if a.n != c.f:
            a.n = c.f
            d = c.at(H)
            e = c.at(J)
            if d is None or e is None or p(d, e):
                a.p = None
            elif a.p is None:
                a.p = b
        if a.p is None:
            return False
        f = ticks_diff(b, a.p)
        if 0 <= f < 500:
            return True
        a.p = ticks_add(b, -500)  # ticks wrap
        return False

    def C(a, b):
        """Whether some cells come from another response than the others: a damaged frame, or a step to be confirmed."""
        if a.f.af(r[0][0]) and a.f.af(r[1][0]):
            a._ = None
            return False
        if a._ is None:
            a._ = b
        return ticks_diff(b, a._) < 4000

    def M(a, b):
        """Take over the cells and temperatures that were postponed."""
        c, d, e = a.E
        a.E = None
        return a.O(b, c, d, e)

    def O(a, b, c, d, e):
        f = False
        for g in r:
            f = a.N(g, b, c, d, e) or f
        return f

    def I(c, d, e, b, f, a):
        g = c.f
        h = e and ticks_diff(d, c.q) >= 0
        if h:
            c.q = ticks_add(d, 900000)
        # Whether anything has changed since rows of this interval were compared: fast and slow ones are compared at different
        # times.
        i = False
        if e:
            c.s = ticks_add(d, c.g)
            i = c.r != g.f
            c.r = g.f
            a = c.d.am(c.f.energy.p) or a
        if b:
            c.l = ticks_add(d, c.G)
            i = i or c.F != g.f
            c.F = g.f
        if not (i or h):
            return a
        c.z = g.f
        c.v = g.ab
        if f:
            j = c.E or (False, False, False)
            c.E = (j[0] or e, j[1] or b or h, j[2] or h)
        b = b or h
        if not f:
            a = c.O(d, e, b, h) or a
        return c.K(G, d, e, b, h, a)

    def P(a, b):
        """The number of cells or sensors may have changed: those that are gone have no value while their keys remain."""
        d = False
        for e in j:
            if e.m is not None:
                d = a.o(c[e.m], 0, a.f.at(c[e.m]), b) or d
                for f in range(a.f.count(e), e.n):
                    a.o(e, f, None, b)
        if not d and a.C(b):
            a.E = (True, True, True)
        else:
            a.O(b, True, True, True)

    def L(b, c, d, a):
        """Publish alarms, MOSFETs, mode and what becomes (un)known immediately; the mode not while `is_disagreeing`."""
        e = b.f
        if b.z == e.f:
            return a
        b.z = None if d else e.f  # the mode is due when they agree
        if b.v != e.ab:
            b.v = e.ab
            a = b.O(c, False, False, False) or a
            return b.K(G, c, False, False, False, a, d)
        if not b.B():
            return a
        return b.K(B, c, False, False, False, a, d)

    def B(a):
        """Whether an alarm, a MOSFET, the mode or the direction of the current has changed: in every pass, so it is short."""
        b = a.f
        c = a.d
        for d, e in I:
            if b.at(d, e) != c.at(d, e):
                return True
        f = b.at(H)
        return f is not None and a.t(f) and not a.t(c.at(H) or 0)

    def K(b, c, d, e, f, g, a, h=False):
        """A generator, see `begin_take`."""
        i = 4
        for j in c:
            if J in j and (h or b.S(d)):
                # again later: they may have begun to disagree since the first step
                b.z = b.r = None
                continue
            if not i:
                i = 4
                yield False
            i -= 1
            if g or b.A(j, e, f):
                a = b.J(j, d) or a
        yield a

    def A(a, b, c, d):
        e = d or (c and Q(b))
        for f in b:
            if f.l is None:
                for g in range(a.f.count(f)):
                    if a.h(f, a.f.at(f, g), a.d.at(f, g), e, c):
                        return True
        return False

    def J(a, b, c):
        d = False
        for e in b:
            if e is H:
                a.d.am(a.f.energy.p)
            if e.l is None:
                for f in range(a.f.count(e)):
                    d = a.o(e, f, a.f.at(e, f), c) or d
        return d

    def o(a, b, c, d, e):
        if d == a.d.at(b, c):
            return False
        a.d.r(b, c, d, e)
        return True

    def h(a, b, c, d, e, f):
        """Whether a change is published now. `due`: the row's interval is over; `may_jump`: else by many deadbands."""
        if c == d:
            return False
        if c is None or d is None or n(b):
            return True
        if not e:
            if b is H and a.t(c) and not a.t(d):
                return True
            return f and b.e == 0 and a.w(b, c, d, 10)
        # zero and the ends of a range are always published
        if b.e != 0 or not c or c == b.low or c == b.h:
            return True
        return a.w(b, c, d, 1)

    def w(a, b, c, d, e):
        if b.f == 1:  # it has no deadband that could be scaled
            return abs(c - d) >= e
        f = b.f
        if b.key in x:
            f = max(f, abs(d) // x[b.key])
        return 100 * abs(c - d) >= e * f * a.k

    def t(a, b):
        """Whether a current agrees with the published mode: both are of one moment, but of two responses."""
        c = a.d.at(J)
        return c is None or p(b, c)

    # cells and temperatures

    def N(a, b, c, d, e, f):
        """Take over cells or temperatures with their extremes and delta, all of one moment.

        The extremes are published exactly; of the others those that have left their deadband or would lie outside the extremes.
        """
        g, h, i, j, k, l = b
        m, n, o, p, q = extremes(a.f, b)
        if not (f or a.D(b, m, o, d, e)):
            return False
        s = False
        for t in range(a.f.count(g)):
            u = a.f.ad(g.g + t)
            v = a.d.ad(g.g + t)
            if u != v and (
                f or a.h(g, u, v, True, True) or P(u, v, m, o)
            ):
                s = a.o(g, t, u, c) or s
        if g is r[0][0]:
            w = m == a.f.at(h) and o == a.f.at(j)  # both are of one response
            a.d.ai(w or (not q and a.f.af(g)))
        s = a.o(h, 0, m, c) or s
        s = a.o(i, 0, n, c) or s
        s = a.o(j, 0, o, c) or s
        return a.o(k, 0, p, c) or s

    def D(a, b, h, low, c, d):
        e, f, g, i, g, j = b
        k = a.d
        l = k.at(f)
        m = k.at(i)
        if a.h(f, h, l, d or (c and f.c == 0), c):
            return True
        if a.h(i, low, m, d or (c and i.c == 0), c):
            return True
        if c and j is not None and h is not None and low is not None:
            n = abs(h - low - l + m)  # the published ones are known then, too
            if n and a.w(j, n, 0, 1):
                return True
        for o in range(e.g, e.g + a.f.count(e)):
            p = a.f.ad(o)
            q = k.ad(o)
            if p != q and a.h(e, p, q, d, c):
                return True
        return False


def Q(a):
    for b in a:
        if b.c == 0 and b.n == 1:
            return True
    return False


def P(a, b, h, low):
    """Whether a cell, known before and now, is an extreme or would be one with its published value."""
    if h is not None and (a == h or b >= h):
        return True
    return low is not None and (a == low or b <= low)


class F:
    """Each reading on a topic of its own, for programs that do not read JSON, when it differs from the one published last.

    A reading that does not exist any more is published once, as not known. `repeats`: each is repeated within a minute, as
    nothing is retained for later subscribers, and a message that may still be retained there is cleared first.
    """

    def __init__(a, b, c):
        a.d = b
        a.k = [N if c else O] * sum(d.n for d in j)
        a.o = c
        a.c(0)

    def c(a, b):
        """Everything is due again: a new connection."""
        for c in range(len(a.k)):
            if a.k[c] is not N and a.k[c] is not O:
                a.k[c] = 'again'
        a.q = a._index = a.l = 0  # which one is compared next; and of `_published`, the first of its row
        a.h = 0  # rows to compare until all are published
        a.f = 0  # rows in which to look for readings that do not exist any more
        a.m = a.j = None
        a.t = a.n = 0  # which one is repeated next
        a.r = b
        a.p = 50000 // len(a.k)

    def u(a):
        """Whether `poll` has not compared all readings yet."""
        b = a.d
        return a.h > 0 or a.m != b.f or a.j != b.ap

    def poll(a, b):
        """(key, text) of the next reading to publish; None when there is none now.

        The text is "" for a reading that is not known, and None where a retained message is to be cleared.
        """
        c = a.d
        if a.j != c.ap:
            a.j = c.ap
            a.m = None
            a.f = len(j) + 1
        if a.m != c.f:
            a.m = c.f
            a.h = len(j) + 1  # one round, and the rest of the current row
        for d in range(min(a.h, 8)):
            e = j[a.q]
            if a.f:
                f = a.g(e)
                if f is not None:
                    return f, ""
            for g in range(a._index, a.i(e)):
                h = a.d.at(e, g)
                if a.k[a.l + g] is N:
                    a.k[a.l + g] = O
                    a._index = g
                    return w(e, g), None
                if h != a.k[a.l + g]:
                    a.k[a.l + g] = h
                    a._index = g + 1
                    return w(e, g), a.e(e, g, h)
            a.h -= 1
            a.f = max(0, a.f - 1)
            a._index = 0
            a.q += 1
            a.l += e.n
            if a.q == len(j):
                a.q = a.l = 0
        return a.s(b) if a.o and not a.h else None

    def g(a, b):
        """Key of the next reading of this row that was published and does not exist any more; None: there is none."""
        for c in range(a.i(b), b.n):
            d = a.k[a.l + c]
            if d is not N and d is not O:
                a.k[a.l + c] = O
                if d is not None:
                    return w(b, c)
        return None

    def s(a, b):
        """The next one in order, whether it has changed or not."""
        if ticks_diff(b, a.r) < 0:
            return None
        c = j[a.t]
        while a.n >= a.i(c):
            a.n = 0
            a.t += 1
            if a.t == len(j):
                a.t = 0
                d = sum([a.i(f) for f in j])
                if not d:
                    return None
                a.p = 50000 // d
            c = j[a.t]
        a.r = ticks_add(b, a.p)
        e = a.n
        a.n += 1
        return w(c, e), a.e(c, e, a.d.at(c, e))

    def i(a, b):
        return 0 if b.e == 5 else a.d.count(b)

    def e(a, b, c, d):
        if d is None:
            return ""
        if b.e == 1:
            return "ON" if d else "OFF"
        return a.d.text(b, c)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on one battery, and when: state, status, connection text, counters, results, discovery, single values.

The battery's part of publisher.py, which asks for its messages in the order that they have in a connection.
"""




from daly.core import a, k




# Home Assistant applies only part of a second discovery message that follows too soon.

# After a discovery message Home Assistant needs a moment before it receives states.

# The state is published this often even unchanged, well inside expire_after.

  # how often the connection text is compared
  # between two corrections of a status; doubles while another client insists

  # of commands that wait to be published

# What has been published about the battery in this connection, in this order:
  # nothing
  # offline; the state with every reading null comes next

  # the state with numbers; online comes next



class y:
    """A status topic, and what was published there last. Another client may publish there, too, which is corrected."""

    def __init__(a, b, retain):
        a.e = b
        a.d = retain

    def c(a, b):
        """A new connection."""
        a.k = None
        a.h = False  # another client has published another status
        a.g = False  # a retained message has been cleared
        a.f = b
        a.q = 1000

    def message(a, b, qos=1):
        """The message with a status."""
        a.k = b
        return a.e, b, a.d, qos

    def received(a, b, c, d):
        """Compare `payload` (bytes), received on `topic`, with the status published last in this connection.

        It is our own message, a late last will, or another client's. A wrong status is corrected immediately, but less and less
        often while another client keeps publishing it: a second bridge on the same topics would answer.
        """
        if b == a.e:
            a.h = a.k is not None and c != a.k.encode()
            if ticks_diff(d, a.f) >= 60000:
                a.q = 1000

    def i(a, b):
        """The next message that corrects the status."""
        if not a.h or ticks_diff(b, a.f) < 0:
            return None
        if not (a.d or a.g):  # it may have been retained, which is not known here
            a.g = True
            return a.e, b"", True, 0
        a.g = a.h = False
        a.f = ticks_add(b, a.q)
        a.q = min(2 * a.q, 60000)
        return a.message(a.k)


class t:
    """The messages on one battery; each function returns the next one of its kind, or None.

    `shared`: the Publisher, which writes one message at a time. `first_part`: of the discovery messages on it.
    """

    def __init__(a, b, c, d, e, f, g, h):
        a.battery = c
        a.i = b
        a.e = b.ad + "/" + c.key
        a.pack = i = c.pack
        a.g = c.g
        a.U = d
        a.W = d + b.ae.t - 1
        a.Y = y(a.e + "/status", b.retain)
        a._ = A(i, e, f, g)
        a.d = a._.d  # the values that subscribers have
        a.values = F(a.d, not b.retain) if h else None
        a.z = False  # by command, and not published yet
        a.j = None  # of the last command; None: none is allowed
        a.G: list = []  # not published yet
        a.ac = 0  # of the battery, since the start
        a.E = 0  # cells in the discovery messages since the start
        a.F = 0  # and temperature sensors
        a.J = None  # when fewer were published; None: long enough ago

    def c(a, b):
        """A new connection: publish everything again."""
        a.aa = None  # `changes` of the pack when it was compared
        a.m(b)
        a.phase = 0
        a.Y.c(b)
        a.h = b
        a.P = False  # the battery's status is to be repeated
        a.v = None
        a.u = False  # it is to be repeated
        a.t = b
        a._.c(b)
        a.M = [None] * len(o)
        a.N = True
        if a.values is not None:
            a.values.c(b)

    # for the publisher

    def l(a):
        """Publish counters that were set by command."""
        a.z = True  # not now: a state may be half written

    def report(b, c):
        """Publish the result of a command, now and after every connection.

        One that waits for the PUBACK of the one before is not replaced: each is published, of a flood the last RESULTS.
        """
        if b.N and b.j is not None:
            if len(b.G) >= 8:
                b.G.pop(0)
            b.G.append(b.j)
        b.j = a(c)
        b.N = True

    def o(a, b, c):
        """Publish the state again, changed or not; `is_birth`: the result of a command, too, as Home Assistant has started."""
        a.h = b
        a.N = a.N or c

    def Z(a, b, c):
        """Repeat the status, and the connection text, for later subscribers."""
        a.P = True
        if c:
            a.u = True
            a.t = b

    # discovery

    def m(a, b):
        """Publish discovery again."""
        a.part = a.W  # which one is sent next
        a.T = None  # None: nothing of the battery yet
        a.L: list = []  # messages that left out what had not been read
        a.s: list = []  # those of them that are now sent again
        a.D = b  # when the last one was sent; None: long enough ago
        a.I = None  # the topology with which the last message was sent
        a.H = None  # and when; None: long enough ago

    def n(a, b):
        """The next discovery message."""
        if a.D is not None and ticks_diff(b, a.D) >= 6000:
            a.D = None
        if a.H is not None and ticks_diff(b, a.H) >= 6000:
            a.H = None
        if a.I is None:
            return a.B(b)
        return a.A(b) or a.r(b)

    def A(a, b):
        c = a.pack.ap
        if a.T != c and a.g.r:
            # one message with serial number and versions rather than two; boards without them are not waited for long
            d = a.T is not None or not a.g.t
            if d and a.D is not None:
                return None
            a.T = c
            a.part = a.U
            a.L = []
            a.s = []
        if a.T is None or a.part > a.W:
            return None
        if a.part < a.W:
            a.part += 1
            return a.k(a.part - 1, b)
        return a.C(b)

    def X(a, b):
        """What a discovery message leaves out is removed as soon as it is certain that this board does not have it."""
        a.L.append(b)

    def r(a, b):
        """One of the messages that left something out, once all that a board may have has been read or given up."""
        c = a.D is None and a.part > a.W
        if a.L and c and a.g.t:
            a.s = a.L
            a.L = []
        return a.k(a.s.pop(0), b) if a.s else None

    def B(a, b):
        """The message with connection text and controls, from the first connection on: needed also if the BMS never answers."""
        a.I = a.pack.ap
        a.H = b
        a.i.an(b)
        return a.k(a.W, b)

    def C(a, b):
        """Send the same again behind the battery's messages: more is known of the device by then."""
        c = None
        if a.I != a.T:
            if a.H is not None:
                return None
            c = a.B(b)
        a.part += 1
        a.K(b)
        a.i.an(b)
        return c

    def k(a, b, c):
        """Begin one discovery message; None when it is skipped, or there is no memory for it."""
        a.D = c
        return a.i.k(b, c, a, a.g.t)

    def K(a, b):
        if a.q(a.pack.ao):
            a.J = b
        a.E = a.pack.ao["cell_count"]
        a.F = a.pack.ao["temperature_count"]

    def q(a, b):
        """Whether there are fewer cells or sensors in a topology than in the discovery messages."""
        return b["cell_count"] < a.E or b["temperature_count"] < a.F

    # status, connection text and command result

    def O(a, b, qos=1):
        a.P = False
        return a.Y.message(b, qos)

    def V(a, b):
        """The result of a command."""
        if a.j is None or not a.N:
            return None
        if a.G:
            return a.e + "/command_result", a.G.pop(0), True, 1
        a.N = False
        return a.e + "/command_result", a.j, True, 1

    def connection(b, c):
        """Why there is data or not, whenever the text changes; that there is not before the data."""
        if ticks_diff(c, b.t) < 0:
            return None
        if b.g.online and b.phase != 4:
            return None
        b.t = ticks_add(c, 500)
        d = b.g.bE.text
        e = d != b.v
        if not (e or b.u):
            return None
        b.v = d
        b.u = False
        return b.e + "/connection", a(d), b.i.retain, 1 if e else 0

    # states

    def state(a, b):
        """The state or the status."""
        a.aa = a.pack.f
        a._.e()
        c = a.phase
        if c == 0 and a.g.r:  # only the connection is new, the battery was online before
            c = 2
        if c == 0 or (c >= 3 and not a.g.online):
            a.phase = 1
            return a.O("offline")
        if c == 2 and a.g.r and a._.S(b):
            return None  # half a second at most: until then the published values are those from before
        if c == 1 or (c == 2 and a.g.r):
            return a.R(b, a._.Q(b), True, c + 1)
        if c == 3:
            a.phase = 4
            return a.O("online")
        d = a._.R(b) if c == 4 else False
        e = ticks_diff(b, a.h) >= 0
        if e or d is not False:
            return a.R(b, d, e)
        if a.P:
            return a.O("online" if c == 4 else "offline", 0)  # QoS 0: it is repeated anyway
        return None

    def ad(a, b):
        """Counters that were set by command: immediately and exactly, also while the battery is offline."""
        if not a.z:
            return None
        a.z = False
        a._.c(b)
        d = a.d
        a.M = [a.pack.energy.total(g) for g in o]
        for e, f in zip(o, a.M):
            if d.raw(e) is not None:
                d.r(c[e], 0, f, b)
        return a.e + "/energy", a.Q(), True, 1

    def S(a, b):
        """The counters on a retained topic of their own: in the state they are null while the battery is offline."""
        if not a.w():
            return None
        # QoS 0: it is sent every few seconds, and the next message would wait for each PUBACK
        for c in range(len(o)):
            a.M[c] = a.d.raw(o[c])
        return a.e + "/energy", a.Q(), True, 0

    def Q(a):
        b = a.i.g.clear()
        for c, d in enumerate(o):
            b.r(b',"' if c else b'{"').r(d).r(b'":').f(a.M[c], 3)
        return b.r(b"}")

    def w(a):
        """Whether all counters are known and one differs from its published value. Runs in every tick, so it makes no list."""
        b = False
        for c in range(len(o)):
            d = a.d.raw(o[c])
            if d is None:
                return False
            b = b or d != a.M[c]
        return b

    def R(a, b, c, d, e=None):
        f = a.f(b, c, d, e, a.g.online)
        return a.i.write(f, a.e + "/state", a.i.retain)

    def f(b, c, a, d, e, f):
        """Take over what is due, see Deadband.begin_take, and if that, or `must`, makes a new state write it.

        `phase`: reached when it is written, since without memory for the numbers the battery is not online; None: as it is.
        Nothing is written if the battery goes offline meanwhile: half of the values would be of before.
        """
        if a is not True and a is not False:
            g = False
            for h in a:
                g = h
                yield False
            a = g
        if f and not b.g.online:
            if b.phase == 2:  # what has been taken over must not come with the next heartbeat
                b.phase = 1
            yield None
        if not (d or a):
            yield None
        b.h = ticks_add(c, 10000)
        # All keys that there may be while the number of cells is not known, or until Home Assistant has removed those that are
        # gone: entities from before would miss theirs.
        if b.J is not None and ticks_diff(c, b.J) >= 3000:
            b.J = None
        i = b.d.ao  # of these values: the live one may know more by now
        j = not i["cell_count"] or b.J is not None or b.q(i)
        b.ac += 1
        for l in k(b.i.g.clear(), b.d, j, b.ac, b.p()):
            if l and e is not None:
                b.phase = e
            yield l

    def p(a):
        """Time of the last response of the BMS as text, as of which the published values hold; None: not known, or offline."""
        b = a.i.u
        return b(a.g.bL) if b is not None and a.g.online else None

    def ab(a, b):
        """The next reading on a topic of its own."""
        c = a.values.poll(b) if a.values is not None else None
        if c is None:
            return None
        if c[1] is None:
            return a.e + "/" + c[0], b"", True, 0
        return a.e + "/" + c[0], c[1], a.i.retain, 0
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The commands received over MQTT: for each topic the exact payloads it accepts and the function it calls.

No I/O except for printing refusals. A retained message is never executed: it would be an old command, repeated at every
connection. Payloads are compared exactly, with case and spaces.
"""

  # longer than every payload that is accepted



class d:
    """The command topics. `report(name, reason)` is called when a command with a name is refused; None: no command has one."""

    def __init__(a, b=None):
        a.d = {}
        a.m = b

    def add(a, b, c, d, s=True, name=None):
        """Call `function(payload, now)` when a message on `topic` is exactly one of `words`.

        `words` a str, such as "a number": any printable ASCII up to MAX_PAYLOAD, which the function checks. It returns None, or
        the reason for a refusal. `ours`: no other program uses the topic, so a message retained there may be cleared. `name`:
        the command's name in reports; without one a refusal is only printed.
        """
        a.d[b] = (c, d, s, name)

    def topics(a):
        """Every topic to subscribe to."""
        return list(a.d)

    def f(a):
        """Those whose retained messages are cleared before subscribing."""
        return [b for b in a.d if a.d[b][2]]

    def e(a, b, c, d, e):
        """Execute one message (`payload` as bytes), or refuse it with a reason."""
        f = a.d.get(b)
        if f is None:
            print(f"Message on {U(b.encode())} ignored: not a command of this bridge.")
            return
        g, i, j, k = f
        l = None
        if d:
            if j:
                l = "it was retained, so it may be old; send it without the retain flag"
        elif c:  # an empty one clears a retained one
            m = h(c)
            n = isinstance(g, str)
            if m is None or (not n and m not in g):
                o = g if n else " or ".join(g)
                l = f'{o} is understood, not "{U(c)}"'
            else:
                l = a.c(b, i, m, e)
        if l:
            a.g(b, l)

    def c(a, b, c, d, e):
        """The function's refusal or None. An exception goes on to the loop, but the sender gets an answer first."""
        f = False
        try:
            g = c(d, e)
            f = True
        finally:
            if not f:
                a.g(b, "it failed inside the bridge; see the console")
        return g

    def g(a, b, c):
        """Print and report why a message on one of the command topics is not executed."""
        if b not in a.d:
            return
        print(f"Message on {b} ignored: {c}.")
        d = a.d[b][3]
        if d is not None:
            a.m(d, c)


def U(a):
    """The beginning of `payload` as printable ASCII."""
    b = "".join(chr(c) if 0x20 <= c < 0x7F else "?" for c in a[:40])
    return b if len(a) <= 40 else b + "..."


def h(a):
    """The payload as str; None when it is too long or anything but printable ASCII."""
    if len(a) > 32:
        return None
    for b in a:
        if not 0x20 <= b < 0x7F:
            return None
    return str(a, "ascii")
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A socket pool for MiniMQTT with bounded waiting: it delivers complete packets only and limits every send.

MiniMQTT reads a packet byte by byte and waits for each, spins on a closed or a full socket, drops the RETAIN flag, accepts
packets of any size, and some of its waits never end (the one for UNSUBACK restarts its own clock). So bytes are collected here
without waiting, and MiniMQTT reads a packet once it is complete. Oversized packets are discarded while they arrive; pings are
sent and their responses read here. All waits of one tick share one limit.

A message is sent here, too, in pieces: MiniMQTT would copy all of it and wait until the last byte has gone, and for the PUBACK.
"""

import errno
import io
import time

from adafruit_ticks import ticks_ms

  # survives one lost packet: lwIP retransmits after 1.5 s
  # for all sending and waiting in one tick, connecting included
  # for one message in pieces; pings wait meanwhile
  # received; a command has a few bytes, Home Assistant's birth message 6

  # 15 s with the client's back-off

  # bytes of a message sent in one tick
  # of 128 bytes at a time: a flood must not hold the loop




# First bytes of what a broker sends to a client that subscribes with QoS 0: CONNACK, PUBLISH, the same retained, PUBACK,
# SUBACK, UNSUBACK, PINGRESP. Anything else is not MQTT.

# The first byte of other servers: a TLS alert or handshake, HTTP, SSH. The second argument of an OSError raised here is a code
# of trouble.py.
K = {0x15: "speaks_tls", 0x16: "speaks_tls", ord("H"): "web_server", ord("S"): "ssh_server"}


class m:
    """Wraps the chip's socket pool for MiniMQTT. `last` is the PacketSocket made last; None: none yet."""

    def __init__(a, b):
        a._pool = b
        a.SOCK_STREAM = b.SOCK_STREAM
        a.d = None
        a._addresses = None  # the result of the last getaddrinfo
        a.O = 0

    def getaddrinfo(a, *b):
        """As the chip's; raises OSError when the name is not found.

        The result is reused until connecting has failed a few times: without a name server the chip waits 7 s and more, which
        cannot be shortened.
        """
        if a._addresses is None:
            a._addresses = a._pool.getaddrinfo(*b)
        return a._addresses

    def c(a):
        """No broker at that address: after LOOKUP_AFTER_FAILURES failures the name is looked up again."""
        a.O += 1
        if a.O % 4 == 0:
            a._addresses = None

    def socket(a, *b):
        """A new socket, not connected yet."""
        a.d = D(a._pool.socket(*b), a._pool)
        return a.d

    def close(a):
        """Close the last socket without a DISCONNECT."""
        if a.d is not None:
            a.d.close()


class q:
    """An SSL context for MiniMQTT that encrypts inside the PacketSocket, so that its waiting stays bounded."""

    def __init__(a, b):
        a.c = b

    def wrap_socket(a, b, server_hostname):
        """The same PacketSocket, encrypted; `connect` does the handshake and checks certificate and host name."""
        b.H(a.c, server_hostname)
        return b


class D:
    """One connection. MiniMQTT uses `settimeout connect send recv_into close`, the MqttClient the others.

    `received_at`: tick at which the last packet was complete; `oversized`: packets discarded; `retained`: RETAIN flag of the
    packet that MiniMQTT reads or read last; `acknowledged`: packet identifier of the last PUBACK.
    """

    def __init__(a, b, c):
        a._socket = b
        a._pool = c
        a.h = bytearray(1024)
        a.f = bytearray(128)
        a.c = 0
        a._ = 0  # length of the complete packet at the front of the buffer; 0: there is none
        a.q = 0  # bytes of it that MiniMQTT has read already
        a.D = 0  # bytes of an oversized packet still to come
        a.e = None  # the OSError that ended the connection; packets before it are still read
        a.L = 0
        a.u = None  # (topic, beginning of the payload, retained) of the last oversized message
        a.O = False
        a.N = ticks_ms()  # bytes alone do not count
        a.M = 0  # PINGRESPs received
        a.E = 0
        a.p = None  # tells whether there is something to read; None: there is no such thing for this socket
        a.r = memoryview(bytearray(1024))  # what is sent next of the message begun
        a.o = a.i = 0  # from where to where in `_piece`
        a.A = None  # where the rest of the message comes from
        a.B = 0  # bytes of it that are not in `_piece` yet
        a.z = 0
        a.C = 0  # tick at which the broker must have taken something
        a.v = 0  # tick at which all must have been sent
        a.Q()

    def Q(a):
        """Start a new tick: from now on WAIT_LIMIT_MS may be spent waiting."""
        a.n = ticks_add(ticks_ms(), 2400)

    def settimeout(a, b):
        """Ignored: waiting is bounded here."""

    def H(a, b, c):
        """Use TLS from `connect` on."""
        a._socket = b.wrap_socket(a._socket, server_hostname=c)

    def connect(a, b):
        """Connect within CONNECT_TIMEOUT_S, with TLS within twice that. Raises OSError."""
        a._socket.settimeout(2)
        a._socket.connect(b)
        if hasattr(a._pool, "TCP_NODELAY"):  # else every publish waits 40 ms for the delayed ACK
            a._socket.setsockopt(a._pool.IPPROTO_TCP, a._pool.TCP_NODELAY, 1)
        a._socket.settimeout(0)
        a.N = ticks_ms()
        a.p = e(a._socket)

    def close(a):
        """Close the connection; closing again has no effect."""
        a.p = None
        if a._socket is not None:
            a._socket.close()
            a._socket = None
        a.e = OSError(errno.ENOTCONN, "closed")

    def send(a, b):
        """Send all of `data`; returns its length. Raises OSError, ETIMEDOUT when the broker does not read within the limit."""
        c = 0
        while c < len(b):
            if a._socket is None:
                raise a.e
            try:
                c += a._socket.send(b[c:] if c else b)
            except OSError as d:
                if d.errno != errno.EAGAIN:
                    raise
                if a.s():
                    raise OSError(errno.ETIMEDOUT, "send_blocked") from d
                time.sleep(0.005)
        return c

    def F(c, a, b, retain, qos):
        """Begin a PUBLISH, to be sent by `send_piece`. Returns its packet identifier, 0 for QoS 0.

        `payload`: str, bytes, or a Writer, which must not change until all is sent.
        """
        a = a.encode()
        if isinstance(b, str):
            b = b.encode()
        d = c.B = len(b)
        if hasattr(b, "readinto"):
            b.i()
            c.A = b
        else:
            c.A = io.BytesIO(b)
        e = 2 + len(a) + (2 if qos else 0) + d
        f = bytearray((48 | (1 if retain else 0) | qos << 1,))
        while e > 127:
            f.append(e & 127 | 128)
            e >>= 7
        f.append(e)
        f.append(len(a) >> 8)
        f.append(len(a) & 255)
        f.extend(a)
        if qos:
            c.z = c.z + 1 if c.z < 0xFFFF else 1
            f.append(c.z >> 8)
            f.append(c.z & 255)
        c.r[: len(f)] = f
        c.o = 0
        c.i = len(f)
        c.l()
        c.C = ticks_add(ticks_ms(), 2400)
        c.v = ticks_add(ticks_ms(), 10000)
        return c.z if qos else 0

    def l(a):
        b = min(a.B, 1024 - a.i)
        if b:
            a.A.readinto(a.r[a.i : a.i + b])
            a.i += b
            a.B -= b

    def P(a):
        """Send some of the message begun; True when all of it is sent, False when the rest must wait for a later tick.

        Raises OSError, ETIMEDOUT when the broker does not read within the limit.
        """
        if a._socket is None:
            raise a.e
        try:
            b = a._socket.send(a.r[a.o : a.i])
            a.o += b
            if b:  # the broker reads: the loop may have been elsewhere for long
                a.C = ticks_add(ticks_ms(), 2400)
        except OSError as c:
            if c.errno != errno.EAGAIN:
                raise
        if a.o == a.i:
            if not a.B:
                a.A = None
                return True
            a.o = a.i = 0
            a.l()
        if ticks_diff(ticks_ms(), a.C) > 0 or ticks_diff(ticks_ms(), a.v) > 0:
            raise OSError(errno.ETIMEDOUT, "send_blocked")
        return False

    def I(a):
        """Send all of the message begun, waiting where it must. Raises OSError as `send_piece`."""
        while not a.P():
            time.sleep(0.005)

    def recv_into(a, b, c):
        """Read from a complete packet; returns the byte count. Raises OSError: EAGAIN without one, else it is dead."""
        if not c:  # the payload of an empty message, which clears a retained one
            return 0
        if not a.q and a.s():
            # at ETIMEDOUT MiniMQTT would wait on, for some packets for ever
            raise OSError(errno.EHOSTUNREACH, "no_answer")
        if not a._ and not a.w():
            time.sleep(0.001)
            raise OSError(errno.EAGAIN, "nothing there")  # with one argument CPython sets no errno
        if not a.q:
            a.O = bool(a.h[0] & 1)
        d = min(c, a._ - a.q)
        b[:d] = memoryview(a.h)[a.q : a.q + d]
        a.q += d
        if a.q == a._:
            a.g()
        return d

    def K(a):
        """Whether nothing has arrived, without an exception's heap; False where only reading can tell."""
        return a.p is not None and not a.c and a.e is None and not R(a.p)

    @property
    def G(a):
        """Whether `is_silent` costs next to nothing."""
        return a.p is not None

    def J(a):
        """Whether a complete PUBLISH can be read; packets that are not waited for are dropped. Raises OSError."""
        for b in range(16):
            if not a._ and not a.w():
                return False
            if a.h[0] & 0xF0 == 48:
                return True
            a.g()
        return False

    def R(a):
        """(topic, beginning of the payload, retained) of the last oversized message, once; None: there was none."""
        b = a.u
        a.u = None
        return b

    def ping(a):
        """Send a PINGREQ; the response changes `received_at` and `ping_responses`. Raises OSError."""
        a.send(b'\xc0\x00')

    def s(a):
        return ticks_diff(ticks_ms(), a.n) > 0

    def w(a):
        """Read what has arrived; True when a complete packet other than PINGRESP and PUBACK is at the front."""
        if not a.m():
            a.j()
        while a.m():
            b = a.h[0] & 0xF0
            if b == 208:
                a.M += 1
            elif b == 64 and a._ == 4:
                a.E = a.h[2] << 8 | a.h[3]
            else:
                return True
            a.g()
        if a.e is not None:
            raise a.e
        return False

    def j(a):
        for b in range(16):
            if a.c == 1024 or a.e is not None:
                return
            try:
                c = a._socket.recv_into(a.f, min(len(a.f), 1024 - a.c))
            except OSError as d:
                if d.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                    a.e = d
                return
            if not c:
                a.e = OSError(errno.ECONNRESET, "closed")
            a.t(c)

    def t(a, b):
        c = min(a.D, b)
        if c:
            a.D -= c
            if not a.D:
                a.N = ticks_ms()
        for d in range(c, b):
            a.h[a.c] = a.f[d]
            a.c += 1
        a.m()  # an oversized packet must make room before more is read

    def m(a):
        """Set `_packet_length` from the remaining length at the front; True when the packet is complete."""
        if a.c and a.h[0] not in b' 01@\x90\xb0\xd0':
            raise OSError(errno.EBADF, K.get(a.h[0], "not_mqtt"))
        b = 0
        for c in range(1, a.c):
            if c == 5:
                raise OSError(errno.EBADF, "not_mqtt")  # a length of more than four bytes: this is not MQTT
            b |= (a.h[c] & 0x7F) << (7 * (c - 1))
            if not a.h[c] & 0x80:
                return a.d(c + 1 + b)
        return False

    def d(a, b):
        if b > 1024 and a.c == 1024:
            a.k(b)
        a._ = b if a.c >= b else 0
        if a._:
            a.N = ticks_ms()
        return a._ > 0

    def k(a, b):
        """Discard an oversized packet; of a message the beginning is kept, as much as the buffer holds."""
        a.L += 1
        c = 2
        while a.h[c - 1] & 0x80:
            c += 1
        d = c + 2 + (a.h[c] << 8 | a.h[c + 1])
        if a.h[0] & 0xF0 == 48 and d < 1024:
            e = bytes(a.h[c + 2 : d])
            a.u = (e, bytes(a.h[d:]), bool(a.h[0] & 1))
        a.D = b - a.c
        a.c = 0

    def g(a):
        b = a.c - a._
        a.h[:b] = a.h[a._ : a.c]
        a.c = b
        a.q = 0
        a._ = 0


def e(a):
    """A poll object for this socket; None where there is none.

    CircuitPython's sockets, with and without TLS, tell it what lwIP and mbedtls hold (socket_ioctl in
    shared-bindings/socketpool/Socket.c, poll_common in shared-module/ssl/SSLSocket.c). A board without `ipoll` must read.
    """
    try:
        import select  # here, because a firmware built without it must start, too

        b = select.poll()
        b.register(a, select.POLLIN)
        R(b)
    except (ImportError, OSError, TypeError, ValueError, AttributeError):
        return None
    return b


def R(a):
    """Whether the socket of a poll object can be read, without heap."""
    for b in a.ipoll(0):
        return True
    return False
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The MQTT client: joins the Wi-Fi, connects to the broker, and recovers from every network failure.

What is published is decided in publisher.py, what a received command does in commands.py. A message is sent in pieces, one in
each tick, and until it is sent, and acknowledged if its QoS is 1, nothing else is sent. MiniMQTT and the radio raise OSError,
MMQTTException, RuntimeError, AssertionError, KeyError and more; after any of them the connection is closed and made again, with
increasing back-off and for ever. No tick takes longer than about 2.5 seconds (transport.py), except the chip's own Wi-Fi join
and name lookup.
"""


import random

import adafruit_minimqtt.adafruit_minimqtt as T
from adafruit_connection_manager import connection_manager_close_all


from app.early import f





  # pings are sent here and not waited for, unlike MiniMQTT's
  # nothing received for so long: the connection is dead, whatever the socket reports
  # how often the socket is looked at
  # the same where only reading tells whether something has arrived: that costs an exception
  # the same while a PUBACK is waited for
  # a tick without work need not be followed by another one sooner
  # for CONNACK, SUBACK and PUBACK


  # a connection that ended sooner makes the back-off longer
  # limits the chip's own retries, not its first attempt
  # failures in a row without any response from the network
  # a broker sends retained messages right after the SUBACK; a new broker has none
  # received messages waiting to be executed; normally one person presses one button
# A broker without retained messages may close a connection that asks for them, the last will included.

  # accepted without? Then once more with, to be sure that this was the reason


  # before that is tried
  # connections in a row that ended with their first retained message
  # how often, without a connection to keep, the Wi-Fi is looked at
  # MiniMQTT's own ping blocks for its keep-alive, so it must never fall due
# What MiniMQTT, the socket pool and the radio have been seen to raise when the network or the broker fails.
u = (OSError, RuntimeError, AssertionError, KeyError, IndexError, ValueError, MemoryError, T.MMQTTException)


class v:
    """Keeps the connection up, sends the publisher's messages and passes received ones to `commands`.

    `radio` is wifi.radio; `socket_pool` the chip's SocketPool; `energy_store` restores the counters from their retained topic;
    `ssl_context` None: no TLS. `join` has the arguments of the radio's `connect` and a time limit; None: use `connect`. `keys`:
    of the batteries; `sources`: of the sources (battery/sources.py).
    Without MQTT_BROKER, or where TLS is not possible, it only keeps the Wi-Fi joined, and only for the page in the browser.
    `trouble` is (code, details) of trouble.py; None while connected, or joined where the page is all that is wanted. `connects`
    counts connections since the start.
    """

    def __init__(a, b, c, socket_pool, d, e, f, client_id, ssl_context=None, g=None,
                 h=("bms1",), sources=()):  # fmt: skip
        a.connected = False
        a.aB = 0
        a.trouble = s(b, ssl_context)
        a.J = a.trouble[0] == "connecting"
        a.Q = not a.J and bool(getattr(b, "WEB_PORT", 0))
        a.T = a.trouble  # what is wrong also when the Wi-Fi has been joined
        if a.Q and not b.MQTT_BROKER:
            a.T = None
            a.trouble = ("connecting", ())
        a.az = None  # the sentence for `trouble`, once it was asked for
        a.l = b
        a.k = c
        a.f = d
        a.p = e
        a.E = f
        a._ = client_id
        a._ssl_context = None if ssl_context is None else q(ssl_context)
        a.O = g or c.connect
        a.K = False  # messages on the counters' topics are our own, from before the restart
        a.af = None  # how long they are waited for
        a.ae: list = []  # topics subscribed to for it
        a.ad = 0  # no retained message follows the next PINGRESP
        i = b.base_topic
        a.at = [i + "/status"]  # others may publish there, too
        for j in h:
            a.at.append(i + "/" + j + "/status")
        a.ar: dict = {}  # received there last, and not passed on yet
        # topics on which nothing must stay retained: an old number would look current
        a.a_: list = []
        if not getattr(b, "MQTT_RETAIN_STATE", True):
            for j in h:
                a.a_ += [i + "/" + j + k for k in ("/status", "/state", "/connection")]
            if len(h) > 1:
                a.a_.append(i + "/bank/state")
            for j in sources:
                a.a_.append(i + "/" + j + "/state")
        a.ay: list = []
        a.H: list = []  # (topic, payload, retained) received and not executed yet
        a.D = 0
        a.i = 0  # of subscribing, from 1
        a.I = False  # the broker has accepted the connection; subscribing may follow
        a._pool = m(socket_pool)
        a.ai = 0
        a.L = False  # proven by a trial: the broker closes for retained messages
        a.ac = 0  # connections in a row closed before the CONNACK
        a.ag = 0
        a.ah = 0  # retained messages in this connection
        a.S = ""  # of the last message published, and its size
        a.R = 0
        a.A = ""  # the topic with which the connection before ended, too
        a.an = 0  # in a row
        a.am = 1000
        a.ap = None  # tick from which this connection counts as stable; None: it does
        a.g = a.U()
        a.ao = 0  # in a row, without any response from the network
        a.ab = False
        a.u = 1000
        a.Z = None
        a.Y = None
        a.F = False  # in the last tick
        a.M = False  # a message has been begun and not sent completely
        a.t = 0  # packet identifier of a message whose PUBACK is missing; 0: none
        a.s = None  # how long it is waited for
        a.G = None  # until then there is nothing to do, unless the publisher has news; None: there may be
        a.X = None

    def U(a):
        """A MiniMQTT for one connection: a used one still holds the dead socket and fails with it again."""
        b = a.l
        c = T.MQTT(
            broker=b.MQTT_BROKER,
            port=b.MQTT_PORT,
            username=b.MQTT_USERNAME or None,
            password=b.MQTT_PASSWORD if b.MQTT_USERNAME else None,
            client_id=a._,
            is_ssl=a._ssl_context is not None,
            ssl_context=a._ssl_context,
            socket_pool=a._pool,
            socket_timeout=0,
            recv_timeout=2,
            keep_alive=15,
            connect_retries=1,
            use_binary_mode=True,  # else a payload that is not UTF-8 would end the connection, a retained one for ever
        )
        c.on_message = a._on_message
        d = a.ai in (0, 2)
        c.will_set(b.base_topic + "/status", "offline", retain=d, qos=1)
        return c

    def c(a, b):
        """One bounded piece of network work at most. Returns for how many ms it need not be called again; None: at once."""
        if a.G is not None:
            if ticks_diff(b, a.G) < 0 and not a.f.ag():
                return 20
            a.G = None
        if not a.J:
            if a.Q:
                a.P(b)
            return 20
        if a.H:
            a.ak(b)
        if a.connected:
            if a.ar:
                a.w(b)
            if a.ap is not None and ticks_diff(b, a.ap) >= 0:
                a.aa()
        # reading and publishing alternate: a client that only publishes would miss the PINGRESPs
        c = a.F and ticks_diff(b, a.Y) >= 0
        d = a.connected and not (a.M or a.t or c)
        e = a.W(b) if d else None
        a.F = e is not None
        if a._pool.d is not None:
            a._pool.d.Q()
        try:
            if e is not None:
                f, g, h, i = e
                a.d(f, g, h, i)
                a.h(b)
            elif a.M:
                a.h(b)
            elif a.connected:
                a.m(b)
            elif a.af is not None:
                a.o(b)
            elif a.I:
                a.av()
            elif a.Z is None or ticks_diff(b, a.Z) >= 0:
                a._connect()
            else:
                return 20
        except u as j:
            a.e(j)
            return None
        return a.q(b)

    def q(a, b):
        """What `tick` returns."""
        if not a.connected or a.M or a.F or a.H:
            return None
        if a.t:
            return 20 // 4
        if a.ay or a.f.ag():
            return None
        if not a.ar:
            a.G = ticks_add(b, 50)
        return 20

    def W(a, b):
        if a.ay:
            return a.ay.pop(0), b"", True, 0
        return a.f.poll(b)

    def d(a, b, c, retain, qos):
        retain = retain and a.ai != 3
        a.S = b
        a.R = len(c)
        a.ah += 1 if retain else 0
        a.t = a._pool.d.F(b, c, retain, qos)
        a.M = True

    def h(a, b):
        """Send a piece of the message begun."""
        if a._pool.d.P():
            a.M = False
            a.s = ticks_add(ticks_ms(), 1000 * 2)  # a command may have taken a while before

    def w(a, b):
        while a.ar:
            c, d = a.ar.popitem()
            a.f.ap(c, d, b)

    def aa(a):
        a.ap = None
        a.an = a.ac = a.ag = 0
        a.am = 1000

    def m(a, b):
        c = a._pool.d
        if ticks_diff(b, a.Y) < 0 and not (a.t and c.G):
            return
        d = 50 if c.G else 100
        a.Y = ticks_add(b, 20 if a.t else d)
        if not c.K():
            if c.J():
                a.g.loop(0)
            a.ax()  # too large for any command, but its sender gets an answer
        if a.t:
            a.r(b, c)
        if ticks_diff(b, a.X) >= 0:
            a.X = ticks_add(b, 5000)
            c.ping()
        if ticks_diff(b, c.N) > 12000:
            raise OSError(errno.ETIMEDOUT, "no_answer")

    def r(a, b, c):
        if c.E == a.t:
            a.t = 0
        elif ticks_diff(b, a.s) > 0:
            raise OSError(errno.ETIMEDOUT, "no_answer")

    def _connect(a):
        if not a.k.connected or a.ab:
            a.N()
            return  # other jobs run between joining and connecting
        if not a.k.ipv4_address:
            raise OSError(errno.EHOSTUNREACH, "no_address")
        a.g = a.U()
        a.ah = a.i = 0
        a.g.connect()
        if a.ai == 1:
            a.ai = 2
            a.g.disconnect()
            a.Z = ticks_add(ticks_ms(), 1000)
            return
        if a.ai == 2:
            a.ai = 0
        a.g.keep_alive = 1048576
        a.I = True
        a.ac = 0
        a.ap = ticks_add(ticks_ms(), max(60000, 3 * a.am // 2))

    def av(a):
        """Subscribe after every connect, one request in each tick: neither MiniMQTT nor the broker remembers.

        What is retained on a command topic is cleared first, or the broker would deliver it now.
        """
        a.i += 1
        if a.i == 1:
            if a.ai != 3:
                for b in a.p.f():
                    a.d(b, b"", True, 0)
                    a._pool.d.I()
                a.M = False
            a.aw(a.p.topics())
        elif a.i == 2:
            a.aw(a.at)
            if a.E.m:
                a.aq(ticks_ms())
        elif a.i == 3:
            a.K = True  # first: retained messages may come before the SUBACK
            c = a.at + list(a.E.topics)
            d = [e for e in a.a_ if e not in c]
            a.ae = d if d and a.aw(d) else []
        elif a.aw(a.E.topics):
            a.ae.extend(a.E.topics)
            a._pool.d.ping()
            a.ad = a._pool.d.M
            a.af = ticks_add(ticks_ms(), 1500)
        else:
            a.aq(ticks_ms())

    def aw(a, b):
        """Subscribe to `topics`; False when the broker's access rules forbid one of them."""
        try:
            a.g.subscribe([(d, 0) for d in b])
        except T.MMQTTException as c:
            if not str(c.args[0]).startswith("SUBACK Failure"):
                raise
            print("MQTT: the broker's access rules forbid subscribing to " + " ".join(b))
            return False
        return True

    def o(a, b):
        """Once after a restart and before anything is published: receive the counters from their retained topic.

        If the wait were too short the counters would fall, so a slow broker is waited for until it counts as dead.
        """
        c = a._pool.d
        if c.J():
            a.g.loop(0)
        a.ax()
        d = c.M != a.ad and ticks_diff(b, a.af) >= 0
        if a.E.l or d:
            a.af = None
            a.g.unsubscribe(a.ae)
            a.aq(ticks_ms())
        elif ticks_diff(b, c.N) > 12000:
            raise OSError(errno.ETIMEDOUT, "no_answer")

    def aq(a, b):
        a.K = False
        a.E.j()
        a.Y = b
        a.X = ticks_add(b, 5000)
        a.ao = 0
        a.f.c(b)
        a.connected = True
        a.aB += 1
        a.al(None)
        print("MQTT: connected to " + a.v())

    def P(a, b):
        """Join the Wi-Fi for the page, and again when it is lost."""
        if a.Z is not None and ticks_diff(b, a.Z) < 0:
            return
        a.Z = ticks_add(b, 1000)
        if a.T is None and not a.E.m:
            a.E.j()  # there is no broker that could know of larger counters
        try:
            if not a.k.connected or a.ab:
                a.N()
            if not a.k.ipv4_address:
                raise OSError(errno.ETIMEDOUT, "no_answer")
        except u as c:
            a.e(c)
            return
        a.ao = 0
        a.u = 1000
        if a.trouble != a.T:
            a.al(a.T)

    def N(a):
        """Join the Wi-Fi: the only step that may take longer, see app/watchdog.py."""
        a.al(("joining", ()))
        if a.ab:
            a.ab = False
            a.k.enabled = False
            a.k.enabled = True
        b = a.l.CIRCUITPY_WIFI_SSID
        a.O(b, a.l.CIRCUITPY_WIFI_PASSWORD, timeout=2)
        print("Wi-Fi: joined", b)

    def _on_message(a, b, c, d):
        """MiniMQTT calls this in the middle of its own work, even of a publish: only store the message."""
        a.aj(c, d, a._pool.d.O)

    def ax(a):
        b = a._pool.d.R()
        if b is not None:
            c, d, e = b
            try:
                a.aj(str(c, "utf-8"), d, e)
            except UnicodeError:  # no topic of ours
                pass

    def aj(a, b, c, d):
        e = b in a.a_
        if e and d and c and a.ai != 3 and b not in a.ay:
            a.ay.append(b)
        if b in a.at:
            if c or not e:  # an empty one only clears the topic, which is fine there
                a.ar[b] = c[: 32 + 1]
        elif b in a.E.topics:
            # with or without the retain flag: a broker behind an MQTT bridge delivers it without
            if a.K:
                a.E.f(b, c)
        elif not e:
            a.j(b, c, d)

    def j(a, b, c, d):
        if len(a.H) < 8:
            a.H.append((b, c[: 32 + 1], d))
        else:
            a.D += 1

    def ak(a, b):
        c, d, e = a.H.pop(0)
        a.p.e(c, d, e, b)
        if a.D and not a.H:
            print(f"MQTT: {a.D} messages were dropped: more came at once than are stored")
            a.D = 0

    def e(a, b):
        c = a.I
        if not c:
            a._pool.c()  # that address led nowhere
        a.connected = a.I = a.K = a.M = False
        a.t = 0
        a.G = None
        a.af = None
        a.ay.clear()
        a.ar.clear()
        for d, e, h in a.H:  # commands end with their connection
            if not h and e:
                a.p.g(d, "the connection to the broker was lost before it was executed")
        a.H.clear()
        # No DISCONNECT, so that the broker publishes the last will immediately.
        a._pool.close()
        connection_manager_close_all(a._pool)  # type: ignore[arg-type]
        from . import trouble as i  # 5 KB on a board that only a failure needs

        j = g(b)
        k = a.k.connected and i.r(j)
        a.C(c, k)
        a.Z = ticks_add(ticks_ms(), a.V(c))
        a.B(j)
        l = a.n(i, b, j, c, k)
        if l != a.trouble:
            a.al(l)
            print("MQTT: " + a.aF)
        f("mqtt.trouble")

    def V(a, b):
        """ms until the next attempt, short after a stable connection. Jittered: two clients with one id must not keep step."""
        if not b:
            c = a.u
            a.u = min(2 * c, 60000)
            return c
        if a.ap is None:
            a.an = 0
        elif a.k.connected:
            a.an += 1
        a.ap = None
        c = a.am
        if a.an:
            a.am = min(2 * c, 60000)
        a.u = a.am
        return c * random.randrange(80, 121) // 100

    def C(a, b, c):
        """Find out whether the broker closes the connection for retained messages, and only then stop using them."""
        if b:
            d = c and a.ai == 0 and a.ah == 1
            a.ag = a.ag + 1 if d else 0
            if a.ai == 3:
                a.ai = 0  # it may accept them by now
            elif a.ag >= 3 or (d and a.L):
                a.au()
        elif a.ai == 2 or (a.ai == 0 and a.L):
            a.ai = 0
            if c:
                a.au()
        elif a.ai == 0 and c:
            a.ac += 1
            if a.ac >= 2:
                a.ac = 0
                a.ai = 1
        else:
            if a.ai == 3:
                a.L = False
            a.ai = 0

    def au(a):
        a.ai = 3
        a.L = True
        print(f"MQTT: {a.v()} keeps no retained messages. Continuing without: later subscribers wait.")

    def B(a, b):
        """A stuck radio driver recovers when it is switched off and on. One through which a refusal arrives is not stuck."""
        c = b.args[0] if b.args else None
        if a.k.connected and c not in (errno.ETIMEDOUT, errno.EHOSTUNREACH):
            a.ao = 0
            return
        a.ao += 1
        a.ab = a.ao % 10 == 0

    def v(a):
        return f"{a.l.MQTT_BROKER}:{a.l.MQTT_PORT}"

    @property
    def aF(a):
        """`trouble` as a sentence with its remedy; "" while connected."""
        if a.az is None:
            from . import trouble as b

            a.az = "" if a.trouble is None else b.a(*a.trouble)
            f("mqtt.trouble")
        return a.az

    def al(a, b):
        a.trouble = b
        a.az = None

    def n(a, b, c, d, e, f):
        if a.Q or not a.k.connected:
            return b.t(a.l.CIRCUITPY_WIFI_SSID, d)
        g = a.S
        if e and f and a.an > 1:
            h = g == a.A
            a.A = g
            return b.s(
                a.v(), a.an, g, a.R, h, a._
            )
        a.A = g if e else a.A
        return b.q(a.l, d, e, S(c, d, e), a._)


def S(a, b, c):
    """The return code of a CONNACK that refused the connection; None: none did. MiniMQTT raises KeyError for unknown ones."""
    if c:
        return None
    d = getattr(a, "code", None) or getattr(b, "code", None)
    return b.args[0] if isinstance(b, KeyError) and b.args else d


def s(a, ssl_context):
    """The trouble at the start: what the settings make impossible, else "connecting"."""
    if not a.MQTT_BROKER:
        return "broker_not_set", ()
    if a.MQTT_TLS and ssl_context is None:
        return "tls_not_possible", ()
    return "connecting", ()


def g(a):
    """The original exception: MiniMQTT wraps it, sometimes twice."""
    while getattr(a, "__cause__", None) is not None:
        a = a.__cause__
    return a
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published, and when. Performs no I/O and has no clock.

After `begin`, once per connection, `poll` returns one message after the other, or None when there is nothing to publish. Long
messages are written in steps, one in every poll, and nothing that is published changes meanwhile: a state is of one moment. A
battery's numbers are published before its status is online, and replaced by null right after it is offline. Messages on the
battery are retained only if the settings want it: what the broker delivers to later subscribers looks current and may be days
old. So status and connection text are repeated, and everything is published again shortly after a discovery message.
"""



from daly.core import l




  # where nothing is retained: the longest that a later subscriber waits for the connection text
  # between two attempts at a discovery message that failed: no memory, or the connection ended
  # how often is looked for what becomes due with time; changed readings are news at once
# Between two states of several batteries: an ESP32-S2 needs 2 s for each, and without them would never announce anything.

  # connections that end with the same discovery message before it is skipped

_ = ("",)  # in place of a message: one is being written


class C:
    """A Discovery that is in memory only while messages are written, 10 KB on a board. Its writer comes first."""

    def __init__(a, g, *b, sources=()):
        a.g = g
        a.e = b
        a.l = sources
        a.h = a.j = None
        c = a.d()  # stays until the messages have been sent once: loading would hold the loop up
        a.i = c.w()
        a.u = c.u
        a.t = c.t

    def d(a):
        if a.h is None:
            if len(a.e[4]) > 1:  # batteries
                from .bank_discovery import e as b
            else:
                from .homeassistant import f as b  # type: ignore[assignment]

            a.h = b(*a.e, g=a.g)  # type: ignore[misc]
        return a.h

    def w(a):
        """How many messages there are."""
        return a.i

    def c(a, b, c=True):
        """(topic, steps) of one message, see Discovery.begin."""
        if b < a.i:
            return a.d().c(b, c)
        if a.j is None:
            from .source_discovery import b as d  # only with outputs or sensors

            a.j = d(*a.e, g=a.g, after=a.i, sources=a.l)
        return a.j.c(b)

    @property
    def v(a):
        """Whether the message written last leaves out what has not been read yet."""
        return a.h is not None and a.h.v

    def f(a):
        """Free its memory; the next message loads it again."""
        if a.h is not None:
            a.h = a.j = None
            f("mqtt.source_discovery")
            f("mqtt.bank_discovery")
            f("mqtt.homeassistant")
            f("mqtt.entities")
            f("battery.controls")


class z:
    """All messages on one bridge and its batteries, as (topic, payload, retain, QoS); payload: str, bytes, or a Writer.

    `bridge(now)` returns the bridge's own state as pairs of key and value. `fast_ms` and `slow_ms` are the least times between
    two states with changed pack and cell readings, `band_percent` scales the deadbands, `each_value` publishes every reading
    on a topic of its own as well. `retain`: messages on the battery are retained, too. `utc(tick)` returns the time of a tick
    as text, or None while it is not known; `utc` None: never known. `is_series`: how the batteries are wired, for their bank.
    `sources`: see battery/sources.py.
    `discovery_errors` counts the discovery messages that could not be made or sent since the start.
    """

    def __init__(a, b, c, d, e, f, g=30000, h=100, i=False,
                 retain=False, j=None, k=False, sources=()):  # fmt: skip
        a.ad = b
        a.ae = c
        a.m = e
        a.retain = retain
        a.u = j
        a.g = c.g  # shared: one buffer as long as the longest discovery message is enough
        a.ab = [y(b + "/status", True)]
        a.e: list = []  # the one that was served last is the last
        for l in d:
            m = c.u + len(a.e) * c.t
            n = t(a, l, m, f, g, h, i)
            a.e.append(n)
            a.ab.append(n.Y)
        a.i = a.e[0]
        a._bank = None
        if len(d) > 1:
            from .bank import c as o

            p = (c.u + len(d) * c.t, c.w())
            a._bank = o(a, list(a.e), p, f, k)
        a.s: list = [] if a._bank is None else [a._bank]  # what is published behind the batteries
        if len(sources):
            from .source_parts import b as q
            from .sources import a as r  # only with outputs or sensors

            for s in range(len(sources)):
                a.s.append(r(a, sources[s], q(s, c.w()), f))
        a.j: list = []  # to be published once
        a.o: tuple = ()  # (topic, retain, battery or None, discovery message or None) of the one being written
        a.af = 0
        a.F: list = []  # discovery messages that are skipped and tried again from time to time
        a.Y = None
        a.M = None  # the discovery message published last; None: it was another message
        a.A = None
        a.B = 0
        a.c(0)

    def c(a, b):
        """A new connection: publish everything again."""
        a.d = None  # writes the rest of a message
        a.h = True  # there may be a message
        a.N = b
        a.P(b)
        a.p = 0  # of the bridge's discovery, which one is sent next
        a.K = False
        a.T = 0  # how many other messages, if there are any, come before the next state of a battery
        a.ab[0].c(b)
        for c in a.e:
            c.c(b)
        for d in a.s:
            d.c(b)
        a.z = b
        a.r = ticks_add(b, 10000)
        a.C = ticks_add(b, 60000)
        a.U = a.X = None
        a.G = False  # Home Assistant has started: all is published again

    def am(a, b, c):
        """After the delay publish discovery again, and a little later availability and states: Home Assistant has started."""
        a.U = ticks_add(b, c)

    def ap(a, b, c, d):
        """Compare `payload` (bytes), received on one of the status topics, with the status published last."""
        a.h = True
        for e in a.ab:
            e.received(b, c, d)

    def publish(a, b, c, retain=False, qos=1):
        """Publish a message once, as soon as possible, and not twice if the same waits already; `topic` without the base."""
        d = (a.ad + b, c, retain, qos)
        if d not in a.j:
            a.j.append(d)
        a.h = True

    def l(a, b, c=None):
        """Publish counters that were set by command: immediately and exactly, also while the battery is offline."""
        d = a.Q(c)
        d.l()
        if a._bank is not None:
            d.o(b, False)  # else the bank would be the sum of other counters than those of the states
        a.h = True

    def report(a, b, c=None):
        """Publish the result of a command, now and after every connection; `battery` None: on the topic of the first one."""
        a.Q(c).report(b)
        a.h = True

    def Q(a, b):
        for c in a.e:
            if c.battery is b:
                return c
        return a.i

    @property
    def ak(a):
        """Whether a message has been begun: the next polls write it."""
        return a.d is not None

    def ag(a):
        """Whether `poll` may have a message, or is writing one; what becomes due with time is no news."""
        if not a.h:
            for b in a.e:
                if b.aa != b.pack.f:
                    return True
        return a.h

    def poll(a, b):
        """The next message; None: there is none, or it is being written. Of a message before nothing is used any more."""
        if a.d is not None:
            return a.ac(b)
        a.M = None  # the message before has been sent, else poll would not be called
        if a.h or ticks_diff(b, a.N) >= 0:
            a.N = ticks_add(b, 50)
            c = a.f(b)
            a.h = c is not None
            for d in a.e:
                a.h = a.h or (d.values is not None and d.values.u())
        else:
            c = a.w(b)
            a.h = c is not None
        return None if c is _ else c

    def write(a, b, c, retain, d=None, e=None):
        """Write a message in the polls that follow: `part` of the discovery, on `battery`."""
        a.d = b
        a.o = (c, retain, d, e)
        return _

    def ac(a, b):
        c, d, e, f = a.o
        g = a.d
        a.d = None  # one that fails is given up
        try:
            h = next(g)
        except (MemoryError, ValueError):
            if f is None:
                raise
            a.aa(f, b)  # all other messages are published
            return None
        if h is False:
            a.d = g
            return None
        if f is not None and a.ae.v:
            e.X(f)
        if h is None:  # there is no message
            return None
        a.M = f
        return c, a.g, d, 0 if f is None else 1

    def f(a, b):
        if a.U is not None or a.X is not None:
            a.W(b)
        elif not a.retain and ticks_diff(b, a.r) >= 0:
            a.V(b)
        c = a.T > 0
        a.T = max(0, a.T - 1)
        return (
            a.D(b)
            or a.v()
            or (a.j.pop(0) if a.j else None)
            or a.R(t.ad, b)
            or a.R(t.V, b)
            or (None if c else a.w(b))
            or a.S(b)
            or a.R(t.connection, b)
            or a.R(t.S, b)
            or a._(b)
            or a.O(b)  # last but one: one that cannot be sent must not delay the numbers
            or a.R(t.ab, b)
            or (a.w(b) if c else None)
        )

    def w(a, b):
        """The next state or status of a battery.

        With several batteries a slow chip has always a state to write: OTHERS other messages come first, if there are any.
        """
        c = a.R(t.state, b)
        if c is _ and a._bank is not None and a.e[-1].phase == 4:
            a.T = 3
        return c

    def S(a, b):
        """The next state of the bank or a source, of the one that was served longest ago."""
        for c in range(len(a.s)):
            d = a.s[c].state(b)
            if d is not None:
                a.s.append(a.s.pop(c))
                return d
        return None

    def E(a, b):
        for c in a.s:
            d = c.n(b)
            if d is not None:
                return d
        return None

    def R(a, b, c):
        """The next message of a kind, of the battery that was served longest ago."""
        for d in range(len(a.e)):
            e = a.e[d]
            f = b(e, c)
            if f is not None:
                a.e.append(a.e.pop(d))
                return f
        return None

    # discovery

    def W(a, b):
        if a.U is not None and ticks_diff(b, a.U) >= 0:
            a.U = None
            a.p = 0
            for c in a.e:
                c.m(b)
            for d in a.s:
                d.m()
            a.X = ticks_add(b, 3000)
            a.G = True
        elif a.X is not None and ticks_diff(b, a.X) >= 0:
            a.X = None
            if a.G:  # else it is retained and was published a moment ago
                a.K = False
            a.z = b
            for c in a.e:
                c.o(b, a.G)
            for d in a.s:
                d.o(b)
            a.G = False
            a.C = b
            a.V(b)

    def V(a, b):
        """Repeat status and connection text for later subscribers: they are not retained."""
        a.r = ticks_add(b, 10000)
        c = ticks_diff(b, a.C) >= 0
        if c:
            a.C = ticks_add(b, 60000)
        for d in a.e:
            d.Z(b, c)

    def an(a, b):
        """Home Assistant has not received what is not retained for entities that are new to it."""
        if not a.retain:
            a.X = ticks_add(b, 3000)

    def O(a, b):
        if a.p < a.ae.u:
            a.p += 1
            return a.k(a.p - 1, b)
        c = a.R(t.n, b) or a.E(b) or a.Z(b)
        if c is None and a.I():
            a.ae.f()
        return c

    def I(a):
        """Whether all that is known has been sent; with several batteries some may never be."""
        b = False
        for c in a.e:
            if c.T == c.pack.ap and c.part > c.W:
                b = True
            elif c.g.r:
                return False
        return b

    def k(a, b, c, d=None, e=True):
        """Begin one discovery message, see Discovery.begin; None when it is skipped, or there is no memory for it."""
        if b in a.F:
            return None
        try:
            f, g = a.ae.c(b, e)
        except (MemoryError, ValueError):
            a.aa(b, c)
            return None
        return a.write(g, f, True, d, b)

    def Z(a, b):
        """One of the skipped discovery messages, when it is time."""
        if not a.F or ticks_diff(b, a.Y) < 0:
            return None
        a.Y = ticks_add(b, 600000)
        c = a.F.pop(0)
        a.an(b)
        for d in a.e:
            if d.U <= c <= d.W:
                if d.T is None and c < d.W:
                    a.F.append(c)  # nothing is known of the battery
                    return None
                return d.k(c, b)
        return a.k(c, b)

    def aa(a, b, c):
        a.af += 1
        if not a.F:
            a.Y = ticks_add(c, 600000)
        a.F.append(b)

    def P(a, b):
        """Skip the discovery message with which the connection has ended, if it is not the first time."""
        c = a.M
        a.B = a.B + 1 if c is not None and c == a.A else 1
        a.A = c
        a.M = None
        if c is not None and a.B >= 2:
            a.aa(c, b)
            a.A = None
        if a.F:
            a.Y = ticks_add(b, 600000)

    # the bridge's status and state

    def v(a):
        # Not before the battery's state has been published: subscribers remember the numbers from before the connection was
        # lost, and so does the broker where they are retained. They would be available again together with the bridge.
        if a.K:
            return None
        for b in a.e:
            if b.phase < 2:
                return None
        for c in a.s:
            if not c.u:
                return None
        a.K = True
        return a.ab[0].message("online")

    def D(a, b):
        for c in a.ab:
            d = c.i(b)
            if d is not None:
                return d
        return None

    def _(a, b):
        if ticks_diff(b, a.z) < 0:
            return None
        a.z = ticks_add(b, 10000)
        # retained, like <base>/status, which the broker itself sets to offline
        return a.write(l(a.g.clear(), a.m(b)), a.ad + "/state", True)
