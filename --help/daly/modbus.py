# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What D2 and P81 share: frames of a kind of Modbus, 9600 baud 8N1, and values in registers. No I/O, no clock.

    request:   address | 03 | first register | number of registers | CRC         (numbers high byte first)
    response:  address | 03 | number of bytes | registers | CRC                  (CRC16 of Modbus, low byte first)
    write:     address | 06 | register | value | CRC, acknowledged by the same

A response does not name the registers it holds: only its length ties it to a request. A board that lacks registers fills them
with FF or 0, or is silent; exceptions (function 83) were never captured. Which register is what: daly/d2.py and daly/p81.py.
"""

from collections import namedtuple

from adafruit_ticks import ticks_diff


from daly.core import c, n






  # bytes of a response beside its registers
  # of the buffer; the longest frame has 255 bytes

  # of Modbus; D2 is one of these

  # request and first frame of A5, which the poller's times are made for

# A response that has begun is over when the line is quiet for so long; bytes come without a pause (described for both).

  # bytes of no good frame that are a response, damaged, not a glitch before it
# Another master has asked our board for as many registers: until two responses have come, or for so long, a response of that
# length may be its. The request goes out within 1 s, and is waited for 0.4 s.


# The map

b = namedtuple(
    "b",
    (
        "function",  # the first register
        "count",  # registers requested; 0: as many as there are cells
        "b",  # key of GROUPS: the pace it is requested at
        "k",  # its readings
        "a",  # of each: place and how its value stands in a response, see `at`
        "n",  # changes of its readings are published at once
        "g",
        "K",  # boards may not have it
    ),
)

# How a value stands there. Beside FFFF also "not there":
  # 0

  # what follows a value that is not there: the number of a sensor
# How the number becomes raw
  # by how much it differs from 30000, above or below: limits of a current
  # its last byte belongs to nothing
  # °C + 40



  # one bit a value, from bit 0 of the first register on






def at(key, a, b=0, c=1):
    """(key, place) of a reading. A place is one small integer, since there are many: how, in how many registers, the first one.

    For the first of several values of one row; with BITS: the registers of all of them.
    """
    return key, b << 18 | c << 12 | a


def e(a, b=()):
    """Every reading of a map, and those that the bridge calculates; once for all boards."""
    return tuple([e for d in a for e in d.k] + [c[f] for f in b])


def d(a, d, e, f, *g):
    """A block of so many registers; `readings` are made by `at`."""
    h = tuple([c[j] for j, k in g])
    i = len([l for l in h if n(l)]) > 0
    return b(a, d, e, h, tuple([o for m, o in g]), i, 1, f)


# CRC16 of Modbus


# What a byte does to it, in two tables, which are smaller than one of integers: for its low byte and for its high one. Written
# out, because an ESP32-S2 would calculate them for a quarter of a second.
# fmt: off




















# fmt: on


def i(a, b, end):
    """The CRC of data[begin:end]; 0 when its last two bytes are the CRC of those before."""
    c = d = 0xFF
    for e in range(b, end):
        c ^= a[e]
        d, c = b'\x00\xc0\xc1\x01\xc3\x03\x02\xc2\xc6\x06\x07\xc7\x05\xc5\xc4\x04\xcc\x0c\r\xcd\x0f\xcf\xce\x0e\n\xca\xcb\x0b\xc9\t\x08\xc8\xd8\x18\x19\xd9\x1b\xdb\xda\x1a\x1e\xde\xdf\x1f\xdd\x1d\x1c\xdc\x14\xd4\xd5\x15\xd7\x17\x16\xd6\xd2\x12\x13\xd3\x11\xd1\xd0\x10\xf001\xf13\xf3\xf226\xf6\xf77\xf554\xf4<\xfc\xfd=\xff?>\xfe\xfa:;\xfb9\xf9\xf88(\xe8\xe9)\xeb+*\xea\xee./\xef-\xed\xec,\xe4$%\xe5\'\xe7\xe6&"\xe2\xe3#\xe1! \xe0\xa0`a\xa1c\xa3\xa2bf\xa6\xa7g\xa5ed\xa4l\xac\xadm\xafon\xae\xaajk\xabi\xa9\xa8hx\xb8\xb9y\xbb{z\xba\xbe~\x7f\xbf}\xbd\xbc|\xb4tu\xb5w\xb7\xb6vr\xb2\xb3s\xb1qp\xb0P\x90\x91Q\x93SR\x92\x96VW\x97U\x95\x94T\x9c\\]\x9d_\x9f\x9e^Z\x9a\x9b[\x99YX\x98\x88HI\x89K\x8b\x8aJN\x8e\x8fO\x8dML\x8cD\x84\x85E\x87GF\x86\x82BC\x83A\x81\x80@'[c], d ^ b'\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@'[c]
    return d << 8 | c


def a(a, b, c, d, e):
    """Fill `frame` (8 bytes) in place and return it: a read of `value` registers, or a write of one."""
    a[0] = b
    a[1] = c
    a[2] = d >> 8
    a[3] = d & 0xFF
    a[4] = e >> 8
    a[5] = e & 0xFF
    f = i(a, 0, 6)
    a[6] = f & 0xFF
    a[7] = f >> 8
    return a


class f:
    """Finds whole, checked frames in whatever bytes arrive, in whatever pieces; never raises, and allocates only for damage.

    The bytes held are always the beginning of something that may become a frame, of us, of the board, or of anybody else on
    the line. `request` and `written`: the last ones we sent, 8 bytes.
    """

    def __init__(a, b, c):
        a.v = 0  # responses to our request with a wrong checksum
        a.I = 0  # bytes that belonged to no frame
        a.g = bytearray(8)
        a.e = bytearray(8)
        a.L = 0  # data bytes of the response that is waited for; 0: none is
        a.c = b
        a.l = c
        a.M = a.h = bytearray(256)  # begins with the last whole frame; its registers begin at index 3
        a.j = bytearray(256)  # begins with the last response with a wrong checksum
        a.H = 0
        a.i = 0  # bytes held
        a.f = a.p = 0xFF  # their CRC
        a.F = 0  # below so many bytes only the CRC is continued: the response is being received
        a.E = 0  # bytes held that are the last whole frame
        a.z = False  # a frame among the bytes held may have ended before the last one
        # the request of another master to our board that may not have been answered yet
        a.C = 0  # data bytes of its response; 0: there is none
        a.B = 0
        a.D = 0  # responses of that length since then

    @property
    def length(a):
        """How many bytes the last whole frame has, valid until the next `feed`."""
        return a.E

    @property
    def N(a):
        """Whether the first bytes of the response that is waited for are held."""
        return a.i - a.E > 2 and not a.E and a.t(0)

    def J(a, b, c):
        """`request` has been sent: a response with so many data bytes is waited for."""
        a.reset()
        a.g = b
        a.L = c

    def K(a):
        """No response is waited for any more."""
        a.L = a.F = 0

    def O(a):
        """How many bytes of an unfinished frame are held."""
        return a.i - a.E

    def reset(a):
        """Forget an unfinished frame: what comes next does not belong to it."""
        a.I += a.i - a.E
        a.i = a.E = a.F = 0
        a.f = a.p = 0xFF

    def feed(a, b, c):
        """Take one byte; what it completes: NOTHING or one of the others."""
        d = a.i
        a.h[d] = b
        a.i = d = d + 1
        e = a.f ^ b
        a.f = a.p ^ b'\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@\x00\xc1\x81@\x01\xc0\x80A\x00\xc1\x81@\x01\xc0\x80A\x01\xc0\x80A\x00\xc1\x81@'[e]
        a.p = b'\x00\xc0\xc1\x01\xc3\x03\x02\xc2\xc6\x06\x07\xc7\x05\xc5\xc4\x04\xcc\x0c\r\xcd\x0f\xcf\xce\x0e\n\xca\xcb\x0b\xc9\t\x08\xc8\xd8\x18\x19\xd9\x1b\xdb\xda\x1a\x1e\xde\xdf\x1f\xdd\x1d\x1c\xdc\x14\xd4\xd5\x15\xd7\x17\x16\xd6\xd2\x12\x13\xd3\x11\xd1\xd0\x10\xf001\xf13\xf3\xf226\xf6\xf77\xf554\xf4<\xfc\xfd=\xff?>\xfe\xfa:;\xfb9\xf9\xf88(\xe8\xe9)\xeb+*\xea\xee./\xef-\xed\xec,\xe4$%\xe5\'\xe7\xe6&"\xe2\xe3#\xe1! \xe0\xa0`a\xa1c\xa3\xa2bf\xa6\xa7g\xa5ed\xa4l\xac\xadm\xafon\xae\xaajk\xabi\xa9\xa8hx\xb8\xb9y\xbb{z\xba\xbe~\x7f\xbf}\xbd\xbc|\xb4tu\xb5w\xb7\xb6vr\xb2\xb3s\xb1qp\xb0P\x90\x91Q\x93SR\x92\x96VW\x97U\x95\x94T\x9c\\]\x9d_\x9f\x9e^Z\x9a\x9b[\x99YX\x98\x88HI\x89K\x8b\x8aJN\x8e\x8fO\x8dML\x8cD\x84\x85E\x87GF\x86\x82BC\x83A\x81\x80@'[e]
        return 0 if d < a.F else a.d(c)

    def d(a, b):
        """Whether the bytes held begin with a whole frame; drop those that begin none."""
        if a.E:
            a.m(a.E)
            a.E = 0
        while a.i:
            c = a.G()
            if c > 0:
                a.E = c
                a.F = 0
                return a.o(b)
            if not c:
                a.z = False
                return 0
            d = a.t(0) and a.i >= a.L + 5
            if d:
                a.w()
            a.n()
            if d:
                return 5
        return 0

    def G(a):
        """The size of the frame the bytes held begin with; 0: they may become one, -1: they cannot."""
        b = a.h
        c = a.i
        if not h(b[0], b[1] if c > 1 else 3):
            return -1
        if c < 3:
            return 0
        if a.t(0):
            d = a.L + 5
            a.F = d
            return a.k(d) or (-1 if c >= d else 0)
        if a.q():
            return -1
        e = b[1]
        if e >= 0x80:
            return a.k(5) or (-1 if c >= 5 else 0)
        # a request, an acknowledgement, or a response or a write of several registers, which are longer or shorter
        f = 8
        g = a.k(8)
        if e < 0x05:
            if 0 < b[2] <= 255 - 5:
                f = max(f, 5 + b[2])
                g = g or a.k(5 + b[2])
        elif e >= 0x0F:
            f = 8 + 1 + (max(b[6], 2 * b[5]) if c > 6 else 0)
            if c > 6:
                # Daly's tools send no number of bytes (captured)
                g = g or a.k(8 + 2 * b[5]) or a.k(8 + 1 + b[6])
        return g or (-1 if c >= min(f, 255) else 0)

    def k(a, b):
        """`size` when so many bytes are a frame by their CRC, else 0."""
        c = a.i
        if c == b:
            return 0 if a.f or a.p else b
        return b if a.z and b < c and not i(a.h, 0, b) else 0

    def t(a, b):
        """Whether the response that is waited for begins here."""
        c = a.h
        return (
            a.L > 0
            and c[b + 2] == a.L
            and c[b + 1] == 3
            and c[b] == a.l
        )

    def q(a):
        """Whether the response that is waited for begins among the bytes held: then those before it begin nothing."""
        b = a.i - 3
        for c in range(1 if a.z else max(1, b), b + 1):
            if a.t(c):
                return True
        return False

    def m(a, b):
        """Remove the first bytes."""
        c = a.i - b
        d = a.h
        for e in range(c):
            d[e] = d[b + e]
        a.i = c
        f = i(d, 0, c)
        a.f = f & 0xFF
        a.p = f >> 8
        a.z = True
        a.F = 0

    def n(a):
        """Drop bytes until the rest can be the beginning of a frame."""
        b = a.h
        c = a.i
        d = 1
        while d < c and not h(b[d], b[d + 1] if d + 1 < c else 3):
            d += 1
        a.I += d
        a.m(d)

    def w(a):
        b = a.L + 5
        a.v += 1
        for c in range(b):
            a.j[c] = a.h[c]
        a.H = b

    # whose frame it is

    def o(a, b):
        """What the frame that begins the bytes held is to us."""
        c = a.h
        d = a.E
        if d == 8:
            if a.u(a.g, 8):
                return 3
            if a.u(a.e, 6, 1):
                if c[0] == a.l:
                    return 0  # the acknowledgement of our write; on a line that echoes also the write to D2 itself
                return 3 if c[0] == a.c else 4
            if c[0] == a.c and c[1] == 3:
                a._(b)
                return 4
        if c[0] != a.l or c[1] != 3 or d != 5 + c[2]:
            return 4
        e = c[2] == a.L
        if c[2] == a.C and a.s(e, b):
            return 4
        return 2 if e else 4

    def u(a, b, c, d=0):
        for e in range(d, c):
            if a.h[e] != b[e]:
                return False
        return True

    def _(a, b):
        a.C = 2 * (a.h[4] << 8 | a.h[5])
        a.B = b
        a.D = 0

    def s(a, b, c):
        """Whether a response of our board may answer the other master: which is whose cannot be seen while both wait."""
        d = ticks_diff(c, a.B) < 1500
        a.D += 1
        if not d or not b or a.D >= 2:
            a.C = 0
        return d


def h(b, a):
    """Whether a frame of anybody can begin so: those of others are no noise."""
    if not 0 < b <= 247:
        return False
    a &= 0x7F  # an exception has its first bit set
    return 0 < a < 0x07 or a == 0x0F or a == 0x10


class g:
    """The protocol of one board: builds requests, recognises responses and hands their values to `pack`.

    What differs are attributes and methods of the classes derived from it: `name`, `detail`, `blocks`, `registers_of_writes`
    (by key of the control), `fits`, `fill_alarms`.
    `pending`: index of the block whose response is waited for, -1: none.
    """

    name = ""
    ad = ""
    w: tuple = ()
    k: tuple = ()  # every reading that this protocol can say: see rows_of
    ab: tuple = ()  # keys of readings that the bridge calculates where the board does not send them
    ak: dict = {}
    am = 1
    Z: tuple = ()
    ai = 48
    aj = 8
    # the same for every board and every time
    h = False
    L = True  # above 30000 is charging
    D = True
    M = 60000  # after a damaged frame: of 65536 damaged ones one has a right CRC
    A = 4  # 3.5 characters, as Modbus wants it
    K = True
    E = False

    def __init__(a, b, c, d):
        a.r = -1
        a.P = f(c, d)
        a.feed = a.P.feed
        a.R = tuple(a.ak)
        a.f = b
        a.c = c
        a.l = d
        a.V = tuple([bytearray(8) for e in a.w])
        a.q = [0] * 5
        a.s = bytearray(8)
        a.u = 0  # discarded bytes at the time of the request
        a.i = 0  # first register of the response that is stored

    # requests

    def ac(a, b):
        """How many registers the request of a block asks for; 0 while that is not known."""
        return a.w[b].count

    def C(a, b):
        """0 while a block cannot be requested, else 1."""
        return 1 if a.ac(b) else 0

    def _(a, b):
        """By how many ms request and response are longer on the line than those of A5, which have 13 bytes each."""
        return (8 + 5 + 2 * a.ac(b) - 26) * 1042 // 1000

    def Q(a, b):
        """How long the frames of a response after the first one take: there are none."""
        return 0

    def z(b, c):
        """The request for a block, 8 bytes."""
        d = b.V[c]
        e = b.ac(c)
        if d[5] != e:
            a(d, b.c, 3, b.w[c].function, e)
        return d

    def open(a, b):
        """The request for a block has been sent: its response is waited for from now on."""
        c = a.P
        a.r = b
        c.J(a.z(b), 2 * a.ac(b))
        a.u = c.I

    def close(a):
        """The response is not waited for any more."""
        a.r = -1
        a.P.K()

    def g(a):
        """The BMS is gone: nothing is known of it that could be wrong."""

    def write(b, key, c, d):
        """The frame that writes a control: `raw` 0 or 1 of a MOSFET, 0.1 % of the state of charge."""
        e = b.am if c is None else c
        return a(b.P.e, b.c, 6, b.ak[key], e)

    # responses

    @property
    def B(a):
        """Index of the block that an unexpected frame of our board may answer, by its length; -1: none, or the open request."""
        return a.j(a.P)

    def j(a, b):
        """The same of the last frame in a reader, which may be that of a neighbour on the line."""
        c = b.M
        d = b.length - 5
        if d > 0 and c[0] == a.l and c[1] == 3:
            for e in range(len(a.w)):
                if c[2] == d == 2 * a.ac(e):
                    return -1 if e == a.r else e
        return -1

    def I(a, b):
        """Whether our board has sent the last frame in a reader."""
        return b.M[0] == a.l

    def H(a, b):
        """Whether the last frame in a reader would answer the open request, if our board had sent it."""
        return a.r >= 0 and b.M[1] == 3 and b.length == 5 + b.L

    def G(a, b=True):
        """Whether bytes that belong to no frame came since the request."""
        return a.P.I + (a.P.O() if b else 0) != a.u

    def J(a, b):
        """Whether a response has begun, is not whole, and, as the line has been quiet for so long, is over."""
        if b < 30 or a.r < 0:
            return False
        c = a.P
        return c.N or c.I + c.O() - a.u >= 9

    def m(a, b):
        """No frames follow a response."""
        return False

    def p(a, b):
        """No frames follow a response."""
        return False

    def o(a):
        """No frames follow a response."""

    def O(a, b):
        """Nothing is learned from it."""

    def n(a):
        """Nothing is learned from it."""

    def N(a):
        """Nothing is learned from it."""

    # values

    def t(a, b, c):
        """Hand the values of the response to the pack: ACCEPTED, UNCONFIRMED or EMPTY."""
        d = a.w[a.r]
        if not a.F():
            a.f.ak()
            return 2
        a.f.select(a.k, a.R)
        e = True
        f = True
        for g in range(len(d.k)):
            h = d.k[g]
            i = d.a[g]
            if h.n > 1:
                e = a.X(h, i, b, c) and e
            elif f or not i & 1048576:
                j = a.e(h, i) if h.e == 3 else a.d(i, 0)
                f = j is not None
                if f:
                    e = a.f.accept(h, 0, j, b, c) and e
        a.f.j(b)
        return 0 if e else 1

    def F(a):
        """Whether the response that is there can be an answer at all, judged by its content."""
        a.i = a.w[a.r].function
        return a.v() and a.af(a.r)

    def af(a, b):
        """Whether the content of a response can be that of this block."""
        return True

    def peek(a, key):
        """The raw value of a reading in the response that is there; None when it is not in it."""
        b = a.w[a.r]
        for c in range(len(b.k)):
            if b.k[c].key == key:
                return a.d(b.a[c], 0)
        return None

    def ah(a, b, c):
        """Whether the voltage of a pack is near that of its cells, both in mV: one of four may be dead, or its wire open."""
        return 5 * abs(b - c) <= 2 * max(b, c)

    def ae(a, b):
        """Fill the bit fields of battery/alarms.py from a response."""

    def aa(a, b):
        """A register of alarms; FFFF is none."""
        c = a.register(b)
        return 0 if c == 0xFFFF else c

    def Y(a, b, c):
        """The four registers from `first` on as the alarm bytes of alarm_bytes.py; `is_low_first`: in the order of D2."""
        d = a.s
        for e in range(4):
            f = a.aa(b + e)
            d[2 * e] = f & 0xFF if c else f >> 8
            d[2 * e + 1] = f >> 8 if c else f & 0xFF
        return d

    def ag(a):
        """Whether any register of alarms is there, though there may be none in it."""
        for b in a.Z:
            if a.register(b) != 0xFFFF:
                return True
        return False

    def register(a, b):
        """The content of a register of the response, 0..FFFF."""
        c = a.P.M
        d = 3 + 2 * (b - a.i)
        return c[d] << 8 | c[d + 1]

    def v(a):
        """Whether a response holds anything but zeros and FF."""
        b = a.P.M
        for c in range(3, 3 + a.P.L):
            if b[c] != 0 and b[c] != 0xFF:
                return True
        return False

    def X(a, b, c, d, e):
        """Hand over cells, sensors, levels or bits; what is beyond their number is no value."""
        f = a.f
        if b.e == 5:
            if not a.ag():
                return True  # they are not known
            a.ae(a.q)
            return f.S(b, a.q, d, e)
        if c & 134217728:
            return a.W(b, c, d, e)
        g = a.S(b)
        h = True
        if c >> 12 == 1:  # plain registers: in short, since cells are the most
            i = a.P.M
            j = 3 + 2 * ((c & 4095) - a.i)
            for k in range(g):
                l = i[j] << 8 | i[j + 1]
                j += 2
                if l != 0xFFFF:
                    h = f.accept(b, k, l, d, e) and h
            return h
        for k in range(g):
            l = a.d(c, k)
            if l is not None:
                h = f.accept(b, k, l, d, e) and h
        return h

    def W(a, b, c, d, e):
        """Hand over one bit for each cell; a register of FFFF holds none."""
        f = g = True
        h = 0
        for i in range(a.S(b)):
            h = h >> 1 if i & 15 else a.register((c & 4095) + (i >> 4))
            if not i & 15:
                g = h != 0xFFFF
            if g:
                f = a.f.accept(b, i, h & 1, d, e) and f
        return f

    def S(a, b):
        """How many values there are: by the number that stands in the response before them, once that is accepted."""
        if b.m is None:
            return b.n
        c = a.f.raw(b.m)
        if c is None:
            c = a.f.ao[b.m] or 0
        return min(c, a.ai if b.m == "cell_count" else a.aj)

    def d(a, b, c):
        """The raw value number `index` (from 0) at a place; None when it is not there."""
        d = a.P.M
        e = b >> 12 & 0x3F
        f = 3 + 2 * ((b & 4095) - a.i + c * e)
        g = d[f] << 8 | d[f + 1]
        if e == 2:
            h = d[f + 2] << 8 | d[f + 3]
            if g & h == 0xFFFF:
                return None
            g = g << 16 | h
        elif g == 0xFFFF:
            return None
        i = b >> 18
        if not i:
            return g
        if (i & 1 and not g) or (i & 2 and g == 0xFF):
            return None
        if i & 32:
            return g - 40
        if i & (64 | 8):
            g -= 30000
            return abs(g) if i & 8 else g
        if i & 16:
            return g >> 8
        return g * (100 if i & 256 else 10 if i & 128 else 1)

    def e(a, b, c):
        """The printable ASCII before the first zero or FF; None when there is none or something else stands there."""
        d = a.P.M
        e = 3 + 2 * ((c & 4095) - a.i)
        f = e
        while f < e + 2 * (c >> 12 & 0x3F) and d[f] not in (0, 0xFF):
            if not 0x20 <= d[f] < 0x7F:
                return None
            f += 1
        return a.al(b, str(d[e:f], "ascii").strip()) or None

    def al(a, b, c):
        """A text as it was meant."""
        return c
