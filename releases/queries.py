"""What pages and programs read about releases; nothing here writes."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from approvals import grades, policy
from approvals import queries as approval_queries
from approvals.models import Decision
from approvals.states import Phase, RequestState, Verdict
from portal import access
from portal.errors import Conflict
from portal.people.models import User
from releases import proposal, wording
from releases.completeness import missing_in_draft
from releases.models import Check, CheckPhase, CheckResult, Release
from releases.states import EDITABLE, PENDING, ReleaseState

ANSWERED = (CheckResult.DONE, CheckResult.NOT_APPLICABLE)
LIST_RELATED = ("environment", "author", "superseded_by")


@dataclass(frozen=True, kw_only=True)
class RequirementView:
    """A row as pages show it; `id` is None while the release is a draft and nothing is copied yet.

    Attributes:
        scope: without its kind, such as "commerce".
        because: the services it is asked for.
        climbed: one sentence for each step of the ladder left behind.
        met_by: who fills it; candidates: everybody who could, decided or not.
    """

    id: int | None
    phase: str
    role: str
    role_name: str
    scope: str
    count: int
    because: tuple[str, ...]
    climbed: tuple[str, ...]
    fulfillable: bool
    met: bool
    met_by: tuple[User, ...]
    candidates: tuple[User, ...]


@dataclass(frozen=True, kw_only=True)
class Stance:
    """What a person can do about deciding: entitled rows, or the code of the refusal they would get.

    Attributes:
        code: "" when they may approve now, else wrong_state, self_approval, not_entitled or already_decided.
        mine: ids of the rows they could fill.
        decision: their own live decision of the phase.
    """

    code: str
    mine: tuple[int, ...] = ()
    decision: Decision | None = None


def releases_for(user: User) -> QuerySet[Release]:
    """Releases the person may see, newest first, with what a list shows."""
    found = access.visible(user, Release).select_related(*LIST_RELATED)
    return found.prefetch_related("items__service").order_by("-number")


def detail(user: User, number: int) -> Release:
    """One visible release with what its page shows.

    Raises:
        NotFound: no such release, or the person may not see it.
    """
    access.get_or_404(user, Release, number=number)
    return (
        Release.objects.select_related(
            "environment__cluster", "plan", "author", "approval_request__policy", "superseded_by"
        )
        .prefetch_related("items__service__team", "changes", "contributors", "checks__answered_by")
        .get(number=number)
    )


def reasons_of(release: Release) -> list[grades.Reason]:
    """Why the proposed grade was proposed; each reason has its `text` in the reader's language."""
    return [
        grades.Reason(fact=entry["fact"], service=entry["service"], grade=entry["grade"])
        for entry in release.proposal.get("reasons", [])
    ]


def requirements_of(release: Release) -> list[RequirementView]:
    """The copied rows and who met them; for a draft the rows that submitting now would copy."""
    request = release.approval_request
    if request is None or release.state in {ReleaseState.DRAFT, ReleaseState.SENT_BACK}:
        return _preview(release)
    return [_stored(row) for row in approval_queries.standing(request).rows]


def decisions_of(release: Release) -> QuerySet[Decision]:
    """Every decision of every round, taken back ones among them, oldest first."""
    found = Decision.objects.filter(request__subject=release.subject)
    return found.select_related("person", "on_behalf_of", "answered_by", "request").order_by("id")


def objections_of(release: Release) -> QuerySet[Decision]:
    """Objections nobody has answered."""
    return approval_queries.open_objections(release.subject).select_related("person")


def stance(release: Release, user: User, *, phase: str = Phase.REVIEW) -> Stance:
    """Whether this person may decide now and, where not, which refusal they would get."""
    request = release.approval_request
    if request is None:
        return Stance(code="wrong_state")
    mine = request.decisions.filter(person=user, revoked_at=None, phase=phase).exclude(verdict=Verdict.OBJECT)
    own = mine.first()
    if request.barred.filter(pk=user.pk).exists():
        return Stance(code="self_approval")
    held = [(held.role, held.scope) for held in user.assignments.filter(revoked_at=None)]
    rows = tuple(row.pk for row in approval_queries.entitled_rows(request, phase, held))
    if not rows or not user.is_active:
        return Stance(code="not_entitled")
    if own is not None:
        return Stance(code="already_decided", mine=rows, decision=own)
    return Stance(code="" if _asks(release, phase) else "wrong_state", mine=rows)


