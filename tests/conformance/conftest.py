"""Each case runs on the embedded server in memory and on a file, and on Apache CouchDB where there is one.

A case that is named in `differences.py` has to fail on CouchDB, and with the code that stands there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from couchdb import URL, CouchDatabase, CouchDB
from differences import Says, told_difference
from serving import Client, Server, speaking

ENGINES = ("memory", "file", *(("couchdb",) if URL else ()))

Open = Callable[[], Server | CouchDatabase]


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """What opens an empty database of the engine."""
    if request.param == "couchdb":
        assert URL is not None
        couch = CouchDB(URL)
        yield couch.database
        couch.close()
    elif request.param == "file":
        folder = tmp_path_factory.mktemp("databases")
        yield lambda: Server(folder / f"{uuid.uuid4().hex}.db")
    else:
        yield lambda: Server(None)


@pytest.fixture
def place(engine: Open) -> Iterator[Server | CouchDatabase]:
    """An empty database of the test's own."""
    opened = engine()
    yield opened
    opened.stop()


@pytest.fixture
def client(place: Server | CouchDatabase) -> Iterator[Client]:
    """What speaks to the test's own database: REST as a client, the document protocol as a worker."""
    client = speaking(place)
    yield client
    client.close()


@pytest.fixture(scope="module")
def shared(engine: Open) -> Iterator[Client]:
    """What speaks to one database for a whole module, for tests that only read or tidy up."""
    opened = engine()
    client = speaking(opened)
    yield client
    client.close()
    opened.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note the engine with each case, for the summary."""
    for item in items:
        if name := _engine(item):
            item.user_properties.append(("engine", name))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let a case that CouchDB answers in its own way fail as it is told to, and no other way."""
    says = told_difference(item.nodeid) if _engine(item) == "couchdb" else None
    if says is None:
        return (yield)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - also what cannot be read of an answer that was not expected
        _compare(item, says, error)
    pytest.fail(f"CouchDB answers as the embedded server does; take it out of differences.py: {says.why}")


def _compare(item: pytest.Item, says: Says, error: Exception) -> None:
    funcargs: dict[str, object] = getattr(item, "funcargs", {})
    speaking = [value for value in funcargs.values() if isinstance(value, Client)]
    assert speaking, "a case that differs speaks to an engine"
    if speaking[0].code != says.code:
        raise AssertionError(f"CouchDB should have said {says.code}: {says.why}") from error
    pytest.xfail(f"{says.code}: {says.why}")


def _engine(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("engine")
