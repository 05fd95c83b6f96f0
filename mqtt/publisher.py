"""What is said to the broker, and when. Performs no I/O and has no clock.

`begin` after every connect, then `poll` gives one message after the other, or None when there is nothing to say. A battery's
numbers are published before it is called online and forgotten (null) right after it went offline.
"""

from adafruit_ticks import ticks_add, ticks_diff

from daly.energy import COUNTERS
from daly.registers import READING

from .discovery import BRIDGE_PARTS
from .payload import write_pack
from .said import EachValue, Said

# Home Assistant applies only part of a second announcement that follows too soon.
ANNOUNCE_PAUSE_MS = 6000
# After an announcement Home Assistant needs a moment before it hears states.
RESAY_MS = 3000
# Nothing changed: say it all the same, well inside the discovery's expire_after and the broker's keep-alive.
HEARTBEAT_MS = 10000
CORRECT_MS = 1000  # at most so often a status is corrected; twice as long each time while somebody insists
LONGEST_CORRECT_MS = 60000
LINK_MS = 500  # how often the words on the link are looked at

# what the broker has been told of the battery, in the order it is told
_SAY_OFFLINE = 0
_SAY_UNKNOWN = 1  # the state with every reading null
_OFFLINE = 2
_SAY_ONLINE = 3  # the state with numbers has been said
_ONLINE = 4


