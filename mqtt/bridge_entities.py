# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The values and buttons of the bridge itself as people and Home Assistant see them. Values are made in app/bridge_state.py."""

from collections import namedtuple

from battery.controls import Control
from battery.readings import DIAGNOSTIC, DISABLED

from .commands import DIAGNOSTICS_TOPIC, PRESS, SCAN_TOPIC

# key in <base>/state; name in Home Assistant, None: no entity; category; unit, "" of a count, None of a text; icon or device
# class. New rows with a name go to the end: an entity must not change its message
BridgeEntity = namedtuple("BridgeEntity", ("key", "name", "category", "unit", "icon"))
BRIDGE = (
    BridgeEntity("version", None, None, None, None),
    BridgeEntity("uptime", "Uptime", DISABLED, "s", "duration"),
    BridgeEntity("rssi", "Wi-Fi signal", DIAGNOSTIC, "dBm", "signal_strength"),
    BridgeEntity("restart_reason", "Restart reason", DIAGNOSTIC, None, "mdi:restart-alert"),
    BridgeEntity("boot_count", "Boot count", DISABLED, "", "mdi:restart"),
    BridgeEntity("safe_modes", None, None, None, None),
    BridgeEntity("last_failure", "Last failure", DIAGNOSTIC, None, "mdi:bug-outline"),
    BridgeEntity("loop_time_max", "Longest loop time", DISABLED, "ms", "duration"),
    BridgeEntity("ip_address", "IP address", DISABLED, None, "mdi:ip-network"),
    BridgeEntity("free_memory", "Free memory", DISABLED, "B", "data_size"),
    BridgeEntity("mqtt_connects", "MQTT connects", DISABLED, "", "mdi:lan-connect"),
    BridgeEntity("settings_problems", "Settings problems", DIAGNOSTIC, None, "mdi:file-alert-outline"),
    BridgeEntity("frames_ok", "Valid frames", DISABLED, "", "mdi:check-network-outline"),
    BridgeEntity("checksum_errors", "Checksum errors", DISABLED, "", "mdi:close-network-outline"),
    BridgeEntity("timeouts", "Timeouts", DISABLED, "", "mdi:timer-off-outline"),
    BridgeEntity("echoes", "Echoes", DISABLED, "", "mdi:surround-sound"),
    BridgeEntity("implausible_values", "Implausible values", DISABLED, "", "mdi:filter-remove-outline"),
    BridgeEntity("poll_cycle", "Poll cycle", DISABLED, "ms", "duration"),
    BridgeEntity("oldest_reading_age", "Oldest reading age", DISABLED, "ms", "duration"),
    BridgeEntity("current_sign", "Current sign", DISABLED, None, "mdi:plus-minus-variant"),
    BridgeEntity("request_gap", None, None, None, None),
    BridgeEntity("host_address", None, None, None, None),
    BridgeEntity("protocol", "BMS protocol", DIAGNOSTIC, None, "mdi:swap-horizontal"),
    BridgeEntity("discovery_errors", None, None, None, None),
    BridgeEntity("broker", None, None, None, None),
)

# always available, since they change nothing; a scan asks for every board number on every line, between the ordinary requests
DIAGNOSTICS_BUTTON = Control("diagnostics", "", "button", "Publish diagnostics", DIAGNOSTICS_TOPIC, PRESS, None,
                             "mdi:lifebuoy", ',"ent_cat":"diagnostic","en":false')  # fmt: skip
SCAN_BUTTON = Control("scan", "Scan", "button", "Scan board numbers", SCAN_TOPIC, PRESS, None,
                      "mdi:magnify-scan", ',"ent_cat":"diagnostic","en":false')  # fmt: skip
