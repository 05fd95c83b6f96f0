# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The live view of `python -m host`: what a subscriber of the broker gets, beside the screen of the board; and its keys.

Drawn with rich. The firmware has the main thread, so nothing here may need it, and little time is spent: a picture is made only
when something has changed, at most four times a second. It fits the terminal, from 80 columns and 24 rows on.
"""

from __future__ import annotations

import collections
import os
import re
import select
import sys
import termios
import threading
import time
import tty
from collections.abc import Sequence

from rich.console import Console, Group
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from host import chip, keyboard
from host.known import MAIN, Battery, Known
from host.view import Frames, Outlet, braille, half_blocks

REDRAW_S = 0.25
# a shell may have told the size that the window had when it was opened
SURROUNDINGS = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
FAILURES = 5  # pictures in a row that cannot be drawn
LEAST = (80, 24)  # columns and rows
WIDE = (110, 34)  # from here on: everything beside the screen
HUGE = (190, 44)  # from here on: a dot of the screen is half a character
BORDER = "bright_black"
LEAST_SPAN_MV = 60  # of the bars: small differences are to be seen, noise is not
COLUMNS = 4  # of cells
BLOCKS = " ▏▎▍▌▋▊▉█"
UNKNOWN = "–"
MODES = {"charging": "green", "discharging": "yellow", "idle": "cyan"}


class Dashboard:
    """A view with start, stop, line and published, as Plain of host/view.py.

    `title`: parts of the first row; `known`: what a subscriber knows, which `published` fills, or a subscription; `keys`: a
    Keys, for a terminal with a keyboard.
    """

    def __init__(self, screen, title: Sequence[str], known: Known, keys, outlet=None, console=None):
        self._screen = screen
        self._title = title
        self._known = known
        self._keys = keys
        self._subscriber = None
        self._shown = 0  # the battery whose cells are shown
        self._typed: str | None = None  # a line for the chip's console
        self._log: collections.deque = collections.deque(maxlen=200)
        self._picture: tuple = ((-1, False), None)
        self._drawn: tuple = ()
        self._changes = 0
        self.outlet = outlet or Outlet()
        self._terminal = Terminal()
        self._frames = Frames(self.outlet)
        self._console = console or Console(file=self._frames, highlight=False, _environ=SURROUNDINGS)
        self._has_keys = True
        self._live = Live(
            get_renderable=self.render,
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def subscribe(self, port: int) -> None:
        """Show what the broker on that port of this computer delivers, instead of what the bridge sends."""
        from host.subscriber import subscribe

        def lost(reason: str) -> None:
            self._known.lose(reason)
            self._changes += 1

        self._subscriber = subscribe(port, self.taken, self._known.connected, lost)

    # as Plain

    def start(self) -> None:
        self._terminal.take()
        self._has_keys = self._terminal.has_keys
        self._frames.must = True  # the terminal's other page
        self._live.start()
        self._frames.must = False
        self._thread.start()

    def stop(self) -> None:
        """Restore the terminal and print the end of the log."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(1)
        if self._subscriber is not None:
            self._subscriber.loop_stop()
        self._frames.must = True
        self._live.stop()
        self._terminal.restore()
        self.outlet.put("".join(line + "\n" for line in list(self._log)[-20:]))
        self.outlet.flush()

    def line(self, text: str) -> None:
        self._log.append(f"{self._known.stamp()} {text}")
        self._changes += 1

    def published(self, topic: str, payload: str) -> None:
        if self._subscriber is None:
            self._known.connected()
            self.taken(topic, payload)

    def disconnected(self) -> None:
        """The bridge has no connection to its broker any more; only where nobody subscribes."""
        if self._subscriber is None:
            self._known.lose("the bridge is not connected to the broker")
            self._changes += 1

    def taken(self, topic: str, payload: str) -> None:
        """A message has come from the broker."""
        self._known.take(topic, payload)
        self._changes += 1

    # the thread

    def _run(self) -> None:
        failures = 0  # in a row
        while not self._ended.is_set():
            for char in self._terminal.typed(REDRAW_S):
                self.press(char)
            try:
                self._draw()
                failures = 0
            except Exception:  # a window that changes its size in the middle of a picture: the next one is whole again
                self._drawn = ()
                failures += 1
                if failures > FAILURES:
                    raise

    def _draw(self) -> None:
        """Draw it if something has changed, or once in a while: ages grow, and the terminal may have another size."""
        now = int(time.monotonic())
        screen = self._screen and self._screen.bytes
        drawn = (self._changes, screen, self._console.size, now // 2, chip.is_asleep)
        if drawn == self._drawn or self.outlet.pieces:
            return
        self._drawn = drawn
        self._live.refresh()

    def press(self, char: str) -> None:
        """A key: begin or end something, or a character of a line for the console."""
        self._changes += 1
        if self._typed is not None:
            self._type(char)
        elif char == ":":
            self._typed = ""
        elif char == "q":
            from host.keys import quit_host

            self.line("host: stopped by the key q")
            quit_host()
        elif char == "n":
            self._shown += 1
        else:
            self._keys.press(char)

    def _type(self, char: str) -> None:
        if char in "\r\n":
            self._terminal.send(self._typed + "\n")
            self.line("> " + self._typed)
            self._typed = None
        elif char == "\x1b":
            self._typed = None
        elif char in "\b\x7f":
            self._typed = self._typed[:-1]
        elif char.isprintable():
            self._typed += char

    # the picture

    def render(self):
        """All of it, as high and wide as the terminal."""
        columns, rows = self._console.size
        if columns < LEAST[0] or rows < LEAST[1]:
            return Text(f"The window has {columns} × {rows} characters; {LEAST[0]} × {LEAST[1]} are needed. Ctrl-C stops.")
        batteries = [self._known.battery(key) for key in self._known.batteries()]
        battery = batteries[self._shown % len(batteries)] if batteries else self._known.battery("")
        several = [self._table(batteries)] if len(batteries) > 1 else []
        root = Layout()
        head = Layout(self._head(columns), size=1)
        foot = Layout(self._foot(columns >= WIDE[0]), size=1)
        if columns >= WIDE[0] and rows >= WIDE[1]:
            root.split_column(head, *self._wide(columns, rows, battery, several), foot)
        else:
            root.split_column(head, *self._narrow(columns, rows, battery, several), foot)
        return root

    def _head(self, columns: int) -> Text:
        is_wide = columns >= WIDE[0]
        head = Text(no_wrap=True, overflow="ellipsis").append(
            " Daly MQTT bridge " if is_wide else " Daly MQTT ", "bold reverse"
        )
        for part in [*self._title, *(["asleep"] if chip.is_asleep else [])]:
            head.append(("   " if is_wide else "  ") + part)
        return head

    def _foot(self, is_wide: bool) -> Text:
        """The keys; what is on is shown in reverse as a whole."""
        foot = _line("")
        if self._typed is not None:
            return foot.append(f" Console: {self._typed}█", "bold").append("  Enter: run it, Esc: back", "dim")
        if not self._has_keys:
            return foot.append(" Ctrl-C", "bold").append(" stops")
        names = [(key.char, key.name, key.char in self._keys.on) for key in self._keys.keys]
        if len(self._known.batteries()) > 1:
            names.append(("n", "next", False))
        for char, name, is_on in [*names, (":", "type", False), ("q", "quit", False)]:
            foot.append("  " if is_wide else " ").append(char, "bold reverse")
            foot.append(
                f" {name}" + (" off" if is_wide and name in ("broker", "Wi-Fi") else ""), "reverse yellow" if is_on else ""
            )
        return foot

    def _screen_size(self, is_huge: bool) -> tuple[int, int]:
        """Columns and rows of the picture of the screen, without its frame."""
        if self._screen is None:
            return 0, 0
        return (128, self._screen.rows // 2) if is_huge else (64, self._screen.rows // 4)

    def _narrow(self, columns: int, rows: int, battery: Battery, several: list) -> list[Layout]:
        """Stacked: the screen with the main values beside it, the words, the cells, the console."""
        width, height = self._screen_size(False)
        parts = []
        left = rows - 2
        if width:
            top = Layout(size=height + 2)
            values = Layout(self._few_values(battery), size=columns - width - 2)
            top.split_row(Layout(self._picture_panel(False), size=width + 2), values)
            parts.append(top)
            left -= height + 2
        words = self._words(battery, not width)
        parts.append(Layout(words, size=2 if width else 4))
        left -= 2 if width else 4
        if several:
            size = min(len(several[0].rows) + 1, max(3, left - 3))
            parts.append(Layout(several[0], size=size))
            left -= size
        cells = self._cells(battery, columns - 4, max(1, left - 5))
        size = min(len(cells.renderable.renderables) + 2, left - 3)
        if size >= 3:
            parts.append(Layout(cells, size=size))
            left -= size
        parts += self._extras(max(0, left - 4))
        return [*parts, Layout(Rule(Text("console", style="default"), style=BORDER), size=1), Layout(self._console_lines())]

    def _wide(self, columns: int, rows: int, battery: Battery, several: list) -> list[Layout]:
        """Screen and bridge on the left, the battery on the right, below the cells, the console and the messages."""
        is_huge = columns >= HUGE[0] and rows >= HUGE[1]
        width, height = self._screen_size(is_huge)
        top = Layout(size=max(height + 2 + 6, 16))
        right = Layout(self._battery_panel(battery))
        if width:
            left = Layout(size=width + 2)
            left.split_column(Layout(self._picture_panel(is_huge), size=height + 2), Layout(self._bridge_panel()))
            top.split_row(left, right)
        else:
            top.split_row(right, Layout(self._bridge_panel()))
        parts = [top]
        free = rows - 2 - top.size
        if several:
            size = min(len(several[0].rows) + 3, free - 8)
            parts.append(Layout(Panel(several[0], title="batteries", border_style=BORDER), size=size))
            free -= size
        cells = self._cells(battery, columns - 4, max(1, free - 8))
        size = len(cells.renderable.renderables) + 2
        parts.append(Layout(cells, size=min(size, max(3, free - 5))))
        free -= size
        extras = self._extras(max(0, free - 5))
        bottom = Layout()
        bottom.split_row(Layout(self._console_panel(), ratio=1), Layout(self._messages_panel(), ratio=1))
        return [*parts, *extras, bottom]

    def _picture_panel(self, is_huge: bool) -> Panel:
        key = (self._screen.bytes, is_huge)
        if key != self._picture[0]:
            rows = (half_blocks if is_huge else braille)(self._screen.image())
            self._picture = key, Text("\n".join(rows), style="#bee1ff on #050812", no_wrap=True)
        title = "the board's screen"
        return Panel(self._picture[1], title=title, border_style=BORDER, padding=0)

    # one battery

    def _few_values(self, battery: Battery) -> Group:
        """In 14 columns beside the screen."""
        v = battery.values
        if not battery.is_current:
            return Group(Text(), Text(" unavailable", style="bold red"), Text(" no number is\n shown", style="dim"))
        lines = [
            _value(v, "soc", "%", "bold"),
            Text(" ").append_text(_bar(v.get("soc"), 100, 12, _soc_style(v.get("soc")))),
            _value(v, "pack_voltage", "V"),
            _value(v, "current", "A"),
            _value(v, "power", "W"),
            Text(" " + (v.get("mode") or UNKNOWN), style=MODES.get(v.get("mode") or "", "")),
            _value(v, "remaining_capacity", "Ah"),
            _value(v, "energy_charged", "kWh", prefix="▲"),
            _value(v, "energy_discharged", "kWh", prefix="▼"),
            Text(" " + _temperatures(v), no_wrap=True, overflow="ellipsis"),
        ]
        return Group(*lines)

    def _words(self, battery: Battery, has_values: bool) -> Group:
        """Status, diagnosis, alarms and MOSFETs in two lines; with the values in two more, where there is no screen."""
        v = battery.values
        state = Text(" ").append_text(_status(battery))
        if not battery.is_current:  # the reason wraps into the second line
            return Group(state.append(": ").append(battery.reason))
        rows = [_line() for _ in range(4 if has_values else 2)]
        if has_values:
            for key, unit in (*MAIN, ("remaining_capacity", "Ah")):
                rows[0].append(f"{_text(v, key)} {unit}   ", "bold" if key == "soc" else "")
            rows[0].append(v.get("mode") or UNKNOWN, MODES.get(v.get("mode") or "", ""))
            energy = f"energy in {_text(v, 'energy_charged')} kWh, out {_text(v, 'energy_discharged')} kWh"
            rows[1].append(f"{energy}   {_temperatures(v)}")
        rows[-2].append_text(_status(battery)).append("  connection: ", BORDER)
        rows[-2].append(battery.reason or UNKNOWN, "" if battery.reason == "OK" else "yellow")
        rows[-1].append("alarms: ", BORDER).append_text(_alarms(battery))
        rows[-1].append("  MOSFETs: ", BORDER).append_text(_mosfets(battery))
        return Group(*rows)

    def _battery_panel(self, battery: Battery) -> Panel:
        """Everything of it in words."""
        title = f"{battery.key or 'battery'}, as published over MQTT"
        if not battery.is_current:
            body = Group(
                Text(),
                Text("unavailable", style="bold red", justify="center"),
                Text(),
                Text(battery.reason, justify="center"),
                Text(),
                Text("A number is shown only while it is current.", style="dim", justify="center"),
            )
            return Panel(body, title=title, border_style="red", padding=(0, 1))
        v = battery.values
        charge = Text(f"{_text(v, 'soc')} % ", style="bold").append_text(_bar(v.get("soc"), 100, 34, _soc_style(v.get("soc"))))
        mode = v.get("mode") or UNKNOWN
        table = Table.grid(padding=(0, 2), expand=True)
        for _ in range(2):
            table.add_column(style="bright_black", no_wrap=True)
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_row("voltage", f"{_text(v, 'pack_voltage')} V", "power", f"{_text(v, 'power')} W")
        table.add_row("current", f"{_text(v, 'current')} A", "mode", Text(mode, style=MODES.get(mode, "")))
        table.add_row("remaining", f"{_text(v, 'remaining_capacity')} Ah", *_time_left(v))
        table.add_row("energy in", f"{_text(v, 'energy_charged')} kWh", "out", f"{_text(v, 'energy_discharged')} kWh")
        table.add_row("temperature", _temperatures(v), "cycles", _text(v, "cycle_count"))
        words = Table.grid(padding=(0, 2))
        words.add_column(style="bright_black", no_wrap=True)
        words.add_column()
        words.add_row("connection", Text(battery.reason or UNKNOWN, style="" if battery.reason in ("OK", "") else "yellow"))
        words.add_row("alarms", _alarms(battery))
        words.add_row("MOSFETs", _mosfets(battery))
        if battery.result not in ("", "none"):
            words.add_row("command", Text(battery.result))
        is_bad = v.get("problem") == "ON"
        return Panel(
            Group(charge, Text(), table, Text(), words),
            title=Text(title + " ").append_text(_status(battery)),
            border_style="red" if is_bad else BORDER,
            padding=(0, 1),
        )

    def _cells(self, battery: Battery, width: int, most_rows: int) -> Panel:
        """A bar for each cell; with its voltage while there is room for it."""
        values = battery.values
        cells = [values.get(f"cell_{n}_voltage") for n in range(1, 49)]
        while cells and f"cell_{len(cells)}_voltage" not in values:
            cells.pop()
        known = [float(text) for text in cells if text is not None]
        if not known:
            is_bank = battery.key == "bank" and battery.is_current
            said = "of one battery: n shows the next" if is_bank else "no voltage is known now"
            return Panel(Group(Text(said, style="dim", justify="center")), title="cells", border_style=BORDER)
        columns = COLUMNS
        while -(-len(cells) // columns) > most_rows and columns < 8:
            columns += 1
        low, high = _span(known)
        rows = -(-len(cells) // columns)
        cell_width = width // columns
        body = []
        for row in range(min(rows, most_rows)):
            line = Text(no_wrap=True)
            for number in range(row + 1, len(cells) + 1, rows):
                line.append_text(_cell(number, cells[number - 1], battery, cell_width, low, high))
            body.append(line)
        title = Text("cells   ")
        title.append("▲", "green").append(f" {_text(values, 'max_cell_voltage')} V   ")
        title.append("▼", "magenta").append(f" {_text(values, 'min_cell_voltage')} V   ")
        title.append(f"delta {_text(values, 'cell_voltage_delta')} V   ")
        title.append("◆", "yellow").append(" balancing" if values.get("balancing_cells") else " none balancing")
        return Panel(Group(*body), title=title, border_style=BORDER, subtitle=f"bars from {low:.3f} to {high:.3f} V")

    # what is around it

    def _table(self, batteries: Sequence[Battery]) -> Table:
        """A row for each battery, the bank last."""
        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bright_black", expand=True)
        table.add_column("", width=1)
        table.add_column("", no_wrap=True)
        for name in ("%", "V", "A", "W"):
            table.add_column(name, no_wrap=True, justify="right")
        table.add_column("cells", no_wrap=True)
        table.add_column("alarms", no_wrap=True, overflow="ellipsis", ratio=1)
        chosen = self._shown % len(batteries)
        for number, battery in enumerate(batteries):
            v = battery.values
            lowest, highest = v.get("min_cell_voltage"), v.get("max_cell_voltage")
            cells = f"{lowest} to {highest}" if lowest and highest else ""
            if battery.key == "bank":
                said = f"{_text(v, 'batteries_online')} online: " + _text(v, "missing")
            elif battery.is_current:
                said = v.get("active_alarms") or ""
            else:
                said = battery.reason
            numbers = [_text(v, key) for key in ("soc", "pack_voltage", "current", "power")]
            name = Text(battery.key, style="" if battery.is_current else "red")
            table.add_row("▸" if number == chosen else "", name, *numbers, cells, Text(said))
        return table

    def _extras(self, most: int) -> list[Layout]:
        """LEDs, outputs and sensors, where there are any: at most so many rows."""
        rows = [row for row in (_lamps(), _loads()) if row is not None]
        for name, values in self._known.sources():
            rows.append(_line().append(f"{name}  ", "cyan").append(values))
        rows = rows[:most]
        return [Layout(Group(*rows), size=len(rows))] if rows else []

    def _bridge_panel(self) -> Panel:
        """The bridge's own state."""
        values = self._known.bridge()
        status = self._known.bridge_status or "not known"
        table = Table.grid(padding=(0, 2), expand=True)
        for _ in range(2):
            table.add_column(style="bright_black", no_wrap=True)
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        shown = Text(status, style="green" if status == "online" else "red")
        table.add_row("status", shown, "version", _text(values, "version"))
        uptime = values.get("uptime")
        table.add_row("uptime", UNKNOWN if uptime is None else f"{uptime} s", "protocol", _text(values, "protocol"))
        table.add_row("frames", _text(values, "frames_ok"), "errors", _text(values, "checksum_errors"))
        table.add_row("Wi-Fi", f"{_text(values, 'rssi')} dBm", "restart", _text(values, "restart_reason"))
        return Panel(table, title="bridge", border_style=BORDER)

    def _console_panel(self) -> Panel:
        return Panel(self._console_lines(), title="console", border_style=BORDER)

    def _console_lines(self) -> _End:
        return _End([Text(line) for line in list(self._log)[-60:]], True)

    def _messages_panel(self) -> Panel:
        rows = []
        for stamp, topic, text in list(self._known.recent)[-60:]:
            parts = topic.split("/")
            name = "/".join(parts[2:] or parts)
            if topic.endswith("/config"):
                name = "discovery of " + (re.sub(r"^daly_[^_]+_?", "", parts[-2]) or "bridge")
            rows.append(Text(stamp + " ").append(name + " ", "cyan").append(text))
        return Panel(_End(rows, False), title="messages", border_style=BORDER)


class _End:
    """The last lines of a list, as many as there is room for. `is_whole`: long ones go on in the next row, not cut off."""

    def __init__(self, lines: Sequence[Text], is_whole: bool):
        self._lines = lines
        self._is_whole = is_whole

    def __rich_console__(self, console, options):
        room = options.height or options.max_height
        rows: list[Text] = []
        for line in reversed(self._lines):
            if len(rows) >= room:
                break
            if self._is_whole:
                rows[:0] = line.wrap(console, options.max_width)
            else:
                line.no_wrap, line.overflow = True, "ellipsis"
                rows.insert(0, line)
        yield from rows[-room:]


class Terminal:
    """The keyboard: characters as they are typed, without echo, if it is a terminal and this program is in its foreground.

    What is typed for the chip's console goes through a pipe.
    """

    def __init__(self, descriptor: int = 0):
        self._descriptor = descriptor
        self._before: list | None = None  # how the terminal was set
        self._writer = -1

    @property
    def has_keys(self) -> bool:
        """Whether characters come from a keyboard."""
        return self._before is not None

    def take(self) -> None:
        """Set the terminal: no echo, no waiting for Enter; Ctrl-C stays, Ctrl-Z would leave the picture standing."""
        if not self._is_ours():
            return
        try:
            before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSANOW)
            now = termios.tcgetattr(self._descriptor)
            now[6][termios.VSUSP] = b"\0"
            termios.tcsetattr(self._descriptor, termios.TCSANOW, now)
        except termios.error:
            return
        self._before = before
        reader, self._writer = os.pipe()
        keyboard.console.read_from(reader)

    def restore(self) -> None:
        """Set it as it was."""
        if self._before is not None:
            try:
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)
            except termios.error:
                pass  # the terminal is gone
            self._before = None

    def typed(self, seconds: float) -> str:
        """What is typed within so many seconds."""
        if not self.has_keys or not self._is_ours():
            time.sleep(seconds)
            return ""
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return ""
        try:
            data = os.read(self._descriptor, 64)
        except OSError:
            data = b""
        if not data:  # the terminal is gone
            time.sleep(seconds)
        text = data.decode("utf-8", "replace")
        return "\x1b" if text.startswith("\x1b") else text  # an arrow or the like is one key, which means nothing

    def send(self, text: str) -> None:
        """Type a text on the chip's console."""
        os.write(self._writer, text.encode())

    def _is_ours(self) -> bool:
        """A program in the background of a terminal would be stopped for reading it, and for setting it."""
        try:
            return os.isatty(self._descriptor) and os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return False


# words and bars


def _text(values: dict, key: str) -> str:
    """A value as it was published."""
    value = values.get(key)
    return UNKNOWN if value is None else str(value)


def _value(values: dict, key: str, unit: str, style: str = "", prefix: str = "") -> Text:
    return Text(f" {prefix}{_text(values, key)} {unit}", style=style, no_wrap=True, overflow="ellipsis")


def _soc_style(soc) -> str:
    percent = float(soc or 0)
    return "red" if percent < 15 else "yellow" if percent < 30 else "green"


def _bar(value, most: float, width: int, style: str) -> Text:
    """A bar in eighths of a character; empty where the value is not known."""
    eighths = 0 if value is None else max(0, min(8 * width, round(8 * width * float(value) / most)))
    full, rest = divmod(eighths, 8)
    text = "█" * full + (BLOCKS[rest] if rest else "")
    return Text().append(text, style).append("░" * (width - len(text)), "bright_black")


def _temperatures(values: dict) -> str:
    found = [values.get(f"temperature_{n}") for n in range(1, 17) if f"temperature_{n}" in values]
    texts = [UNKNOWN if value is None else value for value in found]
    if not texts:
        lowest, highest = _text(values, "min_temperature"), _text(values, "max_temperature")
        return f"{lowest} to {highest} °C" if lowest != UNKNOWN else UNKNOWN
    return (", ".join(texts) if len(texts) <= 4 else f"{texts[0]}, {texts[1]}, … {texts[-1]}") + " °C"


def _time_left(values: dict) -> tuple[str, str]:
    """Its name and the hours until full or empty."""
    for key, name in (("time_to_full", "full in"), ("time_to_empty", "empty in")):
        if values.get(key) is not None:
            return name, f"{values[key]} h"
    return "empty in", UNKNOWN


def _status(battery: Battery) -> Text:
    if battery.is_current:
        return Text("● " + battery.status, style="bold green")
    return Text("○ unavailable" if battery.status else "○ waiting", style="bold red" if battery.status else "bold yellow")


def _alarms(battery: Battery) -> Text:
    """The active alarms in words."""
    alarms = battery.values.get("active_alarms")
    return Text(alarms or UNKNOWN, style="" if alarms in ("none", None) else "bold red")


def _mosfets(battery: Battery) -> Text:
    text = Text()
    for name in ("charge", "discharge"):
        state = battery.values.get(name + "_mosfet")
        style = {"ON": "green", "OFF": "bold red"}.get(state or "", "")
        text.append(f"{', ' if text else ''}{name} ").append({"ON": "on", "OFF": "off"}.get(state or "", UNKNOWN), style)
    return text


def _line(start: str = " ") -> Text:
    """A row that is cut off, not wrapped."""
    return Text(start, no_wrap=True, overflow="ellipsis")


def _span(known: list[float]) -> tuple[float, float]:
    """Voltages where the bars begin and end."""
    middle, half = (max(known) + min(known)) / 2, max(LEAST_SPAN_MV / 2000, 0.55 * (max(known) - min(known)))
    return middle - half, middle + half


def _cell(number: int, value, battery: Battery, width: int, low: float, high: float) -> Text:
    """`12▲3.302 ███▌░ `: the number, a mark, the voltage, a bar."""
    marks = []
    if battery.values.get("max_voltage_cell") == str(number):
        marks.append(("▲", "green"))
    if battery.values.get("min_voltage_cell") == str(number):
        marks.append(("▼", "magenta"))
    balancing = battery.values.get("balancing_cells") or []
    if str(number) in balancing:
        marks.insert(0, ("◆", "yellow"))
    mark, style = marks[0] if marks else (" ", "cyan")
    text = Text().append(f"{number:2}", "bright_black")
    if width >= 12:
        second = marks[1][0] if len(marks) > 1 else " "
        text.append(mark + second if width >= 18 else mark, style).append(f"{UNKNOWN if value is None else value:>5} ")
    else:
        text.append(mark, style)
    room = width - len(text) - 1
    bar = None if value is None else float(value) - low
    return text.append_text(_bar(bar, high - low, max(1, room), style)).append(" ")


def _lamps() -> Text | None:
    """The LEDs of the chip as they shine, in one row; None: there is none."""
    row = _line()
    for pin, lamp in sorted(chip.lamps.items()):
        levels = lamp.levels * 3 if len(lamp.levels) == 1 else lamp.levels
        shade = "#" + "".join(f"{40 + 215 * min(100, 3 * level) // 100:02x}" for level in levels)  # dim ones are to be seen
        row.append("● ", shade).append(f"LED on {pin}: {lamp.text}  ")
    return row if chip.lamps else None


def _loads() -> Text | None:
    """What the outputs of the chip switch, by the levels of their pins, in one row; None: there is no output."""
    row = _line()
    for pin, load in sorted(chip.loads.items()):
        row.append("■ " if load.is_on else "□ ", "green" if load.is_on else "")
        row.append(f"{pin} {load.name} {'on' if load.is_on else 'off'}  ")
    return row if chip.loads else None


def is_possible() -> bool:
    """Whether standard output is a terminal that can show it."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
