"""The jobs `compact` and `clean`, and `http`, as tasks of a worker that was started by `after start`."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from calling import says, web
from commanding import SECONDS, Command, after
from serving import Client, Server
from test_jobs_http import SECRET, verified
from working import run_to_the_end

from after import client as clients
from after.blocking import BlockingClient
from after.cleaning import PAGE, Cleaned, clean_tasks, remove_orphans
from after.clock import SystemClock, now
from after.database import Database
from after.dates import DAY, HOUR, format_instant, parse_instant
from after.errors import JobError
from after.jobs import Registry
from after.jobs.addresses import Guard
from after.jobs.builtin import builtin_jobs
from after.jobs.signing import Signer
from after.server.viewrows import VIEWS
from after.task import Document
from after.worker import Worker

WORKS = "worker manobi started"


def ended(identity: str, status: str = "done", days: float = 40, **fields: Any) -> Document:
    """A task that had this date so many days ago."""
    at = format_instant(now(SystemClock()) - int(days * DAY))
    entry = {"at": at, "status": status}
    return {
        "_id": identity, "type": "task", "worker": "manobi", "job": "give", "status": status, "date": at,
        "history": [entry], **fields,
    }  # fmt: skip


def archives(identity: str, count: int) -> list[Document]:
    """What a task's history has been moved to."""
    entry = {"at": "2026-01-01T00:00:00.000Z", "status": "done"}
    return [
        {"_id": f"history:{identity}:{number}", "type": "history", "task": identity, "number": number,
         "history": 100 * [entry]}
        for number in range(count)
    ]  # fmt: skip


def put(client: Client, *documents: Document) -> None:
    answer = client.post("/after/_bulk_docs", {"docs": documents})
    assert all("rev" in one for one in answer.json), answer.json


def ids(client: Client) -> set[str]:
    rows = client.get("/after/_all_docs").json["rows"]
    return {row["id"] for row in rows if not row["id"].startswith("worker:")}


@asynccontextmanager
async def upkeep(server: Server, **options: Any) -> AsyncIterator[clients.Client]:
    """Run a worker with the built-in jobs until the block ends."""
    async with Database(server.database) as database, builtin_jobs(database, "manobi", **options) as jobs:
        worker = Worker("manobi", Registry(jobs), database)
        running = asyncio.create_task(worker.run())
        await worker.ready.wait()
        try:
            async with clients.Client(server.database) as client:
                yield client
        finally:
            worker.stop()
            await running


@pytest.fixture
def tasks(server: Server) -> Iterator[BlockingClient]:
    """What puts tasks and waits for them."""
    with BlockingClient(server.database) as client:
        yield client


def call(tasks: BlockingClient, url: str, **keywords: Any) -> Document:
    task = tasks.schedule("manobi", "http", keywords={"url": url, **keywords})
    return tasks.wait(task["_id"], SECONDS)


def test_a_worker_calls_only_what_it_was_started_with(server: Server, tasks: BlockingClient) -> None:
    with web(hook=says(body=b"hello")) as there:
        with Command("start", "manobi", url=server.database) as command:
            command.wait_for(WORKS)
            for host in ("127.0.0.1", "localhost"):
                error = call(tasks, there.url("/hook", host))["error"]
                assert (error["type"], f"--http-allow {host}:{there.port}" in error["message"]) == (
                    "AddressRefused", True,
                )  # fmt: skip
            error = call(tasks, "http://169.254.169.254/latest/meta-data/")["error"]
            assert error["type"] == "AddressRefused"
            assert there.received == []
            assert command.stop() == 0
        options = ("--http-allow", "10.0.0.0/8", "--http-allow", f"127.0.0.1:{there.port}")
        with Command("start", "manobi", *options, url=server.database) as command:
            command.wait_for(WORKS)
            assert call(tasks, there.url("/hook"))["result"]["body"] == "hello"
            assert call(tasks, there.url("/hook", "127.0.0.2"))["error"]["type"] == "AddressRefused"
            assert command.stop() == 0


