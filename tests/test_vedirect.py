# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""VE.Direct: recordings of real devices give every field as it was sent, and nothing that was damaged, cut or is old."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import adafruit_ticks
import pytest
from vedirect_recordings import NAMES, WRAP, Listener, blocks, recording

from sensors import vedirect
from sensors.vedirect import VeDirect
from simulator.vedirect import KINDS, Device, block

ROOT = Path(__file__).parent.parent
MICROPYTHON = shutil.which("micropython", path=Path(sys.executable).parent)
# Label -> key, of what is published unchanged as an integer
NUMBERS = {
    "V": "voltage",
    "I": "current",
    "P": "power",
    "SOC": "soc",
    "CE": "consumed_charge",
    "VS": "starter_voltage",
    "VPV": "pv_voltage",
    "PPV": "pv_power",
    "IL": "load_current",
    "H1": "deepest_discharge",
    "H2": "last_discharge",
    "H3": "average_discharge",
    "H4": "charge_cycles",
    "H5": "full_discharges",
    "H6": "drawn_charge",
    "H7": "lowest_voltage",
    "H8": "highest_voltage",
    "H9": "since_full",
    "H10": "synchronizations",
    "H11": "low_voltage_alarms",
    "H12": "high_voltage_alarms",
    "H17": "discharged_energy",
    "H18": "charged_energy",
    "H19": "total_yield",
    "H20": "yield_today",
    "H21": "max_power_today",
    "H22": "yield_yesterday",
    "H23": "max_power_yesterday",
}
SWITCHES = {"Alarm": "alarm", "Relay": "relay", "LOAD": "load"}
TEXTS = {"FW": "firmware", "SER#": "serial_number", "PID": "product_id"}
WORDS = {  # of the codes in the recordings, from Victron's paper
    "CS": ("state", {"0": "off", "3": "bulk"}),
    "MPPT": ("tracker", {"0": "off"}),
    "ERR": ("error", {"0": "none"}),
    "AR": ("alarm_reason", {"0": "none"}),
    "OR": ("off_reason", {"0x00000001": "no input power"}),
}
NO_ROW = {"HSDS", "MON", "BMV", "H15", "H16"}
SHUNT = block(KINDS["shunt"][0])
HISTORY = block(KINDS["shunt"][1])
SOLAR = block(KINDS["solar"][0])


def expected(fields):
    """Key -> raw of the fields of a block."""
    found = {}
    for label, value in fields.items():
        if label in NUMBERS:
            found[NUMBERS[label]] = int(value)
        elif label in SWITCHES:
            found[SWITCHES[label]] = {"ON": 1, "OFF": 0}[value]
        elif label in TEXTS:
            found[TEXTS[label]] = value
        elif label in WORDS:
            key, words = WORDS[label]
            found[key] = words[value]
        elif label == "TTG":
            found["time_to_go"] = None if value == "-1" else int(value)
        else:
            assert label in NO_ROW, label
    return found


def listen(**options):
    return Listener(VeDirect, **options)


def shunt(**fields):
    """The bytes of a first block with other values."""
    return block(KINDS["shunt"][0] | fields)


# recordings


@pytest.mark.parametrize("chunk", [1, 7, 32, 64])
@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_a_recording_is_taken_as_it_was_sent(name, chunk):
    data = recording(name)
    listener = listen()
    at = 0
    found = blocks(data)
    assert len(found) >= 2
    for end, fields in found:
        listener.hear(data[at:end], chunk)
        at = end
        heard = {key: listener.source.raw(key) for key in expected(fields)}
        if listener.source.device != "VE.Direct":  # before the first block that says which device it is
            assert heard == expected(fields)
    assert listener.source.rows


def test_what_the_devices_are():
    titles = {}
    for name in NAMES:
        source = listen().hear(recording(name)).source
        titles[name] = (source.device, source.model)
    assert titles == {
        "bluesolar_75_15": ("BlueSolar", "BlueSolar MPPT, PID 0xA042"),
        "bmv700": ("BMV", "BMV-700"),
        "smartshunt_500": ("SmartShunt", "SmartShunt 500A/50mV"),
        "smartsolar_100_20": ("SmartSolar", "SmartSolar MPPT, PID 0xA05F"),
        "smartsolar_75_15": ("SmartSolar", "SmartSolar MPPT, PID 0xA075"),
    }


