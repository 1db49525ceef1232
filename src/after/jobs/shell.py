"""The built-in job `shell`: commands that a worker's operator has named, never a command line from a task."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
from asyncio import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from msgspec import Struct

from after.errors import JobError
from after.jobs.context import TaskContext
from after.jobs.job import Job
from after.jobs.program import Ending, Program, soon
from after.outcome import FailedAs, failed

KEPT = 64 * 1024
"""Bytes of each output that are kept, the last ones."""
KEPT_JSON = 240 * 1024
"""Bytes of JSON that an output may take; control characters take six for one."""
MESSAGE = 2_000
"""Characters of the error output that stand in the error of a task."""
PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""What a command gets of the worker's environment."""
CHUNK = 64 * 1024
PACE_SECONDS = CHUNK / (16 * 1024 * 1024)
"""The least time between two chunks of one output, so that an endless one takes little of the worker's time."""
LINES = 100
"""Lines of one chunk that go into the task's log, which has no place for more."""
_NAME = re.compile(r"([A-Za-z0-9_][\w.-]*)(?:/(\d+))?")


class Command(Struct, frozen=True):
    """A program with its first arguments; `takes` is how many a task must add, None where it may add any number."""

    name: str
    words: tuple[str, ...]
    takes: int | None = None

    def line(self, arguments: Sequence[object]) -> list[str]:
        """Give program and arguments for a task's own arguments; raise `ValueError` where they may not be added."""
        if self.takes is not None and len(arguments) != self.takes:
            raise ValueError(f"the command {self.name!r} takes {self.takes} arguments, not {len(arguments)}")
        added = [_word(argument) for argument in arguments]
        option = next((word for word in added if word.startswith("-")), None)
        if option is not None and self.words[-1] != "--":
            raise ValueError(f"the argument {option!r:.80} begins with '-' and could be an option of {self.words[0]}")
        return [*self.words, *added]


def shell_job(commands: Mapping[str, Sequence[str]]) -> Job:
    """Make the job `shell` of named commands: names, or NAME/NUMBER, to program and arguments.

    Raises `JobError` where a name is wrong, or its program is not there.
    """
    known = {command.name: command for command in (_command(name, words) for name, words in commands.items())}

    async def shell(command: str, *arguments: Any, stdin: str | None = None, task: TaskContext) -> dict[str, object]:
        if command not in known:
            raise _wrong(f"this worker has no command {command!r:.80}; it has {', '.join(sorted(known))}")
        try:
            line = known[command].line(arguments)
        except ValueError as error:
            raise _wrong(str(error)) from None
        if stdin is not None and not isinstance(stdin, str):
            raise _wrong("stdin: expected a text")
        return await _run(command, line, stdin, task)

    return Job("shell", shell)


