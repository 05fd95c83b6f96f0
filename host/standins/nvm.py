# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's nvm: 8192 bytes that outlive power, in a file.

Fresh memory reads as zeros, as CircuitPython's ports/espressif gives an NVS blob that was never written.
"""

import os as _os

from host import chip as _chip
from host import trouble as _trouble

_SIZE = 8192


class ByteArray:
    def __len__(self) -> int:
        return _SIZE

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index):
        return bytearray(self._read())[index]

    def __setitem__(self, index, value) -> None:
        start, data = _slice(index, value)
        self._read()  # a fresh file is filled first
        with open(_chip.nvm_path, "r+b", buffering=0) as file:
            file.seek(start)
            _trouble.count("nvm_writes")
            if _trouble.of("nvm") == "slow":
                for byte in data:
                    file.write(bytes((byte,)))
                    _chip.clock.sleep(0.3 / len(data))
            else:
                file.write(data)  # one system call: a killed process leaves the old bytes or the new ones

    def _read(self) -> bytes:
        if not _os.path.exists(_chip.nvm_path) or not _os.path.getsize(_chip.nvm_path):
            with open(_chip.nvm_path, "wb") as file:
                file.write(bytes(_SIZE))
        with open(_chip.nvm_path, "rb") as file:
            return file.read()


def _slice(index, value) -> tuple:
    """Where to write and what; the board refuses a slice whose length would change."""
    if not isinstance(index, slice):
        return range(_SIZE)[index], bytes((value,))
    start, stop, step = index.indices(_SIZE)
    if step != 1:
        raise NotImplementedError("only slices with step=1 (aka None) are supported")
    if stop - start != len(value):
        raise ValueError("Slice and value different lengths.")
    return start, bytes(value)
