"""What the policy's pages and API read: versions, proposals and how they stand for one person."""

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from approvals import queries as approval_queries
from approvals.models import Decision, PolicyProposal, PolicyVersion
from approvals.operations.proposals import may_propose, may_withdraw
from approvals.queries import RowStanding
from approvals.states import Phase, ProposalState, Verdict
from portal import access
from portal.actors import Actor
from portal.errors import NotFound
from portal.people.models import User


@dataclass(frozen=True, kw_only=True)
class Signing:
    """How a proposal stands, for one reader.

    Attributes:
        mine: whether the reader can sign, send back or reject now.
        own: the reader's standing signature that may be taken back.
        may_object: whether the reader may object; its author withdraws instead.
        may_answer: whether the reader signs such changes, so that objections are theirs to answer.
    """

    proposal: PolicyProposal
    rows: tuple[RowStanding, ...]
    decisions: tuple[Decision, ...]
    mine: bool
    own: Decision | None
    may_withdraw: bool
    may_object: bool
    may_answer: bool

    @property
    def objections(self) -> tuple[Decision, ...]:
        """Objections that nobody has answered, nor taken back."""
        return tuple(
            each
            for each in self.decisions
            if each.verdict == Verdict.OBJECT and each.revoked_at is None and each.answered_at is None
        )

    @property
    def is_author(self) -> bool:
        """Whether the reader proposed it, so that the signing is others'."""
        return self.may_withdraw and self.proposal.author_id is not None


def versions() -> QuerySet[PolicyVersion]:
    """All versions, the one in force first."""
    return PolicyVersion.objects.select_related("created_by", "proposal")


def version(number: int) -> PolicyVersion:
    """One version, or NotFound."""
    found = versions().filter(version=number).first()
    if found is None:
        raise NotFound
    return found


def before(number: int) -> PolicyVersion | None:
    """The version that was in force before this one."""
    return PolicyVersion.objects.filter(version__lt=number).first()


def proposals() -> QuerySet[PolicyProposal]:
    """All proposals, the newest first."""
    return PolicyProposal.objects.select_related("base", "author", "became", "approval_request")


def proposal(number: int) -> PolicyProposal:
    """One proposal, or NotFound."""
    found = proposals().filter(pk=number).first()
    if found is None:
        raise NotFound
    return found


def signing(found: PolicyProposal, actor: Actor) -> Signing:
    """How a proposal stands for who reads it."""
    assert found.approval_request is not None
    rows = approval_queries.standing(found.approval_request).rows
    decided = found.approval_request.decisions.select_related("person", "answered_by")
    decisions = tuple(decided.order_by("id"))
    user = actor.user
    standing = [each for each in decisions if user and each.person_id == user.pk and _is_signature(each)]
    is_open = found.state == ProposalState.OPEN
    asked = {person.pk for row in rows for person in row.candidates}
    is_asked = bool(is_open and user and user.pk in asked)
    return Signing(
        proposal=found,
        rows=rows,
        decisions=decisions,
        mine=is_asked and not standing,
        own=standing[0] if is_open and standing else None,
        may_withdraw=is_open and may_withdraw(found, actor),
        may_object=is_open and user is not None and _may_object(found, user),
        may_answer=is_asked,
    )


def _may_object(found: PolicyProposal, user: User) -> bool:
    return user.pk != found.author_id and not approval_queries.only_reads(user)


def _is_signature(decision: Decision) -> bool:
    return decision.revoked_at is None and decision.verdict != Verdict.OBJECT


def _open() -> QuerySet[PolicyProposal]:
    return PolicyProposal.objects.filter(state=ProposalState.OPEN)


def any_open() -> QuerySet[PolicyProposal, Any]:
    """Asks whether a proposal waits for anybody."""
    return _open().values("pk")


def waiting_for(user: User) -> list[PolicyProposal]:
    """Proposals that wait for this person's signature."""
    # Nearly always there is none.
    if not any_open().exists():
        return []
    among = {Phase.REVIEW: _open().values("approval_request")}
    requests = approval_queries.requests_waiting_for(user, access.roles_of(user), among=among)
    return list(proposals().filter(approval_request__in=requests))


def may_change(actor: Actor) -> bool:
    """Whether the reader may propose."""
    return may_propose(actor)
