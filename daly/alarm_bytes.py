# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The seven alarm bytes that A5, D2 and P81 share: what 0x98 of A5 carries, and in other order registers of the two others.

Vendor PDF V1.2; bits 4 and 5 of byte 6: CAN document and vendor xlsx, which also calls the first two of byte 4 warnings.
"""

from battery.alarms import BITFIELDS, FAULT, PROTECTION, WARNING

# Bytes 0 to 3 are pairs of warning and protection: 4 alarms each, only 2 in the last one.
_PAIRED_BYTES = 4
_PAIRED_ALARMS = 14
# The others, from bit 0 on: (level, bit of that bit field in battery/alarms.py)
_SINGLE_ALARM_BITS = (
    tuple([(WARNING, 14), (WARNING, 15)] + [(FAULT, bit) for bit in range(6)]),
    tuple([(FAULT, bit) for bit in range(6, 14)]),
    tuple([(FAULT, bit) for bit in range(14, 20)]),
)


def alarm_bits(payload, bits):
    """Fill `bits`, a list, with the bit fields of battery/alarms.py, and return it."""
    for index in range(BITFIELDS):
        bits[index] = 0
    for byte in range(_PAIRED_BYTES):
        for alarm in range(4):
            pair = payload[byte] >> 2 * alarm & 3
            if pair and 4 * byte + alarm < _PAIRED_ALARMS:
                bits[WARNING - 1] |= (pair & 1) << 4 * byte + alarm
                bits[PROTECTION - 1] |= (pair >> 1) << 4 * byte + alarm
    for byte in range(len(_SINGLE_ALARM_BITS)):
        value = payload[_PAIRED_BYTES + byte]
        if value:
            for position, (level, bit) in enumerate(_SINGLE_ALARM_BITS[byte]):
                bits[level - 1] |= (value >> position & 1) << bit
    return bits
