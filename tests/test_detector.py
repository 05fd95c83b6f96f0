# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which protocol and address the BMS is asked with, what is found and remembered, and what the bridge says of it."""

import sys
from itertools import pairwise

import pytest
from simulation import Wire

from battery.pack import Pack
from battery.unload import unload
from daly.commands import BatteryCommands
from daly.detector import Detector
from daly.poller import Poller
from simulator.bms import Bms

A5, P81, D2, A5_AT_0X80 = 1, 2, 3, 4  # as kept in non-volatile memory
PROBES = {  # what each is asked first: daly-modbus.md 9, but P81 and D2 with the block that is polled
    A5: "a54090080000000000000000" + "7d",
    P81: "8103003000445a36",
    D2: "d2030000003ed7b9",
    A5_AT_0X80: "a58090080000000000000000" + "bd",
}


def tried(failures, **options):
    """The codes that are tried one after the other."""
    detector = Detector(Pack(), lambda: False, **options)
    found = [detector.code]
    for _ in range(failures):
        detector.failed()
        found.append(detector.code)
    return found


def requests(wire, seconds):
    """All that a bridge sends in so many seconds, as hex."""
    sent = []
    end = wire.us + 1e6 * seconds
    while wire.us < end:
        begun = wire.us
        request = wire.exchange()
        if request is not None:
            sent.append((round(begun / 1000), request.hex()))
        wire.us += 1000
    return sent


# the order


def test_each_gets_one_try_a_round():
    assert tried(8) == [A5, P81, D2, A5_AT_0X80] * 2 + [A5]


def test_what_is_remembered_is_tried_first_and_twice():
    assert tried(9, remembered=D2) == [D2, D2, A5, P81, A5_AT_0X80] * 2
    assert tried(4, remembered=A5_AT_0X80) == [A5_AT_0X80, A5_AT_0X80, A5, P81, D2]


def test_another_board_than_the_first_has_one_address():
    assert tried(3, board_number=3) == [A5, P81, D2, A5]
    detector = Detector(Pack(), lambda: False, board_number=3)
    assert detector.address == 0x42


@pytest.mark.parametrize(
    ("choice", "allowed", "others"),
    [("a5", [A5, A5_AT_0X80], [P81, D2]), ("p81", [P81], [A5, D2, A5_AT_0X80]), ("d2", [D2], [A5, P81, A5_AT_0X80])],
)
def test_a_fixed_protocol_is_the_only_one_but_for_every_fifth_round(choice, allowed, others):
    rounds = [*allowed, *allowed, *others, *allowed * 4, *allowed, *others]
    assert tried(len(rounds) - 1, choice=choice) == rounds


def test_what_the_settings_rule_out_is_only_reported():
    detector = Detector(Pack(), lambda: False, choice="p81")
    assert not detector.is_ruled_out
    detector.failed()
    detector.failed()
    assert detector.code == A5 and detector.is_ruled_out and detector.wrong_address is None


def test_a_fixed_host_address_is_the_only_one_of_a5():
    detector = Detector(Pack(), lambda: False, host_address=0x80)
    seen = []
    for _ in range(7):
        seen.append((detector.code, detector.address))
        detector.failed()
    assert seen == [(A5, 0x80), (P81, None), (D2, None), (A5, 0x80), (P81, None), (D2, None), (A5_AT_0X80, 0x40)]


def test_a_remembered_protocol_that_the_settings_rule_out_is_not_tried():
    assert tried(1, choice="d2", remembered=P81) == [D2, D2]


def test_a_bms_that_has_worked_is_asked_sixty_times_before_others():
    detector = Detector(Pack(), lambda: False)
    detector.failed()
    detector.found()
    assert detector.code == P81
    for _ in range(59):
        assert not detector.failed()
    assert detector.failed() and detector.code == A5


# memory


def test_only_what_is_spoken_stays_loaded():
    for name in ("daly.p81", "daly.d2", "daly.a5", "daly.modbus"):
        unload(name)
    detector = Detector(Pack(), lambda: False)
    assert "daly.p81" not in sys.modules and "daly.d2" not in sys.modules
    for _ in range(3):
        detector.failed()
    assert {"daly.a5", "daly.p81", "daly.d2"} <= set(sys.modules)
    detector.found()
    assert {"daly.a5"} == {"daly.a5", "daly.p81", "daly.d2", "daly.modbus"} & set(sys.modules)
    assert detector.others == ()


def test_where_there_is_no_memory_for_a_protocol_the_others_are_tried(monkeypatch, capsys):
    unload("daly.p81")
    monkeypatch.setitem(sys.modules, "daly.p81", None)
    assert tried(20).count(A5) == 7
    assert capsys.readouterr().out.count("protocol p81 cannot be loaded") == 1  # not in each round, a line every 2 s
    assert tried(3) == [A5, D2, A5_AT_0X80, A5]


