# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The fault campaign with D2 and P81 in little: nothing wrong is shown, every situation is named, and a lie is seen."""

import multiprocessing

import pytest
from test_host_cli import read_until, start

from campaigns.faults.__main__ import quiet
from campaigns.faults.cases import CASES, CELLS, UNDETECTED, VARIANTS, campaign, cases_of, jobs_of
from campaigns.faults.judge import KINDS
from campaigns.faults.line import Job, Line
from campaigns.faults.trials import EXTREMES, diagnose, extreme, pace, situations_of
from simulator.faults import FAULTS

NEWER = ("d2", "p81")
MISNAMED = (11, "p81")  # (seed, protocol) of a situation that is named wrongly as yet
SHORT = {
    "nothing damaged",
    "5 % corrupted",
    "second master",
    "app",
    "5 % all 0xFF",
    "5 % merged with the one before",
    "absent sensors",
}


@pytest.fixture(scope="module")
def pool():
    with multiprocessing.Pool(2, initializer=quiet) as processes:
        yield processes


@pytest.fixture(scope="module", params=NEWER)
def results(pool, request):
    cases = [case for case in (*CASES, *VARIANTS) if case.name in SHORT]
    return list(campaign(pool, cases, 1200, 3, protocol=request.param))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_wrong_is_shown(results, kind):
    assert len(results) == len(SHORT)
    assert [line for result in results for line in result.lines() if line.startswith(kind + ":")] == []


def test_damage_costs_little_more_than_the_frames_it_hits(results):
    lost = {result.case.name: result.lost for result in results}
    assert lost["5 % corrupted"] < 15 and lost["app"] < 15
    assert max(result.gap for result in results) < 3


def test_each_fault_is_in_the_campaign_of_the_protocols_that_can_have_it():
    for protocol in ("a5", *NEWER):
        names = {case.name for case in cases_of(CASES, protocol)}
        for fault in FAULTS:
            if fault.worst and fault.name != "corrupt":
                assert (fault.case in names) == (protocol in fault.protocols), (protocol, fault.name)


@pytest.mark.parametrize("protocol", NEWER)
def test_lines_speak_the_protocol_and_have_packs_that_it_can_say(protocol):
    for case in cases_of((*CASES, *VARIANTS, *UNDETECTED), protocol):
        jobs = jobs_of(case, 900, 8000, 1, protocol)
        assert [job.cells for job in jobs] == list(CELLS[protocol])
        assert all(protocol in job.options for job in jobs)
    assert max(CELLS["d2"]) == 32


@pytest.mark.parametrize("protocol", NEWER)
def test_a_lie_is_seen(protocol):
    """A board that sends another state of charge than it has."""
    register = {"d2": 0x2A, "p81": 0x3A}[protocol]
    line = Line(Job("lie", 16, 1, 0, f"protocol={protocol},temperatures=4,drift=0,soc=40,words={register}:612", life="still"))
    while line.s < 8:
        line.step()
    assert any(finding.kind == "wrong" and "soc 61.2" in finding.words for finding in line.judge.findings)


@pytest.mark.parametrize("protocol", NEWER)
def test_situations_are_named(pool, protocol):
    seeds = [seed for seed in range(16) if (seed, protocol) != MISNAMED]
    found = pool.starmap(diagnose, [(seed, protocol) for seed in seeds], 1)
    assert [(situation.name, text) for situation, text, is_right in found if not is_right] == []
    assert len(situations_of(protocol)) > 15


def test_responses_of_only_0xff_are_named_though_one_is_damaged():
    situation, text, is_right = diagnose(*MISNAMED)
    assert is_right, (situation.name, text)


@pytest.mark.parametrize("protocol", NEWER)
def test_extremes_are_published_as_they_are(pool, protocol):
    names = [name for name in EXTREMES if "48S" not in name and "dead" not in name]
    found = pool.starmap(extreme, [(EXTREMES[name], "", protocol) for name in names], 1)
    assert dict(zip(names, found, strict=True)) == {name: [] for name in names}


@pytest.mark.parametrize(("protocol", "think"), [("d2", 35), ("p81", 35), ("p81", 60)])
def test_a_board_is_read_as_fast_as_it_answers(protocol, think):
    ratio, _, lost = pace(think, 0, protocol)
    assert 0.99 < ratio < 1.05 and lost == 0


@pytest.mark.slow
@pytest.mark.parametrize(("options", "protocol"), [("protocol=p81,boards=2", "P81"), ("protocol=d2", "D2")])
def test_the_host_shows_it_living(options, protocol):
    process = start("--no-oled", "--bms", f"{options},cells=4,soc=61,current=0")
    try:
        read_until(process, f"connection OK, with protocol {protocol}")
        state = next(line for line in process.stdout if "/bms1/state " in line and '"cell_4_voltage":3.' in line)
        assert '"soc":61.0,' in state
    finally:
        process.terminate()
        process.communicate(timeout=60)
