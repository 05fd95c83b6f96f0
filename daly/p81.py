# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of P81, which newer boards speak over UART and RS485: board n is asked at 80 + n and answers as 50 + n, 48 cells.

Facts, with their sources: docs/PROTOCOL.md. Captures of four boards, and the tables of three other readers.
"""

from battery.alarms import BITFIELDS, FAULT, LEVEL_3, MORE_FAULTS_FIELD, PROTECTION, WARNING

from .alarm_bytes import alarm_bits
from .modbus import (
    ABSOLUTE,
    BITS,
    FOLLOWS,
    HIGH_BYTES,
    HUNDREDS,
    NO_ZERO,
    PLUS_40,
    PLUS_30000,
    TEMPERATURE,
    TENS,
    Modbus,
    at,
    block,
    rows_of,
)

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
# As long as the response of some cells: of blocks here, and of what Daly's app asks for (A4/10, 220/11, 151/39: captured)
OTHER_COUNTS = (SLOW_COUNT, SETTINGS_COUNT, 10, 11, 39)

BLOCKS = (
    # All that is measured except the cells. Numbers of cells and sensors come first, and what others are judged by.
    block(0x30, 68, "status", False,
          at("cell_count", CELL_COUNT), at("temperature_count", 0x3D), at("temperature_{}", 0x30, TEMPERATURE),
          at("mode", 0x48), at("pack_voltage", PACK_VOLTAGE), at("current", 0x39, PLUS_30000), at("soc", 0x3A),
          at("heartbeat", 0x3B),
          at("max_cell_voltage", MAX_CELL_VOLTAGE), at("max_voltage_cell", 0x3F, FOLLOWS | NO_ZERO),
          at("min_cell_voltage", MIN_CELL_VOLTAGE), at("min_voltage_cell", 0x41, FOLLOWS | NO_ZERO),
          at("max_temperature", 0x43, TEMPERATURE), at("max_temperature_sensor", 0x44, FOLLOWS | NO_ZERO),
          at("min_temperature", 0x45, TEMPERATURE), at("min_temperature_sensor", 0x46, FOLLOWS | NO_ZERO),
          # 0 in all captures
          at("charger_connected", 0x49), at("load_connected", 0x4A),
          at("remaining_capacity", 0x4B, HUNDREDS), at("cycle_count", 0x4C),
          at("balance_current", 0x4E, NO_ZERO | PLUS_30000), at("cell_{}_balancing", 0x4F, BITS, 3),
          at("charge_mosfet", 0x52), at("discharge_mosfet", 0x53), at("precharge_mosfet", 0x54),
          at("heater", 0x55), at("fan", 0x56),
          at("mosfet_temperature", 0x5A, TEMPERATURE), at("board_temperature", 0x5B, TEMPERATURE),
          at("heater_temperature", 0x5C, TEMPERATURE), at("alarm_bits_{}", ALARMS)),
    block(0x00, 0, "cells", False, at("cell_{}_voltage", 0x00)),
    block(0x10B, SLOW_COUNT, "slow", True,
          at("actual_capacity", 0x10B, 0, 2), at("lifetime_charge", 0x10D, 0, 2), at("lifetime_discharge", 0x10F, 0, 2),
          at("state_of_health", 0x117)),
    # the password between this and the next is not read
    block(0x100, SETTINGS_COUNT, "static", True,
          at("board_number", 0x100), at("rated_capacity", 0x109, 0, 2), at("nominal_cell_voltage", 0x114),
          at("sleep_time", 0x115, TENS), at("balance_start_voltage", 0x11A), at("balance_voltage_delta", 0x11B)),
    block(0x129, 59, "static", True,
          at("production_date", 0x129, HIGH_BYTES, 2),
          at("cell_overvoltage_limit_{}", 0x130), at("cell_undervoltage_limit_{}", 0x134),
          at("pack_overvoltage_limit_{}", 0x138), at("pack_undervoltage_limit_{}", 0x13C),
          at("charge_overcurrent_limit_{}", 0x140, ABSOLUTE),
          at("discharge_overcurrent_limit_{}", 0x145, ABSOLUTE),
          at("charge_overtemperature_limit_{}", 0x14A, PLUS_40), at("charge_undertemperature_limit_{}", 0x14E, PLUS_40),
          at("discharge_overtemperature_limit_{}", 0x152, PLUS_40), at("discharge_undertemperature_limit_{}", 0x156, PLUS_40),
          at("cell_voltage_delta_limit_{}", 0x15A), at("temperature_delta_limit_{}", 0x15E),
          at("soc_low_limit_{}", 0x162)),
    # as much as was captured in one piece; behind the code are words of unknown meaning
    block(0x178, 74, "static", True,
          at("software_version", 0x178, 0, 7), at("hardware_version", 0x17F, 0, 7), at("serial_number", 0x18D, 0, 14),
          at("battery_code", 0x19B, 0, 16)),
)  # fmt: skip

# Levels of 3 bits each, of the first four words: the bit in the fields with a level of battery/alarms.py, for each place
_LEVEL_PLACES = (0, 3, 8, 11)
_FIELD_OF_LEVEL = (0, WARNING, PROTECTION)
_LEVELS = ((0, 1, 12, 4), (5, 6, 7, 13), (2, 3, 8, 9), (11, 16, 17, 19))


def _bit(bit, field_number, alarm):
    return alarm << 8 | field_number << 4 | bit


# Single bits of each word: bit, bit field, bit of that, as one small integer. What is no alarm is left out: smart charger and
# load, parallel communication, upgrading, off by bus or switch, fan, heating, current limit.
_BITS = (
    (_bit(7, MORE_FAULTS_FIELD, 0), _bit(15, MORE_FAULTS_FIELD, 1)),
    (_bit(6, WARNING, 14), _bit(7, FAULT, 0), _bit(14, WARNING, 15), _bit(15, FAULT, 1)),
    (_bit(6, FAULT, 16), _bit(14, MORE_FAULTS_FIELD, 2), _bit(15, MORE_FAULTS_FIELD, 3)),
    (_bit(7, FAULT, 28),),
    (),
    (_bit(8, FAULT, 6), _bit(9, FAULT, 20), _bit(10, FAULT, 7), _bit(11, FAULT, 21), _bit(12, FAULT, 22), _bit(13, FAULT, 15),
     _bit(14, FAULT, 14), _bit(15, FAULT, 8)),
    (_bit(0, FAULT, 23), _bit(1, FAULT, 9), _bit(2, FAULT, 24), _bit(3, FAULT, 10), _bit(4, FAULT, 25), _bit(5, FAULT, 26),
     _bit(6, FAULT, 27), _bit(7, FAULT, 11), _bit(15, FAULT, 29)),
)  # fmt: skip
# Pairs of warning and protection that only the older words have: (low bit of word 1, bit of these fields)
_OLD_PAIRS = ((4, 17), (6, 18))


class P81(Modbus):
    """The protocol of one board with the map of P81. `board_number` 1 to 16."""

    name = "P81"
    blocks = BLOCKS
    rows = rows_of(BLOCKS)
    alarm_registers = tuple(range(OLD_ALARMS, OLD_ALARMS + 4)) + tuple(range(ALARMS, ALARMS + ALARM_WORDS))
    most_cells = MOST_CELLS
    # a way to restart it is not known
    registers_of_writes = {"charge_mosfet": 0x121, "discharge_mosfet": 0x122, "soc": 0x116}

    def __init__(self, pack, board_number=1):
        super().__init__(pack, REQUEST_ADDRESS + board_number, RESPONSE_ADDRESS + board_number)
        self.detail = "" if board_number == 1 else "board " + str(board_number)

    def count_of(self, index):
        """For the cells as many as there are: more where another response is as long, since only that tells them apart."""
        if index != CELLS:
            return BLOCKS[index].count
        count = min(self._pack.topology["cell_count"] or 0, MOST_CELLS)
        while count in OTHER_COUNTS:
            count += 1
        return count

    def fits(self, index):
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
        for field_number in range(BITFIELDS):
            bits[field_number] = 0
        for position in range(ALARM_WORDS):
            word = self.alarm_word(ALARMS + position)
            if word:
                self._fill_word(bits, position, word)
        if not max(bits):
            self._fill_old(bits)

    def _fill_word(self, bits, position, word):
        if position < len(_LEVELS):
            for place in range(4):
                level = word >> _LEVEL_PLACES[place] & 7
                if level:
                    bits[(_FIELD_OF_LEVEL[level] if level < 3 else LEVEL_3) - 1] |= 1 << _LEVELS[position][place]
        for packed in _BITS[position]:
            bits[(packed >> 4 & 0xF) - 1] |= (word >> (packed & 0xF) & 1) << (packed >> 8)

    def _fill_old(self, bits):
        """Fill in the older words, high byte first."""
        alarms = self.alarm_bytes(OLD_ALARMS, False)
        if not max(alarms):
            return
        alarm_bits(alarms, bits)
        for low, alarm in _OLD_PAIRS:
            pair = alarms[3] >> low
            bits[WARNING - 1] |= (pair & 1) << alarm
            bits[PROTECTION - 1] |= (pair >> 1 & 1) << alarm
