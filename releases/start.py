"""What stands between a release and its start, and whether its approval still holds before each wave."""

import logging
from collections.abc import Sequence

from django.utils.translation import gettext_lazy as _

from approvals import backing, grades
from approvals import queries as approval_queries
from approvals.digests import digest_of
from approvals.models import Decision, Request, Requirement
from approvals.states import Phase
from portal.actors import Actor
from portal.errors import Conflict, Missing
from portal.sentences import Text, joined, sentence
from portal.statements import Given, Question
from releases import content, openings, queries, stations, wording
from releases.guards import require_deploy, require_in_time, require_state
from releases.models import Check, CheckPhase, CheckResult, Release
from releases.proposal import running_of, runs_already
from releases.states import ReleaseState

logger = logging.getLogger(__name__)
S = ReleaseState
# In review is no wrong state for a start: the rows that are open say more.
STARTABLE = frozenset({S.IN_REVIEW, S.APPROVED, S.SCHEDULED, S.SUBMITTED})
SINGLE_CODES = {
    "requirement": "not_approved",
    "checklist": "checklist_open",
    "freeze": "frozen",
    "gate": "gate_breached",
    "pin": "pinned",
}

_OPEN_CHECKS = Question(
    lambda: Check.objects.filter(release=Given("release"), phase=Given("phase"), required=True).exclude(
        result__in=[CheckResult.DONE, CheckResult.NOT_APPLICABLE]
    )
)


def require_startable(
    release: Release, *, actor: Actor, queued_behind: Text = "", also: Sequence[Missing] = ()
) -> None:
    """Raise unless the locked release may start now: the state first, then everything missing together.

    Args:
        queued_behind: what has its services or its room there, such as "rollout 7"; found by the caller.
        also: what else the caller found missing.

    Raises:
        Conflict: superseded, expired or wrong_state; else not_approved, or the code of the one kind missing.
        NotAllowed: no deploy right on the environment.
    """
    require_state(release, STARTABLE)
    require_in_time(release)
    require_deploy(actor, release)
    refuse([*missing_for_start(release, queued_behind=queued_behind), *also])
    if release.state == S.IN_REVIEW:
        require_state(release, STARTABLE - {S.IN_REVIEW})


def refuse(missing: Sequence[Missing]) -> None:
    """Raise Conflict naming everything, under the code of its kind where there is only one."""
    if not missing:
        return
    kinds = {entry["code"] for entry in missing}
    kind = kinds.pop() if len(kinds) == 1 else ""
    raise Conflict(
        joined([entry["text"] for entry in missing]),
        code=SINGLE_CODES.get(kind, kind) or "not_approved",
        title=_("Something is missing"),
        missing=missing,
    )


def missing_for_start(release: Release, *, queued_behind: Text = "") -> list[Missing]:
    """Everything that a start would be refused for, the state and the right aside."""
    found = [
        *still_approved(release),
        *missing_checks(release, CheckPhase.BEFORE),
        *_objections(release),
        *missing_reviews(release),
        *_runs_otherwise(release),
    ]
    if queued_behind:
        text = sentence(_("It has to wait for its turn: {name}."), name=queued_behind)
        found.append({"code": "queue", "text": text})
    found += [{"code": "untried", "text": text} for text in stations.missing_before(release)]
    return [*found, *openings.missing_for(release)]


def still_approved(release: Release) -> list[Missing]:
    """What no longer holds of the approval, in words; an empty list lets a wave begin."""
    return [wording.against(fact) for fact in against(release)]


def against(release: Release) -> list[Missing]:
    """What no longer holds of the approval: rows by what people hold now, and the content by its digest.

    Rows that say otherwise than the record count as no approval (attacks.md, 1a).
    Grade E has no review before the start; its content is sealed as well.

    Returns:
        {"code", "why", and what its sentence names} for `wording.against`: rows of the portal keep no words.
    """
    if release.approval_request_id is None:
        return [{"code": "requirement", "why": "never_submitted"}]
    standing = approval_queries.standings([release.approval_request_id])[release.approval_request_id]
    found: list[Missing] = []
    if release.grade != grades.EMERGENCY:
        found = [row_fact(row) for row in standing.open(Phase.REVIEW)]
        if not standing.phase(Phase.REVIEW) and release.environment.protected:
            found = [{"code": "requirement", "why": "nobody_asked"}]
    found += [{"code": "requirement", **each} for each in _unbacked(release, standing)]
    return found if is_sealed(release, standing.request) else [*found, *_what_changed(release)]


