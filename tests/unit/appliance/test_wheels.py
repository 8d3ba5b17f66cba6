# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from z4j import resources
from z4j.appliance import wheels
from z4j.exceptions import BadInput


def make(folder: Path, name: str = "z4j_celery-0.1.0+z4j-py3-none-any.whl", *, says: str = "", version: str = "", more: str = "") -> Path:
    """A wheel with nothing but metadata."""
    project, _, rest = name.partition("-")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        metadata = f"Metadata-Version: 2.4\nName: {says or project}\nVersion: {version or rest.split('-')[0]}\n{more}\n"
        archive.writestr(f"{project}-{rest.split('-')[0]}.dist-info/METADATA", metadata)
    return path


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundled"
    make(folder, more="Requires-Python: >=3.11\n")
    make(folder, "cffi-2.1.1-cp311-cp311-manylinux2014_x86_64.whl")
    monkeypatch.setattr(resources, "wheels", lambda: folder)
    return folder


def test_a_wheel_is_described_by_what_it_contains(bundled: Path, tmp_path: Path) -> None:
    cffi, celery = wheels.list_wheels(tmp_path / "data")
    assert (celery.project, celery.version, celery.requires_python) == ("z4j-celery", "0.1.0+z4j", ">=3.11")
    assert celery.sha256 == hashlib.sha256(celery.path.read_bytes()).hexdigest()
    assert celery.metadata_sha256 == hashlib.sha256(celery.metadata).hexdigest()
    assert b"Name: z4j_celery" in celery.metadata
    assert cffi.project == "cffi"
    assert wheels.projects([cffi, celery, cffi]) == ["cffi", "z4j-celery"]


def test_wheels_of_other_platforms_are_added(bundled: Path, tmp_path: Path) -> None:
    added = wheels.add_wheel(tmp_path / "data", make(tmp_path, "cffi-2.1.1-cp311-cp311-musllinux_1_2_aarch64.whl"))
    assert added.path.parent == tmp_path / "data/wheels"
    assert added.name in [each.name for each in wheels.list_wheels(tmp_path / "data")]
    assert wheels.add_wheel(tmp_path / "data", make(tmp_path, "cffi-2.0.0-py3-none-any.whl")).version == "2.0.0"


@pytest.mark.parametrize(("name", "says", "words"), [
    ("evil-1.0-py3-none-any.whl", "", "does not serve evil"),
    ("z4j_celery-9.9.9-py3-none-any.whl", "", "does not match this version"),
    ("z4j_celery-0.1.0+z4j-py3-none-any.whl", "", "is served already"),
    ("cffi-2.1.1-cp311-cp311-musllinux_1_2_aarch64.whl", "other", "does not contain the package"),
    ("cffi-2.1.1.whl", "", "is not a wheel"),
])  # fmt: skip
def test_nothing_else_is_added(bundled: Path, tmp_path: Path, name: str, says: str, words: str) -> None:
    """Applications install whatever this index contains."""
    source = make(tmp_path / "given", name, says=says)
    with pytest.raises(BadInput, match=words):
        wheels.add_wheel(tmp_path / "data", source)
    assert not list((tmp_path / "data").rglob("*.whl"))


def test_a_file_that_is_no_archive_is_refused_and_left_out(bundled: Path, tmp_path: Path) -> None:
    (bundled / "cffi-3.0-py3-none-any.whl").write_bytes(b"not a zip")
    assert len(wheels.list_wheels(tmp_path / "data")) == 2
    with pytest.raises(BadInput, match="is not a wheel"):
        wheels.add_wheel(tmp_path / "data", bundled / "cffi-3.0-py3-none-any.whl")
    with pytest.raises(BadInput, match="cannot be read"):
        wheels.add_wheel(tmp_path / "data", tmp_path / "nowhere.whl")


def test_an_added_file_does_not_replace_a_bundled_one(bundled: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "data/wheels", more="Summary: other\n")
    [celery] = [each for each in wheels.list_wheels(tmp_path / "data") if each.project == "z4j-celery"]
    assert celery.path.parent == bundled
    assert celery.path != other


def test_a_file_that_cannot_be_read_does_not_hide_the_others(bundled: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data/wheels"
    folder.mkdir(parents=True)
    (folder / "a-1-py3-none-any.whl").symlink_to("/nowhere")
    for name, at in (("c-1-py3-none-any.whl", 6), ("d-1-py3-none-any.whl", 8)):  # encrypted; an unknown method
        content = bytearray(make(tmp_path, name).read_bytes())
        content[at] |= 1 if at == 6 else 99
        content[content.find(b"PK\x01\x02") + at + 2] |= 1 if at == 6 else 99
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "f-1-py3-none-any.whl", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("f-1.dist-info/METADATA", "Metadata-Version: 2.4\nName: f\nVersion: 1\n")
    content = bytearray((folder / "f-1-py3-none-any.whl").read_bytes())
    content[content.find(b"METADATA") + 8 + 9] = 0xFF  # the first byte behind the properties of LZMA
    (folder / "f-1-py3-none-any.whl").write_bytes(content)
    (folder / "e-1-py3-none-any.whl").write_bytes(make(tmp_path, "e-1-py3-none-any.whl").read_bytes().replace(b"Name: e", b"Name: \xff"))
    assert [each.project for each in wheels.list_wheels(tmp_path / "data")] == ["cffi", "z4j-celery"]
