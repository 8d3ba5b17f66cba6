# SPDX-License-Identifier: Apache-2.0
"""What a compromised server must not achieve: it uses the protocol with a real worker and makes every possible attempt.

A witness file proves what ran. Every attempt is refused with the name of the check, and a genuine command of the same kind is executed,
so that a refusal is not caused by an engine without the action.
"""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from z4j_agent.capture.originals import Binding, close_original
from z4j_agent.conformance.assertions import ended, final_answer, payload_of, worker_link
from z4j_agent.conformance.gateway import SEAL_KEY, Gateway
from z4j_agent.conformance.harness import Harness, wait_for
from z4j_agent.conformance.operations import OperationsBase, new_id
from z4j_agent.contract.adapter import ACTION_LEVEL
from z4j_agent.contract.scheduler import ACTIONS as SCHEDULE_ACTIONS
from z4j_agent.settings import SealKey

FUNCTIONS: Final = ("os.system", "subprocess.call", "subprocess:call", "builtins.exec", "posix.system", "os:system")
WITH_ORIGINAL: Final = ("retry_task", "edit_task", "restore_task")
QUEUES: Final = ("nobody-uses-this", "celery.pidbox", "celeryev", "../etc", "a" * 300)
SETTLED_S: Final = 1.5
"""Seconds within which a wrongly accepted task would run: the genuine task that was sent last has ended by then, too."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One command of a hostile server and the checks that may refuse it."""

    what: str
    action: str
    params: dict[str, Any]
    checks: tuple[str, ...]


