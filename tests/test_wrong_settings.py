# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Settings files as people make them who are no programmers: in Notepad, on a phone, pasted from a forum or another project.

Each must get one sentence, that names the line and the setting and says what to do; and the rest of the file still counts.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from app.settings import NUMBER, SETTINGS, Settings
from host import check
from host.__main__ import ROOT

MICROPYTHON = Path(sys.executable).parent / "micropython"
WIFI = 'CIRCUITPY_WIFI_SSID = "cellar"\nCIRCUITPY_WIFI_PASSWORD = "correct horse"\n'
GOOD = WIFI + 'MQTT_BROKER = "192.168.1.10"\n'
DEVKIT = "espressif_esp32s3_devkitc_1_n8"
DEVKIT_PINS = 'OLED_SDA = "IO8"\nOLED_SCL = "IO9"\nUART_RX = "IO18"\n'
SENSE = "seeed_xiao_esp32_s3_sense"
USER = 'MQTT_USERNAME = "me"\nMQTT_PASSWORD = "hunter2"\n'


def wifi(name='"cellar"', password='"correct horse"'):
    return f'CIRCUITPY_WIFI_SSID = {name}\nCIRCUITPY_WIFI_PASSWORD = {password}\nMQTT_BROKER = "192.168.1.10"\n'


def broker(address):
    return WIFI + f'MQTT_BROKER = "{address}"\n'


