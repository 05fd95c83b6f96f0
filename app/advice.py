# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The words for what is wrong with settings.toml, and what to do. Loaded for the first mistake, and forgotten afterwards.

Every sentence names the remedy. No secret is repeated, and nothing that could be one: not what stands on a line that is not
understood, not the value of a setting that there is not.
"""

from battery.controls import ALLOWABLE

from .plausible import LEVELS, LONGEST_SHOWN, TOPICS, cut, has_blank, is_blank
from .settings import (
    BLANKS,
    CHOICE,
    FOREIGN_PREFIX,
    NUMBER,
    PIN,
    SECRET,
    SETTINGS,
    SWITCH,
    TEXT,
    has_control,
    is_hexadecimal,
)

_HEXADECIMAL = ("OLED_ADDRESS", "BMS_HOST_ADDRESS", "BMS_REQUEST_FILLER")
_QUOTES = "'`´‘’‚‛“”„‟«»‹›′″＂"
_BACKSLASH = "a backslash in a text is written twice (\\\\)"
_MOST_WORDS = 3  # of a name with spaces in it, as `const char* MQTT_BROKER`; more are a sentence

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
    if key.upper() in known:
        return f"{cut(key)} is not a setting: names are in capitals; write {key.upper()}"
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
    spaced = _without_numbers(spaced)  # in capitals
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
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    if wanted[-3:] == "ing":
        wanted = wanted[:-3]  # charging
    meant = [control for control in controls if control.startswith(wanted)]
    if not meant and wanted:
        meant = [control for control in controls if wanted in control.split("_") or wanted.rstrip("s") in control.split("_")]
    if meant:
        return f"{cut(name)} cannot be controlled; did you mean {' or '.join(meant)}"
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


# lines


def on_strange():
    """What is wrong with lines that are nothing at all."""
    return "this line is not understood; a comment begins with #, and a setting is KEY = value"


def on_line(line, known):
    """(the setting it seems to be for or "", what is wrong) for a line that is no KEY = value. It may hold a password."""
    if line[:2] in ("//", "/*", "--", "*/") or line[0] in ";*'%":
        return "", ""
    end = len(line)
    for sign in "=:":
        at = line.find(sign)
        end = at if 0 <= at < end else end
    name, told = line[:end], end < len(line)
    words = "".join([char if _is_in_word(char) else " " for char in name]).split()
    if len(words) > _MOST_WORDS:
        return "", ""
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
    return "", ""


def _is_in_word(char):
    """Letters, digits, and letters of other alphabets that look like them."""
    return "A" <= char <= "Z" or "a" <= char <= "z" or "0" <= char <= "9" or char in "_-" or (char > "~" and not is_blank(char))


def on_text(key, rest):
    """What is wrong with a text that begins with a quotation mark and is none."""
    levels = f", and a topic has none: {LEVELS}" if key in TOPICS and "\\" in rest else ""
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
    if _second_key(after):
        return f"{_second_key(after)} stands on the same line; give each setting a line of its own"
    if '"' in after.split("#")[0]:
        if closed == 1:
            return "the text has one quotation mark before it and one behind it, no more"
        return 'a quotation mark within a text has a backslash before it (\\")'
    if has_blank(after[:1]):
        return "behind the text is a sign that only looks like a space"
    if after:
        return "something that is no comment stands behind the text"
    return _BACKSLASH


def _second_key(after):
    """The setting that is set behind the value of another one, on its line; None: there is none."""
    key = after.partition("=")[0].strip(",;" + BLANKS)
    return key if key in [setting.key for setting in SETTINGS] else None


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
        inside = written.strip(_QUOTES + '"' + BLANKS)
        plain = f'{key} = "{_shown_or_text(setting, inside, shown)}"' if is_text else f"{key} = {setting.default}"
        return (
            f"; {written[0]} is no quotation mark here, write {plain} with straight double quotes"
            if is_text
            else f"; write {plain}"
        )
    if is_text and written[-1:] == '"' and '"' not in written[:-1]:
        return f'; the first quotation mark is missing, write {key} = "{_shown_or_text(setting, written[:-1], shown)}"'
    if is_text and not isinstance(value, str):
        if key == "ALLOW_CONTROL":
            names = written.replace(",", " ").split()
            known = names and not [name for name in names if name not in ALLOWABLE]
            return f'; write the names, one by one, in double quotes, as {key} = "{written if known else "soc, restart_bms"}"'
        example = _shown_or_text(setting, _in_quotes(setting, written), shown)
        what = "a pin is named as on the board," if setting.kind == PIN else "a text stands"
        return f'; {what} in double quotes, write {key} = "{example}"'
    if isinstance(value, str) and has_control(value):
        remedy = LEVELS if key in TOPICS else _BACKSLASH
        return f": there is a control character in it, as \\t is a tab and \\b a backspace; {remedy}"
    if key in _HEXADECIMAL:
        return _hexadecimal(setting, entry)
    if key == "BMS_BOARD_NUMBER" and ("," in written or "-" in written[1:]):
        return f"; several boards have a setting of their own, write BMS_BOARD_NUMBERS = {cut(written)}"
    signs = " with the digits 0 to 9 alone" if setting.kind == NUMBER and [char for char in written if char > "~"] else ""
    return f"; write {_wanted(setting)}{signs}"


def _odd(text):
    return has_control(text) or has_blank(text) or '"' in text or "\\" in text or len(text) > LONGEST_SHOWN


def _shown_or_text(setting, meant, shown):
    """A text that is to be written, where it may be repeated; else the word "text"."""
    if shown == "this value" or _odd(meant) or not meant or meant in ("true", "false", "True", "False"):
        return setting.default if setting.kind == CHOICE else "IO17" if setting.kind == PIN else "text"
    return meant


def _in_quotes(setting, written):
    """What was meant by a text without quotes."""
    written = written.rstrip(",;" + BLANKS)
    if written[:1] == "[" and written[-1:] == "]":  # a list of numbers
        written = written[1:-1]
    if setting.kind == PIN and written.isdigit():
        return "IO" + written
    if setting.kind == CHOICE and written not in setting.low:
        return setting.default
    return written


def _hexadecimal(setting, entry):
    word = str(entry.value if isinstance(entry.value, str) else entry.written).strip(BLANKS).lower()
    if setting.key == "OLED_ADDRESS":
        for eight, seven in (("78", "0x3C"), ("7a", "0x3D")):
            if word in (eight, "0x" + eight, eight + "h", str(int(eight, 16))):
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
    if setting.key == "UTC_OFFSET_MIN":
        return "the minutes, from -720 to 840, such as 60 for Berlin in winter"
    if setting.kind == NUMBER:
        return f"a whole number from {setting.low} to {setting.high}"
    if setting.key[-10:] == "_BAUD_RATE":
        return "9600, as nearly every BMS has; some can be set to 19200, 38400, 57600 or 115200"
    if setting.key == "OLED_TYPE":
        return '"SSD1306", also for an SSD1309 or SSD1315, or "SH1106"; no other chip is known'
    if setting.key[-9:] == "_PROTOCOL":
        return '"auto", which finds out what the BMS speaks, or "a5", "p81" or "d2"'
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
        bare = "IO" + number.lstrip("DGP")
        of_others = [other for other in pins if other.rstrip("0123456789") in ("D", "GP", "P")]
        return None, bare if bare in pins and not of_others else None  # D17 of another board
    number = str(int(number))
    pin = of_number(number)
    if pin is None:
        pin = pins.get("IO" + number)
    names = [other for other in sorted(pins) if pin is not None and pins[other] == pin]
    called = [start + number for start in ("IO", "GPIO", "D", "GP", "P") if start + number in pins]
    if called and not [other for other in called if other not in names]:
        return called[0], None
    return None, names[0] if names else None
