"""Refusals as RFC 9457 problems: one form for every way in which a request can go wrong."""

import json
import logging
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from portal import trace
from portal.errors import DATABASE_AWAY, Invalid, NotFound, PortalError, field_error
from portal.errors_view import database_away

logger = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"

# What pydantic says of the faults people meet, in the reader's language.
TEXTS: dict[str, str | Promise] = {
    "missing": _("This field is missing."),
    "extra_forbidden": _("There is no such field."),
    "string_type": _("This should be text."),
    "string_too_short": _("This is too short."),
    "string_too_long": _("This is too long."),
    "string_pattern_mismatch": _("This does not have the right form."),
    "int_type": _("This should be a whole number."),
    "int_parsing": _("This should be a whole number."),
    "int_from_float": _("This should be a whole number."),
    "bool_type": _("This should be true or false."),
    "bool_parsing": _("This should be true or false."),
    "list_type": _("This should be a list."),
    "dict_type": _("This should be an object."),
    "model_type": _("This should be an object."),
    "model_attributes_type": _("This should be an object."),
    "literal_error": _("This is not one of the possible values."),
    "enum": _("This is not one of the possible values."),
    "datetime_parsing": _("This should be a time like 2026-01-08T14:00:00+09:00."),
    "datetime_from_date_parsing": _("This should be a time like 2026-01-08T14:00:00+09:00."),
    "datetime_out_of_reach": _("This time is too far away."),
    "timezone_aware": _("This time needs a zone."),
    "greater_than_equal": _("This is too small."),
    "less_than_equal": _("This is too large."),
    "too_short": _("This list is too short."),
    "too_long": _("This list is too long."),
}


class Unauthenticated(PortalError):
    """Nobody is known to ask."""

    status = 401
    code = "unauthenticated"
    title = _("Sign in first")


class Refused(PortalError):
    """The request itself is not acceptable, whoever asks."""

    def __init__(self, status: int, code: str, title: str | Promise, detail: str | Promise = "") -> None:
        super().__init__(detail, code=code, title=title)
        self.status = status


class RequestTooLarge(Refused):
    """The body is over the limit; it was not parsed."""

    def __init__(self, limit_bytes: int) -> None:
        detail = _("At most {limit} bytes are accepted.").format(limit=limit_bytes)
        super().__init__(413, "too_large", _("The request is too large"), detail)


def malformed(status: int = 400) -> Refused:
    """The refusal of a body that is no clean JSON."""
    detail = _("The body should be JSON in UTF-8.")
    return Refused(status, "malformed", _("The request could not be read"), detail)


def problem(error: PortalError) -> HttpResponse:
    """Turn a refusal into its answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": str(error.title),
        "status": error.status,
        "code": error.code,
        "detail": str(error.detail),
        "missing": error.missing,
    }
    answer = HttpResponse(
        json.dumps(body, cls=DjangoJSONEncoder, ensure_ascii=False),
        status=error.status,
        content_type=MEDIA_TYPE,
    )
    if error.status == 401:
        answer["WWW-Authenticate"] = "Bearer"
    if error.status in {409, 503} and (seconds := getattr(error, "retry_in", None)):
        answer["Retry-After"] = str(max(1, round(seconds)))
    return answer


def install(api: NinjaAPI) -> None:
    """Make the API answer every exception with a problem."""
    api.add_exception_handler(PortalError, _expected)
    api.add_exception_handler(ValidationError, _wrong_fields)
    api.add_exception_handler(HttpError, _unreadable)
    api.add_exception_handler(Http404, _missing)
    api.add_exception_handler(Exception, _unexpected)


def _expected(_request: HttpRequest, error: PortalError | type[PortalError]) -> HttpResponse:
    assert isinstance(error, PortalError)
    return problem(error)


def _missing(_request: HttpRequest, _error: Http404 | type[Http404]) -> HttpResponse:
    return problem(NotFound())


def _unreadable(_request: HttpRequest, error: HttpError | type[HttpError]) -> HttpResponse:
    assert isinstance(error, HttpError)
    if error.status_code == 401:
        return problem(Unauthenticated())
    return problem(malformed(error.status_code))


def _wrong_fields(_request: HttpRequest, error: ValidationError | type[ValidationError]) -> HttpResponse:
    assert isinstance(error, ValidationError)
    missing = [field_error(_field(fault["loc"]), _text(fault)) for fault in error.errors]
    return problem(Invalid(_("Some fields are wrong."), missing=missing))


def _field(place: tuple[str | int, ...]) -> str:
    """Name the field as its sender does: without the source and the name of our parameter."""
    skip = 2 if place[0] == "body" else 1
    return ".".join(str(part) for part in place[skip:]) or str(place[-1])


def _text(fault: Mapping[str, Any]) -> str:
    return str(TEXTS.get(fault["type"], fault["msg"]))


def _unexpected(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """Answer a fault of ours: a number to quote, nothing internal."""
    if isinstance(error, DATABASE_AWAY):
        return problem(database_away(error if isinstance(error, Exception) else None))
    number = trace.number()
    logger.error("error %s at %s", number, request.path, exc_info=error)  # type: ignore[arg-type]
    detail = _("Quote number {number}. Rollouts in progress go on.").format(number=number)
    return problem(PortalError(detail))
