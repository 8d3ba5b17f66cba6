# SPDX-License-Identifier: AGPL-3.0-or-later
"""The one shell around `session.py`: a Starlette WebSocket at /agent.

Reading, ingesting and writing overlap: batches are ingested in order by one task while the reader continues (the window bounds what
waits), and everything that leaves goes through one queue, so that a command never waits behind an ack.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence

import msgspec
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from z4j import __version__, clock, logs
from z4j.agents import ingest
from z4j.agents.admission import Guard, Refused, address_of, is_private
from z4j.agents.audit_witnesses import Answer, Witnesses, to_wire
from z4j.agents.backpressure import Backpressure
from z4j.agents.connections import AgentLink
from z4j.agents.ingest_totals import IngestTotals
from z4j.agents.outbox import Outbox
from z4j.agents.session import Batch, ProtocolError, Session
from z4j.agents.tokens import AgentToken
from z4j.duty_loop import WHENEVER_S, Duties
from z4j.exceptions import StoreError
from z4j.live import Live
from z4j.store.fleet import agents, gaps
from z4j.store.sqlite.db import Store
from z4j.text import JsonObject
from z4j.wire.frames import Discovery, Goodbye, Heartbeat, Hello, KeptHead, Schedules
from z4j_agent import wire

HELLO_WITHIN_S = 10.0
HEARTBEAT_S = 10.0
END_WITHIN_S = 0.5
AT_ONCE = wire.WINDOW // 2
"""Batches of one connection that are passed to the writer together."""
UNGUARDED = frozenset({"welcome", "ack", "error"})
"""Frames that hand nothing over."""
_encode = msgspec.json.Encoder().encode


class Gateway:
    """The endpoint is `serve`, one call per connection."""

    def __init__(
        self,
        store: Store,
        live: Live,
        outbox: Outbox,
        witnesses: Witnesses,
        *,
        per_token: int = 500,
        duties: Duties | None = None,
    ) -> None:
        self.duty = (duties or Duties()).add("ingest", WHENEVER_S)
        self.store = store
        self.live = live
        self.outbox = outbox
        self.hub = outbox.hub
        self.witnesses = witnesses
        self.guard = Guard(store, per_token)
        self.backpressure = Backpressure()
        self.totals = IngestTotals()

    async def serve(self, websocket: WebSocket) -> None:
        """Serves one connection of an agent until it ends."""
        address = address_of(websocket)
        try:
            token = await self.guard.check(websocket)
        except Refused as refused:
            await self._refuse(websocket, address, refused)
            return
        await websocket.accept()
        peer = _Peer(self, websocket, token, address)
        self.guard.opened(peer)
        try:
            await peer.run()
        finally:
            self.guard.closed(peer)
            await self.backpressure.give_back(token.app_id, peer.waiting_bytes)

    async def _refuse(self, websocket: WebSocket, address: str, refused: Refused) -> None:
        logs.agent_refused(address, refused.code, refused.message)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            if refused.status:
                await websocket.send_denial_response(PlainTextResponse(f"{refused.message}\n", refused.status))
                return
            await websocket.accept()
            await websocket.send_text(_encode(Session.send_error(refused.code, refused.message, refused.hint)).decode())
            await websocket.close(refused.code, refused.message)

    def close_all(self) -> None:
        """Closes all connections when the server stops, so that agents reconnect at once instead of waiting for a timeout."""
        for link in self.hub.all():
            link.close(wire.STOPPING, wire.CLOSE[wire.STOPPING])


class _Peer:
    """One accepted connection with a valid token."""

    def __init__(self, gateway: Gateway, websocket: WebSocket, token: AgentToken, address: str) -> None:
        self.gateway = gateway
        self.websocket = websocket
        self.token = token
        self.address = address
        self.session = Session()
        self.out: asyncio.Queue[JsonObject | tuple[int, str]] = asyncio.Queue()
        self.batches: asyncio.Queue[Batch] = asyncio.Queue()
        self.link: AgentLink | None = None
        self.reason = "connection lost"
        self.is_orderly = False
        self.host = ""
        self.is_ended = asyncio.Event()
        self.waiting_bytes = 0

    async def run(self) -> None:
        """Until one of its parts ends; then the others are ended too."""
        parts = [asyncio.create_task(part) for part in (self._read(), self._write(), self._ingest(), self._end_late())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
            await self._left(results)

    def end(self, code: int, reason: str) -> None:
        """Ends this connection: no command is sent on it any longer, and it is closed whether the other end reads or not."""
        if self.is_ended.is_set():
            return
        self.is_ended.set()
        self.reason = reason
        logs.token_ended(self.token.app, self.link.boot if self.link else "")
        if self.link is not None:
            self.gateway.hub.remove(self.link)
        self.out.put_nowait(Session.send_error(code, reason))
        self.out.put_nowait((code, reason[:100]))

    async def _end_late(self) -> None:
        """Ends the connection when its writer could not."""
        await self.is_ended.wait()
        await asyncio.sleep(END_WITHIN_S)

    # -- the three parts -----------------------------------------------------------------------------------------------
    async def _read(self) -> None:
        try:
            async with asyncio.timeout(HELLO_WITHIN_S):
                await self._receive()
        except TimeoutError:
            await self._close(wire.NO_HELLO, wire.CLOSE[wire.NO_HELLO])
            return
        except ProtocolError as error:
            await self._close(error.code, error.message)
            return
        except StoreError as error:
            await self._close(wire.STOPPING, error.message)
            return
        while True:
            try:
                if not await self._receive():
                    return
            except ProtocolError as error:
                await self._close(error.code, error.message)
                return
            except StoreError as error:  # it keeps its events and reconnects
                await self._close(wire.STOPPING, error.message)
                return

    async def _receive(self) -> bool:
        """One frame. Returns False if the connection is lost or the agent has sent `goodbye`."""
        message = await self.websocket.receive()
        if message["type"] == "websocket.disconnect":
            return False
        if (data := message.get("bytes")) is not None:
            batch = self.session.receive_bytes(data)
            await self.gateway.backpressure.take(self.token.app_id, len(batch.records))
            self.waiting_bytes += len(batch.records)
            self.batches.put_nowait(batch)
            return True
        match self.session.receive_text(message["text"]):
            case Hello() as hello:
                await self._accept_hello(hello)
            case Heartbeat() as beat:
                at = clock.now()
                boot = self._linked().boot
                await self.gateway.store.note(
                    "heartbeat", lambda db: agents.record_heartbeat(db, self.token.app_id, boot, beat, at), lane=self.token.app_id
                )
                await self._check_kept(beat.audit_head)
                self.gateway.live.changed(("workers", "queues"))
            case Discovery() as discovery:
                at = clock.now()
                boot = self._linked().boot
                of_worker = discovery.worker.queues if discovery.worker is not None else []
                has_learned = self.gateway.hub.learn_brokers(self._linked(), discovery.engine, discovery.brokers)
                self._linked().queue_proofs |= {(discovery.engine, queue.name): queue.proof for queue in discovery.queues if queue.proof}
                self._linked().queues[discovery.engine] = frozenset(of_worker or (queue.name for queue in discovery.queues))
                await self.gateway.store.note(
                    "discovery", lambda db: agents.record_discovery(db, self.token.app_id, boot, discovery, at), lane=self.token.app_id
                )
                if has_learned:
                    await self.gateway.outbox.brokers_learned(self._linked())
                self.gateway.live.changed(("workers", "queues"))
            case Schedules() as listing:
                await self.gateway.outbox.schedules_listed(self._linked(), listing)
            case Goodbye() as goodbye:
                self.reason, self.is_orderly = goodbye.reason or "goodbye", True
                await self.batches.join()
                return False
        return True

    async def _write(self) -> None:
        while True:
            frame = await self.out.get()
            if isinstance(frame, tuple):
                await self.websocket.close(*frame)
                return
            # A command leaves only while the token works: another process may have revoked it a moment ago.
            if frame["type"] not in UNGUARDED and not (self.is_ended.is_set() or await self.gateway.guard.is_valid(self.token)):
                self.end(wire.BAD_TOKEN, "this token was revoked or has expired, or its app is disabled")
            if self.is_ended.is_set() and frame["type"] not in UNGUARDED:
                continue
            await self.websocket.send_text(_encode(frame).decode())

    async def _ingest(self) -> None:
        """In order; the ack of a batch leaves after its commit and not before. Those that have arrived are passed on together, up to
        `AT_ONCE`: they share a commit, and the agent sends the next ones in the meantime."""
        while True:
            batches = [await self.batches.get()]
            while len(batches) < AT_ONCE and not self.batches.empty():
                batches.append(self.batches.get_nowait())
            storing = [asyncio.create_task(self._store(batch)) for batch in batches]
            try:
                for batch, stored in zip(batches, storing, strict=True):
                    try:
                        done = await stored
                    except Exception as error:  # not acked, so the agent keeps it and sends it again when it reconnects
                        self.gateway.duty.failed(error)
                        await self._close(
                            wire.STOPPING, error.message if isinstance(error, StoreError) else "the batch could not be stored"
                        )
                        return
                    self.gateway.duty.succeeded()
                    self.gateway.totals.add(self.token.app_id, len(batch.records), done.records, done.refused, done.newest_at, clock.now())
                    if done.refused:
                        logs.records_refused(self.token.app_id, done.refused)
                    self.out.put_nowait(self.session.send_ack(batch.seq))
                    self.gateway.live.changed(done.topics)
                    self.batches.task_done()
                    await self.gateway.outbox.answered(self.token.app_id, done.answers)
            finally:
                for stored in storing:
                    stored.cancel()
                await asyncio.gather(*storing, return_exceptions=True)

    async def _store(self, batch: Batch) -> ingest.Ingested:
        try:
            return await ingest.ingest_batch(
                self.gateway.store, self.token.app_id, batch.records, at=clock.now(), spool=self._linked().spool
            )
        finally:
            self.waiting_bytes -= len(batch.records)
            await self.gateway.backpressure.give_back(self.token.app_id, len(batch.records))

    # -- beginning and end ---------------------------------------------------------------------------------------------
    async def _accept_hello(self, hello: Hello) -> None:
        at, app_id = clock.now(), self.token.app_id
        await self.gateway.store.write(lambda db: agents.record_hello(db, app_id, hello, at, at - hello.at), lane=app_id)
        self.link = AgentLink(
            app_id=app_id,
            boot=hello.boot,
            spool=hello.spool,
            role=hello.role,
            worker=hello.worker or "",
            allow=hello.allow,
            denied=frozenset(hello.denied),
            seal_key=hello.seal_key or "",
            is_secure=is_private(self.websocket),
            send=self.out.put_nowait,
            close=lambda code, reason: self.out.put_nowait((code, reason)),
            token_id=self.token.token_id,
            end=self.end,
            capabilities={(item.engine, item.action): item.scope for item in hello.capabilities},
            environment=hello.environment,
            authenticates_originals=hello.authenticates_originals,
            brokers=dict(hello.brokers or {}),
        )
        replaced = self.gateway.hub.connect(self.link)
        if replaced is not None:
            replaced.close(wire.DUPLICATE, wire.CLOSE[wire.DUPLICATE])
        head, seq = await self._audit_head(hello)
        facts: JsonObject = {
            "server_version": __version__,
            "session": secrets.token_hex(8),
            "at": at,
            "heartbeat_s": HEARTBEAT_S,
            "seal_key": self.token.seal_key_id or None,
            "audit_head": head,
        }
        self.out.put_nowait(self.session.send_welcome(facts))
        self.gateway.witnesses.connect(self._show, after=seq)
        logs.agent_connected(self.token.app, hello.boot, hello.host, hello.pid, hello.worker or "")
        self.gateway.live.changed(("workers", "strip"))
        await self.gateway.outbox.agent_connected(self.link)

    async def _audit_head(self, hello: Hello) -> tuple[JsonObject | None, int]:
        """Returns the newest checkpoint, with whether the log extends the one this agent kept, and its row; (None, 0) without any."""
        self.host = hello.host
        answer = await self._check_kept(hello.audit_head)
        point = await self.gateway.witnesses.newest()
        if point is None:
            return {"seq": 0, "extends": answer.extends} if hello.audit_head else None, 0
        restored = {"restored": {"row": answer.restored[0], "at": answer.restored[1]}} if answer.restored else {}
        return {**to_wire(point), "extends": answer.extends, **restored}, point.seq

    async def _check_kept(self, kept: KeptHead | None) -> Answer:
        """Whether the log holds what the agent keeps of it."""
        if kept is None:
            return Answer(extends=None)
        return await self.gateway.witnesses.check(self.token.app, self.host, self._linked().spool, kept.seq, kept.digest)

    def _show(self, head: JsonObject) -> None:
        """A new checkpoint of the audit log, at once."""
        self.out.put_nowait(self.session.show_head(head))

    def _linked(self) -> AgentLink:
        assert self.link is not None  # the session lets nothing through before hello
        return self.link

    async def _close(self, code: int, message: str) -> None:
        """Says why, counts it, and lets the writer close."""
        self.reason = message
        logs.agent_refused(self.address, code, message)
        cause, at = wire.CLOSE.get(code, "closed"), clock.now()
        with contextlib.suppress(StoreError):
            await self.gateway.store.write(lambda db: gaps.record_refused(db, self.token.app_id, {f"session: {cause}": 1}, at))
        self.out.put_nowait(Session.send_error(code, message))
        self.out.put_nowait((code, message[:100]))
        await asyncio.sleep(1)  # the writer ends first; if the peer does not read, we end anyway

    async def _left(self, results: Sequence[BaseException | None]) -> None:
        self.session.closed()
        self.gateway.witnesses.disconnect(self._show)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect | RuntimeError | OSError):
                logs.unexpected("-", "/agent", result)
        if self.link is None or not self.gateway.hub.disconnect(self.link):
            return
        at, boot = clock.now(), self.link.boot
        logs.agent_left(boot, self.reason)
        with contextlib.suppress(StoreError):
            await self.gateway.store.write(
                lambda db: agents.record_left(db, self.token.app_id, boot, at, self.reason, is_orderly=self.is_orderly)
            )
        self.gateway.live.changed(("workers", "strip"))
