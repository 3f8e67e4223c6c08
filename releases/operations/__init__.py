"""Everything that writes to a release; all doors come here."""

from releases.operations.checks import answer_check
from releases.operations.create import carry_release, create_operation, create_release, duplicate_release
from releases.operations.decide import answer_objection, decide_release, recheck, take_back_decision
from releases.operations.edit import edit_release
from releases.operations.ends import (
    against_switch,
    announce_release,
    close_release,
    expire_release,
    missing_signoffs,
    withdraw_release,
)
from releases.operations.gates import (
    claim_due,
    ignore_breach,
    leave_measurement,
    open_gates,
    write_measurement,
)
from releases.operations.progress import begin_switch, finish_before_switch, finish_verification, follow
from releases.operations.schedule import miss_schedule, schedule_release, unschedule_release
from releases.operations.signoff import rejection_of, sign_off_result
from releases.operations.submit import submit_release

__all__ = [
    "against_switch",
    "announce_release",
    "answer_check",
    "answer_objection",
    "begin_switch",
    "carry_release",
    "claim_due",
    "close_release",
    "create_operation",
    "create_release",
    "decide_release",
    "duplicate_release",
    "edit_release",
    "expire_release",
    "finish_before_switch",
    "finish_verification",
    "follow",
    "ignore_breach",
    "leave_measurement",
    "miss_schedule",
    "missing_signoffs",
    "open_gates",
    "recheck",
    "rejection_of",
    "schedule_release",
    "sign_off_result",
    "submit_release",
    "take_back_decision",
    "unschedule_release",
    "withdraw_release",
    "write_measurement",
]
