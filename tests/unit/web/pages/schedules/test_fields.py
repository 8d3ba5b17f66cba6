# SPDX-License-Identifier: AGPL-3.0-or-later
"""The fields of the form and the schedule that they describe."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.web.pages.schedules.samples import NEW, rows
from z4j.exceptions import BadInput
from z4j.web.pages.schedules.fields import read_rule, values_of


@pytest.mark.parametrize(
    ("typed", "rule"),
    [
        ({"every": "minutes", "n": "10"}, ("cron", "*/10 * * * *")),
        ({"every": "hourly", "minute": "5"}, ("cron", "5 * * * *")),
        ({"every": "daily", "time": "07:05"}, ("cron", "5 7 * * *")),
        ({"every": "weekly", "time": "00:00", "day_mon": "on", "day_sun": "on"}, ("cron", "0 0 * * mon,sun")),
        ({"every": "monthly", "time": "23:59", "day": "31"}, ("cron", "59 23 31 * *")),
        ({"kind": "interval", "seconds": "5m"}, ("interval", "5m")),
        ({"kind": "once", "once": "2027-01-01 00:00"}, ("once", "2027-01-01 00:00")),
    ],
)
def test_the_builder(typed: dict[str, str], rule: tuple[str, str]) -> None:
    assert read_rule({"kind": "built"} | typed) == rule


@pytest.mark.parametrize("form", [{"every": "weekly", "time": "02:30"}, {"every": "now and then"}, {}])
def test_a_rule_that_was_not_chosen_is_refused(form: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        read_rule({"kind": "built"} | form)


@pytest.mark.parametrize(
    "form", [{"every": "daily", "time": "x"}, {"every": "minutes", "n": "0"}, {"every": "monthly", "time": "01:00", "day": ""}]
)
def test_a_rule_that_was_half_filled_in_is_no_schedule(shop: Any, form: dict[str, str]) -> None:
    answer = shop.post("/schedules/new", **(NEW | {"kind": "built"} | form), step="save")
    assert answer.status_code == 200
    assert "nightly" not in rows(shop)


def test_the_form_shows_a_schedule_as_it_is_and_saving_that_changes_nothing(shop: Any) -> None:
    more = {"queue": "bulk", "catch_up": "once", "overlap": "skip", "jitter_s": "1.5", "starts_at": "2027-01-01 05:00"}
    shop.post("/schedules/new", **NEW, **more, step="save")
    row = rows(shop)["nightly"]
    values = values_of(row)
    assert {name: values[name] for name in more} == more
    assert (values["kind"], values["expression"], values["timezone"]) == ("cron", "30 2 * * mon-fri", "Europe/Berlin")
    shop.post(f"/schedules/{row.id}/edit", **values, reason="nothing", step="save")
    again = rows(shop)["nightly"]
    for name in ("expression", "args", "kwargs", "queue", "priority", "catch_up", "overlap", "jitter_us", "starts_at", "is_enabled"):
        assert getattr(again, name) == getattr(row, name), name
