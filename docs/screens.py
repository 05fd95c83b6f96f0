# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Draws docs/screens: every page as the real displayio and driver draw it on a model of the OLED, and a tour as a GIF; the
page in the browser (page_pictures.py), and the demo (demo_picture.py).

`make screens` draws what is not current; with --check it only names it, and the exit status is 1.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# appended: the root's code.py has a standard module's name
for folder in (ROOT / "host" / "standins", ROOT / "tests", ROOT / "docs", ROOT):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

import board  # noqa: E402
import busio  # noqa: E402
import demo_picture  # noqa: E402
import displayio  # noqa: E402
import page_pictures  # noqa: E402
from PIL import Image, ImageChops  # noqa: E402
from simulation import Wire  # noqa: E402

from app.settings import Settings  # noqa: E402
from battery.alarms import active  # noqa: E402
from battery.bank import Bank  # noqa: E402
from battery.pack import Battery  # noqa: E402
from battery.readings import READING  # noqa: E402
from display import pages, several  # noqa: E402
from display.outputs import output_page  # noqa: E402
from display.panel import Panel  # noqa: E402
from host import chip, displays  # noqa: E402
from host.sh1106 import SH1106  # noqa: E402
from host.ssd1306 import SSD1306  # noqa: E402

SCREENS = ROOT / "docs" / "screens"
AGAIN = "make screens"
VERSION = "1.0.0"  # on the pictures, so that they do not change with every release
SEVERAL = ("soc=57.3", "soc=61.2,current=-11.8,seed=2", "soc=58.4,current=-14.1,seed=3", "soc=55.9,current=-13.3,seed=4")
TOUR = ("starting", "overview", "cells", "energy", "network", "warning", "alarm", "asleep", "no-wifi")
SECONDS_PER_PAGE = 2

_battery = "drift=0,cells=16,soc=57.3,current=-12.4"
_WRONG_SETTINGS = 'MQTT_BROKR = "192.168.1.10"\n'


class Oled:
    """A model of the module and a Panel on it."""

    def __init__(self, height=32, kind="SSD1306", rotation=0):
        displays.install()
        displayio.release_displays()
        self.model = SH1106() if kind == "SH1106" else SSD1306()
        chip.devices[0x3C] = self.model
        self.panel = Panel(busio.I2C(board.SCL, board.SDA), kind, 0x3C, height, rotation)
        self.panel.set_brightness(60)

    def draw(self, page) -> Image.Image:
        """The page as it looks on the module."""
        self.panel.show(page)
        while self.panel.step():
            pass
        return self.model.picture()

    def close(self) -> None:
        self.panel.close()
        del chip.devices[0x3C]


def battery(options="", seconds=10):
    """The wire of a simulated BMS after some seconds, with energy counters that are not zero."""
    wire = Wire(_battery + ("," + options if options else ""), current_sign="normal").run(seconds)
    wire.pack.energy.load([1234567, 1189012, 24000000, 23000000])
    for key in ("energy_charged", "energy_discharged"):
        wire.pack.put(READING[key], 0, wire.pack.energy.total(key), wire.now)
    return wire


def all_pages(rows: int) -> dict:
    """Name -> page, for a screen of so many lines."""
    tail = "-64" if rows == pages.TALL else ""
    wire = battery()
    pack = wire.pack
    low = battery("soc=14.8,alarms=soc_low_1").pack
    over = battery("current=96.5,soc=99.1,alarms=cell_high_2+soc_high_1").pack
    many = battery("cells=48,spread=120,current=35").pack
    asleep = battery()
    asleep.set("silent", 1)
    asleep.run(200)
    silent = Wire("silent=1").run(20)
    wifi = pages.network_words(("wifi_password", ("Cellar",)), False)
    found = {
        "starting": pages.no_bms(Wire().poller.diagnosis.short, VERSION, pages.network_words(("connecting", ()), False), rows),
        "overview": pages.overview(pack, rows),
        "cells": pages.cells(pack, rows),
        "cells-48": pages.cells(many, rows),
        "energy": pages.energy(pack, rows),
        "network": pages.network("192.168.1.77", -58, "192.168.1.10:1883", VERSION, rows),
        "warning": pages.overview(low, rows, pages.warning(active(low))),
        "alarm": pages.alarm(over, active(over)[0], "", rows),
        "output": output_page("Water heater", True, "on: soc 57.3 % is not below 50 %", rows),
        "no-bms": pages.no_bms(silent.poller.diagnosis.short, VERSION, "", rows),
        "asleep": pages.no_bms(asleep.poller.diagnosis.short, VERSION, "", rows),
        "no-wifi": pages.message(wifi, rows)[0],
        "no-broker": pages.message("No broker 192.168.1.9:1883: connection refused", rows)[0],
        "settings": pages.message(Settings(_WRONG_SETTINGS).problems[0].replace("settings.toml line", "line"), rows)[0],
    }
    return {name + tail: page for name, page in found.items()}


