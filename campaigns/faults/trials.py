# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Separate trials: is the diagnosis right, is a board read as fast as it allows, are extreme values published unchanged?"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from .cases import CELLS
from .held import alarm_set, published_values
from .judge import contradictions
from .line import Job, Line

# --- diagnoses -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Situation:
    """A fault, and the only diagnosis that is right (a regular expression for the whole text)."""

    name: str
    words: str
    start: str = ""  # options of the BMS from power-on
    later: str = ""  # options set after some seconds
    ended: str = ""  # options set some seconds before the end
    poller: tuple = ()
    protocols: tuple = ("a5",)


SET_A5, SET_D2, SET_P81 = [(("protocol", name),) for name in ("a5", "d2", "p81")]
ALL, NEWER, P81 = ("a5", "d2", "p81"), ("d2", "p81"), ("p81",)
ASLEEP = "BMS asleep, or cut off, for .*: {}; .*"
NOTHING = "No response, nothing received: .*"
OURS = "Only our own requests come back: .*"
# "SPOKEN" is what the diagnosis adds in D2 and P81.
SITUATIONS = (
    Situation("healthy", "OKSPOKEN", protocols=ALL),
    Situation("nothing connected", NOTHING, "silent=1", protocols=ALL),
    Situation("TX and RX joined", OURS, "silent=1,echo=1", protocols=ALL),
    Situation("asleep since power-on", OURS, "asleep=1"),
    Situation("asleep since power-on", NOTHING, "asleep=1", protocols=NEWER),
    Situation("asleep since power-on, returning requests", OURS, "asleep=1,sleep_reply=echo", protocols=NEWER),
    Situation("noise", "Noise instead of responses: .*", "silent=1,noise=NOISE", protocols=ALL),
    Situation("with echo", "OKSPOKEN", "echo=1", protocols=NEWER),
    Situation("responds at 0x80 only", "OK, at host address 0x80", "host=0x80"),
    Situation(
        "0x40 set, responds at 0x80",
        "The BMS responds only to host address 0x80: .*",
        "host=0x80",
        poller=(("host_address", 64),),
    ),
    Situation(
        "0x80 set, responds at 0x40",
        "The BMS responds only to host address 0x40: .*",
        "host=0x40",
        poller=(("host_address", 128),),
    ),
    Situation("another board number", "Other devices talk on this line, .*", "board=3"),
    Situation("another board number", NOTHING, "board=3", protocols=P81),  # P81 has no other address that is tried
    Situation("speaks D2", "OK, with protocol D2", "protocol=d2"),
    Situation("speaks P81", "OK, with protocol P81", "protocol=p81"),
    Situation("speaks A5 and P81", "OK, with protocol P81(; it answers A5, too)?", "protocol=a5+p81"),
    Situation("speaks P81 and D2", "OK, with protocol P81", "protocol=p81+d2", protocols=P81),
    Situation("BMS_PROTOCOL a5, speaks another", "The BMS responds only to protocol NAME: .*", poller=SET_A5, protocols=NEWER),
    Situation("BMS_PROTOCOL d2, speaks another", "The BMS responds only to protocol P81: .*", poller=SET_D2, protocols=P81),
    Situation("BMS_PROTOCOL p81, speaks A5", "The BMS responds only to protocol A5.*: .*", poller=SET_P81),
    Situation(
        "an A5 and a P81 board",
        "OK, but a second board answers on this line, .*",
        "boards=2,protocol@2=p81,board@2=1,cells@2=12",
    ),
    Situation("two boards with one address", "Noise instead of responses: .*", "boards=2,board@2=1", protocols=NEWER),
    Situation("three boards", "OKSPOKEN", "boards=3", protocols=P81),
    Situation("some functions unsupported", "OK, but this BMS does not support MUTED: .*", "mute=MUTED"),
    Situation("zeros since power-on", "The BMS responds with zeros only: .*", "zeros=100", protocols=ALL),
    Situation("0xFF since power-on", "The BMS responds with zeros only: .*", "ones=100", protocols=NEWER),
    # all responses come: either they are accepted, or the diagnosis is that they are late
    Situation("responds late", "OK(, at host address 0x80|SPOKEN)?|.*(late|slow).*", "think=LATE", protocols=ALL),
    Situation("fell asleep", ASLEEP.format("our requests come back"), later="asleep=1"),
    Situation("fell asleep", ASLEEP.format("nothing is received any more"), later="asleep=1", protocols=NEWER),
    Situation(
        "fell asleep, returning requests",
        ASLEEP.format("our requests come back"),
        later="sleep_reply=echo,asleep=1",
        protocols=NEWER,
    ),
    Situation("fell silent", ASLEEP.format("nothing is received any more"), later="silent=1", protocols=ALL),
    Situation("sends only zeros now", ASLEEP.format("it sends only zeros"), later="zeros=100", protocols=ALL),
    Situation("noise sets in", "Noise instead of responses: .*", later="silent=1,noise=NOISE", protocols=ALL),
    Situation("was silent, is back", "Recovered: .*", later="silent=1", ended="silent=0", protocols=ALL),
    Situation("was asleep, is back", "Recovered: .*", later="asleep=1", ended="asleep=0", protocols=ALL),
)


