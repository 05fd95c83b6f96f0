# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The status LED: blinks that say what is wrong, a steady dim light while all is well. Loaded only with LED_PIN.

A pattern is a number of long blinks and a number of short ones behind them: no long one for the BMS, one for the network, two
for the settings. Where BMS and network both are in trouble, their patterns take turns. The table for people is in README.md,
made by docs/generate.py. No pins here: the lights get what drives them.
"""

from adafruit_ticks import ticks_add, ticks_diff

















  # between two blinks; shorter ones are hard to count
  # between the long and the short ones
  # between two patterns

  # how often is looked for trouble while there is none
  # the steady light has this part of the brightness

# (long blinks, short blinks)












# of a NeoPixel, in percent of red, green and blue; a pattern's colour is that of its number of long blinks
a = (0, 100, 0)




def h(a):
    """The pattern of a code of daly/diagnosis.py; None: all is well."""
    if a >= 30:
        return (0, 5) if a >= 33 else None  # a function that the board does not support is no trouble
    if a == 20:
        return (0, 1)
    if a in (21, 22, 23):
        return (2, 1)
    if 10 <= a < 20:
        return (0, 3)
    return (0, 2) if a in (0, 5, 24) else (0, 4)


def i(a):
    """The pattern of a code of mqtt/trouble.py."""
    if a in ("joining", "connecting"):
        return (1, 1)
    if a in ("broker_not_set", "tls_not_possible"):
        return (2, 2)
    b = a.split("_")[0]
    if b == "wifi":
        return (1, 2)
    return (1, 4) if b in ("login", "rejected", "short") else (1, 3)


class b:
    """A plain LED. `pwm`: a pwmio.PWMOut."""

    def __init__(b, c, d):
        b.d = c
        b.c = d
        b.set(0, a)

    def set(a, b, c):
        """Shine with so many percent; 0: off."""
        d = 65535 * b // 100
        a.d.duty_cycle = d if a.c else 65535 - d


class c:
    """One NeoPixel. `pixels`: a neopixel.NeoPixel of one, without auto_write."""

    def __init__(b, c):
        b.c = c
        b.set(0, a)

    def set(a, b, c):
        """Shine with so many percent in a colour; 0: off. Sending takes 30 us."""
        a.c[0] = tuple([(255 * b * d + 9999) // 10000 for d in c])
        a.c.show()


class d:
    """Shows on `light` what is wrong with the `batteries` and the MqttClient. `percent`: its brightness.

    `night`: (minute of the day from which, minute to which) it is off; None: never. `minute_of_day()` returns the time; None
    while it is not known: then it shines.
    """

    def __init__(b, c, d, e, f, g=None, h=None):
        b.r = c
        b.w = d
        b.e = e
        b.g = f
        b.v = g
        b.t = h
        b.f = None  # when the next step is due
        b.s = b._ = 0  # blinks of this pattern that are to come
        b.j = a
        b.m = False  # a blink has begun
        b.n = False
        b.o = False  # whose turn it was last

    def c(a, b):
        """The next step, when it is due. Returns the ms until it is."""
        if a.f is not None:
            c = ticks_diff(a.f, b)
            if c > 0:
                return c
        d = a.i()
        a.f = ticks_add(b, d)
        return d

    def sleep(b):
        """Off: a NeoPixel would shine on while the chip sleeps."""
        b.r.set(0, a)

    def i(a):
        """Change the light; returns for how many ms it stays so."""
        if a.m:
            a.m = False
            a.z(0)
            return a.q()
        if a.s:
            a.s -= 1
            return a.h(900, a.s == 0 and a._ > 0)
        if a._:
            a._ -= 1
            return a.h(200, False)
        return a.d()

    def h(a, b, c):
        a.m = True
        a.k = 700 if c else 300
        a.z(a.w)
        return b

    def q(a):
        return a.k if a.s or a._ else 2000

    def d(b):
        """What to show next."""
        if b.p():
            b.z(0)
            return 500
        if b.l():
            b.j = (100, 0, 0)
            b.z(0 if b.n else b.w)
            return 100
        c = b.u()
        if c is None:
            b.j = a
            b.z(max(1, b.w // 4))
            return 500
        d = b.n
        b.s, b._ = c
        b.j = ((100, 60, 0), (0, 0, 100), (100, 0, 100))[b.s]
        b.z(0)
        return 2000 if d else 300

    def z(a, b):
        a.n = b > 0
        a.r.set(b, a.j)

    def u(a):
        """The next pattern; None: there is no trouble."""
        b = None
        for c in a.e:
            b = b or h(c.g.bE.code)
        d = a.g.trouble
        e = None if d is None else i(d[0])
        if b is None or e is None:
            return b or e
        a.o = not a.o
        return e if a.o else b

    def l(a):
        """Whether a protection or a fault of a battery is active."""
        for b in a.e:
            for c in range(2, 5 + 1):  # the graver ones all count, whatever else they are
                if b.pack.raw("alarm_bits_{}", c):
                    return True
        return False

    def p(a):
        b = None if a.v is None else a.t()
        return b is not None and e(b, *a.v)


def e(a, b, end):
    """Whether a minute of the day is in a time that may reach over midnight; an empty one has none."""
    return b <= a < end if b <= end else a >= b or a < end


def g(a):
    """(begin, end) of "22:00-07:00" in minutes of the day; None: it is not understood."""
    b = [f(c.strip()) for c in a.split("-")]
    return None if len(b) != 2 or None in b else tuple(b)


def f(a):
    """540 of "9:00"; None: it is no time of the day."""
    b, c, d = a.partition(":")
    for e in (b, d):
        if len(e) not in (1, 2) or [f for f in e if not "0" <= f <= "9"]:
            return None
    if not c or len(d) != 2 or int(b) > 23 or int(d) > 59:
        return None
    return 60 * int(b) + int(d)
