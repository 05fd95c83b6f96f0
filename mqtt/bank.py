# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on the bank of several batteries, and when: their sum as they were published. Loaded only with several."""

from adafruit_ticks import ticks_add, ticks_diff

from battery.bank import ALONE, KEYS, Bank, bank_steps

from .battery_publisher import HEARTBEAT_MS, OFFLINE, ONLINE, TO_OFFLINE, TO_ONLINE

_AT_ONCE = 3  # values calculated in one step


class BankPublisher(Bank):
    """The bank's messages: its state, on <base>/bank/state, and its discovery.

    It is calculated from the values that subscribers have: the exact sum of the batteries' states before it. `shared`: the
    Publisher, `publishers` its batteries; `parts`: the range of the discovery messages on the bank; `fast_ms`: the least time
    between two states, unless an alarm, or which batteries are online, has changed.
    """

    def __init__(self, shared, publishers, parts, fast_ms, is_series):
        super().__init__([each.battery for each in publishers], is_series)
        self._shared = shared
        self._publishers = publishers
        self._discovery_parts = parts
        self._fast_ms = fast_ms
        self._published: list = [None] * len(KEYS)

    def values(self, index):
        """The published readings of a battery; None: it is offline for subscribers."""
        each = self._publishers[index]
        return each.published if each.phase == ONLINE else None

    def begin(self, now):
        """A new connection: publish everything again."""
        self.republish(now)

    def begin_discovery(self):
        """Publish discovery again."""
        self._part = self._discovery_parts[0]

    def republish(self, now):
        """Publish the state again, changed or not."""
        self.is_published = False  # since then
        self._states = None  # how many states of batteries had been published when it was calculated
        self._immediate = None  # `_urgency` of then
        self._due = self._heartbeat_due = now

    def next_discovery(self, now):
        """The next discovery message."""
        if self.is_discovered():
            return None
        self._part += 1
        self._shared.republish_soon(now)
        return self._shared.discover(self._part - 1, now)

    def is_discovered(self):
        """Whether all discovery messages have been sent."""
        return self._part >= self._discovery_parts[1]

    def state(self, now):
        """The state, when the published state of a battery has changed it."""
        states = 0
        for each in self._publishers:
            phase = each.phase
            if phase == TO_OFFLINE or phase == TO_ONLINE or (phase == OFFLINE and each.poller.complete):
                return None  # its first state in this connection, or its status online, comes in a moment
            states += each.states
        must = ticks_diff(now, self._heartbeat_due) >= 0
        if not must:
            if states == self._states:
                return None
            if ticks_diff(now, self._due) < 0 and self._immediate == self._urgency():
                return None
        self._states = states
        self._due = ticks_add(now, self._fast_ms)
        return self._shared.write(self._steps(now, must), self._shared.base + "/bank/state", self._shared.retain)

    def _urgency(self):
        """How many batteries are online, and whether there is an alarm: told at once when it changes."""
        return 2 * self.online + (self.raw("problem") or 0)

    def _steps(self, now, must):
        """Calculate all values, and if one has changed, or `must`, write them; nothing is published meanwhile."""
        published = self._published
        is_other = must
        for position in range(len(KEYS)):
            if not position % _AT_ONCE or KEYS[position] in ALONE:
                yield False
            raw = self.raw(KEYS[position])
            is_other = is_other or raw != published[position]
            published[position] = raw
        self._immediate = self._urgency()
        if not is_other:
            yield None
        self._heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        yield from bank_steps(self._shared.writer.clear(), published)
        self.is_published = True
        yield True
