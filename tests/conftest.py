"""Where the tests find things: the board's packages and, for the chip's own modules, the host's stand-ins."""

import sys
from pathlib import Path

import children
import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

# Appended, never put first: the root's code.py has the name of a standard module that pdb, and so pytest, imports.
for folder in (ROOT / "host" / "standins", ROOT):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

# A machine that is busy with other things must not fail a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

children.adopt_orphans()
children.end_with_us()


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests go one by one to whichever process is free, but those that share what is expensive stay together.

    A file names such fixtures in SHARED. Needs `--dist loadgroup`, which hands the groups out first.
    """
    for item in items:
        for name in getattr(item.module, "SHARED", ()):
            if name in item.fixturenames:
                item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}.{name}"))


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left_by_a_file():
    """Whatever the fixtures that a file of tests shares have started, and what that has started, has ended with them."""
    before = children.left()
    yield
    left = children.end_those_left(before)
    assert not left, f"left running by the tests of this file (ended now): {left}"


@pytest.fixture(autouse=True)
def no_process_is_left():
    """Whatever a test has started, and what that has started, has ended with it: set up first, so torn down last."""
    before = children.left()
    yield
    left = children.end_those_left(before)
    assert not left, f"left running by this test (ended now): {left}"