# on the line


@pytest.mark.parametrize(
    ("options", "protocol", "code", "limit", "words"),
    [
        ("protocol=a5", "A5", A5, 200, "OK"),
        ("protocol=p81", "P81", P81, 1000, "OK, with protocol P81"),
        ("protocol=d2", "D2", D2, 2000, "OK, with protocol D2"),
        ("protocol=d2,registers=62", "D2", D2, 2000, "OK, with protocol D2"),
        ("protocol=a5,host=0x80", "A5", A5_AT_0X80, 2000, "OK, at host address 0x80"),
    ],
)
def test_it_is_found_in_time(options, protocol, code, limit, words):
    wire = Wire("drift=0," + options, protocol="auto")
    while not wire.poller.online:
        wire.step()
        assert wire.us < 1000 * limit
    wire.run(5)
    assert (wire.poller.protocol, wire.poller.found) == (protocol, code)
    assert wire.poller.diagnosis.text == words
    assert wire.pack.raw("soc") == 573 and wire.pack.raw("cell_{}_voltage", 16) > 3000


@pytest.mark.parametrize(
    ("options", "code", "refresh_ms"),  # all requests and responses on the line, and 5 or 35 ms for the board each time
    [("protocol=a5", A5, 311.5 + 9 * 5), ("protocol=p81", P81, 202.1 + 2 * 35), ("protocol=d2", D2, 142.7 + 35)],
)
def test_what_is_remembered_is_complete_within_1_2_refreshes(options, code, refresh_ms):
    wire = Wire("drift=0," + options, protocol="auto", remembered=code)
    while not wire.poller.complete:
        wire.step()
    assert wire.us / 1000 < 1.2 * refresh_ms
    assert wire.pack.raw("soc") is not None and wire.pack.raw("cell_{}_voltage", 16) is not None


def test_to_a_board_that_is_not_known_only_these_reads_are_sent_120_ms_apart():
    sent = requests(Wire("silent=1", protocol="auto"), 8)
    reads_of_a5 = ("90", "93", "98", "94", "91", "92", "97")
    for _, request in sent:
        assert request in (PROBES[P81], PROBES[D2]) or (request[:2] == "a5" and request[4:6] in reads_of_a5), request
    assert [request for _, request in sent[:3]] == [PROBES[A5], PROBES[P81], PROBES[D2]]
    assert sent[3][1][:4] == "a580"
    assert all(later - at >= 300 + 115 for (at, _), (later, _) in pairwise(sent))


def test_the_answer_to_the_comparison_is_the_first_reading():
    """Else all would be unknown beside OK until the next one, on a noisy line for seconds."""
    wire = Wire("drift=0,protocol=a5+p81", protocol="auto")
    while wire.poller.protocol != "P81":
        wire.step()
    assert wire.poller.diagnosis.text == "OK, with protocol P81; it answers A5, too"
    assert wire.pack.raw("soc") == 573 and wire.pack.raw("current") is not None and wire.pack.raw("heater") == 0


def test_the_state_of_charge_is_written_with_the_time_where_the_board_wants_it_also_while_it_is_compared():
    wire = Wire("drift=0", protocol="auto")
    while not is_compared(wire):
        wire.step()
    commands = BatteryCommands(wire.poller, lambda subject, code: None)
    assert commands.soc_needs_clock and commands.set_soc(640, None, wire.now) == "no_time"


def test_a_board_that_speaks_both_is_read_with_p81():
    wire = Wire("drift=0,protocol=a5+p81", protocol="auto").run(3)
    assert (wire.poller.protocol, wire.poller.found) == ("P81", P81)
    assert wire.poller.diagnosis.text == "OK, with protocol P81; it answers A5, too"
    assert wire.pack.raw("soc") == 573 and wire.pack.raw("state_of_health") is not None


def test_a_board_that_the_first_requests_only_wake_is_read_with_p81_too():
    """It speaks P81 and D2, as many do, and slept through the only request of P81: D2 would be remembered for good."""
    wire = Wire("drift=0,protocol=p81+d2,silent=1", protocol="auto").run(0.7)
    wire.set("silent", "0")
    wire.run(5)
    assert (wire.poller.protocol, wire.poller.found) == ("P81", P81)
    assert wire.poller.diagnosis.text == "OK, with protocol P81; it answers D2, too"
    assert wire.pack.raw("soc") == 573 and wire.pack.raw("state_of_health") is not None


def test_a_remembered_a5_board_is_not_asked_for_p81():
    wire = Wire("drift=0,protocol=a5+p81", protocol="auto", remembered=A5).run(10)
    assert wire.poller.protocol == "A5"


