# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The simulated BMS on a pseudo-terminal: `python -m simulator.line --bms cells=8,soc=40` prints the path of a serial port.

Every byte becomes readable when its last bit would arrive at 9600 baud, not earlier. The program ends when its standard
input ends; until then a line on it such as `current=-30` changes options.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import pty
import select
import sys
import time
import tty
from typing import Any

from simulator.bms import options_help, parse
from simulator.bus import connect


class Line:
    """A pseudo-terminal with a BMS at its far end; `path` is its serial device. A Player of simulator/replay.py is one, too."""

    def __init__(self, bms: Any):
        self._bms = bms
        # The slave stays open here: it keeps its raw mode when a program opens and closes it, and reading raises no EIO.
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._typed = b""

    def serve(self, control: int):
        """Serve until the file descriptor `control` is at its end; lines from it change options."""
        while True:
            self._send()
            readable, _, _ = select.select([self._master, control], [], [], self._wait_s())
            if self._master in readable:
                self._bms.receive(os.read(self._master, 4096), now_us())
            if control in readable and not self._read_control(os.read(control, 4096)):
                return

    def _send(self):
        data = self._bms.transmit(now_us())
        if data:
            with contextlib.suppress(BlockingIOError):  # nothing reads it: lost, as on a wire
                os.write(self._master, data)

    def _wait_s(self) -> float | None:
        due = self._bms.next_us()
        return None if due is None else max(0.0, due - now_us()) / 1e6

    def _read_control(self, data: bytes) -> bool:
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self._set_options(line.decode())
        return bool(data)

    def _set_options(self, line: str):
        try:
            parse(line)
            for item in filter(None, line.split(",")):
                name, _, value = item.partition("=")
                self._bms.set(name.strip(), value.strip(), now_us())
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)


def report_ready(text: str):
    """Print the one line that the starting program waits for; exits if that program has ended."""
    try:
        os.write(1, text.encode() + b"\n")
    except BrokenPipeError:
        os._exit(0)


def now_us() -> float:
    """time.monotonic() in microseconds."""
    return time.monotonic() * 1e6


def reduce_timer_slack():
    """Have Linux set timers without its usual 50 us of slack (PR_SET_TIMERSLACK), which halves the mean delay of the bytes."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)


def run(line: Line):
    """Print the serial port of the line and serve it until standard input closes or Ctrl-C."""
    report_ready(line.path)
    reduce_timer_slack()
    with contextlib.suppress(KeyboardInterrupt):
        line.serve(sys.stdin.fileno())


def main():
    description = f"{__doc__}\noptions of the BMS, joined by commas:\n{options_help()}"
    parser = argparse.ArgumentParser("simulator.line", None, description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bms", action="append", metavar="OPTIONS", help="see above; several times: several boards")
    parser.add_argument("--log", metavar="FILE", help="JSON lines of requests and responses; t is time.monotonic()")
    arguments = parser.parse_args()
    try:
        log = open(arguments.log, "w", buffering=1) if arguments.log else None  # noqa: SIM115 (open until the end)
    except OSError as error:
        parser.error(f"--log {arguments.log} cannot be written ({error.strerror}); give it a file in a folder of yours")
    note = (lambda event: print(json.dumps(event), file=log)) if log else None
    try:
        line = Line(connect(arguments.bms or "", now_us(), note))
    except ValueError as error:
        parser.exit(2, f"--bms: {error}\n")  # who reads it has called something else, `python -m host` for example
    run(line)


if __name__ == "__main__":
    main()
