"""What the doors show of findings."""

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from portal import access
from portal.actors import Actor
from portal.people.models import User
from releases.catalog.models import Service
from releases.rollouts.findings import operations, wording
from releases.rollouts.findings.differences import OF_IMAGES, read
from releases.rollouts.findings.people import deciders_of
from releases.rollouts.models import Finding, Rollout
from releases.rollouts.states import EXPLAINS, STANDING, FindingState

Json = dict[str, Any]
# What the filter of the list asks for.
VIEWS: dict[str, frozenset[str]] = {
    "": STANDING,
    "open": frozenset({FindingState.OPEN}),
    "over": frozenset(FindingState.values) - STANDING,
}


def visible_findings(
    user: User, *, view: str = "", environment: str = "", service: str = ""
) -> QuerySet[Finding]:
    """Findings that the person may see, the newest first.

    Args:
        view: "" for those that stand, "open" for those that ask for a decision, "over", or "all".
    """
    found = access.visible(user, Finding).select_related(
        "service__team", "environment", "settled_by", "put_back_by"
    )
    if view in VIEWS:
        found = found.filter(state__in=VIEWS[view])
    if environment:
        found = found.filter(environment__name=environment)
    return found.filter(service__name=service) if service else found


def beside(rollout: Rollout) -> list[Json]:
    """Return what else was changed of a rollout's services since it was asked for, while it is not over.

    As `rows_of`.
    """
    if rollout.state not in EXPLAINS:
        return []
    found = Finding.objects.filter(
        environment=rollout.environment_id,
        service__items__release=rollout.release_id,
        opened_at__gte=rollout.queued_at,
        state__in=STANDING,
    )
    return rows_of(found.select_related("service", "environment").order_by("pk"))


def rows_of(findings: Iterable[Finding]) -> list[Json]:
    """Each finding with what differs, in a line."""
    return [{"finding": each, "text": wording.in_short(read(each.differences))} for each in findings]


def view_of(finding: Finding, actor: Actor) -> Json:
    """Everything the page of one finding shows to a person."""
    assert actor.user is not None
    found = read(finding.differences)
    stands = finding.state in STANDING
    puts_images_back = any(each.code in OF_IMAGES for each in found)
    composes = access.allowed(actor.user, "compose", finding.service)
    rollout = operations.rollout_at(finding) if stands else None
    is_free = stands and rollout is None
    return {
        "finding": finding,
        "differences": [
            {"of": each, "word": wording.word(each), "at": wording.written_at(each)} for each in found
        ],
        "deciders": deciders_of(finding.service),
        "may_settle": stands and operations.may_settle(finding, actor),
        "may_explain": finding.state == FindingState.OPEN,
        "may_adopt": is_free,
        "rollout": rollout,
        "may_put_back": is_free and composes and puts_images_back and not operations.has_draft(finding),
        "by_hand": is_free and not puts_images_back,
    }


def shape(finding: Finding) -> Json:
    """Return a finding as the API gives it."""
    service: Service = finding.service
    return {
        "id": finding.pk,
        "service": service.name,
        "environment": finding.environment.name,
        "team": service.team.key,
        "state": finding.state,
        "differences": [
            {**each.as_json, "at": wording.written_at(each), "text": wording.word(each)}
            for each in read(finding.differences)
        ],
        "mark": finding.mark,
        "opened_at": finding.opened_at,
        "changed_at": finding.changed_at,
        "ended_at": finding.ended_at,
        "settled_at": finding.settled_at,
        "settled_by": finding.settled_by.username if finding.settled_by else None,
        "reason": finding.reason,
        "put_back_by": finding.put_back_by_id,
    }
