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
from battery.unload import unload

TICK_MS = 100  # between two calls
# Wh, Wh, mAh, mAh. No battery has more: 1 GWh is a hundred kilowatt-hours a day for 27 years
LARGEST = (10**9, 10**9, 10**10, 10**10)
# What can have been counted since the record, which is up to an hour old: two hours at 300 V and 1500 A
STEP = (900000, 900000, 3000000, 3000000)


class EnergyStores:
    """Restores the energy counters of the batteries, and stores them in `nvm_store` as often as its wear budget allows: one
    write stores those of all.

    `topics`: where the broker may retain them, <base>/bms1/energy and <base>/bms1/state and so on. `identity`: the bridge's; a
    board that replaces another one continues the counters of that one, not those from its own earlier use. What the packs know
    of their polarity, and the protocols, are stored, too. `report(text, battery)`: publishes what is refused; None: it is only
    printed. `publish(topic, text, retain)`: tells of batteries that are stored and not read any more, with this `retain`.
    """

    def __init__(self, nvm_store, batteries, base, identity="", report=None, publish=None, retain=False):
        self._nvm_store = nvm_store
        self._publish = publish
        self._retain = retain
        owner = binascii.crc32(identity.encode()) | 1  # never 0
        self.stores = [EnergyStore(nvm_store, battery, base, owner, report) for battery in batteries]
        self.topics = tuple([topic for store in self.stores for topic in store.topics])
        self.loaded = False  # the retained state has been asked for
        self._wants_to_save = False
        self._has_stored_polarity = False

    @property
    def all_restored(self):
        """Whether the retained state of every topic has arrived."""
        return not [store for store in self.stores if store.missing]

    def restore(self, topic, state):
        """Restore from `state`, the payload retained on one of `topics`: JSON or its beginning. It may be forged."""
        for store in self.stores:
            if topic in store.topics:
                store.restore(topic, state)

    def finish(self):
        """The connection is up and nothing more is retained: the counters continue from what was restored.

        A broker that was restarted may have lost the retained state, so the memory is updated if its budget allows.
        """
        self.loaded = True
        for store in self.stores:
            store.finish()
        self._wants_to_save = True
        gone = self._nvm_store.gone()
        if gone and self._publish is not None:
            from .gone import report_gone

            report_gone(gone, self._publish, self._retain)
            unload("app.gone")

    def tick(self, now):
        """Store the counters when a write is due, and once after every connection if the budget allows.

        Returns the ms until the next call.
        """
        nvm_store = self._nvm_store
        is_found = False
        for store in self.stores:
            is_found = store.follow() or is_found
        if is_found and not self._has_stored_polarity:  # those of the other batteries wait until a write has been earned
            self._has_stored_polarity = True
            nvm_store.save()
        if nvm_store.is_due(now) or (self._wants_to_save and nvm_store.has_spare):
            self._wants_to_save = False
            self.save()
        elif nvm_store.is_pending and nvm_store.is_read and nvm_store.has_spare:
            nvm_store.save()
        return TICK_MS

    def save(self):
        """Store the counters now if they have changed: before a restart of the bridge."""
        is_changed = False
        for store in self.stores:
            is_changed = store.note_totals() or is_changed
        if is_changed:
            self._nvm_store.save()


