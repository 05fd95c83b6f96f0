# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A network in memory and in simulated time, with only a broker in it, for a firmware in the same process.

Connections fail as in host/proxy.py, in the modes that need no proxy.
"""

from __future__ import annotations

import random
import socket as pc_socket
from typing import Any

from host import trouble
from host.broker import Broker, Connection
from host.clock import SimulatedClock
from host.proxy import HUGE, SILENT

SEND_BUFFER = 5760  # bytes that TCP accepts while none is acknowledged
MODES = ("pass", "refuse", "close", *SILENT, "garbage", "huge")
RESETTING = ("refuse", "close")


class SimulatedNetwork:
    """Every address is the broker's. `set(mode)` makes connections fail; `sockets` are the open ones."""

    def __init__(self, broker: Broker, clock: SimulatedClock):
        self.broker = broker
        self.clock = clock
        self.mode = "pass"
        self.sockets: list[SimulatedSocket] = []
        self.most_sockets = 0  # open at the same time
        self.random = random.Random(1)

    def set(self, mode: str) -> None:
        """Change the mode. Raises ValueError for one that is not in MODES."""
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode} without a process; there are {', '.join(MODES)}")
        self.mode = mode
        for one in list(self.sockets):
            one.is_silent = one.is_silent or mode in SILENT
            if mode in RESETTING:
                one.reset()

    def cut_power(self) -> None:
        """The chip has lost its power: its connections are gone, which the broker notices only by the keep-alive."""
        self.sockets.clear()

    def socket(self, family: int, kind: int, protocol: int) -> SimulatedSocket:
        self.sockets.append(SimulatedSocket(self))
        self.most_sockets = max(self.most_sockets, len(self.sockets))
        return self.sockets[-1]

    def getaddrinfo(self, host, port, family=0, kind=0, protocol=0, flags=0) -> list:
        return [(family, kind, protocol, "", (host, port))]

    def wait(self, inner: SimulatedSocket, seconds: float | None) -> bool:
        """Let at most 10 ms pass; whether anything arrived shows at the next read."""
        self.clock.sleep(0.01 if seconds is None else min(seconds, 0.01))
        return True

    def own_address(self) -> str:
        return "192.168.1.77"


class SimulatedSocket:
    """A connection to the broker in this process."""

    family = pc_socket.AF_INET
    type = pc_socket.SOCK_STREAM

    def __init__(self, network: SimulatedNetwork):
        self.is_silent = False  # nothing passes, without either side noticing
        self._network = network
        self._connection: Connection | None = None
        self._timeout: float | None = None
        self._unacknowledged = 0
        self._is_reset = False
        self._has_huge = False

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def setsockopt(self, *arguments) -> None:
        """No option changes anything here."""

    def connect(self, address: tuple) -> None:
        network = self._network
        if network.mode == "refuse":
            raise ConnectionRefusedError
        if network.mode == "drop":
            network.clock.sleep(75 if self._timeout is None else self._timeout)
            raise TimeoutError
        self.is_silent = network.mode == "hang"
        self._connection = Connection(network.broker, network.clock.monotonic())
        if network.mode == "close":
            self.reset()

    def send(self, data: Any) -> int:
        if self._is_reset:
            raise ConnectionResetError
        if self.is_silent:
            taken = min(len(data), SEND_BUFFER - self._unacknowledged)
            if not taken:
                raise BlockingIOError
            self._unacknowledged += taken
            return taken
        self._connection.receive(bytes(data), self._network.clock.monotonic())
        return len(data)

    def recv_into(self, buffer: Any, size: int = 0) -> int:
        if self.is_silent:
            raise BlockingIOError
        outgoing = self._outgoing()
        if not outgoing:
            if self._is_reset or not self._connection.is_open:
                return 0
            raise BlockingIOError
        part = bytes(outgoing[: size or len(buffer)])
        del outgoing[: len(part)]
        buffer[: len(part)] = part
        return len(part)

    def reset(self) -> None:
        """The other side ends the connection."""
        self._is_reset = True
        if self._connection is not None:
            self._connection.close()

    def close(self) -> None:
        """The chip ends the connection; the broker notices if packets reach it."""
        if self in self._network.sockets:
            self._network.sockets.remove(self)
        if self._connection is not None and not self.is_silent and trouble.is_networked():
            self._connection.close()

    def _outgoing(self) -> bytearray:
        """What is on its way to the chip."""
        outgoing, mode = self._connection.outgoing, self._network.mode
        if mode == "garbage":
            outgoing += self._network.random.randbytes(40)
        if mode == "huge" and not outgoing:
            outgoing += bytes(1000) if self._has_huge else HUGE + bytes(1000)
            self._has_huge = True
        return outgoing
