"""Starting a program under its guard, so that it can be ended with all that it has started."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from asyncio import subprocess
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

logger = logging.getLogger(__name__)

GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))
GRACE = 0.75
"""Seconds from SIGTERM to SIGKILL."""
SOON_SECONDS = 1.0
MAX_LINE = 4 * 1024 * 1024


class Lines(asyncio.Protocol):
    """One end of a socket on which lines of JSON are spoken; `heard` gets each, `connection_lost` comes last."""

    def __init__(self) -> None:
        self._input = bytearray()
        self._transport: asyncio.Transport | None = None

    async def open(self) -> socket.socket:
        """Begin, and give the socket of the other end, which is the caller's to hand on and to close."""
        ours, theirs = socket.socketpair()
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        return theirs

    def heard(self, message: dict[str, object]) -> None:
        """Take in a message."""

    def say(self, content: bytes) -> None:
        """Send a line; nothing happens where nobody hears it any more."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(content + b"\n")

    def close(self) -> None:
        """Hear and say nothing more."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where to write."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one only in what it does

    def data_received(self, data: bytes) -> None:
        """Take lines apart; what is no JSON, or endless, did not come from our own code, and ends the conversation."""
        self._input += data
        *lines, rest = self._input.split(b"\n")
        self._input = rest
        try:
            for line in lines:
                self.heard(msgspec.json.decode(line, type=dict[str, object]))
        except ValueError:
            self.close()
        if len(rest) > MAX_LINE:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more comes; what came before was heard, also where the connection was reset."""


class Ending(NamedTuple):
    """How a program ended: its exit code, -N after signal N, None where nobody knows."""

    code: int | None

    def __str__(self) -> str:
        if self.code is None:
            return "ended in a way that nobody saw"
        if self.code >= 0:
            return f"ended with exit code {self.code}"
        try:
            return f"was killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was killed by signal {-self.code}"


class _Control(Lines):
    """What the guard says: that the program has started, or why not, and how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ending = Ending(None)
        self.told = asyncio.Event()
        """Set when nothing more is to come."""
        self.left: object = 0
        """How many processes of the program could not be killed."""

    def heard(self, message: dict[str, object]) -> None:
        match message:
            case {"pid": int(pid)} if not self.started.done():
                self.started.set_result(pid)
            case {"error": str(error)} if not self.started.done():
                self.started.set_exception(OSError(error))
            case {"code": int() | None as code}:
                self.ending, self.left = Ending(code), message.get("left", 0)
                self.told.set()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.told.set()
        if not self.started.done():
            self.started.set_exception(OSError("its guard did not start"))


class Program:
    """A program that runs under its guard. Who has started one awaits `wait`, or calls `kill`."""

    def __init__(self, process: subprocess.Process, control: _Control) -> None:
        self._process = process
        self._control = control
        self.pid = control.started.result()
        self.stdin = process.stdin
        self.ended = asyncio.create_task(self._end(), name=f"program {self.pid}")

    @classmethod
    async def start(
        cls,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        inherited: Sequence[int] = (),
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Program:
        """Start a program with these arguments, itself the first, found by PATH; raise `OSError` where that fails.

        It inherits the file descriptors `inherited`, and our environment unless it gets one. `stdin`, `stdout` and
        `stderr` are as in `subprocess`; unless told otherwise it has nothing to read, and writes where we do.
        """
        starting = asyncio.create_task(cls._start(arguments, environment, inherited, stdin, stdout, stderr))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Cut off here, it would start all the same. If we are told again, the end of its socket ends it.
            program = await starting
            program.kill()
            await program.wait()
            raise

    @classmethod
    async def _start(
        cls,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None,
        inherited: Sequence[int],
        stdin: int,
        stdout: int | None,
        stderr: int | None,
    ) -> Program:
        control = _Control()
        with await control.open() as theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *GUARD, str(theirs.fileno()), *arguments, stdin=stdin, stdout=stdout, stderr=stderr,
                    pass_fds=(theirs.fileno(), *inherited), env=environment, start_new_session=True,
                )  # fmt: skip
            except BaseException:
                control.started.cancel()
                control.close()
                raise
        try:
            await control.started
        except BaseException:
            control.close()
            await process.wait()
            raise
        return cls(process, control)

    def stop(self) -> None:
        """Tell the program to end, by SIGTERM; what is there after `GRACE` seconds is killed."""
        self._control.say(b"stop %g" % GRACE)

    def kill(self) -> None:
        """Kill the program and all that it has started, and hear no more of it."""
        self._control.close()

    async def wait(self) -> Ending:
        """Wait until nothing of the program is left, and give how it ended. May be called again and at once."""
        return await asyncio.shield(self.ended)

    async def _end(self) -> Ending:
        code = await self._process.wait()
        await soon(self._control.told.wait())
        if code != 0:
            # The guard was killed, or is defective. The kernel has ended the program with it; this is for its group.
            logger.error("the guard of process %d ended before it", self.pid)
            _kill_group(self.pid)
        if self._control.left:
            logger.warning("%s processes of %d cannot be killed; they go on", self._control.left, self.pid)
        return self._control.ending


async def soon(coming: Awaitable[object]) -> None:
    """Wait for what comes with the end of a program: on its pipes and sockets, which end with it.

    Not for ever, since a process that this one forked meanwhile, a job that uses `multiprocessing` say, has them too.
    """
    try:
        async with asyncio.timeout(SOON_SECONDS):
            await coming
    except TimeoutError:
        logger.warning("what a program writes has not ended with it")


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        return  # nobody is left in it
