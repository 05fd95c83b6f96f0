# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads a Daly Smart BMS on a UART or RS485, with the protocols A5, P81 and D2: `DalyBms`. It only reads.

A value is what the BMS sent moments ago, or None; `DalyBms.diagnosis` says why in words.
"""

from .alarms import LEVEL_NAMES, active
from .bus import Bus
from .pack import Pack
from .polarity import Polarity
from .poller import Poller
from .readings import BINARY, BITFIELD, NUMBER, READING
from .ticks import ticks_diff, ticks_ms

__version__ = "0.0.0+source"  # replaced by tools/library.py
PAUSE_MS = 3000  # the longest time between two calls of update() after which its values are still of now


class DalyBms:
    """One board. `uart`: a busio.UART with `timeout=0` and `receiver_buffer_size=512`, or a serial.Serial with `timeout=0`.

    `protocol`: "auto" finds out what the board speaks; "a5", "p81" or "d2" tries only that one. `board_number`: 1 to 16, on
    RS485 with A5 or P81. `host_address`: of A5, 0 finds it. `cell_count`, `temperature_count`: for a board that does not say
    how many it has. `current_sign`: "auto", "normal" or "inverted"; positive current charges.
    """

    def __init__(self, uart, protocol="auto", board_number=1, host_address=0, cell_count=0, temperature_count=0,
                 current_sign="auto"):  # fmt: skip
        self._uart = uart
        self._protocol = protocol
        self._board_number = board_number
        self._host_address = host_address
        self._counts = (cell_count, temperature_count)
        self._polarity = Polarity(current_sign)
        self._updated = None  # tick of the last update(); None: there was none
        self._found = 0
        self._start()

    def _start(self):
        self._pack = Pack(self._counts[0], self._counts[1], self._polarity)
        self._poller = Poller(
            self._pack, self._host_address, self._board_number, protocol=self._protocol, remembered=self._found
        )
        self._bus = Bus(self._uart, [self._poller])

    def update(self):
        """Receive what has arrived and send the next request. Returns within some ms; call it every 5 to 20 ms.

        What `uart` raises is raised, as when a serial adapter is removed. After a pause of more than PAUSE_MS everything is
        read anew.
        """
        now = ticks_ms()
        if self._updated is not None and not self._is_current(now):
            self._found = self._poller.found or self._found
            self._start()
        self._updated = now
        self._bus.tick(now)

    def _is_current(self, now):
        return self._updated is not None and 0 <= ticks_diff(now, self._updated) <= PAUSE_MS

    @property
    def online(self):
        """Whether the BMS responds."""
        return self._is_current(ticks_ms()) and self._poller.online

    @property
    def diagnosis(self):
        """Why there are values or not, as a sentence with the remedy; "OK, with protocol A5"."""
        if self._updated is None:
            return "update() has not been called yet"
        if not self._is_current(ticks_ms()):
            return "update() has not been called for more than 3 s, so nothing is known now"
        return self._poller.diagnosis.text

    @property
    def protocol(self):
        """What the BMS speaks: "A5", "P81" or "D2"; None: not known yet."""
        return self._poller.protocol

    def value(self, key):
        """Any reading by its key in docs/MQTT.md, such as "cycle_count" or "cell_3_voltage", in the unit given there.

        A float (int without decimals), a bool for ON and OFF, a str for words. None: not known now, or this board does not have
        it. Raises KeyError for a key that is none.
        """
        row, index = _row_of(key)
        raw = self._raw(row, index)
        if raw is None:
            return None
        if row.kind == NUMBER:
            return raw / 10**row.decimals if row.decimals else raw
        return bool(raw) if row.kind == BINARY else self._pack.text(row, index)

    def text(self, key):
        """The same as text with exactly the decimals of its step, "3.312": a board's floats are not exact."""
        row, index = _row_of(key)
        return None if self._raw(row, index) is None else self._pack.text(row, index)

    def _raw(self, row, index):
        return self._pack.at(row, index) if self._is_current(ticks_ms()) else None

    def _all(self, key):
        row = READING[key]
        count = self._pack.count(row) if row.counted_by is None or self._pack.topology[row.counted_by] else 0
        scale = 10**row.decimals
        values = [self._raw(row, index) for index in range(count)]
        return [value if value is None or scale == 1 else value / scale for value in values]

    @property
    def soc(self):
        """State of charge in percent, 57.3; None: not known now, like all that follows."""
        return self.value("soc")

    @property
    def voltage(self):
        """Pack voltage in V."""
        return self.value("pack_voltage")

    @property
    def current(self):
        """Current in A, positive while charging."""
        return self.value("current")

    @property
    def power(self):
        """Voltage times current in W, positive while charging."""
        return self.value("power")

    @property
    def remaining_capacity(self):
        """Remaining capacity in Ah, as the BMS calculates it."""
        return self.value("remaining_capacity")

    @property
    def mode(self):
        """ "idle", "charging" or "discharging", as the BMS says."""
        return self.value("mode")

    @property
    def charge_mosfet(self):
        """Whether the charge MOSFET conducts."""
        return self.value("charge_mosfet")

    @property
    def discharge_mosfet(self):
        """Whether the discharge MOSFET conducts."""
        return self.value("discharge_mosfet")

    @property
    def cell_voltages(self):
        """V of each cell, None for one that is not known now; [] while their number is not known."""
        return self._all("cell_{}_voltage")

    @property
    def temperatures(self):
        """°C of each sensor, None for one that is not known now or not there; [] while their number is not known."""
        return self._all("temperature_{}")

    @property
    def alarms(self):
        """The active alarms as (name, level), the gravest first: [("Cell overvoltage", "protection")]; None: not known."""
        found = active(self._pack) if self._is_current(ticks_ms()) else None
        return None if found is None else [(name, LEVEL_NAMES[level]) for name, level in found]


def _row_of(key):
    """(row, index) of the reading with this key; raises KeyError."""
    parts = key.split("_")
    for position in range(len(parts)):
        if parts[position].isdigit():
            number = int(parts[position])
            parts[position] = "{}"
            row = READING["_".join(parts)]
            if row.kind == BITFIELD or not 1 <= number <= row.slots:
                raise KeyError(key)
            return row, number - 1
    row = READING[key]
    if row.slots > 1:
        raise KeyError(key)
    return row, 0
