"""What every operation on a release begins with: the row under lock, who may see it, and refusals kept."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from portal import access
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, NotAllowed, NotFound, PortalError
from releases.catalog.models import Environment, Service
from releases.models import Release
from releases.states import ReleaseState


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


def require_state(release: Release, states: Collection[str]) -> None:
    """Raise Conflict with the code of the end it came to, or wrong_state."""
    if release.state in states:
        return
    if release.state == ReleaseState.SUPERSEDED:
        text = _("Replaced by #{number}.").format(number=release.superseded_by_id)
        raise Conflict(text, code="superseded")
    if release.state == ReleaseState.EXPIRED:
        raise Conflict(_("Expired. Duplicate it and submit again."), code="expired")
    sentence = _("The release is {state}; this is not possible from there.")
    raise Conflict(sentence.format(state=release.get_state_display()))


def require_scope(actor: Actor, scope: str) -> None:
    """Raise NotAllowed when the token is not cut for this kind of act."""
    if not actor.has_scope(scope):
        text = _("This access token has no scope {scope}. Make one that has it, or use the browser.")
        raise NotAllowed(text.format(scope=scope))


def require_compose(actor: Actor, services: Iterable[Service]) -> None:
    """Raise NotAllowed unless the person may compose every service concerned."""
    require_scope(actor, "compose")
    for service in services:
        if not may_compose(actor, service):
            text = _("You may not compose releases of {service}. Ask the lead of its team.")
            raise NotAllowed(text.format(service=service.name))


def require_deploy(actor: Actor, release: Release) -> None:
    """Raise NotAllowed unless the person has the deploy right on the environment."""
    require_scope(actor, "operate")
    if actor.user is not None and not access.allowed(actor.user, "deploy", release.environment):
        text = _("You may not roll out to {environment}.").format(environment=release.environment.name)
        raise NotAllowed(text)


def may_compose(actor: Actor, service: Service) -> bool:
    """Whether the person may put this service into a release."""
    return actor.user is None or access.allowed(actor.user, "compose", service)
