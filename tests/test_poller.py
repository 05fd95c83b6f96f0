# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The conversation with the BMS: what it says is known exactly, what it does not say is not known, whatever the line does."""

import json
import re
from decimal import Decimal
from itertools import cycle

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from simulation import Wire, request_until, respond

from battery.json import Writer, write_pack
from battery.pack import Pack
from battery.readings import GROUPS, READING, READINGS
from daly.a5 import BLOCKS
from daly.poller import Poller
from simulator.faults import FAULTS

MEASURED = [block.function for block in BLOCKS if GROUPS[block.group].period_ms is not None]
ASKED_ONCE = [block.function for block in BLOCKS if GROUPS[block.group].period_ms is None]
NEEDS_COUNTS = (0x95, 0x96, 0x97)  # 0x94 says how many cells and sensors there are


# not said by the BMS but counted or reckoned by the bridge from more than one moment: tested elsewhere
AT_ONCE = {"power", "cell_voltage_delta", "balancing", "problem", "active_alarms"}
DERIVED = {0x90: ("power",), 0x97: ("balancing",), 0x98: ("problem", "active_alarms")}
SENT = {row.key for block in BLOCKS for row in block.rows}
OURS = {row.key for row in READINGS} - SENT - AT_ONCE


def published(pack):
    """What is published of what the BMS says: key -> text as in the JSON, so that every digit counts; None: null."""
    texts = json.loads(write_pack(Writer(), pack).bytes(), parse_float=str, parse_int=str)
    return {key: text for key, text in texts.items() if key not in OURS}


def digits(key, value):
    """A number as it must stand in the JSON: with exactly the decimals of the table."""
    row = READING[key] if key in READING else READING[re.sub(r"(?<=_)\d+", "{}", key)]
    return f"{Decimal(str(value)):.{row.decimals}f}"


def said(wire):
    """What the simulated BMS says, as it must be published. Not from its truth: what truth() does not name."""
    truth = wire.bms.truth(wire.us)
    for unpublished in ("alarm_bytes", "clock"):
        del truth[unpublished]
    truth["chemistry"] = truth["chemistry"].upper()
    texts = {}
    for key, value in truth.items():
        if isinstance(value, bool):
            texts[key] = "ON" if value else "OFF"
        else:
            texts[key] = value if value is None or isinstance(value, str) else digits(key, value)
    return texts


def everything(wire):
    """What must be published of a healthy, frozen BMS: all of it."""
    options, texts = wire.bms.options, said(wire)
    raws = wire.bms.options.temperatures
    texts["heartbeat"] = str(options.life)
    texts["active_alarms"] = "none"
    texts["fault_code"] = "0"
    texts["charger_connected"] = texts["load_connected"] = "OFF"
    for bit in range(4):
        texts[f"digital_input_{bit + 1}"] = "ON" if options.dio >> bit & 1 else "OFF"
        texts[f"digital_output_{bit + 1}"] = "ON" if options.dio >> bit + 4 & 1 else "OFF"
    degrees = [int(texts[f"temperature_{n + 1}"]) for n in range(raws)]
    for end, pick in (("max", max), ("min", min)):
        texts[f"{end}_temperature_sensor"] = str(degrees.index(pick(degrees)) + 1) if degrees else None
    texts["nominal_cell_voltage"] = "3.200"
    return texts


def nothing(pack):
    return [key for key, text in published(pack).items() if text is not None] == []


class Watch:
    """Looks at the pack whenever it changed: all that is published of a frozen BMS is what it says, or null."""

    def __init__(self):
        self._changes = -1

    def __call__(self, wire):
        if self._changes != wire.pack.changes:
            self._changes = wire.pack.changes
            truth = said(wire)
            made_up = {k: v for k, v in published(wire.pack).items() if v is not None and v != truth.get(k, v)}
            assert made_up == {}


# all it says


@pytest.mark.parametrize(("cells", "temperatures"), [(1, 1), (2, 2), (3, 7), (4, 8), (16, 2), (24, 14), (48, 15), (48, 16)])
def test_everything_the_bms_says_is_published_and_nothing_else(cells, temperatures):
    wire = Wire(f"cells={cells},temperatures={temperatures},drift=0").run(12)
    assert published(wire.pack) == everything(wire)


def test_a_board_without_a_sensor_has_no_temperature():
    wire = Wire("temperatures=0,drift=0").run(6)
    texts = published(wire.pack)
    assert texts["max_temperature"] is None and texts["min_temperature"] is None
    assert texts["temperature_count"] == "0" and "temperature_1" not in texts


