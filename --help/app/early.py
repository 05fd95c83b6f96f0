# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the start leaves behind: small objects, so that the modules that made them can be unloaded."""

import busio
import displayio
from adafruit_ticks import ticks_diff

  # the most that SSD1306 and SH1106 are specified for
  # a BMS that responds has done so by then, also when its protocol and address are looked for
# What a driver or library raises that is missing, incomplete or of another version, or for which there is no memory
e = (ImportError, MemoryError, SyntaxError, AttributeError, TypeError)


class b:
    """The values of the settings, one attribute each, with `problems`, `hints`, `allowed`, `identity` and `base_topic`."""

    def __init__(a, b, c):
        for d in c:
            setattr(a, d, getattr(b, d))


class h:
    """Opens the OLED according to the settings; `scl` and `sda` are pins."""

    def __init__(a, b, c, d):
        a.l = b
        a.d = c
        a.e = d
        a.f = False
        a.c = False  # its driver cannot be loaded: it is not tried again until the next start

    def open(a):
        """A Panel; None when there is no OLED: the reason is printed once."""
        if a.c:
            return None
        try:
            return a.P()
        except e as b:
            a.c = True
            i(b)
        except (RuntimeError, ValueError) as b:
            if not a.f:
                a.f = True
                print(f"No OLED: {b}. Continuing without it, and retrying; if there is none, set OLED = false.")
        return None

    def P(a):
        displayio.release_displays()  # a display that survived a reload holds the pins
        b = busio.I2C(a.d, a.e, frequency=400000)  # RuntimeError: no pull-ups, so no OLED
        try:
            from display.panel import k as c  # with libraries, only with OLED

            d = a.l
            return c(b, d.OLED_TYPE, d.OLED_ADDRESS, d.OLED_HEIGHT, d.OLED_ROTATION)
        except e:
            displayio.release_displays()
            b.deinit()
            raise


def i(a):
    """Say that the screen cannot be used, and that this is all."""
    b = f"{type(a).__name__} {a}".strip()
    print(f"No OLED: its files cannot be loaded ({b}). Continuing without it; copy all files of the bundle again.")


class k:
    """The MqttClient's tick, once every BMS has responded or `limit_ms` have passed: joining the Wi-Fi blocks for seconds.

    A whole poll cycle is not waited for: the rest of it is read while the bridge connects, and the first state is not later.
    """

    def __init__(a, b, c, d, e=1000):
        a.l = b
        a.e = e
        a.d = c
        a.k = d  # None: it has begun

    def c(a, b):
        """What the client's tick returns."""
        if a.k is not None:
            if not a.l.online and ticks_diff(b, a.k) < a.e:
                return None
            a.k = None
        return a.d(b)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Frees the memory of a module that is needed seldom; the next import loads it again."""

import sys

c: list = []


def keep(name):
    """The module `name` is needed all the time: whoever unloads it after his own use leaves it from now on."""
    c.append(name)


def f(name):
    """Forget the module `name`, such as "app.advice". What still refers to it, or to a function of it, keeps it in memory."""
    if name in sys.modules and name not in c:
        del sys.modules[name]
        a, b, d = name.partition(".")
        if hasattr(sys.modules.get(a), d):
            delattr(sys.modules[a], d)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What survives a restart: one small record in the chip's non-volatile memory, in two slots that are written in turn.

A record is valid when magic, version and CRC are right; of two valid records the newer one counts, so a power cut during a
write costs one interval. The ESP32 rewrites its whole block of 8 KB at each write, and a power cut may lose all of it: then
everything here starts from zero, and the counters are restored from the state that the broker retains. Earlier versions had
other slots (nvm_earlier.py), which this one leaves as they are. Which of their records it has taken over is part of its own: a
newer one was written by a downgrade, and counts.

Nothing is written before the memory has been read: one failed read (it needs 8 KB in one piece) must not end with both
records overwritten. The read is retried for two minutes; if it still fails, nothing is written until the next start.

Wear: the block is in a partition of at least five 4 KB pages that are used in turn, good for 100000 erasures each. A
write costs two, so 250000 writes; at WRITES_PER_DAY that is more than 14 years. Every write must be earned by elapsed
time; what is earned is part of the record, so that failed boots cannot spend more than there is. They have a RESERVE,
which is refilled before the counters are written at the usual interval again.
"""

