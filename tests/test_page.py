# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The page in a real browser, with a bridge that says what a test wants: every number is live, or is none."""

import itertools
import re
import time

import browser
import pytest
from browser import CONTRAST, DESKTOP, PATIENCE_MS, PHONE
from fake_bridge import ASLEEP, CELLS, FakeBridge, asleep, battery, bridge, four, history
from mosquitto import free_port, wait_until
from processes import Bridge, SimulatedBms

pytestmark = pytest.mark.slow
# the page becomes visible again after so many seconds; returns what is seen before anything is fetched
AWAKE = """(seconds) => {
  const now = Date.now;
  Object.defineProperty(document, "hidden", { get: () => window.isHidden, configurable: true });
  window.isHidden = true;
  document.dispatchEvent(new Event("visibilitychange"));
  const asleep = document.body.className;
  Date.now = () => now() + seconds * 1000;
  window.isHidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  return [asleep, document.body.className, document.getElementById("notices").innerText];
}"""


@pytest.fixture(scope="module")
def chromium():
    with browser.opened() as found:
        yield found


@pytest.fixture
def fake():
    made = FakeBridge()
    yield made
    made.stop()


@pytest.fixture
def visit(chromium, fake):
    """Open the page; at the end: nothing was asked for elsewhere, and no script has failed. `has_clock`: for `stop_clock`."""
    contexts, wrong = [], []

    def opened(size=PHONE, url=fake.url, has_clock=False, **options):
        context = chromium.new_context(viewport=size, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "console", lambda message: wrong.append(message.text) if "Failed to load resource" not in message.text else None
        )
        page.on(
            "request",
            lambda request: None if request.url.startswith((url.partition("#")[0], "data:")) else wrong.append(request.url),
        )
        if has_clock:
            page.clock.install()
        page.goto(url)
        page.wait_for_selector("#link.live")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong


def text(page, selector="main"):
    """As a person sees it, in one line."""
    return re.sub(r"\s+", " ", page.inner_text(selector))


def ask(page):
    """The page asks at once, not in two seconds."""
    page.evaluate("wake()")


def stop_clock(page):
    """From now on time passes for the page only in `pass_time`, however busy this machine is."""
    page.clock.pause_at(page.evaluate("Date.now() + 500") / 1000)  # seconds


