"""The simulated BMS on a pseudo-terminal: `python -m simulator.line --bms cells=8,soc=40` prints the path of a serial port.

Every byte becomes readable when its last bit would be out at 9600 baud, not earlier. The program ends when its standard
input does; until then a line there such as `current=-30` changes options.
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

from simulator.bms import Bms, options_help, parse


class Line:
    """A pseudo-terminal with a BMS at its far end; `path` is what a serial program opens."""

    def __init__(self, bms: Bms):
        self._bms = bms
        # The slave stays open here: its raw mode then outlives any program that opens and closes it, and no EIO comes.
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._typed = b""

    def serve(self, control: int):
        """Serve until the file descriptor `control` reaches its end."""
        while True:
            self._send()
            readable, _, _ = select.select([self._master, control], [], [], self._wait_s())
            if self._master in readable:
                self._bms.receive(os.read(self._master, 4096), now_us())
            if control in readable and not self._obey(os.read(control, 4096)):
                return

    def _send(self):
        data = self._bms.transmit(now_us())
        if data:
            with contextlib.suppress(BlockingIOError):  # nobody reads: lost, as on a wire
                os.write(self._master, data)

    def _wait_s(self) -> float | None:
        due = self._bms.next_us()
        return None if due is None else max(0.0, due - now_us()) / 1e6

    def _obey(self, data: bytes) -> bool:
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self._change(line.decode())
        return bool(data)

    def _change(self, line: str):
        try:
            parse(line)
            for item in filter(None, line.split(",")):
                name, _, value = item.partition("=")
                self._bms.set(name.strip(), value.strip(), now_us())
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)


def say_ready(text: str):
    """The one line that whoever has started us waits for, unless he was ended meanwhile."""
    try:
        os.write(1, text.encode() + b"\n")
    except BrokenPipeError:
        os._exit(0)


def now_us() -> float:
    return time.monotonic() * 1e6


def wake_in_time():
    """Ask Linux for timers without its usual 50 us of slack (PR_SET_TIMERSLACK): it halves the bytes' mean lateness."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)


def main():
    description = f"{__doc__}\noptions of the BMS, joined by commas:\n{options_help()}"
    parser = argparse.ArgumentParser("simulator.line", None, description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bms", default="", metavar="OPTIONS", help="see above")
    parser.add_argument("--log", metavar="FILE", help="JSON lines of what was asked and said; t is time.monotonic()")
    arguments = parser.parse_args()
    try:
        log = open(arguments.log, "w", buffering=1) if arguments.log else None  # noqa: SIM115 (open until the end)
    except OSError as error:
        parser.error(f"--log {arguments.log} cannot be written ({error.strerror}); give it a file in a folder of yours")
    note = (lambda event: print(json.dumps(event), file=log)) if log else None
    try:
        line = Line(Bms(arguments.bms, now_us(), note))
    except ValueError as error:
        parser.error(str(error))
    say_ready(line.path)
    wake_in_time()
    with contextlib.suppress(KeyboardInterrupt):
        line.serve(sys.stdin.fileno())


if __name__ == "__main__":
    main()
