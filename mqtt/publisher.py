"""What is said to the broker, and when. Performs no I/O and has no clock.

`begin` after every connect, then `poll` gives one message after the other, or None when there is nothing to say. A battery's
numbers are published before it is called online and forgotten (null) right after it went offline.
"""

from adafruit_ticks import ticks_add, ticks_diff

from .payload import Writer, write_pack

# Home Assistant applies only part of a second announcement that follows too soon.
ANNOUNCE_PAUSE_MS = 6000
# Nothing changed: say it all the same, well inside the discovery's expire_after and the broker's keep-alive.
HEARTBEAT_MS = 10000
LINK_MS = 500  # how often the words on the link are looked at
URGENT = ("mode", "charge_mosfet", "discharge_mosfet", "problems")  # published at once when they change

# what the broker has been told of the battery, in the order it is told
_SAY_OFFLINE = 0
_SAY_UNKNOWN = 1  # the state with every reading null
_OFFLINE = 2
_SAY_ONLINE = 3  # the state with numbers has been said
_ONLINE = 4


class Publisher:
    """Says everything about one bridge and its battery. Messages are (topic, payload, retain, QoS).

    `bridge(now)` gives the bridge's own state as pairs of key and value; `interval_ms` is the least time between two states.
    """

    def __init__(self, base, discovery, pack, poller, bridge, interval_ms):
        self._base = base
        self._discovery = discovery
        self._pack = pack
        self._poller = poller
        self._bridge = bridge
        self._interval_ms = interval_ms
        self._writer = Writer()
        self._urgent = [None] * len(URGENT)
        self.begin(0)

    def begin(self, now):
        """A new session: say everything again."""
        self._part = 0  # of the announcement; the battery's follow when its layout is known
        self._announced_layout = 0
        self._announced_at = now
        self._online_said = False
        self._phase = _SAY_OFFLINE
        self._changes_said = None
        self._state_due = now
        self._heartbeat_due = now
        self._bridge_due = now
        self._link_said = None
        self._link_due = now

    def poll(self, now):
        """The next message, or None."""
        return (
            self._announcement(now) or self._availability() or self._link(now) or self._battery(now) or self._bridge_state(now)
        )

    def _announcement(self, now):
        if self._part == 0:
            return self._announce(now)
        layout = self._pack.layout_changes
        if self._announced_layout != layout and self._poller.complete:
            if self._announced_layout and ticks_diff(now, self._announced_at) < ANNOUNCE_PAUSE_MS:
                return None
            self._announced_layout = layout
            self._part = 1
        if self._announced_layout and self._part < self._discovery.parts():
            return self._announce(now)
        return None

    def _announce(self, now):
        topic, payload = self._discovery.message(self._part)
        self._part += 1
        self._announced_at = now
        return topic, payload, True, 1

    def _availability(self):
        if self._online_said:
            return None
        self._online_said = True
        return self._base + "/status", "online", True, 1

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

    def _battery(self, now):
        phase = self._phase
        if phase == _SAY_OFFLINE or (phase == _ONLINE and not self._poller.online):
            self._phase = _SAY_UNKNOWN
            return self._base + "/bms1/status", "offline", True, 1
        if phase == _SAY_UNKNOWN:
            self._phase = _OFFLINE
            return self._battery_state(now)
        if phase == _OFFLINE and self._poller.complete:
            self._phase = _SAY_ONLINE
            return self._battery_state(now)
        if phase == _SAY_ONLINE:
            self._phase = _ONLINE
            return self._base + "/bms1/status", "online", True, 1
        return self._battery_state(now) if self._is_state_due(now) else None

    def _is_state_due(self, now):
        if ticks_diff(now, self._heartbeat_due) >= 0:
            return True
        if self._phase != _ONLINE or self._changes_said == self._pack.changes:
            return False
        return ticks_diff(now, self._state_due) >= 0 or self._is_urgent()

    def _is_urgent(self):
        for index, key in enumerate(URGENT):
            if self._urgent[index] != self._pack.raw(key):
                return True
        return False

    def _battery_state(self, now):
        self._changes_said = self._pack.changes
        self._state_due = ticks_add(now, self._interval_ms)
        self._heartbeat_due = ticks_add(now, HEARTBEAT_MS)
        for index, key in enumerate(URGENT):
            self._urgent[index] = self._pack.raw(key)
        return self._base + "/bms1/state", write_pack(self._writer.clear(), self._pack).bytes(), True, 0

    def _bridge_state(self, now):
        if ticks_diff(now, self._bridge_due) < 0:
            return None
        self._bridge_due = ticks_add(now, HEARTBEAT_MS)
        return self._base + "/state", self._writer.clear().put_pairs(self._bridge(now)).bytes(), True, 0
