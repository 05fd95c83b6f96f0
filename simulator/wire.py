# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A 9600 baud line in simulated time with a simulated BMS at its end: for a Poller alone, and for the firmware's whole UART."""

from __future__ import annotations

from typing import Any, Protocol

from simulator.bms import BYTE_US, Bms

FRAME_US = 13 * BYTE_US  # of A5
TICKS = 1 << 29  # the chip's milliseconds wrap here


class Wire:
    """A Poller at one end, a Bms at the other. `us`: the time, which the caller advances; `start`: the tick in ms at us = 0.

    `bus`: the line on which this Bms is one of several boards.
    """

    def __init__(self, bms: Bms, poller: Any, start: int = 0, bus: Any = None):
        self.bms = bms
        self._bus = bus
        self.poller = poller
        self.us = 0.0
        self.received = 0  # bytes that the poller was given
        self._start = start

    @property
    def now(self) -> int:
        """The present tick in ms, wrapping as on the board."""
        return (self._start + int(self.us // 1000)) % TICKS

    def exchange(self) -> bytes | None:
        """Give the poller what has arrived and write its next request, which takes time on the line; None: there is none."""
        arrived = (self._bus or self.bms).transmit(self.us)
        if arrived:
            self.received += len(arrived)
            self.poller.receive(arrived, len(arrived), self.now)
        request = self.poller.poll(self.now)
        if request is None:
            return None
        written = bytes(request)
        (self._bus or self.bms).receive(written, self.us)
        self.us += len(written) * BYTE_US
        self.poller.judge(self.now)
        return written


class Clock(Protocol):
    """Simulated time in microseconds, which passes by sleeping; host/clock.py has one."""

    us: int

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SimulatedUart:
    """The serial device of host/standins/busio.py with a Bms in place of a port: `chip.open_uart` may make one."""

    def __init__(self, bms: Bms, clock: Clock):
        self._bms = bms
        self._clock = clock
        self._received = bytearray()

    def write(self, data: Any) -> int:
        """Send bytes; returns their number."""
        self._bms.receive(bytes(data), self._clock.us)
        return len(data)

    def read(self, size: int) -> bytes:
        """At most `size` bytes of those that have arrived."""
        self._received += self._bms.transmit(self._clock.us)
        part = bytes(self._received[:size])
        del self._received[:size]
        return part

    def wait(self, seconds: float) -> bool:
        """Whether there is something to read within so many seconds; without any, always."""
        end = self._clock.us + 1e6 * seconds
        while not self._received and self._clock.us < end:
            due = self._bms.next_us()
            self._clock.sleep((min(end, end if due is None else max(due, self._clock.us)) - self._clock.us) / 1e6)
            self._received += self._bms.transmit(self._clock.us)
        return bool(self._received) or not seconds

    def flush(self) -> None:
        """Nothing to do: all that was written has been sent."""

    def reset_output_buffer(self) -> None:
        """Nothing to do: nothing waits to be written."""

    def close(self) -> None:
        """Nothing to do."""
