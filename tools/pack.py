# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The firmware's source as it is compiled for the board: the same program with constants in place and short names.

MicroPython keeps every name of the program in memory for good: 8 bytes and its letters once, 8 bytes more in each module or
class that has it. So constants are put where they are used, and names that never meet in one object, module or function share
a short one. Modules that are always loaded together are one file (tools/pack_merge.py). Lines stay where they are; those of a
merged file are found by --line. What only makes tables is deleted behind them (tools/pack_makers.py), what only the start needs
behind it (tools/pack_start.py). Texts, keys, topics and the names of settings are never changed, nor any name that also occurs
in the libraries, in the chip's modules or as a text in our code.

`python -m tools.pack --names` prints which names a short one stands for, `--line daly/core.py:1234` which line here a traceback
means (a compiled function has few lines: tools/pack_lines.py); `python -m tools.pack FOLDER` writes the packed files.
"""

from __future__ import annotations

import array
import ast
import builtins
import collections
import importlib
import io
import itertools
import keyword
import re
import ssl
import string
import sys
import tokenize
import types
from collections.abc import Iterator
from pathlib import Path

from tools import pack_libraries, pack_makers, pack_merge, pack_start
from tools.pack_source import Attribute, Place, Scope, Source, Variable, replaced, source_of, without_statement

SMALL = 1 << 30  # integers below need no object on the heap
INTERNED = 10  # a text of so many characters is kept once, whatever the module
# Python's own modules that the firmware or a library uses, and its types: their attributes keep their names
PYTHON_MODULES = ("array", "binascii", "builtins", "collections", "errno", "gc", "io", "json", "os", "random", "select", "ssl",
                  "struct", "sys", "time", "traceback")  # fmt: skip
PYTHON_TYPES = (str, bytes, bytearray, memoryview, list, tuple, dict, set, frozenset, int, float, range, BaseException, OSError,
                StopIteration, UnicodeError, type, property, io.TextIOWrapper, io.BufferedReader, io.BytesIO,
                io.StringIO, array.array, types.GeneratorType, ssl.SSLContext)  # fmt: skip
# Methods that only a board's objects have, or that Python has on some systems only
OF_BOARDS = ("ipoll", "poll", "register", "unregister", "modify")
# Keyword arguments of functions that are built in
PYTHON_KEYWORDS = (
    "sep",
    "end",
    "file",
    "key",
    "reverse",
    "default",
    "encoding",
    "errors",
    "newline",
    "mode",
    "start",
    "strict",
)

Files = dict[str, str]  # path -> text


def packed_sources() -> Files:
    """Path -> text of our files as they are compiled."""
    from tools import bundle  # which imports this module

    files = bundle.packed_once({**bundle.firmware(), **bundle.libraries()})
    return {path: data.decode() for path, data in files.items() if is_ours(path)}


def packed(files: dict[str, bytes], groups: pack_merge.Groups = pack_merge.GROUPS) -> dict[str, bytes]:
    """The files of a drive with ours packed, but for code.py and safemode.py."""
    texts = {path: data.decode() for path, data in files.items() if is_ours(path)}
    kept = {path: data.decode() for path, data in files.items() if path.endswith(".py") and not is_ours(path)}
    texts = pack_makers.without_makers(with_constants(pack_merge.merged(texts, groups)))
    lasting = {pack_merge.path_of(target) for target in groups}
    texts = pack_start.without_start(texts, lasting, kept_names(read(texts), kept))
    libraries = {path: text for path, text in kept.items() if path.startswith("lib/")}
    known = set().union(
        _of_python(),
        _of_chip(set().union(*[_imported(ast.parse(text)) for text in libraries.values()])),
        *[_words(ast.parse(text)) for text in texts.values()],
    )
    texts = renamed(texts, short_names(texts, kept))
    texts.update(pack_libraries.without_development(libraries, known, _pool()))
    rest = {path: data for path, data in files.items() if not is_ours(path) and path not in texts}
    return {**rest, **{path: text.encode() for path, text in texts.items()}}


def is_ours(path: str) -> bool:
    """Whether a file is one that is packed."""
    return path.endswith(".py") and "/" in path and not path.startswith("lib/")


def read(files: Files) -> dict[str, Source]:
    """Module -> its source."""
    sources = [source_of(path, text) for path, text in sorted(files.items())]
    return {source.name: source for source in sources}


# Constants


def with_constants(files: Files) -> Files:
    """The same program with module constants in the place of their names."""
    sources = read(files)
    edits: dict[str, dict[Place, str]] = {source.path: {} for source in sources.values()}
    looked_up = _looked_up(sources)
    identities = {name for source in sources.values() for name in source.identities}
    dropped: set[Variable] = set()
    for (module, name), value in constants(sources).items():
        variables = [sources[module].scopes[0].variables[name], *_importers(sources, module, name)]
        of_module = _through_module(sources, module, name)
        uses = [(_source_of(sources, v).path, place) for v in variables for place in v.loads]
        uses += [(path, attribute.whole) for path, attribute in of_module]
        in_text = any(v.in_text for v in variables) or any(a.in_text for _, a in of_module)
        if name in identities or not _is_inlined(value, uses, in_text):
            continue
        text = repr(value) if not isinstance(value, int | float) or value >= 0 else f"({value!r})"
        for path, place in uses:
            edits[path][place] = text
        if name not in looked_up:
            dropped.update(variables)
    return {source.path: _without(source, edits[source.path], dropped) for source in sources.values()}


def constants(sources: dict[str, Source]) -> dict[tuple[str, str], object]:
    """(module, name) -> value, of what is assigned once, at the top of a module, and made of literals and other constants."""
    found: dict[tuple[str, str], object] = {}
    before = -1
    while len(found) != before:
        before = len(found)
        for module, source in sources.items():
            known = {v.name: found[key] for v in source.scopes[0].variables.values() if (key := _origin(sources, v)) in found}
            for name, node in _assigned(source):
                if (module, name) not in found and _is_literal(node, known):
                    found[module, name] = eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}}, known)
    return found


def _assigned(source: Source) -> Iterator[tuple[str, ast.expr]]:
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if source.scopes[0].variables[name].bindings == 1:
                yield name, node.value


def _is_literal(node: ast.expr, known: dict) -> bool:
    """Whether an expression is made of literals and of known constants."""
    if isinstance(node, ast.Name):
        return node.id in known
    if isinstance(node, ast.BinOp):
        return _is_literal(node.left, known) and _is_literal(node.right, known)
    if isinstance(node, ast.UnaryOp):
        return _is_literal(node.operand, known)
    if isinstance(node, ast.Tuple):
        return all(_is_literal(element, known) for element in node.elts)
    return isinstance(node, ast.Constant)


def _is_inlined(value: object, uses: list, in_text: bool) -> bool:
    if value is None or (isinstance(value, int) and abs(value) < SMALL):
        return True
    if in_text:  # a literal with quotes cannot stand in an f-string
        return False
    if isinstance(value, tuple):
        return len(uses) == 1
    if isinstance(value, str) and len(value) <= INTERNED:
        return True
    return len({path for path, _ in uses}) <= 1  # each module would have one of its own


def _origin(sources: dict[str, Source], variable: Variable) -> tuple[str, str]:
    """(module, name) of what a variable of a module stands for: its own, or what it was imported from."""
    if variable.imported and variable.imported[0] in sources and variable.imported[1] and variable.bindings == 1:
        module, name = variable.imported
        if name in sources[module].scopes[0].variables:
            return _origin(sources, sources[module].scopes[0].variables[name])
    return _source_of(sources, variable).name, variable.name


def _source_of(sources: dict[str, Source], variable: Variable) -> Source:
    module = variable.scope.module
    return next(source for source in sources.values() if source.scopes[0] is module)


def _importers(sources: dict[str, Source], module: str, name: str) -> list[Variable]:
    """The variables that are this one, imported into another module."""
    found = [one.variable for source in sources.values() for one in source.imports if (one.module, one.name) == (module, name)]
    if any(variable.bindings != 1 for variable in found):
        raise ValueError(f"{module}.{name} is imported to a name that has other values, too")
    return found


def _through_module(sources: dict[str, Source], module: str, name: str) -> list[tuple[str, Attribute]]:
    """The uses as `module.name`."""
    return [
        (source.path, attribute)
        for source in sources.values()
        for attribute in source.attributes
        if attribute.name == name and _module_of(sources, attribute.base) == module
    ]


def _module_of(sources: dict[str, Source], variable: Variable | None) -> str | None:
    """The module of ours that a variable is."""
    if variable is None or variable.imported is None:
        return None
    module, name = variable.imported
    whole = module if name is None else f"{module}.{name}"
    return whole if whole in sources else None


def _looked_up(sources: dict[str, Source]) -> set[str]:
    """Names of attributes of what is not known here to be a module: they may be one's."""
    attributes = [attribute for source in sources.values() for attribute in source.attributes]
    return {attribute.name for attribute in attributes if _module_of(sources, attribute.base) is None}


