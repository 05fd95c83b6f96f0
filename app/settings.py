# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Reads settings.toml once and checks it: every mistake becomes a sentence with line, key, value and remedy.

The file is read here rather than by os.getenv, which differs between CircuitPython 9 and 10 (bare `true` raises up to
10.1) and knows neither line numbers nor unknown keys. Understood is what CircuitPython's own reader understands. The words
for what is wrong are in advice.py and plausible.py. A board has them in its memory only while it reads: what remains are the
KEPT values.
"""

import os
from collections import namedtuple

from battery.readings import poll_periods

FILE = "settings.toml"

TEXT = 0
NUMBER = 1
SWITCH = 2
PIN = 3
SECRET = 4
CHOICE = 5

Setting = namedtuple("Setting", ("key", "kind", "default", "low", "high"))
# A battery to be read: its number (see Battery in battery/pack.py), UART 1 to 3, board number on the line, name and label
Board = namedtuple("Board", ("number", "uart", "board_number", "name", "label"))
# low and high limit a number, or the length of a text in bytes; low of a CHOICE are its words or numbers


WEB_PORT = 80  # of the page, and of CircuitPython's own web workflow: then the page has the other one
OTHER_WEB_PORT = 8080
BAUD_RATES = (9600, 19200, 38400, 57600, 115200)
PROTOCOLS = ("auto", "a5", "p81", "d2")


def _text(key, default="", low=0, high=255):
    return Setting(key, TEXT, default, low, high)


def _number(key, default, low, high):
    return Setting(key, NUMBER, default, low, high)


def _choice(key, default, words):
    return Setting(key, CHOICE, default, words, None)


SETTINGS: tuple = (
    _text("CIRCUITPY_WIFI_SSID", high=32),
    Setting("CIRCUITPY_WIFI_PASSWORD", SECRET, "", 0, 63),
    _text("MQTT_BROKER"),
    _number("MQTT_PORT", 0, 0, 65535),
    Setting("MQTT_TLS", SWITCH, False, None, None),
    _text("MQTT_CA_FILE"),
    _text("MQTT_CERT_FILE"),
    _text("MQTT_KEY_FILE"),
    _text("MQTT_USERNAME"),
    Setting("MQTT_PASSWORD", SECRET, "", 0, 255),
    _text("BRIDGE_ID", high=16),
    _text("MQTT_BASE_TOPIC"),
    _text("MQTT_CLIENT_ID", high=128),
    Setting("MQTT_DISCOVERY", SWITCH, True, None, None),
    _text("MQTT_DISCOVERY_PREFIX", "homeassistant"),
    _text("MQTT_VERSION_TOPIC"),
    _text("MQTT_BIRTH_TOPIC", "homeassistant/status"),
    _number("PUBLISH_INTERVAL_S", 5, 1, 3600),
    _number("CELLS_INTERVAL_S", 60, 1, 3600),
    _number("DEADBAND_PERCENT", 100, 0, 1000),
    Setting("PUBLISH_EACH_VALUE", SWITCH, False, None, None),
    Setting("PUBLISH_VICTRON", SWITCH, False, None, None),
    Setting("MQTT_RETAIN_STATE", SWITCH, False, None, None),
    _text("DEVICE_NAME", "Daly BMS", 1, 40),
    _text("ALLOW_CONTROL"),
    _number("WEB_PORT", WEB_PORT, 0, 65535),
    Setting("WEB_PASSWORD", SECRET, "", 0, 64),
    _text("NTP_SERVER", "pool.ntp.org"),
    _number("UTC_OFFSET_MIN", 0, -720, 840),
    Setting("UART_TX", PIN, "TX", 1, 20),
    Setting("UART_RX", PIN, "RX", 1, 20),
    _choice("UART_BAUD_RATE", 9600, BAUD_RATES),
    _choice("BMS_PROTOCOL", "auto", PROTOCOLS),
    _number("BMS_HOST_ADDRESS", 0, 0, 0xFF),
    _number("BMS_BOARD_NUMBER", 1, 1, 16),
    _number("BMS_REQUEST_FILLER", 0, 0, 0xFF),
    _number("BMS_CELL_COUNT", 0, 0, 48),
    _number("BMS_TEMPERATURE_COUNT", 0, 0, 16),
    _number("STALE_PERIODS", 3, 2, 100),
)
# sorted: a board's dicts have no order
SETTINGS += tuple([_number(key, period_ms, 0, 60000) for key, period_ms in sorted(poll_periods().items())])
SETTINGS += (
    _choice("CURRENT_SIGN", "auto", ("auto", "normal", "inverted")),
    Setting("WAKE_PIN", PIN, "", 0, 20),
    Setting("WAKE_ACTIVE_HIGH", SWITCH, True, None, None),
    _number("WAKE_MIN_SOC_PERCENT", 20, 0, 100),
    _number("WAKE_MIN_CELL_MV", 3000, 1000, 4200),
    _number("WAKE_INTERVAL_MIN", 60, 1, 10080),
    Setting("OLED", SWITCH, True, None, None),
    Setting("OLED_SDA", PIN, "SDA", 1, 20),
    Setting("OLED_SCL", PIN, "SCL", 1, 20),
    _number("OLED_ADDRESS", 0x3C, 0x08, 0x77),
    _choice("OLED_TYPE", "SSD1306", ("SSD1306", "SH1106")),
    _choice("OLED_HEIGHT", 32, (32, 64)),
    _choice("OLED_ROTATION", 0, (0, 180)),
    _number("OLED_PAGE_S", 5, 0, 3600),
    _number("OLED_BRIGHTNESS_PERCENT", 60, 1, 100),
    _number("OLED_DIM_AFTER_MIN", 10, 0, 1440),
    _number("OLED_DIM_BRIGHTNESS_PERCENT", 5, 0, 100),
)
# What the parts of the firmware use, with `more`; the Settings themselves are forgotten with this module
KEPT = tuple([setting.key for setting in SETTINGS])
KEPT += ("problems", "allowed", "identity", "base_topic", "client_id", "brokers", "boards", "has_extras", "workflow", "more")
FOREIGN_PREFIX = "CIRCUITPY_"  # CircuitPython's own keys, which we neither read nor doubt
# What is taken instead where the file's value cannot be used and the default might do harm
_SAFER = {"MQTT_TLS": True}  # a password is not sent in the clear because of a mistyped `true`
# The chips on modules are often not those that were ordered; these speak the same language (capitals, first letters)
_CHIPS = (("SSD1306", "SSD1306"), ("SSD1309", "SSD1306"), ("SSD1315", "SSD1306"), ("SH1106", "SH1106"))

# One line of the file: str, int or bool as understood (None: a bare word that is neither), the line number, and how it is
# written; None where a sentence on the line has been made already
Entry = namedtuple("Entry", ("value", "line", "written"))

NOTHING = "\ufeff \t\r\n"  # of which an empty file may consist
BLANKS = " \t\r\v\f"  # not what else str.strip() takes for blank on a PC, but not on a board
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}

_CODEPOINTS = {"u": 4, "U": 8}  # hexadecimal digits behind \\u and \\U
_SWITCHES = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False, "on": True, "off": False}
UTF_16 = f"{FILE} is saved as UTF-16 (or Unicode); save it as UTF-8."
_SECTION = "this begins a section"
_NO_UTF_8 = "\ufffd"  # stands for a byte that is no text


class Settings:
    """One attribute for each row of SETTINGS, always of the right type. `problems`: what was wrong with the file.

    `hints`: what is not wrong, but is unlikely to be meant; `board_id`, CircuitPython's, tells which pins are.
    `identity`: BRIDGE_ID, or `chip_id`; `base_topic`: MQTT_BASE_TOPIC,
    `client_id`: MQTT_CLIENT_ID, or made of it, with it in place of {id}; `brokers`: (address, port) of each in MQTT_BROKER;
    `boards`: the batteries; `WEB_PORT`: 0: no page, as it is without the setting unless the board `has_room`; `workflow`:
    CircuitPython's own web workflow is on; `more`: the keys of those settings of several batteries, and of outputs and
    sensors, that are attributes, too; `has_extras`: one of the latter is.
    """

    CIRCUITPY_WIFI_SSID: str
    MQTT_BROKER: str
    MQTT_CLIENT_ID: str
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

    def __init__(self, text, chip_id="", has_room=False, board_id=""):
        from . import plausible

        entries, self.problems = parse(text)
        ends_early = bool([problem for problem in self.problems if _SECTION in problem])
        self.hints: list = []
        self._lines = {key: entries[key].line for key in entries}
        rows: tuple = SETTINGS
        known = [setting.key for setting in SETTINGS]
        if [key for key in entries if key not in known and not key.startswith(FOREIGN_PREFIX)]:
            from . import batteries, extras  # 7 KB on a board: there are more parts than one battery, or a name is mistyped

            rows += batteries.rows_for(self._lines) + extras.rows_for(self._lines)
            more = batteries.known_keys() + extras.known_keys()
            known = more + [setting.key for setting in rows]  # UART2_TX is UART_2_TX, not UART_TX
        self.more = tuple([setting.key for setting in rows[len(SETTINGS) :]])
        for key in entries:
            if key not in known:
                from . import advice

                unknown = advice.on_key(key, known)
                if unknown:
                    self.problems.append(f"{FILE} line {entries[key].line}: {unknown}.")
        wrong = []
        for setting in rows:
            value = self._value(setting, entries.get(setting.key), plausible)
            if value is None:
                wrong.append(setting.key)
                value = _SAFER.get(setting.key, setting.default)
            setattr(self, setting.key, value)
        if [key for key in wrong if key.startswith("WAKE_")]:
            self.WAKE_PIN = ""  # to wake by wrong limits can discharge a battery to death
        self.identity = self.BRIDGE_ID or chip_id
        self.base_topic = (self.MQTT_BASE_TOPIC or "daly/{id}").replace("{id}", self.identity)
        self.client_id = (self.MQTT_CLIENT_ID or "daly-{id}").replace("{id}", self.identity)
        self.DEVICE_NAME = self.DEVICE_NAME.replace("{id}", self.identity)
        self.MQTT_PORT = self.MQTT_PORT or (8883 if self.MQTT_TLS else 1883)
        self.brokers = _brokers(self.MQTT_BROKER, self.MQTT_PORT)
        if self.OLED_TYPE == "SH1106":
            self.OLED_HEIGHT = 64  # there are no others
        self.has_extras = "OUTPUT_1" in self.more
        workflow_port = _workflow_port(entries)
        self.workflow = workflow_port > 0
        if "WEB_PORT" not in entries or "WEB_PORT" in wrong:
            self.WEB_PORT = self._default_web_port(workflow_port, has_room)
        elif self.WEB_PORT and workflow_port == self.WEB_PORT:
            other = WEB_PORT if workflow_port == OTHER_WEB_PORT else OTHER_WEB_PORT
            from . import advice

            self.problems.append(f"{self.where('WEB_PORT')}: {advice.on_workflow(self.WEB_PORT, other)}.")
            self.WEB_PORT = other
        self.boards = [Board(1, 1, self.BMS_BOARD_NUMBER, self.DEVICE_NAME, "")]
        if "BANK_WIRING" in self.more:
            from .batteries import resolve

            self.boards = resolve(self)
        self.allowed: list = []
        self._allow(plausible)
        said = " ".join(self.problems)
        for key in ("MQTT_BROKER", "CIRCUITPY_WIFI_SSID"):
            told = key in said or ends_early or (key in entries and entries[key].written is None)
            if not getattr(self, key) and not told:
                # the page needs no broker, and its user must not be told that something is wrong
                found = self.hints if key == "MQTT_BROKER" and self.WEB_PORT else self.problems
                if found is self.problems or not self.problems:  # it may be on a line that is wrong
                    found.append(plausible.on_missing(key, text, self.WEB_PORT))
        self._compare_pins(rows)
        if self.has_extras:
            from .extras import check

            check(self)
        self.hints += plausible.hints(self, text)
        plausible.judge_usual_pins(self, board_id)

    def _default_web_port(self, workflow_port, has_room):
        if not has_room or getattr(self, "SLEEP_MINUTES", False):  # asleep nobody would find it
            return 0
        return OTHER_WEB_PORT if workflow_port == WEB_PORT else WEB_PORT

    def keep_boards(self, most):
        """Read only the first ones."""
        self.boards = self.boards[:most]

    def replace(self, key, value):
        """Take another value than that of the file, which cannot be used with the others."""
        setattr(self, key, value)

    def value(self, key):
        """That of the setting of this name."""
        return getattr(self, key)

    def where(self, key):
        """How a sentence about a setting begins: its line, if it stands in the file, and its key."""
        return f"{FILE} line {self._lines[key]}: {key}" if key in self._lines else key

    def has(self, key):
        """Whether the file says something on it."""
        return key in self._lines

    def _value(self, setting, entry, plausible):
        """The value to use, or None with one more problem."""
        if entry is None:
            return setting.default
        if entry.written is None:
            return None
        value = _convert(setting, entry)
        objection = plausible.objection(setting.key, value) if value else None
        if value is not None and objection is None:
            self.hints += plausible.on_spelling(self.where(setting.key), setting, entry, value)
            return value
        from . import advice

        tail = advice.on_value(setting, entry, objection)
        self.problems.append(f"{self.where(setting.key)} {tail}.")
        return None

    def _allow(self, plausible):
        """What of ALLOW_CONTROL there is."""
        names = self.ALLOW_CONTROL
        if not names:
            return
        from battery.controls import ALLOWABLE  # 2 KB, which most boards do without

        for separator in ";|/":
            names = names.replace(separator, ",")
        for name in plausible.controls_in(names, ALLOWABLE):
            if name not in ALLOWABLE:
                from . import advice

                self.problems.append(f"{self.where('ALLOW_CONTROL')}: {advice.on_control(name, ALLOWABLE)}.")
            elif name not in self.allowed:
                self.allowed.append(name)

    def pin_of(self, setting):
        """The pin that a setting names; "" for none."""
        value = getattr(self, setting.key)
        if setting.kind == PIN:
            return value
        if not value or setting.kind != TEXT or not setting.key.startswith("OUTPUT_"):
            return ""
        from outputs.rules import head_of  # only with outputs

        return head_of(value)[1]

    def _compare_pins(self, rows):
        users: dict = {}
        for setting in rows:
            pin = self.pin_of(setting)
            if pin and (self.OLED or not setting.key.startswith("OLED")):
                user = users.get(pin.lower())
                if user is not None:
                    self.problems.append(f"{self.where(setting.key)} cannot be {pin}: {user} is; choose a free pin.")
                users[pin.lower()] = setting.key


def _brokers(text, usual_port):
    """(address, port) of each address in MQTT_BROKER, which has passed its check; one at least, "" for none."""
    found = []
    for part in text.split(","):
        host, _, port = part.strip(BLANKS).partition(":")
        found.append((host, int(port) if port else usual_port))
    return tuple(found)


EXAMPLE = "settings.example.toml"
_PAGE = "settings.html"  # from the zip
_FIRST_TIME = f"open {EXAMPLE}, write your Wi-Fi and broker, save it as {FILE}."


def _workflow_port(entries):
    """The port of the chip's own web workflow; 0: it is off."""
    password = entries.get("CIRCUITPY_WEB_API_PASSWORD")
    if password is None or not password.value:
        return 0
    port = entries.get("CIRCUITPY_WEB_API_PORT")
    written = "" if port is None else str(port.value)
    return int(written) if written.isdigit() else WEB_PORT


