# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""What the packer knows of a source file: each name with its place, and the variable that it means.

Places are (line, first column, column behind it), columns in characters. Expressions in f-strings have no right place in
Python's syntax tree before 3.12, so they are found here.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

Place = tuple[int, int, int]
FUNCTIONS = (ast.FunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
UNKNOWN = (ast.Nonlocal, ast.AsyncFunctionDef, ast.Match)
SCOPES = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef)


@dataclass(eq=False)
class Variable:
    """A name in one scope. `imported`: (module, name, None: the module itself) of an import."""

    name: str
    scope: Scope
    is_parameter: bool = False
    bindings: int = 0
    imported: tuple[str, str | None] | None = None
    places: list[Place] = field(default_factory=list)
    loads: list[Place] = field(default_factory=list)
    in_text: bool = False  # used within an f-string


@dataclass(eq=False)
class Scope:
    """A module, class or function (a lambda and a comprehension, too). `region`: the outermost function, or the module."""

    node: ast.AST
    outer: Scope | None
    variables: dict[str, Variable] = field(default_factory=dict)
    globals: set[str] = field(default_factory=set)
    used: list[Variable] = field(default_factory=list)  # in it and in what is inside

    @property
    def kind(self) -> str:
        kinds = {ast.Module: "module", ast.ClassDef: "class"}
        return kinds.get(type(self.node), "function")  # type: ignore[arg-type]

    @property
    def region(self) -> Scope:
        scope = self
        while scope.kind == "function" and scope.outer is not None and scope.outer.kind == "function":
            scope = scope.outer
        return scope

    @property
    def module(self) -> Scope:
        return self if self.outer is None else self.outer.module


@dataclass
class Attribute:
    """`base.name`: `base` is the variable it is of, None for any other expression; `whole` is the place of both."""

    name: str
    place: Place
    whole: Place
    base: Variable | None
    is_stored: bool
    in_text: bool


@dataclass
class Import:
    """One name of `from module import name as alias`, in its statement."""

    module: str
    name: str
    variable: Variable
    place: Place  # of all of it
    statement: ast.ImportFrom


