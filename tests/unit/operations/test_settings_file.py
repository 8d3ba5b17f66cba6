# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a file of settings may contain; with two installations: tests/e2e/test_settings_file.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.database import database
from z4j.exceptions import BadInput, NotFound
from z4j.operations.schedule_request import ScheduleRequest
from z4j.operations.settings_file import export_settings, import_settings, read_settings
from z4j.rules.forwarding.target import TargetRequest
from z4j.store.access import users
from z4j.store.fleet import apps
from z4j.store.forwarding import targets

SCHEDULE = {
    "app": "mail", "environment": "production", "engine": "celery", "name": "nightly", "kind": "cron", "expression": "0 3 * * *",
    "timezone": "UTC", "task_name": "mail.send",
}  # fmt: skip


def file(**parts: Any) -> bytes:
    return json.dumps({"z4j_settings": 1, **parts}).encode()


@pytest.mark.parametrize(("content", "words"), [
    (b"", "not a file of"),
    (b"[]", "not a file of"),
    (b'{"apps": []}', "not a file of"),
    (b'{"z4j_settings": 2}', "has format 2"),
    (file(apps=[{"name": 5}]), "not a file of"),
    (file(users=[{"name": "eve", "role": "root"}]), "unknown role"),
    (file(links=[{"name": "x", "url": "javascript:alert(1)//{trace_id}"}]), "https:// or http://"),
    (file(links=[{"name": str(n), "url": "https://x/{trace_id}"} for n in range(21)]), "more than 20 links"),
])  # fmt: skip
def test_another_file_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_settings(content)


def test_a_field_of_a_later_version_is_ignored() -> None:
    assert read_settings(file(alerts=[{"rule": "x"}])).apps == []


@pytest.mark.anyio
async def test_what_exists_stays_and_the_rest_is_added_once(tmp_path: Path) -> None:
    asked: list[ScheduleRequest] = []

    async def create(request: ScheduleRequest) -> None:
        asked.append(request)
        if request.app == "gone":
            raise NotFound("Unknown app “gone”.")

    async with database(tmp_path) as store:
        found = read_settings(
            file(
                apps=[{"name": "SHOP", "seal_key_id": "00000bad"}, {"name": "mail", "seal_key_id": "0123abcd", "is_disabled": True}],
                users=[{"name": "ada", "role": "admin"}],
                schedules=[SCHEDULE, SCHEDULE | {"name": "secret", "kwargs": {"token": "•••"}}, SCHEDULE | {"app": "gone"}],
            )
        )
        result = await import_settings(store, found, create, "unusable")
        assert [(each.kind, each.name, each.result) for each in result] == [
            ("app", "SHOP", "exists"), ("app", "mail", "added"), ("user", "ada", "added"), ("schedule", "nightly", "added"),
            ("schedule", "secret", "added"), ("schedule", "nightly", "refused"),
        ]  # fmt: skip
        assert [(request.is_enabled, request.kwargs) for request in asked] == [(True, {}), (False, {}), (True, {})]
        listed = {row.name: row for row in await apps.list_apps(store)}
        assert (listed["mail"].seal_key_id, listed["mail"].disabled_at is not None) == ("0123abcd", True)
        assert listed["shop"].seal_key_id != "00000bad", "an app that exists keeps its key"
        again = await import_settings(store, read_settings(file(users=[{"name": "ADA", "role": "viewer"}])), create, "unusable")
        assert [each.result for each in again] == ["exists"]
        assert [row.role for row in await users.list_users(store)] == ["admin"]


@pytest.mark.anyio
async def test_an_export_is_what_an_import_reads(tmp_path: Path) -> None:
    async with database(tmp_path) as store:
        await store.write(lambda db: users.add_user(db, "ada", "$argon2$secret", "admin", 1) and None)
        content = await export_settings(store)
        assert b"argon2" not in content
        found = read_settings(content)
        assert [app.name for app in found.apps] == ["shop"]
        assert [(user.name, user.role) for user in found.users] == [("ada", "admin")]


@pytest.mark.anyio
async def test_targets_of_forwarding_move_without_secrets(tmp_path: Path) -> None:
    async def create(request: ScheduleRequest) -> None:
        raise AssertionError(request)

    wanted = (
        TargetRequest("siem", "syslog", "tls://logs.example:6514", "", "-----BEGIN CERTIFICATE-----", True, True),
        TargetRequest("hook", "webhook", "https://h.example/canary-url", "canary-key", "", True, False, ("sign_in",)),
    )  # fmt: skip
    async with database(tmp_path) as store:
        for request in wanted:
            await store.write(
                lambda db, request=request: targets.put_target(  # type: ignore[misc]
                    db, None, request, shown=request.url[:20], from_beginning=False, is_enabled=True, actor="ada", at=1
                )
            )
        await store.write(lambda db: db.execute("UPDATE forward_target SET shown = 'tls://logs.example:6514' WHERE id = 1").rowcount)
        content = await export_settings(store)
        assert b"canary" not in content
        assert {each.result for each in await import_settings(store, read_settings(content), create, "x")} == {"exists"}
        for target in await targets.list_targets(store):
            await store.write(lambda db, id=target.id: targets.delete_target(db, id))  # type: ignore[misc]
        result = await import_settings(store, read_settings(content), create, "x")
        assert [(each.name, each.result, each.note.partition(":")[0]) for each in result if each.kind == "target"] == [
            ("hook", "added", "disabled"), ("siem", "added", "disabled"),
        ]  # fmt: skip
        found = {each.name: each for each in await targets.list_targets(store)}
        assert not any(each.is_enabled for each in found.values())
        assert (found["siem"].shown, found["siem"].has_alerts, found["hook"].actions) == ("tls://logs.example:6514", True, ("sign_in",))
    for wrong in ({"name": "x", "kind": "mail"}, {"name": "x", "kind": "json", "address": "file:../x"}):
        with pytest.raises(BadInput):
            read_settings(file(forwarding=[wrong]))


@pytest.mark.anyio
async def test_links_are_exported_and_added_once(tmp_path: Path) -> None:
    async def create(request: ScheduleRequest) -> None:
        raise AssertionError(request)

    links = [{"name": "trace", "url": "https://tracing.example/{trace_id}"}]
    async with database(tmp_path) as store:
        for result in ("added", "exists"):
            done = await import_settings(store, read_settings(file(links=links)), create, "unusable")
            assert [(each.kind, each.name, each.result) for each in done] == [("link", "trace", result)]
        assert json.loads(await export_settings(store))["links"] == links
