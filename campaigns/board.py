# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs inside MicroPython, not here: the whole firmware in simulated time, with the chip's modules as thin as can be.

`micropython board.py RESPONSES SECONDS [WORD ...]`, in the folder of a drive. RESPONSES: lines of request and response in hex;
a request that is there more than once gets them in turn. Words: `show` prints each message, `pieces` a map of the heap before
and after each collection, `peak` collects at each import; `limited`: MicroPython collects by itself, as its heap is small, and
behind each module that is loaded, as CircuitPython does (py/builtinimport.c: "Loading a module thrashes the heap");
`page`: a browser that opens the page and asks for the state as that does; `stack`: with the probes of stack.py; `outages`: one
trouble after the other, see Outages, and somebody who presses every button; `silent`: no BMS.

The stand-ins are loaded before the measurement. They allocate nothing that stays or is garbage but what the chip's own do:
8 KB for each look at the nvm, an exception for each look at an empty socket, the tiles of the screen. Prints lines of name and
value; `base` is the heap of the stand-ins, which the `live` figures contain. Exit status 3: something went wrong.

The WebAssembly build collects only between two calls from JavaScript: campaigns/board.mjs calls `begin`, and `proceed` until it
is false, and collects in between.
"""

import builtins
import gc
import io
import random
import sys

import micropython
import vm

START_MS = 0x1FFF0000  # as on a board: the ticks wrap after 65 s
PASS_US = 5000  # a pass of the loop with its pause; 80 to 200 a second on a chip
SPIN_US = 1000  # a pass without one
BYTE_US = 1042  # at 9600 baud
THINK_US = 5000  # the BMS, before it answers
JOIN_US = 3000000
MARKS_S = (45, 300)  # when the figures are taken
NVM_SIZE = 8192
AGAIN = 11  # EAGAIN
REFUSED = 111  # ECONNREFUSED


class Pause(BaseException):
    """Leaves the firmware's loop for a collection from outside; it is no Exception, so that no firmware catches it."""


