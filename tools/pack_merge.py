# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Modules that are always loaded together become one file, whose text is theirs one after the other.

Each file costs a board a collection of garbage when it is loaded (28 ms on an ESP32-S2), tables of its own, and once more every
name that it imports. Names at the top of two modules that are not the same get different ones; imports between the modules go.
A traceback has the line in the merged file: `python -m tools.pack --line daly/core.py:1234` says where that is here.
"""

from __future__ import annotations

import ast
import builtins
import collections
from collections.abc import Iterator

from tools.pack_source import Attribute, Place, Source, Variable, replaced, source_of, without_statement

Files = dict[str, str]  # path -> text
Groups = dict[str, tuple[str, ...]]
Key = tuple[str, str]  # (module, name) of what is at the top of a module; ("", module) of a module itself

# Merged module -> its members. They are loaded whatever the settings say, or the last one needs the others, and never unloaded.
# app.loop is alone because the campaigns put a simulated clock in its place, app.log because app.loop needs it.
GROUPS: Groups = {
    "app.early": ("app.kept", "app.nvm_store", "app.version", "app.watchdog", "battery.unload"),
    "app.core": ("app.bridge_state", "app.commands", "app.console", "app.diagnostics", "app.energy_store", "app.events"),
    "daly.core": ("battery.alarms", "battery.energy", "battery.json", "battery.pack",
                  "battery.plausibility", "battery.polarity", "battery.readings", "battery.text",
                  "daly.alarm_bytes", "daly.bus", "daly.detector", "daly.diagnosis", "daly.outcomes",
                  "daly.poller", "daly.schedule", "daly.timing", "daly.trace"),
    "display.core": ("display.pages", "display.screen"),
    "outputs.core": ("outputs.output", "outputs.values"),
    "mqtt.core": ("battery.spreads", "mqtt.battery_publisher", "mqtt.client", "mqtt.commands", "mqtt.deadband",
                  "mqtt.publisher", "mqtt.transport"),
    "web.core": ("app.web", "web.history", "web.server"),
}  # fmt: skip
START = "app.main"  # its functions run once, whatever the settings say


def path_of(module: str) -> str:
    """Of a module that is no package."""
    return module.replace(".", "/") + ".py"


class Merger:
    """Makes the merged files out of these."""

    def __init__(self, sources: dict[str, Source], groups: Groups):
        self._sources = sources
        self._groups = {target: _ordered(sources, members) for target, members in groups.items()}
        self._target = {member: target for target, members in groups.items() for member in members}
        self._names: dict[tuple[str, Key], str] = {}  # (merged module, what) -> its name there
        for target, members in self._groups.items():
            self._name(target, members)
        self._imported: set[tuple[str, Key]] = set()  # (merged module, what), of what has been imported there

    def files(self) -> Files:
        """Path -> text."""
        single = {s.path: self._edited(s) for s in self._sources.values() if s.name not in self._target}
        groups = self._groups.items()
        return {**single, **{path_of(name): "".join(self._edited(self._sources[m]) for m in group) for name, group in groups}}

    # names

    def _name(self, target: str, members: list[str]) -> None:
        """Give everything at the top of the members its name in the merged module."""
        spelt: dict[Key, list[tuple[Source, str]]] = collections.defaultdict(list)
        for source in map(self._sources.__getitem__, members):
            for variable in source.scopes[0].variables.values():
                spelt[self._meaning(variable)].append((source, variable.name))
            for attribute, module in self._through_modules(source):
                if module in members:
                    spelt[module, attribute.name].append((source, ""))
        taken: set[str] = set()
        for key in sorted(spelt, key=lambda key: key[0] != ""):  # modules first: they keep their names
            wanted = key[1] if key[0] in members else spelt[key][0][1]
            candidates = [wanted, *(f"{wanted}_{number}" for number in range(2, 20))]
            others = {
                name
                for source, spelling in spelt[key]
                for scope in source.scopes[1:]
                for name in scope.variables
                if spelling != wanted
            }
            free = (name for name in candidates if name not in taken | others and not hasattr(builtins, name))
            new = wanted if wanted.startswith("__") else next(free)
            if key[0] == "" and new != wanted:
                raise ValueError(f"{target}: {wanted} is a module and something else")
            taken.add(new)
            self._names[target, key] = new

    def _meaning(self, variable: Variable) -> Key:
        """What a variable at the top of a module stands for."""
        if variable.imported is None or variable.bindings != 1:
            return self._module(variable), variable.name
        module, name = variable.imported
        if name is None or f"{module}.{name}" in self._sources:
            return "", module if name is None else f"{module}.{name}"
        if module in self._sources and name in self._sources[module].scopes[0].variables:
            return self._meaning(self._sources[module].scopes[0].variables[name])
        return module, name

    def _module(self, variable: Variable) -> str:
        return next(source.name for source in self._sources.values() if source.scopes[0] is variable.scope.module)

    def _through_modules(self, source: Source) -> Iterator[tuple[Attribute, str]]:
        """Each `module.name` of a grouped module."""
        for attribute in source.attributes:
            if attribute.base is not None and attribute.base.imported:
                module = ".".join(part for part in attribute.base.imported if part)
                if module in self._target:
                    yield attribute, module

    def _named(self, module: str, name: str) -> tuple[str, str]:
        """(module, name) by which others import what was in a module."""
        target = self._target.get(module)
        if target is None:
            return module, name
        return target, self._names[target, self._meaning(self._sources[module].scopes[0].variables[name])]

    # texts

    def _edited(self, source: Source) -> str:
        target = self._target.get(source.name)
        edits: dict[Place, str] = {}
        if target is not None:
            for variable in source.scopes[0].variables.values():
                key = self._meaning(variable)
                if self._target.get(key[1]) != target or key[0]:  # else a module that is no more: see below
                    edits.update(dict.fromkeys(variable.places, self._names[target, key]))
        for attribute, module in self._through_modules(source):
            _, name = self._named(module, attribute.name)
            if self._target[module] == target:
                edits[attribute.whole] = name
            else:
                edits[attribute.place] = name
        for statement in {id(one.statement): one.statement for one in source.imports}.values():
            self._edit_import(source, target, statement, edits)
        for node in source.tree.body:
            if isinstance(node, ast.Import) and target is not None:
                self._drop_second(source, target, node, edits)
        text = replaced(source.text, edits)
        return text if text.endswith("\n") else text + "\n"

    def _drop_second(self, source: Source, target: str, node: ast.Import, edits: dict[Place, str]) -> None:
        """Remove an `import name` that an earlier member has, too."""
        (alias,) = node.names
        key = ("", alias.name)
        if (target, key) in self._imported:
            without_statement(source, node, edits)
        self._imported.add((target, key))

    def _edit_import(self, source: Source, target: str | None, statement: ast.ImportFrom, edits: dict[Place, str]) -> None:
        at_top = target is not None and statement in source.tree.body
        parts: dict[str, list[str]] = {}
        is_changed = False
        for one in (one for one in source.imports if one.statement is statement):
            local = one.variable.name
            if at_top:
                assert target is not None
                key = self._meaning(one.variable)
                if self._target.get(key[0] or key[1]) == target or (target, key) in self._imported:
                    is_changed = True
                    continue
                self._imported.add((target, key))
                local = self._names[target, key]
            whole = f"{one.module}.{one.name}"
            if whole in self._target:
                module, _, name = self._target[whole].rpartition(".")
            else:
                module, name = self._named(one.module, one.name)
            is_moved = target is not None and statement.level and _package(target) != source.package
            is_changed = is_changed or is_moved or (module, name, local) != (one.module, one.name, one.variable.name)
            parts.setdefault(module, []).append(name + (f" as {local}" if local != name else ""))
        if is_changed:
            without_statement(source, statement, edits)
            imports = "; ".join(f"from {module} import {', '.join(names)}" for module, names in parts.items())
            edits[source.place(statement)] = imports


def _ordered(sources: dict[str, Source], members: tuple[str, ...]) -> list[str]:
    """The members, each behind those that it imports."""
    found: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"modules import each other: {' '.join(path)} {name}")
        if name not in members or name in found:
            return
        for needed in _needed(sources[name]):
            visit(needed, (*path, name))
        found.append(name)

    for name in sorted(members):
        visit(name, ())
    return found


def _needed(source: Source) -> list[str]:
    """The modules that are loaded before this one."""
    at_top = [one for one in source.imports if one.statement in source.tree.body]
    return sorted({name for one in at_top for name in (one.module, f"{one.module}.{one.name}")} - {source.name})


def _by_name(files: Files) -> dict[str, Source]:
    return {source.name: source for source in (source_of(path, text) for path, text in sorted(files.items()))}


def merged(files: Files, groups: Groups = GROUPS) -> Files:
    """The same program in fewer files; packages without a text of their own need no __init__.py on a board."""
    sources = _by_name(files)
    check(sources, groups)
    made = Merger(sources, groups).files()
    return {path: text for path, text in made.items() if not (path.endswith("__init__.py") and _is_empty(text))}


def _is_empty(text: str) -> bool:
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in ast.parse(text).body)


def origins(files: Files, groups: Groups = GROUPS) -> dict[str, list[tuple[str, int]]]:
    """Path in the packed form -> of each of its lines (path, line) here. `files`: those before merging."""
    sources = _by_name(files)
    members = {path_of(target): _ordered(sources, group) for target, group in groups.items()}
    members.update({path: [name] for name, source in sources.items() if (path := source.path) not in members})
    return {
        path: [(sources[n].path, i + 1) for n in names for i in range(len(sources[n].lines))] for path, names in members.items()
    }


# What may be merged


def check(sources: dict[str, Source], groups: Groups) -> None:
    """Raises ValueError for a group whose members are not loaded together, or not for good."""
    unloaded = {name: _unloaded(source) for name, source in sources.items()}
    for target, members in groups.items():
        if target in sources:
            raise ValueError(f"{target} is a module of its own, not to be merged with others")
        for source in sources.values():
            for what in sorted(unloaded[source.name] & set(members)):
                raise ValueError(f"{source.path} unloads {what}, so it cannot be in {target}")
            for name, statement in _seldom(source):
                if name in members and not set(members) <= _loaded_with(sources, name):
                    raise ValueError(
                        f"{source.path} line {statement.lineno} imports {name} only then: it cannot be in {target}"
                    )
            if source.name in members and "__name__" in source.builtins and _package(target) != source.package:
                raise ValueError(f"{source.path} asks for its __name__, which would be {target}")


def _package(module: str) -> str:
    return module.rpartition(".")[0]


def _unloaded(source: Source) -> set[str]:
    """The modules whose names stand as text: whole, ".name", or "name" in a call of unload()."""
    calls = [n for n in ast.walk(source.tree) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("unload")]
    words = {f".{part.value}" for call in calls for part in call.args if isinstance(part, ast.Constant)} | source.strings
    return words | {source.package + word for word in words if word.startswith(".")}


def _seldom(source: Source) -> Iterator[tuple[str, ast.ImportFrom]]:
    """(module, statement) of the imports that may never be executed: in a function (but START's), in an `if` or a `try`."""
    always = list(source.tree.body)
    if source.name == START:
        always += [part for node in source.tree.body if isinstance(node, ast.FunctionDef) for part in node.body]
    for one in source.imports:
        if one.statement not in always:
            yield from ((name, one.statement) for name in (one.module, f"{one.module}.{one.name}"))


def _loaded_with(sources: dict[str, Source], name: str) -> set[str]:
    """A module and those that it imports, and those that these import."""
    found: set[str] = set()
    left = [name]
    while left:
        name = left.pop()
        if name in sources and name not in found:
            found.add(name)
            left += _needed(sources[name])
    return found