@pytest.mark.parametrize("current", ["-250.5", "0", "87.3"])
def test_current_power_and_mode_agree_on_the_sign(current):
    wire = Wire(f"current={current},drift=0").run(6)
    texts = published(wire.pack)
    assert Decimal(texts["current"]) == Decimal(current)
    assert Decimal(texts["power"]) == Decimal(texts["pack_voltage"]) * Decimal(texts["current"])
    assert texts["mode"] == ("charging" if Decimal(current) > 0 else "discharging" if Decimal(current) < 0 else "idle")


def test_each_balancing_cell_is_named():
    wire = Wire("cells=48,balancing=1+9+17+48,drift=0").run(6)
    texts = published(wire.pack)
    assert [n for n in range(1, 49) if texts[f"cell_{n}_balancing"] == "ON"] == [1, 9, 17, 48]
    assert texts["balancing"] == "ON"


ALARMS = {
    "soc_low_2": "State of charge low (protection)",
    "cell_high_1": "Cell overvoltage (warning)",
    "cell_high_1+cell_high_2": "Cell overvoltage (protection)",
    "charge_cold_1+short_circuit": "Short circuit (fault), Charge undertemperature (warning)",
    "discharge_mosfet_hot": "Discharge MOSFET overtemperature (warning)",
    "discharge_mosfet_stuck": "Discharge MOSFET shorted (fault)",
    "rtc": "Clock (fault)",
    "cabinet_offline": "Charging cabinet offline (fault)",
}


@pytest.mark.parametrize("alarms", ALARMS)
def test_an_alarm_is_said_in_words_with_its_level(alarms):
    wire = Wire(f"alarms={alarms},drift=0").run(6)
    texts = published(wire.pack)
    assert (texts["problem"], texts["active_alarms"]) == ("ON", ALARMS[alarms])


# the ways boards answer


@pytest.mark.parametrize("cells", [3, 16, 48])
@pytest.mark.parametrize("options", ["", "zero_based=1", "stale=0", "temperature_frames=3", "absent=255"])
@pytest.mark.parametrize("host", [0x40, 0x80])
def test_every_way_of_answering_reads_the_same(cells, options, host):
    wire = Wire(f"cells={cells},drift=0,{options}", host_address=host).run(12)
    assert published(wire.pack) == everything(wire)


def test_board_number_three_is_asked_and_believed():
    wire = Wire("board=3,drift=0,host=0x40", board_number=3).run(6)
    assert published(wire.pack) == everything(wire)


def test_another_boards_answers_are_not_ours():
    wire = Wire("board=2,drift=0,host=0x80", host_address=0x80, board_number=1).run(6)
    assert not wire.poller.online and nothing(wire.pack)


@pytest.mark.parametrize("often", [30, 100])
def test_memory_of_the_firmware_in_a_burst_is_not_believed_and_the_cells_around_it_are(often):
    wire = Wire(f"cells=48,drift=0,host=0x80,ram_garbage={often}", host_address=0x80).run(20, Watch())
    texts, truth = published(wire.pack), said(wire)
    known = {n for n in range(1, 49) if texts[f"cell_{n}_voltage"] == truth[f"cell_{n}_voltage"]}
    assert known >= {*range(1, 34), *range(43, 49)}  # 39 bytes stand where frames 12 to 14 belong


@pytest.mark.parametrize("options", ["echo=1", "think=150", "think_jitter=100", "gap=15", "overlap=1"])
def test_slow_and_echoing_lines_cost_time_only(options):
    wire = Wire("drift=0," + options).run(60)
    assert published(wire.pack) == everything(wire)


@pytest.mark.parametrize("start", [2**29 - 1, 2**29 - 4000, 2**28 - 4000, 2**28])
def test_the_clock_may_wrap_anywhere(start):
    wire = Wire("drift=0", start=start).run(12)
    assert published(wire.pack) == everything(wire)
    wire.set("silent", 1)
    wire.run(6)
    assert not wire.poller.online and nothing(wire.pack)


def test_after_a_week_of_silence_the_first_words_are_heard():
    wire = Wire("drift=0,silent=1")
    for second in range(0, 7 * 24 * 3600, 20):
        wire.poller.poll(1000 * second % 2**29)
    wire.us = second * 1e6
    wire.set("silent", 0)
    wire.run(20)
    assert published(wire.pack) == everything(wire)


