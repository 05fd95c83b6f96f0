"""The bridge's own state, for <base>/state: one row for each value, with its entity in Home Assistant."""

import gc
from collections import namedtuple

from adafruit_ticks import ticks_diff

from battery.json import listed
from battery.readings import DIAGNOSTIC, DISABLED

from .version import VERSION

SIGNAL_BAND_DB = 4  # a Wi-Fi signal plays by itself, and every change of it is a row in somebody's database
WELL_AFTER_S = 600  # who has run so long has not crashed at start

# key in <base>/state; name in Home Assistant, None: no entity; category; unit; icon or device class; state class;
# value(state, now), None is published as null. New rows with a name at the end: an entity must not move to another message
Row = namedtuple("Row", ("key", "name", "category", "unit", "icon", "state_class", "value"))
ROWS = (
    Row("version", None, None, None, None, None, lambda state, now: VERSION),
    Row("uptime", "Uptime", DISABLED, "s", "duration", "total_increasing", lambda state, now: state.uptime_s),
    Row("rssi", "Wi-Fi signal", DIAGNOSTIC, "dBm", "signal_strength", "measurement", lambda state, now: state.signal()),
    Row("restart_reason", "Restart reason", DIAGNOSTIC, None, "mdi:restart-alert", None,
        lambda state, now: state.restart_reason),
    Row("boot_count", "Boot count", DISABLED, None, "mdi:restart", "total_increasing", lambda state, now: state.memory.boots),
    Row("safe_modes", None, None, None, None, None, lambda state, now: state.memory.safe_modes),
    Row("last_failure", "Last failure", DIAGNOSTIC, None, "mdi:bug-outline", None,
        lambda state, now: state.loop.last_failure or state.memory.failure or "none"),
    Row("longest_pass", "Longest loop pass", DISABLED, "ms", "duration", "measurement",
        lambda state, now: state.loop.longest_ms),
    Row("ip_address", "IP address", DISABLED, None, "mdi:ip-network", None,
        lambda state, now: str(state.radio.ipv4_address) if state.radio.ipv4_address else None),
    Row("free_memory", "Free memory", DISABLED, "B", "data_size", "measurement",
        lambda state, now: gc.mem_free() if hasattr(gc, "mem_free") else None),
    Row("mqtt_connects", "MQTT connects", DISABLED, None, "mdi:lan-connect", "total_increasing",
        lambda state, now: state.session.connects),
    Row("settings_problems", "Settings problems", DIAGNOSTIC, None, "mdi:file-alert-outline", None,
        lambda state, now: listed(state.problems)),
    Row("good_frames", "Good frames", DISABLED, None, "mdi:check-network-outline", "total_increasing",
        lambda state, now: state.poller.frames_ok),
    Row("bad_checksums", "Bad checksums", DISABLED, None, "mdi:close-network-outline", "total_increasing",
        lambda state, now: state.poller.checksum_errors),
    Row("timeouts", "Time-outs", DISABLED, None, "mdi:timer-off-outline", "total_increasing",
        lambda state, now: state.poller.timeouts),
    Row("echoes", "Echoes", DISABLED, None, "mdi:surround-sound", "total_increasing", lambda state, now: state.poller.echoes),
    Row("rejected_values", "Rejected values", DISABLED, None, "mdi:filter-remove-outline", "total_increasing",
        lambda state, now: state.poller.pack.implausible),
    Row("cycle_time", "Cycle time", DISABLED, "ms", "duration", "measurement", lambda state, now: state.poller.cycle_ms),
    Row("oldest_reading", "Oldest reading", DISABLED, "ms", "duration", "measurement",
        lambda state, now: state.poller.pack.oldest_ms(now)),
    Row("current_sign", "Current sign", DISABLED, None, "mdi:plus-minus-variant", None,
        lambda state, now: state.poller.pack.polarity.text),
    Row("request_gap", None, None, None, None, None, lambda state, now: state.poller.timing.gap_ms),
    Row("host_address", None, None, None, None, None, lambda state, now: state.poller.host_address),
    Row("discovery_errors", None, None, None, None, None, lambda state, now: state.publisher.discovery_errors),
)  # fmt: skip


class Health:
    """What the bridge says of itself. `restart_reason` is the chip's word for why it started; `problems`: of the settings."""

    def __init__(self, radio, poller, memory, loop, publisher, session, problems, restart_reason, now):
        self.radio = radio
        self.poller = poller
        self.memory = memory
        self.loop = loop
        self.publisher = publisher
        self.session = session
        self.problems = problems
        self.restart_reason = restart_reason
        self.uptime_s = 0
        self._last = now
        self._milliseconds = 0
        self._signal = None  # as told last

    def tick(self, now):
        """Count the uptime; ticks wrap, seconds do not."""
        self._milliseconds += ticks_diff(now, self._last)
        self._last = now
        self.uptime_s += self._milliseconds // 1000
        self._milliseconds %= 1000
        if self.uptime_s >= WELL_AFTER_S and (self.memory.starts or self.memory.safe_modes):
            self.memory.forget_accidents()

    def signal(self):
        """The Wi-Fi signal in dBm, the one told last while it has hardly changed; None without Wi-Fi."""
        access_point = self.radio.ap_info if self.radio.connected else None
        if access_point is None:
            return None
        signal = access_point.rssi
        return signal if self._signal is None or abs(signal - self._signal) >= SIGNAL_BAND_DB else self._signal

    def take_pairs(self, now):
        """The pairs for <base>/state: what is measured from one state to the next begins anew."""
        pairs = self.pairs(now)
        self.loop.forget_longest()
        for key, value in pairs:
            if key == "rssi" and value is not None:
                self._signal = value
        return pairs

    def pairs(self, now):
        """(key, value) of everything in <base>/state; None is published as null. Whoever looks changes nothing."""
        return [(row.key, row.value(self, now)) for row in ROWS]
