"""The one link to the broker: Wi-Fi, connecting, and every network fault there is. The publisher decides what is said over it.

MiniMQTT and the chip's radio raise OSError, MMQTTException, RuntimeError, AssertionError, KeyError and more; after any of
them the link is closed and made anew, with back-off and for ever. No tick waits longer than about 2.5 seconds (wire.py), but
for the chip's own Wi-Fi join and name lookup.
"""

import errno
import random
import sys

import adafruit_minimqtt.adafruit_minimqtt as minimqtt
from adafruit_connection_manager import connection_manager_close_all
from adafruit_ticks import ticks_add, ticks_diff, ticks_ms

from .commands import MAX_PAYLOAD
from .transport import Encrypted, Pool

KEEP_ALIVE_S = 15
PING_MS = 5000  # our own pings do not wait for their answer
DEAF_MS = 12000  # nothing heard for so long: the link is dead, whatever the socket says
READ_MS = 50  # how often the socket is looked at
ANSWER_TIMEOUT_S = 2  # for CONNACK, SUBACK and PUBACK
FIRST_PAUSE_MS = 1000
LONGEST_PAUSE_MS = 60000
LIVED_MS = 60000  # what ended sooner was no session: the pauses before the next ones grow
JOIN_TIMEOUT_S = 2  # so long the chip tries again by itself; its first try is not cut short by this
RADIO_RESTART_AFTER = 10  # failures in a row without a sign of life from the network
RECALL_MS = 1500  # a broker sends what is retained right behind the SUBACK; a new one has nothing
INBOX_SIZE = 8  # messages that may wait to be handed over; there is one person pressing one button
# A broker that keeps no retained messages may close the connection of who asks for them, the last will included.
_RETAIN = 0
_TRIAL = 1  # let in without? Then once more with, to be sure that this was the reason
_CHECK = 2
_WITHOUT = 3
CLOSINGS = 2  # before that is tried
RETAINED_CLOSINGS = 3  # sessions in a row that ended with their first retained message
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
        self._recalling = False  # what arrives on the counters' topics is what we said before the restart
        self._recall_until = None  # while that is waited for
        self._recalled: list = []  # topics that are listened to for it
        self._recall_pongs = 0  # behind the next answer to a ping there is nothing retained any more
        base = settings.base_topic
        self._watched = (base + "/status", base + "/bms1/status")  # a late last will or a stranger may contradict us there
        self._echoes: list = [None, None]  # what arrived there last, not handed over yet
        # what must not be found retained, since a number that stays on the broker outlives its moment
        self._stale: tuple = ()
        if not getattr(settings, "MQTT_RETAIN_STATE", True):
            self._stale = (base + "/bms1/status", base + "/bms1/state", base + "/bms1/link")
        self._to_clear: list = []
        self._inbox: list = []  # (topic, payload, retained) of what arrived and is not handed over yet
        self._dropped = 0
        self._step = 0  # of subscribing
        self._open = False  # connected, but perhaps not subscribed yet
        self._pool = Pool(socket_pool)
        self._retaining = _RETAIN
        self._is_proven = False  # that it closes for retained messages
        self._closings = 0  # in a row, before it had let us in
        self._retained_closings = 0
        self._retained_said = 0  # messages in this session
        self._last_topic = ""  # and size of the last message
        self._last_size = 0
        self._suspect = ""  # that topic, when the session before ended with it too
        self._short = 0  # sessions in a row that did not live
        self._short_pause_ms = FIRST_PAUSE_MS
        self._lived_at = None  # when this one will have; None: it has
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
        retain = self._retaining in (_RETAIN, _CHECK)
        client.will_set(settings.base_topic + "/status", "offline", retain=retain, qos=1)
        return client

    def tick(self, now):
        """At most one bounded piece of network work."""
        if self._inbox:
            self._hand_over(now)
        if self.connected:
            if self._echoes[0] is not None or self._echoes[1] is not None:
                self._look_at_echoes(now)
            if self._lived_at is not None and ticks_diff(now, self._lived_at) >= 0:
                self._lived()
        # what is read and what is said take turns: whoever talks all the time would not hear that the link is alive
        must_listen = self._spoke and ticks_diff(now, self._next_read) >= 0
        message = self._next_message(now) if self.connected and not must_listen else None
        self._spoke = message is not None
        if self._pool.link is not None:
            self._pool.link.allow()
        try:
            if message is not None:
                topic, payload, retain, qos = message
                self._publish(topic, payload, retain, qos)
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

    def _next_message(self, now):
        if self._to_clear:
            return self._to_clear.pop(0), b"", True, 0
        return self._publisher.poll(now)

    def _publish(self, topic, payload, retain, qos):
        retain = retain and self._retaining != _WITHOUT
        self._last_topic = topic
        self._last_size = len(payload)
        self._retained_said += 1 if retain else 0
        self._client.publish(topic, payload, retain=retain, qos=qos)

    def _look_at_echoes(self, now):
        for index in range(len(self._watched)):
            payload = self._echoes[index]
            if payload is not None:
                self._echoes[index] = None
                self._publisher.contradicted(self._watched[index], payload, now)

    def _lived(self):
        self._lived_at = None
        self._short = self._closings = self._retained_closings = 0
        self._short_pause_ms = FIRST_PAUSE_MS

    def _listen(self, now):
        if ticks_diff(now, self._next_read) < 0:
            return
        self._next_read = ticks_add(now, READ_MS)
        link = self._pool.link
        if link.has_message():
            self._client.loop(0)
        self._take_large()  # too large for any command, which somebody should be told
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
        self._retained_said = self._step = 0
        self._client.connect()
        if self._retaining == _TRIAL:
            self._retaining = _CHECK
            self._client.disconnect()
            self._next_try = ticks_add(ticks_ms(), FIRST_PAUSE_MS)
            return
        if self._retaining == _CHECK:
            self._retaining = _RETAIN
        self._client.keep_alive = _OUT_OF_REACH_S
        self._open = True
        self._closings = 0
        self._lived_at = ticks_add(ticks_ms(), max(LIVED_MS, 3 * self._short_pause_ms // 2))

    def _subscribe(self):
        """Listen, anew after every connect: MiniMQTT and the broker forget. One question to the broker in each tick.

        What somebody left retained on a command's topic is cleared first, or the broker would send it now.
        """
        self._step += 1
        if self._step == 1:
            if self._retaining != _WITHOUT:
                for topic in self._commands.own_topics():
                    self._publish(topic, b"", True, 0)
            self._listen_to(self._commands.topics())
        elif self._step == 2:
            self._listen_to(self._watched)
            if self._keeper.loaded:
                self._begin(ticks_ms())
        elif self._step == 3:
            self._recalling = True  # before the broker is asked: it may send what is retained ahead of its SUBACK
            others = [topic for topic in self._stale if topic not in self._watched and topic not in self._keeper.topics]
            self._recalled = others if others and self._listen_to(others) else []
        elif self._listen_to(self._keeper.topics):
            self._recalled.extend(self._keeper.topics)
            self._pool.link.ping()
            self._recall_pongs = self._pool.link.pongs
            self._recall_until = ticks_add(ticks_ms(), RECALL_MS)
        else:
            self._begin(ticks_ms())

    def _listen_to(self, topics):
        """Subscribe; False when the broker's access rules forbid some of it."""
        try:
            self._client.subscribe([(topic, 0) for topic in topics])
        except minimqtt.MMQTTException as error:
            if not str(error.args[0]).startswith("SUBACK Failure"):
                raise
            print("MQTT: the broker's access rules forbid to listen to " + " ".join(topics))
            return False
        return True

    def _recall(self, now):
        """Once after a restart, before anything is said: hear what we said last of the counters, retained.

        Too little patience here, and the counters fall: what is slow is waited for until it counts as dead.
        """
        link = self._pool.link
        if link.has_message():
            self._client.loop(0)
        self._take_large()
        is_over = link.pongs != self._recall_pongs and ticks_diff(now, self._recall_until) >= 0
        if self._keeper.all_restored or is_over:
            self._recall_until = None
            self._client.unsubscribe(self._recalled)
            self._begin(ticks_ms())
        elif ticks_diff(now, link.heard) > DEAF_MS:
            raise OSError(errno.ETIMEDOUT, "deaf")

    def _begin(self, now):
        self._recalling = False
        self._keeper.finish()
        self._next_read = now
        self._next_ping = ticks_add(now, PING_MS)
        self._failures_silent = 0
        self._publisher.begin(now)
        self.connected = True
        self.connects += 1
        self.trouble = None
        print("MQTT: connected to " + self._place())

    def _join(self):
        """Join the Wi-Fi: the one thing that may wait longer, see `join` in app/watchdog.py."""
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
        self._sort(topic, payload, self._pool.link.retained)

    def _take_large(self):
        link = self._pool.link
        if link.large is not None:
            topic, payload, retained = link.large
            link.large = None
            try:
                self._sort(str(topic, "utf-8"), payload, retained)
            except UnicodeError:  # nobody's topic
                pass

    def _sort(self, topic, payload, retained):
        is_stale = topic in self._stale
        if is_stale and retained and payload and self._retaining != _WITHOUT and topic not in self._to_clear:
            self._to_clear.append(topic)
        if topic in self._watched:
            if payload or not is_stale:  # an empty one clears what is retained, and where nothing shall be that is all right
                self._echoes[self._watched.index(topic)] = payload[: MAX_PAYLOAD + 1]
        elif topic in self._keeper.topics:
            # not only what has the retain flag: a broker that is joined to another by a bridge sends the same without
            if self._recalling:
                self._keeper.restore(topic, payload)
        elif not is_stale:
            self._keep(topic, payload, retained)

    def _keep(self, topic, payload, retained):
        if len(self._inbox) < INBOX_SIZE:
            self._inbox.append((topic, payload[: MAX_PAYLOAD + 1], retained))
        else:
            self._dropped += 1

    def _hand_over(self, now):
        topic, payload, retained = self._inbox.pop(0)
        self._commands.take(topic, payload, retained, now)

    def _count_dropped(self):
        if self._dropped:
            print(f"MQTT: {self._dropped} messages came too fast and were dropped")
            self._dropped = 0

    def _fail(self, error):
        was_open = self._open
        if not was_open:
            self._pool.doubt()  # that address led nowhere
        self.connected = self._open = self._recalling = False
        self._recall_until = None
        self._to_clear.clear()
        self._echoes = [None, None]
        for topic, payload, retained in self._inbox:  # a command older than the link is not carried out
            if not retained and payload:
                self._commands.refuse(topic, "the connection to the broker broke before it was carried out")
        self._inbox.clear()
        # The socket is closed without a DISCONNECT, so that the broker publishes the will at once.
        self._pool.close()
        connection_manager_close_all(self._pool)  # type: ignore[arg-type]
        from . import trouble as words  # 5 KB on a board that only a fault needs

        cause = _cause(error)
        closed = self._radio.connected and words.is_closing(cause)
        self._weigh_retain(was_open, closed)
        self._next_try = ticks_add(ticks_ms(), self._next_pause(was_open))
        self._count_silence(cause)
        trouble = self._explain(words, error, cause, was_open, closed)
        _forget_words()
        if trouble != self.trouble:
            self.trouble = trouble
            print("MQTT: " + trouble)

    def _next_pause(self, was_open):
        """A session that has lived is followed by a new one at once. Jittered: two with one id must not keep step."""
        if not was_open:
            pause = self._pause_ms
            self._pause_ms = min(2 * pause, LONGEST_PAUSE_MS)
            return pause
        if self._lived_at is None:
            self._short = 0
        elif self._radio.connected:
            self._short += 1
        self._lived_at = None
        pause = self._short_pause_ms
        if self._short:
            self._short_pause_ms = min(2 * pause, LONGEST_PAUSE_MS)
        self._pause_ms = self._short_pause_ms
        return pause * random.randrange(80, 121) // 100

    def _weigh_retain(self, was_open, closed):
        """Find out whether the broker closes for retained messages, and only then go on without them."""
        if was_open:
            ended_by_one = closed and self._retaining == _RETAIN and self._retained_said == 1
            self._retained_closings = self._retained_closings + 1 if ended_by_one else 0
            if self._retaining == _WITHOUT:
                self._retaining = _RETAIN  # perhaps it can by now
            elif self._retained_closings >= RETAINED_CLOSINGS or (ended_by_one and self._is_proven):
                self._go_without()
        elif self._retaining == _CHECK or (self._retaining == _RETAIN and self._is_proven):
            self._retaining = _RETAIN
            if closed:
                self._go_without()
        elif self._retaining == _RETAIN and closed:
            self._closings += 1
            if self._closings >= CLOSINGS:
                self._closings = 0
                self._retaining = _TRIAL
        else:
            if self._retaining == _WITHOUT:
                self._is_proven = False
            self._retaining = _RETAIN

    def _go_without(self):
        self._retaining = _WITHOUT
        self._is_proven = True
        print(
            f"MQTT: {self._place()} keeps no retained messages. Going on without: who subscribes later waits for the next one."
        )

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

    def _explain(self, words, error, cause, was_open, closed):
        if not self._radio.connected:
            return words.no_wifi(self._settings.CIRCUITPY_WIFI_SSID, cause)
        topic = self._last_topic
        if was_open and closed and self._short > 1:
            is_suspect = topic == self._suspect
            self._suspect = topic
            return words.keeps_ending(self._place(), self._short, topic, self._last_size, is_suspect, self._client_id)
        self._suspect = topic if was_open else self._suspect
        return words.no_broker(self._settings, cause, was_open, _rejected(error, cause, was_open), self._client_id)


def _rejected(error, cause, was_open):
    """The number with which a CONNACK refused us; None: none did. MiniMQTT fails with a KeyError at those it does not know."""
    if was_open:
        return None
    code = getattr(error, "code", None) or getattr(cause, "code", None)
    return cause.args[0] if isinstance(cause, KeyError) and cause.args else code


def _forget_words():
    """Give the memory of words.py back; at the next fault they are loaded anew."""
    name = __name__.replace("session", "words")
    if name in sys.modules:
        del sys.modules[name]
        delattr(sys.modules[name.split(".")[0]], "words")


def _cause(error):
    """What really happened: MiniMQTT wraps it, sometimes twice."""
    while getattr(error, "__cause__", None) is not None:
        error = error.__cause__
    return error
