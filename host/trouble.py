# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Faults around the chip that the stand-ins simulate, and counters of what the firmware does; for `make chaos` and tests.

The environment variable DALY_HOST_TROUBLE names a file with lines of KEY=VALUE, which is read repeatedly; the counters are in a
file of the same name with the suffix `.seen`, as JSON. Without the variable, `begin` sets the faults of a firmware in the same
process.

wifi=off        the access point is gone; wifi=password: it has another password now
channel=N       the access point is on another channel now: the connection is lost, and joining scans for it
dhcp=gone       no address is assigned, and a connected chip loses its own
address=IP      the chip's address; when it changes, open connections are dead
dns=fail        no name is found; dns=silent: the name server does not respond
uart=hang       reading the UART never returns, as a driver that is stuck
nvm=slow        a write to the memory takes a third of a second, byte by byte: the power can be cut in its middle
mark=TEXT       no fault: another text restarts the measurement of the longest interval between two feedings
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from host import chip

VARIABLE = "DALY_HOST_TROUBLE"
LOOK_S = 0.02
NOTE_S = 0.25

_path = os.environ.get(VARIABLE)
_look_at = _note_at = 0.0
_kept: dict[str, str] = {}
_fed_at: float | None = None
_starved = 0.0  # seconds this process has waited for a processor in total
_excused = 0.0  # seconds since the watchdog was fed that were not the firmware's
channel = ""  # on which the chip has joined; "" is the one the access point begins with
seen: dict = {"mark": "", "feeds": 0, "longest_gap": 0.0, "longest_own": 0.0, "screen_writes": 0, "nvm_writes": 0, "sockets": 0}


def of(key: str) -> str:
    """The present value of a key; "": no fault."""
    global _kept, _look_at
    if _path is not None and (now := chip.clock.monotonic()) >= _look_at:
        _look_at = now + LOOK_S
        _kept = dict(line.split("=", 1) for line in _read().split() if "=" in line)
    return _kept.get(key, "")


def is_networked() -> bool:
    """Whether packets are delivered: access point, address and channel are right."""
    return not of("wifi") and not of("dhcp") and of("channel") == channel


def begin(**troubles: str) -> None:
    """Set faults by key, for a firmware in the same process; "" ends one."""
    _kept.update(troubles)


def power_on() -> None:
    """The chip has been without power: its watchdog was not fed yet, and it joins on any channel."""
    global _fed_at, channel
    _fed_at, channel = None, of("channel")


def count(key: str, by: int = 1) -> None:
    """Increase a counter of `seen`."""
    seen[key] += by


def excuse(seconds: float) -> None:
    """Exclude seconds in which the firmware waited for the PC from `longest_own`."""
    global _excused
    _excused += max(0.0, seconds)


def fed() -> None:
    """The watchdog was fed: the loop has made a pass. `longest_own` excludes the time the PC spent on other programs."""
    global _fed_at, _excused, _starved
    now = chip.clock.monotonic()
    seen["feeds"] += 1
    if _path is not None and seen["mark"] != of("mark"):
        seen.update(mark=of("mark"), longest_gap=0.0, longest_own=0.0)
    if _fed_at is not None:
        seen["longest_gap"] = max(seen["longest_gap"], now - _fed_at)
        if _path is not None:
            starved = _waited_for_processor()
            seen["longest_own"] = max(seen["longest_own"], now - _fed_at - (starved - _starved) - _excused)
            _starved, _excused = starved, 0.0
    _fed_at = now
    if _path is not None and now >= _note_at:
        _write(now)


def _write(now: float) -> None:
    global _note_at
    _note_at = now + NOTE_S
    part = Path(_path + ".part")
    part.write_text(json.dumps(seen))
    part.rename(_path + ".seen")


def _waited_for_processor() -> float:
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _read() -> str:
    try:
        return Path(_path).read_text()
    except OSError:
        return ""
