# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last hours of each battery, and of the bank: a point each minute, in rings that are made once. Lost with a restart."""

from array import array

from adafruit_ticks import ticks_add, ticks_diff

from daly.core import CURRENT, A
from daly.core import c


F = c["soc"]

  # a larger one does not fit, and is not known


class n:
    """State of charge, current and voltage, each with one decimal, as they were known in each of the last `minutes`.

    `batteries`: each a Battery of battery/pack.py, `bank`: their Bank or None. They are numbered in this order, the bank last.
    It takes 6 bytes a point: 8.6 KB a battery for a day.
    """

    def __init__(a, b, c, d):
        a.u = d
        a.count = 0  # points since the start
        a.d = [f.pack for f in b]
        a._bank = c
        a.f = None  # tick of the next point
        e = (len(b) + (c is not None)) * 3
        a.g = [array("h", bytes(2 * d)) for g in range(e)]

    def c(a, b):
        """Add the points that are due. Returns the ms until the next one."""
        if a.f is None:
            a.f = ticks_add(b, 60000)
        c = ticks_diff(a.f, b)
        if c > 0:
            return c
        while c <= -60000:  # the loop was busy: nobody looked
            a.e(None)
            c += 60000
        a.e(a.h())
        a.f = ticks_add(b, c + 60000)
        return c + 60000

    def i(a, b):
        """Age of the newest point; None: there is none."""
        return 60000 - ticks_diff(a.f, b) if a.count else None

    def at(a, b, c, d):
        """The raw value of point `number`, counted from the start; `series` 0: state of charge, 1: current, 2: voltage.

        None: it was not known, or is forgotten.
        """
        if not max(0, a.count - a.u) <= d < a.count:
            return None
        e = a.g[3 * b + c][d % a.u]
        return None if e == (-32768) else e

    def h(a):
        b: list = []
        for c in a.d:
            b.append(c.at(F))
            b.append(c.at(CURRENT))
            b.append(c.at(A))
        if a._bank is not None:
            b.append(a._bank.raw("soc"))
            b.append(a._bank.raw("current"))
            b.append(a._bank.raw("pack_voltage"))
        return b

    def e(a, b):
        """One more point; `raws` None: nothing is known."""
        c = a.count % a.u
        for d in range(len(a.g)):
            e = None if b is None else b[d]
            a.g[d][c] = (-32768) if e is None or not -32767 <= e <= 32767 else e
        a.count += 1
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""An HTTP server that only reads: each tick looks at its sockets and does one step for one client.

