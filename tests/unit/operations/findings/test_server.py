# SPDX-License-Identifier: AGPL-3.0-or-later
"""The state of a running server, as the rules see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.database import T, database
from z4j.duty_loop import Duties
from z4j.operations.findings.server import ServerFindings
from z4j.rules.backups import OLD_US
from z4j.settings import Settings
from z4j.store.access.audit import AuditLog
from z4j.store.backups.backup_results import BackupResult, BackupResults, folder_of, write_results
from z4j.store.operations import plans

pytestmark = pytest.mark.anyio


async def test_a_server_with_failing_duties_an_altered_log_and_old_backups(tmp_path: Path) -> None:
    duties, audit = Duties(), AuditLog(tmp_path)
    itself = ServerFindings(Settings(data=tmp_path), duties, audit, None, lambda: "")
    assert itself.read(T).backups_since is None
    folder_of(tmp_path).mkdir()
    write_results(tmp_path, BackupResults(T - 9 * OLD_US, (BackupResult(T, problem="disk full"),)))
    (folder_of(tmp_path) / "old").touch()
    duties.add("retention", 1).failed(ValueError("odd"))
    duties.add("quiet", 1).succeeded()
    audit.raise_alarm(7, "changed")
    state = itself.read(T)
    assert (state.backup_problem, state.backups_since, state.audit_row, state.audit_why) == ("disk full", T - 9 * OLD_US, 7, "changed")
    assert [(duty.name, duty.state, duty.failures) for duty in state.duties] == [("retention", "failing", 1)]
    assert state.free_bytes > 0
    assert state.certificate_days is None
    async with database(tmp_path) as store:
        assert {"audit_alarm", "backup", "duty"} <= {finding.kind for finding in await itself.find(store, T)}
    (folder_of(tmp_path) / "results.json").write_text("{")
    assert "is damaged" in itself.read(T).backup_problem


async def test_a_plan_that_was_stopped(tmp_path: Path) -> None:
    itself = ServerFindings(Settings(data=tmp_path), Duties(), AuditLog(tmp_path), None, lambda: "tasks are large")
    async with database(tmp_path) as store:
        fields = {"key": "k", "action": "retry_task", "params": "{}", "source": "s", "author": "ann", "reason": "", "undo_of": "", "at": T}
        id = await store.write(lambda db: plans.add_plan(db, **fields))  # type: ignore[arg-type]
        await store.write(
            lambda db: plans.freeze_plan(db, id, [], digest="d", items=3, excluded="{}", samples="[]", load_us=None)
        )  # fmt: skip
        await store.write(lambda db: plans.change_plan(db, id, "running", ["frozen"], started_at=T))
        assert [finding.kind for finding in await itself.find(store, T)] == ["retention"]
        note = "Stopped automatically: 3 of 3 failed; the limit is 5 %."
        await store.write(lambda db: plans.change_plan(db, id, "paused", ["running"], note=note))
        assert {finding.kind for finding in await itself.find(store, T)} == {"retention", "stopped_plan"}
