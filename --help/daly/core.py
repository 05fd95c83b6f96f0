# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The alarms of a battery, whatever protocol reports them: names, levels, and which are active.

Five bit fields in the pack, rows "alarm_bits_1" to "_5": warnings, protections, faults, level 3, more faults. Bit n of the
fields with a level stands for name n in ALARMS, bit n of the faults for those in FAULTS and MORE_FAULTS. Which bit of a
response is which: the map of its protocol. A field has 30 bits, which are a small integer on every board.
"""


  # the BMS acts
  # of the board; it has no levels
  # or higher: boards of P81 have up to 7 levels

h = ("", "warning", "protection", "fault", "level 3")

  # Home Assistant refuses a state of more than 255 characters

# Names, joined by |: as three texts they take 2 KB less of a board than as 54




















def aK(a):
    """A field with a level of a board whose current counts the other way round: both overcurrents change places.

    Harmless for MORE_FAULTS, which has no such bits.
    """
    b = a & ~(256 | 512)
    if a & 256:
        b |= 512
    if a & 512:
        b |= 256
    return b


def active(a):
    """The active alarms as a list of (name, level), the gravest first; None while they are not known.

    Where an alarm is active at several levels, only the gravest is listed.
    """
    b = a.raw("alarm_bits_{}", 1)
    c = a.raw("alarm_bits_{}", 2)
    d = a.raw("alarm_bits_{}", 3)
    if b is None or c is None or d is None:
        return None
    e = a.raw("alarm_bits_{}", 4) or 0  # all five are read together
    f: list = []
    aj(f, 'Charge MOSFET temperature sensor|Discharge MOSFET temperature sensor|Charge MOSFET shorted|Discharge MOSFET shorted|Charge MOSFET open|Discharge MOSFET open|AFE fault|Cell sensing fault|Temperature sensor|EEPROM|Clock|Precharge|Communication|Internal communication|Current sensor|Pack voltage sensor|Short circuit|Voltage too low to charge|MOSFETs opened by switch|Charging cabinet offline|AFE communication|Cell voltage sensor|Cell wire open|Temperature sensor wire open|Flash memory|Charge MOSFET fault|Discharge MOSFET fault|Precharge MOSFET fault|Parallel communication|Heating fault', d, 3)
    aj(f, 'Smart charger fault|Smart load fault|Charge undervoltage|Discharge overvoltage', a.raw("alarm_bits_{}", 5) or 0, 3)
    aj(f, 'Cell overvoltage|Cell undervoltage|Pack overvoltage|Pack undervoltage|Charge overtemperature|Charge undertemperature|Discharge overtemperature|Discharge undertemperature|Charge overcurrent|Discharge overcurrent|State of charge high|State of charge low|Cell voltage delta|Temperature delta|Charge MOSFET overtemperature|Discharge MOSFET overtemperature|State of health low|MOSFET overtemperature|Ambient overtemperature|Thermal runaway', e, 4)
    aj(f, 'Cell overvoltage|Cell undervoltage|Pack overvoltage|Pack undervoltage|Charge overtemperature|Charge undertemperature|Discharge overtemperature|Discharge undertemperature|Charge overcurrent|Discharge overcurrent|State of charge high|State of charge low|Cell voltage delta|Temperature delta|Charge MOSFET overtemperature|Discharge MOSFET overtemperature|State of health low|MOSFET overtemperature|Ambient overtemperature|Thermal runaway', c & ~e, 2)
    aj(f, 'Cell overvoltage|Cell undervoltage|Pack overvoltage|Pack undervoltage|Charge overtemperature|Charge undertemperature|Discharge overtemperature|Discharge undertemperature|Charge overcurrent|Discharge overcurrent|State of charge high|State of charge low|Cell voltage delta|Temperature delta|Charge MOSFET overtemperature|Discharge MOSFET overtemperature|State of health low|MOSFET overtemperature|Ambient overtemperature|Thermal runaway', b & ~c & ~e, 1)
    return f


def aj(b, c, a, d):
    e = f = 0
    while a and f >= 0:
        f = c.find("|", e)
        if a & 1:
            b.append((c[e:] if f < 0 else c[e:f], d))
        a >>= 1
        e = f + 1


def problem(a):
    """1 while any warning, protection or fault is active, else 0; None while not known."""
    b = active(a)
    return None if b is None else int(len(b) > 0)


def aE(a):
    """The active alarms with their level, at most MAX_TEXT characters; "none" when there is none; None: not known."""
    b = active(a)
    if b is None:
        return None
    if not b:
        return "none"
    c = ""
    for d, (e, f) in enumerate(b):
        g = e + " (" + h[f] + ")"
        i = " +" + str(len(b) - d)
        if len(c) + 2 + len(g) + len(i) > 250:
            return c + i
        c += (", " if c else "") + g
    return c
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Energy and charge that went into and out of the battery, added up in integers from every reading of voltage and current.

A step is the time between two accepted readings, its energy the trapezium between their powers; across a pause there is none.
The counters are whole Wh and mAh, and the remainders are kept: nothing is ever rounded away.
"""

from adafruit_ticks import ticks_diff

  # the mean current is that of about the last five minutes
# Between two readings further apart anything may have happened, unless they are requested so seldom: see `allow_steps`.

  # power is 0.01 W, time ms: 3600 s * 1000 * 100
  # current is 0.1 A, time ms: 3.6 C * 10 * 1000
o = ("energy_charged", "energy_discharged", "capacity_charged", "capacity_discharged")


class P:
    """Four counters that never fall: Wh charged and discharged, mAh charged and discharged.

    They count from the start, but `total` is None until `load` adds what was counted before: a counter that begins at 0
    and then jumps would be wrong energy in the dashboard.
    """

    def __init__(a):
        a.l = [0, 0, 0, 0]  # Wh, Wh, mAh, mAh since the start
        a.o = [0, 0, 0, 0]  # the remainders
        a.c = None  # the totals at the start; None: not loaded yet
        a.n = None
        a.h = 0
        a.g = 0
        a.k = 0  # 0.1 mA
        a.m = 0  # the remainder: without it noise of one digit would shift the mean
        a.j = 5000

    def d(a, b, c, d):
        """One more accepted reading: power in 0.01 W, current in 0.1 A, both positive when charging."""
        e = 0 if a.n is None else ticks_diff(d, a.n)
        f = 0 < e <= a.j
        if f:
            a.e(0, (b + a.h) * e, 2 * 360000000)
            a.e(2, (c + a.g) * e, 2 * 36000)
        # after rest the mean starts at the current: from 0 it would make 40 hours of 2
        if a.n is None or c * a.k <= 0:
            a.k = 1000 * c
            a.m = 0
        elif f:
            a.i(c, e)
        a.n = d
        a.h = b
        a.g = c

    def q(a, b):
        """Voltage and current are read so seldom that two readings may be this far apart, if that is longer than usual."""
        a.j = max(5000, b)

    def r(a):
        """Nothing is known of what flows now: the next reading begins a new step."""
        a.n = None

    @property
    def p(a):
        """mA, of the last minutes; since the last change between charging and discharging."""
        return av(a.k, 10)

    def load(a, b):
        """Continue from earlier totals in the order of COUNTERS; a later call with larger ones moves them up, never down."""
        if a.c is None:
            a.c = [0, 0, 0, 0]
        for c in range(4):
            a.c[c] = max(a.c[c], b[c] - a.l[c])

    def set(a, b):
        """Somebody has set the counters: go on from there, up or down."""
        a.c = [b[c] - a.l[c] for c in range(4)]
        a.o = [0, 0, 0, 0]

    def total(a, b):
        """The counter's total in Wh or mAh; None until loaded."""
        if a.c is None:
            return None
        c = o.index(b)
        return a.c[c] + a.l[c]

    def f(a):
        """All of them in the order of COUNTERS; None until loaded."""
        return None if a.c is None else tuple([a.total(b) for b in o])

    def i(a, b, step):
        """Move the mean towards a current of 0.1 A that flowed for `step` ms, without losing the rest of the division."""
        c = (1000 * b - a.k) * step + a.m
        a.k += c // 300000
        a.m = c % 300000

    def e(c, a, b, d):
        """Add `amount` (half of 0.01 W ms or 0.1 A ms) to a counter: charging to `index`, discharging to the one after it."""
        if b < 0:
            a += 1
            b = -b
        b += c.o[a]
        c.l[a] += b // d
        c.o[a] = b % d


