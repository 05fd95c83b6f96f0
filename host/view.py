# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The output of the emulator: a log (Plain) or a live picture of the screen (Live).

Both have start, stop, line and published. They write through an Outlet, so that the firmware never waits for a terminal.
"""

from __future__ import annotations

import collections
import errno
import io
import json
import os
import queue
import re
import signal
import threading
import time
import weakref

# shortest interval between two pictures of the screen in the log; tests set a shorter one
_PICTURE_S = float(os.environ.get("DALY_HOST_PICTURE_S", "5"))
_HALF_WIDTH = 132  # columns a terminal needs for the picture in half blocks and its frame


class Lines(io.TextIOBase):
    """A stream for print() that passes on whole lines."""

    def __init__(self, sink):
        self._sink = sink
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._sink(line.rstrip("\r"))
        return len(text)


def watch_messages(view) -> None:
    """Call `view.published` for every MQTT message that a socket has taken, whoever sends it, with or without TLS."""
    from socketpool import Socket

    send = Socket.send
    streams: dict = weakref.WeakKeyDictionary()

    def watched_send(socket, data):
        count = send(socket, data)
        for topic, payload in streams.setdefault(socket, Published()).feed(bytes(data[:count])):
            view.published(topic, payload.decode("utf-8", "replace"))
        return count

    Socket.send = watched_send  # type: ignore[method-assign]


class Published:
    """The messages in what a client sends: PUBLISH packets of MQTT 3.1.1. What does not begin with a CONNECT is not MQTT."""

    def __init__(self):
        self._data = b""
        self._is_mqtt = None  # None: nothing was sent yet

    def feed(self, data: bytes) -> list:
        """(topic, payload) of each message that is complete with `data`."""
        if self._is_mqtt is None and data:
            self._is_mqtt = data[0] == 0x10
        if not self._is_mqtt:
            return []
        self._data += data
        found = []
        while (size := self._packet_size()) is not None:
            packet, self._data = self._data[: sum(size)], self._data[sum(size) :]
            if packet[0] & 0xF0 == 0x30:
                at = size[0] + 2
                end = at + int.from_bytes(packet[size[0] : at], "big")
                found.append((packet[at:end].decode("utf-8", "replace"), packet[end + (2 if packet[0] & 6 else 0) :]))
        return found

    def _packet_size(self):
        """(bytes of the fixed header, bytes behind it) of the packet at the front; None: it is not complete."""
        length = 0
        for at in range(1, min(5, len(self._data))):
            length |= (self._data[at] & 0x7F) << 7 * (at - 1)
            if not self._data[at] & 0x80:
                return (at + 1, length) if len(self._data) > at + length else None
        return None


class Outlet:
    """Writes to a file descriptor in a thread of its own, so that `put` never waits.

    A terminal may be stopped (Ctrl-S), a pipe may be full. MOST pieces are kept, then new ones are dropped, and their number is
    written once there is room again. `put` is re-entrant: the watchdog may interrupt it anywhere.
    """

    MOST = 2000
    BUSY = 200  # pieces not yet written before the chip's console is considered busy
    PROGRESS_S = 0.5  # at the end: after so long without progress, nothing reads the output

    def __init__(self, descriptor: int = 1, end=None):
        self._end = end or end_process
        self._descriptor = descriptor
        self._pieces: queue.SimpleQueue = queue.SimpleQueue()
        self._put = self._written = 0  # the one counted by those who put, the other by the thread
        self._dropped = 0
        self._dead = False
        threading.Thread(target=self._write_all, daemon=True).start()

    def put(self, text: str) -> None:
        """Write a text, or drop it if there is no room."""
        if self.pieces >= self.MOST:
            self._dropped += 1
        elif not self._dead:
            if self._dropped and self.pieces < self.MOST // 2:
                text = f"host: {self._dropped} lines were dropped here, nothing read them\n{text}"
                self._dropped = 0
            self._put += 1
            self._pieces.put(text)

    @property
    def pieces(self) -> int:
        """How many are not written yet."""
        return 0 if self._dead else self._put - self._written

    def waiting(self) -> int:
        """For the chip's console: 0 while the output is read."""
        return self.pieces if self.pieces > self.BUSY else 0

    def flush(self) -> None:
        """Wait until everything is written, or nothing moves any more."""
        written, progress_at = self._written, time.monotonic()
        while self.pieces and time.monotonic() - progress_at < self.PROGRESS_S:
            if self._written != written:
                written, progress_at = self._written, time.monotonic()
            time.sleep(0.005)

    def _write_all(self) -> None:
        while not self._dead:
            data = self._pieces.get().encode("utf-8", "replace")
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                time.sleep(0.05)  # another program has made the terminal non-blocking; the rest of the piece is lost
            except OSError as error:
                self._give_up(error)
            self._written += 1

    def _give_up(self, error: OSError) -> None:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return  # a log on a full disk; there may be room again
        self._dead = True
        if error.errno == errno.EPIPE:  # as in `python -m host | head`: the reader has ended
            self._end()