def load(path=FILE, chip_id="", has_room=False, board_id=""):
    """The settings of a file; one that is missing or cannot be read is one more problem, not an exception."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        text, problems = _decoded(data.rstrip(b"\0"))  # what a power cut leaves
    except OSError:
        text, problems = "", [f"{FILE} is missing: {_FIRST_TIME}"]
    if not text.strip(NOTHING):  # CircuitPython makes an empty one on a new drive
        problems = _misnamed(path) or problems
    return settings_of(text, problems, chip_id, has_room, board_id)


def settings_of(text, problems, chip_id="", has_room=False, board_id=""):
    """The settings of a text. `problems`: of reading it."""
    from . import plausible

    form = plausible.on_form(text.strip(NOTHING)[:10].lower())
    if form:
        text, problems = "", [f"{FILE} is {form}."]
    if not text.strip(NOTHING):
        problems = problems or [f"{FILE} is empty: {_FIRST_TIME}"]
    settings = Settings(text, chip_id, has_room, board_id)
    if text.strip(NOTHING):
        settings.problems[:0] = problems
    else:  # then no more is to be said
        settings.problems[:] = problems
        settings.hints[:] = []
    return settings


def _misnamed(path):
    """A problem in a list where a file lies beside the one that is missing or empty and has nearly its name."""
    folder = path[: -len(FILE)]
    try:
        names = os.listdir(folder) if folder else os.listdir()
    except OSError:
        names = []
    for name in names:
        if name not in (FILE, EXAMPLE, _PAGE) and name.lower().replace(" ", "").startswith("settings"):
            return [f"{FILE} is missing or empty, but there is {name}: rename it to {FILE}."]
    return []


def _decoded(data):
    """(text, problems). What is not UTF-8 becomes a sign of its own, so that the lines are read and keep their numbers."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:2]:
        return str(_from_utf_16(data), "utf-8"), [UTF_16]
    try:
        return str(data, "utf-8"), []
    except UnicodeError:
        return "\n".join([_readable(line) for line in data.split(b"\n")]), []


