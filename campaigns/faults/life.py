# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The life of the battery: changes every few seconds as in public reports, and outages of the line."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from simulator.bms import ALARMS, Bms
from simulator.modbus import STATES
from simulator.options import LEVELS

if TYPE_CHECKING:
    from .line import Line

P81_ALARMS = [name for name in LEVELS if name not in STATES]
FADE_A = (-12, -5, -2, -1, -0.6, -0.2, 0.0)  # a load that fades out
LOADS_A = (0, 2.5, -4, -12.4, 35, -80, 150, -300, 500, -500)
SMALL_A = (0, 0.1, -0.1, 0.3, -0.4, 0.9, -1.1, 2.0, -2.0, 2.9, -2.9)
DEAD_MV = (380, 0)  # Louisvdw#276: a cell under 0.5 V; one that measures nothing at all
NO_DIRECTION = ("cell_", "pack_", "soc_", "afe_", "eeprom", "rtc", "temperature_sensor", "short_")


class Life:
    """What happens to the battery of one line. `line.job.life` is one of these:

    busy    everything, about every 8 s
    calm    everything, about every minute
    small   as often, but no current reaches 3 A
    quiet   a small change every minute
    fading  loads that fade out and stay off for a while
    still   nothing
    """

    def __init__(self, line: Line, random: Random):
        self._line = line
        self._random = random
        self._kind = line.job.life
        self._mean_s = {"busy": 8, "calm": 60, "small": 8, "quiet": 60, "fading": 45, "still": 1e9}[self._kind]
        self._next = random.uniform(5, 10) if self._kind != "still" else 1e9
        self._agenda: list[tuple] = []  # (when, option, value, reading)
        self._outage_at = random.uniform(20, 40) if line.job.outage else None
        self._reconnect_at = random.uniform(20, 40) if line.job.reconnects else None
        self._out = False
        often = (self._load, self._load, self._charge, self._switch, self._alarm, self._balance, self._weather)
        self._changes = {
            "busy": (*often, self._fade, self._die, self._weaken),
            "calm": (*often, self._die, self._weaken),
            "small": (self._load, self._load, self._charge, self._switch, self._balance, self._weaken),
            "quiet": (self._weaken, self._nudge, self._balance, self._drain),
            "fading": (self._fade,),
            "still": (),
        }[self._kind]

    def tick(self):
        """Do what is due."""
        now = self._line.s
        if now >= self._next:
            self._next = now + self._random.expovariate(1 / self._mean_s)
            if not self._out:
                self._random.choice(self._changes)()
        while self._agenda and self._agenda[0][0] <= now:
            _, name, value, key = self._agenda.pop(0)
            self._set(name, value, key)
        if self._outage_at is not None and now >= self._outage_at:
            self._toggle_outage()
        if self._reconnect_at is not None and now >= self._reconnect_at:
            self._reconnect_at = now + self._random.uniform(20, 60)
            self._line.reconnect()

    def _toggle_outage(self):
        self._out = not self._out
        self._set(self._line.job.outage, int(self._out))
        self._outage_at = self._line.s + (self._random.uniform(5, 20) if self._out else self._random.uniform(20, 60))
        if self._out:
            self._line.outage_begins()
        else:
            self._line.outage_ends()

    def _set(self, name, value, *keys):
        """Change an option; the line is informed of the readings among `keys` that it changes."""
        bms, line = self._line.bms, self._line
        before = {key: _value_of(bms, line.us, key) for key in keys}
        line.before_step()
        bms.set(name, value, line.us)
        line.after_step()
        for key, old in before.items():
            line.changed(key, old, _value_of(bms, line.us, key))

    def _later(self, seconds: float, name: str, value, key: str):
        self._agenda.append((self._line.s + seconds, name, value, key))
        self._agenda.sort(key=lambda item: item[0])

    def _load(self):
        """From a radio to a starting motor; the MOSFETs are on."""
        for name in ("charge_mosfet", "discharge_mosfet"):
            self._set(name, 1, name)
        amperes = self._random.choice(SMALL_A if self._kind == "small" else LOADS_A) * self._random.uniform(0.9, 1)
        self._set("current", round(amperes, 1), "current")

    def _fade(self):
        """Zendure#47: the last current of a load must not stay on the dashboard."""
        self._agenda = [item for item in self._agenda if item[1] != "current"]
        for name in ("charge_mosfet", "discharge_mosfet"):
            self._set(name, 1, name)
        sign = self._random.choice((1, 1, -1))
        at = 0.0
        for amperes in FADE_A:
            self._later(at, "current", sign * amperes, "current")
            at += self._random.uniform(0.5, 5)

    def _charge(self):
        """Any state of charge, often 0 or 100 %."""
        self._set("soc", self._random.choice((0, 100, *[round(self._random.uniform(0, 100), 1) for _ in range(6)])), "soc")

    def _drain(self):
        self._set("soc", round(max(0, self._line.bms.options.soc - self._random.uniform(0.1, 0.5)), 1), "soc")

    def _switch(self):
        name = self._random.choice(("charge_mosfet", "discharge_mosfet"))
        self._set(name, 1 - getattr(self._line.bms.options, name), name)

    def _alarm(self):
        names = [name for name in ALARMS if name != "reserved"]
        if self._line.bms.options.swapped:  # which of the others have a direction is not documented
            names = [name for name in names if name.startswith(NO_DIRECTION) or "overcurrent" in name]
        active = self._random.sample(names, self._random.choice((0, 1, 2, 5)))
        self._set("alarms", "+".join(active), "problem")
        if "p81" in self._line.bms.options.protocol:
            name = self._random.choice(P81_ALARMS)
            self._set("levels", f"{name}:{self._random.randint(1, LEVELS[name])}" if active else "", "problem")

    def _balance(self):
        cells = self._random.sample(range(1, self._line.job.cells + 1), self._random.choice((0, 1, 2)))
        self._set("balancing", "+".join(map(str, cells)), "balancing")

    def _weather(self):
        self._set("temperature", self._random.randint(-20, 60), "temperature_1")

    def _die(self):
        """One cell drops to nearly 0 V, or to 0 V, and is replaced later."""
        self._set("cell_mv", f"{self._random.randint(1, self._line.job.cells)}:{self._random.choice(DEAD_MV)}")
        self._later(self._random.uniform(10, 40), "cell_mv", "", "problem")

    def _weaken(self):
        """Another cell than before is the lowest, by little or by much."""
        lowest = min(self._line.bms.battery.readings_unrecorded(self._line.us).cells)
        cell = self._random.randint(1, self._line.job.cells)
        self._set("cell_mv", f"{cell}:{max(0, lowest - self._random.choice((4, 12, 33, 80)))}")

    def _nudge(self):
        """A cell changes by a few mV: not enough to be published immediately, enough to be published."""
        readings = self._line.bms.battery.readings_unrecorded(self._line.us)
        cell = self._random.randint(1, self._line.job.cells)
        self._set("cell_mv", f"{cell}:{readings.cells[cell - 1] + self._random.choice((-12, -7, 7, 12))}")


def _value_of(bms: Bms, now_us: float, key: str):
    value = bms.battery.truth(now_us).get(key)
    return ("OFF", "ON")[value] if isinstance(value, bool) else value
