"""Frames in a stream of bytes: found in any pieces, refused when damaged, not lost in garbage."""

from hypothesis import given
from hypothesis import strategies as st

from daly.a5 import FrameReader, build_frame

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
            if reader.feed(byte):
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
