"""The client for code without an event loop: the same methods, which wait for their answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from after.client import Client
from after.clock import Clock
from after.database import DEFAULT_URL
from after.task import Document

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[Client, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[BlockingClient, P], T]:
    @wraps(method)
    def call(self: BlockingClient, /, *arguments: P.args, **keywords: P.kwargs) -> T:
        return self._wait_for(method(self._client, *arguments, **keywords))

    return call


class BlockingClient:
    """A `Client` for code without an event loop; one runs in a thread behind it. Use it as a context manager."""

    def __init__(self, url: str = DEFAULT_URL, *, clock: Clock | None = None, by: str = "client") -> None:
        self._client = Client(url, clock=clock, by=by)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="after-client", daemon=True)

    def __enter__(self) -> BlockingClient:
        self._thread.start()
        self._wait_for(self._client.__aenter__())
        return self

    def __exit__(self, *error: object) -> None:
        self._wait_for(self._client.__aexit__(*error))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    schedule = _blocking(Client.schedule)
    schedule_many = _blocking(Client.schedule_many)
    get = _blocking(Client.get)
    list = _blocking(Client.list)
    cancel = _blocking(Client.cancel)
    reschedule = _blocking(Client.reschedule)
    again = _blocking(Client.again)
    edit = _blocking(Client.edit)
    next = _blocking(Client.next)
    audit = _blocking(Client.audit)
    delete = _blocking(Client.delete)
    history = _blocking(Client.history)
    wait = _blocking(Client.wait)

    def changes(self, **filters: Any) -> Iterator[Document]:
        """Give every task that changes, as `Client.changes` does."""
        changes = self._client.changes(**filters)
        try:
            while (document := self._wait_for(anext(changes, None))) is not None:
                yield document
        finally:
            self._wait_for(changes.aclose())  # type: ignore[attr-defined]  # it is an async generator

    def _wait_for(self, awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result()
