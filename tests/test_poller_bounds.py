# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The bounds of the conversation to the millisecond: noise, age, silence, time-outs, writes. Requests and responses by hand."""

from itertools import cycle

import pytest
from simulation import Wire

from battery.pack import Pack
from battery.readings import READING
from daly.poller import Poller
from daly.timing import Timing

MINUTE = 60000
HOUR = 60 * MINUTE
RESPONSES = {  # one of each block that is polled, of a battery of 3 cells and 1 sensor
    0x90: ["0064000075300226"],
    0x93: ["000101010000c350"],
    0x98: ["0000000000000000"],
    0x94: ["0301000000000000"],
    0x91: ["0d05010d03030000"],
    0x92: ["3c013c0100000000"],
    0x95: ["010d050d040d0300"],
    0x96: ["013c000000000000"],
    0x97: ["0000000000000000"],
}


def frame(function, payload, address=1):
    body = bytes([0xA5, address, function, 8]) + bytes.fromhex(payload)
    return body + bytes([sum(body) & 0xFF])


class Line:
    """A Poller and a board: `responses` as above; functions in `silent` are not answered, those in `changed` otherwise."""

    def __init__(self, **options):
        self.pack = Pack()
        self.poller = Poller(self.pack, protocol="a5", **options)
        self.now = 1000
        self.silent = set()
        self.changed = {}
        self.requests = []  # (ms, function)
        self.think_ms = 20

    def receive(self, data):
        self.poller.receive(data, len(data), self.now)

    def poll(self):
        request = self.poller.poll(self.now)
        if request is None:
            return None
        self.requests.append((self.now, request[2]))
        return request[2]

    def respond(self, function):
        for payload in self.changed.get(function, RESPONSES.get(function, ())):
            self.now += self.think_ms
            self.receive(frame(function, payload))
        self.poller.judge(self.now)

    def run(self, milliseconds, step=5):
        """Let time pass, with a board that responds."""
        end = self.now + milliseconds
        while self.now < end:
            function = self.poll()
            if function is not None and function not in self.silent:
                self.respond(function)
            self.now += step
        return self

    def ask(self, function):
        """Let time pass until this is requested, and leave it unanswered."""
        while True:
            requested = self.poll()
            if requested == function:
                return self
            if requested is not None:
                self.respond(requested)
            self.now += 1

    def since(self, begun, function=None):
        return [at - begun for at, other in self.requests if at >= begun and function in (None, other)]


STATUS_OFF = "000001010000c350"  # the charge MOSFET is off


def is_doubtful(line):
    """Whether a change must be confirmed; everything is read as before afterwards."""
    line.changed[0x93] = [STATUS_OFF]
    line.ask(0x93).respond(0x93)
    doubtful = line.pack.raw("charge_mosfet") == 1
    del line.changed[0x93]
    for _ in range(3):
        line.ask(0x93).respond(0x93)
    assert line.pack.raw("charge_mosfet") == 1
    return doubtful


def test_a_line_is_clean_at_first():
    assert not is_doubtful(Line().run(3000))


