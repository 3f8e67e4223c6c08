"""The approvals app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from portal.audit.actions import register


class ApprovalsConfig(AppConfig):
    """Requirements and decisions."""

    name = "approvals"

    def ready(self) -> None:
        """Name the acts this app records."""
        register(
            {
                "policy.changed": _("Policy changed"),
                "proposal.opened": _("Change of the policy proposed"),
                "proposal.accepted": _("Change of the policy accepted"),
                "proposal.sent_back": _("Change of the policy sent back"),
                "proposal.rejected": _("Change of the policy rejected"),
                "proposal.withdrawn": _("Change of the policy withdrawn"),
                "proposal.refused": _("Refused"),
                "request.opened": _("Approval requested"),
                "request.approved": _("Requirements met"),
                "request.sent_back": _("Sent back"),
                "request.rejected": _("Rejected"),
                "request.void": _("Approvals voided"),
                "request.open": _("Review reopened"),
                "decision.approve": _("Approved"),
                "decision.send_back": _("Asked for changes"),
                "decision.reject": _("Rejected"),
                "decision.object": _("Objection raised"),
                "decision.revoked": _("Approval taken back"),
                "objection.answered": _("Objection answered"),
                "decision.refused": _("Decision refused"),
            }
        )
