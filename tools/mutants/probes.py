# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Which test executes which statement: each statement in a function first sets a byte.

Not coverage.py: with a context for each test, the tests take four times as long under it, and with this a third longer.
"""

import ast
import importlib.machinery
import importlib.util
from pathlib import Path

_NAME = "_mutants_hits"


class Probes:
    """A finder and loader of all modules of some packages, with probes put in."""

    def __init__(self, root, packages):
        self.lines = {}  # {file: {line: {contexts}}}
        self.at_import = {}  # {file: {lines of functions executed while a module is imported}}
        self._root = Path(root)
        self._packages = packages
        self._places = []  # (file, line) of each probe
        self._hits = bytearray(1 << 16)
        self._context = None
        self._depth = 0

    def switch(self, context):
        """From here on what is executed counts for `context`; None: for nothing."""
        at = self._hits.find(1)
        while at >= 0:
            file, line = self._places[at]
            if self._depth:
                self.at_import.setdefault(file, set()).add(line)
            if self._context is not None:
                self.lines.setdefault(file, {}).setdefault(line, set()).add(self._context)
            self._hits[at] = 0
            at = self._hits.find(1, at)
        self._context, before = context, self._context
        return before

    def find_spec(self, name, path=None, target=None):
        """As a finder: only for files of the packages."""
        if name.split(".")[0] not in self._packages:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or not (spec.origin or "").endswith(".py"):
            return spec
        search = spec.submodule_search_locations
        return importlib.util.spec_from_file_location(name, spec.origin, loader=self, submodule_search_locations=search)

    def create_module(self, spec):
        """As a loader: the usual module."""

    def exec_module(self, module):
        """As a loader: execute the code with its probes, and note what is executed meanwhile."""
        path = Path(module.__file__)
        tree = ast.parse(path.read_text())
        self._put(tree, path.relative_to(self._root).as_posix(), False)
        ast.fix_missing_locations(tree)
        module.__dict__[_NAME] = self._hits
        self.switch(self._context)
        self._depth += 1
        try:
            exec(compile(tree, str(path), "exec", dont_inherit=True), module.__dict__)
        finally:
            self.switch(self._context)
            self._depth -= 1

    def get_source(self, name):
        """As a loader: for tracebacks and inspect."""
        return

    def _put(self, node, file, is_in_function):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        is_in_function = is_in_function or is_function
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if not isinstance(statements, list):
                continue
            probed = []
            for number, statement in enumerate(statements):
                is_docstring = is_function and number == 0 and ast.get_docstring(node, clean=False) is not None
                if is_in_function and not is_docstring and not isinstance(node, ast.ClassDef):
                    probed.append(self._probe(file, statement))
                self._put(statement, file, is_in_function)
                probed.append(statement)
            setattr(node, field, probed)
        for handler in [*getattr(node, "handlers", ()), *getattr(node, "cases", ())]:
            self._put(handler, file, is_in_function)

    def _probe(self, file, statement):
        self._places.append((file, statement.lineno))
        probe = ast.parse(f"{_NAME}[{len(self._places) - 1}] = 1").body[0]
        for part in ast.walk(probe):
            ast.copy_location(part, statement)
        return probe
