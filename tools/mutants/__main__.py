# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""`make mutants`: see the package's own words."""

import argparse
import ast
import os
import pickle
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from . import report, runner
from .operators import mutants
from .selection import Names, Selection

ROOT = Path(__file__).resolve().parent.parent.parent
TARGETS = ("battery/*.py", "daly/*.py", "mqtt/publisher.py", "mqtt/deadband.py", "app/nvm_store.py", "app/energy_store.py")
PACKAGES = ("battery", "daly", "mqtt", "display", "outputs", "sensors", "web", "app", "host", "simulator", "campaigns")
KEPT = ROOT / ".mutants"
PAGE = ROOT / "docs" / "MUTANTS.md"
FIRST = 30  # tests that are tried first, where each mutant imports everything anew


def targets(named):
    """Paths of the files to change, as in the repository."""
    found = []
    for pattern in named or TARGETS:
        files = sorted(ROOT.glob(pattern))
        if not files:
            raise SystemExit(f"{pattern}: no such file")
        found += [file.relative_to(ROOT).as_posix() for file in files if file.name != "__init__.py"]
    return list(dict.fromkeys(found))


def python_files(*folders):
    """All Python files below the folders that exist."""
    return sorted(f.relative_to(ROOT).as_posix() for folder in folders for f in (ROOT / folder).rglob("*.py"))


def is_test(file):
    """Whether a Python file has tests."""
    return file.split("/")[-1].startswith("test_") and "homeassistant" not in file


def contents(files):
    """A hash of files and what is in them."""
    return report.digest(*files, *((ROOT / file).read_text() for file in files))


def coverage(jobs):
    """{test file: what its tests execute}; kept until that file, a helper or the code changes."""
    tests = [file for file in python_files("tests") if is_test(file)]
    others = [file for file in python_files("tests", *PACKAGES) if not is_test(file)]
    everywhere = contents([*others, "pyproject.toml", "tools/mutants/probes.py"])
    keys = {file: report.digest(everywhere, contents([file])) for file in tests}
    path = KEPT / "coverage.pickle"
    kept = pickle.loads(path.read_bytes()) if path.exists() else {}
    kept = {key: part for key, part in kept.items() if key in keys.values()}
    missing = [file for file in tests if keys[file] not in kept]
    if missing:
        print(f"Finding which test executes which line, in {len(missing)} files of tests ...", flush=True)
        found = runner.cover(ROOT, missing, [package for package in PACKAGES if (ROOT / package).exists()], jobs)
        kept |= {keys[file]: found[file] for file in missing}
        KEPT.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(kept))
    return {file: kept[keys[file]] for file in tests}


class Tests:
    """Hashes of the files of tests."""

    def __init__(self):
        self._helpers = contents([file for file in python_files("tests") if not is_test(file)])
        self._of_file = {}

    def digest(self, tests):
        """Of the files these tests are in, their names, and the files of the helpers."""
        files = sorted({test.split("::")[0] for test in tests})
        return report.digest(self._helpers, *sorted(tests), *(self._file(file) for file in files))

    def _file(self, file):
        if file not in self._of_file:
            self._of_file[file] = report.digest((ROOT / file).read_text()) if (ROOT / file).is_file() else ""
        return self._of_file[file]


