# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Tells of batteries that are not read any more: Home Assistant would keep their last values. Loaded only if there is one."""


def report_gone(numbers, publish, retain):
    """Publish that the batteries with these numbers are offline, and why; `publish(topic, text, retain, qos=1)`."""
    for number in numbers:
        key = "BMS_BOARD_NUMBERS" if number < 100 else f"UART_{number // 100}_BOARD_NUMBERS"
        where = f"write it into {key} in settings.toml again, or delete the device in Home Assistant"
        if not retain:  # while it was read, all of this may have been: an old number would look current
            for end in ("status", "state", "connection", "info"):
                publish(f"/bms{number}/{end}", "", True, 0)
        publish(f"/bms{number}/status", "offline", retain)
        publish(f"/bms{number}/connection", f"BMS {number} is not read any more; {where}", retain)
