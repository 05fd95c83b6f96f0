"""`python -m host` as a program: what it says to bad input, and that a chip resets, remembers and loses power."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HELLO = 'print("hello")\nimport time\nwhile True: time.sleep(0.01)\n'


@pytest.fixture
def drive(tmp_path):
    """Writes a drive with this code.py and gives its folder."""

    def write(code: str) -> Path:
        folder = tmp_path / "drive"
        folder.mkdir(exist_ok=True)
        (folder / "code.py").write_text(code)
        (folder / "settings.toml").write_text('MQTT_BROKER = "broker.example"\n')
        return folder

    return write


@pytest.fixture
def serial_port():
    master, slave = pty.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def run(*arguments, timeout: float = 30) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "host", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "host", "--plain", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def read_until(process: subprocess.Popen, text: str) -> str:
    heard = ""
    for line in process.stdout:
        heard += line
        if text in line:
            return heard
    raise AssertionError(f"{text!r} never came:\n{heard}")


def is_alive(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("arguments", "names", "remedy"),
    [
        (["--settings", "/nope.toml"], "/nope.toml", "give --settings"),
        (["--settings", "/tmp"], "/tmp", "give --settings"),
        (["--uart", "/dev/nope"], "/dev/nope", "plug the adapter in"),
        (["--uart", "/etc/passwd"], "/etc/passwd", "no serial device"),
        (["--uart", "/dev/null", "--bms", "cells=4"], "--uart and --bms", "exclude each other"),
        (["--broker", "abc"], "abc", "192.168.1.5:1883"),
        (["--broker", "host:http"], "host:http", "192.168.1.5:1883"),
        (["--broker", "host:70000"], "host:70000", "192.168.1.5:1883"),
        (["--seconds", "soon"], "soon", "for example 30"),
        (["--seconds", "-1"], "-1", "for example 30"),
        (["--oled", "/nope/x.png"], "/nope/x.png", "folder of yours"),
        (["--oled", "/tmp/x.gif"], "/tmp/x.gif", ".png"),
        (["--oled", "/tmp/x.png", "--no-oled"], "--no-oled", "exclude each other"),
        (["--nvm", "/nope/x"], "/nope/x", "folder of yours"),
        (["--nvm", "/etc/passwd"], "/etc/passwd", "new file"),
        (["--drive", "/"], "code.py", "give --drive"),
        (["--bms", "wheels=4"], "wheels", "option"),
        (["--what"], "--what", ""),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(drive, arguments, names, remedy):
    given = [] if "--drive" in arguments else ["--drive", drive(HELLO)]
    done = run("--plain", "--seconds", "5", *given, *arguments)
    assert done.returncode == 2
    assert names in done.stderr and remedy in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_serial_port_in_use(drive, serial_port):
    import serial

    with serial.Serial(serial_port, exclusive=True):
        done = run("--plain", "--drive", drive(HELLO), "--uart", serial_port)
    assert done.returncode == 2 and "another program" in done.stderr


def test_it_stops_by_itself_and_leaves_the_picture(drive, serial_port, tmp_path):
    picture = tmp_path / "screen.png"
    done = run("--plain", "--seconds", "1.5", "--drive", drive(HELLO), "--uart", serial_port, "--oled", picture)
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout and picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_is_no_failure(drive, serial_port, number):
    process = start("--drive", drive(HELLO), "--uart", serial_port)
    read_until(process, "hello")
    process.send_signal(number)
    assert "Traceback" not in process.communicate(timeout=10)[0]
    assert process.returncode == 0


@pytest.mark.parametrize(("code", "said"), [("print(1)", "has ended"), ("1 / 0", "ZeroDivisionError")])
def test_firmware_that_ends_is_a_failure(drive, serial_port, code, said):
    done = run("--plain", "--drive", drive(code), "--uart", serial_port)
    assert done.returncode == 1
    assert said in done.stdout and "Code done running" in done.stdout and "runpy" not in done.stdout


def test_the_firmware_sees_the_settings_it_should(drive, serial_port):
    code = 'for line in open("settings.toml"): print("setting", line.strip())\n' + HELLO
    done = run("--plain", "--seconds", "1", "--drive", drive(code), "--uart", serial_port, "--broker", "10.0.0.1:1884")
    assert 'setting MQTT_BROKER = "10.0.0.1"' in done.stdout and "setting MQTT_PORT = 1884" in done.stdout


def test_published_messages_are_shown_and_reach_the_embedded_broker(drive, serial_port):
    code = """
