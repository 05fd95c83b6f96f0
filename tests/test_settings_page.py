# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""docs/settings.html in a real browser: its files are read by the real reader, and its sentences are the firmware's."""

import random
import tomllib
from pathlib import Path

import browser
import pytest
from browser import CONTRAST, DESKTOP, PATIENCE_MS, PHONE
from test_wrong_files import WRONG, written

from app.settings import SETTINGS, load
from host import check

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "settings.html").as_uri()
DEVKIT = "espressif_esp32s3_devkitc_1_n8r8"
QTPY = "adafruit_qtpy_esp32s2"
ODD = [
    'a"b\\c d',
    "Müllers WLAN",
    "🔋 Akku",
    "#1; 'x'",
    "„Süd“ = [ja]",
    "\\n\\u0041",
    "日本語のパス",
    "{id} $& %s",
    "a\\",
    '"quoted"',
]
JUDGE = "([data, board]) => { const [text, found] = decode(new Uint8Array(data)); return judge(text, found, board); }"


@pytest.fixture(scope="module")
def chromium():
    with browser.opened() as found:
        yield found


@pytest.fixture
def visit(chromium):
    """Open the page; at the end: nothing was asked for or stored, and no script has failed."""
    pages, wrong = [], []

    def opened(**options):
        context = chromium.new_context(**{"viewport": DESKTOP, **options})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("request", lambda request: None if request.url.startswith((PAGE, "blob:")) else wrong.append(request.url))
        page.goto(PAGE)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        page.context.close()
    assert wrong == []


def saved(page, folder):
    """The file that the button makes."""
    with page.expect_download() as download:
        page.click("#save")
    assert download.value.suggested_filename == "settings.toml"
    path = folder / "settings.toml"
    download.value.save_as(path)
    return path


def judged(path, board):
    """What the real reader and a TOML parser make of it; no mistake may be left."""
    mistakes, _ = check.check(path, board)
    assert mistakes == [], path.read_text(encoding="utf-8")
    return load(str(path), has_room=True), tomllib.loads(path.read_text(encoding="utf-8"))


def items(page):
    return page.locator("#said li").all_inner_texts()


# the rules


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong["file"][:40])
@pytest.mark.slow
def test_the_page_says_what_the_firmware_says(rules, tmp_path, wrong):
    path = written(tmp_path, wrong)
    mistakes, hints = check.check(path, wrong["board"])
    rule = [one for one in mistakes if ", column " in one]  # of outputs: the page leaves them to the bridge
    found = rules.evaluate(JUDGE, [list(path.read_bytes()), wrong["board"]])
    assert found == [[one for one in mistakes if one not in rule], hints]


@pytest.fixture(scope="module")
def rules(chromium):
    page = chromium.new_page()
    page.goto(PAGE)
    yield page
    page.close()


VALUES = [
    '""',
    '" "',
    "0",
    "1",
    "-1",
    "07",
    "1_0",
    "0x1F",
    "255",
    "65536",
    "true",
    "True",
    '"yes"',
    "auto",
    '"auto"',
    '"SH1106"',
    '"x"',
    "'x'",
    "“x”",
]
VALUES += [
    '"192.168.1.1"',
    '"1.2.3"',
    '"a:1"',
    '"IO5"',
    '"17"',
    '"io18"',
    '"soc, all"',
    '"1-4"',
    '"a\\tb"',
    '"\\q"',
    '"unfinished',
    "3 # three",
    '"a" b',
    '"ü"',
]


