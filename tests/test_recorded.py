# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Recordings of D2 and P81: exchanges are played as they were, and any other read gets the registers they show.

The captured frames are rows of facts/frames.jsonl and modbus-frames.jsonl.
"""

import json
import struct
import sys
from pathlib import Path

import pytest
from masters import ask_program

from simulator.modbus import crc16, framed
from simulator.replay import Player, read

ROOT = Path(__file__).parent.parent
CELLS_806 = "5103800cd10c900ca30cd5" + "0000" * 44 + "00ff" * 8 + "0082752c0070004c000400020cd50004"
REST_806 = (
    "51037c0002004400ff000000ff0000000000000000000000c9000000007530000000000000000100010000000000000cba00050000004500ff"
    "000000000000000075301a06050922124aec00000000000000000000753000300070000000000000000200008000000075300b7dfffefffe0000"
    "7ff5ffffffffffffffff000263c6"
)
MOSFET_D2 = "d203120000000075300000004effffffffffffffff0b4e"
BAD_ACK = "d20600cf00011c8a"  # btsnoop: answered while another request was open


def row(data: str, direction="rx", session="board", **more) -> str:
    return json.dumps({"hex": data, "direction": direction, "session": session, "kind": "real", **more})


@pytest.fixture
def player(tmp_path):
    def play(*lines: str) -> Player:
        path = tmp_path / "recording"
        path.write_text("\n".join(lines))
        return Player(read(path))

    return play


def asked(player, request: bytes, at_us=0.0) -> bytes:
    player.receive(request, at_us)
    said = b""
    while (due := player.next_us()) is not None:
        said += player.transmit(due)
    return said


def request(address: int, start: int, value: int, function=3) -> bytes:
    return framed(struct.pack(">BBHH", address, function, start, value))


def words(response: bytes) -> list[int]:
    assert response[-2:] == crc16(response[:-2])
    return list(struct.unpack(f">{response[2] // 2}H", response[3:-2]))


CELLS_806 = framed(bytes.fromhex(CELLS_806)).hex()


def test_a_recorded_exchange_is_played_as_it_was(player):
    plays = player(row(CELLS_806), row("81030041003e8bce", "tx"), row(REST_806))
    assert asked(plays, bytes.fromhex("81030041003e8bce")).hex() == REST_806
    assert asked(plays, bytes.fromhex("8103000000405bfa")).hex() == CELLS_806  # by the length of the app's requests


def test_other_reads_get_the_registers_that_the_exchanges_show(player):
    plays = player(row(CELLS_806), row(REST_806))
    assert words(asked(plays, request(0x81, 0, 4))) == [0x0CD1, 0x0C90, 0x0CA3, 0x0CD5]
    live = words(asked(plays, request(0x81, 0x30, 68)))
    assert live[8:11] == [0x82, 0x752C, 0x70]
    assert live[0x40 - 0x30] == 0x0C90  # the app never reads this one: the lowest cell
    assert live[0x70 - 0x30] == 2
    assert words(asked(plays, request(0x81, 0x121, 2))) == [0xFFFF, 0xFFFF]
    assert asked(plays, request(0x82, 0, 4)) == b""
    assert asked(plays, request(0xD2, 0, 4)) == b""


def test_bare_lines_of_hex_are_a_recording_too(player):
    plays = player("# a request and its response", "d203003e0009f7a3", MOSFET_D2)
    assert asked(plays, bytes.fromhex("d203003e0009f7a3")).hex() == MOSFET_D2
    assert words(asked(plays, request(0xD2, 0x42, 1))) == [78]


def test_what_was_damaged_stays_damaged(player):
    write = request(0xD2, 0xCF, 1, 6)
    plays = player(row(write.hex(), "tx"), row(BAD_ACK), row(write.hex(), "tx"), row(write.hex()))
    assert [asked(plays, write, 1e6 * number) for number in range(3)] == [bytes.fromhex(BAD_ACK), write, bytes.fromhex(BAD_ACK)]


def test_a_write_that_was_not_recorded_is_acknowledged(player):
    plays = player(row(CELLS_806))
    assert asked(plays, bytes.fromhex("810601210001063c")) == framed(bytes.fromhex("510601210001"))


def test_packs_of_several_protocols_are_played_one_after_the_other(player):
    a5 = "a50190080212000074d70360d9"
    plays = player(row(a5, session="one"), row(CELLS_806, session="two"), row("d203003e0009f7a3", "tx"), row(MOSFET_D2))
    heard = [[bool(asked(plays, data, 1e6 * at)) for data in (bytes.fromhex("a540900800000000000000007d"),)] for at in (0, 31)]
    assert heard == [[True], [False]]
    assert asked(plays, request(0x81, 0, 4), 32e6)[:1] == b"\x51"
    assert asked(plays, request(0xD2, 0x42, 1), 62e6)[:1] == b"\xd2"


def test_frames_of_a_diagnostics_file_keep_their_times(player):
    ask = "81030041003e8bce"
    lines = [f"-5000 > {ask}", f"-4800 < {REST_806}", f"-3000 > {ask}", f"-2500 ! {REST_806[:-4]}0000", f"-900 > {ask}"]
    plays = player(json.dumps({"diagnostics": 1, "settings": {}, "readings": {}, "frames": lines}))
    plays.receive(bytes.fromhex(ask), 0)
    assert plays.next_us() is not None
    times = []
    heard = b""
    while (due := plays.next_us()) is not None:
        new = plays.transmit(due)
        heard += new
        times += [due / 1000] * len(new)
    assert heard.hex() == REST_806 and times[-1] == pytest.approx(200, abs=1)
    assert asked(plays, bytes.fromhex(ask), 1e6).hex() == REST_806[:-4] + "0000"
    assert asked(plays, bytes.fromhex(ask), 2e6) == b""


def test_a_long_frame_that_a_mail_program_broke_is_whole_again(tmp_path):
    path = tmp_path / "recording"
    lines = ["-5000 > 81030041003e8bce", f"-4800 < {REST_806}"]
    text = json.dumps({"diagnostics": 1, "frames": lines})
    path.write_text("\r\n".join(text[at : at + 71] for at in range(0, len(text), 71)))
    assert asked(Player(read(path)), bytes.fromhex("81030041003e8bce")).hex() == REST_806


@pytest.mark.slow
def test_on_a_serial_line(tmp_path):
    path = tmp_path / "recording"
    path.write_text(row(CELLS_806))
    heard = ask_program([sys.executable, "-m", "simulator.replay", str(path)], request(0x81, 0, 2), 9)
    assert words(heard) == [0x0CD1, 0x0C90]
