"""Conflicts on a real CouchDB: those that a replication leaves, and those of two that claim the same tasks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
from working import SECONDS, Gate, apart, story, until, working

from after.client import Client
from after.database import Database
from after.jobs import job
from after.status import ENDED
from after.task import Document

PAST = "2011-10-12"
FAR = "2100-01-01"


async def replicated(database: Database, *leaves: Document) -> None:
    """Write revisions as a replication does: as they are, beside those that are there."""
    await database.request("POST", "_bulk_docs", body={"docs": leaves, "new_edits": False})


def sibling(task: Document, digest: str, **fields: object) -> Document:
    """Give another child of the revision before a task's."""
    return {**task, "_rev": f"{task['_rev'].partition('-')[0]}-{digest * 32}", **fields}


async def eventually(what: Callable[[], Awaitable[bool]], seconds: float = SECONDS) -> None:
    """Wait until something is so of which nobody is told."""
    async with asyncio.timeout(seconds):
        while not await what():  # noqa: ASYNC110 - a view tells nobody when it changes
            await asyncio.sleep(0.1)


async def conflicting(database: Database) -> set[str]:
    return {row.id for row in await database.view("conflicts")}


async def test_a_worker_settles_what_a_replication_left(couchdb: str) -> None:
    async with Database(couchdb) as database, Client(couchdb) as client:
        task = await client.schedule("manobi", "give", 1, date=FAR, id="twice")
        run = {"at": "2026-01-01T00:00:00.000Z", "status": "done", "by": "elsewhere", "attempt": 1, "duration_ms": 3}
        done = {"status": "done", "result": 7, "history": [*task["history"], run]}
        await replicated(database, sibling(task, "f", own="f"), sibling(task, "e", **done), sibling(task, "d"))
        for identity, kind in (("worker:manobi", "control"), ("worker:manobi:gone", "worker")):
            one = {"_id": identity, "type": kind, "name": "manobi", "instance": "gone", "state": "stopped"}
            await replicated(database, *({**one, "_rev": f"1-{digest * 32}"} for digest in "ab"))
        other = await client.schedule("nobody", "give", date=FAR, id="other")
        await replicated(database, sibling(other, "0"))
        async with working(couchdb):
            await eventually(lambda: _are(conflicting(database), {"other"}))
        task = await client.get("twice")
        assert (task["status"], task["result"]) == ("done", 7), "what ran elsewhere does not run again"
        assert story(task) == ["done", "waiting", "done"], "in the order of their dates"
        assert task["history"][-1]["by"] == "after"
        assert "conflicting revisions were merged: 1-f" in task["history"][-1]["note"]


async def test_who_runs_a_task_settles_its_conflict_with_its_own_next_write(couchdb: str) -> None:
    gate = Gate()
    async with Database(couchdb) as database, Client(couchdb) as client, working(couchdb, gate.job) as worker:
        task = await client.schedule("manobi", "gate", date=PAST, id="gate")
        await gate.begun.wait()
        task = await until(client, "gate", "running")
        stray = {"at": "2026-01-01T00:00:00.000Z", "status": "cancel", "by": "elsewhere"}
        lower = {"status": "cancel", "history": [*task["history"][:2], stray]}
        await replicated(database, {**sibling(task, "f", **lower), "_rev": "2-" + "f" * 32})
        await eventually(lambda: _are(conflicting(database), set()))
        task = await client.get("gate")
        assert (task["status"], task["claim"]["instance"]) == ("running", worker.instance)
        assert stray in task["history"]
        gate.open.set()
        task = await client.wait("gate", SECONDS)
    assert (task["status"], task["result"], gate.runs) == ("done", "through", 1)


@pytest.mark.parametrize("digest", ["0", "f"], ids=["loser", "winner"])
async def test_a_cancel_beside_a_claim_is_heard(couchdb: str, digest: str) -> None:
    async with Database(couchdb) as database, Client(couchdb) as client, working(couchdb):
        task = await client.schedule("manobi", "nothing", date="PT9.9S", id="held")
        cancel = {"at": "2026-01-01T00:00:00.000Z", "status": "cancel", "by": "elsewhere"}
        held = await until(client, "held", "scheduled")
        beside = {**task, "status": "cancel", "history": [*task["history"], cancel]}
        rev = held["_rev"].partition("-")[0] + "-" + digest * 32
        chain = {"start": 2, "ids": [digest * 32, task["_rev"].partition("-")[2]]}
        await replicated(database, {**beside, "_rev": rev, "_revisions": chain})
        task = await client.wait("held", SECONDS)
        assert task["status"] == "canceled"
        assert cancel in task["history"]
        await eventually(lambda: _are(conflicting(database), set()))


async def test_two_workers_that_claim_the_same_tasks_on_two_nodes(
    cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(monkeypatch)
    runs: Counter[str] = Counter()

    @job
    async def count(name: str) -> None:
        runs[name] += 1

    tasks = [
        {"_id": f"t{n}", "worker": "manobi", "job": {"name": "count", "arguments": [f"t{n}"]}, "date": "PT2S"}
        for n in range(400)
    ]
    async with Database(cluster[2]) as database, Client(cluster[2]) as client, AsyncExitStack() as stack:
        for url in cluster[:2]:
            await stack.enter_async_context(working(url, count))
        await client.schedule_many(tasks)
        await eventually(lambda: _have_ended(database, tasks), 2 * SECONDS)
        await eventually(lambda: _are_settled(database, tasks))
        ended = await _stored(database, tasks)
    assert Counter(task["status"] for task in ended) == {"done": 400}
    twice = {name for name, count in runs.items() if count > 1}
    told = {task["_id"] for task in ended if sum("duration_ms" in entry for entry in task["history"]) > 1}
    assert twice == told, "what ran twice says so"
    print(f"{len(twice)} of 400 ran twice; {sum(_merged(task) for task in ended)} were in conflict")


async def _are(found: Awaitable[set[str]], wanted: set[str]) -> bool:
    return await found == wanted


async def _have_ended(database: Database, tasks: list[Document]) -> bool:
    return all(task["status"] in ENDED for task in await _stored(database, tasks))


async def _are_settled(database: Database, tasks: list[Document]) -> bool:
    leaves = await database.leaves([task["_id"] for task in tasks])
    return all(len(found) == 1 for found in leaves.values())


async def _stored(database: Database, tasks: list[Document]) -> list[Document]:
    """Give tasks as most nodes have them; a view reads one copy, which may lag behind."""
    return list((await database.get_many([task["_id"] for task in tasks])).values())


def _merged(task: Document) -> bool:
    return any(entry["by"] == "after" for entry in task["history"])
