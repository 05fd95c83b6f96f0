# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A state is written in steps, and the battery goes on meanwhile: it is of one moment all the same."""

import json

import pytest
from test_publisher import STATE, STATUS, Broker

from battery.readings import READING

CURRENT, MODE = READING["current"], READING["mode"]


def polled(broker):
    """(topic, payload as text) of the next message; None: there is none."""
    message = broker.publisher.poll(broker.wire.now)
    if message is None:
        return None
    topic, payload, *_ = message
    payload = payload if isinstance(payload, str | bytes) else payload.bytes()
    return topic, payload if isinstance(payload, str) else payload.decode()


def messages(broker, polls):
    """Those of so many polls, a millisecond apart; the BMS says nothing meanwhile."""
    found = []
    for _ in range(polls):
        broker.wire.us += 1000
        message = polled(broker)
        if message is not None:
            found.append(message)
    return found


def states(found):
    return [json.loads(payload) for topic, payload in found if topic == STATE]


def begun():
    """A Broker whose publisher has begun to take over the values of a state, because the voltage has changed."""
    broker = Broker("drift=0,current=10", interval_ms=2000)
    broker.connect()
    broker.run(30)
    messages(broker, 400)
    broker.wire.us += 2500e3
    voltage = READING["pack_voltage"]
    broker.wire.pack.put(voltage, 0, broker.wire.pack.at(voltage) + 5, broker.wire.now)
    for _ in range(50):
        polled(broker)
        if broker.publisher.is_writing:
            return broker
    raise AssertionError("no state is due")


def test_a_current_that_turns_meanwhile_waits_for_its_mode():
    broker = begun()
    pack = broker.wire.pack
    pack.put(CURRENT, 0, -pack.at(CURRENT), broker.wire.now)
    for state in states(messages(broker, 60)):
        assert (state["current"], state["mode"]) == (10.0, "charging")
    pack.put(MODE, 0, 2, broker.wire.now)
    later = states(messages(broker, 800))
    assert (later[-1]["current"], later[-1]["mode"]) == (-10.0, "discharging")


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_a_battery_that_goes_offline_meanwhile_is_not_published_by_halves(polls):
    broker = begun()
    messages(broker, polls)
    broker.wire.pack.forget()
    broker.wire.poller.diagnosis.lost()
    for topic, payload in messages(broker, 400):
        if topic == STATUS:
            assert payload == "offline"
            break
        if topic == STATE:
            assert None not in (json.loads(payload)["pack_voltage"], json.loads(payload)["soc"])


def test_cells_that_become_known_meanwhile_do_not_take_away_the_keys():
    broker = Broker("drift=0", interval_ms=2000)
    broker.connect()
    for _ in range(100):
        broker.wire.us += 1000
        polled(broker)
        if broker.publisher.is_writing and broker.publisher._begun[0] == STATE:
            break
    pack = broker.wire.pack
    pack.topology.update(cell_count=16, temperature_count=2)
    pack.topology_changes += 1
    (first, *_) = states(messages(broker, 60))
    assert "cell_48_voltage" in first


@pytest.mark.parametrize("polls", range(2, 12))
def test_numbers_of_a_battery_that_is_lost_while_its_first_state_is_made_are_never_published(polls):
    """Nor with the next heartbeat, though the status is offline all the time: not everybody looks at it."""
    broker = Broker("drift=0,current=10", interval_ms=2000)
    broker.connect()
    while broker.wire.poller.online is False or not broker.wire.poller.complete:
        polled(broker)
        broker.run(0.02)
    broker.publisher.begin(broker.wire.now)  # a new connection, of a battery that is online
    messages(broker, polls)
    broker.wire.pack.forget()
    broker.wire.poller.diagnosis.lost()
    found = messages(broker, 13000)  # heartbeats, too
    status = None
    for topic, payload in found:
        status = payload if topic == STATUS else status
        if topic == STATE and status == "offline":
            assert json.loads(payload)["pack_voltage"] is None and json.loads(payload)["cell_1_voltage"] is None


def test_numbers_that_were_half_taken_when_the_battery_was_lost_are_never_published():
    broker = Broker("drift=0,current=10", interval_ms=2000)
    broker.connect()
    messages(broker, 400)  # the BMS has not answered yet: offline, and the state with every reading null
    pack, poller = broker.wire.pack, broker.wire.poller
    while not poller.complete:
        broker.wire.step()
    while not broker.publisher.is_writing:
        polled(broker)
    messages(broker, 3)
    pack.forget()
    poller.diagnosis.lost()
    for state in states(messages(broker, 13000)):
        assert {value for key, value in state.items() if key not in ("seq", "time")} == {None}
