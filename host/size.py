"""`make size`: what the board's files take on the drive, and what loading them takes of the heap.

The heap is that of MicroPython from PyPI with 64-bit words: pointers are twice a board's, bytecode is the same. MiniMQTT and
the display's libraries are not in it: those want modules of the chip.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("daly", "mqtt", "display", "app")
# modules of the chip or of libraries that MicroPython does not have: empty ones do, for loading
SHIMS = {
    "supervisor": "import time\n\ndef ticks_ms():\n    return time.ticks_ms() & 0x1FFFFFFF\n",
    "traceback": "def print_exception(error):\n    print(error)\n",
    "microcontroller": "class Pin:\n    pass\n\nnvm = None\n",
}
# these import the chip or libraries that only the board (or Blinka) has
NOT_LOADED = ("app.main", "app.hardware", "app.guard", "app.watch", "app.console", "mqtt.session", "display.panel")
SCRIPT = """
import gc, sys
sys.path[:0] = ['.', 'shims']
import adafruit_ticks, collections, struct, binascii, json, random
gc.collect()
begin = gc.mem_alloc()
for name in %r:
    gc.collect()
    before = gc.mem_alloc()
    try:
        __import__(name)
    except ImportError as error:
        print('!', name, error)
        continue
    gc.collect()
    print(name, gc.mem_alloc() - before)
gc.collect()
print('total', gc.mem_alloc() - begin)
"""


def files():
    """The board's files, relative to the root."""
    found = [ROOT / "code.py", ROOT / "safemode.py"]
    for package in PACKAGES:
        found += sorted((ROOT / package).glob("*.py"))
    return [file.relative_to(ROOT) for file in found]


def compile_to(folder: Path, names):
    """Compile every file with mpy-cross; MicroPython's format, which a CircuitPython board does not take."""
    for name in names:
        target = folder / name.with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "mpy_cross", "-O3", "-s", name.name, "-o", str(target), str(ROOT / name)]
        subprocess.run(command, check=True)


def heap(folder: Path, names):
    """[(module, bytes of heap)] of loading the modules one after the other, with "total" at the end."""
    modules = [".".join(name.with_suffix("").parts) for name in names if len(name.parts) > 1 and name.stem != "__init__"]
    shims = folder / "shims"
    shims.mkdir()
    for name, text in SHIMS.items():
        (shims / f"{name}.py").write_text(text)
    import adafruit_ticks

    shutil.copy(adafruit_ticks.__file__, shims / "adafruit_ticks.py")
    (folder / "load.py").write_text(SCRIPT % [name for name in modules if name not in NOT_LOADED])
    interpreter = Path(sys.executable).parent / "micropython"
    done = subprocess.run([interpreter, "load.py"], cwd=folder, capture_output=True, text=True, check=True)
    return [tuple(line.split(maxsplit=1)) for line in done.stdout.splitlines()]


def main():
    """Print the tables."""
    names = files()
    sys.path.append(str(ROOT / "host" / "standins"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        compile_to(folder, names)
        source = sum((ROOT / name).stat().st_size for name in names)
        compiled = sum((folder / name.with_suffix(".mpy")).stat().st_size for name in names)
        print(f"on the drive: {source:,} bytes as .py, {compiled:,} as .mpy ({len(names)} files, libraries not counted)")
        if not (Path(sys.executable).parent / "micropython").exists():
            print("MicroPython from PyPI is not installed here: no heap figures.")
            return
        print("heap to load, .mpy, 64-bit words:")
        for name, size in heap(folder, names):
            print(f"  {name:20} {size:>8}")


if __name__ == "__main__":
    main()
