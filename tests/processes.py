# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The firmware and the simulated BMS as processes of their own, each to be killed, frozen and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from simulator.bms import READS

ROOT = Path(__file__).resolve().parent.parent


class SimulatedBms:
    """`python -m simulator.line` with its log; `set` changes options while it runs."""

    def __init__(self, folder, options):
        self._log = folder / "bms.jsonl"
        command = [sys.executable, "-m", "simulator.line", "--bms", options, "--log", str(self._log)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        self.path = self._process.stdout.readline().strip()

    def set(self, options):
        self._process.stdin.write(options + "\n")
        self._process.stdin.flush()

    def requests(self):
        """Every complete request it received, as bytes."""
        events = [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]
        return [bytes.fromhex(event["request"]) for event in events if len(event.get("request", "")) == 26]

    def writes(self):
        """Those of them that are writes."""
        return [request for request in self.requests() if request[2] not in READS]

    def stop(self):
        self._process.stdin.close()
        self._process.wait(60)


class SimulatedVictron:
    """`python -m simulator.vedirect` on a port of its own; `set` changes options while it runs, as `silent=1`."""

    def __init__(self, options):
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "simulator.vedirect", options]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        self.path = self._process.stdout.readline().strip()

    def set(self, options):
        self._process.stdin.write(options + "\n")
        self._process.stdin.flush()

    def stop(self):
        self._process.stdin.close()
        self._process.wait(60)


def host_without_screen(settings, port, *options):
    """The command of `python -m host` with a settings file and a broker on this PC."""
    command = [sys.executable, "-m", "host", "--plain", "--json", "--no-oled"]
    return [*command, "--settings", settings, "--broker", f"127.0.0.1:{port}", *options]


class Bridge:
    """`python -m host` on a serial line and a broker. The memory of its chip is a file that survives `kill`.

    `is_woken`: the first start is as after a deep sleep. `command`: what is executed, with the options.
    """

    def __init__(self, folder, uart, port, settings="", host="127.0.0.1", options=(), base="t", is_woken=False):
        self.nvm = folder / "nvm"
        self._log = folder / "bridge.log"
        (folder / "settings.toml").write_text(f'MQTT_BROKER = "broker.example"\nMQTT_BASE_TOPIC = "{base}"\n' + settings)
        self.command = [sys.executable, "-m", "host", "--plain", "--json", "--uart", uart, "--broker", f"{host}:{port}"]
        self.command += ["--settings", str(folder / "settings.toml"), "--nvm", str(self.nvm), *options]
        self.start(is_woken)

    def start(self, is_woken=False):
        environment = {**os.environ, "DALY_HOST_WOKEN": "1"} if is_woken else None
        with self._log.open("a") as log:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self.command, cwd=ROOT, env=environment, stdin=pipe, stdout=log, stderr=log, text=True
            )

    def type(self, line):
        """Type a line on its console."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self):
        """End it like a power cut."""
        self._process.kill()
        self._process.wait()

    def freeze(self):
        """Stop it, as a board that has lost the Wi-Fi; its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def stop(self):
        self.thaw()
        self._process.terminate()
        self._process.wait(60)

    @property
    def log(self):
        return self._log.read_text()
