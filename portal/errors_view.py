"""One place that turns domain errors into pages; the API turns the same ones into problems."""

import logging
import secrets
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from portal.errors import NotFound, PortalError

logger = logging.getLogger(__name__)


class ErrorsMiddleware:
    """Answers a PortalError raised by a view with its status and words."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Turn an expected refusal into its page."""
        if not isinstance(error, PortalError):
            return None
        return error_page(request, error)


def error_page(request: HttpRequest, error: PortalError) -> HttpResponse:
    """Render a refusal: what happened, why, what next; only the fragment when htmx asked."""
    template = "errors/_problem.html" if request.headers.get("HX-Request") else "errors/page.html"
    return render(request, template, {"error": error}, status=error.status)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001  Django's signature
    """Handler for 404."""
    return error_page(request, NotFound())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:  # noqa: ARG001  Django's signature
    """Handler for a form without its token."""
    detail = _("The form was too old or came from elsewhere. Load the page again and repeat.")
    error = PortalError(detail, code="csrf", title=_("The form could not be trusted"))
    error.status = 403
    return error_page(request, error)


def server_error(request: HttpRequest) -> HttpResponse:
    """Handler for 500: a number to quote, nothing internal."""
    number = secrets.token_hex(4)
    logger.error("error %s at %s", number, request.path)
    detail = _("Quote number {number}. Rollouts in progress go on.").format(number=number)
    return error_page(request, PortalError(detail))
