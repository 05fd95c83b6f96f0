# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The highest and the lowest cell, and temperature: those of the cells themselves, since the BMS says its own seldom."""

from .readings import READING

# cells or sensors, the highest of them and its number, the lowest and its number, their delta
SPREADS = tuple(
    tuple(READING[key] if key else None for key in keys)
    for keys in (
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


def extremes(pack, spread):
    """(highest, its number, lowest, its number, whether a cell is not known) of the Values `pack`; None: not known.

    For cells that are not known counts what the BMS reports.
    """
    many, highest, highest_at, lowest, lowest_at, _ = spread
    high, high_at, low, low_at, unknown = _of_known(pack, many)
    if unknown:
        high, high_at = _with_reported(pack, many, high, high_at, highest, highest_at, 1)
        low, low_at = _with_reported(pack, many, low, low_at, lowest, lowest_at, -1)
    return high, high_at, low, low_at, unknown


def _of_known(pack, many):
    """(highest, its number, lowest, its number, whether one is not known) of the cells themselves; None: none is known."""
    count = pack.count(many)
    high = high_at = low = low_at = None
    unknown = not count
    for index in range(count):
        raw = pack.held(many.slot + index)
        if raw is None:
            unknown = True
            continue
        if high is None or raw > high:
            high = raw
            high_at = index + 1
        if low is None or raw < low:
            low = raw
            low_at = index + 1
    return high, high_at, low, low_at, unknown


def _with_reported(pack, many, best, number, row, row_at, sign):
    """(value, number) of the highest (sign 1) or lowest (-1) with what the BMS reports (`row`, `row_at`).

    That is requested less often and may be of another moment, so it counts for the unknown cells only, and alone where no
    cell is known. None: not known.
    """
    reported = pack.at(row)
    reported_at = pack.at(row_at)
    if reported is None or best is None:
        return reported, reported_at
    is_known = reported_at is not None and reported_at <= pack.count(many) and pack.at(many, reported_at - 1) is not None
    if not is_known and sign * reported > sign * best:
        return reported, reported_at
    return best, number
