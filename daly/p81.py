# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of P81, which newer boards speak over UART and RS485: board n is asked at 80 + n and answers as 50 + n, 48 cells.

Facts, with their sources: docs/PROTOCOL.md. Captures of four boards, and the tables of three other readers.
"""

from battery.alarms import BITFIELDS, FAULT, LEVEL_3, MORE_FAULTS_FIELD, PROTECTION, WARNING

from .alarm_bytes import alarm_bits
from .modbus import ABSOLUTE, BITS, FOLLOWS, HIGH_BYTES, NO_ZERO, Modbus, block, field, temperature

REQUEST_ADDRESS = 0x80
RESPONSE_ADDRESS = 0x50
CELLS = 1  # index of the block of the cells
PACK_VOLTAGE = 0x38
CELL_COUNT = 0x3C
MAX_CELL_VOLTAGE = 0x3E
MIN_CELL_VOLTAGE = 0x40
MEAN_CELL_VOLTAGE = 0x57
OLD_ALARMS = 0x66
ALARMS = 0x6D
ALARM_WORDS = 7
MOST_CELLS = 48
SLOW_COUNT = 13
SETTINGS_COUNT = 28
OTHER_COUNTS = (SLOW_COUNT, SETTINGS_COUNT)  # of blocks that are as long as that of some cells

BLOCKS = (
    # All that is measured except the cells. Numbers of cells and sensors come first, and what others are judged by.
    block(0x30, 68, "pack", False,
          field("cell_count", CELL_COUNT), field("temperature_count", 0x3D), temperature("temperature_{}", 0x30),
          field("mode", 0x48), field("pack_voltage", PACK_VOLTAGE), field("current", 0x39, 1, 30000), field("soc", 0x3A),
          field("heartbeat", 0x3B),
          field("max_cell_voltage", MAX_CELL_VOLTAGE), field("max_voltage_cell", 0x3F, 1, 0, 1, FOLLOWS | NO_ZERO),
          field("min_cell_voltage", MIN_CELL_VOLTAGE), field("min_voltage_cell", 0x41, 1, 0, 1, FOLLOWS | NO_ZERO),
          temperature("max_temperature", 0x43), field("max_temperature_sensor", 0x44, 1, 0, 1, FOLLOWS | NO_ZERO),
          temperature("min_temperature", 0x45), field("min_temperature_sensor", 0x46, 1, 0, 1, FOLLOWS | NO_ZERO),
          # 0 in all captures
          field("charger_connected", 0x49), field("load_connected", 0x4A),
          field("remaining_capacity", 0x4B, 1, 0, 100), field("cycle_count", 0x4C),
          field("balance_current", 0x4E, 1, 30000, 1, NO_ZERO), field("cell_{}_balancing", 0x4F, 3, 0, 1, BITS),
          field("charge_mosfet", 0x52), field("discharge_mosfet", 0x53), field("precharge_mosfet", 0x54),
          field("heater", 0x55), field("fan", 0x56),
          temperature("mosfet_temperature", 0x5A), temperature("board_temperature", 0x5B),
          temperature("heater_temperature", 0x5C), field("alarm_bits_{}", ALARMS)),
    block(0x00, 0, "cells", False, field("cell_{}_voltage", 0x00)),
    block(0x10B, SLOW_COUNT, "slow", True,
          field("actual_capacity", 0x10B, 2), field("lifetime_charge", 0x10D, 2), field("lifetime_discharge", 0x10F, 2),
          field("state_of_health", 0x117)),
    # the password between this and the next is not read
    block(0x100, SETTINGS_COUNT, "static", True,
          field("board_number", 0x100), field("rated_capacity", 0x109, 2), field("nominal_cell_voltage", 0x114),
          field("sleep_time", 0x115, 1, 0, 10), field("balance_start_voltage", 0x11A), field("balance_voltage_delta", 0x11B)),
    block(0x129, 59, "static", True,
          field("production_date", 0x129, 2, 0, 1, HIGH_BYTES),
          field("cell_overvoltage_limit_{}", 0x130), field("cell_undervoltage_limit_{}", 0x134),
          field("pack_overvoltage_limit_{}", 0x138), field("pack_undervoltage_limit_{}", 0x13C),
          field("charge_overcurrent_limit_{}", 0x140, 1, 30000, 1, ABSOLUTE),
          field("discharge_overcurrent_limit_{}", 0x145, 1, 30000, 1, ABSOLUTE),
          field("charge_overtemperature_limit_{}", 0x14A, 1, 40), field("charge_undertemperature_limit_{}", 0x14E, 1, 40),
          field("discharge_overtemperature_limit_{}", 0x152, 1, 40), field("discharge_undertemperature_limit_{}", 0x156, 1, 40),
          field("cell_voltage_delta_limit_{}", 0x15A), field("temperature_delta_limit_{}", 0x15E),
          field("soc_low_limit_{}", 0x162)),
    # as much as was captured in one piece; behind the code are words of unknown meaning
    block(0x178, 74, "static", True,
          field("software_version", 0x178, 7), field("hardware_version", 0x17F, 7), field("serial_number", 0x18D, 14),
          field("battery_code", 0x19B, 16)),
)  # fmt: skip

# Levels of 3 bits each, of the first four words: the bit in the fields with a level of battery/alarms.py, for each place
_LEVEL_PLACES = (0, 3, 8, 11)
_FIELD_OF_LEVEL = (0, WARNING, PROTECTION)
_LEVELS = ((0, 1, 12, 4), (5, 6, 7, 13), (2, 3, 8, 9), (11, 16, 17, 19))
# Single bits of each word: (bit, bit field, bit of that). Bits that are no alarm are left out: smart charger and load, parallel
# communication, upgrading, off by bus or switch, fan, heating, current limit.
_BITS = (
    ((7, MORE_FAULTS_FIELD, 0), (15, MORE_FAULTS_FIELD, 1)),
    ((6, WARNING, 14), (7, FAULT, 0), (14, WARNING, 15), (15, FAULT, 1)),
    ((6, FAULT, 16), (14, MORE_FAULTS_FIELD, 2), (15, MORE_FAULTS_FIELD, 3)),
    ((7, FAULT, 28),),
    (),
    ((8, FAULT, 6), (9, FAULT, 20), (10, FAULT, 7), (11, FAULT, 21), (12, FAULT, 22), (13, FAULT, 15), (14, FAULT, 14),
     (15, FAULT, 8)),
    ((0, FAULT, 23), (1, FAULT, 9), (2, FAULT, 24), (3, FAULT, 10), (4, FAULT, 25), (5, FAULT, 26), (6, FAULT, 27),
     (7, FAULT, 11), (15, FAULT, 29)),
)  # fmt: skip
# Pairs of warning and protection that only the older words have: (low bit of word 1, bit of these fields)
_OLD_PAIRS = ((4, 17), (6, 18))


class P81(Modbus):
    """The protocol of one board with the map of P81. `board_number` 1 to 16."""

    name = "P81"
    blocks = BLOCKS
    most_cells = MOST_CELLS
    # a way to restart it is not known
    registers_of_writes = {"charge_mosfet": 0x121, "discharge_mosfet": 0x122, "soc": 0x116}

    def __init__(self, pack, board_number=1):
        super().__init__(pack, REQUEST_ADDRESS + board_number, RESPONSE_ADDRESS + board_number)
        self.detail = "" if board_number == 1 else "board " + str(board_number)
        self._alarms = bytearray(8)

    def count_of(self, index):
        """For the cells as many as there are: one more where another block is as long, since only that tells them apart."""
        if index != CELLS:
            return BLOCKS[index].count
        count = min(self._pack.topology["cell_count"] or 0, MOST_CELLS)
        return count + 1 if count in OTHER_COUNTS else count

    def is_answer(self, index):
        """By the number of cells, their highest voltage, and the voltage of the pack being near that of its cells."""
        if index:
            return True
        cells = self.register(CELL_COUNT)
        highest = self.register(MAX_CELL_VOLTAGE)
        if not 1 <= cells <= MOST_CELLS or not 500 <= highest <= 5000:
            return False
        mean = self.register(MEAN_CELL_VOLTAGE) or (highest + self.register(MIN_CELL_VOLTAGE)) // 2
        return self.is_near(100 * self.register(PACK_VOLTAGE), cells * mean)

    def fill_alarms(self, bits):
        """Two captures show that the low byte is the first; the older words count only where these have nothing to say."""
        has_newer = False
        for field_number in range(BITFIELDS):
            bits[field_number] = 0
        for position in range(ALARM_WORDS):
            word = self._alarm_word(ALARMS + position)
            if word:
                has_newer = True
                self._fill_word(bits, position, word)
        if not has_newer:
            self._fill_old(bits)

    def _fill_word(self, bits, position, word):
        if position < len(_LEVELS):
            for place in range(4):
                level = word >> _LEVEL_PLACES[place] & 7
                if level:
                    bits[(_FIELD_OF_LEVEL[level] if level < 3 else LEVEL_3) - 1] |= 1 << _LEVELS[position][place]
        for bit, field_number, alarm in _BITS[position]:
            bits[field_number - 1] |= (word >> bit & 1) << alarm

    def _fill_old(self, bits):
        """Fill in the older words, high byte first."""
        alarms = self._alarms
        is_active = 0
        for position in range(4):
            word = self._alarm_word(OLD_ALARMS + position)
            is_active |= word
            alarms[2 * position] = word >> 8
            alarms[2 * position + 1] = word & 0xFF
        if not is_active:
            return
        alarm_bits(alarms, bits)
        for low, alarm in _OLD_PAIRS:
            pair = alarms[3] >> low
            bits[WARNING - 1] |= (pair & 1) << alarm
            bits[PROTECTION - 1] |= (pair >> 1 & 1) << alarm

    def _alarm_word(self, number):
        """A register of alarms; FFFF is none."""
        word = self.register(number)
        return 0 if word == 0xFFFF else word
