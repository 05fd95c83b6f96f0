# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Frames of D2 and P81 in a stream of bytes: what is a response to our request, and what is anything else on the line."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_frames import CAPTURED, DAMAGED, ECHO, RESPONSE, UNEXPECTED, crc, feed, read, response, whole, write

from battery.pack import Pack
from daly.d2 import D2
from daly.modbus import crc16
from daly.p81 import P81

GOOD = [f for f in CAPTURED if f["checksum_valid"]]
BAD = [f for f in CAPTURED if not f["checksum_valid"]]
READS = [f for f in GOOD if "request" in f]
CELLS = [3300 + index for index in range(16)]
LIVE_D2 = response(0xD2, [*CELLS, *[0] * 16, 60, 61, *[0] * 6, 533, 30000, 500, 3315, 3300, 61, 60, *[0] * 2, 16, 2, *[0] * 11])
LIVE_P81 = response(0x51, [60, 61, *[0] * 6, 533, 30000, 500, 7, 16, 2, 3315, 16, 3300, 1, 15, *[0] * 49])


def d2(block=0):
    protocol = D2(Pack())
    if block is not None:
        protocol.open(block)
    return protocol


def p81(block=0, board_number=1, cells=16):
    protocol = P81(Pack(cell_count=cells), board_number)
    if block is not None:
        protocol.open(block)
    return protocol


def name(frame):
    return frame["hex"][:24]


# requests and checksums


@given(st.binary(max_size=60))
def test_the_checksum_is_that_of_modbus(data):
    assert crc16(data, 0, len(data)).to_bytes(2, "little") == crc(data)
    assert crc16(data + crc(data), 0, len(data) + 2) == 0


@pytest.mark.parametrize("frame", GOOD, ids=name)
def test_the_checksum_of_each_captured_frame_is_right(frame):
    assert crc16(frame["bytes"], 0, len(frame["bytes"])) == 0


def test_requests_are_those_of_the_papers():
    assert [bytes(d2(None).build(index)).hex() for index in range(5)] == [
        "d2030000003ed7b9",  # captured, as the next and the one after
        "d203003e0009f7a3",
        "d20300800029965f",
        "d20300a900208791",
        "d20300cc00021797",
    ]
    assert bytes(p81(None).build(0)).hex() == "8103003000445a36"
    assert bytes(p81(None).build(1)).hex() == "8103000000105bc6"
    assert bytes(p81(None).build(5)).hex() == "81030178004a5a18"  # captured


def test_no_request_reads_the_password():
    """D2: C9 to CB, P81: 126 to 128; the trace of a diagnostics file holds what is read."""
    for protocol, password in ((d2(None), range(0xC9, 0xCC)), (p81(None), range(0x126, 0x129))):
        for index, block in enumerate(protocol.blocks):
            assert not set(password) & set(range(block.function, block.function + protocol.count_of(index)))


def test_board_n_is_asked_at_its_own_address_and_answers_from_it():
    protocol = p81(board_number=3)
    assert protocol.build(0)[0] == 0x83 and protocol.detail == "board 3" and p81().detail == ""
    assert feed(protocol, LIVE_P81) == [UNEXPECTED]
    assert feed(protocol, whole(0x53, *LIVE_P81[1:-2])) == [RESPONSE]


@pytest.mark.parametrize(
    ("protocol", "key", "raw", "frame"),
    [
        (d2, "charge_mosfet", 1, "d20600a500014b8a"),  # captured, as most others
        (d2, "charge_mosfet", 0, "d20600a500008a4a"),
        (d2, "discharge_mosfet", 1, "d20600a60001bb8a"),
        (d2, "discharge_mosfet", 0, "d20600a600007a4a"),
        (d2, "soc", 1000, write(0xD2, 0xA7, 1000).hex()),
        (d2, "restart_bms", None, write(0xD2, 0xF0, 1).hex()),
        (p81, "charge_mosfet", 1, "810601210001063c"),
        (p81, "charge_mosfet", 0, "810601210000c7fc"),
        (p81, "discharge_mosfet", 1, "810601220001f63c"),
        (p81, "discharge_mosfet", 0, "81060122000037fc"),
        (p81, "soc", 305, write(0x81, 0x116, 305).hex()),
    ],
)
def test_writes_are_those_that_were_seen_to_work(protocol, key, raw, frame):
    assert bytes(protocol().write(key, raw, None)).hex() == frame


