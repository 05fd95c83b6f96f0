# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A bridge of a few lines for the page: the page itself, and answers that a test changes. docs/screens.py uses it, too."""

import base64
import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "web" / "page.html"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
# mV of 16 cells of a pack that is well balanced
CELLS = (3296, 3298, 3295, 3297, 3299, 3296, 3314, 3297, 3295, 3298, 3296, 3286, 3297, 3296, 3298, 3297)
ASLEEP = "BMS asleep, or cut off, for 12 min: our requests come back; wake it with load, charger or button, or check its plug"


def battery(name="Daly BMS", soc=57.3, current=-12.4, voltage=52.7, cells=CELLS, alarms="none", **more):
    """A battery as in /api/state; `more`: keys of its state that differ."""
    high, low = max(cells), min(cells)
    state = {"pack_voltage": voltage, "current": current, "power": round(voltage * current, 2)}
    state |= {
        "energy_charged": 1234.567,
        "energy_discharged": 1189.012,
        "capacity_charged": 24000,
        "capacity_discharged": 23000,
    }
    state |= {"soc": soc, "mode": "charging" if current > 0 else "discharging" if current else "idle"}
    state |= {"charge_mosfet": "ON", "discharge_mosfet": "ON", "heartbeat": 17, "remaining_capacity": round(soc * 2.8, 3)}
    state |= {
        "remaining_time": 13.0,
        "time_to_full": 13.0 if current > 0 else None,
        "time_to_empty": 13.0 if current < 0 else None,
    }
    state |= {"problem": "OFF" if alarms == "none" else "ON", "active_alarms": alarms, "fault_code": 0}
    state |= {"cell_count": len(cells), "temperature_count": 2, "cycle_count": 143}
    state |= {"max_cell_voltage": high / 1000, "max_voltage_cell": cells.index(high) + 1}
    state |= {
        "min_cell_voltage": low / 1000,
        "min_voltage_cell": cells.index(low) + 1,
        "cell_voltage_delta": (high - low) / 1000,
    }
    state |= {"max_temperature": 22, "min_temperature": 21}
    state |= {f"cell_{number}_voltage": cell / 1000 for number, cell in enumerate(cells, 1)}
    state |= {"temperature_1": 21, "temperature_2": 22, "mosfet_temperature": 24, "balancing": "OFF"}
    state |= {f"cell_{number}_balancing": "OFF" for number in range(1, len(cells) + 1)}
    state |= {"rated_capacity": 280, "chemistry": "LFP", "state_of_health": 99.5}
    return {"name": name, "status": "online", "connection": "OK", "state": state | more}


def asleep(name="Daly BMS", sentence=ASLEEP):
    """A battery that does not answer: all its readings are null."""
    made = battery(name)
    return made | {"status": "offline", "connection": sentence, "state": dict.fromkeys(made["state"])}


def four():
    """(batteries, bank): four of them, in parallel."""
    batteries = {
        "bms1": battery(soc=57.3, current=-12.4, cells=tuple(min(cell, 3301) for cell in CELLS)),
        "bms2": battery("Daly BMS 2", soc=61.2, current=-11.8, cells=tuple(max(cell, 3295) for cell in CELLS[7:] + CELLS[:6])),
        "bms3": battery("Garage", soc=58.4, current=-14.1, cells=tuple(max(cell, 3291) for cell in CELLS)),
        "bms4": battery("Daly BMS 4", soc=55.9, current=-13.3, cells=tuple(min(cell, 3306) for cell in CELLS[1:])),
    }
    states = [each["state"] for each in batteries.values()]
    bank = {
        key: round(sum(state[key] for state in states), 3)
        for key in ("current", "power", "energy_charged", "energy_discharged")
    }
    bank |= {"capacity_charged": 96000, "capacity_discharged": 92000, "remaining_capacity": 651.84, "rated_capacity": 1120}
    bank |= {"soc": 58.2, "pack_voltage": 52.7, "max_cell_voltage": 3.314, "max_voltage_cell": 7, "max_cell_battery": "Garage"}
    bank |= {"min_cell_voltage": 3.286, "min_voltage_cell": 12, "min_cell_battery": "Daly BMS", "cell_voltage_delta": 0.028}
    bank |= {"max_temperature": 22, "max_temperature_battery": "Daly BMS 2", "problem": "OFF"}
    return batteries, bank | {"batteries_online": "4 of 4", "battery_count": 4, "missing": "none"}


