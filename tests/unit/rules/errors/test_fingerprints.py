# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fingerprints on a corpus that people have labelled before there was code: see corpus/README.md."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest

from z4j.rules.errors.fingerprints import KEY_BYTES, fingerprint, through_last_frame

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


TRACE = 'Traceback (most recent call last):\n  File "/srv/shop/pay.py", line {}, in charge\n    go()\n'


def test_what_follows_the_last_frame_does_not_matter_but_a_group_of_exceptions_does() -> None:
    assert key_of_trace(TRACE.format(1) + "PayError: order 1\n") == key_of_trace(TRACE.format(2) + "PayError: order 2\nmore\n")
    assert key_of_trace(TRACE.format(1)) != key_of_trace(TRACE.format(1).replace("charge", "refund"))
    group = "  + Exception Group Traceback (most recent call last):\n" + '  |   File "/srv/shop/pay.py", line 1, in charge\n'
    inside = "  | ExceptionGroup: two\n  +-+---------------- 1 ----------------\n    | {}: no\n    +------------------------------------\n"
    assert key_of_trace(group + inside.format("KeyError")) != key_of_trace(group + inside.format("OSError"))
    cut = TRACE.format(1).partition("\n")[2]
    assert key_of_trace("…" + cut + "A: 1\n") == key_of_trace("…" + cut + "A: 2\n")
    assert key_of_trace("Traceback (most recent call last):\nA: 1\n") == key_of_trace("Traceback (most recent call last):\nA: 2\n")


def key_of_trace(traceback: str) -> bytes:
    return fingerprint("PayError", "no", traceback).key


def test_keys_are_stored_so_they_stay_the_same() -> None:
    assert fingerprint("PayError", "order 7", TRACE.format(1) + "PayError: order 7\n").key.hex() == STORED
    assert fingerprint("AB", "C", "").key != fingerprint("A", "BC", "").key
    assert fingerprint("A" * 300, "", "").error_type == "A" * 200


STORED = "14fb861666f869994b62f039d72561b7"


def test_what_follows_the_last_frame_is_left_out() -> None:
    head = 'Traceback (most recent call last):\n  File "/a.py", line 1, in f\n    g()\n  File "/a.py", line 2, in g'
    assert through_last_frame(head + "\n    h()\nE: 1\n") == head
    assert through_last_frame(head) == head  # nothing follows
    for text in ("…" + head + "\nE: 1\n", "Traceback (most recent call last):\nE: 1\n", "no traceback\n", ""):
        assert through_last_frame(text) == text
    group = f"{head}\n  + Exception Group Traceback (most recent call last):\n  | E: 1\n"
    assert through_last_frame(group) == group
    assert through_last_frame(head + "\n") == head


def test_a_lone_surrogate_is_no_obstacle() -> None:
    assert fingerprint("E", "a \ud800 b", "").key == fingerprint("E", "a \ud800 b", "").key
