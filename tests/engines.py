# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The engines behind the bridges, as real processes: VictoriaMetrics, vmalert, Prometheus' promtool, NATS. `make test-deploy`
installs them; where one is missing, its tests are skipped with the reason."""

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from campaigns import nats
from campaigns.mosquitto import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
ONE_MACHINE = DEPLOY / "one-machine"
CLUSTER = DEPLOY / "cluster"
STORE = shutil.which("victoria-metrics")
VMALERT = shutil.which("vmalert")
PROMTOOL = shutil.which("promtool")
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
needs_store = pytest.mark.skipif(
    not (STORE and VMALERT and ALERTMANAGER), reason="no VictoriaMetrics or Alertmanager here: make test-deploy installs them"
)
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here: make test-deploy installs prometheus")
needs_nats = pytest.mark.skipif(nats.PROGRAM is None, reason="no nats-server in .deploy: make test-deploy installs it")


def options_of(service):
    """The options of a program as its unit in deploy/one-machine/systemd has them, without addresses and folders."""
    unit = (ONE_MACHINE / "systemd" / f"{service}.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    places = ("-storageDataPath", "-httpListenAddr", "-rule", "-datasource", "-remote", "-notifier")
    return [word for word in line.split()[1:] if not word.startswith(places)]


class Process:
    """A program with its log, ended by `stop` or `kill`."""

    def __init__(self, folder, name, command):
        self._log = folder / f"{name}.log"
        with self._log.open("a") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log)

    @property
    def log(self):
        return self._log.read_text()

    def kill(self):
        """End it like a power cut."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Store(Process):
    """VictoriaMetrics with the options of its unit, at `url`."""

    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        options = [f"-storageDataPath={folder}/store", f"-httpListenAddr=127.0.0.1:{port}", *options_of("victoria-metrics")]
        super().__init__(folder, "store", [STORE, *options])
        assert wait_until(lambda: _answers(self.url + "/health"), 20), self.log

    def query(self, expression, time=None):
        """[(labels, value)] of an instant query as Grafana or vmalert puts it."""
        parameters = {"query": expression} | ({} if time is None else {"time": time})
        return [(each["metric"], float(each["value"][1])) for each in self._get("query", parameters)]

    def query_range(self, expression, begin, end, step=10):
        return self._get("query_range", {"query": expression, "start": begin, "end": end, "step": step})

    def value(self, expression):
        """The value of the only series; None: there is none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return found[0][1] if found else None

    def write(self, lines):
        urllib.request.urlopen(self.url + "/write", "\n".join(lines).encode(), timeout=10).close()

    def _get(self, what, parameters):
        data = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}", data, timeout=20) as response:
            return json.load(response)["data"]["result"]


class Alerts(Process):
    """vmalert with a file of rules on a store, and `url` of the Alertmanager that it reports to."""

    def __init__(self, folder, store, rules, manager):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        places = [f"-{name}.url={store.url}" for name in ("datasource", "remoteWrite", "remoteRead")]
        places.append(f"-notifier.url={manager.url}")
        options = [f"-rule={rules}", f"-httpListenAddr=127.0.0.1:{port}", *places, *options_of("vmalert")]
        super().__init__(folder, "vmalert", [VMALERT, *options])
        assert wait_until(lambda: _answers(self.url + "/health"), 20), self.log

    def firing(self):
        """{(name, bridge, battery): its summary} of what is firing."""
        with urllib.request.urlopen(self.url + "/api/v1/alerts", timeout=10) as response:
            alerts = json.load(response)["data"]["alerts"]
        return {
            (each["name"], each["labels"].get("bridge"), each["labels"].get("battery")): each["annotations"]["summary"]
            for each in alerts
            if each["state"] == "firing"
        }


class Alertmanager(Process):
    """Alertmanager with the configuration of the folder; its mails go nowhere."""

    def __init__(self, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = ONE_MACHINE / "alertmanager" / "alertmanager.yml"
        options = [f"--config.file={config}", f"--storage.path={folder}/alertmanager", f"--web.listen-address=127.0.0.1:{port}"]
        super().__init__(folder, "alertmanager", [ALERTMANAGER, *options, "--cluster.listen-address="])
        assert wait_until(lambda: _answers(self.url + "/-/healthy"), 20), self.log

    def active(self):
        """(name, bridge) of the alerts it would mail, and of those that it holds back."""
        with urllib.request.urlopen(self.url + "/api/v2/alerts", timeout=10) as response:
            alerts = json.load(response)
        found = {"active": set(), "suppressed": set(), "unprocessed": set()}
        for each in alerts:
            found[each["status"]["state"]].add((each["labels"]["alertname"], each["labels"].get("bridge")))
        return found["active"], found["suppressed"]


def _answers(url):
    try:
        urllib.request.urlopen(url, timeout=1).close()
        return True
    except OSError:
        return False
