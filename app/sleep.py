# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Low power: awake only to read a complete set and to publish it, else in deep sleep. Loaded only with SLEEP_MINUTES.

Deep sleep ends in a new start of code.py. What has to last is in the chip's sleep memory (a new power-on clears it): nothing is
written to the flash memory for a wake. Before it sleeps the bridge publishes `sleeping` as its status, waits for the PUBACK,
which says that all before it have been received, and ends the connection without a last will.

After power-on it stays awake for FIRST_AWAKE_MS: a chip in deep sleep has no drive on USB, so a wrong SLEEP_MINUTES could not
be corrected any more. A wake that reaches no BMS or no broker ends, too: a battery must not be emptied by waiting.
"""

import binascii
import struct
import time

from adafruit_ticks import ticks_diff
from microcontroller import watchdog

from .kept import AfterFirstResponse

TICK_MS = 50  # between two calls
FIRST_AWAKE_MS = 120000  # after power-on
AWAKE_LIMIT_MS = 60000  # of a wake
ANNOUNCE_LIMIT_MS = 180000  # of one that sends discovery: with one battery that takes an ESP32-S2 20 s, with eight two minutes
# How long a complete set is waited for before the network is joined without one: most need 5 s, a BMS that is looked for 15
COMPLETE_LIMIT_MS = 20000
# How long sensors are waited for when all else has been published. A Victron device speaks once a second, but what has come
# while the bridge joined the Wi-Fi is dropped.
SENSORS_LIMIT_MS = 3000
SAYING_LIMIT_MS = 5000  # for the PUBACK of the last message
CLOSING_LIMIT_MS = 1000  # for the broker to close the connection, which says that it has received the DISCONNECT
ANNOUNCE_MIN = 1440  # discovery is sent again after so much sleep: a broker may have lost what it retained
# The clock of a sleeping ESP32 is an RC oscillator: it may be some percent slow. The rest is for being awake.
DRIFT_PERCENT = 10
AWAKE_S = 180
_MAGIC = b"DS"
# Magic, version, minutes since discovery, sequence of the NVM's last record, minutes slept since, length of the text, text
_FORMAT = "<2sBHIHB80s"
_VERSION = 1
_NEVER = 0xFFFF

_AWAKE = 0
_SAYING = 1
_CLOSING = 2


def deep_sleep(seconds):
    """Sleep; code.py starts anew afterwards. With a computer on USB CircuitPython only waits for so long. Does not return.

    It raises DeepSleepRequest, which is no Exception but a BaseException (circuitpython's py/objexcept.c): the loop and the
    crash handler let it pass, and main.c sleeps when code.py has ended with it.
    """
    import alarm  # here, because a firmware built without it must start, too

    watchdog.mode = None
    alarm.exit_and_deep_sleep_until_alarms(alarm.time.TimeAlarm(monotonic_time=time.monotonic() + seconds))


class CompleteSet:
    """As a poller that is `online` when all readings of all batteries have been requested, those that are read once, too."""

    def __init__(self, batteries):
        self._pollers = [battery.poller for battery in batteries]

    @property
    def online(self):
        """Whether the set is complete."""
        for poller in self._pollers:
            if not (poller.complete and poller.static_done):
                return False
        return True


class Sleep:
    """Puts the chip to sleep for `minutes` as soon as all has been published. `memory`: alarm.sleep_memory, in slices.

    `is_woken`: it has slept until now, so that this is no power-on. `enter(seconds)` sleeps and does not return.
    """

    def __init__(self, minutes, memory, is_woken, now, enter=deep_sleep):
        self._minutes = minutes
        self.valid_s = 60 * minutes * (100 + DRIFT_PERCENT) // 100 + AWAKE_S  # until something newer must have been published
        self._memory = memory
        self.is_woken = is_woken
        self._enter = enter
        self._last = now
        self._elapsed_ms = 0  # of the present state
        self._state = _AWAKE
        self._current_at_ms = None  # `_elapsed_ms` when all but sensors had been published first
        self._least_ms = 0 if is_woken else FIRST_AWAKE_MS
        self._announced_min = _NEVER
        self._sequence = self._unwritten_min = 0
        self.missed = ""  # why the wake before could not publish
        if is_woken:
            self._restore()
        else:
            print(f"Sleep: awake for 2 minutes, so that the settings can be changed; then asleep for {minutes} min at a time.")

    def with_missed(self, take_pairs):
        """The BridgeState's `take_pairs`, with why the wake before could not publish as the last failure, if there is none."""
        missed = self.missed
        if not missed:
            return take_pairs

        def pairs(now):
            return [(key, missed if (key, value) == ("last_failure", "none") else value) for key, value in take_pairs(now)]

        return pairs

    def gate(self, batteries, tick, now):
        """What calls the MqttClient's `tick` as soon as there is a complete set: half of one must not be published."""
        return AfterFirstResponse(CompleteSet(batteries), tick, now, COMPLETE_LIMIT_MS)

    def watch(self, batteries, publisher, client, nvm_store, dark, battery_commands=()):
        """Look at these. `dark`: what has a `sleep()` to become dark; `battery_commands`: what has a `pending()` command."""
        self._set = CompleteSet(batteries)
        self._publisher = publisher
        self._client = client
        self._nvm_store = nvm_store
        self._dark = dark
        self._battery_commands = battery_commands
        self._announces = self._announced_min >= ANNOUNCE_MIN
        if not self._announces:
            publisher.omit_discovery()
        if not self.is_woken:
            client.clear_retained()
        if nvm_store.sequence == self._sequence:
            nvm_store.credit(60000 * self._unwritten_min)

    def tick(self, now):
        """Go to sleep, in steps. Returns the ms until the next call."""
        self._elapsed_ms += ticks_diff(now, self._last)
        self._last = now
        if self._state == _AWAKE:
            self._look()
        elif self._state == _SAYING:
            self._wait_for_broker()
        elif self._client.has_left() or self._elapsed_ms >= CLOSING_LIMIT_MS:
            self._sleep()
        return TICK_MS

    def _to(self, state):
        self._state = state
        self._elapsed_ms = 0

    def _look(self):
        """Whether all has been published, or it has taken too long."""
        if self._elapsed_ms < self._least_ms:
            return
        client = self._client
        is_current = client.has_delivered and self._publisher.is_current() and self._has_sensors() and not self._is_commanded()
        can_announce = self._announces and client.connected and self._set.online
        limit_ms = ANNOUNCE_LIMIT_MS if can_announce else AWAKE_LIMIT_MS
        if not is_current and self._elapsed_ms < self._least_ms + limit_ms:
            return
        self.missed = ""
        if client.connected:  # without a BMS: then this has been published
            self._publisher.say_asleep()
            self._to(_SAYING)
        else:
            self._miss(client.trouble_text)

    def _has_sensors(self):
        """Whether their values have been published, or have been waited for."""
        if self._current_at_ms is None:
            self._current_at_ms = self._elapsed_ms
        return self._publisher.has_measured() or self._elapsed_ms - self._current_at_ms >= SENSORS_LIMIT_MS

    def _is_commanded(self):
        """Whether a battery is executing a command: who sent it waits for the result."""
        return bool([each for each in self._battery_commands if each.pending()])

    def _wait_for_broker(self):
        client = self._client
        if self._publisher.is_asleep_said and client.has_delivered:
            client.leave()
            self._to(_CLOSING)
        elif not client.connected or self._elapsed_ms >= SAYING_LIMIT_MS:
            self._miss(client.trouble_text or "the broker does not acknowledge the last message")

    def _miss(self, reason):
        """Nothing, or not all, has been published."""
        self.missed = reason
        print(f"Sleep: not published. {reason}")
        self._client.leave()
        self._to(_CLOSING)

    def _sleep(self):
        while self._dark:
            self._dark.pop().sleep()  # out of the list first: one that fails must not keep the chip awake for ever
        nvm_store = self._nvm_store
        if nvm_store.failed_boots or nvm_store.safe_modes:
            nvm_store.clear_failed_boots()  # a wake lasts some seconds, and it has not crashed
        self._store()
        print(f"Asleep for {self._minutes} min.")
        self._enter(60 * self._minutes)

    # the sleep memory

    def _store(self):
        minutes = self._minutes
        announced_min = 0 if self._publisher.is_announced else self._announced_min
        sequence = self._nvm_store.sequence
        unwritten_min = minutes + (self._unwritten_min if sequence == self._sequence else 0)
        text = bytes([ord(character) if " " <= character < "\x7f" else 63 for character in self.missed[:80]])
        times = (min(announced_min + minutes, _NEVER), sequence, min(unwritten_min, 0xFFFF))
        record = struct.pack(_FORMAT, _MAGIC, _VERSION, *times, len(text), text)
        record += struct.pack("<I", binascii.crc32(record))
        self._memory[: len(record)] = record

    def _restore(self):
        size = struct.calcsize(_FORMAT)
        record = bytes(self._memory[: size + 4])
        if len(record) < size + 4 or struct.unpack_from("<I", record, size)[0] != binascii.crc32(record[:size]):
            return
        magic, version, announced_min, sequence, unwritten_min, length, text = struct.unpack_from(_FORMAT, record, 0)
        if (magic, version) == (_MAGIC, _VERSION):
            self._announced_min = announced_min
            self._sequence = sequence
            self._unwritten_min = unwritten_min
            self.missed = "last wake: " + str(text[:length], "ascii") if length else ""