def situations_of(protocol: str) -> list[Situation]:
    """Those that a BMS with this protocol can be in."""
    return [situation for situation in SITUATIONS if protocol in situation.protocols]


def diagnose(seed: int, protocol: str = "a5") -> tuple[Situation, str, bool]:
    """(a situation drawn by seed, the diagnosis published 15 to 40 s later, whether it is the right one)."""
    random = Random(seed)
    situation = random.choice(situations_of(protocol))
    muted = random.choice(("0x91", "0x92", "0x97", "0x98", "0x53"))
    noise, late = str(round(random.uniform(20, 900))), str(round(random.uniform(250, 450)))

    def filled(text):
        spoken = "" if protocol == "a5" else f", with protocol {protocol.upper()}"
        text = text.replace("SPOKEN", spoken).replace("NAME", protocol.upper())
        return text.replace("MUTED", muted).replace("NOISE", noise).replace("LATE", late)

    damage = f"corrupt={0 if 'LATE' in situation.start else random.choice((0, 0, 1, 5))}"
    options = f"protocol={protocol},think={random.choice((5, 20, 60, 150))},{damage},{filled(situation.start)}"
    line = Line(Job(situation.name, random.choice(CELLS[protocol]), seed, 0, options, life="still", poller=situation.poller))
    _run(line, random.uniform(5, 15) if situation.later else 0, filled(situation.later))
    _run(line, random.uniform(15, 40), situation.ended)
    if situation.ended:
        _run(line, random.uniform(5, 30), "")
    text = line.subscriber.connection
    return situation, text, re.fullmatch(filled(situation.words), text or "") is not None


def _run(line: Line, seconds: float, then: str):
    """Let time pass, then set options."""
    end = line.s + seconds
    while line.s < end:
        line.step()
    for item in filter(None, then.split(",")):
        line.bms.set(*item.split("="), line.us)


# --- pace and extremes -----------------------------------------------------------------------------------------------

PACES = (*((think, 0) for think in (5, 20, 50, 100, 150, 200)), *((5, pause) for pause in (5, 20, 60, 150, 250)), (60, 60))


def pace(think_ms: int, pause_ms: float, protocol: str = "a5", cells: int = 16) -> tuple[float, int, int]:
    """How a board is read that responds after `think_ms` and ignores requests for `pause_ms` after a response.

    In the second half minute: (duration as a multiple of that of all frames and delays, request gap in ms, lost requests)
    """
    options = f"protocol={protocol},temperatures=4,think={think_ms},drift=0"
    line = Line(Job("pace", cells, 1, 0, options, life="still", pause_ms=pause_ms))
    line.pass_us = 1000
    _run(line, 30, "")
    requests, line_us, timeouts, begun = line.requests, line.bms.line_us, line.poller.timeouts, line.s
    _run(line, 30, "")
    limit = (line.bms.line_us - line_us) / 1e6 + (line.requests - requests) * (think_ms + pause_ms) / 1000
    return (line.s - begun) / limit, line.poller.timing.gap_ms, line.poller.timeouts - timeouts


EXTREMES = {
    "empty 4S, 2.5 V a cell, 0 %": "cells=4,temperatures=1,soc=0,current=0,cell_mv=1:2500+2:2501+3:2502+4:2499",
    "one cell, 0.9 V": "cells=1,temperatures=1,soc=0,current=0,cell_mv=1:900",
    "48S full, charged with 500 A": "cells=48,temperatures=9,soc=100,current=500,chemistry=nmc",
    "48S LTO, discharged with 1200 A": "cells=48,temperatures=16,soc=50,current=-1200,chemistry=lto,capacity=4000",
    "-20 °C": "temperature=-20,current=0",
    "90 °C": "temperature=90,temperatures=8",
    "0 %, every alarm, MOSFETs off": f"soc=0,alarms={'ff' * 7},charge_mosfet=0,discharge_mosfet=0",
    "open sense wire": "cell_mv=3:5000",
    "dead cell, 0.38 V": "cell_mv=13:380",
    "dead cell, 0.000 V": "cell_mv=13:0",
    "no temperature sensor": "temperatures=0",
}


def extreme(options: str, damage: str, protocol: str = "a5") -> list[str]:
    """What a subscriber receives otherwise than the BMS sends it, after 12 s on a line with this damage, as sentences."""
    line = Line(Job("extreme", 16, 1, 0, f"protocol={protocol},drift=0,{options},{damage}", life="still"))
    _run(line, 12, "")
    shown = line.subscriber.shown(line.s)
    held = published_values(line.bms.battery.readings_unrecorded(line.us))
    if len(held["active_alarms"]) <= 5:
        shown["active_alarms"] = alarm_set(shown.get("active_alarms", "none"))
    else:
        del held["active_alarms"]
    wrong = [
        f"{key} {shown.get(key)}, not {value}" for key, value in held.items() if value is not None and shown.get(key) != value
    ]
    return wrong + contradictions(line.subscriber.state)
