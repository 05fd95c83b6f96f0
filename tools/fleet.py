# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""From a list of bridges to their settings and to the broker's users: docs/FLEET.md.

    make fleet CSV=bridges.csv               a folder for each row, and the files of the broker, in fleet/
    make fleet CSV=bridges.csv INSTALL=1     the same, and onto the boards over the network: column host
    make fleet CSV=bridges.csv VERSIONS=broker.example CA=ca.crt    who is online with which version

Run it as often as you like: passwords that it has made are kept. No password is printed or on a command line.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import secrets
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as paho

from tools import bundle, drive, install, settings
from tools.fleet_csv import RESERVED, Bridge, Wrong, read

FOLDER = Path("fleet")
ACCESS = bundle.ROOT / "deploy" / "one-machine" / "mosquitto" / "acl"
ROUNDS = 101  # of PBKDF2, mosquitto_passwd's own; our passwords are random, and ten thousand bridges come back at once
LISTEN_S = 5  # retained messages are there at once
UNHEARD = "never heard"


def make(bridges: list[Bridge], folder: Path, source: Path) -> list[str]:
    """Write everything below `folder`; `source` is where names of certificates count from. Returns sentences. Raises Wrong."""
    texts, copies, wrong = {}, {}, []
    for bridge in bridges:
        mine = folder / "bridges" / bridge.id
        password = bridge.settings.get("MQTT_PASSWORD") or _password_in(mine / bundle.SETTINGS) or secrets.token_urlsafe(18)
        values = with_defaults(bridge, password)
        certificates, objections = _certificates(bridge, source)
        wrong += objections
        copies[bridge.id] = certificates
        for key, name in _names(bridge, certificates).items():
            values[key] = name
        texts[bridge.id] = "".join(settings.line(key, value) + "\n" for key, value in values.items())
        wrong += _objections(bridge, texts[bridge.id])
    if wrong:
        raise Wrong(wrong)
    for bridge in bridges:
        mine = folder / "bridges" / bridge.id
        write(mine / bundle.SETTINGS, texts[bridge.id].encode())
        for name, data in copies[bridge.id].items():
            write(mine / name, data)
    users = {bridge.id: settings.parse(texts[bridge.id])[0]["MQTT_PASSWORD"].value for bridge in bridges}
    others = _other_users(folder / "broker" / "secrets.env")
    write(
        folder / "broker" / "secrets.env",
        "".join(f"{name.upper()}_MQTT_PASSWORD={word}\n" for name, word in others.items()).encode(),
    )
    write(folder / "broker" / "users", mosquitto_users(users | others, folder / "broker" / "users").encode())
    write(folder / "broker" / "acl", ACCESS.read_bytes())
    write(folder / "broker" / "users.conf", nats_users(users, others).encode())
    listed = {path.name for path in (folder / "bridges").iterdir()} - users.keys()
    said = [f"{len(bridges)} bridges in {folder}/bridges; users and access list of the broker in {folder}/broker."]
    if listed:
        said.append(f"No longer in the list, so without access: {', '.join(sorted(listed))}. Their folders are still there.")
    return said


def with_defaults(bridge: Bridge, password: str) -> dict[str, str]:
    """The settings of a bridge, the id and what a fleet wants first: TLS, and nothing of Home Assistant."""
    values = {"BRIDGE_ID": bridge.id, "MQTT_USERNAME": bridge.id, "MQTT_PASSWORD": password, "MQTT_TLS": "true"}
    values["MQTT_BIRTH_TOPIC"] = ""
    if settings.is_setting("MQTT_DISCOVERY"):
        values["MQTT_DISCOVERY"] = "false"
    return values | bridge.settings


