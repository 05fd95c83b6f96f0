# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The libraries as they are compiled for the board: all that can be called stays, and every line where it is.

What goes is what only their developers need: their names' underscore says so, or it is of no use on a board. Private names
become short ones, which cost no memory as our code has them, too; a constant that nobody imports is private (mpy-cross keeps
no name of those); imports of types, versions, and what is written to a log that is never switched on are left out. So is a
function or method whose name is nowhere else, in no library, in no text and not in our code, and those of NAMESAKES; but no
method of a class that is made of one of the chip's. A name that our code, the chip or a text has as well is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tools.pack_source import Place, Source, replaced, without_statement

Files = dict[str, str]  # path -> text
LOG = ("debug", "info", "warning", "error", "critical")
UNUSED = ("__version__", "__repo__")
TYPES = ("typing", "types", "circuitpython_typing.socket")
# Of a class of a library, what is called nowhere although another object has a method of that name
NAMESAKES = {"MQTT": ("publish",)}  # mqtt/transport.py sends the messages, in pieces
HARMLESS = ("hex", "len", "repr", "str")  # what may be called for a line of the log: it has no other effect


def without_development(files: Files, kept: set[str], pool: Iterator[str]) -> Files:
    """The same libraries. `kept`: names that mean something outside of them; `pool`: short names."""
    sources = [Source(path, text) for path, text in sorted(files.items())]
    used = set().union(*[_names(source) for source in sources])
    imported = {one.name for source in sources for one in source.imports}
    texts = {text for source in sources for text in source.strings}
    free = (name for name in pool if name not in used and name not in kept)
    unused = _unused(sources, kept | texts)
    short: dict[str, str] = {}
    for name in sorted(used - kept - texts):
        is_constant = any(name in _constants(source) for source in sources)
        if is_constant and not name.startswith("_") and name not in imported:
            short[name] = "_" + name
        elif name.startswith("_") and not name.startswith("__") and not is_constant:
            short[name] = next(free)
    return {source.path: _edited(source, short, unused) for source in sources}


def _unused(sources: list[Source], kept: set[str]) -> set[ast.FunctionDef]:
    """The functions that nothing calls, nor those that only such functions call."""
    classes = [part for source in sources for part in ast.walk(source.tree) if isinstance(part, ast.ClassDef)]
    own = {one.name for one in classes}
    of_chip = [one for one in classes if not {ast.unparse(base) for base in one.bases} <= own]  # which calls methods, perhaps
    called = {id(part) for one in of_chip for part in one.body}
    functions = [part for source in sources for part in ast.walk(source.tree) if isinstance(part, ast.FunctionDef)]
    functions = [part for part in functions if id(part) not in called]
    unused = {part for one in classes for part in one.body if _name(part) in NAMESAKES.get(one.name, ())}
    while True:
        needed = kept.union(*[_used(source.tree, unused) for source in sources])
        more = {part for part in functions if part.name not in needed and not part.name.startswith("__")} - unused
        if not more:
            return {part for part in unused if isinstance(part, ast.FunctionDef)}
        unused |= more


def _name(node: ast.stmt) -> str:
    return node.name if isinstance(node, ast.FunctionDef) else ""


def _used(node: ast.AST, unused: set) -> set[str]:
    """The names that are used in a node, but for functions that are not."""
    found: set[str] = set()
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.FunctionDef) and part in unused:
            continue
        if isinstance(part, ast.Attribute):
            found.add(part.attr)
        elif isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.ImportFrom):
            found |= {alias.name for alias in part.names}
        is_its_own = isinstance(node, ast.FunctionDef) and part in node.decorator_list  # @name.setter names itself
        found |= set() if is_its_own and ast.unparse(part) == f"{node.name}.setter" else _used(part, unused)
    return found


def _names(source: Source) -> set[str]:
    """All names in a file."""
    found = {variable.name for scope in source.scopes for variable in scope.variables.values()}
    found |= {attribute.name for attribute in source.attributes} | {name for name, _, _ in source.keywords}
    return found | {one.name for one in source.imports}


def _constants(source: Source) -> set[str]:
    """The names at the top that are a const()."""
    calls = [n for n in source.tree.body if isinstance(n, ast.Assign) and isinstance(n.value, ast.Call)]
    return {ast.unparse(node.targets[0]) for node in calls if ast.unparse(node.value).startswith("const(")}


def _edited(source: Source, short: dict[str, str], unused: set[ast.FunctionDef]) -> str:
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
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and node in unused:
            _drop(source, node, edits)
    return replaced(source.text, edits)


def _drop(source: Source, node: ast.FunctionDef, edits: dict[Place, str]) -> None:
    """Add to the edits those that remove a function with its decorators; its lines stay."""
    first, last = min(part.lineno for part in (*node.decorator_list, node)), node.end_lineno or 0
    for place in [place for place in edits if first <= place[0] <= last]:
        del edits[place]
    for line in range(first, last + 1):
        edits[line, 0, len(source.lines[line - 1])] = node.col_offset * " " + "pass" if line == first else ""


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
