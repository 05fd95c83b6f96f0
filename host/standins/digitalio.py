# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's digitalio: unconnected inputs, which read their pull; host.chip sees what outputs switch."""

from __future__ import annotations

from microcontroller import _claim, _free

from host import chip as _chip


class DriveMode(_chip.Name):
    PUSH_PULL = 1
    OPEN_DRAIN = 2


class Direction(_chip.Name):
    INPUT = 1
    OUTPUT = 2


class Pull(_chip.Name):
    UP = 1
    DOWN = 2


class DigitalInOut:
    def __init__(self, pin) -> None:
        _claim(pin)
        self._pin = pin
        self.switch_to_input()

    def deinit(self) -> None:
        if self._pin is not None:
            self.switch_to_input()
            _free(self._pin)
        self._pin = None

    def __enter__(self) -> DigitalInOut:
        return self

    def __exit__(self, *_exception) -> None:
        self.deinit()

    def switch_to_output(self, value=False, drive_mode=DriveMode.PUSH_PULL) -> None:
        self._direction, self._value, self.drive_mode = Direction.OUTPUT, bool(value), drive_mode
        _chip.switch(self._pin._name, self._value)

    def switch_to_input(self, pull=None) -> None:
        self._direction, self.pull = Direction.INPUT, pull
        _chip.switch(self._pin._name, None)

    @property
    def direction(self) -> Direction:
        return self._direction

    @direction.setter
    def direction(self, value: Direction) -> None:
        if value is Direction.OUTPUT:
            self.switch_to_output()
        else:
            self.switch_to_input()

    @property
    def value(self) -> bool:
        return self.pull is Pull.UP if self._direction is Direction.INPUT else self._value

    @value.setter
    def value(self, value: bool) -> None:
        if self._direction is Direction.INPUT:
            raise AttributeError("Cannot set value when direction is input.")
        before, self._value = self._value, bool(value)
        _chip.switch(self._pin._name, self._value)
        if self._value != before:
            _chip.pulse(self._pin._name)
