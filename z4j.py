# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the executable is frozen from; everywhere else the entry point is `z4j.cli:main`."""

from z4j.cli import main

raise SystemExit(main())