# silence and speech


def test_silence_empties_the_pack_and_speech_refills_it():
    wire = Wire("drift=0").run(6)
    keys = published(wire.pack).keys()
    wire.set("silent", 1)
    wire.run(6)
    assert not wire.poller.online and nothing(wire.pack)
    assert published(wire.pack).keys() == keys  # null, not left out
    wire.set("silent", 0)
    wire.run(6)
    assert wire.poller.online and published(wire.pack) == everything(wire)


def test_a_sleeping_board_that_sends_everything_back_is_not_online():
    wire = Wire("asleep=1,drift=0").run(20)
    assert len(wire.requests) > 10
    assert not wire.poller.online and nothing(wire.pack)


def test_a_board_that_falls_asleep_is_forgotten_like_a_silent_one():
    wire = Wire("drift=0").run(6)
    wire.set("asleep", 1)
    wire.run(6)
    assert not wire.poller.online and nothing(wire.pack)


def test_a_smaller_battery_in_its_place_has_no_cell_of_the_larger():
    wire = Wire("cells=16,temperatures=4,drift=0").run(6)
    wire.set("cells", 7)
    wire.set("temperatures", 1)
    wire.run(60)
    known, truth = published(wire.pack), everything(wire)
    assert known.keys() == truth.keys()
    assert {key for key in truth if known[key] != truth[key]} <= SAID_ONCE


def test_a_bms_that_is_silent_altogether_does_not_make_a_command_unknown():
    wire = Wire().run(10)
    for _ in range(4):
        wire.set("silent", "1")
        wire.run(2.4)
        wire.set("silent", "0")
        wire.set("mute", "0x90")
        wire.run(0.2)
        wire.set("mute", "")
    assert wire.poller.online and wire.poller.diagnosis.unsupported == []


def test_a_bms_that_never_says_how_many_cells_there_are_shows_the_rest_and_names_the_remedy():
    wire = Wire("mute=0x94").run(20)
    assert wire.pack.raw("soc") is not None and wire.pack.raw("cell_{}_voltage", 1) is None
    assert wire.poller.complete and "0x94" in wire.poller.diagnosis.text and "BMS_CELL_COUNT" in wire.poller.diagnosis.text


def test_the_number_of_cells_may_be_set_for_a_bms_that_never_says_it():
    wire = Wire("mute=0x94,cells=16,temperatures=2", pack=Pack(16, 2)).run(20)
    assert None not in [wire.pack.raw("cell_{}_voltage", number + 1) for number in range(16)]
    assert None not in [wire.pack.raw("temperature_{}", number + 1) for number in range(2)]
    assert wire.pack.raw("cell_count") is None and "BMS_CELL_COUNT" not in wire.poller.diagnosis.text


def test_what_the_bms_says_of_its_cells_counts_more_than_what_is_set():
    wire = Wire("cells=8,temperatures=1", pack=Pack(16, 2)).run(20)
    assert wire.pack.topology["cell_count"] == 8 and wire.pack.topology["temperature_count"] == 1
    assert wire.pack.raw("cell_{}_voltage", 8) and wire.pack.raw("cell_{}_voltage", 9) is None


def test_a_cell_count_of_zero_for_a_moment_changes_nothing():
    wire = Wire("drift=0").run(6)
    wire.set("cells_zero", 100)
    wire.run(60)
    texts, truth = published(wire.pack), said(wire)
    assert [texts.get(f"cell_{n}_voltage") for n in range(1, 17)] == [truth[f"cell_{n}_voltage"] for n in range(1, 17)]


def rates(options):
    """Command -> answers a second when all has settled."""
    wire = Wire("drift=0," + options)
    wire.run(6)
    begun = len(wire.requests)
    wire.run(12)
    commands = [command for _, command in wire.requests[begun:]]
    return {command: commands.count(command) / 12 for command in MEASURED}


@pytest.fixture(scope="module")
def healthy_rates():
    return rates("")


@pytest.mark.parametrize("mute", MEASURED + ASKED_ONCE, ids=hex)
def test_silence_on_one_command_does_not_keep_the_others_waiting(mute, healthy_rates):
    slower = rates(f"mute={mute}")
    for command in MEASURED:
        if command != mute and not (mute == 0x94 and command in NEEDS_COUNTS):
            assert slower[command] >= 0.7 * healthy_rates[command], hex(command)


