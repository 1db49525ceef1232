"""The commands about workers that need none to run: `list`, `log`, `clean`, `doctor`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commanding import JOBS, SECONDS, Command, after, free_port

from after.blocking import BlockingClient
from after.clock import SystemClock, now
from after.dates import format_instant
from after.task import Document

if TYPE_CHECKING:
    from serving import Client, Server

HOUR = 3_600_000


@pytest.fixture
def worker(server: Server, tmp_path: Path) -> Iterator[Command]:
    """A worker `manobi`, running."""
    path = tmp_path / "jobs_of_the_tests.py"
    path.write_text(JOBS)
    with Command("start", "manobi", "--jobs", path, url=server.database) as command:
        command.wait_for("worker manobi started")
        yield command


def instant(ago: int = 0) -> str:
    return format_instant(now(SystemClock()) - ago)


def process(name: str, instance: str, state: str, ago: int = 0) -> Document:
    """The document of a worker process as it would be after so many ms of silence."""
    return {
        "_id": f"worker:{name}:{instance}", "type": "worker", "name": name, "instance": instance, "state": state,
        "heartbeat": instant(ago), "started": instant(ago), "pid": 1, "host": "elsewhere",
        "jobs": ["give"], "concurrency": 10, "running": 0, "held": 0,
    }  # fmt: skip


def ended(identity: str, status: str = "done", ago: int = 0, **fields: Any) -> Document:
    return {
        "_id": identity, "type": "task", "worker": "manobi", "job": "give", "status": status, "date": instant(ago),
        "history": [{"at": instant(ago), "status": status}], **fields,
    }  # fmt: skip


def put(client: Client, *documents: Document) -> None:
    answer = client.post("/after/_bulk_docs", {"docs": documents})
    assert all("rev" in one for one in answer.json), answer.json


def ids(client: Client) -> set[str]:
    return {row["id"] for row in client.get("/after/_all_docs").json["rows"]}


def levels(url: str) -> dict[tuple[str, str], str]:
    """Give what the doctor says of each thing, by level."""
    findings = json.loads(after("doctor", "--json", url=url).out)
    return {(one["what"], one["level"]): one["found"] for one in findings}


def test_workers_are_listed_with_their_processes_and_tasks(server: Server, client: Client, worker: Command) -> None:
    put(client, ended("a"), ended("b"), ended("c", "err"), process("other", "gone", "running", HOUR))
    (manobi, other) = json.loads(after("list", "--json", url=server.database).out)
    assert (manobi["name"], manobi["state"], manobi["tasks"]) == ("manobi", "running", {"done": 2, "err": 1})
    assert manobi["jobs"] == ["clean", "compact", "fail", "give", "hang_in_thread", "http", "wait_for_ever"]
    assert [one["pid"] for one in manobi["instances"]] == [worker.process.pid]
    assert (other["name"], other["state"], other["instances"][0]["state"]) == ("other", "down", "lost")
    table = after("list", url=server.database).out
    assert "2 done, 1 err" in table
    assert "0 of 100, 0 held" in table


def test_the_log_tells_what_became_of_the_tasks_by_time(server: Server, worker: Command) -> None:
    with BlockingClient(server.database) as tasks, Command("log", "manobi", "-f", url=server.database) as following:
        for identity, job, argument in (("one", "give", 1), ("two", "fail", "no such\ncampaign")):
            tasks.schedule("manobi", job, argument, id=identity)
            tasks.wait(identity, SECONDS)
        following.wait_for("LookupError")
        told = after("log", "manobi", url=server.database).out.splitlines()
        assert following.out == told
    assert [line.split("  ")[1:3] for line in told] == [
        ["one", "waiting"], ["one", "scheduled"], ["one", "done"],
        ["two", "waiting"], ["two", "scheduled"], ["two", "err"],
    ]  # fmt: skip
    assert "attempt 1" in told[2]
    assert "ms late" in told[2]
    assert told[5].endswith("LookupError: no such campaign")
    entries = [json.loads(line) for line in after("log", "manobi", "--json", url=server.database).out.splitlines()]
    assert [(entry["id"], entry["status"]) for entry in entries] == [tuple(line.split("  ")[1:3]) for line in told]


def test_the_log_begins_with_the_latest_and_not_with_what_is_far_ahead(server: Server, client: Client) -> None:
    put(client, *[ended(f"done{n}", ago=n * HOUR) for n in range(5)])
    put(client, *[ended(f"far{n}", "waiting", ago=100 * HOUR, due=n) for n in range(5)])
    far = [{**client.get(f"/after/far{n}").json, "date": f"2100-01-0{n + 1}"} for n in range(5)]
    put(client, *far)
    told = after("log", "manobi", "--limit", "3", url=server.database).out
    assert [line.split("  ")[1] for line in told.splitlines()] == ["done2", "done1", "done0"]


def test_clean_removes_all_that_has_ended_and_nothing_else(server: Server, client: Client) -> None:
    put(
        client,
        *[ended(f"done{n}", ago=HOUR) for n in range(1_203)],
        *[ended(f"canceled{n}", "canceled") for n in range(3)],
    )
    put(client, ended("err", "err"), ended("waiting", "waiting"), ended("other", worker="other"))
    put(client, process("manobi", "stopped", "stopped"), process("manobi", "lost", "lost"))
    put(client, process("manobi", "silent", "running", HOUR), process("manobi", "alive", "running"))
    put(client, process("other", "stopped", "stopped"))

    refused = after("clean", "manobi", url=server.database, given="")
    assert (refused.code, refused.out) == (1, "")
    assert "--yes" in refused.err
    assert len(ids(client)) == 1_203 + 3 + 3 + 5

    result = after("clean", "manobi", "--older", "PT30M", "--yes", url=server.database)
    assert (result.code, result.out) == (0, "removed 1203 tasks and 3 processes of manobi\n")
    kept = {"err", "waiting", "other", "worker:manobi:alive", "worker:other:stopped"}
    assert ids(client) == kept | {"canceled0", "canceled1", "canceled2"}
    assert after("clean", "manobi", "--status", "canceled,err", "--yes", url=server.database).code == 0
    assert ids(client) == kept - {"err"}


def test_clean_refuses_what_has_not_ended(server: Server) -> None:
    result = after("clean", "manobi", "--status", "done,waiting", "--yes", url=server.database)
    assert result.code == 2
    assert "'waiting' is not one of" in result.err


def test_the_doctor_finds_all_well_where_it_is(server: Server, worker: Command) -> None:
    code, out, err = after("doctor", url=server.database)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["ok"] * 4
    for what in ("engine", "After 0.1.0", "clock", "disk", "worker manobi"):
        assert what in out
    assert worker.stop() == 0


def test_the_doctor_finds_tasks_that_nobody_runs(server: Server, client: Client) -> None:
    put(client, *[ended(f"{n}", "waiting", HOUR) for n in range(3)])
    assert after("doctor", url=server.database).code == 1
    assert levels(server.database)["worker manobi", "fail"] == "down, 3 tasks pending, 3 tasks overdue"


def test_the_doctor_finds_tasks_in_the_hands_of_the_dead(server: Server, client: Client) -> None:
    claim = {"instance": "gone", "at": instant(HOUR)}
    put(client, process("manobi", "gone", "running", HOUR), ended("a", "running", HOUR, claim=claim))
    found = [one["found"] for one in json.loads(after("doctor", "--json", url=server.database).out)]
    assert "1 tasks are held by processes that are gone" in found


def test_the_doctor_finds_jobs_that_nobody_has(server: Server, client: Client) -> None:
    put(client, process("manobi", "one", "running"), ended("a", "waiting", -HOUR, job="give"))
    assert ("worker manobi", "fail") not in levels(server.database)
    put(client, ended("b", "waiting", -HOUR, job={"name": "dance"}))
    assert after("doctor", url=server.database).code == 1
    assert levels(server.database)["worker manobi", "fail"].endswith("that it does not have: dance")


def test_the_doctor_warns_of_a_paused_worker_and_of_failures(server: Server, client: Client) -> None:
    put(client, process("manobi", "one", "paused"), ended("a", "err"))
    assert after("pause", "manobi", "--note", "moving", url=server.database).code == 0
    assert after("doctor", url=server.database).code == 0
    found = [one for one in json.loads(after("doctor", "--json", url=server.database).out) if one["level"] == "warn"]
    assert [(one["found"], one["advice"]) for one in found] == [
        ("paused: moving; nothing overdue", "after resume manobi"),
        ("1 tasks failed", "after tasks --worker manobi --status err"),
    ]


def test_the_doctor_fails_without_an_engine() -> None:
    code, out, _ = after("doctor", url=f"http://127.0.0.1:{free_port()}/after")
    assert code == 1
    assert "Connection refused" in out
    assert "after serve" in out


def test_the_url_is_taken_from_the_environment_and_the_option_wins(server: Server) -> None:
    assert "AFTER_URL" not in os.environ
    nobody = f"http://127.0.0.1:{free_port()}/after"
    assert after("list", "--json", url=server.database).out == "[]\n"
    assert after("list", "--json", "--url", server.database, url=nobody).out == "[]\n"
    assert after("list", "--url", nobody, url=server.database).code == 3
