"""What a replicator asks before it writes: which of some revisions the database does not have yet."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.errors import BadRequest
from after.server.http import JSON, body, decode_object, parameters
from after.server.leaves import missing
from after.server.protocol import check_rev
from after.server.reading import leaves
from after.server.store import CHUNK, Store

Differences = list[tuple[str, list[str], list[str]]]
"""For each document that is not there whole: its id, the revisions that are missing, those they may come after."""


class Replication:
    """Answers `_revs_diff` and `_missing_revs` of the database `name`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def routes(self) -> list[BaseRoute]:
        """Give the routes."""
        return [
            Route(f"/{self._name}/_revs_diff", self.revs_diff, methods=["POST"]),
            Route(f"/{self._name}/_missing_revs", self.missing_revs, methods=["POST"]),
        ]

    async def revs_diff(self, request: Request) -> Response:
        """Tell the revisions that are missing, with the leaves that they may have been made of."""
        return JSON({
            identity: {"missing": revs} | ({"possible_ancestors": ancestors} if ancestors else {})
            for identity, revs, ancestors in await self._differences(request)
        })  # fmt: skip

    async def missing_revs(self, request: Request) -> Response:
        """Tell the revisions that are missing, in the way of older replicators."""
        return JSON({"missing_revs": {identity: revs for identity, revs, _ in await self._differences(request)}})

    async def _differences(self, request: Request) -> Differences:
        parameters(request, ())
        asked = list(decode_object(await body(request)).items())
        found: Differences = []
        for start in range(0, len(asked), CHUNK):
            for identity, revs in asked[start : start + CHUNK]:
                known = [one.leaf for one in leaves(self._store, identity)]
                unknown, ancestors = missing(known, _checked(identity, revs))
                if unknown:
                    found.append((identity, unknown, ancestors))
            await asyncio.sleep(0)
        return found


def _checked(identity: str, revs: Any) -> list[str]:
    if not isinstance(revs, list):
        raise BadRequest(f"{identity:.80}: expected an array of revisions")
    return [check_rev(rev) for rev in revs]
