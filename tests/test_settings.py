# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Settings: what CircuitPython's file may hold is understood, and each mistake is a sentence with line, key and remedy."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app import batteries, extras
from app import settings as reader
from app.settings import CHOICE, NUMBER, SECRET, SETTINGS, TEXT

SHIPPED = Path(__file__).parent.parent / "settings.toml"
BROKER = 'MQTT_BROKER = "192.168.1.10"\n'
NUMBERS = [setting for setting in SETTINGS if setting.kind == NUMBER]
NO_PORT = {"MQTT_PORT": 1883, "WEB_PORT": 0}  # its 0 stands for the usual port; there is no page where there is no room
TEXTS = [setting for setting in SETTINGS if setting.kind in (TEXT, SECRET)]
NO_WIFI = 'CIRCUITPY_WIFI_SSID is missing: without it there is no Wi-Fi; write its name, as CIRCUITPY_WIFI_SSID = "my network".'


class Settings(reader.Settings):
    """What is said of these short files, but for the Wi-Fi that they do not name."""

    def __init__(self, text, chip_id="", has_room=False):
        super().__init__(text, chip_id, has_room)
        self.problems = [problem for problem in self.problems if problem != NO_WIFI]


def load(path):
    settings = reader.load(path)
    settings.problems = [problem for problem in settings.problems if problem != NO_WIFI]
    return settings


def read(lines):
    """The settings of a file that begins with a good broker; line 2 is the first of `lines`."""
    return Settings(BROKER + lines)


def only_problem(lines):
    problems = read(lines).problems
    assert len(problems) == 1, problems
    return problems[0]


def key(setting):
    return setting.key


# what is understood


def test_a_file_with_nothing_but_a_broker_has_the_defaults_and_no_problem():
    settings = read("")
    assert settings.problems == [] and settings.MQTT_BROKER == "192.168.1.10"
    for setting in SETTINGS:
        if setting.key != "MQTT_BROKER":
            assert getattr(settings, setting.key) == NO_PORT.get(setting.key, setting.default)


@pytest.mark.parametrize("value", ["2883", "0xB43", "0XB43", "0b101101000011", '"2883"', "2883 # my own", " 2883\t"])
def test_a_number_may_be_written_in_many_ways(value):
    settings = read(f"MQTT_PORT ={value}\n")
    assert settings.MQTT_PORT == 2883 and settings.problems == []


@pytest.mark.parametrize(("value", "meaning"), [("true", True), ("false", False), ('"true"', True), ("1", True), ("0", False)])
def test_a_switch_may_be_written_in_many_ways(value, meaning):
    settings = read(f"OLED = {value}")
    assert settings.OLED is meaning and settings.problems == []


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ('"my # net"', "my # net"),
        ('"my net" # of the shed', "my net"),
        (r'"a \"b\" \\ c"', 'a "b" \\ c'),
        (r'"\u0022\\"', '"\\'),
        (r'"K\u00fcche \U0001F50B"', "Küche 🔋"),
        ('"Küche 🔋"', "Küche 🔋"),
        ('""', ""),
        ('" a = b "', " a = b "),
    ],
)
def test_a_text_is_what_stands_between_the_quotes(value, meaning):
    settings = read(f"MQTT_USERNAME={value}")
    assert (settings.MQTT_USERNAME, settings.problems) == (meaning, [])


def test_comments_empty_lines_and_windows_line_ends_do_not_matter():
    settings = Settings('# mine\r\n\r\n  MQTT_BROKER = "b"\r\n\t# more\r\nMQTT_PORT = 1884\r\n')
    assert (settings.MQTT_BROKER, settings.MQTT_PORT, settings.problems) == ("b", 1884, [])


def test_circuitpythons_own_settings_are_left_alone():
    assert read('CIRCUITPY_WEB_API_PASSWORD = "x"\nCIRCUITPY_PYSTACK_SIZE = 4096\nCIRCUITPY_NEW = 1.5').problems == []


