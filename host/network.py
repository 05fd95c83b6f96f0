# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The network of the stand-in chip's sockets: the PC's own. The simulated one is in host/simulated_network.py.

host/standins/socketpool.py makes either behave as on the chip; the sockets here behave as Python's own non-blocking ones.
"""

from __future__ import annotations

import select
import socket as pc_socket


class PcNetwork:
    """The PC's sockets and addresses."""

    def socket(self, family: int, kind: int, protocol: int) -> pc_socket.socket:
        return pc_socket.socket(family, kind, protocol)

    def getaddrinfo(self, *arguments) -> list:
        return pc_socket.getaddrinfo(*arguments)

    def wait(self, inner, seconds: float | None) -> bool:
        """Whether something arrives within so many seconds; None: wait forever."""
        return bool(select.select([inner], [], [], seconds)[0])

    def is_readable(self, inner) -> bool:
        """Whether reading or accepting would not wait; True too when it is broken."""
        pending = getattr(inner, "pending", None)  # of TLS
        return bool(pending and pending()) or bool(select.select([inner], [], [inner], 0)[0])

    def is_writable(self, inner) -> bool:
        """Whether sending would not wait; True too when it is broken."""
        return bool(select.select([], [inner], [inner], 0)[1])

    def own_address(self) -> str:
        """The address other machines reach this one by; connecting a datagram socket sends nothing."""
        with pc_socket.socket(pc_socket.AF_INET, pc_socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("10.255.255.255", 1))
            except OSError:
                return "127.0.0.1"
            return probe.getsockname()[0]
