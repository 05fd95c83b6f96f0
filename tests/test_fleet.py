# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make fleet`: the list of bridges, read as spreadsheets write it, and what is made of it. With odd names, and without a
secret in what is said."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mosquitto import Mosquitto, Subscriber, needs_mosquitto, wait_until
from web_workflow import Board

from app.settings import Settings
from tools import drive, fleet, fleet_csv
from tools.settings import line

ROOT = Path(__file__).resolve().parent.parent
HEAD = "id,MQTT_BROKER,CIRCUITPY_WIFI_SSID,CIRCUITPY_WIFI_PASSWORD"
ROW = "cellar-1,broker.example,cellar,wifi-secret"


def read(*rows, head=HEAD):
    return fleet_csv.parse("\r\n".join([head, *rows]) + "\r\n")[0]


def refused(*rows, head=HEAD):
    with pytest.raises(fleet_csv.Wrong) as caught:
        read(*rows, head=head)
    return caught.value.sentences


def make(folder, *rows, head=HEAD):
    folder.mkdir(exist_ok=True)
    return fleet.make(read(*rows, head=head), folder / "fleet", folder)


def settings_of(folder, identity="cellar-1"):
    return Settings((folder / "fleet" / "bridges" / identity / "settings.toml").read_text())


# the list


def test_a_row_is_a_bridge_with_the_settings_of_its_columns():
    (bridge,) = read(ROW)
    assert bridge == (
        2,
        "cellar-1",
        "",
        {"MQTT_BROKER": "broker.example", "CIRCUITPY_WIFI_SSID": "cellar", "CIRCUITPY_WIFI_PASSWORD": "wifi-secret"},
    )


