# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The time of the stand-in chip: the PC's own, or a simulated one in which sixty days pass in minutes.

The stand-ins use `host.chip.clock` only: for the time, to sleep, and for the alarm of the watchdog.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable


class PcClock:
    """The PC's time. The alarm is SIGALRM, which also interrupts a system call that hangs."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    _ring: Callable[[], None] | None = None

    def transfer(self, seconds: float) -> None:
        """Bits on a bus of the board take so long: only at a chip's pace, see host/pace.py."""

    def set_alarm(self, seconds: float, ring: Callable[[], None]) -> None:
        """Call `ring` after so many seconds unless set again before; 0: never."""
        if ring != self._ring:
            self._ring = ring
            signal.signal(signal.SIGALRM, lambda number, frame: ring())
        signal.setitimer(signal.ITIMER_REAL, seconds)


class SimulatedClock:
    """Time passes by sleeping only. `on_step(seconds)` is called after each step, before the alarm."""

    def __init__(self, on_step: Callable[[float], None] = lambda seconds: None):
        self.us = 0
        self.on_step = on_step
        self._alarm_us: float = float("inf")
        self._ring: Callable[[], None] = lambda: None

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.us / 1e6

    def sleep(self, seconds: float) -> None:
        """Let time pass, at least a microsecond; the alarm may interrupt it by an exception."""
        self.us += max(1, round(1e6 * seconds))
        self.on_step(seconds)
        if self.us > self._alarm_us:
            self._alarm_us = float("inf")
            self._ring()

    def transfer(self, seconds: float) -> None:
        """Bits on a bus of the board take so long: only at a chip's pace, see host/pace.py."""

    def set_alarm(self, seconds: float, ring: Callable[[], None]) -> None:
        """Call `ring` after so many seconds unless set again before; 0: never."""
        self._alarm_us = self.us + 1e6 * seconds if seconds else float("inf")
        self._ring = ring
