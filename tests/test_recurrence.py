from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from after.dates import DAY, HOUR, Duration, format_instant, parse_duration, parse_instant
from after.recurrence import Interval, parse_zone

zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Sao_Paulo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
     "Asia/Kathmandu", "Africa/Casablanca", "America/St_Johns", "Pacific/Kwajalein"]
).map(ZoneInfo)  # fmt: skip
durations = st.one_of(
    st.builds(Duration, days=st.integers(1, 40)),
    st.builds(Duration, months=st.integers(1, 30)),
    st.builds(Duration, years=st.integers(1, 5), months=st.integers(0, 11), days=st.integers(0, 30)),
    st.builds(Duration, days=st.integers(0, 3), milliseconds=st.integers(1, 3 * DAY)),
)
instants = st.integers(parse_instant("1960-01-01"), parse_instant("2060-01-01"))


def occurrences(interval: Interval, after: str, count: int) -> list[str]:
    found, instant = [], parse_instant(after)
    for _ in range(count):
        following = interval.next(instant)
        assert following is not None
        instant = following
        found.append(format_instant(instant)[:16])
    return found


def every(duration: str, anchor: str, zone: str = "UTC") -> Interval:
    return Interval(parse_duration(duration), parse_instant(anchor), parse_zone(zone))


def test_the_anchor_itself_is_the_first_occurrence() -> None:
    interval = every("P1D", "2026-01-05T09:00")
    assert occurrences(interval, "2025-01-01", 2) == ["2026-01-05T09:00", "2026-01-06T09:00"]


def test_a_month_from_the_31st_comes_back_to_the_31st() -> None:
    assert occurrences(every("P1M", "2026-01-31T10:00"), "2026-01-01", 5) == [
        "2026-01-31T10:00", "2026-02-28T10:00", "2026-03-31T10:00", "2026-04-30T10:00", "2026-05-31T10:00",
    ]  # fmt: skip


def test_a_year_from_the_leap_day_comes_back_to_the_leap_day() -> None:
    assert occurrences(every("P1Y", "2024-02-29"), "2024-03-01", 4) == [
        "2025-02-28T00:00", "2026-02-28T00:00", "2027-02-28T00:00", "2028-02-29T00:00",
    ]  # fmt: skip


def test_months_are_added_before_days() -> None:
    assert occurrences(every("P1M1D", "2026-01-31"), "2026-01-31", 2) == ["2026-03-01T00:00", "2026-04-02T00:00"]


def test_days_keep_the_nominal_time_when_the_clocks_change() -> None:
    interval = every("P1D", "2026-03-27T08:00+01:00", "Europe/Berlin")
    assert occurrences(interval, "2026-03-28", 3) == ["2026-03-28T07:00", "2026-03-29T06:00", "2026-03-30T06:00"]


def test_hours_elapse_when_the_clocks_change() -> None:
    interval = every("PT24H", "2026-03-27T08:00+01:00", "Europe/Berlin")
    assert occurrences(interval, "2026-03-28", 3) == ["2026-03-28T07:00", "2026-03-29T07:00", "2026-03-30T07:00"]


def test_a_time_that_does_not_exist_moves_by_the_length_of_the_gap() -> None:
    interval = every("P1D", "2026-03-27T02:30+01:00", "Europe/Berlin")
    # On the 29th 02:30 is left out and 03:30 is 01:30 UTC.
    assert occurrences(interval, "2026-03-28", 3) == ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]


def test_a_time_that_exists_twice_is_its_first_instant() -> None:
    interval = every("P1D", "2026-10-23T02:30+02:00", "Europe/Berlin")
    assert occurrences(interval, "2026-10-24T12:00", 2) == ["2026-10-25T00:30", "2026-10-26T01:30"]


def test_a_day_that_a_zone_skipped_gives_no_second_occurrence() -> None:
    interval = every("P1D", "2011-12-28T10:00-10:00", "Pacific/Apia")
    # Samoa went from the 29th to the 31st.
    assert occurrences(interval, "2011-12-29", 3) == ["2011-12-29T20:00", "2011-12-30T20:00", "2011-12-31T20:00"]


def nominal(interval: tuple[Duration, int, tzinfo], k: int) -> int:
    """Give the k-th occurrence in the slowest and plainest way."""
    duration, anchor, zone = interval
    if k == 0:
        return anchor
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    instant = anchor
    if duration.years or duration.months or duration.days:
        local = (epoch + timedelta(milliseconds=anchor)).astimezone(zone).replace(tzinfo=None)
        months = local.year * 12 + local.month - 1 + k * (duration.years * 12 + duration.months)
        year, month, day = months // 12, months % 12 + 1, local.day
        while True:
            try:
                local = local.replace(year=year, month=month, day=day)
                break
            except ValueError:
                day -= 1
        local += timedelta(days=k * duration.days)
        instant = (local.replace(tzinfo=zone, fold=0) - epoch) // timedelta(milliseconds=1)
    return instant + k * duration.milliseconds


@given(durations, instants, zones, st.integers(0, 300))
def test_no_occurrence_is_left_out_and_none_repeats(duration: Duration, anchor: int, zone: tzinfo, first: int) -> None:
    interval = Interval(duration, anchor, zone)
    expected = sorted({nominal((duration, anchor, zone), k) for k in range(first, first + 12)})
    found = [expected[0]]
    while found[-1] < expected[-1]:
        found.append(interval.next(found[-1]))
    assert found == expected


@given(durations, instants, zones, instants)
def test_next_is_the_first_one_later(duration: Duration, anchor: int, zone: tzinfo, after: int) -> None:
    interval = Interval(duration, anchor, zone)
    found = interval.next(after)
    assert found > after
    assert interval.next(found - 1) == found
    if after < found - 1:
        assert interval.next((after + found) // 2) == found


def test_the_end_of_the_calendar_is_an_error_not_a_wrong_date() -> None:
    daily = every("P1D", "9999-12-30T12:00")
    assert occurrences(daily, "9999-12-30T12:00", 1) == ["9999-12-31T12:00"]
    for interval in (daily, every("PT5H", "2026-01-01"), every("P9999Y", "2026-01-01"), every("P1M", "2026-01-31")):
        assert interval.next(parse_instant("9999-12-31T23:00")) is None


def test_an_interval_must_advance() -> None:
    with pytest.raises(ValueError, match="'PT0S' is no interval, it never advances"):
        Interval(Duration(), 0)


def test_an_anchor_must_be_in_the_calendar() -> None:
    with pytest.raises(ValueError, match="outside the years"):
        Interval(Duration(days=1), 10**18)
    with pytest.raises(ValueError, match="outside the years"):
        every("P1D", "0001-01-01", "America/New_York")


def test_far_from_the_anchor_it_is_as_quick() -> None:
    interval = every("PT1S", "0001-01-01")
    assert interval.next(parse_instant("9000-01-01")) == parse_instant("9000-01-01T00:00:01")
    hourly = Interval(Duration(days=1, milliseconds=HOUR), parse_instant("0002-01-01"), ZoneInfo("Europe/Berlin"))
    assert hourly.next(parse_instant("9000-01-01")) > parse_instant("9000-01-01")


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "America", "../etc/passwd", "/etc/passwd", 5, None])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not an IANA time zone"):
        parse_zone(name)
