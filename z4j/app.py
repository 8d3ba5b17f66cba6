# SPDX-License-Identifier: AGPL-3.0-or-later
"""The composition root: makes the parts of a server, starts them in order, and stops them in the reverse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute

from z4j import __version__, clock, logs
from z4j.agents.audit_witnesses import Witnesses
from z4j.agents.connections import Hub
from z4j.agents.gateway import Gateway
from z4j.agents.outbox import Outbox
from z4j.agents.reconcile import Reconcile
from z4j.appliance import server_address, systemd
from z4j.appliance.data_folder import data_lock, prepare_data
from z4j.appliance.demo import Demo
from z4j.background.duties import BackgroundDuties
from z4j.background.nightly_backups import NightlyBackups
from z4j.duty_loop import WHENEVER_S, Duties, repeat
from z4j.exceptions import Z4jError
from z4j.listener import ports
from z4j.listener.connection_limits import ClientAddress, Connections, descriptor_limit
from z4j.listener.http_server import HttpServer
from z4j.listener.tls import CHECK_S, ServerTls
from z4j.live import Live
from z4j.operations.alerts.actions import AlertActions
from z4j.operations.alerts.delivery import EVERY_S as DELIVERY_EVERY_S
from z4j.operations.alerts.delivery import Delivery
from z4j.operations.alerts.service import Alerts
from z4j.operations.alerts.weekly_messages import make_weekly
from z4j.operations.commands import Dispatch
from z4j.operations.errors import ErrorService
from z4j.operations.findings.news import NewsService
from z4j.operations.findings.server import ServerFindings
from z4j.operations.findings.service import EVERY_S, Findings
from z4j.operations.forwarding.actions import ForwardingActions
from z4j.operations.forwarding.service import EVERY_S as FORWARDING_EVERY_S
from z4j.operations.forwarding.service import Forwarder
from z4j.operations.incidents import Incidents
from z4j.operations.metrics.collector import ServerMetrics
from z4j.operations.metrics.exposition import Metrics
from z4j.operations.metrics.task_metrics import TaskMetrics
from z4j.operations.plans import Plans
from z4j.operations.scheduler import Scheduler
from z4j.operations.schedules import ScheduleService
from z4j.rules.clock_watch import Step
from z4j.settings import Settings
from z4j.store.access import users
from z4j.store.access.audit import AuditLog
from z4j.store.backups import restore
from z4j.store.operations import operator_input
from z4j.store.sqlite import migrate
from z4j.store.sqlite.db import Store
from z4j.store.sqlite.demo_mark import refuse_demo
from z4j.store.tasks.bulk_deletion import Retention
from z4j.web import garbage_collection
from z4j.web.auth.audit_trail import AuditTrail, Trail
from z4j.web.auth.authentication import Auth
from z4j.web.frame import exceptions as answers
from z4j.web.frame.middleware import Guard, RequestEnvelope
from z4j.web.pages.tasks.sidebar_views import SidebarViews
from z4j.web.routes import ApiAtFirstUse, compile_routes
from z4j.web.services import Services

OLD_ALERTS_EVERY_S = 300.0
SWITCH_S = 0.001
"""How long the writer's thread keeps the interpreter while the event loop wants it: an ack crosses from one to the other four times."""


def tune_interpreter() -> None:
    """Sets how this process switches threads and collects garbage. Call it when all that a server has at its start was made."""
    sys.setswitchinterval(SWITCH_S)
    garbage_collection.tune()