def _from_utf_16(data):
    out = bytearray()
    first = 0 if data[0] in (0, 0xFE) else 1  # where the high bytes are
    for at in range(2 if data[0] > 0xFD else 0, len(data) - 1, 2):
        unit = data[at + first] << 8 | data[at + 1 - first]
        out.extend((_NO_UTF_8 if 0xD800 <= unit < 0xE000 else chr(unit)).encode())
    return out


def _readable(line):
    try:
        return str(line, "utf-8")
    except UnicodeError:
        return "".join([chr(byte) if byte < 0x80 else _NO_UTF_8 for byte in line])


def parse(text):
    """({key: Entry}, problems)."""
    entries: dict = {}
    problems: list = []
    unreadable: list = []
    strange: list = []  # lines that are nothing at all, of which one sentence is enough
    if text.startswith("\ufeff"):
        problems.append(f"{FILE} line 1: the file begins with a byte order mark; save it as UTF-8 without BOM.")
        text = text[1:]
    text = text.replace("\r\n", "\n").replace("\r\n", "\n")
    if "\r" in text:
        problems.append(f"{FILE}: its lines end as on an old Mac (CR); save it with line ends LF or CRLF.")
    for number, line in enumerate(text.replace("\r", "\n").split("\n"), 1):
        line = line.strip(BLANKS)
        if line.startswith("["):
            problems.append(f"{FILE} line {number}: {_SECTION}, and what follows is not read; remove the line.")
            break
        if line and not line.startswith("#"):
            problem = _parse_line(line, number, entries)
            if problem == _NO_UTF_8:
                unreadable.append(number)
            elif problem == "":
                strange.append(number)
            elif problem is not None:
                problems.append(f"{FILE} line {number}: {problem}.")
    if strange:
        from . import advice

        problems.append(f"{_lines(strange)}: {advice.on_strange()}.")
    if unreadable:
        problems.insert(0, f"{_lines(unreadable)}: this is not UTF-8 text, and is not read; save the file as UTF-8.")
    return entries, problems


