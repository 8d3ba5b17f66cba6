# SPDX-License-Identifier: AGPL-3.0-or-later
"""The pages of the package index in a browser's session; installers are in tests/e2e/test_package_index.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.site import Site
from tests.unit.appliance.test_wheels import make
from z4j import resources
from z4j.web.pages.package_index import JSON


@pytest.fixture(autouse=True)
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bundled"
    make(folder, more="Requires-Python: >=3.11,<4\n")
    monkeypatch.setattr(resources, "wheels", lambda: folder)
    return folder


def test_a_person_who_is_signed_in_reads_the_index(shop: Site) -> None:
    assert '<a href="/simple/z4j-celery/">z4j-celery</a>' in shop.get("/simple/").text
    page = shop.get("/simple/z4j-celery/").text
    assert 'data-requires-python="&gt;=3.11,&lt;4"' in page
    assert "/simple/z4j-celery/z4j_celery-0.1.0%2Bz4j-py3-none-any.whl#sha256=" in page
    wheel = shop.get("/simple/z4j-celery/z4j_celery-0.1.0%2Bz4j-py3-none-any.whl")
    assert wheel.content[:2] == b"PK"
    assert wheel.headers["cache-control"] == "private, max-age=86400"


def test_json_has_what_an_installer_needs(shop: Site) -> None:
    answer = shop.get("/simple/z4j-celery/", Accept=JSON)
    assert answer.headers["content-type"] == JSON
    found = json.loads(answer.text)
    assert found["meta"] == {"api-version": "1.1"}
    assert found["versions"] == ["0.1.0+z4j"]
    [file] = found["files"]
    assert set(file) == {"filename", "url", "hashes", "size", "core-metadata", "requires-python"}


def test_a_package_that_is_not_served_is_not_found_with_the_reason(shop: Site) -> None:
    answer = shop.get("/simple/django/")
    assert answer.status_code == 404
    assert "does not serve this package" in answer.text
