"""Answering the items of a release's checklist."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from approvals import queries as approval_queries
from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Invalid, Missing, NotAllowed, NotFound, field_error
from portal.live.publish import publish
from portal.people.models import RoleAssignment, User
from portal.ui.looks import role_entry
from releases.models import Check, CheckPhase, CheckResult, Release
from releases.operations.fields import Faults
from releases.operations.locking import act, may_compose, require_state
from releases.queries import scopes_of
from releases.states import PENDING, ReleaseState

S = ReleaseState
RUNNING = frozenset({S.ROLLING_OUT, S.PAUSED, S.VERIFYING})
WHEN = {
    CheckPhase.BEFORE: PENDING | {S.SUBMITTED},
    CheckPhase.DURING: RUNNING | {S.AWAITING_SIGNOFF, S.FAILED},
    CheckPhase.AFTER: RUNNING
    | {S.AWAITING_SIGNOFF, S.SWITCHING, S.ANNOUNCED, S.REVIEW_OWED, S.FAILED, S.ROLLING_BACK},
}


def answer_check(number: int, check_id: int, *, actor: Actor, result: str, evidence: object = None) -> Check:
    """Answer one item; it may be answered anew until its phase is over, and the record keeps both.

    Args:
        result: done, failed or not_applicable; the latter two need evidence that says why.
        evidence: a text, or {"text", "link"}.

    Raises:
        NotFound: no such item in this release.
        Invalid: unknown result, or words are missing.
        Conflict: the item's phase is not now.
        NotAllowed: the item asks for a role that the person does not hold.
    """
    with act(number, actor=actor) as release:
        check = release.checks.filter(pk=check_id).first()
        if check is None:
            raise NotFound
        proof = _read(result, evidence)
        require_state(release, WHEN[CheckPhase(check.phase)])
        _require_entitled(check, release, actor)
        before = {"result": check.result, "evidence": check.evidence}
        check.result, check.evidence = result, proof
        check.answered_by, check.answered_at = actor.user, clock.now()
        check.save(update_fields=["result", "evidence", "answered_by", "answered_at"])
        record(
            "checklist.ticked",
            actor=actor,
            subject=("check", str(check.pk)),
            before=before,
            after={"text": check.text, "result": result, "evidence": proof},
            content_digest=release.content_digest,
            release=number,
        )
        publish(release.topic, "checklist.ticked", {"by": actor.name, "check": check.pk, "result": result})
        return check


def may_answer(check: Check, release: Release, user: User) -> bool:
    """Whether the person may answer: the item's role within the release, else compose or deploy rights."""
    if not user.is_active or approval_queries.only_reads(user):
        return False
    items = list(release.items.select_related("service__team"))
    if check.role:
        scopes = scopes_of(release, items)
        held = RoleAssignment.objects.filter(user=user, role=check.role, revoked_at=None, scope__in=scopes)
        return held.exists()
    actor = Actor(user=user)
    return access.allowed(user, "deploy", release.environment) or (
        bool(items) and all(may_compose(actor, item.service) for item in items)
    )


def _require_entitled(check: Check, release: Release, actor: Actor) -> None:
    if check.kind != "person":
        raise NotAllowed(_("A machine answers this one."))
    scopes = ("operate", "compose", "decide")
    is_cut = not any(actor.has_scope(scope) for scope in scopes)
    if actor.user is None or is_cut or not may_answer(check, release, actor.user):
        raise NotAllowed(_("This check is for another role."), missing=_who_may(check, release))


def _who_may(check: Check, release: Release) -> list[Missing]:
    """The role that the item asks for, with who holds it here."""
    if not check.role:
        return access.who_may("deploy", release.environment)
    scopes = scopes_of(release, release.items.select_related("service__team"))
    held = RoleAssignment.objects.filter(role=check.role, revoked_at=None, user__is_active=True)
    people: dict[str, list[str]] = {}
    for each in held.filter(scope__in=scopes).select_related("user"):
        people.setdefault(each.scope, []).append(each.user.get_full_name())
    return [role_entry(check.role, scope, people[scope]) for scope in sorted(people)]


def _read(result: str, evidence: object) -> Any:
    faults = Faults()
    if result not in CheckResult.values:
        words = ", ".join(CheckResult.values)
        faults.add("result", _("One of these is expected: {words}").format(words=words))
    is_explained = result in {CheckResult.FAILED, CheckResult.NOT_APPLICABLE}
    proof: Any
    if isinstance(evidence, dict):
        faults.unknown("evidence.", evidence, ("text", "link"))
        text = faults.text(
            "evidence.text", evidence.get("text"), most=4000, required=is_explained, lines=True
        )
        proof = {"text": text, "link": faults.link("evidence.link", evidence.get("link"))}
    else:
        proof = faults.text("evidence", evidence, most=4000, required=is_explained, lines=True) or None
    if faults.found:
        raise Invalid(missing=[field_error(f["field"], f["text"]) for f in faults.found])
    return proof