@pytest.mark.parametrize("setting", NUMBERS, ids=key)
def test_a_number_may_be_anything_in_its_range_and_nothing_outside(setting):
    for number in (setting.low, setting.high):
        settings = read(f"{setting.key} = {number}")
        assert getattr(settings, setting.key) == (number or NO_PORT.get(setting.key, 0)) and settings.problems == []
    for number in (setting.low - 1, setting.high + 1):
        settings = read(f"{setting.key} = {number}")
        assert getattr(settings, setting.key) == NO_PORT.get(setting.key, setting.default)
        [problem] = settings.problems
        assert all(word in problem for word in ("line 2", setting.key, str(number)))
        if (setting.key, number) == ("OLED_ADDRESS", 0x78):  # the other way to count addresses
            assert problem.endswith("write OLED_ADDRESS = 0x3C.")
        else:
            assert str(setting.low) in problem and str(setting.high) in problem


@pytest.mark.parametrize("setting", TEXTS, ids=key)
def test_a_text_may_be_as_long_as_it_may_be_and_no_longer(setting):
    assert getattr(Settings(f'{setting.key} = "{setting.high * "x"}"'), setting.key) == setting.high * "x"
    problem = Settings(f'{setting.key} = "{(setting.high + 1) * "x"}"').problems[0]
    assert all(word in problem for word in ("line 1", setting.key, str(setting.high)))


@pytest.mark.parametrize("setting", [setting for setting in SETTINGS if setting.kind == CHOICE], ids=key)
def test_a_choice_is_one_of_its_words(setting):
    for word in setting.low:
        assert getattr(read(f'{setting.key} = "{word}"'), setting.key) == word
        assert isinstance(word, str) or getattr(read(f"{setting.key} = {word}"), setting.key) == word
    problem = only_problem(f'{setting.key} = "sideways"')
    assert all(str(word) in problem for word in ("line 2", setting.key, "sideways", *setting.low))


# what is not, and what is said then

MISTAKES = {  # lines -> what the sentence must name
    "MQTT_PORT = yes": ("line 2", "MQTT_PORT", "yes", "number", "0", "65535"),
    'MQTT_PORT = "many"': ("line 2", "MQTT_PORT", "many", "number"),
    "MQTT_PORT = 18.83": ("line 2", "MQTT_PORT", "18.83", "whole number"),
    "MQTT_PORT = true": ("line 2", "MQTT_PORT", "true", "number"),
    "MQTT_PORT =": ("line 2", "MQTT_PORT", "number"),
    "OLED = maybe": ("line 2", "OLED", "maybe", "true or false"),
    "OLED = 2": ("line 2", "OLED", "2", "true or false"),
    "CIRCUITPY_WIFI_SSID = net": ("line 2", "CIRCUITPY_WIFI_SSID", "net", "double quotes"),
    "CIRCUITPY_WIFI_SSID = 'net'": ("line 2", "CIRCUITPY_WIFI_SSID", "double quotes"),
    "CIRCUITPY_WIFI_SSID = 5": ("line 2", "CIRCUITPY_WIFI_SSID", "5", "double quotes"),
    'CIRCUITPY_WIFI_SSID = "net': ("line 2", "CIRCUITPY_WIFI_SSID", "end"),
    'CIRCUITPY_WIFI_SSID = "net" work': ("line 2", "CIRCUITPY_WIFI_SSID", '"text"'),
    r'CIRCUITPY_WIFI_SSID = "net\q"': ("line 2", "CIRCUITPY_WIFI_SSID", '"text"'),
    r'CIRCUITPY_WIFI_SSID = "net\u00g1"': ("line 2", "CIRCUITPY_WIFI_SSID", '"text"'),
    "MQTT_PORT = 01883": ("line 2", "MQTT_PORT", "01883", "number"),
    "UART_TX = IO17": ("line 2", "UART_TX", "IO17", "pin", 'UART_TX = "IO17"'),
    'UART_TX = ""': ("line 2", "UART_TX", "pin"),
    "MQTT_PROT = 1883": ("line 2", "MQTT_PROT", "did you mean MQTT_PORT"),
    'mqtt_username = "me"': ("line 2", "mqtt_username", "in capitals", "write MQTT_USERNAME"),
    "COLOUR = 3": ("line 2", "COLOUR", "remove it"),
    "just words": ("line 2", "KEY = value"),
    "= 3": ("line 2", "KEY = value"),
    "MQTT_PORT = 1884\n\nMQTT_PORT = 1885": ("line 4", "MQTT_PORT", "second time", "line 2", "remove"),
    "[mqtt]\nMQTT_PORT = 1884": ("line 2", "section", "remove"),
}


