"""After's fixtures for pytest, which finds them by itself where After is installed.

Not in the package `after`, and without an import of it here: every run of pytest loads this module, also where nothing
of After's is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from after.testing import BlockingEngine, Engine, TurnableClock


@pytest.fixture
def after_jobs(request: pytest.FixtureRequest) -> object:
    """Give the jobs that the engine's workers know: those in the test's module. Override it for others."""
    return getattr(request, "module", ())


@pytest.fixture
def after_clock() -> TurnableClock:
    """Give the clock of the engine; it stands at 2040-01-01. Override it for another start."""
    from after.testing import TurnableClock
    from after.testing.engine import START

    return TurnableClock(START)


@pytest.fixture
def after_engine(after_jobs: object, after_clock: TurnableClock) -> Iterator[Engine]:
    """Give an `after.testing.Engine` of the test's own, for tests on an event loop."""
    from after.testing import Engine

    engine = Engine(after_jobs, clock=after_clock)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def after_blocking_engine(after_jobs: object, after_clock: TurnableClock) -> Iterator[BlockingEngine]:
    """Give an `after.testing.BlockingEngine` of the test's own, for plain tests."""
    from after.testing import BlockingEngine

    with BlockingEngine(after_jobs, clock=after_clock) as engine:
        yield engine
