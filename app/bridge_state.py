# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The state of the bridge itself, for <base>/state: one row for each value, with its entity in Home Assistant."""

import gc
from collections import namedtuple

from adafruit_ticks import ticks_diff

from battery.json import listed
from battery.readings import DIAGNOSTIC, DISABLED

from .version import VERSION

TICK_MS = 100  # between two calls
SIGNAL_DEADBAND_DB = 4  # the Wi-Fi signal always varies, and each change is a row in Home Assistant's database
BOOT_SUCCESS_S = 600  # uptime after which a boot counts as successful

# key in <base>/state; name in Home Assistant, None: no entity; category; unit, "" of a count, None of a text; icon or device
# class; value(state, now), None is published as null. New rows with a name go to the end: an entity must not change its message
Row = namedtuple("Row", ("key", "name", "category", "unit", "icon", "value"))
ROWS = (
    Row("version", None, None, None, None, lambda state, now: VERSION),
    Row("uptime", "Uptime", DISABLED, "s", "duration", lambda state, now: state.uptime_s),
    Row("rssi", "Wi-Fi signal", DIAGNOSTIC, "dBm", "signal_strength", lambda state, now: state.signal()),
    Row("restart_reason", "Restart reason", DIAGNOSTIC, None, "mdi:restart-alert",
        lambda state, now: state.restart_reason),
    Row("boot_count", "Boot count", DISABLED, "", "mdi:restart", lambda state, now: state.nvm_store.boots),
    Row("safe_modes", None, None, None, None, lambda state, now: state.nvm_store.safe_modes),
    Row("last_failure", "Last failure", DIAGNOSTIC, None, "mdi:bug-outline",
        lambda state, now: state.loop.last_failure or state.nvm_store.failure or "none"),
    Row("loop_time_max", "Longest loop time", DISABLED, "ms", "duration", lambda state, now: state.loop.longest_ms),
    Row("ip_address", "IP address", DISABLED, None, "mdi:ip-network",
        lambda state, now: str(state.radio.ipv4_address) if state.radio.ipv4_address else None),
    Row("free_memory", "Free memory", DISABLED, "B", "data_size",
        lambda state, now: gc.mem_free() if hasattr(gc, "mem_free") else None),
    Row("mqtt_connects", "MQTT connects", DISABLED, "", "mdi:lan-connect", lambda state, now: state.session.connects),
    Row("settings_problems", "Settings problems", DIAGNOSTIC, None, "mdi:file-alert-outline",
        lambda state, now: listed(state.problems)),
    Row("frames_ok", "Valid frames", DISABLED, "", "mdi:check-network-outline", lambda state, now: state.poller.frames_ok),
    Row("checksum_errors", "Checksum errors", DISABLED, "", "mdi:close-network-outline",
        lambda state, now: state.poller.checksum_errors),
    Row("timeouts", "Timeouts", DISABLED, "", "mdi:timer-off-outline", lambda state, now: state.poller.timeouts),
    Row("echoes", "Echoes", DISABLED, "", "mdi:surround-sound", lambda state, now: state.poller.echoes),
    Row("implausible_values", "Implausible values", DISABLED, "", "mdi:filter-remove-outline",
        lambda state, now: state.poller.pack.implausible),
    Row("poll_cycle", "Poll cycle", DISABLED, "ms", "duration", lambda state, now: state.poller.cycle_ms),
    Row("oldest_reading_age", "Oldest reading age", DISABLED, "ms", "duration",
        lambda state, now: state.poller.pack.oldest_ms(now)),
    Row("current_sign", "Current sign", DISABLED, None, "mdi:plus-minus-variant",
        lambda state, now: state.poller.pack.polarity.text),
    Row("request_gap", None, None, None, None, lambda state, now: state.poller.timing.gap_ms),
    Row("host_address", None, None, None, None, lambda state, now: state.poller.host_address),
    Row("protocol", "BMS protocol", DIAGNOSTIC, None, "mdi:swap-horizontal", lambda state, now: state.poller.protocol),
    Row("discovery_errors", None, None, None, None, lambda state, now: state.publisher.discovery_errors),
)  # fmt: skip


class BridgeState:
    """The values of ROWS. `restart_reason`: the chip's reset reason in lower case; `problems`: mistakes in the settings.

    Publisher and MqttClient are made later: `watch` them before the first state is asked for.
    """

    def __init__(self, radio, poller, nvm_store, loop, problems, restart_reason, now):
        self.radio = radio
        self.poller = poller
        self.nvm_store = nvm_store
        self.loop = loop
        self.publisher = self.session = None
        self.problems = problems
        self.restart_reason = restart_reason
        self.uptime_s = 0
        self._last = now
        self._milliseconds = 0
        self._signal = None  # dBm, as published last; None: it was not published

    def watch(self, publisher, session):
        """Publish the counters of these, too."""
        self.publisher = publisher
        self.session = session

    def tick(self, now):
        """Count the uptime: ticks wrap, these seconds do not. Returns the ms until the next call."""
        self._milliseconds += ticks_diff(now, self._last)
        self._last = now
        self.uptime_s += self._milliseconds // 1000
        self._milliseconds %= 1000
        if self.uptime_s >= BOOT_SUCCESS_S and (self.nvm_store.failed_boots or self.nvm_store.safe_modes):
            self.nvm_store.clear_failed_boots()
        return TICK_MS

    def signal(self):
        """The Wi-Fi signal in dBm, or the one published last while it is within the deadband; None without Wi-Fi."""
        access_point = self.radio.ap_info if self.radio.connected else None
        if access_point is None:
            return None
        signal = access_point.rssi
        return signal if self._signal is None or abs(signal - self._signal) >= SIGNAL_DEADBAND_DB else self._signal

    def take_pairs(self, now):
        """The pairs to publish on <base>/state; what is measured from one state to the next starts again."""
        pairs = self.pairs(now)
        self.loop.reset_longest()
        for key, value in pairs:
            if key == "rssi" and value is not None:
                self._signal = value
        return pairs

    def pairs(self, now):
        """(key, value) of each of ROWS, without side effects."""
        return [(row.key, row.value(self, now)) for row in ROWS]
