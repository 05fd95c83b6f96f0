# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The voltage that supplies the board, by a divider on an analog pin, as a source of the bridge's own device."""

from adafruit_ticks import ticks_diff

from battery.sources import number


  # 10 ms, and one because ticks are whole ones: the divider's capacitor, 100 nF at 10 kOhm, takes 5

  # not called for longer: what was measured is of another time
  # in a row, then the voltage is not known any more
# Above it the chip's converter saturates (ESP32-S3 datasheet: 3.1 V at its highest attenuation): no measurement



class a:
    """`analog`: with `value` from 0 to 65535, which stands for `reference_voltage` (V), both of analogio.AnalogIn.

    `ratio_permille`: whole voltage by that at the pin, times 1000; `enable(level)` feeds the divider, None: it always is fed.
    """

    key = "supply"
    device = None
    u = None

    def __init__(a, b, c, d=None):
        a.k = [number("voltage", "Supply voltage", "V", 3, 50, "voltage")]
        a.f = 0
        a.e = b
        a.j = c
        a.g = d
        a.h = None  # tick; None: the divider is not fed
        a.m = None  # mV
        a.n = 0
        a.A = None

    def raw(a, key):
        """As of every source: mV, or None."""
        return a.m if key == "voltage" else None

    def i(a):
        """As of every source of sensors."""
        return a.m is not None

    def c(a, b):
        """Feed the divider, or measure. Returns for how many ms there is nothing to do."""
        if a.A is not None and ticks_diff(b, a.A) > 10000:
            a.p(None)
        a.A = b
        if a.g is None:
            a.d()
        elif a.h is None:
            a.g(True)
            a.h = b
            return 11
        elif ticks_diff(b, a.h) < 11:
            return 11 - ticks_diff(b, a.h)
        else:
            a.d()
            a.g(False)
            a.h = None
        return 2000

    def d(a):
        b = 0
        try:
            for c in range(8):
                b += a.e.value
        except OSError:  # espidf.IDFError: the radio has the second converter just now
            return a.l()
        d = b * int(1000 * a.e.reference_voltage + 0.5) // 8  # mV times 65535
        if d >= 3100 * 65535:
            return a.l()
        a.n = 0
        a.p((d * a.j // 1000 + 32767) // 65535)
        return None

    def l(a):
        a.n += 1
        if a.n >= 3:
            a.p(None)

    def p(a, b):
        if b != a.m:
            a.m = b
            a.f += 1
