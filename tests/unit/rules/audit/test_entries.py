# SPDX-License-Identifier: AGPL-3.0-or-later
"""What exactly is signed of a row, and how a row is shown that tries to forge another."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from tests.support.audit_chain import KEY, chain
from z4j.rules.audit.entries import ANY, GENESIS, Head, add_to_digest, canonical, sign


def test_a_row_is_signed_in_a_form_that_no_release_may_change() -> None:
    """Logs that are in use were signed with these bytes."""
    row = replace(chain()[0], actor="Zoë")
    text = b'[1,1000,"Zo\\u00eb","admin","retry_task","celery:1","done","{}","::1","k1"]'
    assert canonical(row) == text
    assert bytes(32) == GENESIS
    assert sign(KEY, GENESIS, row) == hmac.digest(KEY, b"z4j audit v1\0" + bytes(32) + text, "sha256")
    signed = replace(row, mac=b"m" * 32)
    assert add_to_digest(GENESIS, signed) == hashlib.sha256(b"z4j audit digest v1\0" + bytes(32) + b"m" * 32 + text).digest()


def test_the_canonical_form_is_unambiguous() -> None:
    row = chain()[0]
    assert canonical(replace(row, actor="a", role="b")) != canonical(replace(row, actor='a","b', role=""))


def test_the_digest_covers_the_mac_and_the_row_and_what_came_before() -> None:
    row = chain()[0]
    other = {add_to_digest(GENESIS, row), add_to_digest(GENESIS, replace(row, mac=b"m")), add_to_digest(b"1" * 32, row)}
    assert len(other | {add_to_digest(GENESIS, replace(row, actor="eve"))}) == 4


def test_heads_are_equal_when_they_name_the_same_row_whoever_remembers_it() -> None:
    assert Head(3, b"m", 2, "an agent") == Head(3, b"m")
    assert Head(3, b"m") != Head(3, b"n")
    assert (Head(3, b"m").number, Head(3, b"m").source) == (0, "")
    assert ANY == -1, "no checkpoint has this number"
