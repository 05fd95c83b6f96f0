# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The scan: which board numbers respond, found between the ordinary requests, which go on."""

import itertools
import sys

import pytest
from shared_line import Boards
from simulation import Wire

from daly.bus import Bus
from simulator.bus import connect


class Uart:
    """The simulated boards behind a UART."""

    def __init__(self, wire):
        self.wire = wire
        self.written = []
        self._held = b""

    def readinto(self, buffer):
        self._held += self.wire.bms.transmit(self.wire.us)
        part, self._held = self._held[: len(buffer)], self._held[len(buffer) :]
        buffer[: len(part)] = part
        return len(part) or None

    def write(self, data):
        self.written.append((self.wire.us / 1000, bytes(data)))
        self.wire.bms.receive(bytes(data), self.wire.us)


class Bridge:
    """A Bus with these boards; `found`: what each scan has reported."""

    def __init__(self, wire, pollers):
        self.wire = wire
        self.uart = Uart(wire)
        self.bus = Bus(self.uart, pollers)
        self.pollers = pollers
        self.found = []
        self.oldest_ms = 0

    def run(self, seconds):
        end = self.wire.us + 1e6 * seconds
        while self.wire.us < end:
            self.bus.tick(self.wire.now)
            self.wire.us += 1000
            if int(self.wire.us) % 100000 < 1000:
                self.oldest_ms = max(self.oldest_ms, *[poller.pack.oldest_ms(self.wire.now) for poller in self.pollers])
        return self

    def scan(self):
        self.bus.start_scan(self.found.append)
        return self


def shared(options, numbers):
    boards = Boards(options, numbers)
    return Bridge(boards, boards.pollers).run(15)


FIVE = "boards=5,drift=0,board@3=7,board@4=16,protocol@4=p81,board@5=12,protocol@5=p81+a5,"


@pytest.mark.parametrize("options", [FIVE, FIVE + "drop_frame=10,seed=3"])
def test_all_other_numbers_are_found_once_and_the_readings_go_on(options):
    bridge = shared(options, (1, 2))
    bridge.oldest_ms = 0
    bridge.scan().run(90)
    assert bridge.found == [[(7, "A5"), (12, "P81"), (16, "P81")]]
    assert all(poller.online for poller in bridge.pollers) and bridge.oldest_ms < (7000 if options == FIVE else 15000)
    assert "daly.scan" not in sys.modules and "daly.p81" not in sys.modules
    for poller in bridge.pollers:
        assert poller.timeouts <= (2 if "drop" not in options else 100) and poller.unexpected == 0


def test_one_battery_can_be_scanned_beside_too_and_is_as_fast_afterwards():
    wire = Wire()
    wire.bms = connect("boards=2,board@2=5,drift=0")
    bridge = Bridge(wire, [wire.poller]).run(10)
    bridge.scan().run(70)
    assert bridge.found == [[(5, "A5")]]
    count = len(bridge.uart.written)
    bridge.run(10)
    assert len(bridge.uart.written) - count > 200 and len(bridge.found) == 1


def test_nothing_is_written_and_only_other_numbers_are_asked_by_it():
    bridge = shared("boards=2,drift=0", (1, 2))
    count = len(bridge.uart.written)
    bridge.scan().run(70)
    requests = [request for _, request in bridge.uart.written[count:]]
    assert {request[1] for request in requests if request[0] != 0xA5} == {3}
    assert all(
        0x90 <= request[2] <= 0x98 or 0x50 <= request[2] <= 0x63 or request[2] == 0x9A
        for request in requests
        if request[0] == 0xA5
    )
    asked = {request[1] - 0x3F for request in requests if request[0] == 0xA5}
    assert asked == set(range(1, 17)) and {request[0] - 0x80 for request in requests if request[0] != 0xA5} == set(range(3, 17))
    assert bridge.found == [[]]


def test_what_is_no_answer_by_its_content_is_not_found():
    bridge = shared("boards=2,drift=0,board@2=9,zeros@2=100", (1, 2))
    bridge.scan().run(70)
    assert bridge.found == [[]]


def test_it_is_not_in_a_hurry():
    bridge = shared("boards=2,drift=0", (1, 2))
    bridge.scan().run(70)
    tries = [ms for ms, request in bridge.uart.written if request[0] != 0xA5 and ms > 15500]
    assert min(later - one for one, later in itertools.pairwise(tries)) >= 800


def test_with_nothing_on_the_line_it_ends_too():
    bridge = shared("silent=1", (1, 2)).scan().run(90)
    assert bridge.found == [[]]


def test_a_write_during_a_scan_waits_for_its_rest_after_the_response_to_that():
    bridge = shared("boards=3,drift=0", (1, 2)).scan()
    while not bridge.bus._poller._is_answered:
        bridge.run(0.001)
    bridge.pollers[0].write("discharge_mosfet", 0)
    begun = bridge.wire.us / 1000
    bridge.run(1)
    written = next(ms for ms, frame in bridge.uart.written if frame[:3] == b"\xa5\x40\xd9")
    assert 199 <= written - begun <= 260
