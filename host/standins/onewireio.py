# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's onewireio: bits on a model of a 1-Wire bus; without one the line stays high."""

from __future__ import annotations

from microcontroller import _claim, _free

from host import chip as _chip

_RESET_S = 960e-6  # as in CircuitPython's shared-module/onewireio: 480 us low, and 480 until all have answered
_BIT_S = 70e-6


class OneWire:
    def __init__(self, pin) -> None:
        _claim(pin)
        self._pin = pin

    def deinit(self) -> None:
        _free(self._pin)
        self._pin = None

    def __enter__(self) -> OneWire:
        return self

    def __exit__(self, *_exception) -> None:
        self.deinit()

    def reset(self) -> bool:
        """Whether nobody has answered."""
        _chip.clock.transfer(_RESET_S)
        line = self._line()
        return True if line is None else line.reset()

    def read_bit(self) -> bool:
        _chip.clock.transfer(_BIT_S)
        line = self._line()
        return True if line is None else line.read_bit()

    def write_bit(self, value) -> None:
        _chip.clock.transfer(_BIT_S)
        line = self._line()
        if line is not None:
            line.write_bit(bool(value))

    def _line(self):
        if self._pin is None:
            raise ValueError("Object has been deinitialized and can no longer be used. Create a new object.")
        return _chip.onewire.get(self._pin._name)
