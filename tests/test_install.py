"""Installing: onto a folder posing as the drive, and through a strict stand-in for the web workflow."""

import errno
import os
import random
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from web_workflow import Board

from tools import bundle, install, settings
from tools.drive import Folder, Full, Refused, Web

ROOT = Path(__file__).parent.parent
BOOT = "Adafruit CircuitPython 10.3.1 on 2026-09-01; Adafruit Feather ESP32-S3 with ESP32S3\r\nBoard ID:adafruit_feather\r\n"
TEMPLATE = b"""# --- Wi-Fi ---
CIRCUITPY_WIFI_SSID = "your network"
# the broker
MQTT_BROKER = "b"
# seconds
# PUBLISH_INTERVAL = 2
"""
OLD = {
    "code.py": b"old code",
    "safemode.py": b"same",
    "app/main.py": b"old main",
    "app/gone.py": b"no longer needed",
    "daly/frames.py": b"same frames",
    "lib/adafruit_ticks.py": b"old ticks",
}
NEW = {
    "code.py": b"new code",
    "safemode.py": b"same",
    "app/main.py": b"new main",
    "app/added.py": b"added",
    "daly/frames.py": b"same frames",
    "display/deep/page.py": b"deep",
    "lib/adafruit_ticks.py": b"new ticks",
}


def version_of(files):
    """A whole version: with settings and the list of its files."""
    return {**files, bundle.SETTINGS: TEMPLATE, bundle.FILES: bundle.listing(files)}


class Place:
    """A board's drive, as a folder here, and the way we reach it."""

    def __init__(self, folder, board=None):
        self.folder = folder
        self.board = board
        (folder / "boot_out.txt").write_text(BOOT)

    def drive(self):
        if self.board is None:
            return Folder(self.folder)
        return Web(self.board.address, "secret", patience_s=0.5)

    def put(self, files):
        for path, data in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_bytes(data)

    def contents(self):
        files = [file for file in self.folder.rglob("*") if file.is_file() and file.name != "boot_out.txt"]
        return {file.relative_to(self.folder).as_posix(): file.read_bytes() for file in files}

    def install(self, files=NEW):
        said = []
        install.install(self.drive(), version_of(files), said.append)
        return said


@pytest.fixture(params=["folder", "web"])
def place(request, tmp_path):
    folder = tmp_path / "CIRCUITPY"
    folder.mkdir()
    if request.param == "folder":
        yield Place(folder)
        return
    board = Board(folder)
    yield Place(folder, board)
    board.close()


# what an installation does


def test_an_empty_drive_gets_everything(place):
    said = place.install()
    assert place.contents() == version_of(NEW)
    assert "settings.toml is new" in said[1]


def test_an_update_changes_what_has_changed_and_removes_what_is_gone(place):
    place.put(version_of(OLD))
    mine = {
        "settings.toml": TEMPLATE,
        "mine.py": b"mine",
        "lib/other.mpy": b"other",
        "app/mine.py": b"mine, too",
        "boot.py": b"x",
    }
    place.put(mine)
    said = place.install()
    assert place.contents() == {**version_of(NEW), **mine}
    assert said[0] == "6 files written, 1 removed, 2 were right already."


def test_what_is_right_is_not_written(place):
    place.install()
    before = {path: (place.folder / path).stat().st_mtime_ns for path in place.contents()}
    assert place.install()[0].startswith("0 files written, 0 removed")
    assert {path: (place.folder / path).stat().st_mtime_ns for path in place.contents()} == before


def test_code_py_is_last(place, monkeypatch):
    order = []
    kind = type(place.drive())
    rename = kind.rename
    monkeypatch.setattr(kind, "rename", lambda self, path, new: (order.append(new), rename(self, path, new)))
    place.put(version_of(OLD))
    place.install()
    assert [path for path in order if path.endswith(".py")][-1] == "code.py"


