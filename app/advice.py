# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The words for what is wrong with settings.toml, and what to do. Loaded while the file is read, and forgotten afterwards.

Every sentence names the remedy. No secret is repeated, and nothing that could be one: not what stands on a line that is not
understood, not the value of a setting that there is not.
"""

from battery.controls import ALLOWABLE

from .settings import (
    BLANKS,
    CHOICE,
    FOREIGN_PREFIX,
    NUMBER,
    PIN,
    SECRET,
    SWITCH,
    TEXT,
    has_control,
    is_hexadecimal,
)

LONGEST_SHOWN = 40
TOPICS = ("MQTT_BASE_TOPIC", "MQTT_DISCOVERY_PREFIX", "MQTT_BIRTH_TOPIC", "MQTT_VERSION_TOPIC")
_HEXADECIMAL = ("OLED_ADDRESS", "BMS_HOST_ADDRESS", "BMS_REQUEST_FILLER")
_QUOTES = "'`´‘’‚‛“”„‟«»‹›′″＂"
_BACKSLASH = "a backslash in a text is written twice (\\\\)"
_LEVELS = "its levels are separated by /"

# Words in the names that other projects give to what we have, and our name; the first row that has one of them counts.
_MEANT = (
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
    ("CLIENT CLIENTID", "MQTT_CLIENT_ID"),
    ("NTP TIMESERVER", "NTP_SERVER"),
    ("TZ TIMEZONE", "UTC_OFFSET_MIN"),
    ("TLS SSL", "MQTT_TLS"),
    ("CA CERT CAFILE CACERT", "MQTT_CA_FILE"),
    ("HOST HOSTNAME SERVER BROKER ADDRESS ADDR IP URL URI", "MQTT_BROKER"),
    ("INTERVAL", "PUBLISH_INTERVAL_S"),
    ("NAME DEVICENAME NETWORK", "DEVICE_NAME"),
)
# Names that settings had before, each with the present one; one text, which takes less memory than a dict
_RENAMED = """PUBLISH_INTERVAL PUBLISH_INTERVAL_S CELLS_INTERVAL CELLS_INTERVAL_S DEAD_BAND_PERCENT DEADBAND_PERCENT
UTC_OFFSET_MINUTES UTC_OFFSET_MIN WAKE_MIN_SOC WAKE_MIN_SOC_PERCENT WAKE_EVERY_MINUTES WAKE_INTERVAL_MIN
OLED_PAGE_SECONDS OLED_PAGE_S OLED_BRIGHTNESS OLED_BRIGHTNESS_PERCENT OLED_DIM_AFTER_MINUTES OLED_DIM_AFTER_MIN
OLED_DIM_BRIGHTNESS OLED_DIM_BRIGHTNESS_PERCENT"""
_WIFI_WORDS = ("WIFI", "WLAN", "AP", "STA", "NETWORK", "NET", "PSK", "PASSPHRASE")
# Names of our own begin so: what follows them is a mistyped name, as in BMS_HOST_ADRESS, and no other project's
_FAMILIES = ("BMS", "OLED", "WAKE", "POLL", "DEADBAND", "STALE", "CELLS", "ALLOW", "CURRENT")
# CircuitPython's own keys; for those that we need a mistyped one is told
_NEEDED = ("CIRCUITPY_WIFI_SSID", "CIRCUITPY_WIFI_PASSWORD", "CIRCUITPY_WEB_API_PASSWORD")
_NOT_OURS = ("WEB", "BLE", "HOSTNAME", "SIZE", "DELAY")

# Where something else than MQTT without encryption usually answers
_WEB_PORTS = (80, 443, 3000, 5000, 8000, 8080, 8081, 8083, 8084, 8086, 8123, 8443, 9001)


def cut(text):
    """A piece of the file as it may stand in a sentence: not too long, and without signs that cannot be seen."""
    shown = ""
    for char in text[:LONGEST_SHOWN]:
        shown += f"<U+{ord(char):04X}>" if has_control(char) or _is_blank(char) else char
    return shown + ("..." if len(text) > LONGEST_SHOWN else "")


def _is_blank(char):
    """Whether a sign is not seen, or taken for a space: non-breaking, of no width, of another width."""
    code = ord(char)
    return code in (0xA0, 0xAD, 0x3000, 0xFEFF) or 0x2000 <= code < 0x2010 or 0x2028 <= code < 0x2030 or 0x205F <= code < 0x2070


def _has_blank(text):
    return bool([char for char in text if _is_blank(char)])


# names


def on_key(key, known):
    """What is wrong with a name that is none of the settings; None for CircuitPython's own."""
    if key.startswith(FOREIGN_PREFIX):
        best = _nearest(key, _NEEDED)
        if key in _NEEDED or (_distance(key, best) > 2 and not _foreign(key, known)):
            return None
        return f"{cut(key)} is not a setting; did you mean {best if _distance(key, best) <= 2 else _foreign(key, known)}"
    renamed = on_old_name(key)
    if renamed:
        return renamed
    advice = on_name(key, known)
    # what no rule knows may be the second line of a password
    return f"{cut(key) if advice != 'remove it' or key == key.upper() else 'this'} is not a setting; {advice}"


