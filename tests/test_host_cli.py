# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m host` as a program: what it says to bad input, and that a chip resets, remembers and loses power."""

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from mosquitto import Subscriber, free_port, wait_until

from host import view
from host.view import Frames, Outlet

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


def run(*arguments, timeout: float = 120) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "host", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=timeout
    )


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "host", "--plain", "--json", *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def read_until(process: subprocess.Popen, *texts: str) -> str:
    heard = ""
    for line in process.stdout:
        heard += line
        if all(text in heard for text in texts):
            return heard
    raise AssertionError(f"{texts} never came:\n{heard}")


def run_until(texts: tuple, *arguments) -> str:
    """What it has printed until all of these texts were there, however long that takes here; then it is ended."""
    process = start(*arguments)
    try:
        return read_until(process, *texts)
    finally:
        process.terminate()
        process.communicate(timeout=120)
        assert process.returncode == 0


@pytest.fixture(autouse=True)
def usual_signals():
    """Whoever runs the tests under nohup has SIGHUP ignored, and what is started from there would inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


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
        (["--seconds", "soon"], "soon", "number of seconds above 0; write for example 30"),
        (["--seconds", "-1"], "-1", "for example 30"),
        (["--oled", "/nope/x.png"], "/nope/x.png", "folder of yours"),
        (["--oled", "/tmp/x.gif"], "/tmp/x.gif", ".png"),
        (["--oled", "/tmp/x.png", "--no-oled"], "--no-oled", "exclude each other"),
        (["--nvm", "/nope/x"], "/nope/x", "folder of yours"),
        (["--nvm", "/etc/passwd"], "/etc/passwd", "new file"),
        (["--drive", "/"], "code.py", "give --drive"),
        (["--bms", "wheels=4"], "wheels", "option"),
        (["--bms", "cell=3"], "cell", "did you mean cells"),
        (["--bms", "cells=99"], "cells=99", "1..48"),
        (["--bms", "cells=8", "--bms", "cells=99"], "cells=99", "1..48"),
        (["--bms", "cells=8", "--bms", "uart=4"], "uart=4", "the UARTs 1 to 3"),
        (["--chip", "s2", "--bms", "", "--bms", "uart=3"], "uart=3", "the UARTs 1 to 2"),
        (["--bms", "uart=2"], "first UART", "leave out the uart="),
        (["--bms", "protocol=d2", "--bms", ""], "D2", "write uart=2"),
        (["--bms", "board=17", "--bms", ""], "17", "1 to 16"),
        (["--replay", "/etc/passwd", "--bms", "", "--bms", ""], "--replay", "exclude each other"),
        (["--what"], "--what", ""),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(drive, arguments, names, remedy):
    given = [] if "--drive" in arguments else ["--drive", drive(HELLO)]
    done = run("--plain", "--seconds", "5", *given, *arguments)
    assert done.returncode == 2
    assert names in done.stderr and remedy in done.stderr
    assert "Traceback" not in done.stdout + done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_compiled_drive_is_told_not_run(drive):
    """Whoever looks at the drive made by the zip: a PC cannot load its files, and would end in a traceback."""
    folder = drive(HELLO)
    (folder / "app").mkdir()
    (folder / "app" / "early.mpy").write_bytes(b"C\x06\x00\x1f")
    done = run("--plain", "--drive", folder, "--seconds", "5")
    assert done.returncode == 2 and "is compiled, which only a board can run" in done.stderr and "PLAIN=1" in done.stderr


def test_one_line_twice_and_more_lines_than_uarts(drive, serial_port):
    folder = drive(HELLO)
    done = run("--plain", "--drive", folder, "--uart", serial_port, "--uart", serial_port)
    assert done.returncode == 2 and f"--uart {serial_port} is there twice" in done.stderr
    pairs = [pty.openpty() for _ in range(3)]
    others = [part for _, slave in pairs for part in ("--uart", os.ttyname(slave))]
    done = run("--plain", "--drive", folder, "--uart", serial_port, *others)
    assert done.returncode == 2 and "--uart is there 4 times: this chip has 3 UARTs; leave out" in done.stderr
    done = run("--plain", "--drive", folder, "--chip", "s2", "--uart", serial_port, *others[:4])
    assert done.returncode == 2 and "this chip has 2 UARTs" in done.stderr
    for pair in pairs:
        for end in pair:
            os.close(end)


READING_THREE = """
import board, busio
uarts = [busio.UART(board.TX, board.RX, timeout=0.2), busio.UART(board.IO17, board.IO5, timeout=0.2)]
def ask(uart, number):
    request = bytes([0xA5, 0x3F + number, 0x90, 8] + 8 * [0])
    uart.write(request + bytes([sum(request) & 0xFF]))
    response = uart.read(13) or bytes(13)
    return response[1], (response[10] << 8 | response[11]) / 10
