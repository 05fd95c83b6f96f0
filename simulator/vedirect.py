# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A simulated Victron device on a pseudo-terminal: `python -m simulator.vedirect shunt,SOC=873` prints the path of its port.

It sends its blocks each second at 19200 baud. Options are joined by commas: "shunt" or "solar", then labels as on the line,
with their values (mV, mA, mAh, W, minutes, per mille; "---": unknown; empty: not sent), and `damage=0.1` (share of blocks with
a wrong bit), `hex=1` (a HEX frame in each block), `silent=1`. A line on standard input changes options; at its end this ends.
"""

from __future__ import annotations

import random
import re
import sys

from simulator.line import Line, now_us, run

BYTE_US = 10e6 / 19200
PERIOD_US = 1e6
_LABEL = re.compile(r"[A-Za-z0-9_#]{1,8}")
_VALUE = re.compile(r"[ -9;-~]{0,32}")  # without a colon, which begins a HEX frame

# Label -> value of each block, in the order of the recordings in tests/recordings
KINDS = {
    "shunt": (
        {
            "PID": "0xA389",
            "V": "26542",
            "VS": "13187",
            "I": "-5120",
            "P": "-136",
            "CE": "-25400",
            "SOC": "873",
            "TTG": "2044",
            "Alarm": "OFF",
            "AR": "0",
            "BMV": "SmartShunt 500A/50mV",
            "FW": "0413",
            "MON": "0",
        },
        {
            "H1": "-102000",
            "H2": "-25400",
            "H3": "-61000",
            "H4": "17",
            "H5": "0",
            "H6": "-1843000",
            "H7": "21800",
            "H8": "29200",
            "H9": "86400",
            "H10": "31",
            "H11": "0",
            "H12": "0",
            "H15": "11900",
            "H16": "14500",
            "H17": "4810",
            "H18": "5230",
        },
    ),
    "solar": (
        {
            "PID": "0xA060",
            "FW": "163",
            "SER#": "HQ0000SIMUL",
            "V": "26540",
            "I": "7400",
            "VPV": "61230",
            "PPV": "203",
            "CS": "3",
            "MPPT": "2",
            "OR": "0x00000000",
            "ERR": "0",
            "LOAD": "ON",
            "IL": "300",
            "H19": "48210",
            "H20": "87",
            "H21": "412",
            "H22": "143",
            "H23": "520",
            "HSDS": "77",
        },
    ),
}
_FAULTS = {"damage": "0", "hex": "0", "silent": "0"}
_FRAME = b":A0102000543\n"


def block(fields: dict[str, str]) -> bytes:
    """The bytes of a block, with its sum."""
    data = "".join(f"\r\n{label}\t{value}" for label, value in fields.items() if value).encode("ascii") + b"\r\nChecksum\t"
    return data + bytes([-sum(data) % 256])


class Device:
    """One device, which `transmit` and `next_us` run in time (us). Raises ValueError with a sentence for wrong options."""

    def __init__(self, options: str, now: float = 0.0):
        kind, *items = [item.strip() for item in options.split(",")]
        if kind not in KINDS:
            raise ValueError(f"'{kind}' is no VE.Direct device; write {' or '.join(KINDS)}, then for example ,SOC=873")
        self._blocks = [dict(fields) for fields in KINDS[kind]]
        self._faults = dict(_FAULTS)
        self._random = random.Random(1)
        self._due = now
        self._sent_until = now
        self._waiting: list[tuple[float, int]] = []  # (time at which the byte has arrived, byte)
        for item in filter(None, items):
            name, _, value = item.partition("=")
            self.set(name.strip(), value.strip())

    def set(self, name: str, value: str, _now: float = 0.0) -> None:
        """Change an option; a label that no block has is sent with the first one."""
        if name in self._faults:
            self._faults[name] = value
            self._share("damage")
            return
        label = next((known for fields in self._blocks for known in fields if known.lower() == name.lower()), name)
        if not _LABEL.fullmatch(label) or not _VALUE.fullmatch(value):
            raise ValueError(f"{name}={value} is no line of VE.Direct; write LABEL=VALUE, for example V=26540")
        fields = next((fields for fields in self._blocks if label in fields), self._blocks[0])
        fields[label] = value

    def _share(self, name: str) -> float:
        try:
            return float(self._faults[name])
        except ValueError:
            raise ValueError(f"{name}={self._faults[name]} is no number; write for example {name}=0.1") from None

    def receive(self, data: bytes, now: float) -> None:
        """Nothing that is sent to it matters: it only talks."""

    def transmit(self, now: float) -> bytes:
        """The bytes that have arrived by now."""
        while now >= self._due:
            self._send(self._due)
            self._due += PERIOD_US
            if self._due < now - 10 * PERIOD_US:
                self._due = now  # the process was stopped
        count = sum(arrived <= now for arrived, _ in self._waiting)
        data = bytes(byte for _, byte in self._waiting[:count])
        del self._waiting[:count]
        return data

    def next_us(self) -> float:
        """When the next bytes arrive."""
        return self._waiting[min(15, len(self._waiting) - 1)][0] if self._waiting else self._due

    def _send(self, now: float) -> None:
        if self._share("silent"):
            return
        at = max(now, self._sent_until)
        for fields in self._blocks:
            data = bytearray(block(fields))
            if self._random.random() < self._share("damage"):
                data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
            if self._share("hex"):
                place = self._random.randrange(len(data) - 1)  # not before the sum: a device sends that at once
                data[place:place] = _FRAME
            for byte in data:
                at += BYTE_US
                self._waiting.append((at, byte))
        self._sent_until = at


class Port(Line):
    """The pseudo-terminal with a Device at its far end."""

    def _set_options(self, line: str) -> None:
        try:
            for item in filter(None, line.split(",")):
                name, _, value = item.partition("=")
                self._bms.set(name.strip(), value.strip())
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)


def main() -> None:
    try:
        port = Port(Device(sys.argv[1] if len(sys.argv) > 1 else "shunt", now_us()))
    except ValueError as error:
        print(f"simulator.vedirect: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    run(port)


if __name__ == "__main__":
    main()
