# SPDX-License-Identifier: Apache-2.0
"""The agent's side of schedules: tells what the schedulers of this process hold, and keeps the overrides of code-defined ones.

The overrides lie in the spool folder as the server sent them last. A scheduler reads them there before its first fire, and another
process of the same tree (Huey's forked scheduler) sees by one `stat` that they have changed. Nothing here runs in the host's threads
but `kept`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from z4j_agent.adapter import Adapter
from z4j_agent.authority import check_spec, is_permitted, keys_of
from z4j_agent.contract import Refused, Unsupported
from z4j_agent.guard import faults, let_through
from z4j_agent.originals import CannotOpen, open_data, seal_data
from z4j_agent.redaction import redact, redact_answer
from z4j_agent.schedules import Override, ScheduleInfo, Scheduler, ScheduleSpec, digest_of, overrides_of, spec_of
from z4j_agent.shared_file import SharedJson

if TYPE_CHECKING:
    from z4j_agent.session import Command
    from z4j_agent.settings import SealKey, Settings
    from z4j_agent.turns import Turns

_PURPOSE: Final = b"overrides on disk"
MAX_SCHEDULES: Final = 2_000
TELL_EVERY_S: Final = 20.0
"""The same list is told again this often, so that the server knows that it still holds."""


class Kept:
    """The overrides of one scheduler in this spool folder; where there is no folder, of this process alone."""

    def __init__(
        self, folder: Path | None, environment: str, scheduler: str, *, runs_tasks: bool = True, keys: tuple[SealKey, ...] = ()
    ) -> None:
        self._file = SharedJson(None if folder is None else folder / f"overrides-{scheduler}-{digest_of(environment)}.json", _whole)
        self._keys = keys
        self._held = ""
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
            if self._held and names == self._held and not whole.get("digest"):
                # Another process was sent the same list, and could not write its arguments either. They are here already: taking what
                # stands there would switch them off, and have the server send the list to each process in turn without an end.
                return False
            held, times_only = overrides_of(whole.get("overrides")), whole.get("times_only", ())
        except (ValueError, Refused) as error:  # no overrides: those that are known stay
            faults.report("reading the overrides kept on the disk", error)
            return False
        self.new_work = {of.key for of in held if of.spec is not None and of.key not in times_only}
        self.overrides = [of for of in held if self.runs_tasks or of.key not in self.new_work]
        self.digest = str(whole.get("digest"))
        self._held = str(names or "") if self.digest else ""
        return True

    def put(self, said: list[Any], refused: Collection[str] = (), times_only: Collection[str] = ()) -> None:
        """Keeps those whose key was not refused; `times_only` are those that change nothing of what runs. The digest is of the whole
        list, for that is what the server compares. Raises Refused when they are not overrides, OSError when they cannot be written."""
        self.changed()
        permitted = [item for item in said if item["key"] not in refused]
        self.overrides, self.digest = overrides_of(permitted), digest_of(said)
        # Once applied, an override is what its entry is: the same one compared with that says nothing of the code any more.
        changing = {of.key for of in self.overrides if of.spec is not None}
        self.new_work = {key for key in changing if key in self.new_work or key not in times_only}
        self._held = _name_of_held(said)
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
            off = [{"key": of["key"], "is_enabled": False} if of["key"] in secret else of for of in permitted]
            return {"digest": "", "overrides": off, "times_only": times_only, "held": self._held}
        sealed = seal_data(self._keys[0], _PURPOSE, json.dumps(whole).encode())
        return {"sealed": base64.b64encode(sealed).decode("ascii"), "key_id": self._keys[0].key_id, "held": self._held}

    def _opened(self, said: dict[str, Any]) -> dict[str, Any]:
        """A list that cannot be opened counts as none: the server sends it again."""
        try:
            found = json.loads(open_data(self._keys, str(said.get("key_id")), _PURPOSE, base64.b64decode(str(said["sealed"]))))
            return found if isinstance(found, dict) else {}
        except CannotOpen as error:
            faults.report("opening the overrides kept on the disk", error)
            return {"digest": "", "overrides": []}


def _holds_secret(spec: Any) -> bool:
    if not isinstance(spec, dict):
        return False
    positional = spec.get("args")
    # The names of positional parameters are not known here, so a text that is passed by position may be a secret.
    return redact(spec)[1] or (isinstance(positional, list) and any(not isinstance(of, int | float | None) for of in positional))


def _name_of_held(said: list[Any]) -> str:
    """Names a list without anything of its secrets, which could be guessed from a digest of them; "" where it holds none."""
    secret = [_holds_secret(item.get("spec")) for item in said]
    if not any(secret):
        return ""
    return digest_of(
        [{**of, "spec": {**redact(of["spec"])[0], "args": []}} if hides else of for of, hides in zip(said, secret, strict=True)]
    )


def _whole(said: Any) -> dict[str, Any]:
    """What stands in the file. Raises TypeError for what no agent has written."""
    if isinstance(said, list):  # of an older agent
        return {"digest": digest_of(said), "overrides": said}
    if not isinstance(said, dict):
        raise TypeError("no overrides")
    return said


def open_kept(settings: Settings, folder: Path | None, scheduler: str) -> Kept:
    """Those of this spool folder and environment; none where the owner does not permit overrides any more."""
    held = folder if is_permitted(settings, "apply_overrides") else None
    return Kept(held, settings.environment, scheduler, runs_tasks=is_permitted(settings, "run_task"), keys=keys_of(settings))


def _entries(scheduler: Scheduler) -> dict[str, ScheduleInfo]:
    """What the scheduler holds now, by key; "" is the key of no entry."""
    return {entry.key: entry for entry in scheduler.list_schedules() if entry.key}


class Scheduling:
    """What one connection tells of the schedulers of its process."""

    def __init__(
        self,
        settings: Settings,
        adapters: Callable[[], tuple[Adapter, ...]],
        schedulers: Callable[[], tuple[Scheduler, ...]],
        kept: Callable[[str], Kept],
        turns: Turns,
    ) -> None:
        self._settings = settings
        self._adapters = adapters
        self._schedulers = schedulers
        self._kept = kept
        self._turns = turns
        self._listed_at: dict[str, float] = {}
        self._told: dict[str, tuple[str, float]] = {}
        self._failed: dict[str, dict[str, str]] = {}

    def forget(self) -> None:
        """A new connection: everything is told again."""
        self._listed_at, self._told = {}, {}

    def hurry(self) -> None:
        """Something was changed: look again at once."""
        self._listed_at = {}

    def frames(self, now: float) -> list[dict[str, Any]]:
        """What has to be told now; `now` is seconds of the monotonic clock."""
        found = []
        for scheduler in self._schedulers():
            name = scheduler.scheduler
            if now - self._listed_at.get(name, -1e9) < scheduler.list_every_s:
                continue
            self._listed_at[name] = now
            try:
                facts = self._facts(scheduler)
            except Exception as error:
                let_through(error)
                faults.report(f"listing the schedules of {name}", error)
                continue
            if facts is None:
                continue
            digest, told_at = self._told.get(name, ("", -1e9))
            if (fresh := digest_of(facts)) != digest or now - told_at >= TELL_EVERY_S:
                self._told[name] = (fresh, now)
                found.append(facts)
        return found

    def _facts(self, scheduler: Scheduler) -> dict[str, Any] | None:
        if not scheduler.is_here():
            return None
        is_firing = scheduler.is_firing()
        if not is_firing and not self._turns.take(f"schedules-{scheduler.scheduler}"):
            return None
        entries = [redact_answer(asdict(item)) for item in scheduler.list_schedules()]
        return {
            "scheduler": scheduler.scheduler,
            "engine": scheduler.engine,
            "store": scheduler.store,
            "is_firing": is_firing,
            "tick_us": int(scheduler.tick_s() * 1_000_000),
            "timezone": scheduler.zone(),
            "can_create": scheduler.can_create,
            "applied": self._kept(scheduler.scheduler).digest,
            "failed": redact_answer(self._failed.get(scheduler.scheduler, {}), "failed"),
            "notes": redact_answer([finding.what for finding in scheduler.findings()][:20], "notes"),
            "is_cut": len(entries) > MAX_SCHEDULES,
            "entries": entries[:MAX_SCHEDULES],
        }

    # -- authority -----------------------------------------------------------------------------------------------------
    def _check(
        self, scheduler: Scheduler, spec: ScheduleSpec, entries: Mapping[str, ScheduleInfo], proofs: Any, queue_proof: Any = None
    ) -> bool:
        """Whether it changes times alone. `entries` are the scheduler's own, by key. Raises Refused unless the application's owner lets
        the server have this run, see `authority.check_spec`."""
        adapter = next((adapter for adapter in self._adapters() if adapter.engine == scheduler.engine), None)
        return not check_spec(self._settings, scheduler, adapter, spec, entries.get(spec.key), proofs, queue_proof)

    def _refused(self, scheduler: Scheduler, overrides: list[Override], proofs: Any) -> tuple[dict[str, str], set[str]]:
        """{key: why} of the overrides that would have something run which the owner does not permit, and the keys of those that change
        times alone. `proofs` is task name → proofs."""
        refused, times_only = {}, set()
        entries = _entries(scheduler) if any(override.spec is not None for override in overrides) else {}
        for override in overrides:
            if override.spec is None:
                continue
            try:
                of_name = proofs.get(override.spec.task_name) if isinstance(proofs, Mapping) else None
                if self._check(scheduler, override.spec, entries, of_name):
                    times_only.add(override.key)
            except Refused as error:
                refused[override.key] = str(error)
        return refused, times_only

    # -- commands ------------------------------------------------------------------------------------------------------
    def carry_out(self, scheduler: Scheduler, command: Command) -> dict[str, Any]:
        """One of `schedules.ACTIONS`. Raises Unsupported or Refused."""
        self.hurry()
        params = command.params
        if command.action == "save_schedule":
            spec = spec_of(params)
            self._check(scheduler, spec, _entries(scheduler) if spec.key else {}, params.get("proofs"), params.get("queue_proof"))
            return scheduler.save_schedule(spec)
        if command.action == "apply_overrides":
            said = params.get("overrides")
            said = said if isinstance(said, list) else []
            refused, times_only = self._refused(scheduler, overrides_of(said), params.get("proofs"))
            store = self._kept(scheduler.scheduler)
            store.put(said, refused, times_only)
            failed = self._failed[scheduler.scheduler] = refused | scheduler.apply_overrides(store.overrides)
            of = params.get("key")
            if isinstance(of, str) and of in failed:
                raise Refused(failed[of])
            return {"failed": failed} if failed else {}
        key = params.get("key")
        if not isinstance(key, str) or not key:
            raise Refused("the command lacks key")
        methods: dict[str, Callable[[str], dict[str, Any]]] = {
            "delete_schedule": scheduler.delete_schedule,
            "enable_schedule": scheduler.enable_schedule,
            "disable_schedule": scheduler.disable_schedule,
            "fire_schedule": scheduler.fire_schedule,
        }
        if command.action not in methods:
            raise Unsupported(f"{scheduler.scheduler} cannot do that")
        return methods[command.action](key)
