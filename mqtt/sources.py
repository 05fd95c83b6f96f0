# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on the sources (battery/sources.py), and when. Loaded only where there is one."""

from adafruit_ticks import ticks_add, ticks_diff

from battery.json import bounded
from battery.readings import BINARY, ENUM, NUMBER

from .battery_publisher import DISCOVERY_PAUSE_MS, HEARTBEAT_MS
from .source_parts import PER_MESSAGE, part_of

LOOK_MS = 200  # how often a source that has changed is compared with what was published
_AT_ONCE = 4  # values compared, or written, in one step


class SourcesPublisher:
    """The messages on all sources: each state on <base>/<key>/state, and their discovery.

    `shared`: the Publisher; `first_part`: number of their first discovery message; `fast_ms`: the least time between two states
    of a source, unless a BINARY or an ENUM has changed.
    """

    def __init__(self, shared, sources, first_part, fast_ms):
        self._shared = shared
        self._first_part = first_part
        self._sources = [_Published(source, fast_ms) for source in sources]
        self.begin(0)

    def begin(self, now):
        """A new connection: publish everything again."""
        self.is_published = False
        self.begin_discovery()
        self.republish(now)

    def begin_discovery(self):
        """Publish discovery again."""
        for each in self._sources:
            each.announced = 0
            each.announced_at = None

    def republish(self, now):
        """Publish the states again, changed or not."""
        for each in self._sources:
            each.due = each.heartbeat_due = now
            each.seen = None

    def state(self, now):
        """The next state that is due."""
        for each in self._sources:
            must = ticks_diff(now, each.heartbeat_due) >= 0
            if must or (each.source.changes != each.seen and ticks_diff(now, each.due) >= 0):
                each.seen = each.source.changes
                each.due = ticks_add(now, LOOK_MS)
                topic = self._shared.base + "/" + each.source.key + "/state"
                return self._shared.write(self._steps(each, now, must), topic, self._shared.retain)
        self.is_published = True
        return None

    def _steps(self, each, now, must):
        """Compare all values, and if one has changed, or `must`, write them."""
        rows = each.source.rows
        count = len(rows)
        values = []
        is_other = must
        is_slow_other = False
        for position in range(count):
            if position and not position % _AT_ONCE:
                yield False
            row = rows[position]
            raw = each.source.raw(row.key)
            values.append(raw)
            before = each.published[position] if position < len(each.published) else None
            if raw == before:
                continue
            if row.kind in (BINARY, ENUM) or raw is None or before is None:
                is_other = True
            elif row.kind != NUMBER or abs(raw - before) >= row.deadband:
                is_slow_other = True
        if is_slow_other and not is_other:
            if ticks_diff(now, each.slow_due) < 0:
                each.seen = None  # look again
            else:
                is_other = True
        if not is_other:
            yield None
        yield from self._write(each, rows, values)
        each.slow_due = ticks_add(now, each.fast_ms)
        each.heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        each.published = values
        yield True

    def _write(self, each, rows, values):
        writer = self._shared.writer.clear()
        for position in range(len(values)):
            if position and not position % _AT_ONCE:
                yield False
            row = rows[position]
            raw = values[position]
            writer.put(b',"' if position else b'{"').put(row.key).put(b'":')
            if raw is None:
                writer.put(b"null")
            elif row.kind == BINARY:
                writer.put(b'"ON"' if raw else b'"OFF"')
            elif isinstance(raw, str):
                writer.put_string(bounded(raw))
            else:
                writer.put_decimal(raw, row.decimals)
        writer.put(b"}" if values else b"{}")

    def next_discovery(self, now):
        """The next discovery message; rows that have come since are announced with the message they belong to."""
        for index in range(len(self._sources)):
            each = self._sources[index]
            if each.announced_at is not None and ticks_diff(now, each.announced_at) >= DISCOVERY_PAUSE_MS:
                each.announced_at = None
            message = each.announced // PER_MESSAGE
            if each.announced >= len(each.source.rows):
                continue
            if each.announced % PER_MESSAGE and each.announced_at is not None:
                continue  # Home Assistant applies only part of the same message when it comes again too soon
            each.announced = min(len(each.source.rows), (message + 1) * PER_MESSAGE)
            each.announced_at = now
            self._shared.republish_soon(now)
            return self._shared.discover(part_of(self._first_part, index, message), now)
        return None


class _Published:
    """What has been published on a source."""

    def __init__(self, source, fast_ms):
        self.source = source
        self.fast_ms = fast_ms
        self.published: list = []  # raw values of the rows
        self.slow_due = 0  # when numbers and texts may be published next
        self.due = self.heartbeat_due = 0  # when it is compared next, and published whatever has changed
        self.seen = None  # its `changes` of then
        self.announced = 0  # rows in the discovery messages
        self.announced_at = None  # when the last of them was sent; None: long enough ago
