"""What pages and programs read about releases; nothing here writes."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from approvals import grades, policy
from approvals import queries as approval_queries
from approvals.mandates import Mandate, mandates_of
from approvals.matching import Capacity
from approvals.models import Decision, PolicyVersion, Requirement
from approvals.queries import Voice
from approvals.states import Phase, RequestState, Verdict
from portal import access, clock
from portal.errors import Conflict, NotFound
from portal.people.models import RoleAssignment, User
from releases import observations, proposal, wording
from releases.catalog.models import Environment, Service
from releases.catalog.rights import scopes_at
from releases.completeness import missing_in_draft
from releases.models import Answer, Check, CheckPhase, CheckResult, Item, Release
from releases.operating import is_restore
from releases.states import EDITABLE, OWING, PENDING, ReleaseState

ANSWERED = (CheckResult.DONE, CheckResult.NOT_APPLICABLE)
AFTER_START = frozenset({Phase.SIGNOFF, Phase.OWED})
LARGEST_NUMBER = 2**63 - 1
LIST_RELATED = ("environment", "author", "superseded_by")


@dataclass(frozen=True, kw_only=True)
class RequirementView:
    """A row as pages show it; `id` is None while the release is a draft and nothing is copied yet.

    Attributes:
        scope: without its kind, such as "commerce"; place: what people call it, such as "Commerce".
        because: the services it is asked for.
        climbed: one sentence for each step of the ladder left behind.
        voices: who fills it, and for whom; candidates: everybody who could, decided or not.
        stand_ins: who could for one of the candidates, by delegation.
    """

    id: int | None
    phase: str
    role: str
    role_name: str
    scope: str
    place: str
    count: int
    because: tuple[str, ...]
    climbed: tuple[str, ...]
    fulfillable: bool
    met: bool
    voices: tuple[Voice, ...]
    candidates: tuple[User, ...]
    stand_ins: tuple[Voice, ...] = ()

    @property
    def met_by(self) -> tuple[User, ...]:
        """The people who fill it."""
        return tuple(voice.person for voice in self.voices)


@dataclass(frozen=True, kw_only=True)
class Stance:
    """What a person can do about deciding: entitled rows, or the code of the refusal they would get.

    Attributes:
        code: "" when they may approve now, else wrong_state, self_approval, not_entitled or already_decided.
        mine: ids of the rows they could fill.
        decision: their own live decision of the phase.
        mandates: in whose names they could decide, their own first.
        used_by: who has decided in the only name that was left.
    """

    code: str
    mine: tuple[int, ...] = ()
    decision: Decision | None = None
    mandates: tuple[Mandate, ...] = ()
    used_by: User | None = None


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


def found_by(text: str) -> Q:
    """What a search means: a number with or without its sign, or words of title, author and items."""
    words = text.removeprefix("#")
    titled = Q(title__icontains=text)
    if words.isascii() and words.isdigit():
        return titled | Q(number=int(words)) if int(words) <= LARGEST_NUMBER else titled
    in_items = Release.objects.filter(Q(items__service__name__icontains=text) | Q(items__version=text))
    return titled | Q(author__name__icontains=text) | Q(number__in=in_items.values("number"))


def scopes_of(release: Release, items: Iterable[Item]) -> set[str]:
    """The scopes in which a role counts within a release.

    Args:
        items: the release's, with services and teams read already.
    """
    return scopes_at(release.environment, [item.service for item in items])


def reasons_of(release: Release) -> list[grades.Reason]:
    """Why the proposed grade was proposed; each reason has its `text` in the reader's language."""
    return [
        grades.Reason(
            fact=entry["fact"],
            service=entry["service"],
            grade=entry["grade"],
            source=entry.get("source", grades.STATED),
            origin=entry.get("origin", ""),
        )
        for entry in release.proposal.get("reasons", [])
    ]


def requirements_of(release: Release) -> list[RequirementView]:
    """The copied rows and who met them; for a draft the rows that submitting now would copy."""
    request = release.approval_request
    if request is None or release.state in {ReleaseState.DRAFT, ReleaseState.SENT_BACK}:
        return _preview(release)
    started, titles = starters(release), wording.team_titles()
    return [_stored(row, started, titles) for row in approval_queries.standing(request).rows]


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
    away = starters(release) if phase in AFTER_START else frozenset()
    if user.pk in away or request.barred.filter(pk=user.pk).exists():
        return Stance(code="self_approval")
    mandates = mandates_of(request, user, phase, also_barred=away) if user.is_active else []
    allowed = tuple(mandate for mandate in mandates if not mandate.is_barred)
    if not allowed:
        return Stance(code="self_approval" if mandates else "not_entitled")
    rows = tuple(row.pk for mandate in allowed for row in mandate.rows)
    if own is not None:
        return Stance(code="already_decided", mine=rows, decision=own)
    return _stance_in(allowed, release, user, phase)


