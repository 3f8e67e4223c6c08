"""Instant queries of a Prometheus server (its HTTP API, `GET /api/v1/query`)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.http.client import Allow, Answer, get

BAD_QUERY = "bad_query"
UNMEASURED = "unmeasured"
SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where it listens, what may be called there, and the token it asks for, if any."""

    url: str
    allow: Allow
    token: str = ""


def values(server: Server, expression: str) -> list[float]:
    """Return the value of every series that the expression gives now; NaN and infinities as they are.

    Raises:
        PermanentError: with code "bad_query": it is no expression, or gives no numbers.
        TemporaryError: nobody answers, or the server cannot say now; neither good nor bad was measured.
    """
    address = f"{server.url.rstrip('/')}/api/v1/query?{urlencode({'query': expression})}"
    headers = {"Authorization": f"Bearer {server.token}"} if server.token else {}
    answer = get(address, timeout_seconds=SECONDS, allow=server.allow, headers=headers)
    return _numbers(_data(answer))


def _data(answer: Answer) -> Mapping[str, Any]:
    body = answer.json if isinstance(answer.json, dict) else {}
    data = body.get("data")
    if answer.status == 200 and body.get("status") == "success" and isinstance(data, dict):
        return data
    words = str(body.get("error") or f"HTTP {answer.status}")[:500]
    if body.get("errorType") == "bad_data":
        raise PermanentError(words, code=BAD_QUERY)
    raise TemporaryError(words, code=UNMEASURED)


def _numbers(data: Mapping[str, Any]) -> list[float]:
    """Numbers come as text, since JSON has neither NaN nor infinity."""
    result = data.get("result")
    try:
        if data.get("resultType") == "scalar":
            return [float(result[1])]  # type: ignore[index]  # or it is no scalar
        if data.get("resultType") == "vector":
            return [float(series["value"][1]) for series in result or ()]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise TemporaryError(_("The answer cannot be read."), code=UNMEASURED) from error
    raise PermanentError(_("The query gives no numbers of this moment."), code=BAD_QUERY)


def worst(found: list[float], *, high_is_bad: bool) -> float:
    """The series that speaks most against it; NaN where there is none, or where one of them is NaN."""
    if not found or any(math.isnan(each) for each in found):
        return math.nan
    return max(found) if high_is_bad else min(found)
