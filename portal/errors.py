"""What can go wrong, in words for people and codes for programs; the doors turn these into pages or problems.

Codes and their precedence: rules.md, "Codes".
"""

from collections.abc import Sequence
from typing import Any

from django.db import InterfaceError, InternalError, OperationalError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Missing = dict[str, Any]
# What the database raises for troubles of its own: gone, full, too busy, or (internal) taking no writes.
DATABASE_AWAY = (OperationalError, InterfaceError, InternalError)
# How PostgreSQL says that its disk is full: by a state, or by the system's words where it lets nobody in.
DISK_FULL_STATE, DISK_FULL_WORDS = "53100", "No space left on device"


def is_full(error: BaseException | None) -> bool:
    """Whether the database could not write because its disk is full."""
    state = getattr(getattr(error, "__cause__", None), "sqlstate", "")
    return state == DISK_FULL_STATE or DISK_FULL_WORDS in str(error)


class PortalError(Exception):
    """An expected refusal: a stable code, an HTTP status, a title and a sentence saying what to do next."""

    status = 500
    code = "error"
    title: str | Promise = _("Something went wrong")
    explanation: str | Promise = ""  # what to say where nothing nearer to the case is known

    def __init__(
        self,
        detail: str | Promise = "",
        *,
        code: str | None = None,
        title: str | Promise | None = None,
        missing: Sequence[Missing] = (),
    ) -> None:
        self.detail = detail or self.explanation
        super().__init__(str(self.detail))
        self.code = code or self.code
        self.title = title or self.title
        self.missing = list(missing)


class NotFound(PortalError):
    """It does not exist, or the person may not see it: from outside both look the same."""

    status = 404
    code = "not_found"
    title = _("Not found")
    explanation = _(
        "There is nothing at this address, or nothing that you may see. Check the address, or search for it."
    )


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
    explanation = _("None of your roles allows this here.")


class Conflict(PortalError):
    """The row is not in a state that allows this."""

    status = 409
    code = "wrong_state"
    title = _("This is not possible now")
    explanation = _("It has changed since you looked. Look at its newest state.")


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
