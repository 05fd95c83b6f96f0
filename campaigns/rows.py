# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""How many rows a day adds to Home Assistant's database: `python -m campaigns.rows` plays a day with the simulated BMS.

Home Assistant's recorder writes a row whenever the state of an enabled entity changes. So the real poller and publisher are
run at a simulated BMS in simulated time (a day takes some minutes), and every change in what they publish is counted for the
entities that are enabled by default. For comparison, a naive publisher publishes every reading once a second, and all its
entities are enabled. The day: a house at night, clouds over its solar panels at noon, an evening; the current changes every
few seconds, cells and temperatures drift by themselves.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
for _folder in (ROOT / "host" / "standins", ROOT):
    if str(_folder) not in sys.path:
        sys.path.append(str(_folder))

from app.settings import Settings  # noqa: E402
from battery.json import Writer, write_pack  # noqa: E402
from battery.pack import Battery, Pack  # noqa: E402
from daly.poller import Poller  # noqa: E402
from mqtt.homeassistant import Discovery  # noqa: E402
from mqtt.publisher import Publisher  # noqa: E402
from simulator.bms import Bms  # noqa: E402
from simulator.wire import Wire  # noqa: E402

LONGEST_STEP_US = 5000
DAY_S = 86400
# hour at which it begins, amperes (positive: charging), by how much they vary, seconds between two changes
PART_OF_DAY = (
    (0, -4, 2, 60),  # night: refrigerator, standby
    (6, -25, 15, 20),  # breakfast
    (8, 15, 10, 15),  # the sun comes
    (10, 60, 25, 5),  # noon, with clouds
    (15, 20, 15, 10),
    (17, 0, 0, 60),  # idle
    (18, -30, 20, 15),  # evening
    (22, -10, 5, 30),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m campaigns.rows", description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=24, metavar="N", help="how much of the day (default: all)")
    parser.add_argument("--from", type=float, default=0, dest="begin", metavar="HOUR", help="when it begins (default: 0)")
    parser.add_argument("--cells", type=int, default=16, metavar="N")
    parser.add_argument("--settings", default="", metavar="TEXT", help="lines of settings.toml, as DEADBAND_PERCENT=0")
    parser.add_argument("--each", action="store_true", help="also the rows of each entity")
    options = parser.parse_args()
    begun = time.monotonic()
    ours, naive = play(options.cells, round(3600 * options.hours), options.settings.replace(";", "\n"), options.begin)
    sentence = "{} cells, {:g} hours: {} rows with this firmware's settings, {} naively; {:.1f} times less"
    print(sentence.format(options.cells, options.hours, ours.total(), naive.total(), naive.total() / max(1, ours.total())))
    if options.each:
        for key, rows in naive.most_common():
            print(f"{rows:8} {ours[key]:8}  {key}")
    print(f"({time.monotonic() - begun:.0f} s)", file=sys.stderr)


def play(cells: int, seconds: int, settings_text: str = "", begin: float = 0) -> tuple[Counter, Counter]:
    """(rows by key of this firmware's enabled entities, the same of a naive publisher); `begin`: the hour of the day."""
    day = Day(cells, Settings(settings_text), begin)
    day.run(seconds)
    return day.ours, day.naive


class Day:
    """The BMS, the firmware's core at its serial line, and the rows of both publishers."""

    def __init__(self, cells: int, settings, begin: float, take_state=lambda now: (), has_bridge: bool = False):
        self.ours: Counter = Counter()
        self.naive: Counter = Counter()
        self._dice = Random(1)
        self._pack = Pack()
        self._pack.energy.load([0, 0, 0, 0])
        self.poller = poller = Poller(self._pack, stale_periods=settings.STALE_PERIODS)
        self._wire = Wire(Bms(f"cells={cells},soc=60,current=0"), poller)
        batteries = [Battery(1, "bms1", settings.DEVICE_NAME, "", self._pack, poller)]
        discovery = Discovery("homeassistant", "x", "c0ffee", settings.DEVICE_NAME, batteries, "0", has_bridge=has_bridge)
        fast, slow = 1000 * settings.PUBLISH_INTERVAL_S, 1000 * settings.CELLS_INTERVAL_S
        band = settings.DEADBAND_PERCENT
        self.publisher = Publisher("x", discovery, batteries, take_state, fast, slow, band)
        self._writer = Writer()
        self._enabled: set = set()
        self._shown: dict = {}
        self._read: dict = {}
        self._begin = begin

    def run(self, seconds: int) -> None:
        """Simulate so many seconds of the day."""
        next_second = next_change = self._wire.us
        end_us = self._wire.us + seconds * 1e6
        while self._wire.us < end_us:
            if self._wire.us >= next_change:
                next_change = self._wire.us + 1e6 * self._change_current()
            if self._wire.us >= next_second:
                next_second += 1e6
                self._publish_naively()
            self._publish()
            self._wire.exchange()
            self._wire.us += LONGEST_STEP_US

    def _change_current(self) -> float:
        hour = (self._begin + self._wire.us / 3.6e9) % 24
        _, amperes, reach, pause = [part for part in PART_OF_DAY if part[0] <= hour][-1]
        self._wire.bms.set("current", f"{amperes + self._dice.uniform(-reach, reach):.1f}", self._wire.us)
        return pause * self._dice.uniform(0.3, 1.7)

    def _publish(self) -> None:
        message = self.publisher.poll(self._wire.now)
        if message is not None:
            topic, payload, _, qos = message
            self.hear(topic, payload if isinstance(payload, (bytes, str)) else payload.bytes(), qos)

    def hear(self, topic: str, payload: bytes | str, _qos: int) -> None:
        """The publisher has published a message: count the rows that it adds."""
        if topic.endswith("/config"):
            for key, entity in json.loads(payload)["cmps"].items():
                if len(entity) > 1 and entity.get("en", True):
                    self._enabled.add(key)
        elif topic in ("x/bms1/state", "x/bms1/info"):
            state = json.loads(payload)
            _count(self.ours, self._shown, {key: state[key] for key in self._enabled & state.keys()})

    def _publish_naively(self) -> None:
        state = json.loads(write_pack(self._writer.clear(), self._pack).bytes())
        del state["heartbeat"]  # it changes every second
        _count(self.naive, self._read, state)


def _count(rows: Counter, before: dict, state: dict) -> None:
    rows.update(key for key, value in state.items() if before.get(key, "nothing") != value)
    before.update(state)


if __name__ == "__main__":
    main()
