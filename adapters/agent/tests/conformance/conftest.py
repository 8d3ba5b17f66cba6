# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.register_assert_rewrite("z4j_agent.conformance.contract", "z4j_agent.conformance.assertions")
