# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several boards on one line: whose turn it is, and whose frame it is that nobody waits for. No I/O, no clock.

One request at a time, whatever the number of boards. Each poller decides what it requests, and waits for its own gap since the
last byte on the line; which one is next decides SharedLine: in turn, but at once where a response must be confirmed or
something is written, and seldom where nothing answers. As with one board the next request is chosen and built while a response
is waited for, and sent before that is judged. Loaded only where a line has several boards.
"""

from adafruit_ticks import ticks_add, ticks_diff

from daly.core import CURRENT, _
from daly.core import p
from daly.core import c




from daly.core import L

# A board that is silent while others answer costs them at most one time-out in so long.

# One that has just become silent: OFFLINE_AFTER_TIMEOUTS of these are OFFLINE_AFTER_MS, as on a line of its own.

# On a line with several protocols a turn of A5 has two short requests, for one long one of P81.

  # a comparison has the line for half a second: what is measured must not expire meanwhile
  # requests to a silent board as soon as the first one on its line answers
  # for the line to be quiet, which a poller bounds
  # requests in a row without a response, until it is asked at that pace

# Two boards with one number destroy each other's responses, or answer one after the other, while those of the others are whole.
# Their voltage hardly ever arrives, since they never say the same of it. A bad wire damages many responses, not nearly all: a
# damaged response with the voltage weighs 1, a good one takes so much away, and at the limit nine of ten are damaged.


  # of a board that has never responded
  # requests in a row of a neighbour without damage, so that it is not the line that is noisy
  # the same of a neighbour that is silent: nothing was received for a third of a second each time
  # of two good responses to one request that contradict each other

  # the second response comes within this time after the first
  # good responses in a row, each once, until the readings of such a board are taken again

# A frame that has begun is read to its end by whoever has the line, unless nothing comes for so long: its head and its tail
# would be noise for two boards. USB adapters deliver bytes in lumps of 16 ms.

  # after its time-out

# So many frames that were not asked for in so long: a board that sends by itself, or that another master asks.



# So often the one of current and mode is asked for that does not fit the other: ten comparisons settle the sign of the current,
# and some boards are always idle.


A = c["pack_voltage"]

  # there is a request, and its gap is waited for


class b(L):
    """A Poller that has the line only in its turn; `line`: the SharedLine, which is set by that."""

    def __init__(t, *u, **options):
        super().__init__(*u, o=True, **options)  # type: ignore[misc]
        t.pack.W()
        t.j = None
        t.L = None  # tick of the last request
        t.av = False  # since then: a frame of a neighbour with another protocol, which is no noise
        t.ai = 0  # requests that need not wait although nothing answers
        t.by = False  # the outcome of the last request
        t.q = 1  # that are online on this line
        t.ag = 0
        t.bt = 0
        t.ab = 0  # requests in a row without damage
        t.ae = 0
        t.aK = 0  # since current and mode fitted last
        t.au = True  # something else than the two has been asked for since the last of them
        t.V = -1  # index of the block answered last, and the end of that frame
        t.W = 0
        t.U = 0
        t.bu = 0  # frames that were not asked for since `_unasked_at`; that is None: there were none
        t.bv = None

    # used by the line

    def join(a, b, c):
        """It is on this line now, whose frames `trace` keeps."""
        a.j = b
        a.bY = c
        a.bE.Q(a.Q)

    @property
    def bV(a):
        """The protocol of the present or the next request."""
        return a.M

    @property
    def bH(a):
        """Whether a response is whole and not judged yet."""
        return a.G

    @property
    def bK(a):
        """Whether it wants the line next: to confirm a response, or for a write."""
        return a.online and (a.E is not None or len(a.F) > 0)

    def bG(a):
        """Whether nothing was damaged in its turns of late."""
        return a.ab >= (20 if a.online else 3)

    def bU(a):
        """Whether only requests come back in its turns: those to others, too, which destroys their responses."""
        return not a.online and a.bE.V == 1

    def bF(a):
        """Whether its responses come twice of late."""
        return a.bt >= 4

    def bO(a, b):
        """Whether nobody else may send: it rests before or after a write, compares protocols, or awaits trailing frames."""
        if a.ad or (a.F and a.online) or a.M.m(b):
            return True
        return a.be(b)

    def bI(a, b):
        """Whether a second board with its number may still answer: only for that it is asked."""
        return a.bE.J and 0 <= ticks_diff(b, a.ba) < 400

    def bJ(a, b):
        """Whether a frame has begun that is not over."""
        if not a.M.P.O() or a.A is None:
            return False
        c = ticks_diff(b, a.A)
        return 0 <= c < 20 and ticks_diff(b, a.n) < 200

    def bM(a, b, c):
        """Whether it may have the line at the tick `now`; `others_answer`: other boards are waiting for it."""
        if a.bd is not None and ticks_diff(b, a.bd) < a.bc:
            return False
        if a.L is None or a.ai or not c:
            return True
        if a.online:
            return a.O < 2 or a.by or ticks_diff(b, a.L) >= 600
        if a.ag and not a.bE.J:  # it is there
            return ticks_diff(b, a.L) >= 600
        if a.ah.K or a.bE.J:
            return ticks_diff(b, a.L) >= 10000
        return True

    def bB(a):
        """The first board of this line answers: the others may have been switched on with it."""
        if not a.online:
            a.ai = 4

    def bR(a, b, c):
        """Choose and build what is requested at the tick `at`; whether it wants the line. `boards`: that are online here."""
        a.q = c
        a.bg.af(c)
        if a.bE.J or (a.ag and not a.online):
            a.bg.s(A)
        a.Z(b)
        return a.f is not None or (a.online and len(a.F) > 0)

    def bN(a, b):
        """Whether another poller can ask although the response that is whole has not been judged yet."""
        if a.F or a.ad or not a.online or a.bE.J:
            return False
        return not a.M.G() and not a.M.m(b)

    def bS(a, b):
        """The tick at which the response to the open request should be whole."""
        return ticks_add(a.ba, max(a.bb, ticks_diff(b, a.ba)))

    def bC(a, b):
        """It has the line from now on; `last_byte`: tick of the last one on it, None: long ago."""
        a.A = b
        a.bx = None
        c = a.M.P
        c.reset()
        a.af = c.I  # what came in the turns of others does not count

    def bW(a, b, c):
        """The request prepared, to be sent at the tick `now`, before the response whole at `held_at` is judged.

        NOT_YET: in a moment; None: the response is judged first.
        """
        d = a.R.c
        if a.f is None or a.F or d > 5 or a.bj(b):
            return None
        if d > 1 and ticks_diff(b, c) < d:
            return b''
        a.bi = True
        a.bd = None
        return a.aL

    def bA(a, b):
        """The same when its own response is whole, and nobody else asks."""
        if not a.aI(b):
            return None
        return a.poll(b) or b''

    def bP(a, b):
        """What `take_over` returned was sent at the tick `at`."""
        a.bi = False
        a.P(a.f, b)

    def bX(a, b):
        """Forget what is too old while others have the line."""
        if a.ao is None:
            a.bg.c(b)
            a.al(b)
        elif ticks_diff(b, a.ao) >= a.an:
            a.al(b)

    def bQ(a, b, c, d):
        """A good frame came in the turn of a neighbour, which speaks the protocol `spoken`. Whether our board has sent it.

        `is_answer`: it may as well be the neighbour's answer, with a wrong number.
        """
        for e in (a.M,) + a.ah.R:
            if e.name == b.name and e.I(b.P):
                if e is a.M:
                    a.bl(e.j(b.P), b.P, d, c)
                elif not a.online:  # it was tried before what is tried now
                    a.ah.H(e)
                    a.bs(c)
                return True
        return False

    # what differs from a line of its own

    def bj(a, b):
        return super().bj(b) and a.j.w(b)

    def Y(a, b):
        a.j.z(b)
        super().Y(b)

    def T(a, b):
        return max(super().T(b), a.bg.u(b) + 3000)

    def P(a, b, c):
        a.L = c
        a.av = False
        if a.ai:
            a.ai -= 1
        d = a.M.w[b].k
        if CURRENT not in d and _ not in d:
            a.au = True
        super().P(b, c)

    def aa(a, b):
        """The line chooses who is next."""

    def bn(a, b, c):
        super().bn(b, c)
        a.j._()

    def aW(a):
        return a.ah.R or a.j.D(a.M)

    def ap(a, b, c):
        for d in a.aW():
            e = d.feed(b, c)
            if e == 4:
                if a.j.t(a, d, c):
                    a.av = True
            elif e in (1, 2) and d in a.ah.R:
                a.ah.H(d)
                a.bs(c)
                return True
        return False

    def bm(a, b):
        c = a.M
        if c.I(c.P):
            d = c.B
            e = a.bZ
            super().bm(b)
            if a.bZ != e and d >= 0:
                a.aS(d, c.P, b)
            return
        f = c.H(c.P)  # our board may send another number than it is asked with
        if f:
            a.K |= 1 << 3
        if not a.j.t(a, c, b, f):
            super().bm(b)

    def aV(a):
        b = super().aV()
        return 3 if b == 2 and a.av else b

    def bl(a, b, c, d, e):
        f = a.aq(b)
        if f is not None:
            a.aQ(b, f, e)
        if f is not None or d:
            return
        if b >= 0:
            a.M.O(b)
        a.bZ += 1
        a.aS(b, c, e)

    def aS(a, c, d, e):
        """Our board has sent a frame, the last one in the reader, that nobody has asked for."""
        f = c >= 0 and a.M.w[c].g == 1
        if f and c == a.V and 0 <= ticks_diff(e, a.U) < 400:
            if C(d) == a.W:
                return  # the same once more, from the same board
            a.ae = 0
            a.bt = min(a.bt + 4, 16)
            # where those of a neighbour come twice, too, it is the line
            if a.bt >= 16 and not a.j.v(a, b.bF):
                a.aP(e)
            return
        if a.bv is None or ticks_diff(e, a.bv) >= 60000:
            a.bu = 0
            a.bv = e
        a.bu += 1
        if a.bu == 10:
            a.bE.L(True)

    def l(a, b, c):
        a.V = a.M.r
        d = a.M.w[a.V].k
        a.W = C(a.M.P)
        a.U = c
        if not a.M.G(False):
            a.ab += 1
        if a.X():
            a.ag = max(0, a.ag - 9)
            a.bt = max(0, a.bt - 1)  # other responses of two boards may well be the same
        if a.bE.J and not a.ad:
            a.ae += 1
            if a.ae < 3:
                a.M.N()
                super().e(2, c)
                return
            a.bE.O(False)
            a.ag = a.bt = 0
        if a.O >= 2 == a.D:
            a.D -= 1  # damaged responses have used them up, and what has come at last may have to be confirmed
        super().l(b, c)
        if not b and a.online and a.E is None:
            a.aZ()  # the next turn of the rest is seconds away: it would not be of one moment by then
        if (CURRENT in d) != (_ in d):
            a.ac(_ if CURRENT in d else CURRENT)

    def ac(a, b):
        """Current or mode has been read. Where they do not fit, the other one of them is asked for next: a cycle is long here.

        So it is while the current is unknown because its sign is not settled: that takes several comparisons. Not where the
        other one has just been asked for, so that no block starves beside a load that comes and goes.
        """
        c = a.pack.ad(CURRENT.g)
        d = a.pack.at(_)
        if c is None or d is None or 0 < abs(c) < 30:
            return
        if p(c, d) and a.pack.at(CURRENT) is not None:
            a.aK = 0
        elif a.E is None and a.au and a.aK < 12:
            a.aK += 1
            a.au = False
            a.E = a.bf = a.bg.j(b)
            a.D = 0

    def X(a):
        return A in a.M.w[a.bg.current].k

    def e(a, c, d):
        e = a.X()
        a.by = c == 2
        super().e(c, d)
        if a.bE.J and a.j.v(a, b.bU):
            a.bE.O(False)
        if c != 2:
            a.ab = 0 if c == 1 else a.ab + 1
            return
        a.ab = a.ae = 0
        if e:
            a.ag = min(a.ag + 1, 40)
            f = 40 if a.bE.W else 10
            if a.ag >= f and a.aH():
                a.aP(d)

    def aH(a):
        c = a.j
        return c.v(a, b.bG) and not c.v(a, b.bU)

    def aU(a, b):
        """What sends damaged responses is there, and asked in turn with the others."""
        return 3000 * (max(1, a.q) if b == 2 else 1)

    def aP(a, b):
        if not a.bE.J:
            a.ae = 0
            a.bE.O(True)
            if a.online:
                a.aG(b)

    def al(a, b):
        super().al(b)
        if a.bv is not None and ticks_diff(b, a.bv) >= 60000:
            c = a.bu < 10
            if c:
                a.bE.L(False)
            a.bv = None if c else b
            a.bu = 0


def C(a):
    """The last two bytes of the last frame in a reader, with its checksum: what two different ones hardly ever share."""
    return a.M[a.length - 2] << 8 | a.M[a.length - 1]


class a:
    """Used by the Bus like one Poller: the `pollers` of the boards on its line take turns."""

    def __init__(a, b):
        a.d = tuple(b)
        a.e = a.d[0]  # whose request is open, or who asks next
        a.j = None  # who asks after that, with its request prepared; None: nobody yet
        a.r = None  # whose response is judged once the request of the active one is written
        a.l = 0
        a.A = None  # tick of the last one received since the last request
        a.q = None  # since when the active one may ask; None: it has asked
        a.p = None  # when the turn of the active one began; None: it is the first
        a.n = 0
        a.c = None  # tick of the last comparison of protocols; None: long ago
        a.k = 0
        a.s: dict = {}  # by name of a protocol: one of each other on this line
        for c in a.d:
            c.z(a.d)
            c.join(a, a.d[0].bY)
        a._()

    def C(a, b, c, d):
        """As that of Poller."""
        if a.r is not None:
            a.B(d)
        if c:
            a.A = d
        a.e.C(b, c, d)

    def poll(a, b):
        """As that of Poller."""
        c = a.e
        if c.bH:
            d = a.f(b)
            if d is not None:
                return d or None
            c.B(b)
        a.m(b)
        if c.bJ(b) or c.o(b) or c.bI(b):
            return None
        if not c.bO(b) and not a.g(b):
            return None
        d = a.e.b_(b)
        if d is not None:
            a.A = a.j = a.q = None
        return d

    def B(a, b):
        """As that of Poller."""
        c = a.r
        a.r = None
        try:
            if c is None:
                a.e.B(b)
            else:
                a.e.bP(a.l)
                c.B(b)
        finally:  # whatever has gone wrong
            if a.j is None and not a.e.idle:
                a.h(a.e.bS(b), b)

    def u(a, b):
        """As that of Poller."""
        return a.e.u(b)

    def o(a, b):
        """As that of Poller."""
        return a.e.o(b)

    def I(a, b):
        """As that of Poller."""
        return a.r is None and a.e.I(b) and not a.e.bI(b)

    def J(a, b):
        """As that of Poller."""
        a.A = b
        a.e.J(b)

    # used by the pollers

    def t(a, b, protocol, c, d=False):
        """Whether a neighbour of this poller has sent the unexpected frame in the reader of a protocol.

        `is_answer`: it may as well be this poller's answer, with a wrong number.
        """
        for e in a.d:
            if e is not b and e.bQ(protocol, c, d):
                return True
        return False

    def D(a, protocol):
        """One of each other protocol on this line, which sees frames that come late or unasked."""
        return a.s.get(protocol.name, ())

    def _(a):
        """A poller speaks another protocol than before."""
        b = {c.bV.name: c.bV for c in a.d}
        a.s = {d: tuple([b[e] for e in b if e != d]) for d in b}

    def z(a, b):
        """A board is asked with another protocol from now on."""
        a.c = b

    def w(a, b):
        """Whether a board may be asked with another protocol, which keeps the line for a while."""
        if a.c is not None and not 0 <= ticks_diff(b, a.c) < 3000:
            a.c = None
        return a.c is None

    def v(a, b, c):
        """Whether `is_so(neighbour)` of one of the others on this line."""
        for d in a.d:
            if d is not b and c(d):
                return True
        return False

    # turns

    def f(a, b):
        """The next request, before the response that is whole is judged; b"": soon; None: judge first."""
        c = a.e
        d = a.j
        if d is None or not c.bN(b):
            return None
        if d is c:
            return c.bA(b)
        e = d.bW(b, a.A)
        if e:
            a.r = c
            a.e = d
            a.j = a.A = None
            a.l = a.p = b
        return e

    def g(a, b):
        """Give the line to who asks next. Whether there is anybody."""
        if a.q is not None and ticks_diff(b, a.q) < 400:
            return True  # it waits for its gap
        if a.j is None or a.j is a.e or a.e.bK:
            a.h(b, b)
        c = a.j
        if c is None:
            return False
        c.bC(a.A)
        a.q = b
        if c is not a.e or a.p is None:
            a.p = b
        a.e = c
        a.j = None
        return True

    def h(a, b, c):
        """Choose who asks at the tick `at`: who is urgent, else in turn; and prepare the request."""
        d = a.d
        e = len(d)
        f = d.index(a.e) + 1
        if len(a.s) > 1 and a.p is not None and ticks_diff(b, a.p) < 60:
            f -= 1
        a.i()
        a.j = None
        for g in (True, False):
            for h in range(e):
                i = d[(f + h) % e]
                if g and not i.bK:
                    continue
                if i.bM(c, a.k > i.online) and i.bR(b, a.k):
                    a.j = i
                    return

    def i(a):
        b = 0
        for c in a.d:
            if c.online:
                b += 1
        if b != a.k:
            if not a.k:
                for c in a.d:
                    c.bB()
            a.k = b
            for c in a.d:
                c.bE.M(b > c.online)

    def m(a, b):
        """Forget what is too old, of one of those that wait for their turn; not just before a byte that should not wait."""
        if a.e.u(b) < 4:
            return
        a.n = (a.n + 1) % len(a.d)
        c = a.d[a.n]
        if c is not a.e:
            c.bX(b)