def test_what_can_be_written():
    assert sorted(d2().writes) == ["charge_mosfet", "discharge_mosfet", "restart_bms", "soc"]
    assert sorted(p81().writes) == ["charge_mosfet", "discharge_mosfet", "soc"]  # a restart is not known


def test_a_write_to_board_2_is_the_one_that_was_captured():
    assert bytes(p81(board_number=2).write("discharge_mosfet", 0, None)).hex() == "82060122000037cf"


@pytest.mark.parametrize(
    ("protocol", "index", "wire_bytes"),
    [(d2(), 0, 8 + 129), (d2(), 1, 8 + 23), (p81(), 0, 8 + 141), (p81(), 1, 8 + 37), (p81(cells=4), 1, 8 + 13)],
)
def test_how_much_longer_than_a_frame_of_a5_it_takes(protocol, index, wire_bytes):
    assert abs(protocol.excess_ms(index) - (wire_bytes - 26) * 10 / 9.6) <= 1.0
    assert protocol.rest_ms(index) == 0 and protocol.frames_expected(index) == 1


def test_cells_cannot_be_requested_before_their_number_is_known():
    protocol = P81(Pack())
    assert protocol.frames_expected(1) == 0
    assert [protocol.frames_expected(index) for index in (0, 2, 3, 4, 5)] == [1] * 5


@pytest.mark.parametrize("cells", range(1, 49))
def test_no_two_responses_have_the_same_length(cells):
    """Nothing else tells which request a response answers, if it comes after the next request."""
    protocol = p81(None, cells=cells)
    counts = [protocol.count_of(index) for index in range(len(protocol.blocks))]
    assert len(set(counts)) == len(counts) and counts[1] - cells in (0, 1, 2)
    assert protocol.build(1)[5] == counts[1]


def test_no_two_responses_of_d2_have_the_same_length():
    counts = [block.count for block in D2.blocks]
    assert len(set(counts)) == len(counts)


# responses


@pytest.mark.parametrize(("protocol", "frame"), [(d2, LIVE_D2), (p81, LIVE_P81)])
def test_a_response_is_whole_with_its_last_byte(protocol, frame):
    for chunk in range(1, len(frame)):
        board = protocol()
        assert feed(board, frame[:chunk]) == [] and board.reader.partial() == chunk
        assert feed(board, frame[chunk:]) == [RESPONSE]
        assert bytes(board.reader.frame[: board.reader.length]) == frame
        assert (board.reader.discarded, board.reader.checksum_errors, board.reader.partial()) == (0, 0, 0)
        assert board.is_whole and not board.is_damaged()


@pytest.mark.parametrize(("protocol", "frame"), [(d2, LIVE_D2), (p81, LIVE_P81)])
def test_one_flipped_bit_anywhere_is_seen(protocol, frame):
    for bit in range(8 * len(frame)):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        board = protocol()
        events = feed(board, damaged)
        assert RESPONSE not in events and UNEXPECTED not in events and ECHO not in events
        if bit // 8 > 2:  # it begins as a response
            assert events == [DAMAGED] and board.reader.checksum_errors == 1
            assert bytes(board.reader.damaged[: board.reader.damaged_length]) == damaged
        assert board.is_damaged() and board.is_truncated(30)


def begins_no_response(garbage):
    return b"\xd2\x03\x7c" not in garbage and not garbage.endswith((b"\xd2", b"\xd2\x03"))


