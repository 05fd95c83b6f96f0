# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the BMS measured: every value of every key with its times, and the energy that really flowed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from simulator.bms import BYTE_US, Bms, Readings, preferred, protocol_of, truth
from simulator.modbus import active_alarms

# The texts of docs/MQTT.md for the simulator's alarms: a pair is warning and protection, the others have one level.
ALARM_PAIRS = {
    "cell_high": "Cell overvoltage",
    "cell_low": "Cell undervoltage",
    "pack_high": "Pack overvoltage",
    "pack_low": "Pack undervoltage",
    "charge_hot": "Charge overtemperature",
    "charge_cold": "Charge undertemperature",
    "discharge_hot": "Discharge overtemperature",
    "discharge_cold": "Discharge undertemperature",
    "charge_overcurrent": "Charge overcurrent",
    "discharge_overcurrent": "Discharge overcurrent",
    "soc_high": "State of charge high",
    "soc_low": "State of charge low",
    "cell_difference": "Cell voltage delta",
    "temperature_difference": "Temperature delta",
}
ALARM_SINGLES = {
    "charge_mosfet_hot": "Charge MOSFET overtemperature (warning)",
    "discharge_mosfet_hot": "Discharge MOSFET overtemperature (warning)",
    "charge_mosfet_sensor": "Charge MOSFET temperature sensor (fault)",
    "discharge_mosfet_sensor": "Discharge MOSFET temperature sensor (fault)",
    "charge_mosfet_stuck": "Charge MOSFET shorted (fault)",
    "discharge_mosfet_stuck": "Discharge MOSFET shorted (fault)",
    "charge_mosfet_open": "Charge MOSFET open (fault)",
    "discharge_mosfet_open": "Discharge MOSFET open (fault)",
    "afe_chip": "AFE fault (fault)",
    "cell_sampling": "Cell sensing fault (fault)",
    "temperature_sensor": "Temperature sensor (fault)",
    "eeprom": "EEPROM (fault)",
    "rtc": "Clock (fault)",
    "precharge": "Precharge (fault)",
    "vehicle_communication": "Communication (fault)",
    "internal_communication": "Internal communication (fault)",
    "current_module": "Current sensor (fault)",
    "pack_voltage_module": "Pack voltage sensor (fault)",
    "short_circuit": "Short circuit (fault)",
    "charge_forbidden": "Voltage too low to charge (fault)",
    "soft_switch": "MOSFETs opened by switch (fault)",
    "cabinet_offline": "Charging cabinet offline (fault)",
}
LEVELS = ("", "warning", "protection", "level 3")
# Of P81 alone; a name with levels has none of its own here.
P81_WORDS = {
    "soh_low": "State of health low",
    "mosfet_hot": "MOSFET overtemperature",
    "thermal_runaway": "Thermal runaway",
    "smart_charger_fault": "Smart charger fault (fault)",
    "smart_load_fault": "Smart load fault (fault)",
    "charge_undervoltage": "Charge undervoltage (fault)",
    "discharge_overvoltage": "Discharge overvoltage (fault)",
    "afe_communication": "AFE communication (fault)",
    "voltage_detection": "Cell voltage sensor (fault)",
    "voltage_wire": "Cell wire open (fault)",
    "temperature_wire": "Temperature sensor wire open (fault)",
    "flash": "Flash memory (fault)",
    "charge_mosfet_fault": "Charge MOSFET fault (fault)",
    "discharge_mosfet_fault": "Discharge MOSFET fault (fault)",
    "precharge_mosfet_fault": "Precharge MOSFET fault (fault)",
    "heating_fault": "Heating fault (fault)",
    "parallel_communication_fault": "Parallel communication (fault)",
}

WORD = {False: "OFF", True: "ON"}


def alarm_set(text: str) -> frozenset:
    """The text of `active_alarms` as a set: the severest are first, but of two faults the order is not promised."""
    return frozenset() if text == "none" else frozenset(text.split(", "))


class History:
    """The values of one key, in runs: [value, first measured, last measured], in seconds. The last run still continues."""

    def __init__(self, held: Held):
        self.runs: list[list] = []
        self.ever: set = set()
        self._held = held

    def begin(self, value, at: float, ended: float):
        """Another value from now on; the previous one was measured until `ended`."""
        if self.runs:
            self.runs[-1][2] = ended
        self.runs.append([value, at, at])
        self.ever.add(value)

    @property
    def current(self):
        """The last value; None: there was none."""
        return self.runs[-1][0] if self.runs else None

    def since(self, fits: Callable, now: float) -> float | None:
        """For how many seconds no value has been measured for which `fits` is true; None: none ever was."""
        runs = self.runs
        if runs and fits(runs[-1][0]):
            return max(0.0, now - self._held.last)
        for value, _, last in reversed(runs):
            if fits(value):
                return max(0.0, now - last)
        return None

    def unchanged_s(self, now: float) -> float:
        """For how many seconds the last value has been the same."""
        return now - self.runs[-1][1]


class Held:
    """The history of every key."""

    def __init__(self):
        self.of: dict[str, History] = defaultdict(lambda: History(self))
        self.last = 0.0  # when the BMS last responded
        self._before: dict = {}

    def note(self, readings: Readings, at: float, protocol: str = ""):
        """The BMS has measured these at `at` seconds, and says them in this protocol."""
        values = published_values(readings, protocol)
        before = self._before
        if before.keys() - values.keys():  # another protocol, which cannot say all of them
            values |= dict.fromkeys(before.keys() - values.keys())
        for key, value in values.items():
            if before.get(key, self) != value:
                self.of[key].begin(value, at, self.last)
        self._before = values
        self.last = max(self.last, at)


