# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""How long to wait, learned from the board: the gap before a request and the time for the first frame of a response."""

from random import Random

import pytest

from daly.timing import Timing


def answered(timing, latency_ms=10, times=1):
    for _ in range(times):
        timing.answered(latency_ms)
    return timing


def ignored(timing, times):
    for _ in range(times):
        timing.ignored()
    return timing


def test_it_begins_with_1_ms_and_300_ms():
    timing = Timing()
    assert (timing.gap_ms, timing.timeout_ms) == (1, 300)


# the time-out


@pytest.mark.parametrize(
    ("latency", "timeout"),
    [(0, 80), (30, 80), (31, 82), (100, 220), (139, 298), (140, 300), (280, 300), (281, 582), (740, 1500), (1400, 1500)],
)
def test_the_timeout_is_twice_the_slowest_response_and_20_ms(latency, timeout):
    assert answered(Timing(), latency).timeout_ms == timeout


def test_a_slower_response_counts_immediately_and_is_forgotten_by_a_sixteenth():
    timing = answered(Timing(), 40)
    assert answered(timing, 100).timeout_ms == 220
    assert answered(timing, 36).timeout_ms == 212  # 100 - 64 / 16 = 96
    assert answered(timing, 96).timeout_ms == 212
    assert answered(timing, 0).timeout_ms == 200  # 96 - 96 / 16 = 90
    for _ in range(200):
        timing.answered(40)
    assert timing.timeout_ms == 2 * 55 + 20  # less than 16 above is not forgotten


# what comes late


def test_one_straggler_is_not_waited_for_two_in_a_row_are():
    timing = answered(Timing(), 40)
    timing.late(400, 1000)
    assert timing.timeout_ms == 100
    timing.late(400, 1000)  # one more frame of the same response
    assert timing.timeout_ms == 100
    timing.late(400, 2000)
    assert timing.timeout_ms == 820


def test_a_response_in_time_begins_the_row_again():
    timing = answered(Timing(), 40)
    timing.late(400, 1000)
    timing.answered(40)
    timing.late(400, 2000)
    assert timing.timeout_ms == 100


@pytest.mark.parametrize(("latency", "timeout"), [(300, 620), (301, 100)])
def test_a_board_that_has_become_slower_is_waited_for_at_once_up_to_300_ms(latency, timeout):
    timing = answered(Timing(), 40)
    timing.late(latency, 1000)
    assert timing.timeout_ms == timeout


def test_before_any_response_in_time_one_late_one_shows_nothing():
    timing = Timing()
    timing.late(200, 1000)
    assert timing.timeout_ms == 300
    timing.late(200, 2000)
    assert timing.timeout_ms == 300  # from 200: 420, but that is no more than what was there
    timing.late(350, 3000)
    assert timing.timeout_ms == 720


def test_a_late_one_that_is_faster_than_the_slowest_changes_nothing():
    timing = answered(Timing(), 100)
    for asked_at in range(5):
        timing.late(100, asked_at)
    assert timing.timeout_ms == 220


def test_what_comes_as_soon_as_others_is_no_late_response_to_a_request_given_up():
    timing = answered(Timing(), 40)
    for asked_at in range(0, 5000, 100):
        timing.ambiguous(900, asked_at, 40)
    assert timing.timeout_ms == 100
    for asked_at in range(5000, 5700, 100):
        timing.ambiguous(900, asked_at, 41)
    assert timing.timeout_ms == 1500


def test_what_comes_as_soon_as_others_shows_that_the_gap_is_long_enough():
    timing = answered(ignored(Timing(), 3), 40)
    for asked_at in range(8):
        timing.ambiguous(900, asked_at, 40)
    assert ignored(timing, 2).gap_ms == 1  # 12 - 1 - 8 + 8
    assert ignored(timing, 1).gap_ms == 7


# the gap


def test_twenty_responses_without_a_silence_shrink_the_gap_to_its_floor():
    timing = Timing()
    assert answered(timing, times=19).gap_ms == 1
    assert answered(timing).gap_ms == 0


def test_a_board_that_ignores_requests_gets_more_than_twice_the_gap():
    timing = Timing()
    assert ignored(timing, 3).gap_ms == 1  # 3 * 4 are 12
    assert ignored(timing, 1).gap_ms == 7
    assert (timing.timeout_ms, answered(timing, 28).timeout_ms) == (300, 2 * (300 - 17) + 20)  # or was it only slow?
    assert ignored(timing, 3).gap_ms == 7
    assert ignored(timing, 1).gap_ms == 19


