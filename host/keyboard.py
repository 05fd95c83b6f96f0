# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is typed where `python -m host` runs, as the chip's serial console: sys.stdin and supervisor.runtime read it here.

As on the board: a read waits for all its characters, however long that takes (stdin of shared/runtime has no end of file), a
carriage return is read as a newline, and few bytes are kept while nothing reads them.
"""

from __future__ import annotations

import io
import os
import select
import time

BUFFER_SIZE = 64  # bytes: the USB console's buffer


class Console(io.TextIOBase):
    """The characters from a file descriptor."""

    def __init__(self, descriptor: int = 0):
        self._descriptor = descriptor
        self._received = bytearray()
        self._ended = False

    def read_from(self, descriptor: int) -> None:
        """Read from this file descriptor from now on: the live view has the keyboard, and passes on what is for the console."""
        self._descriptor = descriptor

    def available(self) -> int:
        """How many bytes can be read without waiting."""
        self._collect(0)
        return len(self._received)

    def read(self, size: int = -1) -> str:
        """`size` characters, and no fewer; raises UnicodeError for what is not UTF-8."""
        if size is None or size < 0:
            raise NotImplementedError("on the board this never returns")
        return "".join(self._character() for _ in range(size))

    def _character(self) -> str:
        data = self._byte()
        for limit in (0xC0, 0xE0, 0xF0):  # the first byte tells how many follow
            if data[0] >= limit:
                data += self._byte()
        return data.decode().replace("\r", "\n")

    def _byte(self) -> bytes:
        while not self._received:
            self._collect(1)
        byte = bytes(self._received[:1])
        del self._received[:1]
        return byte

    def _collect(self, wait_s: float) -> None:
        """Read what has been typed, waiting at most `wait_s` for it."""
        if self._ended or not self._is_ours():
            if wait_s:  # not for 0 s: even that lets other programs run
                time.sleep(wait_s)
        elif len(self._received) < BUFFER_SIZE and select.select([self._descriptor], [], [], wait_s)[0]:
            try:
                data = os.read(self._descriptor, BUFFER_SIZE - len(self._received))
            except OSError:  # the terminal is gone
                data = b""
            self._ended = not data
            self._received += data

    def _is_ours(self) -> bool:
        """Whether reading is allowed: a program in the background of a terminal would be stopped for it."""
        try:
            os.fstat(self._descriptor)
            return not os.isatty(self._descriptor) or os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False


console = Console()
