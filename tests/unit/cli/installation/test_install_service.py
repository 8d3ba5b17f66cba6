# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from z4j.cli.installation import install_service
from z4j.cli.installation.install_service import unit_of
from z4j.exceptions import BadInput
from z4j.settings import Settings


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The executable where an installation has it, not where these tests run."""
    found = Path("/usr/local/bin/z4j")
    use(monkeypatch, found)
    return found


def use(monkeypatch: pytest.MonkeyPatch, found: Path) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(found))


def test_settings_become_flags_and_defaults_do_not() -> None:
    unit = unit_of(Settings(host="0.0.0.0", tls="auto", tls_name=("q.internal", "50% $HOME"), log_json=True), None)
    [command] = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    assert '--host 0.0.0.0 --tls auto --tls-name q.internal --tls-name "50%% $$HOME"' in command
    assert "--log-json" in command
    assert "--port" not in command
    assert "--data /var/lib/z4j" in command
    assert "DynamicUser=yes" in unit


def test_a_folder_in_a_home_is_reachable_and_belongs_to_its_user() -> None:
    unit = unit_of(Settings(data=Path("/home/ada/z4j")), "ada")
    assert "User=ada" in unit
    assert "ProtectHome=no" in unit
    assert "ReadWritePaths=/home/ada/z4j" in unit


@pytest.mark.parametrize("home", ["/home/ada", "/root"])
def test_an_executable_in_a_home_is_readable_by_a_user_who_may_enter_it(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    use(monkeypatch, Path(home) / "bin/z4j")
    unit = unit_of(Settings(data=Path("/srv/z4j")), "root")
    assert "ProtectHome=read-only" in unit
    assert f"ExecStart={home}/bin/z4j serve" in unit
    assert "ProtectHome=no" in unit_of(Settings(data=Path(home) / "data"), "root")


def test_a_certificate_in_a_home_is_readable() -> None:
    unit = unit_of(Settings(data=Path("/srv/z4j"), tls_cert="/home/ada/c.pem", tls_key="/home/ada/k.pem"), "root")
    assert "ProtectHome=read-only" in unit


def test_a_link_into_a_home_counts_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "z4j").symlink_to("/home/ada/z4j")
    use(monkeypatch, tmp_path / "z4j")
    assert "ProtectHome=read-only" in unit_of(Settings(data=Path("/srv/z4j")), "root")


@pytest.mark.parametrize("user", [None, "nobody"])
def test_a_program_that_the_user_of_the_service_cannot_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str | None
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    use(monkeypatch, private / "z4j")
    (private / "z4j").touch()
    with pytest.raises(BadInput, match="may not enter") as refused:
        unit_of(Settings(), user)
    assert "/usr/local/bin" in refused.value.hint
    assert f"ExecStart={private}/z4j" in unit_of(Settings(), "root")


def test_an_environment_names_its_interpreter_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", False)
    monkeypatch.setattr(sys, "base_prefix", "/home/ada/.local/share/uv/python")
    monkeypatch.setattr(sys, "prefix", "/opt/z4j")
    assert "ProtectHome=read-only" in unit_of(Settings(data=Path("/srv/z4j")), "root")


def test_systemd_accepts_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "z4j-checked.service"
    use(monkeypatch, Path("/bin/true"))
    file.write_text(unit_of(Settings(), None))
    done = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


def test_only_root_installs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadInput, match="Only root"):
        install_service.install_service(argparse.Namespace(write=True, user=None), Settings())


def test_no_setting_becomes_a_line_of_the_unit() -> None:
    with pytest.raises(BadInput, match="Nothing was written"):
        unit_of(Settings(tls_cert="/x\nExecStartPre=/bin/evil", tls_key="/k"), None)
    with pytest.raises(BadInput, match="Nothing was written"):
        unit_of(Settings(), "z4j\nAmbientCapabilities=CAP_SYS_ADMIN")


def test_a_relative_folder_with_blanks_becomes_a_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    unit = unit_of(Settings(data=Path("my 5% data")), "ada")
    assert f'ReadWritePaths="{tmp_path}/my 5%% data"' in unit
    assert f'Environment="TMPDIR={tmp_path}/my 5%% data/tmp"' in unit
    assert f'--data "{tmp_path}/my 5%% data"' in unit
