# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from z4j_agent.settings import BadSettings, SealKey, Settings, agent_version, default_spool, find_release

SEAL = base64.urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
PIN = base64.urlsafe_b64encode(bytes(32)).decode().rstrip("=")


def read(url: str, environ: dict[str, str] | None = None, **options: Any) -> Settings:
    made = Settings.from_environment(environ or {}, url=url, **options)
    assert made is not None
    return made


def test_nothing_set_is_no_mistake() -> None:
    assert Settings.from_environment({}) is None
    assert Settings.from_environment({"Z4J_URL": "  "}) is None


def test_everything_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "Z4J_URL": f"z4j://tok.{SEAL}@host:7701?pin={PIN}", "Z4J_APP": "shop", "Z4J_ENVIRONMENT": "staging", "Z4J_RELEASE": "r1",
        "Z4J_SPOOL": str(tmp_path), "Z4J_ALLOW": "all", "Z4J_DENIED": "terminate_task, retry_task", "Z4J_SEAL_KEYS": f"{SEAL},{SEAL}",
        "Z4J_SPOOL_LIMIT_MB": "3", "Z4J_REDACT": "ssn_no",
    }  # fmt: skip
    made = Settings.from_environment(environ, denied=("cancel_task",))
    assert made is not None
    assert (made.host, made.port, made.token, made.is_tls, made.pins) == ("host", 7701, "tok", True, (bytes(32),))
    assert made.uri == "wss://host:7701/agent"
    assert (made.app, made.environment, made.release, made.allow) == ("shop", "staging", "r1", "all")
    assert made.denied == ("cancel_task", "retry_task", "terminate_task")
    assert made.spool.parent == tmp_path
    assert made.spool_limit == 3 * 1024 * 1024
    assert made.seal_key is not None
    assert made.seal_key.secret == bytes(range(32))
    assert len(made.old_keys) == 2
    assert made.redact == ("ssn_no",)


def test_secrets_do_not_show() -> None:
    made = read(f"z4j+ws://tok.{SEAL}@localhost")
    for shown in (repr(made), repr(made.seal_key), made.uri, str(made.spool)):
        assert "tok" not in shown.replace("token", "")
        assert SEAL not in shown
    assert made.port == 7700
    assert read("z4j+ws://t@[::1]:1").uri == "ws://[::1]:1/agent"


@pytest.mark.parametrize(("url", "environ", "words"), [
    ("http://t@h", {}, "does not begin with z4j://"),
    ("z4j://t@h:port", {}, "not a number"),
    ("z4j://t@[::1", {}, "not a URL"),
    ("z4j://h", {}, "has no host or no token"),
    ("z4j+ws://t@example.com", {}, "plaintext connection to example.com"),
    ("z4j://t.short@h", {}, "seal key"),
    ("z4j://t.é@h", {}, "seal key"),
    ("z4j://t@h?pin=abc", {}, "not a SHA-256"),
    ("z4j://t@h?pin=é", {}, "pin"),
    ("z4j://t@h", {"Z4J_ALLOW": "everything"}, "Z4J_ALLOW is 'everything'"),
    ("z4j://t@h", {"Z4J_SPOOL_LIMIT_MB": "big"}, "not a whole number"),
])  # fmt: skip
def test_mistakes_name_the_variable(url: str, environ: dict[str, str], words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        read(url, environ)


def test_plaintext_elsewhere_only_in_code() -> None:
    assert read("z4j+ws://t@example.com", is_plaintext_allowed=True).host == "example.com"


def test_one_folder_for_each_token() -> None:
    assert read("z4j://a@h").spool != read("z4j://b@h").spool
    assert read("z4j://a@h").spool == read("z4j://a@h").spool


def test_default_spool(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_spool() == tmp_path / "z4j/spool"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_spool() == tmp_path / ".local/state/z4j/spool"
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    assert default_spool() == Path(f"/var/tmp/z4j-{os.geteuid()}")


def test_an_unknown_home_folder_is_replaced_by_the_temporary_one(no_home: Path) -> None:
    assert default_spool() == no_home / f"z4j-{os.geteuid()}"


def git(folder: Path, *words: str) -> str:
    made = {"GIT_CONFIG_GLOBAL": "/dev/null"}
    made |= {f"GIT_{role}_{fact}": "a@b" for role in ("AUTHOR", "COMMITTER") for fact in ("NAME", "EMAIL")}
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True, env=os.environ | made).stdout.strip()


def test_release_is_the_commit(tmp_path: Path) -> None:
    assert find_release(tmp_path) == ""
    main = tmp_path / "main"
    (main / "below").mkdir(parents=True)
    git(main, "init", "-q")
    assert find_release(main) == ""  # no commit yet
    git(main, "commit", "-q", "--allow-empty", "-m", "x")
    commit = git(main, "rev-parse", "HEAD")[:12]
    assert find_release(main / "below") == commit
    git(main, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert find_release(tmp_path / "tree") == commit
    git(main, "pack-refs", "--all")
    assert find_release(main) == commit
    git(main, "checkout", "-q", "--detach")
    assert find_release(main) == commit
    (main / ".git/HEAD").write_bytes(b"\xff")
    assert find_release(main) == ""


def test_version_of_this_package(monkeypatch: Any) -> None:
    assert agent_version().startswith("0.")

    from importlib import metadata

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert agent_version() == "0"


def test_seal_key_is_named_by_its_hash() -> None:
    assert SealKey.parse(SEAL).key_id == "630dcd29"


def test_several_pins_while_the_server_changes_its_key() -> None:
    other = "B" * 42 + "A"
    for query in (f"pin={PIN},{other}", f"pin={PIN}&pin={other}"):
        made = read(f"z4j://t@h?{query}")
        assert made.shown_pins == [PIN, other]
    assert read("z4j://t@h").pins == ()
    with pytest.raises(BadSettings, match="pin"):
        read(f"z4j://t@h?pin={PIN},short")


def test_the_file_of_a_private_ca() -> None:
    made = Settings.from_environment({"Z4J_URL": "z4j://t@h", "Z4J_CA": " /etc/ssl/ours.pem "})
    assert made is not None
    assert made.ca == "/etc/ssl/ours.pem"
