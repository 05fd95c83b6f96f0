# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The energy counters across restarts: out of the chip's memory or the broker's retained state, whichever is further."""

import json
from types import SimpleNamespace

import pytest
from adafruit_ticks import ticks_add
from counted_nvm import Nvm
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Wire

from app.energy_restore import find_decimal
from app.energy_store import EnergyStores
from app.nvm_store import NvmStore
from battery.energy import COUNTERS
from battery.json import Writer
from battery.pack import Battery, Pack
from battery.polarity import NORMAL
from battery.readings import READING
from mqtt.publisher import Publisher

ENERGY, STATE = "t/bms1/energy", "t/bms1/state"


def said(totals):
    """What is retained of totals in Wh and mAh."""
    writer = Writer()
    for position, (counter, total) in enumerate(zip(COUNTERS, totals)):
        writer.put("{" if not position else ",").put_string(counter).put(":").put_decimal(total, 3)
    return writer.put("}").bytes()


def stores_of(memory, pack, base, identity="", report=None, poller=None):
    """The EnergyStores of one battery; `report(text)`."""
    battery = Battery(1, "bms1", "Daly BMS", "", pack, poller or SimpleNamespace(found=0))
    return EnergyStores(memory, [battery], base, identity, report and (lambda text, of: report(text)))


