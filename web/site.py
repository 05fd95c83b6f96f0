# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is at which path: the page, the state as JSON, the history. The server asks for an answer, and then piece by piece.

A piece is made when it is asked for, in a buffer that all answers share: one that is made exists at a time. What is said of a
battery is of one moment (battery/snapshot.py), however long it takes to send.
"""

from adafruit_ticks import ticks_diff

from battery.json import Writer, bounded, pack_steps, pair_steps
from battery.snapshot import Snapshot
from battery.unload import unload

from .answers import Made, Page

API = 1  # grows when a key changes its meaning or goes
WAIT_MS = 500  # so long readings that belong together are waited for
LONGEST_PIECE = 1024  # bytes of the buffer; it grows for a longer text
HISTORY_AT_ONCE = 12  # values written in one step
VALUES_AT_ONCE = 3  # of bank and sources, read in one step
_SERIES = ("soc", "current", "voltage")  # of the history, each with one decimal
_JSON = b"application/json"
_METRICS = b"text/plain; version=0.0.4; charset=utf-8"
_FOLDER = __file__.rpartition("/")[0]


class Site:
    """Everything that can be asked for. Read only.

    `base`: of the topics; `identity`: of the bridge; `name`: of its device; `batteries`: each a Battery of battery/pack.py;
    `bank`: the Bank of them, None with one; `sources`: of battery/sources.py; `bridge_pairs(now, oldest_ms)` returns the pairs
    of <base>/state, with this age of the oldest reading; `link_text()` a sentence on MQTT, or "connected"; `history`: of
    web/history.py, None: there is none; `diagnostics`: of app/diagnostics.py.
    """

    BUSY = "busy"  # another answer is being made

    def __init__(self, base, identity, name, batteries, bank, sources, bridge_pairs, link_text, history, diagnostics):
        self._base = base
        self._identity = identity
        self._name = name
        self._batteries = batteries
        self._sources = sources
        self._bridge_pairs = bridge_pairs
        self._link_text = link_text
        self._history = history
        self._diagnostics = diagnostics
        self._snapshots = [Snapshot(battery) for battery in batteries]
        self._bank = None
        if bank is not None:
            from .bank import BankOfSnapshots  # only with several batteries

            self._bank = BankOfSnapshots(batteries, self._snapshots, bank.is_series)
        self._writer = Writer(LONGEST_PIECE)
        self._answer = Made(self._writer)

    def open(self, path, query, now):
        """The answer to `path`, with what stands behind "?" as text; None: there is nothing there. BUSY: ask again later."""
        if path == "/":
            return _page()
        options = _options(query)
        index = self._index(options.get("of", self._batteries[0].key))
        every = options.get("every", "1")
        content_type = _JSON
        extra = b""
        steps = None  # a generator, which has not begun
        if path == "/api/state":
            steps = self._state_steps()
        elif path == "/api/bridge":
            steps = self._bridge_steps()
        elif path == "/metrics":
            content_type = _METRICS
            steps = self._metrics_steps()
        elif index is None:
            pass
        elif path == "/api/history" and self._history is not None:
            # encoded: as text a "²" is a digit, too, on a PC
            if every.encode().isdigit() and 0 < int(every) <= self._history.minutes:
                steps = self._history_steps(index, int(every))
        elif path == "/diagnostics" and index < len(self._batteries):
            if not self._diagnostics.is_possible(now):
                return self.BUSY
            extra = f'Content-Disposition: attachment; filename="daly-{self._batteries[index].key}.json"\r\n'.encode()
            steps = self._diagnostics_steps(self._batteries[index], self._snapshots[index])
        if steps is None:
            return None
        return self.BUSY if self._answer.is_busy else self._answer.begin(steps, content_type, extra)

    def _index(self, key):
        """The position of the battery with this key, and behind them that of the bank; None: there is none."""
        for position in range(len(self._batteries)):
            if self._batteries[position].key == key:
                return position
        return len(self._batteries) if key == "bank" and self._bank is not None else None

    # steps: generators, whose values mean nothing

    def _snapshot_steps(self):
        """Take all snapshots: each when what is said together can be taken, at most after WAIT_MS."""
        left = list(self._snapshots)
        begun = None
        while left:
            yield
            if begun is None:
                begun = self._answer.now
            snapshot = left.pop(0)
            if snapshot.is_due() or ticks_diff(self._answer.now, begun) >= WAIT_MS:
                snapshot.take()
            else:
                left.append(snapshot)
        for snapshot in self._snapshots:
            yield from snapshot.settle()

    def _state_steps(self):
        writer = self._writer
        yield from self._snapshot_steps()
        yield
        writer.put(b'{"api":').put_decimal(API, 0).put(b',"batteries":{')
        for position in range(len(self._batteries)):
            battery = self._batteries[position]
            snapshot = self._snapshots[position]
            writer.put(b',"' if position else b'"').put(battery.key).put(b'":{"name":').put_string(battery.name)
            writer.put(b',"status":"').put(b"online" if snapshot.is_online else b"offline")
            yield
            writer.put(b'","connection":').put_string(bounded(snapshot.connection)).put(b',"state":')
            yield
            yield from pack_steps(writer, snapshot, not snapshot.topology["cell_count"])
            writer.put(b"}")
        writer.put(b'},"bank":')
        if self._bank is None:
            writer.put(b"null")
        else:
            yield from self._bank.steps(writer)
        writer.put(b',"sources":{')
        for position in range(len(self._sources)):
            source = self._sources[position]
            writer.put(b',"' if position else b'"').put(source.key).put(b'":')
            yield
            yield from self._source_steps(source)
        writer.put(b"}}")

    def _source_steps(self, source):
        from battery.sources import source_steps  # it is there where there is a source

        rows = source.rows
        values: list = []
        for position in range(len(rows)):
            if not position % VALUES_AT_ONCE:
                yield
            row = rows[position]
            values.append(None if row.name is None else source.raw(row.key))
        yield from source_steps(self._writer, rows, values)

    def _bridge_steps(self):
        writer = self._writer
        yield
        writer.put(b'{"api":').put_decimal(API, 0).put(b',"batteries":[')
        for position in range(len(self._batteries)):
            battery = self._batteries[position]
            writer.put(b',{"key":"' if position else b'{"key":"').put(battery.key).put(b'","name":').put_string(
                battery.name
            ).put(b"}")
            yield
        writer.put(b"]")
        pairs = [
            ("name", self._name),
            ("identity", self._identity),
            ("base_topic", self._base),
            ("mqtt", self._link_text()),
            ("history_minutes", 0 if self._history is None else self._history.minutes),
        ]
        yield from self._pair_steps(pairs)
        yield
        yield from pair_steps(writer, pairs, b',"')

    def _pair_steps(self, pairs):
        """Append the pairs of the bridge."""
        oldest_ms = 0
        for battery in self._batteries:  # one at a time: each takes 3,000 bytecodes
            yield
            oldest_ms = max(oldest_ms, battery.pack.oldest_ms(self._answer.now))
        yield
        pairs.extend(self._bridge_pairs(self._answer.now, oldest_ms))

    def _history_steps(self, index, every):
        yield
        writer = self._writer
        history = self._history
        end = history.count  # points that come meanwhile are not told
        begin = max(0, end - history.minutes)
        begin += (end - begin - 1) % every  # the newest one is among them
        age_ms = history.age_ms(self._answer.now)
        writer.put(b'{"api":').put_decimal(API, 0).put(b',"minute_s":60,"every":').put_decimal(every, 0).put(b',"ago_s":')
        if age_ms is None:
            writer.put(b"null")
        else:
            writer.put_decimal(age_ms // 1000, 0)
        for series in range(len(_SERIES)):
            writer.put(b',"').put(_SERIES[series]).put(b'":[')
            left = HISTORY_AT_ONCE
            for number in range(begin, end, every):
                if not left:
                    left = HISTORY_AT_ONCE
                    yield
                left -= 1
                if number > begin:
                    writer.put(b",")
                raw = history.at(index, series, number)
                if raw is None:
                    writer.put(b"null")
                else:
                    writer.put_decimal(raw, 1)
            writer.put(b"]")
            yield
        writer.put(b"}")

    def _metrics_steps(self):
        pairs: list = []
        yield from self._snapshot_steps()
        yield from self._pair_steps(pairs)
        yield
        try:
            from .metrics import metrics_steps  # only where somebody collects them

            yield
            is_connected = self._link_text() == "connected"
            shared = (self._identity, self._batteries, self._snapshots, pairs, is_connected, self._sources)
            yield from metrics_steps(self._writer, *shared)
        finally:
            unload("web.metrics")

    def _diagnostics_steps(self, battery, snapshot):
        yield
        snapshot.copy()
        pairs: list = []
        yield from self._pair_steps(pairs)
        yield
        yield from self._diagnostics.steps(self._writer, battery, snapshot, pairs, self._answer.now)


def _options(query):
    """{key: text} of "of=bms1&every=5"; nothing is decoded: no value of ours needs it."""
    options = {}
    for part in query.split("&"):
        key, _, value = part.partition("=")
        options[key] = value
    return options


def _page():
    """The page, compressed where there is that; None: there is none on the drive."""
    for name in ("page.html.gz", "page.html"):
        try:
            return Page(open(_FOLDER + "/" + name, "rb"), name.endswith(".gz"))
        except OSError:
            pass
    return None
