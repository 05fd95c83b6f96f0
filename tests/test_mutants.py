# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The tool behind `make mutants`: which changes it makes, what names them, and which tests it takes for them."""

import sys

import pytest

from tools.mutants.operators import mutants
from tools.mutants.probes import Probes
from tools.mutants.report import Results, Verdicts, write
from tools.mutants.selection import Names

SOURCE = '''"""A module."""

LIMIT = 40
STEP_MS = 3600000 // LIMIT


class Box:
    """A class."""

    width = 7

    @property
    def is_full(self):
        """A property."""
        return self.width >= LIMIT and not self.open

    def take(self, x, y=2):
        if x < 0:
            return None
        self.width += x
        print("taken", x)
        return max(x, y)
'''


def whats(source, function):
    return {mutant.what for mutant in mutants("m.py", source)[1] if mutant.function == function}


def test_constants_are_changed_by_one_and_long_times_by_a_quarter():
    assert whats(SOURCE, "") >= {"40 → 41", "40 → 39", "3600000 → 4500000", "3600000 → 2700000", "7 → 8", "7 → 6", "2 → 3"}


def test_properties_are_changed():
    assert whats(SOURCE, "Box.is_full") == {
        "self.width >= LIMIT → True",
        "self.width >= LIMIT → False",
        "self.width >= LIMIT → self.width > LIMIT",
        "self.open → True",
        "self.open → False",
    }


def test_methods_are_changed_but_not_what_is_printed():
    assert whats(SOURCE, "Box.take") == {
        "x < 0 → True",
        "x < 0 → False",
        "x < 0 → x <= 0",
        "0 → 1",
        "left out: self.width += x",
        "self.width += x → self.width -= x",
        "left out: print('taken', x)",
        "return max(x, y) → None",
        "max → min",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a and b", {"a → False", "a → True", "b → True"}),
        ("a or b", {"a → True", "a → False", "b → False"}),
        ("not a", {"a → True", "a → False"}),
        ("0 < a <= 9", {"0 < a <= 9 → 0 < a", "0 < a <= 9 → a <= 9"}),
    ],
)
def test_each_part_of_a_condition_decides(before, after):
    assert whats(f"def f(a, b):\n    if {before}:\n        return b\n", "f") >= after


@pytest.mark.parametrize("mutant", mutants("m.py", SOURCE)[1], ids=lambda mutant: mutant.what)
def test_every_change_compiles_and_leaves_the_tree_as_it_was(mutant):
    tree, found = mutants("m.py", SOURCE)
    (same,) = [other for other in found if other.key == mutant.key]
    before = compile(tree, "m.py", "exec")
    assert same.compiled(tree, "m.py") != before and compile(tree, "m.py", "exec") == before


def test_the_name_of_a_change_stays_when_lines_move_and_comments_change():
    moved = "# more\n\n" + SOURCE.replace("LIMIT = 40", "LIMIT = 40  # a reason")
    keys = [mutant.key for mutant in mutants("m.py", SOURCE)[1]]
    assert [mutant.key for mutant in mutants("m.py", moved)[1]] == keys and len(set(keys)) == len(keys)


# which tests


def test_a_constant_concerns_what_names_it_also_through_another(tmp_path):
    (tmp_path / "limits.py").write_text("DAY = 24\nWEEK = 7 * DAY\nOTHER = 1\n\n\ndef day():\n    return DAY\n")
    (tmp_path / "user.py").write_text("from limits import WEEK\n\n\ndef weeks(h):\n    x = h\n    return x // WEEK\n")
    (tmp_path / "stranger.py").write_text("WEEK = 3\n\n\ndef weeks(h):\n    return h // WEEK\n")
    (tmp_path / "test_user.py").write_text("from limits import WEEK\n\n\ndef test_it():\n    assert WEEK\n")
    names = Names(tmp_path, ["limits.py", "user.py", "stranger.py"], ["test_user.py"])
    assert names.uses("limits.py", ("DAY",)) == ({("limits.py", 7), ("user.py", 6)}, {"test_user.py"})
    assert names.uses("limits.py", ("OTHER",)) == (set(), set())
    assert names.tests_of("limits.py") == {"test_user.py"} and names.tests_of("user.py") == set()


