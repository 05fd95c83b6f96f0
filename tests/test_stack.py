# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""CircuitPython's call stack: the deepest call of everything leaves a third of its 2,048 bytes."""

import pytest

from campaigns import board_size, stack

pytestmark = pytest.mark.slow
MOST = 1300


@pytest.fixture(scope="module")
def probed():
    if not any(vm.name == "WebAssembly" for vm in board_size.machines()):
        pytest.skip("needs node and npm, and once a network")
    return stack.Probed()


@pytest.mark.parametrize("name", stack.RUNS)
def test_the_call_stack_is_a_third_free_whatever_happens(probed, name):
    words, settings = stack.RUNS[name]
    deepest = stack.run(probed, words, settings)[0]
    assert MOST - 500 < deepest.depth <= MOST, " > ".join(f"{called} {depth}" for called, depth in deepest.chain)


def test_the_outages_reach_what_they_are_for(probed):
    """Else the depth would be that of a run in which nothing happens."""
    words, settings = stack.RUNS["outages, and commands"]
    reached = {one.name for one in stack.run(probed, words, settings)}
    expected = {
        "mqtt/trouble.py broker_trouble",
        "mqtt/trouble.py wifi_trouble",
        "app/log.py print_error",
        "app/report.py report",
    }
    assert expected <= reached, sorted(reached)
