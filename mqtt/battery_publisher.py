# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What is published on one battery, and when: state, status, connection text, counters, results, discovery, single values.

The battery's part of publisher.py, which asks for its messages in the order that they have in a connection.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import BITFIELDS, FAULT, alarm_of, with_directions_swapped
from battery.energy import COUNTERS
from battery.json import INFO, STATE, bounded, pack_steps
from battery.pack import ALARMS
from battery.readings import READING

from .deadband import Deadband, SingleValues

# Home Assistant applies only part of a second discovery message that follows too soon.
DISCOVERY_PAUSE_MS = 6000
# After a discovery message Home Assistant needs a moment before it receives states.
REPUBLISH_MS = 3000
# The state is published this often even unchanged, well inside expire_after.
HEARTBEAT_MS = 10000
INFO_REPEAT_MS = 600000  # what is read once is repeated this often, for later subscribers
COMPLETE_MS = 1000  # so long a connection waits for the rest of a battery's first readings
CONNECTION_CHECK_MS = 500  # how often the connection text is compared
CORRECTION_MS = 1000  # between two corrections of a status; doubles while another client insists
LONGEST_CORRECTION_MS = 60000
RESULTS = 8  # of commands that wait to be published
EVENTS = 20  # in EVENTS_MS; what has changed beyond that is published then, if it is still so
EVENTS_MS = 60000

# What has been published about the battery in this connection, in this order:
TO_OFFLINE = 0  # nothing
_TO_UNKNOWN = 1  # offline; the state with every reading null comes next
OFFLINE = 2
TO_ONLINE = 3  # the state with numbers; online comes next
ONLINE = 4


class OwnStatus:
    """A status topic, and what was published there last. Another client may publish there, too, which is corrected."""

    def __init__(self, topic, retain):
        self._topic = topic
        self._retain = retain

    def begin(self, now):
        """A new connection."""
        self._published = None
        self._is_wrong = False  # another client has published another status
        self._is_cleared = False  # a retained message has been cleared
        self._due = now
        self._pause = CORRECTION_MS

    def message(self, text, qos=1):
        """The message with a status."""
        self._published = text
        return self._topic, text, self._retain, qos

    def received(self, topic, payload, now):
        """Compare `payload` (bytes), received on `topic`, with the status published last in this connection.

        It is our own message, a late last will, or another client's. A wrong status is corrected immediately, but less and less
        often while another client keeps publishing it: a second bridge on the same topics would answer.
        """
        if topic == self._topic:
            self._is_wrong = self._published is not None and payload != self._published.encode()
            if ticks_diff(now, self._due) >= LONGEST_CORRECTION_MS:
                self._pause = CORRECTION_MS

    def correction(self, now):
        """The next message that corrects the status."""
        if not self._is_wrong or ticks_diff(now, self._due) < 0:
            return None
        if not (self._retain or self._is_cleared):  # it may have been retained, which is not known here
            self._is_cleared = True
            return self._topic, b"", True, 0
        self._is_cleared = self._is_wrong = False
        self._due = ticks_add(now, self._pause)
        self._pause = min(2 * self._pause, LONGEST_CORRECTION_MS)
        return self.message(self._published)


