"""Recurrence rules, against the library dateutil, which goes through them one by one from their start."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

import pytest
from clocks import EPOCH, MILLISECOND
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from after.dates import DAY, format_instant, parse_instant
from after.errors import InvalidTask
from after.recurrence import check_repeat, rule, upcoming
from after.recurrence.fields import WEEKDAYS
from after.repeat import Dst, Repeat

NAIVE = EPOCH.replace(tzinfo=None)


def some(low: int, high: int, most: int = 4) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high).filter(bool) if low < 0 else st.integers(low, high)
    return st.lists(numbers, min_size=1, max_size=most, unique=True).map(lambda chosen: ",".join(map(str, chosen)))


weekdays = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True)
# Not with weekdays that have no number: dateutil takes the days that are both, RFC 5545 those that are either.
numbered = weekdays | st.lists(
    st.tuples(st.sampled_from(["1", "2", "-1", "-2", "4"]), st.sampled_from(WEEKDAYS)).map("".join),
    min_size=1, max_size=3, unique=True,
)  # fmt: skip


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Give rules that occur, and soon, because dateutil would look for the others up to the year 9999."""
    frequency = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"]))
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.sampled_from([1, 1, 2, 3, 5]))}"]
    fine = frequency in ("HOURLY", "MINUTELY", "SECONDLY")
    choices = {
        "YEARLY": ["BYMONTH", "BYMONTHDAY", "BYDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH+BYDAY", ""],
        "MONTHLY": ["BYMONTHDAY", "BYDAY", ""],
        "WEEKLY": ["BYDAY", "BYMONTH", ""],
    }.get(frequency, ["BYDAY", "BYMONTHDAY", ""])
    made = {
        "BYMONTH": some(1, 12), "BYMONTHDAY": some(-28, 28), "BYYEARDAY": some(-365, 365), "BYWEEKNO": some(-51, 52),
        "BYDAY": (numbered if frequency in ("YEARLY", "MONTHLY") else weekdays).map(",".join),
    }  # fmt: skip
    parts += [f"{name}={draw(made[name])}" for name in draw(st.sampled_from(choices)).split("+") if name]
    if not fine:
        parts += [f"BYHOUR={draw(some(0, 23))}"] if draw(st.booleans()) else []
        parts += [f"BYMINUTE={draw(some(0, 59, 3))}"] if draw(st.booleans()) else []
        # dateutil takes BYSETPOS in the rest of the first week, not in the whole of it.
        parts += [f"BYSETPOS={draw(some(-3, 3, 3))}"] if frequency != "WEEKLY" and draw(st.booleans()) else []
    elif frequency != "HOURLY":
        parts += ["BYHOUR=3,4,5,23"] if draw(st.booleans()) else []
    if draw(st.booleans()) and "BYSETPOS" not in parts[-1]:
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    return ";".join(parts)


starts = st.integers(0, 30 * 365 * 86_400).map(lambda seconds: NAIVE + timedelta(seconds=seconds, days=30 * 365))


