# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Every source file names its licence, and the two places that pin ruff agree."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = (
    "app",
    "battery",
    "daly",
    "mqtt",
    "display",
    "outputs",
    "sensors",
    "host",
    "simulator",
    "campaigns",
    "tools",
    "tests",
    "docs",
    "library",
)
SOURCES = [
    ROOT / "code.py",
    ROOT / "safemode.py",
    *(file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))),
]


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_a_source_file_begins_with_its_copyright_and_licence(file):
    copyright, licence = [line for line in file.read_text().splitlines()[:3] if not line.startswith("#!")][:2]
    assert re.fullmatch(r"# SPDX-FileCopyrightText: \d{4} .+", copyright) and licence == "# SPDX-License-Identifier: MIT"


def test_pre_commit_has_the_ruff_of_the_tests():
    pinned = re.search(r"^ruff==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)[1]
    assert f"ruff-pre-commit\n    rev: v{pinned}\n" in (ROOT / ".pre-commit-config.yaml").read_text()
