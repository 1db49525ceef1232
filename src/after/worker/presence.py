"""The document by which everyone sees a worker process, and by which the others know that it lives."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from after.clock import Clock, now
from after.database.database import Database
from after.dates import format_instant
from after.errors import AfterError, Conflict, NotFound
from after.task import Document

logger = logging.getLogger(__name__)

HEARTBEAT = 5.0
LOST_AFTER = 15.0
"""Seconds of silence after which the others take a process for lost, and it starts nothing more itself."""
WARN_SKEW = 1.0
MAX_SKEW = 30.0
"""Seconds between the engine's clock and ours from which a worker warns, and claims nothing any more."""


def new_instance() -> str:
    """Make a name for this process that no other has."""
    return f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"


def machine() -> str:
    """Say where a process id means what it means here: this boot of this machine, this namespace of processes."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return socket.gethostname()  # not Linux: then the heartbeat alone tells
    return f"{boot}:{namespace}"


def control_id(name: str) -> str:
    """Give the id of the document by which clients pause and stop a worker."""
    return f"worker:{name}"


class Presence:
    """Keeps the document `worker:NAME:INSTANCE` fresh. `describe()` gives what changes in it from time to time."""

    def __init__(
        self, database: Database, clock: Clock, name: str, instance: str, describe: Callable[[], Document]
    ) -> None:
        self._database = database
        self._clock = clock
        self._describe = describe
        self.started = format_instant(now(clock))
        self._document: Document = {
            "_id": f"{control_id(name)}:{instance}",
            "type": "worker",
            "name": name,
            "instance": instance,
            "host": socket.gethostname(),
            "machine": machine(),
            "pid": os.getpid(),
            "started": self.started,
        }
        self._heard = clock.monotonic()
        self._warned = False
        self._task: asyncio.Task[None] | None = None

    @property
    def fenced(self) -> bool:
        """Whether the others may take this process for lost by now."""
        return self._clock.monotonic() - self._heard > LOST_AFTER

    @property
    def skewed(self) -> bool:
        """Whether our clock and the engine's differ too much to run anything by."""
        return abs(self._database.skew or 0.0) > MAX_SKEW

    async def start(self) -> None:
        """Write the document for the first time, and keep it fresh from then on."""
        await self.beat()
        self._task = asyncio.create_task(self._beat_always(), name="heartbeat")

    async def stop(self) -> None:
        """Say that this process is stopped, if anyone hears it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            async with asyncio.timeout(LOST_AFTER / 5):
                await self.beat()
        except (AfterError, TimeoutError) as error:
            logger.warning("the end of this worker could not be written: %s", error)

    async def beat(self) -> None:
        """Write one heartbeat; raise `AfterError` where the engine does not take it."""
        document = {**self._document, "heartbeat": format_instant(now(self._clock)), **self._describe()}
        sent = self._clock.monotonic()
        try:
            rev = await self._database.put(document)
        except Conflict:
            # Only a survivor that took us for lost writes here besides us; we are alive, so we say so again.
            rev = await self._database.put({**document, "_rev": await self._rev()})
        self._document["_rev"] = rev
        self._heard = sent
        self._look_at_clock()

    async def _rev(self) -> str | None:
        try:
            found = await self._database.get(self._document["_id"])
        except NotFound:
            return None
        return str(found["_rev"])

    async def _beat_always(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            try:
                await self.beat()
            except AfterError as error:
                logger.warning("no heartbeat: %s", error)
            except Exception:
                logger.exception("no heartbeat")

    def _look_at_clock(self) -> None:
        skew = self._database.skew or 0.0
        if abs(skew) > WARN_SKEW and not self._warned:
            logger.warning("this clock and the engine's differ by %.1f s; tasks run by this one", skew)
        self._warned = abs(skew) > WARN_SKEW
