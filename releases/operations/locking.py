"""What every operation on a release begins with: the row under lock, who may see it, and refusals kept."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from portal import access
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, NotAllowed, NotFound, PortalError
from releases.catalog.models import Environment
from releases.guards import may_compose, require_compose, require_deploy, require_scope, require_state
from releases.models import Release

__all__ = [
    "act",
    "lock_release",
    "may_compose",
    "note_refusal",
    "noting_refusals",
    "require_compose",
    "require_deploy",
    "require_scope",
    "require_state",
]


@contextmanager
def act(number: int, *, actor: Actor, refused: str = "release.refused") -> Iterator[Release]:
    """Open the transaction and yield the locked release; a refusal leaves one entry in the record only.

    Raises:
        NotFound: no such release, or the person may not see it.
    """
    with noting_refusals(number, actor=actor, action=refused), transaction.atomic():
        yield lock_release(number, actor=actor)


@contextmanager
def noting_refusals(number: int | None, *, actor: Actor, action: str = "release.refused") -> Iterator[None]:
    """Write one entry for an act that is refused inside; its own transaction is gone by then.

    Args:
        number: None where there is no release yet.
    """
    try:
        yield
    except (NotAllowed, Conflict) as error:
        note_refusal(error, number=number, actor=actor, action=action)
        raise


def lock_release(number: int, *, actor: Actor) -> Release:
    """Return the release under lock, environment first: superseding and queueing are decided under that."""
    found = Release.objects.filter(number=number).values_list("environment", flat=True).first()
    if found is None:
        raise NotFound
    Environment.objects.select_for_update(no_key=True).get(pk=found)
    release = (
        Release.objects.select_for_update(of=("self",))
        .select_related("environment__cluster", "plan", "author", "approval_request")
        .get(number=number)
    )
    if actor.user is not None and not access.allowed(actor.user, "view", release):
        raise NotFound
    return release


def note_refusal(error: PortalError, *, number: int | None, actor: Actor, action: str) -> None:
    """Write the one entry that a refused act leaves."""
    with transaction.atomic():
        record(
            action,
            actor=actor,
            subject=("release", "new" if number is None else str(number)),
            after={"code": error.code},
            reason=str(error.detail),
            release=number,
        )
