# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads settings.toml once and checks it: every mistake becomes a sentence with line, key, value and remedy.

The file is read here rather than by os.getenv, which differs between CircuitPython 9 and 10 (bare `true` raises up to
10.1) and knows neither line numbers nor unknown keys. Understood is what CircuitPython's own reader understands. The words
for what is wrong are in advice.py. A board has both in its memory only while it reads: what remains are the KEPT values.
"""

import os
from collections import namedtuple

from battery.controls import a
from daly.core import y

j = "settings.toml"








c = namedtuple("c", ("key", "e", "default", "low", "h"))
# A battery to be read: its number (see Battery in battery/pack.py), UART 1 to 3, board number on the line, name and label
l = namedtuple("l", ("number", "b", "Q", "name", "a"))
# low and high limit a number, or the length of a text in bytes; low of a CHOICE are its words or numbers


WEB_PORT = 80  # of the page, and of CircuitPython's own web workflow: then the page has the other one

k = (9600, 19200, 38400, 57600, 115200)
m = ("auto", "a5", "p81", "d2")


def e(key, a="", low=0, h=255):
    return c(key, 0, a, low, h)


def d(key, a, low, h):
    return c(key, 1, a, low, h)


def B(key, a, b):
    return c(key, 5, a, b, None)


n: tuple = (
    e("CIRCUITPY_WIFI_SSID", h=32),
    c("CIRCUITPY_WIFI_PASSWORD", 4, "", 0, 63),
    e("MQTT_BROKER"),
    d("MQTT_PORT", 0, 0, 65535),
    c("MQTT_TLS", 2, False, None, None),
    e("MQTT_CA_FILE"),
    e("MQTT_USERNAME"),
    c("MQTT_PASSWORD", 4, "", 0, 255),
    e("BRIDGE_ID", h=16),
    e("MQTT_BASE_TOPIC"),
    e("MQTT_DISCOVERY_PREFIX", "homeassistant"),
    e("MQTT_BIRTH_TOPIC", "homeassistant/status"),
    d("PUBLISH_INTERVAL_S", 5, 1, 3600),
    d("CELLS_INTERVAL_S", 60, 1, 3600),
    d("DEADBAND_PERCENT", 100, 0, 1000),
    c("PUBLISH_EACH_VALUE", 2, False, None, None),
    c("MQTT_RETAIN_STATE", 2, False, None, None),
    e("DEVICE_NAME", "Daly BMS", 1, 40),
    e("ALLOW_CONTROL"),
    d("WEB_PORT", 80, 0, 65535),
    c("WEB_PASSWORD", 4, "", 0, 64),
    e("NTP_SERVER", "pool.ntp.org"),
    d("UTC_OFFSET_MIN", 0, -720, 840),
    c("UART_TX", 3, "TX", 1, 20),
    c("UART_RX", 3, "RX", 1, 20),
    B("UART_BAUD_RATE", 9600, k),
    B("BMS_PROTOCOL", "auto", m),
    d("BMS_HOST_ADDRESS", 0, 0, 0xFF),
    d("BMS_BOARD_NUMBER", 1, 1, 16),
    d("BMS_REQUEST_FILLER", 0, 0, 0xFF),
    d("BMS_CELL_COUNT", 0, 0, 48),
    d("BMS_TEMPERATURE_COUNT", 0, 0, 16),
    d("STALE_PERIODS", 3, 2, 100),
)
# sorted: a board's dicts have no order
n += tuple([d(a, b, 0, 60000) for a, b in sorted(y().items())])
n += (
    B("CURRENT_SIGN", "auto", ("auto", "normal", "inverted")),
    c("WAKE_PIN", 3, "", 0, 20),
    c("WAKE_ACTIVE_HIGH", 2, True, None, None),
    d("WAKE_MIN_SOC_PERCENT", 20, 0, 100),
    d("WAKE_MIN_CELL_MV", 3000, 1000, 4200),
    d("WAKE_INTERVAL_MIN", 60, 1, 10080),
    c("OLED", 2, True, None, None),
    c("OLED_SDA", 3, "SDA", 1, 20),
    c("OLED_SCL", 3, "SCL", 1, 20),
    d("OLED_ADDRESS", 0x3C, 0x08, 0x77),
    B("OLED_TYPE", "SSD1306", ("SSD1306", "SH1106")),
    B("OLED_HEIGHT", 32, (32, 64)),
    B("OLED_ROTATION", 0, (0, 180)),
    d("OLED_PAGE_S", 5, 0, 3600),
    d("OLED_BRIGHTNESS_PERCENT", 60, 1, 100),
    d("OLED_DIM_AFTER_MIN", 10, 0, 1440),
    d("OLED_DIM_BRIGHTNESS_PERCENT", 5, 0, 100),
); del B, d, e
# What the parts of the firmware use, with `more`; the Settings themselves are forgotten with this module
v = tuple([a.key for a in n])
v += ("problems", "allowed", "identity", "base_topic", "boards", "has_extras", "has_workflow", "more")
  # CircuitPython's own keys, which we neither read nor doubt
# What is taken instead where the file's value cannot be used and the default might do harm
q = {"MQTT_TLS": True}  # a password is not sent in the clear because of a mistyped `true`
# The chips on modules are often not those that were ordered; these speak the same language (capitals, first letters)


# One line of the file: str, int or bool as understood (None: a bare word that is neither), the line number, and how it is
# written; None where a sentence on the line has been made already
u = namedtuple("u", ("value", "line", "e"))

b = " \t\r\v\f"  # not what else str.strip() takes for blank on a PC, but not on a board
x = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}

w = {"u": 4, "U": 8}  # hexadecimal digits behind \\u and \\U
z = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "on": True, "off": False}
  # stands for a byte that is no text


class o:
    """One attribute for each row of SETTINGS, always of the right type. `problems`: what was wrong with the file.

    `hints`: what is not wrong, but is unlikely to be meant. `identity`: BRIDGE_ID, or `chip_id`; `base_topic`: MQTT_BASE_TOPIC,
    or made of it; `boards`: the batteries; `WEB_PORT`: 0: no page, as it is without the setting unless the board `has_room`;
    `has_workflow`: CircuitPython's own web workflow is on; `more`: the keys of those settings of several batteries, and of
    outputs and sensors, that are attributes, too; `has_extras`: one of the latter is.
    """

    CIRCUITPY_WIFI_SSID: str
    MQTT_BROKER: str
    MQTT_PORT: int
    WEB_PORT: int
    MQTT_BASE_TOPIC: str
    BRIDGE_ID: str
    DEVICE_NAME: str
    BMS_BOARD_NUMBER: int
    BMS_HOST_ADDRESS: int
    MQTT_TLS: bool
    ALLOW_CONTROL: str
    OLED: bool
    OLED_TYPE: str
    OLED_HEIGHT: int
    WAKE_PIN: str

    def __init__(a, c, k="", b=False):
        from . import advice as d

        e, a.problems = i(c)
        a.d: list = []
        a.c = {A: e[A].line for A in e}
        f: tuple = n
        g = [B.key for B in n]
        if [C for C in e if C not in g and not C.startswith('CIRCUITPY_')]:
            from . import batteries as h, extras as m  # 7 KB on a board: there are more parts than one battery, or a name is mistyped

            f += h.i(a.c) + m.i(a.c)
            o = h.h() + m.h()
            g = o + [D.key for D in f]  # UART2_TX is UART_2_TX, not UART_TX
        a.more = tuple([E.key for E in f[len(n) :]])
        for p in e:
            r = None if p in g else d.L(p, g)
            if r:
                a.problems.append(f"{j} line {e[p].line}: {r}.")
        s = []
        for u in f:
            v = a.h(u, e.get(u.key), d)
            if v is None:
                s.append(u.key)
                v = q.get(u.key, u.default)
            setattr(a, u.key, v)
        if [F for F in s if F.startswith("WAKE_")]:
            a.WAKE_PIN = ""  # to wake by wrong limits can discharge a battery to death
        a.identity = a.BRIDGE_ID or k
        a.base_topic = a.MQTT_BASE_TOPIC or "daly/" + a.identity
        a.MQTT_PORT = a.MQTT_PORT or (8883 if a.MQTT_TLS else 1883)
        if a.OLED_TYPE == "SH1106":
            a.OLED_HEIGHT = 64  # there are no others
        a.has_extras = "OUTPUT_1" in a.more
        w = t(e)
        a.j = w > 0
        if "WEB_PORT" not in e or "WEB_PORT" in s:
            a.WEB_PORT = a.i(w, b)
        elif a.WEB_PORT and w == a.WEB_PORT:
            a.problems.append(f"{a.m('WEB_PORT')}: {d.R(a.WEB_PORT, 8080)}.")
            a.WEB_PORT = 8080
        a.boards = [l(1, 1, a.BMS_BOARD_NUMBER, a.DEVICE_NAME, "")]
        if "BANK_WIRING" in a.more:
            from .batteries import u as x

            a.boards = x(a)
        a.allowed: list = []
        a.f(d)
        y = " ".join(a.problems)
        for p in ("MQTT_BROKER", "CIRCUITPY_WIFI_SSID"):
            if not getattr(a, p) and p not in y:
                # the page needs no broker, and its user must not be told that something is wrong
                z = a.d if p == "MQTT_BROKER" and a.WEB_PORT else a.problems
                z.append(d.N(p, c, a.WEB_PORT))
        a.g(f)
        if a.has_extras:
            from .extras import a as _

            _(a)
        a.d += d.d(a, c)

    def i(a, c, b):
        if not b or getattr(a, "SLEEP_MINUTES", 0):  # asleep nobody would find it
            return 0
        return 8080 if c == 80 else 80

    def l(a, b):
        """Read only the first ones."""
        a.boards = a.boards[:b]

    def replace(a, key, b):
        """Take another value than that of the file, which cannot be used with the others."""
        setattr(a, key, b)

    def value(a, key):
        """That of the setting of this name."""
        return getattr(a, key)

    def m(a, key):
        """How a sentence about a setting begins: its line, if it stands in the file, and its key."""
        return f"{j} line {a.c[key]}: {key}" if key in a.c else key

    def k(a, key):
        """Whether the file says something on it."""
        return key in a.c

    def h(a, b, c, d):
        """The value to use, or None with one more problem."""
        if c is None:
            return b.default
        if c.e is None:
            return None
        e = D(b, c)
        f = d.e(b.key, e) if e else None
        if e is not None and f is None:
            a.d += d.O(a.m(b.key), b, c, e)
            return e
        g = d.Q(b, c, f)
        a.problems.append(f"{a.m(b.key)} {g}.")
        return None

    def f(b, c):
        """What of ALLOW_CONTROL there is."""
        d = b.ALLOW_CONTROL
        for e in ",;|/":
            d = d.replace(e, " ")
        for f in d.split():
            if f not in a:
                b.problems.append(f"{b.m('ALLOW_CONTROL')}: {c.K(f, a)}.")
            elif f not in b.allowed:
                b.allowed.append(f)

    def e(a, b):
        """The pin that a setting names; "" for none."""
        c = getattr(a, b.key)
        if b.e == 3:
            return c
        if not c or b.e != 0 or not b.key.startswith("OUTPUT_"):
            return ""
        from outputs.rules import e as d  # only with outputs

        return d(c)[0]

    def g(a, b):
        c: dict = {}
        for d in b:
            e = a.e(d)
            if e and (a.OLED or not d.key.startswith("OLED")):
                f = c.get(e.lower())
                if f is not None:
                    a.problems.append(f"{a.m(d.key)} cannot be {e}: {f} is; choose a free pin.")
                c[e.lower()] = d.key


f = "settings.example.toml"
p = f"open {f}, write your Wi-Fi and broker, save it as {j}."


def t(a):
    """The port of the chip's own web workflow; 0: it is off."""
    b = a.get("CIRCUITPY_WEB_API_PASSWORD")
    if b is None or not b.value:
        return 0
    c = a.get("CIRCUITPY_WEB_API_PORT")
    d = "" if c is None else str(c.value)
    return int(d) if d.isdigit() else 80


