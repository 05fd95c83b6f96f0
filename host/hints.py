# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What only a PC has time to say of a settings file: pins of a board by name, rules of outputs, what is probably not intended.

Used by `python -m host --check`, and by docs/settings.html, which has it in JavaScript (docs/settings_js.py): nothing of
CPython's library here.
"""

from app import batteries, extras
from app.advice import no_such_pin, pin_name
from app.plausible import cut
from app.settings import BLANKS, PIN, SECRET, SETTINGS, parse

_EXAMPLES = {  # values of the file as shipped
    "CIRCUITPY_WIFI_SSID": ("your network", "write the name of your Wi-Fi"),
    "CIRCUITPY_WIFI_PASSWORD": ("your password", "write your Wi-Fi's password"),
}
_FREE = {"UART_TX": "IO17", "UART_RX": "IO18", "OLED_SDA": "IO8", "OLED_SCL": "IO9"}  # as in docs/HARDWARE.md
USUAL_PINS = {
    "espressif_esp32s3_devkitc_1_n8": _FREE,
    "espressif_esp32s3_devkitc_1_n8r8": _FREE,
    "espressif_esp32s2_devkitc_1_n4": _FREE,
    "espressif_saola_1_wrover": _FREE,
    "waveshare_esp32_s3_zero": _FREE,
    "lolin_s2_mini": {"UART_TX": "IO17", "UART_RX": "IO18", "OLED_SDA": "IO33", "OLED_SCL": "IO35"},
}
# Ports and host names that are often confused, in Home Assistant and elsewhere
_PORTS = {1884: "MQTT over WebSockets in Home Assistant's Mosquitto app"}
_ONLY_IN_HOME_ASSISTANT = ("core-mosquitto", "addon_core_mosquitto", "mosquitto", "supervisor", "hassio")
_PLACEHOLDERS = ("example.com", "example.org", "example.net", "broker-ip", "broker_ip", "brokerip")
_PLACEHOLDERS += ("broker-address", "broker_address", "brokeraddress")
_FILES = (("MQTT_CA_FILE", "CERTIFICATE"), ("MQTT_CERT_FILE", "CERTIFICATE"), ("MQTT_KEY_FILE", "PRIVATE KEY"))


def judge(settings, text, names, board, contents=None, read_rules=None):
    """(mistakes, hints) on settings, those of `settings` included; `text` is what they were made of.

    `names`: name -> GPIO number of the pins of `board`; None: not known. `contents(name)`: of a file beside the settings, None
    where there is none; without it nothing is said of files. `read_rules(settings, mistakes)`: of the outputs.
    """
    mistakes, hints = list(settings.problems), settings.hints + _unlikely(settings) + _on_comments(settings, text)
    if contents is not None:
        hints += _on_files(settings, contents)
    if settings.has_extras:
        extras.names_of(settings, mistakes)
        if read_rules is not None:
            read_rules(settings, mistakes)
    if names is not None:
        for found, on_pins in zip((mistakes, hints), _on_pins(settings, names, board)):
            found += on_pins
    return mistakes, hints


def rows(settings):
    """The Settings that count for a file."""
    return SETTINGS + batteries.rows_for(settings.more) + extras.rows_for(settings.more)


def _on_pins(settings, names, board):
    """(mistakes, hints) on the pins."""
    mistakes, hints, users = [], [], {}
    for setting in rows(settings):
        name = settings.pin_of(setting)
        if not name or (setting.key.startswith("OLED") and not settings.OLED):
            continue
        where = settings.where(setting.key)
        found, namesake = pin_name(name, names, lambda number: number)
        if found is None:
            sentence = no_such_pin(where, name, names, settings.has(setting.key), namesake)
            usual = USUAL_PINS.get(board, {}).get(setting.key)
            mistakes.append(sentence[:-1] + f'. Usual on this board is {setting.key} = "{usual}".' if usual else sentence)
            continue
        if found != name:
            written = f'{setting.key} = "{found}"' if setting.kind == PIN else found
            hints.append(f"{where}: {name} is taken for the pin that this board calls {found}; write {written}.")
        if names[found] in users and users[names[found]][1].lower() != name.lower():
            other, its = users[names[found]]
            mistakes.append(f"{where} cannot be {name}: it is {its}, as {other} is; choose a free pin.")
        users.setdefault(names[found], (setting.key, name))
    return mistakes, hints


def _unlikely(settings):
    """What the board accepts and is probably not intended."""
    where, hints = settings.where, []
    for key, (example, remedy) in _EXAMPLES.items():
        if settings.value(key) == example:
            hints.append(f"{where(key)} is still the example; {remedy}.")
    if _is_five_ghz(settings.CIRCUITPY_WIFI_SSID.lower()):
        hints.append(f"{where('CIRCUITPY_WIFI_SSID')}: the board has 2.4 GHz only; if this Wi-Fi has 5 GHz, use another.")
    broker = settings.brokers[0][0]
    if broker.endswith(".local"):
        hints.append(f"{where('MQTT_BROKER')}: names that end in .local are often not found; an IP address is safer.")
    if broker in _ONLY_IN_HOME_ASSISTANT:
        hints.append(f"{where('MQTT_BROKER')}: {broker} is a name within Home Assistant; write Home Assistant's IP address.")
    if _is_placeholder(broker.lower()):
        hints.append(f"{where('MQTT_BROKER')}: {broker} is still an example; write the address of your broker.")
    if settings.MQTT_PORT in _PORTS:
        hints.append(f"{where('MQTT_PORT')}: {settings.MQTT_PORT} is {_PORTS[settings.MQTT_PORT]}; the usual port is 1883.")
    return hints


def _is_five_ghz(name):
    """Whether a name in small letters ends as `... 5G`, `...-5 GHz`."""
    name = name[:-2] if name.endswith("ghz") else name
    number = name[:-1].rstrip(" ") if name.endswith("g") else ""
    before = number[-2:-1]
    return number.endswith("5") and not ("a" <= before <= "z" or "0" <= before <= "9" or before == "_")


def _is_placeholder(broker):
    last = broker.split(".")[-1]
    return broker.startswith("your") or (0 < len(last) < 4 and not last.strip("x")) or broker in _PLACEHOLDERS


def _on_files(settings, contents):
    hints, where = [], settings.where
    for key, mark in _FILES:
        name = settings.value(key)
        if name and not settings.MQTT_TLS:
            hints.append(f"{where(key)} is used with MQTT_TLS = true only.")
        if name:
            data = contents(name)
            if data is None:
                hints.append(f"{where(key)}: {name} is not next to this file; copy it to the drive.")
            elif f"{mark}-----".encode() not in data:
                hints.append(f"{where(key)}: {name} is no {mark.lower()} in PEM format; convert it.")
    return hints


def _on_comments(settings, text):
    """Hints on settings that somebody has filled in, and whose # is still there."""
    every = {setting.key: setting for setting in SETTINGS + batteries.ROWS + extras.ROWS}
    hints = []
    told = " ".join(settings.problems + settings.hints)
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        line = line.strip(BLANKS)
        bare = line.lstrip("#" + BLANKS)
        key = bare.partition("=")[0].strip(BLANKS)
        if line[:1] != "#" or key not in every or settings.has(key) or key in told:
            continue
        entry = parse(bare)[0].get(key)
        if entry is None or entry.written is None or entry.value in (None, "", every[key].default):
            continue
        value = "" if every[key].kind == SECRET or key == "MQTT_USERNAME" else f" = {cut(entry.written)}"
        hints.append(f"settings.toml line {number}: {key}{value} is a comment, and has no effect; remove its # if it is meant.")
    return hints
