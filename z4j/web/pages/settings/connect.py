# SPDX-License-Identifier: AGPL-3.0-or-later
"""Connect an app: the lines to paste, and steps that become green as the agent connects, reports and answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from z4j import clock
from z4j.appliance import wheels
from z4j.exceptions import AgentGone, BadInput, NotAllowed, NotFound, Unsupported, WrongState
from z4j.rules.addresses import is_loopback
from z4j.rules.connection_steps import Progress, Step, steps
from z4j.rules.permissions import is_allowed, may_act
from z4j.store.fleet import apps, connection_progress, queues
from z4j.store.fleet.connection_progress import ConnectionString
from z4j.web import command_requests
from z4j.web.auth.authentication import check_name
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.settings import setup_snippets
from z4j.web.pages.settings.access import record_action
from z4j.web.pages.settings.connection_strings import Connect, connect_app, make_index_token
from z4j.web.pages.settings.setup_snippets import DEFAULT_ENVIRONMENT, ENGINES, FRAMEWORKS, Block, Target
from z4j.web.services import services

INDEX_HOURS = 24


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the form asks for."""

    app: str = ""
    engine: str = "celery"
    framework: str = "none"
    environment: str = DEFAULT_ENVIRONMENT


@dataclass(frozen=True, slots=True)
class ConnectPage:
    """The context of settings/connect.html: the form; or, with `made`, the lines; and with `string`, the steps."""

    shell: Shell
    may_change: bool
    chosen: Chosen
    app_names: tuple[str, ...] = ()
    engines: tuple[tuple[str, str], ...] = tuple((name, name) for name in ENGINES)
    frameworks: tuple[tuple[str, str], ...] = tuple((name, name) for name in FRAMEWORKS)
    made: Connect | None = None
    lines: tuple[Block, ...] = ()
    variants: tuple[Block, ...] = ()
    has_packages: bool = True
    is_local: bool = False
    """Whether the lines contain a loopback address, which reaches this server from its own machine only."""
    string: ConnectionString | None = None
    steps: tuple[Step, ...] = ()
    here: str = ""
    can_try: bool = False
    """Whether a command can be sent now and none was sent yet."""
    is_done: bool = False
    tab: str = "apps"


def _chosen(given: dict[str, str]) -> Chosen:
    """Raises BadInput."""
    engine, framework = given.get("engine") or "celery", given.get("framework") or "none"
    if engine not in ENGINES or framework not in FRAMEWORKS:
        raise BadInput("Unknown engine or framework. No changes were made.", "Choose from the lists.")
    environment = check_name(given.get("environment") or DEFAULT_ENVIRONMENT)
    if not setup_snippets.is_environment(environment):  # it becomes part of lines that are pasted into a shell
        raise BadInput("The environment may contain letters, digits, dots, underscores and hyphens. No changes were made.")
    return Chosen(given.get("app", "").strip(), engine, framework, environment)


async def new_page(request: Request) -> Response:
    """GET /connect: the form."""
    listed = await apps.list_apps(services(request).store)
    may_change = is_allowed(request.scope["identity"].role, "admin")
    query = request.query_params
    try:
        chosen = _chosen({key: query.get(key, "")[:100] for key in ("app", "engine", "framework", "environment")})
    except BadInput:
        chosen = Chosen()
    page = ConnectPage(await make_shell(request, "settings"), may_change, chosen, tuple(app.name for app in listed))
    return render(request, "settings/connect.html", page)