class Boot:
    """A bridge that starts with a memory, and hears what is retained when it connects."""

    def __init__(self, nvm, identity="c0ffee", now=0, report=None):
        self.pack = Pack()
        self.energy = self.pack.energy
        self.nvm_store = NvmStore(nvm, now)
        self.energy_store = stores_of(self.nvm_store, self.pack, "t", identity, report)

    def connect(self, *retained):
        for topic, payload in retained:
            self.energy_store.restore(topic, payload)
        self.energy_store.finish()
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
    boot.energy_store.save()
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
            boot.energy_store.save()
        elif event == "broker restarts":  # the bridge goes on, and tells again
            retained = said(boot.totals())
            told = boot.totals()[0]
        else:
            if event == "memory lost":
                nvm[:] = bytes(8192)
            elif event == "cut in a write":
                old = bytes(nvm)
                boot.energy_store.save()
                changed = [index for index in range(len(nvm)) if nvm[index] != old[index]]
                for index in changed[len(changed) // 2 :]:
                    nvm[index] = old[index]
            boot = Boot(nvm)
            boot.connect((ENERGY, retained))
            assert told <= boot.totals()[0] <= charged


# what is believed


def kept(nvm, totals, identity="c0ffee"):
    boot = Boot(nvm, identity)
    boot.connect((ENERGY, said(totals)))
    boot.energy_store.save()
    return boot


@pytest.mark.parametrize("flow", [1000, 500_000])
def test_what_may_have_flowed_since_our_own_record_is_believed(flow):
    nvm = bytearray(8192)
    kept(nvm, [1_500_000, 1_400_000, 0, 0])
    assert Boot(nvm).connect((ENERGY, said([1_500_000 + flow, 1_400_000, 0, 0]))) == [1_500_000 + flow, 1_400_000, 0, 0]


@pytest.mark.parametrize("much", [10**9, 10**8, 10**7])
def test_what_no_battery_can_have_counted_since_is_refused_in_words(much, capsys):
    nvm = bytearray(8192)
    kept(nvm, [1_500_000, 1_400_000, 0, 0])
    words = []
    boot = Boot(nvm, report=words.append)
    # of the other topic what is plausible still counts
    assert boot.connect((ENERGY, said([much, 0, 0, 0])), (STATE, said([1_500_300, 0, 0, 0])))[:2] == [1_500_300, 1_400_000]
    assert len(words) == 1 and f"{much // 1000}.000" in words[0] and "1500.000" in words[0] and "ALLOW_CONTROL" in words[0]
    assert "implausible" in capsys.readouterr().out


def test_a_new_board_believes_what_a_battery_can_have_counted_and_no_more():
    assert Boot(bytearray(8192)).connect((ENERGY, said([5 * 10**8, 0, 10**9, 0])))[0] == 5 * 10**8
    assert Boot(bytearray(8192)).connect((ENERGY, said([10**10, 0, 10**11, 0]))) == [0, 0, 0, 0]


def test_a_new_board_that_counted_alone_for_a_while_still_takes_over_the_dead_ones():
    """Its first Wi-Fi password was wrong, and it was started again."""
    nvm = bytearray(8192)
    boot = Boot(nvm)
    boot.charge(400)
    boot.energy_store.save()
    assert Boot(nvm).connect((ENERGY, said([1_500_000, 0, 0, 0])))[0] == 1_500_000


@pytest.mark.parametrize("own", [50_000, 5_000_000])
def test_a_board_that_was_used_elsewhere_takes_the_dead_ones_counters_not_its_own(own):
    nvm = bytearray(8192)
    kept(nvm, [own, 0, 0, 0], "123456")
    boot = Boot(nvm, "c0ffee")
    boot.charge(7)
    assert boot.connect((ENERGY, said([1_500_000, 20, 30, 40])))[:2] == [1_500_007, 20]
    boot.energy_store.save()
    assert Boot(nvm, "c0ffee").connect()[:2] == [1_500_007, 20]


def test_the_same_battery_under_another_name_goes_on():
    nvm = bytearray(8192)
    kept(nvm, [50_000, 0, 0, 0], "123456")
    boot = Boot(nvm, "shed")
    boot.charge(7)
    assert boot.connect()[0] == 50_007


# set by somebody


@pytest.mark.parametrize(
    ("word", "totals"),
    [
        ("reset", [0, 0, 0, 0]),
        ("energy_charged=1234.567", [1234567, 20, 30, 40]),
        ("capacity_discharged=7", [10, 20, 30, 7000]),
        ("energy_discharged=0.5", [10, 500, 30, 40]),
    ],
)
def test_counters_that_somebody_sets_are_so_after_every_restart(word, totals):
    nvm = bytearray(8192)
    boot = kept(nvm, [10, 20, 30, 40])
    assert boot.energy_store.stores[0].change(word) is None and boot.totals() == totals
    assert Boot(nvm).connect((ENERGY, said(totals))) == totals
    assert Boot(nvm).connect() == totals


@pytest.mark.parametrize(
    "word",
    ["", "RESET", "reset ", "energy_charged", "energy_charged=", "energy_charged=-1", "energy_charged=1e3", "power=1",
     "energy_charged=1.2345", "energy_charged=9999999999", "energy_charged=10000000", "energy_charged=1,5", "=1"],
)  # fmt: skip
def test_what_is_not_understood_sets_nothing(word):
    boot = kept(bytearray(8192), [10, 20, 30, 40])
    assert boot.energy_store.stores[0].change(word) == "not_understood" and boot.totals() == [10, 20, 30, 40]


def test_counters_are_not_set_where_the_old_ones_would_come_back():
    nvm = bytearray(8192)
    boot = kept(nvm, [10, 20, 30, 40])
    while boot.energy_store.stores[0].change("reset") is None:
        boot.charge(5)
    assert boot.energy_store.stores[0].change("reset") == "not_stored" and boot.totals()[0] == 5
    assert Boot(bytearray(8192)).energy_store.stores[0].change("reset") == "counters_unknown"  # the broker was not asked yet


# the figures, by what they mean

SIX_HOURS = 12 * 30 * 60 * 1000


def test_it_is_asked_what_is_retained_on_two_topics():
    boot = Boot(bytearray(8192))
    assert boot.energy_store.topics == ("t/bms1/energy", "t/bms1/state")


def test_until_the_broker_has_been_asked_everything_but_the_counters_is_published():
    """What this board remembers may be an hour old; a larger number found a moment later would be a jump."""
    nvm = bytearray(8192)
    kept(nvm, [5000, 4000, 3000, 2000])
    wire = Wire("drift=0,current=20")
    wire.pack.restore_polarity(NORMAL)
    store = stores_of(NvmStore(nvm, 0), wire.pack, "t", "c0ffee", poller=wire.poller)
    battery = Battery(1, "bms1", "Daly BMS", "", wire.pack, wire.poller)
    publisher = Publisher("t", SimpleNamespace(writer=Writer(), parts=lambda: 0, bridge_parts=0, battery_parts=1), [battery],
                          lambda now: (), 2000)  # fmt: skip
    heard = []

    def listen(_wire):
        message = publisher.poll(wire.now)
        if message is not None and message[0] in (STATE, ENERGY):
            heard.append((wire.now, message[0], json.loads(message[1].bytes())))

    wire.run(6, listen)
    assert len(heard) > 1 and {topic for _, topic, _ in heard} == {STATE}
    assert {(state["energy_charged"], state["capacity_discharged"]) for _, _, state in heard[1:]} == {(None, None)}
    assert heard[-1][2]["soc"] is not None and wire.pack.raw("energy_charged") >= 5000  # the screen has it
    store.restore(ENERGY, said([7000, 0, 0, 0]))
    store.finish()
    asked = wire.now
    heard.clear()
    wire.run(0.5, listen)
    assert {topic for at, topic, _ in heard if at < asked + 300} == {STATE, ENERGY}  # they do not wait for their turn
    assert {message["energy_charged"] >= 7 and message["energy_discharged"] == 4 for _, _, message in heard} == {True}


@pytest.mark.parametrize(("index", "most"), [(0, 900_000), (1, 900_000), (2, 3_000_000), (3, 3_000_000)])
def test_since_our_own_record_900_kwh_and_3000_ah_may_have_flowed_and_not_one_more(index, most):
    """Two hours at 300 V and 1500 A."""
    nvm = bytearray(8192)
    own = [1_500_000, 1_400_000, 30_000, 28_000]
    kept(nvm, own)
    for more, counts in ((most, own[index] + most), (most + 1, own[index])):
        retained = list(own)
        retained[index] += more
        assert Boot(nvm).connect((ENERGY, said(retained)))[index] == counts


@pytest.mark.parametrize(("index", "most"), [(0, 10**9), (1, 10**9), (2, 10**10), (3, 10**10)])
def test_a_new_board_believes_a_gigawatt_hour_and_ten_million_ampere_hours_and_not_one_more(index, most):
    for more in (0, 1):
        retained = [0, 0, 0, 0]
        retained[index] = most + more
        assert Boot(bytearray(8192)).connect((ENERGY, said(retained)))[index] == (0 if more else most)


def test_what_is_refused_is_said_with_both_numbers(capsys):
    nvm = bytearray(8192)
    kept(nvm, [1_500_007, 0, 0, 0])
    words: list = []
    boot = Boot(nvm, report=words.append)
    boot.connect((ENERGY, said([12_346_678, 0, 0, 0])))
    assert "the broker has energy_charged 12346.678, this board 1500.007" in words[0]
    assert capsys.readouterr().out.strip() == words[0]


@pytest.mark.parametrize("index", range(4))
def test_what_is_refused_before_the_memory_could_be_read_is_compared_with_nothing(index):
    class Unread(bytearray):
        def __getitem__(self, where):
            raise MemoryError

    words: list = []
    boot = Boot(Unread(8192), report=words.append)
    retained = [0, 0, 0, 0]
    retained[index] = 10**11
    boot.energy_store.restore(ENERGY, said(retained))
    boot.energy_store.finish()
    for second in range(1, 130):
        boot.energy_store.tick(1000 * second)
    assert f"{COUNTERS[index]} 100000000.000, this board 0.000" in words[0] and len(words) == 1


def test_where_all_is_believed_nothing_is_said(capsys):
    words: list = []
    boot = Boot(bytearray(8192), report=words.append)
    boot.connect((ENERGY, said([1500, 2500, 3, 4])))
    assert not words and not capsys.readouterr().out


def test_nothing_is_put_into_a_pack_that_knows_no_counters():
    boot = Boot(bytearray(8192))
    boot.connect((ENERGY, said([1500, 2500, 3, 4])))
    assert boot.publishes() == [None] * 4


# when it is written


def test_before_the_first_connection_nothing_is_written_until_it_is_due():
    nvm = Nvm(8192)
    boot = Boot(nvm)
    boot.charge(5)
    for second in range(1, 1800):
        boot.energy_store.tick(1000 * second)
    assert nvm.writes == 0
    boot.energy_store.tick(1000 * 1800)
    assert nvm.writes == 1 and NvmStore(nvm, 0).record(1).totals[0] == 5


def test_after_each_connection_it_is_written_once():
    nvm = Nvm(8192)
    boot = Boot(nvm)
    boot.connect((ENERGY, said([100, 0, 0, 0])))
    for second in range(1, 100):
        boot.energy_store.tick(1000 * second)
    assert nvm.writes == 1 and NvmStore(nvm, 0).record(1).totals[0] == 100
    boot.charge(5)
    for second in range(100, 200):
        boot.energy_store.tick(1000 * second)
    assert nvm.writes == 1
    boot.energy_store.finish()
    for second in range(200, 300):
        boot.energy_store.tick(1000 * second)
    assert nvm.writes == 2 and NvmStore(nvm, 0).record(1).totals[0] == 105


@pytest.mark.parametrize("wish", ["connection", "pending"])
def test_what_is_left_for_starts_is_not_spent_on_a_connection_or_on_what_waits(wish):
    nvm = Nvm(8192)
    boot = Boot(nvm)
    boot.connect()
    boot.nvm_store.save()
    boot.nvm_store.save()  # the two that a first start has
    boot.charge(5)
    for second in range(1, 600):
        if wish == "connection":
            boot.energy_store.finish()
        else:
            boot.nvm_store.is_pending = True
        boot.energy_store.tick(1000 * second)
    assert nvm.writes == 2
    boot.energy_store.tick(1000 * 1801)
    assert nvm.writes == 3


def test_a_board_that_comes_back_to_the_same_counters_writes_nothing():
    nvm = Nvm(8192)
    kept(nvm, [100, 200, 300, 400])
    nvm.writes = 0
    boot = Boot(nvm)
    boot.connect((ENERGY, said([100, 200, 300, 400])))
    for second in range(1, 600):
        boot.energy_store.tick(1000 * second)
    assert nvm.writes == 0


def test_counters_that_are_not_known_are_not_taken_for_something_to_write():
    class Unread(bytearray):
        def __getitem__(self, where):
            raise MemoryError

    boot = Boot(Unread(8192))
    boot.energy_store.save()
    assert not boot.nvm_store.is_pending and boot.nvm_store.record(1).totals is None


def test_the_owner_is_the_same_number_in_every_version():
    """A board that is updated must find its own record again."""
    nvm = bytearray(8192)
    kept(nvm, [1, 2, 3, 4], "c0ffee")
    assert NvmStore(nvm, 0).record(1).owner == 3922096553


# set by somebody, at the edges


def test_what_somebody_sets_is_published_at_once_and_written_once():
    nvm = Nvm(8192)
    boot = Boot(nvm)
    for counter in COUNTERS:
        boot.pack.put(READING[counter], 0, 4, 1000)
    boot.connect((ENERGY, said([10, 20, 30, 40])))
    assert boot.energy_store.stores[0].change("energy_charged=1234.567") is None
    assert boot.publishes() == [1234567, 20, 30, 40]
    writes = nvm.writes
    boot.energy_store.save()
    assert nvm.writes == writes


def test_what_could_not_be_set_is_not_written_later_either():
    nvm = bytearray(8192)
    boot = kept(nvm, [10, 20, 30, 40])
    while boot.energy_store.stores[0].change("energy_charged=1") is None:
        pass
    assert boot.energy_store.stores[0].change("energy_charged=2") is not None
    boot.nvm_store.is_due(SIX_HOURS)
    assert boot.nvm_store.save()
    assert NvmStore(nvm, 0).record(1).totals == (1000, 20, 30, 40)


@pytest.mark.parametrize(
    ("word", "total"),
    [
        ("energy_charged=1000000", 10**9),
        ("energy_charged=1000000.000", 10**9),
        ("energy_charged=1000000.001", None),
        ("capacity_charged=10000000", 10**10),
        ("capacity_charged=10000000.001", None),
        ("energy_charged=000000001", 1000),
        ("energy_charged=0000000001", None),
        ("energy_charged=9.999", 9999),
        ("energy_charged=1.", None),
        ("energy_charged=1.x", None),
        ("energy_charged=1.5:", None),
        ("energy_charged=/1", None),
    ],
)
def test_how_large_and_how_long_a_number_may_be(word, total):
    boot = kept(bytearray(8192), [10, 20, 30, 40])
    before = boot.totals()
    answer = boot.energy_store.stores[0].change(word)
    if total is None:
        assert answer == "not_understood" and boot.totals() == before
    else:
        assert answer is None and boot.totals()[COUNTERS.index(word.partition("=")[0])] == total


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b'"k":5.000', 5000),
        (b'{"k":1234.567}', 1234567),
        (b'{"k":0.009,"l":1.000}', 9),
        (b'{"k":1/2.000}', None),
        (b'{"k":1:2.000}', None),
        (b'{"k":1.0/0}', None),
        (b'{"k":1..000}', None),
        (b'{"k":.00}', None),
    ],
)
def test_a_number_has_digits_a_point_and_three_digits(text, number):
    assert find_decimal(text, "k") == number