def open_points(release: Release) -> list[str]:
    """What still stands in the way, by stable names such as "grade_reason" or "checklist.before.3"."""
    if release.state in {ReleaseState.DRAFT, ReleaseState.SENT_BACK}:
        return [field for field, _text in missing_in_draft(release)]
    points = [f"checklist.{check.phase}.{check.pk}" for check in open_checks(release)]
    return points + [f"objection.{objection.pk}" for objection in objections_of(release)]


def checks_of(release: Release) -> list[Check]:
    """The checklist: before, during, after, each in its order."""
    order = {phase: place for place, phase in enumerate(CheckPhase.values)}
    return sorted(release.checks.all(), key=lambda check: (order[check.phase], check.position))


def open_checks(release: Release) -> list[Check]:
    """Required checks not answered well, in the order of their phases."""
    return [check for check in checks_of(release) if check.required and check.result not in ANSWERED]


def overlapping(release: Release) -> QuerySet[Release]:
    """Other pending releases that share a service with this one in the same environment."""
    services = release.items.values("service")
    others = Release.objects.filter(environment=release.environment, state__in=PENDING)
    return others.filter(items__service__in=services).exclude(pk=release.pk).distinct().order_by("number")


def pending_in(environment_ids: Iterable[int]) -> QuerySet[Release]:
    """Releases that wait or move in these environments, with their items: what a board shows."""
    moving = {*PENDING, ReleaseState.SUBMITTED, ReleaseState.ROLLING_OUT, ReleaseState.PAUSED}
    found = Release.objects.filter(environment__in=list(environment_ids), state__in=moving)
    return found.prefetch_related("items__service").order_by("number")


def may_edit(release: Release, user: User) -> bool:
    """Whether the person may change the content now."""
    services = [item.service for item in release.items.all()]
    return release.state in EDITABLE and all(access.allowed(user, "compose", each) for each in services)


def _asks(release: Release, phase: str) -> bool:
    """Whether the release has come to the point where this phase is decided."""
    request = release.approval_request
    if request is None:
        return False
    if phase == Phase.SIGNOFF:
        return release.state == ReleaseState.AWAITING_SIGNOFF
    if phase == Phase.OWED:
        return release.state == ReleaseState.REVIEW_OWED
    return release.state == ReleaseState.IN_REVIEW and request.state == RequestState.OPEN


def _stored(row: approval_queries.RowStanding) -> RequirementView:
    stored = row.requirement
    return RequirementView(
        id=stored.pk,
        phase=stored.phase,
        role=stored.role,
        role_name=wording.role_name(stored.role),
        scope=wording.bare(stored.scope),
        count=stored.count,
        because=tuple(stored.because),
        climbed=tuple(wording.climb_sentences(stored.climbed)),
        fulfillable=stored.fulfillable,
        met=row.met,
        met_by=row.met_by,
        candidates=row.candidates,
    )


def _preview(release: Release) -> list[RequirementView]:
    try:
        version = approval_queries.current_policy()
    except Conflict:
        return []
    barred = [user.pk for user in proposal.barred_from(release)]
    rows = approval_queries.required_rows(
        version,
        grade=release.grade,
        proposed=release.proposal.get("grade", release.grade),
        parts=proposal.parts_of(release),
        barred=barred,
        author=release.author_id,
        watched_since=release.created_at,
    )
    return [_planned(row, _holders(row, barred)) for row in rows]


def _planned(row: policy.RequiredRow, candidates: tuple[User, ...]) -> RequirementView:
    steps = [{"role": step.role, "scope": step.scope, "why": step.why} for step in row.climbed]
    return RequirementView(
        id=None,
        phase=row.phase,
        role=row.role,
        role_name=wording.role_name(row.role),
        scope=wording.bare(row.scope),
        count=row.count,
        because=row.because,
        climbed=tuple(wording.climb_sentences(steps)),
        fulfillable=row.fulfillable,
        met=False,
        met_by=(),
        candidates=candidates,
    )


def _holders(row: policy.RequiredRow, barred: list[int]) -> tuple[User, ...]:
    fits = Q(pk__in=[])
    for role, scope in row.accepted:
        fits |= Q(assignments__role=role, assignments__scope=scope, assignments__revoked_at=None)
    found = User.objects.filter(fits, is_active=True).exclude(pk__in=barred)
    return tuple(found.distinct().order_by("pk"))
