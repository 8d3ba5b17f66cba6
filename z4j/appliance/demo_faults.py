# SPDX-License-Identifier: AGPL-3.0-or-later
"""The faults of a demo and the findings on Now that show them: for the page that lists them."""

from __future__ import annotations

from typing import Final, NamedTuple


class DemoFault(NamedTuple):
    """A fault of a demo, the kind of finding that shows it, and when. A kind is that of `z4j.rules.findings`."""

    kind: str
    title: str
    what: str
    when: str = "at once"


FAULTS: Final = (
    DemoFault("silent_host", "A host is silent", "shop-4 ran five reports and was cut off from power.", "after 45 seconds"),
    DemoFault("restarts", "A worker restarts in a loop",
              "taskiq@gpu-2 is killed five seconds after each start, fifty times.", "after half a minute"),
    DemoFault("killed", "A task kills its process", "The operating system kills the process that runs thumbs.make, every twenty seconds."),
    DemoFault("stuck", "Tasks that may be stuck", "Some workers run a task for minutes that usually takes seconds.", "after some minutes"),
    DemoFault("different_workers", "Workers that differ",
              "celery@shop-6 runs another release, and prefetches less, than the other workers of its queues.",
              "after ten minutes, because a deployment takes a while"),
    DemoFault("unregistered", "A task that no worker has registered",
              "A producer sends emails.send_survey, which the workers reject as unknown."),
    DemoFault("unserved_queue", "A queue without consumers", "64 tasks wait in newsletters, and its broker reports no consumers."),
    DemoFault("backlog", "A growing queue", "campaigns receives a task every second, and none of them starts."),
    DemoFault("broker_loss", "A broker that lost tasks", "40 tasks wait in imports, but its broker no longer has them.",
              "after a minute"),
    DemoFault("dead_letters", "Dead letters", "The broker of invoices receives a dead letter every four seconds.", "after a minute"),
    DemoFault("error", "A rising error", "The mail server has refused connections for fifty minutes."),
    DemoFault("failing_more", "A task that fails more than usual", "Half of carts.merge fails, each with one of five rare errors."),
    DemoFault("slow", "A task that is slow", "prices.refresh has taken seconds for some minutes, but 0.2 s all day before."),
    DemoFault("quick", "A task that is suspiciously fast", "feeds.import now returns at once, but took a second all day before."),
    DemoFault("seldom", "A task that no longer runs", "feeds.publish ran every two minutes until an hour ago."),
    DemoFault("retries", "Many retries", "Each task of search.reindex is tried four times."),
    DemoFault("silent_scheduler", "A dead scheduler", "Celery Beat of staging ended hours ago.", "after 45 seconds"),
    DemoFault("doubled_schedules", "Two schedulers", "rqscheduler@docs-2 runs the same schedules as rqscheduler@docs-1."),
    DemoFault("missed_schedule", "A missed run", "The nightly reindex did not run last night."),
    DemoFault("failed_schedule", "A failed run", "The scheduler could not send the task of “train at night”."),
    DemoFault("late_schedule", "A late run",
              "“check quotas” and “sync the crm” ran 40 seconds late; the next run on time clears this.", "at once, for some minutes"),
    DemoFault("dropped_events", "Dropped events", "The spool of celery@shop-6 was full: 1,240 events were dropped."),
    DemoFault("agent_faults", "Internal errors of an agent",
              "The agent of celery@shop-6 had three internal errors; its application was not affected."),
    DemoFault("refused_events", "Refused records", "celery@shop-6 sent a record of an unknown kind."),
    DemoFault("clock", "A clock that is off", "The clock of media-2 is four seconds ahead."),
    DemoFault("behind", "Events that arrive late", "The agent of media-2 reports 9.4 MB that it has not sent, for fifteen minutes."),
)  # fmt: skip

NOT_SHOWN: Final = (
    DemoFault("unaccounted", "Tasks that are unaccounted for", "Tasks missing from an empty broker are reported after 15 minutes."),
    DemoFault("missed_schedules", "Several schedules of one scheduler", "Four or more that were missed, failed or late are one finding."),
    DemoFault("stopped_plan", "Stopped and stalled plans", "A plan that its canary has stopped, or that waits for an agent."),
    DemoFault("disk", "This server",
              "A full disk, an expiring certificate, a failed backup, an altered audit log, a failing duty, exceeded limits."),
)  # fmt: skip
"""Kinds that this demo does not show, and why."""