def published_values(r: Readings, protocol: str = "") -> dict:
    """What must be published of these readings: truth() with the texts of the JSON, and the keys that are not in it."""
    protocol = protocol or preferred(r.options.protocol)
    said = truth(r, protocol)
    values = {key: WORD.get(value, value) if value is True or value is False else value for key, value in said.items()}
    del values["clock"], values["alarm_bytes"]
    o = r.options
    if "chemistry" in values:
        values["chemistry"] = values["chemistry"].upper()
    values["active_alarms"] = _active_alarms(r, protocol)
    if protocol == "a5":
        values["nominal_cell_voltage"] = {"LFP": 3.2, "NMC": 3.7, "LTO": 2.3}[values["chemistry"]]
        values["heartbeat"] = r.life
        values["fault_code"] = 0
        values["charger_connected"] = values["load_connected"] = "OFF"
        for bit in range(4):
            values[f"digital_input_{bit + 1}"] = ("OFF", "ON")[o.dio >> bit & 1]
            values[f"digital_output_{bit + 1}"] = ("OFF", "ON")[o.dio >> bit + 4 & 1]
    if r.temperatures:
        for end, pick in (("max", max), ("min", min)):
            if values[f"{end}_temperature"] is not None:
                values[f"{end}_temperature_sensor"] = r.temperatures.index(pick(r.temperatures)) + 1
    return values


def _active_alarms(r: Readings, protocol: str) -> frozenset:
    """The same set as alarm_set() makes of the text: of an alarm with levels, the highest one."""
    return frozenset(_alarm_words(name, level) for name, level in active_alarms(r, protocol).items())


def _alarm_words(name: str, level: int) -> str:
    words = ALARM_PAIRS.get(name) or ALARM_SINGLES.get(name) or P81_WORDS[name]
    return words if words.endswith(")") else f"{words} ({LEVELS[min(level, 3)]})"


class Flow:
    """The energy that really flowed while the BMS responded, in kWh and Ah: the trapezoidal sum of what it measured."""

    def __init__(self):
        self.energy = [0.0, 0.0]  # in, out
        self.charge = [0.0, 0.0]
        self.steps_kw = 0.0  # the sum of all steps of the power, each of which may be noticed somewhat late
        self.steps_a = 0.0
        self.most_kw = self.most_a = 0.0
        self.waits = True  # for the first reading accepted: nothing can be counted before
        self._last: tuple | None = None

    def begin(self):
        """From now on the firmware can count."""
        self.waits = False

    def note(self, readings: Readings, at: float):
        """The BMS has measured these at `at` seconds."""
        if self.waits:
            return
        amperes = readings.current / 10
        kilowatts = readings.pack * readings.current / 1e5
        self.most_kw, self.most_a = max(self.most_kw, abs(kilowatts)), max(self.most_a, abs(amperes))
        if self._last is not None and at > self._last[0]:
            hours = (at - self._last[0]) / 3600
            _add(self.energy, (kilowatts + self._last[1]) / 2 * hours)
            _add(self.charge, (amperes + self._last[2]) / 2 * hours)
        if self._last is None or at >= self._last[0]:
            self._last = (at, kilowatts, amperes)

    def after_step(self, readings: Readings, at: float):
        """The current has just been changed; the previous one is already noted."""
        if self._last is not None:
            self.steps_kw += abs(readings.pack * readings.current / 1e5 - self._last[1])
            self.steps_a += abs(readings.current / 10 - self._last[2])
            self._last = (at, readings.pack * readings.current / 1e5, readings.current / 10)

    def pause(self):
        """The BMS does not respond from now on."""
        self.waits = True
        self._last = None


def _add(sums: list, amount: float):
    sums[amount < 0] += abs(amount)


class RecordedPack:
    """The battery of the BMS; what is read of it is recorded as measured, and as flowing."""

    def __init__(self, battery, held: Held, flow: Flow):
        self._battery = battery
        self._held = held
        self._flow = flow
        self.spoken = ""  # the protocol of the response that is made

    def settle(self, now_us: float):
        """As that of the battery."""
        self._battery.settle(now_us)

    def readings_unrecorded(self, now_us: float) -> Readings:
        """Its readings, for the campaign itself."""
        return self._battery.readings(now_us)

    def truth(self, now_us: float) -> dict:
        """The same by name."""
        return truth(self.readings_unrecorded(now_us))

    def readings(self, now_us: float) -> Readings:
        """Its readings, for a response to the firmware."""
        readings = self._battery.readings(now_us)
        self._held.note(readings, now_us / 1e6, self.spoken)
        self._flow.note(readings, now_us / 1e6)
        return readings


class RecordedBms(Bms):
    """A Bms that records and counts what it sends. `pause_ms`: a request that comes sooner after a response is lost."""

    def __init__(self, options: str, held: Held, flow: Flow, pause_ms: float):
        super().__init__(options)
        self._pack = self.battery = RecordedPack(self._pack, held, flow)
        self._pause_us = 1000 * pause_ms
        self._last_end = -1e9
        self.frames = self.damaged = 0
        self.line_us = 0.0  # time that its requests and responses took on the line

    def _schedule(self, data, at, what, faults):
        self.frames += what == "response"
        self.line_us += len(data) * BYTE_US * (what == "response")
        self.damaged += bool(faults)
        super()._schedule(data, at, what, faults)

    def _is_busy(self, began, at):
        return began + 1 < self._last_end + self._pause_us or super()._is_busy(began, at)

    def _respond(self, request, start):
        self.line_us += len(request) * BYTE_US
        self.battery.spoken = protocol_of(request)
        super()._respond(request, start)
        self._last_end = self._response_ends[-1]
