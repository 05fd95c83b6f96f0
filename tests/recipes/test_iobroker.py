# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""ioBroker's adapter mqtt with PUBLISH_EACH_VALUE, as docs/RECIPES.md says: what its states are, and when they are null."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from engines import Process
from mosquitto import Mosquitto, needs_mosquitto, wait_until
from processes import Bridge, SimulatedBms

FOLDER = Path(__file__).resolve().parent.parent.parent / ".recipes" / "iobroker"
NODE = shutil.which("node")
CONTROLLER = FOLDER / "node_modules" / "iobroker.js-controller"
ADAPTER = FOLDER / "node_modules" / "iobroker.mqtt" / "main.js"
pytestmark = [
    needs_mosquitto,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (NODE and ADAPTER.exists()), reason="no node or no ioBroker in .recipes: make test-recipes"),
]


def iobroker(*arguments):
    """What its command line prints."""
    command = [NODE, str(CONTROLLER / "iobroker.js"), *arguments]
    return subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120).stdout


def value(name):
    """Of a state of the adapter, and when it came, in ms; (None, 0): there is none."""
    last = iobroker("state", "get", f"mqtt.0.daly.x.{name}").strip().splitlines()[-1:]
    found = json.loads(last[0]) if last and last[0].startswith("{") else {"val": None, "ts": 0}
    return found["val"], found["ts"]


def test_a_value_is_null_when_the_bms_is_silent_and_the_status_says_when_the_bridge_is_gone(tmp_path):
    iobroker("setup", "first")
    if "mqtt.0" not in iobroker("list", "instances"):
        iobroker("add", "mqtt", "0")
    for name in ("status", "bms1.status", "bms1.soc", "bms1.connection"):  # of an earlier run
        iobroker("object", "del", f"mqtt.0.daly.x.{name}", "-y")
    bms = SimulatedBms(tmp_path, "drift=0,soc=57.3,cells=4")
    broker = Mosquitto(tmp_path)
    iobroker("set", "mqtt.0", "--url", "127.0.0.1", "--port", str(broker.port), "--patterns", "daly/#", "--publish", "")
    # the adapter by itself, as the controller starts none without the adapter admin
    controller = Process(tmp_path, "controller", [NODE, CONTROLLER / "controller.js", "--console"])
    adapter = None
    bridge = Bridge(
        tmp_path,
        bms.path,
        broker.port,
        'CIRCUITPY_WIFI_SSID = "shed"\nPUBLISH_EACH_VALUE = true\n',
        base="daly/x",
        options=["--no-oled"],
    )
    try:
        assert wait_until(lambda: "instance found" in controller.log, 60, 0.5), controller.log[-2000:]
        adapter = Process(tmp_path, "adapter", [NODE, ADAPTER, "--force", "--logs", "info"])
        assert wait_until(lambda: value("bms1.soc")[0] == 57.3, 90, 1), adapter.log[-2000:]
        assert value("status")[0] == value("bms1.status")[0] == "online"
        bms.set("silent=1")
        assert wait_until(lambda: value("bms1.status")[0] == "offline", 60, 1)
        assert wait_until(lambda: value("bms1.soc") != (None, 0) and value("bms1.soc")[0] is None, 60, 1)
        assert value("bms1.connection")[0].startswith("BMS asleep, or cut off")
        bms.set("silent=0")
        assert wait_until(lambda: value("bms1.soc")[0] == 57.3, 60, 1)
        bridge.kill()
        assert wait_until(lambda: value("status")[0] == "offline", 60, 1)
        assert value("bms1.soc")[0] == 57.3, "of before: so the status has to be looked at"
    finally:
        for process in (adapter, controller):
            if process is not None:
                process.stop()
        bridge.stop()
        broker.kill()
        bms.stop()
