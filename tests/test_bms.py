# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The simulated BMS against captures of real boards, its timing, and each of its faults.

Nothing here knows the firmware: frames are built and checked by hand. The captured frames are sessions of
facts/frames.jsonl, named as there.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import masters
import pytest
from masters import exchange

from simulator.bms import BYTE_US, CHARGE, DISCHARGE, OPTIONS, SET_CLOCK_AND_SOC, Bms, crc16, options_help, parse
from simulator.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parent.parent
BYTE_MS = BYTE_US / 1000


def summed(head: bytes) -> bytes:
    return head + bytes([sum(head) % 256])


def request(command: int, host: int = 0x40, data: bytes = bytes(8)) -> bytes:
    return summed(bytes([0xA5, host, command, 8]) + data)


def frames_in(heard: bytes) -> list[bytes]:
    return [heard[i : i + 13] for i in range(0, len(heard), 13)]


def is_whole(frame: bytes) -> bool:
    return len(frame) == 13 and frame[0] == 0xA5 and frame[12] == sum(frame[:12]) % 256


class Master(masters.Master):
    """Asks a Bms in model time and keeps what was heard with the time of each byte, in milliseconds."""

    def __init__(self, options: str = "", note=None):
        super().__init__(Bms(options, 0, note))

    def say(self, data: bytes, listen_ms: float = 500) -> bytes:
        return super().say(data, listen_ms)

    def ask(self, command: int, host: int = 0x40, data: bytes = bytes(8)) -> list[bytes]:
        return frames_in(self.say(request(command, host, data)))

    def data(self, command: int, host: int = 0x40) -> list[bytes]:
        return [frame[4:12] for frame in self.ask(command, host)]

    def set(self, name: str, value):
        self.bms.set(name, value, self.now * 1000)


def fixed_cells(*mv: int) -> str:
    return "+".join(f"{n}:{value}" for n, value in enumerate(mv, 1))


# --- captures --------------------------------------------------------------------------------------------------------

DSF21898 = {
    0x90: ["a501900802100000753001f4ea"],
    0x91: ["a50191080ec8050e9c0901f4c2"],
    0x92: ["a50192083d013d019c0901f456"],
    0x93: ["a50193080001011000004e20c1"],
    0x94: ["a50194080e0100000200002073"],
    0x95: [
        "a5019508010ec00ec20ec720d7",
        "a5019508020ec80ec80ec620e5",
        "a5019508030ec20ec20e9c20b0",
        "a5019508040ec40ec40ec420dd",
        "a5019508050ec30ec00ec420d9",
    ],
    0x96: ["a5019608013d00000000000082", "a5019608020000000000000046"],
    0x97: ["a5019708000000000000000045"],
    0x98: ["a5019808000000000000000046"],
    0xD8: ["a501d808000000000000000086"],
}


def test_it_says_what_a_captured_14s_board_said_stale_bytes_included():
    cells = (3776, 3778, 3783, 3784, 3784, 3782, 3778, 3778, 3740, 3780, 3780, 3780, 3779, 3776)
    master = Master("cells=14,temperatures=1,soc=50,capacity=40,cycles=0,life=16,current=0,drift=0,sensor_raw=1:61")
    master.set("temperature_frames", 2)
    for command, captured in DSF21898.items():
        # the board took 0x91 at another moment than 0x95: then cell 5 alone was the highest
        master.set("cell_mv", fixed_cells(*cells) if command != 0x91 else fixed_cells(*cells[:3], 3783, *cells[4:]))
        assert [frame.hex() for frame in master.ask(command)] == captured


MPP83A = {
    0x90: ["a5019008021400007545037889"],
    0x91: ["a50191080d000f0cfe010378e1"],
    0x92: ["a501920837013701fe0103782a"],
    0x93: ["a5019308020101780003cb40cb"],
    0x94: ["a5019408100100000000034096"],
    0x95: [
        "a5019508010cfd0cfe0cfe40a1",
        "a5019508020cfe0cfe0cfe40a3",
        "a5019508030cfe0cfe0cfe40a4",
        "a5019508040cfe0cfc0cfe40a3",
        "a5019508050cfe0cff0cfe40a7",
        "a5019508060cfc000000004091",
        *(summed(bytes.fromhex(f"a5019508{n:02x}00000000000040")).hex() for n in range(7, 17)),
    ],
    0x96: ["a501960801370000000000007c", "a5019608020000000000000046"],
}


