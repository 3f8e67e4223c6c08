"""API v1: the policy in force, its versions, and changes of it."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from approvals.models import Decision, PolicyProposal, PolicyVersion
from approvals.queries import current_policy
from portal.actors import Actor
from portal.api import paging
from portal.api.auth import actor_of
from portal.api.paging import PageQuery
from portal.api.schemas import Body, Paged
from portal.api.strict import hidden_first
from releases.catalog.policies import operations, queries, words


def _require_there(_request: HttpRequest, values: Any) -> None:
    if "number" in values:
        queries.proposal(values["number"])


router = Router(tags=["policy"])
router.add_decorator(hidden_first(_require_there), mode="view")


class PolicyVersionShape(Schema):
    """A version of the policy."""

    version: int
    note: str
    created_at: datetime
    created_by: str | None
    proposal: int | None = Field(description="the change by which it came into force")


class PolicyShape(PolicyVersionShape):
    """A version with its table, as the file of a Policy has it."""

    table: dict[str, Any]
    open_proposal: int | None


class SignatureShape(Schema):
    """Who must sign."""

    id: int
    role: str
    scope: str
    count: int
    because: list[str] = Field(description="in_force, proposed: which policy asks for it")
    met: bool
    met_by: list[str]
    candidates: list[str]


class ProposalRow(Schema):
    """A proposed change in a list."""

    number: int
    state: str
    note: str
    author: str | None
    base: int
    became: int | None
    content_digest: str
    created_at: datetime
    settled_at: datetime | None


class ChangedShape(Schema):
    """What changes in a grade; without a letter, in who signs changes."""

    grade: str | None
    lines: list[str]


class SignedShape(Schema):
    """A decision on a proposed change."""

    id: int
    person: str
    verdict: str
    reason: str
    content_digest: str
    decided_at: datetime
    revoked_at: datetime | None
    answer: str = Field(description="what was answered to an objection")
    answered_by: str | None
    state: str = Field(description="the proposal's state now")


class PolicyProposalShape(ProposalRow):
    """A proposed change in full."""

    table: dict[str, Any]
    difference: list[ChangedShape]
    requirements: list[SignatureShape]
    decisions: list[SignedShape]


class NewProposal(Body):
    """A change of the policy: the whole table, as the file of a Policy has it."""

    grades: dict[str, Any]
    change: list[dict[str, Any]] | None = Field(None, description="who signs changes; null: one director")
    note: str = Field(description="why", max_length=4000)
    base: int | None = Field(None, description="the version that was changed; another is refused")


class SignInput(Body):
    """A verdict on exactly this change."""

    verdict: str = Field(description="approve, send_back, reject or object; all but the first with a reason")
    content_digest: str
    reason: str = ""


class AnswerObjection(Body):
    """Words for an objection."""

    answer: str


class WithdrawInput(Body):
    """Words for withdrawing."""

    reason: str = ""


@router.get("/policy", response=PolicyShape)
def read_policy(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001  the library's
    """The policy in force."""
    version = queries.version(current_policy().version)
    waiting = queries.proposals().filter(state="open").first()
    return {
        **_version(version),
        "table": version.table,
        "open_proposal": waiting.pk if waiting else None,
    }


@router.get("/policy/versions", response=Paged[PolicyVersionShape])
def list_versions(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:  # noqa: ARG001  the library's
    """List the versions, the newest first."""
    return paging.answer(paging.page(queries.versions(), query=query, key="version"), _version)


@router.get("/policy/proposals", response=Paged[ProposalRow])
def list_proposals(request: HttpRequest, query: Query[PageQuery]) -> dict[str, Any]:  # noqa: ARG001  the library's
    """List proposed changes, the newest first."""
    return paging.answer(paging.page(queries.proposals(), query=query, key="id"), _row)


@router.post("/policy/proposals", response={201: PolicyProposalShape})
def propose(request: HttpRequest, body: NewProposal) -> Status[Any]:
    """Propose a change; nothing is in force before it is signed."""
    actor = actor_of(request)
    table = {**body.grades, **({"change": body.change} if body.change is not None else {})}
    made = operations.propose(table, actor=actor, note=body.note, base=body.base)
    return Status(201, _detail(actor, made.pk))


@router.get("/policy/proposals/{int:number}", response=PolicyProposalShape)
def read_proposal(request: HttpRequest, number: int) -> dict[str, Any]:
    """One proposed change in full."""
    return _detail(actor_of(request), number)


@router.post("/policy/proposals/{int:number}/withdraw", response=PolicyProposalShape)
def withdraw(request: HttpRequest, number: int, body: WithdrawInput | None = None) -> dict[str, Any]:
    """End one's own proposal."""
    actor = actor_of(request)
    operations.withdraw(number, actor=actor, reason=body.reason if body else "")
    return _detail(actor, number)


