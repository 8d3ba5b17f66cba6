# SPDX-License-Identifier: AGPL-3.0-or-later
"""What operators type is shown with its secrets masked, and a mask that comes back stands for what was stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from z4j.rules.operator_input import shown_args, shown_changes, shown_params, shown_reason, unmasked
from z4j.text import JsonObject
from z4j_agent.wire.redaction import MASK

DSN = "postgres://ada:hunter2@db/x"
SHOWN_DSN = f"postgres://{MASK}@db/x"


# -- arguments -----------------------------------------------------------------------------------------------------------
def test_arguments_are_masked_by_the_name_of_their_parameter() -> None:
    assert shown_args(["ada", "hunter2", 7], ["user", "password", "n"]) == ["ada", MASK, 7]


def test_arguments_of_a_task_whose_parameters_are_unknown_are_masked_where_they_are_texts() -> None:
    assert shown_args(["ada", "", 7, None, {"password": "x", "user": "ada"}], None) == [
        MASK,
        "",
        7,
        None,
        {"password": MASK, "user": "ada"},
    ]


def test_arguments_beyond_the_known_parameters_are_masked_by_their_form() -> None:
    assert shown_args(["x", "y", DSN, {"token": "t"}], ["password"]) == [MASK, "y", SHOWN_DSN, {"token": MASK}]
    assert shown_args(["x"], ["password", "n"]) == [MASK]
    assert shown_args([], []) == []


# -- commands ------------------------------------------------------------------------------------------------------------
def test_parameters_of_a_command_are_masked_and_the_rest_is_as_it_was() -> None:
    params: JsonObject = {"args": ["ada", "hunter2"], "kwargs": {"token": "t", "fast": True}, "queue": "work"}
    shown = shown_params(params, ["user", "password"])
    assert shown == {"args": ["ada", MASK], "kwargs": {"token": MASK, "fast": True}, "queue": "work"}
    assert params["kwargs"] == {"token": "t", "fast": True}, "what is sent is not touched"


def test_an_edit_of_single_arguments_is_masked_by_their_position() -> None:
    params: dict[str, Any] = {"edit": {"args": {"0": "ada", "1": "hunter2"}, "kwargs": {"token": "t"}, "keep": True}}
    shown = shown_params(params, ["user", "password"])
    assert shown == {"edit": {"args": {"0": "ada", "1": MASK}, "kwargs": {"token": MASK}, "keep": True}}
    assert params["edit"]["args"] == {"0": "ada", "1": "hunter2"}


@pytest.mark.parametrize("place", ["2", "99999", "x", "-1", "²"])
def test_an_edited_argument_beyond_the_known_parameters_is_masked_by_its_form(place: str) -> None:
    assert shown_params({"edit": {"args": {place: DSN}}}, ["user", "password"]) == {"edit": {"args": {place: SHOWN_DSN}}}
    assert shown_params({"edit": {"args": {place: "plain"}}}, ["user", "password"]) == {"edit": {"args": {place: "plain"}}}


def test_an_edited_argument_is_masked_however_its_position_is_written() -> None:
    assert shown_params({"edit": {"args": {"0001": "hunter2", "0" * 60 + "1": "x"}}}, ["user", "password"]) == {
        "edit": {"args": {"0001": MASK, "0" * 60 + "1": MASK}}
    }
    long = {"edit": {"args": {"9" * 5_000: "plain"}}}
    assert shown_params(long, ["user", "password"]) == long


def test_an_edited_argument_of_an_unknown_task_is_masked() -> None:
    assert shown_params({"edit": {"args": {"0": "hunter2", "1": 5}}}, None) == {"edit": {"args": {"0": MASK, "1": 5}}}


def test_a_command_without_arguments_is_shown_as_it_is() -> None:
    assert shown_params({"queue": "work", "edit": None, "args": None, "kwargs": None}, None) == {
        "queue": "work", "edit": None, "args": None, "kwargs": None,
    }  # fmt: skip
    assert shown_params({"edit": {"args": None, "kwargs": None}}, None) == {"edit": {"args": None, "kwargs": None}}


# -- schedules -----------------------------------------------------------------------------------------------------------
def test_both_sides_of_a_change_are_masked() -> None:
    changes = {
        "args": ['["ada", "old"]', '["ada", "new"]'],
        "kwargs": ('{"token": "old", "user": "Zoë"}', '{"token": "new", "user": "Zoë"}'),
        "queue": ["a", "b"],
    }
    shown: dict[str, Any] = shown_changes(changes, ["user", "password"])
    assert [json.loads(text) for text in shown["args"]] == [["ada", MASK], ["ada", MASK]]
    assert shown["kwargs"] == [f'{{"token": "{MASK}", "user": "Zoë"}}'] * 2
    assert shown["queue"] == ["a", "b"]
    assert changes["queue"] == ["a", "b"]
    assert changes["args"][0] == '["ada", "old"]'


def test_keyword_arguments_are_masked_by_their_own_names_alone() -> None:
    """Also where the task's parameters are not known, or where somebody stored a list."""
    assert shown_changes({"kwargs": ['{"user": "ada"}', "{}"]}, None) == {"kwargs": ['{"user": "ada"}', "{}"]}
    assert shown_changes({"kwargs": ['["ada"]', "{}"]}, ["password"]) == {"kwargs": ['["ada"]', "{}"]}
    assert shown_changes({"args": ['["ada"]', "[]"]}, None) == {"args": [f'["{MASK}"]', "[]"]}


