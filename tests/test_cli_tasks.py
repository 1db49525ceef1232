"""The commands that put tasks, look at them and change them, and how each fails."""

from __future__ import annotations

import json
import signal
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from commanding import Command, after, free_port

from after.cli.app import app
from after.dates import parse_instant

if TYPE_CHECKING:
    from serving import Client, Server

MEBIBYTE = 1024 * 1024


def told(text: str) -> list[Any]:
    """Read NDJSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_task_is_put_with_all_that_it_may_have(server: Server) -> None:
    code, out, err = after(
        "add", "manobi", "start_campaign", "2", '{"to": "all"}', "teste", "--", "-5",
        url=server.database,
    )  # fmt: skip
    assert (code, err) == (0, "")
    identity, status, date = out.split()
    task = json.loads(after("show", identity, "--json", url=server.database).out)
    assert (task["status"], task["date"]) == (status, date)
    assert task["job"] == {"name": "start_campaign", "arguments": [2, {"to": "all"}, "teste", -5]}

    code, out, _ = after(
        "add", "manobi", "stop_campaign", "--date", "2026-12-01", "--id", "winter/sale", "--keyword", "campaign=7",
        "--keyword", "label=teste", "--retry", '{"limit": 3, "interval": "PT10S"}', "--timeout", "PT1M",
        "--expires", "PT1H", "--priority", "-7", "--tag", "shop", "--tag", "winter", "--json",
        url=server.database,
    )  # fmt: skip
    assert code == 0
    (task,) = told(out)
    del task["_rev"], task["history"]
    assert task == {
        "_id": "winter/sale", "type": "task", "worker": "manobi", "status": "waiting",
        "job": {"name": "stop_campaign", "keywords": {"campaign": 7, "label": "teste"}},
        "date": "2026-12-01T00:00:00.000Z", "retry": {"limit": 3, "interval": "PT10S"}, "timeout": "PT1M",
        "expires": "PT1H", "priority": -7, "tags": ["shop", "winter"],
    }  # fmt: skip


def test_the_same_task_again_changes_nothing_and_another_is_a_conflict(server: Server) -> None:
    given = ("add", "manobi", "start_campaign", "1", "--date", "2100-01-01", "--id", "seed", "--json")
    first, second = after(*given, url=server.database), after(*given, url=server.database)
    assert (first.code, second.code) == (0, 0)
    assert told(first.out) == told(second.out)
    other = after("add", "manobi", "start_campaign", "2", "--date", "2100-01-01", "--id", "seed", url=server.database)
    assert (other.code, other.out) == (5, "")
    assert other.err == "after: the task 'seed' exists and differs in 'job'\n"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("show", "nothing"), 4, "there is no task 'nothing'"),
        (("cancel", "nothing"), 4, "there is no task 'nothing'"),
        (("again", "nothing"), 4, "there is no task 'nothing'"),
        (("add", "manobi", "x", "--date", "soon"), 1, "date: 'soon' is not an ISO 8601 date"),
        (("add", "manobi", "x", "--retry", '{"limit": -1}'), 1, "retry.limit"),
        (("tasks", "--from", "soon"), 1, "'soon'"),
        (("tasks", "--status", "nearly"), 2, "'nearly' is not one of"),
        (("add", "manobi"), 2, "give a worker and a job"),
        (("add", "manobi", "x", "--keyword", "five"), 2, "'five' is not NAME=VALUE"),
        (("clean", "manobi", "--older", "long", "--yes"), 2, "'long' is not an ISO 8601 duration"),
        (("show",), 2, "Missing argument"),
        (("dance",), 2, "No such command 'dance'"),
        (("tasks", "--url", "localhost"), 2, "is not the URL of a database"),
    ],
)
def test_what_fails_says_why_on_one_line_and_by_its_code(
    server: Server, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    result = after(*arguments, url=server.database)
    assert (result.code, result.out) == (code, "")
    assert reason in result.err
    assert result.err.startswith("after: ")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("command", [("tasks",), ("list",), ("add", "manobi", "x"), ("watch",), ("stop", "manobi")])
def test_no_engine_is_code_3(command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}/after"
    result = after(*command, url=url)
    assert (result.code, result.out) == (3, "")
    assert result.err in {f"after: {asked}: Connection refused\n" for asked in (url, f"{url}/_changes")}


class Page(BaseHTTPRequestHandler):
    """What a proxy may answer in the place of an engine."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Welcome</h1>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_is_no_engine_is_told() -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as proxy:
        serving = threading.Thread(target=proxy.serve_forever)
        serving.start()
        result = after("list", url=f"http://127.0.0.1:{proxy.server_port}/after")
        proxy.shutdown()
        serving.join()
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith("after: what answered is no CouchDB and no After: ")


