# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's socketpool with the behaviour of ports/espressif/common-hal/socketpool/Socket.c.

Sockets never block underneath: sending accepts what fits and raises EAGAIN otherwise; only receiving and connecting
wait. A closed peer is 0 bytes while there is a timeout and ENOTCONN without; a broken connection looks
like silence until the timeout. The pool has no `timeout` attribute, which is how MiniMQTT tells the board from a PC.
"""

from __future__ import annotations

import contextlib as _contextlib
import errno as _errno
import os as _os
import select as _select
import socket as _socket
import ssl as _ssl

from host import chip as _chip
from host import trouble as _trouble

_NAME_SERVER_S = 7.0  # lwIP sends four requests, 1 to 3 s apart
_SEND_BUFFER = 576000  # bytes, as lwIP has it on the ESP32; Linux doubles it for its own bookkeeping
_POLLIN, _POLLOUT = 1, 4
_NOT_YET = (BlockingIOError, _ssl.SSLWantReadError, _ssl.SSLWantWriteError)


class SocketPool:
    class gaierror(OSError):
        pass

    AF_INET = _socket.AF_INET
    AF_INET6 = _socket.AF_INET6
    SOCK_STREAM = _socket.SOCK_STREAM
    SOCK_DGRAM = _socket.SOCK_DGRAM
    EAI_NONAME = -2
    SOL_SOCKET = _socket.SOL_SOCKET
    SO_REUSEADDR = _socket.SO_REUSEADDR
    TCP_NODELAY = _socket.TCP_NODELAY
    IPPROTO_IP = _socket.IPPROTO_IP
    IPPROTO_TCP = _socket.IPPROTO_TCP
    IPPROTO_UDP = _socket.IPPROTO_UDP

    def __init__(self, radio) -> None:
        self._radio = radio

    def socket(self, family=AF_INET, type=SOCK_STREAM, proto=IPPROTO_IP) -> Socket:
        _trouble.count("sockets")
        try:
            return Socket(_chip.network.socket(family, type, proto))
        except OSError:
            raise RuntimeError("Out of sockets") from None

    def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):
        return _resolve(host, port, family, type, proto, flags)


class Socket:
    def __init__(self, inner) -> None:
        self._inner = inner
        self._timeout = None
        self._address = _trouble.of("address")
        self._unsent = b""  # while there is no network
        inner.setblocking(False)
        inner.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _SEND_BUFFER)

    def __hash__(self) -> int:
        return id(self)

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_exception) -> None:
        self.close()

    @property
    def type(self) -> int:
        return self._inner.type

    def settimeout(self, value) -> None:
        self._timeout = value

    def setblocking(self, flag) -> None:
        self._timeout = None if flag else 0

    def setsockopt(self, level, optname, value) -> None:
        self._open().setsockopt(level, optname, value)

    def bind(self, address) -> None:
        host, port = address
        inner = self._open()
        inner.bind((_resolve(host, port, inner.family, inner.type)[0][4][0] if host else "", port))

    def listen(self, backlog) -> None:
        with _contextlib.suppress(OSError):  # the board does not tell
            self._open().listen(backlog)

    def accept(self) -> tuple[Socket, tuple[str, int]]:
        """OSError(EAGAIN) for whatever reason when not to wait; ETIMEDOUT when nobody came in time."""
        end_at = None if self._timeout is None else _chip.clock.monotonic() + self._timeout
        while True:
            inner = self._open()
            try:
                if _trouble.is_networked():
                    accepted, address = inner.accept()
                    _trouble.count("sockets")
                    socket = Socket(accepted)
                    socket._timeout = 0  # the memory of a new object is zero, and nothing else is set
                    return socket, address
            except OSError:
                pass
            if self._timeout == 0:
                raise _error(_errno.EAGAIN)
            _pause(end_at)

    def connect(self, address) -> None:
        inner = self._open()
        if not _trouble.is_networked():
            raise _error(_errno.EHOSTUNREACH)
        address = _resolve(*address, inner.family, inner.type)[0][4]
        inner.settimeout(self._timeout)
        try:
            inner.connect(address)
        except TimeoutError:
            raise _error(_errno.ETIMEDOUT) from None
        finally:
            inner.setblocking(False)

    def send(self, bytes) -> int:
        if not self._is_alive():
            return self._keep(bytes)
        try:
            if self._unsent:
                self._unsent = self._unsent[self._open().send(self._unsent) :]
                raise _error(_errno.EAGAIN)
            return self._open().send(bytes)
        except _NOT_YET:
            raise _error(_errno.EAGAIN) from None

    def sendto(self, bytes, address) -> int:
        return self._open().sendto(bytes, _resolve(*address, self._inner.family, self._inner.type)[0][4])

    def sendall(self, bytes) -> None:
        view = memoryview(bytes)
        while view:
            try:
                view = view[self.send(view) :]
            except OSError as error:
                if error.errno != _errno.EAGAIN:
                    raise
                _select.select([], [self._inner], [], 1)

    def recv_into(self, buffer, bufsize=0) -> int:
        """Bytes received; 0 when the peer closed. OSError(ETIMEDOUT) when none came in time, EAGAIN when not to wait."""
        end_at = None if self._timeout is None else _chip.clock.monotonic() + self._timeout
        while True:
            if not self._is_alive():
                self._wait_without_network(end_at)
                continue
            try:
                count = self._open().recv_into(buffer, bufsize)
                if count == 0 and self._timeout == 0:
                    raise _error(_errno.ENOTCONN)
                return count
            except _NOT_YET:
                self._wait(end_at)
            except (ConnectionError, _ssl.SSLError):  # for the board's driver this is the same as silence
                if self._timeout == 0:
                    raise _error(_errno.EAGAIN) from None
                _pause(end_at)

    def close(self) -> None:
        if self._inner is not None:
            self._inner.close()
        self._inner = None

    def _has(self, mask) -> bool:
        """Whether it is readable or writable, an error included, as lwIP tells it."""
        if self._inner is None:
            return True
        if not _trouble.is_networked():
            return bool(mask & _POLLOUT) and len(self._unsent) < _SEND_BUFFER
        if not self._is_alive():
            return True
        network = _chip.network
        return bool(mask & _POLLIN and network.is_readable(self._inner)) or bool(
            mask & _POLLOUT and network.is_writable(self._inner)
        )

    def _is_alive(self) -> bool:
        return _trouble.is_networked() and _trouble.of("address") == self._address

    def _keep(self, data) -> int:
        """As TCP without a network: what fits is kept for later. A connection of another address is dead."""
        self._open()
        if _trouble.of("address") != self._address:
            raise _error(_errno.ECONNABORTED)
        part = bytes(data[: max(0, _SEND_BUFFER - len(self._unsent))])
        if not part:
            raise _error(_errno.EAGAIN)
        self._unsent += part
        return len(part)

    def _wait_without_network(self, end_at) -> None:
        self._open()
        if self._timeout == 0:
            raise _error(_errno.EAGAIN)
        _pause(end_at)

    def _open(self):
        if self._inner is None:
            raise _error(_errno.EBADF)
        return self._inner

    def _wait(self, end_at) -> None:
        if self._timeout == 0:
            raise _error(_errno.EAGAIN)
        left = None if end_at is None else end_at - _chip.clock.monotonic()
        if (left is not None and left <= 0) or not _chip.network.wait(self._inner, left):
            raise _error(_errno.ETIMEDOUT)


def _error(number: int) -> OSError:
    return OSError(number, _os.strerror(number))  # with one argument only, CPython leaves errno None


def _pause(end_at) -> None:
    if end_at is not None and _chip.clock.monotonic() >= end_at:
        raise _error(_errno.ETIMEDOUT)
    _chip.clock.sleep(0.01)


def _resolve(host, port, family=0, type=0, proto=0, flags=0):
    is_name = not host.replace(".", "").isdigit()
    if is_name and (_trouble.of("dns") or not _trouble.is_networked()):
        _chip.clock.sleep(_NAME_SERVER_S if _trouble.of("dns") == "silent" else 0)
        raise SocketPool.gaierror(SocketPool.EAI_NONAME, "Name or service not known")
    try:
        return _chip.network.getaddrinfo(host, port, family or _socket.AF_INET, type, proto, flags)  # lwIP too has IPv4 first
    except _socket.gaierror:
        raise SocketPool.gaierror(SocketPool.EAI_NONAME, "Name or service not known") from None


class _Poll:
    """select.poll as the board has it, with `ipoll`: extmod/modselect.c; host/poll.py puts it there."""

    def __init__(self) -> None:
        self._masks: dict = {}

    def register(self, socket, mask=_POLLIN | _POLLOUT) -> None:
        if not isinstance(socket, Socket):
            raise TypeError("stream operation not supported")
        self._masks[socket] = mask

    def modify(self, socket, mask) -> None:
        if socket not in self._masks:
            raise _error(_errno.ENOENT)
        self._masks[socket] = mask

    def unregister(self, socket) -> None:
        del self._masks[socket]

    def ipoll(self, timeout=-1, flags=0):
        return iter([(socket, mask) for socket, mask in self._masks.items() if socket._has(mask)])


_wrap_plain = _ssl.SSLContext.wrap_socket


def _wrap_socket(context, sock, *arguments, **options):
    """ssl.SSLContext.wrap_socket for our sockets too; those of the PC's own programs are not changed."""
    if not isinstance(sock, Socket):
        return _wrap_plain(context, sock, *arguments, **options)
    wrapped = Socket(_wrap_plain(context, sock._inner, *arguments, **options))
    sock._inner = None  # the wrapped socket owns it now
    wrapped.settimeout(sock._timeout)
    return wrapped


_ssl.SSLContext.wrap_socket = _wrap_socket