class Server:
    """All parts of one server. `asgi` is what uvicorn serves."""

    def __init__(self, settings: Settings, tls: ServerTls | None = None, demo: Demo | None = None) -> None:
        self.settings = settings
        self.tls = tls
        self.demo = demo
        self.background_tasks: set[asyncio.Task[None]] = set()
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
        self.errors = ErrorService(self.plans, self.live, self.audit)
        self.gateway = Gateway(
            self.store, self.live, self.outbox, witnesses, per_token=settings.connections_per_token, duties=self.duties
        )  # fmt: skip
        keep = Retention(
            settings.days_kept, int(settings.gigabytes_kept * 1_000_000_000), settings.originals_days_kept, settings.errors_days_kept
        )  # fmt: skip
        backups = NightlyBackups(self.store, self.live.changed, self.audit, settings) if settings.has_backups else None
        self.background = BackgroundDuties(self.store, self.live.changed, keep, self.audit, reconcile, self.duties, backups)
        retention = self.background.retention
        itself = ServerFindings(settings, self.duties, self.audit, tls, lambda: retention.report.why_not_held)
        self.findings = Findings(self.store, self.hub, self.live.changed, itself)
        self.alerts = Alerts(self.store, self.live)
        self.alert_actions = AlertActions(self.store, self.live, self.audit, settings.data)
        self.incidents = Incidents(self.store, self.live, self.audit, settings.data)
        self.delivery = Delivery(self.store, self.live, lambda: self.address, self.alert_actions.link_to_acknowledge)
        self.forwarder = Forwarder(self.store, self.live, lambda: self.address, settings.forwarded_files)
        self.forwarding = ForwardingActions(self.store, self.live, self.audit, self.forwarder)
        self.news = NewsService(self.store)
        self.metrics = Metrics(
            TaskMetrics(self.store, settings.metrics_series),
            ServerMetrics(self.store, self.hub, settings, self.duties, self.audit, self.findings, self.gateway.totals, tls),
        )
        self.background.clock_watch.on_step.append(self._on_clock_step)
        self.asgi = self._make_asgi()

    def _make_asgi(self) -> Starlette:
        routes, role_of = compile_routes()
        asgi = Starlette(
            routes=[*routes, WebSocketRoute("/agent", self.gateway.serve)],
            middleware=[
                Middleware(ClientAddress, trusted=self.settings.trusted_networks),
                Middleware(RequestEnvelope, is_https_only=self._is_https_only),
                Middleware(ApiAtFirstUse),
                Middleware(AuditTrail, trail=self.trail, witnesses=self.gateway.witnesses),
                Middleware(Guard, find=role_of, answer_error=answers.on_expected),
            ],
            exception_handlers={Z4jError: answers.on_expected, HTTPException: answers.on_http, Exception: answers.on_unexpected},
            lifespan=self._lifespan,
        )
        asgi.state.services = Services(
            self.store, self.hub, self.live, self.dispatch, self.plans, self.schedules, self.errors, self.settings, self.audit, self.auth,
            self.duties, self.background.retention, self.background.clock_watch, self.background.word_index, self.findings,
            self.alert_actions, self.incidents, self.news, SidebarViews(self.store, self.duties), self.metrics,
            self.forwarding, role_of, self.tls, self.demo,
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
        running = [
            self.background.run(), self.outbox.run(), repeat(self.duties.add("findings", EVERY_S), self._look),
            repeat(self.duties.add("messages of alerts", DELIVERY_EVERY_S), self.delivery.round),
            repeat(self.duties.add("old alerts", OLD_ALERTS_EVERY_S), self._keep_alerts),
            repeat(self.duties.add("forwarding", FORWARDING_EVERY_S), self.forwarder.round),
        ]  # fmt: skip
        if self.settings.heartbeat:
            from z4j.background import outgoing_heartbeat as heartbeat  # with the HTTP client of the standard library

            beat = heartbeat.OutgoingHeartbeat(self.store, self.duties, self.settings.heartbeat)
            running.append(repeat(self.duties.add(heartbeat.NAME, heartbeat.EVERY_S), beat.round))
        if watchdog := systemd.watchdog_s():
            running.append(repeat(self.duties.add("watchdog", watchdog / 3), self._report_alive))
        if self.tls is not None:
            running.append(repeat(self.duties.add("certificate", CHECK_S), self.tls.check))
        duties = asyncio.gather(*running)
        watch = asyncio.create_task(self.gateway.guard.watch())
        try:
            yield
        finally:
            duties.cancel()
            watch.cancel()
            await asyncio.gather(duties, watch, return_exceptions=True)
            await self.delivery.close()
            await self.forwarder.close()
            await self.scheduler.stop()
            await self.plans.stop()
            await self.duties.add("audit trail", WHENEVER_S).attempt(self.trail.close)
            await head.attempt(lambda: self.audit.close(self.store, clock.now()))
            await self.store.close()

    async def _look(self, at: int) -> None:
        """Looks at everything, then decides what fires; alerts that cannot be stored do not stop the look."""
        await self.findings.look(at)
        await self.duties.add("alerts", EVERY_S).attempt(lambda: self.alerts.round(self.findings.current, at))

    async def _keep_alerts(self, at: int) -> None:
        await make_weekly(self.store, at)
        await self.alerts.delete_old(at)
        await self.forwarder.delete_old(at)

    @property
    def address(self) -> str:
        """The public URL of this server, such as https://z4j.example."""
        settings, tls = self.settings, self.tls
        if settings.public_url:
            return settings.public_url.rstrip("/")
        recorded = None if tls is None else server_address.tls_of(settings, tls.certificate_file, tls.certificate.names, tls.pins)
        return server_address.Serving(settings.host, settings.port, os.getpid(), settings.behind_proxy, tls=recorded).public_url

    async def report_started(self) -> None:
        """Runs after the port is bound. The first start prints the setup link for creating an administrator."""
        settings, tls = self.settings, self.tls
        recorded = None if tls is None else server_address.tls_of(settings, tls.certificate_file, tls.certificate.names, tls.pins)
        address = self.address
        logs.started(address, settings.data, __version__)
        with contextlib.suppress(OSError):  # the command line guesses then
            server_address.write_address(settings.data, settings.host, settings.port, behind_proxy=settings.behind_proxy, tls=recorded)
        if tls is not None and tls.certificate.is_self_signed:
            fingerprint = tls.certificate.fingerprint
            print(f"\nFingerprint of the certificate, for comparison in the browser (SHA-256):\n\n    {fingerprint}\n", flush=True)
        systemd.notify(f"READY=1\nSTATUS=serving {address}")
        if self.demo is not None:
            await self.demo.on_start(self)
        if not await users.has_admin(self.store):
            secret = await self.auth.make_link("setup")
            print(f"\nCreate the first administrator within 15 minutes:\n\n    {address}/setup?code={secret}\n", flush=True)

    async def _report_alive(self, at: int) -> None:
        """Notifies the service manager that this process is responsive: it reads its database, in the loop that serves requests."""
        await users.has_admin(self.store)
        systemd.notify("WATCHDOG=1")

    async def _on_clock_step(self, step: Step) -> None:
        if step.by_us < 0:
            await self.scheduler.undo_ahead(step.at)

    def _is_https_only(self) -> bool:
        """Whether browsers are instructed to use only https:// here: only with a CA's certificate, as they could not skip a warning."""
        return self.tls is not None and not self.tls.certificate.is_self_signed

    def end_streams(self) -> None:
        """Ends the streams of pages and agents before uvicorn waits for open connections."""
        logs.stopping()
        systemd.notify("STOPPING=1")
        self.live.end()
        self.gateway.close_all()


def serve(settings: Settings, demo: Demo | None = None) -> int:
    """Runs until SIGTERM or SIGINT, or until the demo is reset; returns the exit code. Raises StoreError before anything is served, and
    WrongState on the folder of a demo that this is not."""
    prepare_data(settings.data)
    if demo is None:
        refuse_demo(settings.database)
    given = systemd.take_listener() if demo is None else demo.listener.dup()  # a demo keeps its own open over a reset
    if given is not None and demo is None:
        settings = dataclasses.replace(settings, host=systemd.address_of(given, settings))
    with (
        data_lock(settings.data),
        contextlib.closing(given or ports.bind(settings.host, settings.port)) as listener,
    ):
        tls = ServerTls(settings, clock.now()) if settings.has_tls else None
        restore.remove_leftovers(settings.database)  # no restore runs while this server has the lock
        migrate.migrate(settings.database)
        settings = dataclasses.replace(settings, port=listener.getsockname()[1])  # --port 0: any that is free
        server = Server(settings, tls, demo)
        connections = Connections(descriptor_limit(settings.connections), settings.connections_per_address, settings.trusted_networks)
        tune_interpreter()
        runner = HttpServer(server.asgi, connections, tls, on_start=server.report_started, on_stop=server.end_streams)
        if demo is not None:
            demo.stop = partial(setattr, runner, "should_exit", True)
        signal.signal(signal.SIGTERM, _end)
        try:
            with contextlib.suppress(KeyboardInterrupt):
                runner.run(sockets=[listener])
        finally:
            server_address.remove_address(settings.data)
        return 0 if runner.started else 1


def _end(number: int, frame: object) -> None:
    """Ends the process with exit code 0, when uvicorn has shut down and raises the signal again. Where SIGTERM ends a process, the launcher
    of the executable cannot end by the same signal if it is the first process of a container: each stop reported exit code 1 there."""
    raise SystemExit(0)