@pytest.mark.slow
def test_any_file_is_judged_as_the_firmware_does(rules, tmp_path):
    dice = random.Random(18)
    keys = [row.key for row in SETTINGS if not row.key.endswith("_FILE")]  # the page has no other files
    keys += [
        "BMS_BOARD_NUMBERS",
        "UART_2_TX",
        "UART_2_RX",
        "BMS_2_NAME",
        "LED_PIN",
        "SLEEP_MINUTES",
    ]
    keys += ["MQTT_HOST", "mqtt_port", "OLED_SDAA", "CIRCUITPY_WEB_API_PASSWORD"]
    path = tmp_path / "settings.toml"
    for _ in range(300):
        lines = [
            f"{dice.choice(keys)}{dice.choice((' = ', '=', ' = ', ': '))}{dice.choice(VALUES)}"
            for _ in range(dice.randint(1, 8))
        ]
        data = (
            dice.choice(("\n", "\r\n"))
            .join(lines)
            .encode(dice.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1")), "replace")
        )
        path.write_bytes(data)
        board = dice.choice((DEVKIT, QTPY, "lolin_s2_mini"))
        assert rules.evaluate(JUDGE, [list(data), board]) == list(map(list, check.check(path, board))), data


# the form


@pytest.mark.slow
def test_a_few_answers_make_a_file_without_a_mistake(visit, tmp_path):
    page = visit()
    board = "Choose your board: its pins are filled in and checked then."
    assert items(page) == [board, "Write the name of your Wi-Fi first."]
    page.select_option("#board", DEVKIT)
    page.fill("#CIRCUITPY_WIFI_SSID", "FRITZ!Box 7590")
    page.fill("#CIRCUITPY_WIFI_PASSWORD", "geheim1234")
    page.fill("#MQTT_BROKER", "192.168.178.20")
    page.fill("#MQTT_USERNAME", "mqtt")
    page.fill("#MQTT_PASSWORD", "solar2024")
    assert items(page) == ["Nothing is wrong with it."]
    assert "geheim1234" not in page.inner_text("#preview")
    _, found = judged(saved(page, tmp_path), DEVKIT)
    pins = {"UART_TX": "IO17", "UART_RX": "IO18", "OLED_SDA": "IO8", "OLED_SCL": "IO9"}
    assert found == {
        "CIRCUITPY_WIFI_SSID": "FRITZ!Box 7590",
        "CIRCUITPY_WIFI_PASSWORD": "geheim1234",
        "MQTT_BROKER": "192.168.178.20",
        "MQTT_USERNAME": "mqtt",
        "MQTT_PASSWORD": "solar2024",
        **pins,
    }


@pytest.mark.slow
def test_odd_characters_arrive_as_they_were_typed(visit, tmp_path):
    page = visit()
    page.select_option("#board", QTPY)
    page.fill("#MQTT_BROKER", "10.0.0.2")
    for odd in ODD:
        secret = odd + "12345678"
        page.fill("#CIRCUITPY_WIFI_SSID", odd)
        for key in ("CIRCUITPY_WIFI_PASSWORD", "MQTT_PASSWORD", "WEB_PASSWORD"):
            page.fill("#" + key, secret)
        page.fill("#MQTT_USERNAME", odd)
        settings, found = judged(saved(page, tmp_path), QTPY)
        for key, value in {
            "CIRCUITPY_WIFI_SSID": odd,
            "CIRCUITPY_WIFI_PASSWORD": secret,
            "MQTT_PASSWORD": secret,
            "WEB_PASSWORD": secret,
        }.items():
            assert settings.value(key) == value and found[key] == value
        assert settings.MQTT_USERNAME == odd == found["MQTT_USERNAME"]


@pytest.mark.slow
def test_what_is_not_answered_yet_is_asked_for(visit):
    """A board that nobody chose has other pins; several batteries without numbers would silently be one."""
    page = visit()
    page.fill("#CIRCUITPY_WIFI_SSID", "cellar")
    page.fill("#CIRCUITPY_WIFI_PASSWORD", "correct horse")
    page.fill("#MQTT_BROKER", "10.0.0.2")
    assert items(page) == ["Choose your board: its pins are filled in and checked then."]
    page.select_option("#board", "lolin_s2_mini")
    assert items(page) == ["Nothing is wrong with it."]
    page.check("[name=several][value=yes]")
    assert items(page) == ["Write the board numbers of your batteries, such as 1-4."]
    page.fill("#BMS_BOARD_NUMBERS", "1-4")
    assert items(page) == ["Nothing is wrong with it."]
    page.select_option("#board", "")
    assert items(page) == ["Nothing is wrong with it."]


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["ha", "other", "none"])
@pytest.mark.parametrize("screen", ["none", "SSD1306 32", "SSD1306 64", "SH1106 64"])
def test_combinations_of_answers(visit, tmp_path, broker, screen):
    page = visit()
    dice = random.Random(broker + screen)
    page.select_option("#board", DEVKIT)
    page.fill("#CIRCUITPY_WIFI_SSID", "cellar")
    page.fill("#CIRCUITPY_WIFI_PASSWORD", "correct horse")
    page.check(f"[name=broker][value={broker}]")
    if broker != "none":
        page.fill("#MQTT_BROKER", "10.0.0.2")
    page.select_option("#screen", screen)
    if screen != "none":
        page.select_option("#OLED_ADDRESS", "0x3D")
    several, with_page = dice.random() < 0.5, broker == "none" or dice.random() < 0.5
    if several:
        page.check("[name=several][value=yes]")
        page.fill("#BMS_BOARD_NUMBERS", "1-3")
    page.set_checked("#page", with_page)
    allowed = dice.sample(["charge_mosfet", "soc", "restart_bridge"], dice.randint(0, 3))
    for name in allowed:
        page.check("#may-" + name)
    settings, _ = judged(saved(page, tmp_path), DEVKIT)
    assert settings.MQTT_DISCOVERY is (broker != "other")
    assert settings.value("MQTT_BROKER") in (("",) if broker == "none" else ("10.0.0.2",))
    assert settings.OLED is (screen != "none")
    if screen != "none":
        assert f"{settings.OLED_TYPE} {settings.OLED_HEIGHT}" == screen and settings.OLED_ADDRESS == 0x3D
    assert len(settings.boards) == (3 if several else 1)
    assert settings.value("WEB_PORT") in ((80,) if with_page else (0,))
    assert sorted(settings.allowed) == sorted(allowed)
    assert page.is_visible("#danger") == bool(allowed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        (
            "MQTT_BROKER",
            "http://homeassistant.local:8123",
            'it is only the address; write MQTT_BROKER = "homeassistant.local".',
        ),
        ("CIRCUITPY_WIFI_PASSWORD", "horse", "no Wi-Fi has a password of fewer than 8 characters; correct it."),
        ("UART_TX", "IO99", "this board has no pin IO99;"),
        ("UART_RX", "IO17", "UART_RX cannot be IO17: UART_TX is; choose a free pin."),
        ("PUBLISH_INTERVAL_S", "2,5", "write a whole number from 1 to 3600."),
        ("DEVICE_NAME", "x" * 41, "a text of 1 to 40 characters"),
        ("MQTT_BASE_TOPIC", "akku/#", "a topic to publish on has no # and no +; remove them."),
    ],
)
def test_a_wrong_answer_gets_the_firmwares_sentence_at_its_field(visit, tmp_path, key, value, sentence):
    page = visit()
    page.select_option("#board", DEVKIT)
    page.fill("#CIRCUITPY_WIFI_SSID", "cellar")
    page.fill("#CIRCUITPY_WIFI_PASSWORD", "correct horse")
    page.fill("#MQTT_BROKER", "10.0.0.2")
    page.click("summary")
    page.fill("#" + key, value)
    [told] = [one for one in items(page) if not one.startswith("Hint")]
    assert sentence in told
    assert page.get_attribute("#" + key, "aria-invalid") == "true"
    described = page.get_attribute("#" + key, "aria-describedby").split()
    assert told in [page.inner_text("#" + one) for one in described]
    path = saved(page, tmp_path)
    assert told in check.check(path, DEVKIT)[0]


