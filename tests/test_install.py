# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Installing: onto a folder posing as the drive, and through a strict stand-in for the web workflow."""

import errno
import os
import random
import re
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_host_cli import run_until
from web_workflow import Board

from tools import bundle, install, settings
from tools.drive import Folder, Full, Refused, Web, address

ROOT = Path(__file__).parent.parent
BOOT = "Adafruit CircuitPython 10.3.1 on 2026-09-01; Adafruit Feather ESP32-S3 with ESP32S3\r\nBoard ID:adafruit_feather\r\n"
TEMPLATE = b"""# --- Wi-Fi ---
CIRCUITPY_WIFI_SSID = "your network"
# the broker
MQTT_BROKER = "b"
# seconds
# PUBLISH_INTERVAL_S = 2
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
    """A whole version: with the settings' example and the list of its files."""
    files = {**files, "settings.example.toml": TEMPLATE}
    return {**files, bundle.FILES: bundle.listing(files)}


def installed(files):
    """What is on a drive then, with settings to begin with."""
    return {**version_of(files), "settings.toml": TEMPLATE}


class Place:
    """A board's drive, as a folder here, and the way we reach it."""

    def __init__(self, folder, board=None):
        self.folder = folder
        self.board = board
        (folder / "boot_out.txt").write_text(BOOT)

    def drive(self):
        if self.board is None:
            return Folder(self.folder)
        return Web(self.board.address, "secret", retry_s=0.5)

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
    assert place.contents() == installed(NEW)
    assert "settings.toml is new" in said[1]


@pytest.mark.parametrize("made", [b"", b"\n", b" \r\n\t\r\n", b"\xef\xbb\xbf", b"\0" * 512])
def test_an_empty_settings_file_as_circuitpython_makes_it_is_none(place, made):
    place.put({"settings.toml": made, "code.py": b'print("Hello World!")\n'})
    said = place.install()
    assert place.contents() == installed(NEW)
    assert said[1] == "settings.toml is new: edit it on the drive, at least Wi-Fi and broker."


def test_comments_without_a_setting_stay_above_ours(place):
    place.put({"settings.toml": b"# mine\r\n# MQTT_BROKER = 7"})
    said = place.install()
    assert place.contents()["settings.toml"] == b"# mine\r\n# MQTT_BROKER = 7\r\n\r\n" + TEMPLATE
    assert "settings.toml is new" in said[1]


def test_settings_for_the_network_only_miss_the_broker_and_that_is_said(place):
    """As CircuitPython's own guide to the web workflow has them."""
    mine = b'CIRCUITPY_WIFI_SSID = "a"\nCIRCUITPY_WIFI_PASSWORD = "b"\nCIRCUITPY_WEB_API_PASSWORD = "c"\n'
    place.put({"settings.toml": mine})
    said = place.install()
    assert place.contents()["settings.toml"].startswith(mine)
    assert (
        said[-1]
        == "settings.toml has no MQTT_BROKER: write the address of your broker there, unless the page in the browser is enough."
    )


def test_settings_that_were_cut_off_between_two_names_are_found_again(place):
    mine = b'CIRCUITPY_WIFI_SSID = "cellar"\nMQTT_BROKER = "b"\n# PUBLISH_INTERVAL_S = 2\n'
    place.put({"settings.toml.new": mine})
    place.install()
    assert place.contents() == {**installed(NEW), "settings.toml": mine}


def test_half_a_new_settings_file_beside_the_old_one_is_swept(place):
    mine = TEMPLATE.replace(b"your network", b"cellar")
    place.put({"settings.toml": mine, "settings.toml.new": mine[:20]})
    place.install()
    assert place.contents() == {**installed(NEW), "settings.toml": mine}


def test_settings_that_do_not_fit_any_more_stay_and_the_program_is_installed(place, monkeypatch):
    mine = b'MQTT_BROKER = "b"\n'
    place.put({"settings.toml": mine})
    kind = type(place.drive())
    write = kind.write

    def full(self, path, data):
        if path.startswith("settings.toml"):
            raise Full("the drive is full")
        write(self, path, data)

    monkeypatch.setattr(kind, "write", full)
    with pytest.raises(Full, match=r"settings\.toml: the drive is full\. The program itself is installed"):
        place.install()
    assert place.contents() == {**installed(NEW), "settings.toml": mine}


