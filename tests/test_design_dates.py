"""Python and the design document's JavaScript read every date and duration alike."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from javascript import Thrown, javascript

from after.dates import EARLIEST, LATEST, format_instant, parse_elapsed, parse_instant


def outcome(parse: Any, value: Any) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        return {"problem": str(error)}


def in_javascript(name: str, value: Any) -> Any:
    try:
        return javascript().module("lib/dates", name, value)
    except Thrown as thrown:
        return thrown.value


def joined(*parts: Any) -> Any:
    return st.tuples(*(st.sampled_from(part) if isinstance(part, list) else part for part in parts)).map("".join)


def digits(low: int, high: int, width: int) -> Any:
    return st.integers(low, high).map(lambda number: f"{number:0{width}}")


years = st.sampled_from(["0000", "0001", "1899", "1900", "2000", "2026", "9999", "202"]) | digits(1, 9999, 4)
days = (
    joined(years, ["-"], digits(0, 13, 2), ["-"], digits(0, 32, 2))
    | joined(years, digits(0, 13, 2), digits(0, 32, 2))
    | joined(years, ["-W"], digits(0, 54, 2), ["-"], digits(0, 8, 1))
    | joined(years, ["W"], digits(0, 54, 2), digits(0, 8, 1))
    | joined(years, ["-", "", "-W", "W"], digits(0, 53, 2), ["", "-", "-02-"])
)
fractions = joined([".", ","], st.text("0123456789", min_size=0, max_size=9))
clocks = (
    joined(digits(0, 23, 2), [":"], digits(0, 60, 2), ["", ":"], ["", "00", "07", "59", "60"], fractions | st.just(""))
    | joined(digits(0, 23, 2), digits(0, 60, 2), ["", "00", "59", "61"], fractions | st.just(""))
    | digits(0, 23, 2)
)
zones = st.sampled_from(
    ["", "Z", "z", "+00:00", "-00:00", "+05:30", "-0345", "+01", "+23:59", "-24:00", "+01:99", "+1", "-"]
) | joined(
    ["+", "-"], digits(0, 25, 2), [":", ""], digits(0, 60, 2), [":", ""], ["00", "30", "59", "60"],
    ["", ".5", ",5", ".123456789"],
)  # fmt: skip
instants = joined(days, ["T", " ", "t", "", "_", "TT"], clocks, zones) | days


@settings(max_examples=500, deadline=None)
@given(instants)
@example("2026-12-01T09:00:00.123Z")
@example("0001-01-01T00:00:00.000Z")
@example("9999-12-31T23:59:59.9999999Z")
@example("9999-12-31T23:59:59.9-00:01")
@example("0001-01-01T00:00+00:01")
@example("2020-W53-7")
@example("2026-12-01T")
def test_dates(text: str) -> None:
    assert in_javascript("parseInstant", text) == outcome(parse_instant, text)


@pytest.mark.parametrize("year", ["0004", "0100", "0400", "1900", "2000", "2023", "2024", "2400", "9996"])
def test_where_calendars_differ(year: str) -> None:
    for day in ("-02-28", "-02-29", "-02-30", "-03-01", "-12-31", "-04-31", "-W01-1", "-W52-7", "-W53-1", "W537"):
        assert in_javascript("parseInstant", year + day) == outcome(parse_instant, year + day)


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other Pythons are tolerant in other places")
@settings(max_examples=300, deadline=None)
@given(instants, st.integers(0, 30), st.sampled_from(["", ":", "0", ".", "Z", "+", "x", "é", "\x00", "\n", "00"]))
def test_dates_with_something_odd_in_them(text: str, place: int, odd: str) -> None:
    changed = text[:place] + odd + text[place + 1 :]
    if changed[4:5] != "W" or changed[7:8] != "-":  # Python takes 2026W49-12 for twelve o'clock, of no day
        assert in_javascript("parseInstant", changed) == outcome(parse_instant, changed)


@pytest.mark.parametrize(
    "value", [None, 5, True, ["2026-12-01"], {"a": "b"}, "", "it's", "x" * 200, "🦆" * 200, "a\tb\u200b"]
)
def test_what_is_no_date(value: Any) -> None:
    assert in_javascript("parseInstant", value) == outcome(parse_instant, value)
    assert in_javascript("parseElapsed", value) == outcome(parse_elapsed, value)


@settings(deadline=None)
@given(st.integers(EARLIEST, LATEST) | st.sampled_from([EARLIEST - 1, LATEST + 1, EARLIEST, LATEST, 0, -1]))
def test_instants_as_text(ms: int) -> None:
    assert in_javascript("formatInstant", ms) == outcome(format_instant, ms)


counts = st.sampled_from(["", "0", "1", "007", "25", "61", "9999", "10000", "9" * 30])
durations = joined(
    ["P", "", "-P", "p"], *(counts.map(lambda one, unit=unit: one and one + unit) for unit in "YMWD"), ["T", ""],
    *(counts.map(lambda one, unit=unit: one and one + unit) for unit in "HM"),
    counts, st.just("") | fractions, ["S", ""],
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(durations)
@example("PT8759976H")
@example("P3659634D")
@example("P3659634DT0.001S")
@example("PT0.0004S")
def test_durations(text: str) -> None:
    assert in_javascript("parseElapsed", text) == outcome(parse_elapsed, text)