class BatteryPublisher:
    """The messages on one battery; each function returns the next one of its kind, or None.

    `shared`: the Publisher, which writes one message at a time. `first_part`: of the discovery messages on it.
    """

    def __init__(self, shared, battery, first_part, fast_ms, slow_ms, band_percent, each_value):
        self.battery = battery
        self._shared = shared
        self._topic = shared.base + "/" + battery.key
        self.pack = pack = battery.pack
        self.poller = battery.poller
        self.first_part = first_part
        self.last_part = first_part + shared.discovery.battery_parts - 1
        self.own_status = OwnStatus(self._topic + "/status", shared.retain)
        self._deadband = Deadband(pack, fast_ms, slow_ms, band_percent)
        self.published = self._deadband.published  # the values that subscribers have
        self.values = SingleValues(self.published, not shared.retain) if each_value else None
        self._counters_set = False  # by command, and not published yet
        self._result = None  # of the last command; None: none is allowed
        self._earlier_results: list = []  # not published yet
        self.states = 0  # of the battery, since the start
        self._told_alarms: list = []  # the bit fields of which each change has been published; []: none is known yet
        self._told_inverted = pack.polarity.current_inverted  # when they were told
        self._events = self._events_since = 0
        self._discovered_cells = 0  # cells in the discovery messages since the start
        self._discovered_sensors = 0  # and temperature sensors
        self._fewer_since = None  # when fewer were published; None: long enough ago

    def begin(self, now):
        """A new connection: publish everything again."""
        self.seen_changes = None  # `changes` of the pack when it was compared
        self._discovered_at = self._extras_at = None  # ticks of before are not compared after a long outage
        self.phase = TO_OFFLINE
        self._complete_by = ticks_add(now, COMPLETE_MS)  # until then a battery that responds is not called offline
        self.own_status.begin(now)
        self._heartbeat_due = now
        self._status_due = False  # the battery's status is to be repeated
        self._connection_text = None
        self._connection_is_repeated = False  # it is to be repeated
        self._connection_due = now
        self._info_changes = None  # of the readings that are read once, as published last; None: they were not
        self._info_due = now  # to be repeated
        self._deadband.begin(now)
        self._told_changes = None  # `changes` of the published values when they were compared with the alarms told
        self._event_bit = 0  # of the field _event_field, which has been given away
        self._published_counters = [None] * len(COUNTERS)
        self._result_due = True
        if self.values is not None:
            self.values.begin(now)

    # for the publisher

    def set_counters(self):
        """Publish counters that were set by command."""
        self._counters_set = True  # not now: a state may be half written

    def report(self, text):
        """Publish the result of a command, now and after every connection.

        One that waits for the PUBACK of the one before is not replaced: each is published, of a flood the last RESULTS.
        """
        if self._result_due and self._result is not None:
            if len(self._earlier_results) >= RESULTS:
                self._earlier_results.pop(0)
            self._earlier_results.append(self._result)
        self._result = bounded(text)
        self._result_due = True

    def republish(self, now, is_birth):
        """Publish the state again, changed or not; `is_birth`: the result of a command, too, as Home Assistant has started."""
        self._heartbeat_due = now
        self._info_changes = None
        self._result_due = self._result_due or is_birth

    def repeat_status(self, now, with_connection):
        """Repeat the status, and the connection text, for later subscribers."""
        self._status_due = True
        if with_connection:
            self._connection_is_repeated = True
            self._connection_due = now

    # discovery

    def begin_discovery(self, now):
        """Publish discovery again."""
        self.part = self.last_part  # which one is sent next
        self.discovered_topology = None  # None: nothing of the battery yet
        self._partial_parts: list = []  # messages that left out what had not been read
        self._completed_parts: list = []  # those of them that are now sent again
        self._discovered_at = now  # when the last one was sent; None: long enough ago
        self._extras_topology = None  # the topology with which the last message was sent
        self._extras_at = None  # and when; None: long enough ago

    def next_discovery(self, now):
        """The next discovery message."""
        if self._discovered_at is not None and ticks_diff(now, self._discovered_at) >= DISCOVERY_PAUSE_MS:
            self._discovered_at = None
        if self._extras_at is not None and ticks_diff(now, self._extras_at) >= DISCOVERY_PAUSE_MS:
            self._extras_at = None
        if self._extras_topology is None:
            return self._discover_extras(now)
        return self._discover_battery(now) or self._complete_parts(now)

    def _discover_battery(self, now):
        topology = self.pack.topology_changes
        if self.discovered_topology != topology and self.poller.complete:
            # one message with serial number and versions rather than two; boards without them are not waited for long
            must_wait = self.discovered_topology is not None or not self.poller.static_done
            if must_wait and self._discovered_at is not None:
                return None
            self.discovered_topology = topology
            self.part = self.first_part
            self._partial_parts = []
            self._completed_parts = []
        if self.discovered_topology is None or self.part > self.last_part:
            return None
        if self.part < self.last_part:
            self.part += 1
            return self.discover(self.part - 1, now)
        return self._discover_last(now)

    def note_partial(self, part):
        """What a discovery message leaves out is removed as soon as it is certain that this board does not have it."""
        self._partial_parts.append(part)

    def _complete_parts(self, now):
        """One of the messages that left something out, once all that a board may have has been read or given up."""
        is_over = self._discovered_at is None and self.part > self.last_part
        if self._partial_parts and is_over and self.poller.static_done:
            self._completed_parts = self._partial_parts
            self._partial_parts = []
        return self.discover(self._completed_parts.pop(0), now) if self._completed_parts else None

    def _discover_extras(self, now):
        """The message with connection text and controls, from the first connection on: needed also if the BMS never answers."""
        self._extras_topology = self.pack.topology_changes
        self._extras_at = now
        self._shared.republish_soon(now)
        return self.discover(self.last_part, now)

    def _discover_last(self, now):
        """Send the same again behind the battery's messages: more is known of the device by then."""
        message = None
        if self._extras_topology != self.discovered_topology:
            if self._extras_at is not None:
                return None
            message = self._discover_extras(now)
        self.part += 1
        self._note_discovered(now)
        self._shared.republish_soon(now)
        return message

    def discover(self, part, now):
        """Begin one discovery message; None when it is skipped, or there is no memory for it."""
        self._discovered_at = now
        return self._shared.discover(part, now, self, self.poller.static_done)

    def _note_discovered(self, now):
        if self._are_fewer(self.pack.topology):
            self._fewer_since = now
        self._discovered_cells = self.pack.topology["cell_count"]
        self._discovered_sensors = self.pack.topology["temperature_count"]

    def _are_fewer(self, layout):
        """Whether there are fewer cells or sensors in a topology than in the discovery messages."""
        return layout["cell_count"] < self._discovered_cells or layout["temperature_count"] < self._discovered_sensors

    # status, connection text and command result

    def _status(self, text, qos=1):
        self._status_due = False
        return self.own_status.message(text, qos)

    def last_command(self, _now):
        """The result of a command."""
        if self._result is None or not self._result_due:
            return None
        if self._earlier_results:
            return self._topic + "/command_result", self._earlier_results.pop(0), True, 1
        self._result_due = False
        return self._topic + "/command_result", self._result, True, 1

    def connection(self, now):
        """Why there is data or not, whenever the text changes; that there is not before the data."""
        if ticks_diff(now, self._connection_due) < 0:
            return None
        if self.poller.online and self.phase != ONLINE:
            return None
        self._connection_due = ticks_add(now, CONNECTION_CHECK_MS)
        text = self.poller.diagnosis.text
        is_new = text != self._connection_text
        if not (is_new or self._connection_is_repeated):
            return None
        self._connection_text = text
        self._connection_is_repeated = False
        return self._topic + "/connection", bounded(text), self._shared.retain, 1 if is_new else 0

    # states

    def is_awaited(self, now):
        """Whether the battery has just been found, and would be online right after it was called offline."""
        if self.phase != TO_OFFLINE or not self.poller.online or self.poller.complete:
            return False
        return ticks_diff(now, self._complete_by) < 0

    def state(self, now):
        """The state or the status."""
        self.seen_changes = self.pack.changes
        self._deadband.follow_topology()
        if self._event_bit:  # it has been received, else no other message would be asked for
            self._told_alarms[self._event_field] ^= self._event_bit
            self._event_bit = 0
        phase = self.phase
        if phase == TO_OFFLINE and self.poller.complete:  # only the connection is new, the battery was online before
            phase = OFFLINE
        if self.is_awaited(now):
            return None
        if phase == TO_OFFLINE or (phase >= TO_ONLINE and not self.poller.online):
            self.phase = _TO_UNKNOWN
            return self._status("offline")
        if phase == OFFLINE and self.poller.complete and self._deadband.is_disagreeing(now):
            return None  # half a second at most: until then the published values are those from before
        if phase == _TO_UNKNOWN or (phase == OFFLINE and self.poller.complete):
            return self._write_state(now, self._deadband.begin_all(now), True, phase + 1)
        if phase == TO_ONLINE:
            message = self.info(now)  # it is known already if only the connection is new
            if message is not None:
                return message
            self.phase = ONLINE
            return self._status("online")
        if phase == ONLINE and self._told_changes != self.published.changes:
            message = self._event(now)
            if message is not None:
                return message
        taken = self._deadband.begin_take(now) if phase == ONLINE else False
        must = ticks_diff(now, self._heartbeat_due) >= 0
        if must or taken is not False:
            return self._write_state(now, taken, must)
        if self._status_due:
            return self._status("online" if phase == ONLINE else "offline", 0)  # QoS 0: it is repeated anyway
        return None

    def _event(self, now):
        """An alarm that has begun or ended since it was told last, the next one.

        What is active at the start of the bridge is no event: nobody knows when it began. One that did not reach the broker
        comes in the next connection.
        """
        published = self.published
        told = self._told_alarms
        if self._told_inverted != self.pack.polarity.current_inverted:  # found just now: both overcurrents change places
            for index in range(BITFIELDS):
                if published.at(ALARMS, index) != self.pack.at(ALARMS, index):
                    return None  # these are still the wrong way round
            self._told_inverted = not self._told_inverted
            for index in range(len(told)):
                if index != FAULT - 1:
                    told[index] = with_directions_swapped(told[index])
        for index in range(BITFIELDS):
            bits = published.at(ALARMS, index)
            if bits is None:
                break  # all five are known, or none
            if len(told) <= index:
                told.append(bits)
            changed = bits ^ told[index]
            if not changed:
                continue
            if not (self._events and 0 <= ticks_diff(now, self._events_since) < EVENTS_MS):
                self._events = 0
                self._events_since = now
            if self._events >= EVENTS:
                return None
            self._events += 1
            self._event_field = index
            self._event_bit = bit = changed & -changed
            name, level = alarm_of(index + 1, bit)
            kind = level if bits & bit else "cleared"
            return self._topic + "/event", f'{{"event_type":"{kind}","alarm":"{name}","level":"{level}"}}', False, 1
        self._told_changes = published.changes
        return None

    def info(self, now):
        """What is read once, such as limits and versions: whenever it has changed, and again for later subscribers."""
        changes = self._deadband.once_changes + self.published.topology_changes
        if self.phase < OFFLINE or (self._info_changes == changes and ticks_diff(now, self._info_due) < 0):
            return None
        self._info_changes = changes
        self._info_due = ticks_add(now, INFO_REPEAT_MS)
        steps = pack_steps(self._shared.writer.clear(), self.published, part=INFO)
        return self._shared.write(steps, self._topic + "/info", self._shared.retain)

    def take_set_counters(self, now):
        """Counters that were set by command: immediately and exactly, also while the battery is offline."""
        if not self._counters_set:
            return None
        self._counters_set = False
        self._deadband.begin(now)
        readings = self.published
        self._published_counters = list(self.pack.energy.totals())  # `self` in a comprehension costs heap at each call
        for key, total in zip(COUNTERS, self._published_counters):
            if readings.raw(key) is not None:
                readings.put(READING[key], 0, total, now)
        return self._topic + "/energy", self._write_counters(), True, 1

    def counters(self, _now):
        """The counters on a retained topic of their own: in the state they are null while the battery is offline."""
        if not self._counters_changed():
            return None
        # QoS 0: it is sent every few seconds, and the next message would wait for each PUBACK
        for position in range(len(COUNTERS)):
            self._published_counters[position] = self.published.raw(COUNTERS[position])
        return self._topic + "/energy", self._write_counters(), True, 0

    def _write_counters(self):
        writer = self._shared.writer.clear()
        for position, key in enumerate(COUNTERS):
            writer.put(b',"' if position else b'{"').put(key).put(b'":').put_decimal(self._published_counters[position], 3)
        return writer.put(b"}")

    def _counters_changed(self):
        """Whether all counters are known and one differs from its published value. Runs in every tick, so it makes no list."""
        changed = False
        for position in range(len(COUNTERS)):
            count = self.published.raw(COUNTERS[position])
            if count is None:
                return False
            changed = changed or count != self._published_counters[position]
        return changed

    def _write_state(self, now, taken, must, phase=None):
        steps = self._state_steps(now, taken, must, phase, self.poller.online)
        return self._shared.write(steps, self._topic + "/state", self._shared.retain)

    def _state_steps(self, now, taken, must, phase, was_online):
        """Take over what is due, see Deadband.begin_take, and if that, or `must`, makes a new state write it.

        `phase`: reached when it is written, since without memory for the numbers the battery is not online; None: as it is.
        Nothing is written if the battery goes offline meanwhile: half of the values would be of before.
        """
        if taken is not True and taken is not False:
            is_other = False
            for step in taken:
                is_other = step
                yield False
            taken = is_other
        if was_online and not self.poller.online:
            if self.phase == OFFLINE:  # what has been taken over must not come with the next heartbeat
                self.phase = _TO_UNKNOWN
            yield None
        if not (must or taken):
            yield None
        self._heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        # All keys that there may be while the number of cells is not known, or until Home Assistant has removed those that are
        # gone: entities from before would miss theirs.
        if self._fewer_since is not None and ticks_diff(now, self._fewer_since) >= REPUBLISH_MS:
            self._fewer_since = None
        layout = self.published.topology  # of these values: the live one may know more by now
        every_slot = not layout["cell_count"] or self._fewer_since is not None or self._are_fewer(layout)
        self.states += 1
        for is_whole in pack_steps(self._shared.writer.clear(), self.published, every_slot, self.states, self._time(), STATE):
            if is_whole and phase is not None:
                self.phase = phase
            yield is_whole

    def _time(self):
        """Time of the last response of the BMS as text, as of which the published values hold; None: not known, or offline."""
        utc = self._shared.utc
        return utc(self.poller.last_response) if utc is not None and self.poller.online else None

    def single_value(self, now):
        """The next reading on a topic of its own; none while counters may be found that are held back until then."""
        value = None
        if self.values is not None and not self.pack.energy.is_provisional:
            value = self.values.poll(now)
        if value is None:
            return None
        if value[1] is None:
            return self._topic + "/" + value[0], b"", True, 0
        return self._topic + "/" + value[0], value[1], self._shared.retain, 0
