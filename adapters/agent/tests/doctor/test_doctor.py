# SPDX-License-Identifier: Apache-2.0
"""The doctor against real servers: what it says of each thing that can be amiss, and its exit code."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from websockets.sync.server import ServerConnection, serve

import z4j_agent
from z4j_agent import wire
from z4j_agent.__main__ import main
from z4j_agent.capture import guard
from z4j_agent.contract.adapter import Adapter, Finding
from z4j_agent.doctor import checks, doctor
from z4j_agent.settings import SealKey, Settings

Make = Callable[..., Settings]
SEAL = SealKey.parse("A" * 43).key_id


def welcome(**facts: Any) -> str:
    message = {"type": "welcome", "protocol": 1, "server_version": "0", "session": "s", "at": time.time_ns() // 1000, "window": 4}
    return json.dumps({**message, "heartbeat_s": 1, "seal_key": SEAL, **facts})


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def only(findings: list[Finding]) -> Finding:
    [finding] = findings
    assert finding.remedy
    return finding


# -- the server --------------------------------------------------------------------------------------------------------
def test_all_is_well(gateway: Any, make_settings: Make, until: Any) -> None:
    gateway.answer_hello = welcome()
    findings = doctor.ask_server(make_settings(gateway.url))
    assert levels(findings) == ["ok", "ok", "ok"]
    assert "accepted the token" in findings[0].what
    assert SEAL in findings[2].what
    until(lambda: gateway.frames_of("goodbye"))
    [hello] = gateway.hellos
    assert (hello["engines"], hello["capabilities"], hello["shipper"]) == ({}, [], False)  # nothing is to be asked of it
    assert set(hello) - {"type"} <= {field.rstrip("?") for field in wire.AGENT_FRAMES["hello"]}


@pytest.mark.parametrize(("seconds", "word"), [(90, "behind"), (-90, "ahead of")])
def test_a_clock_that_is_off(gateway: Any, make_settings: Make, seconds: int, word: str) -> None:
    gateway.answer_hello = welcome(at=time.time_ns() // 1000 + seconds * 1_000_000)
    clock = doctor.ask_server(make_settings(gateway.url))[1]
    assert clock.level == "warning"
    assert "NTP" in clock.remedy
    assert word in clock.what
    assert "90 seconds" in clock.what or "89 seconds" in clock.what


def test_a_slow_answer_is_no_wrong_clock() -> None:
    assert doctor.of_clock(1000.0, 1000.0, 1008.0).level == "ok"
    assert doctor.of_clock(1000.0, 1008.0, 1008.2).level == "warning"


def test_seal_keys(make_settings: Make) -> None:
    own, none = make_settings(), make_settings("z4j+ws://tok@127.0.0.1:9")
    assert doctor.of_seal_key(own, SEAL).level == doctor.of_seal_key(own, None).level == "ok"
    foreign = doctor.of_seal_key(own, "deadbeef")
    assert foreign.level == "warning"
    assert "deadbeef" in foreign.what
    assert "Z4J_SEAL_KEYS" in foreign.remedy
    assert "deadbeef" in doctor.of_seal_key(none, "deadbeef").what
    assert doctor.of_seal_key(none, None).level == "warning"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(wire.BAD_TOKEN, "token create"), (wire.BAD_PROTOCOL, "Upgrade"), (wire.TOO_MANY, "Wait"), (wire.STOPPING, "hinted")],
)
def test_the_server_turns_it_away(gateway: Any, make_settings: Make, code: int, remedy: str) -> None:
    gateway.refuse = {"code": code, "message": wire.CLOSE[code], "hint": "hinted"}
    finding = only(doctor.ask_server(make_settings(gateway.url)))
    assert (finding.level, str(code) in finding.what, remedy in finding.remedy) == ("error", True, True)


def test_the_server_closes_at_once(gateway: Any, make_settings: Make) -> None:
    gateway.close_at_once = (wire.BAD_TOKEN, "")
    assert "token create" in only(doctor.ask_server(make_settings(gateway.url))).remedy
    gateway.close_at_once = (1011, "")
    assert "closed the connection" in only(doctor.ask_server(make_settings(gateway.url))).what


def test_it_is_no_gateway(gateway: Any, make_settings: Make) -> None:
    gateway.answer_hello = json.dumps({"type": "hallo"})
    assert "is not a z4j gateway" in only(doctor.ask_server(make_settings(gateway.url))).what


@pytest.mark.parametrize(("status", "words"), [(401, "token create"), (404, "proxy")])
def test_the_upgrade_is_refused(make_settings: Make, status: int, words: str) -> None:
    def refuse(connection: ServerConnection, _: Any) -> Any:
        return connection.respond(status, "no")

    with serve(lambda _: None, "127.0.0.1", 0, process_request=refuse) as server:
        import threading

        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = make_settings(f"z4j+ws://tok@127.0.0.1:{server.socket.getsockname()[1]}")
        finding = only(doctor.ask_server(settings))
        server.shutdown()
    assert words in finding.remedy


def test_nobody_is_there(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening
        finding = only(doctor.ask_server(make_settings(f"z4j+ws://tok@127.0.0.1:{taken.getsockname()[1]}")))
        assert "events are lost: they are stored in the spool folder" in finding.what
    for host in ("nowhere.invalid", f"{'a' * 64}.invalid", "a..b"):
        settings = make_settings(f"z4j://tok@{host}:7700")
        assert "cannot be resolved" in only(doctor.ask_server(settings)).what
    monkeypatch.setattr(doctor, "TCP_TIMEOUT_S", 0.2)
    with socket.socket() as full:  # its queue is full: further connections are not answered, as behind a firewall
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        finding = only(doctor.ask_server(make_settings(f"z4j+ws://tok@127.0.0.1:{full.getsockname()[1]}")))
        for one in waiting:
            one.close()
    assert "did not respond within" in finding.what
    assert "firewall" in finding.remedy


def test_tls(tls_gateway: Any, certificate: Any, gateway: Any, make_settings: Make) -> None:
    tls_gateway.answer_hello = welcome()
    pin = base64.urlsafe_b64encode(certificate[1]).decode().rstrip("=")
    at = f"z4j://tok@127.0.0.1:{tls_gateway.port}"
    assert doctor.ask_server(make_settings(f"{at}?pin={pin}"))[0].level == "ok"
    assert "token was not sent" in only(doctor.ask_server(make_settings(f"{at}?pin={'A' * 43}"))).what
    assert "?pin=" in only(doctor.ask_server(make_settings(at))).remedy
    assert "does not support TLS" in only(doctor.ask_server(make_settings(f"z4j://tok@127.0.0.1:{gateway.port}?pin={pin}"))).what
    assert len(tls_gateway.tokens) == 1


# -- the settings and the folder ---------------------------------------------------------------------------------------
def test_settings(make_settings: Make) -> None:
    assert levels(checks.of_settings(make_settings())) == ["ok", "ok"]
    assert "pinned" in checks.of_settings(make_settings(f"z4j://tok@h:1?pin={'A' * 43}"))[0].what
    assert "certificate" in checks.of_settings(make_settings("z4j://tok@h:1"))[0].what
    findings = checks.of_settings(make_settings("z4j+ws://tok@far:1", is_plaintext_allowed=True))
    assert levels(findings) == ["warning", "warning"]
    assert "tok" not in " ".join(map(checks.sentence_of, findings)).replace("token", "")


def test_a_folder_that_is_well_or_not_there_yet(make_settings: Make) -> None:
    settings = make_settings()
    assert levels(checks.of_folder(settings)) == ["ok"]
    assert not settings.spool.exists()  # it only looks
    settings.spool.mkdir(0o700, parents=True)
    assert levels(checks.of_folder(settings)) == ["ok"]
    settings.spool.chmod(0o755)
    assert levels(checks.of_folder(settings)) == ["warning", "ok"]


def test_a_folder_that_cannot_be_used(make_settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings()
    settings.spool.parent.mkdir()
    settings.spool.symlink_to(tmp_path / "nowhere")
    assert "is a link" in only(checks.of_folder(settings)).what
    settings.spool.unlink()
    (tmp_path / "spool").rmdir()
    (tmp_path / "spool").write_text("a file")
    assert "cannot be created" in only(checks.of_folder(settings)).what
    (tmp_path / "spool").unlink()
    settings.spool.mkdir(parents=True)
    monkeypatch.setattr(checks.os, "geteuid", lambda: 12345)
    assert "another user" in only(checks.of_folder(settings)).what
    monkeypatch.undo()
    monkeypatch.setattr(checks.os, "access", lambda *_: False)
    assert "not writable" in only(checks.of_folder(settings)).what
    monkeypatch.undo()
    monkeypatch.setattr(checks, "is_network", lambda _: True)
    assert "network file system" in only(checks.of_folder(settings)).what


def test_a_folder_nobody_may_enter(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> Any:
        raise PermissionError(13, "Permission denied")

    settings = make_settings()
    monkeypatch.setattr(checks.os, "statvfs", closed)
    assert "Permission denied" in only(checks.of_folder(settings)).what


def test_a_segment_that_is_deleted_meanwhile_is_no_error(make_settings: Make) -> None:
    settings = make_settings()
    settings.spool.mkdir(0o700, parents=True)
    (settings.spool / "1.seg").symlink_to("deleted")  # listed, and then not found
    assert levels(checks.of_folder(settings)) == ["ok"]


def test_room(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(environ={"Z4J_SPOOL_LIMIT_MB": "1"})
    settings.spool.mkdir(0o700, parents=True)
    (settings.spool / "1.seg").write_bytes(b"x" * 600_000)
    monkeypatch.setattr(checks, "ENOUGH_FREE", 1 << 60)
    findings = checks.of_folder(settings)
    assert levels(findings) == ["warning", "warning"]
    assert "Z4J_SPOOL_LIMIT_MB" in findings[0].remedy
    assert "Free some space" in findings[1].remedy


# -- engines -----------------------------------------------------------------------------------------------------------
class Watched(Adapter):
    engine: ClassVar[str] = "celery"

    def engine_version(self) -> str:
        return "5.7.0"

    def install(self) -> None:
        pass

    def uninstall(self) -> None:
        pass

    def findings(self) -> list[Finding]:
        return [Finding("warning", "It has a trap.", "Step around it.")]


class Broken(Watched):
    def engine_version(self) -> str:
        raise RuntimeError("odd")

    def findings(self) -> list[Finding]:
        raise RuntimeError("odd")


def test_versions_and_engines_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"celery": "5.7.0", "z4j-celery": checks.agent_version(), "rq": "2.0", "huey": "3.5", "z4j-huey": "1"}
    monkeypatch.setattr(checks, "installed", lambda name: there.get(name, ""))
    findings = checks.of_adapters([Watched()])
    assert levels(findings) == ["ok", "warning", "warning"]
    assert "celery 5.7.0" in findings[0].what
    assert "Install z4j-rq" in findings[1].remedy
    assert "z4j_huey.install" in findings[2].remedy
    there["z4j-celery"] = "0.0.1"
    assert "Only equal versions are tested together" in checks.of_adapters([Watched()])[0].what
    there.clear()
    assert "unknown version" in checks.of_adapters([Broken()])[0].what
    assert "Nothing is monitored" in only(checks.of_adapters([])).what
    assert checks.of_engines([Broken(), Watched()])[1] == Watched().findings()[0]
    assert guard.faults.by_operation["examining celery"] == (1, "RuntimeError")


def test_versions_of_distributions() -> None:
    assert checks.installed("z4j-agent") == checks.agent_version()
    assert checks.installed("there-is-no-such-thing") == ""


def test_warnings_stand_in_every_hello(gateway: Any, tmp_path: Path, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "ENOUGH_FREE", 1 << 60)
    agent = z4j_agent.start(url=gateway.url, spool=tmp_path)
    assert agent is not None
    agent.connect()
    until(lambda: gateway.hellos)
    [note] = gateway.hellos[0]["notes"]
    assert "are free on the disk of the spool folder" in note
    assert note.endswith("on another disk.")


def test_notes_never_raise(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings("z4j+ws://tok@127.0.0.1:9")
    assert len(checks.notes_of(settings, is_in_folder=False)) == 1
    monkeypatch.setattr(checks, "_check_space", lambda *_: 1 // 0)
    assert checks.notes_of(settings, is_in_folder=True) == []
    assert guard.faults.by_operation["examining the settings"] == (1, "ZeroDivisionError")


# -- the command -------------------------------------------------------------------------------------------------------
APPLICATION = """
import z4j_agent
from z4j_agent.contract.adapter import Adapter, Finding

