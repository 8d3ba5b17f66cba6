# SPDX-License-Identifier: AGPL-3.0-or-later
"""The list of rules, and the form of a rule with its dry run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from msgspec import structs
from starlette.requests import Request
from starlette.responses import Response

from z4j.exceptions import BadInput, NotFound, Z4jError
from z4j.formats import plural
from z4j.operations.alerts.dry_run import Answer, dry_run_of
from z4j.rules.alerts.alert_rule import AlertRule, checked
from z4j.rules.alerts.threshold_measures import MEASURES
from z4j.rules.alerts.thresholds import words_of
from z4j.rules.findings.kinds import KINDS
from z4j.rules.permissions import may_act
from z4j.store.alerts import alert_rules, channels
from z4j.store.alerts.alert_rules import StoredRule
from z4j.store.alerts.channels import Channel
from z4j.store.tasks.counters import count_scopes, values_of
from z4j.web.auth.audit_trail import refused
from z4j.web.frame.forms import read_form
from z4j.web.frame.render import Notice, Shell, render, see_other
from z4j.web.frame.shell import make_shell
from z4j.web.pages.alerts import rule_form
from z4j.web.services import services

EVERYTHING: Final = AlertRule("Critical findings", "critical", level="bad", for_s=60, cooldown_s=900)
"""Initial values of the form of a new rule."""
FIRED: Final = 20


@dataclass(frozen=True, slots=True)
class RuleLine:
    """A rule as one row: what it matches, its scope, and its channels."""

    stored: StoredRule
    about: str
    where: str
    channels: str


@dataclass(frozen=True, slots=True)
class RulesPage:
    """The context of alerts/rules.html."""

    shell: Shell
    tab: str
    lines: tuple[RuleLine, ...]
    may_change: bool


@dataclass(frozen=True, slots=True)
class RulePage:
    """The context of alerts/rule.html. `answer` is that of the last dry run."""

    shell: Shell
    tab: str
    id: int | None
    form: rule_form.RuleForm
    channels: tuple[Channel, ...]
    apps: tuple[str, ...]
    environments: tuple[str, ...]
    engines: tuple[str, ...]
    may_change: bool
    answer: Answer | None = None
    error: str = ""


async def list_page(request: Request) -> Response:
    """GET /alerts/rules."""
    store = services(request).store
    known = {channel.id: channel.name for channel in await channels.list_channels(store)}
    lines = tuple(_line(each, known) for each in await alert_rules.list_rules(store))
    may = may_act(request.scope["identity"].role, "change_alert_rule")
    return render(request, "alerts/rules.html", RulesPage(await make_shell(request, "alerts"), "rules", lines, may))


def _line(stored: StoredRule, known: dict[int, str]) -> RuleLine:
    rule = stored.rule
    where = " · ".join(part for part in (*rule.scope, rule.subject) if part) or "everywhere"
    names = [known[id] for id in rule.channels if id in known]
    return RuleLine(stored, about(rule), where, ", ".join(names) or "no channel: shown only here")


def about(rule: AlertRule) -> str:
    """Returns what a rule matches, in words."""
    if rule.threshold is not None:
        return f"{MEASURES[rule.threshold.measure].what} above {words_of(rule.threshold)}"
    if not rule.kinds:
        return "any critical finding" if rule.level == "bad" else "any finding"
    words = [KINDS.get(kind, kind) for kind in rule.kinds]
    return ", ".join(words[:2]) + (f" and {plural(len(words) - 2, 'more kind')}" if len(words) > 2 else "")


async def new_page(request: Request) -> Response:
    """GET /alerts/rules/new."""
    known = await channels.list_channels(services(request).store)
    rule = structs.replace(EVERYTHING, channels=tuple(channel.id for channel in known if channel.is_enabled))
    return await _show(request, None, rule_form.of_rule(rule))


async def edit_page(request: Request) -> Response:
    """GET /alerts/rules/{id}."""
    stored = await _get(request)
    return await _show(request, stored.id, rule_form.of_rule(stored.rule))


async def create(request: Request) -> Response:
    """POST /alerts/rules/new: stores the rule, or shows its dry run."""
    return await _submit(request, None)


async def change(request: Request) -> Response:
    """POST /alerts/rules/{id}: the same for a stored one."""
    return await _submit(request, await _get(request))


async def delete(request: Request) -> Response:
    """POST /alerts/rules/{id}/delete."""
    try:
        await services(request).alerts.delete_rule(request.scope["identity"], request.path_params["id"])
    except Z4jError as error:
        return see_other("/alerts/rules", Notice("bad", error.explanation))
    return see_other("/alerts/rules", Notice("good", "Rule deleted. Its alerts were closed without a message."))


async def _submit(request: Request, stored: StoredRule | None) -> Response:
    server, fields = services(request), await read_form(request)
    form = rule_form.of_fields(fields)
    id = stored.id if stored else None
    try:
        rule = rule_form.to_rule(form, stored.rule if stored else None)
        if fields.get("action") == "try":
            known = {channel.id for channel in await channels.list_channels(server.store)}
            answer = await dry_run_of(server.store, id or 0, checked(rule, known), request.scope["came_at"])
            return await _show(request, id, form, answer=answer)
        await server.alerts.put_rule(request.scope["identity"], id, rule)
    except BadInput as error:
        refused(request, error.message)
        return await _show(request, id, form, error=error.explanation)
    return see_other("/alerts/rules", Notice("good", f"Rule {rule.name} saved."))


async def _show(
    request: Request, id: int | None, form: rule_form.RuleForm, *, answer: Answer | None = None, error: str = ""
) -> Response:  # fmt: skip
    store = services(request).store
    known = await count_scopes(store)
    page = RulePage(
        shell=await make_shell(request, "alerts"), tab="rules", id=id, form=form, channels=tuple(await channels.list_channels(store)),
        apps=values_of(known.by_app), environments=values_of(known.by_environment), engines=values_of(known.by_engine),
        may_change=may_act(request.scope["identity"].role, "change_alert_rule"), answer=answer, error=error,
    )  # fmt: skip
    return render(request, "alerts/rule.html", page, BadInput.status if error else 200)


async def _get(request: Request) -> StoredRule:
    for stored in await alert_rules.list_rules(services(request).store):
        if stored.id == request.path_params["id"]:
            return stored
    raise NotFound("Rule not found. It may have been deleted.")
