# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Stand-in for CircuitPython's usb_cdc: what is waiting for the terminal that `python -m host` runs in."""

from host import chip as _chip


class Serial:
    connected = True

    @property
    def out_waiting(self) -> int:
        return _chip.console_waiting()


console = Serial()
