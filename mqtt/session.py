"""The one link to the broker: Wi-Fi, connecting, and every network fault there is. The publisher decides what is said over it.

MiniMQTT and the chip's radio raise OSError, MMQTTException, RuntimeError, AssertionError, KeyError and more; after any of
them the link is closed and made anew, with back-off and for ever. No tick waits longer than about 2.5 seconds (wire.py), but
for the chip's own Wi-Fi join and name lookup.
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
JOIN_TIMEOUT_S = 2  # so long the chip tries again by itself; its first try is not cut short by this
RADIO_RESTART_AFTER = 10  # failures in a row without a sign of life from the network
RECALL_MS = 1500  # a broker sends what is retained right behind the SUBACK; a new one has nothing
INBOX_SIZE = 8  # messages that may wait to be handed over; there is one person pressing one button
_OUT_OF_REACH_S = 1 << 20  # MiniMQTT's own ping blocks for its keep-alive, so it must never fall due
# What MiniMQTT, the socket pool and the radio have been seen to raise when the network or the broker is at fault.
FAULTS = (OSError, RuntimeError, AssertionError, KeyError, IndexError, ValueError, MemoryError, minimqtt.MMQTTException)


class Session:
    """Keeps the link up, says what the publisher has to say and hands what arrives to `commands`.

    `trouble` is None or why there is no link, in words. `join` is like the radio's `connect`, and ends.
    """

    def __init__(self, settings, radio, socket_pool, publisher, commands, keeper, client_id, ssl_context=None, join=None):
        self.connected = False
        self.connects = 0
        self.trouble = "connecting"
        self._settings = settings
        self._radio = radio
        self._publisher = publisher
        self._commands = commands
        self._keeper = keeper
        self._client_id = client_id
        self._ssl_context = None if ssl_context is None else Encrypted(ssl_context)
        self._join_network = join or radio.connect
        self._recall_until = None  # while what we said before the restart is waited for
        self._recall_pongs = 0  # behind the next answer to a ping there is nothing retained any more
        self._inbox: list = []  # (topic, payload, retained) of what arrived and is not handed over yet
        self._dropped = 0
        self._open = False  # connected, but perhaps not subscribed yet
        self._pool = Pool(socket_pool)
        self._client = self._make_client()
        self._failures_silent = 0  # in a row, without a sign of life from the network
        self._radio_stuck = False
        self._pause_ms = FIRST_PAUSE_MS
        self._next_try = None
        self._next_read = None
        self._spoke = False  # in the last tick
        self._next_ping = None

    def _make_client(self):
        """A MiniMQTT for one connection: a used one still holds the dead socket, and answers the next failure with that."""
        settings = self._settings
        client = minimqtt.MQTT(
            broker=settings.MQTT_BROKER,
            port=settings.MQTT_PORT,
            username=settings.MQTT_USERNAME or None,
            password=settings.MQTT_PASSWORD if settings.MQTT_USERNAME else None,
            client_id=self._client_id,
            is_ssl=self._ssl_context is not None,
            ssl_context=self._ssl_context,
            socket_pool=self._pool,
            socket_timeout=0,
            recv_timeout=ANSWER_TIMEOUT_S,
            keep_alive=KEEP_ALIVE_S,
            connect_retries=1,
            use_binary_mode=True,  # else a payload that is not UTF-8 would end the connection, a retained one for ever
        )
        client.on_message = self._note
        client.will_set(settings.base_topic + "/status", "offline", retain=True, qos=1)
        return client

    def tick(self, now):
        """At most one bounded piece of network work."""
        if self._inbox:
            self._hand_over(now)
        # what is read and what is said take turns: whoever talks all the time would not hear that the link is alive
        must_listen = self._spoke and ticks_diff(now, self._next_read) >= 0
        message = self._publisher.poll(now) if self.connected and not must_listen else None
        self._spoke = message is not None
        if self._pool.link is not None:
            self._pool.link.allow()
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
        if link.large is not None:  # too large for any command, which somebody should be told
            topic, payload, retained = link.large
            link.large = None
            self._keep(str(topic, "utf-8"), payload, retained)
        if ticks_diff(now, self._next_ping) >= 0:
            self._next_ping = ticks_add(now, PING_MS)
            link.ping()
        if ticks_diff(now, link.heard) > DEAF_MS:
            raise OSError(errno.ETIMEDOUT, "deaf")

    def _connect(self):
        if not self._radio.connected or self._radio_stuck:
            self._join()
            return  # the others come between joining and connecting
        if not self._radio.ipv4_address:
            raise OSError(errno.EHOSTUNREACH, "no address from the router (DHCP)")
        self._client = self._make_client()
        self._client.connect()
        self._client.keep_alive = _OUT_OF_REACH_S
        self._open = True

    def _subscribe(self):
        """Listen to the commands, anew after every connect: MiniMQTT and the broker forget.

        What somebody left retained on a command's topic is cleared first, or the broker would send it now.
        """
        for topic in self._commands.own_topics():
            self._client.publish(topic, b"", retain=True)
        self._listen_to(self._commands.topics())
        if self._keeper.loaded or not self._listen_to(self._keeper.topics):
            self._begin(ticks_ms())
        else:
            self._pool.link.ping()
            self._recall_pongs = self._pool.link.pongs
            self._recall_until = ticks_add(ticks_ms(), RECALL_MS)

    def _listen_to(self, topics):
        """Subscribe; False when the broker's access rules forbid some of it."""
        try:
            self._client.subscribe([(topic, 0) for topic in topics])
        except minimqtt.MMQTTException as error:
            if not str(error.args[0]).startswith("SUBACK Failure"):
                raise
            print("MQTT: the broker's access rules forbid to listen to everything:", error.args[0])
            return False
        return True

    def _recall(self, now):
        """Once after a restart, before anything is said: hear what we said last of the counters, retained.

        Too little patience here, and the counters fall: what is slow is waited for until it counts as dead.
        """
        link = self._pool.link
        if link.has_message():
            self._client.loop(0)
        if link.large is not None:
            topic, payload, retained = link.large
            link.large = None
            if retained:
                self._keeper.hear(str(topic, "utf-8"), payload)
        is_over = link.pongs != self._recall_pongs and ticks_diff(now, self._recall_until) >= 0
        if self._keeper.heard_all or is_over:
            self._recall_until = None
            self._client.unsubscribe(list(self._keeper.topics))
            self._begin(ticks_ms())
        elif ticks_diff(now, link.heard) > DEAF_MS:
            raise OSError(errno.ETIMEDOUT, "deaf")

    def _begin(self, now):
        self._keeper.finish()
        self._next_read = now
        self._next_ping = ticks_add(now, PING_MS)
        self._failures_silent = 0
        self._pause_ms = FIRST_PAUSE_MS
        self._publisher.begin(now)
        self.connected = True
        self.connects += 1
        self.trouble = None
        print("MQTT: connected to " + self._place())

    def _join(self):
        """Join the Wi-Fi: the one thing that may wait longer, see `join` in app/watch.py."""
        self.trouble = "No Wi-Fi"
        if self._radio_stuck:
            self._radio_stuck = False
            self._radio.enabled = False
            self._radio.enabled = True
        ssid = self._settings.CIRCUITPY_WIFI_SSID
        self._join_network(ssid, self._settings.CIRCUITPY_WIFI_PASSWORD, timeout=JOIN_TIMEOUT_S)
        print("Wi-Fi: joined", ssid)

    def _note(self, _client, topic, payload):
        """MiniMQTT calls this in the midst of its own work, even of our publishing: only remember the message."""
        if self._recall_until is not None and topic in self._keeper.topics:
            if self._pool.link.retained:
                self._keeper.hear(topic, payload)
        else:
            self._keep(topic, payload, self._pool.link.retained)

    def _keep(self, topic, payload, retained):
        if len(self._inbox) < INBOX_SIZE:
            self._inbox.append((topic, payload[: MAX_PAYLOAD + 1], retained))
        else:
            self._dropped += 1

    def _hand_over(self, now):
        topic, payload, retained = self._inbox.pop(0)
        if self._dropped:
            print(f"MQTT: {self._dropped} messages came too fast and were dropped")
            self._dropped = 0
        self._commands.take(topic, payload, retained, now)

    def _fail(self, error):
        if not self._open:
            self._pool.doubt()  # that address led nowhere
        self.connected = self._open = False
        self._recall_until = None
        self._inbox.clear()  # a command older than the link is not carried out
        # The socket is closed without a DISCONNECT, so that the broker publishes the will at once.
        self._pool.close()
        connection_manager_close_all(self._pool)  # type: ignore[arg-type]
        self._next_try = ticks_add(ticks_ms(), self._pause_ms)
        self._pause_ms = min(2 * self._pause_ms, LONGEST_PAUSE_MS)
        self._count_silence(_cause(error))
        trouble = self._explain(error)
        if trouble != self.trouble:
            self.trouble = trouble
            print("MQTT: " + trouble)

    def _count_silence(self, cause):
        """A radio whose driver is stuck comes back by being switched off and on. One that brings refusals is not stuck."""
        number = cause.args[0] if cause.args else None
        if self._radio.connected and number not in (errno.ETIMEDOUT, errno.EHOSTUNREACH):
            self._failures_silent = 0
            return
        self._failures_silent += 1
        self._radio_stuck = self._failures_silent % RADIO_RESTART_AFTER == 0

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
        if self._settings.MQTT_TLS:
            return f"No broker {self._place()} that speaks TLS: {_words(error)}; is MQTT_PORT its port for TLS?"
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
