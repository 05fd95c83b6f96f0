# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The A5 protocol: frames, responses of several frames, and where each reading is. Performs no I/O and has no clock.

A frame is 13 bytes, 9600 baud 8N1 (vendor PDF V1.2, confirmed by every capture):

    A5 | address | function | 08 | 8 bytes of payload | low byte of the sum of the 12 bytes before

In a request the address is the host's (0x40), in a response the board's (0x01). There is no negative response: a function that
a board does not know is ignored. Offsets, scales and meanings: vendor PDF V1.2 and captures, judged in docs/PROTOCOL.md.
"""

from collections import namedtuple
from struct import pack_into

from adafruit_ticks import ticks_add, ticks_diff


from daly.core import z, c, n, i, H

from daly.core import E





  # boards are 1..16; from here on it is a host: our own request, echoed (maland16#12)

# The map

b = namedtuple(
    "b",
    (
        "function",
        "b",  # key of GROUPS: the pace it is requested at
        "g",  # most frames a response has; 1: payload without a frame number
        "width",  # bytes of payload a frame carries
        "k",  # its readings
        "a",  # of each: place and how its value stands in the payload, see `_at`
        "n",  # changes of its readings are published at once
        "K",  # a board may do without it: nothing is expected of it
    ),
)


# How the number, unsigned and big-endian, becomes raw
  # °C + 40
  # 30000 - number: with us positive is charging
  # by how much it differs from 30000, above or below: limits of a current

  # bits of a place below its form


def t(key, a, b=1, c=0, d=None):
    """(key, place) of a reading: its bytes in the payload, frame numbers left out; `bit`: of that first byte, for one bit.

    A place is one small integer, since there are many. For the first of several values of one row.
    """
    return key, c << 13 | (0 if d is None else d + 1) << 9 | b << 3 | a


def e(a, d, width, *e):
    f = tuple([c[h] for h, i in e])
    g = len([j for j in f if n(j)]) > 0
    return b(a, f[0].b, d, width, f, tuple([l for k, l in e]), g, False)


def q(a, *d):
    """A block that is known from other readers only, and of which there is no capture: once per connection, or not at all."""
    e = tuple([c[f] for f, g in d])
    return b(a, "static", 1, 8, e, tuple([i for h, i in d]), False, True)


# The first one is the fast poll group: see schedule.py.
a = (
    # 30000 is 0 A and more is discharging (captures of two packs); with us positive is charging, hence DISCHARGING.
    # Bytes 2 and 3, the "gather voltage", are 0 in every capture.
    e(0x90, 1, 8, t("pack_voltage", 0, 2), t("current", 4, 2, 2), t("soc", 6, 2)),
    e(0x93, 1, 8, t("mode", 0), t("charge_mosfet", 1), t("discharge_mosfet", 2), t("heartbeat", 3),
           t("remaining_capacity", 4, 4)),
    e(0x98, 1, 8, t("alarm_bits_{}", 0, 7), t("fault_code", 7)),
    # Bytes 2 and 3: 0 in all captures, also under load. Byte 7 is a leftover on most boards and a temperature on some.
    e(0x94, 1, 8, t("cell_count", 0), t("temperature_count", 1), t("charger_connected", 2),
           t("load_connected", 3), t("digital_input_{}", 4, 1, 0, 0), t("digital_output_{}", 4, 1, 0, 4),
           t("cycle_count", 5, 2)),
    e(0x91, 1, 8, t("max_cell_voltage", 0, 2), t("max_voltage_cell", 2), t("min_cell_voltage", 3, 2),
           t("min_voltage_cell", 5)),
    e(0x92, 1, 8, t("max_temperature", 0, 1, 1), t("max_temperature_sensor", 1),
           t("min_temperature", 2, 1, 1), t("min_temperature_sensor", 3)),
    e(0x95, 16, 6, t("cell_{}_voltage", 0, 2)),
    e(0x96, 3, 7, t("temperature_{}", 0, 1, 1)),
    e(0x97, 1, 8, t("cell_{}_balancing", 0, 1, 0, 0)),
    e(0x50, 1, 8, t("rated_capacity", 0, 4), t("nominal_cell_voltage", 4, 4)),
    # FFFF is how Daly's tools write "never", which is no number of seconds
    e(0x53, 1, 8, t("production_date", 2, 3), t("chemistry", 0), t("sleep_time", 5, 2)),
    e(0x57, 5, 7, t("battery_code", 0, 35)),
    e(0x62, 2, 7, t("software_version", 0, 14)),
    e(0x63, 2, 7, t("hardware_version", 0, 14)),
    q(0x52, t("lifetime_charge", 0, 4, 8), t("lifetime_discharge", 4, 4, 8)),
    q(0x59, t("cell_overvoltage_limit_{}", 0, 2), t("cell_undervoltage_limit_{}", 4, 2)),
    q(0x5A, t("pack_overvoltage_limit_{}", 0, 2), t("pack_undervoltage_limit_{}", 4, 2)),
    q(0x5B, t("charge_overcurrent_limit_{}", 0, 2, 4),
              t("discharge_overcurrent_limit_{}", 4, 2, 4)),
    q(0x5C, t("charge_overtemperature_limit_{}", 0, 1, 1),
              t("charge_undertemperature_limit_{}", 2, 1, 1),
              t("discharge_overtemperature_limit_{}", 4, 1, 1),
              t("discharge_undertemperature_limit_{}", 6, 1, 1)),
    q(0x5D, t("soc_high_limit_{}", 0, 2), t("soc_low_limit_{}", 4, 2)),
    q(0x5E, t("cell_voltage_delta_limit_{}", 0, 2), t("temperature_delta_limit_{}", 4)),
    q(0x5F, t("balance_start_voltage", 0, 2), t("balance_voltage_delta", 2, 2)),
    q(0x9A, t("state_of_health", 0, 2)),
); del t, e, q

# Writes, by key of the control; sniffed from the vendor's PC tool (docs/PROTOCOL.md). The state of charge goes with the clock.
g = {"charge_mosfet": 0xDA, "discharge_mosfet": 0xD9, "soc": 0x21, "restart_bms": 0x00}

# An all-zero response is right when nothing balances or no alarm is active, and is what a confused board sends to every
# request. Where it would change something it must come so often in a row.


# Frames of a response follow each other without a pause in all captures; USB adapters deliver them in lumps of 16 ms.
# So a response that has begun is over when the line is quiet for so long; longer for a board that was seen to pause longer.


  # how long a frame lasts, 13 bytes of 10 bits

  # how long trailing frames are waited for, until it is known whether this board sends any
  # bytes of no good frame that are a response, damaged (Louisvdw#165: cut off after 9), not noise before it
  # a response of one frame that has come, but damaged, is over when the line is quiet for so long
  # frames count from 1 (every capture) or 0 (vendor PDF), at most 16 of them
  # frames were seen to count from 1, but something before them was damaged


class f:
    """Finds whole, checked frames in whatever bytes arrive, in whatever pieces; never raises.

    After `feed` returned FRAME, `address`, `function` and `payload` (8 bytes, valid until the next `feed`) describe the frame,
    which has `length` bytes.
    """

    length = H = 13

    def __init__(a):
        a.M = bytearray(13)  # all 13 bytes of the last whole frame
        a.payload = memoryview(a.M)[4:12]
        a.j = bytearray(13)  # the last run with a wrong checksum
        a.i = 0
        a.v = 0  # runs that looked like a frame (start byte, length byte) with a wrong checksum
        a.I = 0  # bytes that belonged to no frame

    @property
    def address(a):
        """The address of the last whole frame: board 1..16, or a host's (see FIRST_HOST_ADDRESS)."""
        return a.M[1]

    @property
    def function(a):
        """The function of the last whole frame, 0..255."""
        return a.M[2]

    def feed(a, b):
        """Take one byte; NOTHING, FRAME when it completed a frame with a right checksum, DAMAGED for a wrong one."""
        c = a.i
        if c == 13:
            c = 0
        a.M[c] = b
        c += 1
        a.i = c
        if 4 < c < 13:  # start and length byte have been looked at
            return 0
        if c < 13:
            if not a.r(0):
                a.A()
            return 0
        if (sum(a.M) - b) & 0xFF == b:
            return 1
        a.v += 1
        a.j[:] = a.M
        a.A()
        return 5

    def O(a):
        """How many bytes of an unfinished frame are held."""
        return 0 if a.i == 13 else a.i

    def reset(a):
        """Forget an unfinished frame: what comes next does not belong to it."""
        a.I += a.O()
        a.i = 0

    def r(a, b):
        """Whether the bytes from `begin` on can be the beginning of a frame."""
        c = a.i - b
        return c == 0 or (a.M[b] == 165 and (c < 4 or a.M[b + 3] == 8))

    def A(a):
        """Drop bytes until the rest can be the beginning of a frame: a start byte inside garbage costs no real frame."""
        b = 1
        while not a.r(b):
            b += 1
        for c in range(b, a.i):
            a.M[c - b] = a.M[c]
        a.i -= b
        a.I += b


