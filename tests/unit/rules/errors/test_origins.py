# SPDX-License-Identifier: AGPL-3.0-or-later
"""Origins read from tracebacks: the first and the last function of the application, and what caused the exception."""

from __future__ import annotations

import time
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from z4j.rules.errors.origins import LIMIT, LINE, Origin, is_library, line_of, origin_of

BARE = '  File "/srv/shop/tasks.py", line {}, in {}\n'
OWN = '  File "/srv/releases/20261130/shop/tasks.py", line {}, in {}\n    go()\n'
THEIRS = '  File "/usr/lib/python3.13/site-packages/{}.py", line 7, in {}\n'
HEAD = "Traceback (most recent call last):\n"
CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"


def test_frames_of_libraries_and_line_numbers_do_not_matter() -> None:
    short = HEAD + OWN.format(3, "charge") + OWN.format(9, "capture") + "shop.Declined: no\n"
    long = HEAD + THEIRS.format("celery/app/trace", "trace_task") + OWN.format(4, "charge") + OWN.format(1, "capture")
    long += THEIRS.format("stripe/api", "post") + "shop.Declined: no\n"
    assert origin_of(short) == origin_of(long) == Origin("shop.tasks.charge", "shop.tasks.capture")


def test_a_folder_of_a_deployment_is_no_package() -> None:
    text = HEAD + '  File "/srv/20261130/tasks.py", line 3, in run\nValueError\n'
    assert origin_of(text).function == "tasks.run"


def test_an_installed_application_is_found_behind_its_engine() -> None:
    text = (
        HEAD + THEIRS.format("celery/app/trace", "trace_task") + THEIRS.format("acme/tasks", "meter") + THEIRS.format("acme/quota", "check")
    )
    assert origin_of(text + THEIRS.format("redis/client", "get") + "Quota: 1\n") == Origin("acme.tasks.meter", "acme.quota.check")


def test_only_an_engine_has_its_last_frame() -> None:
    text = HEAD + THEIRS.format("celery/app/trace", "trace_task") + THEIRS.format("kombu/serialization", "loads") + "DecodeError: x\n"
    assert origin_of(text).function == "kombu.serialization.loads"


def test_causes_are_named_in_order() -> None:
    text = HEAD + OWN.format(1, "a") + "x.First: 1\n" + CAUSED + HEAD + OWN.format(2, "b") + "y.Second: 2\nmore: text\n"
    text += CAUSED + HEAD + OWN.format(3, "c") + "Third\n"
    assert origin_of(text) == Origin("shop.tasks.c", "shop.tasks.c", ("First", "Second"))


def test_comprehensions_and_generated_names() -> None:
    text = HEAD + OWN.format(1, "rank") + OWN.format(1, "<listcomp>") + "TypeError: x\n"
    assert origin_of(text).function == "shop.tasks.rank"
    assert origin_of(HEAD + OWN.format(1, "handle_8f3e2a91") + "E\n").function == "shop.tasks.handle_*"
    assert origin_of(HEAD + OWN.format(1, "step_1") + "E\n").function == "shop.tasks.step_1"