@pytest.mark.parametrize("lines", MISTAKES)
def test_a_mistake_is_told_with_its_line_its_key_and_the_remedy(lines):
    problem = only_problem(lines)
    assert "settings.toml" in problem and problem.endswith(".")
    assert [word for word in MISTAKES[lines] if word not in problem] == []


def test_the_first_of_two_counts_and_what_follows_a_section_does_not():
    assert read("MQTT_PORT = 1884\nMQTT_PORT = 1885").MQTT_PORT == 1884
    assert read("[mqtt]\nMQTT_PORT = 1884").MQTT_PORT == 1883


def test_a_byte_order_mark_hides_no_setting_but_is_told():
    settings = Settings("\ufeff" + BROKER)
    assert settings.MQTT_BROKER == "192.168.1.10"
    assert "line 1" in settings.problems[0] and "byte order mark" in settings.problems[0]


def test_one_mistake_does_not_hide_the_next_and_spoils_no_other_setting():
    settings = read('MQTT_PORT = x\nOLED = y\nCOLOUR = 3\nUART_TX = "IO17"\n')
    assert [re.search(r"line (\d)", problem)[1] for problem in sorted(settings.problems)] == ["2", "3", "4"]
    assert settings.UART_TX == "IO17"


@pytest.mark.parametrize("text", ["", 'MQTT_BROKER = ""', "# MQTT_BROKER"])
def test_a_missing_broker_is_told_with_an_example(text):
    [problem] = Settings(text).problems
    assert 'MQTT_BROKER = "' in problem


@pytest.mark.parametrize(
    "line",
    [
        "{} = hunter2-secret",
        '{} = "hunter2-secret',
        '{} = "hunter2-secret" hunter2-secret',
        "{} = 'hunter2-secret'",
        '{} "hunter2-secret"',
        '{}: "hunter2-secret"',
        '{} = "a"\n{} = "hunter2-secret"',
        '{} = "' + 300 * "hunter2-secret" + '"',
    ],
)
@pytest.mark.parametrize("secret", [setting.key for setting in SETTINGS if setting.kind == SECRET])
def test_a_secret_is_never_repeated(line, secret):
    problems = read(line.format(secret, secret)).problems
    assert problems and "hunter2" not in " ".join(problems)


def test_a_secret_under_a_mistyped_name_is_not_repeated_either():
    problem = only_problem('MQTT_PASSWORT = "hunter2-secret"')
    assert "did you mean MQTT_PASSWORD" in problem and "hunter2" not in problem


@pytest.mark.parametrize("typo", ["CIRCUITPY_WIFI_SID", "CIRCUITPY_WIFI_PASWORD"])
def test_a_mistyped_wifi_setting_is_noticed(typo):
    assert "did you mean CIRCUITPY_WIFI_" in only_problem(f'{typo} = "x"')


def test_circuitpythons_own_names_are_not_taken_for_mistyped_ones():
    names = ("WEB_API_PASSWORD", "WEB_API_PORT", "WEB_INSTANCE_NAME", "WIFI_HOSTNAME", "HEAP_START_SIZE", "BLE_NAME")
    assert read("".join(f'CIRCUITPY_{name} = "x"\n' for name in names)).problems == []


def test_every_password_is_a_secret():
    assert {s.key for s in SETTINGS if s.kind == SECRET} == {s.key for s in SETTINGS if "PASSWORD" in s.key}


# what would only fail later, far from the file


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('MQTT_BASE_TOPIC = "daly/#"', "no # and no +"),
        ('MQTT_BASE_TOPIC = "daly/+/x"', "no # and no +"),
        ('MQTT_DISCOVERY_PREFIX = "/homeassistant"', "begins with /"),
        ('MQTT_BASE_TOPIC = "daly/"', "ends with /"),
        ('CIRCUITPY_WIFI_PASSWORD = "short"', "fewer than 8 characters"),
    ],
)
def test_what_mqtt_or_wifi_can_never_accept_is_a_mistake_in_the_file(line, remedy):
    problem = only_problem(line)
    assert "line 2" in problem and line.split(" ")[0] in problem and remedy in problem
    assert "short" not in problem  # a password is not repeated


