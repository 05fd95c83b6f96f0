# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The readings as Prometheus collects them: its text format 0.0.4, its names and base units. Loaded while they are sent.

What is not known now has no line at all: a value that stays would be an old one.
"""

from daly.core import h, active
from daly.core import s, c

  # lines written in one step
# Name without "daly_", help, key of the reading, factor: value = raw * factor / 10**decimals, decimals, label of the cell or
# sensor. Base units: an Ah is 3600 C, a kWh 3600000 J. Names that end in _total are counters.



























# The same of the bridge itself: key of <base>/state, factor 1















def g(g, c, h, l, m, n, sources):
    """Write everything: a generator of short steps, whose values mean nothing.

    `batteries`: each a Battery, `snapshots`: the Snapshot of each; `pairs`: of <base>/state; `is_connected`: to the broker.
    """
    o = b'{bridge="' + b(c) + b'"'
    p = [o + b',battery="' + s.key.encode() + b'"' for s in h]
    e(g, "up", "Whether the BMS responds.")
    for q in range(len(h)):
        j(g, "up", p[q], int(l[q].ag))
    yield
    e(g, "battery_info", "The battery's name in Home Assistant.")
    for q in range(len(h)):
        j(g, "battery_info", p[q] + b',name="' + b(h[q].name) + b'"', 1)
        yield
    for r in (('soc_ratio', 'State of charge, 1 is full.', 'soc', 1, 3, None), ('pack_voltage_volts', 'Pack voltage.', 'pack_voltage', 1, 1, None), ('current_amperes', 'Current, positive while charging.', 'current', 1, 1, None), ('power_watts', 'Power, positive while charging.', 'power', 1, 2, None), ('energy_charged_joules_total', 'Energy that went into the battery.', 'energy_charged', 3600, 0, None), ('energy_discharged_joules_total', 'Energy that came out of the battery.', 'energy_discharged', 3600, 0, None), ('charge_in_coulombs_total', 'Charge that went into the battery.', 'capacity_charged', 36, 1, None), ('charge_out_coulombs_total', 'Charge that came out of the battery.', 'capacity_discharged', 36, 1, None), ('remaining_charge_coulombs', 'Charge that is left in the battery.', 'remaining_capacity', 36, 1, None), ('rated_charge_coulombs', 'Rated capacity.', 'rated_capacity', 36, 1, None), ('remaining_time_seconds', 'Time to full or to empty at the mean current.', 'remaining_time', 36, 0, None), ('charge_mosfet', 'Whether the charge MOSFET conducts.', 'charge_mosfet', 1, 0, None), ('discharge_mosfet', 'Whether the discharge MOSFET conducts.', 'discharge_mosfet', 1, 0, None), ('problem', 'Whether an alarm is active.', 'problem', 1, 0, None), ('cells', 'Number of cells in series.', 'cell_count', 1, 0, None), ('cycles_total', 'Charge cycles, counted by the BMS.', 'cycle_count', 1, 0, None), ('state_of_health_ratio', 'State of health, 1 is new.', 'state_of_health', 1, 3, None), ('cell_voltage_volts', 'Voltage of a cell.', 'cell_{}_voltage', 1, 3, b'cell'), ('max_cell_voltage_volts', 'Voltage of the highest cell.', 'max_cell_voltage', 1, 3, None), ('min_cell_voltage_volts', 'Voltage of the lowest cell.', 'min_cell_voltage', 1, 3, None), ('cell_voltage_delta_volts', 'Highest less lowest cell voltage, of one moment.', 'cell_voltage_delta', 1, 3, None), ('cell_balancing', 'Whether a cell is balancing.', 'cell_{}_balancing', 1, 0, b'cell'), ('temperature_celsius', 'Temperature of a sensor.', 'temperature_{}', 1, 0, b'sensor'), ('mosfet_temperature_celsius', 'Temperature of the MOSFETs.', 'mosfet_temperature', 1, 0, None), ('board_temperature_celsius', 'Temperature of the board of the BMS.', 'board_temperature', 1, 0, None)):
        yield from i(g, r, l, p)
    yield from f(g, l, p)
    yield from a(g, l, p)
    yield from k(g, sources, o)
    yield from d(g, m, n, o)


def i(g, a, b, d):
    f, h, i, j, k, l = a
    m = c[i]
    n = False
    o = 8
    for p in range(len(b)):
        q = b[p]
        for r in range(q.count(m) if q.k(m) else 0):
            s = q.at(m, r)
            if s is None:
                continue
            if not o:
                o = 8
                yield
            o -= 1
            if not n:
                n = True
                e(g, f, h)
            g.r(b"daly_").r(f).r(d[p])
            if l is not None:
                g.r(b",").r(l).r(b'="').f(r + 1, 0).r(b'"')
            g.r(b"} ").f(s * j, k).r(b"\n")
    yield


def f(g, a, b):
    d = c["mode"]
    f = False
    for h in range(len(a)):
        i = a[h].at(d)
        if i is None:
            continue
        if not f:
            f = True
            e(g, "mode", "1 for the mode in which the battery is, 0 for the others.")
        k = s["mode"]
        for l in range(len(k)):
            j(g, "mode", b[h] + b',mode="' + k[l].encode() + b'"', int(l == i))
        yield


def a(g, a, b):
    c = False
    for d in range(len(a)):
        yield
        f = 8
        for i, k in active(a[d]) or ():
            if not f:
                f = 8
                yield
            f -= 1
            if not c:
                c = True
                e(g, "alarm_active", "1 for each alarm that is active, at its gravest level.")
            l = f',alarm="{i}",level="{h[k]}"'.encode()
            j(g, "alarm_active", b[d] + l, 1)


def k(g, sources, a):
    c = False
    for d in sources:
        f = 8
        for h in d.k:
            if not f:
                f = 8
                yield
            f -= 1
            i = d.raw(h.key) if h.name is not None and h.e in (0, 1) else None
            if i is None:
                continue
            if not c:
                c = True
                e(g, "source_value", "A value of an output or a sensor of the bridge, in its unit.")
            k = b',source="' + b(d.key) + b'",key="' + b(h.key) + b'",unit="' + b(h.t)
            j(g, "source_value", a + k + b'"', i, h.d)
        yield


def d(g, a, c, d):
    f = dict(a)
    e(g, "bridge_info", "The version of the firmware.")
    j(g, "bridge_info", d + b',version="' + b(str(f.get("version"))) + b'"', 1)
    e(g, "bridge_mqtt_connected", "Whether the bridge is connected to the broker.")
    j(g, "bridge_mqtt_connected", d, int(c))
    for h, i, k, l in (('bridge_uptime_seconds', 'Time since the bridge started.', 'uptime', 0), ('bridge_wifi_signal_dbm', 'Signal of the Wi-Fi.', 'rssi', 0), ('bridge_boots_total', 'Boots since the firmware was installed.', 'boot_count', 0), ('bridge_mqtt_connects_total', 'Connections to the broker since the start.', 'mqtt_connects', 0), ('bridge_frames_total', 'Valid frames of the BMS since the start.', 'frames_ok', 0), ('bridge_checksum_errors_total', 'Frames with a wrong checksum.', 'checksum_errors', 0), ('bridge_timeouts_total', 'Requests without a response in time.', 'timeouts', 0), ('bridge_implausible_values_total', 'Values that were not accepted.', 'implausible_values', 0), ('bridge_poll_cycle_seconds', 'Time in which everything is read once.', 'poll_cycle', 3), ('bridge_oldest_reading_age_seconds', 'Age of the oldest reading.', 'oldest_reading_age', 3), ('bridge_free_memory_bytes', 'Free memory.', 'free_memory', 0)):
        yield
        m = f.get(k)
        if m is not None:
            e(g, h, i)
            j(g, h, d, m, l)


def e(g, name, a):
    b = b"counter\n" if name.endswith("_total") else b"gauge\n"
    g.r(b"# HELP daly_").r(name).r(b" ").r(a).r(b"\n# TYPE daly_").r(name).r(b" ").r(b)


def j(g, name, a, b, d=0):
    g.r(b"daly_").r(name).r(a).r(b"} ").f(b, d).r(b"\n")


def b(a):
    """The value of a label."""
    return a.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode()