def pass_time(page, milliseconds):
    """In small steps, behind each of which the network has its turn."""
    for _ in range(milliseconds // 50):
        page.clock.run_for(50)
        page.wait_for_timeout(10)


def wait_for(page, script):
    """As wait_for_function, which the page's policy does not let work."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        page.wait_for_timeout(50)


def is_wide(page):
    """Whether one has to scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_what_is_known_is_shown_and_legible(visit, fake, size, scheme):
    fake.state["batteries"]["bms1"] = battery(cell_3_balancing="ON", balancing="ON", surprise_value=17, charge_mosfet="OFF")
    fake.bridge = bridge(settings_problems="line 7: MQTT_BROKR is not a setting")
    page = visit(size, color_scheme=scheme)
    page.wait_for_selector("text=192.168.1.77")
    for summary in page.query_selector_all("summary"):
        summary.click()
    seen = text(page)
    for words in (
        "57.3%", "Discharging", "−653 W", "−12.4 A", "52.7 V", "160.4 Ah left, about 13 h to empty", "No alarms",
        "Highest 3.314 V cell 7", "Lowest 3.286 V cell 12", "Delta 28 mV",
        "The bars are from 3.25 V to 3.34 V", "Striped: balancing (1)",
        "Temperature 1 21 °C", "Charge MOSFET Off", "Discharge MOSFET On", "Energy charged 1234.6 kWh", "Power −653.48 W",
        "surprise_value 17", "BMS OK", "BMS protocol A5", "MQTT connected", "IP address 192.168.1.77", "Wi-Fi signal −58 dBm",
        "Version 1.0.0",         "Uptime 3 d 4 h", "Restart reason power on", "Settings problems line 7",
    ):  # fmt: skip
        assert words in seen, words
    assert "line 7: MQTT_BROKR" in text(page, "#notices")
    assert page.title() == "57\u00a0% · Daly BMS bridge"
    assert not page.query_selector("[role=tab]") and not is_wide(page)
    contrast, where = page.evaluate(CONTRAST)
    assert contrast >= 4.5, where
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")


def test_many_cells_and_letters_twice_as_large_fit_a_telephone(visit, fake):
    fake.state["batteries"]["bms1"] = battery("A very long name of a battery in the cellar", cells=CELLS * 3, current=-150.5)
    page = visit()
    assert page.locator(".cells li").count() == 48 and not is_wide(page)
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert not is_wide(page)


def test_what_is_not_known_is_a_dash(visit, fake):
    nothing = battery()
    nothing["state"] = dict.fromkeys(nothing["state"])
    fake.state["batteries"]["bms1"] = nothing
    seen = text(visit())
    assert "–" in seen and "Whether there are alarms is not known" in seen
    assert not re.search(r"\d", seen[: seen.index("Last hours")].replace("cell", ""))


def test_a_battery_that_does_not_answer_has_the_reason_in_place_of_numbers(visit, fake):
    page = visit()
    fake.state["batteries"]["bms1"] = asleep()
    ask(page)
    page.wait_for_selector("text=No data")
    seen = text(page, "main > section:first-child")
    assert (
        seen == "Battery No data " + ASLEEP[: ASLEEP.index(":")] + " Our requests come back" + ASLEEP[ASLEEP.index(";") :] + "."
    )
    assert page.title().startswith("No data") and "3.314" not in text(page) and "12.4" not in text(page)
    assert ASLEEP in page.text_content("#say")
    fake.state["batteries"]["bms1"] = battery()
    ask(page)
    page.wait_for_selector("text=57.3")


def test_alarms_are_told_in_words(visit, fake):
    page = visit()
    fake.state["batteries"]["bms1"] = battery(alarms="Cell overvoltage (protection), State of charge high (warning)")
    ask(page)
    page.wait_for_selector(".notice.bad")
    assert (
        text(page, ".notice")
        == "Alarms Cell overvoltageprotection State of charge highwarning Protection: the BMS acts by itself."
    )
    assert page.text_content("#shout") == "Alarm: Cell overvoltage, protection; State of charge high, warning"
    assert page.title().startswith("! ") and "No alarms" not in text(page)
    assert page.evaluate(CONTRAST)[0] >= 4.5
    fake.state["batteries"]["bms1"] = battery()
    ask(page)
    page.wait_for_selector("text=No alarms")
    assert text(page, "#notices") == "" and page.text_content("#shout") == "No alarms any more."


def test_four_batteries_and_their_bank(visit, fake):
    fake.state["batteries"], fake.state["bank"] = four()
    fake.state["batteries"]["bms4"] = asleep("Daly BMS 4")
    fake.state["batteries"]["bms3"] = battery("Garage", alarms="EEPROM (fault)")
    fake.state["bank"] |= {
        "soc": None,
        "current": None,
        "problem": "ON",
        "batteries_online": "3 of 4",
        "missing": "Daly BMS 4: BMS asleep.",
    }
    page = visit()
    assert text(page, "#tabs") == "All batteries – ! Daly BMS 57.3 % Daly BMS 2 61.2 % Garage 57.3 % ! Daly BMS 4 no data"
    assert "Garage: EEPROM" in text(page, "#notices")
    assert "Daly BMS 4: BMS asleep." in text(page, "section.hero")  # where the numbers would be
    assert text(page).count("Daly BMS 4: BMS asleep.") == 1 and "3 of 4 online" in text(page) and not is_wide(page)
    page.focus("[aria-selected=true]")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.innerText").startswith("Daly BMS 2")
    assert "61.2%" in text(page) and "Garage: EEPROM" in text(page, "#notices")
    page.keyboard.press("ArrowLeft")
    page.reload()
    page.wait_for_selector("#link.live")
    assert text(page, "[aria-selected=true]") == "Daly BMS 57.3 %"  # the address says which
    page.click("text=Daly BMS 4")
    assert "asleep" in text(page, "main > section:first-child")
    wait_for(page, "performance.getEntriesByType('resource').some((each) => each.name.includes('of=bms4'))")


@pytest.mark.parametrize("death", ["killed", "frozen"])
def test_a_bridge_that_does_not_answer_is_told_within_five_seconds(visit, fake, death):
    page = visit(has_clock=True)
    numbers = (".soc", ".cells b", ".rows dd")
    for shown in ("text=192.168.1.77", "text=57.3", *numbers):  # they come with several answers
        page.wait_for_selector(shown)
    stop_clock(page)
    if death == "killed":
        fake.stop()
    else:
        fake.frozen.set()
    pass_time(page, 4950)
    page.wait_for_selector("#link.lost")
    page.clock.resume()
    assert "No answer from the bridge for" in text(page, "#notices") and page.title().startswith("No answer")
    assert page.text_content("#shout") == "No answer from the bridge."
    for selector in numbers:
        assert "line-through" in page.evaluate(
            "(s) => getComputedStyle(document.querySelector(s)).textDecorationLine", selector
        )
    assert page.evaluate(
        "document.querySelector('main').inert && getComputedStyle(document.querySelector('main')).opacity < .6"
    )
    page.evaluate("{ const now = Date.now; Date.now = () => now() + 70000; }")
    wait_for(page, "!document.querySelector('main').innerText")  # a minute later they are gone
    assert re.search(r"for 1 min", text(page, "#notices"))
    if death == "killed":
        fake.start()
    fake.frozen.clear()
    page.wait_for_selector("#link.live")
    page.wait_for_selector("text=57.3")
    assert text(page, "#notices") == "" and page.text_content("#shout") == "The bridge answers again."


def test_a_telephone_that_has_slept_shows_no_old_number_as_live(visit, fake):
    page = visit(has_clock=True)
    asleep_class, awake_class, notice = page.evaluate(AWAKE, 30)
    assert asleep_class == "stale" and awake_class == "stale" and "Asking the bridge" in notice
    page.wait_for_selector("#link.live")
    assert page.evaluate("document.body.className") == ""
    asleep_class, awake_class, notice = page.evaluate(AWAKE, 1)
    assert asleep_class == "stale" and awake_class == "" and notice == ""
    stop_clock(page)
    fake.frozen.set()
    page.evaluate(
        "{ const now = Date.now; Date.now = () => now() + 30000; }"
    )  # a computer, whose page was visible all the time
    pass_time(page, 1500)
    page.wait_for_selector("body.stale")


def test_a_page_that_is_not_visible_asks_nothing(visit, fake):
    page = visit()
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { get: () => true }); document.dispatchEvent(new Event('visibilitychange'))"
    )
    page.wait_for_timeout(300)
    asked = len(fake.paths)
    page.wait_for_timeout(2300)
    assert len(fake.paths) == asked and page.evaluate("document.body.className") == "stale"


