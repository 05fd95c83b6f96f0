# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""SLEEP_MINUTES: when the bridge sleeps, what is published by then, what it remembers, and that no wake wears the memory."""

import json
from types import SimpleNamespace

import pytest
from adafruit_ticks import ticks_add
from counted_nvm import Nvm

from app.energy_store import EnergyStores
from app.nvm_store import NvmStore
from app.settings import Settings
from app.sleep import CompleteSet, Sleep
from battery.pack import Battery, Pack
from mqtt.homeassistant import Discovery

BROKER = 'MQTT_BROKER = "10.0.0.9"\nCIRCUITPY_WIFI_SSID = "x"\nCIRCUITPY_WIFI_PASSWORD = "12345678"\n'


class Asleep(BaseException):
    """The chip sleeps: nothing after it is run."""


class Chip:
    """What survives: sleep memory and NVM. `wake` begins a life, `power_on` one with an empty sleep memory."""

    def __init__(self, minutes=15, start=0):
        self.memory = bytearray(4096)
        self.nvm = Nvm(8192)
        self.minutes = minutes
        self.tick = start
        self.slept = []

    def power_on(self, **more):
        self.memory[:] = bytes(4096)
        return Life(self, "power_on", **more)

    def wake(self, **more):
        return Life(self, "deep_sleep_alarm", **more)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.tick = ticks_add(self.tick, 1000)  # ticks of the next life begin anywhere
        raise Asleep


class Life:
    """From a start of code.py to the deep sleep. What is published, and whether the broker is there, is set by the test."""

    def __init__(self, chip, reason, connected=True, current=True, announced=False, bms=True, measured=True, dark=()):
        self.chip = chip
        self.said = []
        self.passed_ms = 0
        self.nvm_store = NvmStore(chip.nvm, chip.tick)
        self.nvm_store.count_boot(reason)
        self.sleep = Sleep(chip.minutes, chip.memory, reason == "deep_sleep_alarm", chip.tick, chip.sleep)
        self.current = current
        self.measured = measured
        self.announced = announced
        self.discovers = True
        self.asleep_said = False
        self.trouble_text = "" if connected else "No broker 10.0.0.9:1883: no answer"
        self.connected = self.has_delivered = connected
        self.left = False
        publisher = SimpleNamespace(
            is_current=lambda: self.current,
            omit_discovery=lambda: setattr(self, "discovers", False),
            say_asleep=lambda: self._say("sleeping"),
        )
        battery = Battery(1, "bms1", "Daly BMS", "", Pack(), SimpleNamespace(found=0, complete=bms, static_done=bms))
        self.stores = EnergyStores(self.nvm_store, [battery], "t", "c0ffee", counts=False)
        self.publisher = FakePublisher(self, publisher)
        dark = [SimpleNamespace(sleep=lambda: self._say("dark")), *dark]
        self.pending = None
        commands = [SimpleNamespace(pending=lambda: None), SimpleNamespace(pending=lambda: self.pending)]
        self.sleep.watch([battery], self.publisher, self, self.nvm_store, dark, commands)

    def clear_retained(self):
        self._say("cleared")

    def _say(self, word):
        self.said.append(word)

    def leave(self):
        self._say("disconnect")
        self.connected = False

    def has_left(self):
        return True

    def run(self, seconds=200):
        """Let time pass until it sleeps; returns the seconds it was awake, None: it still is."""
        for _ in range(round(20 * seconds)):
            self.passed_ms += 50
            now = ticks_add(self.chip.tick, self.passed_ms)
            self.stores.tick(now)
            try:
                assert self.sleep.tick(now) <= 100
            except Asleep:
                return self.passed_ms / 1000
        return None


class FakePublisher:
    def __init__(self, life, functions):
        self.is_current, self.omit_discovery, self.say_asleep = (
            functions.is_current,
            functions.omit_discovery,
            functions.say_asleep,
        )
        self._life = life

    def has_measured(self):
        return self._life.measured

    @property
    def is_announced(self):
        return self._life.announced

    @property
    def is_asleep_said(self):
        return "sleeping" in self._life.said


@pytest.mark.parametrize("start", [0, (1 << 29) - 60000])
def test_after_power_on_it_stays_awake_for_two_minutes_and_says_so(capsys, start):
    chip = Chip(minutes=720, start=start)
    assert 120 <= chip.power_on().run() < 121
    assert chip.slept == [720 * 60]
    assert "cleared" not in chip.wake().said
    assert "awake for 2 minutes, so that the settings can be changed; then asleep for 720 min" in capsys.readouterr().out


