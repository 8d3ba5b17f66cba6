# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the harnesses of one module serve another

pytest.register_assert_rewrite(
    *(
        f"z4j_agent.conformance.{name}"
        for name in ("contract", "examples", "failures", "installation", "operations", "assertions", "scheduling")
    )
)


@pytest.hookimpl(tryfirst=True)  # before pytest itself looks at marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A class that repeats another's proof says which of its tests are worth it every time; the others are long."""
    for item in items:
        essentials = getattr(getattr(item, "cls", None), "essentials", None)
        if essentials is not None and item.name not in essentials:
            item.add_marker(pytest.mark.long)
