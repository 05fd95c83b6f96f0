"""The one link to the broker: Wi-Fi, connecting, and every network fault there is. The publisher decides what is said over it.

MiniMQTT and the chip's radio raise OSError, MMQTTException, RuntimeError, AssertionError, KeyError and more; after any of
them the link is closed and made anew, with back-off and for ever. Nothing here waits longer than about three seconds, but
the chip's own Wi-Fi connect.
"""

import errno

import adafruit_minimqtt.adafruit_minimqtt as minimqtt
from adafruit_connection_manager import connection_manager_close_all
from adafruit_ticks import ticks_add, ticks_diff, ticks_ms

from .commands import MAX_PAYLOAD
from .wire import Encrypted, Pool

KEEP_ALIVE_S = 15
PING_MS = 5000  # our own pings do not wait for their answer
DEAF_MS = 12000  # nothing heard for so long: the link is dead, whatever the socket says
READ_MS = 50  # how often the socket is looked at
ANSWER_TIMEOUT_S = 2  # for CONNACK, SUBACK and PUBACK
FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 60000
JOIN_TIMEOUT_S = 8
RADIO_RESTART_AFTER = 10  # failures in a row
RECALL_MS = 1500  # a broker sends what is retained right behind the SUBACK; a new one has nothing
INBOX_SIZE = 8  # messages that may wait to be handed over; there is one person pressing one button
_OUT_OF_REACH_S = 1 << 18  # MiniMQTT's own ping blocks for its keep-alive, so it must never fall due
# What MiniMQTT, the socket pool and the radio have been seen to raise when the network or the broker is at fault.
FAULTS = (OSError, RuntimeError, AssertionError, KeyError, IndexError, ValueError, minimqtt.MMQTTException)


