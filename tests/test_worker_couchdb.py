"""The worker's tests once more, against a real CouchDB in the place of the embedded engine."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from test_worker import *  # noqa: F403 — the tests themselves
from test_worker_requests import *  # noqa: F403


@pytest.fixture
def server(couchdb: str) -> SimpleNamespace:
    """What the tests know of a server: the URL of its database."""
    return SimpleNamespace(database=couchdb)
