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