def test_a_wake_lasts_until_all_has_been_published_and_no_longer(capsys):
    chip = Chip()
    life = chip.wake(current=False)
    assert life.run(seconds=8) is None and life.said == []
    life.current = True
    assert life.run() < 8.5
    assert life.said == ["sleeping", "disconnect", "dark"]
    assert "2 minutes" not in capsys.readouterr().out


def test_it_waits_for_the_puback_of_the_last_message_before_it_disconnects():
    life = Chip().wake()
    life.run(seconds=0.05)
    assert life.said == ["sleeping"]
    life.has_delivered = False
    life.run(seconds=1)
    assert life.said == ["sleeping"]
    life.has_delivered = True
    assert life.run(seconds=2)
    assert life.said == ["sleeping", "disconnect", "dark"]


def test_without_a_broker_a_wake_ends_and_the_next_one_tells(capsys):
    chip = Chip()
    life = chip.wake(connected=False, current=False)
    assert 60 <= life.run() < 61.2
    assert life.said == ["disconnect", "dark"] and "No broker 10.0.0.9:1883: no answer" in capsys.readouterr().out
    sleep = chip.wake().sleep
    for before, after in (("none", "last wake: No broker 10.0.0.9:1883: no answer"), ("main: ValueError", "main: ValueError")):
        pairs = [("uptime", 3), ("last_failure", before)]
        assert sleep.with_missed(lambda now, pairs=pairs: pairs)(0) == [("uptime", 3), ("last_failure", after)]
    chip.wake().run()
    assert chip.wake().sleep.missed == ""


def test_without_a_bms_a_wake_ends_after_a_minute_with_the_reason_published():
    life = Chip().wake(current=False, bms=False)
    assert 60 <= life.run() < 61
    assert life.said == ["sleeping", "disconnect", "dark"] and life.sleep.missed == ""


def test_a_sensor_is_waited_for_when_all_else_has_been_published_but_not_long():
    assert 3 <= Chip().wake(measured=False).run() < 3.5
    life = Chip().wake(current=False, measured=False)
    life.run(seconds=10)
    life.current = True
    life.run(seconds=1)
    life.measured = True
    assert life.run() < 11.5


def test_a_connection_that_is_lost_at_the_end_is_not_waited_for():
    life = Chip().wake()
    while "sleeping" not in life.said:
        life.run(seconds=0.05)
    life.connected = life.has_delivered = False
    assert life.run() < 3


def test_a_broker_that_never_closes_is_not_waited_for():
    life = Chip().wake()
    life.has_left = lambda: False
    assert 1 <= life.run() < 2


def test_a_command_that_is_being_executed_is_waited_for_but_not_for_ever():
    life = Chip().wake()
    life.pending = "busy"
    life.run(seconds=5)
    assert life.said == []
    life.pending = None
    assert life.run() < 6
    chip = Chip()
    chip.power_on(announced=True).run()
    life = chip.wake()
    life.pending = "busy"
    assert 60 <= life.run() < 61


def test_a_screen_that_fails_at_the_end_does_not_keep_it_awake():
    """The loop calls a job that failed again; it must sleep then."""

    def fail():
        raise OSError(5)

    life = Chip().wake(dark=[SimpleNamespace(sleep=fail)])
    with pytest.raises(OSError):
        life.run()
    assert life.run() < 3


# discovery


def test_discovery_is_sent_after_power_on_then_once_a_day():
    chip = Chip(minutes=60)
    life = chip.power_on(announced=True)
    assert life.discovers
    life.run()
    sent = []
    for number in range(60):
        life = chip.wake(announced=False)
        if life.discovers:
            sent.append(number)
            life.announced = True
        life.run()
    assert sent == [23, 47]


def test_a_wake_that_sends_discovery_may_take_longer():
    """Of eight batteries it takes two minutes: if it were cut off each time, it would be sent for ever."""
    chip = Chip()
    assert 180 <= chip.wake(current=False).run() < 181
    chip.power_on(announced=True).run()
    assert 60 <= chip.wake(current=False).run() < 61


def test_discovery_that_could_not_be_sent_is_sent_at_the_next_wake():
    chip = Chip()
    chip.power_on(announced=False).run()
    for _ in range(3):
        life = chip.wake(announced=False)
        assert life.discovers
        life.run()


