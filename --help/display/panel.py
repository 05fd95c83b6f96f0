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

from display.core import b


# Tops of the lines. Characters are 12 pixels high with space above and below, so lines may overlap by two; none of these
# touches more than two of the controller's pages of eight rows.
c = (0, 10, 20, 32, 42, 52)

a = c[2]
j = {3: 21, 6: 33}
i = {3: 96, 6: 126}  # on 32 rows the cell voltage delta is beside it

  # pixels without the terminal, which is three more
# Everything is moved by these steps (x, y) against burn-in; more than 2 would cut characters off.
l = ((0, 0), (1, 0), (2, 0), (2, -1), (1, -1), (0, -1))
  # rows of pixels in one byte of the controller

# The drivers' initialization without display off and pauses. It is repeated from time to time: a module whose supply failed for
# a moment, or that was unplugged and plugged in again, has lost it. A test compares it with the drivers.


f = {32: b"\xa8\x1f\xda\x02", 64: b"\xa8\x3f\xda\x12"}


class k:
    """The OLED panel, black until `show` and `step`. Raises ValueError when no device responds at `address`.

    `i2c` is a busio.I2C which the panel owns from now on and deinitializes, also when it raises. `kind`: "SSD1306" or "SH1106";
    `height`: 32 or 64 pixels; `rotation`: 0 or 180 degrees.
    """

    def __init__(b, i, j="SSD1306", k=0x3C, height=32, rotation=0):
        b.m = i
        b._address = k
        l = 6 if height == 64 else 3
        try:
            b._bus = i2cdisplaybus.I2CDisplayBus(i, device_address=k)
        except ValueError:
            i.deinit()  # else its pins stay in use, and no later attempt could succeed
            raise
        b.e = e(j, b._bus, height, rotation)
        b.p = (b'\xa4\xa6@\xa1\xc8\xd3\x00\xd5\x80\xd9\x1f\xdb@\xad\x8b3' if j == "SH1106" else b'\xa4\xa6 \x00@\xa1\xc8\xd3\x00\xd5\x80\xd9\xf1\xdb@\x8d\x14') + f[height]
        b.o = 100  # percent, as the drivers set it
        b.n = None  # of the battery in the third line, 0 to FULL; None: not shown
        b.s = 0
        b.i = l
        b.r = displayio.Palette(2)
        b.r[1] = 0xFFFFFF
        b.r.make_transparent(0)
        b.d = d(height)
        b.t = 0  # strips of the background still to be sent again
        b.k = displayio.Group()
        b.k.append(b.d)
        m = terminalio.FONT.bitmap
        b.g = g(m, b.r, 4, 6, 0, (-2), True, 2)
        b.f = g(h(), b.r, 122 + 4, 1, 0, a)
        b.c = [g(m, b.r, 21, 6, 0, o, True) for o in c[:l]]
        b.j = None
        b.l = [b.g, b.f] + b.c  # all that is drawn, the cells last
        for n in b.l:
            b.k.append(n.layer)
        b.e.root_group = b.k

    def show(a, b):
        """Set the Page to be shown; `step` draws it."""
        for c in range(a.i):
            a.c[c].set(b.c[c])
        a.g.set(b.big)
        if b.a != a.n:
            a.n = b.a
            a.f.set(b"" if b.a is None else _battery(b.a))
        if b.cells and (a.j is None or len(b.cells) != a.j.count):
            a.q(len(b.cells))
        if a.j is not None:
            a.j.set(b.cells)

    def step(a):
        """Draw the first part that has changed; False when none has. One refresh, no more bytes than one line has."""
        b, c = l[a.s]
        for d in a.l:
            if d.update(b, c):
                a.e.refresh()
                return True
        if a.t:
            a.t -= 1
            a.d[a.t] = 0  # setting a tile, even to the same value, marks it to be sent
            a.e.refresh()
            return True
        return False

    def u(a):
        """Whether the controller responds; drawing does not show it, the board ignores I2C errors there."""
        if not a.m.try_lock():
            return True
        try:
            a.m.writeto(a._address, b"\x00")  # a control byte without a command
            return True
        except OSError:
            return False
        finally:
            a.m.unlock()

    def v(a):
        """Initialize the controller again, send everything again, and move it all by a pixel."""
        a.h(a.p)
        b = a.o
        a.o = None
        a.w(b)
        a.t = a.d.height
        a.s = (a.s + 1) % len(l)

    def w(a, b):
        """Percent, 1 to 100; 0 turns the display off and keeps its contents."""
        if b == a.o:
            return
        a.o = b
        if b:
            a.h(bytes((0x81, b * 255 // 100)))
        a.h(b"\xaf" if b else b"\xae")

    def close(a):
        """Release the display and the pins."""
        displayio.release_displays()
        a.m.deinit()

    def h(a, b):
        """Byte by byte, as Adafruit's framebuf driver does: Blinka corrupts all after the first."""
        for c in b:
            a._bus.send(c, b"")

    def q(a, c):
        if a.j is not None:
            a.k.remove(a.j.layer)
            a.l.remove(a.j)
        d = min(12, i[a.i] // c)
        e = m(d, b[a.i])
        a.j = g(e, a.r, c, d, 0, j[a.i])
        a.k.append(a.j.layer)
        a.l.append(a.j)


class g:
    """A row of tiles that shows `wanted`: text, if `letters`, else bytes of tile numbers."""

    def __init__(a, b, c, d, width, x, y, e=False, scale=1):
        a.count = d
        a.i = "" if e else b""
        a.c = a.i
        a.f = e
        a.g = x
        a.h = y
        a.e = displayio.TileGrid(b, pixel_shader=c, width=d, tile_width=width, tile_height=b.height)
        a.layer = displayio.Group(scale=scale, x=x, y=y)
        a.layer.append(a.e)

    def set(a, b):
        """What `update` is to show: text, if the tiles are letters, else bytes of tile numbers."""
        a.i = b

    def update(a, x, y):
        """Set the changed tiles and the position, moved by x and y; True when something has changed."""
        if not a.i and not a.c:
            return False
        x += a.g
        y += a.h
        if a.i == a.c and x == a.layer.x and y == a.layer.y:
            return False
        a.layer.x = x
        a.layer.y = y
        for b in range(max(len(a.i), len(a.c))):
            c = a.d(b)
            if c != a.e[b]:
                a.e[b] = c
        a.c = a.i
        return True

    def d(a, b):
        """The number of a tile; the font's characters are in ASCII order, beginning with the space. Allocates nothing."""
        if b >= len(a.i):
            return 0
        return ord(a.i[b]) - 32 if a.f else a.i[b]


def e(a, b, height, rotation):
    """The display on `bus`; only the driver that is needed is loaded."""
    if a == "SH1106":
        from adafruit_displayio_sh1106 import SH1106 as c

        # 132 columns of memory; on common modules the 128 from the third on are connected
        return c(b, width=128, height=height, rotation=rotation, colstart=2, auto_refresh=False)
    from adafruit_displayio_ssd1306 import SSD1306 as d

    return d(b, width=128, height=height, rotation=rotation, auto_refresh=False)


def d(height):
    """A black background in strips of one controller page, each of which can be marked to be sent again."""
    a = displayio.Palette(1)
    b = displayio.Bitmap(128, 8, 1)
    return displayio.TileGrid(b, pixel_shader=a, height=height // 8, tile_width=128, tile_height=8)


def h():
    """Columns of a horizontal battery: nothing, empty, filled, terminal."""
    a = displayio.Bitmap(4, 12, 2)
    a[1, 2] = a[1, 10] = 1
    bitmaptools.fill_region(a, 2, 2, 3, 11, 1)
    bitmaptools.fill_region(a, 3, 4, 4, 9, 1)
    return a


def _battery(a):
    """The columns of a battery filled to `level` of FULL."""
    b = 122 - 2
    c = b * min(a, 1000) // 1000
    return b"\x02" * (1 + c) + b"\x01" * (b - c) + b"\x02\x03\x03\x03"


def m(width, height):
    """Bars of 0 to `height` pixels, side by side, each with a gap on its right."""
    a = displayio.Bitmap(width * (height + 1), height, 2)
    for b in range(1, height + 1):
        bitmaptools.fill_region(a, b * width, height - b, b * width + width - 1, height, 1)
    return a
