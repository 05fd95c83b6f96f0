# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings: everything a battery can report, one row each. Which protocol has a reading where is the protocol's affair.

Plausibility, deadband, JSON, Home Assistant discovery, screen and documentation are read off these rows. A new reading is one
row here, its line in mqtt/entities.py (what people see of it), and its place in the map of each protocol that has it.

The rows stay in memory: a column that few readings have is a dict beside them.

A raw value is an integer; the value is raw / 10**decimals. Positive current and power charge the battery.
"""

from collections import namedtuple

from .alarms import active_alarms, charge_low, problem
from .plausibility import beyond_cells, contradicts_capacity, contradicts_cells, contradicts_mode, dead_cell

# kinds
NUMBER = 0
BINARY = 1  # raw 0 or 1
ENUM = 2  # raw is the index of its word in `options`
TEXT = 3  # str
DATE = 4  # raw is (year - 2000) << 16 | month << 8 | day
BITFIELD = 5  # source of derived readings, not published itself

# entity categories of Home Assistant
MAIN = 0
DIAGNOSTIC = 1
DISABLED = 2  # diagnostic, and disabled by default

MAX_CELLS = 48
MAX_TEMPERATURES = 16
SLOW_MS = 1000  # a poll group with this period or a longer one may hold what a board does not have
IDLE_CURRENT = 10  # 0.1 A: below 1 A there is no time to full or empty

# Poll groups: readings that are requested at one pace, and share a discovery message. An entity that moves to another
# message is refused by Home Assistant until it restarts: a new version may add readings to a group, but not move them.
Group = namedtuple("Group", ("setting", "period_ms"))  # 0: requested in each poll cycle; None: once per connection
GROUPS = {
    "pack": Group("POLL_PACK_MS", 80),
    "status": Group("POLL_STATUS_MS", 0),
    "alarms": Group("POLL_STATUS_MS", 0),
    "cells": Group("POLL_CELLS_MS", 0),
    "temperatures": Group("POLL_TEMPERATURES_MS", 1000),
    "extremes": Group("POLL_CHECKS_MS", 5000),
    "counts": Group("POLL_CHECKS_MS", 5000),
    "static": Group(None, None),
    "slow": Group(None, 60000),
    "limits": Group(None, None),
}


def poll_periods():
    """{setting of a poll group: its default in ms}."""
    return {group.setting: group.period_ms for group in GROUPS.values() if group.setting}


Reading = namedtuple(
    "Reading",
    (
        "key",  # JSON name; "{}" stands for the number of the cell or sensor, from 1
        "group",  # key of GROUPS
        "kind",
        "decimals",
        "low",  # smallest and largest raw value of a real pack; anything else is implausible
        "high",
        "step",  # a larger change between two readings must be confirmed by the next one; None: any change is natural
        "check",  # function(pack, raw): true when the value contradicts another reading and must be confirmed
        "deadband",  # smaller changes are not published; 0: published with the row before
        "category",
        "slots",  # how many of these there may be (48 cells); 1 for a single reading
        "counted_by",  # key of the reading that counts them; None: always `slots`
        "derive",  # function(pack) -> raw or None, for readings calculated from others
        "slot",  # index of the first one's value in Pack
    ),
)

# Columns that few readings have, by key
OPTIONS: dict = {}  # words of an ENUM
DEADBAND_SHARES: dict = {}  # changes smaller than 1/n of the value are not published, either
NEEDS: dict = {}  # keys of the readings it is calculated from: it exists where all of them do; without: the BMS sends it

_rows: list = []  # each joins as it is made: all at once on the call stack would take 300 of its 2,048 bytes
_slots = 0


def _row(key, group, kind, decimals=0, low=None, high=None, step=None, check=None, deadband=1, category=MAIN, slots=1,
         counted_by=None, derive=None, options=None, deadband_share=None, needs=None):  # fmt: skip
    global _slots
    slot = _slots
    if derive is None:
        _slots += slots
    if options:
        OPTIONS[key] = options
    if deadband_share:
        DEADBAND_SHARES[key] = deadband_share
    if needs:
        NEEDS[key] = needs
    _rows.append(
        Reading(key, group, kind, decimals, low, high, step, check, deadband, category, slots, counted_by, derive, slot)
    )


def _number(key, group, low, high, **columns):
    _row(key, group, NUMBER, low=low, high=high, **columns)


def _binary(key, group, **columns):
    _row(key, group, BINARY, low=0, high=1, **columns)


def _enum(key, group, options, **columns):
    _row(key, group, ENUM, low=0, high=len(options) - 1, options=options, **columns)


def _text(key):
    _row(key, "static", TEXT, category=DISABLED)  # shown on the device's page, too


def _temperature(key, group, **columns):
    # Both ends of the byte on the wire stand for a missing sensor (captures): -40 and 215 °C are no temperatures.
    # In whole degrees, with a deadband: a sensor between two degrees would change for ever.
    _number(key, group, -39, 214, step=10, deadband=2, **columns)


def _counter(key, deadband, **columns):
    """A total that is counted here, in Wh or mAh (see energy.py)."""
    _number(key, "pack", 0, 1 << 40, deadband=deadband, decimals=3, needs=("power",), **columns)


def _lifetime(key):
    """A total that the BMS counts, in mAh."""
    _number(key, "slow", 0, 1000000000, step=1000000, deadband=1000, decimals=3, category=DISABLED)


def _limit(key, low, high, category=DISABLED, **columns):
    """A protection limit: {} is its level, 1: warning, 2: the BMS acts."""
    _number(key + "_limit_{}", "limits", low, high, step=0, slots=2, category=category, **columns)


def _voltage_limit(key, decimals, high):
    _limit(key, 1, high, DIAGNOSTIC, decimals=decimals)


def _temperature_limit(key):
    _limit(key, -40, 214)


def _soc_limit(key):
    _limit(key, 0, 1000, decimals=1)


def _duration(key, derive, **columns):
    _row(key, "status", NUMBER, 2, derive=derive, needs=("current", "remaining_capacity"), **columns)


def _power(pack):
    """0.1 V times 0.1 A is exactly 0.01 W."""
    voltage = pack.raw("pack_voltage")
    current = pack.raw("current")
    return None if voltage is None or current is None else voltage * current


def _remaining_time(pack, charging):
    """0.01 h until full or empty at the mean current; None while idle, unknown, or beyond 100 hours.

    To the nearest 5 minutes, 30 from 4 hours on, 4 hours from a day on: nobody knows it better, and each change is a row in a
    database. Rounded up to 0.01 h, so that 5 minutes (0.09 h) are not shown as 4.
    """
    current = pack.raw("current")
    mean = pack.energy.mean_current  # mA
    remaining = pack.raw("remaining_capacity")
    if current is None or remaining is None or abs(current) < IDLE_CURRENT or (current > 0) != charging:
        return None
    if mean * current <= 0:  # nothing has been counted since the direction changed
        mean = 100 * current
    if charging:
        full = _full_capacity(pack, remaining)
        if full is None:
            return None
        remaining = max(0, full - remaining)
    minutes = remaining * 60 // max(abs(mean), 100 * IDLE_CURRENT)
    step = 5 if minutes < 240 else 30 if minutes < 1440 else 240
    minutes = (minutes + step // 2) // step * step
    return (minutes * 10 + 5) // 6 if minutes <= 6000 else None


def _full_capacity(pack, remaining):
    """mAh: the rated capacity, else remaining capacity / state of charge; None below 10 % or unknown."""
    rated = pack.raw("rated_capacity")
    soc = pack.raw("soc")
    if rated is not None:
        return rated
    return remaining * 1000 // soc if soc is not None and soc >= 100 else None


def _time_to_full(pack):
    return _remaining_time(pack, True)


def _time_to_empty(pack):
    return _remaining_time(pack, False)


def _time_to_either(pack):
    charging = _remaining_time(pack, True)
    return _remaining_time(pack, False) if charging is None else charging


def usable_charge(pack):
    """mAh of a full battery: what the BMS calculates with where it says that, else the rated capacity; None: not known now."""
    actual = READING["actual_capacity"]
    return pack.at(actual) if pack.has(actual) else pack.raw("rated_capacity")


def energy(pack, charge):
    """Wh of so many mAh at the nominal voltage of all cells, in small integers up to 2000 Ah at 48 V; None: not known now."""
    cells = pack.raw("cell_count")
    each = pack.raw("nominal_cell_voltage")
    return None if charge is None or cells is None or each is None else (charge // 10) * (cells * each // 10) // 10000


def _stored_energy(pack):
    return energy(pack, pack.raw("remaining_capacity"))


def _usable_capacity(pack):
    return energy(pack, usable_charge(pack))


def _cell_voltage_delta(pack):
    highest = pack.raw("max_cell_voltage")
    lowest = pack.raw("min_cell_voltage")
    # where each must be confirmed the two may be of different responses
    if highest is None or lowest is None or highest < lowest or not pack.is_delta_known:
        return None
    return highest - lowest


def _balancing(pack):
    """1 while any cell is balancing; None while one cell's state is unknown and no other cell is balancing."""
    row = READING["cell_{}_balancing"]
    cells = pack.count(row)
    known = cells > 0
    for index in range(cells):
        raw = pack.at(row, index)
        if raw:
            return 1
        if raw is None:
            known = False
    return 0 if known else None


