"""The table: everything the BMS reports, where it stands in which answer, and what it is called.

Decoding, MQTT state, Home Assistant discovery, screen and reference documentation are read off these rows; a new reading
is one new row. Offsets, scales and meanings: vendor PDF V1.2 and captures; judged in docs/PROTOCOL.md.

raw = factor * (unsigned big-endian number on the wire - bias), always an integer; the value is raw / 10**decimals.
"""

from collections import namedtuple

from .alarms import problem, problems_text
from .plausibility import beyond_cells, contradicts_capacity, contradicts_cells, contradicts_mode, dead_cell

# kinds of reading
NUMBER = 0
FLAG = 1  # raw 0 or 1, one bit on the wire or derived
CHOICE = 2  # raw is the index of its word in `options`
TEXT = 3  # ASCII of the whole answer, cut at the first zero byte
DATE = 4  # three bytes: years since 2000, month, day
BITS = 5  # bytes of alarm bits: kept for `problem` and `problems`, not published themselves

# roles: where a reading stands for a person
MAIN = 0
DIAGNOSTIC = 1
RARE = 2  # diagnostic, and switched off until somebody wants it

MAX_CELLS = 48
IDLE_CURRENT = 10  # 0.1 A: below 1 A nothing is said of the time to full or empty
MAX_TEMPERATURES = 16

Reading = namedtuple(
    "Reading",
    (
        "key",  # JSON name; "{}" stands for the number of the cell or sensor, from 1
        "name",  # for people, sentence case
        "kind",
        "offset",  # of the first byte in the payload (frame numbers left out)
        "size",  # bytes; 0 for derived readings
        "bit",  # number of the bit counted from bit 0 of byte `offset`; None for whole bytes
        "bias",
        "factor",
        "low",  # smallest and largest raw that a real pack can have; outside, the BMS did not mean it
        "high",
        "jump",  # a larger change between two readings must be said twice; None: any change is natural
        "doubt",  # function(pack, raw): true when the value contradicts another and must be said twice
        "band",  # changes smaller than this are not worth a message and a row in a database; 0: told with the row before
        "band_share",  # nor are those smaller than one so-manieth of the value; None: they are
        "decimals",
        "unit",
        "device_class",  # Home Assistant's; where it has none for this, an icon of its ("mdi:..."), as for every CHOICE
        "state_class",  # Home Assistant's
        "role",
        "options",  # words of a CHOICE
        "slots",  # how many of these there may be (48 cells); 1 for a single reading
        "counted_by",  # key of the reading that says how many there are; None: always `slots`
        "derive",  # function(pack) -> raw or None, for readings the BMS does not send
        "slot",  # index of the first one's value in Pack
    ),
)

Register = namedtuple(
    "Register",
    (
        "command",
        "lane",  # registers that share a pace, and its setting: POLL_PACK_MS, ...
        "period_ms",  # how often it is asked by default; 0: as often as the line allows; None: once per connection
        "frames",  # most frames an answer has; 1: payload without a frame number
        "width",  # bytes of payload a frame carries
        "readings",
    ),
)

_slots = 0


def _row(key, name, kind, offset, size, bit=None, bias=0, factor=1, low=None, high=None, jump=None, doubt=None, band=1,
         band_share=None, decimals=0, unit=None, device_class=None, state_class=None, role=MAIN, options=None, slots=1,
         counted_by=None, derive=None):  # fmt: skip
    global _slots
    slot = _slots
    if derive is None:
        _slots += slots
    return Reading(key, name, kind, offset, size, bit, bias, factor, low, high, jump, doubt, band, band_share, decimals, unit,
                   device_class, state_class, role, options, slots, counted_by, derive, slot)  # fmt: skip


def _measured(key, name, offset, size, low, high, jump, decimals, unit, device_class, **columns):
    return _row(key, name, NUMBER, offset, size, low=low, high=high, jump=jump, decimals=decimals, unit=unit,
                device_class=device_class, state_class="measurement", **columns)  # fmt: skip


