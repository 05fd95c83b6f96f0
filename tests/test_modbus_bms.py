# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The simulated BMS in D2 and P81: its registers against captures of real boards, writes, timing, several boards, faults.

Nothing here knows the firmware: frames are built and checked by hand. The captures are rows of facts/frames.jsonl and
modbus-frames.jsonl.
"""

import struct

import masters
import pytest

from simulator.bms import BYTE_US, Bms
from simulator.bus import Bus, connect
from simulator.faults import FAULTS

BYTE_MS = BYTE_US / 1000
LIVE_CURRENT = {"d2": 0x29, "p81": 0x39}


def crc(data: bytes) -> bytes:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return bytes([value & 0xFF, value >> 8])


def framed(body: bytes) -> bytes:
    return body + crc(body)


def is_whole(frame: bytes) -> bool:
    return len(frame) > 4 and crc(frame[:-2]) == frame[-2:]


class Master(masters.Master):
    """Asks a board in model time."""

    def __init__(self, options: str, note=None):
        super().__init__(connect(options, 0, note))
        self.protocol = "d2" if "protocol=d2" in options else "p81"

    def request(self, function: int, start: int, value: int, board: int = 1) -> bytes:
        return framed(struct.pack(">BBHH", 0xD2 if self.protocol == "d2" else 0x80 + board, function, start, value))

    def read(self, start: int, count: int = 1, board: int = 1) -> list[int]:
        """The registers; [] when nothing comes."""
        heard = self.say(self.request(3, start, count, board))
        if not heard:
            return []
        assert is_whole(heard) and heard[:3] == bytes((0xD2 if self.protocol == "d2" else 0x50 + board, 3, 2 * count))
        return list(struct.unpack(f">{count}H", heard[3:-2]))

    def write(self, register: int, value: int, board: int = 1) -> bytes:
        return self.say(self.request(6, register, value, board))

    def truth(self):
        return self.bms.truth(self.now * 1000)

    def set(self, name: str, value):
        self.bms.set(name, value, self.now * 1000)


def cells(*mv: int) -> str:
    return "+".join(f"{number}:{value}" for number, value in enumerate(mv, 1))


# --- captures --------------------------------------------------------------------------------------------------------

K00T = (3188, *[3199] * 4, *[3200] * 2, 3199, *[3198] * 3, 3200, *[3198] * 3, 3196)
D2_16S_310AH = (
    "d2037c0c740c7f0c7f0c7f0c7f0c800c800c7f0c7e0c7e0c7e0c800c7e0c7e0c7e0c7c"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "003f003f00ff00ff00ff00ff00ff00ff01ff753000570c800c74003f003f0000010d0010000200020000000100010c7e000c"
    "0000000000800000000065a9"
)


def test_it_says_what_a_captured_d2_board_with_62_registers_said():
    options = f"protocol=d2,registers=62,cell_mv={cells(*K00T)},sensor_raw=1:63+2:63,absent=255,soc=8.7,capacity=310,cycles=2"
    master = Master(f"{options},current=0,drift=0,alarms=soc_low_2")
    # its remaining capacity is not that of its state of charge; its mean is rounded, that of others is not
    master.set("words", "0x30:0x10D+0x37:0xC7E")
    assert master.say(bytes.fromhex("d2030000003ed7b9")).hex() == D2_16S_310AH


BLUE_80 = (
    "d203a00cd10cd20cd30cd30cd30cd20cd30cd30cd30cd30cd30cd30cd30cd30cd30cd3"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "00350035000000000000000000000000"
)


def test_layout_of_80_registers_as_captured_in_the_blue_series():
    """0x26 and 0x29 differ: the capture has 53 in four slots of two sensors, and -2.5 A."""
    mv = (3281, 3282, 3283, 3283, 3283, 3282, *[3283] * 10)
    options = f"protocol=d2,cell_mv={cells(*mv)},sensor_raw=1:53+2:53,soc=56.1,current=-2.5,cycles=60,drift=0"
    master = Master(f"{options},mosfet_temperature=15,lacks=board_temperature,lacking_raw=0,capacity=210.3")
    live = master.read(0, 80)
    assert master.say(master.request(3, 0, 80))[:51].hex() == BLUE_80[:102]
    captured = (0x020D, 0x7517, 0x0231, 0x0CD3, 0x0CD1, 0x35, 0x35, 2, 0x049A, 0x10, 2, 0x3C, 0, 1, 1, 0x0CD2, 2, 0x83)
    ours = [word for at, word in enumerate(live[0x28:0x3A], 0x28) if at not in (0x28, 0x30, 0x32, 0x39)]
    assert ours == [word for at, word in enumerate(captured, 0x28) if at not in (0x28, 0x30, 0x32, 0x39)]
    assert live[0x3A:0x50] == [0] * 6 + [0x7530, 0, 0x37] + [0] * 13


HKMS = (3281, 3216, 3235, 3285)
P81_CELLS = "5103800cd10c900ca30cd5" + "0000" * 44 + "00ff" * 8
P81_806 = {  # the response to 0x41 x 62, but the part from 0x74 on
    0x41: "0002 0044 00ff 0000 00ff 0000 0000 0000 0000 0000 00c9 0000 0000 7530 0000 0000 0000 0001 0001",
    0x57: "0cba",
    0x5A: "0045 00ff 0000",
    0x5F: "0000 7530 1a06 0509 2212",
    0x66: "0000 0000 0000 0000 7530",
    0x6C: "0070 0000 0000 0000 0002 0000 8000 0000",
}


def test_it_says_what_a_captured_p81_board_said():
    options = f"protocol=p81,cells=4,cell_mv={cells(*HKMS)},temperatures=2,sensor_raw=1:255+2:255,soc=11.2,cycles=0,drift=0"
    options += ",current=-0.4,deadzone=1,mosfet_temperature=29,lacks=board_temperature+heater_temperature,lacking_raw=255"
    master = Master(f"{options},capacity=180,alarms=soc_low_2+temperature_sensor,clock=2026-06-05T09:34:18")
    live = master.read(0, 0x74)
    assert framed(b"\x51\x03\x80" + struct.pack(">64H", *live[:64]))[: len(P81_CELLS) // 2].hex() == P81_CELLS
    assert live[0x38:0x3B] == [0x82, 0x752C, 0x70]
    assert live[0x3C:0x3E] == [4, 2]
    assert live[0x3E:0x40] == [0x0CD5, 4]
    live[0x41:0x43] = live[0x41], live[0x42] - 1  # the board took this part when its fourth cell was 1 mV lower
    live[0x57] = 0x0CBA  # its mean is 4 mV too high
    live[0x5C] = 0  # the only one of its absent temperatures that is 0
    for at, captured in P81_806.items():
        words = [int(word, 16) for word in captured.split()]
        assert live[at : at + len(words)] == words, hex(at)


def test_settings_of_p81_are_where_captures_have_them():
    options = "protocol=p81,cells=16,capacity=314,soc=83.4,soh=100,sleep_time=65535,produced=2026-03-26,drift=0"
    master = Master(f"{options},total_charge=2151.308,total_discharge=2228.806,clock=2026-02-22T15:04:00,temperatures=4")
    ess = {
        0x100: "0001 0010 0001 0010 0000 0000 0004 0000 0000 0004 ca90 0004 ca90 0020 d38c 0022 0246",
        0x114: "0c80 ffff 0342 03e8",
        0x121: "0001 0001 1a02 160f 0400 3132 3334 3536 1a03 1a00",
    }
    for at, captured in ess.items():
        words = [int(word, 16) for word in captured.split()]
        assert master.read(at, len(words)) == words, hex(at)
    assert master.read(0x130, 4) == [3600, 3700, 3550, 1000]
    assert master.read(0x140, 2) == [30000 - 1100, 30000 - 1200]  # charging below 30000, against the live current
    assert master.read(0x145, 2) == [30000 + 1600, 30000 + 2000]
    assert master.read(0x14E, 2) == [30, 25]


def test_settings_of_d2_are_where_captures_have_them():
    master = Master("protocol=d2,capacity=310,sleep_time=3600,soc=8.7,drift=0,temperatures=2")
    words = master.read(0x80, 41)
    assert words[:4] == [0x0C1C, 0x0C80, 1, 16]
    assert words[0x86 - 0x80] == 2
    assert words[0x8A - 0x80 : 0x8F - 0x80] == [0x0E10, 3600, 3700, 2700, 2500]
    assert words[0x93 - 0x80 : 0x97 - 0x80] == [28900, 28800, 31600, 32000]
    assert words[0xA5 - 0x80 :] == [1, 1, 87, 87]


@pytest.mark.parametrize(
    ("software", "hardware", "sent", "sent_hardware"),
    [
        ("11_240123_K00T", "H2.0_103R_3099F", b"T00K_321042_11\0\0", b"H2.0_103R_3099F\0"),
        ("210104", "BMS", b"401012" + bytes(10), b"BMS" + bytes(13)),
        ("30_F25311111_200B", "BMS-ST030-303E", None, b"E303-030TS-SMB\0\0"),
    ],
)
def test_versions_of_d2_are_sent_from_their_end(software, hardware, sent, sent_hardware):
    master = Master(f"protocol=d2,software={software[:14]},hardware={hardware[:14]},drift=0")
    data = struct.pack(">32H", *master.read(0xA9, 32))
    assert sent is None or data[:16] == sent
    assert data[16:32] == sent_hardware[:14].ljust(16, b"\0")


def test_versions_of_p81_follow_each_other_without_an_end():
    master = Master("protocol=p81,software=12_260120_K00T,hardware=H2.1_103E_30XF,platform=DL_HKMS_3.2.E,battery_code=20260503")
    data = struct.pack(">74H", *master.read(0x178, 74))
    assert data[:70] == (b"12_260120_K00TH2.1_103E_30XFDL_HKMS_3.2.E\0" + b"221LD000000001").ljust(70, b"\0")
    assert data[70:78] == b"20260503"


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "count"), [("d2", 1), ("d2", 4), ("d2", 32), ("p81", 1), ("p81", 16), ("p81", 48)])
def test_truth_is_what_the_registers_say(protocol, count):
    master = Master(f"protocol={protocol},cells={count},temperatures=3,current=31.4,drift=0,balancing=1+{count},soc=64.2")
    said, d2 = master.truth(), protocol == "d2"
    live = master.read(0, 80 if d2 else 0x74)
    assert [mv / 1000 for mv in live[:count]] == [said[f"cell_{n}_voltage"] for n in range(1, count + 1)]
    assert live[count : 32 if d2 else 48] == [0] * ((32 if d2 else 48) - count)
    temperatures, pack = (0x20, 0x28) if d2 else (0x30, 0x38)
    assert [raw - 40 for raw in live[temperatures : temperatures + 3]] == [said[f"temperature_{n}"] for n in (1, 2, 3)]
    assert live[pack] == sum(live[:count]) // 100
    assert live[pack + 1] == 30314 and said["current"] == 31.4 and said["mode"] == "charging"
    assert live[pack + 2] == 642
    assert live[0x31 if d2 else 0x3C] == count and live[0x32 if d2 else 0x3D] == 3
    assert live[0x2F if d2 else 0x48] == 1
    bits = live[0x3E] | live[0x3F] << 16 if d2 else live[0x4F] | live[0x50] << 16 | live[0x51] << 32
    assert bits == 1 | 1 << count - 1 and said[f"cell_{count}_balancing"] and said["balancing"]
    assert live[0x39 if d2 else 0x58] == int(said["power"])


def test_a_protocol_says_nothing_that_its_map_does_not_have():
    d2, short, p81 = (Bms(f"protocol={text}").truth(0) for text in ("d2", "d2,registers=62", "p81"))
    assert {"heartbeat", "state_of_health", "fan", "serial_number"} <= set(p81) - set(d2)
    assert {"balancing", "mosfet_temperature", "balance_current"} <= set(d2) - set(short)
    assert "chemistry" not in p81
    assert "fault_code" not in set(d2) | set(p81)


def test_what_a_board_lacks_is_none():
    options = "temperatures=3,sensor_raw=1:255+2:0,lacks=mosfet_temperature+balance_current"
    said = Bms(f"protocol=p81,{options}").truth(0)
    assert said["temperature_1"] is said["temperature_2"] is said["mosfet_temperature"] is said["balance_current"] is None
    assert said["max_temperature"] == said["min_temperature"] == said["temperature_3"]
    master = Master(f"protocol=p81,drift=0,{options}")
    third = master.read(0x32)[0]
    assert master.read(0x43, 5) == [third, 3, third, 3, 0]
    assert (master.read(0x4E), master.read(0x5A)) == ([0], [255])


def test_the_heartbeat_counts_seconds_and_wraps():
    master = Master("protocol=p81,life=250")
    first = master.read(0x3B)[0]
    master.listen(9000)
    assert (master.read(0x3B)[0] - first) % 256 == 10


def test_the_clock_of_p81_runs():
    master = Master("protocol=p81,clock=2026-03-14T12:59:59")
    master.listen(2000)
    year_month, day_hour, minute_second = master.read(0x61, 3)
    assert (year_month, day_hour, minute_second >> 8) == (26 << 8 | 3, 14 << 8 | 13, 0)


def test_d2_has_garbage_where_there_is_no_sensor():
    words = Master("protocol=d2,temperatures=2,garbage_slots=1").read(0x20, 8)
    assert all(words[2:]) and set(words[2:]) != {255}


# --- alarms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "register", "word"),
    [
        ("soc_low_2", 0x3B, 0x0080),  # captured
        ("temperature_difference_1+temperature_difference_2", 0x3B, 0x0C00),  # captured
        ("cell_high_1", 0x3A, 0x0001),
        ("charge_hot_1", 0x3A, 0x0100),
        ("charge_mosfet_hot", 0x3C, 0x0001),
        ("internal_communication", 0x3C, 0x8000),
        ("short_circuit", 0x3D, 0x0004),
    ],
)
def test_alarms_of_d2_are_the_bytes_of_a5_swapped(name, register, word):
    master = Master(f"protocol=d2,alarms={name}")
    words = dict(enumerate(master.read(0x3A, 4), 0x3A))
    assert words.pop(register) == word and not any(words.values())
    assert master.truth()["problem"]


@pytest.mark.parametrize(
    ("options", "register", "word"),
    [
        ("alarms=soc_low_2", 0x70, 0x0002),  # captured
        ("alarms=temperature_sensor", 0x72, 0x8000),  # captured
        ("levels=parallel_communication_fault:1", 0x70, 0x0080),  # captured
        ("alarms=cell_high_1+cell_high_2", 0x6D, 0x0002),
        ("levels=cell_high:3", 0x6D, 0x0003),
        ("levels=cell_low:7", 0x6D, 0x0038),
        ("alarms=cell_difference_1", 0x6D, 0x0100),
        ("alarms=charge_hot_2", 0x6D, 0x1000),
        ("alarms=discharge_mosfet_sensor", 0x6E, 0x8000),
        ("alarms=short_circuit", 0x6F, 0x0040),
        ("levels=thermal_runaway:1", 0x70, 0x0800),
        ("alarms=eeprom", 0x73, 0x0002),
        ("fan=1", 0x73, 0x1000),
    ],
)
def test_alarms_of_p81_have_levels(options, register, word):
    master = Master(f"protocol=p81,{options}")
    words = dict(enumerate(master.read(0x66, 14), 0x66))
    del words[0x6A], words[0x6B], words[0x6C]
    assert words.pop(register) == word and not any(words.values())
    assert master.truth()["problem"] == (options != "fan=1")


def test_older_alarm_words_of_p81_have_the_bytes_the_other_way_round():
    master = Master("protocol=p81,alarm_words=old,alarms=internal_communication+cell_high_1+short_circuit")
    assert master.read(0x66, 4) == [0x0100, 0, 0x0080, 0x0400]
    assert not any(master.read(0x6D, 7))


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda r: r[:-1] + bytes([r[-1] ^ 1]),
        lambda r: r[1:],
        lambda r: r[:-1],
        lambda r: framed(r[:1] + b"\4" + r[2:-2]),  # an unknown function
        lambda r: framed(b"\xd3" + r[1:-2]),
        lambda r: framed(r[:4] + b"\0\0"),  # no register
        lambda r: framed(r[:4] + b"\0\x7e"),  # more than fit into a response
    ],
)
def test_what_is_no_request_to_this_board_is_met_with_silence(damage):
    for protocol in ("d2", "p81"):
        master = Master(f"protocol={protocol}")
        assert master.say(damage(master.request(3, 0, 4))) == b""


def test_registers_that_a_board_lacks():
    assert Master("protocol=d2").read(0x57, 12) == [0xFFFF] * 12
    assert Master("protocol=p81").read(0xA4, 10) == [0xFFFF] * 10
    for beyond, expected in (("ff", [0xFFFF] * 2), ("zeros", [0] * 2)):
        assert Master(f"protocol=d2,registers=62,beyond={beyond},soc=50").read(0x3C, 4) == [0, 0, *expected]
    assert Master("protocol=d2,registers=62,beyond=silent").read(0, 80) == []
    assert len(Master("protocol=d2,registers=62,beyond=silent").read(0, 62)) == 62


@pytest.mark.parametrize("protocol", ["d2", "p81", "none"])
def test_it_is_deaf_to_the_other_protocols(protocol):
    master = Master(f"protocol={protocol}")
    a5 = bytes.fromhex("a54090080000000000000000") + b"\x7d"
    d2, p81 = bytes.fromhex("d2030000003ed7b9"), bytes.fromhex("8103003800 08da01")
    heard = {name: master.say(data)[:1] for name, data in (("a5", a5), ("d2", d2), ("p81", p81))}
    assert [name for name, data in heard.items() if data] == [protocol] * (protocol != "none")


@pytest.mark.parametrize(("protocol", "answers"), [("p81+d2", "d2 p81"), ("a5+p81", "a5 p81")])
def test_a_board_may_speak_two_protocols(protocol, answers):
    master = Master(f"protocol={protocol},drift=0,current=20")
    probes = {"a5": "a540900800000000000000007d", "d2": "d2030028000b97a6", "p81": "81030038 0008da01"}
    heard = {name: master.say(bytes.fromhex(probe)) for name, probe in probes.items()}
    assert [name for name in sorted(heard) if heard[name]] == answers.split()
    currents = {"a5": heard["a5"][8:10], "d2": heard["d2"][5:7], "p81": heard["p81"][5:7]}
    for name in answers.split():
        assert int.from_bytes(currents[name], "big") == (29800 if name == "a5" else 30200)


def test_a_board_with_two_protocols_says_what_the_one_says_that_was_used_last():
    master = Master("protocol=p81+d2")
    assert "heartbeat" in master.truth()
    master.say(bytes.fromhex("d2030000003ed7b9"))
    assert "heartbeat" not in master.truth()


def test_it_takes_its_time_and_as_many_bytes_as_there_are():
    master = Master("protocol=p81")
    master.read(0, 16)
    assert master.times == pytest.approx([(8 + at) * BYTE_MS + 35 for at in range(1, 38)])


def test_a_request_during_a_response_or_before_it_is_lost():
    outcomes = []
    master = Master("protocol=d2", note=lambda event: outcomes.extend([event["outcome"]] if "outcome" in event else []))
    heard = master.say(master.request(3, 0, 2) + master.request(3, 4, 2))
    assert heard[:3] == b"\xd2\3\4" and len(heard) == 9
    assert outcomes == ["responded", "lost"]


def test_the_line_must_be_quiet_before_and_after_a_request():
    master = Master("protocol=p81,quiet=3.6")
    request = master.request(3, 0, 1)
    assert master.say(request)
    assert master.say(b"\x00" + request) == b""
    assert master.say(request + b"\x00") == b""
    master.say(b"\x00", listen_ms=BYTE_MS + 3)
    assert master.say(request) == b""
    master.say(b"\x00", listen_ms=BYTE_MS + 4)
    assert master.say(request)
    assert Master("protocol=p81").say(b"\x00" + request)


# --- sleep -----------------------------------------------------------------------------------------------------------


def test_asleep_it_is_silent_or_returns_the_request():
    master = Master("protocol=p81,asleep=1")
    request = master.request(3, 0, 4)
    assert master.say(request) == b""
    master.set("sleep_reply", "echo")
    assert master.say(request) == request


def test_requests_wake_a_board_that_is_silent_asleep():
    master = Master("protocol=d2,asleep=1,wake_on_request=2")
    assert [bool(master.read(0, 4)) for _ in range(4)] == [False, False, True, True]


# --- writes ----------------------------------------------------------------------------------------------------------


def test_acknowledgements_as_captured():
    master = Master("protocol=d2")
    assert master.say(bytes.fromhex("d20600a500014b8a")).hex() == "d20600a500014b8a"
    assert master.say(bytes.fromhex("d20600cf0000aa56")).hex() == "d20600cf0000aa56"
    master = Master("protocol=p81")
    assert master.say(bytes.fromhex("8106014204d2b57f")).hex() == "5106014204d2a6ef"
    assert master.say(bytes.fromhex("811001090002000059d8f0ec"))[:6].hex() == "511001090002"
    assert master.read(0x109, 2) == [0, 0x59D8]


@pytest.mark.parametrize(("protocol", "charge", "discharge", "states"), [("d2", 0xA5, 0xA6, 0x35), ("p81", 0x121, 0x122, 0x52)])
def test_mosfets(protocol, charge, discharge, states):
    master = Master(f"protocol={protocol},current=20,drift=0")
    master.write(charge, 0)
    assert master.read(states, 2) == [0, 1] == [*master.read(charge), *master.read(discharge)]
    assert master.truth()["current"] == 0
    master.write(discharge, 0)
    assert master.read(states, 2) == [0, 0]
    if protocol == "p81":
        assert master.read(0x73) == [0x0300]
    master.write(charge, 1)
    assert master.read(states, 2) == [1, 0]
    assert master.write(charge, 2) == b""
    assert [(register, data.hex()) for _, register, data in master.bms.writes] == [
        (charge, "0000"),
        (discharge, "0000"),
        (charge, "0001"),
    ]


def test_d2_does_not_know_the_registers_of_p81_and_ignores_those_of_cells():
    master = Master("protocol=d2")
    assert master.write(0x121, 0) == master.write(0x122, 0) == b""
    assert master.write(0x0C, 1) == master.request(6, 0x0C, 1)
    assert master.read(0x35, 2) == [1, 1]
    assert master.read(0x0C)[0] > 3000


@pytest.mark.parametrize(("protocol", "register", "soc"), [("d2", 0xA7, 0x2A), ("p81", 0x116, 0x3A)])
def test_the_state_of_charge_can_be_written(protocol, register, soc):
    master = Master(f"protocol={protocol},drift=0,current=0")
    assert master.write(register, 305)
    assert master.read(soc) == [305] == master.read(register)
    assert master.write(register, 1001) == b""


def test_a_restart_of_d2_takes_a_second_and_a_shutdown_for_ever():
    master = Master("protocol=d2,charge_mosfet=0")
    master.write(0xF0, 0)
    assert master.read(0, 1) == []
    assert master.read(0x35) == [1]
    master.write(0xF1, 0)
    master.listen(60000)
    assert master.read(0, 1) == []


def test_a_write_can_be_acknowledged_and_ignored():
    master = Master("protocol=p81,ignore_writes=1")
    assert master.write(0x122, 0)
    assert master.read(0x53) == [1]


def test_a_setting_is_stored_and_recorded():
    master = Master("protocol=d2")
    assert master.write(0x8A, 7200)
    assert master.read(0x8A) == [7200]
    assert [register for _, register, _ in master.bms.writes] == [0x8A]


# --- several boards --------------------------------------------------------------------------------------------------


def test_boards_on_one_bus_have_numbers_and_values_of_their_own():
    master = Master("protocol=p81,boards=3,soc@2=40,soc=70,drift=0")
    assert isinstance(master.bms, Bus)
    assert [master.read(0x3A, 1, board) for board in (1, 2, 3, 4)] == [[700], [400], [700], []]
    assert len({tuple(master.read(0, 16, board)) for board in (1, 2, 3)}) == 3
    assert master.bms.truth(0, 2)["soc"] == 40
    master.write(0x121, 0, 2)
    assert [master.read(0x52, 1, board) for board in (1, 2, 3)] == [[1], [0], [1]]
    master.set("soc@3", 10)
    assert master.read(0x3A, 1, 3) == [100]


def test_a_request_to_one_board_is_lost_during_the_response_of_another():
    master = Master("protocol=p81,boards=2")
    heard = master.say(master.request(3, 0, 4) + master.request(3, 0, 4, 2))
    assert len(heard) == 13 and heard[0] == 0x51


def test_the_board_number_can_be_written_unless_it_is_fixed():
    master = Master("protocol=p81")
    assert master.write(0x100, 5)
    assert (master.read(0x38), bool(master.read(0x38, 1, 5))) == ([], True)
    master = Master("protocol=p81,board_fixed=1,board=7")
    assert master.write(0x100, 5, 7) == b""
    assert master.read(0x100, 1, 7) == [7]


@pytest.mark.parametrize("options", ["protocol=d2,boards=2", "protocol=p81,boards=2,board@2=1"])
def test_two_boards_with_one_address_destroy_each_others_bytes(options):
    master = Master(f"{options},drift=0")
    heard = master.say(master.request(3, 0, 16))
    assert len(heard) >= 37 and not is_whole(heard)


@pytest.mark.parametrize("protocol", ["a5", "p81"])
def test_a_board_can_babble_and_says_what_is_true(protocol):
    bus = connect(f"protocol={protocol},boards=2,babble@2=5,drift=0,soc=70")
    heard = b"".join(bus.transmit(1000 * ms) for ms in range(10000))
    number = 2 if protocol == "a5" else 0x52
    size = 13 if protocol == "a5" else 141
    frames = [heard[at : at + size] for at in range(0, len(heard), size)]
    assert heard and (
        protocol == "a5" or {(frame[0], int.from_bytes(frame[23:25], "big")) for frame in frames} == {(number, 700)}
    )
    assert protocol == "p81" or {frame[1] for frame in frames} == {number}
    bus.set("babble@2", 0, 10e6)
    bus.transmit(20e6)
    assert bus.transmit(30e6) == b""


def test_only_the_first_board_of_a_bus_makes_the_echo():
    master = Master("protocol=p81,boards=3,echo=1")
    request = master.request(3, 0, 1)
    heard = master.say(request)
    assert heard[:8] == request and len(heard) == 8 + 7


# --- faults ----------------------------------------------------------------------------------------------------------

STRUCK = {  # what is heard in place of `whole` when the fault hits for certain
    "ones": lambda heard, whole: is_whole(heard) and set(heard[3:-2]) == {0xFF} and len(heard) == len(whole),
    "zeros": lambda heard, whole: is_whole(heard) and set(heard[3:-2]) == {0} and len(heard) == len(whole),
    "implausible": lambda heard, whole: (
        is_whole(heard) and sum(a != b for a, b in zip(heard[3:-2], whole[3:-2], strict=True)) == 1
    ),
    "flip_bit": lambda heard, whole: sum((a ^ b).bit_count() for a, b in zip(heard, whole, strict=True)) == 1,
    "cut": lambda heard, whole: 0 < len(heard) < len(whole) and whole.startswith(heard),
    "old_checksum": lambda heard, whole: heard[:-2] == whole[:-2] and not is_whole(heard),
    "repeat_last": lambda heard, whole: heard.endswith(whole) and is_whole(heard[: -len(whole)]),
    "duplicate": lambda heard, whole: heard == whole + whole,
    "drop_frame": lambda heard, whole: heard == b"",
}


@pytest.mark.parametrize("name", STRUCK)
@pytest.mark.parametrize("protocol", ["d2", "p81"])
def test_faults(name, protocol):
    whole, damaged = Master(f"protocol={protocol},drift=0"), Master(f"protocol={protocol},drift=0")
    for master in (whole, damaged):
        master.read(0x28, 3)
    damaged.set(name, 100)
    request = whole.request(3, 0, 8)
    assert STRUCK[name](damaged.say(request), whole.say(request))


def test_every_fault_for_these_protocols_is_tested_here_or_for_a5():
    ours = {fault.name for fault in FAULTS if fault.protocols == ("d2", "p81")}
    assert ours == {"ones", "flip_bit", "cut", "old_checksum", "repeat_last", "app"}


def test_a_late_response_comes_later_while_the_next_is_on_time():
    master = Master("protocol=p81,late=100")
    assert master.say(master.request(3, 0, 4), listen_ms=250) == b""
    master.set("late", 0)
    heard = master.say(master.request(3, 0x38, 3))
    assert len(heard) == 13 + 11 and heard[2] == 6


def frames_of(heard: bytes) -> list[bytes]:
    """Whole frames one after the other: requests of 8 bytes and responses."""
    found = []
    while heard:
        size = 8 if is_whole(heard[:8]) else 5 + heard[2]
        found.append(heard[:size])
        heard = heard[size:]
    return found


@pytest.mark.parametrize("protocol", ["d2", "p81"])
def test_a_second_master_asks_this_board_and_others_for_other_registers(protocol):
    master = Master(f"protocol={protocol},second_master=100")
    requests, same_count = set(), 0
    for _ in range(60):
        frames = frames_of(master.say(master.request(3, 0, 16), 2000))
        assert all(is_whole(frame) for frame in frames) and len(frames) == 3
        foreign = next(frame for frame in frames if len(frame) == 8 and frame[0] in (0xD2, 0x81, 0x82))
        requests.add(foreign[0])
        same_count += foreign[4:6] == b"\0\x10" and foreign[2:4] != b"\0\0"
    assert requests == ({0xD2} if protocol == "d2" else {0x81, 0x82})
    assert same_count > 5


def test_the_responses_to_an_app_come_without_its_requests():
    master = Master("protocol=d2,app=100")
    lengths = set()
    for _ in range(40):
        frames = frames_of(master.say(master.request(3, 0, 16), 2000))
        assert all(is_whole(frame) and frame[:2] == b"\xd2\3" for frame in frames)
        assert len(frames) == 2
        lengths |= {len(frame) for frame in frames}
    assert {129, 87, 37} <= lengths
