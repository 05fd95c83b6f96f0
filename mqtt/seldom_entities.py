# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is read seldom, as people and Home Assistant see it: the rest of the table in entities.py."""

SELDOM = {
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
