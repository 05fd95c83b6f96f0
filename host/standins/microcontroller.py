# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's microcontroller: pins that can be claimed once, the processor, memory, watchdog."""

from __future__ import annotations

from nvm import ByteArray as _ByteArray
from watchdog import WatchDogTimer as _WatchDogTimer

from host import chip as _chip

_MAC = b"\x02\xda\x1b\xc0\xff\xee"  # locally administered, so it belongs to no manufacturer


class Pin:
    """One pin, free or claimed by one peripheral."""

    def __init__(self, name="") -> None:
        self._name = name
        self._claimed = False

    def __repr__(self) -> str:
        return f"board.{self._name}"

    def _claim(self) -> None:
        if self._claimed:
            raise ValueError(f"{self._name} in use")
        self._claimed = True

    def _free(self) -> None:
        self._claimed = False


def _claim(*pins) -> None:
    """Claim all or none; None: a pin that is not used. Raises ValueError."""
    claimed = []
    try:
        for pin in pins:
            if pin is not None:
                pin._claim()
                claimed.append(pin)
    except ValueError:
        _free(*claimed)
        raise


def _free(*pins) -> None:
    for pin in pins:
        if pin is not None:
            pin._free()


class ResetReason(_chip.Name):
    POWER_ON = 1
    BROWNOUT = 2
    SOFTWARE = 3
    DEEP_SLEEP_ALARM = 4
    RESET_PIN = 5
    WATCHDOG = 6
    UNKNOWN = 7
    RESCUE_DEBUG = 8


class Processor:
    frequency = 240_000_000
    voltage = None  # the ESP32 cannot measure it
    temperature = 42.0
    uid = bytearray(_MAC[: len(_MAC) - len(_chip.identity)] + _chip.identity)

    @property
    def reset_reason(self) -> ResetReason:
        return ResetReason[_chip.reset_reason]


cpu = Processor()
nvm = _ByteArray()
watchdog = _WatchDogTimer()


def reset() -> None:
    _chip.reset("SOFTWARE")


def delay_us(delay: int) -> None:
    _chip.clock.sleep(delay / 1_000_000)
