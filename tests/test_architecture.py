# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Who may import whom, what only one place may do, and what CircuitPython lacks although MicroPython and mpy-cross let it pass.

Read off the syntax trees of the board's files, and of the programs on the PC's side; nothing is run.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("battery", "daly", "mqtt", "display", "outputs", "sensors", "web", "app")
BOARD_FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "code.py", ROOT / "safemode.py", *(f for package in PACKAGES for f in (ROOT / package).glob("*.py"))]
)


class Trees(dict):
    """File -> its syntax tree, made when a test asks for it: the tests are collected by many processes."""

    def __missing__(self, file):
        self[file] = ast.parse((ROOT / file).read_text())
        return self[file]


TREES = Trees()


def words(text):
    return set(text.split())


HARDWARE = words("""alarm analogio bitmaptools board busio busdisplay digitalio displayio fourwire i2cdisplaybus mdns
    microcontroller neopixel_write nvm onewireio pwmio rtc socketpool ssl storage supervisor terminalio usb_cdc vectorio
    watchdog wifi""")
# the thin adapters: each file here is something that no test on a PC can prove
MAY_TOUCH_HARDWARE = {
    "safemode.py",
    "app/crash.py",  # restarts the chip, and keeps the reason
    "app/extras_hardware.py",  # pins of outputs and LED, and the network that the time comes by
    "app/sensors_hardware.py",  # pins and UARTs of sensors
    "app/hardware.py",  # pins and the UART
    "app/kept.py",  # the screen's bus
    "app/log.py",  # how much is waiting at the USB console
    "app/main.py",  # wiring
    "app/controls.py",  # restarts the chip
    "app/report.py",  # the board's name
    "app/sleep.py",  # deep sleep
    "app/watchdog.py",  # the watchdog
    "app/web.py",  # the bridge's name in the network
    "display/panel.py",
}
MAY_ASK_THE_TIME = {
    "safemode.py",
    "app/clock.py",
    "app/crash.py",
    "app/extras_hardware.py",
    "app/log.py",
    "app/loop.py",
    "app/main.py",
    "app/memory.py",
    "app/sleep.py",
    "app/watchdog.py",
}
MAY_ASK_THE_TIME |= {"mqtt/client.py", "mqtt/transport.py"}
PURE = [f for f in BOARD_FILES if f.split("/")[0] in ("battery", "daly", "outputs")] + [
    "mqtt/publisher.py",
    "mqtt/battery_publisher.py",
    "display/pages.py",
]


