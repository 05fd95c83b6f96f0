# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The screen over time: which page has its turn, what makes it bright, and a panel that comes and goes."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from simulation import Wire

from app.advice import no_such_pin
from app.hardware import make_screen
from app.settings import Settings
from battery.pack import Battery
from battery.readings import READING
from display.pages import text_page
from display.screen import MESSAGE_REDRAWS, MOST_PAGES, MOST_PROBLEMS, REDRAW_MS, Screen
from host import chip, displays
from host.ssd1306 import SSD1306

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "docs"))

import screens  # noqa: E402

GOOD = 'MQTT_BROKER = "192.168.1.10"\n'
WIFI = '\nCIRCUITPY_WIFI_SSID = "cellar"\n'
WRAP = 1 << 29
SOC = READING["soc"]


class FakePanel:
    """Keeps the page, needs some steps for each new one, and can be pulled off."""

    def __init__(self):
        self.page = None
        self.brightness = None
        self.there = True
        self.closed = False
        self.renewed = 0
        self.shows = 0
        self._left = 0

    def show(self, page):
        assert self.there, "drawn on a panel that is not there"
        self._left = 3 if page != self.page else 0
        self.page = page
        self.shows += 1

    def step(self):
        self._left -= 1
        return self._left > 0

    def is_there(self):
        return self.there

    def renew(self):
        self.renewed += 1

    def set_brightness(self, percent):
        self.brightness = percent

    def close(self):
        self.closed = True


def battery_of(wire, number=1, label=""):
    return Battery(number, f"bms{number}", "Daly BMS", label, wire.pack, wire.poller)


class Rig:
    """A Screen before a simulated BMS, a network that can be told to be in trouble, and panels to plug in."""

    def __init__(self, settings="", options="drift=0", seconds=10, start=WRAP - 60000, plugged=True, **more):
        self.settings = Settings(GOOD + settings + WIFI)
        self.wire = Wire(options, current_sign="normal", **more).run(seconds)
        self.session = SimpleNamespace(trouble=None, trouble_text="", broker="192.168.1.10:1883")
        self.radio = SimpleNamespace(connected=True, ap_info=SimpleNamespace(rssi=-58), ipv4_address="192.168.1.77")
        self.panels = []
        self.plugged = plugged
        self.now = start
        self.screen = Screen(self._open, self.settings, "1.2.3")
        self.first = self.panels[-1].page if self.panels else None
        self.screen.watch([battery_of(self.wire)], None, self.session, self.radio)

    def _open(self):
        if not self.plugged:
            return None
        self.panels.append(FakePanel())
        return self.panels[-1]

    def fail(self, code, sentence=""):
        self.session.trouble = (code, ("Cellar",))
        self.session.trouble_text = sentence

    @property
    def panel(self):
        return self.panels[-1]

    def run(self, seconds, step_ms=50):
        """Let the screen's time pass; returns the pages that were seen, each once, in order."""
        seen = []
        for _ in range(int(seconds * 1000 / step_ms)):
            self.screen.tick(self.now)
            self.now = (self.now + step_ms) % WRAP
            if self.panels and self.panel.page is not None and (not seen or seen[-1] != self.panel.page):
                seen.append(self.panel.page)
        return seen


def text(page):
    return " ".join(" ".join([page.big, *page.lines]).split())


# turning the pages


def test_before_anything_runs_it_says_who_it_is():
    assert text(Rig().first) == "Daly MQTT 1.2.3 starting ..."


def test_the_first_page_after_the_start_says_what_is_waited_for():
    rig = Rig(seconds=0)
    assert text(rig.panel.page).startswith("Daly MQTT 1.2.3 Looking for BMS")


def test_pages_take_turns():
    rig = Rig("OLED_PAGE_S = 3")
    seen = [text(page) for page in rig.run(13)]
    starts = ["57%", "max", "in", "192.168.1.77", "57%"]
    assert [line.split()[0] for line in seen] == starts


class MorePages:
    """Two pages with a number that counts their changes."""

    count = 2
    changes = 0

    def page(self, index, rows):
        return text_page([f"output{index} {self.changes}"], rows)


