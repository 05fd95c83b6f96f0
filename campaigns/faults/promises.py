# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What docs/MQTT.md promises for each key, written by hand: how soon a change is published, and which changes may wait.

Not derived from the firmware's own table, so that an error in it is noticed. tests/test_faults.py compares it with the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

IMMEDIATE = "immediate"  # alarms, MOSFETs and mode
MAIN = "main"  # at most every PUBLISH_INTERVAL_S seconds
SLOW = "slow"  # at most every CELLS_INTERVAL_S seconds, but ten deadbands like the main ones
ONCE = "once"  # static data, read once per connection; never too old

FAR = 10  # deadbands
LEAST_AGE_S = 3  # no reading expires sooner than so long after it was due ...
LONGEST_CYCLE_S = 5  # ... and longer poll cycles than this allow no older one
# After the age at which a reading expires: a response takes up to 0.25 s, and a pass of the loop.
MARGIN_S = 0.5
PACK_EVERY_S = 2.0  # A5, beside other boards: a turn of each, and a comparison or a time-out now and then
RECENT_S = 1.5  # a cycle that has ended so long ago may still count

# With the newer protocols nearly all readings come with the mode, and are as fresh: the poll group of the others of them, and
# its default in seconds (the maps of docs/PROTOCOL.md). The ends of P81's cells are taken from the cells.
WITH_MODE = ("status", 0.0)
BALANCER = ("balancing", "cell_{}_balancing", "balance_current", "mosfet_temperature", "board_temperature")
CELLS = (
    "cell_{}_voltage",
    "max_cell_voltage",
    "max_voltage_cell",
    "min_cell_voltage",
    "min_voltage_cell",
    "cell_voltage_delta",
)
APART = {"d2": dict.fromkeys(BALANCER, ("temperatures", 1.0)), "p81": dict.fromkeys(CELLS, ("cells", 0.0))}

# key, how soon, deadband, polled: setting POLL_..._MS and its default in seconds (0: as often as the line allows)
TABLE = """
pack_voltage            main       0.2         pack 0.08
current                 main       0.3~1/32    pack 0.08
power                   main       -           pack 0.08
energy_charged          main       0.02        pack 0.08
energy_discharged       main       0.02        pack 0.08
capacity_charged        slow       1           pack 0.08
capacity_discharged     slow       1           pack 0.08
soc                     main       -           pack 0.08
mode                    immediate  -           status 0
charge_mosfet           immediate  -           status 0
discharge_mosfet        immediate  -           status 0
heartbeat               slow       -           status 0
remaining_capacity      main       1           status 0
remaining_time          main       -           status 0
time_to_full            slow       -           status 0
time_to_empty           slow       -           status 0
precharge_mosfet        slow       -           status 0
heater                  slow       -           status 0
fan                     slow       -           status 0
problem                 immediate  -           status 0
active_alarms           immediate  -           status 0
fault_code              slow       -           status 0
cell_count              slow       -           checks 5
temperature_count       slow       -           checks 5
charger_connected       slow       -           checks 5
load_connected          slow       -           checks 5
digital_input_{}        slow       -           checks 5
digital_output_{}       slow       -           checks 5
cycle_count             slow       -           checks 5
max_cell_voltage        slow       0.003       checks 5
max_voltage_cell        slow       with        checks 5
min_cell_voltage        slow       0.003       checks 5
min_voltage_cell        slow       with        checks 5
cell_voltage_delta      main       0.006       checks 5
max_temperature         main       2           checks 5
max_temperature_sensor  slow       with        checks 5
min_temperature         slow       2           checks 5
min_temperature_sensor  slow       with        checks 5
cell_{}_voltage         slow       0.003       cells 0
temperature_{}          slow       2           temperatures 1
mosfet_temperature      slow       2           temperatures 1
board_temperature       slow       2           temperatures 1
heater_temperature      slow       2           temperatures 1
balance_current         slow       0.1         temperatures 1
balancing               main       -           cells 0
cell_{}_balancing       slow       -           cells 0
rated_capacity          once       -           once -
nominal_cell_voltage    once       -           once -
production_date         once       -           once -
chemistry               once       -           once -
sleep_time              once       -           once -
battery_code            once       -           once -
software_version        once       -           once -
hardware_version        once       -           once -
state_of_health         slow       -           slow 60
actual_capacity         slow       0.1         slow 60
lifetime_charge         slow       1           slow 60
lifetime_discharge      slow       1           slow 60
serial_number           once       -           once -
board_number            once       -           once -
balance_start_voltage   once       -           once -
balance_voltage_delta   once       -           once -
cell_overvoltage_limit_{} once       -           once -
cell_undervoltage_limit_{} once       -           once -
pack_overvoltage_limit_{} once       -           once -
pack_undervoltage_limit_{} once       -           once -
charge_overcurrent_limit_{} once       -           once -
discharge_overcurrent_limit_{} once       -           once -
charge_overtemperature_limit_{} once       -           once -
charge_undertemperature_limit_{} once       -           once -
discharge_overtemperature_limit_{} once       -           once -
discharge_undertemperature_limit_{} once       -           once -
soc_high_limit_{}       once       -           once -
soc_low_limit_{}        once       -           once -
cell_voltage_delta_limit_{} once       -           once -
temperature_delta_limit_{} once       -           once -
"""