def imports(tree):
    """(level, module, names) of every import, wherever it stands; level 1 is the own package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)


def packages(tree):
    """Top names of what is imported from outside the own package."""
    return {module.split(".")[0] for level, module, _ in imports(tree) if level == 0}


# who knows whom


@pytest.mark.parametrize("file", BOARD_FILES)
def test_only_thin_adapters_touch_the_hardware(file):
    assert file in MAY_TOUCH_HARDWARE or not packages(TREES[file]) & HARDWARE


@pytest.mark.parametrize("file", BOARD_FILES)
def test_only_the_wiring_and_the_network_ask_the_time_and_the_others_are_told(file):
    asks = "time" in packages(TREES[file]) or any("ticks_ms" in names for _, _, names in imports(TREES[file]))
    assert file in MAY_ASK_THE_TIME or not asks


@pytest.mark.parametrize("file", BOARD_FILES)
def test_dependencies_point_one_way(file):
    package = file.split("/")[0] if "/" in file else None
    below = {
        "battery": set(),
        "daly": {"battery"},
        "mqtt": {"battery"},
        "display": {"battery"},
        "outputs": {"battery"},
        "sensors": {"battery"},
        "web": {"battery"},
        None: {"app"},
    }
    knows = below.get(package, {"battery", "daly", "mqtt", "display", "outputs", "sensors", "web"})
    assert packages(TREES[file]) & {*PACKAGES, "host", "simulator", "campaigns", "tests"} <= knows


# the PC's side: the emulator, the simulated BMS, what judges the firmware, and what brings it onto a board
PC_PACKAGES = ("host", "simulator", "campaigns", "tools")
PC_FILES = sorted(f.relative_to(ROOT).as_posix() for package in PC_PACKAGES for f in (ROOT / package).rglob("*.py"))
MAY_KNOW = {
    "host": {"host"},  # it runs code.py and starts the simulated BMS: processes
    "host/sensors.py": {"host", "simulator"},  # a 1-Wire bus is bits, too fast for a process of its own
    "host/hints.py": {"host", "app"},
    "host/check.py": {"host", "app"},  # a settings file is judged by the board's own rules
    "simulator": {"simulator"},  # an error that it shared with the firmware would not show
    "simulator/replay.py": {"simulator", "battery", "daly"},  # encodes readings by the map of A5
    "simulator/unmodelled.py": {"simulator", "battery", "daly"},  # sends what bms.py does not model by that map
    "campaigns": {*PACKAGES, *PC_PACKAGES},
    "tools": {"tools"},
    "tools/settings.py": {"tools", "app"},  # which settings there are
}


@pytest.mark.parametrize("file", PC_FILES)
def test_emulator_simulator_campaigns_and_tools_are_apart(file):
    known = packages(TREES[file]) & {*PACKAGES, *PC_PACKAGES, "tests", *(f.stem for f in (ROOT / "tests").glob("*.py"))}
    may = MAY_KNOW.get(file, MAY_KNOW[file.split("/")[0]])
    assert known <= may, f"it knows {known - may}"


@pytest.mark.parametrize("file", [file for file in MAY_KNOW if file.endswith(".py")])
def test_every_exception_is_needed(file):
    """What a file need not know any more is taken off the list, so that it stays so."""
    assert packages(TREES[file]) & {*PACKAGES, *PC_PACKAGES} >= MAY_KNOW[file] - MAY_KNOW[file.split("/")[0]]


def test_a_replay_takes_the_map_of_a5_and_nothing_else_of_the_firmware():
    of_the_board = {module for _, module, _ in imports(TREES["simulator/replay.py"]) if module.split(".")[0] in PACKAGES}
    assert of_the_board == {"battery.json", "battery.readings", "daly.a5"}


@pytest.mark.parametrize("file", [f for f in BOARD_FILES if f.split("/")[0] in ("battery", "daly", "outputs")])
def test_the_battery_its_wire_and_outputs_need_nothing_but_ticks_named_tuples_and_json(file):
    assert packages(TREES[file]) <= {"battery", "adafruit_ticks", "collections", "io", "json", "struct"} | (
        {"sys"} if file == "battery/unload.py" else set()
    )


def test_only_the_loop_the_last_line_behind_it_and_whoever_owes_an_answer_catch_what_nobody_expected():
    catching = []
    for file in BOARD_FILES:
        for node in ast.walk(TREES[file]):
            if isinstance(node, ast.ExceptHandler):
                names = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else {"Exception"}
                catching += [file] if names & {"Exception", "BaseException"} else []
    assert sorted(catching) == ["app/crash.py", "app/crash.py", "app/loop.py"]


def test_the_heap_is_swept_at_one_known_point_only():
    swept = [f for f in BOARD_FILES for n in ast.walk(TREES[f]) if isinstance(n, ast.Attribute) and n.attr == "collect"]
    assert swept == ["app/loop.py", "app/memory.py"]  # before the start, to know what is free


# What may be set from outside, with the reason: parts of the chip and of libraries that are made to be set
MAY_BE_SET = {
    ("app/sleep.py", "watchdog.mode"),
    ("app/status_led.py", "self._pwm.duty_cycle"),  # how bright an LED is
    ("app/web.py", "server.hostname"),  # of the chip's mDNS
    ("outputs/pin.py", "output.value"),  # the level of a pin
    ("app/log.py", "builtins.print"),
    ("app/watchdog.py", "watchdog.mode"),
    ("app/watchdog.py", "watchdog.timeout"),
    ("display/panel.py", "self._display.root_group"),  # displayio shows it
    ("display/panel.py", "self.layer.x"),
    ("display/panel.py", "self.layer.y"),
    ("mqtt/client.py", "client.on_message"),  # MiniMQTT's callback
    ("mqtt/client.py", "self._client.keep_alive"),
    ("mqtt/client.py", "self._radio.enabled"),
}


def set_from_outside(tree):
    """The attributes of other objects that are assigned, as written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) != "self":
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr" and ast.unparse(node.args[0]) != "self":
            yield ast.unparse(node)


def test_nothing_is_poked_into_an_object_after_it_was_made():
    """It would be in a state that its own class cannot answer for: constructor arguments, or a method."""
    found = {(file, target) for file in BOARD_FILES for target in set_from_outside(TREES[file])}
    assert found == MAY_BE_SET