def test_a_name_takes_the_place_of_the_kind():
    assert listen(name="roof").hear(SOLAR).source.device == "roof"


def test_a_sum_that_is_a_colon_is_no_hex_frame():
    data = recording("bmv700")
    assert b"Checksum\t:" in data
    listener = listen().hear(data)
    assert listener.source.raw("voltage") == 12164 and listener.source.raw("problem") == "none"


def sums_of(wanted):
    """A block whose sum is this byte."""
    letters = [chr(letter) for letter in range(59, 127)]
    return next(data for one in letters for two in letters if (data := shunt(MON=one + 9 * two))[-1] == wanted)


@pytest.mark.parametrize("byte", [0, 9, 10, 13, 45, 58, 255])
def test_any_byte_can_be_the_sum(byte):
    listener = listen().hear(SHUNT + sums_of(byte) + shunt(V="27001"))
    assert listener.source.raw("voltage") == 27001
    assert listener.source.raw("consumed_charge") == -25400


def test_hex_frames_anywhere_change_nothing():
    for place in range(len(SHUNT) - 1):
        data = SHUNT[:place] + b":A0102000543\n" + SHUNT[place:]
        assert listen().hear(data).source.raw("voltage") == 26542, place


# what must be refused


def test_no_cut_gives_a_value_that_was_not_sent():
    """The stream is cut anywhere and goes on with a later block: only whole blocks count."""
    second = shunt(V="27001", SOC="100")
    for cut in range(len(SHUNT)):
        listener = listen().hear(SHUNT[:cut] + second)
        assert listener.source.raw("voltage") in (None, 27001), cut
        assert listener.source.raw("soc") in (None, 100), cut


def test_no_wrong_bit_gives_a_value():
    for place in range(len(SHUNT)):
        for bit in range(8):
            data = bytearray(SHUNT)
            data[place] ^= 1 << bit
            source = listen().hear(data).source
            assert {source.raw(key) for key in ("voltage", "current", "soc", "alarm")} == {None}, (place, bit)


def test_a_lost_byte_gives_no_value():
    """Also not with the next block joined; the one after it counts."""
    for place in range(len(SHUNT)):
        listener = listen().hear(SHUNT + HISTORY)
        listener.hear(shunt(V="27001")[:place] + shunt(V="27001")[place + 1 :])
        assert listener.source.raw("voltage") == 26542, place
        listener.hear(3 * (HISTORY + shunt(V="26544")))
        assert listener.source.raw("voltage") == 26544, place


@pytest.mark.parametrize("name", NAMES)
def test_recordings_with_noise_give_no_value_that_was_not_sent(name):
    """One wrong bit in 500, 40 times: with one byte of sum some such blocks pass; none of their wrong values does."""
    data = recording(name)
    noise = random.Random(7)
    sent = {}
    for _, fields in blocks(data):
        for key, raw in expected(fields).items():
            sent.setdefault(key, set()).add(raw)
    for _ in range(40):
        listener = listen()
        noisy = bytearray(data)
        for place in range(len(noisy)):
            if noise.random() < 8 / 500:
                noisy[place] ^= 1 << noise.randrange(8)
        for start in range(0, len(noisy), 32):
            listener.hear(bytes(noisy[start : start + 32]))
            for key, raws in sent.items():
                assert listener.source.raw(key) in raws | {None}


def test_after_damage_a_number_is_the_median_of_three_blocks():
    listener = listen().hear(SHUNT + HISTORY + SHUNT + HISTORY + SHUNT)
    damaged = bytearray(SHUNT)
    damaged[40] ^= 1
    listener.hear(damaged).run(900)
    seen = []
    for volts in ("11000", "26542", "26540", "26530", "26520"):
        seen.append(listener.hear(shunt(V=volts)).run(900).source.raw("voltage"))
    assert seen == [26542, 26542, 26540, 26540, 26530]


@pytest.mark.parametrize("seed", range(4))
def test_no_number_is_older_than_some_seconds_however_many_blocks_are_lost(seed):
    """Each block says another voltage, half of them lack some bytes: what is known was said in the last 6 s."""
    losses = random.Random(seed)
    listener = listen()
    said = {}
    ages = []
    for second in range(200):
        said[20000 + second] = listener.ms
        data = shunt(V=str(20000 + second))
        start = losses.randrange(len(data)) if losses.random() < 0.5 else len(data)
        listener.hear(data[:start] + data[start + 7 :])
        while listener.ms < 1000 * (second + 1):
            raw = listener.run(50).source.raw("voltage")
            ages += [] if raw is None else [listener.ms - said[raw]]
    assert len(ages) > 200 and max(ages) <= 6000


