# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line as it is typed: what it prints, its exit code, and the row it leaves in the audit log."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.site import PASSWORD, Site, hash_cheaply, site
from z4j import cli
from z4j.cli.audit import BROKEN
from z4j.web.auth import authentication

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(authentication, "FLOOR_S", 0.0)
    hash_cheaply(monkeypatch)

    def typed(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = cli.main([*words, "--data", str(tmp_path / "data")])
        said = capsys.readouterr()
        return code, said.out, said.err

    return typed


@pytest.fixture
def add(run: Run) -> Callable[..., None]:
    def added(name: str, role: str = "viewer") -> None:
        assert run("user", "add", name, "--role", role, "--password-stdin", stdin=PASSWORD + "\n")[0] == 0

    return added


@pytest.fixture
def shop(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    with site(tmp_path / "data") as made:
        capsys.readouterr()  # the link of the first boot
        yield made


def audit_rows(tmp_path: Path) -> list[tuple[str, str, str]]:
    db = sqlite3.connect(tmp_path / "data" / "z4j.db")
    rows = db.execute("SELECT action, target, outcome FROM audit ORDER BY seq").fetchall()
    db.close()
    return rows


# -- users -----------------------------------------------------------------------------------------------------------------


def test_a_person_is_added_and_listed(run: Run, tmp_path: Path) -> None:
    code, said, _ = run("user", "add", "ada", "--role", "admin", "--password-stdin", stdin=PASSWORD + "\n")
    assert (code, said) == (0, "User ada created with the role admin.\n")
    code, said, _ = run("user", "list")
    assert code == 0
    assert said.splitlines()[0].split() == ["name", "role", "created", "state"]
    assert said.splitlines()[1].startswith("ada   admin")
    assert PASSWORD not in said
    assert audit_rows(tmp_path) == [("add_user", "user:ada", "done")]
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "data" / "z4j.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (("ada", "--password-stdin"), "short\n", "at least 12"),
        (("ada", "--role", "king", "--password-stdin"), PASSWORD, "Unknown role 'king'"),
        (("", "--password-stdin"), PASSWORD, "1 to 60"),
    ],
)
def test_a_person_that_cannot_be_added(run: Run, tmp_path: Path, words: tuple[str, ...], stdin: str, said: str) -> None:
    code, out, err = run("user", "add", *words, stdin=stdin)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_name_is_taken_once(run: Run, add: Callable[..., None]) -> None:
    add("ada", "admin")
    code, _, err = run("user", "add", "Ada", "--password-stdin", stdin=PASSWORD + "\n")
    assert (code, "A user named Ada already exists" in err) == (5, True)


def test_roles_and_disabling(run: Run, add: Callable[..., None], tmp_path: Path) -> None:
    add("ada", "admin")
    add("vera")
    for words in (("role", "ada", "viewer"), ("disable", "ada")):
        code, _, err = run("user", *words)
        assert (code, "only administrator" in err) == (5, True)
    assert run("user", "role", "vera", "admin")[1] == "User vera now has the role admin.\n"
    assert run("user", "disable", "ada")[0] == 0
    assert "active" not in next(line for line in run("user", "list")[1].splitlines() if line.startswith("ada"))
    assert run("user", "enable", "ada")[0] == 0
    assert run("user", "role", "vera", "king")[0] == 2
    assert run("user", "role", "nobody", "viewer")[0] == 4
    assert [row[0] for row in audit_rows(tmp_path)[2:]] == ["set_role", "disable_user", "enable_user"]


def test_another_password_signs_out_everywhere(run: Run, shop: Site) -> None:
    shop.add_user("ada")
    shop.sign_in("ada")
    assert shop.get("/tasks").status_code == 200
    assert run("user", "password", "ada", "--password-stdin", stdin="quite another passphrase\n")[0] == 0
    assert shop.get("/tasks").status_code == 303  # beside a running server
    assert shop.sign_in("ada").status_code == 403
    assert shop.sign_in("ada", "quite another passphrase").status_code == 303
    assert run("user", "password", "nobody", "--password-stdin", stdin=PASSWORD)[0] == 4


def test_a_link_signs_in_once(run: Run, shop: Site) -> None:
    shop.add_user("ada")
    code, said, _ = run("user", "link", "ada", "--port", "7799")
    assert code == 0
    assert said.startswith("http://127.0.0.1:7799/login?code=")
    path = said.strip().partition(":7799")[2]
    assert shop.get(path).status_code == 303
    assert shop.get(path).status_code == 403
    assert run("user", "link", "nobody")[0] == 4


def test_a_password_is_asked_for_only_at_a_terminal(run: Run) -> None:
    code, _, err = run("user", "add", "ada")
    assert (code, "--password-stdin" in err) == (2, True)


# -- tokens ----------------------------------------------------------------------------------------------------------------


