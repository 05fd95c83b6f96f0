# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which tests can notice a change: those that execute its line; for a constant, those that execute a line that names it."""

import ast
from pathlib import Path

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Names:
    """Where the names of a project's modules are used."""

    def __init__(self, root, files, test_files):
        self._modules = [_Module(file, (Path(root) / file).read_text()) for file in files]
        self._tests = [_Module(file, (Path(root) / file).read_text()) for file in test_files]

    def uses(self, file, names):
        """({(file, line)} in functions, {test files}) that depend on module-level `names` of `file`, also through others."""
        lines = set()
        tests = set()
        seen = set()
        waiting = [(file, name) for name in names]
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            origin, name = place
            for module in self._modules:
                if module.file == origin or module.knows(origin):
                    lines |= {(module.file, line) for line in module.lines.get(name, ())}
                    waiting += [(module.file, bound) for bound in module.bound_by.get(name, ())]
            tests |= {test.file for test in self._tests if test.knows(origin) and test.mentions(name)}
        return lines, tests

    def tests_of(self, file):
        """The files of tests that import the module in `file` themselves."""
        return {test.file for test in self._tests if test.knows(file)}


class _Module:
    def __init__(self, file, source):
        self.file = file
        self.lines = {}  # name → lines of functions that use it
        self.bound_by = {}  # name → names that a statement outside functions makes out of it
        self._imported = set()  # last parts of the names of modules
        self._names = set()
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._imported |= {alias.name.split(".")[-1] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                self._imported |= {(node.module or "").split(".")[-1]} | {alias.name for alias in node.names}
            self._names |= set(_names_of(node))
        for statement in tree.body:
            self._statement(statement, ())

    def knows(self, file):
        """Whether it imports the module in `file`."""
        return Path(file).stem in self._imported

    def mentions(self, name):
        """Whether the name occurs anywhere."""
        return name in self._names

    def _statement(self, node, outer):
        if isinstance(node, _FUNCTIONS):
            for part in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.decorator_list]:
                self._made((*outer, node.name), part)
            for part in node.body:
                self._in_function(part)
        elif isinstance(node, ast.ClassDef):
            for part in [*node.bases, *node.decorator_list]:
                self._made((*outer, node.name), part)
            for part in node.body:
                self._statement(part, (*outer, node.name))
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            self._made((*outer, *stored), node)

    def _made(self, names, node):
        for part in ast.walk(node):
            if isinstance(part, ast.Lambda):
                self._in_function(part.body)
            for name in _names_of(part):
                self.bound_by.setdefault(name, set()).update(names)

    def _in_function(self, node):
        for part in ast.walk(node):
            for name in _names_of(part):
                self.lines.setdefault(name, set()).add(getattr(part, "lineno", node.lineno))


def _names_of(node):
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        return (node.attr,)
    if isinstance(node, ast.alias):
        return (node.name,)
    return ()


class Selection:
    """`covered`: what runner.cover() has found, of all files of tests."""

    def __init__(self, covered, names):
        self._covered = covered
        self._names = names
        self._at_import = {}
        for part in covered.values():
            for file, lines in part.at_import.items():
                self._at_import.setdefault(file, set()).update(lines)

    def needs_import(self, mutant):
        """Whether a change has an effect only in a module that is imported after it was made."""
        return not mutant.function or mutant.begin in self._at_import.get(mutant.file, ())

    def tests(self, mutant):
        """Node ids, in no order."""
        found = set()
        places = {(mutant.file, mutant.begin)} if mutant.function else set()
        if self.needs_import(mutant):
            places_by_name, files = self._names.uses(mutant.file, mutant.names)
            places |= places_by_name
            for file in files:
                found.update(self._covered[file].seconds if file in self._covered else ())
        for file, line in places:
            for part in self._covered.values():
                found.update(part.lines.get(file, {}).get(line, ()))
        return found
