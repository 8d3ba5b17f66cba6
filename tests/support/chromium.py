# SPDX-License-Identifier: AGPL-3.0-or-later
"""The browser of the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM: Final = shutil.which("chromium-headless-shell") or shutil.which("chromium")
ARGUMENTS: Final = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync", "--disable-component-update",
    "--no-zygote",  # a page in a context of its own takes 0.4 s of a processor, and 0.57 s with one
]  # fmt: skip


@contextmanager
def launched() -> Iterator[Browser]:
    """One browser; the tests that need it are skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()
