# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Draws docs/screens/page-*.png: the page in the browser, in Chromium, with the answers of tests/fake_bridge.py.

Browsers and fonts differ from one PC to the next, so pixels are not compared: a picture is current while the digest in it is
that of the page and of what is shown on it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "tests", ROOT):  # appended: the root's code.py has the name of a standard module
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

import browser  # noqa: E402
from fake_bridge import CELLS, FakeBridge, asleep, battery, bridge, four, history  # noqa: E402
from PIL import Image, PngImagePlugin  # noqa: E402

SCREENS = ROOT / "docs" / "screens"
PAGE = ROOT / "web" / "page.html"
DIGEST = "Digest"  # key of the text in a picture
LARGEST = 60_000  # bytes
COLOURS = 160
NOON = 1_770_000_000_000  # ms: the browser's clock stands still
PHONE = (360, 740, 2)  # width, height, pixels of each
DESKTOP = (1160, 800, 1)
ARGUMENTS = [*browser.ARGUMENTS, "--force-color-profile=srgb"]


def _over():
    """A cell that is too full, in a pack that still charges."""
    cells = [cell + 60 for cell in CELLS]
    cells[6] = 3655
    alarms = "Cell overvoltage (protection), State of charge high (warning)"
    more = {"charge_mosfet": "OFF", "balancing": "ON", "cell_7_balancing": "ON", "time_to_full": 0.5}
    return battery(soc=98.6, current=8.2, voltage=54.0, cells=tuple(cells), alarms=alarms, **more)


def pictures() -> dict[str, dict]:
    """Name -> what is shown: size, colours ("light" or "dark") and the answers of the bridge."""
    one = {"bms1": battery()}
    batteries, bank = four()
    shown = {
        "page-phone": (PHONE, "light", one, None, history()),
        "page-dark": (PHONE, "dark", one, None, history()),
        "page-alarm": (PHONE, "light", {"bms1": _over()}, None, history(soc=98.6, current=8.2, voltage=54.0)),
        "page-no-data": (PHONE, "light", {"bms1": asleep()}, None, history(minutes=1425, ago_s=900)),
        "page-four": (DESKTOP, "light", batteries, bank, history(soc=58.2, current=-51.6, batteries=4)),
    }
    names = ("size", "scheme", "batteries", "bank", "history")
    return {name: dict(zip(names, what, strict=True)) | {"bridge": bridge()} for name, what in shown.items()}


def digest(what: dict) -> str:
    """Of the page, without the names of all readings that there are, and of what is shown on it."""
    page = re.sub("<!-- made: labels -->.*<!-- end: labels -->", "", PAGE.read_text(), flags=re.DOTALL)
    return hashlib.sha256((page + json.dumps(what)).encode()).hexdigest()


def outdated() -> list[str]:
    """The names of pictures that are missing, not of this page, or no longer drawn."""
    wanted = pictures()
    wrong = [name for name, what in wanted.items() if _digest_of(SCREENS / f"{name}.png") != digest(what)]
    return [f"{name}.png" for name in wrong] + [path.name for path in SCREENS.glob("page-*.png") if path.stem not in wanted]


def draw(names: list[str]) -> dict[str, bytes]:
    """File name -> contents, of these files."""
    if browser.program() is None:
        raise SystemExit("The pictures of the page need Chromium: apt install chromium")
    from playwright.sync_api import sync_playwright

    wanted = {f"{name}.png": what for name, what in pictures().items()}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.program(), args=ARGUMENTS)
        made = {name: _drawn(chromium, wanted[name]) for name in names if name in wanted}
        chromium.close()
    return made


def _drawn(chromium, what: dict) -> bytes:
    fake = FakeBridge(what["batteries"], what["bank"])
    fake.bridge, fake.history = what["bridge"], what["history"]
    width, height, scale = what["size"]
    size = {"width": width, "height": height}
    page = chromium.new_page(viewport=size, color_scheme=what["scheme"], device_scale_factor=scale, reduced_motion="reduce")
    page.clock.set_fixed_time(NOON)
    page.goto(fake.url)
    page.wait_for_selector("#link.live")
    page.wait_for_selector("path.s[d*=L]", state="attached")  # the history is there
    picture = Image.open(io.BytesIO(page.screenshot()))
    page.close()
    fake.stop()
    return _png(picture, digest(what))


def _png(picture: Image.Image, text: str) -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text(DIGEST, text)
    file = io.BytesIO()
    few = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True, pnginfo=notes)
    return file.getvalue()


def _digest_of(path: Path) -> str | None:
    if not path.exists():
        return None
    with Image.open(path) as picture:
        return picture.info.get(DIGEST)
