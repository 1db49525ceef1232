"""The fixtures for pytest, in test files of users with and without the plugins that run coroutines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from after import job
from after.testing import BlockingEngine

SHOP = """
from after import job


@job
async def add(one, two):
    return one + two
"""

PLAIN = """
from shop import add  # the jobs of this module are known


def test_plain(after_blocking_engine):
    after_blocking_engine.schedule("shop", "add", 1, 2)
    (task,) = after_blocking_engine.run_due()
    assert task["result"] == 3
    assert after_blocking_engine.client.get(task["_id"]) == task


class TestInClass:
    def test_starts_anew(self, after_blocking_engine, after_clock):
        assert after_blocking_engine.client.list() == []
        assert after_blocking_engine.clock is after_clock
        assert after_clock.time() == 2208988800
"""

COROUTINES = """
import asyncio

import pytest
from shop import add

LOOPS = []


@pytest.fixture
def after_jobs(request):
    from after import job

    @job
    async def same_loop():
        return asyncio.get_running_loop() is LOOPS[-1]

    return [request.module, same_loop]


{mark}
async def test_coroutine(after_engine):
    LOOPS.append(asyncio.get_running_loop())
    await after_engine.schedule("shop", "add", 1, 2, date="PT1S")
    await after_engine.schedule("shop", "same_loop", date="PT2S")
    assert [task["result"] for task in await after_engine.advance("P1D")] == [3, True]


{mark}
async def test_blocking_on_a_loop(after_blocking_engine):
    with pytest.raises(RuntimeError, match="after_engine"):
        after_blocking_engine.run_due()
"""

OVERRIDDEN = """
import pytest
import shop
from after.testing import TurnableClock


@pytest.fixture
def after_jobs():
    return shop


@pytest.fixture
def after_clock():
    return TurnableClock("2026-03-28")


def test_overridden(after_blocking_engine):
    after_blocking_engine.schedule("shop", "add", 1, 2)
    assert after_blocking_engine.run_due()[0]["history"][-1]["at"] == "2026-03-28T00:00:00.000Z"
"""


def run(folder: Path, text: str, *options: str) -> str:
    """Run pytest on one test file beside the module `shop`, with all warnings as errors; give what it prints."""
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(text)
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options, "test_shop.py"]
    done = subprocess.run(
        line, cwd=folder, text=True, timeout=100, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_plain_tests_need_no_other_plugin(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path, PLAIN, "-p", "no:asyncio", "-p", "no:anyio")


@pytest.mark.parametrize(
    ("mark", "options"),
    [
        ("@pytest.mark.asyncio", ["-o", "asyncio_mode=strict"]),
        ("", ["-o", "asyncio_mode=auto"]),
        ("@pytest.mark.anyio\n@pytest.mark.parametrize('anyio_backend', ['asyncio'])", ["-p", "no:asyncio"]),
    ],
    ids=["strict", "auto", "anyio"],
)
def test_coroutines_run_under_either_plugin(tmp_path: Path, mark: str, options: list[str]) -> None:
    loop = [] if "no:asyncio" in options else ["-o", "asyncio_default_fixture_loop_scope=function"]
    assert "2 passed" in run(tmp_path, COROUTINES.format(mark=mark), *options, *loop)


def test_jobs_and_clock_are_overridden(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, OVERRIDDEN, "-p", "no:asyncio")


def test_the_plugin_costs_nothing_where_it_is_not_used() -> None:
    code = "import sys, after_pytest; print({'after', 'aiohttp', 'pytest_asyncio'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], text=True, stdout=subprocess.PIPE, check=True)
    assert told.stdout == "set()\n"


def test_the_blocking_engine_runs_jobs_in_the_tests_own_thread() -> None:
    seen: list[str] = []

    @job
    async def note(*, task: object) -> None:
        import threading

        seen.append(threading.current_thread().name)

    with BlockingEngine() as engine:
        engine.add(note)
        assert list(engine.jobs) == ["note"]
        engine.schedule("manobi", "note", date="PT1H")
        engine.schedule("manobi", "note", date="P1D")
        assert len(engine.run_until("2040-01-01T02:00Z")) == 1
        assert len(engine.advance("P1D")) == 1
        assert engine.url == f"{engine.origin}/after"
    assert seen == ["MainThread"] * 2
