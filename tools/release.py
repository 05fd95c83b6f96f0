# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Prepares a release, and makes its files.

    make release VERSION=1.2.0                   changelog, version and pictures; you look at them, commit and tag
    python -m tools.release files --tag v1.2.0   dist/release: zips, SBOM, checksums, notes (.github/workflows/release.yml)

Nothing is committed, tagged or pushed here.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION_FILE = "app/version.py"
CHANGELOG = "CHANGELOG.md"
# What is drawn or generated from the code, in this order.
PICTURES = ("docs/wiring.py", "docs/screens.py", "docs/generate.py")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_HEADING = re.compile(r"^## (\S+) – (\S+)$", re.MULTILINE)
UNRELEASED = "unreleased"


class Refused(Exception):
    """Why there can be no release, as a sentence with the remedy."""


def prepare(version: str, root: Path = ROOT, today: str = "", draw=None) -> list[str]:
    """Change version, changelog and pictures in the tree; returns what to do next. Raises Refused, with nothing changed.

    `today` is the date of the release, as 2026-11-28; `draw(root)` regenerates the pictures.
    """
    if not _VERSION.fullmatch(version):
        raise Refused(f'"{version}" is not a version; write three numbers: make release VERSION=1.2.0')
    if dirty := _git(root, "status", "--porcelain"):
        raise Refused(f"there are changes that are not committed; commit or remove them first:\n{dirty}")
    if _git(root, "tag", "--list", "v" + version):
        raise Refused(f"there is a tag v{version} already; take the next number")
    before = read_version(root)
    changelog = (root / CHANGELOG).read_text(encoding="utf-8")
    heading = _HEADING.search(changelog)
    if heading is None or heading[2] != UNRELEASED:
        raise Refused(f'{CHANGELOG} has nothing new: its first heading must be "## {version} – {UNRELEASED}"')
    if not _section(changelog).strip():
        raise Refused(f"{CHANGELOG} says nothing under its first heading; write what has changed for users")
    if _numbers(version) < _numbers(before):
        raise Refused(f"{version} is lower than the present version {before}; take a higher number")
    today = today or datetime.date.today().isoformat()
    _write(root / CHANGELOG, changelog.replace(heading[0], f"## {version} – {today}", 1))
    text = (root / VERSION_FILE).read_text(encoding="utf-8")
    _write(root / VERSION_FILE, re.sub(r'^VERSION = ".*"$', f'VERSION = "{version}"', text, flags=re.MULTILINE))
    (draw or _draw)(root)
    return [
        "Version, changelog and pictures are changed. Look at them: git diff --stat",
        "Test:   make test",
        f'Commit: git commit -am "Version {version}"',
        f'Tag:    git tag -a v{version} -m "Version {version}"',
        f"Push:   git push && git push origin v{version}",
    ]


def read_version(root: Path = ROOT) -> str:
    """The version in the tree."""
    return re.findall(r'^VERSION = "(.+)"$', (root / VERSION_FILE).read_text(encoding="utf-8"), re.MULTILINE)[0]


def files(tag: str, folder: Path) -> list[Path]:
    """Make the files of the release in `folder`, which is emptied first. Raises Refused if the tag does not fit the tree."""
    from tools import bundle, sbom

    version = read_version()
    if tag != "v" + version:
        raise Refused(f"the tag is {tag}, but {VERSION_FILE} says {version}; prepare it by make release VERSION=...")
    changelog = (ROOT / CHANGELOG).read_text(encoding="utf-8")
    heading = _HEADING.search(changelog)
    if heading is None or heading[1] != version or heading[2] == UNRELEASED:
        raise Refused(f"{CHANGELOG} does not begin with version {version} and its date; prepare it by make release VERSION=...")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = []
    for mpy in (True, False):
        made.append(folder / bundle.name(mpy))
        bundle.write(made[-1], bundle.everything(mpy))
    made.append(folder / f"daly-mqtt-{version}.cdx.json")
    made[-1].write_bytes(sbom.made(version, made[:-1]))
    sums = folder / "SHA256SUMS"
    _write(sums, "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in made))
    notes = folder / "notes.md"
    _write(notes, notes_of(version, _section(changelog)))
    return [*made, sums, notes]


def notes_of(version: str, changes: str) -> str:
    """The text of the release; links to pages of the project become words, as they lead nowhere from there."""
    changes = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", changes)
    return (
        f"Take `daly-mqtt-{version}.zip`, unpack it on your PC, and open `START-HERE.html` in it with a double click.\n\n"
        f"The other files: `daly-mqtt-{version}-sources.zip` is the same as readable sources, for boards with 8 MB; "
        f"`daly-mqtt-{version}.cdx.json` lists the parts with their licences (CycloneDX); `SHA256SUMS` checks them: "
        f"`sha256sum -c SHA256SUMS`.\n\n{changes.strip()}\n"
    )


def _section(changelog: str) -> str:
    """What stands under the first heading of a version."""
    first = _HEADING.search(changelog)
    following = re.search(r"^## ", changelog[first.end() :], re.MULTILINE)
    return changelog[first.end() : first.end() + following.start() if following else None]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, _VERSION.match(version).groups()))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _draw(root: Path) -> None:
    for script in PICTURES:
        subprocess.run([sys.executable, str(root / script)], cwd=root, check=True)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise Refused("git is not installed here") from None
    except subprocess.CalledProcessError as error:
        raise Refused(f"git does not work here: {error.stderr.strip()}") from None
    return done.stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    prepared = commands.add_parser("prepare", help="change version, changelog and pictures")
    prepared.add_argument("version", nargs="?", default="")
    made = commands.add_parser("files", help="make the files of the release, in dist/release")
    made.add_argument("--tag", required=True)
    options = parser.parse_args()
    try:
        if options.command == "prepare":
            print(*prepare(options.version), sep="\n")
        else:
            for path in files(options.tag, ROOT / "dist" / "release"):
                print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")
    except Refused as error:
        print(f"No release: {error}".rstrip(".") + ".", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
