# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Publisher and client of a bridge that sleeps (app/sleep.py). Loaded only with SLEEP_MINUTES."""

from battery.json import bounded

from .battery_publisher import OFFLINE, ONLINE
from .client import FAILURES, MqttClient
from .publisher import Publisher

SLEEPING = "sleeping"  # the status of a bridge, and of its batteries that are online, between two wakes
_DISCONNECT = b"\xe0\x00"


class SleepingPublisher(Publisher):
    """A Publisher that knows when all has been published, and can end with that. The arguments are those of a Publisher.

    `is_announced`: all discovery messages have been sent in this connection.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._announces = self.discovery.parts() > 0

    def begin(self, now):
        """A new connection: publish everything again."""
        self._mark = None  # the chip must not sleep while the broker is asked what it retains
        super().begin(now)
        self._last_messages = None  # what is still to be published before the chip sleeps; None: it does not
        self._is_bridge_published = self.is_announced = self._is_known_announced = False
        self._is_settled = False  # nothing was due behind the last message

    def publish(self, topic, payload, retain=False, qos=1):
        """As of a Publisher."""
        self._is_settled = False
        super().publish(topic, payload, retain, qos)

    def report(self, text, battery=None):
        """As of a Publisher."""
        self._is_settled = False
        super().report(text, battery)

    def omit_discovery(self):
        """Publish no discovery: what the broker retains is still right."""
        self._announces = False

    def is_current(self):
        """Whether all that is known has been published in this connection, with its discovery where that is to be."""
        if not (self._is_online_published and self._is_bridge_published and self._is_settled) or self.is_writing:
            return False
        for other in self._others:
            if not other.is_published:
                return False
        for each in self._batteries:
            if each.phase != (ONLINE if each.poller.online else OFFLINE):
                return False
            if each.values is not None and each.values.is_behind():
                return False
        if not self._announces:
            return True
        if self._rediscover_at is not None or self._republish_at is not None:
            return False
        # of a BMS that does not respond nothing more is known: a wake must not wait for it
        is_any = bool([each for each in self._batteries if each.poller.online])
        return self.is_announced if is_any else self._is_known_announced

    def has_measured(self):
        """Whether each sensor has a value, and subscribers have it."""
        return not [other for other in self._others if other is not self._bank and not other.has_measured()]

    def _republish(self, now):
        """What Home Assistant has just discovered has received nothing yet: the chip must not sleep before all comes again."""
        super()._republish(now)
        if self._rediscover_at is None and self._republish_at is None:
            self._is_bridge_published = False

    def say_asleep(self):
        """Publish why there is data or not, that the bridge sleeps, and its batteries that are online; then nothing any more.

        All with QoS 1: the PUBACK of the last message says that all before it have been received.
        """
        self._steps = None
        messages = []
        for each in self._batteries:
            topic = self.base + "/" + each.battery.key + "/connection"
            messages.append((topic, bounded(each.poller.diagnosis.text), self.retain, 1))
        messages += [each.own_status.message(SLEEPING) for each in self._batteries if each.phase == ONLINE]
        messages.append(self._statuses[0].message(SLEEPING))
        self._last_messages = messages
        self._is_due = True

    @property
    def is_asleep_said(self):
        """Whether the last of these messages has been given away."""
        return self._last_messages is not None and not self._last_messages

    def poll(self, now):
        """The next message, see Publisher.poll."""
        messages = self._last_messages
        if messages is None:
            message = super().poll(now)
            if message is not None:
                self._is_settled = False
            return message
        self._is_due = len(messages) > 1
        return messages.pop(0) if messages else None

    def _next(self, now):
        message = super()._next(now)
        if message is None:
            self._is_settled = True
        return message

    def _next_discovery(self, now):
        if not self._announces:
            return None
        message = super()._next_discovery(now)
        left = [other for other in self._others if not other.is_discovered()]
        self._is_known_announced = message is None and not left
        self.is_announced = self._is_known_announced and self._is_discovered()
        return message

    def _bridge_state(self, now):
        message = super()._bridge_state(now)
        if message is not None:
            self._is_bridge_published = True
        return message


class SleepingClient(MqttClient):
    """An MqttClient that can say goodbye. The arguments are those of an MqttClient."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self._clears = False

    def clear_retained(self):
        """What may be retained and must not is cleared behind the next connection: nothing else here asks for it."""
        self._clears = True

    def _start_session(self, now):
        gone = self._gone
        super()._start_session(now)
        if self._clears:
            self._clears = False
            self._to_clear.extend(self._unretained)
            # of the discovery nothing: it has no numbers, and is five times as many messages
            self._to_clear.extend([topic for topic in gone if topic.endswith("/state")])

    @property
    def has_delivered(self):
        """Whether all that the publisher has given has been sent, and acknowledged where that is to be."""
        return self.connected and not (self._is_sending or self._awaited_id or self._to_clear or self._inbox)

    def leave(self):
        """End the connection without a last will, and make no other one until the next start. `has_left`: when it is done."""
        self._is_possible = self.connected = False
        if self._pool.last is not None:
            self._pool.last.start_tick()
            try:
                self._pool.last.send(_DISCONNECT)
            except FAILURES:  # it is lost: there is nobody to tell
                self._pool.close()

    def has_left(self):
        """Whether the broker has received that, as it has closed the connection; or there is none."""
        socket = self._pool.last
        if socket is None:
            return True
        socket.start_tick()
        try:
            if socket.has_message():  # a command that comes now is too late
                self._client.loop(0)
        except FAILURES:
            self._pool.close()
            return True
        return False