def _unbacked(release: Release, standing: approval_queries.Standing) -> list[Missing]:
    """Where the rows differ from the record; looked at twice, as somebody may act between two readings."""
    # The rows that were counted are the ones that the record must have.
    if not _compared(release, standing.request, standing.approvals):
        return []
    fresh = Release.objects.select_related("approval_request__policy").defer("content").get(pk=release.pk)
    differing = _compared(fresh, fresh.approval_request) if fresh.approval_request else []
    if differing:
        codes = " ".join(each["why"] for each in differing)
        logger.critical("release %s differs from the record: %s", release.number, codes)
    return differing


def _compared(
    release: Release, request: Request, approvals: Sequence[Decision] | None = None
) -> list[Missing]:
    return backing.unbacked(
        request,
        filed_under=release.number,
        state=release.state,
        first_state=S.DRAFT,
        approvals=approvals,
    )


def row_fact(row: approval_queries.RowStanding) -> Missing:
    """The open row, and whose approval was for it but counts no more; for `wording.against`."""
    asked = row.requirement
    return {
        "code": "requirement",
        "why": "row",
        "id": asked.pk,
        "role": asked.role,
        "scope": asked.scope,
        "count": asked.count,
        "lost": [str(user) for user in row.lost],
    }


def is_sealed(release: Release, request: Request) -> bool:
    """Whether the rows, computed anew, are exactly what its request asked about."""
    present = digest_of(content.content_of(release))
    return present == request.content_digest == release.content_digest


def _what_changed(release: Release) -> list[Missing]:
    """Where a connection leads now, if that is it: the content itself looks the same then."""
    moved = [
        {"code": "digest", "why": "moved", "name": name, "before": before, "now": now}
        for name, before, now in content.moved_places(release)
    ]
    return moved or [{"code": "digest", "why": "changed"}]


def missing_checks(release: Release, phase: str) -> list[Missing]:
    """Required checks of a phase that are not answered well; of one that the portal measures, what it saw."""
    checks = _OPEN_CHECKS.ask(release=release.pk, phase=phase)
    return [
        {"code": "checklist", "id": check.pk, "role": check.role, "text": queries.open_text(check)}
        for check in checks
    ]


def missing_reviews(release: Release) -> list[Missing]:
    """Overdue reviews of emergencies that hold the start; given, they hold it no more.

    Each names the emergency as `id`, the first row that is open, and since when (`since`) it is overdue.
    """
    return [_overdue(emergency, rows) for emergency, rows in queries.holding_reviews(release)]


def _overdue(emergency: Release, rows: Sequence[Requirement]) -> Missing:
    request = emergency.approval_request
    assert request is not None
    assert request.deadline_at is not None
    titles = wording.team_titles()
    who = _("{role} of {scope}")
    text = _(
        "The review of emergency release #{number} ({services}) is overdue since {since}. "
        "Nothing else of these services starts until it is given. Awaited: {who}."
    )
    named = [
        sentence(who, role=wording.role_label(row.role), scope=wording.place(row.scope, titles))
        for row in rows
    ]
    return {
        **wording.missing_row(rows[0]),
        "code": "owed",
        "id": emergency.number,
        "since": request.deadline_at.isoformat(),
        "text": sentence(
            text,
            number=emergency.number,
            services=", ".join(emergency.items.values_list("service__name", flat=True)),
            since=request.deadline_at,
            who=joined(named, between=", "),
        ),
    }


def _runs_otherwise(release: Release) -> list[Missing]:
    """An operation was approved for what ran then; something else has come to run since."""
    text = _("{service} runs something else than when this was submitted. Duplicate it, and submit that.")
    items = release.items.select_related("service") if release.operation else ()
    return [
        {"code": "digest", "text": sentence(text, service=item.service.name)}
        for item in items
        if not runs_already(item, running_of(item.service, release.environment))
    ]


def _objections(release: Release) -> list[Missing]:
    request = release.approval_request
    if request is None or not approval_queries.grade_policy(request.policy, request.grade).objection_holds:
        return []
    return [
        {
            "code": "objection",
            "id": objection.pk,
            "text": sentence(_("{name} objects: {reason}"), name=objection.person, reason=objection.reason),
        }
        for objection in approval_queries.open_objections(release.subject).select_related("person")
    ]
