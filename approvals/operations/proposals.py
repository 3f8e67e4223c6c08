"""A change of the policy: proposed, signed under the old and the new policy, in force (docs/decisions/0009).

The rows of a proposal come from both tables' `change`; deciding is the same machinery as for releases.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from approvals import coverage, policy, policy_table, queries
from approvals.digests import digest_of
from approvals.holders import grants, people
from approvals.models import Decision, PolicyProposal, PolicyVersion
from approvals.operations.decisions import Outcome, answer_objection, record_decision, revoke_decision
from approvals.operations.policies import check_enough_people, lock_versions, write_version
from approvals.operations.refusals import check_reason, check_verdict, stale_digest
from approvals.operations.requests import open_request, void_request
from approvals.states import Phase, ProposalState, RequestState
from portal import access, clock
from portal.actors import Actor
from portal.audit.record import record
from portal.errors import Conflict, Invalid, Missing, NotAllowed, NotFound
from portal.people.models import Role
from portal.transitions import move
from portal.ui.looks import role_entry, role_name, scope_name

MOST_NAMED = 20
# Where a signer's word ends a proposal; sent back, it can be changed and proposed anew.
ENDED = {RequestState.REJECTED: ProposalState.REJECTED, RequestState.SENT_BACK: ProposalState.SENT_BACK}


def propose_policy(
    table: Mapping[str, Any], *, actor: Actor, note: str, concerns: Sequence[coverage.Concern]
) -> PolicyProposal:
    """Ask for a change of the policy in force; it comes into force when both policies' signers said yes.

    Args:
        table: the whole of the new table.
        note: why.
        concerns: every service with its surroundings, by which is judged whether the table can be fulfilled.

    Raises:
        Invalid: the table is wrong, asks for more people than there are, or nobody said why.
        Conflict: there is no policy yet, `no_change`, `proposal_open`, or `unfulfillable`: for a service and
            grade nobody holds what is asked for, or nobody could sign the change itself.
        NotAllowed: the person is no administrator.
    """
    require_proposer(actor)
    wanted = _checked(table, note)
    with transaction.atomic():
        lock_versions()
        base = queries.current_policy()
        _require_change(base, wanted)
        _require_none_open()
        _require_fulfillable(wanted, concerns)
        return _open(base, wanted, actor=actor, note=note)


def decide_proposal(
    number: int, *, actor: Actor, verdict: str, content_digest: str, reason: str = ""
) -> Decision:
    """Record one verdict on exactly this change; the last yes puts it into force.

    Whoever signs may send it back or reject it instead; anybody but an auditor may object, and every signer
    reads that before signing (rules.md, "Verdicts").

    Raises:
        NotFound: there is no such proposal.
        Invalid: an unknown verdict, or another than approve without a reason.
        Conflict: wrong_state, stale_digest or already_decided.
        NotAllowed: self_approval or not_entitled.
    """
    with _locked(number) as proposal:
        check_verdict(verdict, reason)
        _require_open(proposal)
        if content_digest != proposal.content_digest:
            raise stale_digest()
        outcome = _decided(proposal, actor=actor, verdict=verdict, reason=reason)
        if outcome.changed:
            _settle(proposal, outcome, actor=actor, reason=reason)
        return outcome.decision


def take_back_signature(number: int, decision_id: int, *, actor: Actor) -> Decision:
    """Take one's own decision back, as long as the change is not settled.

    Raises:
        NotFound: no such proposal, or no such decision on it.
        Conflict: it is settled.
        NotAllowed: it is somebody else's decision.
    """
    with _locked(number) as proposal:
        _require_open(proposal)
        request_id = proposal.approval_request_id
        assert request_id is not None
        return revoke_decision(decision_id, request_id=request_id, actor=actor).decision


def answer_objection_to_proposal(number: int, decision_id: int, *, actor: Actor, answer: str) -> Decision:
    """Answer an objection in words, as somebody who signs this change.

    Raises:
        NotFound: no such proposal, or no such objection to it.
        Invalid: no words.
        Conflict: the change is settled, or the objection is.
        NotAllowed: self_approval or not_entitled.
    """
    with _locked(number) as proposal, _in_own_words():
        check_reason(answer, field="answer")
        _require_open(proposal)
        request_id = proposal.approval_request_id
        assert request_id is not None
        return answer_objection(decision_id, request_id=request_id, actor=actor, answer=answer)


def withdraw_proposal(number: int, *, actor: Actor, reason: str = "") -> PolicyProposal:
    """End a proposal as its author; one that came from files, as an administrator.

    Raises:
        NotFound: there is no such proposal.
        Conflict: it is settled.
        NotAllowed: it is somebody else's.
    """
    with _locked(number) as proposal:
        _require_open(proposal)
        if not may_withdraw(proposal, actor):
            raise NotAllowed(_("Only who proposed the change can withdraw it."))
        assert proposal.approval_request_id is not None
        void_request(proposal.approval_request_id, actor=actor, reason=reason)
        _end(proposal, ProposalState.WITHDRAWN, actor=actor, reason=reason)
        return proposal


def may_withdraw(proposal: PolicyProposal, actor: Actor) -> bool:
    """Whether the proposal is the actor's own; nobody's own is every administrator's."""
    if proposal.author_id is None:
        return may_propose(actor)
    is_own = actor.user is not None and proposal.author_id == actor.user.pk
    return is_own and (actor.has_scope("admin") or actor.has_scope("decide"))