def on_old_name(key):
    """The sentence on a name that a setting had before; None for any other."""
    names = _RENAMED.split()
    at = names.index(key) if key in names else 1
    return None if at % 2 else f"{key} is now {names[at + 1]}; rename it"


def _foreign(key, known):
    """What a name that begins as CircuitPython's own do is meant for, if it is one of those that people confuse."""
    words = _words(key[len(FOREIGN_PREFIX) :])
    meant = _meant(words, known) if not [word for word in words if word in _NOT_OURS] else ""
    return meant if meant.startswith(FOREIGN_PREFIX) or "MQTT" in words else ""


def on_name(name, known):
    """What is advised instead of a name."""
    numbered = [other for other in known if _without_numbers(other) == _without_numbers(name)]
    if len(numbered) > 1:
        return f"there are {numbered[0]} to {numbered[-1]}; write one of these"
    best = _nearest(name, known)
    far = _distance(name.upper(), best)
    if far > 1:
        meant = _meant(_words(name), known)
        if meant:
            return f"did you mean {meant}"
    return f"did you mean {best}" if far <= min(3, len(name) // 3) else "remove it"


def _without_numbers(name):
    return "".join([char for char in name.upper() if not "0" <= char <= "9"])


def _words(name):
    """The words of a name, in capitals: MQTT_HOST, mqtt-host, mqttHost and MQTTHOST are two."""
    spaced = ""
    for i in range(len(name)):
        if "A" <= name[i] <= "Z" and "a" <= name[i - 1 : i] <= "z":
            spaced += " "
        spaced += name[i] if name[i] not in "_-." else " "
    spaced = spaced.upper()
    for word in ("MQTT", "WIFI", "WLAN", "WI FI", "NTP"):
        spaced = spaced.replace(word, f" {word.replace(' ', '')} ")
    return spaced.split()


def _meant(words, known):
    """The setting that other projects call so, or ""."""
    for row in range(len(_MEANT)):
        names, key = _MEANT[row]
        if key not in known or (row > 5 and [word for word in words if word in _FAMILIES]):
            continue
        if [word for word in words if word in names.split()]:
            return _which(words, key)
    return ""


def _which(words, key):
    wifi = [word for word in words if word in _WIFI_WORDS]
    if key == "MQTT_PASSWORD":
        if wifi:
            return "CIRCUITPY_WIFI_PASSWORD"
        return key if len(words) > 1 or words[0] == "PASSWD" else "CIRCUITPY_WIFI_PASSWORD or MQTT_PASSWORD"
    if key == "DEVICE_NAME" and wifi:
        return "CIRCUITPY_WIFI_SSID"
    if key == "MQTT_BASE_TOPIC" and [word for word in words if word in ("HA", "HASS", "HASSIO", "HOMEASSISTANT")]:
        return "MQTT_DISCOVERY_PREFIX"
    if key == "MQTT_BROKER" and "NTP" in words:
        return "NTP_SERVER"
    return key


def on_control(name, controls):
    """What is wrong with a word of ALLOW_CONTROL. Nothing is allowed that is not named exactly."""
    every = ", ".join(controls)
    if name.lower() in ("all", "*", "any", "everything", "alles", "true", "yes", "on"):
        return f"there is no word for all; write those you want of {every}"
    if name.lower() in ("none", "nothing", "false", "no", "off"):
        return 'nothing is allowed by ""; write ALLOW_CONTROL = ""'
    for control in controls:
        if control.startswith(name.lower().replace("-", "_")):
            return f"{cut(name)} cannot be controlled; did you mean {control}"
    best = _nearest(name.replace("-", "_"), controls)
    near = _distance(name.lower().replace("-", "_"), best) <= min(3, len(name) // 3)
    return f"{cut(name)} cannot be controlled; " + (f"did you mean {best}" if near else f"remove it; there are {every}")


def similar(name, names):
    """The one of these names that may be meant with a mistyped one; None: none is like it."""
    best = _nearest(name, names)
    return best if _distance(name.upper(), best.upper()) <= min(3, max(2, len(name) // 3)) else None


def _nearest(name, names):
    return min(names, key=lambda other: _distance(name.upper(), other.upper()))


def _distance(a, b):
    """How many letters must be changed, added or removed to get from one word to the other (Levenshtein)."""
    a = a[:LONGEST_SHOWN]
    row = list(range(len(b) + 1))
    for i in range(len(a)):
        before = row
        row = [i + 1]
        for j in range(len(b)):
            row.append(min(before[j + 1] + 1, row[j] + 1, before[j] + (a[i] != b[j])))
    return row[-1]


def on_workflow(port, other):
    """What is wrong with a WEB_PORT that is the web workflow's."""
    return f"{port} is the port of CircuitPython's own web workflow, and {other} is used; write it, or CIRCUITPY_WEB_API_PORT"


def on_missing(key, text, web_port=0):
    """What must stand in the file, and does not. `web_port`: of the page, which needs no broker; 0: there is none."""
    line = _commented(text, key)
    if key == "MQTT_BROKER" and web_port:
        remedy = f"remove the # of line {line}" if line else "write its address"
        return f"without MQTT_BROKER the battery is on the page in the browser only; {remedy} if you have a broker."
    if line:
        return f"{key} is missing: line {line} is still a comment, remove its #."
    if key == "MQTT_BROKER":
        return 'MQTT_BROKER is missing: write the address of your broker, as MQTT_BROKER = "192.168.1.10".'
    return f'{key} is missing: without it there is no Wi-Fi; write its name, as {key} = "my network".'


# lines


def on_line(line, known):
    """(the setting it seems to be for or "", what is wrong) for a line that is no KEY = value. It may hold a password."""
    if line[:2] in ("//", "/*", "--", "*/") or line[0] in ";*'%":
        return "", "this line is not understood; a comment begins with #, and a setting is KEY = value"
    end = len(line)
    for sign in "=:":
        at = line.find(sign)
        end = at if 0 <= at < end else end
    name, told = line[:end], end < len(line)
    words = "".join([char if _is_in_word(char) else " " for char in name]).split()
    # as `export KEY`, `MQTT BROKER`, `const char* KEY`; or `KEY "value"`, where only the first word is looked at
    candidates = (["_".join(words)] + words[-1:]) if told else words[:1]
    for word in candidates:
        key = word.upper().replace("-", "_")
        if key in known:
            if [char for char in name if char > "~"]:
                return (
                    key,
                    f"{key}: a sign on this line only looks like a space or a letter; type the line anew{_meanwhile(key)}",
                )
            return key, f"{key}: this line is not understood; write {key} = value, a text in double quotes{_meanwhile(key)}"
    for word in candidates if told else ():
        advice = on_name(word, known)
        if advice != "remove it":
            return "", f"this line is not understood, nor is its name a setting; {advice}? Write it as KEY = value"
    return "", "this line is not understood; write KEY = value"


def _is_in_word(char):
    """Letters, digits, and letters of other alphabets that look like them."""
    return (
        "A" <= char <= "Z" or "a" <= char <= "z" or "0" <= char <= "9" or char in "_-" or (char > "~" and not _is_blank(char))
    )


def on_text(key, rest):
    """What is wrong with a text that begins with a quotation mark and is none."""
    levels = f", and a topic has none: {_LEVELS}" if key in TOPICS and "\\" in rest else ""
    return f'{cut(key)}: {_text_trouble(rest)}{levels}; write {cut(key)} = "text"{_meanwhile(key)}'


def _text_trouble(rest):
    closed, escaped = 0, False
    for i in range(1, len(rest)):
        if escaped:
            escaped = False
            if rest[i] not in 'nrtbfuU"\\' or (rest[i] in "uU" and not is_hexadecimal((rest + "x")[i + 1 : i + 5])):
                return _BACKSLASH
        elif rest[i] == "\\":
            escaped = True
        elif rest[i] == '"':
            closed = i
            break
    if not closed:
        last = rest.rstrip(BLANKS)[-1:]
        if '\\"' in rest:
            return f"the text has no proper end; {_BACKSLASH}"
        if last in _QUOTES:
            return f'the text has no proper end: {last} is no quotation mark here, " is'
        return "the text has no proper end: the second quotation mark is missing"
    after = rest[closed + 1 :].strip(BLANKS)
    if '"' in after.split("#")[0]:
        if closed == 1:
            return "the text has one quotation mark before it and one behind it, no more"
        return 'a quotation mark within a text has a backslash before it (\\")'
    if _has_blank(after[:1]):
        return "behind the text is a sign that only looks like a space"
    if after:
        return "something that is no comment stands behind the text"
    return _BACKSLASH


# values


def on_value(setting, entry, objection):
    """What is wrong with the value of a setting, as the rest of a sentence that begins with its place."""
    key, written = setting.key, entry.written
    shown = "this value" if _may_hold_secret(setting, entry) else cut(written)
    if objection is None and not written:
        return f"has no value; write {_wanted(setting)}{_meanwhile(key)}"
    return f"cannot be {shown}{objection or _mistake(setting, entry, shown)}{_meanwhile(key)}"


def _meanwhile(key):
    """What is done instead, where it is not simply the default."""
    if key == "MQTT_TLS":
        return "; until then everything is encrypted"
    return "; until then nothing is woken" if key.startswith("WAKE_") else ""


def _mistake(setting, entry, shown):
    key, value, written = setting.key, entry.value, entry.written
    is_text = setting.kind in (TEXT, SECRET, PIN) or (setting.kind == CHOICE and isinstance(setting.default, str))
    if written[:1] == "=" or written[-1:] in (",", ";"):
        plain = f'{key} = "text"' if is_text else f"{key} = {written.strip(',;=' + BLANKS)}"
        return f"; there is a {written[0] if written[0] == '=' else written[-1]} too many, write " + plain
    if written[:1] in _QUOTES:
        plain = f'{key} = "text"' if is_text else f"{key} = {setting.default}"
        return f"; {written[0]} is no quotation mark here, write {plain} with double quotes" if is_text else f"; write {plain}"
    if is_text and not isinstance(value, str):
        if key == "ALLOW_CONTROL":
            names = written.replace(",", " ").split()
            known = names and not [name for name in names if name not in ALLOWABLE]
            return f'; write the names, one by one, in double quotes, as {key} = "{written if known else "soc, restart_bms"}"'
        example = _in_quotes(setting, written) if shown != "this value" and not _odd(written) else "text"
        what = "a pin is named as on the board," if setting.kind == PIN else "a text stands"
        return f'; {what} in double quotes, write {key} = "{example}"'
    if isinstance(value, str) and has_control(value):
        remedy = _LEVELS if key in TOPICS else _BACKSLASH
        return f": there is a control character in it, as \\t is a tab and \\b a backspace; {remedy}"
    if key in _HEXADECIMAL:
        return _hexadecimal(setting, entry)
    signs = " with the digits 0 to 9 alone" if setting.kind == NUMBER and [char for char in written if char > "~"] else ""
    return f"; write {_wanted(setting)}{signs}"


def _odd(text):
    return has_control(text) or _has_blank(text) or '"' in text or "\\" in text or len(text) > LONGEST_SHOWN


def _in_quotes(setting, written):
    """What was meant by a text without quotes."""
    written = written.rstrip(",;" + BLANKS)
    if setting.kind == PIN and written.isdigit():
        return "IO" + written
    if setting.kind == CHOICE and written not in setting.low:
        return setting.default
    return written


def _hexadecimal(setting, entry):
    word = str(entry.value if isinstance(entry.value, str) else entry.written).strip(BLANKS).lower()
    if setting.key == "OLED_ADDRESS":
        for eight, seven in (("78", "0x3C"), ("7a", "0x3D")):
            if word in (eight, "0x" + eight, eight + "h"):
                return f": the module counts in eight bits, which is twice as much; write OLED_ADDRESS = {seven}"
    digits = word[:-1] if word.endswith("h") else word[1:] if word[:1] in "x$#" else word
    if 1 <= len(digits) <= 2 and is_hexadecimal(digits) and not word.isdigit():
        return f"; a hexadecimal number begins with 0x, write {setting.key} = 0x{digits.upper()}"
    return f"; write {_wanted(setting)}"


def _may_hold_secret(setting, entry):
    """Passwords and names, and addresses with both in them: mqtt://name:password@192.168.1.10."""
    return setting.kind == SECRET or setting.key == "MQTT_USERNAME" or "@" in entry.written


def _wanted(setting):
    if setting.kind == SWITCH:
        return "true or false"
    if setting.kind == NUMBER:
        return f"a whole number from {setting.low} to {setting.high}"
    if setting.key[-10:] == "_BAUD_RATE":
        return "9600, as nearly every BMS has; some can be set to 19200, 38400, 57600 or 115200"
    if setting.key == "OLED_TYPE":
        return '"SSD1306", also for an SSD1309 or SSD1315, or "SH1106"; no other chip is known'
    if setting.kind == CHOICE:
        return " or ".join([f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in setting.low])
    if setting.kind == PIN:
        return f'the name of a pin as on the board, as {setting.key} = "{setting.default or "IO17"}"'
    if setting.key == "CIRCUITPY_WIFI_PASSWORD":
        return "8 to 63 characters, or a key of 64 hexadecimal digits, in double quotes"
    if setting.key[-5:] == "_NAME":  # of a device
        return f'a text of 1 to 40 characters in double quotes, as {setting.key} = "Daly BMS"'
    unit = "characters (bytes: an umlaut is two)"
    return f'a text of {setting.low} to {setting.high} {unit} in double quotes, as {setting.key} = "text"'


def objection(key, value):
    """What is wrong with a value of the right type, with the remedy, as the rest of a sentence; None when it will do."""
    if key == "MQTT_BROKER":
        return _objection_to_brokers(value)
    if key == "NTP_SERVER":
        return _objection_to_address(key, value)
    if key == "CIRCUITPY_WIFI_PASSWORD" and len(value.encode()) < 8:
        return ": no Wi-Fi has a password of fewer than 8 characters; correct it"
    if key in TOPICS:
        return _objection_to_topic(value)
    if key[-14:] == "_BOARD_NUMBERS":
        from .batteries import objection as to_numbers

        return to_numbers(value)
    if key == "BRIDGE_ID" and [char for char in value.lower() if not ("a" <= char <= "z" or char in "0123456789-_")]:
        return ": it has only letters from a to z, digits, - and _; remove the others"
    if isinstance(value, str) and not value.strip(BLANKS):
        return ": it is nothing but spaces; write it"
    return None


def _objection_to_topic(topic):
    if "#" in topic or "+" in topic:
        return ": a topic to publish on has no # and no +; remove them"
    if "\\" in topic or '"' in topic:
        return ": a topic has neither backslashes nor quotation marks; " + _LEVELS
    if topic[0] in "/$" or topic[-1] == "/":
        return ": a topic neither begins with / or $ nor ends with /; remove it"
    if _is_blank(topic[0]) or _is_blank(topic[-1]) or topic != topic.strip(BLANKS):
        return ": a topic neither begins nor ends with a space; remove it"
    return None


def _objection_to_brokers(value):
    """`value`: addresses with commas between them, each with its port or without."""
    parts = [part.strip(BLANKS) for part in value.split(",")] if "," in value else [value]
    wrong = [(part, _objection_to_address("MQTT_BROKER", part)) for part in parts]
    wrong = [(part, found) for part, found in wrong if found]
    if not wrong:
        return None
    if len(parts) == 1 or not value.strip("0123456789.,"):  # commas in place of dots
        return _objection_to_address("MQTT_BROKER", value)
    return f": {cut(wrong[0][0]) or 'nothing between two commas'}{wrong[0][1]}"


def _objection_to_address(key, address):
    host = address.split("://")[-1].split("@")[-1].split("/")[0]
    if host[:1] == "[" or host.count(":") > 1:
        return f': the board speaks IPv4 only, no IPv6; write the IPv4 address, as {key} = "192.168.1.10"'
    name, _, port = host.partition(":")
    good = not _misspelt(name)
    write = f'write {key} = "{name}"' if good else "write its name or IP address only"
    if "://" in address or "/" in address or "@" in address:
        return f": it is only the address; {write}"
    if port and not [char for char in port if char not in "0123456789"]:
        return None if good and 0 < int(port[:6]) < 65536 else f": it is an address, or address:port; {write}"
    return _misspelt(address)


def _misspelt(address):
    """What is wrong with an address that has nothing around it."""
    if " " in address or "\t" in address:
        return ": an address has no spaces; remove them"
    if not address.replace(".", "").replace(",", "").strip("0123456789") and address != "":
        dots = address.replace(",", ".").strip(".")
        parts = dots.split(".")
        good = len(parts) == 4 and not [part for part in parts if len(part) not in (1, 2, 3) or int(part) > 255]
        if good and dots == address:
            zeros = [part for part in parts if part[0] == "0" and part != "0"]
            return ": the numbers of an IP address do not begin with 0; remove the zeros" if zeros else None
        return f": an IP address is four numbers up to 255 with dots; write it as {dots if good else '192.168.1.10'}"
    parts = address.split(".")
    if len(parts) == 4 and parts[0] and not "".join(parts[:3]).strip("0123456789"):
        return f": an IP address is four numbers up to 255 with dots, and {parts[3]} is none; correct it"
    for char in address.lower():
        if not ("a" <= char <= "z" or "0" <= char <= "9" or char in ".-_"):
            return ": an address has only letters a to z, digits, dots and hyphens; an IP address is surest"
    if not address or address[0] in ".-" or ".." in address:
        return ": a name neither begins with a dot or hyphen nor has two dots in a row; correct it"
    return None


# what is legal, and is unlikely to be meant


def on_spelling(where, setting, entry, value):
    """Hints on how a good value is written."""
    hints = []
    raw = entry.value if isinstance(entry.value, str) else entry.written
    if setting.kind == SWITCH and raw not in ("true", "false", "1", "0"):
        hints.append(f"{where}: {cut(raw)} is taken for {str(value).lower()}; write true or false.")
    if (
        setting.kind in (TEXT, SECRET)
        and value
        and (value != value.strip(BLANKS) or _is_blank(value[0]) or _is_blank(value[-1]))
    ):
        hints.append(f"{where} begins or ends with a space; if it is not meant, remove it.")
    elif setting.kind in (TEXT, SECRET) and _has_blank(value):
        hints.append(f"{where} has a sign in it that cannot be seen, or only looks like a space; type it anew.")
    if setting.key == "OLED_TYPE" and "X64" in raw.upper().replace("*", "X"):
        hints.append(f"{where}: the number of rows has a setting of its own; write OLED_HEIGHT = 64.")
    if setting.key == "OLED_ADDRESS" and value not in (0x3C, 0x3D):
        hints.append(
            f"{where}: nearly every screen has 0x3C, some 0x3D; {cut(raw)} is {value:#04x}; correct it if it is not meant."
        )
    if setting.key == "UTC_OFFSET_MIN" and 0 < abs(value) <= 14:
        hints.append(f"{where} is in minutes; if {value} hours are meant, write {60 * value}.")
    if setting.key == "BMS_HOST_ADDRESS" and value in (20, 40, 80):
        hints.append(f"{where}: {value} is {value:#04x}; if 0x{value} is meant, write 0x{value}.")
    return hints


def hints(settings, text):
    """Hints on what settings say together."""
    found, where = [], settings.where
    port, tls = settings.MQTT_PORT, settings.MQTT_TLS
    if port in (8883, 8884) and not tls:
        found.append(f"{where('MQTT_PORT')}: {port} is a port with encryption; write MQTT_TLS = true, or MQTT_PORT = 1883.")
    elif port == 1883 and tls:
        found.append(f"{where('MQTT_PORT')}: 1883 is the port without encryption; with MQTT_TLS it usually is 8883.")
    elif port in _WEB_PORTS:
        usual = 8883 if tls else 1883
        found.append(
            f"{where('MQTT_PORT')}: {port} usually is a port for web pages or WebSockets; for MQTT write MQTT_PORT = {usual}."
        )
    if settings.MQTT_BROKER in ("localhost", "127.0.0.1", "0.0.0.0"):
        found.append(f"{where('MQTT_BROKER')} would be the board itself; write the address of the broker.")
    if settings.has("CIRCUITPY_WIFI_SSID") and not settings.has("CIRCUITPY_WIFI_PASSWORD"):
        found.append("CIRCUITPY_WIFI_PASSWORD is missing: only a Wi-Fi without a password can be joined; write it.")
    name, password = "MQTT_USERNAME", "MQTT_PASSWORD"
    for given, missing in ((name, password), (password, name)):
        if getattr(settings, given) and not getattr(settings, missing) and missing not in " ".join(settings.problems):
            line = _commented(text, missing)
            remedy = (
                f"line {line} is still a comment: remove its #" if line else f"write both, or none of {name} and {password}"
            )
            found.append(f"{where(given)} stands there without {missing}; {remedy}.")
    return found


def _commented(text, key):
    """The number of the line where a setting stands as a comment, with a value; 0 where there is none."""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = line.strip(BLANKS)
        name, _, value = line.lstrip("#" + BLANKS).partition("=")
        if line[:1] == "#" and name.strip(BLANKS) == key and value.strip(BLANKS) not in ("", '""'):
            return number
    return 0


def no_such_pin(where, name, names, given=True, namesake=None):
    """The sentence on a pin that the board does not have; `names`: those it has. `given`: the file names it.

    `namesake`: what the board calls the pin that the name may mean.
    """
    names = sorted(names, key=lambda pin: (len(pin), pin))  # IO2 before IO10
    key = where.split(" ")[-1]
    if given:
        meant = f"if the chip's pin of that number is meant, write {namesake}; " if namesake else ""
        return f"{where}: this board has no pin {cut(name)}; {meant}it has {', '.join(names)}."
    screen = ", or OLED = false" if key.startswith("OLED") else ""
    return (
        f'{where}: this board has no pin called {name}; write {key} = "..." with one of its pins{screen}: {", ".join(names)}.'
    )


def pin_name(name, pins, of_number):
    """(the board's own name of a pin that people write otherwise, or None; what it calls the pin of that number, or None).

    `pins`: name -> pin of the board; `of_number("17")`: the chip's GPIO17. io17 is IO17. GPIO17, IO17, 17 are D17 or GP17 where
    that is GPIO17; but nothing is guessed where the board calls it A1, or calls another pin D17.
    """
    if name in pins:
        return name, None
    same = [other for other in sorted(pins) if other.lower() == name.lower()]
    if len(same) == 1:
        return same[0], None
    number = name.split(".")[-1].upper().replace("GPIO", "").replace("IO", "").strip("_ ")
    if not number or [char for char in number if char not in "0123456789"]:
        return None, None
    number = str(int(number))
    pin = of_number(number)
    if pin is None:
        pin = pins.get("IO" + number)
    names = [other for other in sorted(pins) if pin is not None and pins[other] == pin]
    called = [start + number for start in ("IO", "GPIO", "D", "GP", "P") if start + number in pins]
    if called and not [other for other in called if other not in names]:
        return called[0], None
    return None, names[0] if names else None
