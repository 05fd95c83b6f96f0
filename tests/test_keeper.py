"""The energy counters across restarts: out of the chip's memory or the broker's retained state, whichever is further."""

import json

import pytest
from adafruit_ticks import ticks_add
from hypothesis import given, settings
from hypothesis import strategies as st

from app.keeper import Keeper, find_decimal
from app.memory import Memory
from daly.energy import COUNTERS
from daly.pack import Pack
from daly.registers import READING
from mqtt.payload import Writer

ENERGY, STATE = "t/bms1/energy", "t/bms1/state"


def said(totals):
    """What is retained of totals in Wh and mAh."""
    writer = Writer()
    for position, (counter, total) in enumerate(zip(COUNTERS, totals)):
        writer.put("{" if not position else ",").put_string(counter).put(":").put_decimal(total, 3)
    return writer.put("}").bytes()


class Boot:
    """A bridge that starts with a memory, and hears what is retained when it connects."""

    def __init__(self, nvm, now=0):
        self.pack = Pack()
        self.energy = self.pack.energy
        self.keeper = Keeper(Memory(nvm, now), self.pack, "t")

    def connect(self, *retained):
        for topic, payload in retained:
            self.keeper.hear(topic, payload)
        self.keeper.finish()
        return self.totals()

    def totals(self):
        return [self.energy.total(counter) for counter in COUNTERS]

    def publishes(self):
        """What would be published now."""
        return [self.pack.raw(counter) for counter in COUNTERS]

    def charge(self, watt_hours, begin=0):
        """Charge with 36 kW at 500 A for so many tenths of a second."""
        for tenth in range(watt_hours + 1):
            self.energy.take(3600000, 5000, ticks_add(begin, 100 * tenth))
        self.energy.pause()


def test_a_new_bridge_counts_from_nothing():
    assert Boot(bytearray(8192)).connect() == [0, 0, 0, 0]


@pytest.mark.parametrize("topic", [ENERGY, STATE])
def test_the_retained_state_brings_them_back_when_the_memory_is_gone(topic):
    boot = Boot(bytearray(8192))
    boot.charge(7)
    assert boot.connect((topic, said([1500, 2500, 30000, 40000]))) == [1507, 2500, 30097, 40000]


def test_what_was_read_before_the_broker_was_heard_is_corrected_at_once():
    """Else the first state after a restart would say less than the last one before."""
    boot = Boot(bytearray(8192))
    for counter in COUNTERS:
        boot.pack.put(READING[counter], 0, 4, 1000)
    boot.connect((ENERGY, said([1500, 2500, 30000, 40000])))
    assert boot.publishes() == [1500, 2500, 30000, 40000]


def test_nothing_is_published_of_a_battery_that_was_not_heard():
    assert Boot(bytearray(8192)).connect((ENERGY, said([1500, 2500, 3, 4]))) and Boot(None).publishes() == [None] * 4


def test_the_further_of_the_two_counts():
    nvm = bytearray(8192)
    boot = Boot(nvm)
    boot.connect((ENERGY, said([100, 900, 0, 0])))
    boot.keeper.save()
    assert Boot(nvm).connect() == [100, 900, 0, 0]
    assert Boot(nvm).connect((ENERGY, said([500, 500, 0, 0]))) == [500, 900, 0, 0]
    assert Boot(None).connect((ENERGY, said([500, 500, 0, 0]))) == [500, 500, 0, 0]


def test_hearing_the_same_again_adds_nothing():
    boot = Boot(bytearray(8192))
    first = boot.connect((ENERGY, said([100, 200, 300, 400])), (STATE, said([100, 200, 300, 400])))
    boot.charge(5)
    assert boot.connect((ENERGY, said([9000, 9000, 9000, 9000]))) == boot.totals()  # only the first connection is asked
    assert boot.totals()[0] == first[0] + 5


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b"null",
        b'{"energy_charged":null}',
        b'{"energy_charged":12.3}',
        b'{"energy_charged":-5.000}',
        b'{"energy_charged":"5.000"}',
        b'{"energy_charged":1e9}',
        b'{"energy_charged":NaN}',
        b'{"energy_charged":10000000.000}',  # 10 GWh
        b'{"energy_charged":5.0',
    ],
)
def test_what_is_not_our_own_is_not_taken(payload):
    assert Boot(bytearray(8192)).connect((ENERGY, payload), (STATE, payload)) == [0, 0, 0, 0]


@given(st.binary(max_size=200), st.sampled_from(COUNTERS))
def test_nothing_that_is_retained_raises(payload, key):
    find_decimal(payload, key)
    find_decimal(b'"' + key.encode() + b'":' + payload, key)


@given(st.integers(0, 10**10))
def test_a_counter_is_read_as_it_was_written(total):
    state = said([total, 0, 1, 2])
    assert json.loads(state)["energy_charged"] == total / 1000
    assert find_decimal(state, "energy_charged") == total
    assert find_decimal(state, "energy") is None


# a life of power cuts

EVENTS = st.lists(st.sampled_from(["charge", "tell", "save", "cut", "cut in a write", "memory lost", "broker restarts"]))


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_what_was_told_never_falls_and_is_never_counted_twice(events):
    """As long as not both, memory and broker, forget between two connections."""
    nvm = bytearray(8192)
    retained = said([0, 0, 0, 0])
    boot = Boot(nvm)
    boot.connect((ENERGY, retained))
    told, charged = 0, 0
    for event in events:
        if event == "charge":
            boot.charge(3)
            charged += 3
        elif event == "tell":
            assert told <= boot.totals()[0] <= charged
            told, retained = boot.totals()[0], said(boot.totals())
        elif event == "save":
            boot.keeper.save()
        elif event == "broker restarts":  # the bridge goes on, and tells again
            retained = said(boot.totals())
            told = boot.totals()[0]
        else:
            if event == "memory lost":
                nvm[:] = bytes(8192)
            elif event == "cut in a write":
                old = bytes(nvm)
                boot.keeper.save()
                changed = [index for index in range(len(nvm)) if nvm[index] != old[index]]
                for index in changed[len(changed) // 2 :]:
                    nvm[index] = old[index]
            boot = Boot(nvm)
            boot.connect((ENERGY, retained))
            assert told <= boot.totals()[0] <= charged
