# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The options of a simulated BMS: their names, defaults and meanings, and the reader of texts such as `cells=16,soc=57.3`."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NamedTuple

from simulator.faults import FAULTS

CHEMISTRIES = ("lfp", "nmc", "lto")  # the codes 0, 1, 2 of 0x53
PROTOCOLS = ("a5", "d2", "p81")
MODES = ("idle", "charging", "discharging")  # the codes 0, 1, 2 of 0x93

# Bit names of 0x98, bytes 0 to 6, half a byte a row, lowest bit first: after the vendor's table (V1.2).
ALARM_ROWS = (
    "cell_high_1 cell_high_2 cell_low_1 cell_low_2",
    "pack_high_1 pack_high_2 pack_low_1 pack_low_2",
    "charge_hot_1 charge_hot_2 charge_cold_1 charge_cold_2",
    "discharge_hot_1 discharge_hot_2 discharge_cold_1 discharge_cold_2",
    "charge_overcurrent_1 charge_overcurrent_2 discharge_overcurrent_1 discharge_overcurrent_2",
    "soc_high_1 soc_high_2 soc_low_1 soc_low_2",
    "cell_difference_1 cell_difference_2 temperature_difference_1 temperature_difference_2",
    "reserved reserved reserved reserved",
    "charge_mosfet_hot discharge_mosfet_hot charge_mosfet_sensor discharge_mosfet_sensor",
    "charge_mosfet_stuck discharge_mosfet_stuck charge_mosfet_open discharge_mosfet_open",
    "afe_chip cell_sampling temperature_sensor eeprom",
    "rtc precharge vehicle_communication internal_communication",
    "current_module pack_voltage_module short_circuit charge_forbidden",
    "soft_switch cabinet_offline reserved reserved",
)
ALARMS = [name for row in ALARM_ROWS for name in row.split()]
ALARM_PAIRS = {name[:-2] for name in ALARMS if name.endswith("_1")}  # with a warning and a protection

# Alarms of P81, registers 6D to 70, 72 and 73, their bits from the lowest; ":3" is a level of three bits, "-" unused.
P81_ALARMS = {
    0x6D: "cell_high:3 cell_low:3 smart_charger smart_charger_fault cell_difference:3 charge_hot:3 smart_load smart_load_fault",
    0x6E: "charge_cold:3 discharge_hot:3 charge_mosfet_hot charge_mosfet_sensor "
    "discharge_cold:3 temperature_difference:3 discharge_mosfet_hot discharge_mosfet_sensor",
    0x6F: "pack_high:3 pack_low:3 short_circuit upgrading "
    "charge_overcurrent:3 discharge_overcurrent:3 charge_undervoltage discharge_overvoltage",
    0x70: "soc_low:3 soh_low:3 parallel_communication parallel_communication_fault mosfet_hot:3 thermal_runaway:3 - -",
    0x72: "- - - - - - - - "
    "afe_chip afe_communication cell_sampling voltage_detection "
    "voltage_wire pack_voltage_module current_module temperature_sensor",
    0x73: "temperature_wire eeprom flash rtc charge_mosfet_fault discharge_mosfet_fault precharge_mosfet_fault precharge "
    "charge_off_by_bus discharge_off_by_bus charge_off_by_switch discharge_off_by_switch "
    "fan heating current_limit heating_fault",
}
P81_STATES = ("charge_off_by_bus", "discharge_off_by_bus", "charge_off_by_switch", "discharge_off_by_switch", "fan", "heating")
LEVELS = {  # name of an alarm of P81 -> its highest level
    name: (1 << int(width or 1)) - 1
    for row in P81_ALARMS.values()
    for name, _, width in (field.partition(":") for field in row.split())
    if name not in ("-", "current_limit", *P81_STATES)
}


class Kind(NamedTuple):
    """How the text of an option is read: `read` raises ValueError, `allowed` is what it accepts, in words."""

    read: Callable[[str], Any]
    allowed: str