print("read", [ask(uarts[0], 1), ask(uarts[0], 2), ask(uarts[1], 1), ask(uarts[1], 2)])
print([line.strip() for line in open("settings.toml")])
"""


def test_several_batteries_are_on_their_uarts_with_their_numbers(drive):
    """One answers per number and UART, with its own state of charge; the settings name all of them, and the user's own pins."""
    folder = drive(READING_THREE + HELLO)
    (folder / "settings.toml").write_text('UART_2_TX = "IO17"\nUART_2_RX = "io5"\nBMS_BOARD_NUMBER = 7\n')
    batteries = ("soc=51", "uart=2,soc=61", "soc=52")
    given = ("--drive", folder, "--broker", "127.0.0.1:1", *(part for text in batteries for part in ("--bms", text)))
    shown = run_until(("hello",), *given)
    assert "read [(1, 51.0), (2, 52.0), (1, 61.0), (0, 0.0)]" in shown
    assert "'BMS_BOARD_NUMBERS = \"1-2\"'" in shown and "'UART_2_BOARD_NUMBERS = \"1\"'" in shown
    assert "BMS_BOARD_NUMBER = 7" not in shown and "'UART_2_RX = \"io5\"'" in shown
    assert re.search(r"BMS on /dev/\S+ \(UART 1, simulated: boards 1-2\)", shown)
    assert 'settings for all of them: BMS_BOARD_NUMBERS = "1-2", UART_2_BOARD_NUMBERS = "1"\n' in shown


def test_several_lines_are_on_several_uarts(drive):
    pairs = [pty.openpty() for _ in range(2)]
    ends = [os.ttyname(slave) for _, slave in pairs]
    code = 'import board, busio\nbusio.UART(board.IO17, board.IO18).write(b"2")\nbusio.UART(board.TX, board.RX).write(b"1")\n'
    shown = run_until(
        ("hello",), "--drive", drive(code + HELLO), "--uart", ends[0], "--uart", ends[1], "--broker", "127.0.0.1:1"
    )
    assert [os.read(master, 4) for master, _ in pairs] == [b"1", b"2"]
    assert f"BMS on {ends[1]} (UART 2)" in shown and 'UART_2_TX = "IO17", UART_2_RX = "IO18"' in shown
    for pair in pairs:
        for end in pair:
            os.close(end)


def test_a_uart_that_nothing_is_connected_to_is_told(drive):
    folder = drive(HELLO)
    (folder / "settings.toml").write_text('UART_2_TX = "IO17"\nUART_2_RX = "IO18"\n')
    shown = run_until(("hello",), "--drive", folder, "--broker", "127.0.0.1:1")
    assert "nothing is connected to UART 2 of the settings; --bms uart=2 connects something" in shown
    assert "settings for" not in shown


def test_a_single_battery_gets_no_settings(drive):
    code = 'print(open("settings.toml").read())\n' + HELLO
    shown = run_until(("hello",), "--drive", drive(code), "--bms", "board=3", "--broker", "127.0.0.1:1")
    assert "BOARD_NUMBER" not in shown and re.search(r"BMS on /dev/\S+ \(simulated\)\n", shown)


