# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The stand-ins for the chip have no name and no parameter that CircuitPython's own stubs do not have.

Both sides are parsed, not imported. A stand-in may have less than the board: what the firmware does not use is left out.
"""

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest

STANDINS = Path(__file__).parent.parent / "host" / "standins"
PACKAGES = Path(str(importlib.metadata.distribution("circuitpython-stubs").locate_file("")))

# (module, class or None, function): why it differs from the stub.
DIFFERENT = {
    ("socketpool", "Socket", "recv_into"): "the stub forgets that bufsize is optional",
    ("socketpool", "Socket", "__init__"): "made by SocketPool.socket() only",
    ("microcontroller", "Pin", "__init__"): "made by board only",
    ("micropython", None, "const"): "the stub is written in Python 3.12's syntax",
}
IMPLICIT = {"__repr__", "__len__", "__bool__"}  # what CircuitPython's C does and the stubs do not mention


def names() -> list[str]:
    """Of a module in a package with a dot, alarm.time; of the package without __init__."""
    places = [path.relative_to(STANDINS).with_suffix("").parts for path in STANDINS.rglob("*.py")]
    return sorted(".".join(part for part in parts if part != "__init__") for parts in places)


def place(name: str) -> Path:
    path = STANDINS / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def parse(path: Path) -> ast.Module:
    text = path.read_text()
    return ast.parse(re.sub(r"def const\[T\]", "def const", text))


def members(body: list) -> dict:
    """Name -> node of everything a module or class defines, attributes assigned to self included."""
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, node)  # of a property, the getter; of overloads, the first
        elif isinstance(node, ast.AnnAssign):
            found[node.target.id] = node
        elif isinstance(node, ast.Assign):
            found.update({name.id: node for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)})
        if isinstance(node, ast.FunctionDef):
            found.update({name: node for name in own_attributes(node) if name not in found})
    return {name: node for name, node in found.items() if name.startswith("__") or not name.startswith("_")}


def own_attributes(function: ast.FunctionDef) -> set:
    targets = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return {node.attr for node in targets if isinstance(node.value, ast.Name) and node.value.id == "self"}


def imported(tree: ast.Module) -> set:
    """Public names a module has only because it imports them: on the board they would not be there."""
    aliases = [alias for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return {alias.asname or alias.name for alias in aliases} - {"annotations", "sys"}


def is_property(function) -> bool:
    return any(isinstance(mark, ast.Name) and mark.id == "property" for mark in function.decorator_list)


def parameters(function: ast.FunctionDef) -> list:
    """(name, positional or keyword, has a default) of each, without self."""
    arguments = function.args
    positional = arguments.posonlyargs + arguments.args
    required = len(positional) - len(arguments.defaults)
    listed = [(argument.arg, "positional", index >= required) for index, argument in enumerate(positional)]
    listed += [
        (argument.arg, "keyword", default is not None) for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults)
    ]
    return [row for row in listed if row[0] != "self"]


def stub(name: str) -> dict:
    first, *rest = name.split(".")
    return members(parse(PACKAGES.joinpath(f"{first}-stubs", *rest, "__init__.pyi")).body)


def board_pins() -> set:
    """Every pin of every ESP32-S2 and -S3 board CircuitPython knows."""
    folders = [path for path in (PACKAGES / "board_definitions").iterdir() if "IO48:" in read(path) or "s2" in path.name]
    return {name for folder in folders for name in re.findall(r"^(\w+): microcontroller\.Pin", read(folder), re.MULTILINE)}


def read(folder: Path) -> str:
    path = folder / "__init__.pyi"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("name", [name for name in names() if name != "board"])
def test_a_module_has_only_what_the_stub_has(name):
    compare(name, None, members(parse(place(name)).body), stub(name))


def test_the_board_has_only_pins_that_real_boards_have():
    ours = set(members(parse(STANDINS / "board.py").body))
    assert ours - {"board_id"} <= board_pins()
    assert {"TX", "RX", "SDA", "SCL", "LED", "IO0", "IO17", "IO48"} <= ours


@pytest.mark.parametrize("name", names())
def test_a_module_shows_nothing_it_imports(name):
    visible = {public for public in imported(parse(place(name))) if not public.startswith("_")}
    assert not visible


def compare(module: str, owner, ours: dict, theirs: dict):
    for name, node in ours.items():
        if (module, owner, name) in DIFFERENT or name in IMPLICIT:
            continue
        assert name in theirs, f"{module}.{owner or ''}.{name} is not in the stub"
        if isinstance(node, ast.ClassDef):
            compare(module, name, members(node.body), members(theirs[name].body))
        elif isinstance(theirs[name], ast.FunctionDef) and name != "__exit__":  # the stubs leave its arguments out
            assert isinstance(node, ast.FunctionDef) and not is_property(node)
            assert parameters(node) == parameters(theirs[name]), f"{module}.{owner or ''}.{name}"
