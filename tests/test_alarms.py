# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The alarms: every bit of 0x98 by its name and level, from the vendor's table (docs/MQTT.md), and their words."""

import pytest

from battery.alarms import ALARMS, FAULTS, MORE_FAULTS, active, with_directions_swapped
from battery.pack import Pack
from battery.readings import READING
from daly.alarm_bytes import alarm_bits

WARNING, PROTECTION, FAULT = "warning", "protection", "fault"
BITS = {  # byte and bit of 0x98: name and level
    (0, 0): ("Cell overvoltage", WARNING),
    (0, 1): ("Cell overvoltage", PROTECTION),
    (0, 2): ("Cell undervoltage", WARNING),
    (0, 3): ("Cell undervoltage", PROTECTION),
    (0, 4): ("Pack overvoltage", WARNING),
    (0, 5): ("Pack overvoltage", PROTECTION),
    (0, 6): ("Pack undervoltage", WARNING),
    (0, 7): ("Pack undervoltage", PROTECTION),
    (1, 0): ("Charge overtemperature", WARNING),
    (1, 1): ("Charge overtemperature", PROTECTION),
    (1, 2): ("Charge undertemperature", WARNING),
    (1, 3): ("Charge undertemperature", PROTECTION),
    (1, 4): ("Discharge overtemperature", WARNING),
    (1, 5): ("Discharge overtemperature", PROTECTION),
    (1, 6): ("Discharge undertemperature", WARNING),
    (1, 7): ("Discharge undertemperature", PROTECTION),
    (2, 0): ("Charge overcurrent", WARNING),
    (2, 1): ("Charge overcurrent", PROTECTION),
    (2, 2): ("Discharge overcurrent", WARNING),
    (2, 3): ("Discharge overcurrent", PROTECTION),
    (2, 4): ("State of charge high", WARNING),
    (2, 5): ("State of charge high", PROTECTION),
    (2, 6): ("State of charge low", WARNING),
    (2, 7): ("State of charge low", PROTECTION),
    (3, 0): ("Cell voltage delta", WARNING),
    (3, 1): ("Cell voltage delta", PROTECTION),
    (3, 2): ("Temperature delta", WARNING),
    (3, 3): ("Temperature delta", PROTECTION),
    (4, 0): ("Charge MOSFET overtemperature", WARNING),
    (4, 1): ("Discharge MOSFET overtemperature", WARNING),
    (4, 2): ("Charge MOSFET temperature sensor", FAULT),
    (4, 3): ("Discharge MOSFET temperature sensor", FAULT),
    (4, 4): ("Charge MOSFET shorted", FAULT),
    (4, 5): ("Discharge MOSFET shorted", FAULT),
    (4, 6): ("Charge MOSFET open", FAULT),
    (4, 7): ("Discharge MOSFET open", FAULT),
    (5, 0): ("AFE fault", FAULT),
    (5, 1): ("Cell sensing fault", FAULT),
    (5, 2): ("Temperature sensor", FAULT),
    (5, 3): ("EEPROM", FAULT),
    (5, 4): ("Clock", FAULT),
    (5, 5): ("Precharge", FAULT),
    (5, 6): ("Communication", FAULT),
    (5, 7): ("Internal communication", FAULT),
    (6, 0): ("Current sensor", FAULT),
    (6, 1): ("Pack voltage sensor", FAULT),
    (6, 2): ("Short circuit", FAULT),
    (6, 3): ("Voltage too low to charge", FAULT),
    (6, 4): ("MOSFETs opened by switch", FAULT),
    (6, 5): ("Charging cabinet offline", FAULT),
}
RESERVED = [(byte, bit) for byte in range(7) for bit in range(8) if (byte, bit) not in BITS]


def sent(*bits):
    """A pack to which 0x98 was sent with these bits."""
    payload = bytearray(8)
    for byte, bit in bits:
        payload[byte] |= 1 << bit
    pack = Pack()
    pack.accept_together(READING["alarm_bits_{}"], alarm_bits(payload, [7] * 5), 0)
    return pack


@pytest.mark.parametrize("place", BITS, ids=lambda place: f"{place[0]}.{place[1]}")
def test_each_bit_is_the_alarm_of_the_vendors_table(place):
    name, level = BITS[place]
    pack = sent(place)
    assert pack.raw("active_alarms") == f"{name} ({level})"
    assert pack.raw("problem") == 1
    assert active(pack) == [(name, {WARNING: 1, PROTECTION: 2, FAULT: 3}[level])]


