# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The answers of the server: one that is made while it is sent, and one that is a file."""


class Made:
    """The answer that is made while it is sent: its steps, a generator, put something into `writer`, or nothing, each time.

    `now`: ticks of the step that is made. There is one, which is used again and again.
    """

    length = None
    is_gzip = False

    def __init__(self, writer):
        self.content_type = self.extra = b""
        self.now = 0
        self._writer = writer
        self._steps = None  # None: it is free
        self._left = 0  # bytes of the writer that have not been asked for yet

    @property
    def is_busy(self):
        """Whether it is being sent."""
        return self._steps is not None

    def begin(self, steps, content_type, extra):
        """Begin another answer; returns self."""
        self.content_type = content_type
        self.extra = extra
        self._steps = steps
        self._left = 0
        return self

    def readinto(self, buffer, now):
        """Fill `buffer`, a memoryview; returns the bytes, 0: nothing yet, ask again in a later pass, -1: this is the end."""
        if not self._left:
            self.now = now
            self._writer.clear()
            try:
                next(self._steps)
            except StopIteration:  # also of the step behind the last one
                if not len(self._writer):
                    return -1
            self._left = len(self._writer)
            self._writer.rewind()
        count = min(self._left, len(buffer))
        if count:
            self._writer.readinto(buffer[:count])
            self._left -= count
        return count

    def close(self):
        """It is not asked for any more, whole or not."""
        self._steps.close()
        self._steps = None


class Page:
    """A file as an answer."""

    content_type = b"text/html; charset=utf-8"
    extra = b"Cache-Control: no-cache\r\n"  # asked for again each time: the next version has the same address

    def __init__(self, file, is_gzip):
        self.is_gzip = is_gzip
        self._file = file
        self.length = file.seek(0, 2)
        file.seek(0)

    def readinto(self, buffer, _now):
        """As of Made."""
        return self._file.readinto(buffer) or -1

    def close(self):
        """As of Made."""
        self._file.close()