@given(st.binary(max_size=120).filter(begins_no_response))
def test_a_response_is_found_after_any_garbage(garbage):
    """The garbage may begin as a frame of any length, which would end behind the response."""
    board = d2()
    events = feed(board, garbage + LIVE_D2)
    assert events[-1] == RESPONSE and bytes(board.reader.frame[: board.reader.length]) == LIVE_D2


@pytest.mark.parametrize("size", [1, 3, 8, 60, 128])
@pytest.mark.parametrize(("protocol", "frame"), [(d2, LIVE_D2), (p81, LIVE_P81)])
def test_a_truncated_response_does_not_take_the_next_with_it(protocol, frame, size):
    board = protocol()
    assert feed(board, frame[:size] + frame)[-1] == RESPONSE
    assert bytes(board.reader.frame[: board.reader.length]) == frame


def test_a_response_that_begins_inside_a_damaged_one_is_found():
    """The last byte of the damaged run may be the first of a good response."""
    for lost in (1, 5, 60, 125):
        board = d2()
        events = feed(board, LIVE_D2[: len(LIVE_D2) - lost] + LIVE_D2)
        assert events == [DAMAGED, RESPONSE] and bytes(board.reader.frame[: board.reader.length]) == LIVE_D2


def test_responses_in_one_chunk_are_reported_one_after_the_other():
    board = p81(1)
    cells = response(0x51, CELLS)
    late = LIVE_P81
    assert feed(board, late + cells) == [UNEXPECTED, RESPONSE]
    assert bytes(board.reader.frame[: board.reader.length]) == cells
    board = d2()
    assert feed(board, LIVE_D2 + LIVE_D2) == [RESPONSE, RESPONSE]  # doubled


def test_a_late_response_shows_which_block_it_answers_by_its_length():
    board = p81(1)
    assert feed(board, LIVE_P81) == [UNEXPECTED] and board.frame_block == 0
    board.close()
    assert feed(board, response(0x51, CELLS)) == [UNEXPECTED] and board.frame_block == 1
    assert feed(board, response(0x52, CELLS)) == [UNEXPECTED] and board.frame_block == -1  # of another board
    assert feed(board, response(0x51, CELLS[:9])) == [UNEXPECTED] and board.frame_block == -1


def test_a_response_without_a_request_is_unexpected():
    board = d2()
    board.close()
    assert board.pending == -1
    assert feed(board, LIVE_D2) == [UNEXPECTED] and board.frame_block == 0


@pytest.mark.parametrize(("quiet_ms", "is_over"), [(0, False), (29, False), (30, True)])
def test_a_response_that_has_begun_is_over_when_the_line_is_quiet(quiet_ms, is_over):
    board = d2()
    feed(board, LIVE_D2[:3])
    assert board.is_truncated(quiet_ms) is is_over
    board = d2()
    feed(board, LIVE_D2[3:20])  # its head was lost
    assert board.is_truncated(quiet_ms) is is_over


def test_a_glitch_before_the_response_does_not_end_it():
    board = d2()
    feed(board, bytes(8))
    assert not board.is_truncated(100) and board.is_damaged()
    assert feed(board, LIVE_D2) == [RESPONSE]
    board.close()
    assert not board.is_truncated(100)


def test_a_new_request_forgets_what_was_begun():
    board = d2()
    feed(board, LIVE_D2[:50])
    board.open(0)
    assert board.reader.partial() == 0 and board.reader.discarded == 50 and not board.is_damaged()
    assert feed(board, LIVE_D2[50:]) == []


# what else is on the line


def test_our_own_request_is_an_echo_and_no_noise():
    for board, request in ((d2(), "d2030000003ed7b9"), (p81(), "8103003000445a36")):
        assert feed(board, bytes.fromhex(request)) == [ECHO] and not board.is_damaged()
        assert bytes(board.reader.frame[: board.reader.length]).hex() == request
        assert feed(board, LIVE_D2 if board.name == "D2" else LIVE_P81) == [RESPONSE]


