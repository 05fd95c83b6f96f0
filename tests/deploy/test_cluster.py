# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""deploy/cluster: a real firmware at three real NATS nodes with its nats.conf, nodes killed one after the other. Judged at
subscribers of the nodes that are left."""

import json
import re
import socket
import subprocess
import sys
import threading
import time

import pytest
from engines import needs_nats
from mosquitto import Subscriber, free_port, wait_until
from processes import ROOT, Bridge, SimulatedBms

from campaigns.nats import Cluster
from tools.fleet import nats_users
from tools.settings import is_setting

pytestmark = [needs_nats, pytest.mark.timeout(300)]

BASE = "daly/cellar-1"
INSTALLER = ("installer", "i-secret")
BRIDGES = {"cellar-1": "pw-1", "cellar-2": "pw-2"}
USERS = nats_users(BRIDGES, {"telegraf": "t-secret", "installer": "i-secret"})
SETTINGS = 'BRIDGE_ID = "cellar-1"\nMQTT_USERNAME = "cellar-1"\nMQTT_PASSWORD = "pw-1"\nMQTT_BIRTH_TOPIC = ""\n'
# A node closes the connection of who publishes where it may not (mosquitto drops the message), so no discovery
SETTINGS += (
    "MQTT_DISCOVERY = false\n" if is_setting("MQTT_DISCOVERY") else 'MQTT_DISCOVERY_PREFIX = "daly/cellar-1/discovery"\n'
)


class Balancer:
    """One address for three nodes, as a TCP load balancer in front of them: the first node that accepts gets a connection."""

    def __init__(self, ports):
        self.port = free_port()
        self.chosen = None
        self._ports = ports
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            for port in self._ports:
                try:
                    node = socket.create_connection(("127.0.0.1", port), 1)
                except OSError:
                    continue
                node.settimeout(None)
                self.chosen = port
                for pair in ((client, node), (node, client)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()
                break
            else:
                client.close()

    def stop(self):
        self._listener.close()


def _copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    for each in (source, target):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        each.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), USERS, plain=True)
    yield cluster
    cluster.stop()


def said(bridge):
    """What it says of the broker."""
    return [line for line in bridge.log.splitlines() if "MQTT" in line and " -> " not in line][-20:]


def watch(node):
    return Subscriber(node.port, INSTALLER, "daly/#")


def energy(subscriber):
    return json.loads(subscriber.latest(BASE + "/bms1/energy") or '{"energy_discharged":-1}')["energy_discharged"]


def test_a_bridge_has_the_rights_of_its_own_topics_only(cluster):
    home = watch(cluster.nodes[0])
    for topic in ("daly/cellar-1/bms1/charge_mosfet/set", "daly/cellar-1/status", "other", "daly/cellar-2/mine"):
        thief = Subscriber(cluster.nodes[1].port, ("cellar-2", "pw-2"), "daly/cellar-2/#")
        threading.Thread(target=thief.publish, args=(topic, "by the thief"), daemon=True).start()  # its connection is closed
        time.sleep(0.5)
        thief.stop()
    assert wait_until(lambda: home.texts("daly/cellar-2/mine"), 10)
    time.sleep(0.5)
    assert [topic for topic, text, _ in home.received if text == "by the thief"] == ["daly/cellar-2/mine"]
    with pytest.raises(RuntimeError):
        Subscriber(cluster.nodes[1].port, ("cellar-2", "pw-1"), "daly/cellar-2/#")
    home.stop()


def test_a_subscription_to_other_bridges_is_refused(cluster):
    home = watch(cluster.nodes[0])
    for topics in ("daly/#", "daly/cellar-1/#", "#"):
        thief = Subscriber(cluster.nodes[2].port, ("cellar-2", "pw-2"), topics)
        home.publish("daly/cellar-1/bms1/state", "secret", retain=True)
        time.sleep(0.5)
        assert thief.received == [], topics
        thief.stop()
    home.publish("daly/cellar-1/bms1/state", "", retain=True)
    home.stop()


HAS_LIST = (
    "tried in turn" in subprocess.run([sys.executable, "-m", "host", "--help"], cwd=ROOT, capture_output=True, text=True).stdout
)
needs_list = pytest.mark.skipif(not HAS_LIST, reason="this firmware has one broker only in MQTT_BROKER")


@pytest.mark.parametrize("way", ("load balancer", pytest.param("all three in MQTT_BROKER", marks=needs_list)))
def test_each_node_may_die_under_a_bridge_and_its_energy_goes_on(tmp_path, cluster, way):
    bms = SimulatedBms(tmp_path, "drift=0,soc=57.3,current=-240")
    ports = [node.port for node in cluster.nodes]
    balancer = Balancer(ports)
    if way == "load balancer":
        bridge = Bridge(tmp_path, bms.path, balancer.port, SETTINGS, base="")
    else:
        others = ",".join(f"127.0.0.1:{port}" for port in ports[:-1])
        bridge = Bridge(tmp_path, bms.path, ports[-1], SETTINGS, host=others + ",127.0.0.1", base="")

    def chosen():
        """The port of the node it is connected to."""
        if way == "load balancer":
            return balancer.chosen
        ports_so_far = re.findall(r"MQTT: connected to 127\.0\.0\.1:(\d+)", bridge.log)
        return int(ports_so_far[-1]) if ports_so_far else None

    try:
        assert wait_until(chosen, 40), said(bridge)
        first = watch(cluster.nodes[0])
        time.sleep(2)
        counted = max(0, energy(first))  # what an earlier test has left there
        first.stop()
        for number in range(len(cluster.nodes)):
            home = watch(cluster.nodes[number])
            assert wait_until(lambda: energy(home) > counted, 60), said(bridge)  # noqa: B023
            counted = energy(home)
            home.stop()
            dead = next(node for node in cluster.nodes if node.port == chosen())
            other = watch(next(node for node in cluster.nodes if node is not dead))
            dead.kill()
            killed = time.monotonic()
            assert wait_until(lambda: chosen() != dead.port, 60), said(bridge)  # noqa: B023
            assert wait_until(lambda: any(t > killed + 1 and m[0] == BASE + "/bms1/state" for t, m in list(other.timed)), 60)  # noqa: B023
            print(f"at the next node after {time.monotonic() - killed:.1f} s")
            # energy never goes back: not on the broker, not in what the bridge counts on with
            counters = [json.loads(text)["energy_discharged"] for text in other.texts(BASE + "/bms1/energy")]
            assert counters == sorted(counters) and counters[0] >= counted > 0
            late = watch(next(node for node in cluster.nodes if node is not dead))
            is_there = wait_until(lambda: energy(late) >= counted and late.latest(BASE + "/status") == "online", 60)  # noqa: B023
            assert is_there, (energy(late), counted, late.texts(BASE + "/status"), said(bridge)[-4:])
            late.stop()
            counted = energy(other)
            other.stop()
            dead.start()
            assert wait_until(lambda: dead.is_ready, 30)  # noqa: B023
            time.sleep(3)  # it catches up before the next one dies
        assert bms.writes() == []
    finally:
        bridge.stop()
        bms.stop()
        balancer.stop()


def test_the_firmware_reaches_a_node_over_tls(tmp_path):
    (tmp_path / "nodes").mkdir()
    (tmp_path / "bridge").mkdir()
    cluster = Cluster(tmp_path / "nodes", USERS)
    bms = SimulatedBms(tmp_path / "bridge", "drift=0")
    (tmp_path / "bridge" / "ca.crt").write_bytes((tmp_path / "nodes" / "ca.crt").read_bytes())
    tls = f'MQTT_TLS = true\nMQTT_CA_FILE = "{tmp_path}/bridge/ca.crt"\n'
    bridge = Bridge(tmp_path / "bridge", bms.path, cluster.nodes[0].port, SETTINGS + tls, host="localhost", base="")
    try:
        assert wait_until(lambda: "MQTT: connected to" in bridge.log, 40), (said(bridge), cluster.nodes[0].log[-2000:])
    finally:
        bridge.stop()
        bms.stop()
        cluster.stop()
