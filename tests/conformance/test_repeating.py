"""Tasks that repeat, as they are posted."""

from __future__ import annotations

import time
from typing import Any

import pytest
from rest import TASK, as_worker, stored, told
from serving import Client

from after.dates import parse_instant

AT = "2026-12-01T09:00:00.000Z"
DAILY = {"interval": "P1D"}


def post(client: Client, repeat: Any, **more: Any) -> Any:
    return client.post("/tasks/a", {**TASK, "repeat": repeat, **more})


class TestCreating:
    @pytest.mark.parametrize(
        "repeat",
        [
            DAILY,
            {"interval": "P1M", "limit": 3, "until": "2027-06-01", "jitter": "PT5M"},
            {"interval": "PT1H", "catch_up": "all", "catch_up_limit": 10, "dst": {"gap": "skip"}},
            {"interval": "P1W", "timezone": "America/Sao_Paulo"},
            "R5/2026-12-01T09:00Z/P1D",
            "R/2026-12-01T06:00-03:00/PT12H",
            "R//P1Y",
            {"cron": "0 9 * * *"},
            {"rrule": "FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "timezone": "UTC"},
        ],
    )
    def test_keeps_what_is_asked_for(self, client: Client, repeat: Any) -> None:
        task = stored(post(client, repeat))
        assert (task["repeat"], task["date"], task["status"]) == (repeat, AT, "waiting")
        assert client.get("/tasks/a").json == task

    @pytest.mark.parametrize(
        ("repeat", "reason"),
        [
            ({}, "repeat: expected exactly one of interval, cron, rrule"),
            ({**DAILY, "cron": "@daily"}, "repeat: expected exactly one of interval, cron, rrule"),
            ({"interval": "daily"}, "repeat.interval: 'daily' is not an ISO 8601 duration"),
            ({"interval": "PT0S"}, "repeat.interval: 'PT0S' is no interval, it never advances"),
            ({**DAILY, "until": "2027"}, "repeat.until: '2027' is not an ISO 8601 date"),
            ({**DAILY, "until": "2026-11-30"}, "repeat: has no occurrence at or after the task's `date`"),
            (
                {**DAILY, "jitter": "P1M"},
                "repeat.jitter: 'P1M' has no fixed length; use days, hours, minutes or seconds",
            ),
            ({**DAILY, "limit": 0}, "repeat.limit: expected `int` >= 1"),
            ({**DAILY, "catch_up": "some"}, "repeat.catch_up: 'some' is not one of all, none, one"),
            ({**DAILY, "dst": {"gap": "jump"}}, "repeat.dst.gap: 'jump' is not one of shift, skip"),
            ({**DAILY, "every": 5}, "repeat.every: is not a known field here"),
            ("daily", "repeat: 'daily' is not like R5/2026-12-01T09:00Z/P1D: Rn/START/PERIOD"),
            ("R0//P1D", "repeat: R0 is not a number of runs from 1 to 1000000000"),
            ("R5/2026-12-02/P1D", "repeat: 'R5/2026-12-02/P1D' does not start at the task's `date`"),
            (5, "repeat: expected `string | object | null`, got `integer`"),
        ],
    )
    def test_refuses_what_is_wrong_with_the_same_words(self, client: Client, repeat: Any, reason: str) -> None:
        reason = reason.replace("`int`", "`integer`")
        assert told(post(client, repeat)) == (400, "bad_request", reason)
        assert client.get("/tasks/a").status == 404
        document = {**TASK, "repeat": repeat}
        if "does not start" not in reason:  # a task that was retried has another date
            assert told(client.put("/after/a", document)) == (403, "forbidden", reason)

    @pytest.mark.parametrize(
        ("repeat", "field"),
        [
            ({**DAILY, "timezone": "Mars/Olympus"}, "timezone"),
            ({"cron": "61 * * * *"}, "cron"),
            ({"rrule": "FREQ=SOMETIMES"}, "rrule"),
        ],
    )
    def test_refuses_what_only_a_calendar_can_tell(self, client: Client, repeat: Any, field: str) -> None:
        code, error, reason = told(post(client, repeat))
        assert (code, error, reason.partition(": ")[0]) == (400, "bad_request", f"repeat.{field}")

    def test_begins_where_its_repeat_says(self, client: Client) -> None:
        assert post(client, "R/2030-01-01T00:00Z/P1D", date=None).json["task"]["date"] == "2030-01-01T00:00:00.000Z"
        before = time.time() * 1000
        task = client.post("/tasks/b", {**TASK, "repeat": DAILY, "date": None}).json["task"]
        assert before - 1 <= parse_instant(task["date"]) <= time.time() * 1000
        code, _, reason = told(
            client.post("/tasks/c", {**TASK, "repeat": {**DAILY, "until": "2020-01-01"}, "date": None})
        )
        assert (code, reason) == (400, "repeat: has no occurrence at or after the task's `date`")

    def test_begins_with_its_first_occurrence(self, client: Client) -> None:
        task = post(client, {"cron": "0 10 * * *"}).json["task"]
        assert task["date"] == task["history"][0]["date"] == "2026-12-01T10:00:00.000Z"

    @pytest.mark.parametrize(("key", "length"), [("", 0), ("x" * 257, 257), ("🦆" * 257, 257)])
    def test_a_key_is_not_too_long(self, client: Client, key: str, length: int) -> None:
        answer = client.post("/tasks/a", {**TASK, "key": key})
        assert told(answer) == (400, "bad_request", f"key: expected 1 to 256 characters, got {length}")
        assert client.post("/tasks/a", {**TASK, "key": "🦆" * 256}).status == 201


class TestAgain:
    @pytest.mark.parametrize(
        "repeat", [DAILY, "R/2026-12-01T09:00Z/P1D", {"cron": "0 10 * * *"}, {"rrule": "FREQ=DAILY"}]
    )
    def test_the_same_again_changes_nothing(self, client: Client, repeat: Any) -> None:
        task = stored(post(client, repeat))
        again = post(client, repeat)
        assert (again.status, stored(again)) == (200, task)
        assert post(client, {**DAILY, "limit": 7}).status == 409

    def test_another_date_makes_another_task_where_the_first_is_known(self, client: Client) -> None:
        post(client, DAILY)
        assert told(post(client, DAILY, date="2026-12-02"))[:2] == (409, "conflict")
        as_worker(client, "a", "scheduled", date="2027-03-01T00:00:00.000Z")
        assert post(client, DAILY).status == 200
        as_worker(client, "a", "waiting", archived=100)
        assert post(client, DAILY, date="2026-12-02").status == 200

    def test_whatever_date_a_rule_made_of_it_it_is_the_same(self, client: Client) -> None:
        post(client, {"cron": "0 10 * * *"})
        assert post(client, {"cron": "0 10 * * *"}, date="2026-12-01T09:30Z").status == 200


class TestChanging:
    OCCURRENCE = {"start": AT, "date": AT, "number": 3}  # noqa: RUF012

    @pytest.fixture(autouse=True)
    def running(self, client: Client) -> None:
        post(client, DAILY)
        as_worker(client, "a", "scheduled", occurrence=self.OCCURRENCE, runs=2)

    def change(self, client: Client, **changes: Any) -> Any:
        answer = client.post("/tasks/a", {"status": "reschedule", **changes})
        assert answer.status == 200, answer.json
        return answer.json["task"]

    def test_goes_on_from_another_date(self, client: Client) -> None:
        task = self.change(client, date="2027-01-01")
        assert task["date"] == "2027-01-01T00:00:00.000Z"
        assert task["occurrence"] == {"start": task["date"], "date": task["date"], "number": 3}
        assert task["runs"] == 2

    def test_another_repetition_begins_where_a_worker_says(self, client: Client) -> None:
        assert "occurrence" not in self.change(client, repeat={"interval": "PT1H"})
        assert "occurrence" not in self.change(client, repeat=None)

    def test_anything_else_leaves_it_where_it_is(self, client: Client) -> None:
        assert self.change(client, priority=5)["occurrence"] == self.OCCURRENCE

    def test_what_has_ended_begins_anew(self, client: Client) -> None:
        as_worker(client, "a", "done", result=1)
        task = client.post("/tasks/a", {"status": "schedule"}).json["task"]
        assert not {"occurrence", "runs", "result"} & task.keys()
        assert task["repeat"] == DAILY