def test_a_response_takes_a_quarter_of_a_silence_away():
    timing = Timing()
    for _ in range(50):
        ignored(timing, 1)
        answered(timing, times=4)
    assert timing.gap_ms == 1
    timing = Timing()
    ignored(timing, 3)
    answered(timing, times=1)
    assert ignored(timing, 1).gap_ms == 7  # 15 are more than 12
    timing = Timing()
    ignored(timing, 3)
    answered(timing, times=4)
    assert ignored(timing, 1).gap_ms == 1


def test_a_response_that_came_late_was_not_ignored():
    timing = Timing()
    ignored(timing, 3)
    timing.late(200, 1)
    assert ignored(timing, 1).gap_ms == 1
    assert ignored(timing, 1).gap_ms == 7
    timing = Timing()
    timing.late(200, 1)
    assert ignored(timing, 4).gap_ms == 7  # it does not count below nothing


def test_while_a_silence_is_remembered_no_smaller_gap_is_tried():
    timing = answered(Timing(), times=18)
    ignored(timing, 1)
    assert answered(timing, times=4).gap_ms == 1
    assert answered(timing).gap_ms == 0


def test_the_longest_gap_is_250_ms():
    timing = Timing()
    gaps = []
    for _ in range(12):
        gaps.append(ignored(timing, 4).gap_ms)
    assert gaps == [7, 19, 43, 91, 187, *[250] * 7]


@pytest.mark.parametrize("lost", [0.01, 0.05, 0.08])
def test_lost_frames_are_not_blamed_on_the_gap(lost):
    timing, random = Timing(), Random(1)
    gaps = []
    for _ in range(20000):
        gaps.append(timing.gap_ms)
        timing.ignored() if random.random() < lost else timing.answered(30)
    assert sum(gaps) / len(gaps) < 2 and max(gaps) < 20


@pytest.mark.parametrize("needed", [0, 4, 20, 60, 100, 250])
def test_a_board_that_needs_a_pause_gets_it_and_hardly_more(needed):
    timing = Timing()
    lost = []
    for number in range(20000):
        if timing.gap_ms < needed:
            timing.ignored()
            lost.append(number)
        timing.answered(30)  # the next request comes after the time-out, late enough
    assert needed <= timing.gap_ms <= needed + 1
    assert len([number for number in lost if number < 500]) <= 30 and len(lost) <= 60


def test_a_smaller_gap_that_is_ignored_once_is_given_up_at_once():
    timing = Timing()
    ignored(timing, 4)
    answered(timing, times=20)
    assert timing.gap_ms == 4  # the middle of 7 and 2
    ignored(timing, 1)
    assert timing.gap_ms == 7
    answered(timing, times=20)
    assert timing.gap_ms == 6  # the middle of 7 and 5
    answered(timing, times=20)
    assert timing.gap_ms == 5
    answered(timing, times=500)
    assert timing.gap_ms == 5


def test_a_proven_gap_bears_seven_silences():
    timing = Timing()
    answered(timing, times=20)
    assert timing.gap_ms == 0
    answered(timing, times=100)
    assert ignored(timing, 7).gap_ms == 0  # 28 of 30
    assert ignored(timing, 1).gap_ms == 5
    timing = Timing()
    answered(timing, times=20 + 20 + 79)
    assert ignored(timing, 3).gap_ms == 0 and ignored(timing, 1).gap_ms == 5


def settled():
    """A gap of 7 ms that has been found to be the smallest."""
    timing = ignored(Timing(), 4)
    for _ in range(2):
        answered(timing, times=20)
        ignored(timing, 1)
    assert timing.gap_ms == 7
    return timing


def test_the_gap_returned_to_is_proven():
    assert ignored(settled(), 7).gap_ms == 7
    assert ignored(settled(), 8).gap_ms == 19


def trials(timing, count):
    """The responses before each of so many trials of a smaller gap, each ended by a silence, and the gaps tried."""
    responses, gaps = [], []
    gap = timing.gap_ms
    number = 0
    while len(gaps) < count:
        answered(timing)
        number += 1
        assert number < 100_000
        if timing.gap_ms != gap:
            responses.append(number)
            gaps.append(timing.gap_ms)
            number = 0
            ignored(timing, 1)
            gap = timing.gap_ms
    return responses, gaps


def test_a_smaller_gap_is_tried_again_after_1000_responses_and_then_ever_more_seldom():
    """The gap returned to counts as proven by 100; after a quarter less one below the gap is tried at once."""
    responses, gaps = trials(settled(), 16)
    assert gaps == [5, 6] * 8
    assert responses[::2] == [900, 1900, 3900, 7900, 15900, 31900, 49900, 49900]
    assert responses[1::2] == [1] * 8


def test_a_gap_that_is_blamed_begins_with_the_patience_of_1000():
    timing = settled()
    trials(timing, 4)
    assert ignored(timing, 8).gap_ms == 19
    assert trials(timing, 4) == ([20, 1, 1, 900], [13, 16, 18, 14])
