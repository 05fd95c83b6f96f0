"""The OLED: three lines of text on an SSD1306 through displayio. Only what changed is drawn."""

import busio
import displayio
import i2cdisplaybus
import terminalio
from adafruit_display_text import bitmap_label
from adafruit_displayio_ssd1306 import SSD1306

WIDTH = 128
HEIGHT = 32
# 0.8 ms for a page at 400 kHz; bitmap_label sends a third of what label does (795 instead of 2370 bytes for three lines)
FREQUENCY = 400000
LINES_Y = (6, 16, 26)  # the font is 12 high: with this pitch three lines fit 32 rows uncut


class Panel:
    """The screen. Raises RuntimeError or ValueError when there is none: no pull-ups, or nobody at the address."""

    def __init__(self, scl, sda, address):
        displayio.release_displays()  # a display survives a reload
        bus = i2cdisplaybus.I2CDisplayBus(busio.I2C(scl, sda, frequency=FREQUENCY), device_address=address)
        self._display = SSD1306(bus, width=WIDTH, height=HEIGHT, auto_refresh=False)
        self._labels = []
        group = displayio.Group()
        for y in LINES_Y:
            label = bitmap_label.Label(terminalio.FONT, text="", x=0, y=y)
            self._labels.append(label)
            group.append(label)
        self._display.root_group = group

    def show(self, lines):
        """Draw three lines of text."""
        changed = False
        for label, line in zip(self._labels, lines):
            if label.text != line:
                label.text = line
                changed = True
        if changed:
            self._display.refresh()
