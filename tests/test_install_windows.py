# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The installer where there is no make: drives of Windows, its errors, its console, and a Python without any package."""

import ast
import errno
import os
import shutil
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path, PureWindowsPath

import pytest
from test_install import BOOT, NEW, TEMPLATE, version_of

from tools import bundle, drive, install
from tools.drive import Folder, Full, Refused, written_paths

ROOT = Path(__file__).resolve().parent.parent


Usage = namedtuple("Usage", ("total", "used", "free"))  # as shutil has it


@pytest.fixture
def windows(monkeypatch):
    """The sentences as they are on Windows."""
    monkeypatch.setattr(drive, "ON_WINDOWS", True)
    monkeypatch.setattr(install, "ON_WINDOWS", True)


@pytest.mark.parametrize(
    "written",
    ["E", "e", "E:", "E:\\", "e:/", "E:\\\\", '"E:\\"', 'E:"', "'E:\\'", " E: ", "CIRCUITPY (E:)", "CIRCUITPY (E:)\\"],
)
def test_a_drive_as_people_write_it(written):
    assert written_paths(written, windows=True) == [PureWindowsPath("E:\\")]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("C:\\Users\\Jo Ä\\CIRCUITPY", "C:\\Users\\Jo Ä\\CIRCUITPY"),
        ('"C:/drives/CIRCUITPY"', "C:\\drives\\CIRCUITPY"),
        ("file:///C:/a%20b", "C:\\a b"),
        ("\\\\server\\share", "\\\\server\\share\\"),
    ],
)
def test_a_folder_of_windows(written, meant):
    paths = written_paths(written, windows=True)
    assert paths[-1] == PureWindowsPath(meant)
    assert all(isinstance(path, PureWindowsPath) for path in paths) and paths[-1].is_absolute()


def test_files_go_to_the_top_of_the_drive():
    """ "E:" without a backslash would be the folder in which the shell last was on that drive."""
    [path] = written_paths("E:", windows=True)
    assert str(path / "app/main.py") == "E:\\app\\main.py" and path.is_absolute()


def test_drives_are_found_by_their_letter(windows, monkeypatch):
    asked = []
    monkeypatch.setattr(drive, "_is_file", lambda path: asked.append(str(path)) or "F:" in str(path))
    found = drive.boards()
    assert len(found) == 1 and found[0].startswith("F:")
    assert not [path for path in asked if path.startswith(("A:", "B:"))]  # no floppy is started


def test_a_drive_of_windows_is_explained_elsewhere():
    with pytest.raises(Refused, match=r"E: is a drive of Windows; .*: py -m tools\.install --drive E:"):
        Folder("E:")


def test_what_is_said_names_the_options_that_exist_there(windows):
    with pytest.raises(Refused, match=r"write --host 192\.168\.1\.77"):
        drive.address("no address!")
    board = drive.Web("10.0.0.1", "x")
    for status, said in ((409, r"py -m tools.install --drive \.\.\."), (401, "settings.toml on the board$")):
        with pytest.raises(Refused, match=said):
            board._expect(status, b"", "a", 200)


def test_usage_names_no_make(windows, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["install"])
    monkeypatch.setattr(install, "boards", lambda: ["E:\\"])
    assert install.main() == 2
    said = capsys.readouterr().out
    assert "py -m tools.install --drive E:" in said and "--host 192.168.1.77" in said and "make" not in said
    assert "A board was found: py -m tools.install --drive E:\\" in said


@pytest.mark.parametrize(
    ("number", "code", "said", "kind"),
    [
        (19, errno.EACCES, "read-only for this PC", Refused),  # write protected
        (112, errno.ENOSPC, "the drive is full", Full),
        (21, errno.EACCES, "the drive is gone", Refused),  # not ready
        (1167, errno.EINVAL, "the drive is gone", Refused),  # not connected
        (1117, errno.EIO, "the drive is gone", Refused),
        (32, errno.EACCES, "close the programs that have files of the drive open", Refused),
        (5, errno.EACCES, "close the programs", Refused),
    ],
)
def test_what_windows_says_of_a_drive_becomes_a_sentence(tmp_path, number, code, said, kind):
    error = OSError(code, "as Windows says it")
    error.winerror = number
    refused = Folder(tmp_path)._trouble("app/main.mpy", error)
    assert type(refused) is kind and said in str(refused) and "another user" not in str(refused)


