"""When a repeat would come round: over HTTP, by the client, on the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from commanding import after, free_port
from rest import refused

from after import BlockingClient, InvalidTask
from after.client import Client
from after.dates import parse_instant
from after.errors import BadRequest
from after.nexts import occurrences, read
from after.task import check

if TYPE_CHECKING:
    from serving import Client as Http

BERLIN = {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}
SPRING = [
    "2026-03-27T01:30:00.000Z",
    "2026-03-28T01:30:00.000Z",
    "2026-03-29T01:30:00.000Z",
    "2026-03-30T00:30:00.000Z",
]


class TestOccurrences:
    @pytest.mark.parametrize(
        ("repeat", "start", "found"),
        [
            ("R3/2026-01-01/P1D", "2025-06-01", ["2026-01-01", "2026-01-02", "2026-01-03"]),
            ("R3/2026-01-01/P1D", "2026-01-02", ["2026-01-02", "2026-01-03"]),
            ("R3/2026-01-01/P1D", "2026-01-01T00:00:00.001Z", ["2026-01-02", "2026-01-03"]),
            ("R3/2026-01-01/P1D", "2026-02-01", []),
            ({"interval": "P1M"}, "2026-01-31", ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]),
            ({"interval": "P1D", "limit": 2}, "2026-01-01", ["2026-01-01", "2026-01-02"]),
            ({"interval": "P1D", "until": "2026-01-02"}, "2026-01-01", ["2026-01-01", "2026-01-02"]),
            ({"rrule": "FREQ=MONTHLY;BYDAY=-1FR;COUNT=2"}, "2026-01-01", ["2026-01-30", "2026-02-27"]),
            ({"interval": "P1D", "jitter": "PT1H", "limit": 1}, "2026-01-01", ["2026-01-01"]),
            ({"interval": "P1D"}, "9999-12-31", ["9999-12-31"]),
        ],
    )
    def test_are_those_at_the_start_or_later(self, repeat: Any, start: str, found: list[str]) -> None:
        told = occurrences(read(repeat), parse_instant(start), 4)
        assert [one.at for one in told] == [parse_instant(date) for date in found]

    def test_show_what_the_clocks_do(self) -> None:
        told = occurrences(read(BERLIN), parse_instant("2026-03-28"), 3)
        assert [(one.local, one.note) for one in told] == [
            ("2026-03-28 02:30:00+01:00", None),
            ("2026-03-29 03:30:00+02:00", "02:30 on 2026-03-29 does not exist in Europe/Berlin: moved to 03:30"),
            ("2026-03-30 02:30:00+02:00", None),
        ]

    @pytest.mark.parametrize("repeat", [None, 5, [], {"cron": "0 9 * * *", "colour": "red"}, {"limit": "two"}])
    def test_name_what_is_wrong(self, repeat: Any) -> None:
        with pytest.raises(InvalidTask, match=r"^repeat"):
            occurrences(read(repeat), 0)


class TestOverHttp:
    def test_gives_the_next_instants(self, client: Http) -> None:
        answer = client.get("/tasks/_next", repeat=json.dumps(BERLIN), count="4", **{"from": "2026-03-27"})
        assert (answer.status, answer.json) == (200, {"next": SPRING})

    def test_begins_now_and_gives_ten(self, client: Http) -> None:
        found = client.get("/tasks/_next", repeat="R//P1D").json["next"]
        assert len(found) == 10
        first = datetime.fromisoformat(found[0])
        assert abs((first - datetime.now(UTC)).total_seconds()) < 30

    def test_gives_what_a_task_would_do(self, client: Http) -> None:
        task = client.post("/tasks", {"worker": "w", "job": "j", "date": "2040-03-01", "repeat": BERLIN}).json["task"]
        check(task)
        answer = client.get("/tasks/_next", repeat=json.dumps(BERLIN), count="1", **{"from": "2040-03-01"})
        assert answer.json["next"] == [task["date"]]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({}, "repeat"),
            ({"repeat": "{"}, "repeat"),
            ({"repeat": '{"cron": "61 * * * *"}'}, "repeat"),
            ({"repeat": '{"interval": "P1D", "timezone": "Mars/Base"}'}, "repeat"),
            ({"repeat": "R//P1D", "count": "0"}, "count"),
            ({"repeat": "R//P1D", "count": "1001"}, "count"),
            ({"repeat": "R//P1D", "from": "soon"}, "from"),
            ({"repeat": "R//P1D", "to": "2026-01-01"}, "to"),
            ({"repeat": "[" * 5_000}, "repeat"),
        ],
    )
    def test_names_what_is_wrong(self, client: Http, query: dict[str, str], field: str) -> None:
        refused(client.get("/tasks/_next", **query), 400, "bad_request", field)


class TestTheClient:
    async def test_computes_them_without_an_engine(self) -> None:
        async with Client(f"http://127.0.0.1:{free_port()}/after") as client:
            assert await client.next(BERLIN, "2026-03-27", count=4) == SPRING
            assert len(await client.next("R//P1D")) == 10
            with pytest.raises(BadRequest, match="count: "):
                await client.next(BERLIN, count=0)
        with BlockingClient(f"http://127.0.0.1:{free_port()}/after") as blocking:
            assert blocking.next(BERLIN, datetime(2026, 3, 27, tzinfo=UTC), 4) == SPRING


class TestTheCommand:
    def test_shows_both_clocks_and_what_they_did(self) -> None:
        result = after("next", json.dumps(BERLIN), "--from", "2026-03-28", "--count", 2)
        assert (result.code, result.err) == (0, "")
        assert [line.split("  ") for line in map(str.rstrip, result.out.splitlines()[1:])] == [
            ["2026-03-28T01:30:00.000Z", "2026-03-28 02:30:00+01:00"],
            ["2026-03-29T01:30:00.000Z", "2026-03-29 03:30:00+02:00",
             "02:30 on 2026-03-29 does not exist in Europe/Berlin: moved to 03:30"],
        ]  # fmt: skip

    def test_has_short_forms(self) -> None:
        long = after("next", json.dumps(BERLIN), "--from", "2026-03-27", "--count", 4, "--json")
        short = after(
            "next",
            "--cron",
            "30 2 * * *",
            "--timezone",
            "Europe/Berlin",
            "--from",
            "2026-03-27",
            "--count",
            4,
            "--json",
        )
        assert long.out == short.out
        assert json.loads(long.out) == {"next": SPRING}
        assert after("next", "R2/2026-01-01/P1D", "--from", "2026-01-01", "--json").out.count("2026-01-0") == 2

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            ((), 2, "give either a repeat"),
            (('{"cron": "0 9 * * *"}', "--timezone", "UTC"), 2, "give either a repeat"),
            (("--timezone", "UTC"), 1, "repeat: expected exactly one of"),
            (("--cron", "61 * * * *"), 1, "repeat.cron: "),
            (("--interval", "P1D", "--count", "1001"), 2, "--count"),
            (("--interval", "P1D", "--from", "soon"), 2, "'soon' is not an ISO 8601 date"),
        ],
    )
    def test_says_what_is_wrong(self, arguments: tuple[str, ...], code: int, reason: str) -> None:
        result = after("next", *arguments)
        assert (result.code, result.out) == (code, "")
        assert reason in result.err
