"""Carries out what a person asked of the battery: written once, read back, and what came of it said in words. No I/O.

Nothing else in this firmware writes to the BMS. An order is never repeated: when it is not confirmed in time the result is
an error, and the state stays what the BMS says. Commands and payloads: sniffed from the vendor's PC tool, docs/PROTOCOL.md.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.controls import CONTROL

# key of the control -> data id that writes it, with 8 bytes; the state of charge goes with the clock
WRITES = {"charge_mosfet": 0xDA, "discharge_mosfet": 0xD9, "soc": 0x21, "restart_bms": 0x00}

CONFIRM_MS = 6000  # from the write on: readings of the register, also on a noisy line
LOOK_MS = 500  # so often it is asked for until it confirms
PAUSE_MS = 2000  # between two orders: MOSFETs and their loads do not like to be played with


class Control:
    """One order at a time. `say(text)` publishes the result of each. Methods that order return None, or why not, in words."""

    def __init__(self, poller, say):
        self._poller = poller
        self._say = say
        self._payload = bytearray(8)
        self._name = None  # of the order that waits for its confirmation, for people
        self._key = None  # the reading that confirms it; None: an answer after a silence does
        self._wanted = None
        self._timeouts = 0  # when it was ordered
        self._deadline = 0
        self._look_at = 0  # when the reading that confirms it is asked for again, whatever its period
        self._was_sent = False
        self._paused_until = None

    def switch(self, key, on, now):
        """Order a MOSFET ("charge_mosfet" or "discharge_mosfet") on or off."""
        self._clear()
        self._payload[0] = 1 if on else 0
        return self._order(key, " on" if on else " off", 1 if on else 0, now)

    def set_soc(self, raw, clock, now):
        """Order a state of charge (0.1 %), with `clock` (year, month, day, hour, minute, second): they are written together."""
        if not 0 <= raw <= 1000:
            return "the state of charge must be 0 to 100 %"
        if clock is None:
            return "the time is not known (NTP), and the state of charge cannot be written without setting the BMS's clock"
        for i in range(6):
            self._payload[i] = clock[i] % 100
        self._payload[6] = raw >> 8
        self._payload[7] = raw & 0xFF
        return self._order("soc", f" {raw // 10}.{raw % 10} %", raw, now)

    def restart(self, now):
        """Order the BMS to restart; both MOSFETs come back on."""
        self._clear()
        return self._order("restart_bms", "", None, now)

    def tick(self, now):
        """Look whether the order is confirmed, or its time is over."""
        if self._paused_until is not None and ticks_diff(now, self._paused_until) >= 0:
            self._paused_until = None
        if self._name is None:
            return
        if self._poller.ordered_at is not None and not self._was_sent:
            self._was_sent = True
            self._deadline = ticks_add(now, CONFIRM_MS)
            self._look_at = now
        if self._is_confirmed():
            self._end("done")
        elif ticks_diff(now, self._deadline) >= 0:
            self._end(
                "not confirmed by the BMS; its state is what it says" if self._was_sent else "not sent, the BMS is silent"
            )
        elif self._was_sent and self._key and ticks_diff(now, self._look_at) >= 0:
            self._look_at = ticks_add(now, LOOK_MS)
            self._poller.ask_soon(self._key)

    def _clear(self):
        for i in range(8):
            self._payload[i] = 0

    def pending(self):
        """Why what would end the wait for a confirmation must wait itself; None when nothing waits for one."""
        return None if self._name is None else f'"{self._name}" is not confirmed yet'

    def refusal(self):
        """Why no order at all is taken now; None when one is."""
        if self._name is not None:
            return self.pending()
        if self._paused_until is not None:
            return f"wait {PAUSE_MS // 1000} seconds between two orders"
        if not self._poller.online:
            return "the BMS does not answer"
        return None

    def _order(self, key, value, wanted, now):
        refusal = self.refusal()
        if refusal:
            return refusal
        self._poller.order(WRITES[key], self._payload)
        self._timeouts = self._poller.timeouts
        self._name = CONTROL[key].subject + value
        self._key = CONTROL[key].reading
        self._wanted = wanted
        self._deadline = ticks_add(now, CONFIRM_MS)
        self._look_at = now
        self._was_sent = False
        self._paused_until = ticks_add(now, PAUSE_MS)
        return None

    def _is_confirmed(self):
        """Whether the BMS has said, after the order went out, what was ordered."""
        if self._poller.ordered_at is None:
            return False
        pack = self._poller.pack
        if self._key is None:
            was_silent = self._poller.timeouts != self._timeouts
            return was_silent and ticks_diff(self._poller.last_answer, self._poller.ordered_at) > 1000
        said_after = ticks_diff(pack.said_at(self._key), self._poller.ordered_at) > 0
        raw = pack.raw(self._key)
        return said_after and raw is not None and abs(raw - self._wanted) <= (1 if self._key == "soc" else 0)

    def _end(self, result):
        self._poller.cancel_order()
        self._say(f"{self._name}: {result}")
        self._name = None
