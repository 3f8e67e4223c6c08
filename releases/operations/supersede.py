"""A newer release that covers an older pending one replaces it; a partial overlap is told to both."""

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from approvals.operations import void_request
from portal.actors import Actor
from portal.live.publish import publish
from portal.sentences import sentence
from releases import notices
from releases.models import Release
from releases.operations.moving import move_release
from releases.states import PENDING, ReleaseState


def supersede_older(release: Release, *, actor: Actor) -> list[Release]:
    """End older releases in review or approved whose services are all in this one; returns them.

    The environment's row is locked by the caller, so that two submissions see each other.
    """
    older = [old for old in _overlapping(release, older=True) if _is_alike(old, release)]
    covered = [old for old in older if _services(old) <= _services(release)]
    for old in covered:
        reason = sentence(_("Replaced by #{number}."), number=release.number)
        if old.approval_request_id is not None:
            void_request(old.approval_request_id, actor=actor, reason=reason, filed_under=old.number)
        old.superseded_by = release
        data = {"by_release": release.number}
        move_release(
            old, ReleaseState.SUPERSEDED, actor=actor, reason=reason, fields=["superseded_by"], data=data
        )
        notices.tell_superseded(old, release)
    return covered


def warn_of_overlap(release: Release) -> list[Release]:
    """Tell this release and every other pending one that shares some services with it."""
    others = list(_overlapping(release, older=False))
    for other in others:
        shared = sorted(_names(release) & _names(other))
        publish(release.topic, "release.overlap", {"release": other.number, "services": shared})
        publish(other.topic, "release.overlap", {"release": release.number, "services": shared})
        notices.tell_overlap(other, release, shared)
    return others


def _overlapping(release: Release, *, older: bool) -> Iterable[Release]:
    services = release.items.values("service")
    numbers = Release.objects.filter(
        environment=release.environment, state__in=PENDING, items__service__in=services
    ).exclude(number=release.number)
    if older:
        numbers = numbers.filter(number__lt=release.number)
    return (
        Release.objects.select_for_update(of=("self",))
        .select_related("environment", "author")
        .filter(number__in=numbers.values("number"))
        .order_by("number")
    )


def _is_alike(old: Release, release: Release) -> bool:
    """A version replaces a version; an operation only one that does the same to the same workload."""
    return all(old.operation.get(key) == release.operation.get(key) for key in ("kind", "workload", "job"))


def _names(release: Release) -> set[str]:
    return set(release.items.values_list("service__name", flat=True))


def _services(release: Release) -> set[int]:
    return set(release.items.values_list("service", flat=True))
