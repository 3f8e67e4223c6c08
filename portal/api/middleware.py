"""The API's gate: sizes and types before anything is parsed, who asks, repeated writes, and problems only."""

import re
from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext_lazy as _

from portal.api import idempotency
from portal.api.auth import SAFE_METHODS, find_actor
from portal.api.problems import MEDIA_TYPE, Refused, RequestTooLarge, problem
from portal.errors import DATABASE_AWAY, NotFound, PortalError
from portal.errors_view import database_away
from portal.people.auditors import is_auditor, only_reading, refuse_auditor

PREFIX = "/api/"
LARGEST_BODY_BYTES = 1_000_000
# A file of 5 MB as evidence, in base64 and with words beside it.
LARGEST_EVIDENCE_BYTES = 7_000_000
EVIDENCE = re.compile(r"/api/v1/releases/\d+/checklist/\d+", re.ASCII)
JSON = "application/json"
# Senders that sign the raw body and use forms; they bring their own check.
OTHER_TYPES = "/api/v1/hooks/"
Answer = Callable[[HttpRequest], HttpResponse]


class HostMiddleware:
    """Refuses a host name that is not the portal's as a problem, before others refuse it with a page."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let the request pass, or answer why not; pages are refused by the framework."""
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        try:
            request.get_host()
        except DisallowedHost:
            detail = _("The portal does not answer to this host name.")
            return problem(Refused(400, "wrong_host", _("The request was refused"), detail))
        return self.get_response(request)


class ApiMiddleware:
    """Leaves every other address alone."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Let the request in, or answer why not."""
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        if request.method == "HEAD":
            return self._head(request)
        return self._whole(request)

    def _head(self, request: HttpRequest) -> HttpResponse:
        """Answer as GET would, without the body."""
        request.method = "GET"
        answer = self._whole(request)
        request.method = "HEAD"
        without_body(answer)
        return answer

    def _whole(self, request: HttpRequest) -> HttpResponse:
        try:
            check_form(request)
            return as_problem(self._answer(request))
        except PortalError as error:
            return problem(error)
        except DATABASE_AWAY as error:
            return problem(database_away(error))

    def _answer(self, request: HttpRequest) -> HttpResponse:
        try:
            request.actor = find_actor(request)  # type: ignore[attr-defined]
        except PortalError as error:
            request.refusal = error  # type: ignore[attr-defined]  # public addresses do not mind
            return self.get_response(request)
        if request.method in SAFE_METHODS:
            with only_reading(auditor=is_auditor(request.user)):
                return self.get_response(request)
        refuse_auditor(request.user)
        return idempotency.once(request, self.get_response)


def check_form(request: HttpRequest) -> None:
    """Refuse what need not be parsed to be refused.

    Raises:
        RequestTooLarge, Refused: over a megabyte (evidence: seven), not JSON, or with characters no row
            can hold.
    """
    limit = LARGEST_EVIDENCE_BYTES if EVIDENCE.fullmatch(request.path_info) else LARGEST_BODY_BYTES
    body = request.read(limit + 1)
    if len(body) > limit:
        raise RequestTooLarge(limit)
    request._body = body
    if "\x00" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
        raise NotFound
    if not body or request.path_info.startswith(OTHER_TYPES):
        return
    if request.content_type != JSON:
        detail = _("Send it as {kind}.").format(kind=JSON)
        raise Refused(415, "unsupported_media_type", _("The request has the wrong type"), detail)


def without_body(answer: HttpResponseBase) -> None:
    """Empty an answer for somebody who wants its head alone."""
    if isinstance(answer, HttpResponse):
        answer["Content-Length"] = str(len(answer.content))
        answer.content = b""
    elif isinstance(answer, StreamingHttpResponse):
        answer.streaming_content = ()


def as_problem(answer: HttpResponse) -> HttpResponse:
    """Give the framework's own refusals (no such address, no such method) the form of all others."""
    if answer.status_code < 400 or answer.headers.get("Content-Type", "").startswith(MEDIA_TYPE):
        return answer
    if answer.status_code == 404:
        return problem(NotFound())
    if answer.status_code == 405:
        refusal = problem(Refused(405, "method_not_allowed", _("This address does not do that")))
        refusal["Allow"] = answer.headers.get("Allow", "").replace("GET", "GET, HEAD")
        return refusal
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        return problem(Refused(answer.status_code, "error", _("The request was refused")))
    return answer
