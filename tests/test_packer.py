# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The packer: the packed firmware is the same program, with the same lines."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import bundle, pack, pack_libraries, pack_makers, pack_merge, pack_start

ROOT = Path(__file__).parent.parent

GOOD = """CIRCUITPY_WIFI_SSID = "shed"
CIRCUITPY_WIFI_PASSWORD = "shed-password"
MQTT_BROKER = "192.168.1.10"
MQTT_BASE_TOPIC = "t"
ALLOW_CONTROL = "charge_mosfet, discharge_mosfet, soc, restart_bms, energy"
PUBLISH_EACH_VALUE = true
WAKE_PIN = "IO4"
"""
SEVERAL = (
    GOOD
    + """BMS_BOARD_NUMBERS = "1-3"
BMS_2_NAME = "Garage"
"""
)
SENSORS = """DS18B20_PIN = "IO5"
VEDIRECT_1_RX = "IO6"
SUPPLY_PIN = "IO7"
LED_PIN = "IO21"
LED_OFF_AT_NIGHT = "22:00-07:00"
"""
OUTPUTS = (
    GOOD.replace('"charge_mosfet,', '"outputs, charge_mosfet,')
    + SENSORS
    + """OUTPUT_1 = "Heater: IO10 on when soc > 30 and vedirect1.voltage > 20"
OUTPUT_2 = "IO12 on when ds18b20.28ff641e8216c3 > 25 or supply.voltage < 1, alarm = ignore"
OUTPUT_3 = "IO13 on when soc > much"
"""
)
ASLEEP = GOOD.replace("PUBLISH_EACH", "# PUBLISH_EACH") + SENSORS + 'LED_TYPE = "NEOPIXEL"\nSLEEP_MINUTES = 15\n'
WRONG = """CIRCUITPY_WIFI_SSID = shed
CIRCUITPY_WIFI_PASSWORD = "short"
MQTT_BROKER = "http://192.168.1.10:1883/"
MQTT_PROT = 1883
MQTT_BASE_TOPIC = "t"
OLED_TYPE = "SH1107"
WAKE_PIN = "D99"
POLL_CELLS_MS = soon
ALLOW_CONTROL = "sock"
"""

ORIGINALS = {path: data.decode() for path, data in bundle.firmware().items() if pack.is_ours(path)}


@pytest.fixture(scope="module")
def sources():
    return pack.packed_sources()