class Publisher:
    """Says everything about one bridge and its battery. Messages are (topic, payload, retain, QoS).

    `bridge(now)` gives the bridge's own state as pairs of key and value. `fast_ms` and `slow_ms` are the least times between
    two states with changed pack and cell readings, `band_percent` scales the dead bands, `each_value` publishes every
    reading on its own topic as well.
    """

    def __init__(self, base, discovery, pack, poller, bridge, fast_ms, slow_ms=30000, band_percent=100, each_value=False):
        self._base = base
        self._discovery = discovery
        self._pack = pack
        self._poller = poller
        self._bridge = bridge
        self._writer = discovery.writer  # theirs is as long as the longest announcement, and one such buffer is enough
        self._said = Said(pack, fast_ms, slow_ms, band_percent)
        self._each = EachValue(self._said.readings) if each_value else None
        self._messages: list = []  # to be said once, by whom it may concern
        self._report = None  # what came of the last order; None: nobody may order
        self._told_cells = 0  # Home Assistant has been told of so many cells since our restart
        self._told_sensors = 0  # and temperature sensors
        self._told_at = None  # when it was told that there are fewer; None: long enough ago
        self.begin(0)

    def begin(self, now):
        """A new session: say everything again."""
        self._begin_announcement(now)
        self._online_said = False
        self._phase = _SAY_OFFLINE
        self._heartbeat_due = now
        self._bridge_due = now
        self._status_said = None  # of the battery
        self._wrong: list = []  # topics where something else stands than we said last
        self._correct_due = now
        self._correct_pause = CORRECT_MS
        self._link_said = None
        self._link_due = now
        self._again_at = self._resay_at = None
        self._said.begin(now)
        self._counts_said = [None] * len(COUNTERS)
        self._report_due = True
        if self._each is not None:
            self._each.begin()

    def announce_again(self, now, delay_ms):
        """Home Assistant has started: after the delay say discovery, and a while later availability and states, once more."""
        self._again_at = ticks_add(now, delay_ms)

    def contradicted(self, topic, payload, now):
        """`payload` (bytes) stands on one of our two status topics: our own echo, a late last will, a stranger's."""
        said = self._status(topic)
        if topic in self._wrong:
            self._wrong.remove(topic)
        if said is not None and payload != said.encode():
            self._wrong.append(topic)
        if ticks_diff(now, self._correct_due) >= LONGEST_CORRECT_MS:
            self._correct_pause = CORRECT_MS

    def say(self, topic, payload, retain=False, qos=1):
        """Say something once, as soon as there is time; `topic` without the base."""
        self._messages.append((self._base + topic, payload, retain, qos))

    def set_counters(self, now):
        """Somebody has set the counters: told as they are and at once, also while the battery is silent."""
        self._said.begin(now)
        readings = self._said.readings
        self._counts_said = [readings.energy.total(key) for key in COUNTERS]
        for key, total in zip(COUNTERS, self._counts_said):
            if readings.raw(key) is not None:
                readings.put(READING[key], 0, total, now)
        self.say("/bms1/energy", self._write_counts(), retain=True)

    def report(self, text):
        """What came of the last order: said now, and again in every session, so that it is known to be the last."""
        self._report = text
        self._report_due = True

    def poll(self, now):
        """The next message, or None."""
        if self._again_at is not None or self._resay_at is not None:
            self._say_again(now)
        return (
            self._announcement(now)
            or self._link(now)
            or self._availability()
            or self._correction(now)
            or (self._messages.pop(0) if self._messages else None)
            or self._last_order()
            or self._counters()
            or self._battery(now)
            or self._each_value()
            or self._bridge_state(now)
        )

    # discovery

    def _begin_announcement(self, now):
        self._part = 0
        self._announced_layout = 0
        self._announced_at = now

    def _say_again(self, now):
        if self._again_at is not None and ticks_diff(now, self._again_at) >= 0:
            self._again_at = None
            self._begin_announcement(now)
            self._resay_at = ticks_add(now, RESAY_MS)
        elif self._resay_at is not None and ticks_diff(now, self._resay_at) >= 0:
            self._resay_at = None
            self._online_said = False
            self._link_said = None
            self._report_due = True
            self._bridge_due = now
            self._phase = _SAY_OFFLINE

    def _announcement(self, now):
        if self._part < BRIDGE_PARTS:
            return self._announce(now)
        layout = self._pack.layout_changes
        if self._announced_layout != layout and self._poller.complete:
            # one announcement with serial number and versions rather than two; silent boards are not waited for long
            waits = self._announced_layout or not self._poller.introduced
            if waits and ticks_diff(now, self._announced_at) < ANNOUNCE_PAUSE_MS:
                return None
            self._announced_layout = layout
            self._part = BRIDGE_PARTS
        if self._announced_layout and self._part < self._discovery.parts():
            return self._announce(now)
        return None

    def _announce(self, now):
        topic, payload = self._discovery.message(self._part)
        self._part += 1
        self._announced_at = now
        if self._part == self._discovery.parts():
            self._note_told(now)
        return topic, payload, True, 1

    def _note_told(self, now):
        if self._are_fewer():
            self._told_at = now
        self._told_cells = self._pack.layout["cell_count"]
        self._told_sensors = self._pack.layout["temperature_count"]

    def _are_fewer(self):
        """Whether there are fewer cells or sensors than Home Assistant was told."""
        layout = self._pack.layout
        return layout["cell_count"] < self._told_cells or layout["temperature_count"] < self._told_sensors

    # availability and words

    def _availability(self):
        # not before what is retained of the battery has been replaced: it may be hours old
        if self._online_said or self._phase < _OFFLINE:
            return None
        self._online_said = True
        return self._base + "/status", "online", True, 1

    def _status(self, topic):
        """What we said last on one of our status topics; None: nothing in this session."""
        if topic == self._base + "/status":
            return "online" if self._online_said else None
        return self._status_said

    def _correction(self, now):
        if not self._wrong or ticks_diff(now, self._correct_due) < 0:
            return None
        self._correct_due = ticks_add(now, self._correct_pause)
        self._correct_pause = min(2 * self._correct_pause, LONGEST_CORRECT_MS)
        topic = self._wrong.pop(0)
        said = self._status(topic)
        return None if said is None else (topic, said, True, 1)

    def _last_order(self):
        if self._report is None or not self._report_due:
            return None
        self._report_due = False
        return self._base + "/bms1/control", self._report, True, 1

    def _link(self, now):
        """Why there is data or not, in words, whenever that changes."""
        if ticks_diff(now, self._link_due) < 0:
            return None
        self._link_due = ticks_add(now, LINK_MS)
        text = self._poller.link.text
        if text == self._link_said:
            return None
        self._link_said = text
        return self._base + "/bms1/link", text, True, 1

    # states

    def _battery(self, now):
        phase = self._phase
        if phase == _SAY_OFFLINE and self._poller.complete:  # only the session is new, the battery was there all along
            phase = _OFFLINE
        if phase == _SAY_OFFLINE or (phase >= _SAY_ONLINE and not self._poller.online):
            self._phase = _SAY_UNKNOWN
            return self._battery_status("offline")
        if phase == _SAY_UNKNOWN or (phase == _OFFLINE and self._poller.complete):
            self._phase = phase + 1
            self._said.take_all(now)
            return self._battery_state(now)
        if phase == _SAY_ONLINE:
            self._phase = _ONLINE
            return self._battery_status("online")
        if (phase == _ONLINE and self._said.take(now)) or ticks_diff(now, self._heartbeat_due) >= 0:
            return self._battery_state(now)
        return None

    def _battery_status(self, text):
        self._status_said = text
        return self._base + "/bms1/status", text, True, 1

    def _counters(self):
        """The counters on a topic of their own, which keeps them when the battery is offline and its state is all null."""
        if not self._counted():
            return None
        # QoS 0: it comes every few seconds, and MiniMQTT would wait each time until the broker has answered
        for position in range(len(COUNTERS)):
            self._counts_said[position] = self._said.readings.raw(COUNTERS[position])
        return self._base + "/bms1/energy", self._write_counts(), True, 0

    def _write_counts(self):
        writer = self._writer.clear()
        for position, key in enumerate(COUNTERS):
            writer.put(b',"' if position else b'{"').put(key).put(b'":').put_decimal(self._counts_said[position], 3)
        return writer.put(b"}").bytes()

    def _counted(self):
        """Whether all counters are known, and one is not as it was told. Asked in every pass, so it makes no list."""
        changed = False
        for position in range(len(COUNTERS)):
            count = self._said.readings.raw(COUNTERS[position])
            if count is None:
                return False
            changed = changed or count != self._counts_said[position]
        return changed

    def _battery_state(self, now):
        self._heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        # A key that is missing is a warning for each of the cells that Home Assistant still knows of: from before our restart
        # while the BMS has not said how many there are, and while it is told that there are fewer. (Fewer than
        # before the restart cost a warning each, once: every program that reads JSON would see 48 cells after each start.)
        if self._told_at is not None and ticks_diff(now, self._told_at) >= RESAY_MS:
            self._told_at = None
        unheard = not self._pack.layout["cell_count"]
        every_slot = unheard or self._told_at is not None or self._are_fewer()
        writer = write_pack(self._writer.clear(), self._said.readings, every_slot=every_slot)
        return self._base + "/bms1/state", writer.bytes(), True, 0

    def _each_value(self):
        value = self._each.poll() if self._each is not None else None
        return None if value is None else (self._base + "/bms1/" + value[0], value[1], True, 0)

    def _bridge_state(self, now):
        if ticks_diff(now, self._bridge_due) < 0:
            return None
        self._bridge_due = ticks_add(now, HEARTBEAT_MS)
        return self._base + "/state", self._writer.clear().put_pairs(self._bridge(now)).bytes(), True, 0
