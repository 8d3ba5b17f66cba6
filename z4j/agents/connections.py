# SPDX-License-Identifier: AGPL-3.0-or-later
"""Lists who is connected now. Sockets register here, and the outbox finds them here; nothing is persisted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from z4j.rules.commands import RULES
from z4j.text import JsonObject
from z4j_agent import wire

LEVELS: Final = ("read", "operate", "all")


@dataclass(eq=False, slots=True)
class AgentLink:
    """One connected agent. `send` queues a text frame and never waits."""

    app_id: int
    boot: str
    spool: str
    role: str
    worker: str
    allow: str
    denied: frozenset[str]
    seal_key: str
    is_secure: bool
    """TLS or loopback: commands are refused over anything else."""
    send: Callable[[JsonObject], None]
    close: Callable[[int, str], None]
    capabilities: dict[tuple[str, str], str] = field(default_factory=dict)
    """(engine, action) → scope."""
    environment: str = ""
    queues: dict[str, frozenset[str]] = field(default_factory=dict)
    """engine → the queues its last discovery named: commands about a queue are sent to an agent that knows it first."""
    token_id: int = 0
    end: Callable[[int, str], None] | None = None
    """Closes the connection at once because its token is no longer valid; no command is sent over it afterwards."""
    schedulers: dict[str, bool] = field(default_factory=dict)
    """scheduler → whether this process fires it: those it has listed. Commands about schedules are sent to no other."""
    brokers: dict[str, dict[str, str]] = field(default_factory=dict)
    """engine → {identity: fingerprint or ""} of the brokers its process reported; an engine without an entry may have any."""
    authenticates_originals: bool = True
    """False for an older agent, which takes the name and the queue of a task from the command."""
    queue_proofs: dict[tuple[str, str], str] = field(default_factory=dict)
    """(engine, queue) → the proof that the application uses it, for agents that do not know the queue."""


@dataclass(frozen=True, slots=True)
class Need:
    """What an agent must be for a command: of this app and engine, and of this worker unless it is empty.

    `environment` is "" if unknown. It is never guessed: then the agents that can do it must all be of one environment.
    """

    app_id: int
    engine: str
    action: str
    environment: str = ""
    worker: str = ""
    queue: str = ""
    near: str = ""
    """The worker that has it as far as is known: it is chosen first if others can do it, too."""
    broker: str = ""
    """The broker it concerns, "" if unknown."""


class Hub:
    """Agents by app and boot. It is changed by the event loop only; readers are threads too, so they go through copies."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, str], AgentLink] = {}

    def connect(self, link: AgentLink) -> AgentLink | None:
        """Registers a link. Returns the one it replaces: the same process has come back before its old socket was noticed dead."""
        replaced = self._links.get((link.app_id, link.boot))
        self._links[link.app_id, link.boot] = link
        return replaced

    def disconnect(self, link: AgentLink) -> bool:
        """Removes a link. Returns False if a newer link of the same process has replaced it."""
        if self._links.get((link.app_id, link.boot), link) is not link:
            return False
        self._links.pop((link.app_id, link.boot), None)
        return True

    def remove(self, link: AgentLink) -> None:
        """Stops sending commands to an agent whose connection is being closed."""
        if self._links.get((link.app_id, link.boot)) is link:
            del self._links[link.app_id, link.boot]

    def end(self, concerns: Callable[[AgentLink], bool]) -> int:
        """Ends the links whose token is no longer valid. Returns how many."""
        ended = [link for link in self._links.values() if concerns(link)]
        for link in ended:
            self.remove(link)
            if link.end is not None:
                link.end(wire.BAD_TOKEN, wire.CLOSE[wire.BAD_TOKEN])
        return len(ended)

    def of_app(self, app_id: int) -> Iterator[AgentLink]:
        """Yields the links of an app."""
        return (link for (app, _), link in list(self._links.items()) if app == app_id)

    def all(self) -> list[AgentLink]:
        """Returns all links."""
        return list(self._links.values())

    def able(self, app_id: int, engine: str, action: str) -> list[AgentLink]:
        """Agents that declared the action for the engine, whatever their owner allows; workers first."""
        links = [link for link in self.of_app(app_id) if (engine, action) in link.capabilities]
        return sorted(links, key=lambda link: link.role != "worker")

    def queue_proof(self, app_id: int, engine: str, queue: str, environment: str = "") -> str:
        """Returns the proof of a queue that a connected agent of the app and environment ("": any) reported, or ""."""
        asked = (link for link in self.of_app(app_id) if environment in ("", link.environment))
        return next((proof for link in asked if (proof := link.queue_proofs.get((engine, queue)))), "")

    def same_brokers(self) -> dict[tuple[int, str, str], str]:
        """Returns (app, engine, identity) → one identity for all under which connected agents know a broker: they have the same
        fingerprint."""
        of_print: dict[tuple[int, str, str], set[str]] = {}
        for link in self.all():
            for engine, brokers in list(link.brokers.items()):
                for identity, fingerprint in brokers.items():
                    if fingerprint:
                        of_print.setdefault((link.app_id, engine, fingerprint), set()).add(identity)
        return {(app, engine, each): min(same) for (app, engine, _), same in of_print.items() if len(same) > 1 for each in same}

    def brokers_of(self, app_id: int, engine: str, environment: str = "") -> set[str]:
        """Returns the identities that connected agents report, each broker under every name it has. Engine and environment "" match any."""
        links = [link for link in self.of_app(app_id) if environment in ("", link.environment)]
        brokers = [item for link in links for item in list(link.brokers.items())]
        return {name for known_engine, known in brokers if engine in ("", known_engine) for name in known}

    def name_for(self, link: AgentLink, need: Need) -> str:
        """Returns the identity under which this agent knows the broker of `need`, or ""."""
        reported = link.brokers.get(need.engine, {})
        if need.broker in reported:
            return need.broker
        same = self.names_of(need) if need.broker else ()
        return next((identity for identity in reported if identity in same), "")

    def learn_brokers(self, link: AgentLink, engine: str, brokers: dict[str, str]) -> bool:
        """Records the brokers of an agent's discovery. Returns whether the agent may now use a broker that it was not known to use: one
        that its hello did not name, or one that another agent names differently, as their fingerprints show."""
        before, link.brokers[engine] = link.brokers.get(engine, {}), brokers
        fresh = {identity: proof for identity, proof in brokers.items() if before.get(identity, None) != proof}
        if fresh.keys() - before.keys():
            return True
        prints = {proof for proof in fresh.values() if proof}
        others = (other.brokers.get(engine, {}) for other in self.of_app(link.app_id) if other is not link)
        return any(proof in prints and identity not in brokers for known in others for identity, proof in known.items())

    def may_use_broker(self, link: AgentLink, need: Need) -> bool:
        """Whether this agent uses the broker of `need`, as far as is known: one that reported none may use any."""
        return not need.broker or not link.brokers.get(need.engine) or bool(self.name_for(link, need))

    def names_of(self, need: Need) -> set[str]:
        """Returns the identities that an agent of the app has proved to be the broker of `need`: they have the same fingerprint."""
        reported = [link.brokers.get(need.engine, {}) for link in self.of_app(need.app_id)]
        prints = {brokers[need.broker] for brokers in reported if brokers.get(need.broker)}
        return {need.broker} | {identity for brokers in reported for identity, proof in brokers.items() if proof in prints}

    def find(self, need: Need) -> tuple[list[AgentLink], str]:
        """Returns the agents that can and may execute a command, the best first; or none, and the reason as half a sentence."""
        able = self.able(need.app_id, need.engine, need.action)
        if need.environment:
            able = [link for link in able if link.environment == need.environment]
        where = f" in {need.environment}" if need.environment else ""
        if need.worker:
            able = [link for link in able if link.worker == need.worker]
            where = f" as {need.worker}{where}"
        if RULES[need.action].subject == "schedule":
            able = sorted((link for link in able if need.engine in link.schedulers), key=lambda link: not link.schedulers[need.engine])
        if not able:
            return [], f"no {need.engine} agent with this capability is connected{where}"
        if not need.environment and len(known := sorted({link.environment for link in able})) > 1:
            return [], f"the environment is unknown, and agents of several environments are connected: {', '.join(known)}"
        same = self.names_of(need) if need.broker else set()
        if need.broker:
            its = [link for link in able if not (reported := link.brokers.get(need.engine)) or same & reported.keys()]
            is_certain = bool(need.worker) and RULES[need.action].subject != "queue"
            if not its and not is_certain and need.action != "lookup_task":
                return [], f"no connected agent uses its broker, {need.broker}"
            able = its or able  # the worker that holds it is certain, and looking for it elsewhere changes nothing
        secure = [link for link in able if link.is_secure]
        if not secure:
            return [], "the agents are connected over a network without TLS, and commands require TLS"
        level = RULES[need.action].level
        willing = [link for link in secure if need.action not in link.denied and LEVELS.index(link.allow) >= LEVELS.index(level)]
        if not willing:
            if all(need.action in link.denied for link in secure):
                return [], f"the application's owner denies {need.action.replace('_', ' ')} (Z4J_DENIED)"
            return [], f"the application's owner does not allow this (Z4J_ALLOW={secure[0].allow}); it requires {level!r}"
        if need.queue:
            willing.sort(key=lambda link: need.queue not in link.queues.get(need.engine, ()))
        if same:  # the first broker an agent reports is that of its worker
            willing.sort(key=lambda link: next(iter(link.brokers.get(need.engine) or ("",))) not in same)
        if need.near:
            willing.sort(key=lambda link: link.worker != need.near)
        return willing, ""
