# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What goes wrong around the chip, and what was seen of it: the stand-ins look here. For `make chaos` and tests.

The environment's DALY_HOST_TROUBLE names a file with lines of KEY=VALUE, looked at again and again; what the firmware does in
the meantime is counted, as JSON, in the same name with `.seen` behind it. Without the variable `begin` says what goes wrong, to
a firmware in the same process.

wifi=off        the access point is gone; wifi=password: it has another password now
channel=N       the access point is on another channel now: who was connected is not any more, and must search
dhcp=gone       joining brings no address, and takes it away from who is connected
address=IP      the chip's address; when it changes, connections from before are dead
dns=fail        no name is found; dns=silent: the name server does not answer
uart=hang       reading the UART never returns, as a driver that is stuck
nvm=slow        a write to the memory takes a third of a second, byte by byte: time to cut the power in its middle
mark=TEXT       no trouble: the longest gap between two feedings is measured anew from here on
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
_starved = 0.0  # seconds this process has waited for a processor, all in all
_excused = 0.0  # seconds since the watchdog was fed that were not the firmware's
channel = ""  # on which the chip has joined; "" is the one the access point begins with
seen: dict = {"mark": "", "feeds": 0, "longest_gap": 0.0, "longest_own": 0.0, "screen_writes": 0, "nvm_writes": 0, "sockets": 0}


def of(key: str) -> str:
    """The trouble of that kind at the moment; "" for none."""
    global _kept, _look_at
    if _path is not None and (now := chip.clock.monotonic()) >= _look_at:
        _look_at = now + LOOK_S
        _kept = dict(line.split("=", 1) for line in _read().split() if "=" in line)
    return _kept.get(key, "")


def is_networked() -> bool:
    """Whether packets come through: access point, address and channel are right."""
    return not of("wifi") and not of("dhcp") and of("channel") == channel


def begin(**troubles: str) -> None:
    """What goes wrong from now on, by kind; "" ends it. For a firmware in this very process."""
    _kept.update(troubles)


def power_on() -> None:
    """The chip has been without power: nothing has fed its watchdog yet, and it joins whichever channel there is."""
    global _fed_at, channel
    _fed_at, channel = None, of("channel")


def count(key: str, by: int = 1) -> None:
    """Something was done once more."""
    seen[key] += by


def excuse(seconds: float) -> None:
    """So long the firmware waited for the PC and for nothing that a board has."""
    global _excused
    _excused += max(0.0, seconds)


def fed() -> None:
    """The watchdog was fed: the loop has made a pass. `longest_own` leaves out what the PC took for itself and others."""
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