class HostileServerContract(OperationsBase):
    """Subclass it with a `harness_class`; add the engine's own attempts in `more_attempts`."""

    forged: ClassVar[tuple[dict[str, Any], ...]] = ()
    """Messages in the form of the engine's originals that call `os.system`; `{command}` in a text is replaced by the command."""

    def more_attempts(self, running: Harness, gateway: Gateway, command: str) -> Iterator[Attempt]:
        """Attempts that only exist for this engine (exchanges, labels, options); `command` must never run in a shell."""
        yield from ()

    # -- attempts ------------------------------------------------------------------------------------------------------
    def attempts(self, running: Harness, gateway: Gateway, first: str, second: str, command: str) -> Iterator[Attempt]:
        """All forged commands. `first` and `second` are tasks of the application that have ended."""
        yield from self._names(running, command)
        yield from self._queues(running, gateway, first)
        yield from self._originals(running, gateway, first, second, command)
        yield from self._ids(running, gateway, first)
        yield from self.more_attempts(running, gateway, command)

    def _names(self, running: Harness, command: str) -> Iterator[Attempt]:
        for name in (*FUNCTIONS, f"{running.name_of('succeed')}.__globals__", "", "x" * 300):
            for queue in ("", running.queue):
                params = {"name": name, "args": [command], "kwargs": {}, "queue": queue, "new_id": new_id()}
                yield Attempt(f"run {name[:40]!r} on {queue!r}", "run_task", params, ("task.unknown",))
            proofs = {running.adapter.engine: f"{KEY.key_id}.{'0' * 32}"}
            params = {"name": name, "args": [command], "kwargs": {}, "queue": "", "new_id": new_id(), "proofs": proofs}
            yield Attempt(f"run {name[:40]!r} with a false proof", "run_task", params, ("task.unknown",))
        yield Attempt("limit os.system", "limit_name", {"name": "os.system", "rate": "1/m"}, ("task.unknown",))

    def _queues(self, running: Harness, gateway: Gateway, first: str) -> Iterator[Attempt]:
        known = running.name_of("succeed")
        for queue in QUEUES:
            params = {"name": known, "args": [1], "kwargs": {}, "queue": queue, "new_id": new_id()}
            yield Attempt(f"run on {queue[:30]}", "run_task", params, ("queue.unknown",))
            for action in ("consume_queue", "purge_queue", "peek_queue"):
                yield Attempt(f"{action} {queue[:30]}", action, {"queue": queue, "place": "waiting"}, ("queue.unknown",))
            yield Attempt(f"move to {queue[:30]}", "move_task", {"task_id": first, "queue": queue}, ("queue.unknown",))
            for action in WITH_ORIGINAL:
                params = {**self.original(gateway, first), "new_id": new_id(), "queue": queue, "edit": {}}
                yield Attempt(f"{action} on {queue[:30]}", action, params, ("original.queue",))
                params = {**self.original(gateway, first), "new_id": new_id(), "move_to": queue, "edit": {}}
                yield Attempt(f"{action} moved to {queue[:30]}", action, params, ("queue.unknown",))

    def _originals(self, running: Harness, gateway: Gateway, first: str, second: str, command: str) -> Iterator[Attempt]:
        params_of_first = self.original(gateway, first)
        blob = base64.b64decode(params_of_first["original"])
        for action in WITH_ORIGINAL:
            for what, changed, checks in self._blobs(running, gateway, first, blob, command):
                for name in (params_of_first["name"], "os.system", ""):
                    params = {
                        **params_of_first,
                        "original": base64.b64encode(changed).decode(),
                        "name": name,
                        "new_id": new_id(),
                        "edit": {},
                    }
                    yield Attempt(f"{action} of {what} as {name!r}", action, params, checks)
            params = {**params_of_first, "task_id": second, "new_id": new_id(), "edit": {}}
            yield Attempt(f"{action} of another task's original", action, params, ("original.altered",))
            params = {**params_of_first, "name": "os.system", "new_id": new_id(), "edit": {"args": {"0": command}}}
            yield Attempt(f"{action} under another name", action, params, ("original.name",))
            old = {
                **params_of_first,
                "original": sealed_before(running.adapter.engine, first, {"args": ["x"], "kwargs": {}}),
                "key_id": KEY.key_id,
            }
            params = {**old, "name": "os.system", "new_id": new_id(), "edit": {}}
            yield Attempt(f"{action} of an old seal as os.system", action, params, ("task.unknown",))
            params = {**old, "name": running.name_of("succeed"), "queue": "nobody-uses-this", "new_id": new_id(), "edit": {}}
            yield Attempt(f"{action} of an old seal on another queue", action, params, ("queue.unknown",))
            params = {**params_of_first, "original": "", "new_id": new_id(), "edit": {}}
            yield Attempt(f"{action} without an original", action, params, ("original.format",))

    def _blobs(
        self, running: Harness, gateway: Gateway, task_id: str, blob: bytes, command: str
    ) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
        """(what, bytes, checks) of originals that no agent of this application made for this task."""
        engine, payload = running.adapter.engine, payload_of(gateway, task_id)
        shapes = [_filled(shape, command) for shape in (*self.forged, {"args": [command], "kwargs": {}})]
        for number, shape in enumerate(shapes):
            packed = json.dumps(shape).encode()
            yield f"a plain forgery {number}", b"\x00" + packed, ("original.proof",)
            yield f"a compressed forgery {number}", b"\x01" + zlib.compress(packed), ("original.proof",)
            binding = Binding(engine, task_id, "test", "os.system", payload.queue)
            for is_masked in (False, True):
                closed, _ = close_original(shape, binding, is_masked=is_masked, key=replace_secret(KEY))
                assert closed is not None
                yield f"a forgery {number} with another secret under this key's id", closed[1], ("original.altered",)
                closed, _ = close_original(shape, binding, is_masked=is_masked, key=OTHER)
                assert closed is not None
                yield f"another application's original {number}", closed[1], ("original.key",)
            nonce = os.urandom(12)
            sealed = b"\x02" + nonce + AESGCM(OTHER.secret).encrypt(nonce, b"\x00" + packed, f"{engine}\0{task_id}".encode())
            yield f"an old seal of another key {number}", sealed, ("original.altered", "original.key")
        for position in (0, 1, 3, len(blob) // 2, len(blob) - 1):
            yield (
                f"the original with byte {position} changed",
                blob[:position] + bytes([blob[position] ^ 1]) + blob[position + 1 :],
                ALTERED,
            )
        yield "half of the original", blob[: len(blob) // 2], ALTERED
        elsewhere = Binding(engine, task_id, "other", payload.name, payload.queue)
        closed, _ = close_original({"args": ["x"], "kwargs": {}}, elsewhere, is_masked=False, key=KEY)
        assert closed is not None
        yield "an original of another environment", closed[1], ("original.altered",)

    def _ids(self, running: Harness, gateway: Gateway, first: str) -> Iterator[Attempt]:
        for id in ("", "not-a-uuid", "../../x", "a\nb", new_id().upper()):
            params = {"name": running.name_of("succeed"), "args": [1], "kwargs": {}, "queue": "", "new_id": id}
            yield Attempt(f"run under the id {id!r}", "run_task", params, ("task_id.form",))
            yield Attempt(f"retry under the id {id!r}", "retry_task", {**self.original(gateway, first), "new_id": id}, ("task_id.form",))
        big = {"name": running.name_of("succeed"), "args": ["x" * 400_000], "kwargs": {}, "queue": "", "new_id": new_id()}
        yield Attempt("arguments of 400 KB", "run_task", big, ("arguments.size",))

    # -- tests ---------------------------------------------------------------------------------------------------------
    def test_only_what_the_application_made_or_registered_runs(self, gateway: Gateway, running: Harness, tmp_path: Path) -> None:
        witness = tmp_path / "witness"
        first, second = running.enqueue("succeed", "one"), running.enqueue("succeed", "two")
        for task_id in (first, second):
            ended(gateway, task_id, running.outcomes["succeed"])
            payload_of(gateway, task_id)
        wrong, made = [], []
        declared = declared_actions(gateway, running.adapter.engine)
        for attempt in self.attempts(running, gateway, first, second, f"touch {witness}"):
            if attempt.action not in declared:
                continue
            made.append(attempt.params.get("new_id"))
            status, facts = self.ask(gateway, running, attempt.action, **attempt.params)
            if status != "refused" or facts.get("check") not in attempt.checks:
                wrong.append((attempt.what, status, facts))
        assert wrong == []
        assert made, "the engine declares nothing that could be attacked"
        self._controls(gateway, running, first, declared)
        time.sleep(SETTLED_S)
        assert not witness.exists()
        for id in filter(None, made):
            assert gateway.records(str(id)) == [], id

    def _controls(self, gateway: Gateway, running: Harness, first: str, declared: set[str]) -> None:
        """The genuine commands are executed."""
        ids = []
        for action in set(WITH_ORIGINAL[:2]) & declared:
            ids.append(new_id())
            self.done(gateway, running, action, **self.original(gateway, first), new_id=ids[-1], edit={})
        if "run_task" in declared:
            ids.append(new_id())
            params = {"name": running.name_of("succeed"), "args": ["control"], "kwargs": {}, "queue": ""}
            self.done(gateway, running, "run_task", **params, new_id=ids[-1])
        for id in ids:
            ended(gateway, id, running.outcomes["succeed"])

    def test_an_id_used_again_runs_nothing_again(self, gateway: Gateway, running: Harness) -> None:
        self.need(running, "retry_task")
        first = running.enqueue("succeed", "once")
        ended(gateway, first, running.outcomes["succeed"])
        link = next(link for link in gateway.open_links() if link.hello["role"] == "worker")
        command_id = gateway.ask(link, "retry_task", running.adapter.engine, {**self.original(gateway, first), "new_id": (id := new_id())})
        assert final_answer(gateway, command_id)[0] == "done"
        ended(gateway, id, running.outcomes["succeed"])
        other = new_id()
        gateway.ask(link, "retry_task", running.adapter.engine, {**self.original(gateway, first), "new_id": other}, id=command_id)
        time.sleep(SETTLED_S)
        assert gateway.records(other) == []

    def test_what_the_owner_denies_is_not_carried_out(self, alone: Harness, own_gateway: Gateway) -> None:
        every = (*ACTION_LEVEL, *SCHEDULE_ACTIONS)
        self._refuses_all(alone, own_gateway, {"Z4J_ALLOW": "all", "Z4J_DENIED": ",".join(every)}, set(every), "owner.denied")

    def test_with_read_nothing_is_carried_out(self, alone: Harness, own_gateway: Gateway) -> None:
        acting = {action for action, level in ACTION_LEVEL.items() if level != "read"} | set(SCHEDULE_ACTIONS)
        self._refuses_all(alone, own_gateway, {"Z4J_ALLOW": "read", "Z4J_DENIED": ""}, acting, "owner.level")

    def _refuses_all(self, alone: Harness, gateway: Gateway, owner: dict[str, str], actions: set[str], check: str) -> None:
        alone.variables |= owner
        worker = alone.start_worker()
        wait_for(lambda: worker_link(gateway), "the worker connects")
        first = alone.enqueue("succeed", "one")
        ended(gateway, first, alone.outcomes["succeed"])
        waiting = alone.enqueue("succeed", "later", delay_s=2)
        made = []
        for action in sorted(actions):
            made.append(new_id())
            params: dict[str, Any] = {"name": alone.name_of("succeed"), "args": ["denied"], "kwargs": {}, "queue": alone.queue, "edit": {}}
            params |= self.original(gateway, first) if action in WITH_ORIGINAL else {"task_id": waiting}
            params |= {"new_id": made[-1], "by": 1, "rate": "1/h", "level": "next", "place": "waiting"}
            params |= {"key": "evil", "kind": "interval", "expression": "1", "timezone": "UTC", "task_name": alone.name_of("succeed")}
            status, facts = self.ask(gateway, alone, action, **params, overrides=[])
            assert (status, facts.get("check")) == ("refused", check), (action, status, facts)
        ended(gateway, waiting, alone.outcomes["succeed"])  # it was neither cancelled nor moved nor purged, and its worker continues
        assert worker.poll() is None
        assert all(gateway.records(id) == [] for id in made)


def sealed_before(engine: str, task_id: str, message: dict[str, Any]) -> str:
    """An original as an agent sealed it before names and queues were bound (format 2), base64."""
    nonce = os.urandom(12)
    sealed = AESGCM(KEY.secret).encrypt(nonce, b"\x00" + json.dumps(message).encode(), f"{engine}\0{task_id}".encode())
    return base64.b64encode(b"\x02" + nonce + sealed).decode()


def declared_actions(gateway: Gateway, engine: str) -> set[str]:
    """The capabilities of the engine in the worker's hello."""
    return {action for name, action, *_ in worker_link(gateway).hello["capabilities"] if name == engine}


def replace_secret(key: SealKey) -> SealKey:
    """Another secret that claims to be this key."""
    return replace(key, secret=bytes(reversed(key.secret)))


def _filled(value: Any, command: str) -> Any:
    if isinstance(value, str):
        return value.replace("{command}", command)
    if isinstance(value, dict):
        return {key: _filled(item, command) for key, item in value.items()}
    return [_filled(item, command) for item in value] if isinstance(value, list | tuple) else value


KEY: Final = SealKey.parse(SEAL_KEY)
OTHER: Final = SealKey("0badc0de", bytes(range(32)))
ALTERED: Final = ("original.altered", "original.format", "original.key", "original.proof")
