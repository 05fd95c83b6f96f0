"""The bridge's own state, for <base>/state: how it is, as pairs of key and value."""

import gc

from adafruit_ticks import ticks_diff

from battery.json import listed

from .version import VERSION

SIGNAL_BAND_DB = 4  # a Wi-Fi signal plays by itself, and every change of it is a row in somebody's database
WELL_AFTER_S = 600  # who has run so long has not crashed at start


class Health:
    """What the bridge says of itself. `restart_reason` is the chip's word for why it started."""

    def __init__(self, radio, poller, memory, loop, restart_reason, now):
        self._radio = radio
        self._poller = poller
        self._memory = memory
        self._loop = loop
        self._restart_reason = restart_reason
        self._last = now
        self._milliseconds = 0
        self._signal = None  # as told last
        self.session = None  # set by the wiring: the session needs us first
        self.publisher = None  # the same
        self.uptime_s = 0
        self.problems = ()

    def tick(self, now):
        """Count the uptime; ticks wrap, seconds do not."""
        self._milliseconds += ticks_diff(now, self._last)
        self._last = now
        self.uptime_s += self._milliseconds // 1000
        self._milliseconds %= 1000
        if self.uptime_s >= WELL_AFTER_S and (self._memory.starts or self._memory.safe_modes):
            self._memory.forget_accidents()

    def _settled(self, signal):
        return signal if self._signal is None or abs(signal - self._signal) >= SIGNAL_BAND_DB else self._signal

    def take_pairs(self, now):
        """The pairs for <base>/state: what is measured from one state to the next begins anew."""
        pairs = self.pairs(now)
        self._loop.forget_longest()
        for key, value in pairs:
            if key == "rssi" and value is not None:
                self._signal = value
        return pairs

    def pairs(self, now):
        """(key, value) of everything in <base>/state; None is published as null. Whoever looks changes nothing."""
        radio = self._radio
        ap = radio.ap_info if radio.connected else None
        poller = self._poller
        return (
            ("version", VERSION),
            ("uptime", self.uptime_s),
            ("restart_reason", self._restart_reason),
            ("boot_count", self._memory.boots),
            ("safe_modes", self._memory.safe_modes),
            ("last_failure", self._loop.last_failure or self._memory.failure or "none"),
            ("longest_pass", self._loop.longest_ms),
            ("rssi", self._settled(ap.rssi) if ap else None),
            ("ip_address", str(radio.ipv4_address) if radio.ipv4_address else None),
            ("free_memory", gc.mem_free() if hasattr(gc, "mem_free") else None),
            ("mqtt_connects", self.session.connects),
            ("good_frames", poller.frames_ok),
            ("bad_checksums", poller.checksum_errors),
            ("timeouts", poller.timeouts),
            ("echoes", poller.echoes),
            ("rejected_values", poller.pack.implausible),
            ("cycle_time", poller.cycle_ms),
            ("oldest_reading", poller.pack.oldest_ms(now)),
            ("request_gap", poller.timing.gap_ms),
            ("host_address", poller.host_address),
            ("current_sign", poller.pack.polarity.text),
            ("discovery_errors", self.publisher.discovery_errors if self.publisher else 0),
            ("settings_problems", listed(self.problems)),
        )
