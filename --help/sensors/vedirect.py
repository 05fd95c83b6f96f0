# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A Victron device on its VE.Direct port, which is only listened to: the text protocol, and its values as a source.

The facts are from Victron's paper "VE.Direct Protocol" (text mode) and from the recordings in tests/recordings. Each second
a device sends a block, a battery monitor two: lines "\\r\\nLABEL\\tVALUE", the last one "\\r\\nChecksum\\t" and a byte that
makes the sum of all bytes 0 modulo 256. Frames of the HEX protocol, from ":" to "\\n", may come anywhere; they are not summed.
"""

from adafruit_ticks import ticks_add, ticks_diff


from battery.sources import text
from app.early import f


# What comes in STALLED_MS must fit: blocks of up to 350 bytes a second

  # not read for longer: what has waited is of another time, and some of it may be lost
  # bytes of a block; the largest known has 270
  # what has not come for so long, and SWEEP_MS, is not known any more: after 5 s
# One byte of sum lets 1 of 16 blocks with two wrong bits pass. So long after a damaged one, a number is the median of three
# blocks, and anything else must have come twice; while most blocks are damaged, nothing is believed.

  # more damaged blocks than whole ones
  # a block is sent without a pause: what comes after one is not its end
  # the rows are known at the latest so long after the device
  # judged in one tick: 2 ms on an ESP32-S2

  # in which 96 bytes come

  # states of the Reader: collecting, in a HEX frame, the next byte is the sum









def a(a):
    """A label as an integer, made of its last four characters: no two of Victron's labels have the same. bytes, ASCII."""
    b = 0
    for c in a:
        b = (b << 7 | c) & 0xFFFFFFF
    return b


h = a(b"PID")
e = a(b"BMV")
g = (e, a(b"CE"), a(b"SOC"))
d = a(b"H1")  # in the second block of a battery monitor


class b:
    """Blocks out of bytes. `block` and `length`: the latest whole one, with its last line and sum; a later one replaces it."""

    def __init__(a):
        a.d = bytearray(512)
        a.length = 0  # 0: there is none, or it has been taken
        a.j = 0  # blocks that were refused
        a.g = bytearray(512)
        a.f = 0
        a.i = 0
        a.h = False  # what is being collected began with a block

    @property
    def o(a):
        """Whether a block has begun and has not ended."""
        return a.f > 0

    def n(a):
        """The whole block has been taken."""
        a.length = 0

    def p(a):
        """Bytes are missing here: what has come of a block is dropped, and so is its end."""
        a.f = 0
        a.i = 0
        a.h = False

    def feed(a, b):
        """Take bytes. What is not looked at byte by byte here is copied in pieces: that costs a tenth on a board."""
        c = len(b)
        d = 0  # what comes before it has been taken
        e = 0  # from here on for a tab
        while d < c:
            if a.i == 1:
                f = b.find(b"\n", d)
                if f < 0:
                    return
                a.i = 0
                d = e = f + 1
            elif a.i == 2:
                a.i = 0
                a.m(b, d, d + 1)
                a.e()
                d = e = d + 1
            else:
                g = b.find(b"\t", e)
                f = c if g < 0 else g + 1
                h = b.find(b":", e, f)
                if h >= 0:
                    a.m(b, d, h)
                    a.i = 1
                    d = h + 1
                elif g < 0 or a.k(b, d, g):
                    a.m(b, d, f)
                    d = e = f
                    a.l()
                else:
                    e = f

    def k(a, b, c, d):
        """Whether the label before a tab may be that of the first or the last line, by its last letter."""
        e = b[d - 1] if d > c else a.g[a.f - 1]
        return e == b'\r\nChecksum\t'[-2] or e == b'\r\nPID\t'[-2]

    def l(a):
        if a.c(b'\r\nChecksum\t'):
            a.i = 2
        elif not a.h and a.c(b'\r\nPID\t'):
            # All known devices begin a block with it, so whatever was lost before it
            a.p()
            a.h = True
            a.m(b'\r\nPID\t', 0, len(b'\r\nPID\t'))

    def m(a, b, c, end):
        d = a.f
        if d + end - c > 512:
            a.j += a.h
            a.p()
            d = 0
        a.f = d + end - c
        a.g[d : a.f] = b[c:end]

    def c(a, b):
        """Whether these bytes have just come."""
        c = a.f
        d = c - len(b)
        return d >= 0 and a.g[c - 2] == b[-2] and a.g[d:c] == b

    def e(a):
        """A block is complete, with its sum."""
        if a.h and sum(memoryview(a.g)[: a.f]) & 255 == 0:
            a.d, a.g = a.g, a.d
            a.length = a.f
        elif a.h:
            a.j += 1
        a.p()
        a.h = True


