# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The libraries as they are compiled for the board: all they do stays, and every line where it is.

What goes is what only their developers need: their names' underscore says so, or it is of no use on a board. Private names
become short ones, which cost no memory as our code has them, too; a constant that nobody imports is private (mpy-cross keeps
no name of those); imports of types, versions, and what is written to a log that is never switched on are left out. Every
method stays, used or not. A name that our code, the chip or a text has as well is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.pack_source import Place, Source, replaced, without_statement

Files = dict[str, str]  # path -> text
LOG = ("debug", "info", "warning", "error", "critical")
UNUSED = ("__version__", "__repo__")
TYPES = ("typing", "types", "circuitpython_typing.socket")
HARMLESS = ("hex", "len", "repr", "str")  # what may be called for a line of the log: it has no other effect


def without_development(files: Files, kept: set[str], pool: Iterator[str]) -> Files:
    """The same libraries. `kept`: names that mean something outside of them; `pool`: short names."""
    sources = [Source(path, text) for path, text in sorted(files.items())]
    used = set().union(*[_names(source) for source in sources])
    imported = {one.name for source in sources for one in source.imports}
    texts = {text for source in sources for text in source.strings}
    free = (name for name in pool if name not in used and name not in kept)
    short: dict[str, str] = {}
    for name in sorted(used - kept - texts):
        is_constant = any(name in _constants(source) for source in sources)
        if is_constant and not name.startswith("_") and name not in imported:
            short[name] = "_" + name
        elif name.startswith("_") and not name.startswith("__") and not is_constant:
            short[name] = next(free)
    return {source.path: _edited(source, short) for source in sources}


def _names(source: Source) -> set[str]:
    """All names in a file."""
    found = {variable.name for scope in source.scopes for variable in scope.variables.values()}
    found |= {attribute.name for attribute in source.attributes} | {name for name, _, _ in source.keywords}
    return found | {one.name for one in source.imports}


def _constants(source: Source) -> set[str]:
    """The names at the top that are a const()."""
    calls = [n for n in source.tree.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call)]
    return {ast.unparse(node.targets[0]) for node in calls if ast.unparse(node.value).startswith("const(")}


def _edited(source: Source, short: dict[str, str]) -> str:
    edits: dict[Place, str] = {}
    for scope in source.scopes:
        for variable in scope.variables.values():
            if variable.name in short:
                edits.update(dict.fromkeys(variable.places, short[variable.name]))
    named = [(attribute.name, attribute.place) for attribute in source.attributes]
    named += [(name, place) for name, place, _ in source.keywords]
    edits.update({place: short[name] for name, place in named if name in short})
    for one in source.imports:
        name = short.get(one.name, one.name)
        local = short.get(one.variable.name, one.variable.name)
        edits[one.place] = name if name == local else f"{name} as {local}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.stmt) and _is_left_out(node):
            without_statement(source, node, edits)
            edits[source.place(node)] = "pass"
    return replaced(source.text, edits)


def _is_left_out(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) in UNUSED
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = ast.unparse(node.value.func)
        inside = [ast.unparse(n.func) for n in ast.walk(node.value) if isinstance(n, ast.Call) and n is not node.value]
        return called in [f"self.logger.{level}" for level in LOG] and set(inside) <= set(HARMLESS)
    if isinstance(node, ast.Try) and all(ast.unparse(handler.type or node) == "ImportError" for handler in node.handlers):
        body = [*node.body, *[part for handler in node.handlers for part in handler.body]]
        return any(isinstance(part, ast.ImportFrom) for part in body) and _is_of_types(body)
    if isinstance(node, ast.If) and ast.unparse(node.test) == "not sys.implementation.name == 'circuitpython'":
        return not node.orelse and _is_of_types(node.body)
    return False


def _is_of_types(body: list[ast.stmt]) -> bool:
    return all(isinstance(part, ast.Pass) or (isinstance(part, ast.ImportFrom) and part.module in TYPES) for part in body)
