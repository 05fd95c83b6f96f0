# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A wire in memory: a Poller and a simulated BMS at 9600 baud in simulated time, without sleeping."""

from battery.pack import Battery, Pack
from battery.polarity import Polarity
from daly.poller import Poller
from mqtt import deadband
from simulator import wire
from simulator.bms import Bms


class Line(wire.Wire):
    """A line in simulated time, on which pollers ask: `requests` has what `note` makes of each request, with its ms."""

    step_us = 1000  # a pass of the loop

    def note(self, request):
        return request

    def set(self, name, value):
        """Change an option of the BMS."""
        self.bms.set(name, value, self.us)
        return self

    def run(self, seconds, watch=None):
        """Let time pass in steps of `step_us`; `watch(line)` is called in each."""
        end = self.us + seconds * 1e6
        while self.us < end:
            self.step()
            if watch is not None:
                watch(self)
        return self

    def step(self):
        """One pass of the board's loop: the poller receives what has arrived and may write a request (13.5 ms)."""
        begun = self.us
        request = self.exchange()
        if request is not None:
            self.requests.append((begun / 1000, self.note(request)))
        self.us += self.step_us


class Wire(Line):
    """The real Poller and Pack on one end, a simulated BMS on the other; `start` is the first tick of the clock.

    `protocol`: what the Poller may speak; "auto": it looks for the BMS.
    """

    def __init__(self, options="", start=0, pack=None, current_sign="auto", polarity=0, protocol="a5", **poller_options):
        poller_options["protocol"] = protocol
        self.pack = pack or Pack(polarity=Polarity(current_sign, polarity))
        super().__init__(Bms(options), Poller(self.pack, **poller_options), start)
        self.requests = []  # (ms, function)

    def note(self, request):
        """The function."""
        return request[2]


class Deadband(deadband.Deadband):
    """One that takes over in one step what the publisher takes over in several."""

    def take(self, now):
        """Take over the values that are due; True when one has changed."""
        steps = self.begin_take(now)
        return steps if steps is True or steps is False else list(steps)[-1]


def only(pack, poller=None, name="Daly BMS"):
    """The list with the only battery."""
    return [Battery(1, "bms1", name, "", pack, poller)]


def request_until(poller, function, now=0):
    """Run a poller without responses until it requests `function`; returns the tick of that request."""
    for _ in range(100):
        request = poller.poll(now)
        if request is not None and request[2] == function:
            return now
        now += 400
    raise AssertionError(f"0x{function:02X} is never requested")


def respond(poller, data, now):
    """Give a poller the bytes of a response."""
    poller.receive(data, len(data), now)
    poller.judge(now)
