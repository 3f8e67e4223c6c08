"""What an API server answers, translated into temporary and permanent errors with its own words."""

import random
from collections.abc import Mapping

import urllib3
from django.utils.translation import gettext_lazy as _

from portal.errors import PermanentError, TemporaryError
from portal.integrations.answers import read_json, storable
from portal.masking import masked
from portal.sentences import Text, sentence

MAX_WORDS = 2_000
INVALID = "invalid"
# Codes that may heal by themselves; every other error code is a refusal.
TEMPORARY = {
    408: "unavailable",
    409: "conflict",
    429: "too_many_requests",
    500: "server_error",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
}
PERMANENT = {
    400: INVALID,
    401: "unauthorized",
    403: "forbidden",
    404: "missing",
    405: INVALID,
    410: "expired",
    415: INVALID,
    422: INVALID,
}
UNREACHABLE = "unreachable"
UNAVAILABLE = "unavailable"
SERVER_ERROR = "server_error"
TOO_MANY = "too_many_requests"
CONFLICT = "conflict"
FIELD_CONFLICT = "field_conflict"
MISSING = "missing"
EXPIRED = "expired"
# What a server says of a path that belongs to none of its kinds; of a missing object it says the name.
NO_SUCH_KIND = frozenset({"404 page not found", "the server could not find the requested resource"})


def refused(code: int, body: bytes, headers: Mapping[str, str]) -> TemporaryError | PermanentError:
    """Return the error for an answer with an error code, worded as the server worded it."""
    words = server_words(body) or f"HTTP {code}"
    if code == 409 and b'"FieldManagerConflict"' in body:
        # Reading again would not help: it takes a person to say whose field it is.
        return PermanentError(words, code=FIELD_CONFLICT)
    if code in TEMPORARY:
        return TemporaryError(words, retry_in=_retry_in(code, headers), code=TEMPORARY[code])
    said: Text = words
    if words in NO_SUCH_KIND:
        text = _("The cluster does not know this kind of object; install what defines it first ({words}).")
        said = sentence(text, words=words)
    return PermanentError(said, code=PERMANENT.get(code, "refused_outside"))


def unreachable(server: str, error: Exception) -> TemporaryError:
    """Return the error for a server that did not answer, or whose answer was cut."""
    reason = getattr(error, "reason", None) or error
    text = sentence(
        _("The cluster at {server} does not answer: {reason}"), server=server, reason=_brief(reason)
    )
    return TemporaryError(text, retry_in=2.0, code=UNREACHABLE)


def server_words(body: bytes) -> str:
    """Return the message of a Status object, or the plain text of the answer, masked and cut.

    A server repeats what it refuses, and whoever may refuse beside it says what it likes.
    """
    try:
        status = read_json(body)
    except ValueError:
        return _told(storable(body.decode(errors="replace").strip()))
    words = status.get("message") if isinstance(status, dict) else None
    return _told(str(words or ""))


def _told(words: str) -> str:
    """Masked before it is cut, or half a secret would be left; of very much not all is looked at."""
    return masked(words[: 4 * MAX_WORDS])[:MAX_WORDS]


def _retry_in(code: int, headers: Mapping[str, str]) -> float:
    if code == 409:
        return 0.1
    try:
        asked = float(headers.get("Retry-After", "1"))
    except ValueError:
        asked = 1.0
    # Not all at the same moment; no secret depends on this number.
    return min(max(asked, 0.5), 60.0) + random.uniform(0, 0.5)  # noqa: S311


def _brief(reason: object) -> str:
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return str(reason).rpartition(": ")[2]
    return f"{type(reason).__name__}: {reason}"[:300] if isinstance(reason, Exception) else str(reason)[:300]
