# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Takes over the record of an earlier version of app/nvm_store.py, with one battery. Loaded only where one may be newer than
what was taken over before.
"""

import struct

from .nvm_store import crc_is_right

# Of each version: magic, version, sequence, boots, failed boots in a row, energy counters; since version 2 polarity, owner,
# minutes earned and reserve; since version 3 protocol; length of the text, text.
_FORMATS = {1: "<2sBIIH4QB80s", 2: "<2sBIIH4QBIHBB80s", 3: "<2sBIIH4QBIHBBB80s"}
_SLOTS = (0, 256)
_EARNED_MIN = 60  # with version 1, which did not store it: an advance of two writes
_RESERVE = 10


def newest(block):
    """(fields as of the header of version 4, (number, polarity, protocol and owner, totals)); (None, None): there is none."""
    found = battery = None
    for begin in _SLOTS:
        version = block[begin + 2]
        if block[begin : begin + 2] != b"DB" or version not in _FORMATS:
            continue
        if not crc_is_right(block, begin, begin + struct.calcsize(_FORMATS[version])):
            continue
        fields = struct.unpack_from(_FORMATS[version], block, begin)
        if found is None or fields[2] >= found[2]:
            polarity, owner, earned, reserve = fields[9:13] if version > 1 else (0, 0, _EARNED_MIN, _RESERVE)
            found = fields[:5] + (earned, reserve) + fields[-2:] + (fields[2], 0)
            battery = ((1, polarity, fields[13] if version > 2 else 0, owner), fields[5:9])
    return found, battery
