"""What every change of the calendar asks first, and the entry that a refused one leaves."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from approvals.calendar import places
from approvals.calendar.models import EVERYWHERE
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotAllowed
from portal.people import roles


def is_place(actor: Actor, scope: str) -> bool:
    """Whether there is such a place; one that the person may not know of is none."""
    if actor.user is not None and not places.is_seen(actor.user, scope):
        return False
    kind, _colon, key = scope.partition(":")
    if scope == EVERYWHERE:
        return True
    return kind in places.KINDS and bool(roles.SCOPE.fullmatch(scope)) and roles.THERE[kind](key)


def check(missing: list[Missing]) -> None:
    """Raise Invalid if something is wrong."""
    if missing:
        raise Invalid(missing=missing)


def require_operate(actor: Actor) -> None:
    """Raise NotAllowed for a token that was not made for this."""
    if not actor.has_scope("operate"):
        text = _("This access token has no scope {scope}. Make one that has it, or use the browser.")
        raise NotAllowed(text.format(scope="operate"))


@contextmanager
def noting_refusals(
    actor: Actor, scope: str, *, subject: tuple[str, str] = ("freeze", "new")
) -> Iterator[None]:
    """Leave one entry for an act that is refused inside; its own transaction is gone by then."""
    try:
        yield
    except (NotAllowed, Conflict) as error:
        after = {"code": error.code, "scope": scope}
        with transaction.atomic():
            record("freeze.refused", actor=actor, subject=subject, after=after, reason=str(error.detail))
        raise
