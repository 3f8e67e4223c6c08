"""One GET to an allowed address: resolved once, checked, and connected to exactly there.

A health check's address is written by people; without these walls it would reach metadata services,
loopback and whatever a name is made to point to between the check and the call.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

import certifi
import urllib3
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.answers import read_body, read_json
from portal.integrations.headers import Pool, SafePool
from portal.sentences import sentence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], list[str]]

BODY_BYTES = 262_144
CONNECT_SECONDS = 3.0
PORTS = {"http": 80, "https": 443}
ADDRESS_REFUSED = "address_refused"
UNREACHABLE = "unreachable"
USER_AGENT = "release-portal"
# Addresses that carry another address inside: what they reach cannot be judged by looking at them.
TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
LOOPBACK: tuple[Network, ...] = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))


@dataclass(frozen=True)
class Allow:
    """What may be called.

    Attributes:
        hosts: names, with or without a port; they must resolve to public addresses or into `networks`.
        networks: addresses that may be called by number or by any name.
    """

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, *, hosts: Iterable[str] = (), networks: Iterable[str] = ()) -> "Allow":
        """Read the lists of a connection."""
        return cls(
            frozenset(each.lower() for each in hosts),
            tuple(ipaddress.ip_network(each, strict=False) for each in networks),
        )

    def names(self, host: str, port: int) -> bool:
        """Whether the host was allowed by name."""
        return host in self.hosts or f"{host}:{port}" in self.hosts

    def covers(self, address: Address) -> bool:
        """Whether the address was allowed by number."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True)
class Answer:
    """What came back. The body's text is not kept: it belongs to whoever was asked.

    Attributes:
        json: the parsed body, where it is JSON of a sane size.
        elapsed: seconds from the call to the end of the answer.
    """

    status: int
    json: Any = field(repr=False)
    elapsed: float


def get(
    url: str,
    *,
    timeout_seconds: float,
    allow: Allow,
    headers: Mapping[str, str] | None = None,
    resolve: Resolver | None = None,
) -> Answer:
    """Call an address once; redirects are answers, not orders.

    Args:
        timeout_seconds: for the whole call, headers and body included.
        headers: more of them, such as a login.
        resolve: turns host and port into addresses; for tests.

    Raises:
        PermanentError: with code "address_refused" when it may not be called.
        TemporaryError: with code "unreachable" when nobody answers in time.
    """
    started = time.monotonic()
    parts, port = _parsed(url)
    host = (parts.hostname or "").lower()
    address = checked_address(host, port, allow=allow, resolve=resolve)
    pool = _pool(parts.scheme, host, port, address, timeout_seconds)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    try:
        answer = pool.urlopen(
            "GET",
            path,
            headers={
                "Host": _host_header(parts.scheme, host, port),
                "User-Agent": USER_AGENT,
                "Accept": "*/*",
                **(headers or {}),
            },
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        body = read_body(answer, most=BODY_BYTES, until=started + timeout_seconds)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        text = _("{host}:{port} does not answer: {reason}.")
        reason = type(error).__name__
        raise TemporaryError(sentence(text, host=host, port=port, reason=reason), code=UNREACHABLE) from error
    finally:
        pool.close()
    return Answer(answer.status, _json(answer, body), time.monotonic() - started)


def _parsed(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise _refused(_("This is not an address that can be called.")) from None
    if parts.scheme not in PORTS or not parts.hostname or not port:
        raise _refused(_("Only http and https addresses are called."))
    if parts.username or parts.password:
        raise _refused(_("An address must not hold a user name or a password."))
    if any(ord(character) <= 32 or ord(character) > 126 for character in url):
        raise _refused(_("This is not an address that can be called."))
    return parts, port


def checked_address(host: str, port: int, *, allow: Allow, resolve: Resolver | None = None) -> str:
    """Return the one address to connect to; every address of the name must be allowed.

    Args:
        resolve: turns host and port into addresses; for tests.

    Raises:
        PermanentError: with code "address_refused" when it may not be called.
        TemporaryError: with code "unreachable" when the name leads nowhere.
    """
    try:
        found = [ipaddress.ip_address(text.partition("%")[0]) for text in (resolve or _resolve)(host, port)]
    except OSError as error:
        text = sentence(_("The name {host} cannot be resolved."), host=host)
        raise TemporaryError(text, code=UNREACHABLE) from error
    addresses = [getattr(each, "ipv4_mapped", None) or each for each in found]
    named = allow.names(host, port)
    if not addresses or not all(_may_call(each, named=named, allow=allow) for each in addresses):
        raise _refused(sentence(_("{host} is not among the addresses that may be called."), host=host))
    return str(addresses[0])


def _may_call(address: Address, *, named: bool, allow: Allow) -> bool:
    if allow.covers(address):
        return True
    is_tunnel = any(address in network for network in TUNNELS)
    return named and address.is_global and not address.is_multicast and not is_tunnel


def _resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _pool(
    scheme: str, host: str, port: int, address: str, timeout_seconds: float
) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout_seconds), total=timeout_seconds)
    if scheme == "http":
        return Pool(address, port, timeout=timeout, maxsize=1)
    return SafePool(
        address,
        port,
        timeout=timeout,
        maxsize=1,
        cert_reqs="CERT_REQUIRED",
        ca_certs=certifi.where(),
        server_hostname=host,
        assert_hostname=host,
    )


def _host_header(scheme: str, host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port == PORTS[scheme] else f"{name}:{port}"


def _json(answer: urllib3.BaseHTTPResponse, body: bytes) -> Any:
    if "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        return read_json(body)
    except ValueError:
        return None


def _refused(text: Any) -> PermanentError:
    return PermanentError(text, code=ADDRESS_REFUSED)
