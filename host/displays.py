"""Makes Blinka's displayio behave like the board's where the two differ.

Each difference was read in CircuitPython's C sources and measured; without these, tests would pass on a PC what a
board does not do, or the other way round. Import only with host/standins on sys.path.
"""
import displayio
import terminalio
from i2cdisplaybus import I2CDisplayBus

from host import chip

_init = I2CDisplayBus.__init__
_send = I2CDisplayBus._send
_get_glyph = type(terminalio.FONT).get_glyph


def install() -> None:
    displayio._stop_background()  # a thread that draws at the same time as the firmware, and dies of it
    I2CDisplayBus.__init__ = _probing_init
    I2CDisplayBus._send = _careless_send
    type(terminalio.FONT).get_glyph = _board_glyph


def _probing_init(bus, i2c_bus, *, device_address, reset=None) -> None:
    _init(bus, i2c_bus, device_address=device_address, reset=reset)
    if device_address not in chip.devices:
        displayio.display_buses.remove(bus)
        raise ValueError(f"Unable to find I2C Display at {device_address:x}")


def _careless_send(bus, *arguments) -> None:
    """The board ignores what I2C says while it draws: a screen pulled off goes dark without an exception."""
    try:
        _send(bus, *arguments)
    except OSError:
        pass


def _board_glyph(font, codepoint):
    """A board's font has printable ASCII only (and letters of its user interface's language)."""
    return _get_glyph(font, codepoint) if 0x20 <= codepoint <= 0x7E else None