class Clock:
    """Simulated time; `us` since power-on."""

    us = 0
    marks = 0  # how many of MARKS_S have passed
    next_us = MARKS_S[0] * 1000000
    end_us = 0

    def ticks_ms(self):
        return (self.us // 1000 + START_MS) & 0x1FFFFFFF

    def monotonic(self):
        return self.us / 1000000

    def sleep(self, seconds):
        if not seconds:
            self.us += SPIN_US
        elif seconds < 0.005:
            self.us += PASS_US
        else:
            self.us += int(seconds * 1000000)
        if self.us >= self.next_us:
            heap.mark()
        if self.us >= self.end_us:
            raise SystemExit


class Heap:
    """The figures. Without a limit garbage is collected only where the firmware does, or an import, so it can be counted."""

    is_limited = is_sliced = is_mapped = False
    is_wanted = False  # a collection, from outside
    mark_s = 0  # the mark that has been reached and not been printed

    def __init__(self):
        self.left = 0  # live after the last collection
        self.taken = 0  # allocated until then, in all
        self.peak = 0  # most that was live
        self.at_mark = 0  # `taken` at the last mark

    def collect(self):
        """gc.collect of the firmware."""
        if self.is_sliced:
            self.is_wanted = True
            return
        self.before()
        gc.collect()
        self.after()

    def before(self):
        """Before a collection: count what was allocated."""
        self.taken += gc.mem_alloc() - self.left
        if self.is_mapped:
            self.map("before")

    def after(self):
        """After a collection: what is live; prints at a mark."""
        self.is_wanted = False
        self.left = gc.mem_alloc()
        if self.left > self.peak:
            self.peak = self.left
        if self.is_mapped:
            self.map("after")
        if self.mark_s:
            print("live", self.mark_s, self.left)
            print("taken", self.mark_s, self.taken)
            print("garbage", self.mark_s, self.taken - self.at_mark)
            self.at_mark = self.taken
            self.mark_s = 0

    def map(self, when):
        print("map", when, clock.us // 1000)
        micropython.mem_info(1)

    def mark(self):
        self.mark_s = MARKS_S[clock.marks]
        clock.marks += 1
        clock.next_us = MARKS_S[clock.marks] * 1000000 if clock.marks < len(MARKS_S) else 1 << 30
        self.collect()


clock = Clock()
heap = Heap()


# --- what is wrong ----------------------------------------------------------------------------------------------------


class Trouble:
    """The first thing that went wrong ends the run: a firmware that lost a job goes on, but is not well."""

    is_fatal = True

    def report(self, text):
        print("trouble" if self.is_fatal else "failed", clock.us // 1000, text)
        if self.is_fatal:
            sys.exit(3)

    def format_exception(self, error, *_):
        text = io.StringIO()
        sys.print_exception(error, text)
        self.report(text.getvalue())
        return [text.getvalue()]


trouble = Trouble()


class Outages:
    """What goes wrong, by seconds since power-on: each lasts until the next one begins."""

    # the Wi-Fi cannot be joined; the name of the broker is not found, it refuses the connection, the user, and speaks HTTP; a
    # job fails; the connection ends; the broker says nothing; the BMS says nothing, and damaged frames
    PLAN = ((0, "wifi"), (9, "name"), (14, "connect"), (20, "user"), (28, "http"), (36, ""), (60, "press"), (75, "job"),
            (76, ""), (80, "closed"), (84, ""), (95, "mute"), (115, ""), (120, "bms"), (132, "damaged"), (142, ""))  # fmt: skip
    are_wanted = is_silent = False

    def now(self):
        """What is wrong now; "": nothing."""
        found = ""
        if self.are_wanted:
            for begin, what in self.PLAN:
                if clock.us >= begin * 1000000:
                    found = what
        return found


outages = Outages()


# --- the BMS on its line ----------------------------------------------------------------------------------------------


class Uart:
    """Answers from the recording, each byte when it would have arrived."""

    def __init__(self, file):
        self.answers = {}  # function -> list of responses
        self.turns = bytearray(256)
        self.response = b""
        self.read = 0
        self.begin_us = 0
        self.requests = 0
        with open(file) as lines:
            for line in lines:
                request, response = line.split()
                self.answers.setdefault(bytes.fromhex(request)[2], []).append(bytes.fromhex(response))

    @property
    def in_waiting(self):
        arrived = (clock.us - self.begin_us) // BYTE_US
        return max(0, min(arrived, len(self.response)) - self.read)

    def readinto(self, buffer):
        count = self.in_waiting
        trouble.is_fatal = not outages.are_wanted  # from the first look at the line on: a start must not fail
        if outages.now() == "job":
            raise ValueError("a job that fails")
        if not count or outages.is_silent or outages.now() == "bms":
            return None
        if count > len(buffer):
            count = len(buffer)
        for index in range(count):
            buffer[index] = self.response[self.read + index] ^ (outages.now() == "damaged")
        self.read += count
        return count

    def write(self, data):
        clock.us += len(data) * BYTE_US  # the port waits for the last bit
        self.requests += 1
        answers = self.answers.get(data[2])
        self.read = 0
        self.response = b""
        if answers is not None:
            turn = self.turns[data[2]]
            self.response = answers[turn % len(answers)]
            self.turns[data[2]] = (turn + 1) & 0xFF
        self.begin_us = clock.us + THINK_US
        return len(data)

    def deinit(self):
        pass


# --- the broker -------------------------------------------------------------------------------------------------------


class Browser:
    """The listening socket of the page, and the browser that comes there. VISITS: path, and every so many seconds."""

    VISITS = ((b"/api/state", 2), (b"/api/bridge", 10), (b"/", 60), (b"/api/history?of=bms1&every=5", 60), (b"/metrics", 30))
    BEGIN_S = 20

    def __init__(self):
        self.is_listening = self.is_connected = False
        self.requests = [b"GET " + path + b" HTTP/1.1\r\nHost: board\r\n\r\n" for path, _ in self.VISITS]
        self.due = [self.BEGIN_S * 1000000] * len(self.requests)
        self.request = b""  # that has not been read
        self.visits = self.received = 0
        self.visitor = Visitor(self)
        self.event = ((self, 1),)
        self.accepted = (self.visitor, ("10.0.0.9", 50000))

    def settimeout(self, _):
        pass

    def setsockopt(self, *_):
        pass

    def bind(self, _):
        self.is_listening = True

    def listen(self, _):
        pass

    def next(self):
        """The number of the request that is due; -1: none."""
        for number in range(len(self.due)):
            if clock.us >= self.due[number]:
                return number
        return -1

    def is_ready(self):
        return not self.is_connected and self.next() >= 0

    def accept(self):
        number = self.next()
        if self.is_connected or number < 0:
            raise OSError(AGAIN)
        self.due[number] = clock.us + self.VISITS[number][1] * 1000000
        self.request = self.requests[number]
        self.is_connected = True
        return self.accepted


class Visitor:
    """The connection of a Browser: its socket."""

    def __init__(self, browser):
        self.browser = browser
        self.event = ((self, 5),)

    def settimeout(self, _):
        pass

    def setsockopt(self, *_):
        pass

    def is_ready(self):
        return self.browser.is_connected

    def recv_into(self, buffer, size=0):
        request = self.browser.request
        if not request:
            raise OSError(AGAIN)
        for index in range(len(request)):
            buffer[index] = request[index]
        self.browser.request = b""
        return len(request)

    def send(self, data):
        self.browser.received += len(data)
        return len(data)

    def close(self):
        self.browser.visits += 1
        self.browser.is_connected = False


class Broker:
    """The only other server of the network, and its socket: answers as MQTT brokers do, and returns what is subscribed to."""

    AF_INET = SOCK_STREAM = SOL_SOCKET = SO_REUSEADDR = 1
    SOCK_DGRAM = IPPROTO_TCP = TCP_NODELAY = 2
    gaierror = OSError

    def __init__(self):
        self.heard = bytearray(16384)  # of packets that are not complete
        self.length = 0
        self.answer = bytearray(16384)
        self.answered = 0
        self.filters = bytearray(2048)  # the bodies of SUBSCRIBE
        self.filters_length = 0
        self.connects = self.messages = self.bytes = self.pressed = 0
        self.is_shown = False
        self.name = [(1, 1, 0, "", ("10.0.0.1", 1883))]
        self.browser = None
        self.event = ((self, 1),)

    def is_ready(self):
        return self.answered > 0 or outages.now() in ("closed", "press")

    def socket(self, *_):
        if self.browser is not None and not self.browser.is_listening:
            return self.browser  # the page is opened before a broker is looked for
        self.length = self.answered = self.filters_length = 0
        return self

    def settimeout(self, _):
        pass

    def setsockopt(self, *_):
        pass

    def getaddrinfo(self, *_):
        if outages.now() == "name":
            raise self.gaierror(-2, "Name or service not known")
        return self.name

    def connect(self, _):
        if outages.now() == "connect":
            raise OSError(REFUSED)
        self.connects += 1
        if self.connects > 1 and not outages.are_wanted:
            trouble.report("the connection was lost")

    def close(self):
        self.length = self.answered = self.filters_length = 0

    def send(self, data):
        heard = self.heard
        at = self.length
        for index in range(len(data)):
            heard[at + index] = data[index]
        self.length = at + len(data)
        while self.take():
            pass
        return len(data)

    def recv_into(self, buffer, size=0):
        if outages.now() == "closed":
            return 0
        if outages.now() == "press":
            self.press()
        if not self.answered:
            raise OSError(AGAIN)
        count = min(size or len(buffer), self.answered)
        answer = self.answer
        for index in range(count):
            buffer[index] = answer[index]
        self.answered -= count
        for index in range(self.answered):
            answer[index] = answer[count + index]
        return count

    def take(self):
        """Answer the packet at the front; False when it is not complete."""
        heard = self.heard
        if self.length < 2:
            return False
        at = 1
        body = shift = 0
        while True:
            if at == self.length:
                return False
            body |= (heard[at] & 127) << shift
            shift += 7
            at += 1
            if not heard[at - 1] & 128:
                break
        end = at + body
        if end > self.length:
            return False
        self.react(heard[0], at, end)
        for index in range(end, self.length):
            heard[index - end] = heard[index]
        self.length -= end
        return True

    def react(self, first, at, end):
        kind = first & 0xF0
        trouble_now = outages.now()
        if trouble_now == "mute":
            return
        if trouble_now == "http":
            self.reply(ord("H"), ord("T"))
        elif kind == 0x10:
            self.reply(0x20, 2, 0, 5 if trouble_now == "user" else 0)
        elif kind == 0x30:
            self.message(first, at, end)
        elif kind == 0x80:
            self.subscribe(at, end)
        elif kind == 0xA0:
            self.unsubscribe(at, end)
        elif kind == 0xC0:
            self.reply(0xD0, 0)

    def reply(self, *some):  # rare, so its tuple is no matter
        for byte in some:
            self.answer[self.answered] = byte
            self.answered += 1

    def subscribe(self, at, end):
        heard = self.heard
        self.reply(0x90, 2, heard[at], heard[at + 1])
        count = self.answered - 3
        at += 2
        while at < end:
            stop = at + 2 + (heard[at] << 8 | heard[at + 1])
            while at < stop:
                self.filters[self.filters_length] = heard[at]
                self.filters_length += 1
                at += 1
            at += 1
            self.reply(0)
            self.answer[count] += 1

    def unsubscribe(self, at, end):
        heard = self.heard
        self.reply(0xB0, 2, heard[at], heard[at + 1])
        at += 2
        while at < end:
            size = 2 + (heard[at] << 8 | heard[at + 1])
            begin = self.find(at, size)
            if begin >= 0:
                self.filters[begin + 2] = 0  # no topic begins with it
            at += size

    def message(self, first, at, end):
        heard = self.heard
        self.messages += 1
        self.bytes += end - at
        topic = 2 + (heard[at] << 8 | heard[at + 1])
        payload = at + topic
        if first & 6:
            self.reply(0x40, 2, heard[payload], heard[payload + 1])
            payload += 2
        if self.is_shown:
            print("message", str(heard[at + 2 : at + topic], "utf-8"), first & 1, str(heard[payload:end], "utf-8"))
        if self.find(at, topic) >= 0:
            self.reply(first & 0xF0)
            left = topic + end - payload
            while left > 127:
                self.reply(left & 127 | 128)
                left >>= 7
            self.reply(left)
            for index in range(at, at + topic):
                self.reply(heard[index])
            for index in range(payload, end):
                self.reply(heard[index])

    def press(self):
        """PRESS on every topic that is subscribed to, one at each look."""
        begin = self.pressed
        if begin < self.filters_length:
            size = 2 + (self.filters[begin] << 8 | self.filters[begin + 1])
            self.reply(0x30, size + 5)
            for index in range(begin, begin + size):
                self.reply(self.filters[index])
            self.reply(80, 82, 69, 83, 83)
            self.pressed += size

    def find(self, at, size):
        """Where a topic of this size, its length in front, is among the filters; -1: nowhere."""
        begin = 0
        while begin < self.filters_length:
            filter_size = 2 + (self.filters[begin] << 8 | self.filters[begin + 1])
            index = 0
            while index < size and size == filter_size and self.filters[begin + index] == self.heard[at + index]:
                index += 1
            if index == size:
                return begin
            begin += filter_size
        return -1


# --- the rest of the chip ---------------------------------------------------------------------------------------------


class Radio:
    enabled = True
    connected = False
    ipv4_address = "10.0.0.2"
    hostname = "board"
    mac_address = b"\x02\xda\x1b\xc0\xff\xee"
    rssi = -50

    def connect(self, *_, **__):
        clock.us += JOIN_US
        if outages.now() == "wifi":
            raise OSError("No network with that ssid")  # on a board a ConnectionError, which is one
        self.connected = True

    @property
    def ap_info(self):
        return self


class Nvm:
    """Each look takes the whole block from the heap."""

    def __init__(self):
        self.stored = bytearray(NVM_SIZE)

    def __len__(self):
        return NVM_SIZE

    def __getitem__(self, index):
        block = bytearray(NVM_SIZE)
        block[:] = self.stored
        return block[index]

    def __setitem__(self, index, value):
        block = bytearray(NVM_SIZE)
        block[:] = self.stored
        block[index] = value
        self.stored[:] = block


class Watchdog:
    mode = None
    timeout = 0

    def feed(self):
        pass


class Pin:
    pass


class I2C:
    def __init__(self, *_, **__):
        pass

    def try_lock(self):
        return True

    def unlock(self):
        pass

    deinit = unlock

    def writeto(self, *_):
        pass


class Bus:
    def __init__(self, *_, **__):
        pass

    def send(self, *_):
        pass


class Display:
    root_group = None

    def __init__(self, *_, **__):
        pass

    def refresh(self, **_):
        clock.us += 3000


class Bitmap:
    """As on the chip the pixels take their bits."""

    def __init__(self, width, height, colours):
        self.width = width
        self.height = height
        self.pixels = bytearray((width + 31) // 32 * 4 * height)

    def __setitem__(self, index, value):
        pass


class Palette:
    def __init__(self, count):
        pass

    def __setitem__(self, index, value):
        pass

    def make_transparent(self, index):
        pass


class TileGrid:
    """A byte for each tile, as on the chip."""

    def __init__(self, bitmap, pixel_shader=None, width=1, height=1, tile_width=0, tile_height=0, x=0, y=0):
        self.height = height
        self.tiles = bytearray(width * height)

    def __getitem__(self, index):
        return self.tiles[index]

    def __setitem__(self, index, value):
        self.tiles[index] = value


class Group:
    def __init__(self, scale=1, x=0, y=0):
        self.x = x
        self.y = y
        self.layers = []

    def append(self, layer):
        self.layers.append(layer)

    def remove(self, layer):
        self.layers.remove(layer)


class Poll:
    """select.poll(): tells of one socket at a time."""

    def __init__(self):
        self.sockets = []

    def register(self, socket, *_):
        if socket not in self.sockets:
            self.sockets.append(socket)

    def modify(self, socket, *_):
        pass

    def unregister(self, socket):
        self.sockets.remove(socket)

    def ipoll(self, _timeout):  # not *_: its tuple would be garbage, and a chip's makes none
        for socket in self.sockets:
            if socket.is_ready():
                return socket.event
        return ()

    def poll(self, *_):
        return list(self.ipoll(0))


class Collector:
    """The module gc of the firmware."""

    def collect(self):
        heap.collect()

    def mem_free(self):
        return gc.mem_free()

    def mem_alloc(self):
        return gc.mem_alloc()

    def enable(self):
        pass

    disable = enable

    def threshold(self, *_):
        return -1


class Mode:
    RAISE = "watchdog.WatchDogMode.RAISE"
    RESET = "watchdog.WatchDogMode.RESET"


class Expired(Exception):
    pass


def restarted(*_):
    trouble.report("the firmware restarts the chip")
    sys.exit(3)


def module(name, **members):
    """Give these members to a stand-in in which every other name exists, too."""
    if name not in sys.modules or not isinstance(sys.modules[name], vm.Module):
        sys.modules[name] = vm.Module()
    for key in members:
        setattr(sys.modules[name], key, members[key])
    return sys.modules[name]


uart = broker = stack_probe = None


def build(responses):
    """Make the chip."""
    global uart, broker
    uart = Uart(responses)
    broker = Broker()
    chip = module("microcontroller", Pin=Pin, nvm=Nvm(), watchdog=Watchdog(), reset=restarted)
    chip.cpu = module("cpu", uid=bytes(6), reset_reason="microcontroller.ResetReason.POWER_ON", temperature=40, voltage=None)
    board = module("board", board_id="board")
    for pin in ("TX", "RX", "SDA", "SCL", "IO5", "IO6", "IO11", "IO12", "IO14", "IO16", "IO17", "IO18"):
        setattr(board, pin, Pin())
    module("supervisor", ticks_ms=clock.ticks_ms)
    sys.modules["supervisor"].runtime = module("runtime", serial_bytes_available=0)
    module("busio", UART=lambda *_, **__: uart, I2C=I2C)
    module("socketpool", SocketPool=lambda _: broker)
    module("wifi", radio=Radio())
    module("watchdog", WatchDogMode=Mode, WatchDogTimeout=Expired)
    module("traceback", format_exception=trouble.format_exception)
    module("usb_cdc", console=None)
    module("displayio", release_displays=vm.nothing, Palette=Palette, Bitmap=Bitmap, TileGrid=TileGrid, Group=Group)
    module("bitmaptools", fill_region=vm.nothing)
    module("i2cdisplaybus", I2CDisplayBus=Bus)
    module("busdisplay", BusDisplay=Display)
    module("terminalio").FONT = module("font", bitmap=Bitmap(570, 12, 2))
    sys.modules["gc"] = Collector()
    sys.modules["time"] = module("clock", sleep=clock.sleep, monotonic=clock.monotonic, ticks_ms=clock.ticks_ms)
    sys.modules["select"] = module("poll", poll=Poll, POLLIN=1, POLLOUT=4)


def watch_imports():
    """The heap at every import: where the start needs most; with a limit a collection behind each module, and no more."""
    original = builtins.__import__

    def noting(*arguments):
        known = len(sys.modules)
        found = original(*arguments)
        if heap.is_limited:
            if len(sys.modules) > known:
                gc.collect()
        elif clock.us < MARKS_S[0] * 1000000:
            heap.collect()
        return found

    builtins.__import__ = noting


def prepare(responses, seconds, words):
    """Everything before the firmware starts."""
    clock.end_us = int(seconds) * 1000000
    heap.is_limited = "limited" in words
    heap.is_sliced = "sliced" in words
    build(responses)
    broker.is_shown = "show" in words
    broker.browser = Browser() if "page" in words else None
    heap.is_mapped = "pieces" in words
    outages.are_wanted = "outages" in words
    outages.is_silent = "silent" in words
    if "peak" in words or heap.is_limited:
        watch_imports()
    if outages.are_wanted:
        random.seed(1)  # the back-offs: else a run may not be connected when the buttons are pressed
    if "stack" in words:
        global stack_probe
        import stack_probe


def measure_base():
    """After a collection: from here on it is the firmware's memory."""
    heap.left = gc.mem_alloc()
    print("base", heap.left)


def run_code():
    """Run code.py, until the simulated time is over."""
    with open("code.py") as file:
        text = file.read()
    if stack_probe is not None:
        stack_probe.floor = micropython.pystack_use()
    exec(text, {"__name__": "__main__"})
    trouble.report("code.py has ended")


def tell():
    """What came of it."""
    print("connects", broker.connects)
    print("messages", broker.messages)
    print("bytes", broker.bytes)
    print("requests", uart.requests)
    if broker.browser is not None:
        print("visits", broker.browser.visits)
        print("received", broker.browser.received)
    print("peak", heap.peak)
    if stack_probe is not None:
        stack_probe.tell()


def main(responses, seconds, words):
    """The whole run."""
    prepare(responses, seconds, words)
    gc.collect()
    measure_base()
    if not heap.is_limited:
        gc.disable()
    try:
        run_code()
    except SystemExit as end:
        if end.args and end.args[0]:
            raise
    tell()


# --- for campaigns/board.mjs ------------------------------------------------------------------------------------------


class Slices:
    """Runs the firmware's loop in slices. The bundle shortens names: its method `run` is known by never returning."""

    loop = run = None

    def sleep(self, seconds):
        """time.sleep of app/loop.py only: elsewhere a job would be left in its middle."""
        clock.sleep(seconds)
        if heap.is_wanted:
            raise Pause

    def watch(self):
        """Note the Loop when it is made, before any other object of its module."""
        import app.loop

        app.loop.time = self
        for name in dir(app.loop):
            found = getattr(app.loop, name)
            if isinstance(found, type) and "__init__" in dir(found):
                self.note(found)

    def note(self, kind):
        original = kind.__init__

        def init(made, *arguments):
            self.loop = self.loop or made
            original(made, *arguments)

        kind.__init__ = init

    def find_run(self):
        """Call what takes no argument, until one is left by a Pause."""
        for name in dir(self.loop):
            method = getattr(self.loop, name)
            if not name.startswith("__") and callable(method):
                heap.is_wanted = True
                try:
                    method()
                except Pause:
                    self.run = method
                    return
                except TypeError:
                    pass


slices = Slices()


def begin():
    """Start the firmware and leave it after the first pass of its loop."""
    measure_base()
    slices.watch()
    heap.is_wanted = True
    try:
        run_code()
    except Pause:
        heap.is_wanted = False
    slices.find_run()
    heap.before()


def proceed():
    """Run the loop until it wants a collection, for which it is to be left; returns whether to call this again."""
    try:
        slices.run()
    except Pause:
        heap.before()
        return True
    except SystemExit as end:
        if end.args and end.args[0]:
            raise
    tell()
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
