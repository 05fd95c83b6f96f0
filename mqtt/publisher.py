# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published, and when. Performs no I/O and has no clock.

After `begin`, once per connection, `poll` returns one message after the other, or None when there is nothing to publish. Long
messages are written in steps, one in every poll, and nothing that is published changes meanwhile: a state is of one moment. A
battery's numbers are published before its status is online, and replaced by null right after it is offline. Messages on the
battery are retained only if the settings want it: what the broker delivers to later subscribers looks current and may be days
old. So status and connection text are repeated, and everything is published again shortly after a discovery message.
"""

import random

from adafruit_ticks import ticks_add, ticks_diff

from battery.json import pair_steps
from battery.unload import load_next, unload

from .battery_publisher import HEARTBEAT_MS, OFFLINE, ONLINE, REPUBLISH_MS, BatteryPublisher, OwnStatus

CONNECTION_REPEAT_MS = 60000  # where nothing is retained: the longest that a later subscriber waits for the connection text
BRIDGE_STATE_MS = 30000
ASK_MS = 3000  # a broker sends what it retains right after the SUBACK; it is waited for with the discovery only
RETRY_MS = 600000  # between two attempts at a discovery message that failed: no memory, or the connection ended
LOOK_MS = 50  # how often is looked for what becomes due with time; changed readings are news at once
# Between two states of several batteries: an ESP32-S2 needs 2 s for each, and without them would never announce anything.
OTHERS = 3
# How many discovery messages there are at most, known before Discovery is loaded: on the bridge, each battery, and their bank.
BRIDGE_PARTS = 3
BATTERY_PARTS = 30
BANK_PARTS = 5
# What Discovery needs besides what is always there, in the order in which one imports the other.
MODULES = (
    "battery.controls",
    "mqtt.bridge_entities",
    "mqtt.entities",
    "mqtt.components",
    "mqtt.battery_components",
    "mqtt.homeassistant",
)
CLOSINGS = 2  # connections that end with the same discovery message before it is skipped

_BEGUN = ("",)  # in place of a message: one is being written


class LoadedDiscovery:
    """A Discovery that is in memory only while messages are written, 12 KB on a board. Its writer comes first."""

    def __init__(self, writer, *arguments, sources=(), is_wanted=True):
        self.writer = writer
        self.bridge_parts = self.battery_parts = self._count = 0
        self._arguments = arguments
        self._sources = sources
        self._loaded = self._of_sources = None
        self._is_in_memory = False
        if is_wanted:
            batteries = len(arguments[4])
            self.bridge_parts = BRIDGE_PARTS
            self.battery_parts = BATTERY_PARTS
            self._count = BRIDGE_PARTS + batteries * BATTERY_PARTS + (BANK_PARTS if batteries > 1 else 0)

    def load(self, part):
        """Load what message `part` needs, as a generator: a module after each step, which takes an ESP32-S2 up to 55 ms."""
        if (self._of_sources if part >= self._count else self._loaded) is not None:
            return
        self._is_in_memory = True
        yield
        while load_next(MODULES):
            yield
        self._make(part)

    def _make(self, part):
        if part >= self._count:
            from .source_discovery import SourceDiscovery  # only with outputs or sensors

            self._of_sources = SourceDiscovery(*self._arguments, writer=self.writer, after=self._count, sources=self._sources)
            return
        if len(self._arguments[4]) > 1:  # batteries
            from .bank_discovery import DiscoveryWithBank as Discovery
        else:
            from .homeassistant import Discovery  # type: ignore[assignment]

        self._loaded = Discovery(*self._arguments, writer=self.writer)  # type: ignore[misc]

    def parts(self):
        """How many messages there are."""
        return self._count

    def begin(self, part, is_settled=True):
        """(topic, steps) of one message, see Discovery.begin; behind all steps of `load`."""
        return (self._of_sources if part >= self._count else self._loaded).begin(part, is_settled)

    @property
    def is_partial(self):
        """Whether the message written last leaves out what has not been read yet."""
        return self._loaded is not None and self._loaded.is_partial

    def unload(self):
        """Free its memory; the next message loads it again."""
        if not self._is_in_memory:
            return
        self._is_in_memory = False
        self._loaded = self._of_sources = None
        unload("mqtt.source_discovery")
        unload("mqtt.bank_discovery")
        for name in MODULES:
            unload(name)


class Publisher:
    """All messages on one bridge and its batteries, as (topic, payload, retain, QoS); payload: str, bytes, or a Writer.

    `bridge(now)` returns the bridge's own state as pairs of key and value. `fast_ms` and `slow_ms` are the least times between
    two states with changed pack and cell readings, `band_percent` scales the deadbands, `each_value` publishes every reading
    on a topic of its own as well. `retain`: messages on the battery are retained, too. `utc(tick)` returns the time of a tick
    as text, or None while it is not known; `utc` None: never known. `is_series`: how the batteries are wired, for their bank.
    `sources`: see battery/sources.py; `victron`: publish each battery for Venus OS, too.
    `discovery_errors` counts the discovery messages that could not be made or sent since the start.
    """

    def __init__(self, base, discovery, batteries, bridge, fast_ms, slow_ms=30000, band_percent=100, each_value=False,
                 retain=False, utc=None, is_series=False, sources=(), victron=False):  # fmt: skip
        self.base = base
        self.discovery = discovery
        self._bridge = bridge
        self.retain = retain
        self.utc = utc
        self.writer = discovery.writer  # shared: one buffer as long as the longest discovery message is enough
        self._statuses = [OwnStatus(base + "/status", True)]
        self._batteries: list = []  # the one that was served last is the last
        for battery in batteries:
            part = discovery.bridge_parts + len(self._batteries) * discovery.battery_parts
            each = BatteryPublisher(self, battery, part, fast_ms, slow_ms, band_percent, each_value)
            self._batteries.append(each)
            self._statuses.append(each.own_status)
        self._first = self._batteries[0]
        self._bank = None
        if len(batteries) > 1:
            from .bank import BankPublisher

            parts = (discovery.bridge_parts + len(batteries) * discovery.battery_parts, discovery.parts())
            self._bank = BankPublisher(self, list(self._batteries), parts, fast_ms, is_series)
        self._others: list = [] if self._bank is None else [self._bank]  # what is published behind the batteries
        if len(sources):
            from .source_parts import first_part_of
            from .sources import SourcePublisher  # only with outputs or sensors

            for index in range(len(sources)):
                self._others.append(SourcePublisher(self, sources[index], first_part_of(index, discovery.parts()), fast_ms))
        if victron:
            from .victron import publishers as victron_publishers  # only with PUBLISH_VICTRON

            self._others += victron_publishers(self, self._batteries, self._bank)
        self._messages: list = []  # to be published once
        self._loads = False  # the next step of the message that is being written loads a module
        self._begun: tuple = ()  # (topic, retain, battery or None, discovery message or None) of the one being written
        self.discovery_errors = 0
        self._failed_parts: list = []  # discovery messages that are skipped and tried again from time to time
        self._retry_at = None
        self._last_part = None  # the discovery message published last; None: it was another message
        self._closing_part = None
        self._closings = 0
        self._mark_topic = base + "/announced"
        self._mark = None  # what is retained there of the discovery that has been sent; None: it is not complete
        self.begin(0)

    def begin(self, now):
        """A new connection: publish everything again."""
        self._steps = None  # writes the rest of a message
        self._is_due = True  # there may be a message
        self._look_at = now
        self._note_closing(now)
        self._is_online_published = False
        self._others_first = 0  # how many other messages, if there are any, come before the next state of a battery
        self._statuses[0].begin(now)
        for each in self._batteries:
            each.begin(now)
        for other in self._others:
            other.begin(now)
        self._asks_until = None  # how long the broker is asked whether it retains the discovery; None: that is known
        if self._mark is None:
            self._begin_discovery(now)
        else:
            self._asks_until = ticks_add(now, ASK_MS)
        self._bridge_due = now
        self._repeat_due = ticks_add(now, HEARTBEAT_MS)
        self._connection_repeat_due = ticks_add(now, CONNECTION_REPEAT_MS)
        self._rediscover_at = self._republish_at = None
        self._is_birth = False  # Home Assistant has started: all is published again

    def rediscover(self, now, delay_ms):
        """After the delay publish discovery again, and a little later availability and states: Home Assistant has started."""
        self._rediscover_at = ticks_add(now, delay_ms)

    def status_received(self, topic, payload, now):
        """Compare `payload` (bytes), received on one of the status topics, with the status published last."""
        self._is_due = True
        if topic == self._mark_topic:
            if self._mark is not None and payload == self._mark.encode():
                self._asks_until = None  # it has all of this life's
            return
        for each in self._statuses:
            each.received(topic, payload, now)

    def publish(self, topic, payload, retain=False, qos=1):
        """Publish a message once, as soon as possible, and not twice if the same waits already; `topic` without the base."""
        message = (self.base + topic, payload, retain, qos)
        if message not in self._messages:
            self._messages.append(message)
        self._is_due = True

    def set_counters(self, now, battery=None):
        """Publish counters that were set by command: immediately and exactly, also while the battery is offline."""
        each = self._of(battery)
        each.set_counters()
        if self._bank is not None:
            each.republish(now, False)  # else the bank would be the sum of other counters than those of the states
        self._is_due = True

    def report(self, text, battery=None):
        """Publish the result of a command, now and after every connection; `battery` None: on the topic of the first one."""
        self._of(battery).report(text)
        self._is_due = True

    def _of(self, battery):
        for each in self._batteries:
            if each.battery is battery:
                return each
        return self._first

    def is_begun(self):
        """Whether the bridge is online in this connection, and what is known of its batteries, too."""
        if self._is_online_published:
            for each in self._batteries:
                if each.phase != ONLINE and each.phase != OFFLINE:
                    return False
        return self._is_online_published

    @property
    def is_writing(self):
        """Whether a message has been begun: the next polls write it."""
        return self._steps is not None

    def is_loading(self):
        """Whether the next poll loads a module, which takes a long time."""
        return self._loads and self._steps is not None

    def has_news(self):
        """Whether `poll` may have a message, or is writing one; what becomes due with time is no news."""
        if not self._is_due:
            for each in self._batteries:
                if each.seen_changes != each.pack.changes:
                    return True
        return self._is_due

    def poll(self, now):
        """The next message; None: there is none, or it is being written. Of a message before nothing is used any more."""
        if self._steps is not None:
            return self._write_on(now)
        self._last_part = None  # the message before has been sent, else poll would not be called
        if self._is_due or ticks_diff(now, self._look_at) >= 0:
            self._look_at = ticks_add(now, LOOK_MS)
            message = self._next(now)
            self._is_due = message is not None
            for each in self._batteries:
                self._is_due = self._is_due or (each.values is not None and each.values.is_behind())
        else:
            message = self._battery_state(now)
            self._is_due = message is not None
        # its first step here, and not where it was begun, which is deep in the call stack
        return self._write_on(now) if message is _BEGUN else message

    def write(self, steps, topic, retain, battery=None, part=None):
        """Write a message in the polls that follow: `part` of the discovery, on `battery`."""
        self._steps = steps
        self._begun = (topic, retain, battery, part)
        return _BEGUN

    def _write_on(self, now):
        part = self._begun[3]
        steps = self._steps
        self._steps = None  # one that fails is given up
        self._loads = False
        try:
            is_whole = next(steps)
        except (MemoryError, ValueError):
            if part is None:
                raise
            self._skip_part(part, now)  # all other messages are published
            return None
        if is_whole is False:
            self._steps = steps
            return None
        topic, retain, battery, part = self._begun
        if part is not None and self.discovery.is_partial:
            battery.note_partial(part)
        if is_whole is None:  # there is no message
            return None
        self._last_part = part
        return topic, self.writer, retain, 0 if part is None else 1

    def _next(self, now):
        if self._rediscover_at is not None or self._republish_at is not None:
            self._republish(now)
        elif not self.retain and ticks_diff(now, self._repeat_due) >= 0:
            self._repeat_status(now)
        waits = self._others_first > 0
        self._others_first = max(0, self._others_first - 1)
        message = (
            self._correction(now)
            or self._availability()
            or (self._messages.pop(0) if self._messages else None)
            or self._of_next(BatteryPublisher.take_set_counters, now)
            or self._of_next(BatteryPublisher.last_command, now)
            or (None if waits else self._battery_state(now))
        )
        if message is not None or (not self._is_online_published and self._awaits_battery(now)):
            return message
        return (
            self._of_next(BatteryPublisher.info, now)  # the bank counts with it
            or self._of_others(now)
            or self._of_next(BatteryPublisher.connection, now)
            or self._of_next(BatteryPublisher.counters, now)
            or self._bridge_state(now)
            or self._next_discovery(now)  # last but one: one that cannot be sent must not delay the numbers
            or self._of_next(BatteryPublisher.single_value, now)
            or (self._battery_state(now) if waits else None)
        )

    def _awaits_battery(self, now):
        """Whether the first state of a battery is about to come: nothing long is begun."""
        for each in self._batteries:
            if each.is_awaited(now):
                return True
        return False

    def _battery_state(self, now):
        """The next state or status of a battery.

        With several batteries a slow chip has always a state to write: OTHERS other messages come first, if there are any.
        """
        message = self._of_next(BatteryPublisher.state, now)
        if message is _BEGUN and self._bank is not None and self._batteries[-1].phase == ONLINE:
            self._others_first = OTHERS
        return message

    def _of_others(self, now):
        """The next state of the bank or a source, of the one that was served longest ago."""
        for position in range(len(self._others)):
            message = self._others[position].state(now)
            if message is not None:
                self._others.append(self._others.pop(position))
                return message
        return None

    def _discover_others(self, now):
        for other in self._others:
            message = other.next_discovery(now)
            if message is not None:
                return message
        return None

    def _of_next(self, kind, now):
        """The next message of a kind, of the battery that was served longest ago."""
        for position in range(len(self._batteries)):
            battery = self._batteries[position]
            message = kind(battery, now)
            if message is not None:
                self._batteries.append(self._batteries.pop(position))
                return message
        return None

    # discovery

    def _republish(self, now):
        if self._rediscover_at is not None and ticks_diff(now, self._rediscover_at) >= 0:
            self._rediscover_at = None
            self._begin_discovery(now)
            self._republish_at = ticks_add(now, REPUBLISH_MS)
            self._is_birth = True
        elif self._republish_at is not None and ticks_diff(now, self._republish_at) >= 0:
            self._republish_at = None
            if self._is_birth:  # else it is retained and was published a moment ago
                self._is_online_published = False
            self._bridge_due = now
            for each in self._batteries:
                each.republish(now, self._is_birth)
            for other in self._others:
                other.republish(now)
            self._is_birth = False
            self._connection_repeat_due = now
            self._repeat_status(now)

    def _begin_discovery(self, now):
        """Publish discovery again."""
        self._asks_until = self._mark = None
        self._part = 0  # of the bridge's, which one is sent next
        for each in self._batteries:
            each.begin_discovery(now)
        for other in self._others:
            other.begin_discovery()

    def _repeat_status(self, now):
        """Repeat status and connection text for later subscribers: they are not retained."""
        self._repeat_due = ticks_add(now, HEARTBEAT_MS)
        with_connection = ticks_diff(now, self._connection_repeat_due) >= 0
        if with_connection:
            self._connection_repeat_due = ticks_add(now, CONNECTION_REPEAT_MS)
        for each in self._batteries:
            each.repeat_status(now, with_connection)

    def republish_soon(self, now):
        """Home Assistant has not received what is not retained for entities that are new to it."""
        if not self.retain:
            self._republish_at = ticks_add(now, REPUBLISH_MS)

    def _next_discovery(self, now):
        """The next discovery message, and behind the last one the mark by which a broker that retains them is recognized.

        It is another one each time: a broker that was not there when something changed has an earlier one.
        """
        if not self.discovery.parts():
            return None
        if self._asks_until is not None:
            if ticks_diff(now, self._asks_until) < 0:
                return None
            self._begin_discovery(now)
        if self._part < self.discovery.bridge_parts:
            self._part += 1
            return self.discover(self._part - 1, now)
        message = self._of_next(BatteryPublisher.next_discovery, now) or self._discover_others(now) or self._retry_failed(now)
        if message is None and self._is_discovered():
            self.discovery.unload()
            if self._mark is None and not [other for other in self._others if not other.is_discovered()]:
                self._mark = f"{random.getrandbits(30):x}"
                return self._mark_topic, self._mark, True, 1
        return message

    def _is_discovered(self):
        """Whether all that is known has been sent; with several batteries some may never be."""
        is_any = False
        for each in self._batteries:
            if each.discovered_topology == each.pack.topology_changes and each.part > each.last_part:
                is_any = True
            elif each.poller.complete:
                return False
        return is_any

    def discover(self, part, now, battery=None, is_settled=True):
        """Begin one discovery message, see Discovery.begin; None when it is skipped, or there is no memory for it."""
        if part in self._failed_parts:
            return None
        self._mark = None
        return self.write(self._discovery_steps(part, battery, is_settled), "", True, battery, part)

    def _discovery_steps(self, part, battery, is_settled):
        """A generator, as in steps of other messages; the first ones may have to load the Discovery."""
        for _ in self.discovery.load(part):
            self._loads = True
            yield False
        topic, steps = self.discovery.begin(part, is_settled)
        self._begun = (topic, True, battery, part)
        yield from steps

    def _retry_failed(self, now):
        """One of the skipped discovery messages, when it is time."""
        if not self._failed_parts or ticks_diff(now, self._retry_at) < 0:
            return None
        self._retry_at = ticks_add(now, RETRY_MS)
        part = self._failed_parts.pop(0)
        self.republish_soon(now)
        for each in self._batteries:
            if each.first_part <= part <= each.last_part:
                if each.discovered_topology is None and part < each.last_part:
                    self._failed_parts.append(part)  # nothing is known of the battery
                    return None
                return each.discover(part, now)
        return self.discover(part, now)

    def _skip_part(self, part, now):
        self.discovery_errors += 1
        if not self._failed_parts:
            self._retry_at = ticks_add(now, RETRY_MS)
        self._failed_parts.append(part)

    def _note_closing(self, now):
        """Skip the discovery message with which the connection has ended, if it is not the first time."""
        part = self._last_part
        self._closings = self._closings + 1 if part is not None and part == self._closing_part else 1
        self._closing_part = part
        self._last_part = None
        if part is not None and self._closings >= CLOSINGS:
            self._skip_part(part, now)
            self._closing_part = None
        if self._failed_parts:
            self._retry_at = ticks_add(now, RETRY_MS)

    # the bridge's status and state

    def _availability(self):
        # Not before the battery's state has been published: subscribers remember the numbers from before the connection was
        # lost, and so does the broker where they are retained. They would be available again together with the bridge.
        if self._is_online_published:
            return None
        for each in self._batteries:
            if each.phase < OFFLINE:
                return None
        for other in self._others:
            if not other.is_published:
                return None
        self._is_online_published = True
        return self._statuses[0].message("online")

    def _correction(self, now):
        for each in self._statuses:
            message = each.correction(now)
            if message is not None:
                return message
        return None

    def _bridge_state(self, now):
        if ticks_diff(now, self._bridge_due) < 0:
            return None
        self._bridge_due = ticks_add(now, BRIDGE_STATE_MS)
        # retained, like <base>/status, which the broker itself sets to offline
        return self.write(pair_steps(self.writer.clear(), self._bridge(now)), self.base + "/state", True)
