# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs inside MicroPython, not here: CircuitPython's socketpool over MicroPython's sockets, as thin as can be.

A socket that is closed by its client is ENOTCONN where nothing is waited for, as on the board; `exceptions` counts what is
raised because there is nothing.
"""

import errno
import io
import socket

GET_FILENO = 10  # what select.poll asks a stream: MP_STREAM_GET_FILENO

exceptions = 0


class Never(Exception):
    """What MicroPython does not have and is never raised."""


class Radio:
    """Always connected."""

    ipv4_address = "127.0.0.1"


class SocketPool:
    """The pool of the only radio."""

    AF_INET = socket.AF_INET
    SOCK_STREAM = socket.SOCK_STREAM
    SOL_SOCKET = socket.SOL_SOCKET
    SO_REUSEADDR = socket.SO_REUSEADDR
    IPPROTO_TCP, TCP_NODELAY = 6, 1

    def __init__(self, radio=None):
        pass

    def socket(self, family=0, kind=0):
        """A new socket."""
        return Socket(socket.socket())

    def getaddrinfo(self, *arguments):
        """As MicroPython's."""
        return socket.getaddrinfo(*arguments)


class Socket(io.IOBase):
    """One socket; a stream, so that select.poll takes it."""

    def __init__(self, inner):
        self._inner = inner
        self._timeout = None

    def ioctl(self, request, argument):
        return self._inner.fileno() if request == GET_FILENO else -1

    def settimeout(self, seconds):
        self._timeout = seconds
        self._inner.settimeout(seconds)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0)

    def setsockopt(self, *arguments):
        self._inner.setsockopt(*arguments)

    def bind(self, address):
        self._inner.bind(socket.getaddrinfo(address[0] or "0.0.0.0", address[1])[0][-1])

    def listen(self, backlog):
        self._inner.listen(backlog)

    def accept(self):
        try:
            inner, _ = self._inner.accept()
        except OSError:
            _count()
            raise
        accepted = Socket(inner)
        accepted.settimeout(0)  # as an ESP32's is
        return accepted, ("127.0.0.1", 0)

    def recv_into(self, buffer, size=0):
        count = self._inner.readinto(memoryview(buffer)[: size or len(buffer)])
        if count is None:
            _count()
            raise OSError(errno.EAGAIN if self._timeout == 0 else errno.ETIMEDOUT)
        if not count and self._timeout == 0:
            raise OSError(errno.ENOTCONN)
        return count

    def send(self, data):
        sent = self._inner.write(data)
        if sent is None:
            _count()
            raise OSError(errno.EAGAIN)
        return sent

    def close(self):
        self._inner.close()


def _count():
    global exceptions
    exceptions += 1
