# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""START-HERE.html: complete without internet, made of the project's pages, every link and picture in it is there."""

import base64
import re
import struct
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import browser
import pytest
from browser import CONTRAST, DESKTOP, PHONE

from tools import bundle, start_here

ROOT = Path(__file__).resolve().parent.parent
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What is in the page: ids, links, pictures (address and text), the text itself; its elements must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.pictures, self.words, self.open, self.others = [], [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids += [values["id"]] if "id" in values else []
        if tag == "a":
            self.links.append(values["href"])
        if tag == "img":
            self.pictures.append((values["src"], values["alt"]))
        elif "src" in values or tag in ("link", "script", "iframe"):
            self.others.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page():
    return Page(bundle.guide(mpy=False).decode())


def test_nothing_is_loaded_from_elsewhere(page):
    assert page.others == []
    assert [source for source, _ in page.pictures if not source.startswith("data:image/")] == []
    style = bundle.guide(mpy=False).decode().partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style


def test_links_lead_to_a_place_in_the_page_or_to_the_internet(page):
    assert len(set(page.ids)) == len(page.ids)
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert inside and set(inside) <= set(page.ids)
    assert [link for link in page.links if not link.startswith(("#", "https://")) and link != "settings.html"] == []


def test_pictures_are_those_of_the_pages_and_each_has_a_text(page):
    found = [base64.b64decode(source.partition(",")[2]) for source, _ in page.pictures]
    for name in ("docs/wiring/build.svg", "docs/wiring/uart.svg", "docs/wiring/socket.svg", "docs/wiring/supply12.svg"):
        assert (ROOT / name).read_bytes() in found, name
    assert (ROOT / "docs/screens/no-bms.png").read_bytes() in found
    assert [text for _, text in page.pictures if len(text) < 8] == []
    for data in found:
        if data.startswith(b"\x89PNG"):
            assert struct.unpack(">II", data[16:24]) > (0, 0)
        else:
            assert ElementTree.fromstring(data).tag.endswith("svg")


def test_it_has_what_a_newcomer_needs(page):
    for words in (
        "ESP8266", "PSRAM", "pin 1", "12 to 15 V", "Extract All", "Finder", "Eject", "settings.example.toml", "Smart Quotes",
        "No BMS: check", "code.py must be directly on the drive", "Over the network", bundle.version(),
    ):  # fmt: skip
        assert words in page.text, words
    for package in ("adafruit-circuitpython-minimqtt", "adafruit-circuitpython-ds18x20"):
        assert re.search(rf"{package} \d", page.text), package
    assert not re.search(r"\{\w+\}|<!--|\]\(", page.text)


def test_the_zip_is_named_and_its_form_described():
    compiled, plain = (" ".join(bundle.guide(mpy).decode().split()) for mpy in (True, False))
    assert f"daly-mqtt-{bundle.version()}.zip" in compiled and "mpy-cross" in compiled
    assert "readable sources" in plain and "mpy-cross" not in plain


def test_a_section_that_is_gone_is_named(tmp_path, monkeypatch):
    (tmp_path / "tools").mkdir()
    (tmp_path / "README.md").write_text("# T\n\n## Buy\n\ntext\n")
    (tmp_path / "tools" / "START-HERE.md").write_text("# S\n\n<!-- include: README.md#Wire -->\n")
    monkeypatch.setattr(start_here, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r'README.md has no heading "Wire"'):
        start_here.made("1", "", [], "z.zip")


def test_links_between_pages_become_places_here_or_names(tmp_path, monkeypatch):
    (tmp_path / "tools").mkdir(), (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "A.md").write_text("# A\n\n## One\n\n[two](#two) [three](#three) [B](B.md#x)\n\n### Two\n\n## Three\n")
    (tmp_path / "tools" / "START-HERE.md").write_text("# S\n\n## Here\n\n<!-- include below: docs/A.md#One -->\n")
    monkeypatch.setattr(start_here, "ROOT", tmp_path)
    made = start_here.made("1", "", [], "z.zip").decode()
    assert '<h3 id="one">One</h3>' in made and '<h4 id="two">Two</h4>' in made and "<h3>Three" not in made
    assert '<a href="#two">two</a> three <span class="page">(docs/A.md)</span> B <span class="page">(docs/B.md)</span>' in made


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible_and_only_tables_are_wider_than_the_window(tmp_path, size, scheme):
    (tmp_path / start_here.NAME).write_bytes(bundle.guide(mpy=True))
    with browser.opened() as chromium:
        shown = chromium.new_page(viewport=size, color_scheme=scheme)
        shown.goto((tmp_path / start_here.NAME).as_uri())
        contrast, where = shown.evaluate(CONTRAST)
        back = shown.evaluate("getComputedStyle(document.body).backgroundColor")
        width, window = shown.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert contrast >= 4.5, where
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    assert width <= window


def test_what_a_newcomer_needs_before_the_settings_is_in_it(page):
    """The broker's user, and the wires of RS485: the zip may be all that somebody has."""
    for words in ("Mosquitto broker", "Add user", "Take an isolated module with automatic direction"):
        assert words in page.text, words
    order = [page.ids.index(one) for one in ("wire", "home-assistant", "install", "first-start", "when-something-is-wrong")]
    assert order == sorted(order)
