"""Claims on a cluster, where an answer may be uncertain, late or lost; here the answers are changed on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from working import apart, run_to_the_end, story, until, working

from after.client import Client
from after.database import Database
from after.database.answers import ViewRow, Written
from after.errors import Refusal, Unavailable
from after.worker import Worker
from after.worker import worker as module

if TYPE_CHECKING:
    from serving import Server

Answers = list[Written | Refusal]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let chores come every few milliseconds."""
    monkeypatch.setattr(module, "CHORE_SECONDS", 0.05)


def changing(worker: Worker, change: Callable[[list[Any], Answers], Answers]) -> None:
    """Let a worker hear other answers to its writes than the engine gave."""
    write = worker._database.write

    async def changed(documents: Any, **options: Any) -> Answers:
        plain = [msgspec.json.decode(one) if isinstance(one, msgspec.Raw) else one for one in documents]
        return change(plain, await write(documents, **options))

    worker._database.write = changed  # type: ignore[method-assign]


async def test_an_uncertain_claim_is_made_again_before_anything_runs(server: Server) -> None:
    async with Client(server.database) as client, working(server.database) as worker:
        changing(worker, _uncertain)
        task = await run_to_the_end(client, "give", 5)
    assert story(task) == ["waiting", "scheduled", "scheduled", "done"]
    assert task["history"][2]["note"] == "claimed again: the first claim was not certain"
    assert (task["result"], task["attempt"]) == (5, 1)


async def test_an_uncertain_claim_is_given_back_by_a_worker_that_takes_nothing_more(server: Server) -> None:
    async with Client(server.database) as client, working(server.database) as worker:
        changing(worker, _uncertain)
        await client.schedule("manobi", "give", 5, id="held", date="PT9S")
        await until(client, "held", "scheduled")
        worker._holdings.accepting = False
        task = await until(client, "held", "waiting")
    assert task["history"][-1]["note"] == "its claim was not certain"


async def test_a_report_that_too_few_nodes_answered_is_sent_again(server: Server) -> None:
    refused: list[str] = []

    def once(documents: list[Any], answers: Answers) -> Answers:
        if refused or documents[0].get("status") != "done":
            return answers
        refused.append(documents[0]["_id"])
        return [Unavailable("too few nodes")] * len(answers)

    async with Client(server.database) as client, working(server.database) as worker:
        changing(worker, once)
        task = await run_to_the_end(client, "give", 5)
        assert (await run_to_the_end(client, "give", 6))["result"] == 6
    assert refused == [task["_id"]]
    assert (task["status"], task["result"]) == ("done", 5)


async def test_a_living_process_that_a_view_does_not_show_yet_keeps_its_tasks(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart(monkeypatch)
    async with Client(server.database) as client, working(server.database) as holder:
        await client.schedule("manobi", "give", 5, id="held", date="PT8S")
        await until(client, "held", "scheduled")
        async with working(server.database, name="other") as other, Database(server.database) as database:
            view = database.view
            rescue = other._rescue
            rescue._name, rescue._database = "manobi", database

            async def lagging(name: str, **parameters: object) -> list[ViewRow]:
                return [] if name == "workers" else await view(name, **parameters)

            database.view = lagging  # type: ignore[method-assign]
            orphans, _ = await rescue.look()
            assert not orphans
            assert rescue.living == {holder.instance}


def _uncertain(documents: list[Any], answers: Answers) -> Answers:
    """Say of a first claim that the cluster is not certain of it."""
    return [
        msgspec.structs.replace(answer, accepted=True)
        if isinstance(answer, Written) and document.get("claim") and story(document).count("scheduled") == 1
        else answer
        for document, answer in zip(documents, answers, strict=True)
    ]
