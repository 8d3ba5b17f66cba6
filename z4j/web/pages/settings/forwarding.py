# SPDX-License-Identifier: AGPL-3.0-or-later
"""Settings, Forwarding: where rows of the audit log and events of alerts go, whether they arrive, and the log of webhooks."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import Z4jError
from z4j.rules.forwarding.target import TargetRequest, kind_of, patterns_of
from z4j.rules.permissions import may_act
from z4j.store.forwarding import deliveries, targets
from z4j.store.forwarding.deliveries import Delivery
from z4j.store.forwarding.targets import Target, Waiting
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other, see_result
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

HERE = "/settings/forwarding"


@dataclass(frozen=True, slots=True)
class TargetLine:
    """A target with what it has not received yet."""

    target: Target
    waiting: Waiting


@dataclass(frozen=True, slots=True)
class ForwardingPage:
    """The context of settings/forwarding.html."""

    shell: Shell
    tab: str
    days_kept: int
    gigabytes_kept: float
    lines: tuple[TargetLine, ...]
    deliveries: tuple[Delivery, ...]
    folder: str
    metrics: str
    may_change: bool


async def page(request: Request) -> Response:
    """GET /settings/forwarding."""
    server = services(request)
    store, settings = server.store, server.settings
    ends = await targets.read_ends(store)
    lines = tuple([TargetLine(each, await targets.read_waiting(store, each, ends)) for each in await targets.list_targets(store)])
    made = ForwardingPage(
        shell=await make_shell(request, "settings"), tab="forwarding", days_kept=settings.days_kept, gigabytes_kept=settings.gigabytes_kept,
        lines=lines, deliveries=tuple(await deliveries.list_deliveries(store)), folder=str(settings.forwarded_files),
        metrics=settings.metrics, may_change=may_act(request.scope["identity"].role, "change_forwarding"),
    )  # fmt: skip
    return render(request, "settings/forwarding.html", made)


async def create(request: Request) -> Response:
    """POST /settings/forwarding."""
    return await _put(request, None)


async def change(request: Request) -> Response:
    """POST /settings/forwarding/{id}: an address, a key or a CA that is left empty stays as it is."""
    return await _put(request, request.path_params["id"])


async def _put(request: Request, id: int | None) -> Response:
    form = await read_form(request)

    async def work() -> str:
        kind = kind_of(form.get("kind", ""))
        wanted = TargetRequest(
            form.get("name", "").strip(), kind, form.get("url", "").strip(), form.get("key", ""), form.get("ca", "").strip(),
            "audit" in form, "alerts" in form, patterns_of(form.get("actions", "")),
        )  # fmt: skip
        await services(request).forwarding.put_target(request.scope["identity"], id, wanted, from_beginning="beginning" in form)
        return f"The target {wanted.name} was saved. Send a test message to check the target."

    return await see_result(HERE, work)


async def send_test(request: Request) -> Response:
    """POST /settings/forwarding/{id}/test: sends one message and waits for the result."""
    try:
        why = await services(request).forwarding.test_target(request.scope["identity"], request.path_params["id"])
    except Z4jError as error:
        return see_other(HERE, Notice("bad", error.explanation))
    return see_other(
        HERE, Notice("bad", f"The test message did not arrive. {why}") if why else Notice("good", "The test message was sent.")
    )


async def enable(request: Request) -> Response:
    """POST /settings/forwarding/{id}/enable."""
    return await _set_enabled(request, is_enabled=True)


async def disable(request: Request) -> Response:
    """POST /settings/forwarding/{id}/disable."""
    return await _set_enabled(request, is_enabled=False)


async def _set_enabled(request: Request, *, is_enabled: bool) -> Response:
    async def work() -> str:
        await services(request).forwarding.set_enabled(request.scope["identity"], request.path_params["id"], is_enabled=is_enabled)
        return (
            "The target was enabled."
            if is_enabled
            else "The target was disabled. Rows recorded while the target is disabled are sent when it is enabled."
        )

    return await see_result(HERE, work)


async def delete(request: Request) -> Response:
    """POST /settings/forwarding/{id}/delete."""

    async def work() -> str:
        await services(request).forwarding.delete_target(request.scope["identity"], request.path_params["id"])
        return "The target was deleted."

    return await see_result(HERE, work)