@pytest.mark.parametrize("separator", (";", "\t", ","))
@pytest.mark.parametrize("end", ("\r\n", "\n"))
def test_the_list_may_be_of_any_spreadsheet(tmp_path, separator, end):
    text = end.join([HEAD, "", ROW, ",,,", '"b-2",broker.example,"Müller „Süd""","wifi-secret"', "", ""]).replace(
        ",", separator
    )
    (tmp_path / "list.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    bridges, notes = fleet_csv.read(tmp_path / "list.csv")
    assert [(each.row, each.id) for each in bridges] == [(3, "cellar-1"), (5, "b-2")] and notes == []
    assert bridges[1].settings["CIRCUITPY_WIFI_SSID"] == 'Müller „Süd"'


def test_a_column_that_is_not_in_capitals_is_a_note_and_may_say_anything():
    bridges, notes = fleet_csv.parse(f"{HEAD},Kunde,host\n{ROW},\"=cmd|'/c calc'!A0\nsecond line\",192.0.2.7\n")
    assert notes == ["Kunde"] and bridges[0].host == "192.0.2.7" and "cmd" not in str(bridges)


def test_empty_cells_and_switches_as_a_spreadsheet_writes_them():
    (bridge,) = read(ROW + ",,WAHR,true", head=HEAD + ",MQTT_PORT,OLED,MQTT_TLS")
    assert bridge.settings["OLED"] == "true" and "MQTT_PORT" not in bridge.settings


def test_only_a_switch_is_translated(tmp_path):
    make(tmp_path, "wahr,broker.example,Wahr,wifi-secret,WAHR", head=HEAD + ",OLED")
    settings = settings_of(tmp_path, "wahr")
    assert (settings.identity, settings.CIRCUITPY_WIFI_SSID, settings.OLED) == ("wahr", "Wahr", True)


IDS = (
    "../x",
    "a/b",
    "ä",
    "a b",
    "a.b",
    "+",
    "#",
    "a\\b",
    'a""b',
    "$SYS",
    "x" * 17,
    "telegraf",
    "Installer",
    "con",
    "LPT1",
    "a:b",
)


@pytest.mark.parametrize("identity", IDS)
def test_an_id_that_cannot_be_one_is_refused_with_row_and_column(identity):
    (sentence,) = refused(ROW, f'"{identity}",broker.example,cellar,wifi-secret')
    assert sentence.startswith("row 3, column id: ") and len(sentence) < 160


@pytest.mark.parametrize(
    "cell", ("=cmd|'/c calc'!A0", "@SUM(1)", "+49 171", "-x", "#NAME?", "#WERT!", "#REF!", "#NV", "#N/A", "#NUM!", "#DIV/0!")
)
def test_what_a_spreadsheet_would_compute_is_refused(cell):
    for column, row in (("id", f'"{cell}",b,c,wifi-secret'), ("CIRCUITPY_WIFI_SSID", f'a,b,"{cell}",wifi-secret')):
        (sentence,) = refused(row)
        assert sentence.startswith(f"row 2, column {column}: ") and "spreadsheet" in sentence


def test_a_negative_number_is_no_formula():
    assert read(ROW + ",-300", head=HEAD + ",UTC_OFFSET_MIN")[0].settings["UTC_OFFSET_MIN"] == "-300"


@pytest.mark.parametrize("cell", ("two\nlines", "tab\there", "bell\x07", "line\u2028end", "esc\x1b[2J"))
def test_what_cannot_be_seen_is_refused_and_not_shown(cell):
    (sentence,) = refused(f'a,broker.example,"{cell}",wifi-secret')
    assert sentence.startswith("row 2, column CIRCUITPY_WIFI_SSID: ") and sentence.isprintable()


def test_two_bridges_have_not_one_id_nor_one_address():
    rows = ("cellar-1,b,c,wifi-secret,192.0.2.1", "Cellar-1,b,c,wifi-secret,192.0.2.2", "x,b,c,wifi-secret,192.0.2.1")
    assert refused(*rows, head=HEAD + ",host") == [
        "row 3, column id: Cellar-1 is in row 2 already; every bridge has its own",
        "row 4, column host: 192.0.2.1 is in row 2 already; every bridge has its own",
    ]


def test_every_mistake_is_said_not_only_the_first():
    sentences = refused("../x,b,c,wifi-secret", ",b,c,wifi-secret", 'ok,b,"a\nb",wifi-secret', "ok2,b,c,wifi-secret,more")
    assert [sentence.split(":")[0].split(" has")[0] for sentence in sentences] == [
        "row 2, column id",
        "row 3, column id",
        "row 4, column CIRCUITPY_WIFI_SSID",
        "row 5",
    ]


@pytest.mark.parametrize(
    ("head", "piece"),
    (
        (HEAD.replace("id,", "ID,"), 'no column "id"'),
        (HEAD + ",MQTT_BROKR", 'column "MQTT_BROKR" is not a setting'),
        (HEAD + ",mqtt_port", "in capitals: MQTT_PORT"),
        (HEAD + ",MQTT_BASE_TOPIC", "it is daly/<id>"),
        (HEAD + ",MQTT_RETAIN_STATE", "dead bridge"),
        (HEAD + ",MQTT_USERNAME", "access list"),
        (HEAD + ",MQTT_BROKER", "there twice"),
    ),
)
def test_a_column_that_a_fleet_cannot_have_is_refused_with_the_reason(head, piece):
    assert any(piece in sentence for sentence in refused(ROW + ",1", head=head))


@pytest.mark.parametrize(
    ("data", "piece"),
    (
        (b"", "is empty"),
        (HEAD.encode(), "has no bridge"),
        ((HEAD + "\n" + ROW.replace("cellar,", "M\u00fcller,")).encode("latin-1"), "row 2: it is not UTF-8"),
        ((HEAD + "\n" + ROW).encode("utf-16"), "CSV UTF-8"),
        (b"PK\x03\x04\x00\x00", "CSV UTF-8"),
        ((HEAD + "\n" + 'a,b,"c,d').encode(), "row 2: a quotation mark"),
    ),
)
def test_a_file_that_is_no_list_is_refused(tmp_path, data, piece):
    (tmp_path / "list.csv").write_bytes(data)
    with pytest.raises(fleet_csv.Wrong, match=re.escape(piece)):
        fleet_csv.read(tmp_path / "list.csv")


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text):
    try:
        bridges, _ = fleet_csv.parse(text)
    except fleet_csv.Wrong as error:
        assert error.sentences and all(sentence.isprintable() for sentence in error.sentences)
    else:
        assert bridges


# the folders


def test_a_folder_has_the_settings_that_the_firmware_reads(tmp_path):
    make(tmp_path, ROW + ",60,FALSE,0x3D", head=HEAD + ",UTC_OFFSET_MIN,OLED,OLED_ADDRESS")
    settings = settings_of(tmp_path)
    assert settings.problems == [] and settings.base_topic == "daly/cellar-1" and settings.identity == "cellar-1"
    assert (settings.MQTT_USERNAME, settings.MQTT_TLS, settings.UTC_OFFSET_MIN) == ("cellar-1", True, 60)
    assert settings.OLED is False and settings.OLED_ADDRESS == 0x3D and settings.MQTT_BIRTH_TOPIC == ""
    assert len(settings.MQTT_PASSWORD) == 24


