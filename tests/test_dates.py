from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.dates import (
    DAY,
    EARLIEST,
    HOUR,
    LATEST,
    Duration,
    elapsed,
    format_duration,
    format_instant,
    parse_duration,
    parse_elapsed,
    parse_instant,
)

instants = st.integers(EARLIEST, LATEST)
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01", "2026-12-01T00:00:00.000Z"),
        ("2026-12-01T09:00", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01 09:00", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01T09", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01T09:00:00-03:00", "2026-12-01T12:00:00.000Z"),
        ("2026-12-01T00:30+05:30", "2026-11-30T19:00:00.000Z"),
        ("20261201T090000Z", "2026-12-01T09:00:00.000Z"),
        ("20261201", "2026-12-01T00:00:00.000Z"),
        ("2026-W49-2", "2026-12-01T00:00:00.000Z"),
        ("2026W492T0900", "2026-12-01T09:00:00.000Z"),
        ("2026-12-01T09:00:00,5Z", "2026-12-01T09:00:00.500Z"),
        ("2026-12-01T09:00:00.123999Z", "2026-12-01T09:00:00.123Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2024-02-29", "2024-02-29T00:00:00.000Z"),
        ("0001-01-01", "0001-01-01T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_date_is_an_instant_in_utc(text: str, instant: str) -> None:
    assert format_instant(parse_instant(text)) == instant


@pytest.mark.parametrize(
    "text",
    [
        "", "5", "tomorrow", "2026", "2026-12", "2026-W49", "2026-335", "2026-13-01", "2026-02-29", "2026-12-01T",
        "2026-12-01x09:00", "2026-12-01T25:00", "2026-12-01T09:00:61", "2026-12-01\n", "2026-12-01T09:00:00Z\n",
        " 2026-12-01", "10000-01-01", "-2026-12-01", "0000-01-01", "0001-01-01T00:00+01:00",
        "9999-12-31T23:59:59-01:00", "\uff12\uff10\uff12\uff16-12-01", "2026-12-01T09:00+24:00",
        "2026-12-01T09:00+05:99", "2026W49-12", "P1D", "1796115600000",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an ISO 8601 date$") as caught:
        parse_instant(text)
    assert str(caught.value) == f"{text!r} is not an ISO 8601 date"


@pytest.mark.parametrize("value", [None, 5, 1.5, True, [], ["2026-12-01"] * 11, {}, b"2026-12-01"])
def test_what_is_no_text_is_no_date_and_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"is not an ISO 8601 date$"):
        parse_instant(value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"is not an ISO 8601 duration$"):
        parse_duration(value)  # type: ignore[arg-type]


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(ValueError, match=r"is not an ISO 8601 date$") as caught:
        parse_instant("9" * 10_000)
    assert len(str(caught.value)) < 120


@given(instants)
def test_every_instant_can_be_written_and_read(instant: int) -> None:
    text = format_instant(instant)
    assert len(text) == len("2026-12-01T09:00:00.000Z")
    assert parse_instant(text) == instant


@given(st.datetimes(timezones=offsets))
def test_reading_agrees_with_datetime(date: datetime) -> None:
    expected = (date - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if EARLIEST <= expected <= LATEST:
        assert parse_instant(date.isoformat()) == expected
    else:
        with pytest.raises(ValueError, match="is not an ISO 8601 date"):
            parse_instant(date.isoformat())


@given(instants, instants)
def test_texts_sort_like_their_instants(one: int, other: int) -> None:
    assert (format_instant(one) < format_instant(other)) == (one < other)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_instant, parse_duration):
        # Anything but a ValueError fails the test.
        with suppress(ValueError):
            parse(text)


@pytest.mark.parametrize("instant", [EARLIEST - 1, LATEST + 1, 10**30])
def test_an_instant_outside_of_the_calendar_cannot_be_written(instant: int) -> None:
    with pytest.raises(ValueError, match="outside the years 0001 to 9999"):
        format_instant(instant)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P1D", Duration(days=1)),
        ("P2W", Duration(days=14)),
        ("P1Y2M3W4DT5H6M7.008S", Duration(1, 2, 25, 5 * HOUR + 367_008)),
        ("PT5M", Duration(milliseconds=300_000)),
        ("P5M", Duration(months=5)),
        ("PT0.5S", Duration(milliseconds=500)),
        ("PT1,25S", Duration(milliseconds=1250)),
        ("PT0.0019S", Duration(milliseconds=1)),
        ("PT36H", Duration(milliseconds=36 * HOUR)),
        ("PT0S", Duration()),
        ("P0D", Duration()),
    ],
)
def test_a_duration_is_read(text: str, duration: Duration) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "", "P", "PT", "P1", "5M", "1D", "P1DT", "P1.5D", "PT1.5H", "-P1D", "P-1D", "+P1D", "PT5", "pt5m", "P1S",
        "PT1D", "P1D2M", "PT1S1M", "P1M1Y", "PT1.S", "PT.5S", "P٣D", "P1D\n", " P1D", "P 1D", "PT" + "9" * 200 + "S",
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not an ISO 8601 duration$"):
        parse_duration(text)


def test_a_duration_longer_than_the_calendar_is_refused() -> None:
    assert parse_duration("P9999Y").years == 9999
    with pytest.raises(ValueError, match="'PT99999999999999H' is longer than 9999 years"):
        parse_duration("PT99999999999999H")


@given(
    st.builds(
        Duration,
        years=st.integers(0, 1000),
        months=st.integers(0, 1000),
        days=st.integers(0, 100_000),
        milliseconds=st.integers(0, 10**12),
    )
)
def test_every_duration_can_be_written_and_read(duration: Duration) -> None:
    assert parse_duration(str(duration)) == duration


@given(st.integers(0, 10**14))
def test_elapsed_milliseconds_come_back(length: int) -> None:
    assert parse_elapsed(format_duration(length)) == length


def test_a_day_is_24_hours_where_time_elapses() -> None:
    assert parse_elapsed("P1DT1H") == DAY + HOUR
    assert format_duration(DAY + HOUR) == "PT25H"


@pytest.mark.parametrize("text", ["P1M", "P1Y", "P1Y1D", "P1MT1S"])
def test_months_have_no_fixed_length(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' has no fixed length; use days, hours, minutes or seconds"):
        elapsed(parse_duration(text))


def test_a_negative_duration_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(-1)
