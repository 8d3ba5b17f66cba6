# SPDX-License-Identifier: Apache-2.0
"""Changes to what is scheduled in code: where they are kept, how they are put over the code, and what arguments they leave as they are.

The overrides lie in the spool folder as the server sent them last. A scheduler reads them there before its first fire, and another
process of the same tree (Huey's forked scheduler) sees by one `stat` that they have changed.
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
from z4j_agent.commands.authority import is_permitted, keys_of
from z4j_agent.commands.edits import merge_value
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
    """What overrides make of the code's entries. What is in none of the first three is as the code says."""

    changed: dict[str, E] = field(default_factory=dict)
    """Key → what `build` made: an entry that is changed, or new. In the order of the overrides."""
    deleted: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()
    """Those of the code that are switched off and not otherwise changed."""
    failed: dict[str, str] = field(default_factory=dict)
    """Key → why its override cannot hold; the code's own entry stays then."""


def resolve(overrides: Iterable[Override], coded: Container[str], build: Callable[[Override, ScheduleSpec], E]) -> Resolved[E]:
    """`coded` are the keys of what the code says by itself; `build` makes the engine's entry of a spec, and raises Refused. An override
    that fails in any other way does not keep the rest from holding."""
    changed: dict[str, E] = {}
    failed: dict[str, str] = {}
    deleted, off = set(), set()
    for override in overrides:
        key = override.key
        try:
            if override.is_deleted:  # also one that the code does not have any more: it is not there, as was wanted
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
    """The arguments of a spec, where `args` and `kwargs` are the entry's own: what the spec leaves out stays, and so does what it shows
    masked. Raises Refused, see `unmask`."""
    old_args, old_kwargs = list(args or ()), dict(kwargs or {})
    return (
        old_args if spec.args is None else list(merge_value(spec.args, old_args, "args")),
        old_kwargs if spec.kwargs is None else dict(merge_value(spec.kwargs, old_kwargs, "kwargs")),
    )


class OverrideStore:
    """The overrides of one scheduler in this spool folder; where there is no folder, of this process alone."""

    def __init__(
        self, folder: Path | None, environment: str, scheduler: str, *, runs_tasks: bool = True, keys: tuple[SealKey, ...] = ()
    ) -> None:
        self._file = SharedJson(None if folder is None else folder / f"overrides-{scheduler}-{digest_of(environment)}.json", _whole)
        self._keys = keys
        self._list_in_memory = ""
        """Names the list in memory where its arguments may not stand in the file; "" where they may, or are not known here."""
        self.runs_tasks = runs_tasks
        """Whether the owner permits `run_task`. If not, what was kept before has nothing run but what the code says."""
        self.new_work: set[str] = set()
        """Keys of overrides that have something else run than the code says."""
        self.digest = ""
        """Of the list as it was sent; "" when none ever was."""
        self.overrides: list[Override] = []

    def changed(self) -> bool:
        """Whether another list lies there than when this was asked before. Costs one `stat`."""
        if not self._file.changed() or (whole := self._file.read()) is None:
            return False
        names = whole.get("held")
        try:
            if "sealed" in whole:
                whole = self._opened(whole)
            if self._list_in_memory and names == self._list_in_memory and not whole.get("digest"):
                # Another process was sent the same list, and could not write its arguments either. They are here already: taking what
                # stands there would switch them off, and have the server send the list to each process in turn without an end.
                return False
            stored, times_only = overrides_of(whole.get("overrides")), whole.get("times_only", ())
        except (ValueError, Refused) as error:  # no overrides: those that are known stay
            faults.report("reading the overrides kept on the disk", error)
            return False
        self.new_work = {override.key for override in stored if override.spec is not None and override.key not in times_only}
        self.overrides = [override for override in stored if self.runs_tasks or override.key not in self.new_work]
        self.digest = str(whole.get("digest"))
        self._list_in_memory = str(names or "") if self.digest else ""
        return True

    def read(self) -> list[Override]:
        """Those that hold now."""
        self.changed()
        return self.overrides

    def replace(self, overrides: list[Any], refused: Collection[str] = (), times_only: Collection[str] = ()) -> None:
        """Keeps those whose key was not refused; `times_only` are those that change nothing of what runs. The digest is of the whole
        list, for that is what the server compares. Raises Refused when they are not overrides, OSError when they cannot be written."""
        self.changed()
        permitted = [item for item in overrides if item["key"] not in refused]
        self.overrides, self.digest = overrides_of(permitted), digest_of(overrides)
        # Once applied, an override is what its entry is: the same one compared with that says nothing of the code any more.
        changing = {override.key for override in self.overrides if override.spec is not None}
        self.new_work = {key for key in changing if key in self.new_work or key not in times_only}
        self._list_in_memory = _name_of_list(overrides)
        self._file.replace(self._closed(permitted, sorted(changing - self.new_work)))

    def _closed(self, permitted: list[Any], times_only: list[str]) -> dict[str, Any]:
        """What is written. Arguments with a secret in them make the whole list sealed. Without a seal key such an entry is written as
        switched off, and the list without a digest: after a restart it does not fire until the server has sent it again. `held` tells
        those who were sent the same list that it is the one they have in memory."""
        whole = {"digest": self.digest, "overrides": permitted, "times_only": times_only}
        secret = {item["key"] for item in permitted if _holds_secret(item.get("spec"))}
        if not secret:
            return whole
        if not self._keys:
            off = [{"key": override["key"], "is_enabled": False} if override["key"] in secret else override for override in permitted]
            return {"digest": "", "overrides": off, "times_only": times_only, "held": self._list_in_memory}
        sealed = seal_data(self._keys[0], _PURPOSE, json.dumps(whole).encode())
        return {"sealed": base64.b64encode(sealed).decode("ascii"), "key_id": self._keys[0].key_id, "held": self._list_in_memory}

    def _opened(self, sealed: dict[str, Any]) -> dict[str, Any]:
        """A list that cannot be opened counts as none: the server sends it again."""
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
    # The names of positional parameters are not known here, so a text that is passed by position may be a secret.
    return redact(spec)[1] or (isinstance(positional, list) and any(not isinstance(value, int | float | None) for value in positional))


def _name_of_list(overrides: list[Any]) -> str:
    """Names a list without anything of its secrets, which could be guessed from a digest of them; "" where it holds none."""
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
    """What stands in the file. Raises TypeError for what no agent has written."""
    if isinstance(content, list):  # of an older agent
        return {"digest": digest_of(content), "overrides": content}
    if not isinstance(content, dict):
        raise TypeError("no overrides")
    return content


def open_store(settings: Settings, folder: Path | None, scheduler: str) -> OverrideStore:
    """Those of this spool folder and environment; none where the owner does not permit overrides any more."""
    stored_in = folder if is_permitted(settings, "apply_overrides") else None
    return OverrideStore(stored_in, settings.environment, scheduler, runs_tasks=is_permitted(settings, "run_task"), keys=keys_of(settings))
