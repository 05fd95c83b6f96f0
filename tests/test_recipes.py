# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The recipes of docs/OUTPUTS.md, as they stand there: each does what its text says."""

import re
from pathlib import Path

import pytest
from test_outputs import CELL_OVERVOLTAGE, Life

from app.settings import Settings

PAGE = (Path(__file__).parent.parent / "docs" / "OUTPUTS.md").read_text()
RECIPES = dict(re.findall(r"^### (.*?)\n.*?^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
WARNING = 1
CHARGE_UNDERTEMPERATURE = 1 << 5


def life(name):
    settings = Settings(RECIPES[name])
    assert [problem for problem in settings.problems if "OUTPUT" in problem] == []
    return Life(settings.value("OUTPUT_1"))


def cells(life, *millivolts):
    """The readings of the cells, all of one moment."""
    return life.set(**{f"cell_{number}_voltage": raw for number, raw in enumerate(millivolts, 1)})


def test_there_are_six():
    assert len(RECIPES) == 6


def test_a_water_heater_on_surplus():
    heater = life("Water heater on surplus").set(soc=960, current=0, mode=0).run(400)
    assert not heater.is_on, "full, but there is no surplus"
    heater.set(mode=1, current=300).run(5)
    assert heater.is_on
    heater.set(mode=2, current=-40).run(200)  # its 40 A, of which the sun gives most
    assert heater.is_on
    heater.set(current=-200).run(5)  # a cloud
    assert not heater.is_on and heater.reason == "off: current -20.0 A is below -5 A"
    heater.set(mode=1, current=300).run(280)
    assert not heater.is_on, "clouds come and go: off for at least 5 min"
    assert heater.run(30).is_on
    assert not heater.set(soc=890).run(130).is_on


def test_load_shedding():
    freezer = cells(life("Load shedding").set(soc=800), 3300, 3310, 3290, 3300).run(610)
    assert freezer.is_on
    assert freezer.set(soc=300).run(60).is_on
    assert not freezer.set(soc=249).run(12).is_on
    assert not freezer.set(soc=350).run(3600).is_on, "not before it is charged again"
    assert freezer.set(soc=410).run(5).is_on
    assert not cells(freezer, 3300, 3310, 2990, 3300).run(12).is_on, "one weak cell is enough"
    assert freezer.reason == "off: min_cell_voltage 2.990 V is below 3.00 V"
    freezer = cells(life("Load shedding").set(soc=800), 3300, 3310, 3290, 3300).run(610)
    assert not freezer.alarm().run(1).is_on


def test_an_active_balancer():
    balancer = cells(life("Active balancer"), 3300, 3340, 3300, 3300).run(60)
    assert not balancer.is_on, "in the flat part of the curve a difference says nothing"
    assert cells(balancer, 3390, 3410, 3400, 3400).run(1).is_on
    assert balancer.alarm(bits=CELL_OVERVOLTAGE).run(60).is_on
    assert cells(balancer, 3396, 3405, 3400, 3400).run(60).is_on
    assert not cells(balancer, 3400, 3404, 3402, 3402).run(5).is_on
    assert cells(balancer, 3390, 3410, 3400, 3400).run(15).is_on
    assert not cells(balancer, 3330, 3349, 3340, 3340).run(65).is_on


def test_a_battery_heater():
    heater = life("Battery heater").set(soc=500, temperature_1=2).alarm(bits=CHARGE_UNDERTEMPERATURE).run(65)
    assert heater.is_on, "a protection against charging while cold is what it is for"
    assert heater.set(temperature_1=8).run(60).is_on
    assert not heater.set(temperature_1=9).run(15).is_on
    assert heater.set(temperature_1=2).run(65).is_on
    assert not heater.set(soc=140).run(15).is_on, "it does not empty the battery"
    heater = life("Battery heater").set(soc=500, temperature_1=2).run(65).set(temperature_1=None).run(65)
    assert not heater.is_on, "no heat while nobody knows how warm it is"


def test_a_fan():
    fan = life("Fan").set(temperature_1=30).run(20)
    assert not fan.is_on
    assert fan.set(temperature_1=39).run(5).is_on
    assert fan.set(temperature_1=35).run(300).is_on
    assert not fan.set(temperature_1=33).run(5).is_on
    assert fan.set(temperature_1=None).run(65).is_on, "unknown is warm"
    assert not fan.set(temperature_1=30).run(125).is_on
    assert fan.alarm().run(15).is_on


def test_an_alarm_siren():
    siren = life("Alarm siren").run(70)
    assert not siren.is_on
    assert siren.alarm(WARNING, CELL_OVERVOLTAGE).run(1).is_on
    assert siren.reason == "on: problem is on"
    assert not siren.command("off").run(1).is_on, "a person may silence it"
    assert siren.command("auto").run(65).is_on
    assert not siren.alarm(WARNING, 0).run(10).is_on
    siren.pollers[0].online = False
    assert not siren.run(590).is_on
    assert siren.run(15).is_on and siren.reason == "on: problem is unknown for 10 min"
    siren.pollers[0].online = True
    assert siren.run(10).is_on is False


@pytest.mark.parametrize("name", RECIPES)
def test_each_is_off_at_the_start_and_fits_its_setting(name):
    assert not life(name).is_on
    assert len(RECIPES[name]) < 255