def test_a_worker_signs_with_the_secret_of_its_environment_and_never_shows_it(
    server: Server, tasks: BlockingClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "peeking_jobs.py"
    path.write_text("import os\nfrom after import job\n@job\ndef peek(): return os.environ.get('AFTER_HTTP_SECRET')\n")
    monkeypatch.setenv("AFTER_HTTP_SECRET", SECRET)
    options = ("--jobs", path, "--http-allow", "127.0.0.1", "--log-level", "debug")
    with (
        web(hook=says(), fails=says(503)) as there,
        Command("start", "manobi", *options, url=server.database) as command,
    ):
        command.wait_for(WORKS)
        task = call(tasks, there.url("/hook"), json={"a": 1})
        assert task["status"] == "done", task
        call(tasks, there.url("/fails"))
        assert verified(there.received[0], bytes(range(32)), SystemClock().time())
        assert there.received[0].headers["webhook-id"] == task["_id"]
        peeked = tasks.wait(tasks.schedule("manobi", "peek")["_id"], SECONDS)
        assert (peeked["status"], peeked["result"]) == ("done", None)
        assert command.stop() == 0
        assert SECRET.removeprefix("whsec_") not in repr(command)
    monkeypatch.setenv("AFTER_HTTP_SECRET", "not a secret")
    found = after("start", "manobi", url=server.database)
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "not a secret" not in found.err


def test_a_wrong_rule_ends_the_start(server: Server) -> None:
    found = after("start", "manobi", "--http-allow", "10.0.0.1/8", url=server.database)
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "'10.0.0.1/8' is no address, no network and no host name" in found.err


def test_a_job_of_ones_own_has_the_name_before_a_built_in_one(
    server: Server, tasks: BlockingClient, tmp_path: Path
) -> None:
    path = tmp_path / "own_jobs.py"
    path.write_text("from after import job\n@job\nasync def clean(): return 'mine'\n")
    with Command("start", "manobi", "--jobs", path, url=server.database) as command:
        command.wait_for(f"{WORKS}")
        assert tasks.wait(tasks.schedule("manobi", "clean")["_id"], SECONDS)["result"] == "mine"
        assert command.stop() == 0


async def test_retries_are_the_same_message(server: Server) -> None:
    answers = iter([says(503), says(503), says()])
    retry = {"limit": 5, "interval": "PT0.01S"}
    with web(hook=lambda request: next(answers)(request)) as there:
        async with upkeep(server, signer=Signer(SECRET), guard=Guard(["127.0.0.1"])) as tasks:
            task = await tasks.schedule("manobi", "http", keywords={"url": there.url("/hook")}, retry=retry)
            assert (await tasks.wait(task["_id"], SECONDS))["attempt"] == 3
        assert [one.headers["webhook-id"] for one in there.received] == [task["_id"]] * 3


async def test_who_is_asked_says_when_the_next_try_is(server: Server) -> None:
    with web(hook=says(429, Retry_After="3600")) as there:
        async with upkeep(server, guard=Guard(["127.0.0.1"])) as tasks:
            began, retry = now(SystemClock()), {"limit": 5, "interval": "PT0.01S"}
            task = await tasks.schedule("manobi", "http", keywords={"url": there.url("/hook")}, retry=retry)
            async for task in tasks.changes(since=0):
                if task["status"] == "waiting" and task.get("attempt") == 1:
                    break
    assert began + HOUR <= parse_instant(task["date"]) <= now(SystemClock()) + HOUR
    assert task["error"]["type"] == "HTTPStatus"


async def test_clean_removes_what_ended_long_ago(server: Server, client: Client) -> None:
    put(client, ended("old"), ended("fresh", days=20), ended("failed", "err"), ended("canceled", "canceled"),
        ended("other", worker="other"), ended("open", "waiting", days=-9999))  # fmt: skip
    async with upkeep(server) as tasks:
        task = await _clean(tasks, older="P30D")
        assert task["result"] == {"removed": 2, "kept": 0}
        assert task["progress"]["text"] == "2 removed, 0 kept"
        left = ids(client) - {task["_id"]}
        assert left == {"fresh", "failed", "other", "open"}
        task = await _clean(tasks, older="P30D", status=["err"], worker="other")
        assert task["result"] == {"removed": 0, "kept": 0}
        task = await _clean(tasks, older="P30D", worker="other")
        assert task["result"] == {"removed": 1, "kept": 0}
        task = await _clean(tasks, older="PT0S", status=["err", "done", "canceled"])
        assert {"fresh", "failed", "other"}.isdisjoint(ids(client))


async def _clean(tasks: clients.Client, **keywords: Any) -> Document:
    task = await tasks.schedule("manobi", "clean", keywords=keywords)
    return await tasks.wait(task["_id"], SECONDS)


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({}, "missing a required argument: 'older'"),
        ({"older": 30}, "older: expected a duration such as P30D, got 30"),
        ({"older": "30 days"}, "older: '30 days' is not an ISO 8601 duration"),
        ({"older": "P1D", "status": "done"}, "status: expected an array of canceled, done, err"),
        ({"older": "P1D", "status": []}, "status: expected an array"),
        ({"older": "P1D", "status": ["waiting"]}, "status: 'waiting' is not one of canceled, done, err"),
        ({"older": "P1D", "status": [[]]}, "status: [] is not one of"),
        ({"older": "P1D", "worker": 1}, "worker: expected the name of a worker, got 1"),
        ({"older": "P1D", "limit": 0}, "limit: expected a whole number from 1, got 0"),
        ({"older": "P1D", "limit": True}, "limit: expected a whole number from 1, got True"),
        ({"older": "P1D", "force": True}, "got an unexpected keyword argument 'force'"),
    ],
)
async def test_wrong_keywords_are_named(server: Server, keywords: dict[str, Any], told: str) -> None:
    async with upkeep(server) as tasks:
        task = await _clean(tasks, **keywords)
    assert (task["status"], task["error"]["type"]) == ("err", "WrongArguments")
    assert told in task["error"]["message"]


