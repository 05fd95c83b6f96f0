# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A program in a terminal: a pty with a screen of its own (pyte), which shows what a person would see."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pyte

ROOT = Path(__file__).resolve().parent.parent
STARTS_S = 60  # on a busy machine


class Terminal:
    """`python -m host` with these arguments on so many columns and rows. `output`: all bytes that it has written."""

    def __init__(self, *arguments, columns=80, rows=24, **environment):
        self.output = bytearray()
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._master, self.slave = pty.openpty()
        self._set_size(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        given = {**os.environ, "TERM": "xterm-256color", **environment}
        given.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
        self.process = subprocess.Popen(
            [sys.executable, "-m", "host", *map(str, arguments)],
            cwd=ROOT,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=given,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while not self._ended:
            if select.select([self._master], [], [], 0.05)[0]:
                data = os.read(self._master, 65536)
                with self._lock:
                    self.output += data
                    self._stream.feed(data)

    def _set_size(self, columns, rows):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        """As with the mouse."""
        with self._lock:
            self._screen.resize(rows, columns)
            self._set_size(columns, rows)

    @property
    def rows(self):
        """The rows as they look."""
        with self._lock:
            return list(self._screen.display)

    @property
    def text(self):
        return "\n".join(self.rows)

    def type(self, text):
        os.write(self._master, text.encode())

    def wait(self, condition, seconds=STARTS_S):
        """Wait until the condition holds for the text, and return it; fails with what is shown."""
        end = time.monotonic() + seconds
        while not condition(text := self.text):
            assert time.monotonic() < end and self.process.poll() is None, f"status {self.process.poll()}\n{self.text}"
            time.sleep(0.05)
        return text

    def wait_for(self, *texts, seconds=STARTS_S):
        self.wait(lambda shown: all(text in shown for text in texts), seconds)

    def exit_status(self, seconds=20):
        """Wait for the end, and for the last bytes."""
        status = self.process.wait(seconds)
        time.sleep(0.2)
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
        self._ended = True
        self._reader.join(5)
        for descriptor in (self._master, self.slave):
            with contextlib.suppress(OSError):
                os.close(descriptor)
