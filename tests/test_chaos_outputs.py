# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The chaos with outputs: its rows are faults that exist, and the log of the firmware is read in its order."""

import time

import pytest

from campaigns.chaos_outputs import OTHERS, logged, rows


def stamped(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03}"


def test_lines_have_the_time_at_which_they_were_printed_and_their_order():
    arrived, now = time.monotonic(), time.time()
    lines = [
        (arrived, f"{stamped(now - 2)} host: output IO5 (Heater) on"),
        (arrived + 0.5, f"{stamped(now - 2)} -> t/outputs/state {{}}"),
        (arrived + 0.1, f"{stamped(now - 1)} host: the chip resets (WATCHDOG)"),
        (arrived + 0.1, f"{stamped(now - 1.004)} host: output IO5 (Heater) off"),
        (arrived + 0.2, f"{stamped(now)} -> t/state {{}}"),
    ]
    found = logged(lines)
    assert [at for at, _ in found] == pytest.approx([arrived - 2, arrived - 2, arrived - 1, arrived - 1], abs=0.01)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    assert [event.groups()[3:] for _, event in found] == [
        ("IO5", "on", None, None),
        (None, None, None, "{}"),
        (None, None, "host: the chip resets", None),
        ("IO5", "off", None, None),
    ]


def test_there_are_demands_in_every_fault_of_the_network_and_none_that_nobody_can_hear():
    for row in rows():
        assert bool(row.least_edges) == (row.fault.name not in OTHERS) and len(row.steps) > 0, row.fault.name