def _without(source: Source, edits: dict[Place, str], dropped: set[Variable]) -> str:
    """The text with edits, and without the assignments and imports of what is dropped."""
    gone = {v.name for v in dropped if v.scope is source.scopes[0]}
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in gone:
            without_statement(source, node, edits)
    statements = {id(one.statement): one.statement for one in source.imports if one.variable in dropped}
    for statement in statements.values():
        left = [one for one in source.imports if one.statement is statement and one.variable not in dropped]
        without_statement(source, statement, edits)
        if left or statement not in source.tree.body or ";" in source.lines[statement.lineno - 1]:
            names = ", ".join(source.lines[line - 1][begin:end] for line, begin, end in (one.place for one in left))
            head = f"from {'.' * statement.level}{statement.module or ''} import {names}" if left else "pass"
            edits[source.place(statement)] = head
    return replaced(source.text, edits)


# Names


def short_names(files: Files, others: Files) -> dict[str, str]:
    """Name -> short name, of what the modules, classes and namedtuples have in them, and of keyword arguments."""
    sources = read(files)
    kept = kept_names(sources, others)
    members = _members(sources)
    near: dict[str, set[str]] = collections.defaultdict(set)
    for namespace in _namespaces(sources, members):
        for name in namespace:
            near[name] |= namespace
    fields = {name for source in sources.values() for name, _ in source.field_names}
    short: dict[str, str] = {}
    for name in sorted(members - kept, key=lambda name: (-len(near[name]), name)):
        taken = {short.get(other, other) for other in near[name] if other in kept or other in short}
        pool = (new for new in _pool() if name not in fields or new[0] != "_")  # a namedtuple of Python's refuses those
        short[name] = next(new for new in pool if new not in taken)
    return short