async def test_archives_go_with_their_task_and_no_others(server: Server, client: Client) -> None:
    entry = {"at": "2026-01-01T00:00:00.000Z", "status": "done"}
    put(client, ended("a", archived=200), *archives("a", 2), ended("a:1", days=1), *archives("a:1", 2),
        ended("b", history=120 * [entry]), *archives("b", 1), *archives("gone", 3))  # fmt: skip
    async with Database(server.database) as database:
        found = [one async for one in clean_tasks(database, "manobi", ["done"], now(SystemClock()) - 30 * DAY)]
        assert found == [Cleaned(2, 0)]
        assert ids(client) == {"a:1", "history:a:1:0", "history:a:1:1", *(f"history:gone:{one}" for one in range(3))}
        assert await remove_orphans(database) == 3
        assert await remove_orphans(database) == 0
    assert ids(client) == {"a:1", "history:a:1:0", "history:a:1:1"}


def test_the_command_removes_archives_too(server: Server, client: Client) -> None:
    put(client, ended("a", archived=100), *archives("a", 1), *archives("gone", 1), ended("b", days=1))
    found = after("clean", "manobi", "--older", "P30D", "--yes", url=server.database)
    assert (found.code, found.out) == (0, "removed 1 tasks and 0 processes of manobi\n")
    assert ids(client) == {"b"}


async def test_many_are_removed_page_by_page_and_no_more_than_wanted(server: Server, client: Client) -> None:
    put(client, *(ended(f"t{number:04}", days=40 + number / 100) for number in range(2 * PAGE + 50)))
    async with Database(server.database) as database:
        before = now(SystemClock()) - 30 * DAY
        limited = [one.removed async for one in clean_tasks(database, "manobi", ["done"], before, PAGE + 10)]
        assert limited == [PAGE, PAGE + 10]
        assert len(ids(client)) == PAGE + 40
        async for found in clean_tasks(database, "manobi", ["done"], before):
            if found.removed >= PAGE:
                break
        rest = [one.removed async for one in clean_tasks(database, "manobi", ["done"], before)]
        assert rest == [40]
    assert ids(client) == set()


@pytest.mark.skipif("blocked" not in VIEWS, reason="this server has no view of tasks that wait for others")
async def test_what_another_task_waits_for_is_kept(server: Server, client: Client) -> None:
    put(client, ended("needed"), ended("free"),
        ended("waits", "waiting", after=["needed", "other"], worker="nobody", history=[]))  # fmt: skip
    found = after("clean", "manobi", "--yes", url=server.database)
    assert found.out == "removed 1 tasks and 0 processes of manobi; 1 are kept, because others wait for them\n"
    assert ids(client) == {"needed", "waits"}


async def test_compact_gives_space_back(tmp_path: Path) -> None:
    path = tmp_path / "after.db"
    server = Server(path)
    client = Client(server.host, server.port)
    try:
        put(client, *(ended(f"t{number}", text=2000 * "x") for number in range(2000)))
        found = after("clean", "manobi", "--yes", url=server.database)
        assert found.out.startswith("removed 2000 tasks")
        async with upkeep(server) as tasks:
            task = await run_to_the_end(tasks, "compact")
        assert task["status"] == "done", task
        result = task["result"]
        assert result["before"] > 4_000_000 > 1_000_000 > result["after"]
        assert path.stat().st_size == client.get("/after").json["sizes"]["file"]
        assert client.get(f"/after/{task['_id']}").json["result"] == result
    finally:
        client.close()
        server.stop()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_compaction_is_begun_as_couchdb_does_it(client: Client) -> None:
    answer = client.post("/after/_compact", {})
    assert (answer.status, answer.json) == (202, {"ok": True})
    assert client.call("POST", "/after/_compact", b"", {"Content-Type": "text/plain"}).status == 415


