# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`python -m host` runs code.py, unmodified, on a PC: a stand-in chip, a simulated BMS, a broker and a screen.

The firmware runs in the main thread of this process, so stopping it (SIGSTOP) freezes the chip and killing it cuts its
power. The broker and the BMS are children that end when their standard input closes, however this process dies.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import uuid
from pathlib import Path

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the rest is loaded: nothing to clean up yet

from host import chip, drive, keyboard, lines, outputs, pace, sensors

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "serial",
    "PIL",
    "rich",
    "paho.mqtt",
    "displayio",
    "adafruit_minimqtt",
    "adafruit_ds18x20",
    "adafruit_onewire",
    "adafruit_displayio_ssd1306",
    "adafruit_displayio_sh1106",
    "adafruit_display_text",
    "circuitpython_typing",
    "neopixel",
    "adafruit_pixelbuf",
)
# settings of a diagnostics file that shape the conversation with its BMS
REPLAYED = (
    "BMS_PROTOCOL",
    "BMS_HOST_ADDRESS",
    "BMS_BOARD_NUMBER",
    "BMS_REQUEST_FILLER",
    "BMS_CELL_COUNT",
    "BMS_TEMPERATURE_COUNT",
    "STALE_PERIODS",
    "CURRENT_SIGN",
)
WEB_VARIABLE = (
    "DALY_HOST_WEB"  # in the environment: as --web, for many hosts that start at once, where the settings name no port
)
DRIVE = "daly-drive-"  # prefix of temporary drives; the process id follows


def main() -> None:
    _open_standard_files()
    options = _options()
    if options.check or options.board:
        raise SystemExit(_run_until_reader_ends(lambda: _check_settings(options)))
    _install_signal_handlers()
    status = 0
    try:
        _check(options)
        _power_on(options)
        status = _run(options)
    except chip.PowerOff:
        pass
    finally:
        _ignore_signals()
        _clean_up(options)
    sys.exit(status)


def _run_until_reader_ends(run) -> int:
    """What `run()` returns; 0 if the program that reads the output has ended, for example `head`."""
    try:
        status = run()
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
        return 0


def _open_standard_files() -> None:
    """If one is closed at the start (`>&-`), the next file opened would get its number, and our output."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            stream = open(number, mode, closefd=False)  # noqa: SIM115 (open until the end)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _install_signal_handlers() -> None:
    """Ctrl-C, SIGTERM and a closed terminal (except under nohup) switch the power off."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP:
            signal.signal(number, _power_off)


# The command line


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m host", description=__doc__.splitlines()[0])
    parser.error = complain
    add = parser.add_argument
    add("--settings", type=Path, metavar="FILE", help="settings.toml to use (default: the project's)")
    add(
        "--uart",
        action="append",
        metavar="PATH",
        help="a real serial device or pty instead of the simulated BMS; the second one is on the second UART, and so on",
    )
    add(
        "--broker",
        type=_addresses,
        metavar="HOST:PORT",
        help="an outside broker instead of the embedded one; several, with commas between them, are tried in turn",
    )
    add(
        "--bms",
        action="append",
        metavar="OPTION=VALUE,...",
        help="the simulated BMS: protocol=a5 (d2, p81),cells=16,soc=57.3,current=-12,...; several times: several on one line, "
        "with uart=2 on the second UART",
    )
    add(
        "--sensor",
        action="append",
        metavar="KIND=VALUE",
        help="a simulated sensor: ds18b20=21.5 (with ,id=28ff641e8216c3 and ,from=5,until=20 in seconds), or supply=13.1; "
        "several times: several",
    )
    add(
        "--vedirect",
        action="append",
        metavar="KIND,LABEL=VALUE,...",
        help="a simulated Victron device on its VE.Direct port: shunt or solar, then for example ,V=26540,SOC=873; or the path "
        "of a serial device; twice: two",
    )
    add(
        "--web",
        type=_port,
        metavar="PORT",
        help="the port of the page in the browser; 0: none (default: that of the settings, or the first free one from 8080 on)",
    )
    add("--replay", type=Path, metavar="FILE", help="a recorded BMS instead: a diagnostics file, or frames in hex")
    add("--seconds", type=_seconds, metavar="N", help="stop after N seconds")
    add("--sleep-seconds", type=_seconds, metavar="N", help="with SLEEP_MINUTES: deep sleep is shortened to N seconds")
    add("--oled", type=Path, metavar="FILE.png", help="where to save the last picture of the screen")
    add("--no-oled", action="store_true", help="run as if no screen were attached")
    add("--plain", action="store_true", help="a log instead of the live view")
    add("--json", action="store_true", help="in the log every message is whole; without it, long ones are in short")
    add(
        "--nvm",
        type=Path,
        metavar="FILE",
        help="non-volatile memory that is kept (default: an empty one; with --uart: SETTINGS.nvm)",
    )
    add("--chip", type=_pace, metavar="PACE", help="as slow as a chip: s2, s3, or microseconds a bytecode (docs/CHIP.md)")
    add("--drive", type=Path, metavar="DIR", help="run code.py of that copy of a CIRCUITPY drive")
    add("--check", type=Path, metavar="FILE", help="do not run; report every mistake in a settings.toml")
    add("--board", metavar="ID", help="with --check: the pins of that board, for example lolin_s2_mini")
    options = parser.parse_args()
    options.root = (options.drive or ROOT).resolve()
    options.settings = (options.settings or _default_settings(options.root)).resolve()
    if options.uart and not options.nvm:  # a simulated battery is a new one each time, and so is the memory
        options.nvm = options.settings.with_name(options.settings.name + ".nvm")
    options.nvm = options.nvm and options.nvm.resolve()
    options.oled = options.oled and options.oled.resolve()
    options.replay = options.replay and options.replay.resolve()
    options.recording = None
    options.uart = [os.path.abspath(path) for path in options.uart or ()]
    chip.uarts = 2 if options.chip == pace.PACES["s2"] else 3
    return options


