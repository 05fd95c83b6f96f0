# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The changes: each makes one small difference in one place of a syntax tree."""

import ast
import re
from collections import Counter
from dataclasses import dataclass

SMALL = 256  # whole numbers below it are changed by one, larger ones by a quarter: nobody must pin an hour to the millisecond
_COMMENT = re.compile(r"  # .*$")
SHOWN = 50  # characters of an expression in a description

_COMPARE = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
_BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Mutant:
    """One change. `function`: the qualified name of the outermost function it is in; "": executed at import."""

    file: str
    function: str
    first: int  # line of that function, or of its first decorator
    begin: int  # line of the statement
    line: int
    last_line: int
    text: str  # the source line
    what: str
    number: int  # of several with the same function, text and description
    names: tuple  # what the changed statement binds, for a change outside functions
    place: tuple  # parent node, field, index in the field or None
    new: ast.AST

    @property
    def key(self):
        """What names it for good: no line number, so it stays the same when lines are added elsewhere."""
        number = f" #{self.number}" if self.number > 1 else ""
        return f"{self.function or '(module)'} | {self.text} | {self.what}{number}"

    def compiled(self, tree, path):
        """The code of the changed module; the tree is left as it was."""
        parent, field, index = self.place
        old = getattr(parent, field) if index is None else getattr(parent, field)[index]
        self._put(self.new)
        try:
            return compile(tree, path, "exec", dont_inherit=True)
        finally:
            self._put(old)

    def _put(self, node):
        parent, field, index = self.place
        if index is None:
            setattr(parent, field, node)
        else:
            getattr(parent, field)[index] = node


def mutants(file, source):
    """(tree, all mutants of it in the order of the lines)."""
    tree = ast.parse(source)
    finder = _Finder(file, source)
    finder.block(tree, "body", "", ())
    return tree, sorted(finder.found, key=lambda mutant: (mutant.line, mutant.what))


def _shown(node):
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _is_condition(node):
    """Whether an expression is true or false by its form."""
    if isinstance(node, ast.BoolOp):
        return all(_is_condition(value) for value in node.values)
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))