@pytest.mark.parametrize(("after", "doubtful"), [(1000, True), (HOUR // 2, True), (HOUR - 10000, True), (HOUR + 1000, False)])
def test_a_damaged_frame_makes_the_line_a_doubtful_one_for_an_hour(after, doubtful):
    line = Line().run(3000)
    line.receive(frame(0x90, "0064000075300226")[:12] + b"\x00")
    line.run(100)
    line.now += after - 100
    line.poller.poll(line.now)
    line.run(5000)
    assert is_doubtful(line) == doubtful


def test_a_jump_that_is_not_confirmed_makes_it_one_too():
    line = Line().run(3000)
    line.changed[0x90] = ["0064000075300320"]  # from 55 % to 80 %
    line.ask(0x90).respond(0x90)
    del line.changed[0x90]
    line.ask(0x90).respond(0x90)
    assert line.pack.raw("soc") == 550 and line.pack.glitches == 1
    assert is_doubtful(line)


def test_what_is_read_once_must_be_confirmed_on_a_clean_line_too():
    line = Line()
    RATED = ["000445c000000c80"]
    line.changed[0x50] = RATED
    line.ask(0x50).respond(0x50)
    assert line.pack.raw("rated_capacity") is None
    line.ask(0x50).respond(0x50)
    assert line.pack.raw("rated_capacity") == 280000
    line.run(10000)
    assert len(line.since(0, 0x50)) == 2


# age


def expiry(line, function, key):
    """ms from the last response to the block until its reading is unknown; everything else is answered."""
    line.ask(function).respond(function)
    begun = line.now
    line.silent.add(function)
    while line.pack.raw(key) is not None:
        line.run(20)
        assert line.now - begun < 60000
    return line.now - begun


@pytest.mark.parametrize(
    ("function", "key", "limit"),
    [(0x90, "soc", 3080), (0x93, "heartbeat", 3290), (0x96, "temperature_{}", 4000), (0x94, "cell_count", 15000),
     (0x92, "max_temperature", 15000)],
)  # fmt: skip
def test_a_reading_is_forgotten_after_three_periods_at_least_its_period_and_3_s(function, key, limit):
    assert limit <= expiry(Line().run(12000), function, key) <= limit + 900


def test_a_setting_changes_the_number_of_periods():
    assert 25000 <= expiry(Line(stale_periods=5).run(12000), 0x94, "cell_count") <= 25900
    assert 8000 <= expiry(Line(stale_periods=1).run(12000), 0x94, "cell_count") <= 8900


def test_what_is_read_once_does_not_expire():
    line = Line()
    line.changed[0x50] = ["000445c000000c80"]
    line.run(10000)
    line.silent.add(0x50)
    line.run(60000)
    assert line.pack.raw("rated_capacity") == 280000


def test_the_counters_expire_with_the_power():
    line = Line()
    line.pack.energy.load([1, 2, 3, 4])
    line.run(5000)
    assert line.pack.raw("energy_charged") == 1
    assert 3080 <= expiry(line, 0x90, "energy_charged") <= 3080 + 900


@pytest.mark.parametrize(("period", "longest"), [(80, 5000), (1000, 5000), (2000, 6000), (20000, 60000)])
def test_energy_is_counted_over_gaps_of_5_s_or_while_the_power_is_known(period, longest):
    line = Line(periods={"POLL_PACK_MS": period}).run(3000)
    meter = line.pack.energy
    meter.load([0, 0, 0, 0])
    before, at = meter.total("energy_charged"), line.now + 1000
    for counted, step in ((True, longest), (False, longest + 1)):
        meter.pause()
        meter.take(10_000_000, 15000, at)  # 100 kW
        meter.take(10_000_000, 15000, at + step)
        assert (meter.total("energy_charged") > before) == counted
        before, at = meter.total("energy_charged"), at + step + 1000


# silence


def test_the_bms_is_gone_after_five_timeouts_and_three_seconds():
    line = Line().run(12000)
    begun = line.poller.last_response
    timeouts = line.poller.timeouts
    line.silent.update(RESPONSES)
    while line.poller.online:
        line.run(1, 1)
    assert 3000 <= line.now - begun < 3200 and line.poller.timeouts - timeouts > 5
    assert line.pack.raw("soc") is None


def test_with_long_timeouts_it_takes_five_of_them():
    line = Line()
    line.think_ms = 700
    line.run(6 * MINUTE)
    for late in range(6):
        line.ask(0x90)
        line.now += 1000 + late
        line.respond(0x90)
    timeouts = line.poller.timeouts
    line.silent.update(RESPONSES, (0x50, 0x53, 0x57, 0x62, 0x63))
    begun = line.poller.last_response
    while line.poller.online:
        line.run(1, 1)
    assert line.poller.timeouts - timeouts >= 5
    assert line.now - begun >= 3000


def test_noise_for_three_seconds_does_not_send_a_bms_away_that_still_responds():
    line = Line().run(12000)
    line.silent.update(set(RESPONSES) - {0x90})
    line.run(20000)
    assert line.poller.online and line.pack.raw("soc") == 550


# time-outs and repeats


def test_a_response_comes_within_300_ms_at_first():
    line = Line(host_address=0x40).ask(0x90)
    begun = line.now
    while line.poll() is None:
        line.now += 1
    assert line.now - begun == 300


def test_a_line_that_is_never_quiet_is_not_waited_for_longer_than_300_ms():
    line = Line(host_address=0x40).ask(0x90)
    line.now += 300
    assert line.poller.timeouts == 0
    begun = line.now
    for _ in range(1000):
        line.receive(b"\xff")
        if line.poll() is not None:
            break
        line.now += 1
    assert 290 <= line.now - begun <= 301


def test_the_next_frame_of_a_response_comes_within_100_ms_though_the_line_is_not_quiet():
    line = Line().run(5000)
    line.changed[0x94] = ["0901000000000000"]
    line.ask(0x94).respond(0x94)
    line.ask(0x94).respond(0x94)
    assert line.pack.topology["cell_count"] == 9
    line.ask(0x95)
    line.now += 20
    line.receive(frame(0x95, "010d050d040d0300"))
    line.poller.timing = Timing(1)  # with a gap of 0, which is tried now and then, quiet is not waited for
    begun = line.now
    while line.poll() is None:
        line.now += 1
        line.receive(b"\xff")
    assert 398 <= line.now - begun <= 402  # 100 for the frame, then 300 for quiet


def test_a_damaged_response_is_requested_again_immediately_but_twice_at_most():
    line = Line().run(5000)
    line.ask(0x93)
    functions = []
    for _ in range(4):
        line.now += 20
        line.receive(b"\xff" * 13)
        while (function := line.poll()) is None:
            line.now += 1
        functions.append(function)
        if function != 0x93:
            break
    assert functions[:2] == [0x93, 0x93] and functions[2] != 0x93


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_damaged_responses_do_not_make_the_board_a_slow_one(seed):
    wire = Wire(f"protocol=p81,corrupt=5,seed={seed},drift=0", protocol="p81")
    longest = 0
    for _ in range(60):
        longest = max(longest, wire.run(1).poller.timing.timeout_ms)
    assert wire.poller.timeouts > 10 and longest < 300


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("protocol", ["a5", "p81", "d2"])
def test_lost_responses_do_not_make_the_board_a_slow_one(protocol, seed):
    """Where one in five was lost P81 and D2 had a time-out of 1.5 s for 20 s at a time, and A5 a gap of 250 ms."""
    wire = Wire(f"protocol={protocol},drop_frame=20,seed={seed},drift=0", protocol=protocol).run(5)
    longest = silent = 0

    def watch(wire):
        nonlocal longest, silent
        longest = max(longest, wire.poller.timing.timeout_ms)
        silent = max(silent, wire.now - wire.poller.last_response)

    wire.run(60, watch)
    assert wire.poller.timeouts > 60 and longest < 300 and silent < 1200 and wire.poller.timing.gap_ms < 5


def test_what_failed_before_a_response_does_not_name_the_reason_of_a_silence_after_it():
    line = Line().run(60000)  # what this board does not have has been given up
    for _ in range(8):
        line.ask(0x93)
        line.now += 20
        line.receive(b"\xff" * 13)
        line.run(500)
    line.silent.update(RESPONSES)
    line.poller.timing.timeout_ms = 700  # of a slow board: few requests in the seconds until it counts as gone
    line.run(9000)
    assert not line.poller.online and line.poller.diagnosis.asleep


def test_a_lost_response_is_not():
    line = Line().run(5000)
    line.ask(0x93)
    line.now += 400
    assert line.poll() != 0x93


# late


def test_a_response_to_a_request_that_has_timed_out_is_late_up_to_1500_ms():
    for delay, is_late in ((1400, True), (1800, False)):
        line = Line().run(30000)
        line.ask(0x92)
        begun = line.now
        while line.now - begun < delay:
            function = line.poll()
            if function is not None:
                line.respond(function)
            line.now += 5
        line.receive(frame(0x92, RESPONSES[0x92][0]))
        assert (line.poller.late, line.poller.unexpected) == (int(is_late), int(not is_late)), delay


# writes


def test_before_a_write_the_line_rests_for_200_ms_and_for_150_after_it():
    line = Line().run(5000)
    line.ask(0x90).respond(0x90)
    begun = line.now
    line.poller.write("charge_mosfet", 0)
    while line.poll() is None:
        line.now += 1
    assert line.requests[-1] == (begun + 200, 0xDA) and line.poller.written_at == begun + 200
    line.now += 1
    while line.poll() is None:
        line.now += 1
    assert 150 <= line.now - begun - 200 <= 151 and line.requests[-1][1] != 0xDA
    assert len(line.since(0, 0xDA)) == 1


def test_a_line_that_is_never_quiet_is_not_waited_for_before_a_write_either():
    line = Line().run(5000)
    line.ask(0x90).respond(0x90)
    begun = line.now
    line.poller.write("charge_mosfet", 0)
    while line.poll() is None:
        line.receive(b"\xff")
        line.now += 1
        assert line.now - begun < 1000
    assert line.requests[-1][1] == 0xDA and 300 <= line.now - begun <= 302


def test_a_write_that_was_cancelled_or_waits_for_a_bms_that_is_gone_is_never_sent():
    line = Line().run(5000)
    line.poller.write("charge_mosfet", 0)
    line.poller.cancel_write()
    line.run(3000)
    assert line.since(0, 0xDA) == []
    line.silent.update(RESPONSES)
    line.run(4000)
    assert not line.poller.online
    line.silent.clear()
    line.run(3000)
    assert line.poller.online and line.since(0, 0xDA) == []


def test_a_write_that_waits_when_the_bms_counts_as_gone_is_forgotten():
    def silent():
        line = Line().run(5000)
        line.silent.update(RESPONSES)
        return line

    line = silent()
    while line.poller.online:
        line.run(1, 1)
    gone_at = line.now - 1
    line = silent()
    while line.now < gone_at:
        line.run(1, 1)
    line.poller.write(0xDA, bytes(8))
    line.run(1, 1)
    assert not line.poller.online and line.since(0, 0xDA) == []
    line.silent.clear()
    line.run(5000)
    assert line.poller.online and line.since(0, 0xDA) == []


def test_a_response_with_a_frame_missing_is_no_silence():
    """A board whose frames get lost now and then is not said to lack a function."""
    line = Line()
    line.changed[0x57] = ["0241314232433344"]  # one of five
    line.run(30000)
    assert 0x57 not in line.poller.diagnosis.unsupported


@pytest.mark.parametrize("pauses", [(1,), (10,), (30,), (25, 60), (60, 20), (20, 30, 40)])
def test_old_readings_are_looked_for_as_often_however_the_passes_fall(pauses, monkeypatch):
    """All blocks within 0.4 s in the mean: a look that is late makes the next one no later."""
    pack = Pack()
    poller = Poller(pack)
    counter = READING["energy_charged"]
    rounds = []
    monkeypatch.setattr(pack, "expire", lambda row, _before: rounds.append(now) if row is counter else None)
    now = 0
    for pause in cycle(pauses):
        poller.poll(now)
        now += pause
        if now > 30000:
            break
    assert len(rounds) >= 30000 / 400


@pytest.mark.parametrize("damage", ["corrupt=25", "cut=25", "corrupt=45"])
@pytest.mark.parametrize("protocol", ["a5", "p81", "d2"])
def test_on_a_line_that_returns_requests_a_damaged_response_is_none_that_is_missing(protocol, damage):
    """Its echo is heard as well, but it is no request that the board ignores: nothing is given up, and no gap is needed."""
    wire = Wire(f"protocol={protocol},{damage},echo=1,seed=3,drift=0", protocol=protocol)
    longest = 0
    for _ in range(60):
        longest = max(longest, wire.run(1).poller.timing.gap_ms)
    assert wire.poller.timeouts > 40 and longest < 50
    assert "does not support" not in wire.poller.diagnosis.text


# on a line that returns every request, a request that is ignored leaves its echo


def test_what_a_board_does_not_support_is_given_up_on_a_line_that_returns_requests():
    wire = Wire("drift=0,echo=1,mute=0x93").run(20)
    begun = len(wire.requests)
    wire.run(20)
    assert [function for _, function in wire.requests[begun:]].count(0x93) <= 1
    assert wire.poller.diagnosis.text == "OK, but this BMS does not support 0x93: those readings stay unknown"
