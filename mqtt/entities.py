# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings as people and Home Assistant see them, one line each: a second part of the rows in battery/readings.py.

Only discovery and the documentation need it, so it is loaded with mqtt/homeassistant.py and removed again. As text it takes
5 KB of a board, as tuples 12.
"""

from collections import namedtuple

from .bridge_entities import SELDOM

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
}
TABLE.update(SELDOM)


def entity(row):
    """The Entity of a row, with None for what is empty."""
    text = TABLE[row.group]
    begin = text.find("\n" + row.key + "|") + 1
    columns = text[begin : text.find("\n", begin)].split("|")
    name, unit, icon, device_class, total = [column or None for column in columns[1:] + [""] * (6 - len(columns))]
    return Entity(name, unit, icon, device_class, total is not None)