def test_compiled_files_take_the_place_of_plain_ones_and_back(place):
    place.put(version_of(OLD))
    compiled = {path if path in bundle.PLAIN else path[:-3] + ".mpy": data for path, data in NEW.items()}
    place.install(compiled)
    assert place.contents() == version_of(compiled)
    place.install()
    assert place.contents() == version_of(NEW)


def test_a_library_that_somebody_else_put_there_is_left_alone(place):
    place.put({"lib/adafruit_ticks.mpy": b"by circup"})
    place.install()
    assert "lib/adafruit_ticks.py" not in place.contents()
    assert place.contents()["lib/adafruit_ticks.mpy"] == b"by circup"


def test_without_libraries_of_ours_those_that_are_there_stay(place):
    place.put(version_of(OLD))
    place.install({path: data for path, data in NEW.items() if not path.startswith("lib/")})
    assert place.contents()["lib/adafruit_ticks.py"] == b"old ticks"
    place.install()  # and they are still known to be ours
    assert place.contents() == version_of(NEW)


def test_a_list_that_was_tampered_with_removes_nothing_else(place):
    place.put({"mine.txt": b"mine", "settings.toml": TEMPLATE})
    place.put({bundle.FILES: b"../outside\n/etc/passwd\nsettings.toml\nboot_out.txt/\n..\n\xff\n"})
    (place.folder.parent / "outside").write_text("x")
    place.install()
    assert (place.folder.parent / "outside").exists() and place.contents()["settings.toml"] == TEMPLATE


# what goes wrong


def test_a_full_drive_is_told_before_anything_is_written(place, monkeypatch):
    place.put(version_of(OLD))
    monkeypatch.setattr(type(place.drive()), "room", lambda _: (1000, 512))
    with pytest.raises(Full, match=r"KB are needed.*Nothing was changed"):
        place.install()
    assert place.contents() == version_of(OLD)


def test_a_drive_that_is_full_after_all_is_left_as_it_was(place, monkeypatch):
    place.put(version_of(OLD))
    kind = type(place.drive())
    write = kind.write

    def full(self, path, data):
        if path.startswith("display/"):
            if place.board:
                place.board.capacity = 0
            else:
                raise self._trouble(path, OSError(errno.ENOSPC, "No space left on device"))
        write(self, path, data)

    monkeypatch.setattr(kind, "write", full)
    with pytest.raises(Full, match=r"the drive is full, display/deep/page\.py\.new.*Nothing was changed"):
        place.install()
    assert place.contents() == version_of(OLD)


class Cut(BaseException):
    """The cable is pulled, or Ctrl-C."""


@pytest.mark.parametrize("operation", range(24))
def test_wherever_it_is_cut_the_board_starts_and_the_next_time_ends_it(place, monkeypatch, operation):
    """code.py is whole, old or new; and it is old as long as anything it may need is missing."""
    place.put(version_of(OLD))
    kind = type(place.drive())
    count = [0]

    def cutting(name):
        real = getattr(kind, name)

        def call(self, *arguments):
            if count[0] == operation:
                raise Cut
            count[0] += 1
            return real(self, *arguments)

        return call

    with monkeypatch.context() as patch:
        for name in ("write", "rename", "remove"):
            patch.setattr(kind, name, cutting(name))
        try:
            place.install()
        except Cut:
            pass
    there = place.contents()
    assert there.get("code.py", b"old code") in (b"old code", b"new code")
    if there.get("code.py") == b"new code":
        assert all(there[path] == data for path, data in NEW.items())
    elif not any(there.get(path) == data for path, data in NEW.items() if OLD.get(path) != data):
        assert all(there[path] == data for path, data in OLD.items())  # nothing has changed yet: the old version, whole
    place.install()
    assert place.contents() == version_of(NEW)


