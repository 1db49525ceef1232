"""The worker's tests once more, against a real CouchDB in the place of the embedded engine, and the command line's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from commanding import Command, after
from test_dependencies import *  # noqa: F403 — the tests themselves
from test_faults import JOBS
from test_keys import *  # noqa: F403
from test_worker import *  # noqa: F403
from test_worker_repeats import *  # noqa: F403
from test_worker_requests import *  # noqa: F403
from working import SECONDS, until

from after.client import Client


@pytest.fixture
def server(couchdb: str) -> SimpleNamespace:
    """What the tests know of a server: the URL of its database."""
    return SimpleNamespace(database=couchdb)


# They want an engine that can be told to be silent.
del test_the_next_run_does_not_wait_for_the_engine  # type: ignore[name-defined]  # noqa: F821
del test_what_waits_for_the_next_run_is_told_in_time  # type: ignore[name-defined]  # noqa: F821


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """A file of jobs."""
    path = tmp_path / "crash_jobs.py"
    path.write_text(JOBS)
    return path


async def test_what_a_dead_worker_held_is_done_by_the_next(couchdb: str, jobs: Path) -> None:
    hold = jobs.parent / "hold"
    hold.touch()
    async with Client(couchdb) as client:
        for name in ("run", "at_most_once"):
            await client.schedule("manobi", name, str(jobs.parent), id=name)
        with Command("start", "manobi", "--jobs", jobs, url=couchdb) as worker:
            worker.wait_for("started as")
            for name in ("run", "at_most_once"):
                await until(client, name, "running")
            worker.process.kill()
            worker.process.wait()
        hold.unlink()
        with Command("start", "manobi", "--jobs", jobs, url=couchdb) as worker:
            run, once = [await client.wait(name, SECONDS) for name in ("run", "at_most_once")]
            assert worker.stop() == 0
    assert (run["status"], run["result"]) == ("done", 2)
    assert (once["status"], once["error"]["type"]) == ("err", "Lost")
    assert sorted((jobs.parent / "runs").read_text().split()) == ["at_most_once", "run", "run"]


def test_start_says_what_to_do_where_something_is_missing(couchdb: str, jobs: Path) -> None:
    from couchdb import request

    def said(url: str) -> str:
        result = after("start", "manobi", "--jobs", jobs, url=url)
        assert result.code in (1, 4)
        return result.err.splitlines()[-1]

    bare = couchdb.partition("//")[0] + "//" + couchdb.rpartition("@")[2]
    assert f"{bare}-none: Database does not exist.; run: after install {bare}-none" in said(f"{couchdb}-none")
    assert "wants an account" in said(bare)
    design = request(f"{couchdb}/_design/after")
    request(f"{couchdb}/_design/after?rev={design['_rev']}", "DELETE")
    assert f"has no view 'due' of After (deleted); run: after install {bare}" in said(couchdb)


def test_the_command_line_works_on_it(couchdb: str) -> None:
    assert after("add", "manobi", "give", "5", "--id", "five", "--date", "2100-01-01", url=couchdb).code == 0
    assert "five" in after("tasks", url=couchdb).out
    assert after("cancel", "five", url=couchdb).code == 0
    assert "cancel" in after("show", "five", url=couchdb).out
    assert "manobi" in after("list", url=couchdb).out
    doctor = after("doctor", url=couchdb)
    assert "CouchDB" in doctor.out
    assert "secret" not in doctor.out
