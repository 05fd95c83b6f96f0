"""A short fault campaign: no untrue value on damaged lines, and every reason by its name. The long one is `make faults`."""

import pytest

from host.faults import CASES, SITUATIONS, blind, campaign, pace


class Here:
    """A pool of one, so that a failure is seen where it happens."""

    map = staticmethod(lambda function, jobs, _chunk=1: [function(job) for job in jobs])


@pytest.mark.parametrize("name", ["5 % corrupted", "5 % mixed", "5 % all zero", "own echo", "sleeps 5-20 s, 5 %"])
def test_nothing_untrue_is_published(name):
    cases = [case for case in CASES if case.name == name]
    (result,) = campaign(Here, cases, 1200, seed=7)
    assert result.values > 3000
    assert result.wrong == [] and result.stale == []
    assert result.gap < 2


def test_the_campaign_sees_a_lie():
    """Frames with a right sum and a lie in them are beyond any receiver: the campaign must count some as wrong."""
    (result,) = campaign(Here, [case for case in CASES if case.name == "5 % lies with a right sum"], 2000, seed=1)
    assert result.wrong


def test_every_reason_is_named():
    seen = {}
    for seed in range(40):
        name, text, right = blind(seed)
        assert right, f"{name}: {text}"
        seen[name] = text
    assert len(seen) >= len(SITUATIONS) - 2


@pytest.mark.parametrize(("think_ms", "pause_ms"), [(5, 0), (200, 0), (5, 25)])
def test_boards_of_every_pace_are_read(think_ms, pause_ms):
    answers, _gap, timeouts = pace(think_ms, pause_ms)
    assert answers * (27 + think_ms + pause_ms) / 1000 > 0.3  # of the time a line of single frames would be busy
    assert timeouts < answers * 30 / 10