def test_a_serial_port_in_use(drive, serial_port):
    import serial

    with serial.Serial(serial_port, exclusive=True):
        done = run("--plain", "--drive", drive(HELLO), "--uart", serial_port)
    assert done.returncode == 2 and "another program" in done.stderr


def test_it_stops_by_itself_and_leaves_the_picture(drive, serial_port, tmp_path):
    picture = tmp_path / "screen.png"
    done = run("--plain", "--seconds", "5", "--drive", drive(HELLO), "--uart", serial_port, "--oled", picture)
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout and picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_signal_is_no_failure(drive, serial_port, number):
    process = start("--drive", drive(HELLO), "--uart", serial_port)
    read_until(process, "hello")
    process.send_signal(number)
    assert "Traceback" not in process.communicate(timeout=60)[0]
    assert process.returncode == 0


@pytest.mark.parametrize(("code", "said"), [("print(1)", "has ended"), ("1 / 0", "ZeroDivisionError")])
def test_firmware_that_ends_is_a_failure(drive, serial_port, code, said):
    done = run("--plain", "--drive", drive(code), "--uart", serial_port)
    assert done.returncode == 1
    assert said in done.stdout and "Code done running" in done.stdout and "runpy" not in done.stdout


def test_the_firmware_sees_the_settings_it_should(drive, serial_port):
    code = 'for line in open("settings.toml"): print("setting", line.strip())\n' + HELLO
    shown = run_until(("hello",), "--drive", drive(code), "--uart", serial_port, "--broker", "10.0.0.1:1884")
    assert 'setting MQTT_BROKER = "10.0.0.1"' in shown and "setting MQTT_PORT = 1884" in shown


def test_bridges_at_one_outside_broker_have_ids_of_their_own_and_the_demonstration_always_the_same(drive, tmp_path):
    code = 'import microcontroller\nprint("chip", microcontroller.cpu.uid.hex())\n' + HELLO

    def uid(*options):
        return re.search(r"chip (\w+)", run_until(("hello",), "--drive", drive(code), *options))[1]

    outside = []
    for name in ("a.toml", "b.toml", "a.toml"):
        (tmp_path / name).write_text("")
        outside.append(uid("--broker", "127.0.0.1:1", "--settings", tmp_path / name))
    assert outside[0] == outside[2] != outside[1]
    assert [len(each) for each in outside] == [12] * 3
    assert uid() == "02da1bc0ffee"


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
    run_until(("-> a/b payload", "came a/b payload"), "--drive", drive(code), "--uart", serial_port)


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
"""


def test_resets_keep_memory_and_surroundings(drive, tmp_path):
    shown = run_until(("hello",), "--drive", drive(RESETTING + HELLO), "--nvm", tmp_path / "memory")
    runs = re.findall(r"run (\d) microcontroller.ResetReason.(\w+) supervisor.RunReason.(\w+)", shown)
    assert runs == [
        ("0", "POWER_ON", "STARTUP"),
        ("1", "SOFTWARE", "STARTUP"),
        ("2", "WATCHDOG", "STARTUP"),
        ("3", "WATCHDOG", "SUPERVISOR_RELOAD"),
    ]
    assert shown.count("BMS on") == 1
    assert (tmp_path / "memory").stat().st_size == 8192 and (tmp_path / "memory").read_bytes()[:2] == b"\x04\x00"


def test_a_chip_that_resets_again_and_again_is_stopped_in_time_all_the_same(drive, serial_port):
    code = "import microcontroller, time\nprint('life')\ntime.sleep(0.3)\nmicrocontroller.reset()\n"
    done = run("--plain", "--seconds", "5", "--drive", drive(code), "--uart", serial_port)
    assert done.returncode == 0 and "life" in done.stdout


def test_memory_outlives_power(drive, serial_port, tmp_path):
    code = "import microcontroller\nprint(bytes(microcontroller.nvm[5:8]))\nmicrocontroller.nvm[5:8] = b'abc'\n" + HELLO
    arguments = ("--drive", drive(code), "--uart", serial_port)
    assert r"b'\x00\x00\x00'" in run_until(("hello",), *arguments)
    assert "b'abc'" in run_until(("hello",), *arguments)
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
    assert wait_until(lambda: not any(map(is_alive, children)), 5)


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


# The memory of the chip: a simulated battery begins anew, and so does what is remembered of it

COUNTING = """
import microcontroller, os
count = microcontroller.nvm[0]
microcontroller.nvm[0:1] = bytes([count + 1])
print("count", count, sorted(os.listdir()))
if count == 0:
    microcontroller.reset()