def _lines(numbers):
    more = ", ..." if len(numbers) > 5 else ""
    return f"{FILE} line {', '.join([str(number) for number in numbers[:5]])}{more}"


def _parse_line(line, number, entries):
    """Add one `KEY = value` to the entries; returns what is wrong with it, or None."""
    equals = line.find("=")
    key = line[:equals].strip(BLANKS)
    if equals < 0 or not _is_key(key):
        from . import advice

        key, problem = advice.on_line(line, [setting.key for setting in SETTINGS])
        if key and key not in entries:
            entries[key] = Entry(None, number, None)
        return _NO_UTF_8 if _NO_UTF_8 in line else problem
    if key in entries:
        from .plausible import cut

        return f"{cut(key)} stands here for the second time, and line {entries[key].line} counts; remove one of them"
    rest = line[equals + 1 :].strip(BLANKS)
    value: str | int | bool | None
    problem = None
    if rest.startswith('"'):
        value = _quoted(rest)
        if _NO_UTF_8 in (value if isinstance(value, str) else rest):
            problem = _NO_UTF_8
        elif value is None:
            from . import advice

            problem = advice.on_text(key, rest)
    else:
        rest = rest.split("#")[0].strip(BLANKS)
        value = _bare(rest)
        problem = _NO_UTF_8 if _NO_UTF_8 in rest else None
    entries[key] = Entry(value, number, None if problem else rest)
    return problem