# what is wrong: (the lines behind a good beginning, or the whole file as bytes or in brackets; the words of the one sentence)
MISTAKES = {
    # how a line is written
    "colon": ("MQTT_PORT: 1884", ("line 4", "MQTT_PORT = value")),
    "neither colon nor equals": ("MQTT_PORT 1884", ("line 4", "MQTT_PORT = value")),
    "two equals": ('DEVICE_NAME == "Akku"', ("line 4", "DEVICE_NAME", "= too many", 'DEVICE_NAME = "text"')),
    "shell": ("export MQTT_PORT=1884", ("line 4", "MQTT_PORT = value")),
    "JSON": ('"MQTT_PORT": 1884,', ("line 4", "MQTT_PORT = value")),
    "a sketch": ('const char* mqtt_server = "10.0.0.1";', ("line 4", "did you mean MQTT_BROKER", "KEY = value")),
    "space in the name": ("MQTT PORT = 1884", ("line 4", "MQTT_PORT = value")),
    "hyphen in the name": ("MQTT-PORT = 1884", ("line 4", "did you mean MQTT_PORT")),
    "Cyrillic letter": ("MQTT_Р\u041eRT = 1884", ("line 4", "did you mean MQTT_PORT")),
    "comment of C": ("// my battery", ("line 4", "a comment begins with #")),
    "comment of an ini file": ("; my battery", ("line 4", "a comment begins with #")),
    "comment behind, of C": ('DEVICE_NAME = "Akku" // mine', ("line 4", "DEVICE_NAME", "no comment", "behind the text")),
    "semicolon behind a text": ('DEVICE_NAME = "Akku";', ("line 4", "DEVICE_NAME", "behind the text")),
    "semicolon behind a number": ("MQTT_PORT = 1884;", ("line 4", "MQTT_PORT = 1884", "; too many")),
    "comma behind a number": ("MQTT_PORT = 1884,", ("line 4", "MQTT_PORT = 1884", ", too many")),
    "nothing behind the equals": ("MQTT_PORT =", ("line 4", "MQTT_PORT has no value", "whole number")),
    "non-breaking space before the equals": ("MQTT_PORT\u00a0= 1884", ("line 4", "MQTT_PORT", "looks like a space")),
    "non-breaking space behind a number": ("MQTT_PORT = 1884\u00a0", ("line 4", "MQTT_PORT", "<U+00A0>", "0 to 9 alone")),
    "non-breaking space behind a text": ('DEVICE_NAME = "Akku"\u00a0', ("line 4", "DEVICE_NAME", "looks like a space")),
    "zero-width space before the name": ("\u200bMQTT_PORT = 1884", ("line 4", "MQTT_PORT", "looks like a space")),
    "a section": ("[mqtt]", ("line 4", "section", "remove the line")),
    "the rest of a password on its own line": ("aHVudGVyMg==", ("line 4", "this is not a setting", "remove it")),
    # quotation marks
    "no quotation marks": ("DEVICE_NAME = Akku", ("line 4", 'DEVICE_NAME = "Akku"', "double quotes")),
    "single quotation marks": ("DEVICE_NAME = 'Akku'", ("line 4", 'DEVICE_NAME = "Akku"', "straight double quotes")),
    "typographic quotation marks": ("DEVICE_NAME = “Akku”", ("line 4", 'DEVICE_NAME = "Akku"', "straight double quotes")),
    "German quotation marks": ("DEVICE_NAME = „Akku“", ("line 4", 'DEVICE_NAME = "Akku"', "straight double quotes")),
    "German single quotation marks": ("DEVICE_NAME = ‚Akku‘", ("line 4", 'DEVICE_NAME = "Akku"', "straight double quotes")),
    "only the last typographic": ('DEVICE_NAME = "Akku”', ("line 4", "DEVICE_NAME", "no proper end", "” is no quotation mark")),
    "the last forgotten": ('DEVICE_NAME = "Akku', ("line 4", "DEVICE_NAME", "no proper end")),
    "three": ('DEVICE_NAME = """Akku"""', ("line 4", "DEVICE_NAME", "one quotation mark before")),
    "within the text": ('DEVICE_NAME = "my "big" Akku"', ("line 4", "DEVICE_NAME", "backslash before it")),
    "a text for a list": (
        'ALLOW_CONTROL = ["soc", "restart_bms"]',
        ("line 4", 'ALLOW_CONTROL = "soc, restart_bms"'),
    ),
    # backslashes and control characters
    "backslash in a password": ([wifi(password=r'"ab\cd:ef=+gh"')], ("line 2", "CIRCUITPY_WIFI_PASSWORD", "written twice")),
    "tab in a password": ([wifi(password=r'"back\table"')], ("line 2", "CIRCUITPY_WIFI_PASSWORD", "control", "written twice")),
    "backspace in a Wi-Fi name": ([wifi(r'"cel\bar"')], ("line 1", "CIRCUITPY_WIFI_SSID", "control", "written twice")),
    "half an emoji": (r'DEVICE_NAME = "\ud83d"', ("line 4", "DEVICE_NAME", "backslash")),
    "noncharacter": ('DEVICE_NAME = "A\uffff"', ("line 4", "DEVICE_NAME", "control")),
    "delete character in a user": ('MQTT_PASSWORD = "p"\nMQTT_USERNAME = "a\\u007f"', ("line 5", "MQTT_USERNAME", "control")),
    "the tab key in a topic": ('MQTT_BASE_TOPIC = "my\takku"', ("line 4", "MQTT_BASE_TOPIC", "control", "separated by /")),
    "backslash at the end": ('MQTT_CA_FILE = "certs\\"', ("line 4", "MQTT_CA_FILE", "no proper end", "written twice")),
    "a path of Windows": (r'MQTT_CA_FILE = "C:\certs\ca.pem"', ("line 4", "MQTT_CA_FILE", "written twice")),
    # lengths, in bytes
    "Wi-Fi key of 65 digits": ([wifi(password=f'"{65 * "a"}"')], ("line 2", "CIRCUITPY_WIFI_PASSWORD", "64 hexadecimal")),
    "64 letters": ([wifi(password=f'"{32 * "xy"}"')], ("line 2", "CIRCUITPY_WIFI_PASSWORD", "8 to 63", "64 hexadecimal")),
    "a Wi-Fi name of 17 umlauts": ([wifi(f'"{17 * "ü"}"')], ("line 1", "CIRCUITPY_WIFI_SSID", "32", "bytes")),
    "a password of 32 umlauts": ([wifi(password=f'"{32 * "ü"}"')], ("line 2", "CIRCUITPY_WIFI_PASSWORD", "63")),
    "a topic of 128 umlauts": (f'MQTT_BASE_TOPIC = "{128 * "ü"}"', ("line 4", "MQTT_BASE_TOPIC", "255", "bytes")),
    "a token as a password": (f'MQTT_USERNAME = "me"\nMQTT_PASSWORD = "{600 * "j"}"', ("line 5", "MQTT_PASSWORD", "255")),
    # addresses
    "comma in an address": ([broker("192.168.1,10")], ("line 3", "MQTT_BROKER", "with dots", "write it as 192.168.1.10")),
    "dot behind an address": ([broker("192.168.1.10.")], ("line 3", "MQTT_BROKER", "write it as 192.168.1.10.")),
    "space behind an address": ([broker("192.168.1.10 ")], ("line 3", "MQTT_BROKER", "no spaces")),
    "letter O in an address": ([broker("192.168.1.1O")], ("line 3", "MQTT_BROKER", "1O is none")),
    "an address to be filled in": ([broker("192.168.1.x")], ("line 3", "MQTT_BROKER", "x is none")),
    "zeros in an address": ([broker("192.168.001.010")], ("line 3", "MQTT_BROKER", "remove the zeros")),
    "superscript in an address": ([broker("1.2.3.²")], ("line 3", "MQTT_BROKER", "² is none")),
    "superscript in a port": ([broker("akku:1²")], ("line 3", "MQTT_BROKER", "letters a to z")),
    "IPv6": ([broker("fd12:3456:789a::10")], ("line 3", "MQTT_BROKER", "IPv4")),
    "IPv6 in brackets, with a port": ([broker("[fd12:3456:789a::10]:1883")], ("line 3", "MQTT_BROKER", "IPv4")),
    "IPv6 in a URL": ([broker("mqtt://[fd12::10]")], ("line 3", "MQTT_BROKER", "IPv4")),
    "IPv6 with a zone": ([broker("fe80::1%wlan0")], ("line 3", "MQTT_BROKER", "IPv4")),
    "angle brackets": ([broker("<192.168.1.10>")], ("line 3", "MQTT_BROKER", "letters a to z")),
    "address of the web page": ([broker("http://homeassistant:8123/")], ("line 3", 'MQTT_BROKER = "homeassistant"')),
    "NTP server as a URL": ('NTP_SERVER = "http://pool.ntp.org"', ("line 4", 'NTP_SERVER = "pool.ntp.org"')),
    "NTP server with no port there is": (
        'NTP_SERVER = "pool.ntp.org:99999"',
        ("line 4", 'NTP_SERVER = "pool.ntp.org"', "port"),
    ),
    "NTP server by IPv6": ('NTP_SERVER = "2001:db8::1"', ("line 4", "NTP_SERVER", "IPv4")),
    # topics
    "backslash as a separator": (r'MQTT_BASE_TOPIC = "cellar\daly"', ("line 4", "MQTT_BASE_TOPIC", "separated by /")),
    "backspace as a separator": (r'MQTT_BASE_TOPIC = "cellar\bms"', ("line 4", "MQTT_BASE_TOPIC", "control", "separated by /")),
    "two backslashes": (r'MQTT_BASE_TOPIC = "cellar\\daly"', ("line 4", "MQTT_BASE_TOPIC", "separated by /")),
    "quotation marks in a topic": (r'MQTT_BASE_TOPIC = "a/\"b\""', ("line 4", "MQTT_BASE_TOPIC", "quotation marks")),
    "wildcard": ('MQTT_BASE_TOPIC = "akku/#"', ("line 4", "MQTT_BASE_TOPIC", "no #")),
    "the broker's own": ('MQTT_BASE_TOPIC = "$SYS/akku"', ("line 4", "MQTT_BASE_TOPIC", "$")),
    "space behind a topic": ('MQTT_BASE_TOPIC = "akku "', ("line 4", "MQTT_BASE_TOPIC", "with a space")),
    "nothing but a space": ('MQTT_BASE_TOPIC = " "', ("line 4", "MQTT_BASE_TOPIC", "with a space")),
    "a name of spaces": ('DEVICE_NAME = "  "', ("line 4", "DEVICE_NAME", "nothing but spaces")),
    # numbers and switches
    "float": ("MQTT_PORT = 1883.0", ("line 4", "MQTT_PORT", "whole number")),
    "exponent": ("POLL_CHECKS_MS = 1e3", ("line 4", "POLL_CHECKS_MS", "whole number")),
    "unit behind a number": ("POLL_CHECKS_MS = 5000ms", ("line 4", "POLL_CHECKS_MS", "whole number")),
    "Arabic digits": ("POLL_CHECKS_MS = \u0663", ("line 4", "POLL_CHECKS_MS", "digits 0 to 9")),
    "full-width digits": ("POLL_CHECKS_MS = ５０００", ("line 4", "POLL_CHECKS_MS", "digits 0 to 9")),
    "a German yes": ("PUBLISH_EACH_VALUE = ja", ("line 4", "PUBLISH_EACH_VALUE", "true or false")),
    "a baud rate nobody has": ("UART_BAUD_RATE = 9660", ("line 4", "UART_BAUD_RATE", "write 9600")),
    "a baud rate too slow": ("UART_BAUD_RATE = 300", ("line 4", "UART_BAUD_RATE", "write 9600")),
    "percent": ("OLED_BRIGHTNESS_PERCENT = 60%", ("line 4", "OLED_BRIGHTNESS_PERCENT", "whole number")),
    "hexadecimal without 0x": ("OLED_ADDRESS = 3C", ("line 4", "OLED_ADDRESS = 0x3C")),
    "filler without 0x": ("BMS_REQUEST_FILLER = AA", ("line 4", "BMS_REQUEST_FILLER = 0xAA")),
    "address of eight bits": ("OLED_ADDRESS = 0x78", ("line 4", "OLED_ADDRESS = 0x3C")),
    "the other address of eight bits": ("OLED_ADDRESS = 0x7A", ("line 4", "OLED_ADDRESS = 0x3D")),
    # words
    "everything allowed": ('ALLOW_CONTROL = "all"', ("line 4", "ALLOW_CONTROL", "no word for all", "charge_mosfet")),
    "everything allowed, without quotation marks": ("ALLOW_CONTROL = all", ("line 4", "ALLOW_CONTROL", "one by one")),
    "capitals": ('ALLOW_CONTROL = "SOC"', ("line 4", "ALLOW_CONTROL", "did you mean soc")),
    "half a name": ('ALLOW_CONTROL = "charge"', ("line 4", "ALLOW_CONTROL", "did you mean charge_mosfet")),
    "a screen we cannot drive": ('OLED_TYPE = "SH1107"', ("line 4", "OLED_TYPE", "SSD1306", "SH1106")),
    "two numbers for the height": ('OLED_HEIGHT = "128x64"', ("line 4", "OLED_HEIGHT", "32 or 64")),
    # pins
    "a pin without quotation marks": ("UART_TX = IO17", ("line 4", 'UART_TX = "IO17"')),
    "a pin as a number": ("UART_TX = 17", ("line 4", 'UART_TX = "IO17"')),
    "a pin of another board": (DEVKIT_PINS + 'UART_TX = "D99"', ("line 7", "UART_TX", "no pin D99", "IO17"), DEVKIT),
    "a pin that the board calls otherwise": ('UART_TX = "GPIO6"', ("line 4", "no pin GPIO6", "write A5"), SENSE),
    "the usual pins": (
        'UART_TX = "IO17"\nUART_RX = "IO18"\nOLED_SCL = "IO9"',
        ("OLED_SDA", 'OLED_SDA = "IO8"', "OLED = false"),
        DEVKIT,
    ),
    # names
    "Wi-Fi name missing": (
        ['CIRCUITPY_WIFI_PASSWORD = "correct horse"\nMQTT_BROKER = "b"\n'],
        ("CIRCUITPY_WIFI_SSID is missing",),
    ),
    "Wi-Fi name still a comment": (["# " + GOOD], ("CIRCUITPY_WIFI_SSID", "line 1 is still a comment")),
    # the file
    "byte order mark": (("\ufeff" + GOOD).encode(), ("line 1", "byte order mark", "without BOM")),
    "Notepad's Unicode": (GOOD.encode("utf-16"), ("UTF-16", "save it as UTF-8")),
    "Unicode the other way round": (("\ufeff" + GOOD).encode("utf-16-be"), ("UTF-16", "save it as UTF-8")),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), ("UTF-16", "save it as UTF-8")),
    "Windows' old letters": ((GOOD + 'DEVICE_NAME = "Küche"\n').encode("latin-1"), ("line 4", "UTF-8")),
    "line ends of an old Mac": (GOOD.replace("\n", "\r").encode(), ("old Mac", "LF")),
}

