"""Reads settings.toml once and checks it: every mistake becomes a sentence with line, key, value and remedy.

The file is read here rather than by os.getenv, which differs between CircuitPython 9 and 10 (bare `true` raises up to
10.1) and knows neither line numbers nor unknown keys. Understood is what CircuitPython's own reader understands.
"""

from collections import namedtuple

FILE = "settings.toml"

TEXT = 0
NUMBER = 1
SWITCH = 2
PIN = 3
SECRET = 4
CHOICE = 5

Setting = namedtuple("Setting", ("key", "kind", "default", "low", "high"))
# low and high limit a number, or the length of a text; low of a CHOICE are its words or numbers


def _text(key, default="", low=0, high=255):
    return Setting(key, TEXT, default, low, high)


def _number(key, default, low, high):
    return Setting(key, NUMBER, default, low, high)


def _choice(key, default, words):
    return Setting(key, CHOICE, default, words, None)


SETTINGS = (
    _text("CIRCUITPY_WIFI_SSID", high=32),
    Setting("CIRCUITPY_WIFI_PASSWORD", SECRET, "", 0, 63),
    _text("MQTT_BROKER"),
    _number("MQTT_PORT", 0, 0, 65535),
    Setting("MQTT_TLS", SWITCH, False, None, None),
    _text("MQTT_CA_FILE"),
    _text("MQTT_USERNAME"),
    Setting("MQTT_PASSWORD", SECRET, "", 0, 255),
    _text("BRIDGE_ID", high=16),
    _text("MQTT_BASE_TOPIC"),
    _text("MQTT_DISCOVERY_PREFIX", "homeassistant"),
    _text("MQTT_BIRTH_TOPIC", "homeassistant/status"),
    _number("PUBLISH_INTERVAL", 5, 1, 3600),
    _number("CELLS_INTERVAL", 60, 1, 3600),
    _number("DEAD_BAND_PERCENT", 100, 0, 1000),
    Setting("PUBLISH_EACH_VALUE", SWITCH, False, None, None),
    _text("DEVICE_NAME", "Daly BMS", 1, 40),
    _text("ALLOW_CONTROL"),
    _text("NTP_SERVER", "pool.ntp.org"),
    _number("UTC_OFFSET_MINUTES", 0, -720, 840),
    Setting("UART_TX", PIN, "TX", 1, 20),
    Setting("UART_RX", PIN, "RX", 1, 20),
    _number("UART_BAUD_RATE", 9600, 300, 115200),
    _number("BMS_HOST_ADDRESS", 0, 0, 0xFF),
    _number("BMS_BOARD_NUMBER", 1, 1, 16),
    _number("BMS_REQUEST_FILLER", 0, 0, 0xFF),
    _number("BMS_CELL_COUNT", 0, 0, 48),
    _number("BMS_TEMPERATURE_COUNT", 0, 0, 16),
    _number("STALE_PERIODS", 3, 2, 100),
    _number("POLL_PACK_MS", 80, 0, 60000),
    _number("POLL_STATUS_MS", 0, 0, 60000),
    _number("POLL_CELLS_MS", 0, 0, 60000),
    _number("POLL_TEMPERATURES_MS", 1000, 0, 60000),
    _number("POLL_CHECKS_MS", 5000, 0, 60000),
    _choice("CURRENT_SIGN", "auto", ("auto", "normal", "inverted")),
    Setting("WAKE_PIN", PIN, "", 0, 20),
    Setting("WAKE_ACTIVE_HIGH", SWITCH, True, None, None),
    _number("WAKE_MIN_SOC", 20, 0, 100),
    _number("WAKE_MIN_CELL_MV", 3000, 1000, 4200),
    _number("WAKE_EVERY_MINUTES", 60, 1, 10080),
    Setting("OLED", SWITCH, True, None, None),
    Setting("OLED_SDA", PIN, "SDA", 1, 20),
    Setting("OLED_SCL", PIN, "SCL", 1, 20),
    _number("OLED_ADDRESS", 0x3C, 0x08, 0x77),
    _choice("OLED_TYPE", "SSD1306", ("SSD1306", "SH1106")),
    _choice("OLED_HEIGHT", 32, (32, 64)),
    _choice("OLED_ROTATION", 0, (0, 180)),
    _number("OLED_PAGE_SECONDS", 5, 0, 3600),
    _number("OLED_BRIGHTNESS", 60, 1, 100),
    _number("OLED_DIM_AFTER_MINUTES", 10, 0, 1440),
    _number("OLED_DIM_BRIGHTNESS", 5, 0, 100),
)
CONTROLS = ("charge_mosfet", "discharge_mosfet", "soc", "restart_bms", "energy", "restart_bridge")
# CircuitPython's own keys, which we neither read nor doubt; only for those we need a mistyped one is told
FOREIGN_PREFIX = "CIRCUITPY_"
_NEEDED_OF_THOSE = ("CIRCUITPY_WIFI_SSID", "CIRCUITPY_WIFI_PASSWORD", "CIRCUITPY_WEB_API_PASSWORD")
_TOPICS = ("MQTT_BASE_TOPIC", "MQTT_DISCOVERY_PREFIX", "MQTT_BIRTH_TOPIC")

