"""Taking, taking back and answering decisions; the request is locked before anything is looked at.

`filed_under` is the number of the release in the record, passed through untouched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from approvals import queries
from approvals.mandates import Mandate, mandates_of
from approvals.models import Decision, Request
from approvals.operations.refusals import (
    ALLOWED_STATES,
    LIVE_STATES,
    check_reason,
    check_verdict,
    decided_already,
    name_used,
    no_delegation,
    not_entitled,
    second_factor,
    self_approval,
    self_approval_for,
    stale_digest,
    whom_for,
)
from approvals.operations.requests import end, follow_rows, lock
from approvals.states import Phase, RequestState, Verdict
from portal import clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, NotAllowed, NotFound
from portal.people.models import Delegation, User


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a decision led to.

    Attributes:
        state: the request's state afterwards.
        changed: whether the request's state changed.
        phase_met: whether every row of the decision's phase is met now.
    """

    request: Request
    decision: Decision
    state: str
    changed: bool
    phase_met: bool


def record_decision(
    request_id: int,
    *,
    actor: Actor,
    verdict: str,
    content_digest: str,
    reason: str = "",
    phase: str = Phase.REVIEW,
    on_behalf_of: str | None = None,
    also_barred: Iterable[int] = (),
    filed_under: int | None = None,
) -> Outcome:
    """Write one verdict of one person and settle the request if it decides it.

    Args:
        content_digest: what the person saw; it must be what is asked for.
        on_behalf_of: the account for which the person decides by delegation; left out where they have a right
            of their own, or where exactly one giver fits.
        also_barred: ids of people who don't count in this phase, such as who started the rollout.

    Raises:
        Invalid: unknown verdict, a refusal without a reason, or several people for whom it could be.
        Conflict: wrong_state, expired, stale_digest or already_decided.
        NotAllowed: self_approval, not_entitled or second_factor.
    """
    check_verdict(verdict, reason, phase=phase, on_behalf_of=on_behalf_of)
    with transaction.atomic():
        request = lock(request_id)
        _require_state(request, verdict, phase)
        if content_digest != request.content_digest and _binds(request, verdict):
            raise stale_digest()
        decision = Decision(
            request=request,
            person=_person(actor),
            phase=phase,
            verdict=verdict,
            content_digest=content_digest,
            reason=reason,
            door=actor.door,
        )
        used = _entitle(decision, actor=actor, also_barred=also_barred, on_behalf_of=on_behalf_of)
        decision.decided_at = clock.now()
        if queries.lacks_factor(request, verdict, actor, now=decision.decided_at):
            raise second_factor()
        decision.save(force_insert=True)
        decision.delegations.set(used)
        _record(f"decision.{verdict}", decision, actor=actor, reason=reason, filed_under=filed_under)
        return _after(request, decision, actor=actor, reason=reason, filed_under=filed_under)


def revoke_decision(
    decision_id: int, *, request_id: int, actor: Actor, filed_under: int | None = None
) -> Outcome:
    """Take back one's own approval or objection; a row that opens again opens the request.

    Raises:
        NotFound: no such decision in this request.
        NotAllowed: it is somebody else's.
        Conflict: it is taken back already, or its round is over.
    """
    with transaction.atomic():
        request = lock(request_id)
        decision = request.decisions.select_for_update().filter(pk=decision_id).first()
        if decision is None:
            raise NotFound
        is_over = decision.verdict != Verdict.OBJECT and request.state not in LIVE_STATES
        if decision.revoked_at is not None or is_over:
            raise Conflict(_("This decision cannot be taken back any more."))
        if actor.user is None or decision.person_id != actor.user.pk or not actor.has_scope("decide"):
            raise NotAllowed(_("Only the person who decided can take the decision back."))
        decision.revoked_at = clock.now()
        decision.save(update_fields=["revoked_at"])
        _record("decision.revoked", decision, actor=actor, filed_under=filed_under)
        return _after(request, decision, actor=actor, reason="", filed_under=filed_under)


def answer_objection(
    decision_id: int,
    *,
    request_id: int,
    actor: Actor,
    answer: str,
    phase: str = Phase.REVIEW,
    filed_under: int | None = None,
) -> Decision:
    """Answer an objection in words, as somebody who decides on the request in this phase.

    Raises:
        Invalid: no words.
        NotFound: no such objection to this request's subject.
        Conflict: it is answered or withdrawn already.
        NotAllowed: self_approval or not_entitled.
    """
    check_reason(answer, field="answer")
    with transaction.atomic():
        request = lock(request_id)
        objection = (
            Decision.objects.select_for_update(of=("self",))
            .filter(pk=decision_id, request__subject=request.subject, verdict=Verdict.OBJECT)
            .first()
        )
        if objection is None:
            raise NotFound
        if objection.answered_at or objection.revoked_at:
            raise Conflict(_("This objection is settled already."))
        person = _person(actor)
        _require_mandates(request, person, actor, phase)
        objection.answer, objection.answered_by, objection.answered_at = answer, person, clock.now()
        objection.save(update_fields=["answer", "answered_by", "answered_at"])
        _record("objection.answered", objection, actor=actor, reason=answer, filed_under=filed_under)
        return objection


