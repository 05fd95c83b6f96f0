# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The time of day, from an NTP server and only when it is needed."""

from adafruit_ticks import ticks_diff, ticks_ms

TIMEOUT_S = 0.5  # adafruit_ntp asks a server twice: a second without an answer, for which the loop stands still
VALID_MS = 86400000  # a chip's crystal drifts by some seconds a day, and its ticks wrap after six
# no network, no name, no socket, no memory, no library, an invalid answer: the command needs a result in any case
FAULTS = (OSError, ArithmeticError, ValueError, RuntimeError, MemoryError, LookupError, AttributeError, TypeError, ImportError)


class Clock:
    """The time of `server` (a name or address; "": none) through adafruit_ntp. `utc_offset_min`: of the BMS's local time."""

    def __init__(self, socket_pool, server, utc_offset_min):
        self._pool = socket_pool
        self._server = server
        self._offset_s = 60 * utc_offset_min
        self._answer = None  # (seconds since 1970, tick) of the last answer

    def now(self):
        """(year, month, day, hour, minute, second) in local time; None without an answer: it blocks for up to a second."""
        if not self._server:
            return None
        name, _, port = self._server.partition(":")
        try:
            import adafruit_ntp  # 3 KB that only boards with the control soc need

            ntp = adafruit_ntp.NTP(self._pool, server=name, port=int(port or 123), socket_timeout=TIMEOUT_S)
            seconds = ntp.utc_ns // 1000000000
            self._answer = (seconds, ticks_ms())
            return civil(seconds + self._offset_s)
        except FAULTS as error:
            print(f"NTP: no time from {self._server}: {_reason(error)}; see NTP_SERVER in settings.toml.")
            return None

    def utc(self, tick):
        """The UTC time of a tick of the last day, as "2026-11-27T05:44:15Z"; None: there was no answer in that time."""
        if self._answer is None:
            return None
        seconds, at = self._answer
        passed = ticks_diff(tick, at)
        if passed > VALID_MS:
            self._answer = None
            return None
        year, month, day, hour, minute, second = civil(seconds + passed // 1000)
        return f"{year}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}Z"


def _reason(error):
    if type(error).__name__ == "gaierror":
        return "name not found"
    if isinstance(error, (RuntimeError, MemoryError)):
        return "no socket or no memory is free"
    return "no answer" if isinstance(error, OSError) else "its answer makes no sense"


def civil(seconds):
    """Seconds since 1970 as (year, month, day, hour, minute, second); time.localtime would add a PC's own time zone.

    Days to a date as in Howard Hinnant's "chrono-compatible low-level date algorithms", for years from 1970 on.
    """
    days = seconds // 86400 + 719468
    era = days // 146097
    day_of_era = days % 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    year = year_of_era + 400 * era + (1 if month <= 2 else 0)
    return year, month, day, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60
