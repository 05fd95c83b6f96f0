# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings as people and Home Assistant see them, one line each: a second part of the rows in battery/readings.py. The
same for the values of the bridge itself, which are made in app/bridge_state.py.

Only discovery and the documentation need it, so it is loaded with mqtt/homeassistant.py and removed again. As text it takes
5 KB of a board, as tuples 12.
"""

from collections import namedtuple

from battery.readings import DIAGNOSTIC, DISABLED

# name: for people, in sentence case; icon: Home Assistant's, for what has no device class there; device_class: where it does
# not follow from the unit; is_total: the value only grows, or starts again from 0
Entity = namedtuple("Entity", ("name", "unit", "icon", "device_class", "is_total"))

# By poll group, in the order of the rows: key|name|unit|icon|device class|total. The K of a difference of temperatures is none
# of °C, which Home Assistant would turn into °F.
TABLE = {
    "pack": """
pack_voltage|Voltage|V
current|Current|A
power|Power|W
energy_charged|Energy charged|kWh|||total
energy_discharged|Energy discharged|kWh|||total
capacity_charged|Capacity charged|Ah|battery-plus||total
capacity_discharged|Capacity discharged|Ah|battery-minus||total
soc|State of charge|%||battery
""",
    "status": """
mode|Mode||swap-vertical
charge_mosfet|Charge MOSFET||battery-arrow-up
discharge_mosfet|Discharge MOSFET||battery-arrow-down
heartbeat|Heartbeat||heart-pulse
remaining_capacity|Remaining capacity|Ah|battery-medium
remaining_time|Remaining time|h
time_to_full|Time to full|h
time_to_empty|Time to empty|h
precharge_mosfet|Precharge MOSFET||battery-sync-outline
heater|Heater||heating-coil
fan|Fan||fan
stored_energy|Stored energy|kWh||energy_storage
""",
    "alarms": """
problem|Problem|||problem
active_alarms|Active alarms||alert-outline
fault_code|Fault code||alert-circle-outline
battery_low|Battery low|||battery
""",
    "counts": """
cell_count|Cell count||counter
temperature_count|Temperature sensor count||counter
charger_connected|Charger connected||power-plug
load_connected|Load connected||power-socket
digital_input_{}|Digital input {}
digital_output_{}|Digital output {}
cycle_count|Cycle count||battery-sync||total
""",
    "extremes": """
max_cell_voltage|Highest cell voltage|V
max_voltage_cell|Highest cell||arrow-up-bold
min_cell_voltage|Lowest cell voltage|V
min_voltage_cell|Lowest cell||arrow-down-bold
cell_voltage_delta|Cell voltage delta|V
max_temperature|Highest temperature|°C
max_temperature_sensor|Highest temperature sensor||thermometer-chevron-up
min_temperature|Lowest temperature|°C
min_temperature_sensor|Lowest temperature sensor||thermometer-chevron-down
""",
    "cells": """
cell_{}_voltage|Cell {} voltage|V
balancing|Balancing||scale-balance
cell_{}_balancing|Cell {} balancing||scale-balance
""",
    "temperatures": """
temperature_{}|Temperature {}|°C
mosfet_temperature|MOSFET temperature|°C
board_temperature|Board temperature|°C
heater_temperature|Heater temperature|°C
balance_current|Balancing current|A
""",
    "static": """
rated_capacity|Rated capacity|Ah|battery
nominal_cell_voltage|Nominal cell voltage|V
production_date|Production date||calendar
chemistry|Chemistry||flask-outline
sleep_time|Sleep time|s
battery_code|Battery code||identifier
software_version|Software version||identifier
hardware_version|Hardware version||identifier
serial_number|Serial number||identifier
board_number|Board number||identifier
usable_capacity|Usable capacity|kWh||energy_storage
""",
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


def entity(row):
    """The Entity of a row, with None for what is empty."""
    text = TABLE[row.group]
    begin = text.find("\n" + row.key + "|") + 1
    columns = text[begin : text.find("\n", begin)].split("|")
    name, unit, icon, device_class, total = [column or None for column in columns[1:] + [""] * (6 - len(columns))]
    return Entity(name, unit, icon, device_class, total is not None)
