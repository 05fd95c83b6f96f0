# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Keeps the energy counters over restarts: in the chip's memory, and in the state that the broker retains.

The chip's memory is written rarely (see nvm_store.py); the retained state is seconds old, but may be lost or forged. The
larger value counts, and what has been counted since the start is added. Until the broker has been asked, the counters are
unknown in what is published (`is_provisional`, battery/energy.py): a number that is corrected a moment later would be a dip or
a jump in the energy dashboard.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import COUNTERS
from battery.readings import READING
from battery.unload import unload

from .nvm_store import owner_of

TICK_MS = 100  # between two calls
HELD_MS = 60000  # so long the first writes wait for what the broker knows, for which no other write might be left
# Wh, Wh, mAh, mAh. No battery has more: 1 GWh is a hundred kilowatt-hours a day for 27 years
LARGEST = (10**9, 10**9, 10**10, 10**10)


class EnergyStores:
    """Restores the energy counters of the batteries, and stores them in `nvm_store` as often as its wear budget allows: one
    write stores those of all.

    `topics`: where the broker may retain them, <base>/bms1/energy and <base>/bms1/state and so on. `identity`: the bridge's; a
    board that replaces another one continues the counters of that one, not those from its own earlier use. What the packs know
    of their polarity, and the protocols, are stored, too. `report(text, battery)`: publishes what is refused; None: it is only
    printed. `publish(topic, text, retain)`: tells of batteries that are stored and not read any more, with this `retain`.
    `counts`: False where the bridge sleeps. Awake it sees a hundredth of what flows, so the counters would be wrong by a factor
    of hundred: they are unknown, and what was counted before stays stored as it is.
    """

    def __init__(self, nvm_store, batteries, base, identity="", report=None, publish=None, retain=False, counts=True):
        self._nvm_store = nvm_store
        self._publish = publish
        self._retain = retain
        owner = owner_of(identity)
        self.stores = [EnergyStore(nvm_store, battery, base, owner, report, counts) for battery in batteries]
        self.topics = tuple([topic for store in self.stores for topic in store.topics])
        self.loaded = not counts  # the retained state has been asked for
        self._wants_to_save = False
        self._wants_polarity = False
        self._has_stored_polarity = False
        self._held_until = None  # 0: not any more

    def restore(self, topic, state):
        """Restore from `state`, the payload retained on one of `topics`: JSON or its beginning. It may be forged."""
        for store in self.stores:
            if topic in store.topics:
                store.restore(state)

    def finish(self):
        """The connection is up and nothing more is retained: the counters continue from what was restored.

        A broker that was restarted may have lost the retained state, so the memory is updated if its budget allows.
        """
        self.loaded = True
        for store in self.stores:
            store.finish()
        self._wants_to_save = True

    def report_gone(self):
        """A connection begins: tell of the batteries that are stored and not read any more, before all else is available."""
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
            self._has_stored_polarity = self._wants_polarity = True
        is_due = nvm_store.is_due(now)
        if self._is_held(now) and not is_due:
            return TICK_MS
        if self._wants_polarity:
            self._wants_polarity = self._wants_to_save = False
            self.save(True)
        elif is_due or (self._wants_to_save and nvm_store.has_spare):
            self._wants_to_save = False
            self.save()
        elif nvm_store.is_pending and nvm_store.is_read and nvm_store.has_spare:
            nvm_store.save()
        return TICK_MS

    def _is_held(self, now):
        """Whether writes that are not due have to wait."""
        if self._held_until is None:
            self._held_until = ticks_add(now, HELD_MS) or 1
        if self.loaded or (self._held_until and ticks_diff(now, self._held_until) >= 0):
            self._held_until = 0
        return self._held_until != 0

    def save(self, is_changed=False):
        """Store the counters now if they have changed, or something else has: before a restart of the bridge."""
        for store in self.stores:
            is_changed = store.note_totals() or is_changed
        if is_changed:
            self._nvm_store.save()


class EnergyStore:
    """The counters of one battery; `owner`: the bridge as a number; `counts`: see EnergyStores."""

    def __init__(self, nvm_store, battery, base, owner, report, counts):
        self._battery = battery
        self._nvm_store = nvm_store
        self._energy = battery.pack.energy
        self._is_polarity_known = False  # it has been settled, or restored
        self.topics: tuple = ()
        self._restorer = None  # None: the counters have been restored, or stay unknown
        if counts:
            from .energy_restore import Restorer  # 2 KB on a board, until the broker has been asked

            self.topics = (f"{base}/{battery.key}/energy", f"{base}/{battery.key}/state")
            self._restorer = Restorer(nvm_store, battery, owner, report)
        self._record = None  # what is stored; None: the chip's memory has not been read
        self._stored = None  # the totals as noted last
        self._take_record()

    def _take_record(self):
        if self._record is None and self._restorer is not None:
            self._record = self._restorer.record
            self._stored = self._restorer.stored
        elif self._record is None and self._nvm_store.is_settled:
            self._record = self._nvm_store.record(self._battery.number)

    def restore(self, state):
        """Restore from `state`, the payload retained on one of the topics."""
        if self._restorer is not None:
            self._restorer.restore(state)

    def finish(self):
        """Nothing more is retained."""
        if self._restorer is not None:
            self._restorer.finish()
            self._settle()

    def _settle(self):
        """Restore the counters, as soon as the chip's memory and the broker have been asked."""
        is_settled = self._restorer.settle()
        self._take_record()
        if is_settled:
            self._correct()
            self._battery.pack.release_counters()
            self._restorer = None
            unload("app.energy_restore")

    def follow(self):
        """Note what has been found of the battery. Returns whether it should be stored immediately."""
        if self._restorer is not None:
            self._settle()
        else:
            self._take_record()
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
        totals = self._energy.totals()
        if totals is None or totals == self._stored:
            return False
        self._note(totals)
        return True

    def _note(self, totals):
        self._stored = totals
        self._nvm_store.set(self._record, totals)

    def change(self, word):
        """Set the counters by the payload of a command. Returns None, or the code of the refusal."""
        from .controls import changed  # which has called this

        old = self._energy.totals()
        if self._restorer is not None or old is None:
            return "counters_unknown"
        totals = changed(old, word)
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
