# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A model of the SH1106, which most 1.3 inch modules have: like the SSD1306, but 132 columns of memory, written page by page.

Written from the data sheet (Sino Wealth SH1106 V2.3, "Commands" and "Display Data RAM"). The glass of these modules shows
128 of the 132 columns, from the third on.
"""

from __future__ import annotations

from host.ssd1306 import PAGES, SSD1306, WIDTH

MEMORY_WIDTH = 132
FIRST_COLUMN = 2  # of those that are wired to the glass


class SH1106(SSD1306):
    """One controller; `writes` and `bytes` count I2C traffic."""

    def __init__(self):
        super().__init__()
        self.memory = bytearray(MEMORY_WIDTH * PAGES)

    def _address(self, code: int, arguments: bytes) -> None:
        """It has no address windows: 0x20 to 0x22 change nothing visible here."""

    def _execute(self, code: int, arguments: bytes) -> None:
        if code <= 0x0F:
            self._column = self._column & 0xF0 | code
        elif code <= 0x1F:
            self._column = self._column & 0x0F | (code & 0x0F) << 4
        elif code == 0xAD:
            self.pump = arguments[0] == 0x8B  # the command of its step-up converter
        else:
            super()._execute(code, arguments)

    def _store(self, byte: int) -> None:
        if self._column < MEMORY_WIDTH:  # a byte beyond the end is lost, there is no automatic next line
            self.memory[self._page * MEMORY_WIDTH + self._column] = byte
            self._column += 1

    def _stored(self, x: int, y: int) -> bool:
        column = FIRST_COLUMN + (x if self.remapped else WIDTH - 1 - x)
        row = y if self.reversed else self.rows - 1 - y
        row = (row + self.start_line + self.offset) % 64
        return bool(self.memory[(row >> 3) * MEMORY_WIDTH + column] >> (row & 7) & 1)
