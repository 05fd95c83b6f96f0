# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What of settings.toml can be read, and still cannot work or is unlikely to be meant.

Loaded while the file is read; advice.py is only where something is wrong, so a file without a mistake does not pay for it.

Every sentence names the remedy. No secret is repeated, and nothing that could be one.
"""

from .settings import BLANKS, SECRET, SWITCH, TEXT, has_control

LONGEST_SHOWN = 40
TOPICS = ("MQTT_BASE_TOPIC", "MQTT_DISCOVERY_PREFIX", "MQTT_BIRTH_TOPIC", "MQTT_VERSION_TOPIC")
LEVELS = "its levels are separated by /"
# Boards whose usual pins of the UART will not do: their pins TX and RX are not led out, or have the USB-serial chip on them
_NOT_LED_OUT = ("lolin_s2_mini",)
_SHARED = "espressif_"  # what the names of Espressif's own boards begin with
_USUAL_PINS = ("TX", "RX", "IO43", "IO44", "GPIO43", "GPIO44", "43", "44")

# Where something else than MQTT without encryption usually answers
_WEB_PORTS = (80, 443, 3000, 5000, 8000, 8080, 8081, 8083, 8084, 8086, 8123, 8443, 9001)


def cut(text):
    """A piece of the file as it may stand in a sentence: not too long, and without signs that cannot be seen."""
    shown = ""
    for char in text[:LONGEST_SHOWN]:
        shown += f"<U+{ord(char):04X}>" if has_control(char) or is_blank(char) else char
    return shown + ("..." if len(text) > LONGEST_SHOWN else "")


def is_blank(char):
    """Whether a sign is not seen, or taken for a space: non-breaking, of no width, of another width."""
    code = ord(char)
    return code in (0xA0, 0xAD, 0x3000, 0xFEFF) or 0x2000 <= code < 0x2010 or 0x2028 <= code < 0x2030 or 0x205F <= code < 0x2070


def has_blank(text):
    return bool([char for char in text if is_blank(char)])


def on_missing(key, text, web_port=0):
    """What must stand in the file, and does not. `web_port`: of the page, which needs no broker; 0: there is none."""
    line = commented(text, key)
    if key == "MQTT_BROKER" and web_port:
        remedy = f"remove the # of line {line}" if line else "write its address"
        return f"without MQTT_BROKER the battery is on the page in the browser only; {remedy} if you have a broker."
    if line:
        return f"{key} is missing: line {line} is still a comment, remove its #."
    if key == "MQTT_BROKER":
        return 'MQTT_BROKER is missing: write the address of your broker, as MQTT_BROKER = "192.168.1.10".'
    return f'{key} is missing: without it there is no Wi-Fi; write its name, as {key} = "my network".'


def on_form(start):
    """What a file is that is no plain text, with the remedy; None: it may be one. `start`: its first signs, in lower case."""
    if start[:5] == "{\\rtf":
        return "formatted text (RTF); save it as plain text, in TextEdit by Format, Make Plain Text"
    if start[:5] in ("<!doc", "<html"):
        return "a web page that has the settings in it; save their text alone, as plain text"
    return "a document of a word processor; save it as plain text" if start[:4] == "pk\x03\x04" else None


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
        return ": a topic has neither backslashes nor quotation marks; " + LEVELS
    if topic[0] in "/$" or topic[-1] == "/":
        return ": a topic neither begins with / or $ nor ends with /; remove it"
    if is_blank(topic[0]) or is_blank(topic[-1]) or topic != topic.strip(BLANKS):
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
    is_other = address[:4] == "mqtt" and port.isdigit() and port not in ("1883", "8883") and 0 < int(port[:6]) < 65536
    tls = ", and MQTT_TLS = true" if address[:5] in ("mqtts", "ssl:/") else ""
    write = f'write {key} = "{host if is_other else name}"{tls}' if good else "write its name or IP address only"
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
        if good:
            return f": an IP address is four numbers up to 255 with dots; write it as {dots}"
        if len(parts) == 5:
            return ": an IP address is four numbers up to 255 with dots; a port follows behind a colon, as in 192.168.1.10:1883"
        return ": an IP address is four numbers up to 255 with dots; write it like 192.168.1.10"
    parts = address.split(".")
    if len(parts) == 4 and parts[0] and not "".join(parts[:3]).strip("0123456789"):
        return f": an IP address is four numbers up to 255 with dots, and {parts[3]} is none; correct it"
    for char in address.lower():
        if not ("a" <= char <= "z" or "0" <= char <= "9" or char in ".-_"):
            return ": an address has only letters a to z, digits, dots and hyphens; an IP address is surest"
    if not address or address[0] in ".-" or ".." in address:
        return ": a name neither begins with a dot or hyphen nor has two dots in a row; correct it"
    return None


def on_spelling(where, setting, entry, value):
    """Hints on how a good value is written."""
    hints = []
    raw = entry.value if isinstance(entry.value, str) else entry.written
    if setting.kind == SWITCH and raw not in ("true", "false", "1", "0"):
        hints.append(f"{where}: {cut(raw)} is taken for {str(value).lower()}; write true or false.")
    if setting.kind in (TEXT, SECRET) and value and (value != value.strip(BLANKS) or is_blank(value[0]) or is_blank(value[-1])):
        hints.append(f"{where} begins or ends with a space; if it is not meant, remove it.")
    elif setting.kind in (TEXT, SECRET) and has_blank(value):
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
        found.append(f"{where('MQTT_PORT')}: {_no_mqtt_port(port)} write MQTT_PORT = {8883 if tls else 1883}.")
    for host, its in settings.brokers:
        if its != port and its in _WEB_PORTS:
            found.append(f'{where("MQTT_BROKER")}: {_no_mqtt_port(its)} write "{host}:{8883 if tls else 1883}".')
    if settings.MQTT_BROKER in ("localhost", "127.0.0.1", "0.0.0.0"):
        found.append(f"{where('MQTT_BROKER')} would be the board itself; write the address of the broker.")
    said = " ".join(settings.problems)
    wifi_password = "CIRCUITPY_WIFI_PASSWORD"
    if settings.CIRCUITPY_WIFI_SSID and not settings.has(wifi_password) and wifi_password not in said:
        found.append("CIRCUITPY_WIFI_PASSWORD is missing: only a Wi-Fi without a password can be joined; write it.")
    name, password = "MQTT_USERNAME", "MQTT_PASSWORD"
    for given, missing in ((name, password), (password, name)):
        if getattr(settings, given) and not getattr(settings, missing) and missing not in said:
            line = commented(text, missing)
            remedy = (
                f"line {line} is still a comment: remove its #" if line else f"write both, or none of {name} and {password}"
            )
            found.append(f"{where(given)} stands there without {missing}; {remedy}.")
    if not settings.has(name) and not settings.has(password):
        lines = [commented(text, name), commented(text, password)]
        if lines[0] and lines[1]:
            found.append(
                f"{name} and {password} are still comments, so there is no login; "
                f"remove the # of lines {lines[0]} and {lines[1]}."
            )
    return found


def _no_mqtt_port(port):
    return f"{port} usually is a port for web pages or WebSockets; for MQTT"


def judge_usual_pins(settings, board_id):
    """Add what is known of the pins TX and RX of a board, where they are to be the UART to the BMS."""
    pins = ("UART_TX", "UART_RX")
    said = " ".join(settings.problems)
    used = [key for key in pins if settings.value(key).upper() in _USUAL_PINS and key not in said]
    if not used:
        return
    names = " and ".join([settings.value(key) for key in used])
    write = " and ".join([f'{key} = "IO{17 + pins.index(key)}"' for key in used])
    start = settings.where(used[0]) + "".join([" and " + key for key in used[1:]])
    if board_id in _NOT_LED_OUT:
        settings.problems.append(f"{start} cannot be {names}: this board does not lead them out; write {write}.")
    elif board_id.startswith(_SHARED):
        settings.hints.append(
            f"{start}: {names} of this board are wired to its USB-serial chip, too, which disturbs; write {write}."
        )


def commented(text, key):
    """The number of the line where a setting stands as a comment, with a value; 0 where there is none."""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = line.strip(BLANKS)
        name, _, value = line.lstrip("#" + BLANKS).partition("=")
        if line[:1] == "#" and name.strip(BLANKS) == key and value.strip(BLANKS) not in ("", '""'):
            return number
    return 0


def controls_in(text, controls):
    """The words of ALLOW_CONTROL: what stands between commas or spaces, but "charge mosfet" is one."""
    found: list = []
    for item in text.split(","):
        words = item.split()
        together = " ".join(words)
        unknown = [word for word in words if word not in controls]
        found += [together] if unknown and together.lower().replace(" ", "_").replace("-", "_") in controls else words
    return found