# what is taken as it is meant, with a hint
HINTS = {
    "port of TLS": ("MQTT_PORT = 8883", ("line 4", "MQTT_PORT", "MQTT_TLS = true")),
    "port without TLS": ("MQTT_TLS = true\nMQTT_PORT = 1883", ("line 5", "MQTT_PORT", "8883")),
    "port of Home Assistant's pages": ("MQTT_PORT = 8123", ("line 4", "MQTT_PORT = 1883")),
    "port of web pages": ("MQTT_PORT = 80", ("line 4", "MQTT_PORT = 1883")),
    "port of WebSockets": ("MQTT_PORT = 9001", ("line 4", "MQTT_PORT = 1883")),
    "port of the app's WebSockets": ("MQTT_PORT = 1884", ("line 4", "WebSockets", "1883")),
    "port of encrypted web pages, with TLS": ("MQTT_PORT = 443\nMQTT_TLS = true", ("line 4", "MQTT_PORT = 8883")),
    "user still a comment": (
        '# MQTT_USERNAME = "me"\nMQTT_PASSWORD = "hunter2"',
        ("line 5", "MQTT_PASSWORD", "line 4", "its #"),
    ),
    "password still a comment": (
        'MQTT_USERNAME = "me"\n#MQTT_PASSWORD="hunter2"',
        ("line 4", "MQTT_USERNAME", "line 5", "its #"),
    ),
    "user empty": ('MQTT_USERNAME = ""\nMQTT_PASSWORD = "hunter2"', ("line 5", "without MQTT_USERNAME")),
    "Python's True": ("OLED = True", ("line 4", "OLED", "write true or false")),
    "no": ("OLED = no", ("line 4", "OLED", "no is taken for false")),
    "80 for 0x80": ("BMS_HOST_ADDRESS = 80", ("line 4", "BMS_HOST_ADDRESS", "write 0x80")),
    "78 for 0x78": ("OLED_ADDRESS = 78", ("line 4", "OLED_ADDRESS", "0x3C")),
    "hours for minutes": ("UTC_OFFSET_MIN = 2", ("line 4", "UTC_OFFSET_MIN", "write 120")),
    "blank before a name": ('DEVICE_NAME = " Akku"', ("line 4", "DEVICE_NAME", "with a space")),
    "blank behind a password": ([wifi(password='"correct horse "')], ("line 2", "CIRCUITPY_WIFI_PASSWORD", "with a space")),
    "non-breaking space in a name": ('DEVICE_NAME = "my\u00a0Akku"', ("line 4", "DEVICE_NAME", "looks like a space")),
    "a screen's chip and its size": ('OLED_TYPE = "ssd1306 128x64"', ("line 4", "OLED_HEIGHT = 64")),
    "io17": (DEVKIT_PINS + 'UART_TX = "io17"', ("line 7", 'UART_TX = "IO17"'), DEVKIT),
    "GPIO17": (DEVKIT_PINS + 'UART_TX = "Gpio17"', ("line 7", 'UART_TX = "IO17"'), DEVKIT),
    "17": (DEVKIT_PINS + 'UART_TX = "17"', ("line 7", 'UART_TX = "IO17"'), DEVKIT),
    "IO17 where it is called D17": ('UART_TX = "IO17"', ("line 4", 'UART_TX = "D17"'), "adafruit_feather_esp32s3_nopsram"),
    "Wi-Fi of 5 GHz": ([wifi('"cellar 5G"')], ("line 1", "CIRCUITPY_WIFI_SSID", "2.4 GHz")),
    "no Wi-Fi password": (['CIRCUITPY_WIFI_SSID = "c"\nMQTT_BROKER = "b"\n'], ("CIRCUITPY_WIFI_PASSWORD", "write it")),
    "broker still a comment": ([WIFI + '# MQTT_BROKER = "b"\n'], ("without MQTT_BROKER", "remove the # of line 3")),
    "a name within Home Assistant": ([broker("core-mosquitto")], ("line 3", "MQTT_BROKER", "IP address")),
    "the board itself": ([broker("127.0.0.1")], ("line 3", "MQTT_BROKER", "the board itself")),
}

