"""Everything that writes to policies, requests and decisions."""

from approvals.operations.decisions import Outcome, answer_objection, record_decision, revoke_decision
from approvals.operations.policies import publish_policy
from approvals.operations.proposals import (
    answer_objection_to_proposal,
    decide_proposal,
    propose_policy,
    take_back_signature,
    withdraw_proposal,
)
from approvals.operations.refusals import check_reason, check_verdict
from approvals.operations.requests import open_request, settle, void_request

__all__ = [
    "Outcome",
    "answer_objection",
    "answer_objection_to_proposal",
    "check_reason",
    "check_verdict",
    "decide_proposal",
    "open_request",
    "propose_policy",
    "publish_policy",
    "record_decision",
    "revoke_decision",
    "settle",
    "take_back_signature",
    "void_request",
    "withdraw_proposal",
]