class EnergyStore:
    """The counters of one battery; `owner`: the bridge as a number."""

    def __init__(self, nvm_store, battery, base, owner, report):
        self._battery = battery
        self._nvm_store = nvm_store
        self._record = None  # what is stored; None: the chip's memory has not been read
        self._energy = battery.pack.energy
        self._owner = owner
        self._stored = None
        self._before = [0, 0, 0, 0]  # the totals at the start
        self._retained = [0, 0, 0, 0]
        self._refused = ""
        self.topics = (f"{base}/{battery.key}/energy", f"{base}/{battery.key}/state")
        self.missing = list(self.topics)  # those whose retained state has not arrived
        self._is_asked = False  # for what is retained
        self._is_settled = False  # the counters have been restored
        self._is_polarity_known = False  # it has been settled, or restored
        self._report = report
        self._load()

    def _load(self):
        """Restore from the chip's memory, as soon as it has been read."""
        if self._record is None and self._nvm_store.is_settled:
            self._record = self._nvm_store.record(self._battery.number)
            self._stored = self._record.totals or (0, 0, 0, 0)
            if self._record.owner in (0, self._owner):
                self._before = list(self._stored)
                self._continue(self._before)

    def _continue(self, before):
        """Restore the totals `before` the start; what has been counted since is added."""
        self._energy.load((0, 0, 0, 0))
        self._energy.load([b + c for b, c in zip(before, self._totals())])

    def restore(self, topic, state):
        """Restore from `state`, the payload retained on one of the topics."""
        if topic in self.missing:
            self.missing.remove(topic)
        for index, counter in enumerate(COUNTERS):
            total = find_decimal(state, counter)
            if total is not None and total <= self._limit(index):
                self._retained[index] = max(self._retained[index], total)
            elif total is not None:
                own = _thousandths(self._before[index])
                self._refused = f"the broker has {counter} {_thousandths(total)}, this board {own}"

    def _limit(self, index):
        """The largest plausible total: what can have been counted since the record; without one, by a battery in its life."""
        record = self._record
        if record is not None and record.totals is not None and record.owner == self._owner:
            return record.totals[index] + STEP[index]
        return LARGEST[index]

    def finish(self):
        """Nothing more is retained."""
        self._is_asked = True
        self._settle()

    def _settle(self):
        self._load()
        if self._is_settled or not self._is_asked or self._record is None:
            return
        self._is_settled = True
        owner = self._record.owner
        if owner not in (0, self._owner) and not any(self._retained):
            self._before = list(self._stored)  # nothing else is known: it is the same battery under another identity
            self._continue(self._before)
        elif self._totals() is None:
            self._continue(self._retained)
        else:
            counted = [total - before for total, before in zip(self._totals(), self._before)]
            self._energy.load([max(r, b) + c for r, b, c in zip(self._retained, self._before, counted)])
        if owner != self._owner:
            self._nvm_store.set(self._record, owner=self._owner)
        self._correct()
        if self._refused:
            words = f"Energy counters: implausible, {self._refused}; see energy in ALLOW_CONTROL"
            print(f"{self._battery.label}: {words}" if self._battery.label else words)
            if self._report is not None:
                self._report(words, self._battery)

    def follow(self):
        """Note what has been found of the battery. Returns whether it should be stored immediately."""
        if not self._is_settled:
            self._settle()
        if self._record is None:
            return False
        self._note_protocol()  # first, so that it needs no write of its own
        return self._note_polarity()

    def _note_polarity(self):
        """Note the direction of the current; or restore it, when the memory could not be read at the start.

        It is found once in a board's life and within seconds of the first start, when no regular write has been earned: in
        the half an hour until then a restart would lose it.
        """
        pack = self._battery.pack
        found = pack.polarity.kept
        stored = self._record.polarity
        if found:
            self._is_polarity_known = True
        elif stored and not self._is_polarity_known:
            pack.restore_polarity(stored)
            return False
        if found == stored:  # else, where none is found: another board is read than the one whose it was
            return False
        self._nvm_store.set(self._record, polarity=found)
        return found > 0

    def _note_protocol(self):
        """Note what the BMS speaks, so that it is asked first after a restart; with the next write that has been earned."""
        found = self._battery.poller.found
        if found and found != self._record.protocol:
            self._nvm_store.set(self._record, protocol=found)

    def note_totals(self):
        """Note the counters for the next write. Returns whether they have changed."""
        totals = self._totals()
        if totals is None or totals == self._stored:
            return False
        self._note(totals)
        return True

    def _note(self, totals):
        self._stored = totals
        self._nvm_store.set(self._record, totals)

    def change(self, word):
        """Set the counters by the payload of a command. Returns None, or the code of the refusal."""
        old = self._totals()
        if not self._is_settled or old is None:
            return "counters_unknown"
        totals = _changed(old, word)
        if totals is None:
            return "not_understood"
        stored = self._stored
        self._energy.set(totals)
        self._note(totals)
        if not self._nvm_store.save():  # after the next start the old ones would be back
            self._energy.set(old)
            self._note(old)
            self._stored = stored
            return "not_stored"
        self._correct()
        return None

    def _correct(self):
        """Put the restored totals into the pack, where those from before may be waiting to be published."""
        pack = self._battery.pack
        for counter in COUNTERS:
            if pack.raw(counter) is not None:
                pack.put(READING[counter], 0, self._energy.total(counter), pack.read_at(counter))

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
