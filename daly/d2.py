# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of D2, which newer boards speak over UART, RS485 and Bluetooth: one fixed address, at most 32 cells.

Facts, with their sources: docs/PROTOCOL.md. Vendor's table of registers, and captures of eight boards.
"""

from battery.readings import READING

from .alarm_bytes import alarm_bits
from .modbus import ABSOLUTE, BITS, HIGH_BYTES, HUNDREDS, NO_ZERO, PLUS_40, PLUS_30000, TEMPERATURE, Modbus, at, block, rows_of

ADDRESS = 0xD2  # of requests and responses alike
CELL_COUNT = 0x31
PACK_VOLTAGE = 0x28
ALARMS = 0x3A
MOST_CELLS = 32
SMB = "-SMB"  # the end of a hardware version that is sent with its last character first

BLOCKS = (
    # All that boards of 62 registers have. Numbers of cells and sensors come first, and what others are judged by.
    block(0x00, 62, "status", False,
          at("cell_count", CELL_COUNT), at("temperature_count", 0x32),
          at("cell_{}_voltage", 0x00), at("temperature_{}", 0x20, TEMPERATURE),
          at("mode", 0x2F), at("pack_voltage", PACK_VOLTAGE), at("current", 0x29, PLUS_30000), at("soc", 0x2A),
          at("max_cell_voltage", 0x2B), at("min_cell_voltage", 0x2C),
          at("max_temperature", 0x2D, TEMPERATURE), at("min_temperature", 0x2E, TEMPERATURE),
          at("remaining_capacity", 0x30, HUNDREDS), at("cycle_count", 0x33),
          at("charge_mosfet", 0x35), at("discharge_mosfet", 0x36), at("alarm_bits_{}", ALARMS)),
    # boards of 80 registers
    block(0x3E, 9, "temperatures", True,
          at("cell_{}_balancing", 0x3E, BITS, 2), at("balance_current", 0x40, NO_ZERO | PLUS_30000),
          at("mosfet_temperature", 0x42, TEMPERATURE), at("board_temperature", 0x43, TEMPERATURE)),
    block(0x80, 41, "static", True,
          at("rated_capacity", 0x80, HUNDREDS), at("nominal_cell_voltage", 0x81), at("chemistry", 0x89),
          at("sleep_time", 0x8A),
          at("cell_overvoltage_limit_{}", 0x8B), at("cell_undervoltage_limit_{}", 0x8D),
          at("pack_overvoltage_limit_{}", 0x8F), at("pack_undervoltage_limit_{}", 0x91),
          at("charge_overcurrent_limit_{}", 0x93, ABSOLUTE),
          at("discharge_overcurrent_limit_{}", 0x95, ABSOLUTE),
          at("charge_overtemperature_limit_{}", 0x97, PLUS_40), at("charge_undertemperature_limit_{}", 0x99, PLUS_40),
          at("discharge_overtemperature_limit_{}", 0x9B, PLUS_40), at("discharge_undertemperature_limit_{}", 0x9D, PLUS_40),
          at("cell_voltage_delta_limit_{}", 0x9F), at("temperature_delta_limit_{}", 0xA1),
          at("balance_start_voltage", 0xA3), at("balance_voltage_delta", 0xA4)),
    block(0xA9, 32, "static", True,
          at("software_version", 0xA9, 0, 8), at("hardware_version", 0xB1, 0, 8), at("battery_code", 0xB9, 0, 16)),
    # behind the password, which is not read
    block(0xCC, 2, "static", True, at("production_date", 0xCC, HIGH_BYTES, 2)),
)  # fmt: skip


class D2(Modbus):
    """The protocol of one board with the map of D2."""

    name = "D2"
    blocks = BLOCKS
    alarm_registers = (ALARMS, ALARMS + 1, ALARMS + 2, ALARMS + 3)
    most_cells = MOST_CELLS
    # which cell and which sensor it is follows from all of them: mqtt/deadband.py
    calculated = ("max_voltage_cell", "min_voltage_cell", "max_temperature_sensor", "min_temperature_sensor")
    rows = rows_of(BLOCKS, calculated)
    # A5 and A6 are what switches; 0C, 121 and 122 are only acknowledged (batmon#356, checked on a pack). F0: vendor's table.
    registers_of_writes = {"charge_mosfet": 0xA5, "discharge_mosfet": 0xA6, "soc": 0xA7, "restart_bms": 0xF0}

    def __init__(self, pack):
        super().__init__(pack, ADDRESS, ADDRESS)

    def fits(self, index):
        """By the number of cells, and by the voltage of the pack being near that of its cells."""
        if index:
            return True
        cells = self.register(CELL_COUNT)
        if not 1 <= cells <= MOST_CELLS:
            return False
        data = self.reader.frame
        total = 0
        for begin in range(3, 3 + 2 * cells, 2):
            total += data[begin] << 8 | data[begin + 1]
        return self.is_near(100 * self.register(PACK_VOLTAGE), total)

    def fill_alarms(self, bits):
        """Byte 0 of the vendor's table is the low byte of the first word, byte 1 the high one (two captures)."""
        alarm_bits(self.alarm_bytes(ALARMS, True), bits)

    def repaired_text(self, row, text):
        """The software version is sent with its last character first (5 of 5 boards), and the hardware version by some."""
        is_reversed = row is READING["software_version"] or (row is READING["hardware_version"] and text.endswith(SMB))
        if not is_reversed:
            return text
        turned = ""
        for character in text:
            turned = character + turned
        return turned
