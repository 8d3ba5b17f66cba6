# SPDX-License-Identifier: Apache-2.0
"""Overrides of schedules in code: where they are stored, how they are applied, and which arguments they leave unchanged.

The overrides are stored in the spool folder as the server sent them last. A scheduler reads them before its first fire. Another process of
the same tree (Huey's forked scheduler) detects a change with one `stat`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.capture.originals import CannotOpen, open_data, seal_data
from z4j_agent.commands.edits import merge_value
from z4j_agent.commands.permissions import is_permitted, keys_of
from z4j_agent.contract.capabilities import Refused
from z4j_agent.contract.scheduler import Override, ScheduleSpec, digest_of, overrides_of
from z4j_agent.spool.shared_file import SharedJson
from z4j_agent.wire.redaction import redact

if TYPE_CHECKING:
    from z4j_agent.settings import SealKey, Settings

E = TypeVar("E")
_PURPOSE: Final = b"overrides on disk"
NO_ENTRY: Final = "the code no longer contains this entry"
NO_SPEC: Final = "a new schedule requires its kind"


@dataclass(frozen=True, slots=True)
class Resolved(Generic[E]):
    """The result of applying overrides to the code's entries. An entry in none of the first three fields is as in the code."""

    changed: dict[str, E] = field(default_factory=dict)
    """Key → what `build` made: an entry that is changed, or new. In the order of the overrides."""
    deleted: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    """Keys of the code's entries that are disabled and not otherwise changed."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key → why its override cannot be applied. The code's own entry is used then."""


def resolve(overrides: Iterable[Override], coded: Container[str], build: Callable[[Override, ScheduleSpec], E]) -> Resolved[E]:
    """Applies overrides. `coded` contains the keys of the code's entries; `build` makes the engine's entry of a spec, and raises Refused.
    An override that fails in any other way does not affect the others."""
    changed: dict[str, E] = {}
    failed: dict[str, str] = {}
    deleted, off = set(), set()
    for override in overrides:
        key = override.key
        try:
            if override.is_deleted:  # also one that the code no longer has: the requested state is reached
                deleted.add(key)
            elif not override.is_new and key not in coded:
                raise Refused(NO_ENTRY)
            elif override.spec is not None:
                changed[key] = build(override, override.spec)
            elif override.is_new:
                raise Refused(NO_SPEC)
            elif not override.is_enabled:
                off.add(key)
        except Refused as error:
            failed[key] = str(error)
        except Exception as error:
            let_through(error)
            faults.report("an override", error)
            failed[key] = f"it failed with {type(error).__name__}"
    return Resolved(changed, frozenset(deleted), frozenset(off), failed)


def merge_arguments(spec: ScheduleSpec, args: Any = (), kwargs: Any = None) -> tuple[list[Any], dict[str, Any]]:
    """Returns the arguments of a spec, where `args` and `kwargs` are the entry's own: values that the spec leaves out or that are masked in
    it stay unchanged. Raises Refused, see `unmask`."""
    old_args, old_kwargs = list(args or ()), dict(kwargs or {})
    return (
        old_args if spec.args is None else list(merge_value(spec.args, old_args, "args")),
        old_kwargs if spec.kwargs is None else dict(merge_value(spec.kwargs, old_kwargs, "kwargs")),
    )