"""


def test_the_simulated_battery_meets_a_fresh_memory_each_time_but_not_after_a_reset(drive):
    folder = drive(COUNTING + HELLO)
    for _ in range(2):
        shown = run_until(("hello",), "--drive", folder, "--broker", "127.0.0.1:1")
        assert re.findall(r"count (\d)", shown) == ["0", "1"], shown
        assert "'nvm'" not in shown  # the drive has only what a drive has
    assert sorted(path.name for path in folder.iterdir()) == ["code.py", "settings.toml"]


def test_a_demo_is_greeted_by_nothing_of_yesterday(tmp_path):
    """Five short runs, as of somebody who tries options; the sixth knows nothing of them."""
    settings = tmp_path / "settings.toml"
    settings.write_text('MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "t"\n')
    arguments = ("--no-oled", "--settings", settings, "--bms", "current=-90")
    for _ in range(5):
        run_until(("BMS: OK",), *arguments)
    shown = run_until(("-> t/state {", "-> t/bms1/energy {"), *arguments)
    assert "in a row" not in shown
    states = [json.loads(line.split("-> t/state ")[1]) for line in shown.splitlines() if "-> t/state {" in line]
    assert states[0]["boot_count"] == 1 and states[0]["restart_reason"] == "power_on"
    energy = re.search(r'-> t/bms1/energy \{.*"energy_discharged":([\d.]+)', shown)
    assert float(energy[1]) < 0.01
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


def test_a_run_leaves_nothing_in_the_temporary_folder(drive, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-m", "host", "--plain", "--seconds", "1", "--drive", str(drive(HELLO))]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, env=environment, check=True)
    assert list(temporary.iterdir()) == []


# A console that nobody reads

TALKING = """
import time
print("started")
for number in range(100000):
    print("line", number, "x" * 100)
    open(SIGNS, "w").write(str(number))
    time.sleep(0.001)
