# SPDX-License-Identifier: AGPL-3.0-or-later
"""What goes wrong in a demo, and which findings of Now it leads to: for the page that tells visitors."""

from __future__ import annotations

from typing import Final, NamedTuple


class DemoFault(NamedTuple):
    """A fault of a demo, the kind of finding that shows it, and when. A kind is that of `z4j.rules.findings`."""

    kind: str
    title: str
    what: str
    when: str = "at once"


FAULTS: Final = (
    DemoFault("silent_host", "A host is silent", "shop-4 ran five reports and was switched off without a goodbye.", "after 45 seconds"),
    DemoFault("restarts", "A worker restarts in a loop",
              "taskiq@gpu-2 is killed twelve seconds after each start, six times.", "after a minute"),
    DemoFault("killed", "A task kills its process", "The operating system killed the process that ran thumbs.make, three times."),
    DemoFault("stuck", "Tasks that do not end", "Some workers hold a task for minutes that usually takes seconds.", "after some minutes"),
    DemoFault("different_workers", "Workers that differ", "celery@shop-6 runs another release than the other workers of its queues.",
              "after ten minutes, because a deployment takes a while"),
    DemoFault("unregistered", "A task that no worker has registered",
              "A producer sends emails.send_survey, which the workers reject as unknown."),
    DemoFault("unserved_queue", "A queue that nobody takes from", "64 tasks wait in newsletters, and its broker reports no consumer."),
    DemoFault("backlog", "A queue that grows", "campaigns gets a task every second, and none of them is started."),
    DemoFault("broker_loss", "A broker that lost tasks", "40 tasks wait in imports, and its broker has none of them any longer.",
              "after two minutes"),
    DemoFault("dead_letters", "Dead letters", "The broker of invoices has twelve more dead letters than before.", "after a minute"),
    DemoFault("error", "An error that rises", "The mail server has refused connections for fifty minutes."),
    DemoFault("failing_more", "A task that fails more than usual", "Half of carts.merge fails, each with one of five rare errors."),
    DemoFault("slow", "A task that is slow", "prices.refresh has taken seconds for some minutes, and took 0.2 s all day."),
    DemoFault("quick", "A task that is suspiciously quick", "feeds.import returns at once now, and took a second all day."),
    DemoFault("seldom", "A task that does not run", "feeds.publish ran every two minutes until an hour ago."),
    DemoFault("retries", "Retries again and again", "search.reindex is tried four times for each task."),
    DemoFault("silent_scheduler", "A dead scheduler", "Celery Beat of staging ended hours ago.", "after 45 seconds"),
    DemoFault("doubled_schedules", "Two schedulers", "rqscheduler@docs-2 runs the schedules that rqscheduler@docs-1 runs as well."),
    DemoFault("missed_schedule", "A missed run", "The nightly reindex did not run last night."),
    DemoFault("failed_schedule", "A failed run", "The scheduler could not send the task of “train at night”."),
    DemoFault("late_schedule", "A late run",
              "“check quotas” and “sync the crm” ran 40 seconds late; the next run in time ends this.", "at once, for some minutes"),
    DemoFault("dropped_events", "Dropped events", "The spool of celery@shop-6 was full: 1,240 events were dropped."),
    DemoFault("agent_faults", "A fault inside an agent",
              "The agent of celery@shop-6 failed three times inside; its application was not affected."),
    DemoFault("refused_events", "Refused records", "celery@shop-6 sent a record of an unknown kind."),
    DemoFault("clock", "A clock that is off", "The clock of media-2 is four seconds ahead."),
    DemoFault("behind", "Events that arrive late", "The agent of media-2 reports 9.4 MB that it has not sent, for fifteen minutes."),
)  # fmt: skip

NOT_SHOWN: Final = (
    DemoFault("unaccounted", "Tasks that are unaccounted for", "Few tasks that an empty broker does not have are found after 15 minutes."),
    DemoFault("missed_schedules", "Several schedules of one scheduler", "Four or more that were missed, failed or late are one finding."),
    DemoFault("stopped_plan", "Stopped and stalled plans", "A plan that its canary has stopped, or that waits for an agent."),
    DemoFault("disk", "This server",
              "A full disk, a certificate that ends, a failed backup, an altered audit log, a failing duty, exceeded limits."),
)  # fmt: skip
"""Kinds that this demo does not show, and why."""
