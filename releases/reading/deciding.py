"""What an approver reads: rows with who decided, one's own part, and what changed since the last approval."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from approvals import grades
from approvals import queries as approval_queries
from approvals.models import Decision, Request
from approvals.states import Phase, RequestState, Verdict
from portal.audit.models import AuditEntry
from portal.audit.queries import body_of
from portal.people.models import User
from portal.ui.looks import FACTS as FACT_NAMES
from releases import queries
from releases.content import places_of
from releases.models import CheckPhase, Release
from releases.queries import RequirementView, Stance
from releases.states import ENDS, PENDING, ReleaseState

S = ReleaseState


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """One fact that speaks for a grade, with every service it is true of; if measured, on what it rests."""

    text: str
    grade: str
    is_measured: bool
    origin: str
    services: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A requirement with the decisions that meet it.

    Attributes:
        state: a word of the table of looks.
        mine: whether this person could fill it and nobody has yet.
    """

    need: RequirementView
    state: str
    mine: bool
    decided: tuple[Decision, ...]


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """Everything about deciding that a page shows to one person.

    Attributes:
        verdicts: what they may press now.
        why_not: why approving is not theirs now, in words; "" when it is.
        own: their live decision, when they may take it back.
    """

    rows: list[Row]
    stance: Stance
    verdicts: frozenset[str]
    why_not: str
    own: Decision | None
    decisions: list[Decision]
    objections: list[Decision]

    def phase(self, phase: str) -> list[Row]:
        """The rows of one phase."""
        return [row for row in self.rows if row.need.phase == phase]

    @property
    def review(self) -> list[Row]:
        """The rows that are decided before the start, or owed after it."""
        return [row for row in self.rows if row.need.phase != Phase.SIGNOFF]

    @property
    def signoff(self) -> list[Row]:
        """The rows of the result's sign-off."""
        return self.phase(Phase.SIGNOFF)


def deciding_of(release: Release, user: User) -> Deciding:
    """How the release stands with its approvers, and with this person."""
    stance = queries.stance(release, user, phase=queries.deciding_phase(release))
    decisions = list(queries.decisions_of(release))
    needs = queries.requirements_of(release)
    return Deciding(
        rows=[_row(release, need, stance, decisions) for need in needs],
        stance=stance,
        verdicts=_verdicts(release, user, stance),
        why_not=_why_not(release, stance),
        own=_own(release, stance),
        decisions=decisions,
        objections=[decision for decision in decisions if decision.verdict == Verdict.OBJECT],
    )


def reasons_of(release: Release) -> list[Grounds]:
    """Why the grade was proposed, the gravest first, each fact once."""
    found: dict[tuple[str, str, bool, str], list[str]] = {}
    for reason in queries.reasons_of(release):
        is_measured = reason.source == grades.MEASURED
        key = (reason.text, reason.grade, is_measured, reason.origin_text)
        found.setdefault(key, []).append(reason.service)
    return [
        Grounds(text=text, grade=grade, is_measured=is_measured, origin=origin, services=tuple(services))
        for (text, grade, is_measured, origin), services in found.items()
    ]


def difference_to(release: Release, digest: str) -> tuple[list[str], list[str]] | None:
    """Lines of the content with that digest and of the content now; None where the record has none."""
    before = content_with(release.number, digest)
    return None if before is None else (content_lines(before), content_lines(release.content))


def last_round(release: Release) -> Request | None:
    """The latest round on another content than now, whose decisions were lost."""
    rounds = Request.objects.filter(subject=release.subject).exclude(content_digest=release.content_digest)
    return rounds.order_by("-round").first()


def content_with(number: int, digest: str) -> dict[str, Any] | None:
    """The sealed content that had this digest, as the record keeps it."""
    entries = AuditEntry.objects.filter(
        release=number, action__in=["release.created", "release.edited"], body__contains=digest
    ).order_by("-id")
    for entry in entries:
        body = body_of(entry)
        for side, sealed in (("after", body["content_digest"]), ("before", body["before"].get("digest"))):
            if sealed == digest and "content" in body[side]:
                return dict(body[side]["content"])
    return None