# one line of the file: str, int or bool as understood (None: a bare word that is neither), the line number, as written
Entry = namedtuple("Entry", ("value", "line", "written"))

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}

_CODEPOINTS = {"u": 4, "U": 8}  # hexadecimal digits behind \\u and \\U


class Settings:
    """One attribute for each row of SETTINGS, always of the right type. `problems`: what was wrong with the file."""

    MQTT_BROKER: str
    MQTT_PORT: int
    MQTT_TLS: bool
    ALLOW_CONTROL: str
    OLED: bool
    OLED_TYPE: str
    OLED_HEIGHT: int

    def __init__(self, text):
        entries, self.problems = parse(text)
        self._lines = {key: entries[key].line for key in entries}
        known = [setting.key for setting in SETTINGS]
        for key in entries:
            if key not in known and (not key.startswith(FOREIGN_PREFIX) or _is_mistyped(key)):
                self.problems.append(f"{FILE} line {entries[key].line}: {key} is not a setting; {_advice(key, known)}.")
        for setting in SETTINGS:
            setattr(self, setting.key, self._value(setting, entries.get(setting.key)))
        self.MQTT_PORT = self.MQTT_PORT or (8883 if self.MQTT_TLS else 1883)
        if self.OLED_TYPE == "SH1106":
            self.OLED_HEIGHT = 64  # there are no others
        self.allowed = self.ALLOW_CONTROL.replace(",", " ").split()
        for name in self.allowed:
            if name not in CONTROLS:
                self.problems.append(f"{self.where('ALLOW_CONTROL')}: {name} cannot be controlled; {_advice(name, CONTROLS)}.")
        if not self.MQTT_BROKER and "MQTT_BROKER" not in " ".join(self.problems):
            self.problems.append('MQTT_BROKER is missing: write the address of your broker, as MQTT_BROKER = "192.168.1.10".')
        self._compare_pins()

    def where(self, key):
        """How a sentence about a setting begins: its line, if it stands in the file, and its key."""
        return f"{FILE} line {self._lines[key]}: {key}" if key in self._lines else key

    def _value(self, setting, entry):
        if entry is None:
            return setting.default
        value = _convert(setting, entry.value)
        objection = _objection(setting.key, value) if value else None
        if value is not None and objection is None:
            return value
        shown = "this value" if _may_hold_secret(setting, entry) else entry.written
        remedy = objection or f"; write {_wanted(setting)}"
        self.problems.append(f"{self.where(setting.key)} cannot be {shown}{remedy}.")
        return setting.default

    def _compare_pins(self):
        users: dict = {}
        for setting in SETTINGS:
            pin = getattr(self, setting.key) if setting.kind == PIN else ""
            if pin and (self.OLED or not setting.key.startswith("OLED")):
                if pin in users:
                    self.problems.append(f"{self.where(setting.key)} cannot be {pin}: {users[pin]} is; choose a free pin.")
                users[pin] = setting.key


def no_such_pin(where, name, names):
    """The sentence on a pin that the board does not have; `names`: those it has."""
    names = sorted(names, key=lambda pin: (len(pin), pin))  # IO2 before IO10
    return f"{where}: this board has no pin {name}; it has {', '.join(names)}."


def load(path=FILE):
    """The settings of a file; a file that is missing or cannot be read is one more problem, not an exception."""
    try:
        with open(path, "rb") as file:
            text, problems = _decoded(file.read())
    except OSError:
        text, problems = "", [f"{FILE} is missing: copy it to the drive and edit it."]
    settings = Settings(text)
    settings.problems[:0] = problems
    return settings


def _decoded(data):
    """(text, problems). A line that is not UTF-8 is left empty, so that the others are read and keep their numbers."""
    try:
        return str(data, "utf-8"), []
    except UnicodeError:
        lines = []
        wrong = []
        for line in data.split(b"\n"):
            try:
                lines.append(str(line, "utf-8"))
            except UnicodeError:
                lines.append("")
                wrong.append(str(len(lines)))
        more = ", ..." if len(wrong) > 5 else ""
        where = f"{FILE} line {', '.join(wrong[:5])}{more}"
        return "\n".join(lines), [f"{where}: this is not UTF-8 text, and is not read; save the file as UTF-8."]


def parse(text):
    """({key: Entry}, problems)."""
    entries: dict = {}
    problems = []
    if text.startswith("\ufeff"):
        problems.append(f"{FILE} line 1: the file begins with a byte order mark; save it as UTF-8 without BOM.")
        text = text[1:]
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if line.startswith("["):
            problems.append(f"{FILE} line {number}: this begins a section, and what follows is not read; remove the line.")
            break
        if line and not line.startswith("#"):
            problem = _parse_line(line, number, entries)
            if problem:
                problems.append(f"{FILE} line {number}: {problem}.")
    return entries, problems