def _number(key, name, offset, size, low, high, **columns):
    return _row(key, name, NUMBER, offset, size, low=low, high=high, **columns)


def _flag(key, name, offset, bit=None, **columns):
    return _row(key, name, FLAG, offset, 1, bit=bit, low=0, high=1, **columns)


def _choice(key, name, offset, options, **columns):
    return _row(key, name, CHOICE, offset, 1, low=0, high=len(options) - 1, options=options, **columns)


def _text(key, name, size):
    return _row(key, name, TEXT, 0, size, role=RARE, device_class="mdi:identifier")  # in the device's info, too


def _temperature(key, name, offset, **columns):
    # 0x00 and 0xFF both stand for a sensor that is not there (captures), so -40 and 215 are no temperatures
    # in whole degrees, so that a sensor between two would change for ever
    return _measured(key, name, offset, 1, -39, 214, 10, 0, "°C", "temperature", bias=40, band=2, **columns)


def _counter(key, name, band, unit, device_class, **columns):
    """A total that we count ourselves, in Wh or mAh (see energy.py)."""
    return _row(key, name, NUMBER, None, 0, low=0, high=1 << 40, band=band, decimals=3, unit=unit,
                device_class=device_class, state_class="total_increasing", **columns)  # fmt: skip


def _derived(key, name, kind, derive, decimals=0, unit=None, device_class=None, state_class=None, **columns):
    return _row(key, name, kind, None, 0, decimals=decimals, unit=unit, device_class=device_class,
                state_class=state_class, derive=derive, **columns)  # fmt: skip


def _power(pack):
    """0.1 V times 0.1 A is exactly 0.01 W."""
    voltage = pack.raw("pack_voltage")
    current = pack.raw("current")
    return None if voltage is None or current is None else voltage * current


def _remaining_time(pack, charging):
    """0.01 h until full or empty at the mean current; None while idle, unknown, or beyond 100 hours.

    To the nearest 5 minutes, 30 from 4 hours on, 4 hours from a day on: nobody knows it better, and each is a row in a
    database. Rounded up to 0.01 h, so that 5 minutes (0.09 h) are not shown as 4.
    """
    current = pack.raw("current")
    mean = pack.energy.mean_current  # mA
    remaining = pack.raw("remaining_capacity")
    if current is None or remaining is None or abs(current) < IDLE_CURRENT or (current > 0) != charging:
        return None
    if mean * current <= 0:  # nothing has been counted since it turned
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
    """mAh: the rated capacity, else what remaining capacity and state of charge make of it; None below 10 % or unknown."""
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


def _cell_voltage_delta(pack):
    highest = pack.raw("max_cell_voltage")
    lowest = pack.raw("min_cell_voltage")
    # on a line where each must be said again the two may be of different answers
    return None if highest is None or lowest is None or highest < lowest else highest - lowest


def _balancing(pack):
    """1 while any cell is balancing; None as long as one cell's bit is unknown and no other is set."""
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


