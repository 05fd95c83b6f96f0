# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The state of the bridge itself, for <base>/state. What each value is in Home Assistant is in mqtt/bridge_entities.py."""

import gc

from adafruit_ticks import ticks_diff

from battery.json import listed

from .version import VERSION

TICK_MS = 100  # between two calls
SIGNAL_DEADBAND_DB = 4  # the Wi-Fi signal always varies, and each change is a row in Home Assistant's database
BOOT_SUCCESS_S = 600  # uptime after which a boot counts as successful


class BridgeState:
    """The values of the bridge. `poller`: of several batteries the Pollers of several.py; `restart_reason`: the chip's reset
    reason in lower case; `problems`: mistakes in the settings.

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

    def pairs(self, now, oldest_ms=None):
        """(key, value) of each, None is published as null. Without side effects. `oldest_ms`: the age of the oldest reading,
        where it has been looked for already.

        A new one goes to the end. What it is in Home Assistant: BRIDGE in mqtt/bridge_entities.py.
        """
        poller = self.poller
        return [
            ("version", VERSION),
            ("uptime", self.uptime_s),
            ("rssi", self.signal()),
            ("restart_reason", self.restart_reason),
            ("boot_count", self.nvm_store.boots),
            ("safe_modes", self.nvm_store.safe_modes),
            ("last_failure", self.loop.last_failure or self.nvm_store.failure or "none"),
            ("loop_time_max", self.loop.longest_ms),
            ("ip_address", str(self.radio.ipv4_address) if self.radio.ipv4_address else None),
            ("free_memory", gc.mem_free() if hasattr(gc, "mem_free") else None),
            ("mqtt_connects", self.session.connects),
            ("settings_problems", listed(self.problems)),
            ("frames_ok", poller.frames_ok),
            ("checksum_errors", poller.checksum_errors),
            ("timeouts", poller.timeouts),
            ("echoes", poller.echoes),
            ("implausible_values", poller.pack.implausible),
            ("poll_cycle", poller.cycle_ms),
            ("oldest_reading_age", poller.pack.oldest_ms(now) if oldest_ms is None else oldest_ms),
            ("current_sign", poller.pack.polarity.text),
            ("request_gap", poller.timing.gap_ms),
            ("host_address", poller.host_address),
            ("protocol", poller.protocol),
            ("discovery_errors", self.publisher.discovery_errors),
            ("broker", self.session.broker),
        ]
