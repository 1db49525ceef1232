"""The decorator that makes a function a job."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

import msgspec

from after.dates import parse_elapsed
from after.errors import JobError
from after.jobs.source import Source
from after.task import Call, Name, Retry

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__after_job__"
"""The attribute by which a decorated function is known to be a job."""

MIN_MEMORY = 96 * 1024 * 1024
"""Bytes of address space that a process needs to load After and a small job."""
_SIZE = re.compile(r"(\d+) ?([KMGT]?)(?:i?B)?")
_UNITS = {unit: 1024**power for power, unit in enumerate(("", "K", "M", "G", "T"))}


@dataclass(frozen=True, slots=True)
class Job:
    """A function under the name by which tasks call it.

    `timeout` is in milliseconds; it and `retry` hold for tasks that do not say otherwise. `process` says that it runs
    in a process of its own, which may have `memory` bytes, and which loads it from `source`: None is the module that
    the function says it is from.
    """

    name: str
    function: Callable[..., Any]
    timeout: int | None = None
    retry: Retry | None = None
    process: bool = False
    memory: int | None = None
    source: Source | None = None
    signature: inspect.Signature = field(init=False)
    asynchronous: bool = field(init=False)
    wants_task: bool = field(init=False)

    def __post_init__(self) -> None:
        signature = inspect.signature(self.function)
        wanted = signature.parameters.get("task")
        wants_task = wanted is not None and wanted.kind is inspect.Parameter.KEYWORD_ONLY
        if wants_task:
            others = [parameter for name, parameter in signature.parameters.items() if name != "task"]
            signature = signature.replace(parameters=others)
        object.__setattr__(self, "signature", signature)
        object.__setattr__(self, "asynchronous", inspect.iscoroutinefunction(self.function))
        object.__setattr__(self, "wants_task", wants_task)

    def refuses(self, call: Call) -> str | None:
        """Say why the arguments do not fit the function, or give None where they do."""
        if not call.arguments and not call.keywords and not self.signature.parameters:
            return None
        try:
            self.signature.bind(*call.arguments, **call.keywords)
        except TypeError as error:
            return f"job: {self.name}{self.signature} cannot be called so: {error}"
        return None


@overload
def job(function: Function, /) -> Function: ...
@overload
def job(
    *,
    name: str | None = None,
    timeout: str | None = None,
    retry: Mapping[str, Any] | None = None,
    process: bool = False,
    memory: str | int | None = None,
) -> Callable[[Function], Function]: ...
def job(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    timeout: str | None = None,
    retry: Mapping[str, Any] | None = None,
    process: bool = False,
    memory: str | int | None = None,
) -> Function | Callable[[Function], Function]:
    """Make a function a job, under its own name or another; the function itself stays as it is.

    An `async def` runs on the worker's event loop, a `def` in a thread; with `process` either runs in a process of its
    own, of which each may have `memory`: bytes, or a text such as "512M". `timeout` is an ISO 8601 duration, `retry` a
    policy as in a task; both hold for tasks that do not have their own. A keyword-only parameter `task` receives a
    `TaskContext`. Raises `JobError` where an option is wrong.
    """

    def mark(function: Function) -> Function:
        called = name or function.__name__
        try:
            limit = None if memory is None else _bytes(memory)
            found = Job(msgspec.convert(called, Name), function, _milliseconds(timeout), _policy(retry), process, limit)
            _check_process(found)
        except ValueError as error:
            raise JobError(f"the job {called!r}: {error}") from error
        setattr(function, MARK, found)
        return function

    return mark if function is None else mark(function)


def _milliseconds(timeout: str | None) -> int | None:
    return None if timeout is None else parse_elapsed(timeout)


def _policy(retry: Mapping[str, Any] | None) -> Retry | None:
    policy = None if retry is None else msgspec.convert(dict(retry), Retry)
    for text in (policy.interval, policy.max) if policy else ():
        parse_elapsed(text or "PT0S")
    return policy


def _bytes(memory: str | int) -> int:
    match = _SIZE.fullmatch(memory) if isinstance(memory, str) else None
    if match is None and (not isinstance(memory, int) or isinstance(memory, bool)):
        raise ValueError(f"memory: expected bytes or a text such as '512M', got {memory!r}")
    size = int(match[1]) * _UNITS[match[2]] if match else int(memory)
    if size < MIN_MEMORY:
        raise ValueError(f"memory: {memory!r} is less than the {MIN_MEMORY // 1024**2}M that a process needs to begin")
    return size


def _check_process(job: Job) -> None:
    """Raise `ValueError` where a job cannot run in a process as it should."""
    if not job.process:
        if job.memory is not None:
            raise ValueError("memory: only a process of its own can have a limit; add process=True")
        return
    module, place = job.function.__module__, job.function.__qualname__
    if module == "__main__":
        raise ValueError("process: it is in the script that was started, which a new process cannot import")
    if "." in place:
        raise ValueError(f"process: a new process cannot import {place}; define it at the top of its module")