def test_an_update_changes_what_has_changed_and_removes_what_is_gone(place):
    place.put({**OLD, bundle.FILES: bundle.listing(OLD)})
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
    assert said[0] == "7 files written, 1 removed, 2 were up to date."


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
    assert place.contents() == installed(compiled)
    place.install()
    assert place.contents() == installed(NEW)


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
    assert place.contents() == installed(NEW)


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
    assert place.contents() == installed(NEW)


def test_a_folder_that_is_no_drive_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"no boot_out\.txt"):
        install.install(Folder(tmp_path), version_of(NEW))
    with pytest.raises(Refused, match="is not a folder"):
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

        def remove(self, path):
            self.files.pop(path, None)

    drive = One()
    said = settings.update(drive, template)
    return drive.files[bundle.SETTINGS], said


def test_what_has_no_broker_is_told():
    said = updated('CIRCUITPY_WIFI_SSID = "cellar"\n')[1][-1]
    assert "no MQTT_BROKER" in said and "page in the browser" in said


def test_new_settings_come_to_the_end_as_comments_and_nothing_else_changes():
    mine = '# mine\nCIRCUITPY_WIFI_SSID = "cellar"\nMQTT_BROKER="10.0.0.7" # box'
    after, said = updated(mine)
    assert after.startswith(mine.encode() + b"\n\n# New in ")
    assert after.endswith(b"# seconds\n# PUBLISH_INTERVAL_S = 2\n")
    assert said == ["settings.toml: new settings were added at its end, as comments: PUBLISH_INTERVAL_S."]


def test_many_new_settings_are_one_short_sentence():
    """A file made by settings.html has five lines: the installer would name eighty settings."""
    mine = 'CIRCUITPY_WIFI_SSID = "cellar"\nCIRCUITPY_WIFI_PASSWORD = "x"\nMQTT_BROKER = "10.0.0.7"\n'
    after, said = updated(mine, (ROOT / "settings.toml").read_bytes())
    assert after.count(b"\n# SLEEP_MINUTES = 0") == 1
    assert len(said) == 1 and len(said[0]) < 250
    found = re.search(r"as comments: (.*) and (\d+) more\.$", said[0])
    added = after.decode().partition("# New in ")[2]
    assert len(found[1].split(", ")) + int(found[2]) == len(re.findall(r"^# [A-Z][A-Z0-9_]+ = ", added, re.M))


def test_what_stands_there_as_a_comment_is_not_new():
    mine = b'CIRCUITPY_WIFI_SSID = "cellar"\nMQTT_BROKER = "x"\n# PUBLISH_INTERVAL_S = 7\n'
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
    assert after == mine and said == ["settings.toml: MQTT_RETRIES is not or no longer a setting; remove it."]


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


def over_the_network(board, password="secret", retry_s=0.5):
    Place(board.folder, board)
    install.install(Web(board.address, password, retry_s), version_of(NEW), lambda _: None)


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
    board.lose_response_at = {number for number in range(200) if dice.random() < 0.2} - board.hang_up_at
    over_the_network(board, retry_s=1)
    place = Place(board.folder, board)
    assert place.contents() == installed(NEW)


def test_a_board_that_does_not_come_back_is_told(board):
    board.stop_at = 12
    with pytest.raises(Refused, match=r"does not respond.*Nothing was changed"):
        over_the_network(board)


@pytest.mark.slow
def test_nobody_there():
    with pytest.raises(Refused, match="does not respond"):
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
    assert Place(board.folder, board).contents() == installed(NEW)


# the command


def run(*arguments, path=None, **environment):
    command = [sys.executable, "-m", "tools.install", *map(str, arguments)]
    environment = {**os.environ, "PATH": path or "/usr/bin:/bin", **environment}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, env=environment)


def test_the_command_installs_the_real_thing_and_the_host_runs_it(tmp_path):
    (tmp_path / "boot_out.txt").write_text(BOOT)
    (tmp_path / "settings.toml").write_text("")  # as CircuitPython makes it
    result = run("--drive", tmp_path, "--plain")
    assert result.returncode == 0 and "files written" in result.stdout, result.stderr
    run_until(("MQTT: connected",), "--drive", tmp_path, "--nvm", tmp_path / "n")


