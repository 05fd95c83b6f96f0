"""A CIRCUITPY drive to write to: as a folder, or over the network through CircuitPython's web workflow.

Both know the same words; paths are relative and have forward slashes. Everything that goes wrong is a Refused with a sentence.
"""

from __future__ import annotations

import base64
import errno
import http.client
import json
import os
import time
import urllib.parse
from pathlib import Path

PATIENCE_S = 60  # a board that restarts in the middle of an update is back by then
PAUSE_S = 2
TIMEOUT_S = 15


class Refused(Exception):
    """Why it cannot go on, as a sentence with the remedy."""


class Full(Refused):
    """There is no room."""


class Folder:
    """The drive as it appears on a PC."""

    def __init__(self, path: Path):
        self._path = path
        self.name = str(path)
        if not path.is_dir():
            raise Refused(f"{path} is no folder; is the board plugged in, and its drive mounted?")

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
        state = os.statvfs(self._path) if hasattr(os, "statvfs") else None  # Windows has none; a full drive is noticed anyway
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
        return Refused(f"{path} cannot be written ({error.strerror})")


class Web:
    """The drive through the web workflow: `host` is the board's address, `password` its CIRCUITPY_WEB_API_PASSWORD."""

    def __init__(self, host: str, password: str, patience_s: float = PATIENCE_S):
        self.name = "http://" + host
        self._host = host
        self._patience_s = patience_s
        self._authorization = "Basic " + base64.b64encode(f":{password}".encode()).decode()
        self._folders: set[str] = set()

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
        """One request; as often as it takes, because a board that is being updated restarts now and then."""
        headers = {"Authorization": self._authorization, "X-Timestamp": str(int(time.time() * 1000)), **(headers or {})}
        until = time.monotonic() + self._patience_s
        while True:
            connection = http.client.HTTPConnection(self._host, timeout=TIMEOUT_S)
            try:
                connection.request(method, "/fs/" + urllib.parse.quote(path), data, headers)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > until:
                    raise Refused(
                        f"{self.name} does not answer ({error or type(error).__name__}); is the board on, in this network, and "
                        "CIRCUITPY_WEB_API_PASSWORD in its settings.toml?"
                    ) from None
                time.sleep(min(PAUSE_S, self._patience_s / 5))
            finally:
                connection.close()

    def _expect(self, status: int, body: bytes, path: str, *good: int) -> bytes:
        if status in good:
            return body
        if status == 401:
            raise Refused("the password is wrong; it is CIRCUITPY_WEB_API_PASSWORD of the settings.toml on the board")
        if status == 403:
            raise Refused("the board has no CIRCUITPY_WEB_API_PASSWORD in its settings.toml; write one by cable first")
        if status == 409:
            raise Refused("a PC has the drive by USB; eject it there, or use the cable: make install DRIVE=...")
        if status in (413, 417, 507):
            raise Full(f"the drive is full, {path} does not fit")
        raise Refused(f"the board answers {status} to {path}; restart it and repeat the command")
