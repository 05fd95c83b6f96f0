# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The output of the emulator: a log (Plain); the live view is in dashboard.py. What both need: streams, messages, pictures.

Both have start, stop, line, published and disconnected. They write through an Outlet: the firmware never waits for a terminal.
"""

from __future__ import annotations

import errno
import io
import os
import queue
import signal
import threading
import time
import weakref

from host import known

# shortest interval between two pictures of the screen in the log; tests set a shorter one
_PICTURE_S = float(os.environ.get("DALY_HOST_PICTURE_S", "5"))


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
    """Call `view.published` for every MQTT message that a socket has taken, whoever sends it, with or without TLS; and
    `view.disconnected` when the connection is closed."""
    from socketpool import Socket

    send, close = Socket.send, Socket.close
    streams: dict = weakref.WeakKeyDictionary()

    def watched_send(socket, data):
        count = send(socket, data)
        for topic, payload in streams.setdefault(socket, Published()).feed(bytes(data[:count])):
            view.published(topic, payload.decode("utf-8", "replace"))
        return count

    def watched_close(socket):
        if socket in streams and streams.pop(socket).is_mqtt:
            view.disconnected()
        close(socket)

    Socket.send = watched_send  # type: ignore[method-assign]
    Socket.close = watched_close  # type: ignore[method-assign]


class Published:
    """The messages in what a client sends: PUBLISH packets of MQTT 3.1.1. What does not begin with a CONNECT is not MQTT."""

    def __init__(self):
        self._data = b""
        self.is_mqtt = None  # None: nothing was sent yet

    def feed(self, data: bytes) -> list:
        """(topic, payload) of each message that is complete with `data`."""
        if self.is_mqtt is None and data:
            self.is_mqtt = data[0] == 0x10
        if not self.is_mqtt:
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
    """A log with one time-stamped line for each event. `is_whole`: long messages as they are, else in short."""

    def __init__(self, screen, is_whole=True, outlet=None):
        self._screen = screen
        self._is_whole = is_whole
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
        self.line(f"-> {topic} {payload if self._is_whole else known.short(topic, payload)}")

    def disconnected(self) -> None:
        """The console says it."""

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
