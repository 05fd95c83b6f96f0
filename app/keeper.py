"""Keeps the energy counters across restarts: in the chip's memory, and out of the broker's retained state.

The chip's memory is written seldom (see memory.py); the retained state is seconds old but may be gone or tampered with. The
larger of the two counts, and what was counted since the start comes on top. Until the broker was asked, the counters are not
published: a number that is corrected a moment later would be a dip or a jump in somebody's energy dashboard.
"""

from daly.energy import COUNTERS
from daly.registers import READING

LARGEST = 10**10  # Wh or mAh: nobody's battery; beyond, it is not our own state


class Keeper:
    """Loads the energy counters of `pack`, and writes them to `memory` as often as its wear budget allows.

    `topics`: where the broker may have them retained, <base>/bms1/energy and <base>/bms1/state.
    """

    def __init__(self, memory, pack, base):
        self._memory = memory
        self._pack = pack
        self._energy = pack.energy
        self._kept = memory.totals
        self._before = list(memory.totals or (0, 0, 0, 0))  # the totals at the start
        self._retained = [0, 0, 0, 0]
        self._missing = [base + "/bms1/energy", base + "/bms1/state"]
        self.topics = tuple(self._missing)
        self.loaded = False  # the broker has been asked
        self._wants_to_save = False
        self._energy.load(self._before)

    @property
    def heard_all(self):
        """Whether every topic has been heard."""
        return not self._missing

    def hear(self, topic, state):
        """`state` is retained on one of `topics`: JSON, or the beginning of it, as bytes."""
        if topic in self._missing:
            self._missing.remove(topic)
        for index, counter in enumerate(COUNTERS):
            said = find_decimal(state, counter)
            if said is not None and said <= LARGEST:
                self._retained[index] = max(self._retained[index], said)

    def finish(self):
        """Connected, and all that is known has been heard: the counters go on from there.

        A broker that was restarted may have lost what was retained, so the memory is brought up to date if its budget allows.
        """
        if not self.loaded:
            self.loaded = True
            totals = [total - before for total, before in zip(self._totals(), self._before)]
            for index in range(len(totals)):
                totals[index] += max(self._retained[index], self._before[index])
            self._energy.load(totals)
            self._correct()
        self._wants_to_save = True

    def tick(self, now):
        """Write the counters when a write is due, and once after every connect if that is in the budget."""
        if self._memory.is_due(now) or (self._wants_to_save and self._memory.has_spare):
            self._wants_to_save = False
            self.save()

    def save(self):
        """Write the counters now if they have moved: before a restart that we do ourselves."""
        totals = self._totals()
        if totals != self._kept:
            self._kept = self._memory.totals = totals
            self._memory.save()

    def _correct(self):
        """What is about to be published must not be what was known before the broker was heard."""
        for counter in COUNTERS:
            if self._pack.raw(counter) is not None:
                self._pack.put(READING[counter], 0, self._energy.total(counter), self._pack.said_at(counter))

    def _totals(self):
        return tuple([self._energy.total(counter) for counter in COUNTERS])


def find_decimal(state, key):
    """The number with three decimals behind `"key":` in JSON text as bytes, as an integer of thousandths; None: not there."""
    mark = b'"' + key.encode() + b'":'
    at = state.find(mark)
    if at < 0:
        return None
    number = 0
    decimals = None
    for byte in state[at + len(mark) :]:
        if 48 <= byte <= 57 and decimals != 3:
            number = 10 * number + byte - 48
            decimals = None if decimals is None else decimals + 1
        elif byte == 46 and decimals is None:  # "."
            decimals = 0
        else:
            break
    return number if decimals == 3 else None
