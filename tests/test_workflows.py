# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The workflows of GitHub: valid by its schema, actions pinned, no more rights than needed, and what they call exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def loaded(path):
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def steps(path):
    return [step for job in loaded(path)["jobs"].values() for step in job["steps"]]


def checked(*paths):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_they_are_valid_by_the_schema_and_the_schema_finds_mistakes(tmp_path):
    assert len(WORKFLOWS) == 2
    done = checked(*WORKFLOWS)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:", 1))
    assert checked(wrong).returncode != 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_the_whole_hash_of_a_commit(path):
    used = re.findall(r"uses: (\S+)( # v[\d.]+)?$", path.read_text(), re.MULTILINE)
    assert used and len(used) == len([step for step in steps(path) if "uses" in step])
    for action, version in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action) and version, action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_they_may_only_read_and_a_release_may_write(path):
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    rights = [job.get("permissions") for job in workflow["jobs"].values()]
    assert rights == ([{"contents": "write"}] if path.name == "release.yml" else [None] * len(rights))
    assert all(step["with"]["persist-credentials"] is False for step in steps(path) if "checkout" in step.get("uses", ""))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_they_run_exists(path):
    for step in steps(path):
        for module in re.findall(r"-m (tools\.\w+)", step.get("run", "")):
            assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module
        for target in re.findall(r"make ([\w-]+)", step.get("run", "")):
            assert target in TARGETS, target
        assert "${{ github.event" not in step.get("run", "")  # nobody's text gets into a shell
    assert any(".ci/run" in step.get("run", "") for step in steps(path))


def test_they_run_on_each_push_and_on_a_tag():
    when = {path.name: loaded(path)["on"] for path in WORKFLOWS}
    assert when["test.yml"]["push"] == {"branches": ["**"]} and "pull_request" in when["test.yml"]
    assert when["release.yml"] == {"push": {"tags": ["v*.*.*"]}}


def test_what_is_attached_is_what_the_release_makes():
    [step] = [step for step in steps(ROOT / ".github" / "workflows" / "release.yml") if "gh release" in step.get("run", "")]
    assert {"dist/release/daly-mqtt-*", "dist/release/SHA256SUMS", "--verify-tag"} <= set(step["run"].split())
    assert "--notes-file dist/release/notes.md" in step["run"]
