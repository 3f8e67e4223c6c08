"""Refusals that need no lock of their own: the state a release is in, and what a person and a door may do."""

from collections.abc import Collection, Iterable

from django.utils.translation import gettext_lazy as _

from portal import access, clock
from portal.actors import Actor
from portal.errors import Conflict, NotAllowed
from portal.sentences import sentence
from releases.catalog.models import Service
from releases.models import Release
from releases.states import ReleaseState


def require_state(release: Release, states: Collection[str]) -> None:
    """Raise Conflict with the code of the end it came to, or wrong_state."""
    if release.state in states:
        return
    if release.state == ReleaseState.SUPERSEDED:
        text = sentence(_("Replaced by #{number}."), number=release.superseded_by_id)
        raise Conflict(text, code="superseded")
    if release.state == ReleaseState.EXPIRED:
        raise Conflict(_("Expired. Duplicate it and submit again."), code="expired")
    text = _("The release is {state}; this is not possible from there.")
    raise Conflict(sentence(text, state=ReleaseState(release.state).label))


def require_in_time(release: Release) -> None:
    """Raise Conflict when the time of a release is over, though no sweep has ended it yet."""
    request = release.approval_request
    if request is not None and request.expires_at is not None and request.expires_at <= clock.now():
        raise Conflict(_("Expired. Duplicate it and submit again."), code="expired")


def require_scope(actor: Actor, scope: str) -> None:
    """Raise NotAllowed when the token is not cut for this kind of act."""
    if not actor.has_scope(scope):
        text = _("This access token has no scope {scope}. Make one that has it, or use the browser.")
        raise NotAllowed(sentence(text, scope=scope))


def require_compose(actor: Actor, services: Iterable[Service]) -> None:
    """Raise NotAllowed unless the person may compose every service concerned."""
    require_scope(actor, "compose")
    for service in services:
        if not may_compose(actor, service):
            text = _("You may not compose releases of {service}.")
            missing = access.who_may("compose", service)
            raise NotAllowed(sentence(text, service=service.name), missing=missing)


def require_deploy(actor: Actor, release: Release) -> None:
    """Raise NotAllowed unless the person has the deploy right on the environment."""
    require_scope(actor, "operate")
    if actor.user is not None and not access.allowed(actor.user, "deploy", release.environment):
        text = sentence(_("You may not roll out to {environment}."), environment=release.environment.name)
        raise NotAllowed(text, missing=access.who_may("deploy", release.environment))


def may_compose(actor: Actor, service: Service) -> bool:
    """Whether the person may put this service into a release."""
    return actor.user is None or access.allowed(actor.user, "compose", service)