@pytest.mark.parametrize(
    ("address", "remedy"),
    [
        ("192.168.1.9:0", "address:port"),
        ("192.168.1.9:65536", "address:port"),
        ("a, my broker", "my broker: an address has no spaces"),
        ("a:1883, b:x", "b:x: an address has only letters"),
        ("a, ,b", "nothing between two commas"),
        ("a,", "nothing between two commas"),
        ("192.168.1,10", "write it as 192.168.1.10"),
        ("192.168.1.10, mqtt://b", "mqtt://b: it is only the address"),
        ("mqtt://192.168.1.9", 'MQTT_BROKER = "192.168.1.9"'),
        ("mqtts://broker.example:8883/", 'MQTT_BROKER = "broker.example"'),
        ("mqtt://me:hunter2@192.168.1.9", 'MQTT_BROKER = "192.168.1.9"'),
        ("http://homeassistant.local:8123", 'MQTT_BROKER = "homeassistant.local"'),
        ("192.168.1", "four numbers up to 255"),
        ("192.168.1.300", "four numbers up to 255"),
        ("192.168..1", "four numbers up to 255"),
        ("my broker", "no spaces"),
    ],
)
def test_the_broker_is_an_address_and_nothing_else(address, remedy):
    settings = Settings(f'MQTT_BROKER = "{address}"')
    [problem] = settings.problems
    assert "line 1: MQTT_BROKER cannot be" in problem and remedy in problem and "hunter2" not in problem
    assert settings.MQTT_BROKER == ""


@pytest.mark.parametrize(
    "address",
    ["192.168.1.10", "homeassistant", "homeassistant.local", "a-b.example.org", "my_pi", "HA2", "1.2.3.4", "10.0.0.1"]
    + ["192.168.1.9:1884", "a, b:8883,c", "192.168.1.10,192.168.1.11"],
)
def test_good_addresses_are_good(address):
    assert Settings(f'MQTT_BROKER = "{address}"').problems == []


def test_several_brokers_each_with_its_port():
    text = 'MQTT_BROKER = "10.0.0.1, b.example:8884 ,c"\n'
    assert Settings(text).brokers == (("10.0.0.1", 1883), ("b.example", 8884), ("c", 1883))
    assert Settings(text + "MQTT_TLS = true").brokers == (("10.0.0.1", 8883), ("b.example", 8884), ("c", 8883))
    assert Settings(text + "MQTT_PORT = 1900").brokers == (("10.0.0.1", 1900), ("b.example", 8884), ("c", 1900))
    assert Settings(BROKER).brokers == (("192.168.1.10", 1883),)


def test_one_pin_cannot_do_two_things():
    assert "line 3: OLED_SDA cannot be IO5: UART_TX is; choose a free pin" in only_problem('UART_TX = "IO5"\nOLED_SDA = "IO5"')
    assert read('OLED = false\nUART_TX = "IO5"\nOLED_SDA = "IO5"').problems == []
    assert read('WAKE_PIN = ""').problems == []


# the file


def test_a_missing_file_is_a_problem_not_an_exception(tmp_path):
    settings = load(str(tmp_path / "settings.toml"))
    assert "settings.toml is missing" in settings.problems[0] and settings.MQTT_PORT == 1883


@pytest.mark.parametrize(("text", "coding"), [("Küche", "latin-1"), ("Kü", "utf-16"), ("K\udcff", "utf-8")])
def test_a_line_in_another_encoding_is_told_and_the_others_are_read(tmp_path, text, coding):
    file = tmp_path / "settings.toml"
    wrong = f'DEVICE_NAME = "{text}"\n'.encode(coding, "surrogateescape")
    file.write_bytes(b'MQTT_BROKER = "10.0.0.7"\n' + wrong + b"\nMQTT_PORT = 1884\nMQTT_PROT = 1\n")
    settings = load(str(file))
    assert settings.problems[0] == "settings.toml line 2: this is not UTF-8 text, and is not read; save the file as UTF-8."
    assert (settings.MQTT_BROKER, settings.MQTT_PORT, settings.DEVICE_NAME) == ("10.0.0.7", 1884, "Daly BMS")
    assert coding == "utf-16" or "line 5: MQTT_PROT" in settings.problems[1]