class TwoBoards(Bms):
    """An A5 board, and behind it on the same line one of P81 with more cells."""

    def __init__(self, other="cells=24,soc=20"):
        super().__init__("drift=0,protocol=a5")
        self.other = Bms("drift=0,protocol=p81," + other)

    def receive(self, data, now_us):
        super().receive(data, now_us)
        self.other.receive(data, now_us)

    def transmit(self, now_us):
        return super().transmit(now_us) + self.other.transmit(now_us)


def test_two_boards_on_one_line_are_told_and_the_first_one_is_read():
    wire = Wire("", protocol="auto")
    wire.bms = TwoBoards()
    wire.run(10)
    assert wire.poller.protocol == "A5" and wire.pack.raw("soc") == 573
    assert wire.poller.diagnosis.text.startswith("OK, but a second board answers on this line, with protocol P81")


@pytest.mark.parametrize(("options", "protocol", "other"), [("protocol=p81", "a5", "P81"), ("protocol=a5", "d2", "A5")])
def test_a_protocol_that_is_set_wrong_is_told(options, protocol, other):
    wire = Wire("drift=0," + options, protocol=protocol).run(12)
    assert not wire.poller.online and wire.pack.raw("soc") is None
    assert wire.poller.diagnosis.text == f"The BMS responds only to protocol {other}: correct or remove BMS_PROTOCOL"


@pytest.mark.parametrize("think", [350, 450, 800])
@pytest.mark.parametrize("setting", ["auto", "a5"])
def test_one_that_answers_late_and_only_to_the_second_address_is_found_there(setting, think):
    """Whatever is asked when the answer comes, it is not taken for one to the first address."""
    wire = Wire(f"drift=0,host=0x80,think={think}", protocol=setting)
    taken = set()
    wire.run(30, lambda wire: taken.add(wire.poller.found))
    assert taken == {0, A5_AT_0X80} and wire.poller.online and wire.pack.raw("soc") == 573


@pytest.mark.parametrize("options", ["protocol=p81", "protocol=d2", "protocol=a5"])
def test_one_that_answers_later_than_anything_is_waited_for_is_found_all_the_same(options):
    """Through a serial adapter over Wi-Fi the answer comes while the next protocol is tried."""
    wire = Wire(f"drift=0,think=650,{options}", protocol="auto").run(30)
    assert wire.poller.online and wire.pack.raw("soc") == 573


def test_an_exchanged_board_is_found_and_its_current_has_its_own_sign():
    """An A5 board with its sign turned, later a P81 board in its place: what the first one has taught does not count."""
    wire = Wire("drift=0,current=50", protocol="auto", remembered=A5, polarity=2).run(1)
    wire.bms = Bms("drift=0,protocol=p81,current=50", wire.us)
    wire.run(60)
    assert wire.poller.protocol == "P81"
    assert wire.pack.raw("current") == 500 and wire.pack.polarity.text == "normal"


def test_what_another_protocol_says_of_the_sign_does_not_count_for_a_board_put_in_its_place():
    """The sign of D2 is known; that of an A5 board is not, whatever was read before on this line."""
    wire = Wire("drift=0,protocol=d2,current=50", protocol="auto").run(4)
    assert wire.pack.polarity.text == "normal"
    wire.bms = Bms("drift=0,protocol=a5,current=50", wire.us)
    seen = set()
    wire.run(40, lambda wire: seen.add((wire.poller.protocol, wire.poller.online, wire.pack.polarity.text)))
    assert ("A5", True, "not settled yet") in seen and ("A5", True, "normal") in seen


def test_two_packs_in_parallel_are_not_taken_for_one_board():
    """They have the same voltage and as many cells; the state of charge of this chemistry hardly shows in it."""
    wire = Wire("", protocol="auto")
    wire.bms = TwoBoards("cells=16,soc=62")
    wire.run(10)
    assert wire.poller.protocol == "A5" and wire.pack.raw("soc") == 573
    assert wire.poller.diagnosis.text.startswith("OK, but a second board answers on this line")


# commands while a board that speaks A5 is asked with P81, too


def command_at(wire, is_moment, key):
    """The results of a command given when `is_moment(wire)` is true first, or why it is refused at once."""
    results = []
    given = []
    commands = BatteryCommands(wire.poller, lambda subject, code: results.append(code))

    def watch(wire):
        if not given and is_moment(wire):
            given.append(commands.restart(wire.now) if key == "restart_bms" else commands.switch(key, False, wire.now))
            results.extend(code for code in given if code is not None)
        commands.tick(wire.now)

    wire.run(9, watch)
    assert len(given) == 1
    return results


def is_compared(wire):
    """Whether the request of P81 is what is sent next, but not yet."""
    return wire.poller._compares


