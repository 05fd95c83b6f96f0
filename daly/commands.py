# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Carries out a command to the battery: written once, read back, and its result reported as a code. No I/O.

Nothing else in this firmware writes to the BMS. A command is never repeated: when it is not confirmed in time the result is
an error, and the state remains what the BMS reports. Data ids and payloads: as Daly's PC tool sends them, docs/PROTOCOL.md.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.controls import CONTROL

CONFIRM_MS = 6000  # from the write on: enough for the reading to come several times, on a noisy line too
REQUEST_MS = 500  # interval at which the confirming reading is requested
RESTART_MS = 800  # a BMS that restarts is silent for longer; one or two responses that are lost take less
PAUSE_MS = 2000  # between two commands: limits the switching frequency of the MOSFETs and their loads
TICK_MS = 20  # between two looks at a command


class BatteryCommands:
    """One command at a time. `report(subject, code)` receives the result of each, codes as in battery/controls.py.

    The methods that command return None when the command is accepted, else the code of the refusal.
    """

    def __init__(self, poller, report):
        self._poller = poller
        self._report = report
        self._key = None  # of the command that was accepted last
        self._subject = None  # of the command that waits for its confirmation, for people
        self._reading = None  # key of the reading that confirms it; None: an answer after a silence does
        self._wanted = None  # the raw value of that reading
        self._heard_at = 0  # tick of the last response since it was sent
        self._deadline = 0
        self._request_at = 0  # when the confirming reading is requested again, whatever its interval
        self._was_sent = False
        self._paused_until = None

    def switch(self, key, on, now):
        """Switch a MOSFET ("charge_mosfet" or "discharge_mosfet") on or off."""
        return self._start(key, " on" if on else " off", 1 if on else 0, now)

    @property
    def soc_needs_clock(self):
        """Whether setting the state of charge takes the time, too."""
        return self._poller.soc_needs_clock

    def set_soc(self, raw, clock, now):
        """Set the state of charge (0.1 %). `clock`: (year, month, day, hour, minute, second), if needed; None: not known."""
        if not 0 <= raw <= 1000:
            return "out_of_range"
        if clock is None and self.soc_needs_clock:
            return "no_time"
        return self._start("soc", f" {raw // 10}.{raw % 10} %", raw, now, clock)

    def restart(self, now):
        """Restart the BMS; both MOSFETs are on afterwards. Not with P81, of which no such write is known."""
        return self._start("restart_bms", "", None, now)

    def tick(self, now):
        """Check whether the command is confirmed, or its time is over. Returns the ms until it should be called again."""
        if self._paused_until is not None and ticks_diff(now, self._paused_until) >= 0:
            self._paused_until = None
        if self._subject is None:
            return TICK_MS
        if self._poller.written_at is not None and not self._was_sent:
            self._was_sent = True
            self._deadline = ticks_add(now, CONFIRM_MS)
            self._request_at = now
            self._heard_at = self._poller.written_at
        if self._is_confirmed():
            self._end("done")
        elif not self._was_sent and not self._poller.pack.can_write(self._key):
            self._end("not_in_protocol")  # another protocol has been preferred meanwhile
        elif ticks_diff(now, self._deadline) >= 0:
            self._end("not_confirmed" if self._was_sent else "not_sent")
        elif self._was_sent and self._reading and ticks_diff(now, self._request_at) >= 0:
            self._request_at = ticks_add(now, REQUEST_MS)
            self._poller.request_soon(self._reading)
        return TICK_MS

    def pending(self):
        """The code of the refusal while a command waits for its confirmation; None when none does."""
        return None if self._subject is None else "busy"

    def refusal(self):
        """The code of the refusal while no command is accepted at all; None when one is."""
        if self._subject is not None:
            return "busy"
        if self._paused_until is not None:
            return "too_soon"
        return None if self._poller.online else "offline"

    def _start(self, key, value, wanted, now, clock=None):
        refusal = self.refusal()
        if refusal:
            return refusal
        if not self._poller.pack.can_write(key):
            return "not_in_protocol"
        self._poller.write(key, wanted, clock)
        self._key = key
        self._subject = CONTROL[key].subject + value
        self._reading = CONTROL[key].reading
        self._wanted = wanted
        self._deadline = ticks_add(now, CONFIRM_MS)
        self._request_at = now
        self._was_sent = False
        self._paused_until = ticks_add(now, PAUSE_MS)
        return None

    def _is_confirmed(self):
        """Whether the BMS has reported the wanted value since the command was sent."""
        if self._poller.written_at is None:
            return False
        pack = self._poller.pack
        if self._reading is None:
            silent_ms = ticks_diff(self._poller.last_response, self._heard_at)
            if silent_ms > 0:
                self._heard_at = self._poller.last_response
            return silent_ms >= RESTART_MS
        is_newer = ticks_diff(pack.read_at(self._reading), self._poller.written_at) > 0
        raw = pack.raw(self._reading)
        tolerance = 1 if self._reading == "soc" else 0  # 0.1 %: the BMS may count on before it reports
        return is_newer and raw is not None and abs(raw - self._wanted) <= tolerance

    def _end(self, code):
        self._poller.cancel_write()
        self._report(self._subject, code)
        self._subject = None