# which way the current counts


def test_what_was_settled_of_the_current_is_written_once_and_read_at_the_next_start():
    nvm = Nvm(8192)
    wire = Wire("drift=0,current=-30")
    memory = NvmStore(nvm, 0)
    energy_store = stores_of(memory, wire.pack, "x")
    wire.run(70, lambda wire: energy_store.tick(wire.now))
    assert NvmStore(nvm, 0).record(1).polarity == 1 and nvm.writes == 1
    assert Wire("drift=0", polarity=NvmStore(nvm, 0).record(1).polarity).poller.pack.polarity.text == "normal"


def test_a_restart_soon_after_the_first_start_does_not_forget_what_was_settled():
    nvm = Nvm(8192)
    memory = NvmStore(nvm, 0)
    memory.count_boot("power_on")
    wire = Wire("drift=0,current=-30")
    energy_store = stores_of(memory, wire.pack, "x")
    energy_store.finish()  # the first connection takes the write that is left
    wire.run(30, lambda wire: energy_store.tick(wire.now))
    assert NvmStore(nvm, 0).record(1).polarity == 1 and nvm.writes == 3


def test_a_memory_that_is_read_late_still_says_it():
    memory = NvmStore(None, 0)
    wire = Wire("drift=0,current=-1")
    energy_store = stores_of(memory, wire.pack, "x")
    memory.record(1).polarity = 2
    wire.run(1, lambda wire: energy_store.tick(wire.now))
    assert wire.poller.pack.polarity.text == "inverted"


