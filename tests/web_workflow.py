# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A stand-in for CircuitPython's web workflow, as strict as the board: it refuses what the board refuses.

After circuitpython.md, section 6, and CircuitPython's docs/workflows.md. Its drive is a folder; it can be full or in
use by USB, and connections can break as when a board restarts.
"""

import base64
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Board:
    """`folder` is its drive. `requests` are (method, path) as they came; `hang_up_at`: numbers of requests to drop."""

    def __init__(self, folder: Path, password="secret", capacity=4 << 20):
        self.folder = folder
        self.password = password
        self.capacity = capacity
        self.usb = False
        self.requests = []
        self.hang_up_at = set()
        self.lose_response_at = set()
        self.stop_at = None
        handler = type("Handler", (_Handler,), {"board": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    @property
    def free(self):
        return self.capacity - sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())


class _Handler(BaseHTTPRequestHandler):
    board: Board
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _respond(self, status, body=b"", kind="text/plain"):
        number = len(self.board.requests) - 1
        if number in self.board.lose_response_at:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _do(self):
        board = self.board
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        board.requests.append((self.command, urllib.parse.unquote(self.path)))
        number = len(board.requests) - 1
        if number in board.hang_up_at or (board.stop_at is not None and number >= board.stop_at):
            self.close_connection = True
            return
        if not board.password:
            self._respond(403)
        elif self.headers.get("Authorization") != "Basic " + base64.b64encode(f":{board.password}".encode()).decode():
            self._respond(401)
        elif not self.path.startswith("/fs/"):
            self._respond(404)
        elif self.command != "GET" and board.usb:
            self._respond(409, b"USB storage active.")
        else:
            name = urllib.parse.unquote(self.path)[len("/fs/") :]
            assert ".." not in name and "\\" not in name and "//" not in name
            getattr(self, "_" + self.command.lower())(name, board.folder / name, body)

    do_GET = do_PUT = do_DELETE = do_MOVE = _do

    def _get(self, name, path, _body):
        if name.endswith("/") or not name:
            if not path.is_dir():
                self._respond(404)
            elif self.headers.get("Accept") != "application/json":
                self._respond(200, b"<html>", "text/html")
            else:
                self._respond(200, self._listing(path), "application/json")
        elif path.is_file():
            self._respond(200, path.read_bytes(), "application/octet-stream")
        else:
            self._respond(404)

    def _listing(self, path):
        files = [
            {"name": e.name, "directory": e.is_dir(), "modified_ns": 0, "file_size": 0 if e.is_dir() else e.stat().st_size}
            for e in path.iterdir()
        ]
        board = self.board
        head = {"free": board.free // 512, "total": board.capacity // 512, "block_size": 512, "writable": not board.usb}
        return json.dumps({**head, "files": files}).encode()

    def _put(self, name, path, body):
        if not path.parent.is_dir():
            self._respond(404)  # directories are made first, one by one
        elif name.endswith("/"):
            there = path.is_dir()
            path.mkdir(exist_ok=True)
            self._respond(204 if there else 201)
        elif path.is_dir():
            self._respond(400)
        elif len(body) > self.board.free:
            self._respond(413)
        else:
            there = path.exists()
            path.write_bytes(body)
            self._respond(204 if there else 201)

    def _delete(self, _name, path, _body):
        if path.is_file():
            path.unlink()
            self._respond(204)
        else:
            self._respond(404)

    def _move(self, _name, path, _body):
        target = urllib.parse.unquote(self.headers.get("X-Destination", ""))
        assert target.startswith("/fs/")
        target = self.board.folder / target[len("/fs/") :]
        if not path.is_file() or not target.parent.is_dir():
            self._respond(404)
        elif target.exists():
            self._respond(412)
        else:
            path.rename(target)
            self._respond(201)
