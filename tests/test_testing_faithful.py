"""What the engine for tests writes is what a real worker writes: the same tasks, given to both, become the same."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
from working import JOBS, SECONDS, working

from after import Client, TaskContext, job
from after.status import ENDED
from after.task import Document
from after.testing import Engine
from after.testing.server import Server

PAST = "2011-10-12T09:00:00.000Z"


@job
async def talk(number: int, *, task: TaskContext) -> dict[str, Any]:
    """Say something, and return what was seen of the task."""
    task.progress(0.5, "half")
    task.log(f"number {number}")
    return {"attempt": task.attempt, "id": task.id, "own": task.data["own"], "results": task.results}


TASKS: dict[str, Document] = {
    "done": {"job": {"name": "give", "arguments": [[1, "a", None]]}, "own": {"kept": True}, "tags": ["x"]},
    "thread": {"job": {"name": "give_in_thread", "keywords": {"value": 2}}, "priority": 5},
    "talker": {"job": {"name": "talk", "arguments": [7]}, "own": "mine"},
    "failed": {"job": {"name": "fail", "arguments": ["why"]}},
    "flaky": {"job": "flaky", "retry": {"limit": 2}},
    "spent": {"job": "flaky", "retry": {"limit": 1}},
    "exits": {"job": "exit_in_thread"},
    "object": {"job": "give_object"},
    "large": {"job": {"name": "give", "arguments": ["x" * 600_000]}},
    "unknown": {"job": "nobody"},
    "misfit": {"job": {"name": "give", "arguments": [1, 2]}},
    "expired": {"job": "nothing", "expires": "PT1H"},
    "hanging": {"job": "hang", "timeout": "PT0.01S"},
    "canceled": {"job": "nothing", "status": "cancel"},
    "again": {"job": "nothing", "status": "schedule"},
    "one": {"job": "nothing", "repeat": {"interval": "P1D", "until": "2011-10-15"}},
    "all": {
        "job": {"name": "fail", "arguments": ["why"]},
        "repeat": {"interval": "P1D", "until": "2011-10-15", "catch_up": "all"},
    },
    "none": {"job": "nothing", "repeat": {"interval": "P1D", "until": "2011-10-15", "catch_up": "none"}},
    "later": {"job": {"name": "talk", "arguments": [8]}, "own": 1, "after": ["done", "thread"]},
    "never": {"job": "nothing", "after": ["done", "failed"]},
    "key": {"job": "nothing", "key": "account"},
    "second": {"job": "nothing", "key": "account", "date": "2011-10-13"},
}


@pytest.fixture(scope="module")
def both() -> tuple[dict[str, Document], dict[str, Document]]:
    """What a real worker has made of the tasks, and what the engine for tests has."""
    return asyncio.run(by_worker()), asyncio.run(by_engine())


async def by_worker() -> dict[str, Document]:
    server = await asyncio.to_thread(Server, None)
    try:
        async with Client(server.database) as client:
            await put(client)
            async with working(server.database, *JOBS, talk, concurrency=1):
                return {name: await client.wait(name, SECONDS) for name in TASKS}
    finally:
        server.stop()


async def by_engine() -> dict[str, Document]:
    async with Engine(JOBS, talk) as engine:
        await put(engine.client)
        await engine.run_due()
        return {name: await engine.client.get(name) for name in TASKS}


async def put(client: Client) -> None:
    for name, fields in TASKS.items():
        await client.schedule_many([{"worker": "manobi", "date": PAST, **fields, "_id": name, "status": "waiting"}])
        if fields.get("status") == "cancel":
            await client.cancel(name)
        elif fields.get("status") == "schedule":
            await client.reschedule(name, PAST, own=1)


def folded(history: list[Document]) -> list[Document]:
    """Tell the starts of runs with their ends.

    A start has an entry of its own where a write falls between the two, be it that of the end of the run before.
    """
    told: list[Document] = []
    for entry in history:
        if told and told[-1]["status"] == "running":
            start = told.pop()
            told.append({**entry, "lateness_ms": start["lateness_ms"]})
        else:
            told.append(entry)
    return told


def plain(task: Document) -> Document:
    """Give a task without what is another each time: revisions, instants, lengths of time, and names of processes."""
    names = {entry["by"] for entry in task["history"]} - {"client", "document"}
    text = json.dumps({**task, "_rev": None, "history": folded(task["history"])})
    text = re.sub(r'"\d{4}-\d\d-\d\dT[\d:.]+Z"', '"DATE"', text)
    text = re.sub(r'"(lateness|duration)_ms": [\d.]+', r'"\1_ms": 0', text)
    for name in names:
        text = text.replace(json.dumps(name), '"INSTANCE"')
    return json.loads(text)


@pytest.mark.parametrize("name", TASKS)
def test_both_write_the_same(name: str, both: tuple[dict[str, Document], dict[str, Document]]) -> None:
    real, turned = both[0][name], both[1][name]
    assert real["status"] in ENDED
    assert plain(turned) == plain(real)
