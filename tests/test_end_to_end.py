# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The whole product as processes: the unmodified firmware, a BMS nobody here wrote the firmware against, a real mosquitto.

All hosts are started at once and run while the tests look at them in turn.
"""

import json
import re
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from home_assistant_rules import message_faults
from mosquitto import Mosquitto, Subscriber, free_port, needs_mosquitto, wait_until
from other_bms import OtherBms
from PIL import Image

ROOT = Path(__file__).parent.parent
FONT = Path(find_spec("displayio").origin).parent / "resources" / "ter-u12n.bdf"
CELLS = (1, 4, 16, 24, 48)
SETTINGS = 'CIRCUITPY_WIFI_SSID = "shed"\nMQTT_BROKER = "broker.example"\nMQTT_BASE_TOPIC = "t"\nPUBLISH_INTERVAL_S = 1\n'
SETTINGS += 'BRIDGE_ID = "c0ffee"\n'
EVERY_CHANGE = "CELLS_INTERVAL_S = 1\nDEADBAND_PERCENT = 0\n"


class Host:
    """`python -m host` on a serial line and a broker of its own; `log` is what it printed so far."""

    def __init__(self, folder, *arguments, settings=SETTINGS):
        folder.mkdir(exist_ok=True)
        self.picture = folder / "screen.png"
        (folder / "settings.toml").write_text(settings)
        self._log = folder / "log.txt"
        command = [
            sys.executable,
            "-m",
            "host",
            "--plain",
            "--settings",
            folder / "settings.toml",
            "--oled",
            self.picture,
            *arguments,
        ]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def log(self):
        return self._log.read_text()

    def stop(self):
        """Pull the plug; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Place:
    """One battery, one bridge, one broker and somebody who listens."""

    def __init__(self, folder, cells, settings=SETTINGS):
        folder.mkdir()
        self.bms = OtherBms(cells, seed=cells)
        self.broker = Mosquitto(folder)
        self.subscriber = Subscriber(self.broker.port)
        self.host = Host(folder, "--uart", self.bms.path, "--broker", f"127.0.0.1:{self.broker.port}", settings=settings)

    def state(self):
        """The latest state of the battery, numbers as they were written; {} when there is none yet."""
        state, info = [self.subscriber.latest(f"t/bms1/{part}") or "{}" for part in ("state", "info")]
        found = {**json.loads(state, parse_float=str, parse_int=str), **json.loads(info, parse_float=str, parse_int=str)}
        cells = found.pop("balancing_cells", None)
        if cells is not None:
            number = 1
            while f"cell_{number}_voltage" in found:
                found[f"cell_{number}_balancing"] = "ON" if str(number) in cells else "OFF"
                number += 1
        return found

    def is_told_exactly(self):
        state = self.state()
        return {key: state.get(key) for key in self.bms.published_values()} == self.bms.published_values() and self.is_online()

    def is_online(self):
        return self.subscriber.latest("t/bms1/status") == "online"

    def is_offline_and_forgotten(self):
        return self.subscriber.latest("t/bms1/status") == "offline" and set(self.said_of_it().values()) == {None}

    def said_of_it(self):
        """What is published of what the BMS says: energy counters and the like are the bridge's own."""
        return {key: text for key, text in self.state().items() if key in self.bms.published_values()}

    def close(self):
        self.host.process.kill()
        self.subscriber.stop()
        self.broker.kill()
        self.bms.close()


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    places = {cells: Place(folder / str(cells), cells, SETTINGS + (EVERY_CHANGE if cells == 1 else "")) for cells in CELLS}
    yield places
    for place in places.values():
        place.close()


@needs_mosquitto
@pytest.mark.parametrize("cells", CELLS)
def test_every_value_published_is_what_the_bms_said(places, cells):
    place = places[cells]
    wait_until(place.is_told_exactly, 60)
    assert {key: place.state().get(key) for key in place.bms.published_values()} == place.bms.published_values()
    assert place.is_online() and place.subscriber.latest("t/status") == "online"
    assert f"cell_{cells + 1}_voltage" not in place.state()