def _is_key(text):
    """Whether a text may be the name of a setting; what is none is not repeated in a message either."""
    for char in text.lower():
        if not ("a" <= char <= "z" or "0" <= char <= "9" or char in "_-"):
            return False
    return len(text) > 0


def _quoted(rest):
    """The text between double quotes at the start of `rest`; None when it is not closed or something follows."""
    text = ""
    i = 1
    while i < len(rest) and rest[i] != '"':
        if rest[i] == "\\":
            i += 1
            digits = _CODEPOINTS.get(rest[i : i + 1], 0)
            letter = _codepoint(rest[i + 1 : i + 1 + digits]) if digits else _ESCAPES.get(rest[i : i + 1])
            if letter is None:
                return None
            text += letter
            i += digits
        else:
            text += rest[i]
        i += 1
    after = rest[i + 1 :].strip(BLANKS)
    return None if i >= len(rest) or (after and not after.startswith("#")) else text


def _codepoint(digits):
    number = _bare("0x" + digits) if "_" not in digits else None
    return None if number is None or number > 0x10FFFF or 0xD800 <= number < 0xE000 else chr(number)


def _bare(word):
    """The int or bool a bare word stands for; None when it is neither, as 011, which is 9 on some boards."""
    if word in ("true", "false"):
        return word == "true"
    digits = word[1:] if word[:1] in ("+", "-") else word
    for char in digits.lower():  # int() takes digits of other alphabets on a PC
        if char not in "0123456789abcdefox_":
            return None
    if len(digits) > 20 or digits[:1] == "_" or digits[-1:] == "_" or "__" in digits:
        return None
    if digits[:1] == "0" and digits != "0" and digits.replace("_", "").isdigit():
        return None
    try:
        return int(word, 0)
    except ValueError:
        return None


