"""Signed in by default, and each person's language and time zone on every page."""

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils import timezone, translation

from portal.errors import NotAllowed
from portal.errors_view import error_page
from portal.people.auditors import OWN_PAGES, only_reading, refuse_auditor
from portal.people.models import Role
from portal.reader import reader_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
API_PREFIX = "/api/"
# allauth keeps what of one's own account was read, such as the recovery codes.
SIGN_IN_PREFIX = "/sign-in/"
API = "ninja"  # the name under which django-ninja joins its addresses


class SignInRequiredMiddleware(LoginRequiredMiddleware):
    """Sends everyone who is not signed in to the sign-in page, unless the view says it is public."""

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., HttpResponseBase],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """Leave the API alone: it asks for its own credentials and answers with problems."""
        if request.resolver_match is not None and API in request.resolver_match.app_names:
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseRedirect:
        """Redirect a page; tell htmx to load the whole page again instead of swapping a form in."""
        answer = super().handle_no_permission(request, view_func)
        if request.headers.get("HX-Request"):
            del answer["Location"]
            answer["HX-Refresh"] = "true"
            answer.status_code = 200
        return answer


class AuditorMiddleware:
    """Refuses an auditor's forms, but for signing in and out and their own settings; pages only read."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Pass the request on; the API, whose tokens say who asks, does the same at its own gate."""
        if request.method not in SAFE_METHODS or request.path_info.startswith((API_PREFIX, SIGN_IN_PREFIX)):
            return self.get_response(request)
        reader = reader_of(request)
        with only_reading(auditor=reader is not None and reader.holds(Role.AUDITOR)):
            return self.get_response(request)

    def process_view(self, request: HttpRequest, *_view: object) -> HttpResponse | None:
        """Ask before the view is called; the API asks at its own gate."""
        match = request.resolver_match
        if request.method in SAFE_METHODS or match is None or API in match.app_names:
            return None
        if match.view_name in OWN_PAGES:
            return None
        try:
            refuse_auditor(request.user)
        except NotAllowed as error:
            return error_page(request, error)
        return None


class PreferencesMiddleware:
    """Applies what the person chose; the browser's language counts only where they chose none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Activate zone and language for one request."""
        user = getattr(request, "user", None)
        language = getattr(user, "language", "")
        if language:
            translation.activate(language)
            request.LANGUAGE_CODE = language
        with timezone.override(_zone(getattr(user, "time_zone", ""))):
            return self.get_response(request)


def _zone(name: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(name or settings.TIME_ZONE)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo(settings.TIME_ZONE)
