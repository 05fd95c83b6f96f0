# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""PUBLISH_VICTRON: what dbus-mqtt-battery is sent, when it is sent nothing, and that it never holds an old value."""

import json
import shutil
import subprocess
from itertools import pairwise
from types import SimpleNamespace

import pytest
import test_board
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, never, wait_until
from processes import Bridge, SimulatedBms
from test_batteries_end_to_end import FOUR, Place
from test_publisher import Broker

from campaigns import size
from mqtt import victron
from mqtt.battery_publisher import ONLINE

TOPIC = "daly/x/bms1/victron"
STATE = "daly/x/bms1/state"
TIMEOUT_S = 60  # of the driver's config.sample.ini
MANDATORY = ({"Dc", "Soc"}, {"Power", "Voltage", "Current"})
# the keys of the driver's README
OBJECTS = {
    "Dc": {"Power", "Voltage", "Current", "Temperature"},
    "Alarms": {
        "LowVoltage", "HighVoltage", "LowSoc", "HighChargeCurrent", "HighDischargeCurrent", "HighCurrent", "CellImbalance",
        "HighChargeTemperature", "LowChargeTemperature", "LowCellVoltage", "LowTemperature", "HighTemperature", "FuseBlown",
    },
    "Info": {"MaxChargeCurrent", "MaxDischargeCurrent"},  # MaxChargeVoltage on purpose not
    "System": {
        "MinVoltageCellId", "MinCellVoltage", "MaxVoltageCellId", "MaxCellVoltage", "MinTemperatureCellId",
        "MinCellTemperature", "MaxTemperatureCellId", "MaxCellTemperature", "MOSTemperature",
    },
    "Io": {"AllowToCharge", "AllowToDischarge"},
    "Voltages": {f"Cell{number}" for number in range(1, 25)},
}  # fmt: skip
PLAIN = {"InstalledCapacity", "Capacity", "Soc", "Balancing"}


def check(message):
    """That the driver understands all of it: its keys, and only text, int and float, as others are refused."""
    assert MANDATORY[0] <= set(message) <= PLAIN | set(OBJECTS) and MANDATORY[1] <= set(message["Dc"])
    for key, value in message.items():
        values = value if isinstance(value, dict) else {key: value}
        if isinstance(value, dict):
            assert value and set(value) <= OBJECTS[key], key
        for each in values.values():
            assert type(each) in (str, int, float), message


class Driver:
    """What Venus OS shows, as dbus-mqtt-battery v1.0.8 does it: a value stays until another one comes, or the timeout."""

    def __init__(self):
        self.held = {}
        self.last_ms = None

    def receive(self, ms, message):
        self.pass_to(ms)
        self.last_ms = ms
        for key, value in message.items():
            for name, each in value.items() if isinstance(value, dict) else (("", value),):
                self.held[key, name] = (ms, each)

    def pass_to(self, ms):
        if self.last_ms is not None and ms - self.last_ms > TIMEOUT_S * 1000:
            self.held = {}

    def oldest_s(self, ms):
        """Age of the oldest value shown."""
        self.pass_to(ms)
        return max(((ms - at) / 1000 for at, _ in self.held.values()), default=0)


def messages(broker, since=0):
    """(ms, message) of each since then."""
    found = [(ms, json.loads(text)) for ms, topic, text, _, _ in broker.since(since) if topic == TOPIC]
    for _, message in found:
        check(message)
    return found


def run(options="drift=0", seconds=20, **more):
    return Broker(options, victron=True, **more).connect().run(seconds)


def now_ms(broker):
    return broker.wire.us / 1000


def test_nothing_is_published_without_the_setting():
    broker = Broker("drift=0").connect().run(20)
    assert not broker.texts(TOPIC)


def test_the_message_has_what_the_bms_said_in_the_units_of_the_driver():
    broker = run("drift=0,soc=57.3,current=-12.4,cells=4,temperature=22,spread=12,cell_mv=1:3301+2:3290+3:3299+4:3312")
    message = messages(broker)[-1][1]
    state = [json.loads(text) for text in broker.texts(STATE)][-1]
    assert message["Dc"] == {
        "Voltage": state["pack_voltage"],
        "Current": -12.4,
        "Power": state["power"],
        "Temperature": state["max_temperature"],
    }
    assert 12 < message["Dc"]["Voltage"] < 14 and message["Dc"]["Power"] == round(-12.4 * message["Dc"]["Voltage"], 2)
    assert message["Soc"] == 57.3 and message["InstalledCapacity"] == 280.0 and message["Balancing"] == 0
    assert message["Capacity"] == pytest.approx(160.44, abs=0.1)
    assert message["Voltages"] == {"Cell1": 3.301, "Cell2": 3.29, "Cell3": 3.299, "Cell4": 3.312}
    system = message["System"]
    assert (system["MinCellVoltage"], system["MinVoltageCellId"]) == (3.29, "C2")
    assert (system["MaxCellVoltage"], system["MaxVoltageCellId"]) == (3.312, "C4")
    assert message["Io"] == {"AllowToCharge": 1, "AllowToDischarge": 1}
    assert set(message["Alarms"].values()) == {0}


