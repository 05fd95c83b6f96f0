# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Thermometers DS18B20 (and DS18S20) on one pin, as a source. They are found by themselves; nothing waits for a measurement.

The bus is bit-banged: a bit takes 70 us, in which interrupts are off, which the UART's FIFO of 128 bytes bears. In one tick
there is one step: a command for all sensors (2 ms), one sensor read (12 ms) or one found (15 ms); the interpreter's time comes
on top (docs/SENSORS.md). Figures of the sensor are from Maxim's DS18B20 datasheet.
"""

from adafruit_ds18x20 import DS18X20
from adafruit_onewire.bus import OneWireAddress, OneWireError
from adafruit_ticks import ticks_add, ticks_diff

from battery.readings import DIAGNOSTIC
from battery.sources import number, text

MOST = 16  # sensors that are read
FAMILIES = (0x10, 0x28)  # DS18S20, DS18B20: what the library reads
FIRST_MS = 500  # until the first measurement: in the first passes of the loop all jobs have something to do
READ_MS = 10000  # from one measurement to the next
CONVERT_MS = 800  # the longest measurement, of 12 bits, takes 750 ms
AGAIN_MS = 2000  # to the next measurement, if a jump is to be confirmed, or the first one was disturbed
SEARCH_MS = 60000
PAUSE_MS = 20  # between two steps, in which the BMS has its turn
MISSES = 3  # in a row, then the temperature is not known any more
STALLED_MS = 15000  # not called for longer: what was read is of another time
POWER_ON = 850  # 85 °C is in the sensor before its first measurement, and after a dip of its supply
JUMP = 100  # 10 K between two readings, else a second one must confirm it
LOWEST, HIGHEST = -550, 1250  # the range of the sensor, 0.1 °C; a library's -127 is outside
_ID_LENGTH = 14
_SKIP_ROM_AND_CONVERT = b"\xcc\x44"  # all sensors measure at once: they must have their own supply, not a parasitic one
_NO_SENSOR = "no sensor answers: check the three wires and the resistor of 4.7 kOhm"


class Sensor:
    """One sensor. `id`: family and serial number in hex, in their order on the bus; `rom`: its address of 8 bytes."""

    def __init__(self, bus, id, rom):
        self.id = id
        self._bus = bus
        self._device = DS18X20(bus, OneWireAddress(rom))
        self._byte = bytearray(1)
        self.raw = None  # 0.1 °C
        self._jumped_to = None  # 0.1 °C, not confirmed yet
        self._misses = 0

    def read(self):
        """Read its last measurement; returns whether the next one should follow soon: a jump is to be confirmed, or nothing is
        known after a first miss."""
        try:
            raw = int(160 * self._device.read_temperature() + 8) // 16  # the library's float is exact: sixteenths
        except (RuntimeError, OneWireError):  # a wrong CRC: disturbed, or nobody there
            raw = None
        if raw is None or not LOWEST <= raw <= HIGHEST or (raw == 0 and self._is_shorted()):
            return self._miss()
        known = self.raw
        if raw == POWER_ON and (known is None or abs(known - raw) > JUMP):
            return self._miss()
        if known is not None and abs(known - raw) > JUMP:
            before, self._jumped_to = self._jumped_to, raw
            if before is None or abs(before - raw) > JUMP:
                self._miss()
                return True
        self.raw = raw
        self._jumped_to = None
        self._misses = 0
        return False

    def forget(self):
        """What was read is of another time."""
        self.raw = self._jumped_to = None

    def _is_shorted(self):
        """Whether the line is low though nobody was asked. Then all bytes are 0, and that is a right CRC."""
        self._bus.reset()
        self._bus.readinto(self._byte)
        return self._byte[0] != 255

    def _miss(self):
        self._misses += 1
        if self._misses >= MISSES:
            self.forget()
        return self.raw is None and self._misses < MISSES


class Temperatures:
    """The source of all sensors on `bus`, a OneWireBus. `names`: pairs of an id, or how it begins, and a name.

    Rows are in the order of the ids at the start; what is found later comes behind them. A sensor is found when two searches in
    a row have seen it; one with a name and a whole id has its row all the time.
    """

    key = "temperatures"
    device = "temperatures"
    model = "DS18B20"

    def __init__(self, bus, names=()):
        self.rows = [text("problem", "Problem", "thermometer-alert", DIAGNOSTIC)]
        self.changes = 0
        self._bus = bus
        self._names = names
        self._sensors: list = []
        self._ids: list = []  # of those that have a row
        self._found: list = []  # (id, address) by the search that is running
        self._former: list = []  # ids found by the search before
        self._last = None  # address that it found last
        self._fork = 0  # 0: no search is running
        self._steps = 0  # of it
        self._search_at = None  # tick; None: at once
        self._measure_at = None
        self._called_at = None
        self._reading = -1  # index of the sensor to be read next; -1: nothing is measured
        self._is_soon = False
        self._is_measured = False  # all of them, once
        self._problem = "none"
        self._ambiguous = ""  # the beginning of an id that stands for several sensors

    def raw(self, key):
        """As of every source: 0.1 °C, or None."""
        if key == "problem":
            return self._problem
        for sensor in self._sensors:
            if sensor.id == key:
                return sensor.raw
        return None

    def is_measured(self):
        """As of every source of sensors."""
        return not [row for row in self.rows if self.raw(row.key) is None]

    def start(self):
        """Search twice at once, before the loop runs; returns the problem in words, or None."""
        for _ in range(2):
            self._fork = 65
            while self._fork:
                self._search()
        self._show([id for id, _ in self._names if len(id) == _ID_LENGTH] + [sensor.id for sensor in self._sensors])
        self._judge()
        return None if self._problem == "none" else self._problem

    def tick(self, now):
        """One step on the bus, if one is due."""
        if self._search_at is None:
            self._search_at = ticks_add(now, SEARCH_MS)
            self._measure_at = ticks_add(now, FIRST_MS)
        elif ticks_diff(now, self._called_at) > STALLED_MS:
            for sensor in self._sensors:
                sensor.forget()
            self._reading = -1  # what was being measured, too
            self._measure_at = now
            self.changes += 1
        self._called_at = now
        if not self._sensors:
            self._measure_at = now  # days later it could not be compared any more
        if self._reading >= 0:
            if ticks_diff(now, self._measure_at) < CONVERT_MS:
                return CONVERT_MS - ticks_diff(now, self._measure_at)
            self._read()
        elif self._fork:
            self._search()
            if not self._fork:
                self._show([sensor.id for sensor in self._sensors])
        elif ticks_diff(now, self._measure_at) >= 0 and self._sensors:
            self._bus.reset()
            self._bus.write(_SKIP_ROM_AND_CONVERT)
            self._measure_at = now
            self._reading = 0
        elif ticks_diff(now, self._search_at) >= 0:
            self._search_at = ticks_add(now, SEARCH_MS)
            self._fork = 65
        else:
            until_search = ticks_diff(self._search_at, now)
            return min(ticks_diff(self._measure_at, now), until_search) if self._sensors else until_search
        return PAUSE_MS

    # Measuring

    def _read(self):
        sensor = self._sensors[self._reading]
        before = sensor.raw
        self._is_soon = sensor.read() or self._is_soon
        if sensor.raw != before:
            self.changes += 1
        self._reading += 1
        if self._reading == len(self._sensors):
            self._reading = -1
            self._measure_at = ticks_add(self._measure_at, AGAIN_MS if self._is_soon else READ_MS)
            self._is_soon = False
            self._is_measured = True
            self._judge()

    def _judge(self):
        """What is wrong, in words."""
        missing = [row.name for row in self.rows[1:] if self._is_measured and self.raw(row.key) is None]
        problem = "none"
        if not self._sensors:
            problem = _NO_SENSOR
        elif missing:
            problem = ", ".join(missing)[:180] + ": no valid answer"
        elif self._ambiguous:
            problem = f"the numbers of several sensors begin with {self._ambiguous}: write more of it in DS18B20_NAMES"
        if problem != self._problem:
            self._problem = problem
            self.changes += 1

    # Searching

    def _search(self):
        """One step of a search, and behind its last one what it has found."""
        # The library's own step, (address, fork of the next step): its `scan` would take 15 ms for each sensor at once
        rom, self._fork = self._bus._search_rom(self._last, self._fork)
        self._last = rom
        if rom is not None and rom[0] in FAMILIES and not self._bus.crc8(rom):
            self._found.append((hex_of(rom[:7]), rom))
        self._steps += 1
        if self._steps > MOST:
            self._fork = 0  # on a line that is shorted there would be no end
        if not self._fork:
            self._end_search()

    def _end_search(self):
        known = [sensor.id for sensor in self._sensors]
        for id, rom in self._found:
            if id not in known and id in self._former and len(self._sensors) < MOST:
                self._sensors.append(Sensor(self._bus, id, rom))
        self._former = [id for id, _ in self._found]
        self._found = []
        self._last = None
        self._steps = 0

    def _show(self, ids):
        """A row for each that has none yet, in the order of their ids."""
        for id in sorted(ids):
            if id not in self._ids:
                self._ids.append(id)
                self.rows.append(number(id, self._name_of(id), "°C", 1, 2, "temperature"))
                self.changes += 1

    def _name_of(self, id):
        meant = [pair for pair in self._names if id.startswith(pair[0])]
        if not meant:
            return "Temperature " + id[2:]
        start, name = meant[-1]
        if name in [row.name for row in self.rows]:  # a rule that names it would not know which one is meant
            self._ambiguous = start
            return "Temperature " + id[2:]
        return name


def hex_of(data):
    """bytes as small hexadecimal digits."""
    return "".join([f"{byte:02x}" for byte in data])
