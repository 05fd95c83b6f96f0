# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""A recording plays back what was recorded: the same readings, the same damage, the same trouble in words."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from masters import ask_program
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from processes import host_without_screen
from simulation import Wire, only

from app.diagnostics import Diagnostics
from app.settings import Settings
from battery.json import Writer, write_pack
from simulator.replay import SESSION_S, Player, read

ROOT = Path(__file__).parent.parent
FRAMES = ROOT / "tests" / "data" / "frames.jsonl"
REQUEST_90 = bytes.fromhex("a540900800000000000000007d")


def recorded(options, seconds=6, **poller_options):
    """(the diagnostics of a bridge with this BMS as text, its wire)."""
    wire = Wire(options, **poller_options).run(seconds)
    loop = SimpleNamespace(failures=0, last_failure=None)
    diagnostics = Diagnostics(Settings(""), only(wire.pack, wire.poller), lambda now: (("uptime", 1),), loop)
    return diagnostics.json(wire.now).decode(), wire


def played(path, seconds=6, **poller_options):
    """The wire of another bridge, with the recording at its end."""
    wire = Wire(**poller_options)
    wire.bms = Player(read(path))
    return wire.run(seconds)


def published(pack):
    """All that would be published of a pack."""
    return json.loads(write_pack(Writer(), pack).bytes())


def asked(player, request, at_us=0.0):
    """What a player answers: (bytes, when the last was out, in ms)."""
    player.receive(request, at_us)
    said, end = b"", at_us
    while (due := player.next_us()) is not None:
        said, end = said + player.transmit(due), due
    return said, (end - at_us) / 1000


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "recording"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "options", ["", "cells=8,temperatures=1,current=40", "host=0x80,think=60", "zero_based=1", "corrupt1=5"]
)
def test_diagnostics_give_the_same_readings_again(file, options):
    text, wire = recorded("drift=0," + options, 20)  # until all static data has been read
    again = played(file(text)).pack
    for key in ("pack_voltage", "current", "soc", "mode", "remaining_capacity", "cell_count", "problem"):
        assert again.raw(key) == wire.pack.raw(key) is not None, key
    assert [again.raw("cell_{}_voltage", n) for n in range(1, 9)] == [wire.pack.raw("cell_{}_voltage", n) for n in range(1, 9)]


@pytest.mark.parametrize("options", ["silent=1", "asleep=1", "host=0x80", "board=3"])
def test_diagnostics_give_the_same_trouble_again(file, options):
    text, wire = recorded(options, 20)
    assert played(file(text), 20).poller.diagnosis.text == wire.poller.diagnosis.text
    assert json.loads(text)["connection"] == wire.poller.diagnosis.text


def test_the_pace_is_the_recorded_one(file):
    text, _ = recorded("drift=0,think=70")
    _, took_ms = asked(Player(read(file(text))), REQUEST_90)
    assert 13.5 + 70 + 13.5 - 1 <= took_ms <= 13.5 + 70 + 13.5 + 4


def test_damage_is_played_as_it_was(file):
    text, _ = recorded("corrupt1=60,seed=5")
    damaged = {line.split()[2] for line in json.loads(text)["frames"] if line.split()[1] == "!"}
    recording = read(file(text))
    kept = {said.hex() for found in recording.sessions[0].functions.values() for one in found for _, said in one.frames}
    assert damaged and damaged & kept
    player = Player(recording)
    said = b"".join(asked(player, REQUEST_90, 1e6 * n)[0] for n in range(20))
    here = {frame.hex() for one in recording.sessions[0].functions[0x90] for _, frame in one.frames}
    assert here and all(bytes.fromhex(frame) in said for frame in here)


def test_the_form_of_before_is_read_as_well(file):
    """Files that were sent before 0.1.0 begin with "support"."""
    text, _ = recorded("")
    log = "-> daly/x/diagnostics "  # the frames are found in any text; settings and readings only in the JSON
    old, new = read(file(log + text.replace('{"diagnostics":1', '{"support":1', 1))), read(file(log + text))
    assert old.settings == new.settings != {} and old.generated == new.generated


@pytest.mark.parametrize("spoil", [
    lambda text: "09:02:02.437 -> daly/x/diagnostics " + text + "\n09:02:03.000 something else\n",
    lambda text: "\n".join(textwrap.wrap(text, 71, break_long_words=True, drop_whitespace=False)),
    lambda text: json.dumps(json.loads(text), indent=2),
    lambda text: text[: text.rindex('"')],
    lambda text: "\ufeff" + text.replace("\n", "\r\n"),
])  # fmt: skip
def test_diagnostics_are_found_however_they_were_sent(file, spoil):
    text, _ = recorded("")
    whole, spoilt = read(file(text)), read(file(spoil(text)))
    asked_for = {command for command in whole.sessions[0].functions if command not in whole.generated}
    assert asked_for <= spoilt.sessions[0].functions.keys()
    assert spoilt.sessions[0].functions[0x90] == whole.sessions[0].functions[0x90]


def test_what_no_frame_has_is_answered_from_the_readings(file):
    text, wire = recorded("drift=0,balancing=3+16,temperature=-7", 12)
    bundle = json.loads(text)
    bundle["frames"] = [line for line in bundle["frames"] if line.split()[2][4:6] in ("90", "93", "98")]
    again = published(played(file(json.dumps(bundle)), 12).pack)
    assert again == published(wire.pack)
    assert again["cell_count"] == 16 and again["production_date"] and again["cell_3_balancing"] == "ON"
    assert read(file(json.dumps({**bundle, "readings": {}}))).generated == []


