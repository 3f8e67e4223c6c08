"""One API server: a request and its answer, a watch and its events, and when it is left alone.

The kubernetes package makes the sockets (`configuration`). Every call is bounded in time, none is
repeated silently, and every failure is one of our errors (protocols.md, A5).
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self
from urllib.parse import urlencode, urlsplit

import urllib3

from portal import counters, trace
from portal.errors import TemporaryError
from portal.integrations.answers import read_body, read_json
from portal.integrations.kubernetes.configuration import manager_of
from portal.integrations.kubernetes.connection import Access
from portal.integrations.kubernetes.errors import UNREACHABLE, refused, unreachable
from portal.integrations.kubernetes.workloads import FIELD_MANAGER, Json

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
# For somebody who waits at a page.
HURRIED_CONNECT_SECONDS = 1.0
HURRIED_READ_SECONDS = 2.0
TOKEN_SECONDS = 60.0
# Many thousand pods; what is longer would take the worker's memory.
MOST_BYTES = 64_000_000
# A server that let a call wait in vain is left alone for so many times that long: who waits for it has other
# work, and one dead cluster among several costs the others a tenth of their time at most.
LEFT_ALONE = 9
# After one call in vain, which a lost packet may explain, no longer than that.
FIRST_ALONE_SECONDS = 30.0
# By the status of the answer, or "unreachable"; a watch is answered when it begins.
calls = counters.histogram(
    "cluster_call_duration_seconds",
    "How long calls to clusters took, by what came of them",
    "server",
    "method",
    "result",
    limits=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class Server:
    """One API server, and the account that the portal has there."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.host = urlsplit(access.server).netloc
        self.connect_seconds, self.read_seconds = CONNECT_SECONDS, READ_SECONDS
        self._hurried: Self | None = None
        self._token = access.token
        self._token_read_at = 0.0
        self._alone_until = 0.0
        self._away: TemporaryError | None = None
        self._manager = manager_of(access)

    def close(self) -> None:
        """Give up the connections."""
        self._manager.clear()

    def hurried(self) -> Self:
        """The same server for somebody who waits at a page: given less time, and left alone by itself."""
        if self._hurried is None:
            self._hurried = copy.copy(self)
            self._hurried.connect_seconds = HURRIED_CONNECT_SECONDS
            self._hurried.read_seconds = HURRIED_READ_SECONDS
        return self._hurried

    def watch(self, path: str, *, version: str, seconds: int, fields: str = "") -> Iterator[Json]:
        """Yield the events of a watch until the server ends it after `seconds`.

        Raises:
            TemporaryError: the stream was cut or fell silent.
            PermanentError: with code "expired" when the version is too old.
        """
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": seconds}
        query["allowWatchBookmarks"] = "true"
        if fields:
            query["fieldSelector"] = fields
        response, _none = self._send("GET", path, query=query, read_seconds=seconds + 15, preload=False)
        rest = b""
        try:
            for chunk in response.stream(amt=None):
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > MOST_BYTES:
                    raise _too_long()
                yield from (read_json(line) for line in whole if line.strip())
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise unreachable(self.access.server, error) from error
        finally:
            response.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Json:
        """Send one request and return the object in its answer.

        Raises:
            TemporaryError: no answer, or one that may heal; `code` says which.
            PermanentError: a refusal in the server's own words.
        """
        _response, data = self._send(method, path, query=query, body=body, content_type=content_type)
        try:
            decoded = read_json(data)
        except ValueError as error:
            raise unreachable(self.access.server, error) from error
        if not isinstance(decoded, dict):
            raise unreachable(self.access.server, ValueError("not an object"))
        return decoded

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        content_type: str = "application/json",
        read_seconds: float | None = None,
        preload: bool = True,
    ) -> tuple[urllib3.BaseHTTPResponse, bytes]:
        """Send a request, and return its answer with what is in it, unless that is read as it comes."""
        self._leave_alone()
        url = f"{self.access.server}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = content_type
        since = time.monotonic()
        try:
            bounds = (self.connect_seconds, read_seconds or self.read_seconds)
            response = self._ask(method, url, headers=headers, body=body, seconds=bounds)
            until = since + self.connect_seconds + self.read_seconds
            whole = preload or response.status >= 400
            data = read_body(response, most=MOST_BYTES, until=until) if whole else b""
            if len(data) > MOST_BYTES:
                raise _too_long()
        except urllib3.exceptions.HTTPError as error:
            waited = time.monotonic() - since
            calls.labels(self.host, method, UNREACHABLE).observe(waited)
            raise self._gone(error, waited=waited) from error
        self._away = None
        seconds = time.monotonic() - since
        calls.labels(self.host, method, response.status).observe(seconds)
        _write_down(method, path, query, response.status, seconds=seconds)
        if response.status >= 300:
            raise refused(response.status, data, response.headers)
        return response, data

    def _ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: object = None,
        seconds: tuple[float, float],
    ) -> urllib3.BaseHTTPResponse:
        """Send a request and return its answer, whose body is still to be read.

        Args:
            seconds: to connect, and for one read.
        """
        timeout = urllib3.Timeout(connect=seconds[0], read=seconds[1])
        sent = None if body is None else json.dumps(body)
        return self._manager.urlopen(
            method, url, headers=headers, body=sent, timeout=timeout, preload_content=False
        )

    def _gone(self, error: Exception, *, waited: float) -> TemporaryError:
        """Remember how long the server let this call wait, and return what to raise."""
        alone = waited * LEFT_ALONE
        if self._away is None:
            alone = min(alone, FIRST_ALONE_SECONDS)
        self._alone_until = time.monotonic() + alone
        self._away = away = unreachable(self.access.server, error)
        return away

    def _leave_alone(self) -> None:
        """Answer for a server that was away a moment ago instead of waiting for it again."""
        away = self._away
        if away is not None and time.monotonic() < self._alone_until:
            raise TemporaryError(away.detail, retry_in=away.retry_in, code=away.code)

    def _authorization(self) -> dict[str, str]:
        if self.access.token_file and time.monotonic() - self._token_read_at > TOKEN_SECONDS:
            self._token = Path(self.access.token_file).read_text(encoding="utf-8").strip()
            self._token_read_at = time.monotonic()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def _headers(self) -> dict[str, str]:
        return {"Accept": "application/json", "User-Agent": _agent(), **self._authorization()}


def _too_long() -> urllib3.exceptions.HTTPError:
    return urllib3.exceptions.HTTPError(f"the answer has more than {MOST_BYTES // 1_000_000} MB")


def _agent() -> str:
    """What the server's own record keeps of its callers: there a call is found by the click behind it."""
    following = trace.current()
    return f"{FIELD_MANAGER} trace/{following}" if following else FIELD_MANAGER


def _write_down(
    method: str, path: str, query: Mapping[str, object] | None, status: int, *, seconds: float
) -> None:
    """Reads are many, and like a dry run change nothing: they are for who asks for details."""
    changes = method != "GET" and "dryRun" not in (query or {})
    facts = {"status": status, "milliseconds": round(seconds * 1000)}
    logger.log(logging.INFO if changes else logging.DEBUG, "%s %s", method, path, extra=facts)