def _number(low: float, high: float, as_type: Callable = float) -> Kind:
    def read(text: str):
        value = as_type(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Kind(read, f"a {'whole ' if as_type is _whole else ''}number {low}..{high}")


def _whole(text: str) -> int:
    return int(text, 0)


def _one_of(*names: str) -> Kind:
    return Kind(lambda text: names[names.index(text)], " or ".join(names))


def _items(text: str) -> list[str]:
    return [item for item in text.split("+") if item]


def _pairs(text: str) -> dict[int, int]:
    return {int(number, 0): int(value, 0) for number, value in (item.split(":") for item in _items(text))}


def _levels(text: str) -> dict[str, int]:
    levels = {name: int(value) for name, value in (item.split(":") for item in _items(text))}
    if any(not 0 <= value <= LEVELS.get(name, -1) for name, value in levels.items()):
        raise ValueError(text)
    return levels


def _names(*names: str) -> Kind:
    """Some of these, joined by +."""

    def read(text: str) -> frozenset:
        if not set(_items(text)) <= set(names):
            raise ValueError(text)
        return frozenset(_items(text))

    return Kind(read, f"of {', '.join(names)}, joined by +")


def _protocols(text: str) -> tuple:
    if text == "none":
        return ()
    return tuple(PROTOCOLS[PROTOCOLS.index(name)] for name in _items(text) or ["?"])


def _alarms(text: str) -> bytes:
    if len(text) == 14 and "_" not in text:
        return bytes.fromhex(text)  # no name has 14 letters without an underscore
    bits = sum(1 << ALARMS.index(name) for name in set(_items(text)))
    return bits.to_bytes(7, "little")


def _ascii(length: int) -> Kind:
    def read(text: str) -> str:
        if len(text.encode("ascii")) > length:
            raise ValueError(text)
        return text

    return Kind(read, f"up to {length} ASCII characters")


SENSED = ("mosfet_temperature", "board_temperature", "heater_temperature", "balance_current")
SWITCH = _number(0, 1, _whole)
PERCENT = _number(0, 100)
FUNCTIONS = Kind(lambda text: frozenset(map(_whole, _items(text))), "functions joined by +, for example 0x97+0x98")
CLOCK = Kind(datetime.fromisoformat, "a time YYYY-MM-DDThh:mm:ss")
CELLS = Kind(lambda text: frozenset(map(int, _items(text))), "cell numbers joined by +, for example 3+7")
PAIRS = Kind(_pairs, "NUMBER:VALUE joined by +, as in 3:5000+4:0")


ALARM_BITS = Kind(
    _alarms, "names of ALARM_ROWS in simulator/options.py joined by +, for example soc_low_1+eeprom, or 14 hex digits"
)


LEVEL_PAIRS = Kind(_levels, "NAME:LEVEL of P81_ALARMS in simulator/options.py joined by +, as in cell_high:3+soh_low:1")
PROTOCOL_NAMES = Kind(_protocols, "a5, d2, p81, or two of them joined by +, or none")
REGISTERS = Kind(lambda text: (62, 80)[("62", "80").index(text)], "62 or 80")
AUTO = -1.0
THINK = Kind(lambda text: AUTO if text == "auto" else _number(0, 10000).read(text), "auto or a number 0..10000")


class Option(NamedTuple):
    name: str
    default: str
    kind: Kind
    meaning: str


OPTIONS = (
    # the pack
    Option("cells", "16", _number(1, 48, _whole), "cells in series"),
    Option("temperatures", "2", _number(0, 16, _whole), "temperature sensors"),
    Option("soc", "57.3", PERCENT, "state of charge in percent at the start; the current changes it"),
    Option("current", "-12.4", _number(-3000, 3000), "amperes, positive = charging"),
    Option("ripple", "0", _number(0, 10), "amperes by which the measured current fluctuates, also at rest"),
    Option("deadzone", "0", _number(0, 10), "amperes in either direction up to which the mode is idle"),
    Option("capacity", "280", _number(1, 4000), "rated capacity in Ah"),
    Option("cycles", "42", _number(0, 65535, _whole), "charge cycles"),
    Option("chemistry", "lfp", _one_of(*CHEMISTRIES), "of the cells: their rest voltage curve"),
    Option("spread", "12", _number(0, 1000), "approximate millivolts between the highest and the lowest cell"),
    Option("temperature", "22", _number(-40, 120), "mean of the sensors in degrees Celsius"),
    Option("drift", "1", _number(0, 100), "how much values vary by themselves; 0 freezes everything"),
    Option("seed", "1", _number(0, 2**31, _whole), "the same seed gives the same values and faults"),
    Option("charge_mosfet", "1", SWITCH, "charge MOSFET on"),
    Option("discharge_mosfet", "1", SWITCH, "discharge MOSFET on"),
    Option("balancing", "", CELLS, "cells being balanced"),
    Option("alarms", "", ALARM_BITS, "alarm bits, 0x98"),
    Option("cell_mv", "", PAIRS, "cells with a fixed voltage in mV: 5000 is an open sense wire"),
    Option("sensor_raw", "", PAIRS, "sensors with a fixed raw byte (degrees + 40): 0 or 255 is a broken sensor"),
    Option("life", "80", _number(0, 255, _whole), "heartbeat counter at the start"),
    Option("battery_code", "DL16S280A230517", _ascii(35), "0x57"),
    Option("software", "20230517-1.01T", _ascii(14), "0x62"),
    Option("hardware", "DL-BMS-R32-01E", _ascii(14), "0x63"),
    Option("produced", "2023-05-17", Kind(date.fromisoformat, "a date YYYY-MM-DD"), "production date"),
    Option("sleep_time", "3600", _number(0, 65535, _whole), "sleep setting as reported, in seconds"),
    Option("clock", "2026-03-14T12:00:00", CLOCK, "its clock at the start"),
    # communication
    Option("protocol", "a5", PROTOCOL_NAMES, "what it speaks; requests in others get no response"),
    Option("host", "both", _one_of("0x40", "0x80", "both"), "host addresses it responds to"),
    Option("board", "1", _number(1, 16, _whole), "board number: requests go to 0x40 + number - 1, responses come from number"),
    Option("think", "auto", THINK, "ms between a request and its response; auto: A5 5, D2 and P81 35"),
    Option("think_jitter", "0", _number(0, 10000), "up to this many ms more"),
    Option("gap", "0", _number(0, 1000), "ms between the frames of one response"),
    Option("inverted", "0", SWITCH, "raw current above 30000 is charging, as on some boards with active balancing"),
    Option("swapped", "0", SWITCH, "shunt wired the wrong way round: current and mode show the opposite direction"),
    Option("overlap", "0", SWITCH, "a request that arrives during a response is queued; otherwise it is lost"),
    Option("stale", "1", SWITCH, "unused bytes keep those of the previous response; 0 zeroes them as the R24TS does"),
    Option("zero_based", "0", SWITCH, "frame numbers count from 0, as in the vendor's PDF and in no capture"),
    Option("temperature_frames", "1", _number(1, 3, _whole), "minimum number of frames of 0x96 (2 at host 0x80)"),
    Option("absent", "0", _number(0, 255, _whole), "raw byte of sensors that do not exist: 0 or 255"),
    Option("dio", "2", _number(0, 255, _whole), "byte 4 of 0x94; 2 on half of the captured boards"),
    Option("restart_reply", "0", SWITCH, "restart, 0x00, is acknowledged"),
    Option("ignore_writes", "0", SWITCH, "writes are acknowledged but change nothing"),
    # states
    Option("silent", "0", SWITCH, "sends nothing"),
    Option("asleep", "0", SWITCH, "sends every request back unchanged after 1-5 ms; D2 and P81: nothing"),
    Option("sleep_reply", "auto", _one_of("auto", "echo", "silence"), "what becomes of a request while it is asleep"),
    Option("sleep_after", "0", _number(0, 1e6), "seconds until it falls asleep; 0: never"),
    Option("wake_on_request", "0", _number(0, 1e6, _whole), "number of requests that wake it; 0: none do"),
    Option("echo", "0", SWITCH, "the adapter receives its own transmission, as on RS485"),
    Option("noise", "0", _number(0, 960), "random bytes a second"),
    Option("babble", "0", _number(0, 100), "responses a second that nobody has asked for"),
    Option("mute", "", FUNCTIONS, "functions of A5, or first registers of D2 and P81, that it does not respond to"),
    # the newer boards: D2 and P81
    Option(
        "registers",
        "80",
        Kind(lambda text: (62, 80)[("62", "80").index(text)], "62 or 80"),
        "live registers of D2: 62 end before the balancing bits",
    ),
    Option("beyond", "ff", _one_of("ff", "zeros", "silent"), "what it sends for registers it lacks; silent: no response"),
    Option("boards", "1", _number(1, 16, _whole), "boards on the line, from `board` on; OPTION@2 is of the second"),
    Option("board_fixed", "0", SWITCH, "its board number cannot be written"),
    Option("quiet", "0", _number(0, 100), "ms of silence that must precede and follow a request; 3.5 characters are 3.6"),
    Option("garbage_slots", "0", SWITCH, "D2: garbage where there is no temperature sensor"),
    Option("alarm_words", "new", _one_of("new", "old", "both"), "P81: alarms in 6D-73, or as older words in 66-69"),
    Option("levels", "", LEVEL_PAIRS, "P81: levels of alarms, besides `alarms`"),
    Option("words", "", PAIRS, "registers with a fixed value, whatever they mean"),
    Option("lacks", "", _names(*SENSED), "what it does not measure"),
    Option("lacking_raw", "255", _number(0, 65535, _whole), "raw word of a temperature that it lacks: 0, 255 or 65535"),
    Option("mosfet_temperature", "27", _number(-40, 214), "of the MOSFETs in degrees Celsius"),
    Option("board_temperature", "25", _number(-40, 214), "of the board"),
    Option("heater_temperature", "23", _number(-40, 214), "of the heater, P81"),
    Option("balance_current", "0", _number(-30, 35), "amperes"),
    Option("precharge", "0", SWITCH, "P81: precharge MOSFET on"),
    Option("heater", "0", SWITCH, "P81: heater on"),
    Option("fan", "0", SWITCH, "P81: fan on"),
    Option("balancer_on", "1", SWITCH, "D2: balancing is enabled, CF"),
    Option("charge_off_by_bus", "0", SWITCH, "P81: the charge MOSFET was switched off by a write"),
    Option("discharge_off_by_bus", "0", SWITCH, "P81: the discharge MOSFET was switched off by a write"),
    Option("soh", "98.6", PERCENT, "P81: state of health in percent"),
    Option("total_charge", "8521.348", _number(0, 4e6), "P81: Ah charged in its life"),
    Option("total_discharge", "8437.12", _number(0, 4e6), "P81: Ah discharged in its life"),
    Option("platform", "DL_HKMS_3.2.E", _ascii(14), "P81: 0x186"),
    Option("serial", "221LD000000001", _ascii(28), "P81: 0x18D"),
    # in percent of the frames sent, or of the responses
    *(Option(fault.name, "0", PERCENT, fault.description) for fault in FAULTS),
)
BY_NAME = {option.name: option for option in OPTIONS}


def parse(text: str) -> dict[str, Any]:
    """The options in a text such as `cells=16,soc=57.3`: name -> value. Raises ValueError with a sentence for the user."""
    return {name: value_of(name, value) for name, value in texts(text).items()}


def texts(text: str, number: int = 1) -> dict[str, str]:
    """Name -> its text, for the board in this place on the line: `soc=50,soc@2=40` is 40 for the second."""
    pairs = [tuple(part.strip() for part in item.partition("=")[::2]) for item in text.split(",") if item.strip()]
    common = {name: value for name, value in pairs if "@" not in name}
    for name, value in pairs:
        value_of(name.partition("@")[0], value)
    return common | {name.partition("@")[0]: value for name, value in pairs if name.endswith(f"@{number}")}


def options_help() -> str:
    """One line for each option: name, default, meaning and what it accepts."""
    return "\n".join(f"  {o.name}={o.default}".ljust(32) + f"{o.meaning} ({o.kind.allowed})" for o in OPTIONS)


def value_of(name: str, text: str) -> Any:
    """What an option becomes by this text. Raises ValueError with a sentence for the user."""
    if name not in BY_NAME:
        near = difflib.get_close_matches(name, BY_NAME, 3, 0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "--help lists them."
        raise ValueError(f"The simulated BMS has no option {name!r}; {hint}")
    kind = BY_NAME[name].kind
    try:
        return kind.read(text)
    except (ValueError, IndexError):
        raise ValueError(f"{name}={text} is not possible: {name} takes {kind.allowed}.") from None
