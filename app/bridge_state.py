# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The state of the bridge itself, for <base>/state. What each value is in Home Assistant is in mqtt/entities.py."""

import gc

from adafruit_ticks import ticks_diff

from battery.json import listed

from .version import VERSION

TICK_MS = 100  # between two calls
SIGNAL_DEADBAND_DB = 4  # the Wi-Fi signal always varies, and each change is a row in Home Assistant's database
BOOT_SUCCESS_S = 600  # uptime after which a boot counts as successful


class BridgeState:
    """The values of the bridge. `restart_reason`: the chip's reset reason in lower case; `problems`: mistakes in the settings.

    Publisher and MqttClient are made later: `watch` them before the first state is asked for.
    """

    def __init__(self, radio, batteries, nvm_store, loop, problems, restart_reason, now):
        self.radio = radio
        self.batteries = batteries
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
        """(key, value) of each, None is published as null. Without side effects.

        A new one goes to the end. What it is in Home Assistant: BRIDGE in mqtt/entities.py.
        """
        batteries = self.batteries
        pollers = [battery.poller for battery in batteries]
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
            ("frames_ok", sum([poller.frames_ok for poller in pollers])),
            ("checksum_errors", sum([poller.checksum_errors for poller in pollers])),
            ("timeouts", sum([poller.timeouts for poller in pollers])),
            ("echoes", sum([poller.echoes for poller in pollers])),
            ("implausible_values", sum([battery.pack.implausible for battery in batteries])),
            ("poll_cycle", _largest([poller.cycle_ms for poller in pollers])),
            ("oldest_reading_age", _largest([battery.pack.oldest_ms(now) for battery in batteries])),
            ("current_sign", _joined([battery.pack.polarity.text for battery in batteries])),
            ("request_gap", _largest([poller.timing.gap_ms for poller in pollers])),
            ("host_address", _joined([poller.host_address for poller in pollers])),
            ("protocol", _joined([poller.protocol for poller in pollers])),
            ("discovery_errors", self.publisher.discovery_errors),
        ]


def _largest(numbers):
    """The largest number; None where each is None."""
    known = [number for number in numbers if number is not None]
    return max(known) if known else None


def _joined(values):
    """The value where all have the same, else each different one once, as a text; None is left out."""
    different: list = []
    for value in values:
        if value is not None and value not in different:
            different.append(value)
    if len(different) < 2:
        return different[0] if different else None
    return ", ".join([str(value) for value in different])