def content_lines(content: dict[str, Any]) -> list[str]:
    """The sealed content as lines that people can compare."""
    lines = [_("Environment: {name}").format(name=content.get("environment", {}).get("name", ""))]
    places = places_of(content).items()
    lines += [
        _("Connection {name}: {place}").format(name=name, place=place) for name, place in places if place
    ]
    for item in content.get("items", []):
        lines.append(f"{item['service']} {item['version']} {item.get('digest', '')}")
        lines += [
            f"{item['service']} {entry['key']}: {entry['before']} → {entry['after']}"
            for entry in item.get("configuration", [])
        ]
        lines += [f"{item['service']}: {FACT_NAMES[fact]}" for fact in item.get("facts", {})]
    lines += [_("Database: {text}").format(text=each["text"]) for each in content.get("database_changes", [])]
    lines += [str(FACT_NAMES[fact]) for fact, value in content.get("facts", {}).items() if value]
    lines.append(_("Grade: {grade}").format(grade=content.get("grade", "")))
    lines += [f"[{change['area']}] {change['text']}" for change in content.get("changes", [])]
    plan = content.get("plan") or {}
    lines.append(_("Plan: {name}").format(name=f"{plan.get('name', '–')} {plan.get('digest', '')}".strip()))
    templates = content.get("checklist", {}).get("templates", [])
    lines += [_("Checklist: {name}").format(name=f"{each['name']} {each['version']}") for each in templates]
    return lines


def tests_of(release: Release) -> dict[str, Any]:
    """How far the checks before the start are answered: what an approver calls the tests."""
    checks = [check for check in release.checks.all() if check.phase == CheckPhase.BEFORE]
    good = [check for check in checks if check.result in queries.ANSWERED]
    failed = [check for check in checks if check.result == "failed"]
    order = {phase: place for place, phase in enumerate(CheckPhase.values)}
    every = sorted(release.checks.all(), key=lambda check: (order[check.phase], check.position))
    return {"done": len(good), "total": len(checks), "failed": failed, "all": every}


def _row(release: Release, need: RequirementView, stance: Stance, decisions: Iterable[Decision]) -> Row:
    people = {user.pk for user in need.met_by}
    request = release.approval_request_id
    decided = tuple(
        each
        for each in decisions
        if each.request_id == request
        and each.phase == need.phase
        and each.person_id in people
        and each.verdict == Verdict.APPROVE
        and each.revoked_at is None
    )
    mine = stance.code == "" and not need.met and need.id in stance.mine
    return Row(need=need, state=_row_state(release, need), mine=mine, decided=decided)


def _row_state(release: Release, need: RequirementView) -> str:
    if need.met:
        return "met"
    if not need.fulfillable or not need.candidates:
        return "nobody_can"
    request = release.approval_request
    if request is not None and need.id is not None and request.state in _LOST:
        # What has ended is not void because somebody changed it.
        return "cancelled" if release.state in ENDS else _LOST[RequestState(request.state)]
    return "open"


_LOST = {
    RequestState.VOID: "void",
    RequestState.REJECTED: "cancelled",
    RequestState.SENT_BACK: "cancelled",
}


def _verdicts(release: Release, user: User, stance: Stance) -> frozenset[str]:
    allowed = set()
    if stance.code == "":
        allowed.add("approve")
    may_refuse = stance.code in {"", "wrong_state"} and stance.mine
    if may_refuse and release.state in PENDING:
        allowed |= {"send_back", "reject"}
    if release.approval_request_id and release.state not in ENDS and not approval_queries.only_reads(user):
        allowed.add("object")
    return frozenset(allowed)


def _own(release: Release, stance: Stance) -> Decision | None:
    if stance.decision is None or release.state not in {*PENDING, S.ROLLING_OUT}:
        return None
    if release.rollouts.filter(steps__acted_at__isnull=False).exists():
        return None
    return stance.decision


def _why_not(release: Release, stance: Stance) -> str:
    if stance.used_by is not None:
        return _("{name} has decided in this name already. A mandate counts once.").format(
            name=stance.used_by
        )
    sentences = {
        "self_approval": _("Nobody decides on a release they wrote, changed or built."),
        "not_entitled": _("You hold no role that is asked for here."),
        "already_decided": _("You have decided already."),
        "wrong_state": _ended_words(release),
    }
    return sentences.get(stance.code, "")


def _ended_words(release: Release) -> str:
    if release.state == S.SUPERSEDED:
        return _("Replaced by #{number}.").format(number=release.superseded_by_id)
    if release.state == S.EXPIRED:
        return _("Expired. Duplicate it and submit again.")
    return _("No decision is asked for now.")
