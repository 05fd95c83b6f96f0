# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Masters that ask a simulated BMS, and nothing of the firmware: in model time, or at the serial port of a program."""

import os
import select
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


class Master:
    """Asks `bms` in model time; `times`: ms after the request at which the bytes heard had arrived."""

    def __init__(self, bms):
        self.bms = bms
        self.now = 0.0
        self.times: list[float] = []

    def say(self, data: bytes, listen_ms: float = 1000) -> bytes:
        """Write now and listen; what is heard after that long is heard next time."""
        self.bms.receive(data, self.now * 1000)
        return self.listen(listen_ms)

    def listen(self, listen_ms: float) -> bytes:
        end, heard, self.times = self.now + listen_ms, bytearray(), []
        while (due := self.bms.next_us()) is not None and due <= end * 1000:
            new = self.bms.transmit(due)
            heard += new
            self.times += [due / 1000 - self.now] * len(new)
        self.now = end
        return bytes(heard)


def exchange(port: int, data: bytes, length: int, timeout: float = 2) -> tuple[bytes, list[float]]:
    """Write and read until so many bytes are there: the bytes and the time of each in ms."""
    began, heard, times = time.monotonic(), b"", []
    os.write(port, data)
    while len(heard) < length and select.select([port], [], [], timeout)[0]:
        heard += os.read(port, 4096)
        times += [1000 * (time.monotonic() - began)] * (len(heard) - len(times))
    return heard, times


def ask_program(command: list, request: bytes, length: int) -> bytes:
    """What a program that prints its serial port answers; it ends when its standard input does."""
    child = subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        port = os.open(child.stdout.readline().strip(), os.O_RDWR | os.O_NOCTTY)
        heard, _ = exchange(port, request, length, 3)
        os.close(port)
    finally:
        child.stdin.close()
        assert child.wait(60) == 0
    return heard
