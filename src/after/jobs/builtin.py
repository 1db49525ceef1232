"""The jobs that every worker has, beside its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.abc import AbstractResolver

from after.clock import Clock, SystemClock
from after.database import Database
from after.jobs.addresses import Guard
from after.jobs.http import http
from after.jobs.job import Job
from after.jobs.signing import Signer
from after.jobs.upkeep import Upkeep


@asynccontextmanager
async def builtin_jobs(
    database: Database,
    name: str,
    *,
    guard: Guard | None = None,
    signer: Signer | None = None,
    clock: Clock | None = None,
    resolver: AbstractResolver | None = None,
) -> AsyncIterator[list[Job]]:
    """Give the jobs `http`, `compact` and `clean` of the worker `name`, to be run while the block lasts.

    `guard` says what `http` may connect to, public addresses without one; `signer` signs what it sends; `resolver`
    finds the addresses of names in place of the system.
    """
    clock = clock or SystemClock()
    async with http(guard or Guard(), signer or Signer(), clock, resolver) as calling:
        yield [calling, *Upkeep(database, name, clock).jobs()]