def _parse_line(line, number, entries):
    """Add one `KEY = value` to the entries; returns what is wrong with it, or None."""
    equals = line.find("=")
    key = line[:equals].strip()
    if equals < 0 or not _is_key(key):
        return "this line is not understood; write KEY = value"  # it is not repeated: it may hold a password
    if key in entries:
        return f"{key} stands here for the second time, and line {entries[key].line} counts; remove one of them"
    rest = line[equals + 1 :].strip()
    value: str | int | bool | None
    if rest.startswith('"'):
        value = _quoted(rest)
        if value is None:
            return f'{key}: the text has no proper end; write {key} = "text"'
    else:
        rest = rest.split("#")[0].strip()
        value = _bare(rest)
    entries[key] = Entry(value, number, rest)
    return None


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
    after = rest[i + 1 :].strip()
    return None if i >= len(rest) or (after and not after.startswith("#")) else text


def _codepoint(digits):
    try:
        return chr(int(digits, 16))
    except (ValueError, OverflowError):
        return None


def _bare(word):
    """The int or bool a bare word stands for; None when it is neither, as 011, which is 9 on some boards."""
    if word in ("true", "false"):
        return word == "true"
    if word[:1] == "0" and word.isdigit() and word != "0":
        return None
    try:
        return int(word, 0)
    except ValueError:
        return None


def _convert(setting, value):
    """`value` as the type of the setting; None when it will not do."""
    if setting.kind == SWITCH:
        return {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())
    if setting.kind == NUMBER:
        number = _bare(value) if isinstance(value, str) else value
        if number is None or number is True or number is False:
            return None
        return number if setting.low <= number <= setting.high else None
    if setting.kind == CHOICE:
        for choice in setting.low:
            if str(choice) == str(value):
                return choice
        return None
    return value if isinstance(value, str) and setting.low <= len(value) <= setting.high else None


def _may_hold_secret(setting, entry):
    """Passwords and names, and addresses with both in them: mqtt://name:password@192.168.1.10."""
    return setting.kind == SECRET or setting.key == "MQTT_USERNAME" or "@" in entry.written


def _objection(key, value):
    """What is wrong with a value of the right type, with the remedy, as the rest of a sentence; None when it will do."""
    if key == "MQTT_BROKER":
        return _objection_to_broker(value)
    if key == "CIRCUITPY_WIFI_PASSWORD" and len(value) < 8:
        return ": no Wi-Fi has a password of fewer than 8 characters; correct it"
    if key == "BRIDGE_ID" and not _is_key(value):
        return ": it has only letters from a to z, digits, - and _; remove the others"
    if key in _TOPICS:
        if "#" in value or "+" in value:
            return ": a topic to publish on has no # and no +; remove them"
        if value[0] in "/$" or value[-1] == "/":
            return ": a topic neither begins with / or $ nor ends with /; remove it"
    return None


def _objection_to_broker(address):
    host = address.split("://")[-1].split("@")[-1].split("/")[0]
    name, _, port = host.partition(":")
    if "://" in address or "/" in address or "@" in address:
        return f': it is only the address; write MQTT_BROKER = "{name}"'
    if port.isdigit():
        return f': the port has a setting of its own; write MQTT_BROKER = "{name}" and MQTT_PORT = {port}'
    if " " in address:
        return ": an address has no spaces; remove them"
    parts = address.split(".")
    if address.replace(".", "").isdigit() and (len(parts) != 4 or max([int(part or 256) for part in parts]) > 255):
        return ": an IP address is four numbers up to 255; write it as 192.168.1.10"
    return None


def _wanted(setting):
    if setting.kind == SWITCH:
        return "true or false"
    if setting.kind == NUMBER:
        return f"a whole number from {setting.low} to {setting.high}"
    if setting.kind == CHOICE:
        return " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in setting.low)
    if setting.kind == PIN:
        example = setting.default or "IO17"
        return f'the name of a pin as on the board, as {setting.key} = "{example}"'
    return f'a text of {setting.low} to {setting.high} characters in double quotes, as {setting.key} = "text"'


def _advice(key, known):
    best = min(known, key=lambda name: _distance(key.upper(), name.upper()))
    near = _distance(key.upper(), best.upper()) <= min(3, len(key) // 3)
    return f"did you mean {best}" if near else "remove it"


def _is_mistyped(key):
    """Whether one of CircuitPython's keys is not one of those that we need, but nearly."""
    return key not in _NEEDED_OF_THOSE and min([_distance(key.upper(), needed) for needed in _NEEDED_OF_THOSE]) <= 2


def _distance(a, b):
    """How many letters must be changed, added or removed to get from one word to the other (Levenshtein)."""
    row = list(range(len(b) + 1))
    for i in range(len(a)):
        before = row
        row = [i + 1]
        for j in range(len(b)):
            row.append(min(before[j + 1] + 1, row[j] + 1, before[j] + (a[i] != b[j])))
    return row[-1]
