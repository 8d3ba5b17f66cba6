# SPDX-License-Identifier: AGPL-3.0-or-later
"""Imports at first use: a server without page requests does not load the pages, and starts before they are read.

Names are written as "module:attribute". A contract test imports every one of them (tests/contract/test_lazy_imports.py). `z4j.spec` takes
all modules of the product, because PyInstaller does not detect these names.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any


@cache
def load(name: str) -> Any:
    """Returns the attribute of a module, which is imported if it was not. Raises ImportError or AttributeError for a wrong name."""
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """No garbage is collected meanwhile. What is imported stays, and looking through it again and again takes a fifth of its time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
