# SPDX-License-Identifier: AGPL-3.0-or-later
"""The composition root: makes the parts of a server, starts them in order, and stops them in the reverse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route, WebSocketRoute

from z4j import __version__, clock, logs, server_address
from z4j.agents.audit_witnesses import Witnesses
from z4j.agents.connections import Hub
from z4j.agents.gateway import Gateway
from z4j.agents.outbox import Outbox
from z4j.agents.reconcile import Reconcile
from z4j.background.duties import BackgroundDuties
from z4j.background_duty import WHENEVER_S, Duties
from z4j.data_folder import data_lock, prepare_data
from z4j.exceptions import Z4jError
from z4j.listener import ports
from z4j.listener.connection_limits import ClientAddress, Connections, descriptor_limit, protocols
from z4j.live import Live
from z4j.operations.commands import Dispatch
from z4j.operations.plans import Plans
from z4j.operations.scheduler import Scheduler
from z4j.operations.schedules import ScheduleService
from z4j.settings import Settings
from z4j.store.access import users
from z4j.store.access.audit import AuditLog
from z4j.store.operations import operator_input
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Store
from z4j.store.tasks.bulk_deletion import Retention
from z4j.web.auth.audit_trail import AuditTrail, Trail
from z4j.web.auth.authentication import Auth
from z4j.web.frame import exceptions as answers
from z4j.web.frame.middleware import Guard, RequestEnvelope, role_finder
from z4j.web.routes import ROUTES
from z4j.web.services import Services
from z4j_agent import wire

PARENT_CHECK_S = 1.0
GRACE_S = 3
BACKLOG = 256
"""Connections the kernel keeps until they are accepted; asyncio tries as many at once when descriptors run out."""
KEEP_ALIVE_S = 5
SWITCH_S = 0.001
"""How long the writer's thread keeps the interpreter while the event loop wants it: an ack crosses from one to the other four times."""


