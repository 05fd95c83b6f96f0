# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""One UART: moves bytes between it and the poller. The only place in this package that touches hardware."""

# The longest response, 16 frames of 13 bytes, must fit whole; the S2's driver wants more than its FIFO of 128 anyway.
RECEIVE_BUFFER_SIZE = 512


class Bus:
    """Joins the pollers of the boards on a line to `uart`: anything with `readinto(buffer)`, which returns None or a count at
    once, and `write(bytes)`. Several pollers are SharedPollers, which take turns: see shared.py.
    """

    def __init__(self, uart, pollers):
        self.pollers = tuple(pollers)
        self._uart = uart
        self._buffer = bytearray(64)
        if len(self.pollers) == 1:
            self._poller = self.pollers[0]
        else:
            from .shared import SharedLine  # only with several boards on a line

            self._poller = SharedLine(self.pollers)

    def tick(self, now):
        """Hand over what has arrived, then send the next request if it is time (13.5 ms at 9600 baud)."""
        count = self._uart.readinto(self._buffer)
        while count:
            self._poller.receive(self._buffer, count, now)
            count = self._uart.readinto(self._buffer) if count == len(self._buffer) else 0
        request = self._poller.poll(now)
        if request is not None:
            self._uart.write(request)
            self._poller.judge(now)

    def free_ms(self, now):
        """How long nothing is expected on the line, in ms: see Poller."""
        return self._poller.free_ms(now)