"""


def full_pipe():
    """(reader, writer) of a pipe that takes nothing any more."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    os.set_blocking(writer, True)
    return reader, writer


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs pipes of Linux")
def test_a_console_that_stands_still_stops_neither_the_firmware_nor_the_end(drive, serial_port, tmp_path):
    signs = tmp_path / "signs"
    reader, writer = full_pipe()
    folder = drive(TALKING.replace("SIGNS", repr(str(signs))))
    command = [
        sys.executable,
        "-m",
        "host",
        "--plain",
        "--drive",
        str(folder),
        "--uart",
        serial_port,
        "--broker",
        "127.0.0.1:1",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
    os.close(writer)

    def number():
        text = signs.read_text() if signs.exists() else ""
        return int(text) if text else 0

    assert wait_until(lambda: number() > 3000, 30), number()
    process.terminate()
    assert process.wait(60) == 0
    os.close(reader)


@pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="needs pipes of Linux")
@pytest.mark.timeout(90)
def test_the_battery_is_told_on_while_nobody_reads_the_console(tmp_path):
    """The whole firmware, with a broker of ours; the console is full from the start."""
    broker = subprocess.Popen(
        [sys.executable, "-m", "host.broker", "--port", "0"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port = int(broker.stdout.readline())
    settings = tmp_path / "settings.toml"
    settings.write_text('MQTT_BROKER = "b"\nMQTT_BASE_TOPIC = "t"\nPUBLISH_INTERVAL_S = 1\nDEADBAND_PERCENT = 0\n')
    reader, writer = full_pipe()
    command = [
        sys.executable,
        "-m",
        "host",
        "--plain",
        "--no-oled",
        "--settings",
        str(settings),
        "--broker",
        f"127.0.0.1:{port}",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
    os.close(writer)
    subscriber = Subscriber(port, topics="t/bms1/state")
    try:
        assert wait_until(lambda: len(subscriber.received) > 12, 60), subscriber.received
    finally:
        subscriber.stop()
        process.terminate()
        process.wait(60)
        broker.stdin.close()
        broker.wait(60)
        os.close(reader)
    times = [json.loads(text) for _, text, _ in subscriber.received]
    assert times[-1]["soc"] is not None


def test_who_reads_again_is_told_how_many_lines_were_dropped():
    reader, writer = full_pipe()
    outlet = Outlet(writer)
    for number in range(Outlet.MOST + 500):
        outlet.put(f"line {number}\n")
    assert outlet.waiting() > 0
    heard = []
    drain = threading.Thread(target=lambda: heard.extend(iter(lambda: os.read(reader, 65536), b"")))
    drain.start()
    assert wait_until(lambda: not outlet.pieces, 10)
    outlet.put("again\n")
    outlet.flush()
    assert outlet.waiting() == 0
    os.close(writer)
    drain.join(5)
    text = b"".join(heard).decode()
    assert "line 1999\n" in text and "host: 500 lines were dropped here, nothing read them\nagain\n" in text
    os.close(reader)


@pytest.mark.parametrize("error", [errno.EPIPE, errno.EIO, errno.ENOSPC])
def test_an_output_that_fails_is_no_reason_to_wait(monkeypatch, error):
    ended = threading.Event()

    def fail(*_):
        raise OSError(error, "")

    monkeypatch.setattr(view, "os", type("Os", (), {"write": fail}))
    outlet = Outlet(99, ended.set)
    for _ in range(3):
        outlet.put("x")
    outlet.flush()
    assert outlet.pieces == 0 and ended.wait(0.1) is (error == errno.EPIPE)


def test_a_picture_that_does_not_fit_is_left_out_but_not_the_way_back():
    put = []
    outlet = type("Full", (), {"pieces": 1, "put": lambda _, text: put.append(text)})()
    frames = Frames(outlet)
    frames.write("picture")
    frames.must = True
    frames.write("leave")
    assert put == ["leave"]


# Ends that people bring about


def test_a_reader_that_has_seen_enough(drive):
    """As in `python -m host --plain | head -1`."""
    command = f"{sys.executable} -m host --plain --drive {drive(TALKING.replace('SIGNS', repr('/dev/null')))} | head -1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_a_check_for_a_reader_that_has_seen_enough(tmp_path):
    (tmp_path / "settings.toml").write_text("MISTAKE = 1\n" * 5000)
    command = f"{sys.executable} -m host --check {tmp_path}/settings.toml | head -1"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_a_terminal_that_is_closed(drive, serial_port):
    process = start("--drive", drive(HELLO), "--uart", serial_port)
    read_until(process, "hello")
    process.send_signal(signal.SIGHUP)
    assert "Traceback" not in process.communicate(timeout=60)[0] and process.returncode == 0


def test_under_nohup_it_goes_on(drive, serial_port):
    command = [sys.executable, "-m", "host", "--plain", "--drive", str(drive(HELLO)), "--uart", serial_port]
    process = subprocess.Popen(["nohup", *command], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    read_until(process, "hello")
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_standard_files_that_are_closed(drive, serial_port, tmp_path, closed):
    code = f"open({str(tmp_path / 'sign')!r}, 'w').write('ran')\n" + HELLO
    command = f"{sys.executable} -m host --plain --seconds 5 --drive {drive(code)} --uart {serial_port} {closed}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sign").read_text() == "ran" and "Traceback" not in done.stderr


def catches(process, number):
    """Whether a process has a handler of its own for a signal."""
    words = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return bool(int(words[1], 16) >> (number - 1) & 1)


@pytest.mark.skipif(not Path("/proc").exists(), reason="asks the system of Linux")
@pytest.mark.parametrize("later", [0, 0.05, 0.1, 0.2, 0.4])
def test_ctrl_c_before_it_has_begun(drive, later):
    """At any moment from when it is our program that runs, and not Python that still starts."""
    process = start("--drive", drive(HELLO))
    assert wait_until(lambda: catches(process, signal.SIGINT), 20)  # Python is there
    assert wait_until(lambda: not catches(process, signal.SIGINT) or catches(process, signal.SIGHUP), 20)
    time.sleep(later)
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in (output := process.communicate(timeout=60)[0]), output


def test_a_drive_without_settings_is_told(drive, serial_port):
    folder = drive(HELLO)
    (folder / "settings.toml").unlink()
    done = run("--plain", "--seconds", "0.5", "--drive", folder, "--uart", serial_port, "--nvm", folder / "nvm")
    assert "the drive has no settings.toml" in done.stdout


def test_an_adapter_that_vanishes_and_comes_back_under_its_name(tmp_path):
    """The name stays (/dev/serial/by-id), the device behind it is another one; meanwhile there is none."""
    name = tmp_path / "adapter"
    master, slave = pty.openpty()
    name.symlink_to(os.ttyname(slave))
    settings = tmp_path / "settings.toml"
    settings.write_text('MQTT_BROKER = "b"\n')
    log = tmp_path / "log"
    command = [sys.executable, "-m", "host", "--plain", "--no-oled", "--uart", str(name), "--settings", str(settings)]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--broker", "127.0.0.1:1"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    other, pair = pty.openpty()
    try:
        assert wait_until(lambda: select.select([master], [], [], 0)[0] and os.read(master, 64), 20)  # it asks
        name.unlink()
        os.close(master), os.close(slave)
        time.sleep(1)
        assert process.poll() is None
        name.symlink_to(os.ttyname(pair))
        assert wait_until(lambda: select.select([other], [], [], 0)[0] and os.read(other, 64), 20), log.read_text()
    finally:
        process.terminate()
        process.wait(60)
        os.close(other), os.close(pair)
    assert "Traceback" not in log.read_text()


def test_an_unknown_chip_is_refused_with_one_sentence():
    done = run("--chip", "s4")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.count("\n") == 1 and "'s4' is no chip known here; give one of" in done.stderr


LIVES = """
import microcontroller
import supervisor
import time

begun = supervisor.ticks_ms()
for i in range(10000):
    pass
print("took", supervisor.ticks_ms() - begun, microcontroller.cpu.reset_reason)
time.sleep(0.1)
microcontroller.reset()
"""


@pytest.mark.slow
def test_a_chip_is_as_slow_after_a_reset(drive):
    heard = run_until(("ResetReason.SOFTWARE",), "--drive", drive(LIVES), "--chip", "10", "--seconds", 20)
    took = [int(text) for text in re.findall(r"took (\d+)", heard)]
    assert len(took) == 2 and min(took) > 680  # 7 bytecodes an iteration


def test_the_live_view_has_the_address_of_the_page_all_the_time():
    """On 80 columns, in one line; the log names it at the start only."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    port = free_port()
    command = [sys.executable, "-m", "host", "--no-oled", "--web", str(port)]
    terminal = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=terminal)
    os.close(slave)
    seen = ""
    try:
        end = time.monotonic() + 60
        while not (found := re.search("( Daly MQTT .* BMS)", seen)) and time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                seen = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", seen + os.read(master, 65536).decode("utf-8", "replace"))
    finally:
        process.kill()  # nobody reads any more
        process.wait(60)
        os.close(master)
    assert found and f"http://127.0.0.1:{port}/ " in found[1] and len(found[1]) <= 80, seen