def _stance_in(mandates: tuple[Mandate, ...], release: Release, user: User, phase: str) -> Stance:
    """The stance of somebody entitled who has not decided yet."""
    left = tuple(mandate for mandate in mandates if mandate.used_by is None)
    if not left:
        return Stance(code="already_decided", used_by=mandates[0].used_by)
    request = release.approval_request
    assert request is not None
    free = tuple(
        mandate
        for mandate in left
        if not any(approval_queries.is_kept_from(request, who, phase) for who in (user, mandate.giver) if who)
    )
    rows = tuple(dict.fromkeys(row.pk for mandate in free for row in mandate.rows))
    if not free:
        return Stance(code="not_entitled")
    return Stance(code="" if _asks(release, phase) else "wrong_state", mine=rows, mandates=free)


def deciding_phase(release: Release) -> Phase:
    """The phase in which this release is approved: an emergency goes first and is reviewed afterwards."""
    return Phase.OWED if release.grade == grades.EMERGENCY else Phase.REVIEW


def starters(release: Release) -> frozenset[int]:
    """Ids of who started a rollout of it; they don't count in what is decided afterwards."""
    return frozenset(pk for pk in release.rollouts.values_list("started_by", flat=True) if pk is not None)


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


def owing_reviews() -> QuerySet[Release]:
    """Releases that went out before their review and still wait for it, or for their last checks."""
    owed = Requirement.objects.filter(phase=Phase.OWED).values("request")
    waiting = Release.objects.filter(state__in=OWING, approval_request__in=owed)
    return waiting.select_related("approval_request")


def missed_reviews(environments: Collection[Environment]) -> list[Release]:
    """Releases of these whose owed review is overdue, the one that is so the longest first."""
    late = _overdue_reviews().filter(environment__in=environments)
    return [release for release, _open in _still_owing(late)]


def holding_reviews(release: Release) -> list[tuple[Release, list[Requirement]]]:
    """Emergencies whose overdue review holds the start of this release, each with the rows nobody has met.

    One does where the policy under which it was submitted says so and both touch a service; an emergency is
    held by none (product.md, "Decisions people take").
    """
    if release.grade == grades.EMERGENCY:
        return []
    touching = Release.objects.filter(items__service__in=release.items.values("service"))
    late = _overdue_reviews().filter(pk__in=touching.values("pk")).select_related("approval_request__policy")
    return _still_owing(each for each in late if _holds_others(each))


def _overdue_reviews() -> QuerySet[Release]:
    late = owing_reviews().filter(approval_request__deadline_at__lte=clock.NOW)
    return late.order_by("approval_request__deadline_at", "number")


def _holds_others(release: Release) -> bool:
    request = release.approval_request
    return request is not None and approval_queries.grade_policy(request.policy, request.grade).overdue_holds


def _still_owing(found: Iterable[Release]) -> list[tuple[Release, list[Requirement]]]:
    """Those whose review nobody has given: one may still wait for its last checks only."""
    asked = {each.approval_request_id or 0: each for each in found}
    standings = approval_queries.standings(asked) if asked else {}
    rows = ((each, standings[key].open(Phase.OWED)) for key, each in asked.items())
    return [(each, [row.requirement for row in still_open]) for each, still_open in rows if still_open]


def earlier_answers(release: Release) -> dict[int | None, list[Answer]]:
    """Answers that a later one replaced, by check, newest first; those of earlier rounds under None."""
    present = {check.pk: check.answered_at for check in release.checks.all()}
    found: dict[int | None, list[Answer]] = {}
    for answer in release.answers.select_related("answered_by"):
        if answer.item_id is None or answer.answered_at != present.get(answer.item_id):
            found.setdefault(answer.item_id, []).append(answer)
    return found


def answer_with_file(user: User, number: int, digest: str) -> Answer:
    """The newest answer of a visible release whose evidence is this file.

    Raises:
        NotFound: the person may not see the release, or no such file was given there.
    """
    access.get_or_404(user, Release, number=number)
    given = Answer.objects.filter(release=number, file__digest=digest)
    answer = given.select_related("file").first()
    if answer is None:
        raise NotFound
    return answer


def open_text(check: Check) -> str:
    """An open item in words; one that the portal measures with what it saw."""
    if check.kind == "person":
        return check.text
    seen = observations.said(check.evidence["measured"]) if check.evidence else _("Not measured yet.")
    return f"{check.text}: {seen}"


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


