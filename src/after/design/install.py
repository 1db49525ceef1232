"""Doing the steps of a plan, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from after.clock import Clock, SystemClock
from after.design.admin import Server
from after.design.plan import Step
from after.errors import AfterError, Conflict, PreconditionFailed

Tell = Callable[[int, int], None]
"""Is told how many of how many changes the indexes know."""
LOOK = 0.5
"""Seconds between two looks at how far the indexes are."""
STALLED = 300.0
"""Seconds without any progress after which indexes count as broken."""
BEHIND = 100
"""Changes that an index may be behind on all copies together, since tasks are written meanwhile: it makes up for them
within milliseconds when it is next asked."""


async def apply(
    server: Server, steps: Sequence[Step], *, password: str | None = None,
    done: Callable[[Step], None] = lambda step: None, tell: Tell = lambda known, of: None, clock: Clock | None = None,
) -> None:  # fmt: skip
    """Do the steps, and say of each when it is done.

    Raise `Conflict` where somebody else changes the same; what is done stays done, and doing all again goes on there.
    """
    for step in steps:
        try:
            await _do(server, step, password, tell, clock or SystemClock())
        except (Conflict, PreconditionFailed) as error:
            raise Conflict(f"{step.line}: {error.reason} Somebody else changes it too; run the command again") from None
        done(step)


async def _do(server: Server, step: Step, password: str | None, tell: Tell, clock: Clock) -> None:
    match step.do:
        case "put":
            body = {**step.body, "password": password} if step.secret and isinstance(step.body, dict) else step.body
            await server.request("PUT", step.path, body)
        case "remove":
            await server.remove(step.path)
        case "drop":
            await server.request("DELETE", step.path)
        case "tidy":
            await server.request("POST", step.path, {})
        case "build":
            await _build(server, step.path, tell, clock)


async def _build(server: Server, design: str, tell: Tell, clock: Clock) -> None:
    """Wait until the indexes of a design document know the changes on every copy of every shard.

    All views of a design document are one index. A query that does not wait begins it on the copies that it meets;
    CouchDB's own background indexer may do so too.
    """
    view = next(name for name in (await server.get(design))["views"] if name != "lib")
    first = least = await _pending(server, design)
    since = clock.monotonic()
    while True:
        await server.get(f"{design}/_view/{view}", limit="0", update="lazy")
        pending = await _pending(server, design)
        tell(max(first - pending, 0), first)
        if pending <= BEHIND:
            break
        if pending < least:
            least, since = pending, clock.monotonic()
        if clock.monotonic() - since > STALLED:
            raise AfterError(
                f"the indexes have not grown for {STALLED:.0f} s, {pending} changes are missing; CouchDB's log may say "
                "why. What is installed is as it was; the command goes on from here when it is run again"
            )
        await asyncio.sleep(LOOK)
    await server.get(f"{design}/_view/{view}", limit="0")


async def _pending(server: Server, design: str) -> int:
    """Give how many changes the indexes do not know yet, counted on each copy of each shard."""
    info: dict[str, Any] = (await server.get(f"{design}/_info"))["view_index"]
    return int(info["updates_pending"]["total"])