CELLS = (
    'Müller "Süd"',
    "a\\b",
    "back\\\\slash",
    "O'Neill",
    "a,b;c",
    "# hash",
    "100 % $HOME `id`",
    "日本の電池",
    "{id}",
    "'single'",
)


@pytest.mark.parametrize("cell", CELLS)
def test_an_odd_name_arrives_as_it_was_written(tmp_path, cell):
    quoted = cell.replace('"', '""')
    make(tmp_path, f'cellar-1,broker.example,"{quoted}","{quoted} 12345","{quoted} pass"', head=HEAD + ",MQTT_PASSWORD")
    settings = settings_of(tmp_path)
    assert cell == settings.CIRCUITPY_WIFI_SSID and cell + " 12345" == settings.CIRCUITPY_WIFI_PASSWORD
    assert cell + " pass" == settings.MQTT_PASSWORD


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20))
def test_a_text_in_a_line_is_read_back_as_it_was(text):
    assert text == Settings(line("MQTT_PASSWORD", text)).MQTT_PASSWORD


def test_what_the_firmware_would_refuse_is_refused_with_row_and_column_and_nothing_is_written(tmp_path):
    with pytest.raises(fleet_csv.Wrong) as caught:
        make(tmp_path, ROW + ",9601", "b,,c,short,", head=HEAD + ",UART_BAUD_RATE")
    assert [sentence.split(":")[0] for sentence in caught.value.sentences] == [
        "row 2, column UART_BAUD_RATE",
        "row 3, column CIRCUITPY_WIFI_PASSWORD",
        "row 3",
    ]
    assert "MQTT_BROKER" in caught.value.sentences[2] and not (tmp_path / "fleet").exists()
    assert "short" not in str(caught.value)


def test_a_second_run_keeps_the_passwords_and_a_changed_one_is_changed(tmp_path):
    make(tmp_path, ROW, "b,b.example,c,wifi-secret")
    before = [(tmp_path / "fleet/broker" / name).read_bytes() for name in ("users", "users.conf", "secrets.env")]
    said = make(tmp_path, ROW, "b,b.example,c,wifi-secret")
    assert before == [(tmp_path / "fleet/broker" / name).read_bytes() for name in ("users", "users.conf", "secrets.env")]
    assert len(said) == 1
    said = make(tmp_path, ROW + ",another-password", head=HEAD + ",MQTT_PASSWORD")
    users = (tmp_path / "fleet/broker/users").read_text()
    assert settings_of(tmp_path).MQTT_PASSWORD == "another-password" and "\nb:" not in users and not users.startswith("b:")
    assert "No longer in the list, so without access: b." in said[1]


def test_everything_is_readable_by_its_owner_only(tmp_path):
    os.umask(0o022)
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    make(tmp_path, ROW + ",ca.crt", head=HEAD + ",MQTT_CA_FILE")
    files = [file for file in (tmp_path / "fleet").rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"settings.toml", "ca.crt", "users", "acl", "users.conf", "secrets.env"}
    for path in (tmp_path / "fleet").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o700), path


