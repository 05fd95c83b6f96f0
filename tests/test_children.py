# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""That the tests leave no process behind is itself tried: here a pytest leaves some, and is killed."""

import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import children
import pytest
from mosquitto import wait_until

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(not children.IS_LINUX, reason="asks the system of Linux")
SLEEPER = "import time; print('up', flush=True); time.sleep(60)"
# a test that leaves a child, and a child's child that has lost its parent
CARELESS = """
    import pytest, subprocess, sys
    SLEEPER = {sleeper!r}

    def start(code):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        return child, child.stdout.readline()

    def test_child():
        start(SLEEPER + " # careless-child")

    def test_orphan():
        code = repr(SLEEPER + " # careless-orphan")
        child, _ = start(f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {{code}}])")
        child.wait()

    @pytest.fixture(scope="module")
    def shared():
        start(SLEEPER + " # careless-fixture")

    def test_shared(shared):
        pass

    def test_innocent():
        pass

    def test_waits():
        import time
        start(SLEEPER + " # killed-child")
        open("ready", "w").close()
        time.sleep(30)
"""


@pytest.fixture
def project(tmp_path):
    """A project with such tests and our conftest."""
    (tmp_path / "tests").mkdir()
    for name in ("conftest.py", "children.py", "slow.py"):
        (tmp_path / "tests" / name).write_text((HERE / name).read_text())
    text = textwrap.dedent(CARELESS).format(sleeper=SLEEPER)
    (tmp_path / "tests" / "test_careless.py").write_text(text)
    return tmp_path


def command(tests):
    patience = "import children; children.END_LIMIT_S = 0.5"
    code = f"import sys; sys.path.insert(0, 'tests'); {patience}; import pytest; sys.exit(pytest.main({tests!r}))"
    return [sys.executable, "-P", "-c", code]


def alive(word):
    """Whether a process with that word in its command line is alive."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in file.read_bytes():
                return True
        except OSError:
            pass
    return False


def test_a_child_and_an_orphan_that_are_left_fail_the_test_and_are_ended(project):
    """And what a fixture of the file leaves fails the last test of the file."""
    tests = ["-q", "-rE", "-p", "no:cacheprovider", "tests", "-k", "not waits"]
    done = subprocess.run(command(tests), cwd=project, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1, done.stdout
    failed = re.findall(r"^ERROR \S+::(\w+)", done.stdout, re.MULTILINE)
    assert failed == ["test_child", "test_orphan", "test_innocent"], done.stdout
    for word in ("careless-child", "careless-orphan", "careless-fixture"):
        assert f"# {word}" in done.stdout and wait_until(lambda word=word: not alive(f"# {word}")), word


def test_a_pytest_that_is_killed_takes_its_processes_along(project):
    process = subprocess.Popen(command(["-q", "-p", "no:cacheprovider", "tests", "-k", "waits"]), cwd=project)
    assert wait_until((project / "ready").exists, 30) and alive("# killed-child")
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = time.monotonic()
    assert wait_until(lambda: not alive("# killed-child"), 5), time.monotonic() - begun