class Job:
    """One mutant and its tests; without a mutant, the proof that the tests pass in this order and in a fork."""

    kills: dict = {}  # which tests have noticed what, in this process

    def __init__(self, number, file, mutant, tree, tests, seconds, near=(), budget=float("inf")):
        self.number = number
        self.mutant = mutant
        self.module = file[:-3].replace("/", ".")
        self.path = str(ROOT / file)
        self.function = mutant.function if mutant else ""
        self.begin = mutant.first if mutant else 0
        self.seconds = seconds
        self.cost = sum(seconds[test] for test in tests)
        self.only_first = False
        self._file = file
        self._tree = tree
        self._tests = tests
        self._near = near
        self._budget = budget

    def code(self):
        """The changed module, compiled."""
        return self.mutant.compiled(self._tree, self.path) if self.mutant else None

    def tests(self):
        """Those that have noticed most here first, then those that know the module, the quickest first, while there is time."""
        place, file = self.kills.get((self._file, self.function), {}), self.kills.get(self._file, {})
        chosen = []
        left = self._budget

        def rank(test):
            return -place.get(test, 0), -file.get(test, 0), test.split("::")[0] not in self._near, self.seconds[test], test

        for test in sorted(self._tests, key=rank):
            if left > 0:
                chosen.append(test)
                left -= self.seconds[test]
        return chosen[:FIRST] if self.only_first else chosen

    def has_more(self):
        """Whether there are more tests than are tried first."""
        return len(self._tests) > FIRST

    def learn(self, outcome):
        """Remember which test has noticed it."""
        status, test, _ = outcome
        if status == runner.KILLED and test in self.seconds:
            for place in ((self._file, self.function), self._file):
                self.kills.setdefault(place, Counter())[test] += 1


class Run:
    """All mutants of some files."""

    def __init__(self, files, options):
        self._options = options
        covered = coverage(options.jobs)
        self._seconds = {test: seconds for part in covered.values() for test, seconds in part.seconds.items()}
        self._left_out = [test for part in covered.values() for test in part.left_out]
        names = Names(ROOT, python_files(*PACKAGES), list(covered))
        self._names = names
        self._selection = Selection(covered, names)
        self._results = report.Results(KEPT / "results.json")
        self._digests = Tests()
        self._begun = time.monotonic()
        self._done = 0
        self.outcomes = {file: {} for file in files}
        self.unexecuted = {file: set() for file in files}
        self._functions, self._imports = [], []
        self._codes = {}
        self._by_number = {}
        for file in files:
            self._plan(file)

    def _plan(self, file):
        source = (ROOT / file).read_text()
        tree, found = mutants(file, source)
        of_function = _sources(source)
        near = self._names.tests_of(file)
        for mutant in found:
            tests = self._selection.tests(mutant)
            self.outcomes[file][mutant.key] = mutant, None
            if not tests:
                self.unexecuted[file].add(mutant.key)
                self.outcomes[file][mutant.key] = mutant, (runner.SURVIVED, "", 0)
                continue
            code = report.digest(of_function.get(mutant.function, ""))
            kept = None if self._options.fresh else self._results.get(mutant, code, self._decided(tests), self._options.seconds)
            if kept is not None:
                self.outcomes[file][mutant.key] = mutant, kept
                continue
            job = Job(len(self._codes), file, mutant, tree, tests, self._seconds, near, self._options.seconds)
            self._codes[job.number] = code, tests
            (self._imports if self._selection.needs_import(mutant) else self._functions).append(job)

    def _decided(self, tests):
        return lambda test: self._digests.digest(tests if test is None else [test])

    def run(self):
        """Run what is not known yet."""
        self._total = len(self._functions) + len(self._imports)
        print(f"{self._total} mutants to run, {sum(map(len, self.outcomes.values()))} in all", flush=True)
        for test in self._left_out:
            print("left out, it does not pass here (or is skipped):", test)
        jobs = self._options.jobs
        deadline = self._begun + 60 * self._options.minutes
        try:
            self._prove(self._functions, runner.run_functions)
            runner.run_functions(ROOT, self._functions, jobs, self._finished, deadline)
            for job in self._imports:
                job.only_first = True
            again = []

            def first(job, outcome):
                if outcome[0] == runner.SURVIVED and job.has_more():
                    again.append(job)
                else:
                    self._finished(job, outcome)

            self._prove(self._imports, runner.run_imports)
            runner.run_imports(ROOT, self._imports, jobs, first, deadline)
            for job in again:
                job.only_first = False
            runner.run_imports(ROOT, again, jobs, self._finished, deadline)
        finally:
            self._results.save()

    def _prove(self, jobs, run):
        """Without a change all tests pass, in a fork and in another order."""
        if not jobs:
            return
        tests = set().union(*(job.tests() for job in jobs))
        files = sorted({test.split("::")[0] for test in tests})
        outcomes = []
        proofs = []
        for number in range(self._options.jobs):  # side by side
            own = {test for test in tests if files.index(test.split("::")[0]) % self._options.jobs == number}
            proofs.append(Job(-1 - number, "", None, None, own, self._seconds))
        run(ROOT, proofs, len(proofs), lambda job, outcome: outcomes.append(outcome), float("inf"))
        if [status for status, _, _ in outcomes] != [runner.SURVIVED] * len(proofs):
            raise SystemExit(f"Without any change: {outcomes or 'nothing could be run'}. MUTANTS_DEBUG=1 shows why.")

    def _finished(self, job, outcome):
        mutant = job.mutant
        code, tests = self._codes[job.number]
        self.outcomes[mutant.file][mutant.key] = mutant, outcome
        self._results.put(mutant, code, self._decided(tests), self._options.seconds, outcome)
        self._done += 1
        if outcome[0] != runner.KILLED:
            print(
                f"{self._done}/{self._total} {outcome[0]} {mutant.file}:{mutant.line} {mutant.key} ({outcome[2]} s)", flush=True
            )
        if self._done % 50 == 0:
            self._results.save()


