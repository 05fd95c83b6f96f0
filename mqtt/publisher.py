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
URGENT = ("mode", "charge_mosfet", "discharge_mosfet", "problems")  # published at once when they change


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
        self._part = 0
        self._announced_layout = None
        self._announced_at = ticks_add(now, -ANNOUNCE_PAUSE_MS)
        self._online_said = False
        self._battery_said = None  # the availability as last published
        self._changes_said = None
        self._state_due = now
        self._heartbeat_due = now
        self._bridge_due = now

    def poll(self, now):
        """The next message, or None."""
        return self._announcement(now) or self._availability() or self._battery(now) or self._bridge_state(now)

    def _announcement(self, now):
        layout = self._layout()
        if self._part == self._discovery.parts(layout is not None):
            if layout == self._announced_layout or ticks_diff(now, self._announced_at) < ANNOUNCE_PAUSE_MS:
                return None
            self._part = 1
        self._announced_layout = layout
        self._announced_at = now
        topic, payload = self._discovery.message(self._part)
        self._part += 1
        return topic, payload, True, 1

    def _layout(self):
        """What the announcement of the battery depends on; None while nothing is known of it."""
        pack = self._pack
        if not pack.layout["cell_count"]:
            return None
        names = tuple(pack.raw(key) for key in ("battery_code", "software_version", "hardware_version"))
        return (pack.layout["cell_count"], pack.layout["temperature_count"], names)

    def _availability(self):
        if self._online_said:
            return None
        self._online_said = True
        return self._base + "/status", "online", True, 1

    def _battery(self, now):
        online = self._poller.complete
        if self._battery_said is None or (self._battery_said and not online):
            self._battery_said = False
            self._changes_said = None
            self._state_due = self._heartbeat_due = now
            return self._base + "/bms1/status", "offline", True, 1
        if self._is_state_due(now):
            return self._battery_state(now)
        if online and not self._battery_said and self._changes_said is not None:
            self._battery_said = True
            return self._base + "/bms1/status", "online", True, 1
        return None

    def _is_state_due(self, now):
        if self._poller.complete != bool(self._battery_said):
            return self._changes_said != self._pack.changes
        if ticks_diff(now, self._heartbeat_due) >= 0 or self._is_urgent():
            return True
        return self._changes_said != self._pack.changes and ticks_diff(now, self._state_due) >= 0

    def _is_urgent(self):
        for index, key in enumerate(URGENT):
            if self._urgent[index] != self._pack.raw(key):
                return self._battery_said
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
