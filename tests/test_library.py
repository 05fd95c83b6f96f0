# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The library daly-bms, as users get it: installed from its wheel on a PC, compiled in MicroPython, at the simulated BMS."""

import ast
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from pathlib import Path

import pytest
from processes import SimulatedBms

from app.settings import SETTINGS
from tools import library

ROOT = Path(__file__).parent.parent
MICROPYTHON = shutil.which("micropython", path=Path(sys.executable).parent)

# the chip's modules for MicroPython on this PC: a UART on the serial device argv[1], and the clocks that only a board has
BOARD = """
import io, select, sys, time as clock

class Module:
    pass

class UART:
    def __init__(self, tx, rx, *, baudrate, timeout, receiver_buffer_size):
        assert (tx, rx, baudrate, timeout) == ("TX", "RX", 9600, 0) and receiver_buffer_size >= 256
        self._device = open(sys.argv[1], "r+b")
        self._poll = select.poll()
        self._poll.register(self._device, select.POLLIN)

    def readinto(self, buffer):
        count = 0
        while count < len(buffer) and self._poll.poll(0):  # its own readinto would wait until the buffer is full
            buffer[count] = self._device.read(1)[0]
            count += 1
        return count or None

    def write(self, data):
        return self._device.write(data)

board, busio, supervisor, time = Module(), Module(), Module(), Module()
board.TX, board.RX = "TX", "RX"
busio.UART = UART
supervisor.ticks_ms = lambda: clock.ticks_ms() & 0x1FFFFFFF
time.monotonic = lambda: clock.ticks_ms() / 1000
time.sleep = clock.sleep
for name in ("board", "busio", "supervisor", "time"):
    sys.modules[name] = globals()[name]
exec(open(sys.argv[2]).read())
"""


class Program:
    """A program that prints for ever; `wait(condition)` returns its first line from now on for which that is true."""

    def __init__(self, *command, folder=None):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line)

    def wait(self, condition, seconds=120):
        end = time.monotonic() + seconds
        seen = []
        while time.monotonic() < end:
            try:
                seen.append(self._lines.get(timeout=1))
            except queue.Empty:
                continue
            if condition(seen[-1]):
                return seen[-1]
        pytest.fail("".join(seen[-20:]), pytrace=False)

    def stop(self):
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return library.write(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def python(tree, tmp_path_factory):
    """The Python of a new environment in which the wheel is installed as a user does it."""
    folder = tmp_path_factory.mktemp("environment")
    wheel = library.wheel(tree, folder)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    new = folder / "venv" / "bin" / "python"
    install = [str(new), "-m", "pip", "--disable-pip-version-check", "-q", "install", f"{wheel}[serial]"]
    subprocess.run(install, check=True)
    return str(new)


@pytest.fixture
def bms(tmp_path):
    bms = SimulatedBms(tmp_path, "drift=0,cells=4,soc=57.3,current=-12.4,cell_mv=1:3301+2:3290+3:3299+4:3312")
    yield bms
    bms.stop()


def converse(program, bms, alive):
    """It prints what the BMS says, then why there is nothing, then again what it says; and it has only read."""
    try:
        line = program.wait(lambda line: "A, cells [" in line and "None" not in line)
        assert alive(line), line
        bms.set("silent=1")
        program.wait(lambda line: line.startswith("No value: BMS asleep, or cut off"))
        bms.set("silent=0,soc=40")
        program.wait(lambda line: line.startswith("40.0 %"))
        requests = bms.requests()
        assert len(requests) > 20 and bms.writes() == []
    finally:
        program.stop()


def test_the_simpletest_of_a_pc_from_the_wheel(python, tree, bms, tmp_path):
    program = Program(python, str(tree / "examples" / "daly_simpletest_pc.py"), bms.path, folder=tmp_path)
    text = "% , V, -12.4 A, cells [3.301, 3.29, 3.299, 3.312], alarms []"
    converse(program, bms, lambda line: line.startswith("57.3 %") and all(part in line for part in text.split(" , ")[1:]))


@pytest.mark.skipif(MICROPYTHON is None, reason="no micropython: see requirements-dev.txt")
def test_the_simpletest_of_a_board_compiled_in_micropython(tree, bms, tmp_path):
    for name, data in library.compiled().items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"M" + data[1:])  # the only difference between CircuitPython's and MicroPython's
    (tmp_path / "board_on_pc.py").write_text(BOARD)
    example = tree / "examples" / "daly_simpletest.py"
    program = Program(MICROPYTHON, "board_on_pc.py", bms.path, str(example), folder=tmp_path)
    converse(program, bms, lambda line: line.startswith("57.3 %, 1") and "-12.4 A, cells [3.301, 3.29" in line)