def end_process() -> None:
    """Switch the power off, from any thread. Once is not always enough: Python drops what is raised inside a __del__."""
    while True:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)


class Frames(io.TextIOBase):
    """The terminal of the live view: a picture is skipped while the previous one is not written yet."""

    encoding = "utf-8"

    def __init__(self, outlet: Outlet):
        self._outlet = outlet
        self.must = False  # what is written now must not be skipped

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.must or not self._outlet.pieces:
            self._outlet.put(text)
        return len(text)


class Plain:
    """A log with one time-stamped line for each event."""

    def __init__(self, screen, _title, outlet=None):
        self._screen = screen
        self.outlet = outlet or Outlet()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch_screen, daemon=True)

    def start(self) -> None:
        if self._screen is not None:
            self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self.outlet.flush()

    def line(self, text: str) -> None:
        now = time.time()
        stamp = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"
        self.outlet.put(f"{stamp} {text}\n")

    def published(self, topic: str, payload: str) -> None:
        self.line(f"-> {topic} {payload}")

    def _watch_screen(self) -> None:
        shown, seen, shown_at = [], 0, -_PICTURE_S
        while not self._ended.wait(0.2):
            before, seen = seen, self._screen.bytes
            if seen != before or time.monotonic() - shown_at < _PICTURE_S:
                continue  # still being drawn, or too soon
            picture = braille(self._screen.image())
            if picture != shown and self._screen.visible:
                shown, shown_at = picture, time.monotonic()
                self.outlet.put("".join(f"{'':12} |{row}|\n" for row in picture))


def _keep_state(states: dict, key: str, payload: str) -> None:
    """Keep a state, numbers as they are written; what is no JSON object is ignored."""
    try:
        state = json.loads(payload, parse_float=str, parse_int=str)
    except ValueError:
        return
    if isinstance(state, dict):
        states[key] = state


class Batteries:
    """What was published last on each battery and on their bank: a table where there are several."""

    COLUMNS = ("", "", "soc", "V", "A", "W", "lowest and highest cell", "alarms")
    KEYS = ("soc", "pack_voltage", "current", "power")
    _TOPIC = re.compile(r".*/(bms\d+|bank)/(state|status)")

    def __init__(self):
        self._states = {}
        self._statuses = {}

    def take(self, topic: str, payload: str) -> None:
        """Keep what is published on a battery; other messages are ignored."""
        found = self._TOPIC.fullmatch(topic)
        if not found or not payload:
            return
        if found[2] == "status":
            self._statuses[found[1]] = payload
            return
        _keep_state(self._states, found[1], payload)

    def rows(self) -> list[tuple[str, ...]]:
        """A row for each, the bank last; [] while there is only one battery."""
        keys = self._states.keys() | self._statuses.keys()
        return [self._row(key) for key in sorted(keys, key=lambda key: (key == "bank", len(key), key))] if len(keys) > 1 else []

    def _row(self, key: str) -> tuple[str, ...]:
        state = self._states.get(key, {})
        status = state.get("batteries_online") if key == "bank" else self._statuses.get(key)
        cells = [_shown(state.get(end + "_cell_voltage")) for end in ("min", "max")]
        alarms = state.get("missing") if key == "bank" else state.get("active_alarms")
        numbers = [_shown(state.get(name)) for name in self.KEYS]
        return (key, _shown(status), *numbers, " to ".join(cells) if cells != ["", ""] else "", _shown(alarms))


class Sources:
    """What was published last on outputs and sensors: a line for each."""

    _TOPIC = re.compile(r".*/(outputs|temperatures|vedirect\d+|supply)/state")

    def __init__(self):
        self._states = {}

    def take(self, topic: str, payload: str) -> None:
        """Keep what is published on one of them; other messages are ignored."""
        found = self._TOPIC.fullmatch(topic)
        if not found or not payload:
            return
        _keep_state(self._states, found[1], payload)

    def rows(self) -> list[tuple[str, str]]:
        """(which one, its values in words) of each; what is not known is "?"."""
        return [
            (key, ", ".join(f"{name} {'?' if value is None else value}" for name, value in state.items()))
            for key, state in sorted(self._states.items())
        ]


def _shown(value) -> str:
    """A value of the JSON in a table; "": not known."""
    return "" if value is None else str(value)


