# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes the pictures in docs/homeassistant: the firmware runs against a real Home Assistant, and Chromium looks at its pages.

    .venv/bin/python tests/homeassistant/pictures.py [MINUTES [FOLDER]]     how long the graphs may fill first (default 15)

The graphs of the dashboard show as many minutes instead of a day, and the energy of the days before is made up.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path += [str(folder) for folder in Path(__file__).resolve().parents[:3]]

from home_assistant import DOCS, HomeAssistant
from install import install
from mosquitto import Mosquitto
from processes import Bridge, SimulatedBms
from websockets.sync.client import connect

BMS = "cells=16,soc=63.4,current=38,spread=14,cycles=187"
SETTINGS = 'ALLOW_CONTROL = "charge_mosfet, discharge_mosfet, soc, restart_bms, restart_bridge"\n'
DASHBOARD = "lovelace:\n  dashboards:\n    daly-bms:\n      mode: yaml\n      title: Battery\n      filename: battery.yaml\n"
TEXT = """(() => { const out = []; const walk = (node) => {
  if (['STYLE', 'SCRIPT'].includes(node.tagName)) return;
  if (node.nodeType === 3) out.push(node.textContent.trim());
  if (node.shadowRoot) walk(node.shadowRoot);
  node.childNodes.forEach(walk); }; walk(document.body); return out.join(' '); })()"""


def main() -> None:
    minutes = float(sys.argv[1]) if sys.argv[1:] else 15
    pictures = Path(sys.argv[2]) if sys.argv[2:] else DOCS
    folder = Path(tempfile.mkdtemp(prefix="pictures-"))
    bms, broker = SimulatedBms(folder, BMS), Mosquitto(folder)
    ha = HomeAssistant(install(), folder / "ha", DASHBOARD)
    dashboard = (DOCS / "dashboard.yaml").read_text().replace("hours_to_show: 24", f"hours_to_show: {minutes / 60:.3f}")
    (ha.folder / "battery.yaml").write_text(dashboard)
    bridge = None
    try:
        ha.start()
        ha.add_mqtt(broker.port)
        bridge = Bridge(folder, bms.path, broker.port, SETTINGS)
        live(bms, minutes)
        make_up_energy(ha)
        time.sleep(10)
        devices = {device["name"]: device["id"] for device in ha.command("config/device_registry/list")}
        for name, page, width, height in (
            ("device", f"/config/devices/device/{devices['Daly BMS']}", 1280, 1400),
            ("bridge", f"/config/devices/device/{devices['Daly BMS bridge']}", 1280, 760),
            ("dashboard", "/daly-bms/battery", 1500, 1380),
        ):
            shoot(ha, page, pictures / f"{name}.png", width, height, folder)
            print(pictures / f"{name}.png")
        print("\n".join(ha.warnings()))
    finally:
        ha.stop()
        if bridge is not None:
            bridge.stop()
        broker.kill()
        bms.stop()
        shutil.rmtree(folder, ignore_errors=True)


def live(bms, minutes):
    """Charge with clouds, then discharge, then charge again."""
    dice = random.Random(3)
    begun = time.monotonic()
    while (passed := (time.monotonic() - begun) / 60 / minutes) < 1:
        amperes = dice.uniform(25, 60) if passed < 0.4 or passed > 0.8 else -dice.uniform(8, 35)
        bms.set(f"current={amperes:.1f}" + (",balancing=7" if passed > 0.8 else ""))
        time.sleep(20)


def make_up_energy(ha):
    """Three weeks of statistics that end in what the counters say now; the first day, which counts from 0, is not shown."""
    dice = random.Random(5)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for name, from_hour, to_hour in (("energy_charged", 9, 17), ("energy_discharged", 17, 24)):
        entity = "sensor.daly_bms_" + name
        now = float(ha.states()[entity])
        amounts = []
        for _ in range(21):
            day = dice.uniform(0.6, 1.6)
            amounts += [day if from_hour <= h < to_hour else 0 for h in range(24)]
        total, rows = now - sum(amounts), []
        for index, amount in enumerate(amounts):
            total += amount
            start = hour - timedelta(hours=len(amounts) - index)
            rows.append({"start": start.isoformat(), "state": total, "sum": total})
        about = {"has_mean": False, "mean_type": 0, "has_sum": True, "name": None, "source": "recorder"}
        about |= {"statistic_id": entity, "unit_of_measurement": "kWh", "unit_class": "energy"}
        ha.command("recorder/import_statistics", metadata=about, stats=rows)


def shoot(ha, page, path, width, height, folder):
    """Open a page as its owner, wait until it rests, and leave a picture of it."""
    profile = tempfile.mkdtemp(dir=folder)
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    command += ["--no-first-run", "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "about:blank"]  # no calling home
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(_address_of(Path(profile) / "DevToolsActivePort"), max_size=None) as socket:
            _picture(Tab(socket), ha, page, path, width, height)
    finally:
        browser.terminate()
        browser.wait()


def _address_of(port_file):
    """Where the browser's one page is to be commanded; it takes a while on a busy machine."""
    for _ in range(600):
        time.sleep(0.1)
        try:
            port = port_file.read_text().split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                return next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
        except (OSError, IndexError, StopIteration):
            pass
    raise TimeoutError("Chromium does not start")


def _picture(tab, ha, page, path, width, height):
    tab.do("Page.enable")
    tab.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    tokens = {"access_token": ha.token, "token_type": "Bearer", "expires_in": 86400, "hassUrl": ha.url, "refresh_token": ""}
    tokens |= {"clientId": ha.url + "/", "expires": int((time.time() + 86400) * 1000)}
    store = f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))});"
    store += "localStorage.setItem('dockedSidebar', '\"always_hidden\"');"
    tab.do("Page.addScriptToEvaluateOnNewDocument", source=store)
    tab.do("Page.navigate", url=ha.url + page)
    text, rests = "", 0
    end = time.monotonic() + 600  # the first page takes long on a busy machine
    while rests < 6:
        assert time.monotonic() < end, f"{page} does not come to rest: {text[:300]}"
        time.sleep(1)
        now = "".join(c for c in tab.do("Runtime.evaluate", expression=TEXT)["result"].get("value", "") if not c.isdigit())
        rests = rests + 1 if now == text and len(now.split()) > 60 else 0
        text = now
    picture = tab.do("Page.captureScreenshot", format="png")["data"]
    path.write_bytes(base64.b64decode(picture))


class Tab:
    """One page of Chromium, by its DevTools protocol."""

    def __init__(self, socket):
        self._socket = socket
        self._number = 0

    def do(self, method, **parameters):
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(300))
            if answer.get("id") == self._number:
                return answer["result"]


if __name__ == "__main__":
    main()
