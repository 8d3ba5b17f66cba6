# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings move from one installation to another, without a secret, and can be imported twice."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.stack import SERVER_PYTHON, Stack, stack


def test_settings_move_to_another_installation(tmp_path: Path) -> None:
    with stack(tmp_path / "one") as one, stack(tmp_path / "two") as two:
        for made in (one, two):
            made.folder.mkdir()
        one.command("migrate")
        one.command("token", "create", "--app", "shop")
        one.command("user", "add", "ada", "--role", "admin", "--password-stdin", stdin="correct horse battery 9\n")
        one.command("user", "add", "bob", "--role", "viewer", "--password-stdin", stdin="correct horse battery 9\n")
        one.command("user", "disable", "bob")
        one.start_server()
        token = one.command("token", "create", "--api", "x", "--role", "operator").strip()
        add_schedule(one, token, "nightly", '{"args": [7]}')
        add_schedule(one, token, "secret", '{"kwargs": {"password": "hunter2-canary"}}')
        target = tmp_path / "settings.json"
        assert "no token, no key and no password" in one.command("export-settings", str(target))
        content = target.read_text()
        for secret in ("hunter2", "z4a_", "z4k_", "argon2", token):
            assert secret not in content
        found = json.loads(content)
        assert [user["name"] for user in found["users"]] == ["ada", "bob"]

        said = two.command("import-settings", str(target))
        assert "without a password: `z4j user link ada`" in said
        assert "disabled: its arguments contain secrets" in said
        assert two.rows("SELECT name, role, disabled_at IS NOT NULL FROM user ORDER BY name") == [("ada", "admin", 0), ("bob", "viewer", 1)]
        assert two.rows("SELECT name, task_name, args, is_enabled FROM schedule ORDER BY name") == [
            ("nightly", "shop.ship", "[7]", 1), ("secret", "shop.ship", "[]", 0),
        ]  # fmt: skip
        again = two.command("import-settings", str(target))
        assert "added" not in again
        assert two.rows("SELECT count(*) FROM schedule") == [(2,)]
        assert "intact" in two.command("audit", "verify")
        assert {"import_settings", "save_schedule"} <= {row[0] for row in two.rows("SELECT action FROM audit")}
        assert "/login?code=" in two.command("user", "link", "ada")

        (tmp_path / "other.json").write_text('{"z4j_settings": 99}')
        refused = two.run(SERVER_PYTHON, "z4j", "import-settings", str(tmp_path / "other.json"))
        assert refused.returncode == 2
        assert "has format 99" in refused.stderr


def add_schedule(made: Stack, token: str, name: str, arguments: str) -> None:
    file = made.folder / f"{name}.json"
    file.write_text(arguments)
    file.chmod(0o600)
    words = (
        "schedule", "create", name, "--app", "shop", "--environment", "production", "--engine", "celery", "--task", "shop.ship",
        "--cron", "0 3 * * *", "--timezone", "UTC", "--arguments", str(file),
    )  # fmt: skip
    done = made.run(SERVER_PYTHON, "z4j", *words, env={"Z4J_API_TOKEN": token})
    assert done.returncode == 0, done.stdout + done.stderr
