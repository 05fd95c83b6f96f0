# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A life of the firmware of one folder, in simulated time: `python tests/one_life.py FOLDER SETTINGS.toml` prints all it says.

Every message with its time, what it prints on the console, each new picture of the screen and each change of a pin; the same at
every run. With SLEEP_MINUTES it begins as after a deep sleep, and ends with the next one.
"""

import binascii
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent
sys.path[0:1] = [str(ROOT)]  # first: the simulator has the readings of this project
sys.path += [str(ROOT / "host" / "standins")]

from host import chip, displays, keyboard, trouble  # noqa: E402
from host.broker import Broker  # noqa: E402
from host.clock import SimulatedClock  # noqa: E402
from host.simulated_network import SimulatedNetwork  # noqa: E402
from host.ssd1306 import SSD1306  # noqa: E402
from simulator.bus import connect  # noqa: E402
from simulator.ds18b20 import OneWireBus, Thermometer  # noqa: E402
from simulator.vedirect import Device  # noqa: E402
from simulator.wire import SimulatedUart  # noqa: E402

OURS = ("app", "battery", "daly", "display", "mqtt", "outputs", "sensors", "web")
for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
    del sys.modules[name]
sys.path.remove(str(ROOT))
sys.path.insert(0, sys.argv[1])

THERMOMETER, SHUNT, ANALOG = "IO5", "IO6", "IO7"  # pins of sensors
ONE = "cells=16,temperatures=2,capacity=280,soc=60,current=-20,drift=0,alarms=soc_low_2"
SEVERAL = ONE + ",boards=3,protocol@3=p81,soc@2=40,current@2=7"
STEP_S = 0.02
END_S = 150
PRESSED = (
    ("t/scan/set", b"PRESS"),
    ("t/bms1/charge_mosfet/set", b"OFF"),
    ("t/bms2/discharge_mosfet/set", b"OFF"),
    ("t/bms1/soc/set", b"55.5"),
    ("t/bms1/soc/set", b"much"),
    ("t/bms1/restart/set", b"PRESS"),
    ("t/bms1/energy/set", b"energy_charged=1234.567"),
    ("t/diagnostics/set", b"PRESS"),
    ("homeassistant/status", b"online"),
    ("t/nothing/set", b"x" * 300),
    ("t/outputs/1/set", b"on"),
)


class End(BaseException):
    """Not an Exception, so that the firmware does not catch it."""


class Life:
    """What happens, and when: `plan` is (second, function). `settings`: whether there are several batteries."""

    def __init__(self, settings):
        self.clock = SimulatedClock(self._on_step)
        self.sleeps = "SLEEP_MINUTES" in settings
        self.bms = connect(SEVERAL if "BMS_BOARD_NUMBERS" in settings else ONE)
        self.broker = Broker(lambda topic, payload: self._tell("message", topic, payload))
        self.network = SimulatedNetwork(self.broker, self.clock)
        self._picture = None
        self._look_at = 0
        plan = [
            (12 + 3 * number, lambda message=message: self.broker.publish(*message)) for number, message in enumerate(PRESSED)
        ]
        plan += [
            (40, lambda: self.network.set("refuse")),
            (52, lambda: self.network.set("pass")),
            (62, lambda: trouble.begin(wifi="off")),
            (75, lambda: trouble.begin(wifi="")),
            (85, lambda: self.bms.set("silent", 1, self.clock.us)),
            (95, lambda: self.bms.set("silent", 0, self.clock.us)),
            (105, lambda: self.bms.set("corrupt", 30, self.clock.us)),
            (115, lambda: self.bms.set("corrupt", 0, self.clock.us)),
            (120, lambda: self.network.set("garbage")),
            (130, lambda: self.network.set("pass")),
            (END_S, self._end),
        ]
        self._plan = sorted(plan, key=lambda pair: pair[0])

    def _tell(self, *words):
        print(f"{self.clock.monotonic():.4f}", *words, file=sys.__stdout__)

    def _end(self):
        raise End

    def _on_step(self, seconds):
        self.broker.check_keep_alive(self.clock.monotonic())
        while self._plan and self.clock.monotonic() >= self._plan[0][0]:
            self._plan.pop(0)[1]()
        if self.clock.us < self._look_at:
            return
        self._look_at = self.clock.us + 500000
        picture = binascii.crc32(chip.screen.picture().tobytes())
        if picture != self._picture:
            self._picture = picture
            self._tell("picture", picture)

    def run(self, folder):
        """Power on, until the end."""
        chip.clock, chip.network = self.clock, self.network
        chip.restart = lambda **left: (_ for _ in ()).throw(End)
        shunt = Device("shunt")
        chip.open_uart = lambda rx, **options: SimulatedUart(shunt if rx == SHUNT else self.bms, self.clock)
        thermometer = Thermometer(bytes.fromhex("28ff641e8216c3"), 21.5, self.clock.monotonic)
        chip.onewire[THERMOMETER] = OneWireBus([thermometer])
        chip.analog[ANALOG] = 1.31
        chip.pulse = lambda pin: self._tell(f"pin {pin} changes")
        chip.woken = self.sleeps
        chip.nvm_path = str(Path(folder, "nvm"))
        chip.screen = chip.devices[0x3C] = SSD1306()
        chip.power_on_s = 0.0
        keyboard.console = keyboard.Console(-1)
        displays.install()
        random.seed(1)
        from app import crash, loop, main

        time.sleep = self.clock.sleep
        time.monotonic = self.clock.monotonic
        loop.time = SimpleNamespace(sleep=lambda seconds: self.clock.sleep(STEP_S))
        loop.gc = SimpleNamespace(collect=lambda: None)
        try:
            crash.restart(crash.run(main.main))
        except End:
            self._tell("the end")


with tempfile.TemporaryDirectory() as home:
    text = Path(sys.argv[2]).read_text()
    Path(home, "settings.toml").write_text(text)
    os.chdir(home)
    Life(text).run(home)
    os.chdir(ROOT)
