# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A network in memory and in simulated time, with a broker in it and those who visit the firmware in the same process.

Connections to the broker fail as in host/proxy.py, in the modes that need no proxy.
"""

from __future__ import annotations

import errno
import random
import socket as pc_socket
from collections import deque
from typing import Any

from host import trouble
from host.broker import Broker, Connection
from host.clock import SimulatedClock
from host.proxy import HUGE, SILENT

SOCKETS = 8  # of the chip at the same time: CONFIG_LWIP_MAX_SOCKETS in ports/espressif/esp-idf-config
SEND_BUFFER = 5760  # bytes that TCP accepts while none is acknowledged
MODES = ("pass", "refuse", "close", *SILENT, "garbage", "huge")
RESETTING = ("refuse", "close")


class SimulatedNetwork:
    """Every address that the chip connects to is the broker's; `visit(port)` connects to the chip.

    `set(mode)` makes connections to the broker fail; `sockets` are the chip's open ones.
    """

    def __init__(self, broker: Broker, clock: SimulatedClock):
        self.broker = broker
        self.clock = clock
        self.mode = "pass"
        self.sockets: list[SimulatedSocket | SimulatedVisit] = []
        self.listening: dict[int, SimulatedSocket] = {}  # by port
        self.most_sockets = 0  # open at the same time
        self.random = random.Random(1)

    def set(self, mode: str) -> None:
        """Change the mode. Raises ValueError for one that is not in MODES."""
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode} without a process; there are {', '.join(MODES)}")
        self.mode = mode
        for one in [one for one in self.sockets if isinstance(one, SimulatedSocket)]:
            one.is_silent = one.is_silent or mode in SILENT
            if mode in RESETTING:
                one.reset()

    def cut_power(self) -> None:
        """The chip has lost its power: its connections are gone, which the broker notices only by the keep-alive."""
        self.sockets.clear()
        self.listening.clear()

    def visit(self, port: int, reads: bool = True) -> Visitor | None:
        """Somebody connects to this port of the chip; None: he is refused. Unless he `reads` he takes nothing by himself."""
        listener = self.listening.get(port)
        if listener is None or not trouble.is_networked() or len(listener.waiting) >= listener.backlog:
            return None
        listener.waiting.append(Visitor(reads))
        return listener.waiting[-1]

    def keep(self, one: SimulatedSocket | SimulatedVisit) -> None:
        """One more socket of the chip. Raises OSError when it has no more."""
        if len(self.sockets) >= SOCKETS:
            raise OSError(errno.ENFILE, "the chip has no socket left")
        self.sockets.append(one)
        self.most_sockets = max(self.most_sockets, len(self.sockets))

    def socket(self, family: int, kind: int, protocol: int) -> SimulatedSocket:
        one = SimulatedSocket(self)
        self.keep(one)
        return one

    def getaddrinfo(self, host, port, family=0, kind=0, protocol=0, flags=0) -> list:
        return [(family, kind, protocol, "", (host, port))]

    def wait(self, inner: SimulatedSocket, seconds: float | None) -> bool:
        """Let at most 10 ms pass; whether anything arrived shows at the next read."""
        self.clock.sleep(0.01 if seconds is None else min(seconds, 0.01))
        return True

    def is_readable(self, inner: SimulatedSocket | SimulatedVisit) -> bool:
        """Whether reading or accepting would not wait."""
        return inner.is_readable()

    def is_writable(self, inner: SimulatedSocket | SimulatedVisit) -> bool:
        """Whether sending would not wait."""
        return inner.is_writable()

    def own_address(self) -> str:
        return "192.168.1.77"


class SimulatedSocket:
    """A connection to the broker in this process, or what listens at a port: `waiting` have not been accepted yet."""

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
        self._port: int | None = None  # where it is bound
        self.waiting: deque[Visitor] = deque()
        self.backlog = 0

    def setblocking(self, flag: bool) -> None:
        self._timeout = None if flag else 0

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds

    def setsockopt(self, *arguments) -> None:
        """No option changes anything here."""

    def bind(self, address: tuple) -> None:
        if address[1] in self._network.listening:
            raise OSError(errno.EADDRINUSE, "the port is taken")
        self._port = address[1]

    def listen(self, backlog: int) -> None:
        assert self._port is not None
        self.backlog = backlog
        self._network.listening[self._port] = self

    def accept(self) -> tuple[SimulatedVisit, tuple[str, int]]:
        if not self.waiting:
            raise BlockingIOError
        visitor = self.waiting.popleft()
        visit = SimulatedVisit(self._network, visitor)
        try:
            self._network.keep(visit)
        except OSError:
            visitor.end(is_reset=True)
            raise
        return visit, ("192.168.1.20", 50000)

    def is_readable(self) -> bool:
        if self._port is not None:
            return bool(self.waiting)
        if self._connection is None:
            return True
        return not self.is_silent and (bool(self._outgoing()) or self._is_reset or not self._connection.is_open)

    def is_writable(self) -> bool:
        return not self.is_silent or self._unacknowledged < SEND_BUFFER

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
        if self._port is not None and self._network.listening.get(self._port) is self:
            del self._network.listening[self._port]
            for visitor in self.waiting:
                visitor.end(is_reset=True)
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


class Visitor:
    """Somebody who has connected to the chip: `received` is what he has taken, `is_closed` that the chip has closed."""

    def __init__(self, reads: bool):
        self.received = bytearray()
        self.is_closed = False
        self.was_reset = False
        self.sent = bytearray()  # that the chip has not read
        self.has_left = False
        self.has_reset = False
        self.unread = bytearray()  # that he has not taken
        self._reads = reads

    def send(self, data: bytes) -> None:
        """Send it to the chip; there is room for everything."""
        self.sent += data

    def take(self, most: int) -> None:
        """Read so many bytes."""
        self.received += self.unread[:most]
        del self.unread[:most]

    def leave(self, resets: bool = False) -> None:
        """Close the connection, or break it off."""
        self.has_left, self.has_reset = True, resets

    # what the chip's end does

    def arrive(self, data: bytes) -> None:
        """This comes from the chip."""
        self.unread += data
        if self._reads:
            self.take(len(self.unread))

    def end(self, is_reset: bool) -> None:
        """The chip has closed."""
        self.is_closed, self.was_reset = True, is_reset


class SimulatedVisit:
    """The chip's end of a Visitor's connection. A reset shows at the next read as nothing, at the next send as an error."""

    family = pc_socket.AF_INET
    type = pc_socket.SOCK_STREAM

    def __init__(self, network: SimulatedNetwork, visitor: Visitor):
        self._network = network
        self._visitor = visitor

    def setblocking(self, flag: bool) -> None:
        """It never waits."""

    def setsockopt(self, *arguments) -> None:
        """No option changes anything here."""

    def is_readable(self) -> bool:
        return bool(self._visitor.sent) or self._visitor.has_left

    def is_writable(self) -> bool:
        return self._visitor.has_left or len(self._visitor.unread) < SEND_BUFFER

    def recv_into(self, buffer: Any, size: int = 0) -> int:
        visitor = self._visitor
        if visitor.has_reset:
            raise ConnectionResetError
        if not visitor.sent:
            if visitor.has_left:
                return 0
            raise BlockingIOError
        part = bytes(visitor.sent[: size or len(buffer)])
        del visitor.sent[: len(part)]
        buffer[: len(part)] = part
        return len(part)

    def send(self, data: Any) -> int:
        visitor = self._visitor
        if visitor.has_left:
            raise ConnectionResetError
        room = SEND_BUFFER - len(visitor.unread)
        if room <= 0:
            raise BlockingIOError
        visitor.arrive(bytes(data[:room]))
        return min(room, len(data))

    def close(self) -> None:
        if self in self._network.sockets:
            self._network.sockets.remove(self)
        self._visitor.end(is_reset=bool(self._visitor.sent))  # lwIP resets what was not read