@router.post("/policy/proposals/{int:number}/decisions", response={201: SignedShape})
def decide(request: HttpRequest, number: int, body: SignInput) -> Status[Any]:
    """Sign, send back, reject or object to exactly the change whose digest is sent."""
    decision = operations.decide(number, actor=actor_of(request), **body.model_dump())
    return Status(201, _decision(decision, queries.proposal(number)))


@router.delete("/policy/proposals/{int:number}/decisions/{int:decision_id}", response=SignedShape)
def take_back(request: HttpRequest, number: int, decision_id: int) -> dict[str, Any]:
    """Take one's own signature back."""
    decision = operations.take_back(number, decision_id, actor=actor_of(request))
    return _decision(decision, queries.proposal(number))


@router.post("/policy/proposals/{int:number}/decisions/{int:decision_id}/answer", response=SignedShape)
def answer(request: HttpRequest, number: int, decision_id: int, body: AnswerObjection) -> dict[str, Any]:
    """Answer an objection."""
    objection = operations.answer(number, decision_id, actor=actor_of(request), answer=body.answer)
    return _decision(objection, queries.proposal(number))


def _version(version: PolicyVersion) -> dict[str, Any]:
    made = getattr(version, "proposal", None)
    return {
        "version": version.version,
        "note": version.note,
        "created_at": version.created_at,
        "created_by": version.created_by.username if version.created_by else None,
        "proposal": made.pk if made else None,
    }


def _row(proposal: PolicyProposal) -> dict[str, Any]:
    return {
        "number": proposal.pk,
        "state": proposal.state,
        "note": proposal.note,
        "author": proposal.author.username if proposal.author else None,
        "base": proposal.base.version,
        "became": proposal.became.version if proposal.became else None,
        "content_digest": proposal.content_digest,
        "created_at": proposal.created_at,
        "settled_at": proposal.settled_at,
    }


def _detail(actor: Actor, number: int) -> dict[str, Any]:
    proposal = queries.proposal(number)
    signing = queries.signing(proposal, actor)
    changed = words.proposal_difference(proposal)
    return {
        **_row(proposal),
        "table": proposal.table,
        "difference": [{"grade": each.grade or None, "lines": list(each.lines)} for each in changed],
        "requirements": [
            {
                "id": row.requirement.pk,
                "role": row.requirement.role,
                "scope": row.requirement.scope,
                "count": row.requirement.count,
                "because": row.requirement.because,
                "met": row.met,
                "met_by": [user.username for user in row.met_by],
                "candidates": [user.username for user in row.candidates],
            }
            for row in signing.rows
        ],
        "decisions": [_decision(each, proposal) for each in signing.decisions],
    }


def _decision(decision: Decision, proposal: PolicyProposal) -> dict[str, Any]:
    return {
        "id": decision.pk,
        "person": decision.person.username,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "content_digest": decision.content_digest,
        "decided_at": decision.decided_at,
        "revoked_at": decision.revoked_at,
        "answer": decision.answer,
        "answered_by": decision.answered_by.username if decision.answered_by else None,
        "state": proposal.state,
    }