def parse_commands(texts: Iterable[str]) -> dict[str, list[str]]:
    """Read NAME=COMMAND, or NAME/NUMBER=COMMAND, as a shell would split it; raise `JobError` where one is wrong."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, given, command = text.partition("=")
        if not given:
            raise JobError(f"the command {text!r} has no name: write NAME='PROGRAM ARGUMENT...'")
        if name.partition("/")[0] in {known.partition("/")[0] for known in found}:
            raise JobError(f"two commands are named {name!r}")
        try:
            found[name] = shlex.split(command)
        except ValueError as error:
            raise JobError(f"the command {name!r}: {command!r} cannot be split into words: {error}") from None
    return found


def _command(name: str, words: Sequence[str]) -> Command:
    match = _NAME.fullmatch(name)
    if match is None:
        raise JobError(f"{name!r} is no name for a command: letters, digits, '_', '.', '-', and /NUMBER at its end")
    if not words or not words[0]:
        raise JobError(f"the command {name!r} names no program")
    if shutil.which(words[0]) is None:
        raise JobError(f"the command {name!r}: there is no program {words[0]!r}")
    return Command(match[1], tuple(words), None if match[2] is None else int(match[2]))


def _word(argument: object) -> str:
    if isinstance(argument, bool) or not isinstance(argument, str | int | float):
        raise ValueError(f"the argument {json.dumps(argument):.80} is neither a text nor a number")
    word = str(argument)
    if "\0" in word:
        raise ValueError(f"the argument {word!r:.80} has the character U+0000 in it")
    return word


def _wrong(message: str) -> FailedAs:
    return FailedAs(failed("WrongArguments", f"shell: {message}", final=True))


async def _run(name: str, line: list[str], stdin: str | None, task: TaskContext) -> dict[str, object]:
    passed = {key: os.environ[key] for key in PASSED if key in os.environ}
    environment = {**passed, "AFTER_TASK_ID": task.id.replace("\0", ""), "AFTER_ATTEMPT": str(task.attempt)}
    with closing(Output()) as out, closing(Output(task)) as err:
        try:
            program = await Program.start(
                line, environment=environment, stdout=out.inlet, stderr=err.inlet,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            )  # fmt: skip
        except OSError as error:
            raise FailedAs(failed("CommandFailed", f"the command {name!r} could not be started: {error}")) from None
        talk = asyncio.gather(out.read(), err.read(), _write(program.stdin, stdin))
        try:
            ending = await program.wait()
            await soon(talk)
        except asyncio.CancelledError:
            program.stop()
            await program.wait()
            raise
        finally:
            program.kill()
            talk.cancel()
            await asyncio.gather(talk, return_exceptions=True)
        return _result(name, ending, out, err)


def _result(name: str, ending: Ending, out: Output, err: Output) -> dict[str, object]:
    errors = err.text()
    if ending.code != 0:
        told = f"the command {name!r} {ending}" + (f": {errors.strip()[-MESSAGE:]}" if errors.strip() else "")
        raise FailedAs(failed("CommandFailed", told))
    return {"code": 0, "stdout": out.text(), "stderr": errors, "cut": out.cut or err.cut}


async def _write(pipe: asyncio.StreamWriter | None, text: str | None) -> None:
    if pipe is not None and text is not None:
        with suppress(OSError):  # a program may end without having read it
            pipe.write(text.encode("utf-8", "replace"))
            await pipe.drain()
        pipe.close()


class Output:
    """The last of what a program writes to one of its outputs; its lines go into the log of `task`, if there is one."""

    def __init__(self, task: TaskContext | None = None) -> None:
        self._outlet, self.inlet = os.pipe()
        os.set_blocking(self._outlet, False)
        self.cut = False
        """Whether there was more than is kept."""
        self._kept = bytearray()
        self._task = task
        self._line = b""

    def close(self) -> None:
        """Close what is open of the pipe."""
        self._close_inlet()
        os.close(self._outlet)

    async def read(self) -> None:
        """Read to the end, once the program has its end of the pipe."""
        self._close_inlet()
        while chunk := await self._chunk():
            self._kept += chunk
            if len(self._kept) > KEPT:
                self.cut = True
                del self._kept[:-KEPT]
            if self._task is not None:
                self._log(self._task, chunk)
            await asyncio.sleep(PACE_SECONDS)
        if self._task is not None and self._line:
            self._task.log(_decoded(self._line))

    def _close_inlet(self) -> None:
        if self.inlet >= 0:
            os.close(self.inlet)
            self.inlet = -1

    async def _chunk(self) -> bytes:
        """Wait for something to read, and no longer: a stream of asyncio's would read on ahead of us."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._outlet, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._outlet)
        return os.read(self._outlet, CHUNK)

    def text(self) -> str:
        """Give what is kept, short enough for a result."""
        text = _decoded(bytes(self._kept))
        if len(json.dumps(text)) > KEPT_JSON:
            self.cut, text = True, text[-KEPT_JSON // 6 :]
        return text

    def _log(self, task: TaskContext, chunk: bytes) -> None:
        *lines, rest = (self._line + chunk).rsplit(b"\n", LINES)
        self._line = rest[:CHUNK]
        if len(lines) == LINES:
            lines[0] = lines[0].rpartition(b"\n")[2]  # before it stands what there is no place for
        for line in lines:
            task.log(_decoded(line))


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "replace")
