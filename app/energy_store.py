"""Keeps the energy counters across restarts: in the chip's memory, and out of the broker's retained state.

The chip's memory is written seldom (see memory.py); the retained state is seconds old but may be gone or tampered with. The
larger of the two counts, and what was counted since the start comes on top. Until the broker was asked, the counters are not
published: a number that is corrected a moment later would be a dip or a jump in somebody's energy dashboard.
"""

import binascii

from battery.controls import NOT_UNDERSTOOD
from battery.energy import COUNTERS
from battery.readings import READING

# Wh, Wh, mAh, mAh. Nobody's battery has counted more: 1 GWh is a hundred kilowatt-hours each day for 27 years
LARGEST = (10**9, 10**9, 10**10, 10**10)
# What may have been counted since our own record, which is half an hour old, or an hour: two hours at 300 V and 1500 A
STEP = (900000, 900000, 3000000, 3000000)


class Keeper:
    """Loads the energy counters of `pack`, and writes them to `memory` as often as its wear budget allows.

    `topics`: where the broker may have them retained, <base>/bms1/energy and <base>/bms1/state. `identity` is the
    bridge's: a board that takes the place of a dead one continues the dead one's counters, not those of its own earlier life.
    The pack's polarity is kept, too. `report(text)`: publishes what is refused.
    """

    def __init__(self, memory, pack, base, identity="", report=None):
        self._memory = memory
        self._pack = pack
        self._energy = pack.energy
        self._owner = binascii.crc32(identity.encode()) | 1  # never 0
        self._kept = None
        self._before = [0, 0, 0, 0]  # the totals at the start
        self._retained = [0, 0, 0, 0]
        self._refused = ""
        self._missing = [base + "/bms1/energy", base + "/bms1/state"]
        self.topics = tuple(self._missing)
        self.loaded = False  # the broker has been asked
        self._is_settled = False  # the counters continue from what is known
        self._wants_to_save = False
        self._report = report
        self._load()

    def _load(self):
        """Continue from the chip's memory, as soon as it has been read."""
        memory = self._memory
        if self._kept is None and memory.is_settled:
            self._kept = memory.totals or (0, 0, 0, 0)
            if memory.owner in (0, self._owner):
                self._before = list(self._kept)
                self._continue(self._before)

    def _continue(self, before):
        """`before` is what was counted before the start; what was counted since comes on top."""
        self._energy.load((0, 0, 0, 0))
        self._energy.load([b + c for b, c in zip(before, self._totals())])

    @property
    def heard_all(self):
        """Whether every topic has been heard."""
        return not self._missing

    def hear(self, topic, state):
        """`state` is what we said last on one of `topics`, as bytes: JSON or its beginning. Anybody may have put it there."""
        if topic in self._missing:
            self._missing.remove(topic)
        for index, counter in enumerate(COUNTERS):
            said = find_decimal(state, counter)
            if said is not None and said <= self._limit(index):
                self._retained[index] = max(self._retained[index], said)
            elif said is not None:
                self._refused = f"the broker has {counter} {_thousandths(said)}, this board {_thousandths(self._before[index])}"

    def _limit(self, index):
        """The most that can be believed: what our own record leaves room for; without one, what a battery can have counted."""
        memory = self._memory
        if memory.totals is not None and memory.owner == self._owner:
            return memory.totals[index] + STEP[index]
        return LARGEST[index]

    def finish(self):
        """Connected, and all that is known has been heard: the counters go on from there.

        A broker that was restarted may have lost what was retained, so the memory is brought up to date if its budget allows.
        """
        self.loaded = True
        self._settle()
        self._wants_to_save = True

    def _settle(self):
        self._load()
        if self._is_settled or not self.loaded or self._kept is None:
            return
        self._is_settled = True
        memory = self._memory
        if memory.owner not in (0, self._owner) and not any(self._retained):
            self._before = list(self._kept)  # nobody else knows better: it is the same battery under another name
            self._continue(self._before)
        elif self._totals() is None:
            self._continue(self._retained)
        else:
            counted = [total - before for total, before in zip(self._totals(), self._before)]
            self._energy.load([max(r, b) + c for r, b, c in zip(self._retained, self._before, counted)])
        if memory.owner != self._owner:
            memory.set(owner=self._owner)
        self._correct()
        if self._refused:
            words = f"Energy counters: not believed, {self._refused}; see energy in ALLOW_CONTROL"
            print(words)
            if self._report is not None:
                self._report(words)

    def tick(self, now):
        """Write the counters when a write is due, and once after every connect if that is in the budget."""
        memory = self._memory
        if not self._is_settled:
            self._settle()
        if memory.is_settled:
            self._keep_sign()
        if memory.is_due(now) or (self._wants_to_save and memory.has_spare):
            self._wants_to_save = False
            self.save()
        elif memory.is_pending and memory.is_read and memory.has_spare:
            memory.save()

    def _keep_sign(self):
        """Keep which way this board counts; or continue with it, where the memory could not be read at the start.

        It is settled once in a board's life and within seconds of the first start, when no regular write has been earned: it
        does not wait half an hour for one, in which a restart would forget it.
        """
        polarity = self._pack.polarity.kept
        if polarity and polarity != self._memory.polarity:
            self._memory.set(polarity=polarity)
            self._memory.save()
        elif not polarity and self._memory.polarity:
            self._pack.restore_polarity(self._memory.polarity)

    def save(self):
        """Write the counters now if they have moved: before a restart that we do ourselves."""
        totals = self._totals()
        if totals is not None and totals != self._kept:
            self._kept = totals
            self._memory.set(totals)
            self._memory.save()

    def change(self, word):
        """Set the counters as somebody asked, in the words of its control. Returns None, or the code of the refusal."""
        old = self._totals()
        if not self._is_settled or old is None:
            return "counters_unknown"
        totals = _changed(old, word)
        if totals is None:
            return NOT_UNDERSTOOD
        self._energy.set(totals)
        self._memory.set(totals)
        if not self._memory.save():  # after the next start the old ones would come back
            self._energy.set(old)
            self._memory.set(old)
            return "not_stored"
        self._kept = totals
        self._correct()
        return None

    def _correct(self):
        """What is about to be published must not be what was known before the broker was heard."""
        for counter in COUNTERS:
            if self._pack.raw(counter) is not None:
                self._pack.put(READING[counter], 0, self._energy.total(counter), self._pack.read_at(counter))

    def _totals(self):
        totals = tuple([self._energy.total(counter) for counter in COUNTERS])
        return None if None in totals else totals


def _changed(totals, word):
    """The totals after "reset" or "energy_charged=1234.567"; None: not understood."""
    if word == "reset":
        return (0, 0, 0, 0)
    counter, _, text = word.partition("=")
    whole, point, decimals = text.partition(".")
    if counter not in COUNTERS or not _is_digits(whole) or len(whole) > 9 or (point and not _is_digits(decimals)):
        return None
    index = COUNTERS.index(counter)
    number = 1000 * int(whole) + int((decimals + "000")[:3])
    if len(decimals) > 3 or number > LARGEST[index]:
        return None
    return totals[:index] + (number,) + totals[index + 1 :]


def _is_digits(text):
    for character in text:
        if not "0" <= character <= "9":
            return False
    return len(text) > 0


def _thousandths(number):
    return f"{number // 1000}.{number % 1000:03d}"


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
