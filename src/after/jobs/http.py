"""The job `http`: call a URL at the task's date."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from after.clock import Clock
from after.jobs.addresses import Guard, Resolver
from after.jobs.answer import failure, result
from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.jobs.request import RedirectRefused, Request, WrongKeyword, request
from after.jobs.signing import Signer, message_id
from after.outcome import FailedAs, failed

TIMEOUT = 30_000
"""Milliseconds that a call may take, from its first to its last byte, where the task does not say."""
CONNECT_SECONDS = 10.0


@asynccontextmanager
async def http(
    guard: Guard, signer: Signer, clock: Clock, resolver: AbstractResolver | None = None
) -> AsyncIterator[Job]:
    """Give the job, while the block lasts: its calls share one session. Names are resolved by `resolver`."""
    connector = aiohttp.TCPConnector(
        resolver=Resolver(guard, resolver),
        socket_factory=guard.open,
        # Every connection is resolved and judged anew, and used once: one that was kept open could be closed by the
        # other side just when the next request is sent, which nobody may send a second time unasked.
        use_dns_cache=False,
        force_close=True,
        limit=0,  # the worker's own limit is how many jobs it runs at once
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        headers={"User-Agent": f"After/{version('after-io')}", "Accept-Encoding": "identity"},
        auto_decompress=False,  # a few bytes can become very many
        trust_env=False,
    ) as session:
        yield Job("http", _Http(session, guard, signer, clock).call, TIMEOUT)


class _Http:
    def __init__(self, session: aiohttp.ClientSession, guard: Guard, signer: Signer, clock: Clock) -> None:
        self._session = session
        self._guard = guard
        self._signer = signer
        self._clock = clock

    async def call(
        self,
        url: str,
        method: str | None = None,
        *,
        json: object = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
        success: list[int | str] | None = None,
        redirects: int | None = None,
        keep: int | None = None,
        task: TaskContext,
    ) -> dict[str, Any]:
        """Send a request and give what was answered; raise `FailedAs` where that is no success."""
        try:
            wanted = request({
                "url": url, "method": method, "json": json, "body": body, "headers": headers,
                "success": success, "redirects": redirects, "keep": keep,
            })  # fmt: skip
            return await self._follow(wanted, message_id(task.data))
        except WrongKeyword as error:
            raise FailedAs(failed("WrongArguments", error.reason, final=True)) from None
        except RedirectRefused as error:
            raise FailedAs(failed("RedirectRefused", error.reason, final=True)) from None
        except (aiohttp.ClientError, OSError) as error:
            raise FailedAs(failed(type(error).__name__, f"{url}: {_cause(error)}")) from None

    async def _follow(self, wanted: Request, message: str) -> dict[str, Any]:
        for _ in range(wanted.redirects + 1):
            async with self._send(wanted, message) as response:
                location = response.headers.get("Location")
                if location is None or not wanted.follows(response.status, location):
                    if response.status in wanted.success:
                        return await result(wanted, response)
                    raise FailedAs(await failure(wanted, response, self._clock.time()))
            wanted = wanted.redirected(response.status, location)
        raise FailedAs(
            failed("TooManyRedirects", f"more than {wanted.redirects}, the last to {wanted.url}", final=True)
        )

    def _send(self, wanted: Request, message: str) -> Any:
        self._guard.check(wanted.url.raw_host or "", wanted.url.port or 0)
        signature: dict[str, str] = {}
        if wanted.own:
            signature = self._signer.headers(message, math.floor(self._clock.time()), wanted.body or b"")
        return self._session.request(
            wanted.method, wanted.url, data=wanted.body, headers={**wanted.headers, **signature}, allow_redirects=False,
            skip_auto_headers=("Content-Type",),
        )  # fmt: skip


def _cause(error: Exception) -> str:
    return str(error) or "it took too long"