async def create(request: Request) -> Response:
    """POST /connect: creates the connection string. Answers with the page, not with a redirect, because the secret must not be stored
    anywhere on the way."""
    form, server, me = await read_form(request), services(request), request.scope["identity"]
    host, tls = request.headers.get("host", ""), server.tls
    is_tls = request.url.scheme == "https"
    pins = tls.pins if tls and not request.scope["origin"].is_proxied else ()  # agents see the certificate of the proxy, not this one
    try:
        chosen = _chosen(form)
        if not setup_snippets.is_host(host):
            raise BadInput("The address of this page cannot be used in a connection string. No changes were made.")
        made = await connect_app(server.store, chosen.app, setup_snippets.with_port(host, is_tls=is_tls), me.name, is_tls=is_tls, pins=pins)
        await record_action(request, "create_token", f"app:{made.app}", token=made.token_id)
        owner = me.name if me.user_id else ""
        index_id, token = await make_index_token(server.store, f"packages for {made.app}"[:60], INDEX_HOURS, me.name, owner)
    except BadInput as error:
        return see_other("/connect", Notice("bad", error.explanation))
    await record_action(request, "create_token", "packages", token=index_id, hours=INDEX_HOURS)
    target = Target(
        app=made.app, engine=chosen.engine, framework=chosen.framework, environment=chosen.environment, url=made.url,
        base=f"{'https' if is_tls else 'http'}://{host}", token=token, fingerprint=tls.certificate.fingerprint if pins and tls else "",
    )  # fmt: skip
    page = await _with_steps(request, made.token_id, chosen)
    filled = ConnectPage(
        shell=page.shell, may_change=True, chosen=page.chosen, made=made, lines=setup_snippets.three_lines(target),
        variants=setup_snippets.variants(target), has_packages=await _has_packages(server.settings.data),
        is_local=is_loopback(urlsplit(target.base).hostname or ""), string=page.string,
        steps=page.steps, here=page.here, can_try=page.can_try,
    )  # fmt: skip
    return render(request, "settings/connect.html", filled)


async def steps_page(request: Request) -> Response:
    """GET /connect/{id}: the steps of a connection string, without the secret."""
    query = request.query_params
    chosen = _chosen({key: query.get(key, "")[:100] for key in ("engine", "framework", "environment")})
    return render(request, "settings/connect.html", await _with_steps(request, request.path_params["id"], chosen))


async def try_it(request: Request) -> Response:
    """POST /connect/{id}/try: lists the waiting tasks of a queue of the app, which changes nothing there."""
    server, form = services(request), await read_form(request)
    chosen, string = _chosen(form), await _string(request, request.path_params["id"])
    here = _here(string, chosen)
    rows = await queues.list_queues(server.store, app=string.app, environment=chosen.environment, engine=chosen.engine)
    try:
        if not rows:
            raise WrongState("No agent has reported a queue yet. No command was sent.", "Start a worker.")
        asked = await command_requests.queue_request(
            server.store, "peek_queue", string.app, chosen.environment, chosen.engine, rows[0].name, {"broker": rows[0].broker, "limit": 1},
            "connection test", server.hub.same_brokers(),
        )  # fmt: skip
        await server.dispatch.submit(request.scope["identity"], asked)
    except (WrongState, Unsupported, AgentGone, NotAllowed, BadInput, NotFound) as error:
        return see_other(here, Notice("bad", error.explanation))
    return see_other(here)


async def _string(request: Request, token_id: int) -> ConnectionString:
    string = await connection_progress.find_string(services(request).store, token_id)
    if string is None:
        raise NotFound("This connection string does not exist, or it was revoked.", "The Settings page lists all tokens.")
    return string


async def _with_steps(request: Request, token_id: int, chosen: Chosen) -> ConnectPage:
    server, now, role = services(request), clock.now(), request.scope["identity"].role
    string = await _string(request, token_id)
    links = [link for link in server.hub.of_app(string.app_id) if link.token_id == token_id]
    reported = await connection_progress.read_reported(server.store, string.app_id, chosen.engine, string.created_at)
    engines = {engine for link in links for engine, _ in link.capabilities} & set(ENGINES)
    progress = Progress(
        since=string.created_at, used_at=string.used_at, connected=len(links), engines=frozenset(engines),
        registered=reported.registered, first_task_at=reported.first_task_at, answer=reported.answer, answer_error=reported.answer_error,
        keys=frozenset(link.seal_key for link in links), app_key=string.seal_key_id, allow=frozenset(link.allow for link in links),
        is_retry_denied=bool(links) and all("retry_task" in link.denied for link in links),
    )  # fmt: skip
    found = steps(progress, chosen.engine, now)
    can_try = bool(links and reported.registered) and not reported.answer and may_act(role, "peek_queue")
    return ConnectPage(
        shell=await make_shell(request, "settings"), may_change=is_allowed(role, "admin"), chosen=chosen, string=string, steps=found,
        here=_here(string, chosen), can_try=can_try, is_done=all(step.state == "done" for step in found),
    )  # fmt: skip


def _here(string: ConnectionString, chosen: Chosen) -> str:
    return f"/connect/{string.token_id}?{urlencode({'engine': chosen.engine, 'environment': chosen.environment})}"


async def _has_packages(data: Path) -> bool:
    return bool(await asyncio.to_thread(wheels.list_wheels, data))
