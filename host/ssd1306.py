# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A model of the SSD1306: receives the bytes a driver writes over I2C and draws the visible picture.

Written from the data sheet (Solomon Systech SSD1306 rev 1.1, sections 8 to 10), not from any driver. Scrolling is
ignored. The module shows its picture upright with segment remap and reversed COM scan on (A1, C8).
"""

from __future__ import annotations

from PIL import Image

WIDTH, PAGES = 128, 8

# How many argument bytes follow a command byte; all others take none.
_ARGUMENTS = {
    0x20: 1,
    0x21: 2,
    0x22: 2,
    0x26: 6,
    0x27: 6,
    0x29: 5,
    0x2A: 5,
    0x81: 1,
    0x8D: 1,
    0xA3: 2,
    0xA8: 1,
    0xAD: 1,
    0xD3: 1,
    0xD5: 1,
    0xD9: 1,
    0xDA: 1,
    0xDB: 1,
}
_HORIZONTAL, _VERTICAL, _PAGE = 0, 1, 2

_GLASS, _LIT, _FRAME = (5, 8, 18), (190, 225, 255), (46, 58, 86)
_SCALE, _MARGIN = 4, 4


class SSD1306:
    """One controller; `writes` and `bytes` count I2C traffic."""

    def __init__(self):
        self.memory = bytearray(WIDTH * PAGES)
        self.writes = self.bytes = 0
        self.on = self.pump = self.inverted = self.all_on = self.remapped = self.reversed = False
        self.contrast, self.rows, self.offset, self.start_line = 0x7F, 64, 0, 0
        self._mode = _PAGE
        self._columns, self._pages = (0, WIDTH - 1), (0, PAGES - 1)
        self._column = self._page = 0
        self._command = bytearray()

    # I2C

    def write(self, data: bytes) -> None:
        """One I2C write: control bytes tell whether commands or pixels follow, and whether only one byte of them."""
        self.writes += 1
        self.bytes += len(data)
        position = 0
        while position < len(data):
            control = data[position]
            end = position + 2 if control & 0x80 else len(data)
            receive = self._store if control & 0x40 else self._receive_command
            for byte in data[position + 1 : end]:
                receive(byte)
            position = end

    def read(self, count: int) -> bytes:
        """The status register: bit 6 is set while the display is off."""
        return bytes([0x00 if self.on else 0x40]) * count

    def _receive_command(self, byte: int) -> None:
        self._command.append(byte)
        if len(self._command) > _ARGUMENTS.get(self._command[0], 0):
            command, self._command = self._command, bytearray()
            self._execute(command[0], command[1:])

    def _execute(self, code: int, arguments: bytes) -> None:
        if code <= 0x0F:
            self._column = self._column & 0x70 | code
        elif code <= 0x1F:
            self._column = self._column & 0x0F | (code & 0x07) << 4
        elif code in (0x20, 0x21, 0x22):
            self._address(code, arguments)
        elif 0x40 <= code <= 0x7F:
            self.start_line = code & 0x3F
        elif 0xB0 <= code <= 0xB7:
            self._page = code & 0x07
        else:
            self._switch(code, arguments)

    def _address(self, code: int, arguments: bytes) -> None:
        if code == 0x20:
            self._mode = arguments[0] & 0x03
        elif code == 0x21:
            self._columns = arguments[0] & 0x7F, arguments[1] & 0x7F
            self._column = self._columns[0]
        else:
            self._pages = arguments[0] & 0x07, arguments[1] & 0x07
            self._page = self._pages[0]

    def _switch(self, code: int, arguments: bytes) -> None:
        if code in (0xA0, 0xA1):
            self.remapped = code == 0xA1
        elif code in (0xA4, 0xA5):
            self.all_on = code == 0xA5
        elif code in (0xA6, 0xA7):
            self.inverted = code == 0xA7
        elif code in (0xAE, 0xAF):
            self.on = code == 0xAF
        elif 0xC0 <= code <= 0xCF:
            self.reversed = bool(code & 0x08)
        elif code == 0x81:
            self.contrast = arguments[0]
        elif code == 0x8D:
            self.pump = bool(arguments[0] & 0x04)
        elif code == 0xA8:
            self.rows = (arguments[0] & 0x3F) + 1
        elif code == 0xD3:
            self.offset = arguments[0] & 0x3F

    def _store(self, byte: int) -> None:
        self.memory[self._page * WIDTH + self._column] = byte
        if self._mode == _VERTICAL:
            if self._next_page():
                self._next_column()
        elif self._next_column() and self._mode == _HORIZONTAL:
            self._next_page()

    def _next_column(self) -> bool:
        first, last = (0, WIDTH - 1) if self._mode == _PAGE else self._columns
        wrapped = self._column == last
        self._column = first if wrapped else (self._column + 1) % WIDTH
        return wrapped

    def _next_page(self) -> bool:
        first, last = self._pages
        wrapped = self._page == last
        self._page = first if wrapped else (self._page + 1) % PAGES
        return wrapped

    # The visible picture

    @property
    def visible(self) -> bool:
        """Pixels shine only when switched on and fed by the charge pump."""
        return self.on and self.pump

    def image(self) -> Image.Image:
        """The picture, one bit a pixel, 128 wide and as high as the multiplex ratio; black when switched off."""
        image = Image.new("1", (WIDTH, self.rows))
        if self.visible:
            pixels = image.load()
            for y in range(self.rows):
                for x in range(WIDTH):
                    pixels[x, y] = self.all_on or self._stored(x, y) != self.inverted
        return image

    def _stored(self, x: int, y: int) -> bool:
        column = x if self.remapped else WIDTH - 1 - x
        row = y if self.reversed else self.rows - 1 - y
        row = (row + self.start_line + self.offset) % 64
        return bool(self.memory[(row >> 3) * WIDTH + column] >> (row & 7) & 1)

    def picture(self) -> Image.Image:
        """The picture as an RGB image: four times as large, cold white on dark glass, framed."""
        mask = self.image().resize((WIDTH * _SCALE, self.rows * _SCALE), Image.Resampling.NEAREST)
        picture = Image.new("RGB", (mask.width + 4 * _MARGIN, mask.height + 4 * _MARGIN), _FRAME)
        glass = Image.new("RGB", (mask.width + 2 * _MARGIN, mask.height + 2 * _MARGIN), _GLASS)
        glass.paste(_LIT, (_MARGIN, _MARGIN), mask)
        picture.paste(glass, (_MARGIN, _MARGIN))
        return picture
