# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The judge of outputs in the campaigns: what it lets pass, and that it can fail for each of its reasons."""

import pytest

from campaigns.outputs_judge import Heater, Judge, siren


def judged(*events, on_s=5, off_s=10):
    """The complaints about (method, seconds, arguments) in turn, at the latest 8 s late."""
    judge = Judge("heater", on_s, off_s, late_s=8, send_s=2)
    for what, at, *arguments in events:
        getattr(judge, what)(at, *arguments)
    return judge.counted.wrong


START = ("start", 100)
ON = ("demand", 100, True)
OFF = ("demand", 130, False)
STATE = '{"output_1": "%s"}'


def test_what_follows_the_battery_is_right():
    assert judged(START, ON, ("edge", 111, True), ("published", 111.5, STATE % "ON", "output_1"), OFF, ("edge", 132, False),
                  ("published", 133, STATE % "ON", "output_1"), ("published", 135, STATE % "OFF", "output_1"),
                  ("advance", 500)) == []  # fmt: skip


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([START, ON, ("edge", 109, True)], "heater switched on after 9.0 s off at 109.0 s"),
        ([START, ON, ("edge", 111, True), ("demand", 112, False), ("edge", 115, False)], "heater switched off after 4.0 s on"),
        ([START, ("edge", 120, True)], "heater switched on without a cause"),
        ([START, ON, ("edge", 111, True), ("edge", 117, False)], "heater switched off without a cause"),
        ([START, ON, ("edge", 111, True), OFF, ("edge", 132, False), ("edge", 143, True)], "switched on without a cause"),
        ([START, ON, ("advance", 119)], "heater still off, which the battery does not demand"),
        ([START, ON, ("edge", 111, True), OFF, ("demand", 145, True)], "heater still on"),
        ([START, ON, ("edge", 111, True), ("published", 113.5, STATE % "OFF", "output_1")], "published as off while it was on"),
    ],
)
def test_it_complains(events, complaint):
    assert len(judged(*events)) == 1 and complaint in judged(*events)[0]


def test_what_was_demanded_just_before_may_still_be_done():
    assert judged(START, ON, ("demand", 109, False), ("edge", 111, True), ("edge", 117, False)) == []


def test_an_edge_for_a_demand_is_no_cause_for_the_one_before():
    """False, then True two seconds later: on, and off again after the minimum time, is one edge too many."""
    events = [START, ("demand", 100, False), ("demand", 120, True), ("edge", 120.5, True), ("edge", 126, False)]
    assert "without a cause" in judged(*events)[0]


def test_an_alarm_switches_off_at_once_but_never_on_too_early():
    alarm = [START, ON, ("edge", 111, True), ("demand", 112, False, True), ("edge", 112.5, False), ("demand", 113, True)]
    assert judged(*alarm, ("edge", 123, True)) == []
    assert "switched on after 9.5 s off" in judged(*alarm, ("edge", 122, True))[0]


def test_a_restart_releases_the_pin_and_the_minimum_time_begins_anew():
    on = [START, ON, ("edge", 111, True), ("start", 112), ("edge", 112, False)]
    assert judged(*on, ("edge", 122, True)) == []
    assert "switched on after 9.0 s off" in judged(*on, ("edge", 121, True))[0]


def test_what_the_heater_has_to_do():
    heater = Heater()
    assert heater.demand(70, False, None) == (False, False)
    assert [heater.demand(soc, False, None)[0] for soc in (81, 70, 60, 59, 70)] == [True, True, True, False, False]
    assert heater.demand(90, True, None) == (False, True)
    assert heater.demand(70, False, None) == (False, False)
    assert heater.demand(90, False, 20.0) == (None, False)
    assert heater.demand(90, False, 61.0) == (False, True)
    assert heater.demand(70, False, None) == (None, False)
    heater.start()
    assert heater.demand(70, False, None) == (False, False)


def test_what_the_siren_has_to_do():
    assert [siren(True, None), siren(False, None), siren(True, 5.0)] == [(True, False), (False, False), (None, False)]