@needs_mosquitto
def test_who_comes_later_hears_what_is_alive_and_finds_nothing_that_only_looks_so(places):
    place = places[16]
    assert wait_until(place.is_told_exactly, 60)
    assert wait_until(lambda: place.subscriber.latest("t/announced"), 60)  # the discovery is complete
    late = Subscriber(place.broker.port)
    wanted = {"t/status", "t/state", "t/bms1/status", "t/bms1/state", "t/bms1/connection"}
    assert wait_until(lambda: {topic for topic, _, _ in late.received} >= wanted, 15)
    late.stop()
    retained = {topic for topic, _, is_retained in late.received if is_retained and not topic.endswith("/config")}
    assert retained == {"t/status", "t/state", "t/bms1/energy", "t/announced"}
    latest = {topic: text for topic, text, _ in late.received}
    assert (latest["t/status"], latest["t/bms1/status"]) == ("online", "online")
    assert json.loads(latest["t/bms1/state"])["cell_16_voltage"] == place.bms.cells[15] / 1000
    assert json.loads(latest["t/state"]).keys() >= {"uptime", "rssi", "free_memory", "restart_reason"}


@needs_mosquitto
def test_home_assistant_would_take_all_of_it(places):
    place = places[4]
    assert wait_until(place.is_told_exactly, 60)
    # the last message on the readings: discovery follows the values
    assert wait_until(lambda: any(topic.endswith("_cell_balancing_41/config") for topic, *_ in place.subscriber.received), 20)
    configs = [(topic, text) for topic, text, _ in place.subscriber.received if topic.endswith("/config") and text]
    assert [message_faults(topic, text) for topic, text in configs] == [[] for _ in configs]
    assert max(len(text) for _, text in configs) <= 4096
    named = {}
    for _, text in configs:
        message = json.loads(text)
        for entity in message["cmps"].values():
            key = re.search(r"value_json\|d\)\.(\w+)", entity.get("val_tpl", ""))
            if key:
                named.setdefault(entity.get("stat_t", message["stat_t"]), set()).add(key[1])
    balanced = {key for key in place.bms.published_values() if re.fullmatch(r"cell_\d+_balancing", key)}
    assert named["t/bms1/state"] | named["t/bms1/info"] >= place.bms.published_values().keys() - balanced
    assert "balancing_cells" in named["t/bms1/state"] and "hardware_version" in named["t/bms1/info"]
    for topic, keys in named.items():
        assert keys <= json.loads(place.subscriber.latest(topic)).keys(), topic


@needs_mosquitto
def test_a_change_is_published_soon(places):
    place = places[1]
    assert wait_until(place.is_told_exactly, 60)
    place.bms.permille -= 3
    place.bms.cells[0] += 4
    assert wait_until(place.is_told_exactly, 10), place.state()


@needs_mosquitto
def test_a_killed_broker_is_found_again_and_told_everything(places):
    place = places[24]
    assert wait_until(place.is_told_exactly, 60)
    place.broker.kill()
    assert wait_until(lambda: "No broker" in place.host.log, 10)
    place.bms.permille -= 5  # polled all the while
    place.subscriber.clear()
    place.broker.start()
    assert wait_until(place.is_told_exactly, 60)
    wanted = {"t/status", "t/state", "homeassistant/device/daly_c0ffee/config"}
    assert wait_until(lambda: {topic for topic, _, _ in place.subscriber.received} >= wanted, 10)


@needs_mosquitto
def test_a_silent_bms_is_offline_and_forgotten_and_comes_back(places):
    place = places[48]
    assert wait_until(place.is_told_exactly, 60)
    place.bms.silent = True
    assert wait_until(place.is_offline_and_forgotten, 15)
    assert place.state()["cell_48_voltage"] is None  # the key stays
    assert place.subscriber.latest("t/status") == "online"  # the bridge itself
    place.bms.silent = False
    assert wait_until(place.is_told_exactly, 60)


@needs_mosquitto
def test_without_power_the_will_says_so_and_the_last_picture_is_the_readings(places):
    place = places[16]
    assert wait_until(place.is_told_exactly, 60)
    assert place.host.stop() == 0
    assert wait_until(lambda: place.subscriber.latest("t/status") == "offline")
    assert "Traceback" not in place.host.log
    picture = Picture(place.host.picture)
    says = place.bms.published_values()
    numbers = f"{place.bms.permille // 10}% {says['pack_voltage']}V {says['current']}A"
    assert picture.shows(numbers)
    assert picture.shows("EEPROM") or picture.shows("State of charge")  # its two alarms, in turns
    assert not picture.shows("99.9V")