def test_further_pages_follow_the_readings_and_are_renewed_when_they_change():
    rig = Rig("OLED_PAGE_S = 3")
    more = MorePages()
    rig.screen.add_pages(more)
    starts = ["57%", "max", "in", "192.168.1.77", "output0", "output1", "57%"]
    assert [text(page).split()[0] for page in rig.run(19)] == starts
    rig.run(12)
    more.changes = 1
    assert text(rig.run(2)[-1]) in ("output0 1", "output1 1")
    rig.wire.set("silent", 1).run(30)
    assert "output1 1" in [text(page) for page in rig.run(20)], "also without a BMS"


def test_pages_need_not_be_turned():
    rig = Rig("OLED_PAGE_S = 0")
    rig.screen.add_pages(MorePages())
    assert len(rig.run(60)) == 1 and rig.panel.page.big == "57%"


def test_the_network_page_has_address_signal_broker_and_version():
    rig = Rig("OLED_PAGE_S = 1")
    page = next(page for page in rig.run(5) if page.lines[0].startswith("192"))
    assert text(page) == "192.168.1.77 -58 dBm v1.2.3 192.168.1.10:1883"


# trouble first


def test_a_protection_has_the_screen_for_itself():
    rig = Rig("OLED_PAGE_S = 1", "drift=0,alarms=cell_high_2+soc_low_1")
    rig.fail("no_answer", "No broker 192.168.1.9:1883: no answer")
    assert {text(page) for page in rig.run(10)} == {"! Cell overvoltage 57% 52.7V -12.4A"}


def test_several_protections_take_turns():
    rig = Rig("OLED_PAGE_S = 1", "drift=0,alarms=cell_high_2+soc_low_2")
    seen = {text(page) for page in rig.run(5)}
    assert len(seen) == 2 and all(page.startswith("!") and page[-3:] in ("1/2", "2/2") for page in seen)


def test_a_warning_keeps_a_line_on_every_page():
    rig = Rig("OLED_PAGE_S = 1", "drift=0,alarms=soc_low_1")
    seen = rig.run(5)
    assert len(seen) >= 4 and {page.lines[2] for page in seen} == {"State of charge low"}


def test_without_a_bms_there_are_only_reasons():
    rig = Rig("OLED_PAGE_S = 1", "silent=1", seconds=30)
    rig.fail("wifi_password")
    assert {text(page) for page in rig.run(10)} == {
        "No BMS: check power, plug, TX/RX No Wi-Fi",
        "No Wi-Fi: wrong password?",
    }


def test_a_bms_that_falls_silent_takes_its_numbers_with_it_at_once():
    rig = Rig()
    rig.run(1)
    assert "52.7V" in text(rig.panel.page)
    rig.wire.set("silent", 1)
    rig.wire.run(20)
    rig.run(1)
    assert "52.7V" not in text(rig.panel.page) and text(rig.panel.page).startswith("BMS asleep")


def test_trouble_with_the_network_takes_its_turn_before_the_readings():
    rig = Rig("OLED_PAGE_S = 2")
    rig.run(5)
    rig.fail("refused", "No broker 192.168.1.9:1883: connection refused")
    rig.run(1)
    assert text(rig.panel.page) == "No broker 192.168.1.9:1883: connection refused"
    rig.run(2)
    assert text(rig.panel.page).endswith("No broker 192.168.1.9") and "52.7V" in text(rig.panel.page)


def test_what_is_only_waited_for_is_no_trouble():
    rig = Rig("OLED_PAGE_S = 1")
    rig.fail("joining")
    rig.radio.connected = False
    seen = rig.run(5)[1:]
    assert len(seen) >= 4 and all("Joining Wi-Fi ..." in page.lines for page in seen)


def test_mistakes_in_the_settings_are_shown_whole():
    rig = Rig("OLED_PAGE_S = 0\nMQTT_PROT = 1\nPUBLISH_INTERVAL_S = 0\n", "silent=1", seconds=30)
    seen = " ".join(text(page) for page in rig.run(5 * MESSAGE_REDRAWS * REDRAW_MS / 1000))
    for problem in rig.settings.problems:
        assert problem.replace("settings.toml line", "line") in seen