# other projects' names -> what is meant
MEANT = {
    "CIRCUITPY_WIFI_SSID": """WIFI_SSID SSID ssid wifiSSID WLAN_SSID WIFI_NAME STA_SSID wifi-ssid CIRCUITPY_SSID WIFI_NETWORK
        MY_SSID""",
    "CIRCUITPY_WIFI_PASSWORD": """WIFI_PASSWORD WIFI_PASS WIFI_PSK WIFI_KEY wifiPassword WLAN_PASSWORD WIFI_PWD
        CIRCUITPY_WIFI_PASS
        wifi_passphrase STA_PASS CIRCUITPY_WIFI_KEY""",
    "MQTT_BROKER": """MQTT_HOST MQTT_SERVER MQTT_HOSTNAME MQTT_IP MQTT_BROKER_IP MQTT_ADDRESS BROKER mqttServer
        mqtt_host MQTT_URL SERVER HOST
        BROKER_ADDRESS MQTT_BROKER_HOST""",
    "MQTT_PORT": "MQTT_BROKER_PORT MQTT_SERVER_PORT PORT BROKER_PORT mqttPort",
    "MQTT_USERNAME": "MQTT_USER MQTT_LOGIN MQTT_BROKER_USER mqttUser MQTTUSER USERNAME",
    "MQTT_PASSWORD": "MQTT_PASS MQTT_PASSWD MQTT_PWD MQTT_PW mqttPassword MQTT_KEY BROKER_PASSWORD MQTT_PASSWORT",
    "MQTT_BASE_TOPIC": "MQTT_TOPIC TOPIC BASE_TOPIC MQTT_TOPIC_PREFIX MQTT_PREFIX MQTT_ROOT TOPIC_PREFIX baseTopic",
    "MQTT_DISCOVERY_PREFIX": "DISCOVERY_PREFIX HA_DISCOVERY_PREFIX MQTT_DISCOVERY_TOPIC HASS_PREFIX HOMEASSISTANT_PREFIX",
    "MQTT_TLS": "MQTT_SSL USE_TLS MQTT_USE_SSL SSL",
    "MQTT_CA_FILE": "MQTT_CA MQTT_CA_CERT CA_FILE",
    "NTP_SERVER": "NTP_HOST NTP NTP_SERVERS",
    "UART_TX": "TX_PIN UART_TX_PIN TX",
    "UART_RX": "RX_PIN BMS_RX",
    "UART_BAUD_RATE": "BAUD BAUDRATE UART_BAUDRATE BMS_BAUD",
    "OLED_SDA": "SDA SDA_PIN OLED_SDA_PIN I2C_SDA",
    "BMS_HOST_ADDRESS": "BMS_HOST_ADRESS BMS_HOST_ADDR",
}