def _convert(setting, entry):
    """The value as the type of the setting; None when it will not do."""
    value = entry.value
    if setting.kind == SWITCH:
        return _SWITCHES.get((value if isinstance(value, str) else entry.written).strip(BLANKS).lower())
    if setting.kind == NUMBER:
        number = _bare(value.strip(BLANKS)) if isinstance(value, str) else value
        if number is None or number is True or number is False:
            return None
        return number if setting.low <= number <= setting.high else None
    if setting.kind == CHOICE:
        value = str(value).strip(BLANKS).lower()
        if setting.key == "OLED_TYPE" and isinstance(entry.value, str):
            value = _chip(value)
        for choice in setting.low:
            if str(choice).lower() == value:
                return choice
        return None
    if not isinstance(value, str) or has_control(value):
        return None
    is_name = setting.key[-5:] == "_NAME"  # of a device: Home Assistant counts letters, everything else bytes
    size = len(value) if is_name else len(value.encode())
    return value if setting.low <= size <= setting.high or _is_wifi_key(setting, value) else None


def _chip(name):
    """What drives a screen whose seller calls its chip so."""
    name = name.upper().replace("-", "").replace(" ", "")
    for start, chip in _CHIPS:
        if name.startswith(start):
            return chip.lower()
    return name


def _is_wifi_key(setting, text):
    """Whether it is the key of a Wi-Fi itself, rather than the password it is made from: 64 hexadecimal digits."""
    return setting.key == "CIRCUITPY_WIFI_PASSWORD" and len(text) == 64 and is_hexadecimal(text)


def is_hexadecimal(text):
    """Whether all of a text are hexadecimal digits."""
    return not [char for char in text.lower() if char not in "0123456789abcdef"]


def has_control(text):
    """Whether there is a sign in a text that is none to be read, and that MQTT forbids: control characters and the like."""
    for char in text:
        code = ord(char)
        if code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE:
            return True
    return False
