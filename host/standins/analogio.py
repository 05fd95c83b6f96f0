# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's analogio: inputs with the voltage that `host.chip` says; nothing connected is 0 V.

As on an ESP32-S2 or -S3 only the pins IO1 to IO20 have a converter, a value is calibrated, 65535 stands for 3.3 V, and near
3.1 V the converter is at its end.
"""

from __future__ import annotations

from microcontroller import _claim, _free

from host import chip as _chip

_CONVERTERS = range(1, 21)
_NAMESAKES = {"SDA": 8, "SCL": 9, "LED": 13}
_HIGHEST_V = 3.1


class AnalogIn:
    reference_voltage = 3.3

    def __init__(self, pin) -> None:
        number = _NAMESAKES.get(pin._name, pin._name.removeprefix("IO"))
        if not str(number).isdecimal() or int(number) not in _CONVERTERS:
            raise ValueError("Invalid pin")
        _claim(pin)
        self._pin = pin

    def deinit(self) -> None:
        _free(self._pin)
        self._pin = None

    def __enter__(self) -> AnalogIn:
        return self

    def __exit__(self, *_exception) -> None:
        self.deinit()

    @property
    def value(self) -> int:
        if self._pin is None:
            raise ValueError("Object has been deinitialized and can no longer be used. Create a new object.")
        volts = _chip.analog.get(self._pin._name, 0.0)
        return round(65535 * min(max(volts, 0.0), _HIGHEST_V) / self.reference_voltage)
