# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the stories of a real Home Assistant have in common."""

import time

import pytest
from home_assistant import HomeAssistant
from install import CannotInstall, install
from mosquitto import PROGRAM, Mosquitto, Subscriber
from processes import SimulatedBms, SimulatedVictron


class House:
    """All there is: a subclass makes `broker`, `ha` and the others, and stops them."""

    def shown(self):
        """States of the enabled entities that MQTT has made, by their id; without the events, which are times."""
        ours = {entry["entity_id"] for entry in self.ha.entities() if not entry["disabled_by"]}
        ours = {name for name in ours if not name.startswith("event.")}
        return {name: state for name, state in self.ha.states().items() if name in ours}

    def wrong(self):
        """What is told when something has been waited for in vain."""
        return self.shown()

    def wait(self, is_so, seconds):
        """Seconds that it took; fails when it is not so in time."""
        begun = time.monotonic()
        while not is_so():
            assert time.monotonic() - begun < seconds, self.wrong()
            time.sleep(0.3)
        return time.monotonic() - begun


class HouseWithShunt(House):
    """One BMS, a SmartShunt, broker, one who listens, Home Assistant; a subclass starts the `bridge`."""

    def __init__(self, folder, program):
        self.folder = folder
        self.bms = SimulatedBms(folder, "drift=0,current=-12.4,soc=70")
        self.shunt = SimulatedVictron("shunt,SOC=873")
        self.broker = Mosquitto(folder)
        self.subscriber = Subscriber(self.broker.port)
        self.ha = HomeAssistant(program, folder / "ha")
        self.bridge = None

    def stop(self):
        self.ha.stop()
        if self.bridge is not None:
            self.bridge.kill()  # one that is asleep does not listen
        self.subscriber.stop()
        self.broker.kill()
        self.shunt.stop()
        self.bms.stop()


def living(make, folder):
    """The house that `make(folder, program)` makes, with Home Assistant started; stopped afterwards."""
    if PROGRAM is None:
        pytest.skip("mosquitto is not installed: apt install mosquitto")
    try:
        program = install()
    except (CannotInstall, OSError) as reason:
        pytest.skip(f"there is no Home Assistant: {reason}")
    house = make(folder, program)
    try:
        house.ha.start()
        house.ha.add_mqtt(house.broker.port)
        yield house
    finally:
        house.stop()
