# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The wiring: makes the parts from the settings and the board. Unloaded before the loop runs, and so is what only it needs.

A function of this module, or of another one that is unloaded, must not be passed to a part: it would keep the whole module.
"""

import sys

import board
import microcontroller
import socketpool
import supervisor
from adafruit_ticks import ticks_ms

from app.early import f

from . import memory


# needed to start only



def main():
    """Start everything that can be started, and print what cannot. Returns the Loop, which has to be run."""
    print("Daly MQTT bridge", '0.1.0')
    a = memory.a()
    from app.early import n as b, j as c  # before what is large: a look at the chip's memory takes 8 KB in one piece

    d = b if g() else str(microcontroller.cpu.reset_reason).split(".")[-1].lower()
    h = c(microcontroller.nvm, ticks_ms())
    h._(d)
    i, m, n, o, p, q = k(a)
    for r in ('app.settings', 'app.advice', 'app.batteries', 'app.extras', 'app.hardware', 'app.memory'):
        f(r)
    s = j(i, h, n, o)
    t = l(i, h, d, m, p, q, *s)
    f("app.extras_hardware")
    u = t; e(); return u


def g():
    """Whether the chip wakes from deep sleep. With a computer on USB CircuitPython only waits instead of sleeping: the same."""
    try:
        import alarm  # here, because a firmware built without it must start, too

        return alarm.wake_alarm is not None
    except ImportError:
        return False


def k(a):
    """(settings, screen, UARTs, Pin of the wake line, ssl context, Extras); all but settings and UARTs may be None.

    The screen comes first: it says what is wrong. `free`: bytes of memory at the start; None: not known.
    """
    from app.early import b
    from .settings import v as c, load as d

    e = "".join(f"{v:02x}" for v in microcontroller.cpu.uid[-3:])
    g = d(k=e, b=memory.b(a))
    f("app.advice")  # loaded again only for a wrong pin
    from .hardware import f as h, g as i, j, k

    l = g.problems
    memory.d(g, a)
    m = b(g, c + g.more)
    n = h(g, l, '0.1.0', m)
    o = j(g, l)
    p = k(g, l)
    q = i(g, l, 220000)
    r = None
    if g.has_extras:
        from .extras_hardware import i as s  # only with outputs, sensors, LED or sleep

        r = s(g, l)
    for t in l:
        print("Settings:", t)
    for u in g.d:
        print("Settings, hint:", u)
    return m, n, o, p, q, r


def j(a, b, c, d):
    """(Loop, buses, batteries, Writer): what reads the BMS, and the buffer of the messages, taken before more is loaded.

    `uarts`: number -> UART, or None where there is none; `wake_pin`: None where there is none; buses: UART -> Bus.
    """
    from daly.core import u as e
    from daly.core import ab as f

    from .loop import d as g
    from app.early import feed as j

    k = e(5632)
    l = i(a, b, c)
    m = {}
    for n in sorted(c):
        o = [u.g for t, u in zip(a.boards, l) if t.b == n]
        if c[n] is not None:
            m[n] = f(c[n], o)
    p = h(m)
    if p is None:
        q = g(ticks_ms, j)
    else:
        q = g(ticks_ms, j, "bms", p.u)
        q.add("bms", p.c)
    if d is not None:
        from outputs.wake import a as r  # loaded only with WAKE_PIN

        s = (a.WAKE_INTERVAL_MIN, a.WAKE_MIN_SOC_PERCENT, a.WAKE_MIN_CELL_MV)
        q.add("wake", r(l[0].g, d.e, *s).c)
    j()
    return q, m, l, k


def h(a):
    """What reads all lines; None: there is no UART."""
    if len(a) < 2:
        return a[min(a)] if a else None
    from daly.buses import a as b  # only with a second UART

    return b([a[c] for c in sorted(a)])


def i(a, b, c):
    """The Battery of each of the settings' boards."""
    from daly.core import aa as d, ad as e
    from daly.core import R as f
    from daly.core import y as g
    from daly.core import L as h

    b.L([s.number for s in a.boards])
    i = {t: getattr(a, t) for t in g()}
    j = []
    for k in a.boards:
        l = "BMS_PROTOCOL" if k.b == 1 else f"UART_{k.b}_PROTOCOL"
        m = b.i(k.number)
        n = f(a.CURRENT_SIGN, m.polarity, k.a or "BMS")
        o = e(a.BMS_CELL_COUNT, a.BMS_TEMPERATURE_COUNT, n)
        p = (
            o,
            a.BMS_HOST_ADDRESS if k.b == 1 else 0,
            k.Q,
            a.BMS_REQUEST_FILLER,
            a.STALE_PERIODS,
            i,
            c[k.b] is not None,
            getattr(a, l),
            m.protocol,
        )
        if len([u for u in a.boards if u.b == k.b]) == 1:
            q = h(*p)
        else:
            from daly.shared import b as r  # only where a line has several boards

            q = r(*p)
        q.bE.T(k.b)
        j.append(d(k.number, f"bms{k.number}", k.name, k.a, o, q))
    return j