@pytest.mark.parametrize("line", ["a.b = 1", "a.b += 1", "a.b: int = 1", "self.a.b = 1", "x, a.b = y", "setattr(a, 'b', 1)"])
def test_each_way_to_poke_is_found(line):
    assert list(set_from_outside(ast.parse(line)))
    assert not list(set_from_outside(ast.parse("self.a = self.b = a.c\nsetattr(self, key, 1)\na[0] = 1")))


# Attributes whose names are made at run time, with what they are: the packer (tools/pack.py) cannot see such a name. Names of
# settings are capital, those of pins are the chip's, and those of modules are kept.
MAY_BE_COMPUTED = {
    ("app/plausible.py", "settings", "given"),
    ("app/plausible.py", "settings", "missing"),
    ("app/report.py", "settings", "row.key"),
    ("app/hardware.py", "settings", "key"),
    ("app/hardware.py", "board", "name"),
    ("app/hardware.py", "board", "n"),
    ("app/hardware.py", "chip", "'GPIO' + number"),
    ("app/kept.py", "self", "key"),  # of a setting
    ("app/kept.py", "settings", "key"),
    ("app/main.py", "settings", "key"),
    ("app/settings.py", "self", "setting.key"),
    ("app/settings.py", "self", "key"),
    ("battery/unload.py", "sys.modules.get(package)", "module"),
    ("battery/unload.py", "sys.modules[package]", "module"),
    ("app/crash.py", "module", "name"),  # of those that dir() names
}


def computed_names(tree):
    """(object, name) of getattr and its like whose name is no text."""
    for node in ast.walk(tree):
        is_lookup = isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr", "delattr")
        if is_lookup and not isinstance(node.args[1], ast.Constant):
            yield ast.unparse(node.args[0]), ast.unparse(node.args[1])


def test_the_name_of_an_attribute_is_never_made_at_run_time():
    """The compiled bundle has short names in place of ours."""
    assert {(file, *names) for file in BOARD_FILES for names in computed_names(TREES[file])} == MAY_BE_COMPUTED
    assert list(computed_names(ast.parse("hasattr(a, 'b')\nsetattr(a, 'b' + c, 1)"))) == [("a", "'b' + c")]


def test_the_drive_is_only_read():
    """A write at run time wears the flash out, and a power cut in it costs the file system."""
    opened = [n for f in BOARD_FILES for n in ast.walk(TREES[f]) if isinstance(n, ast.Call) and ast.unparse(n.func) == "open"]
    modes = {ast.literal_eval(call.args[1]) for call in opened if len(call.args) > 1}
    assert opened and modes <= {"r", "rb"} and not [k for call in opened for k in call.keywords if k.arg == "mode"]
    assert not [f for f in BOARD_FILES if "storage" in packages(TREES[f])]


def test_nothing_is_printed_past_the_print_that_never_waits():
    """traceback's own printing and sys.stdout go straight to a console that may stand still."""
    calls = [(f, ast.unparse(n)) for f in BOARD_FILES for n in ast.walk(TREES[f]) if isinstance(n, ast.Attribute)]
    assert not [(f, name) for f, name in calls if name in ("traceback.print_exception", "sys.stdout", "sys.stderr")]
    assert not [n for n in ast.walk(TREES["safemode.py"]) if isinstance(n, ast.Name) and n.id == "print"]


@pytest.mark.parametrize("file", PURE)
def test_there_is_no_float_where_numbers_are_made(file):
    floats = []
    for node in ast.walk(TREES[file]):
        is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
        is_division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("float", "round")
        floats += [node.lineno] if is_float or is_division or is_call else []
    assert floats == []


