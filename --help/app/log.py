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
    from usb_cdc import console as e  # None when a boot.py has turned it off
except ImportError:
    e = None

  # characters: what an empty buffer accepts at once, with a CR before the LF; the smallest one, a USB packet, has 64
  # of a text with many LF
  # of characters that are up to four bytes
  # for one piece: a PC that reads needs 1 ms
  # for one print(): the diagnostics have 8 KB


class b:
    """`show(text)` sends text to the console; `port`: usb_cdc.console, None where it is not known how much waits there."""

    def __init__(a, b, port, c=time.sleep):
        a.t = b
        a._port = port
        a.k = c
        a.d = False  # the last piece was not accepted
        a.e = 0  # lines dropped since the last one that was sent

    def print(a, *b, sep=" ", end="\n"):
        """Like print(), to the console only."""
        c = sep.join([str(d) for d in b]) + end
        if a.d and a.c(0) is None:
            a.e += 1
            return
        a.d = False
        if a.e:
            c = f"\n({a.e} lines were dropped here: no terminal read them)\n{c}"
            a.e = 0
        if not a.h(c):
            a.d = True
            a.e += 1

    def h(a, b):
        """Send text in pieces; False when there was no room for one."""
        if a._port is None or not a._port.connected:
            a.t(b)  # without a terminal the chip drops what does not fit
            return True
        c = 60 if b.find("\n") >= len(b) - 1 else 32
        if len(bytes(b, "utf-8")) != len(b):
            c = 15
        d = 500
        e = 0
        while e < len(b):
            f = a.c(min(d, 30))
            if f is None:
                return False
            d -= f
            a.t(b[e : e + c])
            e += c
        return True

    def c(a, b):
        """Wait until the buffer is empty. Returns the milliseconds that took; None: more than `limit_ms`."""
        for c in range(b + 1):
            if not a._port.connected or not a._port.out_waiting:
                return c
            if c < b:
                a.k(0.001)
        return None


c = None  # the print() that install() has installed


def d():
    """Make every print() of the program one that never blocks."""
    global c
    if builtins.print is c:
        return
    v = builtins.print
    w = b(lambda t: v(t, end=""), e)

    def z(*u, **options):
        if "file" in options:
            v(*u, **options)
        else:
            w.print(*u, sep=options.get("sep", " "), end=options.get("end", "\n"))

    c = builtins.print = z


def a(a):
    """Print an exception with its traceback; only its name when there is no memory left."""
    try:
        b = "".join(traceback.format_exception(a))
    except MemoryError:
        b = type(a).__name__ + "\n"
    print(b, end="")
