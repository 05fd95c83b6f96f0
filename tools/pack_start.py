# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Functions that only the start needs are forgotten when it is over: their bytecode is free memory from then on.

Such a function is only called, never passed on, and only by what runs once: by a function of START, or by another one of this
kind. Most of them are constructors. A name decides for all functions that have it, so nothing is forgotten that is perhaps
called elsewhere; names that mean something to Python, the chip or a library are left alone (`kept`). A constructor is forgotten
when only such code makes objects of its class, and of each class that is made of it.
"""

from __future__ import annotations

import ast
import collections
from collections.abc import Iterator
from typing import NamedTuple

Files = dict[str, str]  # path -> text
MAIN = "app/main.py"  # its function main() ends the start; app/crash.py unloads it before the loop runs
START = (MAIN, "app/hardware.py", "app/memory.py")  # their functions run once
FORGET = "forget_start"
INIT = "__init__"


class Function(NamedTuple):
    """A function at the top of a module, or a method: `kind` is its class, "" for none."""

    path: str
    kind: str
    name: str


class Use(NamedTuple):
    """`name` stands in `where` (None: it may run at any time); `is_call`: it is called there, and not passed on."""

    name: str
    where: Function | None
    is_call: bool


def without_start(files: Files, lasting: set[str], kept: set[str]) -> Files:
    """The same program, without them once main() has returned. `kept`: names that are always needed.

    `lasting`: the files whose functions are forgotten: those that are loaded for good with one battery. Of the others it would
    save less than it costs to say so.
    """
    if MAIN not in files:
        return files
    trees = {path: ast.parse(text) for path, text in files.items()}
    return {**files, MAIN: _with_end(files[MAIN], trees[MAIN], [one for one in once(trees, kept) if one.path in lasting])}


def once(trees: dict[str, ast.Module], kept: set[str]) -> list[Function]:
    """The functions that only the start needs."""
    kinds = [(path, node) for path, tree in trees.items() for node in tree.body if isinstance(node, ast.ClassDef)]
    functions = {Function(path, "", node.name) for path, tree in trees.items() for node in tree.body if _is_plain(node)}
    functions |= {Function(path, kind.name, node.name) for path, kind in kinds for node in kind.body if _is_plain(node)}
    made_of: dict[str, set[str]] = collections.defaultdict(set)  # class -> itself and those made of it
    for _, kind in kinds:
        made_of[kind.name].add(kind.name)
    for _ in kinds:
        for _, kind in kinds:
            for base in kind.bases:
                made_of[ast.unparse(base)] |= made_of[kind.name]
    uses: dict[str, list[Use]] = collections.defaultdict(list)
    for use in (use for path, tree in trees.items() for use in _uses(path, tree)):
        uses[use.name].append(use)
    found = {one for one in functions if one.path not in START and one.name not in kept and not one.name.startswith("__")}
    found = {one for one in found if one.name in uses}  # else nobody knows who calls it
    found |= {one for one in functions if one.path not in START and one.name == INIT}
    size = -1
    while len(found) != size:
        size = len(found)
        needed = {name for name in uses if not all(use.is_call and _is_of_start(use.where, found) for use in uses[name])}
        needed |= {one.name for one in functions - found if one.path not in START and one.name != INIT}
        found = {one for one in found if not needed & (made_of[one.kind] if one.name == INIT else {one.name})}
    return sorted(found)


def _is_of_start(where: Function | None, found: set[Function]) -> bool:
    return where is not None and (where.path in START or where in found)


def _is_plain(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and not node.decorator_list


def _uses(path: str, tree: ast.Module) -> Iterator[Use]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield from _of_function(path, "", node)
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                yield from _of_function(path, node.name, part) if isinstance(part, ast.FunctionDef) else _inside(part, None)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            yield from _inside(node, None)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            is_kept = path not in START and node in tree.body  # in another module's table
            yield from (
                Use(alias.name, None, False) for alias in node.names if alias.asname or (is_kept and alias.name.islower())
            )


def _of_function(path: str, kind: str, node: ast.FunctionDef) -> Iterator[Use]:
    for part in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
        if part is not None:
            yield from _inside(part, None)
    where = Function(path, kind, node.name)
    for statement in node.body:
        yield from _inside(statement, where)


def _inside(node: ast.AST, where: Function | None) -> Iterator[Use]:
    """The uses in a node; what is inside a function within the function may run later."""
    if isinstance(node, ast.FunctionDef | ast.Lambda | ast.GeneratorExp):
        where = None
    if isinstance(node, ast.Name):
        yield Use(node.id, where, False)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield Use(node.value, None, False)  # for getattr(), perhaps
    if isinstance(node, ast.Attribute):
        yield Use(node.attr, where, False)
        if isinstance(node.value, ast.Name):  # a class may be asked for a method of it
            return
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Name):
        yield Use(called.id, where, True)
    elif isinstance(called, ast.Attribute):
        yield Use(called.attr, where, True)
        yield from _inside(called.value, where)
    for part in ast.iter_child_nodes(node):
        if part is not called or not isinstance(called, ast.Name | ast.Attribute):
            yield from _inside(part, where)


def _with_end(text: str, tree: ast.Module, found: list[Function]) -> str:
    """MAIN's text with a function behind it that forgets these, called where main() returns: no line moves.

    They become None: what `del` takes out of a class stays in its table until the place is used again (MicroPython's py/map.c).
    """
    (main,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    last = main.body[-1]
    assert isinstance(last, ast.Return) and last.value is not None and last.end_lineno == last.lineno, ast.unparse(last)
    lines = text.rstrip("\n").split("\n")
    lines[last.lineno - 1] = f"{' ' * last.col_offset}made = {ast.unparse(last.value)}; {FORGET}(); return made"
    lines += ["", "", f"def {FORGET}():"]
    for path in sorted({one.path for one in found}):
        module = path.removesuffix(".py").replace("/", ".")
        package, _, name = module.rpartition(".")
        forgotten = [".".join(part for part in (name, one.kind, one.name) if part) for one in found if one.path == path]
        lines += [
            f'    if "{module}" in sys.modules:',
            f"        from {package} import {name}",
            f"        {' = '.join(forgotten)} = None",
        ]
    return "\n".join(lines) + "\n"
