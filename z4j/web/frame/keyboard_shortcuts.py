# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every key of the pages, in one list: scripts execute those with an `act`, the others belong to the element that has them in `data-key`.

A test compares the list with the templates. Keys are disabled while a user types in a field. Keys of sections: RAIL in shell.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

EVERYWHERE: Final = "Everywhere"
LISTS: Final = "Lists"
TASK: Final = "A task"
QUEUE: Final = "A queue or a worker"
SCHEDULE: Final = "A schedule"
ERROR: Final = "An error"
NAME: Final = "A task name"
PLAN: Final = "A plan"


class Key(NamedTuple):
    """A key or key sequence (`g n`). `act` is the function of static/js/keys.js; empty: the element with this key is activated."""

    keys: str
    what: str
    where: str
    act: str = ""


KEYS: Final[tuple[Key, ...]] = (
    Key("Ctrl k", "Find a page, a task, a name or an action (on a Mac also ⌘ k)", EVERYWHERE, "find"),
    Key("/", "Go to the query or filter of the page", EVERYWHERE),
    Key("?", "Show keyboard shortcuts", EVERYWHERE, "keys"),
    Key("L", "Pause or resume live updates", EVERYWHERE),
    Key("g b", "News: changes since your last visit", EVERYWHERE),
    Key("Escape", "Close the open panel", EVERYWHERE, "close"),
    Key("j", "Next row", LISTS, "next"),
    Key("k", "Previous row", LISTS, "previous"),
    Key("Enter", "Open the row", LISTS, "open"),
    Key("x", "Select the row", LISTS, "select"),
    Key("n", "Older or next rows; on an error: note", LISTS),
    Key("p", "Newer rows; on a queue or a plan: pause or resume", LISTS),
    Key(">", "Older failures of an error", LISTS),
    Key(".", "Show new rows", LISTS),
    Key("b", "Plan an action on all matching or selected tasks; on a task: restore", LISTS),
    Key("a", "Add: a schedule, an app, a user, a token; on an error: assign; on a plan: abort", LISTS),
    Key("r", "Retry; on a schedule or a name: run; on a plan: resume; on a list of errors: resolve", TASK),
    Key("e", "Edit and run again; on a schedule: edit; on a worker: its queues", TASK),
    Key("c", "Cancel", TASK),
    Key("u", "Run now; on a schedule: revert to code, on an error: reopen, on a plan: restore", TASK),
    Key("o", "Change the priority; on a schedule: enable or disable; on a name: its errors", TASK),
    Key("m", "Move to another queue; on an error: merge", TASK),
    Key("s", "Stop; on an error: resolve", TASK),
    Key("f", "Show all tasks with this error", TASK),
    Key("l", "List the tasks that the broker has", QUEUE),
    Key("d", "Purge; on a schedule: delete", QUEUE),
    Key("z", "Resize", QUEUE),
    Key("i", "Ignore", ERROR),
    Key("t", "Tasks", NAME),
    Key("y", "Execute", PLAN),
)  # fmt: skip


def script_keys() -> str:
    """Returns what the scripts execute, for an attribute of the page: `j=next k=previous …`, a key of several as `Ctrl+k`."""
    return " ".join(f"{key.keys.replace(' ', '+')}={key.act}" for key in KEYS if key.act)
