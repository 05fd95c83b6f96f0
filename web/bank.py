# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The bank of several batteries, as the sum of what is said of them in the same answer. Loaded only with several."""

from battery.bank import ALONE, KEYS, Bank, bank_steps

_AT_ONCE = 3  # values calculated in one step


class BankOfSnapshots(Bank):
    """As it was when the snapshots were taken, one of each battery. `is_series`: see Bank."""

    def __init__(self, batteries, snapshots, is_series):
        super().__init__(batteries, is_series)
        self._snapshots = snapshots

    def values(self, index):
        """The readings of a battery; None: it is offline."""
        snapshot = self._snapshots[index]
        return snapshot if snapshot.is_online else None

    def steps(self, writer):
        """Calculate all values and write them as one JSON object: a generator of short steps."""
        raws: list = []
        for key in KEYS:
            if not len(raws) % _AT_ONCE or key in ALONE:
                yield False
            raws.append(self.raw(key))
        yield from bank_steps(writer, raws)