class Source(ast.NodeVisitor):
    """A file of the program, read."""

    def __init__(self, path: str, text: str):
        self.path = path
        self.text = text
        self.lines = text.splitlines()
        self.name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self.package = self.name if path.endswith("__init__.py") else self.name.rpartition(".")[0]
        self.scopes: list[Scope] = []
        self.attributes: list[Attribute] = []
        self.keywords: list[tuple[str, Place, ast.expr]] = []  # with the function that is called
        self.imports: list[Import] = []
        self.modules: list[Variable] = []  # of `import name`, which keep their names
        self.strings: set[str] = set()
        self.looked_up: set[str] = set()  # names in getattr() and its like
        self.field_names: list[tuple[str, Place]] = []  # of namedtuples
        self.namedtuples: list[list[str]] = []
        self.builtins: set[str] = set()
        self.identities: set[str] = set()  # names compared by `is`
        self._text: tuple[int, int, str] | None = None  # within an f-string: line and column of the expression, itself
        self._tokens = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type == tokenize.STRING]
        self.tree = ast.parse(text)
        self._scope = self._open(self.tree, self.tree.body)
        for node in self.tree.body:
            self.visit(node)

    # places

    def _column(self, line: int, column: int) -> tuple[int, int]:
        if self._text is None:
            return line, len(self.lines[line - 1].encode()[:column].decode())
        at_line, at_column, text = self._text
        if line != 1:
            raise ValueError(f"{self.path} line {at_line}: an expression of several lines in an f-string")
        return at_line, at_column + len(text.encode()[:column].decode())

    def place(self, node) -> Place:
        """Of a node of one line; of others, its first line."""
        line, begin = self._column(node.lineno, node.col_offset)
        end = (
            self._column(node.end_lineno, node.end_col_offset)[1]
            if node.end_lineno == node.lineno
            else len(self.lines[line - 1])
        )
        return line, begin, end

    def _word(self, word: str, line: int, column: int) -> Place:
        """The next place of a word, from a column in characters on."""
        found = re.compile(rf"\b{word}\b").search(self.lines[line - 1], column)
        if found is None:
            raise ValueError(f"{self.path} line {line}: no {word}")
        return line, found.start(), found.end()

    # scopes

    def _open(self, node: ast.AST, body: list) -> Scope:
        scope = Scope(node, getattr(self, "_scope", None))
        self.scopes.append(scope)
        inside = [inner for part in body for inner in _same_scope(part)]
        scope.globals = {name for inner in inside if isinstance(inner, ast.Global) for name in inner.names}
        for name in _bound(inside):
            if name not in scope.globals:
                scope.variables.setdefault(name, Variable(name, scope))
        return scope

    def find(self, name: str) -> Variable | None:
        """The variable that a name means here; None: it is built in."""
        scope: Scope | None = self._scope
        first = True
        while scope is not None:
            if name in scope.globals:
                return scope.module.variables[name]
            if name in scope.variables and (first or scope.kind != "class"):
                return scope.variables[name]
            first = False
            scope = scope.outer
        return None

    def _use(self, name: str, place: Place, is_bound: bool, is_loaded: bool = False) -> Variable | None:
        variable = self.find(name)
        if variable is None:
            self.builtins.add(name)
            return None
        variable.places.append(place)
        variable.bindings += is_bound
        if is_loaded:
            variable.loads.append(place)
            variable.in_text = variable.in_text or self._text is not None
        scope: Scope | None = self._scope
        while scope is not None:
            scope.used.append(variable)
            scope = scope.outer
        return variable

    # nodes

    def visit_Name(self, node: ast.Name):
        self._use(node.id, self.place(node), not isinstance(node.ctx, ast.Load), isinstance(node.ctx, ast.Load))

    def visit_Attribute(self, node: ast.Attribute):
        self.visit(node.value)
        line, end = self._column(node.end_lineno or 0, node.end_col_offset or 0)
        base = self.find(node.value.id) if isinstance(node.value, ast.Name) else None
        place = (line, end - len(node.attr), end)
        is_stored = not isinstance(node.ctx, ast.Load)
        self.attributes.append(Attribute(node.attr, place, self.place(node), base, is_stored, self._text is not None))

    def visit_Call(self, node: ast.Call):
        self.visit(node.func)
        if isinstance(node.func, ast.Name) and node.func.id == "namedtuple":
            return self._namedtuple(node)
        if isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr", "setattr", "delattr"):
            self.looked_up |= {str(part.value) for part in ast.walk(node.args[1]) if isinstance(part, ast.Constant)}
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg is not None:
                line, begin = self._column(keyword.lineno, keyword.col_offset)
                self.keywords.append((keyword.arg, (line, begin, begin + len(keyword.arg)), node.func))
            self.visit(keyword.value)
        return None

    def _namedtuple(self, node: ast.Call):
        title, fields = node.args
        assert isinstance(fields, ast.Tuple)
        for name in (title, *fields.elts):
            assert isinstance(name, ast.Constant)
            line, begin, end = self.place(name)
            self.field_names.append((name.value, (line, begin + 1, end - 1)))
        self.namedtuples.append([name.value for name in fields.elts])  # type: ignore[attr-defined]

    def visit_Constant(self, node: ast.Constant):
        if isinstance(node.value, str):
            self.strings.add(node.value)

    def visit_Compare(self, node: ast.Compare):
        if any(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops):
            self.identities |= {part.id for part in (node.left, *node.comparators) if isinstance(part, ast.Name)}
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr):
        begin, end = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
        for token in self._tokens:
            line, column = token.start
            at = (line, len(self.lines[line - 1][:column].encode()))
            if begin <= at < end and "f" in token.string[: token.string.find(token.string[-1])].lower():
                for offset, text in _expressions(token.string):
                    before = token.string[:offset]
                    lines = before.count("\n")
                    column = len(before) - before.rfind("\n") - 1 if lines else token.start[1] + len(before)
                    self._text = (line + lines, column - 1, f"({text})")
                    self.visit(ast.parse(f"({text})", mode="eval").body)
                    self._text = None

    def visit_FunctionDef(self, node: ast.FunctionDef):
        for part in (*node.decorator_list, *_outside(node.args), *([node.returns] if node.returns else [])):
            self.visit(part)
        self._use(node.name, self._word(node.name, node.lineno, self._column(node.lineno, node.col_offset)[1] + 3), True)
        self._function(node, node.body)

    def visit_Lambda(self, node: ast.Lambda):
        for part in _outside(node.args):
            self.visit(part)
        self._function(node, [node.body])

    def _function(self, node: ast.FunctionDef | ast.Lambda, body: list):
        outer, self._scope = self._scope, self._open(node, body)
        for argument in _arguments(node.args):
            self._scope.variables[argument.arg] = Variable(argument.arg, self._scope, is_parameter=True)
            line, begin = self._column(argument.lineno, argument.col_offset)
            self._use(argument.arg, (line, begin, begin + len(argument.arg)), True)
        for part in body:
            self.visit(part)
        self._scope = outer

    def visit_ClassDef(self, node: ast.ClassDef):
        for part in (*node.decorator_list, *node.bases):
            self.visit(part)
        self._use(node.name, self._word(node.name, node.lineno, self._column(node.lineno, node.col_offset)[1] + 5), True)
        outer, self._scope = self._scope, self._open(node, node.body)
        for part in node.body:
            self.visit(part)
        self._scope = outer

    def _comprehension(self, node):
        self.visit(node.generators[0].iter)
        outer, self._scope = self._scope, self._open(node, [generator.target for generator in node.generators])
        for index, generator in enumerate(node.generators):
            self.visit(generator.target)
            if index:
                self.visit(generator.iter)
            for condition in generator.ifs:
                self.visit(condition)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part)
        self._scope = outer

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension

    def visit_Import(self, node: ast.Import):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            line, begin, end = self.place(alias)
            variable = self._use(name, (line, end - len(name), end) if alias.asname else (line, begin, begin + len(name)), True)
            assert variable is not None
            variable.imported = (alias.name if alias.asname else name, None)
            if not alias.asname:
                self.modules.append(variable)

    def visit_ImportFrom(self, node: ast.ImportFrom):
        module = ".".join(part for part in (self.package if node.level else "", node.module or "") if part)
        for alias in node.names:
            variable = self.find(alias.asname or alias.name)
            assert variable is not None
            variable.bindings += 1
            variable.imported = (module, alias.name)
            self._scope.used.append(variable)
            self._scope.region.used.append(variable)
            self.imports.append(Import(module, alias.name, variable, self.place(alias), node))

    def visit_ExceptHandler(self, node: ast.ExceptHandler):
        if node.type is not None:
            self.visit(node.type)
        if node.name:
            line, column = self._column(node.type.end_lineno or 0, node.type.end_col_offset or 0)  # type: ignore[union-attr]
            self._use(node.name, self._word(node.name, line, column + 3), True)
        for part in node.body:
            self.visit(part)

    def visit_Global(self, node: ast.Global):
        for name in node.names:
            self._use(name, self._word(name, node.lineno, self._column(node.lineno, node.col_offset)[1] + 6), True)