# The extremes follow from the cells and temperatures and cost 18 % of the line: they are requested seldom, as a check.
# Published are the extremes of the cells and temperatures themselves, while all of them are known (mqtt/deadband.py).
# fmt: off
_number("pack_voltage", "pack", 1, 3000, step=100, decimals=1, check=contradicts_cells, deadband=2)
_number("current", "pack", -15000, 15000, step=2000, decimals=1, check=contradicts_mode, deadband=3, deadband_share=32)
_row("power", "pack", NUMBER, 2, derive=_power, needs=("pack_voltage", "current"))
_counter("energy_charged", 20)
_counter("energy_discharged", 20)
_counter("capacity_charged", 1000, category=DIAGNOSTIC)
_counter("capacity_discharged", 1000, category=DIAGNOSTIC)
_number("soc", "pack", 0, 1000, step=30, decimals=1)

_enum("mode", "status", ("idle", "charging", "discharging"))
_binary("charge_mosfet", "status")
_binary("discharge_mosfet", "status")
_number("heartbeat", "status", 0, 255, category=DISABLED)
_number("remaining_capacity", "status", 0, 10000000, step=20000, decimals=3, check=contradicts_capacity, deadband=1000)
_duration("remaining_time", _time_to_either)
_duration("time_to_full", _time_to_full, category=DISABLED)
_duration("time_to_empty", _time_to_empty, category=DISABLED)
_binary("precharge_mosfet", "status", category=DIAGNOSTIC)
_binary("heater", "status", category=DIAGNOSTIC)
_binary("fan", "status", category=DIAGNOSTIC)
_row("stored_energy", "status", NUMBER, 3, derive=_stored_energy,
     needs=("remaining_capacity", "nominal_cell_voltage", "cell_count"))

