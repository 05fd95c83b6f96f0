# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A connection of the server in server.py: its request, and the answer. Loaded while somebody looks at the page.

A line of a request is looked at where it has arrived; what is not needed is not kept.
"""

import errno

from adafruit_ticks import ticks_add, ticks_diff

from .answers import REFUSALS, is_password
from .server import BUFFER, POLLIN, POLLOUT, WAIT_MS

LARGEST_LINE = 256  # bytes of the request line
LARGEST_HEAD = 4096  # bytes of request line and headers
HEAD_MS = 5000  # until a request is complete
PROGRESS_MS = 10000  # until something more of the answer must have been taken
ANSWER_MS = 60000  # until all of it must have been
LINGER_MS = 1000  # for what the client still sends: closing before would take the answer from it
_LINE = 512  # of it for lines; a longer header is none that is needed
_LINES = 16  # looked at in one step
_CHUNK = 5  # bytes before a chunk: "3fa\r\n"
_TAIL = 7  # behind it: its end, and the chunk that says that there are no more
_ENOUGH = 500  # made of an answer until it is sent: each packet takes time, too
_METHODS = (b"GET", b"HEAD")

_HEADERS = b"Connection: close\r\nX-Content-Type-Options: nosniff\r\n"
_NO_STORE = b"Cache-Control: no-store\r\n"
# The page has its styles and its script in it, an icon as data, and asks only this server.
_POLICY = (
    b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    b"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
)


class Client:
    """A connection: it reads a request, asks for the answer, sends it, and lingers where the client still sends.

    `is_dispensable`: it has no complete request, or has been answered.
    """

    def __init__(self, server, socket, buffer, poll, now):
        self.socket = socket
        self.buffer = buffer
        self.is_dispensable = True
        self.is_waiting = False  # for its turn
        self._server = server
        self._poll = poll
        self._view = memoryview(buffer)
        self._step = self._read
        self._due = now
        self._limit = ticks_add(now, HEAD_MS)
        self._last_limit = ticks_add(now, HEAD_MS + ANSWER_MS)
        self._begin = self._end = 0  # what is in the buffer, or of `_piece` still to be sent
        self._received = 0  # bytes of the request
        self._is_skipping = False  # the rest of a line that is too long
        self._has_lines = False  # in the buffer
        self._method = b""
        self._target = ""
        self._authorization = b""
        self._is_new = False  # HTTP/1.1
        self._lingers = True  # something of the client may be unread
        self._answer = None
        self._piece = None  # what is sent
        self._made = 0  # bytes of the next piece in the buffer
        self._is_chunked = False

    def is_over(self, now):
        """Whether it has been waited for long enough."""
        return ticks_diff(now, self._limit) > 0 or ticks_diff(now, self._last_limit) > 0

    def is_due(self, now, is_ready):
        """Whether a step may do something; `is_ready`: its socket has something, or room."""
        return self._has_lines or (is_ready and ticks_diff(now, self._due) >= 0)

    def note_waiting(self, is_waiting):
        """Whether it waits for its turn."""
        self.is_waiting = is_waiting

    def step(self, now):
        """One step; False: the connection is over."""
        return self._step(now)

    def close(self):
        """Close connection and answer; the buffer is used by another from now on."""
        self.socket.close()
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    # the request

    def _read(self, now):
        if not self._has_lines:
            count = self._receive(self._view[self._end : _LINE], now)
            if count <= 0:
                return count == 0
            self._received += count
            self._end += count
        return self._take_lines(now)

    def _receive(self, view, now):
        """Bytes received; 0: nothing is there, -1: the client has gone."""
        try:
            return self.socket.recv_into(view) or -1
        except OSError as error:
            self._due = ticks_add(now, WAIT_MS)
            return 0 if error.errno in (errno.EAGAIN, errno.ETIMEDOUT) else -1

    def _take_lines(self, now):
        """Look at the lines that have arrived, some at a time."""
        buffer = self.buffer
        begin = 0
        self._has_lines = False
        for _ in range(_LINES):
            end = buffer.find(b"\n", begin, self._end)
            if end < 0:
                break
            is_empty = end == begin or (end == begin + 1 and buffer[begin] == 13)
            if self._is_skipping:
                self._is_skipping = False
            elif not self._method:
                if not is_empty:  # some clients send one before a request
                    status = self._take_request(begin, end)
                    if status:
                        return self._refuse(status, now)
            elif is_empty:
                return self._complete(end + 1, now)
            elif buffer[begin] | 32 == 97:  # an "a": no other header matters
                self._take_header(bytes(self._view[begin:end]))
            begin = end + 1
        else:
            self._has_lines = True
        rest = self._end - begin
        if self._received - (rest if self._has_lines else 0) > LARGEST_HEAD:
            return self._refuse(431, now)
        if not self._method and rest > LARGEST_LINE:
            return self._refuse(414, now)
        if self._is_skipping or rest == _LINE:
            self._is_skipping = True
            rest = 0
        elif begin:
            buffer[:rest] = self._view[begin : self._end]
        self._end = rest
        return True

    def _take_request(self, begin, end):
        """Take the request line; returns the status of a bad one, else 0."""
        if self.buffer[end - 1] == 13:
            end -= 1
        if end - begin > LARGEST_LINE:
            return 414
        words = bytes(self._view[begin:end]).split(b" ")
        if len(words) != 3 or not words[0]:
            return 400
        if words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            return 505 if words[2].startswith(b"HTTP/") else 400
        self._method = words[0]
        self._is_new = words[2] == b"HTTP/1.1"
        try:
            target = words[1].decode()
        except ValueError:
            return 400
        if target.startswith("http://"):  # as to a proxy, which HTTP/1.1 allows
            slash = target.find("/", 7)
            target = target[slash:] if slash >= 0 else "/"
        if not target.startswith("/") and self._method in _METHODS:
            return 400
        self._target = target
        return 0

    def _take_header(self, line):
        if line[:14].lower() == b"authorization:":
            self._authorization = line[14:].strip()

    def _complete(self, end, now):
        """The request is complete, up to `end` of what has arrived."""
        if self._received - (self._end - end) > LARGEST_HEAD:
            return self._refuse(431, now)
        self._lingers = self._end > end or self._method not in _METHODS  # a body, or the next request
        password = self._server.password
        if password and not is_password(self._authorization, password):
            return self._refuse(401, now)
        if self._method not in _METHODS:
            return self._refuse(405, now)
        self.is_dispensable = False
        self._note_progress(now)
        self._begin_sending(self._ask)
        return self._ask(now)

    # the answer

    def _note_progress(self, now):
        self._limit = ticks_add(now, PROGRESS_MS)

    def _begin_sending(self, step):
        self._step = step
        self._has_lines = False
        if self._poll is not None:
            self._poll.modify(self.socket, POLLOUT)

    def _ask(self, now):
        answer = self._server.open(self, self._target, now)
        if answer is None:
            return self._refuse(404, now)
        if answer is False:
            self._due = ticks_add(now, WAIT_MS)
            return ticks_diff(self._limit, now) > 2 * WAIT_MS or self._refuse(503, now)
        self._answer = answer
        length = answer.length
        self._is_chunked = length is None and self._is_new
        head = b"HTTP/1.1 200 OK\r\n" + _HEADERS + b"Content-Type: " + answer.content_type + b"\r\n" + answer.extra
        if b"Cache-Control:" not in answer.extra:
            head += _NO_STORE
        if answer.content_type.startswith(b"text/html"):
            head += _POLICY
        if answer.is_gzip:
            head += b"Content-Encoding: gzip\r\n"
        if length is not None:
            head += f"Content-Length: {length}\r\n".encode()
        elif self._is_chunked:
            head += b"Transfer-Encoding: chunked\r\n"
        if self._method == b"HEAD":
            self._answer = None
            answer.close()
        return self._send_first(head + b"\r\n", now)

    def _refuse(self, status, now):
        """Answer with a status that is no success."""
        line, header, text = REFUSALS[status]
        head = b"HTTP/1.1 " + line + b"\r\n" + header + _HEADERS + _NO_STORE
        head += f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n".encode()
        self._note_progress(now)
        self.is_dispensable = self.is_waiting = False
        return self._send_first(head if self._method == b"HEAD" else head + text, now)

    def _send_first(self, data, now):
        self._server.count()
        self._begin = 0
        self._end = len(data)
        self._piece = memoryview(data)
        self._begin_sending(self._send)
        return self._send(now)

    def _send(self, now):
        """Send some of the answer; where nothing is left of a piece, the next one is made."""
        if self._begin == self._end and not self._fill(now):
            return self._answer is not None or self._linger(now)
        try:
            sent = self.socket.send(self._piece[self._begin : self._end])
        except OSError as error:
            self._due = ticks_add(now, WAIT_MS)
            return error.errno in (errno.EAGAIN, errno.ETIMEDOUT)
        if sent:
            self._begin += sent
            self._note_progress(now)
        return True

    def _fill(self, now):
        """Make some more of the next piece; False: it is not long enough to be sent, or there is none."""
        if self._answer is None:
            return False
        count = self._answer.readinto(self._view[_CHUNK + self._made : BUFFER - _TAIL], now)
        if count >= 0:
            self._made += count
            if self._made < _ENOUGH:
                return False
        else:
            self._answer.close()
            self._answer = None
        self._piece = self._view
        self._begin = begin = _CHUNK
        self._end = end = begin + self._made
        if self._is_chunked:
            if self._made:
                self._begin = 0
                self.buffer[:begin] = b"%03x\r\n" % self._made
                self.buffer[end : end + 2] = b"\r\n"
                self._end = end = end + 2
            if count < 0:
                self.buffer[end : end + 5] = b"0\r\n\r\n"
                self._end = end + 5
        self._made = 0
        return self._begin < self._end

    # the end

    def _linger(self, now):
        """All is sent; what the client still sends is read for a moment: closing with it unread would reset the connection,
        and the answer would be lost."""
        if not self._lingers:
            return False
        self.is_dispensable = True
        self._limit = ticks_add(now, LINGER_MS)
        self._step = self._discard
        if self._poll is not None:
            self._poll.modify(self.socket, POLLIN)
        return True

    def _discard(self, now):
        return self._receive(self._view, now) >= 0
