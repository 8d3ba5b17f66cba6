# SPDX-License-Identifier: Apache-2.0
"""The agent's side of schedules: reports the entries of this process's schedulers, and executes commands for them. Used by the agent's
thread alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from z4j_agent.capture.guard import faults, let_through
from z4j_agent.commands.permissions import check_spec
from z4j_agent.contract.adapter import Adapter
from z4j_agent.contract.capabilities import Refused, Unsupported
from z4j_agent.contract.scheduler import Override, ScheduleInfo, Scheduler, ScheduleSpec, digest_of, overrides_of, spec_of
from z4j_agent.wire.redaction import redact_answer

if TYPE_CHECKING:
    from z4j_agent.connection.poll_lease import PollLease
    from z4j_agent.contract.overrides import OverrideStore
    from z4j_agent.settings import Settings
    from z4j_agent.wire.session import Command

MAX_SCHEDULES: Final = 2_000
REPORT_EVERY_S: Final = 20.0
"""An unchanged list is sent again after this time, so that the server can see that it is current."""


def _entries(scheduler: Scheduler) -> dict[str, ScheduleInfo]:
    """The scheduler's entries by key; "" is the key of no entry."""
    return {entry.key: entry for entry in scheduler.list_schedules() if entry.key}


class Scheduling:
    """Reports the schedulers of this process on one connection. `override_store` returns the store of a scheduler's name; `poll_lease`
    decides which process lists a store that none of them fires."""

    def __init__(
        self,
        settings: Settings,
        adapters: Callable[[], tuple[Adapter, ...]],
        schedulers: Callable[[], tuple[Scheduler, ...]],
        override_store: Callable[[str], OverrideStore],
        poll_lease: PollLease,
    ) -> None:
        self._settings = settings
        self._adapters = adapters
        self._schedulers = schedulers
        self._override_store = override_store
        self._poll_lease = poll_lease
        self._listed_at: dict[str, float] = {}
        self._reported: dict[str, tuple[str, float]] = {}
        self._failed: dict[str, dict[str, str]] = {}
        self._applied_before: dict[str, str] = {}
        """Scheduler whose overrides are stored but not applied → digest of the list before, so that the server sends them again."""

    def forget(self) -> None:
        """Forgets what was sent, because the connection is new."""
        self._listed_at, self._reported = {}, {}

    def hurry(self) -> None:
        """Makes all lists due at once, because an entry was changed."""
        self._listed_at = {}

    def frames(self, now: float) -> list[dict[str, Any]]:
        """Returns the fields of a `schedules` frame (`wire.AGENT_FRAMES`) for each list that has changed or is due; `now` is seconds of the
        monotonic clock. A scheduler that raises is counted as a fault and left out."""
        frames = []
        for scheduler in self._schedulers():
            name = scheduler.scheduler
            if now - self._listed_at.get(name, -1e9) < scheduler.list_every_s:
                continue
            self._listed_at[name] = now
            try:
                fields = self._facts(scheduler)
            except Exception as error:
                let_through(error)
                faults.report(f"listing the schedules of {name}", error)
                continue
            if fields is None:
                continue
            digest, reported_at = self._reported.get(name, ("", -1e9))
            if (fresh := digest_of(fields)) != digest or now - reported_at >= REPORT_EVERY_S:
                self._reported[name] = (fresh, now)
                frames.append(fields)
        return frames

    def _facts(self, scheduler: Scheduler) -> dict[str, Any] | None:
        if not scheduler.is_here():
            return None
        is_firing = scheduler.is_firing()
        if not is_firing and not self._poll_lease.acquire(f"schedules-{scheduler.scheduler}"):
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
            "applied": self._applied_before.get(scheduler.scheduler, self._override_store(scheduler.scheduler).digest),
            "failed": redact_answer(self._failed.get(scheduler.scheduler, {}), "failed"),
            "notes": redact_answer([finding.what for finding in scheduler.findings()][:20], "notes"),
            "is_cut": len(entries) > MAX_SCHEDULES,
            "entries": entries[:MAX_SCHEDULES],
        }

    # -- permissions ---------------------------------------------------------------------------------------------------
    def _check(
        self, scheduler: Scheduler, spec: ScheduleSpec, entries: Mapping[str, ScheduleInfo], proofs: Any, queue_proof: Any = None
    ) -> bool:
        """Returns whether the spec changes only times. `entries` are the scheduler's own, by key. Raises Refused unless the application's
        owner permits it, see `permissions.check_spec`."""
        adapter = next((adapter for adapter in self._adapters() if adapter.engine == scheduler.engine), None)
        return not check_spec(self._settings, scheduler, adapter, spec, entries.get(spec.key), proofs, queue_proof)

    def _refused(self, scheduler: Scheduler, overrides: list[Override], proofs: Any) -> tuple[dict[str, str], set[str]]:
        """{key: reason} of the overrides whose work the owner does not permit, and the keys of those that change only times. `proofs` is
        task name → proofs."""
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
    def execute(self, scheduler: Scheduler, command: Command) -> dict[str, Any]:
        """Executes one of `contract.scheduler.ACTIONS`, and makes all lists due. Returns the scheduler's result; for `apply_overrides`
        {"failed": {key: reason}}, {} if none failed. Raises Unsupported or Refused, and OSError if overrides cannot be stored."""
        self.hurry()
        params = command.params
        if command.action == "save_schedule":
            spec = spec_of(params)
            self._check(scheduler, spec, _entries(scheduler) if spec.key else {}, params.get("proofs"), params.get("queue_proof"))
            return scheduler.save_schedule(spec)
        if command.action == "apply_overrides":
            overrides = params.get("overrides")
            overrides = overrides if isinstance(overrides, list) else []
            refused, times_only = self._refused(scheduler, overrides_of(overrides), params.get("proofs"))
            failed = self._failed[scheduler.scheduler] = refused | self._apply(scheduler, overrides, refused, times_only)
            requested = params.get("key")
            if isinstance(requested, str) and requested in failed:
                raise Refused(failed[requested])
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
            raise Unsupported(f"{scheduler.scheduler} does not support this action")
        return methods[command.action](key)

    def _apply(self, scheduler: Scheduler, overrides: list[Any], refused: Collection[str], times_only: Collection[str]) -> dict[str, str]:
        """Stores and applies overrides. Until both have succeeded, the digest of the list before is reported."""
        name, store = scheduler.scheduler, self._override_store(scheduler.scheduler)
        before = store.digest
        store.replace(overrides, refused, times_only)
        try:
            failed = scheduler.apply_overrides(store.overrides)
        except Unsupported:
            self._applied_before.pop(name, None)
            raise
        except Exception:
            self._applied_before.setdefault(name, before)
            raise
        self._applied_before.pop(name, None)
        return failed
