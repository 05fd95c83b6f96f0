# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of D2, which newer boards speak over UART, RS485 and Bluetooth: one fixed address, at most 32 cells.

Facts, with their sources: docs/PROTOCOL.md. Vendor's table of registers, and captures of eight boards.
"""

from daly.core import c

from daly.core import E
from .modbus import g, at, d, e

  # of requests and responses alike




  # the end of a hardware version that is sent with its last character first

a = (
    # All that boards of 62 registers have. Numbers of cells and sensors come first, and what others are judged by.
    d(0x00, 62, "status", False,
          at("cell_count", 49), at("temperature_count", 0x32),
          at("cell_{}_voltage", 0x00), at("temperature_{}", 0x20, 35),
          at("mode", 0x2F), at("pack_voltage", 40), at("current", 0x29, 64), at("soc", 0x2A),
          at("max_cell_voltage", 0x2B), at("min_cell_voltage", 0x2C),
          at("max_temperature", 0x2D, 35), at("min_temperature", 0x2E, 35),
          at("remaining_capacity", 0x30, 256), at("cycle_count", 0x33),
          at("charge_mosfet", 0x35), at("discharge_mosfet", 0x36), at("alarm_bits_{}", 58)),
    # boards of 80 registers
    d(0x3E, 9, "temperatures", True,
          at("cell_{}_balancing", 0x3E, 512, 2), at("balance_current", 0x40, 1 | 64),
          at("mosfet_temperature", 0x42, 35), at("board_temperature", 0x43, 35)),
    d(0x80, 41, "static", True,
          at("rated_capacity", 0x80, 256), at("nominal_cell_voltage", 0x81), at("chemistry", 0x89),
          at("sleep_time", 0x8A),
          at("cell_overvoltage_limit_{}", 0x8B), at("cell_undervoltage_limit_{}", 0x8D),
          at("pack_overvoltage_limit_{}", 0x8F), at("pack_undervoltage_limit_{}", 0x91),
          at("charge_overcurrent_limit_{}", 0x93, 8),
          at("discharge_overcurrent_limit_{}", 0x95, 8),
          at("charge_overtemperature_limit_{}", 0x97, 32), at("charge_undertemperature_limit_{}", 0x99, 32),
          at("discharge_overtemperature_limit_{}", 0x9B, 32), at("discharge_undertemperature_limit_{}", 0x9D, 32),
          at("cell_voltage_delta_limit_{}", 0x9F), at("temperature_delta_limit_{}", 0xA1),
          at("balance_start_voltage", 0xA3), at("balance_voltage_delta", 0xA4)),
    d(0xA9, 32, "static", True,
          at("software_version", 0xA9, 0, 8), at("hardware_version", 0xB1, 0, 8), at("battery_code", 0xB9, 0, 16)),
    # behind the password, which is not read
    d(0xCC, 2, "static", True, at("production_date", 0xCC, 16, 2)),
)  # fmt: skip


class D2(g):
    """The protocol of one board with the map of D2."""

    name = "D2"
    w = a
    Z = (58, 58 + 1, 58 + 2, 58 + 3)
    ai = 32
    # which cell and which sensor it is follows from all of them: mqtt/deadband.py
    ab = ("max_voltage_cell", "min_voltage_cell", "max_temperature_sensor", "min_temperature_sensor")
    k = e(a, ab)
    # A5 and A6 are what switches; 0C, 121 and 122 are only acknowledged (batmon#356, checked on a pack). F0: vendor's table.
    ak = {"charge_mosfet": 0xA5, "discharge_mosfet": 0xA6, "soc": 0xA7, "restart_bms": 0xF0}

    def __init__(a, b):
        super().__init__(b, 210, 210)

    def af(a, b):
        """By the number of cells, and by the voltage of the pack being near that of its cells."""
        if b:
            return True
        c = a.register(49)
        if not 1 <= c <= 32:
            return False
        d = a.P.M
        e = 0
        for f in range(3, 3 + 2 * c, 2):
            e += d[f] << 8 | d[f + 1]
        return a.ah(100 * a.register(40), e)

    def ae(a, b):
        """Byte 0 of the vendor's table is the low byte of the first word, byte 1 the high one (two captures)."""
        E(a.Y(58, True), b)

    def al(a, b, d):
        """The software version is sent with its last character first (5 of 5 boards), and the hardware version by some."""
        e = b is c["software_version"] or (b is c["hardware_version"] and d.endswith('-SMB'))
        if not e:
            return d
        f = ""
        for g in d:
            f = g + f
        return f