def h(a, b, c, d=None, e=0):
    """Fill `frame` (13 bytes) in place and return it; without `payload` (8 bytes) the reserved bytes are the filler."""
    pack_into("4B", a, 0, 165, b, c, 8)
    for f in range(8):
        a[4 + f] = e if d is None else d[f]
    a[13 - 1] = 0
    a[13 - 1] = sum(a) & 0xFF
    return a


class j:
    """Puts the frames of one response together: cells, temperatures and texts come in up to 16 numbered frames.

    `seen`: bit n is set when frame number n is there. `pause_ms`: this board's longest pause between two frames. What is
    learned of a board is kept: whether it counts frames from 0 or 1, how many trailing frames it sends, how long it pauses.
    Allocates nothing.
    """

    def __init__(b):
        b.j = 0
        b.E = 25
        b.e = 0  # index of the block whose response this is
        b.f = 1  # frames it must have
        b.h = False
        b._ = memoryview(bytearray((16 + 1) * 7))
        b.k = {c.width: b._[c.width :] for c in a}
        b.i: list = [None] * len(a)  # 0 or 1, as this board counts
        b.t: list = [None] * len(a)  # frames this board sends after those we want; None: not known
        b.v = None  # index of the block whose response may have more frames coming
        b.w = 0
        b.u = 0
        b.A = None  # index of the block whose response has just been taken for over before it was whole

    def c(a, b, c):
        """The block with this index has been requested; `wanted`: how many frames its response must have."""
        a.e = b
        a.f = c
        a.j = 0

    def d(b, c, d):
        """One numbered frame; False when it is none. `clean`: nothing was damaged since the request."""
        e = c[0]
        if e > 16 or l(c, 0, 8, 0):  # all zero is no frame number 0
            return False
        f = a[b.e].width
        if not b.j:
            b.h = e == 1 and d
        b.z(e * f, c, 1, f)
        # frames count up: what has this number or a higher one is left over from an older response (mpp-solar#516)
        b.j = b.j & ((1 << e) - 1) | 1 << e
        b.r()
        return True

    @property
    def C(a):
        """The number of the first frame as this board counts, 0 or 1; None while not sure."""
        b = a.i[a.e]
        return b if b != (-1) else None

    @property
    def F(a):
        """Whether all frames that are wanted are there."""
        return a.C is not None and a.l(a.C)

    def q(a, b):
        """Whether no wanted frame follows this one; a last frame alone is left over from an older response."""
        if a.C is None:
            return False
        c = b == a.C + a.f - 1 and a.j != 1 << b  # mpp-solar#516
        return c or a.l(a.C)

    @property
    def payload(b):
        """What the frames carry, one after the other; a missing frame's place holds anything."""
        return b.k[a[b.e].width] if b.C else b._

    @property
    def g(a):
        """As `seen`, counted from 0."""
        return a.j >> (a.C or 0)

    def z(a, b, c, d, e):
        """Copy a piece of the payload; byte by byte, because slices are objects on the heap."""
        for f in range(e):
            a._[b + f] = c[d + f]

    def r(a):
        """See whether this board numbers its frames from 0 or from 1.

        A frame 0 may have been lost, and frames 1 to n of a response from 0 would then be taken for the first n. So numbering
        from 1 is accepted when nothing was damaged before frame 1, or when frame 0 was missing a second time. A frame 16 shows
        the same, though frames before it are missing: some boards never send all of them whole (gh43199278718).
        """
        b = a.i[a.e]
        if b == 1 and a.j & 1:
            b = None
        if b is None or b == (-1):
            if a.l(0):
                b = 0
            elif (a.l(1) or a.j >> 16) and not a.j & 1:
                b = 1 if b == (-1) or (a.h and a.l(1)) else (-1)
        a.i[a.e] = b

    def l(a, b):
        c = ((1 << a.f) - 1) << b
        return a.j & c == c

    # trailing frames

    def B(a, b):
        """The response is over, but this board may send more frames."""
        c = a.t[a.e]
        if c != 0:
            a.v = a.e
            a.w = 0
            a.u = ticks_add(b, 16 if c is None else a.E + 14)

    def m(a, b):
        """Whether more frames are still waited for; when not, it is known how many there are."""
        if a.v is None:
            return False
        if ticks_diff(b, a.u) < 0:
            return True
        a.t[a.v] = a.w
        a.v = None
        return False

    def o(a):
        """Whatever still comes is not waited for."""
        a.v = None

    def p(a, b, c):
        """An unexpected frame that belongs to the block with this index; False when it is no trailing frame."""
        d = a.v
        if d is None or b != d:
            a.s(b)
            return False
        a.w += 1
        if a.w == a.t[d]:
            a.v = None
        else:
            a.u = ticks_add(c, a.E + 14)
        return True

    def n(a):
        """The response has been taken for over before it was whole, which a late frame of it would show to be wrong."""
        a.A = a.e

    def D(a):
        """Another response has come in the meantime."""
        a.A = None

    def s(b, c):
        """This board may send more frames than was thought, or pause longer between them."""
        if c >= 0 and a[c].g > 1:
            b.t[c] = None
            if b.A == c:
                b.E = min(200, 2 * b.E)
        b.A = None


