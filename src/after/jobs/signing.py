"""Signatures by which who is called knows that it was this worker: https://www.standardwebhooks.com, version 1.0.0.

The specification is at https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
Each request has three headers: `webhook-id`, the same for all tries of one message; `webhook-timestamp`, the second in
which it was sent; and `webhook-signature`, for each secret a `v1,` with the HMAC-SHA256 of `ID.TIMESTAMP.BODY`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from urllib.parse import quote

from after.dates import parse_instant
from after.errors import AfterError
from after.task import Document

PREFIX = "whsec_"
BYTES = range(24, 65)
"""How long a secret may be, by the specification."""
HEADERS = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature"})
MAX_ID = 256


class Signer:
    """Signs with the secrets in a text: `whsec_` and base64 each, separated by spaces or commas; none sign nothing.

    Several of them, while receivers change from one to the next, give as many signatures. Raises `AfterError` for what
    is no secret, and does not show it.
    """

    def __init__(self, secrets: str = "") -> None:
        self._keys = [_key(secret) for secret in re.split(r"[\s,]+", secrets) if secret]

    def headers(self, message: str, at: int, body: bytes) -> dict[str, str]:
        """Give the headers of a request that is sent in the second `at` since the epoch."""
        if not self._keys:
            return {}
        signed = b"%s.%d.%s" % (message.encode(), at, body)
        signatures = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in self._keys]
        return {
            "webhook-id": message,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        }


def message_id(task: Document) -> str:
    """Give the id of the message that a task sends: the same for every try, another for every occurrence.

    A full stop, which separates what is signed, does not stand in it, nor anything else that a header cannot carry.
    """
    identity = quote(task["_id"], safe="").replace(".", "%2E")
    if len(identity) > MAX_ID:
        identity = hashlib.sha256(identity.encode()).hexdigest()
    occurrence = task.get("occurrence")
    return identity if occurrence is None else f"{identity}@{parse_instant(occurrence['date'])}"


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise AfterError(f"a secret for signing is not {PREFIX!r} and base64 behind it") from None
    if len(key) not in BYTES:
        raise AfterError(f"a secret for signing has {len(key)} bytes; it should have {BYTES[0]} to {BYTES[-1]}")
    return key
