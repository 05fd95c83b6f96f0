# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The results: kept between runs in .mutants/, and written into docs/MUTANTS.md with the verdicts of docs/mutants.txt."""

import hashlib
import json
import re
from collections import Counter

from .runner import KILLED, TIMEOUT

UNSEEN = "**not judged yet**"
HEAD = """# Mutants

Written by `make mutants`; only the verdicts are by hand, in [mutants.txt](mutants.txt). Each mutant is one small change to
the board's code: a condition that is always true or always false, `<` for `<=`, `+` for `-`, a statement left out, a constant
one larger or smaller (from 256 on, a quarter). The fast half of the tests (`make unit`) must notice it: the tests that execute
the changed line run until one fails, those of the module itself and the quickest first, at most 10 s of them: so a survivor is
one that no test near it notices; `ARGS="--seconds 999"` runs them all. Text printed to the console is not changed.

*Timed out* counts as noticed: a test took more than eight times as long as without the change.

"""
TABLE = (
    "| File | Mutants | Killed | Timed out | Survived | of these not judged | Noticed |\n|---|---:|---:|---:|---:|---:|---:|\n"
)
_ROW = re.compile(r"^\| (?P<file>\S+\.py) \|(?P<rest>.*)\|$", re.MULTILINE)
_SECTION = re.compile(r"^## (\S+\.py)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def digest(*texts):
    """A short hash."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class Results:
    """Outcomes by mutant. One holds as long as the function is the same, and the tests that decided it are."""

    def __init__(self, path):
        self._path = path
        self._by_mutant = json.loads(path.read_text()) if path.exists() else {}

    def get(self, mutant, code, tests, budget):
        """(status, test, seconds) or None. `code`: hash of the function; `tests(test)`: of a test's file, of all with None;
        `budget`: what survives must have survived as many seconds of tests.
        """
        kept = self._by_mutant.get(f"{mutant.file} | {mutant.key}")
        if kept is None or kept["code"] != code:
            return None
        if kept["tests"] != tests(kept["test"] if kept["status"] == KILLED else None):
            return None
        if kept["status"] != KILLED and kept["budget"] < budget:
            return None
        return kept["status"], kept["test"], kept["seconds"]

    def put(self, mutant, code, tests, budget, outcome):
        """Keep an outcome."""
        status, test, seconds = outcome
        decided = tests(test if status == KILLED else None)
        self._by_mutant[f"{mutant.file} | {mutant.key}"] = {
            "status": status,
            "test": test,
            "seconds": seconds,
            "code": code,
            "tests": decided,
            "budget": budget,
        }

    def save(self):
        """Write them all."""
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self._by_mutant, indent=0, sort_keys=True, ensure_ascii=False))


class Verdicts:
    """What people found about survivors: a file, below it keys, below each "equivalent: ..." or "worth nothing: ..."."""

    def __init__(self, path):
        self._by_file = {}
        file = key = ""
        for line in path.read_text().splitlines() if path.exists() else ():
            if line.startswith("    "):
                verdict = (self._by_file[file].get(key, "") + " " + line.strip()).strip()
                self._by_file[file][key] = verdict
            elif line.startswith("  "):
                key = line.strip()
            elif line and not line.startswith("#"):
                file = line.strip()
                self._by_file.setdefault(file, {})

    def get(self, mutant):
        """The verdict, or None."""
        return self._by_file.get(mutant.file, {}).get(mutant.key)

    def stale(self, file, survivors):
        """Keys of verdicts on mutants that are killed now, or are no more."""
        return sorted(set(self._by_file.get(file, {})) - {mutant.key for mutant in survivors})


def row(file, outcomes, unjudged):
    """A line of the table; `outcomes`: {mutant: (status, test, seconds)}."""
    counts = Counter(status for status, _, _ in outcomes.values())
    survived = len(outcomes) - counts[KILLED] - counts[TIMEOUT]
    share = 100 * (len(outcomes) - survived) / max(len(outcomes), 1)
    return f"| {file} | {len(outcomes)} | {counts[KILLED]} | {counts[TIMEOUT]} | {survived} | {unjudged} | {share:.1f} % |\n"


def section(survivors, verdicts, unexecuted):
    """The survivors of a file, by function."""
    if not survivors:
        return "None survives.\n"
    lines = []
    for mutant in survivors:
        verdict = verdicts.get(mutant) or UNSEEN
        if mutant.key in unexecuted:
            verdict = f"no fast test executes it; {verdict}"
        what = mutant.what.replace("`", "'") + (f" #{mutant.number}" if mutant.number > 1 else "")
        text = mutant.text.replace("`", "'")
        lines.append(f"- {mutant.file}:{mutant.line} {mutant.function or '(module)'}: `{text}`: `{what}`: {verdict}\n")
    return "".join(lines)


def write(page, rows, sections):
    """Replace the rows and sections of the files given, and keep the others."""
    old = page.read_text() if page.exists() else ""
    rows = {match["file"]: match[0] + "\n" for match in _ROW.finditer(old)} | rows
    sections = {match[1]: match[2].strip() + "\n" for match in _SECTION.finditer(old)} | sections
    text = HEAD + TABLE + "".join(rows[file] for file in sorted(rows))
    for file in sorted(sections):
        text += f"\n## {file}\n\n{sections[file].strip()}\n"
    page.write_text(text)
