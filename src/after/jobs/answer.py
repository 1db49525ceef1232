"""What becomes of the answer to a request of the job `http`: a result, or a failure that says what to do next."""

from __future__ import annotations

import asyncio
import base64
import codecs
import email.utils
from datetime import UTC
from typing import Any

import aiohttp
import msgspec

from after.dates import DAY
from after.jobs.request import Request
from after.outcome import Done, Failed, failed, of_result

TOLD = (
    "content-type", "content-length", "content-encoding", "date", "etag", "last-modified", "link", "location",
    "retry-after", "server", "x-request-id",
)  # fmt: skip
"""The headers of an answer that a result has, where they were sent."""
MAX_HEADER = 1024
PASSING = frozenset({408, 425, 429})
"""Refusals that may be another answer the next time. Every other 4xx is an answer to what was asked, and stays so."""
MAX_WAIT = DAY
BEGINNING = 500
"""Bytes of a failing answer that its message has."""
PATIENCE = 2.0
"""Seconds in which a failing answer may say why; its status alone says that it failed."""
MAX_TEXT = 400 * 1024
"""Bytes of JSON that a text may become in a result; one with many control characters is kept as base64 instead."""


async def result(request: Request, response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read an answer that is a success, as much of it as is to be kept, and give the job's result."""
    content = bytearray()
    await _read(response, content, request.keep + 1)
    truncated = len(content) > request.keep
    told: dict[str, Any] = {
        "status": response.status,
        "url": str(response.url),
        "headers": {name: _header(response.headers[name]) for name in TOLD if name in response.headers},
    }
    if truncated:
        told["truncated"] = True
    kept = bytes(content[: request.keep])
    if not truncated and _is_json(response.content_type):
        try:
            whole = {**told, "body": msgspec.json.decode(kept)}
        except msgspec.DecodeError:
            whole = {}  # it says that it is JSON, and is not
        if whole and isinstance(of_result(whole), Done):
            return whole
    text = _text(kept, response, truncated)
    if text is None or len(msgspec.json.encode(text)) > MAX_TEXT:
        return {**told, "body": base64.b64encode(kept).decode(), "base64": True}
    return {**told, "body": text}


async def failure(request: Request, response: aiohttp.ClientResponse, now: float) -> Failed:
    """Give the failure that an answer stands for, at an instant in seconds since the epoch."""
    content = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            await _read(response, content, BEGINNING)
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # what has come has to do
    status = response.status
    said = bytes(content[:BEGINNING]).decode("utf-8", "replace").strip()
    message = f"{request.method} {request.url} was answered {status} {response.reason or ''}".rstrip()
    final = status < 500 and status not in PASSING
    wait = None if final else retry_after(response.headers.get("Retry-After"), now)
    return failed("HTTPStatus", f"{message}: {said}" if said else message, final=final, wait=wait)


def retry_after(text: str | None, now: float) -> int | None:
    """Give the ms that a header asks to wait, a day at the most: seconds, or a date; None where it says neither."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, MAX_WAIT)
    try:
        date = email.utils.parsedate_to_datetime(text)
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0, min(round((at - now) * 1000), MAX_WAIT))


async def _read(response: aiohttp.ClientResponse, content: bytearray, size: int) -> None:
    """Read the body until it ends or has this size; what comes behind it is not waited for."""
    async for part in response.content.iter_any():
        content += part
        if len(content) >= size:
            response.close()
            return


def _header(value: str) -> str:
    """Give the beginning of a header's value; bytes that are no text become question marks."""
    return value[:MAX_HEADER].encode("utf-8", "replace").decode()


def _is_json(kind: str) -> bool:
    return kind == "application/json" or kind.endswith("+json")


def _text(content: bytes, response: aiohttp.ClientResponse, truncated: bool) -> str | None:
    """Decode a text; None where it is none. Of a character that was cut, nothing is left."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None  # it was asked for without
    try:
        decoder = codecs.getincrementaldecoder(_charset(response.charset))("strict")
        return decoder.decode(content, final=not truncated)
    except (UnicodeError, LookupError):
        return None


def _charset(named: str | None) -> str:
    """Give the encoding that an answer names, if it is one that texts have: Python knows stranger ones."""
    name = (named or "utf-8").lower()
    return name if name.startswith(("iso-8859-", "windows-125", "us-ascii", "utf-16")) else "utf-8"