def test_one_question_at_a_time_and_a_slow_bridge_is_not_a_dead_one(visit, fake):
    fake.delay_s = 1.2
    page = visit()
    page.wait_for_selector("text=192.168.1.77")
    entries = "performance.getEntriesByType('resource').map((each) => [each.startTime, each.responseEnd])"
    wait_for(page, entries + ".length >= 4")
    asked = page.evaluate(entries)
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(asked))
    assert page.evaluate("document.body.className") == ""


def test_numbers_of_a_slow_bridge_have_their_age(visit, fake):
    """Eight batteries on a slow chip: the answer comes, but it takes its time."""
    page = visit()
    fake.trickle_s = 7
    ask(page)
    page.wait_for_selector("#link:text-matches('^Live, ([7-9]|[1-9][0-9]).s old$')")  # more on a busy machine
    assert page.evaluate("document.body.className") == ""


def test_a_name_is_text(visit, fake):
    name = '<img src=x onerror="window.wrong = 1"><b>'
    fake.state["batteries"] = {"bms1": battery(name), "bms2": asleep(name, name)}
    fake.state["sources"] = {name: {name: name}}
    fake.bridge = bridge(name=name, last_failure=name)
    page = visit()
    page.wait_for_selector("h1:has-text('onerror')")
    assert name in page.text_content("#tabs") and name in page.text_content("main") and name in page.title()
    assert page.locator("img").count() == 0 and page.evaluate("window.wrong") is None


def test_the_password_is_asked_for(visit, fake):
    page = visit()
    fake.password = "secret"
    ask(page)
    page.wait_for_selector("text=The bridge asks for its password")  # the second time it is refused
    assert (
        page.evaluate("document.body.className") == "stale"
        and page.text_content("#shout") == "The bridge asks for its password."
    )
    asked = len(fake.paths)
    page.wait_for_timeout(1500)
    assert len(fake.paths) == asked  # else the browser asks for it again and again
    fake.password = None
    page.click("text=Enter it")
    page.wait_for_selector("#link.live")
    fake.password = "secret"
    page = visit(http_credentials={"username": "user", "password": "secret"})
    assert "57.3" in text(page)


def test_an_error_of_the_bridge_is_told(visit, fake):
    page = visit()
    fake.status = 500
    ask(page)
    page.wait_for_selector("text=It answers with error 500")
    assert page.evaluate("document.body.className") == "stale"


def test_the_curve_has_gaps_where_nothing_was_known(visit, fake):
    page = visit()
    page.wait_for_selector("path.s[d*=L]")
    page.click("text=6 h")
    assert page.get_attribute("path.s:not(.area)", "d").count("M") == 1
    page.click("text=24 h")
    two = "document.querySelector('path.s:not(.area)').getAttribute('d').split('M').length == 3"
    wait_for(page, two)  # an hour of the night
    assert page.get_attribute("path.p:not(.area)", "d").count("M") == 2
    assert "last 24 hours: from" in page.get_attribute("svg", "aria-label")
    fake.history = history(ago_s=3600)  # and from then on: the telephone has slept
    page.reload()
    page.wait_for_selector("path.s[d*=L]")
    page.click("text=6 h")
    wait_for(page, two)


