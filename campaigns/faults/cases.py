# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The cases of the campaign: damage of the line, variants of boards, batteries and settings; and the result of each."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from random import Random

from simulator.faults import FAULTS

from .judge import KINDS
from .line import Job, Tally, run

CELLS = (4, 16, 48)
TEMPERATURES = {4: 1, 16: 4, 48: 9}
FIVE = "corrupt=5"
MIXED = (
    "corrupt=2,corrupt1=0.5,burst=0.3,drop_byte=0.5,extra_byte=0.5,truncate=0.5,garbage=0.5,duplicate=0.5,drop_frame=0.5,"
    "late=0.5"
)
SLOW = "think=60,think_jitter=60"
MILLION = 1_000_000
LEAST = 900  # frames of a case, however short the campaign


@dataclass(frozen=True)
class Case:
    """One row of the tables. `job`: further arguments of its Jobs, as pairs."""

    name: str
    faults: str = ""
    share: float = 0.02  # of the number of frames of the campaign
    board: str = ""  # options of the board, also in the clean run it is compared with
    outage: str = ""
    job: tuple = ()


def _case(name: str, faults: str = "", share: float = 0.02, board: str = "", outage: str = "", **job) -> Case:
    return Case(name, faults, share, board, outage, tuple(job.items()))


AT_HOST_0X80 = {"poller": (("host_address", 0x80),)}
CASES = (
    _case("nothing damaged", share=0.04),
    _case("0.1 % corrupted", "corrupt=0.1"),
    _case("1 % corrupted", "corrupt=1", 0.1),
    _case("5 % corrupted", FIVE, 1),
    _case("5 % mixed", MIXED, 0.2),
    _case("20 % corrupted", "corrupt=20"),
    _case("5 %, slow board", FIVE, board=SLOW),
    _case("5 %, loop stalls for 100 ms", FIVE, stalls=True),
    _case("5 %, with echo", FIVE, board="echo=1"),
    _case("5 %, second master", FIVE + ",second_master=10"),
    # each fault alone, as often as it can be
    *(
        _case(fault.case, f"{fault.name}={fault.worst:g}", **({} if fault.host == 0x40 else AT_HOST_0X80))
        for fault in FAULTS
        if fault.worst and fault.name != "corrupt"
    ),
    _case("20 % missing", "drop_frame=20"),
    _case("with echo", board="echo=1"),
    _case("noise, 20 bytes a second", "noise=20"),
    _case("silent for 5-20 s, 5 %", FIVE, outage="silent"),
    _case("asleep for 5-20 s, 5 %", FIVE, outage="asleep"),
    _case("mixtures of 3 to 6 faults", share=0.05),  # drawn by seed
)
INVERTED = "inverted=1"
IDLING = "ripple=0.1,deadzone=0.3"
ALL_SLOW = tuple((group, 10000) for group in ("pack", "status", "cells", "temperatures", "checks"))
VARIANTS = (  # of boards, batteries and settings
    _case("loads that fade out", life="fading"),
    _case("fading, 5 %", FIVE, life="fading"),
    _case("quiet battery", board="drift=0,current=0", share=0.06, life="quiet"),
    _case("quiet battery, 1 %", "corrupt=1", board="drift=0,current=0", share=0.06, life="quiet"),
    _case("currents below 3 A", life="small"),
    _case("currents below 3 A, 5 %", FIVE, life="small"),
    _case("idles at ±0.1 A", board=IDLING, life="fading"),
    _case("idles at ±0.1 A, 5 %", FIVE, board=IDLING, life="small"),
    _case("sign inverted", board=INVERTED, unsettled=True),
    _case("sign inverted, 5 %", FIVE, board=INVERTED, unsettled=True),
    _case("sign inverted, below 3 A", board=INVERTED + ",current=-2", life="small", unsettled=True),
    _case("shunt swapped, CURRENT_SIGN inverted", board="swapped=1", current_sign="inverted"),
    _case("broker lost now and then", reconnects=True),
    _case("broker lost now and then, silent for 5-20 s, 5 %", FIVE, outage="silent", reconnects=True),
    _case("PUBLISH_EACH_VALUE", each_value=True),
    _case("PUBLISH_INTERVAL_S 1", publish_s=1),
    _case("PUBLISH_INTERVAL_S 60", publish_s=60),
    _case("CELLS_INTERVAL_S 5", cells_s=5),
    _case("CELLS_INTERVAL_S 600, quiet", share=0.06, board="drift=0,current=0", life="quiet", cells_s=600),
    _case("DEADBAND_PERCENT 0", deadband_percent=0),
    _case("DEADBAND_PERCENT 200", deadband_percent=200),
    _case("POLL_PACK_MS 1000", periods=(("pack", 1000),)),
    _case("POLL_PACK_MS 4900", life="calm", periods=(("pack", 4900),)),
    _case("POLL_PACK_MS 5000", life="calm", periods=(("pack", 5000),)),
    _case("POLL_PACK_MS 10000", life="calm", periods=(("pack", 10000),)),
    _case("every POLL_ setting 10000", share=0.004, life="calm", periods=ALL_SLOW),
    _case("every POLL_ setting 10000, 5 %", FIVE, share=0.004, life="calm", periods=ALL_SLOW),
    _case("STALE_PERIODS 2, temperatures missed", "drop_frame=20", poller=(("stale_periods", 2),)),
)
UNDETECTED = (  # the checksum is right: only the values can show the error
    _case("1 % undetected errors", "implausible=1", 0.03),
    _case("5 % undetected errors", "implausible=5", 0.03),
    _case("1 % undetected errors, 1 % corrupted", "implausible=1,corrupt=1", 0.03),
)
MIXTURE = [f"{fault.name}={fault.worst:g}" for fault in FAULTS if fault.worst and fault.host == 0x40] + ["noise=20", "echo=1"]
WAYS = "think=20 think_jitter=30 gap=10 stale=0 zero_based=1 temperature_frames=2 absent=255"


