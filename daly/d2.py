# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of D2, which newer boards speak over UART, RS485 and Bluetooth: one fixed address, at most 32 cells.

Facts, with their sources: docs/PROTOCOL.md. Vendor's table of registers, and captures of eight boards.
"""

from battery.readings import READING

from .alarm_bytes import alarm_bits
from .modbus import ABSOLUTE, BITS, HIGH_BYTES, NO_ZERO, Modbus, block, field, temperature

ADDRESS = 0xD2  # of requests and responses alike
CELL_COUNT = 0x31
PACK_VOLTAGE = 0x28
ALARMS = 0x3A
MOST_CELLS = 32
SMB = "-SMB"  # the end of a hardware version that is sent with its last character first

BLOCKS = (
    # All that boards of 62 registers have. Numbers of cells and sensors come first, and what others are judged by.
    block(0x00, 62, "pack", False,
          field("cell_count", CELL_COUNT), field("temperature_count", 0x32),
          field("cell_{}_voltage", 0x00), temperature("temperature_{}", 0x20),
          field("mode", 0x2F), field("pack_voltage", PACK_VOLTAGE), field("current", 0x29, 1, 30000), field("soc", 0x2A),
          field("max_cell_voltage", 0x2B), field("min_cell_voltage", 0x2C),
          temperature("max_temperature", 0x2D), temperature("min_temperature", 0x2E),
          field("remaining_capacity", 0x30, 1, 0, 100), field("cycle_count", 0x33),
          field("charge_mosfet", 0x35), field("discharge_mosfet", 0x36), field("alarm_bits_{}", ALARMS)),
    # boards of 80 registers
    block(0x3E, 9, "temperatures", True,
          field("cell_{}_balancing", 0x3E, 2, 0, 1, BITS), field("balance_current", 0x40, 1, 30000, 1, NO_ZERO),
          temperature("mosfet_temperature", 0x42), temperature("board_temperature", 0x43)),
    block(0x80, 41, "static", True,
          field("rated_capacity", 0x80, 1, 0, 100), field("nominal_cell_voltage", 0x81), field("chemistry", 0x89),
          field("sleep_time", 0x8A),
          field("cell_overvoltage_limit_{}", 0x8B), field("cell_undervoltage_limit_{}", 0x8D),
          field("pack_overvoltage_limit_{}", 0x8F), field("pack_undervoltage_limit_{}", 0x91),
          field("charge_overcurrent_limit_{}", 0x93, 1, 30000, 1, ABSOLUTE),
          field("discharge_overcurrent_limit_{}", 0x95, 1, 30000, 1, ABSOLUTE),
          field("charge_overtemperature_limit_{}", 0x97, 1, 40), field("charge_undertemperature_limit_{}", 0x99, 1, 40),
          field("discharge_overtemperature_limit_{}", 0x9B, 1, 40), field("discharge_undertemperature_limit_{}", 0x9D, 1, 40),
          field("cell_voltage_delta_limit_{}", 0x9F), field("temperature_delta_limit_{}", 0xA1),
          field("balance_start_voltage", 0xA3), field("balance_voltage_delta", 0xA4)),
    block(0xA9, 32, "static", True,
          field("software_version", 0xA9, 8), field("hardware_version", 0xB1, 8), field("battery_code", 0xB9, 16)),
    # behind the password, which is not read
    block(0xCC, 2, "static", True, field("production_date", 0xCC, 2, 0, 1, HIGH_BYTES)),
)  # fmt: skip


class D2(Modbus):
    """The protocol of one board with the map of D2."""

    name = "D2"
    blocks = BLOCKS
    most_cells = MOST_CELLS
    # A5 and A6 are what switches; 0C, 121 and 122 are only acknowledged (batmon#356, checked on a pack). F0: vendor's table.
    registers_of_writes = {"charge_mosfet": 0xA5, "discharge_mosfet": 0xA6, "soc": 0xA7, "restart_bms": 0xF0}

    def __init__(self, pack, _board_number=1):
        super().__init__(pack, ADDRESS, ADDRESS)
        self._alarms = bytearray(8)

    def is_answer(self, index):
        """By the number of cells, and by the voltage of the pack being near that of its cells."""
        if index:
            return True
        cells = self.register(CELL_COUNT)
        if not 1 <= cells <= MOST_CELLS:
            return False
        data = self.reader.data
        total = 0
        for at in range(3, 3 + 2 * cells, 2):
            total += data[at] << 8 | data[at + 1]
        return self.is_near(100 * self.register(PACK_VOLTAGE), total)

    def fill_alarms(self, bits):
        """Byte 0 of the vendor's table is the low byte of the first word, byte 1 the high one (two captures)."""
        alarms = self._alarms
        for position in range(4):
            word = self.register(ALARMS + position)
            alarms[2 * position] = word & 0xFF
            alarms[2 * position + 1] = word >> 8
        alarm_bits(alarms, bits)

    def repaired_text(self, row, text):
        """The software version is sent with its last character first (5 of 5 boards), and the hardware version by some."""
        is_reversed = row is READING["software_version"] or (row is READING["hardware_version"] and text.endswith(SMB))
        if not is_reversed:
            return text
        turned = ""
        for character in text:
            turned = character + turned
        return turned