@pytest.mark.parametrize("file", BOARD_FILES)
def test_nothing_is_asserted_on_the_board(file):
    assert [node.lineno for node in ast.walk(TREES[file]) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("file", BOARD_FILES)
def test_a_file_says_what_it_is(file):
    assert ast.get_docstring(TREES[file])


# what a board does not have (CircuitPython 10 on an ESP32, each tried there), and no other test would notice

MISSING_MODULES = words("""abc base64 concurrent contextlib copy csv dataclasses datetime decimal enum fractions functools heapq
    inspect itertools logging operator pathlib platform queue socket statistics string subprocess tempfile textwrap threading
    types typing unittest urllib uuid weakref""")
MISSING_METHODS = words("""zfill ljust rjust capitalize title casefold isalnum isdecimal removeprefix removesuffix translate
    format_map expandtabs _asdict _replace bit_count fullmatch finditer findall iter_unpack tobytes""")
MISSING_IN = {
    "math": {"isclose", "log10", "log2", "gcd", "hypot"},
    "gc": {"threshold"},
    "time": {"ticks_ms", "ticks_us", "ticks_diff", "ticks_add", "sleep_ms", "sleep_us", "monotonic"},
    "sys": {"exc_info", "print_exception", "getsizeof"},
    "random": {"shuffle", "sample"},
    "struct": {"Struct", "error"},
}
MISSING_NAMES = {"vars", "FileNotFoundError", "PermissionError", "IOError", "ConnectionResetError", "RecursionError"}
MISSING_KEYWORDS = {"strict", "indent", "sort_keys", "errors", "default", "metaclass"}


def traps(tree):
    """(line, what) of everything that a board refuses or does otherwise."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if node.attr in MISSING_METHODS:
                yield node.lineno, node.attr
            if isinstance(node.value, ast.Name) and node.attr in MISSING_IN.get(node.value.id, ()):
                yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Name) and node.id in MISSING_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.Slice) and node.step is not None:
            yield node.lineno, "a slice with a step"
        elif isinstance(node, ast.Delete) and any(
            isinstance(t, ast.Subscript) and isinstance(t.slice, ast.Slice) for t in node.targets
        ):
            yield node.lineno, "del of a slice"
        elif isinstance(node, ast.FormattedValue) and any(isinstance(n, ast.JoinedStr) for n in ast.walk(node.value)):
            yield node.lineno, "an f-string in an f-string"
        elif isinstance(node, ast.ClassDef) and node.keywords:
            yield node.lineno, "a metaclass"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, what) for what in call_traps(node))
    for level, module, _ in imports(tree):
        if level == 0 and module.split(".")[0] in MISSING_MODULES:
            yield 0, f"import {module}"


def call_traps(call):
    keywords = {keyword.arg for keyword in call.keywords}
    name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
    if name == "next" and len(call.args) > 1:
        yield "next with a default"
    if name == "iter" and len(call.args) > 1:
        yield "iter with a sentinel"
    if name == "from_bytes" and "signed" in keywords:
        yield "from_bytes(signed=)"
    if name == "isinstance" and any(isinstance(n, ast.Name) and n.id == "int" for n in ast.walk(call.args[1])):
        yield "isinstance of int: True is none on a board"
    if name in ("startswith", "endswith") and call.args and isinstance(call.args[0], ast.Tuple):
        yield "startswith(tuple)"
    if name == "decode" and len(call.args) > 1:
        yield "decode with errors"
    if name in ("zip", "dumps", "decode", "namedtuple", "min", "max"):
        yield from (f"{name}({keyword}=)" for keyword in keywords & (MISSING_KEYWORDS | {"defaults"}))


HARMLESS = {
    ("mqtt/client.py", "isinstance of int: True is none on a board"),  # of an error's number, which is no bool
    ("app/sleep.py", "time.monotonic"),  # an alarm is set by it, and some ms more or less are no matter
}


@pytest.mark.parametrize("file", BOARD_FILES)
def test_there_is_nothing_a_board_would_trip_over(file):
    assert [(line, what) for line, what in traps(TREES[file]) if (file, what) not in HARMLESS] == []


@pytest.mark.parametrize(
    "line",
    [
        "next(iter(x), None)",
        "int.from_bytes(b, 'big', signed=True)",
        "math.log10(x)",
        "row._asdict()",
        "text.zfill(2)",
        "json.dumps(x, indent=2)",
        "gc.threshold(1)",
        "time.monotonic() + 1",
        "time.sleep_ms(1)",
        "isinstance(x, int)",
        "isinstance(x, (int, str))",
        "x[::2]",
        "del x[:3]",
        "f\"{f'{x}'}\"",
        "zip(a, b, strict=True)",
        "data.decode('utf-8', 'replace')",
        "min(x, default=0)",
        "from dataclasses import dataclass",
        "import typing",
        "try: pass\nexcept FileNotFoundError: pass",
        "class A(metaclass=B): pass",
        "text.startswith(('a', 'b'))",
        "namedtuple('A', 'b', defaults=(1,))",
    ],
)
def test_each_trap_is_found(line):
    assert list(traps(ast.parse(line)))


def test_what_is_no_trap_is_not_found():
    fine = (
        "f'{x:02x} {y!r}'",
        "x[1:2]",
        "next(it)",
        "import collections",
        "isinstance(x, str)",
        "min(a, key=len)",
        "time.sleep(1)",
    )
    assert list(traps(ast.parse("\n".join(fine)))) == []