@dataclass(frozen=True)
class Promise:
    """One key's. `deadband`: a smaller change may wait, and so may one smaller than `share` of the value; 0: none may.

    `poll_s`: its default interval; None: it is read once.
    """

    key: str
    pace: str
    deadband: float
    share: float
    with_above: bool  # published with the key above it
    group: str
    poll_s: float | None


def _promise(line: str) -> Promise:
    key, pace, least, group, interval = line.split()
    width, _, share = least.partition("~1/")
    deadband = 0.0 if width in ("-", "with") else float(width)
    return Promise(
        key,
        pace,
        deadband,
        1 / int(share) if share else 0,
        width == "with",
        group,
        None if interval == "-" else float(interval),
    )


PROMISES = {promise.key: promise for promise in map(_promise, TABLE.strip().splitlines())}


@cache
def promise_of(key: str) -> Promise | None:
    """The one for a key of the state; "cell_7_voltage" is one of "cell_{}_voltage". None: the page has no such key."""
    if key in PROMISES:
        return PROMISES[key]
    parts = key.split("_")
    for at, part in enumerate(parts):
        if part.isdigit():
            return PROMISES.get("_".join([*parts[:at], "{}", *parts[at + 1 :]]))
    return None


@dataclass
class Settings:
    """The intervals of settings.toml, and the poll cycles of the line itself."""

    publish_s: float = 5
    cells_s: float = 60
    deadband_percent: int = 100
    periods_s: dict = field(default_factory=dict)  # POLL_..._MS where it is not the default, by group
    protocol: str = "a5"
    stale_periods: int = 3
    boards: int = 1  # that share it: the pack group then interrupts cycles of others only
    recent_s: float = RECENT_S
    _cycles: list = field(default_factory=list)  # (when it had ended, its duration in seconds)

    def note_cycle(self, at: float, cycle_s: float):
        """The last poll cycle that has ended by `at` seconds has taken so long."""
        self._cycles.append((at, cycle_s))
        oldest = at - self.recent_s - max(self.publish_s, self.cells_s)
        while self._cycles[0][0] < oldest:
            del self._cycles[0]

    def cycle_s(self, back_s: float = 0) -> float:
        """The longest of the last poll cycles, and of those `back_s` seconds before; 0: none has ended."""
        cycles = self._cycles
        since = cycles[-1][0] - self.recent_s - back_s if cycles else 0
        return max((cycle_s for at, cycle_s in cycles if at > since), default=0.0)

    def asked(self, promise: Promise) -> tuple[str, float | None]:
        """The poll group of a reading in this protocol, and its default interval; None: it is read once."""
        if self.protocol == "a5" or promise.group in ("once", "slow"):
            return promise.group, promise.poll_s
        return APART[self.protocol].get(promise.key, WITH_MODE)

    def poll_s(self, promise: Promise, back_s: float = 0) -> float:
        """Seconds between two polls of a reading: its own period or a poll cycle; the pack group interrupts cycles."""
        group, default_s = self.asked(promise)
        period = self.periods_s.get(group, default_s)
        if group == "pack" and period:
            return period if self.boards == 1 else max(period, PACK_EVERY_S)
        return max(period, min(self.cycle_s(back_s), LONGEST_CYCLE_S))

    def age_s(self, promise: Promise, back_s: float = 0) -> float:
        """Seconds after which a reading expires, or expired in the last `back_s`; infinite for static data."""
        if promise.poll_s is None:
            return float("inf")
        poll_s = self.poll_s(promise, back_s)
        return max(poll_s + LEAST_AGE_S, self.stale_periods * poll_s) + MARGIN_S

    def limit_s(self, promise: Promise, far: bool = False) -> float:
        """Seconds for which a value may be shown that the BMS no longer measures; `far`: one that is off by ten deadbands.

        What is shown was known when its state was published, by the cycles of that moment, and waits for the next one.
        """
        wait = {IMMEDIATE: 0.0, MAIN: self.publish_s, SLOW: self.publish_s if far else self.cells_s, ONCE: 0.0}[promise.pace]
        return self.age_s(promise, wait) + wait

    def deadband(self, promise: Promise, shown: float) -> float:
        """A change smaller than this may wait; in the unit of the value."""
        return max(promise.deadband, promise.share * abs(shown)) * self.deadband_percent / 100
