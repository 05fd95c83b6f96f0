# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Three NATS nodes on this computer with deploy/cluster/nats.conf, its addresses and paths put in place."""

import os
import subprocess

from engines import CLUSTER, NATS, Process

from campaigns.mosquitto import free_port, wait_until


def certificates(folder, name="localhost"):
    """ca.crt, node.crt and node.key for `name` in a folder, made by openssl."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=fleet", "-keyout", "ca.key", "-out", "ca.crt")
    openssl("req", *key, "-subj", f"/CN={name}", "-keyout", "node.key", "-out", "node.csr")
    (folder / "ext").write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    openssl(
        "x509",
        "-req",
        "-in",
        "node.csr",
        "-CA",
        "ca.crt",
        "-CAkey",
        "ca.key",
        "-days",
        "2",
        "-extfile",
        "ext",
        "-out",
        "node.crt",
    )


class Node(Process):
    """One of them; its MQTT on `port`, with TLS unless `plain`."""

    def __init__(self, folder, name, port, routes, number, users, plain):
        self.port, self._name, self._folder = port, name, folder
        text = (CLUSTER / "nats.conf").read_text()
        names = ", ".join(f"nats-route://127.0.0.1:{route}" for route in routes)
        all_routes = next(line for line in text.splitlines() if line.strip().startswith("routes:"))
        text = text.replace(all_routes, f"  routes: [{names}]").replace("0.0.0.0:6222", f"127.0.0.1:{routes[number]}")
        text = text.replace("0.0.0.0:8883", f"127.0.0.1:{port}").replace("127.0.0.1:4222", f"127.0.0.1:{free_port()}")
        text = text.replace("http: 127.0.0.1:8222\n", "").replace("/data", str(folder / name)).replace("/etc/nats", str(folder))
        if plain:  # of the listener of MQTT only
            begin = text.index("  tls {", text.index("mqtt {"))
            text = text[:begin] + text[text.index("  }", begin) + 4 :]
        (folder / "users.conf").write_text(users)
        self._config = folder / f"{name}.conf"
        self._config.write_text(text)
        self.start()

    def start(self):
        os.environ["NODE"] = self._name
        super().__init__(self._folder, self._name, [NATS, "-c", self._config])

    @property
    def is_ready(self):
        return "Server is ready" in self.log


class Cluster:
    """Three nodes with `users`, the text of users.conf; `folder` is theirs."""

    def __init__(self, folder, users, plain=False, number=3):
        certificates(folder)
        routes = [free_port() for _ in range(number)]
        ports = [free_port() for _ in range(number)]
        self.nodes = [Node(folder, f"nats-{i + 1}", ports[i], routes, i, users, plain) for i in range(number)]
        assert wait_until(lambda: any("JetStream cluster new metadata leader" in node.log for node in self.nodes), 40), self.log

    @property
    def log(self):
        return "\n".join(node.log for node in self.nodes)

    def stop(self):
        for node in self.nodes:
            if node.process.poll() is None:
                node.stop()
