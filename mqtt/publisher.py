# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published, and when. Performs no I/O and has no clock.

After `begin`, once per connection, `poll` returns one message after the other, or None when there is nothing to publish. Long
messages are written in steps, one in every poll, and nothing that is published changes meanwhile: a state is of one moment. A
battery's numbers are published before its status is online, and replaced by null right after it is offline. Messages on the
battery are retained only if the settings want it: what the broker delivers to later subscribers looks current and may be days
old. So status and connection text are repeated, and everything is published again shortly after a discovery message.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import COUNTERS
from battery.json import bounded, pack_steps, pair_steps
from battery.readings import READING
from battery.unload import unload

from .deadband import Deadband, SingleValues

# Home Assistant applies only part of a second discovery message that follows too soon.
DISCOVERY_PAUSE_MS = 6000
# After a discovery message Home Assistant needs a moment before it receives states.
REPUBLISH_MS = 3000
# The state is published this often even unchanged, well inside expire_after.
HEARTBEAT_MS = 10000
CONNECTION_REPEAT_MS = 60000  # where nothing is retained: the longest that a later subscriber waits for the connection text
CORRECTION_MS = 1000  # between two corrections of a status; doubles while another client insists
LONGEST_CORRECTION_MS = 60000
CONNECTION_CHECK_MS = 500  # how often the connection text is compared
RETRY_MS = 600000  # between two attempts at a discovery message that failed: no memory, or the connection ended
LOOK_MS = 50  # how often is looked for what becomes due with time; changed readings are news at once
RESULTS = 8  # of commands that wait to be published
CLOSINGS = 2  # connections that end with the same discovery message before it is skipped

# What has been published about the battery in this connection, in this order:
_TO_OFFLINE = 0  # nothing
_TO_UNKNOWN = 1  # offline; the state with every reading null comes next
_OFFLINE = 2
_TO_ONLINE = 3  # the state with numbers; online comes next
_ONLINE = 4

_BEGUN = ("",)  # in place of a message: one is being written


class LoadedDiscovery:
    """A Discovery that is in memory only while messages are written, 10 KB on a board. Its writer comes first."""

    def __init__(self, writer, *arguments):
        self.writer = writer
        self._arguments = arguments
        self._loaded = None
        discovery = self._load()  # stays until the messages have been sent once: loading would hold the loop up
        self._count = discovery.parts()
        self.bridge_parts = discovery.bridge_parts

    def _load(self):
        if self._loaded is None:
            from .homeassistant import Discovery

            self._loaded = Discovery(*self._arguments, writer=self.writer)  # type: ignore[misc]
        return self._loaded

    def parts(self):
        """How many messages there are."""
        return self._count

    def begin(self, part, is_settled=True):
        """(topic, steps) of one message, see Discovery.begin."""
        return self._load().begin(part, is_settled)

    @property
    def is_partial(self):
        """Whether the message written last leaves out what has not been read yet."""
        return self._loaded is not None and self._loaded.is_partial

    def unload(self):
        """Free its memory; the next message loads it again."""
        if self._loaded is not None:
            self._loaded = None
            unload("mqtt.homeassistant")
            unload("mqtt.entities")
            unload("battery.controls")


