"""Every zone's changes of its clocks, against a second implementation that looks at each nominal time by itself.

A sample in the usual run, all of 1970 to 2100 where AFTER_TEST_ALL_ZONES is set: that takes some minutes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from clocks import POLICIES, always, chain, chain_back, changes, instants, offset_at, shown_at, steps
from hypothesis import given, settings
from hypothesis import strategies as st

from after.dates import DAY, HOUR, parse_instant
from after.recurrence import rule
from after.repeat import Dst, Repeat

ZONES = sorted(name for name in available_timezones() if name not in ("Factory", "localtime"))
WIDE = 30 * HOUR
"""Longer than any change of the clocks moves anything: Samoa's and Kwajalein's moved a whole day."""
ALL = "AFTER_TEST_ALL_ZONES" in os.environ

CRONS = {
    "0-59/10 0-23 * * *": always,
    "30 2 * * *": lambda shown: (shown.hour, shown.minute) == (2, 30),
    "0,50 0,23 * * *": lambda shown: shown.hour in (0, 23) and shown.minute in (0, 50),
    "10 1-3 * * *": lambda shown: shown.hour in (1, 2, 3) and shown.minute == 10,
}
ELAPSED = {
    "*/10 * * * *": always,
    "0 * * * *": lambda shown: shown.minute == 0,
    "20 */2 * * *": lambda shown: shown.hour % 2 == 0 and shown.minute == 20,
    "*/30 2 * * *": lambda shown: shown.hour == 2 and shown.minute % 30 == 0,
}


def on(day: date) -> Callable[[datetime], bool]:
    return lambda shown: shown.date() == day and shown.hour in (0, 1, 2, 3, 22, 23) and shown.minute in (0, 30)


def minutes(name: str, change: int, wide: int) -> list[datetime]:
    """Give every tenth minute that clocks may show around a change, and more than that."""
    first = shown_at(change - 2 * wide, ZoneInfo(name)).replace(minute=0, second=0)
    return list(steps(first, first + timedelta(milliseconds=4 * wide), timedelta(minutes=10)))


def check(name: str, change: int, crons: Mapping[str, Callable[[datetime], bool]], wide: int = WIDE) -> None:
    zone = ZoneInfo(name)
    first, last = change - wide, change + wide
    nominal = minutes(name, change, wide)
    for expression, matches in crons.items():
        wanted = [shown for shown in nominal if matches(shown)]
        for gap, overlap in [("skip", "first")] if expression in ELAPSED else POLICIES:
            series = rule(Repeat(cron=expression, timezone=name, dst=Dst(gap, overlap)), 0)  # type: ignore[arg-type]
            every = instants(wanted, zone, gap, overlap, elapsed=expression in ELAPSED)
            expected = [one for one in every if max(first, 0) <= one <= last]
            where = f"{expression} {gap} {overlap} in {name} at {shown_at(change, zone)}"
            assert chain(series, max(first, 0), last) == expected, where
            assert chain_back(series, max(first, 0), last) == expected, where


@given(st.sampled_from(ZONES), st.integers(1970, 2100))
@settings(max_examples=30, deadline=None)
def test_cron_expressions_at_changes_of_the_clocks(name: str, year: int) -> None:
    zone = ZoneInfo(name)
    for change in changes(zone, year):
        # On that day alone, and once at that, so that the time before and after it is jumped over.
        day, last = shown_at(change, zone).date(), shown_at(change - 30 * 60_000, zone)
        alone = {
            f"0,30 0-3,22,23 {day.day} {day.month} *": on(day),
            f"{last.minute} {last.hour} {last.day} {last.month} *": last.__eq__,
        }
        check(name, change, CRONS | ELAPSED | (alone if last.minute % 10 == last.second == 0 else {}))


@given(st.sampled_from(ZONES), st.integers(0, 130 * 365))
@settings(max_examples=12, deadline=None)
def test_cron_expressions_on_any_day(name: str, day: int) -> None:
    check(name, day * DAY, CRONS | ELAPSED)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Sao_Paulo", "Africa/Casablanca", "Pacific/Apia"])
@pytest.mark.parametrize(("gap", "overlap"), POLICIES)
def test_one_hour_a_week_for_130_years(name: str, gap: str, overlap: str) -> None:
    zone, first, last = ZoneInfo(name), 0, parse_instant("2100-12-31")
    sunday = shown_at(3 * DAY, zone).replace(hour=0, minute=30)
    nights = steps(sunday, shown_at(last, zone), timedelta(days=7))
    nominal = [night + timedelta(hours=hour) for night in nights for hour in (0, 2)]
    weekday = sunday.isoweekday() % 7
    series = rule(Repeat(cron=f"30 0,2 * * {weekday}", timezone=name, dst=Dst(gap, overlap)), 0)  # type: ignore[arg-type]
    expected = [one for one in instants(nominal, zone, gap, overlap) if 7 * DAY <= one <= last]
    assert chain(series, first + 7 * DAY, last) == expected
    assert chain_back(series, first + 7 * DAY, last) == expected


@given(st.sampled_from(ZONES), st.integers(1970, 2100), st.sampled_from(["P1D", "P1W", "P3D"]), st.integers(0, 1439))
@settings(max_examples=40, deadline=None)
def test_calendar_intervals_at_changes_of_the_clocks(name: str, year: int, interval: str, minute: int) -> None:
    zone = ZoneInfo(name)
    days = {"P1D": 1, "P3D": 3, "P1W": 7}[interval]
    for change in changes(zone, year):
        for gap, overlap in POLICIES:
            # The anchor is far enough before the change to be an ordinary time.
            anchor = change - 50 * DAY + minute * 60_000
            shown = shown_at(anchor, zone)
            nominal = list(steps(shown + timedelta(days=days), shown + timedelta(days=100), timedelta(days=days)))
            expected = sorted({anchor, *(one for one in instants(nominal, zone, gap, overlap) if one > anchor)})
            series = rule(Repeat(interval=interval, timezone=name, dst=Dst(gap, overlap)), anchor)  # type: ignore[arg-type]
            last = anchor + 90 * DAY
            assert chain(series, anchor, last) == [one for one in expected if one <= last]
            assert chain_back(series, anchor, last) == [one for one in expected if one <= last]


@given(st.sampled_from(ZONES), st.integers(1970, 2100), st.sampled_from([25, 45, 180, 300, 1440, 1500]))
@settings(max_examples=30, deadline=None)
def test_rules_of_minutes_at_changes_of_the_clocks(name: str, year: int, minutes: int) -> None:
    zone = ZoneInfo(name)
    text = f"FREQ=MINUTELY;INTERVAL={minutes}"
    for change in changes(zone, year):
        start = change - 40 * DAY + 10 * 60_000
        shown = shown_at(start, zone)
        nominal = list(steps(shown, shown + timedelta(days=44), timedelta(minutes=minutes)))
        for gap, overlap in POLICIES:
            series = rule(Repeat(rrule=text, timezone=name, dst=Dst(gap, overlap)), start)  # type: ignore[arg-type]
            every = [one for one in instants(nominal, zone, gap, overlap) if one >= start]
            expected = [one for one in every if change - WIDE <= one <= change + WIDE]
            assert chain(series, change - WIDE, change + WIDE) == expected
            assert chain_back(series, change - WIDE, change + WIDE) == expected


@pytest.mark.skipif(not ALL, reason="AFTER_TEST_ALL_ZONES is not set: only a sample of zones and years was tried")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(8))
def test_every_zone_from_1970_to_2100(part: int) -> None:
    dense = {"0-59/10 0-23 * * *": always, "*/10 * * * *": always}
    for name in ZONES[part::8]:
        zone = ZoneInfo(name)
        for change in changes(zone, 1970, 2100):
            moved = abs(offset_at(change, zone) - offset_at(change - 60_000, zone)) // timedelta(milliseconds=1)
            check(name, change, dense, moved + 2 * HOUR)