class OverrideStore:
    """The overrides of one scheduler in this spool folder; without a folder, in memory for this process alone."""

    def __init__(
        self, folder: Path | None, environment: str, scheduler: str, *, runs_tasks: bool = True, keys: tuple[SealKey, ...] = ()
    ) -> None:
        self._file = SharedJson(None if folder is None else folder / f"overrides-{scheduler}-{digest_of(environment)}.json", _whole)
        self._keys = keys
        self._list_in_memory = ""
        """Name of the list in memory if its arguments must not be in the file; "" if they may, or are unknown here."""
        self.runs_tasks = runs_tasks
        """Whether the owner permits `run_task`. If not, stored overrides run nothing except what the code runs."""
        self.new_work: set[str] = set()
        """Keys of overrides that run something else than the code."""
        self.digest = ""
        """Digest of the list as it was sent; "" if none was ever sent."""
        self.overrides: list[Override] = []

    def changed(self) -> bool:
        """Reads the file if it has changed since the last call, and returns whether it has. Costs one `stat`."""
        if not self._file.changed() or (whole := self._file.read()) is None:
            return False
        names = whole.get("held")
        try:
            if "sealed" in whole:
                whole = self._opened(whole)
            if self._list_in_memory and names == self._list_in_memory and not whole.get("digest"):
                # Another process was sent the same list, and could not write its arguments either. They are in memory already: using the #
                # file would disable them, and have the server send the list to each process in turn without an end.
                return False
            stored, times_only = overrides_of(whole.get("overrides")), whole.get("times_only", ())
        except (ValueError, Refused) as error:  # not overrides: the known ones stay in force
            faults.report("reading the overrides kept on the disk", error)
            return False
        self.new_work = {override.key for override in stored if override.spec is not None and override.key not in times_only}
        self.overrides = [override for override in stored if self.runs_tasks or override.key not in self.new_work]
        self.digest = str(whole.get("digest"))
        self._list_in_memory = str(names or "") if self.digest else ""
        return True

    def read(self) -> list[Override]:
        """Returns the overrides that apply now."""
        self.changed()
        return self.overrides

    def replace(self, overrides: list[Any], refused: Collection[str] = (), times_only: Collection[str] = ()) -> None:
        """Stores the overrides whose key is not in `refused`; `times_only` contains the keys of those that change only times. The digest is
        of the whole list, which the server compares. Raises Refused if they are not overrides, and OSError if they cannot be written; then
        the earlier overrides and their digest stay in force."""
        self.changed()
        permitted = [item for item in overrides if item["key"] not in refused]
        parsed, digest, name = overrides_of(permitted), digest_of(overrides), _name_of_list(overrides)
        # Once applied, the override is the entry: comparing it with the entry again shows no difference from the code.
        changing = {override.key for override in parsed if override.spec is not None}
        new_work = {key for key in changing if key in self.new_work or key not in times_only}
        self._file.replace(self._closed(permitted, digest, sorted(changing - new_work), name))
        self.overrides, self.digest, self.new_work, self._list_in_memory = parsed, digest, new_work, name

    def _closed(self, permitted: list[Any], digest: str, times_only: list[str], name: str) -> dict[str, Any]:
        """The content of the file. A secret in the arguments makes the whole list sealed. Without a seal key such an entry is written as
        disabled, and the list without a digest: after a restart it does not fire until the server has sent it again. By `held`, processes
        that were sent the same list recognise it as the one in their memory."""
        whole = {"digest": digest, "overrides": permitted, "times_only": times_only}
        secret = {item["key"] for item in permitted if _holds_secret(item.get("spec"))}
        if not secret:
            return whole
        if not self._keys:
            off = [{"key": override["key"], "is_enabled": False} if override["key"] in secret else override for override in permitted]
            return {"digest": "", "overrides": off, "times_only": times_only, "held": name}
        sealed = seal_data(self._keys[0], _PURPOSE, json.dumps(whole).encode())
        return {"sealed": base64.b64encode(sealed).decode("ascii"), "key_id": self._keys[0].key_id, "held": name}

    def _opened(self, sealed: dict[str, Any]) -> dict[str, Any]:
        """A list that cannot be opened counts as empty: the server sends it again."""
        try:
            opened = json.loads(open_data(self._keys, str(sealed.get("key_id")), _PURPOSE, base64.b64decode(str(sealed["sealed"]))))
            return opened if isinstance(opened, dict) else {}
        except CannotOpen as error:
            faults.report("opening the overrides kept on the disk", error)
            return {"digest": "", "overrides": []}


def _holds_secret(spec: Any) -> bool:
    if not isinstance(spec, dict):
        return False
    positional = spec.get("args")
    # The names of positional parameters are unknown here, so a text that is passed by position may be a secret.
    return redact(spec)[1] or (isinstance(positional, list) and any(not isinstance(value, int | float | None) for value in positional))


def _name_of_list(overrides: list[Any]) -> str:
    """Name of a list with secrets. It contains nothing of the secrets, which could be guessed from their digest; "" for a list without
    secrets."""
    secret = [_holds_secret(item.get("spec")) for item in overrides]
    if not any(secret):
        return ""
    return digest_of(
        [
            {**override, "spec": {**redact(override["spec"])[0], "args": []}} if hides else override
            for override, hides in zip(overrides, secret, strict=True)
        ]
    )


def _whole(content: Any) -> dict[str, Any]:
    """The content of the file. Raises TypeError if it was not written by an agent."""
    if isinstance(content, list):  # of an older agent
        return {"digest": digest_of(content), "overrides": content}
    if not isinstance(content, dict):
        raise TypeError("no overrides")
    return content


def open_store(settings: Settings, folder: Path | None, scheduler: str) -> OverrideStore:
    """Returns the overrides of this spool folder and environment; none if the owner no longer permits overrides."""
    stored_in = folder if is_permitted(settings, "apply_overrides") else None
    return OverrideStore(stored_in, settings.environment, scheduler, runs_tasks=is_permitted(settings, "run_task"), keys=keys_of(settings))