def test_after_damage_words_and_switches_count_when_they_come_twice():
    listener = listen().hear(SHUNT + HISTORY + SHUNT)
    damaged = bytearray(SHUNT)
    damaged[40] ^= 1
    listener.hear(damaged).run(900)
    seen = []
    for alarm, reason in (("ON", "1"), ("OFF", "0"), ("ON", "1"), ("ON", "1")):
        source = listener.hear(shunt(Alarm=alarm, AR=reason)).run(900).source
        seen.append((source.raw("alarm"), source.raw("alarm_reason")))
    assert seen == [(0, "none"), (0, "none"), (0, "none"), (1, "low voltage")]


def test_a_minute_after_damage_a_single_block_counts_again():
    listener = listen()
    damaged = bytearray(SHUNT)
    damaged[40] ^= 1
    listener.hear(SHUNT + HISTORY).hear(damaged)
    for _ in range(12):
        listener.hear(SHUNT).run(920)
    assert listener.hear(shunt(V="11000")).source.raw("voltage") == 11000


@pytest.mark.parametrize(
    "fields",
    [
        {"V": "12a"},
        {"V": "-"},
        {"V": "1 2"},
        {"I": "--5"},
        {"SOC": "0x1"},
        {"Alarm": "MAYBE"},
        {"V": "12345678901"},
        {"AR": "low"},
        {"PI D": "1"},
    ],
)
def test_a_block_with_a_right_sum_and_an_impossible_value_is_refused_whole(fields):
    listener = listen().hear(SHUNT + HISTORY + shunt(**{"I": "-1"} | fields))
    assert listener.source.raw("current") == -5120
    assert listener.hear(3 * shunt(I="-5140")).source.raw("current") == -5140


def test_a_label_that_comes_twice_is_refused():
    twice = SHUNT[: SHUNT.index(b"\r\nChecksum")] + b"\r\nV\t26600\r\nChecksum\t"
    listener = listen().hear(SHUNT + twice + bytes([-sum(twice) % 256]))
    assert listener.source.raw("voltage") == 26542


def test_a_block_that_never_ends_is_dropped_and_the_next_one_counts():
    listener = listen().hear(SHUNT + b"\r\nX\t" + b"1" * 5000)
    listener.hear(b"\r\nChecksum\t0" + 3 * shunt(V="26560"))
    assert listener.source.raw("voltage") == 26560


def test_what_comes_after_a_pause_is_not_the_end_of_the_block():
    """Half a block, the plug is pulled and put back in while another one is half over: the two halves fit."""
    half = len(SHUNT) // 2
    listener = listen().hear(SHUNT + HISTORY).run(1000)
    listener.hear(shunt(V="11111")[:half]).run(2000)
    listener.hear(shunt(V="11111")[half:])
    assert listener.source.raw("voltage") == 26542


def test_what_waited_while_the_loop_stood_still_is_not_of_now():
    listener = listen().hear(SHUNT + HISTORY)
    listener.port.data = shunt(V="22222")
    listener.ms += 3000
    listener.run(200)
    assert listener.source.raw("voltage") == 26542 and listener.port.flushed == 2  # once at the start


def test_the_end_of_a_block_counts_not_even_with_a_right_sum():
    end = b"\r\nV\t11111\r\nI\t-7\r\nChecksum\t"
    listener = listen().hear(SHUNT + HISTORY)
    listener.ms += 3000  # what has come meanwhile is dropped
    listener.run(10).hear(end + bytes([-sum(end) % 256]))
    assert listener.source.raw("voltage") in (26542, None)


def test_while_most_blocks_are_damaged_nothing_is_believed():
    listener = listen()
    damaged = bytearray(SHUNT)
    damaged[40] ^= 1
    for _ in range(9):
        listener.hear(damaged).run(500)
    for _ in range(4):
        assert listener.hear(SHUNT).run(500).source.raw("voltage") is None
    for _ in range(4):
        listener.hear(SHUNT).run(500)
    assert listener.source.raw("voltage") == 26542


