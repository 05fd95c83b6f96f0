# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A CIRCUITPY drive to write to: as a folder, or over the network through CircuitPython's web workflow.

Both classes have the same methods; paths are relative with forward slashes. Every failure is a Refused with a sentence.
"""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import re
import shutil
import socket
import string
import time
import urllib.parse
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

RETRY_S = 60  # seconds of retries: a board that restarts during an update is back by then
PAUSE_S = 2
SMALLEST = 512  # bytes a file takes at least on a board's drive, where the system does not tell
FIRST_RETRY_S = 10  # before the first response the address is probably wrong
TIMEOUT_S = 15
MOST_REDIRECTS = 5  # redirects
PLACES = ("media/*", "media/*/*", "run/media/*/*", "Volumes/*", "mnt/*")  # where systems mount drives
ON_WINDOWS = os.name == "nt"
# Windows' own numbers (winerror) that Python's errno does not tell apart from a missing permission
WRITE_PROTECTED = (19,)
GONE = (21, 55, 433, 483, 1117, 1167)
QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019"


class Refused(Exception):
    """Why it cannot continue, as a sentence with the remedy."""


class Full(Refused):
    """There is no room."""


def address(text: str) -> tuple[str, int]:
    """(name or IP address, port) of a text that may have http://, user and password, a path, spaces. Raises Refused."""
    rest = re.sub(r"^[a-z][a-z0-9+.-]*:/+", "", text.strip().strip(QUOTES).strip(), flags=re.IGNORECASE)
    place = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2].strip()
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{0,5}))?", place)
    port = int(found[3] or 80) if found else 0
    if not found or not 0 < port < 65536:
        raise Refused(
            f'"{text}" is not the address of a board; write {option("HOST", "192.168.1.77")}, as on its screen, or '
            f"{option('HOST', 'cpy-1a2b3c.local')}"
        )
    host = (found[1] or found[2]).rstrip(".")
    if re.fullmatch(r"[0-9.]+", host) and not re.fullmatch(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", host):
        raise Refused(
            f'"{host}" is not an IP address, which has four numbers up to 255; write {option("HOST", "192.168.1.77")}'
        )
    return host, port


def option(name: str, value: str) -> str:
    """How an option of the command is written here: DRIVE=... for make, --drive ... where there is no make."""
    return f"--{name.lower()} {value}" if ON_WINDOWS else f"{name}={value}"


def command() -> str:
    """How the installer is called here."""
    return "py -m tools.install" if ON_WINDOWS else "make install"


def boards() -> list[str]:
    """The CIRCUITPY drives that are mounted here."""
    if ON_WINDOWS:
        places = [Path(f"{letter}:\\") for letter in string.ascii_uppercase[2:]]
        return [str(folder) for folder in places if _is_file(folder / "boot_out.txt")]
    found = [file.parent for place in PLACES for file in Path("/").glob(place + "/boot_out.txt")]
    return sorted(str(folder) for folder in found)


def written_paths(text: str, windows: bool) -> list[PurePath]:
    """The paths that a text may mean, most literal first: with quotes, spaces, ~, or file:// as file managers copy it.

    On Windows a drive also as E, E:, E:/, "CIRCUITPY (E:)", and as a shell leaves "E:\\" with its quotation mark.
    """
    bare = text.strip().strip(QUOTES).strip()
    tries = [text, text.strip(), bare]
    if bare.startswith("file://"):
        tries.append(urllib.parse.unquote(bare.removeprefix("file://")).removeprefix("/" if windows else ""))
    if not windows:
        return [PurePosixPath(word) for word in tries if word]
    drive = re.fullmatch(r"(?:.*\()?([A-Za-z])(?::|(?=$))[\\/)]*", bare)
    if drive:  # "E:" alone would be the current folder of that drive
        return [PureWindowsPath(f"{drive[1].upper()}:\\")]
    return [PureWindowsPath(word) for word in tries if word]


def _folder(text: str) -> Path:
    """The folder that a text means. Raises Refused."""
    paths = [Path(path).expanduser() for path in written_paths(text, ON_WINDOWS)]
    for path in paths:
        if _is_folder(path):
            return path
    shown = paths[-1] if paths else "an empty name"
    if _is_file(Path(shown)):
        raise Refused(f"{shown} is a file; give the folder it is in: {option('DRIVE', str(Path(shown).parent))}")
    if not ON_WINDOWS and re.fullmatch(r"[A-Za-z]:[\\/]*", str(shown)):
        raise Refused(f"{shown} is a drive of Windows; run the installer there: py -m tools.install --drive {shown}")
    there = boards()
    remedy = f"there is {' and '.join(there)}" if there else "is the board plugged in, and its drive mounted?"
    raise Refused(f"{shown} is not a folder; {remedy}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


class _Drive:
    """Common to both."""

    name: str

    def discard(self, path: str) -> None:
        """Remove a file; if that fails, the next installation removes it."""
        try:
            self.remove(path)
        except Refused:
            pass

    def remove(self, path: str) -> None:
        raise NotImplementedError


class Folder(_Drive):
    """The drive as it appears on a PC; `path` may have quotes, ~ and so on."""

    def __init__(self, path: Path | str):
        self._path = _folder(str(path))
        self.name = str(self._path)
        if (self._path / "INFO_UF2.TXT").exists() and not (self._path / "boot_out.txt").exists():
            raise Refused(
                f"{self.name} is the bootloader's drive: copy CircuitPython's .uf2 onto it first, then use the drive CIRCUITPY"
            )

    def read(self, path: str) -> bytes | None:
        """A file's contents; None when there is none."""
        try:
            return (self._path / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._trouble(path, error) from None

    def write(self, path: str, data: bytes) -> None:
        """Write a file, onto the medium, making its folder."""
        target = self._path / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._trouble(path, error) from None

    def rename(self, path: str, new: str) -> None:
        """Rename a file; an existing one of the new name is replaced."""
        try:
            os.replace(self._path / path, self._path / new)
        except OSError as error:
            raise self._trouble(new, error) from None

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens when there is none."""
        try:
            (self._path / path).unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(path, error) from None

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder; none when there is no such folder."""
        try:
            return sorted(entry.name for entry in (self._path / folder).iterdir() if entry.is_file())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._trouble(folder, error) from None

    def room(self) -> tuple[int, int]:
        """(bytes free, bytes of the smallest file); many bytes if unknown."""
        try:
            if hasattr(os, "statvfs"):
                state = os.statvfs(self._path)
                if not state.f_blocks:  # some file systems do not tell; a full drive is noticed when writing
                    return 1 << 40, SMALLEST
                return state.f_bavail * state.f_frsize, state.f_frsize
            return shutil.disk_usage(self._path).free, SMALLEST
        except OSError as error:
            raise self._trouble("", error) from None

    def _trouble(self, path: str, error: OSError) -> Refused:
        if error.errno == errno.ENOSPC:
            return Full(f"the drive is full, {path} does not fit")
        number = getattr(error, "winerror", None)
        if error.errno == errno.EROFS or number in WRITE_PROTECTED:
            return Refused(
                f"the drive is read-only for this PC; eject it, plug the board in again (a boot.py may forbid it): {path}"
            )
        if error.errno in (errno.EIO, errno.ENODEV, errno.ENOENT, errno.ENXIO) or number in GONE:
            return Refused(f"the drive is gone ({error.strerror}: {path}); plug the board in again and repeat the command")
        if number is not None and error.errno in (errno.EACCES, errno.EPERM):
            return Refused(f"{path} cannot be written ({error.strerror}); close the programs that have files of the drive open")
        if error.errno in (errno.EACCES, errno.EPERM):
            return Refused(
                f"{path} cannot be written ({error.strerror}); the drive is mounted for another user: mount it as yourself"
            )
        return Refused(f"{path} cannot be written ({error.strerror}); plug the board in again and repeat the command")


class Web(_Drive):
    """The drive through the web workflow: `host` is the board's address, also as a browser shows it, `password` its
    CIRCUITPY_WEB_API_PASSWORD."""

    def __init__(self, host: str, password: str, retry_s: float = RETRY_S):
        self.host, self.port = address(host)
        self.asked = self.name
        self._retry_s = retry_s
        self._has_responded = False
        self._authorization = "Basic " + base64.b64encode(f":{password}".encode()).decode()
        self._folders: set[str] = set()

    @property
    def name(self) -> str:  # type: ignore[override]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "http://" + host + ("" if self.port == 80 else f":{self.port}")

    def read(self, path: str) -> bytes | None:
        status, body = self._request("GET", path)
        return None if status == 404 else self._expect(status, body, path, 200)

    def write(self, path: str, data: bytes) -> None:
        self._make_folders(path)
        self._expect(*self._request("PUT", path, data), path, 201, 204)

    def rename(self, path: str, new: str) -> None:
        self.remove(new)  # the board does not replace files
        status, body = self._request("MOVE", path, headers={"X-Destination": "/fs/" + urllib.parse.quote(new)})
        if status in (404, 412) and self.read(path) is None and self.read(new) is not None:
            return  # done before, only the response was lost
        self._expect(status, body, new, 201, 204)

    def remove(self, path: str) -> None:
        self._expect(*self._request("DELETE", path), path, 204, 404)

    def names(self, folder: str) -> list[str]:
        entries = self._list(folder + "/" if folder else "")
        files = entries["files"] if isinstance(entries, dict) else entries
        return sorted(entry["name"] for entry in files if not entry["directory"])

    def room(self) -> tuple[int, int]:
        entries = self._list("")
        if not isinstance(entries, dict) or "free" not in entries:
            return 1 << 40, 4096  # not on older boards; a full drive is noticed when writing
        unit = entries.get("block_size", 4096)
        return entries["free"] * unit, unit

    def _list(self, path: str):
        status, body = self._request("GET", path, headers={"Accept": "application/json"})
        if status == 404:
            return []
        try:
            return json.loads(self._expect(status, body, path, 200))
        except ValueError:
            raise Refused(f"{self.name} does not respond like a board with CircuitPython; is the address right?") from None

    def _make_folders(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth]) + "/"
            if folder not in self._folders:
                self._expect(*self._request("PUT", folder, b""), folder, 201, 204)
                self._folders.add(folder)

    def _request(self, method: str, path: str, data: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        """(status, body) of one request, after redirects: circuitpython.local redirects to one board's own name with 307."""
        for _ in range(MOST_REDIRECTS):
            status, body, location = self._request_here(method, path, data, headers)
            if status not in (301, 302, 303, 307, 308):
                return status, body
            if not location.lower().startswith("http://"):
                raise Refused(f"{self.name} redirects to {location or 'nowhere'}, which is not a board; is the address right?")
            self.host, self.port = address(location)
        raise Refused(f"{self.asked} redirects in a circle; give the board's IP address")

    def _request_here(self, method: str, path: str, data, headers: dict | None) -> tuple[int, bytes, str]:
        """(status, body, Location) of one request; repeated for some time, because boards restart while they are updated."""
        headers = {"Authorization": self._authorization, "X-Timestamp": str(int(time.time() * 1000)), **(headers or {})}
        retry_s = self._retry_s if self._has_responded else min(self._retry_s, FIRST_RETRY_S)
        until = time.monotonic() + retry_s
        while True:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=min(TIMEOUT_S, max(1.0, retry_s)))
            try:
                connection.request(method, "/fs/" + urllib.parse.quote(path), data, headers)
                response = connection.getresponse()
                body = response.read()
                self._has_responded = True
                return response.status, body, response.getheader("Location", "")
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                if time.monotonic() > until:
                    raise Refused(self._no_response(error)) from None
                time.sleep(min(PAUSE_S, self._retry_s / 5))
            finally:
                connection.close()

    def _no_response(self, error: Exception) -> str:
        """Why there is no response, with the remedy."""
        way = f"{self.asked} redirects to {self.name}, which" if self.asked != self.name else self.name
        if isinstance(error, socket.gaierror | UnicodeError):
            return (
                f"{way} is not found in this network; give the IP address on the board's screen: "
                f"{option('HOST', '192.168.1.77')}"
            )
        if isinstance(error, ConnectionRefusedError):
            return (
                f"{way} does not respond (connection refused); is CIRCUITPY_WEB_API_PASSWORD in its settings.toml? After a "
                "restart by the watchdog CircuitPython leaves its web server off: disconnect the power for a moment"
            )
        if isinstance(error, OSError):
            return f"{way} does not respond; is it on and in this network, and does it have a CIRCUITPY_WEB_API_PASSWORD?"
        return f"{way} does not respond like a board with CircuitPython; is the address right?"

    def _expect(self, status: int, body: bytes, path: str, *good: int) -> bytes:
        if status in good:
            return body
        if status == 401:
            raise Refused(
                "the password is wrong; it is CIRCUITPY_WEB_API_PASSWORD of the settings.toml on the board"
                + ("" if ON_WINDOWS else ", and in a shell it belongs in single quotes: PASSWORD='...'")
            )
        if status == 403:
            raise Refused("the board has no CIRCUITPY_WEB_API_PASSWORD in its settings.toml; write one by cable first")
        if status == 409:
            raise Refused(f"a PC has the drive by USB; eject it there, or use the cable: {command()} {option('DRIVE', '...')}")
        if status in (413, 417, 507):
            raise Full(f"the drive is full, {path} does not fit")
        raise Refused(f"the board responds with status {status} to {path}; restart it and repeat the command")