def may_propose(actor: Actor) -> bool:
    """Whether the actor is an administrator, or the portal's own command line."""
    if actor.user is None:
        return True
    return actor.has_scope("admin") and access.has_role(actor.user, Role.ADMINISTRATOR)


def require_proposer(actor: Actor) -> None:
    """Raise NotAllowed unless the actor may propose changes of the policy."""
    if not may_propose(actor):
        raise NotAllowed(_("Only an administrator may propose a change of the policy. Others sign it."))


def signing_rows(old: object, new: object, holders: policy.People) -> list[policy.RequiredRow]:
    """Who signs a change: what the old table asks for and what the new one asks for, by different people.

    Rows of one role become one row for as many people, of whom each must be good under both tables.
    """
    rows: dict[str, policy.RequiredRow] = {}
    for source, table in (("in_force", old), ("proposed", new)):
        for rule in policy_table.read_change(table):
            accepted = [(role, rule.scope) for role in (rule.role, *rule.alternatives)]
            known = rows.get(rule.role)
            rows[rule.role] = policy.RequiredRow(
                phase=Phase.REVIEW,
                role=rule.role,
                scope=rule.scope,
                count=rule.count + (known.count if known else 0),
                accepted=tuple(each for each in accepted if not known or each in known.accepted),
                because=tuple(dict.fromkeys([*(known.because if known else ()), source])),
            )
    return policy.judged(list(rows.values()), holders)


def _checked(table: Mapping[str, Any], note: str) -> dict[str, Any]:
    """The table in its canonical form, or everything that is wrong."""
    errors: list[Missing] = []
    try:
        check_reason(note, field="note")
    except Invalid as error:
        errors += error.missing
    try:
        wanted = policy_table.canonical(table)
        check_enough_people(policy_table.read(wanted))
    except Invalid as error:
        errors += error.missing
    if errors:
        raise Invalid(missing=errors)
    return wanted


def _require_change(base: PolicyVersion, wanted: Mapping[str, Any]) -> None:
    if policy_table.canonical(base.table) == wanted:
        text = _("This is the policy in force already. Change something, then propose it.")
        raise Conflict(text, code="no_change", title=_("Nothing would change"))


def _require_none_open() -> None:
    waiting = PolicyProposal.objects.filter(state=ProposalState.OPEN).first()
    if waiting is not None:
        text = _("Proposal {number} waits for its signatures. It must be decided or withdrawn first.")
        raise Conflict(text.format(number=waiting.pk), code="proposal_open")


def _require_fulfillable(wanted: Mapping[str, Any], concerns: Sequence[coverage.Concern]) -> None:
    """Refuse a table that somebody's release could never be approved under, naming what is missing."""
    found = coverage.find_gaps(policy_table.read(wanted), concerns, people(grants()).holders)
    lacking = [gap for gap in found if gap.author is None]
    if lacking:
        raise _unfulfillable([_gap_entry(gap) for gap in lacking[:MOST_NAMED]])


def _gap_entry(gap: coverage.Gap) -> Missing:
    sentence = _("{service}, grade {grade}: nobody is {role} of {scope}.")
    text = sentence.format(
        service=gap.service, grade=gap.grade, role=role_name(gap.role), scope=scope_name(gap.scope)
    )
    return {
        "code": "requirement",
        "service": gap.service,
        "grade": gap.grade,
        "role": gap.role,
        "scope": gap.scope,
        "text": text,
    }


def _unfulfillable(lacking: Sequence[Missing]) -> Conflict:
    return Conflict(
        _("Nobody could fulfil this policy as it stands. Have the missing roles given, or ask for others."),
        code="unfulfillable",
        title=_("A role is missing"),
        missing=lacking,
    )


