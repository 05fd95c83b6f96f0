# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The page in the browser: connects the server to the parts, and gives the bridge a name in the network. Only with WEB_PORT."""

from web.history import History
from web.server import Server

HTTP_PORT = 80  # the one that need not stand in an address
HISTORY_MIN = 1440
ADVERTISE_MS = 5000  # how often it is tried


class Address:
    """The page's address, as `text()`. `radio`: wifi.radio."""

    def __init__(self, radio, port):
        self._radio = radio
        self._end = "/" if port == HTTP_PORT else f":{port}/"

    def text(self):
        """Such as "http://192.168.1.77/"; "" while the bridge has no address."""
        address = self._radio.ipv4_address
        return self.of(str(address)) if address else ""

    def of(self, host):
        """The address under another name of the bridge."""
        return "http://" + host + self._end


class Link:
    """What the page says of MQTT."""

    def __init__(self, settings, client):
        self._has_broker = settings.MQTT_BROKER != ""
        self._client = client

    def text(self):
        """A sentence with its remedy, or "connected"."""
        if self._client.connected:
            return "connected"
        return self._client.trouble_text or ("connecting" if self._has_broker else "not used: MQTT_BROKER is not set")


class Announcer:
    """Says once on the console where the page is, and gives the bridge the name daly-<id>.local in the network.

    `name`: without ".local"; None where CircuitPython's own web workflow has a name already, and it must keep that.
    `address`: an Address. While the `server` has a problem it is among the `problems` of the settings, for console, screen and
    Home Assistant.
    """

    def __init__(self, radio, port, name, address, server, problems):
        self._radio = radio
        self._port = port
        self._name = name
        self._address = address
        self._server = None  # mdns.Server; it lives as long as the name
        self._said = ""  # the address as printed
        self._page_server = server
        self._problems = problems
        self._problem = None  # as it stands among them

    def tick(self, _now):
        """Returns the ms until the next call."""
        problem = self._page_server.problem
        if problem != self._problem:
            self._tell(problem)
        address = self._address.text()
        if address and address != self._said and problem is None:
            self._said = address
            if self._server is None and self._name is not None:
                self._server = _advertise(self._radio, self._name, self._port)
            named = "" if self._server is None else " or " + self._address.of(self._name + ".local")
            print("Page: " + address + named)
        return ADVERTISE_MS

    def _tell(self, problem):
        if self._problem is not None:
            self._problems.remove(self._problem)
        if problem is not None:
            self._problems.append(problem)
            print("Page: " + problem)
        self._problem = problem
        self._said = ""


def host_name(identity):
    """The bridge's name in the network, without ".local": letters, digits and hyphens."""
    return "daly-" + "".join([char if "a" <= char <= "z" or "0" <= char <= "9" else "-" for char in identity.lower()])


def _advertise(radio, name, port):
    """The mdns.Server that answers for this name; None: it is not possible, as with a firmware that has none."""
    try:
        import mdns

        server = mdns.Server(radio)
        server.hostname = name
        server.advertise_service(service_type="_http", protocol="_tcp", port=port)
    except (ImportError, RuntimeError, ValueError, OSError, MemoryError):
        return None
    return server


def connect(address, settings, loop, pool, radio, batteries, bank, sources, bridge_state, client, diagnostics):
    """Put server, history and announcer among the jobs of the loop. `address`: an Address; `bank`: None with one battery."""
    history = History(batteries, bank, HISTORY_MIN)
    names = (settings.base_topic, settings.identity, settings.DEVICE_NAME)
    values = (batteries, bank, sources, bridge_state.pairs, Link(settings, client).text, history, diagnostics)

    def make_site():
        from web.site import Site  # while somebody looks

        return Site(*names, *values)

    server = Server(pool, radio, settings.WEB_PORT, settings.WEB_PASSWORD, make_site)
    loop.add("page", server.tick, fills=True)
    loop.add("history", history.tick)
    name = None if settings.workflow else host_name(settings.identity)
    loop.add("page address", Announcer(radio, settings.WEB_PORT, name, address, server, settings.problems).tick)