NUMBERS = """5_000|0b101|0o777|+5|-0|0X3C|1e3|0x_3|00|0_1|5_|_5|5__0|0x|0x__3|+-5|-0x5|0b2|0o8|1_0_0|0B1|+|-|0xg|0b|12e|9"|\
"5_0"|"0x1F"|" 7 "|99999999999999999999|0123|0.5|\u0663|5\u00a0|²|"\u0663"|true|True|"TRUE"|yes|0b|0o7|0O7|0x-1|- 5|1f|0xfF|"""


def look(folder, case):
    """(mistakes, hints) for a case."""
    lines, _, *board = case
    file = folder / "settings.toml"
    text = lines[0] if isinstance(lines, list) else lines
    file.write_bytes(text if isinstance(text, bytes) else (text if isinstance(lines, list) else GOOD + text + "\n").encode())
    return check.check(file, *board)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_the_one_sentence_it_must_give(tmp_path, name):
    mistakes, hints = look(tmp_path, MISTAKES[name])
    assert len(mistakes) == 1 and hints == [], (mistakes, hints)
    assert [word for word in MISTAKES[name][1] if word not in mistakes[0]] == [], mistakes
    assert mistakes[0].endswith(".") and "horse" not in mistakes[0] and "aHVud" not in mistakes[0]


