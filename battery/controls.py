"""Everything a person can control, each once: settings, discovery, subscriptions and the writes to the BMS read this table."""

from collections import namedtuple

# key: in ALLOW_CONTROL; subject: in the result of a command; platform, name, entity_id, icon (or device class), extras (JSON):
# in Home Assistant; topic: below the base topic; payloads: those accepted, or a str that describes them;
# reading: key of the reading that shows and confirms the value, None: there is none
Control = namedtuple(
    "Control", ("key", "subject", "platform", "name", "entity_id", "topic", "payloads", "reading", "icon", "extras")
)
SWITCH_PAYLOADS = ("ON", "OFF")
BUTTON_PAYLOADS = ("PRESS",)
_CONFIG = ',"ent_cat":"config"'

CONTROLS = (
    Control("charge_mosfet", "Charge MOSFET", "switch", "Charge MOSFET", "charge_mosfet", "/bms1/charge_mosfet/set",
            SWITCH_PAYLOADS, "charge_mosfet", "mdi:battery-arrow-up", ""),
    Control("discharge_mosfet", "Discharge MOSFET", "switch", "Discharge MOSFET", "discharge_mosfet",
            "/bms1/discharge_mosfet/set", SWITCH_PAYLOADS, "discharge_mosfet", "mdi:battery-arrow-down", ""),
    Control("soc", "State of charge", "number", "Set state of charge", "soc", "/bms1/soc/set",
            "a number from 0 to 100 with at most one decimal", "soc", "mdi:battery-sync",
            _CONFIG + ',"min":0,"max":100,"step":0.1,"mode":"box","unit_of_meas":"%"'),
    Control("restart_bms", "Restart of the BMS", "button", "Restart", "restart", "/bms1/restart/set",
            BUTTON_PAYLOADS, None, "restart", _CONFIG),
    Control("energy", "Energy counters", "button", "Reset energy counters", "reset_energy_counters", "/bms1/energy/set",
            "reset, or a counter and its total as energy_charged=1234.567,", None, "mdi:counter",
            _CONFIG + ',"pl_prs":"reset"'),
    Control("restart_bridge", "Restart of the bridge", "button", "Restart", "restart", "/restart/set",
            BUTTON_PAYLOADS, None, "restart", _CONFIG),
)  # fmt: skip
CONTROL = {row.key: row for row in CONTROLS}

# always there, since it changes nothing
DIAGNOSTICS_BUTTON = Control("support", "", "button", "Support bundle", "support_bundle", "/support/set", BUTTON_PAYLOADS, None,
                             "mdi:lifebuoy", ',"ent_cat":"diagnostic","en":false')  # fmt: skip


def is_of_battery(row):
    """Whether a control belongs to a battery; the others belong to the bridge."""
    return row.topic.startswith("/bms")