@pytest.mark.parametrize("key", ["charge_mosfet", "restart_bms"])
def test_a_command_waits_until_it_is_known_who_else_answers(key):
    """And is then given to the board that is read, never to the one behind it."""
    wire = Wire("", protocol="auto")
    wire.bms = TwoBoards()
    assert command_at(wire, is_compared, key) == ["done"]
    assert [command for _, command, _ in wire.bms.writes] == [0xDA if key == "charge_mosfet" else 0x00]
    assert wire.bms.other.writes == []


@pytest.mark.parametrize("is_moment", [is_compared, lambda wire: wire.poller.found == P81])
def test_a_command_that_the_preferred_protocol_lacks_is_refused_and_breaks_nothing(is_moment):
    wire = Wire("drift=0,protocol=a5+p81", protocol="auto")
    assert command_at(wire, is_moment, "restart_bms") == ["not_in_protocol"]
    assert wire.bms.writes == [] and wire.poller.protocol == "P81"


def test_an_a5_board_in_the_place_of_another_one_teaches_its_own_sign():
    wire = Wire("drift=0,protocol=p81,current=30", protocol="auto").run(3)
    assert wire.poller.protocol == "P81" and wire.pack.polarity.text == "normal"
    wire.bms = Bms("drift=0,protocol=a5,current=1", wire.us)
    wire.run(60)
    assert wire.poller.protocol == "A5" and wire.pack.polarity.text == "not settled yet"


def test_what_is_only_tried_while_the_bms_is_silent_has_not_been_found():
    """It would be remembered, and after a restart the same board would count as another one."""
    wire = Wire("drift=0,protocol=a5", protocol="auto", remembered=A5).run(1)
    wire.set("silent", "1")
    said = set()
    wire.run(80, lambda wire: said.add((wire.poller.found, wire.poller.protocol)))
    assert said == {(A5, "A5")}
    assert 0x00 in {function for at, function in wire.requests if at > 60000}  # P81 and D2 were tried


@pytest.mark.parametrize("wait_ms", range(0, 300, 30))
@pytest.mark.parametrize(("key", "raw"), [("charge_mosfet", 0), ("restart_bms", None)])
@pytest.mark.parametrize("options", ["protocol=a5", "protocol=a5+p81"])
def test_nothing_is_written_with_a_protocol_that_has_not_been_answered(options, key, raw, wait_ms):
    """An A5 board is asked for P81 as soon as it has been read; a command may come just then."""
    wire = Wire("drift=0," + options, protocol="auto")
    while not wire.poller.complete:
        wire.step()
    requests(wire, wait_ms / 1000)
    wire.poller.write(key, raw)
    written = []
    for _ in range(3000):
        spoken = wire.poller.protocol
        request = wire.exchange()
        if request is not None and (request[:2] == b"\x81\x06" or request[2] in (0xD9, 0xDA) or request[:3] == b"\xa5\x40\x00"):
            written.append(request)
            assert request[0] == {"A5": 0xA5, "P81": 0x81}[spoken]
        wire.us += 1000
    assert len(written) == 1 or (wire.poller.protocol == "P81" and key == "restart_bms")  # P81 has none


def test_what_comes_behind_the_end_of_a_try_is_no_response_to_the_next_one():
    """A response of zeros ends the try; what came in one piece with it belongs to the same protocol."""
    poller = Poller(Pack(), protocol="auto")
    now = 0
    while poller.poll(now) is None:
        now += 1
    poller.judge(now)
    good = bytes.fromhex("a50190080084000075300" + "1f4")
    response = bytes.fromhex("a5019008" + "00" * 8 + "3e") + good + bytes([sum(good) & 0xFF])
    poller.receive(response, len(response), now + 40)
    poller.judge(now + 41)
    now += 41
    sent = []
    while not poller.online and len(sent) < 2:
        request = poller.poll(now)
        if request is not None:
            sent.append(request[0])
        now += 1
    assert sent[0] == 0xA5  # it was answered late: it has the next try


# reasons


class Others:
    """A master and its board on a line that echoes: what they say comes with the echo of each of our requests."""

    def __init__(self, frames):
        self._frames = bytes.fromhex(frames)
        self._waiting = b""

    def receive(self, data, now_us):
        self._waiting += data + self._frames

    def transmit(self, now_us):
        sent, self._waiting = self._waiting, b""
        return sent


def test_others_on_a_line_that_echoes_are_told_from_an_echo():
    wire = Wire("", protocol="auto")
    wire.bms = Others("82060122000037cf520601220000245f")
    assert wire.run(10).poller.diagnosis.text.startswith("Other devices talk on this line")
    wire.bms = Others("")
    assert wire.run(20).poller.diagnosis.text.startswith("Only our own requests come back")