def test_the_certificate_goes_into_the_folder_and_its_name_into_the_settings(tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    make(tmp_path, ROW + ",keys/ca.crt", head=HEAD + ",MQTT_CA_FILE")
    assert settings_of(tmp_path).MQTT_CA_FILE == "ca.crt"
    assert (tmp_path / "fleet/bridges/cellar-1/ca.crt").read_text().startswith("-----BEGIN")
    (tmp_path / "keys" / "no.crt").write_text("x")
    for name, piece in (("keys/gone.crt", "cannot be read"), ("keys/no.crt", "no PEM file")):
        with pytest.raises(fleet_csv.Wrong, match=f"row 2, column MQTT_CA_FILE: .*{piece}"):
            make(tmp_path, ROW + f",{name}", head=HEAD + ",MQTT_CA_FILE")


def test_two_certificates_of_one_name_do_not_become_one(tmp_path):
    for folder, name in (("a", "cert.pem"), ("b", "Cert.pem"), ("b", "key.pem")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(f"-----BEGIN {folder}-----\n")
    head = HEAD + ",MQTT_CA_FILE,MQTT_CERT_FILE,MQTT_KEY_FILE"
    with pytest.raises(fleet_csv.Wrong, match=r"row 2, column MQTT_CERT_FILE: .*another file of this name"):
        make(tmp_path, ROW + ",a/cert.pem,b/Cert.pem,b/key.pem", head=head)
    assert not (tmp_path / "fleet").exists()
    make(tmp_path, ROW + ",b/key.pem,b/key.pem,b/key.pem", head=head)  # one file may be all three


@pytest.mark.parametrize("name", ("settings.toml", "code.py", "SETTINGS.TOML", "boot.py"))
def test_a_certificate_replaces_no_file_of_the_program(tmp_path, name):
    (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(fleet_csv.Wrong, match=r"row 2, column MQTT_CA_FILE: .*rename it"):
        make(tmp_path, ROW + f",{name}", head=HEAD + ",MQTT_CA_FILE")
    assert not (tmp_path / "fleet").exists()


@pytest.mark.slow
def test_no_secret_is_said(tmp_path):
    (tmp_path / "list.csv").write_text(f"{HEAD},MQTT_PASSWORD\n{ROW},canary-password\nb,b.example,c,wifi-secret,\n")
    command = [sys.executable, "-m", "tools.fleet", str(tmp_path / "list.csv"), "--folder", str(tmp_path / "fleet")]
    for text in (
        None,
        f'{HEAD},MQTT_PASSWORD\n../x,b,"wifi\nsecret","canary\npassword",=canary-password\nb,b,c,w-secre,canary\n',
    ):
        if text:
            (tmp_path / "list.csv").write_text(text)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == (1 if text else 0) and "Traceback" not in done.stderr
        made = re.findall(r'PASSWORD = "(.*)"', (tmp_path / "fleet/bridges/b/settings.toml").read_text())
        for secret in (*made, "canary", "wifi-s", "w-secre"):
            assert secret not in done.stdout + done.stderr


# the broker


@needs_mosquitto
def test_mosquitto_takes_the_users_and_the_access_list(tmp_path):
    make(tmp_path, ROW, 'b-2,b.example,c,wifi-secret,"ü:""\\ $x 1"', head=HEAD + ",MQTT_PASSWORD")
    broker_folder = tmp_path / "fleet" / "broker"
    lines = [f"password_file {broker_folder}/users", f"acl_file {broker_folder}/acl"]
    broker = Mosquitto(tmp_path, lines=lines, anonymous=False)
    try:
        others = dict(text.split("=", 1) for text in (broker_folder / "secrets.env").read_text().splitlines())
        installer = Subscriber(broker.port, ("installer", others["INSTALLER_MQTT_PASSWORD"]), "daly/#")
        reader = Subscriber(broker.port, ("telegraf", others["TELEGRAF_MQTT_PASSWORD"]), "daly/#")
        first = Subscriber(broker.port, ("cellar-1", settings_of(tmp_path).MQTT_PASSWORD))
        second = Subscriber(broker.port, ("b-2", 'ü:"\\ $x 1'))
        first.publish("daly/cellar-1/status", "mine")
        second.publish("daly/cellar-1/status", "theirs")
        reader.publish("daly/cellar-1/restart/set", "PRESS")
        assert wait_until(lambda: reader.texts("daly/cellar-1/status") and installer.texts("daly/cellar-1/status"), 10)
        time.sleep(0.3)
        assert installer.received == [("daly/cellar-1/status", "mine", False)] and second.received == []
        for each in (installer, reader, first, second):
            each.stop()
        with pytest.raises(RuntimeError):
            Subscriber(broker.port, ("cellar-1", "another"))
    finally:
        broker.kill()


def test_the_users_of_nats_have_the_rights_of_their_own_topics():
    text = fleet.nats_users({"cellar-1": 'a"\\b'}, {"telegraf": "t", "installer": "i"})
    bridge, telegraf, installer = [row for row in text.splitlines() if row.startswith("  {")]
    assert bridge == (
        '  {user: "cellar-1", password: "a\\"\\\\b", allowed_connection_types: ["MQTT"], '
        'permissions: {publish: ["daly.cellar-1.>"], subscribe: ["daly.cellar-1", "daly.cellar-1.>"]}}'
    )
    assert 'publish: {deny: [">"]}' in telegraf and 'publish: ["daly.>"]' in installer


# the boards


@pytest.mark.slow
def test_a_board_gets_program_and_settings_over_the_network_and_one_that_is_gone_stops_no_other(tmp_path, monkeypatch):
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "boot_out.txt").write_text("Adafruit CircuitPython 10.0.3 on 2026-01-01; x\n")
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    board = Board(tmp_path / "board", password="web-secret")
    said = []
    monkeypatch.setattr(fleet.bundle, "can_compile", lambda: False)
    rows = [
        "gone,b.example,c,wifi-secret,127.0.0.1:9,web-secret,ca.crt",
        f"a,b.example,c,wifi-secret,{board.address},web-secret,ca.crt",
    ]
    rows += ["cable,b.example,c,wifi-secret,,,ca.crt"]
    head = HEAD + ",host,CIRCUITPY_WEB_API_PASSWORD,MQTT_CA_FILE"
    try:
        make(tmp_path, *rows, head=head)
        for name in ("old.key", "settings.toml.new", "notes.txt"):  # of an earlier run, of an interrupted one, yours
            (tmp_path / "fleet/bridges/a" / name).write_text("canary")
        failed = fleet.onto_boards(
            read(*rows, head=head), tmp_path / "fleet", lambda host, word: drive.Web(host, word, 5), said.append
        )
    finally:
        board.close()
    assert failed == 1 and any(sentence.startswith("gone, row 2: not installed: ") for sentence in said)
    assert any(sentence.startswith("cable: no address") for sentence in said) and "secret" not in " ".join(said)
    for name in ("settings.toml", "ca.crt"):
        assert (tmp_path / "board" / name).read_bytes() == (tmp_path / "fleet/bridges/a" / name).read_bytes()
    assert (tmp_path / "board" / "app" / "main.py").exists()
    assert not {"old.key", "settings.toml.new", "notes.txt"} & {path.name for path in (tmp_path / "board").iterdir()}


# who has which version


def test_the_list_of_versions_has_the_oldest_first_and_strangers_last():
    bridges = read(*(f"{name},b,c,wifi-secret" for name in ("new", "old", "never")))
    heard = {"new": {"status": "online", "version": "0.10.0", "ip_address": "192.0.2.1"}, "stranger": {"version": "0.0.1"}}
    heard["old"] = {"status": "offline", "version": "0.9.1"}
    assert fleet.versions(bridges, heard) == [
        ["never", "never heard", "", ""],
        ["old", "offline", "0.9.1", ""],
        ["new", "online", "0.10.0", "192.0.2.1"],
        ["stranger", "", "0.0.1", ""],
    ]


def test_what_a_bridge_says_of_itself_is_obeyed_by_no_terminal_and_no_spreadsheet():
    heard = {"=cmd": {"version": '=HYPERLINK("x")', "status": "\x1b[2Jonline\n", "ip_address": "a,b;c"}}
    (row,) = fleet.versions([], heard)
    assert row[0] == "'=cmd" and row[2].startswith("'=") and all(cell.isprintable() for cell in row)
    assert not set(',;"\n') & set("".join(row))


@needs_mosquitto
def test_versions_are_asked_from_the_broker(tmp_path):
    broker = Mosquitto(tmp_path, ("installer", "i-secret"), ("bridge", "b"))
    try:
        bridge = Subscriber(broker.port, ("bridge", "b"))
        bridge.publish("daly/a/status", "online", retain=True)
        bridge.publish("daly/a/state", json.dumps({"version": "0.1.0", "ip_address": "192.0.2.2"}), retain=True)
        bridge.publish("daly/b/state", "no JSON", retain=True)
        bridge.publish("daly/b/status", "offline", retain=True)
        heard = fleet.ask_versions(f"127.0.0.1:{broker.port}", "i-secret", None, 1.5)
        assert heard == {"a": {"status": "online", "version": "0.1.0", "ip_address": "192.0.2.2"}, "b": {"status": "offline"}}
        bridge.stop()
        with pytest.raises(fleet_csv.Wrong, match="refuses the user installer"):
            fleet.ask_versions(f"127.0.0.1:{broker.port}", "another", None, 3)
    finally:
        broker.kill()
    with pytest.raises(fleet_csv.Wrong, match="cannot be reached"):
        fleet.ask_versions("127.0.0.1:9", "i-secret", None, 1)
