# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The voltage that supplies the board, by a divider on an analog pin, as a source of the bridge's own device."""

from adafruit_ticks import ticks_diff

from battery.sources import number

MEASURE_MS = 2000
SETTLE_MS = 11  # 10 ms, and one because ticks are whole ones: the divider's capacitor, 100 nF at 10 kOhm, takes 5
SAMPLES = 8
STALLED_MS = 10000  # not called for longer: what was measured is of another time
MISSES = 3  # in a row, then the voltage is not known any more
# Above it the chip's converter saturates (ESP32-S3 datasheet: 3.1 V at its highest attenuation): no measurement
HIGHEST_MV = 3100


class Supply:
    """`analog`: with `value` from 0 to 65535, which stands for `reference_voltage` (V), both of analogio.AnalogIn.

    `ratio_permille`: whole voltage by that at the pin, times 1000; `enable(level)` feeds the divider, None: it always is fed.
    """

    key = "supply"
    device = None
    model = None

    def __init__(self, analog, ratio_permille, enable=None):
        self.rows = [number("voltage", "Supply voltage", "V", 3, 50, "voltage")]
        self.changes = 0
        self._analog = analog
        self._ratio = ratio_permille
        self._enable = enable
        self._fed_at = None  # tick; None: the divider is not fed
        self._voltage = None  # mV
        self._misses = 0
        self._called_at = None

    def raw(self, key):
        """As of every source: mV, or None."""
        return self._voltage if key == "voltage" else None

    def is_measured(self):
        """As of every source of sensors."""
        return self._voltage is not None

    def tick(self, now):
        """Feed the divider, or measure. Returns for how many ms there is nothing to do."""
        if self._called_at is not None and ticks_diff(now, self._called_at) > STALLED_MS:
            self._set(None)
        self._called_at = now
        if self._enable is None:
            self._measure()
        elif self._fed_at is None:
            self._enable(True)
            self._fed_at = now
            return SETTLE_MS
        elif ticks_diff(now, self._fed_at) < SETTLE_MS:
            return SETTLE_MS - ticks_diff(now, self._fed_at)
        else:
            self._measure()
            self._enable(False)
            self._fed_at = None
        return MEASURE_MS

    def _measure(self):
        total = 0
        try:
            for _ in range(SAMPLES):
                total += self._analog.value
        except OSError:  # espidf.IDFError: the radio has the second converter just now
            return self._miss()
        at_pin = total * int(1000 * self._analog.reference_voltage + 0.5) // SAMPLES  # mV times 65535
        if at_pin >= HIGHEST_MV * 65535:
            return self._miss()
        self._misses = 0
        self._set((at_pin * self._ratio // 1000 + 32767) // 65535)
        return None

    def _miss(self):
        self._misses += 1
        if self._misses >= MISSES:
            self._set(None)

    def _set(self, voltage):
        if voltage != self._voltage:
            self._voltage = voltage
            self.changes += 1