@pytest.mark.parametrize("start", [0, WRAP - 3000, WRAP - 12000])
def test_a_value_is_forgotten_after_five_seconds(start):
    listener = listen(start=start).hear(SHUNT + HISTORY)
    begun = listener.ms
    while listener.source.raw("voltage") is not None:
        listener.run(10)
    assert 4300 <= listener.ms - begun <= 5600
    assert listener.values() == {}
    assert listener.hear(shunt(V="26000")).source.raw("voltage") == 26000


def test_a_value_that_is_no_longer_sent_is_forgotten_though_the_others_come():
    listener = listen().hear(SHUNT + HISTORY)
    for _ in range(7):
        listener.hear(shunt(VS="")).run(1000)
    assert listener.source.raw("starter_voltage") is None and listener.source.raw("voltage") == 26542


def test_another_device_is_refused_until_the_restart():
    listener = listen().hear(SHUNT + HISTORY)
    for _ in range(7):
        listener.hear(shunt(PID="0xA38A", V="11000") + HISTORY).run(1000)
        assert listener.source.raw("voltage") in (26542, None)
    assert listener.values() == {}
    assert "another device" in listener.source.raw("problem")
    listener.hear(SHUNT)
    assert listener.source.raw("voltage") == 26542 and listener.source.raw("problem") == "none"


OLD_MONITOR = block(
    {"V": "12800", "VS": "12400", "I": "-2150", "CE": "-30000", "SOC": "858", "TTG": "240", "Alarm": "OFF", "Relay": "OFF",
     "AR": "0", "BMV": "602S", "FW": "212"}
)  # fmt: skip
OLD_HISTORY = block({"H1": "-55000", "H2": "-30000", "H4": "3", "H7": "11200", "H8": "14500", "H12": "0"})
OLD_CHARGER = block({"V": "13790", "I": "-10", "VPV": "15950", "PPV": "0", "CS": "5", "ERR": "0", "FW": "118"})


@pytest.mark.parametrize(
    ("blocks", "device", "model", "values"),
    [
        (OLD_MONITOR + OLD_HISTORY, "BMV", "BMV-602S", {"soc": 858, "voltage": 12800, "charge_cycles": 3, "relay": 0}),
        (OLD_CHARGER, "VE.Direct", "VE.Direct", {"pv_voltage": 15950, "state": "float", "current": -10}),
    ],
)
def test_an_old_device_without_pid_is_known_by_its_labels(blocks, device, model, values):
    listener = listen()
    for _ in range(2):
        listener.hear(blocks).run(800)
    assert listener.values() == {}, "not by a single block"
    for _ in range(4):
        listener.hear(blocks).run(800)
    assert (listener.source.device, listener.source.model, listener.source.raw("problem")) == (device, model, "none")
    listener.hear(blocks).run(12000)  # one that sends no whole history
    listener.hear(blocks)
    assert values.items() <= listener.values().items()
    for _ in range(7):
        listener.hear(SHUNT).run(800)
    assert listener.values() == {} and "another device" in listener.source.raw("problem")


def test_an_old_device_in_place_of_one_with_pid_is_another_one():
    listener = listen().hear(SHUNT + HISTORY)
    for _ in range(7):
        listener.hear(OLD_MONITOR + OLD_HISTORY).run(800)
        assert listener.source.raw("voltage") in (26542, None)
    assert "another device" in listener.source.raw("problem")


def test_what_is_neither_monitor_nor_charger_and_has_no_pid_is_told():
    listener = listen()
    for _ in range(6):
        listener.hear(block({"V": "12800", "AC_OUT_V": "23000", "MODE": "2"})).run(800)
    assert listener.values() == {} and listener.source.raw("problem").startswith("a device that does not say what it is")


def test_a_history_that_is_as_it_was_is_known_on_and_one_that_changes_is_followed():
    listener = listen()
    for cycles in ["17"] * 12 + ["18"] * 3:
        listener.hear(SHUNT + block(KINDS["shunt"][1] | {"H4": cycles})).run(700)
        assert listener.source.raw("charge_cycles") == int(cycles) and listener.source.raw("deepest_discharge") == -102000
    for _ in range(7):
        listener.hear(SHUNT).run(800)
    assert listener.source.raw("charge_cycles") is None, "it is not sent any more"