@pytest.mark.parametrize("mute", [0x90, 0x98, 0x95, 0x97], ids=hex)
def test_what_a_muted_command_would_have_said_is_forgotten_and_nothing_else(mute):
    wire = Wire("drift=0").run(6)
    wire.set("mute", hex(mute))
    wire.run(30)
    texts = published(wire.pack)
    lost = {key for key, text in texts.items() if text is None}
    block = next(block for block in BLOCKS if block.function == mute)
    group = [*block.rows, *(READING[key] for key in DERIVED.get(mute, ()))]
    said_by_it = {row.key.replace("{}", "1") for row in group if row.key != "alarm_bits_{}"} - OURS
    assert said_by_it <= lost
    assert lost - {"power"} <= {key for key in texts if any(same_reading(key, row) for row in group)}


def test_a_command_that_was_silent_is_heard_again_within_about_a_minute():
    wire = Wire("drift=0").run(6)
    wire.set("mute", "0x90+0x95+0x97")
    wire.run(30)
    wire.set("mute", "")
    wire.run(70)  # a minute and a round, with the gap that the silence has made long
    assert published(wire.pack) == everything(wire)


def same_reading(key, row):
    before, _, after = row.key.partition("{}")
    return key == row.key or (row.slots > 1 and key.startswith(before) and key.endswith(after) and key[len(before)].isdecimal())


def test_with_every_command_muted_but_one_that_one_is_still_read():
    wire = Wire("drift=0,mute=" + "+".join(hex(c) for c in MEASURED + ASKED_ONCE if c != 0x90)).run(30)
    texts = published(wire.pack)
    assert wire.poller.online and texts["pack_voltage"] == said(wire)["pack_voltage"]


# a bad line


SAID_ONCE = {
    row.key.replace("{}", str(number))
    for row in READINGS
    if row.group in ("static", "limits", "slow")
    for number in range(1, row.slots + 1)
}
BAD_LINES = [f"{fault.name}={min(20, 4 * fault.worst):g}" for fault in FAULTS if fault.worst] + ["noise=100"]


@pytest.mark.parametrize(("cells", "fault"), [(4, "corrupt1=20"), (4, "drop_byte=20"), *((48, fault) for fault in BAD_LINES)])
def test_a_bad_line_costs_readings_but_never_makes_one_up(cells, fault):
    wire = Wire(f"cells={cells},drift=0,{fault}")
    wire.run(20, Watch())
    assert wire.poller.online


@pytest.mark.parametrize("fault", ["corrupt1", "drop_frame", "noise"])
def test_after_a_bad_line_everything_is_known_again(fault):
    wire = Wire(f"cells=48,drift=0,{fault}=20").run(20)
    wire.set(fault, 0)
    wire.run(62)
    known, truth = published(wire.pack), everything(wire)
    for key in truth.keys() - SAID_ONCE:
        assert known[key] == truth[key], key


def test_a_bad_minute_does_not_make_a_command_unknown_that_was_answered_before():
    wire = Wire("drift=0").run(6)
    for command in (0x90, 0x93, 0x95):
        wire.set("mute", hex(command))
        wire.run(3)
        wire.set("mute", "")
        begun = len(wire.requests)
        wire.run(6)
        assert [c for _, c in wire.requests[begun:]].count(command) >= 5, hex(command)


def test_what_is_said_once_is_known_some_time_after_a_bad_start():
    wire = Wire("cells=4,drift=0,drop_frame=50").run(30)
    wire.set("drop_frame", 0)
    wire.run(660)  # what many boards do not have is given up for ten minutes
    assert published(wire.pack) == everything(wire)


def test_one_answer_in_five_lost_is_no_outage():
    wire = Wire("drift=0,drop_frame=20").run(6)
    wire.run(60, lambda w: w.poller.online or pytest.fail())


def test_an_answer_that_comes_late_is_not_taken_for_another_commands():
    wire = Wire("drift=0")
    late = reply(0x90, bytes.fromhex("020f0000753001f4"))
    now = request_until(wire.poller, 0x90)
    now = request_until(wire.poller, 0x93, now + 400)
    respond(wire.poller, late, now + 10)
    assert nothing(wire.pack)


def test_an_answer_nobody_asked_for_is_not_believed():
    poller = Poller(Pack(), protocol="a5")
    now = request_until(poller, 0x90)
    respond(poller, reply(0x90, bytes.fromhex("020f0000753001f4")), now + 30)
    respond(poller, reply(0x90, bytes.fromhex("02000000753001f4")), now + 40)  # another master's
    assert published(poller.pack)["pack_voltage"] == "52.7"