class Server:
    """All parts of one server. `asgi` is what uvicorn serves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.database)
        self.hub = Hub()
        self.live = Live()
        self.audit = AuditLog(settings.data)
        self.auth = Auth(self.store, self.audit, settings.data)
        self.duties = Duties()
        self.outbox = Outbox(self.store, self.hub, self.duties)
        self.dispatch = Dispatch(self.outbox, self.live, self.audit)
        self.plans = Plans(self.outbox, self.live, self.audit, self.duties)
        witnesses = Witnesses(self.store, self.live, self.audit)
        self.trail = Trail(self.store, self.audit)
        reconcile = Reconcile(self.outbox, self.live.changed, self.duties)
        self.scheduler = Scheduler(self.outbox, self.live.changed, self.duties)
        self.schedules = ScheduleService(self.dispatch, self.scheduler)
        self.gateway = Gateway(
            self.store, self.live, self.outbox, witnesses, per_token=settings.connections_per_token, duties=self.duties
        )  # fmt: skip
        keep = Retention(settings.days_kept, int(settings.gigabytes_kept * 1_000_000_000), settings.originals_days_kept)
        self.background = BackgroundDuties(self.store, self.live.changed, keep, self.audit, reconcile, self.duties)
        self.asgi = self._make_asgi()

    def _make_asgi(self) -> Starlette:
        asgi = Starlette(
            routes=[
                *(Route(row.path, row.endpoint, methods=[row.method]) for row in ROUTES),
                WebSocketRoute("/agent", self.gateway.serve),
            ],
            middleware=[
                Middleware(ClientAddress, trusted=self.settings.trusted_networks),
                Middleware(RequestEnvelope),
                Middleware(AuditTrail, trail=self.trail, witnesses=self.gateway.witnesses),
                Middleware(Guard, find=role_finder((row.method, row.path, row.role) for row in ROUTES), answer_error=answers.on_expected),
            ],
            exception_handlers={Z4jError: answers.on_expected, HTTPException: answers.on_http, Exception: answers.on_unexpected},
            lifespan=self._lifespan,
        )
        asgi.state.services = Services(
            self.store, self.hub, self.live, self.dispatch, self.plans, self.schedules, self.settings, self.audit, self.auth,
            self.duties, self.background.retention,
        )  # fmt: skip
        return asgi

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self.store.start()
        if await self.store.note("encryption of values that an older release stored in clear", operator_input.close_stored):
            await self.store.checkpoint()
        # Before the first agent connects. The server also starts with a damaged audit log.
        head = self.duties.add("audit checkpoint", 1)
        await head.attempt(lambda: self.audit.start(self.store, clock.now()))
        await self.plans.start()
        self.scheduler.start()
        duties = asyncio.gather(self.background.run(), self.outbox.run())
        watch = asyncio.create_task(self.gateway.guard.watch())
        try:
            yield
        finally:
            duties.cancel()
            watch.cancel()
            await asyncio.gather(duties, watch, return_exceptions=True)
            await self.scheduler.stop()
            await self.plans.stop()
            await self.duties.add("audit trail", WHENEVER_S).attempt(self.trail.close)
            await head.attempt(lambda: self.audit.close(self.store, clock.now()))
            await self.store.close()

    async def greet(self) -> None:
        """Runs after the port is bound. The first start prints the setup link for creating an administrator."""
        address = f"http://{self.settings.host}:{self.settings.port}"
        logs.started(address, self.settings.data, __version__)
        with contextlib.suppress(OSError):  # the command line guesses then
            server_address.write_address(
                self.settings.data, self.settings.host, self.settings.port, behind_proxy=self.settings.behind_proxy
            )
        if not await users.has_admin(self.store):
            secret = await self.auth.make_link("setup")
            print(f"\nCreate the first administrator within 15 minutes:\n\n    {address}/setup?code={secret}\n", flush=True)

    def end_streams(self) -> None:
        """Ends the streams of pages and agents before uvicorn waits for open connections."""
        logs.stopping()
        self.live.end()
        self.gateway.close_all()


class _Uvicorn(uvicorn.Server):
    """uvicorn waits for open streams at SIGTERM, so the streams of z4j are ended first."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._server = server

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            await self._server.greet()

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._server.end_streams()
        await super().shutdown(sockets)  # type: ignore[arg-type]

    async def on_tick(self, counter: int) -> bool:
        """A frozen executable is two processes; this one must not outlive its launcher and hold the data folder."""
        if _launcher and counter % int(PARENT_CHECK_S * 10) == 0 and os.getppid() != _launcher:
            os.kill(os.getpid(), signal.SIGTERM)
        return await super().on_tick(counter)


_launcher = os.getppid() if getattr(sys, "frozen", False) else 0


def serve(settings: Settings) -> int:
    """Runs until SIGTERM or SIGINT; returns the exit code. Raises StoreError before anything is served."""
    prepare_data(settings.data)
    with data_lock(settings.data), contextlib.closing(ports.bind(settings.host, settings.port)) as listener:
        migrate.migrate(settings.database)
        settings = dataclasses.replace(settings, port=listener.getsockname()[1])  # --port 0: any that is free
        server = Server(settings)
        room = Connections(descriptor_limit(settings.connections), settings.connections_per_address, settings.trusted_networks)
        http, websocket = protocols(room)
        config = uvicorn.Config(
            server.asgi,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            ws=websocket,
            ws_max_size=wire.MAX_FRAME,
            ws_per_message_deflate=False,
            ws_ping_interval=20,
            ws_ping_timeout=20,
            http=http,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            loop="asyncio",
            proxy_headers=False,  # see ClientAddress
            timeout_graceful_shutdown=GRACE_S,
            server_header=False,
        )
        sys.setswitchinterval(SWITCH_S)
        gc.collect()
        gc.freeze()  # objects of the start stay: a full collection over them takes 50 ms, during which no request is answered
        runner = _Uvicorn(config, server)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                runner.run(sockets=[listener])
        finally:
            server_address.remove_address(settings.data)
        return 0 if runner.started else 1
