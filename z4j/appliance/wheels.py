# SPDX-License-Identifier: AGPL-3.0-or-later
"""The packages that this appliance serves: wheels of the adapters and of what they need, bundled with z4j, and those that an operator
added to the data folder.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import BytesParser
from functools import lru_cache
from pathlib import Path
from typing import Final

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from z4j import files, resources
from z4j.exceptions import BadInput, StoreError

try:
    from lzma import LZMAError
except ImportError:  # a Python without this library, whose zipfile raises RuntimeError
    LZMAError = zlib.error  # type: ignore[misc,assignment]

LARGEST: Final = 200 * 1024 * 1024
"""Bytes of a wheel that is added."""
LARGEST_METADATA: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file. `project` is its canonical name (PEP 503); `sha256` and `metadata_sha256` are hex digits."""

    project: str
    version: str
    path: Path
    size: int
    sha256: str
    metadata: bytes
    metadata_sha256: str
    requires_python: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return self.path.name


def folders(data: Path) -> tuple[Path, ...]:
    """Returns the folders of wheels: bundled ones first, which an added file cannot replace."""
    bundled = resources.wheels()
    return (*((bundled,) if bundled else ()), data / "wheels")


def list_wheels(data: Path) -> list[Wheel]:
    """Lists all wheels by file name, each name once. Files that are not wheels are left out."""
    found: dict[str, Wheel] = {}
    for folder in folders(data):
        for path in sorted(folder.glob("*.whl")):
            try:
                facts = path.stat()
            except OSError:  # a link to nowhere, or deleted meanwhile
                continue
            if path.name not in found and (wheel := _read(path, facts.st_mtime_ns, facts.st_size)) is not None:
                found[path.name] = wheel
    return sorted(found.values(), key=lambda wheel: wheel.name)


def projects(wheels: Iterable[Wheel]) -> list[str]:
    """Lists the canonical names, each once."""
    return sorted({wheel.project for wheel in wheels})


@lru_cache(1_000)
def _read(path: Path, changed_ns: int, size: int) -> Wheel | None:
    try:
        return read_wheel(path)
    except (BadInput, OSError):
        return None


def read_wheel(path: Path) -> Wheel:
    """Reads one wheel. Raises BadInput if it is none, and OSError."""
    try:
        project, version, _, _ = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            [member] = [
                item for item in archive.infolist() if item.filename.endswith(".dist-info/METADATA") and item.filename.count("/") == 1
            ]
            if member.file_size > LARGEST_METADATA:
                raise ValueError("its metadata is too large")
            metadata = archive.read(member)
    except (
        InvalidWheelFilename,
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        EOFError,
        RuntimeError,
        ValueError,
    ) as error:  # what zipfile raises
        raise BadInput(f"{path.name} is not a wheel: {error}.") from error
    headers = BytesParser().parsebytes(metadata, headersonly=True)
    if canonicalize_name(str(headers.get("Name", ""))) != project or str(headers.get("Version", "")) != str(version):
        raise BadInput(f"{path.name} does not contain the package in its file name.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Wheel(
        project, str(version), path, path.stat().st_size, digest, metadata, hashlib.sha256(metadata).hexdigest(),
        str(headers.get("Requires-Python", "")),
    )  # fmt: skip


def add_wheel(data: Path, source: Path) -> Wheel:
    """Copies a wheel into the data folder, for example of another platform. Raises BadInput if it is not a wheel of a package that is
    bundled: applications install from this index whatever it contains."""
    try:
        if source.stat().st_size > LARGEST:
            raise BadInput(f"{source.name} is larger than {LARGEST // 1024 // 1024} MB. No changes were made.")
        wheel, known = read_wheel(source), list_wheels(data)
        content = source.read_bytes()
    except OSError as error:
        raise BadInput(f"{source} cannot be read: {error.strerror}. No changes were made.") from error
    if wheel.project not in projects(known):
        listed = ", ".join(projects(known)) or "none: this installation has no bundled wheels"
        raise BadInput(f"This appliance does not serve {wheel.project}. No changes were made.", f"Packages that it serves: {listed}.")
    ours = {other.version for other in known if other.project == wheel.project and other.project.startswith("z4j-")}
    if ours and wheel.version not in ours:
        raise BadInput(
            f"{wheel.project} {wheel.version} does not match this version of z4j ({', '.join(sorted(ours))}). No changes were made.",
            "Only equal versions are tested together.",
        )
    target = data / "wheels" / wheel.name
    if any(other.name == wheel.name for other in known):
        raise BadInput(f"{wheel.name} is served already. No changes were made.")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write_whole(target, content)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. No changes were made.") from error
    return read_wheel(target)
