# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The packer: the packed firmware is the same program, with the same lines."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import bundle, pack

ROOT = Path(__file__).parent.parent

GOOD = """CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "192.168.1.10"
MQTT_BASE_TOPIC = "t"
ALLOW_CONTROL = "charge_mosfet, soc, restart_bms, energy"
PUBLISH_EACH_VALUE = true
WAKE_PIN = "IO4"
"""
WRONG = """CIRCUITPY_WIFI_SSID = shed
CIRCUITPY_WIFI_PASSWORD = "short"
MQTT_BROKER = "http://192.168.1.10:1883/"
MQTT_PROT = 1883
MQTT_BASE_TOPIC = "t"
OLED_TYPE = "SH1107"
WAKE_PIN = "D99"
POLL_CELLS_MS = soon
ALLOW_CONTROL = "sock"
"""


@pytest.fixture(scope="module")
def sources():
    return pack.packed_sources()


@pytest.fixture(scope="module")
def folders(sources, tmp_path_factory):
    """(the packages as they are, the packages packed)."""
    folder = tmp_path_factory.mktemp("packages")
    for package in bundle.PACKAGES:
        shutil.copytree(ROOT / package, folder / "plain" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in sources.items():
        target = folder / "packed" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder / "plain", folder / "packed"


def life(folder, settings):
    """All that a firmware says and shows in 150 simulated seconds, line by line."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error::SyntaxWarning", str(ROOT / "tests" / "one_life.py"), str(folder), str(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [GOOD, WRONG])
def test_the_packed_firmware_says_the_same_to_the_byte(folders, settings, tmp_path):
    """Discovery, states, commands, diagnostics, the screen; broker, Wi-Fi and BMS gone and back; wrong settings."""
    file = tmp_path / "settings.toml"
    file.write_text(settings)
    plain, packed = (life(folder, file) for folder in folders)
    assert packed == plain
    assert len(plain) > (500 if settings == GOOD else 5) and plain[-1].endswith("the end")
    words = (
        ("/config", "t/bms1/command_result", "t/diagnostics", "No Wi-Fi", "BMS asleep") if settings == GOOD else ("Settings:",)
    )
    for word in words:
        assert [line for line in plain if word in line], word


def test_every_line_stays_where_it_is(sources):
    """A traceback names the lines of the repository: each function begins at the same one, in the same order."""
    for path, text in sources.items():
        original = ast.parse((ROOT / path).read_text())
        here, there = ([n.lineno for n in ast.walk(tree) if isinstance(n, ast.stmt)] for tree in (original, ast.parse(text)))
        assert text.count("\n") == (ROOT / path).read_text().count("\n"), path
        assert set(there) <= set(here), path


def texts(text):
    return {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_no_text_is_changed(sources):
    """Topics, keys, settings and sentences: all in the original, but for the fields of namedtuples and joined constants."""
    original = set().union(*[texts((ROOT / path).read_text()) for path in sources])
    whole = "\n".join(original)
    fields = {name for source in pack.read(sources).values() for name, _ in source.field_names}
    assert [word for text in sources.values() for word in texts(text) - original - fields if word not in whole] == []


def test_the_packed_form_is_the_same_every_time(sources):
    assert pack.packed_sources() == sources


SMALL = {
    "app/a.py": """LIMIT = 5
NAME = "x" * 20
UNCLEAR = "unclear"
WORDS = ("one", "two")
from collections import namedtuple
Point = namedtuple("Point", ("across", "upwards"))
class Base:
    def __init__(self, longer, *, width=LIMIT):
        self.longer = longer
        self.width = width
    def measure(self, LIMIT=2):
        return f"{self.longer + LIMIT:>{self.width}}|{self.longer!r}"
class Derived(Base):
    def other(self):
        return [number * self.width for number in range(self.longer)]
""",
    "app/b.py": """from . import a
from .a import LIMIT as most, UNCLEAR, Derived, Point
def run():
    made = Derived(3, width=most)
    a_word = [word for word in a.WORDS]
    point = Point(upwards=1, across=a.LIMIT)
    return (made.measure(), made.other(), a_word, point.across, point.upwards, UNCLEAR is a.UNCLEAR, a.NAME,
            getattr(made, "longer"), -most)
""",
}


def test_names_are_shared_and_constants_in_place():
    """What could go wrong, small: scopes, f-strings, inheritance, keywords, namedtuples, identity, getattr."""
    files = {path: text.encode() for path, text in SMALL.items()}
    files["app/__init__.py"] = b""
    made = pack.packed(files)
    results = []
    for each in (files, made):
        program = "import sys\nsys.dont_write_bytecode = True\n" + "from types import ModuleType\n"
        program += f"files = {[(path, data.decode()) for path, data in each.items()]!r}\n" + RUN
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done.stderr
        results.append(done.stdout)
    assert results[0] == results[1] != ""
    text = made["app/a.py"].decode() + made["app/b.py"].decode()
    assert "measure" not in text and "upwards" not in text and "most" not in text and "longer" in text


RUN = """
modules = {}
package = ModuleType("app")
package.__path__ = []
sys.modules["app"] = package
for path, text in sorted(files):
    if not path.endswith("__init__.py"):
        name = path[:-3].replace("/", ".")
        module = modules[name] = sys.modules[name] = ModuleType(name)
        module.__package__ = "app"
        setattr(package, name[4:], module)
        exec(text, module.__dict__)
functions = [value for value in vars(modules["app.b"]).values() if type(value).__name__ == "function"]
print(functions[0]())
"""