_row("problem", "alarms", BINARY, derive=problem, needs=("alarm_bits_{}",))
_row("active_alarms", "alarms", TEXT, derive=active_alarms, needs=("alarm_bits_{}",))
_row("alarm_bits_{}", "alarms", BITFIELD, low=0, high=(1 << 30) - 1, slots=5)  # see alarms.py
_number("fault_code", "alarms", 0, 255, category=DISABLED)
_row("battery_low", "alarms", BINARY, derive=charge_low, category=DIAGNOSTIC, needs=("alarm_bits_{}", "soc"))

_number("cell_count", "counts", 1, MAX_CELLS, step=0, category=DIAGNOSTIC)
_number("temperature_count", "counts", 0, MAX_TEMPERATURES, step=0, category=DISABLED)
_binary("charger_connected", "counts", category=DISABLED)
_binary("load_connected", "counts", category=DISABLED)
_binary("digital_input_{}", "counts", category=DISABLED, slots=4)
_binary("digital_output_{}", "counts", category=DISABLED, slots=4)
_number("cycle_count", "counts", 0, 65534, step=1, category=DIAGNOSTIC)

_number("max_cell_voltage", "extremes", 1, 5999, step=300, decimals=3, check=beyond_cells, deadband=3, category=DIAGNOSTIC)
_number("max_voltage_cell", "extremes", 1, MAX_CELLS, deadband=0, category=DIAGNOSTIC)
_number("min_cell_voltage", "extremes", 0, 5999, step=300, decimals=3, check=beyond_cells, deadband=3, category=DIAGNOSTIC)
_number("min_voltage_cell", "extremes", 1, MAX_CELLS, deadband=0, category=DIAGNOSTIC)
# its deadband is that of both cells: less is their natural noise
_row("cell_voltage_delta", "extremes", NUMBER, 3, derive=_cell_voltage_delta,
     needs=("max_cell_voltage", "min_cell_voltage"), deadband=6)
_temperature("max_temperature", "extremes")
_number("max_temperature_sensor", "extremes", 1, MAX_TEMPERATURES, deadband=0, category=DISABLED)
_temperature("min_temperature", "extremes", category=DIAGNOSTIC)
_number("min_temperature_sensor", "extremes", 1, MAX_TEMPERATURES, deadband=0, category=DISABLED)

