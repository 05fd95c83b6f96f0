# SPDX-FileCopyrightText: 2026 the Daly MQTT bridge authors
# SPDX-License-Identifier: MIT

"""The list of a release's parts (SBOM) in the form of CycloneDX 1.6: the program, its zips, and the libraries in them.

The same zips give the same list, byte for byte: it has no date and no random number.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from importlib import metadata
from pathlib import Path

from tools import bundle

FORMAT = "1.6"
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of addresses, from RFC 4122


def made(version: str, zips: list[Path]) -> bytes:
    """The list as JSON. Raises SystemExit for a library without a licence that is known."""
    program = _component("application", "daly-mqtt-bridge", version, "MIT")
    program["components"] = [_zip(path) for path in zips]
    libraries = [_library(package) for package in bundle.packages()]
    parts = {
        "bomFormat": "CycloneDX",
        "specVersion": FORMAT,
        "version": 1,
        "metadata": {"component": program},
        "components": libraries,
        "dependencies": [
            {"ref": program["bom-ref"], "dependsOn": [library["bom-ref"] for library in libraries]},
            *({"ref": library["bom-ref"]} for library in libraries),
        ],
    }
    number = uuid.uuid5(NAMESPACE, json.dumps(parts, sort_keys=True))
    parts["serialNumber"] = f"urn:uuid:{number}"
    return (json.dumps(parts, indent=2) + "\n").encode()


def _library(package: metadata.Distribution) -> dict:
    name = package.name.lower().replace("_", "-")
    part = _component("library", name, package.version, licence(package))
    part["bom-ref"] = part["purl"] = f"pkg:pypi/{name}@{package.version}"
    address = f"https://pypi.org/project/{name}/{package.version}/"
    part["externalReferences"] = [{"type": "distribution", "url": address}]
    return part


def _zip(path: Path) -> dict:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"type": "file", "name": path.name, "hashes": [{"alg": "SHA-256", "content": digest}]}


def _component(kind: str, name: str, version: str, licence: str) -> dict:
    return {
        "type": kind,
        "bom-ref": f"{name}@{version}",
        "name": name,
        "version": version,
        "licenses": [{"license": {"id": licence}}],
    }


def licence(package: metadata.Distribution) -> str:
    """The SPDX name of a package's licence, from what it says of itself."""
    says = [package.metadata.get("License-Expression") or "", package.metadata.get("License") or ""]
    says += [word for word in package.metadata.get_all("Classifier") or () if word.startswith("License ::")]
    if any(word in ("MIT", "MIT License") or word.endswith(":: MIT License") for word in says):
        return "MIT"
    raise SystemExit(f"{package.name} does not say that its licence is MIT; look, and add it to tools/sbom.py.")
