# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The answers of the server: one made while it is sent, one that is a file, and refusals; and the look at the password."""

import binascii

# status line, one header more, what a person reads
REFUSALS = {
    400: (b"400 Bad Request", b"", b"This request is not understood.\n"),
    401: (
        b"401 Unauthorized",
        b'WWW-Authenticate: Basic realm="Daly bridge", charset="UTF-8"\r\n',
        b"The password is the one of WEB_PASSWORD in settings.toml; the user name does not matter.\n",
    ),
    404: (b"404 Not Found", b"", b"There is nothing at this address.\n"),
    405: (b"405 Method Not Allowed", b"Allow: GET, HEAD\r\n", b"This server is only for reading.\n"),
    414: (b"414 URI Too Long", b"", b"The address is too long.\n"),
    431: (b"431 Request Header Fields Too Large", b"", b"The request is too large.\n"),
    503: (b"503 Service Unavailable", b"Retry-After: 1\r\n", b"Busy: try again.\n"),
    505: (b"505 HTTP Version Not Supported", b"", b"This server speaks HTTP/1.1.\n"),
}


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


def is_password(authorization, password):
    """Whether the value of the header, b"Basic <base64>", has this password; the user name does not matter.

    It takes equally long whatever is wrong.
    """
    if authorization[:6].lower() != b"basic ":
        return False
    try:
        given = binascii.a2b_base64(authorization[6:])
    except ValueError:
        return False
    begin = given.find(b":") + 1
    difference = (0 if begin else 1) | (len(given) - begin ^ len(password))
    for i in range(len(password)):
        difference |= password[i] ^ (given[begin + i] if begin + i < len(given) else 0)
    return difference == 0