Nothing waits for a client, and each has limits: bytes of its request, time for it, time to take the answer. A line of a request
is looked at where it has arrived; what is not needed is not kept. With no client a look is one call that makes no object.
"""

import binascii
import errno



  # connections; the chip has 8 sockets in all, of which this, MQTT and the clock need up to four more
  # bytes of the request line
  # bytes of request line and headers
  # until a request is complete
  # until something more of the answer must have been taken
  # until all of it must have been
  # for what the client still sends: closing before would take the answer from it

  # between two looks when there is no client
  # the same where each look costs an exception
  # when all clients are waited for
  # until the port is tried again
  # until a client is accepted again after the heap was full
  # for a client: first its request, then the pieces of the answer
  # of it for lines; a longer header is none that is needed
  # looked at in one step
  # bytes before a chunk: "3fa\r\n"
z, v = 1, 4
t = (b"GET", b"HEAD")



# The page has its styles and its script in it, an icon as data, and asks only this server.




# status line, one header more, what a person reads
D = {
    400: (b"400 Bad Request", b"", b"This is no request that this server understands.\n"),
    401: (
        b"401 Unauthorized",
        b'WWW-Authenticate: Basic realm="Daly bridge", charset="UTF-8"\r\n',
        b"The password is the one of WEB_PASSWORD in settings.toml; the user name does not matter.\n",
    ),
    404: (b"404 Not Found", b"", b"There is nothing at this address.\n"),
    405: (b"405 Method Not Allowed", b"Allow: GET, HEAD\r\n", b"This server is only for reading.\n"),
    414: (b"414 URI Too Long", b"", b"The address is too long.\n"),
    431: (b"431 Request Header Fields Too Large", b"", b"The request is too large.\n"),
    503: (b"503 Service Unavailable", b"Retry-After: 1\r\n", b"Others are being answered. Try again.\n"),
    505: (b"505 HTTP Version Not Supported", b"", b"This server speaks HTTP/1.1.\n"),
}


class Server:
    """Answers `site` on a port. `problem`: a sentence, or None; `requests`: answered since the start.

    `pool` and `radio`: the chip's; `password`: needed for everything, "": none. `site.open(path, query, now)` returns an answer
    (docs/WEB-SERVER.md), None when there is nothing there, `site.BUSY` when it must be asked again.
    """

    def __init__(a, b, c, port, password, d):
        a.problem = None
        a.u = 0
        a._pool = b
        a.k = c
        a._port = port
        a._password = password.encode()
        a.r = d
        a.j = None
        a.p = None  # of all sockets; None: this board has none
        a.e: list = []  # in the order in which they came
        a.n: list = []  # the sockets that have something, or room
        a.m = 0  # index of the one that is looked at first
        a.q = None  # the one whose step is under way: still there after an exception
        a.d: list = []  # of clients that have gone

    def c(a, b):
        """One look and one step; returns ms until the next, None: in the next pass."""
        if a.j is None:
            return a.i()
        if a.q is not None:  # its step ended with an exception: it must not be repeated for ever
            a.f(a.q)
        if a.h() and not a.l(b):
            return 1000
        if a.o(b):
            return None
        if a.e:
            return 20
        return 50 if a.p is not None else 200

    def i(a):
        if a.k.ipv4_address is None:
            return 1000
        b = a._pool
        c = None
        try:
            c = b.socket(b.AF_INET, b.SOCK_STREAM)
            # else the connections of the last minute would keep the port taken after a restart
            c.setsockopt(b.SOL_SOCKET, b.SO_REUSEADDR, 1)
            c.bind(("", a._port))
            c.listen(4)
            c.settimeout(0)
        except (OSError, RuntimeError) as d:  # RuntimeError: the chip has no socket left
            if c is not None:
                c.close()
            a.problem = a.s(d)
            return 10000
        a.problem = None
        a.j = c
        a.p = e(c)
        return 50

    def s(a, b):
        c = b.errno if isinstance(b, OSError) else None
        if c == errno.EADDRINUSE:
            return (
                f"Port {a._port} is taken, on most boards by CircuitPython's own web workflow: "
                "set WEB_PORT to another, or remove CIRCUITPY_WEB_API_PASSWORD"
            )
        if c == errno.EACCES:
            return f"Port {a._port} may not be used here: set WEB_PORT to another, for example 8080"
        return f"Port {a._port} cannot be opened ({b}): it is tried again every {10000 // 1000} s"

    def h(a):
        """Whether a client may be waiting; notes which of the others have something."""
        if a.p is None:
            return True
        a.n.clear()
        b = False
        for c, d in a.p.ipoll(0):
            if c is a.j:
                b = True
            else:
                a.n.append(c)
        return b

    def l(a, b):
        """Accept a client, in place of the one whose request is not complete for longest if it must be. False: no memory."""
        c = len(a.e) == 4
        d = None
        if c:
            for e in a.e:
                if e.N and d is None:
                    d = e
            if d is None:
                return True
            if a.p is not None:  # one is certainly waiting, and the chip has few sockets
                a.f(d)
                d = None
        try:
            f = a.d.pop() if a.d else bytearray(1024)
        except MemoryError:
            return False
        try:
            g, h = a.j.accept()
        except OSError as i:
            a.d.append(f)
            if i.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                a.g()
            return True
        if d is not None:
            a.f(d)
        g.settimeout(0)
        if hasattr(a._pool, "TCP_NODELAY"):  # else the end of an answer waits 40 ms for the delayed ACK
            try:
                g.setsockopt(a._pool.IPPROTO_TCP, a._pool.TCP_NODELAY, 1)
            except OSError:
                pass  # it has gone already, which reading tells
        if a.p is not None:
            a.p.register(g, z)
        a.e.append(x(a, g, f, a.p, b))
        return True

    def o(a, b):
        """One step for one client; False: none has anything to do."""
        c = len(a.e)
        for d in range(c):
            e = (a.m + d) % c
            f = a.e[e]
            if f.q(b):
                a.f(f)
                return True
            if f.c(b, a.p is None or f.socket in a.n):
                a.m = e + 1
                a.q = f
                g = f.step(b)
                a.q = None
                if not g:
                    a.f(f)
                return True
        return False

    def t(a, b):
        """Whether the value of this header opens the page."""
        return not a._password or I(b, a._password)

    def open(a, b, c):
        """The site's answer; None: there is none, False: not yet."""
        d, e, f = b.partition("?")
        g = a.r.open(d, f, c)
        return False if g is a.r.c else g

    def count(a):
        """One more request is answered."""
        a.u += 1

    def f(a, b):
        a.q = None
        a.e.remove(b)
        a.d.append(b.buffer)
        if a.p is not None:
            a.p.unregister(b.socket)
        b.close()

    def g(a):
        """It is opened again in the next tick."""
        if a.p is not None:
            a.p.unregister(a.j)
        for b in list(a.e):
            a.f(b)
        a.j.close()
        a.j = None


