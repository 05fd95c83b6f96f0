# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings as people and Home Assistant see them, one line each: a second part of the rows in battery/readings.py. The
same for the values of the bridge itself, which are made in app/bridge_state.py.

Only discovery and the documentation need it, so it is loaded with mqtt/homeassistant.py and removed again. As text it takes
5 KB of a board, as tuples 12.
"""

from collections import namedtuple



# name: for people, in sentence case; icon: Home Assistant's, for what has no device class there; device_class: where it does
# not follow from the unit; is_total: the value only grows, or starts again from 0
c = namedtuple("c", ("name", "t", "i", "a", "b"))

# By poll group, in the order of the rows: key|name|unit|icon|device class|total. The K of a difference of temperatures is none
# of °C, which Home Assistant would turn into °F.
d = {
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
""",
    "alarms": """
problem|Problem|||problem
active_alarms|Active alarms||alert-outline
fault_code|Fault code||alert-circle-outline
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
b = namedtuple("b", ("key", "name", "c", "t", "i"))
e = (
    b("version", None, None, None, None),
    b("uptime", "Uptime", 2, "s", "duration"),
    b("rssi", "Wi-Fi signal", 1, "dBm", "signal_strength"),
    b("restart_reason", "Restart reason", 1, None, "mdi:restart-alert"),
    b("boot_count", "Boot count", 2, "", "mdi:restart"),
    b("safe_modes", None, None, None, None),
    b("last_failure", "Last failure", 1, None, "mdi:bug-outline"),
    b("loop_time_max", "Longest loop time", 2, "ms", "duration"),
    b("ip_address", "IP address", 2, None, "mdi:ip-network"),
    b("free_memory", "Free memory", 2, "B", "data_size"),
    b("mqtt_connects", "MQTT connects", 2, "", "mdi:lan-connect"),
    b("settings_problems", "Settings problems", 1, None, "mdi:file-alert-outline"),
    b("frames_ok", "Valid frames", 2, "", "mdi:check-network-outline"),
    b("checksum_errors", "Checksum errors", 2, "", "mdi:close-network-outline"),
    b("timeouts", "Timeouts", 2, "", "mdi:timer-off-outline"),
    b("echoes", "Echoes", 2, "", "mdi:surround-sound"),
    b("implausible_values", "Implausible values", 2, "", "mdi:filter-remove-outline"),
    b("poll_cycle", "Poll cycle", 2, "ms", "duration"),
    b("oldest_reading_age", "Oldest reading age", 2, "ms", "duration"),
    b("current_sign", "Current sign", 2, None, "mdi:plus-minus-variant"),
    b("request_gap", None, None, None, None),
    b("host_address", None, None, None, None),
    b("protocol", "BMS protocol", 1, None, "mdi:swap-horizontal"),
    b("discovery_errors", None, None, None, None),
)


def a(a):
    """The Entity of a row, with None for what is empty."""
    b = d[a.b]
    e = b.find("\n" + a.key + "|") + 1
    f = b[e : b.find("\n", e)].split("|")
    g, h, i, j, k = [l or None for l in f[1:] + [""] * (6 - len(f))]
    return c(g, h, i, j, k is not None)