def test_documents_are_the_same_after_it_and_can_be_written_meanwhile(server: Server, client: Client) -> None:
    put(client, *(ended(f"t{number}", text=number * "x") for number in range(1000)))
    before = client.get("/after/_all_docs", include_docs=True).json["rows"]
    changes = client.get("/after/_changes").json["results"]
    client.post("/after/_compact", {})
    written = 0
    while client.get("/after").json["compact_running"]:
        client.post("/after/_compact", {})
        put(client, {"_id": f"z{written:09}"})
        written += 1
    assert client.get("/after/_all_docs", include_docs=True).json["rows"][: len(before)] == before
    assert client.get("/after/_changes").json["results"][: len(changes)] == changes
    assert client.get("/after").json["doc_count"] == 1000 + written
    assert len(client.get("/after/_design/after/_view/by_worker", reduce=False).json["rows"]) == 1000


def test_a_server_that_stops_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "after.db"
    server = Server(path)
    client = Client(server.host, server.port)
    put(client, *(ended(f"t{number}") for number in range(3000)))
    client.post("/after/_compact", {})
    client.close()
    server.stop()
    server = Server(path)
    client = Client(server.host, server.port)
    assert client.get("/after").json["doc_count"] == 3000
    client.close()
    server.stop()


def test_a_file_of_an_earlier_after_is_made_one_that_can_be_compacted(tmp_path: Path) -> None:
    path = tmp_path / "after.db"
    Server(path).stop()
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA auto_vacuum = NONE")
        connection.execute("VACUUM")
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (0,)
    connection.close()
    server = Server(path)
    client = Client(server.host, server.port)
    put(client, ended("a"))
    client.post("/after/_compact", {})
    while client.get("/after").json["compact_running"]:
        continue
    assert client.get("/after/a").json["status"] == "done"
    client.close()
    server.stop()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()


async def test_clean_on_couchdb(couchdb: str) -> None:
    tasks = [ended("old", archived=100), ended("fresh", days=1), ended("needed"),
             ended("waits", "waiting", days=-9999, after=["needed"], history=[])]  # fmt: skip
    async with Database(couchdb) as database:
        await database.write([*tasks, *archives("old", 1), *archives("gone", 1)])
        found = [one async for one in clean_tasks(database, "manobi", ["done"], now(SystemClock()) - 30 * DAY)]
        assert found == [Cleaned(1, 1)]
        assert await remove_orphans(database) == 1
        left = {row.id for row in await database.all() if not row.id.startswith("_")}
        assert left == {"fresh", "needed", "waits"}


async def test_compact_on_couchdb_takes_an_administrator(couchdb: str) -> None:
    async with Database(couchdb) as database, builtin_jobs(database, "manobi") as jobs:
        compact = next(job for job in jobs if job.name == "compact")
        assert (await compact.function()).keys() == {"before", "after"}


def package(folder: Path, points: str, text: str = "") -> None:
    """Install a package as pip would: its files, and what it says of itself."""
    (folder / "shop_of_the_tests.py").write_text(text)
    told = folder / "shop_of_the_tests-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: shop-of-the-tests\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text(f"[after.jobs]\n{points}\n")


def test_an_installed_package_offers_its_jobs_to_every_worker(
    server: Server, tasks: BlockingClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(
        tmp_path, "shop = shop_of_the_tests", "from after import job\n@job\ndef sell(what): return f'sold {what}'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with Command("start", "manobi", url=server.database) as command:
        command.wait_for(WORKS)
        assert tasks.wait(tasks.schedule("manobi", "sell", "shoes")["_id"], SECONDS)["result"] == "sold shoes"
        assert command.stop() == 0


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ("shop = no_such_module_of_the_tests", "'no_such_module_of_the_tests' does not load: ModuleNotFoundError"),
        ("shop = shop_of_the_tests:PRICE", "'shop_of_the_tests:PRICE' is not a module"),
        ("shop = shop_of_the_tests:nothing", "'shop_of_the_tests:nothing' does not load: AttributeError"),
    ],
)
def test_a_package_whose_jobs_do_not_load_is_named(
    points: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, points, "PRICE = 5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(JobError, match=told):
        Registry.load([])
    assert Registry.load([], entry_points=False) == {}