class x:
    """A connection: it reads a request, asks for the answer, sends it, and lingers where the client still sends.

    `is_dispensable`: it has no complete request, or has been answered.
    """

    def __init__(a, server, b, c, d, e):
        a.socket = b
        a.buffer = c
        a.N = True
        a._server = server
        a.p = d
        a.M = memoryview(c)
        a.i = a.j
        a.f = e
        a.g = ticks_add(e, 5000)
        a.A = ticks_add(e, 5000 + 60000)
        a.d = a.e = 0  # what is in the buffer, or of `_piece` still to be sent
        a.F = 0  # bytes of the request
        a._ = False  # the rest of a line that is too long
        a.v = False  # in the buffer
        a.D = b""
        a.L = ""
        a.s = b""
        a.z = False  # HTTP/1.1
        a.C = True  # something of the client may be unread
        a.o = None
        a.r = None  # what is sent
        a.w = False

    def q(a, b):
        """Whether it has been waited for long enough."""
        return ticks_diff(b, a.g) > 0 or ticks_diff(b, a.A) > 0

    def c(a, b, c):
        """Whether a step may do something; `is_ready`: its socket has something, or room."""
        return a.v or (c and ticks_diff(b, a.f) >= 0)

    def step(a, b):
        """One step; False: the connection is over."""
        return a.i(b)

    def close(a):
        """Close connection and answer; the buffer is used by another from now on."""
        a.socket.close()
        if a.o is not None:
            a.o.close()
            a.o = None

    # the request

    def j(a, b):
        if not a.v:
            c = a.m(a.M[a.e : 512], b)
            if c <= 0:
                return c == 0
            a.F += c
            a.e += c
        return a.J(b)

    def m(a, b, c):
        """Bytes received; 0: nothing is there, -1: the client has gone."""
        try:
            return a.socket.recv_into(b) or -1
        except OSError as d:
            a.f = ticks_add(c, 20)
            return 0 if d.errno in (errno.EAGAIN, errno.ETIMEDOUT) else -1

    def J(a, b):
        """Look at the lines that have arrived, some at a time."""
        c = a.buffer
        d = 0
        a.v = False
        for e in range(16):
            f = c.find(b"\n", d, a.e)
            if f < 0:
                break
            g = f == d or (f == d + 1 and c[d] == 13)
            if a._:
                a._ = False
            elif not a.D:
                if not g:  # some clients send one before a request
                    h = a.K(d, f)
                    if h:
                        return a.G(h, b)
            elif g:
                return a.u(f + 1, b)
            elif c[d] | 32 == 97:  # an "a": no other header matters
                a.I(bytes(a.M[d:f]))
            d = f + 1
        else:
            a.v = True
        i = a.e - d
        if a.F - (i if a.v else 0) > 4096:
            return a.G(431, b)
        if not a.D and i > 256:
            return a.G(414, b)
        if a._ or i == 512:
            a._ = True
            i = 0
        elif d:
            c[:i] = a.M[d : a.e]
        a.e = i
        return True

    def K(a, b, end):
        """Take the request line; returns the status of a bad one, else 0."""
        if a.buffer[end - 1] == 13:
            end -= 1
        if end - b > 256:
            return 414
        c = bytes(a.M[b:end]).split(b" ")
        if len(c) != 3 or not c[0]:
            return 400
        if c[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            return 505 if c[2].startswith(b"HTTP/") else 400
        a.D = c[0]
        a.z = c[2] == b"HTTP/1.1"
        try:
            d = c[1].decode()
        except ValueError:
            return 400
        if d.startswith("http://"):  # as to a proxy, which HTTP/1.1 allows
            e = d.find("/", 7)
            d = d[e:] if e >= 0 else "/"
        if not d.startswith("/") and a.D in t:
            return 400
        a.L = d
        return 0

    def I(a, b):
        if b[:14].lower() == b"authorization:":
            a.s = b[14:].strip()

    def u(a, end, b):
        """The request is complete, up to `end` of what has arrived."""
        if a.F - (a.e - end) > 4096:
            return a.G(431, b)
        if not a._server.t(a.s):
            return a.G(401, b)
        if a.D not in t:
            return a.G(405, b)
        a.C = a.e > end  # a request with a body, or the next one
        a.N = False
        a.E(b)
        a.t(a.n)
        return a.n(b)

    # the answer

    def E(a, b):
        a.g = ticks_add(b, 10000)

    def t(a, step):
        a.i = step
        a.v = False
        if a.p is not None:
            a.p.modify(a.socket, v)

    def n(a, b):
        c = a._server.open(a.L, b)
        if c is None:
            return a.G(404, b)
        if c is False:
            a.f = ticks_add(b, 20)
            return ticks_diff(a.g, b) > 2 * 20 or a.G(503, b)
        a.o = c
        d = c.length
        a.w = d is None and a.z
        e = b"HTTP/1.1 200 OK\r\n" + b'Connection: close\r\nX-Content-Type-Options: nosniff\r\n' + b"Content-Type: " + c.f + b"\r\n" + c.e
        if b"Cache-Control:" not in c.e:
            e += b'Cache-Control: no-store\r\n'
        if c.f.startswith(b"text/html"):
            e += b"Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
        if c.i:
            e += b"Content-Encoding: gzip\r\n"
        if d is not None:
            e += f"Content-Length: {d}\r\n".encode()
        elif a.w:
            e += b"Transfer-Encoding: chunked\r\n"
        if a.D == b"HEAD":
            a.o = None
            c.close()
        return a.H(e + b"\r\n", b)

    def G(a, b, c):
        """Answer with a status that is no success."""
        d, e, f = D[b]
        g = b"HTTP/1.1 " + d + b"\r\n" + e + b'Connection: close\r\nX-Content-Type-Options: nosniff\r\n' + b'Cache-Control: no-store\r\n'
        g += f"Content-Type: text/plain\r\nContent-Length: {len(f)}\r\n\r\n".encode()
        a.E(c)
        a.N = False
        return a.H(g if a.D == b"HEAD" else g + f, c)

    def H(a, b, c):
        a._server.count()
        a.d = 0
        a.e = len(b)
        a.r = memoryview(b)
        a.t(a.h)
        return a.h(c)

    def h(a, b):
        """Send some of the answer; where nothing is left of a piece, the next one is made."""
        if a.d == a.e and not a.l(b):
            return a.o is not None or a.B(b)
        try:
            c = a.socket.send(a.r[a.d : a.e])
        except OSError as d:
            a.f = ticks_add(b, 20)
            return d.errno in (errno.EAGAIN, errno.ETIMEDOUT)
        if c:
            a.d += c
            a.E(b)
        return True

    def l(a, b):
        """Make the next piece; False: there is none, or not yet."""
        if a.o is None:
            return False
        a.r = a.M
        c = a.o.readinto(a.M[5 : 1024 - 2], b)
        if c < 0:
            a.o.close()
            a.o = None
            a.d = 0
            a.e = 5 if a.w else 0
            a.buffer[:5] = b"0\r\n\r\n"
            return a.w
        if not c:
            a.f = ticks_add(b, 20)
            return False
        a.d = 5
        a.e = 5 + c
        if a.w:
            a.d = 0
            a.buffer[:5] = b"%03x\r\n" % c
            a.buffer[a.e : a.e + 2] = b"\r\n"
            a.e += 2
        return True

    # the end

    def B(a, b):
        """All is sent; what the client still sends is read for a moment: closing with it unread would reset the connection,
        and the answer would be lost."""
        if not a.C:
            return False
        a.N = True
        a.g = ticks_add(b, 1000)
        a.i = a.k
        if a.p is not None:
            a.p.modify(a.socket, z)
        return True

    def k(a, b):
        return a.m(a.M, b) >= 0


def I(a, password):
    """Whether the value of the header, b"Basic <base64>", has this password; the user name does not matter.

    It takes equally long whatever is wrong.
    """
    if a[:6].lower() != b"basic ":
        return False
    try:
        b = binascii.a2b_base64(a[6:])
    except ValueError:
        return False
    c = b.find(b":") + 1
    d = (0 if c else 1) | (len(b) - c ^ len(password))
    for e in range(len(password)):
        d |= password[e] ^ (b[c + e] if c + e < len(b) else 0)
    return d == 0


def e(a):
    """A poll object with the listening socket; None where there is none that tells without an exception and without heap."""
    try:
        import select  # here, because a firmware built without it must start, too

        b = select.poll()
        b.register(a, z)
        b.ipoll(0)
    except (ImportError, OSError, TypeError, ValueError, AttributeError):
        return None
    return b
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A copy of one battery's readings at one moment, which is written while the battery goes on. Loaded only with the page."""

from daly.core import CELLS, _, b
from daly.core import C, p
from daly.core import B
from daly.core import r, extremes

G = c["temperature_{}"]


class g(b):
    """The readings of a `Battery` when they were taken; none of them is known while it is offline.

    `is_online`: the BMS responded, and everything had been requested; `connection`: why there is data or not, of that moment.
    What is published together on MQTT (mqtt/deadband.py) is together here, too, but nothing is held back by a deadband.
    """

    def __init__(a, b):
        super().__init__(dict(b.pack.ao), a)
        a.p = 0  # mA, see Values
        a.ag = False
        a.connection = ""
        a._battery = b
        a.H = True  # the cells
        a.w = False  # current and mode did not fit when they were taken last

    def c(a):
        """Whether all that is said together can be taken now: else it is worth while to wait for a response or two.

        As on MQTT current and mode are waited for, once, where they never fit: some boards are idle with a small current.
        """
        b = a._battery
        if not (b.g.online and b.g.r):
            return True
        c = b.pack
        a.H = c.af(CELLS)
        d = c.at(CURRENT)
        e = c.at(_)
        if d is None or e is None or p(d, e):
            a.w = False
        elif not a.w or C(d, e):
            return False
        return a.H and c.af(G)

    def d(a):
        """Take what is said together, directly after `is_due`; nothing is known while it is offline. `settle` completes it."""
        b = a._battery.g
        c = a.s
        a.copy()
        a.ag = b.online and b.r
        a.connection = b.bE.text
        if not a.ag:
            if b.online:
                a.connection = "The BMS has been found and is being read: the numbers come in a few seconds."
            for d in range(B):
                c[d] = None
            return
        e = c[CURRENT.g]
        f = c[_.g]
        a.w = e is not None and f is not None and not p(e, f)
        if e is not None and C(e, f):
            c[CURRENT.g] = c[_.g] = None  # one of the two is of before

    def copy(a):
        """Take all readings that there are, whatever they are worth."""
        b = a._battery.pack
        c = a.s
        a.ao.update(b.ao)
        a.R = a.P = b.R
        c[:] = b.s  # both are Values: one copy in C, where a method for each reading would take 5,000 bytecodes
        c[CURRENT.g] = b.at(CURRENT)  # not what is hidden while its sign is not certain
        c[_.g] = b.at(_)
        a.p = b.energy.p
        a.ai(b.ae)

    def q(a):
        """Put the extremes of the cells and temperatures in place of those that the BMS reports: a generator of short steps."""
        for b in r:
            yield False
            c, d, e, f, g, h = b
            i, j, k, l, m = extremes(a, b)
            if c is CELLS:
                n = i == a.at(d) and k == a.at(f)  # both are of one response
                a.ai(n or (not m and a.H))
            for o, p in ((d, i), (e, j), (f, k), (g, l)):
                a.s[o.g] = p
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is at which path: the page, the state as JSON, the history. The server asks for an answer, and then piece by piece.

A piece is made when it is asked for, in a buffer that all answers share: one that is made exists at a time. What is said of a
battery is of one moment (battery/snapshot.py), however long it takes to send.
"""



from daly.core import u, a, k, l

from app.early import f

  # grows when a key changes its meaning or goes
  # so long readings that belong together are waited for
  # bytes of the buffer; it grows for a longer text
  # values written in one step
  # of bank and sources, read in one step
E = ("soc", "current", "voltage")  # of the history, each with one decimal


y = __file__.rpartition("/")[0]


class q:
    """An answer that is made while it is sent: `steps`, a generator, puts something into `writer`, or nothing, in each step.

    `now` in ticks, of the step that is made; `done()` is called at the end.
    """

    length = None
    i = False

    def __init__(a, g, b, c, e=b""):
        a.f = b
        a.e = e
        a.now = 0
        a.g = g.clear()
        a.k = c
        a.d = None
        a.h = 0  # bytes of the writer that have not been asked for yet

    def c(a, b):
        """Give it its steps; returns self."""
        a.d = b
        return a

    def readinto(a, b, c):
        """Fill `buffer`, a memoryview; returns the bytes, 0: nothing yet, ask again in a later pass, -1: this is the end."""
        if not a.h:
            a.now = c
            a.g.clear()
            try:
                next(a.d)
            except StopIteration:  # also of the step behind the last one
                if not len(a.g):
                    return -1
            a.h = len(a.g)
            a.g.i()
        d = min(a.h, len(b))
        if d:
            a.g.readinto(b[:d])
            a.h -= d
        return d

    def close(a):
        """It is not asked for any more, whole or not."""
        a.d.close()
        a.k()


class d:
    """A file as an answer."""

    f = b"text/html; charset=utf-8"
    e = b"Cache-Control: no-cache\r\n"  # asked for again each time: the next version has the same address

    def __init__(a, b, c):
        a.i = c
        a.c = b
        a.length = b.seek(0, 2)
        b.seek(0)

    def readinto(a, b, c):
        """As of Made."""
        return a.c.readinto(b) or -1

    def close(a):
        """As of Made."""
        a.c.close()


class s:
    """Everything that can be asked for. Read only.

    `base`: of the topics; `identity`: of the bridge; `name`: of its device; `batteries`: each a Battery of battery/pack.py;
    `bank`: the Bank of them, None with one; `sources`: of battery/sources.py; `bridge_pairs(now, oldest_ms)` returns the pairs
    of <base>/state, with this age of the oldest reading; `link_text()` a sentence on MQTT, or "connected"; `history`: of
    web/history.py, None: there is none; `diagnostics`: of app/diagnostics.py.
    """

    c = "busy"  # another answer is being made

    def __init__(a, b, c, name, d, e, sources, f, h, i, j):
        a.r = b
        a.s = c
        a.o = name
        a.e = d
        a.l = sources
        a.h = f
        a.v = h
        a.p = i
        a.i = j
        a.t = [g(l) for l in d]
        a._bank = None
        if e is not None:
            from .bank import c as k  # only with several batteries

            a._bank = k(d, a.t, e.E)
        a.g = u(1024)
        a.u = False

    def open(a, b, c, d):
        """The answer to `path`, with what stands behind "?" as text; None: there is nothing there. BUSY: ask again later."""
        if b == "/":
            return h()
        e = a._(b, i(c))
        if e is None:
            return None
        if a.u:
            return a.c
        return e(d)

    def _(a, b, options):
        """The function of `now` that makes the answer; None: there is none."""
        if b == "/api/state":
            return lambda c: a.w(a.f)
        if b == "/api/bridge":
            return lambda d: a.w(a.d)
        if b == "/metrics":
            return lambda e: a.w(a.A, b'text/plain; version=0.0.4; charset=utf-8', a.n)
        i = a._index(options.get("of", a.e[0].key))
        if b == "/api/history" and a.p is not None and i is not None:
            j = options.get("every", "1")
            if j.isdigit() and 0 < int(j) <= a.p.u:
                return lambda f: a.w(lambda g: a.q(g, i, int(j)))
        if b == "/diagnostics" and i is not None and i < len(a.e):
            return lambda h: a.z(a.e[i], a.t[i], h)
        return None

    def _index(a, key):
        """The position of the battery with this key, and behind them that of the bank; None: there is none."""
        for b in range(len(a.e)):
            if a.e[b].key == key:
                return b
        return len(a.e) if key == "bank" and a._bank is not None else None

    def w(a, b, c=b'application/json', d=None, e=b""):
        """An answer; `steps(answer)`: the generator."""
        a.u = True
        f = q(a.g, c, d or a.m, e)
        return f.c(b(f))

    def z(a, b, c, d):
        if not a.i.n(d):
            return a.c
        f = f'Content-Disposition: attachment; filename="daly-{b.key}.json"\r\n'.encode()
        return a.w(lambda e: a.j(e, b, c), e=f)

    def m(a):
        a.u = False

    def n(a):
        f("web.metrics")
        a.u = False

    # steps: generators, whose values mean nothing

    def C(a, b):
        """Take all snapshots: each when what is said together can be taken, at most after WAIT_MS."""
        c = list(a.t)
        d = None
        while c:
            yield
            if d is None:
                d = b.now
            e = c.pop(0)
            if e.c() or ticks_diff(b.now, d) >= 500:
                e.d()
            else:
                c.append(e)
        for e in a.t:
            yield from e.q()

    def f(b, c):
        d = b.g
        yield from b.C(c)
        yield
        d.r(b'{"api":').f(1, 0).r(b',"batteries":{')
        for e in range(len(b.e)):
            f = b.e[e]
            g = b.t[e]
            d.r(b',"' if e else b'"').r(f.key).r(b'":{"name":').h(f.name)
            d.r(b',"status":"').r(b"online" if g.ag else b"offline")
            yield
            d.r(b'","connection":').h(a(g.connection)).r(b',"state":')
            yield
            yield from k(d, g, not g.ao["cell_count"])
            d.r(b"}")
        d.r(b'},"bank":')
        if b._bank is None:
            d.r(b"null")
        else:
            yield from b._bank.r(d)
        d.r(b',"sources":{')
        for e in range(len(b.l)):
            h = b.l[e]
            d.r(b',"' if e else b'"').r(h.key).r(b'":')
            yield
            yield from b.k(h)
        d.r(b"}}")

    def k(a, b):
        from battery.sources import c  # it is there where there is a source

        d = b.k
        e: list = []
        for f in range(len(d)):
            if not f % 3:
                yield
            g = d[f]
            e.append(None if g.name is None else b.raw(g.key))
        yield from c(a.g, d, e)

    def d(a, b):
        c = a.g
        yield
        c.r(b'{"api":').f(1, 0).r(b',"batteries":[')
        for d in range(len(a.e)):
            e = a.e[d]
            c.r(b',{"key":"' if d else b'{"key":"').r(e.key).r(b'","name":').h(
                e.name
            ).r(b"}")
            yield
        c.r(b"]")
        f = [
            ("name", a.o),
            ("identity", a.s),
            ("base_topic", a.r),
            ("mqtt", a.v()),
            ("history_minutes", 0 if a.p is None else a.p.u),
        ]
        yield from a.B(b, f)
        yield
        yield from l(c, f, b',"')

    def B(a, b, c):
        """Append the pairs of the bridge."""
        d = 0
        for e in a.e:  # one at a time: each takes 3,000 bytecodes
            yield
            d = max(d, e.pack.u(b.now))
        yield
        c.extend(a.h(b.now, d))

    def q(a, b, c, d):
        yield
        e = a.g
        f = a.p
        g = f.count  # points that come meanwhile are not told
        h = max(0, g - f.u)
        h += (g - h - 1) % d  # the newest one is among them
        i = f.i(b.now)
        e.r(b'{"api":').f(1, 0).r(b',"minute_s":60,"every":').f(d, 0).r(b',"ago_s":')
        if i is None:
            e.r(b"null")
        else:
            e.f(i // 1000, 0)
        for j in range(len(E)):
            e.r(b',"').r(E[j]).r(b'":[')
            k = 16
            for l in range(h, g, d):
                if not k:
                    k = 16
                    yield
                k -= 1
                if l > h:
                    e.r(b",")
                m = f.at(c, j, l)
                if m is None:
                    e.r(b"null")
                else:
                    e.f(m, 1)
            e.r(b"]")
            yield
        e.r(b"}")

    def A(a, b):
        c: list = []
        yield from a.C(b)
        yield from a.B(b, c)
        yield
        from .metrics import g as d  # 3 KB, only where somebody collects them

        yield
        e = a.v() == "connected"
        yield from d(
            a.g, a.s, a.e, a.t, c, e, a.l
        )

    def j(a, b, c, d):
        yield
        d.copy()
        e: list = []
        yield from a.B(b, e)
        yield
        yield from a.i.r(a.g, c, d, e, b.now)


def i(a):
    """{key: text} of "of=bms1&every=5"; nothing is decoded: no value of ours needs it."""
    b = {}
    for c in a.split("&"):
        d, e, f = c.partition("=")
        b[d] = f
    return b


def h():
    """The page, compressed where there is that; None: there is none on the drive."""
    for a in ("page.html.gz", "page.html"):
        try:
            return d(open(y + "/" + a, "rb"), a.endswith(".gz"))
        except OSError:
            pass
    return None
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The page in the browser: connects the server to the parts, and gives the bridge a name in the network. Only with WEB_PORT."""





  # the one that need not stand in an address

  # how often it is tried


class j:
    """The page's address, as `text()`. `radio`: wifi.radio."""

    def __init__(a, b, port):
        a.k = b
        a.e = "/" if port == 80 else f":{port}/"

    def text(a):
        """Such as "http://192.168.1.77/"; "" while the bridge has no address."""
        b = a.k.ipv4_address
        return a.of(str(b)) if b else ""

    def of(a, b):
        """The address under another name of the bridge."""
        return "http://" + b + a.e


class o:
    """What the page says of MQTT."""

    def __init__(a, b, c):
        a.c = b.MQTT_BROKER != ""
        a.g = c

    def text(a):
        """A sentence with its remedy, or "connected"."""
        if a.g.connected:
            return "connected"
        return a.g.aF or ("connecting" if a.c else "not used: MQTT_BROKER is not set")


class m:
    """Says once on the console where the page is, and gives the bridge the name daly-<id>.local in the network.

    `name`: without ".local"; None where CircuitPython's own web workflow has a name already, and it must keep that.
    """

    def __init__(a, b, port, name, c):  # an Address
        a.k = b
        a._port = port
        a.o = name
        a._address = c
        a._server = None  # mdns.Server; it lives as long as the name
        a.d = ""  # the address as printed

    def c(a, b):
        """Returns the ms until the next call."""
        c = a._address.text()
        if c and c != a.d:
            a.d = c
            if a._server is None and a.o is not None:
                a._server = H(a.k, a.o, a._port)
            d = "" if a._server is None else " or " + a._address.of(a.o + ".local")
            print("Page: " + c + d)
        return 5000


def w(a):
    """The bridge's name in the network, without ".local": letters, digits and hyphens."""
    return "daly-" + "".join([b if "a" <= b <= "z" or "0" <= b <= "9" else "-" for b in a.lower()])


def H(a, name, port):
    """The mdns.Server that answers for this name; None: it is not possible, as with a firmware that has none."""
    try:
        import mdns

        b = mdns.Server(a)
        b.hostname = name
        b.advertise_service(service_type="_http", protocol="_tcp", port=port)
    except (ImportError, RuntimeError, ValueError, OSError, MemoryError):
        return None
    return b


def connect(a, b, c, d, e, f, sources, g, h, i):
    """Put server, history and announcer among the jobs of the loop. `bank`: None with one battery."""
    k = n(e, f, 1440)
    l = s(
        a.base_topic,
        a.identity,
        a.DEVICE_NAME,
        e,
        f,
        sources,
        g.i,
        o(a, h).text,
        k,
        i,
    )
    p = j(d, a.WEB_PORT)
    b.add("page", Server(c, d, a.WEB_PORT, a.WEB_PASSWORD, l).c)
    b.add("history", k.c)
    q = None if a.j else w(a.identity)
    b.add("page address", m(d, a.WEB_PORT, q, p).c)