def test_the_compiled_form_is_installed_unless_the_sources_are_asked_for(tmp_path):
    (tmp_path / "boot_out.txt").write_text(BOOT)
    for options, suffix in ((), ".mpy"), (("--mpy",), ".mpy"), (("--plain",), ".py"):
        assert run("--drive", tmp_path, "--no-circup", *options).returncode == 0
        names = sorted(path.name for path in (tmp_path / "app").iterdir())
        assert "main" + suffix in names and {Path(name).suffix for name in names} == {suffix}
        assert (tmp_path / "code.py").exists()


def test_the_command_installs_over_the_network(board):
    (board.folder / "boot_out.txt").write_text(BOOT)
    result = run("--host", board.address, "--plain", WEB_PASSWORD="secret")
    assert result.returncode == 0, result.stderr
    assert (board.folder / "app" / "main.py").read_bytes() == (ROOT / "app" / "main.py").read_bytes()
    result = run("--host", board.address, WEB_PASSWORD="wrong")
    assert result.returncode == 1 and "password is wrong" in result.stderr and "wrong" not in result.stdout


# addresses, folders and passwords as people have them

MAKE = ["make", "-s", "-o", ".venv/ready", "install"]


def make(*arguments, **environment):
    """`make install` with these words, as a shell hands them on."""
    environment = {**os.environ, "PATH": "/usr/bin:/bin", **environment}
    return subprocess.run([*MAKE, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("192.168.1.77", ("192.168.1.77", 80)),
        (" 192.168.1.77\t", ("192.168.1.77", 80)),
        ("http://192.168.1.77/", ("192.168.1.77", 80)),
        ("HTTP://192.168.1.77/fs/", ("192.168.1.77", 80)),
        ("http://circuitpython.local/code/#settings.toml", ("circuitpython.local", 80)),
        ("https://cpy-1a2b3c.local/?x=1", ("cpy-1a2b3c.local", 80)),
        ("http://:secret@192.168.1.77/", ("192.168.1.77", 80)),
        ("192.168.1.77:8080", ("192.168.1.77", 8080)),
        ("192.168.1.77:8080/fs/", ("192.168.1.77", 8080)),
        ("'192.168.1.77'", ("192.168.1.77", 80)),
        ("\u201ccpy-1a2b3c.local\u201d", ("cpy-1a2b3c.local", 80)),
        ("cpy-1a2b3c.local.", ("cpy-1a2b3c.local", 80)),
        ("http://[fd12::1]:81/", ("fd12::1", 81)),
    ],
)
def test_an_address_as_people_paste_it(written, meant):
    assert address(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        "",
        "http://",
        "a b",
        "192.168.1,77",
        "192.168.1.300",
        "192.168.1",
        "192.168.1.77:0",
        "192.168.1.77:70000",
        "host:http",
        "küche",
    ],
)
def test_what_is_no_address_is_a_sentence_with_the_remedy(written):
    with pytest.raises(Refused, match=r"is not (the|an IP) address.*HOST=192\.168\.1\.77"):
        address(written)


