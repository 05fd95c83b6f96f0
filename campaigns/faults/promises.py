# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What docs/MQTT.md promises of each key, written out by hand: how soon a change is published, and which changes may wait.

Not read off the firmware's own table: an error there must show. tests/test_faults.py compares it with the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

AT_ONCE = "at once"  # alarms, MOSFETs and mode
MAIN = "main"  # at most every PUBLISH_INTERVAL_S seconds
SLOW = "slow"  # at most every CELLS_INTERVAL_S seconds, but ten dead bands like the main ones
ONCE = "once"  # asked once per connection; never too old

FAR = 10  # dead bands
LEAST_AGE_S = 3  # no reading is forgotten sooner than so long after it was due ...
LONGEST_ROUND_S = 5  # ... nor do longer rounds than this excuse an older one
# Beyond the age at which a reading is forgotten: an answer takes up to 0.25 s, and a pass of the loop.
MARGIN_S = 0.5

# key, how soon, dead band, asked: setting POLL_..._MS and its default in seconds (0: as often as the line allows)
TABLE = """
pack_voltage            main     0.2         pack 0.08
current                 main     0.3~1/32    pack 0.08
power                   main     -           pack 0.08
energy_charged          main     0.02        pack 0.08
energy_discharged       main     0.02        pack 0.08
capacity_charged        slow     1           pack 0.08
capacity_discharged     slow     1           pack 0.08
soc                     main     -           pack 0.08
mode                    at_once  -           status 0
charge_mosfet           at_once  -           status 0
discharge_mosfet        at_once  -           status 0
heartbeat               slow     -           status 0
remaining_capacity      main     1           status 0
remaining_time          main     -           status 0
time_to_full            slow     -           status 0
time_to_empty           slow     -           status 0
problem                 at_once  -           status 0
active_alarms           at_once  -           status 0
fault_code              slow     -           status 0
cell_count              slow     -           checks 5
temperature_count       slow     -           checks 5
charger_connected       slow     -           checks 5
load_connected          slow     -           checks 5
digital_input_{}        slow     -           checks 5
digital_output_{}       slow     -           checks 5
cycle_count             slow     -           checks 5
max_cell_voltage        slow     0.003       checks 5
max_voltage_cell        slow     with        checks 5
min_cell_voltage        slow     0.003       checks 5
min_voltage_cell        slow     with        checks 5
cell_voltage_delta      main     0.006       checks 5
max_temperature         main     2           checks 5
max_temperature_sensor  slow     with        checks 5
min_temperature         slow     2           checks 5
min_temperature_sensor  slow     with        checks 5
cell_{}_voltage         slow     0.003       cells 0
temperature_{}          slow     2           temperatures 1
balancing               main     -           cells 0
cell_{}_balancing       slow     -           cells 0
rated_capacity          once     -           once -
nominal_cell_voltage    once     -           once -
production_date         once     -           once -
chemistry               once     -           once -
sleep_time              once     -           once -
battery_code            once     -           once -
software_version        once     -           once -
hardware_version        once     -           once -
"""


@dataclass(frozen=True)
class Promise:
    """One key's. `band`: a smaller change may wait; 0: none may. `share`: nor need one smaller than this part of the value."""

    key: str
    pace: str
    band: float
    share: float
    with_above: bool  # published with the key above it
    lane: str
    asked_s: float | None


def _promise(line: str) -> Promise:
    key, pace, band, lane, asked = line.split()
    width, _, share = band.partition("~1/")
    band_of = 0.0 if width in ("-", "with") else float(width)
    return Promise(
        key,
        pace.replace("_", " "),
        band_of,
        1 / int(share) if share else 0,
        width == "with",
        lane,
        None if asked == "-" else float(asked),
    )


PROMISES = {promise.key: promise for promise in map(_promise, TABLE.strip().splitlines())}


@cache
def promise_of(key: str) -> Promise | None:
    """Of a key of the state: "cell_7_voltage" is one of "cell_{}_voltage". None: the page knows no such key."""
    if key in PROMISES:
        return PROMISES[key]
    parts = key.split("_")
    for at, part in enumerate(parts):
        if part.isdigit():
            return PROMISES.get("_".join([*parts[:at], "{}", *parts[at + 1 :]]))
    return None


@dataclass
class Settings:
    """What settings.toml says of the pace, and the pace of the line itself."""

    publish_s: float = 5
    cells_s: float = 60
    band_percent: int = 100
    periods_s: dict = field(default_factory=dict)  # POLL_..._MS where it is not the default, by lane
    stale_periods: int = 3
    round_s: float = 0  # what a round of questions takes on this line

    def asked_s(self, promise: Promise) -> float:
        """How often a reading is asked: its own period, and where that is shorter, each round; the pack cuts in."""
        period = self.periods_s.get(promise.lane, promise.asked_s)
        if promise.lane == "pack" and period:
            return period
        return max(period, min(self.round_s, LONGEST_ROUND_S))

    def age_s(self, promise: Promise) -> float:
        """How old a reading may be before it is unknown."""
        if promise.asked_s is None:
            return float("inf")
        return max(self.asked_s(promise) + LEAST_AGE_S, self.stale_periods * self.asked_s(promise)) + MARGIN_S

    def limit_s(self, promise: Promise, far: bool = False) -> float:
        """For how long a value may be shown that the BMS does not hold any more; `far`: one that is ten dead bands off."""
        wait = {AT_ONCE: 0.0, MAIN: self.publish_s, SLOW: self.publish_s if far else self.cells_s, ONCE: 0.0}
        return self.age_s(promise) + wait[promise.pace]

    def band(self, promise: Promise, shown: float) -> float:
        """Differences smaller than this may wait."""
        return max(promise.band, promise.share * abs(shown)) * self.band_percent / 100
