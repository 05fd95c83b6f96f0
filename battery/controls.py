# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Everything a person can control, each once: settings, discovery, subscriptions and the writes to the BMS read this table.

The results of commands are codes, with their words here."""

from collections import namedtuple

# key: in ALLOW_CONTROL; subject: in the result of a command; platform, name, icon (or device class), extras (JSON): in Home
# Assistant; topic: below the base topic, of the bridge, or of a battery, whose key stands in place of {}; payloads: those
# accepted, or a str that describes them; reading: key of the reading that shows and confirms the value, None: there is none
Control = namedtuple("Control", ("key", "subject", "platform", "name", "topic", "payloads", "reading", "icon", "extras"))

CONTROLS = (
    Control("charge_mosfet", "Charge MOSFET", "switch", "Charge MOSFET", "/{}/charge_mosfet/set", ("ON", "OFF"),
            "charge_mosfet", "mdi:battery-arrow-up", ""),
    Control("discharge_mosfet", "Discharge MOSFET", "switch", "Discharge MOSFET", "/{}/discharge_mosfet/set", ("ON", "OFF"),
            "discharge_mosfet", "mdi:battery-arrow-down", ""),
    Control("soc", "State of charge", "number", "Set state of charge", "/{}/soc/set",
            "a number from 0 to 100 with at most one decimal", "soc", "mdi:battery-sync",
            ',"ent_cat":"config","min":0,"max":100,"step":0.1,"mode":"box","unit_of_meas":"%"'),
    Control("restart_bms", "Restart of the BMS", "button", "Restart", "/{}/restart/set", ("PRESS",), None, "restart",
            ',"ent_cat":"config"'),
    Control("energy", "Energy counters", "button", "Reset energy counters", "/{}/energy/set",
            "reset, or a counter and its total as energy_charged=1234.567,", None, "mdi:counter",
            ',"ent_cat":"config","pl_prs":"reset"'),
    Control("restart_bridge", "Restart of the bridge", "button", "Restart", "/restart/set", ("PRESS",), None, "restart",
            ',"ent_cat":"config"'),
)  # fmt: skip
CONTROL = {row.key: row for row in CONTROLS}
# a pin of this board, whatever its rule says; {} is its number, and the entity is the mode of the output (outputs/output.py)
OUTPUT_CONTROL = Control("outputs", "Output {}", "select", "Mode of each output", "/outputs/{}/set", ("auto", "on", "off"),
                         None, "", "")  # fmt: skip
ALLOWABLE = tuple([row.key for row in CONTROLS]) + (OUTPUT_CONTROL.key,)  # what ALLOW_CONTROL may name
WRITTEN = ("charge_mosfet", "discharge_mosfet", "soc", "restart_bms")  # those that the BMS is written with, by its protocol

# The results of commands: code -> words for <base>/<battery>/command_result, the console and Home Assistant
RESULTS = {
    "done": "done",
    "not_confirmed": "not confirmed by the BMS; its state is what it reports",
    "not_sent": "not sent, the BMS is silent",
    # why it is refused
    "busy": "the last command is not confirmed yet",
    "too_soon": "wait 2 seconds between two commands",
    "offline": "the BMS does not answer",
    "not_in_protocol": "the protocol of this BMS has no such command",
    "out_of_range": "the state of charge must be 0 to 100 %",
    "no_time": "the time is not known (NTP), and the BMS's clock is set with it",
    "counters_unknown": "the counters are not known yet",
    "not_stored": "the board's memory cannot be written now; try again in half an hour",
    "requested_before": "it was requested a moment ago",
    "no_uart": "there is no UART, see the mistakes in the settings",
}


def refusal_text(code, payloads="", word=""):
    """Why a command is refused, in words; None for None. Besides RESULTS there is "not_understood", which needs `payloads`."""
    return f'{payloads} is understood, not "{word}"' if code == "not_understood" else code and RESULTS[code]
