# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from z4j.exceptions import BadInput
from z4j.operations.settings_file import read_settings

IMPOSSIBLE: list[dict[str, Any]] = [
    {"apps": [{"name": ""}]},
    {"apps": [{"name": "a\x1b[31mb"}]},
    {"apps": [{"name": "n" * 61}]},
    {"apps": [{"name": "a", "seal_key_id": "<b>"}]},
    {"users": [{"name": "ada ", "role": "admin"}]},
    {"users": [{"name": "x\u202ey", "role": "viewer"}]},
    {"users": [{"name": "x", "role": "root"}]},
]


@pytest.mark.parametrize("more", IMPOSSIBLE)
def test_nothing_of_a_file_with_impossible_names_is_imported(more: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="No changes were made"):
        read_settings(json.dumps({"z4j_settings": 1, **more}).encode())


def test_ordinary_names_are_read() -> None:
    found = read_settings(
        b'{"z4j_settings": 1, "apps": [{"name": "shop", "seal_key_id": "0123abcd"}], "users": [{"name": "Ada L", "role": "admin"}]}'
    )
    assert (found.apps[0].name, found.users[0].name) == ("shop", "Ada L")
