# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A CIRCUITPY drive to write to: as a folder, or over the network through CircuitPython's web workflow.

Both know the same words; paths are relative and have forward slashes. Everything that goes wrong is a Refused with a sentence.
"""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import re
import socket
import time
import urllib.parse
from pathlib import Path

PATIENCE_S = 60  # a board that restarts in the middle of an update is back by then
PAUSE_S = 2
FIRST_PATIENCE_S = 10  # before it has answered once it is rather the address that is wrong
TIMEOUT_S = 15
LONGEST_WAY = 5  # from one address to the next
PLACES = ("media/*", "media/*/*", "run/media/*/*", "Volumes/*", "mnt/*")  # where systems mount drives
QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019"


class Refused(Exception):
    """Why it cannot go on, as a sentence with the remedy."""


class Full(Refused):
    """There is no room."""


def address(text: str) -> tuple[str, int]:
    """(name or IP address, port) of what people write or paste: with http://, a name and password, a path, spaces around it."""
    rest = re.sub(r"^[a-z][a-z0-9+.-]*:/+", "", text.strip().strip(QUOTES).strip(), flags=re.IGNORECASE)
    place = re.split(r"[/?#\\]", rest, maxsplit=1)[0].rpartition("@")[2].strip()
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]{0,5}))?", place)
    port = int(found[3] or 80) if found else 0
    if not found or not 0 < port < 65536:
        raise Refused(f'"{text}" is no address of a board; write HOST=192.168.1.77, as on its screen, or HOST=cpy-1a2b3c.local')
    host = (found[1] or found[2]).rstrip(".")
    if re.fullmatch(r"[0-9.]+", host) and not re.fullmatch(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", host):
        raise Refused(f'"{host}" is no IP address: four numbers up to 255; write HOST=192.168.1.77')
    return host, port


def boards() -> list[str]:
    """The CIRCUITPY drives that are mounted here."""
    found = [file.parent for place in PLACES for file in Path("/").glob(place + "/boot_out.txt")]
    return sorted(str(folder) for folder in found)


def _folder(text: str) -> Path:
    """The folder that people mean: with quotes or spaces around it, with ~, or as a file manager copies it."""
    tries = [text, text.strip(), text.strip().strip(QUOTES).strip()]
    if tries[-1].startswith("file://"):
        tries.append(urllib.parse.unquote(tries[-1].removeprefix("file://")))
    for path in (Path(word).expanduser() for word in tries if word):
        if _is_folder(path):
            return path
    said = tries[-1] or "an empty name"
    if Path(said).is_file():
        raise Refused(f"{said} is a file; give the folder it is in: DRIVE={Path(said).parent}")
    there = boards()
    remedy = f"there is {' and '.join(there)}" if there else "is the board plugged in, and its drive mounted?"
    raise Refused(f"{said} is no folder; {remedy}")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


class _Drive:
    """What both have in common."""

    name: str

    def discard(self, path: str) -> None:
        """Remove what was written in vain; if that fails too, the next installation sweeps."""
        try:
            self.remove(path)
        except Refused:
            pass

    def remove(self, path: str) -> None:
        raise NotImplementedError


class Folder(_Drive):
    """The drive as it appears on a PC; `path` as people write or paste it."""

    def __init__(self, path: Path | str):
        self._path = _folder(str(path))
        self.name = str(self._path)
        if (self._path / "INFO_UF2.TXT").exists() and not (self._path / "boot_out.txt").exists():
            raise Refused(
                f"{self.name} is the bootloader's drive: copy CircuitPython's .uf2 onto it first, then take the drive CIRCUITPY"
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
        """Give a file another name; one that has it is replaced."""
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
        """(bytes free, bytes that the smallest file takes)."""
        try:
            state = (
                os.statvfs(self._path) if hasattr(os, "statvfs") else None
            )  # Windows has none; a full drive is noticed anyway
        except OSError as error:
            raise self._trouble("", error) from None
        return (state.f_bavail * state.f_frsize, state.f_frsize) if state else (1 << 40, 4096)

    def _trouble(self, path: str, error: OSError) -> Refused:
        if error.errno == errno.ENOSPC:
            return Full(f"the drive is full, {path} does not fit")
        if error.errno == errno.EROFS:
            return Refused(
                f"the drive is read-only for this PC; eject it, plug the board in again (a boot.py may forbid it): {path}"
            )
        if error.errno in (errno.EIO, errno.ENODEV, errno.ENOENT, errno.ENXIO):
            return Refused(f"the drive is gone ({error.strerror}: {path}); plug the board in again and repeat the command")
        if error.errno in (errno.EACCES, errno.EPERM):
            return Refused(
                f"{path} cannot be written ({error.strerror}); the drive is mounted for somebody else: mount it as yourself"
            )
        return Refused(f"{path} cannot be written ({error.strerror}); plug the board in again and repeat the command")


class Web(_Drive):
    """The drive through the web workflow: `host` is the board's address, also as it stands in a browser, `password` its
    CIRCUITPY_WEB_API_PASSWORD."""

    def __init__(self, host: str, password: str, patience_s: float = PATIENCE_S):
        self.host, self.port = address(host)
        self.asked = self.name
        self._patience_s = patience_s
        self._has_answered = False
        self._authorization = "Basic " + base64.b64encode(f":{password}".encode()).decode()
        self._folders: set[str] = set()

    @property
    def name(self) -> str:  # type: ignore[override]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "http://" + host + ("" if self.port == 80 else f":{self.port}")

    def read(self, path: str) -> bytes | None:
        status, body = self._ask("GET", path)
        return None if status == 404 else self._expect(status, body, path, 200)

    def write(self, path: str, data: bytes) -> None:
        self._make_folders(path)
        self._expect(*self._ask("PUT", path, data), path, 201, 204)

    def rename(self, path: str, new: str) -> None:
        self.remove(new)  # the board moves nothing onto a file that is there
        status, body = self._ask("MOVE", path, headers={"X-Destination": "/fs/" + urllib.parse.quote(new)})
        if status in (404, 412) and self.read(path) is None and self.read(new) is not None:
            return  # done before, and only the answer was lost
        self._expect(status, body, new, 201, 204)

    def remove(self, path: str) -> None:
        self._expect(*self._ask("DELETE", path), path, 204, 404)

    def names(self, folder: str) -> list[str]:
        entries = self._list(folder + "/" if folder else "")
        files = entries["files"] if isinstance(entries, dict) else entries
        return sorted(entry["name"] for entry in files if not entry["directory"])

    def room(self) -> tuple[int, int]:
        entries = self._list("")
        if not isinstance(entries, dict) or "free" not in entries:
            return 1 << 40, 4096  # older boards do not tell; a full drive is noticed anyway
        unit = entries.get("block_size", 4096)
        return entries["free"] * unit, unit

    def _list(self, path: str):
        status, body = self._ask("GET", path, headers={"Accept": "application/json"})
        if status == 404:
            return []
        try:
            return json.loads(self._expect(status, body, path, 200))
        except ValueError:
            raise Refused(f"{self.name} does not answer as a board with CircuitPython does; is the address right?") from None

    def _make_folders(self, path: str) -> None:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth]) + "/"
            if folder not in self._folders:
                self._expect(*self._ask("PUT", folder, b""), folder, 201, 204)
                self._folders.add(folder)

    def _ask(self, method: str, path: str, data: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes]:
        """One request, to where the board says it is: circuitpython.local leads to one by its own name, with 307."""
        for _ in range(LONGEST_WAY):
            status, body, location = self._ask_here(method, path, data, headers)
            if status not in (301, 302, 303, 307, 308):
                return status, body
            if not location.lower().startswith("http://"):
                raise Refused(f"{self.name} leads to {location or 'nowhere'}, which is no board; is the address right?")
            self.host, self.port = address(location)
        raise Refused(f"{self.asked} leads in a circle; give the board's IP address")

    def _ask_here(self, method: str, path: str, data, headers: dict | None) -> tuple[int, bytes, str]:
        """As often as it takes, because a board that is being updated restarts now and then."""
        headers = {"Authorization": self._authorization, "X-Timestamp": str(int(time.time() * 1000)), **(headers or {})}
        patience_s = self._patience_s if self._has_answered else min(self._patience_s, FIRST_PATIENCE_S)
        until = time.monotonic() + patience_s
        while True:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=min(TIMEOUT_S, max(1.0, patience_s)))
            try:
                connection.request(method, "/fs/" + urllib.parse.quote(path), data, headers)
                answer = connection.getresponse()
                body = answer.read()
                self._has_answered = True
                return answer.status, body, answer.getheader("Location", "")
            except (OSError, http.client.HTTPException, UnicodeError) as error:
                if time.monotonic() > until:
                    raise Refused(self._silence(error)) from None
                time.sleep(min(PAUSE_S, self._patience_s / 5))
            finally:
                connection.close()

    def _silence(self, error: Exception) -> str:
        """Why there is no answer, with the remedy."""
        way = f"{self.asked} leads to {self.name}, and that" if self.asked != self.name else self.name
        if isinstance(error, socket.gaierror | UnicodeError):
            return (
                f"{way} is not found in this network; give the IP address that stands on the board's screen: HOST=192.168.1.77"
            )
        if isinstance(error, ConnectionRefusedError):
            return (
                f"{way} does not answer (connection refused); is CIRCUITPY_WEB_API_PASSWORD in its settings.toml? After a "
                "restart by the watchdog CircuitPython leaves its web server off: take the power away for a moment"
            )
        if isinstance(error, OSError):
            return (
                f"{way} does not answer; is the board on, in this network, and CIRCUITPY_WEB_API_PASSWORD in its settings.toml?"
            )
        return f"{way} does not answer as a board with CircuitPython does; is the address right?"

    def _expect(self, status: int, body: bytes, path: str, *good: int) -> bytes:
        if status in good:
            return body
        if status == 401:
            raise Refused(
                "the password is wrong; it is CIRCUITPY_WEB_API_PASSWORD of the settings.toml on the board, and in a shell it "
                "belongs in single quotes: PASSWORD='...'"
            )
        if status == 403:
            raise Refused("the board has no CIRCUITPY_WEB_API_PASSWORD in its settings.toml; write one by cable first")
        if status == 409:
            raise Refused("a PC has the drive by USB; eject it there, or use the cable: make install DRIVE=...")
        if status in (413, 417, 507):
            raise Full(f"the drive is full, {path} does not fit")
        raise Refused(f"the board answers {status} to {path}; restart it and repeat the command")
