"""Upgrading, removing, and a cluster: what installing does to a CouchDB with tasks in it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from commanding import after
from installing import Place, cluster, install, needs_cluster, needs_couchdb, single

from after.design import design_document
from after.design.admin import Server as Couch
from after.design.install import apply
from after.design.look import look
from after.design.plan import Step, Wish, plan
from after.errors import Conflict
from after.task import Document


@pytest.fixture
def place() -> Iterator[Place]:
    with single() as made:
        yield made


@pytest.fixture
def nodes() -> Iterator[list[Place]]:
    with cluster() as made:
        yield made


@needs_couchdb
class TestUpgrading:
    def test_new_indexes_are_ready_at_the_swap(self, place: Place) -> None:
        upgrade(place, design("1"))
        rows = [{"_id": f"t{n:05}", "worker": "manobi", "job": "j"} for n in range(2_000)]
        place.ask("POST", f"{place.name}/_bulk_docs", {"docs": rows})
        assert len(place.ask("GET", f"{place.name}/_design/after/_view/due", limit="1")["rows"]) == 1
        done, told = upgrade(place, design("2"), at_swap=lambda: place.ask("GET", f"{place.name}/_design/after/_info"))
        assert [step.do for step, _ in done] == ["put", "build", "put", "use", "remove", "tidy"]
        pending = {step.line: seen["view_index"]["updates_pending"]["total"] for step, seen in done}
        assert pending[next(line for line in pending if "in place of" in line)] <= 1, "ready but for the swap itself"
        assert told[-1][0] == told[-1][1]
        rows = place.ask("GET", f"{place.name}/_design/after/_view/due", limit="1", update="false")["rows"]
        assert rows[0]["key"] == 2
        assert place.ask("GET", f"{place.name}/_design/after-next") is None
        assert upgrade(place, design("2"))[0] == []

    def test_an_interrupted_one_is_taken_up(self, place: Place) -> None:
        upgrade(place, design("1"))
        place.ask("PUT", f"{place.name}/t", {"worker": "manobi", "job": "j"})
        upgrade(place, design("2"), only=1)
        assert place.ask("GET", f"{place.name}/_design/after-next") is not None
        done, _ = upgrade(place, design("2"))
        assert [step.do for step, _ in done] == ["build", "put", "use", "remove", "tidy"]
        assert place.ask("GET", f"{place.name}/_design/after-next") is None

    def test_two_at_once_are_told(self, place: Place) -> None:
        upgrade(place, design("1"))

        async def work() -> None:
            async with Couch(place.url) as couch:
                steps = plan(await look(couch), Wish(design=design("2"), user=None))
                await apply(couch, steps)
                await apply(couch, steps)

        with pytest.raises(Conflict, match="run the command again"):
            asyncio.run(work())


@needs_couchdb
class TestRemoving:
    def test_the_tasks_stay(self, place: Place) -> None:
        install(place, "--vhost", place.vhost)
        place.ask("PUT", f"{place.name}/seed", {"worker": "manobi", "job": "j", "status": "waiting"})
        before = place.snapshot()
        told = after("uninstall", place.url, "--user", place.user, "--dry-run")
        assert told.out.endswith("dry run: nothing was changed\n")
        assert place.snapshot() == before
        done = after("uninstall", place.url, "--user", place.user)
        assert done.out.splitlines() == told.out.splitlines()[:-1]
        (documents, _, user, config) = place.snapshot()
        assert [row["id"] for row in documents["rows"]] == ["seed"]
        assert user is None
        assert place.vhost not in str(config)
        assert after("uninstall", place.url).out == "nothing to change\n"
        assert install(place).code == 0, "and it can come back"

    def test_the_data_only_where_the_name_is_typed(self, place: Place) -> None:
        install(place)
        assert after("uninstall", place.url, "--data", given="yes\n").code == 1
        assert after("uninstall", place.url, "--data", given="").code == 130
        assert place.ask("GET", place.name) is not None
        assert after("uninstall", place.url, "--data", given=f"{place.name}\n").code == 0
        assert place.ask("GET", place.name) is None

    def test_data_of_others_never(self, place: Place) -> None:
        place.ask("PUT", place.name)
        place.ask("PUT", f"{place.name}/invoice", {"total": 3})
        assert "not After's (invoice)" in after("uninstall", place.url, "--data", "--yes").err
        assert place.ask("GET", f"{place.name}/invoice") is not None


@needs_cluster
class TestCluster:
    def test_settings_are_made_on_every_node(self, nodes: list[Place]) -> None:
        first = nodes[0]
        done = install(first, "--vhost", first.vhost, "--dashboard")
        assert done.code == 0, done.err
        assert "note: scripts in the attachments of every database" in done.out
        for node in nodes:
            assert (
                node.ask("GET", f"_node/_local/_config/vhosts/{first.vhost}") == f"/{first.name}/_design/after/_rewrite"
            )
            assert node.ask("GET", "_node/_local/_config/csp/attachments_enable") == "false"
        before = first.snapshot()
        for node in nodes:
            assert install(node, "--vhost", first.vhost, "--dashboard").out.startswith("nothing to change")
        assert first.snapshot() == before
        assert after("uninstall", nodes[-1].url, "--user", first.user).code == 0
        assert not any(node.ask("GET", f"_node/_local/_config/vhosts/{first.vhost}") for node in nodes)

    def test_an_upgrade_is_ready_on_every_copy(self, nodes: list[Place]) -> None:
        first = nodes[0]
        rows = [{"_id": f"t{n:05}", "worker": "manobi", "job": "j"} for n in range(2_000)]
        first.ask("PUT", first.name)
        first.ask("POST", f"{first.name}/_bulk_docs", {"docs": rows})
        upgrade(first, design("1"))
        upgrade(first, design("2"))
        for node in nodes * 3:
            while (counted := _counted(node))["rows"] and counted["rows"][0]["key"] == 1:
                pass  # a node may have the design document of before in its cache yet
            assert counted["total_rows"] == 2_000


def _counted(place: Place) -> Document:
    """Ask the view at one node, as far as its index is."""
    found: Document = place.ask("GET", f"{place.name}/_design/after/_view/due", limit="1", update="false")
    return found


def design(key: str) -> Document:
    """Give a design document like After's with one view, which emits this key."""
    made = design_document(validation=False)
    source = f"function (doc) {{ if (doc.worker) {{ emit({key}, null); }} }}"
    return {**made, "views": {"due": {"map": source}, "lib": {}}, "after": {"version": "0.0.1", "digest": key}}


def upgrade(
    place: Place, to: Document, only: int | None = None, at_swap: Any = lambda: None
) -> tuple[list[Any], list[Any]]:
    """Install a design document; give the steps that were done, each with what was seen then, and the progress told."""
    done: list[tuple[Step, Any]] = []
    told: list[tuple[int, int]] = []

    async def work() -> None:
        async with Couch(place.url) as couch:
            for step in plan(await look(couch), Wish(design=to, user=None))[:only]:
                await apply(couch, [step], tell=lambda known, of: told.append((known, of)))
                done.append((step, await asyncio.to_thread(at_swap)))

    asyncio.run(work())
    return done, told