def load(a=j, k="", b=False):
    """The settings of a file; one that is missing or cannot be read is one more problem, not an exception."""
    try:
        with open(a, "rb") as c:
            d = c.read()
        e, f = r(d.rstrip(b"\0"))  # what a power cut leaves
    except OSError:
        e, f = "", [f"{j} is missing: {p}"]
    if not e.strip("\ufeff \t\r\n"):  # CircuitPython makes an empty one on a new drive
        f = s(a) or f or [f"{j} is empty: {p}"]
    g = o(e, k, b)
    g.problems[:0] = f
    return g


def s(a):
    """A problem in a list where a file lies beside the one that is missing or empty and has nearly its name."""
    b = a[: -len(j)]
    try:
        c = os.listdir(b) if b else os.listdir()
    except OSError:
        c = []
    for d in c:
        if d not in (j, f) and d.lower().replace(" ", "").startswith("settings"):
            return [f"{j} is missing or empty, but there is {d}: rename it to {j}."]
    return []


def r(a):
    """(text, problems). What is not UTF-8 becomes a sign of its own, so that the lines are read and keep their numbers."""
    if a[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in a[:2]:
        return str(E(a), "utf-8"), [f"{j} is saved as UTF-16 (or Unicode); save it as UTF-8."]
    try:
        return str(a, "utf-8"), []
    except UnicodeError:
        return "\n".join([J(b) for b in a.split(b"\n")]), []


def E(a):
    b = bytearray()
    c = 0 if a[0] in (0, 0xFE) else 1  # where the high bytes are
    for d in range(2 if a[0] > 0xFD else 0, len(a) - 1, 2):
        e = a[d + c] << 8 | a[d + 1 - c]
        b.extend(('�' if 0xD800 <= e < 0xE000 else chr(e)).encode())
    return b


def J(a):
    try:
        return str(a, "utf-8")
    except UnicodeError:
        return "".join([chr(b) if b < 0x80 else '�' for b in a])


def i(a):
    """({key: Entry}, problems)."""
    c: dict = {}
    d: list = []
    e: list = []
    if a.startswith("\ufeff"):
        d.append(f"{j} line 1: the file begins with a byte order mark; save it as UTF-8 without BOM.")
        a = a[1:]
    a = a.replace("\r\n", "\n").replace("\r\n", "\n")
    if "\r" in a:
        d.append(f"{j}: its lines end as on an old Mac (CR); save it with line ends LF or CRLF.")
    for f, g in enumerate(a.replace("\r", "\n").split("\n"), 1):
        g = g.strip(b)
        if g.startswith("["):
            d.append(f"{j} line {f}: this begins a section, and what follows is not read; remove the line.")
            break
        if g and not g.startswith("#"):
            h = H(g, f, c)
            if h == '�':
                e.append(str(f))
            elif h:
                d.append(f"{j} line {f}: {h}.")
    if e:
        i = ", ..." if len(e) > 5 else ""
        k = f"{j} line {', '.join(e[:5])}{i}"
        d.insert(0, f"{k}: this is not UTF-8 text, and is not read; save the file as UTF-8.")
    return c, d


def H(a, c, d):
    """Add one `KEY = value` to the entries; returns what is wrong with it, or None."""
    from . import advice as e

    f = a.find("=")
    g = a[:f].strip(b)
    if f < 0 or not F(g):
        g, h = e.M(a, [k.key for k in n])
        if g and g not in d:
            d[g] = u(None, c, None)
        return '�' if '�' in a else h
    if g in d:
        return f"{e.o(g)} stands here for the second time, and line {d[g].line} counts; remove one of them"
    i = a[f + 1 :].strip(b)
    j: str | int | bool | None
    h = None
    if i.startswith('"'):
        j = I(i)
        if '�' in (j if isinstance(j, str) else i):
            h = '�'
        elif j is None:
            h = e.P(g, i)
    else:
        i = i.split("#")[0].strip(b)
        j = _(i)
        h = '�' if '�' in i else None
    d[g] = u(j, c, None if h else i)
    return h


def F(a):
    """Whether a text may be the name of a setting; what is none is not repeated in a message either."""
    for b in a.lower():
        if not ("a" <= b <= "z" or "0" <= b <= "9" or b in "_-"):
            return False
    return len(a) > 0


def I(a):
    """The text between double quotes at the start of `rest`; None when it is not closed or something follows."""
    c = ""
    d = 1
    while d < len(a) and a[d] != '"':
        if a[d] == "\\":
            d += 1
            e = w.get(a[d : d + 1], 0)
            f = C(a[d + 1 : d + 1 + e]) if e else x.get(a[d : d + 1])
            if f is None:
                return None
            c += f
            d += e
        else:
            c += a[d]
        d += 1
    g = a[d + 1 :].strip(b)
    return None if d >= len(a) or (g and not g.startswith("#")) else c


def C(a):
    b = _("0x" + a) if "_" not in a else None
    return None if b is None or b > 0x10FFFF or 0xD800 <= b < 0xE000 else chr(b)


def _(a):
    """The int or bool a bare word stands for; None when it is neither, as 011, which is 9 on some boards."""
    if a in ("true", "false"):
        return a == "true"
    b = a[1:] if a[:1] in ("+", "-") else a
    for c in b.lower():  # int() takes digits of other alphabets on a PC
        if c not in "0123456789abcdefox_":
            return None
    if len(b) > 20 or b[:1] == "_" or b[-1:] == "_" or "__" in b:
        return None
    if b[:1] == "0" and b != "0" and b.replace("_", "").isdigit():
        return None
    try:
        return int(a, 0)
    except ValueError:
        return None


def D(a, c):
    """The value as the type of the setting; None when it will not do."""
    d = c.value
    if a.e == 2:
        return z.get((d if isinstance(d, str) else c.e).strip(b).lower())
    if a.e == 1:
        e = _(d.strip(b)) if isinstance(d, str) else d
        if e is None or e is True or e is False:
            return None
        return e if a.low <= e <= a.h else None
    if a.e == 5:
        d = str(d).strip(b).lower()
        if a.key == "OLED_TYPE" and isinstance(c.value, str):
            d = A(d)
        for f in a.low:
            if str(f).lower() == d:
                return f
        return None
    if not isinstance(d, str) or g(d):
        return None
    h = a.key[-5:] == "_NAME"  # of a device: Home Assistant counts letters, everything else bytes
    i = len(d) if h else len(d.encode())
    return d if a.low <= i <= a.h or G(a, d) else None


def A(name):
    """What drives a screen whose seller calls its chip so."""
    name = name.upper().replace("-", "").replace(" ", "")
    for a, b in (('SSD1306', 'SSD1306'), ('SSD1309', 'SSD1306'), ('SSD1315', 'SSD1306'), ('SH1106', 'SH1106')):
        if name.startswith(a):
            return b.lower()
    return name


def G(a, b):
    """Whether it is the key of a Wi-Fi itself, rather than the password it is made from: 64 hexadecimal digits."""
    return a.key == "CIRCUITPY_WIFI_PASSWORD" and len(b) == 64 and h(b)


def h(a):
    """Whether all of a text are hexadecimal digits."""
    return not [b for b in a.lower() if b not in "0123456789abcdef"]


def g(a):
    """Whether there is a sign in a text that is none to be read, and that MQTT forbids: control characters and the like."""
    for b in a:
        c = ord(b)
        if c < 0x20 or 0x7F <= c < 0xA0 or 0xD800 <= c < 0xE000 or 0xFDD0 <= c < 0xFDF0 or c & 0xFFFE == 0xFFFE:
            return True
    return False