def test_of_a_cut_traceback_the_beginning_is_not_known() -> None:
    text = HEAD + OWN.format(1, "first") + OWN.format(1, "middle") * (LIMIT // 60) + OWN.format(1, "last") + "E: x\n"
    assert origin_of(text) == Origin("", "shop.tasks.last")
    assert origin_of("…" + text[-500:]) == Origin("", "shop.tasks.last")


def test_a_group_is_told_by_what_is_in_it() -> None:
    def raised(error: Exception) -> str:
        try:
            raise ExceptionGroup("two", [error, KeyError("k")])
        except ExceptionGroup as group:
            return "".join(traceback.format_exception(group))

    values, times = origin_of(raised(ValueError("1"))), origin_of(raised(TimeoutError()))
    assert values.function == times.function == "errors.test_origins.raised"
    assert values.causes == ("ValueError", "KeyError")
    assert times.causes == ("TimeoutError", "KeyError")


def test_a_real_traceback() -> None:
    with pytest.raises(AttributeError) as caught:
        origin_of(None)  # type: ignore[arg-type]
    assert origin_of("".join(traceback.format_exception(caught.value))).function.endswith("origins.origin_of")


@pytest.mark.parametrize("file", ["/usr/lib/python3.13/json/decoder.py", "<frozen runpy>", "C:\\Python\\Lib\\json.py"])
def test_libraries(file: str) -> None:
    assert is_library(file)
    assert not is_library("/srv/shop/tasks.py")


@given(st.text() | st.lists(st.sampled_from([HEAD, OWN, CAUSED, "  | ", "+-+---- 1 ----\n", "E: x\n", "…", '  File "', "\n"])).map("".join))
@settings(max_examples=300, deadline=None)
def test_any_text_has_an_origin(text: str) -> None:
    assert origin_of(text) == origin_of(text)


@pytest.mark.parametrize("piece", ['File "', 'File "a", line 1, in b\n', "|", "+ ", "A.", HEAD, "a\n", " "])
def test_hostile_tracebacks_take_no_time(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    origin_of(text)
    assert time.perf_counter() - began < 0.2


def test_the_words_of_deployments_and_engines() -> None:
    words = "app apps src code srv opt current workspace work home lib project build repo site tmp"
    for word in (*words.split(), "APP", "v2", "20261130"):
        assert origin_of(HEAD + f'  File "/x/{word}/tasks.py", line 3, in run\nE\n').function == "tasks.run", word
    for engine in ["celery", "billiard", "kombu", "rq", "dramatiq", "huey", "arq", "taskiq", "apscheduler"]:
        text = HEAD + THEIRS.format(f"{engine}/a", "f") + THEIRS.format("acme/b", "g") + THEIRS.format(f"{engine}/c", "h")
        assert origin_of(text + "E\n").function == "acme.b.g", engine
    for word in ("<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"):
        assert origin_of(HEAD + OWN.format(1, "rank") + OWN.format(1, word) + "E\n").function == "shop.tasks.rank"


def test_generated_files_are_not_of_the_application() -> None:
    assert origin_of(HEAD + OWN.format(1, "run") + '  File "<string>", line 1, in handler\nE\n').function == "shop.tasks.run"
    assert origin_of(HEAD + '  File "<string>", line 1, in handler\nE\n') == Origin()
    assert origin_of(HEAD + '  File "/usr/lib/python3.13/json/decoder.py", line 1, in decode\nE\n') == Origin()
    assert origin_of(HEAD + '  File "C:\\srv\\shop\\tasks.py", line 1, in run\nE\n').function == "shop.tasks.run"
    assert origin_of(HEAD + '  File "/srv/shop/tasks.pyc", line 1\nE\n').function == "shop.tasks."
    assert origin_of(HEAD + THEIRS.replace(".py", ".pyx").format("acme/fast", "go") + "E\n").function == "acme.fast.pyx.go"


def test_causes_are_limited_and_named_once() -> None:
    def chain(names: list[str]) -> str:
        return CAUSED.join(HEAD + OWN.format(1, "run") + f"x.{name}: 1\n" for name in names)

    assert origin_of(chain([*"ABCDEFG", "Last"])).causes == tuple("CDEFG")
    assert origin_of(chain(["A", "A", "Last"])).causes == ("A",)
    during = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert origin_of(chain(["A", "Last"]).replace(CAUSED, during)).causes == ("A",)
    assert origin_of("A: without frames\n" + CAUSED + HEAD + OWN.format(1, "run") + "Last\n").causes == ("A",)
    assert origin_of(
        HEAD + OWN.format(1, "run") + "A: 1\nB: is more of the message\n" + CAUSED + HEAD + OWN.format(1, "run") + "C\n"
    ).causes == ("A",)


def test_a_name_and_a_text_have_a_limit() -> None:
    assert len(origin_of(HEAD + f'  File "/srv/{"p" * 300}/tasks.py", line 3, in run\nE\n').function) == 200
    head = HEAD + OWN.format(1, "first")
    middle = "x" * (LIMIT - len(head) - len(OWN.format(1, "last")))
    whole = head + middle + OWN.format(1, "last")
    assert len(whole) == LIMIT
    assert origin_of(whole).entry == "shop.tasks.first"
    assert origin_of(whole + "\n").entry == ""


def test_where_a_line_belongs() -> None:
    own = HEAD + OWN.format(1, "run")
    assert origin_of("Old: 1\n" + own + "New: 2\n").causes == ("Old",)
    assert origin_of('  File "/srv/shop/tasks.py", line 1, in old\n' + own + "New: 2\n") == Origin("shop.tasks.run", "shop.tasks.run")
    # lines of source look like the name of an exception, too
    assert origin_of(HEAD + '  File "/srv/shop/tasks.py", line 1, in run\n    else:\nA: 1\n' + CAUSED + own + "B: 2\n").causes == ("A",)
    lead = CAUSED.strip()
    assert origin_of(f"A: 1\n{lead}\n{own}B: 2\n").causes == ("A",)
    assert origin_of(own.removeprefix(HEAD) + f"A: 1\n{lead}\n" + own.removeprefix(HEAD) + "B: 2\n").causes == ("A",)


def test_of_a_cut_chain_only_the_first_part_is_not_whole() -> None:
    own = HEAD + OWN.format(1, "run") + OWN.format(1, "last")
    assert origin_of("…" + OWN.format(1, "other") + "A: 1\n" + CAUSED + own + "B: 2\n") == Origin(
        "shop.tasks.run", "shop.tasks.last", ("A",)
    )


def test_a_group_says_where_each_of_its_exceptions_was_raised() -> None:
    head = "  + Exception Group Traceback (most recent call last):\n"
    head += '  |   File "/srv/shop/tasks.py", line 1, in fan_out\n  |     async with group:\n  | x.Group: two\n'
    one = "  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n"
    one += '    |   File "/srv/shop/tasks.py", line 2, in send\n    |     raise: it\n    | ValueError: no\n'
    two = "    +---------------- 2 ----------------\n    | KeyError: 'k'\n    +------------------------------------\n"
    assert origin_of(head + one + two) == Origin("shop.tasks.fan_out", "shop.tasks.fan_out", ("ValueError@shop.tasks.send", "KeyError"))


def test_the_line_that_raised_is_the_last_one_of_the_application() -> None:
    own = '  File "/srv/shop/tasks.py", line {}, in {}\n    {}\n    ^^^^\n'
    library = '  File "/venv/lib/python3.12/site-packages/redis/client.py", line 9, in get\n    raise it\n'
    whole = HEAD + own.format(1, "run", "charge()") + own.format(7, "charge", "redis.get(key)") + library + "E: no\n"
    assert line_of(whole) == "shop.tasks.charge: redis.get(key)"
    assert line_of(whole.replace("line 7", "line 88")) == line_of(whole)
    assert line_of(HEAD + library + "E: no\n") == "redis.client.get: raise it"
    assert line_of(whole + CAUSED + HEAD + own.format(3, "other", "more()") + "F: no\n") == "shop.tasks.other: more()"


def test_a_line_without_its_source_is_known_by_its_number() -> None:
    assert line_of(HEAD + BARE.format(17, "run") + "E: no\n") == "shop.tasks.run: line 17"
    assert line_of(HEAD + OWN.format(17, "run") + BARE.format(18, "last") + "  \n") == "shop.tasks.last: line 18"
    assert line_of("") == line_of("ValueError: no") == line_of(HEAD) == ""
    assert line_of('Traceback (most recent call last):\n  File "<string>", line 1, in f\n    go()\nE') == ""


def test_what_is_indented_less_or_follows_later_is_no_source() -> None:
    assert line_of(HEAD + BARE.format(1, "run") + "  [Previous line repeated 3 more times]\n    late()\nE\n") == "shop.tasks.run: line 1"
    assert line_of('   File "/srv/shop/tasks.py", line 1, in run\n   same()\nE\n') == "shop.tasks.run: line 1"
    assert line_of('File "/srv/shop/tasks.py", line 1, in run\n go()\nE\n') == "shop.tasks.run: go()"


def test_of_a_group_of_exceptions_the_line_is_that_of_the_group() -> None:
    head = "  + Exception Group Traceback (most recent call last):\n"
    head += '  |   File "/srv/shop/tasks.py", line 1, in fan_out\n  |     async with group:\n  | x.Group: two\n'
    one = "  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n"
    one += '    |   File "/srv/shop/tasks.py", line 2, in send\n    |     raise it\n    | ValueError: no\n'
    assert line_of(head + one) == "shop.tasks.fan_out: async with group:"


def test_a_line_has_a_limit() -> None:
    long = HEAD + BARE.format(1, "run") + "    " + "x" * 900 + "\nE\n"
    assert len(line_of(long)) == LINE == 300


def test_how_much_is_read_of_a_line() -> None:
    assert LIMIT == 64_000
    head = "  + Exception Group Traceback (most recent call last):\n" + OWN.format(1, "fan_out")
    assert line_of(head + "x" * LIMIT + "\n" + HEAD + OWN.format(2, "last") + "E: no\n") == "shop.tasks.last: go()"


def test_what_happened_during_handling_is_another_exception() -> None:
    lead = "During handling of the above exception, another exception occurred:"
    assert origin_of(f"A: 1\n{lead}\n" + OWN.format(1, "run") + "B: 2\n").causes == ("A",)


def test_of_a_package_inside_another_one_the_inner_counts() -> None:
    inner = '  File "/v/site-packages/vendored/site-packages/shop/tasks.py", line 1, in run\n'
    outer = '  File "/v/site-packages/vendored/x.py", line 1, in y\n'
    assert origin_of(HEAD + inner + outer + "E: no\n") == Origin("shop.tasks.run", "shop.tasks.run")


def test_source_of_several_lines_is_no_exception() -> None:
    lines = '  File "/srv/shop/tasks.py", line 1, in run\n    first()\n    else:\n'
    assert origin_of(HEAD + lines + "A: 1\n" + CAUSED + HEAD + OWN.format(1, "run") + "B: 2\n").causes == ("A",)
    head = "  + Exception Group Traceback (most recent call last):\n"
    head += '  |   File "/srv/shop/tasks.py", line 1, in fan_out\n  |     first()\n  |     async with group:\n  | x.Group: two\n'
    one = "  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n"
    one += '    |   File "/srv/shop/tasks.py", line 2, in send\n    |     first()\n    |     raise: it\n    | ValueError: no\n'
    assert origin_of(head + one) == Origin("shop.tasks.fan_out", "shop.tasks.fan_out", ("ValueError@shop.tasks.send",))


def test_a_traceback_without_frames_has_its_exception() -> None:
    assert origin_of(HEAD + OWN.format(1, "run") + "A: 1\n" + HEAD + "B: 2\n").causes == ("A",)


def test_of_an_engine_alone_the_last_function_counts() -> None:
    frames = "".join(THEIRS.format(f"celery/app/{name}", name) for name in ("trace", "task", "control"))
    assert origin_of(HEAD + frames + "E: no\n") == Origin("celery.app.control.control", "celery.app.control.control")
