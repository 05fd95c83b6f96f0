# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A real Home Assistant as a process: started, queried and restarted by its own interfaces; on this computer only."""

import json
import os
import re
import secrets
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from install import includes
from mosquitto import free_port
from websockets.sync.client import connect

DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "homeassistant"
# http: is a trial since 2026.8, undone after five minutes unless it is confirmed (see `begin`)
CONFIGURATION = """\
homeassistant:
  name: Home
  latitude: 52.5
  longitude: 13.4
  elevation: 34
  unit_system: metric
  time_zone: UTC
  country: DE
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
frontend:
recorder:
  commit_interval: 1
history:
energy:
script:
automation: !include automations.yaml
logger:
  default: warning
{more}
"""
LINE = re.compile(r"^\S+ \S+ (?P<level>[A-Z]+) \([^)]*\) \[(?P<logger>[^\]]+)\] ?(?P<text>.*)$")
# what it logs, and may log, while the broker is gone
OUTAGE = re.compile(r"connection was lost|not currently connected|failed to receive on socket|No ACK|Failed to connect|refused")


class Refused(Exception):
    """Home Assistant refuses a request."""


class HomeAssistant:
    """One instance in a folder of its own. `program` is the folder of install.py; `more` lines of configuration.yaml."""

    def __init__(self, program: Path, folder: Path, more: str = "", automations: str = "[]\n"):
        self.version = program.name
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = ""
        self._program = program
        self._log = folder / "output.log"
        (folder / ".storage").mkdir(parents=True)
        (folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port, more=more))
        (folder / "automations.yaml").write_text(automations)
        # of the onboarding only the owner is left to do: the other steps would add what calls into the internet
        done = {"done": ["core_config", "analytics", "integration"]}
        onboarding = {"version": 4, "minor_version": 1, "key": "onboarding", "data": done}
        (folder / ".storage" / "onboarding").write_text(json.dumps(onboarding))
        self._process: subprocess.Popen | None = None

    # life

    def start(self, seconds: float = 600):
        """Start it and wait until it runs; the first start installs what its integrations want."""
        environment = os.environ | {
            "PATH": f"{self._program / 'bin'}:{os.environ['PATH']}",
            "TZ": "UTC",
            "PYTHONUNBUFFERED": "1",
        }
        environment.pop("VIRTUAL_ENV", None)
        environment |= includes(self._program.parent)
        command = [self._program / "bin" / "hass", "-c", self.folder, "--log-no-color"]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=self.folder)
        self._wait(self._answers, seconds)
        if not self.token:
            self._onboard()
        self._wait(self._runs, seconds)

    def stop(self):
        """End it as its own restart does."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _wait(self, is_so, seconds: float):
        end = time.monotonic() + seconds
        while not is_so():
            assert self._process.poll() is None, "Home Assistant ended:\n" + self._log.read_text()[-3000:]
            assert time.monotonic() < end, f"Home Assistant does not start within {seconds} s"
            time.sleep(0.2)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url + "/api/onboarding", timeout=5).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def _runs(self) -> bool:
        try:
            return self.request("GET", "/api/config")["state"] == "RUNNING"
        except (OSError, Refused, KeyError):
            return False

    def _onboard(self):
        owner = {"client_id": self.url + "/", "name": "Owner", "username": "owner", "password": secrets.token_hex(8)}
        response = self.request("POST", "/api/onboarding/users", owner | {"language": "en"})
        form = {"client_id": self.url + "/", "grant_type": "authorization_code", "code": response["auth_code"]}
        self.token = self.request("POST", "/auth/token", form=form)["access_token"]
        self.token = self.command("auth/long_lived_access_token", client_name="tests", lifespan=30)
        try:
            self.command("http/config/promote")
        except Refused:
            pass  # not known before 2026.8

    # requests

    def request(self, method: str, path: str, body=None, form=None):
        """One request of the REST API; the JSON of the response. Raises Refused."""
        headers = {"Authorization": "Bearer " + self.token} if self.token else {}
        data = urllib.parse.urlencode(form).encode() if form else None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.loads(response.read() or "null")
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.code} {error.read()[:300]!r}") from None

    def command(self, name: str, **fields):
        """One command of the WebSocket API; its result. Raises Refused."""
        with connect(f"ws://127.0.0.1:{self.port}/api/websocket", max_size=None) as socket:
            socket.recv()
            socket.send(json.dumps({"type": "auth", "access_token": self.token}))
            if json.loads(socket.recv())["type"] != "auth_ok":
                raise Refused("the token")
            socket.send(json.dumps({"id": 1, "type": name, **fields}))
            while True:
                response = json.loads(socket.recv(60))
                if response.get("id") == 1 and response["type"] == "result":
                    break
        if not response["success"]:
            raise Refused(f"{name}: {response['error']}")
        return response["result"]

    def add_mqtt(self, port: int):
        """Add the MQTT integration as a person does, by its form."""
        step = self.request("POST", "/api/config/config_entries/flow", {"handler": "mqtt"})
        while step["type"] != "create_entry":
            assert not step.get("errors"), step
            data = {"next_step_id": "broker"} if step["type"] == "menu" else _filled(step["data_schema"], port)
            step = self.request("POST", "/api/config/config_entries/flow/" + step["flow_id"], data)

    def states(self) -> dict:
        """State of each entity by its id."""
        return {entity["entity_id"]: entity["state"] for entity in self.request("GET", "/api/states")}

    def entities(self) -> list[dict]:
        """Entries of the registry that MQTT has made."""
        return [entry for entry in self.command("config/entity_registry/list") if entry["platform"] == "mqtt"]

    def call(self, service: str, **data):
        """Call a service, as switch.turn_on."""
        return self.request("POST", "/api/services/" + service.replace(".", "/"), data)

    def warnings(self) -> list[str]:
        """Warnings and errors in the log on MQTT and its entities, except those on a missing broker."""
        found = []
        for line in self._log.read_text().splitlines():
            entry = LINE.match(line)
            if entry and entry["level"] in ("WARNING", "ERROR", "CRITICAL") and not OUTAGE.search(entry["text"]):
                about = ("mqtt", "template", "sensor", "recorder", "automation", "lovelace", "energy")
                if any(word in entry["logger"] for word in about) or "mqtt" in entry["text"].lower():
                    found.append(line)
        return found


def _filled(schema: list[dict], port: int) -> dict:
    """The broker's form: what we know, else what stands in it already. The forms differ between versions."""
    known = {"broker": "127.0.0.1", "port": port, "set_client_cert": False, "set_ca_cert": "off"}
    data = {}
    for field in schema:
        if isinstance(field.get("schema"), list):
            data[field["name"]] = _filled(field["schema"], port)
        elif field["name"] in known or "default" in field:
            data[field["name"]] = known.get(field["name"], field.get("default"))
    return data
