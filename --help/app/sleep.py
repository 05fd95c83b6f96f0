# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Low power: awake only to read a complete set and to publish it, else in deep sleep. Loaded only with SLEEP_MINUTES.

Deep sleep ends in a new start of code.py. What has to last is in the chip's sleep memory (a new power-on clears it): nothing is
written to the flash memory for a wake. Before it sleeps the bridge publishes `sleeping` as its status, waits for the PUBACK,
which says that all before it have been received, and ends the connection without a last will.

After power-on it stays awake for FIRST_AWAKE_MS: a chip in deep sleep has no drive on USB, so a wrong SLEEP_MINUTES could not
be corrected any more. A wake that reaches no BMS or no broker ends, too: a battery must not be emptied by waiting.
"""

import binascii
import struct
import time

from adafruit_ticks import ticks_diff
from microcontroller import watchdog

from app.early import k

  # between two calls
  # after power-on
  # of a wake
  # of one that sends discovery: with one battery that takes an ESP32-S2 20 s, with eight two minutes
# How long a complete set is waited for before the network is joined without one: most need 5 s, a BMS that is looked for 15

# How long sensors are waited for when all else has been published. A Victron device speaks once a second, but what has come
# while the bridge joined the Wi-Fi is dropped.

  # for the PUBACK of the last message
  # for the broker to close the connection, which says that it has received the DISCONNECT
  # discovery is sent again after so much sleep: a broker may have lost what it retained
# The clock of a sleeping ESP32 is an RC oscillator: it may be some percent slow. The rest is for being awake.



# Magic, version, minutes since discovery, sequence of the NVM's last record, minutes slept since, length of the text, text









def c(a):
    """Sleep; code.py starts anew afterwards. With a computer on USB CircuitPython only waits for so long. Does not return.

    It raises DeepSleepRequest, which is no Exception but a BaseException (circuitpython's py/objexcept.c): the loop and the
    crash handler let it pass, and main.c sleeps when code.py has ended with it.
    """
    import alarm  # here, because a firmware built without it must start, too

    watchdog.mode = None
    alarm.exit_and_deep_sleep_until_alarms(alarm.time.TimeAlarm(monotonic_time=time.monotonic() + a))


class a:
    """As a poller that is `online` when all readings of all batteries have been requested, those that are read once, too."""

    def __init__(a, b):
        a.d = [c.g for c in b]

    @property
    def online(a):
        """Whether the set is complete."""
        for b in a.d:
            if not (b.r and b.t):
                return False
        return True


class b:
    """Puts the chip to sleep for `minutes` as soon as all has been published. `memory`: alarm.sleep_memory, in slices.

    `is_woken`: it has slept until now, so that this is no power-on. `enter(seconds)` sleeps and does not return.
    """

    def __init__(a, b, c, d, e, f=c):
        a.j = b
        a.J = 60 * b * (100 + 10) // 100 + 180  # until something newer must have been published
        a.A = c
        a.G = d
        a.v = f
        a.h = e
        a.u = 0  # of the present state
        a.i = 0
        a.s = None  # `_elapsed_ms` when all but sensors had been published first
        a._ = 0 if d else 120000
        a.m = 65535
        a.B = a.D = 0
        a.I = ""  # why the wake before could not publish
        if d:
            a.o()
        else:
            print(f"Sleep: awake for 2 minutes, so that the settings can be changed; then asleep for {b} min at a time.")

    def K(a, b):
        """The BridgeState's `take_pairs`, with why the wake before could not publish as the last failure, if there is none."""
        d = a.I
        if not d:
            return b

        def e(c):
            return [(f, d if (f, g) == ("last_failure", "none") else g) for f, g in b(c)]

        return e

    def F(b, c, d, e):
        """What calls the MqttClient's `tick` as soon as there is a complete set: half of one must not be published."""
        return k(a(c), d, e, 20000)

    def n(b, c, d, e, f, g, h=()):
        """Look at these. `dark`: what has a `sleep()` to become dark; `battery_commands`: what has a `pending()` command."""
        b.p = a(c)
        b.f = d
        b.g = e
        b.e = f
        b.t = g
        b.r = h
        b.q = b.m >= 1440
        if not b.q:
            d.al()
        if not b.G:
            e.aA()
        if f.J == b.B:
            f.A(60000 * b.D)

    def c(a, b):
        """Go to sleep, in steps. Returns the ms until the next call."""
        a.u += ticks_diff(b, a.h)
        a.h = b
        if a.i == 0:
            a.d()
        elif a.i == 1:
            a.E()
        elif a.g.aD() or a.u >= 1000:
            a.k()
        return 50

    def C(a, b):
        a.i = b
        a.u = 0

    def d(a):
        """Whether all has been published, or it has taken too long."""
        if a.u < a._:
            return
        b = a.g
        c = b.aC and a.f.aj() and a.w() and not a.z()
        d = a.q and b.connected and a.p.online
        e = 180000 if d else 60000
        if not c and a.u < a._ + e:
            return
        a.I = ""
        if b.connected:  # without a BMS: then this has been published
            a.f.ao()
            a.C(1)
        else:
            a.l(b.aF)

    def w(a):
        """Whether their values have been published, or have been waited for."""
        if a.s is None:
            a.s = a.u
        return a.f.t() or a.u - a.s >= 3000

    def z(a):
        """Whether a battery is executing a command: who sent it waits for the result."""
        return bool([b for b in a.r if b.r()])

    def E(a):
        b = a.g
        if a.f.ai and b.aC:
            b.aE()
            a.C(2)
        elif not b.connected or a.u >= 5000:
            a.l(b.aF or "the broker does not acknowledge the last message")

    def l(a, b):
        """Nothing, or not all, has been published."""
        a.I = b
        print(f"Sleep: not published. {b}")
        a.g.aE()
        a.C(2)

    def k(a):
        while a.t:
            a.t.pop().sleep()  # out of the list first: one that fails must not keep the chip awake for ever
        b = a.e
        if b.B or b.safe_modes:
            b.z()  # a wake lasts some seconds, and it has not crashed
        a.H()
        print(f"Asleep for {a.j} min.")
        a.v(60 * a.j)

    # the sleep memory

    def H(a):
        b = a.j
        c = 0 if a.f.ah else a.m
        d = a.e.J
        e = b + (a.D if d == a.B else 0)
        f = bytes([ord(i) if " " <= i < "\x7f" else 63 for i in a.I[:80]])
        g = (min(c + b, 65535), d, min(e, 0xFFFF))
        h = struct.pack('<2sBHIHB80s', b'DS', 1, *g, len(f), f)
        h += struct.pack("<I", binascii.crc32(h))
        a.A[: len(h)] = h

    def o(a):
        b = struct.calcsize('<2sBHIHB80s')
        c = bytes(a.A[: b + 4])
        if len(c) < b + 4 or struct.unpack_from("<I", c, b)[0] != binascii.crc32(c[:b]):
            return
        d, e, f, g, h, i, j = struct.unpack_from('<2sBHIHB80s', c, 0)
        if (d, e) == (b'DS', 1):
            a.m = f
            a.B = g
            a.D = h
            a.I = "last wake: " + str(j[:i], "ascii") if i else ""