def leading_to(place, status=307):
    """The address of a server that sends everybody on to `place`, as circuitpython.local does."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def _do(self):
            self.send_response(status)
            self.send_header("Location", place + self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_PUT = do_DELETE = do_MOVE = _do

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server, f"127.0.0.1:{server.server_address[1]}"


def test_the_name_of_any_board_leads_to_one_of_them(board):
    (board.folder / "boot_out.txt").write_text(BOOT)
    server, name = leading_to(f"http://{board.address}")
    result = run("--host", name, WEB_PASSWORD="secret")
    server.shutdown(), server.server_close()
    assert result.returncode == 0, result.stderr
    assert f"http://{name} redirects to http://{board.address}. If you have several boards" in result.stdout
    assert (board.folder / "code.py").read_bytes() == (ROOT / "code.py").read_bytes()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("http://cpy-nowhere.invalid", r"redirects to http://cpy-nowhere\.invalid, which is not found.*IP address"),
        ("https://192.168.1.1/login", "which is not a board; is the address right"),
        ("/login", "which is not a board"),
    ],
)
def test_a_way_that_leads_nowhere_is_named(place, said):
    server, name = leading_to(place)
    with pytest.raises(Refused, match=said):
        Web(name, "secret", 0.2).read("boot_out.txt")
    server.shutdown(), server.server_close()


@pytest.mark.slow
def test_a_way_in_a_circle_ends():
    server, name = leading_to("")
    server.RequestHandlerClass.do_GET = lambda self: (
        self.send_response(307), self.send_header("Location", f"http://{name}{self.path}"), self.end_headers()
    )  # fmt: skip
    with pytest.raises(Refused, match="redirects in a circle"):
        Web(name, "secret", 0.2).read("boot_out.txt")
    server.shutdown(), server.server_close()


@pytest.mark.parametrize(
    "password", ["s3cr$et!", "a$$b", "$(HOME)", 'it\'s "so" `so`', "back\\slash #x", "two  spaces ", "Küche€", "a:b@c%20"]
)
def test_a_password_arrives_as_it_is(board, password):
    (board.folder / "boot_out.txt").write_text(BOOT)
    board.password, board.usb = password, True
    result = make(f"HOST=http://{board.address}/", f"PASSWORD={password}")
    assert "a PC has the drive by USB" in result.stderr, result.stdout + result.stderr
    result = make(f"HOST={board.address}", PASSWORD=password)  # out of the environment
    assert "a PC has the drive by USB" in result.stderr, result.stdout + result.stderr


def test_a_password_that_is_wrong_or_missing(board):
    (board.folder / "boot_out.txt").write_text(BOOT)
    result = make(f"HOST={board.address}", "PASSWORD=wrong")
    assert "Not installed: the password is wrong; it is CIRCUITPY_WEB_API_PASSWORD" in result.stderr
    assert "Traceback" not in result.stderr
    assert "the board's password is missing; add PASSWORD='...'" in make(f"HOST={board.address}").stderr


@pytest.mark.parametrize("form", ["{}", "{}/", " {} ", '"{}"', "'{}/'", "file://{}"])
def test_a_folder_as_people_write_it(tmp_path, form):
    folder = tmp_path / "CIRCUIT $PY"
    folder.mkdir()
    (folder / "boot_out.txt").write_text(BOOT)
    result = make("DRIVE=" + form.format(folder), HOST="workstation")  # csh has a HOST of its own
    assert result.returncode == 0, result.stdout + result.stderr
    assert (folder / "code.py").exists() and (folder / "settings.toml").read_bytes() == (ROOT / "settings.toml").read_bytes()


def test_a_folder_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Folder("~/").name == str(tmp_path)


def test_what_is_no_drive_names_those_there_are(tmp_path, monkeypatch):
    for name in ("media/me/CIRCUITPY", "media/me/CIRCUITPY1", "media/me/STICK"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("CIRCUITPY", "CIRCUITPY1"):
        (tmp_path / "media" / "me" / name / "boot_out.txt").write_text(BOOT)
    monkeypatch.setattr("tools.drive.PLACES", (str(tmp_path)[1:] + "/media/*/*",))
    both = f"there is {tmp_path}/media/me/CIRCUITPY and {tmp_path}/media/me/CIRCUITPY1"
    with pytest.raises(Refused, match=f"is not a folder; {both}"):
        Folder("/nope")
    with pytest.raises(Refused, match=f"it has no boot_out.txt; {both}"):
        install.install(Folder(tmp_path / "media" / "me" / "STICK"), version_of(NEW))


def test_a_file_or_the_bootloaders_drive(tmp_path):
    (tmp_path / "boot_out.txt").write_text(BOOT)
    with pytest.raises(Refused, match=f"give the folder it is in: DRIVE={tmp_path}"):
        Folder(tmp_path / "boot_out.txt")
    (tmp_path / "boot_out.txt").unlink()
    (tmp_path / "INFO_UF2.TXT").write_text("TinyUF2")
    with pytest.raises(Refused, match="bootloader's drive: copy CircuitPython"):
        Folder(tmp_path)


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
    assert ("circup failed" in result.stdout) is not works
    assert libraries == ["adafruit_ticks.mpy"] if works else "adafruit_ticks.mpy" in libraries
