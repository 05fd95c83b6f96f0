# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""docs/recipes/prometheus.yml and its alerts in a real Prometheus, which reads the page of the real firmware."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from engines import Process
from mosquitto import free_port, wait_until
from processes import SimulatedBms, host_without_screen

RECIPES = Path(__file__).resolve().parent.parent.parent / "docs" / "recipes"
PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (PROMETHEUS and PROMTOOL), reason="no Prometheus here: make test-recipes installs it"),
]


class Prometheus(Process):
    """Prometheus with the recipe, whose target is `port` and whose times are short."""

    def __init__(self, folder, port):
        config = (RECIPES / "prometheus.yml").read_text()
        alerts = (RECIPES / "prometheus-alerts.yml").read_text()
        assert "192.168.1.77:80" in config and "interval: 15s" in config and "for: 5m" in alerts
        config = config.replace("192.168.1.77:80", f"127.0.0.1:{port}").replace("interval: 15s", "interval: 1s")
        (folder / "prometheus.yml").write_text(config)
        for long in ("for: 2m", "for: 5m", "for: 10m"):
            alerts = alerts.replace(long, "for: 3s")
        (folder / "prometheus-alerts.yml").write_text(alerts)
        own = free_port()
        self._url = f"http://127.0.0.1:{own}/api/v1/"
        options = [f"--storage.tsdb.path={folder}/store", f"--web.listen-address=127.0.0.1:{own}"]
        super().__init__(folder, "prometheus", [PROMETHEUS, f"--config.file={folder}/prometheus.yml", *options])

    def _get(self, path):
        try:
            with urllib.request.urlopen(self._url + path, timeout=5) as answer:
                return json.load(answer)["data"]
        except OSError:
            return {}

    def values(self, expression):
        """The value of each series."""
        found = self._get("query?" + urllib.parse.urlencode({"query": expression})).get("result", [])
        return [float(each["value"][1]) for each in found]

    def firing(self):
        """{name: summary} of the alerts that fire."""
        alerts = self._get("alerts").get("alerts", [])
        return {a["labels"]["alertname"]: a["annotations"]["summary"] for a in alerts if a["state"] == "firing"}


def test_the_recipe_is_valid_as_it_stands():
    subprocess.run([PROMTOOL, "check", "config", str(RECIPES / "prometheus.yml")], check=True, capture_output=True)
    subprocess.run([PROMTOOL, "check", "rules", str(RECIPES / "prometheus-alerts.yml")], check=True, capture_output=True)


def test_it_has_what_the_bms_says_a_gap_where_it_is_silent_and_alerts(tmp_path):
    bms = SimulatedBms(tmp_path, "drift=0,soc=57.3,current=-12.4,cells=4")
    page = free_port()
    (tmp_path / "settings.toml").write_text('CIRCUITPY_WIFI_SSID = "shed"\n')
    nowhere = free_port()
    command = host_without_screen(str(tmp_path / "settings.toml"), nowhere, "--uart", bms.path, "--web", str(page))
    bridge = Process(tmp_path, "bridge", command)
    prometheus = Prometheus(tmp_path, page)

    def wait(condition, seconds=60):
        state = (prometheus.firing(), prometheus.log[-1000:], bridge.log[-1000:])
        assert wait_until(condition, seconds, 0.3), state

    try:
        wait(lambda: prometheus.values("daly_soc_ratio") == [0.573])
        assert prometheus.values("daly_current_amperes") == [-12.4] and len(prometheus.values("daly_cell_voltage_volts")) == 4
        wait(lambda: not prometheus.firing(), 20)
        bms.set("alarms=cell_high_2")
        wait(lambda: prometheus.firing().get("BatteryAlarm", "").endswith(": Cell overvoltage (protection)"))
        bms.set("alarms=,silent=1")
        wait(lambda: prometheus.values("daly_up") == [0.0])
        wait(lambda: prometheus.values("daly_soc_ratio") == [], 10)
        wait(lambda: set(prometheus.firing()) == {"BmsSilent"})
        assert f"http://127.0.0.1:{page}/" in prometheus.firing()["BmsSilent"]
        bms.set("silent=0,soc=15")
        wait(lambda: prometheus.values("daly_soc_ratio") == [0.15])
        wait(lambda: prometheus.firing().get("BatteryLow", "").endswith("15% left"))
        bridge.kill()
        wait(lambda: prometheus.values('up{job="daly"}') == [0.0])
        assert prometheus.values("daly_soc_ratio") == []
        wait(lambda: set(prometheus.firing()) == {"BridgeSilent"})
    finally:
        prometheus.stop()
        bridge.kill()
        bms.stop()
