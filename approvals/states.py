"""States of an approval request, verdicts and phases (rules.md, "Rows" and "Verdicts")."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RequestState(models.TextChoices):
    """Where a request stands."""

    OPEN = "open", _("open")
    APPROVED = "approved", _("approved")
    SENT_BACK = "sent_back", _("sent back")
    REJECTED = "rejected", _("rejected")
    VOID = "void", _("void")


REQUEST_MOVES: dict[str, frozenset[str]] = {
    RequestState.OPEN: frozenset(
        {RequestState.APPROVED, RequestState.SENT_BACK, RequestState.REJECTED, RequestState.VOID}
    ),
    RequestState.APPROVED: frozenset(
        {RequestState.OPEN, RequestState.SENT_BACK, RequestState.REJECTED, RequestState.VOID}
    ),
    RequestState.SENT_BACK: frozenset(),
    RequestState.REJECTED: frozenset(),
    RequestState.VOID: frozenset(),
}


class ProposalState(models.TextChoices):
    """Where a proposed change of the policy stands."""

    OPEN = "open", _("open")
    ACCEPTED = "accepted", _("accepted")
    SENT_BACK = "sent_back", _("sent back")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")


PROPOSAL_MOVES: dict[str, frozenset[str]] = {
    ProposalState.OPEN: frozenset(
        {
            ProposalState.ACCEPTED,
            ProposalState.SENT_BACK,
            ProposalState.REJECTED,
            ProposalState.WITHDRAWN,
        }
    ),
    ProposalState.ACCEPTED: frozenset(),
    # What is changed in answer is another proposal: its table is what people sign.
    ProposalState.SENT_BACK: frozenset(),
    ProposalState.REJECTED: frozenset(),
    ProposalState.WITHDRAWN: frozenset(),
}


class Verdict(models.TextChoices):
    """What a person says."""

    APPROVE = "approve", _("Approve")
    SEND_BACK = "send_back", _("Send back")
    REJECT = "reject", _("Reject")
    OBJECT = "object", _("Object")


class Phase(models.TextChoices):
    """When a requirement is asked for."""

    REVIEW = "review", _("review")
    SIGNOFF = "signoff", _("sign-off")
    OWED = "owed", _("owed review")