@pytest.mark.parametrize("name", HINTS)
def test_what_may_be_right_gets_one_hint_and_is_taken_as_it_is_meant(tmp_path, name):
    mistakes, hints = look(tmp_path, HINTS[name])
    assert len(hints) == 1 and mistakes == [], (mistakes, hints)
    assert [word for word in HINTS[name][1] if word not in hints[0]] == [], hints
    assert hints[0].endswith(".") and "horse" not in hints[0] and "hunter2" not in hints[0]


@pytest.mark.parametrize(("name", "meant"), [(name, meant) for meant, names in MEANT.items() for name in names.split()])
def test_a_name_of_another_project_leads_to_ours(tmp_path, name, meant):
    [mistake], _ = look(tmp_path, (f'{name} = "hunter2"', ()))
    assert f": {name} is not a setting; did you mean {meant}." in mistake


# A name of before: what was meant is certain, and a setting that is not read must not go unnoticed.
OLD_NAMES = [
    "PUBLISH_INTERVAL",
    "PUBLISH_INTERVAL_S",
    "CELLS_INTERVAL",
    "CELLS_INTERVAL_S",
    "DEAD_BAND_PERCENT",
    "DEADBAND_PERCENT",
    "UTC_OFFSET_MINUTES",
    "UTC_OFFSET_MIN",
    "WAKE_MIN_SOC",
    "WAKE_MIN_SOC_PERCENT",
    "WAKE_EVERY_MINUTES",
    "WAKE_INTERVAL_MIN",
    "OLED_PAGE_SECONDS",
    "OLED_PAGE_S",
    "OLED_BRIGHTNESS",
    "OLED_BRIGHTNESS_PERCENT",
    "OLED_DIM_AFTER_MINUTES",
    "OLED_DIM_AFTER_MIN",
    "OLED_DIM_BRIGHTNESS",
    "OLED_DIM_BRIGHTNESS_PERCENT",
]


@pytest.mark.parametrize(("old", "new"), list(zip(OLD_NAMES[::2], OLD_NAMES[1::2], strict=True)))
def test_an_old_name_of_a_setting_gets_one_sentence_with_the_new_one(tmp_path, old, new):
    mistakes, hints = look(tmp_path, (f"{old} = 7", ()))
    assert mistakes == [f"settings.toml line 4: {old} is now {new}; rename it."] and hints == []
    assert getattr(Settings(f"{old} = 7"), new) == getattr(Settings(""), new) and not hasattr(Settings(""), old)


@pytest.mark.parametrize(("row", "unit"), [(row, row.key.split("_")[-1]) for row in SETTINGS if row.kind == NUMBER])
def test_the_unit_of_a_number_is_in_its_name(row, unit):
    without = {"MQTT_PORT", "BMS_HOST_ADDRESS", "BMS_BOARD_NUMBER", "BMS_REQUEST_FILLER", "BMS_CELL_COUNT"}
    without |= {"BMS_TEMPERATURE_COUNT", "STALE_PERIODS", "OLED_ADDRESS", "WEB_PORT"}
    assert (unit in ("S", "MS", "MIN", "PERCENT", "MV")) != (row.key in without)


def test_a_password_without_more_may_be_either(tmp_path):
    [mistake], _ = look(tmp_path, ('password = "hunter2"', ()))
    assert "did you mean CIRCUITPY_WIFI_PASSWORD or MQTT_PASSWORD" in mistake and "hunter2" not in mistake