def write(path: Path, data: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    for folder in reversed(path.parents):
        folder.mkdir(exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    os.replace(new, path)


def _password_in(path: Path) -> str | None:
    """The password of the bridge's settings of an earlier run."""
    try:
        return settings.parse(path.read_text())[0]["MQTT_PASSWORD"].value or None
    except (OSError, UnicodeDecodeError, KeyError):
        return None


FILES = ("MQTT_CA_FILE", "MQTT_CERT_FILE", "MQTT_KEY_FILE")


def _certificates(bridge: Bridge, source: Path) -> tuple[dict[str, bytes], list[str]]:
    """({name on the drive: contents}, objections)."""
    found: dict[str, bytes] = {}
    wrong: list[str] = []
    paths: dict[str, Path] = {}  # by the name on the drive, which does not tell capitals
    for key in FILES:
        if key in bridge.settings:
            path = source / bridge.settings[key]
            try:
                data = path.read_bytes()
            except OSError as error:
                wrong.append(
                    f"row {bridge.row}, column {key}: {path} cannot be read ({error.strerror}); name it from the list on"
                )
                continue
            if b"-----BEGIN " not in data:
                wrong.append(f"row {bridge.row}, column {key}: {path} is no PEM file: it has no line -----BEGIN")
            if path.suffix.lower() in (".toml", ".py", ".mpy"):
                wrong.append(f"row {bridge.row}, column {key}: the board has a file {path.name} of another kind; rename it")
            if paths.setdefault(path.name.lower(), path) != path:
                wrong.append(
                    f"row {bridge.row}, column {key}: there is another file of this name, {path.name}, and both go into one "
                    "folder; rename one"
                )
            found[path.name] = data
    return found, wrong


def _names(bridge: Bridge, certificates: dict[str, bytes]) -> dict[str, str]:
    names = {key: Path(bridge.settings[key]).name for key in FILES if key in bridge.settings}
    return {key: name for key, name in names.items() if name in certificates}


def _objections(bridge: Bridge, text: str) -> list[str]:
    """What the firmware itself would object to, with row and column."""
    keys = [line.partition(" ")[0] for line in text.splitlines()]
    wrong = []
    for sentence in settings.problems(text):
        found = re.match(rf"{bundle.SETTINGS} line (\d+): (.*)", sentence, re.DOTALL)
        column = f", column {keys[int(found[1]) - 1]}" if found else ""
        wrong.append(f"row {bridge.row}{column}: {(found[2] if found else sentence).rstrip('.')}")
    return wrong


def _other_users(path: Path) -> dict[str, str]:
    """The passwords of Telegraf and of the installer: those of an earlier run, or new ones."""
    before = {}
    if path.exists():
        before = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {name: before.get(f"{name.upper()}_MQTT_PASSWORD") or secrets.token_urlsafe(18) for name in RESERVED}


def mosquitto_users(users: dict[str, str], before: Path | None = None) -> str:
    """A password file of mosquitto; the lines of unchanged passwords stay as they are in the file `before`."""
    old = {}
    if before is not None and before.exists():
        old = dict(line.split(":", 1) for line in before.read_text().splitlines() if ":" in line)
    lines = []
    for name, password in users.items():
        hashed = old.get(name, "")
        lines.append(f"{name}:{hashed if _is_of(password, hashed) else _hashed(password, secrets.token_bytes(12))}\n")
    return "".join(lines)


def _hashed(password: str, salt: bytes) -> str:
    """$7$: PBKDF2 with SHA-512, 64 bytes, as mosquitto_passwd of 2.0 and 2.1 writes it."""
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def _is_of(password: str, hashed: str) -> bool:
    parts = hashed.split("$")
    return len(parts) == 5 and secrets.compare_digest(_hashed(password, base64.b64decode(parts[3])), hashed)


def nats_users(bridges: dict[str, str], others: dict[str, str]) -> str:
    """users.conf of deploy/cluster. Passwords stand in it as they are: with bcrypt a node would need minutes of its processor
    for ten thousand bridges that come back at once; who can read the file is the node's administrator anyway."""
    rights = {name: f'publish: ["daly.{name}.>"], subscribe: ["daly.{name}", "daly.{name}.>"]' for name in bridges}
    # daly/# is two subjects there: daly, and what is below it
    rights["telegraf"] = 'publish: {deny: [">"]}, subscribe: ["daly", "daly.>", "$MQTT.sub.>"]'
    rights["installer"] = 'publish: ["daly.>"], subscribe: ["daly", "daly.>", "$MQTT.sub.>"]'
    kinds = 'allowed_connection_types: ["MQTT"]'
    lines = [
        f'  {{user: "{name}", password: {_nats_text(password)}, {kinds}, permissions: {{{rights[name]}}}}}'
        for name, password in (bridges | others).items()
    ]
    return "# Made by `make fleet`: change the list of bridges, not this.\nusers: [\n" + "\n".join(lines) + "\n]\n"


def _nats_text(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# --- onto the boards ---


def onto_boards(bridges: list[Bridge], folder: Path, connect: Callable, report=print) -> int:
    """Install program and settings on every board that has an address; returns how many failed, each with a sentence."""
    files = bundle.everything(bundle.can_compile())
    failed = 0
    for bridge in bridges:
        if not bridge.host:
            report(f"{bridge.id}: no address in column host; copy {folder}/bridges/{bridge.id} onto its drive by cable.")
            continue
        try:
            board = connect(bridge.host, bridge.settings.get("CIRCUITPY_WEB_API_PASSWORD", ""))
            install.install(board, files, lambda sentence, bridge=bridge: report(f"{bridge.id}: {sentence}"))
            mine = folder / "bridges" / bridge.id  # what lies there of an earlier list stays there
            names = [Path(bridge.settings[key]).name for key in FILES if key in bridge.settings]
            for name in [*dict.fromkeys(names), bundle.SETTINGS]:  # settings.toml last: it names the others
                _replace(board, name, (mine / name).read_bytes())
            report(f"{bridge.id}: settings written; the board restarts by itself.")
        except drive.Refused as error:
            failed += 1
            report(f"{bridge.id}, row {bridge.row}: not installed: {str(error).rstrip('.')}.")
    return failed


def _replace(board, name: str, data: bytes) -> None:
    if board.read(name) != data:
        board.write(name + ".new", data)
        board.rename(name + ".new", name)


def _web(host: str, password: str):
    if not password:
        raise drive.Refused("its column CIRCUITPY_WEB_API_PASSWORD is empty")
    return drive.Web(host, password)


# --- who has which version ---


def ask_versions(broker: str, password: str, authority: Path | None, listen_s: float = LISTEN_S) -> dict[str, dict]:
    """{id: {"status": ..., "version": ..., ...}} from what is retained at the broker. Raises Wrong."""
    host, _, port = broker.rpartition(":") if re.search(r":\d+$", broker) else (broker, "", "")
    found: dict[str, dict] = {}
    refused: list[str] = []

    def connected(client, _data, _flags, reason, _properties):
        if reason.is_failure:
            refused.append(str(reason))
        client.subscribe([("daly/+/state", 0), ("daly/+/status", 0)])

    def heard(_client, _data, message):
        identity, what = message.topic.split("/")[1:]
        text = message.payload.decode("utf-8", "replace")
        if what == "status":
            found.setdefault(identity, {})["status"] = text
        else:
            try:
                state = json.loads(text)
            except ValueError:
                return
            found.setdefault(identity, {}).update(state if isinstance(state, dict) else {})

    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.username_pw_set("installer", password)
    client.on_connect, client.on_message = connected, heard
    try:
        if (port or "8883") != "1883" and not broker.startswith("127."):
            client.tls_set(str(authority) if authority else None, cert_reqs=ssl.CERT_REQUIRED)
        client.connect(host, int(port or 8883))
    except (OSError, ValueError) as error:
        raise Wrong([f"the broker at {broker} cannot be reached ({error})"]) from None
    end = time.monotonic() + listen_s
    while time.monotonic() < end and not refused:
        client.loop(0.1)
    client.disconnect()
    if refused:
        raise Wrong([f"the broker at {broker} refuses the user installer ({refused[0]}); has it the users of this folder?"])
    return found


def versions(bridges: list[Bridge], heard: dict[str, dict]) -> list[list[str]]:
    """Rows id, status, version, address; the oldest versions first, strangers at the end."""
    rows = []
    for identity in [bridge.id for bridge in bridges] + sorted(heard.keys() - {bridge.id for bridge in bridges}):
        its = heard.get(identity, {"status": UNHEARD})
        rows.append([identity, *(_harmless(its.get(key, "")) for key in ("status", "version", "ip_address"))])
    known = {bridge.id for bridge in bridges}
    rows.sort(key=lambda row: (row[0] not in known, [int(part) for part in re.findall(r"\d+", row[2])], row[0]))
    return [[_harmless(row[0]), *row[1:]] for row in rows]


def _harmless(value) -> str:
    """A text from the network for a terminal and a spreadsheet: nothing that one of them obeys."""
    text = "".join(char if char.isprintable() and char not in '",;' else " " for char in str(value))[:40]
    return "'" + text if text[:1] in ("=", "+", "-", "@") else text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make fleet", description=__doc__.splitlines()[0])
    parser.add_argument("csv", nargs="?", help="the list of bridges (or in the environment: FLEET_CSV)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where everything is written (default: {FOLDER})")
    parser.add_argument("--install", action="store_true", help="also onto the boards that have an address")
    parser.add_argument("--versions", metavar="BROKER", help="list who has which version; writes nothing but versions.csv")
    parser.add_argument("--ca", type=Path, help="with --versions: the certificate of the broker's authority")
    options = parser.parse_args(arguments)
    # `make fleet` passes them in the environment: no shell interprets quotes, spaces and dollar signs there
    options.csv = Path(options.csv or os.environ.get("FLEET_CSV", ""))
    options.versions = options.versions or os.environ.get("FLEET_BROKER")
    options.ca = options.ca or (Path(os.environ["FLEET_CA"]) if os.environ.get("FLEET_CA") else None)
    if options.csv == Path():
        print("Which list? make fleet CSV=bridges.csv; docs/FLEET.md has an example.", file=sys.stderr)
        return 2
    try:
        bridges, notes = read(options.csv)
        if options.versions:
            return _print_versions(bridges, options)
        for sentence in make(bridges, options.folder, options.csv.parent):
            print(sentence)
        if notes:
            print(f"Columns that are notes, not settings: {', '.join(notes)}.")
        if options.install and onto_boards(bridges, options.folder, _web):
            return 1
    except Wrong as error:
        print("\n".join(sentence.rstrip(".") + "." for sentence in error.sentences), file=sys.stderr)
        print("" if options.versions else "Nothing was written.", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename} cannot be written ({error.strerror}).", file=sys.stderr)
        return 1
    return 0


def _print_versions(bridges: list[Bridge], options) -> int:
    password = _other_users(options.folder / "broker" / "secrets.env")["installer"]
    rows = versions(bridges, ask_versions(options.versions, password, options.ca))
    table = [["id", "status", "version", "address"], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    write(options.folder / "versions.csv", "".join(",".join(row) + "\r\n" for row in table).encode("utf-8-sig"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