def test_tasks_are_listed_by_date_and_filtered(server: Server, client: Client) -> None:
    for identity, worker, date, tags in (
        ("c", "manobi", "2026-03-01", ["shop"]),
        ("a", "manobi", "2026-01-01", []),
        ("b", "other", "2026-02-01", ["shop"]),
    ):
        client.post(f"/tasks/{identity}", {"worker": worker, "job": "x", "date": date, "tags": tags})

    def ids(*options: str) -> list[str]:
        result = after("tasks", "--json", *options, url=server.database)
        assert result.code == 0
        return [task["_id"] for task in told(result.out)]

    assert ids() == ["a", "b", "c"]
    assert ids("--worker", "manobi") == ["a", "c"]
    assert ids("--tag", "shop", "--to", "2026-03-01") == ["b"]
    assert ids("--from", "2026-02-01", "--status", "waiting") == ["b", "c"]
    assert ids("--limit", "2") == ["a", "b"]
    result = after("tasks", "--limit", "2", url=server.database)
    assert [line.split()[0] for line in result.out.splitlines()] == ["id", "a", "b"]
    assert "--limit 0 shows all" in result.err


def test_tasks_are_cancelled_moved_and_run_again(server: Server, client: Client) -> None:
    for identity in ("one", "two", "three"):
        client.post(f"/tasks/{identity}", {"worker": "manobi", "job": "x", "date": "2100-01-01"})
    client.post("/tasks/three", {"status": "done"})

    code, out, err = after("cancel", "one", "nothing", "two", "three", url=server.database)
    assert code == 1
    assert [line.split()[:2] for line in out.splitlines()] == [["one", "cancel"], ["two", "cancel"]]
    assert [line.split(":")[1] for line in err.splitlines()] == [" nothing", " three"]
    refused = after("cancel", "three", url=server.database)
    assert refused.code == 1
    assert "'done' cannot become 'cancel'" in refused.err

    (task,) = told(after("again", "three", "--date", "2100-02-03", "--json", url=server.database).out)
    assert (task["status"], task["date"]) == ("schedule", "2100-02-03T00:00:00.000Z")
    before = parse_instant(client.get("/tasks/one").json["history"][-1]["at"])
    (task,) = told(after("reschedule", "one", "PT1H", "--json", url=server.database).out)
    assert task["status"] == "reschedule"
    assert 3_600_000 <= parse_instant(task["date"]) - before <= 3_700_000


def test_a_task_is_shown_with_what_its_job_said_and_why_it_failed(server: Server, client: Client) -> None:
    entry = {"at": "2026-01-01T00:00:00.000Z", "status": "err", "attempt": 1, "lateness_ms": 0.5}
    error = {"type": "LookupError", "message": "no such campaign", "traceback": "Traceback …\n  [red]line 7\x1b[2J\n"}
    document = {
        "type": "task", "worker": "manobi", "job": {"name": "sell", "arguments": ["[bold]x"]}, "status": "err",
        "date": "2026-01-01T00:00:00.000Z", "error": error, "history": [{**entry, "error": error}],
        "log": [{"at": "2026-01-01T00:00:00.000Z", "text": "nothing found"}],
    }  # fmt: skip
    assert client.put("/after/seed", document).status == 201
    code, out, _ = after("show", "seed", url=server.database)
    assert code == 0
    for part in ('sell("[bold]x")', "nothing found", "LookupError: no such campaign", "[red]line 7", "lateness_ms"):
        assert part in out
    assert "\x1b" not in out, "what a job says must not act on the terminal"


