# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The OLED: a Page as dots, through displayio, on an SSD1306 or SH1106 of 128x32 or 128x64.

Everything is drawn as tiles. A line of text is a TileGrid over the bitmap of the board's font; cell bars and the battery are
TileGrids over small bitmaps made here. So a changed number sends only its own characters and allocates nothing, where a Label
makes a new bitmap (795 bytes for three lines, 1568 bytes of garbage each). `step` draws one line and returns: it blocks the
loop no longer than 6 ms at 400 kHz.
"""

import bitmaptools
import displayio
import i2cdisplaybus
import terminalio

from .pages import BAR_HEIGHTS, BIG, COLUMNS, FULL, SHORT, TALL

WIDTH = 128
# Tops of the lines. Characters are 12 pixels high with space above and below, so lines may overlap by two; none of these
# touches more than two of the controller's pages of eight rows.
LINES_Y = (0, 10, 20, 32, 42, 52)
BIG_Y = -2
BAR_Y = LINES_Y[2]
CELLS_Y = {SHORT: 21, TALL: 33}
CELLS_WIDTH = {SHORT: 96, TALL: 126}  # on 32 rows the cell voltage delta is beside it
WIDEST_CELL = 12
BATTERY = 122  # pixels without the terminal, which is three more
# Everything is moved by these steps (x, y) against burn-in; more than 2 would cut characters off.
SHIFTS = ((0, 0), (1, 0), (2, 0), (2, -1), (1, -1), (0, -1))
_PAGE = 8  # rows of pixels in one byte of the controller

# The drivers' initialization without display off and pauses. It is repeated from time to time: a module whose supply failed for
# a moment, or that was unplugged and plugged in again, has lost it. A test compares it with the drivers.
_SSD1306 = b"\xa4\xa6\x20\x00\x40\xa1\xc8\xd3\x00\xd5\x80\xd9\xf1\xdb\x40\x8d\x14"
_SH1106 = b"\xa4\xa6\x40\xa1\xc8\xd3\x00\xd5\x80\xd9\x1f\xdb\x40\xad\x8b\x33"
_HEIGHT = {32: b"\xa8\x1f\xda\x02", 64: b"\xa8\x3f\xda\x12"}


class Panel:
    """The OLED panel, black until `show` and `step`. Raises ValueError when no device responds at `address`.

    `i2c` is a busio.I2C which the panel owns from now on and deinitializes, also when it raises. `kind`: "SSD1306" or "SH1106";
    `height`: 32 or 64 pixels; `rotation`: 0 or 180 degrees.
    """

    def __init__(self, i2c, kind="SSD1306", address=0x3C, height=32, rotation=0):
        self._i2c = i2c
        self._address = address
        rows = TALL if height == 64 else SHORT
        try:
            self._bus = i2cdisplaybus.I2CDisplayBus(i2c, device_address=address)
        except ValueError:
            i2c.deinit()  # else its pins stay in use, and no later attempt could succeed
            raise
        self._display = _display(kind, self._bus, height, rotation)
        self._commands = (_SH1106 if kind == "SH1106" else _SSD1306) + _HEIGHT[height]
        self._brightness = 100  # percent, as the drivers set it
        self._level = None  # of the battery in the third line, 0 to FULL; None: not shown
        self._shift = 0
        self._rows = rows
        self._palette = displayio.Palette(2)
        self._palette[1] = 0xFFFFFF
        self._palette.make_transparent(0)
        self._background = _background(height)
        self._strips_to_send = 0  # strips of the background still to be sent again
        self._group = displayio.Group()
        self._group.append(self._background)
        letters = terminalio.FONT.bitmap
        self._big = _Tiles(letters, self._palette, BIG, 6, 0, BIG_Y, True, 2)
        self._bar = _Tiles(_battery_sheet(), self._palette, BATTERY + 4, 1, 0, BAR_Y)
        self._lines = [_Tiles(letters, self._palette, COLUMNS, 6, 0, y, True) for y in LINES_Y[:rows]]
        self._cells = None
        self._parts = [self._big, self._bar] + self._lines  # all that is drawn, the cells last
        for tiles in self._parts:
            self._group.append(tiles.layer)
        self._display.root_group = self._group

    def show(self, page):
        """Set the Page to be shown; `step` draws it."""
        for index in range(self._rows):
            self._lines[index].set(page.lines[index])
        self._big.set(page.big)
        if page.bar != self._level:
            self._level = page.bar
            self._bar.set(b"" if page.bar is None else _battery(page.bar))
        if page.cells and (self._cells is None or len(page.cells) != self._cells.count):
            self._make_cells(len(page.cells))
        if self._cells is not None:
            self._cells.set(page.cells)

    def step(self):
        """Draw the first part that has changed; False when none has. One refresh, no more bytes than one line has."""
        x, y = SHIFTS[self._shift]
        for tiles in self._parts:
            if tiles.update(x, y):
                self._display.refresh()
                return True
        if self._strips_to_send:
            self._strips_to_send -= 1
            self._background[self._strips_to_send] = 0  # setting a tile, even to the same value, marks it to be sent
            self._display.refresh()
            return True
        return False

    def is_there(self):
        """Whether the controller responds; drawing does not show it, the board ignores I2C errors there."""
        if not self._i2c.try_lock():
            return True
        try:
            self._i2c.writeto(self._address, b"\x00")  # a control byte without a command
            return True
        except OSError:
            return False
        finally:
            self._i2c.unlock()

    def renew(self):
        """Initialize the controller again, send everything again, and move it all by a pixel."""
        self._send(self._commands)
        brightness = self._brightness
        self._brightness = None
        self.set_brightness(brightness)
        self._strips_to_send = self._background.height
        self._shift = (self._shift + 1) % len(SHIFTS)

    def set_brightness(self, percent):
        """Percent, 1 to 100; 0 turns the display off and keeps its contents."""
        if percent == self._brightness:
            return
        self._brightness = percent
        if percent:
            self._send(bytes((0x81, percent * 255 // 100)))
        self._send(b"\xaf" if percent else b"\xae")

    def close(self):
        """Release the display and the pins."""
        displayio.release_displays()
        self._i2c.deinit()

    def _send(self, commands):
        """Byte by byte, as Adafruit's framebuf driver does: Blinka corrupts all after the first."""
        for byte in commands:
            self._bus.send(byte, b"")

    def _make_cells(self, count):
        if self._cells is not None:
            self._group.remove(self._cells.layer)
            self._parts.remove(self._cells)
        width = min(WIDEST_CELL, CELLS_WIDTH[self._rows] // count)
        sheet = _cells_sheet(width, BAR_HEIGHTS[self._rows])
        self._cells = _Tiles(sheet, self._palette, count, width, 0, CELLS_Y[self._rows])
        self._group.append(self._cells.layer)
        self._parts.append(self._cells)


class _Tiles:
    """A row of tiles that shows `wanted`: text, if `letters`, else bytes of tile numbers."""

    def __init__(self, sheet, palette, count, width, x, y, letters=False, scale=1):
        self.count = count
        self.wanted = "" if letters else b""
        self._shown = self.wanted
        self._letters = letters
        self._x = x
        self._y = y
        self._grid = displayio.TileGrid(sheet, pixel_shader=palette, width=count, tile_width=width, tile_height=sheet.height)
        self.layer = displayio.Group(scale=scale, x=x, y=y)
        self.layer.append(self._grid)

    def set(self, wanted):
        """What `update` is to show: text, if the tiles are letters, else bytes of tile numbers."""
        self.wanted = wanted

    def update(self, x, y):
        """Set the changed tiles and the position, moved by x and y; True when something has changed."""
        if not self.wanted and not self._shown:
            return False
        x += self._x
        y += self._y
        if self.wanted == self._shown and x == self.layer.x and y == self.layer.y:
            return False
        self.layer.x = x
        self.layer.y = y
        for index in range(max(len(self.wanted), len(self._shown))):
            tile = self._number(index)
            if tile != self._grid[index]:
                self._grid[index] = tile
        self._shown = self.wanted
        return True

    def _number(self, index):
        """The number of a tile; the font's characters are in ASCII order, beginning with the space. Allocates nothing."""
        if index >= len(self.wanted):
            return 0
        return ord(self.wanted[index]) - 32 if self._letters else self.wanted[index]


def _display(kind, bus, height, rotation):
    """The display on `bus`; only the driver that is needed is loaded."""
    if kind == "SH1106":
        from adafruit_displayio_sh1106 import SH1106

        # 132 columns of memory; on common modules the 128 from the third on are connected
        return SH1106(bus, width=WIDTH, height=height, rotation=rotation, colstart=2, auto_refresh=False)
    from adafruit_displayio_ssd1306 import SSD1306

    return SSD1306(bus, width=WIDTH, height=height, rotation=rotation, auto_refresh=False)


def _background(height):
    """A black background in strips of one controller page, each of which can be marked to be sent again."""
    black = displayio.Palette(1)
    strip = displayio.Bitmap(WIDTH, _PAGE, 1)
    return displayio.TileGrid(strip, pixel_shader=black, height=height // _PAGE, tile_width=WIDTH, tile_height=_PAGE)


def _battery_sheet():
    """Columns of a horizontal battery: nothing, empty, filled, terminal."""
    sheet = displayio.Bitmap(4, 12, 2)
    sheet[1, 2] = sheet[1, 10] = 1
    bitmaptools.fill_region(sheet, 2, 2, 3, 11, 1)
    bitmaptools.fill_region(sheet, 3, 4, 4, 9, 1)
    return sheet


def _battery(level):
    """The columns of a battery filled to `level` of FULL."""
    inside = BATTERY - 2
    filled = inside * min(level, FULL) // FULL
    return b"\x02" * (1 + filled) + b"\x01" * (inside - filled) + b"\x02\x03\x03\x03"


def _cells_sheet(width, height):
    """Bars of 0 to `height` pixels, side by side, each with a gap on its right."""
    sheet = displayio.Bitmap(width * (height + 1), height, 2)
    for bar in range(1, height + 1):
        bitmaptools.fill_region(sheet, bar * width, height - bar, bar * width + width - 1, height, 1)
    return sheet
