"""Cron expressions, against the library cronsim, which goes through them one by one."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice

import pytest
from clocks import EPOCH, MILLISECOND
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from after.dates import DAY, format_instant, parse_instant
from after.errors import InvalidTask
from after.recurrence import check_repeat, rule, upcoming
from after.repeat import Repeat

NAIVE = EPOCH.replace(tzinfo=None)


def part(low: int, high: int, *others: str) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=1, max_size=4).map(lambda chosen: ",".join(map(str, chosen))),
        st.integers(1, 20).map("*/{}".format),
        st.tuples(number, number).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(number, st.integers(1, 9)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        *map(st.just, others),
    )


fives = st.tuples(
    part(0, 59), part(0, 23), part(1, 28, "L", "LW", "29,30"), part(1, 12, "JAN", "jan-mar"),
    part(0, 7, "MON", "sun,wed", "5L", "1#2", "MON-FRI"),
)  # fmt: skip
expressions = st.one_of(fives, st.tuples(part(0, 59), fives).map(lambda pair: (pair[0], *pair[1]))).map(" ".join)
starts = st.integers(0, 40 * 365 * DAY).map(lambda ms: NAIVE + timedelta(days=30 * 365, milliseconds=ms))


@given(expressions, starts)
@settings(max_examples=150, deadline=None)
def test_expressions_are_read_as_cronsim_reads_them(expression: str, start: datetime) -> None:
    begin = (start - NAIVE) // MILLISECOND
    expected = [(one - NAIVE) // MILLISECOND for one in islice(CronSim(expression, start), 8)]
    if not expected:
        with pytest.raises(InvalidTask, match="never occurs"):
            rule(Repeat(cron=expression), begin)
        return
    found = rule(Repeat(cron=expression), begin)
    here, forwards = begin, []
    for _ in expected:
        following = found.next(here)
        assert following is not None
        here = following
        forwards.append(here)
    assert forwards == expected
    end = start + timedelta(days=4000)
    before = [(one - NAIVE) // MILLISECOND for one in islice(CronSim(expression, end, reverse=True), 8)]
    here, backwards = (end - NAIVE) // MILLISECOND, []
    for _ in before:
        # cronsim gives what is strictly earlier, `latest` what is not later.
        earlier = found.latest(here - 1)
        if earlier is None:
            break
        here = earlier
        backwards.append(here)
    assert backwards == [one for one in before if one >= begin]


def dates(expression: str, start: str, count: int = 3) -> list[str]:
    return [format_instant(one)[:19] for one in upcoming(Repeat(cron=expression), parse_instant(start), count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1-5", ["2026-05-01T09:00:00", "2026-05-04T09:00:00", "2026-05-05T09:00:00"]),
        ("0 9 * * MON", ["2026-05-04T09:00:00", "2026-05-11T09:00:00", "2026-05-18T09:00:00"]),
        ("15 0 9 * * *", ["2026-05-01T09:00:15", "2026-05-02T09:00:15", "2026-05-03T09:00:15"]),
        ("*/20 * * * * *", ["2026-05-01T00:00:00", "2026-05-01T00:00:20", "2026-05-01T00:00:40"]),
        ("0 0 L * *", ["2026-05-31T00:00:00", "2026-06-30T00:00:00", "2026-07-31T00:00:00"]),
        ("0 0 LW * *", ["2026-05-29T00:00:00", "2026-06-30T00:00:00", "2026-07-31T00:00:00"]),
        ("0 0 * * 5L", ["2026-05-29T00:00:00", "2026-06-26T00:00:00", "2026-07-31T00:00:00"]),
        ("0 0 * * 1#2", ["2026-05-11T00:00:00", "2026-06-08T00:00:00", "2026-07-13T00:00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00", "2032-02-29T00:00:00", "2036-02-29T00:00:00"]),
        # A day of the month or a weekday, as cron has it, where neither is a star.
        ("0 0 13 * FRI", ["2026-05-01T00:00:00", "2026-05-08T00:00:00", "2026-05-13T00:00:00"]),
        ("@yearly", ["2027-01-01T00:00:00", "2028-01-01T00:00:00", "2029-01-01T00:00:00"]),
        ("@annually", ["2027-01-01T00:00:00", "2028-01-01T00:00:00", "2029-01-01T00:00:00"]),
        ("@monthly", ["2026-05-01T00:00:00", "2026-06-01T00:00:00", "2026-07-01T00:00:00"]),
        ("@weekly", ["2026-05-03T00:00:00", "2026-05-10T00:00:00", "2026-05-17T00:00:00"]),
        ("@daily", ["2026-05-01T00:00:00", "2026-05-02T00:00:00", "2026-05-03T00:00:00"]),
        ("@Midnight", ["2026-05-01T00:00:00", "2026-05-02T00:00:00", "2026-05-03T00:00:00"]),
        (" @hourly ", ["2026-05-01T00:00:00", "2026-05-01T01:00:00", "2026-05-01T02:00:00"]),
    ],
)
def test_what_expressions_mean(expression: str, expected: list[str]) -> None:
    assert dates(expression, "2026-05-01") == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "it has five fields, or six with seconds first"),
        ("* * * *", "it has five fields, or six with seconds first"),
        ("* * * * * * *", "it has five fields, or six with seconds first"),
        ("61 * * * *", "'61 * * * *' is not a cron expression: bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 32 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("* * * * MON#6", "bad day-of-week"),
        ("* * * * ٣L", "bad day-of-week"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 31 4,6 *", "bad day-of-month"),
        ("0 0 */31 2 MON#5", "never occurs"),
        ("@reboot", "of macros it takes @yearly, @annually"),
        ("TZ=UTC 0 0 * * *", "is not a cron expression"),
        ("0 0 * * 1/2/3", "bad day-of-week"),
        ("0 0 * * MON#1/2", "bad day-of-week"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_reason(expression: str, reason: str) -> None:
    with pytest.raises(InvalidTask) as raised:
        check_repeat(Repeat(cron=expression), None)
    assert raised.value.field == "repeat.cron"
    assert reason in raised.value.reason


@given(st.text("0123456789*/-,#LW MONFRI@", max_size=30))
@settings(max_examples=150, deadline=None)
def test_anything_else_is_refused_too_or_read(expression: str) -> None:
    with suppress(InvalidTask):
        check_repeat(Repeat(cron=expression), None)


def test_the_end_of_the_calendar() -> None:
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        found = rule(Repeat(cron="0 12 * * *", timezone=zone), parse_instant("9999-12-01"))
        last = found.latest(parse_instant("9999-12-31T23:59:59.999Z"))
        assert last is not None
        assert last > parse_instant("9999-12-29")
        assert found.next(last) is None
        early = rule(Repeat(cron="0 12 * * *", timezone=zone), parse_instant("0001-01-01"))
        first = early.first()
        assert first is not None
        assert first < parse_instant("0001-01-01") + 2 * DAY
        assert early.latest(first - 1) is None