@pytest.mark.parametrize("place", RESERVED, ids=lambda place: f"{place[0]}.{place[1]}")
def test_a_reserved_bit_is_no_alarm(place):
    pack = sent(place)
    assert (pack.raw("active_alarms"), pack.raw("problem")) == ("none", 0)


def test_the_bits_are_distinct():
    assert len(RESERVED) == 6 and len(set(BITS.values())) == len(BITS) == 50


def test_of_two_levels_only_the_protection_is_listed():
    assert sent((0, 0), (0, 1)).raw("active_alarms") == "Cell overvoltage (protection)"


def test_the_gravest_is_listed_first():
    text = sent((0, 0), (2, 7), (5, 3), (4, 1), (6, 5)).raw("active_alarms")
    assert text == (
        "EEPROM (fault), Charging cabinet offline (fault), State of charge low (protection), "
        "Cell overvoltage (warning), Discharge MOSFET overtemperature (warning)"
    )


@pytest.mark.parametrize("unknown", [0, 1, 2])
def test_while_one_level_is_unknown_nothing_is_known(unknown):
    pack = sent((0, 0))
    pack.put(READING["alarm_bits_{}"], unknown, None, 0)
    assert active(pack) is None and pack.raw("problem") is None and pack.raw("active_alarms") is None


def test_level_3_is_graver_than_a_protection_and_less_than_a_fault():
    pack = Pack()
    pack.accept_together(READING["alarm_bits_{}"], [1 << 0 | 1 << 1, 1 << 1 | 1 << 2, 1 << 9, 1 << 2 | 1 << 19, 1 << 3], 0)
    assert active(pack) == [
        ("EEPROM", 3),
        ("Discharge overvoltage", 3),
        ("Pack overvoltage", 4),
        ("Thermal runaway", 4),
        ("Cell undervoltage", 2),
        ("Cell overvoltage", 1),
    ]
    assert pack.raw("active_alarms") == (
        "EEPROM (fault), Discharge overvoltage (fault), Pack overvoltage (level 3), Thermal runaway (level 3), "
        "Cell undervoltage (protection), Cell overvoltage (warning)"
    )


def test_no_field_has_more_bits_than_a_small_integer_of_every_board():
    lists = [text.split("|") for text in (ALARMS, FAULTS, MORE_FAULTS)]
    assert [len(names) for names in lists] == [20, 30, 4]
    names = "|".join((ALARMS, FAULTS, MORE_FAULTS)).split("|")
    assert len(set(names)) == len(names)
    assert len(lists[2]) <= 8  # on an inverted board bits 8 and 9 change places


def test_the_text_ends_at_250_characters_with_the_number_of_those_left_out():
    every = sent(*BITS)
    items = [f"{name} (fault)" for name, level in BITS.values() if level == FAULT]
    text = every.raw("active_alarms")
    head, _, more = text.rpartition(" +")
    shown = head.split(", ")
    assert shown == items[: len(shown)]
    assert len(active(every)) == 36 == len(shown) + int(more)
    assert len(text) <= 250 < len(head) + 2 + len(items[len(shown)]) + len(more) + 2  # one more does not fit


def test_a_text_of_exactly_250_characters_is_whole():
    """The bound itself, found among all faults in a row."""
    places = [place for place, (_, level) in BITS.items() if level == FAULT]
    lengths = []
    for begin in range(len(places)):
        for end in range(begin + 1, len(places) + 1):
            items = [f"{BITS[place][0]} (fault)" for place in places[begin:end]]
            text = sent(*places[begin:end]).raw("active_alarms")
            whole = ", ".join(items)
            if text == whole:
                lengths.append(len(whole))
            else:
                shown = text.rpartition(" +")[0].split(", ")
                assert shown == items[: len(shown)] and int(text.rpartition(" +")[2]) == len(items) - len(shown)
    assert 235 <= max(lengths) <= 250


@pytest.mark.parametrize(
    ("bits", "swapped"),
    [(0, 0), (1 << 8, 1 << 9), (1 << 9, 1 << 8), (3 << 8, 3 << 8), (0xFCFF, 0xFCFF), (0xFDFF, 0xFEFF), (0xFEFF, 0xFDFF)],
)
def test_only_the_two_overcurrents_have_a_direction(bits, swapped):
    assert with_directions_swapped(bits) == swapped


def test_a_payload_of_alarms_leaves_nothing_of_the_one_before():
    bits = [1] * 5
    assert alarm_bits(bytes(8), bits) is bits
    assert bits == [0] * 5
