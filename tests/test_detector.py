# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which address is asked from, and the probes for a newer protocol."""

import pytest

from daly.detector import Detector

D2 = bytes.fromhex("d2030000003ed7b9")
P81 = bytes.fromhex("8103000000405bfa")


def history(detector, failures):
    """What is requested next after each of so many failures: an address, or the name of a probe."""
    found = [detector.probe[0] if detector.probe else detector.address]
    for _ in range(failures):
        detector.failed()
        found.append(detector.probe[0] if detector.probe else detector.address)
    return found


def test_each_address_gets_four_requests_and_after_the_first_round_each_probe_follows_once():
    both = [0x40] * 4 + [0x80] * 4
    assert history(Detector(), 26) == [*both, "D2", "0x81/0x51", *both, *both, 0x40]


def test_it_is_exhausted_when_the_last_probe_was_not_answered():
    detector = Detector()
    history(detector, 9)
    assert detector.probe and not detector.exhausted
    detector.failed()
    assert detector.exhausted


@pytest.mark.parametrize(
    ("name", "request_", "failures", "response"), [("D2", D2, 8, "d2037c"), ("0x81/0x51", P81, 9, "510380")]
)
def test_the_probe_is_the_vendors_read_request(name, request_, failures, response):
    detector = Detector()
    history(detector, failures)
    assert detector.probe[:2] == (name, request_)
    noise = bytes.fromhex("00" + response[:4] + "ff" + response[:2] * 2 + response[2:])
    assert [detector.feed(byte) for byte in noise] == [None] * (len(noise) - 1) + [name]
    assert [detector.feed(byte) for byte in bytes.fromhex(response)] == [None, None, name]


def test_an_unfinished_beginning_does_not_end_in_the_next_probe():
    detector = Detector()
    history(detector, 9)
    detector.feed(0x51)
    detector.feed(0x03)
    assert detector.feed(0x51) is None and detector.feed(0x80) is None


def test_what_was_found_is_kept():
    detector = Detector()
    history(detector, 5)
    detector.found()
    assert detector.address == 0x80 and detector.exhausted
    detector.failed()
    assert detector.address == 0x80


@pytest.mark.parametrize(("board", "address"), [(2, 0x41), (3, 0x42), (16, 0x4F)])
def test_another_board_is_asked_at_its_own_address(board, address):
    assert history(Detector(board_number=board), 13) == [*[address] * 4, "D2", "0x81/0x51", *[address] * 8]


@pytest.mark.parametrize(("pinned", "other"), [(0x40, 0x80), (0x80, 0x40), (0x50, 0x40)])
def test_a_pinned_address_is_kept_and_every_twentieth_request_goes_to_another_one(pinned, other):
    first = [*[pinned] * 4, other, *[pinned] * 3, "D2", "0x81/0x51"]
    assert history(Detector(pinned=pinned), 50) == [*first, *[pinned] * 16, other, *[pinned] * 19, other, *[pinned] * 4]


def test_the_other_address_is_off_the_settings():
    detector = Detector(pinned=0x80)
    history(detector, 4)
    assert detector.is_off_settings
    detector.failed()
    assert not detector.is_off_settings and detector.address == 0x80