def test_it_is_not_retained_and_comes_every_five_seconds_at_least():
    broker = run(seconds=120)
    assert {(retain, qos) for _, topic, _, retain, qos in broker.heard if topic == TOPIC} == {(False, 0)}
    times = [ms for ms, _ in messages(broker)]
    gaps = [after - before for before, after in pairwise(times)]
    assert 24 <= len(times) <= 60 and max(gaps) <= 5000


def test_a_new_state_is_followed_by_it_within_a_second():
    broker = run()
    since = now_ms(broker)
    broker.wire.set("discharge_mosfet", 0)
    broker.run(6)
    said = min(ms for ms, topic, text, _, _ in broker.since(since) if topic == STATE and '"discharge_mosfet":"OFF"' in text)
    off = min(ms for ms, message in messages(broker, since) if message["Io"]["AllowToDischarge"] == 0)
    assert said < off < said + 1500


def test_current_limits_are_those_of_the_bms_and_zero_while_its_mosfet_is_off():
    broker = run()
    assert '"charge_overcurrent_limit_1":' in broker.texts("daly/x/bms1/info")[-1]
    info = json.loads(broker.texts("daly/x/bms1/info")[-1])
    both = messages(broker)[-1][1]["Info"]
    assert both["MaxChargeCurrent"] == info["charge_overcurrent_limit_1"] > 0
    assert both["MaxDischargeCurrent"] == info["discharge_overcurrent_limit_1"] > 0
    broker.wire.set("charge_mosfet", 0)
    broker.run(6)
    assert messages(broker)[-1][1]["Info"] == {**both, "MaxChargeCurrent": 0.0}


def test_no_limits_are_invented():
    for options in ("drift=0,mute=0x5B", "drift=0,mute=0x59+0x5A+0x5B"):
        assert "Info" not in messages(run(options, 40))[-1][1]


@pytest.mark.parametrize(
    "alarms, expected",
    [
        ("cell_high_1", {"HighVoltage": 1}),
        ("cell_high_2", {"HighVoltage": 2}),
        ("pack_low_1+pack_low_2", {"LowVoltage": 2}),
        ("cell_low_2+soc_low_1", {"LowCellVoltage": 2, "LowSoc": 1}),
        ("charge_overcurrent_1+discharge_overcurrent_2", {"HighChargeCurrent": 1, "HighDischargeCurrent": 2}),
        ("charge_hot_1", {"HighChargeTemperature": 1}),
        ("charge_cold_2", {"LowChargeTemperature": 2}),
        ("discharge_hot_1+discharge_cold_2", {"HighTemperature": 1, "LowTemperature": 2}),
        ("cell_difference_1", {"CellImbalance": 1}),
        ("eeprom", {}),
    ],
)
def test_each_alarm_has_its_name_and_level(alarms, expected):
    message = messages(run(f"drift=0,alarms={alarms}"))[-1][1]
    assert {name: level for name, level in message["Alarms"].items() if level} == expected


# what is not known


def test_a_silent_bms_sends_nothing_and_comes_back():
    broker = run()
    broker.wire.set("silent", 1)
    broker.run(10)
    since = now_ms(broker)
    broker.run(600)
    assert not messages(broker, since)
    broker.wire.set("silent", 0)
    since = now_ms(broker)
    broker.run(20)
    assert messages(broker, since)


@pytest.mark.parametrize("mute", ["0x90", "0x92+0x96", "0x95", "0x98", "0x93"])
def test_the_driver_never_shows_a_value_of_before(mute):
    """The BMS stops answering one request: silence until the driver has forgotten all, then the rest without it."""
    broker = run()
    driver = Driver()
    for ms, message in messages(broker):
        driver.receive(ms, message)
    before = set(driver.held)
    since = now_ms(broker)
    broker.wire.set("mute", mute)
    broker.run(200)
    later = messages(broker, since + 10000)
    for ms, message in messages(broker, since):
        assert driver.oldest_s(ms) <= TIMEOUT_S + 5
        driver.receive(ms, message)
        assert driver.oldest_s(ms) == 0, "each message renews all that is shown"
    if mute == "0x90":
        assert not later, "without voltage, current and state of charge there is no battery"
        return
    assert later and later[0][0] > since + 60000
    assert set(driver.held) < before
    broker.wire.set("mute", "")
    broker.run(150)  # what has not been answered for long is asked seldom
    driver.receive(*messages(broker)[-1])
    assert set(driver.held) == before


def test_a_reading_that_comes_back_soon_ends_the_silence():
    broker = run()
    broker.wire.set("mute", "0x98")
    broker.run(12)
    broker.wire.set("mute", "")
    broker.run(60)
    times = [ms for ms, _ in messages(broker)]
    assert 8000 < max(after - before for before, after in pairwise(times)) < 70000
    assert "Alarms" in messages(broker)[-1][1]


def test_a_new_connection_soon_after_does_not_leave_out_what_the_driver_holds():
    broker = run()
    broker.wire.set("mute", "0x92+0x96")
    broker.run(20)
    since = now_ms(broker)
    broker.connect().run(40)
    assert not messages(broker, since)
    broker.run(60)
    assert messages(broker, since)