import time, wifi, socketpool
from adafruit_minimqtt.adafruit_minimqtt import MQTT
port = [int(line.split("=")[1]) for line in open("settings.toml") if line.startswith("MQTT_PORT")][0]
client = MQTT(broker="127.0.0.1", port=port, socket_pool=socketpool.SocketPool(wifi.radio), socket_timeout=0.1,
              recv_timeout=2, connect_retries=1)
client.on_message = lambda client, topic, message: print("came", topic, message)
client.connect()
client.subscribe("a/b")
client.publish("a/b", "payload")
while True: client.loop(0.2)
"""
    done = run("--plain", "--seconds", "3", "--drive", drive(code), "--uart", serial_port)
    assert "-> a/b payload" in done.stdout and "came a/b payload" in done.stdout, done.stdout


RESETTING = """
import microcontroller, supervisor, time, watchdog
run = microcontroller.nvm[0]
print("run", run, microcontroller.cpu.reset_reason, supervisor.runtime.run_reason, (supervisor.ticks_ms() >> 16) % 2)
microcontroller.nvm[0:1] = bytes([run + 1])
if run == 0:
    microcontroller.reset()
if run == 1:
    microcontroller.watchdog.timeout = 0.3
    microcontroller.watchdog.mode = watchdog.WatchDogMode.RESET
    microcontroller.watchdog.feed()
    time.sleep(10)
if run == 2:
    supervisor.reload()
while True: time.sleep(0.01)
"""


def test_resets_keep_memory_surroundings_and_deadline(drive, tmp_path):
    began = time.monotonic()
    done = run("--plain", "--seconds", "5", "--drive", drive(RESETTING), "--nvm", tmp_path / "memory")
    assert done.returncode == 0
    runs = re.findall(r"run (\d) microcontroller.ResetReason.(\w+) supervisor.RunReason.(\w+)", done.stdout)
    assert runs == [
        ("0", "POWER_ON", "STARTUP"),
        ("1", "SOFTWARE", "STARTUP"),
        ("2", "WATCHDOG", "STARTUP"),
        ("3", "WATCHDOG", "SUPERVISOR_RELOAD"),
    ]
    assert done.stdout.count("BMS on") == 1
    assert time.monotonic() - began < 8
    assert (tmp_path / "memory").stat().st_size == 8192 and (tmp_path / "memory").read_bytes()[:2] == b"\x04\x00"


def test_memory_outlives_power(drive, serial_port, tmp_path):
    code = "import microcontroller\nprint(bytes(microcontroller.nvm[5:8]))\nmicrocontroller.nvm[5:8] = b'abc'\n" + HELLO
    arguments = ("--plain", "--seconds", "1", "--drive", drive(code), "--uart", serial_port)
    assert r"b'\x00\x00\x00'" in run(*arguments).stdout
    assert "b'abc'" in run(*arguments).stdout
    assert (tmp_path / "drive" / "settings.toml.nvm").exists()


def test_the_watchdog_can_also_raise(drive, serial_port):
    code = """
import time
from microcontroller import watchdog
from watchdog import WatchDogMode, WatchDogTimeout
watchdog.timeout = 0.2
watchdog.mode = WatchDogMode.RAISE
try:
    time.sleep(5)
except WatchDogTimeout:
    print("bitten", watchdog.mode)
"""
    assert "bitten None" in run("--plain", "--drive", drive(code), "--uart", serial_port).stdout


def test_killing_the_host_takes_its_children_along(drive):
    process = start("--drive", drive(HELLO))
    read_until(process, "hello")
    children = [int(text) for text in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(children) == 2
    process.kill()
    process.wait()
    end_at = time.monotonic() + 5
    while any(map(is_alive, children)) and time.monotonic() < end_at:
        time.sleep(0.05)
    assert not any(map(is_alive, children))


def test_the_drive_of_a_killed_host_is_swept_by_the_next(drive, serial_port, tmp_path):
    code = 'import os\nprint("drive", os.getcwd())\n' + HELLO
    process = start("--drive", drive(code), "--uart", serial_port, "--broker", "127.0.0.1:1")
    left = Path(read_until(process, "drive").split()[-1])
    process.kill()
    process.wait()
    assert left.exists()
    run("--plain", "--seconds", "0.5", "--drive", drive(HELLO), "--uart", serial_port, "--broker", "127.0.0.1:1")
    assert not left.exists()


def test_the_standard_module_code_stays_reachable(drive, serial_port):
    done = run(
        "--plain", "--drive", drive("import code, board\nprint(code.InteractiveConsole, board.TX)\n"), "--uart", serial_port
    )
    assert "InteractiveConsole" in done.stdout