def l(e, f, h, i, ssl_context, j, k, l, m, g):
    """The parts that publish, execute commands and show; returns the Loop with all of them among its jobs."""
    import wifi

    from mqtt.core import v as n

    from app.core import k as o
    from app.core import a as p, b as q
    from app.core import m as r
    from app.core import n as s
    from app.core import p as t
    from app.core import q as u
    from app.early import k as v
    from app.early import a as w

    x = socketpool.SocketPool(wifi.radio)
    y = None
    if "soc" in e.allowed:
        from .clock import a as z  # only to set the state of charge

        y = z(x, e.NTP_SERVER, e.UTC_OFFSET_MIN)
    _ = c(m)
    A = o(wifi.radio, _, f, k, e.problems, h, ticks_ms())
    B = () if j is None else j.sources
    C = None if j is None else j.sleep
    D = A.o if C is None else C.K(A.o)
    E = None
    if e.WEB_PORT:
        from web.core import j as F  # with the server, only with a page

        E = F(wifi.radio, e.WEB_PORT).text
    G = b(e, m, g, D, y, B, C, E)
    H = [u(aa, ticks_ms(), G.report) for aa in m]
    I = (G.report, G.publish, e.MQTT_RETAIN_STATE)
    J = t(f, m, e.base_topic, e.identity, *I, counts=C is None)
    K = None
    if len(e.allowed):
        from daly.commands import a as L  # 2 KB, only with ALLOW_CONTROL

        K = [L(ab.g, ac.p) for ab, ac in zip(m, H)]
        k.add("battery commands", d(K))
    M = s(e, m, A.i, k)
    N = q(l, e.boards, m)
    O = r(supervisor.runtime, sys.stdin, {"diagnostics": M.show, "scan": N})
    P = p(e, G, M, N, m, K, y, J)
    Q = w(wifi.radio.connect)
    if i is not None:
        Q = i.P(Q)
    R = [ad.key for ad in m]
    S = [ae.key for ae in B]
    T = (G, P, J, "daly-" + e.identity, ssl_context, Q, R, S)
    U = n
    if C is not None:
        from mqtt.sleeping import b as U  # only with SLEEP_MINUTES

    V = U(e, wifi.radio, x, *T)
    A.n(G, V)
    k.add("events", d(H))
    k.add("energy store", J.c)
    k.add("diagnostics", M.c)
    k.add("console", O.c)
    k.add("bridge state", A.c)
    if C is not None and C.G:
        k.add("mqtt", C.F(m, V.c, ticks_ms()).c)
    else:
        k.add("mqtt", v(_, V.c, ticks_ms()).c)
    W = a(e, m)
    if i is not None:
        i.n(m, W, V, wifi.radio)
        k.add("screen", i.c)
    if j is not None:
        from .extras_hardware import connect as X

        X(j, e, k, m, W, G, P, V, i, y, J)
    if e.WEB_PORT:
        from web.core import connect as Y

        Y(e, k, x, wifi.radio, m, W, B, A, V, M)
    if C is not None:
        Z = [af for af in (i, j.led) if af is not None]
        C.n(m, G, V, f, Z, K or ())
        k.add("sleep", C.c)
    return k


def c(a):
    """What the state of the bridge is told of: the poller, or all of them as one."""
    if len(a) == 1:
        return a[0].g
    from .several import d as b

    return b(a)


def a(a, b):
    """The bank as the screen shows it; None: there is only one battery."""
    if len(b) == 1:
        return None
    from battery.bank import d as c  # only with several batteries

    return c(b, a.BANK_WIRING == "series")


def d(a):
    """One job out of a part of each battery, and the tick itself where there is only one."""
    if len(a) == 1:
        return a[0].c
    from .several import a as b

    return b([c.c for c in a]).c


def b(a, b, g, c, d, sources, e, f):
    """The publisher. `writer`: for its messages; `take_state(now)` returns the pairs for <base>/state; `clock` None: the time
    of day is not known; `sources`: of battery/sources.py; `sleep`: None: it does not; `page()` returns
    the page's address; None: there is none.
    """
    from mqtt.core import C as h, z as i

    j = a.base_topic
    k = h(
        g,
        a.MQTT_DISCOVERY_PREFIX,
        j,
        a.identity,
        a.DEVICE_NAME,
        b,
        '0.1.0',
        a.allowed,
        board.board_id,
        True,
        0 if e is None else e.J,
        f,
        sources=sources,
    )
    l = i
    if e is not None:
        from mqtt.sleeping import c as l

    return l(
        j,
        k,
        b,
        c,
        1000 * a.PUBLISH_INTERVAL_S,
        1000 * a.CELLS_INTERVAL_S,
        a.DEADBAND_PERCENT,
        a.PUBLISH_EACH_VALUE,
        a.MQTT_RETAIN_STATE,
        None if d is None else d.u,
        len(b) > 1 and a.BANK_WIRING == "series",
        sources,
    )


def e():
    if "app.core" in sys.modules:
        from app import core as a
        a.a = a.b = a.k.__init__ = a.k.n = a.l.__init__ = a.m.__init__ = a.n.__init__ = a.j.__init__ = a.p.__init__ = a.q.__init__ = None
    if "app.early" in sys.modules:
        from app import early as b
        b.k.__init__ = b.j._ = b.j.A = b.j.L = b.h.__init__ = None
    if "daly.core" in sys.modules:
        from daly import core as a
        a.ab.__init__ = a.M.__init__ = a.M.z = a.N.__init__ = a.N.T = a.P.__init__ = a.ad.__init__ = a.ad.W = a.R.__init__ = a.L.__init__ = a.L.z = a.O.__init__ = None
    if "display.core" in sys.modules:
        from display import core as a
        a.Screen.__init__ = a.Screen.P = a.Screen.V = a.Screen.n = None
    if "mqtt.core" in sys.modules:
        from mqtt import core as a
        a.d.__init__ = a.C.__init__ = None