class Shop(Adapter):
    engine = "shop"
    def engine_version(self): return "3"
    def install(self): pass
    def findings(self): return [Finding("warning", "It has a trap.", "Step around it.")]

class wsgi:
    app = z4j_agent.start(Shop())
"""


def run(folder: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "Z4J_URL": url, "Z4J_SPOOL": str(folder / "spool"), "COLUMNS": "80"}
    command = [sys.executable, "-m", "z4j_agent", "doctor", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_imports_the_application(gateway: Any, tmp_path: Path) -> None:
    gateway.answer_hello = welcome()
    (tmp_path / "shop_app.py").write_text(APPLICATION)
    done = run(tmp_path, gateway.url, "shop_app:wsgi.app")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\n  warning  It has a trap.\n           Step around it.\n" in done.stdout
    assert "shop 3 is monitored" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    assert len(gateway.hellos) == 1  # the doctor's own; the application's agent serves nobody


def test_the_command_as_json(gateway: Any, tmp_path: Path) -> None:
    gateway.answer_hello = welcome()
    done = run(tmp_path, gateway.url, "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["exit_code"], report["agent_version"]) == (0, 0, checks.agent_version())
    assert [finding for finding in report["findings"] if finding["level"] != "ok"] == []
    assert {finding["topic"] for finding in report["findings"]} == {"settings", "server", "spool", "engines"}
    token, _, seal = gateway.url.partition("//")[2].partition("@")[0].partition(".")
    assert token not in done.stdout
    assert seal not in done.stdout


def test_the_command_without_an_application(tmp_path: Path) -> None:
    done = run(tmp_path, "", "there_is_no_such_module:app")
    assert done.returncode == 2
    assert "ModuleNotFoundError" in done.stdout
    assert "no connection string in" in " ".join(done.stdout.split())


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module and returns its name; it is forgotten afterwards."""

    def write(text: str) -> str:
        name = f"shop_{abs(hash(text))}"
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [part for part in sys.path if part])
        monkeypatch.setitem(sys.modules, name, None)
        sys.modules.pop(name)
        return name

    return write


