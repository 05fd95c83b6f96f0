# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's board: the pins of an ESP32-S2 or -S3 module that a person can wire.

Named as Espressif's own DevKitC boards do (IOn, TX = IO43, RX = IO44), plus the names other boards give: SDA = IO8 and
SCL = IO9 (Espressif's default I2C pins), LED = IO13. IO22 to IO32 do not exist or belong to the flash chip.
"""

from microcontroller import Pin as _Pin

board_id = "host"

IO0, IO1, IO2, IO3, IO4, IO5, IO6, IO7 = (_Pin(f"IO{_n}") for _n in range(8))
IO8, IO9, IO10, IO11, IO12, IO13, IO14, IO15 = (_Pin(f"IO{_n}") for _n in range(8, 16))
IO16, IO17, IO18, IO19, IO20, IO21 = (_Pin(f"IO{_n}") for _n in range(16, 22))
IO33, IO34, IO35, IO36, IO37, IO38, IO39, IO40 = (_Pin(f"IO{_n}") for _n in range(33, 41))
IO41, IO42, IO43, IO44, IO45, IO46, IO47, IO48 = (_Pin(f"IO{_n}") for _n in range(41, 49))

TX, RX = IO43, IO44
SDA, SCL = IO8, IO9
LED = IO13
# In use, a pin is called by the name people read on the board.
TX._name, RX._name, SDA._name, SCL._name, LED._name = "TX", "RX", "SDA", "SCL", "LED"
