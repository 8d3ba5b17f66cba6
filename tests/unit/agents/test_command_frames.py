# SPDX-License-Identifier: AGPL-3.0-or-later
"""A command as an agent gets it: what depends on the agent, what goes with a kept message, and the proofs."""

from __future__ import annotations

from typing import Any

from tests.unit.agents.test_connections import A, B, link
from z4j.agents.command_frames import OutgoingCommand, frame_of, original_params, queue_proof
from z4j.agents.connections import AgentLink, Hub, Need
from z4j.rules.command_ids import CommandId
from z4j.store.tasks.originals import Original

PARAMS: dict[str, Any] = {"task_id": "t", "name": "shop.ship", "queue": "work", "new_id": "n"}
KEPT = Original(b"\x03abc", "k1", None, "")
MOVED = Original(b"\x03abc", "k1", "bulk", "")


def test_an_agent_that_authenticates_is_not_told_what_the_message_says_itself() -> None:
    new = link("new", authenticates_originals=True)
    assert original_params(KEPT, PARAMS, new) == {"task_id": "t", "new_id": "n", "original": "A2FiYw==", "key_id": "k1"}
    assert original_params(MOVED, PARAMS, new)["move_to"] == "bulk"


def test_an_older_agent_is_told_name_and_queue() -> None:
    old = link("old", authenticates_originals=False)
    for kept in (KEPT, MOVED):
        assert original_params(kept, PARAMS, old) == {**PARAMS, "original": "A2FiYw==", "key_id": "k1"}


def test_the_proof_of_a_queue_comes_from_any_connected_agent_of_the_app() -> None:
    hub = Hub()
    hub.connect(link("knows it", queue_proofs={("rq", "bulk"): "k1.aa"}))
    hub.connect(link("of another app", app_id=2, queue_proofs={("rq", "mail"): "k2.bb"}))
    assert queue_proof(hub, 1, "rq", {"queue": "bulk"}) == {"queue_proof": "k1.aa"}
    assert queue_proof(hub, 1, "rq", {"queue": "work", "move_to": "bulk"}) == {"queue_proof": "k1.aa"}
    for params in ({"queue": "mail"}, {"queue": ""}, {}):
        assert queue_proof(hub, 1, "rq", params) == {}
    assert queue_proof(hub, 1, "huey", {"queue": "bulk"}) == {}


# -- the frame -----------------------------------------------------------------------------------------------------------
ID = CommandId("command", "c" * 24)


def command(action: str = "retry_task", id: CommandId = ID, **facts: Any) -> OutgoingCommand:
    return OutgoingCommand(id, Need(1, "rq", action, queue="work"), 99, PARAMS, **facts)


def params_of(
    hub: Hub, command: OutgoingCommand, link: AgentLink, broker: str, original: Original | None, proofs: dict[str, dict[str, str]]
) -> dict[str, Any]:
    """The parameters in the frame that an agent gets."""
    params: Any = frame_of(hub, command, link, broker, original, proofs)["params"]
    return dict(params)


def test_an_agent_gets_the_broker_by_its_own_name_unless_the_message_says_it_itself() -> None:
    hub, new = Hub(), link("new", authenticates_originals=True)
    plain = frame_of(hub, command(), new, A, None, {})
    assert plain == {
        "type": "command", "id": ID.text, "action": "retry_task", "engine": "rq", "expires_at": 99, "params": PARAMS | {"broker": A},
    }  # fmt: skip
    assert "broker" not in params_of(hub, command(), new, "", None, {}), "an agent that reported none decides itself"
    assert "broker" not in params_of(hub, command(), new, B, KEPT, {})
    assert PARAMS.keys() == {"task_id", "name", "queue", "new_id"}, "the command of the owner is unchanged"


def test_proofs_go_along_for_the_task_that_is_run_and_for_no_other() -> None:
    proofs = {"shop.ship": {"k1": "aa"}, "shop.bill": {"k1": "bb"}}
    for name, found in (("shop.ship", {"k1": "aa"}), ("shop.unknown", {})):
        assert params_of(Hub(), command(task_name=name), link("w"), "", None, proofs)["proofs"] == found
    assert "proofs" not in params_of(Hub(), command(), link("w"), "", None, proofs)


def test_the_proof_of_a_queue_is_of_the_agents_environment_and_goes_with_no_copy() -> None:
    hub = Hub()
    hub.connect(link("here", environment="production", queue_proofs={("rq", "work"): "k1.aa"}))
    here, there = link("asked", environment="production"), link("elsewhere", environment="staging")
    assert params_of(hub, command(), here, "", None, {})["queue_proof"] == "k1.aa"
    assert "queue_proof" not in params_of(hub, command(), there, "", None, {})
    copy = command(id=CommandId("command", ID.owner, 0, "b00t"))
    assert "queue_proof" not in params_of(hub, copy, here, "", None, {})