def _members(sources: dict[str, Source]) -> set[str]:
    """The names that have one short name everywhere."""
    found = {name for source in sources.values() for name, _, _ in source.keywords}
    for source in sources.values():
        found |= {attribute.name for attribute in source.attributes}
        found |= {name for name, _ in source.field_names}
        found |= {one.name for one in source.imports}
        found |= {name for scope in source.scopes if scope.kind != "function" for name in scope.variables}
    return found


def _keywords(sources: dict[str, Source]) -> set[str]:
    return {name for source in sources.values() for name, _, _ in source.keywords}


def is_member(variable: Variable, keywords: set[str]) -> bool:
    """Whether a variable has the short name that its name has everywhere."""
    return variable.scope.kind != "function" or (variable.is_parameter and variable.name in keywords)


def _namespaces(sources: dict[str, Source], members: set[str]) -> Iterator[set[str]]:
    """Sets of names that must stay different."""
    keywords = _keywords(sources)
    classes: dict[str, set[str]] = {}
    stored: set[str] = set()
    for source in sources.values():
        of_class: dict[Scope, set[str]] = {s: set(s.variables) for s in source.scopes if s.kind == "class"}
        for attribute in source.attributes:
            scope = _class_of_self(attribute.base)
            if scope is not None:
                of_class[scope].add(attribute.name)
            elif attribute.is_stored:
                stored.add(attribute.name)
        for scope, names in of_class.items():
            classes.setdefault(scope.node.name, set()).update(names)  # type: ignore[attr-defined]
        yield set(source.scopes[0].variables)
        yield from (set(names) for names in source.namedtuples)
        for scope in source.scopes:
            if scope.kind == "function":
                yield {variable.name for variable in scope.region.used if is_member(variable, keywords)}
                if getattr(scope.node, "args", None) and scope.node.args.kwarg:  # type: ignore[attr-defined]
                    yield keywords | {v.name for v in scope.variables.values() if is_member(v, keywords)}
    for source in sources.values():  # a class and its bases have one namespace
        for scope in source.scopes:
            for base in getattr(scope.node, "bases", ()):
                assert isinstance(base, ast.Name)
                both = classes[scope.node.name] | classes[base.id]  # type: ignore[attr-defined]
                classes[scope.node.name] = classes[base.id] = both  # type: ignore[attr-defined]
    everywhere = {name for name in stored if not any(name in names for names in classes.values())}
    yield from (names | everywhere for names in classes.values())


