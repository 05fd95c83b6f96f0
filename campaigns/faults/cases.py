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

CELLS = {"a5": (4, 16, 48), "d2": (4, 16, 32), "p81": (4, 16, 48)}  # of the packs, by protocol
TEMPERATURES = {"a5": (1, 4, 9), "d2": (1, 4, 8), "p81": (1, 4, 8)}
ALL, A5, NEWER, D2, P81 = ("a5", "d2", "p81"), ("a5",), ("d2", "p81"), ("d2",), ("p81",)
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
    protocols: tuple = ALL  # of the campaigns in which it is a case


def _case(name, faults="", share=0.02, board="", outage="", protocols=ALL, **job) -> Case:
    return Case(name, faults, share, board, outage, tuple(job.items()), protocols)


def cases_of(cases: tuple, protocol: str) -> list[Case]:
    """Those that this protocol can have."""
    return [case for case in cases if protocol in case.protocols]


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
        _case(
            fault.case,
            f"{fault.name}={fault.worst:g}",
            protocols=fault.protocols,
            **({} if fault.host == 0x40 else AT_HOST_0X80),
        )
        for fault in FAULTS
        if fault.worst and fault.name != "corrupt"
    ),
    _case("20 % missing", "drop_frame=20"),
    _case("with echo", board="echo=1"),
    _case("noise, 20 bytes a second", "noise=20", protocols=A5),
    # 20 a second would spoil 19 of 20 frames: one takes 137 ms or more
    _case("noise, 2 bytes a second", "noise=2", protocols=NEWER),
    _case("silent for 5-20 s, 5 %", FIVE, outage="silent"),
    _case("asleep for 5-20 s, 5 %", FIVE, outage="asleep"),
    _case("asleep, returning requests, for 5-20 s, 5 %", FIVE, board="sleep_reply=echo", outage="asleep", protocols=NEWER),
    _case("5 %, with the vendor's app", FIVE + ",app=10", protocols=NEWER),
    _case("mixtures of 3 to 6 faults", share=0.05),  # drawn by seed
)
INVERTED = "inverted=1"  # A5: the newer protocols say the direction
IDLING = "ripple=0.1,deadzone=0.3"
BUSES = ("a5", "p81")  # D2 has no numbers
TWO_P81 = ((3, "protocol=p81"), (4, "protocol=p81"))
TWICE = ((3, "board=4"),)
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
    _case("sign inverted", board=INVERTED, unsettled=True, protocols=A5),
    _case("sign inverted, 5 %", FIVE, board=INVERTED, unsettled=True, protocols=A5),
    _case("sign inverted, below 3 A", board=INVERTED + ",current=-2", life="small", unsettled=True, protocols=A5),
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
    _case("62 registers", board="registers=62", protocols=D2),
    _case("62 registers, 5 %", FIVE, board="registers=62", protocols=D2),
    _case("62 registers, silent beyond", board="registers=62,beyond=silent", protocols=D2),
    _case("62 registers, zeros beyond", board="registers=62,beyond=zeros", protocols=D2),
    _case("garbage where no sensor is, 5 %", FIVE, board="garbage_slots=1", protocols=D2),
    _case("3.6 ms of quiet needed", board="quiet=3.6", protocols=NEWER),
    _case("without some sensors", board="lacks=mosfet_temperature+board_temperature", protocols=NEWER),
    _case("without balance current, too", board="lacks=mosfet_temperature+board_temperature+balance_current", protocols=P81),
    _case(
        "without some sensors, 0xFFFF", board="lacks=mosfet_temperature+board_temperature,lacking_raw=65535", protocols=NEWER
    ),
    _case("absent sensors", board="sensor_raw=1:255+2:0", protocols=NEWER),
    _case("older alarm words", board="alarm_words=old", protocols=P81),
    _case("older alarm words, 5 %", FIVE, board="alarm_words=old", protocols=P81),
    _case("speaks D2, too", board="protocol=p81+d2", protocols=P81),
    _case("speaks A5, too, 5 %", FIVE, board="protocol=a5+p81", protocols=P81),
    _case("three boards on the bus, 5 %", FIVE, board="boards=3", protocols=P81),
    _case("four batteries on the bus", share=0.06, group=4, protocols=BUSES),
    _case("four batteries on the bus, 5 %", FIVE, share=0.2, group=4, protocols=BUSES),
    _case("four batteries, two of each protocol, 5 %", FIVE, share=0.1, group=4, odd=TWO_P81, protocols=A5),
    _case("one of four silent, 5 %", FIVE, share=0.06, group=4, odd=((3, "silent=1"),), protocols=BUSES),
    _case("one of four silent for 5-20 s, 5 %", FIVE, share=0.06, group=4, odd=((3, ""),), outage="silent", protocols=BUSES),
    _case("one of four babbles", share=0.06, group=4, odd=((3, "babble=1"),), sound=False, protocols=BUSES),
    _case("one of four babbles, 5 %", FIVE, share=0.06, group=4, odd=((3, "babble=1"),), protocols=BUSES),
    _case("one of four has a wrong number, 5 %", FIVE, share=0.06, group=4, odd=((3, "board=9"),), protocols=BUSES),
    _case("twice the same number of four", share=0.06, group=4, odd=TWICE, unjudged=(4,), protocols=BUSES),
    _case("twice the same number of four, 5 %", FIVE, share=0.06, group=4, odd=TWICE, unjudged=(4,), protocols=BUSES),
    _case("three boards on the bus, second master", "second_master=10", board="boards=3", protocols=P81),
)
UNDETECTED = (  # the checksum is right: only the values can show the error
    _case("1 % undetected errors", "implausible=1", 0.03),
    _case("5 % undetected errors", "implausible=5", 0.03),
    _case("1 % undetected errors, 1 % corrupted", "implausible=1,corrupt=1", 0.03),
)
MIXTURES = {
    protocol: [
        f"{fault.name}={fault.worst:g}"
        for fault in FAULTS
        if fault.worst and fault.host == 0x40 and protocol in fault.protocols
    ]
    + ["noise=20" if protocol == "a5" else "noise=2", "echo=1"]
    for protocol in ALL
}
WAYS = {
    "a5": ["think=20", "think_jitter=30", "gap=10", "stale=0", "zero_based=1", "temperature_frames=2", "absent=255"],
    "d2": ["think=20", "think=60", "think_jitter=30", "quiet=3.6", "registers=62", "garbage_slots=1", "absent=255"],
    "p81": ["think=20", "think=60", "think_jitter=30", "quiet=3.6", "alarm_words=both", "lacks=board_temperature"],
}


