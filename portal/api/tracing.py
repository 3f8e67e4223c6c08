"""Each request's trace, and the line in the log that says what it came to."""

import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, HttpResponse

from portal import trace

HEADER = "X-Trace-Id"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
logger = logging.getLogger(__name__)


class TraceMiddleware:
    """The outermost of all, so that every refusal has a trace too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer under a trace of its own, and name it in the answer."""
        since = time.monotonic()
        with trace.following(person=""):  # who it is shows later, and is forgotten with the trace
            answer = self.get_response(request)
            answer[HEADER] = trace.current()
            level = logging.DEBUG if request.method in READS else logging.INFO
            if logger.isEnabledFor(level):
                _write(level, request, answer, since)
        return answer


def _write(level: int, request: HttpRequest, answer: HttpResponse, since: float) -> None:
    """The route instead of the address: that of a sign-in link is a secret."""
    match = request.resolver_match
    numbers = {key: value for key, value in (match.kwargs if match else {}).items() if isinstance(value, int)}
    facts = {
        **numbers,
        "status": HTTPStatus(answer.status_code).value,
        "milliseconds": round((time.monotonic() - since) * 1000),
    }
    logger.log(level, "%s /%s", request.method, match.route if match else "?", extra=facts)