def _class_of_self(variable: Variable | None) -> Scope | None:
    """The class whose method's first parameter this is."""
    if variable is None or not variable.is_parameter or variable.scope.outer.kind != "class":  # type: ignore[union-attr]
        return None
    return variable.scope.outer if next(iter(_parameters(variable.scope)), None) == variable.name else None


def _parameters(scope: Scope) -> list[str]:
    return [argument.arg for argument in scope.node.args.args]  # type: ignore[attr-defined]


def kept_names(sources: dict[str, Source], others: Files) -> set[str]:
    """Names that mean something outside of our files."""
    kept = {*keyword.kwlist, *dir(builtins), *PYTHON_KEYWORDS, *OF_BOARDS}
    ours = {name.split(".")[0] for name in sources}
    imported = set().union(*[_imported(source.tree) for source in sources.values()])
    needed = set(imported)
    for text in others.values():
        tree = ast.parse(text)
        kept |= _words(tree)
        needed |= _imported(tree)
    for name, source in sources.items():
        kept |= set(name.split("."))
        # a short text is kept once and for all, a capital one may be a setting, which is an attribute of the same name
        kept |= {text for text in source.strings if len(text) <= INTERNED or text.isupper()}
        kept |= source.looked_up | {variable.name for variable in source.modules}
        kept |= {word for word in source.builtins if word.startswith("__")}
        outside = [one for one in source.imports if one.module.split(".")[0] not in ours]
        kept |= {one.name for one in outside} | {part for one in outside for part in one.module.split(".")}
        for attribute in source.attributes:
            base = attribute.base
            if base is not None and base.imported and base.imported[0].split(".")[0] not in ours:
                kept.add(attribute.name)
        kept |= {name for name in _members({source.name: source}) if name.startswith("__")}
    libraries = {re.split(r"[/.]", path)[1] for path in others if path.startswith("lib/")}
    unknown = imported - ours - libraries - set(PYTHON_MODULES)
    missing = sorted(name for name in unknown if not any(_stubs(name)))
    if missing:
        raise SystemExit(f"What {', '.join(missing)} have in them is not known: install circuitpython-stubs (make install).")
    return kept | _of_chip(needed) | _of_python()


def _words(tree: ast.AST) -> set[str]:
    """All names and texts of a library, but for its local variables."""
    found = set()
    for node in ast.walk(tree):
        for one in ("name", "attr", "arg", "id", "asname", "module"):
            found |= set(str(getattr(node, one, None) or "").split("."))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            found.add(node.value)
    return found


