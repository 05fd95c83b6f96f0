# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The words for what is wrong with settings.toml, and what to do. Loaded while the file is read, and forgotten afterwards.

Every sentence names the remedy. No secret is repeated, and nothing that could be one: not what stands on a line that is not
understood, not the value of a setting that there is not.
"""

from battery.controls import a

from .settings import b, g, h













p = ("MQTT_BASE_TOPIC", "MQTT_DISCOVERY_PREFIX", "MQTT_BIRTH_TOPIC")


_ = "a backslash in a text is written twice (\\\\)"
j = "its levels are separated by /"

# Words in the names that other projects give to what we have, and our name; the first row that has one of them counts.
k = (
    ("SSID ESSID", "CIRCUITPY_WIFI_SSID"),
    ("BAUD BAUDRATE BAUDS", "UART_BAUD_RATE"),
    ("TX TXD", "UART_TX"),
    ("RX RXD", "UART_RX"),
    ("SDA", "OLED_SDA"),
    ("SCL", "OLED_SCL"),
    ("RETAIN RETAINED", "MQTT_RETAIN_STATE"),
    ("PORT", "MQTT_PORT"),
    ("USER USERNAME LOGIN USERID UNAME BENUTZER", "MQTT_USERNAME"),
    ("PASS PASSWD PASSWORD PASSWORT PASSPHRASE PWD PW PSK KEY", "MQTT_PASSWORD"),
    ("BIRTH", "MQTT_BIRTH_TOPIC"),
    ("DISCOVERY AUTODISCOVERY", "MQTT_DISCOVERY_PREFIX"),
    ("TOPIC TOPICS BASETOPIC PREFIX ROOT", "MQTT_BASE_TOPIC"),
    ("CLIENT CLIENTID", "BRIDGE_ID"),
    ("NTP TIMESERVER", "NTP_SERVER"),
    ("TZ TIMEZONE", "UTC_OFFSET_MIN"),
    ("TLS SSL", "MQTT_TLS"),
    ("CA CERT CAFILE CACERT", "MQTT_CA_FILE"),
    ("HOST HOSTNAME SERVER BROKER ADDRESS ADDR IP URL URI", "MQTT_BROKER"),
    ("INTERVAL", "PUBLISH_INTERVAL_S"),
    ("NAME DEVICENAME NETWORK", "DEVICE_NAME"),
)
# Names that settings had before, each with the present one; one text, which takes less memory than a dict





# Names of our own begin so: what follows them is a mistyped name, as in BMS_HOST_ADRESS, and no other project's

# CircuitPython's own keys; for those that we need a mistyped one is told
q = ("CIRCUITPY_WIFI_SSID", "CIRCUITPY_WIFI_PASSWORD", "CIRCUITPY_WEB_API_PASSWORD")


# Where something else than MQTT without encryption usually answers



def o(a):
    """A piece of the file as it may stand in a sentence: not too long, and without signs that cannot be seen."""
    b = ""
    for c in a[:40]:
        b += f"<U+{ord(c):04X}>" if g(c) or D(c) else c
    return b + ("..." if len(a) > 40 else "")


def D(a):
    """Whether a sign is not seen, or taken for a space: non-breaking, of no width, of another width."""
    b = ord(a)
    return b in (0xA0, 0xAD, 0x3000, 0xFEFF) or 0x2000 <= b < 0x2010 or 0x2028 <= b < 0x2030 or 0x205F <= b < 0x2070


def A(a):
    return bool([b for b in a if D(b)])


# names


def L(key, a):
    """What is wrong with a name that is none of the settings; None for CircuitPython's own."""
    if key.startswith('CIRCUITPY_'):
        b = i(key, q)
        if key in q or (m(key, b) > 2 and not s(key, a)):
            return None
        return f"{o(key)} is not a setting; did you mean {b if m(key, b) <= 2 else s(key, a)}"
    c = z(key)
    if c:
        return c
    d = y(key, a)
    # what no rule knows may be the second line of a password
    return f"{o(key) if d != 'remove it' or key == key.upper() else 'this'} is not a setting; {d}"


