"""Doing the steps of a plan, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from after.clock import Clock, SystemClock
from after.design.admin import Server
from after.design.indexes import Tell, build
from after.design.plan import Step
from after.errors import Conflict, PreconditionFailed


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
        case "build" | "use":
            await build(server, step.path, tell, clock, commit=step.do == "build")