def test_occurrences_take_turns(file):
    path = file("A5 01 90 08 02 0C 00 00 75 30 01 F4 E6\n# a second one\n\na501900802" + "0d0000753001f5e8\n")
    first, second = (bytes.fromhex(line.replace(" ", "")) for line in path.read_text().splitlines()[::3])
    player = Player(read(path))
    assert [asked(player, REQUEST_90, 1e6 * n)[0] for n in range(3)] == [first, second, first]
    assert asked(player, REQUEST_90[:2] + b"\x91" + REQUEST_90[3:-1] + b"\x7e", 4e6)[0] == b""


def test_bursts_stay_whole(file):
    frames = [json.loads(line) for line in FRAMES.read_text().splitlines()]
    burst = [frame["hex"] for frame in frames if frame.get("session") == "dsf21898" and frame["hex"][:6] == "a50195"]
    player = Player(read(file("\n".join(burst * 2))))
    request = bytes.fromhex("a5409508000000000000000082")
    assert [asked(player, request, 1e6 * n)[0].hex() for n in range(2)] == ["".join(burst)] * 2


def test_the_recorded_frames_are_played_pack_by_pack():
    recording = read(FRAMES)
    assert len(recording.sessions) > 5 and recording.sessions[0].name == "dsf21898"
    wire = played(FRAMES, SESSION_S - 1)
    assert wire.pack.raw("cell_count") == 14 and wire.pack.raw("pack_voltage") == 528
    assert wire.run(SESSION_S + 15).pack.raw("pack_voltage") != 528


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no frames"),
        ("# nothing\n\n", "holds no frames"),
        ("a501\nhello\n", "line 2"),
        ("{}\n", "line 1"),
        ('{"hex": 5}', "line 1"),
        ('{"hex": "a5"', "line 1"),
        ('{"diagnostics":1,"frames":[]}', "line 1"),
        ("\x00\xff" * 50, "line 1"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_in_a_sentence(file, text, says):
    with pytest.raises(ValueError, match="recording") as caught:
        read(file(text))
    assert says in str(caught.value) and "\n" not in str(caught.value)


LINES = st.sampled_from(
    ["-5000 > a540900800000000000000007d", "-4900 < a50190080210", "{", '{"diagnostics":1}', "a5019008", ""]
)


@given(
    st.one_of(st.text(max_size=300), st.lists(LINES, max_size=8).map("\n".join)), st.lists(st.binary(max_size=40), max_size=5)
)
def test_no_file_and_no_request_raises_anything_else(tmp_path_factory, text, requests):
    path = tmp_path_factory.mktemp("any") / "recording"
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        player = Player(read(path))
    except ValueError:
        return
    for request in [*requests, REQUEST_90]:
        asked(player, request)


# as programs


def test_on_a_serial_line(file):
    heard = ask_program([sys.executable, "-m", "simulator.replay", file(FRAMES.read_text())], REQUEST_90, 13)
    assert heard[:3] == b"\xa5\x01\x90" and len(heard) == 13


def test_what_is_in_a_file_is_described_for_other_programs(file):
    text, _ = recorded("drift=0,board=3", board_number=3)
    command = [sys.executable, "-m", "simulator.replay", "--describe", str(file(text))]
    described = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120).stdout)
    assert described["summary"].startswith("responses to 0x50") and described["settings"]["BMS_CELL_COUNT"] == 0


@pytest.mark.parametrize(("arguments", "says"), [
    (["--replay", "/nope"], "/nope"),
    (["--replay", "/etc/passwd"], "no frame"),
    (["--replay", FRAMES, "--bms", "cells=4"], "exclude each other"),
    (["--replay", FRAMES, "--uart", "/dev/null"], "exclude each other"),
])  # fmt: skip
def test_bad_input_is_one_sentence(arguments, says):
    done = subprocess.run(
        [sys.executable, "-m", "host", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


@needs_mosquitto
def test_somebodys_problem_is_seen_at_home(tmp_path, file):
    text, _ = recorded("drift=0,board=3,soc=12.5,alarms=soc_low_1", board_number=3)
    bundle = json.loads(text)
    bundle["settings"].update(BMS_BOARD_NUMBER=3, CURRENT_SIGN='auto"\nMQTT_BASE_TOPIC = "stolen')
    path = file(json.dumps(bundle))
    broker = Mosquitto(tmp_path)
    subscriber = Subscriber(broker.port)
    (tmp_path / "settings.toml").write_text('MQTT_BASE_TOPIC = "b"\n')
    command = host_without_screen(tmp_path / "settings.toml", broker.port, "--replay", path)
    with (tmp_path / "log").open("w") as log:
        host = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        assert wait_until(lambda: subscriber.latest("b/bms1/status") == "online", 15)
    finally:
        host.terminate()
        host.wait(60)
        subscriber.stop()
        broker.kill()
    state = json.loads([text for text in subscriber.texts("b/bms1/state") if json.loads(text)["soc"] is not None][-1])
    assert state["soc"] == 12.5 and "State of charge low" in state["active_alarms"] and state["cell_count"] == 16
    printed = (tmp_path / "log").read_text()
    assert "BMS_BOARD_NUMBER = 3" in printed and "stolen" not in printed