def test_in_no_tick_more_than_one_table_is_loaded(monkeypatch):
    """Each holds the loop up."""
    for name in [name for name in sys.modules if name.startswith("sensors.vedirect_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(vedirect, "unload", lambda name: None)
    listener = listen()
    listener.port.data += SHUNT
    loaded = []
    for _ in range(40):
        before = set(sys.modules)
        listener.run(10)
        loaded.append([name for name in set(sys.modules) - before if name.startswith("sensors.")])
    assert max(map(len, loaded)) == 1 and sum(map(len, loaded)) == 3  # the third has words


@pytest.mark.parametrize("noise", [b"x" * 500, bytes(500), b":" + b"A" * 500, bytes(range(128, 256))])
def test_what_comes_and_is_no_block_is_not_nothing(noise):
    listener = listen()
    for _ in range(12):
        listener.hear(noise).run(850)
    assert listener.source.raw("problem") == "only damaged data: check ground and level"
    assert listener.run(12000).source.raw("problem") == "nothing received: check plug, ground and the RX pin"


@pytest.mark.parametrize("data", [b"", SHUNT[:60] + SHUNT[61:]])
def test_when_its_values_are_gone_the_reason_is_there(data):
    listener = listen()
    for _ in range(20):
        listener.hear(SHUNT).run(900)
    assert listener.source.raw("voltage") is not None and listener.source.raw("problem") == "none"
    for _ in range(200):
        listener.hear(data).run(100) if data else listener.run(100)
        known = [key for key in listener.values() if key != "problem"]
        assert known or listener.source.raw("problem") != "none"
    assert not known


def test_what_it_says_when_nothing_comes_and_when_all_is_damaged(capsys):
    listener = listen().run(11000)
    assert listener.source.raw("problem").startswith("nothing received")
    for _ in range(12):
        listener.hear(SHUNT[:60] + SHUNT[61:]).run(900)
    assert listener.source.raw("problem").startswith("only damaged data")
    for _ in range(8):
        listener.hear(SHUNT).run(900)
    assert listener.source.raw("problem") == "none"
    assert [line.split(":")[1].split(",")[0].strip() for line in capsys.readouterr().out.splitlines()] == [
        "nothing received",
        "only damaged data",
        "SmartShunt 500A/50mV",
    ]


# values


@pytest.mark.parametrize(
    ("fields", "key", "raw"),
    [
        ({"TTG": "-1"}, "time_to_go", None),
        ({"TTG": "0"}, "time_to_go", 0),
        ({"SOC": "---"}, "soc", None),
        ({"T": "---"}, "temperature", None),
        ({"T": "-7"}, "temperature", -7),
        ({"Alarm": "ON"}, "alarm", 1),
        ({"Alarm": "On"}, "alarm", None),
        ({"AR": "1"}, "alarm_reason", "low voltage"),
        ({"AR": "8256"}, "alarm_reason", "high temperature, BMS lockout"),
        ({"AR": "16385"}, "alarm_reason", "low voltage, 0x4000"),
        ({"VM": "13270", "DM": "-12"}, "midpoint_deviation", -12),
    ],
)
def test_values_of_a_monitor(fields, key, raw):
    assert listen().hear(shunt(**fields) + HISTORY).source.raw(key) == raw


@pytest.mark.parametrize(
    ("fields", "key", "raw"),
    [
        ({"CS": "5"}, "state", "float"),
        ({"CS": "247"}, "state", "auto equalize"),
        ({"CS": "99"}, "state", "other"),
        ({"MPPT": "1"}, "tracker", "limited"),
        ({"ERR": "33"}, "error", "PV voltage too high"),
        ({"ERR": "99"}, "error", "error 99"),
        ({"OR": "0x00000005"}, "off_reason", "no input power, device mode"),
        ({"OR": "0x00000200"}, "off_reason", "0x200"),
        ({"LOAD": "OFF"}, "load", 0),
    ],
)
def test_values_of_a_charger(fields, key, raw):
    assert listen().hear(block(KINDS["solar"][0] | fields)).source.raw(key) == raw


def test_the_words_of_a_code_follow_it():
    listener = listen()
    for code, word in (("3", "bulk"), ("4", "absorption"), ("3", "bulk"), ("3", "bulk")):
        assert listener.hear(block(KINDS["solar"][0] | {"CS": code})).source.raw("state") == word
    row = next(row for row in listener.source.rows if row.key == "state")
    assert {"bulk", "absorption", "other"} <= set(row.options)


def test_what_has_not_come_is_not_known():
    source = listen().source
    assert source.rows == [] and source.raw("voltage") is None and source.raw("nonsense") is None


@pytest.mark.parametrize("seed", range(4))
def test_lines_that_change_move_come_and_go_are_followed(seed):
    """What is as it was need not be judged again; what is not must be, wherever it is in the block."""
    dice = random.Random(seed)
    listener = listen().hear(SHUNT + HISTORY)
    sent = dict(KINDS["shunt"][0]), dict(KINDS["shunt"][1])
    for _ in range(150):
        for fields in sent:
            for label in dice.sample(
                ["V", "I", "P", "CE", "SOC", "TTG", "VS", "FW", "H1", "H6", "H9", "H18"], dice.randrange(4)
            ):
                if label in fields:
                    fields[label] = str(dice.choice([1, -1]) * dice.randrange(10 ** dice.randrange(1, 8)))
            now = dict(fields)
            for label in dice.sample([label for label in now if label != "PID"], dice.choice([0, 0, 0, 1, 3])):
                del now[label]
            if dice.random() < 0.2:
                names = [label for label in now if label != "PID"]
                dice.shuffle(names)
                now = {label: now[label] for label in ["PID"] * ("PID" in now) + names}
            listener.hear(block(now), dice.choice([None, 1, 30]))
            assert {key: listener.source.raw(key) for key in expected(now)} == expected(now) | (
                {"time_to_go": None} if now.get("TTG", "").startswith("-") else {}
            )
        listener.run(400)


def test_a_value_that_begins_as_it_was_is_another_one():
    listener = listen()
    for voltage, current in (("265", "-5"), ("2654", "-51"), ("26542", "-5120"), ("2654", "-5")):
        listener.hear(shunt(V=voltage, I=current)).run(800)
        assert (listener.source.raw("voltage"), listener.source.raw("current")) == (int(voltage), int(current))


def test_what_was_doubted_is_not_taken_for_known_when_it_comes_again():
    listener = listen().hear(SHUNT + HISTORY)
    damaged = bytearray(SHUNT)
    damaged[40] ^= 1
    listener.hear(damaged)
    for _ in range(9):
        listener.hear(SHUNT + HISTORY).run(800)
    assert listener.hear(shunt(V="22222")).source.raw("voltage") == 26542  # the median of three
    listener.run(1800)
    assert listener.hear(shunt(V="22222")).source.raw("voltage") == 22222


def test_a_value_that_expires_while_its_block_is_judged_is_taken_from_it():
    """However long the device was silent: at the moment of its first block, the last one may just have been forgotten."""
    for silent_ms in range(4000, 6000, 10):
        listener = listen().hear(SHUNT + HISTORY).run(silent_ms)
        listener.port.data = SHUNT
        assert listener.run(400).source.raw("voltage") == 26542, silent_ms


def test_a_block_that_waited_to_be_judged_while_the_loop_stood_still_is_not_of_now():
    listener = listen().hear(SHUNT + HISTORY)
    listener.port.data = shunt(V="22222")
    while listener.port.data:
        listener.run(10)
    listener.ms += 6000
    assert listener.run(200).values() == {}


def test_changes_count_only_changes():
    listener = listen().hear(SHUNT + HISTORY).run(300)
    before = listener.source.changes
    listener.hear(SHUNT + HISTORY)
    assert listener.source.changes == before
    listener.hear(shunt(V="26700"))
    assert listener.source.changes == before + 1


# rows


def keys(listener):
    return [row.key for row in listener.source.rows]


def test_the_order_of_the_rows_is_that_of_the_table_whatever_comes_first():
    """An entity must not move to another message of Home Assistant's discovery from one start to the next."""
    orders = [keys(listen().hear(data)) for data in (SHUNT + HISTORY, HISTORY + SHUNT + HISTORY)]
    damaged = bytearray(HISTORY)
    damaged[30] ^= 4
    orders.append(keys(listen().hear(SHUNT + damaged).run(900).hear(SHUNT + HISTORY).run(900).hear(SHUNT + HISTORY)))
    assert orders[0] == orders[1] == orders[2] and orders[0][:3] == ["problem", "voltage", "current"]


def test_a_monitor_without_thermometer_gets_no_row_for_it_and_without_synchronization_one_for_its_charge():
    listener = listen().hear(shunt(T="---", SOC="---") + HISTORY)
    assert "temperature" not in keys(listener) and "soc" in keys(listener)
    listener.hear(shunt(T="21", SOC="---"))
    assert keys(listener)[-1] == "temperature"


def test_what_is_wrong_has_its_row_before_a_device_is_known_and_changes_no_order():
    usual = keys(listen().hear(SHUNT + HISTORY))
    late = listen().run(12000)
    assert keys(late) == ["problem"] and late.source.raw("problem").startswith("nothing received")
    assert keys(late.hear(SHUNT)) == ["problem"]
    assert keys(late.hear(HISTORY)) == usual and late.source.device == "SmartShunt"


def test_a_monitor_that_sends_no_history_has_its_rows_after_a_while():
    listener = listen()
    for _ in range(15):
        listener.hear(SHUNT).run(900)
    assert "voltage" in keys(listener) and "charge_cycles" not in keys(listener)


def test_rows_have_keys_and_names_of_their_own():
    for data in (SHUNT + HISTORY, SOLAR):
        rows = listen().hear(data).source.rows
        assert len({row.key for row in rows}) == len({row.name for row in rows}) == len(rows)


# the simulated device


def test_the_simulated_device_keeps_its_speed_and_its_second():
    device = Device("shunt")
    sent = device.transmit(3_999_999)
    assert [fields.get("V", fields.get("H1")) for _, fields in blocks(sent)] == ["26542", "-102000"] * 4
    device = Device("solar")
    device.transmit(0)
    half = device.transmit(50_000)
    assert 90 <= len(half) <= 97  # 19200 baud, 10 bits


@pytest.mark.parametrize("pass_ms", [1, 20, 100, 200, 400])
def test_a_slow_loop_misses_no_block(pass_ms):
    """Two blocks come without a pause, and the first one is judged while the second one waits."""
    device = Device("shunt")
    listener = listen()
    known = []
    for ms in range(0, 12000, pass_ms):
        listener.port.data += device.transmit(ms * 1000)
        listener.source.tick(ms)
        known.append((ms, listener.source.raw("voltage"), listener.source.raw("charge_cycles")))
    assert {known[1:] for known in known if known[0] > 6000} == {(26542, 17)}


@pytest.mark.parametrize(("options", "said"), [("", "no VE.Direct"), ("wind", "no VE.Direct"), ("shunt,V=1:2", "no line")])
def test_the_simulated_device_refuses_what_it_cannot_do(options, said):
    with pytest.raises(ValueError, match=said):
        Device(options)


def test_a_noisy_simulated_device_is_read_and_never_wrong():
    device = Device("shunt,damage=0.3,hex=1")
    listener = listen()
    known = 0
    for second in range(120):
        listener.hear(device.transmit(second * 1e6 + 999_999)).run(700)
        known += listener.source.raw("voltage") is not None
        assert listener.source.raw("voltage") in (26542, None)
    assert known > 90


# the board's language

SCRIPT = """
import sys

sys.modules["supervisor"] = type("supervisor", (), {"ticks_ms": staticmethod(lambda: 0)})
from sensors.vedirect import VeDirect


class Port:
    data = b""

    def readinto(self, buffer):
        count = min(len(buffer), len(self.data))
        buffer[:count] = self.data[:count]
        self.data = self.data[count:]
        return count or None

    def reset_input_buffer(self):
        self.data = b""


port = Port()
source = VeDirect(port, 1)
source.tick(0)
with open(sys.argv[1], "rb") as file:
    port.data = file.read()
for now in range(10, 4000, 10):
    source.tick(now)
print(sorted([(row.key, source.raw(row.key)) for row in source.rows]))
"""


@pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")
@pytest.mark.parametrize("name", NAMES)
def test_micropython_reads_the_same(name, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "recording").write_bytes(recording(name))
    path = f"{ROOT}:{Path(adafruit_ticks.__file__).parent}"
    results = []
    for command, environment in (
        ((MICROPYTHON, "-X", "heapsize=512k"), {"MICROPYPATH": f"{path}:.frozen"}),
        ((sys.executable,), {"PYTHONPATH": f"{ROOT / 'host' / 'standins'}:{path}"}),
    ):
        done = subprocess.run(
            [*command, "script.py", "recording"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        results.append(done.stdout.splitlines()[-1])
    assert results[0] == results[1] and "('problem', 'none')" in results[0]