def _imported(tree: ast.AST) -> set[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
    return {name.split(".")[0] for name in names}


def _of_chip(modules: set[str]) -> set[str]:
    """All names of CircuitPython's modules, with those that they import."""
    found: set[str] = set()
    left, seen = sorted(modules), set()
    while left:
        module = left.pop()
        if module in seen:
            continue
        seen.add(module)
        for stub in _stubs(module):
            text = stub.read_text(encoding="utf-8")  # tokens: some have the syntax of a newer Python
            tokens = tokenize.generate_tokens(io.StringIO(text).readline)
            found |= {token.string for token in tokens if token.type == tokenize.NAME}
            left += sorted(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    return found


def _stubs(module: str) -> Iterator[Path]:
    """The stub files of one of CircuitPython's modules."""
    for folder in sys.path:
        yield from Path(folder or ".", f"{module}-stubs").rglob("*.pyi")


def _of_python() -> set[str]:
    objects = [importlib.import_module(name) for name in PYTHON_MODULES]
    return {name for one in (*objects, *PYTHON_TYPES) for name in dir(one)}


def _pool() -> Iterator[str]:
    """Short names, the shortest first."""
    letters = string.ascii_lowercase + "_" + string.ascii_uppercase
    for length in (1, 2, 3):
        for name in map("".join, itertools.product(letters, repeat=length)):
            if not keyword.iskeyword(name) and name not in dir(builtins):
                yield name


def renamed(files: Files, short: dict[str, str]) -> Files:
    """The same program with these names, and with short local ones."""
    sources = read(files)
    keywords = _keywords(sources)
    made = {}
    for source in sources.values():
        local = _local_names(source, short, keywords)
        edits: dict[Place, str] = {}

        def new(variable: Variable, local=local) -> str:
            return short.get(variable.name, variable.name) if is_member(variable, keywords) else local[variable]

        for variable in (variable for scope in source.scopes for variable in scope.variables.values()):
            edits.update(dict.fromkeys(variable.places, new(variable)))
        for attribute in source.attributes:
            edits[attribute.place] = short.get(attribute.name, attribute.name)
        for name, place, _ in source.keywords:
            edits[place] = short.get(name, name)
        for name, place in source.field_names:
            edits[place] = short.get(name, name)
        for one in source.imports:
            name = short.get(one.name, one.name)
            edits[one.place] = name if new(one.variable) == name else f"{name} as {new(one.variable)}"
        made[source.path] = replaced(source.text, edits)
    return made


def _local_names(source: Source, short: dict[str, str], keywords: set[str]) -> dict[Variable, str]:
    """The names of local variables: in one outermost function all are different, those of arguments first."""
    names: dict[Variable, str] = {}
    passed = {short.get(name, name) for name in keywords}
    for region in {id(scope.region): scope.region for scope in source.scopes if scope.kind == "function"}.values():
        members = [variable for variable in region.used if is_member(variable, keywords)]
        taken = {short.get(variable.name, variable.name) for variable in members}
        inside = [scope for scope in source.scopes if scope.kind == "function" and scope.region is region]
        own = [variable for scope in inside for variable in scope.variables.values() if not is_member(variable, keywords)]
        if any(getattr(getattr(scope.node, "args", None), "kwarg", None) for scope in inside):
            taken |= passed
        kept = {variable for variable in own if variable in source.modules}
        taken |= {variable.name for variable in kept}
        names.update({variable: variable.name for variable in kept})
        pool = (name for name in _pool() if name not in taken)
        for variable in sorted((v for v in own if v not in kept), key=lambda v: not v.is_parameter):
            names[variable] = next(pool)
    return names


def place(texts: Files, origins: dict[str, list[tuple[str, int]]], path: str, line: int) -> str:
    """What a line of a traceback means here: where in which function (see tools/pack_lines.py). `texts`: of all files."""
    where, number = origins[path][line - 1] if path in origins else (path, line)
    found = ""
    for name, node in _functions(ast.parse(texts[where]), ""):  # outer ones first
        if node.lineno <= number <= (node.end_lineno or 0):
            found = f", or behind it up to line {node.end_lineno}, in {name}"
    return f"{where}:{number}{found}"


def _functions(node: ast.AST, outer: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Each function with its whole name."""
    for part in ast.iter_child_nodes(node):
        name = f"{outer}{part.name}" if isinstance(part, ast.FunctionDef | ast.ClassDef) else outer
        if isinstance(part, ast.FunctionDef):
            yield name, part
        yield from _functions(part, f"{name}." if name != outer else outer)


def main() -> None:
    from tools import bundle  # which imports this module

    is_folder = len(sys.argv) == 2 and not sys.argv[1].startswith("-")
    if not is_folder and sys.argv[1:] != ["--names"] and not (len(sys.argv) == 3 and sys.argv[1] == "--line"):
        raise SystemExit("python -m tools.pack FOLDER writes the packed firmware there; --names: names; --line FILE:N: a line")
    files = {**bundle.firmware(), **bundle.libraries()}
    ours = {path: data.decode() for path, data in files.items() if is_ours(path)}
    if sys.argv[1:2] == ["--line"]:
        path, _, line = sys.argv[2].partition(":")
        texts = {path: data.decode() for path, data in files.items() if path.endswith(".py")}
        print(place(texts, pack_merge.origins(ours), path, int(line)))
        return
    if sys.argv[1:] == ["--names"]:
        texts = with_constants(pack_merge.merged(ours))
        kept = {path: data.decode() for path, data in files.items() if path.endswith(".py") and not is_ours(path)}
        for old, new in sorted(short_names(texts, kept).items(), key=lambda pair: (len(pair[1]), pair[1], pair[0])):
            print(new, old)
        return
    for path, data in packed(files).items():
        target = Path(sys.argv[1], path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


if __name__ == "__main__":
    main()
