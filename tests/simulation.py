"""A wire in memory: a Poller and a simulated BMS talking at 9600 baud in simulated time, no sleeping."""

from adafruit_ticks import ticks_add

from daly.pack import Pack
from daly.poller import Poller
from host.bms import Bms

REQUEST_US = 13 * 10 * 1_000_000 // 9600


class Wire:
    """The real Poller and Pack on one end, a simulated BMS on the other; `start` is the first tick of the clock."""

    def __init__(self, options="", start=0, pack=None, **poller_options):
        self.step_us = 1000
        self.bms = Bms(options)
        self.pack = pack or Pack()
        self.poller = Poller(self.pack, **poller_options)
        self.us = 0.0
        self._start = start
        self.requests = []  # (ms, command)

    @property
    def now(self):
        """The tick of the moment, wrapping as on the board."""
        return ticks_add(self._start, int(self.us // 1000) % (1 << 28)) if self._start else int(self.us // 1000) % (1 << 29)

    def set(self, name, value):
        """Change an option of the BMS."""
        self.bms.set(name, value, self.us)

    def run(self, seconds, watch=None):
        """Let time pass in steps of `step_us`; `watch(wire)` is called in each."""
        end = self.us + seconds * 1e6
        while self.us < end:
            self.step()
            if watch is not None:
                watch(self)
        return self

    def step(self):
        """One pass of the board's loop: what has arrived is handed over, a request is written (13.5 ms)."""
        arrived = self.bms.transmit(self.us)
        if arrived:
            self.poller.receive(arrived, len(arrived), self.now)
        request = self.poller.poll(self.now)
        if request is not None:
            self.requests.append((self.us / 1000, request[2]))
            self.bms.receive(bytes(request), self.us)
            self.us += REQUEST_US
        self.us += self.step_us


def ask(poller, command, now=0):
    """Let a poller go on, unanswered, until it asks for `command`; returns the tick of that request."""
    for _ in range(100):
        request = poller.poll(now)
        if request is not None and request[2] == command:
            return now
        now += 400
    raise AssertionError(f"0x{command:02X} is never asked for")


def answer(poller, data, now):
    """Hand bytes to a poller."""
    poller.receive(data, len(data), now)