def test_connection_strings(run: Run, tmp_path: Path) -> None:
    code, first, _ = run("token", "create", "--app", "shop")
    assert code == 0
    url = first.strip().removeprefix("Z4J_URL='").removesuffix("'")
    assert url.startswith("z4j+ws://z4a_")
    assert "." in url.partition("@")[0]
    code, second, _ = run("token", "create", "--app", "shop")
    assert "already has a seal key" in second
    code, third, _ = run("token", "create", "--app", "shop", "--seal-from", "-", stdin=f"{url}\n")
    assert third.partition("@")[0].rpartition(".")[2] == url.partition("@")[0].rpartition(".")[2]
    said = run("token", "list")[1]
    assert said.count("shop") == 3
    assert url.partition("//")[2].partition("@")[0] not in said
    assert run("token", "revoke", "1")[0] == 0
    assert run("token", "revoke", "1")[0] == 4
    assert "revoked" in run("token", "list")[1]
    assert [row[:2] for row in audit_rows(tmp_path)] == [("create_token", "app:shop")] * 3 + [("revoke_token", "agent:shop")]


def test_api_tokens(run: Run, shop: Site) -> None:
    code, said, _ = run("token", "create", "--api", "script", "--role", "auditor", "--days", "1")
    assert code == 0
    assert shop.get("/changes/audit.json", Authorization=f"Bearer {said.strip()}").status_code == 200
    assert run("token", "create", "--api", "script", "--role", "king")[0] == 2
    assert run("token", "revoke", "1")[0] == 0
    assert shop.get("/tasks.json", Authorization=f"Bearer {said.strip()}").status_code == 401


@pytest.mark.parametrize("words", [("token", "create"), ("token", "revoke", "x"), ("user",), ("nothing",), ()])
def test_words_that_mean_nothing(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert ended.value.code == 2
    assert "usage: z4j" in capsys.readouterr().err


# -- the rest --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [("user", "list"), ("token", "list"), ("audit", "verify"), ("audit", "key"), ("audit", "export"), ("backup", "x")]
)
def test_what_only_reads_makes_no_database(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    code, _, err = run(*words)
    assert (code, "No database in" in err) == (9, True)
    assert not (tmp_path / "data").exists()


def test_verify_says_what_is_wrong_and_exits_with_it(run: Run, add: Callable[..., None], tmp_path: Path) -> None:
    for name in ("ada", "bea", "cleo"):
        add(name)
    code, said, _ = run("audit", "verify")
    assert (code, said.splitlines()[0]) == (0, "3 rows and 3 checkpoints verified: the log is intact.")
    head = said.splitlines()[1].removeprefix("Head: ")
    assert run("audit", "verify", "--head", head)[0] == 0
    assert run("audit", "verify", "--head", "3:" + "00" * 32)[0] == BROKEN
    assert run("audit", "verify", "--head", "9:" + "00" * 32)[0] == BROKEN
    for nonsense in ("3", "x:00", "3:zz", "3:00", f"0:{'00' * 32}"):
        assert run("audit", "verify", "--head", nonsense)[0] == 2
    db = sqlite3.connect(tmp_path / "data" / "z4j.db")
    db.execute("UPDATE audit SET actor = 'eve' WHERE seq = 2")
    db.commit()
    db.close()
    code, said, _ = run("audit", "verify")
    assert (code, said.splitlines()[0].partition(":")[0]) == (BROKEN, "Broken at row 2")
    code, said, _ = run("doctor")
    assert code != 0
    assert "broken at row 2" in said


def test_the_public_key_is_the_one_of_the_export(run: Run, add: Callable[..., None]) -> None:
    add("ada")
    code, pem, _ = run("audit", "key")
    assert (code, pem.splitlines()[0]) == (0, "-----BEGIN PUBLIC KEY-----")
    lines = [json.loads(line) for line in run("audit", "export")[1].splitlines()]
    assert [line["type"] for line in lines] == ["log", *["remembered"] * 3, "row", "head", "row", "head"]
    assert lines[0]["public_key"][-8:] in pem
    assert {line["key_id"] for line in (lines[0], lines[-1])} == {lines[0]["key_id"]}


def test_doctor_finds_a_sound_installation_sound(run: Run, add: Callable[..., None], tmp_path: Path) -> None:
    add("ada", "admin")
    said = run("doctor")[1]
    assert "The audit log is intact (1 rows)" in said
    (tmp_path / "data").chmod(0o755)
    code, said, _ = run("doctor")
    assert (code != 0, "Other users can read" in said) == (True, True)


def test_backup_names_every_key(run: Run, add: Callable[..., None], tmp_path: Path) -> None:
    add("ada", "admin")
    target = tmp_path / "copy.db"
    code, said, _ = run("backup", str(target))
    assert code == 0
    keys = {path.name for path in (tmp_path / "data").iterdir() if path.suffix == ".key" or path.name.startswith("audit.")}
    assert keys == {"audit.key", "audit.ed25519", "audit.head", "audit.witnesses", "cookie.key", "totp.key"}
    assert all(name in said for name in keys)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    code, _, err = run("backup", str(target))
    assert (code, "already exists" in err) == (9, True)
    assert audit_rows(tmp_path)[-1] == ("backup", "file:copy.db", "done")


def test_migrate_and_version(run: Run) -> None:
    assert "applied" in run("migrate")[1]
    assert "up to date" in run("migrate")[1]
    assert run("version")[1].startswith("z4j 0.")


def test_a_wrong_setting_is_one_sentence(run: Run) -> None:
    code, _, err = run("version", "--port", "many")
    assert (code, err.count("\n")) == (2, 1)
    assert "Z4J_PORT" in err
    assert run("version", "--host", "0.0.0.0")[0] == 2
