# SPDX-License-Identifier: AGPL-3.0-or-later
"""A thousand ways to tamper with the audit log of a real server, with every kind in equal quotas, and who finds them.

A server is run with one connected agent, some hundred rows are written by people, programs and the command line, and two seconds later
everything is stopped and the data folder is kept. Each mutation works on a copy of it (`tests/support/audit_mutations.py`). Then
`z4j audit verify` is asked, and the log is exported and checked offline with the public key and one checkpoint that was remembered from
the middle. Where the files alone do not show it, the server is started on the copy and the agent says hello with what it keeps, as it
would within seconds; then both are asked again. What the files show without an agent is reported apart.

By hand: `python -m tests.e2e.test_audit_mutations 1000 [SEED]`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.audit_mutations import KINDS, Folder
from tests.support.browserless import Person
from tests.support.site import hash_cheaply
from tests.support.stack import ROOT, SERVER_PYTHON, Stack, stack, wait_for
from z4j import cli, logs
from z4j.app import Server
from z4j.settings import Settings
from z4j_agent import wire

AGENT = "import time, z4j_agent; z4j_agent.start().connect(); time.sleep(3600)"
BROKEN = 10
"""The exit code of a log that is not what was written."""
FEW = 30
ALL = 1_000
SEED = 20261129


@dataclass
class Scene:
    """What the attacker finds, and what others remember."""

    folder: Path
    data: Path
    older: list[Path]
    token: str
    kept: dict[str, Any]
    """By the agent, in its spool folder."""
    middle: str
    """A checkpoint somebody noted when half of the rows were written."""
    public_key: Path


@dataclass
class Score:
    """How many of each kind there were, and how many were found by whom."""

    made: Counter[str] = field(default_factory=Counter)
    found: dict[str, Counter[str]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    def add(self, who: str, kind: str, number: int, *, is_found: bool) -> None:
        self.found.setdefault(who, Counter())[kind] += is_found
        if not is_found:
            self.missed.append(f"{who}: {kind} (number {number})")

    def table(self) -> str:
        lines = [f"{'kind':<26}{'made':>6}" + "".join(f"{who:>28}" for who in self.found)]
        lines += [f"{kind:<26}{self.made[kind]:>6}" + "".join(f"{of[kind]:>28}" for of in self.found.values()) for kind in self.made]
        return "\n".join([*lines, f"{'all':<26}{self.made.total():>6}" + "".join(f"{of.total():>28}" for of in self.found.values())])


# -- the scene -------------------------------------------------------------------------------------------------------------


def act(made: Stack, person: Person, first: int, amount: int) -> None:
    """Rows of every sort: exports, refusals, settings, commands of the shell."""
    for number in range(first, first + amount):
        match number % 5:
            case 0:
                person.get(f"/tasks.json?q=number{number}")
            case 1:
                person.client.post("/settings/users", data={"name": f"user{number}", "role": "viewer", "password": "short"})
            case 2:
                person.client.post("/tasks/999/retry")
            case 3:
                person.client.post("/settings/tokens", data={"label": f"program {number}", "role": "viewer", "days": "1"})
            case _:
                person.get(f"/changes.csv?before={number}")
        if number % 16 == 0:
            time.sleep(1.1)  # so that some rows wait for their checkpoint and others do not
    made.command("user", "add", f"shell{first}", "--role", "viewer", "--password-stdin", stdin="a long enough passphrase\n")


def make_scene(folder: Path, *, is_restored: bool = False) -> Scene:
    """With `is_restored` the backup from the middle is restored before the last part, under the agent."""
    older = []
    with stack(folder) as made:
        url = made.add_app()
        server = made.start_server()
        agent = made.start("agent", [SERVER_PYTHON, "-c", AGENT])
        person = Person.sign_in(made)
        for part in range(4):
            act(made, person, part * 40, 40)
            if part == 1:
                made.command("backup", str(folder / "backup.db"))
                older.append(_copy_of_backup(made, folder / "backup"))
                middle = made.command("audit", "verify").rpartition("Head: ")[2].strip()
            if part in (0, 2):
                server.end()
                older.append(Path(shutil.copytree(made.data, folder / f"older{part}")))
                if is_restored and part == 2:
                    made.command("restore", str(folder / "backup.db"), "--yes")
                server = made.start_server()
                person = Person.sign_in(made, f"after{part}")
        public_key = folder / "public.pem"
        public_key.write_text(made.command("audit", "key"))
        time.sleep(2)
        [(last,)] = made.rows("SELECT max(seq) FROM audit")
        [kept] = folder.glob("spool/**/audit_head")
        wait_for(lambda: json.loads(kept.read_text())["seq"] == last, what="the idle agent keeps the newest checkpoint", seconds=5)
        agent.kill()
        server.kill()
        assert made.rows("SELECT count(*) FROM audit") == [(last,)]
        made.command("audit", "verify")
        data = Path(shutil.copytree(made.data, folder / "base"))
        token = url.partition("//")[2].partition("@")[0].partition(".")[0]
        return Scene(folder, data, older, token, json.loads(kept.read_text()), middle, public_key)


def _copy_of_backup(made: Stack, target: Path) -> Path:
    """The backup as it would be restored: the database and the keys, without what describes the running log."""
    target.mkdir()
    shutil.copy(made.folder / "backup.db", target / "z4j.db")
    for name in ("audit.key", "audit.ed25519", "cookie.key"):
        shutil.copy(made.data / name, target / name)
    return target


# -- who is asked ----------------------------------------------------------------------------------------------------------


def shell(*words: str) -> int:
    """`z4j WORDS` in a thread of its own, which has no event loop whatever ran in this process before."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(cli.main, words).result()