import binascii
import struct







  # writes that can be earned in advance
  # writes for failed boots in a row

  # two minutes
  # the most that are stored
n = "deep_sleep_alarm"  # the reset reason of a chip that has slept

# Version 4: magic, version, sequence, boots, failed boots in a row, minutes earned, reserve, length of the text, text, sequence
# of the earlier version's record, number of batteries; then of each battery number, polarity, protocol, owner, four counters.



p = (640, 1152)


  # as in safemode.py
# What accesses to the chip's memory have raised; each also takes 8 KB of heap in one piece.
o = (OSError, RuntimeError, ValueError, MemoryError)


def _reason(a):
    """A fault in words."""
    return "there are no 8 KB of memory in one piece; it is tried again" if isinstance(a, MemoryError) else a


class m:
    """What is stored of a battery. `known`: its number, polarity, protocol and owner."""

    def __init__(a, b, c=None):
        a.number = b[0]
        a.polarity = b[1]  # of the current: 1 normal, 2 inverted; 0: not known
        a.protocol = b[2]  # what the BMS speaks, see daly/detector.py; 0: not known
        a.j = b[3]  # the bridge that the counters belong to, as a number; 0: none yet
        a.f = c  # the energy counters (Wh, Wh, mAh, mAh) as last stored; None: none were

    def set(a, b=None, polarity=None, protocol=None, j=None):
        """Change what is not None; to be called by the NvmStore."""
        a.f = a.f if b is None else b
        a.polarity = a.polarity if polarity is None else polarity
        a.protocol = a.protocol if protocol is None else protocol
        a.j = a.j if j is None else j


