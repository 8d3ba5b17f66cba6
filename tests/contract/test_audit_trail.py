# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every route × every role: a row of the audit log for each refused change and for each export, and none for what is neither."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import PASSWORD, Site, site
from z4j.rules.permissions import ROLES, is_allowed
from z4j.store.access.audit import list_audit
from z4j.web.auth.audit_trail import DOCUMENTS
from z4j.web.auth.authentication import COOKIE
from z4j.web.pages.settings.connection_strings import make_api_token
from z4j.web.routes import R, all_rows

ORIGIN = {"Origin": "http://testserver", "Accept": "text/html"}
CHANGES = [row for row in all_rows() if row.method != "GET" and row.path not in ("/logout", "/theme", "/login", "/login/code", "/setup")]
"""What anybody may post has rows of its own (sign_in), or changes nothing that is kept."""
EMPTY_IS_ENOUGH = ("/incidents", "/settings/account/zone")
"""A record without a title, and the time zone of the browser."""
EXPORTS = [row for row in all_rows() if row.method == "GET" and (row.path.endswith((".csv", ".json")) or row.path.startswith("/api/"))]
PAGES = [
    row for row in all_rows() if row.method == "GET" and row not in EXPORTS and row.path not in ("/events", "/static/{mark}/{path:path}")
]


class Walker:
    """One running server with a session and an API token of each role."""

    def __init__(self, made: Site) -> None:
        self.site = made
        self.cookies: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        for role in ROLES:
            made.add_user(f"{role}-person", role)
            self.cookies[role] = made.call(made.server.auth.sign_in, f"{role}-person", PASSWORD, "test", "test")
            _, self.tokens[role] = made.call(make_api_token, made.server.store, role, role, 1, "test")

    def ask(self, row: R, role: str, by: str = "session", **headers: str) -> tuple[int, list[tuple[str, str, str, str]]]:
        """The status, and (actor, action, target, outcome) of the rows that came with it."""
        made = self.site
        last = made.call(list_audit, made.server.store, limit=1)
        path = row.path.replace("{id:int}", "999").replace("{name:path}", "none").replace("{id}", "0")
        who = {"Cookie": f"{COOKIE}={self.cookies[role]}"} if by == "session" else {"Authorization": f"Bearer {self.tokens[role]}"}
        made.server.trail.repeats.take()  # another minute
        answer = made.client.request(row.method, path, headers=ORIGIN | headers | who, follow_redirects=False)
        answer.read()
        rows = made.call(list_audit, made.server.store, limit=5)  # the newest: more than one is a failure
        new = [of for of in rows if of.seq > (last[0].seq if last else 0)]
        return answer.status_code, [(of.actor, of.action, of.target, of.outcome) for of in reversed(new)]


@pytest.fixture(scope="module")
def walker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walker]:
    with site(tmp_path_factory.mktemp("trail")) as made:
        yield Walker(made)


def ids(rows: list[R]) -> list[str]:
    return [f"{row.method} {row.path}" for row in rows]


def test_the_walk_has_something_to_walk() -> None:
    assert (len(CHANGES) > 40, len(EXPORTS) > 15, len(PAGES) > 15) == (True, True, True)