def z(key):
    """The sentence on a name that a setting had before; None for any other."""
    a = 'PUBLISH_INTERVAL PUBLISH_INTERVAL_S CELLS_INTERVAL CELLS_INTERVAL_S DEAD_BAND_PERCENT DEADBAND_PERCENT\nUTC_OFFSET_MINUTES UTC_OFFSET_MIN WAKE_MIN_SOC WAKE_MIN_SOC_PERCENT WAKE_EVERY_MINUTES WAKE_INTERVAL_MIN\nOLED_PAGE_SECONDS OLED_PAGE_S OLED_BRIGHTNESS OLED_BRIGHTNESS_PERCENT OLED_DIM_AFTER_MINUTES OLED_DIM_AFTER_MIN\nOLED_DIM_BRIGHTNESS OLED_DIM_BRIGHTNESS_PERCENT'.split()
    b = a.index(key) if key in a else 1
    return None if b % 2 else f"{key} is now {a[b + 1]}; rename it"


def s(key, a):
    """What a name that begins as CircuitPython's own do is meant for, if it is one of those that people confuse."""
    b = c(key[len('CIRCUITPY_') :])
    d = n(b, a) if not [e for e in b if e in ('WEB', 'BLE', 'HOSTNAME', 'SIZE', 'DELAY')] else ""
    return d if d.startswith('CIRCUITPY_') or "MQTT" in b else ""