def test_a_folder_that_is_no_drive_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"no boot_out\.txt"):
        install.install(Folder(tmp_path), version_of(NEW))
    with pytest.raises(Refused, match="is no folder"):
        Folder(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_an_old_circuitpython_is_refused(place):
    (place.folder / "boot_out.txt").write_text(BOOT.replace("10.3.1", "9.1.4"))
    with pytest.raises(Refused, match=r"CircuitPython 9\.1, 9\.2 or newer is needed"):
        place.install()
    assert place.contents() == {}


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EROFS, "read-only"), (errno.EIO, "is gone"), (errno.ENOSPC, "full"), (errno.EACCES, "cannot be written")],
)
def test_what_the_system_says_of_a_drive_becomes_a_sentence(tmp_path, number, said):
    assert said in str(Folder(tmp_path)._trouble("app/main.py", OSError(number, os.strerror(number))))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_drive_without_permission(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(Refused, match="cannot be written"):
        Folder(tmp_path).write("a", b"")


# settings.toml


def updated(text, template=TEMPLATE):
    """(the text after an update, what was said)."""

    class One:
        files = {bundle.SETTINGS: text if isinstance(text, bytes) else text.encode()}

        def read(self, path):
            return self.files.get(path)

        def write(self, path, data):
            self.files[path] = data

        def rename(self, path, new):
            self.files[new] = self.files.pop(path)

    drive = One()
    said = settings.bring(drive, template)
    return drive.files[bundle.SETTINGS], said


def test_new_settings_come_to_the_end_as_comments_and_nothing_else_changes():
    mine = '# mine\nCIRCUITPY_WIFI_SSID = "cellar"\nMQTT_BROKER="10.0.0.7" # box'
    after, said = updated(mine)
    assert after.startswith(mine.encode() + b"\n\n# New in ")
    assert after.endswith(b"# seconds\n# PUBLISH_INTERVAL = 2\n")
    assert said == ["settings.toml: new settings stand at its end, as comments: PUBLISH_INTERVAL."]


def test_what_stands_there_as_a_comment_is_not_new():
    mine = b'CIRCUITPY_WIFI_SSID = "cellar"\n#MQTT_BROKER = "x"\n# PUBLISH_INTERVAL = 7\n'
    assert updated(mine) == (mine, [])


def test_a_second_update_adds_nothing():
    once, _ = updated("")
    assert updated(once) == (once, [])


def test_windows_line_ends_stay_windows_line_ends():
    after, _ = updated(b'CIRCUITPY_WIFI_SSID = "cellar"\r\n')
    assert after.count(b"\n") == after.count(b"\r\n")


def test_obsolete_settings_are_named_and_stay():
    mine = TEMPLATE + b'CIRCUITPY_WEB_API_PASSWORD = "y"\nMQTT_RETRIES = 5\n'
    after, said = updated(mine)
    assert after == mine and said == ["settings.toml: MQTT_RETRIES is no setting any more, or never was; remove it."]


def test_a_file_that_cannot_be_read_is_left_as_it_is():
    mine = 'CIRCUITPY_WIFI_SSID = "Küche"\n'.encode("latin-1")
    after, said = updated(mine)
    assert after == mine and "UTF-8" in said[0]


def test_every_setting_comes_with_its_comment():
    blocks = settings.blocks((ROOT / "settings.toml").read_text())
    assert len(blocks) > 40 and blocks["OLED_ADDRESS"] == ["# 0x3C (60), sometimes 0x3D", "# OLED_ADDRESS = 0x3C"]
    assert all(line.startswith("#") for lines in blocks.values() for line in lines)


# the web workflow


@pytest.fixture
def board(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    made = Board(folder)
    yield made
    made.close()


def over_the_network(board, password="secret", patience_s=0.5):
    Place(board.folder, board)
    install.install(Web(board.address, password, patience_s), version_of(NEW), lambda _: None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"password": "other"}, "password is wrong"),
        ({"password": ""}, "has no CIRCUITPY_WEB_API_PASSWORD"),
        ({"usb": True}, "eject it there, or use the cable"),
        ({"capacity": 2000}, "KB free"),
    ],
)
def test_what_the_board_refuses_becomes_a_sentence(board, change, said):
    for name, value in change.items():
        setattr(board, name, value)
    with pytest.raises(Refused, match=said):
        over_the_network(board)
    assert [file.name for file in board.folder.iterdir() if file.is_file()] == ["boot_out.txt"]