def test_the_acknowledgement_of_our_write_is_neither_noise_nor_a_response():
    board = p81()
    frame = bytes(board.write("charge_mosfet", 1, None))
    assert feed(board, write(0x51, 0x121, 1)) == []
    assert feed(board, frame) == [ECHO]
    assert feed(board, write(0x51, 0x121, 0)) == [UNEXPECTED]
    assert not board.is_damaged() and feed(board, LIVE_P81) == [RESPONSE]
    board = d2()
    frame = bytes(board.write("soc", 305, None))
    assert feed(board, frame + frame) == []  # D2 acknowledges by the same bytes: an echo cannot be told from it
    assert not board.is_damaged() and feed(board, LIVE_D2) == [RESPONSE]


def others(board):
    """Good frames that are not for us, nor of our board alone."""
    own = 0xD2 if board.name == "D2" else 0x51
    return [
        read(0x85, 0x30, 68),  # another master asks other boards, and these answer
        response(0x55, list(range(68))),
        read(0x01, 0, 10, 4),
        response(0x01, list(range(10)), 4),
        response(0x07, list(range(125))),
        read(0x07, 0, 9, 1),
        whole(0x07, 1, 2, 0x55, 1),
        write(0x09, 7, 1),
        write(own, 0x77, 1),
        whole(own, 0x83, 2),  # exceptions, of ours and of others
        whole(0x11, 0x86, 1),
        whole(0x0A, 0x10, 0, 1, 0, 2),
        whole(0x0A, 0x10, 0, 1, 0, 2, 4, 1, 2, 3, 4),
        bytes.fromhex("d21000d40003180b0709341cf7d8"),  # captured: Daly's form, without a number of bytes
        response(own, [1, 2, 3]),
    ]


@pytest.mark.parametrize("index", range(len(others(d2()))))
@pytest.mark.parametrize("make", [d2, p81])
def test_frames_of_others_are_unexpected_and_no_noise(make, index):
    board = make()
    frame = others(board)[index]
    assert feed(board, frame) == [UNEXPECTED] and bytes(board.reader.frame[: board.reader.length]) == frame
    assert feed(board, frame + frame) == [UNEXPECTED, UNEXPECTED]
    assert (board.reader.discarded, board.reader.checksum_errors) == (0, 0) and not board.is_damaged()
    assert feed(board, LIVE_D2 if board.name == "D2" else LIVE_P81) == [RESPONSE]


@pytest.mark.parametrize("frame", [f for f in GOOD if f["kind"] != "synthetic"], ids=name)
def test_each_captured_frame_is_recognised_whatever_it_is(frame):
    board = d2(None) if frame["protocol"] == "D2" else p81(None)
    event = [ECHO] if frame["hex"] == bytes(board.build(0)).hex() else [UNEXPECTED]
    assert feed(board, frame["bytes"]) == event and board.reader.discarded == 0


@pytest.mark.parametrize("frame", BAD, ids=name)
@pytest.mark.parametrize("block", [None, *range(5)])
def test_each_captured_bad_frame_is_refused(frame, block):
    board = d2(block)
    assert RESPONSE not in feed(board, frame["bytes"]) and UNEXPECTED not in feed(board, frame["bytes"])
    assert board.is_damaged()


@pytest.mark.parametrize("size", [1, 7, 255, 1000])
def test_bytes_of_nothing_are_discarded(size):
    for byte in (0x00, 0xFF):
        board = d2()
        assert feed(board, bytes([byte]) * size) == []
        assert board.reader.discarded == size and board.reader.partial() == 0


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(0, 3))
def test_any_bytes_are_taken_in_any_pieces(chunks, block):
    board = d2(block)
    data = b"".join(chunks)
    events = feed(board, data)
    assert board.reader.partial() <= 255 and RESPONSE not in events
    other = d2(block)
    assert [event for chunk in chunks for event in feed(other, chunk)] == events


