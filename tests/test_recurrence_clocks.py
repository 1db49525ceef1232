"""The days on which clocks are changed, one known trap at a time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from clocks import POLICIES, chain, shown_at

from after.dates import DAY, HOUR, MINUTE, format_instant, parse_instant
from after.recurrence import Rule, rule
from after.repeat import Dst, Repeat

BERLIN = "Europe/Berlin"


def series(text: str, zone: str, start: str = "1970-01-01", gap: str = "shift", overlap: str = "first") -> Rule:
    dst = Dst(gap, overlap)  # type: ignore[arg-type]
    if text.startswith("FREQ"):
        return rule(Repeat(rrule=text, timezone=zone, dst=dst), parse_instant(start))
    if text.startswith("P"):
        return rule(Repeat(interval=text, timezone=zone, dst=dst), parse_instant(start))
    return rule(Repeat(cron=text, timezone=zone, dst=dst), parse_instant(start))


def between(found: Rule, first: str, last: str) -> list[str]:
    """Give the occurrences between two instants, in UTC to the minute."""
    return [format_instant(one)[5:16] for one in chain(found, parse_instant(first), parse_instant(last))]


@pytest.mark.parametrize(
    ("gap", "overlap", "spring", "autumn"),
    [
        (
            "shift",
            "first",
            ["03-28T01:30", "03-29T01:30", "03-30T00:30"],
            ["10-24T00:30", "10-25T00:30", "10-26T01:30"],
        ),
        (
            "shift",
            "second",
            ["03-28T01:30", "03-29T01:30", "03-30T00:30"],
            ["10-24T00:30", "10-25T01:30", "10-26T01:30"],
        ),
        ("skip", "first", ["03-28T01:30", "03-30T00:30"], ["10-24T00:30", "10-25T00:30", "10-26T01:30"]),
        ("skip", "both", ["03-28T01:30", "03-30T00:30"], ["10-24T00:30", "10-25T00:30", "10-25T01:30", "10-26T01:30"]),
    ],
)
@pytest.mark.parametrize("text", ["30 2 * * *", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30;BYSECOND=0", "P1D"])
def test_half_past_two_in_berlin(text: str, gap: str, overlap: str, spring: list[str], autumn: list[str]) -> None:
    found = series(text, BERLIN, "2025-12-31T01:30Z", gap, overlap)
    assert between(found, "2026-03-28", "2026-03-30T12:00") == spring
    assert between(found, "2026-10-24", "2026-10-26T12:00") == autumn


@pytest.mark.parametrize(("gap", "overlap"), POLICIES)
def test_a_year_of_half_past_two_in_berlin(gap: str, overlap: str) -> None:
    found = series("30 2 * * *", BERLIN, gap=gap, overlap=overlap)
    year = chain(found, parse_instant("2026-01-01"), parse_instant("2026-12-31T22:59"))
    assert len(year) == 365 - (gap == "skip") + (overlap == "both")
    odd = [one for one in year if shown_at(one, ZoneInfo(BERLIN)).strftime("%H:%M") != "02:30"]
    assert odd == ([parse_instant("2026-03-29T01:30Z")] if gap == "shift" else [])


@pytest.mark.parametrize(("text", "step"), [("0 * * * *", HOUR), ("*/15 * * * *", 15 * MINUTE), ("* * * * *", MINUTE)])
@pytest.mark.parametrize(("gap", "overlap"), POLICIES)
def test_what_runs_every_hour_or_quarter_follows_elapsed_time(text: str, step: int, gap: str, overlap: str) -> None:
    found = series(text, BERLIN, gap=gap, overlap=overlap)
    for midnight, hours in (("2026-03-28T23:00Z", 23), ("2026-10-24T22:00Z", 25), ("2026-06-01T22:00Z", 24)):
        start = parse_instant(midnight)
        day = chain(found, start, start + hours * HOUR - 1)
        assert day == list(range(start, start + hours * HOUR, step))


def test_every_second_hour_counts_by_the_clock_and_leaves_out_what_it_does_not_show() -> None:
    found = series("0 */2 * * *", BERLIN)
    # 02:00 does not exist in March, so three hours by the clock and as many in truth lie between 00:00 and 04:00.
    assert between(found, "2026-03-28T21:00", "2026-03-29T04:00") == [
        "03-28T21:00",
        "03-28T23:00",
        "03-29T02:00",
        "03-29T04:00",
    ]
    # In October it comes twice.
    assert between(found, "2026-10-24T22:00", "2026-10-25T03:00") == [
        "10-24T22:00",
        "10-25T00:00",
        "10-25T01:00",
        "10-25T03:00",
    ]


def test_a_list_of_hours_that_meets_a_moved_time_runs_once() -> None:
    assert between(series("0 2,3 * * *", BERLIN), "2026-03-29", "2026-03-29T23:00") == ["03-29T01:00"]
    assert between(series("0,30 2,3 * * *", BERLIN), "2026-03-29", "2026-03-29T23:00") == ["03-29T01:00", "03-29T01:30"]
    assert between(series("15 2,3 * * *", BERLIN, gap="skip"), "2026-03-29", "2026-03-29T23:00") == ["03-29T01:15"]


def test_lord_howe_moves_its_clocks_by_half_an_hour() -> None:
    howe = "Australia/Lord_Howe"
    # 02:00 became 02:30 on 2026-10-04: 02:15 is 02:45, which is 15:45 in UTC.
    assert between(series("15 2 * * *", howe), "2026-10-02T12:00", "2026-10-05T12:00") == [
        "10-02T15:45",
        "10-03T15:45",
        "10-04T15:15",
    ]
    assert between(series("15 2 * * *", howe, gap="skip"), "2026-10-03", "2026-10-04") == []
    # 02:00 became 01:30 on 2026-04-05: 01:45 was there twice.
    assert between(series("45 1 * * *", howe, overlap="both"), "2026-04-04T00:00", "2026-04-05") == [
        "04-04T14:45",
        "04-04T15:15",
    ]
    assert between(series("0 2 * * *", howe), "2026-04-04T00:00", "2026-04-05") == ["04-04T15:30"]


def test_apia_had_no_30_december_2011() -> None:
    apia = "Pacific/Apia"
    # After the 29th at UTC-10 came the 31st at UTC+14: what was to be on the 30th is on the 31st and meets another.
    assert between(series("0 10 * * *", apia), "2011-12-29T12:00", "2012-01-01") == [
        "12-29T20:00",
        "12-30T20:00",
        "12-31T20:00",
    ]
    assert between(series("0 10 30 * *", apia), "2011-12-29T12:00", "2012-01-01") == ["12-30T20:00"]
    assert between(series("0 10 30 * *", apia, gap="skip"), "2011-12-01", "2012-02-01") == ["01-29T20:00"]
    assert between(series("P1W", apia, "2011-12-23T10:00-10:00"), "2011-12-23", "2012-01-07") == [
        "12-23T20:00",
        "12-30T20:00",
        "01-05T20:00",
    ]


@pytest.mark.parametrize(
    ("zone", "day", "shifted"),
    [
        ("America/Sao_Paulo", "2018-11-04", "11-04T03:00"),
        ("Asia/Beirut", "2026-03-29", "03-28T22:00"),
        ("Africa/Cairo", "2026-04-24", "04-23T22:00"),
    ],
)
def test_a_midnight_that_does_not_exist_is_at_one_o_clock(zone: str, day: str, shifted: str) -> None:
    noon = parse_instant(f"{day}T12:00")
    for text in ("0 0 * * *", "@daily", "FREQ=DAILY;BYHOUR=0;BYMINUTE=0;BYSECOND=0"):
        found = [format_instant(one)[5:16] for one in chain(series(text, zone), noon - 24 * HOUR, noon)]
        assert found == [shifted]
        assert chain(series(text, zone, gap="skip"), noon - 24 * HOUR, noon) == []


def test_a_midnight_that_comes_twice_in_beirut_and_sao_paulo() -> None:
    # At 00:00 the clocks went back to 23:00 of the day before, so 23:30 came twice and 00:00 once.
    for zone, evening in (("Asia/Beirut", "2026-10-24"), ("America/Sao_Paulo", "2018-02-17")):
        noon = parse_instant(f"{evening}T15:00")
        assert len(chain(series("30 23 * * *", zone, overlap="both"), noon, noon + DAY)) == 2
        assert len(chain(series("0 0 * * *", zone, overlap="both"), noon, noon + DAY)) == 1


def test_ramadan_in_casablanca() -> None:
    # From UTC+1 to UTC at 03:00 on 2026-02-15, and forward again at 02:00 on 2026-03-22.
    casablanca = "Africa/Casablanca"
    nine = series("0 9 * * *", casablanca)
    assert between(nine, "2026-02-14", "2026-02-15T23:00") == ["02-14T08:00", "02-15T09:00"]
    assert between(nine, "2026-03-21", "2026-03-22T23:00") == ["03-21T09:00", "03-22T08:00"]
    assert between(series("30 2 * * *", casablanca), "2026-02-15", "2026-02-15T23:00") == ["02-15T01:30"]
    assert between(series("30 2 * * *", casablanca, overlap="second"), "2026-02-15", "2026-02-15T23:00") == [
        "02-15T02:30"
    ]
    assert between(series("30 2 * * *", casablanca), "2026-03-22", "2026-03-22T23:00") == ["03-22T02:30"]


def test_dublin_whose_summer_is_its_standard_time() -> None:
    dublin = "Europe/Dublin"
    assert between(series("30 1 * * *", dublin), "2026-03-28T12:00", "2026-03-30") == ["03-29T01:30"]
    assert between(series("30 1 * * *", dublin, overlap="both"), "2026-10-24T12:00", "2026-10-26") == [
        "10-25T00:30",
        "10-25T01:30",
    ]


@pytest.mark.parametrize("text", ["P1M", "P1Y"])
def test_the_end_of_february_and_of_long_months(text: str) -> None:
    found = series(text, BERLIN, "2024-02-29T08:00Z" if text == "P1Y" else "2024-01-31T08:00Z")
    first = between(found, "2024-01-01", "2028-03-01T12:00")
    assert first[:3] == (
        ["02-29T08:00", "02-28T08:00", "02-28T08:00"]
        if text == "P1Y"
        else ["01-31T08:00", "02-29T08:00", "03-31T07:00"]
    )


def test_an_interval_follows_the_policies_except_for_its_first_instant() -> None:
    # The date itself is an instant and always runs: here the second 02:30, where the policy takes the first.
    found = series("P1Y", BERLIN, "2026-10-25T01:30Z")
    assert between(found, "2026-01-01", "2027-12-31") == ["10-25T01:30", "10-25T00:30"]
    mixed = series("P1DT1H", BERLIN, "2026-03-28T01:30Z", gap="skip")
    assert between(mixed, "2026-03-28", "2026-03-31") == ["03-28T01:30", "03-30T02:30"]


def test_an_interval_that_falls_into_a_gap_for_years_is_found() -> None:
    # From 2008 to 2022 Iran moved its clocks at the midnight after the first day of spring, in leap years a day sooner.
    found = series("P1Y", "Asia/Tehran", "2007-03-21T20:45Z", gap="skip")
    years = [shown_at(one, ZoneInfo("Asia/Tehran")).year for one in chain(found, 0, parse_instant("2020-12-31"))]
    assert years == [2007, 2008, 2012, 2016, 2020]


@pytest.mark.parametrize(
    ("text", "after", "occurrence", "note"),
    [
        (
            "30 2 * * *",
            "2026-03-28T01:30",
            "2026-03-29T01:30",
            "02:30 on 2026-03-29 does not exist in Europe/Berlin: moved to 03:30",
        ),
        ("30 2 * * *", "2026-03-29T01:30", "2026-03-30T00:30", None),
        (
            "30 2 * * *",
            "2026-10-24T00:30",
            "2026-10-25T00:30",
            "02:30 on 2026-10-25 comes twice in Europe/Berlin: the first is taken",
        ),
        ("30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30", None),
        (
            "0,30 2 * * *",
            "2026-03-28T12:00",
            "2026-03-29T01:30",
            "02:00 to 02:30 on 2026-03-29 do not exist in Europe/Berlin: moved by PT1H",
        ),
        (
            "0 * * * *",
            "2026-03-29T00:00",
            "2026-03-29T01:00",
            "02:00 on 2026-03-29 does not exist in Europe/Berlin: left out",
        ),
        (
            "*/30 * * * *",
            "2026-10-25T00:30",
            "2026-10-25T01:00",
            "02:00 to 02:30 on 2026-10-25 come twice in Europe/Berlin: both are taken",
        ),
        ("*/30 * * * *", "2026-10-25T01:00", "2026-10-25T01:30", None),
        ("0 9 * * *", "2026-03-28T08:00", "2026-03-29T07:00", None),
        (
            "30 2 * * *",
            "2024-01-01T00:00",
            "2024-12-31T00:00",
            "02:30 on 2024-03-31 does not exist in Europe/Berlin: moved to 03:30; "
            "02:30 on 2024-10-27 comes twice in Europe/Berlin: the first is taken",
        ),
    ],
)
def test_what_the_clocks_did_is_told(text: str, after: str, occurrence: str, note: str | None) -> None:
    assert series(text, BERLIN).note(parse_instant(after), parse_instant(occurrence)) == note


def test_what_the_clocks_did_is_told_of_every_policy_and_interval() -> None:
    def told(found: Rule, after: str, occurrence: str) -> str | None:
        return found.note(parse_instant(after), parse_instant(occurrence))

    spring, autumn = ("2026-03-28T01:30", "2026-03-30T00:30"), ("2026-10-24T00:30", "2026-10-26T01:30")
    assert (
        told(series("30 2 * * *", BERLIN, gap="skip"), *spring)
        == "02:30 on 2026-03-29 does not exist in Europe/Berlin: left out"
    )
    twice = "02:30 on 2026-10-25 comes twice in Europe/Berlin:"
    assert told(series("30 2 * * *", BERLIN, overlap="second"), *autumn) == f"{twice} the second is taken"
    assert told(series("30 2 * * *", BERLIN, overlap="both"), *autumn) == f"{twice} both are taken"
    daily = series("P1D", BERLIN, "2026-01-01T01:30Z")
    assert told(daily, *spring) == "02:30 on 2026-03-29 does not exist in Europe/Berlin: moved to 03:30"
    assert told(daily, *autumn) == f"{twice} the first is taken"
    assert told(daily, "2026-03-30T00:30", "2026-03-31T00:30") is None
    assert told(series("PT1H", BERLIN, "2026-01-01"), *spring) is None
    assert told(series("30 2 * * *", "UTC"), *spring) is None
    assert told(series("0 10 30 * *", "Pacific/Apia"), "2011-12-01", "2012-01-01") == (
        "10:00 on 2011-12-30 does not exist in Pacific/Apia: moved to 10:00 on 2011-12-31"
    )
