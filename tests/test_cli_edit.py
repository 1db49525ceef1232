"""The commands that change all tasks that fit, and the one that tells what became of what was due."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from commanding import Result, after
from installing import typed
from rest import as_worker

from after.clock import SystemClock, now
from after.dates import HOUR, MINUTE, format_instant

if TYPE_CHECKING:
    from serving import Client, Server


@pytest.fixture
def filled(client: Client) -> None:
    """Thirty tasks of one worker, and one of another."""
    tasks = [
        {"_id": f"t{number:02}", "worker": "manobi", "job": "x", "date": f"2040-01-{1 + number:02}",
         "tags": ["low"] if number < 3 else []}
        for number in range(30)
    ]  # fmt: skip
    tasks.append({"_id": "other", "worker": "other", "job": "x", "date": "2040-01-01"})
    assert client.post("/tasks/_bulk", tasks).status == 201


def told(result: Result) -> Any:
    assert result.err == ""
    return json.loads(result.out)


def dates(client: Client) -> list[str]:
    return [task["date"][:16] for task in client.get("/tasks", worker="manobi").json["tasks"][:3]]


FIRST = ["2040-01-01T00:00", "2040-01-02T00:00", "2040-01-03T00:00"]
MOVED = ["2040-01-01T02:00", "2040-01-02T02:00", "2040-01-03T02:00"]


@pytest.mark.usefixtures("filled")
class TestManyTasks:
    def test_a_dry_run_shows_what_would_be_and_changes_nothing(self, server: Server, client: Client) -> None:
        result = after("reschedule", "--worker", "manobi", "--by", "PT2H", "--dry-run", url=server.database)
        assert (result.code, result.err) == (0, "")
        lines = result.out.splitlines()
        assert lines[0].split() == ["id", "worker", "status", "date", "becomes", "date"]
        assert lines[1].split() == [
            "t00", "manobi", "waiting", "2040-01-01T00:00:00.000Z", "reschedule", "2040-01-01T02:00:00.000Z",
        ]  # fmt: skip
        assert lines[-2:] == ["… and 10 more; --json tells all", "would reschedule 30 tasks, 0 refused"]
        assert dates(client) == FIRST
        whole = told(
            after("reschedule", "--worker", "manobi", "--by", "PT2H", "--dry-run", "--json", url=server.database)
        )
        assert (len(whole["tasks"]), whole["changed"]) == (30, 0)

    def test_somebody_has_to_say_yes(self, server: Server, client: Client) -> None:
        result = after("reschedule", "--worker", "manobi", "--by", "PT2H", url=server.database)
        assert (result.code, result.out) == (1, "")
        assert "say --yes where nobody can be asked" in result.err
        assert dates(client) == FIRST
        result = after("reschedule", "--worker", "manobi", "--by", "PT2H", "--yes", url=server.database)
        assert (result.code, result.out) == (0, "reschedule 30 tasks, 0 refused\n")
        assert dates(client) == MOVED

    def test_a_terminal_is_asked(self, server: Server, client: Client) -> None:
        asked = ["reschedule", "--url", server.database, "--worker", "manobi", "--by", "PT2H"]
        shown = typed(asked, ["y"])
        assert "reschedule 30 tasks? [y/N]:" in shown
        assert "reschedule 30 tasks, 0 refused" in shown
        assert dates(client) == MOVED
        with pytest.raises(AssertionError, match="nothing was changed"):  # it fails, and `typed` wants success
            typed(asked, ["n"])
        assert dates(client) == MOVED

    def test_nobody_is_asked_where_nothing_fits(self, server: Server) -> None:
        assert "cancel 0 tasks" in typed(["cancel", "--url", server.database, "--worker", "nobody"], [])

    def test_filters_narrow_it_down(self, server: Server, client: Client) -> None:
        given = ("--status", "waiting,scheduled", "--tag", "low", "--from", "2040-01-02", "--to", "2040-01-04", "--yes")
        done = told(after("cancel", "--worker", "manobi", *given, "--json", url=server.database))
        assert [task["id"] for task in done["tasks"]] == ["t01", "t02"]
        assert client.get("/tasks/t01").json["status"] == "cancel"
        assert told(after("cancel", "--all", "--limit", 4, "--yes", "--json", url=server.database))["changed"] == 4

    def test_what_failed_runs_again(self, server: Server, client: Client) -> None:
        as_worker(client, "t01", "scheduled", "running", "err")
        as_worker(client, "t02", "scheduled", "running", "done")
        done = told(after(
            "again", "--worker", "manobi", "--status", "err", "--date", "2041-01-01", "--yes", "--json",
            url=server.database,
        ))  # fmt: skip
        assert [(task["id"], task["becomes"]["date"]) for task in done["tasks"]] == [
            ("t01", "2041-01-01T00:00:00.000Z")
        ]

    def test_ids_go_on_as_they_did(self, server: Server, client: Client) -> None:
        assert after("reschedule", "t01", "2041-01-01", url=server.database).out == (
            "t01  reschedule  2041-01-01T00:00:00.000Z\n"
        )
        result = after("reschedule", "t02", "--by", "-P1D", url=server.database)
        assert (result.code, result.out) == (0, "reschedule 1 task, 0 refused\n")
        assert client.get("/tasks/t02").json["date"] == "2040-01-02T00:00:00.000Z"
        assert after("reschedule", "t02", "--change", "priority=7", url=server.database).code == 0
        assert client.get("/tasks/t02").json["priority"] == 7
        assert after("cancel", "t01", "t02", url=server.database).code == 0
        missing = after("cancel", "t03", "none", "--dry-run", url=server.database)
        assert missing.code == 1
        assert "after: none: there is no task 'none'" in missing.err

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            (("cancel",), 2, "give either ids or options"),
            (("cancel", "t01", "--worker", "manobi"), 2, "give either ids or options"),
            (("cancel", "t01", "--limit", "1"), 2, "does not go with ids"),
            (("reschedule", "--worker", "manobi"), 2, "give a date, --by or --change"),
            (("reschedule", "t01", "2041-01-01", "--date", "2041-01-01"), 2, "give the date once"),
            (("reschedule", "--worker", "manobi", "--by", "P1M", "--yes"), 1, "by: 'P1M' has no fixed length"),
            (("reschedule", "--worker", "manobi", "--change", "x", "--yes"), 2, "'x' is not FIELD=JSON"),
            (("cancel", "--status", "nearly", "--yes"), 1, "filter.status: 'nearly' is not one of"),
            (("cancel", "--worker", "", "--yes"), 1, "filter.worker: "),
        ],
    )
    def test_what_is_wrong_is_named(self, server: Server, arguments: tuple[str, ...], code: int, reason: str) -> None:
        result = after(*arguments, url=server.database)
        assert (result.code, result.out) == (code, "")
        assert reason in result.err
        assert result.err.count("\n") == 1


class TestAudit:
    def test_tells_what_became_of_what_was_due(self, server: Server, client: Client) -> None:
        instant = now(SystemClock())
        for number, identity in enumerate(("open", "gone", "soon")):
            date = format_instant(instant + (number - 1) * HOUR - MINUTE)
            client.post(f"/tasks/{identity}", {"worker": "manobi", "job": "x", "date": date})
        client.post("/tasks/gone", {"status": "cancel"})
        as_worker(client, "gone", "canceled")
        result = after("audit", "--worker", "manobi", url=server.database)
        assert (result.code, result.err) == (0, "")
        lines = result.out.splitlines()
        assert lines[1].split()[1:5] == ["open", "manobi", "x", "pending"]
        assert lines[1].endswith("its worker has not taken it yet")
        assert lines[2].split()[1:5] == ["gone", "manobi", "x", "canceled"]
        assert lines[3:] == ["1 canceled, 1 pending"]

        rows = [json.loads(line) for line in after("audit", "--json", url=server.database).out.splitlines()]
        assert {row["id"]: row["outcome"] for row in rows} == {"open": "pending", "gone": "canceled"}
        later = after("audit", "--to", format_instant(instant + 2 * HOUR), "--outcome", "pending", url=server.database)
        assert [line.split()[1] for line in later.out.splitlines()[1:3]] == ["open", "soon"]
        assert "1 canceled, 2 pending" in later.out

    def test_shows_the_first_and_counts_all(self, server: Server, client: Client) -> None:
        tasks = [{"worker": "manobi", "job": "x", "date": f"2020-01-01T00:{number:02}"} for number in range(50)]
        client.post("/tasks/_bulk", tasks)
        result = after("audit", "--from", "2020-01-01", "--to", "2020-01-02", "--limit", 3, url=server.database)
        assert [line[:16] for line in result.out.splitlines()[1:4]] == [
            f"2020-01-01T00:0{number}" for number in range(3)
        ]
        assert result.out.splitlines()[4:] == ["50 pending"]
        assert "--limit 0 shows all" in result.err
        assert after("audit", "--worker", "nobody", url=server.database).out.splitlines()[1:] == ["nothing was due"]

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("--from", "soon"), "'soon' is not an ISO 8601 date"),
            (("--outcome", "good"), "'good' is not one of on_time"),
            (("--tolerance", "P1M"), "has no fixed length"),
            (("--from", "2026-01-02", "--to", "2026-01-01"), "--to has to be later than --from"),
        ],
    )
    def test_what_is_wrong_is_named(self, server: Server, arguments: tuple[str, ...], reason: str) -> None:
        result = after("audit", *arguments, url=server.database)
        assert (result.code, result.out) == (2, "")
        assert reason in result.err