class Session:
    """Keeps the link up, says what the publisher has to say and hands what arrives to `commands`.

    `trouble` is None or why there is no link, in words.
    """

    def __init__(self, settings, radio, socket_pool, publisher, commands, keeper, client_id, ssl_context=None):
        self.connected = False
        self.connects = 0
        self.trouble = "connecting"
        self._settings = settings
        self._radio = radio
        self._publisher = publisher
        self._commands = commands
        self._keeper = keeper
        self._recall_until = None  # while what we said before the restart is waited for
        self._inbox: list = []  # (topic, payload, retained) of what arrived and is not handed over yet
        self._dropped = 0
        self._open = False  # connected, but perhaps not subscribed yet
        self._pool = Pool(socket_pool)
        self._client = minimqtt.MQTT(
            broker=settings.MQTT_BROKER,
            port=settings.MQTT_PORT,
            username=settings.MQTT_USERNAME or None,
            password=settings.MQTT_PASSWORD if settings.MQTT_USERNAME else None,
            client_id=client_id,
            is_ssl=ssl_context is not None,
            ssl_context=None if ssl_context is None else Encrypted(ssl_context),
            socket_pool=self._pool,
            socket_timeout=0,
            recv_timeout=ANSWER_TIMEOUT_S,
            keep_alive=KEEP_ALIVE_S,
            connect_retries=1,
            use_binary_mode=True,  # else a payload that is not UTF-8 would end the connection, a retained one for ever
        )
        self._client.on_message = self._note
        self._client.will_set(settings.base_topic + "/status", "offline", retain=True, qos=1)
        self._failures = 0  # in a row
        self._pause_ms = FIRST_PAUSE_MS
        self._next_try = None
        self._next_read = None
        self._next_ping = None

    def tick(self, now):
        """At most one bounded piece of network work."""
        if self._inbox:
            self._hand_over(now)
        message = self._publisher.poll(now) if self.connected else None
        try:
            if message is not None:
                topic, payload, retain, qos = message
                self._client.publish(topic, payload, retain=retain, qos=qos)
            elif self.connected:
                self._listen(now)
            elif self._recall_until is not None:
                self._recall(now)
            elif self._open:
                self._subscribe()
            elif self._next_try is None or ticks_diff(now, self._next_try) >= 0:
                self._connect()
        except FAULTS as error:
            self._fail(error)

    def _listen(self, now):
        if ticks_diff(now, self._next_read) < 0:
            return
        self._next_read = ticks_add(now, READ_MS)
        link = self._pool.link
        if link.has_message():
            self._client.loop(0)
        if ticks_diff(now, self._next_ping) >= 0:
            self._next_ping = ticks_add(now, PING_MS)
            link.ping()
        if ticks_diff(now, link.heard) > DEAF_MS:
            raise OSError(errno.ETIMEDOUT, "deaf")

    def _connect(self):
        if not self._radio.connected or self._failures % RADIO_RESTART_AFTER == RADIO_RESTART_AFTER - 1:
            self._join()
        if not self._radio.ipv4_address:
            raise OSError(errno.EHOSTUNREACH, "no address from the router (DHCP)")
        self._client.keep_alive = KEEP_ALIVE_S
        self._client.connect()
        self._client.keep_alive = _OUT_OF_REACH_S
        self._open = True

    def _subscribe(self):
        """Listen to the commands, anew after every connect: MiniMQTT and the broker forget.

        What somebody left retained on a command's topic is cleared first, or the broker would send it now.
        """
        for topic in self._commands.own_topics():
            self._client.publish(topic, b"", retain=True)
        try:
            self._client.subscribe([(topic, 0) for topic in self._commands.topics()])
        except minimqtt.MMQTTException as error:
            if not str(error.args[0]).startswith("SUBACK Failure"):
                raise
            print("MQTT: the broker's access rules forbid to listen to all commands:", error.args[0])
        self._client._subscribed_topics.clear()  # it would only grow, with every connect
        if self._keeper.loaded:
            self._begin(ticks_ms())
        else:
            self._client.subscribe([(topic, 0) for topic in self._keeper.topics])
            self._recall_until = ticks_add(ticks_ms(), RECALL_MS)

    def _recall(self, now):
        """Once after a restart, before anything is said: hear what we said last of the counters, retained."""
        link = self._pool.link
        if link.has_message():
            self._client.loop(0)
        if link.large is not None:
            topic, payload, retained = link.large
            link.large = None
            if retained:
                self._keeper.hear(str(topic, "utf-8"), payload)
        if self._keeper.heard_all or ticks_diff(now, self._recall_until) >= 0:
            self._recall_until = None
            self._client.unsubscribe(list(self._keeper.topics))
            self._keeper.finish()
            self._begin(ticks_ms())

    def _begin(self, now):
        self._next_read = now
        self._next_ping = ticks_add(now, PING_MS)
        self._failures = 0
        self._pause_ms = FIRST_PAUSE_MS
        self._publisher.begin(now)
        self.connected = True
        self.connects += 1
        self.trouble = None
        print("MQTT: connected to " + self._place())

    def _join(self):
        """Join the Wi-Fi; waits as long as the chip does, up to about JOIN_TIMEOUT_S and what its driver adds for DHCP."""
        self.trouble = "No Wi-Fi"
        radio = self._radio
        if self._failures % RADIO_RESTART_AFTER == RADIO_RESTART_AFTER - 1:  # a driver that is stuck comes back this way
            radio.enabled = False
            radio.enabled = True
        ssid = self._settings.CIRCUITPY_WIFI_SSID
        radio.connect(ssid, self._settings.CIRCUITPY_WIFI_PASSWORD, timeout=JOIN_TIMEOUT_S)
        print("Wi-Fi: joined", ssid)

    def _note(self, _client, topic, payload):
        """MiniMQTT calls this in the midst of its own work, even of our publishing: only remember the message."""
        if self._recall_until is not None and topic in self._keeper.topics:
            if self._pool.link.retained:
                self._keeper.hear(topic, payload)
        elif len(self._inbox) < INBOX_SIZE:
            self._inbox.append((topic, payload[: MAX_PAYLOAD + 1], self._pool.link.retained))
        else:
            self._dropped += 1

    def _hand_over(self, now):
        topic, payload, retained = self._inbox.pop(0)
        if self._dropped:
            print(f"MQTT: {self._dropped} messages came too fast and were dropped")
            self._dropped = 0
        self._commands.take(topic, payload, retained, now)

    def _fail(self, error):
        self.connected = self._open = False
        self._recall_until = None
        self._inbox.clear()  # a command older than the link is not carried out
        # The socket is closed without a DISCONNECT, so that the broker publishes the will at once.
        connection_manager_close_all(self._pool)  # type: ignore[arg-type]
        self._next_try = ticks_add(ticks_ms(), self._pause_ms)
        self._pause_ms = min(2 * self._pause_ms, LONGEST_PAUSE_MS)
        self._failures += 1
        trouble = self._explain(error)
        if trouble != self.trouble:
            self.trouble = trouble
            print("MQTT: " + trouble)

    def _place(self):
        return f"{self._settings.MQTT_BROKER}:{self._settings.MQTT_PORT}"

    def _explain(self, error):
        error = _cause(error)
        if not self._radio.connected:
            return f'No Wi-Fi "{self._settings.CIRCUITPY_WIFI_SSID}": {_words(error)}'
        if getattr(error, "code", None) in (4, 5):
            return f"Broker {self._place()} refuses MQTT_USERNAME or MQTT_PASSWORD"
        if self._settings.MQTT_TLS and _is_certificate(error):
            return (
                f"Broker {self._place()} is not trusted: {_words(error)}; check MQTT_CA_FILE, MQTT_BROKER's name and its clock"
            )
        return f"No broker {self._place()}: {_words(error)}"


def _cause(error):
    """What really happened: MiniMQTT wraps it, sometimes twice."""
    while getattr(error, "__cause__", None) is not None:
        error = error.__cause__
    return error


def _is_certificate(error):
    """Whether the TLS library refused the other side. mbedtls: -0x2700 is X509_CERT_VERIFY_FAILED; on a PC OpenSSL says so."""
    return bool(error.args) and (error.args[0] in (-0x2700, 0x2700) or "certificate" in str(error).lower())


def _words(error):
    """What an exception says, for people."""
    number = error.args[0] if error.args else None
    if number in _ERRNO_WORDS:
        return _ERRNO_WORDS[number]
    if type(error).__name__ == "gaierror":
        return "name not found, is it right? An IP address is surest"
    if isinstance(number, str):
        return number
    return str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__


_ERRNO_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection closed",
    errno.ENOTCONN: "connection closed",
    errno.ETIMEDOUT: "no answer",
}