class Picture:
    """The screen's picture, back to its 128 x 32 pixels, and whether a text stands on it in the board's font."""

    def __init__(self, path):
        image = Image.open(path).convert("L")
        scale = image.width // 128
        left, top = (image.width - 128 * scale) // 2, (image.height - 32 * scale) // 2
        self.size = (image.width, image.height)
        self._rows = [
            [image.getpixel((left + scale * x + scale // 2, top + scale * y + scale // 2)) > 100 for x in range(128)]
            for y in range(32)
        ]

    def shows(self, text):
        lit = {(6 * n + x, y) for n, character in enumerate(text) for x, y in glyph(character)}
        top, bottom = min(y for _, y in lit), max(y for _, y in lit)
        box = [(x, y) for x in range(6 * len(text) - 1) for y in range(top, bottom + 1)]
        places = [(left, up) for left in range(128 - 6 * len(text) + 2) for up in range(-top, 32 - bottom)]
        return any(all(self._rows[y + up][x + left] == ((x, y) in lit) for x, y in box) for left, up in places)


def glyph(character):
    """The lit pixels of one character of the font, (0, 0) at the upper left of its 6 x 12 cell."""
    block = re.search(
        rf"^ENCODING {ord(character)}\n.*?BBX (\d+) (\d+) (-?\d+) (-?\d+)\nBITMAP\n(.*?)ENDCHAR", FONT.read_text(), re.M | re.S
    )
    _, height, right, up = (int(number) for number in block.groups()[:4])
    rows = [int(row, 16) << 8 >> 4 * len(row) for row in block[5].split()]
    return [(x + right, 10 - up - height + y) for y, row in enumerate(rows) for x in range(8) if row >> 7 - x & 1]


# what is wrong, and a host that ends by itself

MISTAKES = 'MQTT_PROT = 1\nOLED = maybe\nPUBLISH_INTERVAL_S = 0\nMQTT_BROKER = "b"\n'


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Hosts with nothing or something wrong, started all at once and ended by their --seconds: name -> (status, host)."""
    folder = tmp_path_factory.mktemp("ended")
    nobody = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        mute = f"127.0.0.1:{server.getsockname()[1]}"
        cases = {
            "well": (SETTINGS, "--bms", "drift=0"),
            "mistakes": (MISTAKES,),
            "pin": (SETTINGS + 'UART_TX = "D99"\n',),
            "screen": (SETTINGS + 'OLED_SDA = "D99"\n',),
            "refused": (SETTINGS, "--broker", nobody),
            "mute": (SETTINGS, "--broker", mute),
        }
        hosts = {
            name: Host(folder / name, "--seconds", "20", "--json", *arguments, settings=settings)
            for name, (settings, *arguments) in cases.items()
        }
        return {name: (host.process.wait(60), host) for name, host in hosts.items()}


def test_a_host_with_seconds_ends_by_itself_with_a_picture_of_the_right_size(ended):
    status, host = ended["well"]
    assert status == 0
    assert Picture(host.picture).size == (4 * 128 + 16, 4 * 32 + 16)
    assert "Traceback" not in host.log and '"pack_voltage":52.7' in host.log


WORDS = {
    "mistakes": (
        "settings.toml line 1: MQTT_PROT",
        "MQTT_PORT",
        "line 2: OLED",
        "true or false",
        "line 3: PUBLISH_INTERVAL_S",
        "1 to 3600",
    ),
    "pin": ("UART_TX", "no pin D99", "IO17", "TX", "/bms1/connection No UART: correct UART_TX"),
    "screen": ("OLED_SDA", "no pin D99", "IO8"),
    "refused": ("No broker 127.0.0.1", "connection refused"),
    "mute": ("No broker 127.0.0.1", "no answer"),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_is_wrong_is_a_sentence_and_the_rest_runs_on(ended, what):
    status, host = ended[what]
    assert status == 0
    assert [word for word in WORDS[what] if word not in host.log] == [], host.log
    assert "Traceback" not in host.log


@pytest.mark.parametrize("what", ["mistakes", "screen"])
def test_with_a_small_mistake_the_battery_is_published_all_the_same(ended, what):
    assert '"pack_voltage":52.' in ended[what][1].log


@pytest.mark.parametrize("what", ["refused", "mute"])
def test_without_a_broker_the_screen_says_so(ended, what):
    picture = Picture(ended[what][1].picture)
    assert picture.shows("No broker") and not picture.shows("No BMS")
