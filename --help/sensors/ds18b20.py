# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Thermometers DS18B20 (and DS18S20) on one pin, as a source. They are found by themselves; nothing waits for a measurement.

The bus is bit-banged: a bit takes 70 us, in which interrupts are off, which the UART's FIFO of 128 bytes bears. In one tick
there is one step: a command for all sensors (2 ms), one sensor read (12 ms) or one found (15 ms); the interpreter's time comes
on top (docs/SENSORS.md). Figures of the sensor are from Maxim's DS18B20 datasheet.
"""

from adafruit_ds18x20 import DS18X20
from adafruit_onewire.bus import OneWireAddress, OneWireError
from adafruit_ticks import ticks_add, ticks_diff


from battery.sources import number, text

  # sensors that are read
  # DS18S20, DS18B20: what the library reads
  # from one measurement to the next
  # the longest measurement, of 12 bits, takes 750 ms
  # to the next measurement, if a jump is to be confirmed, or the first one was disturbed

  # between two steps, in which the BMS has its turn
  # in a row, then the temperature is not known any more
  # not called for longer: what was read is of another time
  # 85 °C is in the sensor before its first measurement, and after a dip of its supply
  # 10 K between two readings, else a second one must confirm it
b, a = -550, 1250  # the range of the sensor, 0.1 °C; a library's -127 is outside

  # all sensors measure at once: they must have their own supply, not a parasitic one



class c:
    """One sensor. `id`: family and serial number in hex, in their order on the bus; `rom`: its address of 8 bytes."""

    def __init__(a, b, c, d):
        a.id = c
        a._bus = b
        a._device = DS18X20(b, OneWireAddress(d))
        a.c = bytearray(1)
        a.raw = None  # 0.1 °C
        a.e = None  # 0.1 °C, not confirmed yet
        a.n = 0

    def read(c):
        """Read its last measurement; returns whether the next one should follow soon: a jump is to be confirmed, or nothing is
        known after a first miss."""
        try:
            d = int(160 * c._device.read_temperature() + 8) // 16  # the library's float is exact: sixteenths
        except (RuntimeError, OneWireError):  # a wrong CRC: disturbed, or nobody there
            d = None
        if d is None or not b <= d <= a or (d == 0 and c.d()):
            return c.l()
        e = c.raw
        if d == 850 and (e is None or abs(e - d) > 100):
            return c.l()
        if e is not None and abs(e - d) > 100:
            f, c.e = c.e, d
            if f is None or abs(f - d) > 100:
                c.l()
                return True
        c.raw = d
        c.e = None
        c.n = 0
        return False

    def g(a):
        """What was read is of another time."""
        a.raw = a.e = None

    def d(a):
        """Whether the line is low though nobody was asked. Then all bytes are 0, and that is a right CRC."""
        a._bus.reset()
        a._bus.readinto(a.c)
        return a.c[0] != 255

    def l(a):
        a.n += 1
        if a.n >= 3:
            a.g()
        return a.raw is None and a.n < 3


class d:
    """The source of all sensors on `bus`, a OneWireBus. `names`: pairs of an id, or how it begins, and a name.

    Rows are in the order of the ids at the start; what is found later comes behind them. A sensor is found when two searches in
    a row have seen it; one with a name and a whole id has its row all the time.
    """

    key = "temperatures"
    device = "temperatures"
    u = "DS18B20"

    def __init__(a, b, c=()):
        a.k = [text("problem", "Problem", "thermometer-alert", 1)]
        a.f = 0
        a._bus = b
        a.g = c
        a.B: list = []
        a.n: list = []  # of those that have a row
        a.m: list = []  # (id, address) by the search that is running
        a.r: list = []  # ids found by the search before
        a.h = None  # address that it found last
        a.l = 0  # 0: no search is running
        a.d = 0  # of it
        a._ = None  # tick; None: at once
        a.w = None
        a.A = None
        a.p = -1  # index of the sensor to be read next; -1: nothing is measured
        a.v = False
        a.s = False  # all of them, once
        a.q = "none"

    def raw(a, key):
        """As of every source: 0.1 °C, or None."""
        if key == "problem":
            return a.q
        for b in a.B:
            if b.id == key:
                return b.raw
        return None

    def i(a):
        """As of every source of sensors."""
        return not [b for b in a.k if a.raw(b.key) is None]

    def start(a):
        """Search twice at once, before the loop runs; returns the problem in words, or None."""
        for b in range(2):
            a.l = 65
            while a.l:
                a.z()
        a.t([c for c, d in a.g if len(c) == 14] + [e.id for e in a.B])
        a.o()
        return None if a.q == "none" else a.q

    def c(a, b):
        """One step on the bus, if one is due."""
        if a._ is None:
            a._ = ticks_add(b, 60000)
            a.w = b
        elif ticks_diff(b, a.A) > 15000:
            for c in a.B:
                c.g()
            a.p = -1  # what was being measured, too
            a.w = b
            a.f += 1
        a.A = b
        if not a.B:
            a.w = b  # days later it could not be compared any more
        if a.p >= 0:
            if ticks_diff(b, a.w) < 800:
                return 800 - ticks_diff(b, a.w)
            a.j()
        elif a.l:
            a.z()
            if not a.l:
                a.t([d.id for d in a.B])
        elif ticks_diff(b, a.w) >= 0 and a.B:
            a._bus.reset()
            a._bus.write(b'\xccD')
            a.w = b
            a.p = 0
        elif ticks_diff(b, a._) >= 0:
            a._ = ticks_add(b, 60000)
            a.l = 65
        else:
            return 100
        return 20

    # Measuring

    def j(a):
        b = a.B[a.p]
        c = b.raw
        a.v = b.read() or a.v
        if b.raw != c:
            a.f += 1
        a.p += 1
        if a.p == len(a.B):
            a.p = -1
            a.w = ticks_add(a.w, 2000 if a.v else 10000)
            a.v = False
            a.s = True
            a.o()

    def o(a):
        """What is wrong, in words."""
        b = [d.name for d in a.k[1:] if a.s and a.raw(d.key) is None]
        c = "none"
        if not a.B:
            c = 'no sensor answers: check the three wires and the resistor of 4.7 kOhm'
        elif b:
            c = ", ".join(b)[:180] + ": no valid answer"
        if c != a.q:
            a.q = c
            a.f += 1

    # Searching

    def z(a):
        """One step of a search, and behind its last one what it has found."""
        # The library's own step, (address, fork of the next step): its `scan` would take 15 ms for each sensor at once
        b, a.l = a._bus._search_rom(a.h, a.l)
        a.h = b
        if b is not None and b[0] in (16, 40) and not a._bus.crc8(b):
            a.m.append((e(b[:7]), b))
        a.d += 1
        if a.d > 16:
            a.l = 0  # on a line that is shorted there would be no end
        if not a.l:
            a.e()

    def e(a):
        b = [f.id for f in a.B]
        for d, e in a.m:
            if d not in b and d in a.r and len(a.B) < 16:
                a.B.append(c(a._bus, d, e))
        a.r = [g for g, h in a.m]
        a.m = []
        a.h = None
        a.d = 0

    def t(a, b):
        """A row for each that has none yet, in the order of their ids."""
        for c in sorted(b):
            if c not in a.n:
                d = "Temperature " + c[2:]
                for e, f in a.g:
                    if c.startswith(e):
                        d = f
                a.n.append(c)
                a.k.append(number(c, d, "°C", 1, 2, "temperature"))
                a.f += 1


def e(a):
    """bytes as small hexadecimal digits."""
    return "".join([f"{b:02x}" for b in a])