def test_mistakes(module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("Z4J_URL", "z4j+ws://tok@far.example:7700")
    assert main(["doctor", module("raise SystemExit(3)")]) == 2
    output = " ".join(capsys.readouterr().out.split())
    assert "could not be imported: SystemExit: 3" in output
    assert "plaintext connection to far.example" in output
    assert main(["doctor", module("here = 1") + ":there"]) == 2
    assert "AttributeError" in capsys.readouterr().out


def test_without_a_connection_string_and_without_an_application(
    gateway: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 2
    assert "no connection string in" in " ".join(capsys.readouterr().out.split())
    gateway.answer_hello = welcome(seal_key="deadbeef")
    monkeypatch.setenv("Z4J_URL", gateway.url)
    monkeypatch.setenv("Z4J_SPOOL", str(tmp_path))
    assert main(["doctor"]) == 0
    assert main(["doctor", "--json"]) == 0
    assert '"exit_code": 0' in capsys.readouterr().out


def test_faults_of_the_agent_are_told(gateway: Any, module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gateway.answer_hello = welcome()
    monkeypatch.setenv("Z4J_URL", gateway.url)
    monkeypatch.setenv("Z4J_SPOOL", str(tmp_path / "spool"))
    text = APPLICATION + "\nfrom z4j_agent.capture.guard import faults\nfaults.report('something', ValueError())"
    report = doctor.examine(module(text) + ":wsgi.app")
    assert [(topic, finding.level) for topic, finding in report if topic == "agent"] == [("agent", "warning")]
    assert doctor.exit_code(report) == 0
