# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the energy counters of a battery continue from after a start. Loaded until chip and broker have been asked."""

from battery.energy import COUNTERS

from .energy_store import LARGEST

# What can have been counted since the record, which is up to an hour old: two hours at 300 V and 1500 A
STEP = (900000, 900000, 3000000, 3000000)


class Restorer:
    """Restores the counters of one battery; `owner`: the bridge as a number.

    `record`: what is stored, `stored`: the totals in it; None: the chip's memory has not been read.
    """

    def __init__(self, nvm_store, battery, owner, report):
        self._battery = battery
        self._nvm_store = nvm_store
        self._energy = battery.pack.energy
        self._owner = owner
        self._report = report
        self._before = [0, 0, 0, 0]  # the totals at the start
        self._retained = [0, 0, 0, 0]
        self._refused = ""
        self.record = self.stored = None
        self._energy.hold()
        self._is_asked = False
        self._load()

    def _load(self):
        """Restore from the chip's memory, as soon as it has been read."""
        if self.record is None and self._nvm_store.is_settled:
            self.record = self._nvm_store.record(self._battery.number)
            self.stored = self.record.totals or (0, 0, 0, 0)
            if self.record.owner in (0, self._owner):
                self._before = list(self.stored)
                self._continue(self._before)

    def _continue(self, before):
        """Restore the totals `before` the start; what has been counted since is added."""
        self._energy.load((0, 0, 0, 0))
        self._energy.load([b + c for b, c in zip(before, self._energy.totals())])

    def restore(self, state):
        """Restore from `state`, a payload that the broker has retained: JSON or its beginning. It may be forged."""
        for index, counter in enumerate(COUNTERS):
            total = find_decimal(state, counter)
            if total is not None and total <= self._limit(index):
                self._retained[index] = max(self._retained[index], total)
            elif total is not None:
                own = _thousandths(self._before[index])
                self._refused = f"the broker has {counter} {_thousandths(total)}, this board {own}"

    def _limit(self, index):
        """The largest plausible total: what can have been counted since the record; without one, by a battery in its life."""
        record = self.record
        if record is not None and record.totals is not None and record.owner == self._owner:
            return record.totals[index] + STEP[index]
        return LARGEST[index]

    def finish(self):
        """Nothing more is retained."""
        self._is_asked = True

    def settle(self):
        """Restore the larger ones, once everything has been asked. Returns whether that is done."""
        self._load()
        if not self._is_asked or self.record is None:
            return False
        owner = self.record.owner
        totals = self._energy.totals()
        if owner not in (0, self._owner) and not any(self._retained):
            self._continue(self.stored)  # nothing else is known: it is the same battery under another identity
        elif totals is None:
            self._continue(self._retained)
        else:
            counted = [total - before for total, before in zip(totals, self._before)]
            self._energy.load([max(r, b) + c for r, b, c in zip(self._retained, self._before, counted)])
        if owner != self._owner:
            self._nvm_store.set(self.record, owner=self._owner)
        if self._refused:
            words = f"Energy counters: implausible, {self._refused}; see energy in ALLOW_CONTROL"
            print(f"{self._battery.label}: {words}" if self._battery.label else words)
            if self._report is not None:
                self._report(words, self._battery)
        return True


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
