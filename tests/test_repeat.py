"""The field `repeat`: what it may say, what is refused and how, and what is asked of a rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from after.dates import DAY, HOUR, format_instant, parse_instant
from after.errors import InvalidTask
from after.lifecycle import create
from after.recurrence import check_repeat, jitter, rule, upcoming
from after.repeat import Repeat
from after.task import check

START = parse_instant("2026-05-04T09:00Z")


def read(value: Any) -> str | Repeat:
    return value if isinstance(value, str) else msgspec.convert(value, Repeat)


def dates(value: Any, start: int = START, count: int = 3) -> list[str]:
    return [format_instant(one)[:16] for one in upcoming(read(value), start, count)]


def test_an_interval_begins_with_the_date_and_the_others_with_their_first_match() -> None:
    assert dates({"interval": "P1D"}) == ["2026-05-04T09:00", "2026-05-05T09:00", "2026-05-06T09:00"]
    assert dates({"cron": "0 9 * * *"}) == ["2026-05-04T09:00", "2026-05-05T09:00", "2026-05-06T09:00"]
    assert dates({"cron": "0 8 * * *"}) == ["2026-05-05T08:00", "2026-05-06T08:00", "2026-05-07T08:00"]
    assert dates({"rrule": "FREQ=WEEKLY;BYDAY=TU"}) == ["2026-05-05T09:00", "2026-05-12T09:00", "2026-05-19T09:00"]
    assert dates({"cron": "0 9 * * *", "timezone": "America/Sao_Paulo"}, count=1) == ["2026-05-04T12:00"]


def test_a_start_between_two_milliseconds_of_a_second_is_not_run_before() -> None:
    assert dates({"cron": "0 9 * * *"}, START + 1, 1) == ["2026-05-05T09:00"]


def test_iso_8601_repetitions() -> None:
    assert dates("R2/2026-05-04T09:00Z/P1D", count=9) == ["2026-05-04T09:00", "2026-05-05T09:00"]
    assert dates("R2//P1D", count=9) == ["2026-05-04T09:00", "2026-05-05T09:00"]
    assert dates("R/20260504T110000+02:00/PT12H") == ["2026-05-04T09:00", "2026-05-04T21:00", "2026-05-05T09:00"]
    assert dates("R//P1M", parse_instant("2026-01-31")) == ["2026-01-31T00:00", "2026-02-28T00:00", "2026-03-31T00:00"]
    found = rule("R5/2026-05-04T09:00Z/P1D", 0)
    assert (found.start, found.limit) == (START, 5)
    assert rule("R//P1D", START).limit is None


def test_the_start_of_a_repetition_is_the_date_of_a_new_task() -> None:
    task = {"worker": "w", "job": "j", "repeat": "R5/2026-05-04T09:00Z/P1D"}
    assert create(task, START)["date"] == "2026-05-04T09:00:00.000Z"
    assert create({**task, "date": "2026-05-04T11:00+02:00"}, START)["date"] == "2026-05-04T09:00:00.000Z"
    with pytest.raises(InvalidTask, match="does not start at the task's `date`"):
        create({**task, "date": "2026-05-07T09:00Z"}, START)


def test_until_is_included_and_limit_is_told() -> None:
    assert dates({"interval": "P1D", "until": "2026-05-05T09:00Z"}, count=9) == ["2026-05-04T09:00", "2026-05-05T09:00"]
    assert dates({"cron": "0 9 * * *", "until": "2026-05-05T08:59:59Z"}, count=9) == ["2026-05-04T09:00"]
    found = rule(read({"interval": "P1D", "until": "2026-05-05T09:00Z", "limit": 7}), START)
    assert found.limit == 7
    assert found.latest(START + 100 * DAY) == START + DAY
    assert found.latest(START - 1) is None
    assert found.next(START + DAY) is None
    assert found.first() == START
    assert found.next(0) == START


def test_a_rule_is_read_once_for_all_that_ask_for_it() -> None:
    assert rule(read({"cron": "0 9 * * *"}), START) is rule(read({"cron": "0 9 * * *"}), START)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "repeat: expected exactly one of interval, cron, rrule"),
        ({"timezone": "UTC"}, "repeat: expected exactly one of interval, cron, rrule"),
        ({"interval": "P1D", "cron": "@daily"}, "repeat: expected exactly one of interval, cron, rrule"),
        ({"interval": "PT0S"}, "repeat.interval: 'PT0S' is no interval, it never advances"),
        ({"interval": "daily"}, "repeat.interval: 'daily' is not an ISO 8601 duration"),
        ({"interval": "P99999Y"}, "repeat.interval: 'P99999Y' is longer than 9999 years"),
        ({"cron": "61 * * * *"}, "repeat.cron: '61 * * * *' is not a cron expression: bad minute"),
        ({"cron": "@daily", "timezone": "Mars/Olympus"}, "repeat.timezone: 'Mars/Olympus' is not an IANA time zone"),
        ({"cron": "@daily", "timezone": ""}, "repeat.timezone: '' is not an IANA time zone"),
        ({"cron": "@daily", "timezone": "right/Europe/Berlin"}, "repeat.timezone: 'right/Europe/Berlin' is not"),
        ({"cron": "@daily", "timezone": "../../etc/passwd"}, "repeat.timezone: '../../etc/passwd' is not"),
        ({"cron": "@daily", "until": "soon"}, "repeat.until: 'soon' is not an ISO 8601 date"),
        ({"cron": "@daily", "jitter": "P1M"}, "repeat.jitter: 'P1M' has no fixed length"),
        ({"cron": "@daily", "jitter": "x"}, "repeat.jitter: 'x' is not an ISO 8601 duration"),
        ({"interval": "P1D", "until": "2026-05-04T08:00Z"}, "repeat: has no occurrence at or after the task's `date`"),
        ("P1D", "repeat: 'P1D' is not like R5/2026-12-01T09:00Z/P1D: Rn/START/PERIOD"),
        ("R5/P1D", "repeat: 'R5/P1D' is not like"),
        ("R5/2026-05-04T09:00Z/2026-05-05T09:00Z", "is not like"),
        ("R5/P1D/2026-05-04T09:00Z", "is not like"),
        ("R-1//P1D", "is not like"),
        ("R5//P1D/P1D", "is not like"),
        ("R0//P1D", "repeat: R0 is not a number of runs from 1 to 1000000000"),
        ("R9999999999//P1D", "is not a number of runs"),
        ("R5/soon/P1D", "repeat: 'soon' is not an ISO 8601 date"),
        ("R5//PT0S", "repeat: 'PT0S' is no interval"),
        ("R5//P1X", "repeat: 'P1X' is not an ISO 8601 duration"),
    ],
)
def test_what_is_wrong_is_refused_with_the_name_of_the_field(value: Any, reason: str) -> None:
    with pytest.raises(InvalidTask) as raised:
        check({"worker": "w", "job": "j", "date": "2026-05-04T09:00Z", "repeat": value})
    assert reason in raised.value.reason
    assert raised.value.reason.startswith("repeat")


@pytest.mark.parametrize(
    "value",
    [
        {"cron": "0 " * 50_000},
        {"cron": "," * 1_000},
        {"cron": "1," * 490 + "1 * * * *"},
        {"cron": "1/" * 490 + "1 * * * *"},
        {"cron": "9" * 900 + " * * * *"},
        {"rrule": "FREQ=DAILY;" * 10_000},
        {"rrule": "FREQ=DAILY;BYHOUR=" + "9" * 900},
        {"interval": "P" + "9" * 90 + "D"},
        {"interval": "P1D" * 100_000},
        {"cron": "@daily", "timezone": "a" * 100_000},
        {"cron": "@daily", "until": "9" * 100_000},
        {"rrule": "FREQ=SECONDLY;COUNT=10000;INTERVAL=7;BYSECOND=3;BYMONTH=2"},
        {"rrule": "FREQ=YEARLY;COUNT=10000;BYMONTH=2;BYMONTHDAY=29"},
        {"rrule": "FREQ=YEARLY;INTERVAL=999999999;COUNT=10000"},
        {"rrule": "FREQ=DAILY;INTERVAL=999999999;COUNT=10000"},
        {"rrule": "FREQ=SECONDLY;INTERVAL=999999999;BYMONTH=5"},
        {"rrule": "FREQ=MINUTELY;BYMINUTE=7;BYSETPOS=-366;COUNT=10000"},
        {"rrule": "FREQ=YEARLY;BYHOUR=0,1,2,3,4,5,6,7,8,9;BYSETPOS=1,2,3,-1,-2;BYDAY=MO,TU,WE;COUNT=10000"},
        "R" + "9" * 100_000 + "//P1D",
        "R//" * 100_000,
    ],
)
@pytest.mark.timeout(20)
def test_what_is_enormous_is_refused_or_quick(value: Any) -> None:
    reason = ""
    try:
        check_repeat(read(value), START)
    except InvalidTask as error:
        reason = error.reason
    assert len(reason) < 300, "what is refused is refused in few words"


def test_a_series_that_has_begun_may_have_a_date_beyond_its_end() -> None:
    repeat = {"interval": "P1D", "until": "2026-05-07T09:00Z"}
    task = {"worker": "w", "job": "j", "date": "2026-05-07T09:00:30Z", "repeat": repeat}
    with pytest.raises(InvalidTask, match="no occurrence"):
        check(task)
    check({**task, "occurrence": {"start": "2026-05-04T09:00Z", "date": "2026-05-07T09:00Z", "number": 4}})
    del task["date"]
    check(task)


def test_jitter_is_the_same_whoever_computes_it_and_spreads() -> None:
    assert jitter("task", START, 0) == 0
    assert jitter("task", START, 60_000) == jitter("task", START, 60_000)
    found = [jitter(f"task-{number}", START, 60_000) for number in range(2000)]
    assert all(0 <= one < 60_000 for one in found)
    assert len({one // 6_000 for one in found}) == 10
    assert len({jitter("task", START + number * HOUR, 60_000) for number in range(100)}) > 90
    # Pinned, because workers of two versions may have the same task.
    assert jitter("spring-sale", START, 3_600_000) == 1_971_661
