# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Runs the fast tests in forks of one process that has imported everything, each with one change.

A change inside a function is made by giving that function other code, in a fork of a process that has collected all tests. A
change of what is executed at import is made in a fork of a process that has imported nothing of the project yet.
"""

import contextlib
import importlib.util
import json
import math
import os
import pickle
import resource
import select
import signal
import sys
import time
from dataclasses import dataclass
from types import CodeType, FunctionType

import pytest

from .probes import Probes

KILLED, SURVIVED, TIMEOUT = "killed", "survived", "timed out"
# What a test may take: so much longer than without a change, in processor time, so that other work does not count; on the wall
# clock a test that waits for something that never comes is ended much later.
SLOWER, EXTRA_S = 8, 3
WALL_SLOWER, WALL_EXTRA_S = 40, 120
MEMORY = 3 << 30
OPTIONS = [
    "-q",
    "-x",
    "-m",
    "not slow",
    "--capture=sys",
    "-p",
    "no:xdist",
    "-W",
    "ignore",
    "-o",
    "timeout=0",
    "--hypothesis-profile=mutants",
]


def prepare(root):
    """Import what all forks need, and nothing of the project."""
    import hypothesis
    import hypothesis.strategies

    sys.path[:] = [entry for entry in sys.path if entry not in ("", str(root))]
    sys.path.append(str(root))  # not first: code.py has the name of a standard module
    # The same examples in every run; nothing is shrunk, one failure is enough.
    hypothesis.settings.register_profile(
        "mutants",
        deadline=None,
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.strategies.integers().filter(bool)


def _forked(function, *arguments):
    """Run a function in a fork; returns (process id, file to read from)."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return process, reading
    code = 3
    try:
        os.close(reading)
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1) if os.environ.get("MUTANTS_DEBUG") else (0, 1, 2):
            os.dup2(quiet, number)
        if os.environ.get("MUTANTS_DEBUG"):
            os.dup2(2, 1)
        code = function(writing, *arguments)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code or 0)


def _read_all(number):
    parts = []
    while part := os.read(number, 1 << 16):
        parts.append(part)
    os.close(number)
    return b"".join(parts)


# which lines each test executes


class _Cover:
    """A pytest plugin: a context for each test."""

    def __init__(self, probes):
        self._probes = probes
        self.seconds = {}
        self.failed = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self._probes.switch(item.nodeid)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - begun
            self._probes.switch(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        """What is made once for a whole file is executed for all its tests."""
        if fixturedef.scope == "function":
            return (yield)
        before = self._probes.switch(request.node.nodeid.split("::")[0] + "::")
        try:
            return (yield)
        finally:
            self._probes.switch(before)

    def pytest_runtest_logreport(self, report):
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)


def _cover(writing, root, files, packages):
    probes = Probes(root, packages)
    sys.meta_path.insert(0, probes)
    plugin = _Cover(probes)
    options = [option for option in OPTIONS if option != "-x"]
    pytest.main([*options, *(str(root / file) for file in files)], plugins=[plugin])
    with os.fdopen(writing, "wb") as file:
        pickle.dump((plugin.seconds, plugin.failed, probes.lines, probes.at_import), file)
    return 0


def cover(root, files, packages, jobs):
    """{test file: Covered} for some files of tests."""
    shares = [share for share in (files[number::jobs] for number in range(jobs)) if share]
    started = [_forked(_cover, root, share, packages) for share in shares]
    found = {}
    for share, (process, reading) in zip(shares, started):
        content = _read_all(reading)
        os.waitpid(process, 0)
        if not content:
            raise SystemExit("The tests could not be collected: MUTANTS_DEBUG=1 shows why.")
        seconds, failed, lines, at_import = pickle.loads(content)
        for file in share:
            found[file] = Covered.of(file, seconds, failed, lines, at_import)
    return found


@dataclass
class Covered:
    """What the tests of one file execute."""

    seconds: dict  # {test: processor time}, of those that pass
    left_out: list  # tests that do not pass, or are skipped
    lines: dict  # {file: {line: {tests}}}
    at_import: dict  # {file: {lines of functions executed while the module was imported}}

    @classmethod
    def of(cls, file, seconds, failed, lines, at_import):
        """One file's part of a run of several."""
        own = {test: value for test, value in seconds.items() if test.split("::")[0] == file}
        passed = set(own) - failed
        found = {}
        for name, by_line in lines.items():
            for line, contexts in by_line.items():
                tests = passed if file + "::" in contexts else passed & contexts
                if tests:
                    found.setdefault(name, {})[line] = set(tests)
        left_out = sorted(set(own) & failed)
        return cls({test: own[test] for test in passed}, left_out, found, at_import)


# one change, the tests that can notice it


class _Judge:
    """A pytest plugin: runs the tests named, in that order, and ends the process at the first that fails."""

    def __init__(self, writing, tests, seconds):
        self._writing = writing
        self._order = {test: number for number, test in enumerate(tests)}
        self._seconds = seconds

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = sorted((item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid])

    def pytest_runtest_logstart(self, nodeid):
        limit = math.ceil(time.process_time() + EXTRA_S + SLOWER * self._seconds[nodeid])
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))

    def pytest_runtest_logreport(self, report):
        if report.failed:
            os.write(self._writing, report.nodeid.encode())
            if os.environ.get("MUTANTS_DEBUG"):
                print(report.longreprtext, file=sys.stderr, flush=True)
            os._exit(1)