# What 0x91 and 0x92 say follows from the cells and temperatures and costs 18 % of the line: they are asked seldom, as a check.
# Published are the extremes of the cells and temperatures themselves, while all of them are known (mqtt/deadband.py).
# The current: on the wire 30000 is 0 A and more is discharging (captures of two packs, judged in docs/PROTOCOL.md);
# with us, as in Home Assistant's words and in most shunts', positive is charging. Hence factor -1.
REGISTERS = (
    Register(0x90, "pack", 80, 1, 8, (
        _measured("pack_voltage", "Voltage", 0, 2, 1, 3000, 100, 1, "V", "voltage", doubt=contradicts_cells, band=2),
        # bytes 2-3, the "gather voltage", are 0 in every capture
        _measured("current", "Current", 4, 2, -15000, 15000, 2000, 1, "A", "current", bias=30000, factor=-1,
                  doubt=contradicts_mode, band=3, band_share=32),
        _derived("power", "Power", NUMBER, _power, 2, "W", "power", "measurement"),
        _counter("energy_charged", "Energy charged", 20, "kWh", "energy"),
        _counter("energy_discharged", "Energy discharged", 20, "kWh", "energy"),
        _counter("capacity_charged", "Capacity charged", 1000, "Ah", "mdi:battery-plus", role=DIAGNOSTIC),
        _counter("capacity_discharged", "Capacity discharged", 1000, "Ah", "mdi:battery-minus", role=DIAGNOSTIC),
        _measured("soc", "State of charge", 6, 2, 0, 1000, 30, 1, "%", "battery"),
    )),
    Register(0x93, "status", 0, 1, 8, (
        _choice("mode", "Mode", 0, ("idle", "charging", "discharging"), device_class="mdi:swap-vertical"),
        _flag("charge_mosfet", "Charge MOSFET", 1, device_class="mdi:battery-arrow-up"),
        _flag("discharge_mosfet", "Discharge MOSFET", 2, device_class="mdi:battery-arrow-down"),
        _number("heartbeat", "Heartbeat", 3, 1, 0, 255, role=RARE, device_class="mdi:heart-pulse"),
        _measured("remaining_capacity", "Remaining capacity", 4, 4, 0, 10000000, 20000, 3, "Ah", "mdi:battery-medium",
                  doubt=contradicts_capacity, band=1000),
        _derived("remaining_time", "Remaining time", NUMBER, _time_to_either, 2, "h", "duration", "measurement"),
        _derived("time_to_full", "Time to full", NUMBER, _time_to_full, 2, "h", "duration", "measurement", role=RARE),
        _derived("time_to_empty", "Time to empty", NUMBER, _time_to_empty, 2, "h", "duration", "measurement", role=RARE),
    )),
    Register(0x98, "status", 0, 1, 8, (
        _derived("problem", "Problem", FLAG, problem, device_class="problem"),
        _derived("problems", "Problems", TEXT, problems_text, device_class="mdi:alert-outline"),
        _row("alarm_byte_{}", "Alarm byte {}", BITS, 0, 1, low=0, high=255, slots=7),
        _number("fault_code", "Fault code", 7, 1, 0, 255, role=RARE, device_class="mdi:alert-circle-outline"),
    )),
    Register(0x94, "checks", 5000, 1, 8, (
        _number("cell_count", "Cell count", 0, 1, 1, MAX_CELLS, jump=0, role=DIAGNOSTIC, device_class="mdi:counter"),
        _number("temperature_count", "Temperature sensor count", 1, 1, 0, MAX_TEMPERATURES, jump=0, role=RARE,
                device_class="mdi:counter"),
        # bytes 2 and 3: 0 in all captures, also under load
        _flag("charger_connected", "Charger connected", 2, role=RARE, device_class="mdi:power-plug"),
        _flag("load_connected", "Load connected", 3, role=RARE, device_class="mdi:power-socket"),
        _row("digital_input_{}", "Digital input {}", FLAG, 4, 1, bit=0, low=0, high=1, role=RARE, slots=4),
        _row("digital_output_{}", "Digital output {}", FLAG, 4, 1, bit=4, low=0, high=1, role=RARE, slots=4),
        _number("cycle_count", "Cycle count", 5, 2, 0, 65534, jump=1, state_class="total_increasing", role=DIAGNOSTIC,
                device_class="mdi:battery-sync"),
        # byte 7 is a stale byte on most boards and a board temperature on some: nothing to believe
    )),
    Register(0x91, "checks", 5000, 1, 8, (
        _measured("max_cell_voltage", "Highest cell voltage", 0, 2, 1, 5999, 300, 3, "V", "voltage", doubt=beyond_cells, band=3,
                  role=DIAGNOSTIC),
        _number("max_voltage_cell", "Highest cell", 2, 1, 1, MAX_CELLS, band=0, role=DIAGNOSTIC,
                device_class="mdi:arrow-up-bold"),
        _measured("min_cell_voltage", "Lowest cell voltage", 3, 2, 0, 5999, 300, 3, "V", "voltage", doubt=beyond_cells, band=3,
                  role=DIAGNOSTIC),
        _number("min_voltage_cell", "Lowest cell", 5, 1, 1, MAX_CELLS, band=0, role=DIAGNOSTIC,
                device_class="mdi:arrow-down-bold"),
        _derived("cell_voltage_delta", "Cell voltage delta", NUMBER, _cell_voltage_delta, 3, "V", "voltage", "measurement",
                 band=6),  # those of both cells: less is their natural play
    )),
    Register(0x92, "checks", 5000, 1, 8, (
        _temperature("max_temperature", "Highest temperature", 0),
        _number("max_temperature_sensor", "Highest temperature sensor", 1, 1, 1, MAX_TEMPERATURES, band=0, role=RARE,
                device_class="mdi:thermometer-chevron-up"),
        _temperature("min_temperature", "Lowest temperature", 2, role=DIAGNOSTIC),
        _number("min_temperature_sensor", "Lowest temperature sensor", 3, 1, 1, MAX_TEMPERATURES, band=0, role=RARE,
                device_class="mdi:thermometer-chevron-down"),
    )),
    Register(0x95, "cells", 0, 16, 6, (
        _measured("cell_{}_voltage", "Cell {} voltage", 0, 2, 0, 5999, 300, 3, "V", "voltage", doubt=dead_cell, band=3,
                  role=DIAGNOSTIC, slots=MAX_CELLS, counted_by="cell_count"),
    )),
    Register(0x96, "temperatures", 1000, 3, 7, (
        _temperature("temperature_{}", "Temperature {}", 0, role=DIAGNOSTIC, slots=MAX_TEMPERATURES,
                     counted_by="temperature_count"),
    )),
    Register(0x97, "cells", 0, 1, 8, (
        _derived("balancing", "Balancing", FLAG, _balancing, device_class="mdi:scale-balance"),
        _row("cell_{}_balancing", "Cell {} balancing", FLAG, 0, 1, bit=0, low=0, high=1, role=RARE,
             device_class="mdi:scale-balance", slots=MAX_CELLS, counted_by="cell_count"),
    )),
    Register(0x50, "once", None, 1, 8, (
        _measured("rated_capacity", "Rated capacity", 0, 4, 1, 10000000, 0, 3, "Ah", "mdi:battery", role=DIAGNOSTIC),
        _measured("nominal_cell_voltage", "Nominal cell voltage", 4, 4, 1000, 5000, 0, 3, "V", "voltage", role=RARE),
    )),
    Register(0x53, "once", None, 1, 8, (
        _row("production_date", "Production date", DATE, 2, 3, low=0x000101, high=0x630C1F, role=RARE,
             device_class="mdi:calendar"),
        _choice("chemistry", "Chemistry", 0, ("LFP", "NMC", "LTO"), role=DIAGNOSTIC, device_class="mdi:flask-outline"),
        # FFFF is how Daly's tools write "never", which is no number of seconds
        _measured("sleep_time", "Sleep time", 5, 2, 0, 65534, 0, 0, "s", "duration", role=RARE),
    )),
    Register(0x57, "once", None, 5, 7, (_text("battery_code", "Battery code", 35),)),
    Register(0x62, "once", None, 2, 7, (_text("software_version", "Software version", 14),)),
    Register(0x63, "once", None, 2, 7, (_text("hardware_version", "Hardware version", 14),)),
)  # fmt: skip

SLOTS = _slots
READINGS = tuple(row for register in REGISTERS for row in register.readings)
READING = {row.key: row for row in READINGS}
