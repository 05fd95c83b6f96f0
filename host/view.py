"""What a person sees of the firmware: a log line by line (Plain) or a live picture of the screen (Live).

Both have start, stop, line and published. Lines are written straight to the file descriptor: a watchdog bite may come in
the middle of one, and Python's buffered output cannot be entered twice.
"""

from __future__ import annotations

import collections
import io
import os
import sys
import threading
import time

from adafruit_minimqtt.adafruit_minimqtt import MQTT

from host import chip

_PICTURE_S = 5  # the log shows a changed screen at most this often
_HALF_WIDTH = 132  # columns a terminal needs for the picture in half blocks and its frame


class Lines(io.TextIOBase):
    """Where print() goes: hands whole lines on."""

    def __init__(self, sink):
        self._sink = sink
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._sink(line.rstrip("\r"))
        return len(text)


def watch_messages(view) -> None:
    """Tell `view` of every message MiniMQTT has sent, with or without TLS."""
    send = MQTT.publish

    def publish(client, topic, msg, *arguments, **options):
        send(client, topic, msg, *arguments, **options)
        view.published(topic, msg.decode("utf-8", "replace") if isinstance(msg, bytes) else str(msg))

    MQTT.publish = publish


class Plain:
    """One time-stamped line for each thing that happens."""

    def __init__(self, screen, _title):
        self._screen = screen
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch_screen, daemon=True)

    def start(self) -> None:
        if self._screen is not None:
            self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def line(self, text: str) -> None:
        now = time.time()
        stamp = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"
        _write(f"{stamp} {text}\n")

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
                _write("".join(f"{'':12} |{row}|\n" for row in picture))


class Live:
    """The screen as it looks, the latest message of each topic and the end of the log, redrawn in place."""

    def __init__(self, screen, title):
        from rich.console import Console
        from rich.live import Live as RichLive

        self._screen = screen
        self._title = title
        self._topics = {}
        self._log = collections.deque(maxlen=200)
        self._drawn = (-1, None)
        self._console = Console(file=sys.__stdout__)
        self._live = RichLive(
            get_renderable=self._render,
            console=self._console,
            screen=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        self._live.start()

    def stop(self) -> None:
        """Give the terminal back, leaving the end of the log on it."""
        self._live.stop()
        _write("".join(line + "\n" for line in list(self._log)[-20:]))

    def line(self, text: str) -> None:
        self._log.append(f"{time.strftime('%H:%M:%S')} {text}")

    def published(self, topic: str, payload: str) -> None:
        self._topics.pop(topic, None)  # the latest goes last
        self._topics[topic] = payload

    def _render(self):
        from rich.console import Group
        from rich.panel import Panel

        wide = self._console.width >= _HALF_WIDTH
        parts = [self._title]
        if self._screen is not None:
            parts.append(Panel.fit(self._picture(wide), title="screen", border_style="bright_black"))
        room = self._console.height - 6 - (0 if self._screen is None else self._screen.rows // (2 if wide else 4) + 2)
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
    """Text in which rich looks for no markup: payloads have square brackets."""
    from rich.text import Text

    return Text(text)


def _write(text: str) -> None:
    data = text.encode("utf-8", "replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except BrokenPipeError:  # as in `python -m host | head`: nobody listens any more
        if threading.current_thread() is threading.main_thread():
            raise chip.PowerOff from None