def test_many_mistakes_do_not_take_the_screen_for_ever():
    wrong = "".join(f"WRONG_{number} = 1\n" for number in range(10))
    rig = Rig("OLED_PAGE_S = 1\n" + wrong)
    seen = {text(page) for page in rig.run(20)}
    assert any(f"and {10 - MOST_PROBLEMS} more mistakes" in page for page in seen) and any("52.7V" in page for page in seen)


def test_a_long_list_of_pins_does_not_take_the_screen_for_ever():
    rig = Rig("OLED_PAGE_S = 1\n")
    rig.settings.problems.append(no_such_pin("settings.toml line 4: UART_TX", "IO99", [f"IO{n}" for n in range(48)]))
    seen = [text(page) for page in rig.run(12)]
    assert any("UART_TX: this" in page for page in seen) and len([page for page in seen if "IO" in page]) <= 2 * MOST_PAGES
    assert any("52.7V" in page for page in seen)


def test_without_a_uart_it_is_not_said_that_the_bms_is_looked_for():
    rig = Rig(seconds=0, has_uart=False)
    assert any("No BMS: UART_TX or UART_RX is wrong" in text(page) for page in rig.run(3))


@pytest.mark.parametrize("alarms", ["none", "cell_high_2"])
def test_while_nothing_runs_but_the_wifi_join_no_numbers_stand_there_that_grow_old(alarms):
    rig = Rig(options=f"drift=0,alarms={alarms}" if alarms != "none" else "drift=0")
    rig.run(2)
    during = []
    join = rig.screen.before_blocking(lambda *given, timeout: during.append((given, text(rig.panel.page))) or "joined")
    assert join("ssid", "password", timeout=4) == "joined"
    shown = "Daly MQTT 1.2.3 Joining Wi-Fi ..." if alarms == "none" else "! Cell overvoltage 57% 52.7V -12.4A"
    assert during == [(("ssid", "password"), shown)]  # an alarm stays
    rig.run(1)
    assert "52.7V" in text(rig.panel.page)


# for years


def test_it_grows_dim_without_news_and_bright_with_them():
    rig = Rig("OLED_BRIGHTNESS_PERCENT = 80\nOLED_DIM_AFTER_MIN = 2\nOLED_DIM_BRIGHTNESS_PERCENT = 3\n")
    rig.run(119)
    assert rig.panel.brightness == 80
    rig.run(3)
    assert rig.panel.brightness == 3
    rig.wire.set("alarms", "soc_low_1")
    rig.wire.run(5)
    rig.run(1)
    assert rig.panel.brightness == 80


def test_it_need_not_grow_dim():
    rig = Rig("OLED_DIM_AFTER_MIN = 0\n")
    rig.run(3600, step_ms=250)
    assert rig.panel.brightness == 60


def test_trouble_that_tries_again_and_again_is_no_news():
    rig = Rig("OLED_DIM_AFTER_MIN = 1\n")
    rig.radio.connected = False
    for _ in range(8):
        rig.fail("joining")
        rig.run(5)
        rig.fail("wifi_password")
        rig.run(5)
    assert rig.panel.brightness == 5


def test_everything_is_renewed_once_a_minute():
    rig = Rig()
    rig.run(601)
    assert rig.panel.renewed == 10


def test_a_page_is_made_once_a_second_and_not_oftener():
    rig = Rig()
    for _ in range(20):
        rig.wire.pack.put(SOC, 0, 500 + rig.panel.shows, rig.wire.now)
        rig.run(1, step_ms=1)
    assert 19 <= rig.panel.shows <= 22


def test_a_page_is_made_only_where_something_has_changed():
    rig = Rig("OLED_PAGE_S = 10")
    rig.run(60)
    assert rig.panel.shows <= 9
    rig.session.trouble = ("joining", ())
    rig.run(1)
    assert rig.panel.page.lines[2] == "Calling broker ..."


def test_it_says_how_long_it_has_nothing_to_do():
    rig = Rig()
    rig.run(1)
    while (wait := rig.screen.tick(rig.now)) == 0:
        rig.now = (rig.now + 1) % WRAP
    assert 900 <= wait <= REDRAW_MS
    rig.now = (rig.now + wait) % WRAP
    assert rig.screen.tick(rig.now) == 0