def test_a_board_that_restarts_now_and_then_is_waited_for(board):
    dice = random.Random(6)
    board.hang_up_at = {number for number in range(200) if dice.random() < 0.2}
    board.lose_answer_at = {number for number in range(200) if dice.random() < 0.2} - board.hang_up_at
    over_the_network(board, patience_s=1)
    place = Place(board.folder, board)
    assert place.contents() == version_of(NEW)


def test_a_board_that_does_not_come_back_is_told(board):
    board.stop_at = 12
    with pytest.raises(Refused, match=r"does not answer.*Nothing was changed"):
        over_the_network(board)


def test_nobody_there():
    with pytest.raises(Refused, match="does not answer"):
        Web("127.0.0.1:9", "secret", 0.1).read("boot_out.txt")


def test_the_password_is_sent_with_an_empty_name_and_folders_are_made_first(board):
    over_the_network(board)
    puts = [path for method, path in board.requests if method == "PUT"]
    assert puts.index("/fs/display/") < puts.index("/fs/display/deep/") < puts.index("/fs/display/deep/page.py.new")


def test_a_board_whose_listing_is_a_plain_list_will_do(board, monkeypatch):
    """As CircuitPython 8 and early 9 did."""
    kind = Web
    real = kind._list
    monkeypatch.setattr(kind, "_list", lambda self, path: real(self, path)["files"] if real(self, path) else [])
    over_the_network(board)
    assert Place(board.folder, board).contents() == version_of(NEW)


# the command


def run(*arguments, path=None, **environment):
    command = [sys.executable, "-m", "tools.install", *map(str, arguments)]
    environment = {**os.environ, "PATH": path or "/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_the_command_installs_the_real_thing_and_the_host_runs_it(tmp_path):
    (tmp_path / "boot_out.txt").write_text(BOOT)
    result = run("--drive", tmp_path)
    assert result.returncode == 0 and "files written" in result.stdout, result.stderr
    command = [
        sys.executable,
        "-m",
        "host",
        "--drive",
        str(tmp_path),
        "--seconds",
        "5",
        "--plain",
        "--nvm",
        str(tmp_path / "n"),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0 and "MQTT: connected" in result.stdout


def test_the_command_installs_over_the_network(board):
    (board.folder / "boot_out.txt").write_text(BOOT)
    result = run("--host", board.address, WEB_PASSWORD="secret")
    assert result.returncode == 0, result.stderr
    assert (board.folder / "app" / "main.py").read_bytes() == (ROOT / "app" / "main.py").read_bytes()
    result = run("--host", board.address, WEB_PASSWORD="wrong")
    assert result.returncode == 1 and "password is wrong" in result.stderr and "wrong" not in result.stdout


@pytest.mark.parametrize("arguments", [(), ("--drive", "a", "--host", "b")])
def test_the_command_says_how_it_is_used(arguments):
    result = run(*arguments)
    assert result.returncode == 2 and "make install DRIVE=" in result.stdout


@pytest.mark.parametrize("works", [True, False])
def test_circup_brings_the_libraries_when_it_can(tmp_path, works):
    tools, drive = tmp_path / "bin", tmp_path / "drive"
    tools.mkdir(), drive.mkdir()
    (drive / "boot_out.txt").write_text(BOOT)
    script = f'#!/bin/sh\necho "$@" > {tmp_path}/called\n'
    script += f"mkdir {drive}/lib; echo by circup > {drive}/lib/adafruit_ticks.mpy\n" if works else "exit 1\n"
    (tools / "circup").write_text(script)
    (tools / "circup").chmod(0o755)
    result = run("--drive", drive, path=f"{tools}:/usr/bin:/bin")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "called").read_text().startswith(f"--path {drive} install -r")
    libraries = sorted(path.name for path in (drive / "lib").rglob("*") if path.is_file())
    assert ("circup could not" in result.stdout) is not works
    assert libraries == ["adafruit_ticks.mpy"] if works else "adafruit_ticks.py" in libraries
