# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The HTTP server over real sockets, in time that the test lets pass: answers, refusals, limits, hostile clients, its cost."""

import base64
import errno
import http.client
import io
import itertools
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import adafruit_ticks
import pytest
import socketpool
import wifi
from mosquitto import wait_until

from battery.unload import unload
from host import pace, poll
from web import client as module
from web import server as server_module
from web.server import Server

ROOT = Path(__file__).parent.parent
VM = Path(sys.executable).parent / "micropython"
WRAP = 2**29
MOST_BYTECODES = 6000  # of a tick: 14 ms on an ESP32-S2
FILE = bytes(i * 7 % 251 for i in range(20000))
PIECES = [b'{"cells":[', b"1" * 700, b",", b"2" * 400, b"]}"]
LARGE = 4_000_000  # more than the PC's buffers take for a client that does not read
RESET = b"\1\0\0\0\0\0\0\0"  # SO_LINGER: closing discards what is pending


class Answer:
    """What a site answers. `pieces`: made one after the other; a number: so many times there is nothing yet."""

    def __init__(self, content, content_type=b"application/json", length=None, is_gzip=False, extra=b""):
        self.content_type, self.length, self.is_gzip, self.extra = content_type, length, is_gzip, extra
        self._content = list(content)
        self.closed = 0

    def readinto(self, buffer, now):
        assert len(buffer) >= 512 and self.closed == 0
        while self._content:
            piece = self._content[0]
            if isinstance(piece, int):
                self._content[:1] = [piece - 1] if piece > 1 else []
                return 0
            part = piece[: len(buffer)]
            self._content[:1] = [piece[len(part) :]] if len(part) < len(piece) else []
            buffer[: len(part)] = part
            return len(part)
        return -1

    def close(self):
        self.closed += 1


class Broken(Answer):
    """It has a bug."""

    def readinto(self, buffer, now):
        raise ZeroDivisionError("a bug")


class Site:
    """Files, made answers, one that says "not yet", and one that is busy `busy` times."""

    BUSY = object()

    def __init__(self):
        self.opened = []
        self.asked = []
        self.busy = 0

    def open(self, path, query, now):
        self.asked.append((path, query))
        if path == "/busy" and self.busy:
            self.busy -= 1
            return self.BUSY
        make = {
            "/": lambda: Answer([FILE], b"text/html; charset=utf-8", len(FILE), extra=b"Cache-Control: no-cache\r\n"),
            "/file.gz": lambda: Answer([FILE], b"text/css", len(FILE), is_gzip=True),
            "/made": lambda: Answer(PIECES),
            "/busy": lambda: Answer(PIECES),
            "/later": lambda: Answer([5, *PIECES[:2], 3, *PIECES[2:], 2]),
            "/never": lambda: Answer([10**9]),
            "/large": lambda: Answer([bytes(LARGE)], b"application/octet-stream", LARGE),
            "/empty": lambda: Answer([]),
            "/extra": lambda: Answer(PIECES, extra=b'Content-Disposition: attachment; filename="d.json"\r\n'),
            "/broken": lambda: Broken([]),
            "/bug": lambda: 1 // 0,
        }.get(path)
        if make is None:
            return None
        self.opened.append(make())
        return self.opened[-1]


class House:
    """A server with its site, in time that passes only in `run`: `now` wraps on the way."""

    def __init__(self, password="", site=None, port=None):
        self.site = site or Site()
        self.port = port or free_port()
        self.server = Server(socketpool.SocketPool(wifi.radio), wifi.radio, self.port, password, self.make_site)
        self.made = 0
        self.now = WRAP - 300
        self.passed = 0
        self.clients = []
        self.pauses = []
        self.failures = []
        self.tick = self.server.tick
        self.run(1)

    def make_site(self):
        self.made += 1
        return self.site

    def run(self, milliseconds, until=lambda: False):
        """Let so much time pass, as app/loop.py does it; a failed tick is left alone for a second."""
        end = self.passed + milliseconds
        while self.passed < end and not until():
            try:
                pause = self.tick(self.now)
            except ArithmeticError as error:
                self.failures.append(error)
                pause = 1000
            self.pauses.append(pause)
            pause = 1 if pause is None or pause < 0 else min(pause, max(1, end - self.passed))
            self.passed += pause
            self.now = (self.now + pause) % WRAP
            for client in self.clients:
                client.listen()
        return self

    def client(self, data=b"", reads=True, room=None):
        """A client that has connected and sent this."""
        self.clients.append(Client(self.port, data, reads, room))
        return self.clients[-1]

    def ask(self, data, milliseconds=30000):
        """All that is answered to this, until the connection is closed."""
        client = self.client(data)
        self.run(milliseconds, lambda: client.is_closed)
        assert client.is_closed
        return client.received

    def get(self, path, headers="", version="1.1", method="GET"):
        return parsed(self.ask(f"{method} {path} HTTP/{version}\r\nHost: x\r\n{headers}\r\n".encode()), method)

    def close(self):
        for client in self.clients:
            client.close()
        self.server._close_listener()


