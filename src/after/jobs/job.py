"""The decorator that makes a function a job."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

import msgspec

from after.dates import parse_elapsed
from after.errors import JobError
from after.task import Call, Name, Retry

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__after_job__"
"""The attribute by which a decorated function is known to be a job."""


@dataclass(frozen=True, slots=True)
class Job:
    """A function under the name by which tasks call it.

    `timeout` is in milliseconds; it and `retry` hold for tasks that do not say otherwise.
    """

    name: str
    function: Callable[..., Any]
    timeout: int | None = None
    retry: Retry | None = None
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
    *, name: str | None = None, timeout: str | None = None, retry: Mapping[str, Any] | None = None
) -> Callable[[Function], Function]: ...
def job(
    function: Function | None = None,
    /,
    *,
    name: str | None = None,
    timeout: str | None = None,
    retry: Mapping[str, Any] | None = None,
) -> Function | Callable[[Function], Function]:
    """Make a function a job, under its own name or another; the function itself stays as it is.

    An `async def` runs on the worker's event loop, a `def` in a thread. `timeout` is an ISO 8601 duration, `retry` a
    policy as in a task; both hold for tasks that do not have their own. A keyword-only parameter `task` receives a
    `TaskContext`. Raises `JobError` where an option is wrong.
    """

    def mark(function: Function) -> Function:
        setattr(function, MARK, _job(function, name or function.__name__, timeout, retry))
        return function

    return mark if function is None else mark(function)


def _job(function: Callable[..., Any], name: str, timeout: str | None, retry: Mapping[str, Any] | None) -> Job:
    try:
        policy = None if retry is None else msgspec.convert(dict(retry), Retry)
        for text in (policy.interval, policy.max) if policy else ():
            parse_elapsed(text or "PT0S")
        return Job(msgspec.convert(name, Name), function, None if timeout is None else parse_elapsed(timeout), policy)
    except ValueError as error:
        raise JobError(f"the job {name!r}: {error}") from error
