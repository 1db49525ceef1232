"""The nodes that one database is reached at, and the account that each is asked under."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode

from yarl import URL

DEFAULT_URL = "http://127.0.0.1:5985/after"
_SEPARATOR = re.compile(r"\s*,\s*(?=[a-z]+://)")
"""Only before a scheme: a password may have a comma."""


class Account:
    """A name and its password, which is shown nowhere."""

    __slots__ = ("basic", "name", "password")

    def __init__(self, name: str, password: str) -> None:
        self.name = name
        self.password = password
        self.basic = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


class Node:
    """One URL of a database, without the account that stood in it.

    `cookie` is the session under which this node is asked, where it does not take names and passwords themselves.
    """

    __slots__ = ("account", "cookie", "signing", "url")

    def __init__(self, url: URL, account: Account | None) -> None:
        self.url = url
        self.account = account
        self.cookie: str | None = None
        self.signing = asyncio.Lock()

    def headers(self) -> dict[str, str]:
        """Give the headers that say who asks."""
        if self.cookie is not None:
            return {"Cookie": f"AuthSession={self.cookie}"}
        return {} if self.account is None else {"Authorization": self.account.basic}


def nodes(text: str) -> list[Node]:
    """Read the URLs of one database, separated by commas; raise `ValueError` where one is none.

    Where a URL has no account, that of the first is used.
    """
    found: list[Node] = []
    for one in _SEPARATOR.split(text.strip()):
        url = _url(one)
        account = Account(url.user, url.password or "") if url.user else found[0].account if found else None
        found.append(Node(url.with_user(None), account))
    return found


def _url(text: str) -> URL:
    try:
        url = URL(text.rstrip("/"))
    except ValueError as error:
        raise ValueError(f"{bare(text)!r} is not the URL of a database: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or url.path in ("", "/") or "," in url.path:
        raise ValueError(f"{bare(text)!r} is not the URL of a database, such as {DEFAULT_URL}")
    return url


def bare(text: str) -> str:
    """Give the text of one or more URLs without the accounts in them, to be shown."""
    return ",".join(re.sub(r"://.*@", "://", one) for one in _SEPARATOR.split(text))