def bridge(**more):
    """The answer to /api/bridge."""
    values = {"version": "1.0.0", "uptime": 273840, "rssi": -58, "restart_reason": "power_on", "boot_count": 7, "safe_modes": 0}
    values |= {"last_failure": "none", "loop_time_max": 18, "ip_address": "192.168.1.77", "free_memory": 1904512}
    values |= {"mqtt_connects": 1, "settings_problems": "none", "frames_ok": 2811234, "checksum_errors": 3, "timeouts": 12}
    values |= {"poll_cycle": 486, "oldest_reading_age": 212, "current_sign": "normal", "protocol": "A5"}
    return values | {"name": "Daly BMS bridge", "identity": "c0ffee", "mqtt": "connected", "history_minutes": 1440} | more


def history(minutes=1440, every=5, soc=57.3, current=-12.4, voltage=52.7, batteries=1, ago_s=20):
    """A day that ends at 20:00 with these values: charged in the sun, an hour of the night is not known."""
    known, currents, changes = [], [], []
    for minute in range(minutes - every, -1, -every):
        hour = (20 - minute / 60) % 24
        amperes = 27 * (1 - ((hour - 12.5) / 4.5) ** 2) if 8 < hour < 17 else -4.2 - 8.2 * (hour > 17.5)
        amperes = current / batteries if minute < 30 else amperes + 0.9 * ((minute * 7919) % 13 / 13 - 0.5)
        known.append(not 3 <= hour < 4)
        currents.append(round(amperes * batteries, 1))
        changes.append(amperes * every / 60 / 2.8)
    socs = []
    for change in reversed(changes):  # backwards from what it is now
        socs.insert(0, round(min(100, max(0, soc)), 1))
        soc -= change

    def gaps(values):
        return [value if is_known else None for value, is_known in zip(values, known, strict=True)]

    answer = {"api": 1, "minute_s": 60, "every": every, "ago_s": ago_s, "soc": gaps(socs), "current": gaps(currents)}
    return answer | {"voltage": gaps([voltage] * len(socs))}


class FakeBridge:
    """Serves on a free port of this machine until `stop`; `paths` are the requests so far.

    `state`, `bridge` and `history` are what it says, with `status` of HTTP; `password` is asked for. Each answer of the API
    comes after `delay_s` and takes `trickle_s`. While `frozen` is set nothing is answered, as by a chip that hangs.
    """

    def __init__(self, batteries=None, bank=None, sources=None):
        self.state = {"api": 1, "batteries": batteries or {"bms1": battery()}, "bank": bank, "sources": sources or {}}
        self.bridge = bridge()
        self.history = history()
        self.password = None
        self.delay_s = 0
        self.trickle_s = 0
        self.status = None
        self.frozen = threading.Event()
        self.paths = []
        self.port = 0
        self.start()

    def start(self):
        """Listen, on the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self):
        """The power is cut: nothing listens any more."""
        self.frozen.clear()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def answer(self, path):
        """What is said on a path; None: there is nothing."""
        name = path.partition("?")[0]
        return {"/api/state": self.state, "/api/bridge": self.bridge, "/api/history": self.history}.get(name)


def _handler(fake):
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            fake.paths.append(self.path)
            with contextlib.suppress(OSError):  # the page did not wait
                self._answer()

        def _answer(self):
            given = self.headers.get("Authorization", "")
            if fake.password and given != "Basic " + base64.b64encode(f"user:{fake.password}".encode()).decode():
                self._send(401, b"", "text/plain", [("WWW-Authenticate", 'Basic realm="bridge"')])
                return
            if self.path == "/":
                self._send(200, PAGE.read_bytes(), "text/html; charset=utf-8", [("Content-Security-Policy", POLICY)])
                return
            time.sleep(fake.delay_s)
            while fake.frozen.is_set():
                time.sleep(0.02)
            said = fake.answer(self.path)
            self._send(fake.status or (404 if said is None else 200), json.dumps(said).encode(), "application/json")

        def _send(self, status, body, kind, headers=()):
            self.send_response(status)
            for name, value in [
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Cache-Control", "no-store"),
                *headers,
            ]:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                for position in range(0, len(body), len(body) // 10 + 1):
                    self.wfile.write(body[position : position + len(body) // 10 + 1])
                    time.sleep(fake.trickle_s / 10)

    return Handler
