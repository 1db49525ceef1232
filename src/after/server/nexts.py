"""`GET /tasks/_next`: when a repetition would come round, before anything is stored."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from after.clock import Clock, now
from after.dates import parse_instant
from after.errors import InvalidTask
from after.nexts import DEFAULT_COUNT, MAX_COUNT, occurrences, read, told
from after.server.http import JSON, number, parameters
from after.task import checked

PARAMETERS = frozenset({"repeat", "from", "count"})


class Nexts:
    """Answers at `/tasks/_next`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def routes(self) -> list[BaseRoute]:
        """Give the route."""
        return [Route("/tasks/_next", self.next, methods=["GET"])]

    async def next(self, request: Request) -> Response:
        """Give the next instants of a repeat."""
        given = parameters(request, PARAMETERS)
        count = number(given, "count", DEFAULT_COUNT, 1, MAX_COUNT)
        start = checked("from", parse_instant, given["from"]) if "from" in given else now(self._clock)
        return JSON(told(occurrences(read(_repeat(given.get("repeat"))), start, count)))


def _repeat(text: str | None) -> object:
    """Read the parameter: JSON, or the text of a repeat as it is."""
    if text is None or text[:1] == "R":
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidTask("repeat", f"is not JSON: {error}") from None
