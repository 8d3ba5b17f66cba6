# SPDX-License-Identifier: Apache-2.0
"""Keeps the imports of the agent's thread from blocking a process that the application forks meanwhile.

Python copies the lock of a module that is being imported into the child, and no thread there releases it: a child that imports the same
module never returns. The application does not know what the agent imports. So a worker imports the modules that the thread always needs
before the thread starts, and in a child any other import that the thread had begun has failed and may be tried again, as after an import
that raises.
"""

from __future__ import annotations

import _thread
import importlib
import sys

NEEDED = ("encodings.idna", "websockets.sync.client", "z4j_agent.connection.tls")
"""Modules that every connection needs, with the codec that resolving a host name loads."""


def import_ahead() -> None:
    """Imports the modules of NEEDED in the calling thread. Raises ImportError if one of them is missing."""
    for name in NEEDED:
        importlib.import_module(name)


def importing_thread() -> int:
    """Returns the identifier of the calling thread in Python's import locks, also where gevent has patched `_thread`."""
    return _thread.get_ident()


def forget_imports_of(thread: int) -> None:
    """In a forked child: drops the import locks that `thread` (see `importing_thread`) held, and the modules whose import it had begun and
    not finished. It reads `importlib._bootstrap._module_locks` of CPython, and does nothing where that is missing."""
    locks = getattr(getattr(importlib, "_bootstrap", None), "_module_locks", {})  # CPython 3.11 to 3.14
    for name, reference in list(locks.items()):
        if getattr(reference(), "owner", None) != thread:
            continue
        del locks[name]
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            del sys.modules[name]
