# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Writes the firmware's rules for settings.toml in JavaScript, for docs/settings.html: the code itself, not a second copy.

Only what those modules use is known. Anything else raises NotKnown, so that nothing is translated wrongly in silence;
tests/test_settings_page.py compares the result with the Python, file by file. The helpers `R` are in docs/settings.html.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("app.settings", "app.plausible", "app.advice", "app.batteries", "app.extras", "battery.minute", "host.hints")
# of app.settings: what reads files and bytes, which the browser does itself
LEFT_OUT = ("load", "_misnamed", "_decoded", "_from_utf_16", "_readable")
BUILTINS = (
    "len",
    "str",
    "int",
    "bool",
    "abs",
    "min",
    "max",
    "sorted",
    "list",
    "tuple",
    "dict",
    "range",
    "enumerate",
    "zip",
    "map",
)
BUILTINS += ("isinstance", "getattr", "setattr", "hasattr", "chr", "ord", "any", "all", "set")
COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
NUMERIC = {ast.Sub: "-", ast.BitOr: "|", ast.BitAnd: "&", ast.LShift: "<<"}


class NotKnown(ValueError):
    """A piece of Python that is not translated."""


def translated(name: str) -> str:
    """One module as `R.module(name, ($) => {...})`."""
    tree = ast.parse((ROOT / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    writer = _Writer(name, tree)
    body = "\n".join(filter(None, (writer.js(node) for node in tree.body)))
    return f"R.module({json.dumps(name)}, ($) => {{\n{body}\n}});"


def _targets(node: ast.expr) -> set[str]:
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, (ast.Tuple, ast.List)):
        return set().union(*map(_targets, node.elts))
    return set()


def _assigned(nodes: list) -> set[str]:
    """The names that a function's statements bind, without those of functions in it."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
            continue
        if isinstance(node, ast.Assign):
            found |= set().union(*map(_targets, node.targets))
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.For)):
            found |= _targets(node.target)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name for alias in node.names}
        for field in ("body", "orelse", "finalbody", "handlers"):
            found |= _assigned(getattr(node, field, []))
    return found


class _Writer:
    def __init__(self, name: str, tree: ast.Module):
        self._package = name.rpartition(".")[0]
        self._globals = _assigned(tree.body)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        self._arguments = {node.name: [arg.arg for arg in node.args.args] for node in functions}
        self._scopes: list[set[str]] = []

    # statements

    def js(self, node: ast.AST) -> str:
        """A statement or an expression: by the method with the name of its kind. Raises NotKnown where there is none."""
        method = getattr(self, "_" + type(node).__name__, None)
        if method is None:
            raise NotKnown(ast.unparse(node))
        return method(node)

    def _block(self, nodes: list) -> str:
        return "{\n" + "\n".join(filter(None, map(self.js, nodes))) + "\n}"

    def _Expr(self, node):
        return "" if isinstance(node.value, ast.Constant) else self.js(node.value) + ";"

    def _Pass(self, node):
        return ""

    def _Break(self, node):
        return "break;"

    def _Continue(self, node):
        return "continue;"

    def _Return(self, node):
        return f"return {self.js(node.value) if node.value else 'null'};"

    def _Raise(self, node):
        return f"throw {self.js(node.exc)};"

    def _Assign(self, node):
        value = self.js(node.value)
        if len(node.targets) == 1:
            return self._store(node.targets[0], value)
        return f"{{ const $value = {value}; {' '.join(self._store(target, '$value') for target in node.targets)} }}"

    def _AnnAssign(self, node):
        return self._store(node.target, self.js(node.value)) if node.value is not None else ""

    def _AugAssign(self, node):
        if isinstance(node.op, ast.Add):
            return self._store(node.target, f"R.iadd({self.js(node.target)}, {self.js(node.value)})")
        return self._store(node.target, self.js(ast.BinOp(node.target, node.op, node.value)))

    def _store(self, target: ast.expr, value: str) -> str:
        if isinstance(target, ast.Subscript):
            where, at = self.js(target.value), target.slice
            if isinstance(at, ast.Slice):
                return f"R.setSlice({where}, {self._bound(at.lower)}, {self._bound(at.upper)}, {value});"
            return f"R.set({where}, {self.js(at)}, {value});"
        if isinstance(target, ast.Attribute):
            return f"{self._pattern(target)} = {value};"
        return f"{self._pattern(target)} = {value};"

    def _pattern(self, target: ast.expr) -> str:
        if isinstance(target, ast.Name):
            return self._name(target.id)
        if isinstance(target, ast.Attribute):
            return f"{self.js(target.value)}.{target.attr}"
        if isinstance(target, (ast.Tuple, ast.List)):
            return "[" + ", ".join(map(self._pattern, target.elts)) + "]"
        raise NotKnown(ast.unparse(target))

    def _bound(self, node):
        return "null" if node is None else self.js(node)

    def _If(self, node):
        text = f"if (R.t({self.js(node.test)})) {self._block(node.body)}"
        return text + (f" else {self._block(node.orelse)}" if node.orelse else "")

    def _While(self, node):
        return f"while (R.t({self.js(node.test)})) {self._block(node.body)}"

    def _For(self, node):
        if node.orelse:
            raise NotKnown("for with else")
        body = self._block(node.body)
        return f"for (const $item of R.iter({self.js(node.iter)})) {{ {self._pattern(node.target)} = $item; {body} }}"

    def _Try(self, node):
        if len(node.handlers) != 1 or node.finalbody or node.orelse or not isinstance(node.handlers[0].type, ast.Name):
            raise NotKnown("try")
        kind = node.handlers[0].type.id
        caught = f"if ($e.name !== {json.dumps(kind)}) throw $e;"
        return f"try {self._block(node.body)} catch ($e) {{ {caught} {self._block(node.handlers[0].body)} }}"

    def _Import(self, node):
        return ""  # os: not used in what is left

    def _ImportFrom(self, node):
        module = node.module or ""
        if node.level:
            module = ".".join(part for part in (self._package, module) if part)
        if module == "__future__":
            return ""
        lines = []
        for alias in node.names:
            is_module = f"{module}.{alias.name}" in MODULES
            found = (
                f"R.load({json.dumps(f'{module}.{alias.name}')})" if is_module else f"R.load({json.dumps(module)}).{alias.name}"
            )
            lines.append(f"{self._name(alias.asname or alias.name)} = {found};")
        return " ".join(lines)

    def _FunctionDef(self, node):
        if not self._scopes and node.name in LEFT_OUT:
            return ""
        return f"{self._name(node.name)} = {self._function(node)};"

    def _function(self, node, is_method=False) -> str:
        args = node.args
        if args.vararg or args.kwarg or args.kwonlyargs:
            raise NotKnown(f"arguments of {node.name}")
        names = [arg.arg for arg in args.args]
        defaults = [None] * (len(names) - len(args.defaults)) + list(map(self.js, args.defaults))
        scope = set(names) | _assigned(node.body)
        self._scopes.append(scope)
        head = ", ".join(
            self._name(name) + (f" = {default}" if default else "") for name, default in zip(names, defaults, strict=True)
        )
        body = "\n".join(filter(None, map(self.js, node.body)))
        lets = sorted(self._name(name) for name in scope - set(names))
        self._scopes.pop()
        declared = f"let {', '.join(lets)};\n" if lets else ""
        if is_method:
            head = head.partition(", ")[2]
            return f"({head}) {{\nconst v_self = this;\n{declared}{body}\n}}"
        return f"({head}) => {{\n{declared}{body}\nreturn null;\n}}"

    def _ClassDef(self, node):
        methods = []
        for item in node.body:
            if isinstance(item, ast.FunctionDef):
                name = "constructor" if item.name == "__init__" else item.name
                methods.append(name + self._function(item, True))
            elif not isinstance(item, (ast.Expr, ast.AnnAssign)):
                raise NotKnown(f"class {node.name}")
        inside = "\n".join(methods)
        return f"{self._name(node.name)} = R.callable(class {{\n{inside}\n}});"

    # expressions

    def _name(self, name: str) -> str:
        if any(name in scope for scope in self._scopes):
            return "v_" + name
        if name in self._globals:
            return "$." + name
        if name in BUILTINS or name in ("ValueError",):
            return "R.b." + name
        raise NotKnown(f"name {name}")

    def _Name(self, node):
        return self._name(node.id)

    def _Constant(self, node):
        if isinstance(node.value, bytes):
            raise NotKnown("bytes")
        if node.value is None or isinstance(node.value, (bool, int, str)):
            return json.dumps(node.value)
        raise NotKnown(repr(node.value))

    def _Tuple(self, node):
        return f"R.tuple([{', '.join(map(self.js, node.elts))}])"

    def _List(self, node):
        return f"[{', '.join(map(self.js, node.elts))}]"

    def _Dict(self, node):
        pairs = (f"[{self.js(key)}, {self.js(value)}]" for key, value in zip(node.keys, node.values, strict=True))
        return f"new Map([{', '.join(pairs)}])"

    def _Attribute(self, node):
        return f"R.attr({self.js(node.value)}, {json.dumps(node.attr)})"

    def _Subscript(self, node):
        if isinstance(node.slice, ast.Slice):
            if node.slice.step is not None:
                raise NotKnown("step")
            return f"R.slice({self.js(node.value)}, {self._bound(node.slice.lower)}, {self._bound(node.slice.upper)})"
        return f"R.get({self.js(node.value)}, {self.js(node.slice)})"

    def _BinOp(self, node):
        left, right = self.js(node.left), self.js(node.right)
        if isinstance(node.op, ast.Add):
            return f"R.add({left}, {right})"
        if isinstance(node.op, ast.Mult):
            return f"R.mul({left}, {right})"
        if type(node.op) in NUMERIC:
            return f"({left} {NUMERIC[type(node.op)]} {right})"
        if isinstance(node.op, ast.Mod):
            return f"R.mod({left}, {right})"
        if isinstance(node.op, ast.FloorDiv):
            return f"Math.floor({left} / {right})"
        raise NotKnown(ast.unparse(node))

    def _UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return f"!R.t({self.js(node.operand)})"
        if isinstance(node.op, ast.USub):
            return f"-{self.js(node.operand)}"
        raise NotKnown(ast.unparse(node))

    def _BoolOp(self, node):
        how = "and" if isinstance(node.op, ast.And) else "or"
        text = self.js(node.values[0])
        for value in node.values[1:]:
            text = f"R.{how}({text}, () => {self.js(value)})"
        return text

    def _IfExp(self, node):
        return f"(R.t({self.js(node.test)}) ? {self.js(node.body)} : {self.js(node.orelse)})"

    def _Compare(self, node):
        parts, left = [], node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            parts.append(self._pair(op, self.js(left), self.js(right)))
            left = right
        return parts[0] if len(parts) == 1 else f"({' && '.join(parts)})"

    def _pair(self, op, a: str, b: str) -> str:
        if type(op) in COMPARE:
            return f"({a} {COMPARE[type(op)]} {b})"
        if isinstance(op, (ast.Is, ast.IsNot)):
            return f"({a} {'===' if isinstance(op, ast.Is) else '!=='} {b})"
        if isinstance(op, (ast.Eq, ast.NotEq)):
            return f"{'' if isinstance(op, ast.Eq) else '!'}R.eq({a}, {b})"
        return f"{'' if isinstance(op, ast.In) else '!'}R.has({a}, {b})"

    def _Lambda(self, node):
        self._scopes.append({arg.arg for arg in node.args.args})
        text = f"({', '.join('v_' + arg.arg for arg in node.args.args)}) => {self.js(node.body)}"
        self._scopes.pop()
        return f"({text})"

    def _comprehension(self, node, element) -> str:
        """A list."""
        source = self.js(node.generators[0].iter)
        self._scopes.append(set().union(*(_targets(one.target) for one in node.generators)))
        text = element()
        for index in range(len(node.generators) - 1, -1, -1):
            one = node.generators[index]
            unused = itertools.count()  # JavaScript does not take one name twice
            target = re.sub(r"\bv__(?=[],])", lambda _, unused=unused: f"$unused{next(unused)}", self._pattern(one.target))
            steps = "".join(f".filter(({target}) => R.t({self.js(test)}))" for test in one.ifs)
            is_last = index == len(node.generators) - 1
            iterated = source if index == 0 else self.js(one.iter)
            text = f"R.list({iterated}){steps}.{'map' if is_last else 'flatMap'}(({target}) => {text})"
        self._scopes.pop()
        return text

    def _ListComp(self, node):
        return self._comprehension(node, lambda: self.js(node.elt))

    _GeneratorExp = _ListComp

    def _SetComp(self, node):
        return f"R.b.set({self._comprehension(node, lambda: self.js(node.elt))})"

    def _DictComp(self, node):
        pair = self._comprehension(node, lambda: f"[{self.js(node.key)}, {self.js(node.value)}]")
        return f"new Map({pair})"

    def _JoinedStr(self, node):
        parts = []
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts.append(json.dumps(part.value))
                continue
            if part.conversion != -1:
                raise NotKnown("conversion")
            spec = part.format_spec.values[0].value if part.format_spec else ""
            parts.append(f"R.format({self.js(part.value)}, {json.dumps(spec)})")
        return "(" + " + ".join(['""', *parts]) + ")"

    def _Call(self, node):
        if any(isinstance(arg, ast.Starred) for arg in node.args):
            raise NotKnown(ast.unparse(node))
        args = list(map(self.js, node.args))
        if node.keywords:
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            given = {word.arg: self.js(word.value) for word in node.keywords}
            if name in self._arguments:
                args += [given.pop(argument, "undefined") for argument in self._arguments[name][len(args) :]]
            elif name in BUILTINS:
                args.append("{" + ", ".join(f"{word}: {value}" for word, value in given.items()) + "}")
                given = {}
            if given or (name not in self._arguments and name not in BUILTINS):
                raise NotKnown(ast.unparse(node))
        if isinstance(node.func, ast.Attribute):
            return f"R.call({self.js(node.func.value)}, {json.dumps(node.func.attr)}, [{', '.join(args)}])"
        return f"{self.js(node.func)}({', '.join(args)})"


def program() -> str:
    """All modules, and what of others they need as data."""
    from battery.controls import ALLOWABLE
    from battery.readings import poll_periods

    periods = json.dumps(list(map(list, poll_periods().items())))
    lines = [
        f"R.data('battery.controls', {{ALLOWABLE: R.tuple({json.dumps(list(ALLOWABLE))})}});",
        f"R.data('battery.readings', {{poll_periods: () => new Map({periods})}});",
        "R.data('collections', {namedtuple: R.namedtuple});",
        "R.data('outputs.rules', {head_of: R.headOf});",
    ]
    return "\n".join([*lines, *map(translated, MODULES)])


def facts() -> str:
    """What the form needs, as JSON: settings with kinds, ranges, choices, defaults and help, and boards with their pins."""
    from app import batteries, extras
    from app.settings import CHOICE, NUMBER, PIN, SECRET, SETTINGS, SWITCH, TEXT
    from battery.controls import ALLOWABLE
    from host import check
    from tools.settings import blocks

    kinds = {TEXT: "text", NUMBER: "number", SWITCH: "switch", PIN: "pin", SECRET: "secret", CHOICE: "choice"}
    template = (ROOT / "settings.toml").read_text(encoding="utf-8")
    helps, sections, section = blocks(template), {}, ""
    for line in template.splitlines():
        if heading := re.match(r"# --- (.*?) -+$", line):
            section = heading[1]
        elif key := re.match(r"(?:# )?([A-Z][A-Z0-9_]*) = ", line):
            sections[key[1]] = section
    rows = []
    for row in SETTINGS + batteries.ROWS + extras.ROWS:
        known = {"key": row.key, "kind": kinds[row.kind], "default": row.default, "low": row.low, "high": row.high}
        comment = [line.lstrip("# ") for line in helps.get(row.key, [])[:-1]]
        rows.append({**known, "help": " ".join(comment), "section": sections.get(row.key, "")})
    page = (ROOT / "docs" / "HARDWARE.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| ([^|]+) \| `(\w+)` \| [^|]+ \| [^|]+ \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    boards = []
    for name, board, lines in table:
        usual = dict(re.findall(r"`(\w+) = \"(\w+)\"`", lines.partition("on its STEMMA")[0]))
        boards.append({"id": board, "name": name, "usual": usual, "pins": check.pins(board)})
    found = {"settings": rows, "boards": boards, "controls": list(ALLOWABLE)}
    return json.dumps(found, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")