def test_after_days_without_the_bms_the_clock_has_no_say():
    """A tick of three days ago looks like one to come."""
    battery = SimpleNamespace(phase=ONLINE, states=1)
    shared = SimpleNamespace(base="t", write=lambda steps, topic, retain: topic)
    its = victron.VictronPublisher(shared, [battery], None, "bms1")
    assert its.state(1000) == "t/bms1/victron" and its.state(1050) is None
    battery.phase = ONLINE - 1
    for day in range(1, 5):
        assert its.state(1000 + day * 86_400_000) is None
    battery.phase = ONLINE
    assert its.state(1050 + 4 * 86_400_000) == "t/bms1/victron"


def test_more_cells_than_the_driver_has_are_left_out_but_not_the_extremes():
    message = messages(run("drift=0,cells=32", 30))[-1][1]
    assert "Voltages" not in message and message["System"]["MaxCellVoltage"] > 3


# the board


@pytest.mark.skipif(test_board.MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
def test_a_message_of_sixteen_cells_is_made_with_little_garbage(tmp_path):
    """In MicroPython with words of 64 bits, written and sent; a board: half. Most of it are the generators."""
    script = test_board.SAYING.replace("2000))", "2000, victron=True))")
    assert script != test_board.SAYING
    size.write_drive(tmp_path, mpy=True, packed=False)
    shutil.copy(test_board.ROOT / "campaigns" / "vm.py", tmp_path)
    (tmp_path / "script.py").write_text(script)
    test_board.record(tmp_path / "answers.txt", "cells=16")
    environment = {"MICROPYPATH": f"{tmp_path}:.frozen"}
    command = [test_board.MICROPYTHON, "script.py", "answers.txt"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    said = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("said ")]
    messages = [(int(length), int(took)) for topic, length, took in said if topic == TOPIC]
    assert messages and all(length > 700 and took <= 1200 for length, took in messages), said


# the firmware, at a real broker


@needs_mosquitto
@pytest.mark.timeout(200)
def test_a_subscriber_receives_it_from_the_firmware_until_the_bms_is_silent(tmp_path):
    bms = SimulatedBms(tmp_path, "drift=0,soc=57.3,current=-12.4")
    broker = Mosquitto(tmp_path)
    subscriber = Subscriber(broker.port)
    settings = 'CIRCUITPY_WIFI_SSID = "shed"\nPUBLISH_VICTRON = true\n'
    bridge = Bridge(tmp_path, bms.path, broker.port, settings, options=["--no-oled"])
    try:
        texts = lambda: subscriber.texts("t/bms1/victron")  # noqa: E731
        assert wait_until(lambda: len(texts()) > 3, 60), bridge.log[-3000:]
        message = json.loads(texts()[-1])
        check(message)
        assert message["Soc"] == 57.3 and message["Dc"]["Current"] == -12.4
        late = Subscriber(broker.port, topics="t/bms1/victron")
        assert not [text for _, text, retained in late.received if retained]
        late.stop()
        bms.set("silent=1")
        assert wait_until(lambda: subscriber.latest("t/bms1/status") == "offline", 30)
        count = len(texts())
        assert never(lambda: len(texts()) > count, 12)
        bms.set("silent=0")
        assert wait_until(lambda: len(texts()) > count, 30)
    finally:
        bridge.stop()
        subscriber.stop()
        broker.kill()
        bms.stop()


@pytest.mark.slow
@needs_mosquitto
@pytest.mark.timeout(200)
def test_several_batteries_have_one_each_and_one_of_the_bank(tmp_path):
    place = Place(tmp_path / "place", 'BMS_BOARD_NUMBERS = "1-4"\nPUBLISH_VICTRON = true\n', FOUR)
    try:
        place.wait(lambda: place.subscriber.latest("t/bank/victron"))
        place.wait(lambda: json.loads(place.subscriber.latest("t/bank/victron")).get("InstalledCapacity"))
        bank = json.loads(place.subscriber.latest("t/bank/victron"))
        check(bank)
        states = [place.state(f"bms{number}") for number in range(1, 5)]
        assert bank["InstalledCapacity"] == 4 * 280.0 and 11 < bank["Soc"] < 44
        assert bank["Dc"]["Current"] == pytest.approx(sum(state["current"] for state in states), abs=1)
        assert "Voltages" not in bank and "Info" not in bank
        for number, soc in enumerate((11.0, 22.0, 33.0, 44.0), 1):
            place.wait(lambda number=number: place.subscriber.latest(f"t/bms{number}/victron"))
            message = json.loads(place.subscriber.latest(f"t/bms{number}/victron"))
            check(message)
            assert message["Soc"] == soc
            assert ("MOSTemperature" in message["System"]) == (number == 3), "of P81"
        place.lines[0].set("silent@3=1")
        place.wait(lambda: place.subscriber.latest("t/bms3/status") == "offline")
        place.subscriber.clear()
        place.wait(lambda: len(place.subscriber.texts("t/bms1/victron")) > 2)
        assert not place.subscriber.texts("t/bank/victron"), "three of four are not the bank"
    finally:
        place.stop()
