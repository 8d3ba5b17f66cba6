# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs the Python text on standard input as a program: an example of a document."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    exec(compile(sys.stdin.read(), "<example>", "exec"), {"__name__": "__main__"})
