"""Tasks that wait for others, in real workers against a real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from working import SECONDS, story, until, working

from after.client import Client
from after.database import Database
from after.errors import InvalidTask
from after.events import Ended, Freed
from after.jobs import TaskContext, job
from after.task import Document
from after.worker.dependencies import DELETED, cycle_among, decided

if TYPE_CHECKING:
    from serving import Server

TASK: Document = {"_id": "t", "after": ["a", "b"], "status": "waiting"}


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ({"a": "done", "b": "done"}, None),
        ({"a": "done", "b": "err"}, "after: 'b' is err"),
        ({"a": "canceled", "b": "waiting"}, "after: 'a' is canceled"),
        ({"a": "done", "b": DELETED}, "after: 'b' was deleted"),
    ],
)
def test_what_becomes_of_a_task_when_others_have_ended(statuses: dict[str, str], told: str | None) -> None:
    event = decided(TASK, statuses, "me")
    if told is None:
        assert event == Freed("me")
    else:
        assert isinstance(event, Ended)
        assert event.outcome.error.type == "DependencyFailed"  # type: ignore[union-attr]
        assert event.outcome.error.message == told  # type: ignore[union-attr]


@pytest.mark.parametrize("statuses", [{"a": "done"}, {"a": "done", "b": None}, {"a": "running", "b": "scheduled"}])
def test_a_task_waits_for_what_has_not_ended_or_is_not_there_yet(statuses: dict[str, str | None]) -> None:
    assert decided(TASK, statuses, "me") is None


def test_circles_are_found_whatever_hangs_on_them() -> None:
    assert cycle_among([("a", "b"), ("b", "c"), ("x", "a")]) == []
    circle = cycle_among([("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "z")])
    assert sorted(circle) == ["a", "b", "c"]
    place = circle.index("a")
    assert [*circle[place:], *circle[:place]] == ["a", "b", "c"], "each waits for the one behind it"


async def test_a_chain_of_a_hundred(server: Server) -> None:
    seen: list[int] = []

    @job
    async def link(n: int, *, task: TaskContext) -> int:
        seen.append(n)
        assert task.results == ({} if n == 0 else {f"link-{n - 1}": n - 1})
        return n

    async with Client(server.database) as client, working(server.database, link):
        links = [
            {"_id": f"link-{n}", "worker": "manobi", "job": {"name": "link", "arguments": [n]}}
            | ({"after": [f"link-{n - 1}"]} if n else {})
            for n in range(100)
        ]
        await client.schedule_many(reversed(links))
        last = await client.wait("link-99", SECONDS)
    assert (last["status"], last["result"]) == ("done", 99)
    assert seen == list(range(100))
    assert story(last) == ["waiting", "waiting", "scheduled", "done"]


async def test_a_thousand_before_one(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        ids = [f"part-{n}" for n in range(1_000)]
        await client.schedule("manobi", "give", "all", id="sum", after=ids)
        await client.schedule_many({"_id": one, "worker": "manobi", "job": "nothing"} for one in ids)
        task = await client.wait("sum", SECONDS)
        parts = await client.list(worker="manobi", status="done", limit=None)
    assert (task["status"], len(parts)) == ("done", 1_001)
    begun = next(entry["at"] for entry in task["history"] if entry["status"] == "scheduled")
    assert all(part["history"][-1]["at"] <= begun for part in parts if part["_id"] != "sum")


async def test_one_that_fails_takes_those_behind_it_along(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "nothing", id="third", after=["second"])
        await client.schedule("manobi", "nothing", id="second", after=["first"])
        await client.schedule("manobi", "fail", "no", id="first")
        third = await client.wait("third", SECONDS)
        second = await client.get("second")
    assert (third["status"], third["error"]["type"]) == ("err", "DependencyFailed")
    assert third["error"]["message"] == "after: 'second' is err"
    assert second["error"]["message"] == "after: 'first' is err"


async def test_a_task_of_another_worker_is_waited_for(server: Server) -> None:
    async with Client(server.database) as client, working(server.database), working(server.database, name="other"):
        await client.schedule("manobi", "nothing", id="mine", after=["theirs"])
        await client.schedule("other", "nothing", id="theirs")
        assert (await client.wait("mine", SECONDS))["status"] == "done"


async def test_what_was_done_before_its_worker_came_is_found(server: Server) -> None:
    async with Client(server.database) as client:
        async with working(server.database):
            await client.schedule("manobi", "nothing", id="before")
            await client.wait("before", SECONDS)
        await client.schedule("manobi", "nothing", id="late", after=["before"])
        async with working(server.database):
            assert (await client.wait("late", SECONDS))["status"] == "done"


async def test_a_date_is_waited_for_as_well(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "nothing", id="far", after=["near"], date="2100-01-01")
        await client.schedule("manobi", "nothing", id="near")
        async with asyncio.timeout(SECONDS):
            async for task in client.changes(since=0):
                if task["_id"] == "far" and task.get("ready"):
                    break
        assert task["status"] == "waiting"
        await client.reschedule("far", "PT0S")
        assert (await client.wait("far", SECONDS))["status"] == "done"


async def test_a_task_that_is_deleted_fails_those_behind_it(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "nothing", id="gone", date="2100-01-01")
        await client.schedule("manobi", "nothing", id="behind", after=["gone"])
        await client.delete("gone")
        task = await client.wait("behind", SECONDS)
    assert task["error"]["message"] == "after: 'gone' was deleted"


async def test_a_circle_that_came_past_the_rules_is_reported(server: Server) -> None:
    async with Client(server.database) as client, Database(server.database) as database:
        common = {"type": "task", "worker": "manobi", "job": "nothing", "status": "waiting"}
        await database.write([
            {"_id": "a", **common, "after": ["b"]}, {"_id": "b", **common, "after": ["a"]},
            {"_id": "c", **common, "after": ["a"]},
        ])  # fmt: skip
        async with working(server.database):
            tasks = [await client.wait(identity, SECONDS) for identity in ("a", "b", "c")]
    assert [task["error"]["type"] for task in tasks] == ["DependencyCycle", "DependencyCycle", "DependencyFailed"]
    assert tasks[0]["error"]["message"] in (
        "after: 'a' waits for 'b', which waits for 'a'", "after: 'b' waits for 'a', which waits for 'b'",
    )  # fmt: skip


async def test_a_waiting_task_can_be_canceled(server: Server) -> None:
    async with Client(server.database) as client, working(server.database):
        await client.schedule("manobi", "nothing", id="never", after=["nobody"])
        await client.cancel("never")
        assert (await client.wait("never", SECONDS))["status"] == "canceled"
        assert (await until(client, "never", "canceled"))["after"] == ["nobody"]


async def test_the_client_refuses_what_would_close_a_circle_and_names_its_members(server: Server) -> None:
    async with Client(server.database) as client:
        await client.schedule("manobi", "nothing", id="a", after=["b"])
        await client.schedule("manobi", "nothing", id="b", after=["c"])
        with pytest.raises(InvalidTask, match="after: 'c' waits for 'a', which waits for 'b', which waits for 'c'"):
            await client.schedule("manobi", "nothing", id="c", after=["a"])
        await client.schedule("manobi", "nothing", id="c")
        with pytest.raises(InvalidTask, match="after: 'c' waits for 'a'"):
            await client.reschedule("c", after=["a"])
        with pytest.raises(InvalidTask, match="after: a task cannot wait for itself"):
            await client.schedule("manobi", "nothing", id="alone", after=["alone"])
        common = {"worker": "manobi", "job": "nothing"}
        x, y, z = await client.schedule_many(
            [{"_id": "x", **common, "after": ["y"]}, {"_id": "y", **common, "after": ["x"]}, {"_id": "z", **common}]
        )
        assert isinstance(y, InvalidTask)
        assert y.reason == "after: 'y' waits for 'x', which waits for 'y'"
        assert not isinstance(x, InvalidTask)
        assert not isinstance(z, InvalidTask), "the others of the request are put"
