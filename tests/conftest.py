# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Where the tests find things: the board's packages and, for the chip's own modules, the host's stand-ins."""

import os
import sys
from pathlib import Path

import children
import pytest
import slow
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent.parent

# Appended, never put first: the root's code.py has the name of a standard module that pdb, and so pytest, imports.
for folder in (ROOT / "host" / "standins", ROOT):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

slow.watch()

# Hosts that start at once would want the same port for their page; who tests the page names one.
os.environ["DALY_HOST_WEB"] = "0"

# Relative, Python would put its files into whatever folder a test starts it in: also into a drive, which stays as it is.
if "PYTHONPYCACHEPREFIX" in os.environ:
    os.environ["PYTHONPYCACHEPREFIX"] = os.path.abspath(os.environ["PYTHONPYCACHEPREFIX"])

# A machine that is busy with other things must not fail a property.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

children.adopt_orphans()
children.end_with_us()


# Files whose tests share what is expensive to make, such as processes, or build upon one another.
WHOLE = (
    "test_cluster.py",
    "test_commands_end_to_end.py",
    "test_end_to_end.py",
    "test_faults.py",
    "test_four_batteries.py",
    "test_homeassistant.py",
    "test_library.py",
    "test_modbus_campaign.py",
    "test_one_machine.py",
    "test_outputs_and_sensors.py",
    "test_packer.py",
    "test_page.py",
    "test_sleep_host.py",
    "test_sleeping_bridge.py",
    "test_stack.py",
    "test_start.py",
    "test_tls.py",
)


class OneByOne(LoadScopeScheduling):
    """Each test goes to whichever process is free; only those files go whole, and first.

    xdist's own groups (`--dist loadgroup`, 3.8.0) are no groups with pytest 9: it does not see them.
    """

    def _split_scope(self, nodeid):
        file = nodeid.split("::")[0]
        return file if file.endswith(WHOLE) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return OneByOne(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left_by_a_file():
    """Whatever the fixtures that a file of tests shares have started, and what that has started, has ended with them."""
    before = children.left()
    yield
    left = children.end_those_left(before)
    assert not left, f"left running by the tests of this file (ended now): {left}"


@pytest.fixture(autouse=True)
def no_process_is_left(request):
    """Whatever a test has started, and what that has started, has ended with it: set up first, so torn down last."""
    if request.path.name in WHOLE:  # its tests start anew what they share: the check after the file is theirs
        yield
        return
    before = children.left()
    yield
    left = children.end_those_left(before)
    assert not left, f"left running by this test (ended now): {left}"


# The fast half: `make unit`, and what `make mutants` runs.


def pytest_collection_modifyitems(items):
    """Before the choice by -m is made: what needs a process, a socket or real time is slow, marked or not."""
    for item in items:
        if slow.is_slow(item):
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test that is not marked slow must not be."""
    slow.USED.clear()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if slow.USED and item.get_closest_marker("slow") is None:
        pytest.fail(f"mark it @pytest.mark.slow, or do without: {', '.join(sorted(slow.USED))}", pytrace=False)
    return result


def pytest_terminal_summary(terminalreporter):
    """pytest counts cases; a function with ten parameter sets is one promise, not ten."""
    cases = {report.nodeid for key in ("passed", "failed") for report in terminalreporter.stats.get(key, ())}
    functions = {case.split("[")[0] for case in cases}
    terminalreporter.write_line(f"{len(functions)} functions, {len(cases)} cases")


@pytest.fixture
def modules_stay(monkeypatch):
    """What the firmware unloads during the test is there again afterwards: the tests of this process have imported it.

    What another test's firmware keeps in memory can be unloaded.
    """
    monkeypatch.setattr("battery.unload._kept", [])
    before = {name: module for name, module in sys.modules.items() if name.startswith(("app.", "battery.", "mqtt.", "web."))}
    yield
    for name, module in before.items():
        sys.modules[name] = module
        package, _, part = name.rpartition(".")
        setattr(sys.modules[package], part, module)