PROBED = '''X = 1


def f(x):
    """Doc."""
    if x:
        return 1
    return 2


def g():
    return 7


Y = g()
'''


@pytest.fixture
def probes(tmp_path, monkeypatch):
    (tmp_path / "probed_one").mkdir()
    (tmp_path / "probed_one" / "part.py").write_text(PROBED)
    monkeypatch.syspath_prepend(str(tmp_path))
    probes = Probes(tmp_path, ["probed_one"])
    monkeypatch.setattr(sys, "meta_path", [probes, *sys.meta_path])
    yield probes
    sys.modules.pop("probed_one.part", None)
    sys.modules.pop("probed_one", None)


def test_it_is_known_which_test_executes_which_statement(probes):
    import probed_one.part as part

    probes.switch("first")
    assert part.f(1) == 1
    probes.switch("second")
    assert part.f(0) == 2 and part.f.__doc__ == "Doc."
    probes.switch(None)
    part.g()
    probes.switch(None)
    assert probes.lines == {"probed_one/part.py": {6: {"first", "second"}, 7: {"first"}, 8: {"second"}}}
    assert probes.at_import == {"probed_one/part.py": {12}}


def test_two_at_once_do_not_disturb_each_other(probes, tmp_path):
    """The tool is among the code that its own run of the tests executes."""
    import probed_one.part as part

    Probes(tmp_path, ["another"])
    probes.switch("first")
    part.g()
    probes.switch(None)
    assert probes.lines == {"probed_one/part.py": {12: {"first"}}}


# the results


def test_a_result_holds_until_the_function_or_the_tests_change(tmp_path):
    mutant = mutants("m.py", SOURCE)[1][0]
    path = tmp_path / "results.json"
    results = Results(path)
    results.put(mutant, "code", lambda test: f"hash of {test}", 10, ("killed", "test_a", 1))
    results.save()
    again = Results(path)
    assert again.get(mutant, "code", lambda test: f"hash of {test}", 99) == ("killed", "test_a", 1)
    assert again.get(mutant, "other code", lambda test: f"hash of {test}", 10) is None
    assert again.get(mutant, "code", lambda test: f"other hash of {test}", 10) is None
    results.put(mutant, "code", lambda test: f"hash of {test}", 10, ("survived", "", 1))
    assert results.get(mutant, "code", lambda test: f"hash of {test}", 10) == ("survived", "", 1)
    assert results.get(mutant, "code", lambda test: f"hash of {test}", 20) is None


def test_the_page_keeps_what_was_not_run_again(tmp_path):
    page = tmp_path / "MUTANTS.md"
    write(page, {"a.py": "| a.py | 1 |\n", "b.py": "| b.py | 2 |\n"}, {"a.py": "- one\n", "b.py": "- two\n"})
    write(page, {"b.py": "| b.py | 3 |\n"}, {"b.py": "- three\n"})
    text = page.read_text()
    assert "| a.py | 1 |\n| b.py | 3 |\n" in text and "## a.py\n\n- one\n" in text
    assert "three" in text and "two" not in text


def test_verdicts_on_what_survives_no_more_are_found(tmp_path):
    file = tmp_path / "mutants.txt"
    first, second = mutants("m.py", SOURCE)[1][:2]
    file.write_text(f"# A remark\nm.py\n  {first.key}\n    equivalent:\n    no\n  {second.key}\n    worth nothing: no\n")
    verdicts = Verdicts(file)
    assert verdicts.get(first) == "equivalent: no"
    assert verdicts.stale("m.py", [first]) == [second.key]
