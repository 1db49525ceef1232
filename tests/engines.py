"""Tests that ask the same of both engines, through documents."""

from __future__ import annotations

import pytest


def both(request: pytest.FixtureRequest) -> str:
    """Give the URL of a fresh database of the engine that the test is for; CouchDB is skipped where there is none."""
    if request.param == "couchdb":
        return str(request.getfixturevalue("couchdb"))
    return str(request.getfixturevalue("server").database)


url = pytest.fixture(params=["embedded", "couchdb"])(both)
