# SPDX-License-Identifier: AGPL-3.0-or-later
"""The hash for unknown names: of the same form and cost as a true one."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerifyMismatchError

from z4j.web.auth.password_hashing import PasswordHashing


@pytest.mark.parametrize("hasher", [PasswordHasher(), PasswordHasher(time_cost=1, memory_cost=64, parallelism=1, hash_len=24, salt_len=12)])
def test_a_hash_that_no_password_is_known_for_is_verified_as_any_other(hasher: PasswordHasher) -> None:
    unknown = PasswordHashing(hasher).unknown_hash()
    true = hasher.hash("a long enough passphrase")
    assert extract_parameters(unknown) == extract_parameters(true)
    assert len(unknown) == len(true)
    assert not hasher.check_needs_rehash(unknown)
    with pytest.raises(VerifyMismatchError):  # and not InvalidHashError, which is raised at once
        hasher.verify(unknown, "a long enough passphrase")


def test_each_is_another() -> None:
    made = PasswordHashing(PasswordHasher())
    assert made.unknown_hash() != made.unknown_hash()
