"""Cancelling, rescheduling and running again all tasks that a filter selects."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from engines import url  # noqa: F401 - a fixture
from rest import as_worker, refused, told
from working import until, working

from after import BlockingClient, editing
from after.client import Client
from after.dates import parse_instant
from after.editing import SELECTED, Action
from after.editor import Editor
from after.errors import BadRequest, Conflict, Forbidden, NotFound, Refusal, Unreachable
from after.status import ENDED, TRANSITIONS, Role, Status
from after.task import Document
from after.testing import TurnableClock

if TYPE_CHECKING:
    from serving import Client as Http
    from serving import Server

NOW = parse_instant("2026-06-01T12:00:00Z")
TASK: Document = {
    "_id": "a", "_rev": "1-a", "type": "task", "worker": "manobi", "job": "give", "date": "2026-06-02T00:00:00.000Z",
    "status": "waiting", "tags": ["spring"],
    "history": [{"at": "2026-06-01T00:00:00.000Z", "status": "waiting", "by": "client"}],
}  # fmt: skip


def edit(**given: Any) -> editing.Edit:
    return editing.read({"filter": {"worker": "manobi"}, **given}, NOW)[0]


class TestWhatIsAsked:
    @pytest.mark.parametrize("action", Action)
    def test_every_action_is_possible_for_what_is_selected_without_a_status(self, action: Action) -> None:
        asked = {Action.CANCEL: "cancel", Action.RESCHEDULE: "reschedule", Action.AGAIN: "schedule"}[action]
        for status in SELECTED[action]:
            assert Role.CLIENT in TRANSITIONS[status, asked]
            assert (status in ENDED) == (action == Action.AGAIN)

    def test_what_runs_or_is_to_be_canceled_is_not_moved_unless_it_is_named(self) -> None:
        assert {Status.RUNNING, Status.CANCEL}.isdisjoint(SELECTED[Action.RESCHEDULE])
        named = edit(action="reschedule", by="PT1H", filter={"status": "running"})
        assert named.fits({**TASK, "status": "running"})
        assert not named.fits(TASK)

    @pytest.mark.parametrize(
        ("given", "reason"),
        [
            ({"action": "dance"}, "action: 'dance' is not one of cancel, reschedule, again"),
            (
                {"action": "cancel", "filter": {}},
                'filter: has to say which tasks are meant; every task is {"all": true}',
            ),
            ({"action": "cancel", "filter": {"all": False}}, "filter: has to say"),
            ({"action": "cancel", "filter": {"all": True, "worker": "a"}}, "filter: has to say"),
            ({"action": "cancel", "filter": {"colour": "red"}}, "filter.colour: is not a known field"),
            ({"action": "cancel", "filter": {"worker": ""}}, "filter.worker: "),
            ({"action": "cancel", "filter": {"status": "nearly"}}, "filter.status: 'nearly' is not one of"),
            ({"action": "cancel", "filter": {"status": ["done", "nearly"]}}, "filter.status: 'nearly' is not one of"),
            ({"action": "cancel", "filter": {"from": "soon"}}, "filter.from: 'soon' is not an ISO 8601 date"),
            ({"action": "cancel", "filter": {"ids": "a"}}, "filter.ids: expected"),
            ({"action": "cancel", "date": "PT1H"}, "action: a task that is canceled takes no"),
            ({"action": "reschedule"}, "action: to reschedule, say by how much"),
            ({"action": "reschedule", "by": "P1M"}, "by: 'P1M' has no fixed length"),
            ({"action": "reschedule", "by": "-P1Y"}, "by: 'P1Y' has no fixed length"),
            ({"action": "reschedule", "by": "PT0S"}, "by: 'PT0S' moves nothing"),
            ({"action": "reschedule", "by": "--PT1S"}, "by: '-PT1S' is not an ISO 8601 duration"),
            ({"action": "reschedule", "by": "PT1H", "date": "2026-01-01"}, "by: does not go with a date"),
            ({"action": "reschedule", "date": "2026-13-01"}, "date: '2026-13-01' is not an ISO 8601 date"),
            ({"action": "reschedule", "date": "P9000000D"}, "date: "),
            ({"action": "reschedule", "changes": {"date": "2026-01-01"}}, "changes.date: cannot be changed so"),
            ({"action": "reschedule", "changes": {"priority": "high"}}, "priority: expected"),
            ({"action": "again", "by": "PT1H"}, "by: does not go with"),
            ({"action": "cancel", "limit": 0}, "limit: expected"),
            ({"action": "cancel", "limit": 10_001}, "limit: expected"),
            ({"action": "cancel", "filter": {"ids": ["a"]}, "cursor": "x"}, "cursor: does not go with ids"),
        ],
    )
    def test_what_is_wrong_is_named(self, given: Document, reason: str) -> None:
        with pytest.raises(BadRequest) as error:
            editing.read({"filter": {"worker": "manobi"}, **given}, NOW)
        assert str(error.value).startswith(reason)

    def test_what_only_workers_set_is_refused_at_once(self) -> None:
        with pytest.raises(Forbidden, match=r"changes\.claim: is set by workers only"):
            edit(action="reschedule", changes={"claim": None})

    def test_no_ids_are_not_all_ids(self) -> None:
        assert edit(action="cancel", filter={"ids": []}).ids == ()


class TestWhatBecomesOfATask:
    @pytest.mark.parametrize(
        ("given", "date"),
        [
            ({"by": "PT2H"}, "2026-06-02T02:00:00.000Z"),
            ({"by": "+PT2H"}, "2026-06-02T02:00:00.000Z"),
            ({"by": "-P2D"}, "2026-05-31T00:00:00.000Z"),
            ({"date": "2026-07-01T00:00:00+02:00"}, "2026-06-30T22:00:00.000Z"),
            ({"date": "PT1H"}, "2026-06-01T13:00:00.000Z"),
            ({"changes": {"priority": 3}}, "2026-06-02T00:00:00.000Z"),
        ],
    )
    def test_it_is_moved(self, given: Document, date: str) -> None:
        changed = editing.edited(edit(action="reschedule", **given), TASK, NOW, "ana")
        assert (changed["status"], changed["date"]) == ("reschedule", date)
        assert changed["history"][-1]["by"] == "ana"
        assert editing.told(TASK, changed)["becomes"] == {"status": "reschedule", "date": date}

    @pytest.mark.parametrize("by", ["P3000000D", "-P800000D"])
    def test_a_date_that_cannot_be_written_is_refused(self, by: str) -> None:
        with pytest.raises(BadRequest, match=r"date: .* is outside the years 0001 to 9999"):
            editing.edited(edit(action="reschedule", by=by), TASK, NOW)

    def test_a_task_without_a_date_is_moved_from_now(self) -> None:
        task = {name: value for name, value in TASK.items() if name != "date"}
        assert editing.edited(edit(action="reschedule", by="PT1H"), task, NOW)["date"] == "2026-06-01T13:00:00.000Z"

    def test_one_that_is_where_it_should_be_is_not_meant(self) -> None:
        wanted = edit(action="reschedule", date="2026-06-02", changes={"tags": ["spring"]})
        assert not wanted.fits(TASK)
        assert wanted.fits({**TASK, "tags": []})
        assert edit(action="reschedule", by="PT1H").fits(TASK)

    def test_after_somebody_else_it_is_decided_anew(self) -> None:
        wanted = edit(action="cancel", filter={"tag": "spring"})
        with pytest.raises(Forbidden, match="'done' cannot become 'cancel'"):
            editing.again(wanted, {**TASK, "status": "done"}, NOW)
        with pytest.raises(Conflict, match="does not select it any more"):
            editing.again(wanted, {**TASK, "tags": []}, NOW)
        assert editing.again(wanted, {**TASK, "status": "scheduled"}, NOW)["status"] == "cancel"


class Shelf:
    """Keeps tasks in memory, and lets a test do something to them just before a write."""

    def __init__(self, *tasks: Document) -> None:
        self.tasks = {task["_id"]: task for task in tasks}
        self.before_write = iter([lambda: None])
        self.lose_answers = False

    async def read(self, identities: Sequence[str]) -> dict[str, Document]:
        return {one: self.tasks[one] for one in identities if one in self.tasks}

    async def write(self, documents: Sequence[Document]) -> list[Refusal | None]:
        next(self.before_write, lambda: None)()
        return [self._write(document) for document in documents]

    def _write(self, document: Document) -> Refusal | None:
        stored = self.tasks.get(document["_id"])
        if stored is None or stored["_rev"] != document["_rev"]:
            return Conflict("Document update conflict.")
        generation = int(stored["_rev"].split("-")[0]) + 1
        self.tasks[document["_id"]] = {**document, "_rev": f"{generation}-x"}
        return Conflict("Document update conflict.") if self.lose_answers else None

    def change(self, **fields: Any) -> None:
        task = self.tasks["a"]
        self.tasks["a"] = {**task, **fields, "_rev": f"{int(task['_rev'][0]) + 1}-y"}


class TestTheEditor:
    async def run(self, shelf: Shelf, wanted: editing.Edit, *identities: str) -> Document:
        editor = Editor(wanted, shelf, TurnableClock(NOW))
        await editor.run(identities or ("a",))
        return editing.answer(editor.lines.values(), dry_run=False)

    async def test_a_conflict_is_decided_on_what_is_stored_then(self) -> None:
        shelf = Shelf(TASK)
        shelf.before_write = iter([lambda: shelf.change(date="2026-06-05T00:00:00.000Z")])
        answer = await self.run(shelf, edit(action="reschedule", by="PT1H"))
        assert (answer["changed"], shelf.tasks["a"]["date"]) == (1, "2026-06-05T01:00:00.000Z")

    async def test_a_task_that_ended_meanwhile_is_refused_by_the_rules(self) -> None:
        shelf = Shelf(TASK)
        shelf.before_write = iter([lambda: shelf.change(status="done")])
        answer = await self.run(shelf, edit(action="cancel"))
        assert answer["refused"] == [
            {"id": "a", "error": "forbidden", "reason": "status: 'done' cannot become 'cancel'"}
        ]
        assert shelf.tasks["a"]["status"] == "done"

    async def test_a_shift_whose_answer_was_lost_is_not_done_twice(self) -> None:
        shelf = Shelf(TASK)
        shelf.lose_answers = True
        answer = await self.run(shelf, edit(action="reschedule", by="PT1H"))
        assert (answer["changed"], shelf.tasks["a"]["date"]) == (1, "2026-06-02T01:00:00.000Z")

    async def test_one_that_changes_all_the_time_is_given_up(self) -> None:
        shelf = Shelf(TASK)
        shelf.before_write = iter([lambda: shelf.change(priority=1)] * 100)
        answer = await self.run(shelf, edit(action="reschedule", by="PT1H"))
        assert [one["error"] for one in answer["refused"]] == ["conflict"]

    async def test_one_that_is_deleted_meanwhile_is_told(self) -> None:
        shelf = Shelf(TASK)
        shelf.before_write = iter([lambda: shelf.tasks.clear()])
        answer = await self.run(shelf, edit(action="cancel"))
        assert [one["error"] for one in answer["refused"]] == ["not_found"]


class TestOverHttp:
    def put(self, client: Http, count: int) -> None:
        tasks = [
            {"_id": f"t{number:03}", "worker": "manobi" if number % 2 else "other", "job": "x",
             "date": f"2040-01-{1 + number % 28:02}", "tags": ["odd"] if number % 2 else []}
            for number in range(count)
        ]  # fmt: skip
        assert client.post("/tasks/_bulk", tasks).status == 201

    def edit(self, client: Http, **given: Any) -> Any:
        answer = client.post("/tasks/_edit", given)
        assert answer.status == 200, answer.json
        return answer.json

    def test_a_dry_run_changes_nothing_and_says_what_would_be(self, client: Http) -> None:
        self.put(client, 4)
        asked = {"action": "reschedule", "filter": {"worker": "manobi"}, "by": "PT2H"}
        answer = self.edit(client, **asked, dry_run=True)
        assert (answer["dry_run"], answer["matched"], answer["changed"]) == (True, 2, 0)
        assert answer["tasks"][-1] == {
            "id": "t001", "worker": "manobi", "status": "waiting", "date": "2040-01-02T00:00:00.000Z",
            "becomes": {"status": "reschedule", "date": "2040-01-02T02:00:00.000Z"},
        }  # fmt: skip
        assert client.get("/tasks/t001").json["_rev"].startswith("1-")
        done = self.edit(client, **asked)
        assert done["tasks"] == answer["tasks"]
        assert done["changed"] == 2
        task = client.get("/tasks/t001").json
        assert (task["status"], task["date"]) == ("reschedule", "2040-01-02T02:00:00.000Z")

    @pytest.mark.parametrize("by", ["P2D", "-P2D"])
    def test_page_by_page_each_task_is_moved_once(self, client: Http, by: str) -> None:
        self.put(client, 100)
        before = {task["_id"]: task["date"] for task in client.get("/tasks", limit=200).json["tasks"]}
        asked: dict[str, Any] = {"action": "reschedule", "filter": {"all": True}, "by": by, "limit": 7}
        pages, cursor = 0, None
        while pages == 0 or (cursor and pages < 50):
            answer = self.edit(client, **asked, **({"cursor": cursor} if cursor else {}))
            pages, cursor = pages + 1, answer["cursor"]
        assert pages == 15
        shift = parse_instant("2040-01-03") - parse_instant("2040-01-01")
        for task in client.get("/tasks", limit=200).json["tasks"]:
            moved = parse_instant(task["date"]) - parse_instant(before[task["_id"]])
            assert moved == (shift if by == "P2D" else -shift)
            assert len(task["history"]) == 2

    def test_a_duration_means_the_same_instant_on_every_page(self, server: Server, client: Http) -> None:
        self.put(client, 6)
        asked = {"action": "reschedule", "filter": {"all": True}, "date": "P1D", "limit": 4}
        first = self.edit(client, **asked)
        second = self.edit(client, **asked, cursor=first["cursor"])
        dates = {task["becomes"]["date"] for task in first["tasks"] + second["tasks"]}
        assert (len(dates), first["matched"], second["matched"], second["cursor"]) == (1, 4, 2, None)

    def test_ids_and_filters_go_together(self, client: Http) -> None:
        self.put(client, 4)
        as_worker(client, "t003", "scheduled", "running", "done")
        answer = self.edit(client, action="cancel", filter={"ids": ["t001", "t002", "t003", "no"], "worker": "manobi"})
        assert [task["id"] for task in answer["tasks"]] == ["t001"]
        assert [(one["id"], one["error"]) for one in answer["refused"]] == [("no", "not_found"), ("t003", "forbidden")]

    def test_what_has_ended_runs_again(self, client: Http) -> None:
        self.put(client, 4)
        as_worker(client, "t001", "scheduled", "running", "err")
        answer = self.edit(client, action="again", filter={"worker": "manobi", "status": ["err"]})
        assert [(task["id"], task["becomes"]["status"]) for task in answer["tasks"]] == [("t001", "schedule")]
        assert client.get("/tasks/t001").json["status"] == "schedule"

    def test_what_is_wrong_is_refused(self, client: Http) -> None:
        refused(client.post("/tasks/_edit", {"action": "cancel", "filter": {}}), 400, "bad_request", "filter")
        refused(client.post("/tasks/_edit", {"filter": {"all": True}}), 400, "bad_request", "action")
        given = {"action": "cancel", "filter": {"all": True}, "cursor": "abc"}
        refused(client.post("/tasks/_edit", given), 400, "bad_request", "cursor")
        assert told(client.post("/tasks/_edit", [1]))[0] == 400
        assert client.get("/tasks/_edit").status == 405


class TestTheClient:
    async def filled(self, client: Client) -> None:
        await client.schedule_many([
            {"_id": f"t{number}", "worker": "manobi" if number % 2 else "other", "job": "give",
             "date": f"2040-01-0{1 + number}", "tags": ["low"] if number < 3 else []}
            for number in range(6)
        ])  # fmt: skip

    async def test_moves_cancels_and_runs_again(self, url: str) -> None:  # noqa: F811
        async with Client(url, by="ana") as client:
            await self.filled(client)
            seen = await client.edit("reschedule", worker="manobi", by=timedelta(hours=-2), dry_run=True)
            assert (seen["matched"], seen["changed"]) == (3, 0)
            assert (await client.get("t1"))["status"] == "waiting"
            done = await client.edit("reschedule", worker="manobi", by="-PT2H")
            assert done["tasks"] == seen["tasks"]
            assert [task["id"] for task in done["tasks"]] == ["t1", "t3", "t5"]
            task = await client.get("t3")
            assert (task["date"], task["history"][-1]["by"]) == ("2040-01-03T22:00:00.000Z", "ana")

            some = await client.edit("cancel", tag="low", since="2040-01-02", until="2040-01-04", limit=5)
            assert [task["id"] for task in some["tasks"]] == ["t2"]
            assert (await client.edit("cancel", all=True, limit=2))["changed"] == 2
            named = await client.edit("again", ids=["t5", "none"])
            assert [one["error"] for one in named["refused"]] == ["not_found"]
            assert (await client.get("t5"))["status"] == "schedule"
            with pytest.raises(BadRequest, match="filter: has to say"):
                await client.edit("cancel")

    async def test_a_worker_takes_up_what_was_changed(self, server: Server) -> None:
        async with Client(server.database) as client, working(server.database):
            await client.schedule_many(
                {"_id": f"t{number}", "worker": "manobi", "job": "give", "date": "2040-01-01"} for number in range(20)
            )
            await client.edit("reschedule", worker="manobi", date=timedelta(0), changes={"job": "nothing"})
            for number in range(20):
                assert (await client.wait(f"t{number}", 20))["status"] == "done"
            assert (await client.edit("again", worker="manobi", status="done", date="P1D"))["changed"] == 20
            await client.edit("cancel", worker="manobi")
            for number in range(20):
                await until(client, f"t{number}", "canceled")

    async def test_says_how_far_it_went_where_the_engine_goes_away(self, server: Server) -> None:
        async with Client(server.database) as client:
            await self.filled(client)
            await asyncio.to_thread(server.stop)
            with pytest.raises(Unreachable):
                await client.edit("cancel", ids=["t1"])

    def test_blocks_where_there_is_no_loop(self, server: Server) -> None:
        with BlockingClient(server.database) as client:
            client.schedule("manobi", "give", id="a", date="2040-01-01")
            assert client.edit("cancel", ids=["a"])["changed"] == 1
            with pytest.raises(NotFound):
                client.cancel("b")
