# SPDX-License-Identifier: AGPL-3.0-or-later
from __future__ import annotations

import traceback

import pytest

from z4j.web.frame.tracebacks import is_own, read
from z4j.web.pages.component_gallery import TRACE


def test_own_frames_first_innermost_first() -> None:
    view = read("shop.mail.MailDown: smtp.internal:587", TRACE)
    last, cause = view.parts
    assert (last.lead, [frame.function for frame in last.own]) == ("", ["deliver", "send_campaign"])
    assert [frame.function for frame in last.theirs] == ["trace_task"]
    assert last.own[0].source == "raise MailDown(host) from error"
    assert (last.own[0].file, last.own[0].line) == ("/srv/shop/mail.py", "44")
    assert cause.lead == "caused by"
    assert cause.message == "ConnectionRefusedError: [Errno 111] Connection refused"
    assert view.text == TRACE


def test_a_real_one() -> None:
    def fails() -> None:
        raise KeyError("first\nsecond")

    try:
        try:
            fails()
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError:
        text = traceback.format_exc()
    view = read("ValueError: outer", text)
    assert [part.lead for part in view.parts] == ["", "caused by"]
    assert view.parts[1].own[0].function.endswith("fails")
    assert "^" not in view.parts[1].own[0].source


@pytest.mark.parametrize(
    "text", ["", "no traceback at all", "  File broken", 'Traceback (most recent call last):\n  File "a.py", li', "\x00" * 50]
)
def test_what_is_no_traceback_keeps_its_text(text: str) -> None:
    view = read("Error: x", text)
    assert view.parts == ()
    assert view.text == text


@pytest.mark.parametrize(
    ("file", "own"),
    [("/srv/shop/mail.py", True), ("/venv/lib/python3.11/site-packages/celery/app/trace.py", False),
     ("/usr/lib/python3.11/smtplib.py", False),
     ("<frozen importlib._bootstrap>", False), ("C:\\Python311\\Lib\\json\\decoder.py", False), ("<string>", True)],
)  # fmt: skip
def test_whose_file(file: str, own: bool) -> None:
    assert is_own(file) is own