# of the points of a curve, from left to right: 0 to 1000
PLACES = "document.querySelector('path.s:not(.area)').getAttribute('d').match(/[\\d.-]+(?= )/g).map(Number)"


@pytest.mark.parametrize("hours", [-5, 3])
def test_a_clock_that_is_set_does_not_move_the_curve(visit, fake, hours):
    page = visit()
    wait_for(page, PLACES + ".length > 100")
    page.evaluate("(hours) => { const now = Date.now; Date.now = () => now() + hours * 3600000; }", hours)
    ask(page)
    wait_for(page, "performance.getEntriesByType('resource').filter((each) => each.name.includes('history')).length > 1")
    wait_for(page, f"{PLACES}.length > 100")
    places = page.evaluate(PLACES)
    assert places == sorted(places) and places[-1] <= 1000
    assert max(later - earlier for earlier, later in itertools.pairwise(places)) < 60  # the hour at night is 42 of 1000


def test_an_address_with_a_strange_end_opens_the_page(visit, fake):
    assert "57.3%" in text(visit(url=fake.url + "#%"))


def test_a_bridge_that_starts_again_with_other_batteries(visit, fake):
    """The page has stayed open: it does not draw the past of another battery."""
    fake.state["batteries"], fake.state["bank"] = four()
    page = visit()
    page.click("text=Garage")
    wait_for(page, PLACES + ".length > 100")
    batteries = fake.state["batteries"]
    batteries["bms1"]["name"], batteries["bms3"]["name"] = "Garage", "Daly BMS"
    fake.history = fake.history | {"ago_s": None, "soc": [], "current": [], "voltage": []}
    ask(page)
    page.wait_for_selector("[aria-selected=true]:has-text('Daly BMS')")
    wait_for(page, PLACES + ".length < 4")
    del batteries["bms3"], batteries["bms2"], batteries["bms4"]
    fake.state["bank"] = None
    ask(page)
    wait_for(page, "!document.querySelector('[role=tab]')")
    assert "57.3%" in text(page) and page.title().startswith("57")


def test_only_the_reason_of_an_output_stands_below_it(visit, fake):
    fake.state["sources"] = {"vedirect1": {"problem": "none", "alarm": "ON", "alarm_reason": "low voltage"}}
    assert "Alarm On Alarm reason low voltage" in text(visit())


def test_sources_are_shown(visit, fake):
    fake.state["sources"] = {
        "outputs": {"output_1": "ON", "output_1_mode": "on", "output_1_reason": "on: switched by hand", "output_2": None},
        "temperatures": {"problem": "none", "28ff641e8216c3": 21.5, "28ff641e8216c4": None},
        "vedirect1": {"pv_power": 320, "state": "bulk"},
        "supply": {"voltage": 13.1},
    }
    seen = text(visit())
    for words in ("Output 1 On (by hand) reason on: switched by hand", "Output 2 –", "28ff641e8216c3 21.5 °C",
                  "28ff641e8216c4 –", "VE.Direct 1 PV power 320 W State bulk", "Supply Voltage 13.100 V"):  # fmt: skip
        assert words in seen, words


def test_the_real_firmware(visit, tmp_path):
    """With its password: the BMS falls asleep, and the power of the bridge is cut."""
    bms = SimulatedBms(tmp_path, "soc=57.3,current=-12.4,drift=0")
    port = free_port()
    firmware = Bridge(tmp_path, bms.path, free_port(), 'WEB_PASSWORD = "secret"\n', options=["--web", str(port)])
    try:
        assert wait_until(lambda: "Page: http" in firmware.log, 20), firmware.log
        page = visit(url=f"http://127.0.0.1:{port}/", http_credentials={"username": "any", "password": "secret"})
        page.wait_for_selector("text=57.3")
        page.wait_for_selector("dd:has-text('connection refused')")  # no broker; asked every ten seconds
        bms.set("silent=1")
        page.wait_for_selector("text=No data")
        assert "BMS asleep, or cut off" in text(page, "main > section:first-child") and "57.3" not in text(page)
        firmware.kill()
        page.wait_for_selector("#link.lost")
        firmware.start()
        page.wait_for_selector("#link.live")
    finally:
        firmware.stop()
        bms.stop()