@pytest.fixture(scope="module")
def folders(sources, tmp_path_factory):
    """(the packages as they are, the packages packed)."""
    folder = tmp_path_factory.mktemp("packages")
    for package in bundle.PACKAGES:
        shutil.copytree(ROOT / package, folder / "plain" / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in sources.items():
        target = folder / "packed" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder / "plain", folder / "packed"


def life(folder, settings):
    """All that a firmware says and shows in 150 simulated seconds, line by line."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error::SyntaxWarning", str(ROOT / "tests" / "one_life.py"), str(folder), str(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [GOOD, SEVERAL, WRONG, OUTPUTS, ASLEEP])
def test_the_packed_firmware_says_the_same_to_the_byte(folders, settings, tmp_path):
    """Discovery, states, commands, diagnostics, the screen; broker, Wi-Fi and BMS gone and back; several; wrong settings."""
    file = tmp_path / "settings.toml"
    file.write_text(settings)
    plain, packed = (life(folder, file) for folder in folders)
    assert packed == plain
    least = {WRONG: 5, ASLEEP: 100}.get(settings, 300)
    assert len(plain) > least and plain[-1].endswith("the end")
    words = ("/config", "t/bms1/command_result", "t/diagnostics", "No Wi-Fi", "asleep")
    if settings == SEVERAL:
        words += ("t/bank/state", "t/bms3/state", "t/scan ", "t/bms2/command_result b'Discharge MOSFET off: done'")
    if settings == OUTPUTS:
        words += ("t/outputs/state", "t/vedirect1/state", "t/temperatures/state", "t/supply/state", "pin IO")
        words += ("Settings: settings.toml line 15: OUTPUT_3", "LED on IO21: 1 long, 1 short")
    if settings == ASLEEP:
        words = ('t/temperatures/state b\'{"problem":"none","28ff641e8216c3":21.5}\'', "t/status b'sleeping'", "chip is asleep")
    if settings == WRONG:
        words = ("Settings:",)
    for word in words:
        assert [line for line in plain if word in line], word


def test_every_line_stays_where_it_is_or_is_found(sources):
    """A traceback names a line of the repository: each statement begins where one did; --line finds those of merged files."""
    origins = pack_merge.origins(ORIGINALS)
    trees = {path: ast.parse(text) for path, text in ORIGINALS.items()}
    statements = {path: {n.lineno for n in ast.walk(tree) if isinstance(n, ast.stmt)} for path, tree in trees.items()}
    for path, text in sources.items():
        if path == pack_start.MAIN:  # what is behind it is of the packer
            text = "".join(text.splitlines(keepends=True)[: len(origins[path])])
        assert len(origins[path]) == text.count("\n")
        for where, line in {origins[path][n.lineno - 1] for n in ast.walk(ast.parse(text)) if is_of_source(n)}:
            assert line in statements[where], (path, where, line)
        for (where, line), new in zip(origins[path], text.splitlines(), strict=True):
            old = ORIGINALS[where].splitlines()[line - 1]
            assert not new.strip().startswith(("def ", "class ")) or old.split()[0] == new.split()[0], (path, where, line)


def is_of_source(node):
    return isinstance(node, ast.stmt) and not isinstance(node, ast.Delete)  # what only makes tables is deleted behind them


def texts(text):
    return {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_no_text_is_changed(sources):
    """Topics, keys, settings and sentences: all in the original, but for the fields of namedtuples and joined constants."""
    original = set().union(*[texts(text) for text in ORIGINALS.values()])
    whole = "\n".join(original)
    fields = {name for source in pack.read(sources).values() for name, _ in source.field_names}
    modules = {source.name for source in pack.read(sources).values()}
    assert [word for text in sources.values() for word in texts(text) - original - fields - modules if word not in whole] == []


def test_the_packed_form_is_the_same_every_time(sources):
    """Those that are kept may be of another process: of other hashes, and so of other orders of sets."""
    made = pack.packed({**bundle.firmware(), **bundle.libraries()})
    assert {path: data.decode() for path, data in made.items() if pack.is_ours(path)} == sources


SMALL = {
    "app/a.py": """LIMIT = 5
NAME = "x" * 20
UNCLEAR = "unclear"
WORDS = ("one", "two")
from collections import namedtuple
Point = namedtuple("Point", ("across", "upwards"))
class Base:
    def __init__(self, longer, *, width=LIMIT):
        self.longer = longer
        self.width = width
    def measure(self, LIMIT=2):
        return f"{self.longer + LIMIT:>{self.width}}|{self.longer!r}"
def measure(WORDS):
    return WORDS + LIMIT
class Derived(Base):
    def other(self):
        return [number * self.width for number in range(self.longer)]
""",
    "app/b.py": """from . import a
from .a import LIMIT as most, UNCLEAR, Derived, Point
def measure():
    return a.measure(7)
def run():
    made = Derived(3, width=most)
    a_word = [word for word in a.WORDS]
    point = Point(upwards=1, across=a.LIMIT)
    return (made.measure(), made.other(), a_word, point.across, point.upwards, UNCLEAR is a.UNCLEAR, a.NAME,
            getattr(made, "longer"), -most, measure())
""",
}


@pytest.mark.parametrize("groups", [{}, {"app.both": ("app.b", "app.a")}])
def test_names_are_shared_and_constants_in_place(groups):
    """What could go wrong, small: scopes, f-strings, inheritance, keywords, namedtuples, identity, getattr; and two in one."""
    files = {path: text.encode() for path, text in SMALL.items()}
    files["app/__init__.py"] = b""
    made = pack.packed(files, groups)
    results = []
    for each in (files, made):
        program = "import sys\nsys.dont_write_bytecode = True\n" + "from types import ModuleType\n"
        program += f"files = {[(path, data.decode()) for path, data in each.items()]!r}\n" + RUN
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        results.append(done.stdout)
    assert results[0] == results[1] != ""
    text = "".join(data.decode() for path, data in made.items() if path.startswith("app/"))
    assert sorted(made) == (["app/both.py"] if groups else ["app/a.py", "app/b.py"])
    assert "measure" not in text and "upwards" not in text and "most" not in text and "longer" in text


RUN = """
modules = {}
package = ModuleType("app")
package.__path__ = []
sys.modules["app"] = package
for path, text in sorted(files):
    if not path.endswith("__init__.py"):
        name = path[:-3].replace("/", ".")
        module = modules[name] = sys.modules[name] = ModuleType(name)
        module.__package__ = "app"
        setattr(package, name[4:], module)
        exec(text, module.__dict__)
last = modules.get("app.b") or modules["app.both"]
functions = [value for value in vars(last).values() if type(value).__name__ == "function"]
print(functions[-1]())
"""


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("unload('app.a')", "unloads app.a"),
        ("from battery.unload import unload\ndef forget():\n    unload('a')", "unloads app.a"),
        ("def later():\n    from .a import LIMIT", "only then"),
        ("try:\n    from . import a\nexcept ImportError: pass", "only then"),
        ("from .b import run", "import each other"),
    ],
)
def test_modules_that_are_not_always_loaded_together_are_not_merged(line, what):
    files = {"app/__init__.py": "", **SMALL}
    files["app/a.py" if "each other" in what else "app/c.py"] = line + "\nLIMIT = 5\n"
    with pytest.raises(ValueError, match=what):
        pack_merge.merged(files, {"app.both": ("app.a", "app.b")})


@pytest.mark.parametrize(
    "name", ["ipoll", "register", "getvalue", "send", "readinto", "root_group", "reset_reason", "radio", "wrap_socket"]
)
def test_what_belongs_to_the_board_keeps_its_name(name):
    """`poll.register` of a local variable, too: nothing says what that is."""
    files = {"app/__init__.py": b"", "app/a.py": f"import wifi\ndef run(it):\n    it.{name}()\n    it.our_own()\n".encode()}
    text = pack.packed({**files, "lib/microcontroller.py": b"import busdisplay, microcontroller"}, {})["app/a.py"].decode()
    assert f".{name}()" in text and "our_own" not in text


def test_without_the_stubs_there_is_one_sentence():
    with pytest.raises(SystemExit, match="gpio have in them is not known: install circuitpython-stubs"):
        pack.packed({"app/a.py": b"import gpio\n"}, {})


@pytest.mark.parametrize(
    ("code", "deleted"),
    [
        ("def make(): return 1\nTABLE = (make(), make())  # once\ndef use(): return TABLE\n", ["make"]),
        ("def inner(): return 1\ndef make(): return inner()\nTABLE = [make() for _ in (1, 2)]\n", ["inner", "make"]),
        ("def make(): return 1\nTABLE = make()\ndef use(): return make()\n", []),  # needed again later
        ("def make(): return 1\nTABLE = make()\nclass User:\n    def use(self): return make()\n", []),
        ("def make(): return 1\nTABLE = make()\nlater = lambda: make()\n", []),
        ("def inner(): return 1\ndef make(): return inner()\nTABLE = (make(), make)\n", []),  # passed on
        ("def make(): return 1\nTABLE = make()\nOTHER = 'make'\n", []),  # for getattr(), perhaps
        ("def imported(): return 1\nTABLE = imported()\n", []),
        ("def never(): return 1\n", []),
    ],
)
def test_what_only_makes_a_table_is_deleted_behind_it(code, deleted):
    files = {"app/a.py": code, "app/b.py": "from .a import imported\n"}
    made = pack_makers.without_makers(files)["app/a.py"]
    before: dict = {}
    after: dict = {}
    exec(code, before)
    exec(made, after)
    assert sorted(set(before) - set(after)) == deleted
    assert [line.split(";")[0].split("  #")[0] for line in made.split("\n")] == [
        line.split("  #")[0] for line in code.split("\n")
    ]


PART = "class Part:\n    def __init__(self):\n        self.load()\n        self.kind = part()\n"
PART += "    def load(self): pass\n    def tick(self): pass\ndef part(): return 1\n"
PARTS = ["Part.__init__", "Part.load", "part"]


@pytest.mark.parametrize(
    ("more", "forgotten"),
    [
        ("", PARTS),
        ("def tick(): return Part()\n", []),  # made again later
        ("class Another(Part):\n    pass\n", PARTS),
        ("class Another(Part):\n    pass\ndef tick(): return Another()\n", []),
        ("def tick(it): it.load()\n", ["Part.__init__", "part"]),  # another part's, perhaps
        ("class Other:\n    def load(self): pass\n    def tick(self): self.load()\n", ["Part.__init__", "part"]),
        ("def tick(): return part\n", ["Part.__init__", "Part.load"]),  # passed on
        ("NAMES = ('load',)\n", ["Part.__init__", "part"]),  # for getattr(), perhaps
        ("def tick():\n    from app.b import part as other\n    other()\n", ["Part.__init__", "Part.load"]),
        ("part_2 = [lambda: part()]\n", ["Part.__init__", "Part.load"]),
    ],
)
def test_what_only_the_start_needs_is_forgotten_behind_it(more, forgotten):
    files = {"app/a.py": PART + more, "app/main.py": "import sys\nfrom app.a import Part\ndef main():\n    return Part()\n"}
    made = pack_start.without_start(files, {"app/a.py"}, set())
    assert made["app/a.py"] == files["app/a.py"]
    last = made["app/main.py"].split("app import a\n")[-1] if forgotten else ""
    assert sorted(last.strip().removesuffix(" = None").replace("a.", "", 1).split(" = a.")) == sorted(forgotten or [""])


LIBRARY = """__version__ = "1.0"
try:
    from typing import Optional
except ImportError:
    pass
from micropython import const
PORT = const(1883)
SHARED = const(1)
_retries = 3
class Client:
    def __init__(self, logger):
        self.logger = logger
        self._socket = self._kept = None
    def _open(self, _port=PORT):
        self.logger.debug(
            f"at {hex(_port)}"
        )
        self.logger.info(f"{self._count()}")
        return f"{self._socket}", _retries
    def _count(self):
        return getattr(self, "_kept")
    def run(self):
        if self._socket:
            self.logger.debug("open")
        return self._open(_port=5), self._count()
"""
SMALLER = """pass
pass



from micropython import const
_PORT = const(1883)
SHARED = const(1)
_retries = 3
class Client:
    def __init__(self, logger):
        self.logger = logger
        self.e = self._kept = None
    def c(self, d=_PORT):
        pass


        self.logger.info(f"{self.a()}")
        return f"{self.e}", _retries
    def a(self):
        return getattr(self, "_kept")
    def run(self):
        if self.e:
            pass
        return self.c(d=5), self.a()
"""
USER = "from lib.client import SHARED\nclass Mine:\n    _count_ = SHARED\n"


def test_a_library_loses_what_only_its_developers_need():
    files = {"lib/client.py": LIBRARY, "lib/user.py": USER}
    made = pack_libraries.without_development(files, {"_retries", "run"}, iter(["self", "a", "b", "c", "d", "e"]))
    assert made == {"lib/client.py": SMALLER, "lib/user.py": USER.replace("_count_", "b")}


UNUSED = """from pixels import Strip
def helper():
    return second()
def second():
    return 1
class Base:
    def hook(self):
        return 0
    def by_text(self):
        return 0
class Client(Base):
    @property
    def speed(self):
        return self._speed
    @speed.setter
    def speed(self, value):
        self._speed = value
    @property
    def size(self):
        return 5
    def called(self):
        return self.size
    def never(self):
        return helper()
    def hook(self):
        return 1
class Lamp(Strip):
    def transmit(self):
        return 1
"""
USED = """from pixels import Strip
pass

pass

class Base:
    def hook(self):
        return 0
    def by_text(self):
        return 0
class Client(Base):
    pass


    pass


    @property
    def size(self):
        return 5
    def called(self):
        return self.size
    pass

    def hook(self):
        return 1
class Lamp(Strip):
    def transmit(self):
        return 1
"""
CALLER = 'from lib.client import Client\nclass Mine:\n    def run(self, c):\n        return c.called(), c.get("by_text")\n'


def test_a_library_loses_what_nothing_calls():
    """With what only that calls. The chip's class Strip may call transmit(); a text may be a name; hook is our code's word."""
    files = {"lib/client.py": UNUSED, "lib/user.py": CALLER}
    made = pack_libraries.without_development(files, {"run", "hook"}, iter(["a", "b"]))
    assert made["lib/client.py"] == USED.replace("self._speed", "self.a")
    assert made["lib/user.py"] == CALLER


def test_a_method_of_a_name_that_others_have_too_goes_where_it_is_known_to_be_called_nowhere():
    text = "class {}:\n    def publish(self):\n        return 1\n"
    for name, is_there in (("MQTT", False), ("Other", True)):
        files = {"lib/client.py": text.format(name)}
        (made,) = pack_libraries.without_development(files, {"publish", name}, iter("ab")).values()
        assert ("publish" in made) == is_there
    for path in (ROOT / "mqtt").glob("*.py"):
        assert not re.search(r"_client\.publish|client\.publish", path.read_text()), path


def test_what_a_library_has_lost_is_named_nowhere():
    """Not even by something else: also a name that is looked up on another object counts."""
    before = bundle.libraries()
    after = bundle.packed_once({**bundle.firmware(), **before})
    gone: set[str] = set()
    for path in (path for path in before if path.endswith(".py")):
        left = {node.lineno for node in ast.walk(ast.parse(after[path])) if isinstance(node, ast.FunctionDef)}
        here = [node for node in ast.walk(ast.parse(before[path])) if isinstance(node, ast.FunctionDef)]
        gone |= {node.name for node in here if node.lineno not in left}
    assert {"reconnect", "publish", "ticks_less", "create_fake_ssl_context"} <= gone
    assert not {"connect", "subscribe", "loop", "on_message", "_transmit", "is_awake"} & gone
    ours, libraries = (
        set().union(*[mentioned(text) for text in some])
        for some in (ORIGINALS.values(), [data.decode() for path, data in after.items() if path.startswith("lib/adafruit")])
    )
    assert gone & ours == {"publish"} and not gone & libraries


def mentioned(text):
    """All names and texts in it."""
    fields = ("id", "attr", "name", "arg", "value")
    found = [getattr(node, field, None) for node in ast.walk(ast.parse(text)) for field in fields]
    return {name for name in found if isinstance(name, str)}


def test_no_public_name_text_or_line_of_a_library_changes():
    """But for logging, versions and types: what is called from outside is there, with the same arguments."""
    before = bundle.libraries()
    after = bundle.packed_once({**bundle.firmware(), **before})
    found = 0
    for path in (path for path in before if path.endswith(".py")):
        here, there = (
            [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.ClassDef)]
            for text in (before[path], after[path])
        )
        lines = {node.lineno for node in here}
        assert {node.lineno for node in there} <= lines
        left = {node.lineno: node for node in there}
        for old, new in [(node, left[node.lineno]) for node in here if node.lineno in left]:
            assert old.name == new.name or old.name.startswith("_")
            if isinstance(old, ast.FunctionDef):
                arguments = zip(old.args.args, new.args.args, strict=True)
                assert [b.arg for a, b in arguments if a.arg != b.arg and not a.arg.startswith("_")] == []
                found += 1
        assert texts(after[path].decode()) <= texts(before[path].decode())
    assert found > 80
