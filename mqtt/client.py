# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The MQTT client: joins the Wi-Fi, connects to the broker, and recovers from every network failure.

What is published is decided in publisher.py, what a received command does in commands.py. A message is sent in pieces, one in
each tick, and until it is sent, and acknowledged if its QoS is 1, nothing else is sent. MiniMQTT and the radio raise OSError,
MMQTTException, RuntimeError, AssertionError, KeyError and more; after any of them the connection is closed and made again, with
increasing back-off and for ever. No tick takes longer than about 2.5 seconds (transport.py), except the chip's own Wi-Fi join
and name lookup.
"""

import errno
import random

import adafruit_minimqtt.adafruit_minimqtt as minimqtt
from adafruit_connection_manager import connection_manager_close_all
from adafruit_ticks import ticks_add, ticks_diff, ticks_ms

from battery.unload import LOADS, unload

from .commands import MAX_PAYLOAD
from .transport import PacketSocketPool, TlsContext

KEEP_ALIVE_S = 15
PING_INTERVAL_MS = 5000  # pings are sent here and not waited for, unlike MiniMQTT's
SILENCE_LIMIT_MS = 12000  # nothing received for so long: the connection is dead, whatever the socket reports
READ_INTERVAL_MS = 50  # how often the socket is looked at
BLIND_READ_INTERVAL_MS = 100  # the same where only reading tells whether something has arrived: that costs an exception
ACK_INTERVAL_MS = 20  # the same while a PUBACK is waited for
IDLE_MS = 20  # a tick without work need not be followed by another one sooner
RESPONSE_TIMEOUT_S = 2  # for CONNACK, SUBACK and PUBACK
# Back-off with full jitter: an attempt follows after LEAST_BACKOFF_MS up to the back-off. When a broker with thousands of
# bridges restarts, all lose it in the same moment: they must not come back in step.
LEAST_BACKOFF_MS = 250
FIRST_BACKOFF_MS = 1000
LOST_BACKOFF_MS = 4000  # after a stable connection
LONGEST_BACKOFF_MS = 60000
MOST_PRINTED = 4  # troubles of one outage that are not printed again; several brokers have one each
START_SPREAD_MS = 2000  # after a power cut all boards of a site start in step
STABLE_AFTER_MS = 60000  # a connection that ended sooner makes the back-off longer
JOIN_TIMEOUT_S = 2  # limits the chip's own retries, not its first attempt
RADIO_RESTART_AFTER = 10  # failures in a row without any response from the network
RESTORE_MS = 1500  # a broker sends retained messages right after the SUBACK, with a bridge behind it later; a new one has none
GONE_AT_ONCE = 8  # topics in one request
INBOX_SIZE = 8  # received messages waiting to be executed; normally one person presses one button
# A broker without retained messages may close a connection that asks for them, the last will included.
_RETAIN = 0
_TRIAL = 1  # accepted without? Then once more with, to be sure that this was the reason
_CHECK = 2
_WITHOUT = 3
REJECTIONS_BEFORE_TRIAL = 2  # before that is tried
RETAINED_CLOSINGS = 3  # connections in a row that ended with their first retained message
WIFI_LOOK_MS = 1000  # how often, without a connection to keep, the Wi-Fi is looked at
_OUT_OF_REACH_S = 1 << 20  # MiniMQTT's own ping blocks for its keep-alive, so it must never fall due
# What MiniMQTT, the socket pool and the radio have been seen to raise when the network or the broker fails.
FAILURES = (OSError, RuntimeError, AssertionError, KeyError, IndexError, ValueError, MemoryError, minimqtt.MMQTTException)


class MqttClient:
    """Keeps the connection up, sends the publisher's messages and passes received ones to `commands`.

    `radio` is wifi.radio; `socket_pool` the chip's SocketPool; `energy_store` restores the counters from their retained topic;
    `ssl_context` None: no TLS. `join` has the arguments of the radio's `connect` and a time limit; None: use `connect`. `keys`:
    of the batteries; `sources`: of the sources (battery/sources.py); `gone`: topics on which nothing is sent any
    more: what an earlier start has left retained there is cleared, at each broker once.
    Without MQTT_BROKER, or where TLS is not possible, it only keeps the Wi-Fi joined, and only for the page in the browser.
    `trouble` is (code, details) of trouble.py; None while connected, or joined where the page is all that is wanted. `connects`
    counts connections since the start. `spread_ms`: the first attempt is made at some time within it.
    """

    def __init__(self, settings, radio, socket_pool, publisher, commands, energy_store, client_id, ssl_context=None, join=None,
                 keys=("bms1",), sources=(), gone=(), spread_ms=0):  # fmt: skip
        self.connected = False
        self.connects = 0
        self.trouble = _obstacle(settings, ssl_context)
        self._is_possible = self.trouble[0] == "connecting"
        self._keeps_wifi = not self._is_possible and bool(getattr(settings, "WEB_PORT", 0))
        self._lasting = self.trouble  # what is wrong also when the Wi-Fi has been joined
        if self._keeps_wifi and not settings.MQTT_BROKER:
            self._lasting = None
            self.trouble = ("connecting", ())
        self._trouble_text = None  # the sentence for `trouble`, once it was asked for
        self._settings = settings
        self._brokers = settings.brokers
        self._at = 0  # which of them
        self._failures = 0  # attempts to connect since the last connection
        self._radio = radio
        self._publisher = publisher
        self._commands = commands
        self._energy_store = energy_store
        self._client_id = client_id
        self._ssl_context = None if ssl_context is None else TlsContext(ssl_context)
        self._join_network = join or radio.connect
        self._is_restoring = False  # messages on the counters' topics are our own, from before the restart
        self._restore_until = None  # how long they are waited for, beside the session
        self._restore_topics: list = []  # topics subscribed to for it
        self._restore_pings = 0  # no retained message follows the next PINGRESP
        base = settings.base_topic
        # others may publish there, too; and the mark of the discovery that the broker retains
        self._status_topics = [base + "/status", base + "/announced"]
        for key in keys:
            self._status_topics.append(base + "/" + key + "/status")
        self._status_payloads: dict = {}  # received there last, and not passed on yet
        # topics on which nothing must stay retained: an old number would look current
        self._unretained: list = []
        if not getattr(settings, "MQTT_RETAIN_STATE", True):
            for key in keys:
                self._unretained += [base + "/" + key + end for end in ("/status", "/state", "/connection", "/info")]
            if len(keys) > 1:
                self._unretained.append(base + "/bank/state")
            for key in sources:
                self._unretained.append(base + "/" + key + "/state")
        self._gone = gone
        # brokers, by number, that have not been asked yet what is retained there; where the counters need no restoring, none
        self._unasked = [] if energy_store.loaded else list(range(len(self._brokers)))
        self._to_clear: list = []
        self._inbox: list = []  # (topic, payload, retained) received and not executed yet
        self._dropped = 0
        self._step = 0  # of subscribing, from 1
        self._is_open = False  # the broker has accepted the connection; subscribing may follow
        self._pool = PacketSocketPool(socket_pool, self._on_large)
        self._retaining = _RETAIN
        self._is_retain_refused = False  # proven by a trial: the broker closes for retained messages
        self._rejections = 0  # connections in a row closed before the CONNACK
        self._retained_closings = 0
        self._retained_count = 0  # retained messages in this connection
        self._last_topic = ""  # of the last message published, and its size
        self._last_size = 0
        self._closing_topic = ""  # the topic with which the connection before ended, too
        self._short_sessions = 0  # in a row
        self._printed: list = []  # troubles since the last connection
        self._short_backoff_ms = LOST_BACKOFF_MS
        self._stable_at = None  # tick from which this connection counts as stable; None: it does
        self._client = self._make_client()
        self._silent_failures = 0  # in a row, without any response from the network
        self._radio_stuck = False
        self._backoff_ms = FIRST_BACKOFF_MS
        self._next_try = ticks_add(ticks_ms(), random.randrange(spread_ms)) if spread_ms else None
        self._next_read = None
        self._has_published = False  # in the last tick
        self._is_sending = False  # a message has been begun and not sent completely
        self._awaited_id = 0  # packet identifier of a message whose PUBACK is missing; 0: none
        self._await_until = None  # how long it is waited for
        self._idle_until = None  # until then there is nothing to do, unless the publisher has news; None: there may be
        self._next_ping = None

    def _make_client(self):
        """A MiniMQTT for one connection: a used one still holds the dead socket and fails with it again."""
        settings = self._settings
        host, port = self._brokers[self._at]
        client = minimqtt.MQTT(
            broker=host,
            port=port,
            username=settings.MQTT_USERNAME or None,
            password=settings.MQTT_PASSWORD if settings.MQTT_USERNAME else None,
            client_id=self._client_id,
            is_ssl=self._ssl_context is not None,
            ssl_context=self._ssl_context,
            socket_pool=self._pool,
            socket_timeout=0,
            recv_timeout=RESPONSE_TIMEOUT_S,
            keep_alive=KEEP_ALIVE_S,
            connect_retries=1,
            use_binary_mode=True,  # else a payload that is not UTF-8 would end the connection, a retained one for ever
        )
        client.on_message = self._on_message
        retain = self._retaining in (_RETAIN, _CHECK)
        client.will_set(settings.base_topic + "/status", "offline", retain=retain, qos=1)
        return client

    def tick(self, now):
        """One bounded piece of network work at most. Returns for how many ms it need not be called again; None: at once;
        LOADS: the same, and that call takes a long time.
        """
        if self._idle_until is not None:
            if ticks_diff(now, self._idle_until) < 0 and not self._publisher.has_news():
                return IDLE_MS
            self._idle_until = None
        if not self._is_possible:
            if self._keeps_wifi:
                self._keep_wifi(now)
            return IDLE_MS
        if self._inbox:
            self._run_command(now)
        if self.connected:
            if self._status_payloads:
                self._check_status(now)
            if self._stable_at is not None and ticks_diff(now, self._stable_at) >= 0:
                self._note_stable()
        # reading and publishing alternate: a client that only publishes would miss the PINGRESPs
        must_receive = self._has_published and ticks_diff(now, self._next_read) >= 0
        is_free = self.connected and not (self._is_sending or self._awaited_id or must_receive)
        must_end = is_free and self._restore_until is not None and ticks_diff(now, self._restore_until) >= 0
        message = None
        if is_free and not must_end:
            message = (self._to_clear.pop(0), b"", True, 0) if self._to_clear else self._publisher.poll(now)
        self._has_published = message is not None
        if self._pool.last is not None:
            self._pool.last.start_tick()
        try:
            if message is not None:
                self._begin(*message)
                self._send(now)
            elif self._is_sending:
                self._send(now)
            elif must_end:
                self._end_restoring()
            elif self.connected:
                self._receive(now)
            elif self._restore_until is not None:
                self._await_retained(now)
            elif self._is_open:
                self._subscribe()
            elif self._next_try is None or ticks_diff(now, self._next_try) >= 0:
                self._connect()
            else:
                return IDLE_MS
        except FAILURES as error:
            self._fail(error)
            return None
        return self._pause(now)

    def _pause(self, now):
        """What `tick` returns."""
        if not self.connected or self._is_sending or self._has_published or self._inbox:
            return None
        if self._awaited_id:
            return ACK_INTERVAL_MS // 4
        if self._to_clear or self._publisher.has_news():
            return LOADS if self._publisher.is_loading() else None
        if not self._status_payloads:
            self._idle_until = ticks_add(now, READ_INTERVAL_MS)
        return IDLE_MS

    def _begin(self, topic, payload, retain, qos):
        retain = retain and self._retaining != _WITHOUT
        self._last_topic = topic
        self._last_size = len(payload)
        self._retained_count += 1 if retain else 0
        self._awaited_id = self._pool.last.begin_message(topic, payload, retain, qos)
        self._is_sending = True

    def _send(self, now):
        """Send a piece of the message begun."""
        if self._pool.last.send_piece():
            self._is_sending = False
            self._await_until = ticks_add(ticks_ms(), 1000 * RESPONSE_TIMEOUT_S)  # a command may have taken a while before

    def _check_status(self, now):
        while self._status_payloads:
            topic, payload = self._status_payloads.popitem()
            self._publisher.status_received(topic, payload, now)

    def _note_stable(self):
        self._stable_at = None
        self._short_sessions = self._rejections = self._retained_closings = 0
        self._short_backoff_ms = LOST_BACKOFF_MS

    def _receive(self, now):
        socket = self._pool.last
        if ticks_diff(now, self._next_read) < 0 and not (self._awaited_id and socket.can_tell):
            return
        interval = READ_INTERVAL_MS if socket.can_tell else BLIND_READ_INTERVAL_MS
        self._next_read = ticks_add(now, ACK_INTERVAL_MS if self._awaited_id else interval)
        if not socket.is_silent() and socket.has_message():
            self._client.loop(0)
        if self._awaited_id:
            self._await_ack(now, socket)
        if ticks_diff(now, self._next_ping) >= 0:
            self._next_ping = ticks_add(now, PING_INTERVAL_MS)
            socket.ping()
        if ticks_diff(now, socket.received_at) > SILENCE_LIMIT_MS:
            raise OSError(errno.ETIMEDOUT, "no_answer")

    def _await_ack(self, now, socket):
        if socket.acknowledged == self._awaited_id:
            self._awaited_id = 0
        elif ticks_diff(now, self._await_until) > 0:
            raise OSError(errno.ETIMEDOUT, "no_answer")

    def _connect(self):
        if not self._radio.connected or self._radio_stuck:
            self._join()
            return  # other jobs run between joining and connecting
        if not self._radio.ipv4_address:
            raise OSError(errno.EHOSTUNREACH, "no_address")
        self._client = self._make_client()
        self._retained_count = self._step = 0
        self._client.connect()
        if self._retaining == _TRIAL:
            self._retaining = _CHECK
            self._client.disconnect()
            self._next_try = ticks_add(ticks_ms(), FIRST_BACKOFF_MS)
            return
        if self._retaining == _CHECK:
            self._retaining = _RETAIN
        self._client.keep_alive = _OUT_OF_REACH_S
        self._is_open = True
        self._rejections = self._failures = 0
        self._stable_at = ticks_add(ticks_ms(), max(STABLE_AFTER_MS, 3 * self._short_backoff_ms // 2))

    def _subscribe(self):
        """Subscribe after every connect, one request in each tick: neither MiniMQTT nor the broker remembers.

        What is retained on a command topic is cleared first, or the broker would deliver it now.
        """
        self._step += 1
        if self._step == 1:
            if self._retaining != _WITHOUT:
                for topic in self._commands.own_topics():
                    self._begin(topic, b"", True, 0)
                    self._pool.last.finish_message()
                self._is_sending = False
            self._subscribe_to(self._commands.topics())
        elif self._step == 2:
            self._subscribe_to(self._status_topics)
            if self._energy_store.loaded and self._at not in self._unasked:
                self._start_session(ticks_ms())
        elif self._step == 3:
            self._is_restoring = True  # first: retained messages may come before the SUBACK
            known = self._status_topics + list(self._energy_store.topics)
            others = [topic for topic in self._unretained if topic not in known]
            self._restore_topics = others if others and self._subscribe_to(others) else []
        elif len(self._gone) > GONE_AT_ONCE * (self._step - 4):
            some = self._gone[GONE_AT_ONCE * (self._step - 4) : GONE_AT_ONCE * (self._step - 3)]
            if self._subscribe_to(some):
                self._restore_topics.extend(some)
            else:
                self._gone = ()
        else:
            if self._subscribe_to(self._energy_store.topics):
                self._restore_topics.extend(self._energy_store.topics)
            self._pool.last.ping()
            self._restore_pings = self._pool.last.ping_responses
            self._restore_until = ticks_add(ticks_ms(), RESTORE_MS)

    def _subscribe_to(self, topics):
        """Subscribe to `topics`; False when the broker's access rules forbid one of them."""
        try:
            self._client.subscribe([(topic, 0) for topic in topics])
        except minimqtt.MMQTTException as error:
            if not str(error.args[0]).startswith("SUBACK Failure"):
                raise
            print("MQTT: the broker's access rules forbid subscribing to " + " ".join(topics))
            return False
        return True

    def _await_retained(self, now):
        """Once after a restart and before anything is published: what is retained is cleared ahead of what is new.

        Most brokers send it before the PINGRESP. A slow one is waited for until it counts as dead.
        """
        socket = self._pool.last
        if not socket.is_silent() and socket.has_message():
            self._client.loop(0)
        if socket.ping_responses != self._restore_pings:
            self._start_session(ticks_ms())
        elif ticks_diff(now, socket.received_at) > SILENCE_LIMIT_MS:
            raise OSError(errno.ETIMEDOUT, "no_answer")

    def _end_restoring(self):
        """What is retained has been received, the counters too, which were held back until now: they would fall."""
        if self._restore_topics:
            self._client.unsubscribe(self._restore_topics)
            self._restore_topics = []  # 2 KB
        self._restore_until = None
        self._is_restoring = False
        if self._at in self._unasked:
            self._unasked.remove(self._at)
        if not self._unasked:
            self._gone = ()
        self._energy_store.finish()

    def _start_session(self, now):
        self._energy_store.report_gone()
        if self._restore_until is None:
            self._end_restoring()
        self._next_read = now
        self._next_ping = ticks_add(now, PING_INTERVAL_MS)
        self._silent_failures = 0
        self._publisher.begin(now)
        self.connected = True
        self.connects += 1
        self._set_trouble(None)
        self._printed.clear()
        print("MQTT: connected to " + self.broker)

    def _keep_wifi(self, now):
        """Join the Wi-Fi for the page, and again when it is lost."""
        if self._next_try is not None and ticks_diff(now, self._next_try) < 0:
            return
        self._next_try = ticks_add(now, WIFI_LOOK_MS)
        if self._lasting is None and not self._energy_store.loaded:
            self._energy_store.finish()  # there is no broker that could know of larger counters
        try:
            if not self._radio.connected or self._radio_stuck:
                self._join()
            if not self._radio.ipv4_address:
                raise OSError(errno.ETIMEDOUT, "no_answer")
        except FAILURES as error:
            self._fail(error)
            return
        self._silent_failures = 0
        self._backoff_ms = FIRST_BACKOFF_MS
        if self.trouble != self._lasting:
            self._set_trouble(self._lasting)

    def _join(self):
        """Join the Wi-Fi: the only step that may take longer, see app/watchdog.py."""
        self._set_trouble(("joining", ()))
        if self._radio_stuck:
            self._radio_stuck = False
            self._radio.enabled = False
            self._radio.enabled = True
        ssid = self._settings.CIRCUITPY_WIFI_SSID
        self._join_network(ssid, self._settings.CIRCUITPY_WIFI_PASSWORD, timeout=JOIN_TIMEOUT_S)
        print("Wi-Fi: joined", ssid)

    def _on_message(self, _client, topic, payload):
        """MiniMQTT calls this in the middle of its own work, even of a publish: only store the message."""
        self._route(topic, payload, self._pool.last.retained)

    def _on_large(self, topic, payload, retained):
        """A message that MiniMQTT does not see: too large for any command, but its sender gets an answer."""
        try:
            self._route(str(topic, "utf-8"), payload, retained)
        except UnicodeError:  # no topic of ours
            pass

    def _route(self, topic, payload, retained):
        is_unretained = topic in self._unretained or topic in self._gone
        if is_unretained and retained and payload and self._retaining != _WITHOUT and topic not in self._to_clear:
            self._to_clear.append(topic)
        if topic in self._status_topics:
            if payload or not is_unretained:  # an empty one only clears the topic, which is fine there
                self._status_payloads[topic] = payload[: MAX_PAYLOAD + 1]
        elif topic in self._energy_store.topics:
            # with or without the retain flag: a broker behind an MQTT bridge delivers it without
            if self._is_restoring:
                self._energy_store.restore(topic, payload)
        elif not is_unretained:
            self._queue(topic, payload, retained)

    def _queue(self, topic, payload, retained):
        if len(self._inbox) < INBOX_SIZE:
            self._inbox.append((topic, payload[: MAX_PAYLOAD + 1], retained))
        else:
            self._dropped += 1

    def _run_command(self, now):
        topic, payload, retained = self._inbox.pop(0)
        self._commands.execute(topic, payload, retained, now)
        if self._dropped and not self._inbox:
            print(f"MQTT: {self._dropped} messages were dropped: more came at once than are stored")
            self._dropped = 0

    def _fail(self, error):
        was_open = self._is_open
        if not was_open:
            self._pool.connect_failed()  # that address led nowhere
        self.connected = self._is_open = self._is_restoring = self._is_sending = False
        self._awaited_id = 0
        self._idle_until = None
        self._restore_until = None
        self._restore_topics = []
        self._to_clear.clear()
        self._status_payloads.clear()
        for topic, payload, retained in self._inbox:  # commands end with their connection
            if not retained and payload:
                self._commands.refuse(topic, "the connection to the broker was lost before it was executed")
        self._inbox.clear()
        # No DISCONNECT, so that the broker publishes the last will immediately.
        self._pool.close()
        connection_manager_close_all(self._pool)  # type: ignore[arg-type]
        from . import trouble as judge  # 5 KB on a board that only a failure needs

        cause = _cause(error)
        closed = self._radio.connected and judge.is_closing(cause)
        self._decide_retain(was_open, closed)
        self._count_silent_failure(cause)
        trouble = self._explain(judge, error, cause, was_open, closed)
        self._next_try = ticks_add(ticks_ms(), _jittered(self._next_backoff(was_open)))
        if trouble != self.trouble:
            self._set_trouble(trouble)
        if trouble not in self._printed:  # each attempt has its trouble again
            if len(self._printed) == MOST_PRINTED:
                self._printed.pop(0)
            self._printed.append(trouble)
            print("MQTT: " + self.trouble_text)
        unload("mqtt.trouble")

    def _next_backoff(self, was_open):
        """The back-off until the next attempt, short after a stable connection and at the next one of several brokers.

        A connection that has ended is made again to the same broker; one that cannot be made, to the next one.
        """
        if not was_open:
            self._failures += 1
            if self._radio.connected and self._retaining == _RETAIN:  # else something is being tried with this one
                self._at = (self._at + 1) % len(self._brokers)
                if self._failures % len(self._brokers):
                    return FIRST_BACKOFF_MS
            backoff = self._backoff_ms
            self._backoff_ms = min(2 * backoff, LONGEST_BACKOFF_MS)
            return backoff
        if self._stable_at is None:
            self._short_sessions = 0
        elif self._radio.connected:
            self._short_sessions += 1
        self._stable_at = None
        backoff = self._short_backoff_ms
        if self._short_sessions:
            self._short_backoff_ms = min(2 * backoff, LONGEST_BACKOFF_MS)
        self._backoff_ms = self._short_backoff_ms
        return backoff

    def _decide_retain(self, was_open, closed):
        """Find out whether the broker closes the connection for retained messages, and only then stop using them."""
        if was_open:
            ended_by_one = closed and self._retaining == _RETAIN and self._retained_count == 1
            self._retained_closings = self._retained_closings + 1 if ended_by_one else 0
            if self._retaining == _WITHOUT:
                self._retaining = _RETAIN  # it may accept them by now
            elif self._retained_closings >= RETAINED_CLOSINGS or (ended_by_one and self._is_retain_refused):
                self._stop_retaining()
        elif self._retaining == _CHECK or (self._retaining == _RETAIN and self._is_retain_refused):
            self._retaining = _RETAIN
            if closed:
                self._stop_retaining()
        elif self._retaining == _RETAIN and closed:
            self._rejections += 1
            if self._rejections >= REJECTIONS_BEFORE_TRIAL:
                self._rejections = 0
                self._retaining = _TRIAL
        else:
            if self._retaining == _WITHOUT:
                self._is_retain_refused = False
            self._retaining = _RETAIN

    def _stop_retaining(self):
        self._retaining = _WITHOUT
        self._is_retain_refused = True
        print(f"MQTT: {self.broker} keeps no retained messages. Continuing without: later subscribers wait.")

    def _count_silent_failure(self, cause):
        """A stuck radio driver recovers when it is switched off and on. One through which a refusal arrives is not stuck."""
        number = cause.args[0] if cause.args else None
        if self._radio.connected and number not in (errno.ETIMEDOUT, errno.EHOSTUNREACH):
            self._silent_failures = 0
            return
        self._silent_failures += 1
        self._radio_stuck = self._silent_failures % RADIO_RESTART_AFTER == 0

    @property
    def broker(self):
        """Address and port of the broker that is or will be connected to."""
        host, port = self._brokers[self._at]
        return f"{host}:{port}"

    @property
    def trouble_text(self):
        """`trouble` as a sentence with its remedy; "" while connected."""
        if self._trouble_text is None:
            from . import trouble as words

            self._trouble_text = "" if self.trouble is None else words.sentence(*self.trouble)
            unload("mqtt.trouble")
        return self._trouble_text

    def _set_trouble(self, trouble):
        self.trouble = trouble
        self._trouble_text = None

    def _explain(self, judge, error, cause, was_open, closed):
        if self._keeps_wifi or not self._radio.connected:
            return judge.wifi_trouble(self._settings.CIRCUITPY_WIFI_SSID, cause)
        topic = self._last_topic
        if was_open and closed and self._short_sessions > 1:
            is_same_topic = topic == self._closing_topic
            self._closing_topic = topic
            return judge.short_sessions_trouble(
                self._settings, self.broker, self._short_sessions, topic, self._last_size, is_same_topic, self._client_id
            )
        self._closing_topic = topic if was_open else self._closing_topic
        broker = self._brokers[self._at]
        rejected = _rejected(error, cause, was_open)
        return judge.broker_trouble(self._settings, broker, cause, was_open, rejected, self._client_id)


def _rejected(error, cause, was_open):
    """The return code of a CONNACK that refused the connection; None: none did. MiniMQTT raises KeyError for unknown ones."""
    if was_open:
        return None
    code = getattr(error, "code", None) or getattr(cause, "code", None)
    return cause.args[0] if isinstance(cause, KeyError) and cause.args else code


def _jittered(backoff_ms):
    """Some time up to a back-off."""
    return random.randrange(LEAST_BACKOFF_MS, backoff_ms + 1)


def _obstacle(settings, ssl_context):
    """The trouble at the start: what the settings make impossible, else "connecting"."""
    if not settings.MQTT_BROKER:
        return "broker_not_set", ()
    if settings.MQTT_TLS and ssl_context is None:
        return "tls_not_possible", ()
    return "connecting", ()


def _cause(error):
    """The original exception: MiniMQTT wraps it, sometimes twice."""
    while getattr(error, "__cause__", None) is not None:
        error = error.__cause__
    return error