def test_a_file_that_is_no_text_is_told_in_a_sentence_or_two(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_bytes(bytes(range(128, 256)) + 40 * b"\n\xff")
    problems = load(str(file)).problems
    assert len(problems) == 2 and "line 1, 2, 3, 4, 5, ...: this is not UTF-8" in problems[0] and len(problems[0]) < 150


LINES = st.lists(
    st.one_of(
        st.text(max_size=30),
        st.builds("{}={}".format, st.sampled_from([s.key for s in SETTINGS]), st.text(max_size=20)),
        st.builds('{} = "{}"'.format, st.sampled_from([s.key for s in SETTINGS]), st.text(max_size=20)),
        st.builds("{} = {}".format, st.sampled_from([s.key for s in SETTINGS]), st.integers()),
    )
)


@given(LINES)
@example(['MQTT_PORT="\\'])
def test_whatever_the_file_holds_every_setting_has_a_value_that_will_do(lines):
    settings = Settings("\n".join(lines))
    for setting in SETTINGS:
        value = getattr(settings, setting.key)
        assert type(value) is type(setting.default)
        if setting.kind == NUMBER:
            assert setting.low <= value <= setting.high
    assert all(problem.endswith(".") for problem in settings.problems)


# the page in the browser


@pytest.mark.parametrize(
    ("lines", "with_room", "without"),
    [
        ("", 80, 0),
        ("WEB_PORT = 0", 0, 0),
        ("WEB_PORT = 8000", 8000, 8000),
        ("WEB_PORT = 70000", 80, 0),
        ('CIRCUITPY_WEB_API_PASSWORD = "x"', 8080, 0),
        ('CIRCUITPY_WEB_API_PASSWORD = ""', 80, 0),
        ('CIRCUITPY_WEB_API_PASSWORD = "x"\nCIRCUITPY_WEB_API_PORT = 8081', 80, 0),
        ('CIRCUITPY_WEB_API_PASSWORD = "x"\nWEB_PORT = 80', 8080, 8080),
        ('CIRCUITPY_WEB_API_PASSWORD = "x"\nCIRCUITPY_WEB_API_PORT = 8081\nWEB_PORT = 8081', 8080, 8080),
        ("SLEEP_MINUTES = 10", 0, 0),
        ("SLEEP_MINUTES = 10\nWEB_PORT = 80", 80, 80),
    ],
)
def test_the_page_is_on_where_there_is_room_and_as_the_setting_says(lines, with_room, without):
    assert with_room == Settings(f"{BROKER}\n{lines}", has_room=True).WEB_PORT
    assert without == Settings(f"{BROKER}\n{lines}", has_room=False).WEB_PORT


def test_a_port_that_is_the_web_workflows_is_told():
    [problem] = read('CIRCUITPY_WEB_API_PASSWORD = "secret"\nWEB_PORT = 80').problems
    assert "line 3: WEB_PORT" in problem and "8080" in problem and "web workflow" in problem and "secret" not in problem


def test_a_page_has_another_port_than_the_web_workflow_whatever_that_one_is():
    settings = read('CIRCUITPY_WEB_API_PASSWORD = "secret"\nCIRCUITPY_WEB_API_PORT = 8080\nWEB_PORT = 8080')
    assert settings.WEB_PORT == 80 and "and 80 is used" in settings.problems[0]


def test_asleep_there_is_no_page():
    hints = Settings(f"{BROKER}\nSLEEP_MINUTES = 10\nWEB_PORT = 80").hints
    assert [hint for hint in hints if "line 4: WEB_PORT" in hint and "awake" in hint], hints
    assert "WEB_PORT" not in " ".join(Settings(f"{BROKER}\nSLEEP_MINUTES = 10", has_room=True).hints)


WIFI = 'CIRCUITPY_WIFI_SSID = "shed"\nCIRCUITPY_WIFI_PASSWORD = "12345678"'


def test_with_a_page_no_broker_is_needed():
    settings = Settings(f"{WIFI}\nWEB_PORT = 80")
    assert settings.problems == [] and "on the page in the browser only" in settings.hints[0]


def test_a_broker_that_is_still_a_comment_is_told_also_with_a_page():
    settings = Settings(f'{WIFI}\nWEB_PORT = 80\n# MQTT_BROKER = "10.0.0.1"')
    assert settings.problems == [] and "remove the # of line 4" in settings.hints[0]


def test_without_a_page_the_missing_broker_is_a_mistake():
    assert "MQTT_BROKER is missing" in Settings(f"{WIFI}\nWEB_PORT = 0", has_room=True).problems[0]


# the file that is shipped


def test_the_shipped_file_has_no_problem():
    assert load(str(SHIPPED)).problems == []


def test_the_shipped_file_documents_every_setting_with_its_true_default():
    text = SHIPPED.read_text()
    to_be_edited = set(re.findall(r"^(\w+) =", text, re.M))
    assert to_be_edited == {"CIRCUITPY_WIFI_SSID", "CIRCUITPY_WIFI_PASSWORD", "MQTT_BROKER"}
    documented = re.findall(r"^# (\w+ = .*)", text, re.M)
    everything = Settings("\n".join([BROKER, *documented]))
    assert everything.problems == []
    rows = SETTINGS + batteries.rows_for(["BMS_1_NAME", "BMS_2_NAME"]) + extras.rows_for(["LED_PIN"])
    like_others = {row.key for row in rows if row.key.startswith("UART_3_")}  # as those of the second UART
    like_others |= {f"OUTPUT_{number}" for number in range(3, 9)}
    assert len(like_others) == 5 + 6
    assert {line.split(" ")[0] for line in documented} | to_be_edited == {row.key for row in rows} - like_others
    for setting in rows:
        if setting.key not in to_be_edited:
            default = 1883 if setting.key == "MQTT_PORT" else setting.default
            assert getattr(everything, setting.key) == default, setting.key


def test_the_shipped_file_holds_no_secret_and_reads_the_same_in_every_editor():
    text = SHIPPED.read_text()
    assert 'CIRCUITPY_WIFI_PASSWORD = "your password"' in text
    assert all(ord(character) < 128 for character in text)


@pytest.mark.parametrize("identity", ["c0ffee", "shed-2", "Pack_1", "a" * 16])
def test_an_identity_that_does_for_topics_and_brokers(identity):
    settings = Settings(f'{BROKER}\nBRIDGE_ID = "{identity}"')
    assert identity == settings.BRIDGE_ID and not settings.problems


@pytest.mark.parametrize("identity", ['"a/b"', '"a+"', '"#"', '"two words"', '"küche"', '"' + 17 * "a" + '"', "123456"])
def test_an_identity_that_does_not_is_told_in_a_sentence(identity):
    settings = Settings(f"{BROKER}\nBRIDGE_ID = {identity}")
    assert settings.BRIDGE_ID == "" and len(settings.problems) == 1
    assert "line" in settings.problems[0] and "BRIDGE_ID cannot be" in settings.problems[0]


def test_one_file_serves_many_bridges():
    text = BROKER + '\nMQTT_BASE_TOPIC = "site/{id}/bms"\nMQTT_CLIENT_ID = "site:{id}"\nDEVICE_NAME = "Battery {id}"'
    for identity in ("02da1bc0ffee", "02da1bc0ffef"):
        settings = Settings(text, identity)
        assert (settings.base_topic, settings.client_id) == (f"site/{identity}/bms", f"site:{identity}")
        assert settings.DEVICE_NAME == settings.boards[0].name == "Battery " + identity and not settings.problems


def test_the_id_of_the_settings_counts_there_too():
    settings = Settings(BROKER + '\nBRIDGE_ID = "shed"\nMQTT_BASE_TOPIC = "a/{id}"', "02da1bc0ffee")
    assert (settings.base_topic, settings.client_id) == ("a/shed", "daly-shed")


def test_without_a_word_topic_and_client_id_are_made_of_the_id():
    settings = Settings(BROKER, "02da1bc0ffee")
    assert (settings.base_topic, settings.client_id) == ("daly/02da1bc0ffee", "daly-02da1bc0ffee")