def _default_settings(root: Path) -> Path:
    own = root / "settings.toml"
    return own if own.exists() else ROOT / "settings.toml"


def _addresses(text: str) -> list:
    return [_address(part.strip()) for part in text.split(",")]


def _address(text: str) -> tuple:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"'{text}' is not HOST:PORT; write for example 192.168.1.5:1883")
    return host, int(port)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 1 to 65535, or 0 for no page; write for example 8080")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0; write for example 30")
    return seconds


def _pace(name: str) -> pace.Pace:
    try:
        return pace.of(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def complain(sentence: str) -> None:
    """Print one sentence on wrong input, with the remedy, and end with exit status 2."""
    chip.close_view()
    print(f"python -m host: {sentence}", file=sys.__stderr__)
    raise SystemExit(2)


def _check(options: argparse.Namespace) -> None:
    _check_libraries()
    if not (options.root / "code.py").is_file():
        complain(f"there is no code.py in {options.root}; give --drive the folder of a CIRCUITPY drive.")
    if list(options.root.glob("app/*.mpy")):
        complain(f"the program in {options.root} is compiled, which only a board can run; install its sources (PLAIN=1).")
    try:
        options.settings.read_bytes()
    except OSError as error:
        complain(f"the settings file {options.settings} cannot be read ({error.strerror}); give --settings another one.")
    if options.replay and (options.uart or options.bms):
        complain("--replay and --uart or --bms exclude each other: a recording is a BMS of its own.")
    if options.replay:
        options.recording = _read_recording(options.replay)
    if options.uart and options.bms:
        complain("--uart and --bms exclude each other: a real serial line has no simulated BMS.")
    if options.oled and options.no_oled:
        complain("--oled and --no-oled exclude each other: without a screen there is no picture of it.")
    if options.oled and options.oled.suffix.lower() != ".png":
        complain(f"--oled {options.oled} is no PNG file; give it a name that ends in .png.")
    if options.oled:
        _check_writable("--oled", options.oled)
    if options.nvm:
        _check_writable("--nvm", options.nvm)
    if options.nvm and options.nvm.exists() and options.nvm.stat().st_size not in (0, 8192):
        complain(f"--nvm {options.nvm} is no memory of this chip (8192 bytes); give a new file's name.")
    if len(options.uart) > chip.uarts:
        complain(f"--uart is there {len(options.uart)} times: this chip has {chip.uarts} UARTs; leave out the others.")
    for number, path in enumerate(options.uart):
        if path in options.uart[:number]:
            complain(f"--uart {path} is there twice: every UART has a line of its own; leave one out.")
        _check_serial(path)
    options.lines = {} if options.uart or options.replay else _lines(options)
    _check_sensors(options)


def _lines(options: argparse.Namespace) -> dict:
    """Line -> the option texts of its simulated boards. A single --bms is passed on as it is."""
    texts = options.bms or [""]
    if len(texts) == 1 and "uart" not in texts[0]:
        return {1: texts}
    try:
        return lines.of_simulated(texts, chip.uarts)
    except ValueError as error:
        complain(f"--bms: {error}")


def _check_sensors(options: argparse.Namespace) -> None:
    try:
        options.sensors = sensors.of_texts(options.sensor or [])
    except ValueError as error:
        complain(f"--sensor: {error}")
    options.vedirect = options.vedirect or []
    left = min(2, chip.uarts - (len(options.uart) or len(options.lines) or 1))
    if len(options.vedirect) > left:
        are = "UART is" if left == 1 else "UARTs are"
        complain(f"--vedirect is there {len(options.vedirect)} times: only {max(0, left)} {are} left.")
    for path in options.vedirect:
        if "/" in path:
            _check_serial(path, "--vedirect")


def _check_settings(options: argparse.Namespace) -> int:
    _check_libraries()
    _arrange_path(ROOT)
    from host import check

    if not options.check:
        complain("--board goes with --check; write: --check settings.toml --board " + options.board)
    try:
        options.check.read_bytes()
    except OSError as error:
        complain(f"the settings file {options.check} cannot be read ({error.strerror}); give --check another one.")
    try:
        return check.report(options.check, options.board)
    except check.UnknownBoard as error:
        complain(str(error))


def _read_recording(path: Path) -> dict:
    """What simulator/replay.py, a process of its own, finds in a recording: {"summary": text, "settings": {key: value}}."""
    try:
        path.open("rb").close()
    except OSError as error:
        complain(f"the recording {path} cannot be read ({error.strerror}); give --replay another file.")
    command = [sys.executable, "-m", "simulator.replay", "--describe", str(path)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        complain(f"--replay: {done.stderr.strip().rpartition('error: ')[2]}.")
    return json.loads(done.stdout)


def _check_libraries() -> None:
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        complain(f"{', '.join(missing)} not installed here; run: pip install -r {ROOT / 'requirements-dev.txt'}")


def _check_writable(option: str, path: Path) -> None:
    existed = path.exists()
    try:
        path.open("ab").close()
    except OSError as error:
        complain(f"{option} {path} cannot be written ({error.strerror}); give {option} a file in a folder of yours.")
    if not existed:
        path.unlink()


def _check_serial(path: str, option: str = "--uart") -> None:
    import errno

    import serial

    remedies = {
        errno.ENOENT: "there is no such device; plug the adapter in and look with: ls /dev/serial/by-id /dev/tty*",
        errno.EACCES: "no permission; on Linux: sudo usermod -aG dialout $USER, then log in again",
        errno.EAGAIN: "another program has it open; close that one first",
        errno.EBUSY: "another program has it open; close that one first",
    }
    try:
        serial.Serial(path, exclusive=True).close()
    except (OSError, serial.SerialException) as error:
        remedy = remedies.get(error.errno, "it is no serial device; give the path of one, such as /dev/ttyUSB0")
        complain(f"{option} {path}: {remedy}.")


# Power on


def _power_on(options: argparse.Namespace) -> None:
    resumed = chip.resume()
    if not resumed:
        _start_children(options)
    paths = _paths(options)
    chip.longest_sleep_s = options.sleep_seconds or chip.longest_sleep_s
    chip.uart_path = paths[1]
    home = Path(chip.state["drive"])
    chip.nvm_path = str(options.nvm or home / "nvm")  # it survives resets of the chip
    if options.uart or options.broker:
        chip.identity = _identity(options.nvm or options.settings)
    folder = home / "CIRCUITPY"
    folder.mkdir(exist_ok=True)
    if not resumed:
        chip.state["web"] = _web_port(options)
    drive.prepare(folder, options.settings, _overrides(options))
    os.chdir(folder)
    sys.stdin = keyboard.console
    _arrange_path(options.root)
    _connect_pins(paths)
    sensors.connect(options.sensors, _ports(options), Path("settings.toml").read_bytes(), chip.state["begun"])
    outputs.connect(Path("settings.toml").read_bytes())
    _attach_screen(options)
    _open_view(options)
    _report_start(options, resumed)
    if options.chip:
        options.counter = _slow_down(options)
    if options.seconds:  # of the firmware: how long this PC took to get so far is no part of them
        deadline = chip.state.setdefault("deadline", time.monotonic() + options.seconds)
        threading.Thread(target=_stop_at, args=(deadline,), daemon=True).start()


def _identity(file: Path) -> bytes:
    """The chip's number for a real BMS or an outside broker: from this PC and this memory, so that two bridges at one broker
    have two client ids. `file`: the memory, or the settings where none is kept.

    The demonstration, with its own BMS and its own broker, is 02da1bc0ffee everywhere.
    """
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    digest = hashlib.sha256(f"{machine or uuid.getnode()} {file}".encode()).digest()
    return digest[3:5] + digest[:3]  # the last three were all until ids had six bytes


def _start_children(options: argparse.Namespace) -> None:
    """Start what survives a reset of the chip."""
    _remove_stale_drives()
    chip.state["drive"] = tempfile.mkdtemp(prefix=f"{DRIVE}{os.getpid()}-")
    if options.replay:
        chip.state[_name(1)] = _start("simulator.replay", str(options.replay))
    for line, texts in options.lines.items():
        chip.state[_name(line)] = _start("simulator.line", *(part for text in texts if text for part in ("--bms", text)))
    for number, text in enumerate(options.vedirect, 1):
        if "/" not in text:
            chip.state[f"vedirect{number}"] = _start("simulator.vedirect", text)
    chip.state["begun"] = time.monotonic()
    if not options.broker:
        chip.state["broker"] = _start("host.broker")


def _name(line: int) -> str:
    """What the BMS on that UART are called in `chip.state`."""
    return "bms" if line == 1 else f"bms{line}"


def _paths(options: argparse.Namespace) -> dict[int, str]:
    """Line -> its serial device."""
    if options.uart:
        return dict(enumerate(options.uart, 1))
    return {line: chip.state[_name(line)]["ready"] for line in options.lines or (1,)}


def _ports(options: argparse.Namespace) -> list[str]:
    """The serial device of each --vedirect."""
    names = [f"vedirect{number}" for number in range(1, len(options.vedirect) + 1)]
    return [text if "/" in text else chip.state[name]["ready"] for name, text in zip(names, options.vedirect, strict=True)]


def _connect_pins(paths: dict[int, str]) -> None:
    """Connect the pins that the settings name for the second and third UART."""
    import board

    text = Path("settings.toml").read_bytes()
    pins = {name.lower(): pin._name for name, pin in vars(board).items() if isinstance(pin, type(board.IO0))}
    for line in (2, 3):
        name = drive.text_of(text, f"UART_{line}_RX")
        if name is not None:
            chip.wires[pins.get(name.lower(), name)] = paths.get(line, "")


def _remove_stale_drives() -> None:
    """Remove the drives of hosts that were killed: their settings contain passwords."""
    for folder in Path(tempfile.gettempdir()).glob(DRIVE + "*-*"):
        number = folder.name.removeprefix(DRIVE).split("-")[0]
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(folder, ignore_errors=True)
        except (PermissionError, ValueError):
            pass  # of another user


def _start(module: str, *arguments: str) -> dict:
    """Start a child that prints one line when it is ready and ends when the pipe to it closes."""
    reader, writer = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=reader,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        start_new_session=True,
    )  # Ctrl-C is for the host alone
    os.close(reader)
    ready = child.stdout.readline().strip()
    if not ready:
        child.wait()
        raise SystemExit(2)  # it has printed on stderr what is wrong
    os.set_inheritable(writer, True)  # the pipe stays open through a reset
    return {"ready": ready, "pipe": writer, "pid": child.pid}


def _overrides(options: argparse.Namespace) -> dict:
    replayed = _replayed_settings(options) | _line_settings(options) | _sensor_settings(options)
    if chip.state["web"] is not None:
        replayed["WEB_PORT"] = str(chip.state["web"])
    if options.broker:
        host, port = options.broker[0]
        others = "".join(f", {other}:{its}" for other, its in options.broker[1:])
        return {"MQTT_BROKER": drive.quoted(host + others), "MQTT_PORT": str(port), **replayed}
    port = chip.state["broker"]["ready"]
    return {
        **replayed,
        "MQTT_BROKER": '"127.0.0.1"',
        "MQTT_PORT": port,
        "MQTT_USERNAME": None,
        "MQTT_PASSWORD": None,
        "MQTT_TLS": None,
    }


def _web_port(options: argparse.Namespace) -> int | None:
    """The port of the page instead of a board's 80, which on a PC is the administrator's; None: the settings name one."""
    if options.web is not None:
        return options.web
    if drive.names(options.settings.read_bytes(), "WEB_PORT"):
        return None
    if WEB_VARIABLE in os.environ:
        return int(os.environ[WEB_VARIABLE])
    for port in (*range(8080, 8100), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    return 0


def _line_settings(options: argparse.Namespace) -> dict:
    """Those with which the firmware reads all batteries on all lines; none for what has always been one battery."""
    text = options.settings.read_bytes()
    if options.uart:
        return lines.settings({line: () for line, _ in enumerate(options.uart, 1)}, text)
    if options.lines in ({}, {1: options.bms or [""]}):
        return {}
    return lines.settings({line: lines.numbers(texts) for line, texts in options.lines.items()}, text)


def _sensor_settings(options: argparse.Namespace) -> dict:
    """Those with which the firmware uses the sensors of the command line."""
    return sensors.settings(options.sensors, len(options.vedirect), options.settings.read_bytes(), _line_settings(options))


def _replayed_settings(options: argparse.Namespace) -> dict:
    """Those settings of the recording; it may be from a stranger, so only numbers and plain words are used."""
    recorded = options.recording["settings"] if options.recording else {}
    settings = {key: recorded[key] for key in REPLAYED if key in recorded}
    numbers = {key: str(value) for key, value in settings.items() if type(value) is int}
    words = {
        key: drive.quoted(value)
        for key, value in settings.items()
        if isinstance(value, str) and value.isascii() and value.isalpha()
    }
    return numbers | words


def _arrange_path(root: Path) -> None:
    """The stand-ins first, then the drive's libraries; the project last, because Python's library has a module code, too."""
    here = [str(ROOT), str(root), chip.home, ""]
    first = [str(ROOT / "host" / "standins"), str(root / "lib")]
    sys.path[:] = [*first, *(path for path in sys.path if path not in here), str(root)]


def _attach_screen(options: argparse.Namespace) -> None:
    from host import displays
    from host.sh1106 import SH1106
    from host.ssd1306 import SSD1306

    displays.install()
    if not options.no_oled:
        settings = Path("settings.toml").read_bytes()
        chip.screen = SH1106() if drive.oled_type(settings) == "SH1106" else SSD1306()
        chip.devices[drive.oled_address(settings)] = chip.screen


def _open_view(options: argparse.Namespace) -> None:
    from host import dashboard, view

    is_live = not options.plain and dashboard.is_possible()
    shown = _dashboard(options) if is_live else view.Plain(chip.screen, options.json)
    sys.stdout = sys.stderr = view.Lines(shown.line if options.broker else _without_hint(shown.line))
    view.watch_messages(shown)
    chip.console_waiting = shown.outlet.waiting
    shown.start()

    def close() -> None:
        chip.close_view = lambda: None
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        shown.stop()

    chip.close_view = close


def _without_hint(sink):
    """On a board 127.0.0.1 would be a mistake, and the firmware says so; here it is the embedded broker."""

    def take(text: str) -> None:
        if not ("MQTT_BROKER would be the board itself" in text and text.startswith("Settings, hint:")):
            sink(text)

    return take


def _dashboard(options: argparse.Namespace):
    """The live view. At the embedded broker it is a subscriber; at another one it shows what the bridge has sent."""
    from host.dashboard import Dashboard
    from host.keys import Keys
    from host.known import Known

    page = [_page_address()] if chip.state["web"] else []  # the log soon has it no more
    bms = "BMS " + ", ".join(options.uart) if options.uart else "recorded BMS" if options.replay else "simulated BMS"
    title = [*page, _broker_name(options), bms]
    known = Known()
    keys = Keys(lambda sentence: shown.line("host: " + sentence), options.lines.get(1, []), not options.broker)
    shown = Dashboard(chip.screen, title, known, keys)
    if not options.broker:
        shown.subscribe(int(chip.state["broker"]["ready"]))
    return shown


def _slow_down(options: argparse.Namespace) -> pace.Counter:
    """Give the chip the clock of this pace; returns what counts."""
    import wifi

    counter = pace.Counter(options.root, pace.libraries())
    clock = pace.PacedPcClock(counter, options.chip, _report_slow)
    chip.clock, chip.network = clock, pace.PacedNetwork(clock)
    chip.on_join = lambda: clock.exclude(pace.JOIN_S)
    counter.on_load = clock.load
    pace.replace_functions(counter, clock.sleep, clock.collect)
    if drive.names_wifi(Path("settings.toml").read_bytes()):
        wifi.radio.stop_station()  # the firmware joins, which takes its time
    return counter


def _report_slow() -> None:
    if "slow" not in chip.state:
        chip.report("this PC is too slow for the pace of --chip: the firmware is slower here than it would be on that chip")
    chip.state["slow"] = True  # once, resets or not


def _page_address() -> str:
    """Where a browser on this PC finds the page; the firmware names the address of its stand-in chip."""
    return "http://127.0.0.1:{}/".format(chip.state["web"])


def _broker_name(options: argparse.Namespace) -> str:
    brokers = options.broker or [("127.0.0.1", chip.state["broker"]["ready"])]
    return "broker " + ", ".join(f"{host}:{port}" for host, port in brokers)


def _report_start(options: argparse.Namespace, resumed: bool) -> None:
    if resumed:
        return  # the reset has been reported, and the rest is the same
    kind = (
        "" if options.broker else " (embedded; to watch: mosquitto_sub -p {} -t '#' -v)".format(chip.state["broker"]["ready"])
    )
    chip.report(_broker_name(options) + kind)
    for line, path in _paths(options).items():
        chip.report(f"BMS on {path}{_kind(options, line)}")
    for port, text in zip(_ports(options), options.vedirect, strict=True):
        chip.report(f"VE.Direct on {port}" + ("" if "/" in text else f" (simulated: {text})"))
    if chip.state["web"]:
        chip.report("page on " + _page_address())
    _report_settings(options)
    if options.drive and options.settings == ROOT / "settings.toml":
        chip.report("the drive has no settings.toml, so the project's is used: write one before using this drive on a board")
    if options.recording:
        chip.report(f"{options.replay.name} has {options.recording['summary']}; other requests get no response")
        settings = ", ".join(f"{key} = {value}" for key, value in _replayed_settings(options).items())
        if settings:
            chip.report("settings of the diagnostics file: " + settings)


def _kind(options: argparse.Namespace, line: int) -> str:
    """What is said of a line behind its path."""
    if options.replay:
        return " (replayed)"
    if options.uart:
        return f" (UART {line})" if len(options.uart) > 1 else ""
    if not _line_settings(options):
        return " (simulated)"
    boards = lines.numbers(options.lines[line])
    return f" (UART {line}, simulated: board{'s' if len(boards) > 1 else ''} {lines.joined(boards)})"


def _report_settings(options: argparse.Namespace) -> None:
    """Which settings are not the file's, and which UARTs of the settings have nothing connected to them."""
    given = ", ".join(
        f"{key} = {value}" for key, value in (_line_settings(options) | _sensor_settings(options)).items() if value
    )
    if given:
        chip.report("settings for all of them: " + given)
    text = Path("settings.toml").read_bytes()
    for line in (2, 3):
        if line not in _paths(options) and drive.text_of(text, f"UART_{line}_RX"):
            remedy = "another --uart" if options.uart else f"--bms uart={line}"
            chip.report(f"nothing is connected to UART {line} of the settings; {remedy} connects something")


# Running and ending


def _run(options: argparse.Namespace) -> int:
    """Run code.py until it ends, which is a failure: firmware never ends. Returns the exit status."""
    code = str(options.root / "code.py")
    if options.chip:
        options.counter.start()
    try:
        runpy.run_path(code, run_name="__main__")
    except SystemExit:
        pass
    except Exception as error:
        traceback.print_exception(type(error), error, _firmware_part(code, error.__traceback__))
    finally:
        sys.settrace(None)
    chip.report('code.py has ended: a board would now stop with "Code done running."')
    return 1


def _firmware_part(code: str, trace):
    """The part of a traceback that belongs to the firmware."""
    while trace and trace.tb_frame.f_code.co_filename != code:
        trace = trace.tb_next
    return trace


def _power_off(_number, _frame) -> None:
    raise chip.PowerOff


def _stop_at(deadline: float) -> None:
    from host import view

    time.sleep(max(0.0, deadline - time.monotonic()))
    view.end_process()


def _ignore_signals() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)


def _clean_up(options: argparse.Namespace) -> None:
    chip.close_view()
    if options.oled and chip.screen is not None:
        try:
            chip.screen.picture().save(options.oled)
        except OSError as error:
            print(f"python -m host: --oled {options.oled} cannot be written ({error.strerror}).", file=sys.stderr)
    for name in ("bms", "bms2", "bms3", "vedirect1", "vedirect2", "broker"):
        if name in chip.state:
            _end(**chip.state[name])
    if "drive" in chip.state:
        os.chdir(chip.home)
        shutil.rmtree(chip.state["drive"], ignore_errors=True)


def _end(pid: int, pipe: int, ready: str) -> None:
    """Let a child end by itself; kill it after two seconds."""
    os.close(pipe)
    for _ in range(200):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
