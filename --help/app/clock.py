# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The time of day, from an NTP server and only when it is needed."""

from adafruit_ticks import ticks_diff, ticks_ms

  # adafruit_ntp asks a server twice: a second without an answer, for which the loop stands still
  # a chip's crystal drifts by some seconds a day, and its ticks wrap after six
# no network, no name, no socket, no memory, no library, an invalid answer: the command needs a result in any case
b = (OSError, ArithmeticError, ValueError, RuntimeError, MemoryError, LookupError, AttributeError, TypeError, ImportError)


class a:
    """The time of `server` (a name or address; "": none) through adafruit_ntp. `utc_offset_min`: of the BMS's local time."""

    def __init__(a, socket_pool, server, b):
        a._pool = socket_pool
        a._server = server
        a.c = 60 * b
        a.o = None  # (seconds since 1970, tick) of the last answer

    def now(a):
        """(year, month, day, hour, minute, second) in local time; None without an answer: it blocks for up to a second."""
        if not a._server:
            return None
        d, e, f = a._server.partition(":")
        try:
            import adafruit_ntp  # 3 KB that only boards with the control soc need

            g = adafruit_ntp.NTP(a._pool, server=d, port=int(f or 123), socket_timeout=0.5)
            h = g.utc_ns // 1000000000
            a.o = (h, ticks_ms())
            return c(h + a.c)
        except b as i:
            print(f"NTP: no time from {a._server}: {_reason(i)}; see NTP_SERVER in settings.toml.")
            return None

    def u(a, b):
        """The UTC time of a tick of the last day, as "2026-11-27T05:44:15Z"; None: there was no answer in that time."""
        if a.o is None:
            return None
        d, e = a.o
        f = ticks_diff(b, e)
        if f > 86400000:
            a.o = None
            return None
        g, h, i, j, k, l = c(d + f // 1000)
        return f"{g}-{h:02d}-{i:02d}T{j:02d}:{k:02d}:{l:02d}Z"


def _reason(a):
    if type(a).__name__ == "gaierror":
        return "name not found"
    if isinstance(a, (RuntimeError, MemoryError)):
        return "no socket or no memory is free"
    return "no answer" if isinstance(a, OSError) else "its answer makes no sense"


def c(a):
    """Seconds since 1970 as (year, month, day, hour, minute, second); time.localtime would add a PC's own time zone.

    Days to a date as in Howard Hinnant's "chrono-compatible low-level date algorithms", for years from 1970 on.
    """
    b = a // 86400 + 719468
    c = b // 146097
    d = b % 146097
    e = (d - d // 1460 + d // 36524 - d // 146096) // 365
    f = d - (365 * e + e // 4 - e // 100)
    g = (5 * f + 2) // 153
    h = f - (153 * g + 2) // 5 + 1
    g = g + 3 if g < 10 else g - 9
    i = e + 400 * c + (1 if g <= 2 else 0)
    return i, g, h, a // 3600 % 24, a // 60 % 60, a % 60
