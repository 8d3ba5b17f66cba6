# SPDX-License-Identifier: AGPL-3.0-or-later
"""Each task name or queue over the limit of a rule is a finding."""

from __future__ import annotations

from tests.unit.rules.alerts.examples import T, at_once
from z4j.rules.alerts.alert_rule import own_subjects
from z4j.rules.alerts.threshold_measures import MinuteSample, Threshold
from z4j.rules.alerts.thresholds import LEVEL_OF, MINUTE_US, find, words_of
from z4j.rules.findings.finding import Link, Scope

CELERY = Scope("shop", "production", "celery")
FULL, EMPTY = [MinuteSample(depth=500)], [MinuteSample(depth=2)]


def test_each_queue_over_the_limit_is_a_finding_that_leads_to_it() -> None:
    rule = at_once(name="backlog", threshold=Threshold("depth", 100), severity="critical", subject="m*")
    rows = {(CELERY, "mails"): FULL, (CELERY, "more"): EMPTY, (CELERY, "orders"): FULL, (Scope("blog"), "mails"): FULL}
    found = find(4, rule, rows, T)
    assert [(each.scope.app, each.subject, each.level) for each in found] == [
        ("shop", f"{own_subjects(4)}mails", "bad"), ("blog", f"{own_subjects(4)}mails", "bad"),
    ]  # fmt: skip
    assert found[0].title == "mails: waiting tasks 500"
    assert found[0].action is not None
    assert found[0].action.href == "/queues/mails?app=shop&environment=production&engine=celery"
    assert [link.href for link in found[0].evidence] == ["/alerts/rules/4"]
    assert [each.scope.app for each in find(4, at_once(threshold=rule.threshold, app="blog"), rows, T)] == ["blog"]


def test_a_finding_of_a_name_leads_to_its_page() -> None:
    rule = at_once(threshold=Threshold("failures", 3, minutes=10))
    [found] = find(1, rule, {(CELERY, "shop.mail"): [MinuteSample(bad=9)]}, T)
    assert found.action is not None
    assert (found.level, found.action.href) == ("warn", "/names/shop.mail?app=shop&environment=production&engine=celery")


def test_limits_in_words() -> None:
    assert words_of(Threshold("failure_share", 0.05, minutes=10)) == "5.0% in 10\u202fm\u202f00\u202fs"
    assert words_of(Threshold("depth", 100)) == "100"
    assert words_of(Threshold("absent", 3_600)) == "1\u202fh\u202f00\u202fm"
    assert words_of(Threshold("slow_starts", 0.05, within_s=30)) == "5.0% later than 30\u202fs"


def test_a_finding_in_full() -> None:
    rule = at_once(name="failures", threshold=Threshold("failures", 3, minutes=10), severity="info")
    [of_name] = find(2, rule, {(CELERY, "shop.mail"): [MinuteSample(bad=9)]}, T)
    [of_queue] = find(4, at_once(name="backlog", threshold=Threshold("depth", 100)), {(CELERY, "mails"): FULL}, T)
    assert (of_name.level, of_name.weight, of_name.title) == ("warn", 500, "shop.mail: failed runs 9")
    assert of_name.text == "above the limit of rule failures (3 in 10\u202fm\u202f00\u202fs)"
    assert of_name.why == "measured over the last 10 whole minutes"
    assert (of_name.action and of_name.action.text, of_queue.action and of_queue.action.text) == ("Open the task", "Open the queue")
    assert of_queue.evidence == (Link("rule", "/alerts/rules/4"),)
    assert (MINUTE_US, LEVEL_OF) == (60_000_000, {"critical": "bad", "warning": "warn", "info": "warn"})
