# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of P81, which newer boards speak over UART and RS485: board n is asked at 80 + n and answers as 50 + n, 48 cells.

Facts, with their sources: docs/PROTOCOL.md. Captures of four boards, and the tables of three other readers.
"""

from battery.alarms import FAULT, LEVEL_3, MORE_FAULTS_FIELD, PROTECTION, WARNING

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

# Levels of 3 bits each: (word, low bit, bit of the fields with a level in battery/alarms.py)
_LEVELS = (
    (0, 0, 0), (0, 3, 1), (0, 8, 12), (0, 11, 4),
    (1, 0, 5), (1, 3, 6), (1, 8, 7), (1, 11, 13),
    (2, 0, 2), (2, 3, 3), (2, 8, 8), (2, 11, 9),
    (3, 0, 11), (3, 3, 16), (3, 8, 17), (3, 11, 19),
)  # fmt: skip
# Single bits: (word, bit, bit field, bit of it). Bits that are no alarm are left out: smart charger and load, parallel
# communication, upgrading, off by bus or switch, fan, heating, current limit.
_BITS = (
    (0, 7, MORE_FAULTS_FIELD, 0), (0, 15, MORE_FAULTS_FIELD, 1),
    (1, 6, WARNING, 14), (1, 7, FAULT, 0), (1, 14, WARNING, 15), (1, 15, FAULT, 1),
    (2, 6, FAULT, 16), (2, 14, MORE_FAULTS_FIELD, 2), (2, 15, MORE_FAULTS_FIELD, 3),
    (3, 7, FAULT, 28),
    (5, 8, FAULT, 6), (5, 9, FAULT, 20), (5, 10, FAULT, 7), (5, 11, FAULT, 21), (5, 12, FAULT, 22), (5, 13, FAULT, 15),
    (5, 14, FAULT, 14), (5, 15, FAULT, 8),
    (6, 0, FAULT, 23), (6, 1, FAULT, 9), (6, 2, FAULT, 24), (6, 3, FAULT, 10), (6, 4, FAULT, 25), (6, 5, FAULT, 26),
    (6, 6, FAULT, 27), (6, 7, FAULT, 11), (6, 15, FAULT, 29),
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
        return count + 1 if count in (SLOW_COUNT, SETTINGS_COUNT) else count

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
        if self._fill_old_alarms(bits):
            return
        for word, low, alarm in _LEVELS:
            level = self._alarm_word(ALARMS + word) >> low & 7
            if level:
                bits[(WARNING if level == 1 else PROTECTION if level == 2 else LEVEL_3) - 1] |= 1 << alarm
        for word, bit, field_number, alarm in _BITS:
            bits[field_number - 1] |= (self._alarm_word(ALARMS + word) >> bit & 1) << alarm

    def _fill_old_alarms(self, bits):
        """Fill in the older words, high byte first; False, and no alarm, where there are newer ones."""
        has_newer = False
        for word in range(ALARM_WORDS):
            has_newer = has_newer or self._alarm_word(ALARMS + word) != 0
        alarms = self._alarms
        for word in range(4):
            number = 0 if has_newer else self._alarm_word(OLD_ALARMS + word)
            alarms[2 * word] = number >> 8
            alarms[2 * word + 1] = number & 0xFF
        alarm_bits(alarms, bits)
        for low, alarm in _OLD_PAIRS:
            pair = alarms[3] >> low
            bits[WARNING - 1] |= (pair & 1) << alarm
            bits[PROTECTION - 1] |= (pair >> 1 & 1) << alarm
        return not has_newer

    def _alarm_word(self, number):
        """A register of alarms; FFFF is none."""
        word = self.register(number)
        return 0 if word == 0xFFFF else word
