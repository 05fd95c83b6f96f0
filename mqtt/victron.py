# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The battery as Venus OS' driver dbus-mqtt-battery reads it: one JSON, again and again. Loaded only with PUBLISH_VICTRON.

Keys and units are those of its README (v1.0.8 to v1.0.10-dev): https://github.com/mr-manuel/venus-os_dbus-mqtt-battery. A value
that is missing in a message stays what it was there, and null is refused. So while a value that has been sent is not known,
nothing is sent: after its `timeout` the driver takes the battery off, which is the truth. Once it must have done so, the
message goes on without that value, of which the restarted driver knows nothing.

Info/MaxChargeVoltage is never sent: with it Venus OS lets the battery command its chargers, and no Daly says on its serial line
how far it wants to be charged. Its limits are those of the protections.
"""

from adafruit_ticks import ticks_add, ticks_diff

from battery.alarms import LEVEL_3, PROTECTION, WARNING
from battery.pack import CELLS
from battery.readings import READING

from .battery_publisher import ONLINE

PACE_MS = 4000  # between two messages at most; each new state is followed by one
SPACING_MS = 1000  # and at least
SILENCE_MS = 75000  # longer than the driver waits (`timeout`, 60 s) before it forgets what it has received
MOST_CELLS = 24  # of the driver
_AT_ONCE = 3  # values read or written in one step

# (object, name in it, key of the reading), those of one object one after the other
ROWS = (
    (b"", b'"Soc":', "soc"),
    (b"", b'"Capacity":', "remaining_capacity"),
    (b"", b'"InstalledCapacity":', "rated_capacity"),
    (b"", b'"Balancing":', "balancing"),
    (b'"Dc":{', b'"Voltage":', "pack_voltage"),
    (b'"Dc":{', b'"Current":', "current"),
    (b'"Dc":{', b'"Power":', "power"),
    (b'"Dc":{', b'"Temperature":', "max_temperature"),
    (b'"Info":{', b'"MaxChargeCurrent":', "charge_overcurrent_limit_{}"),
    (b'"Info":{', b'"MaxDischargeCurrent":', "discharge_overcurrent_limit_{}"),
    (b'"Io":{', b'"AllowToCharge":', "charge_mosfet"),
    (b'"Io":{', b'"AllowToDischarge":', "discharge_mosfet"),
    (b'"System":{', b'"MinCellVoltage":', "min_cell_voltage"),
    (b'"System":{', b'"MaxCellVoltage":', "max_cell_voltage"),
    (b'"System":{', b'"MinVoltageCellId":', "min_voltage_cell"),
    (b'"System":{', b'"MaxVoltageCellId":', "max_voltage_cell"),
    (b'"System":{', b'"MinCellTemperature":', "min_temperature"),
    (b'"System":{', b'"MaxCellTemperature":', "max_temperature"),
    (b'"System":{', b'"MOSTemperature":', "mosfet_temperature"),
)
_MANDATORY = ("soc", "pack_voltage", "current", "power")
_MOSFETS = {"charge_overcurrent_limit_{}": "charge_mosfet", "discharge_overcurrent_limit_{}": "discharge_mosfet"}
_IDS = ("min_voltage_cell", "max_voltage_cell")  # texts: "C3"
# Its alarms, and the bits of battery/alarms.py that are the same. It has none for a fault of the board.
ALARMS = (
    (b'"LowVoltage":', 1 << 3),
    (b'"HighVoltage":', 1 << 0 | 1 << 2),  # it has none for a cell
    (b'"LowCellVoltage":', 1 << 1),
    (b'"LowSoc":', 1 << 11),
    (b'"HighChargeCurrent":', 1 << 8),
    (b'"HighDischargeCurrent":', 1 << 9),
    (b'"CellImbalance":', 1 << 12),
    (b'"HighChargeTemperature":', 1 << 4),
    (b'"LowChargeTemperature":', 1 << 5),
    (b'"HighTemperature":', 1 << 6 | 1 << 14 | 1 << 15 | 1 << 17 | 1 << 18 | 1 << 19),
    (b'"LowTemperature":', 1 << 7),
)
_OF_ALARMS = len(ROWS)  # index of `_sent`
_OF_CELLS = _OF_ALARMS + 1


def publishers(shared, batteries, bank):
    """One VictronPublisher for each BatteryPublisher, and with a `bank` one for all of them."""
    found = [VictronPublisher(shared, [each], each.published, each.battery.key) for each in batteries]
    if bank is not None:
        from battery.bank import KEYS  # which is there already

        found.append(VictronPublisher(shared, list(batteries), bank, "bank", KEYS))
    return found


class VictronPublisher:
    """The message on one battery, or on a bank: <base>/<key>/victron, not retained.

    Its values are those of the state published last: nothing of them changes while they are written. `values`: published
    values of the battery, or a BankPublisher, which has those of `keys`.
    """

    is_published = True  # with SLEEP_MINUTES: the chip must not wait for what may have to be left out

    def __init__(self, shared, its_publishers, values, key, keys=None):
        self._shared = shared
        self._publishers = its_publishers
        self._values = values
        self._keys = keys
        self._topic = shared.base + "/" + key + "/victron"
        self._raws: list = [None] * len(ROWS)
        self._sent = bytearray(_OF_CELLS + 1)  # what the driver holds: of the cells their number
        self.begin(0)

    def begin(self, now):
        """A new connection."""
        self._silent_since = None
        self.republish(now)

    def republish(self, now):
        """Publish it as soon as possible."""
        self._states = None  # of the batteries when it was published last
        self._due = self._soon = now

    def begin_discovery(self):
        """There is none."""

    def next_discovery(self, _now):
        """There is none."""
        return

    def is_discovered(self):
        """There is none."""
        return True

    def has_measured(self):
        """See SourcePublisher."""
        return True

    def state(self, now):
        """The message, when it is due and all batteries are online for subscribers."""
        states = 0
        for each in self._publishers:
            if each.phase != ONLINE:
                self.republish(now)
                self._note_silence(now)
                return None
            states += each.states
        if ticks_diff(now, self._due) < 0 and (states == self._states or ticks_diff(now, self._soon) < 0):
            return None
        self._states = states
        self._soon = ticks_add(now, SPACING_MS)
        self._due = ticks_add(now, PACE_MS)
        return self._shared.write(self._steps(now), self._topic, False)

    def _note_silence(self, now):
        """Nothing is sent: after SILENCE_MS the driver holds nothing any more."""
        if self._silent_since is None:
            self._silent_since = now
        elif ticks_diff(now, self._silent_since) >= SILENCE_MS:
            self._silent_since = None
            for position in range(len(self._sent)):
                self._sent[position] = 0

    def _steps(self, now):
        is_whole = True
        for position in range(len(ROWS)):
            if not position % _AT_ONCE:
                yield False
            raw = self._raws[position] = self._raw(position)
            if raw is None and (self._sent[position] or ROWS[position][2] in _MANDATORY):
                is_whole = False
        yield False
        alarms = [self._alarms(level) for level in (WARNING, PROTECTION)]
        cells = self._cells()
        if self._sent[_OF_ALARMS] and None in alarms:
            is_whole = False
        if cells < self._sent[_OF_CELLS] or not is_whole:
            self._note_silence(now)
            yield None  # rather nothing than a value of before
        self._silent_since = None
        yield from self._write(alarms, cells)

    def _raw(self, position):
        """The raw value of a row; None: it is not known, or not there."""
        key = ROWS[position][2]
        if key in ("charge_mosfet", "discharge_mosfet"):
            return self._of_all(key)
        if self._keys is not None and (key not in self._keys or key in _IDS):
            return None
        if key in _MOSFETS:
            is_open = self._of_all(_MOSFETS[key])
            return is_open and self._values.raw(key)  # a MOSFET that is off lets no current through: 0
        if key == "rated_capacity" and self._values.raw("remaining_capacity") is None:
            return None  # the driver would make up the other
        return self._values.raw(key)

    def _of_all(self, key):
        """1 where it is on in all batteries; None while it is not known of one."""
        for each in self._publishers:
            raw = each.published.raw(key)
            if not raw:
                return raw
        return 1

    def _alarms(self, level):
        """The bits that are set in any of the batteries, level 3 counts as a protection; None while one is not known."""
        bits = 0
        for each in self._publishers:
            its = each.published.raw("alarm_bits_{}", level)
            if its is None:
                return None
            bits |= its
            if level == PROTECTION:
                bits |= each.published.raw("alarm_bits_{}", LEVEL_3) or 0
        return bits

    def _cells(self):
        """How many cells the message has: all, or none while one is not known, or the driver has too few places."""
        if self._keys is not None:
            return 0
        count = self._values.count(CELLS) or 0
        for slot in range(CELLS.slot, CELLS.slot + count):
            if self._values.held(slot) is None:
                return 0
        return count if count <= MOST_CELLS else 0

    def _write(self, alarms, cells):
        """Write the message: a generator of short steps."""
        writer = self._shared.writer.clear()
        separator = b"{"
        before = b""
        left = _AT_ONCE
        for position in range(len(ROWS)):
            raw = self._raws[position]
            if raw is None:
                continue
            if not left:
                left = _AT_ONCE
                yield False
            left -= 1
            self._sent[position] = 1
            group, name, key = ROWS[position]
            if group != before:
                if before:
                    writer.put(b"}")
                writer.put(separator).put(group)
                separator = b""
                before = group
            writer.put(separator).put(name)
            separator = b","
            if key in _IDS:
                writer.put(b'"C').put_decimal(raw, 0).put(b'"')
            else:
                writer.put_decimal(raw, READING[key].decimals)
        writer.put(b"}")  # of the last object: there always is one
        warnings, protections = alarms
        if warnings is not None and protections is not None:
            self._sent[_OF_ALARMS] = 1
            separator = b',"Alarms":{'
            for name, mask in ALARMS:
                writer.put(separator).put(name).put(b"2" if protections & mask else b"1" if warnings & mask else b"0")
                separator = b","
            writer.put(b"}")
        self._sent[_OF_CELLS] = cells
        separator = b',"Voltages":{'
        for index in range(cells):
            if not index % (2 * _AT_ONCE):
                yield False
            writer.put(separator).put(b'"Cell').put_decimal(index + 1, 0).put(b'":')
            writer.put_decimal(self._values.held(CELLS.slot + index), CELLS.decimals)
            separator = b","
        writer.put(b"}}" if cells else b"}")
        yield True