def pages_of_several(rows: int) -> dict:
    """The same of four batteries, one of which is silent or has an alarm in some of them."""
    wires = [battery(options) for options in SEVERAL]
    labels = ("BMS 1", "BMS 2", "Garage", "BMS 4")
    batteries = [
        Battery(number, f"bms{number}", "", labels[number - 1], wire.pack, wire.poller) for number, wire in enumerate(wires, 1)
    ]
    bank = Bank(batteries)
    garage = batteries[2]
    over = battery("current=96.5,soc=99.1,alarms=cell_high_2").pack
    found = {
        "bank": several.bank_overview(bank, rows, ""),
        "bank-cells": several.bank_cells(bank, rows, ""),
        "bank-energy": several.bank_energy(bank, rows, ""),
        "bank-battery": several.overview(garage.pack, rows, "", garage.label),
        "bank-battery-cells": several.cells(garage.pack, rows, "", garage.label),
        "bank-alarm": several.alarm(over, active(over)[0], "", rows, garage.label),
    }
    wires[2].set("silent", 1)
    wires[2].run(200)
    link = garage.poller.diagnosis.short
    found["bank-silent"] = several.no_bms(link, "", rows, garage.label)
    found["bank-three"] = several.bank_overview(bank, rows, "")
    tail = "-64" if rows == pages.TALL else ""
    return {name + tail: page for name, page in found.items()}


def drawn() -> dict[str, bytes]:
    """File name -> contents, of everything in docs/screens."""
    files = {}
    for height, rows in ((32, pages.SHORT), (64, pages.TALL)):
        oled = Oled(height)
        shown = all_pages(rows) | pages_of_several(rows)
        pictures = {name: oled.draw(page) for name, page in shown.items()}
        oled.close()
        if rows == pages.SHORT:
            files["tour.gif"] = _gif([pictures[name] for name in TOUR])
            files["demo.svg"] = demo_picture.drawn(pictures["overview"], battery())
        files.update({name + ".png": _png(picture) for name, picture in pictures.items()})
    return files


def outdated() -> list[str]:
    """The names of pictures that differ from the screen, are missing, or are no longer drawn."""
    files = drawn()
    wrong = [name for name, data in files.items() if not _is_same(SCREENS / name, data)] + page_pictures.outdated()
    return wrong + [path.name for path in SCREENS.glob("*.png") if path.name not in files and not _is_of_others(path)]


def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        raise SystemExit(__doc__)
    names = outdated()
    if sys.argv[1:]:
        for name in names:
            print(f"docs/screens/{name} is not current; run: {AGAIN}")
        raise SystemExit(1 if names else 0)
    files = drawn()
    of_the_page = [name for name in names if name.startswith("page-")]
    if of_the_page:
        files |= page_pictures.draw(of_the_page)
    SCREENS.mkdir(exist_ok=True)
    for name in names:
        if name in files:
            (SCREENS / name).write_bytes(files[name])
        else:
            (SCREENS / name).unlink()


def _is_of_others(path: Path) -> bool:
    """Pictures of Home Assistant are here, too, and those of the page."""
    return path.name.startswith(("home-assistant", "page-"))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=4).save(file, "PNG", optimize=True)
    return file.getvalue()


def _gif(pictures: list) -> bytes:
    file = io.BytesIO()
    frames = [picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=4) for picture in pictures]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=1000 * SECONDS_PER_PAGE, loop=0)
    return file.getvalue()


def _is_same(path: Path, data: bytes) -> bool:
    """Whether two pictures have the same pixels, however they are compressed."""
    if not path.exists() or path.suffix == ".svg":
        return path.exists() and path.read_bytes() == data
    with Image.open(path) as kept, Image.open(io.BytesIO(data)) as made:
        if (kept.size, getattr(kept, "n_frames", 1)) != (made.size, getattr(made, "n_frames", 1)):
            return False
        for frame in range(getattr(made, "n_frames", 1)):
            kept.seek(frame)
            made.seek(frame)
            if ImageChops.difference(kept.convert("RGB"), made.convert("RGB")).getbbox() is not None:
                return False
    return True


if __name__ == "__main__":
    main()