def test_what_the_owner_decided_is_not_kept():
    nvm = Nvm(8192)
    wire = Wire("drift=0,current=-30", current_sign="inverted")
    energy_store = stores_of(NvmStore(nvm, 0), wire.pack, "x")
    wire.run(15, lambda wire: energy_store.tick(wire.now))
    assert NvmStore(nvm, 0).record(1).polarity == 0 and nvm.writes == 0


def test_what_was_settled_of_another_board_is_not_restored_and_not_kept():
    """A P81 board was remembered; an A5 board is found in its place, whose sign is its own."""
    nvm = Nvm(8192)
    memory = NvmStore(nvm, 0)
    memory.record(1).polarity = 1
    memory.record(1).protocol = 2
    memory.save()
    memory = NvmStore(nvm, 0)
    wire = Wire("drift=0,current=1", protocol="auto", remembered=memory.record(1).protocol, polarity=memory.record(1).polarity)
    energy_store = stores_of(memory, wire.pack, "x", poller=wire.poller)
    wire.run(70, lambda wire: energy_store.tick(wire.now))
    assert wire.poller.protocol == "A5" and wire.pack.polarity.text == "not settled yet"
    memory = NvmStore(nvm, 0)
    assert (memory.record(1).polarity, memory.record(1).protocol) == (0, 1)


