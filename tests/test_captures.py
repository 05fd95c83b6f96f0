# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Recorded frames of real packs (tests/data/frames.jsonl, with their sources): read as stated, the bad ones refused."""

import json
from pathlib import Path

import pytest
from simulation import request_until, respond

from battery.pack import Pack
from battery.readings import READING
from daly.a5 import FrameReader
from daly.poller import Poller

FRAMES = [json.loads(line) for line in (Path(__file__).parent / "data" / "frames.jsonl").read_text().splitlines()]
RECEIVED = [f for f in FRAMES if f["direction"] == "rx" and f["kind"] in ("real", "reconstructed", "spec-example", "derived")]
SINGLE = [f for f in RECEIVED if f["accept"] and f["decoded"]["command"] in ("0x90", "0x91", "0x92", "0x93", "0x94", "0x98")]

# field of the corpus -> (our key, what our raw is of its number)
FIELDS = {
    "pack_voltage_v": ("pack_voltage", lambda v: round(v * 10)),
    "current_raw_a": ("current", lambda v: -round(v * 10)),  # the corpus keeps the wire's sign: more is discharging
    "soc_percent": ("soc", lambda v: round(v * 10)),
    "max_cell_mv": ("max_cell_voltage", int),
    "max_cell_no": ("max_voltage_cell", int),
    "min_cell_mv": ("min_cell_voltage", int),
    "min_cell_no": ("min_voltage_cell", int),
    "max_temp_c": ("max_temperature", int),
    "max_temp_no": ("max_temperature_sensor", int),
    "min_temp_c": ("min_temperature", int),
    "min_temp_no": ("min_temperature_sensor", int),
    "state": ("mode", int),
    "charge_mos": ("charge_mosfet", int),
    "discharge_mos": ("discharge_mosfet", int),
    "life": ("heartbeat", int),
    "remaining_mah": ("remaining_capacity", int),
    "cells": ("cell_count", int),
    "temps": ("temperature_count", int),
    "charger": ("charger_connected", int),
    "load": ("load_connected", int),
    "cycles_u16": ("cycle_count", int),
    "fault_code": ("fault_code", int),
}

MEASURED_FIRST = ("pack_voltage", "max_cell_voltage", "max_temperature")


def name(frame):
    return f"{frame['decoded'].get('command', '')}-{frame['hex'][:26]}"


@pytest.mark.parametrize("frame", SINGLE, ids=name)
def test_a_received_frame_reads_as_stated(frame):
    pack = Pack()
    poller = Poller(pack)
    now = request_until(poller, int(frame["decoded"]["command"], 16))
    respond(poller, bytes.fromhex(frame["hex"]), now + 30)
    raws = {FIELDS[field][0]: FIELDS[field][1](value) for field, value in frame["decoded"].items() if field in FIELDS}
    assert raws
    leading = next(iter(raws))  # a measurement that stands first vouches for the others
    for key, raw in raws.items():
        is_vouched = is_possible(leading, raws[leading]) or leading not in MEASURED_FIRST
        assert pack.raw(key) == (raw if is_possible(key, raw) and is_vouched else None), key


def is_possible(key, raw):
    return READING[key].low <= raw <= READING[key].high


def sessions(command):
    """The frames of each recorded burst of `command`, in order, keyed by session."""
    bursts = {}
    for frame in RECEIVED:
        if frame["accept"] and frame["decoded"]["command"] == command and "session" in frame:
            bursts.setdefault(frame["session"], []).append(frame)
    return bursts


@pytest.mark.parametrize("session", sessions("0x95"))
def test_a_recorded_burst_of_cell_voltages_reads_cell_by_cell(session):
    burst = sorted(sessions("0x95")[session], key=lambda f: f["seq"])
    frames = {f["decoded"]["frame_no"]: f["decoded"]["mv"] for f in burst}
    count = min(16, len([mv for mvs in frames.values() for mv in mvs if mv]))
    pack = Pack()
    pack.topology["cell_count"] = count
    poller = Poller(pack)
    now = request_until(poller, 0x95)
    for frame in burst:
        respond(poller, bytes.fromhex(frame["hex"]), now + 30)
    wanted = range(1, (count + 2) // 3 + 1)
    if all(number in frames for number in wanted):
        cells = [mv for number in wanted for mv in frames[number]]
        assert [pack.raw("cell_{}_voltage", n + 1) for n in range(count)] == cells[:count]
    else:  # an excerpt: a board's numbering is not known from it, so nothing may be believed
        assert all(pack.raw("cell_{}_voltage", n + 1) is None for n in range(count))


@pytest.mark.parametrize("frame", [f for f in RECEIVED if not f["accept"]], ids=name)
def test_a_bad_frame_is_refused(frame):
    pack = Pack()
    poller = Poller(pack)
    now = 0
    for command in (0x90, 0x93, 0x94, 0x95, 0x98):
        if command != 0x95:
            now = request_until(poller, command, now)
        recoverable = frame.get("recoverable_frames", [])
        if not recoverable:
            respond(poller, bytes.fromhex(frame["hex"]), now + 30)
    assert pack.changes == 0


def test_stray_byte_and_stale_frame_before_a_burst_cost_only_themselves():
    # mpp-solar#516: a stray byte, the last frame of the burst before, then the burst
    frame = next(f for f in FRAMES if "recoverable_frames" in f)
    reader = FrameReader()
    found = [bytes(reader.frame[:13]).hex() for byte in bytes.fromhex(frame["hex"]) if reader.feed(byte)]
    assert found == frame["recoverable_frames"]


@pytest.mark.parametrize("stream", [f for f in FRAMES if f["kind"] == "stream"], ids=lambda f: f["session"])
def test_firmware_ram_inside_a_burst_is_not_believed(stream):
    """Host address 0x80: 39 bytes of RAM stand in place of frames 12 to 14, and the cells before them are right."""
    stated = [int(float(v) * 1000 + 0.5) for v in stream.get("note", "").split() if v.startswith("3.")]
    pack = Pack()
    pack.topology["cell_count"] = 16
    poller = Poller(pack, host_address=0x80)
    now = request_until(poller, 0x95)
    respond(poller, bytes.fromhex(stream["hex"]), now + 30)
    cells = [pack.raw("cell_{}_voltage", n + 1) for n in range(16)]
    assert None not in cells
    if len(stated) >= 16:
        assert cells == stated[:16]