def test_unused_slots_of_the_last_frame_are_cut():
    poller = Poller(Pack(), protocol="a5")
    now = request_until(poller, 0x94)
    respond(poller, reply(0x94, bytes([4, 1, 0, 0, 0, 0, 9, 0x20])), now + 30)
    now = request_until(poller, 0x95, now + 100)
    respond(poller, reply(0x95, bytes.fromhex("010ce40ce50ce620")), now + 30)
    respond(poller, reply(0x95, bytes.fromhex("020ce70ce50ce620")), now + 44)  # the last two are left over from frame 1
    texts = published(poller.pack)
    assert [texts.get(f"cell_{n}_voltage") for n in range(1, 6)] == ["3.300", "3.301", "3.302", "3.303", None]
    assert "cell_5_voltage" not in texts


def reply(command, payload, address=1):
    body = bytes([0xA5, address, command, 8]) + payload
    return body + bytes([sum(body) & 0xFF])


class Lumps(Wire):
    """A line whose bytes arrive in lumps, as from a USB adapter: each holds them for some ms and cuts them somewhere."""

    def __init__(self, options, lumps):
        super().__init__(options)
        self._lumps = cycle(lumps)
        self._held = b""
        self._release_us = 0

    def step(self):
        self._held += self.bms.transmit(self.us)
        if self._held and self.us >= self._release_us:
            hold_ms, size = next(self._lumps)
            for begin in range(0, len(self._held), size):
                respond(self.poller, self._held[begin : begin + size], self.now)
            self._held, self._release_us = b"", self.us + 1000 * hold_ms
        super().step()


@settings(max_examples=10, phases=(Phase.generate,), deadline=None)  # an example takes a second when it fails: no shrinking
@given(st.lists(st.tuples(st.integers(0, 16), st.integers(1, 64)), min_size=1, max_size=20))
def test_any_chunking_of_the_answers_reads_the_same(lumps):
    wire = Lumps("drift=0", lumps).run(12)
    assert published(wire.pack) == everything(wire)


def damaged(frame, at, difference):
    return frame[:at] + bytes([(frame[at] + difference) & 0xFF]) + frame[at + 1 :]


FRAMES = st.builds(reply, st.sampled_from(MEASURED), st.binary(min_size=8, max_size=8), st.integers(0, 255))
DAMAGED = st.builds(damaged, FRAMES, st.integers(0, 12), st.integers(1, 255))
FOREIGN = FRAMES.filter(lambda frame: frame[1] != 1)


@settings(deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=30), DAMAGED, FOREIGN), max_size=12), st.sampled_from(MEASURED[:4]))
def test_no_bytes_but_a_whole_frame_of_our_board_put_anything_into_the_pack(pieces, command):
    stream = b"".join(pieces)
    windows = [stream[i : i + 13] for i in range(len(stream) - 12)]
    assume(not any(w[0] == 0xA5 and w[1] == 1 and w[3] == 8 and sum(w[:12]) & 0xFF == w[12] for w in windows))
    poller = Poller(Pack(), protocol="a5")
    now = request_until(poller, command)
    for piece in pieces:
        respond(poller, piece, now)
        now += 7
        poller.poll(now)
    assert nothing(poller.pack) and not poller.online


@settings(deadline=None)
@given(st.lists(st.tuples(st.one_of(st.binary(max_size=40), DAMAGED, FRAMES), st.integers(0, 500)), max_size=40))
def test_nothing_the_line_does_raises(events):
    poller = Poller(Pack(), protocol="a5")
    now = 2**29 - 1000
    for data, pause in events:
        respond(poller, data, now)
        poller.poll(now)
        published(poller.pack)
        now = (now + pause) % 2**29


def test_on_a_noisy_line_a_switch_is_asked_for_again_at_once():
    wire = Wire("drift=0").run(5)
    wire.poller.receive(b"\xa5" * 20, 20, wire.now)  # noise: from now on a change must be said twice
    wire.run(1)
    wire.set("charge_mosfet", 0)
    wire.run(2)
    asked = [command for _, command in wire.requests]
    assert wire.pack.raw("charge_mosfet") == 0
    # one request is under way already when the response is judged
    assert [0x93, 0x93] in [asked[i : i + 3 : 2] for i in range(len(asked))]
