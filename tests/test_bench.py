# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What `make bench` makes of a log, on conversations whose figures are known beforehand."""

import pytest

from campaigns import bench
from simulator.bms import Bms


def run_of(pause_ms, rounds, options="", published=()):
    """A Run as of a reader that asks one command after the other and wastes so long before each request."""
    log, us = [], 0.0
    bms = Bms("cells=16,temperatures=2,think=5,drift=0," + options, note=log.append)
    for _ in range(rounds):
        for command in bench.MEASURED:
            head = bytes([0xA5, 0x40, command, 8]) + bytes(8)
            bms.receive(head + bytes([sum(head) & 0xFF]), us)
            us += 1e6 * bench.limit_of(1, 13 * (6 if command == 0x95 else 1))
            bms.transmit(us)
            us += 1000 * pause_ms
    return bench.Run(log, list(published), 0.5, 0.0, us / 1e6)


@pytest.mark.parametrize("pause_ms", [0, 4])
def test_the_ratio_is_time_over_the_limit_of_the_own_bytes(pause_ms):
    row = bench.figures(run_of(pause_ms, 10))
    limit = bench.cycle_limit(bench.MEASURED, 16)
    assert row.ratio == pytest.approx((limit + 9 * pause_ms / 1000) / limit, abs=0.01)
    assert row.refresh == pytest.approx(row.ratio, abs=0.01)
    assert row.read == pytest.approx(row.ratio, abs=0.02)


def test_one_round_of_sixteen_cells_is_299_bytes_and_nine_times_thinking():
    assert bench.cycle_limit(bench.MEASURED, 16) == pytest.approx(299 * 10 / 9600 + 9 * 0.005)


def test_a_number_the_bms_never_held_is_wrong_and_one_it_held_long_ago_too():
    requests = [event for event in run_of(0, 3).log if "request" in event]
    truth, at = requests[0]["truth"], requests[-1]["t"]
    right = {"pack_voltage": truth["pack_voltage"], "cell_3_voltage": truth["cell_3_voltage"], "mode": "idle"}
    assert not bench.is_wrong(right, at, requests)
    assert bench.is_wrong({**right, "cell_3_voltage": 44.029}, at, requests)
    assert bench.is_wrong({"soc": 9.9}, at, [*requests, {**requests[0], "t": at - 60, "truth": {**truth, "soc": 9.9}}])


def test_damaged_frames_of_cells_are_lost():
    row = bench.figures(run_of(0, 60, "corrupt=5,seed=3"))
    clean = bench.figures(run_of(0, 60))
    assert 0.9 < row.good / clean.good < 0.99


def test_without_conversation_there_are_no_figures():
    assert bench.figures(bench.Run([], [], 0.0, 0.0, 1.0)) is None


def test_asking_ahead_saves_time_only_where_the_board_takes_it():
    one, ahead, refused = (
        bench.poll_in_turn(ahead, f"cells=16,temperatures=2,drift=0,think=5,overlap={overlap}", 10)
        for ahead, overlap in ((False, 0), (True, 1), (True, 0))
    )
    assert one[0] == pytest.approx(1, abs=0.03) and one[1] == ahead[1] == 0
    assert ahead[0] < 0.75 and refused[0] > 2 and refused[1] > 0.3


def test_four_boards_use_their_line_to_its_limit():
    ratio, fast, fast_most, cells, _ = bench.boards_row("", 4, 20)
    assert 1 <= ratio < 1.05 and 250 < fast <= fast_most < 1000 < 1500 > cells
