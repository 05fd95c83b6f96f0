# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The id of this board, made of the chip's. Loaded at the start only."""

from .nvm_store import owner_of


def chip_id(uid, owners):
    """All six bytes of the chip's id (`microcontroller.cpu.uid`) as hexadecimal digits.

    Earlier versions took the last three. A board whose counters were kept under that id keeps it (`owners`: the ids of the
    counters in the chip's memory, as numbers): topics, entities and energy must survive an update.
    """
    digits = "".join([f"{byte:02x}" for byte in uid[-6:]])
    earlier = digits[-6:]
    return earlier if owner_of(earlier) in owners else digits


def hint(settings, identity):
    """What to do while an id of before is kept; None: there is nothing to do."""
    if len(identity) > 6 or settings.BRIDGE_ID:
        return None
    return f'This bridge keeps its id of before, {identity}. To keep it for ever, write BRIDGE_ID = "{identity}".'
