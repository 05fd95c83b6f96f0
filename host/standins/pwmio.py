# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's pwmio: of an output only the duty cycle counts; what shines is seen by host.chip."""

from __future__ import annotations

from microcontroller import _claim, _free

from host import chip as _chip


class PWMOut:
    def __init__(self, pin, *, duty_cycle=0, frequency=500, variable_frequency=False) -> None:
        _claim(pin)
        self._pin = pin
        self.frequency = frequency
        self.duty_cycle = duty_cycle

    def deinit(self) -> None:
        if self._pin is not None:
            _free(self._pin)
        self._pin = None

    def __enter__(self) -> PWMOut:
        return self

    def __exit__(self, *_exception) -> None:
        self.deinit()

    @property
    def duty_cycle(self) -> int:
        return self._duty_cycle

    @duty_cycle.setter
    def duty_cycle(self, duty_cycle: int) -> None:
        if not 0 <= duty_cycle <= 65535:
            raise ValueError("duty_cycle must be 0-65535")
        self._duty_cycle = duty_cycle
        _chip.light(self._pin._name, (100 * duty_cycle // 65535,))