PAUSES = """
import sys, time, serial
from daly_bms import DalyBms

uart = serial.Serial(sys.argv[1], 9600, timeout=0)
bms = DalyBms(uart)
print(bms.soc, bms.diagnosis)


def run(until):
    end = time.monotonic() + 30
    while not until():
        assert time.monotonic() < end, bms.diagnosis
        bms.update()
        time.sleep(0.005)


run(lambda: bms.soc is not None and None not in bms.cell_voltages and bms.alarms is not None and bms.mode is not None)
run(lambda: bms.value("cycle_count") and bms.value("rated_capacity"))
print(bms.soc, bms.text("cell_2_voltage"), bms.value("cell_2_voltage"), bms.mode, bms.charge_mosfet, bms.value("cycle_count"),
      bms.value("rated_capacity"), bms.protocol, bms.online)
time.sleep(3.2)
print(bms.soc, bms.cell_voltages, bms.alarms, bms.online, bms.diagnosis)
bms.update()
print(bms.soc, bms.value("rated_capacity"))
run(lambda: bms.soc is not None)
print(bms.soc)
for key in ("cell_99_voltage", "cell_0_voltage", "nothing", "alarm_bits_1", "cell_{}_voltage"):
    try:
        print(bms.value(key), key)
    except KeyError:
        pass
"""


def test_who_does_not_call_update_is_told_nothing_old(python, bms, tmp_path):
    (tmp_path / "pauses.py").write_text(PAUSES)
    done = subprocess.run([python, "pauses.py", bms.path], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    lines = [line for line in done.stdout.splitlines() if "the sign of the current" not in line]
    assert lines == [
        "None update() has not been called yet",
        "57.3 3.290 3.29 discharging True 42 280.0 A5 True",
        "None [None, None, None, None] None False update() has not been called for more than 3 s, so nothing is known now",
        "None None",
        "57.3",
    ], done.stderr


def test_the_tree_is_what_the_bundle_wants(tree):
    """Its README, a licence, one package that pyproject.toml names, and an example <...>_simpletest.py."""
    project = tomllib.loads((tree / "pyproject.toml").read_text())
    assert project["project"]["name"] == "daly-bms" and project["tool"]["setuptools"]["packages"] == ["daly_bms"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["project"]["version"])
    assert f'__version__ = "{project["project"]["version"]}"' in (tree / "daly_bms" / "__init__.py").read_text()
    assert (tree / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert (tree / "examples" / "daly_simpletest.py").exists()
    readme = (tree / "README.rst").read_text()
    for heading in ("Dependencies", "Installing", "Usage Example", "Contributing"):
        assert re.search(rf"^{heading}\n-+$", readme, re.MULTILINE), heading
    public = re.findall(r"    @property\n    def (\w+)", (tree / "daly_bms" / "__init__.py").read_text())
    assert [name for name in public if f"``{name}``" not in readme] == []


def test_nothing_in_it_writes_to_a_bms_or_names_what_it_does_not_have(tree):
    names = {path.stem for path in (tree / "daly_bms").glob("*.py")}
    assert {"a5", "p81", "d2", "poller"} <= names and not names & {"commands", "controls", "bank", "json"}
    settings = {setting.key for setting in SETTINGS} - {"CIRCUITPY_WIFI_SSID"}
    for path in (tree / "daly_bms").glob("*.py"):
        parsed = ast.parse(path.read_text())
        for node in ast.walk(parsed):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module in ("collections", "struct", "supervisor"), (path.name, node.module)
            elif isinstance(node, ast.Import):
                assert {alias.name for alias in node.names} <= {"sys", "time"}, path.name
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and path.stem in ("words", "diagnosis"):
                assert not set(re.findall(r"[A-Z]+(?:_[A-Z0-9]+)+", node.value)) & settings, node.value


def test_what_does_not_fit_into_the_package_is_refused():
    for text in ("from battery import pack\n", "import daly.bus\n", 'load("daly.scan")\n'):
        with pytest.raises(ValueError):
            library.rewritten(text)


def test_the_wheel_has_nothing_else(python, tree, tmp_path):
    with zipfile.ZipFile(library.wheel(tree, tmp_path)) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {re.sub(r"-.*", "", top) for top in tops} == {"daly_bms"}, tops
