# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A bridge of a few lines for the page: the page itself, and fixed answers that a test changes. docs/screens.py uses it, too."""

import base64
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
        "bms1": battery(soc=57.3, current=-12.4),
        "bms2": battery("Daly BMS 2", soc=61.2, current=-11.8),
        "bms3": battery("Garage", soc=58.4, current=-14.1),
        "bms4": battery("Daly BMS 4", soc=55.9, current=-13.3),
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
    values = {"version": "1.0.0", "uptime": 273840, "rssi": -58, "restart_reason": "power on", "boot_count": 7, "safe_modes": 0}
    values |= {"last_failure": "none", "loop_time_max": 18, "ip_address": "192.168.1.77", "free_memory": 1904512}
    values |= {"mqtt_connects": 1, "settings_problems": "none", "frames_ok": 2811234, "checksum_errors": 3, "timeouts": 12}
    values |= {"poll_cycle": 486, "oldest_reading_age": 212, "current_sign": "normal", "protocol": "A5"}
    return values | {"name": "Daly BMS bridge", "identity": "c0ffee", "mqtt": "connected", "history_minutes": 1440} | more


def history(minutes=1440, every=5, soc=57.3, batteries=1):
    """A day that ends as battery() is: charged in the sun, discharged at night, with an hour of which nothing is known."""
    socs, currents, voltages = [], [], []
    for minute in range(0, minutes, every):
        left = minutes - minute  # it is 22:00 at the end
        hour = (22 - left / 60) % 24
        current = 36 * (1 - ((hour - 12.5) / 4.5) ** 2) if 8 < hour < 17 else -6.0 - 6.4 * (hour > 17.5)
        current += 1.6 * ((minute * 7919) % 13 / 13 - 0.5)
        is_known = not 4 <= hour < 5
        for values, value in ((currents, current * batteries), (voltages, 52.7)):
            values.append(round(value, 1) if is_known else None)
        socs.append(current * every / 60 / 2.8)
    total = soc
    for index in range(len(socs) - 1, -1, -1):  # backwards from what it is now
        change, socs[index] = socs[index], None if currents[index] is None else round(min(100, total), 1)
        total -= change
    return {"api": 1, "minute_s": 60, "ago_s": 20, "soc": socs, "current": currents, "voltage": voltages}


class FakeBridge:
    """Serves on a free port of this machine until `stop`; `paths` are the requests so far.

    `state` and `bridge` are what it says, `password` is asked for, `delay_s` comes before each answer of the API, `status`
    answers everything of the API in its place; while `frozen` is set nothing is answered, as by a chip that hangs.
    """

    def __init__(self, batteries=None, bank=None, sources=None):
        self.state = {"api": 1, "batteries": batteries or {"bms1": battery()}, "bank": bank, "sources": sources or {}}
        self.bridge = bridge()
        self.history = history()
        self.password = None
        self.delay_s = 0
        self.status = None
        self.frozen = threading.Event()
        self.paths = []
        self.open = self.most_open = 0
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

        def do_GET(self):  # noqa: N802 (the name http.server looks for)
            fake.paths.append(self.path)
            fake.open += 1
            fake.most_open = max(fake.most_open, fake.open)
            try:
                self._answer()
            except OSError:
                pass  # the page did not wait
            finally:
                fake.open -= 1

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
            self.wfile.write(body)

    return Handler