@pytest.mark.parametrize("damage", [bytes(4096), bytes(range(256)) * 16])
def test_a_sleep_memory_of_nothing_or_of_anything_is_as_after_power_on(damage):
    chip = Chip()
    chip.power_on(announced=True).run()
    assert not chip.wake().discovers
    chip.memory[:] = damage
    life = chip.wake()
    assert life.discovers and life.sleep.missed == ""


def test_one_wrong_bit_of_it_is_found():
    chip = Chip()
    chip.power_on(announced=True).run()
    chip.memory[4] ^= 1
    assert chip.wake().discovers


# the memory that wears


def test_a_month_of_wakes_writes_nothing():
    chip = Chip(minutes=15)
    chip.power_on(announced=True).run()
    before = chip.nvm.writes
    for _ in range(30 * 24 * 4):
        assert chip.wake().run() < 2
    assert chip.nvm.writes == before <= 2
    life = chip.wake()
    assert (life.nvm_store.boots, life.nvm_store.failed_boots) == (1, 1)


def test_a_wake_that_sleeps_again_is_no_failed_boot():
    """One of more than ten minutes would be a success: a bridge that sleeps has none."""
    chip = Chip()
    for _ in range(8):
        chip.power_on().run()
        chip.wake().run()
    assert NvmStore(chip.nvm, 0).failed_boots <= 1


def test_time_asleep_earns_writes_once():
    chip = Chip(minutes=30)
    chip.power_on().run()
    for number in range(20):  # the budget is used up
        life = chip.wake()
        life.nvm_store.set_failure(f"failure {number}")
        life.nvm_store.save()
    used = chip.nvm.writes
    life = chip.wake()
    life.nvm_store.set_failure("nothing is left")
    assert not life.nvm_store.save()
    life.run()
    life = chip.wake()  # half an hour later
    life.nvm_store.set_failure("earned")
    assert life.nvm_store.save() and not life.nvm_store.save()
    life.run()
    assert not chip.wake().nvm_store.has_spare or chip.nvm.writes == used + 1
    for _ in range(48):
        life = chip.wake()
        life.nvm_store.set_failure("x")
        life.nvm_store.save()
        life.run()
    assert chip.nvm.writes <= used + 1 + 49


def test_the_counters_stay_unknown_and_what_was_counted_before_stays_stored():
    nvm = Nvm(8192)
    store = NvmStore(nvm, 0)
    store.set(store.record(1), totals=(1000, 2000, 3000, 4000))
    assert store.save()
    chip = Chip()
    chip.nvm[:] = nvm
    life = chip.power_on()
    assert life.stores.loaded and life.stores.topics == ()
    life.stores.finish()
    pack = life.stores.stores[0]._battery.pack
    pack.energy.take(500000, 1000, 0)
    pack.energy.take(500000, 1000, 1000)
    life.run()
    assert pack.energy.totals() is None and life.stores.stores[0].change("reset") == "counters_unknown"
    assert NvmStore(chip.nvm, 0).record(1).totals == (1000, 2000, 3000, 4000)


# a complete set


@pytest.mark.parametrize(
    ("complete", "static", "online"),
    [([1, 1], [1, 1], True), ([1, 0], [1, 1], False), ([1, 1], [1, 0], False), ([0], [0], False)],
)
def test_a_set_is_complete_with_all_readings_of_all_batteries(complete, static, online):
    pollers = [SimpleNamespace(complete=bool(c), static_done=bool(s)) for c, s in zip(complete, static)]
    assert CompleteSet([SimpleNamespace(poller=poller) for poller in pollers]).online == online


def test_the_network_is_joined_with_a_complete_set_or_after_20_s():
    for online_at, joined_at in ((5000, 5000), (60000, 20000)):
        sleep = Sleep(15, bytearray(4096), True, 0, None)
        poller = SimpleNamespace(complete=False, static_done=True)
        calls = []
        gate = sleep.gate([SimpleNamespace(poller=poller)], calls.append, 0)
        for now in range(0, 30000, 100):
            poller.complete = now >= online_at
            gate.tick(now)
        assert calls[0] == joined_at


# settings and discovery