def _limit():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))


class _Changed:
    """A finder and loader of one module, whose code is changed."""

    def __init__(self, name, path, code):
        self._name, self._path, self._code = name, path, code

    def find_spec(self, name, path=None, target=None):
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._path, loader=self)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(self._code, module.__dict__)


def _judge_import(writing, root, name, path, code, tests, seconds):
    """A change of what is executed at import."""
    _limit()
    if code is not None:
        sys.meta_path.insert(0, _Changed(name, path, code))
    limit = math.ceil(time.process_time() + 60)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
    files = list(dict.fromkeys(test.split("::")[0] for test in tests))
    judge = _Judge(writing, tests, seconds)
    code = pytest.main([*OPTIONS, *(str(root / file) for file in files)], plugins=[judge])
    if code == pytest.ExitCode.OK:
        return 0
    os.write(writing, b"(import or collection)")
    return 1


def _judge_function(writing, session, by_name, name, code, function, line, tests, seconds):
    """A change inside a function of a module that is imported already."""
    _limit()
    if code is not None:
        _replace(name, code, function, line)
    judge = _Judge(writing, tests, seconds)
    session.config.pluginmanager.register(judge)
    session.items[:] = items = [by_name[test] for test in tests]
    for item, following in zip(items, [*items[1:], None]):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    return 0


def _replace(name, code, function, line):
    """Give a function the code of the changed module."""
    found = [part for part in _codes(code) if part.co_qualname == function and part.co_firstlineno == line]
    targets = list(_functions(importlib.import_module(name), name, function, line))
    if len(found) != 1 or not targets:
        raise LookupError(f"{name}: {function} in line {line}")
    for target in targets:
        target.__code__ = found[0]


def _codes(code):
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes(part)


def _functions(owner, name, function, line):
    for value in list(vars(owner).values()):
        if isinstance(value, type) and value.__module__ == name and value is not owner:
            yield from _functions(value, name, function, line)
        if isinstance(value, property):
            parts = (value.fget, value.fset, value.fdel)
        else:
            parts = (getattr(value, "__func__", value),)
        for part in parts:
            if (
                isinstance(part, FunctionType)
                and part.__code__.co_qualname == function
                and part.__code__.co_firstlineno == line
            ):
                yield part


class _Serve:
    """A pytest plugin: instead of running the tests, lets forks of this process run them."""

    def __init__(self, writing, work):
        self._writing = writing
        self._work = work

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        by_name = {item.nodeid: item for item in session.items}

        def start(job):
            return _forked(
                _judge_function, session, by_name, job.module, job.code(), job.function, job.begin, job.tests(), job.seconds
            )

        self._work(start, self._writing)
        return True


def _pass_on(writing, job, outcome):
    os.write(writing, json.dumps([job.number, *outcome]).encode() + b"\n")


def _work(jobs, start, parallel, done, until):
    """Start every job, `parallel` at a time, none after `until`; done(job, (status, test, seconds))."""
    waiting = list(reversed(jobs))
    running = {}
    while waiting or running:
        if time.monotonic() > until:
            waiting.clear()
        while waiting and len(running) < parallel:
            job = waiting.pop()
            process, reading = start(job)
            running[reading] = process, job, time.monotonic(), time.monotonic() + WALL_EXTRA_S + WALL_SLOWER * job.cost
        ready, _, _ = select.select(list(running), [], [], 1)
        for reading in ready:
            process, job, begun, _ = running.pop(reading)
            test = _read_all(reading).decode()  # it ends with the process
            _, status = os.waitpid(process, 0)
            done(job, (_status(status, test), test, round(time.monotonic() - begun, 1)))
        for process, _job, _begun, deadline in running.values():
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def _status(status, test):
    if os.WIFSIGNALED(status):
        return TIMEOUT if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else KILLED
    code = os.WEXITSTATUS(status)
    if code == 0:
        return SURVIVED
    if code == 1 and test:
        return KILLED
    return "failed to run"


def run_functions(root, jobs, parallel, done, until):
    """Jobs whose change is inside a function."""
    if not jobs:
        return
    by_number = {job.number: job for job in jobs}

    def serve(writing):
        def work(start, writing):
            _work(jobs, start, parallel, lambda job, outcome: (job.learn(outcome), _pass_on(writing, job, outcome)), until)

        return pytest.main([*OPTIONS, str(root / "tests")], plugins=[_Serve(writing, work)])

    process, reading = _forked(serve)
    with os.fdopen(reading) as lines:
        for line in lines:
            number, *outcome = json.loads(line)
            by_number[number].learn(outcome)  # it was learned in the fork only
            done(by_number[number], tuple(outcome))
    os.waitpid(process, 0)


def run_imports(root, jobs, parallel, done, until):
    """Jobs whose change is in what is executed at import."""

    def start(job):
        return _forked(_judge_import, root, job.module, job.path, job.code(), job.tests(), job.seconds)

    _work(jobs, start, parallel, lambda job, outcome: (job.learn(outcome), done(job, outcome)), until)
