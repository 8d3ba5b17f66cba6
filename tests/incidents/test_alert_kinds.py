# SPDX-License-Identifier: AGPL-3.0-or-later
"""One alert rule for each kind of finding and for each measure of a threshold. For each of them a cause begins and ends, and one message
that it fired and one that it is resolved arrive at a real webhook, mail server or JSON receiver of Apprise. A dry run of each rule names
the same times."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.incidents.causes import BEGIN, CAUSES, END, App, Cause
from tests.incidents.server_causes import SERVER_CAUSES, THRESHOLD_CAUSES, ThisServer
from tests.support.endpoints import Endpoint, endpoint, mail_server
from tests.unit.operations.alerts.examples import Stage, stage
from z4j import clock
from z4j.agents.connections import Hub
from z4j.operations.alerts.dry_run import dry_run_of
from z4j.operations.findings.service import Findings
from z4j.rules.alerts.threshold_measures import MEASURES, Threshold
from z4j.rules.findings.kinds import KINDS
from z4j.rules.rollups import HOUR_US, MINUTE_US
from z4j.store.alerts import alert_rules, alerts

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]
MINUTES = END + 62
"""Reports of dropped events, of refused records and of faults are shown for an hour."""
AFTER = 8_000_000
"""The server looks so long after the end of each minute."""


@pytest.fixture
def moved_clock() -> Iterator[list[int]]:
    """The time of the server, in its only item."""
    at = [clock.now()]
    clock.use(lambda: at[0] * 1_000)
    yield at
    clock.use()


async def test_each_kind_of_rule_calls_once_and_says_when_it_is_over(
    tmp_path: Path, moved_clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(CAUSES) | set(SERVER_CAUSES) == set(KINDS), "there is a cause for each kind of finding"
    assert set(THRESHOLD_CAUSES) == set(MEASURES), "and for each measure"
    start = moved_clock[0] = moved_clock[0] // HOUR_US * HOUR_US - 2 * HOUR_US
    with endpoint() as hook, endpoint() as service, mail_server() as mails:
        async with stage(tmp_path) as on:
            channels = (
                await on.channel(hook.url, "hook"),
                await on.channel(service.url.replace("http", "json") + "/in", "service", kind="apprise"),
                await on.channel(f"mailto://127.0.0.1:{mails.port}/?from=z4j@example.org&to=ops@example.org", "mail", kind="apprise"),
            )
            server = ThisServer(on.store, tmp_path, on.actions.audit_log, start)
            monkeypatch.setattr(shutil, "disk_usage", server.disk_usage)
            apps = await _add_rules(on, channels)
            findings = Findings(on.store, Hub(), lambda topics: None, server.findings)
            for minute in range(MINUTES):
                moved_clock[0] = server.at = start + minute * MINUTE_US + AFTER
                for app, cause in apps:
                    app.at, app.number = server.at, minute
                    await cause(app)
                if minute in (BEGIN, END):
                    for change in SERVER_CAUSES.values():
                        await change(server, minute == BEGIN)
                await findings.look(server.at)
                await on.alerts.round(findings.current, server.at)
                await on.deliver(server.at)
                assert minute >= BEGIN or not await on.all(), [each.rule for each in await on.all()]
            assert [each.rule for each in await on.open()] == []
            heard = _heard(hook, service, mails.mails)
            for of in ("fired", "resolved"):
                assert Counter(rule for rule, kind, _ in heard if kind == of) == Counter(
                    {*KINDS, *(f"threshold {name}" for name in MEASURES)}
                ), of
            assert len(heard) == len({id for _, _, id in heard}), "every message arrives once"
            await _compare_with_dry_run(on, start, moved_clock[0])


async def _add_rules(on: Stage, channels: tuple[int, ...]) -> list[tuple[App, Cause]]:
    """A rule of each kind in an app of its own, and the causes of these apps. Thresholds use the channels in turn."""
    apps: list[tuple[App, Cause]] = []
    for kind in KINDS:
        of_app = kind if kind in CAUSES else ""
        await on.rule(channels[0], name=kind, kinds=(kind,), app=of_app)
        if of_app:
            apps.append((await _add_app(on, kind), CAUSES[kind]))
    for number, (measure, (threshold, cause)) in enumerate(THRESHOLD_CAUSES.items()):
        name = f"threshold {measure}"
        await on.rule(channels[number % len(channels)], name=name, threshold=threshold, app=name, subject=_subject(threshold))
        apps.append((await _add_app(on, name), cause))
    return apps


async def _add_app(on: Stage, name: str) -> App:
    row = await on.store.write(lambda db: db.execute("INSERT INTO app (name, created_at) VALUES (?, 0) RETURNING id", (name,)).fetchone())
    return App(on.store, name, row[0])


def _subject(threshold: Threshold) -> str:
    return "shop.ship" if threshold.measure == "absent" else ""


async def _compare_with_dry_run(on: Stage, start: int, at: int) -> None:
    fired: dict[int, list[int | None]] = {}
    for each in await alerts.list_alerts(on.store, None):
        fired.setdefault(each.rule_id, []).append(each.alert.fired_at)
    for rule in await alert_rules.list_rules(on.store):
        answer = await dry_run_of(on.store, rule.id, rule.rule, at)
        assert [alert.fired_at for alert in answer.run.fired if alert.opened_at >= start] == fired[rule.id], rule.rule.name


def _heard(hook: Endpoint, service: Endpoint, mails: list[bytes]) -> list[tuple[str, str, str]]:
    """(rule, kind, id) of each message that arrived."""
    heard = [(body["rule"], body["kind"], body["id"]) for body in hook.bodies]
    texts = [(body["title"], body["message"]) for body in service.bodies]
    for raw in mails:
        mail = message_from_bytes(raw, policy=policy.default)
        texts.append((str(mail["Subject"]), str(mail.get_body(("plain", "html")).get_content())))  # type: ignore[union-attr]
    for title, text in texts:
        rule, id = re.search(r"Rule: (.+?) \(", text), re.search(r"Message (\w+)", text)
        assert rule, text
        assert id, text
        heard.append((rule[1], "resolved" if title.startswith("Resolved: ") else "fired", id[1]))
    return heard
