# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Functions that only make a module's tables are deleted behind them: their bytecode is free memory once it is loaded.

Such a function is at the top of its module, is only called, never passed on, and only by what runs while the module is loaded:
by statements at the top, or by another function of this kind. What another module imports stays.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

Files = dict[str, str]  # path -> text
Use = tuple[str, str | None, bool]  # (name, function at the top that it is in; None: while loading, is it called)
ALWAYS = "<always>"  # in a method or a lambda, which may run at any time


def without_makers(files: Files) -> Files:
    """The same program, with the deletion of those behind their last use."""
    trees = {path: ast.parse(text) for path, text in files.items()}
    asked = {path: set(_asked_for(tree, False)) for path, tree in trees.items()}
    made = {}
    for path, text in files.items():
        others = set(_asked_for(trees[path], True)).union(*[names for other, names in asked.items() if other != path])
        names = makers(trees[path], others)
        made[path] = _with_deletion(text, trees[path], names) if names else text
    return made


def _with_deletion(text: str, tree: ast.Module, names: list[str]) -> str:
    """The text with the deletion on the last line of the last statement that uses one of them: no line moves."""
    last = [node for node in tree.body if any(name in names and where is None for name, where, _ in _of(node))][-1]
    assert isinstance(last, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr) and last.end_lineno, ast.unparse(last)
    lines = text.split("\n")
    line = lines[last.end_lineno - 1].encode()[: last.end_col_offset].decode()  # a comment behind it goes
    lines[last.end_lineno - 1] = f"{line}; del {', '.join(names)}"
    return "\n".join(lines)


def makers(tree: ast.Module, others: set[str]) -> list[str]:
    """Their names in one module. `others`: names that are used from outside."""
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)} - others
    uses = list(_uses(tree))
    found &= {name for name, _, _ in uses}
    size = -1
    while len(found) != size:
        size = len(found)
        found -= {name for name, where, is_called in uses if not is_called or (where is not None and where not in found)}
    return sorted(found)


def _uses(tree: ast.Module) -> Iterator[Use]:
    for node in tree.body:
        yield from _of(node)


def _of(node: ast.stmt) -> Iterator[Use]:
    """The uses in a statement at the top."""
    yield from _inside(node, None, is_top=isinstance(node, ast.FunctionDef))


def _inside(node: ast.AST, where: str | None, is_top: bool = False) -> Iterator[Use]:
    """The uses in a node, which stands in `where`."""
    if isinstance(node, ast.FunctionDef | ast.Lambda):
        for part in ast.iter_child_nodes(node.args):
            yield from _inside(part, where)
        inner = node.name if is_top and isinstance(node, ast.FunctionDef) else ALWAYS
        for part in node.body if isinstance(node.body, list) else [node.body]:
            yield from _inside(part, inner)
        return
    if isinstance(node, ast.Name):
        yield node.id, where, False
        return
    called = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None
    if called is not None:
        yield called.id, where, True
    for part in ast.iter_child_nodes(node):
        if part is not called:
            yield from _inside(part, where)


def _asked_for(tree: ast.Module, is_own: bool) -> Iterator[str]:
    """Names that a module imports, takes of another object or has as a text; of its own only the texts.

    A name with an underscore is only used in its own module (tests/test_architecture.py).
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not is_own:
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute) and not is_own and not node.attr.startswith("_"):
            yield node.attr  # of a module, perhaps
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not node.value.startswith("_"):
            yield node.value  # for getattr(), perhaps
