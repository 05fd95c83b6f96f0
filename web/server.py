# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""An HTTP server that only reads: each tick looks at its sockets and does one step for one client.

Nothing waits for a client, and each has limits: bytes of its request, time for it, time to take the answer. With no client a
look is one call that makes no object. What serves them (client.py, site.py) is in memory only while somebody looks.
"""

import errno

from adafruit_ticks import ticks_diff

from battery.unload import LOADS, load_next, unload

PLACES = 4  # connections; the chip has 8 sockets in all, of which this, MQTT and the clock need up to four more

_LOOK_MS = 50  # between two looks when there is no client
_EXCEPTION_MS = 200  # the same where each look costs an exception
WAIT_MS = 20  # when all clients are waited for
_RETRY_MS = 10000  # until the port is tried again
_NO_ROOM_MS = 1000  # until a client is accepted again after the heap was full
BUFFER = 1024  # for a client: first its request, then the pieces of the answer
POLLIN, POLLOUT = 1, 4
_FORGET_MS = 600000  # after the last client, until what serves them leaves the memory, where its coming can be seen
# It, in the order in which one imports the other
MODULES = ("battery.snapshot", "web.answers", "web.site", "web.client")


class Server:
    """Answers what `make_site()` returns on a port. `problem`: a sentence, or None; `requests`: answered since the start.

    `pool` and `radio`: the chip's; `password`: needed for everything, "": none. `open(path, query, now)` of the site returns an
    answer (docs/WEB-SERVER.md), None when there is nothing there, `BUSY` of it when it must be asked again.
    """

    def __init__(self, pool, radio, port, password, make_site):
        self.problem = None
        self.requests = 0
        self._pool = pool
        self._radio = radio
        self._port = port
        self.password = password.encode()
        self._make_site = make_site
        self._site = None  # None: nobody looks
        self._is_loading = False
        self._last_at = None  # when the last client came
        self._listener = None
        self._poll = None  # of all sockets; None: this board has none
        self._clients: list = []  # in the order in which they came
        self._ready: list = []  # the sockets that have something, or room
        self._turn = 0  # index of the one that is looked at first
        self._serving = None  # the one whose step is under way: still there after an exception
        self._buffers: list = []  # of clients that have gone

    def tick(self, now):
        """One look and one step; returns ms until the next, None: in the next pass."""
        if self._listener is None:
            return self._listen()
        if self._serving is not None:  # its step ended with an exception: it must not be repeated for ever
            self._close(self._serving)
        if self._is_anyone_waiting():
            if self._site is None:
                return self._load(now)
            if not self._accept(now):
                return _NO_ROOM_MS
        elif self._is_loading:  # who came has gone
            self._forget()
        if self._serve(now):
            return None
        if self._clients:
            return WAIT_MS
        if self._site is not None and self._poll is not None and ticks_diff(now, self._last_at) >= _FORGET_MS:
            self._forget()
        return _LOOK_MS if self._poll is not None else _EXCEPTION_MS

    def _load(self, now):
        """Load a module of what serves clients; the last time, make it. Returns what `tick` does."""
        if not self._is_loading:
            self._is_loading = True  # and from the next call on
            return LOADS
        try:
            if load_next(MODULES):
                return LOADS
            self._site = self._make_site()
        except MemoryError:
            self._forget()
            self._turn_away()
            return _RETRY_MS
        self._last_at = now
        self._is_loading = False
        return None

    def _turn_away(self):
        """Close the connection of one who waits: he must not wait in vain, nor make all be loaded again after he has gone."""
        try:
            self._listener.accept()[0].close()
        except OSError:
            pass

    def _forget(self):
        self._site = None
        self._is_loading = False
        self._buffers.clear()
        for name in MODULES:
            unload(name)

    def _listen(self):
        if self._radio.ipv4_address is None:
            return _NO_ROOM_MS
        pool = self._pool
        listener = None
        try:
            listener = pool.socket(pool.AF_INET, pool.SOCK_STREAM)
            # else the connections of the last minute would keep the port taken after a restart
            listener.setsockopt(pool.SOL_SOCKET, pool.SO_REUSEADDR, 1)
            listener.bind(("", self._port))
            listener.listen(PLACES)
            listener.settimeout(0)
        except (OSError, RuntimeError) as error:  # RuntimeError: the chip has no socket left
            if listener is not None:
                listener.close()
            self.problem = self._why(error)
            return _RETRY_MS
        self.problem = None
        self._listener = listener
        self._poll = _poll_of(listener)
        return _LOOK_MS

    def _why(self, error):
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EADDRINUSE:
            return (
                f"Port {self._port} is taken, on most boards by CircuitPython's own web workflow: "
                "set WEB_PORT to another, or remove CIRCUITPY_WEB_API_PASSWORD"
            )
        if number == errno.EACCES:
            return f"Port {self._port} may not be used here: set WEB_PORT to another, for example 8080"
        return f"Port {self._port} cannot be opened ({error}): it is tried again every {_RETRY_MS // 1000} s"

    def _is_anyone_waiting(self):
        """Whether a client may be waiting; notes which of the others have something."""
        if self._poll is None:
            return True
        self._ready.clear()
        is_waiting = False
        for socket, _ in self._poll.ipoll(0):
            if socket is self._listener:
                is_waiting = True
            else:
                self._ready.append(socket)
        return is_waiting

    def _accept(self, now):
        """Accept a client, in place of the one whose request is not complete for longest if it must be. False: no memory."""
        is_full = len(self._clients) == PLACES
        leaves = None
        if is_full:
            for one in self._clients:
                if one.is_dispensable and leaves is None:
                    leaves = one
            if leaves is None:
                return True
            if self._poll is not None:  # one is certainly waiting, and the chip has few sockets
                self._close(leaves)
                leaves = None
        try:
            buffer = self._buffers.pop() if self._buffers else bytearray(BUFFER)
        except MemoryError:
            return False
        try:
            socket, _ = self._listener.accept()
        except OSError as error:
            self._buffers.append(buffer)
            if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                self._close_listener()
            return True
        if leaves is not None:
            self._close(leaves)
        socket.settimeout(0)
        if hasattr(self._pool, "TCP_NODELAY"):  # else the end of an answer waits 40 ms for the delayed ACK
            try:
                socket.setsockopt(self._pool.IPPROTO_TCP, self._pool.TCP_NODELAY, 1)
            except OSError:
                pass  # it has gone already, which reading tells
        if self._poll is not None:
            self._poll.register(socket, POLLIN)
        self._last_at = now
        from .client import Client  # which is in memory by now

        self._clients.append(Client(self, socket, buffer, self._poll, now))
        return True

    def _serve(self, now):
        """One step for one client; False: none has anything to do."""
        count = len(self._clients)
        for i in range(count):
            at = (self._turn + i) % count
            one = self._clients[at]
            if one.is_over(now):
                self._close(one)
                return True
            if one.is_due(now, self._poll is None or one.socket in self._ready):
                self._turn = at + 1
                self._serving = one
                is_open = one.step(now)
                self._serving = None
                if not is_open:
                    self._close(one)
                return True
        return False

    def open(self, client, target, now):
        """The site's answer; None: there is none, False: not yet. Those that must wait get theirs in the order they came in."""
        path, _, query = target.partition("?")
        takes_turns = path[:5] == "/api/" or path == "/metrics"  # not what is waited for longer, or never
        if takes_turns and self._is_behind(client):
            client.note_waiting(True)
            return False
        answer = self._site.open(path, query, now)
        client.note_waiting(takes_turns and answer is self._site.BUSY)
        return False if answer is self._site.BUSY else answer

    def count(self):
        """One more request is answered."""
        self.requests += 1

    def _is_behind(self, client):
        """Whether another one waits that came before this one."""
        for one in self._clients:
            if one is client:
                return False
            if one.is_waiting:
                return True
        return False

    def _close(self, client):
        self._serving = None
        self._clients.remove(client)
        self._buffers.append(client.buffer)
        if self._poll is not None:
            self._poll.unregister(client.socket)
        client.close()

    def _close_listener(self):
        """It is opened again in the next tick."""
        if self._poll is not None:
            self._poll.unregister(self._listener)
        for one in list(self._clients):
            self._close(one)
        self._listener.close()
        self._listener = None


def _poll_of(listener):
    """A poll object with the listening socket; None where there is none that tells without an exception and without heap."""
    try:
        import select  # here, because a firmware built without it must start, too

        poll = select.poll()
        poll.register(listener, POLLIN)
        poll.ipoll(0)  # type: ignore[attr-defined]
    except (ImportError, OSError, TypeError, ValueError, AttributeError):
        return None
    return poll
