# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).parent.glob("[a-z]*/"))  # the harnesses of one module serve another, and its applications