def test_watch_tells_every_change_until_it_is_interrupted(server: Server, client: Client) -> None:
    with Command("watch", "--worker", "manobi", "--json", url=server.database) as command:
        for number in range(1000):  # what was put before the feed was open is not told
            client.post("/tasks/other", {"worker": "other", "job": "x", "date": "2100-01-01"})
            client.post(f"/tasks/{number}", {"worker": "manobi", "job": "x", "date": "2100-01-01"})
            if command.has('"_id":', 0.1):
                break
        assert command.stop(signal.SIGINT) == 130
    assert {task["worker"] for task in told("\n".join(command.out))} == {"manobi"}
    assert command.err == []


def test_watch_ends_as_unreachable_with_the_engine(tmp_path: Path) -> None:
    port = free_port()
    with Command("serve", "--port", port, "--data", tmp_path / "after.db") as server:
        server.wait_for("After serves")
        url = f"http://127.0.0.1:{port}/after"
        with Command("log", "manobi", "-f", url=url) as log:
            for number in range(1000):
                assert after("add", "manobi", "x", "--id", number, url=url).code == 0
                if log.has("waiting", 0.1):
                    break
            assert server.stop() == 0
            assert log.wait() == 3
        assert log.err == [f"after: {url}: the engine has ended the feed"]


def test_a_file_is_put_but_for_what_is_refused_by_line(server: Server, client: Client, tmp_path: Path) -> None:
    good = '{"_id": "%s", "worker": "manobi", "job": "x", "date": "2100-01-01"}'
    lines = [good % "a", "", '{"worker": "manobi"}', good % "b", "{", "[1]", good % "worker:x", good % "c", ""]
    path = tmp_path / "tasks.ndjson"
    path.write_text("\n".join(lines))
    code, out, err = after("add", "--file", path, url=server.database)
    assert (code, out) == (1, "")
    *refusals, summary = err.splitlines()
    assert [line.split(": ")[1] for line in refusals] == ["3", "5", "6", "7"]
    assert "job: is required" in refusals[0]
    assert summary == "3 tasks put, 4 refused"
    assert [task["_id"] for task in client.get("/tasks").json["tasks"]] == ["a", "b", "c"]
    assert after("add", "--file", path, url=server.database).code == 1, "the same file again changes nothing"
    assert client.get("/after").json["doc_count"] == 3


def test_an_array_comes_from_standard_input_as_well(server: Server) -> None:
    tasks = [{"worker": "manobi", "job": "x", "date": "2100-01-01", "n": n} for n in range(2_500)]
    code, out, err = after("add", "--file", "-", "--json", url=server.database, given=json.dumps(tasks, indent=1))
    assert (code, err) == (0, "2500 tasks put, 0 refused\n")
    assert [task["n"] for task in told(out)] == list(range(2_500))
    assert len(told(after("tasks", "--limit", "0", "--json", url=server.database).out)) == 2_500


def test_large_tasks_are_put_and_only_one_that_is_too_large_is_refused(server: Server, client: Client) -> None:
    sizes = [MEBIBYTE // 2] * 40
    sizes[7] = MEBIBYTE + 1
    lines = [
        json.dumps({"_id": str(n), "worker": "manobi", "job": "x", "data": "x" * size}) for n, size in enumerate(sizes)
    ]
    code, _, err = after("add", "--file", "-", url=server.database, given="\n".join(lines))
    assert code == 1
    refusal, summary = err.splitlines()
    assert refusal.startswith("after: 8: the document is over")
    assert summary == "39 tasks put, 1 refused"
    assert client.get("/after").json["doc_count"] == 39


def test_a_file_that_is_not_there_is_wrong_use(server: Server, tmp_path: Path) -> None:
    code, _, err = after("add", "--file", tmp_path / "none.ndjson", url=server.database)
    assert code == 2
    assert "No such file or directory" in err


def test_every_command_has_a_short_text_and_an_example() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"serve", "start", "stop", "log", "list", "clean", "add", "show", "doctor"} <= commands.keys()
    for name, command in commands.items():
        assert command.help, name
        assert f"after {name}" in (command.epilog or ""), name
