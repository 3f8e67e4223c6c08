"""Changing the policy with the catalog around it: what is judged by the services there are, and what is kept.

The catalog's document of the policy is always the one in force: a changed file is a proposal, and an accepted
proposal rewrites the document, so that an export gives what holds.
"""

from collections.abc import Mapping
from typing import Any

import yaml
from django.db import transaction
from django.utils.translation import gettext as _

from approvals import operations, policy_table
from approvals.models import Decision, PolicyProposal, PolicyVersion
from approvals.operations.proposals import noting_refusals
from approvals.states import ProposalState, Verdict
from portal.actors import Actor
from portal.errors import Conflict
from releases.catalog.documents import Document
from releases.catalog.models import StoredDocument
from releases.catalog.policies import notices
from releases.catalog.policies.surroundings import concerns


def propose(table: Mapping[str, Any], *, actor: Actor, note: str, base: int | None = None) -> PolicyProposal:
    """Propose a change of the policy and ask its signers.

    Args:
        base: number of the version that the proposer saw; None where it is not known.

    Raises:
        Invalid, Conflict, NotAllowed: as approvals.operations.propose_policy; `stale_digest` where another
            version is in force than the proposer saw.
    """
    with noting_refusals("new", actor=actor), transaction.atomic():
        newest = PolicyVersion.objects.first()
        if base is not None and newest is not None and newest.version != base:
            text = _("Version {version} came into force while you wrote. Look at it, then propose anew.")
            raise Conflict(text.format(version=newest.version), code="stale_digest")
        proposal = operations.propose_policy(table, actor=actor, note=note, concerns=concerns())
        notices.tell_proposed(proposal)
        return proposal


def decide(number: int, *, actor: Actor, verdict: str, content_digest: str, reason: str = "") -> Decision:
    """Decide on a change; once it is in force the catalog's document says what holds.

    Raises:
        NotFound, Invalid, Conflict, NotAllowed: as approvals.operations.decide_proposal.
    """
    with noting_refusals(str(number), actor=actor), transaction.atomic():
        decision = operations.decide_proposal(
            number, actor=actor, verdict=verdict, content_digest=content_digest, reason=reason
        )
        proposal = PolicyProposal.objects.select_related("became", "author").get(pk=number)
        if proposal.state == ProposalState.ACCEPTED:
            _write_document(proposal)
        if proposal.state != ProposalState.OPEN:
            notices.tell_settled(proposal, reason=reason)
        if decision.verdict == Verdict.OBJECT:
            notices.tell_objection(proposal, decision)
        notices.touch_signers(proposal)
        return decision


def answer(number: int, decision_id: int, *, actor: Actor, answer: str) -> Decision:
    """Answer an objection to a change, and let who raised it know.

    Raises:
        NotFound, Invalid, Conflict, NotAllowed: as approvals.operations.answer_objection_to_proposal.
    """
    with noting_refusals(str(number), actor=actor), transaction.atomic():
        objection = operations.answer_objection_to_proposal(number, decision_id, actor=actor, answer=answer)
        notices.tell_answered(PolicyProposal.objects.get(pk=number), objection)
        return objection


def take_back(number: int, decision_id: int, *, actor: Actor) -> Decision:
    """Take one's own signature back.

    Raises:
        NotFound, Conflict, NotAllowed: as approvals.operations.take_back_signature.
    """
    with noting_refusals(str(number), actor=actor), transaction.atomic():
        decision = operations.take_back_signature(number, decision_id, actor=actor)
        notices.touch_signers(PolicyProposal.objects.get(pk=number))
        return decision


def withdraw(number: int, *, actor: Actor, reason: str = "") -> PolicyProposal:
    """Withdraw a change that one proposed.

    Raises:
        NotFound, Conflict, NotAllowed: as approvals.operations.withdraw_proposal.
    """
    with noting_refusals(str(number), actor=actor), transaction.atomic():
        proposal = operations.withdraw_proposal(number, actor=actor, reason=reason)
        notices.touch_signers(proposal)
        return proposal


def differs_from_force(document: Document) -> bool:
    """Whether a policy is in force and the document's table is another one."""
    newest = PolicyVersion.objects.first()
    if newest is None:
        return False
    wanted = policy_table.canonical(policy_table.of_spec(document.spec))
    return policy_table.canonical(newest.table) != wanted


def is_awaited() -> bool:
    """Whether a proposed change waits for its signatures."""
    return PolicyProposal.objects.filter(state=ProposalState.OPEN).exists()


def load(document: Document, *, actor: Actor) -> None:
    """Put the policy of an empty portal into force; where there is one, its table is this one already."""
    if not PolicyVersion.objects.exists():
        note = document.value["metadata"].get("title", document.name)
        operations.publish_policy(policy_table.of_spec(document.spec), actor=actor, note=note)


def propose_document(document: Document, *, root: str, actor: Actor) -> PolicyProposal:
    """Propose what a changed file says."""
    note = _("Loaded from {file}.").format(file=f"{root}/{document.file}")
    return propose(policy_table.of_spec(document.spec), actor=actor, note=note)


def as_spec(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table as the `spec` of a Policy document, in its canonical form."""
    written = policy_table.canonical(table)
    change = written.pop(policy_table.CHANGE)
    return {"grades": written, policy_table.CHANGE: change}


def as_yaml(value: object) -> str:
    """A value as people write it in files."""
    text: str = yaml.safe_dump(value, allow_unicode=True, sort_keys=False, default_flow_style=None, width=110)
    return text


def _write_document(proposal: PolicyProposal) -> None:
    row = StoredDocument.objects.select_for_update().filter(kind="Policy").first()
    if row is None:
        return
    row.source = {**row.source, "spec": {**row.source["spec"], **as_spec(proposal.table)}}
    mark = "---\n" if row.text.lstrip("\ufeff").startswith("---") else ""
    # The database does not keep the order of fields.
    in_order = {key: row.source[key] for key in ("apiVersion", "kind", "metadata", "spec")}
    row.text = f"{mark}{as_yaml(in_order)}"
    row.save(update_fields=["source", "text"])
