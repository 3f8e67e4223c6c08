"""What can go wrong, in words for people and codes for programs; the doors turn these into pages or problems.

Codes and their precedence: rules.md, "Codes".
"""

from collections.abc import Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Missing = dict[str, Any]


class PortalError(Exception):
    """An expected refusal: a stable code, an HTTP status, a title and a sentence saying what to do next."""

    status = 500
    code = "error"
    title: str | Promise = _("Something went wrong")

    def __init__(
        self,
        detail: str | Promise = "",
        *,
        code: str | None = None,
        title: str | Promise | None = None,
        missing: Sequence[Missing] = (),
    ) -> None:
        super().__init__(str(detail))
        self.detail = detail
        self.code = code or self.code
        self.title = title or self.title
        self.missing = list(missing)


class NotFound(PortalError):
    """It does not exist, or the person may not see it: from outside both look the same."""

    status = 404
    code = "not_found"
    title = _("Not found")


class Invalid(PortalError):
    """The input is wrong; `missing` lists every field at once as {"code": "field", "field", "text"}."""

    status = 422
    code = "invalid"
    title = _("Please correct the input")


class NotAllowed(PortalError):
    """The person has no right to do this."""

    status = 403
    code = "not_entitled"
    title = _("You may not do this")


class Conflict(PortalError):
    """The row is not in a state that allows this."""

    status = 409
    code = "wrong_state"
    title = _("This is not possible now")


class TemporaryError(PortalError):
    """An outside system did not answer as it should; trying again may help.

    Attributes:
        retry_in: seconds to wait before the next try.
    """

    status = 503
    code = "unavailable"
    title = _("An outside system does not answer")

    def __init__(self, detail: str | Promise = "", *, retry_in: float = 2.0, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_in = retry_in


class PermanentError(PortalError):
    """An outside system refused, and asking again will not help."""

    status = 502
    code = "refused_outside"
    title = _("An outside system refused")


def field_error(field: str, text: str | Promise) -> Missing:
    """One wrong field for `Invalid(missing=[...])`."""
    return {"code": "field", "field": field, "text": text}
