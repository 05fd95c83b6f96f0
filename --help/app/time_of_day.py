# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The time of day, counted on from what an NTP server has said. Loaded only where something depends on it."""

from adafruit_ticks import ticks_add, ticks_diff



  # asking may block for a second

  # a crystal that is off by 100 ppm has lost a minute then


class q:
    """`clock`: see clock.py; `client`: the MqttClient, without whose connection nobody is asked."""

    def __init__(a, b, c):
        a.r = b
        a.g = c
        a.o = None  # tick of the present second
        a.C = None  # of the day; None: it is not known
        a.A = 0  # since the last answer
        a.B = 0

    def u(a):
        """Minutes since midnight in local time; None: it is not known."""
        return None if a.C is None else a.C // 60

    def c(a, b):
        """Count, and ask when it is time. Returns as a job's tick does."""
        if a.o is None:
            a.o = b
        c = ticks_diff(b, a.o) // 1000
        if c > 0:
            a.o = ticks_add(a.o, c * 1000)
            a.B = max(0, a.B - c)
            a.A += c
            if a.C is not None:
                a.C = (a.C + c) % 86400 if a.A < 604800 else None
        if a.B == 0 and a.g.trouble is None:
            a.n()
        return 1000

    def n(a):
        b = a.r.now()
        a.B = 600 if b is None else 86400
        if b is not None:
            c, c, c, d, e, f = b
            a.C = 3600 * d + 60 * e + f
            a.A = 0
