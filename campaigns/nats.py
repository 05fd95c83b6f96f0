# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""NATS nodes on this computer with deploy/cluster/nats.conf, its addresses and paths put in place."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from campaigns.mosquitto import free_port, wait_until

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "deploy" / "cluster" / "nats.conf"
PROGRAM = shutil.which("nats-server", path=f"{ROOT}/.deploy/bin")  # of PyPI: Debian's 2.9 is three years older
START_S = 60


def certificates(folder: Path, name: str = "localhost") -> None:
    """Make ca.crt, node.crt and node.key for `name` and 127.0.0.1 in a folder."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=fleet", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *key, "-subj", f"/CN={name}", "-keyout", "node.key", "-out", "node.csr")
    (folder / "ext").write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    signing = ("-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-extfile", "ext")
    openssl("x509", "-req", "-in", "node.csr", *signing, "-out", "node.crt")


class Node:
    """One node, started by the constructor; its MQTT on `port`, with TLS unless `plain`. Its files are in `folder`."""

    def __init__(self, folder: Path, number: int, port: int, routes: list[int], plain: bool):
        self.port = port
        self._name = f"nats-{number + 1}"
        self._folder = folder
        text = CONFIG.read_text()
        places = ", ".join(f"nats-route://127.0.0.1:{route}" for route in routes)
        line = next(line for line in text.splitlines() if line.strip().startswith("routes:"))
        text = text.replace(line, f"  routes: [{places}]").replace("0.0.0.0:6222", f"127.0.0.1:{routes[number]}")
        text = text.replace("0.0.0.0:8883", f"127.0.0.1:{port}").replace("127.0.0.1:4222", f"127.0.0.1:{free_port()}")
        text = text.replace("http: 127.0.0.1:8222\n", "").replace("/data", str(folder / self._name))
        text = text.replace("/etc/nats", str(folder))
        if plain:  # of the listener of MQTT only
            begin = text.index("  tls {", text.index("mqtt {"))
            text = text[:begin] + text[text.index("  }", begin) + 4 :]
        self._config = folder / f"{self._name}.conf"
        self._config.write_text(text)
        self._log = folder / f"{self._name}.log"
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same ports."""
        environment = {**os.environ, "NODE": self._name}
        with self._log.open("w") as log:
            command = [str(PROGRAM), "-c", str(self._config)]
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has said since its start."""
        return self._log.read_text()

    @property
    def is_ready(self) -> bool:
        """Whether it accepts clients and knows who leads."""
        return "Server is ready" in self.log and "metadata leader" in self.log

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it like a power cut."""
        self._process.kill()
        self._process.wait()


class Cluster:
    """`number` nodes with `users`, the text of users.conf. Raises RuntimeError if they do not find each other."""

    def __init__(self, folder: Path, users: str, plain: bool = False, number: int = 3):
        certificates(folder)
        (folder / "users.conf").write_text(users)
        routes = [free_port() for _ in range(number)]
        ports = [free_port() for _ in range(number)]
        self.nodes = [Node(folder, index, ports[index], routes, plain) for index in range(number)]
        if not wait_until(lambda: all(node.is_ready for node in self.nodes), START_S, 0.1):
            log = "\n".join(node.log for node in self.nodes)
            self.stop()
            raise RuntimeError(f"the nodes do not find each other: {log[-2000:]}")

    def stop(self) -> None:
        """End all of them."""
        for node in self.nodes:
            if node.is_running:
                node.kill()
