"""Which addresses the job `http` may connect to: public ones, and those that the worker's operator has named.

A task says where a request goes, and whoever may put tasks may not therefore reach what only the worker's machine can:
its own services, its neighbours, the metadata of its cloud. So every address is judged where the connection is made:
what a name has just been resolved to, as the very address that is connected to, and what stands in a URL itself.
Redirects and names that change their address are nothing special: each connection is judged anew.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from after.errors import AfterError
from after.outcome import FailedAs, failed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFUSED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, a cloud's metadata among them; Python lets some of it pass
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # the virtual machine's host in a cloud: public by its number only
    )
)
GLOBAL = ipaddress.ip_network("2000::/3")
"""All that is global unicast in IPv6; beside it only what carries a public IPv4 address in itself is public."""
TRANSLATED = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses behind a translator (NAT64, RFC 6052): the last four bytes are the address."""
DOCUMENTATION = ipaddress.ip_network("3fff::/20")
"""For examples (RFC 9637); Python does not know it yet."""

_RULE = re.compile(r"\[(?P<v6>[^\]]*)\](?::(?P<port6>\d+))?|(?P<host>[^:\[\]]+)(?::(?P<port>\d+))?|(?P<bare>[^\[\]]+)")
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class Rule(NamedTuple):
    """What an operator allows: the addresses of a network, or those of a host's name; at one port, or at any."""

    network: Network | None
    host: str | None
    port: int | None

    def allows(self, host: str, address: Address, port: int) -> bool:
        """Tell whether a connection to an address, on behalf of a host, is allowed."""
        if self.port not in (None, port):
            return False
        return address in self.network if self.network is not None else host == self.host


def rule(text: str) -> Rule:
    """Read `127.0.0.1`, `10.0.0.0/8`, `[fd00::1]` or `internal.example.com`, each with an optional `:PORT`.

    Raises `AfterError` for what is none of these.
    """
    match = _RULE.fullmatch(text.strip())
    if match is None:
        raise AfterError(f"{text!r} is no address, no network and no host name")
    place = match["v6"] or match["host"] or match["bare"] or ""
    digits = match["port6"] or match["port"]
    port = None if digits is None else int(digits)
    if port is not None and not 0 < port < 65536:
        raise AfterError(f"{text!r}: {port} is no port")
    try:
        return Rule(ipaddress.ip_network(place), None, port)
    except ValueError as error:
        host = None if "/" in place or match["host"] is None else _host(place)
        if host is None:
            raise AfterError(f"{text!r} is no address, no network and no host name: {error}") from None
        return Rule(None, host, port)


def _host(text: str) -> str | None:
    """Give a host's name as URLs have it, or None for what is none."""
    try:
        host = (URL.build(scheme="http", host=text).raw_host or "").rstrip(".")
    except ValueError:
        return None
    return host if _NAME.fullmatch(host) else None


def is_public(address: Address) -> bool:
    """Tell whether an address is one that the whole Internet has for a single machine."""
    if address.is_multicast or any(address in network for network in REFUSED):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global
    if address in TRANSLATED:
        return is_public(ipaddress.IPv4Address(address.packed[-4:]))
    if address.sixtofour is not None and not is_public(address.sixtofour):
        return False
    # Teredo, which also carries an IPv4 address, is not global by Python's list.
    return address in GLOBAL and address.is_global and address not in DOCUMENTATION


class Approved(str):
    """An address that was judged on behalf of the name that it was found for."""

    __slots__ = ()


class Guard:
    """Judges addresses; `allow` are the rules of what is allowed beside public addresses, as `rule` reads them.

    Raises `AfterError` for a rule that is none.
    """

    def __init__(self, allow: Iterable[str] = ()) -> None:
        self._rules = [rule(text) for text in allow]

    def check(self, host: str, port: int) -> None:
        """Judge the host of a URL where it is an address itself, which no resolver is asked about.

        Numbers that the system would take for an address, such as 2130706433, are meant too.
        """
        if ":" in host or host.replace(".", "").isdigit():
            self.judge(host, host, port)

    def judge(self, host: str, address: str, port: int) -> None:
        """Raise a final failure, `AddressRefused`, unless a connection to an address, for a host, is allowed."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:  # 127.1 and 0x7f.1 are no names, yet the system takes them for addresses
            raise _refused(f"{host} is an address in a form that is not used") from None
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        host = host.lower().rstrip(".")
        if not is_public(found) and not any(one.allows(host, found, port) for one in self._rules):
            where = f"{host} is" if host == address else f"{host} is {address},"
            raise _refused(
                f"{where} not a public address; the worker would connect to it if it was started with "
                f"--http-allow {f'[{host}]' if ':' in host else host}:{port}"
            )

    def open(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for a connection, as aiohttp's `socket_factory`, if it may be made.

        This is the last that is known before the connection. What comes from our resolver has been judged for its
        name; whatever else comes, by a way that nobody has thought of, is judged as an address without one.
        """
        family, kind, protocol, _, (host, port, *_) = info
        if not isinstance(host, Approved):
            self.judge(host, host, port)
        return socket.socket(family, kind, protocol)


class Resolver(AbstractResolver):
    """Resolves names by another resolver, the system's without one, and gives only addresses that a guard allows."""

    def __init__(self, guard: Guard, inner: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the allowed addresses of a name; raise `AddressRefused` where it has others only."""
        found: Sequence[ResolveResult] = await self._inner.resolve(host, port, family)
        allowed: list[ResolveResult] = []
        refusal: FailedAs | None = None
        for one in found:
            try:
                self._guard.judge(host, one["host"], one["port"])
            except FailedAs as error:
                refusal = error
            else:
                allowed.append({**one, "host": Approved(one["host"])})
        if refusal is not None and not allowed:
            raise refusal
        return allowed

    async def close(self) -> None:
        """Let go of what the other resolver holds."""
        await self._inner.close()


def _refused(message: str) -> FailedAs:
    return FailedAs(failed("AddressRefused", message, final=True))
