# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The A5 protocol: frames in a stream of bytes, every byte of the map, what is an answer, and responses of several frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from battery.pack import Pack
from daly.a5 import A5, WRITES, FrameReader, build_frame

PAYLOADS = st.binary(min_size=8, max_size=8)
GARBAGE = st.binary(max_size=30)


def frame(command, payload, address=1):
    body = bytes([0xA5, address, command, 8]) + payload
    return body + bytes([sum(body) & 0xFF])


def read(*chunks):
    """(address, command, payload) of every frame found in the chunks."""
    reader = FrameReader()
    found = []
    for chunk in chunks:
        for byte in chunk:
            if reader.feed(byte) == 1:
                found.append((reader.address, reader.function, bytes(reader.payload)))
    return found


@given(st.lists(st.tuples(st.integers(0, 255), PAYLOADS), max_size=5), st.lists(st.integers(1, 20), max_size=40))
def test_any_chunking_of_the_same_bytes_gives_the_same_frames(frames, sizes):
    stream = b"".join(frame(command, payload) for command, payload in frames)
    chunks, rest = [], stream
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    chunks.append(rest)
    expected = [(1, command, payload) for command, payload in frames]
    assert read(stream) == read(*chunks) == expected


@given(GARBAGE, PAYLOADS, GARBAGE, PAYLOADS, GARBAGE)
def test_garbage_costs_nothing_but_itself(before, first, between, second, after):
    # a start byte in the garbage may open a frame that swallows real bytes only if its sum fits: keep those out of the claim
    stream = before + frame(0x90, first) + between + frame(0x93, second) + after
    if not accidental_frame(before, first, between, second, after):
        found = read(stream)
        assert (1, 0x90, first) in found and (1, 0x93, second) in found


def accidental_frame(before, first, between, second, after):
    stream = before + frame(0x90, first) + between + frame(0x93, second) + after
    real = {len(before), len(before) + 13 + len(between)}
    for i in range(len(stream) - 12):
        part = stream[i : i + 13]
        if part[0] == 0xA5 and part[3] == 8 and sum(part[:12]) & 0xFF == part[12] and i not in real:
            return True
    return False


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise(data):
    read(data)