@pytest.mark.parametrize(
    "lines",
    [
        'ALLOW_CONTROL = "soc;restart_bms|restart_bridge/charge_mosfet"',
        'OLED_TYPE = "SSD1315"',
        'OLED_TYPE = "ssd1309"',
        'OLED_TYPE = "SSD1306B"',
        'OLED_TYPE = "SSD-1306 128x32"',
        'OLED_TYPE = "sh1106"',
        'CURRENT_SIGN = "Inverted"',
        'MQTT_PORT = "1883 "',
        "BMS_HOST_ADDRESS = 0x80",
        "UART_BAUD_RATE = 115200",
        'MQTT_BASE_TOPIC = "häus/akku 1/日"',
        r'MQTT_BASE_TOPIC = "h\u00e4us"',
        USER,
        'MQTT_USERNAME = "jürgen"\nMQTT_PASSWORD = "p\\\\ä\\"ss"',
        '# MQTT_USERNAME = "old"\n' + USER,
        f'MQTT_BASE_TOPIC = "{127 * "ü"}"',
        f'DEVICE_NAME = "{40 * "ü"}"',
        "# für mich",
    ],
)
def test_what_is_right_or_can_be_meant_in_one_way_only_is_left_in_peace(tmp_path, lines):
    assert look(tmp_path, (lines, ())) == ([], [])


@pytest.mark.parametrize("key", [64 * "0", 32 * "0f", 32 * "A9"])
def test_a_wifi_key_of_64_digits_is_a_password(tmp_path, key):
    assert look(tmp_path, ([wifi(password=f'"{key}"')], ())) == ([], [])


def test_letters_of_windows_in_a_comment_are_no_mistake(tmp_path):
    assert look(tmp_path, ((GOOD + "# für mich\nOLED = true # für mich\n").encode("latin-1"), ())) == ([], [])


def test_all_settings_of_an_utf_16_file_and_of_one_with_odd_line_ends_count(tmp_path):
    from app.settings import load

    text = GOOD + 'DEVICE_NAME = "Küche"\n'
    for data in (
        text.encode("utf-16"),
        text.encode("utf-16-be"),
        text.replace("\n", "\r").encode(),
        text.encode() + bytes(100),
    ):
        (tmp_path / "settings.toml").write_bytes(data)
        settings = load(str(tmp_path / "settings.toml"))
        assert (settings.MQTT_BROKER, settings.DEVICE_NAME) == ("192.168.1.10", "Küche")


@pytest.mark.parametrize("there", [None, b"", b" \r\n", bytes(30)])
@pytest.mark.parametrize("name", ["settings.toml.txt", "Settings (1).toml", "settings .toml"])
def test_a_file_with_nearly_the_right_name_is_found(tmp_path, there, name):
    from app.settings import load

    (tmp_path / name).write_text(GOOD)
    if there is not None:
        (tmp_path / "settings.toml").write_bytes(there)
    problem = load(str(tmp_path / "settings.toml")).problems[0]
    assert f"there is {name}: rename it to settings.toml" in problem


def test_checking_a_file_that_the_board_would_not_find_says_so(tmp_path):
    file = tmp_path / "settings.toml.txt"
    file.write_text(GOOD)
    assert check.check(file) == (
        ["This file is called settings.toml.txt, and the board reads settings.toml only: rename it."],
        [],
    )


# what a wrong value must not do


@pytest.mark.parametrize(
    "line", ["MQTT_TLS = ture", 'MQTT_TLS = "tls', "MQTT_TLS: true", "MQTT_TLS = 8883", "MQTT_TLS = treü", "MQTT_TLS"]
)
def test_encryption_is_not_left_out_because_of_a_mistake(tmp_path, line):
    from app.settings import load

    (tmp_path / "settings.toml").write_bytes((GOOD + line + "\n").encode("latin-1"))
    settings = load(str(tmp_path / "settings.toml"))
    assert (settings.MQTT_TLS, settings.MQTT_PORT) == (True, 8883) and len(settings.problems) == 1


@pytest.mark.parametrize(
    "line", ["WAKE_ACTIVE_HIGH = low", "WAKE_MIN_SOC_PERCENT = 20%", "WAKE_MIN_CELL_MV = 3.2", "WAKE_INTERVAL_MIN: 90"]
)
def test_a_battery_is_not_woken_by_limits_that_are_wrong(line):
    from app.settings import Settings

    settings = Settings(GOOD + 'WAKE_PIN = "IO5"\n' + line)
    assert settings.WAKE_PIN == "" and "nothing is woken" in settings.problems[0]


def test_nothing_is_allowed_that_is_not_named():
    from app.settings import Settings

    for text in ("all", "SOC", "discharge", "*", "charge_mosfets"):
        assert Settings(GOOD + f'ALLOW_CONTROL = "{text}"').allowed == []
    assert Settings(GOOD + 'ALLOW_CONTROL = "soc; soc, nonsense/restart_bms"').allowed == ["soc", "restart_bms"]


# everywhere the same


