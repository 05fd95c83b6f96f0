# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on a source (battery/sources.py), and when. Loaded only where there is one."""

from adafruit_ticks import ticks_add, ticks_diff

from battery.readings import BINARY, ENUM, NUMBER
from battery.sources import PER_MESSAGE, source_steps

from .battery_publisher import DISCOVERY_PAUSE_MS, HEARTBEAT_MS

LOOK_MS = 200  # how often a source that has changed is compared with what was published
# Values compared in one step: those of an output, or it could be "OFF" beside a reason why it is on
_AT_ONCE = 3


class SourcePublisher:
    """The messages on a source: its state, on <base>/<key>/state, and its discovery.

    `shared`: the Publisher; `first_part`: number of its first discovery message; `fast_ms`: the least time between two states,
    unless a BINARY or an ENUM has changed, or a value is not known any more. `is_published`: since `begin` or `republish`.
    """

    def __init__(self, shared, source, first_part, fast_ms):
        self._shared = shared
        self._source = source
        self._topic = shared.base + "/" + source.key + "/state"
        self._first_part = first_part
        self._fast_ms = fast_ms
        self._published: list = []  # raw values of the rows
        self._slow_due = 0  # when numbers and texts may be published next
        self.begin(0)

    def begin(self, now):
        """A new connection: publish everything again."""
        self._announced_at = None
        self.republish(now)

    def begin_discovery(self):
        """Publish discovery again."""
        self._announced = 0  # rows in the discovery messages
        self._announced_at = None  # when the last of them was sent; None: long enough ago

    def republish(self, now):
        """Publish the state again, changed or not."""
        self.is_published = False
        self._due = self._heartbeat_due = now  # when it is compared next, and published whatever has changed
        self._seen = None  # `changes` of the source of then
        self._is_waiting = False  # something was another one then, and is published at `_slow_due`

    def state(self, now):
        """The state, when it is due."""
        must = ticks_diff(now, self._heartbeat_due) >= 0
        if not must:
            if self._source.changes == self._seen and not (self._is_waiting and ticks_diff(now, self._slow_due) >= 0):
                return None
            if ticks_diff(now, self._due) < 0:
                return None
        self._seen = self._source.changes
        self._due = ticks_add(now, LOOK_MS)
        return self._shared.write(self._steps(now, must), self._topic, self._shared.retain)

    def _steps(self, now, must):
        """Compare all values, and if one has changed, or `must`, write them."""
        rows = self._source.rows
        values = []
        is_other = must
        is_slow_other = False
        for position in range(len(rows)):
            if position and not position % _AT_ONCE:
                yield False
            row = rows[position]
            raw = None if row.name is None else self._source.raw(row.key)
            values.append(raw)
            before = self._published[position] if position < len(self._published) else None
            if raw == before:
                continue
            if row.kind in (BINARY, ENUM) or raw is None or before is None:
                is_other = True
            elif row.kind != NUMBER or abs(raw - before) >= row.deadband:
                is_slow_other = True
        if is_slow_other and not is_other:
            is_other = ticks_diff(now, self._slow_due) >= 0
        self._is_waiting = is_slow_other and not is_other
        if not is_other:
            yield None
        self._slow_due = ticks_add(now, self._fast_ms)
        self._heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        self._published = values
        self.is_published = True
        yield from source_steps(self._shared.writer.clear(), rows, values)
        yield True

    def has_measured(self):
        """Whether each of its sensors has a value, and subscribers know of all that is known."""
        if not self._source.is_measured() or len(self._published) != len(self._source.rows):
            return False
        for row, published in zip(self._source.rows, self._published):
            if row.name is not None and (self._source.raw(row.key) is None) != (published is None):
                return False
        return True

    def is_discovered(self):
        """Whether all discovery messages have been sent."""
        return self._announced >= len(self._source.rows)

    def next_discovery(self, now):
        """The next discovery message; rows that have come since are announced with the message they belong to."""
        if self._announced_at is not None and ticks_diff(now, self._announced_at) >= DISCOVERY_PAUSE_MS:
            self._announced_at = None  # soon: days later it could not be compared any more
        if self.is_discovered():
            return None
        count = len(self._source.rows)
        if self._announced % PER_MESSAGE and self._announced_at is not None:
            return None  # Home Assistant applies only part of the same message when it comes again too soon
        message = self._announced // PER_MESSAGE
        self._announced = min(count, (message + 1) * PER_MESSAGE)
        self._announced_at = now
        self._shared.republish_soon(now)
        return self._shared.discover(self._first_part + message, now)
