"""Python and the design document's JavaScript judge every repetition alike, as far as no calendar is needed."""

from __future__ import annotations

from typing import Any

import pytest
from test_design_rules import AT, BASE, DAILY, NOW, OBJECTS, in_javascript, outcome, without_calendar

from after.lifecycle import create
from after.task import Document, check

REPEATS: list[Any] = [
    "R5/2026-12-01T09:00Z/P1D", "R/2026-12-01T10:00+01:00/PT1M", "R1//P1M", "R//PT0.001S", "R1000000000//P1Y",
    "R/2027-12-01/P1D", "R0//P1D", "R00//P1D", "R1000000001//P1D", f"R{'9' * 900}//P1D", f"R{'9' * 1000}//P1D",
    "R/P1D", "R/2026-12-01/", "R//", "R///P1D", "R/P1D/P1D", "R/P1D/2026-12-01", "R//2026-12-01", "r//P1D", "R-1//P1D",
    "R/x/P1D", "R//PT0S", "R//P0D", "R//P9999Y", "R//P10000Y", "R//P1D\n", "R//P\n", "x" * 1001, "🦆" * 1000, "R'\"\n/",
    "R٣//P1D", "P1D", "FREQ=DAILY",
    DAILY, {}, {"interval": None}, {"interval": "P1D", "cron": "@daily"}, {"cron": "@daily", "rrule": "FREQ=DAILY"},
    {"interval": "P1D", "cron": None, "rrule": None}, {"interval": "P1M"}, {"interval": "PT0S"}, {"interval": "P0Y"},
    {"interval": "day"}, {"interval": "P" + "1" * 1000}, {"interval": "🦆" * 1001}, {"interval": ""},
    {"cron": "0 9 * * 1-5"}, {"cron": "9 9 9 9 9 9 9"}, {"cron": "x" * 1001}, {"rrule": "FREQ=DAILY"}, {"rrule": "x"},
    {**DAILY, "timezone": "Europe/Berlin"}, {**DAILY, "timezone": "Mars/Olympus"},
    {**DAILY, "until": "2026-12-01T09:00Z"}, {**DAILY, "until": "2026-12-01"}, {**DAILY, "until": "2027"},
    {**DAILY, "until": "2027-01-01"}, {**DAILY, "jitter": "PT5M"}, {**DAILY, "jitter": "P1M"}, {**DAILY, "jitter": "5"},
    {"cron": "@daily", "until": "x"}, {"rrule": "FREQ=DAILY", "jitter": "x"}, {**DAILY, "jitter": "x", "until": "x"},
    {**DAILY, "limit": 0}, {**DAILY, "limit": 1}, {**DAILY, "catch_up": "All"}, {**DAILY, "catch_up": "all"},
    {**DAILY, "catch_up_limit": 0}, {**DAILY, "dst": {"gap": "skip", "overlap": "both"}}, {**DAILY, "dst": {"gap": 5}},
    {**DAILY, "every": 5}, {"interval": "day", "timezone": None, "limit": None, "until": None, "dst": None},
]  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"date": AT}, {"date": AT, "occurrence": OBJECTS["occurrence"][1]}], ids=str)
def test_every_repetition(more: Document) -> None:
    taken = 0
    for repeat in REPEATS:
        task = {**BASE, "repeat": repeat, **more}
        expected = without_calendar(outcome(lambda one: check(one) and None, task))
        found = in_javascript("task", "check", task)
        assert (found if "code" in found else None) == expected, repeat
        taken += expected is None
    assert taken > 20


@pytest.mark.parametrize(
    "repeat", [None, "R5/2030-12-01T09:00Z/P1D", "R//P1D", DAILY, {**DAILY, "until": "2026-11-30"}]
)
@pytest.mark.parametrize("date", [None, AT])
def test_when_a_task_that_repeats_begins(repeat: Any, date: str | None) -> None:
    given = {**BASE, "repeat": repeat, "date": date}
    assert in_javascript("lifecycle", "create", given, NOW, "eve") == outcome(create, given, NOW, "eve")
