# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Several simulated boards on one 9600 baud line in simulated time, with the firmware's pollers at the other end."""

from simulation import Line

from battery.pack import Pack
from daly.shared import SharedLine, SharedPoller
from simulator.bus import connect

CLOSE = {"current": 0.3, "pack_voltage": 0.3, "soc": 0.2, "remaining_capacity": 0.2, "cell_1_voltage": 0.004}


class Boards(Line):
    """`options` of simulator/bus.py; `numbers`: those that are asked. `requests` are (ms, bytes)."""

    def __init__(self, options, numbers=(1, 2, 3, 4), start=0, **poller_options):
        self.packs = [Pack() for _ in numbers]
        self.pollers = [
            SharedPoller(pack, 0, number, **poller_options) for pack, number in zip(self.packs, numbers, strict=True)
        ]
        self.line = SharedLine(self.pollers)
        bus = connect(options)
        super().__init__(bus, self.line, start)
        self.requests = []

    def number(self, request):
        """The board number that a request goes to."""
        return request[1] - 0x3F if request[0] == 0xA5 else request[0] - 0x80

    def times(self, number, function=None, since_ms=0):
        """ms of the requests to a board, of one function of A5 or first register."""
        return [
            ms
            for ms, request in self.requests
            if ms >= since_ms and self.number(request) == number and (function is None or function == function_of(request))
        ]

    def differences(self):
        """What the packs say otherwise than the boards with their numbers: sentences."""
        found = []
        for poller, pack in zip(self.pollers, self.packs, strict=True):
            truth = self.bms.truth(self.us, poller.board_number)
            for key, slack in CLOSE.items():
                raw = pack.raw("cell_{}_voltage", 1) if key == "cell_1_voltage" else pack.raw(key)
                decimals = {"current": 1, "pack_voltage": 1, "soc": 1, "remaining_capacity": 3, "cell_1_voltage": 3}[key]
                if raw is not None and abs(raw / 10**decimals - truth[key]) > slack:
                    found.append(f"board {poller.board_number}: {key} {raw} beside {truth[key]}")
        return found

    def codes(self):
        return [poller.diagnosis.code for poller in self.pollers]


def function_of(request):
    return request[2] if request[0] == 0xA5 else request[2] << 8 | request[3]