class A5:
    """The protocol of one board: builds requests, recognises responses and hands their values to `pack`.

    `host_address`: the address we send from; `filler`: the reserved bytes of requests, 0x00 or 0xAA (dbus-serialbattery:
    helps weak UARTs). `pending`: index of the block whose response is waited for, -1: none.
    """

    name = "A5"
    w = a
    k = tuple([b for a in a for b in a.k])  # every reading that this protocol can say
    R = tuple(g)  # keys of the controls that it can write
    h = True  # the state of charge is written together with the time
    L = False  # which direction of the current is charging depends on the board
    # A damaged frame makes the line a noisy one for so long: of 256 damaged frames one has a right checksum, and before that
    # one about 255 others are seen to be wrong. An hour costs little: a change is accepted one reading later.
    M = 3600000
    D = False
    A = 1  # quiet before a request, until the board is known: see timing.py

    def __init__(b, c, d, e=1, g=0):
        b.c = d
        b.r = -1
        b.P = f()
        b.f = c
        b.l = e
        b.s = g
        b.T = bytearray(13)
        b.S = j()
        b.q = [0] * 5
        b.u = 0  # discarded bytes at the time of the request
        # all-zero responses
        b.U: bool | None = None  # the last response that cannot be all zero was; None: there was none yet
        b.W = bytearray(len(a))  # all-zero responses in a row, by block

    # requests

    def X(a, b):
        """Send from this address from now on."""
        a.c = b

    def C(b, c):
        """How many frames the response to a block must have; 0 while the number of cells or sensors is not known."""
        e = a[c]
        if e.g == 1:
            return 1
        return (b.f.count(e.k[0]) * d(e.a[0]) + e.width - 1) // e.width

    def Q(a, b):
        """How long the frames of a response after the first one take on the line, in ms."""
        return max(0, a.C(b) - 1) * 13542 // 1000

    def _(a, b):
        """By how much request and first frame are longer on the line than two frames of 13 bytes, in ms."""
        return 0

    def z(b, c):
        """The request for a block, 13 bytes that are valid until the next one is built."""
        return h(b.T, b.c, a[c].function, None, b.s)

    def open(b, c):
        """The request for a block has been sent: its response is waited for from now on."""
        b.r = c
        if a[c].g > 1:
            b.S.c(c, b.C(c))
        b.P.reset()
        b.u = b.P.I

    def write(a, key, b, c):
        """The frame that writes a control: `raw` 0 or 1 of a MOSFET, 0.1 % of the state of charge, which takes `clock`, too.

        `clock`: (year, month, day, hour, minute, second).
        """
        d = bytearray(13)  # another one than `build` fills
        e = bytearray(8)
        if key == "soc":
            for f in range(6):
                e[f] = c[f] % 100
            e[6] = b >> 8
            e[7] = b & 0xFF
        else:
            e[0] = b or 0
        return h(d, a.c, g[key], e)

    def close(a):
        """The response is not waited for any more."""
        a.r = -1

    def g(a):
        """The BMS is gone. A board that wakes may send zeros at first, and would end alarms that are active."""
        a.U = True

    # responses

    def feed(b, c, d):
        """Take one byte; what it completes: NOTHING or one of the others."""
        e = b.P
        f = e.feed(c)
        if f != 1:
            return f
        g = a[b.r] if b.r >= 0 else None
        h = g is not None and e.function == g.function
        if e.address >= 32:
            return 3 if h and e.address == b.c else 4
        if not h or e.address != b.l:
            return 4
        if g.g == 1:
            return 2
        if not b.S.d(e.payload, not b.G(False)):
            return 4
        if not b.S.q(e.payload[0]):
            return 1
        b.S.B(d)
        return 2

    @property
    def B(a):
        """Index of the block that an unexpected frame of our board belongs to; -1: to none, or to the open request."""
        return a.j(a.P)

    def j(b, c):
        """The same of the last frame in a reader, which may be that of a neighbour on the line."""
        if c.address == b.l:
            for d in range(len(a)):
                if a[d].function == c.function:
                    return -1 if d == b.r else d
        return -1

    def I(a, b):
        """Whether our board has sent the last frame in a reader."""
        return b.address == a.l

    def H(b, c):
        """Whether the last frame in a reader would answer the open request, if our board had sent it."""
        return b.r >= 0 and c.function == a[b.r].function and c.address < 32

    @property
    def K(b):
        """Whether all frames of the response are there."""
        return a[b.r].g == 1 or b.S.F

    def G(a, b=True):
        """Whether bytes that belong to no frame came since the request."""
        return a.P.I + (a.P.O() if b else 0) != a.u

    def J(b, c):
        """Whether a response has begun, is not whole, and, as the line has been quiet for so long, is over."""
        if c < 5 or b.r < 0:
            return False
        d = b.P.I + b.P.O() - b.u
        if a[b.r].g == 1:
            return d >= 9 and (d >= 13 or c >= b.S.E)
        return c >= b.S.E and (b.S.j != 0 or d >= 9)

    @property
    def E(b):
        """Whether frames of an unfinished response can be used."""
        return a[b.r].g > 1 and b.S.j != 0 and b.S.C is not None

    def n(a):
        """The response was taken for over before it was whole."""
        a.S.n()

    def m(a, b):
        """Whether the board may still send frames of the last response."""
        return a.S.m(b)

    def o(a):
        """Trailing frames are not waited for any more."""
        a.S.o()

    def p(a, b):
        """Whether the last frame, an unexpected one of our board, is a trailing one."""
        return a.S.p(a.B, b)

    def O(a, b):
        """A frame of this block has come when nothing of our board was waited for."""
        a.S.p(b, 0)

    def N(a):
        """The pending request has been answered, whatever its content is worth."""
        a.S.D()

    # values

    def F(b):
        """Whether the response that is there can be an answer at all, judged by its content."""
        c = a[b.r]
        if c.g == 1:
            return b.d(c, b.P.payload)
        return b.v(c, b.S.payload, b.S.g)

    def t(b, c, d):
        """Hand the values of the response to the pack: ACCEPTED, UNCONFIRMED or EMPTY.

        A measurement that stands first vouches for what stands beside it: 0 V, -3000 A must not leave its 0 % behind, nor a
        sensor that is not there its number.
        """
        e = a[b.r]
        if e.g == 1:
            f = b.P.payload
            g = 1
        else:
            f = b.S.payload
            g = b.S.g
        if not b.F():
            b.f.ak()
            return 2
        b.f.select(b.k, b.R)
        h = True
        for i in range(len(e.k)):
            h = b.V(e, i, f, g, c, d) and h
        b.f.j(c)
        return 0 if h else 1

    def V(a, b, c, e, f, g, h):
        i = a.f
        j = b.k[c]
        k = b.a[c]
        if j.e == 5:
            return i.S(j, E(e, a.q), g, h)
        l = True
        n = i.count(j)
        o = (1 << (n * d(k) + b.width - 1) // b.width) - 1
        p = b.g == 1 or f & o == o
        for q in range(n):
            if p or m(b, c, q, f):
                l = i.accept(j, q, r(j, k, e, q), g, h) and l
        return l

    def d(a, b, c):
        """Whether a response of one frame can be one at all, judged by its first reading and by being all zero."""
        d = b.k[0]
        if not l(c, 0, 8, 0):
            a.W[a.r] = 0
            e = d.e == 5 or H(d, r(d, b.a[0], c))
            if e and not o(d):
                a.U = False
            # only FF is empty memory, not every alarm at once
            return e if i(d) else not l(c, 0, 8, 0xFF)
        if z[b.b].v is None:
            return False
        if not o(d):
            a.U = True
            return False
        if d.e == 2 and a.U is None:
            return False  # idle, empty and off, before any voltage came: rather a board that sends zeros to every request
        return not a.U and (a.i(b) or a.e())

    def i(a, b):
        """Whether everything known of a block is zero already, or nothing is known."""
        for c in b.k:
            if not a.f.ah(c):
                return False
        return True

    def e(a):
        """Whether an all-zero response that changes something has come often enough in a row."""
        b = min(a.W[a.r] + 1, 4)
        a.W[a.r] = b
        return b == 4

    def v(a, b, c, e):
        """Whether a response of several frames has a text or one possible value: a confused board may number its zeros.

        Zeros beside what is not zero are readings: a dead cell has 0 V.
        """
        f = b.k[0]
        g = b.a[0]
        if f.e == 3:
            return True
        h = d(g)
        for i in range(a.f.count(f)):
            j = m(b, 0, i, e) and not l(c, p(g) + i * h, h, 0)
            if j and H(f, r(f, g, c, i)):
                return True
        return False


def p(a):
    return a & 7


def d(a):
    return a >> 3 & 0x3F


def r(a, b, c, d=0):
    """The raw value of reading number `index` (from 0) of a row in a payload; None for a text that is none."""
    e = b >> 9 & 0xF
    if e:
        e += d - 1
        return c[(b & 7) + e // 8] >> (e % 8) & 1
    f = b >> 3 & 0x3F  # in short: many values are read
    g = (b & 7) + d * f
    if f == 2:  # the cells
        h = c[g] << 8 | c[g + 1]
    elif a.e == 3:
        return k(c, f)
    else:
        h = 0
        for i in range(g, g + f):
            h = h << 8 | c[i]
    j = b >> 13
    if not j:
        return h
    if j == 1:
        return h - 40
    if j == 8:
        return h * 1000
    return 30000 - h if j == 2 else abs(h - 30000)


def o(a):
    """Whether a response that begins with this reading may be all zero: no alarm, nothing balancing; idle, empty and off."""
    return a.e != 0 and a.e != 4


def l(a, b, c, d):
    """Whether so many bytes are all the same."""
    for e in range(b, b + c):
        if a[e] != d:
            return False
    return True


def m(a, b, c, e):
    """Whether the frame that carries this value (all frames, for a text) has arrived."""
    if a.g == 1:
        return True
    if a.k[b].e == 3:
        f = (1 << a.g) - 1
        return e & f == f
    g = a.a[b]
    return e >> ((p(g) + c * d(g)) // a.width) & 1


def k(a, b):
    """The printable ASCII before the first zero or 0xFF byte; None when there is none or something else stands there."""
    c = 0
    while c < b and a[c] not in (0, 0xFF):
        if not 0x20 <= a[c] < 0x7F:
            return None
        c += 1
    return str(a[:c], "ascii").strip() or None
