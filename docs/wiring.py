# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Draws docs/wiring: the wiring as SVG. Run it after a change: .venv/bin/python docs/wiring.py"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parent / "wiring"
PLUS, GROUND, OTHER_GROUND, TO_BOARD, TO_BMS, NEVER = "#c62828", "#212121", "#8d6e63", "#1565c0", "#2e7d32", "#d50000"
BATTERY_SIDE, BOARD_SIDE = "#fff8ee", "#eef6fd"
PITCH = 34  # between two pins


class Drawing:
    """Boxes with pins, wires between them, and text."""

    def __init__(self, width: int, height: int, title: str):
        self.size = width, height
        self.title = title
        self.pins: dict[str, tuple[int, int]] = {}
        self.parts: list[str] = []

    def box(
        self,
        name: str,
        x: int,
        y: int,
        width: int,
        left=(),
        right=(),
        fill="#eceff1",
        below="",
        pitch=PITCH,
        height=0,
        color="#212121",
    ) -> None:
        """A box named `name`; its pins are known as "name.pin" afterwards."""
        height = height or 44 + pitch * max(len(left), len(right))
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="#546e7a"/>')
        self.words(x + width // 2, y + 22, name, "middle", bold=True, color=color)
        if below:
            self.words(x + width // 2, y + height + 18, below, "middle", size=13, color="#546e7a")
        for pins, side, anchor, inset in ((left, x, "start", 10), (right, x + width, "end", -10)):
            for index, pin in enumerate(pins):
                self._pin(f"{name}.{pin}", side, y + 33 + pitch // 2 + pitch * index)
                self.words(side + inset, y + 38 + pitch // 2 + pitch * index, pin, anchor)

    def chip(self, x: int, y: int, width: int, left, right, text, pitch: int) -> None:
        """A chip with eight pins from above: 1 to 4 down the left side, 5 to 8 up the right one, a dot at pin 1."""
        height = 44 + pitch * 4
        box = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="#e8f5e9" stroke="#546e7a"/>'
        body = f'<rect x="{x + 78}" y="{y + 34}" width="{width - 156}" height="{height - 60}" rx="4" fill="#37474f"/>'
        dot = f'<circle cx="{x + 96}" cy="{y + 52}" r="7" fill="#fff"/>'
        self.parts += [box, body, dot]
        for line, word in enumerate(text):
            self.words(x + width // 2, y + height // 2 + 4 + 20 * line, word, "middle", 14 if line else 16, "#ffffff", not line)
        self.words(x + 10, y + 20, "dot: pin 1", size=13, color=NEVER, bold=True)
        for pins, side, anchor, inset, first, step in ((left, x, "start", 12, 1, 1), (right, x + width, "end", -12, 8, -1)):
            for index, pin in enumerate(pins):
                here = y + 33 + pitch // 2 + pitch * index
                self._pin(f"chip.{pin}", side, here)
                self.words(side + inset, here - 2, pin, anchor, 14, bold=True)
                self.words(side + inset, here + 15, f"pin {first + step * index}", anchor, 12, "#546e7a")

    def _pin(self, name: str, x: int, y: int) -> None:
        self.pins[name] = x, y
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="4.5" fill="#fff" stroke="#37474f" stroke-width="2"/>')

    def zone(self, x: int, y: int, width: int, height: int, fill: str, text: str) -> None:
        """A coloured area behind everything that is drawn on it."""
        area = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="{fill}"/>'
        self.parts.append(area)
        self.words(x + width // 2, y + height - 12, text, "middle", 14, "#546e7a")

    def line(self, x1: int, y1: int, x2: int, y2: int, color: str, dashed: bool = False) -> None:
        self.path(f"M{x1} {y1} L{x2} {y2}", color, dashed)

    def path(self, path: str, color: str, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="8 6"' if dashed else ""
        self.parts.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="3"{dash}/>')

    def step(self, number: int, x: int, y: int) -> None:
        """The number of a step, in a circle."""
        self.parts.append(f'<circle cx="{x}" cy="{y}" r="14" fill="#455a64"/>')
        self.words(x, y + 6, str(number), "middle", 16, "#ffffff", True)

    def wire(self, start: str, end: str, color: str, label: str = "", via: int | None = None, dashed: bool = False) -> None:
        """A wire between two pins, straight or with a step at x = `via`."""
        (x1, y1), (x2, y2) = self.pins[start], self.pins[end]
        path = f"M{x1} {y1} H{via} V{y2} H{x2}" if via else f"M{x1} {y1} L{x2} {y2}"
        self.path(path, color, dashed)
        if label:
            self.words((x1 + (via or x2)) // 2, y1 - 8, label, "middle", size=13, color=color)

    def barrier(self, x: int, y: int, height: int, text: str) -> None:
        """A vertical line that no wire may cross."""
        path = f'<path d="M{x} {y} v{height}" stroke="{NEVER}" stroke-width="3" stroke-dasharray="4 5"/>'
        self.parts.append(path)
        self.words(x, y - 8, text, "middle", size=13, color=NEVER)

    def words(self, x: int, y: int, text: str, anchor="start", size=15, color="#212121", bold=False) -> None:
        weight = ' font-weight="bold"' if bold else ""
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{color}"{weight}>{escape(text)}</text>'
        )

    def svg(self) -> str:
        width, height = self.size
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        head += f'font-family="DejaVu Sans, Verdana, sans-serif" role="img"><title>{escape(self.title)}</title>'
        return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *self.parts, "</svg>\n"])


def uart() -> Drawing:
    """The isolator as it lies on the table, pin 1 at the top left, with its four wires on each side."""
    drawing = Drawing(940, 470, "BMS to board through the isolator, seen from above")
    drawing.zone(10, 10, 350, 390, BATTERY_SIDE, "battery side")
    drawing.zone(580, 10, 350, 390, BOARD_SIDE, "board's side")
    drawing.box("BMS socket", 30, 90, 130, right=("3.3 V", "RX", "TX", "GND"), fill="#fff3e0", pitch=60)
    drawing.box("ESP32 board", 780, 90, 130, left=("3V3", "TX", "RX", "GND"), fill="#e3f2fd", pitch=60)
    drawing.chip(
        330, 90, 280, ("VDD1", "OUT 1", "IN 1", "GND1"), ("VDD2", "IN 2", "OUT 2", "GND2"), ("ADUM1201", "seen from above"), 60
    )
    for pin, here, color, label in (
        ("3.3 V", "VDD1", PLUS, "supply"),
        ("RX", "OUT 1", TO_BMS, "requests ←"),
        ("TX", "IN 1", TO_BOARD, "responses →"),
        ("GND", "GND1", OTHER_GROUND, "battery ground"),
    ):
        drawing.wire(f"BMS socket.{pin}", f"chip.{here}", color, label)
    for pin, here, color, label in (
        ("3V3", "VDD2", PLUS, "supply"),
        ("TX", "IN 2", TO_BMS, "← requests"),
        ("RX", "OUT 2", TO_BOARD, "→ responses"),
        ("GND", "GND2", GROUND, "board ground"),
    ):
        drawing.wire(f"chip.{here}", f"ESP32 board.{pin}", color, label)
    drawing.barrier(470, 40, 370, "no wire crosses this line")
    for line, text in enumerate((
        "Turn the isolator until the dot or notch of its chip is at the top left: that is pin 1.",
        "A small two-sided board has its pins in the same places. If its print says otherwise, the print is right.",
    )):  # fmt: skip
        drawing.words(470, 432 + 20 * line, text, "middle", 14)
    return drawing


def socket() -> Drawing:
    """What a voltmeter should show at each pin of the socket before anything is connected."""
    drawing = Drawing(940, 410, "Volts at the BMS's socket before anything is connected")
    drawing.box("BMS socket", 30, 40, 170, right=("GND", "3.3 V", "TX", "RX", "button", "12 V"), fill="#fff3e0", pitch=44)
    rows = (
        ("0 V", "the same as B−, where the black tip of the voltmeter is", "#212121"),
        ("3.0 to 3.6 V", "feeds the isolator's battery side", TO_BMS),
        ("0 to 3.6 V", "differs at rest: 3.3 V, less, or 0 V", TO_BOARD),
        ("0 to 3.6 V", "differs at rest: 3.3 V, less, or 0 V", TO_BOARD),
        ("any", "not on every socket; leave it free", "#546e7a"),
        ("12 to 15 V", "DANGER: never to the board or the isolator", NEVER),
    )
    for index, (volts, text, color) in enumerate(rows):
        y = 95 + 44 * index
        drawing.line(200, y, 300, y, color, dashed=True)
        drawing.words(312, y + 6, volts, bold=True, size=17, color=color)
        drawing.words(450, y + 6, text, color=color)
    drawing.words(
        30,
        368,
        "The order of the pins differs from socket to socket: it is the measurement that tells which is which.",
        size=14,
    )
    drawing.words(
        30,
        392,
        "More than 3.6 V on a pin that should be 3.3 V, TX or RX: stop, and read “The 12 V socket”.",
        size=14,
        color=NEVER,
    )
    return drawing


def build() -> Drawing:
    """Everything together, with the order in which it is connected."""
    drawing = Drawing(1080, 660, "The whole build")
    drawing.zone(10, 10, 455, 590, BATTERY_SIDE, "battery side: its ground is B−")
    drawing.zone(575, 10, 495, 590, BOARD_SIDE, "board's side: its ground is that of the USB charger")
    drawing.box("Battery", 40, 40, 170, fill="#fff3e0", height=100)
    drawing.words(125, 100, "4 to 48 cells", "middle", 13, "#546e7a")
    drawing.line(80, 140, 80, 240, OTHER_GROUND)
    drawing.words(92, 188, "B− and the thin sense wires:", size=13, color=OTHER_GROUND)
    drawing.words(92, 206, "they are there already", size=13, color=OTHER_GROUND)
    drawing.box("Daly BMS", 40, 240, 170, right=("3.3 V", "RX", "TX", "GND"), fill="#fff3e0", pitch=44)
    drawing.words(52, 352, "UART", size=13, color="#546e7a")
    drawing.words(52, 370, "socket", size=13, color="#546e7a")
    drawing.words(125, 480, "P− goes to load and charger.", "middle", 13, "#546e7a")
    drawing.words(125, 498, "Nothing of this build touches it.", "middle", 13, "#546e7a")
    drawing.box(
        "Isolator", 400, 240, 240, ("VDD1", "OUT 1", "IN 1", "GND1"), ("VDD2", "IN 2", "OUT 2", "GND2"), "#e8f5e9", pitch=44
    )
    drawing.box("ESP32 board", 830, 240, 180, ("3V3", "TX", "RX", "GND"), fill="#e3f2fd", pitch=44)
    for pin, left, right, board, color in (
        ("3.3 V", "VDD1", "VDD2", "3V3", PLUS),
        ("RX", "OUT 1", "IN 2", "TX", TO_BMS),
        ("TX", "IN 1", "OUT 2", "RX", TO_BOARD),
        ("GND", "GND1", "GND2", "GND", None),
    ):
        drawing.wire(f"Daly BMS.{pin}", f"Isolator.{left}", color or OTHER_GROUND)
        drawing.wire(f"Isolator.{right}", f"ESP32 board.{board}", color or GROUND)
    drawing.box("Screen (OLED)", 830, 40, 180, fill="#263238", height=90, color="#ffffff")
    drawing.words(920, 104, "57 %  52.7 V", "middle", 18, "#80deea", True)
    for x, pin, color in ((860, "VCC", PLUS), (900, "GND", GROUND), (940, "SDA", TO_BOARD), (980, "SCL", TO_BMS)):
        drawing.line(x, 130, x, 240, color)
        drawing.words(x + 5, 190, pin, size=12, color=color)
    drawing.words(970, 330, "Wi-Fi", "middle", 15, "#546e7a", True)
    drawing.words(970, 350, "to broker", "middle", 12, "#546e7a")
    drawing.words(970, 366, "and Home", "middle", 12, "#546e7a")
    drawing.words(970, 382, "Assistant", "middle", 12, "#546e7a")
    drawing.box("USB charger, 5 V", 830, 520, 180, fill="#f3e5f5", height=50)
    drawing.line(920, 460, 920, 520, PLUS)
    drawing.words(932, 495, "USB cable", size=13, color=PLUS)
    drawing.barrier(520, 290, 160, "")
    drawing.words(520, 200, "Only the isolator", "middle", 14, NEVER, True)
    drawing.words(520, 219, "joins the two sides", "middle", 14, NEVER, True)
    for number, x, y in ((1, 800, 545), (2, 800, 85), (3, 240, 270), (4, 735, 270), (5, 305, 270)):
        drawing.step(number, x, y)
    drawing.words(540, 628, "In this order:  1 power the board alone · 2 the screen · 3 measure the BMS's socket", "middle")
    drawing.words(540, 650, "4 the isolator to the board · 5 the isolator to the BMS, last", "middle")
    return drawing


def supply12() -> Drawing:
    """The battery side of the isolator where the socket has 12 V and no 3.3 V."""
    drawing = Drawing(940, 320, "A socket with 12 V: a converter feeds the isolator's battery side")
    drawing.zone(10, 10, 700, 272, BATTERY_SIDE, "battery side")
    drawing.box("BMS socket", 30, 50, 130, right=("12 V", "GND", "RX", "TX"), fill="#fff3e0")
    drawing.box("Step-down converter", 250, 50, 200, ("IN +", "IN − "), ("OUT +", "OUT −"), "#fffde7", below="set to 3.3 V")
    drawing.box("Isolator", 620, 50, 190, ("VDD1", "GND1", "OUT 1", "IN 1"), fill="#e8f5e9")
    drawing.wire("BMS socket.12 V", "Step-down converter.IN +", NEVER, "12 V")
    drawing.wire("BMS socket.GND", "Step-down converter.IN − ", OTHER_GROUND)
    drawing.wire("Step-down converter.OUT +", "Isolator.VDD1", PLUS, "3.3 V")
    drawing.wire("Step-down converter.OUT −", "Isolator.GND1", OTHER_GROUND)
    drawing.path("M160 168 H210 V225 H570 V168 H620", TO_BMS)
    drawing.path("M160 202 H190 V240 H595 V202 H620", TO_BOARD)
    drawing.words(840, 125, "board's side:", size=14)
    drawing.words(840, 145, "as before", size=14)
    drawing.words(
        470, 306, "Measure the converter's output before the isolator is connected: 3.3 V, not more.", "middle", 14, NEVER
    )
    return drawing


def power() -> Drawing:
    drawing = Drawing(860, 400, "Powering the board")
    drawing.box("Cells", 20, 30, 130, right=("B+", "B−"), fill="#fff3e0")
    drawing.box("BMS", 270, 30, 150, ("B+ ", "B−"), ("P+", "P−"), "#fff3e0", below="switches between B− and P−")
    drawing.box("Load, charger, inverter", 570, 30, 270, left=("plus", "minus"), fill="#eceff1")
    drawing.wire("Cells.B+", "BMS.B+ ", PLUS)
    drawing.wire("Cells.B−", "BMS.B−", OTHER_GROUND, "battery ground")
    drawing.wire("BMS.P+", "Load, charger, inverter.plus", PLUS)
    drawing.wire("BMS.P−", "Load, charger, inverter.minus", GROUND, "power ground")
    x1, y1 = drawing.pins["Cells.B−"]
    x2, _ = drawing.pins["Load, charger, inverter.minus"]
    path = f"M{x1 + 30} {y1} V190 H{x2 - 30} V{y1}"
    drawing.parts.insert(0, f'<path d="{path}" fill="none" stroke="{NEVER}" stroke-width="3" stroke-dasharray="4 6"/>')
    drawing.words(360, 215, "✗  never connect B− and P−, not even through USB, screen or shield  ✗", "middle", 14, NEVER, True)
    drawing.box("USB charger", 20, 250, 150, right=("5 V", "GND"), fill="#f3e5f5", below="from the mains")
    drawing.box("ESP32 board", 270, 250, 150, left=("5 V (USB)", "GND"), fill="#e3f2fd")
    drawing.wire("USB charger.5 V", "ESP32 board.5 V (USB)", PLUS)
    drawing.wire("USB charger.GND", "ESP32 board.GND", GROUND)
    for line, text in enumerate((
        "Or instead of the charger: a 5 V converter at P+ and P−,",
        "with a fuse, made for the battery's full voltage.",
        "Not at B−, not at one cell, and not at the 3.3 V of the",
        "BMS's socket, which cannot feed a board.",
    )):  # fmt: skip
        drawing.words(460, 290 + 20 * line, text, size=13)
    return drawing


def oled() -> Drawing:
    drawing = Drawing(620, 240, "The screen")
    drawing.box("OLED, I²C", 40, 30, 150, right=("VCC", "GND", "SDA", "SCL"), below="SSD1306 or SH1106")
    drawing.box("ESP32 board", 420, 30, 160, left=("3V3", "GND", "SDA", "SCL"), fill="#e3f2fd", below="OLED_SDA, OLED_SCL")
    for screen, board, color in (
        ("VCC", "3V3", PLUS),
        ("GND", "GND", GROUND),
        ("SDA", "SDA", TO_BOARD),
        ("SCL", "SCL", TO_BMS),
    ):
        drawing.wire(f"OLED, I²C.{screen}", f"ESP32 board.{board}", color)
    return drawing


def wake() -> Drawing:
    drawing = Drawing(860, 230, "The wake pin, through an optocoupler")
    drawing.box("ESP32 board", 20, 50, 150, right=("WAKE_PIN", "GND"), fill="#e3f2fd")
    drawing.box("1 kΩ", 250, 50, 70, ("a",), ("b",), "#fffde7")
    drawing.box("Optocoupler PC817", 400, 50, 200, ("LED +", "LED −"), ("collector", "emitter"), "#e8f5e9")
    drawing.box("BMS button", 700, 50, 140, left=("plus", "minus"), fill="#fff3e0", below="S1, or the button's wires")
    drawing.wire("ESP32 board.WAKE_PIN", "1 kΩ.a", TO_BMS)
    drawing.wire("1 kΩ.b", "Optocoupler PC817.LED +", TO_BMS)
    drawing.wire("ESP32 board.GND", "Optocoupler PC817.LED −", GROUND, via=360)
    drawing.wire("Optocoupler PC817.collector", "BMS button.plus", OTHER_GROUND)
    drawing.wire("Optocoupler PC817.emitter", "BMS button.minus", OTHER_GROUND)
    drawing.barrier(500, 80, 72, "")
    drawing.words(
        430, 215, "the optocoupler closes the contact as a finger would; measure which wire is plus", "middle", 13, "#546e7a"
    )
    return drawing


def rs485() -> Drawing:
    drawing = Drawing(860, 270, "RS485 through an isolated transceiver")
    drawing.box("BMS socket RS485", 20, 50, 180, right=("A", "B", "GND"), fill="#fff3e0", below="battery side")
    drawing.box("Isolated RS485 module", 330, 50, 230, ("A", "B", "GND bus"), ("VCC", "RO / TXD", "DI / RXD", "GND"), "#e8f5e9")
    drawing.box("ESP32 board", 690, 50, 150, left=("3V3", "RX", "TX", "GND"), fill="#e3f2fd", below="board's side")
    drawing.wire("BMS socket RS485.A", "Isolated RS485 module.A", TO_BOARD)
    drawing.wire("BMS socket RS485.B", "Isolated RS485 module.B", TO_BMS)
    drawing.wire("BMS socket RS485.GND", "Isolated RS485 module.GND bus", OTHER_GROUND, "battery ground")
    for module, board, color in (
        ("VCC", "3V3", PLUS),
        ("RO / TXD", "RX", TO_BOARD),
        ("DI / RXD", "TX", TO_BMS),
        ("GND", "GND", GROUND),
    ):
        drawing.wire(f"Isolated RS485 module.{module}", f"ESP32 board.{board}", color)
    drawing.barrier(445, 90, 130, "")
    drawing.words(445, 258, "with automatic direction: there is no setting for a direction pin", "middle", 13, "#546e7a")
    return drawing


DRAWINGS = {
    "build": build,
    "uart": uart,
    "socket": socket,
    "supply12": supply12,
    "power": power,
    "oled": oled,
    "wake": wake,
    "rs485": rs485,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, make in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(make().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