@pytest.mark.slow
def test_a_file_is_opened_changed_and_keeps_the_rest(visit, tmp_path):
    mine = '# my notes\nCIRCUITPY_WIFI_SSID = "cellar"\nCIRCUITPY_WIFI_PASSWORD = "correct horse"\nMQTT_PROT = 1884\n'
    mine += '# MQTT_USERNAME = ""\nMQTT_BROKER = "10.0.0.2"\nOLED_TYPE = "SH1106"\nALLOW_CONTROL = "soc"\nWEB_PORT = 0\n'
    mine += 'OUTPUT_1 = "IO5 on when soc > 80"\n'
    source = tmp_path / "mine.toml"
    source.write_text(mine)
    page = visit()
    page.select_option("#board", "lolin_s3_mini")
    page.set_input_files("#open", source)
    page.wait_for_function("document.getElementById('opened').textContent")
    assert items(page) == ["settings.toml line 4: MQTT_PROT is not a setting; did you mean MQTT_PORT."]
    assert page.input_value("#MQTT_BROKER") == "10.0.0.2" and page.input_value("#screen") == "SH1106 64"
    assert (
        page.is_checked("#may-soc") and not page.is_checked("#page") and page.input_value("#OUTPUT_1") == "IO5 on when soc > 80"
    )
    assert saved(page, tmp_path).read_text() == mine
    page.fill("#MQTT_BROKER", "10.0.0.3")
    page.fill("#MQTT_USERNAME", "me")
    expected = mine.replace("10.0.0.2", "10.0.0.3").replace('# MQTT_USERNAME = ""', 'MQTT_USERNAME = "me"')
    assert saved(page, tmp_path).read_text() == expected


# what it looks like


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible_and_every_field_has_a_label(visit, size, scheme):
    page = visit(viewport=size, color_scheme=scheme)
    page.fill("#CIRCUITPY_WIFI_SSID", "cellar 5G")
    page.fill("#CIRCUITPY_WIFI_PASSWORD", "short")
    page.check("#may-soc")
    page.click("summary")
    contrast, where = page.evaluate(CONTRAST)
    assert contrast >= 4.5, where
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    unnamed = "[...document.querySelectorAll('input, select')].filter((one) => !one.labels.length).map((one) => one.id)"
    assert page.evaluate(unnamed) == []


@pytest.mark.slow
def test_the_keyboard_is_enough(visit):
    page = visit()
    page.focus("#CIRCUITPY_WIFI_SSID")
    page.keyboard.type("cellar")
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse")
    page.keyboard.press("Enter")  # sends nothing
    assert page.input_value("#CIRCUITPY_WIFI_PASSWORD") == "correct horse" and page.url == PAGE
