# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The id of a board: all six bytes of the chip's, and what an update from three bytes keeps."""

import binascii
from types import SimpleNamespace

import pytest

from app.energy_store import EnergyStores
from app.identity import chip_id, hint
from app.nvm_store import NvmStore
from app.settings import Settings
from battery.pack import Battery, Pack

UID = bytearray(b"\x02\xda\x1b\xc0\xff\xee")


def number(identity):
    return binascii.crc32(identity.encode()) | 1


def test_a_new_board_has_all_six_bytes():
    assert chip_id(UID, []) == "02da1bc0ffee"
    assert chip_id(UID, [0]) == "02da1bc0ffee"  # it has started before, and never reached a broker


def test_two_chips_that_agree_in_three_bytes_have_two_ids():
    assert chip_id(UID, []) != chip_id(b"\x02\xda\x1c\xc0\xff\xee", [])


def test_a_board_that_counted_under_three_bytes_keeps_them():
    assert chip_id(UID, [number("c0ffee")]) == "c0ffee"
    assert chip_id(UID, [0, number("c0ffee"), 0]) == "c0ffee"


@pytest.mark.parametrize("other", ["02da1bc0ffee", "shed", "c0ffed"])
def test_counters_of_another_id_change_nothing(other):
    assert chip_id(UID, [number(other)]) == "02da1bc0ffee"


def test_an_update_keeps_the_id_and_a_second_start_after_it_too():
    """The memory as an earlier version has left it: its counters belong to the bridge of three bytes."""
    nvm = bytearray(8192)
    lived(nvm, "c0ffee")
    for _ in range(2):
        identity = chip_id(UID, NvmStore(nvm, 0).owners())
        assert identity == "c0ffee"
        lived(nvm, identity)


def test_a_new_board_stays_itself():
    nvm = bytearray(8192)
    for _ in range(3):
        identity = chip_id(UID, NvmStore(nvm, 0).owners())
        assert identity == "02da1bc0ffee"
        lived(nvm, identity)


def lived(nvm, identity):
    """The bridge of this identity has started, connected and stored its counters."""
    memory = NvmStore(nvm, 0)
    battery = Battery(1, "bms1", "Daly BMS", "", Pack(), SimpleNamespace(found=0))
    stores = EnergyStores(memory, [battery], "daly/" + identity, identity)
    stores.finish()
    battery.pack.energy.set([1000, 2000, 3000, 4000])
    stores.save()


def test_who_keeps_an_earlier_id_is_told_how_to_keep_it_for_ever():
    sentence = hint(Settings(""), "c0ffee")
    assert "c0ffee" in sentence and 'BRIDGE_ID = "c0ffee"' in sentence
    assert hint(Settings(""), "02da1bc0ffee") is None
    assert hint(Settings('BRIDGE_ID = "c0ffee"'), "c0ffee") is None
