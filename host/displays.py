# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes Blinka's displayio behave like the board's where the two differ.

Each difference was read in CircuitPython's C sources and measured; without these, tests would pass on a PC what a
board does not do, or the other way round. Import only with host/standins on sys.path.
"""

import busdisplay  # noqa: F401 (before displayio's inner modules, which need it)
import displayio
import terminalio
from displayio._constants import CHIP_SELECT_TOGGLE_EVERY_BYTE, DISPLAY_COMMAND
from displayio._displaycore import _DisplayCore
from i2cdisplaybus import I2CDisplayBus

from host import chip

_init = I2CDisplayBus.__init__
_send = I2CDisplayBus._send
_get_glyph = type(terminalio.FONT).get_glyph
_set_region = _DisplayCore.set_region_to_update


def install() -> None:
    """Change Blinka's classes, once."""
    displayio._stop_background()  # a thread that draws at the same time as the firmware, which fails
    I2CDisplayBus.__init__ = _probing_init
    I2CDisplayBus._send = _send_without_errors
    type(terminalio.FONT).get_glyph = _board_glyph
    type(terminalio.FONT).bitmap = _sheet()
    _DisplayCore.set_region_to_update = _board_region


def _probing_init(bus, i2c_bus, *, device_address, reset=None) -> None:
    _init(bus, i2c_bus, device_address=device_address, reset=reset)
    if device_address not in chip.devices:
        displayio.display_buses.remove(bus)
        raise ValueError(f"Unable to find I2C Display at {device_address:x}")


def _send_without_errors(bus, *arguments) -> None:
    """The board ignores I2C errors while it draws: a screen that is disconnected raises no exception."""
    try:
        _send(bus, *arguments)
    except OSError:
        pass


def _board_glyph(font, codepoint):
    """A board's font has printable ASCII only (and letters of its user interface's language)."""
    return _get_glyph(font, codepoint) if 0x20 <= codepoint <= 0x7E else None


def _sheet():
    """The board's font is one bitmap with all characters side by side in the order of ASCII; Blinka has one for each."""
    width, height = terminalio.FONT.get_bounding_box()
    sheet = displayio.Bitmap(width * (0x7F - 0x20), height, 2)
    for code in range(0x20, 0x7F):
        glyph = _get_glyph(terminalio.FONT, code)
        for y in range(glyph.height):
            for x in range(glyph.width):
                sheet[(code - 0x20) * width + x, y] = glyph.bitmap[x, y]
    return sheet


def _board_region(core, area) -> None:
    """For the SH1106 Blinka masks the column's upper half with 0xF0 where the board has 0x0F, so that it is always 0."""
    if not core.sh1107_addressing:
        _set_region(core, area)
        return
    column, page = area.x1 + core.colstart, (area.y1 + core.rowstart) // 8
    for commands in (bytes((0x10 | column >> 4, column & 0x0F)), bytes((0xB0 | page,))):
        core.begin_transaction()
        core.send(DISPLAY_COMMAND, CHIP_SELECT_TOGGLE_EVERY_BYTE, commands)
        core.end_transaction()
