# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs inside MicroPython, not here: what a frame and a published state cost there, by number of cells; for campaigns/bench.py.

`micropython cost.py FILE`: lines of request and response in hex. Prints the bytes of heap that a received frame takes, the
bytes of garbage that a published state leaves, the bytes of that state, and the microseconds of each (of states the fastest).
"""

import gc
import sys
import time

from battery.pack import Battery, Pack
from daly.poller import Poller
from mqtt.homeassistant import Discovery
from mqtt.publisher import Publisher

SETTLE_MS = 6000
MEASURED_MS = 4000
STATES = 20
responses = {}
with open(sys.argv[1]) as file:
    for line in file:
        request, response = line.split()
        responses[bytes.fromhex(request)[2]] = bytes.fromhex(response)
pack = Pack()
poller = Poller(pack)
batteries = [Battery(1, "bms1", "Daly BMS", "", pack, poller)]
discovery = Discovery("homeassistant", "daly/x", "c0ffee", "Daly BMS", batteries, "1.2.3")
publisher = Publisher("daly/x", discovery, batteries, lambda now: (), 2000)
spent_us = 0


def run(begin, end, publish):
    """Run poller and BMS between two ticks in ms; `publish`: the publisher, too. `spent_us` is the poller's time."""
    global spent_us
    spent_us = 0
    response = None
    due = 0
    for now in range(begin, end):
        at = time.ticks_us()
        if response is not None and now >= due:
            poller.receive(response, len(response), now)
            response = None
        request = poller.poll(now)
        spent_us += time.ticks_diff(time.ticks_us(), at)
        if request is not None:
            response = responses.get(request[2])
            due = now + 30
        if publish:
            publisher.poll(now)


def main():
    """Measure, and print five numbers."""
    publisher.begin(0)
    run(0, SETTLE_MS, True)
    frames = poller.frames_ok
    gc.collect()
    gc.disable()
    before = gc.mem_alloc()
    run(SETTLE_MS, SETTLE_MS + MEASURED_MS, False)
    frames = poller.frames_ok - frames
    frame_heap = (gc.mem_alloc() - before) // frames
    frame_us = spent_us / frames
    now = SETTLE_MS + MEASURED_MS
    garbage = length = states = 0
    took = 1 << 29
    while states < STATES:
        gc.collect()
        now += 1000  # the heartbeat comes by itself
        before = gc.mem_alloc()
        at = time.ticks_us()
        message = publisher.poll(now)
        while publisher.is_writing:
            message = publisher.poll(now)
        spent = time.ticks_diff(time.ticks_us(), at)
        if message is not None and message[0].endswith("/bms1/state"):
            garbage += gc.mem_alloc() - before
            took = min(took, spent)
            length = len(message[1])
            states += 1
    print(frame_heap, garbage // STATES, length, int(frame_us), took)


main()