def test_polarity_and_protocol_are_stored_with_one_write():
    nvm = Nvm(8192)
    wire = Wire("drift=0,protocol=d2", protocol="auto")
    energy_store = stores_of(NvmStore(nvm, 0), wire.pack, "x", poller=wire.poller)
    wire.run(70, lambda wire: energy_store.tick(wire.now))
    memory = NvmStore(nvm, 0)
    assert (memory.record(1).polarity, memory.record(1).protocol) == (1, 3) and nvm.writes == 1


def test_what_the_broker_knows_is_stored_at_the_first_start_although_the_direction_is_found_before():
    """A new board in the place of a dead one: it must not lose the counters again if the broker forgets them next."""
    nvm = Nvm(8192)
    memory = NvmStore(nvm, 0)
    memory.count_boot("power_on")
    wire = Wire("drift=0,current=-30", protocol="auto")
    energy_store = stores_of(memory, wire.pack, "x", poller=wire.poller)
    wire.run(15, lambda wire: energy_store.tick(wire.now))  # the Wi-Fi takes so long
    assert wire.pack.polarity.text == "normal"
    energy_store.restore(energy_store.topics[0], b'{"energy_charged":200.000,"energy_discharged":100.000}')
    energy_store.finish()
    wire.run(15, lambda wire: energy_store.tick(wire.now))
    record = NvmStore(nvm, 0).record(1)
    assert record.polarity == 1 and record.totals[0] >= 200000 and record.totals[1] >= 100000 and nvm.writes == 2


def test_without_a_broker_the_direction_is_stored_after_a_minute():
    nvm = Nvm(8192)
    wire = Wire("drift=0,current=-30")
    energy_store = stores_of(NvmStore(nvm, 0), wire.pack, "x")
    wire.run(50, lambda wire: energy_store.tick(wire.now))
    early = nvm.writes
    wire.run(50, lambda wire: energy_store.tick(wire.now))
    assert (early, nvm.writes, NvmStore(nvm, 0).record(1).polarity) == (0, 1, 1)