def y(name, a):
    """What is advised instead of a name."""
    b = i(name, a)
    d = m(name.upper(), b)
    if d > 1:
        e = n(c(name), a)
        if e:
            return f"did you mean {e}"
    return f"did you mean {b}" if d <= min(3, len(name) // 3) else "remove it"


def c(name):
    """The words of a name, in capitals: MQTT_HOST, mqtt-host, mqttHost and MQTTHOST are two."""
    a = ""
    for b in range(len(name)):
        if "A" <= name[b] <= "Z" and "a" <= name[b - 1 : b] <= "z":
            a += " "
        a += name[b] if name[b] not in "_-." else " "
    a = a.upper()
    for c in ("MQTT", "WIFI", "WLAN", "WI FI", "NTP"):
        a = a.replace(c, f" {c.replace(' ', '')} ")
    return a.split()


def n(a, b):
    """The setting that other projects call so, or ""."""
    for c in range(len(k)):
        d, e = k[c]
        if e not in b or (c > 5 and [f for f in a if f in ('BMS', 'OLED', 'WAKE', 'POLL', 'DEADBAND', 'STALE', 'CELLS', 'ALLOW', 'CURRENT')]):
            continue
        if [g for g in a if g in d.split()]:
            return I(a, e)
    return ""


def I(a, key):
    b = [c for c in a if c in ('WIFI', 'WLAN', 'AP', 'STA', 'NETWORK', 'NET', 'PSK', 'PASSPHRASE')]
    if key == "MQTT_PASSWORD":
        if b:
            return "CIRCUITPY_WIFI_PASSWORD"
        return key if len(a) > 1 or a[0] == "PASSWD" else "CIRCUITPY_WIFI_PASSWORD or MQTT_PASSWORD"
    if key == "DEVICE_NAME" and b:
        return "CIRCUITPY_WIFI_SSID"
    if key == "MQTT_BASE_TOPIC" and [d for d in a if d in ("HA", "HASS", "HASSIO", "HOMEASSISTANT")]:
        return "MQTT_DISCOVERY_PREFIX"
    if key == "MQTT_BROKER" and "NTP" in a:
        return "NTP_SERVER"
    return key


def K(name, a):
    """What is wrong with a word of ALLOW_CONTROL. Nothing is allowed that is not named exactly."""
    b = ", ".join(a)
    if name.lower() in ("all", "*", "any", "everything", "alles", "true", "yes", "on"):
        return f"there is no word for all; write those you want of {b}"
    if name.lower() in ("none", "nothing", "false", "no", "off"):
        return 'nothing is allowed by ""; write ALLOW_CONTROL = ""'
    for c in a:
        if c.startswith(name.lower().replace("-", "_")):
            return f"{o(name)} cannot be controlled; did you mean {c}"
    d = i(name.replace("-", "_"), a)
    e = m(name.lower().replace("-", "_"), d) <= min(3, len(name) // 3)
    return f"{o(name)} cannot be controlled; " + (f"did you mean {d}" if e else f"remove it; there are {b}")


def l(name, a):
    """The one of these names that may be meant with a mistyped one; None: none is like it."""
    b = i(name, a)
    return b if m(name.upper(), b.upper()) <= min(3, max(2, len(name) // 3)) else None


def i(name, a):
    return min(a, key=lambda b: m(name.upper(), b.upper()))


def m(a, b):
    """How many letters must be changed, added or removed to get from one word to the other (Levenshtein)."""
    a = a[:40]
    c = list(range(len(b) + 1))
    for d in range(len(a)):
        e = c
        c = [d + 1]
        for f in range(len(b)):
            c.append(min(e[f + 1] + 1, c[f] + 1, e[f] + (a[d] != b[f])))
    return c[-1]


def R(port, a):
    """What is wrong with a WEB_PORT that is the web workflow's."""
    return f"{port} is the port of CircuitPython's own web workflow, and {a} is used; write it, or CIRCUITPY_WEB_API_PORT"


def N(key, a, b=0):
    """What must stand in the file, and does not. `web_port`: of the page, which needs no broker; 0: there is none."""
    c = r(a, key)
    if key == "MQTT_BROKER" and b:
        d = f"remove the # of line {c}" if c else "write its address"
        return f"without MQTT_BROKER the battery is on the page in the browser only; {d} if you have a broker."
    if c:
        return f"{key} is missing: line {c} is still a comment, remove its #."
    if key == "MQTT_BROKER":
        return 'MQTT_BROKER is missing: write the address of your broker, as MQTT_BROKER = "192.168.1.10".'
    return f'{key} is missing: without it there is no Wi-Fi; write its name, as {key} = "my network".'


# lines


def M(a, b):
    """(the setting it seems to be for or "", what is wrong) for a line that is no KEY = value. It may hold a password."""
    if a[:2] in ("//", "/*", "--", "*/") or a[0] in ";*'%":
        return "", "this line is not understood; a comment begins with #, and a setting is KEY = value"
    c = len(a)
    for d in "=:":
        e = a.find(d)
        c = e if 0 <= e < c else c
    f, g = a[:c], c < len(a)
    h = "".join([m if E(m) else " " for m in f]).split()
    # as `export KEY`, `MQTT BROKER`, `const char* KEY`; or `KEY "value"`, where only the first word is looked at
    i = (["_".join(h)] + h[-1:]) if g else h[:1]
    for j in i:
        k = j.upper().replace("-", "_")
        if k in b:
            if [n for n in f if n > "~"]:
                return (
                    k,
                    f"{k}: a sign on this line only looks like a space or a letter; type the line anew{t(k)}",
                )
            return k, f"{k}: this line is not understood; write {k} = value, a text in double quotes{t(k)}"
    for j in i if g else ():
        l = y(j, b)
        if l != "remove it":
            return "", f"this line is not understood, nor is its name a setting; {l}? Write it as KEY = value"
    return "", "this line is not understood; write KEY = value"


def E(a):
    """Letters, digits, and letters of other alphabets that look like them."""
    return (
        "A" <= a <= "Z" or "a" <= a <= "z" or "0" <= a <= "9" or a in "_-" or (a > "~" and not D(a))
    )


def P(key, a):
    """What is wrong with a text that begins with a quotation mark and is none."""
    b = f", and a topic has none: {j}" if key in p and "\\" in a else ""
    return f'{o(key)}: {x(a)}{b}; write {o(key)} = "text"{t(key)}'


def x(a):
    c, d = 0, False
    for e in range(1, len(a)):
        if d:
            d = False
            if a[e] not in 'nrtbfuU"\\' or (a[e] in "uU" and not h((a + "x")[e + 1 : e + 5])):
                return _
        elif a[e] == "\\":
            d = True
        elif a[e] == '"':
            c = e
            break
    if not c:
        f = a.rstrip(b)[-1:]
        if '\\"' in a:
            return f"the text has no proper end; {_}"
        if f in "'`´‘’‚‛“”„‟«»‹›′″＂":
            return f'the text has no proper end: {f} is no quotation mark here, " is'
        return "the text has no proper end: the second quotation mark is missing"
    g = a[c + 1 :].strip(b)
    if '"' in g.split("#")[0]:
        if c == 1:
            return "the text has one quotation mark before it and one behind it, no more"
        return 'a quotation mark within a text has a backslash before it (\\")'
    if A(g[:1]):
        return "behind the text is a sign that only looks like a space"
    if g:
        return "something that is no comment stands behind the text"
    return _


# values


def Q(a, b, c):
    """What is wrong with the value of a setting, as the rest of a sentence that begins with its place."""
    d, e = a.key, b.e
    g = "this value" if F(a, b) else o(e)
    if c is None and not e:
        return f"has no value; write {f(a)}{t(d)}"
    return f"cannot be {g}{c or G(a, b, g)}{t(d)}"


def t(key):
    """What is done instead, where it is not simply the default."""
    if key == "MQTT_TLS":
        return "; until then everything is encrypted"
    return "; until then nothing is woken" if key.startswith("WAKE_") else ""


def G(c, d, e):
    h, i, k = c.key, d.value, d.e
    l = c.e in (0, 4, 3) or (c.e == 5 and isinstance(c.default, str))
    if k[:1] == "=" or k[-1:] in (",", ";"):
        m = f'{h} = "text"' if l else f"{h} = {k.strip(',;=' + b)}"
        return f"; there is a {k[0] if k[0] == '=' else k[-1]} too many, write " + m
    if k[:1] in "'`´‘’‚‛“”„‟«»‹›′″＂":
        m = f'{h} = "text"' if l else f"{h} = {c.default}"
        return f"; {k[0]} is no quotation mark here, write {m} with double quotes" if l else f"; write {m}"
    if l and not isinstance(i, str):
        if h == "ALLOW_CONTROL":
            n = k.replace(",", " ").split()
            o = n and not [u for u in n if u not in a]
            return f'; write the names, one by one, in double quotes, as {h} = "{k if o else "soc, restart_bms"}"'
        q = C(c, k) if e != "this value" and not H(k) else "text"
        r = "a pin is named as on the board," if c.e == 3 else "a text stands"
        return f'; {r} in double quotes, write {h} = "{q}"'
    if isinstance(i, str) and g(i):
        s = j if h in p else _
        return f": there is a control character in it, as \\t is a tab and \\b a backspace; {s}"
    if h in ('OLED_ADDRESS', 'BMS_HOST_ADDRESS', 'BMS_REQUEST_FILLER'):
        return B(c, d)
    t = " with the digits 0 to 9 alone" if c.e == 1 and [v for v in k if v > "~"] else ""
    return f"; write {f(c)}{t}"


def H(a):
    return g(a) or A(a) or '"' in a or "\\" in a or len(a) > 40


def C(c, a):
    """What was meant by a text without quotes."""
    a = a.rstrip(",;" + b)
    if c.e == 3 and a.isdigit():
        return "IO" + a
    if c.e == 5 and a not in c.low:
        return c.default
    return a


def B(a, c):
    d = str(c.value if isinstance(c.value, str) else c.e).strip(b).lower()
    if a.key == "OLED_ADDRESS":
        for e, g in (("78", "0x3C"), ("7a", "0x3D")):
            if d in (e, "0x" + e, e + "h"):
                return f": the module counts in eight bits, which is twice as much; write OLED_ADDRESS = {g}"
    i = d[:-1] if d.endswith("h") else d[1:] if d[:1] in "x$#" else d
    if 1 <= len(i) <= 2 and h(i) and not d.isdigit():
        return f"; a hexadecimal number begins with 0x, write {a.key} = 0x{i.upper()}"
    return f"; write {f(a)}"


def F(a, b):
    """Passwords and names, and addresses with both in them: mqtt://name:password@192.168.1.10."""
    return a.e == 4 or a.key == "MQTT_USERNAME" or "@" in b.e


def f(a):
    if a.e == 2:
        return "true or false"
    if a.e == 1:
        return f"a whole number from {a.low} to {a.h}"
    if a.key[-10:] == "_BAUD_RATE":
        return "9600, as nearly every BMS has; some can be set to 19200, 38400, 57600 or 115200"
    if a.key == "OLED_TYPE":
        return '"SSD1306", also for an SSD1309 or SSD1315, or "SH1106"; no other chip is known'
    if a.e == 5:
        return " or ".join([f'"{c}"' if isinstance(c, str) else str(c) for c in a.low])
    if a.e == 3:
        return f'the name of a pin as on the board, as {a.key} = "{a.default or "IO17"}"'
    if a.key == "CIRCUITPY_WIFI_PASSWORD":
        return "8 to 63 characters, or a key of 64 hexadecimal digits, in double quotes"
    if a.key[-5:] == "_NAME":  # of a device
        return f'a text of 1 to 40 characters in double quotes, as {a.key} = "Daly BMS"'
    b = "characters (bytes: an umlaut is two)"
    return f'a text of {a.low} to {a.h} {b} in double quotes, as {a.key} = "text"'


def e(key, a):
    """What is wrong with a value of the right type, with the remedy, as the rest of a sentence; None when it will do."""
    if key in ("MQTT_BROKER", "NTP_SERVER"):
        return v(key, a)
    if key == "CIRCUITPY_WIFI_PASSWORD" and len(a.encode()) < 8:
        return ": no Wi-Fi has a password of fewer than 8 characters; correct it"
    if key in p:
        return w(a)
    if key[-14:] == "_BOARD_NUMBERS":
        from .batteries import e as c

        return c(a)
    if key == "BRIDGE_ID" and [d for d in a.lower() if not ("a" <= d <= "z" or d in "0123456789-_")]:
        return ": it has only letters from a to z, digits, - and _; remove the others"
    if isinstance(a, str) and not a.strip(b):
        return ": it is nothing but spaces; write it"
    return None


def w(a):
    if "#" in a or "+" in a:
        return ": a topic to publish on has no # and no +; remove them"
    if "\\" in a or '"' in a:
        return ": a topic has neither backslashes nor quotation marks; " + j
    if a[0] in "/$" or a[-1] == "/":
        return ": a topic neither begins with / or $ nor ends with /; remove it"
    if D(a[0]) or D(a[-1]) or a != a.strip(b):
        return ": a topic neither begins nor ends with a space; remove it"
    return None


def v(key, a):
    b = a.split("://")[-1].split("@")[-1].split("/")[0]
    if b[:1] == "[" or b.count(":") > 1:
        return f': the board speaks IPv4 only, no IPv6; write the IPv4 address, as {key} = "192.168.1.10"'
    c, d, e = b.partition(":")
    f = not u(c)
    g = f'write {key} = "{c}"' if f else "write its name or IP address only"
    if "://" in a or "/" in a or "@" in a:
        return f": it is only the address; {g}"
    if e and not [h for h in e if h not in "0123456789"]:
        if key != "MQTT_BROKER":
            return None if f and 0 < int(e[:6]) < 65536 else f": it is an address, or address:port; {g}"
        return f": the port has a setting of its own; {g} and MQTT_PORT = {e[:6]}"
    return u(a)


def u(a):
    """What is wrong with an address that has nothing around it."""
    if " " in a or "\t" in a:
        return ": an address has no spaces; remove them"
    if not a.replace(".", "").replace(",", "").strip("0123456789") and a != "":
        b = a.replace(",", ".").strip(".")
        c = b.split(".")
        d = len(c) == 4 and not [g for g in c if len(g) not in (1, 2, 3) or int(g) > 255]
        if d and b == a:
            e = [h for h in c if h[0] == "0" and h != "0"]
            return ": the numbers of an IP address do not begin with 0; remove the zeros" if e else None
        return f": an IP address is four numbers up to 255 with dots; write it as {b if d else '192.168.1.10'}"
    c = a.split(".")
    if len(c) == 4 and c[0] and not "".join(c[:3]).strip("0123456789"):
        return f": an IP address is four numbers up to 255 with dots, and {c[3]} is none; correct it"
    for f in a.lower():
        if not ("a" <= f <= "z" or "0" <= f <= "9" or f in ".-_"):
            return ": an address has only letters a to z, digits, dots and hyphens; an IP address is surest"
    if not a or a[0] in ".-" or ".." in a:
        return ": a name neither begins with a dot or hyphen nor has two dots in a row; correct it"
    return None


# what is legal, and is unlikely to be meant


def O(a, c, d, e):
    """Hints on how a good value is written."""
    f = []
    g = d.value if isinstance(d.value, str) else d.e
    if c.e == 2 and g not in ("true", "false", "1", "0"):
        f.append(f"{a}: {o(g)} is taken for {str(e).lower()}; write true or false.")
    if (
        c.e in (0, 4)
        and e
        and (e != e.strip(b) or D(e[0]) or D(e[-1]))
    ):
        f.append(f"{a} begins or ends with a space; if it is not meant, remove it.")
    elif c.e in (0, 4) and A(e):
        f.append(f"{a} has a sign in it that cannot be seen, or only looks like a space; type it anew.")
    if c.key == "OLED_TYPE" and "X64" in g.upper().replace("*", "X"):
        f.append(f"{a}: the number of rows has a setting of its own; write OLED_HEIGHT = 64.")
    if c.key == "OLED_ADDRESS" and e not in (0x3C, 0x3D):
        f.append(
            f"{a}: nearly every screen has 0x3C, some 0x3D; {o(g)} is {e:#04x}; correct it if it is not meant."
        )
    if c.key == "UTC_OFFSET_MIN" and 0 < abs(e) <= 14:
        f.append(f"{a} is in minutes; if {e} hours are meant, write {60 * e}.")
    if c.key == "BMS_HOST_ADDRESS" and e in (20, 40, 80):
        f.append(f"{a}: {e} is {e:#04x}; if 0x{e} is meant, write 0x{e}.")
    return f


def d(a, b):
    """Hints on what settings say together."""
    c, d = [], a.m
    e, f = a.MQTT_PORT, a.MQTT_TLS
    if e in (8883, 8884) and not f:
        c.append(f"{d('MQTT_PORT')}: {e} is a port with encryption; write MQTT_TLS = true, or MQTT_PORT = 1883.")
    elif e == 1883 and f:
        c.append(f"{d('MQTT_PORT')}: 1883 is the port without encryption; with MQTT_TLS it usually is 8883.")
    elif e in (80, 443, 3000, 5000, 8000, 8080, 8081, 8083, 8084, 8086, 8123, 8443, 9001):
        g = 8883 if f else 1883
        c.append(
            f"{d('MQTT_PORT')}: {e} usually is a port for web pages or WebSockets; for MQTT write MQTT_PORT = {g}."
        )
    if a.MQTT_BROKER in ("localhost", "127.0.0.1", "0.0.0.0"):
        c.append(f"{d('MQTT_BROKER')} would be the board itself; write the address of the broker.")
    if a.k("CIRCUITPY_WIFI_SSID") and not a.k("CIRCUITPY_WIFI_PASSWORD"):
        c.append("CIRCUITPY_WIFI_PASSWORD is missing: only a Wi-Fi without a password can be joined; write it.")
    h, i = "MQTT_USERNAME", "MQTT_PASSWORD"
    for j, k in ((h, i), (i, h)):
        if getattr(a, j) and not getattr(a, k) and k not in " ".join(a.problems):
            l = r(b, k)
            m = (
                f"line {l} is still a comment: remove its #" if l else f"write both, or none of {h} and {i}"
            )
            c.append(f"{d(j)} stands there without {k}; {m}.")
    return c


def r(a, key):
    """The number of the line where a setting stands as a comment, with a value; 0 where there is none."""
    for c, d in enumerate(a.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        d = d.strip(b)
        e, f, g = d.lstrip("#" + b).partition("=")
        if d[:1] == "#" and e.strip(b) == key and g.strip(b) not in ("", '""'):
            return c
    return 0


def J(b, name, a, c=True, d=None):
    """The sentence on a pin that the board does not have; `names`: those it has. `given`: the file names it.

    `namesake`: what the board calls the pin that the name may mean.
    """
    a = sorted(a, key=lambda e: (len(e), e))  # IO2 before IO10
    f = b.split(" ")[-1]
    if c:
        g = f"if the chip's pin of that number is meant, write {d}; " if d else ""
        return f"{b}: this board has no pin {o(name)}; {g}it has {', '.join(a)}."
    h = ", or OLED = false" if f.startswith("OLED") else ""
    return (
        f'{b}: this board has no pin called {name}; write {f} = "..." with one of its pins{h}: {", ".join(a)}.'
    )


def S(name, a, b):
    """(the board's own name of a pin that people write otherwise, or None; what it calls the pin of that number, or None).

    `pins`: name -> pin of the board; `of_number("17")`: the chip's GPIO17. io17 is IO17. GPIO17, IO17, 17 are D17 or GP17 where
    that is GPIO17; but nothing is guessed where the board calls it A1, or calls another pin D17.
    """
    if name in a:
        return name, None
    c = [h for h in sorted(a) if h.lower() == name.lower()]
    if len(c) == 1:
        return c[0], None
    d = name.split(".")[-1].upper().replace("GPIO", "").replace("IO", "").strip("_ ")
    if not d or [i for i in d if i not in "0123456789"]:
        return None, None
    d = str(int(d))
    e = b(d)
    if e is None:
        e = a.get("IO" + d)
    f = [j for j in sorted(a) if e is not None and a[j] == e]
    g = [k + d for k in ("IO", "GPIO", "D", "GP", "P") if k + d in a]
    if g and not [l for l in g if l not in f]:
        return g[0], None
    return None, f[0] if f else None
