"""Several URLs of one database: what is asked where, when one of them does not answer, and under which account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from commanding import after, free_port
from proxying import Way
from working import SECONDS, run_to_the_end, working

from after.client import Client
from after.database import Database, transport
from after.database.answers import Written
from after.database.nodes import bare, nodes
from after.errors import Conflict, NotFound, Unauthorized, Unreachable
from after.jobs import job

if TYPE_CHECKING:
    from serving import Server


@pytest.fixture
async def ways(server: Server) -> AsyncIterator[list[Way]]:
    """Three ways to one server, as three nodes of a cluster would be."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Way(server.database)) for _ in range(3)]


def together(ways: list[Way]) -> str:
    return ",".join(way.url for way in ways)


# ---- URLs ---------------------------------------------------------------------------------------------------------


def test_urls_are_separated_by_commas_and_share_the_first_account() -> None:
    first, second, third = nodes("http://me:p%2Fq,%40,r@one:5984/after, https://two/db/after/,http://you:x@three:1/a")
    assert [str(node.url) for node in (first, second, third)] == [
        "http://one:5984/after", "https://two/db/after", "http://three:1/a",
    ]  # fmt: skip
    assert first.account is not None
    assert (first.account.name, first.account.password) == ("me", "p/q,@,r")
    assert second.account is first.account
    assert third.account is not None
    assert third.account.name == "you"


def test_an_account_goes_as_utf_8() -> None:
    (node,) = nodes("http://j%C3%B6rg:%F0%9F%94%91@one:5984/after")
    assert node.headers() == {"Authorization": "Basic asO2cmc68J+UkQ=="}


@pytest.mark.parametrize(
    "text",
    ["", "after", "http://me:secret@one:5984", "http://me:secret@one:5984/", "ftp://me:secret@one/after",
     "http://me:secret@one:port/after", "http://me:secret@one:5984/after,two:5984/after",
     "http://me:sec/ret@one:5984", "http://me:secret@one/after,http://me:secret@two"],
)  # fmt: skip
def test_what_is_no_url_of_a_database_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a database") as caught:
        nodes(text)
    assert "secret" not in str(caught.value)
    assert "ret@" not in str(caught.value)


def test_passwords_are_shown_nowhere() -> None:
    url = "http://me:secret@one:5984/after,http://me:secret@two:5984/after"
    database = Database(url)
    for shown in (repr(database), str(database.url), bare(url), repr(nodes(url)[0].account), repr(vars(database))):
        assert "secret" not in shown
    assert "secret" not in after("tasks", url="http://me:secret@127.0.0.1:1").err
    gone = after("tasks", url=f"http://me:secret@127.0.0.1:{free_port()}/after")
    assert (gone.code, "secret" in gone.err, "refused" in gone.err) == (3, False, True)


# ---- the next node ------------------------------------------------------------------------------------------------


async def test_a_request_that_finds_no_answer_goes_to_the_next_node(ways: list[Way]) -> None:
    async with Database(together(ways)) as database:
        for way in ways[:2]:
            await way.die()
            assert (await database.info())["db_name"] == "after"
            (answer,) = await database.write([{"_id": f"way-{ways.index(way)}", "own": 1}])
            assert isinstance(answer, Written)
            assert f":{ways[ways.index(way) + 1].url.split(':')[2]}" in str(database.url)
        await ways[2].die()
        with pytest.raises(Unreachable) as caught:
            await database.info()
        assert all(way.url in str(caught.value) for way in ways), "all were asked"
        await ways[0].start()
        assert (await database.info())["db_name"] == "after"


