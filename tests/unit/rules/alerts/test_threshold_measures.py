# SPDX-License-Identifier: AGPL-3.0-or-later
"""What each measure says of whole minutes, when it says nothing, and which limits are refused."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from z4j.exceptions import BadInput
from z4j.rules.alerts.threshold_measures import (
    FAST_BURN,
    FAST_LONG_MIN,
    FAST_MIN,
    MEASURES,
    NOTHING,
    SLOW_BURN,
    SLOW_LONG_MIN,
    SLOW_MIN,
    MeasureName,
    MinuteSample,
    Threshold,
    window_of,
)
from z4j.rules.rollups import bucket_of

S = 1_000_000
RUN = MinuteSample(
    enqueued=12, started=10, ended=10, bad=1, ran={bucket_of(2 * S): 10}, waited={bucket_of(S): 10}, depth=7, oldest_us=90 * S, dead=2
)


def over(measure: MeasureName, limit: float, samples: list[MinuteSample], **more: float) -> float | None:
    threshold = Threshold(measure, limit, **{"minutes": 5, "least": 20} | more)  # type: ignore[arg-type]
    return MEASURES[measure].is_over(threshold, samples)


def test_the_share_of_failures_needs_enough_runs() -> None:
    assert over("failure_share", 0.05, [RUN] * 5) == 0.1
    assert over("failure_share", 0.1, [RUN] * 5) is None, "the limit itself is allowed"
    assert over("failure_share", 0.05, [RUN]) is None, "ten runs are too few to say"
    assert over("failure_share", 0.05, [NOTHING] * 5, least=0) is None
    assert over("failure_share", 0.0, [replace(RUN, bad=10)] * 10 + [replace(RUN, bad=0)] * 5) is None, "only the last minutes count"


def test_failures_are_counted() -> None:
    assert over("failures", 4, [RUN] * 9) == 5
    assert over("failures", 5, [RUN] * 9) is None


def test_the_runtime_is_a_percentile() -> None:
    slow = over("slow", 1.5, [RUN] * 5)
    assert slow is not None
    assert 1.8 < slow < 2.2
    assert over("slow", 3, [RUN] * 5) is None
    assert over("slow", 1.5, [RUN]) is None
    assert over("slow", 0, [NOTHING] * 5, least=0) is None


def test_a_task_that_does_not_start_is_absent_after_its_time() -> None:
    absent = [RUN, *[NOTHING] * 11]
    assert over("absent", 600, absent) == 660
    assert over("absent", 660, absent) is None
    assert over("absent", 600, [NOTHING] * 12) == 720, "longer than what is looked at"
    assert window_of(Threshold("absent", 600)) == 12


@pytest.mark.parametrize(("measure", "value"), [("depth", 7), ("oldest", 90), ("dead", 2)])
def test_of_a_queue_the_last_report_counts(measure: MeasureName, value: float) -> None:
    assert over(measure, value - 1, [RUN, NOTHING]) == value
    assert over(measure, value, [RUN, NOTHING]) is None
    assert over(measure, 0, [NOTHING]) is None, "nobody has reported it"


def test_a_queue_that_drains_too_slowly_or_never() -> None:
    growing = [replace(RUN, depth=600)] * 15
    assert over("drain", 3_600, growing) == 24 * 3_600, "never, as far as one can see"
    draining = [replace(RUN, enqueued=0, started=60, depth=600)] * 15
    assert over("drain", 3_600, draining) is None
    assert over("drain", 0, [NOTHING] * 15) is None
    assert window_of(Threshold("drain", 60, minutes=2)) == 15


def test_an_objective_is_broken_fast_or_slowly() -> None:
    late = replace(RUN, waited={bucket_of(60 * S): 10})
    half = replace(RUN, waited={bucket_of(60 * S): 4, bucket_of(S): 6})
    good = [RUN] * 360
    assert over("slow_starts", 0.02, good, within_s=30) is None
    assert over("slow_starts", 0.02, good[60:] + [late] * 60, within_s=30) == 1.0
    assert over("slow_starts", 0.02, good[5:] + [late] * 5, within_s=30) is None, "five minutes are 8 % of the hour"
    slowly = over("slow_starts", 0.02, [half] * 360, within_s=30)
    assert slowly is not None
    assert slowly == pytest.approx(0.4)
    assert over("slow_starts", 0.02, [half] * 330 + good[:30], within_s=30) is None, "it is over"
    assert over("slow_starts", 0.5, [late] * 360, within_s=30) == 1.0, "more than all cannot be late"
    assert over("slow_starts", 0.02, [NOTHING] * 360, within_s=30) is None
    assert window_of(Threshold("slow_starts", 0.02)) == 360


@pytest.mark.parametrize(
    "threshold",
    [
        Threshold("failure_share", 1.0), Threshold("failure_share", -0.1), Threshold("depth", -1), Threshold("depth", 1e12),
        Threshold("failures", 1, minutes=0), Threshold("failures", 1, minutes=1_441), Threshold("failures", 1, least=-1),
        Threshold("slow_starts", 0.05), Threshold("slow_starts", 0, within_s=30), Threshold("slow_starts", 0.05, within_s=-1),
        Threshold("depth", float("nan")), Threshold("slow", float("inf")),
    ],
)  # fmt: skip
def test_a_limit_that_makes_no_sense_is_refused(threshold: Threshold) -> None:
    with pytest.raises(BadInput, match="No changes were made"):
        MEASURES[threshold.measure].check(threshold)


@pytest.mark.parametrize(
    "threshold",
    [Threshold("failure_share", 0.99, minutes=1_440), Threshold("depth", 0, minutes=1), Threshold("slow_starts", 0.05, within_s=30)],
)
def test_a_limit_that_makes_sense_is_taken(threshold: Threshold) -> None:
    MEASURES[threshold.measure].check(threshold)


def test_values_read_as_what_they_are() -> None:
    words = {name: measure.words(0.05) for name, measure in MEASURES.items() if measure.unit == "share"}
    assert words == {"failure_share": "5.0%", "slow_starts": "5.0%"}
    assert MEASURES["oldest"].words(90) == "1\u202fm\u202f30\u202fs"
    assert MEASURES["depth"].words(12_418.0) == "12,418"


def test_every_measure_as_forms_and_messages_name_it() -> None:
    assert [(name, each.of, each.what, each.unit) for name, each in MEASURES.items()] == [
        ("failure_share", "name", "failure rate", "share"), ("failures", "name", "failed runs", "count"),
        ("slow", "name", "p95 runtime", "seconds"), ("absent", "name", "time since the last start", "seconds"),
        ("depth", "queue", "waiting tasks", "count"), ("oldest", "queue", "age of the oldest waiting task", "seconds"),
        ("drain", "queue", "time to drain", "seconds"), ("dead", "queue", "dead letters", "count"),
        ("slow_starts", "queue", "share of late starts", "share"),
    ]  # fmt: skip
    assert [MEASURES[name].words(1.0) for name in ("slow", "depth", "failure_share")] == ["1.0\u202fs", "1", "100%"]


def test_defaults_are_those_that_are_stored_as_nothing() -> None:
    assert Threshold("depth", 1) == Threshold("depth", 1, minutes=5, least=20, within_s=0.0)
    assert msgspec.json.encode(Threshold("depth", 1.0)) == b'{"measure":"depth","limit":1.0}'
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"measure":"depth","limit":1,"unit":"tasks"}', type=Threshold)
    assert (NOTHING.enqueued, NOTHING.started, NOTHING.ended, NOTHING.bad, NOTHING.depth) == (0, 0, 0, 0, None)
    assert (FAST_MIN, FAST_LONG_MIN, FAST_BURN, SLOW_MIN, SLOW_LONG_MIN, SLOW_BURN) == (5, 60, 14.4, 30, 360, 6.0)


@pytest.mark.parametrize("measure", ["failure_share", "slow"])
def test_exactly_as_many_runs_as_are_needed_are_enough(measure: MeasureName) -> None:
    assert over(measure, 0.01, [RUN], least=10) is not None
    assert over(measure, 0.01, [RUN], least=11) is None
    one = replace(RUN, ended=1, bad=1, ran={bucket_of(2 * S): 1})
    assert over(measure, 0.01, [one], least=0) is not None
    assert over(measure, 0.01, [one], least=1) is not None


def test_the_95th_percentile_is_not_the_longest_run() -> None:
    one_long = replace(RUN, ran={bucket_of(S): 39, bucket_of(3_600 * S): 1})
    found = over("slow", 0.5, [one_long])
    assert found is not None
    assert found < 2


def test_starts_that_are_needed_for_an_objective() -> None:
    late = replace(RUN, waited={bucket_of(60 * S): 1})
    assert over("slow_starts", 0.02, [late] * 360, within_s=30, least=5) == 1.0, "five in the shortest window"
    assert over("slow_starts", 0.02, [late] * 360, within_s=30, least=6) == 1.0, "the slow pair of windows has more of them"
    assert over("slow_starts", 0.02, [late] * 360, within_s=30, least=31) is None
    assert over("slow_starts", 0.02, [late], within_s=30, least=0) == 1.0
    assert over("slow_starts", 0.02, [late], within_s=30, least=1) == 1.0
    half = replace(RUN, waited={bucket_of(60 * S): 5, bucket_of(S): 5})
    assert over("slow_starts", 0.5 / 6.0, [half] * 360, within_s=30) is None, "exactly as much as the objective allows"


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        (Threshold("failure_share", 1.0), "The limit of “failure rate” must be a share below 100 %. No changes were made."),
        (Threshold("depth", -1), "The limit of “waiting tasks” must be a number that is not negative. No changes were made."),
        (Threshold("depth", 1, least=-1), "The number of tasks and the time to start cannot be negative. No changes were made."),
        (Threshold("depth", 1, within_s=-0.5), "The number of tasks and the time to start cannot be negative. No changes were made."),
        (
            Threshold("slow_starts", 0.05),
            "An objective needs a maximum time to start and the share of tasks that may start later. No changes were made.",
        ),
        (Threshold("depth", 1, minutes=0), "The window must be between 1 minute and 24 hours. No changes were made."),
    ],
)
def test_a_refusal_says_what_is_needed(threshold: Threshold, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        MEASURES[threshold.measure].check(threshold)
    assert caught.value.message == message
    MEASURES["depth"].check(Threshold("depth", 1, least=0))
    MEASURES["slow_starts"].check(Threshold("slow_starts", 0.5, within_s=0.5))