def test_a_change_that_is_no_json_is_masked_as_a_text() -> None:
    assert shown_changes({"args": [DSN, None]}, None) == {"args": [SHOWN_DSN, None]}
    assert shown_changes({"args": "same"}, None) == {"args": "same"}


def test_a_reason_is_masked_before_it_is_cut() -> None:
    assert shown_reason(f"see {DSN}") == f"see {SHOWN_DSN}"
    assert shown_reason("x" * 600) == "x" * 500
    assert "hunter2" not in shown_reason("x" * 480 + " password=hunter2hunter2")


# -- what comes back masked ----------------------------------------------------------------------------------------------
def test_a_mask_that_comes_back_is_the_stored_value() -> None:
    assert unmasked(MASK, "hunter2") == "hunter2"
    assert unmasked(SHOWN_DSN, DSN) == DSN
    assert unmasked("new", "hunter2") == "new"
    assert unmasked(7, "hunter2") == 7


def test_masks_inside_lists_and_objects_are_filled_in_each_from_its_own_place() -> None:
    old: JsonObject = {"password": "p", "list": ["a", {"token": "t"}]}
    new: JsonObject = {"password": MASK, "list": ["b", {"token": MASK}, "c"], "more": 1}
    assert unmasked(new, old) == {"password": "p", "list": ["b", {"token": "t"}, "c"], "more": 1}


@pytest.mark.parametrize(
    ("new", "old", "reason"),
    [
        (MASK, None, "the value is masked, and no stored value exists"),
        ({"password": MASK}, {}, "the value, password is masked, and no stored value exists"),
        ({"password": MASK}, ["x"], "the value, password is masked, and no stored value exists"),
        ([1, MASK], [1], "the value, item 2 is masked, and no stored value exists"),
        ([MASK], {"0": "x"}, "the value, item 1 is masked, and no stored value exists"),
        (f"postgres://{MASK}@other/x", DSN, "the value was changed around a masked part; enter the complete value"),
        ([f"x{MASK}"], [5], "the value, item 1 was changed around a masked part; enter the complete value"),
    ],
)
def test_a_mask_without_its_value_is_refused_with_its_place(new: Any, old: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        unmasked(new, old)
    assert str(caught.value) == reason


def test_a_mask_stays_where_the_agent_has_the_value() -> None:
    assert unmasked([MASK, {"a": MASK}], None, is_stored=False) == [MASK, {"a": MASK}]
    with pytest.raises(ValueError, match="enter the complete value"):
        unmasked(f"x{MASK}", "y", is_stored=False)


def test_whatever_was_stored_under_a_bare_mask_is_kept() -> None:
    assert unmasked(MASK, 5) == 5