async def test_a_node_that_is_silent_is_left_soon(ways: list[Way], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_first", transport.aiohttp.ClientTimeout(total=0.2))
    async with Database(together(ways)) as database:
        await database.info()
        ways[0].silent = True
        async with asyncio.timeout(5):
            await asyncio.gather(*(database.info() for _ in range(20)))
        assert str(database.url) == ways[1].url


async def test_a_write_whose_answer_was_lost_is_no_conflict_with_itself(ways: list[Way]) -> None:
    async with Database(together(ways)) as database:
        (first,) = await database.write([{"_id": "there", "n": 1}])
        assert isinstance(first, Written)
        ways[0].deaf = 1
        given: list[dict[str, Any]] = [
            {"_id": "new", "n": 1}, {"_id": "there", "n": 2}, {"_id": "there", "_rev": first.rev, "n": 3},
        ]  # fmt: skip
        new, stale, fresh = await database.write(given)
        assert isinstance(new, Written)
        assert isinstance(stale, Conflict)
        assert isinstance(fresh, Written)
        assert (await database.get("there"))["_rev"] == fresh.rev
        ways[1].deaf = 1
        (gone,) = await database.write([{"_id": "new", "_rev": new.rev, "_deleted": True}])
        assert isinstance(gone, Written)


async def test_the_feed_goes_on_at_the_next_node(ways: list[Way]) -> None:
    async with Database(together(ways)) as database, Client(ways[2].url) as client:
        await client.schedule("nobody", "give", id="before")
        heard: list[str] = []
        async with asyncio.timeout(SECONDS):
            async for changes in database.changes(since=0, selector={"worker": "nobody"}, heartbeat=0.2):
                heard += [change.id for change in changes]
                if heard == ["before"] and ways[0]._server is not None:
                    await ways[0].die()
                    await client.schedule("nobody", "give", id="meanwhile")
                elif heard == ["before", "meanwhile"] and not ways[1].silent:
                    ways[1].silent = True
                    await client.schedule("nobody", "give", id="silent")
                elif "silent" in heard:
                    break
    assert heard == ["before", "meanwhile", "silent"]


async def test_the_feed_ends_when_no_node_goes_on(ways: list[Way]) -> None:
    async with Database(together(ways)) as database:
        feed = database.changes(since=0, selector={}, heartbeat=0.2)
        assert await anext(feed) == []
        for way in ways:
            await way.die()
        with pytest.raises(Unreachable):
            async for _ in feed:
                pass


async def test_nodes_that_die_in_turn_cost_no_task(ways: list[Way]) -> None:
    runs: Counter[str] = Counter()

    @job
    async def count(name: str) -> None:
        runs[name] += 1

    tasks: list[dict[str, Any]] = [
        {"_id": f"t{n}", "worker": "manobi", "job": {"name": "count", "arguments": [f"t{n}"]},
         "date": f"PT{1 + n / 100:.2f}S"}
        for n in range(400)
    ]  # fmt: skip
    async with Client(together(ways[::-1])) as client, working(together(ways), count):
        await client.schedule_many(tasks)
        for way in ways:
            await way.die()
            await asyncio.sleep(1.2)
            await way.start()
        ended = [await client.wait(task["_id"], SECONDS) for task in tasks]
    assert {task["status"] for task in ended} == {"done"}
    assert set(runs.values()) == {1}


async def test_a_claim_whose_answer_was_lost_is_taken_up_at_once(server: Server) -> None:
    async with Way(server.database) as way, Client(server.database) as client, working(way.url) as worker:
        claimed = asyncio.Event()
        write = worker._database.write

        async def write_and_lose(documents: Any, **options: Any) -> Any:
            if not claimed.is_set() and any(isinstance(one, dict) and one.get("claim") for one in documents):
                claimed.set()
                way.deaf = 1
            return await write(documents, **options)

        worker._database.write = write_and_lose  # type: ignore[method-assign]
        task = await run_to_the_end(client, "give", 5)
        assert claimed.is_set()
    assert [entry["status"] for entry in task["history"]] == ["waiting", "scheduled", "done"], "it was claimed once"


# ---- accounts, on a real CouchDB ----------------------------------------------------------------------------------


async def test_a_couchdb_that_takes_cookies_only_is_signed_in_to(couchdb: str) -> None:
    async with Way(couchdb) as way:
        way.cookies_only = True
        async with Client(way.url) as client, working(way.url) as worker:
            assert (await run_to_the_end(client, "give", 5))["result"] == 5
            node = worker._database._transport.node
            assert node.cookie
            asked = way.asked
            await client.get((await client.schedule("manobi", "give", 6))["_id"])
            assert way.asked - asked < 10, "it does not sign in for every request"
            node.cookie = f"{node.cookie[:-2]}xx"
            way.cut()
            assert (await run_to_the_end(client, "give", 7))["result"] == 7
            await worker._database.info()
            assert not node.cookie.endswith("xx"), "the session was renewed"


async def test_a_refused_account_is_named_and_its_password_is_not(couchdb: str) -> None:
    # Not the admin's: CouchDB locks an account, for whoever comes from the same address, after five wrong passwords.
    tail = couchdb.rpartition("@")[2]
    async with Database(f"http://worker-nobody:sesame@{tail}") as database:
        with pytest.raises(Unauthorized, match=r"refuses the account 'worker-nobody': Name or password is") as caught:
            await database.info()
        assert "sesame" not in str(caught.value)
        with pytest.raises(Unauthorized, match="'worker-nobody'"):
            await anext(database.changes(since=0, selector={}))
    async with Database(f"http://{tail}") as database:
        with pytest.raises(Unauthorized, match=r"wants an account: .*NAME:PASSWORD@HOST"):
            await database.get("any")


async def test_what_is_missing_says_what_to_do(couchdb: str) -> None:
    async with Database(f"{couchdb}-none") as database:
        with pytest.raises(NotFound, match=r"Database does not exist.*run: after install http://"):
            await database.info()
    async with Database(couchdb) as database:
        design = await database.get("_design/after")
        await database.request("DELETE", "_design/after", query={"rev": design["_rev"]})
        with pytest.raises(NotFound, match="run: after install http://"):
            async with working(couchdb):
                pass
        assert not await database.all(startkey="worker:"), "nothing was written"
