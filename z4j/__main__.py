# SPDX-License-Identifier: AGPL-3.0-or-later
"""`python -m z4j`."""

from z4j.cli import main

raise SystemExit(main())
