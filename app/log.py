# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Printing that never blocks: print() itself does, for ever, once a terminal has been opened and no longer reads.

CircuitPython's print() loops until the USB console has accepted the last byte (supervisor/shared/serial.c), also when the
terminal is gone (circuitpython#10814). `install` replaces print() in all modules with one that first checks what is waiting;
a line without room is dropped and counted, and the count is printed when the terminal reads again.
"""

import builtins
import time
import traceback

try:
    from usb_cdc import console as usb  # None when a boot.py has turned it off
except ImportError:
    usb = None

PIECE = 60  # characters: what an empty buffer accepts at once, with a CR before the LF; the smallest one, a USB packet, has 64
LINES_PIECE = 32  # of a text with many LF
WIDE_PIECE = 15  # of characters that are up to four bytes
PIECE_MS = 30  # for one piece: a PC that reads needs 1 ms
LIMIT_MS = 500  # for one print(): the diagnostics have 8 KB


class Log:
    """`show(text)` sends text to the console; `port`: usb_cdc.console, None where it is not known how much waits there."""

    def __init__(self, show, port, sleep=time.sleep):
        self._show = show
        self._port = port
        self._sleep = sleep
        self._stuck = False  # the last piece was not accepted
        self.dropped = 0  # lines dropped since the last one that was sent

    def print(self, *values, sep=" ", end="\n"):
        """Like print(), to the console only."""
        text = sep.join([str(value) for value in values]) + end
        if self._stuck and self._room(0) is None:
            self.dropped += 1
            return
        self._stuck = False
        if self.dropped:
            text = f"\n({self.dropped} lines were dropped here: no terminal read them)\n{text}"
            self.dropped = 0
        if not self._send(text):
            self._stuck = True
            self.dropped += 1

    def _send(self, text):
        """Send text in pieces; False when there was no room for one."""
        if self._port is None or not self._port.connected:
            self._show(text)  # without a terminal the chip drops what does not fit
            return True
        size = PIECE if text.find("\n") >= len(text) - 1 else LINES_PIECE
        if len(bytes(text, "utf-8")) != len(text):
            size = WIDE_PIECE
        left = LIMIT_MS
        at = 0
        while at < len(text):
            waited = self._room(min(left, PIECE_MS))
            if waited is None:
                return False
            left -= waited
            self._show(text[at : at + size])
            at += size
        return True

    def _room(self, limit_ms):
        """Wait until the buffer is empty. Returns the milliseconds that took; None: more than `limit_ms`."""
        for waited in range(limit_ms + 1):
            if not self._port.connected or not self._port.out_waiting:
                return waited
            if waited < limit_ms:
                self._sleep(0.001)
        return None


_ours = None  # the print() that install() has installed


def install():
    """Make every print() of the program one that never blocks."""
    global _ours
    if builtins.print is _ours:
        return
    original = builtins.print
    log = Log(lambda text: original(text, end=""), usb)

    def never_waiting(*values, **options):
        if "file" in options:
            original(*values, **options)
        else:
            log.print(*values, sep=options.get("sep", " "), end=options.get("end", "\n"))

    _ours = builtins.print = never_waiting


def print_error(error):
    """Print an exception with its traceback; only its name when there is no memory left."""
    try:
        text = "".join(traceback.format_exception(error))
    except MemoryError:
        text = type(error).__name__ + "\n"
    print(text, end="")
