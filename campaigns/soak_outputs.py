# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The long run with outputs, sensors and the status LED on: `python -m campaigns.soak --outputs`.

The battery is charged and discharged between 45 and 95 %, its state of charge jumps, alarms come and go, the line is noisy, the
power fails. Every edge on the pins of a heater and a siren is judged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from campaigns.outputs_judge import Heater, Judge, seconds, settings, siren
from campaigns.soak import BMS, CURRENTS, DAY_S, OUTAGES, SETTINGS, Event, Result, Soak, cycles, plan
from host import chip
from host.outputs import Load
from simulator.ds18b20 import OneWireBus, Thermometer
from simulator.vedirect import Device
from simulator.wire import SimulatedUart

HEATER_ON_S, HEATER_OFF_S = 10, 15
SIREN_ON_S, SIREN_OFF_S = 12, 8
OUTPUTS = """LED_PIN = "IO15"
DS18B20_PIN = "IO7"
VEDIRECT_1_RX = "IO10"
SUPPLY_PIN = "IO4"
""" + settings((HEATER_ON_S, HEATER_OFF_S), (SIREN_ON_S, SIREN_OFF_S))
CAPACITY = "capacity=100"  # Ah: some cycles a day
THERMOMETER = "28ff641e8216c3"
SAID = {
    "temperatures": (THERMOMETER, 21.5),
    "vedirect1": ("soc", 87.3),
    "supply": ("voltage", 1.65),
}  # part of the topic -> key, value
LATE_S = 40.0  # with passes of a second a poll cycle, and a second one that confirms it, take longer; 21 s of a name server
SEND_S = 3.0
JUMP_S = 3.0
JUMPS = (90, 50)
ALARM = "cell_high_2"


def _set_jumping(jumping: str):
    def begin(soak: OutputSoak):
        soak.jumping = jumping

    return begin


def _end_jumping(**values):
    """It stays at these values: the heater is on when the next fault begins."""

    def end(soak: OutputSoak):
        soak.jumping = ""
        for option, value in values.items():
            soak.bms.set(option, value, soak.clock.us)

    return end


def _set_alarm(alarm: str):
    return lambda soak: soak.bms.set("alarms", alarm, soak.clock.us)


def _set_noise(corrupt: float):
    return lambda soak: soak.bms.set("corrupt", corrupt, soak.clock.us)


OF_BATTERY = (
    ("state of charge jumps", 3, (60, 300), _set_jumping("soc"), _end_jumping(soc=JUMPS[0])),
    ("alarms come and go", 3, (60, 300), _set_jumping("alarms"), _end_jumping(alarms="")),
    ("alarm", 3, (60, 300), _set_alarm(ALARM), _set_alarm("")),
    ("noise on the line", 2, (60, 600), _set_noise(0.1), _set_noise(0)),
)
POWER_CUT = ("power cut", 4, *OUTAGES[-1][2:])
ALL = (*OF_BATTERY, *OUTAGES[:-1], POWER_CUT)
OF_BROKER = ("broker off", "broker restarted without retained messages", "broker hangs", "half-open", "garbage")
SHORT = (*OF_BATTERY, *[outage for outage in OUTAGES if outage[0] in OF_BROKER], POWER_CUT)
SHORT_S = 90 + sum(min(outage[2][0], 60) + 80 for outage in SHORT)


class Watched(Load):
    """What a pin switches, with a judge that is told of each edge."""

    def __init__(self, judge: Judge, active_low: bool):
        super().__init__(judge.name, active_low)
        self._judge = judge

    def drive(self, level: bool | None) -> bool:
        """As of every Load."""
        changed = super().drive(level)
        if changed:
            self._judge.edge(chip.clock.monotonic(), self.is_on)
        return changed