def _sources(source):
    """{qualified name: source} of the outermost functions."""
    found = {}
    for node in ast.parse(source).body:
        for part in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{node.name}.{part.name}" if part is not node else part.name
                found[name] = found.get(name, "") + ast.dump(part)
    return found


def main():
    """Exit code 1 where a survivor has no verdict."""
    parser = argparse.ArgumentParser(prog="make mutants", description="Mutation testing: docs/MUTANTS.md")
    parser.add_argument("files", nargs="*", help="only these files, as battery/pack.py")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count(), help="so many at a time")
    parser.add_argument(
        "--minutes", type=float, default=600, help="start nothing after so long; the next run goes on from there"
    )
    parser.add_argument(
        "--seconds", type=float, default=10, help="processor time of the tests for each; what survives longer survives"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs have found")
    parser.add_argument("--list", action="store_true", help="only list the mutants")
    options = parser.parse_args()
    files = targets(options.files)
    if options.list:
        for file in files:
            for mutant in mutants(file, (ROOT / file).read_text())[1]:
                print(f"{file}:{mutant.line} {mutant.key}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
        os.chdir(ROOT)
        runner.prepare(ROOT)
        run = Run(files, options)
        run.run()
    return finish(run)


def finish(run):
    """Write the page."""
    verdicts = report.Verdicts(ROOT / "docs" / "mutants.txt")
    rows, sections, unjudged = {}, {}, 0
    for file, by_key in run.outcomes.items():
        missing = sum(outcome is None for _, outcome in by_key.values())
        if missing:
            print(f"{file}: {missing} mutants were not run; the page keeps what it had")
            continue
        survivors = [mutant for mutant, outcome in by_key.values() if outcome[0] not in (runner.KILLED, runner.TIMEOUT)]
        not_judged = sum(verdicts.get(mutant) is None for mutant in survivors)
        unjudged += not_judged
        rows[file] = report.row(file, {key: outcome for key, (_, outcome) in by_key.items()}, not_judged)
        sections[file] = report.section(survivors, verdicts, run.unexecuted[file])
        for key in verdicts.stale(file, survivors):
            print(f"docs/mutants.txt: {file}: survives no more: {key}")
    report.write(PAGE, rows, sections)
    print("".join(rows.values()), end="")
    return 1 if unjudged else 0


if __name__ == "__main__":
    sys.exit(main())