def test_a_console_that_lacks_the_letters_gets_its_sentences(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text(GOOD + 'MQTT_日 = 1\nDEVICE_NAME = „Küche“\nMQTT_PORT = "\u0663\udc80"\n', "utf-8", "surrogatepass")
    command = [sys.executable, "-m", "host", "--check", str(file)]
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 1 and "line 5: DEVICE_NAME" in result.stdout and "Traceback" not in result.stderr, result.stderr


@pytest.mark.skipif(not MICROPYTHON.exists(), reason="MicroPython is not installed: its wheels are for Linux")
def test_the_board_says_the_same_as_this_python(tmp_path):
    """Every file above, and numbers of every kind; then the memory for the words is free again."""
    numbers = NUMBERS.split("|")
    texts = [GOOD + f"POLL_CHECKS_MS = {number}\nOLED_ADDRESS = {number}\nOLED = {number}\n" for number in numbers]
    texts += [
        GOOD + f'DEVICE_NAME = "x{escape}"\n'
        for escape in ("\\ud800", "\\U0001F50B", "\\U00110000", "\\u12", "\\x41", "\\u00_1")
    ]
    files = [*texts, *[case[0] for case in (*MISTAKES.values(), *HINTS.values())]]
    for index, lines in enumerate(files):
        text = lines[0] if isinstance(lines, list) else lines
        whole = isinstance(lines, list) or text in texts
        (tmp_path / str(index)).write_bytes(text if isinstance(text, bytes) else (text if whole else GOOD + text).encode())
    script = """
import sys
from app.settings import SETTINGS, load
from battery.unload import unload
for number in range(int(sys.argv[1])):
    name = str(number)
    settings = load(name)
    print(name, [ord(c) for s in SETTINGS for c in str(getattr(settings, s.key))])
    for sentence in settings.problems + settings.hints:
        print([ord(c) for c in sentence])
unload("app.advice")
unload("app.plausible")
print([name for name in sys.modules if "advice" in name])
import app
print(hasattr(app, "advice"))
load(name)
"""
    (tmp_path / "script.py").write_text(script)
    outputs = []
    for interpreter in (sys.executable, str(MICROPYTHON)):
        environment = {"MICROPYPATH": f"{ROOT}:.frozen", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [interpreter, "script.py", str(len(files))]
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert result.returncode == 0, result.stdout[-300:] + result.stderr
        outputs.append(result.stdout.splitlines())
    assert outputs[0] == outputs[1] and outputs[0][-2:] == ["[]", "False"] and len(outputs[0]) > 200


# on the board


@pytest.mark.parametrize(("tx", "rx"), [("IO17", "IO18"), ("io17", "Gpio18"), ("GPIO17", "18"), ("board.IO17", "io18")])
def test_a_pin_may_be_written_as_people_write_it(tx, rx):
    from app.hardware import make_uarts
    from app.settings import Settings

    problems = []
    uart = make_uarts(Settings(GOOD + f'UART_TX = "{tx}"\nUART_RX = "{rx}"\n'), problems)[1]
    assert uart is not None and problems == []
    uart.deinit()


def test_a_pin_in_use_and_one_that_there_is_not_are_told_in_our_words():
    from app.hardware import make_uarts, make_wake_pin
    from app.settings import Settings

    problems = []
    uart = make_uarts(Settings(GOOD + 'UART_TX = "IO17"\nUART_RX = "IO18"\n'), problems)[1]
    assert make_wake_pin(Settings(GOOD + 'WAKE_PIN = "io17"\n'), problems) is None
    assert make_uarts(Settings(GOOD + 'UART_TX = "IO18"\nUART_RX = "IO5"\n'), problems)[1] is None
    assert make_uarts(Settings(GOOD + 'UART_TX = "IO30"\nUART_RX = "IO5"\n'), problems)[1] is None
    uart.deinit()
    assert "line 4: WAKE_PIN: io17 is in use; choose a free pin" in problems[0]
    assert "line 4: UART_TX IO18, UART_RX IO5: one of them is in use" in problems[1]
    assert "line 4: UART_TX: this board has no pin IO30; it has IO0" in problems[2] or "it has RX, TX" in problems[2]


@pytest.mark.parametrize(
    ("pins", "name", "found", "namesake"),
    [
        ({"D17": 17, "A1": 17}, "IO17", "D17", None),
        ({"GP17": 17}, "gpio_17", "GP17", None),
        ({"D5": 6, "A5": 6}, "GPIO6", None, "A5"),  # the board's 6 is another pin
        ({"D6": 43, "IO6": 6}, "6", None, "IO6"),
        ({"D6": 43}, "6", None, None),
        ({"Tx": 1, "TX_": 2}, "TX", "Tx", None),
        ({"tx": 1, "Tx": 2}, "TX", None, None),
        ({"IO17": 17}, "17a", None, None),
        ({"IO17": 17}, "D17", None, "IO17"),
        ({"IO17": 17, "D1": 17}, "D17", None, None),
        ({"IO7": 7}, "GPIO07", "IO7", None),
    ],
)
def test_no_pin_is_guessed_where_it_might_be_another(pins, name, found, namesake):
    from app.advice import pin_name

    assert pin_name(name, pins, int) == (found, namesake)