def test_outputs_and_sleep_exclude_each_other():
    settings = Settings(BROKER + 'OUTPUT_2 = "IO5 on when soc > 80"\nSLEEP_MINUTES = 15')
    assert settings.SLEEP_MINUTES == 0
    assert "settings.toml line 5: SLEEP_MINUTES: the pins of outputs cannot be kept" in settings.problems[0]
    assert "OUTPUT_2" in settings.problems[0]


def test_what_has_no_effect_on_a_bridge_that_sleeps_is_a_hint():
    settings = Settings(BROKER + 'SLEEP_MINUTES = 15\nWAKE_PIN = "IO5"\nALLOW_CONTROL = "soc"')
    assert settings.problems == [] and settings.WAKE_PIN == ""
    assert len([hint for hint in settings.hints if "SLEEP_MINUTES" in hint]) == 2


def test_retained_states_of_a_bridge_that_may_have_died_asleep_are_a_hint():
    """Home Assistant counts expire_after from when it receives the message, and no last will says offline."""
    settings = Settings(BROKER + "SLEEP_MINUTES = 15\nMQTT_RETAIN_STATE = true")
    assert settings.problems == [] and ["MQTT_RETAIN_STATE" in hint for hint in settings.hints] == [True]


def test_a_night_without_a_server_of_the_time_is_a_hint():
    settings = Settings(BROKER + 'LED_PIN = "IO5"\nLED_OFF_AT_NIGHT = "22:00-07:00"\nNTP_SERVER = ""')
    assert settings.problems == [] and ["LED_OFF_AT_NIGHT" in hint for hint in settings.hints] == [True]


@pytest.mark.parametrize("value", ["-1", "1441", '"often"', "1.5"])
def test_a_mistyped_value_stays_awake(value):
    settings = Settings(BROKER + f"SLEEP_MINUTES = {value}")
    assert settings.SLEEP_MINUTES == 0 and len(settings.problems) == 1 and "SLEEP_MINUTES" in settings.problems[0]


def test_a_night_that_is_not_understood_is_a_sentence():
    settings = Settings(BROKER + 'LED_PIN = "IO5"\nLED_OFF_AT_NIGHT = "late"')
    assert settings.LED_OFF_AT_NIGHT == ""
    assert settings.problems == [
        'settings.toml line 5: LED_OFF_AT_NIGHT is not understood; write a time of day to another, such as "22:00-07:00".'
    ]


def messages(asleep_s):
    pack = Pack()
    pack.topology.update(cell_count=16, temperature_count=2)
    battery = Battery(1, "bms1", "Daly BMS", "", pack, None)
    allowed = ("charge_mosfet", "soc", "restart_bridge")
    discovery = Discovery("homeassistant", "t", "c0ffee", "Daly BMS", [battery], "1", allowed, "x", True, asleep_s)
    return [json.loads(discovery.message(part)[1] or "{}") for part in range(discovery.parts())]


def test_everything_that_has_a_value_expires_where_the_bridge_sleeps():
    """The broker publishes no last will of a bridge that died asleep."""
    platforms = {}
    for message in messages(1170):
        for entity in message.get("cmps", {}).values():
            if len(entity) > 1:
                platforms.setdefault(entity["p"], set()).add(entity.get("exp_aft"))
    assert platforms["sensor"] == platforms["binary_sensor"] == {1170}
    assert platforms["button"] == {None}


def test_sleeping_counts_as_available_only_where_the_bridge_sleeps():
    template = "{{iif(value=='sleeping','online',value)}}"
    for asleep_s, expected in ((1170, template), (0, None)):
        found = set()
        for message in messages(asleep_s):
            for each in message.get("cmps", {}).values() if "cmps" in message else ():
                found |= {row.get("val_tpl") for row in each.get("avty", ()) if row["t"].endswith("/status")}
            found |= {row.get("val_tpl") for row in message.get("avty", ()) if row["t"].endswith("/status")}
        assert found == {expected}


@pytest.mark.parametrize(
    ("minutes", "least", "most"), [(1, 120, 300), (15, 15 * 60 + 60, 20 * 60 + 60), (1440, 1441 * 60, 1600 * 60)]
)
def test_what_is_published_is_valid_until_the_next_wake_and_little_longer(minutes, least, most):
    assert least <= Sleep(minutes, bytearray(4096), True, 0).valid_s <= most


def test_nothing_changes_for_a_bridge_that_does_not_sleep():
    assert "sleeping" not in json.dumps(messages(0))
    assert {entity.get("exp_aft") for message in messages(0) for entity in message["cmps"].values()} == {None, 60}