def test_frames_of_everybody_in_any_order_are_all_found():
    """In a stream without gaps, as a foreign master and its boards make it."""
    generator = random.Random(7)
    for _ in range(200):
        board = p81()
        frames = [generator.choice(others(board)) for _ in range(generator.randrange(12))]
        at = generator.randrange(len(frames) + 1)
        frames.insert(at, LIVE_P81)
        found = []
        for byte in b"".join(frames):
            if board.feed(byte, 0):
                found.append(bytes(board.reader.frame[: board.reader.length]))
        assert found == frames and board.reader.discarded == 0


# another master on the line asks our board for another range of the same length


def rival_frames(board):
    address = 0xD2 if board.name == "D2" else 0x81
    live = LIVE_D2 if board.name == "D2" else LIVE_P81
    count = live[2] // 2
    foreign = response(live[0], [0x1234] * count)
    return read(address, 0x100, count), foreign, live


@pytest.mark.parametrize("make", [d2, p81])
def test_a_response_of_our_length_is_not_believed_while_another_master_waits_for_one(make):
    board = make()
    request, foreign, live = rival_frames(board)
    assert feed(board, request, 1000) == [UNEXPECTED]
    assert feed(board, foreign, 1100) == [UNEXPECTED]
    assert feed(board, live, 1200) == [UNEXPECTED]  # the order is not known
    assert board.frame_block == -1
    board.open(0)
    assert feed(board, live, 1300) == [RESPONSE]  # both have been answered


@pytest.mark.parametrize("make", [d2, p81])
@pytest.mark.parametrize(("waited_ms", "event"), [(0, UNEXPECTED), (1400, UNEXPECTED), (1500, RESPONSE)])
def test_one_that_asked_shortly_before_us_counts_too(make, waited_ms, event):
    board = make(None)
    request, _, live = rival_frames(board)
    feed(board, request, 5000)
    board.open(0)
    assert feed(board, live, 5000 + waited_ms) == [event]


@pytest.mark.parametrize("make", [d2, p81])
def test_once_it_has_been_answered_the_next_response_is_ours(make):
    board = make(None)
    request, foreign, live = rival_frames(board)
    assert feed(board, request + foreign, 5000) == [UNEXPECTED, UNEXPECTED]
    board.open(0)
    assert feed(board, live, 5100) == [RESPONSE]


@pytest.mark.parametrize("make", [d2, p81])
def test_one_that_asks_for_another_length_or_another_board_disturbs_nothing(make):
    board = make()
    address = 0xD2 if board.name == "D2" else 0x81
    live = rival_frames(board)[2]
    feed(board, read(address, 0x100, 5) + read(0x83, 0x100, live[2] // 2), 1000)
    assert feed(board, live, 1010) == [RESPONSE]


@pytest.mark.parametrize("make", [d2, p81])
def test_one_that_asks_the_same_as_we_do_gets_what_we_want(make):
    board = make()
    assert feed(board, bytes(board.build(0)), 1000) == [ECHO]
    assert feed(board, rival_frames(board)[2], 1010) == [RESPONSE]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 30, len(LIVE_D2)])
def test_the_middle_of_a_response_can_be_taken_at_once(size):
    """In whatever pieces it arrives: as byte by byte."""
    board = d2()
    events = []
    skipped = 0
    for begin in range(0, len(LIVE_D2), size):
        piece = LIVE_D2[begin : begin + size]
        taken = board.reader.skip(piece, len(piece))
        skipped += taken
        events += feed(board, piece[taken:])
    assert events == [RESPONSE] and bytes(board.reader.frame[: board.reader.length]) == LIVE_D2
    assert skipped >= len(LIVE_D2) - 5 or size > 3  # the head is looked at byte by byte