def test_free_space_without_statvfs(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "statvfs")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(983040, 400000, 583040))
    assert Folder(tmp_path).room() == (583040, 512)


# a Python as people have it: no packages, another console


@pytest.fixture
def released(tmp_path):
    """A zip of a release, and a drive beside it."""
    (tmp_path / "CIRCUITPY").mkdir()
    (tmp_path / "CIRCUITPY" / "boot_out.txt").write_text(BOOT)
    bundle.write(tmp_path / "daly-mqtt-9.zip", {**version_of(NEW), "START-HERE.html": b"<html>"})
    return tmp_path


def bare(*arguments, **environment):
    """The installer in a Python without site-packages, as on a PC that has nothing but Python."""
    command = [sys.executable, "-S", "-m", "tools.install", *map(str, arguments)]
    environment = {**os.environ, "PATH": "/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120, env=environment)


def test_a_zip_is_installed_with_nothing_but_python(released):
    done = bare("--zip", released / "daly-mqtt-9.zip", "--drive", released / "CIRCUITPY")
    assert done.returncode == 0, done.stderr
    found = {
        path.relative_to(released / "CIRCUITPY").as_posix(): path.read_bytes()
        for path in (released / "CIRCUITPY").rglob("*")
        if path.is_file() and path.name != "boot_out.txt"
    }
    listed = found.pop(bundle.FILES).decode().splitlines()[1:]
    expected = version_of(NEW)
    del expected[bundle.FILES]
    assert found == {**expected, "settings.toml": TEMPLATE}  # and no START-HERE.html: it is for the PC
    assert listed == sorted(expected)


def test_without_the_zip_it_says_what_is_missing(released):
    done = bare("--drive", released / "CIRCUITPY", "--plain")
    assert done.returncode == 1 and b"--zip daly-mqtt" in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.parametrize("make", [lambda zip: zip.write_bytes(b"no zip"), lambda zip: zip.unlink(), "other"])
def test_a_zip_that_is_none(released, make):
    zip = released / "daly-mqtt-9.zip"
    if make == "other":
        with zipfile.ZipFile(zip, "w") as archive:
            archive.writestr("readme.txt", "x")
    else:
        make(zip)
    done = bare("--zip", zip, "--drive", released / "CIRCUITPY")
    assert (done.returncode == 1 and b"take daly-mqtt" in done.stderr) or b"give the daly-mqtt" in done.stderr
    assert sorted(path.name for path in (released / "CIRCUITPY").iterdir()) == ["boot_out.txt"]


def test_a_console_that_cannot_show_a_character_does_not_end_it(released):
    folder = released / "Ω Ł"
    (released / "CIRCUITPY").rename(folder)
    done = bare("--zip", released / "daly-mqtt-9.zip", "--drive", folder, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    done = bare("--zip", released / "daly-mqtt-9.zip", "--drive", released / "Ж", PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert done.returncode == 1 and b"is not a folder" in done.stderr


POSIX_ONLY = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "tty", "posix", "select", "readline", "syslog"}


def loaded_by_the_installer():
    """Our files that a start of the installer loads."""
    code = "import sys, tools.install; print(*[getattr(m, '__file__', '') or '' for m in sys.modules.values()], sep='\\n')"
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(line) for line in done.stdout.splitlines()]
    return [path for path in files if ROOT in path.parents and ".venv" not in path.parts]


def test_nothing_that_only_posix_has_is_imported_and_texts_are_read_as_utf_8():
    files = loaded_by_the_installer()
    assert {"install.py", "drive.py", "bundle.py", "settings.py", "start_here.py"} <= {path.name for path in files}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {alias.name.split(".")[0] for alias in node.names} & POSIX_ONLY, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in POSIX_ONLY, path
            elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("read_text", "write_text"):
                assert "encoding" in [keyword.arg for keyword in node.keywords], f"{path}:{node.lineno}"