def av(a, b):
    """number / unit to the nearest whole number; halves away from zero."""
    return (a + b // 2) // b if a >= 0 else -((b // 2 - a) // b)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Plausibility checks: what contradicts another reading. Functions of the column `check` in readings.py, each with its reason.

A value that contradicts is not refused but must be confirmed by the next one: two readings are never of the same moment, and
a rule that refused for good would hide a real fault of the pack. `function(pack, raw)` is true when `raw` contradicts.
"""

# A clear current: boards measure nothing below 1.1 to 2.5 A (user-pains: SOC drifts), so a smaller one has no direction.
  # 0.1 A


def aJ(a, b):
    """A cell of 0 V: a dead cell beside healthy ones, or a response that was not filled in."""
    return b == 0


def aH(a, b):
    """Pack voltage (0.1 V) against the sum of the cells: 2 % and 0.5 V for cut-off digits, wiring and another moment."""
    c = a.an()
    return c is not None and abs(100 * b - c) > c // 50 + 500


def aF(a, b):
    """Highest or lowest cell voltage (mV) against the cells themselves, 0.1 V for another moment."""
    c, d = a.Z()
    return b == 0 if c is None else not d - 100 <= b <= c + 100


def aG(a, b):
    """Remaining capacity (mAh): not 0 at 2 % and more, not above the rated capacity by more than a quarter."""
    c = a.raw("soc")
    d = a.raw("rated_capacity")
    return (b == 0 and c is not None and c >= 20) or (d is not None and b > d + d // 4)


def aI(a, b):
    """A clear current (0.1 A, positive charging) against the mode, which is read a moment before or after it."""
    return abs(b) >= 30 and C(b, a.raw("mode"))


def C(a, b):
    """Whether a current, however small, flows against a mode; not while the mode is None or idle."""
    return (b == 1 and a < 0) or (b == 2 and a > 0)


def p(a, b):
    """Whether the sign of a current agrees with a mode; 0 A with idle."""
    return (a > 0) - (a < 0) == (0, 1, -1)[b]
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings: everything a battery can report, one row each. Which protocol has a reading where is the protocol's affair.

Plausibility, deadband, JSON, Home Assistant discovery, screen and documentation are read off these rows. A new reading is one
row here, its line in mqtt/entities.py (what people see of it), and its place in the map of each protocol that has it.

The rows stay in memory: a column that few readings have is a dict beside them.

A raw value is an integer; the value is raw / 10**decimals. Positive current and power charge the battery.
"""

from collections import namedtuple




# kinds

  # raw 0 or 1
  # raw is the index of its word in `options`
  # str
  # raw is (year - 2000) << 16 | month << 8 | day
  # source of derived readings, not published itself

# entity categories of Home Assistant


  # diagnostic, and disabled by default



  # a poll group with this period or a longer one may hold what a board does not have
  # 0.1 A: below 1 A there is no time to full or empty

# Poll groups: readings that are requested at one pace, and share a discovery message. An entity that moves to another
# message is refused by Home Assistant until it restarts: a new version may add readings to a group, but not move them.
Group = namedtuple("Group", ("a", "v"))  # 0: requested in each poll cycle; None: once per connection
z = {
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


def y():
    """{setting of a poll group: its default in ms}."""
    return {a.a: a.v for a in z.values() if a.a}


t = namedtuple(
    "t",
    (
        "key",  # JSON name; "{}" stands for the number of the cell or sensor, from 1
        "b",  # key of GROUPS
        "e",
        "d",
        "low",  # smallest and largest raw value of a real pack; anything else is implausible
        "h",
        "step",  # a larger change between two readings must be confirmed by the next one; None: any change is natural
        "a",  # function(pack, raw): true when the value contradicts another reading and must be confirmed
        "f",  # smaller changes are not published; 0: published with the row before
        "c",
        "n",  # how many of these there may be (48 cells); 1 for a single reading
        "m",  # key of the reading that counts them; None: always `slots`
        "l",  # function(pack) -> raw or None, for readings calculated from others
        "g",  # index of the first one's value in Pack
    ),
)

# Columns that few readings have, by key
s: dict = {}  # words of an ENUM
x: dict = {}  # changes smaller than 1/n of the value are not published, either
I: dict = {}  # keys of the readings it is calculated from: it exists where all of them do; without: the BMS sends it

J = 0


def q(key, b, e, d=0, low=None, h=None, step=None, a=None, f=1, c=0, n=1,
         m=None, l=None, options=None, p=None, q=None):  # fmt: skip
    global J
    g = J
    if l is None:
        J += n
    for i, j in ((s, options), (x, p), (I, q)):
        if j:
            i[key] = j
    return t(key, b, e, d, low, h, step, a, f, c, n, m, l, g)


def d(key, t, low, h, **u):
    return q(key, t, 0, low=low, h=h, **u)


def al(key, t, **u):
    return q(key, t, 1, low=0, h=1, **u)


def ap(key, t, options, **u):
    return q(key, t, 2, low=0, h=len(options) - 1, options=options, **u)


def e(key):
    return q(key, "static", 3, c=2)  # shown on the device's page, too


def ax(key, t, **u):
    # Both ends of the byte on the wire stand for a missing sensor (captures): -40 and 215 °C are no temperatures.
    # In whole degrees, with a deadband: a sensor between two degrees would change for ever.
    return d(key, t, -39, 214, step=10, f=2, **u)


def an(key, f, **t):
    """A total that is counted here, in Wh or mAh (see energy.py)."""
    return d(key, "pack", 0, 1 << 40, f=f, d=3, q=("power",), **t)


def ar(key):
    """A total that the BMS counts, in mAh."""
    return d(key, "slow", 0, 1000000000, step=1000000, f=1000, d=3, c=2)


def g(key, low, h, c=2, **t):
    """A protection limit: {} is its level, 1: warning, 2: the BMS acts."""
    return d(key + "_limit_{}", "limits", low, h, step=0, n=2, c=c, **t)


def aB(key, d, h):
    return g(key, 1, h, 1, d=d)


def ay(key):
    return g(key, -40, 214)


def aw(key):
    return g(key, 0, 1000, d=1)


def v(key, l, **t):
    return q(key, "status", 0, 2, l=l, q=("current", "remaining_capacity"), **t)


def _power(a):
    """0.1 V times 0.1 A is exactly 0.01 W."""
    b = a.raw("pack_voltage")
    c = a.raw("current")
    return None if b is None or c is None else b * c


def au(a, b):
    """0.01 h until full or empty at the mean current; None while idle, unknown, or beyond 100 hours.

    To the nearest 5 minutes, 30 from 4 hours on, 4 hours from a day on: nobody knows it better, and each change is a row in a
    database. Rounded up to 0.01 h, so that 5 minutes (0.09 h) are not shown as 4.
    """
    c = a.raw("current")
    d = a.energy.p  # mA
    e = a.raw("remaining_capacity")
    if c is None or e is None or abs(c) < 10 or (c > 0) != b:
        return None
    if d * c <= 0:  # nothing has been counted since the direction changed
        d = 100 * c
    if b:
        f = aq(a, e)
        if f is None:
            return None
        e = max(0, f - e)
    g = e * 60 // max(abs(d), 100 * 10)
    h = 5 if g < 240 else 30 if g < 1440 else 240
    g = (g + h // 2) // h * h
    return (g * 10 + 5) // 6 if g <= 6000 else None


def aq(a, b):
    """mAh: the rated capacity, else remaining capacity / state of charge; None below 10 % or unknown."""
    c = a.raw("rated_capacity")
    d = a.raw("soc")
    if c is not None:
        return c
    return b * 1000 // d if d is not None and d >= 100 else None


def aA(a):
    return au(a, True)


def a_(a):
    return au(a, False)


def az(a):
    b = au(a, True)
    return au(a, False) if b is None else b


def am(a):
    b = a.raw("max_cell_voltage")
    c = a.raw("min_cell_voltage")
    # where each must be confirmed the two may be of different responses
    if b is None or c is None or b < c or not a.ae:
        return None
    return b - c


def ak(a):
    """1 while any cell is balancing; None while one cell's state is unknown and no other cell is balancing."""
    b = c["cell_{}_balancing"]
    d = a.count(b)
    e = d > 0
    for f in range(d):
        g = a.at(b, f)
        if g:
            return 1
        if g is None:
            e = False
    return 0 if e else None


# The extremes follow from the cells and temperatures and cost 18 % of the line: they are requested seldom, as a check.
# Published are the extremes of the cells and temperatures themselves, while all of them are known (mqtt/deadband.py).
j = (
    d("pack_voltage", "pack", 1, 3000, step=100, d=1, a=aH, f=2),
    d("current", "pack", -15000, 15000, step=2000, d=1, a=aI, f=3, p=32),
    q("power", "pack", 0, 2, l=_power, q=("pack_voltage", "current")),
    an("energy_charged", 20),
    an("energy_discharged", 20),
    an("capacity_charged", 1000, c=1),
    an("capacity_discharged", 1000, c=1),
    d("soc", "pack", 0, 1000, step=30, d=1),

    ap("mode", "status", ("idle", "charging", "discharging")),
    al("charge_mosfet", "status"),
    al("discharge_mosfet", "status"),
    d("heartbeat", "status", 0, 255, c=2),
    d("remaining_capacity", "status", 0, 10000000, step=20000, d=3, a=aG, f=1000),
    v("remaining_time", az),
    v("time_to_full", aA, c=2),
    v("time_to_empty", a_, c=2),
    al("precharge_mosfet", "status", c=1),
    al("heater", "status", c=1),
    al("fan", "status", c=1),

    q("problem", "alarms", 1, l=problem, q=("alarm_bits_{}",)),
    q("active_alarms", "alarms", 3, l=aE, q=("alarm_bits_{}",)),
    q("alarm_bits_{}", "alarms", 5, low=0, h=(1 << 30) - 1, n=5),  # see alarms.py
    d("fault_code", "alarms", 0, 255, c=2),

    d("cell_count", "counts", 1, 48, step=0, c=1),
    d("temperature_count", "counts", 0, 16, step=0, c=2),
    al("charger_connected", "counts", c=2),
    al("load_connected", "counts", c=2),
    al("digital_input_{}", "counts", c=2, n=4),
    al("digital_output_{}", "counts", c=2, n=4),
    d("cycle_count", "counts", 0, 65534, step=1, c=1),

    d("max_cell_voltage", "extremes", 1, 5999, step=300, d=3, a=aF, f=3, c=1),
    d("max_voltage_cell", "extremes", 1, 48, f=0, c=1),
    d("min_cell_voltage", "extremes", 0, 5999, step=300, d=3, a=aF, f=3, c=1),
    d("min_voltage_cell", "extremes", 1, 48, f=0, c=1),
    # its deadband is that of both cells: less is their natural noise
    q("cell_voltage_delta", "extremes", 0, 3, l=am,
         q=("max_cell_voltage", "min_cell_voltage"), f=6),
    ax("max_temperature", "extremes"),
    d("max_temperature_sensor", "extremes", 1, 16, f=0, c=2),
    ax("min_temperature", "extremes", c=1),
    d("min_temperature_sensor", "extremes", 1, 16, f=0, c=2),

    d("cell_{}_voltage", "cells", 0, 5999, step=300, d=3, a=aJ,
            f=3, c=1, n=48, m="cell_count"),
    ax("temperature_{}", "temperatures", c=1, n=16, m="temperature_count"),
    ax("mosfet_temperature", "temperatures", c=1),
    ax("board_temperature", "temperatures", c=1),
    ax("heater_temperature", "temperatures", c=2),
    # of an active balancer; no capture has another value than 0, so its direction is not known
    d("balance_current", "temperatures", -20000, 20000, d=3, f=100, c=1),
    q("balancing", "cells", 1, l=ak, q=("cell_{}_balancing",)),
    al("cell_{}_balancing", "cells", c=2, n=48, m="cell_count"),

    d("rated_capacity", "static", 1, 10000000, step=0, d=3, c=1),
    d("nominal_cell_voltage", "static", 1000, 5000, step=0, d=3, c=2),
    q("production_date", "static", 4, low=0x000101, h=0x630C1F, c=2),
    ap("chemistry", "static", ("LFP", "NMC", "LTO"), c=1),
    d("sleep_time", "static", 0, 65534, step=0, c=2),
    e("battery_code"),
    e("software_version"),
    e("hardware_version"),
    e("serial_number"),
    d("board_number", "static", 1, 16, step=0, c=2),

    d("state_of_health", "slow", 1, 1000, step=50, d=1, c=1),
    d("actual_capacity", "slow", 1, 10000000, step=20000, d=3, f=100, c=2),
    ar("lifetime_charge"),
    ar("lifetime_discharge"),

    aB("cell_overvoltage", 3, 5999),
    aB("cell_undervoltage", 3, 5999),
    aB("pack_overvoltage", 1, 3000),
    aB("pack_undervoltage", 1, 3000),
    g("charge_overcurrent", 1, 15000, d=1),
    g("discharge_overcurrent", 1, 15000, d=1),
    ay("charge_overtemperature"),
    ay("charge_undertemperature"),
    ay("discharge_overtemperature"),
    ay("discharge_undertemperature"),
    aw("soc_high"),
    aw("soc_low"),
    g("cell_voltage_delta", 1, 5999, d=3),
    g("temperature_delta", 1, 200),
    d("balance_start_voltage", "limits", 1, 5999, step=0, d=3, c=2),
    d("balance_voltage_delta", "limits", 1, 5999, step=0, d=3, c=2),
); del al, an, v, ap, ar, g, d, q, aw, ax, ay, e, aB

B = J
c = {a.key: a for a in j}


def K(a):
    """Whether boards may not have this reading, whatever their protocol: it exists once it has been read.

    So it is with a single reading that is requested once or seldom. The extremes are not: where the BMS does not send them,
    those of the cells are published.
    """
    if a.key in I or a.m is not None:
        return a.key == "cell_{}_balancing"
    b = z[a.b].v
    return b is None or (b >= 1000 and a.b != "extremes")


def H(a, b):
    """Whether a real pack can have this raw value; what a TEXT may hold is decided where its bytes are read."""
    c = a.e
    if b is None or c == 3:
        return b is not None
    if not a.low <= b <= a.h:
        return False
    return c != 4 or (1 <= (b >> 8 & 0xFF) <= 12 and 1 <= (b & 0xFF) <= 31)


def i(a):
    """Whether readings have natural noise, so that two in a row are seldom equal."""
    return a.e == 0 and a.step


def n(a):
    """Whether a change is published at once: alarms, MOSFETs, mode."""
    return a.e == 5 or (a.c == 0 and (a.e == 1 or a.e == 2))
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Integers as decimal text, by integer arithmetic: a board's 30-bit floats misprint a quarter of all cell voltages."""


def Y(c, a, b, d):
    """Write raw / 10**decimals as ASCII into `buffer` from index `at`; returns the index behind it. Allocates nothing."""
    if b < 0:
        c[a] = 45  # "-"
        a += 1
        b = -b
    e = 1
    f = b // 10
    while f or e <= d:
        e += 1
        f //= 10
    g = a + e + (1 if d else 0)
    for h in range(g - 1, a - 1, -1):
        if d and h == g - 1 - d:
            c[h] = 46  # "."
        else:
            c[h] = 48 + b % 10
            b //= 10
    return g


X = bytearray(16)


def m(a, d):
    """raw / 10**decimals as str: decimal_text(-1234, 2) is "-12.34"."""
    return str(memoryview(X)[: Y(X, 0, a, d)], "ascii")
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""JSON, written into one buffer that is reused: digits by integer arithmetic, with exactly the decimals of the row."""

import io
import json




  # characters: Home Assistant shows a state that is longer as unknown
# Bytes of the longest message, in one piece of memory that is taken once: a state of 48 cells with everything that a protocol
# can say has up to 5400, a discovery message 4096.

  # readings or pairs written in one step: 3,000 bytecodes


class u:
    """Collects the text of one message, in a buffer of `size` bytes that is reused, and grows only for a longer one.

    The buffer is a BytesIO: a slice of a bytearray would be an object on the heap, hundreds of times in a message.
    """

    def __init__(a, b=512):
        a.e = io.BytesIO()
        a.e.write(bytes(b))
        a.d = bytearray(16)
        a.clear()

    def clear(a):
        """Begin a new message; returns self."""
        a.e.seek(0)
        a.c = 0
        return a

    def bytes(a):
        """The message, as a copy."""
        a.i()
        return a.e.read(a.c)

    def i(a):
        """From now on `readinto` reads from the beginning; nothing can be put any more."""
        a.e.seek(0)

    def readinto(a, b):
        """Fill `buffer` with the next bytes; returns their number. Behind the end of the message is something old."""
        return a.e.readinto(b)

    def __len__(a):
        return a.c

    def r(b, a):
        """Append text as it is; returns self."""
        if isinstance(a, str):
            a = a.encode()
        b.e.write(a)
        b.c += len(a)
        return b

    def h(a, b):
        """Append text as a JSON string."""
        return a.r(json.dumps(b))

    def f(a, b, d):
        """Append raw / 10**decimals as a JSON number."""
        c = a.d
        a.c += Y(c, 0, b, d)
        a.e.write(c)  # all of it: what stands behind the number is overwritten next
        a.e.seek(a.c)
        return a

    def g(a, b):
        """Append a JSON object of (key, value): int, str (of at most MOST_TEXT), bool as "ON"/"OFF", None as null."""
        for c in l(a, b):
            pass
        return a


def l(g, c, b=b'{"'):
    """What `put_pairs` does, as a generator: a few pairs in each step; yields True when all is written.

    `separator`: what stands before the first one; b',"' continues an object.
    """
    d = 0
    for e, f in c:
        if d == 6:
            d = 0
            yield False
        d += 1
        g.r(b).r(e).r(b'":')
        b = b',"'
        if f is None:
            g.r(b"null")
        elif f is True or f is False:
            g.r(b'"ON"' if f else b'"OFF"')
        elif isinstance(f, str):
            g.h(a(f))
        else:
            g.f(f, 0)
    g.r(b"}" if c else b"{}")
    yield True


def G(a):
    """Text as it stands between the quotes of a JSON string."""
    return json.dumps(a)[1:-1]


def a(a):
    """A text that Home Assistant accepts as a state: one that is too long ends in "..."."""
    return a if len(a) <= 255 else a[: 255 - 3] + "..."


def F(b):
    """The sentences that fit into MOST_TEXT, the first one in any case, then how many more there are: "+2"; or "none"."""
    if not b:
        return "none"
    c = b[0]
    for d in range(1, len(b)):
        e = len(b) - d - 1
        f = c + " " + b[d]
        if len(f) + (len(f" +{e}") if e else 0) > 255:
            g = f" +{e + 1}"
            return (c if len(c + g) <= 255 else c[: 255 - 3 - len(g)] + "...") + g
        c = f
    return a(c)


# row by row what stands before its number: b'"soc":', or for cells b'"cell_', b'_voltage":'; made when it is first written
T: list = [None] * len(j)


def aL(g, a, b=False, c=None, d=None):
    """Write all readings that exist as one JSON object: each key always there, null for what is not known now.

    `every_slot`: also of cells and sensors that there may be; `seq` and `time` stand before them where there is a `seq`.
    """
    for e in k(g, a, b, c, d):
        pass
    return g


def k(g, a, b=False, c=None, d=None):
    """What `write_pack` does, as a generator: a few readings in each step; yields True when all is written."""
    e = b"{"
    if c is not None:
        g.r(b'{"seq":').f(c, 0).r(b',"time":')
        g.r(b"null") if d is None else g.h(d)
        e = b","
    f = 6
    for h in range(len(j)):
        i = j[h]
        if i.e == 5 or not a.k(i) or (b and V(a, i)):
            continue
        k = T[h]
        if k is None:
            k = T[h] = tuple([m.encode() for m in ('"' + i.key + '":').split("{}")])
        if i.l is not None:  # it may look at all cells
            f = 0
        for l in range(i.n if b else a.count(i)):
            if f <= 0:
                f = 6
                yield False
            f -= 1
            g.r(e).r(k[0])
            if i.n > 1:
                g.f(l + 1, 0).r(k[1])
            W(g, a, i, l)
            e = b","
        if i.l is not None:
            f = 1
    g.r(b"}")
    yield True


def V(a, b):
    """Whether no protocol has been found yet, and this is one of the many readings that are read once, if a board has them."""
    return a.R is None and z[b.b].v is None and a.at(b) is None


def w(a, b):
    """The JSON key of a row's reading number `index` (from 0): "cell_7_voltage"."""
    return a.key.replace("{}", str(b + 1)) if a.n > 1 else a.key


def W(g, a, b, c):
    d = a.at(b, c)
    if d is None:
        g.r(b"null")
    elif b.e == 0:
        g.f(d, b.d)
    elif b.e == 1:
        g.r(b'"ON"' if d else b'"OFF"')
    elif b.e == 2:
        g.r(b'"').r(s[b.key][d]).r(b'"')
    else:
        g.h(a.text(b, c))
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which direction is charging on this board: decided by comparing current and mode, on strong evidence, and kept for good.

Most A5 boards count discharging above 30000, some firmware and some wirings the other way round (user-pains 1.2; an active
balance board was captured with 30054 beside "charging"), and some boards have both swapped, current and mode (batmon-ha#279),
which a comparison cannot find: then the owner decides. While the two contradict each other one of them is unknown.
"""



# What is kept in non-volatile memory.




# Comparisons in a row that agree beside a clear current. The current is requested many times between two modes, so a battery
# that changes direction makes one or two contradictions, and a mode that lags some more.


# Not settled, and contradicted a moment ago: the two may agree only because one of them has changed and the other has not been
# read since. So many comparisons must agree, however small the current.

# Once settled, the polarity is the board's: a mode that is stuck contradicts in one direction only. So many in each direction.


# trouble: why the current or the mode is unknown





# What a comparison results in, as bits.
  # both should soon be read again
  # current or mode has become unknown, or known again
  # one of them counts the other way round from now on: what is held of it is wrong


class R:
    """Decides `current_inverted` and `mode_inverted`, and which of current and mode is unknown meanwhile.

    `choice` is the setting. "auto": the mode is right, and the current follows it; `kept` is what was settled before the
    restart. "normal" or "inverted": the owner has decided which way the current counts, and on an inverted board the mode is
    swapped, too; where that makes them contradict each other, the mode follows the current. `label`: the battery's name on
    the console.
    """

    def __init__(a, b="auto", c=0, d="BMS"):
        a.v = d
        a.k = b == "auto"
        a.u = not a.k  # the mode is the one that is decided, not the current
        a.t = a.z = b == "inverted"
        a.q = False
        a.m = False
        a.c = None  # when the current was read that was compared last
        a.j = 0  # comparisons in a row
        a.r = 3  # the same since a contradiction, up to this
        a.n = 0
        a.d = [0, 0]  # contradictions while charging and while discharging, since the last agreement
        a.f(c)

    def f(a, b):
        """Continue with what was settled before the restart; nothing where the owner decides. Returns TURNED or 0."""
        if not a.k or b == 0 or a.q:
            return 0
        a.q = True
        c = a.t != (b == 2)
        a.t = b == 2
        return 4 if c else 2

    def g(a):
        """Another board is read: what was settled, unless by the owner, is not of this one. Returns CHANGED, TURNED or 0."""
        if not a.k or not a.q:
            return 0
        b = a.t
        a.q = a.m = a.t = False
        a.d[0] = a.d[1] = a.j = a.n = 0
        a.r = 3
        return 4 if b else 2

    @property
    def text(a):
        """The decision in a word."""
        if a.k and not a.q:
            return "not settled yet"
        return "inverted" if a.t else "normal"

    @property
    def e(a):
        """What is to be kept over a restart: UNSETTLED, also where the owner decides, NORMAL or INVERTED."""
        if not a.k or not a.q:
            return 0
        return 2 if a.t else 1

    @property
    def trouble(a):
        """AGREES, or why the current or the mode is unknown."""
        if not a.m:
            return 0
        if not a.k:
            return 3
        return 2 if a.q else 1

    def w(a, b, c):
        """Whether the one that is decided is unknown now: contradicted, or not settled and contradicting, however small, or
        just before."""
        if a.m or a.q:
            return a.m
        if a.r < 3 and b and c:
            return True
        return C(b or 0, c)

    def s(a, b, c, d):
        """Compare a mode just read with the current (0.1 A) beside it, which was read at the tick `read_at`.

        Returns REREAD, CHANGED and TURNED as bits. Only a clear current in a clear mode is evidence, but while nothing is
        settled a small one can contradict, too.
        """
        if not b or not c or (a.q and abs(b) < 30):
            return a.l(False)
        if d == a.c:  # a reading counts once, however often the mode is read beside it
            return a.p()
        a.c = d
        e = 0
        f = abs(b) >= 30
        g = a.r
        if C(b, c):
            a.r = 0
            a.n += 1
            if f:
                e = a.o(c)
        else:
            a.r = min(g + 1, 3)
            a.n = 0
            if f:
                e = a.h()
        if g < a.r == 3 and not a.q:
            e |= 2
        return e | a.l(a.n >= 3) | a.p()

    def p(a):
        """REREAD while a contradiction has been seen, and not often enough to be one."""
        return 1 if 0 < a.n < 3 else 0

    def h(a):
        a.d[0] = a.d[1] = 0
        a.j += 1
        return a.i() if a.j >= 10 and not a.q else 0

    def o(a, b):
        a.j = 0
        a.d[b - 1] += 1
        if a.q:
            c = min(a.d) >= 40
        else:
            c = a.d[b - 1] >= 10
        if not c:
            return 0
        if a.u:
            a.z = not a.z
        else:
            a.t = not a.t
        return 4 | a.i()

    def i(a):
        a.d[0] = a.d[1] = a.j = a.n = 0
        b = a.q
        a.q = True
        if a.k:
            print(f"{a.v}: the sign of the current is {a.text}")
        return 0 if b else 2

    def l(a, b):
        if b == a.m:
            return 0
        a.m = b
        return 2
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is known of one battery now: one integer a reading, or None. Performs no I/O and has no clock.

A value is accepted only when the BMS sent it and it is plausible, and expires when it is too old: nothing here is ever guessed.
On a clean line a possible value is accepted immediately, unless it jumps (the row's `step`) or contradicts another reading
(`check`): then the next one must confirm it. On a line where frames are damaged one damaged frame in 256 has a right checksum,
so there every change must be confirmed. Measured values are seldom the same twice, so of the last three readings the middle
one is accepted: it was sent, and one glitch alone is never in the middle.
"""


























A = c["pack_voltage"]
CURRENT = c["current"]
_ = c["mode"]
Z = c["alarm_bits_{}"]
CELLS = c["cell_{}_voltage"]
# One of the batteries that are read. number: fixed by UART and board number, 1 to 16 on the first UART, 201 to 216 on the
# second, 301 to 316 on the third; key: in topics and ids, "bms1"; name: of its device in Home Assistant; label: in sentences
# and on the screen, "" where there is only one battery; poller: of daly/poller.py
aa = namedtuple("aa", ("number", "key", "name", "a", "pack", "g"))
# what is requested all the time
ah = tuple(
    [a for a in j if a.l is None and a.b != "slow" and z[a.b].v is not None]
)
S = ("cell_count", "temperature_count", "battery_code", "software_version", "hardware_version")


class b:
    """The readings of one battery as they are: the live ones below, or a copy that is published.

    A raw value is the integer before scaling; None: not known now. `topology`: what kind of battery this is, by key of
    TOPOLOGY; `energy`: has `mean_current`, in mA.
    """

    def __init__(a, b, c):
        a.s: list = [None] * B
        a.M = [0] * B  # ticks of the response each value came with
        a.ao: dict = b
        # keys of the rows that do not exist, and of those that cannot even be sent; never changed in place; None: not known yet
        a.R: set | None = None
        a.P: set | None = None
        a.ap = 0
        a.energy = c
        a.ae = True  # the highest and the lowest cell were measured together
        a.f = 0  # grows with every changed value: cheap to compare
        a.ab = 0  # grows when a value becomes unknown, or known again

    def raw(a, key, b=1):
        """The raw value of a reading; `number` (from 1) picks the cell or sensor. None: not known now."""
        return a.at(c[key], b - 1)

    def at(a, b, c=0):
        """The same as `raw` for a row of the table and an index from 0."""
        if b.l is not None:
            return b.l(a)
        if (b is CURRENT or b is _) and a.G(b):
            return None
        return a.s[b.g + c]

    def ad(a, b):
        """The same as `at` for the slot of a cell or a sensor, in short."""
        return a.s[b]

    def G(a, b):
        return False

    def aj(a, key):
        """Tick of the response the value of a reading came with; meaningless while that is not known."""
        return a.M[c[key].g]

    def count(a, b):
        """How many readings this row stands for in this battery: its cells or sensors as far as known, else its slots.

        0 for a row that does not exist; but a Pack's protocol has to know how many an optional one has before it is read.
        """
        if a.P is not None and b.key in a.P:
            return 0
        return b.n if b.m is None else a.ao[b.m]

    def k(a, b):
        """Whether this row exists in this battery; True for every row until the BMS has answered."""
        return a.R is None or b.key not in a.R

    def ai(a, b):
        """Whether the highest and the lowest cell were measured together; when not, their delta is not known."""
        if b != a.ae:
            a.ae = b
            a.f += 1

    def text(a, b, c=0):
        """A reading for people ("53.2", "charging", "on"); None: not known now."""
        d = a.at(b, c)
        if d is None or b.e == 3:
            return d
        if b.e == 2:
            return s[b.key][d]
        if b.e == 1:
            return "on" if d else "off"
        if b.e == 4:
            return f"{2000 + (d >> 16)}-{d >> 8 & 0xFF:02d}-{d & 0xFF:02d}"
        return m(d, b.d)

    def r(a, b, c, d, e):
        """Set a reading to `raw`, as it is."""
        f = b.g + c
        g = a.s[f]
        if g != d:
            if d is None or g is None:
                a.ab += 1
            a.s[f] = d
            a.f += 1
        a.M[f] = e


class ad(b):
    """The live readings of one battery: accepted when plausible and confirmed, forgotten when too old.

    `cell_count`, `temperature_count`: how many there are until the BMS sends it, for boards that never do; 0: wait for it.
    `polarity`: decides which direction is charging; None: a Polarity of its own.
    """

    def __init__(a, b=0, c=0, polarity=None):
        d = dict.fromkeys(S)  # as last read; kept while the BMS is silent
        d["cell_count"] = b
        d["temperature_count"] = c
        super().__init__(d, P())
        a.l = (b, c)
        a.i: tuple | None = None  # those that the protocol can say; None: it is not known
        a.Q: tuple | None = None
        a.O: tuple = ()  # rows that exist once they have been read
        a.C = 0  # `gaps` when the last response was finished
        a.h: list = [None] * B  # the reading before, accepted or not
        a.n = [0] * B  # its ticks
        a.z: list = [None] * B
        a.B = 0  # `changes` when the last response was finished
        a.A = False  # voltage or current came with the present response
        a.polarity = polarity or R()
        a.t = 0  # values that were impossible, or had to be confirmed
        a.X = False  # what must be confirmed is requested again at once, so that any value can be
        a.ac = 0  # jumps that the next reading did not confirm

    def W(a):
        """What must be confirmed is requested again at once from now on."""
        a.X = True

    def select(a, b, c=None):
        """A protocol has been found that can say `rows` and write the controls with the keys `writes`; None: all of them.

        Other rows than before are those of another protocol: what was read with that one is forgotten, except the energy.
        Call it before the first response is handed over.
        """
        if b is not a.i or c is not a.Q:
            a._select(b, c)

    def _select(a, b, c):
        if b == a.i and c == a.Q:
            return
        if a.i is not None:
            a.E()
        a.i = b
        a.Q = c
        a.O = tuple([e for e in b if K(e)])
        d = {f.key for f in b if not K(f)}
        a.N({g.key for g in j if g.key not in d})
        a.K()
        a.ap += 1
        a.J()

    def E(a):
        """Forget also what kind of battery it is."""
        a.g()
        for b in S:
            a.ao[b] = None
        a.ao["cell_count"], a.ao["temperature_count"] = a.l

    def U(a, key):
        """Whether the protocol can write the control with this key; True until the BMS has answered."""
        return a.Q is None or key in a.Q

    def T(a, b):
        """Whether this row does not exist only because it has not been read yet, or never will be."""
        return b in a.O

    def K(a):
        """Optional rows that have been read since the last time exist from now on; True when there are any."""
        b = [e for e in a.O if a.I(e)]
        if not b:
            return False
        a.O = tuple([f for f in a.O if f not in b])
        c = set(a.R or ())
        for d in b:
            c.discard(d.key)
        a.N(c)
        return True

    def N(a, b):
        a.R = aD(b)
        c = [d.key for d in a.O]
        a.P = {e for e in a.R if e not in c}

    def I(a, b):
        for c in range(b.g, b.g + b.n):
            if a.s[c] is not None:
                return True
        return False

    def G(a, b):
        c = a.polarity
        if c.u != (b is _):
            return False
        return c.w(a.s[CURRENT.g], a.s[_.g])

    def V(a):
        """A mode has just been read: compare it with the current. True when both should soon be read again."""
        b = CURRENT.g
        c = a.polarity.s(a.s[b], a.s[_.g], a.M[b])
        a.D(c)
        return bool(c & 1)

    def al(a, b):
        """Continue with the polarity that was settled before the restart."""
        a.D(a.polarity.f(b))

    def aa(a):
        """Another board is read than the one whose polarity was settled."""
        a.D(a.polarity.g())

    def D(a, b):
        if b & 4:
            a.m(_ if a.polarity.u else CURRENT)
        if b & (2 | 4):
            a.J()

    def m(a, b):
        """What is held of the current, or of the mode, is the wrong way round: forget it."""
        c = b.g
        a.s[c] = a.h[c] = a.z[c] = None
        a.energy.r()
        if b is CURRENT:
            for c in range(Z.g, Z.g + 5):
                if a.s[c] is not None and c != Z.g + 3 - 1:
                    a.s[c] = aK(a.s[c])
                a.h[c] = a.z[c] = None

    def J(a):
        """A value has become unknown, or known again, without having been read."""
        a.f += 1
        a.ab += 1

    def an(a):
        """The sum of all cell voltages in mV; None while one is not known."""
        b = 0
        for c in range(CELLS.g, CELLS.g + a.count(CELLS)):
            d = a.s[c]
            if d is None:
                return None
            b += d
        return b or None

    def Z(a):
        """(highest, lowest) cell voltage in mV; (None, None) while one is not known."""
        b = c = None
        for d in range(CELLS.g, CELLS.g + a.count(CELLS)):
            e = a.s[d]
            if e is None:
                return None, None
            if b is None or e > b:
                b = e
            if c is None or e < c:
                c = e
        return b, c

    def ah(a, b):
        """Whether everything known of a row is zero, or nothing is known."""
        for c in range(b.g, b.g + a.count(b)):
            if a.s[c]:
                return False
        return True

    def af(a, b):
        """Whether all that is known of these cells or sensors came with one response, and none must be confirmed."""
        c = None
        for d in range(b.g, b.g + a.count(b)):
            if a.s[d] is not None:
                if c is not None and a.M[d] != c:
                    return False
                c = a.M[d]
        return True

    # what a protocol hands over, value by value, then `finish`

    def accept(b, c, d, a, e, f=False):
        """Judge one value of a response; `raw` None: what was sent is no value. False when it must be confirmed.

        `doubtful`: frames are being damaged on this line. An implausible value changes nothing: what was known expires.
        """
        g = c.g + d
        h = c is CURRENT or c is _
        if c is CURRENT or c is A:
            b.A = True
        if a is not None and a == b.s[g] and a == b.h[g] and not h:
            # as it was twice: all that follows, in short, since most values of a battery at rest are
            b.z[g] = a
            b.M[g] = b.n[g] = e
            return True
        if not H(c, a):
            b.t += 1
            return True  # or a sensor that is not there: reading it again would not help
        if h:
            a = b.F(c, a)
        i = b.s[g]
        j = b.h[g]
        k = c.step
        l = k is None or i is None or -k <= a - i <= k
        if l and c.a is not None:
            l = not c.a(b, a)
        if l and not f:
            m = True
            if k is not None and i is not None and j is not None and not -k <= j - i <= k:
                b.ac += 1
        else:
            m = b.o(c, g, a)
        if m:
            b.r(c, d, a, e)
        else:
            b.t += 1
            n = not l and j == i  # what would be confirmed is held already: the jump is still to be
            o = c.e == 0 and k is None and not b.X
            m = (b.v(c, d, a) and not n) or o
        b.z[g] = j
        b.h[g] = a
        b.n[g] = e
        return m

    def S(a, b, c, d, e=False):
        """Judge values of one response that belong together, as alarms do: all of them are accepted, or none."""
        f = True
        for g in range(b.n):
            c[g] = a.F(b, c[g], g)
            if e and not a.o(b, b.g + g, c[g]):
                a.t += 1
                f = False
        for g in range(b.n):
            if f:
                a.r(b, g, c[g], d)
            h = b.g + g
            a.z[h] = a.h[h]
            a.h[h] = c[g]
            a.n[h] = d
        return f

    def j(a, b):
        """A response has been handed over: what follows from its values."""
        if a.f != a.B:
            a.B = a.f
            for c in S:
                a.L(c)
            if a.O and a.ab != a.C:
                a.C = a.ab
                if a.K():
                    a.ap += 1
        if a.A:
            a.A = False
            a._(b)

    def ak(a):
        """A whole response was no answer."""
        a.t += 1

    def Y(a, b, c):
        """Forget the readings of one row that were read before the tick `before`."""
        d = b.n if b.m is None else a.ao[b.m] or 0
        for e in range(b.g, b.g + d):
            if a.s[e] is not None and ticks_diff(a.M[e], c) < 0:
                a.s[e] = None
                a.J()

    def u(a, b):
        """Age of the oldest reading that is held, of those that are requested all the time; 0 without any."""
        c = 0
        d = a.s
        e = a.M
        f = None
        for g in ah:
            for h in range(g.g, g.g + a.count(g)):
                if e[h] != f and d[h] is not None:
                    f = e[h]
                    c = max(c, ticks_diff(b, f))
        return c

    def g(a):
        """Forget every value; the topology stays."""
        for b in range(B):
            a.s[b] = a.h[b] = a.z[b] = None
        a.energy.r()
        a.J()

    def F(a, b, c, d=0):
        """A value of a board that counts the other way round, as it is with us."""
        e = a.polarity
        if b is CURRENT and e.t:
            return -c
        if b is _ and e.z and c:
            return 3 - c  # 1 is charging, 2 discharging
        if b is Z and e.t and d != 3 - 1:
            return aK(c)
        return c

    def o(a, b, c, d):
        """Whether a value was read before, or is the middle one of the last three readings."""
        e = a.s[c]
        f = a.h[c]
        g = a.z[c]
        if d == e or d == f or d == g:  # `before`: what alternates between two values is followed
            return True
        if f is None or not i(b):
            return False
        if e is None:
            return abs(d - f) <= b.step
        if g is None:
            g = e
        return abs(d - e) <= 1 or g < d < f or f < d < g  # 1: natural noise of the last digit

    def v(a, b, c, d):
        """Where the reading before is the middle one of the last three, it is confirmed now."""
        e = b.g + c
        f = a.h[e]
        g = a.z[e]
        if g is None:
            g = a.s[e]
        if g is None or f is None or not i(b) or not (g < f < d or d < f < g):
            return False
        a.r(b, c, f, a.n[e])
        return True

    def _(a, b):
        d = a.raw("power")
        if d is None:
            a.energy.r()
        else:
            a.energy.d(d, a.raw("current"), b)
        for e in o:
            a.r(c[e], 0, a.energy.total(e), b)

    def L(a, key):
        b = a.raw(key)
        if b is None or b == a.ao[key]:
            return
        a.ao[key] = b
        a.ap += 1
        for c in j:
            if c.m == key:
                for d in range(c.g + b, c.g + c.n):
                    a.s[d] = None


def aD(a):
    """`absent` without the rows that are calculated from rows which exist."""
    b = False
    while not b:
        b = True
        for c in I:
            if c in a and not [d for d in I[c] if d in a]:
                a.remove(c)
                b = False
    return a
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The highest and the lowest cell, and temperature: those of the cells themselves, since the BMS says its own seldom."""



# cells or sensors, the highest of them and its number, the lowest and its number, their delta
r = tuple(
    tuple(c[b] if b else None for b in a)
    for a in (
        (
            "cell_{}_voltage",
            "max_cell_voltage",
            "max_voltage_cell",
            "min_cell_voltage",
            "min_voltage_cell",
            "cell_voltage_delta",
        ),
        ("temperature_{}", "max_temperature", "max_temperature_sensor", "min_temperature", "min_temperature_sensor", None),
    )
)


def extremes(a, b):
    """(highest, its number, lowest, its number, whether a cell is not known) of the Values `pack`; None: not known.

    For cells that are not known counts what the BMS reports.
    """
    c, d, e, f, g, h = b
    i, j, k, l, m = at(a, c)
    if m:
        i, j = aC(a, c, i, j, d, e, 1)
        k, l = aC(a, c, k, l, f, g, -1)
    return i, j, k, l, m


def at(a, b):
    """(highest, its number, lowest, its number, whether one is not known) of the cells themselves; None: none is known."""
    c = a.count(b)
    d = e = f = g = None
    h = not c
    for i in range(c):
        j = a.ad(b.g + i)
        if j is None:
            h = True
            continue
        if d is None or j > d:
            d = j
            e = i + 1
        if f is None or j < f:
            f = j
            g = i + 1
    return d, e, f, g, h


def aC(a, b, c, d, e, f, g):
    """(value, number) of the highest (sign 1) or lowest (-1) with what the BMS reports (`row`, `row_at`).

    That is requested less often and may be of another moment, so it counts for the unknown cells only, and alone where no
    cell is known. None: not known.
    """
    h = a.at(e)
    i = a.at(f)
    if h is None or c is None:
        return h, i
    j = i is not None and i <= a.count(b) and a.at(b, i - 1) is not None
    if not j and g * h > g * c:
        return h, i
    return c, d
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The seven alarm bytes that A5, D2 and P81 share: what 0x98 of A5 carries, and in other order registers of the two others.

Vendor PDF V1.2; bits 4 and 5 of byte 6: CAN document and vendor xlsx, which also calls the first two of byte 4 warnings.
"""



# Bytes 0 to 3 are pairs of warning and protection: 4 alarms each, only 2 in the last one.


# The others, from bit 0 on: (level, bit of that bit field in battery/alarms.py)
ai = (
    tuple([(1, 14), (1, 15)] + [(3, a) for a in range(6)]),
    tuple([(3, a) for a in range(6, 14)]),
    tuple([(3, a) for a in range(14, 20)]),
)


def E(a, b):
    """Fill `bits`, a list, with the bit fields of battery/alarms.py, and return it."""
    for c in range(5):
        b[c] = 0
    for d in range(4):
        for e in range(4):
            f = a[d] >> 2 * e & 3
            if f and 4 * d + e < 14:
                b[1 - 1] |= (f & 1) << 4 * d + e
                b[2 - 1] |= (f >> 1) << 4 * d + e
    for d in range(len(ai)):
        g = a[4 + d]
        if g:
            for h, (i, j) in enumerate(ai[d]):
                b[i - 1] |= (g >> h & 1) << j
    return b
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""One UART: moves bytes between it and the poller. The only place in this package that touches hardware."""

from app.early import f

# The longest response, 16 frames of 13 bytes, must fit whole; the S2's driver wants more than its FIFO of 128 anyway.



class ab:
    """Joins the pollers of the boards on a line to `uart`: anything with `readinto(buffer)`, which returns None or a count at
    once, and `write(bytes)`. Several pollers are SharedPollers, which take turns: see shared.py.
    """

    def __init__(a, b, c):
        a.d = tuple(c)
        a.n = b
        a.h = bytearray(64)
        if len(a.d) == 1:
            a.j = a.d[0]
        else:
            from .shared import a as d  # only with several boards on a line

            a.j = d(a.d)
        a.f = None
        a.l = a.j  # or the scan, which takes its place

    def c(a, b):
        """Hand over what has arrived, then send the next request if it is time (13.5 ms at 9600 baud)."""
        c = a.n.readinto(a.h)
        while c:
            a.l.C(a.h, c, b)
            c = a.n.readinto(a.h) if c == len(a.h) else 0
        d = a.l.poll(b)
        if d is not None:
            a.n.write(d)
            a.l.B(b)
        elif a.f is not None and a.f.q:
            a.e()

    def g(a, b):
        """Ask which board numbers respond, beside those that are read; `done(found)` is called once, see scan.py."""
        from .scan import Scan as c  # seldom

        d = [e.Q for e in a.d]
        a.l = a.f = c(a.j, d, b)

    def e(a):
        b = a.f
        a.l = a.j
        a.f = None
        f("daly.scan")
        a.d[0]._()
        b.j()

    def u(a, b):
        """How long nothing is expected on the line, in ms: see Poller."""
        return a.l.u(b)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The poll schedule: which block is requested next. Each in turn when it is due, the fast one in between, static data once.

Every block is optional: one that gets no response has its turn, and never keeps the others waiting. No I/O, no clock.
"""

from adafruit_ticks import ticks_add



# A block that is ignored so often in a row while others are answered is not supported by this board: request it but rarely.
  # at 20 % of frames missing one block in 600 is ignored so often

# The same for static data that many boards do not have: it is requested twice, and again when it hardly costs anything.


# The same for a block that was answered before, of five frames one may be lost for hours; and for all of them where most
# requests are ignored, whatever they ask.

# A missing response to a block that is supported weighs so much, a response takes 1 away, and above the limit a line is lossy.


# Empty responses that would change something must come four times: requested again so often before the cycle goes on.

# Poll cycles are as long on the slowest boards (48 cells, 200 ms to think). Longer ones come from time-outs: no excuse.

# Static data is requested one block after the other with the measurements in between: some boards support none of it.



# With more boards on a line than this the current of P81 would be read less than once a second: the cells wait for so long, per
# board.



# The very first cycle has no fast lane, except beside other boards where it is overdue by so much: it would expire before it is
# published.

  # with several boards on the line a cycle may be as long as so much for each
# Beside other boards static data is read until the cycle has lasted so long, else one block in a cycle, and none in the first.



class af:
    """`blocks`: of the protocol; `frames_expected(index)`: 0 while a block cannot be requested; `is_online()`: whether the BMS
    answers; `periods`: ms by setting of a poll group, where it is not the group's own. `current`: index of the block requested
    last.
    """

    def __init__(a, b, c, d, e=None):
        a.current = 0
        a.p = None  # from one turn of the first block to the next
        a.A = b
        a.I = c
        a.i = d
        a.e = []
        for f in b:
            g = z[f.b]
            a.e.append((e or {}).get(g.a, g.v))
        a.g = a.e[0]
        a.K = False  # in this cycle
        a.q = 1  # that are requested in turn on this line
        h = len(b)
        a.N = [z[i.b].v is None for i in b]
        a.M = [j.K for j in b]
        a.S = [k for k in range(h) if not (a.N[k] or a.M[k])]
        a.B = a.e[a.S[1]] if len(a.S) > 1 else 0
        a.C = -1  # where the cycle through all blocks stands
        a.R = -1  # and where, once the block chosen last is requested
        a.w = None  # index of a block that has its turn immediately, behind the fast lane
        a.D = None
        a.X = a.G = 0  # ticks of the last request, and of the last one of the first block
        a.H = 0  # since the one before
        a.o = bytearray(h)  # how often each block was requested again at once, in this cycle
        a.O = 0  # weight of the responses lost of late
        a.f = [0] * h
        a.n = [0] * h  # time-outs in a row, with a response to something else between them
        a.Q = [-1] * h  # `_responses` at the last of them
        a.V = 0  # modulo 65536
        a.z = [False] * h  # ever
        a.U = [False] * h  # answered, or not in time, since the BMS came online
        a.k = [False] * h  # static data that has been read
        a.Y = [False] * h  # by this board, as far as that can be seen
        a.F = [0] * h  # empty responses to static data
        a.W = None  # index of a block that is requested next, whatever its period

    @property
    def r(a):
        """Whether every block that is polled has been requested since the BMS came online."""
        for b in a.S:
            if not a.U[b] and a.I(b):
                return False
        return a.i()

    @property
    def ad(a):
        """How many blocks are requested again and again."""
        return len(a.N) - sum(a.N)

    @property
    def t(a):
        """Whether all static data has been read, or given up."""
        return a.L(True)

    def L(a, b):
        for c in range(len(a.A)):
            if a.N[c] and not a.k[c] and (b or not a.M[c]):
                return False
        return a.r

    @property
    def m(a):
        """Functions of the blocks that this board does not support; static ones all at one time, when the last is given up."""
        b = []
        for c in range(len(a.A)):
            if a.M[c]:
                continue
            if a.Y[c] and (not a.N[c] or a.L(False)):
                b.append(a.A[c].function)
        return b

    def af(a, b):
        """So many boards are requested in turn on this line: the fast lane of each has the same part of it as that of one."""
        a.q = max(1, b)
        a.e[0] = a.g * a.q
        if not a.g and len(a.S) > 1:  # P81: its two long requests take turns
            c = 500 * b if b > 3 else 0
            a.e[a.S[1]] = max(a.B, c)

    def s(a, b):
        """The block of this reading is requested next."""
        a.W = a.j(b)

    def j(a, b):
        """Index of the block of this reading; None: no block has it."""
        for c in range(len(a.A)):
            if b in a.A[c].k:
                return c
        return None

    def ae(a, b):
        """The block requested last does not wait for its period."""
        a.f[a.current] = b

    def c(a, b):
        """A new connection, or a search for one: request everything."""
        c = 0
        for d in range(len(a.A)):
            if a.N[d]:
                c += 200
            a.f[d] = ticks_add(b, c)
            a.n[d] = 0
            a.k[d] = False
            a.F[d] = 0
            a.U[d] = False

    def Z(a):
        """The BMS is found: what is measured comes first, and where the search stood does not count."""
        a.C = a.R = 0 if a.current == 0 else -1
        if a.current == 0 and a.D is None:  # it was found by a request out of turn
            a.D = a.X

    def aa(a, b, c=-1):
        """Index of the block to be requested at the tick `now`, or None; `take` when it is requested.

        `pending`: the block whose response is waited for: until it is judged it looks due, and is not requested twice in a row,
        unless there is no other.
        """
        a.R = a.C
        if a.W is not None:
            return a.W
        # The first block is the fast lane: it cuts in when it is due, but never twice in a row, so that no other starves,
        # and not in the very first cycle: until then nothing is published.
        if a.e[0] and a.current != 0 and a.h(0, b) and a.J(b):
            return 0
        if a.w is not None:
            return a.w
        d = len(a.A)
        e = 0  # step to a block that is read only where nothing else is due
        for f in range(1, d + 1):
            g = (a.C + f) % d
            if g != c and a.h(g, b):
                if a.P(g, b):
                    e = e or f
                    continue
                a.R = a.C + f
                return g
        if e and c < 0:
            a.R = a.C + e
            return a.R % d
        if c >= 0 and a.e[c] == 0:  # there is no other, as with D2
            a.R = a.C + d
            return c
        return None

    def J(a, b):
        if a.r or not a.i():
            return True
        return a.q > 1 and ticks_diff(b, a.f[0]) >= 500

    def P(a, b, c):
        """Whether a block is not measured, and comes later: beside other boards a cycle is long, and what is measured must not
        expire meanwhile.
        """
        if a.q == 1 or not (a.N[b] or a.M[b]):
            return False
        d = a.K and ticks_diff(c, a.D) >= 2000
        return d or not a.r

    def d(a, b, c):
        """The block chosen last is requested now."""
        a.current = b
        a.X = c
        if not b:
            a.H = ticks_diff(c, a.G)
            a.G = c
        if b == a.W:
            a.W = None
        if b == a.w:
            a.w = None
        if a.R != a.C:
            if a.C < 0 or a.R >= len(a.A):
                a._(c)
            a.C = a.R % len(a.A)
        if a.N[b] or a.M[b]:
            a.K = True
        if a.q == 1 and a.N[b] and (a.p or 0) > 1000:
            a.E(c)

    def E(a, b):
        """The other static data waits for a whole cycle: what is measured must not expire meanwhile."""
        c = ticks_add(b, min(a.p or 1000, 5000))
        for d in range(len(a.A)):
            if a.N[d] and not a.k[d] and ticks_diff(a.f[d], c) < 0:
                a.f[d] = c

    def ag(a, b):
        """This block is requested once more, out of its turn."""
        a.current = b

    def l(a, b, c, d):
        """The block requested last was answered; what is not whole or must be confirmed is requested again in the next cycle.

        Returns whether what is unsupported may have changed.
        """
        e = a.current
        f = a.N[e]
        a.V = (a.V + 1) & 0xFFFF
        a.n[e] = 0
        a.z[e] = a.U[e] = True
        a.k[e] = f and b and c
        a.f[e] = ticks_add(d, (a.e[e] or 0) if b and c else 0)
        g = a.Y[e] or f
        a.Y[e] = False
        a.O = max(0, a.O - 1)
        a.o[e] = 0
        return g

    def ah(a, b):
        """The block requested last was answered with zeros.

        One that must be confirmed has its next turn immediately, but with the fast lane in between: is it zero, too?
        A setting that was never made is zero for ever: it is requested a few times.
        """
        c = a.current
        if a.N[c] or a.M[c]:
            a.F[c] += 1
            d = a.F[c] >= 3
            a.k[c] = d and a.N[c]
            if d and not a.N[c]:
                a.f[c] = ticks_add(b, 600000)
            return
        e = a.A[c]
        if z[e.b].v == 0 and e.g == 1 and a.o[c] < 3:
            a.o[c] += 1
            a.w = c

    def ai(a, b):
        """A response has come after its time-out: the board supports this block."""
        a.n[b] = 0

    def failed(a, b, c):
        """The block requested last was not answered. Returns whether what is unsupported may have changed."""
        d = a.current
        e = a.N[d]
        if b and a.Q[d] != a.V:  # else it is the whole BMS that is silent
            a.Q[d] = a.V
            a.n[d] += 1
        a.U[d] = True
        if b and a.z[d]:
            a.O = min(2 * 6, a.O + 4)
        f = 2 if e and a.M[d] else 4
        if a.z[d] or a.O > 6:
            f = 20
        g = a.i() and a.n[d] >= f
        if e:
            a.k[d] = g
            if a.q == 1:
                a.E(c)  # of A5 many boards have none: all these time-outs in a row would take 5 s
        h = g or a.Y[d]
        if h:
            a.Y[d] = True
        i = 2500 if e else 0
        j = 600000 if a.M[d] else 60000
        a.f[d] = ticks_add(c, j if g else i)
        return h

    def ab(a):
        """Whether a time-out is a surprise: the block requested last was answered before, or was not ignored yet."""
        return a.z[a.current] or not a.n[a.current]

    def v(a, b):
        """How often a block is requested: in each cycle, except the first block and those with longer periods. None: once."""
        c = a.e[b]
        if c is None:
            return None
        if c and not b:
            # beside other boards it has to wait for its turn
            return c if a.q == 1 else max(c, min(a.H, 5000))
        return max(c, min(a.T(), 5000))

    def u(a, b):
        """The same, also where a cycle is longer because there are many boards."""
        if a.e[b] is None or (a.e[b] and not b):
            return a.v(b)
        return max(a.e[b], min(a.T(), 3000 * a.q))

    def T(a):
        b = a.p or 0
        if a.q == 1 or a.D is None:
            return b
        # the present one may be longer, and the first one has no other
        return max(b, ticks_diff(a.X, a.D))

    def ac(a, b):
        """Whether a block is read once per connection."""
        return a.N[b]

    def _(a, b):
        if a.D is not None:
            a.p = ticks_diff(b, a.D)
        a.K = False
        for c in range(len(a.o)):
            a.o[c] = 0
        a.D = b

    def h(a, b, c):
        d = a.k[b] and not a.Y[b]  # what was given up is tried rarely
        if d or not a.I(b):
            a.f[b] = c  # ticks wrap: no time to be compared may grow old
            return False
        if (a.N[b] or a.M[b]) and not a.i():
            return False
        return ticks_diff(c, a.f[b]) >= 0
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Timing: the gap between two requests and the response timeout, both learned from the board on the line.

Public evidence disagrees: boards think 5 to 200 ms before they respond. Most take a request right after their response (the
blocking readers maland16, dalybms and pydalybms leave no gap, a Rust driver 4 ms), others are given 20 ms (dbus-serialbattery)
or 250 ms (ESPHome). So the gap starts small, and grows where requests right after an answer are ignored again and again:
damaged answers are noise, a single silence is a lost frame, and a board silent for longer sleeps. Then the middle between
what is too small and what works is tried, until the two are neighbours: a gap too long by 10 ms would cost a fifth of the line.
"""


# A timeout weighs so much, a response takes 1 away, and above the limit the gap counts as too short: a board for which it is
# ignores every second request. For a gap that has worked for long the limit is higher: frames are lost, too.



  # responses
  # responses without a timeout for which a smaller gap is kept: close to the limit one request in ten is ignored
# After so many responses with the smallest gap a smaller one is tried again, as the timeouts may have had another cause; each
# time after twice as many.


# Until the board's response time is known: 13.5 ms request, 200 ms thinking, 13.5 ms first frame, and as much again in reserve.


# Serial lines bridged over Wi-Fi add 200 to 450 ms (esp-link#108, #275, flip555/bms_connector#79). What comes later than this
# is no response to any request.

  # in a row, none in time for certain between them
  # in a row, none in time between them: then the timeout grows; a single late one does not count


class ag:
    """The gap before a request and the time allowed for the first frame of its answer, in ms. `gap_ms`: to begin with."""

    def __init__(a, b=1):
        a.c = b
        a.s = 300
        a.h = 0  # no smaller gap is tried
        a.m = None  # the gap to return to while a smaller one is on trial
        a.e = 0  # since the gap was changed
        a.k = 1000
        a.o = 0  # weight of the recent timeouts
        a.p = None  # response time of the slowest responses, slowly forgotten
        a.i = 0  # responses in a row that came too late
        a.d = 0  # the same, of those that may have
        a.j = None  # when the last of them had been requested

    def l(b, a):
        """A whole response whose first frame came `latency_ms` after its request."""
        b.i = b.d = 0
        if b.p is not None and a <= b.p:
            a = b.p - (b.p - a) // 16
        b.f(a)
        b.e += 1
        if b.o:
            b.o -= 1
        elif b.e >= 20:
            b.n()

    def N(a, b, c):
        """A frame of a response came after its timeout; it had been requested at the tick `asked_at`.

        The board has become slower, as some do on waking, or the line between delays it.
        """
        if c == a.j:
            return  # one more frame of the same response
        a.j = c
        a.i += 1
        a.o = max(0, a.o - 4)  # it was not ignored after all
        d = a.p is None or a.p < b
        e = b <= 300 and a.p is not None
        if d and (e or a.i >= 2):
            a.f(b)

    def q(a, b, c):
        """A response to the request just sent, or to an older one for the same, which was given up `latency_ms` before.

        Where one in five is lost this is usual. Where nothing else comes for long it is the board that has become slow.
        """
        a.d += 1
        if a.d >= 6:
            a.N(b, c)

    def r(a):
        """A request right after a response was ignored completely."""
        a.o += 4
        if a.m is not None:
            a.h = a.c + 1
            a.g(a.m)
            a.e = 100
        elif a.o > (12 if a.e < 100 else 30):
            a.k = 1000
            a.h = min(250, a.c + 1)
            a.g(min(250, 2 * a.c + 5))
            a.p = a.s = 300  # or was the response only slower than the timeout?

    def n(a):
        """Try the middle between this gap and the floor; at the floor, but seldom, a quarter less."""
        b = a.c
        if a.c > a.h:
            a.g((a.c + a.h) // 2)
        elif a.c and a.e >= a.k:
            a.k = min(2 * a.k, 50000)
            a.h = 0
            a.g(3 * a.c // 4)
        a.m = b if b != a.c else None

    def f(a, b):
        a.p = b
        c = 300 if b <= 300 - 20 else 1500
        a.s = min(c, max(80, 2 * b + 20))

    def g(a, b):
        a.c = b
        a.e = 0
        a.o = 0
        a.m = None
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Detection: which protocol and address the BMS is asked with next, until it answers. No I/O, no clock.

Every try is an ordinary request, which is a read in each of the protocols: none of them holds a frame of another one
(daly-modbus.md 9). Whether what comes is an answer, its content decides, not its checksum alone. What has been found is
remembered over restarts and tried first. Until then all protocols are in memory, afterwards only the one that is spoken.
"""








# What was found, as it is kept in non-volatile memory; 0: nothing yet





# Host addresses that A5 boards respond to. The PC's first: some respond only to it (mpp-solar#113), most to both.
Q = (0x40, 0x80)

  # requests to what was found before the restart, in each round
  # requests to a BMS that has worked, before others are looked for: it may have been exchanged
  # the same on a line with other boards, which wait meanwhile: one in ten seconds
  # requests to one that has answered too late
  # rounds until what the settings rule out is tried, too, only to be able to report it

# What is kept of each protocol while the BMS is looked for
ac = namedtuple("ac", ("protocol", "a", "R"))


class M:
    """Decides what is tried; `current` is the Conversation, `others` the protocols that may still answer late.

    `choice`: "auto", or the only protocol, "a5", "p81" or "d2"; `host_address`: of A5, 0: detect it; `board_number` 1 to 16;
    `filler`: see A5; `remembered`: what was found before the restart; `is_online`, `periods`: for the Schedules; `is_shared`:
    there are several boards on this line, so each is asked at its own address only, which D2 has not.
    """

    def __init__(b, c, d, e="auto", a=0, f=1, g=0, h=0, i=None,
                 o=False):  # fmt: skip
        b.f = c
        b.i = d
        b.e = i
        b.l = f
        b.s = g
        a = 0 if o else a
        # On RS485 board n listens to 0x40 + n - 1 and answers as n (dbus-serialbattery, batmon).
        b.B = a or Q[0] + f - 1
        b.A = Q[0] if a == Q[1] else Q[1]
        j = [1, 2] if o and e != U[3] else [1, 2, 3]
        if not a and f == 1 and not o:
            j.append(4)
        b.p = [k for k in j if e == "auto" or e == U[k]]
        b.o = [l for l in j if l not in b.p]
        if a and 1 in b.p:
            b.o.append(4)  # the address that is not in the settings
        b.r: dict = {}  # by code; both addresses of A5 have the same
        b.D: list = []  # names of protocols that cannot be loaded: said once, and tried again in each round
        b.c = h if h in b.p else 0
        b.k = h if h in U else 1  # by the board that was found last; nothing remembered: A5
        b.E = 0
        b.j: list = []  # codes of this round still to be tried
        b.h = 0  # tries the present one still has
        b.t = e != "auto" or b.c != 0
        b.K = False  # everything has been tried once
        b.N = False
        b.O = False  # what was found speaks another protocol than the board before, also that before the restart
        b.code = 0  # of what is tried now
        b.n = 1  # at which address A5 was asked last
        b.R: tuple = ()
        b.F: tuple = ()  # the detectors of all batteries, where there are several
        b.v = 6 if o else 60
        b.G()

    @property
    def address(a):
        """The host address of A5 now; None: another protocol is tried."""
        return a._address(a.code)

    @property
    def P(a):
        """Whether the settings rule out what is tried: an answer is only reported."""
        return a.code in a.o

    @property
    def T(a):
        """The host address that is tried although the settings name another one; None: it is not that."""
        return a.address if a.code == 4 and 1 in a.p else None

    @property
    def L(a):
        """What was found last, also while it is silent and others are tried; 0: nothing yet."""
        return a.c if a.N else 0

    @property
    def M(a):
        """The protocol of that; None: nothing yet."""
        return U[a.c].upper() if a.N else None

    @property
    def S(a):
        """Whether a board found for the first time is still to be asked with P81, which says more.

        With A5, which comes first; with D2, as the first requests may only have woken it.
        """
        return not a.t and a.N and a.code != 2

    def z(a, b):
        """These, with this one, are the detectors of all batteries."""
        a.F = b

    def w(a):
        """What is tried was answered: keep it, and forget the others."""
        a.N = a.K = True
        a.O = U[a.code] != U[a.k]
        a.c = a.k = a.code
        a.h = a.v
        a.m(a.current.protocol)

    def failed(a):
        """One more request without a response while the BMS is not online; True when something else is tried next."""
        a.h -= 1
        b = a.code
        if U[b] == "a5":
            a.n = b
        if a.h > 0:
            return False
        a.G()
        return a.code != b

    def H(a, protocol):
        """One of `others` has answered, too late: it has the next tries."""
        for b in a.r:
            if a.r[b].protocol is protocol:
                a.g(a.n if b == 1 else b)
        a.h = 4

    def Q(a):
        """A5 was answered too late. True when it was asked at the other address: that has the next tries."""
        if a.n == a.code or U[a.code] != "a5":
            return False
        a.H(a.current.protocol)
        return True

    def I(a):
        """The Conversation with P81, beside the one that was found; None: there is no memory for it."""
        a.t = True
        return a.d(2)

    def J(a, b):
        """`prefer`: P81 is the one to talk from now on."""
        if b:
            a.g(2)
        a.w()

    def G(a):
        """Go on to the next one that can be loaded."""
        for b in range(2 * len(U)):
            if not a.j:
                a.q()
            c = a.j.pop(0)
            if a.d(c) is not None:
                d = a.v if a.N else 2
                a.g(c)
                a.h = d if c == a.c else 1
                return
        raise MemoryError("no protocol can be loaded")

    def q(a):
        # the settings may rule out what the BMS speaks, which is tried in the second round
        if a.E >= (2 if a.o else 1):
            a.K = True
        a.E += 1
        b = [d for d in a.p if d != a.c]
        c = [a.c] if a.c else []
        a.j = b + c if a.N else c + b
        if a.E % 5 == 2:
            a.j += a.o

    def g(a, b):
        a.code = b
        a.current = a.d(b)
        c = a._address(b)
        if c is not None:
            a.current.protocol.X(c)
        a.R = tuple(
            [d.protocol for d in a.r.values() if d.protocol is not a.current.protocol]
        )

    def _address(a, b):
        return {1: a.B, 4: a.A}.get(b)

    def d(b, a):
        """The Conversation, made when it is wanted first; None: there is no memory for it."""
        a = 1 if a == 4 else a
        if a not in b.r:
            try:
                c = D(a, b.f, b.B, b.l, b.s)
                d = af(c.w, c.C, b.i, b.e)
                b.r[a] = ac(c, d, ag(c.A))
            except (MemoryError, ImportError) as e:
                b.C(U[a], e)
                return None
        return b.r[a]

    def C(a, name, b):
        if name not in a.D:
            a.D.append(name)
            c = f"{type(b).__name__} {b}".strip()
            d = "" if isinstance(b, MemoryError) else "; copy all files of the bundle again"
            print(f"BMS: protocol {name} cannot be loaded ({c}), so it is not looked for{d}.")

    def m(a, protocol):
        """Keep only this one in memory."""
        a.j = []
        a.R = ()
        for b in list(a.r):
            if a.r[b].protocol is not protocol:
                del a.r[b]
        a._()

    def _(a):
        """Remove the modules of protocols that no battery speaks, or tries, from memory."""
        for b in (1, 2, 3):
            if not a.u(b):
                f("daly." + U[b])
        if not a.u(2) and not a.u(3):
            f("daly.modbus")

    def u(a, b):
        """Whether this protocol is in the memory of this battery or of another one: one copy of its module is enough."""
        if b in a.r:
            return True
        for c in a.F:
            if b in c.r:
                return True
        return False


U = {1: "a5", 2: "p81", 3: "d2", 4: "a5"}  # as in the settings; also of the modules


def D(a, b, c, d, e):
    if a == 1:
        from . import a5 as f

        return f.A5(b, c, d, e)
    if a == 2:
        from . import p81 as g

        return g.P81(b, d)
    from . import d2 as h

    return h.D2(b)
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Diagnosis: why there is data from the BMS or not, as a code; the sentences are in words.py. The poller is its only writer."""





# What a request resulted in, when not in its response.

  # our own request
  # bytes, but no good frame
  # good frames of other boards or hosts
  # good frames with nothing but zeros or the impossible
  # nothing but responses to earlier requests

# Codes. Those of a BMS that has never responded equal the outcomes above.
  # 10, 11, 13 and 14: plus the outcome




  # silence, while others on this line answer
  # two boards have the same number, so nothing of either is taken


  # some functions are not supported by this board
  # two boards answer on this line, with different protocols
  # the board sends without being asked
  # 41 to 43: plus the trouble in battery/polarity.py

  # requests that are looked at: four rounds of detection
  # requests of one outcome before it counts
  # how long a recovery is reported
  # outcomes of a BMS that has responded before


class N:
    """Judges the conversation with the BMS. `has_uart`: there is a UART to send requests with.

    `code` is why there is data or not, `text` the same as a sentence with its remedy, `short` in two lines for the screen.
    """

    def __init__(a, b=True):
        a.online = False  # the BMS responds
        a.W = False  # it has responded since power-on
        a.n = 1  # its number: the settings of that are named
        a.g = b
        a.u = False  # every protocol and address has been tried
        a.k = ""  # protocol and address that are answered, where they are not the usual ones
        a.o = None  # what is answered, in words, while the settings rule it out
        a.E = None  # the same, where it is a host address
        a.K = False  # two boards answer, with different protocols: so until the next start
        a.J = False  # its responses are destroyed, or come twice, while those of its neighbours are whole
        a.d = 0  # of the board, where several share a line
        a.w = False  # another board on this line answers
        a.q = False
        a.m: list = []  # functions
        a.r = False  # the BMS does not send how many cells there are
        a.D = 0  # why current or mode is unknown, see battery/polarity.py
        a.C = bytearray(16)  # of the last requests, since the last response
        a.z = 0  # how many of them
        a.f = 0
        a.s = 0
        a.h = None
        a.p = 0  # when the BMS was last lost or found
        a._ = 0  # grows with everything that is noted for a sentence
        a.F = a.G = a.H = None  # what the words below are for
        a.e = ""
        a.j: tuple = ()
        a.B = None  # length of the outage that ended at _since_ms

    # written by the poller

    def c(a, b):
        """Count the time; ticks wrap, these milliseconds do not."""
        if a.h is not None:
            a.s += ticks_diff(b, a.h)
        a.h = b

    def l(a, b=None):
        """A request was answered; `spoken`: with what protocol or at what address ("with protocol P81"); None: as before."""
        a.z = a.f = 0
        a.u = True
        if b is not None and b != a.k:
            a.k = b
            a._ += 1
        if not a.online:
            a.online = True
            a.B = a.s - a.p if a.W else None
            a.p = a.s
            a.W = True
            a.o = a.E = None
            a._ += 1

    def failed(a, b, c=False):
        """A request had another outcome than its response; `is_first`: since the last one, so older ones do not count."""
        if c:
            a.z = a.f = 0
        a.C[a.f] = b
        a.f = (a.f + 1) % 16
        a.z = min(a.z + 1, 16)

    def lost(a):
        """The BMS counts as gone."""
        a.online = False
        a.p = a.s

    def N(a, b):
        """Something else is tried next; `exhausted`: everything has been tried."""
        a.u = b

    def S(a, name, b):
        """The BMS answers to what the settings rule out; `address`: the host address, where it is only that, else None."""
        a.o = name
        a.E = b
        a._ += 1

    def P(a):
        """Beside the board that is read another one answers on this line, with another protocol."""
        a.K = True
        a._ += 1

    def T(a, b):
        """The board is on the UART with this number: the settings of that are named."""
        a.n = b

    def Q(a, b):
        """There are several boards on this line; this one has the number."""
        a.d = b

    def M(a, b):
        """Whether another board on this line answers."""
        a.w = b

    def O(a, b):
        """Whether two boards on this line seem to have the number of this one."""
        a.J = b
        a._ += 1

    def L(a, b):
        """Whether the board sends without being asked."""
        if b != a.q:
            a.q = b
            a._ += 1

    def U(a, b, c):
        """Functions that this board does not support; `cells_unknown`: among them the number of its cells."""
        if b != a.m:
            a.m = b
            a.r = c
            a._ += 1

    def R(a, b):
        """Why current or mode is unknown: see battery/polarity.py."""
        a.D = b

    # read by everyone

    @property
    def V(a):
        """What most of the last requests resulted in; silence only where hardly anything else was. None: too few yet.

        What is received tells more than silence: a board of another number responds to one of the two addresses that are tried.
        """
        if a.z < 3:
            return None
        b = 0
        for c in range(1, 5 + 1):
            d = a.i(c)
            if d >= 3 and d >= a.i(b) * (b != 0):
                b = c
        if b == 1 and not a.W:  # where all requests come back, it is what else comes that tells
            for c in (3, 4):
                if a.i(c) >= 3:
                    b = c
        return None if b == 0 and not a.u else b

    def i(a, b):
        """How many of the last requests had this outcome."""
        c = 0
        for d in range(a.z):
            if a.C[d] == b:
                c += 1
        return c

    @property
    def I(a):
        """Whether the BMS has worked and now only sends our requests back, zeros, or nothing, whoever else is heard."""
        return a.W and not a.online and a.V in (0, 1, 3, 4)

    @property
    def code(a):
        """One of the codes above."""
        if a.online:
            return a.A()
        if not a.g:
            return 21
        if a.o:
            return 22 if a.E is None else 23
        if a.J:
            return 25
        b = a.V
        if b is None:
            return 20
        if a.I:
            return 10 + b
        return 24 if b == 0 and a.w else b

    def A(a):
        if a.B is not None and a.s - a.p < 60000:
            return 31
        if a.K:
            return 33
        if a.q:
            return 34
        if a.D:
            return 40 + a.D
        return 32 if a.m else 30

    @property
    def text(a):
        """Why there is data or not, as a sentence with its remedy."""
        a.v()
        return a.e

    @property
    def short(a):
        """The same for the screen: two lines of at most 21 characters; () while all is well."""
        if a.online:
            return ()
        a.v()
        return a.j

    def v(a):
        """Find the words again where the code, or its detail, has changed."""
        b = a.code
        c = (a.s - a.p) // 60000 if 10 <= b < 20 else 0
        if b == a.F and c == a.G and a._ == a.H:
            return
        d = a.t(b)
        if b == 30:
            a.e = "OK" + d
        else:
            from . import words as e  # 4 KB, needed seldom

            g = a.d > 0
            a.e = e.a(b, d, a.n, g)
            a.j = e.c(b, d, a.n, g)
            f("daly.words")
        a.F = b  # last: if there is no memory for the words, they are looked up again
        a.G = c
        a.H = a._

    def t(a, b):
        if b == 22:
            return a.o
        if b == 23:
            return f"0x{a.E:02X}"
        if b in (24, 25):
            return str(a.d)
        if b == 31:
            return ao(a.B)
        if b == 32:
            c = ", ".join([f"0x{e:02X}" for e in a.m])
            d = "; set BMS_CELL_COUNT and BMS_TEMPERATURE_COUNT to see the cells" if a.r else ""
            return f"{c}: those readings stay unknown{d}"
        if b == 30:
            return ", " + a.k if a.k else ""
        return ao(a.s - a.p)


def ao(a):
    b = a // 60000
    if b < 1:
        return "less than 1 min"
    if b < 120:
        return f"{b} min"
    return f"{b // 60} h" if b < 2880 else f"{b // 1440} days"
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What protocols tell the poller: codes of all of them."""

# What a byte completes: `feed` of a protocol

  # a frame of the response; more are expected
  # the response is over
  # our own request
  # a good frame that is no response to the open request
  # as long as a frame and begun like one, but its checksum is wrong

# What a response amounts to: `store` of a protocol

  # something must be confirmed by the next one
  # no answer: all zero, all FF, or impossible
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The last frames on the wire, in ring buffers that are made once: for the diagnostics download."""

from struct import pack_into



  # ">"
  # "<"
  # "!": as long as a frame and begun like one, but its checksum is wrong
  # bytes of a frame of A5; requests of the newer protocols are shorter
  # short ones that are kept
  # bytes of the longest response of the newer protocols that we ask for
  # whose ring is made for the first one


class ae:
    """The last `count` frames of at most `size` bytes, with their direction and ticks."""

    def __init__(a, b, c):
        a.e = 0
        a.i = b
        a.d = c + 2
        a.j = f"BB{c}s"
        a.h = bytearray(b * a.d)
        a.g = [0] * b
        a.f = 0

    def keep(a, b, c, d, e):
        """Store the beginning of one frame. Allocates nothing."""
        f = a.f
        pack_into(a.j, a.h, f * a.d, b, d, c)
        a.g[f] = e
        a.f = (f + 1) % a.i
        if a.e < a.i:
            a.e += 1

    def find(a, b):
        """Index of a frame by its age, 0 is the newest."""
        return (a.f - 1 - b) % a.i

    def c(a, b):
        """When the frame of this age was kept."""
        return a.g[a.find(b)]

    def length(a, b):
        """How many bytes are kept of the frame of this age."""
        return min(a.h[a.find(b) * a.d + 1], a.d - 2)

    def line(a, b, c, d):
        """The frame that was kept at this index and tick as text; None: another one has taken its place."""
        if a.g[b] != c:
            return None
        e = b * a.d
        f = min(a.h[e + 1], a.d - 2)
        g = "".join(f"{h:02x}" for h in a.h[e + 2 : e + 2 + f])
        return f"{-ticks_diff(d, c)} {chr(a.h[e])} {g}"


class O:
    """Keeps the last frames; `lines` returns them as text."""

    def __init__(a):
        a.j = ae(64, 13)
        a.d = None

    def keep(a, b, c, d, e):
        """Store the first `length` bytes, at most 255, of a frame."""
        if d <= 13:
            a.j.keep(b, c, d, e)
            return
        if a.d is None:
            a.d = ae(6, 160)
        a.d.keep(b, c, d, e)

    def c(b, c, a=8000):
        """The last frames as text, as many as fit into `room` characters with 4 more for each, the oldest first.

        "-1240 > a540900800..." is a request sent 1240 ms before `now`.
        """
        d: list = []
        e = f = 0
        while e < b.j.e or (b.d is not None and f < b.d.e):
            g = b.e(e, f)
            h = e if g is b.j else f
            a -= 2 * g.length(h) + 16  # ticks, direction and separators
            if a < 0:
                break
            d.append((g, g.find(h), g.c(h)))
            if g is b.j:
                e += 1
            else:
                f += 1
        for g, i, j in reversed(d):
            k = g.line(i, j, c)
            if k is not None:  # time may pass between two lines
                yield k

    def e(a, b, c):
        """The ring with the newer one of the frames of these ages."""
        if a.d is None or c >= a.d.e:
            return a.j
        if b >= a.j.e:
            return a.d
        return a.j if ticks_diff(a.j.c(b), a.d.c(c)) > 0 else a.d
# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The conversation with one BMS: when a request is sent, what a time-out means, when readings expire. No I/O, no clock.

`receive` takes bytes as they come, `poll` returns the next request when it is time, and `judge` is called when that has been
written. One request at a time, which one decides schedule.py; a request without a response is sent again in its next turn.
Frames are the protocol's affair (a5.py), and what a response is worth is judged in battery/pack.py.

Judging a response takes an ESP32-S2 longer than a byte takes on the line, sometimes as long as a frame. So the next request is
chosen and built while a response is waited for, and sent as soon as the response is whole: the response is judged afterwards,
while the line is busy, and before anything else is received.
"""


















  # the next good frame of a response comes within this time, though the line is not quiet
  # times in a row that a damaged response is requested again immediately
# A line that is never quiet is noise: send requests all the same.

# The BMS counts as gone when it has been silent for so long and so often in a row.



  # no reading expires sooner than so long after it should have been read again
  # so often each block is looked at for readings that are too old, one after the other
  # what that may take: 48 cells on an ESP32-S2
# Quiet before a write: an RS485 adapter needs a moment to turn round (20 ms, mr-manuel#15), and a lost write is not repeated.
# Others wait 150 to 250 ms before every request.

# Rest after a write, or as long as a response may take, and until the line has been quiet for a moment: its acknowledgement is
# over. USB adapters deliver bytes in lumps of 16 ms.



  # timed-out requests whose responses may still come
# Quiet between two tries while the BMS is looked for: a frame of one protocol must not be the beginning of one of another.

  # a gap this short is waited for before a response is judged
# Before a board's own response time is known it counts as this long. One that is late by so much may be lost.






class L:
    """Requests the blocks of one board in turn; the protocol hands what it sends to `pack`.

    `host_address` 0: detect it; `filler`: the reserved bytes of requests, 0x00 or 0xAA (dbus-serialbattery: helps weak UARTs);
    `stale_periods`: a reading that was not refreshed for so many of its periods is forgotten; `periods`: see Schedule;
    `has_uart`: there is a UART to send requests with; `protocol`, `remembered`, `is_shared`: see Detector.
    """

    def __init__(a, b, c=0, d=1, e=0, f=3, g=None, h=True,
                 protocol="auto", i=0, o=False):  # fmt: skip
        a.pack = b
        a.Q = d
        a.bE = N(h)
        a.bY = O()
        a.bT = 0  # whole responses accepted
        a.frames_ok = 0  # good frames of our board that are a response
        a.timeouts = 0
        a.echoes = 0  # our own requests come back
        a.bZ = 0  # good frames that are no response to the open request
        a.N = 0  # good frames that are a response to a request that has timed out
        a.ah = M(
            b, a.i, protocol, c, d, e, i, g, o
        )
        a.M, a.bg, a.R = a.ah.current
        a.ad = False  # a board that was found is asked with another protocol, too
        a.bd = None  # since when the line rests before something else is tried; None: it need not
        a.bc = 0
        a.bk = f
        # the open request
        a.ba = 0
        a.n = 0
        a.ar = None  # from the request to the first frame of its response
        a.ak = 0  # by how much these two are longer on the line than frames of 13 bytes
        a.K = 0  # bit n: since the request there was something of outcome n, or a _DAMAGED_FRAME
        a.G = False  # its response is whole, and not judged yet
        a.aw = 0
        # from a request's first byte to its first frame, as if both were of 13 bytes, about the shortest seen
        a.aF = 32
        a.bb = 0  # until the response should be whole
        a.bw = 0  # until then there is nothing to be done but receiving
        # the next request
        a.f = None  # index of its block; None: not chosen yet, or not to be sent at once
        a.aL = None  # its request
        a.aM = False
        a.bi = False  # it has been sent, ahead of the judging of the response before
        a.E = None  # index of the block that is requested again first
        a.bf = -1  # index of the block requested again last, and how often in a row
        a.D = 0
        # timed-out requests: their blocks, and the ticks they were sent at
        a.bp = [-1] * 4
        a.bq = [0] * 4
        a.br = 0
        # the line
        a.A = None
        a.bx = None  # since when the line should be quiet for the next request
        a.aE = 0
        a.O = 0  # requests in a row without a response, whatever the block
        a.aO = None
        a.af = 0
        # readings that expire
        a.am = 0
        a.ao = None  # None: not started
        a.an = 300 // a.bg.ad
        # writes
        a.F: list = []  # (key of a control, raw, clock), at most one
        a.bz = None  # tick of the write after which the line rests; None: it does not
        a.ca = None  # tick of the last write that was sent; None while one waits

    @property
    def bL(a):
        """Tick of the last response that was accepted."""
        return a.aE

    @property
    def online(a):
        """Whether the BMS responds."""
        return a.bE.online

    def i(a):
        return a.bE.online

    @property
    def v(a):
        """Frames with a wrong checksum."""
        return a.M.P.v

    @property
    def idle(a):
        """Whether no response is waited for."""
        return a.M.r < 0

    @property
    def r(a):
        """Whether every block that is polled has been requested since the BMS came online."""
        return a.bg.r

    @property
    def t(a):
        """Whether all static data has been read, or given up."""
        return a.bg.t

    @property
    def p(a):
        """Duration of the last poll cycle; None: not known yet."""
        return a.bg.p

    @property
    def c(a):
        """The address we send from with A5, 0x40 or 0x80 or a pinned one; None with other protocols."""
        return a.ah.address

    @property
    def protocol(a):
        """The protocol that is spoken: "A5", "P81" or "D2"; None: it is not known yet."""
        return a.ah.M

    @property
    def w(a):
        """What has been found, as a code to be kept over restarts (see detector.py); 0: nothing yet, or two boards."""
        return 0 if a.bE.K else a.ah.L

    @property
    def h(a):
        """Whether the state of charge is written together with the time."""
        return a.ah.current.protocol.h  # of the board, also while it is compared

    def z(a, b):
        """These, with this one, are the pollers of all batteries: what one has in memory the others use, too."""
        a.ah.z(tuple([c.ah for c in b]))

    def _(a):
        """Remove the modules of protocols that no battery speaks from memory."""
        a.ah._()

    def I(a, b):
        """Whether the line can be used for something else: no response, rest or write is waited for."""
        if a.be(b):
            return False
        if a.M.r >= 0 or a.G or a.F or a.ad or a.M.m(b):
            return False
        return a.A is None or ticks_diff(b, a.A) >= max(1, a.R.c)

    def J(a, b):
        """Something else has used the line; `last_byte`: tick of the last byte."""
        a.A = b
        a.bx = None

    def write(a, key, b, c=None):
        """Write a control, once, as soon as the line is free: see the protocol's `write`.

        Its response proves nothing and is not waited for: read back.
        """
        a.F = [(key, b, c)]
        a.aX()
        a.ca = None

    def bD(a):
        """A write that has not been sent by now must not be sent later."""
        a.F = []

    def s(a, key):
        """Have the block of this reading requested next, whatever its period."""
        a.bg.s(c[key])
        a.aX()

    def C(a, b, c, d):
        """Take the first `count` bytes of `data`, received by the tick `now`."""
        if a.G:
            a.B(d)
        e = a.M
        f = a.aW()
        if c:
            a.A = d
        for g in range(c):
            h = e.feed(b[g], d)
            if h != 0:
                a.g(h, g + 1 == c, d)
                if a.M is not e:  # something else is tried from now on
                    e = a.M
                    f = a.aW()
                    continue
            if f and a.ap(b[g], d):
                e = a.M
                f = a.aW()
        if e.P.I != a.af:
            a.af = e.P.I
            a.aO = d

    def poll(a, b):
        """The next request to be sent, valid until the next call, or None when it is not time."""
        if a.G:
            if a.aI(b):
                c = a.R.c
                if c > 1 and ticks_diff(b, a.aw) < c:
                    return None
                a.bi = True
                a.ba = b
                return a.aL
            a.B(b)
        return None if a.o(b) else a.b_(b)

    def o(a, b):
        """Whether the response to the open request is still waited for. What is too old meanwhile is forgotten."""
        if a.ao is None:
            a.bg.c(b)
            a.al(b)
        c = a.M.r >= 0
        d = a.bw - ticks_diff(b, a.ba) if c else 0
        # not just before the last byte, which should not wait
        if not 0 < d < 4 and ticks_diff(b, a.ao) >= a.an:
            a.al(b)
        if d > 0:
            return True
        if c:
            if ticks_diff(b, a.n) < 0 and not a.aB(b):
                return True
            a.bo(b)
        return False

    def b_(a, b):
        """The next request to be sent, as that of `poll`, when no response is waited for."""
        if a.be(b) or not a.a_(b):
            return None
        if a.F and a.online and not a.ad:  # with P81 nothing has been answered by then
            return a.bh(b) if a.aJ(b) else None
        return a.aN(b)

    def B(a, b):
        """Judge the response that is whole, if there is one, and choose what is requested after the open request."""
        if a.G:
            a.G = False
            a.aC(a.aw)
            c = a.bi
            a.bi = False
            try:
                a.l(True, a.aw)
            finally:  # what was sent is open, whatever has gone wrong
                if c:
                    a.P(a.f, a.ba)
        if a.f is None and a.M.r >= 0:
            a.aa(b)

    def u(a, b):
        """How long nothing is expected on the line, in ms: time for other jobs. Below 1: a response is about to be whole."""
        if a.G:
            return 0
        if a.M.r < 0:
            if a.bz is not None:
                return max(1, a.S() - ticks_diff(b, a.bz))
            if a.A is None:
                return 1000
            c = a.R.c - ticks_diff(b, a.A)
        else:
            c = a.bb - ticks_diff(b, a.ba)
        return c if c > -20 else 1000

    # requests

    def a_(a, b):
        """Whether the line has been quiet for the gap, after everything a board still sends."""
        if a.bx is None:
            a.bx = b
        if ticks_diff(b, a.bx) < 300:
            if a.M.m(b):
                return False
            # without a gap, too: what has come just now may not be all
            if a.A is not None and ticks_diff(b, a.A) < max(1, a.R.c):
                return False
        a.M.o()
        if not a.F:
            a.A = None
        return True

    def aJ(a, b):
        """Whether the line has had its rest before a write; a line that is never quiet is noise, and not waited for."""
        if a.A is None or ticks_diff(b, a.bx) >= 300:
            return True
        return ticks_diff(b, a.A) >= 200

    def aN(a, b):
        if a.bd is not None:
            if ticks_diff(b, a.bd) < a.bc:
                return None
            a.bd = None
        elif a.bj(b) and a.r:
            a.Y(b)
            return None
        a.Z(b)
        if a.f is None:
            return None
        a.P(a.f, b)
        return a.aL

    def aX(a):
        """Something else comes first: the next request is chosen when it is time."""
        if not a.bi:
            a.f = None

    def Z(a, b):
        """Choose and build the request to be sent at the tick `at`, if there is one."""
        a.aM = a.E is not None
        a.f = a.E if a.aM else a.bg.aa(b, a.M.r)
        if a.f is not None:
            a.aL = a.M.z(a.f)

    def aa(a, b):
        """Choose and build the request that follows the open one, unless it has to wait for more than its response."""
        c = not a.F and not a.ad and not a.bj(b)
        if a.online and a.R.c <= 5 and c:
            a.Z(ticks_add(a.ba, max(a.bb, ticks_diff(b, a.ba))))

    def aI(a, b):
        """Whether the next request can be sent although the response has not been judged yet."""
        if a.f is None or a.F or not a.online or a.R.c > 5:
            return False
        return not a.M.G() and not a.M.m(b)

    def bh(a, b):
        c, d, e = a.F.pop()
        if c not in a.M.R:
            return None  # accepted before another protocol was preferred
        a.ca = a.bz = b
        a.d(b, 0)
        a.A = b
        f = a.M.write(c, d, e)
        a.bY.keep(62, f, len(f), b)
        return f

    def S(a):
        return min(max(150, a.R.s), 300)

    def be(a, b):
        """Whether a write is still carried out or acknowledged: a request would be in the middle of it."""
        if a.bz is None:
            return False
        c = ticks_diff(b, a.bz)
        if c < a.S():
            return True
        d = a.A is None or ticks_diff(b, a.A) >= 20
        if not d and c < 400:
            return True
        a.bz = None
        return False

    def P(a, b, c):
        """The request for a block has been sent at the tick `now`."""
        a.f = None
        if a.aM:
            a.bg.ag(b)
            if a.E == b:
                a.E = None
        else:
            a.bg.d(b, c)
            if b == a.bf:
                a.bf = -1
        a.ar = None
        a.A = None
        d = a.M
        d.open(b)
        a.af = d.P.I
        a.ak = d._(b)
        a.bb = a.aF + a.ak + d.Q(b)
        e = a.R.s + a.ak
        a.d(c, e)
        a.bw = min(a.bb, e)
        a.bY.keep(62, a.aL, len(a.aL), c)

    def d(a, b, c):
        a.bx = None
        a.ba = b
        a.n = ticks_add(b, c)
        a.bw = 0
        a.K = 0

    # responses

    def g(a, b, c, d):
        """`is_last`: nothing has come behind it."""
        e = a.M.P
        if b == 5:
            a.K |= 1 << 7
            a.bY.keep(33, e.j, e.H, d)
            return
        if b == 2 and c and a.M.K:
            a.ax(d)  # the rest has time until the next request is sent
            return
        a.aC(d)
        if b == 3:
            a.echoes += 1
            a.K |= 1 << 1
        elif b == 4:
            a.bm(d)
        else:
            a.frames_ok += 1
            if a.ar is None:
                a.ar = ticks_diff(d, a.ba)
            if b == 1:
                a.n = ticks_add(d, 100)
            elif b == 2:
                a.l(a.M.K, d)

    def aC(a, b):
        c = a.M.P
        a.bY.keep(60, c.M, c.length, b)

    def ax(a, b):
        a.G = True
        a.aw = b
        a.frames_ok += 1
        if a.ar is None:
            a.ar = ticks_diff(b, a.ba)

    def bm(a, b):
        """A trailing frame of the last response, one that comes too late, or one that answers somebody else."""
        c = a.M
        d = c.B
        e = a.aq(d)
        if e is not None:
            a.aQ(d, e, b)
            if not a.online and a.ah.Q():
                a.bs(b)
        elif d >= 0 and c.p(a.A):
            a.frames_ok += 1
        else:
            a.bZ += 1
            a.K |= 1 << 3

    def aQ(a, b, c, d):
        """A frame of a response for this block, whose request has timed out and stands at this position."""
        a.frames_ok += 1
        a.N += 1
        a.K |= 1 << 5
        a.bg.ai(b)
        e = a.bq[c]
        a.R.N(ticks_diff(d, e) - a.M._(b), e)

    def aq(a, b):
        """Which of the timed-out requests was for this block; None: none, or the block is none (-1)."""
        for c in range(4):
            if b >= 0 and a.bp[c] == b:
                return c
        return None

    def at(a, b):
        """Before the ticks wrap."""
        for c in range(4):
            if a.bp[c] >= 0 and ticks_diff(b, a.bq[c]) >= 1500:
                a.bp[c] = -1

    def aY(a):
        """The open request is not waited for any more, but its response may still come."""
        a.bp[a.br] = a.M.r
        a.bq[a.br] = a.ba
        a.br = (a.br + 1) % 4

    def l(a, b, c):
        """The open request is answered; what has arrived is true, though it may not be `whole`."""
        d = a.M
        d.N()
        if a.ad:
            a.aj(d.F(), c)
            if a.M is not d:
                return
        if a.ah.P:
            e = d.F()
            if e:
                a.bE.S(a.M.name, a.ah.T)
            a.e(3 if e else 4, c)
            return
        f = d.r
        g = d.w[f]
        h = a.aq(f)
        i = a.H(g, c)
        if i == 2:
            a.e(4, c)
            a.bg.ah(c)
            return
        d.close()
        if not a.online:
            a.m(c)
        if h is None:
            a.aR(a.ar - a.ak)
        else:  # or the older request for the same block, which had timed out
            j = a.bq[h]
            a.R.q(ticks_diff(c, j) - a.ak, j)
        a.bT += 1
        a.aE = c
        a.O = 0
        if a.bg.l(i != 1, b, c):
            a.aT()
        # What must be confirmed has its next turn in the next cycle; mode, MOSFETs and alarms are requested again immediately:
        # on a noisy line they are accepted 50 ms later than on a clean one, not 300. So is what a newer protocol sends all at
        # once: the other cells are not to stand beside the old voltage of one.
        # On a shared line so is everything: its next turn is seconds away, and it would not be the same by then.
        if i == 1 and (g.n or d.D or a.pack.X):
            a.aZ()
        if _ in g.k:  # once a mode: between two of them the current is requested many times
            if a.pack.V():
                a.bg.ae(c)
            a.bE.R(a.pack.polarity.trouble)

    def aZ(a):
        """Request the block requested last again first, unless that has been done too often in a row."""
        b = a.bg.current
        if b != a.bf:
            a.bf = b
            a.D = 0
        if a.D < 2:
            a.D += 1
            a.E = b

    def aR(a, b):
        a.R.l(b)
        c = a.aF
        # slowly up: a response that the loop has noticed late says nothing of the board
        a.aF = b if b < c else c + min((b - c + 7) // 8, 20)

    def H(a, b, c):
        """Have the values of the response judged; a jump that was not confirmed makes the line a noisy one."""
        d = a.pack.ac
        e = a.M
        # what is read once must not be wrong for ever: a sum of bytes alone is not enough
        f = (a.bg.ac(e.r) and not e.D) or a.az(c)
        g = e.t(c, f)
        if a.pack.ac != d:
            a.aO = c
        return g

    def az(a, b):
        if a.aO is not None and ticks_diff(b, a.aO) > a.M.M:
            a.aO = None
        return a.aO is not None

    def aT(a):
        a.bE.U(a.bg.m, not a.pack.ao["cell_count"])

    # looking for the BMS

    def m(a, b):
        """The first answer of a connection."""
        a.ah.w()
        a.aD()
        a.bg.c(b)
        a.bg.Z()
        a.bE.l(a.k() if a.ah.address in (None, Q[-1]) else "")

    def k(a):
        """Protocol or address for the diagnosis."""
        b = a.ah.address
        return f"with protocol {a.M.name}" if b is None else f"at host address 0x{b:02X}"

    def aD(a):
        """What is known of the current's sign: what another board has taught does not count, and newer protocols say it."""
        if a.ah.O:
            a.pack.aa()
        if a.M.L:
            a.pack.al(1)

    def aW(a):
        """The protocols that take what is received beside the one that is spoken."""
        return a.ah.R

    def ap(a, b, c):
        """A protocol that was tried before this one may be answered too late: it has the next tries. Whether it was."""
        for d in a.ah.R:
            if d.feed(b, c) in (1, 2):
                a.K |= 1 << 5
                a.ah.H(d)
                a.bs(c)
                return True
        return False

    def bs(a, b):
        """Look for the BMS as the detector says."""
        a.bn(a.ah.current, b)
        a.bg.c(b)
        a.bE.N(a.ah.K)

    def bn(a, b, c):
        """Go on with this conversation, when the line has rested."""
        d = a.M
        a.M, a.bg, a.R = b
        a.M.close()
        a.bc = 120
        a.f = a.E = None
        a.bf = -1
        a.G = a.bi = False
        a.aF = 32
        a.af = a.M.P.I
        a.an = 300 // a.bg.ad
        a.am = 0
        a.bd = c
        if a.M is d:  # A5 at its other address: whose late answer it is could not be seen later
            e = a.br - 1
            if a.bp[e] >= 0:
                a.bc = max(120, 1500 - ticks_diff(c, a.bq[e]))
            return
        for f in range(4):
            a.bp[f] = -1

    def bj(a, b):
        """Whether the board that was found is to be asked with P81, too, as soon as the readings are complete."""
        return a.ah.S

    def Y(a, b):
        """Ask a board that was found with another protocol once with P81, too: see Detector.should_compare."""
        c = a.ah.I()
        if c is not None:
            a.ad = True
            a.bn(c, b)
            a.bg.c(b)

    def aj(a, b, c):
        """The board that was found has `answered` to P81, or not. If so, that is spoken now, and this is its first answer."""
        a.ad = False
        if b and a.aA():
            d = a.ah.M
            a.ah.J(True)
            a.aD()
            a.bE.l(f"{a.k()}; it answers {d}, too")
            if a.F and a.F[0][0] not in a.M.R:
                a.bD()
            return
        if b:
            a.bE.P()
        a.M.close()
        a.ah.J(False)
        a.bn(a.ah.current, c)

    def aA(a):
        """Whether the response to P81 is of the board that was found: as many cells, and as much in them.

        Packs in parallel have the same voltage, and hardly ever the same state of charge and the same capacity, too.
        """
        b = a.pack.ao["cell_count"]
        if b and b != a.M.peek("cell_count"):
            return False
        return a.ay("pack_voltage", 0) and a.ay("soc", 10) and a.ay("remaining_capacity", 1000)

    def ay(a, key, b):
        """Whether a reading of the board that was found and the response to P81 differ by at most 3 %, or by the slack."""
        c = a.pack.raw(key)
        d = a.M.peek(key)
        if c is None or d is None:
            return key != "pack_voltage"
        return abs(c - d) <= max(b, c // 33)

    # time-outs

    def aB(a, b):
        """Whether the response has begun, but not all of it was good, and nothing more comes."""
        if a.A is None:
            return False
        return a.M.J(ticks_diff(b, a.A))

    def bo(a, b):
        if a.ad:
            a.aj(False, b)
            return
        if a.M.E:
            a.l(a.M.K, b)
            a.M.n()
            return
        a.timeouts += 1
        c = a.aV()
        if not a.K >> 7 & 1:  # else its response has come already
            a.aY()
        # a function that was never answered may not be supported here, and a board that is silent for longer is asleep
        if c == 0 and not a.O and a.bg.ab():
            a.R.r()
        a.e(c, b)
        if c == 2 and a.online:
            a.aZ()

    def aV(a):
        if a.K >> 1 & 1 and (a.bE.W or not a.K >> 3 & 1):
            return 1
        b = a.K >> 3 & 1
        # also where a part of the response is missing, which is no silence; beside others a part may be of their next frame
        if a.M.G(not b) or a.ar is not None:
            return 2
        if b:
            return 3
        return 5 if a.K >> 5 & 1 else 0

    def e(a, b, c):
        """The open request had another outcome than its response."""
        a.bE.failed(b, not a.O)
        if not a.bg.ac(a.bg.current):  # which many boards do not have
            a.O += 1
        if a.bg.failed(b == 0, c):
            a.aT()
        if not a.online and a.ah.failed():
            a.bs(c)  # what was tried stays open: it may be answered late
        else:
            a.M.close()
        d = ticks_diff(c, a.aE) >= a.aU(b)
        if a.online and a.O >= 5 and d:
            a.aG(c)

    def aU(a, b):
        """How long nothing of a BMS may be good, when the last request had this outcome, before it counts as gone."""
        return 3000

    def aG(a, b):
        """The BMS counts as gone."""
        a.bE.lost()
        a.bD()
        a.pack.g()
        a.M.g()
        a.bg.c(b)

    # readings that expire

    def al(a, b):
        """Forget the readings of one block, another each time, that have not been read again for too long."""
        a.bE.c(b)
        a.ao = b
        if a.ad:  # these blocks and periods are those of the other protocol
            return
        d = a.M.w
        a.am = (a.am + 1) % len(d)
        while a.bg.ac(a.am):
            a.am = (a.am + 1) % len(d)
        e = a.T(a.am)
        f = ticks_add(b, -e)
        for g in d[a.am].k:
            a.pack.Y(g, f)
        if not a.am:
            for h in o:
                a.pack.Y(c[h], ticks_add(b, -e))
            # while a power is known, what flows is counted: for longer where it is requested seldom
            a.pack.energy.q(e)
            a.at(b)

    def T(a, b):
        """ms after which a reading of a block that is polled expires unless it was read again.

        A gap that costs one reading nothing must not cost another, requested less often: all have the same slack.
        """
        c = a.bg.v(b)
        return max(c + 3000, a.bk * c)
