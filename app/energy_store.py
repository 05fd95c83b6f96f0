# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Keeps the energy counters over restarts: in the chip's memory, and in the state that the broker retains.

The chip's memory is written rarely (see nvm_store.py); the retained state is seconds old, but may be lost or forged. The
larger value counts, and what has been counted since the start is added. Until the broker has been asked, the counters are not
published: a number that is corrected a moment later would be a dip or a jump in the energy dashboard.
"""

import binascii

from battery.energy import COUNTERS
from battery.readings import READING

TICK_MS = 100  # between two calls
# Wh, Wh, mAh, mAh. No battery has more: 1 GWh is a hundred kilowatt-hours a day for 27 years
LARGEST = (10**9, 10**9, 10**10, 10**10)
# What can have been counted since the record, which is up to an hour old: two hours at 300 V and 1500 A
STEP = (900000, 900000, 3000000, 3000000)


class EnergyStore:
    """Restores the energy counters of `pack`, and stores them in `nvm_store` as often as its wear budget allows.

    `topics`: where the broker may retain them, <base>/bms1/energy and <base>/bms1/state. `identity`: the bridge's; a board
    that replaces another one continues the counters of that one, not those from its own earlier use. The pack's
    polarity and the protocol of `poller` are stored, too. `report(text)`: publishes what is refused; None: it is only printed.
    """

    def __init__(self, nvm_store, pack, base, identity="", report=None, poller=None):
        self._poller = poller
        self._nvm_store = nvm_store
        self._pack = pack
        self._energy = pack.energy
        self._owner = binascii.crc32(identity.encode()) | 1  # never 0
        self._stored = None
        self._before = [0, 0, 0, 0]  # the totals at the start
        self._retained = [0, 0, 0, 0]
        self._refused = ""
        self._missing = [base + "/bms1/energy", base + "/bms1/state"]
        self.topics = tuple(self._missing)
        self.loaded = False  # the retained state has been asked for
        self._is_settled = False  # the counters have been restored
        self._wants_to_save = False
        self._is_polarity_known = False  # it has been settled, or restored
        self._report = report
        self._load()

    def _load(self):
        """Restore from the chip's memory, as soon as it has been read."""
        nvm_store = self._nvm_store
        if self._stored is None and nvm_store.is_settled:
            self._stored = nvm_store.totals or (0, 0, 0, 0)
            if nvm_store.owner in (0, self._owner):
                self._before = list(self._stored)
                self._continue(self._before)

    def _continue(self, before):
        """Restore the totals `before` the start; what has been counted since is added."""
        self._energy.load((0, 0, 0, 0))
        self._energy.load([b + c for b, c in zip(before, self._totals())])

    @property
    def all_restored(self):
        """Whether the retained state of every topic has arrived."""
        return not self._missing

    def restore(self, topic, state):
        """Restore from `state`, the payload retained on one of `topics`: JSON or its beginning. It may be forged."""
        if topic in self._missing:
            self._missing.remove(topic)
        for index, counter in enumerate(COUNTERS):
            total = find_decimal(state, counter)
            if total is not None and total <= self._limit(index):
                self._retained[index] = max(self._retained[index], total)
            elif total is not None:
                own = _thousandths(self._before[index])
                self._refused = f"the broker has {counter} {_thousandths(total)}, this board {own}"

    def _limit(self, index):
        """The largest plausible total: what can have been counted since the record; without one, by a battery in its life."""
        nvm_store = self._nvm_store
        if nvm_store.totals is not None and nvm_store.owner == self._owner:
            return nvm_store.totals[index] + STEP[index]
        return LARGEST[index]

    def finish(self):
        """The connection is up and nothing more is retained: the counters continue from what was restored.

        A broker that was restarted may have lost the retained state, so the memory is updated if its budget allows.
        """
        self.loaded = True
        self._settle()
        self._wants_to_save = True

    def _settle(self):
        self._load()
        if self._is_settled or not self.loaded or self._stored is None:
            return
        self._is_settled = True
        nvm_store = self._nvm_store
        if nvm_store.owner not in (0, self._owner) and not any(self._retained):
            self._before = list(self._stored)  # nothing else is known: it is the same battery under another identity
            self._continue(self._before)
        elif self._totals() is None:
            self._continue(self._retained)
        else:
            counted = [total - before for total, before in zip(self._totals(), self._before)]
            self._energy.load([max(r, b) + c for r, b, c in zip(self._retained, self._before, counted)])
        if nvm_store.owner != self._owner:
            nvm_store.set(owner=self._owner)
        self._correct()
        if self._refused:
            words = f"Energy counters: implausible, {self._refused}; see energy in ALLOW_CONTROL"
            print(words)
            if self._report is not None:
                self._report(words)

    def tick(self, now):
        """Store the counters when a write is due, and once after every connection if the budget allows.

        Returns the ms until the next call.
        """
        nvm_store = self._nvm_store
        if not self._is_settled:
            self._settle()
        if nvm_store.is_settled:
            self._store_protocol()  # first, so that it needs no write of its own
            self._store_polarity()
        if nvm_store.is_due(now) or (self._wants_to_save and nvm_store.has_spare):
            self._wants_to_save = False
            self.save()
        elif nvm_store.is_pending and nvm_store.is_read and nvm_store.has_spare:
            nvm_store.save()
        return TICK_MS

    def _store_polarity(self):
        """Store the direction of the current; or restore it, when the memory could not be read at the start.

        It is found once in a board's life and within seconds of the first start, when no regular write has been earned: in
        the half an hour until then a restart would lose it.
        """
        polarity = self._pack.polarity.kept
        nvm_store = self._nvm_store
        if polarity:
            self._is_polarity_known = True
            if polarity != nvm_store.polarity:
                nvm_store.set(polarity=polarity)
                nvm_store.save()
        elif nvm_store.polarity and self._is_polarity_known:  # another board is read than the one whose it was
            nvm_store.set(polarity=0)
        elif nvm_store.polarity:
            self._pack.restore_polarity(nvm_store.polarity)

    def _store_protocol(self):
        """Store what the BMS speaks, so that it is asked first after a restart; with the next write that has been earned."""
        found = self._poller.found if self._poller is not None else 0
        if found and found != self._nvm_store.protocol:
            self._nvm_store.set(protocol=found)

    def save(self):
        """Store the counters now if they have changed: before a restart of the bridge."""
        totals = self._totals()
        if totals is not None and totals != self._stored:
            self._stored = totals
            self._nvm_store.set(totals)
            self._nvm_store.save()

    def change(self, word):
        """Set the counters by the payload of a command. Returns None, or the code of the refusal."""
        old = self._totals()
        if not self._is_settled or old is None:
            return "counters_unknown"
        totals = _changed(old, word)
        if totals is None:
            return "not_understood"
        self._energy.set(totals)
        self._nvm_store.set(totals)
        if not self._nvm_store.save():  # after the next start the old ones would be back
            self._energy.set(old)
            self._nvm_store.set(old)
            return "not_stored"
        self._stored = totals
        self._correct()
        return None

    def _correct(self):
        """Put the restored totals into the pack, where those from before may be waiting to be published."""
        for counter in COUNTERS:
            if self._pack.raw(counter) is not None:
                self._pack.put(READING[counter], 0, self._energy.total(counter), self._pack.read_at(counter))

    def _totals(self):
        totals = tuple([self._energy.total(counter) for counter in COUNTERS])
        return None if None in totals else totals


def _changed(totals, word):
    """The totals after "reset" or "energy_charged=1234.567"; None: it is not understood."""
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
    """The number with three decimals after `"key":` in JSON as bytes, as an integer of thousandths; None: there is none."""
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