def test_it_says_what_a_captured_16s_board_said_to_host_0x80():
    seen = fixed_cells(3325, *[3326] * 9, 3324, *[3326] * 2, 3327, 3326, 3324)
    earlier = fixed_cells(3326, *[3327] * 13, 3328, 3327)
    master = Master("temperatures=1,soc=88.8,cycles=3,life=120,current=-2.1,drift=0,sensor_raw=1:55,dio=0")
    for command, captured in MPP83A.items():
        master.set("cell_mv", seen if command == 0x95 else earlier)
        assert [frame.hex() for frame in master.ask(command, 0x80)] == captured


def test_hardware_version_as_captured_in_mpp113():
    frames = Master().ask(0x63)
    assert [frame.hex() for frame in frames] == ["a501630801444c2d424d532dde", "a5016308025233322d3031459d"]


def test_a_switch_reply_echoes_the_state_and_keeps_the_cells_of_the_last_answer():
    master = Master()
    cells = master.data(0x95)[-1]
    assert master.ask(DISCHARGE, data=b"\1" + bytes(7))[0][4:12] == b"\1" + cells[1:]


# --- what it answers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cells", [1, 3, 4, 7, 16, 24, 47, 48])
@pytest.mark.parametrize("host", [0x40, 0x80])
def test_truth_is_what_the_frames_say(cells, host):
    master = Master(f"cells={cells},temperatures=9,current=31.4,drift=0,balancing=1+{cells}")
    said = master.bms.truth(0)
    status, voltages = master.data(0x90, host)[0], master.data(0x95, host)
    assert len(voltages) == (16 if host == 0x80 else -(-cells // 3))
    mv = [int.from_bytes(v[i : i + 2], "big") for v in voltages for i in (1, 3, 5)][:cells]
    assert [value / 1000 for value in mv] == [said[f"cell_{n}_voltage"] for n in range(1, cells + 1)]
    assert int.from_bytes(status[0:2], "big") / 10 == said["pack_voltage"] == sum(mv) // 100 / 10
    assert (30000 - int.from_bytes(status[4:6], "big")) / 10 == said["current"] == 31.4
    assert said["mode"] == "charging"
    assert master.data(0x93)[0][0] == 1
    raw = b"".join(part[1:] for part in master.data(0x96, host))
    assert [byte - 40 for byte in raw[:9]] == [said[f"temperature_{n}"] for n in range(1, 10)]
    assert int.from_bytes(master.data(0x97)[0], "little") == 1 | 1 << cells - 1


def test_the_raw_current_is_above_30000_while_discharging():
    status = Master("current=-50,drift=0").data(0x90)[0]
    assert int.from_bytes(status[4:6], "big") == 30500


def test_once_read_facts_about_the_board():
    master = Master("capacity=304.5,chemistry=nmc,drift=0,soc=57.3")
    assert master.data(0x50)[0] == (304500).to_bytes(4, "big") + (3700).to_bytes(4, "big")
    assert master.data(0x53)[0][:7].hex() == "01001705110e10"
    assert b"".join(part[1:] for part in master.data(0x57)).rstrip(b"\0") == b"DL16S280A230517"
    assert b"".join(part[1:] for part in master.data(0x62)) == b"20230517-1.01T"
    assert master.data(0x61)[0] == bytes([26, 3, 14, 12, 0, 0]) + (573).to_bytes(2, "big")


def test_alarms_by_name_are_the_bits_of_the_vendor_table():
    master = Master("alarms=soc_low_2+cell_high_1+short_circuit+discharge_cold_2")
    assert master.data(0x98)[0].hex() == "0180800000000400"
    master.set("alarms", "00008000000000")
    assert master.data(0x98)[0].hex() == "0000800000000000"
    assert master.bms.truth(0)["problem"]


def test_unused_bytes_are_zero_on_the_newer_boards():
    assert Master("stale=0").data(0x91)[0][6:] == b"\0\0"


def test_frame_numbers_may_start_at_zero():
    assert [data[0] for data in Master("zero_based=1,cells=9").data(0x95)] == [0, 1, 2]


def test_board_numbers_and_host_addresses():
    master = Master("board=3,host=0x40")
    assert master.ask(0x90, 0x40) == []
    assert master.ask(0x90, 0x80) == []
    assert master.ask(0x90, 0x42)[0][1] == 3


def test_unknown_and_muted_commands_are_met_with_silence():
    master = Master("mute=0x97+0x98")
    assert [len(master.ask(command)) for command in (0x97, 0x98, 0x99, 0x54, 0x90)] == [0, 0, 0, 0, 1]


def test_garbage_around_a_request_is_skipped():
    assert len(frames_in(Master().say(b"\xa5\x40\x00\xa5" + request(0x90) + b"\x0a"))) == 1
    assert Master().say(request(0x90)[:-1] + b"\0") == b""


# --- writes ----------------------------------------------------------------------------------------------------------


def test_switches_open_and_stop_the_current():
    master = Master("current=20,drift=0")
    assert master.ask(CHARGE, data=bytes(8))[0][4] == 0
    assert master.data(0x93)[0][:3] == b"\0\0\1"
    assert master.bms.truth(master.now * 1000)["current"] == 0
    assert master.ask(DISCHARGE, data=bytes(8))[0][4] == 0
    assert master.data(0x93)[0][:3] == b"\0\0\0"
    assert [(command, data[0]) for _, command, data in master.bms.writes] == [(CHARGE, 0), (DISCHARGE, 0)]


def test_clock_and_soc_are_set_together():
    master = Master("drift=0")
    assert master.ask(SET_CLOCK_AND_SOC, data=bytes.fromhex("160c0d151d27012c"))[0][4] == 1
    assert master.bms.truth(master.now * 1000)["soc"] == 30.0
    assert master.bms.truth(master.now * 1000)["clock"] == "2022-12-13T21:29:39"
    assert master.data(0x61)[0].hex() == "160c0d151d27012c"


def test_a_restart_closes_both_switches_and_takes_a_second():
    master = Master("charge_mosfet=0,discharge_mosfet=0")
    assert master.ask(0x00) == []
    assert master.ask(0x93) == []
    master.listen(500)
    assert master.data(0x93)[0][1:3] == b"\1\1"


def test_a_write_can_be_acknowledged_and_ignored():
    master = Master("ignore_writes=1")
    assert master.ask(DISCHARGE, data=bytes(8))[0][4] == 0
    assert master.data(0x93)[0][2] == 1


# --- the pack --------------------------------------------------------------------------------------------------------


def test_without_drift_nothing_moves():
    bms = Bms("drift=0")
    assert bms.truth(0) == bms.truth(3600e6)


def test_with_drift_values_move_and_the_current_moves_the_charge():
    bms = Bms("current=-28,capacity=280,soc=50")
    before, after = bms.truth(0), bms.truth(3600e6)
    assert after["soc"] == 40.0
    assert after["remaining_capacity"] == 112.0
    assert after["cell_3_voltage"] < before["cell_3_voltage"]
    assert len({bms.truth(second * 1e6)["current"] for second in range(60)}) > 3


def test_the_same_seed_is_the_same_pack_however_often_it_is_asked():
    once, often = Bms("seed=7"), Bms("seed=7")
    for second in range(100):
        often.truth(second * 1e6)
    assert once.truth(100e6) == often.truth(100e6)
    assert once.truth(0) != Bms("seed=8").truth(0)


def test_a_change_of_current_keeps_the_charge_reached():
    bms = Bms("current=28,soc=50")
    bms.set("current", "-28", 3600e6)
    assert bms.truth(3600e6)["soc"] == 60.0
    assert bms.truth(7200e6)["soc"] == 50.0


def test_an_open_sense_wire_and_a_broken_sensor():
    readings = Bms("cell_mv=2:5000,sensor_raw=1:0").truth(0)
    assert readings["max_cell_voltage"] == readings["cell_2_voltage"] == 5.0
    assert readings["max_voltage_cell"] == 2
    assert readings["temperature_1"] == readings["min_temperature"] == -40


def test_no_sensor_at_all():
    master = Master("temperatures=0")
    assert master.data(0x92)[0][:4] == b"\0\1\0\1"
    assert master.bms.truth(0)["max_temperature"] is None


# --- timing ----------------------------------------------------------------------------------------------------------


def test_a_byte_takes_ten_bits_at_9600_baud():
    master = Master("think=5")
    master.ask(0x90)
    assert master.times == pytest.approx([(13 + i) * BYTE_MS + 5 for i in range(1, 14)])


def test_bytes_are_not_there_before_their_last_bit():
    bms = Bms("think=0,drift=0")
    bms.receive(request(0x90), 0)
    assert bms.transmit(26 * BYTE_US - 1) == GOOD[:12]
    assert bms.transmit(26 * BYTE_US + 1) == GOOD[12:]


def test_requests_written_in_one_go_arrive_one_after_the_other():
    master = Master("think=5,overlap=1")
    assert len(frames_in(master.say(request(0x90) + request(0x91)))) == 2
    assert master.times[-1] == pytest.approx(39 * BYTE_MS + 2 * 5)


def test_a_request_while_it_is_busy_is_lost():
    outcomes = []
    master = Master(note=lambda event: outcomes.extend([event["outcome"]] if "outcome" in event else []))
    assert [f[2] for f in frames_in(master.say(request(0x90) + request(0x91)))] == [0x90]
    assert outcomes == ["responded", "lost"]


def test_with_overlap_one_request_waits_and_a_third_is_lost():
    heard = frames_in(Master("overlap=1").say(request(0x95) + request(0x91) + request(0x92)))
    assert [frame[2] for frame in heard] == [0x95] * 6 + [0x91]


def test_think_time_jitter_and_gaps():
    master = Master("think=20,think_jitter=30")
    thinking = []
    for _ in range(50):
        master.ask(0x90)
        thinking.append(master.times[0] - 14 * BYTE_MS)
    assert 20 <= min(thinking) < 25
    assert 45 < max(thinking) <= 50
    master = Master("gap=4")
    master.ask(0x95)
    assert master.times[13] - master.times[12] == pytest.approx(BYTE_MS + 4)


# --- states ----------------------------------------------------------------------------------------------------------


def test_asleep_it_sends_the_request_back():
    master = Master("asleep=1")
    assert master.say(request(0x90)) == request(0x90)
    assert 1 <= master.times[0] - 14 * BYTE_MS <= 5


def test_it_falls_asleep_and_requests_wake_it():
    master = Master("sleep_after=2,wake_on_request=3")
    answers = [master.ask(0x90)[0][1] for _ in range(12)]
    assert answers == [1] * 4 + [0x40] * 3 + [1] * 3 + [0x40] * 2


def test_silence_is_switched_on_and_off():
    master = Master("silent=1")
    assert master.ask(0x90) == []
    master.set("silent", 0)
    assert len(master.ask(0x90)) == 1


def test_an_adapter_that_hears_itself():
    master = Master("echo=1")
    heard = frames_in(master.say(request(0x90)))
    assert heard[0] == request(0x90)
    assert heard[1][1:3] == b"\1\x90"
    assert master.times[12] == pytest.approx(13 * BYTE_MS)


def test_noise_goes_on_by_itself_and_stops():
    master = Master("noise=200")
    assert 100 < len(master.listen(1000)) < 300
    master.set("noise", 0)
    assert master.bms.next_us() is None


@pytest.mark.parametrize(("protocol", "asked", "head"), [("d2", 0xD2, 0xD2), ("p81", 0x81, 0x51)])
def test_the_modbus_families_answer_their_own_requests_only(protocol, asked, head):
    master = Master(f"protocol={protocol},drift=0,current=-8.9")
    assert master.ask(0x90) == []
    question = bytes([asked, 3, 0, 0, 0, 0x3E])
    reply = master.say(question + crc16(question))
    assert reply[:3] == bytes([head, 3, 0x7C])
    assert len(reply) == 129
    assert crc16(reply[:-2]) == reply[-2:]
    at = 3 + 2 * (0x29 if protocol == "d2" else 0x39)
    assert int.from_bytes(reply[at : at + 2], "big") == 29911


def test_crc_of_a_captured_request():
    assert crc16(bytes.fromhex("d2030000003e")).hex() == "d7b9"


def test_protocol_none_is_silence():
    assert Master("protocol=none").ask(0x90) == []


# --- faults ----------------------------------------------------------------------------------------------------------


def answers(options: str, command: int = 0x90, count: int = 400) -> list[bytes]:
    master = Master("drift=0," + options)
    return [master.say(request(command), 100) for _ in range(count)]


def share(heard: list[bytes], is_so) -> float:
    return sum(map(bool, map(is_so, heard))) / len(heard)


GOOD = answers("", count=1)[0]
STRUCK = {  # name -> what a struck answer looks like
    "corrupt": lambda heard: len(heard) == 13 and heard != GOOD,
    "corrupt1": lambda heard: sum(a != b for a, b in zip(heard, GOOD, strict=True)) == 1 and not is_whole(heard),
    "implausible": lambda heard: is_whole(heard) and sum(a != b for a, b in zip(heard, GOOD, strict=True)) == 2,
    "zeros": lambda heard: is_whole(heard) and heard[4:12] == bytes(8),
    "drop_byte": lambda heard: len(heard) == 12,
    "extra_byte": lambda heard: len(heard) == 14,
    "truncate": lambda heard: heard == GOOD[:9],
    "duplicate": lambda heard: heard == GOOD + GOOD,
    "garbage": lambda heard: 14 <= len(heard) <= 33 and heard.endswith(GOOD),
    "drop_frame": lambda heard: heard == b"",
}


@pytest.mark.parametrize("fault", STRUCK)
def test_a_fault_strikes_as_often_as_asked_and_only_so(fault):
    assert share(answers(f"{fault}=100", count=50), STRUCK[fault]) == 1
    some = answers(f"{fault}=20")
    assert 0.13 < share(some, STRUCK[fault]) < 0.27
    assert all(heard == GOOD or STRUCK[fault](heard) for heard in some)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_of_the_table_is_an_option_that_is_off_by_default_and_has_a_test(fault):
    assert getattr(Bms().options, fault.name) == 0
    assert f"  {fault.name}=0 ".ljust(32) + fault.description in options_help()
    texts = [(Path(__file__).parent / name).read_text() for name in ("test_bms.py", "test_modbus_bms.py")]
    assert fault.name in STRUCK or any(f"{fault.name}=" in text or f'"{fault.name}": lambda' in text for text in texts)


def test_a_fault_that_is_off_does_not_change_what_the_others_do(monkeypatch):
    """Else a new fault would be another run for every seed there is."""
    without = answers("corrupt=30,seed=4", count=50)
    new = Fault("new", "anything", frame=lambda frame, random: b"")
    monkeypatch.setattr("simulator.bms.FAULTS", (new, *FAULTS))
    monkeypatch.setattr("simulator.bms.OPTIONS", (*OPTIONS, OPTIONS[-1]._replace(name="new")))
    assert answers("corrupt=30,seed=4", count=50) == without


def test_faults_repeat_with_their_seed():
    assert answers("corrupt=30,seed=4", count=50) == answers("corrupt=30,seed=4", count=50)
    assert answers("corrupt=30,seed=4", count=50) != answers("corrupt=30,seed=5", count=50)


def test_a_burst_damages_everything_for_a_while():
    bad = [heard != GOOD for heard in answers("burst=5")]
    runs = sum(now and not before for before, now in zip([False, *bad], bad, strict=False))
    assert runs
    assert sum(bad) / runs > 1.5


def test_a_dying_board_stops_within_a_frame_and_is_silent_for_two_seconds():
    heard = answers("die_mid_frame=100", count=10)
    assert 1 <= len(heard[0]) <= 12
    assert heard[1:] == [b""] * 9


def test_a_truncated_frame_is_followed_at_once_by_the_next():
    heard = answers("truncate=100", 0x95, 1)[0]
    assert len(heard) == 6 * 9
    assert heard[9:14].hex() == "a501950802"


def test_a_late_answer_arrives_while_another_request_waits():
    master = Master("late=100")
    assert master.say(request(0x90), 300) == b""
    master.set("late", 0)
    heard = frames_in(master.say(request(0x91), 1000))
    assert [frame[2] for frame in heard] == [0x91, 0x90]


def test_a_board_that_forgets_its_cells_for_a_moment():
    assert [a[4] for a in answers("cells_zero=100", 0x94, 5)] == [0] * 5
    assert answers("cells_zero=100", 0x90, 1) == [GOOD]


def test_memory_in_place_of_frames_at_host_0x80():
    master = Master("ram_garbage=100,cells=16")
    frames = master.ask(0x95, 0x80)
    assert [is_whole(frame) for frame in frames] == [True] * 11 + [False] * 3 + [True] * 2


def test_two_frames_of_a_response_change_places():
    whole = frames_in(answers("", 0x95, 1)[0])
    swapped = [frames_in(heard) for heard in answers("swap_frames=100", 0x95, 20)]
    assert all(sorted(frames) == sorted(whole) and sum(map(bytes.__ne__, frames, whole)) == 2 for frames in swapped)
    assert len({tuple(frames) for frames in swapped}) > 2
    assert answers("swap_frames=100", 0x90, 1) == [GOOD]


def test_another_master_is_heard_asking_this_board_and_the_next():
    master = Master("second_master=100,drift=0")
    heard = b"".join(master.say(request(0x90)) for _ in range(40))
    frames = frames_in(heard)
    assert all(map(is_whole, frames))
    assert {frame[1] for frame in frames} == {1, 2, 0x40, 0x41}


# --- options ---------------------------------------------------------------------------------------------------------


def test_options_are_parsed():
    given = parse("cells=8, soc=57.3,mute=0x97+0x98,host=0x80,cell_mv=3:5000")
    assert given == {"cells": 8, "soc": 57.3, "mute": {0x97, 0x98}, "host": "0x80", "cell_mv": {3: 5000}}


def test_every_option_has_a_default_that_it_accepts():
    assert all(option.kind.read(option.default) is not None for option in OPTIONS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("temperature_cont=3", ["temperature_cont", "temperatures"]),
        ("cells=49", ["cells=49", "1..48"]),
        ("cells", ["cells=", "1..48"]),
        ("host=0x20", ["0x40 or 0x80 or both"]),
        ("corrupt=101", ["0..100"]),
        ("alarms=everything", ["soc_low_1"]),
        ("cell_mv=3", ["3:5000"]),
        ("produced=yesterday", ["YYYY-MM-DD"]),
        ("soc=nan", ["0..100"]),
    ],
)
def test_a_wrong_option_is_explained(text, words):
    with pytest.raises(ValueError) as error:
        parse(text)
    assert all(word in str(error.value) for word in words), str(error.value)


# --- the pseudo-terminal ---------------------------------------------------------------------------------------------


@pytest.fixture
def line(tmp_path):
    """A running `python -m simulator.line`, with its serial port's path and log."""
    log = tmp_path / "line.jsonl"
    command = [sys.executable, "-m", "simulator.line", "--bms", "drift=0,think=5", "--log", str(log)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.path, process.log = process.stdout.readline().strip(), log
    yield process
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()


def test_a_round_trip_over_the_pseudo_terminal(line):
    port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    lateness = []
    for _ in range(5):
        heard, times = exchange(port, request(0x95), 78)
        assert all(map(is_whole, frames_in(heard)))
        lateness += [ms - (13 + 5 / BYTE_MS + i) * BYTE_MS for i, ms in enumerate(times, 1)]
    os.close(port)
    assert 0 <= min(lateness) < 5  # never early, and late only where the machine does something else


def test_the_port_may_be_closed_and_opened_again(line):
    for _ in range(3):
        port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
        assert is_whole(exchange(port, request(0x90), 13)[0])
        os.close(port)


def test_options_change_by_standard_input_and_all_is_logged(line):
    port = os.open(line.path, os.O_RDWR | os.O_NOCTTY)
    exchange(port, request(0x90), 13)
    line.stdin.write("nonsense=1\ncurrent=-30,soc=20\n")
    line.stdin.flush()
    until = time.monotonic() + 5
    while exchange(port, request(0x90), 13)[0][8:10] != (30300).to_bytes(2, "big"):
        assert time.monotonic() < until
    os.close(port)
    events = [json.loads(text) for text in line.log.read_text().splitlines()]
    asked = [event for event in events if "request" in event]
    said = [event for event in events if "response" in event]
    assert asked[0]["truth"]["current"] == -12.4
    assert asked[-1]["truth"]["current"] == -30.0
    assert asked[-1]["truth"]["soc"] == 20.0
    assert all(is_whole(bytes.fromhex(event["response"])) for event in said)
    assert asked[0]["t"] < said[0]["t"] < said[0]["until"] < time.monotonic()


def test_a_wrong_option_ends_the_program_with_a_sentence():
    result = subprocess.run(
        [sys.executable, "-m", "simulator.line", "--bms", "cell=3"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "did you mean cells" in result.stderr
