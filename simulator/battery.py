# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The battery behind a simulated BMS: cells, sensors, current and charge as functions of time, from a seed. No protocol."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from types import SimpleNamespace
from typing import Any

from simulator.options import MODES

# Rest voltage of a cell by state of charge: (percent, millivolts), straight lines between.
OPEN_CIRCUIT = {
    "lfp": ((0, 2800), (5, 3080), (10, 3200), (20, 3250), (40, 3288), (60, 3305), (80, 3332), (95, 3362), (100, 3450)),
    "nmc": ((0, 3000), (10, 3450), (20, 3550), (50, 3700), (80, 4000), (100, 4200)),
    "lto": ((0, 2000), (10, 2150), (50, 2300), (90, 2450), (100, 2700)),
}


@dataclass(frozen=True)
class Readings:
    """What the BMS measures at one moment, as the integers of the wire (but current: 0.1 A, positive = charging)."""

    cells: list[int]  # mV
    temperatures: list[int]  # degrees + 40
    current: int  # 0.1 A
    soc: int  # 0.1 %
    life: int
    clock: datetime
    options: SimpleNamespace

    @property
    def pack(self) -> int:
        """0.1 V, cut off, not rounded: cells of 52.878 V read 52.8 (dsf21898), 53.097 read 53.0 (gh68966297095)."""
        return sum(self.cells) // 100

    @property
    def remaining(self) -> int:
        """mAh."""
        return round(self.options.capacity * self.soc)

    @property
    def mode(self) -> int:
        limit = 10 * self.options.deadzone
        return (self.current > limit) + 2 * (self.current < -limit)

    @property
    def balancing(self) -> int:
        """One bit a cell, lowest first."""
        return sum(1 << cell - 1 for cell in self.options.balancing if 1 <= cell <= len(self.cells))


def measured(r: Readings, cells: list[int]) -> dict[str, Any]:
    """What every protocol says alike, by this project's JSON names. `cells`: as many as the protocol has room for, in mV.

    A float is raw / 10**decimals, so it equals what json.loads makes of the exact decimal text.
    """
    high, low = max(cells), min(cells)
    return {
        "pack_voltage": r.pack / 10,
        "current": r.current / 10,
        "power": r.pack * r.current / 100,
        "soc": r.soc / 10,
        "mode": MODES[r.mode],
        "charge_mosfet": bool(r.options.charge_mosfet),
        "discharge_mosfet": bool(r.options.discharge_mosfet),
        "cycle_count": r.options.cycles,
        "cell_count": len(cells),
        "max_cell_voltage": high / 1000,
        "max_voltage_cell": cells.index(high) + 1,
        "min_cell_voltage": low / 1000,
        "min_voltage_cell": cells.index(low) + 1,
        "cell_voltage_delta": (high - low) / 1000,
        **{f"cell_{n}_voltage": mv / 1000 for n, mv in enumerate(cells, 1)},
        "alarm_bytes": r.options.alarms.hex(),
        "sleep_time": r.options.sleep_time,
        "software_version": r.options.software,
        "hardware_version": r.options.hardware,
        "clock": r.clock.isoformat(timespec="seconds"),
    }


class Pack:
    """The battery: every value is a function of time, so it does not matter how often it is read."""

    def __init__(self, options: SimpleNamespace, now_us: float):
        self._options = options
        self._since_us = now_us
        self._wave_of = [_wave(Random(f"{options.seed}/{index}")) for index in range(80)]
        self._offset = [Random(f"{options.seed}:{index}").uniform(-0.5, 0.5) for index in range(80)]

    def settle(self, now_us: float):
        """Make the state of charge and the clock of now the new start; to be called before an option changes."""
        self._options.soc, self._options.clock = self._soc(now_us), self._clock(now_us)
        self._since_us = now_us

    def readings(self, now_us: float) -> Readings:
        """What the BMS measures at this time."""
        o = self._options
        current, soc = self._current(now_us), self._soc(now_us)
        mean = _interpolate(OPEN_CIRCUIT[o.chemistry], soc) + current * 140 / o.capacity  # half a milliohm for 280 Ah
        return Readings(
            cells=[o.cell_mv[n + 1] if n + 1 in o.cell_mv else self._cell(n, mean, now_us) for n in range(o.cells)],
            temperatures=[o.sensor_raw.get(n + 1, self._sensor(n, now_us)) for n in range(o.temperatures)],
            current=round(10 * current),
            soc=round(10 * soc),
            life=(o.life + int(now_us / 1e6) * bool(o.drift)) % 256,
            clock=self._clock(now_us),
            options=o,
        )

    def _elapsed(self, now_us: float) -> float:
        return (now_us - self._since_us) / 1e6 if self._options.drift else 0.0

    def _flowing(self) -> float:
        """The current option in A, 0 while the MOSFET of its direction is off."""
        o = self._options
        open_way = o.charge_mosfet if o.current > 0 else o.discharge_mosfet
        return o.current if open_way else 0.0

    def _current(self, now_us: float) -> float:
        flowing = self._flowing()
        wander = 1 + 0.03 * self._wander(0, now_us, 17)
        ripple = self._options.ripple * self._wave_of[79](now_us / 7e6)
        return max(-3000.0, min(3000.0, flowing * wander + ripple))

    def _soc(self, now_us: float) -> float:
        moved = self._flowing() * self._elapsed(now_us) / 3600 / self._options.capacity * 100
        return max(0.0, min(100.0, self._options.soc + moved))

    def _clock(self, now_us: float) -> datetime:
        return self._options.clock + timedelta(seconds=self._elapsed(now_us))

    def _cell(self, n: int, mean: float, now_us: float) -> int:
        """mV of cell n, counted from 0: the mean, the cell's own offset and its drift."""
        own = mean + self._options.spread * self._offset[n + 1]
        return max(0, min(65535, round(own + 1.5 * self._wander(n + 1, now_us, 60))))

    def _sensor(self, n: int, now_us: float) -> int:
        degrees = self._options.temperature + 4 * self._offset[n + 50] + 1.5 * self._wander(n + 50, now_us, 600)
        return max(0, min(255, round(degrees + 40)))

    def _wander(self, index: int, now_us: float, period_s: float) -> float:
        drift = self._options.drift
        return drift and drift * self._wave_of[index](now_us / 1e6 / period_s)


def _wave(random: Random) -> Callable[[float], float]:
    """A smooth curve within -1..1 that hardly repeats: two sines with phases from the seed."""
    first, second = random.uniform(0, 7), random.uniform(0, 7)
    return lambda x: 0.6 * math.sin(2 * math.pi * x + first) + 0.4 * math.sin(9.7 * x + second)


def _interpolate(curve: tuple, x: float) -> float:
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]