class Live:
    """The screen as it looks, the latest message of each topic and the end of the log, redrawn in place.

    Of several batteries there is a table in addition, and one of outputs and sensors.
    """

    def __init__(self, screen, title, outlet=None):
        from rich.console import Console
        from rich.live import Live as RichLive

        self._screen = screen
        self._title = title
        self._topics = {}
        self._batteries = Batteries()
        self._sources = Sources()
        self._log = collections.deque(maxlen=200)
        self._drawn = (-1, None)
        self.outlet = outlet or Outlet()
        self._frames = Frames(self.outlet)
        self._console = Console(file=self._frames)
        self._live = RichLive(
            get_renderable=self._render,
            console=self._console,
            screen=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        self._frames.must = True  # the terminal's other page
        self._live.start()
        self._frames.must = False

    def stop(self) -> None:
        """Restore the terminal and print the end of the log."""
        self._frames.must = True
        self._live.stop()
        self.outlet.put("".join(line + "\n" for line in list(self._log)[-20:]))
        self.outlet.flush()

    def line(self, text: str) -> None:
        self._log.append(f"{time.strftime('%H:%M:%S')} {text}")

    def published(self, topic: str, payload: str) -> None:
        self._topics.pop(topic, None)  # the latest goes last
        self._topics[topic] = payload
        self._batteries.take(topic, payload)
        self._sources.take(topic, payload)

    def _render(self):
        from rich.console import Group
        from rich.panel import Panel

        wide = self._console.width >= _HALF_WIDTH
        parts = [self._title]
        chip_rows = [row for row in (_chip_row(), _load_row()) if row is not None]
        parts += chip_rows
        if self._screen is not None:
            parts.append(Panel.fit(self._picture(wide), title="screen", border_style="bright_black"))
        room = (
            self._console.height
            - 6
            - len(chip_rows)
            - (0 if self._screen is None else self._screen.rows // (2 if wide else 4) + 2)
        )
        rows = self._batteries.rows()
        if rows:
            parts.append(Panel(self._table(rows), title="batteries", border_style="bright_black"))
            room -= len(rows) + 3
        rows = self._sources.rows()
        if rows:
            parts.append(Panel(self._lines(rows), title="outputs and sensors", border_style="bright_black"))
            room -= len(rows) + 2
        messages = max(2, room // 2)
        parts.append(Panel(self._messages(messages), title="last messages", border_style="bright_black"))
        parts.append(Panel(self._tail(max(2, room - messages)), title="log", border_style="bright_black"))
        return Group(*parts)

    def _picture(self, wide: bool):
        from rich.text import Text

        key = (self._screen.bytes, wide)
        if key != self._drawn[0]:
            rows = (half_blocks if wide else braille)(self._screen.image())
            self._drawn = key, Text("\n".join(rows), style="#bee1ff on #050812", no_wrap=True)
        return self._drawn[1]

    def _table(self, rows):
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for number, name in enumerate(Batteries.COLUMNS):
            table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if 2 <= number < 6 else "left")
        for row in rows:
            table.add_row(*map(_plain, row))
        return table

    def _lines(self, rows):
        """Each in one line, as much as fits."""
        from rich.table import Table

        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for row in rows:
            table.add_row(*map(_plain, row))
        return table

    def _messages(self, count: int):
        from rich.table import Table

        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, style="cyan", overflow="ellipsis", ratio=2)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=5)
        shown = list(self._topics.items())[-count:]
        for topic, payload in shown + [("", "")] * (count - len(shown)):
            table.add_row(_plain(topic), _plain(payload))
        return table

    def _tail(self, count: int):
        from rich.text import Text

        lines = list(self._log)[-count:]
        return Text("\n".join(lines + [""] * (count - len(lines))), no_wrap=True, overflow="ellipsis")


def _chip_row():
    """The LEDs of the chip as they shine, and whether it is asleep, in one row; None: nothing of that."""
    from rich.text import Text

    from host import chip

    row = Text(no_wrap=True, overflow="ellipsis")
    for pin, lamp in sorted(chip.lamps.items()):
        levels = lamp.levels * 3 if len(lamp.levels) == 1 else lamp.levels
        shade = "#" + "".join(f"{40 + 215 * min(100, 3 * level) // 100:02x}" for level in levels)  # dim ones are to be seen
        row.append("● ", shade).append(f"LED on {pin}: {lamp.text}  ")
    if chip.is_asleep:
        row.append("asleep", "bold")
    return row if row.plain else None


def _load_row():
    """What the outputs of the chip switch, by the levels of their pins, in one row; None: there is no output."""
    from rich.text import Text

    from host import chip

    row = Text(no_wrap=True, overflow="ellipsis")
    for pin, load in sorted(chip.loads.items()):
        row.append("■ " if load.is_on else "□ ", "green" if load.is_on else "")
        row.append(f"{pin} {load.name} {'on' if load.is_on else 'off'}  ")
    return row if row.plain else None


def half_blocks(image) -> list:
    """Rows of text for a one-bit picture: a character holds one pixel across and two down."""
    pixels = image.load()
    return [
        "".join(" ▀▄█"[bool(pixels[x, y]) + 2 * bool(pixels[x, y + 1])] for x in range(image.width))
        for y in range(0, image.height, 2)
    ]


# Braille dots, as (across, down), in the order of their bits in Unicode.
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


def braille(image) -> list:
    """Rows of text for a one-bit picture: a character holds two pixels across and four down."""
    pixels = image.load()
    return ["".join(_dots(pixels, x, y) for x in range(0, image.width, 2)) for y in range(0, image.height, 4)]


def _dots(pixels, x: int, y: int) -> str:
    return chr(0x2800 + sum(1 << bit for bit, (dx, dy) in enumerate(_DOTS) if pixels[x + dx, y + dy]))


def _plain(text: str):
    """Text without rich's markup: payloads have square brackets."""
    from rich.text import Text

    return Text(text)
