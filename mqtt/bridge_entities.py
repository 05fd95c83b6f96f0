# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The values and buttons of the bridge itself as people and Home Assistant see them, and the end of the table in entities.py.

What each value of the bridge is: app/bridge_state.py. Two files of nearly one size: LoadedDiscovery in publisher.py says why.
"""

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

# what is read seldom; what the columns are says entities.py
SELDOM = {
    "slow": """
state_of_health|State of health|%|battery-heart-variant
actual_capacity|Actual capacity|Ah|battery
lifetime_charge|Lifetime charge|Ah|battery-plus||total
lifetime_discharge|Lifetime discharge|Ah|battery-minus||total
""",
    "limits": """
cell_overvoltage_limit_{}|Cell overvoltage limit {}|V
cell_undervoltage_limit_{}|Cell undervoltage limit {}|V
pack_overvoltage_limit_{}|Pack overvoltage limit {}|V
pack_undervoltage_limit_{}|Pack undervoltage limit {}|V
charge_overcurrent_limit_{}|Charge overcurrent limit {}|A
discharge_overcurrent_limit_{}|Discharge overcurrent limit {}|A
charge_overtemperature_limit_{}|Charge overtemperature limit {}|°C
charge_undertemperature_limit_{}|Charge undertemperature limit {}|°C
discharge_overtemperature_limit_{}|Discharge overtemperature limit {}|°C
discharge_undertemperature_limit_{}|Discharge undertemperature limit {}|°C
soc_high_limit_{}|State of charge high limit {}|%|battery-alert-variant-outline
soc_low_limit_{}|State of charge low limit {}|%|battery-alert-variant-outline
cell_voltage_delta_limit_{}|Cell voltage delta limit {}|V
temperature_delta_limit_{}|Temperature delta limit {}|K|thermometer-alert
balance_start_voltage|Balancing start voltage|V
balance_voltage_delta|Balancing voltage delta|V
""",
}
