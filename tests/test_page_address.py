# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Where the page is: its address on the console and in Home Assistant, the bridge's name in the network; and what it says of
MQTT.
"""

import sys
import types

import pytest

from app.settings import Settings
from app.web import Address, Announcer, Link, host_name
from battery.pack import Battery, Pack
from daly.poller import Poller
from mqtt.homeassistant import Discovery


class Radio:
    ipv4_address = None


class PageServer:
    """A web.server.Server, as far as its problem is concerned."""

    problem = None


def announcer_of(radio, port=80, name="daly-c0ffee", server=None, problems=None):
    return Announcer(radio, port, name, Address(radio, port), server or PageServer(), [] if problems is None else problems)


class Name:
    """CircuitPython's mdns.Server, with the keyword-only arguments that its stubs have; `made`: all of them."""

    made: list = []

    def __init__(self, network_interface):
        self.network_interface = network_interface
        self.hostname = "cpy-c0ffee"
        self.services = []
        Name.made.append(self)

    def advertise_service(self, *, service_type, protocol, port, txt_records=None):
        self.services.append((service_type, protocol, port))


@pytest.fixture
def mdns(monkeypatch):
    Name.made.clear()
    monkeypatch.setitem(sys.modules, "mdns", types.SimpleNamespace(Server=Name))
    return Name.made


@pytest.mark.parametrize(("port", "end"), [(80, "/"), (8080, ":8080/")])
def test_the_address_is_known_once_the_router_has_given_one(port, end):
    radio = Radio()
    address = Address(radio, port)
    assert address.text() == ""
    radio.ipv4_address = "192.168.1.77"
    assert address.text() == "http://192.168.1.77" + end


@pytest.mark.parametrize(
    ("identity", "name"), [("c0ffee", "daly-c0ffee"), ("Shed_2", "daly-shed-2"), ("Wohnhaus Süd", "daly-wohnhaus-s-d")]
)
def test_a_name_in_the_network_has_letters_digits_and_hyphens(identity, name):
    assert host_name(identity) == name


def test_the_address_is_printed_once_and_again_when_it_changes_and_the_name_is_given_once(mdns, capsys):
    radio = Radio()
    announcer = announcer_of(radio, 8080)
    announcer.tick(0)
    assert capsys.readouterr().out == "" and not mdns  # there is no network yet
    radio.ipv4_address = "10.0.0.5"
    for now in range(3):
        announcer.tick(now)
    assert capsys.readouterr().out == "Page: http://10.0.0.5:8080/ or http://daly-c0ffee.local:8080/\n"
    [name] = mdns
    assert (name.network_interface, name.hostname, name.services) == (radio, "daly-c0ffee", [("_http", "_tcp", 8080)])
    radio.ipv4_address = "10.0.0.6"
    announcer.tick(4)
    assert "http://10.0.0.6:8080/ or " in capsys.readouterr().out and len(mdns) == 1


def test_the_web_workflow_keeps_its_name(mdns, capsys):
    radio = Radio()
    radio.ipv4_address = "10.0.0.5"
    announcer_of(radio, name=None).tick(0)
    assert capsys.readouterr().out == "Page: http://10.0.0.5/\n" and not mdns


@pytest.mark.parametrize("error", [ImportError, RuntimeError("mDNS already initialized"), MemoryError])
def test_without_mdns_the_address_has_to_do(mdns, monkeypatch, capsys, error):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr(Name, "__init__", fail)
    radio = Radio()
    radio.ipv4_address = "10.0.0.5"
    announcer_of(radio).tick(0)
    assert capsys.readouterr().out == "Page: http://10.0.0.5/\n"


def test_a_port_that_is_taken_is_told_while_it_is(capsys):
    radio, server, problems = Radio(), PageServer(), ["settings.toml line 3: something."]
    radio.ipv4_address = "10.0.0.5"
    announcer = announcer_of(radio, name=None, server=server, problems=problems)
    server.problem = "Port 80 is taken"
    for now in range(3):
        announcer.tick(now)
    assert capsys.readouterr().out == "Page: Port 80 is taken\n"
    assert problems == ["settings.toml line 3: something.", "Port 80 is taken"]
    server.problem = None
    announcer.tick(4)
    assert capsys.readouterr().out == "Page: http://10.0.0.5/\n" and problems == ["settings.toml line 3: something."]


class Client:
    connected = False
    trouble_text = ""


@pytest.mark.parametrize(
    ("lines", "connected", "trouble", "text"),
    [
        ('MQTT_BROKER = "10.0.0.1"', True, "", "connected"),
        ('MQTT_BROKER = "10.0.0.1"', False, "No broker 10.0.0.1:1883: no answer", "No broker 10.0.0.1:1883: no answer"),
        ("WEB_PORT = 80", False, "", "not used: MQTT_BROKER is not set"),
        ("WEB_PORT = 80", False, 'No Wi-Fi "x": no answer', 'No Wi-Fi "x": no answer'),
    ],
)
def test_what_the_page_says_of_mqtt(lines, connected, trouble, text):
    client = Client()
    client.connected = connected
    client.trouble_text = trouble
    assert Link(Settings(lines), client).text() == text


def test_home_assistant_gets_a_link_to_the_page_once_there_is_one():
    pack = Pack()
    battery = Battery(1, "bms1", "Daly BMS", "", pack, Poller(pack))
    address = [""]
    arguments = ("homeassistant", "daly/c0ffee", "c0ffee", "Daly BMS", [battery], "1.2.3", (), "acme", True, 0)
    discovery = Discovery(*arguments, lambda: address[0])
    assert b'"cu"' not in discovery.message(0)[1]
    address[0] = "http://192.168.1.77/"
    assert b',"cu":"http://192.168.1.77/"}' in discovery.message(0)[1]
    assert b'"cu"' not in Discovery(*arguments).message(0)[1]
