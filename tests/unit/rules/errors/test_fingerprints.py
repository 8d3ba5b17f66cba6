# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fingerprints on a corpus that people have labelled before there was code: see corpus/README.md."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from z4j.rules.errors.fingerprints import KEY_BYTES, fingerprint

CORPUS = Path(__file__).with_name("corpus") / "failures.jsonl"
ENGINES = {"celery", "rq", "dramatiq", "huey", "arq", "taskiq"}


@pytest.fixture(scope="module")
def failures() -> list[dict[str, str]]:
    return [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]


def key_of(row: dict[str, str]) -> bytes:
    return fingerprint(row["error_type"] or row.get("reason", ""), row["message"], row["traceback"]).key


def test_precision_and_recall_of_pairs(failures: list[dict[str, str]]) -> None:
    assert len(failures) >= 200
    assert {row["engine"] for row in failures} == ENGINES
    together = labelled = both = 0
    keyed = [(row["group"], key_of(row)) for row in failures]
    for (group, key), (other_group, other_key) in itertools.combinations(keyed, 2):
        together += key == other_key
        labelled += group == other_group
        both += key == other_key and group == other_group
    assert labelled >= 100
    assert both / together >= 0.98
    assert both / labelled >= 0.98


def test_a_fingerprint_names_what_failed(failures: list[dict[str, str]]) -> None:
    found = fingerprint("PaymentDeclined", "card of customer 4411 expired", next(
        row["traceback"] for row in failures if row["group"] == "payment-expired-card"
    ))  # fmt: skip
    assert (found.title, found.error_type) == ("PaymentDeclined: card of customer * expired", "PaymentDeclined")
    assert found.function == "shop.gateway.capture"
    assert len(found.key) == KEY_BYTES


def test_a_failure_without_a_name() -> None:
    assert fingerprint("", "", "").title == "failed"
    assert fingerprint("a.b.Gone", "", "").title == "Gone"


def test_long_texts_take_no_time() -> None:
    began = time.perf_counter()
    fingerprint("E" * 1_000_000, "x 1 " * 250_000, '  File "' * 100_000)
    assert time.perf_counter() - began < 0.5
