"""What the API answers about releases; field names are promises to programs outside."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from ninja import Field, Schema

from approvals.models import Decision, PolicyProposal
from portal.people.models import User
from portal.sentences import worded_in
from releases import gates, observations, queries
from releases.announcement import announcement_of
from releases.inbox import Other, Waiting
from releases.models import Check, Item, Release
from releases.stations import Station
from releases.together import looks_like_one


class RunningShape(Schema):
    """What ran when the release was composed or submitted."""

    version: str
    image: str


class ItemShape(Schema):
    """A service in a release, with the image that its version was resolved to."""

    service: str
    version: str
    image: str
    running: RunningShape | None
    configuration: list[dict[str, str]]
    facts: dict[str, bool] = Field(description="what is stated of this service besides the release's facts")
    built_by: str | None = Field(description="whom somebody named")
    image_authors: str | None = Field(description="what the image's own label says")


class ReasonShape(Schema):
    """A fact and the grade it demands."""

    fact: str
    service: str
    grade: str
    source: str = Field(description="stated by people, or measured by the portal")
    origin: str = Field(description="what a measured reason rests on, in words; empty for a stated one")
    text: str


class ProposalShape(Schema):
    """The grade that the facts demand."""

    grade: str
    reasons: list[ReasonShape]


class TogetherShape(Schema):
    """Releases that this one looks like a part of: the same team or service, within a day."""

    releases: list[int]
    grade: str = Field(description="what their facts would propose for one release")


class StandInShape(Schema):
    """Who may decide for one of the candidates, by delegation."""

    by: str
    on_behalf_of: str | None = Field(serialization_alias="for")


class RequirementShape(Schema):
    """Who must say yes; `id` is null as long as nothing was submitted."""

    id: int | None
    phase: str
    role: str
    scope: str
    count: int
    met: bool
    met_by: list[str]
    candidates: int
    stand_ins: list[StandInShape]
    because: str
    climbed: list[str]
    fulfillable: bool


class DecisionShape(Schema):
    """A verdict that was given."""

    id: int
    round: int
    phase: str
    verdict: str
    by: str
    on_behalf_of: str | None = Field(None, serialization_alias="for")
    reason: str
    content_digest: str
    at: datetime
    revoked_at: datetime | None
    answer: str | None
    answered_by: str | None
    state: str = Field(description="of the release")


class ReleaseRow(Schema):
    """A release in a list."""

    number: int
    title: str
    state: str
    grade: str
    environment: str
    author: str
    content_digest: str
    items: list[ItemShape]
    created_at: datetime
    target_at: datetime | None
    scheduled_at: datetime | None


class ReleaseShape(ReleaseRow):
    """A release with everything that was said about it."""

    proposed_grade: ProposalShape
    looks_like_one: TogetherShape | None
    grade_reason: str
    contributors: list[str]
    policy_version: int | None
    changes: list[dict[str, str | None]]
    facts: dict[str, bool]
    database_changes: list[dict[str, str]]
    incident: dict[str, str] | None
    plan: str | None
    operation: dict[str, Any] | None
    announcement: str
    requirements: list[RequirementShape]
    decisions: list[DecisionShape]
    open_points: list[str]
    rollouts: list[int]
    superseded_by: int | None
    duplicate_of: int | None
    carried_from: int | None
    submitted_at: datetime | None
    approved_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime | None
    expires_at: datetime | None


class CheckShape(Schema):
    """An item of the checklist."""

    id: int
    phase: str
    text: str
    role: str | None
    kind: str
    required: bool
    result: str | None
    evidence: Any
    by: str | None
    at: datetime | None


class GateShape(Schema):
    """What is measured again and again while the sign-off is awaited."""

    id: int
    name: str
    kind: str
    service: str | None
    result: str | None = Field(description="passed, breached, errored or inconclusive")
    text: str
    since: datetime | None
    measured_at: datetime | None
    history: list[dict[str, str]] = Field(description="the latest results, oldest first")
    breach: int = Field(description="how many breaches there were; names the one to ignore")
    breached_at: datetime | None = Field(description="while a breach stands")
    ignored_by: str | None
    ignored_at: datetime | None
    ignored_reason: str | None


class PlaceShape(Schema):
    """A service of a release in one environment of the row."""

    service: str
    version: str
    same: bool = Field(description="whether it is the very image of the release")
    since: datetime | None
    release: int | None


class StationShape(Schema):
    """An environment of the row."""

    environment: str
    here: bool = Field(description="whether the release is for this one")
    places: list[PlaceShape]


class WaitingShape(Schema):
    """Something that waits for the person who asks."""

    kind: str = Field(description="trouble, incident, decision, proposal, finding, check or own")
    phase: str | None
    release: int | None = Field(description="null for a proposal, a finding and an incident")
    proposal: int | None = Field(description="of the policy, where that is what waits for a signature")
    finding: int | None = Field(None, description="an unapproved change, where that is what waits")
    incident: int | None = Field(None, description="its number, where that is what waits")
    title: str
    state: str
    grade: str | None
    environment: str | None
    author: str | None = Field(description="null for a proposal that came from files")
    deadline_at: datetime | None
    open_checks: int
    on_behalf_of: str | None = Field(None, serialization_alias="for")


def release_row(release: Release) -> dict[str, Any]:
    """A release in a list; its items are expected to be read already."""
    return {
        "number": release.number,
        "title": release.title,
        "state": release.state,
        "grade": release.grade,
        "environment": release.environment.name,
        "author": release.author.username,
        "content_digest": release.content_digest,
        "items": [_item(item) for item in release.items.all()],
        "created_at": release.created_at,
        "target_at": release.target_at,
        "scheduled_at": release.scheduled_at,
    }


def release_shape(release: Release) -> dict[str, Any]:
    """One release in full, as releases.queries.detail read it."""
    return {
        **release_row(release),
        **_content(release),
        **_standing(release),
        "rollouts": list(release.rollouts.order_by("id").values_list("id", flat=True)),
        "superseded_by": release.superseded_by_id,
        "duplicate_of": release.duplicate_of_id,
        "carried_from": release.carried_from_id,
        "submitted_at": release.submitted_at,
        "approved_at": release.approved_at,
        "ended_at": release.ended_at,
    }


def decision_shape(decision: Decision, *, state: str) -> dict[str, Any]:
    """A verdict, with the state that the release is in now."""
    return {
        "id": decision.pk,
        "round": decision.request.round,
        "phase": decision.phase,
        "verdict": decision.verdict,
        "by": decision.person.username,
        "on_behalf_of": _name(decision.on_behalf_of),
        "reason": decision.reason,
        "content_digest": decision.content_digest,
        "at": decision.decided_at,
        "revoked_at": decision.revoked_at,
        "answer": decision.answer or None,
        "answered_by": _name(decision.answered_by),
        "state": state,
    }


def check_shape(check: Check) -> dict[str, Any]:
    """An item of the checklist."""
    return {
        "id": check.pk,
        "phase": check.phase,
        "text": check.text,
        "role": check.role or None,
        "kind": check.kind,
        "required": check.required,
        "result": check.result or None,
        "evidence": observations.worded(check.evidence),
        "by": _name(check.answered_by),
        "at": check.answered_at,
    }


def gate_shape(view: gates.GateView) -> dict[str, Any]:
    """A gate with its latest results."""
    gate = view.gate
    return {
        "id": gate.pk,
        "name": view.name,
        "kind": gate.kind,
        "service": gate.service.name if gate.service else None,
        "result": gate.result or None,
        "text": view.text,
        "since": gate.since,
        "measured_at": gate.measured_at,
        "history": worded_in(gate.history),
        "breach": gate.breaches,
        "breached_at": gate.breached_at,
        "ignored_by": _name(gate.ignored_by),
        "ignored_at": gate.ignored_at,
        "ignored_reason": gate.ignored_reason or None,
    }


def station_shape(station: Station) -> dict[str, Any]:
    """An environment of the row with what runs there."""
    return {
        "environment": station.environment.name,
        "here": station.is_here,
        "places": [asdict(place) for place in station.places],
    }


def waiting_shape(row: Waiting) -> dict[str, Any]:
    """A row of the inbox."""
    return {
        "kind": row.kind,
        "phase": row.phase or None,
        "release": row.release.number,
        "proposal": None,
        "title": row.release.title,
        "state": row.release.state,
        "grade": row.release.grade,
        "environment": row.release.environment.name,
        "author": row.release.author.username,
        "deadline_at": row.deadline_at,
        "open_checks": row.open_checks,
        "on_behalf_of": _name(row.giver),
    }


def proposal_waiting_shape(proposal: PolicyProposal) -> dict[str, Any]:
    """A change of the policy in the inbox of somebody who signs it."""
    return {
        "kind": "proposal",
        "phase": None,
        "release": None,
        "proposal": proposal.pk,
        "title": proposal.note,
        "state": proposal.state,
        "grade": None,
        "environment": None,
        "author": _name(proposal.author),
        "deadline_at": None,
        "open_checks": 0,
        "on_behalf_of": None,
    }


def other_waiting_shape(other: Other) -> dict[str, Any]:
    """What is no release in the inbox; the field of its kind names it."""
    return {
        "kind": other.kind,
        "phase": None,
        "release": None,
        "proposal": None,
        other.kind: other.key,
        "title": other.title,
        "state": other.state,
        "grade": None,
        "environment": other.environment,
        "author": None,
        "deadline_at": None,
        "open_checks": 0,
        "on_behalf_of": None,
    }


def _content(release: Release) -> dict[str, Any]:
    reasons = queries.reasons_of(release)
    together = looks_like_one(release)
    proposed = {
        "grade": release.proposal.get("grade", ""),
        "reasons": [
            {
                "fact": r.fact,
                "service": r.service,
                "grade": r.grade,
                "source": r.source,
                "origin": r.origin_text,
                "text": r.text,
            }
            for r in reasons
        ],
    }
    return {
        "proposed_grade": proposed,
        "looks_like_one": together.as_data() if together else None,
        "grade_reason": release.grade_reason,
        "contributors": sorted(user.username for user in release.contributors.all()),
        "policy_version": release.policy_version,
        "changes": [{"area": c.area, "text": c.text, "link": c.link} for c in release.changes.all()],
        "facts": release.facts,
        "database_changes": release.database_changes,
        "incident": release.incident,
        "plan": release.plan.name if release.plan else None,
        "operation": release.operation or None,
        "announcement": announcement_of(release),
    }


def _standing(release: Release) -> dict[str, Any]:
    request = release.approval_request
    decisions = queries.decisions_of(release)
    return {
        "requirements": [_requirement(row) for row in queries.requirements_of(release)],
        "decisions": [decision_shape(decision, state=release.state) for decision in decisions],
        "open_points": queries.open_points(release),
        "deadline_at": request.deadline_at if request else None,
        "expires_at": request.expires_at if request else None,
    }


def _item(item: Item) -> dict[str, Any]:
    running = item.running
    return {
        "service": item.service.name,
        "version": item.version,
        "image": item.image,
        "running": {"version": running["version"], "image": running["image"]} if running else None,
        "configuration": item.configuration,
        "facts": item.facts,
        "built_by": item.built_by or None,
        "image_authors": item.image_authors or None,
    }


def _requirement(row: queries.RequirementView) -> dict[str, Any]:
    return {
        "id": row.id,
        "phase": row.phase,
        "role": row.role,
        "scope": row.scope,
        "count": row.count,
        "met": row.met,
        "met_by": [user.username for user in row.met_by],
        "candidates": len(row.candidates),
        "stand_ins": [
            {"by": each.person.username, "on_behalf_of": _name(each.giver)} for each in row.stand_ins
        ],
        "because": ", ".join(row.because),
        "climbed": list(row.climbed),
        "fulfillable": row.fulfillable,
    }


def _name(user: User | None) -> str | None:
    return user.username if user else None