class OutputSoak(Soak):
    """A Soak with two outputs, three sensors and an LED. `jumping`: which option of the BMS jumps; "": none does."""

    settings = SETTINGS + OUTPUTS
    bms_options = BMS.replace("capacity=280", CAPACITY)

    def __init__(self, seconds: int, seed: int, events: list[Event], period_s: int = DAY_S):
        super().__init__(seconds, seed, events, period_s)
        self.jumping = ""
        self._jump_at = 0.0
        self.heater = Judge("heater", HEATER_ON_S, HEATER_OFF_S, LATE_S, SEND_S)
        self.siren = Judge("siren", SIREN_ON_S, SIREN_OFF_S, LATE_S, SEND_S)
        self.values = dict.fromkeys(SAID, 0)  # published, as they are
        self.unknown = dict.fromkeys(SAID, 0)  # published as unknown
        self.led: set[str] = set()  # what it has shown
        self._rule = Heater()
        self._device = Device("shunt,SOC=873")
        celsius = SAID["temperatures"][1]
        self._thermometer = Thermometer(bytes.fromhex(THERMOMETER), celsius, self.clock.monotonic)
        self._silent_since: float | None = None

    def rows(self) -> list[tuple[str, str]]:
        """What is to be said besides the table of every long run."""
        found = []
        for judge, on_s, off_s in ((self.heater, HEATER_ON_S, HEATER_OFF_S), (self.siren, SIREN_ON_S, SIREN_OFF_S)):
            counted = judge.counted
            on, off = seconds(counted.shortest_on_s), seconds(counted.shortest_off_s)
            shortest = f"{on} on (at least {on_s}), {off} off (at least {off_s})"
            text = f"{counted.edges} edges, {counted.states} states published; never less than {shortest}"
            found.append((judge.name.capitalize(), text))
        said = ", ".join(f"{topic} {count} ({self.unknown[topic]} unknown)" for topic, count in self.values.items())
        return [*found, ("States of sensors", said), ("Status LED", f"{len(self.led)} different patterns")]

    def _wire(self, folder: str):
        super()._wire(folder)
        uarts = {"IO10": self._device}
        chip.open_uart = lambda rx, **options: SimulatedUart(uarts.get(rx, self.bms), self.clock)
        chip.onewire["IO7"] = OneWireBus([self._thermometer])
        chip.analog["IO4"] = SAID["supply"][1]

    def _power_on(self):
        self._thermometer.power_on()  # it has 85 degrees
        now = self.clock.monotonic()
        self._rule.start()
        for judge in (self.heater, self.siren):
            judge.start(now)
        chip.loads.clear()
        chip.loads.update({"IO5": Watched(self.heater, False), "IO6": Watched(self.siren, True)})
        super()._power_on()

    def _choose_current(self) -> float:
        soc = self.bms.truth(self.clock.us)["soc"]
        charges = soc < 50 or (soc < 90 and self._random.random() < 0.5)
        return self._random.choice([amperes for amperes in CURRENTS if amperes and (amperes > 0) == charges])

    def _on_step(self, seconds: float):
        now = self.clock.monotonic()
        if self.jumping and now >= self._jump_at:
            self._jump_at = now + JUMP_S
            self._jump()
        self._demand(now)
        if "IO15" in chip.lamps:
            self.led.add(chip.lamps["IO15"].text)
        super()._on_step(seconds)

    def _jump(self):
        if self.jumping == "soc":
            value = JUMPS[self.bms.truth(self.clock.us)["soc"] > sum(JUMPS) / 2]
        else:
            value = "" if any(self.bms.options.alarms) else ALARM
        self.bms.set(self.jumping, value, self.clock.us)

    def _demand(self, now: float):
        if not self.bms.options.silent:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = now
        silent_s = None if self._silent_since is None else now - self._silent_since
        is_alarm = any(self.bms.options.alarms)
        self.heater.demand(now, *self._rule.demand(self.bms.truth(self.clock.us)["soc"], is_alarm, silent_s))
        self.siren.demand(now, *siren(is_alarm, silent_s))
        for judge in (self.heater, self.siren):
            judge.advance(now)

    def _on_publish(self, topic: str, payload: bytes):
        super()._on_publish(topic, payload)
        now = self.clock.monotonic()
        name = topic.removeprefix("t/").removesuffix("/state")
        if topic == "t/outputs/state":
            self.heater.published(now, payload, "output_1")
            self.siren.published(now, payload, "output_2")
        elif name in SAID:
            key, true = SAID[name]
            said = json.loads(payload).get(key)
            self.values[name] += said is not None
            self.unknown[name] += said is None
            if said not in (None, true):
                self.result.wrong.append(f"{name} is {said} at {now:.0f} s")

    def _check(self):
        super()._check()
        self.result.wrong += self.heater.counted.wrong + self.siren.counted.wrong
        self.result.wrong += [f"only {judge.counted.edges} edges of the {judge.name}" for judge in (self.heater, self.siren)
                              if judge.counted.edges < 4]  # fmt: skip
        self.result.wrong += [f"{topic} was never known" for topic, count in self.values.items() if not count]


def run(days: float, seed: int, per_day: int, short: bool) -> tuple[Result, Sequence[tuple[str, str]]]:
    """(the result of the long run, more rows of its table)."""
    if short:
        soak = OutputSoak(SHORT_S + 300, seed, cycles(1, SHORT, SHORT_S), SHORT_S)
    else:
        soak = OutputSoak(int(DAY_S * days), seed, plan(days, seed, per_day, ALL))
    return soak.run(), soak.rows()