@functools.lru_cache(maxsize=1024)
def source_of(path: str, text: str) -> Source:
    """The same as Source(path, text), which takes long to read and does not change."""
    return Source(path, text)


def _same_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all inside it of the same scope."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        if not isinstance(node, SCOPES):
            left += list(ast.iter_child_nodes(node))[::-1]


def _bound(nodes: list[ast.AST]) -> Iterator[str]:
    """The names that are bound by them."""
    for node in nodes:
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                yield node.id
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[0]
        elif isinstance(node, ast.ExceptHandler):
            if node.name:
                yield node.name
        elif isinstance(node, UNKNOWN):
            raise ValueError(f"line {node.lineno}: the packer does not know {type(node).__name__}")


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    found = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument for argument in found if argument is not None]


def _outside(arguments: ast.arguments) -> list[ast.expr]:
    """What of the arguments belongs to the scope outside: defaults and annotations."""
    annotations = [argument.annotation for argument in _arguments(arguments)]
    return [part for part in (*arguments.defaults, *arguments.kw_defaults, *annotations) if part is not None]


def _expressions(token: str) -> Iterator[tuple[int, str]]:
    """(offset, text) of each expression in an f-string, with those in format specifications."""
    quote = '"""' if token.endswith('"""') and len(token) > 5 else token[-1]
    at = token.find(quote) + len(quote)
    end = len(token) - len(quote)
    inside = 0  # format specifications that are open
    while at < end:
        character = token[at]
        if character in "{}" and token[at : at + 2] == 2 * character and not inside:
            at += 2
        elif character == "{":
            stop = _expression_end(token, at + 1)
            yield at + 1, token[at + 1 : stop]
            at = stop
            if token[at] == "!":
                at += 2
            inside += token[at] == ":"
            at += 1
        elif character == "}":
            inside -= 1
            at += 1
        else:
            at += 1


def _expression_end(token: str, at: int) -> int:
    """Where an expression that begins here ends: at its }, : or !r."""
    depth, quote = 0, ""
    while True:
        character = token[at]
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif depth == 0 and (character in "}:" or (character == "!" and token[at + 1] != "=")):
            return at
        else:
            depth += (character in "([{") - (character in ")]}")
        at += 1


def replaced(text: str, edits: dict[Place, str]) -> str:
    """The text with what stands at these places replaced."""
    lines = text.split("\n")
    for (line, begin, end), new in sorted(edits.items(), reverse=True):
        old = lines[line - 1]
        lines[line - 1] = old[:begin] + new + old[end:]
    return "\n".join(lines)


def without_statement(source: Source, node: ast.stmt, edits: dict[Place, str]) -> None:
    """Add to the edits those that remove a statement; its lines stay."""
    first, last = node.lineno, node.end_lineno or 0
    for line in range(first, last + 1):
        text = source.lines[line - 1]
        begin = source.place(node)[1] if line == first else 0
        end = len(text.encode()[: node.end_col_offset].decode()) if line == last else len(text)
        for place in [place for place in edits if place[0] == line and begin <= place[1] < end]:
            del edits[place]
        edits[line, begin, end] = ""
