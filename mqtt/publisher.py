"""What is said to the broker, and when. Performs no I/O and has no clock.

`begin` after every connect, then `poll` gives one message after the other, or None when there is nothing to say. A battery's
numbers are published before it is called online and forgotten (null) right after it went offline. What is said of the battery
is retained only if the settings want it: what the broker repeats to who comes later looks alive, and may be days old. So status
and words are repeated with the heartbeat, and everything a moment after Home Assistant was told what there is.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.energy import COUNTERS
from battery.json import bounded, write_pack
from battery.readings import READING

from .deadband import EachValue, Said

# Home Assistant applies only part of a second announcement that follows too soon.
ANNOUNCE_PAUSE_MS = 6000
# After an announcement Home Assistant needs a moment before it hears states.
RESAY_MS = 3000
# Nothing changed: say it all the same, well inside the discovery's expire_after and the broker's keep-alive.
HEARTBEAT_MS = 10000
LINK_REPEAT_MS = 60000  # where nothing is retained: who comes later waits for the words no longer than this
CORRECT_MS = 1000  # at most so often a status is corrected; twice as long each time while somebody insists
LONGEST_CORRECT_MS = 60000
LINK_MS = 500  # how often the words on the link are looked at
RETRY_MS = 600000  # how often an announcement is tried again for which there was no memory, or that ended the connection
STRIKES = 2  # connections that ended with the same announcement before it is passed over

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
    reading on its own topic as well. `retain`: what is said of the battery, too. `utc(tick)` gives the time of a tick as text,
    or None while it is not known.
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
        self._writer = discovery.writer  # theirs is as long as the longest announcement, and one such buffer is enough
        self._said = Said(pack, fast_ms, slow_ms, band_percent)
        self._each = EachValue(self._said.readings, not retain) if each_value else None
        self._messages: list = []  # to be said once, by whom it may concern
        self._report = None  # what came of the last order; None: nobody may order
        self._seq = 0  # states of the battery since our start
        self._told_cells = 0  # Home Assistant has been told of so many cells since our restart
        self._told_sensors = 0  # and temperature sensors
        self._told_at = None  # when it was told that there are fewer; None: long enough ago
        self.discovery_errors = 0  # announcements that could not be made or sent, since our start
        self._failed: list = []  # parts that are passed over, and now and then tried again
        self._retry_at = None
        self._last_part = None  # the announcement that was the last message of all; None: it was something else
        self._strike_part = None
        self._strikes = 0
        self.begin(0)

    def begin(self, now):
        """A new session: say everything again."""
        self._note_strike(now)
        self._begin_announcement(now)
        self._online_said = False
        self._phase = _SAY_OFFLINE
        self._heartbeat_due = now
        self._bridge_due = now
        self._repeat_due = ticks_add(now, HEARTBEAT_MS)
        self._status_said = None  # the battery's, in this session
        self._status_due = False  # it is to be repeated
        self._wrong: list = []  # topics where something else stands than we said last
        self._is_cleared = False  # what may be retained where the first of them stands
        self._correct_due = now
        self._correct_pause = CORRECT_MS
        self._link_said = None
        self._link_again = False  # the same
        self._link_repeat_due = ticks_add(now, LINK_REPEAT_MS)
        self._link_due = now
        self._again_at = self._resay_at = None
        self._is_birth = False  # Home Assistant has started, and is told everything
        self._said.begin(now)
        self._counts_said = [None] * len(COUNTERS)
        self._report_due = True
        if self._each is not None:
            self._each.begin(now)

    def announce_again(self, now, delay_ms):
        """Home Assistant has started: after the delay say discovery, and a while later availability and states, once more."""
        self._again_at = ticks_add(now, delay_ms)

    def contradicted(self, topic, payload, now):
        """`payload` (bytes) stands on one of our two status topics: our own echo, a late last will, a stranger's.

        What is not what we said last is set right at once, and more slowly each time while somebody insists: a second bridge on
        the same topics would answer.
        """
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
        self._counts_said = [self._pack.energy.total(key) for key in COUNTERS]
        for key, total in zip(COUNTERS, self._counts_said):
            if readings.raw(key) is not None:
                readings.put(READING[key], 0, total, now)
        self.say("/bms1/energy", self._write_counts(), retain=True)

    def report(self, text):
        """What came of the last order: said now, and again in every session, so that it is known to be the last."""
        self._report = bounded(text)
        self._report_due = True

    def poll(self, now):
        """The next message, or None."""
        self._last_part = None  # what was said before has gone out, or poll would not be called
        if self._again_at is not None or self._resay_at is not None:
            self._say_again(now)
        elif not self._retain and ticks_diff(now, self._repeat_due) >= 0:
            self._repeat(now)
        return (
            self._correction(now)
            or self._availability()
            or (self._messages.pop(0) if self._messages else None)
            or self._last_order()
            or self._battery(now)
            or self._link(now)
            or self._counters()
            or self._bridge_state(now)
            or self._announcement(now)  # last but one: one that cannot be said must not keep the numbers waiting
            or self._each_value(now)
        )

    # discovery

    def _begin_announcement(self, now):
        self._part = 0  # which one is sent next
        self._announced_layout = None  # nothing of the battery yet
        self._announced_at = now  # when the last one was sent; None: long enough ago
        self._words_layout = None  # with what layout the words were announced
        self._words_at = None  # the same of those

    def _say_again(self, now):
        if self._again_at is not None and ticks_diff(now, self._again_at) >= 0:
            self._again_at = None
            self._begin_announcement(now)
            self._resay_at = ticks_add(now, RESAY_MS)
            self._is_birth = True
        elif self._resay_at is not None and ticks_diff(now, self._resay_at) >= 0:
            self._resay_at = None
            if self._is_birth:  # else it is retained, and was said a moment ago
                self._is_birth = self._online_said = False
                self._report_due = True
            self._bridge_due = now
            self._heartbeat_due = now
            self._link_repeat_due = now
            self._repeat(now)

    def _repeat(self, now):
        """Status and words again, for who comes later: they are not retained."""
        self._repeat_due = ticks_add(now, HEARTBEAT_MS)
        self._status_due = self._status_said is not None
        if ticks_diff(now, self._link_repeat_due) >= 0:
            self._link_repeat_due = ticks_add(now, LINK_REPEAT_MS)
            self._link_again = True
            self._link_due = now

    def _announcement(self, now):
        if self._announced_at is not None and ticks_diff(now, self._announced_at) >= ANNOUNCE_PAUSE_MS:
            self._announced_at = None
        if self._words_at is not None and ticks_diff(now, self._words_at) >= ANNOUNCE_PAUSE_MS:
            self._words_at = None
        if self._part < self._discovery.bridge_parts:
            self._part += 1
            return self._announce(self._part - 1, now)
        if self._words_layout is None:
            return self._announce_words(now)
        return self._announce_battery(now) or self._announce_failed(now)

    def _announce_battery(self, now):
        layout = self._pack.layout_changes
        if self._announced_layout != layout and self._poller.complete:
            # one announcement with serial number and versions rather than two; silent boards are not waited for long
            waits = self._announced_layout is not None or not self._poller.introduced
            if waits and self._announced_at is not None:
                return None
            self._announced_layout = layout
            self._part = self._discovery.bridge_parts
        words = self._discovery.parts() - 1
        if self._announced_layout is None or self._part > words:
            return None
        if self._part < words:
            self._part += 1
            return self._announce(self._part - 1, now)
        return self._announce_last(now)

    def _announce_words(self, now):
        """The words on the link, from the first connection on: they are needed just when the BMS was never heard."""
        self._words_layout = self._pack.layout_changes
        self._words_at = now
        self._resay_soon(now)
        return self._announce(self._discovery.parts() - 1, now)

    def _announce_last(self, now):
        """They end what is announced of the battery, too, as its device may be known better now."""
        message = None
        if self._words_layout != self._announced_layout:
            if self._words_at is not None:
                return None
            message = self._announce_words(now)
        self._part += 1
        self._note_told(now)
        self._resay_soon(now)
        return message

    def _resay_soon(self, now):
        """What is not retained was not heard by who has only now been told what there is."""
        if not self._retain:
            self._resay_at = ticks_add(now, RESAY_MS)

    def _announce(self, part, now):
        """One announcement; None when it is passed over, or there is no memory for it."""
        self._announced_at = now
        if part in self._failed:
            return None
        try:
            topic, payload = self._discovery.message(part)
        except (MemoryError, ValueError):  # all others and the numbers are said
            self._pass_over(part, now)
            return None
        self._last_part = part
        return topic, payload, True, 1

    def _announce_failed(self, now):
        """Now and then one of those that were passed over."""
        if not self._failed or ticks_diff(now, self._retry_at) < 0:
            return None
        self._retry_at = ticks_add(now, RETRY_MS)
        part = self._failed.pop(0)
        if part >= self._discovery.bridge_parts and part < self._discovery.parts() - 1 and self._announced_layout is None:
            self._failed.append(part)  # nothing is known of the battery
            return None
        self._resay_soon(now)
        return self._announce(part, now)

    def _pass_over(self, part, now):
        self.discovery_errors += 1
        if not self._failed:
            self._retry_at = ticks_add(now, RETRY_MS)
        self._failed.append(part)

    def _note_strike(self, now):
        """Did the connection end with an announcement, and not for the first time with this one? Then it is passed over."""
        part = self._last_part
        self._strikes = self._strikes + 1 if part is not None and part == self._strike_part else 1
        self._strike_part = part
        self._last_part = None
        if part is not None and self._strikes >= STRIKES:
            self._pass_over(part, now)
            self._strike_part = None
        if self._failed:
            self._retry_at = ticks_add(now, RETRY_MS)

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
        # Not before the battery's state has been said: who listened before the connection was lost remembers old numbers, and
        # so does the broker where they are retained. With the bridge they would be available again.
        if self._online_said or self._phase < _OFFLINE:
            return None
        self._online_said = True
        return self._base + "/status", "online", True, 1

    def _battery_status(self, word, qos=1):
        self._status_said = word
        self._status_due = False
        return self._base + "/bms1/status", word, self._retain, qos

    def _status(self, topic):
        """What we said last on one of our status topics; None: nothing in this session."""
        if topic == self._base + "/status":
            return "online" if self._online_said else None
        return self._status_said if topic == self._base + "/bms1/status" else None

    def _correction(self, now):
        if not self._wrong or ticks_diff(now, self._correct_due) < 0:
            return None
        topic = self._wrong[0]
        retain = self._retain or topic == self._base + "/status"
        if not (retain or self._is_cleared):  # what came may have been retained, and nobody is told whether it was
            self._is_cleared = True
            return topic, b"", True, 0
        self._is_cleared = False
        self._correct_due = ticks_add(now, self._correct_pause)
        self._correct_pause = min(2 * self._correct_pause, LONGEST_CORRECT_MS)
        self._wrong.pop(0)
        said = self._status(topic)
        return None if said is None else (topic, said, retain, 1)

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
        is_new = text != self._link_said
        if not (is_new or self._link_again):
            return None
        self._link_said = text
        self._link_again = False
        return self._base + "/bms1/link", bounded(text), self._retain, 1 if is_new else 0

    # states

    def _battery(self, now):
        phase = self._phase
        if phase == _SAY_OFFLINE and self._poller.complete:  # only the session is new, the battery was there all along
            phase = _OFFLINE
        if phase == _SAY_OFFLINE or (phase >= _SAY_ONLINE and not self._poller.online):
            self._phase = _SAY_UNKNOWN
            return self._battery_status("offline")
        if phase == _SAY_UNKNOWN or (phase == _OFFLINE and self._poller.complete):
            self._said.take_all(now)
            message = self._battery_state(now)
            self._phase = phase + 1  # only now: were there no memory for the numbers, the battery would not be online
            return message
        if phase == _SAY_ONLINE:
            self._phase = _ONLINE
            return self._battery_status("online")
        if (phase == _ONLINE and self._said.take(now)) or ticks_diff(now, self._heartbeat_due) >= 0:
            return self._battery_state(now)
        if self._status_due:
            return self._battery_status(self._status_said, 0)  # to be repeated again if it is lost
        return None

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
        self._seq += 1
        writer = write_pack(self._writer.clear(), self._said.readings, every_slot, self._seq, self._time())
        return self._base + "/bms1/state", writer.bytes(), self._retain, 0

    def _time(self):
        """When the BMS was heard last, as far as that is known: what is published was so then, give or take dead bands."""
        return self._utc(self._poller.last_answer) if self._utc is not None and self._poller.online else None

    def _each_value(self, now):
        value = self._each.poll(now) if self._each is not None else None
        if value is None:
            return None
        if value[1] is None:
            return self._base + "/bms1/" + value[0], b"", True, 0
        return self._base + "/bms1/" + value[0], value[1], self._retain, 0

    def _bridge_state(self, now):
        if ticks_diff(now, self._bridge_due) < 0:
            return None
        self._bridge_due = ticks_add(now, HEARTBEAT_MS)
        # retained: it belongs to <base>/status beside it, which the broker itself turns to offline
        return self._base + "/state", self._writer.clear().put_pairs(self._bridge(now)).bytes(), True, 0