class Client:
    """A socket of the PC that takes what comes, unless it does not read."""

    def __init__(self, port, data, reads, room):
        self.socket = socket.socket()
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))  # where too many wait already, it waits, too
        self.received = b""
        self.reads = reads
        self.is_closed = self.was_reset = False
        self._rest = b""
        self.send(data)

    def send(self, data):
        """Send it, now or while time passes."""
        self._rest += data
        self.listen()

    def listen(self):
        if self.is_closed:
            return
        try:
            if self._rest:
                self._rest = self._rest[self.socket.send(self._rest) :]
        except BlockingIOError:
            pass
        except OSError:
            self._rest = b""
        if self.reads:
            self.read()

    def read(self, most=1 << 20):
        """Read at most so much."""
        try:
            data = self.socket.recv(most)
            self.received += data
            self.is_closed = not data
        except BlockingIOError:
            pass
        except OSError:
            self.is_closed = self.was_reset = True

    def close(self):
        self.is_closed = True
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()


class FakeSocket:
    """Bytes for http.client."""

    def __init__(self, data):
        self._data = data

    def makefile(self, *_):
        return io.BytesIO(self._data)


def parsed(raw, method="GET"):
    """(status, headers, body) as Python's own client reads it."""
    response = http.client.HTTPResponse(FakeSocket(raw), method=method)
    response.begin()
    body = response.read()
    return SimpleNamespace(status=response.status, headers=response.headers, body=body)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def polled(monkeypatch):
    """The board's select.poll."""
    import select

    monkeypatch.setattr(select, "poll", select.poll)  # to be restored
    poll.install()


@pytest.fixture(params=["poll", "no poll"])
def either(request):
    """With select.poll as on most boards, and without."""
    if request.param == "poll":
        request.getfixturevalue("polled")


@pytest.fixture
def house(either):
    house = House()
    yield house
    house.close()
    assert [answer.closed for answer in house.site.opened] == [1] * len(house.site.opened)


# answers


def test_a_file_arrives_whole_with_its_length(house):
    got = house.get("/")
    assert got.status == 200 and got.body == FILE
    assert got.headers["Content-Length"] == "20000" and got.headers["Content-Type"] == "text/html; charset=utf-8"
    assert got.headers["Connection"] == "close" and got.headers["X-Content-Type-Options"] == "nosniff"
    assert house.server.requests == 1


