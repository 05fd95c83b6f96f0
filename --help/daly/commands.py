# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Carries out a command to the battery: written once, read back, and its result reported as a code. No I/O.

Nothing else in this firmware writes to the BMS. A command is never repeated: when it is not confirmed in time the result is
an error, and the state remains what the BMS reports. Data ids and payloads: as Daly's PC tool sends them, docs/PROTOCOL.md.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.controls import f

  # from the write on: enough for the reading to come several times, on a noisy line too
  # interval at which the confirming reading is requested
  # a BMS that restarts is silent for longer; one or two responses that are lost take less
  # between two commands: limits the switching frequency of the MOSFETs and their loads
  # between two looks at a command


class a:
    """One command at a time. `report(subject, code)` receives the result of each, codes as in battery/controls.py.

    The methods that command return None when the command is accepted, else the code of the refusal.
    """

    def __init__(a, b, c):
        a.l = b
        a.m = c
        a.k = None  # of the command that was accepted last
        a.j = None  # of the command that waits for its confirmation, for people
        a.p = None  # key of the reading that confirms it; None: an answer after a silence does
        a.f = None  # the raw value of that reading
        a.B = 0  # tick of the last response since it was sent
        a.n = 0
        a.i = 0  # when the confirming reading is requested again, whatever its interval
        a.q = False
        a.g = None

    def switch(a, key, b, c):
        """Switch a MOSFET ("charge_mosfet" or "discharge_mosfet") on or off."""
        return a.d(key, " on" if b else " off", 1 if b else 0, c)

    @property
    def h(a):
        """Whether setting the state of charge takes the time, too."""
        return a.l.h

    def t(a, b, c, d):
        """Set the state of charge (0.1 %). `clock`: (year, month, day, hour, minute, second), if needed; None: not known."""
        if not 0 <= b <= 1000:
            return "out_of_range"
        if c is None and a.h:
            return "no_time"
        return a.d("soc", f" {b // 10}.{b % 10} %", b, d, c)

    def restart(a, b):
        """Restart the BMS; both MOSFETs are on afterwards. Not with P81, of which no such write is known."""
        return a.d("restart_bms", "", None, b)

    def c(a, b):
        """Check whether the command is confirmed, or its time is over. Returns the ms until it should be called again."""
        if a.g is not None and ticks_diff(b, a.g) >= 0:
            a.g = None
        if a.j is None:
            return 20
        if a.l.ca is not None and not a.q:
            a.q = True
            a.n = ticks_add(b, 6000)
            a.i = b
            a.B = a.l.ca
        if a.o():
            a.e("done")
        elif not a.q and not a.l.pack.U(a.k):
            a.e("not_in_protocol")  # another protocol has been preferred meanwhile
        elif ticks_diff(b, a.n) >= 0:
            a.e("not_confirmed" if a.q else "not_sent")
        elif a.q and a.p and ticks_diff(b, a.i) >= 0:
            a.i = ticks_add(b, 500)
            a.l.s(a.p)
        return 20

    def r(a):
        """The code of the refusal while a command waits for its confirmation; None when none does."""
        return None if a.j is None else "busy"

    def s(a):
        """The code of the refusal while no command is accepted at all; None when one is."""
        if a.j is not None:
            return "busy"
        if a.g is not None:
            return "too_soon"
        return None if a.l.online else "offline"

    def d(a, key, b, c, d, e=None):
        g = a.s()
        if g:
            return g
        if not a.l.pack.U(key):
            return "not_in_protocol"
        a.l.write(key, c, e)
        a.k = key
        a.j = f[key].c + b
        a.p = f[key].b
        a.f = c
        a.n = ticks_add(d, 6000)
        a.i = d
        a.q = False
        a.g = ticks_add(d, 2000)
        return None

    def o(a):
        """Whether the BMS has reported the wanted value since the command was sent."""
        if a.l.ca is None:
            return False
        b = a.l.pack
        if a.p is None:
            c = ticks_diff(a.l.bL, a.B)
            if c > 0:
                a.B = a.l.bL
            return c >= 800
        d = ticks_diff(b.aj(a.p), a.l.ca) > 0
        e = b.raw(a.p)
        f = 1 if a.p == "soc" else 0  # 0.1 %: the BMS may count on before it reports
        return d and e is not None and abs(e - a.f) <= f

    def e(a, b):
        a.l.bD()
        a.m(a.j, b)
        a.j = None
