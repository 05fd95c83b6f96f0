# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A second BMS, written from docs/PROTOCOL.md alone: it shows errors that firmware and simulator/bms.py have in common.

It imports neither of them. It is on a pseudo-terminal, responds to host address 0x40 at about 9600 baud, and its values change
only when they are set. `published_values()` are the exact texts that must be published of it.
"""

import os
import pty
import random
import select
import threading
import time
import tty

FRAME_S = 13 * 10 / 9600


class OtherBms:
    def __init__(self, cells, seed=1):
        dice = random.Random(seed)
        self.cells = [dice.randrange(3280, 3330) for _ in range(cells)]
        self.sensors = [dice.randrange(15, 30) for _ in range(1 + seed % 3)]  # degrees
        self.deciamperes = dice.choice((-1, 1)) * dice.randrange(60, 900)  # positive: charging
        self.permille = dice.randrange(200, 900)
        self.capacity_mah = 1000 * dice.randrange(50, 300)
        self.cycles = dice.randrange(1, 2000)
        self.life = dice.randrange(256)
        self.balancing = {dice.randrange(cells)}  # from 0
        self.alarm_bytes = bytes((0, 0, 0x80, 0, 0, 0x08, 0))  # SOC low, level 2; EEPROM
        self.silent = False
        self._previous = bytes(8)
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        self._thread.join()
        os.close(self._master)
        os.close(self._slave)

    # what must be published

    def published_values(self):
        highest, lowest = max(self.cells), min(self.cells)
        return {
            "pack_voltage": _text(self._decivolts(), 1),
            "current": _text(self.deciamperes, 1),
            "power": _text(self._decivolts() * self.deciamperes, 2),
            "soc": _text(self.permille, 1),
            "mode": "charging" if self.deciamperes > 0 else "discharging",
            "charge_mosfet": "ON",
            "discharge_mosfet": "ON",
            "remaining_capacity": _text(self._remaining(), 3),
            "cell_count": str(len(self.cells)),
            "cycle_count": str(self.cycles),
            "max_cell_voltage": _text(highest, 3),
            "max_voltage_cell": str(self.cells.index(highest) + 1),
            "min_cell_voltage": _text(lowest, 3),
            "min_voltage_cell": str(self.cells.index(lowest) + 1),
            "cell_voltage_delta": _text(highest - lowest, 3),
            **{f"cell_{n}_voltage": _text(mv, 3) for n, mv in enumerate(self.cells, 1)},
            "balancing": "ON",
            **{f"cell_{n + 1}_balancing": "ON" if n in self.balancing else "OFF" for n in range(len(self.cells))},
            **{f"temperature_{n}": str(degrees) for n, degrees in enumerate(self.sensors, 1)},
            "max_temperature": str(max(self.sensors)),
            "min_temperature": str(min(self.sensors)),
            "problem": "ON",
            "active_alarms": "EEPROM (fault), State of charge low (protection)",
            "rated_capacity": _text(self.capacity_mah, 3),
            "production_date": "2021-03-09",
            "battery_code": "OTHER-BMS-0001",
            "software_version": "99_210309_1234",
            "hardware_version": "DL-OTHER-01",
        }

    def _decivolts(self):
        return sum(self.cells) // 100

    def _remaining(self):
        return self.capacity_mah * self.permille // 1000

    # responses

    def _serve(self):
        received = b""
        while not self._stop.is_set():
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            received += os.read(self._master, 256)
            while len(received) >= 13:
                request, received = (received[:13], received[13:]) if self._is_request(received) else (None, received[1:])
                if request and not self.silent:
                    self._respond(request[2])

    def _is_request(self, received):
        return received[0] == 0xA5 and received[1] == 0x40 and received[3] == 8 and sum(received[:12]) % 256 == received[12]

    def _respond(self, function):
        time.sleep(FRAME_S + 0.01)  # the request's own time on the wire, and the response delay
        for payload in self._payloads(function):
            self._previous = payload + self._previous[len(payload) :]  # bytes that are not written keep their previous values
            body = bytes((0xA5, 0x01, function, 8)) + self._previous
            time.sleep(FRAME_S)
            os.write(self._master, body + bytes((sum(body) % 256,)))

    def _payloads(self, function):
        if function == 0x90:
            self.life = (self.life + 1) % 256
            return [_u16(self._decivolts()) + _u16(0) + _u16(30000 - self.deciamperes) + _u16(self.permille)]
        if function == 0x91:
            high, low = max(self.cells), min(self.cells)
            return [_u16(high) + bytes((self.cells.index(high) + 1,)) + _u16(low) + bytes((self.cells.index(low) + 1,))]
        if function == 0x92:
            raw = [degrees + 40 for degrees in self.sensors]
            return [bytes((max(raw), raw.index(max(raw)) + 1, min(raw), raw.index(min(raw)) + 1))]
        if function == 0x93:
            return [bytes((1 if self.deciamperes > 0 else 2, 1, 1, self.life)) + self._remaining().to_bytes(4, "big")]
        if function == 0x94:
            return [bytes((len(self.cells), len(self.sensors), 0, 0, 0)) + _u16(self.cycles)]
        if function == 0x95:
            groups = [self.cells[i : i + 3] for i in range(0, len(self.cells), 3)]
            return [bytes((number,)) + b"".join(map(_u16, group)) for number, group in enumerate(groups, 1)]
        if function == 0x96:
            return [b"\x01" + bytes(degrees + 40 for degrees in self.sensors).ljust(7, b"\0")]
        if function == 0x97:
            return [sum(1 << cell for cell in self.balancing).to_bytes(8, "little")]
        if function == 0x98:
            return [self.alarm_bytes + b"\0"]
        if function == 0x50:
            return [self.capacity_mah.to_bytes(4, "big") + (3200).to_bytes(4, "big")]
        if function == 0x53:
            return [bytes((0, 0, 21, 3, 9, 0, 60, 0))]
        texts = {0x57: (b"OTHER-BMS-0001", 5), 0x62: (b"99_210309_1234", 2), 0x63: (b"DL-OTHER-01", 2)}
        if function in texts:
            text, frames = texts[function]
            text = text.ljust(7 * frames, b"\0")
            return [bytes((number + 1,)) + text[7 * number : 7 * number + 7] for number in range(frames)]
        return []


def _u16(number):
    return number.to_bytes(2, "big")


def _text(raw, decimals):
    """raw / 10**decimals as text."""
    digits = str(abs(raw)).rjust(decimals + 1, "0")
    return "-" * (raw < 0) + digits[: len(digits) - decimals] + "." + digits[len(digits) - decimals :]
