# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's supervisor: the millisecond clock that wraps, the console, and reload()."""

from host import chip as _chip
from host.keyboard import console as _console


def ticks_ms() -> int:
    """As on the board: starts 65,535 ms before its end, so that a bug at the wrap shows after 65 s."""
    return (int((_chip.clock.monotonic() - _chip.power_on_s) * 1000) + 0x1FFF0000) & 0x1FFFFFFF


def reload() -> None:
    _chip.reload()


class RunReason(_chip.Name):
    STARTUP = 1
    AUTO_RELOAD = 2
    SUPERVISOR_RELOAD = 3
    REPL_RELOAD = 4


class SafeModeReason(_chip.Name):
    NONE = 1
    BROWNOUT = 2
    FLASH_WRITE_FAIL = 3
    GC_ALLOC_OUTSIDE_VM = 4
    HARD_FAULT = 5
    INTERRUPT_ERROR = 6
    NLR_JUMP_FAIL = 7
    NO_CIRCUITPY = 8
    NO_HEAP = 9
    PROGRAMMATIC = 10
    SDK_FATAL_ERROR = 11
    STACK_OVERFLOW = 12
    USB_BOOT_DEVICE_NOT_INTERFACE_ZERO = 13
    USB_TOO_MANY_ENDPOINTS = 14
    USB_TOO_MANY_INTERFACE_NAMES = 15
    USER = 16
    WATCHDOG = 17


class Runtime:
    usb_connected = True
    serial_connected = True
    autoreload = True
    safe_mode_reason = SafeModeReason.NONE

    @property
    def serial_bytes_available(self) -> int:
        return _console.available()

    @property
    def run_reason(self) -> RunReason:
        return RunReason[_chip.run_reason]


runtime = Runtime()
