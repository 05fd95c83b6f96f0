# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The map of P81, which newer boards speak over UART and RS485: board n is asked at 80 + n and answers as 50 + n, 48 cells.

Facts, with their sources: docs/PROTOCOL.md. Captures of four boards, and the tables of three other readers.
"""



from daly.core import E
from .modbus import g, at, d, e


















CELLS = 1  # index of the block of the cells











# As long as the response of some cells: of blocks here, and of what Daly's app asks for (A4/10, 220/11, 151/39: captured)


a = (
    # All that is measured except the cells. Numbers of cells and sensors come first, and what others are judged by.
    d(0x30, 68, "status", False,
          at("cell_count", 60), at("temperature_count", 0x3D), at("temperature_{}", 0x30, 35),
          at("mode", 0x48), at("pack_voltage", 56), at("current", 0x39, 64), at("soc", 0x3A),
          at("heartbeat", 0x3B),
          at("max_cell_voltage", 62), at("max_voltage_cell", 0x3F, 4 | 1),
          at("min_cell_voltage", 64), at("min_voltage_cell", 0x41, 4 | 1),
          at("max_temperature", 0x43, 35), at("max_temperature_sensor", 0x44, 4 | 1),
          at("min_temperature", 0x45, 35), at("min_temperature_sensor", 0x46, 4 | 1),
          # 0 in all captures
          at("charger_connected", 0x49), at("load_connected", 0x4A),
          at("remaining_capacity", 0x4B, 256), at("cycle_count", 0x4C),
          at("balance_current", 0x4E, 1 | 64), at("cell_{}_balancing", 0x4F, 512, 3),
          at("charge_mosfet", 0x52), at("discharge_mosfet", 0x53), at("precharge_mosfet", 0x54),
          at("heater", 0x55), at("fan", 0x56),
          at("mosfet_temperature", 0x5A, 35), at("board_temperature", 0x5B, 35),
          at("heater_temperature", 0x5C, 35), at("alarm_bits_{}", 109)),
    d(0x00, 0, "cells", False, at("cell_{}_voltage", 0x00)),
    d(0x10B, 13, "slow", True,
          at("actual_capacity", 0x10B, 0, 2), at("lifetime_charge", 0x10D, 0, 2), at("lifetime_discharge", 0x10F, 0, 2),
          at("state_of_health", 0x117)),
    # the password between this and the next is not read
    d(0x100, 28, "static", True,
          at("board_number", 0x100), at("rated_capacity", 0x109, 0, 2), at("nominal_cell_voltage", 0x114),
          at("sleep_time", 0x115, 128), at("balance_start_voltage", 0x11A), at("balance_voltage_delta", 0x11B)),
    d(0x129, 59, "static", True,
          at("production_date", 0x129, 16, 2),
          at("cell_overvoltage_limit_{}", 0x130), at("cell_undervoltage_limit_{}", 0x134),
          at("pack_overvoltage_limit_{}", 0x138), at("pack_undervoltage_limit_{}", 0x13C),
          at("charge_overcurrent_limit_{}", 0x140, 8),
          at("discharge_overcurrent_limit_{}", 0x145, 8),
          at("charge_overtemperature_limit_{}", 0x14A, 32), at("charge_undertemperature_limit_{}", 0x14E, 32),
          at("discharge_overtemperature_limit_{}", 0x152, 32), at("discharge_undertemperature_limit_{}", 0x156, 32),
          at("cell_voltage_delta_limit_{}", 0x15A), at("temperature_delta_limit_{}", 0x15E),
          at("soc_low_limit_{}", 0x162)),
    # as much as was captured in one piece; behind the code are words of unknown meaning
    d(0x178, 74, "static", True,
          at("software_version", 0x178, 0, 7), at("hardware_version", 0x17F, 0, 7), at("serial_number", 0x18D, 0, 14),
          at("battery_code", 0x19B, 0, 16)),
)  # fmt: skip

# Levels of 3 bits each, of the first four words: the bit in the fields with a level of battery/alarms.py, for each place


j = ((0, 1, 12, 4), (5, 6, 7, 13), (2, 3, 8, 9), (11, 16, 17, 19))


def c(a, b, c):
    return c << 8 | b << 4 | a


# Single bits of each word: bit, bit field, bit of that, as one small integer. What is no alarm is left out: smart charger and
# load, parallel communication, upgrading, off by bus or switch, fan, heating, current limit.
b = (
    (c(7, 5, 0), c(15, 5, 1)),
    (c(6, 1, 14), c(7, 3, 0), c(14, 1, 15), c(15, 3, 1)),
    (c(6, 3, 16), c(14, 5, 2), c(15, 5, 3)),
    (c(7, 3, 28),),
    (),
    (c(8, 3, 6), c(9, 3, 20), c(10, 3, 7), c(11, 3, 21), c(12, 3, 22), c(13, 3, 15),
     c(14, 3, 14), c(15, 3, 8)),
    (c(0, 3, 23), c(1, 3, 9), c(2, 3, 24), c(3, 3, 10), c(4, 3, 25), c(5, 3, 26),
     c(6, 3, 27), c(7, 3, 11), c(15, 3, 29)),
); del c
# Pairs of warning and protection that only the older words have: (low bit of word 1, bit of these fields)



class P81(g):
    """The protocol of one board with the map of P81. `board_number` 1 to 16."""

    name = "P81"
    w = a
    k = e(a)
    Z = tuple(range(102, 102 + 4)) + tuple(range(109, 109 + 7))
    ai = 48
    # a way to restart it is not known
    ak = {"charge_mosfet": 0x121, "discharge_mosfet": 0x122, "soc": 0x116}

    def __init__(a, b, c=1):
        super().__init__(b, 128 + c, 80 + c)
        a.ad = "" if c == 1 else "board " + str(c)

    def ac(b, c):
        """For the cells as many as there are: more where another response is as long, since only that tells them apart."""
        if c != CELLS:
            return a[c].count
        d = min(b.f.ao["cell_count"] or 0, 48)
        while d in (13, 28, 10, 11, 39):
            d += 1
        return d

    def af(a, b):
        """By the number of cells, their highest voltage, and the voltage of the pack being near that of its cells."""
        if b:
            return True
        c = a.register(60)
        d = a.register(62)
        if not 1 <= c <= 48 or not 500 <= d <= 5000:
            return False
        e = a.register(87) or (d + a.register(64)) // 2
        return a.ah(100 * a.register(56), c * e)

    def ae(a, b):
        """Two captures show that the low byte is the first; the older words count only where these have nothing to say."""
        for c in range(5):
            b[c] = 0
        for d in range(7):
            e = a.aa(109 + d)
            if e:
                a.U(b, d, e)
        if not max(b):
            a.T(b)

    def U(a, c, d, e):
        if d < len(j):
            for f in range(4):
                g = e >> (0, 3, 8, 11)[f] & 7
                if g:
                    c[((0, 1, 2)[g] if g < 3 else 4) - 1] |= 1 << j[d][f]
        for h in b[d]:
            c[(h >> 4 & 0xF) - 1] |= (e >> (h & 0xF) & 1) << (h >> 8)

    def T(a, b):
        """Fill in the older words, high byte first."""
        c = a.Y(102, False)
        if not max(c):
            return
        E(c, b)
        for d, e in ((4, 17), (6, 18)):
            f = c[3] >> d
            b[1 - 1] |= (f & 1) << e
            b[2 - 1] |= (f >> 1 & 1) << e
