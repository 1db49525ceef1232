"""What is done about the occurrences that have passed when a worker comes to a task."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from clocks import chain
from hypothesis import given, settings
from hypothesis import strategies as st

from after.dates import DAY, HOUR, MINUTE, SECOND, parse_instant
from after.missed import MISFIRE, CaughtUp, Missed, missed
from after.recurrence import Rule, rule
from after.repeat import Repeat

START = parse_instant("2026-05-04T09:00Z")


def series(**members: Any) -> Rule:
    return rule(msgspec.convert(members, Repeat), START)


DAILY = series(interval="P1D")


@pytest.mark.parametrize("catch_up", [None, "one", "all", "none"])
@pytest.mark.parametrize("late", [-HOUR, 0, 1, MISFIRE])
def test_what_is_on_time_runs(catch_up: Any, late: int) -> None:
    assert missed(DAILY, START, START + late, catch_up) == CaughtUp(START, None, 0)


def test_one_runs_the_newest_for_all() -> None:
    for catch_up in (None, "one"):
        now = START + 3 * DAY + HOUR
        assert missed(DAILY, START, now, catch_up) == CaughtUp(  # type: ignore[arg-type]
            START + 3 * DAY, Missed(START, START + 2 * DAY, 3), 3
        )


def test_one_that_is_alone_runs_late() -> None:
    assert missed(DAILY, START, START + HOUR, "one") == CaughtUp(START, None, 0)
    assert missed(DAILY, START, START + HOUR, "all") == CaughtUp(START, None, 0)


def test_one_on_time_makes_up_for_all_before_it() -> None:
    now = START + 3 * DAY + 500
    assert missed(DAILY, START, now, "one") == CaughtUp(START + 3 * DAY, Missed(START, START + 2 * DAY, 3), 3)
    assert missed(DAILY, START, now, "none") == CaughtUp(START + 3 * DAY, Missed(START, START + 2 * DAY, 3), 3)


def test_none_waits_for_the_next() -> None:
    assert missed(DAILY, START, START + 3 * DAY + HOUR, "none") == CaughtUp(
        START + 4 * DAY, Missed(START, START + 3 * DAY, 4), 4
    )


def test_all_runs_each_from_the_oldest() -> None:
    due, now, runs = START, START + 3 * DAY + HOUR, []
    while due <= now:
        found = missed(DAILY, due, now, "all")
        assert found == CaughtUp(due, None, 0)
        runs.append(due)
        following = DAILY.next(due)
        assert following is not None
        due = following
    assert runs == [START, START + DAY, START + 2 * DAY, START + 3 * DAY]


def test_all_runs_no_more_than_its_limit_the_newest() -> None:
    now = START + 9 * DAY + HOUR
    assert missed(DAILY, START, now, "all", 3) == CaughtUp(START + 7 * DAY, Missed(START, START + 6 * DAY, 7), 7)
    assert missed(DAILY, START, now, "all", 10) == CaughtUp(START, None, 0)
    assert missed(DAILY, START + 7 * DAY, now, "all", 3) == CaughtUp(START + 7 * DAY, None, 0)
    # The one that is on time is not one of those missed.
    for late in (0, MISFIRE):
        assert missed(DAILY, START, START + 9 * DAY + late, "all", 3).run == START + 6 * DAY


def test_a_series_that_is_over() -> None:
    ended = series(interval="P1D", until="2026-05-06T09:00Z")
    now = START + 9 * DAY
    assert missed(ended, START, now, "one") == CaughtUp(START + 2 * DAY, Missed(START, START + DAY, 2), 2)
    assert missed(ended, START, now, "none") == CaughtUp(None, Missed(START, START + 2 * DAY, 3), 3)


def test_very_many_are_counted_where_that_is_arithmetic() -> None:
    now = START + 365 * DAY + 100
    every_second = series(interval="PT1S")
    assert missed(every_second, START, now, "one") == CaughtUp(
        now - 100, Missed(START, now - 100 - SECOND, 365 * 86_400), 365 * 86_400
    )
    cron = series(cron="* * * * *")
    assert missed(cron, START, now + 5 * SECOND, "one") == CaughtUp(
        START + 365 * DAY, Missed(START, START + 365 * DAY - MINUTE, None), 10_000
    )
    assert missed(cron, START, now + 5 * SECOND, "all").run == START + 365 * DAY - 999 * MINUTE
    assert missed(every_second, START, now, "all", 100_000).run == START + 365 * DAY - 100_000 * SECOND


@given(
    st.sampled_from(
        [{"interval": "PT0.3S"}, {"interval": "PT7S"}, {"cron": "*/5 * * * * *"}, {"rrule": "FREQ=SECONDLY;INTERVAL=2"}]
    ),
    st.integers(0, 20),
    st.integers(-3000, 90_000),
    st.sampled_from(["one", "all", "none"]),
    st.integers(1, 12),
)
@settings(max_examples=200, deadline=None)
def test_nothing_is_lost_between_what_runs_and_what_is_left_out(
    members: dict[str, str], first: int, late: int, catch_up: Any, limit: int
) -> None:
    found = series(**members)
    due = chain(found, START, START + 200 * SECOND)[first]
    now = due + late
    result = missed(found, due, now, catch_up, limit)
    passed = chain(found, due, now)
    late_ones = [one for one in passed if one < now - MISFIRE]
    before = [one for one in chain(found, due, now + 10 * SECOND) if result.run is None or one < result.run]
    assert result.number == len(before)
    assert result.left_out == (Missed(before[0], before[-1], len(before)) if before else None)
    # What is on time is never left out.
    assert set(before) <= set(late_ones)
    expected = {
        "one": next((one for one in passed if one >= now - MISFIRE), passed[-1] if passed else due),
        "all": (late_ones[-limit:] or [due])[0],
        "none": found.next(max(now - MISFIRE, due) - 1),
    }[catch_up]
    assert result.run == expected