@given(rules(), starts)
@settings(max_examples=120, deadline=None)
def test_rules_are_read_as_dateutil_reads_them(text: str, start: datetime) -> None:
    expected = [(one - NAIVE) // MILLISECOND for one in islice(rrulestr(text, dtstart=start), 25) if one.year < 2400]
    begin = (start - NAIVE) // MILLISECOND
    found = rule(Repeat(rrule=text), begin)
    assert upcoming(Repeat(rrule=text), begin, len(expected)) == expected
    if expected:
        here, back = found.latest(expected[-1]), []
        while here is not None:
            back.append(here)
            here = found.latest(here - 1)
        assert back[::-1] == expected
        assert found.next(expected[-1] - 1) == expected[-1]


def dates(text: str, start: str, count: int = 5, zone: str | None = None) -> list[str]:
    return [
        format_instant(one)[:16] for one in upcoming(Repeat(rrule=text, timezone=zone), parse_instant(start), count)
    ]


def test_the_start_gives_what_a_rule_leaves_open_also_parts_of_a_second() -> None:
    start = parse_instant("2026-05-04T09:17:23.456Z")
    assert upcoming(Repeat(rrule="FREQ=DAILY"), start, 2) == [start, start + DAY]
    assert upcoming(Repeat(rrule="FREQ=SECONDLY;INTERVAL=10"), start, 2) == [start, start + 10_000]
    assert upcoming(Repeat(rrule="FREQ=MINUTELY;BYSECOND=0"), start, 1) == [parse_instant("2026-05-04T09:18:00Z")]


def test_the_last_friday_of_each_month() -> None:
    assert dates("RRULE:FREQ=MONTHLY;BYDAY=-1FR", "2026-01-01T09:00", 3) == [
        "2026-01-30T09:00", "2026-02-27T09:00", "2026-03-27T09:00",
    ]  # fmt: skip


def test_days_that_some_months_do_not_have_are_left_out() -> None:
    assert dates("FREQ=MONTHLY", "2026-01-31", 3) == ["2026-01-31T00:00", "2026-03-31T00:00", "2026-05-31T00:00"]
    assert dates("FREQ=YEARLY", "2024-02-29", 3) == ["2024-02-29T00:00", "2028-02-29T00:00", "2032-02-29T00:00"]


def test_a_leap_day_on_a_certain_weekday_is_found_over_decades() -> None:
    # 2100 has no leap day, so forty years pass.
    text = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO"
    assert dates(text, "2072-01-01", 2) == ["2072-02-29T00:00", "2112-02-29T00:00"]


def test_a_week_of_bysetpos_is_a_whole_one_from_the_first() -> None:
    # Wednesday is the third of Monday, Tuesday, Wednesday, also where the rule begins on a Tuesday.
    assert dates("FREQ=WEEKLY;BYDAY=MO,TU,WE;BYSETPOS=3", "2026-05-05", 2) == ["2026-05-06T00:00", "2026-05-13T00:00"]


def test_weeks_of_a_year_that_lie_in_the_one_before() -> None:
    # The first week of 2025 began on 2024-12-30, the 53rd of 2026 ends on 2027-01-03.
    assert dates("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO", "2024-12-01", 2) == ["2024-12-30T00:00", "2025-12-29T00:00"]
    assert dates("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU", "2024-12-01", 1) == ["2027-01-03T00:00"]
    assert dates("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU", "2026-01-01", 2) == ["2027-01-03T00:00", "2028-01-02T00:00"]


def test_until_includes_its_day_in_the_zone() -> None:
    berlin = "Europe/Berlin"
    # 23:30 on the 3rd in Berlin is 22:30 in UTC.
    assert len(dates("FREQ=DAILY;UNTIL=20260103", "2026-01-01T22:30Z", 9, berlin)) == 3
    assert len(dates("FREQ=DAILY;UNTIL=20260103T233000", "2026-01-01T22:30Z", 9, berlin)) == 3
    assert len(dates("FREQ=DAILY;UNTIL=20260103T232959", "2026-01-01T22:30Z", 9, berlin)) == 2
    assert len(dates("FREQ=DAILY;UNTIL=20260103T223000Z", "2026-01-01T22:30Z", 9, berlin)) == 3
    assert len(dates("FREQ=DAILY;UNTIL=20260103T222959Z", "2026-01-01T22:30Z", 9, berlin)) == 2


def test_count_counts_nominal_times_whatever_the_clocks_do() -> None:
    text, start = "FREQ=DAILY;COUNT=3", parse_instant("2026-03-28T01:30Z")
    for dst, expected in (
        (Dst(gap="shift"), ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]),
        (Dst(gap="skip"), ["2026-03-28T01:30", "2026-03-30T00:30"]),
    ):
        series = Repeat(rrule=text, timezone="Europe/Berlin", dst=dst)
        assert [format_instant(one)[:16] for one in upcoming(series, start, 9)] == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is not of the form NAME=VALUE"),
        ("FREQ", "'FREQ' is not of the form NAME=VALUE"),
        ("INTERVAL=2", "FREQ must be one of YEARLY"),
        ("FREQ=FORTNIGHTLY", "FREQ must be one of YEARLY"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ is there twice"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL must be from 1 to 1000000000, got '0'"),
        ("FREQ=DAILY;INTERVAL=9999999999", "INTERVAL must be from 1"),
        ("FREQ=DAILY;COUNT=0", "COUNT must be from 1 to 10000, got '0'"),
        ("FREQ=DAILY;COUNT=10001", "COUNT must be from 1 to 10000"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "COUNT does not go with UNTIL"),
        ("FREQ=DAILY;UNTIL=soon", "UNTIL must be like 20261231"),
        ("FREQ=DAILY;UNTIL=20269999", "UNTIL must be like 20261231"),
        ("FREQ=DAILY;UNTIL=20269999T000000Z", "UNTIL must be like 20261231"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR must be from 0 to 23, got '24'"),
        ("FREQ=DAILY;BYHOUR=", "'BYHOUR=' is not of the form"),
        ("FREQ=DAILY;BYHOUR=1,,2", "BYHOUR must be from 0 to 23, got ''"),
        ("FREQ=DAILY;BYMONTHDAY=0", "BYMONTHDAY has no 0"),
        ("FREQ=DAILY;BYDAY=XX", "BYDAY takes weekdays"),
        ("FREQ=DAILY;BYDAY=1MO", "a number goes only with FREQ=MONTHLY"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY takes weekdays"),
        ("FREQ=YEARLY;BYDAY=1MO;BYWEEKNO=3", "a number goes only with"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY does not go with FREQ=WEEKLY"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO does not go with FREQ=MONTHLY"),
        ("FREQ=DAILY;WKST=XX", "WKST must be one of MO"),
        ("FREQ=DAILY;BYEASTER=0", "'BYEASTER' is not a part of a rule"),
        ("FREQ=DAILY;DTSTART=20260101", "DTSTART does not belong here: `date` is the start, `timezone` the zone"),
        ("DTSTART;TZID=Europe/Berlin:20260101T000000\nRRULE:FREQ=DAILY", "DTSTART does not belong here"),
        ("DTSTART:20260101T000000Z\nRRULE:FREQ=DAILY", "DTSTART does not belong here"),
        ("FREQ=DAILY;TZID=UTC", "TZID does not belong here"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "it never occurs"),
        ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", "it never occurs"),
        ("FREQ=YEARLY;BYMONTH=4;BYYEARDAY=1", "it never occurs"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidTask) as raised:
        check_repeat(Repeat(rrule=text), parse_instant("2026-01-01"))
    assert raised.value.field == "repeat.rrule"
    assert reason in raised.value.reason
    assert len(raised.value.reason) < 300


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "2026-05-05"),
        ("FREQ=HOURLY;INTERVAL=24;BYHOUR=5", "2026-05-05T03:00"),
        ("FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29", "2025-01-01"),
        ("FREQ=MONTHLY;BYMONTHDAY=31;INTERVAL=12", "2026-02-01"),
        ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=1;BYSETPOS=2", "2026-02-01"),
        ("FREQ=SECONDLY;INTERVAL=60;BYSECOND=1", "2026-02-01"),
        ("FREQ=DAILY;UNTIL=20250101", "2026-02-01"),
    ],
)
def test_what_never_occurs_from_its_date_is_refused(text: str, start: str) -> None:
    with pytest.raises(InvalidTask, match="repeat: has no occurrence at or after the task's `date`"):
        check_repeat(Repeat(rrule=text), parse_instant(start))
    check_repeat(Repeat(rrule=text), None)


@pytest.mark.timeout(10)
def test_a_rule_of_seconds_is_quick_however_old_it_is() -> None:
    found = rule(Repeat(rrule="FREQ=SECONDLY;INTERVAL=7"), parse_instant("0001-01-01"))
    for year in range(1000, 9999, 10):
        following = found.next(parse_instant(f"{year}-06-01"))
        assert following is not None
        assert found.latest(following + 6_999) == following


def test_the_end_of_the_calendar() -> None:
    for frequency in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY", "YEARLY;BYSETPOS=-1"):
        for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
            found = rule(Repeat(rrule=f"FREQ={frequency}", timezone=zone), parse_instant("9990-12-31T12:00"))
            last = found.latest(parse_instant("9999-12-31T23:59:59.999Z"))
            assert last is not None
            assert found.next(last) is None
            assert last > parse_instant("9998-12-31")


def test_weekdays_with_and_without_a_number_are_those_that_are_either() -> None:
    start = parse_instant("2026-06-01")
    found = upcoming(Repeat(rrule="FREQ=MONTHLY;BYDAY=MO,1TU"), start, 6)
    assert [format_instant(one)[5:10] for one in found] == ["06-01", "06-02", "06-08", "06-15", "06-22", "06-29"]
