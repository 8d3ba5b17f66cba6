# SPDX-License-Identifier: AGPL-3.0-or-later
"""A Valkey server on the given port until SIGTERM: `python -m tests.support.broker PORT`. Runs in an engine's environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from z4j_agent.conformance.harness import valkey_command

if __name__ == "__main__":
    command = valkey_command(int(sys.argv[1]), Path.cwd())
    os.execv(command[0], command)