def _open(base: PolicyVersion, wanted: dict[str, Any], *, actor: Actor, note: str) -> PolicyProposal:
    now = clock.now()
    barred = [actor.user] if actor.user else []
    holders = people(grants(), barred=[user.pk for user in barred])
    rows = signing_rows(base.table, wanted, holders)
    if lacking := policy.missing(rows):
        raise _unfulfillable([_signature_entry(row) for row in lacking])
    digest = digest_of({"base": base.version, "table": wanted})
    proposal = PolicyProposal.objects.create(
        base=base, table=wanted, note=note, content_digest=digest, author=actor.user, created_at=now
    )
    proposal.approval_request = open_request(
        proposal.subject,
        grade="",
        policy=base,
        content_digest=digest,
        rows=rows,
        barred=barred,
        actor=actor,
        watched_since=now,
    )
    proposal.save(update_fields=["approval_request"])
    _record_proposed(proposal, actor=actor)
    return proposal


def _signature_entry(row: policy.RequiredRow) -> Missing:
    sentence = _("To sign the change, {count} people other than its author are asked for as {role}.")
    text = sentence.format(count=row.count, role=role_name(row.role))
    return {**role_entry(row.role, row.scope, []), "code": "requirement", "text": text}


def _record_proposed(proposal: PolicyProposal, *, actor: Actor) -> None:
    record(
        "proposal.opened",
        actor=actor,
        subject=(proposal.KIND, str(proposal.pk)),
        before={"version": proposal.base.version, "table": proposal.base.table},
        after={"table": proposal.table},
        reason=proposal.note,
        content_digest=proposal.content_digest,
    )


@contextmanager
def noting_refusals(key: str, *, actor: Actor) -> Iterator[None]:
    """Write one entry for an act that is refused inside; its own transaction is gone by then."""
    try:
        yield
    except (NotAllowed, Conflict) as error:
        with transaction.atomic():
            record(
                "proposal.refused",
                actor=actor,
                subject=(PolicyProposal.KIND, key),
                after={"code": error.code},
                reason=str(error.detail),
            )
        raise


@contextmanager
def _locked(number: int) -> Iterator[PolicyProposal]:
    """Open the transaction and yield the locked proposal."""
    with transaction.atomic():
        found = PolicyProposal.objects.select_for_update(of=("self",)).select_related("base")
        proposal = found.filter(pk=number).first()
        if proposal is None:
            raise NotFound
        yield proposal


def _require_open(proposal: PolicyProposal) -> None:
    if proposal.state != ProposalState.OPEN:
        text = _("This change is {state} already.")
        raise Conflict(text.format(state=proposal.get_state_display()))


def _decided(proposal: PolicyProposal, *, actor: Actor, verdict: str, reason: str) -> Outcome:
    assert proposal.approval_request_id is not None
    with _in_own_words():
        return record_decision(
            proposal.approval_request_id,
            actor=actor,
            verdict=verdict,
            content_digest=proposal.content_digest,
            reason=reason,
        )


@contextmanager
def _in_own_words() -> Iterator[None]:
    """Say of a proposal what approvals say of releases."""
    try:
        yield
    except NotAllowed as error:
        if error.code != "self_approval":
            raise
        raise NotAllowed(
            _("Nobody signs a change of the policy that they proposed."),
            code="self_approval",
            title=_("Not your own proposal"),
        ) from None


def _settle(proposal: PolicyProposal, outcome: Outcome, *, actor: Actor, reason: str) -> None:
    ended = ENDED.get(RequestState(outcome.state))
    if ended is not None:
        _end(proposal, ended, actor=actor, reason=reason)
        return
    lock_versions()
    last = queries.current_policy()
    if last != proposal.base:
        raise Conflict(
            _("Another policy came into force meanwhile. Withdraw this change and propose it anew.")
        )
    proposal.became = write_version(
        proposal.table,
        last,
        author=proposal.author,
        actor=actor,
        note=proposal.note,
        content_digest=proposal.content_digest,
    )
    _end(proposal, ProposalState.ACCEPTED, actor=actor, reason="")


def _end(proposal: PolicyProposal, state: str, *, actor: Actor, reason: str) -> None:
    proposal.settled_at = clock.now()
    move(
        proposal,
        state,
        actor=actor,
        reason=reason,
        fields=["settled_at", "became"],
        content_digest=proposal.content_digest,
    )