def mixture(random: Random) -> str:
    """Options: three to six faults at once, each up to its highest percentage, and two variants of a board."""
    worst = [item.split("=") for item in random.sample(MIXTURE, random.randint(3, 6))]
    faults = [f"{name}={1 if name == 'echo' else random.uniform(0.1, 1) * float(most)}" for name, most in worst]
    return ",".join([*faults, *random.sample(WAYS.split(), 2)])


def jobs_of(case: Case, frames: float, size: int, seed: int) -> list[Job]:
    """The lines of one case: all three packs, in pieces of about `size` frames, each with another seed."""
    jobs = []
    pieces = max(1, round(frames / len(CELLS) / size))
    for cells in CELLS:
        for number in range(seed, seed + pieces):
            faults = mixture(Random(f"{number}/{cells}")) if case.name.startswith("mixtures") else case.faults
            options = ",".join(filter(None, (f"temperatures={TEMPERATURES[cells]}", case.board, faults)))
            count = math.ceil(frames / len(CELLS) / pieces)
            more = {"sound": not faults and not case.outage, **dict(case.job)}
            jobs.append(Job(case.name, cells, number, count, options, case.outage, **more))
    return jobs


class Result:
    """One case, all its lines taken together."""

    def __init__(self, case: Case, tallies: list[Tally]):
        self.case = case
        self.frames = sum(t.frames for t in tallies)
        self.damaged = sum(t.damaged for t in tallies)
        self.values = sum(t.values for t in tallies)
        self.messages = sum(t.messages for t in tallies)
        self.connection_changes = sum(t.connection_changes for t in tallies)
        self.findings = [(t.job, finding) for t in tallies for finding in t.findings]
        self.kinds = Counter(dict.fromkeys(KINDS, 0))
        self.kinds.update(finding.kind for _, finding in self.findings)
        self.gap = max(t.gap for t in tallies)
        self.back = max((back for t in tallies for back in t.back), default=None)
        self.rates = [self._rate([t for t in tallies if t.job.cells == cells]) for cells in CELLS]
        self._lags = [t.lags for t in tallies]
        self.lost = 0.0  # percent of the refreshes of the clean run, mean of the three packs
        rows = [(shown, true) for t in tallies for key, shown, true in t.energy if key.startswith("energy")]
        total = sum(true for _, true in rows)
        # percent of the energy that flowed which was counted too much (+) or too little (-)
        self.energy_error = 100 * sum(shown - true for shown, true in rows) / total if total else 0.0

    @staticmethod
    def _rate(tallies) -> float:
        return sum(t.refreshes for t in tallies) / max(0.1, sum(t.seconds for t in tallies))

    def lines(self) -> list[str]:
        """Each finding with the line that reproduces it."""
        return [
            f"{finding.kind}: {job.case}, {job.cells} cells, seed {job.seed}, {finding.at:.1f} s: {finding.words}"
            for job, finding in self.findings
        ]

    def lag(self, *keys: str) -> float:
        """Longest time in seconds until a change of one of these readings was accepted."""
        return max((lag for lags in self._lags for key in keys for lag in lags[key]), default=0.0)

    def compare(self, clean: Result):
        """Calculate `lost` from the refreshes of the clean run."""
        pairs = [(rate, most) for rate, most in zip(self.rates, clean.rates, strict=True) if most]
        self.lost = sum(100 - 100 * rate / most for rate, most in pairs) / max(1, len(pairs))


def campaign(pool, cases, frames: int, seed: int, size: int = 8000):
    """Yield the Result of each case, compared with a clean run of the same kind of board."""
    clean: dict[tuple, Result] = {}
    for case in cases:
        result = Result(case, pool.map(run, jobs_of(case, max(LEAST, frames * case.share), size, seed), 1))
        kind = (case.board, case.job)
        if kind not in clean:
            undamaged = replace(case, faults="", outage="", name="nothing damaged")
            jobs = jobs_of(undamaged, max(LEAST, min(0.03, case.share) * frames), size, seed)
            clean[kind] = (
                result
                if not (case.faults or case.outage or "mixtures" in case.name)
                else Result(undamaged, pool.map(run, jobs, 1))
            )
        result.compare(clean[kind])
        yield result
