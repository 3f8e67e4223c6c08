"""One place that turns domain errors into pages; the API turns the same ones into problems."""

import logging
import sys
from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from portal import trace
from portal.errors import DATABASE_AWAY, NotFound, PortalError, TemporaryError, is_full

logger = logging.getLogger(__name__)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class ErrorsMiddleware:
    """Answers a PortalError raised by a view with its status and words."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponse],  # noqa: ARG002  Django's signature
        args: list[object],  # noqa: ARG002  Django's signature
        values: dict[str, object],  # noqa: ARG002  Django's signature
    ) -> HttpResponse | None:
        """Find nothing at an address that holds what no row can."""
        if "\x00" in request.path_info:
            return error_page(request, NotFound())
        return None

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Turn an expected refusal into its page, and a database that is away into words."""
        if isinstance(error, PortalError):
            return error_page(request, error)
        return bare_page(request, database_away(error)) if isinstance(error, DATABASE_AWAY) else None


def error_page(request: HttpRequest, error: PortalError) -> HttpResponse:
    """Render a refusal: what happened, why, what next; only the fragment when htmx asked."""
    template = "errors/_problem.html" if request.headers.get("HX-Request") else "errors/page.html"
    return render(request, template, {"error": error, "came_from": _came_from(request)}, status=error.status)


def bare_page(request: HttpRequest, error: PortalError) -> HttpResponse:
    """Render a refusal without asking the database for anything."""
    return render(_without_person(request), "errors/bare.html", {"error": error}, status=error.status)


def database_away(error: BaseException | None) -> TemporaryError:
    """What to say while the database does not answer, or has no room to write."""
    detail = _(
        "The database does not answer. In a moment look whether it was done, then try again; "
        "rollouts go on after."
    )
    full = _(
        "The disk of the database is full. Whoever runs the portal makes room there; "
        "then look whether it was done, and try again. Rollouts go on after."
    )
    return TemporaryError(full if is_full(error) else detail, code="unavailable")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  Django's signature
    """Handler for 404."""
    return error_page(request, NotFound())


def too_often(request: HttpRequest) -> HttpResponse:
    """Handler for more tries at signing in, or at one's password, than are allowed in a while."""
    detail = _("So many tries in so short a time are not let through. Wait a few minutes, then try again.")
    error = PortalError(detail, code="too_often", title=_("Too many tries"))
    error.status = 429
    return error_page(request, error)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  Django's signature
    """Handler for a form without its token."""
    detail = _("The form was too old or came from elsewhere. Load the page again and repeat.")
    error = PortalError(detail, code="csrf", title=_("The form could not be trusted"))
    error.status = 403
    return error_page(request, error)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Handler for what was refused before any view saw it; who asks may not be known yet."""
    if isinstance(exception, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        detail = _("At most {limit} bytes are accepted.").format(limit=limit)
        error = PortalError(detail, code="too_large", title=_("The request is too large"))
        error.status = 413
    else:
        error = PortalError("", code="malformed", title=_("The request could not be read"))
        error.status = 400
    return bare_page(request, error)


def server_error(request: HttpRequest) -> HttpResponse:
    """Handler for what nobody expected: a number to quote, nothing internal."""
    number = trace.number()
    logger.error("error %s at %s", number, request.path)
    if isinstance(error := sys.exception(), DATABASE_AWAY):
        return bare_page(request, database_away(error))
    detail = _("Quote number {number}. Rollouts in progress go on.").format(number=number)
    return bare_page(request, PortalError(detail))


def _came_from(request: HttpRequest) -> str:
    """The page of ours from which a refused form was sent; "" for anything else."""
    referer = urlsplit(request.headers.get("Referer", ""))
    if request.method in SAFE_METHODS or referer.netloc != request.get_host():
        return ""
    return referer.path


def _without_person(request: HttpRequest) -> HttpRequest:
    """A request whose templates see nobody signed in, and so read no rows."""
    bare = HttpRequest()
    bare.method, bare.path, bare.META = request.method, request.path, request.META
    return bare
