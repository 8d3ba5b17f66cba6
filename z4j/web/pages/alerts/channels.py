# SPDX-License-Identifier: AGPL-3.0-or-later
"""Channels: destinations of messages, their delivery status, and a test. Addresses are shown without their secrets."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from z4j.rules.permissions import may_act
from z4j.store.alerts import channels
from z4j.store.alerts.channels import Channel
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Shell, render, see_result
from z4j.web.frame.shell import make_shell
from z4j.web.services import services

HERE = "/alerts/channels"


@dataclass(frozen=True, slots=True)
class ChannelsPage:
    """The context of alerts/channels.html."""

    shell: Shell
    tab: str
    channels: tuple[Channel, ...]
    may_change: bool


async def page(request: Request) -> Response:
    """GET /alerts/channels."""
    rows = tuple(await channels.list_channels(services(request).store))
    may = may_act(request.scope["identity"].role, "change_alert_channel")
    return render(request, "alerts/channels.html", ChannelsPage(await make_shell(request, "alerts"), "channels", rows, may))


async def create(request: Request) -> Response:
    """POST /alerts/channels."""
    return await _put(request, None)


async def change(request: Request) -> Response:
    """POST /alerts/channels/{id}: an empty address or key is kept."""
    return await _put(request, request.path_params["id"])


async def _put(request: Request, id: int | None) -> Response:
    form = await read_form(request)
    kind = form.get("kind", "apprise")

    async def work() -> str:
        await services(request).alerts.put_channel(
            request.scope["identity"], id, name=form.get("name", ""), kind="webhook" if kind == "webhook" else "apprise",
            url=form.get("url", ""), key=form.get("key", ""), is_weekly="weekly" in form,
        )  # fmt: skip
        return f"Channel {form.get('name', '')} saved. Send a test message to check it."

    return await see_result(HERE, work)


async def send_test(request: Request) -> Response:
    """POST /alerts/channels/{id}/test."""

    async def work() -> str:
        await services(request).alerts.test_channel(request.scope["identity"], request.path_params["id"])
        return "Test message requested. The list shows whether it was delivered."

    return await see_result(HERE, work)


async def enable(request: Request) -> Response:
    """POST /alerts/channels/{id}/enable."""
    return await _set_enabled(request, is_enabled=True)


async def disable(request: Request) -> Response:
    """POST /alerts/channels/{id}/disable."""
    return await _set_enabled(request, is_enabled=False)


async def _set_enabled(request: Request, *, is_enabled: bool) -> Response:
    async def work() -> str:
        await services(request).alerts.set_channel_enabled(request.scope["identity"], request.path_params["id"], is_enabled=is_enabled)
        return "Channel enabled." if is_enabled else "Channel disabled. Its messages are delayed until it is enabled."

    return await see_result(HERE, work)


async def delete(request: Request) -> Response:
    """POST /alerts/channels/{id}/delete."""

    async def work() -> str:
        await services(request).alerts.delete_channel(request.scope["identity"], request.path_params["id"])
        return "The channel was deleted."

    return await see_result(HERE, work)
