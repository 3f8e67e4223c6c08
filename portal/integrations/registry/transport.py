"""HTTP as registries speak it: time and size limits, tokens, and no step to a host that was not named."""

import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations import answers
from portal.integrations.headers import bound
from portal.sentences import sentence

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
TOTAL_SECONDS = 20.0
BODY_BYTES = 4_000_000
TOKEN_BYTES = 100_000
REDIRECTS = 3
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
UNREACHABLE = "registry_unreachable"
UNAUTHORIZED = "registry_unauthorized"


@dataclass(frozen=True)
class Reply:
    """An answer read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """The digest of exactly these bytes."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"


@dataclass(frozen=True)
class _Token:
    value: str = field(repr=False)
    until: float


class Transport:
    """Requests to one registry, with the tokens it hands out."""

    def __init__(
        self,
        url: str,
        *,
        username: str = "",
        password: str = "",
        token_hosts: frozenset[str] = frozenset(),
        authority_file: str = "",
    ) -> None:
        self.url = url.rstrip("/")
        self.host = urlsplit(self.url).netloc
        self._login = (username, password) if username else None
        self._token_hosts = token_hosts | {self.host}
        self._tokens: dict[str, _Token] = {}
        self._session = requests.Session()
        adapter = requests.adapters.HTTPAdapter()
        bound(adapter.poolmanager)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
        # Neither proxies nor a .netrc of the machine may add to what the connection says.
        self._session.trust_env = False
        # What is packed is small and may be endless.
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.verify = authority_file or True

    def close(self) -> None:
        """Give up the connections."""
        self._session.close()

    def get(self, path: str, *, scope: str, accept: str = "*/*", method: str = "GET") -> Reply:
        """Ask the registry, with a token where it wants one.

        Args:
            scope: what a token must be good for, such as "repository:shop/web:pull".

        Raises:
            TemporaryError: the registry does not answer, or asks to come back later.
            PermanentError: it refuses.
        """
        headers = {"Accept": accept}
        if (token := self._tokens.get(scope)) and token.until > time.monotonic():
            headers["Authorization"] = f"Bearer {token.value}"
        reply = self._follow(method, path, headers)
        if reply.status == 401 and (authorization := self._authorize(reply, scope)):
            reply = self._follow(method, path, {**headers, "Authorization": authorization})
        return self._judged(reply)

    def _judged(self, reply: Reply) -> Reply:
        if reply.status in {401, 403}:
            refused = sentence(_("The registry {host} does not let the portal in."), host=self.host)
            raise PermanentError(refused, code=UNAUTHORIZED)
        if reply.status == 429 or reply.status >= 500:
            text = _("The registry {host} cannot answer now (HTTP {status}).")
            raise TemporaryError(
                sentence(text, host=self.host, status=reply.status),
                retry_in=_retry_in(reply),
                code=UNREACHABLE,
            )
        return reply

    def _follow(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Send, and follow redirects that stay on the same host."""
        url = urljoin(f"{self.url}/", path.lstrip("/"))
        for _attempt in range(REDIRECTS + 1):
            reply = self._send(method, url, headers=headers, limit=BODY_BYTES)
            target = reply.headers.get("Location", "")
            if reply.status not in {301, 302, 303, 307, 308} or not target:
                return reply
            url = urljoin(url, target)
            if urlsplit(url)[:2] != urlsplit(self.url)[:2]:
                break
        text = sentence(
            _("The registry {host} points to another place, which is not followed."), host=self.host
        )
        raise PermanentError(text, code="registry_redirect")

    def _authorize(self, reply: Reply, scope: str) -> str:
        scheme, _space, rest = reply.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic" and self._login:
            return str(requests.auth._basic_auth_str(*self._login))
        if scheme.lower() != "bearer":
            return ""
        challenge = dict(CHALLENGE.findall(rest))
        token = self._fetch_token(challenge.get("realm", ""), challenge.get("service", ""), scope)
        self._tokens[scope] = token
        return f"Bearer {token.value}"

    def _fetch_token(self, realm: str, service: str, scope: str) -> _Token:
        """Ask the realm for a token; the login goes only to a host that the connection names."""
        parts = urlsplit(realm)
        same_scheme = parts.scheme in {"https", urlsplit(self.url).scheme}
        if parts.netloc not in self._token_hosts or not same_scheme or parts.scheme not in {"http", "https"}:
            text = _("The registry {host} sends the portal to {realm} for a token, which is not allowed.")
            raise PermanentError(
                sentence(text, host=self.host, realm=parts.netloc or realm[:60]), code="registry_realm"
            )
        started = time.monotonic()
        reply = self._send(
            "GET", realm, params={"service": service, "scope": scope}, login=self._login, limit=TOKEN_BYTES
        )
        self._judged(reply)
        answer = read_json(reply)
        value = answer.get("token") or answer.get("access_token")
        if reply.status != 200 or not isinstance(value, str):
            refused = sentence(_("The registry {host} gives no token."), host=self.host)
            raise PermanentError(refused, code=UNAUTHORIZED)
        lifetime = answer.get("expires_in")
        # A minute is what the protocol says when nothing is said; some seconds are kept for the way.
        return _Token(value, started + (lifetime if isinstance(lifetime, int) else 60) - 5)

    def _send(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        login: tuple[str, str] | None = None,
    ) -> Reply:
        until = time.monotonic() + TOTAL_SECONDS
        try:
            with self._session.request(
                method,
                url,
                headers=dict(headers or {}),
                params=dict(params or {}),
                auth=login,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = answers.read_body(answer.raw, most=limit, until=until)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            text = _("The registry {host} does not answer ({reason}).")
            reason = type(error).__name__
            raise TemporaryError(sentence(text, host=self.host, reason=reason), code=UNREACHABLE) from error
        if len(body) > limit:
            raise PermanentError(_("The registry's answer is too large."), code="registry_answer")
        return Reply(answer.status_code, answer.headers, body)


def read_json(reply: Reply) -> dict[str, Any]:
    """The object in the answer.

    Raises:
        PermanentError: it holds no JSON object.
    """
    try:
        found = answers.read_json(reply.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise PermanentError(_("The registry's answer cannot be understood."), code="registry_answer")
    return found


def _retry_in(reply: Reply) -> float:
    asked = reply.headers.get("Retry-After", "")
    return float(min(int(asked), 60)) if asked.isascii() and asked.isdigit() else 2.0
