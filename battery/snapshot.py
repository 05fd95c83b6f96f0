# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A copy of one battery's readings at one moment, which is written while the battery goes on. Loaded only with the page."""

from .pack import CELLS, CURRENT, MODE, Values
from .plausibility import against_mode, fits_mode
from .readings import READING, SLOTS
from .spreads import SPREADS, extremes

_TEMPERATURES = READING["temperature_{}"]


class Snapshot(Values):
    """The readings of a `Battery` when they were taken; none of them is known while it is offline.

    `is_online`: the BMS responded, and everything had been requested; `connection`: why there is data or not, of that moment.
    What is published together on MQTT (mqtt/deadband.py) is together here, too, but nothing is held back by a deadband.
    """

    def __init__(self, battery):
        super().__init__(dict(battery.pack.topology), self)
        self._read_at = []  # nothing is put here
        self.mean_current = 0  # mA, see Values
        self.is_online = False
        self.connection = ""
        self._battery = battery
        self._is_of_one_moment = True  # the cells
        self._always_differs = False  # current and mode did not fit when they were taken last

    def is_due(self):
        """Whether all that is said together can be taken now: else it is worth while to wait for a response or two.

        As on MQTT current and mode are waited for, once, where they never fit: some boards are idle with a small current.
        """
        battery = self._battery
        if not (battery.poller.online and battery.poller.complete):
            return True
        pack = battery.pack
        self._is_of_one_moment = pack.is_of_one_moment(CELLS)
        current = pack.at(CURRENT)
        mode = pack.at(MODE)
        is_known = current is not None and mode is not None
        if is_known and not fits_mode(current, mode) and (not self._always_differs or against_mode(current, mode)):
            return False
        return self._is_of_one_moment and pack.is_of_one_moment(_TEMPERATURES)

    def take(self):
        """Take what is said together, directly after `is_due`; nothing is known while it is offline. `settle` completes it."""
        poller = self._battery.poller
        raw = self._raw
        self.copy()
        self.is_online = poller.online and poller.complete
        self.connection = poller.diagnosis.text
        if not self.is_online:
            if poller.online:
                self.connection = "The BMS has been found and is being read: the numbers come in a few seconds."
            for slot in range(SLOTS):
                raw[slot] = None
            return
        current = raw[CURRENT.slot]
        mode = raw[MODE.slot]
        self._always_differs = current is not None and mode is not None and not fits_mode(current, mode)
        if current is not None and against_mode(current, mode):
            raw[CURRENT.slot] = raw[MODE.slot] = None  # one of the two is of before

    def copy(self):
        """Take all readings that there are, whatever they are worth."""
        pack = self._battery.pack
        raw = self._raw
        self.topology.update(pack.topology)
        self.absent = self._unsaid = pack.absent
        raw[:] = pack._raw  # both are Values: one copy in C, where a method for each reading would take 5,000 bytecodes
        raw[CURRENT.slot] = pack.at(CURRENT)  # not what is hidden while its sign is not certain
        raw[MODE.slot] = pack.at(MODE)
        self.mean_current = pack.energy.mean_current
        self.note_moment(pack.is_delta_known)

    def settle(self):
        """Put the extremes of the cells and temperatures in place of those that the BMS reports: a generator of short steps."""
        for spread in SPREADS:
            yield False
            many, highest, highest_at, lowest, lowest_at, _ = spread
            high, high_at, low, low_at, unknown = extremes(self, spread)
            if many is CELLS:
                is_reported = high == self.at(highest) and low == self.at(lowest)  # both are of one response
                self.note_moment(is_reported or (not unknown and self._is_of_one_moment))
            for row, raw in ((highest, high), (highest_at, high_at), (lowest, low), (lowest_at, low_at)):
                self._raw[row.slot] = raw