_number("cell_{}_voltage", "cells", 0, 5999, step=300, decimals=3, check=dead_cell,
        deadband=3, category=DIAGNOSTIC, slots=MAX_CELLS, counted_by="cell_count")
_temperature("temperature_{}", "temperatures", category=DIAGNOSTIC, slots=MAX_TEMPERATURES, counted_by="temperature_count")
_temperature("mosfet_temperature", "temperatures", category=DIAGNOSTIC)
_temperature("board_temperature", "temperatures", category=DIAGNOSTIC)
_temperature("heater_temperature", "temperatures", category=DISABLED)
# of an active balancer; no capture has another value than 0, so its direction is not known
_number("balance_current", "temperatures", -20000, 20000, decimals=3, deadband=100, category=DIAGNOSTIC)
_row("balancing", "cells", BINARY, derive=_balancing, needs=("cell_{}_balancing",))
_binary("cell_{}_balancing", "cells", category=DISABLED, slots=MAX_CELLS, counted_by="cell_count")

_number("rated_capacity", "static", 1, 10000000, step=0, decimals=3, category=DIAGNOSTIC)
_number("nominal_cell_voltage", "static", 1000, 5000, step=0, decimals=3, category=DISABLED)
_row("production_date", "static", DATE, low=0x000101, high=0x630C1F, category=DISABLED)
_enum("chemistry", "static", ("LFP", "NMC", "LTO"), category=DIAGNOSTIC)
_number("sleep_time", "static", 0, 65534, step=0, category=DISABLED)
_text("battery_code")
_text("software_version")
_text("hardware_version")
_text("serial_number")
_number("board_number", "static", 1, 16, step=0, category=DISABLED)
_row("usable_capacity", "static", NUMBER, 3, derive=_usable_capacity, category=DIAGNOSTIC,
     needs=("rated_capacity", "nominal_cell_voltage", "cell_count"))

_number("state_of_health", "slow", 1, 1000, step=50, decimals=1, category=DIAGNOSTIC)
_number("actual_capacity", "slow", 1, 10000000, step=20000, decimals=3, deadband=100, category=DISABLED)
_lifetime("lifetime_charge")
_lifetime("lifetime_discharge")

_voltage_limit("cell_overvoltage", 3, 5999)
_voltage_limit("cell_undervoltage", 3, 5999)
_voltage_limit("pack_overvoltage", 1, 3000)
_voltage_limit("pack_undervoltage", 1, 3000)
_limit("charge_overcurrent", 1, 15000, decimals=1)
_limit("discharge_overcurrent", 1, 15000, decimals=1)
_temperature_limit("charge_overtemperature")
_temperature_limit("charge_undertemperature")
_temperature_limit("discharge_overtemperature")
_temperature_limit("discharge_undertemperature")
_soc_limit("soc_high")
_soc_limit("soc_low")
_limit("cell_voltage_delta", 1, 5999, decimals=3)
_limit("temperature_delta", 1, 200)
_number("balance_start_voltage", "limits", 1, 5999, step=0, decimals=3, category=DISABLED)
_number("balance_voltage_delta", "limits", 1, 5999, step=0, decimals=3, category=DISABLED)
# fmt: on

READINGS = tuple(_rows)
_rows.clear()
SLOTS = _slots
READING = {row.key: row for row in READINGS}


def is_optional(row):
    """Whether boards may not have this reading, whatever their protocol: it exists once it has been read.

    So it is with a single reading that is requested once or seldom. The extremes are not: where the BMS does not send them,
    those of the cells are published.
    """
    if row.key in NEEDS or row.counted_by is not None:
        return row.key == "cell_{}_balancing"
    period_ms = GROUPS[row.group].period_ms
    return period_ms is None or (period_ms >= SLOW_MS and row.group != "extremes")


def is_plausible(row, raw):
    """Whether a real pack can have this raw value; what a TEXT may hold is decided where its bytes are read."""
    kind = row.kind
    if raw is None or kind == TEXT:
        return raw is not None
    if not row.low <= raw <= row.high:
        return False
    return kind != DATE or (1 <= (raw >> 8 & 0xFF) <= 12 and 1 <= (raw & 0xFF) <= 31)


def is_measured(row):
    """Whether readings have natural noise, so that two in a row are seldom equal."""
    return row.kind == NUMBER and row.step


def is_immediate(row):
    """Whether a change is published at once: alarms, MOSFETs, mode."""
    return row.kind == BITFIELD or (row.category == MAIN and (row.kind == BINARY or row.kind == ENUM))