def verify(data: Path) -> bool:
    """Whether `z4j audit verify` finds it. Only its own exit code counts: a program that fails finds nothing."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = shell("audit", "verify", "--data", str(data))
    assert code in (0, BROKEN), f"{code}: {out.getvalue()}{err.getvalue()}"
    return code == BROKEN


def load_verifier() -> Any:
    spec = importlib.util.spec_from_file_location("verify", ROOT / "examples/audit/verify.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verify_offline(data: Path, scene: Scene, verifier: Any) -> bool:
    """Whether an export shows it, with one checkpoint remembered from the middle. A file that cannot be read shows nothing."""
    target = data / "export.jsonl"
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        exported = shell("audit", "export", str(target), "--data", str(data))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["verify.py", str(target), str(scene.public_key), "--seen", scene.middle])
            code = verifier.main()
    assert exported == 0, f"{exported}: {err.getvalue()}"
    assert code in (0, 1), f"{code}: {out.getvalue()}{err.getvalue()}"
    return bool(code)


def greet(data: Path, scene: Scene) -> None:
    """The server runs on this folder, and the agent connects with the checkpoint it keeps."""
    hello = {
        "type": "hello", "protocol": wire.PROTOCOL, "agent_version": "0.1.0", "boot": "b00t", "spool": "s1", "host": "h1", "pid": 7,
        "role": "worker", "worker": "w1", "environment": "production", "engines": {}, "capabilities": [], "allow": "operate",
        "denied": [], "shipper": True, "at": time.time_ns() // 1000,
        "audit_head": {"seq": scene.kept["seq"], "digest": scene.kept["digest"]},
    }  # fmt: skip
    server = Server(Settings(data=data))
    headers = {"Authorization": f"Bearer {scene.token}"}
    with (
        contextlib.redirect_stdout(io.StringIO()),
        TestClient(server.asgi) as client,
        contextlib.suppress(CancelledError),
        client.websocket_connect("/agent", headers=headers) as socket,
    ):
        socket.send_text(json.dumps(hello))
        assert json.loads(socket.receive_text())["audit_head"]["extends"] is not None


@contextlib.contextmanager
def tampered(scene: Scene, kind: str, seed: str) -> Iterator[Path]:
    """A copy of the data folder with this mutation in it."""
    with tempfile.TemporaryDirectory(dir=scene.folder) as name:
        path = Path(shutil.copytree(scene.data, Path(name) / "data"))
        KINDS[kind](Folder(path, Random(seed), scene.older))
        yield path


def run(scene: Scene, amount: int, seed: int = SEED) -> Score:
    """`amount` mutations, every kind in turn. Passwords are hashed cheaply: every command of the shell hashes one."""
    with pytest.MonkeyPatch.context() as patch:
        hash_cheaply(patch)
        return _run(scene, amount, seed)


def _run(scene: Scene, amount: int, seed: int) -> Score:
    score, verifier, kinds = Score(), load_verifier(), list(KINDS)
    logs.set_up("CRITICAL")
    for number in range(amount):
        kind = kinds[number % len(kinds)]
        key = f"{seed}/{number}"
        score.made[kind] += 1
        with tampered(scene, kind, key) as data:
            is_found = verify(data)
            is_found_offline = verify_offline(data, scene, verifier)
        score.add("verify, no agent", kind, number, is_found=is_found)
        score.add("offline, no agent", kind, number, is_found=is_found_offline)
        if not (is_found and is_found_offline):  # what an agent reports only adds to what the files say
            with tampered(scene, kind, key) as data:
                greet(data, scene)
                is_found = is_found or verify(data)
                is_found_offline = is_found_offline or verify_offline(data, scene, verifier)
        score.add("verify, one agent", kind, number, is_found=is_found)
        score.add("offline, one agent", kind, number, is_found=is_found_offline)
    return score


# -- tests -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True], ids=["log", "restored log"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("mutations"), is_restored=request.param)


@pytest.mark.timeout(600)
def test_what_was_not_tampered_with_is_not_reported(scene: Scene, tmp_path: Path) -> None:
    """Else a program that always says `broken` would pass: the same steps without a mutation, and both copies as they were."""
    for number, source in enumerate([scene.data, *scene.older]):
        data = Path(shutil.copytree(source, tmp_path / str(number)))
        assert not verify(data), source
        if source == scene.data:
            greet(data, scene)
            assert not verify(data), source
        if source != scene.older[0]:
            assert not verify_offline(data, scene, load_verifier()), source


@pytest.mark.timeout(600)
def test_tampering_is_found(scene: Scene) -> None:
    check(run(scene, FEW))


@pytest.mark.long
@pytest.mark.timeout(3_000)
def test_a_thousand_mutations_are_found(scene: Scene) -> None:
    check(run(scene, ALL))


def check(score: Score) -> None:
    print("\n" + score.table())
    amount = score.made.total()
    assert score.found["verify, one agent"].total() == amount, score.missed
    assert score.found["offline, one agent"].total() >= amount * 0.995, score.missed
    # Without an agent: all but what is consistent with every file in the data folder.
    unseen = {of.split(": ")[1].split(" ")[0] for of in score.missed if of.startswith("verify, no agent")}
    assert unseen <= {"roll_back", "rewrite_everything"}, score.missed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        result = run(make_scene(Path(place)), int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else SEED)
    print(result.table())
    print("\n".join(result.missed))