@pytest.mark.parametrize("by", ["session", "token"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", CHANGES, ids=ids(CHANGES))
def test_each_refused_change_is_one_row(walker: Walker, row: R, role: str, by: str) -> None:
    """By role, because nothing of that name exists, because the form is empty: none of these requests can succeed."""
    status, rows = walker.ask(row, role, by)
    if row.path == "/settings/account/totp" and by == "session":
        assert rows == [] or rows[0][3] == "done"  # the first step of one's own second step succeeds
        return
    if row.path == "/schedules/preview" and is_allowed(role, row.role):
        assert (status, rows) == (200, [])  # shows what an unfinished form would do
        return
    if row.path == "/schedules/new" and is_allowed(role, row.role):
        assert (status, rows) == (200, [])  # without `step` the same
        return
    if row.path in EMPTY_IS_ENOUGH and status == 303:
        assert [of[3] for of in rows] in ([], ["done"])
        return
    actor = f"{role}-person" if by == "session" else role
    assert len(rows) == 1, (status, rows)
    assert (rows[0][0], rows[0][3] in ("refused", "failed")) == (actor, True), (status, rows)
    if not is_allowed(role, row.role):
        assert (status, rows[0][1], rows[0][3]) == (403, "request", "refused")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", CHANGES, ids=ids(CHANGES))
def test_each_change_from_another_site_is_one_row(walker: Walker, row: R, role: str) -> None:
    status, rows = walker.ask(row, role, **{"Sec-Fetch-Site": "cross-site"})
    assert (status, [of[:2] + of[3:] for of in rows]) == (403, [(f"{role}-person", "request", "refused")])


@pytest.mark.parametrize("by", ["session", "token"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", EXPORTS, ids=ids(EXPORTS))
def test_each_export_is_one_row(walker: Walker, row: R, role: str, by: str) -> None:
    status, rows = walker.ask(row, role, by)
    if row.path in DOCUMENTS or status in (400, 404):
        assert rows == []  # nothing left the appliance
        return
    outcome = "done" if is_allowed(role, row.role) else "refused"
    assert status == (200 if outcome == "done" else 403)
    assert [(of[1], of[3]) for of in rows] == [("export", outcome)]
    assert rows[0][2] == row.path.removeprefix("/")


@pytest.mark.parametrize("row", PAGES, ids=ids(PAGES))
def test_a_page_is_no_row(walker: Walker, row: R) -> None:
    assert walker.ask(row, "admin")[1] == []


def test_a_refused_form_is_recorded_though_its_answer_is_a_page(walker: Walker) -> None:
    made = walker.site
    who = ORIGIN | {"Cookie": f"{COOKIE}={walker.cookies['operator']}"}
    forms = {
        "/schedules/new": {"step": "save", "kind": "cron", "expression": "not a cron", "name": "x"},
        "/tasks/run": {"app": "none", "name": "x"},
        "/plans": {"action": "nothing"},
        "/queues/act": {"action": "purge_queue", "queue": "none"},
    }
    for path, form in forms.items():
        before = len(made.audit())
        made.client.post(path, data=form, headers=who, follow_redirects=False)
        rows = made.audit()[before:]
        assert [(row[0], row[3]) for row in rows] == [("operator-person", "refused")], path


def test_repetitions_are_counted_in_one_row(walker: Walker) -> None:
    made = walker.site
    who = ORIGIN | {"Cookie": f"{COOKIE}={walker.cookies['viewer']}"}
    made.call(made.server.trail.flush)
    before = len(made.audit())
    for _ in range(40):
        made.client.post("/settings/users", headers=who, data={"name": "eve"}, follow_redirects=False)
    for _ in range(10):
        made.client.get("/tasks.json?q=a", headers=who)
    assert len(made.audit()) - before == 6
    made.call(made.server.trail.flush)
    counted = [(row[1], row[4]["repeated"]) for row in made.audit()[before + 6 :]]
    assert sorted(counted) == [("export", 7), ("request", 37)]


def test_what_a_row_says_holds_no_secret_and_no_control_character(walker: Walker) -> None:
    made = walker.site
    who = ORIGIN | {"Cookie": f"{COOKIE}={walker.cookies['viewer']}"}
    made.client.get("/tasks.json?q=password%3Dhunter2hunter2%20Bearer%20abcdefghijklmnopqrstuvwxyz012345", headers=who)
    made.client.post("/settings/%1b%5b2J%0aroot", headers=who)
    made.call(made.server.trail.flush)
    rows = made.call(list_audit, made.server.store, limit=5)
    assert not any("abcdefghijklmnop" in row.detail for row in rows)
    assert any("\\x1b" in row.target and "\x1b" not in row.target for row in rows)


def test_a_full_disk_does_not_stop_an_export(tmp_path: Path) -> None:
    with site(tmp_path) as made:
        made.add_user("ada", "admin")
        made.sign_in()
        pages = made.write(lambda db: db.execute("PRAGMA max_page_count = 1").fetchone()[0])  # as many as there are
        answers = [made.get(f"/tasks.json?q={'x' * 250}{number}") for number in range(100)]
        assert {answer.status_code for answer in answers} == {200}
        assert made.server.trail.unwritten > 0
        unwritten = made.server.trail.unwritten
        made.write(lambda db: db.execute(f"PRAGMA max_page_count = {pages * 2}").fetchone())
        assert made.get("/queues.json").status_code == 200
        assert made.audit()[-1][4] == {"rows_not_written_before": unwritten}


def test_the_browser_remembers_the_newest_checkpoint(walker: Walker) -> None:
    made = walker.site
    who = {"Cookie": f"{COOKIE}={walker.cookies['admin']}", "Accept": "text/html"}
    made.client.cookies.clear()
    first = made.client.get("/settings/users", headers=who)
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("z4j_audit=")
    assert all(word in cookie.lower() for word in ("httponly", "samesite=strict", "path=/"))
    value = cookie.partition("=")[2].partition(";")[0]
    for _ in range(5):
        again = made.client.get("/settings/users", headers=who | {"Cookie": f"{who['Cookie']}; z4j_audit={value}"})
        newer = again.headers.get("set-cookie", "")
        if "z4j_audit" not in newer:
            break
        value = newer.partition("=")[2].partition(";")[0]  # rows of earlier tests got their checkpoint meanwhile
    assert "z4j_audit" not in newer, "a checkpoint that the browser has is not sent again"
    for nonsense in ("x", "e30", "W10", value[:-9], "A" * 2_000):
        answer = made.client.get("/settings/users", headers=who | {"Cookie": f"{who['Cookie']}; z4j_audit={nonsense}"})
        assert answer.status_code == 200
    assert not any(row[1] == "audit_head_missing" for row in made.audit())
    made.write(lambda db: db.execute("DELETE FROM audit_head WHERE seq > 3").rowcount)
    made.write(lambda db: db.execute("DELETE FROM audit WHERE seq > 3").rowcount)
    made.server.audit.checkpoints.newest = None
    made.client.get("/settings/users", headers=who | {"Cookie": f"{who['Cookie']}; z4j_audit={value}"})
    alarm = made.audit()[-1]
    assert (alarm[0], alarm[1]) == ("browser of admin-person", "audit_head_missing")
    page = made.client.get("/changes/audit", headers=who)
    assert "altered" in page.text
    assert "The audit log could not be verified: " in page.text
    strip = made.client.get("/strip", headers={"Cookie": f"{COOKIE}={walker.cookies['viewer']}"})
    assert "altered" in strip.text
    assert json.loads((made.server.settings.data / "audit.witnesses").read_text().splitlines()[-1])["kind"] in ("report", "checkpoint")