def mixture(random: Random, protocol: str = "a5") -> str:
    """Options: three to six faults at once, each up to its highest percentage, and two variants of a board."""
    worst = [item.split("=") for item in random.sample(MIXTURES[protocol], random.randint(3, 6))]
    faults = [f"{name}={1 if name == 'echo' else random.uniform(0.1, 1) * float(most)}" for name, most in worst]
    return ",".join([*faults, *random.sample(WAYS[protocol], 2)])


def jobs_of(case: Case, frames: float, size: int, seed: int, protocol: str = "a5") -> list[Job]:
    """The lines of one case: all three packs, in pieces of about `size` frames, each with another seed."""
    jobs = []
    packs = list(zip(CELLS[protocol], TEMPERATURES[protocol], strict=True))
    pieces = max(1, round(frames / len(packs) / size))
    for cells, temperatures in packs:
        for number in range(seed, seed + pieces):
            drawn = Random(f"{number}/{cells}")
            faults = mixture(drawn, protocol) if case.name.startswith("mixtures") else case.faults
            spoken = f"protocol={protocol}" if protocol != "a5" else ""
            options = ",".join(filter(None, (f"temperatures={temperatures}", spoken, case.board, faults)))
            count = math.ceil(frames / len(packs) / pieces)
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
        packs = sorted({t.job.cells for t in tallies})
        self.rates = [self._rate([t for t in tallies if t.job.cells == cells]) for cells in packs]
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


def campaign(pool, cases, frames: int, seed: int, size: int = 8000, protocol: str = "a5"):
    """Yield the Result of each case, compared with a clean run of the same kind of board."""
    clean: dict[tuple, Result] = {}
    for case in cases_of(cases, protocol):
        jobs = jobs_of(case, max(LEAST, frames * case.share), size, seed, protocol)
        result = Result(case, pool.map(run, jobs, 1))
        kind = (case.board, case.job)
        if kind not in clean:
            undamaged = replace(case, faults="", outage="", name="nothing damaged")
            jobs = jobs_of(undamaged, max(LEAST, min(0.03, case.share) * frames), size, seed, protocol)
            clean[kind] = (
                result
                if not (case.faults or case.outage or "mixtures" in case.name)
                else Result(undamaged, pool.map(run, jobs, 1))
            )
        result.compare(clean[kind])
        yield result