def switches_first(release: Release) -> bool:
    """Whether its rollout goes on with the sign-off: the announcement follows by itself then."""
    # A rollout that waits for the sign-off is called as its release is.
    return release.rollouts.filter(state=ReleaseState.AWAITING_SIGNOFF).exists()


def may_edit(release: Release, user: User) -> bool:
    """Whether the person may change the content now."""
    return release.state in EDITABLE and may_compose(release, user)


def may_compose(release: Release, user: User) -> bool:
    """Whether the person may compose a release of the same services."""
    services = {item.service_id for item in release.items.all()}
    return access.visible_set(user, Service, "compose").filter(pk__in=services).count() == len(services)


def may_duplicate(release: Release, user: User) -> bool:
    """Whether the person may make a copy of it; a restore is asked for anew, at its backup."""
    return not is_restore(release) and may_compose(release, user)


def _asks(release: Release, phase: str) -> bool:
    """Whether the release has come to the point where this phase is decided."""
    request = release.approval_request
    if request is None:
        return False
    if phase == Phase.SIGNOFF:
        return release.state == ReleaseState.AWAITING_SIGNOFF
    if phase == Phase.OWED:
        return release.state in OWING
    return release.state == ReleaseState.IN_REVIEW and request.state == RequestState.OPEN


def _stored(
    row: approval_queries.RowStanding, started: frozenset[int], titles: Mapping[str, str]
) -> RequirementView:
    stored = row.requirement
    kept_out = started if stored.phase in AFTER_START else frozenset()
    return RequirementView(
        id=stored.pk,
        phase=stored.phase,
        role=stored.role,
        role_name=wording.role_name(stored.role),
        scope=wording.bare(stored.scope),
        place=wording.place(stored.scope, titles),
        count=stored.count,
        because=tuple(stored.because),
        climbed=tuple(wording.climb_sentences(stored.climbed)),
        fulfillable=stored.fulfillable,
        met=row.met,
        voices=row.voices,
        candidates=tuple(user for user in row.candidates if user.pk not in kept_out),
        stand_ins=tuple(each for each in row.stand_ins if not each.keys & kept_out),
    )


def _preview(release: Release) -> list[RequirementView]:
    try:
        version = approval_queries.current_policy()
    except Conflict:
        return []
    barred = [user.pk for user in proposal.barred_from(release)]
    rows = rows_for(release, version)
    titles, holders = wording.team_titles(), _holders(rows, barred)
    return [_planned(row, holders, titles) for row in rows]


def rows_for(release: Release, version: PolicyVersion) -> list[policy.RequiredRow]:
    """What a version of the policy demands of a release now; nothing where the environment is not protected.

    An emergency is reviewed wherever it goes.
    """
    if not (release.environment.protected or release.grade == grades.EMERGENCY):
        return []
    return approval_queries.required_rows(
        version,
        grade=release.grade,
        proposed=release.proposal.get("grade", release.grade),
        parts=proposal.parts_of(release),
        barred=[user.pk for user in proposal.barred_from(release)],
        author=release.author_id,
        watched_since=release.created_at,
    )


def _planned(
    row: policy.RequiredRow, holders: Mapping[Capacity, set[User]], titles: Mapping[str, str]
) -> RequirementView:
    candidates = {user for capacity in row.accepted for user in holders.get(capacity, ())}
    steps = [{"role": step.role, "scope": step.scope, "why": step.why} for step in row.climbed]
    return RequirementView(
        id=None,
        phase=row.phase,
        role=row.role,
        role_name=wording.role_name(row.role),
        scope=wording.bare(row.scope),
        place=wording.place(row.scope, titles),
        count=row.count,
        because=row.because,
        climbed=tuple(wording.climb_sentences(steps)),
        fulfillable=row.fulfillable,
        met=False,
        voices=(),
        candidates=tuple(sorted(candidates, key=lambda user: user.pk)),
    )


def _holders(rows: Iterable[policy.RequiredRow], barred: list[int]) -> dict[Capacity, set[User]]:
    """Who holds each role that one of the rows accepts."""
    wanted = {capacity for row in rows for capacity in row.accepted}
    roles, scopes = {role for role, _scope in wanted}, {scope for _role, scope in wanted}
    held = RoleAssignment.objects.filter(revoked_at=None, user__is_active=True)
    found: dict[Capacity, set[User]] = {}
    for each in held.filter(role__in=roles, scope__in=scopes).exclude(user__in=barred).select_related("user"):
        found.setdefault((each.role, each.scope), set()).add(each.user)
    return found