# a panel that comes and goes


def test_a_panel_that_was_never_there_is_found_when_it_comes():
    rig = Rig(plugged=False)
    rig.run(70)
    assert rig.panels == []
    rig.plugged = True
    rig.run(32)
    assert len(rig.panels) == 1 and rig.panel.page is not None and rig.panel.brightness == 60


def test_a_panel_that_is_pulled_off_is_let_go_and_found_again():
    rig = Rig()
    rig.run(2)
    lost = rig.panel
    lost.there = rig.plugged = False
    rig.run(60)
    assert lost.closed and len(rig.panels) == 1
    rig.plugged = True
    rig.run(40)
    assert len(rig.panels) == 2 and any("52.7V" in text(page) for page in rig.run(20))
    assert rig.panel.brightness == 60


def test_a_real_panel_is_pulled_off_and_put_back(monkeypatch, capsys):
    """With the real displayio and driver: the pins are free again, and what stood there is drawn anew."""
    module = SSD1306()
    devices = {0x3C: module}
    monkeypatch.setattr(chip, "devices", devices)
    displays.install()
    rig = Rig()
    screen = make_screen(rig.settings, [], "1.2.3", rig.settings)
    screen.watch([battery_of(rig.wire)], None, rig.session, rig.radio)

    def run(seconds):
        for _ in range(seconds * 20):
            screen.tick(rig.now)
            rig.now = (rig.now + 50) % WRAP

    run(2)
    seen = module.image().tobytes()
    devices.clear()
    run(60)
    devices[0x3C] = put_back = SSD1306()
    run(32)
    assert put_back.visible and len(set(put_back.image().tobytes())) > 1 and seen != bytes(len(seen))
    assert len(capsys.readouterr().out.splitlines()) == 2  # that it is gone, and once that there is none
    screen._panel.close()


def test_a_board_without_oled_says_so_once_and_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(chip, "devices", {})
    displays.install()
    settings = Settings(GOOD + WIFI)
    screen = make_screen(settings, [], "1.2.3", settings)
    rig = Rig()
    screen.watch([battery_of(rig.wire)], None, rig.session, rig.radio)
    for _ in range(2000):
        screen.tick(rig.now)
        rig.now = (rig.now + 100) % WRAP
    assert capsys.readouterr().out.count("No OLED: No pull up found") == 1


@pytest.mark.parametrize("missing", ["adafruit_displayio_ssd1306", "display.panel", "display.screen"])
@pytest.mark.parametrize("error", [ImportError("no module"), MemoryError()], ids=["missing", "no memory"])
def test_files_of_the_screen_that_cannot_be_loaded_cost_the_screen_only(missing, error, monkeypatch, capsys):
    class Finder:
        def find_spec(self, name, *_):
            if name == missing:
                raise error

    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    for name in (missing, "display.panel"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = SSD1306()
    monkeypatch.setattr(chip, "devices", {0x3C: module})
    displays.install()
    settings = Settings(GOOD + WIFI)
    for _ in range(2):  # its pins are free again
        screen = make_screen(settings, [], "1.2.3", settings)
        assert f"No OLED: its files cannot be loaded ({type(error).__name__}" in capsys.readouterr().out
    assert (screen is None) == (missing == "display.screen")
    if screen is not None:
        rig = Rig()
        screen.watch([battery_of(rig.wire)], None, rig.session, rig.radio)
        for _ in range(2000):
            screen.tick(rig.now)
            rig.now = (rig.now + 50) % WRAP
        assert capsys.readouterr().out == ""  # said once, and not tried again


@pytest.mark.parametrize("start", [0, WRAP - 1000, WRAP // 2])
def test_the_clock_may_wrap(start):
    rig = Rig("OLED_PAGE_S = 1", start=start)
    assert len(rig.run(8)) >= 7


# the pictures in the pages of the documentation


@pytest.mark.slow
def test_pictures_show_what_the_screen_shows():
    assert screens.outdated() == [], f"look at the screens, then run: {screens.AGAIN}"
