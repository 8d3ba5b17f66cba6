# SPDX-License-Identifier: AGPL-3.0-or-later
"""Templates that were compiled when the executable was built.

Compiling the templates of the first pages takes 0.14 s of a processor and 3 MB of memory, which Jinja's compiler and its trees need. Each
compiled template carries the checksum of its source and the version of Python and of the format: if they differ, Jinja compiles the source.
A server never writes compiled templates: nothing that it executes comes from its data folder.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment
from jinja2.bccache import Bucket, BytecodeCache


class CompiledTemplates(BytecodeCache):
    """Reads compiled templates from a folder. Templates that are missing there are compiled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_cache_key(self, name: str, filename: str | Path | None = None) -> str:
        """Returns the key of a template: by name alone, because the executable is unpacked into another folder at each start."""
        return super().get_cache_key(name)

    def load_bytecode(self, bucket: Bucket) -> None:
        """Leaves the bucket empty if there is no such file, or one for another source or version."""
        file = self._folder / bucket.key
        if file.is_file():
            bucket.bytecode_from_string(file.read_bytes())

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Writes nothing."""


class _Written(CompiledTemplates):
    """The same files, written while the executable is built."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        (self._folder / bucket.key).write_bytes(bucket.bytecode_to_string())


def compile_all(environment: Environment, folder: Path) -> int:
    """Compiles every template of an environment into a new folder. Returns their number. Raises TemplateSyntaxError."""
    folder.mkdir(parents=True)
    environment.bytecode_cache = _Written(folder)
    names = environment.list_templates()
    for name in names:
        environment.get_template(name)
    return len(names)