class c:
    """A source (battery/sources.py) out of what comes from `uart`: anything with `readinto(buffer)`, which returns None or a
    count at once, and `reset_input_buffer()`.

    `number`: of the port, from 1; `name`: "": the kind of the device, such as "SmartShunt". Until that is known there is
    no row, or only that of its problem; another device needs a restart, as it is another one for Home Assistant.
    """

    def __init__(a, c, d, name=""):
        a.key = f"vedirect{d}"
        a.device = name or "VE.Direct"
        a.u = "VE.Direct"
        a.k: list = []
        a.f = 0
        a.K = bool(name)
        a.n = c
        a.h = bytearray(128)
        a.Z = b()
        a.H = 0
        a.V = 0  # damaged blocks less whole ones
        a.t = 0  # the next line of the block to be judged
        a.P = False  # all of them have been
        a._pid = None
        a.J = None
        a.O = False  # what comes now is of another device
        a.q = None  # too early to say
        a.T: list = []  # of (label code, Row, words or None)
        a._index: dict = {}  # label code -> place in `_known`
        a.Y: dict = {}  # key -> the same
        a.ag: list = []  # raw, as `raw` returns it
        a.s: dict = {}  # place -> the number behind these words
        a.D: list = []  # tick when it was said
        a.r: list = []  # the number in the last block, accepted or not
        a.W: list = []  # that in the block before
        a.B: list = []  # tick of `_former`; None: not for long
        a.X: list = []  # that of `_older`
        a._: list = []  # of the block that is being judged
        a.R = bytearray(0)
        a.Q = bytearray(0)  # it is in `rows`
        a.L = False  # something has come that is not
        a.A = a.G = a.F = a.I = a.U = a.ad = None

    def raw(a, key):
        """As of every source. None also for a key that this device does not have."""
        if key == "problem":
            return a.q
        b = a.Y.get(key)
        return None if b is None else a.ag[b]

    def i(a):
        """As of every source of sensors. What a device itself does not know is not waited for."""
        return bool(a.k) and bool([b for b in a.ag if b is not None])

    def c(a, b):
        """Take what has arrived, or judge some lines of the last block."""
        if a.A is None:
            a.F = a.ad = b
        if a.A is None or ticks_diff(b, a.A) > 2000:
            a.n.reset_input_buffer()
            a.Z.p()
        a.A = b
        if a.Z.o and ticks_diff(b, a.G) > 500:
            a.Z.p()
        if ticks_diff(b, a.ad) >= 0:
            a.ad = ticks_add(b, 1000)
            a.ac(b)
        if a.Z.length:
            a.o(b)
            a.G = b  # what has come meanwhile waits, and is no pause
            return None
        c = a.n.readinto(a.h)
        if not c:
            return 50
        a.G = b
        a.Z.feed(bytes(memoryview(a.h)[:c]))
        if a.Z.j != a.H:
            a.H = a.Z.j
            a.w(b)
        return None if c == len(a.h) or a.Z.length else 50

    # The time

    def ac(a, b):
        """What has not come for long is not known any more."""
        for c in range(len(a.T)):
            if a.ag[c] is not None:
                if ticks_diff(b, a.D[c]) <= 4500:
                    continue
                a.p(c, None)
            if a.B[c] is not None and ticks_diff(b, a.B[c]) > 4500:
                a.B[c] = a.r[c] = a.W[c] = None
        if a.I is not None and ticks_diff(b, a.I) > 10000:
            a.I = None
        if a.F is not None and ticks_diff(b, a.F) > 4500:
            a.F = None
        if a.G is not None and ticks_diff(b, a.G) > 4500:
            a.G = None
        a.af()
        if a.U is not None and ticks_diff(b, a.U) > 10000:
            a.ab()

    def af(a):
        b = None if a._pid is None else "none"
        if a.O:
            b = "another device: restart the bridge"
        elif a.F is None and a.G is None:
            b = "nothing received: check plug, ground and the RX pin"
        elif a.F is None or (a.U is None and a._pid is not None and a.M()):
            b = "only damaged data: check ground and level"
        if b != a.q:
            if a._pid is None:
                a.aa()
            a.q = b
            a.f += 1
            print(f"{a.key}: {a.u if b == 'none' else b}")

    def M(a):
        """Whether no value is known."""
        for b in a.ag:
            if b is not None:
                return False
        return True

    # A block

    def o(a, b):
        """Judge some lines; behind the last one, and only if all are right, take their values."""
        if a.P:
            a.g(b)
            a.m()
            return
        for c in range(6):
            d = a.j()
            if d is None:
                continue
            a.t = 0
            if not d:
                a.w(b)
                a.m()
            elif a._pid is not None:
                a.P = True  # its values are taken in the next tick
            elif not a.N(b):
                a.m()
            return  # if it is known only now: once more from the start, with a table

    def m(a):
        """Done with this block."""
        a.Z.n()
        a.P = False
        for b in range(len(a.R)):
            a.R[b] = 0

    def w(a, b):
        a.I = b
        a.V = min(a.V + 1, 2 * 4)

    def j(a):
        """Judge the next line. Returns None; True: it was the last one; False: it is wrong, and with it the block."""
        b = a.Z.d
        c = a.t
        if b[c] != 13 or b[c + 1] != 10:
            return False
        c += 2
        d = 0
        while 32 < b[c] < 127:
            d = (d << 7 | b[c]) & 0xFFFFFFF
            c += 1
        if b[c] != 9 or not d:
            return False
        c += 1
        if c == a.Z.length - 1:
            return True
        if b[c] == 13:
            return False
        e = a._index.get(d)
        if a._pid is None or (e is None and d != h):
            f = a.C(c)
            a.t = f
            return None if b[f] == 13 else False
        if d == h:
            a.O = a.d(c, True) != a._pid
            if e is None:
                a.t = a.C(c)
                return None
        return a.z(e, c)

    def C(b, a):
        """Where a value ends: at the first byte that can be in none."""
        c = b.Z.d
        while 32 <= c[a] < 127:
            a += 1
        return a

    def z(a, b, c):
        """Keep a value until the whole block is known to be right; returns False for one that cannot be, else None."""
        if a.R[b]:
            return False
        d = a.Z.d
        e = a.T[b][1]
        f = None
        if d[c] == 45 and d[c + 1] == 45:  # "---": the device does not know
            a.t = c + 3
            if d[c + 2] != 45:
                return False
        elif e.e == 1:
            a.t = g = a.C(c)
            if d[c] != 79 or d[g - 1] not in (70, 78):  # "ON", "OFF"
                return False
            f = 1 if d[g - 1] == 78 else 0
        elif e.e == 3 and a.T[b][2] is None:
            a.t = a.C(c)
            f = c << 9 | a.t
        else:
            f = a.d(c, a.T[b][2] == "off")
            if f is None:
                return False
        a._[b] = f
        a.R[b] = 1
        return None if d[a.t] == 13 else False

    def d(b, a, c=False):
        """The integer that begins there; None: it is none. `is_hex`: it is one with "0x" before it. Its end is in `_at`."""
        d = b.Z.d
        e = 1
        f = 10
        g = a
        if d[g] == 45:
            e = -1
            g += 1
        elif c and d[g] == 48 and d[g + 1] == 120:
            f = 16
            g += 2
        a = g
        h = 0
        i = d[g]
        while i >= 32:
            j = i - 48
            if j > 9 and f == 16:
                j = (i | 32) - 87
                if j < 10:
                    return None
            if j < 0 or j >= f:
                return None
            h = h * f + j
            g += 1
            i = d[g]
        b.t = g
        return e * h if 0 < g - a <= 10 else None

    def e(a, b):
        return str(memoryview(a.Z.d)[b >> 9 : b & 511], "ascii")

    def N(a, b):
        """See which device has sent this block; returns whether it is known now. A block without PID does not tell."""
        c = d = None
        i = False
        while True:
            j = a.t
            if a.j() is not None:
                break
            k, l = a.v(j)
            if k == h:
                m = a.t
                c = a.d(l, True)
                a.t = m
            elif k == e:
                d = a.e(l << 9 | a.t)
            i = i or k in g
        a.t = 0
        if c is None or (a.I is not None and c != a.J):
            a.J = c
            return False
        from .vedirect_tables import e as n, h as o  # needed once

        a.T = n(i)
        p, a.u = o(c, d, i)
        f("sensors.vedirect_tables")
        if not a.K:
            a.device = p
        q = len(a.T)
        a.ag = [None] * q
        a.r = [None] * q
        a.W = [None] * q
        a._ = [None] * q
        a.D = [b] * q
        a.B = [None] * q
        a.X = [None] * q
        a.R = bytearray(q)
        a.Q = bytearray(q)
        a._index = {a.T[r][0]: r for r in range(q)}
        a.Y = {a.T[s][1].key: s for s in range(q)}
        a.U = b
        a._pid = c
        return True

    def v(b, a):
        """(code, start of the value) of a line that has been judged."""
        c = 0
        a += 2
        while b.Z.d[a] != 9:
            c = (c << 7 | b.Z.d[a]) & 0xFFFFFFF
            a += 1
        return c, a + 1

    def g(a, b):
        """Take over the values of a block that is right."""
        a.V = max(0, a.V - 1)
        if a.O or a.V >= 4:
            return
        a.F = b
        for c in range(len(a.T)):
            if a.R[c]:
                a.ae(c, b)
        if a.U is None:
            if a.L:
                a.E()
        elif a.S():
            a.ab()
        a.af()

    def ae(a, b, c):
        d = a._[b]
        e = c
        f, g = a.r[b], a.W[b]
        h, i = a.B[b], a.X[b]
        a.W[b], a.X[b] = f, h
        a.r[b], a.B[b] = d, c
        if not a.Q[b]:
            a.L = True
        j, k, l = a.T[b]
        m = k.e == 3 and l is None
        if a.I is not None:
            if m:
                if d is None or a.ag[b] != a.e(d):
                    return
            elif k.e != 0:
                if d != f:
                    return
            elif d is None or f is None or g is None:
                return
            else:
                n = sorted((d, f, g))[1]
                e = c if n == d else h if n == f else i
                d = n
                if ticks_diff(c, e) > 4500:
                    return
        a.l(b, d, m)
        a.D[b] = e

    def l(a, b, c, d):
        e, g, h = a.T[b]
        if c is None:
            i = None
        elif d:
            i = a.e(c)
        elif h is None:
            i = c
        elif a.ag[b] is not None and c == a.s[b]:
            return
        else:
            from .vedirect_words import e as j  # when a code changes

            a.s[b] = c
            i = j(h, c)
            f("sensors.vedirect_words")
        if g.key == "time_to_go" and i is not None and i < 0:
            i = None  # -1: without an end
        a.p(b, i)

    def p(a, b, c):
        if c != a.ag[b]:
            a.ag[b] = c
            a.f += 1

    # The rows

    def S(a):
        """Whether every kind of block of this device has come since it is known."""
        b = a._index.get(d)
        return b is None or a.B[b] is not None

    def ab(a):
        a.U = None
        a.aa()
        a.E()

    def aa(a):
        if not a.k:
            a.k.append(text("problem", "Problem", "connection", 1))

    def E(a):
        """The rows of what has come, in the order of the table: the same one after each start."""
        a.L = False
        for b in range(len(a.T)):
            # a monitor without a thermometer says "---" for ever
            c = a.ag[b] is not None or (
                a.B[b] is not None and a.T[b][1].key != "temperature"
            )
            if c and not a.Q[b]:
                a.Q[b] = 1
                a.k.append(a.T[b][1])
                a.f += 1