class j:
    """Counters and one text, and a record of each battery. `nvm`: microcontroller.nvm or its like, read and written in slices;
    None: nothing is stored.
    """

    def __init__(a, b, c):
        a.r = b
        a.s: list = []
        a.n = (1,)
        a.J = 0  # of the last write
        a.f = 0  # sequence of the record of an earlier version that was taken over; 0: none was
        a.w = 0
        a.B = 0  # in a row, each less than ten minutes of uptime; the current one included
        a.failure = ""  # the last exception, 80 characters
        a.safe_modes = 0  # unclean resets in a row that led to safe mode, see safemode.py
        a.H = b is None
        a.G = False  # there is something to write, and no write is earned
        a.e = 0  # counted before the memory was read
        a.D = 0
        a.u = 0  # since the last attempt
        a.h = c
        a.p = 0  # since the last regular write fell due
        a.l = 2 * 1800000  # an advance: for the boot, and for what the first connection brings
        a.t = 10
        a.m = False
        try:
            a.j()
        except o as d:
            print("NVM: not read now:", _reason(d))

    def j(a):
        """Read the memory if it was not read before. Boots that were counted before are added."""
        if a.H:
            return
        b = a.failure
        a.w = a.B = 0
        try:
            a.d()
            a.H = True
        finally:
            a.w += a.e
            a.B += a.e
            a.failure = b or a.failure

    @property
    def I(a):
        """Whether the memory has been read, or will not be read until the next start."""
        return a.H or a.D >= 24

    def _(a, b):
        """Count a boot; `reason`: the chip's reset reason in lower case, such as "watchdog".

        Waking from deep sleep is no boot: a bridge that sleeps wakes a hundred times a day, and each would cost a write.
        """
        if b == n:
            return
        try:
            a.j()
        except o:
            a.e = 1
        a.w += 1
        a.B = min(a.B + 1, 10000)
        if b == "watchdog":
            a.failure = "watchdog: the firmware hung and was restarted"
        c = "" if a.k() else "At least "
        if a.B > 3:
            print(f"{c}{a.B} boots in a row without ten minutes of uptime.", end=" ")
            print(f"Last failure: {a.failure or 'none'}")

    def E(a, b):
        """Retry a read that failed at the start; `passed`: ms since the last call."""
        a.u += b
        if a.I or a.u < 5000:
            return
        a.u = 0
        a.D += 1
        try:
            a.j()
            a.G = True
        except o:
            if a.D == 24:
                print("NVM: it cannot be read, so nothing is written to it until the next start.")

    def c(a, b):
        """Whether the regular write is due; True once per interval. To be called in every pass, since ticks wrap."""
        c = ticks_diff(b, a.h)
        a.h = b
        if not a.I:
            a.E(c)
        a.p += c
        a.l = min(a.l + c, 3 * 1800000)
        if a.p < 1800000:
            return False
        a.p = 0
        if a.t < 10 and a.C and not (a.m or a.G):  # every second interval
            a.m = True
            a.l -= 1800000
            a.t += 1
            return False
        a.m = False
        return True

    def A(a, b):
        """Time has passed since the last write in which nothing counted it: the chip slept."""
        a.l = min(a.l + b, 3 * 1800000)

    @property
    def C(a):
        """Whether an extra write fits the wear budget."""
        return a.l >= 1800000

    def L(a, b):
        """The numbers of the batteries that are read: their records stay in any case."""
        a.n = b

    def gone(a):
        """The numbers of batteries that are stored and not read any more."""
        return [b.number for b in a.s if b.number not in a.n]

    def i(a, b):
        """The BatteryRecord of a number; it is the one to be used from when the memory `is_settled` on.

        A new one takes the place of the first one of a battery that is not read any more, if there is no other.
        """
        for c in a.s:
            if c.number == b:
                return c
        if len(a.s) >= 8:
            d = a.gone()[0]
            a.s = [e for e in a.s if e.number != d]
        c = m((b, 0, 0, 0))
        a.s.append(c)
        return c

    def set(a, b, c=None, polarity=None, protocol=None, j=None):
        """Change what is stored of a battery, where it is not None; `save`, or the next write, makes it permanent."""
        b.set(c, polarity, protocol, j)
        a.G = True

    def K(a, b):
        """The same for the text."""
        a.failure = b
        a.G = True

    def k(a):
        """Write everything into the older slot. Returns False when it is not written; then `is_pending` is set."""
        if a.r is None:
            return True
        a.G = True
        if not a.H or not a.v():
            return False
        a.J += 1
        a.p = 0
        b = bytes(ord(g) if " " <= g < "\x7f" else 63 for g in a.failure[:80])
        c = (a.J, a.w, a.B, a.l // 60000, a.t, len(b), b)
        d = struct.pack('<2sBIIHHBB80sIB', b'DB', 4, *c, a.f, len(a.s))
        for e in a.s:
            f = (e.number, e.polarity, e.protocol, e.j)
            d += struct.pack('<HBBI4Q', *f, *(e.f or (0, 0, 0, 0)))
        d += struct.pack("<I", binascii.crc32(d))
        a.G = not a.F(p[a.J % 2], d)
        return not a.G

    def v(a):
        """Take one write from the wear budget; False when there is none left."""
        if a.C:
            a.l -= 1800000
        elif a.t:
            a.t -= 1
        else:
            return False
        return True

    def z(a):
        """Count failed boots and safe modes from 0 again: this boot is a success. Written only if necessary."""
        if a.safe_modes and a.r is not None:
            if not a.H or not a.v():
                return  # called again later
            a.F(600, b"SM\x00")
        a.safe_modes = 0
        b = a.B
        a.B = 0
        if b > 1:  # a single one is written with the next counters
            a.k()

    def F(a, b, c):
        try:
            a.r[b : b + len(c)] = c
        except o as d:
            print("NVM: not written now:", _reason(d))
            return False
        return True

    def d(a):
        b = bytes(a.r[0:1664])  # one read: each costs the whole block of 8 KB
        if b[600 : 600 + 2] == b"SM":
            a.safe_modes = b[600 + 2]
        c = struct.calcsize('<2sBIIHHBB80sIB')
        for d in p:
            e = b[d + c - 1]  # of the batteries behind the header
            if b[d : d + 2] == b'DB' and b[d + 2] == 4 and e <= 8:
                f = d + c + e * struct.calcsize('<HBBI4Q')
                g = struct.unpack_from('<2sBIIHHBB80sIB', b, d)
                if g[2] >= a.J and l(b, d, f):
                    a.q(b, d + c, g)
        for d in (0, 256):
            if b[d : d + 2] == b'DB' and struct.unpack_from("<I", b, d + 3)[0] > a.f:
                a.o(b)

    def q(b, c, a, d):
        """`fields`: of the header; the batteries are `at` this place."""
        b.g(d)
        b.s = []
        for e in range(d[-1]):
            f = struct.unpack_from('<HBBI4Q', c, a)
            b.s.append(m(f[:4], f[4:]))
            a += struct.calcsize('<HBBI4Q')

    def o(a, b):
        """Take over the record of an earlier version, if it is newer; what is known of other batteries than its one stays."""
        from .nvm_earlier import b as c  # at the first start, after an update, and after a downgrade and an update

        d, e = c(b)
        f("app.nvm_earlier")
        if d is None or d[2] <= a.f:
            return
        g = a.J
        a.g(d)
        a.J = max(g, a.J)
        a.s = [h for h in a.s if h.number != 1][: 8 - 1]
        a.s.insert(0, m(*e))

    def g(a, b):
        """The values of a header."""
        a.J, a.w, a.B, c, a.t, d, e, a.f = b[2:10]
        a.l = min(60000 * c, 3 * 1800000)
        a.failure = str(e[:d], "ascii")


def l(a, b, end):
    """Whether the four bytes at `end` are the CRC of those before it."""
    return struct.unpack_from("<I", a, end)[0] == binascii.crc32(a[b:end])
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The version of this firmware, as published, shown and packed."""


# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The chip's watchdog: fed by the loop, and used to end a Wi-Fi join that would not end by itself."""

import errno
import time

from microcontroller import watchdog
from watchdog import WatchDogMode, WatchDogTimeout

# Longer than the longest wait, which is a name lookup of up to 21 s after a Wi-Fi join of JOIN_LIMIT_S.

# A scan of all channels takes 2.5 s, joining 1 s, DHCP 1 to 4 s. The energy meter bridges pauses of 5 s.



def feed():
    """Feed the watchdog. Starts it, and starts it again if it was stopped."""
    if watchdog.mode == WatchDogMode.RESET:
        watchdog.feed()
    else:
        d(45, WatchDogMode.RESET)


def g():
    """Feed the watchdog while waiting outside the loop."""
    if watchdog.mode is not None:
        watchdog.feed()


def a(a):
    """The radio's `connect` that raises OSError after JOIN_LIMIT_S.

    The original waits until it has an address or is rejected (circuitpython's ports/espressif/common-hal/wifi/Radio.c, #7557):
    without DHCP, for ever. A pending exception ends it, and the watchdog can raise one. The chip goes on joining in the
    background: the next call finds the network joined, or waits for it again.
    """

    def c(b, password, timeout):
        d(4.5, WatchDogMode.RAISE)
        try:
            a(b, password, timeout=timeout)
            for e in range(2):
                time.sleep(0.001)  # a pending exception is raised where a loop turns
        except WatchDogTimeout as f:
            raise OSError(errno.ETIMEDOUT, "no answer") from f
        finally:
            d(45, WatchDogMode.RESET)

    return c


def d(a, b):
    """The chip does not allow changes to a running watchdog, so it is stopped first."""
    watchdog.mode = None
    watchdog.timeout = a
    watchdog.mode = b