class _Finder:
    def __init__(self, file, source):
        self.found = []
        self._file = file
        self._lines = source.splitlines()
        self._numbers = Counter()
        self._seen = set()
        self._first = self._begin = self._depth = 0
        self._function = ""
        self._names = ()

    def _add(self, place, old, new, what=None):
        ast.copy_location(new, old)
        ast.fix_missing_locations(new)
        what = what or f"{_shown(old)} → {_shown(new)}"
        text = _COMMENT.sub("", self._lines[old.lineno - 1]).strip()
        same = (id(place[0]), place[1], place[2], what)
        if same in self._seen:
            return
        self._seen.add(same)
        self._numbers[self._function, text, what] += 1
        number = self._numbers[self._function, text, what]
        last = old.end_lineno or old.lineno
        self.found.append(
            Mutant(
                self._file,
                self._function,
                self._first,
                self._begin,
                old.lineno,
                last,
                text,
                what,
                number,
                self._names,
                place,
                new,
            )
        )

    # statements

    def block(self, parent, field, function, names):
        """All statements of a body. `function`, `names`: see Mutant."""
        if isinstance(parent, _FUNCTIONS) and self._depth == 0:
            self._first = min([parent.lineno, *(decorator.lineno for decorator in parent.decorator_list)])
        self._depth += isinstance(parent, _FUNCTIONS)
        self._statements(parent, field, function, names)
        self._depth -= isinstance(parent, _FUNCTIONS)

    def _statements(self, parent, field, function, names):
        statements = getattr(parent, field)
        for index, statement in enumerate(statements):
            self._function = function
            self._names = names or _bound(statement)
            is_alone = isinstance(parent, ast.If) and len(statements) == 1  # the changed condition does the same
            self._statement((parent, field, index), statement, function, names, is_alone)

    def _statement(self, place, node, function, names, is_alone):
        self._begin = node.lineno
        if isinstance(node, _FUNCTIONS):
            self._names = (node.name,)
            self._defaults(node)
            prefix = ".".join(names[:1]) if names and not function else ""
            inner = function or (f"{prefix}.{node.name}" if prefix else node.name)
            self.block(node, "body", inner, (node.name,))
        elif isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, _FUNCTIONS):
                    self._function, self._names = "", (node.name, child.name)
                    self._defaults(child)
                    self.block(child, "body", function or f"{node.name}.{child.name}", (child.name,))
            for index, child in enumerate(node.body):
                if not isinstance(child, _FUNCTIONS):
                    self._function, self._names = function, _bound(child) or (node.name,)
                    self._statement((node, "body", index), child, function, self._names, False)
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal | ast.Pass):
            return
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        else:
            self._delete(place, node, function, is_alone)
            self._parts(node, function, names)

    def _defaults(self, node):
        self._function, self._begin = "", node.lineno
        for field in ("defaults", "kw_defaults"):
            for index, default in enumerate(getattr(node.args, field)):
                if default is not None:
                    self._expression((node.args, field, index), default)

    def _delete(self, place, node, function, is_alone):
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await | ast.Yield)
        is_put = isinstance(node, ast.Assign) and not isinstance(node.targets[0], ast.Name | ast.Tuple)
        is_other = isinstance(node, ast.AugAssign | ast.Delete | ast.Raise | ast.Break | ast.Continue)
        if function and not is_alone and (is_call or is_put or is_other):
            self._add(place, node, ast.Pass(), f"left out: {_shown(node)}")

    def _parts(self, node, function, names):
        """The expressions and the inner blocks of a statement."""
        for field, value in ast.iter_fields(node):
            place = (node, field, None)
            if field in ("body", "orelse", "finalbody") and isinstance(value, list):
                self.block(node, field, function, names)
                self._function, self._names, self._begin = function, names or _bound(node), node.lineno
            elif field == "handlers":
                for handler in value:
                    self.block(handler, "body", function, names)
                self._function, self._names, self._begin = function, names or _bound(node), node.lineno
            elif field in ("annotation", "exc", "type_comment") or isinstance(node, ast.Assert):
                continue
            elif field == "test":
                self._condition(place, value)
            elif field == "value" and isinstance(node, ast.Return) and value is not None:
                self._returned(place, value)
            elif field == "iter":
                self._add(place, value, ast.Tuple([], ast.Load()), f"for … in {_shown(value)} → in ()")
                self._expression(place, value)
            elif field == "op" and isinstance(node, ast.AugAssign):
                self._operator(node, node)
            elif isinstance(value, ast.expr):
                self._expression(place, value)
            elif isinstance(value, list):
                for index, part in enumerate(value):
                    if isinstance(part, ast.expr):
                        self._expression((node, field, index), part)

    def _returned(self, place, value):
        if not _is_condition(value) and not isinstance(value, ast.Constant):
            self._add(place, value, ast.Constant(None), f"return {_shown(value)} → None")
        self._expression(place, value)

    # expressions

    def _condition(self, place, node):
        """An expression of which only the truth counts."""
        if isinstance(node, ast.BoolOp):
            for index, value in enumerate(node.values):
                inner = (node, "values", index)
                # of several that make the whole false (true), one is enough
                dominant = isinstance(node.op, ast.Or)
                self._condition(inner, value) if not index else self._leaf(inner, value, (not dominant,))
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._condition((node, "operand", None), node.operand)
        else:
            self._leaf(place, node, (True, False))

    def _leaf(self, place, node, values):
        if isinstance(node, ast.BoolOp) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            self._condition(place, node)
            return
        for value in values:
            if not isinstance(node, ast.Constant):
                self._add(place, node, ast.Constant(value), f"{_shown(node)} → {value}")
        self._inside(place, node)

    def _expression(self, place, node):
        if isinstance(node, ast.BoolOp) and not _is_condition(node):
            for index in range(len(node.values)):
                rest = node.values[:index] + node.values[index + 1 :]
                self._add(place, node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest))
            self._children(node)
        elif _is_condition(node):
            self._condition(place, node)
        else:
            self._inside(place, node)

    def _inside(self, place, node):
        """What an expression is made of."""
        if isinstance(node, ast.Compare):
            self._compare(place, node)
        elif isinstance(node, ast.Constant):
            self._constant(place, node)
            return
        elif isinstance(node, ast.BinOp):
            self._operator(node, node)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            if not isinstance(node.operand, ast.Constant):
                self._add(place, node, node.operand)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name == "print":
                return  # words at the console; that there are any is a mutant of its own
            if name in _CALLS and not (len(node.args) == 1 and name in ("any", "all")):
                self._add((node, "func", None), node.func, ast.Name(_CALLS[name], ast.Load()), f"{name} → {_CALLS[name]}")
            elif name == "abs":
                self._add(place, node, node.args[0])
        elif isinstance(node, ast.IfExp):
            self._condition((node, "test", None), node.test)
            self._expression((node, "body", None), node.body)
            self._expression((node, "orelse", None), node.orelse)
            return
        self._children(node)

    def _children(self, node):
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr):
                self._expression((node, field, None), value)
            elif isinstance(value, list):
                for index, part in enumerate(value):
                    if isinstance(part, ast.expr):
                        self._expression((node, field, index), part)
                    elif isinstance(part, ast.keyword):
                        self._expression((part, "value", None), part.value)
                    elif isinstance(part, ast.comprehension):
                        self._expression((part, "iter", None), part.iter)
                        for number, condition in enumerate(part.ifs):
                            self._condition((part, "ifs", number), condition)

    def _compare(self, place, node):
        for index, operator in enumerate(node.ops):
            if type(operator) in _COMPARE:
                ops = [*node.ops[:index], _COMPARE[type(operator)](), *node.ops[index + 1 :]]
                self._add(place, node, ast.Compare(node.left, ops, node.comparators))
        if len(node.ops) > 1:
            self._add(place, node, ast.Compare(node.left, node.ops[:-1], node.comparators[:-1]))
            self._add(place, node, ast.Compare(node.comparators[0], node.ops[1:], node.comparators[1:]))

    def _operator(self, node, shown):
        new = _BINARY.get(type(node.op))
        sides = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.value,)
        is_text = any(
            isinstance(s, ast.JoinedStr) or (isinstance(s, ast.Constant) and not isinstance(s.value, int)) for s in sides
        )
        if new is None or is_text:
            return
        old, node.op = node.op, new()
        what = _shown(shown)
        new, node.op = node.op, old
        new.lineno = new.end_lineno = node.lineno
        new.col_offset = new.end_col_offset = node.col_offset
        old.lineno, old.end_lineno = node.lineno, node.end_lineno
        old.col_offset, old.end_col_offset = node.col_offset, node.end_col_offset
        self._add((node, "op", None), old, new, f"{_shown(node)} → {what}")

    def _constant(self, place, node):
        for value in self._values(place, node):
            self._add(place, node, ast.Constant(value))

    def _values(self, place, node):
        value = node.value
        if isinstance(value, bool):
            return (not value,)
        if isinstance(value, int):
            return self._numbers_beside(place, node)
        if isinstance(value, str):
            return ("" if " " in value else f"XX{value}XX" if value else "XX",)
        if isinstance(value, bytes):
            return (b"XX" + value,)
        return ()

    def _numbers_beside(self, place, node):
        value = node.value
        segment = self._lines[node.lineno - 1][node.col_offset :] if node.lineno == node.end_lineno else ""
        if segment[:2] in ("0x", "0b"):
            return (value ^ 1,)  # bits: one of them
        if value < SMALL:
            both = (value + 1, value - 1) if value else (1,)
        else:
            both = (value + value // 4, value - value // 4)
        parent = place[0]
        is_plain = not isinstance(parent, ast.Tuple | ast.List | ast.Call | ast.Subscript | ast.Dict)
        return both if is_plain else both[:1]  # of a table's numbers one is enough


def _bound(statement):
    """The names that a statement outside functions binds."""
    if isinstance(statement, _FUNCTIONS + (ast.ClassDef,)):
        return (statement.name,)
    names = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    names += [node.attr for node in ast.walk(statement) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return tuple(dict.fromkeys(names))