@given(st.integers(0, 255), PAYLOADS, st.integers(0, 13 * 8 - 1))
def test_one_flipped_bit_is_never_believed(command, payload, bit):
    damaged = bytearray(frame(command, payload))
    damaged[bit // 8] ^= 1 << bit % 8
    assert (1, command, payload) not in read(damaged)
    assert read(damaged) == []


def test_a_truncated_frame_does_not_take_the_next_with_it():
    whole = frame(0x95, bytes.fromhex("050cd00ccf0cd0a0"))
    assert read(whole[:9] + whole) == [(1, 0x95, whole[4:12])]


def test_damage_is_counted():
    reader = FrameReader()
    damaged = bytearray(frame(0x90, bytes(8)))
    damaged[12] ^= 1
    for byte in b"\x00\x01" + damaged:
        reader.feed(byte)
    assert reader.checksum_errors == 1
    assert reader.discarded == 2 + 13


def test_requests_have_the_sums_of_the_sniffed_ones():
    request = bytearray(13)
    sums = {0x90: 0x7D, 0x91: 0x7E, 0x92: 0x7F, 0x93: 0x80, 0x94: 0x81, 0x95: 0x82, 0x96: 0x83, 0x97: 0x84, 0x98: 0x85}
    for command, total in sums.items():
        assert build_frame(request, 0x40, command) == bytes([0xA5, 0x40, command, 8, 0, 0, 0, 0, 0, 0, 0, 0, total])
    assert build_frame(request, 0x80, 0x90)[12] == 0xBD
    # set SOC 30.0 % at 2022-12-13 21:29:39, sniffed
    payload = bytes.fromhex("160c0d151d27012c")
    assert build_frame(request, 0x40, 0x21, payload) == bytes.fromhex("a5402108160c0d151d27012cc3")


def test_the_filler_of_weak_uarts():
    assert build_frame(bytearray(13), 0x40, 0x90, filler=0xAA)[4:12] == b"\xaa" * 8


def test_after_garbage_that_begins_like_a_frame_the_real_one_is_found():
    whole = frame(0x90, bytes(range(8)))
    for garbage in ("a5", "a5a5a5", "a5010008", "a50190", "a5019008" + "a5" * 8, "a5019007"):
        assert (1, 0x90, bytes(range(8))) in read(bytes.fromhex(garbage) + whole), garbage


def test_a_frame_has_the_length_byte_8():
    for length in (0, 7, 9, 0x88):
        body = bytes([0xA5, 1, 0x90, length]) + bytes(8)
        assert read(body + bytes([sum(body) & 0xFF])) == []


def test_an_unfinished_frame_is_forgotten_and_counted():
    reader = FrameReader()
    for byte in frame(0x90, bytes(8))[:7]:
        assert reader.feed(byte) == 0
    assert reader.partial() == 7 and reader.discarded == 0
    reader.reset()
    assert (reader.partial(), reader.discarded) == (0, 7)
    whole = frame(0x90, bytes(8))
    assert [reader.feed(byte) for byte in whole] == [False] * 12 + [True]
    assert reader.partial() == 0 and bytes(reader.frame[:13]) == whole and reader.checksum_errors == 0
    reader.reset()
    assert reader.discarded == 7


def test_the_last_damaged_frame_is_kept():
    reader = FrameReader()
    broken = frame(0x90, bytes(range(8)))[:12] + b"\x00"
    for byte in broken + frame(0x90, bytes(8)):
        reader.feed(byte)
    assert bytes(reader.damaged) == broken


# the map: payloads made by hand, and what is read from each byte

NOTHING, FRAME, RESPONSE, ECHO, UNEXPECTED, DAMAGED = range(6)  # what a byte completes
ACCEPTED, UNCONFIRMED, EMPTY = range(3)  # what a response amounts to
FUNCTIONS = [block.function for block in A5.blocks]
ORDER = (0x90, 0x93, 0x98, 0x94, 0x91, 0x92, 0x95, 0x96, 0x97, 0x50, 0x53, 0x57, 0x62, 0x63)


class Board:
    """The protocol alone, at a pack."""

    def __init__(self, cells=0, sensors=0, settled=True, **options):
        self.pack = Pack(cells, sensors)
        self.a5 = A5(self.pack, 0x40, **options)
        self.now = 0
        if settled:  # a voltage has come: a board that sends zeros to every request would have sent no other
            self.read(0x90, "0214000075300000")

    def request(self, function):
        request = bytes(self.a5.build(FUNCTIONS.index(function)))
        self.a5.open(FUNCTIONS.index(function))
        return request

    def feed(self, data):
        """What the bytes complete, NOTHING left out."""
        self.now += 14
        return [event for event in (self.a5.feed(byte, self.now) for byte in data) if event != NOTHING]

    def read(self, function, *payloads, doubtful=False):
        """Request, respond with these payloads, store: what the response amounts to."""
        self.request(function)
        for payload in payloads:
            self.feed(frame(function, bytes.fromhex(payload)))
        result = self.a5.store(self.now, doubtful)
        self.a5.close()
        return result

    def raws(self, *keys):
        return [self.pack.raw(key) for key in keys]

    def many(self, key, count):
        return [self.pack.raw(key, number + 1) for number in range(count)]


def test_the_blocks_are_requested_in_this_order_and_each_has_its_size():
    assert tuple(function for function in FUNCTIONS if function in ORDER) == ORDER and FUNCTIONS[0] == 0x90
    sizes = {0x95: (16, 6), 0x96: (3, 7), 0x57: (5, 7), 0x62: (2, 7), 0x63: (2, 7)}
    assert all((block.frames, block.width) == sizes.get(block.function, (1, 8)) for block in A5.blocks)
    assert {block.function for block in A5.blocks if block.is_immediate} == {0x93, 0x98}


# function, payload: {key: raw}; what stands in no byte of the map is AA, and means nothing
SINGLE = [
    (0x90, "0214aaaa75a80226", {"pack_voltage": 532, "current": -120, "soc": 550}),
    (0x90, "0100aaaa74b803e8", {"pack_voltage": 256, "current": 120, "soc": 1000}),
    (0x90, "0001aaaa75300000", {"pack_voltage": 1, "current": 0, "soc": 0}),
    (0x93, "0101004b00030d40", {"mode": 1, "charge_mosfet": 1, "discharge_mosfet": 0, "heartbeat": 75,
                                "remaining_capacity": 200000}),
    (0x93, "020001ff00980000", {"mode": 2, "charge_mosfet": 0, "discharge_mosfet": 1, "heartbeat": 255,
                                "remaining_capacity": 0x980000}),
    (0x94, "1002010052012caa", {"cell_count": 16, "temperature_count": 2, "charger_connected": 1, "load_connected": 0,
                                "cycle_count": 300}),
    (0x94, "30100001000000aa", {"cell_count": 48, "temperature_count": 16, "charger_connected": 0, "load_connected": 1,
                                "cycle_count": 0}),
    (0x91, "0d0a070cb20faaaa", {"max_cell_voltage": 3338, "max_voltage_cell": 7, "min_cell_voltage": 3250,
                                "min_voltage_cell": 15}),
    (0x92, "41021e01aaaaaaaa", {"max_temperature": 25, "max_temperature_sensor": 2, "min_temperature": -10,
                                "min_temperature_sensor": 1}),
    (0x50, "000445c000000c80", {"rated_capacity": 280000, "nominal_cell_voltage": 3200}),
    (0x53, "01aa1705110e10aa", {"chemistry": 1, "production_date": 0x170511, "sleep_time": 3600}),
]  # fmt: skip


@pytest.mark.parametrize(("function", "payload", "raws"), SINGLE)
def test_each_byte_of_a_response_of_one_frame(function, payload, raws):
    board = Board(settled=False)
    assert board.read(function, payload) == ACCEPTED
    assert board.raws(*raws) == list(raws.values())


def test_the_digital_inputs_and_outputs_are_the_halves_of_a_byte():
    board = Board()
    board.read(0x94, "1002000052000000")
    assert board.many("digital_input_{}", 4) == [0, 1, 0, 0]
    assert board.many("digital_output_{}", 4) == [1, 0, 1, 0]


def test_each_bit_of_0x97_is_a_balancing_cell():
    board = Board(cells=48)
    assert board.read(0x97, "0180000000810000") == ACCEPTED
    assert [number + 1 for number, raw in enumerate(board.many("cell_{}_balancing", 48)) if raw] == [1, 16, 41, 48]


def test_the_fault_code_stands_behind_the_alarms():
    board = Board()
    assert board.read(0x98, "0100000000000007") == ACCEPTED
    assert board.raws("fault_code", "active_alarms") == [7, "Cell overvoltage (warning)"]


def test_the_cells_of_16_frames():
    board = Board(cells=48)
    payloads = [f"{n:02x}" + "".join(f"{3000 + 3 * n + i:04x}" for i in (0, 1, 2)) + "20" for n in range(1, 17)]
    assert board.read(0x95, *payloads) == ACCEPTED
    assert board.many("cell_{}_voltage", 48) == list(range(3003, 3051))


def test_the_temperatures_of_3_frames():
    board = Board(sensors=16)
    payloads = [f"{n:02x}" + "".join(f"{40 + 7 * n + i:02x}" for i in range(7)) for n in (1, 2, 3)]
    assert board.read(0x96, *payloads) == ACCEPTED
    assert board.many("temperature_{}", 16) == list(range(7, 23))


def text_payloads(text, first=1):
    padded = text.encode().ljust(35, b"\0")
    return [bytes([first + n]).hex() + padded[7 * n : 7 * n + 7].hex() for n in range(5)]


@pytest.mark.parametrize(
    ("text", "read"),
    [("DL16S280A230517", "DL16S280A230517"), ("x" * 35, "x" * 35), ("A", "A"), (" A ", "A"), ("   ", None), ("", None),
     ("A\x01B", None), ("A\x7fB", None), ("A~B", "A~B"), ("A\0B", "A"), ("!", "!")],
)  # fmt: skip
def test_the_battery_code_of_5_frames(text, read):
    board = Board()
    board.read(0x57, *text_payloads(text))
    assert board.raws("battery_code") == [read]


def test_the_versions_of_2_frames():
    for function, key in ((0x62, "software_version"), (0x63, "hardware_version")):
        board = Board()
        assert board.read(function, "0132303233303531", "02372d312e303154") == ACCEPTED
        assert board.raws(key) == ["20230517-1.01T"]


def test_0xff_ends_a_text():
    board = Board()
    board.read(0x62, "014142ffffffffff", "02ffffffffffffff")
    assert board.raws("software_version") == ["AB"]


def test_the_frames_that_are_expected():
    for cells, sensors, frames in (
        (0, 0, (0, 0)),
        (1, 1, (1, 1)),
        (3, 7, (1, 1)),
        (4, 8, (2, 2)),
        (16, 16, (6, 3)),
        (48, 14, (16, 2)),
    ):
        board = Board(cells, sensors)
        assert (board.a5.frames_expected(FUNCTIONS.index(0x95)), board.a5.frames_expected(FUNCTIONS.index(0x96))) == frames
        assert [board.a5.frames_expected(FUNCTIONS.index(function)) for function in (0x90, 0x57, 0x62, 0x97)] == [1, 5, 2, 1]


# what is an answer


def test_the_request_and_whose_response_is_accepted():
    board = Board(board_number=3, filler=0xAA, settled=False)
    assert board.request(0x90) == bytes.fromhex("a5409008" + "aa" * 8 + "cd")
    assert board.feed(frame(0x90, bytes(8), 1)) == [UNEXPECTED]  # another board
    assert board.feed(frame(0x91, bytes(8), 3)) == [UNEXPECTED]  # another function
    assert board.feed(frame(0x90, bytes(8), 0x1F)) == [UNEXPECTED]
    assert board.feed(frame(0x90, bytes(8), 0x20)) == [UNEXPECTED]  # another host
    assert board.feed(frame(0x90, bytes(8), 0x40)) == [ECHO]
    assert board.feed(frame(0x91, bytes(8), 0x40)) == [UNEXPECTED]
    broken = frame(0x90, bytes(8), 3)[:12] + b"\x00"
    assert board.feed(broken) == [DAMAGED]
    assert board.feed(frame(0x90, bytes(8), 3)) == [RESPONSE]
    board.a5.close()
    assert board.feed(frame(0x90, bytes(8), 3)) == [UNEXPECTED]
    assert board.feed(frame(0x90, bytes(8), 0x40)) == [UNEXPECTED]


def test_a_write_carries_its_payload():
    board = Board()
    # set 30.0 % at 2022-12-13 21:29:39, sniffed
    wanted = bytes.fromhex("a5402108160c0d151d27012cc3")
    assert bytes(board.a5.write("soc", 300, (2022, 12, 13, 21, 29, 39))) == wanted
    for key, function in (("charge_mosfet", "da"), ("discharge_mosfet", "d9")):
        for raw in (0, 1):
            assert bytes(board.a5.write(key, raw, None))[:12] == bytes.fromhex(f"a540{function}080{raw}") + bytes(7)
    assert bytes(board.a5.write("restart_bms", None, None))[:12] == bytes.fromhex("a5400008") + bytes(8)
    assert board.a5.pending == -1


def test_the_functions_that_write():
    assert WRITES == {"charge_mosfet": 0xDA, "discharge_mosfet": 0xD9, "soc": 0x21, "restart_bms": 0x00}


ZEROS = "00" * 8


@pytest.mark.parametrize("function", [0x90, 0x91, 0x92, 0x94, 0x50, 0x53])
def test_a_measurement_and_what_is_read_once_are_never_all_zero(function):
    board = Board()
    assert [board.read(function, ZEROS) for _ in range(6)] == [EMPTY] * 6
    assert board.pack.implausible == 6


def test_all_zero_is_right_where_nothing_changes():
    board = Board(cells=16)
    assert [board.read(function, ZEROS) for function in (0x93, 0x97, 0x98)] == [ACCEPTED] * 3
    assert board.raws("mode", "active_alarms", "charge_mosfet", "remaining_capacity") == [0, "none", 0, 0]
    assert board.many("cell_{}_balancing", 16) == [0] * 16


@pytest.mark.parametrize(
    ("function", "payload", "keys"),
    [(0x93, "0101014b00002000", ("mode", "charge_mosfet", "discharge_mosfet")), (0x98, "0100000000000000", ("problem",)),
     (0x98, "0000000000000100", ("problem",)), (0x97, "0100000000000000", ("balancing",))],
)  # fmt: skip
def test_all_zero_that_changes_something_must_come_four_times(function, payload, keys):
    board = Board(cells=16)
    assert board.read(function, payload) == ACCEPTED
    before = board.raws(*keys)
    for _ in range(3):
        assert board.read(function, ZEROS) == EMPTY and board.raws(*keys) == before
    assert board.read(function, ZEROS) == ACCEPTED and board.raws(*keys) == [0] * len(keys)


def test_the_four_must_come_in_a_row():
    board = Board()
    board.read(0x98, "0100000000000000")
    for _ in range(3):
        assert board.read(0x98, ZEROS) == EMPTY
    board.read(0x98, "0100000000000000")
    assert [board.read(0x98, ZEROS) for _ in range(4)] == [EMPTY] * 3 + [ACCEPTED]
    board.read(0x98, "0100000000000000")


def test_zeros_of_two_blocks_that_alternate_are_counted_for_each():
    """The next request is sent before a response is judged: two blocks that are zero from now on take turns."""
    board = Board()
    board.read(0x98, "0100000000000000")
    board.read(0x93, "0101014b00030d40")
    results = [board.read(function, ZEROS) for _ in range(4) for function in (0x98, 0x93)]
    assert results[:6] == [EMPTY] * 6 and EMPTY not in results[6:]


def test_other_responses_in_between_do_not_break_the_row():
    board = Board()
    board.read(0x98, "0100000000000000")
    results = []
    for _ in range(4):
        results.append(board.read(0x98, ZEROS))
        board.read(0x90, "0214000075300226")
    assert results == [EMPTY] * 3 + [ACCEPTED]


def test_zeros_end_no_alarm_on_a_board_that_sends_zeros_to_every_request():
    board = Board()
    board.read(0x98, "0100000000000000")
    board.read(0x90, ZEROS)
    assert [board.read(0x98, ZEROS) for _ in range(9)] == [EMPTY] * 9 and board.raws("problem") == [1]
    board.read(0x90, "0214000075300226")  # a voltage: it sends others
    assert [board.read(0x98, ZEROS) for _ in range(4)] == [EMPTY] * 3 + [ACCEPTED]


def test_an_impossible_voltage_vouches_for_no_zeros():
    board = Board()
    board.read(0x98, "0100000000000000")
    board.read(0x90, ZEROS)
    board.read(0x90, "ffff000075300226")
    assert [board.read(0x98, ZEROS) for _ in range(5)] == [EMPTY] * 5


def test_nor_do_zeros_end_one_on_a_board_that_has_just_woken():
    board = Board()
    board.read(0x98, "0100000000000000")
    board.a5.forget()
    assert [board.read(0x98, ZEROS) for _ in range(9)] == [EMPTY] * 9


def test_before_any_voltage_came_idle_and_off_is_no_answer_but_no_alarm_is_one():
    board = Board(cells=4, settled=False)
    assert [board.read(0x93, ZEROS) for _ in range(9)] == [EMPTY] * 9
    assert [board.read(function, ZEROS) for function in (0x98, 0x97)] == [ACCEPTED] * 2
    board.read(0x90, "0214000075300000")
    assert board.read(0x93, ZEROS) == ACCEPTED


FULL = "ff" * 8


@pytest.mark.parametrize("function", [0x90, 0x91, 0x92, 0x93, 0x94, 0x97, 0x98, 0x50, 0x53])
def test_nothing_but_ff_is_no_answer(function):
    board = Board(cells=48)
    assert board.read(function, FULL) == EMPTY


@pytest.mark.parametrize(("function", "payload"), [(0x98, "ffffffffffffff00"), (0x97, "ffffffffffff0000")])
def test_other_bytes_beside_ff_are_one(function, payload):
    assert Board(cells=48).read(function, payload) == ACCEPTED


@pytest.mark.parametrize(
    ("function", "payload", "key"),
    [
        (0x90, "00000000753003e8", "soc"),
        (0x90, "0bb9000075300226", "soc"),
        (0x91, "1770070cb20f0000", "min_cell_voltage"),
        (0x92, "ff02410100000000", "min_temperature"),
        (0x92, "0002410100000000", "min_temperature"),
    ],
)
def test_what_stands_first_vouches_for_what_stands_beside_it(function, payload, key):
    board = Board(settled=False)
    assert board.read(function, payload) == EMPTY
    assert board.raws(key) == [None] and board.pack.implausible == 1


@pytest.mark.parametrize(
    ("function", "payload", "impossible", "key", "raw"),
    [
        (0x94, "31020000520001aa", "cell_count", "cycle_count", 1),
        (0x93, "0301014b00030d40", "mode", "charge_mosfet", 1),
        (0x50, "0000000000000c80", "rated_capacity", "nominal_cell_voltage", 3200),
        (0x53, "0300170511ffff00", "chemistry", "production_date", 0x170511),
    ],
)
def test_what_is_no_measurement_vouches_for_nothing(function, payload, impossible, key, raw):
    board = Board()
    assert board.read(function, payload) == ACCEPTED
    assert board.raws(impossible, key) == [None, raw]


# responses of several frames


def cells(*numbers, base=3300):
    """Frames of 0x95: cell n has base + n mV."""
    return [f"{number:02x}" + "".join(f"{base + 3 * (number - 1) + i:04x}" for i in (1, 2, 3)) + "00" for number in numbers]


def test_frames_from_1_are_over_with_the_last_one():
    board = Board(cells=9)
    board.request(0x95)
    events = [board.feed(frame(0x95, bytes.fromhex(payload))) for payload in cells(1, 2, 3)]
    assert events == [[FRAME], [FRAME], [RESPONSE]]
    assert board.a5.is_whole and board.a5.has_frames


def test_frames_from_0_are_the_same_cells():
    board = Board(cells=9)
    payloads = [f"{n:02x}" + payload[2:] for n, payload in enumerate(cells(1, 2, 3))]
    assert board.read(0x95, *payloads) == ACCEPTED
    assert board.many("cell_{}_voltage", 9) == list(range(3301, 3310))


def test_a_lost_frame_0_does_not_make_it_a_board_that_counts_from_1():
    board = Board(cells=9)
    zero_based = [f"{n:02x}" + payload[2:] for n, payload in enumerate(cells(1, 2, 3, 4))]
    board.request(0x95)
    board.feed(b"\x12\x34")  # what was frame 0
    assert [board.feed(frame(0x95, bytes.fromhex(payload))) for payload in zero_based[1:3]] == [[FRAME], [FRAME]]
    assert not board.a5.has_frames and not board.a5.is_whole
    assert board.read(0x95, *zero_based[:3]) == ACCEPTED
    assert board.many("cell_{}_voltage", 9) == list(range(3301, 3310))


def test_a_frame_0_missing_twice_is_not_there():
    board = Board(cells=3)
    for has_frames in (False, True):
        board.request(0x95)
        board.feed(b"\x12\x34" + frame(0x95, bytes.fromhex(cells(1)[0])))
        assert board.a5.has_frames == has_frames
    board.a5.store(0, False)
    assert board.many("cell_{}_voltage", 3) == [3301, 3302, 3303]


def test_a_frame_16_too_shows_that_a_board_counts_from_1():
    board = Board(cells=48)
    for has_frames in (False, True):
        board.request(0x95)
        for payload in cells(15, 16):
            board.feed(frame(0x95, bytes.fromhex(payload)))
        assert board.a5.has_frames == has_frames
    board.a5.store(0, False)
    assert board.many("cell_{}_voltage", 48) == [None] * 42 + list(range(3343, 3349))


def test_a_board_that_was_thought_to_count_from_1_may_count_from_0():
    board = Board(cells=6)
    board.read(0x95, *cells(1, 2))
    zero_based = [f"{n:02x}" + payload[2:] for n, payload in enumerate(cells(1, 2))]
    assert board.read(0x95, *zero_based) == ACCEPTED
    assert board.many("cell_{}_voltage", 6) == list(range(3301, 3307))


def test_a_missing_frame_leaves_its_cells_as_they_were():
    board = Board(cells=9)
    board.read(0x95, *cells(1, 2, 3))
    board.request(0x95)
    for payload in cells(1, 3, base=3310):
        board.feed(frame(0x95, bytes.fromhex(payload)))
    assert board.a5.has_frames and not board.a5.is_whole
    board.a5.store(0, False)
    assert board.many("cell_{}_voltage", 9) == [3311, 3312, 3313, 3304, 3305, 3306, 3317, 3318, 3319]


def test_a_text_needs_all_its_frames():
    board = Board()
    board.read(0x57, *text_payloads("AAAAAAAAAA"))
    board.read(0x57, *text_payloads("B" * 35)[:4])
    assert board.raws("battery_code") == ["AAAAAAAAAA"]


def test_a_last_frame_alone_is_left_over_from_an_older_response():
    board = Board(cells=9)
    board.read(0x95, *cells(1, 2, 3))
    board.request(0x95)
    stale, *fresh = cells(3, base=3400) + cells(1, 2, 3, base=3320)
    assert board.feed(frame(0x95, bytes.fromhex(stale))) == [FRAME]
    assert [board.feed(frame(0x95, bytes.fromhex(payload))) for payload in fresh] == [[FRAME], [FRAME], [RESPONSE]]
    board.a5.store(0, False)
    assert board.many("cell_{}_voltage", 9) == list(range(3321, 3330))


def test_numbers_count_up_what_is_higher_is_of_an_older_response():
    board = Board(cells=9)
    board.read(0x95, *cells(1, 2, 3))
    board.request(0x95)
    for payload in [*cells(2, 3, base=3400), *cells(1, base=3320)]:
        board.feed(frame(0x95, bytes.fromhex(payload)))
    assert not board.a5.is_whole
    board.a5.store(0, False)
    assert board.many("cell_{}_voltage", 9) == [3321, 3322, 3323, 3304, 3305, 3306, 3307, 3308, 3309]


def test_no_frame_has_a_number_above_16_and_zeros_are_none():
    board = Board(cells=48)
    board.request(0x95)
    assert board.feed(frame(0x95, bytes.fromhex("110ce40ce50ce600"))) == [UNEXPECTED]
    assert board.feed(frame(0x95, bytes.fromhex("ff0ce40ce50ce600"))) == [UNEXPECTED]
    assert board.feed(frame(0x95, bytes(8))) == [UNEXPECTED]
    assert board.feed(frame(0x95, bytes.fromhex("100ce40ce50ce600"))) == [FRAME]
    assert board.feed(frame(0x95, bytes.fromhex("000ce40ce50ce600"))) == [FRAME]


def test_numbered_zeros_are_no_answer_but_a_dead_cell_beside_others_is_one():
    board = Board(cells=3)
    assert board.read(0x95, "0100000000000000") == EMPTY
    assert board.pack.implausible == 1
    board = Board(cells=3)
    assert board.read(0x95, "010ce4000000000c") == UNCONFIRMED
    assert board.many("cell_{}_voltage", 3) == [3300, None, None]
    assert board.read(0x95, "010ce4000000000c") == ACCEPTED
    assert board.many("cell_{}_voltage", 3) == [3300, 0, 0]


def test_numbered_ff_is_no_answer():
    assert Board(cells=3).read(0x95, "01ffffffffffffff") == EMPTY
    assert Board(sensors=2).read(0x96, "01ffffffffffffff") == EMPTY
    assert Board(sensors=2).read(0x96, "0100000000000000") == EMPTY
    assert Board(sensors=2).read(0x96, "0100410000000000") == ACCEPTED


def test_what_the_cells_beyond_the_last_one_hold_does_not_count():
    assert Board(cells=1).read(0x95, "0100000ce40ce400") == EMPTY


# frames after the last one that is wanted, and responses that end too soon


class Clocked(Board):
    """A board with 3 cells, whose response of one frame has been taken, and time."""

    def __init__(self, sensors=1):
        super().__init__(sensors=sensors)
        self.now = 1000
        self.request(0x96)
        self.at_once("0141424344454647")

    def at_once(self, payload, function=0x96):
        return [event for event in (self.a5.feed(byte, self.now) for byte in frame(function, bytes.fromhex(payload))) if event]

    def finish(self):
        self.a5.store(self.now, False)
        self.a5.close()


def test_frames_that_trail_are_waited_for_16_ms_until_it_is_known_how_many_there_are():
    board = Clocked()
    board.finish()
    assert board.a5.awaits_trailing(1015) and not board.a5.awaits_trailing(1016)
    assert not board.a5.awaits_trailing(1000)
    board.request(0x96)
    board.now = 2000
    assert board.at_once("0141424344454647") == [RESPONSE]
    board.finish()
    assert not board.a5.awaits_trailing(2000)  # it sends none


def test_a_frame_that_trails_is_taken_and_the_next_one_waited_for():
    board = Clocked()
    board.finish()
    board.now = 1010
    assert board.at_once("0241424344454647") == [UNEXPECTED]
    assert board.a5.frame_block == FUNCTIONS.index(0x96) and board.a5.take_trailing(1010)
    assert board.a5.awaits_trailing(1010 + 38) and not board.a5.awaits_trailing(1010 + 39)  # 25 ms pause, 14 ms frame
    board.request(0x96)
    board.now = 2000
    board.at_once("0141424344454647")
    board.finish()
    assert board.a5.awaits_trailing(2038)
    board.now = 2014
    board.at_once("0241424344454647")
    assert board.a5.take_trailing(2014) and not board.a5.awaits_trailing(2014)  # there is one, and that was it
    assert not board.a5.take_trailing(2015)


def test_trailing_frames_that_are_not_waited_for_are_none():
    board = Clocked()
    board.finish()
    board.a5.stop_trailing()
    assert not board.a5.awaits_trailing(1000)
    board.at_once("0241424344454647")
    assert not board.a5.take_trailing(1000)


def test_a_frame_of_another_block_trails_nothing():
    board = Clocked()
    board.finish()
    assert board.at_once("0214000075300226", 0x90) == [UNEXPECTED]
    assert not board.a5.take_trailing(1000)


def test_an_unexpected_frame_shows_that_more_trail_than_was_thought():
    board = Clocked()
    board.finish()
    assert not board.a5.awaits_trailing(1016)  # none, it seems
    board.at_once("0241424344454647")
    assert not board.a5.take_trailing(1020)  # but one has come
    board.request(0x96)
    board.now = 2000
    board.at_once("0141424344454647")
    board.finish()
    assert board.a5.awaits_trailing(2015)  # so they are waited for again


def test_the_block_of_a_frame():
    board = Board()
    board.request(0x90)
    board.feed(frame(0x90, bytes(8)))
    assert board.a5.frame_block == -1  # the open request's own
    board.feed(frame(0x63, bytes(8)))
    assert board.a5.frame_block == 13
    board.feed(frame(0x63, bytes(8), 2))
    assert board.a5.frame_block == -1
    board.feed(frame(0xD8, bytes(8)))
    assert board.a5.frame_block == -1


def test_a_response_of_several_frames_is_over_after_25_ms_of_quiet():
    board = Board(cells=9)
    board.request(0x95)
    assert not board.a5.is_truncated(1000)  # it has not begun
    board.feed(frame(0x95, bytes.fromhex(cells(1)[0])))
    assert not board.a5.is_truncated(24) and board.a5.is_truncated(25)
    board.a5.close()
    assert not board.a5.is_truncated(1000)


def test_nine_bytes_of_no_frame_are_a_damaged_response():
    for count, is_over in ((8, False), (9, True)):
        board = Board()
        board.request(0x90)
        board.feed(frame(0x90, bytes(8))[:count])
        assert board.a5.is_truncated(25) == is_over and not board.a5.is_truncated(24)
        assert board.a5.is_damaged() and not board.a5.is_damaged(False)
    board = Board()
    board.feed(b"\x00" * 9)
    board.request(0x90)
    assert not board.a5.is_truncated(25) and not board.a5.is_damaged()  # that was before the request


@pytest.mark.parametrize(
    ("function", "count", "quiet", "is_over"),
    [(0x90, 13, 5, True), (0x90, 13, 4, False), (0x90, 12, 5, False), (0x95, 13, 5, False), (0x95, 13, 25, True)],
)
def test_a_damaged_response_of_one_frame_is_over_after_5_ms(function, count, quiet, is_over):
    board = Board(cells=9)
    board.request(function)
    board.feed(bytes(count))
    assert board.a5.is_truncated(quiet) == is_over


@pytest.mark.parametrize("count", [2, 4, 12])
def test_a_board_that_was_cut_off_is_given_longer_from_then_on(count):
    """What comes after it was taken for over shows that it only pauses longer: up to 200 ms."""
    board = Board(cells=9)
    board.read(0x95, *cells(1, 2, 3))
    board.a5.stop_trailing()
    pause = 25
    for _ in range(count):
        board.request(0x95)
        board.feed(frame(0x95, bytes.fromhex(cells(1)[0])))
        assert not board.a5.is_truncated(pause - 1) and board.a5.is_truncated(pause)
        board.a5.store(0, False)
        board.a5.note_truncated()
        board.a5.close()
        board.feed(frame(0x95, bytes.fromhex(cells(2)[0])))
        assert not board.a5.take_trailing(0)
        pause = min(200, 2 * pause)
    board.request(0x95)
    board.feed(frame(0x95, bytes.fromhex(cells(1)[0])))
    assert not board.a5.is_truncated(pause - 1) and board.a5.is_truncated(pause)


def test_a_late_frame_of_another_response_shows_nothing():
    board = Board(cells=9, sensors=1)
    board.read(0x95, *cells(1, 2, 3))
    board.a5.stop_trailing()
    for forget in (lambda: board.a5.note_answered(), lambda: board.feed(frame(0x96, bytes(range(1, 9))))):
        board.request(0x95)
        board.feed(frame(0x95, bytes.fromhex(cells(1)[0])))
        board.a5.note_truncated()
        board.a5.close()
        if forget() is not None:
            assert not board.a5.take_trailing(0)
        board.feed(frame(0x95, bytes.fromhex(cells(2)[0])))
        board.a5.take_trailing(0)
        board.request(0x95)
        board.feed(frame(0x95, bytes.fromhex(cells(1)[0])))
        assert board.a5.is_truncated(25)


def test_bytes_that_complete_nothing_can_be_taken_at_once():
    """In whatever pieces frames, and what is none, arrive: as byte by byte."""
    good = [frame(function, bytes(range(1, 9))) for function in (0x90, 0x93, 0x94)]
    line = b"\x17\xa5" + good[0] + b"\xa5\x01\xa5\x01\x02\x03" + good[1] + good[2][:-1] + b"\x00" + good[0]
    for size in range(1, len(line)):
        one, other = FrameReader(), FrameReader()
        frames = 0
        for begin in range(0, len(line), size):
            piece = line[begin : begin + size]
            taken = one.skip(piece, len(piece))
            assert all(other.feed(byte) == 0 for byte in piece[:taken])
            for byte in piece[taken:]:
                event = one.feed(byte)
                assert event == other.feed(byte)
                frames += event == 1
            assert one.partial() == other.partial() and one.discarded == other.discarded
            assert one.frame[: one.partial()] == other.frame[: one.partial()]
        assert frames == 3 and one.checksum_errors == other.checksum_errors == 1


def test_a_frame_that_comes_at_once_is_taken_but_for_its_last_byte():
    assert FrameReader().skip(frame(0x90, bytes(8)) + b"\xa5", 14) == 12