def _person(actor: Actor) -> User:
    """The deciding person as the database knows them now; the portal itself never decides.

    Locked together with everybody who gave them a delegation, in one order: what these hold must not change
    while it is judged.
    """
    if actor.user is None:
        raise not_entitled()
    givers = Delegation.objects.filter(taker=actor.user, ended_at=None).values("giver")
    everybody = User.objects.filter(Q(pk=actor.user.pk) | Q(pk__in=givers)).order_by("pk")
    locked = {user.pk: user for user in everybody.select_for_update(no_key=True)}
    person = locked.get(actor.user.pk)
    if person is None or not person.is_active:
        raise not_entitled()
    return person


def _binds(request: Request, verdict: str) -> bool:
    """An objection after its round was voided is about what the caller compared it with."""
    return verdict != Verdict.OBJECT or request.state in LIVE_STATES


def _require_state(request: Request, verdict: str, phase: str) -> None:
    if verdict == Verdict.OBJECT:
        return
    if request.expires_at is not None and phase == Phase.REVIEW and request.expires_at <= clock.now():
        raise Conflict(_("The deadline has passed. Duplicate it and submit again."), code="expired")
    if request.state not in ALLOWED_STATES[(phase, verdict)]:
        raise Conflict(_("No decision is asked for here any more."))


def _entitle(
    decision: Decision, *, actor: Actor, also_barred: Iterable[int], on_behalf_of: str | None
) -> Iterable[Delegation]:
    """Write into the decision in which capacities it counts and for whom; returns the delegations used.

    An objection needs only the right to see.
    """
    if decision.verdict != Verdict.OBJECT:
        mandate = _require_entitled(decision, actor, also_barred, on_behalf_of)
        decision.capacities = sorted([role, scope] for role, scope in mandate.capacities)
        decision.on_behalf_of = mandate.giver
        return mandate.delegations
    if queries.only_reads(decision.person) or not actor.has_scope("decide"):
        raise not_entitled()
    return ()


def _require_entitled(
    decision: Decision, actor: Actor, also_barred: Iterable[int], on_behalf_of: str | None
) -> Mandate:
    request, person, phase = decision.request, decision.person, decision.phase
    fitting = _require_mandates(request, person, actor, phase, also_barred=also_barred, named=on_behalf_of)
    live = request.decisions.filter(person=person, revoked_at=None).exclude(verdict=Verdict.OBJECT)
    if live.filter(phase=phase).exists():
        raise decided_already()
    mandate = _one_left(fitting)
    if any(queries.is_kept_from(request, user, phase) for user in (person, mandate.giver) if user):
        raise not_entitled()
    return mandate


def _require_mandates(
    request: Request,
    person: User,
    actor: Actor,
    phase: str,
    *,
    also_barred: Iterable[int] = (),
    named: str | None = None,
) -> list[Mandate]:
    """The names in which the person is entitled to rows of the phase, or the refusal, own release first."""
    away = frozenset(also_barred)
    if person.pk in away or request.barred.filter(pk=person.pk).exists():
        raise self_approval()
    if not actor.has_scope("decide"):
        raise not_entitled()
    fitting = _fitting(mandates_of(request, person, phase, also_barred=away, locked=True), named)
    if not fitting:
        raise no_delegation() if named else not_entitled()
    allowed = [mandate for mandate in fitting if not mandate.is_barred]
    if not allowed:
        raise self_approval_for(*(mandate.giver for mandate in fitting if mandate.giver))
    return allowed


def _fitting(mandates: Sequence[Mandate], named: str | None) -> list[Mandate]:
    """Those in the name asked for; where none is, the person's own, else whatever they were given."""
    if named:
        return [mandate for mandate in mandates if mandate.giver and mandate.giver.username == named]
    own = [mandate for mandate in mandates if mandate.giver is None]
    return own or list(mandates)


def _one_left(fitting: Sequence[Mandate]) -> Mandate:
    """The one name in which there is something left to decide on."""
    left = [mandate for mandate in fitting if mandate.used_by is None]
    if not left:
        raise name_used(fitting[0])
    if len(left) > 1:
        raise whom_for(mandate.giver for mandate in left if mandate.giver)
    return left[0]


def _after(
    request: Request, decision: Decision, *, actor: Actor, reason: str, filed_under: int | None
) -> Outcome:
    ends = {Verdict.SEND_BACK: RequestState.SENT_BACK, Verdict.REJECT: RequestState.REJECTED}
    ended = ends.get(Verdict(decision.verdict)) if decision.phase == Phase.REVIEW else None
    if decision.verdict == Verdict.OBJECT:
        changed, met = False, False
    elif ended is not None:
        end(request, ended, actor=actor, reason=reason, filed_under=filed_under)
        changed, met = True, False
    elif decision.phase != Phase.REVIEW:
        # The review is over: a role lost since then reopens nothing that others still have to sign.
        changed, met = False, queries.standing(request).is_met(decision.phase)
    else:
        changed, standing = follow_rows(request, actor=actor, filed_under=filed_under)
        met = standing.is_met(decision.phase)
    return Outcome(request=request, decision=decision, state=request.state, changed=changed, phase_met=met)


def _record(
    action: str, decision: Decision, *, actor: Actor, filed_under: int | None, reason: str = ""
) -> None:
    giver = decision.on_behalf_of
    record(
        action,
        actor=actor,
        subject=("decision", str(decision.pk)),
        after={
            "verdict": decision.verdict,
            "phase": decision.phase,
            "person": decision.person.username,
            "capacities": decision.capacities,
            **({"delegations": [row.pk for row in decision.delegations.all()]} if giver else {}),
        },
        reason=reason,
        content_digest=decision.content_digest,
        on_behalf_of=giver.username if giver else "",
        release=filed_under,
    )