class Publisher:
    """All messages on one bridge and its battery, each as (topic, payload, retain, QoS); payload: str, bytes, or a Writer.

    `bridge(now)` returns the bridge's own state as pairs of key and value. `fast_ms` and `slow_ms` are the least times between
    two states with changed pack and cell readings, `band_percent` scales the deadbands, `each_value` publishes every reading
    on a topic of its own as well. `retain`: messages on the battery are retained, too. `utc(tick)` returns the time of a tick
    as text, or None while it is not known; `utc` None: never known. `discovery_errors` counts the discovery messages that could
    not be made or sent since the start.
    """

    def __init__(self, base, discovery, pack, poller, bridge, fast_ms, slow_ms=30000, band_percent=100, each_value=False,
                 retain=False, utc=None):  # fmt: skip
        self._base = base
        self._discovery = discovery
        self._pack = pack
        self._poller = poller
        self._bridge = bridge
        self._retain = retain
        self._utc = utc
        self._writer = discovery.writer  # shared: one buffer as long as the longest discovery message is enough
        self._deadband = Deadband(pack, fast_ms, slow_ms, band_percent)
        self._values = SingleValues(self._deadband.published, not retain) if each_value else None
        self._messages: list = []  # to be published once
        self._counters_set = False  # by command, and not published yet
        self._begun: tuple = ()  # (topic, retain, discovery message or None, phase or None) of the message being written
        self._result = None  # of the last command; None: none is allowed
        self._earlier_results: list = []  # not published yet
        self._seq = 0  # states of the battery since the start
        self._discovered_cells = 0  # cells in the discovery messages since the start
        self._discovered_sensors = 0  # and temperature sensors
        self._fewer_since = None  # when fewer were published; None: long enough ago
        self.discovery_errors = 0
        self._failed_parts: list = []  # discovery messages that are skipped and tried again from time to time
        self._retry_at = None
        self._last_part = None  # the discovery message published last; None: it was another message
        self._closing_part = None
        self._closings = 0
        self.begin(0)

    def begin(self, now):
        """A new connection: publish everything again."""
        self._steps = None  # writes the rest of a message
        self._is_due = True  # there may be a message
        self._seen_changes = None  # `changes` of the pack when it was compared
        self._look_at = now
        self._note_closing(now)
        self._begin_discovery(now)
        self._is_online_published = False
        self._phase = _TO_OFFLINE
        self._heartbeat_due = now
        self._bridge_due = now
        self._repeat_due = ticks_add(now, HEARTBEAT_MS)
        self._status_due = False  # the battery's status is to be repeated
        self._wrong_topics: list = []  # topics on which another client has published another status
        self._is_cleared = False  # a retained message on the first of them has been cleared
        self._correction_due = now
        self._correction_pause = CORRECTION_MS
        self._connection_text = None
        self._connection_is_repeated = False  # it is to be repeated
        self._connection_repeat_due = ticks_add(now, CONNECTION_REPEAT_MS)
        self._connection_due = now
        self._rediscover_at = self._republish_at = None
        self._is_birth = False  # Home Assistant has started: all is published again
        self._deadband.begin(now)
        self._published_counters = [None] * len(COUNTERS)
        self._result_due = True
        if self._values is not None:
            self._values.begin(now)

    def rediscover(self, now, delay_ms):
        """After the delay publish discovery again, and a little later availability and states: Home Assistant has started."""
        self._rediscover_at = ticks_add(now, delay_ms)

    def status_received(self, topic, payload, now):
        """Compare `payload` (bytes), received on one of the two status topics, with the status published last.

        It is our own message, a late last will, or another client's. A wrong status is corrected immediately, but less and less
        often while another client keeps publishing it: a second bridge on the same topics would answer.
        """
        self._is_due = True
        published = self._status(topic)
        if topic in self._wrong_topics:
            self._wrong_topics.remove(topic)
        if published is not None and payload != published.encode():
            self._wrong_topics.append(topic)
        if ticks_diff(now, self._correction_due) >= LONGEST_CORRECTION_MS:
            self._correction_pause = CORRECTION_MS

    def publish(self, topic, payload, retain=False, qos=1):
        """Publish a message once, as soon as possible; `topic` without the base."""
        self._messages.append((self._base + topic, payload, retain, qos))
        self._is_due = True

    def set_counters(self, now):
        """Publish counters that were set by command: immediately and exactly, also while the battery is offline."""
        self._counters_set = self._is_due = True  # not now: a state may be half written

    def _take_set_counters(self, now):
        if not self._counters_set:
            return None
        self._counters_set = False
        self._deadband.begin(now)
        readings = self._deadband.published
        self._published_counters = [self._pack.energy.total(key) for key in COUNTERS]
        for key, total in zip(COUNTERS, self._published_counters):
            if readings.raw(key) is not None:
                readings.put(READING[key], 0, total, now)
        return self._base + "/bms1/energy", self._write_counters(), True, 1

    def report(self, text):
        """Publish the result of a command, now and after every connection.

        One that waits for the PUBACK of the one before is not replaced: each is published, of a flood the last RESULTS.
        """
        if self._result_due and self._result is not None:
            if len(self._earlier_results) >= RESULTS:
                self._earlier_results.pop(0)
            self._earlier_results.append(self._result)
        self._result = bounded(text)
        self._result_due = self._is_due = True

    @property
    def is_writing(self):
        """Whether a message has been begun: the next polls write it."""
        return self._steps is not None

    def has_news(self):
        """Whether `poll` may have a message, or is writing one; what becomes due with time is no news."""
        return self._is_due or self._pack.changes != self._seen_changes

    def poll(self, now):
        """The next message; None: there is none, or it is being written. Of a message before nothing is used any more."""
        if self._steps is not None:
            return self._write_on(now)
        self._last_part = None  # the message before has been sent, else poll would not be called
        self._seen_changes = self._pack.changes
        self._deadband.follow_topology()
        if self._is_due or ticks_diff(now, self._look_at) >= 0:
            self._look_at = ticks_add(now, LOOK_MS)
            message = self._next(now)
            self._is_due = message is not None or (self._values is not None and self._values.is_behind())
        else:
            message = self._battery(now)
            self._is_due = message is not None
        return None if message is _BEGUN else message

    def _write(self, steps, topic, retain, part=None, phase=None):
        """Write a message in the polls that follow. Then `phase` is reached, and discovery message `part` was the last one."""
        self._steps = steps
        self._begun = (topic, retain, part, phase)
        return _BEGUN

    def _write_on(self, now):
        topic, retain, part, phase = self._begun
        steps = self._steps
        self._steps = None  # one that fails is given up
        try:
            is_whole = next(steps)
        except (MemoryError, ValueError):
            if part is None:
                raise
            self._skip_part(part, now)  # all other messages are published
            return None
        if not is_whole:
            self._steps = steps if is_whole is False else None  # None: there is no message
            if is_whole is None and part is not None:
                self._note_partial(part)
            return None
        self._last_part = part
        if part is not None:
            self._note_partial(part)
        if phase is not None:
            self._phase = phase  # only now: without memory for the numbers the battery is not online
        return topic, self._writer, retain, 0 if part is None else 1

    def _next(self, now):
        if self._rediscover_at is not None or self._republish_at is not None:
            self._republish(now)
        elif not self._retain and ticks_diff(now, self._repeat_due) >= 0:
            self._repeat_status(now)
        return (
            self._correction(now)
            or self._availability()
            or (self._messages.pop(0) if self._messages else None)
            or self._take_set_counters(now)
            or self._last_command()
            or self._battery(now)
            or self._connection(now)
            or self._counters()
            or self._bridge_state(now)
            or self._next_discovery(now)  # last but one: one that cannot be sent must not delay the numbers
            or self._single_value(now)
        )

    # discovery

    def _begin_discovery(self, now):
        self._part = 0  # which one is sent next
        self._discovered_topology = None  # None: nothing of the battery yet
        self._partial_parts: list = []  # messages that left out what had not been read
        self._completed_parts: list = []  # those of them that are now sent again
        self._discovered_at = now  # when the last one was sent; None: long enough ago
        self._extras_topology = None  # the topology with which the last message was sent
        self._extras_at = None  # and when; None: long enough ago

    def _republish(self, now):
        if self._rediscover_at is not None and ticks_diff(now, self._rediscover_at) >= 0:
            self._rediscover_at = None
            self._begin_discovery(now)
            self._republish_at = ticks_add(now, REPUBLISH_MS)
            self._is_birth = True
        elif self._republish_at is not None and ticks_diff(now, self._republish_at) >= 0:
            self._republish_at = None
            if self._is_birth:  # else it is retained and was published a moment ago
                self._is_birth = self._is_online_published = False
                self._result_due = True
            self._bridge_due = now
            self._heartbeat_due = now
            self._connection_repeat_due = now
            self._repeat_status(now)

    def _repeat_status(self, now):
        """Repeat status and connection text for later subscribers: they are not retained."""
        self._repeat_due = ticks_add(now, HEARTBEAT_MS)
        self._status_due = True
        if ticks_diff(now, self._connection_repeat_due) >= 0:
            self._connection_repeat_due = ticks_add(now, CONNECTION_REPEAT_MS)
            self._connection_is_repeated = True
            self._connection_due = now

    def _next_discovery(self, now):
        if self._discovered_at is not None and ticks_diff(now, self._discovered_at) >= DISCOVERY_PAUSE_MS:
            self._discovered_at = None
        if self._extras_at is not None and ticks_diff(now, self._extras_at) >= DISCOVERY_PAUSE_MS:
            self._extras_at = None
        if self._part < self._discovery.bridge_parts:
            self._part += 1
            return self._discover(self._part - 1, now)
        if self._extras_topology is None:
            return self._discover_extras(now)
        message = self._discover_battery(now) or self._complete_parts(now) or self._retry_failed(now)
        is_sent = self._discovered_topology == self._pack.topology_changes and self._part >= self._discovery.parts()
        if message is None and is_sent:
            self._discovery.unload()
        return message

    def _discover_battery(self, now):
        topology = self._pack.topology_changes
        if self._discovered_topology != topology and self._poller.complete:
            # one message with serial number and versions rather than two; boards without them are not waited for long
            must_wait = self._discovered_topology is not None or not self._poller.static_done
            if must_wait and self._discovered_at is not None:
                return None
            self._discovered_topology = topology
            self._part = self._discovery.bridge_parts
            self._partial_parts = []
            self._completed_parts = []
        last = self._discovery.parts() - 1
        if self._discovered_topology is None or self._part > last:
            return None
        if self._part < last:
            self._part += 1
            return self._discover(self._part - 1, now)
        return self._discover_last(now)

    def _note_partial(self, part):
        """What a discovery message leaves out is removed as soon as it is certain that this board does not have it."""
        if self._discovery.is_partial:
            self._partial_parts.append(part)

    def _complete_parts(self, now):
        """One of the messages that left something out, once all that a board may have has been read or given up."""
        is_over = self._discovered_at is None and self._part >= self._discovery.parts()
        if self._partial_parts and is_over and self._poller.static_done:
            self._completed_parts = self._partial_parts
            self._partial_parts = []
        return self._discover(self._completed_parts.pop(0), now) if self._completed_parts else None

    def _discover_extras(self, now):
        """The message with connection text and controls, from the first connection on: needed also if the BMS never answers."""
        self._extras_topology = self._pack.topology_changes
        self._extras_at = now
        self._republish_soon(now)
        return self._discover(self._discovery.parts() - 1, now)

    def _discover_last(self, now):
        """Send the same again behind the battery's messages: more is known of the device by then."""
        message = None
        if self._extras_topology != self._discovered_topology:
            if self._extras_at is not None:
                return None
            message = self._discover_extras(now)
        self._part += 1
        self._note_discovered(now)
        self._republish_soon(now)
        return message

    def _republish_soon(self, now):
        """Home Assistant has not received what is not retained for entities that are new to it."""
        if not self._retain:
            self._republish_at = ticks_add(now, REPUBLISH_MS)

    def _discover(self, part, now):
        """Begin one discovery message; None when it is skipped, or there is no memory for it."""
        self._discovered_at = now
        if part in self._failed_parts:
            return None
        try:
            topic, steps = self._discovery.begin(part, self._poller.static_done)
        except (MemoryError, ValueError):
            self._skip_part(part, now)
            return None
        return self._write(steps, topic, True, part)

    def _retry_failed(self, now):
        """One of the skipped discovery messages, when it is time."""
        if not self._failed_parts or ticks_diff(now, self._retry_at) < 0:
            return None
        self._retry_at = ticks_add(now, RETRY_MS)
        part = self._failed_parts.pop(0)
        if part >= self._discovery.bridge_parts and part < self._discovery.parts() - 1 and self._discovered_topology is None:
            self._failed_parts.append(part)  # nothing is known of the battery
            return None
        self._republish_soon(now)
        return self._discover(part, now)

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

    def _note_discovered(self, now):
        if self._are_fewer(self._pack.topology):
            self._fewer_since = now
        self._discovered_cells = self._pack.topology["cell_count"]
        self._discovered_sensors = self._pack.topology["temperature_count"]

    def _are_fewer(self, layout):
        """Whether there are fewer cells or sensors in a topology than in the discovery messages."""
        return layout["cell_count"] < self._discovered_cells or layout["temperature_count"] < self._discovered_sensors

    # availability, connection text and command result

    def _availability(self):
        # Not before the battery's state has been published: subscribers remember the numbers from before the connection was
        # lost, and so does the broker where they are retained. They would be available again together with the bridge.
        if self._is_online_published or self._phase < _OFFLINE:
            return None
        self._is_online_published = True
        return self._base + "/status", "online", True, 1

    def _battery_status(self, qos=1):
        self._status_due = False
        return self._base + "/bms1/status", self._battery_status_published(), self._retain, qos

    def _battery_status_published(self):
        """The battery's status published last in this connection; None: none yet, or it is about to change."""
        if self._phase == _ONLINE:
            return "online"
        return "offline" if self._phase == _TO_UNKNOWN or self._phase == _OFFLINE else None

    def _status(self, topic):
        """The status published last on one of the two status topics; None: none in this connection."""
        if topic == self._base + "/status":
            return "online" if self._is_online_published else None
        return self._battery_status_published() if topic == self._base + "/bms1/status" else None

    def _correction(self, now):
        if not self._wrong_topics or ticks_diff(now, self._correction_due) < 0:
            return None
        topic = self._wrong_topics[0]
        retain = self._retain or topic == self._base + "/status"
        if not (retain or self._is_cleared):  # it may have been retained, which is not known here
            self._is_cleared = True
            return topic, b"", True, 0
        self._is_cleared = False
        self._correction_due = ticks_add(now, self._correction_pause)
        self._correction_pause = min(2 * self._correction_pause, LONGEST_CORRECTION_MS)
        self._wrong_topics.pop(0)
        published = self._status(topic)
        return None if published is None else (topic, published, retain, 1)

    def _last_command(self):
        if self._result is None or not self._result_due:
            return None
        if self._earlier_results:
            return self._base + "/bms1/command_result", self._earlier_results.pop(0), True, 1
        self._result_due = False
        return self._base + "/bms1/command_result", self._result, True, 1

    def _connection(self, now):
        """Why there is data or not, whenever the text changes."""
        if ticks_diff(now, self._connection_due) < 0:
            return None
        self._connection_due = ticks_add(now, CONNECTION_CHECK_MS)
        text = self._poller.diagnosis.text
        is_new = text != self._connection_text
        if not (is_new or self._connection_is_repeated):
            return None
        self._connection_text = text
        self._connection_is_repeated = False
        return self._base + "/bms1/connection", bounded(text), self._retain, 1 if is_new else 0

    # states

    def _battery(self, now):
        phase = self._phase
        if phase == _TO_OFFLINE and self._poller.complete:  # only the connection is new, the battery was online before
            phase = _OFFLINE
        if phase == _TO_OFFLINE or (phase >= _TO_ONLINE and not self._poller.online):
            self._phase = _TO_UNKNOWN
            return self._battery_status()
        if phase == _OFFLINE and self._poller.complete and self._deadband.is_disagreeing(now):
            return None  # half a second at most: until then the published values are those from before
        if phase == _TO_UNKNOWN or (phase == _OFFLINE and self._poller.complete):
            return self._battery_state(now, self._deadband.begin_all(now), True, phase + 1)
        if phase == _TO_ONLINE:
            self._phase = _ONLINE
            return self._battery_status()
        taken = self._deadband.begin_take(now) if phase == _ONLINE else False
        must = ticks_diff(now, self._heartbeat_due) >= 0
        if must or taken is not False:
            return self._battery_state(now, taken, must)
        if self._status_due:
            return self._battery_status(0)  # QoS 0: it is repeated anyway
        return None

    def _counters(self):
        """The counters on a retained topic of their own: in the state they are null while the battery is offline."""
        if not self._counters_changed():
            return None
        # QoS 0: it is sent every few seconds, and the next message would wait for each PUBACK
        for position in range(len(COUNTERS)):
            self._published_counters[position] = self._deadband.published.raw(COUNTERS[position])
        return self._base + "/bms1/energy", self._write_counters(), True, 0

    def _write_counters(self):
        writer = self._writer.clear()
        for position, key in enumerate(COUNTERS):
            writer.put(b',"' if position else b'{"').put(key).put(b'":').put_decimal(self._published_counters[position], 3)
        return writer.put(b"}")

    def _counters_changed(self):
        """Whether all counters are known and one differs from its published value. Runs in every tick, so it makes no list."""
        changed = False
        for position in range(len(COUNTERS)):
            count = self._deadband.published.raw(COUNTERS[position])
            if count is None:
                return False
            changed = changed or count != self._published_counters[position]
        return changed

    def _battery_state(self, now, taken, must, phase=None):
        steps = self._state_steps(now, taken, must, self._poller.online)
        return self._write(steps, self._base + "/bms1/state", self._retain, None, phase)

    def _state_steps(self, now, taken, must, was_online):
        """Take over what is due, see Deadband.begin_take, and if that, or `must`, makes a new state write it.

        Nothing is written if the battery goes offline meanwhile: half of the values would be of before.
        """
        if taken is not True and taken is not False:
            is_other = False
            for step in taken:
                is_other = step
                yield False
            taken = is_other
        if was_online and not self._poller.online:
            if self._phase == _OFFLINE:  # what has been taken over must not come with the next heartbeat
                self._phase = _TO_UNKNOWN
            yield None
        if not (must or taken):
            yield None
        self._heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        # All keys that there may be while the number of cells is not known, or until Home Assistant has removed those that are
        # gone: entities from before would miss theirs.
        if self._fewer_since is not None and ticks_diff(now, self._fewer_since) >= REPUBLISH_MS:
            self._fewer_since = None
        layout = self._deadband.published.topology  # of these values: the live one may know more by now
        every_slot = not layout["cell_count"] or self._fewer_since is not None or self._are_fewer(layout)
        self._seq += 1
        yield from pack_steps(self._writer.clear(), self._deadband.published, every_slot, self._seq, self._time())

    def _time(self):
        """Time of the last response of the BMS as text, as of which the published values hold; None: not known, or offline."""
        return self._utc(self._poller.last_response) if self._utc is not None and self._poller.online else None

    def _single_value(self, now):
        value = self._values.poll(now) if self._values is not None else None
        if value is None:
            return None
        if value[1] is None:
            return self._base + "/bms1/" + value[0], b"", True, 0
        return self._base + "/bms1/" + value[0], value[1], self._retain, 0

    def _bridge_state(self, now):
        if ticks_diff(now, self._bridge_due) < 0:
            return None
        self._bridge_due = ticks_add(now, HEARTBEAT_MS)
        # retained, like <base>/status, which the broker itself sets to offline
        return self._write(pair_steps(self._writer.clear(), self._bridge(now)), self._base + "/state", True)