def test_what_is_made_in_pieces_arrives_chunked(house):
    raw = house.ask(b"GET /made HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in raw and raw.endswith(b"\r\n0\r\n\r\n")
    got = parsed(raw)
    assert got.body == b"".join(PIECES) and got.headers["Cache-Control"] == "no-store"


def test_http_1_0_gets_it_until_the_connection_ends(house):
    got = house.get("/made", version="1.0")
    assert got.body == b"".join(PIECES) and "Transfer-Encoding" not in got.headers and "Content-Length" not in got.headers


def test_what_is_not_there_yet_is_asked_for_again(house):
    got = house.get("/later")
    assert got.body == b"".join(PIECES)
    assert 9 <= house.passed < 9 * 15


def test_an_empty_answer_is_one(house):
    assert house.get("/empty").body == b""


@pytest.mark.parametrize("path", ["/", "/made", "/extra", "/file.gz"])
def test_head_has_the_same_headers_and_no_body(house, path):
    raw = house.ask(f"HEAD {path} HTTP/1.1\r\n\r\n".encode())
    full = house.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    assert raw == full[: full.index(b"\r\n\r\n") + 4]


def test_head_of_nothing_has_no_body(house):
    raw = house.ask(b"HEAD /nothing HTTP/1.1\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 404 ") and raw.endswith(b"\r\n\r\n") and b"Content-Length: 0" not in raw


def test_the_sites_own_headers_and_gzip(house):
    assert house.get("/extra").headers["Content-Disposition"] == 'attachment; filename="d.json"'
    assert house.get("/file.gz").headers["Content-Encoding"] == "gzip"


def test_only_a_page_has_a_policy_and_may_be_kept_as_it_says(house):
    page, made = house.get("/").headers, house.get("/made").headers
    assert page.get_all("Cache-Control") == ["no-cache"] and made.get_all("Cache-Control") == ["no-store"]
    assert page["Content-Security-Policy"].startswith("default-src 'none'; ") and "Content-Security-Policy" not in made


def test_path_and_query_come_apart_as_they_are(house):
    for target in ("/made?of=bms1&every=5", "/made?", "/%00?a?b", "/../x", "//x", "http://192.168.1.7:80/made?x", "http://h"):
        house.ask(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert house.site.asked == [
        ("/made", "of=bms1&every=5"),
        ("/made", ""),
        ("/%00", "a?b"),
        ("/../x", ""),
        ("//x", ""),
        ("/made", "x"),
        ("/", ""),
    ]


def test_nothing_lets_another_site_read_it(house):
    assert "Access-Control-Allow-Origin" not in house.get("/made", "Origin: http://evil\r\n").headers


# busy


class OneAtATime(Site):
    """Makes one answer at a time, which takes some time; `served`: whose it was."""

    def __init__(self):
        super().__init__()
        self.served = []

    def open(self, path, query, now):
        if self.opened and not self.opened[-1].closed:
            return self.BUSY
        self.served.append(query)
        self.opened.append(Answer([*PIECES, 40]))
        return self.opened[-1]


def test_who_came_first_is_answered_first():
    """Else one of three browsers waits until the others happen not to ask."""
    house = House(site=OneAtATime())
    for number in range(12):
        house.client(f"GET /api/state?{number} HTTP/1.1\r\n\r\n".encode())
        house.run(13 if number > 3 else 2, lambda: house.site.served and len(house.site.served) > len(house.clients) - 4)
        house.run(3000, lambda: len([one for one in house.clients if not one.is_closed]) < 4)
    house.run(5000, lambda: all(one.is_closed for one in house.clients))
    assert house.site.served == [str(number) for number in range(12)]
    house.close()


def test_while_another_answer_is_made_the_next_one_waits(house):
    house.site.busy = 8
    assert house.get("/busy").body == b"".join(PIECES)
    assert 140 < house.passed < 1500


def test_who_waited_too_long_may_come_again(house):
    house.site.busy = 10**6
    got = house.get("/busy")
    assert got.status == 503 and got.headers["Retry-After"] == "1" and 9500 < house.passed < 11000


# refusals


def head(size, begin=b"GET /made HTTP/1.1\r\n"):
    """A request of exactly so many bytes, in lines of at most 100."""
    left = size - len(begin) - 2
    count = max(0, (left - 101) // 100)
    return begin + count * (b"X-A: " + b"a" * 93 + b"\r\n") + b"X-A: " + b"a" * (left - 100 * count - 7) + b"\r\n\r\n"


def target(size):
    """A request whose line has so many bytes without its end."""
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1\r\n\r\n"


REQUESTS = {
    "a path that is not there": (b"GET /nothing HTTP/1.1\r\n\r\n", 404),
    "dots": (b"GET /../../settings.toml HTTP/1.1\r\n\r\n", 404),
    "encoded dots": (b"GET /%2e%2e/settings.toml HTTP/1.1\r\n\r\n", 404),
    "a NUL, encoded": (b"GET /%00 HTTP/1.1\r\n\r\n", 404),
    "a NUL": (b"GET /\0 HTTP/1.1\r\n\r\n", 404),
    "POST": (b"POST /made HTTP/1.1\r\nContent-Length: 3\r\n\r\na=1", 405),
    "PUT without a body": (b"PUT /made HTTP/1.0\r\n\r\n", 405),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n\r\n", 405),
    "CONNECT": (b"CONNECT evil:443 HTTP/1.1\r\n\r\n", 405),
    "a method in small letters": (b"get /made HTTP/1.1\r\n\r\n", 405),
    "HTTP/0.9": (b"GET /made\r\n", 400),
    "one word": (b"x\r\n", 400),
    "four words": (b"GET /made HTTP/1.1 x\r\n", 400),
    "two blanks": (b"GET  /made HTTP/1.1\r\n", 400),
    "a blank before": (b" GET /made\r\n", 400),
    "no slash": (b"GET made HTTP/1.1\r\n", 400),
    "another scheme": (b"GET ftp://x/ HTTP/1.1\r\n", 400),
    "no HTTP": (b"GET / ICAP/1.0\r\n", 400),
    "binary": (bytes(range(128, 256)) + b"\n", 400),
    "no UTF-8": (b"GET /\xff\xfe HTTP/1.1\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), 414),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n", 505),
    "the longest line": (target(256), 404),
    "a line that is one byte too long": (target(257), 414),
    "a line without an end": (b"GET /" + b"a" * 300, 414),
    "a line of 100 KB": (target(100_000), 414),
    "the longest head": (head(4096), 200),
    "a head that is one byte too long": (head(4097), 431),
    "a head of 10 KB": (head(10_000), 431),
    "a head of 1 MB": (head(1_000_000), 431),
    "a header of 3 KB": (b"GET /made HTTP/1.1\r\nCookie: " + b"c" * 3000 + b"\r\nX: y\r\n\r\n", 200),
    "a header of 5 KB": (b"GET /made HTTP/1.1\r\nCookie: " + b"c" * 5000 + b"\r\n\r\n", 431),
    "1,000 headers": (b"GET /made HTTP/1.1\r\n" + b"a:\r\n" * 1000 + b"\r\n", 200),
    "2,000 headers": (b"GET /made HTTP/1.1\r\n" + b"a\n" * 2000 + b"a:\r\n" * 99 + b"\r\n", 431),
    "bare line feeds": (b"GET /made HTTP/1.1\nHost: x\n\n", 200),
    "an empty line before": (b"\r\n\r\nGET /made HTTP/1.1\r\n\r\n", 200),
    "the head, and 500 bytes of body": (head(4096) + b"x" * 500, 200),
    "a head of 4,080 bytes with short lines at its end, and a body": (
        b"GET /made HTTP/1.1\n" + (b"X:" + b"a" * 197 + b"\n") * 18 + b"a\n" * 230 + b"\n" + b"x" * 400,
        200,
    ),
    "a second request behind it": (b"GET /made HTTP/1.1\r\n\r\n" * 2, 200),
    "a GET with a body": (b"GET /made HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + b"x" * 900, 200),
    "a Content-Length of nonsense": (b"GET /made HTTP/1.1\r\nContent-Length: -1e9\r\n\r\n", 200),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_each_request_gets_its_answer_and_a_proper_end(house, capsys, name):
    data, status = REQUESTS[name]
    client = house.client(data)
    house.run(3000, lambda: client.is_closed)
    got = parsed(client.received)
    assert client.is_closed and got.status == status
    assert not client.was_reset or len(data) > 100_000  # the answer must not be lost with what was not read
    if status != 200:
        assert got.headers["Cache-Control"] == "no-store" and got.headers["Content-Type"] == "text/plain"
        assert (got.headers["Allow"] == "GET, HEAD") is (status == 405)
        assert got.body.endswith(b".\n")
    assert house.get("/").body == FILE  # it serves on
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", [name for name, (data, status) in REQUESTS.items() if status not in (200, 414)])
def test_a_request_may_come_in_single_bytes(house, name):
    data, status = REQUESTS[name]
    client = house.client()
    for byte in data[:150]:
        client.send(bytes((byte,)))
        house.run(3)
    client.send(data[150:])
    house.run(3000, lambda: client.is_closed)
    assert parsed(client.received).status == status


@pytest.mark.parametrize("path", ["/made", "/nothing"])
@pytest.mark.parametrize("password", ["", "x"])
def test_after_a_whole_request_the_connection_is_closed_at_once(either, path, password):
    house = House(password)
    house.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode(), 700)
    house.close()


def test_nothing_of_a_request_comes_back(house):
    for line in (b"GET /zebra?zebra HTTP/1.1", b"ZEBRA / HTTP/1.1", b"zebra", b"GET / zebra", b"GET zebra HTTP/1.1"):
        assert b"zebra" not in house.ask(line + b"\r\nzebra: zebra\r\n\r\n").lower()


# password


PASSWORD = "a ü:secret"


@pytest.fixture
def locked(either):
    house = House(PASSWORD)
    yield house
    house.close()


def basic(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("user", ["", "admin", "ü"])
@pytest.mark.parametrize("header", ["Authorization: Basic {}", "authorization:basic {}  ", "AUTHORIZATION: \t BASIC {}"])
def test_the_password_opens_everything_whoever_asks(locked, header, user):
    got = locked.get("/", header.format(basic(f"{user}:{PASSWORD}")) + "\r\n")
    assert got.status == 200 and got.body == FILE


@pytest.mark.parametrize(
    "value",
    [
        None,
        "Basic " + basic("x:"),
        "Basic " + basic("x:wrong"),
        "Basic " + basic(f"x:{PASSWORD}!"),
        "Basic " + basic(f"x:{PASSWORD[:-1]}"),
        "Basic " + basic(PASSWORD),  # another user, and the end of the password
        "Basic " + basic("a ü"),
        "Basic " + basic(PASSWORD.replace(":", "")),
        "Basic ",
        "Basic",
        "Basic !!!!",
        "Basic a",
        "Basic " + "A" * 300,
        "Basic " + "A" * 2000,
        "Basic " + basic("x:") + " " + basic(f"x:{PASSWORD}"),
        "Bearer " + basic(f"x:{PASSWORD}"),
        "Digest username=x",
        "",
        "Basic \xff\xfe",
    ],
)
@pytest.mark.parametrize("request_line", ["GET / HTTP/1.1", "GET /nothing HTTP/1.1", "POST / HTTP/1.1", "HEAD /made HTTP/1.0"])
def test_without_it_nothing_is_told(locked, value, request_line):
    header = "" if value is None else f"Authorization: {value}\r\n"
    raw = locked.ask(f"{request_line}\r\n{header}\r\n".encode("latin-1"))
    got = parsed(raw, request_line.split()[0])
    assert got.status == 401 and got.headers["WWW-Authenticate"].startswith('Basic realm="')
    assert locked.site.asked == []


@pytest.mark.parametrize(
    ("given", "is_right"), [("u:secret", True), (":secret", True), ("secret", False), ("", False), (":", False)]
)
def test_a_password_stands_behind_a_colon(given, is_right):
    assert module.is_password(b"Basic " + basic(given).encode(), b"secret") is is_right


def test_a_wrong_password_takes_as_long_wherever_it_is_wrong(polled):
    password = b"0123456789abcdef"
    counter = counting()
    counts = []
    for given in (b"x123456789abcdef", b"0123456789abcdex", b"x", b"x" * 100, b""):
        header = b"Basic " + base64.b64encode(b"u:" + given)
        before = counter.count()
        counter.start()
        assert not module.is_password(header, password)
        counter.stop()
        counts.append(counter.count() - before)
    assert counts[0] == counts[1]
    assert max(counts) - min(counts) <= 16 * 5  # whether there is a byte at all


# slow, silent and broken clients


def test_who_does_not_finish_a_request_in_5_s_is_closed_however_busily(house):
    client = house.client(b"GET /")
    for _ in range(4):
        house.run(1000)
        client.send(b"a")
    assert not client.is_closed
    house.run(1500)
    assert client.is_closed and client.received == b"" and house.site.asked == []


def test_who_takes_nothing_for_10_s_is_closed_and_who_takes_some_is_not(house):
    lazy = house.client(b"GET /large HTTP/1.1\r\n\r\n", reads=False, room=4096)
    slow = house.client(b"GET /large HTTP/1.1\r\n\r\n", reads=False, room=4096)
    for _ in range(10):  # until the kernel has taken all it will: what it takes later would be progress
        house.run(100)
        time.sleep(0.1)
    for _ in range(4):
        house.run(4000)
        for _ in range(40):
            slow.read(20000)
    assert [answer.closed for answer in house.site.opened] == [1, 0]
    slow.reads = True
    house.run(20000, lambda: slow.is_closed)
    assert len(slow.received) > LARGE
    lazy.reads = True
    house.run(1000, lambda: lazy.is_closed)
    assert len(lazy.received) < LARGE


def test_who_takes_a_byte_now_and_then_is_closed_after_a_minute(house):
    client = house.client(b"GET /large HTTP/1.1\r\n\r\n", reads=False, room=4096)
    for _ in range(80):
        house.run(1000)
        client.read(20000)
    assert [answer.closed for answer in house.site.opened] == [1] and len(client.received) < LARGE


def test_an_answer_that_never_comes_ends_too(house):
    client = house.client(b"GET /never HTTP/1.1\r\n\r\n")
    house.run(12000)
    assert client.is_closed and client.received.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("sent", [b"", b"GET /ma", b"GET /made HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_who_leaves_within_the_request_is_forgotten(house, sent, how):
    client = house.client(sent)
    house.run(300)
    client.socket.shutdown(socket.SHUT_WR) if how == "half" else getattr(client, how)()
    house.run(6000)
    assert house.get("/").body == FILE and house.failures == []
    assert house.server.requests == 1


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("path", ["/large", "/later", "/never"])
def test_who_leaves_within_the_answer_is_forgotten(house, path, how):
    client = house.client(f"GET {path} HTTP/1.1\r\n\r\n".encode(), reads=False, room=4096)
    house.run(30)
    getattr(client, how)()
    house.run(11000)
    assert [answer.closed for answer in house.site.opened] == [1] and house.failures == []
    assert house.get("/").body == FILE


def test_who_has_sent_all_may_close_his_side(house):
    client = house.client(b"GET / HTTP/1.1\r\n\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    house.run(3000, lambda: client.is_closed)
    assert parsed(client.received).body == FILE


def test_four_who_say_nothing_keep_nobody_out(polled):
    house = House()
    silent = [house.client(b"GET /" if i % 2 else b"") for i in range(4)]
    house.run(200)
    assert house.get("/").body == FILE
    assert [client.is_closed for client in silent] == [True, False, False, False]  # the one that has waited longest
    house.close()


def test_who_is_being_answered_is_not_turned_out_and_others_wait_for_a_place(house):
    taking = [house.client(b"GET /large HTTP/1.1\r\n\r\n", reads=False, room=4096) for _ in range(4)]
    house.run(500)
    late = house.client(b"GET / HTTP/1.1\r\n\r\n")
    house.run(2000)
    assert not late.received and len(house.site.opened) == 4
    taking[0].reads = True
    house.run(5000, lambda: late.is_closed)
    assert parsed(late.received).body == FILE


def test_fifty_at_once_again_and_again_and_then_it_serves(house):
    for _ in range(3):
        crowd = [house.client(b"GET / HTTP/1.1\r\n\r\n" if i % 3 else b"GET", reads=bool(i % 2)) for i in range(50)]
        house.run(1500)
        for client in crowd[::2]:
            client.reset()
    house.run(15000)
    for client in house.clients:
        client.close()
    house.run(15000)
    assert house.get("/").body == FILE and house.failures == []


def test_in_any_crowd_there_are_at_most_four_connections(house, monkeypatch):
    opened = []
    real = socketpool.Socket.accept

    def accept(listener):
        accepted = real(listener)
        opened.append(accepted[0])
        return accepted

    monkeypatch.setattr(socketpool.Socket, "accept", accept)
    most = 0
    for i in range(30):
        house.client(b"GET /large HTTP/1.1\r\n\r\n" if i % 2 else b"", reads=False)
        house.run(70)
        most = max(most, sum(one._inner is not None for one in opened))
    assert len(opened) >= 4 and most == 4


# bugs


@pytest.mark.parametrize("path", ["/bug", "/broken"])
def test_a_bug_in_an_answer_ends_that_connection_only(house, path):
    other = house.client(b"GET / HT")
    house.run(100)
    client = house.client(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    house.run(3000, lambda: client.is_closed)
    assert client.is_closed and len(house.failures) == 1
    other.send(b"TP/1.1\r\n\r\n")
    house.run(3000, lambda: other.is_closed)
    assert parsed(other.received).body == FILE


SERVING = {"battery.snapshot", "web.answers", "web.site", "web.client"}


def test_what_serves_clients_is_loaded_a_module_in_each_call_when_one_comes_and_leaves_after_ten_minutes(polled, modules_stay):
    for name in SERVING:
        unload(name)
    house = House(site=Site())
    house.run(60000)
    assert not SERVING & set(sys.modules) and set(house.pauses[1:]) == {50}  # nobody has looked
    client = house.client(b"GET /made HTTP/1.1\r\n\r\n")
    there = [set(sys.modules)]
    while not client.is_closed and len(there) < 50:
        house.run(1)
        there.append(set(sys.modules))
    assert client.is_closed and house.made == 1
    steps = [len((after - before) & SERVING) for before, after in itertools.pairwise(there)]
    assert steps[0] == 0 and max(steps) == 1 and sum(steps) == len(SERVING)
    assert house.pauses.count(-1) == len(SERVING) + 1  # each call but the last says that the next one takes long
    house.run(599000)
    assert set(sys.modules) >= SERVING
    house.run(2000)
    assert not SERVING & set(sys.modules) and house.server.requests == 1
    again = house.client(b"GET /made HTTP/1.1\r\n\r\n")
    house.run(200)
    assert again.is_closed and house.made == 2 and house.failures == []


def test_with_no_memory_for_what_serves_clients_it_is_tried_again(polled, modules_stay, monkeypatch):
    house = House()
    monkeypatch.setattr(house.server, "_make_site", lambda: bytearray(10**14))
    client = house.client(b"GET /made HTTP/1.1\r\n\r\n")
    house.run(5000)
    assert client.is_closed and client.received == b"" and house.failures == [] and not SERVING & set(sys.modules)
    house.run(60000)
    assert not SERVING & set(sys.modules)  # nobody waits any more
    monkeypatch.setattr(house.server, "_make_site", lambda: house.site)
    client = house.client(b"GET /made HTTP/1.1\r\n\r\n")
    house.run(11000)
    assert client.is_closed and house.site.opened


def test_who_has_gone_before_he_is_accepted_leaves_nothing_behind(polled, modules_stay, monkeypatch):
    for name in SERVING:
        unload(name)
    house = House()

    def gone():
        raise OSError(errno.EAGAIN, "the connection was reset meanwhile")

    listener, waiting = house.server._listener, house.server._is_anyone_waiting
    monkeypatch.setattr(house.server, "_listener", SimpleNamespace(accept=gone))
    calls = [True] * 8  # the first ones: he waits until all is loaded
    monkeypatch.setattr(house.server, "_is_anyone_waiting", lambda: bool(calls and calls.pop()))
    house.run(100)
    assert house.made == 1 and set(sys.modules) >= SERVING
    house.run(610000)
    assert not SERVING & set(sys.modules)
    calls[:] = [True] * 3  # the second one is gone before
    house.run(1000)
    assert house.made == 1 and not SERVING & set(sys.modules)
    monkeypatch.setattr(house.server, "_listener", listener)
    monkeypatch.setattr(house.server, "_is_anyone_waiting", waiting)
    assert house.ask(b"GET /made HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_with_no_memory_for_a_client_it_waits(house, monkeypatch):
    def bytearray(size):
        raise MemoryError

    monkeypatch.setattr(server_module, "bytearray", bytearray, raising=False)
    client = house.client(b"GET / HTTP/1.1\r\n\r\n")
    house.run(3000)
    assert not client.is_closed and house.failures == [] and len(house.pauses) < 10
    monkeypatch.undo()
    house.run(3000, lambda: client.is_closed)
    assert parsed(client.received).body == FILE


# the port


def test_it_listens_once_there_is_an_address(either):
    radio = SimpleNamespace(ipv4_address=None)
    port = free_port()
    server = Server(socketpool.SocketPool(wifi.radio), radio, port, "", Site)
    assert server.tick(0) >= 500
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    radio.ipv4_address = "192.168.1.7"
    server.tick(1000)
    socket.create_connection(("127.0.0.1", port)).close()
    assert server.problem is None
    server._close_listener()


def test_a_taken_port_is_a_sentence_until_it_is_free(either):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen(1)
        port = other.getsockname()[1]
        house = House(port=port)
        assert str(port) in house.server.problem and "WEB_PORT" in house.server.problem
        assert "CIRCUITPY_WEB_API_PASSWORD" in house.server.problem
        house.run(15000)
        assert house.server.problem is not None and 2 <= len(house.pauses) < 5
    house.run(15000)
    assert house.server.problem is None and house.get("/").body == FILE
    house.close()


def test_a_chip_without_a_socket_left_is_a_sentence():
    class Pool(socketpool.SocketPool):
        def socket(self, *arguments):
            raise RuntimeError("Out of sockets")

    server = Server(Pool(wifi.radio), wifi.radio, 80, "", Site)
    assert server.tick(0) >= 1000
    assert "80" in server.problem and "Out of sockets" in server.problem


# what it costs


def counting():
    return pace.Counter(ROOT / "nothing", [str(ROOT / "web" / "server.py"), adafruit_ticks.__file__])


class Measured:
    """A tick whose bytecodes are counted: `largest` of all."""

    def __init__(self, house):
        self._tick = house.tick
        self._counter = counting()
        self.largest = 0

    def __call__(self, now):
        before = self._counter.count()
        self._counter.start()
        try:
            return self._tick(now)
        finally:
            self._counter.stop()
            self.largest = max(self.largest, self._counter.count() - before)


@pytest.mark.parametrize("password", ["", "p" * 64])
def test_no_tick_takes_longer_than_the_battery_can_wait(polled, password):
    house = House(password)
    measured = house.tick = Measured(house)
    header = f"Authorization: Basic {basic('u:' + password)}\r\n" if password else ""
    flood = [data for data, _ in REQUESTS.values()] + [b"\n" * 4000, b"GET / HTTP/1.1\r\n" + b"a\n" * 2000, b"a" * 5000]
    for path in ("/", "/made", "/later"):
        flood.append(f"GET {path} HTTP/1.1\r\n{header}\r\n".encode())
    for data in flood:
        for client in [house.client(data), house.client(data), house.client(b"GET /" + bytes(20))]:
            house.run(400, lambda client=client: client.is_closed)
    assert 500 < measured.largest < MOST_BYTECODES
    house.close()


def test_with_nobody_there_a_look_every_50_ms_raises_nothing_and_reads_nothing(polled, monkeypatch):
    house = House()
    house.get("/")
    house.run(200)
    house.pauses.clear()
    for name in ("accept", "recv_into", "send"):
        monkeypatch.setattr(socketpool.Socket, name, None)
    measured = house.tick = Measured(house)
    house.run(1000)
    assert set(house.pauses) == {50} and measured.largest < 150
    monkeypatch.undo()
    house.close()


def test_without_a_poll_nobody_costs_an_exception_five_times_a_second():
    house = House()
    house.run(1000)
    assert set(house.pauses[3:]) == {200}  # behind the two calls that load what serves clients
    house.close()


def test_while_a_silent_client_is_waited_for_nothing_is_read(polled, monkeypatch):
    house = House()
    house.client(b"GET /")
    house.run(200)
    house.pauses.clear()
    monkeypatch.setattr(socketpool.Socket, "recv_into", None)
    house.run(1000)
    assert min(house.pauses) == 20
    monkeypatch.undo()
    house.close()


# real clients, in real time


@pytest.fixture
def running(either):
    """A port on which a server with a password runs in real time."""
    port = free_port()
    server = Server(socketpool.SocketPool(wifi.radio), wifi.radio, port, PASSWORD, Site)
    ended = threading.Event()

    def loop():
        while not ended.is_set():
            pause = server.tick(adafruit_ticks.ticks_ms())
            time.sleep((1 if pause is None else max(1, min(pause, 50))) / 1000)

    thread = threading.Thread(target=loop)
    thread.start()
    assert wait_until(lambda: server._listener is not None)
    yield port
    ended.set()
    thread.join()
    server._close_listener()


def test_pythons_own_clients_get_everything(running):
    url = f"http://127.0.0.1:{running}/"
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, url, "anyone", PASSWORD)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    for path, body in (("", FILE), ("made", b"".join(PIECES)), ("later", b"".join(PIECES))):
        with opener.open(url + path, timeout=10) as answer:
            assert answer.read() == body
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, timeout=10)
    assert caught.value.code == 401
    connection = http.client.HTTPConnection("127.0.0.1", running, timeout=10)
    header = {"Authorization": "Basic " + basic(f":{PASSWORD}")}
    for method in ("GET", "HEAD", "GET"):  # it connects anew each time, as it is told to
        connection.request(method, "/", headers=header)
        assert connection.getresponse().read() == (b"" if method == "HEAD" else FILE)
    connection.request("POST", "/", body=b"x" * 3000, headers=header)
    assert connection.getresponse().status == 405


# in MicroPython


SCRIPT = """
import sys
sys.path[:0] = ({root!r}, {campaigns!r})
import gc, time
import vm_sockets
class Ticks:
    ticks_ms = lambda: time.ticks_ms() & 0x1FFFFFFF
    ticks_add = lambda a, b: (a + b) & 0x1FFFFFFF
    ticks_diff = lambda a, b: ((a - b + (1 << 28)) & 0x1FFFFFFF) - (1 << 28)
sys.modules["adafruit_ticks"] = Ticks
from web.server import Server

class Answer:
    content_type, length, is_gzip, extra = b"application/json", None, False, b""
    def __init__(self, size):
        self.left = size
    def readinto(self, buffer, now):
        count = min(self.left, len(buffer))
        for i in range(count):
            buffer[i] = 97
        self.left -= count
        return count or -1
    def close(self):
        pass

class Site:
    BUSY = object()
    def open(self, path, query, now):
        return Answer(3000) if path == "/made" else None

server = Server(vm_sockets.SocketPool(), vm_sockets.Radio(), {port}, "secret", Site)
server.tick(0)
print("listening", server.problem)
answered = 0
begun = time.ticks_ms()
while server.requests < {requests} and time.ticks_diff(time.ticks_ms(), begun) < 60000:
    server.tick(Ticks.ticks_ms())
    if server.requests >= answered + 500:
        answered += 500
        for _ in range(300):  # until all have gone
            server.tick(Ticks.ticks_ms())
            time.sleep_ms(1)
        gc.collect()
        before = gc.mem_alloc()
        raised = vm_sockets.exceptions
        gc.disable()
        for _ in range(100):
            server.tick(Ticks.ticks_ms())
        print("live", before, "idle", gc.mem_alloc() - before, "exceptions", vm_sockets.exceptions - raised)
        gc.enable()
print("requests", server.requests)
"""
REQUESTS_IN_VM = 2000


@pytest.mark.skipif(not VM.exists(), reason="MicroPython is not installed")
def test_in_micropython_2000_requests_leave_nothing_behind_and_an_idle_look_takes_no_heap(tmp_path):
    port = free_port()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(root=str(ROOT), campaigns=str(ROOT / "campaigns"), port=port, requests=REQUESTS_IN_VM))
    process = subprocess.Popen([VM, script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout.readline() == "listening None\n"
        good = b"GET /made HTTP/1.1\r\nAuthorization: Basic " + base64.b64encode(b"u:secret") + b"\r\n\r\n"
        kinds = [good, good.replace(b"GET", b"HEAD"), good.replace(b"made", b"none"), b"GET / HTTP/1.1\r\n\r\n"]
        for i in range(REQUESTS_IN_VM):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
                one.sendall(kinds[i % len(kinds)])
                raw = b""
                while data := one.recv(65536):
                    raw += data
            if i % len(kinds) == 0:
                assert parsed(raw).body == b"a" * 3000
            assert raw.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 404 ", b"HTTP/1.1 401 "))
            if i % 500 == 499:
                time.sleep(1)  # nobody is there
        output = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    lines = [line.split() for line in output.splitlines()]
    rows = [line for line in lines if line[0] == "live"]
    assert lines[-1] == ["requests", str(REQUESTS_IN_VM)], output
    assert len(rows) == 4 and {(row[3], row[5]) for row in rows} == {("0", "0")}, output
    live = [int(row[1]) for row in rows]
    assert max(live[1:]) - min(live[1:]) < 300, output
