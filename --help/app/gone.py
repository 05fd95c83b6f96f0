# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Tells of batteries that are not read any more: Home Assistant would keep their last values. Loaded only if there is one."""


def a(a, b, retain):
    """Publish that the batteries with these numbers are offline, and why; `publish(topic, text, retain)`."""
    for c in a:
        d = "BMS_BOARD_NUMBERS" if c < 100 else f"UART_{c // 100}_BOARD_NUMBERS"
        e = f"write it into {d} in settings.toml again, or delete the device in Home Assistant"
        b(f"/bms{c}/status", "offline", retain)
        b(f"/bms{c}/connection", f"BMS {c} is not read any more; {e}", retain)
