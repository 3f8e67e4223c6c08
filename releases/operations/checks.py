"""Answering the items of a release's checklist."""

from typing import Any

from django.utils.translation import gettext_lazy as _

from approvals import queries as approval_queries
from approvals.states import Phase, Verdict
from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotAllowed, NotFound, field_error
from portal.live.publish import publish
from portal.people.models import Role, RoleAssignment, User
from portal.ui.looks import role_entry
from releases import notices, stations
from releases.models import (
    Answer,
    Check,
    CheckPhase,
    CheckResult,
    EvidenceFile,
    Gate,
    GateResult,
    Release,
)
from releases.operations.evidence import GivenFile, media_type_of, read_file
from releases.operations.fields import Faults
from releases.operations.locking import act, may_compose, require_state
from releases.operations.waking import wake
from releases.queries import ANSWERED, scopes_of
from releases.states import PENDING, ReleaseState

S = ReleaseState
MEASURED: dict[str, str] = {GateResult.PASSED: CheckResult.DONE, GateResult.BREACHED: CheckResult.FAILED}
RUNNING = frozenset({S.ROLLING_OUT, S.PAUSED, S.VERIFYING})
WHEN = {
    CheckPhase.BEFORE: PENDING | {S.SUBMITTED},
    CheckPhase.DURING: RUNNING | {S.AWAITING_SIGNOFF, S.FAILED},
    CheckPhase.AFTER: RUNNING
    | {S.AWAITING_SIGNOFF, S.SWITCHING, S.ANNOUNCED, S.REVIEW_OWED, S.FAILED, S.ROLLING_BACK},
}


def answer_check(number: int, check_id: int, *, actor: Actor, result: str, evidence: object = None) -> Check:
    """Answer one item; it may be answered anew until its phase is over, and earlier answers stay readable.

    What a result was signed off with stands: evidence is not replaced afterwards (attacks.md, 1b).

    Args:
        result: done, failed or not_applicable; the latter two need evidence that says why.
        evidence: a text, or {"text", "link", "file"}; the file as evidence.read_file takes it.

    Raises:
        NotFound: no such item in this release.
        Invalid: unknown result, or words are missing.
        Conflict: the item's phase is not now, or its answer was signed off.
        NotAllowed: the item asks for a role that the person does not hold.
    """
    with act(number, actor=actor) as release:
        check = release.checks.filter(pk=check_id).first()
        if check is None:
            raise NotFound
        proof, given = _read(result, evidence)
        require_state(release, WHEN[CheckPhase(check.phase)])
        _require_replaceable(check, release)
        _require_entitled(check, release, actor)
        before = {"result": check.result, "evidence": check.evidence}
        check.result, check.evidence = result, proof
        check.answered_by, check.answered_at = actor.user, clock.now()
        check.save(update_fields=["result", "evidence", "answered_by", "answered_at"])
        _keep(check, given)
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
        if check.role == Role.QA and stations.leads_to_qa(release) and not stations.waits_for_qa(release):
            notices.tell_qa_done(release)
        wake(release)
        return check


def answer_by_portal(gate: Gate, release: Release, *, actor: Actor) -> None:
    """Let a measurement answer its item, with what was seen as the evidence.

    What could not be measured leaves the item open: it was neither found well nor bad.

    Args:
        gate: with its item and its newest result; the release is locked.
    """
    check = gate.item
    assert check is not None
    before = {"result": check.result, "evidence": check.evidence}
    check.result = MEASURED.get(gate.result, "")
    service = gate.service.name if gate.service else ""
    check.evidence = {"measured": {**gate.observed, "kind": gate.kind, "service": service}}
    check.answered_by, check.answered_at = None, gate.measured_at
    check.save(update_fields=["result", "evidence", "answered_by", "answered_at"])
    if check.result:
        _keep(check, None)
    record(
        "checklist.measured",
        actor=actor,
        subject=("check", str(check.pk)),
        before=before,
        after={"text": check.text, "result": check.result, "evidence": check.evidence},
        content_digest=release.content_digest,
        release=release.number,
    )
    told = {"check": check.pk, "result": check.result, "text": check.text}
    publish(release.topic, "checklist.measured", told)
    wake(release)


def is_due(check: Check, release: Release, *, signed: bool) -> bool:
    """Whether the item can be answered now, by whoever may.

    Args:
        signed: whether somebody has signed off the release's result, as `is_signed_off` says.
    """
    return release.state in WHEN[CheckPhase(check.phase)] and not (signed and _is_settled(check))


def is_signed_off(release: Release) -> bool:
    """Whether somebody has signed off the result, alone or as one of several."""
    request = release.approval_request
    if request is None:
        return False
    signed = request.decisions.filter(phase=Phase.SIGNOFF, verdict=Verdict.APPROVE, revoked_at=None)
    return signed.exists()


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


def _is_settled(check: Check) -> bool:
    """Whether a sign-off rests on the item: one that is open or failed can still be answered well."""
    return check.phase == CheckPhase.DURING and check.result in ANSWERED


def _require_replaceable(check: Check, release: Release) -> None:
    if _is_settled(check) and is_signed_off(release):
        raise Conflict(_("The result was signed off with this answer, so it stands. Object if it is wrong."))


def _keep(check: Check, given: GivenFile | None) -> None:
    """Add the answer to those that were given before, and its file to what is kept."""
    assert check.answered_at is not None
    file = None
    if given is not None:
        file, _made = EvidenceFile.objects.defer("content").get_or_create(
            digest=given.digest,
            defaults={
                "media_type": media_type_of(given.content),
                "size_bytes": len(given.content),
                "content": given.content,
                "created_at": check.answered_at,
            },
        )
    Answer.objects.create(
        release_id=check.release_id,
        item=check,
        text=check.text,
        result=check.result,
        evidence=check.evidence,
        file=file,
        answered_by=check.answered_by,
        answered_at=check.answered_at,
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


def _read(result: str, evidence: object) -> tuple[Any, GivenFile | None]:
    """The evidence as it is stored, and the file that belongs to it."""
    faults = Faults()
    if result not in CheckResult.values:
        words = ", ".join(CheckResult.values)
        faults.add("result", _("One of these is expected: {words}").format(words=words))
    is_explained = result in {CheckResult.FAILED, CheckResult.NOT_APPLICABLE}
    proof: Any
    given = None
    if isinstance(evidence, dict):
        faults.unknown("evidence.", evidence, ("text", "link", "file"))
        text = faults.text(
            "evidence.text", evidence.get("text"), most=4000, required=is_explained, lines=True
        )
        proof = {"text": text, "link": faults.link("evidence.link", evidence.get("link"))}
        given = read_file(evidence.get("file"), faults)
        if given is not None:
            proof["file"] = _described(given)
    else:
        proof = faults.text("evidence", evidence, most=4000, required=is_explained, lines=True) or None
    if faults.found:
        raise Invalid(missing=[field_error(f["field"], f["text"]) for f in faults.found])
    return proof, given


def _described(given: GivenFile) -> dict[str, Any]:
    return {
        "name": given.name,
        "digest": given.digest,
        "media_type": media_type_of(given.content),
        "size_bytes": len(given.content),
    }
