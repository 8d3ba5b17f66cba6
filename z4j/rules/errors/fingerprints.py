# SPDX-License-Identifier: AGPL-3.0-or-later
"""Computes which failures are one problem. Pure.

The key is a hash over the name of the exception, its normalised message, the functions in which it began and was raised, and what caused
it. Stored keys are compared with new ones: `VERSION` changes with every change of a rule, and then new groups are made.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, NamedTuple

from z4j.rules.errors.normalised_messages import normalise
from z4j.rules.errors.origins import Origin, origin_of

VERSION: Final = 1
KEY_BYTES: Final = 16


class Fingerprint(NamedTuple):
    """What a group of failures has in common. `title` is for people: the exception and its message without values."""

    key: bytes
    title: str
    error_type: str
    message: str
    function: str


def fingerprint(error_type: str, message: str, traceback: str) -> Fingerprint:
    """Returns the fingerprint of a failure, as its agent reported it. Any text is allowed; the time is bounded."""
    name = error_type.rpartition(".")[2][:200] or "failed"
    return _of(name, _normalise(message, name), _origin_of(through_last_frame(traceback)))


_normalise: Final = lru_cache(2_048)(normalise)
_origin_of: Final = lru_cache(256)(origin_of)


def through_last_frame(traceback: str) -> str:
    """Returns a traceback without what follows its last frame, which is another text in each failure of a group.

    A group of exceptions is returned whole: what it consists of follows."""
    if not traceback.startswith("Traceback (") or "Exception Group Traceback" in traceback:
        return traceback
    start = traceback.rfind('\n  File "')
    end = traceback.find("\n", start + 1)
    return traceback if start < 0 or end < 0 else traceback[:end]


@lru_cache(1_024)
def _of(name: str, message: str, origin: Origin) -> Fingerprint:
    parts = (str(VERSION), name, message, origin.entry, origin.function, *origin.causes)
    key = hashlib.blake2b("\x1f".join(parts).encode("utf-8", "backslashreplace"), digest_size=KEY_BYTES).digest()
    return Fingerprint(key, f"{name}: {message}" if message else name, name, message, origin.function)
